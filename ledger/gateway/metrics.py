"""What is counted, in the words of Prometheus; nothing here tells anybody apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one gateway."""

    def __init__(self, *, size: Callable[[], float], sealed: Callable[[], float], ready: Callable[[], float]) -> None:
        """Count; *size*, *sealed* and *ready* are asked whenever somebody scrapes."""
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "comity_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "comity_request_seconds", "From the first byte of a request until its answer is made.", ("route",),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self.statements = Counter(
            "comity_statements", "Statements answered: accepted, rejected, or the code of the refusal.", ("answer",),
            registry=self._registry,
        )  # fmt: skip
        self.connections = Gauge("comity_connections", "Connections open.", registry=self._registry)
        for name, said, asked in (
            ("comity_log_size", "Entries of the log.", size),
            ("comity_checkpoint_size", "Entries that the newest checkpoint covers.", sealed),
            ("comity_ready", "1 when the service is ready, else 0.", ready),
        ):
            Gauge(name, said, registry=self._registry).set_function(asked)

    def text(self) -> bytes:
        """Return everything, as Prometheus reads it."""
        return generate_latest(self._registry)
