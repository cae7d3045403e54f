"""
New tables beside those that stand: built by several processes, compared, swapped in, and taken back.

Readers and workers go on meanwhile. What is appended meanwhile is applied before the swap, the last of it within
the transaction that swaps and fences the workers. Ended at any point, a rebuild leaves what stood or what is
new, and tables that the next one drops.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import structlog

from ledger.errors import Conflict, NotFound, Unavailable
from projections.filling import (
    PROJECTIONS,
    Progress,
    batches,
    decode,
    decoded,
    edition,
    foreign,
    helpers,
    open_log,
    refuse_differing,
)
from projections.shared import tables
from projections.shared.database import Database
from projections.shared.fenced import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

    from ledger.acts import Catalogue
    from projections.filling import Store

log: Final = structlog.get_logger("comity.projections")

LAST_SIZE: Final = 500
"""About so many entries are left to the transaction that swaps: workers wait for it."""


class Rebuild:
    """
    One generation of tables, from its making to its swap.

    Args:
        database: holds the tables.
        store: the log.
        catalogue: the acts.
        partitions: of the topic ``comity.entries``.
    """

    def __init__(self, database: Database, store: Store, catalogue: Catalogue, partitions: int) -> None:
        self._database = database
        self._store = store
        self._catalogue = catalogue
        self._partitions = partitions
        self._size = store.size()
        with database.transaction() as cursor:
            self._generation = tables.next_generation(cursor)
            for projection in PROJECTIONS:
                tables.create(cursor, self._generation, projection)

    def run(
        self, log_at: str, workers: int, tell: Callable[[Progress], None] | None, *, online: bool, accept: bool
    ) -> None:
        """Build, compare where it is asked for, and swap; arguments and errors as of `Shared.rebuild`."""
        try:
            self._build(log_at, workers, tell)
            with self._database.transaction() as cursor:
                for projection in PROJECTIONS:
                    tables.index(cursor, self._generation, projection)
            self._append()
            if online and not accept:
                self._compare()
            self._swap(keep=online)
        except BaseException:
            drop_strays(self._database, self._generation)
            raise
        drop_strays(self._database)
        log.info("projections_rebuilt", generation=self._generation, size=self._size)

    def _build(self, log_at: str, workers: int, tell: Callable[[Progress], None] | None) -> None:
        size, generation = self._size, self._generation
        workers = max(1, min(workers, size))
        bounds = [size * number // workers for number in range(workers + 1)]
        tell = tell or (lambda _: None)
        if workers == 1:
            _fill(self._store, self._catalogue, self._database.address, generation, 0, size)
            tell(Progress(size, size))
            return
        piece = partial(_fill_in_process, log_at, self._database.address, generation)
        with helpers(workers) as pool:
            for done in accumulate(pool.map(piece, bounds, bounds[1:])):
                tell(Progress(done, size))

    def _append(self, within: Cursor | None = None) -> None:
        """Bring what was built up to the log, *within* a transaction or in several."""
        stop = self._store.size()
        for batch in batches(self._store, self._size, stop):
            facts = decode(self._catalogue, batch)
            if within is None:
                with self._database.transaction() as cursor:
                    tables.put_all(cursor, self._generation, facts)
            else:
                tables.put_all(within, self._generation, facts)
        self._size = stop

    def _compare(self) -> None:
        """Refuse what was built where it is not what stands; what has parked acts is what a rebuild is for."""
        with self._database.snapshot() as cursor:
            refuse_differing(self._digests(cursor))

    def _digests(self, cursor: Cursor) -> Iterator[tuple[str, int, str, str]]:
        stands = tables.standing(cursor)
        other = set(foreign((name, one.edition) for name, one in stands.items()))
        for projection in PROJECTIONS:
            name, one = projection.NAME, stands[projection.NAME]
            if name in other or tables.parked_count(cursor, one.generation, name):
                continue
            size = min(self._size, one.whole)
            built, stood = (tables.digest(cursor, g, projection, size) for g in (self._generation, one.generation))
            yield name, size, built, stood

    def _swap(self, *, keep: bool) -> None:
        while self._store.size() - self._size > LAST_SIZE:
            self._append()
        with self._database.transaction() as cursor:
            cursor.execute("SELECT generation FROM projection_set ORDER BY name FOR UPDATE")
            if max(generation for (generation,) in cursor.fetchall()) > self._generation:
                raise Conflict("another rebuild was faster", what_now="use its answers")
            fence(cursor)
            # Nobody writes now.
            self._append(cursor)
            for projection in PROJECTIONS:
                tables.open_places(cursor, self._generation, projection.NAME, self._partitions, self._size)
            # Where Kafka was read last: what comes again from there is ignored.
            cursor.execute(
                "UPDATE projection_place AS new SET next_offset = old.next_offset, epoch = old.epoch"
                " FROM projection_place AS old JOIN projection_set USING (name, generation)"
                " WHERE new.generation = %s AND new.name = old.name AND new.partition = old.partition",
                (self._generation,),
            )
            for projection in PROJECTIONS:
                cursor.execute(
                    "UPDATE projection_set SET previous = CASE WHEN %s THEN generation END,"
                    " previous_edition = CASE WHEN %s THEN edition END, generation = %s, edition = %s WHERE name = %s",
                    (keep, keep, self._generation, edition(projection), projection.NAME),
                )


def roll_back(cursor: Cursor) -> list[str]:
    """
    Swap back what stood before the last online rebuild, and fence the workers; return its names.

    Raises:
        NotFound: nothing was kept.
        Conflict: what was kept was made by another edition of the tables.
    """
    cursor.execute("SELECT name, previous, previous_edition FROM projection_set ORDER BY name FOR UPDATE")
    kept = [(name, made_by) for name, previous, made_by in cursor.fetchall() if previous is not None]
    if not kept:
        raise NotFound("nothing was kept to go back to", what_now="only `comity project rebuild --online` keeps it")
    tables.check_editions(kept)
    fence(cursor)
    cursor.execute(
        "UPDATE projection_set SET generation = previous, edition = previous_edition,"
        " previous = generation, previous_edition = edition WHERE previous IS NOT NULL"
    )
    return [name for name, _ in kept]


def drop_strays(database: Database, failed: int | None = None) -> None:
    """
    Drop the tables of generations that neither stand nor are kept, and those of one that *failed*.

    Tables that somebody still reads stay until the next time.
    """
    with database.snapshot() as cursor:
        cursor.execute("SELECT generation, previous FROM projection_set")
        kept = {number for row in cursor.fetchall() for number in row if number is not None}
        cursor.execute(
            r"SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname ~ '^p\d+_'"
        )
        found: dict[int, list[str]] = {}
        for (name,) in cursor.fetchall():
            found.setdefault(int(name[1:].split("_")[0]), []).append(f'"{name}"')
    for number, names in sorted(found.items()):
        # A generation above those that stand is being built by somebody else.
        if number not in kept and (number < max(kept) or number == failed):
            try:
                with database.transaction() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '1s'")
                    cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)}")
                    cursor.execute("DELETE FROM projection_place WHERE generation = %s", (number,))
                    cursor.execute("DELETE FROM projection_parked WHERE generation = %s", (number,))
            except Unavailable as error:
                log.info("projection_tables_in_use", generation=number, why=error.why)


def _fill(store: Store, catalogue: Catalogue, address: str, generation: int, start: int, stop: int) -> int:
    """Copy a range of the log into tables that nobody reads yet; return how many entries."""
    with closing(Database(address)) as database:
        for stretch in decoded(catalogue, batches(store, start, stop)):
            with database.transaction() as cursor:
                tables.put_all(cursor, generation, stretch.facts)
    return stop - start


def _fill_in_process(log_at: str, address: str, generation: int, start: int, stop: int) -> int:
    store, catalogue = open_log(log_at)
    with closing(store):
        return _fill(store, catalogue, address, generation, start, stop)
