"""
Who sees which entry: by its ring, its embargo, and the part that somebody takes in its case.

What a viewer may not see is left out before anything is folded, so that it changes nothing of the answer:
neither a finding or a clock, nor a count, an index or an error. Embargoes are judged when the viewer reads,
whatever instant is asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from projections.checks import Mark
from projections.facts import COLUMNS as FACT
from projections.facts import Clocks, id_bytes, id_text, row_of
from projections.matters import Act

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.statement import Statement
    from projections.matters import Seat
    from projections.views import Views

__all__ = ["COLUMNS", "Sight", "columns_of"]

COLUMNS: Final = (("ring", "TEXT NOT NULL"), ("embargo_until", "INTEGER"), ("addressees", "TEXT NOT NULL"))
"""What a table of acts keeps to tell who sees each."""

_OVERSIGHT: Final = frozenset({"oversight_body", "supervisory_authority"})
_FACT: Final = ", ".join(name for name, _ in FACT)
_SIGHT: Final = ", ".join(name for name, _ in COLUMNS)


def columns_of(statement: Statement) -> tuple[object, ...]:
    """The values of :data:`COLUMNS`."""
    shown = statement.visibility
    return shown.ring, shown.embargo_until, " ".join(id_text(one) for one in statement.addressees)


class Sight:
    """
    The acts of a projection as one viewer sees them.

    Args:
        views: the projections, opened for reading.
        projection: its name; it has the tables `act`, with :data:`COLUMNS` and `legal_effect_at`, and `part`.
        seats: where each authority sits.
        viewer: the authority that asks; None for whoever holds this log.
        known_by: what the log knew by then, µs; None for no bound.
        read_at: the instant at which the viewer reads, µs.
        carried: whether the table `act` keeps what each carries beside its body.

    Attributes:
        marks: by entry, of all that was read: who may see it.
        outsider: whether the viewer takes no part in the case that was read last as the one asked about.
    """

    def __init__(
        self,
        views: Views,
        projection: str,
        seats: Mapping[str, Seat],
        viewer: str | bytes | None,
        *,
        known_by: int | None,
        read_at: int,
        carried: bool = False,
    ) -> None:
        self.views = views
        self.projection = projection
        self.seats = seats
        self.viewer = None if viewer is None else id_text(id_bytes(viewer))
        self.known_by = known_by
        self.read_at = read_at
        self.marks: dict[int, Mark] = {}
        self.outsider = False
        self._parts: dict[str, frozenset[str]] = {}
        self._entries: dict[int, bool] = {}
        self._carried = "carried" if carried else "''"

    def of_case(self, case_id: str | bytes, *, home: bool = False) -> list[Act]:
        """The acts of a case that the viewer may see; of the one asked about, whether it takes part is noted."""
        return self._visible(self._acts("case_id = ?", id_bytes(case_id)), home=home)

    def of_thing(self, thing_id: str | bytes) -> list[Act]:
        """The acts on a thing that the viewer may see."""
        return self._visible(self._acts("subject = ?", id_bytes(thing_id)))

    def sees_entry(self, index: int) -> bool:
        """
        Whether the viewer may see one entry, of whatever case; who takes part is what was known by then.

        Cost: one row, once for each entry.
        """
        if self.viewer is None:
            return True
        if index not in self._entries:
            sql = f"SELECT publisher, case_id, known_at, {_SIGHT} FROM {self.projection}.act WHERE idx = ?"
            found = self.views.db.execute(sql, (index,)).fetchone()
            if found is None:
                return False
            publisher, case_id, known_at, ring, embargo_until, addressees = found
            mark = Mark(id_text(publisher), known_at, ring, embargo_until, frozenset(addressees.split()))
            inside = self.takes_part(id_text(case_id), self.viewer)
            self._entries[index] = self._open_to(mark, self.viewer, inside=inside)
        return self._entries[index]

    def open_to_oversight(self, index: int) -> bool:
        """Whether oversight bodies may see an entry that was read, and no embargo lies on it."""
        mark = self.marks.get(index)
        return mark is not None and mark.ring in {"oversight", "public"} and not self._embargoed(mark)

    def takes_part(self, case_id: str, who: str) -> bool:
        """Whether an authority said something in a case, was addressed, or is named where it may read that it is."""
        if case_id not in self._parts:
            self._parts[case_id] = self._taking_part(case_id)
        return who in self._parts[case_id]

    def _acts(self, condition: str, key: bytes | int) -> list[Act]:
        known = Clocks(None, self.known_by)
        passes, bounds = known.where()
        sql = (
            f"SELECT {_FACT}, legal_effect_at, ring, embargo_until, addressees, {self._carried}"
            f" FROM {self.projection}.act WHERE ({condition}) AND {passes} ORDER BY idx"
        )
        found = []
        for values in self.views.db.execute(sql, (key, *bounds)):
            row = row_of(values, known)
            legal_effect_at, ring, embargo_until, addressees, carried = values[len(FACT) :]
            found.append(Act.of(row, legal_effect_at))
            self.marks[row.index] = Mark(
                row.publisher,
                row.known_at,
                ring,
                embargo_until,
                frozenset(addressees.split()),
                frozenset(carried.split()),
            )
        return found

    def _visible(self, acts: list[Act], *, home: bool = False) -> list[Act]:
        if self.viewer is None:
            return acts
        inside = self.takes_part(acts[0].case if acts else "", self.viewer) if acts else False
        if home:
            self.outsider = not inside
        return [act for act in acts if self._open_to(self.marks[act.index], self.viewer, inside=inside)]

    def _taking_part(self, case_id: str) -> frozenset[str]:
        known = "" if self.known_by is None else f" AND known_at <= {self.known_by:d}"
        rows = self.views.db.execute(
            f"SELECT idx, publisher, ring, embargo_until, addressees FROM {self.projection}.act"
            f" WHERE case_id = ?{known}",
            (id_bytes(case_id),),
        )
        found: set[str] = set()
        readable: set[int] = set()
        for index, publisher, ring, embargo_until, addressees in rows:
            found |= {id_text(publisher), *addressees.split()}
            if ring != "addressees" and (embargo_until is None or self.read_at >= embargo_until):
                readable.add(index)
        parts = self.views.db.execute(
            f"SELECT idx, authority FROM {self.projection}.part WHERE case_id = ?",
            (id_bytes(case_id),),
        )
        return frozenset(found | {id_text(one) for index, one in parts if index in readable})

    def _embargoed(self, mark: Mark) -> bool:
        return mark.embargo_until is not None and self.read_at < mark.embargo_until

    def _open_to(self, mark: Mark, who: str, *, inside: bool) -> bool:
        if who == mark.publisher or who in mark.addressees:
            return True
        if mark.ring == "addressees" or self._embargoed(mark):
            return False
        seat = self.seats.get(who)
        kind = None if seat is None else seat.authority_kind
        return mark.ring == "public" or inside or (mark.ring == "oversight" and kind in _OVERSIGHT)
