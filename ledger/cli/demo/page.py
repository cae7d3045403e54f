"""The page that the demonstration prints: at most 100 columns, or one JSON document."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.cli.console import laid_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.scenarios import Scenario, Simulation
    from projections.views import Views

WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """The ledger played, its projections, and how slugs and ids read."""

    folder: Path
    ledger: Simulation
    views: Views
    scenarios: tuple[Scenario, ...]
    titles: dict[str, str]
    quiet: bool

    def title(self, identity: str) -> str:
        """The title that the scenario gives a thing; its id where it gives none."""
        return self.titles.get(identity, identity)


@dataclass(slots=True)
class Report:
    """What ``--json`` prints: one object a section, in the order told."""

    sections: dict[str, Any] = field(default_factory=dict)


def say(stage: Stage, text: str = "", *, indent: int = 0, hang: int = 0) -> None:
    """A paragraph of at most 100 columns."""
    if stage.quiet:
        return
    lead = text[: len(text) - len(text.lstrip("\n"))]
    body = text[len(lead) :]
    lines = textwrap.wrap(
        body, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hang), break_on_hyphens=False
    )
    sys.stdout.write(lead + "\n".join(lines) + "\n")


def section(stage: Stage, number: int, title: str, why: str) -> None:
    """A heading, and in a paragraph why it matters."""
    if stage.quiet:
        return
    sys.stdout.write(f"\n{number}. {title}\n{'=' * (len(title) + len(str(number)) + 2)}\n")
    say(stage, why)
    sys.stdout.write("\n")


def table(stage: Stage, rows: Sequence[Sequence[str]]) -> None:
    """A table; its first row is its heading."""
    if not stage.quiet:
        sys.stdout.write("".join(f"{line}\n" for line in laid_out(rows, WIDTH)))


def command(stage: Stage, text: str) -> None:
    """A command that the reader can type, called as it is called here."""
    if not stage.quiet:
        sys.stdout.write(f"  {text.replace('comity ', f'{_program()} ', 1) if text.startswith('comity ') else text}\n")


def typed(path: Path) -> str:
    """A path as it is to be typed in a shell."""
    return shlex.quote(str(path))


def _program() -> str:
    """How this command is called here: a fresh checkout has it in .venv/bin, not on the path."""
    called = Path(sys.argv[0])
    if called.name != "comity" or shutil.which("comity"):
        return "comity"
    absolute = called.absolute()
    return typed(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)
