"""The database that the projections are kept in: its transactions, and its word on who stands in for Kafka."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg2

from ledger.store.postgres.connections import Connections, meaning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection  # noqa: N812 -- the driver writes its types small
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 -- as above

IDLE_MS: Final = 5_000
"""A worker that stops within a transaction is ended by the server after that, and what it locked is free."""

STAND_IN_LOCK: Final = 0x636F6D70
"""The advisory lock of the one worker that fills everything where there is no Kafka."""


class Database:
    """
    Transactions on one PostgreSQL database.

    They do not wait for the disk: a power failure may take the last ones, positions and rows together.

    Args:
        address: ``postgresql://...``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._own = Connections(
            address,
            prepare=f"SET synchronous_commit = off; SET idle_in_transaction_session_timeout = {IDLE_MS}",
        )
        self._standing_in: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """
        Lend a cursor within one transaction: done at the end of the block, undone where that raises.

        Raises:
            Unavailable: the database cannot do it now.
            Conflict: it holds something else in this place.
        """
        try:
            with self._own.lent() as one, one.cursor() as cursor:
                cursor.execute("BEGIN")
                yield cursor
                cursor.execute("COMMIT")
        except psycopg2.Error as error:
            raise meaning(error) from error

    @contextmanager
    def snapshot(self) -> Iterator[Cursor]:
        """Lend a cursor that sees everything as it was at one instant, and changes nothing; errors as above."""
        with self.transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield cursor

    def stand_in(self) -> bool:
        """
        Whether this process is the one that fills every partition where Kafka divides nothing.

        The database holds that word as long as the connection lives, which is as long as the process at most.

        Raises:
            Unavailable: the database cannot be asked.
        """
        try:
            if self._standing_in is None or self._standing_in.closed:
                self._standing_in = self._own.connect()
            with self._standing_in.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                    " UNION ALL SELECT 1 WHERE pg_try_advisory_lock(%s, hashtext(current_schema())) LIMIT 1",
                    (STAND_IN_LOCK,),
                )
                return bool(cursor.fetchall())
        except psycopg2.Error as error:
            self.stand_down()
            raise meaning(error) from error

    def stand_down(self) -> None:
        """Let another process stand in."""
        if self._standing_in is not None:
            self._standing_in.close()
            self._standing_in = None

    def close(self) -> None:
        """Close the connections."""
        self._own.close()
        self.stand_down()
