"""
The projections in PostgreSQL, shared by every gateway and filled by several workers.

================== ============================================================== ==================
table              a row is                                                       written
================== ============================================================== ==================
projection_set     a projection: which generation of its tables stands, and which moved by a swap
                   one stood before
projection_place   a partition of a projection: how far it is, and whose it is    with the rows
projection_parked  an act that a projection has not taken                         with the rows
p<N>_<name>_<table> the rows of generation N                                      once
================== ============================================================== ==================

**A projection is filled in one of two ways**, decided in ``ORDERED``: partition by partition, by whoever owns the
partition in the consumer group; or as one stream in the order of the log, where its answers join what different
cases say. Its one stream is "partition" -1.

**Positions move with the rows**, in one transaction. ``size``: every entry of the partition below it has been
applied once. ``whole``: as far as that was compared with the log; ``taken`` counts the entries applied since, so that
a hole or an exchange of two entries on the way is found by counting (``Shared.settle``).

**Fences.** Who takes a partition raises its epoch; each transaction of a worker reads, under the lock of the
rows that it moves, whether the epochs are still its own. So a worker that was stopped, or has lost a
partition, writes nothing more, however late it wakes. A swap raises every epoch too.

What is read is one snapshot: a reader sees the tables of one generation, as they were at one instant.
A power failure may take the last transactions, positions and rows together: they are applied again from the log.
"""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import psycopg2
import structlog

from ledger.errors import ComityError, Conflict, NotFound, Unavailable
from ledger.kafka import relay
from ledger.kafka.wire import place_of
from ledger.store import POSTGRES
from ledger.store.postgres.connections import Connections, meaning
from ledger.store.postgres.tables import escaped
from projections.facts import COLUMNS
from projections.filling import (
    PROJECTIONS,
    Differs,
    Digest,
    GapRefused,
    NotWhole,
    Parked,
    Parking,
    Progress,
    ProjectionFailed,
    Store,
    batches,
    decode,
    decoded,
    edition,
    parked_row,
    rows_of,
)
from projections.views import Views

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from psycopg2.extensions import connection as Connection  # noqa: N812 -- the driver writes its types small
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- as above

    from ledger.acts import Catalogue
    from projections.facts import Fact, Table

log: Final = structlog.get_logger("comity.projections")

ORDERED: Final[Mapping[str, str]] = {
    "roster": "designations are used by every case",
    "provenance": "an exhibit is handed over from case to case",
    "admissibility": "a ruling reaches what is derived in other cases",
    "deadlines": "the seat of an authority is enrolled in the ledger's own case",
    "findings": "conditions travel with an exhibit, and seats as above",
}
"""The projections that read the log as one stream, each with why; the others are filled by partition."""

WHOLE_LOG: Final = -1
"""The partition of a projection that reads the log as one stream."""

PARTITIONS: Final = 12
"""Of ``comity.entries``; it never changes."""

IDLE_MS: Final = 5_000
"""A worker that stops within a transaction is ended by the server after that, and what it locked is free."""

HEAD_SIZE: Final = len(COLUMNS)
"""With so many columns, those of ``facts.COLUMNS``, begin the tables that have them."""

CREATION_LOCK: Final = 0x636F6D7072
"""The advisory lock under which the tables are made."""

STAND_IN_LOCK: Final = 0x636F6D70
"""The advisory lock of the one worker that fills everything where there is no Kafka."""

