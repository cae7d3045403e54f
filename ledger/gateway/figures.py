"""
What relay, ingest and projectors say of themselves, for Prometheus.

They wait for nobody's questions, so each may have an address for this one alone (``[metrics]``), off by default.
It is served as the gateway's is, by a thread of its own, and bounded more tightly: whoever asks too often is refused,
and holds up nothing but himself.

Figures are read when somebody scrapes, so that what lags is seen to lag while the service stands still. What cannot
be read then, because a database does not answer, is left out of the answer.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.errors import ComityError
from ledger.gateway.http import Bounds, Response, Route, Server, not_taken, problem
from ledger.gateway.metrics import MEDIA_TYPE
from ledger.gateway.running import listen
from ledger.log.checkpoint import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ledger.gateway.http import Request
    from ledger.kafka.ingest import Ingest
    from ledger.kafka.pulse import Pulse
    from ledger.kafka.relay import Relay
    from ledger.store import Store
    from projections.shared import Shared
    from projections.workers import Tally

    Read = Callable[[], Iterator[Metric]]

BOUNDS: Final = Bounds(
    connections_max=32,
    connections_per_address_max=16,
    requests_per_second=5.0,
    requests_at_once=20,
    head_bytes_max=8_192,
    body_bytes_max=1_000,
    bodies_bytes_max=32_000,
    bodies_bytes_per_address_max=16_000,
    head_seconds=5.0,
    body_seconds=5.0,
    idle_seconds=60.0,
    write_seconds=10.0,
    answer_seconds=8.0,
    publishing_max=1,
    reading_max=1,
)
"""Whoever scrapes comes a few times a minute, and wants a page of a few kilobytes within ten seconds."""

STOP_SECONDS: Final = 1.0


# ------------------------------------------------------------------------------------------ figures


def of_relay(relay: Relay, store: Store) -> Read:
    """Return what a relay of the log in *store* says."""

    def read() -> Iterator[Metric]:
        yield from _pulse(relay.pulse)
        yield _counter("comity_relay_messages", "Messages sent, marks not counted.", relay.sent)
        sizes = relay.sizes
        yield _gauge("comity_relay_size", "Entries of the log that the topic has been given.", sizes, "topic")
        sealed = _asked(lambda: size_of(store.checkpoint() or b""))
        lags = {} if sealed is None else {topic: max(0, sealed - size) for topic, size in sizes.items()}
        yield _gauge("comity_relay_lag", "Entries sealed that the topic has not been given yet.", lags, "topic")

    return read


def of_ingest(ingest: Ingest) -> Read:
    """Return what an ingest says."""

    def read() -> Iterator[Metric]:
        count = ingest.count
        yield from _pulse(ingest.pulse)
        answers = {
            "accepted": count.recorded - count.rejected,
            "rejected": count.rejected,
            "refused": count.refused,
            "set_aside": count.set_aside,
        }
        said = "Submissions answered; set aside are those that nobody could be answered for."
        yield _counter("comity_ingest_submissions", said, answers, "answer")
        yield _counter("comity_ingest_rounds", "Rounds in which there was something to do.", count.rounds)
        said = "Submissions of its partitions that had come and were not taken, when it last looked."
        yield _gauge("comity_ingest_lag", said, count.lag)

    return read


def of_projector(tally: Tally, shared: Shared, store: Store) -> Read:
    """Return what a projector says: of itself, and of the projections, which it fills with others."""

    def read() -> Iterator[Metric]:
        yield from _pulse(tally.pulse)
        yield _counter("comity_projector_entries", "Entries that this one applied.", tally.applied)
        yield _gauge("comity_projector_partitions", "Partitions that this one fills.", tally.partitions)
        yield _gauge("comity_projector_owed", "Entries of them that the log has and Kafka owes.", tally.owed)
        said = "1 while Kafka divides the work, 0 while one follows the log for all."
        yield _gauge("comity_projector_by_kafka", said, int(tally.by_kafka))
        sizes, size = _asked(shared.sizes) or {}, _asked(store.size)
        yield _gauge("comity_projection_size", "Entries applied, by all workers.", sizes, "projection")
        lags = {} if size is None else {name: max(0, size - applied) for name, applied in sizes.items()}
        yield _gauge("comity_projection_lag", "Entries of the log that are not applied.", lags, "projection")
        parked = _asked(shared.parked_sizes) or {}
        yield _gauge("comity_projection_parked", "Acts that could not be taken.", parked, "projection")

    return read


def _pulse(pulse: Pulse) -> Iterator[Metric]:
    said = "When the service last came round, with or without work, seconds since 1970."
    yield _gauge("comity_service_seen_timestamp_seconds", said, pulse.at)
    said = "How often it had to begin anew: connections lost, consumers that had fallen silent."
    yield _counter("comity_service_interruptions", said, pulse.interruptions)


def _gauge(name: str, said: str, values: float | Mapping[str, float], label: str = "") -> Metric:
    return _family(GaugeMetricFamily(name, said, labels=[label] if label else []), values)


def _counter(name: str, said: str, values: float | Mapping[str, float], label: str = "") -> Metric:
    return _family(CounterMetricFamily(name, said, labels=[label] if label else []), values)


def _family(family: GaugeMetricFamily | CounterMetricFamily, values: float | Mapping[str, float]) -> Metric:
    if isinstance(values, (int, float)):
        family.add_metric((), values)
    else:
        for label, value in values.items():
            family.add_metric((label,), value)
    return family


def _asked(question: Callable[[], Any]) -> Any:
    """Return an answer, or None where the store does not give one: its figures are missing, the others are not."""
    try:
        return question()
    except ComityError as error:
        _LOG.debug("figure_missing", what=error.what)
        return None


class _Figures(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        return self._read()


def text(read: Read) -> bytes:
    """Return figures as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(read))
    return generate_latest(registry)


