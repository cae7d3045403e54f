"""
Where words go: data on standard output, everything else on standard error.

Progress bars appear on a terminal alone; NO_COLOR and ``--quiet`` are obeyed. A reader that closes
the pipe early is no error.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

_PIPE_WIDTH = 160
"""Columns where standard output is no terminal: wide enough for ids, the same everywhere."""


def out() -> Console:
    """The console of standard output, for tables and sentences."""
    return _console(stderr=False)


def err() -> Console:
    """The console of standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        soft_wrap=False,
        width=None if stream.isatty() else _PIPE_WIDTH,
    )


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
    """A table, or the sentence *empty* where there is nothing to show."""
    if not rows:
        text(empty)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        # Text, not markup: what others published must never be read as formatting.
        shown.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = out()
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as captured:
        console.print(shown)
    # Padding is for the eye; in a file it is noise in every comparison.
    text("\n".join(row.rstrip() for row in captured.get().splitlines()))


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """
    A bar on standard error; the function given is called with how much is done so far.

    Nothing is drawn when quiet or where standard error is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
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
        console=err(),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
