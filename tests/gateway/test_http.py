"""No stranger can take more of the gateway than his share, whatever bytes he sends, and when."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.gateway.front import Front, Offer
from ledger.gateway.http import Bounds, Request, Response, Route, Server, problem
from tests.gateway.asking import HEAD, QUICK, everything, serving

if TYPE_CHECKING:
    from tests.gateway.asking import Gateway


def alive(gateway: Gateway) -> None:
    """Whoever asks in order is answered still."""
    assert b"live\n" == gateway.get("/livez")


def test_a_head_that_trickles_is_cut_off_at_its_deadline(gateway):
    """Slow loris: a byte now and then does not renew the time that the whole head has."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
        link.sendall(b"GET /")
        said = b""
        link.settimeout(0.02)
        while time.monotonic() - begun < 10:
            try:
                link.sendall(b"x")
                data = link.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            said += data
            if not data:
                break
    assert said.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 5
    alive(gateway)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        b"POST /statements HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_a_body_that_does_not_come_is_cut_off_at_its_deadline(gateway, head):
    """The connection is answered and closed, whatever length was promised."""
    assert gateway.raw(head).startswith(b"HTTP/1.1 408 ")
    alive(gateway)


def test_silence_is_not_kept(gateway):
    """A connection that asks for nothing, or for nothing more, is closed."""
    begun = time.monotonic()
    answered = gateway.raw(HEAD + b"\r\n")

    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"" == gateway.raw()
    assert time.monotonic() - begun < 5


