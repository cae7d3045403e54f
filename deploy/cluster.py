"""
The whole of Comity on one machine, without containers: `make cluster`, `make cluster-demo`.

Starts PostgreSQL, Kafka, the gateway, an ingest, a relay and a projector, each as an operator does, from a
configuration of its own; starts again whichever of ours ends; stops all of them, in order, on Ctrl-C or SIGTERM.
Everything lies in one folder, and the next start goes on with it. The ledger is a simulation: its origin says so,
and anybody can derive its keys.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from deploy import cases, servers
from deploy.guard import guard
from ledger import resources, scenarios
from ledger.law.editions import keep
from ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "build" / "cluster"
MARKER: Final = "made-by-make-cluster"
ORIGIN: Final = "cluster.comity.example/simulation"
SCENARIOS: Final = ("encrochat", "aranyosi")
COMITY: Final = Path(sys.executable).with_name("comity")

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = (0.3, 10.0)
SOCKET_PATH_MAX: Final = 100
"""The path of a Unix socket has at most 108 bytes, the name of PostgreSQL's included."""

CONFIGURATION: Final = """\
# Written by `make cluster`; deploy/comity.toml is the one to begin a real service with.
[ledger]
folder = "."
store = "{store}"
origin = "{origin}"
pin = "{pin}"
{keys}
[gateway]
listen = "127.0.0.1:{gateway}"

[kafka]
bootstrap = [{bootstrap}]

[metrics]
listen = "{metrics}"
"""


class StartError(Exception):
    """What could not be started, why, and what to do now."""


@dataclass
class Service:
    """
    One process, started again whenever it ends by itself.

    Attributes:
        name: what people call it; its output goes to ``<name>.log``.
        command: the program and its arguments.
        folder: where it runs.
        options: further options of ``subprocess.Popen``.
        how: the signal that stops it in order.
        process: the last one, until it is stopped.
        starts: how often it was started.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    how: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    starts: int = field(default=0, init=False)
    _due_at: float = field(default=0.0, init=False)
    _since: float = field(default=0.0, init=False)

    @property
    def said(self) -> Path:
        """What it writes to its outputs."""
        return self.folder.parent / f"{self.folder.name}.log"

    def start(self) -> None:
        """Start it; it leads a process group of its own, so that Ctrl-C reaches the supervisor alone."""
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=_environment(), stdout=said, stderr=said, start_new_session=True,
                **self.options,
            )  # fmt: skip
        guard().watch(self.process)
        self.starts += 1
        self._since = time.monotonic()

    def look(self) -> str | None:
        """Start it again if it has ended and its time has come; return what there is to tell."""
        if self.process is None:
            return None
        now = time.monotonic()
        status = self.process.poll()
        if status is None:
            return None
        if not self._due_at:
            guard().release(self.process)
            lived = now - self._since
            low, high = AGAIN_SECONDS
            self._due_at = now + (low if lived > high else min(high, low * 2 ** min(self.starts, 6)))
            return f"{self.name} ended ({_status(status)}) and is started again; see {self.said}"
        if now >= self._due_at:
            self._due_at = 0.0
            self.start()
        return None

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop it in order, or after *seconds* at once."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.how)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        guard().release(process)

    def tail(self, size: int = 1500) -> str:
        """Return the end of what it said."""
        with suppress(OSError):
            return self.said.read_text(encoding="utf-8", errors="replace")[-size:].strip()
        return ""


def _environment() -> dict[str, str]:
    """Return ours without what configures a ledger of the caller's: here each has a configuration of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}


def _status(number: int) -> str:
    return signal.Signals(-number).name if number < 0 else f"status {number}"


