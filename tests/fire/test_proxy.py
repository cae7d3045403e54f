"""The proxy does to bytes what it is told; a fault that does not happen would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

import pytest

from tests.fire.proxy import SLOW_SECONDS, Proxy, named_at


@pytest.fixture
def echo():
    """A server that sends back what it gets, the port in which is its own address among it; and what it got."""
    listening = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def serve(one: socket.socket) -> None:
        with one, suppress(OSError):
            while piece := one.recv(1 << 16):
                got.append(piece)
                one.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                one, _ = listening.accept()
                threading.Thread(target=serve, args=(one,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1], got
    listening.close()


@pytest.fixture
def proxy(echo):
    with closing(Proxy(("127.0.0.1", echo[0]))) as made:
        yield made


def client(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def said(one: socket.socket, data: bytes) -> bytes:
    one.sendall(data)
    return one.recv(1 << 16)


def test_open_passes_and_renames_the_server(proxy, echo):
    """Bytes pass; where the server says its own address, clients read the proxy's."""
    proxy.renamed = {named_at("127.0.0.1", echo[0]): named_at("127.0.0.1", proxy.port)}
    with client(proxy) as one:
        assert b"hello" == said(one, b"hello")
        assert named_at("127.0.0.1", proxy.port) == said(one, named_at("127.0.0.1", echo[0]))


def test_slow_holds_each_piece(proxy):
    """There and back, each takes its moment."""
    proxy.set("slow")
    with client(proxy) as one:
        begun = time.monotonic()
        assert b"hello" == said(one, b"hello")
        assert time.monotonic() - begun >= 2 * SLOW_SECONDS


def test_dropped_swallows_and_deaf_swallows_only_the_answer(proxy, echo):
    """Nothing arrives, or all of it and the answer is lost; when it ends, the connections are reset."""
    for mode, arrives in (("dropped", []), ("deaf", [b"hello"])):
        with client(proxy) as one:
            assert b"first" == said(one, b"first")
            echo[1].clear()
            proxy.set(mode)
            one.settimeout(0.3)
            with pytest.raises(TimeoutError):
                said(one, b"hello")
            assert arrives == echo[1]
            one.settimeout(10)
            proxy.set("open")
            with pytest.raises(ConnectionResetError):
                said(one, b"again")


def test_closed_resets_those_there_and_those_to_come(proxy):
    """Until it is open again."""
    with client(proxy) as one:
        assert b"hello" == said(one, b"hello")
        proxy.set("closed")
        with pytest.raises(ConnectionResetError):
            said(one, b"hello")
    with pytest.raises(ConnectionResetError), client(proxy) as one:
        said(one, b"hello")
    proxy.set("open")
    with client(proxy) as one:
        assert b"hello" == said(one, b"hello")


def test_cut_resets_those_there_alone(proxy):
    """Whoever comes anew is served."""
    with client(proxy) as one:
        assert b"hello" == said(one, b"hello")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            said(one, b"hello")
    with client(proxy) as one:
        assert b"hello" == said(one, b"hello")
