"""
The tables of the shared projections: made, copied into, and told by their digest.

================== ============================================================== ==================
table              a row is                                                       written
================== ============================================================== ==================
projection_set     a projection: which generation of its tables stands, and which moved by a swap
                   one stood before
projection_place   a partition of a projection: how far it is, and whose it is    with the rows
projection_parked  an act that a projection has not taken                         with the rows
p<N>_<name>_<table> the rows of generation N                                      once
================== ============================================================== ==================

Everything here is done in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from ledger.errors import Conflict
from ledger.store.postgres.tables import escaped
from projections.facts import COLUMNS
from projections.filling import PROJECTIONS, Digest, Parking, edition, foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

    from projections.facts import Fact, Table
    from projections.filling import Projection

HEAD_SIZE: Final = len(COLUMNS)
"""With so many columns, those of ``facts.COLUMNS``, begin the tables that have them."""

CREATION_LOCK: Final = 0x636F6D7072
"""The advisory lock under which the tables are made."""

PASSING: Final = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable)
"""What the database raises that is no row's fault."""

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


def physical(generation: int, name: str, table: str) -> str:
    """Return what a table of a projection is called in the database."""
    return f"p{generation}_{name}_{table}"


# ------------------------------------------------------------------------------------- making them


def ensure(cursor: Cursor, partitions: int | None, otherwise: int) -> int:
    """
    Make the tables of each projection that has none; return the number of partitions.

    Args:
        cursor: of the caller's transaction.
        partitions: how many there must be; None for as many as there are.
        otherwise: how many there are if nothing was there before and None is said.

    Raises:
        Conflict: there is another number of them.
    """
    cursor.execute("SELECT to_regclass('projection_parked')")
    if cursor.fetchall() == [(None,)]:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
        cursor.execute(_TABLES)
    there = _partitions(cursor)
    if any(p.NAME not in there for p in PROJECTIONS):
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
        there = _partitions(cursor)
    count = next(iter(there.values()), partitions or otherwise)
    if partitions is not None and partitions != count:
        raise Conflict(
            f"the projections have {count} partitions, not {partitions}",
            why="the number of partitions of comity.entries never changes",
            what_now="declare the topic with as many as it was made with",
        )
    missing = [projection for projection in PROJECTIONS if projection.NAME not in there]
    if missing:
        generation = next_generation(cursor)
        for projection in missing:
            create(cursor, generation, projection)
            index(cursor, generation, projection)
            cursor.execute(
                "INSERT INTO projection_set VALUES (%s, %s, %s, NULL, NULL, %s)",
                (projection.NAME, generation, edition(projection), count),
            )
            open_places(cursor, generation, projection.NAME, count)
    return count


def _partitions(cursor: Cursor) -> dict[str, int]:
    cursor.execute("SELECT name, partitions FROM projection_set")
    return dict(cursor.fetchall())


def next_generation(cursor: Cursor) -> int:
    """Reserve a number for new tables: nobody else gets it."""
    cursor.execute("SELECT nextval('projection_generation')")
    return int(cursor.fetchall()[0][0])


def open_places(cursor: Cursor, generation: int, name: str, partitions: int, size: int = 0) -> None:
    """Write down that every partition of a projection has applied the entries below *size*."""
    cursor.execute(
        "INSERT INTO projection_place SELECT %s, %s, number, 1, %s, %s, 0, NULL FROM generate_series(0, %s) AS number",
        (generation, name, size, size, partitions - 1),
    )


def create(cursor: Cursor, generation: int, projection: Projection) -> None:
    """Make the tables of one generation, without their keys: rows come faster then."""
    for table in projection.TABLES:
        columns = []
        for name, kind in table.columns:
            word, _, more = kind.partition(" ")
            columns.append(f"{name} {_TYPES[word]} {more}")
        cursor.execute(f"CREATE TABLE {physical(generation, projection.NAME, table.name)} ({', '.join(columns)})")


def index(cursor: Cursor, generation: int, projection: Projection) -> None:
    """Give the tables of one generation their keys and indexes."""
    for table in projection.TABLES:
        name = physical(generation, projection.NAME, table.name)
        cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({table.key})")
        for columns in table.indexes:
            cursor.execute(f"CREATE INDEX ON {name} ({columns})")
        cursor.execute(f"ANALYZE {name}")


# ------------------------------------------------------------------------------------- which stand


@dataclass(frozen=True, slots=True)
class Standing:
    """The tables of a projection that stand: how far every partition of it is at least, and one at `most`."""

    generation: int
    edition: str
    size: int
    whole: int
    most: int


def standing(cursor: Cursor) -> dict[str, Standing]:
    """Return which tables stand, by projection, in the order of their names."""
    cursor.execute(
        "SELECT name, generation, edition, min(size), min(whole), max(size)"
        " FROM projection_set JOIN projection_place USING (name, generation) GROUP BY 1, 2, 3 ORDER BY 1"
    )
    return {name: Standing(*rest) for name, *rest in cursor.fetchall()}


def hold(cursor: Cursor, stands: Mapping[str, Standing]) -> None:
    """
    Keep these tables from being dropped until the caller's transaction ends; nobody else waits for that.

    Raises:
        psycopg2.errors.UndefinedTable: others were swapped in since, and one of these is dropped already.
    """
    names = [physical(stands[p.NAME].generation, p.NAME, table.name) for p in PROJECTIONS for table in p.TABLES]
    cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE")


