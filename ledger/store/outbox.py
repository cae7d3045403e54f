"""
The outbox: where a publisher keeps what it has signed, before it first sends it.

A statement is written here, signed and numbered, in one durable transaction; only then is it sent.
So a crash at any point neither loses nor doubles it::

    before the transaction   nothing was signed: the draft is still the caller's
    after it, before sending  the same bytes are sent at the next start
    after sending             the same bytes are sent again, and the log returns its first answer

Sequences are given out here, gapless for each signing key, because an omission must be visible.
A statement that the log *refused* consumed no sequence: those behind it are signed anew.
It is in the log nowhere, so it is kept here, with the refusal, until its publisher has been shown it.

The outbox is the publisher's own and may hold what the log never sees; it is not evidence.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from ledger.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BUSY_SECONDS: Final = 30

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS outgoing (
    key BLOB NOT NULL, sequence INTEGER NOT NULL, id BLOB NOT NULL,
    statement BLOB NOT NULL, signature BLOB NOT NULL, batch BLOB,
    PRIMARY KEY (key, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (
    key BLOB PRIMARY KEY, next INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered (
    id BLOB PRIMARY KEY, idx INTEGER NOT NULL, accepted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL, id BLOB NOT NULL, statement BLOB NOT NULL,
    code TEXT NOT NULL, what TEXT NOT NULL, field TEXT NOT NULL, expected INTEGER, note BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A signed statement that has no answer yet; ``batch`` is its place in a batch, packed, or None."""

    key: bytes
    sequence: int
    id: bytes
    statement: bytes
    signature: bytes
    batch: bytes | None


@dataclass(frozen=True, slots=True)
class Unshown:
    """A statement that the log refused, and nobody has been shown yet; ``note`` is the refusal as the log signed it."""

    key: bytes
    id: bytes
    statement: bytes
    code: str
    what: str
    field: str
    expected: int | None
    note: bytes


class Writing:
    """One transaction on the outbox of one signing key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection

    def next_sequence(self, key: bytes, otherwise: int) -> int:
        """Return the next sequence of *key*; *otherwise* what the log expects, when the key is new here."""
        row = self._run.execute("SELECT next FROM sequences WHERE key = ?", (key,)).fetchone()
        return otherwise if row is None else cast("int", row[0])

    def put(self, rows: Sequence[Outgoing], following: int) -> None:
        """Store signed statements of one key, whose next sequence becomes *following*."""
        self._run.executemany(
            "INSERT INTO outgoing VALUES (?,?,?,?,?,?)",
            [(row.key, row.sequence, row.id, row.statement, row.signature, row.batch) for row in rows],
        )
        self._run.execute("INSERT OR REPLACE INTO sequences VALUES (?,?)", (rows[0].key, following))

    def pending(self, key: bytes) -> list[Outgoing]:
        """Return what has no answer yet, in order."""
        found = self._run.execute("SELECT * FROM outgoing WHERE key = ? ORDER BY sequence", (key,))
        return [Outgoing(*row) for row in found]

    def answer(self, answered: Sequence[tuple[bytes, int, bytes, int, bool]]) -> None:
        """Note answers: (key, sequence, statement id, index, accepted). The statements are the log's now."""
        self._run.executemany("INSERT OR REPLACE INTO answered VALUES (?,?,?)", [row[2:] for row in answered])
        self._run.executemany("DELETE FROM outgoing WHERE key = ? AND sequence = ?", [row[:2] for row in answered])

    def withdraw(self, key: bytes, sequence: int) -> list[Outgoing]:
        """Take out a refused statement and everything behind it; the sequence is free again."""
        rows = [row for row in self.pending(key) if row.sequence >= sequence]
        self._run.execute("DELETE FROM outgoing WHERE key = ? AND sequence >= ?", (key, sequence))
        self._run.execute("UPDATE sequences SET next = ? WHERE key = ?", (sequence, key))
        return rows

    def refuse(self, refused: Unshown) -> None:
        """Keep a refusal until somebody has been shown it."""
        self._run.execute(
            "INSERT INTO refused (key, id, statement, code, what, field, expected, note) VALUES (?,?,?,?,?,?,?,?)",
            (
                refused.key, refused.id, refused.statement, refused.code, refused.what,
                refused.field, refused.expected, refused.note,
            ),
        )  # fmt: skip

    def unshown(self, key: bytes) -> list[Unshown]:
        """Return the refusals of *key* that nobody has been shown, in order."""
        found = self._run.execute(
            "SELECT key, id, statement, code, what, field, expected, note FROM refused WHERE key = ? ORDER BY number",
            (key,),
        )
        return [Unshown(*row) for row in found]

    def shown(self, key: bytes, statement_ids: Sequence[bytes]) -> None:
        """Forget these refusals: their publisher has them."""
        self._run.executemany("DELETE FROM refused WHERE key = ? AND id = ?", [(key, one) for one in statement_ids])

    def set_next(self, key: bytes, sequence: int) -> None:
        """Continue a key at *sequence*."""
        self._run.execute("INSERT OR REPLACE INTO sequences VALUES (?,?)", (key, sequence))


class Outbox:
    """One SQLite file; safe from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the outbox at *path*, or make it."""
        self.path = path
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_TABLES)
        connection.close()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Hold the outbox; leaving normally commits durably, leaving by an exception changes nothing."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise Unavailable(
                    "the outbox is held by another process", why=str(error), what_now="try again"
                ) from error
            try:
                yield Writing(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        finally:
            connection.close()

    def pending(self, key: bytes) -> list[Outgoing]:
        """Return what has no answer yet, in order."""
        with self.writing() as writing:
            return writing.pending(key)
