"""What is filled by whom, and how far it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.kafka import relay
from ledger.kafka.wire import place_of
from projections.filling import PROJECTIONS, GapRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from projections.facts import Fact

JOINED: Final[Mapping[str, str]] = {
    "roster": "designations are used by every case",
    "status": "what may follow is said by the instrument of a request, which may be of another case",
    "provenance": "an exhibit is handed over from case to case",
    "admissibility": "a ruling reaches what is derived in other cases",
    "deadlines": "the seat of an authority is enrolled in the ledger's own case",
    "findings": "conditions travel with an exhibit, and seats as above",
}
"""The projections whose answers join what different cases say, each with why: what is read of them is a prefix."""

PARTITIONS: Final = 12
"""Of ``comity.entries``, where nobody says otherwise; it never changes."""


class Unit(NamedTuple):
    """What one worker at a time fills: a partition of a projection."""

    name: str
    partition: int


@dataclass(frozen=True, slots=True)
class Place:
    """
    How far a unit is, as its row in ``projection_place`` says.

    Attributes:
        generation: of the tables that it is filled into; with *epoch*, the fence.
        epoch: raised by everybody who takes the unit.
        size: every entry of the unit below it was applied once.
        whole: as far as that was compared with the log.
        taken: how many entries were applied since.
        offset: of the message that is read next; None where Kafka was not read.
    """

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

    Attributes:
        facts: in the order of the log; those below its size are ignored.
        offset: of the message that is read next; None leaves it.
        settled: the size up to which the facts are all that the log has of the unit; None where only Kafka says so.
        start: from where on they are.
        whole: up to here what was applied is what the log has.
    """

    facts: Sequence[Fact] = ()
    offset: int | None = None
    settled: int | None = None
    whole: int | None = None
    start: int = 0


def units_of(partitions: Iterable[int]) -> set[Unit]:
    """Return what the owner of these partitions of ``comity.entries`` fills: those of every projection."""
    owned = set(partitions)
    return {Unit(p.NAME, number) for p in PROJECTIONS for number in owned}


@lru_cache(maxsize=1 << 16)
def partition_of(case: bytes, count: int) -> int:
    """Return the partition of a case, 16 bytes, as the relay chooses it; the last 65,536 are remembered."""
    return relay.partition_of(case, count)


def sieve(units: Iterable[Unit], count: int) -> Callable[[bytes], bool] | None:
    """
    Return what tells of the bytes of an entry whether it belongs to one of *units*; None where every entry does.

    It reads the case in the front of the entry, a tenth of what decoding costs; what is not plain it decodes.
    """
    numbers = frozenset(unit.partition for unit in units)
    if len(numbers) == count:
        return None
    return lambda entry: partition_of(place_of(entry).case, count) in numbers


def dealt(facts: Iterable[Fact], count: int) -> dict[int, list[Fact]]:
    """Return *facts* by their partition, in their order."""
    found: dict[int, list[Fact]] = {}
    for fact in facts:
        found.setdefault(partition_of(fact.statement.case, count), []).append(fact)
    return found


def fresh(unit: Unit, place: Place, step: Step) -> list[Fact]:
    """
    Return the facts of a step that were not applied yet.

    Raises:
        GapRefused: they are what the log has from an entry on that the unit has not come to.
    """
    if step.start > place.size:
        raise GapRefused(f"projection {unit.name}", place.size, step.start)
    return [fact for fact in step.facts if fact.index >= place.size]


def moved(place: Place, step: Step, applied: Sequence[Fact]) -> Place:
    """Return where a unit is after a step of which these facts were applied."""
    size = max(place.size, step.settled or 0, applied[-1].index + 1 if applied else 0)
    whole, taken = place.whole, place.taken + len(applied)
    if step.settled is not None and place.taken == 0:
        # What was read is the log itself, from where it was last compared.
        whole, taken = size, 0
    elif step.whole is not None:
        whole, taken = step.whole, len(applied)
    offset = place.offset if step.offset is None else step.offset
    return Place(place.generation, place.epoch, size, whole, taken, offset)
