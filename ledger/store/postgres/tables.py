"""
The tables of the log in PostgreSQL, and how rows get into them.

========== ============================================= =======================================
table      a row is                                      written
========== ============================================= =======================================
entries    one leaf, with its stream, case and statement once; ``idx`` is the leaf index
head       size, clock, the sealer's epoch, seals so far moved; its lock is the tree lock
nodes      up to 60 consecutive nodes of the tree        once (``ledger.log.tree`` numbers them)
sequences  signing key -> next sequence                  moved
seals      one signed checkpoint, by size, numbered      once
========== ============================================= =======================================

The name of the head is that of its table of entries with ``_head``: an application built on the
eventsourcing library may have tables of its own (``ledger.store.postgres.recorder``).

Triggers refuse UPDATE, DELETE and TRUNCATE of what is written once, and any step back of what moves.
They bind whoever owns the tables too; the roles of ``deploy/roles.sql`` do not even have the right.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from psycopg2 import sql

from ledger.store.promises import ROSTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

NODES_PER_ROW: Final = 60
"""How many nodes share a row: with 32 bytes each it stays under 2 kB, where values move out of the table."""

COPY_MIN: Final = 32
"""From so many rows on, COPY is worth its two round trips more."""

CREATION_LOCK: Final = 0x636F6D697479
"""The advisory lock under which tables are made: processes that start together make them once."""

_GUARD: Final = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%: the log is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;
"""

# Hashes, keys and signatures do not shrink: compressing them is work for nothing.
_ENTRIES: Final = """
CREATE TABLE IF NOT EXISTS {entries} (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    originator_id text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    statement_id bytea,
    case_id bytea,
    case_version bigint,
    UNIQUE (originator_id, originator_version)
);
ALTER TABLE {entries} ALTER state SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS {head} (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    size bigint NOT NULL, recorded_at bigint NOT NULL, epoch bigint NOT NULL, seals bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO {head} (size, recorded_at, epoch, seals)
    SELECT coalesce(max(idx) + 1, 0), 0, 0, 0 FROM {entries} ON CONFLICT DO NOTHING;
CREATE OR REPLACE TRIGGER never_back BEFORE UPDATE ON {head} FOR EACH ROW
    WHEN (NEW.size < OLD.size OR NEW.recorded_at < OLD.recorded_at OR NEW.epoch < OLD.epoch OR NEW.seals < OLD.seals)
    EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_gone BEFORE DELETE OR TRUNCATE ON {head} EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {entries}
    EXECUTE FUNCTION refuse_change();
"""

_LOG: Final = f"""
CREATE UNIQUE INDEX IF NOT EXISTS entries_statement ON entries (statement_id) WHERE statement_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS entries_case ON entries (case_id, case_version) WHERE case_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_roster ON entries (idx) WHERE topic IN ({ROSTER});
CREATE TABLE IF NOT EXISTS nodes (
    first bigint PRIMARY KEY,
    hashes bytea NOT NULL CHECK (octet_length(hashes) > 0 AND octet_length(hashes) % 32 = 0)
);
ALTER TABLE nodes ALTER hashes SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS sequences (key bytea PRIMARY KEY, next bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS seals (
    size bigint PRIMARY KEY, root bytea NOT NULL, note bytea NOT NULL, number bigint NOT NULL
);
ALTER TABLE seals ALTER note SET STORAGE EXTERNAL;
CREATE OR REPLACE TRIGGER never_back BEFORE UPDATE ON sequences FOR EACH ROW
    WHEN (NEW.next < OLD.next OR NEW.key <> OLD.key) EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER never_gone BEFORE DELETE OR TRUNCATE ON sequences EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON nodes EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON seals EXECUTE FUNCTION refuse_change();
"""


GUARDS: Final = frozenset(
    {("entries_head", "never_back"), ("entries_head", "never_gone"), ("sequences", "never_back")}
    | {("sequences", "never_gone"), ("entries", "written_once"), ("nodes", "written_once"), ("seals", "written_once")}
)
"""The triggers that keep the log append-only, each with its table."""

FENCES: Final = {"left": "log_has_left", "arriving": "log_is_arriving"}
"""The triggers of ``ledger.store.fence`` on the table of entries, by what they say."""

FENCED: Final = "CY001"
"""The SQLSTATE with which a fence refuses: of a class that PostgreSQL leaves to others."""


def head_of(entries: str) -> str:
    """Return the name of the head of a table of entries."""
    return f"{entries}_head"


def named(query: str, **tables: str) -> sql.Composed:
    """Return a query with the names of tables in it, quoted."""
    return sql.SQL(query).format(**{name: sql.Identifier(table) for name, table in tables.items()})


def create_entries(cursor: Cursor, entries: str = "entries") -> None:
    """Make a table of entries and its head, unless they are there; in the caller's transaction."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
    cursor.execute(_GUARD)
    cursor.execute(named(_ENTRIES, entries=entries, head=head_of(entries)))


def create_log(cursor: Cursor) -> None:
    """Make all tables of the log, unless they are there; in the caller's transaction."""
    create_entries(cursor)
    cursor.execute(_LOG)


# ------------------------------------------------------------------------------------- copying

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def escaped(text: str) -> str:
    """Return a text as the text format of COPY writes it."""
    return text.translate(_ESCAPES)


def copy(cursor: Cursor, target: sql.Composable, lines: Iterable[str]) -> None:
    """Copy lines of the text format of COPY, each with its newline, into *target*: a table and its columns."""
    data = "".join(lines).encode()
    cursor.copy_expert(sql.SQL("COPY {} FROM STDIN").format(target), BytesIO(data), size=1 << 18)


def byte_array(values: Iterable[bytes]) -> str:
    """Return byte strings as the text of a ``bytea[]``: one literal is read faster than one for each."""
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"
