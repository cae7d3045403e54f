"""
The rows every projection is made of, and the two clocks that every answer takes.

A fact is an accepted or rejected entry, cut once into the columns that several projections keep. Rows are only
ever added, and each carries the index of the entry that says so; an answer is a fold over the rows that pass the
two clocks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ledger.statement import Recorded, Speaker

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_BYTES: Final = 16


def id_text(value: bytes) -> str:
    """
    Return the UUID text of a 16-byte id.

    >>> id_text(bytes(range(16)))
    '00010203-0405-0607-0809-0a0b0c0d0e0f'
    """
    h = value.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def id_bytes(value: str | bytes) -> bytes:
    """
    Return the 16 bytes of an id given as UUID text, as hex, or as bytes already.

    Raises:
        ValueError: *value* is not an id.
    """
    raw = value if isinstance(value, bytes) else bytes.fromhex(value.replace("-", ""))
    if len(raw) != _ID_BYTES:
        raise ValueError(f"an id has 16 bytes, not {len(raw)}")
    return raw


def instant_text(micros: int) -> str:
    """
    Return RFC 3339 text in UTC, without a fraction when the instant has none.

    >>> instant_text(1_591_056_000_000_000)
    '2020-06-02T00:00:00Z'
    """
    text = (_EPOCH + timedelta(microseconds=micros)).isoformat()
    return text.replace("+00:00", "Z")


def micros(value: object) -> int:
    """Return µs since the epoch of an instant given as µs or as an aware `datetime`."""
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, int):
        return value
    raise TypeError(f"not an instant: {value!r}")


def _plain(value: object) -> object:
    """Encode what JSON has no word for: ids as UUID text, other bytes as hex, instants as µs."""
    if isinstance(value, bytes):
        return id_text(value) if len(value) == _ID_BYTES else value.hex()
    if isinstance(value, datetime):
        return micros(value)
    raise TypeError(f"no plain form for {type(value).__name__}")


_dump = json.JSONEncoder(default=_plain, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


# ------------------------------------------------------------------------------------------------ columns

#: The columns that begin every table of facts, in this order. `known_at` is the instant from which the fact counts
#: as known: the log's clock, or the earlier instant that a proof of receipt shows.
COLUMNS: Final = (
    ("idx", "INTEGER NOT NULL"),
    ("statement", "BLOB NOT NULL"),
    ("case_id", "BLOB NOT NULL"),
    ("subject", "BLOB NOT NULL"),
    ("act", "TEXT NOT NULL"),
    ("kind", "TEXT NOT NULL"),
    ("publisher", "BLOB NOT NULL"),
    ("voice", "TEXT NOT NULL"),
    ("speaker", "TEXT"),
    ("occurred_from", "INTEGER NOT NULL"),
    ("occurred_until", "INTEGER NOT NULL"),
    ("confirmed", "INTEGER NOT NULL"),
    ("zone", "TEXT NOT NULL"),
    ("recorded_at", "INTEGER NOT NULL"),
    ("known_at", "INTEGER NOT NULL"),
    ("basis", "TEXT"),
    ("answers", "TEXT"),
    ("corrects", "BLOB"),
    ("body", "TEXT"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """
    One append-only table of a projection: rows are unique by the first column, `idx`, and the second where
    it is `ord`.

    `indexes` are column lists; they are made after a rebuild, so that a million rows are sorted once instead
    of inserted in order.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    indexes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The columns that make a row unique, and the canonical order of the digest."""
        return "idx, ord" if any(column == "ord" for column, _ in self.columns) else "idx"

    def create(self) -> str:
        """SQL that makes the table; it is clustered by its key, so appending never moves a page."""
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns)
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}, PRIMARY KEY ({self.key})) WITHOUT ROWID"

    def create_indexes(self) -> tuple[str, ...]:
        """SQL that makes the secondary indexes."""
        return tuple(
            f"CREATE INDEX IF NOT EXISTS {self.name}_by_{''.join(c if c.isalnum() else '_' for c in columns)}"
            f" ON {self.name} ({columns})"
            for columns in self.indexes
        )

    def insert(self) -> str:
        """
        SQL that adds one row; a row already there is an error, because an index already passed never comes
        this far.
        """
        return f"INSERT INTO {self.name} VALUES ({','.join('?' * len(self.columns))})"


class Fact:
    """
    One entry cut for the projections of a process: decoded once, its shared columns and its body's JSON made
    once, on demand.

    Cost: O(size of the entry), once.
    """

    __slots__ = ("_header", "body", "entry", "index", "statement")

    def __init__(self, recorded: Recorded) -> None:
        """Hold *recorded*; nothing is computed until asked for."""
        self.index = recorded.index
        self.entry = recorded.entry
        self.statement = recorded.statement
        self.body: Mapping[str, Any] | None = recorded.body
        self._header: tuple[object, ...] | None = None

    @property
    def accepted(self) -> bool:
        """Whether the log accepted the statement; a rejected one moves nothing and is shown by the audit alone."""
        return self.entry.disposition == "accepted"

    @property
    def known_at(self) -> int:
        """
        The instant from which the log's readers may count it as known, µs.

        A late entry counts from the instant that its proof of receipt shows; without the proof that
        instant is a claim, and the log's own clock stands.
        """
        statement, recorded_at = self.statement, self.entry.recorded_at
        claimed = statement.known_at
        if claimed is None or claimed >= recorded_at:
            return recorded_at
        proven = any(attachment.role == "receipt_proof" for attachment in statement.attachments)
        return claimed if proven else recorded_at

    def header(self) -> tuple[object, ...]:
        """Return the values of `COLUMNS`."""
        if self._header is None:
            s = self.statement
            self._header = (
                self.index,
                s.id,
                s.case,
                s.subject,
                s.act,
                s.kind,
                s.publisher,
                s.voice,
                None if s.speaker is None else _dump(_speaker(s.speaker)),
                s.occurred_from,
                s.occurred_until,
                int(s.occurred_confirmed),
                s.zone,
                self.entry.recorded_at,
                self.known_at,
                _dump([[b.instrument, b.article, b.domestic] for b in s.basis]) if s.basis else None,
                _dump([id_text(a) for a in s.answers]) if s.answers else None,
                s.corrects,
                None if self.body is None else _dump(self.body),
            )
        return self._header


def _speaker(speaker: Speaker) -> list[object]:
    return [speaker.authority, speaker.country, speaker.authority_kind, speaker.mandate, speaker.source]


# ------------------------------------------------------------------------------------------------ answers


@dataclass(frozen=True, slots=True)
class When:
    """
    When something happened and when the log learned of it; instants in µs since the epoch.

    `uncertain` says that the interval straddles the instant asked about: it may lie before or after it.
    """

    from_at: int
    until_at: int
    confirmed: bool
    uncertain: bool
    zone: str
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Who:
    """
    An authority as the reader knows it; `id` is None where a report names only a country and a kind of
    authority.
    """

    id: str | None
    designation: str
    country: str | None = None
    authority_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """
    Whose act it is, in whose voice: `own`, `on_behalf` (by which mandate) or `reported` (from which
    published source).
    """

    voice: str
    speaker: Who
    publisher: Who
    mandate: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of a table of facts as the queries fold it; `body` has ids as UUID text, other bytes as hex,
    instants in µs.
    """

    index: int
    statement: str
    case: str
    subject: str
    act: str
    kind: str
    publisher: str
    voice: str
    speaker: tuple[str | None, ...] | None
    when: When
    known_at: int
    basis: tuple[tuple[str, str | None, bool], ...]
    answers: tuple[str, ...]
    corrects: str | None
    body: dict[str, Any]

    @property
    def actor(self) -> str | None:
        """
        The id of the authority whose act it is: the publisher, or the one it speaks for; None where a
        report names none.
        """
        return self.publisher if self.speaker is None else self.speaker[0]

    @property
    def said_by_report(self) -> bool:
        """Whether nobody concerned said it: a report never completes a half."""
        return self.voice == "reported"


