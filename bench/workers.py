"""
Shared projections beside the library's own runner, in turns on one private PostgreSQL cluster.

``python -m bench.workers [catching-up] [dividing] [latency]``; the library's module for PostgreSQL needs psycopg 3,
which Comity does not: ``pip install 'psycopg[binary,pool]'`` first. `dividing` and `latency` need nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ledgers import filled, world
from bench.measure import Watch, in_turns, median, ratio, say
from bench.postgres import cluster, library
from bench.publishing import Paper, Papers
from bench.workload import statements
from ledger.acts import catalogue
from ledger.ledger import Ledger, Receipt
from ledger.store import open_store
from projections.filling import PROJECTIONS, batches, decode, rows_of
from projections.shared import Shared, Unit, ahead, tables, units_of
from projections.shared.database import Database
from projections.workers import Alone, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE = 20_000
FAR = 100_000
PAPERS = 1_000


def _shared(address: str, store: Any) -> Shared:
    return Shared(store, catalogue(), address)


def catching_up() -> None:
    """
    From an empty database to the end of the log: every projection, by one process and its helpers.

    Beside it the library's runner, on the same database, with entries of the same log: once making the same rows,
    each entry in its transaction, as that runner works; once only counting, which is the least it can do.
    """
    from eventsourcing.postgres import PostgresTrackingRecorder  # noqa: PLC0415 -- needs another driver
    from eventsourcing.projection import Projection, ProjectionRunner  # noqa: PLC0415 -- needs another driver

    store = open_store(filled(FAR) / "ledger.db", read_only=True)
    facts = [decode(catalogue(), batch) for batch in batches(store, 0, SIZE)]
    made = [[(p, rows_of(p, batch)) for p in PROJECTIONS] for batch in facts]

    def ours() -> float:
        with _shared(cluster().address(cluster().schema()), store) as shared, Watch() as watch:
            size = shared.catch_up()
        return size / watch.seconds

    def one() -> float:
        with _shared(cluster().address(cluster().schema()), store) as shared:
            held = shared.take({Unit("deadlines", number) for number in range(shared.partitions)})
            with Watch() as watch:
                shared.settle(held, forced=True)
        return store.size() / watch.seconds

    def built() -> float:
        with _shared(cluster().address(cluster().schema()), store) as shared, Watch() as watch:
            size = shared.rebuild(workers=2)
        return size / watch.seconds

    def raw() -> float:
        """Rows made already, copied in the same batches into tables with the same keys; nothing else."""
        with closing(Database(cluster().address(cluster().schema()))) as database:
            with database.transaction() as cursor:
                for p in PROJECTIONS:
                    tables.create(cursor, 0, p)
                    tables.index(cursor, 0, p)
            with Watch() as watch:
                for batch in made:
                    lines = tables.Lines()
                    with database.transaction() as cursor:
                        for p, rows in batch:
                            tables.copy(cursor, 0, p, rows, lines)
        return SIZE / watch.seconds

    class View(PostgresTrackingRecorder):
        """What a projection of the library writes to: the rows that an entry makes, and its tracking with them."""

        def put(self, index: int, entry: bytes, projections: Sequence[Any], tracking: Any) -> None:
            facts = decode(catalogue(), [(index, entry)])
            with self.datastore.transaction(commit=True) as cursor:
                self._insert_tracking(cursor, tracking)
                for p in projections:
                    for name, rows in rows_of(p, facts).items():
                        for row in rows:
                            marks = ", ".join(["%s"] * len(row))
                            table = f"{self.datastore.schema}.{tables.physical(0, p.NAME, name)}"
                            cursor.execute(
                                f"INSERT INTO {table} VALUES ({marks})",  # noqa: S608 -- names of our own
                                [int(value) if isinstance(value, bool) else value for value in row],
                            )

    class Same(Projection[Any]):
        """All seven projections of the same entries, as one projection of the library."""

        name = "same"
        which = PROJECTIONS

        def process_event(self, domain_event: Any, tracking: Any) -> None:
            entry = bytes.fromhex(domain_event.payload)
            self.view.put(tracking.notification_id, entry, self.which, tracking)

    class SameOne(Same):
        """One of them."""

        which = tuple(p for p in PROJECTIONS if p.NAME == "deadlines")

    class Count(Projection[Any]):
        """One row of tracking for each event: the least that a projection of the library does."""

        name = "count"

        def process_event(self, domain_event: object, tracking: Any) -> None:
            del domain_event
            self.view.insert_tracking(tracking)

    entries = [entry.hex() for _, entry in store.entries(store.size() - PAPERS, PAPERS)]

    def theirs(projection: type[Any]) -> float:
        schema = cluster().schema()
        with closing(Database(cluster().address(schema))) as database, database.transaction() as cursor:
            for p in PROJECTIONS:
                tables.create(cursor, 0, p)
                tables.index(cursor, 0, p)
        with closing(library(schema)) as app:
            for start in range(0, PAPERS, 100):
                app.save(*map(Paper, entries[start : start + 100]))
            env = dict(app.env)
        with Watch() as watch:
            runner = ProjectionRunner(application_class=Papers, projection_class=projection, view_class=View, env=env)
            with runner:
                runner.view.wait("Papers", PAPERS, timeout=60)
        return PAPERS / watch.seconds

    rates = in_turns(
        3,
        counting=lambda: theirs(Count),
        same=lambda: theirs(Same),
        same_one=lambda: theirs(SameOne),
        ours=ours,
        one=one,
        built=built,
        raw=raw,
    )
    for name, beside, what in (
        ("ours", "same", "seven projections, and the library's runner with the same rows"),
        ("one", "same_one", "one projection (deadlines), and the library's runner with the same rows"),
        ("built", "same", "seven built anew by two processes, and the library's runner with the same rows"),
        ("ours", "counting", "seven projections, and the library's runner that only counts"),
        ("one", "counting", "one projection (deadlines), and the library's runner that only counts"),
    ):
        times, here, there = ratio(rates[name], rates[beside]), median(rates[name]), median(rates[beside])
        say(f"{what}: {here:,.0f} to {there:,.0f} entries/s, {times:.1f}x (at least 40x)")
    say(f"  rows copied raw: {median(rates['raw']):,.0f}/s, {ratio(rates['ours'], rates['raw']):.2f}x (at least 0.4x)")


def _work(log_at: str, address: str, numbers: list[int], pipe: Any) -> None:
    ahead.WORTH_IT = sys.maxsize  # no helpers: what one worker does is what is divided
    with closing(open_store(log_at, read_only=True)) as store, _shared(address, store) as shared:
        held = shared.take(units_of(numbers))
        pipe.send("ready")
        pipe.recv()
        begin = time.perf_counter()
        shared.settle(held, forced=True)
        pipe.send(time.perf_counter() - begin)


def dividing() -> None:
    """
    The same log by one, two and four workers that share the partitions, on what cores there are.

    Beyond: each share is filled alone, one after another, its database with it; workers with cores of their own are
    as fast as the slowest of these. What that leaves out is what they wait for one database.
    """
    path = str(filled(SIZE) / "ledger.db")
    with closing(open_store(path, read_only=True)) as store:
        size = store.size()
    context = multiprocessing.get_context("spawn")

    def shares(count: int) -> list[list[int]]:
        return [list(range(12 * number // count, 12 * (number + 1) // count)) for number in range(count)]

    def run(given: list[list[int]]) -> list[float]:
        address = cluster().address(cluster().schema())
        with closing(open_store(path, read_only=True)) as store:
            _shared(address, store).close()
        crew = []
        for numbers in given:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(path, address, numbers, theirs))
            process.start()
            crew.append((process, ours))
        for _, pipe in crew:
            pipe.recv()
        for _, pipe in crew:
            pipe.send("go")
        spent = [pipe.recv() for _, pipe in crew]
        for process, _ in crew:
            process.join()
        return spent

    rates = in_turns(
        2,
        **{f"{count} at once on {os.cpu_count()} cores": partial(_slowest, run, shares(count)) for count in (1, 2, 4)},
        **{f"{count} alone in turns (simulated)": partial(_alone, run, shares(count)) for count in (2, 4, 8, 12)},
    )
    first = next(iter(rates.values()))
    for name, found in rates.items():
        say(f"workers, {name}: {size * median(found):,.0f} entries/s, {ratio(found, first):.2f}x one")


def _slowest(run: Callable[[list[list[int]]], list[float]], given: list[list[int]]) -> float:
    return 1 / max(run(given))


def _alone(run: Callable[[list[list[int]]], list[float]], given: list[list[int]]) -> float:
    return 1 / max(run([numbers])[0] for numbers in given)


def latency(rate: int = 500, seconds: int = 8) -> None:
    """From the answer to a publisher to the row that a reader sees, at a steady rate, followed without Kafka."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "ledger"
        address = cluster().address(cluster().schema())
        world().found(path, address)
        items = statements(world(), rate * seconds, batch=5)
        answered: dict[int, float] = {}
        seen: dict[int, float] = {}
        stop = threading.Event()
        with Ledger.open(path) as ledger:
            begin = ledger.store.size()
            store = open_store(ledger.store.address, read_only=True)
            shared = _shared(address, store)
            worker = Worker(shared, store, catalogue(), Alone(shared))
            working = threading.Thread(target=lambda: worker.run(stop.is_set))
            working.start()

            def look() -> None:
                with _shared(address, store) as other:
                    at = begin
                    while not stop.is_set():
                        reached, now = min(other.sizes().values()), time.perf_counter()
                        for index in range(at, reached):
                            seen[index] = now
                        at = max(at, reached)
                        time.sleep(0.001)

            looking = threading.Thread(target=look)
            looking.start()
            time.sleep(0.5)
            start = time.perf_counter()
            for number in range(0, len(items), 5):
                time.sleep(max(0.0, start + number / rate - time.perf_counter()))
                for answer in ledger.submit_many(items[number : number + 5], workers=0):
                    assert isinstance(answer, Receipt), answer
                    answered[answer.index] = time.perf_counter()
            time.sleep(1)
            stop.set()
            working.join()
            looking.join()
            shared.close()
        took = sorted(max(0.0, seen[index] - at) * 1000 for index, at in answered.items())
        done = len(items) / (max(answered.values()) - start)
        half, most = took[len(took) // 2], took[len(took) * 95 // 100]
        say(f"append to projected at {done:,.0f} statements/s: p50 {half:.1f} ms, p95 {most:.1f} ms (at most 20)")


if __name__ == "__main__":
    os.environ.setdefault("COMITY_LOG_LEVEL", "warning")
    for name in sys.argv[1:] or ["catching-up", "dividing", "latency"]:
        {"catching-up": catching_up, "dividing": dividing, "latency": latency}[name]()