_TYPES: Final = {"INTEGER": "bigint", "BLOB": "bytea", "TEXT": 'text COLLATE "C"'}

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS projection_set (
    name text PRIMARY KEY, generation bigint NOT NULL, edition text NOT NULL,
    previous bigint, previous_edition text, partitions integer NOT NULL
);
CREATE TABLE IF NOT EXISTS projection_place (
    generation bigint, name text, partition integer, epoch bigint NOT NULL, size bigint NOT NULL, whole bigint NOT NULL,
    taken bigint NOT NULL, next_offset bigint, PRIMARY KEY (generation, name, partition)
) WITH (fillfactor = 20);
CREATE TABLE IF NOT EXISTS projection_parked (
    generation bigint, name text, idx bigint, subject bytea NOT NULL, why text NOT NULL,
    PRIMARY KEY (generation, name, idx)
);
CREATE SEQUENCE IF NOT EXISTS projection_generation;
"""


class Unit(NamedTuple):
    """What one worker at a time fills: a partition of a projection, or the one stream of it (-1)."""

    name: str
    partition: int


@dataclass(frozen=True, slots=True)
class Place:
    """How far a unit is, as its row in ``projection_place`` says; *epoch* and *generation* are the fence."""

    generation: int
    epoch: int
    size: int
    whole: int
    taken: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """
    What one transaction does to a unit.

    Args:
        facts: in the order of the log; those below its size are ignored.
        offset: of the message that is read next; None leaves it.
        settled: the size up to which the facts are all that the log has; None where only Kafka says so.
        whole: up to here what was applied is what the log has.
    """

    facts: Sequence[Fact] = ()
    offset: int | None = None
    settled: int | None = None
    whole: int | None = None


class Fenced(Conflict):
    """Another worker took what this one was filling, or the tables were swapped: nothing was written."""

    def __init__(self, units: Iterable[Unit]) -> None:
        shown = ", ".join(f"{name} {partition}" for name, partition in sorted(units)[:8])
        super().__init__(f"another worker fills this now: {shown}", why="its epoch was raised")


def units_of(partitions: Iterable[int], count: int = PARTITIONS) -> set[Unit]:
    """
    Return what the owner of these partitions of ``comity.entries`` fills.

    The one-stream projections are dealt to the owners of partitions too, so that the group divides them.
    """
    owned = set(partitions)
    found = {Unit(p.NAME, number) for p in PROJECTIONS if p.NAME not in ORDERED for number in owned}
    # Spread out, since ranges of neighbouring partitions go to one worker.
    dealt = {name: (number * count) // len(ORDERED) for number, name in enumerate(ORDERED)}
    return found | {Unit(name, WHOLE_LOG) for name, number in dealt.items() if number in owned}


@lru_cache(maxsize=1 << 16)
def partition_of(case: bytes, count: int) -> int:
    """Return the partition of a case, as the relay chooses it; the last 65,536 are remembered."""
    return relay.partition_of(case, count)


def _physical(generation: int, name: str, table: str) -> str:
    return f"p{generation}_{name}_{table}"


class Shared:
    """
    The projections of one log in a PostgreSQL database; usually the one that holds the log.

    The front is that of ``projections.runner.Runner``; besides, what a worker needs.

    Args:
        store: the log.
        catalogue: the acts, to decode bodies with.
        address: ``postgresql://...``.
        partitions: of the topic ``comity.entries``.
    """

    def __init__(
        self, store: Store | None, catalogue: Catalogue | None, address: str, *, partitions: int = PARTITIONS
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self.address = address
        self.partitions = partitions
        self._own = Connections(
            address,
            prepare=f"SET synchronous_commit = off; SET idle_in_transaction_session_timeout = {IDLE_MS}",
        )
        self._standing_in: Connection | None = None
        self._ensure()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._own.close()
        self.stand_down()

    def stand_down(self) -> None:
        """Let another process stand in."""
        if self._standing_in is not None:
            self._standing_in.close()
            self._standing_in = None

    def stand_in(self) -> bool:
        """
        Whether this process is the one that fills every partition where Kafka divides nothing.

        The database holds that word as long as the process lives.
        """
        try:
            if self._standing_in is None or self._standing_in.closed:
                self._standing_in = self._own.connect()
            with self._standing_in.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                    " UNION ALL SELECT 1 WHERE pg_try_advisory_lock(%s, hashtext(current_schema())) LIMIT 1",
                    (STAND_IN_LOCK,),
                )
                return bool(cursor.fetchall())
        except psycopg2.Error as error:
            self._standing_in = None
            raise meaning(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        try:
            with self._own.lent() as one, one.cursor() as cursor:
                cursor.execute("BEGIN")
                yield cursor
                cursor.execute("COMMIT")
        except psycopg2.Error as error:
            raise meaning(error) from error

    # ------------------------------------------------------------------------------- the tables

    def _ensure(self) -> None:
        """Make the tables of each projection that has none."""
        with self._transaction() as cursor:
            cursor.execute("SELECT to_regclass('projection_parked')")
            if cursor.fetchall() == [(None,)]:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
                cursor.execute(_TABLES)
            cursor.execute("SELECT name, partitions FROM projection_set")
            there = dict(cursor.fetchall())
            if wrong := {count for count in there.values() if count != self.partitions}:
                raise Conflict(
                    f"the projections have {wrong.pop()} partitions, not {self.partitions}",
                    why="the number of partitions of comity.entries never changes",
                )
            if all(p.NAME in there for p in PROJECTIONS):
                return
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            cursor.execute("SELECT name FROM projection_set")
            named = {name for (name,) in cursor.fetchall()}
            generation = self._next_generation(cursor)
            for projection in PROJECTIONS:
                if projection.NAME not in named:
                    _create(cursor, generation, projection)
                    _index(cursor, generation, projection)
                    cursor.execute(
                        "INSERT INTO projection_set VALUES (%s, %s, %s, NULL, NULL, %s)",
                        (projection.NAME, generation, edition(projection), self.partitions),
                    )
                    self._open_places(cursor, generation, projection.NAME)

    @staticmethod
    def _next_generation(cursor: Cursor) -> int:
        cursor.execute("SELECT nextval('projection_generation')")
        return int(cursor.fetchall()[0][0])

    def _open_places(self, cursor: Cursor, generation: int, name: str, size: int = 0) -> None:
        numbers = [WHOLE_LOG] if name in ORDERED else list(range(self.partitions))
        cursor.execute(
            "INSERT INTO projection_place SELECT %s, %s, number, 1, %s, %s, 0, NULL FROM unnest(%s) AS number",
            (generation, name, size, size, numbers),
        )

    # ------------------------------------------------------------------------------- workers

    def take(self, units: Iterable[Unit]) -> dict[Unit, Place]:
        """
        Become the one that fills *units*: every earlier holder is fenced.

        Raises:
            Conflict: the tables are of another edition than this release makes.
        """
        wanted = sorted(set(units))
        if not wanted:
            return {}
        with self._transaction() as cursor:
            cursor.execute("SELECT name, edition FROM projection_set")
            _check_editions(cursor.fetchall())
            cursor.execute(
                "SELECT 1 FROM projection_place WHERE (name, partition) IN %s ORDER BY generation, name, partition"
                " FOR UPDATE",
                (tuple(wanted),),
            )
            cursor.execute(
                "UPDATE projection_place AS place SET epoch = epoch + 1 FROM projection_set AS stands"
                " WHERE stands.name = place.name AND stands.generation = place.generation"
                " AND (place.name, partition) IN %s"
                " RETURNING place.name, partition, place.generation, epoch, size, whole, taken, next_offset",
                (tuple(wanted),),
            )
            return {Unit(name, number): Place(*rest) for name, number, *rest in cursor.fetchall()}

    def apply(self, held: Mapping[Unit, Place], steps: Mapping[Unit, Step]) -> dict[Unit, Place]:
        """
        Do *steps* in one transaction; return where the units then are.

        Args:
            held: as `take` or the last `apply` gave it.
            steps: for some of these units.

        Raises:
            Fenced: one of them is another's; nothing was written.
            GapRefused: the first fact not passed of a one-stream projection is not the next.
            ProjectionFailed: too much would be parked.
            Unavailable: the database cannot do it now.
        """
        with self._transaction() as cursor:
            self._lock(cursor, held, steps)
            parked, lines = self._parked_streams(cursor), _Lines()
            after: dict[Unit, Place] = {}
            for name in dict.fromkeys(unit.name for unit in steps):
                mine = [(unit, step) for unit, step in steps.items() if unit.name == name]
                facts: list[Fact] = []
                for unit, step in mine:
                    fresh = self._fresh(unit, held[unit], step)
                    facts += fresh
                    after[unit] = _moved(held[unit], step, fresh)
                if facts:
                    if len(mine) > 1:
                        facts.sort(key=lambda fact: fact.index)
                    self._parking(cursor, held[mine[0][0]].generation, name, parked.get(name, []), lines).take(facts)
            _write_places(cursor, after)
        return {**held, **after}

    @staticmethod
    def _lock(cursor: Cursor, held: Mapping[Unit, Place], units: Iterable[Unit]) -> None:
        wanted = sorted((held[unit].generation, *unit) for unit in units)
        cursor.execute(
            "SELECT name, partition, epoch, size FROM projection_place WHERE (generation, name, partition) IN %s"
            " ORDER BY generation, name, partition FOR UPDATE",
            (tuple(wanted),),
        )
        found = {Unit(name, number): (epoch, size) for name, number, epoch, size in cursor.fetchall()}
        if lost := [unit for unit in units if found.get(unit) != (held[unit].epoch, held[unit].size)]:
            raise Fenced(lost)

    @staticmethod
    def _fresh(unit: Unit, place: Place, step: Step) -> list[Fact]:
        fresh = [fact for fact in step.facts if fact.index >= place.size]
        if unit.partition == WHOLE_LOG and fresh and fresh[0].index != place.size:
            raise GapRefused(unit.name, place.size, fresh[0].index)
        return fresh

    @staticmethod
    def _parked_streams(cursor: Cursor) -> dict[str, list[bytes]]:
        cursor.execute(
            "SELECT name, subject FROM projection_parked JOIN projection_set USING (name, generation)",
        )
        found: dict[str, list[bytes]] = {}
        for name, subject in cursor.fetchall():
            found.setdefault(name, []).append(subject)
        return found

    def _parking(
        self, cursor: Cursor, generation: int, name: str, streams: Sequence[bytes], lines: _Lines | None = None
    ) -> Parking:
        projection, lines = _projection(name), lines or _Lines()

        def put(rows: dict[str, list[tuple[object, ...]]]) -> None:
            cursor.execute("SAVEPOINT put")
            try:
                _copy(cursor, generation, projection, rows, lines)
            except Exception:
                cursor.execute("ROLLBACK TO put")
                raise
            cursor.execute("RELEASE put")

        def park(index: int, subject: bytes, why: str) -> None:
            cursor.execute(
                "INSERT INTO projection_parked VALUES (%s, %s, %s, %s, %s)",
                (generation, name, index, subject, why.replace("\0", "")),
            )
            log.warning("act_parked", projection=name, index=index, stream=subject.hex(), why=why or "waits")

        return Parking(
            projection,
            put,
            park,
            streams,
            len(streams),
            (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable),
        )

    def mend(self, held: Mapping[Unit, Place], unit: Unit, facts: Sequence[Fact], size: int) -> dict[Unit, Place]:
        """
        Apply once more what the log has of a partition from where it was last compared, below *size*.

        Rows of these entries are replaced: what Kafka brought twice, too late or never is then as in the log.
        """
        place = held[unit]
        indexes = [fact.index for fact in facts]
        with self._transaction() as cursor:
            self._lock(cursor, held, [unit])
            for table in _projection(unit.name).TABLES:
                cursor.execute(
                    f"DELETE FROM {_physical(place.generation, unit.name, table.name)} WHERE idx = ANY(%s)",
                    (indexes,),
                )
            cursor.execute(
                "DELETE FROM projection_parked WHERE generation = %s AND name = %s AND idx = ANY(%s)",
                (place.generation, unit.name, indexes),
            )
            streams = self._parked_streams(cursor).get(unit.name, [])
            self._parking(cursor, place.generation, unit.name, streams).take(facts)
            moved = Place(place.generation, place.epoch, size, size, 0, place.offset)
            _write_places(cursor, {unit: moved})
        log.warning("projection_mended", projection=unit.name, partition=unit.partition, entries=len(facts), size=size)
        return {**held, unit: moved}

    # ------------------------------------------------------------------------------- following

    def catch_up(self, tell: Callable[[Progress], None] | None = None) -> int:
        """
        Apply every entry not yet applied, from the log alone, without a worker; return the size reached.

        Workers are fenced and take their partitions back; so it is for logs without workers, and for tests.
        """
        held = self.take(units_of(range(self.partitions), self.partitions))
        return min(place.size for place in self.settle(held, forced=True, tell=tell)[0].values())

    def settle(
        self,
        held: Mapping[Unit, Place],
        *,
        forced: bool = False,
        ends: Mapping[int, int] | None = None,
        tell: Callable[[Progress], None] | None = None,
    ) -> tuple[dict[Unit, Place], dict[int, int]]:
        """
        Compare what was applied with the log; return where the units are, and what Kafka owes.

        What was applied since the last time is counted: where the log has more or fewer entries of a partition,
        they are applied once more. A partition of which the log has nothing new is moved on.

        Args:
            held: what is filled.
            forced: apply what Kafka owes from the log, and the one-stream projections with it.
            ends: for each partition the offset after its last message, read before this; kept with what is
                applied from the log, so that reading goes on there.
            tell: is told how far it is.

        Returns:
            Where the units are; and by partition, how many entries of it the log has that were not brought.
        """
        store, catalogue = self._source()
        held = self._verified(held, store, catalogue)
        size = store.size()
        if forced:
            start = min((place.size for place in held.values()), default=size)
            for facts in decoded(catalogue, batches(store, start, size)):
                end = facts[-1].index + 1
                held = self.follow(held, facts, end, ends if end == size else None)
                if tell is not None:
                    tell(Progress(end, size))
            return dict(held), {}
        filled = {unit: place for unit, place in held.items() if unit.partition != WHOLE_LOG and place.size < size}
        owed: dict[int, int] = {}
        lowest: dict[int, int] = {}
        for unit, place in filled.items():
            lowest[unit.partition] = min(place.size, lowest.get(unit.partition, size))
        for batch in batches(store, min(lowest.values(), default=size), size):
            for index, entry in batch:
                number = partition_of(place_of(entry).case, self.partitions)
                if index >= lowest.get(number, size):
                    owed[number] = owed.get(number, 0) + 1
        steps = {unit: Step(settled=size) for unit in filled if unit.partition not in owed}
        return (self.apply(held, steps) if steps else dict(held)), owed

    def _verified(self, held: Mapping[Unit, Place], store: Store, catalogue: Catalogue) -> dict[Unit, Place]:
        """Count what was applied since the last comparison against what the log has, and mend what is not that."""
        open_units = {unit: place for unit, place in held.items() if place.taken and unit.partition != WHOLE_LOG}
        if not open_units:
            return dict(held)
        start = min(place.whole for place in open_units.values())
        stop = max(place.size for place in open_units.values())
        there: dict[int, list[int]] = {}
        for batch in batches(store, start, stop):
            for index, entry in batch:
                there.setdefault(partition_of(place_of(entry).case, self.partitions), []).append(index)
        steps: dict[Unit, Step] = {}
        wrong: dict[Unit, list[int]] = {}
        for unit, place in open_units.items():
            expected = [index for index in there.get(unit.partition, []) if place.whole <= index < place.size]
            if len(expected) == place.taken:
                steps[unit] = Step(whole=place.size)
            else:
                wrong[unit] = expected
        held = self.apply(held, steps) if steps else dict(held)
        for unit, expected in wrong.items():
            facts = [fact for index in expected for fact in decode(catalogue, store.entries(index, 1))]
            held = self.mend(held, unit, facts, held[unit].size)
        return dict(held)

    def follow(
        self,
        held: Mapping[Unit, Place],
        facts: Sequence[Fact],
        size: int,
        offsets: Mapping[int, int] | None = None,
    ) -> dict[Unit, Place]:
        """
        Apply a contiguous piece of the log that ends before *size* to every unit of *held*.

        Args:
            held: what is filled.
            facts: all entries of the log from the smallest size in *held* to before *size*.
            size: where the piece ends.
            offsets: the message that each partition reads next.
        """
        shares: dict[int, list[Fact]] = {}
        for fact in facts:
            shares.setdefault(partition_of(fact.statement.case, self.partitions), []).append(fact)
        steps = {}
        for unit, place in held.items():
            # A partition that Kafka has brought further than this piece is compared later.
            if place.size <= size and (place.taken == 0 or unit.partition == WHOLE_LOG):
                mine = facts if unit.partition == WHOLE_LOG else shares.get(unit.partition, [])
                steps[unit] = Step(mine, (offsets or {}).get(unit.partition), size)
        return self.apply(held, steps) if steps else dict(held)

    def _source(self) -> tuple[Store, Catalogue]:
        if self._store is None or self._catalogue is None:
            raise ComityError("there is no log to read", what_now="open the projections with a store")
        return self._store, self._catalogue

    # ------------------------------------------------------------------------------- rebuilding

    def rebuild(
        self,
        workers: int = 2,
        tell: Callable[[Progress], None] | None = None,
        *,
        online: bool = False,
        accept: bool = False,
    ) -> int:
        """
        Build every projection anew beside what stands, and swap all in at once; return the size reached.

        Readers and workers go on meanwhile. What is appended meanwhile is applied before the swap, the last of it
        within the transaction that swaps. Ended at any point, it leaves what stood or what is new.

        Args:
            workers: processes, each of which copies a range of the log.
            tell: is told how far it is.
            online: compare what was built with what stands, and keep what stood for `rollback`.
            accept: swap in what is not the same, too.

        Raises:
            ProjectionFailed: naming the entry; what stood stays.
            Differs: what was built is not what stands, of the same entries; what stood stays.
            Conflict: another rebuild was faster.
        """
        store, _ = self._source()
        size = store.size()
        with self._transaction() as cursor:
            generation = self._next_generation(cursor)
            for projection in PROJECTIONS:
                _create(cursor, generation, projection)
        try:
            self._build(generation, size, workers, tell)
            with self._transaction() as cursor:
                for projection in PROJECTIONS:
                    _index(cursor, generation, projection)
            size = self._append(generation, size, store.size())
            if online and not accept:
                self._compare(generation, size)
            self._swap(generation, size, keep=online)
        except BaseException:
            self._drop_strays(generation)
            raise
        self._drop_strays()
        log.info("projections_rebuilt", generation=generation, size=size)
        return min(self.sizes().values())

    def _build(self, generation: int, size: int, workers: int, tell: Callable[[Progress], None] | None) -> None:
        workers = max(1, min(workers, size))
        bounds = [size * number // workers for number in range(workers + 1)]
        if workers == 1:
            store, catalogue = self._source()
            _fill(store, catalogue, self.address, generation, 0, size)
        else:
            address = str(getattr(self._store, "address", ""))
            piece = partial(_fill_in_process, address, self.address, generation)
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                for done in pool.map(piece, bounds, bounds[1:]):
                    if tell is not None:
                        tell(Progress(done, size))
        if tell is not None:
            tell(Progress(size, size))

    def _append(self, generation: int, start: int, stop: int, cursor: Cursor | None = None) -> int:
        """Bring what was built up to *stop*."""
        store, catalogue = self._source()
        for batch in batches(store, start, stop):
            facts = decode(catalogue, batch)
            if cursor is None:
                with self._transaction() as own:
                    _put_all(own, generation, facts)
            else:
                _put_all(cursor, generation, facts)
        return stop

    def _compare(self, generation: int, size: int) -> None:
        """Refuse what was built where it is not what stands; what has parked acts is what a rebuild is for."""
        with self._reading() as cursor:
            stands = _standing(cursor)
            editions = {p.NAME: edition(p) for p in PROJECTIONS}
            different, least = [], size
            for projection in PROJECTIONS:
                name = projection.NAME
                if stands[name].edition != editions[name] or _parked_count(cursor, stands[name].generation, name):
                    continue
                reached = min(size, stands[name].whole)
                here = _digest(cursor, generation, projection, reached)
                if here != _digest(cursor, stands[name].generation, projection, reached):
                    different.append(name)
                    least = min(least, reached)
        if different:
            raise Differs(different, least)

    def _swap(self, generation: int, size: int, *, keep: bool) -> None:
        store, _ = self._source()
        # What is left to do while workers wait is small.
        while store.size() - size > 500:
            size = self._append(generation, size, store.size())
        with self._transaction() as cursor:
            cursor.execute("SELECT generation FROM projection_set ORDER BY name FOR UPDATE")
            newest = [row[0] for row in cursor.fetchall()]
            if max(newest) > generation:
                raise Conflict("another rebuild was faster", what_now="use its answers")
            _fence(cursor)
            # Nobody writes now.
            size = self._append(generation, size, store.size(), cursor)
            for projection in PROJECTIONS:
                self._open_places(cursor, generation, projection.NAME, size)
            # Where Kafka was read last: what comes again from there is ignored.
            cursor.execute(
                "UPDATE projection_place AS new SET next_offset = old.next_offset, epoch = old.epoch"
                " FROM projection_place AS old JOIN projection_set USING (name, generation)"
                " WHERE new.generation = %s AND new.name = old.name AND new.partition = old.partition",
                (generation,),
            )
            for projection in PROJECTIONS:
                cursor.execute(
                    "UPDATE projection_set SET previous = CASE WHEN %s THEN generation END,"
                    " previous_edition = CASE WHEN %s THEN edition END, generation = %s, edition = %s WHERE name = %s",
                    (keep, keep, generation, edition(projection), projection.NAME),
                )

    def rollback(self) -> dict[str, int]:
        """
        Swap back what stood before the last online rebuild; return the size that each has reached.

        Workers go on from there. Rolling back once more swaps the newer ones in again.

        Raises:
            NotFound: nothing was kept.
            Conflict: what was kept was made by another edition of the tables.
        """
        with self._transaction() as cursor:
            cursor.execute("SELECT name, previous, previous_edition FROM projection_set ORDER BY name FOR UPDATE")
            kept = [(name, made_by) for name, previous, made_by in cursor.fetchall() if previous is not None]
            if not kept:
                raise NotFound("nothing was kept to go back to", what_now="`comity project rebuild --online` keeps it")
            _check_editions(kept)
            _fence(cursor)
            cursor.execute(
                "UPDATE projection_set SET generation = previous, edition = previous_edition,"
                " previous = generation, previous_edition = edition WHERE previous IS NOT NULL"
            )
            _fence(cursor)
        log.warning("projections_rolled_back", names=[name for name, _ in kept])
        return self.sizes()

    def _drop_strays(self, failed: int | None = None) -> None:
        """Drop the tables of generations that neither stand nor are kept; those still read stay until next time."""
        with self._reading() as cursor:
            cursor.execute("SELECT generation, previous FROM projection_set")
            kept = {number for row in cursor.fetchall() for number in row if number is not None}
            cursor.execute(
                r"SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname ~ '^p\d+_'"
            )
            tables = [(int(name[1:].split("_")[0]), name) for (name,) in cursor.fetchall()]
        for number, name in sorted(tables):
            # A generation above those that stand is being built by somebody else.
            if number not in kept and (number < max(kept) or number == failed):
                try:
                    with self._transaction() as cursor:
                        cursor.execute("SET LOCAL lock_timeout = '1s'")
                        cursor.execute(f'DROP TABLE IF EXISTS "{name}"')
                        cursor.execute("DELETE FROM projection_place WHERE generation = %s", (number,))
                        cursor.execute("DELETE FROM projection_parked WHERE generation = %s", (number,))
                except Unavailable as error:
                    log.info("projection_tables_in_use", table=name, why=error.why)

    # --------------------------------------------------------------------------------- answers

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        with self._transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield cursor

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied: all below that, in every partition."""
        with self._reading() as cursor:
            return {name: stands.size for name, stands in sorted(_standing(cursor).items())}

    def places(self) -> dict[Unit, Place]:
        """Return how far each unit is."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT name, partition, generation, epoch, size, whole, taken, next_offset"
                " FROM projection_place JOIN projection_set USING (name, generation)"
            )
            return {Unit(name, number): Place(*rest) for name, number, *rest in cursor.fetchall()}

    def digest(self, name: str, size: int | None = None) -> str:
        """
        Return the SHA-256, in hex, of what projection *name* derived from the first *size* entries.

        It is the one that a SQLite file of the same entries has. Cost: O(rows).

        Raises:
            ComityError: the projection has not come so far, or there is none of that name.
            NotWhole: some of these entries are parked.
        """
        with self._reading() as cursor:
            stands = _standing(cursor)
            if name not in stands:
                raise ComityError(f"there is no projection {name}", what_now=", ".join(stands))
            reached = stands[name].size
            if size is not None and size > reached:
                raise ComityError(f"projection {name} has applied {reached} entries, not {size}")
            below = reached if size is None else size
            if count := _parked_count(cursor, stands[name].generation, name, below):
                raise NotWhole(name, count)
            return _digest(cursor, stands[name].generation, _projection(name), below)

    def parked(self) -> list[Parked]:
        """Return every act that a projection has not taken, by projection and index."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT name, idx, subject, why FROM projection_parked"
                " JOIN projection_set USING (name, generation) ORDER BY name, idx"
            )
            return [parked_row(*row) for row in cursor.fetchall()]

    def retry(self) -> int:
        """
        Take what is parked once more, each projection in one transaction; return how much still is.

        What fails again is parked again, with the later acts of its stream. Workers wait meanwhile.
        """
        store, catalogue = self._source()
        for name in dict.fromkeys(one.projection for one in self.parked()):
            with self._transaction() as cursor:
                cursor.execute("SELECT generation FROM projection_set WHERE name = %s FOR SHARE", (name,))
                generation = cursor.fetchall()[0][0]
                cursor.execute(
                    "SELECT 1 FROM projection_place WHERE generation = %s AND name = %s ORDER BY partition FOR UPDATE",
                    (generation, name),
                )
                cursor.execute(
                    "DELETE FROM projection_parked WHERE generation = %s AND name = %s RETURNING idx",
                    (generation, name),
                )
                parking = self._parking(cursor, generation, name, [])
                for (index,) in sorted(cursor.fetchall()):
                    parking.take(decode(catalogue, store.entries(index, 1)))
        return len(self.parked())

    def views(self) -> Views:
        """Open the projections for reading."""
        return open_shared(self.address)


