"""
Where words go: data on standard output, everything else on standard error.

Progress bars appear on a terminal alone; NO_COLOR and ``--quiet`` are obeyed. A reader that closes
the pipe early is no error.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PIPE_WIDTH = 160
"""Columns of a table in a file or a pipe, where COLUMNS says nothing: wide enough for ids and sentences."""
_GAP = "  "


def note(text: str, *, quiet: bool = False) -> None:
    """One line for the person, on standard error; nothing when quiet."""
    if not quiet:
        sys.stderr.write(text + "\n")


def line(value: Any) -> None:
    """One JSON value on a line of its own (NDJSON), written out at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def document(value: Any) -> None:
    """One JSON document, indented for people who read it all the same."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def text(value: str) -> None:
    """Text as it is: no wrapping, no markup."""
    sys.stdout.write(value if value.endswith("\n") else value + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """
    A table, or the sentence *empty* where there is nothing to show.

    It is as wide as COLUMNS says, else as the terminal, else ``PIPE_WIDTH``. Cells are folded between words and
    nothing is left out. In a file or a pipe no word is broken, so that an id can be found and copied:
    where the longest words do not fit side by side, lines are longer instead.
    """
    if not rows:
        text(empty)
        return
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for one in laid_out([list(columns), *cells], columns_wide(), whole=not sys.stdout.isatty()):
        text(one)


def columns_wide() -> int:
    """How many columns standard output is wide: COLUMNS, else its terminal, else ``PIPE_WIDTH``."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdecimal() and 0 < int(said) < 100_000:
        return int(said)
    # Only a terminal that is written to: the one behind the other streams says nothing of a file.
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else PIPE_WIDTH


def laid_out(rows: Sequence[Sequence[str]], room: int, *, whole: bool = True) -> Iterator[str]:
    """
    The lines of a table; the first row is its heading.

    Args:
        rows: cells, as many in each.
        room: columns that a line may take.
        whole: break no word, and let lines be longer where they cannot fit.
    """
    lines = [[cell.splitlines() or [""] for cell in row] for row in rows]
    natural, longest = [], []
    for column in zip(*lines, strict=True):
        natural.append(max(_cells(one) for cell in column for one in cell))
        longest.append(max(_cells(word) for cell in column for one in cell for word in (one.split() or [""])))
    widths = _fitted(natural, longest, room - len(_GAP) * (len(natural) - 1), whole=whole)
    for number, row in enumerate(lines):
        folded = [
            [part for one in cell for part in (_folded(one, width) or [""])]
            for cell, width in zip(row, widths, strict=True)
        ]
        for at in range(max(map(len, folded))):
            parts = (
                part + " " * (width - _cells(part))
                for cell, width in zip(folded, widths, strict=True)
                for part in [cell[at] if at < len(cell) else ""]
            )
            # Padding is for the eye; in a file it is noise in every comparison.
            yield _GAP.join(parts).rstrip()
        if number == 0:
            yield _GAP.join("-" * width for width in widths)


def _fitted(natural: Sequence[int], longest: Sequence[int], room: int, *, whole: bool) -> list[int]:
    """Widths of columns: each as wide as it needs, the widest narrowed to one width until all fit."""
    least = longest if whole or sum(longest) <= room else [1] * len(natural)
    for cap in range(max(natural), 0, -1):
        widths = [max(low, min(width, cap)) for low, width in zip(least, natural, strict=True)]
        if sum(widths) <= room:
            return widths
    return list(least)


def _cells(value: str) -> int:
    """How many columns a terminal takes for it: two for a wide letter, none for a mark over the last."""
    if value.isascii():
        return len(value)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in value)


def _folded(line: str, width: int) -> list[str]:
    """The line folded between words; a word that is wider than the column is broken, never cut."""
    parts: list[str] = []
    used = width + 1
    for word in line.split():
        size = _cells(word)
        if used + 1 + size <= width:
            parts[-1] += f" {word}"
            used += 1 + size
            continue
        while size > width:
            cut = next((at for at in range(len(word), 1, -1) if _cells(word[:at]) <= width), 1)
            parts.append(word[:cut])
            word = word[cut:]  # noqa: PLW2901 -- what is left of the same word
            size = _cells(word)
        if word:
            parts.append(word)
            used = size
    return parts


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """
    A bar on standard error; the function given is called with how much is done so far.

    Nothing is drawn when quiet or where standard error is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
