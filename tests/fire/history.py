"""
The history of a run: what every client asked, was answered and saw, and when; one line of JSON each.

Written as it happens, so that it outlives whoever writes it. All clients live on one machine and read one
monotonic clock, so "answered before the other asked" is a fact.

============== =========================================================================
line           what is in it
============== =========================================================================
``invoke``     id, attempt, key, sequence, never (whether it can never be taken)
``ok``         id, attempt, index, accepted: recorded
``fail``       id, attempt, reason: refused
``info``       id, attempt, why: nobody knows
``size``       begun_at, size: how long the log is
``read``       begun_at, start, leaves: entries as a reader sees them
``root``       begun_at, size, root: a checkpoint as somebody was shown it
``delivered``  topic, partition, offset, index, leaf
``fault``      kind, target, seconds
============== =========================================================================
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAF_DIGITS: Final = 24
"""Of a leaf hash so many hexadecimal digits are kept: enough to tell entries apart."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: *at* in seconds of the monotonic clock, *who* saw it."""

    at: float
    who: str
    what: str
    data: dict[str, Any]


class History:
    """Takes lines from any thread, to a file."""

    def __init__(self, path: Path) -> None:
        """Begin the file at *path*."""
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._guard = threading.Lock()

    def add(self, who: str, what: str, **data: Any) -> float:
        """Write a line; the instant that it says."""
        with self._guard:
            at = time.monotonic()
            self._file.write(json.dumps([round(at, 6), who, what, data], separators=(",", ":")) + "\n")
        return at

    def close(self) -> None:
        """Write no more."""
        with self._guard:
            self._file.close()


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a history, in the order in which they were written."""
    with path.open(encoding="utf-8") as file:
        for text in file:
            yield Line(*json.loads(text))
