"""
The PostgreSQL store beside the library's own, in turns on one private cluster with fsync on.

``python -m bench.postgres [recorder] [publishing] [concurrent] [growth] [growth-far]``; the library's module for
PostgreSQL needs psycopg 3, which Comity does not: ``pip install 'psycopg[binary,pool]'`` first.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from psycopg2.extensions import parse_dsn

from bench.ledgers import world
from bench.measure import Watch, in_turns, median, ratio, say
from bench.publishing import Paper, Papers, _all_at_once
from bench.workload import desks, statements
from ledger.ledger import BATCH_SIZE, Ledger
from ledger.log.tree import Frontier, stored_count
from ledger.store import Row
from ledger.store.postgres import PostgresStore
from ledger.store.postgres.recorder import Datastore, EntryRecorder
from ledger.verify import leaf_hash
from tests.cluster import Cluster

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from ledger.statement import Signed

ROUNDS = 5


@cache
def cluster() -> Cluster:
    return Cluster(fsync="on", full_page_writes="on", shared_buffers="512MB", max_wal_size="4GB")


def settings(schema: str, *, connections: int = 80) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": "postgres",
        "POSTGRES_HOST": parse_dsn(cluster().address())["host"],
        "POSTGRES_USER": "comity",
        "POSTGRES_PASSWORD": "",
        "POSTGRES_SCHEMA": schema,
        "POSTGRES_POOL_SIZE": str(min(20, connections)),
        "POSTGRES_MAX_OVERFLOW": str(max(0, connections - 20)),
        "POSTGRES_GET_PASSWORD_TOPIC": "bench.postgres:no_password",
    }


def library(schema: str) -> Papers:
    return Papers(env=settings(schema))


def no_password() -> str:
    return ""


@contextmanager
def fresh() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "ledger"
        world().found(path, cluster().address(cluster().schema()))
        with Ledger.open(path) as ledger:
            yield ledger


def shown(what: str, rates: dict[str, list[float]], target: float) -> None:
    ours, theirs = median(rates["ours"]), median(rates["library"])
    times = ratio(rates["ours"], rates["library"])
    say(f"{what:<48} {ours:>9,.0f}/s  library {theirs:>8,.0f}/s  {times:5.2f}x  (at least {target}x)")


def recorder() -> None:
    state = os.urandom(250)

    def events(size: int) -> list[StoredEvent]:
        return [StoredEvent(uuid4(), 1, "bench:Paper.Created", state) for _ in range(size)]

    def inserted(made: Any, size: int) -> float:
        many = [events(size) for _ in range(max(1, 10_000 // size))]
        with Watch() as watch:
            for one in many:
                made.insert_events(one)
        return len(many) * size / watch.seconds

    with (
        closing(library(cluster().schema())) as app,
        closing(Datastore(cluster().address(cluster().schema()))) as datastore,
    ):
        mine = EntryRecorder(datastore)
        mine.create_table()
        # The library's own hangs in the pipeline of its driver from some thousand events on.
        rates = in_turns(ROUNDS, library=lambda: inserted(app.recorder, 1_000), ours=lambda: inserted(mine, 1_000))
        shown("recorder, batches of 1,000", rates, 2.5)


def publishing() -> None:
    items = statements(world(), 10_000, batch=BATCH_SIZE)
    payload = os.urandom(120).hex()

    def saved() -> float:
        with closing(library(cluster().schema())) as app:
            papers = [[Paper(payload) for _ in range(500)] for _ in range(10)]
            with Watch() as watch:
                for many in papers:
                    app.save(*many)
            return 5_000 / watch.seconds

    def published(workers: int) -> float:
        with fresh() as ledger, Watch() as watch:
            for answer in ledger.submit_many(items, workers=workers):
                assert getattr(answer, "accepted", False), answer
        return len(items) / watch.seconds

    rates = in_turns(3, library=saved, ours=lambda: published(1), alone=lambda: published(0))
    shown("batch-signed publish, against bulk save of 500", rates, 0.6)
    shown("the same without a worker process", {"ours": rates["alone"], "library": rates["library"]}, 0.6)


def concurrent() -> None:
    for publishers, each in ((64, 40), (16, 200)):
        _at_once(publishers, each)


def _at_once(publishers: int, each: int) -> None:
    queues = desks(world(), publishers, each)
    payload = os.urandom(120).hex()
    waits: dict[str, list[float]] = {"ours": [], "library": [], "processes": []}

    def ours() -> float:
        with fresh() as ledger:

            def work(items: Sequence[Signed]) -> None:
                for item in items:
                    with Watch() as watch:
                        assert getattr(ledger.submit(item), "accepted", False)
                    waits["ours"].append(watch.seconds)

            return publishers * each / _all_at_once([partial(work, items) for items in queues])

    def theirs() -> float:
        share = max(1, each // 4)
        with closing(library(cluster().schema())) as app:

            def work() -> None:
                for _ in range(share):
                    with Watch() as watch:
                        app.save(Paper(payload))
                    waits["library"].append(watch.seconds)

            return publishers * share / _all_at_once([work] * publishers)

    def processes() -> float:
        schema, share = cluster().schema(), max(1, each // 4)
        library(schema).close()  # makes the tables
        spawn = multiprocessing.get_context("spawn")
        with spawn.Manager() as manager, ProcessPoolExecutor(publishers, spawn) as pool:
            given = (
                {**settings(schema, connections=2), "CREATE_TABLE": "no"},
                payload,
                share,
                manager.Barrier(publishers),
            )
            taken = list(pool.map(_saved, *zip(*[given] * publishers, strict=True)))
        waits["processes"] += [seconds for times in taken for seconds in times]
        return publishers * share / max(map(sum, taken))

    # The published figures are of processes, which wait for each other in the database.
    works = {"library": theirs, "ours": ours, **({"processes": processes} if publishers == 16 else {})}
    rates = in_turns(3, **works)
    shown(f"{publishers} publishers at once", rates, 5)
    if publishers == 16:
        shown("the same, the library in a process each", {**rates, "library": rates["processes"]}, 5)
    slow, threads, *apart = (sorted(times)[len(times) * 99 // 100] * 1000 for times in waits.values() if times)
    for name, theirs_slow in zip(("threads", "processes"), (threads, *apart), strict=False):
        times = f"{slow / theirs_slow:.2f}x (at 16: at most 0.2x)"
        say(f"  p99 {slow:.1f} ms, library in {name} {theirs_slow:.1f} ms: {times}")


def _saved(given: dict[str, str], payload: str, count: int, gate: threading.Barrier) -> list[float]:
    """Save with the library in a process of its own, begun together with the others; seconds of each."""
    waits = []
    with closing(Papers(env=given)) as app:
        app.save(Paper(payload))  # it is connected
        gate.wait(300)
        for _ in range(count):
            with Watch() as watch:
                app.save(Paper(payload))
            waits.append(watch.seconds)
    return waits


class Filled:
    """A log of synthetic entries, and what one more group of them costs the store."""

    def __init__(self) -> None:
        self.store = PostgresStore(cluster().address(cluster().schema()))
        self._frontier = Frontier(0, [])
        self._entry = os.urandom(500)
        self._leaf = leaf_hash(self._entry)

    def fill(self, size: int) -> None:
        while self.store.size() < size:
            self.group(min(5_000, size - self.store.size()))

    def group(self, count: int) -> float:
        """Append so many entries; the seconds of the questions and the append, without the commit."""
        with self.store.writing() as writing:
            number = stored_count(writing.size)
            rows, nodes, things = [], [], list[bytes]()
            for index in range(writing.size, writing.size + count):
                # As on a working day: ids by time, ten acts of each thing, things at random places.
                thing = sha256(b"%d" % (index // 10)).digest()[:16]
                for node in self._frontier.append(self._leaf):
                    nodes.append((number, node))
                    number += 1
                identity, version = index.to_bytes(16, "big"), index % 10
                rows.append(Row(index, thing.hex(), version, "case.opened", self._entry, identity, thing, version))
                things.append(thing)
            begin = time.perf_counter()
            writing.known([row.statement_id for row in rows])
            writing.streams(things)
            writing.case_sizes(things)
            writing.append(rows, nodes, {b"key": index}, [self._leaf] * count, index)
            return time.perf_counter() - begin


def growth(*sizes: int) -> None:
    """
    The cost of a group as the log grows: groups of 64 and of 1,000 entries, beside a log of 10,000 in turns.

    A checkpoint of the server stands before the first of them, since nobody fills a log within a minute: what is
    measured is not the disk still writing that. So each page that a group touches first is written whole to the
    server's journal, as after any checkpoint; the ten groups that go before take some of these.
    """
    large = Filled()
    for size in sizes or (1_000_000,):
        with Watch() as watch:
            large.fill(size)
        say(f"  filled to {size:,} entries in {watch.seconds:.0f} s")
        small = Filled()
        small.fill(10_000)
        cluster().run("CHECKPOINT")
        for group in (64, 1_000):
            deque((one.group(group) for _ in range(10) for one in (small, large)), maxlen=0)
            found = in_turns(25, small=partial(small.group, group), large=partial(large.group, group))
            say(f"a group of {group:>5,} at    10,000 entries: {median(found['small']) * 1000:6.2f} ms")
            say(
                f"           at {size:>10,} entries: {median(found['large']) * 1000:6.2f} ms, "
                f"{ratio(found['large'], found['small']):.2f}x (at most 1.2x)"
            )
        small.store.close()
    large.store.close()


def growth_far() -> None:
    """As far as 10,000,000 entries: some ten minutes and 15 GB of disk."""
    growth(1_000_000, 10_000_000)


if __name__ == "__main__":
    for name in sys.argv[1:] or ["recorder", "publishing", "concurrent", "growth"]:
        {
            "recorder": recorder,
            "publishing": publishing,
            "concurrent": concurrent,
            "growth": growth,
            "growth-far": growth_far,
        }[name]()
