"""
Filling the projections: by following the log, or by rebuilding them beside the old ones and swapping them in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger.statement import Recorded
    from projections.views import Views


class Runner:
    """The projections of one ledger, kept in SQLite files beside *path*."""

    def __init__(self, store: Any, catalogue: Any, path: Path) -> None:
        """Open or make the projections at *path* (`projections.db`)."""

    def catch_up(self) -> int:
        """Apply every entry not yet applied; return the size reached."""
        raise NotImplementedError

    def feed(self, batch: Sequence[Recorded]) -> None:
        """Apply entries already decoded; those an index has passed are ignored, a gap is refused."""
        raise NotImplementedError

    def rebuild(self, workers: int = 2) -> int:
        """Build every projection anew beside the old ones and swap them in at once; return the size reached."""
        raise NotImplementedError

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied."""
        raise NotImplementedError

    def digest(self, name: str, size: int | None = None) -> str:
        """Return the SHA-256, in hex, of what projection *name* derived from the first *size* entries."""
        raise NotImplementedError

    def views(self) -> Views:
        """Open the projections for reading."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the files."""
