"""
The Merkle tree as append-only rows of 32 bytes.

Only complete subtrees are stored, each once and for ever, numbered in the order in which they come
to be: after leaf ``n`` its hash, then that of each subtree which this leaf completes, smallest
first. So appending a leaf appends rows and changes none, and a tree of any past size lies in a
prefix of the rows::

    level 2                     6
    level 1         2           5           9
    level 0     0       1   3       4   7       8   10
    leaf        0       1   2       3   4       5   6

A proof comes in two halves, as in the Go checksum database: which rows (``inclusion_ids``,
``consistency_ids``), and what to make of their hashes (``inclusion_path``, ``consistency_path``).
What cannot be a subtree of the rows, the right edge, is hashed from the rows together.

Source: RFC 6962 §2.1. Nothing recurses; sizes may be hostile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from ledger.verify import EMPTY_ROOT, node_hash

SHARED_FROM = 2
"""From which level on paths are kept: those of single leaves are asked for once."""

Read = Callable[[Sequence[int]], list[bytes]]
"""Row ids in, their hashes out, 32 bytes each, in the same order."""


def stored_count(size: int) -> int:
    """How many rows a tree of ``size`` leaves has. Cost: O(1)."""
    return 2 * size - size.bit_count()


def stored_index(level: int, n: int) -> int:
    """
    The row of the ``n``-th complete subtree of ``2**level`` leaves.

    Cost: O(1). It stands ``level`` rows after its last leaf.

    >>> [stored_index(0, 0), stored_index(1, 0), stored_index(2, 0), stored_index(0, 6)]
    [0, 2, 6, 10]
    """
    last_leaf = ((n + 1) << level) - 1
    return stored_count(last_leaf) + level


def _cover(start: int, end: int) -> list[int]:
    """
    Rows of the complete subtrees, left to right, that make up the subtree over ``start..end``.

    ``start`` is a multiple of the subtree's width, rounded up to a power of two. Cost: O(log n).
    """
    ids = []
    while start < end:
        level = (end - start).bit_length() - 1
        ids.append(stored_index(level, start >> level))
        start += 1 << level
    return ids


def _join(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first. Cost: one hash less than there are."""
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = node_hash(left, node)
    return node


def _split(start: int, end: int) -> int:
    """Where RFC 6962 §2.1 splits a subtree: after the largest power of two below its width."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def frontier_ids(size: int) -> list[int]:
    """The rows from which a tree of ``size`` leaves grows on. Cost: O(log n) rows."""
    return _cover(0, size)


class Frontier:
    """
    The right edge of a tree: all that is needed to append to it and to know its root.

    Args:
        size: leaves so far.
        stack: hashes of the complete subtrees, largest first: the rows ``frontier_ids(size)``.

    Memory: O(log n) hashes.
    """

    __slots__ = ("_stack", "size")

    def __init__(self, size: int = 0, stack: Sequence[bytes] = ()) -> None:
        if len(stack) != size.bit_count():
            raise ValueError(f"{len(stack)} subtrees cannot make a tree of size {size}")
        self.size = size
        self._stack = list(stack)

    @classmethod
    def load(cls, size: int, read: Read) -> Self:
        """The frontier of a stored tree. Cost: O(log n) rows read."""
        return cls(size, read(frontier_ids(size)))

    @property
    def stack(self) -> tuple[bytes, ...]:
        """Hashes of the complete subtrees, largest first."""
        return tuple(self._stack)

    def append(self, leaf: bytes) -> list[bytes]:
        """
        Take the next leaf hash in; the new rows, in order, from ``stored_count(size)`` on.

        Cost: one hash per leaf on average, O(log n) at worst.
        """
        rows = [leaf]
        closes = self.size
        while closes & 1:
            rows.append(node_hash(self._stack.pop(), rows[-1]))
            closes >>= 1
        self._stack.append(rows[-1])
        self.size += 1
        return rows

    def root(self) -> bytes:
        """The root, 32 bytes; the SHA-256 of nothing for an empty tree. Cost: O(log n) hashes."""
        return _join(self._stack) if self._stack else EMPTY_ROOT


def root_at(size: int, read: Read) -> bytes:
    """The root that the tree had, or has, at ``size``. Cost: O(log n) rows and hashes."""
    return _join(read(frontier_ids(size))) if size else EMPTY_ROOT


def _inclusion_plan(index: int, size: int) -> list[list[int]]:
    """For each element of the path, leaf's sibling first, the rows that make it."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of size {size}")
    plan = []
    level, node = 0, index
    while node or size - 1 >> level:
        sibling = node ^ 1
        last_leaf = ((sibling + 1) << level) - 1
        if last_leaf < size:  # a complete subtree is one row: stored_index(level, sibling)
            plan.append([2 * last_leaf - last_leaf.bit_count() + level])
        elif sibling << level < size:  # at most one sibling is incomplete: the right edge of the tree
            plan.append(_cover(sibling << level, size))
        level, node = level + 1, node >> 1
    return plan


