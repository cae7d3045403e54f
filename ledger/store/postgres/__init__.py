"""
The shared store: PostgreSQL, for more than one machine.

``store`` keeps the log, ``recorder`` plugs the same table into the eventsourcing library, whose own
module for PostgreSQL needs another driver; ``tables`` and ``connections`` serve both.
"""

from __future__ import annotations

from ledger.store.postgres.connections import password_in
from ledger.store.postgres.store import PostgresStore, Writing

__all__ = ["PostgresStore", "Writing", "password_in"]