def test_what_is_too_large_is_refused_before_it_is_read(town):
    """A head and a body, announced or not, beyond their bounds."""
    bounds = replace(QUICK, body_bytes_max=10_000, head_bytes_max=2_000, body_seconds=5, head_seconds=5)
    post = b"POST /statements HTTP/1.1\r\nHost: x\r\n"
    with serving(Front(town.ledger, Offer()), bounds) as gateway:
        assert b" 431 " in gateway.raw(HEAD + b"A: " + b"a" * 20_000)[:16]
        assert b" 413 " in gateway.raw(post + b"Content-Length: 10001\r\n\r\n")[:16]
        chunks = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        assert b" 413 " in gateway.raw(post + b"Transfer-Encoding: chunked\r\n\r\n", chunks * 8)[:16]
        assert b" 413 " in gateway.raw(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")[:16]
        alive(gateway)


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n\r\n\r\n",
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 500 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?" + b"&".join(b"a%d=1" % n for n in range(100)) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n Folded: y\r\nA b: c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_answered_or_closed(gateway, said):
    """Never a success, never a failure of ours, and the next one is served."""
    answer = gateway.raw(said, shut=True)

    assert not answer or answer[9:12] in {b"400", b"404", b"431", b"501", b"505"}
    alive(gateway)


@given(said=st.binary(max_size=300) | st.lists(st.sampled_from([HEAD, b"\r\n", b"Content-Length: 3\r\n", b"abc", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HEAD / HTTP/1.1\r\n", b"POST /statements HTTP/1.1\r\n"]), max_size=8).map(b"".join))  # fmt: skip  # noqa: E501
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_the_gateway_as_it_was(gateway, said):
    """Fuzzed: every answer is one of HTTP, none says that we failed, and the gateway lives."""
    answer = gateway.raw(said, shut=True)

    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert answer[9:12] not in {b"500", b"503"}
    alive(gateway)


def test_a_length_said_twice_smuggles_nothing(gateway):
    """A request with both framings is read one way, and the connection is not used again."""
    inner = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    said = gateway.raw(
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        % (5 + len(inner)) + inner
    )  # fmt: skip

    assert said.startswith(b"HTTP/1.1 400 ")
    assert 1 == said.count(b"HTTP/1.1 ")
    assert b"two lengths" in said


def test_requests_one_behind_the_other_are_answered_in_order(gateway):
    """Pipelining, HEAD, and 100-continue, as HTTP says."""
    two = gateway.raw(HEAD + b"\r\n" + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = gateway.raw(b"HEAD /checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    waits = gateway.raw(
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Connection: close\r\nExpect: 100-continue\r\n\r\n",
        b"{}",
    )

    assert 2 == two.count(b"HTTP/1.1 200 ")
    assert two.endswith(b"live\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length: 0" not in head
    assert waits.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 400 " in waits


def test_connections_beyond_their_number_are_told_so(town):
    """One address cannot keep everybody else out; those that go make room."""
    bounds = replace(QUICK, connections_per_address_max=3, idle_seconds=10)
    with serving(Front(town.ledger, Offer()), bounds) as gateway, ExitStack() as stack:
        for _ in range(3):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
            link.sendall(HEAD + b"\r\n")
            assert link.recv(1)
        assert gateway.raw(HEAD + b"\r\n").startswith(b"HTTP/1.1 503 ")
        stack.close()
        until = time.monotonic() + 10
        while not (said := gateway.raw(b"GET /livez HTTP/1.0\r\n\r\n")).endswith(b"live\n"):
            assert time.monotonic() < until, said


def test_bodies_are_held_within_a_sum_of_bytes():
    """Of those that are still coming, and of those whose work goes on though nobody waits for it any more."""
    service = Held()
    bounds = replace(QUICK, bodies_bytes_per_address_max=10_000, body_seconds=10, answer_seconds=0.1)
    begun = b"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + bytes(8_000)
    with serving(service, bounds) as gateway:

        def refused() -> bool:
            status, _, body = gateway.ask("POST", "/quick", bytes(5_000))
            assert status in {200, 503}, body
            return b"too many bytes" in body

        def wait(*, crowded: bool) -> None:
            until = time.monotonic() + 10
            while refused() != crowded:
                assert time.monotonic() < until

        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
            link.sendall(begun)
            wait(crowded=True)
        wait(crowded=False)
        assert b"the answer takes too long" in gateway.ask("POST", "/held", bytes(8_000))[2]
        assert refused()
        service.go.set()
        wait(crowded=False)
        assert not gateway.server._bodies


def test_a_rate_is_kept_for_each_address(town):
    """Beyond what it may at once, an address waits for its rate, and is told how long."""
    now = [0.0]
    bounds = Bounds(requests_per_second=2, requests_at_once=3)
    server = Server(Front(town.ledger, Offer()), bounds, clock=lambda: now[0])

    def spend(address: str) -> Response | None:
        try:
            server._spend(address)
        except Exception as refused:  # noqa: BLE001 -- the refusal is what is looked at
            response: Response = refused.response  # type: ignore[attr-defined]  # carries an answer
            return response
        return None

    assert [None] * 3 == [spend("a") for _ in range(3)]
    refused = spend("a")
    assert refused is not None
    assert (429, ("Retry-After", "1")) == (refused.status, refused.headers[-1])
    assert spend("b") is None
    now[0] += 0.5
    assert spend("a") is None
    assert spend("a") is not None


class Held:
    """A service whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.said: list[int] = []

    def route(self, method: str, path: str) -> Route:
        """Wait at /held, fail at /fails, answer much at /much, else at once."""
        return Route(path, {"/held": self._held, "/fails": self._fails, "/much": self._much}.get(path, self._quick))

    def _held(self, _: Request) -> Response:
        self.asked.set()
        self.go.wait(20)
        return Response(200, b"held\n")

    def _fails(self, _: Request) -> Response:
        raise ZeroDivisionError

    def _much(self, _: Request) -> Response:
        return Response(200, bytes(64_000_000))

    def _quick(self, _: Request) -> Response:
        return Response(200, b"quick\n")

    def failed(self, error: Exception) -> Response:
        """Say that it failed."""
        return problem(503, type(error).__name__)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note it."""
        self.said.append(status)

    def connected(self, number: int) -> None:
        """Ignore it."""


def test_whoever_waits_too_long_is_told_that_repeating_is_harmless():
    """A handler that hangs keeps its thread, and nobody else's answer."""
    service = Held()
    with serving(service, replace(QUICK, answer_seconds=0.1)) as gateway:
        status, _, body = gateway.ask("GET", "/held")
        assert (503, True) == (status, b"harmless" in body)
        assert b"quick\n" == gateway.get("/quick")
        assert 503 == gateway.ask("GET", "/fails")[0]
        service.go.set()


def test_whoever_does_not_take_his_answer_is_cut_off():
    """An answer that nobody reads is not held for ever."""
    with serving(Held()) as gateway, socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
        link.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(1)
        until = time.monotonic() + 10
        while any(one.busy for one in gateway.server._links):
            assert b"quick\n" == gateway.get("/quick")
            assert time.monotonic() < until
        assert len(everything(link)) < 64_000_000


def test_stopping_lets_those_who_asked_have_their_answers():
    """What was asked is answered; what idles is closed; nobody new is taken."""
    service = Held()
    with serving(service, replace(QUICK, idle_seconds=20, head_seconds=20)) as gateway:
        answers: list[bytes] = []
        idle = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        asking = threading.Thread(target=lambda: answers.append(gateway.get("/held")))
        asking.start()
        assert service.asked.wait(10)
        stopping = asyncio.run_coroutine_threadsafe(gateway.server.stop(10), gateway.loop)
        with idle:
            assert b"" == everything(idle)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", gateway.port), timeout=20).close()
        service.go.set()
        assert stopping.result(20)
        asking.join()
    assert [b"held\n"] == answers


def test_stopping_does_not_wait_for_ever():
    """Whoever takes longer than he may goes without, and that is said."""
    service = Held()
    with serving(service) as gateway:
        asking = threading.Thread(target=lambda: gateway.raw(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"))
        asking.start()
        assert service.asked.wait(10)
        assert not asyncio.run_coroutine_threadsafe(gateway.server.stop(0.05), gateway.loop).result(20)
        service.go.set()
        asking.join()
