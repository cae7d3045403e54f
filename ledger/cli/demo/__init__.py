"""
``comity demo``: two real cases, told as a judge would ask about them.

Nothing here is prepared: the scenarios are played through the ordinary publishing path, every answer
comes from the projections that the other commands use, and the last two sections run those commands
themselves, on a damaged copy and in an empty folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import UUID

from ledger.cli.demo import cases, checks
from ledger.cli.demo.page import WIDTH, Report, Stage, say
from ledger.errors import Conflict

__all__ = ["MARKER", "WIDTH", "demo"]

SCENARIOS: Final = ("encrochat", "aranyosi")
FOLDER: Final = Path("demo")
MARKER: Final = "made-by-comity-demo"


def demo(folder: Path | None, as_json: bool) -> None:
    """
    Play both scenarios into *folder* and tell what the ledger knows of them.

    Args:
        folder: where the ledger is left; ``./demo`` when None. A folder that an earlier demonstration
            made is replaced; any other that is not empty is left alone.
        as_json: print one JSON document instead of the narration.

    Raises:
        Conflict: the folder holds something else.
    """
    # Imported when it runs: the command line loads this module to list its commands.
    from ledger import resources
    from ledger.acts import catalogue
    from ledger.scenarios import load, play
    from projections.runner import Runner

    began = time.monotonic()
    place = _place(folder or FOLDER)
    scenarios = tuple(load(resources.path("scenarios") / f"{name}.toml") for name in SCENARIOS)
    report = Report()
    with closing(play(scenarios, place)) as ledger:
        with closing(Runner(ledger.store, catalogue(), place / "projections.db")) as filling:
            filling.catch_up()
            with filling.views() as views:
                titles = {
                    str(UUID(bytes=ledger.named(item.slug))): item.title
                    for scenario in scenarios
                    for item in scenario.items.values()
                }
                stage = Stage(place, ledger, views, scenarios, titles, as_json)
                for tell in (cases.played, cases.cases, cases.trail, cases.provenance, cases.rulings):
                    tell(stage, report)
        checks.damage(stage, report)
        checks.bundle(stage, report)
        checks.next_steps(stage)
    seconds = time.monotonic() - began
    if as_json:
        sys.stdout.write(
            json.dumps({**report.sections, "seconds": round(seconds, 1)}, ensure_ascii=False, indent=2) + "\n"
        )
    else:
        say(stage, f"\nTold in {seconds:.1f} seconds.")


def _place(folder: Path) -> Path:
    """An empty folder, known to be ours to replace the next time."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise Conflict(
                f"{folder} is not empty",
                why="only a folder that a demonstration made is replaced",
                what_now="name another with `comity demo DIR`",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("Made by `comity demo`; the next demonstration here replaces it.\n", encoding="utf-8")
    return folder