# ------------------------------------------------------------------------------------- rows


def _projection(name: str) -> Any:
    return next(projection for projection in PROJECTIONS if name == projection.NAME)


def _check_editions(found: Iterable[tuple[str, str]]) -> None:
    editions = {p.NAME: edition(p) for p in PROJECTIONS}
    if foreign := [name for name, made_by in found if editions.get(name) != made_by]:
        raise Conflict(
            f"{', '.join(foreign)} stands in tables of another release",
            what_now="build the tables of this one beside them: `comity project rebuild --online`",
        )


def _moved(place: Place, step: Step, fresh: Sequence[Fact]) -> Place:
    size = max(place.size, step.settled or 0, fresh[-1].index + 1 if fresh else 0)
    whole, taken = place.whole, place.taken + len(fresh)
    if step.settled is not None and place.taken == 0:
        # What was read is the log itself, from where it was last compared.
        whole, taken = size, 0
    elif step.whole is not None:
        whole, taken = step.whole, len(fresh)
    return Place(
        place.generation, place.epoch, size, whole, taken, place.offset if step.offset is None else step.offset
    )


def _write_places(cursor: Cursor, after: Mapping[Unit, Place]) -> None:
    if not after:
        return
    values = [
        (one.generation, unit.name, unit.partition, one.size, one.whole, one.taken, one.offset)
        for unit, one in after.items()
    ]
    marks = ",".join(["(%s, %s, %s, %s, %s, %s, %s::bigint)"] * len(values))
    cursor.execute(
        "UPDATE projection_place AS place SET size = v.size, whole = v.whole, taken = v.taken, next_offset = v.at"
        f" FROM (VALUES {marks}) AS v (generation, name, partition, size, whole, taken, at)"
        " WHERE place.generation = v.generation AND place.name = v.name AND place.partition = v.partition",
        [value for row in values for value in row],
    )


