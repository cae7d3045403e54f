"""
A private PostgreSQL cluster for the tests: made in a folder of its own, stopped and removed at the end.

The programs are those that ``deploy.servers`` finds. PostgreSQL listens on a Unix socket alone, and ends with the
tests, however they end.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from deploy.guard import guard
from deploy.servers import programs, unprivileged
from tests.waiting import await_server

if TYPE_CHECKING:
    from collections.abc import Callable

# Nobody's power fails in a test: what is written survives every way in which these tests end the server.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


class Cluster:
    """One server; each log of a test lives in a schema of its own."""

    def __init__(self, **settings: str) -> None:
        """Make the cluster and start it."""
        # Not the folder of the test: the path of a socket is short, and others must be able to enter.
        self.folder = Path(tempfile.mkdtemp(prefix="comity-pg-", dir="/tmp"))
        self._as = unprivileged()
        self._settings = {**SETTINGS, **settings}
        self._numbers = itertools.count()
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        atexit.register(self.remove)
        guard().remove(self.folder)
        self._maker = os.getpid()
        self._run("initdb", "-D", self.data, "-U", "comity", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [programs() / program, *arguments], capture_output=True, text=True, check=False, cwd="/", **self._as
        )
        assert not done.returncode, done.stdout + done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in self._settings.items())
        with (self.folder / "said").open("ab") as said:
            self._server = subprocess.Popen(
                [programs() / "postgres", "-D", self.data, "-k", self.folder, *settings],
                stdout=said,
                stderr=said,
                cwd="/",
                start_new_session=True,
                **self._as,
            )
        guard().watch(self._server)
        await_server(self._answers, self._server, self.folder / "said")

    def _answers(self) -> bool:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(self.address()).close()
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server at once, as a crash would (SIGQUIT), or in order (SIGINT)."""
        if self._server.poll() is None:
            self._server.send_signal(how)
            self._server.wait()
            guard().release(self._server)

    def remove(self) -> None:
        """Stop the server and remove everything."""
        if os.getpid() == self._maker and self.folder.exists():
            self.stop()
            shutil.rmtree(self.folder)

    def address(self, schema: str = "public", role: str = "comity", *, through: Path | None = None) -> str:
        """The address of a log in this schema; *through* another socket, where a relay listens."""
        return f"postgresql://{role}@/postgres?host={through or self.folder}&options=-csearch_path%3D{schema}"

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the owner of everything; the rows of the last."""
        connection = psycopg2.connect(self.address())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def psql(self, script: Path, **variables: str) -> None:
        """Run a script as the owner of everything, as an operator does."""
        settings = itertools.chain.from_iterable(("-v", f"{name}={value}") for name, value in variables.items())
        done = subprocess.run(
            [programs() / "psql", "-X", "-q", "-d", self.address(), "-v", "ON_ERROR_STOP=1", *settings],
            input=script.read_text(encoding="utf-8"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr

    def schema(self) -> str:
        """A new schema, empty."""
        name = f"log_{os.getpid()}_{next(self._numbers)}"
        self.run(f"CREATE SCHEMA {name}")
        return name


class Relay:
    """
    Stands between a client and the server, and cuts the connection where it is told to.

    Args:
        cluster: where to.
        cut: is asked about each piece that a client sends; whether the server still gets it and the
            client never hears its answer.
    """

    def __init__(self, cluster: Cluster, folder: Path, cut: Callable[[bytes], bool]) -> None:
        self.folder = folder
        self._cluster = cluster
        self._cut = cut
        self._listening = socket.socket(socket.AF_UNIX)
        folder.mkdir(exist_ok=True)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._cluster.socket))
        deaf, done = threading.Event(), threading.Event()
        threading.Thread(target=self._answer, args=(server, client, deaf, done), daemon=True).start()
        with client, server, suppress(OSError):
            while piece := client.recv(1 << 16):
                if self._cut(piece):
                    # The server does what it was asked, and answers to nobody.
                    deaf.set()
                    server.sendall(piece)
                    done.wait()
                    client.shutdown(socket.SHUT_RDWR)
                    break
                server.sendall(piece)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(
        self, server: socket.socket, client: socket.socket, deaf: threading.Event, done: threading.Event
    ) -> None:
        with suppress(OSError):
            while piece := server.recv(1 << 16):
                if deaf.is_set():
                    break
                client.sendall(piece)
        done.set()

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()
        shutil.rmtree(self.folder)
