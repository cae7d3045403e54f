"""
The embedded store: one SQLite file, on the recorder of the eventsourcing library.

The event table is the Merkle tree is the outbox: entries, tree nodes, publisher sequences, case
versions and the size move in one transaction, or not at all.

========== ======================================== ==========================================
table      a row is                                 written
========== ======================================== ==========================================
entries    one leaf (the library's stored event)    once; ``rowid`` = index + 1
nodes      one hash of a complete subtree           once (``ledger.log.tree`` numbers them)
statements statement id -> index                    once
cases      (case, case version) -> index            once
sequences  signing key -> next sequence             moved
tree       the size, in its only row                moved
seals      one signed checkpoint, by size; numbered once
sealer     the epoch of whoever may seal, and how   moved
           many checkpoints were ever kept
========== ======================================== ==========================================

Why no reader ever skips: an index is assigned while the write lock of the file is held, and the
lock is released by the commit.
So the order of indexes is the order of commits, and whoever sees an index sees every smaller one.

What "written once" means is enforced by triggers: the tables of the log refuse UPDATE and DELETE, and
``entries`` and ``seals`` refuse to have a row replaced by INSERT OR REPLACE, which no DELETE trigger sees.
In ``nodes``, ``statements`` and ``cases`` a replaced row is not refused: the triggers would cost 5 % of the
speed of appending, and what stands there follows from the entries, so that ``comity fsck`` finds it.
Triggers guard against tools and slips; whoever may write the file can drop them. ``altered`` says so.
They are made with the file and never again: a trigger that is gone stays gone until somebody has looked.

Why checkpoints are numbered, and counted elsewhere: a checkpoint deleted from the middle could not be told
from one that was never made, since a group of entries may be of any size. Whoever deletes rows, renumbers
the others and sets the counter, is found by the receipts and bundles that hold the missing one.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from functools import cache
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteProcessRecorder,
)

from ledger.errors import Conflict, NotFound, NotVerified
from ledger.store.promises import (
    BUSY_SECONDS,
    LACKING,
    MOVED,
    ROSTER,
    Nodes,
    busy,
    check_continues,
    check_epoch,
    check_root,
    fenced,
    lacking,
    miscounted,
    no_entry,
    occupied,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ledger.errors import ComityError
    from ledger.store import Row

POLL_SECONDS: Final = 0.005
"""How often a waiting reader looks for new entries."""

FORMAT: Final = 1
"""The version of the tables, as ``user_version`` of the file. No earlier one was ever released."""

LEFT: Final = "log_has_left"
"""The trigger by which a file that its log has left refuses to be appended to (``ledger.store.fence``)."""

READ_IDS_MAX: Final = 500
"""How many nodes one query asks for."""


_INSERT: Final = "INSERT INTO {entries} (originator_id, originator_version, topic, state) VALUES (?,?,?,?)"


class EntryRecorder(SQLiteApplicationRecorder):
    """
    The library's application recorder on our table of entries.

    Its notification id is the leaf index + 1, and is an explicit INTEGER PRIMARY KEY: the
    implicit ``rowid`` of the library's own table is given out again after a delete, and VACUUM
    may renumber it.
    """

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "entries") -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = _INSERT.format(entries=events_table_name)
        self.select_max_notification_id_statement = f"SELECT MAX(rowid) FROM {events_table_name}"

    def construct_create_table_statements(self) -> list[str]:
        """Return the schema: the library's columns, numbered by a key that is never given out twice."""
        return _entries_table(self.events_table_name)

    def append(self, cursor: sqlite3.Cursor, rows: Sequence[tuple[int, str, int, str, bytes]]) -> None:
        """Insert events (notification id, originator, version, topic, state) in the caller's transaction."""
        cursor.executemany(
            f"INSERT INTO {self.events_table_name} (rowid, originator_id, originator_version, topic, state) VALUES (?,?,?,?,?)",  # noqa: E501 -- the table's name is ours
            rows,
        )


class EntryProcessRecorder(SQLiteProcessRecorder):
    """The same table with the library's tracking, for applications built on the library itself."""

    def __init__(self, datastore: SQLiteDatastore, *, events_table_name: str = "entries") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.insert_events_statement = _INSERT.format(entries=events_table_name)

    def construct_create_table_statements(self) -> list[str]:
        """Return the schema of entries and tracking."""
        tracking = super().construct_create_table_statements()[1:]
        return _entries_table(self.events_table_name) + tracking