def check_editions(found: Iterable[tuple[str, str]]) -> None:
    """Raise Conflict where one of these projections stands in tables that this release does not make."""
    if names := foreign(found):
        raise Conflict(
            f"{', '.join(names)} stands in tables of another release",
            what_now="build the tables of this one beside them: `comity project rebuild --online`",
        )


def parked_count(cursor: Cursor, generation: int, name: str, size: int | None = None) -> int:
    """Return how many acts of a projection are parked, of the entries below *size*."""
    cursor.execute(
        "SELECT count(*) FROM projection_parked WHERE generation = %s AND name = %s"
        " AND (%s::bigint IS NULL OR idx < %s)",
        (generation, name, size, size),
    )
    return int(cursor.fetchall()[0][0])


def digest(cursor: Cursor, generation: int, projection: Projection, size: int) -> str:
    """Return the SHA-256, in hex, over the rows made by entries below *size*. Cost: O(rows), a few at a time."""
    sha = Digest(projection.NAME)
    for table in sorted(projection.TABLES, key=lambda table: table.name):
        sha.table(table.name, _in_order(cursor, physical(generation, projection.NAME, table.name), table, size))
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


# ------------------------------------------------------------------------------------- rows


class Lines:
    """
    Rows as the text format of COPY writes them.

    Most tables begin with the same columns of an entry: their text is made once for all of them.
    """

    def __init__(self) -> None:
        self._heads: dict[object, tuple[tuple[object, ...], str]] = {}

    def of(self, rows: Iterable[tuple[object, ...]]) -> str:
        """
        Return the lines of *rows*.

        Raises:
            TypeError: a value is none that the tables have columns for.
        """
        made = []
        for row in rows:
            if len(row) < HEAD_SIZE:
                made.append("\t".join(map(copied, row)))
                continue
            head = row[:HEAD_SIZE]
            known = self._heads.get(row[0])
            if known is None or known[0] != head:
                known = self._heads[row[0]] = head, "\t".join(map(copied, head))
            made.append("\t".join((known[1], *map(copied, row[HEAD_SIZE:]))))
        made.append("")
        return "\n".join(made)


def copied(value: object) -> str:
    r"""
    Return one value as the text format of COPY writes it; a truth value as SQLite keeps it, 0 or 1.

    Raises:
        TypeError: no column is of its type; a fraction, most of all, would be cut off without a word.

    >>> [copied(value) for value in (None, True, 12, b"\x01", "a\tb")]
    ['\\N', '1', '12', '\\\\x01', 'a\\tb']
    """
    kind = _KINDS.get(type(value)) or next((of for known, of in _KINDS.items() if isinstance(value, known)), None)
    if kind is None:
        raise TypeError(f"no column takes a {type(value).__name__}: {value!r}")
    return kind(value)


def _text(value: str) -> str:
    # Looked for first: hardly any text has one, and translating it takes five times as long.
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        return escaped(value)
    return value


_KINDS: Final[dict[type, Callable[[Any], str]]] = {
    NoneType: lambda _: r"\N",
    bytes: lambda value: r"\\x" + value.hex(),
    str: _text,
    int: str,
    bool: lambda value: str(int(value)),
}


def copy(
    cursor: Cursor,
    generation: int,
    projection: Projection,
    rows: Mapping[str, list[tuple[object, ...]]],
    lines: Lines,
) -> None:
    """Copy rows, by table, into the tables of one generation."""
    texts = {table.name: lines.of(rows[table.name]).encode() for table in projection.TABLES if rows[table.name]}
    copy_lines(cursor, generation, projection.NAME, texts)


def copy_lines(cursor: Cursor, generation: int, name: str, texts: Mapping[str, bytes]) -> None:
    """Copy lines, by table, into the tables of one generation of the projection *name*."""
    for table, text in texts.items():
        cursor.copy_expert(f"COPY {physical(generation, name, table)} FROM STDIN", BytesIO(text), size=1 << 18)


def parking(
    cursor: Cursor,
    generation: int,
    projection: Projection,
    lines: Lines,
    park: Callable[[int, bytes, str], None] | None = None,
    streams: Sequence[bytes] = (),
) -> Parking:
    """
    Return what puts facts into the tables of one generation.

    Args:
        cursor: of the caller's transaction.
        generation: of the tables.
        projection: its module.
        lines: what has been written as text in this transaction already.
        park: notes what failed; None raises it.
        streams: for each act that is parked, its subject.
    """

    def put(rows: dict[str, list[tuple[object, ...]]]) -> None:
        cursor.execute("SAVEPOINT put")
        try:
            copy(cursor, generation, projection, rows, lines)
        except Exception:
            cursor.execute("ROLLBACK TO put")
            raise
        cursor.execute("RELEASE put")

    return Parking(projection, put, park, streams, len(streams), PASSING)


def put_all(cursor: Cursor, generation: int, facts: Sequence[Fact]) -> None:
    """
    Copy what *facts* make of every projection.

    Raises:
        ProjectionFailed: naming the first entry that was not taken.
    """
    lines = Lines()
    for projection in PROJECTIONS:
        parking(cursor, generation, projection, lines).take(facts)
