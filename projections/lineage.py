"""
The rows that say where an exhibit comes from, at one pair of clocks and through one pair of eyes.

Each row is read once for an answer. What somebody may not see is left out here, so that whatever is told of an
exhibit (`projections.provenance`), of its gaps and of the conditions on it rests on what may be seen alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from projections.facts import COLUMNS, Clocks, Row, Who, id_bytes, row_of, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from projections.sight import Sight
    from projections.views import Views

__all__ = ["MADE", "Origin", "Reader", "homes", "origin_of"]

MADE: Final = ("exhibit.acquired", "exhibit.derived")
"""Acts by which an exhibit comes to be."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    One exhibit of the lineage: how it came to be, by the entry at `index`.

    `parents` is empty for one that was acquired, not derived. `distance` is 0 for the exhibit asked
    about, 1 for what it was derived from, and so on. Indexes that no entry supports are None.
    """

    exhibit: str
    index: int
    exhibit_kind: str | None
    parents: tuple[str, ...]
    transformation: str | None
    reproducible: bool | None
    acquired_by: Who | None
    source_country: str | None
    method: str | None
    authorisation_index: int | None
    measure_index: int | None
    hash: str | None
    hash_kind: str | None
    manifest_root: str | None
    items: int | None
    acquired_from_at: int | None
    acquired_until_at: int | None
    copy: str | None
    series: str | None
    distance: int


class Reader:
    """The rows of one answer, at one pair of clocks and through one pair of eyes, each read once."""

    def __init__(self, views: Views, clocks: Clocks, sight: Sight | None) -> None:
        self.views = views
        self.clocks = clocks
        self.sight = sight
        self._subjects: dict[str, list[Row]] = {}
        self._statements: dict[str, Row | None] = {}

    def subject(self, thing: str) -> list[Row]:
        """The rows of one stream, in the order of the log."""
        if thing not in self._subjects:
            self._subjects[thing] = self._rows("subject = ?", [id_bytes(thing)])
        return self._subjects[thing]

    def of_case(self, case: str, acts: Sequence[str]) -> list[Row]:
        """The rows of a case with one of *acts*."""
        marks = ",".join("?" * len(acts))
        where = f"case_id = ? AND act IN ({marks})"
        return self._rows(where, [id_bytes(case), *acts])

    def statement(self, statement: str | None) -> Row | None:
        """The row of one statement, None where it is not shown."""
        if statement is None:
            return None
        if statement not in self._statements:
            found = self._rows("statement = ?", [id_bytes(statement)])
            self._statements[statement] = found[0] if found else None
        return self._statements[statement]

    def linked(self, thing: str, role: str, clocks: Clocks | None = None) -> list[Row]:
        """The rows whose act names *thing* in *role*."""
        clocks = clocks or self.clocks
        passes, bounds = clocks.where()
        names = ", ".join(f"f.{name}" for name, _ in COLUMNS)
        sql = (
            f"SELECT DISTINCT {names} FROM provenance.link l JOIN provenance.fact f USING (idx)"
            f" WHERE l.thing = ? AND l.role = ? AND {passes} ORDER BY idx"
        )
        found = self.views.db.execute(sql, (id_bytes(thing), role, *bounds))
        return self._seen(row_of(values, clocks) for values in found)

    def _rows(self, where: str, values: Sequence[object]) -> list[Row]:
        return self._seen(rows(self.views.db, "provenance.fact", self.clocks, where, values))

    def _seen(self, found: Iterable[Row]) -> list[Row]:
        return [row for row in found if self.sight is None or self.sight.sees_entry(row.index)]

    def corrected_by(self, found: Row) -> int | None:
        """The index of the correction of a row, as far as it was known."""
        by = self.linked(found.statement, "corrected", self.clocks.known_only())
        return by[-1].index if by else None

    def disputed_by(self, found: Row) -> tuple[int, ...]:
        """The indexes of disputes of a row, as far as they were known."""
        by = self.linked(found.statement, "disputed", self.clocks.known_only())
        return tuple(dispute.index for dispute in by)


def origin_of(reader: Reader, made: Row, distance: int) -> Origin:
    """Return how an exhibit came to be, by the row that made it; *distance* counts derivations on the way to it."""
    body, views = made.body, reader.views
    derived = made.act == "exhibit.derived"
    measure = reader.statement(body.get("measure"))
    authorisation = reader.statement(body.get("authorisation"))
    if authorisation is None and measure is not None:
        authorisation = reader.statement(measure.body.get("authorisation"))
    by = body.get("acquired_by")
    return Origin(
        made.subject,
        made.index,
        body.get("exhibit_kind"),
        tuple(body.get("parents", ())),
        body.get("transformation"),
        body.get("reproducible"),
        views.said(made).speaker if derived or by is None else views.who(by),
        body.get("source_country"),
        body.get("method"),
        None if authorisation is None else authorisation.index,
        None if measure is None else measure.index,
        body.get("hash"),
        body.get("hash_kind"),
        body.get("manifest_root"),
        body.get("items"),
        body.get("acquired_from"),
        body.get("acquired_until"),
        body.get("copy"),
        body.get("series"),
        distance,
    )


def homes(
    views: Views,
    exhibits: Iterable[str],
    *,
    known_by: int | None = None,
    sight: Sight | None = None,
    forward: bool = False,
) -> tuple[str, ...]:
    """
    Return the cases that exhibits, and everything they were derived from, have gone through.

    Args:
        views: the projections, opened for reading.
        exhibits: the exhibits, UUID text.
        known_by: what the log knew by then, µs; None for no bound.
        sight: as `exhibit`.
        forward: also the cases of what was derived from them.

    Cost: a few rows for each exhibit of the lineages.
    """
    reader = Reader(views, Clocks(None, known_by), sight)
    found: dict[str, None] = {}
    queue = list(dict.fromkeys(exhibits))
    seen = set(queue)
    for exhibit in queue:
        rows_ = reader.subject(exhibit)
        near = [parent for row in rows_ if row.act in MADE for parent in row.body.get("parents", ())]
        if forward:
            near += [derived.subject for derived in reader.linked(exhibit, "parent")]
        found.update((row.case, None) for row in (*rows_, *reader.linked(exhibit, "listed")))
        queue += (one for one in dict.fromkeys(near) if one not in seen)
        seen.update(near)
    return tuple(found)
