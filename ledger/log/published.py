"""
The published checkpoint: the newest that a log has signed, in a file beside its store.

The store is the truth and durable; this file is its public copy, as a witness would hold it. It shows
when an older copy of the store was restored, or the store altered: then nothing may be appended, for
the log would have two continuations.

It is replaced whole, and whoever reads it, or kills the process that writes it, finds one checkpoint
or the next. It is forced to the disk, with the name that leads to it, when the ledger is opened and
closed and once in ``DURABLE_SECONDS``: doing so for every group of publishers would cost two more waits
for the disk beside the store's own. So a power failure may leave a copy that is older by that second,
or by what the system had not written of its own accord since, or an empty one; the next start publishes
the newest of the store. Only who restores an older store before that start, within that second, is not
noticed by it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ledger.errors import Conflict
from ledger.files import locked, sync
from ledger.log.checkpoint import size_of
from ledger.log.tree import root_at
from ledger.verify import parse_checkpoint, parse_note

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.log.tree import Read

__all__ = ["DURABLE_SECONDS", "Published"]

DURABLE_SECONDS: Final = 1.0
"""How often the published checkpoint is forced to the disk while statements are published."""


class Published:
    """The file ``checkpoint`` of a ledger's folder; several processes may put checkpoints there."""

    def __init__(self, folder: Path) -> None:
        """Name the file; nothing is read or written yet."""
        self.path = folder / "checkpoint"
        # The file as this process last put it there: then it need not be read to see that it is not newer.
        self._put: tuple[int, int] | None = None
        # When one was last forced to the disk, and whether one was written since.
        self._durable_at: float | None = None
        self._written = False

    def size(self) -> int:
        """Return how many entries the published checkpoint covers; 0 where there is none, or it was left empty."""
        try:
            return size_of(self.path.read_bytes())
        except FileNotFoundError:
            return 0

    def put(self, note: bytes) -> None:
        """
        Publish a checkpoint, before anybody is answered; a newer one stays.

        Args:
            note: signed by this log.

        Cost: a file written and renamed; two waits for the disk once in ``DURABLE_SECONDS``.
        """
        # Another process may be a step ahead, or write at this very moment: it never goes back.
        with locked(self.path.with_name("checkpoint.lock")):
            if _identity(self.path) != self._put and self.size() > size_of(note):
                return
            temporary = self.path.with_name("checkpoint.new")
            now = time.monotonic()
            durable = self._durable_at is None or now - self._durable_at >= DURABLE_SECONDS
            with temporary.open("wb") as file:
                file.write(note)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(self.path)
            if durable:
                sync(self.path.parent)
                self._durable_at = now
            self._put = _identity(self.path)
            self._written = not durable

    def make_durable(self) -> None:
        """Force the published checkpoint to the disk, where the last one was not."""
        if self._written:
            with suppress(FileNotFoundError):  # somebody took it away: the next start writes it anew
                sync(self.path)
                sync(self.path.parent)
            self._written = False

    def check_extended(self, size: int, read: Read) -> None:
        """
        Check that a store holds everything that was published.

        Args:
            size: entries that the store holds.
            read: its rows of the tree.

        Raises:
            Conflict: it is behind the published checkpoint, or of another history.
            FormatError: the file is no checkpoint.
        """
        note = self.path.read_bytes() if self.path.exists() else b""
        if not note:
            return  # never published, or left empty by a power failure; the store has its own copy
        published = parse_checkpoint(parse_note(note).text)
        if size < published.size or root_at(published.size, read) != published.root:
            raise Conflict(
                f"the store holds {size} entries and does not extend the published checkpoint over {published.size}",
                why="it was restored from an older copy, or altered; appending would fork the log",
                what_now="refill it from a mirror or from receipts up to the same root; never delete the checkpoint",
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from any that was put in its place: its number and when it was written."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