class Stack:
    """Everything, from PostgreSQL up; ``start`` returns when all of it answers."""

    def __init__(
        self, folder: Path, *, kafka: str, brokers: int, fixed_ports: bool, tell: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self._tell = tell
        self._apache = kafka == "apache"
        port = _port if fixed_ports else _any_port
        self.gateway = port(8440)
        #: Where those say how they are whom nobody asks for anything else.
        self.metrics = {"relay": port(9440), "ingest": port(9451), "projector": port(9461)}
        self.brokers = [port(19092 + 10 * number) for number in range(brokers if self._apache else 1)]
        self._controllers = [port(19093 + 10 * number) for number in range(len(self.brokers))]
        self.bootstrap = ",".join(f"127.0.0.1:{one}" for one in self.brokers)
        self.origin = ORIGIN
        self.scenarios = SCENARIOS
        self.pin = ""
        self._services: list[Service] = []
        self._stopping = threading.Event()
        self._watching: threading.Thread | None = None
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------ starting

    def start(self) -> None:
        """
        Start everything.

        Raises:
            StartError: something did not start; what had started is left to ``stop``.
        """
        self._own_folder()
        self._postgres()
        self._kafka()
        new = self._found()
        self._ours(new=new)
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _own_folder(self) -> None:
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARKER).exists():
            raise StartError(f"{self.folder} is not empty, and was not made by `make cluster`: name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        marker = (self.folder / MARKER).open("w", encoding="utf-8")
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(f"a cluster runs in {self.folder} already: stop it, or name another folder") from None
        # Held as long as this process lives.
        self._held = marker
        marker.write("Made by `make cluster`; remove the folder to begin anew.\n")
        marker.flush()
        if not servers.enterable(self.folder):
            raise StartError(
                f"PostgreSQL does not run as root, and the user that it runs as cannot enter {self.folder}: "
                "start this as another user, or with --folder in a place that everybody can enter"
            )

    def _postgres(self) -> None:
        base = self.folder / "postgres"
        data = base / "data"
        if not data.exists():
            self._tell(f"making a database cluster ({servers.postgres_name()})")
            base.mkdir(mode=0o700, exist_ok=True)
            _give(base)
            arguments = ("-D", data, "-U", "comity", "-A", "trust", "-E", "UTF8", "--locale=C")
            done = subprocess.run(
                [servers.programs() / "initdb", *arguments],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                **servers.unprivileged(),
            )
            if done.returncode:
                shutil.rmtree(base)
                raise StartError(f"PostgreSQL's initdb failed: {(done.stdout + done.stderr).strip()[-1500:]}")
        # Nobody but whoever may enter this folder reaches the server: it listens on a socket in it, and nowhere else.
        if len(str(base)) > SOCKET_PATH_MAX:
            raise StartError(f"{base} is too long for the path of a socket: name a shorter --folder")
        settings = ("-c", "listen_addresses=", "-c", "max_connections=200", "-c", f"unix_socket_directories={base}")
        command: list[str | Path] = [servers.programs() / "postgres", "-D", data, *settings]
        server = self._begin(Service("PostgreSQL", command, base, servers.unprivileged(), signal.SIGINT))
        self._until(server, lambda: psycopg2.connect(self.address("comity", database="postgres")).close())

    def address(self, role: str, *, database: str = "comity") -> str:
        """Return the address of a database here."""
        return f"postgresql://{role}@/{database}?host={self.folder / 'postgres'}"

    def _kafka(self) -> None:
        base = self.folder / "kafka"
        base.mkdir(exist_ok=True)
        if self._apache:
            nodes = self._apache_kafka(base)
        else:
            where = ("--kafka-port", str(self.brokers[0]), "--data-dir", base / "data")
            nodes = [Service("Kafka", [servers.small_broker(), "start", "--only", "kafka", *where], base)]
        for node in nodes:
            self._begin(node)
        for node, port in zip(nodes, self.brokers, strict=True):
            self._until(node, partial(_listens, port))

    def _apache_kafka(self, base: Path) -> list[Service]:
        if not servers.fetched():
            self._tell(f"fetching Apache Kafka {servers.KAFKA_VERSION} with Maven, once")
        try:
            java = servers.java()
        except RuntimeError as error:
            raise StartError(f"{error}; or use the small broker: --kafka small") from error
        nodes = []
        for number in range(len(self.brokers)):
            node = base / f"node{number + 1}"
            node.mkdir(exist_ok=True)
            file = node / "server.properties"
            try:
                servers.make_node(file, node / "data", number, self.brokers, self._controllers)
            except RuntimeError as error:
                raise StartError(f"{error}; remove {base} to begin its topics anew: the log has all of them") from error
            name = "Kafka" if len(self.brokers) == 1 else f"Kafka {number + 1}"
            nodes.append(Service(name, [*java, "kafka.Kafka", file], node))
        return nodes

    def _found(self) -> bool:
        """Found the ledger, or see that it is there; whether it is new."""
        owner = self.folder / "ledger"
        with closing(psycopg2.connect(self.address("comity", database="postgres"))) as one, one.cursor() as cursor:
            one.autocommit = True
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'comity'")
            if not cursor.fetchall():
                cursor.execute("CREATE DATABASE comity")
        new = not (owner / "checkpoint").exists()
        if new:
            told = [scenarios.load(resources.path("scenarios") / f"{name}.toml") for name in SCENARIOS]
            keep(owner / "law")
            opened: Ledger = scenarios.begin(told, owner, store=self.address("comity"), origin=ORIGIN)
        else:
            opened = Ledger.open(owner, read_only=True)
        with closing(opened):
            self.pin = opened.pin().hex()
        self._roles()
        return new

    def _roles(self) -> None:
        """Give each service a login of its own, with what deploy/roles.sql allows and nothing more."""
        done = subprocess.run(
            [
                servers.programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "schema=public",
                "-d", self.address("comity"), "-f", ROOT / "deploy" / "roles.sql",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StartError(f"deploy/roles.sql failed: {done.stderr.strip()}")
        with closing(psycopg2.connect(self.address("comity"))) as one, one, one.cursor() as cursor:
            for role, group in (
                ("gateway", "comity_writer"),
                ("reader", "comity_reader"),
                ("projector", "comity_projector"),
            ):
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                if not cursor.fetchall():
                    cursor.execute(f"CREATE ROLE {role} LOGIN IN ROLE {group}")
            for role in ("projector", "reader"):
                cursor.execute(f"ALTER ROLE {role} SET search_path = projections, public")
            cursor.execute("ALTER ROLE projector SET role = comity_projector")

    def _ours(self, *, new: bool) -> None:
        relay = self._configured("relay", "reader")
        self.make_topics()
        if new:
            self._tell("the topics are made")
        gateway = self._configured("gateway", "gateway", keys=True)
        ingest = self._configured("ingest", "gateway", keys=True)
        projector = self._configured("projector", "projector")
        started = [
            self._begin(Service(name, [COMITY, *arguments, "--quiet", "--config", file], file.parent))
            for name, file, arguments in (
                ("gateway", gateway, ["serve"]),
                ("ingest", ingest, ["ingest"]),
                ("relay", relay, ["relay"]),
                ("projector", projector, ["project", "work"]),
            )
        ]
        # Where people ask: a folder that says where the log is, for a login that can only read.
        self._configured("reader", "reader")
        self._until(started[0], lambda: self.asked("/readyz"))

    def _configured(self, name: str, role: str, *, keys: bool = False) -> Path:
        """Write the configuration of one service into a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        file = folder / "comity.toml"
        if name == "reader":
            # Commands that only read look in the folder alone.
            (folder / "store").write_text(self.address(role) + "\n", encoding="utf-8")
        file.write_text(
            CONFIGURATION.format(
                store=self.address(role),
                origin=ORIGIN,
                pin=self.pin,
                keys='keys = "../ledger"\n' if keys else "",
                gateway=self.gateway,
                bootstrap=", ".join(f'"127.0.0.1:{port}"' for port in self.brokers),
                metrics=f"127.0.0.1:{self.metrics[name]}" if name in self.metrics else "",
            ),
            encoding="utf-8",
        )
        return file

    # -------------------------------------------------------------------------------- using it

    def asked(self, path: str) -> bytes:
        """Return what the gateway answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.gateway}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def _comity(self, *arguments: str, **environment: str) -> str:
        """Run a command of ours to its end, and return what it answers; StartError where it fails."""
        done = subprocess.run(
            [COMITY, *arguments],
            capture_output=True, text=True, check=False, env=_environment() | environment, cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise StartError(f"`comity {' '.join(arguments)}` failed: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def read(self, *arguments: str) -> str:
        """Return what a command answers to whoever may only read."""
        return self._comity(*arguments, COMITY_LEDGER=str(self.folder / "reader"), COLUMNS="100", NO_COLOR="1")

    def make_topics(self) -> None:
        """Make the topics that are declared, and that of the receipts of every authority on the roster."""
        copies = str(min(3, len(self.brokers)))
        config = self.folder / "relay" / "comity.toml"
        self._comity("topics", "apply", "--quiet", "--config", str(config), "--replication", copies)

    def kill(self, name: str) -> None:
        """Kill one of ours, as a failing machine would; it is started again."""
        for one in self._services:
            if one.name == name and one.process is not None:
                one.process.kill()

    def starts(self) -> dict[str, int]:
        """Return how often each was started."""
        return {one.name: one.starts for one in self._services}

    def where(self) -> Iterator[tuple[str, str]]:
        """Yield what listens where, and how to look at it."""
        gateway = f"http://127.0.0.1:{self.gateway}"
        yield "gateway", f"{gateway}/ (checkpoint, tiles, POST /statements)"
        yield "", f"{gateway}/readyz, {gateway}/metrics"
        for name, port in self.metrics.items():
            yield "", f"http://127.0.0.1:{port}/metrics ({name})"
        yield "schema registry", f"{gateway}/subjects"
        kind = "Apache Kafka" if self._apache else "a small broker in place of Apache Kafka"
        yield "Kafka", f"{self.bootstrap} ({kind})"
        psql = "psql" if shutil.which("psql") else servers.programs() / "psql"
        yield "PostgreSQL", f"{psql} '{self.address('comity')}'"
        yield "reading", f"COMITY_LEDGER={self.folder / 'reader'} {COMITY} case list"
        yield "keys", f"{self.folder / 'ledger' / 'keys'} (a simulation: anybody can derive them)"
        yield "logs", f"{self.folder}/*.log"
        yield "pin", self.pin

    # ------------------------------------------------------------------------------ watching

    def _begin(self, service: Service) -> Service:
        with self._lock:
            self._services.append(service)
            service.folder.mkdir(exist_ok=True)
            service.start()
        return service

    def _until(self, service: Service, look: Callable[[], object]) -> None:
        """Wait until *look* no longer fails; StartError where the service ends before, or takes too long."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                look()
            except (OSError, psycopg2.OperationalError) as error:
                ended = service.process is not None and service.process.poll() is not None
                if ended or time.monotonic() > until:
                    said = f"{service.said} ends with:\n{service.tail()}"
                    raise StartError(f"{service.name} did not start: {error}\n{said}") from error
                time.sleep(0.05)
            else:
                return

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            with self._lock:
                for one in self._services:
                    if not self._stopping.is_set() and (said := one.look()):
                        self._tell(said)

    def stop(self) -> None:
        """Stop everything: first what takes in, last what keeps."""
        self._stopping.set()
        if self._watching is not None:
            self._watching.join()
        order = {"gateway": 0, "ingest": 1, "relay": 2, "projector": 3}
        for one in sorted(self._services, key=lambda one: order.get(one.name, 8 + (one.name == "PostgreSQL"))):
            one.stop()


def _listens(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1).close()


def _give(path: Path) -> None:
    who = servers.unprivileged()
    if who:
        os.chown(path, who["user"], who["group"])


def _port(wanted: int) -> int:
    """Return the port, or a free one where somebody listens there already."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", wanted))
        except OSError:
            return servers.free_port()
        return wanted


def _folder(given: Path | None) -> Path:
    """Return where everything is kept: as given, in the checkout, or where whoever runs PostgreSQL can go."""
    if given is not None:
        return given.resolve()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if len(str(FOLDER / "postgres")) <= SOCKET_PATH_MAX and servers.enterable(FOLDER):
        return FOLDER
    return Path("/var/tmp") / f"comity-cluster-{os.getuid()}"  # noqa: S108 -- marked, locked, and refused if another's


def _any_port(_: int) -> int:
    return servers.free_port()


def main(arguments: Sequence[str] | None = None) -> int:
    """Start everything, tell where it listens, and wait; with ``--demo``, play the real cases through it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.cluster", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where everything is kept (default: build/cluster)")
    parser.add_argument("--kafka", choices=("auto", "apache", "small"), default="auto")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="of Apache Kafka")
    parser.add_argument("--any-ports", action="store_true", help="take free ports instead of 8440 and 19092")
    parser.add_argument("--demo", action="store_true", help="publish the two real cases, show them, and end")
    given = parser.parse_args(arguments)
    kafka = given.kafka
    if kafka == "auto":
        kafka = "apache" if servers.java_will_do() and (servers.fetched() or shutil.which("mvn")) else "small"
    if given.brokers > 1 and kafka == "small":
        parser.error(f"--brokers {given.brokers} needs Apache Kafka: Java {servers.JAVA_LEAST}, and Maven once")

    def tell(said: str) -> None:
        print(f"  {said}", file=sys.stderr, flush=True)

    def asked_to_stop(*_: object) -> None:
        raise KeyboardInterrupt

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, asked_to_stop)
    stack = Stack(_folder(given.folder), kafka=kafka, brokers=given.brokers, fixed_ports=not given.any_ports, tell=tell)
    print("Starting PostgreSQL, Kafka, gateway, ingest, relay and projector", file=sys.stderr, flush=True)
    try:
        began = time.monotonic()
        stack.start()
        if given.demo:
            cases.show(stack, time.monotonic() - began)
            return 0
        print(f"\nEverything answers, {time.monotonic() - began:.0f} seconds after the start.\n")
        for name, where in stack.where():
            print(f"  {name:<16} {where}")
        print("\nCtrl-C stops it; the next `make cluster` goes on where this one stopped.", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    except (StartError, cases.NotShown) as error:
        print(f"comity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    finally:
        print("Stopping", file=sys.stderr, flush=True)
        # A second Ctrl-C must not leave half of it running.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        stack.stop()


if __name__ == "__main__":
    sys.exit(main())
