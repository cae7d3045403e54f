"""Publishing: signed one by one, signed in batches, and many publishers at once."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import OperationalError, PersistenceError

from bench import limits
from bench.ledgers import fresh, world
from bench.measure import Figure, Sizes, Watch, in_turns, median, ratio
from bench.workload import BATCH_SIZE, desks, statements
from ledger.ledger import Ledger, Limits, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.statement import Signed

PUBLISHERS = 64


def _submitted(items: Sequence[Signed], workers: int) -> float:
    """Statements per second from signed bytes to durable, sealed entries."""
    with fresh() as folder, Ledger.open(folder) as ledger:
        with Watch() as watch:
            answers = list(ledger.submit_many(items, workers=workers))
        assert all(getattr(answer, "accepted", False) for answer in answers)
    return len(items) / watch.seconds


def single_signed(sizes: Sizes) -> list[Figure]:
    items = statements(world(), sizes.statements)
    checks = limits.checks(items[:3000], world().keys())
    rates = in_turns(
        sizes.rounds,
        limit=lambda: limits.verify(checks),
        one_core=lambda: _submitted(items, 0),
        two_cores=lambda: _submitted(items, 1),
    )
    limit = median(rates["limit"])
    return [
        Figure(
            "single-signed",
            what,
            median(rates[name]),
            "statements/s",
            limit,
            "verifies/s, one core",
            ratio(rates[name], rates["limit"]),
            target=0.5,
            aim=0.8,
        )
        for name, what in (("one_core", "one process"), ("two_cores", "with one worker process"))
    ]


def batch_signed(sizes: Sizes) -> list[Figure]:
    items = statements(world(), sizes.batched, batch=BATCH_SIZE)
    with fresh() as folder, Ledger.open(folder) as ledger:
        list(ledger.submit_many(items, workers=0))
        stored = ledger.store.rows(150, len(items))
        rows = [(index + 1, stream, version, act, entry) for index, stream, version, act, entry in stored]
    group = Limits().group_size_max
    rates = in_turns(
        sizes.rounds,
        limit=lambda: limits.insert(rows, group),
        two_cores=lambda: _submitted(items, 1),
        one_core=lambda: _submitted(items, 0),
    )
    limit = median(rates["limit"])
    return [
        Figure(
            "batch-signed",
            what,
            median(rates[name]),
            "statements/s",
            limit,
            "raw inserts/s of the same entries",
            ratio(rates[name], rates["limit"]),
            judged="value",
            target=target,
            aim=aim,
        )
        for name, what, target, aim in (
            ("two_cores", "with one worker process", 6_000, 10_000),
            ("one_core", "one process", None, None),
        )
    ]


# --- many publishers at once ---------------------------------------------------------------------


class Paper(Aggregate):
    """The least that the library can save: one event with a payload."""

    TOPIC = "bench.publishing:Paper"

    class Created(Aggregate.Created):
        TOPIC = "bench.publishing:Paper.Created"
        payload: str

    def __init__(self, payload: str) -> None:
        self.payload = payload

    @staticmethod
    def create_id(**_: object) -> UUID:
        return uuid4()


class Papers(Application[UUID]):
    """An application of the library as it comes."""


def _all_at_once(works: Sequence[Callable[[], None]]) -> float:
    """Run each work in a thread of its own, all begun together; return the seconds until the last ended."""
    gate = threading.Barrier(len(works) + 1)
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- it is raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    gate.wait()
    with Watch() as watch:
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return watch.seconds


def _published(queues: Sequence[Sequence[Signed]]) -> float:
    with fresh() as folder, Ledger.open(folder) as ledger:

        def work(items: Sequence[Signed]) -> None:
            for item in items:
                receipt = ledger.submit(item)
                assert isinstance(receipt, Receipt), receipt
                assert receipt.accepted, receipt
                assert receipt.proof

        seconds = _all_at_once([partial(work, items) for items in queues])
    return sum(map(len, queues)) / seconds


def _saved(each: int, payload: str, retried: list[int]) -> float:
    """The library: as many threads, one new aggregate a save, each retried until it is saved."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        app = Papers(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(Path(folder) / "papers.db"),
                "SQLITE_LOCK_TIMEOUT": "60",
            }
        )

        def work() -> None:
            for _ in range(each):
                paper = Paper(payload)
                while True:
                    try:
                        app.save(paper)
                        break
                    except (OperationalError, PersistenceError):
                        retried[0] += 1
                        paper = Paper(payload)

        seconds = _all_at_once([work] * PUBLISHERS)
        app.close()
    return PUBLISHERS * each / seconds


def _slowest(queues: Sequence[Sequence[Signed]], rate: float, times: list[float]) -> tuple[float, float]:
    """
    Publish at *rate* whether or not earlier answers have come; return the slowest answer in ms.

    The second figure leaves out the first second after the ledger was opened.

    An answer is timed from the instant at which its statement was due, not from when it was sent.
    """
    with fresh() as folder, Ledger.open(folder) as ledger:
        begin = time.perf_counter() + 0.2
        waits: list[tuple[float, float]] = []

        def work(place: int, items: Sequence[Signed]) -> None:
            for number, item in enumerate(items):
                due = begin + (number * len(queues) + place) / rate
                pause = due - time.perf_counter()
                if pause > 0:
                    time.sleep(pause)
                receipt = ledger.submit(item)
                assert isinstance(receipt, Receipt), receipt
                assert receipt.proof
                waits.append((due, time.perf_counter() - due))

        _all_at_once([partial(work, place, items) for place, items in enumerate(queues)])
    times += [wait for _, wait in waits]
    settled = [wait for due, wait in waits if due > begin + 1] or [0.0]
    return max(wait for _, wait in waits) * 1000, max(settled) * 1000


def concurrent(sizes: Sizes) -> list[Figure]:
    queues = desks(world(), PUBLISHERS, sizes.each)
    mean = sum(len(item.statement) for queue in queues for item in queue) // (PUBLISHERS * sizes.each)
    payload = os.urandom(mean // 2).hex()
    retried = [0]
    rates = in_turns(
        sizes.rounds,
        library=lambda: _saved(sizes.each, payload, retried),
        ours=lambda: _published(queues),
    )
    ours, library = median(rates["ours"]), median(rates["library"])
    times: list[float] = []
    slowest = [_slowest(queues, ours / 2, times) for _ in range(sizes.rounds)]
    times.sort()
    return [
        Figure(
            "concurrent",
            f"{PUBLISHERS} publishers, with receipt and proof",
            ours,
            "statements/s",
            library,
            f"Application.save/s ({retried[0]} retried)",
            ratio(rates["ours"], rates["library"]),
            target=2,
        ),
        Figure(
            "concurrent",
            "slowest answer at half load (median of rounds)",
            median([first for first, _ in slowest]),
            "ms",
            times[len(times) // 2] * 1000,
            "ms, the median answer",
            None,
            judged="value",
            at_most=True,
            target=100,
        ),
        Figure(
            "concurrent",
            "the same, the first second left out",
            median([settled for _, settled in slowest]),
            "ms",
            times[int(len(times) * 0.99)] * 1000,
            "ms, the 99th percentile",
            None,
            judged="value",
            at_most=True,
        ),
    ]
