"""Fences in PostgreSQL; see ``ledger.store.fence``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, Literal, cast

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from ledger.store.postgres.connections import Connections, meaning
from ledger.store.postgres.store import PostgresStore
from ledger.store.postgres.tables import FENCED, FENCES
from ledger.store.promises import BUSY_SECONDS

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

_SETTING: Final = "comity.arriving"

# What whoever copies has set in his own session is his key to the fence.
_WHEN: Final = {"left": "", "arriving": f"WHEN (coalesce(current_setting('{_SETTING}', true), '') <> 'yes')"}

_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS
$fence$ BEGIN RAISE EXCEPTION USING MESSAGE = {said}, ERRCODE = {code}; END $fence$;
CREATE OR REPLACE TRIGGER {trigger} BEFORE INSERT ON entries FOR EACH STATEMENT {when} EXECUTE FUNCTION {function}();
"""


def put_up(address: str, kind: Literal["left", "arriving"], said: str) -> None:
    """Make the trigger; it waits for whoever is appending."""
    _run(
        address,
        sql.SQL(_FUNCTION).format(
            function=sql.Identifier(f"refuse_{kind}"),
            trigger=sql.Identifier(FENCES[kind]),
            said=sql.Literal(said),
            code=sql.Literal(FENCED),
            when=sql.SQL(_WHEN[kind]),
        ),
    )


def take_down(address: str, kind: Literal["left", "arriving"]) -> None:
    """Drop the trigger."""
    _run(address, sql.SQL("DROP TRIGGER IF EXISTS {} ON entries").format(sql.Identifier(FENCES[kind])))


def standing(address: str) -> tuple[Literal["left", "arriving"], str] | None:
    """Return which fence stands, and what its function says; None where none does, or there are no tables."""
    with closing(Connections(address)) as connections:
        rows = connections.read(
            "SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
            "WHERE tgrelid = to_regclass('entries') AND tgname = ANY(%s)",
            (list(FENCES.values()),),
        )
    kinds = {name: kind for kind, name in FENCES.items()}
    found = sorted((kinds[name] == "arriving", kinds[name], said) for name, said in rows)
    return cast("tuple[Literal['left', 'arriving'], str]", found[0][1:]) if found else None


def open_arriving(address: str) -> PostgresStore:
    """Open the store with the setting that passes its fence."""
    options = parse_dsn(address).get("options", "")
    return PostgresStore(make_dsn(address, options=f"{options} -c{_SETTING}=yes".strip()))


def _run(address: str, statements: sql.Composable) -> None:
    with closing(Connections(address)) as connections:
        try:
            with connections.lent() as one, one.cursor() as cursor:
                _at_once(cursor, statements)
        except psycopg2.Error as error:
            raise meaning(error) from error


def _at_once(cursor: Cursor, statements: sql.Composable) -> None:
    cursor.execute("BEGIN")
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", (str(round(BUSY_SECONDS * 1000)),))
    cursor.execute(statements)
    cursor.execute("COMMIT")