class Factory(SQLiteFactory):
    """Plugs the recorders into the library (``PERSISTENCE_MODULE=ledger.store.sqlite:Factory``)."""

    application_recorder_class = EntryRecorder
    process_recorder_class = EntryProcessRecorder


def _entries_table(name: str) -> list[str]:
    return [
        f"""
        CREATE TABLE IF NOT EXISTS {name} (
            rowid INTEGER PRIMARY KEY AUTOINCREMENT,
            originator_id TEXT NOT NULL,
            originator_version INTEGER NOT NULL,
            topic TEXT NOT NULL,
            state BLOB NOT NULL,
            UNIQUE (originator_id, originator_version)
        )
        """,
    ]


_SAME_VERSION: Final = (
    "SELECT 1 FROM entries WHERE originator_id = NEW.originator_id AND originator_version = NEW.originator_version"
)

# What each table of the log refuses, and when: UPDATE and DELETE always, INSERT where it would replace a row.
_REFUSED: Final = (
    *((table, "UPDATE", "") for table in ("entries", "nodes", "statements", "cases", "seals")),
    *((table, "DELETE", "") for table in ("entries", "nodes", "statements", "cases", "seals")),
    ("entries", "INSERT", f"WHEN NEW.rowid <= (SELECT MAX(rowid) FROM entries) OR EXISTS ({_SAME_VERSION}) "),
    ("seals", "INSERT", "WHEN NEW.size <= (SELECT MAX(size) FROM seals) "),
)

