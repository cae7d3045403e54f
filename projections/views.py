"""Opening the projections for reading: one connection that sees them all, and the names that ids are shown with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from projections.facts import Who


@dataclass(slots=True)
class Views:
    """
    What the queries read: every projection's tables under its own name (`status.fact`, `audit.entry`, …).

    Open with `Runner.views()` or `open_views(path)`; close it, or use it as a context manager.
    """

    db: sqlite3.Connection
    procedure: Any

    def who(self, authority: str | None, country: str | None = None, authority_kind: str | None = None) -> Who:
        """Return the authority with its designation from the roster; "another authority" when the roster has none."""
        raise NotImplementedError

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied."""
        raise NotImplementedError