@dataclass(frozen=True, slots=True)
class Clocks:
    """
    What had happened, and what was known; µs, or None for no bound. `as of` is both.

    An act counts when it may have begun by `happened_by`; one that may also have happened later is marked uncertain.
    """

    happened_by: int | None = None
    known_by: int | None = None

    def where(self) -> tuple[str, list[int]]:
        """Return an SQL condition and its values."""
        sql, values = "1 = 1", []
        if self.happened_by is not None:
            sql += " AND occurred_from <= ?"
            values.append(self.happened_by)
        if self.known_by is not None:
            sql += " AND known_at <= ?"
            values.append(self.known_by)
        return sql, values

    def known_only(self) -> Clocks:
        """Return these clocks without the first: a correction speaks of the record, whenever it was made."""
        return Clocks(None, self.known_by)


def row_of(values: Sequence[Any], clocks: Clocks) -> Row:
    """Return the row of the columns *values*, in the order of `COLUMNS`."""
    (
        idx, statement, case, subject, act, kind, publisher, voice, speaker, occurred_from, occurred_until,
        confirmed, zone,
        recorded_at, known_at, basis, answers, corrects, body, *_,
    ) = values  # fmt: skip
    uncertain = clocks.happened_by is not None and occurred_until > clocks.happened_by
    return Row(
        idx,
        id_text(statement),
        id_text(case),
        id_text(subject),
        act,
        kind,
        id_text(publisher),
        voice,
        None if speaker is None else tuple(json.loads(speaker)),
        When(occurred_from, occurred_until, bool(confirmed), uncertain, zone, recorded_at),
        known_at,
        () if basis is None else tuple((i, a, d) for i, a, d in json.loads(basis)),
        () if answers is None else tuple(json.loads(answers)),
        None if corrects is None else id_text(corrects),
        {} if body is None else json.loads(body),
    )


def rows(db: sqlite3.Connection, table: str, clocks: Clocks, condition: str, values: Sequence[object]) -> list[Row]:
    """Return the rows of *table* that meet *condition* and pass the clocks, in the order of the log."""
    names = ", ".join(name for name, _ in COLUMNS)
    passes, bounds = clocks.where()
    sql = f"SELECT {names} FROM {table} WHERE ({condition}) AND {passes} ORDER BY idx"
    return [row_of(found, clocks) for found in db.execute(sql, [*values, *bounds])]


def to_json(answer: object) -> object:
    """
    Return *answer*, a frozen dataclass or a tuple of them, as JSON values; instants (`…_at`) become RFC 3339 text.

    >>> to_json(When(0, 0, True, False, "UTC", 0))["from_at"]
    '1970-01-01T00:00:00Z'
    """
    if is_dataclass(answer) and not isinstance(answer, type):
        return {f.name: _json_field(f.name, getattr(answer, f.name)) for f in fields(answer)}
    if isinstance(answer, (tuple, list)):
        return [to_json(item) for item in answer]
    if isinstance(answer, dict):
        return {str(name): _json_field(str(name), item) for name, item in answer.items()}
    return answer


#: Fields of bodies that are instants without ending in `_at`.
_INSTANTS: Final = frozenset(
    {"valid_from", "valid_until", "acquired_from", "acquired_until", "aware_since", "period_from", "period_until"}
)


def _json_field(name: str, value: object) -> object:
    if type(value) is int and (name.endswith("_at") or name in _INSTANTS):
        return instant_text(value)
    return to_json(value)
