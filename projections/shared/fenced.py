"""
Writing under a fence: who takes a unit shuts out whoever held it before.

Who takes a partition raises its epoch; each transaction of a worker reads, under the lock of the rows that it
moves, whether the epochs are still its own. So a worker that was stopped, or has lost a partition, writes
nothing more, however late it wakes. A swap of the tables raises every epoch too.

Rows, positions and what is parked move in one transaction, which is the caller's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg2
import structlog

from ledger.errors import Conflict
from projections.filling import PASSING, decode, module, rows_of
from projections.shared import tables
from projections.shared.units import Place, Step, Unit, fresh, moved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

    from ledger.acts import Catalogue
    from projections.facts import Fact
    from projections.filling import Parking, Store

log: Final = structlog.get_logger("comity.projections")


class Fenced(Conflict):
    """Another worker took what this one was filling, or the tables were swapped: nothing was written."""

    def __init__(self, units: Iterable[Unit]) -> None:
        shown = ", ".join(f"{name} {partition}" for name, partition in sorted(units)[:8])
        super().__init__(
            f"another worker fills this now: {shown}",
            why="its epoch was raised",
            what_now="leave it to that worker, or begin again: what was applied stays",
        )


def take(cursor: Cursor, units: Iterable[Unit]) -> dict[Unit, Place]:
    """
    Raise the epochs of *units*; return where they are.

    Raises:
        Conflict: the tables are of another edition than this release makes.
    """
    wanted = tuple(sorted(set(units)))
    if not wanted:
        return {}
    cursor.execute(
        "SELECT 1 FROM projection_place WHERE (name, partition) IN %s ORDER BY generation, name, partition FOR UPDATE",
        (wanted,),
    )
    # Not before the lock: whoever swaps the tables holds it, and may be of another release.
    cursor.execute("SELECT name, edition FROM projection_set")
    tables.check_editions(cursor.fetchall())
    cursor.execute(
        "UPDATE projection_place AS place SET epoch = epoch + 1 FROM projection_set AS stands"
        " WHERE stands.name = place.name AND stands.generation = place.generation AND (place.name, partition) IN %s"
        f" RETURNING {_PLACE}",
        (wanted,),
    )
    return _places(cursor)


def places(cursor: Cursor) -> dict[Unit, Place]:
    """Return how far each unit of the tables that stand is."""
    cursor.execute(f"SELECT {_PLACE} FROM projection_place AS place JOIN projection_set USING (name, generation)")
    return _places(cursor)


_PASSING: Final[tuple[type[Exception], ...]] = (*PASSING, *tables.PASSING)

_PLACE: Final = "place.name, partition, place.generation, epoch, size, whole, taken, next_offset"


def _places(cursor: Cursor) -> dict[Unit, Place]:
    return {Unit(name, number): Place(*rest) for name, number, *rest in cursor.fetchall()}


def apply(cursor: Cursor, held: Mapping[Unit, Place], steps: Mapping[Unit, Step]) -> dict[Unit, Place]:
    """
    Do *steps*; return where their units then are.

    Args:
        cursor: of the caller's transaction.
        held: as `take` or the last `apply` gave it.
        steps: for some of these units.

    Raises:
        Fenced: one of them is another's.
        GapRefused: a step begins behind where its unit is.
        ProjectionFailed: too much would be parked.
    """
    _lock(cursor, held, steps)
    after: dict[Unit, Place] = {}
    facts: dict[tuple[int, str], list[Fact]] = {}
    for unit, step in steps.items():
        new = fresh(unit, held[unit], step)
        after[unit] = moved(held[unit], step, new)
        if new:
            facts.setdefault((held[unit].generation, unit.name), []).extend(new)
    for some in facts.values():
        some.sort(key=lambda fact: fact.index)
    if facts:
        parked, lines = _parked_streams(cursor), tables.Lines()
        if parked or not _put_at_once(cursor, facts, lines):
            for (generation, name), some in facts.items():
                _parking(cursor, generation, name, parked.get(name, []), lines).take(some)
    _write(cursor, after)
    return after


def _put_at_once(cursor: Cursor, facts: Mapping[tuple[int, str], Sequence[Fact]], lines: tables.Lines) -> bool:
    """
    Copy what facts make, by generation and projection, behind one savepoint; False, with nothing written, if one fails.

    A savepoint for each projection costs a small transaction more than its rows.
    """
    cursor.execute("SAVEPOINT put")
    try:
        for (generation, name), some in facts.items():
            tables.copy(cursor, generation, module(name), rows_of(module(name), some), lines)
    except _PASSING:
        raise
    except Exception:  # noqa: BLE001 -- each by itself finds what it is, and parks it
        cursor.execute("ROLLBACK TO put")
        return False
    return True


def copy(
    cursor: Cursor,
    held: Mapping[Unit, Place],
    lines: Mapping[str, Mapping[str, bytes]],
    size: int,
    offsets: Mapping[int, int],
) -> dict[Unit, Place] | None:
    """
    Copy the lines of one piece of the log, which every unit of *held* stands before; return where they then are.

    Args:
        cursor: of the caller's transaction.
        held: as `take` or the last `apply` gave it.
        lines: of COPY, by projection and table: all that the piece makes of *held*.
        size: where the piece ends.
        offsets: the message that each partition reads next.

    Returns:
        None, with nothing written, where something is parked or the database does not take a row: `apply` then
        finds what it is.

    Raises:
        Fenced: one of them is another's.
    """
    _lock(cursor, held, held)
    if _parked_streams(cursor):
        return None
    generations = {unit.name: place.generation for unit, place in held.items()}
    cursor.execute("SAVEPOINT put")
    try:
        for name, texts in lines.items():
            tables.copy_lines(cursor, generations[name], name, texts)
    except tables.PASSING:
        raise
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO put")
        return None
    after = {unit: moved(place, Step((), offsets.get(unit.partition), size), ()) for unit, place in held.items()}
    _write(cursor, after)
    return after


def mend(cursor: Cursor, held: Mapping[Unit, Place], unit: Unit, facts: Sequence[Fact]) -> Place:
    """
    Apply once more what the log has of a partition, from where it was last compared to where it is.

    Rows of these entries are replaced: what Kafka brought twice, too late or never is then as in the log.

    Raises:
        Fenced: the unit is another's.
        ProjectionFailed: too much would be parked.
    """
    place = held[unit]
    indexes = [fact.index for fact in facts]
    _lock(cursor, held, [unit])
    for table in module(unit.name).TABLES:
        name = tables.physical(place.generation, unit.name, table.name)
        cursor.execute(f"DELETE FROM {name} WHERE idx = ANY(%s)", (indexes,))
    cursor.execute(
        "DELETE FROM projection_parked WHERE generation = %s AND name = %s AND idx = ANY(%s)",
        (place.generation, unit.name, indexes),
    )
    streams = _parked_streams(cursor).get(unit.name, [])
    _parking(cursor, place.generation, unit.name, streams).take(facts)
    mended = replace(place, whole=place.size, taken=0)
    _write(cursor, {unit: mended})
    return mended


def retry(cursor: Cursor, name: str, store: Store, catalogue: Catalogue) -> None:
    """Take what is parked of a projection once more; what fails again is parked again. Workers wait meanwhile."""
    cursor.execute("SELECT generation FROM projection_set WHERE name = %s FOR SHARE", (name,))
    generation = cursor.fetchall()[0][0]
    cursor.execute(
        "SELECT 1 FROM projection_place WHERE generation = %s AND name = %s ORDER BY partition FOR UPDATE",
        (generation, name),
    )
    cursor.execute(
        "DELETE FROM projection_parked WHERE generation = %s AND name = %s RETURNING idx", (generation, name)
    )
    found = sorted(cursor.fetchall())
    parking = _parking(cursor, generation, name, [])
    for (index,) in found:
        parking.take(decode(catalogue, store.entries(index, 1)))


def fence(cursor: Cursor) -> None:
    """Fence every worker, once those that are writing have finished."""
    cursor.execute("SELECT 1 FROM projection_place ORDER BY generation, name, partition FOR UPDATE")
    cursor.execute("UPDATE projection_place SET epoch = (SELECT max(epoch) + 1 FROM projection_place)")


def _lock(cursor: Cursor, held: Mapping[Unit, Place], units: Iterable[Unit]) -> None:
    wanted = sorted((held[unit].generation, *unit) for unit in units)
    cursor.execute(
        "SELECT name, partition, epoch, size FROM projection_place WHERE (generation, name, partition) IN %s"
        " ORDER BY generation, name, partition FOR UPDATE",
        (tuple(wanted),),
    )
    found = {Unit(name, number): (epoch, size) for name, number, epoch, size in cursor.fetchall()}
    # The size as well: a transaction of which nobody knows whether it was done is not done twice.
    if lost := [unit for unit in units if found.get(unit) != (held[unit].epoch, held[unit].size)]:
        raise Fenced(lost)


def _write(cursor: Cursor, after: Mapping[Unit, Place]) -> None:
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


def _parked_streams(cursor: Cursor) -> dict[str, list[bytes]]:
    """For each act that is parked its subject, by projection."""
    cursor.execute("SELECT name, subject FROM projection_parked JOIN projection_set USING (name, generation)")
    found: dict[str, list[bytes]] = {}
    for name, subject in cursor.fetchall():
        found.setdefault(name, []).append(subject)
    return found


def _parking(
    cursor: Cursor, generation: int, name: str, streams: Sequence[bytes], lines: tables.Lines | None = None
) -> Parking:
    def park(index: int, subject: bytes, why: str) -> None:
        cursor.execute(
            "INSERT INTO projection_parked VALUES (%s, %s, %s, %s, %s)",
            (generation, name, index, subject, why.replace("\0", "")),
        )

    return tables.parking(cursor, generation, module(name), lines or tables.Lines(), park, streams)
