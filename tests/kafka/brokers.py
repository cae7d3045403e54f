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
from contextlib import suppress
from pathlib import Path

from deploy.guard import guard
from deploy.servers import KAFKA_VERSION, free_port, java, make_node, small_broker
from tests.waiting import await_server


def listens(port: int) -> bool:
    """Whether somebody listens there on this machine."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


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
        self.start()

    def start(self) -> None:
        """Start it with what it kept, and wait until it answers."""
        where = ("--kafka-port", str(self.port), "--data-dir", self.folder / "data")
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                [small_broker(), "start", "--only", "kafka", *where], stdout=said, stderr=said, start_new_session=True
            )
        guard().watch(self._process)
        await_server(lambda: listens(self.port), self._process, self.folder / "said")

    def halt(self) -> None:
        """Let it stand still: it keeps its connections and answers nobody."""
        self._process.send_signal(signal.SIGSTOP)

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
        for number in range(nodes):
            make_node(
                self.folder / f"node{number}.properties",
                self.folder / f"data{number}",
                number,
                self.ports,
                controllers,
                listener=listener,
                settings={"log.retention.check.interval.ms": "500", **(settings or {})},
                users=scram,
            )
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
        await_server(lambda: listens(self.ports[number]), process, self.folder / f"said{number}")

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
