"""Reading the shared projections: the queries as they are written for SQLite, on the tables that stand."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Final, cast

import psycopg2

from ledger.errors import NotFound, Unavailable
from ledger.store import POSTGRES
from ledger.store.postgres.connections import Connections, meaning
from projections.filling import PROJECTIONS
from projections.shared import tables
from projections.shared.units import JOINED
from projections.views import Views

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import connection as Connection  # noqa: N812 -- the driver writes its types small
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- as above


_SWAPS_MAX: Final = 10
"""So often tables may be swapped and dropped between looking which stand and holding them."""

_WITH: Final = re.compile(r"\s*WITH\s+(?:RECURSIVE\s+)?")


class _Answers:
    """
    What the queries call `db`: SQL as they write it, on the tables of the generations that stand.

    Of a projection that joins cases they see the entries below the size that all its partitions have reached: never
    the later half of what two cases say without the earlier.
    """

    def __init__(self, connection: Connection, stands: Mapping[str, tables.Standing]) -> None:
        self._connection = connection
        self._stands = stands
        # Only tables: an act may be called like them (`admissibility.ruled`).
        named = "|".join(f"{p.NAME}\\.(?:{'|'.join(table.name for table in p.TABLES)})" for p in PROJECTIONS)
        self._named = re.compile(rf"\b(?:{named})\b")
        self._translated: dict[str, str] = {}

    def _translate(self, query: str) -> str:
        prefixes: dict[str, str] = {}

        def physical(match: re.Match[str]) -> str:
            name, _, table = match[0].partition(".")
            one = self._stands[name]
            there = tables.physical(one.generation, name, table)
            # Where all are equally far, there is nothing behind.
            if name not in JOINED or one.size == one.most:
                return there
            prefixes[f"prefix_{name}_{table}"] = f"SELECT * FROM {there} WHERE idx < {one.size}"
            return f"prefix_{name}_{table}"

        # To SQLite a limit of -1 is none.
        found = self._named.sub(
            physical, query.replace("%", "%%").replace("LIMIT ?", "LIMIT nullif(?, -1)").replace("?", "%s")
        )
        if not prefixes:
            return found
        # Not materialized: the indexes of the table are used as if it were named itself.
        shown = ", ".join(f"{name} AS NOT MATERIALIZED ({rows})" for name, rows in prefixes.items())
        begun = _WITH.match(found)
        return f"WITH {shown} {found}" if begun is None else f"{begun[0]}{shown}, {found[begun.end() :]}"

    def execute(self, query: str, values: Sequence[object] = ()) -> Cursor:
        """
        Run a query; rows are fetched as from SQLite.

        Raises:
            Unavailable: the database cannot answer now.
        """
        found = self._translated.get(query)
        if found is None:
            found = self._translated[query] = self._translate(query)
        try:
            cursor = self._connection.cursor()
            cursor.execute(found, list(values))
        except psycopg2.Error as error:
            raise meaning(error) from error
        return cursor

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SharedViews(Views):
    """The views on projections in PostgreSQL: one snapshot, until they are closed."""

    def __init__(self, answers: _Answers, sizes: dict[str, int]) -> None:
        # It answers the queries that a connection would.
        super().__init__(cast("sqlite3.Connection", answers))
        self._sizes = sizes

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied: all below that, in every partition."""
        return dict(self._sizes)


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
            stands = _held(cursor)
    except psycopg2.Error as error:
        connection.close()
        raise meaning(error) from error
    except BaseException:
        connection.close()
        raise
    answers = _Answers(connection, stands)
    return SharedViews(answers, {name: one.size for name, one in stands.items()})


def _held(cursor: Cursor) -> dict[str, tables.Standing]:
    """Begin the snapshot, and hold its tables: a rebuild drops what nobody holds."""
    for _ in range(_SWAPS_MAX):
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        stands = tables.standing(cursor)
        tables.check_editions((name, one.edition) for name, one in stands.items())
        try:
            tables.hold(cursor, stands)
        except psycopg2.errors.UndefinedTable:
            cursor.execute("ROLLBACK")
            continue
        return stands
    raise Unavailable("the projections are swapped again and again", what_now="ask again when no rebuild runs")
