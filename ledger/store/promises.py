"""
What every store promises, said once: what is refused, in which words, and what need not be asked twice.

The two stores differ in how they ask a database. Whether rows continue the log, whether a checkpoint may be
kept, what is missing between two checkpoints and what an error means to a publisher does not depend on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.errors import Conflict, NotFound, Unavailable
from ledger.verify import ROSTER_ACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ledger.store import Row

BUSY_SECONDS: Final = 30
"""How long a writer waits for the tree lock."""

NODES_REMEMBERED: Final = 100_000
"""How many nodes are remembered (some 15 MB)."""

ROSTER: Final = ",".join(f"'{act}'" for act in sorted(ROSTER_ACTS))
"""The acts of the roster, as SQL lists them."""

MOVED: Final = "this log was moved to {where}; nothing is appended here"
"""What the fence of a store says that its log has left (``ledger.store.fence``)."""

ARRIVING: Final = "this log has not wholly arrived here; nothing is appended yet"
"""What the fence of a database says into which a log is being copied."""

LACKING: Final = """
WITH numbered AS (SELECT number, size FROM seals UNION ALL SELECT seals, NULL FROM {counter})
SELECT * FROM (
    SELECT number, size, coalesce(lag(number) OVER past, -1) AS earlier, coalesce(lag(size) OVER past, 0) AS reached
    FROM numbered WINDOW past AS (ORDER BY size NULLS LAST)
) AS pairs
WHERE number <> earlier + 1 ORDER BY size NULLS LAST
"""
"""
Checkpoints whose number does not follow, and the numbers and sizes before them; see ``lacking``.

One query, one snapshot: others may seal meanwhile. ``counter`` is the table that counts how many were ever kept.
"""


def check_continues(rows: Sequence[Row], size: int, sealed: int | None, *, kept_in: str) -> None:
    """
    Check that rows may be appended to a log of *size* entries.

    Args:
        rows: at least one, in order.
        size: of the log.
        sealed: of the newest checkpoint, None where there is none.
        kept_in: what the store is, for whoever reads the error: a file, a database.

    Raises:
        Conflict: they do not continue it, or a checkpoint is ahead of it.
    """
    if rows[0].index != size or rows[-1].index != size + len(rows) - 1:
        raise Conflict(f"the batch begins at index {rows[0].index}, the log has {size} entries")
    if sealed is not None and sealed > size:
        raise Conflict(
            f"the log holds {size} entries, yet a checkpoint over {sealed} was signed",
            why=f"this {kept_in} was restored from before that checkpoint; appending would fork the log",
            what_now="refill it from a mirror or from receipts up to the same root",
        )


def check_epoch(mine: int, present: int) -> None:
    """Check that the lease of a sealer still holds; Conflict when it is over."""
    if mine != present:
        raise Conflict(
            "another process has become the sealer of this log", what_now="the next append takes the lease again"
        )


def check_root(size: int, root: bytes, kept: bytes, *, kept_in: str) -> None:
    """Check that a size is sealed with the root that it was sealed with before; Conflict when it is not."""
    if root != kept:
        raise Conflict(
            f"a checkpoint over {size} entries with another root was signed before",
            why=f"one size has one root for ever; this {kept_in} was altered or forked",
            what_now="stop, and run `comity fsck`",
        )


def busy(why: str) -> Unavailable:
    """Return the error of whoever waited for the tree lock in vain."""
    return Unavailable("the ledger is being written by another process", why=why, what_now="try again")


def fenced(said: str) -> Unavailable:
    """Return the error of whoever writes to a fenced store; *said* is what its fence says."""
    return Unavailable(
        "this store takes no entries",
        why=said,
        what_now="once the move is finished, name the new store in every folder and configuration; then try again: "
        "repeating is harmless",
    )


def occupied(why: str) -> Conflict:
    """Return the error of whoever writes what a key of the tables forbids."""
    return Conflict("the store holds something else in this place", why=why, what_now="run `comity fsck`")


def no_entry(index: int, size: int) -> NotFound:
    """Return the error of whoever asks for an entry that is not there."""
    return NotFound(f"there is no entry {index}", why=f"the log holds {size} entries, counted from 0")


def lacking(rows: Iterable[tuple[int, int | None, int, int]]) -> Iterator[str]:
    """
    Say which checkpoints were taken out, renumbered or put in.

    Args:
        rows: what ``LACKING`` finds: number and size of a checkpoint (None for the end), those of the one before.
    """
    for number, size, earlier, reached in rows:
        missing = number - earlier - 1
        what = "1 checkpoint was" if missing == 1 else f"{missing} checkpoints were"
        yield (
            f"{what} deleted between size {reached} and {'the newest entries' if size is None else f'size {size}'}: "
            "receipts may hold them, and prove what this log showed then; keep those"
            if missing > 0
            else f"{earlier + 1} checkpoints are numbered, and {number} are counted: the counter was changed, or "
            "checkpoints were put in"
            if size is None
            else f"the checkpoint over {size} entries is numbered {number}, and should be {earlier + 1}: "
            "checkpoints were renumbered or put in"
        )


def miscounted(
    streams: Iterable[tuple[str, int, int]],
    cases: Iterable[tuple[bytes, int, int]],
    counts: tuple[int, int, int, int],
) -> Iterator[str]:
    """
    Say which streams and cases are not numbered from 0 without a hole, and which rows are too many.

    Args:
        streams: each that is not so numbered: name, number of its entries, its last version.
        cases: the same of cases.
        counts: the size of the log, the rows by statement, the rows by case, the entries accepted.
    """
    for stream, count, last in streams:
        yield f"stream {stream} has {count} entries, the last numbered {last}"
    for case, count, last in cases:
        yield f"case {case.hex()} has {count} entries, the last numbered {last}"
    size, statements, in_cases, accepted = counts
    if statements != size:
        yield "the index of statement ids has another number of rows than the log has entries"
    if in_cases != accepted:
        yield "the index of cases has another number of rows than there are accepted entries"


class Nodes:
    """
    Nodes of the tree that were read or written before, by number; 32 bytes each.

    A node once committed never changes, so it need not be asked for again.
    """

    def __init__(self, read: Callable[[Sequence[int]], Iterable[tuple[int, bytes]]]) -> None:
        """Take nodes from *read* where they are not remembered: number and hash of those that are stored."""
        self._read = read
        self._known: dict[int, bytes] = {}

    def remember(self, nodes: Iterable[tuple[int, bytes]]) -> None:
        """Remember nodes that are committed."""
        if len(self._known) > NODES_REMEMBERED:
            # Another dictionary, not an emptied one: other threads may be reading this one.
            self._known = {}
        self._known.update(nodes)

    def hashes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the hashes of these nodes, in the order asked; NotFound when one is not stored."""
        known = self._known
        try:
            return [known[number] for number in ids]
        except KeyError:
            pass
        found = dict(self._read([number for number in ids if number not in known]))
        try:
            hashes = [found[number] if number in found else known[number] for number in ids]
        except KeyError as missing:
            raise NotFound(f"tree node {missing} is not stored", what_now="run `comity fsck`") from None
        self.remember(found.items())
        return hashes


def whole(kind: str, digits: str) -> tuple[Any, Any]:
    """Return the least and the greatest id that begin with these hexadecimal digits, as tables keep this kind."""
    low, high = digits.ljust(32, "0"), digits.ljust(32, "f")
    return (low, high) if kind == "thing" else (bytes.fromhex(low), bytes.fromhex(high))
