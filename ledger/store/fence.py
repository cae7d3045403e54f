"""
Fences: a store that a log has left, or has not wholly reached yet, takes no entries.

======== ============================================ =================================================
fence    stands on                                    ends
======== ============================================ =================================================
left     the store that a log moves away from         never, unless the move is abandoned
arriving a database into which a log is being copied  when the copy is whole and has been compared
======== ============================================ =================================================

A fence is a trigger of the store: it binds every process on every machine, and outlives the one that
put it up. Without it, whoever had not heard of the move would append to the old store, and the log
would have two continuations under one name.

Whoever copies into a PostgreSQL database passes its fence by a setting of the session alone. A SQLite
file needs none: until it is whole it has another name.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ledger.store import POSTGRES, open_store
from ledger.store.promises import ARRIVING, BUSY_SECONDS, MOVED, busy
from ledger.store.sqlite import LEFT

if TYPE_CHECKING:
    from ledger.store import Store

Fence = Literal["left", "arriving"]

_WHERE: Final = re.compile(re.escape(MOVED).replace(re.escape("{where}"), "(.*?)"))


def put_up(address: str, kind: Fence, where: str = "") -> None:
    """
    Fence the store at *address*; whoever is writing finishes first. Repeating changes nothing.

    Args:
        address: of the store.
        kind: see the table of the module; a file needs none for ``arriving``.
        where: the address that the log moves to.

    Raises:
        Unavailable: others write without a pause.
        NotPermitted: in PostgreSQL, the role does not own the tables.
    """
    said = MOVED.format(where=where) if kind == "left" else ARRIVING
    if address.startswith(POSTGRES):
        from ledger.store.postgres import fencing  # noqa: PLC0415 -- its driver is loaded where it is used

        fencing.put_up(address, kind, said)
        return
    if kind == "arriving":
        return
    quoted = said.replace("'", "''")
    with closing(_file(address)) as run:
        try:
            run.execute(
                f"CREATE TRIGGER IF NOT EXISTS {LEFT} BEFORE INSERT ON entries "
                f"BEGIN SELECT RAISE(ABORT, '{quoted}'); END"
            )
        except sqlite3.OperationalError as error:
            raise busy(str(error)) from error


def take_down(address: str, kind: Fence) -> None:
    """Remove a fence of the store at *address*; nothing happens where it does not stand."""
    if address.startswith(POSTGRES):
        from ledger.store.postgres import fencing  # noqa: PLC0415 -- see put_up

        fencing.take_down(address, kind)
        return
    with closing(_file(address)) as run:
        run.execute(f"DROP TRIGGER IF EXISTS {LEFT}")


def standing(address: str) -> tuple[Fence, str] | None:
    """Return which fence stands on the store at *address* and where the log went; None where none does."""
    if address.startswith(POSTGRES):
        from ledger.store.postgres import fencing  # noqa: PLC0415 -- see put_up

        found = fencing.standing(address)
        return None if found is None else (found[0], _where(found[1]))
    with closing(sqlite3.connect(f"{Path(address).absolute().as_uri()}?mode=ro", uri=True)) as run:
        row = run.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (LEFT,)).fetchone()
    return None if row is None else ("left", _where(row[0].replace("''", "'")))


def open_arriving(address: str) -> Store:
    """Open the store at *address* so that its fence against arriving is passed."""
    if address.startswith(POSTGRES):
        from ledger.store.postgres import fencing  # noqa: PLC0415 -- see put_up

        return fencing.open_arriving(address)
    return open_store(address)


def _file(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, isolation_level=None, timeout=BUSY_SECONDS)


def _where(text: str) -> str:
    found = _WHERE.search(text)
    return found[1] if found else ""