def _fence(cursor: Cursor) -> None:
    """Fence every worker, once those that are writing have finished."""
    cursor.execute("SELECT 1 FROM projection_place ORDER BY generation, name, partition FOR UPDATE")
    cursor.execute("UPDATE projection_place SET epoch = (SELECT max(epoch) + 1 FROM projection_place)")


def _create(cursor: Cursor, generation: int, projection: Any) -> None:
    """Make the tables of one generation, without their keys: rows come faster then."""
    for table in projection.TABLES:
        columns = []
        for name, kind in table.columns:
            word, _, more = kind.partition(" ")
            columns.append(f"{name} {_TYPES[word]} {more}")
        cursor.execute(f"CREATE TABLE {_physical(generation, projection.NAME, table.name)} ({', '.join(columns)})")


def _index(cursor: Cursor, generation: int, projection: Any) -> None:
    for table in projection.TABLES:
        name = _physical(generation, projection.NAME, table.name)
        cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({table.key})")
        for columns in table.indexes:
            cursor.execute(f"CREATE INDEX ON {name} ({columns})")
        cursor.execute(f"ANALYZE {name}")


class _Lines:
    """
    Rows as the text format of COPY writes them.

    Most tables begin with the same columns of an entry: their text is made once for all of them.
    """

    def __init__(self) -> None:
        self._heads: dict[object, tuple[tuple[object, ...], str]] = {}

    def of(self, rows: Iterable[tuple[object, ...]]) -> str:
        """Return the lines of *rows*."""
        made = []
        for row in rows:
            if len(row) < HEAD_SIZE:
                made.append("\t".join(map(_copied, row)))
                continue
            head = row[:HEAD_SIZE]
            known = self._heads.get(row[0])
            if known is None or known[0] != head:
                known = self._heads[row[0]] = head, "\t".join(map(_copied, head))
            made.append("\t".join((known[1], *map(_copied, row[HEAD_SIZE:]))))
        made.append("")
        return "\n".join(made)


