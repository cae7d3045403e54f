"""
Who did what, when, under which article, in order.

Every entry is shown, the rejected ones with the reason; corrections and disputes stand at the act
that they concern; entries of a case that this copy of the log does not hold are named as a hole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections.facts import COLUMNS, Clocks, Fact, Row, Said, Table, When, id_bytes, id_text, row_of
from projections.sentences import articles, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from projections.views import Views

NAME: Final = "audit"

TABLES: Final = (
    Table(
        "entry",
        (
            *COLUMNS,
            ("disposition", "TEXT NOT NULL"),
            ("reason", "TEXT"),
            ("case_version", "INTEGER"),
            ("subject_version", "INTEGER"),
        ),
        ("case_id", "subject", "publisher", "statement"),
    ),
    Table(
        "remark",
        (("idx", "INTEGER NOT NULL"), ("ord", "INTEGER NOT NULL"), ("target", "BLOB NOT NULL")),
        ("target",),
    ),
)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    entry, statement = fact.entry, fact.statement
    rows["entry"].append(
        (
            *fact.header(),
            entry.disposition,
            entry.reason,
            entry.case_version,
            entry.subject_version,
        )
    )
    if not fact.accepted:
        return
    if statement.corrects is not None:
        rows["remark"].append((fact.index, 0, statement.corrects))
    elif statement.act == "statement.disputed":
        rows["remark"].extend((fact.index, number, target) for number, target in enumerate(statement.answers))


@dataclass(frozen=True, slots=True)
class Remark:
    """A correction or a dispute, shown at the act that it concerns; `kind` is `corrected` or `disputed`."""

    index: int
    kind: str
    reason: str
    said: Said
    when: When
    replaced_by: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """
    One entry of the trail.

    `answers` and `corrects` are indexes of earlier entries; `case_version` and `subject_version` count the accepted
    entries of the case and of the stream before this one (None for a rejected entry).
    """

    index: int
    statement: str
    case: str
    subject: str
    act: str
    kind: str
    sentence: str
    when: When
    said: Said
    articles: tuple[str, ...]
    disposition: str
    reason: str | None
    answers: tuple[int, ...]
    corrects: int | None
    remarks: tuple[Remark, ...]
    case_version: int | None
    subject_version: int | None
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class Hole:
    """Entries this copy of the log does not hold: `first` to `last` inclusive, numbered within the case or stream."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trail:
    """The entries in the order of the log, and the holes between them."""

    lines: tuple[Line, ...]
    holes: tuple[Hole, ...]


def case(
    views: Views,
    case_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    after_index: int = -1,
    limit: int | None = None,
) -> Trail:
    """
    Return the trail of a case, rejected entries included.

    Args:
        views: the projections, opened for reading.
        case_id: the case.
        happened_by: what may have happened by then, µs; None for no bound.
        known_by: what the log knew by then, µs; None for no bound.
        after_index: page on after this entry.
        limit: at most so many lines.

    Raises:
        NotFound: nothing is known of the case at these clocks.

    Cost: O(entries of the case).
    """
    return _trail(views, "case_id", "case_version", case_id, Clocks(happened_by, known_by), after_index, limit)


def subject(
    views: Views,
    subject_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    after_index: int = -1,
    limit: int | None = None,
) -> Trail:
    """Return the trail of one thing, its stream; otherwise as `case`."""
    clocks = Clocks(happened_by, known_by)
    return _trail(views, "subject", "subject_version", subject_id, clocks, after_index, limit)


def authority(
    views: Views,
    authority_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    after_index: int = -1,
    limit: int | None = None,
) -> Trail:
    """Return what one authority published, in any voice; otherwise as `case`, and without holes."""
    clocks = Clocks(happened_by, known_by)
    return _trail(views, "publisher", None, authority_id, clocks, after_index, limit)


def concerning(
    views: Views,
    identity: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    after_index: int = -1,
    limit: int | None = None,
) -> Trail:
    """
    Return all that anybody said by, of or about one id; otherwise as `case`, and without holes.

    Of an authority: what it published, what it is said to have done, what its root said of it, and the entries that
    name it. Of a person: the entries that name the person. Of a statement: itself, and what answers, corrects or
    disputes it. Of any other thing: its stream, and the entries that point to it.

    Cost: one pass over the log.
    """
    key = id_bytes(identity)
    quoted = f'%"{id_text(key)}"%'
    where = "(? IN (publisher, subject, statement, corrects) OR speaker LIKE ? OR answers LIKE ? OR body LIKE ?)"
    values = (key, quoted, quoted, quoted)
    found = _found(views, where, values, Clocks(happened_by, known_by), after_index, limit)
    if not found and after_index < 0:
        raise NotFound(f"nothing is known of {id_text(key)}")
    return Trail(tuple(_lines(views, found, Clocks(happened_by, known_by))), ())


def named(views: Views, digits: str) -> set[bytes]:
    """
    Return the ids beginning with these hexadecimal digits that the body of some entry names: persons, most of all.

    Cost: one pass over the log.
    """
    begun = "-".join(part for part in (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]) if part)
    written = re.compile(rf'"({re.escape(begun)}[0-9a-f-]{{{36 - len(begun)}}})"')
    found = views.db.execute("SELECT body FROM audit.entry WHERE body LIKE ?", (f'%"{begun}%',))
    return {id_bytes(one) for (body,) in found for one in written.findall(body)}


