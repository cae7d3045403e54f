"""
HTTP/1.1 from strangers: every connection is bounded in bytes, in time and in number.

h11 parses, to the letter and without a socket; asyncio holds the connections, so that one that says
nothing costs some kilobytes and no thread; handlers are plain functions and run in threads.

What a stranger can take from us at most (``Bounds``):

=================================== ==================================================
he                                  and then
=================================== ==================================================
opens many connections              answered 503 and closed, beyond a number for all and for his address; over TLS
                                    he is counted from the end of his handshake, which has a deadline
asks often                          answered 429, beyond a rate for his address
sends his head slowly, or too long  cut off at a deadline for the whole of it (408), or by size (431)
sends his body slowly, or too long  the same (408), or by size before it is read (413)
sends many bodies at once           answered 503, beyond the bytes of all bodies held, and of those of his address
keeps silent between requests       closed
does not take his answer            closed at a deadline
asks for what takes long            answered 503 at a deadline; the work goes on, and repeating is harmless
=================================== ==================================================
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, unquote

import h11
import structlog

from ledger.errors import Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

CHUNK: Final = 65_536
"""Bytes read from a connection at a time, and held for it besides the request itself."""

ADDRESSES_MAX: Final = 10_000
"""How many addresses are remembered with their rate; whoever is forgotten begins anew."""

LINGER_SECONDS: Final = 1.0
"""How long what a client still sends is read away after he was refused, so that he can read the refusal."""

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What strangers may take; see the section ``[gateway]`` of the configuration."""

    connections_max: int = 1_024
    connections_per_address_max: int = 256
    requests_per_second: float = 200.0
    requests_at_once: int = 400
    head_bytes_max: int = 16_384
    body_bytes_max: int = 8_000_000
    bodies_bytes_max: int = 128_000_000
    bodies_bytes_per_address_max: int = 32_000_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 60.0
    write_seconds: float = 60.0
    answer_seconds: float = 30.0
    publishing_max: int = 64
    reading_max: int = 8


@dataclass(frozen=True, slots=True)
class Request:
    """One request: method, decoded path, query, headers with names in small letters, body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, value: Any, status: int = 200, media_type: str = JSON, **headers: str) -> Response:
        """Return an answer in JSON; keyword arguments are headers, ``_`` for ``-``."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        return cls(status, body, media_type, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def problem(status: int, what: str, why: str = "", now: str = "", **headers: str) -> Response:
    """Return an error in three parts (RFC 9457): what happened, why, and what to do now."""
    return Response.json(
        {"title": what, "status": status, "detail": why, "now": now},
        status,
        PROBLEM,
        Cache_Control="no-store",
        **headers,
    )


def not_taken(method: str, allowed: str) -> Response:
    """Return the answer to a method that a path does not take; *allowed* names those that it does: ``GET, HEAD``."""
    return problem(405, f"{method} is not taken here", now=f"ask with {allowed}", Allow=allowed)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means: its name in logs and metrics, who answers, and whether it publishes or takes a body."""

    name: str
    answer: Callable[[Request], Response]
    publishes: bool = False
    takes_body: bool = False


class Service(Protocol):
    """What is served: finds who answers, and is told what was answered."""

    def route(self, method: str, path: str) -> Route:
        """Return who answers; an unknown path has a route too, whose answer says so."""

    def failed(self, error: Exception) -> Response:
        """Return the answer to a request whose handler raised this."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Take note of an answer."""

    def connected(self, number: int) -> None:
        """Take note of how many connections are open."""


class _Refused(Exception):  # noqa: N818 -- carries an answer
    def __init__(self, response: Response, route: str = "none") -> None:
        super().__init__(response.status)
        self.response = response
        self.route = route


@dataclass(slots=True)
class _Bucket:
    """How many requests an address may still make, and when that was reckoned."""

    left: float
    at: float


@dataclass(slots=True, eq=False)
class _Link:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    parser: h11.Connection
    busy: bool = False
    task: asyncio.Task[None] | None = field(default=None)