def _consistency_plan(old: int, new: int) -> list[list[int]]:
    """For each element of the path the rows that make it (RFC 6962 §2.1.2, SUBPROOF unrolled)."""
    if not 0 <= old <= new:
        raise ValueError(f"no consistency from size {old} to {new}")
    if old in {0, new}:
        return []
    plan = []
    start, end = 0, new
    while old != end:
        middle = _split(start, end)
        if old <= middle:
            plan.append(_cover(middle, end))
            end = middle
        else:
            plan.append(_cover(start, middle))
            start = middle
    if start:  # a subtree that the verifier does not know as the whole of the old tree
        plan.append(_cover(start, end))
    return plan[::-1]


def _combine(plan: Sequence[Sequence[int]], read: Read) -> list[bytes]:
    """One read for all rows, then one hash per element of several rows."""
    hashes = read([row for rows in plan for row in rows])
    if len(hashes) == len(plan):
        return list(hashes)
    rest = iter(hashes)
    return [next(rest) if len(rows) == 1 else _join([next(rest) for _ in rows]) for rows in plan]


def inclusion_ids(index: int, size: int) -> list[int]:
    """The rows that an inclusion proof needs. Cost: at most 2 log2(size) rows."""
    return [row for rows in _inclusion_plan(index, size) for row in rows]


def inclusion_path(index: int, size: int, read: Read) -> list[bytes]:
    """
    The path from leaf ``index`` to the root at ``size``: 32 bytes each, the leaf's sibling first.

    Cost: one call of ``read``, at most 2 log2(size) rows.
    """
    return _combine(_inclusion_plan(index, size), read)


class SharedPaths:
    """
    The paths of many leaves at one size, as text: what neighbours have in common is made once.

    Two leaves share their paths from the smallest subtree on that holds both; so the paths of ``k``
    consecutive leaves cost some ``2 k`` rows, not ``k log2(size)``.
    Safe from many threads: what two make at a time is the same.
    """

    __slots__ = ("_known", "_last", "_line", "_read")

    def __init__(self, size: int, read: Read, line: Callable[[bytes], bytes]) -> None:
        """
        Make paths in a tree of *size* leaves.

        Args:
            size: leaves.
            read: see ``Read``.
            line: writes one hash.
        """
        self._last = size - 1
        self._read = read
        self._line = line
        # By level and subtree: the path from its root upwards.
        self._known: dict[tuple[int, int], bytes] = {}

    def text(self, index: int) -> bytes:
        """The path of a leaf, one line for each of its hashes, the leaf's sibling first."""
        if not 0 <= index <= self._last:
            raise ValueError(f"no leaf {index} in a tree of size {self._last + 1}")
        known, last = self._known, self._last
        climbed = []
        level, node = 0, index
        text = known.get((0, index))
        while text is None and (node or last >> level):
            climbed.append((level, node))
            level, node = level + 1, node >> 1
            text = known.get((level, node))
        text = text or b""
        for level, node in reversed(climbed):
            start = (node ^ 1) << level
            if start <= last:
                text = self._line(_join(self._read(_cover(start, min(start + (1 << level), last + 1))))) + text
            if level >= SHARED_FROM:
                known[level, node] = text
        return text


def consistency_ids(old: int, new: int) -> list[int]:
    """The rows that a consistency proof needs. Cost: at most 2 log2(new) rows."""
    return [row for rows in _consistency_plan(old, new) for row in rows]


def consistency_path(old: int, new: int, read: Read) -> list[bytes]:
    """
    The path by which the tree of size ``new`` is seen to extend that of size ``old``.

    Empty where there is nothing to prove: from size 0, and between equal sizes.
    Cost: one call of ``read``, at most 2 log2(new) rows.
    """
    return _combine(_consistency_plan(old, new), read)
