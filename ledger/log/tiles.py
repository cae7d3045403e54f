"""
The tree and the entries as static files (C2SP tlog-tiles, tiles of height 8).

A tile is up to 256 hashes of one level; level ``l`` of tiles is level ``8 * l`` of the tree.
Full tiles never change. A partial tile is named by its width, and is the prefix of a full one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.log.tree import stored_index
from ledger.verify import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.log.tree import Read

HEIGHT = 8
WIDTH = 256
ENTRY_BYTES_MAX = 65_535
LEVEL_MAX = 63
N_MAX = 2**55 - 1  # tiles of a level, so that every index stays below 2**63


@dataclass(frozen=True, slots=True)
class Tile:
    """Which tile: its level (None: a bundle of entries), its number, how many hashes or entries."""

    level: int | None
    n: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path under the prefix of the log, such as ``tile/0/x001/x234/067.p/8``."""
        level = "entries" if self.level is None else str(self.level)
        digits = f"{self.n:03}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/" + "".join(f"x{part}/" for part in parts[:-1]) + parts[-1] + partial


_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


def parse_path(path: str) -> Tile:
    """
    Read the path of a tile, in its only form.

    Raises:
        FormatError: anything else: leading zeroes, a width of 256, a level above 63.
    """
    found = _PATH.fullmatch(path) if len(path) <= 80 else None
    if found is None:
        raise FormatError("not the path of a tile", field="path")
    tile = Tile(
        None if found["level"] == "entries" else int(found["level"]),
        int(re.sub(r"\D", "", found["n"])),
        int(found["width"] or WIDTH),
    )
    too_wide = found["width"] is not None and tile.width >= WIDTH
    if too_wide or tile.n > N_MAX or (tile.level or 0) > LEVEL_MAX or tile.path != path:
        raise FormatError("not the path of a tile", field="path")
    return tile


def width_at(level: int, n: int, size: int) -> int:
    """How wide tile ``n`` of ``level`` is in a tree of ``size``: 0 (absent) to 256. Cost: O(1)."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - n * WIDTH))


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """
    The tiles of hashes that a tree of ``size`` has and a tree of ``since`` had not.

    Cost: O(new tiles + log n).
    """
    level = 0
    while size >> HEIGHT * level:
        count, before = size >> HEIGHT * level, since >> HEIGHT * level
        for n in range(before // WIDTH, -(-count // WIDTH)):
            width = width_at(level, n, size)
            if width != width_at(level, n, since):
                yield Tile(level, n, width)
        level += 1


def tile(level: int, n: int, width: int, read: Read) -> bytes:
    """
    The bytes of a tile: ``width`` hashes of 32 bytes.

    Args:
        level: of the tile, 0 for leaves.
        n: its number within the level.
        width: 1 to 256; the tree must be large enough.
        read: row ids of ``ledger.log.tree`` in, hashes out.

    Cost: one call of ``read`` for ``width`` rows; nothing is hashed.
    """
    if not 1 <= width <= WIDTH:
        raise ValueError(f"no tile is {width} wide")
    return b"".join(read([stored_index(HEIGHT * level, n * WIDTH + at) for at in range(width)]))


def entry_bundle(n: int, width: int, read: Callable[[int, int], Sequence[tuple[int, bytes]]]) -> bytes:
    """
    The bytes of a bundle of entries: each after its length as two bytes, big-endian.

    Args:
        n: number of the bundle.
        width: 1 to 256.
        read: (start, limit) in, (index, entry) pairs in order out, as a store's ``entries``.

    Raises:
        ValueError: the log is too short.
    """
    entries = read(n * WIDTH, width)
    if not 1 <= width <= WIDTH or len(entries) != width:
        raise ValueError(f"there are not {width} entries from {n * WIDTH} on")
    return b"".join(len(entry).to_bytes(2, "big") + entry for _, entry in entries)


def parse_entry_bundle(data: bytes) -> list[bytes]:
    """
    The entries of a bundle of them.

    Raises:
        FormatError: cut short, empty, or of more than 256 entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length or len(entries) == WIDTH:
            raise FormatError("cut short, or more than 256 entries", field="entries")
        entries.append(entry)
        at += 2 + length
    if not entries:
        raise FormatError("holds no entry", field="entries")
    return entries