class Server:
    """Listens, and gives every request to a service; see the table of the module."""

    def __init__(self, service: Service, bounds: Bounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Serve *service* within *bounds*; *clock* gives seconds."""
        self._service = service
        self._bounds = bounds
        self._clock = clock
        self._links: set[_Link] = set()
        self._of_address: dict[str, int] = {}
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        # Bytes of bodies that have come and whose work is not over, by address.
        self._bodies: Counter[str] = Counter()
        # Whoever reads must not wait behind those who publish, and whoever asks for health behind neither.
        self._publishing = ThreadPoolExecutor(bounds.publishing_max, "publishing")
        self._reading = ThreadPoolExecutor(bounds.reading_max, "reading")
        self._published = 0
        self._read = 0
        self._leaving = False
        # Set whenever a connection has nothing under way any more.
        self._settled = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Begin to listen; return the port."""
        secured: dict[str, Any] = {}
        if tls is not None:
            secured = {"ssl": tls, "ssl_handshake_timeout": self._bounds.head_seconds, "ssl_shutdown_timeout": 1.0}
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK, backlog=1_024, **secured)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self, seconds: float) -> bool:
        """Take no more, let those who asked have their answers for so long; whether all had them."""
        self._leaving = True
        if self._server is not None:
            self._server.close()
        for link in self._links:
            if not link.busy:
                link.writer.transport.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(link.busy for link in self._links):
                    self._settled.clear()
                    await self._settled.wait()
        answered = not any(link.busy for link in self._links)
        tasks = [link.task for link in self._links if link.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._publishing.shutdown(wait=answered, cancel_futures=True)
        self._reading.shutdown(wait=False, cancel_futures=True)
        return answered

    # --- connections ---

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = _group(writer.get_extra_info("peername"))
        link = _Link(
            reader, writer, address, h11.Connection(h11.SERVER, max_incomplete_event_size=self._bounds.head_bytes_max)
        )
        link.task = asyncio.current_task()
        self._links.add(link)
        self._of_address[address] = self._of_address.get(address, 0) + 1
        self._service.connected(len(self._links))
        try:
            if (
                len(self._links) > self._bounds.connections_max
                or self._of_address[address] > self._bounds.connections_per_address_max
            ):
                await self._send(link, _crowded("too many connections are open"), close=True)
                return
            await self._converse(link)
        except (TimeoutError, OSError, h11.LocalProtocolError):
            # Whoever is gone, or too slow to take his answer, gets no other.
            writer.transport.abort()
        finally:
            self._links.discard(link)
            self._settled.set()
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]
            self._service.connected(len(self._links))
            with suppress(OSError):
                writer.close()

    async def _converse(self, link: _Link) -> None:
        """Answer one request after the other, until somebody has enough."""
        while True:
            parser = link.parser
            if not parser.trailing_data[0]:
                async with asyncio.timeout(self._bounds.idle_seconds):
                    data = await link.reader.read(CHUNK)
                parser.receive_data(data)
                if not data:
                    return
            link.busy = True
            begun = self._clock()
            method, route, response, refused = "-", "none", Response(500), False
            try:
                head = await self._head(link)
                if head is None:
                    return
                method = head.method.decode("ascii")
                route, response = await self._answer(link, head)
            except _Refused as error:
                route, response, refused = error.route, error.response, True
            except h11.RemoteProtocolError as error:
                hint = error.error_status_hint
                response, refused = problem(hint, "the request cannot be read", str(error)), True
            seconds = self._clock() - begun
            # Before the answer goes out: whoever has it finds himself counted.
            self._service.answered(route, method, response.status, seconds)
            _LOG.info(
                "request", route=route, method=method, status=response.status, bytes=len(response.body),
                ms=round(seconds * 1000, 1),
            )  # fmt: skip
            await self._send(link, response, close=refused or self._leaving, head_only=method == "HEAD")
            link.busy = False
            self._settled.set()
            if refused:
                await self._linger(link)
                return
            if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE or self._leaving:
                return
            parser.start_next_cycle()

    async def _head(self, link: _Link) -> h11.Request | None:
        """Return the next request's line and headers; None when the client has gone."""
        try:
            async with asyncio.timeout(self._bounds.head_seconds):
                event = await _next(link)
        except TimeoutError:
            raise _Refused(problem(408, "the head of the request did not come in time")) from None
        if not isinstance(event, h11.Request):
            return None
        self._spend(link.address)
        return event

    async def _answer(self, link: _Link, head: h11.Request) -> tuple[str, Response]:
        target, _, query = head.target.decode("ascii").partition("?")
        method = head.method.decode("ascii")
        if head.http_version not in {b"1.0", b"1.1"}:
            raise _Refused(problem(505, "this version of HTTP is not spoken here", now="speak HTTP/1.1"))
        try:
            path = unquote(target, errors="strict")
        except ValueError:
            raise _Refused(problem(400, "the path cannot be read")) from None
        route = self._service.route("GET" if method == "HEAD" else method, path)
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy before us may have read the other one: what it takes for a body would be a request here.
            raise _Refused(problem(400, "the body has two lengths", "Content-Length and Transfer-Encoding"), route.name)
        try:
            asked = dict(parse_qsl(query, max_num_fields=32, errors="strict"))
        except ValueError:
            raise _Refused(problem(400, "the query cannot be read"), route.name) from None
        body = await self._body(link, headers, route)
        request = Request(method, path, asked, headers, body)
        return route.name, await self._within(route, request, link.address)

    async def _body(self, link: _Link, headers: Mapping[str, str], route: Route) -> bytes:
        """Read the body to its end, whether anybody wants it or not: the next request comes after it."""
        most = self._bounds.body_bytes_max if route.takes_body else self._bounds.head_bytes_max
        too_large = _Refused(
            problem(413, "the body is too large", f"at most {most:,} bytes are taken here", "send less at a time"),
            route.name,
        )
        if int(headers.get("content-length", 0)) > most:
            raise too_large
        if link.parser.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            link.writer.write(link.parser.send(go_on) or b"")
        parts: list[bytes] = []
        size = 0
        whole = False
        try:
            async with asyncio.timeout(self._bounds.body_seconds):
                while isinstance(event := await _next(link), h11.Data):
                    size += len(event.data)
                    self._hold(link.address, len(event.data))
                    if size > most:
                        raise too_large
                    if self._holds_too_much(link.address):
                        raise _Refused(_crowded("too many bytes of requests are held"), route.name)
                    parts.append(bytes(event.data))
            if not isinstance(event, h11.EndOfMessage):
                raise ConnectionResetError
            whole = True
        except TimeoutError:
            raise _Refused(problem(408, "the body of the request did not come in time"), route.name) from None
        finally:
            if not whole:
                self._hold(link.address, -size)
        return b"".join(parts)

    def _hold(self, address: str, size: int) -> None:
        """Reckon bytes of a body to an address, or, below 0, let go of them."""
        self._bodies[address] += size
        if not self._bodies[address]:
            del self._bodies[address]

    def _holds_too_much(self, address: str) -> bool:
        return (
            self._bodies[address] > self._bounds.bodies_bytes_per_address_max
            or self._bodies.total() > self._bounds.bodies_bytes_max
        )

    async def _within(self, route: Route, request: Request, address: str) -> Response:
        """Let a thread answer, for so long at most; its body is held until the work is over."""
        bounds = self._bounds
        pool, under_way, most = (
            (self._publishing, self._published, bounds.publishing_max * 2)
            if route.publishes
            else (self._reading, self._read, bounds.reading_max * 32)
        )
        if under_way >= most:
            self._hold(address, -len(request.body))
            return _crowded("too many requests are under way")
        self._count(route, 1)
        work = asyncio.get_running_loop().run_in_executor(pool, route.answer, request)

        def over(done: asyncio.Future[Response]) -> None:
            self._count(route, -1)
            self._hold(address, -len(request.body))
            if not done.cancelled():
                done.exception()  # looked at, so that nobody complains where the client has gone

        work.add_done_callback(over)
        try:
            return await asyncio.wait_for(asyncio.shield(work), bounds.answer_seconds)
        except TimeoutError:
            return _crowded("the answer takes too long", "what was asked may still happen: repeating it is harmless")
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises, its client gets an answer
            if not isinstance(error, (Unavailable, ValueError)):
                _LOG.debug("failed", route=route.name, exc_info=error)
            return self._service.failed(error)

    def _count(self, route: Route, by: int) -> None:
        if route.publishes:
            self._published += by
        else:
            self._read += by

    def _spend(self, address: str) -> None:
        """Take a request from what this address may still make."""
        rate, most = self._bounds.requests_per_second, self._bounds.requests_at_once
        if not rate:
            return
        now = self._clock()
        bucket = self._buckets.pop(address, None) or _Bucket(most, now)
        bucket.left = min(most, bucket.left + (now - bucket.at) * rate)
        bucket.at = now
        self._buckets[address] = bucket
        while len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        if bucket.left < 1:
            wait = (1 - bucket.left) / rate
            raise _Refused(
                problem(
                    429, "too many requests come from this address", f"{rate:g} a second are taken",
                    "wait, and send many statements in one request", Retry_After=str(max(1, round(wait))),
                )
            )  # fmt: skip
        bucket.left -= 1

    async def _send(self, link: _Link, response: Response, *, close: bool, head_only: bool = False) -> None:
        parser, writer = link.parser, link.writer
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-type", response.media_type),
            ("content-length", str(len(response.body))),
            ("x-content-type-options", "nosniff"),
            *((name.lower(), value) for name, value in response.headers),
        ]
        if close:
            headers.append(("connection", "close"))
        if parser.our_state is h11.IDLE or parser.our_state is h11.SEND_RESPONSE:
            reason = HTTPStatus(response.status).phrase
            head = h11.Response(status_code=response.status, headers=headers, reason=reason.encode())
            writer.write(parser.send(head) or b"")
            if not head_only:
                writer.write(parser.send(h11.Data(data=response.body)) or b"")
            writer.write(parser.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(self._bounds.write_seconds):
            await writer.drain()

    async def _linger(self, link: _Link) -> None:
        """Read away what still comes: closing over unread bytes would take the answer from the client's hands."""
        with suppress(TimeoutError, OSError, RuntimeError):
            if link.writer.can_write_eof():
                link.writer.write_eof()
            async with asyncio.timeout(LINGER_SECONDS):
                left = 64 * CHUNK
                while left > 0 and (data := await link.reader.read(CHUNK)):
                    left -= len(data)


_LOG: Final = structlog.get_logger("comity.gateway")


async def _next(link: _Link) -> h11.Event:
    """Return the next event of a connection, reading as much as it needs."""
    while True:
        event = link.parser.next_event()
        if event is not h11.NEED_DATA:
            return event  # type: ignore[return-value]  # PAUSED cannot come: one request at a time is read
        link.parser.receive_data(await link.reader.read(CHUNK))


def _crowded(why: str, now: str = "try again in a moment") -> Response:
    return problem(503, "not now", why, now, Retry_After="1")


def _group(peer: Any) -> str:
    """Return whom a connection is reckoned to: an address, or the /64 of one in IPv6."""
    try:
        found = ipaddress.ip_address(peer[0].partition("%")[0])
    except (TypeError, ValueError, IndexError):
        return "local"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)
