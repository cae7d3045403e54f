"""
The eventsourcing library on psycopg2: its recorders on our tables, for applications built on it.

The library's own module for PostgreSQL needs another driver, and numbers notifications from a
sequence, which leaves gaps. Here a number is taken from the head under its lock, so numbers are
gapless and in the order of commits; it is the leaf index + 1, as the library counts from 1.

Plug it in with ``PERSISTENCE_MODULE=ledger.store.postgres.recorder:Factory`` and the library's own
settings ``POSTGRES_DBNAME``, ``_HOST``, ``_PORT``, ``_USER``, ``_PASSWORD`` and ``_SCHEMA``.
"""

from __future__ import annotations

import select
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import UUID

import psycopg2
from eventsourcing import persistence as library
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ListenNotifySubscription,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import resolve_topic, strtobool
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from ledger.errors import Unavailable
from ledger.store.postgres.connections import Connections
from ledger.store.postgres.tables import (
    COPY_MIN,
    CREATION_LOCK,
    byte_array,
    copy,
    create_entries,
    escaped,
    head_of,
    named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventsourcing.utils import Environment
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- the driver writes its types small

LENT_MAX: Final = 16
"""How many connections one application uses at a time."""

POLL_SECONDS: Final = 0.25
"""How often a subscription looks by itself, should a notification be lost."""

R = TypeVar("R", bound="_Recorder")

# The library raises its own twins of the errors that every driver has.
_ERRORS: Final = (
    (psycopg2.InterfaceError, library.InterfaceError),
    (psycopg2.DataError, library.DataError),
    (psycopg2.IntegrityError, library.IntegrityError),
    (psycopg2.InternalError, library.InternalError),
    (psycopg2.ProgrammingError, library.ProgrammingError),
    (psycopg2.NotSupportedError, library.NotSupportedError),
    (psycopg2.OperationalError, library.OperationalError),
    (psycopg2.DatabaseError, library.DatabaseError),
    (psycopg2.Error, library.PersistenceError),
)


@contextmanager
def _as_the_library_says() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        for ours, theirs in _ERRORS:
            if isinstance(error, ours):
                raise theirs(error) from error
        raise
    except Unavailable as error:
        raise library.OperationalError(error.why) from error


class Datastore:
    """Where the recorders of one application connect to, and how it names its streams."""

    def __init__(self, address: str, *, originator_id_type: str = "uuid", limit: int = LENT_MAX) -> None:
        self.connections = Connections(address, prepare="SET jit = off", limit=limit)
        self.originator_id_type = originator_id_type

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """Lend a cursor; each statement is a transaction unless BEGIN says otherwise."""
        with _as_the_library_says(), self.connections.lent() as one, one.cursor() as cursor:
            yield cursor

    def read(self, query: sql.Composed, values: Any = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query that changes nothing, asked again when the server went away."""
        with _as_the_library_says():
            return self.connections.read(query, values)

    def stream(self, originator_id: str) -> UUID | str:
        """Return the name of a stream as the application knows it."""
        return UUID(originator_id) if self.originator_id_type == "uuid" else originator_id

    def close(self) -> None:
        """Close every connection."""
        self.connections.close()


class _Recorder:
    def __init__(self, datastore: Datastore, **names: str) -> None:
        self.datastore = datastore
        self.names = names

    def _named(self, query: str) -> sql.Composed:
        return named(query, **self.names)

    def create_table(self) -> None:
        """Make the tables, unless they are there; processes that start together make them once."""
        with self.datastore.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            self._create(cursor)
            cursor.execute("COMMIT")

    def _create(self, cursor: Cursor) -> None:
        """Make the tables; in the caller's transaction."""

    def _events(self, originator_id: UUID | str, **how: Any) -> Sequence[StoredEvent]:
        gt, lte, desc, limit = (how.get(name) for name in ("gt", "lte", "desc", "limit"))
        query, values = (
            "SELECT originator_id, originator_version, topic, state FROM {entries} WHERE originator_id = %s",
            list[Any]([_text(originator_id)]),
        )
        if gt is not None:
            query, values = query + " AND originator_version > %s", [*values, gt]
        if lte is not None:
            query, values = query + " AND originator_version <= %s", [*values, lte]
        query += " ORDER BY originator_version DESC" if desc else " ORDER BY originator_version"
        if limit is not None:
            query, values = query + " LIMIT %s", [*values, limit]
        stream = self.datastore.stream
        return [StoredEvent(stream(row[0]), *row[1:]) for row in self.datastore.read(self._named(query), values)]


class SnapshotRecorder(_Recorder, AggregateRecorder):
    """Events of aggregates without a common order: snapshots."""

    def __init__(self, datastore: Datastore, events_table_name: str = "stored_snapshots") -> None:
        super().__init__(datastore, entries=events_table_name)

    def _create(self, cursor: Cursor) -> None:
        cursor.execute(
            self._named(
                'CREATE TABLE IF NOT EXISTS {entries} (originator_id text COLLATE "C", originator_version bigint, '
                "topic text NOT NULL, state bytea NOT NULL, PRIMARY KEY (originator_id, originator_version))"
            )
        )

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Store events; IntegrityError where a version of an aggregate is there already."""
        with self.datastore.cursor() as cursor:
            cursor.execute(
                self._named(
                    "INSERT INTO {entries} SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[])"
                ),
                _columns(stored_events),
            )
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of an aggregate by version."""
        return self._events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)


class EntryRecorder(_Recorder, ApplicationRecorder):
    """Events of all aggregates under gapless numbers, on a table like that of the log."""

    def __init__(self, datastore: Datastore, events_table_name: str = "entries", **names: str) -> None:
        super().__init__(datastore, entries=events_table_name, head=head_of(events_table_name), **names)
        self.channel = f"comity_{events_table_name}"[:63]

    def _create(self, cursor: Cursor) -> None:
        create_entries(cursor, self.names["entries"])
        super()._create(cursor)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """
        Store events under the next numbers, all or none.

        Raises:
            IntegrityError: a version of a stream is there already.
        """
        return self._insert(stored_events)

    def _insert(
        self, stored_events: Sequence[StoredEvent], before: Callable[[Cursor], None] | None = None
    ) -> Sequence[int]:
        with self.datastore.cursor() as cursor:
            if before is None and len(stored_events) < COPY_MIN:
                return self._insert_few(cursor, stored_events)
            cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            if before is not None:
                before(cursor)
            numbers = self._insert_many(cursor, stored_events)
            cursor.execute(sql.SQL("NOTIFY {};COMMIT").format(sql.Identifier(self.channel)))
            return numbers

    def _insert_few(self, cursor: Cursor, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        """Insert in one statement, one round trip: its row lock gives the numbers, its end commits."""
        if not stored_events:
            return []
        cursor.execute(
            sql.SQL("NOTIFY {};").format(sql.Identifier(self.channel))
            + self._named(
                "WITH moved AS (UPDATE {head} SET size = size + %s RETURNING size - %s AS first) "
                "INSERT INTO {entries} SELECT first + place - 1, stream, version, topic, state "
                "FROM moved, unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[]) "
                "WITH ORDINALITY AS event (stream, version, topic, state, place) RETURNING idx + 1"
            ),
            (len(stored_events), len(stored_events), *_columns(stored_events)),
        )
        return sorted(row[0] for row in cursor.fetchall())

    def _insert_many(self, cursor: Cursor, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        # Written out before the lock is taken: the numbers alone are missing.
        lines = [
            f"\t{escaped(_text(event.originator_id))}\t{event.originator_version}\t{escaped(event.topic)}"
            f"\t\\\\x{event.state.hex()}\n"
            for event in stored_events
        ]
        cursor.execute(self._named("UPDATE {head} SET size = size + %s RETURNING size - %s"), (len(lines), len(lines)))
        first = cast("tuple[int]", cursor.fetchone())[0]
        target = self._named("{entries} (idx, originator_id, originator_version, topic, state)")
        copy(cursor, target, (f"{index}{line}" for index, line in enumerate(lines, first)))
        return range(first + 1, first + 1 + len(lines))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of a stream by version."""
        return self._events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return up to *limit* notifications from number *start* to *stop*, in order."""
        query = "SELECT originator_id, originator_version, topic, state, idx + 1 FROM {entries} WHERE idx >= %s"
        values: list[Any] = [(start or 1) - 1 if inclusive_of_start or start is None else start]
        if stop is not None:
            query, values = query + " AND idx < %s", [*values, stop]
        if topics:
            query, values = query + " AND topic = ANY(%s)", [*values, list(topics)]
        rows = self.datastore.read(self._named(query + " ORDER BY idx LIMIT %s"), [*values, limit])
        return [Notification(self.datastore.stream(row[0]), *row[1:]) for row in rows]

    def max_notification_id(self) -> int | None:
        """Return the largest number, None where there is nothing."""
        return cast("int | None", self.datastore.read(self._named("SELECT max(idx) + 1 FROM {entries}"))[0][0])

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> EntrySubscription:
        """Return an iterator over what is and what will be recorded."""
        return EntrySubscription(self, gt=gt, topics=topics)


class EntrySubscription(ListenNotifySubscription[EntryRecorder]):
    """
    Follows a recorder, notified by whoever records.

    It looks by itself every ``POLL_SECONDS``: what is recorded before it listens, or while the
    server restarts, is not missed.
    """

    def __init__(self, recorder: EntryRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._listening = Thread(target=self._listen, daemon=True)
        self._listening.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """Stop, and wait until both threads have ended."""
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listening.join()

    def _listen(self) -> None:
        one = None
        while not self._has_been_stopped:
            try:
                if one is None:
                    one = self._recorder.datastore.connections.connect()
                    with one.cursor() as cursor:
                        cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._recorder.channel)))
                if select.select([one], [], [], POLL_SECONDS)[0]:
                    one.poll()
                    one.notifies.clear()
            except psycopg2.Error:
                with suppress(AttributeError):
                    cast("Any", one).close()
                one = None
                select.select([], [], [], POLL_SECONDS)
            self._has_been_notified.set()
        if one is not None:
            one.close()


class PositionRecorder(_Recorder, TrackingRecorder):
    """How far an application has read others; a position never goes back."""

    def __init__(self, datastore: Datastore, *, tracking_table_name: str = "tracking", **names: str) -> None:
        super().__init__(datastore, tracking=tracking_table_name, **names)

    def _create(self, cursor: Cursor) -> None:
        cursor.execute(
            self._named(
                "CREATE TABLE IF NOT EXISTS {tracking} "
                "(application_name text PRIMARY KEY, notification_id bigint NOT NULL) WITH (fillfactor = 50)"
            )
        )

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move a position on; IntegrityError where it is there already or beyond."""
        with self.datastore.cursor() as cursor:
            self._insert_tracking(cursor, tracking)

    def _insert_tracking(self, cursor: Cursor, tracking: Tracking) -> None:
        cursor.execute(
            self._named(
                "INSERT INTO {tracking} AS kept VALUES (%s, %s) ON CONFLICT (application_name) DO UPDATE "
                "SET notification_id = excluded.notification_id WHERE kept.notification_id < excluded.notification_id"
            ),
            (tracking.application_name, tracking.notification_id),
        )
        if not cursor.rowcount:
            raise library.IntegrityError(
                f"{tracking.application_name} is at {tracking.notification_id} already, or beyond it"
            )

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return how far an application was read, None where it was not."""
        query = self._named("SELECT notification_id FROM {tracking} WHERE application_name = %s")
        rows = self.datastore.read(query, (application_name,))
        return cast("int", rows[0][0]) if rows else None


class EntryProcessRecorder(EntryRecorder, PositionRecorder, ProcessRecorder):
    """Events and the position that they were made from, in one transaction."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Store events, and move the position *tracking* where it is given; IntegrityError as for each."""
        tracking: Tracking | None = kwargs.get("tracking")
        return self._insert(
            stored_events, None if tracking is None else lambda cursor: self._insert_tracking(cursor, tracking)
        )


class Factory(InfrastructureFactory[PositionRecorder]):
    """Gives the library our recorders; each application has its own tables, named after it."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        database = self.env.get("POSTGRES_DBNAME")
        if not database:
            raise OSError(f"none of {', '.join(self.env.create_keys('POSTGRES_DBNAME'))} is set: which database?")
        schema = self.env.get("POSTGRES_SCHEMA")
        given = {
            "dbname": database,
            "host": self.env.get("POSTGRES_HOST"),
            "port": self.env.get("POSTGRES_PORT"),
            "user": self.env.get("POSTGRES_USER"),
            "password": self.env.get("POSTGRES_PASSWORD"),
            "options": f"-csearch_path={schema}" if schema else None,
        }
        self.datastore = Datastore(
            make_dsn(**{name: value for name, value in given.items() if value}),
            originator_id_type=self.env.get("ORIGINATOR_ID_TYPE") or "uuid",
        )

    def _table(self, prefix: str, purpose: str) -> str:
        return f"{self.env.name.lower() or prefix}_{purpose}"

    def _made(self, recorder: R) -> R:
        if strtobool(self.env.get("CREATE_TABLE") or "yes"):
            recorder.create_table()
        return recorder

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Return a recorder without common numbers."""
        return self._made(SnapshotRecorder(self.datastore, self._table("stored", purpose)))

    def application_recorder(self) -> ApplicationRecorder:
        """Return a recorder under gapless numbers."""
        return self._made(EntryRecorder(self.datastore, self._table("stored", "events")))

    def tracking_recorder(self, tracking_recorder_class: type[PositionRecorder] | None = None) -> PositionRecorder:
        """Return a recorder of positions, of the class given or named by the environment."""
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        wanted = tracking_recorder_class or (resolve_topic(topic) if topic else PositionRecorder)
        return self._made(
            cast(
                "PositionRecorder", wanted(self.datastore, tracking_table_name=self._table("notification", "tracking"))
            )
        )

    def process_recorder(self) -> ProcessRecorder:
        """Return a recorder of events and positions together."""
        return self._made(
            EntryProcessRecorder(
                self.datastore,
                events_table_name=self._table("stored", "events"),
                tracking_table_name=self._table("notification", "tracking"),
            )
        )

    def close(self) -> None:
        """Close every connection."""
        self.datastore.close()


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


def _columns(stored_events: Sequence[StoredEvent]) -> tuple[list[str], list[int], list[str], str]:
    return (
        [_text(event.originator_id) for event in stored_events],
        [event.originator_version for event in stored_events],
        [event.topic for event in stored_events],
        byte_array(event.state for event in stored_events),
    )
