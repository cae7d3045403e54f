"""The physical limits that figures are held against."""

from __future__ import annotations

import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nacl.bindings import crypto_sign_open

from bench.measure import Watch
from ledger.statement import decode_statement, signed_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.statement import Signed

Check = tuple[bytes, bytes]
"""Signature and message together, as libsodium wants them, and the public key."""


def checks(items: Sequence[Signed], keys: Mapping[bytes, bytes]) -> list[Check]:
    """What PyNaCl checks of statements signed one by one; *keys* gives the public key of a key's id."""
    return [
        (item.signature + signed_message(item.statement), keys[decode_statement(item.statement).key]) for item in items
    ]


def verify(checks: Sequence[Check]) -> float:
    """Signatures per second that PyNaCl checks on one core, by its fastest call."""
    with Watch() as watch:
        for signed, key in checks:
            crypto_sign_open(signed, key)
    return len(checks) / watch.seconds


def verify_on_two_threads(checks: Sequence[Check]) -> float:
    """The same with two threads; libsodium is called without the interpreter's lock."""
    half = len(checks) // 2
    with ThreadPoolExecutor(2) as pool, Watch() as watch:
        list(pool.map(verify, (checks[:half], checks[half:])))
    return len(checks) / watch.seconds


def hash_in_memory(entries: Sequence[bytes]) -> float:
    """Entries per second with one leaf hash and one node hash each, already in memory."""
    node = bytes(32)
    with Watch() as watch:
        for entry in entries:
            leaf = sha256(b"\0" + entry).digest()
            node = sha256(b"\1" + node + leaf).digest()
    return len(entries) / watch.seconds


def insert(rows: Sequence[tuple[int, str, int, str, bytes]], group: int) -> float:
    """Rows per second into one durable SQLite table with the columns and keys of ``entries``."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        db = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "CREATE TABLE entries (rowid INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
            " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,"
            " UNIQUE (originator_id, originator_version))"
        )
        with Watch() as watch:
            for start in range(0, len(rows), group):
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO entries VALUES (?,?,?,?,?)", rows[start : start + group])
                db.execute("COMMIT")
        db.close()
    return len(rows) / watch.seconds
