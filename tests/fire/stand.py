"""
What a run stands on: PostgreSQL, a broker, proxies before both, and our processes, as an operator starts them.

Everything listens on the loopback interface or on sockets of a folder that only this run has. All of it ends
with ``close``, and with the process that made it.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.guard import guard
from deploy.servers import free_port
from tests.cluster import Cluster
from tests.fire.process import Process, limit_files
from tests.fire.proxy import Proxy, named_at
from tests.kafka.brokers import ApacheKafka, SmallBroker
from tests.kafka.conveyor import TOPICS
from tests.town import found, signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.keys import Signer

YOUNG_SECONDS: Final = 10.0
"""How long a process may take to start, when the machine is busy."""

DISK_BYTES: Final = 512 << 20
SETTINGS: Final = {"max_wal_size": "64MB", "min_wal_size": "32MB", "autovacuum": "on"}

CONFIGURATION: Final = """
[ledger]
folder = "{folder}"
[gateway]
requests_per_second = 0
stop_seconds = 5.0
[kafka]
bootstrap = ["{bootstrap}"]
request_ms = 3000
"""


class Disk:
    """
    The disk on which PostgreSQL keeps its data, which can be filled.

    Where this process may mount, it is a file system of its own in memory: the server finds no space left. Elsewhere
    the server's processes are forbidden to write any file beyond a size: other words for the same (EFBIG).
    """

    def __init__(self, folder: Path, pids: Callable[[], list[int]]) -> None:
        """Use *folder*, empty; *pids* gives the server's processes."""
        self._folder = folder
        self._pids = pids
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True, check=False
        ) if not os.getuid() else None  # fmt: skip
        self.mounted = done is not None and not done.returncode
        if self.mounted:
            guard().unmount(folder)
        self.name = "a file system of its own in memory" if self.mounted else "a limit on the size of files"

    def fill(self) -> None:
        """Leave no space."""
        if not self.mounted:
            for pid in self._pids():
                limit_files(pid, 1 << 20)
            return
        with (self._folder / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        if not file.write(bytes(size)):
                            raise OSError(errno.ENOSPC, "full")

    def empty(self) -> None:
        """Give it back."""
        (self._folder / "ballast").unlink(missing_ok=True)
        if not self.mounted:
            for pid in self._pids():
                limit_files(pid, None)

    def remove(self) -> None:
        """Unmount it."""
        if self.mounted:
            subprocess.run(["umount", "-l", self._folder], capture_output=True, check=False)
            self.mounted = False


class Database(Cluster):
    """A private server whose disk can be filled."""

    def __init__(self) -> None:
        """Make it and start it."""
        super().__init__(**SETTINGS)
        self.stop(signal.SIGINT)
        kept = self.data.rename(self.folder / "kept")
        self.data.mkdir()
        self.disk = Disk(self.data, self.pids)
        shutil.copytree(kept, self.data, dirs_exist_ok=True)
        shutil.rmtree(kept)
        for path in (self.data, *self.data.rglob("*")):
            if self._as:
                os.chown(path, self._as["user"], self._as["group"])
        self.data.chmod(0o700)
        self.start()

    def pids(self) -> list[int]:
        """The ids of its processes."""
        first = self._server.pid
        found = [first]
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == first:
                    found.append(int(path.parent.name))
        return found

    @property
    def down(self) -> bool:
        """Whether it has ended."""
        return self._server.poll() is not None

    def remove(self) -> None:
        """Stop it, and remove everything."""
        if self.folder.exists() and os.getpid() == self._maker:
            self.stop()
            if hasattr(self, "disk"):
                self.disk.remove()
        super().remove()


class Small(SmallBroker):
    """The broker from PyPI, behind a proxy. It keeps what it has when it is told to end, not when it is killed."""

    nodes = 1

    def __init__(self) -> None:
        """Start it, and a proxy."""
        super().__init__()
        self.proxies = _proxies([self.port])
        self.reached_at = f"127.0.0.1:{self.proxies[0].port}"

    def end(self, number: int) -> None:
        """Tell it to end."""
        del number
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        guard().release(self._process)

    def begin(self, number: int) -> None:
        """Start it again."""
        del number
        self.start()

    def heal(self) -> None:
        """
        Start it anew: its groups forget their members.

        While a group rebalances, it waits for members that have died as long as for those that live, and that may be
        many minutes.
        """
        self.end(0)
        self.begin(0)

    def signal(self, number: int, how: signal.Signals) -> None:
        """Send it a signal."""
        del number
        self._process.send_signal(how)

    def remove(self) -> None:
        """End all of it."""
        for one in getattr(self, "proxies", ()):
            one.close()
        self.proxies = []
        super().remove()


class Apache(ApacheKafka):
    """Apache Kafka, each node behind a proxy."""

    def __init__(self, nodes: int) -> None:
        """Start every node, and its proxy."""
        super().__init__(nodes)
        self.nodes = nodes
        self.proxies = _proxies(self.ports)
        self.reached_at = ",".join(f"127.0.0.1:{one.port}" for one in self.proxies)

    def end(self, number: int) -> None:
        """Kill a node."""
        self.stop(number, signal.SIGKILL)

    def begin(self, number: int) -> None:
        """Start it again."""
        self.start(number)

    def heal(self) -> None:
        """Nothing more is to be done."""

    def signal(self, number: int, how: signal.Signals) -> None:
        """Send a node a signal."""
        self.send(how, number)

    def remove(self) -> None:
        """End all of it."""
        for one in getattr(self, "proxies", ()):
            one.close()
        self.proxies = []
        super().remove()


def _proxies(ports: list[int]) -> list[Proxy]:
    made = [Proxy(("127.0.0.1", port)) for port in ports]
    renamed = {
        named_at("127.0.0.1", port): named_at("127.0.0.1", one.port) for port, one in zip(ports, made, strict=True)
    }
    for one in made:
        one.renamed = renamed
    return made


class Stand:
    """Everything that a run stands on; ``start`` starts our processes."""

    def __init__(
        self, folder: Path, *, apache: int = 0, publishers: int, ended: Callable[[str, int, list[str]], None]
    ) -> None:
        """
        Start database and broker, found the ledger, enrol publishers.

        Args:
            folder: empty; everything of ours lies in it.
            apache: nodes of Apache Kafka; 0 for the small broker.
            publishers: how many.
            ended: see ``Process``.
        """
        self.folder = folder
        self.processes: dict[str, Process] = {}
        self._ended = ended
        self._extras = 0
        self.left: list[str] = []
        self.unclean: list[str] = []
        self.database = Database()
        self.disk = self.database.disk
        self.broker: Small | Apache = Apache(apache) if apache else Small()
        self.direct = self.database.address(self.database.schema())
        sockets = folder / "database"
        sockets.mkdir()
        self.database_proxy = Proxy(self.database.socket, sockets / self.database.socket.name)
        schema = self.direct.rpartition("%3D")[2]
        self.address = self.database.address(schema, through=sockets)
        town = found(folder / "founder", store=self.address)
        self.signers: list[Signer] = [signer(f"publisher {number}") for number in range(publishers)]
        for number in range(publishers):
            town.say(town.enrolling(f"publisher {number}"), signer("DE"))
        town.ledger.close()
        self.topics = folder / "topics.toml"
        self.topics.write_text(TOPICS.replace("replication = 1", f"replication = {max(1, apache)}"))
        self.gateways: list[int] = []

    def start(self, *, gateways: int, ingests: int, projectors: int) -> None:
        """Start our processes: so many of each, a relay, and a follower."""
        for number in range(gateways):
            port = free_port()
            self.gateways.append(port)
            self._make(f"gateway-{number}", "serve", "--listen", f"127.0.0.1:{port}")
        for number in range(ingests):
            self._make(f"ingest-{number}", "ingest", "--topics", str(self.topics))
        self._make("relay-0", "relay", "--topics", str(self.topics))
        for number in range(projectors):
            self._make(f"projector-{number}", "project", "work", "--topics", str(self.topics))
        # And one that follows the log alone, into files of its own.
        name = "follower-0"
        self.processes[name] = Process(name, ["follow", str(self._home(name))], self.folder, self._ended)
        for process in self.processes.values():
            process.start()

    def _home(self, name: str) -> Path:
        """Make the folder of one process, as another machine would have it."""
        home = self.folder / name
        shutil.copytree(self.folder / "founder", home)
        (home / "comity.toml").write_text(
            CONFIGURATION.format(folder=home, bootstrap='", "'.join(self.broker.reached_at.split(",")))
        )
        return home

    def _make(self, name: str, *arguments: str) -> Process:
        home = self._home(name)
        config = ["--config", str(home / "comity.toml")]
        self.processes[name] = Process(name, [*arguments, *config], self.folder, self._ended)
        return self.processes[name]

    def one_more(self, kind: str) -> Process:
        """Return one more process of this kind, not started."""
        self._extras += 1
        made = self._make(f"{kind}-extra{self._extras}", kind, "--topics", str(self.topics))
        del self.processes[made.name]
        return made

    def end(self, process: Process) -> None:
        """Stop a process in order, and see that it leaves nothing behind."""
        self.stopped(process)
        self.left += [f"{process.name} left process {pid}" for pid in process.left()]

    def stopped(self, process: Process) -> None:
        """Stop a process in order; how it ended is noted where that was not in order."""
        young = time.monotonic() - process.started_at < YOUNG_SECONDS
        status = process.stop(30)
        # Before it has come so far as to listen to SIGTERM, that simply ends it.
        if status not in {0, 6, 8} and not (young and status == -signal.SIGTERM):
            self.unclean.append(f"{process.name} ended with {status}" if status is not None else f"{process.name} hung")

    def start_database(self) -> None:
        """Start the server, unless it runs."""
        if self.database.down:
            self.database.start()

    def empty_disk(self) -> None:
        """Give the disk back, and start the server if it did not survive it."""
        self.disk.empty()
        with suppress(subprocess.TimeoutExpired):
            # A server that could not write its log is about to end.
            self.database._server.wait(1.0)
        self.start_database()

    def heal(self) -> None:
        """Undo every fault."""
        self.empty_disk()
        for proxy in (self.database_proxy, *self.broker.proxies):
            proxy.set("open")
        self.broker.heal()
        for process in self.processes.values():
            process.limit_files(None)
            process.step_clock(0)
            process.signal(signal.SIGCONT)
            process.start()

    def close(self) -> None:
        """End everything; whatever is still there is killed."""
        for process in self.processes.values():
            process.kill()
            process.left()
        self.broker.remove()
        self.database_proxy.close()
        self.database.remove()