def entry(views: Views, index: int) -> Line:
    """
    Return one entry as a line of the trail.

    Raises:
        NotFound: the projection has not applied it.
    """
    found = views.db.execute(f"SELECT {_NAMES} FROM audit.entry WHERE idx = ?", (index,)).fetchone()
    if found is None:
        size = views.sizes()["audit"]
        raise NotFound(
            f"there is no entry {index}",
            why=f"there are {size} entries, counted from 0",
            what_now="see the newest: `comity tail`",
        )
    return _lines(views, [found], Clocks())[0]


_NAMES: Final = ", ".join(name for name, _ in TABLES[0].columns)


def _trail(
    views: Views,
    column: str,
    version: str | None,
    value: str | bytes,
    clocks: Clocks,
    after_index: int,
    limit: int | None,
) -> Trail:
    key = id_bytes(value)
    found = _found(views, f"{column} = ?", (key,), clocks, after_index, limit)
    if not found and after_index < 0:
        raise NotFound(f"nothing is known of {column.removesuffix('_id')} {id_text(key)}")
    holes = () if version is None else _holes(views, column, version, key, clocks)
    return Trail(tuple(_lines(views, found, clocks)), holes)


def _found(
    views: Views, where: str, values: Sequence[object], clocks: Clocks, after_index: int, limit: int | None
) -> list[Sequence[object]]:
    passes, bounds = clocks.where()
    return views.db.execute(
        f"SELECT {_NAMES} FROM audit.entry WHERE {where} AND idx > ? AND {passes} ORDER BY idx LIMIT ?",
        (*values, after_index, *bounds, -1 if limit is None else limit),
    ).fetchall()


def _holes(views: Views, column: str, version: str, key: bytes, clocks: Clocks) -> tuple[Hole, ...]:
    """
    Name the versions that are missing below the last one known.

    The first clock is left out: an entry that happened later than asked about is no hole.
    """
    bound = clocks.known_by
    found = views.db.execute(
        f"SELECT {version} FROM audit.entry WHERE {column} = ? AND {version} IS NOT NULL"
        " AND (? IS NULL OR recorded_at <= ?) ORDER BY 1",
        (key, bound, bound),
    )
    holes, expected = [], 0
    for (number,) in found:
        if number > expected:
            holes.append(Hole(expected, number - 1))
        expected = number + 1
    return tuple(holes)


def _lines(views: Views, found: Sequence[Sequence[object]], clocks: Clocks) -> list[Line]:
    entries = [(row_of(values, clocks), values[len(COLUMNS) :]) for values in found]
    mentioned = {s for r, _ in entries for s in (*r.answers, r.corrects) if s is not None}
    remarks = _remarks(views, [r.statement for r, _ in entries], clocks)
    replaced = {
        str(r.body.get("replaced_by")) for of in remarks.values() for r in of if r.body.get("replaced_by") is not None
    }
    indexes = index_of(views, mentioned | replaced)
    return [
        Line(
            r.index,
            r.statement,
            r.case,
            r.subject,
            r.act,
            r.kind,
            sentence(views, r, rejected=extra[0] != "accepted"),
            r.when,
            views.said(r),
            articles(views, r),
            str(extra[0]),
            None if extra[1] is None else str(extra[1]),
            tuple(indexes[s] for s in r.answers if s in indexes),
            None if r.corrects is None else indexes.get(r.corrects),
            tuple(
                Remark(
                    remark.index,
                    "disputed" if remark.act == "statement.disputed" else "corrected",
                    str(remark.body.get("reason", "")),
                    views.said(remark),
                    remark.when,
                    indexes.get(str(remark.body.get("replaced_by"))),
                )
                for remark in remarks.get(r.statement, ())
            ),
            _number(extra[2]),
            _number(extra[3]),
            r.body,
        )
        for r, extra in entries
    ]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _in_parts(values: Iterable[str], size: int = 500) -> list[list[bytes]]:
    """Split ids into lists short enough for one SQL statement."""
    ids = [id_bytes(value) for value in values]
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def index_of(views: Views, statements: Iterable[str]) -> dict[str, int]:
    """Return the index of each statement id that the log holds."""
    found: dict[str, int] = {}
    for part in _in_parts(statements):
        marks = ",".join("?" * len(part))
        sql = f"SELECT statement, idx FROM audit.entry WHERE statement IN ({marks})"
        found.update((id_text(statement), index) for statement, index in views.db.execute(sql, part))
    return found


def _remarks(views: Views, statements: list[str], clocks: Clocks) -> dict[str, list[Row]]:
    """Return the corrections and disputes of each statement that were known, whenever they were made."""
    clocks = clocks.known_only()
    passes, bounds = clocks.where()
    names = ", ".join(f"e.{name}" for name, _ in COLUMNS)
    found: dict[str, list[Row]] = {}
    for part in _in_parts(statements):
        marks = ",".join("?" * len(part))
        sql = (
            f"SELECT r.target, {names} FROM audit.remark r JOIN audit.entry e USING (idx)"
            f" WHERE r.target IN ({marks}) AND {passes} ORDER BY idx"
        )
        for target, *values in views.db.execute(sql, [*part, *bounds]):
            found.setdefault(id_text(target), []).append(row_of(values, clocks))
    return found
