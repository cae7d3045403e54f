"""The shared projections as a whole: filled, compared with the log, built anew, and asked."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import structlog

from ledger.kafka.wire import place_of
from projections.filling import (
    NotWhole,
    Parked,
    Progress,
    Projections,
    batches,
    decode,
    decoded,
    module,
    parked_row,
    size_asked,
)
from projections.shared import ahead, fenced, tables
from projections.shared.answers import open_shared
from projections.shared.database import Database
from projections.shared.rebuilding import Rebuild, roll_back
from projections.shared.units import JOINED, PARTITIONS, Place, Step, Unit, dealt, partition_of, sieve, units_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ledger.acts import Catalogue
    from projections.facts import Fact
    from projections.filling import Store
    from projections.views import Views

log: Final = structlog.get_logger("comity.projections")


class Shared(Projections):
    """
    The projections of one log in a PostgreSQL database; usually the one that holds the log.

    The front is that of ``projections.runner.Runner``; besides, what a worker needs.

    Args:
        store: the log.
        catalogue: the acts, to decode bodies with.
        address: ``postgresql://...``.
        partitions: of the topic ``comity.entries``; None for as many as the projections were made with, 12 where
            there are none yet.

    Raises:
        Conflict: they were made with another number of partitions.
        Unavailable: the database cannot be reached.
    """

    def __init__(
        self, store: Store | None, catalogue: Catalogue | None, address: str, *, partitions: int | None = None
    ) -> None:
        super().__init__(store, catalogue)
        self.address = address
        self._database = Database(address)
        with self._database.transaction() as cursor:
            self.partitions = tables.ensure(cursor, partitions, PARTITIONS)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def stand_in(self) -> bool:
        """Whether this process fills every partition where Kafka divides nothing; see `Database.stand_in`."""
        return self._database.stand_in()

    def stand_down(self) -> None:
        """Let another process stand in."""
        self._database.stand_down()

    # ------------------------------------------------------------------------------- filling

    def take(self, units: Iterable[Unit]) -> dict[Unit, Place]:
        """
        Become the one that fills *units*: every earlier holder is fenced.

        Raises:
            Conflict: the tables are of another edition than this release makes.
        """
        with self._database.transaction() as cursor:
            return fenced.take(cursor, units)

    def apply(self, held: Mapping[Unit, Place], steps: Mapping[Unit, Step]) -> dict[Unit, Place]:
        """
        Do *steps*, of units among those *held*, in one transaction; return where all of them then are.

        Raises:
            Fenced: one of them is another's; nothing was written.
            GapRefused: a step begins behind where its unit is.
            ProjectionFailed: too much would be parked.
            Unavailable: the database cannot do it now.
        """
        if not steps:
            return dict(held)
        with self._database.transaction() as cursor:
            return {**held, **fenced.apply(cursor, held, steps)}

    def follow(
        self,
        held: Mapping[Unit, Place],
        facts: Sequence[Fact],
        size: int,
        offsets: Mapping[int, int] | None = None,
        *,
        start: int = 0,
    ) -> dict[Unit, Place]:
        """
        Apply a contiguous piece of the log that ends before *size* to every unit of *held*; errors as of `apply`.

        Args:
            held: what is filled.
            facts: all entries that the log has of *held* from *start* to before *size*; others are ignored.
            size: where the piece ends.
            offsets: the message that each partition reads next.
            start: where the piece begins: not behind the smallest size in *held*.
        """
        shares = dealt(facts, self.partitions)
        steps = {
            unit: Step(shares.get(unit.partition, ()), (offsets or {}).get(unit.partition), size, start=start)
            for unit, place in held.items()
            if place.size <= size
        }
        return self.apply(held, steps)

    def catch_up(self, tell: Callable[[Progress], None] | None = None) -> int:
        """
        Apply every entry not yet applied, from the log alone, without a worker; return the size reached.

        Workers are fenced and take their partitions back; so it is for logs without workers, and for tests.
        """
        held = self.take(units_of(range(self.partitions)))
        return min(place.size for place in self.settle(held, forced=True, tell=tell)[0].values())

    # ------------------------------------------------------------------------------- comparing

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
            forced: apply what Kafka owes from the log, and the projections that join cases with it.
            ends: for each partition the offset after its last message, read before this; kept with what is
                applied from the log, so that reading goes on there.
            tell: is told how far it is.

        Returns:
            Where the units are; and by partition, how many entries of it the log has that were not brought.

        Raises:
            Fenced: one of the units is another's.
            ProjectionFailed: too much would be parked.

        Cost: about 2 us for each entry of the log behind the least of what is compared; what is applied besides,
            by up to three processes more where that is far (``projections.shared.ahead``). What belongs to others
            is read from the log, and not decoded.
        """
        store, catalogue = self._source()
        held = self._verified(held, store, catalogue)
        size = store.size()
        if forced:
            return self._read(held, size, ends or {}, tell or (lambda _: None)), {}
        behind = {unit: place for unit, place in held.items() if unit.name not in JOINED and place.size < size}
        lowest: dict[int, int] = {}
        for unit, place in behind.items():
            lowest[unit.partition] = min(place.size, lowest.get(unit.partition, size))
        listed = self._listed(store, min(lowest.values(), default=size), size)
        counts = {number: sum(index >= least for index in listed.get(number, ())) for number, least in lowest.items()}
        owed = {number: count for number, count in counts.items() if count}
        return self.apply(held, {unit: Step(settled=size) for unit in behind if unit.partition not in owed}), owed

    def _read(
        self, held: Mapping[Unit, Place], size: int, ends: Mapping[int, int], tell: Callable[[Progress], None]
    ) -> dict[Unit, Place]:
        """Apply what the log has below *size*; what is far behind is made by helpers, once all units stand alike."""
        store, catalogue = self._source()
        held = dict(held)

        def plainly(stop: int) -> None:
            start = min((place.size for place in held.values()), default=stop)
            for at, end, facts in decoded(catalogue, batches(store, start, stop), sieve(held, self.partitions)):
                held.update(self.follow(held, facts, end, ends if end == size else None, start=at))
                tell(Progress(end, size))

        level, log_at = max((place.size for place in held.values()), default=size), self._log_at()
        if log_at and size - level >= ahead.WORTH_IT:
            plainly(level)
            with closing(ahead.made(log_at, held, self.partitions, level, size)) as pieces:
                for piece in pieces:
                    with self._database.transaction() as cursor:
                        after = fenced.copy(cursor, held, piece.lines, piece.stop, ends if piece.stop == size else {})
                    if after is None:
                        break
                    held.update(after)
                    tell(Progress(piece.stop, size))
        plainly(size)
        return held

    def _verified(self, held: Mapping[Unit, Place], store: Store, catalogue: Catalogue) -> dict[Unit, Place]:
        """Count what was applied since the last comparison against what the log has, and mend what is not that."""
        open_units = {unit: place for unit, place in held.items() if place.taken}
        if not open_units:
            return dict(held)
        start = min(place.whole for place in open_units.values())
        stop = max(place.size for place in open_units.values())
        listed = self._listed(store, start, stop)
        right: dict[Unit, Step] = {}
        wrong: dict[Unit, list[int]] = {}
        for unit, place in open_units.items():
            expected = [index for index in listed.get(unit.partition, ()) if place.whole <= index < place.size]
            if len(expected) == place.taken:
                right[unit] = Step(whole=place.size)
            else:
                wrong[unit] = expected
        held = self.apply(held, right)
        for unit, expected in wrong.items():
            facts = [fact for index in expected for fact in decode(catalogue, store.entries(index, 1))]
            with self._database.transaction() as cursor:
                held[unit] = fenced.mend(cursor, held, unit, facts)
            log.warning("projection_mended", projection=unit.name, partition=unit.partition, entries=len(facts))
        return held

    def _listed(self, store: Store, start: int, stop: int) -> dict[int, list[int]]:
        """The indexes that the log has from *start* to before *stop*, by partition."""
        found: dict[int, list[int]] = {}
        for batch in batches(store, start, stop):
            for index, entry in batch:
                found.setdefault(partition_of(place_of(entry).case, self.partitions), []).append(index)
        return found

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

        Readers and workers go on meanwhile. Ended at any point, it leaves what stood or what is new.

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
        made = Rebuild(self._database, *self._source(), self.partitions)
        made.run(self._log_at(), workers, tell, online=online, accept=accept)
        return min(self.sizes().values())

    def rollback(self) -> dict[str, int]:
        """
        Swap back what stood before the last online rebuild; return the size that each has reached.

        Workers go on from there. Rolling back once more swaps the newer ones in again.

        Raises:
            NotFound: nothing was kept.
            Conflict: what was kept was made by another edition of the tables.
        """
        with self._database.transaction() as cursor:
            names = roll_back(cursor)
        log.warning("projections_rolled_back", names=names)
        return self.sizes()

    # --------------------------------------------------------------------------------- answers

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied: all below that, in every partition."""
        with self._database.snapshot() as cursor:
            return {name: one.size for name, one in tables.standing(cursor).items()}

    def places(self) -> dict[Unit, Place]:
        """Return how far each unit is."""
        with self._database.snapshot() as cursor:
            return fenced.places(cursor)

    def digest(self, name: str, size: int | None = None) -> str:
        """
        Return the SHA-256, in hex, of what projection *name* derived from the first *size* entries.

        It is the one that a SQLite file of the same entries has. Cost: O(rows).

        Raises:
            ComityError: the projection has not come so far, or there is none of that name.
            NotWhole: some of these entries are parked.
        """
        with self._database.snapshot() as cursor:
            stands = tables.standing(cursor)
            below = size_asked(name, size, {name: one.size for name, one in stands.items()})
            if count := tables.parked_count(cursor, stands[name].generation, name, below):
                raise NotWhole(name, count)
            return tables.digest(cursor, stands[name].generation, module(name), below)

    def parked(self) -> list[Parked]:
        """Return every act that a projection has not taken, by projection and index."""
        with self._database.snapshot() as cursor:
            cursor.execute(
                "SELECT name, idx, subject, why FROM projection_parked"
                " JOIN projection_set USING (name, generation) ORDER BY name, idx"
            )
            return [parked_row(*row) for row in cursor.fetchall()]

    def parked_sizes(self) -> dict[str, int]:
        """Return how many acts of each projection are parked."""
        with self._database.snapshot() as cursor:
            return {
                name: tables.parked_count(cursor, one.generation, name) for name, one in tables.standing(cursor).items()
            }

    def retry(self) -> int:
        """
        Take what is parked once more, each projection in one transaction; return how much still is.

        What fails again is parked again, with the later acts of its stream. Workers wait meanwhile.
        """
        store, catalogue = self._source()
        for name in dict.fromkeys(one.projection for one in self.parked()):
            with self._database.transaction() as cursor:
                fenced.retry(cursor, name, store, catalogue)
        return len(self.parked())

    def views(self) -> Views:
        """Open the projections for reading."""
        return open_shared(self.address)