def _copied(value: object) -> str:
    """One value as the text format of COPY writes it."""
    if value is None:
        return r"\N"
    if isinstance(value, bytes):
        return r"\\x" + value.hex()
    if isinstance(value, str):
        return escaped(value)
    return str(int(cast("int", value)))  # a truth value too: 0 or 1


def _copy(
    cursor: Cursor,
    generation: int,
    projection: Any,
    rows: Mapping[str, list[tuple[object, ...]]],
    lines: _Lines,
) -> None:
    for table in projection.TABLES:
        batch = rows[table.name]
        if batch:
            name = _physical(generation, projection.NAME, table.name)
            cursor.copy_expert(f"COPY {name} FROM STDIN", BytesIO(lines.of(batch).encode()), size=1 << 18)


def _put_all(cursor: Cursor, generation: int, facts: Sequence[Fact]) -> None:
    """
    Copy what *facts* make of every projection.

    Raises:
        ProjectionFailed: naming the first entry that was not taken.
    """
    lines = _Lines()
    for projection in PROJECTIONS:
        try:
            _copy(cursor, generation, projection, rows_of(projection, facts), lines)
        except (psycopg2.OperationalError, psycopg2.InterfaceError, MemoryError):
            raise
        except Exception as error:
            raise _named(projection, facts, error) from error


