"""
The log in PostgreSQL: one transaction for each group, under the lock of one row.

Why no reader ever skips: an index is assigned while the row of the head is locked, and the lock is
let go after the commit has become visible.
So the order of indexes is the order of commits, whoever commits from whichever machine, and whoever
sees an index sees every smaller one.

Why nobody writes on after losing touch: the lock lives and dies with a transaction, and a transaction
with its connection.
A process that is suspended in the middle finds, when it wakes, that the server has ended both.
"""

from __future__ import annotations

import select
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg2
from psycopg2 import sql

from ledger.errors import Conflict, NotFound, NotPermitted, NotVerified, Unavailable
from ledger.store.postgres.connections import Connections, Patience, gone, meaning
from ledger.store.postgres.tables import COPY_MIN, FENCES, GUARDS, NODES_PER_ROW, byte_array, copy, create_log, escaped
from ledger.store.promises import (
    BUSY_SECONDS,
    LACKING,
    ROSTER,
    Nodes,
    busy,
    check_continues,
    check_epoch,
    check_root,
    lacking,
    miscounted,
    no_entry,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from psycopg2.extensions import connection as Connection  # noqa: N812 -- the driver writes its types small
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- see above

    from ledger.store import Row

IDLE_SECONDS: Final = 15.0
"""How long a transaction may hold the tree lock without a word to the server; then the server ends it."""

POLL_SECONDS: Final = 0.25
"""How often a waiting reader looks by itself: a notification may be lost, an entry is not."""

PAGE: Final = 1_000
"""How many entries are read at a time where all are read."""

_SETTINGS: Final = """
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""

# What is asked under the lock is found by index, whatever the statistics of a young table say. They say the same of the
# last entries of an old one: without a word the server starts processes, 10 ms each time, to read back a few rows.
_WRITER: Final = (
    f"{_SETTINGS} SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0;"
    " SET lock_timeout = {busy}; SET idle_in_transaction_session_timeout = {idle};"
)
_READER: Final = _SETTINGS + "SET default_transaction_read_only = on;"

# Three statements, one round trip. Each takes a snapshot of its own, whatever isolation this server
# or role has by default: the last one must see what whoever held the lock before has committed.
_LOCK: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT FROM entries_head FOR UPDATE;
SELECT size, recorded_at, epoch, (SELECT max(size) FROM seals) FROM entries_head;
"""

# Whoever holds the lock, waits for nothing in the database and has left the server waiting for his
# next byte since before the time limit: a process suspended in the middle of sending.
_END_STUCK: Final = """
SELECT pg_terminate_backend(held.pid)
FROM pg_locks held JOIN pg_stat_activity seen USING (pid)
WHERE held.relation = 'entries_head'::regclass AND held.mode = 'RowShareLock' AND held.granted
  AND held.pid <> pg_backend_pid() AND seen.wait_event_type = 'Client'
  AND seen.state_change < clock_timestamp() - %s * interval '1 second'
  AND NOT EXISTS (SELECT FROM pg_locks waits WHERE waits.pid = held.pid AND NOT waits.granted)
"""

_MOVE: Final = """
INSERT INTO sequences SELECT * FROM unnest(%s::bytea[], %s::bigint[])
    ON CONFLICT (key) DO UPDATE SET next = excluded.next;
UPDATE entries_head SET size = %s, recorded_at = %s;
SELECT string_agg(sha256('\\x00'::bytea || state), '' ORDER BY idx) FROM entries WHERE idx >= %s;
"""

_SEAL: Final = """
WITH kept AS (
    INSERT INTO seals SELECT %(size)s, %(root)s, %(note)s, seals FROM entries_head ON CONFLICT DO NOTHING RETURNING 1
)
UPDATE entries_head SET seals = seals + 1 WHERE EXISTS (SELECT FROM kept);
SELECT root, note FROM seals WHERE size = %(size)s;
"""

_INSERT_ENTRIES: Final = "INSERT INTO entries VALUES "
_INSERT_NODES: Final = "INSERT INTO nodes VALUES "

_NODES: Final = """
SELECT wanted, substr(hashes, (wanted - first)::int * 32 + 1, 32)
FROM unnest(%s) wanted
CROSS JOIN LATERAL (SELECT first, hashes FROM nodes WHERE first <= wanted ORDER BY first DESC LIMIT 1) row
WHERE (wanted - first) * 32 < octet_length(hashes)
"""

_CASE_SIZES: Final = """
SELECT wanted, last.case_version + 1
FROM unnest(%s::bytea[]) wanted
CROSS JOIN LATERAL (
    SELECT case_version FROM entries WHERE case_id = wanted ORDER BY case_version DESC LIMIT 1
) last
"""


class Writing:
    """One write transaction: the tree lock is held from its first line to its last."""

    def __init__(self, cursor: Cursor, head: tuple[int, int, int, int | None]) -> None:
        self._cursor = cursor
        self.size, self.recorded_at, self.epoch, self._sealed = head
        self.fresh: Sequence[tuple[int, bytes]] = ()
        # What tells whether this transaction was committed, should nobody say so.
        self.last_leaf: bytes | None = None
        self.note: tuple[int, bytes] | None = None

    def known(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is already in the log."""
        return dict(
            self._ask("SELECT statement_id, idx FROM entries WHERE statement_id = ANY(%s::bytea[])", statement_ids)
        )

    def next_sequences(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Return the sequence that each of these signing keys must use next: 0 for one that signed nothing yet."""
        following = dict.fromkeys(keys, 0)
        following.update(self._ask("SELECT key, next FROM sequences WHERE key = ANY(%s)", list(following)))
        return following

    def streams(self, subjects: Iterable[bytes]) -> set[bytes]:
        """Return those of these subjects that have a stream."""
        names = [subject.hex() for subject in subjects]
        if not names:
            return set()
        self._cursor.execute(
            "SELECT originator_id FROM entries WHERE originator_id = ANY(%s) AND originator_version = 0", (names,)
        )
        return {bytes.fromhex(row[0]) for row in self._cursor.fetchall()}

    def case_sizes(self, cases: Iterable[bytes]) -> dict[bytes, int]:
        """Return how many entries each of these cases holds: the version that its next entry gets."""
        sizes = dict.fromkeys(cases, 0)
        sizes.update(self._ask(_CASE_SIZES, list(sizes)))
        return sizes

    def _ask(self, query: str, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
        if not values:
            return []
        self._cursor.execute(query, (byte_array(values),))
        return self._cursor.fetchall()

    def append(
        self,
        rows: Sequence[Row],
        nodes: Sequence[tuple[int, bytes]],
        sequences: dict[bytes, int],
        leaves: Sequence[bytes],
        recorded_at: int,
    ) -> None:
        """
        Append a batch at the end of the log; see ``ledger.store.Writing``.

        Cost: one round trip for a few rows, five for many; independent of the size of the log.
        """
        if not rows:
            return
        check_continues(rows, self.size, self._sealed, kept_in="database")
        run = self._cursor
        moves = run.mogrify(
            _MOVE,
            (byte_array(sequences), list(sequences.values()), self.size + len(rows), recorded_at, self.size),
        )
        if len(rows) < COPY_MIN:
            moves = b";".join((self._inserted(rows), *self._inserted_nodes(nodes), moves))
        else:
            copy(run, sql.SQL("entries"), map(_entry_line, rows))
            copy(run, sql.SQL("nodes"), (f"{first}\t\\\\x{hashes.hex()}\n" for first, hashes in _runs(nodes)))
        run.execute(moves)
        # Read back and re-hash, as stored: what is committed is what will be proved.
        found = run.fetchone()
        stored = b"" if found is None or found[0] is None else cast("bytes", found[0])
        if stored != b"".join(leaves):
            raise NotVerified(
                "was stored with other bytes than were written",
                step="append",
                index=self.size + _first_difference(stored, leaves),
            )
        self.size += len(rows)
        self.recorded_at = recorded_at
        self.fresh = nodes
        self.last_leaf = leaves[-1]

    def _inserted(self, rows: Sequence[Row]) -> bytes:
        values = [
            self._cursor.mogrify(
                "(%s,%s,%s,%s,%s,%s,%s,%s)",
                (
                    row.index,
                    row.stream,
                    row.version,
                    row.act,
                    row.entry,
                    row.statement_id,
                    row.case,
                    None if row.case is None else row.case_version,
                ),
            )
            for row in rows
        ]
        return _INSERT_ENTRIES.encode() + b",".join(values)

    def _inserted_nodes(self, nodes: Sequence[tuple[int, bytes]]) -> list[bytes]:
        values = [self._cursor.mogrify("(%s,%s)", run) for run in _runs(nodes)]
        return [_INSERT_NODES.encode() + b",".join(values)] if values else []

    def seal(self, size: int, root: bytes, note: bytes, epoch: int) -> bytes:
        """Keep a signed checkpoint, unless one of that size is kept already; see ``ledger.store.Writing``."""
        run = self._cursor
        check_epoch(epoch, self.epoch)
        run.execute(_SEAL, {"size": size, "root": root, "note": note})
        kept = cast("tuple[bytes, bytes]", run.fetchone())
        check_root(size, root, kept[0], kept_in="database")
        self.note = size, kept[1]
        return kept[1]

    def take_lease(self) -> int:
        """Become the sealer: return the new epoch, which fences every earlier holder."""
        self.epoch += 1
        self._cursor.execute("UPDATE entries_head SET epoch = %s", (self.epoch,))
        return self.epoch


class PostgresStore:
    """
    The log in a PostgreSQL database (14 or newer): the one that its search path finds, a new one in its first schema.

    Reading is safe from any thread and process while others write.
    Writing is serialised over all machines by the tree lock.
    """

    def __init__(
        self,
        address: str,
        *,
        read_only: bool = False,
        busy_seconds: float = BUSY_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """
        Open the store at *address*; make its tables unless *read_only*, where they are not.

        Args:
            address: ``postgresql://role@host/database``, as libpq reads it; passwords belong into the
                file that ``passfile`` names.
            read_only: make nothing and write nothing.
            busy_seconds: see ``BUSY_SECONDS``.
            idle_seconds: see ``IDLE_SECONDS``.

        Raises:
            NotFound: *read_only*, and there is no log.
            NotPermitted: there is none, and this role may not make one.
            Unavailable: the database cannot be reached.
        """
        self.address = address
        self.read_only = read_only
        self._idle_seconds = idle_seconds
        self._readers = Connections(address, prepare=_READER)
        self._writers = Connections(
            address, prepare=_WRITER.format(busy=round(busy_seconds * 1000), idle=round(idle_seconds * 1000))
        )
        self._nodes = Nodes(lambda ids: self._readers.read(_NODES, (ids,)))
        self._listening: list[Connection] = []
        self._guard = threading.Lock()
        try:
            self._channel = self._prepare()
        except psycopg2.Error as error:
            self.close()
            raise meaning(error) from error

    def _prepare(self) -> str:
        """Make the tables where they are not, and return the channel on which appends are announced."""
        with self._writers.lent() as one, one.cursor() as cursor:
            # The log need not be in the first schema of the path: that of projections may stand before it.
            cursor.execute(
                "SELECT current_schema(), "
                "(SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
                "WHERE pg_class.oid = to_regclass('seals'))"
            )
            first, schema = cast("tuple[str | None, str | None]", cursor.fetchone())
            if first is None:
                raise NotFound(
                    "no schema of the search path exists in this database",
                    what_now="create it first: deploy/roles.sql does",
                )
            if schema is None and self.read_only:
                raise NotFound("there is no ledger in this database", what_now="found one with `comity init`")
            if schema is None:
                cursor.execute("BEGIN")
                create_log(cursor)
                cursor.execute("COMMIT")
            return f"comity_{schema or first}"[:63]

    def close(self) -> None:
        """Close every connection; the store must not be used afterwards."""
        self._readers.close()
        self._writers.close()
        with self._guard:
            while self._listening:
                self._listening.pop().close()

    # --- writing ---

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """
        Hold the tree lock; leaving normally commits durably, leaving by an exception changes nothing.

        Raises:
            Unavailable: others hold the lock, or the connection was lost. Whoever repeats what was
                under way neither loses nor doubles anything.
        """
        if self.read_only:
            raise NotPermitted("this ledger was opened for reading")
        with self._locked(self._writers) as (cursor, head):
            writing = Writing(cursor, head)
            try:
                yield writing
            except psycopg2.Error as error:
                raise meaning(error) from error
            try:
                # Announced by the writer of the group alone: a notification takes a lock of its own at commit.
                cursor.execute(
                    sql.SQL("NOTIFY {}, {}; COMMIT").format(
                        sql.Identifier(self._channel), sql.Literal(str(writing.size))
                    )
                )
            except psycopg2.Error as error:
                if not (gone(error) and self._was_committed(writing)):
                    raise meaning(error) from error
            else:
                if cursor.statusmessage != "COMMIT":
                    raise Unavailable(
                        "the database took this back", why=str(cursor.statusmessage), what_now="try again"
                    )
        # Only now are they committed.
        self._nodes.remember(writing.fresh)

    @contextmanager
    def _locked(self, connections: Connections) -> Iterator[tuple[Cursor, tuple[int, int, int, int | None]]]:
        """Begin a transaction that holds the tree lock, mending the connection first where need be."""
        patience = Patience()
        ended = False
        while True:
            with ExitStack() as stack:
                one: Connection | None = None
                try:
                    one = stack.enter_context(connections.lent())
                    cursor = stack.enter_context(one.cursor())
                    cursor.execute(_LOCK)
                    head = cast("tuple[int, int, int, int | None]", cursor.fetchone())
                except psycopg2.errors.LockNotAvailable as error:
                    cursor.execute("ROLLBACK")
                    if ended or not self._end_stuck(cursor):
                        raise busy(str(error).strip()) from error
                    ended = True
                except psycopg2.Error as error:
                    # Nothing was begun that could be lost: the next connection begins anew.
                    if one is not None and gone(error):
                        one.close()
                    patience.after(error)
                else:
                    yield cursor, head
                    return

    def _end_stuck(self, cursor: Cursor) -> bool:
        """End whoever holds the lock and has stopped in the middle of sending; whether there was one."""
        with suppress(psycopg2.Error):
            cursor.execute(_END_STUCK, (self._idle_seconds,))
            return any(row[0] for row in cursor.fetchall())
        return False

    def _was_committed(self, writing: Writing) -> bool:
        """
        Tell whether a transaction was committed whose commit nobody answered.

        The lock is taken again: by then the transaction is over, one way or the other.
        It was committed if the log holds, in their places, its very last entry and its checkpoint.
        Where the server cannot be asked the answer is no, and repeating is harmless.
        """
        if writing.last_leaf is None or writing.note is None:
            return False
        size, note = writing.note
        anew = self._writers.like(limit=1)
        with suppress(Unavailable, psycopg2.Error), closing(anew), self._locked(anew) as (cursor, _):
            cursor.execute(
                "SELECT state, note FROM entries, seals WHERE idx = %s AND seals.size = %s", (writing.size - 1, size)
            )
            found = cursor.fetchone()
            return found is not None and sha256(b"\0" + found[0]).digest() == writing.last_leaf and found[1] == note
        return False

    # --- waiting ---

    def wait(self, size: int, seconds: float) -> int:
        """
        Return the size as soon as it is more than *size*, at the latest after *seconds*.

        Notified by whoever appends; where a notification is lost, the size is looked at every
        ``POLL_SECONDS`` all the same.
        """
        until = time.monotonic() + seconds
        listening: Connection | None = None
        try:
            while True:
                if listening is None:
                    listening = self._listener()
                # Looked at after listening began, so nothing falls between.
                reached = self.size()
                left = until - time.monotonic()
                if reached > size or left <= 0:
                    return reached
                listening = _heard(listening, min(left, POLL_SECONDS))
        finally:
            if listening is not None:
                with self._guard:
                    self._listening.append(listening)

    def _listener(self) -> Connection | None:
        with self._guard:
            if self._listening:
                return self._listening.pop()
        with suppress(psycopg2.Error):
            made = self._readers.connect()
            with made.cursor() as cursor:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            return made
        return None

    # --- reading ---

    def _one(self, query: str, *values: Any) -> Any:
        rows = self._readers.read(query, values)
        return rows[0][0] if rows else None

    def _column(self, query: str, *values: Any) -> list[Any]:
        return [row[0] for row in self._readers.read(query, values)]

    def _pages(self, query: str, start: int, key: Callable[[Any], int]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query by pages of those beyond *start*; nothing is held between them."""
        while rows := self._readers.read(query, (start, PAGE)):
            yield from rows
            start = key(rows[-1])

    def size(self) -> int:
        """Return the number of entries."""
        return cast("int", self._one("SELECT size FROM entries_head"))

    def entry(self, index: int) -> bytes:
        """Return the bytes of the entry at *index*; NotFound beyond the size."""
        entry = self._one("SELECT state FROM entries WHERE idx = %s", index)
        if entry is None:
            raise no_entry(index, self.size())
        return cast("bytes", entry)

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """Return up to *limit* entries from index *start* on, in order, without holes."""
        return cast(
            "list[tuple[int, bytes]]",
            self._readers.read("SELECT idx, state FROM entries WHERE idx >= %s ORDER BY idx LIMIT %s", (start, limit)),
        )

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of the entries from *start* to before *stop*; memory stays flat."""
        stop = self.size() if stop is None else stop
        while start < stop:
            rows = self.entries(start, min(PAGE, stop - start))
            if not rows:
                return
            yield from (entry for _, entry in rows)
            start = rows[-1][0] + 1

    def index_of(self, statement_id: bytes) -> int | None:
        """Return the index under which a statement was recorded, accepted or rejected."""
        return cast("int | None", self._one("SELECT idx FROM entries WHERE statement_id = %s", statement_id))

    def stream(self, subject: bytes) -> list[int]:
        """Return the indexes of a stream, in order."""
        return self._column(
            "SELECT idx FROM entries WHERE originator_id = %s ORDER BY originator_version", subject.hex()
        )

    def stream_entries(self, subject: bytes) -> list[tuple[int, bytes]]:
        """Return the entries of a stream with their indexes, in order."""
        query = "SELECT idx, state FROM entries WHERE originator_id = %s ORDER BY originator_version"
        return cast("list[tuple[int, bytes]]", self._readers.read(query, (subject.hex(),)))

    def case(self, case: bytes) -> list[int]:
        """Return the indexes of a case, in order: accepted entries alone."""
        return self._column("SELECT idx FROM entries WHERE case_id = %s ORDER BY case_version", case)

    def roster(self) -> list[tuple[int, bytes]]:
        """Return every entry that founded, enrolled, certified or revoked somebody, in order."""
        query = f"SELECT idx, state FROM entries WHERE topic IN ({ROSTER}) ORDER BY idx"
        return cast("list[tuple[int, bytes]]", self._readers.read(query))

    def next_sequence(self, key: bytes) -> int:
        """Return the sequence that a signing key must use next."""
        found = self._one("SELECT next FROM sequences WHERE key = %s", key)
        return 0 if found is None else cast("int", found)

    def hashes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the stored hashes of these nodes, in the order asked; NotFound when one is missing."""
        return self._nodes.hashes(ids)

    def node_hashes(self, start: int = 0) -> Iterator[bytes]:
        """Yield the hash of every stored node from number *start* on, in order."""
        before = self._one("SELECT max(first) FROM nodes WHERE first <= %s", start)
        query = "SELECT first, hashes FROM nodes WHERE first > %s ORDER BY first LIMIT %s"
        for first, hashes in self._pages(query, -1 if before is None else before - 1, lambda row: cast("int", row[0])):
            skipped = max(0, start - first) * 32
            yield from (hashes[place : place + 32] for place in range(skipped, len(hashes), 32))

    def rows(self, start: int, limit: int) -> list[tuple[int, str, int, str, bytes]]:
        """Return up to *limit* rows from *start* on: index, stream, version in it, act, entry."""
        query = (
            "SELECT idx, originator_id, originator_version, topic, state FROM entries "
            "WHERE idx >= %s ORDER BY idx LIMIT %s"
        )
        return cast("list[tuple[int, str, int, str, bytes]]", self._readers.read(query, (start, limit)))

    def indexes_of(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is recorded."""
        if not statement_ids:
            return {}
        query = "SELECT statement_id, idx FROM entries WHERE statement_id = ANY(%s::bytea[])"
        return dict(self._readers.read(query, (byte_array(statement_ids),)))

    def next_sequences(self) -> dict[bytes, int]:
        """Return the next sequence of every signing key."""
        return dict(self._readers.read("SELECT key, next FROM sequences"))

    def miscounted(self) -> Iterator[str]:
        """Say which streams and cases are not numbered from 0 without a hole, and which rows are too many."""
        # One query, one snapshot: others may append meanwhile.
        (counts,) = self._readers.read(
            "SELECT (SELECT size FROM entries_head), count(statement_id), count(case_id), "
            "count(*) FILTER (WHERE originator_id NOT LIKE 'rejected/%') FROM entries"
        )
        return miscounted(
            cast(
                "list[tuple[str, int, int]]",
                self._readers.read(
                    "SELECT originator_id, count(*), max(originator_version) FROM entries GROUP BY 1 "
                    "HAVING count(*) <> max(originator_version) + 1"
                ),
            ),
            cast(
                "list[tuple[bytes, int, int]]",
                self._readers.read(
                    "SELECT case_id, count(*), max(case_version) FROM entries WHERE case_id IS NOT NULL GROUP BY 1 "
                    "HAVING count(*) <> max(case_version) + 1"
                ),
            ),
            cast("tuple[int, int, int, int]", counts),
        )

    def misplaced(self, cases: Sequence[tuple[bytes, int, int]]) -> list[int]:
        """Return those indexes to which (case, version, index) does not lead."""
        if not cases:
            return []
        ids, versions, indexes = zip(*cases, strict=True)
        return self._column(
            "SELECT asked.idx "
            "FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[]) AS asked (case_id, case_version, idx) "
            "LEFT JOIN entries USING (case_id, case_version) WHERE entries.idx IS DISTINCT FROM asked.idx ORDER BY 1",
            byte_array(ids),
            list(versions),
            list(indexes),
        )

    def newest(self) -> tuple[int, bytes] | None:
        """Return the log's clock and the newest entry, as one moment has them; None while there is none."""
        query = "SELECT recorded_at, state FROM entries_head JOIN entries ON idx = size - 1"
        found = cast("list[tuple[int, bytes]]", self._readers.read(query))
        return found[0] if found else None

    def altered(self) -> Iterator[str]:
        """Say which checkpoints were taken out, and which triggers are not those that the tables were made with."""
        lacks = self._readers.read(LACKING.format(counter="entries_head"))
        yield from lacking(cast("list[tuple[int, int | None, int, int]]", lacks))
        found = self._readers.read(
            "SELECT relname, tgname, tgenabled = 'O' AND proname = 'refuse_change' "
            "FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid "
            "WHERE NOT tgisinternal AND tgrelid IN (SELECT to_regclass(guarded) FROM unnest(%s) guarded)",
            (sorted({table for table, _ in GUARDS}),),
        )
        intact = {(table, name) for table, name, whole in found if whole}
        for table, name in sorted(GUARDS - intact):
            yield (
                f"the trigger {name}, which keeps {table} append-only, was dropped, switched off or altered: somebody "
                "may have changed rows; if nothing else is found here, and the root is that of a receipt from "
                f"elsewhere, put it back: ALTER TABLE {table} ENABLE TRIGGER {name}"
            )
        for table, name, _ in found:
            if (table, name) not in GUARDS and (table, name) not in {("entries", fence) for fence in FENCES.values()}:
                yield (
                    f"the trigger {name} on {table} is not one of this program: it may change what is written; "
                    f"keep a copy, then: DROP TRIGGER {name} ON {table}"
                )

    def beginning(self, kind: str, digits: str) -> set[bytes]:
        """Return the ids of this kind (case, statement, thing) that begin with these digits, at most 100."""
        query = {
            "case": "SELECT case_id FROM entries WHERE case_id BETWEEN %s AND %s AND case_version = 0",
            "statement": "SELECT statement_id FROM entries WHERE statement_id BETWEEN %s AND %s",
            "thing": "SELECT originator_id FROM entries WHERE originator_id BETWEEN %s AND %s "
            "AND originator_version = 0",
        }[kind]
        found = self._column(f"{query} LIMIT 100", *whole(kind, digits))
        return {bytes.fromhex(one) if isinstance(one, str) else one for one in found}

    def checkpoint(self, min_size: int | None = None) -> bytes | None:
        """Return the newest signed checkpoint, or the first that covers *min_size* entries."""
        if min_size is None:
            return cast("bytes | None", self._one("SELECT note FROM seals ORDER BY size DESC LIMIT 1"))
        query = "SELECT note FROM seals WHERE size >= %s ORDER BY size LIMIT 1"
        return cast("bytes | None", self._one(query, min_size))

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (size, root, signed note) of every checkpoint ever issued, in order."""
        query = "SELECT size, root, note FROM seals WHERE size > %s ORDER BY size LIMIT %s"
        yield from cast("Iterator[tuple[int, bytes, bytes]]", self._pages(query, -1, lambda row: cast("int", row[0])))


def _entry_line(row: Row) -> str:
    case = "\\N\t\\N" if row.case is None else f"\\\\x{row.case.hex()}\t{row.case_version}"
    return (
        f"{row.index}\t{escaped(row.stream)}\t{row.version}\t{escaped(row.act)}\t\\\\x{row.entry.hex()}\t"
        f"\\\\x{row.statement_id.hex()}\t{case}\n"
    )


def _runs(nodes: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield nodes of consecutive numbers by the rows that hold them: first number, hashes."""
    for start in range(0, len(nodes), NODES_PER_ROW):
        part = nodes[start : start + NODES_PER_ROW]
        if part[-1][0] - part[0][0] != len(part) - 1:
            raise Conflict(f"the nodes from {part[0][0]} on are not consecutive")
        yield part[0][0], b"".join([node for _, node in part])


def _first_difference(stored: bytes, leaves: Sequence[bytes]) -> int:
    return next(
        (place for place, leaf in enumerate(leaves) if stored[32 * place : 32 * place + 32] != leaf), len(leaves)
    )


def _heard(listening: Connection | None, seconds: float) -> Connection | None:
    """Wait for a notification at most so long; the connection, or None when it is over."""
    if listening is None:
        time.sleep(seconds)
        return None
    try:
        if select.select([listening], [], [], seconds)[0]:
            listening.poll()
            listening.notifies.clear()
    except (psycopg2.Error, OSError):
        listening.close()
        return None
    return listening
