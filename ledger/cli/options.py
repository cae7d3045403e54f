"""
Options that many commands share, and what they mean.

The command modules do without ``from __future__ import annotations``: the annotations are the
options, read when the command is built.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from ledger.cli.trouble import Fault, Trouble

LedgerFolder = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="DIR",
        help="Folder of the ledger; else COMITY_LEDGER, else ./comity-ledger.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress bars.")]
HappenedBy = Annotated[
    str | None,
    typer.Option(
        "--happened-by",
        metavar="WHEN",
        help="Only what had happened by then: 2020-06-02 (to the end of that day), a local date-time, or RFC 3339.",
        show_default=False,
    ),
]
KnownBy = Annotated[
    str | None,
    typer.Option(
        "--known-by",
        metavar="WHEN",
        help="Only what the log knew by then.",
        show_default=False,
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="WHEN", help="Both clocks at once.", show_default=False),
]
Zone = Annotated[
    str,
    typer.Option("--zone", metavar="IANA", help="Zone of days and local times given and shown."),
]

Viewer = Annotated[
    str | None,
    typer.Option(
        "--viewer",
        metavar="NAME",
        help="As this authority sees it, with what concerns it and rests on rules that were not verified.",
        show_default=False,
    ),
]


class Clocks(TypedDict):
    """The two bounds, as keyword arguments of a query."""

    happened_by: int | None
    known_by: int | None


@dataclass(frozen=True, slots=True)
class View:
    """
    What a reader asks about: two clocks, in microseconds or None for no bound, and the zone.

    ``happened_by`` bounds when things happened, ``known_by`` when the log learned of them.
    """

    happened_by: int | None
    known_by: int | None
    zone: str

    @property
    def clocks(self) -> Clocks:
        """The two bounds as keyword arguments of a query."""
        return {"happened_by": self.happened_by, "known_by": self.known_by}

    def heading(self) -> str:
        """What a reader must know before reading an answer bounded in time; empty when it is not."""
        from ledger.cli.shown import moment

        parts = []
        if self.happened_by is not None:
            parts.append(f"what had happened by {moment(self.happened_by, self.zone)}")
        if self.known_by is not None:
            parts.append(f"what was known by {moment(self.known_by, self.zone)}")
        return "Shows " + ", and ".join(parts) if parts else ""


def view(happened_by: str | None, known_by: str | None, as_of: str | None, zone: str) -> View:
    """
    The clocks as asked for.

    Raises:
        Trouble: usage: both ``--as-of`` and another clock, or something that is no instant.
    """
    if as_of is not None and (happened_by is not None or known_by is not None):
        raise Trouble(
            2,
            "--as-of was given together with another clock",
            why="--as-of sets both --happened-by and --known-by",
            now="give --as-of alone, or the two others",
        )
    return View(
        _clock("--as-of" if as_of else "--happened-by", as_of or happened_by, zone),
        _clock("--as-of" if as_of else "--known-by", as_of or known_by, zone),
        _zone(zone),
    )


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Trouble(2, f"--zone: {name} is no zone", now="give an IANA name such as Europe/Paris") from None
    return name


def _clock(option: str, given: str | None, zone: str) -> int | None:
    if given is None:
        return None
    from ledger.errors import FormatError
    from ledger.instants import instant

    try:
        return instant(given, zone=_zone(zone), end=True)
    except FormatError as error:
        raise Trouble(
            2,
            f"{option}: {given} cannot be read",
            why=error.what,
            now="give a day (2020-06-02), a local date-time, or RFC 3339 with an offset",
            faults=(Fault(0, option, error.what),),
        ) from None


def folder(given: Path | None) -> Path:
    """The folder of the ledger: as given, else COMITY_LEDGER, else ``comity-ledger`` here."""
    return given or Path(os.environ.get("COMITY_LEDGER") or "comity-ledger")
