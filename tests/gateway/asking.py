"""A gateway that answers at a port of this machine, and whoever asks it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.gateway.http import Bounds, Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from ledger.gateway.http import Service
    from ledger.statement import Signed

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "a token of thirty-two letters...."
MIRRORS = {sha256(TOKEN.encode()).hexdigest(): "oversight"}
QUICK = Bounds(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.3, requests_per_second=0)
HEAD = b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n"


@dataclass
class Gateway:
    """A gateway that answers at a port of this machine."""

    port: int
    service: Any
    server: Server
    loop: asyncio.AbstractEventLoop

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask once; status, headers with names in small letters, body."""
        return asked(f"127.0.0.1:{self.port}", method, path, body, **headers)

    def get(self, path: str, **headers: str) -> bytes:
        """What is at this path; it must be there."""
        status, _, body = self.ask("GET", path, None, **headers)
        assert 200 == status, body
        return body

    def json(self, path: str) -> Any:
        """The same as JSON."""
        return json.loads(self.get(path))

    def publish(self, value: Any) -> tuple[int, Any]:
        """Publish what a client would send; status and answer."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, answer = self.ask("POST", "/statements", body, Content_Type="application/json")
        return status, json.loads(answer)

    def raw(self, *parts: bytes, shut: bool = False) -> bytes:
        """Send bytes as they are, and read until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as link:
            for part in parts:
                link.sendall(part)
            if shut:
                link.shutdown(socket.SHUT_WR)
            return everything(link)


def asked(
    where: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask once at ``host:port``; status, headers with names in small letters, body."""
    link = http.client.HTTPConnection(where, timeout=20)
    try:
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


def everything(link: socket.socket) -> bytes:
    """What comes until the other side closes."""
    said = b""
    try:
        while data := link.recv(1 << 16):
            said += data
    except ConnectionResetError:
        pass
    return said


@contextmanager
def serving(service: Service, bounds: Bounds = QUICK, tls: ssl.SSLContext | None = None) -> Iterator[Gateway]:
    """A server of this service in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = Server(service, bounds)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(server.listen("127.0.0.1", 0, tls), loop).result(10)
        yield Gateway(port, service, server, loop)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(5), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def process(arguments: Sequence[str | Path], **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command as a process, with variables of its environment, and the address that it says it answers at."""
    run = subprocess.Popen(
        [sys.executable, "-m", "ledger.cli", *arguments],
        cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert run.stderr is not None
        line = ""
        while " at http" not in line:
            line = run.stderr.readline()
            assert line, "it ended before it answered"
        yield run, line.rpartition(" ")[2].strip()
    finally:
        run.kill()
        run.wait()


def sent(signed: Signed) -> dict[str, Any]:
    """A signed statement as a client sends it."""
    batch = signed.batch
    return {
        "statement": base64.b64encode(signed.statement).decode(),
        "signature": base64.b64encode(signed.signature).decode(),
        "batch": None
        if batch is None
        else {
            "size": batch.size,
            "index": batch.index,
            "path": [base64.b64encode(one).decode() for one in batch.path],
        },
    }
