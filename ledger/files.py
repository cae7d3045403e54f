"""Files that several processes write, and that must outlive a power failure."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["locked", "sync"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file against other processes; the system lets go of it when the holder dies."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync(path: Path) -> None:
    """Force a file to the disk, or the names in a folder. Cost: one wait for the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