def _named(projection: Any, facts: Sequence[Fact], error: Exception) -> ProjectionFailed:
    """Which entry it was: the one whose rows cannot be made, or the one that the database's word names."""
    for fact in facts:
        try:
            rows_of(projection, [fact])
        except Exception as found:  # noqa: BLE001 -- it is named
            return ProjectionFailed(projection.NAME, fact.index, repr(found))
    line = re.search(r"line (\d+)", str(error))
    index = facts[min(int(line[1]), len(facts)) - 1].index if line else facts[0].index
    return ProjectionFailed(projection.NAME, index, repr(error))


def _fill(store: Store, catalogue: Catalogue, address: str, generation: int, start: int, stop: int) -> int:
    """Copy a range of the log into tables that nobody reads yet; return how many entries."""
    with closing(Connections(address, prepare="SET synchronous_commit = off")) as connections:
        for facts in decoded(catalogue, batches(store, start, stop)):
            with connections.lent() as one, one.cursor() as cursor:
                cursor.execute("BEGIN")
                _put_all(cursor, generation, facts)
                cursor.execute("COMMIT")
    return stop - start


def _fill_in_process(log_at: str, address: str, generation: int, start: int, stop: int) -> int:
    from ledger.acts import catalogue  # noqa: PLC0415 -- imported in the worker
    from ledger.store import open_store  # noqa: PLC0415 -- imported in the worker

    with closing(open_store(log_at, read_only=True)) as store:
        return _fill(store, catalogue(), address, generation, start, stop)


