"""
Brokers for the tests: a small one that installs from PyPI, and Apache Kafka from its Maven artifacts.

The small one needs neither Java nor Maven. What it cannot do, no test that runs on it may ask: it judges
nobody, knows no TLS, has one node, and does not survive SIGKILL. Apache Kafka needs Java 17 and, once, Maven:
its jars are kept under ``build/``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from deploy.guard import guard
from deploy.servers import CLUSTER_ID, KAFKA_VERSION, free_port, java, small_broker

START_SECONDS = 90


def _await(port: int, process: subprocess.Popen[bytes], said: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, said.read_text()[-3000:]
        assert time.monotonic() < until, said.read_text()[-3000:]
        time.sleep(0.02)


class SmallBroker:
    """The broker that installs from PyPI: one process, one folder, gone when the tests are."""

    name = "noida-db, from PyPI"

    def __init__(self) -> None:
        """Start it."""
        self.folder = Path(tempfile.mkdtemp(prefix="comity-kafka-"))
        atexit.register(self.remove)
        guard().remove(self.folder)
        self._maker = os.getpid()
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        program = small_broker()
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                [
                    program,
                    "start",
                    "--only",
                    "kafka",
                    "--kafka-port",
                    str(self.port),
                    "--data-dir",
                    self.folder / "data",
                ],
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        guard().watch(self._process)
        _await(self.port, self._process, self.folder / "said")

    def remove(self) -> None:
        """End it and remove what it kept."""
        if os.getpid() == self._maker and self.folder.exists():
            self._process.kill()
            self._process.wait()
            guard().release(self._process)
            shutil.rmtree(self.folder, ignore_errors=True)


class ApacheKafka:
    """
    Apache Kafka in KRaft mode, of one node or of three, each broker and controller.

    Args:
        nodes: how many.
        settings: of every node, over those below.
        listener: ``PLAINTEXT``, or a protocol that *settings* describe.
        scram: users with their passwords, who exist before anybody connects.
    """

    def __init__(
        self,
        nodes: int = 1,
        settings: dict[str, str] | None = None,
        listener: str = "PLAINTEXT",
        scram: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Format the storage and start every node."""
        self.name = f"Apache Kafka {KAFKA_VERSION}, {nodes} node{'s' if nodes > 1 else ''}"
        self.folder = folder or Path(tempfile.mkdtemp(prefix="comity-kafka-"))
        atexit.register(self.remove)
        guard().remove(self.folder)
        self._maker = os.getpid()
        self.ports = [free_port() for _ in range(nodes)]
        controllers = [free_port() for _ in range(nodes)]
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * nodes
        voters = ",".join(f"{number + 1}@127.0.0.1:{port}" for number, port in enumerate(controllers))
        copies = str(min(3, nodes))
        for number, (port, controller) in enumerate(zip(self.ports, controllers, strict=True)):
            lines = {
                "process.roles": "broker,controller",
                "node.id": str(number + 1),
                "controller.quorum.voters": voters,
                "listeners": f"{listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"{listener}://127.0.0.1:{port}",
                "controller.listener.names": "CONTROLLER",
                "inter.broker.listener.name": listener,
                "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{listener}:{listener}",
                "log.dirs": str(self.folder / f"data{number}"),
                "offsets.topic.num.partitions": "4",
                "offsets.topic.replication.factor": copies,
                "transaction.state.log.replication.factor": copies,
                "transaction.state.log.min.isr": "1",
                "share.coordinator.state.topic.replication.factor": copies,
                "share.coordinator.state.topic.min.isr": "1",
                "group.initial.rebalance.delay.ms": "0",
                "auto.create.topics.enable": "false",
                "log.retention.check.interval.ms": "500",
                **(settings or {}),
            }
            path = self.folder / f"node{number}.properties"
            path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
            users = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in (scram or {}).items()]
            added = [part for user in users for part in ("--add-scram", user)]
            done = subprocess.run(
                [*java(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", path, *added],
                capture_output=True,
                text=True,
                check=False,
            )
            assert not done.returncode, done.stdout + done.stderr
        for number in range(nodes):
            self.start(number, wait=False)
        for number in range(nodes):
            self.wait(number)

    def start(self, number: int = 0, *, wait: bool = True) -> None:
        """Start one node; *wait* until it answers."""
        with (self.folder / f"said{number}").open("ab") as said:
            process = subprocess.Popen(
                [*java(), "kafka.Kafka", self.folder / f"node{number}.properties"],
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._processes[number] = process
        guard().watch(process)
        if wait:
            self.wait(number)

    def wait(self, number: int = 0) -> None:
        """Wait until a node listens."""
        process = self._processes[number]
        assert process is not None
        _await(self.ports[number], process, self.folder / f"said{number}")

    def stop(self, number: int = 0, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop one node: at once, or in order (SIGTERM)."""
        process = self._processes[number]
        if process is not None:
            process.send_signal(how)
            process.wait()
            guard().release(process)
            self._processes[number] = None

    def send(self, how: signal.Signals, number: int = 0) -> None:
        """Halt a node (SIGSTOP) or let it go on (SIGCONT)."""
        process = self._processes[number]
        assert process is not None
        process.send_signal(how)

    def remove(self) -> None:
        """Stop every node and remove everything."""
        if os.getpid() == self._maker and self.folder.exists():
            for number in range(len(self.ports)):
                self.stop(number)
            shutil.rmtree(self.folder, ignore_errors=True)