_LOG_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS statements (id BLOB PRIMARY KEY, idx INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cases (
    id BLOB, version INTEGER, idx INTEGER NOT NULL, PRIMARY KEY (id, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (key BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tree (
    only INTEGER PRIMARY KEY CHECK (only = 1), size INTEGER NOT NULL, recorded_at INTEGER NOT NULL
);
INSERT OR IGNORE INTO tree VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS seals (
    size INTEGER PRIMARY KEY, root BLOB NOT NULL, note BLOB NOT NULL, number INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sealer (
    only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER NOT NULL, seals INTEGER NOT NULL
);
INSERT OR IGNORE INTO sealer VALUES (1, 0, 0);
CREATE INDEX IF NOT EXISTS roster ON entries (rowid) WHERE topic IN ({ROSTER});
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb.lower()} BEFORE {verb} ON {table} {when}"
    f"BEGIN SELECT RAISE(ABORT, '{table}: the log is append-only'); END;\n"
    for table, verb, when in _REFUSED
)


# The last version of each case is one look-up. MAX with GROUP BY reads the case from its beginning: 20 ms for one of
# 100,000 entries, in every group that it has an entry in.
_CASE_SIZES: Final = """
WITH asked(id) AS (VALUES {marks})
SELECT id, COALESCE((SELECT version FROM cases WHERE cases.id = asked.id ORDER BY version DESC LIMIT 1) + 1, 0)
FROM asked
"""


class Writing:
    """One write transaction: the tree lock is held from its first line to its last."""

    def __init__(self, cursor: sqlite3.Cursor, recorder: EntryRecorder) -> None:
        self._cursor = cursor
        self._recorder = recorder
        row = cursor.execute("SELECT size, recorded_at FROM tree").fetchone()
        self.size: int = row[0]
        self.recorded_at: int = row[1]
        self.epoch: int
        self._seals: int
        self.epoch, self._seals = cursor.execute("SELECT epoch, seals FROM sealer").fetchone()
        self.fresh: Sequence[tuple[int, bytes]] = ()

    def known(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is already in the log."""
        found: dict[bytes, int] = {}
        for part, marks in _parts(statement_ids):
            found.update(self._cursor.execute(f"SELECT id, idx FROM statements WHERE id IN ({marks})", part))
        return found

    def next_sequences(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Return the sequence that each of these signing keys must use next: 0 for one that signed nothing yet."""
        following = dict.fromkeys(keys, 0)
        for part, marks in _parts(list(following)):
            following.update(self._cursor.execute(f"SELECT key, next FROM sequences WHERE key IN ({marks})", part))
        return following

    def streams(self, subjects: Iterable[bytes]) -> set[bytes]:
        """Return those of these subjects that have a stream."""
        names = [subject.hex() for subject in subjects]
        found: set[bytes] = set()
        for part, marks in _parts(names):
            query = f"SELECT originator_id FROM entries WHERE originator_version = 0 AND originator_id IN ({marks})"
            found.update(bytes.fromhex(row[0]) for row in self._cursor.execute(query, part))
        return found

    def case_sizes(self, cases: Iterable[bytes]) -> dict[bytes, int]:
        """Return how many entries each of these cases holds: the version that its next entry gets."""
        sizes: dict[bytes, int] = {}
        for part, marks in _parts(list(cases), "(?)"):
            sizes.update(self._cursor.execute(_CASE_SIZES.format(marks=marks), part))
        return sizes

    def append(
        self,
        rows: Sequence[Row],
        nodes: Sequence[tuple[int, bytes]],
        sequences: dict[bytes, int],
        leaves: Sequence[bytes],
        recorded_at: int,
    ) -> None:
        """
        Append a batch at the end of the log; the caller commits by leaving the transaction.

        Args:
            rows: consecutive from the present size.
            nodes: (number, 32-byte hash), as ``Frontier.append`` gives them.
            sequences: for each signing key that moved, its next sequence.
            leaves: the leaf hash of each row, which is checked against what was really stored.
            recorded_at: the log's clock at the last row, microseconds.

        Raises:
            Conflict: the rows do not continue the log, or a checkpoint is already ahead of it.
            NotVerified: what was read back is not what was written.
        """
        run = self._cursor
        if not rows:
            return
        sealed = run.execute("SELECT MAX(size) FROM seals").fetchone()[0]
        check_continues(rows, self.size, sealed, kept_in="file")
        self._recorder.append(run, [(row.index + 1, row.stream, row.version, row.act, row.entry) for row in rows])
        run.executemany("INSERT INTO statements VALUES (?,?)", [(row.statement_id, row.index) for row in rows])
        run.executemany(
            "INSERT INTO cases VALUES (?,?,?)",
            [(row.case, row.case_version, row.index) for row in rows if row.case is not None],
        )
        run.executemany("INSERT INTO nodes VALUES (?,?)", nodes)
        run.executemany("INSERT OR REPLACE INTO sequences VALUES (?,?)", list(sequences.items()))
        run.execute("UPDATE tree SET size = ?, recorded_at = ?", (self.size + len(rows), recorded_at))
        # Read back and re-hash: what is committed is what will be proved.
        stored = run.execute("SELECT state FROM entries WHERE rowid > ? ORDER BY rowid", (self.size,))
        for index, ((entry,), leaf) in enumerate(zip(stored, leaves, strict=True), self.size):
            if sha256(b"\0" + entry).digest() != leaf:
                raise NotVerified("was stored with other bytes than were written", step="append", index=index)
        self.size += len(rows)
        self.recorded_at = recorded_at
        self.fresh = nodes

    def seal(self, size: int, root: bytes, note: bytes, epoch: int) -> bytes:
        """
        Keep a signed checkpoint, unless one of that size is kept already; return the one kept.

        Compare-and-swap: one size has one root for ever.

        Raises:
            Conflict: the sealer's epoch is over, or that size was sealed with another root.
        """
        run = self._cursor
        check_epoch(epoch, self.epoch)
        kept = run.execute("SELECT root, note FROM seals WHERE size = ?", (size,)).fetchone()
        if kept is None:
            run.execute("INSERT INTO seals VALUES (?,?,?,?)", (size, root, note, self._seals))
            self._seals += 1
            run.execute("UPDATE sealer SET seals = ?", (self._seals,))
            return note
        check_root(size, root, kept[0], kept_in="file")
        return cast("bytes", kept[1])

    def take_lease(self) -> int:
        """Become the sealer: return the new epoch, which fences every earlier holder."""
        self.epoch += 1
        self._cursor.execute("UPDATE sealer SET epoch = ?", (self.epoch,))
        return self.epoch


class SQLiteStore:
    """
    The log in one SQLite file.

    Reading is safe from any thread and any process while another writes.
    Writing is serialised by the write lock of the file.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the store of ``path``; create its tables unless *read_only*."""
        self.path = path
        self.read_only = read_only
        if read_only and not path.exists():
            raise NotFound(
                f"there is no ledger at {path}",
                what_now="name its folder with --ledger, or found one with `comity init`",
            )
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._nodes = Nodes(self._stored_nodes)
        self._datastore: SQLiteDatastore | None = None
        if not read_only:
            self._datastore = SQLiteDatastore(str(path), lock_timeout=BUSY_SECONDS, originator_id_type="text")
            self.recorder = EntryRecorder(self._datastore)
            with self._exclusive() as cursor:
                if self._made(cursor) == 0:
                    for statement in _statements(self.recorder):
                        cursor.execute(statement)
        else:
            self._made(self._reader())

    def _made(self, run: sqlite3.Connection | sqlite3.Cursor) -> int:
        """Return the format of the file, 0 for a new one; Conflict for one that this program does not know."""
        (found,) = run.execute("PRAGMA user_version").fetchone()
        tables = run.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'tree'").fetchone()[0]
        if found > FORMAT or (tables and found < FORMAT):
            raise Conflict(
                f"{self.path} has tables of format {found}; this program reads format {FORMAT}",
                why="it was made by a later version, or by one from before the first release",
                what_now="open it with the version that made it; a ledger of before the first release is founded anew",
            )
        return cast("int", found)

    @property
    def address(self) -> str:
        """Where it is: the path of the file."""
        return str(self.path)

    def close(self) -> None:
        """Close every connection; the store must not be used afterwards."""
        # Readers first: the last connection to go moves the write-ahead log into the file, and a
        # connection that may only read cannot. A copy of the file alone is then the whole log.
        with self._guard:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
        if self._datastore is not None:
            self._datastore.close()

    # --- writing ---

    @contextmanager
    def _exclusive(self) -> Iterator[sqlite3.Cursor]:
        assert self._datastore is not None, "opened for reading"
        with self._datastore.get_connection(commit=True) as connection:
            wrapped: SQLiteCursor = connection.cursor()
            cursor = wrapped.sqlite_cursor
            cursor.row_factory = None
            try:
                # IMMEDIATE takes the write lock before the first read: what is read stays true.
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise busy(str(error)) from error
            try:
                yield cursor
            except BaseException:
                connection.rollback()
                raise
            else:
                connection.commit()
            finally:
                cursor.close()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Hold the tree lock; leaving normally commits durably, leaving by an exception changes nothing."""
        with self._exclusive() as cursor:
            writing = Writing(cursor, self.recorder)
            try:
                yield writing
            except sqlite3.IntegrityError as error:
                raise _meaning(error) from error
        # Only now are they committed.
        self._nodes.remember(writing.fresh)

    # --- reading ---

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
                check_same_thread=False,
            )
            self._local.connection = connection
            with self._guard:
                self._readers.append(connection)
        return connection

    def _one(self, query: str, *values: Any) -> Any:
        row = self._reader().execute(query, values).fetchone()
        return None if row is None else row[0]

    def size(self) -> int:
        """Return the number of entries."""
        return cast("int", self._one("SELECT size FROM tree"))

    def wait(self, size: int, seconds: float) -> int:
        """Return the size as soon as it is more than *size*, at the latest after *seconds*."""
        until = time.monotonic() + seconds
        while (reached := self.size()) <= size and (left := until - time.monotonic()) > 0:
            # Nobody notifies a file; a look costs some microseconds.
            time.sleep(min(left, POLL_SECONDS))
        return reached

    def entry(self, index: int) -> bytes:
        """Return the bytes of the entry at *index*; NotFound beyond the size."""
        entry = self._one("SELECT state FROM entries WHERE rowid = ?", index + 1)
        if entry is None:
            raise no_entry(index, self.size())
        return cast("bytes", entry)

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """Return up to *limit* entries from index *start* on, in order, without holes."""
        return (
            self._reader()
            .execute("SELECT rowid - 1, state FROM entries WHERE rowid > ? ORDER BY rowid LIMIT ?", (start, limit))
            .fetchall()
        )

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of the entries from *start* to before *stop*; memory stays flat."""
        cursor = self._reader().execute(
            "SELECT state FROM entries WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
            (start, 2**62 if stop is None else stop),
        )
        return chain.from_iterable(cursor)

    def index_of(self, statement_id: bytes) -> int | None:
        """Return the index under which a statement was recorded, accepted or rejected."""
        return cast("int | None", self._one("SELECT idx FROM statements WHERE id = ?", statement_id))

    def stream(self, subject: bytes) -> list[int]:
        """Return the indexes of a stream, in order."""
        return self._column(
            "SELECT rowid - 1 FROM entries WHERE originator_id = ? ORDER BY originator_version", subject.hex()
        )

    def stream_entries(self, subject: bytes) -> list[tuple[int, bytes]]:
        """Return the entries of a stream with their indexes, in order."""
        return (
            self._reader()
            .execute(
                "SELECT rowid - 1, state FROM entries WHERE originator_id = ? ORDER BY originator_version",
                (subject.hex(),),
            )
            .fetchall()
        )

    def case(self, case: bytes) -> list[int]:
        """Return the indexes of a case, in order: accepted entries alone."""
        return self._column("SELECT idx FROM cases WHERE id = ? ORDER BY version", case)

    def roster(self) -> list[tuple[int, bytes]]:
        """Return every entry that founded, enrolled, certified or revoked somebody, in order."""
        return (
            self._reader()
            .execute(f"SELECT rowid - 1, state FROM entries WHERE topic IN ({ROSTER}) ORDER BY rowid")
            .fetchall()
        )

    def next_sequence(self, key: bytes) -> int:
        """Return the sequence that a signing key must use next."""
        found = self._one("SELECT next FROM sequences WHERE key = ?", key)
        return 0 if found is None else cast("int", found)

    def hashes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the stored hashes of these nodes, in the order asked; NotFound when one is missing."""
        return self._nodes.hashes(ids)

    def _stored_nodes(self, ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for part, marks in _parts(ids):
            yield from self._reader().execute(f"SELECT id, hash FROM nodes WHERE id IN ({marks})", part)

    def node_hashes(self, start: int = 0) -> Iterator[bytes]:
        """Yield the hash of every stored node from number *start* on, in order."""
        return chain.from_iterable(self._reader().execute("SELECT hash FROM nodes WHERE id >= ? ORDER BY id", (start,)))

    def rows(self, start: int, limit: int) -> list[tuple[int, str, int, str, bytes]]:
        """Return up to *limit* rows from *start* on: index, stream, version in it, act, entry."""
        return (
            self._reader()
            .execute(
                "SELECT rowid - 1, originator_id, originator_version, topic, state FROM entries "
                "WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (start, limit),
            )
            .fetchall()
        )

    def indexes_of(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is recorded."""
        found: dict[bytes, int] = {}
        for part, marks in _parts(statement_ids, "(?)"):
            # One look-up for each, in the order asked, without sorting them first.
            query = (
                f"WITH asked(id) AS (VALUES {marks}) "
                "SELECT statements.id, idx FROM asked CROSS JOIN statements ON statements.id = asked.id"
            )
            found.update(self._reader().execute(query, part))
        return found

    def next_sequences(self) -> dict[bytes, int]:
        """Return the next sequence of every signing key."""
        return dict(self._reader().execute("SELECT key, next FROM sequences"))

    def miscounted(self) -> Iterator[str]:
        """Say which streams and cases are not numbered from 0 without a hole, and which rows are too many."""
        run = self._reader()
        return miscounted(
            run.execute(
                "SELECT originator_id, COUNT(*), MAX(originator_version) FROM entries GROUP BY originator_id "
                "HAVING COUNT(*) <> MAX(originator_version) + 1"
            ),
            run.execute("SELECT id, COUNT(*), MAX(version) FROM cases GROUP BY id HAVING COUNT(*) <> MAX(version) + 1"),
            # One query, one snapshot: another process may append meanwhile.
            run.execute(
                "SELECT (SELECT size FROM tree), (SELECT COUNT(*) FROM statements), (SELECT COUNT(*) FROM cases), "
                "(SELECT COUNT(*) FROM entries WHERE originator_id NOT LIKE 'rejected/%')"
            ).fetchone(),
        )

    def misplaced(self, cases: Sequence[tuple[bytes, int, int]]) -> list[int]:
        """Return those indexes to which (case, version, index) does not lead."""
        # Many entries of one case follow each other: they are looked up together, in one walk along the key.
        runs: list[tuple[bytes, int, int]] = []
        last: dict[bytes, int] = {}
        for case, version, _ in cases:
            at = last.get(case)
            if at is not None and runs[at][2] == version - 1:
                runs[at] = case, runs[at][1], version
            else:
                last[case] = len(runs)
                runs.append((case, version, version))
        found: set[tuple[bytes, int, int]] = set()
        for start in range(0, len(runs), READ_IDS_MAX // 3):
            part = runs[start : start + READ_IDS_MAX // 3]
            # CROSS JOIN keeps the order: one look-up for each run that is asked, and no reading of the whole table.
            query = (
                f"WITH asked(id, first, last) AS (VALUES {','.join(['(?,?,?)'] * len(part))}) "
                "SELECT cases.* FROM asked CROSS JOIN cases "
                "ON cases.id = asked.id AND cases.version BETWEEN asked.first AND asked.last"
            )
            found.update(self._reader().execute(query, [value for run in part for value in run]))
        return [case[2] for case in cases if case not in found]

    def newest(self) -> tuple[int, bytes] | None:
        """Return the log's clock and the newest entry, as one moment has them; None while there is none."""
        query = "SELECT recorded_at, state FROM tree JOIN entries ON entries.rowid = tree.size"
        return cast("tuple[int, bytes] | None", self._reader().execute(query).fetchone())

    def altered(self) -> Iterator[str]:
        """Say which checkpoints were taken out, and which triggers are not those that the file was made with."""
        run = self._reader()
        found = {name: (table, sql) for name, table, sql in run.execute(_TRIGGERS)}
        yield from lacking(run.execute(LACKING.format(counter="sealer")))
        made = _triggers()
        for name, (table, sql) in made.items():
            if found.get(name, ("", ""))[1] != sql:
                how, first = ("altered", f"DROP TRIGGER {name}; ") if name in found else ("dropped", "")
                yield (
                    f"the trigger {name}, which keeps {table} append-only, was {how}: somebody may have changed rows; "
                    "if nothing else is found here, and the root is that of a receipt from elsewhere, "
                    f"put it back: {first}{sql};"
                )
        tables = {table for table, _ in made.values()} | {"sequences", "tree", "sealer"}
        for name, (table, _) in found.items():
            if name not in {*made, LEFT} and table in tables:
                yield (
                    f"the trigger {name} on {table} is not one of this program: it may change what is written; "
                    f"keep a copy, then: DROP TRIGGER {name};"
                )

    def beginning(self, kind: str, digits: str) -> set[bytes]:
        """Return the ids of this kind (case, statement, thing) that begin with these digits, at most 100."""
        query = {
            "case": "SELECT DISTINCT id FROM cases WHERE id BETWEEN ? AND ? LIMIT 100",
            "statement": "SELECT id FROM statements WHERE id BETWEEN ? AND ? LIMIT 100",
            "thing": "SELECT DISTINCT originator_id FROM entries WHERE originator_id BETWEEN ? AND ? LIMIT 100",
        }[kind]
        found = self._reader().execute(query, whole(kind, digits))
        return {bytes.fromhex(one) if isinstance(one, str) else one for (one,) in found}

    def checkpoint(self, min_size: int | None = None) -> bytes | None:
        """Return the newest signed checkpoint, or the first that covers *min_size* entries."""
        if min_size is None:
            return cast("bytes | None", self._one("SELECT note FROM seals ORDER BY size DESC LIMIT 1"))
        return cast("bytes | None", self._one("SELECT note FROM seals WHERE size >= ? ORDER BY size LIMIT 1", min_size))

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (size, root, signed note) of every checkpoint ever issued, in order."""
        cursor = self._reader().execute("SELECT size, root, note FROM seals ORDER BY size")
        while rows := cursor.fetchmany(256):
            yield from rows

    def _column(self, query: str, *values: Any) -> list[int]:
        return [row[0] for row in self._reader().execute(query, values)]


def _meaning(error: sqlite3.IntegrityError) -> ComityError:
    """Return what an error of the file's own rules means to whoever writes."""
    said = str(error)
    return fenced(said) if said.startswith(MOVED.partition("{")[0]) else occupied(said)


_TRIGGERS: Final = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"


def _statements(recorder: EntryRecorder) -> Iterator[str]:
    """Yield what makes the tables of a new file, one statement at a time: within one transaction."""
    yield from recorder.construct_create_table_statements()
    begun = ""
    for line in _LOG_TABLES.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            yield begun
            begun = ""
    yield f"PRAGMA user_version = {FORMAT}"


@cache
def _triggers() -> dict[str, tuple[str, str]]:
    """Return table and text of each trigger by its name, as SQLite itself keeps them."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(";".join(_entries_table("entries")) + ";" + _LOG_TABLES)
        return {name: (table, sql) for name, table, sql in fresh.execute(_TRIGGERS)}


def _parts(values: Sequence[Any], mark: str = "?") -> Iterator[tuple[Sequence[Any], str]]:
    """Yield *values* in parts that one query may ask for, each with its placeholders."""
    for start in range(0, len(values), READ_IDS_MAX):
        part = values[start : start + READ_IDS_MAX]
        yield part, ",".join([mark] * len(part))