# ----------------------------------------------------------------------------------------- listening


class _Service:
    """One path."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def route(self, method: str, path: str) -> Route:
        if path != "/metrics":
            return Route("none", lambda _: problem(404, "there is nothing here", now="GET /metrics"))
        if method != "GET":
            return Route("metrics", lambda _: not_taken(method, "GET, HEAD"))
        return Route("metrics", self._answer)

    def _answer(self, _: Request) -> Response:
        return Response(200, text(self._read), MEDIA_TYPE)

    def failed(self, error: Exception) -> Response:
        _LOG.error("unexpected", exc_info=error)
        return problem(503, "not now", "something went wrong here", "look at the log of the service")

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        del route, method, status, seconds

    def connected(self, number: int) -> None:
        del number


class Listener:
    """
    Answers ``/metrics`` from a thread of its own until it is closed; without an address, it does nothing.

    Args:
        where: ``host:port``, or empty.
        read: gives the figures.
        listening: is told the URL once it answers there.

    Raises:
        Unavailable: the address is taken.
        FormatError: it is none.
    """

    def __init__(self, where: str, read: Read, listening: Callable[[str], None] = lambda _: None) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        if not where:
            return
        begun: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(where, read, begun)), name="metrics", daemon=True
        )
        self._thread.start()
        try:
            url = begun.result()
        except BaseException:
            self._thread.join()
            raise
        listening(url)

    async def _serve(self, where: str, read: Read, begun: Future[str]) -> None:
        try:
            server = Server(_Service(read), BOUNDS)
            url = await listen(server, where)
        except BaseException as error:  # noqa: BLE001 -- it is raised in the thread that waits for it
            begun.set_exception(error)
            return
        self._loop = asyncio.get_running_loop()
        begun.set_result(url)
        await self._over.wait()
        await server.stop(STOP_SECONDS)

    def close(self) -> None:
        """Listen no more."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._loop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_LOG: Final = structlog.get_logger("comity.gateway")
