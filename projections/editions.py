"""
Under which edition of the law an answer is given: that which the log named at the instant asked about.

Every entry carries the hash of the edition under which it was judged (``Entry.rules``). What was known by an
instant is told under the edition of the last entry of that time, where it is kept; else under this release's,
and that is said. Without such an instant this release's edition counts: what is known of the law today.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ledger.domain import procedure
from ledger.errors import FormatError, NotFound
from ledger.law.editions import find
from ledger.law.law import HERE, load, read
from ledger.law.manifest import manifest_of
from ledger.statement import decode_entry
from projections.rules import Book, book, book_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from projections.filling import Store

__all__ = ["Under", "in_folder", "named_by", "under"]


@dataclass(frozen=True, slots=True)
class Under:
    """
    The law under which an answer is given.

    Attributes:
        book: its rules.
        named: the edition that the log named at that instant, in hex; None where it had no entry, or none is asked for.
        note: in words, why it is another than the one named; empty where it is that one.
    """

    book: Book
    named: str | None = None
    note: str = ""

    @property
    def edition(self) -> str:
        """The hash of the edition used."""
        return self.book.law.edition


@lru_cache(maxsize=8)
def in_folder(folder: Path) -> Book:
    """
    The rules of the edition in a folder, kept for the life of the process.

    Raises:
        FormatError: a file breaks the format; the error names file and key.
    """
    return book() if folder == HERE else book_of(read(folder), manifest_of(folder), procedure.load())


def named_by(store: Store, known_by: int) -> str | None:
    """
    The edition that the last entry known by an instant (µs) names, in hex; None where there was none.

    Cost: the logarithm of the size of the log in entries read.
    """
    low, high = 0, store.size()
    rules = None
    while low < high:
        middle = (low + high) // 2
        ((_, raw),) = store.entries(middle, 1)
        entry = decode_entry(raw)
        # The log's clock never goes back, so that the entries known by an instant are its first.
        if entry.recorded_at <= known_by:
            low, rules = middle + 1, entry.rules
        else:
            high = middle
    return None if rules is None else rules.hex()


def under(store: Store, known_by: int | None, archives: Iterable[Path]) -> Under:
    """
    The law of an instant.

    Args:
        store: the log.
        known_by: the instant, µs; None for today's law.
        archives: where editions are kept, beside this release.
    """
    named = None if known_by is None else named_by(store, known_by)
    if named is None or named == load().edition:
        return Under(book(), named)
    try:
        return Under(in_folder(find(named, archives)), named)
    except (NotFound, FormatError) as error:
        why = "is not kept here" if isinstance(error, NotFound) else f"cannot be read by this release ({error})"
        return Under(book(), named, f"the edition {named[:12]} that the log named then {why}")