@dataclass(frozen=True, slots=True)
class _Standing:
    generation: int
    edition: str
    size: int
    whole: int


def _standing(cursor: Cursor) -> dict[str, _Standing]:
    cursor.execute(
        "SELECT name, generation, edition, min(size), min(whole)"
        " FROM projection_set JOIN projection_place USING (name, generation) GROUP BY 1, 2, 3"
    )
    return {name: _Standing(*rest) for name, *rest in cursor.fetchall()}


def _parked_count(cursor: Cursor, generation: int, name: str, size: int | None = None) -> int:
    cursor.execute(
        "SELECT count(*) FROM projection_parked WHERE generation = %s AND name = %s"
        " AND (%s::bigint IS NULL OR idx < %s)",
        (generation, name, size, size),
    )
    return int(cursor.fetchall()[0][0])


def _digest(cursor: Cursor, generation: int, projection: Any, size: int) -> str:
    sha = Digest(projection.NAME)
    for table in sorted(projection.TABLES, key=lambda table: table.name):
        sha.table(table.name, _in_order(cursor, _physical(generation, projection.NAME, table.name), table, size))
    return sha.hex()


def _in_order(cursor: Cursor, name: str, table: Table, size: int) -> Iterator[tuple[object, ...]]:
    cursor.execute(
        f"DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM {name} WHERE idx < %s ORDER BY {table.key}", (size,)
    )
    while True:
        cursor.execute("FETCH 5000 FROM rows")
        found = cursor.fetchall()
        if not found:
            break
        yield from found
    cursor.execute("CLOSE rows")


