"""Connections to one database: lent out, mended when the server went away, and what its errors mean here."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, new_type, parse_dsn, register_type

from ledger.errors import FormatError, NotPermitted, Unavailable
from ledger.store.postgres.tables import FENCED
from ledger.store.promises import fenced, occupied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection  # noqa: N812 -- the driver writes its types small

    from ledger.errors import ComityError

PATIENCE_SECONDS: Final = 10.0
"""How long a server that went away is waited for: a restart, or a standby that takes over."""

PAUSE_SECONDS: Final = (0.02, 0.5)
"""The first and the longest pause between two attempts to reach it."""

CONNECT_SECONDS: Final = 5
"""How long one attempt to connect may take."""

LENT_MAX: Final = 8
"""How many connections for reading one process uses at a time; more threads than that take turns."""

_GONE: Final = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
"""SQLSTATEs by which a server says that this connection is over: the connection, a shutdown, a time limit."""

# BYTEA as bytes: the driver's own type gives a memoryview, which compares and hashes otherwise.
_BYTES = new_type((17,), "BYTES", lambda value, _: None if value is None else bytes.fromhex(str(value[2:])))


def gone(error: psycopg2.Error) -> bool:
    """Whether this error says that the connection is over, and nothing about what was asked."""
    if error.pgcode is None:
        # A server that dies while it is asked makes the driver raise the bare class.
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or (
            type(error) is psycopg2.DatabaseError
        )
    return error.pgcode.startswith(_GONE)


def meaning(error: psycopg2.Error) -> ComityError:
    """Return what an error of the database means to whoever called."""
    said = str(error).strip().split("\n", 1)[0]
    if error.pgcode == FENCED:
        return fenced(error.diag.message_primary or said)
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        return NotPermitted(
            "the database role may not do this",
            why=said,
            what_now="connect with a role that deploy/roles.sql gives it to",
        )
    if isinstance(error, psycopg2.IntegrityError):
        return occupied(said)
    return Unavailable("the database cannot do this now", why=said, what_now="try again: repeating is harmless")


def password_in(address: str) -> bool:
    """Whether an address holds a password; FormatError when libpq could not read it."""
    try:
        return "password" in parse_dsn(address)
    except psycopg2.ProgrammingError as error:
        raise FormatError(str(error).strip(), field="store") from None


class Patience:
    """Waits a little longer after each failure, and raises Unavailable when it is at its end."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._pause = PAUSE_SECONDS[0]

    def after(self, error: psycopg2.Error) -> None:
        """Wait because of *error*, unless waiting cannot help."""
        if not gone(error) or time.monotonic() >= self._until:
            raise meaning(error) from error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_SECONDS[1])


class Connections:
    """
    Connections to one database, lent to one thread at a time; the one given back last is lent first.

    A connection found dead is thrown away, and with it those that idle: whatever ended one of them has
    ended them all.
    They outlive no fork: a child makes its own.
    """

    def __init__(self, address: str, *, prepare: str = "", limit: int = LENT_MAX) -> None:
        """Lend up to *limit* connections to *address*, each prepared by the statements *prepare*."""
        self.address = address
        self._prepare = prepare
        self._limit = limit
        self._forget()

    def like(self, *, limit: int) -> Connections:
        """Return others to the same database, prepared alike."""
        return Connections(self.address, prepare=self._prepare, limit=limit)

    def _forget(self) -> None:
        self._process = os.getpid()
        self._idle: list[Connection] = []
        self._slots = threading.BoundedSemaphore(self._limit)

    def connect(self) -> Connection:
        """Make a connection of one's own; the caller closes it."""
        made = psycopg2.connect(
            self.address,
            fallback_application_name="comity",
            client_encoding="utf8",
            connect_timeout=CONNECT_SECONDS,
            # A peer that vanished without a word is noticed within a minute.
            keepalives_idle=20,
            keepalives_interval=5,
            keepalives_count=4,
            tcp_user_timeout=60_000,
        )
        # Transactions begin and end where we say so: the driver's own BEGIN costs another round trip.
        made.autocommit = True
        register_type(_BYTES, made)
        if self._prepare:
            with made.cursor() as cursor:
                cursor.execute(self._prepare)
        return made

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend a connection; what it left undone is rolled back when it is given back."""
        if self._process != os.getpid():
            self._forget()
        with self._slots:
            one = self._idle.pop() if self._idle else self.connect()
            try:
                yield one
            except psycopg2.Error as error:
                if gone(error):
                    self._discard(one)
                raise
            finally:
                self._take_back(one)

    def _take_back(self, one: Connection) -> None:
        if not one.closed and one.info.transaction_status != TRANSACTION_STATUS_IDLE:
            # The driver's own rollback() does nothing about a transaction that it did not begin.
            with suppress(psycopg2.Error), one.cursor() as cursor:
                cursor.execute("ROLLBACK")
        if one.closed or one.info.transaction_status != TRANSACTION_STATUS_IDLE:
            one.close()
        else:
            self._idle.append(one)

    def _discard(self, one: Connection) -> None:
        one.close()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def read(self, query: str | sql.Composable, values: Any = None) -> list[tuple[Any, ...]]:
        """
        Run one query that changes nothing and return its rows; again when the server went away.

        Raises:
            Unavailable: it did not come back.
        """
        patience = Patience()
        while True:
            try:
                with self.lent() as one, one.cursor() as cursor:
                    cursor.execute(query, values)
                    return cursor.fetchall()
            except psycopg2.Error as error:
                patience.after(error)

    def close(self) -> None:
        """Close what idles; what is lent is closed by whoever holds it."""
        if self._process == os.getpid():
            while self._idle:
                self._idle.pop().close()