# ------------------------------------------------------------------------------------- reading


class _Answers:
    """What the queries call `db`: SQL as they write it, on the tables of the generations that stand."""

    def __init__(self, connection: Connection, generations: Mapping[str, int]) -> None:
        self._connection = connection
        self._generations = generations
        # Only tables: an act may be called like them (`admissibility.ruled`).
        named = "|".join(f"{p.NAME}\\.(?:{'|'.join(table.name for table in p.TABLES)})" for p in PROJECTIONS)
        self._named = re.compile(rf"\b(?:{named})\b")
        self._translated: dict[str, str] = {}

    def _physical(self, match: re.Match[str]) -> str:
        name, _, table = match[0].partition(".")
        return _physical(self._generations[name], name, table)

    def execute(self, query: str, values: Sequence[object] = ()) -> Cursor:
        """Run a query; rows are fetched as from SQLite."""
        found = self._translated.get(query)
        if found is None:
            found = self._named.sub(
                self._physical,
                # To SQLite a limit of -1 is none.
                query.replace("%", "%%").replace("LIMIT ?", "LIMIT nullif(?, -1)").replace("?", "%s"),
            )
            self._translated[query] = found
        cursor = self._connection.cursor()
        cursor.execute(found, list(values))
        return cursor

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SharedViews(Views):
    """The views on projections in PostgreSQL: one snapshot, until they are closed."""

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied."""
        found = self.db.execute(
            "SELECT name, min(size) FROM projection_set JOIN projection_place USING (name, generation)"
            " GROUP BY name ORDER BY name"
        )
        return dict(found.fetchall())


def are_shared(address: str) -> bool:
    """Whether the database of a log holds its projections too."""
    if not address.startswith(POSTGRES):
        return False
    with closing(Connections(address)) as connections:
        return connections.read("SELECT to_regclass('projection_set') IS NOT NULL") == [(True,)]


def open_shared(address: str) -> Views:
    """
    Open the projections in a PostgreSQL database for reading.

    Raises:
        NotFound: there are none.
        Conflict: they are of another release.
        Unavailable: the database cannot be reached.
    """
    try:
        connection = Connections(address).connect()
    except psycopg2.Error as error:
        raise meaning(error) from error
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('projection_set')")
            if cursor.fetchall() == [(None,)]:
                raise NotFound(
                    "there are no projections in this database", what_now="start a worker: `comity project work`"
                )
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            stands = _standing(cursor)
        _check_editions((name, one.edition) for name, one in stands.items())
    except BaseException:
        connection.close()
        raise
    answers = _Answers(connection, {name: one.generation for name, one in stands.items()})
    return SharedViews(cast("sqlite3.Connection", answers))  # it answers the queries that a connection would
