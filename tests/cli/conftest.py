"""Ledgers founded by the commands themselves."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.cli.world import ORIGIN, World, comity, good, issued, opened

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world as founded; copied for each test that writes."""
    folder = tmp_path_factory.mktemp("founded") / "ledger"
    good(comity("init", folder, "--origin", ORIGIN, "--root", "DE=germany", "--root", "FR=france"))
    world = World(folder, {})
    for name, called, kind, country, root in (
        ("berlin", "Staatsanwaltschaft Berlin", "prosecutor", "DE", "germany"),
        ("lille", "Tribunal judiciaire de Lille", "court", "FR", "france"),
    ):
        enrolled = good(
            world.run(
                "authority", "enrol", called, "--kind", kind, "--country", country,
                "--zone", "Europe/Berlin", "--key", world.key(root), "--new-key", world.key(name),
                "--json",
            )
        )  # fmt: skip
        world.ids[name] = enrolled.json["authority"]
    world.ids["case"], world.ids["request"] = str(uuid4()), str(uuid4())
    good(
        world.publish(
            opened(world.ids["case"]),
            issued(world.ids["case"], world.ids["request"], "Tribunal judiciaire de Lille"),
        )
    )
    return world


@pytest.fixture
def world(founded: World, tmp_path: Path) -> World:
    """A ledger of its own for a test that writes."""
    folder = tmp_path / "ledger"
    shutil.copytree(founded.folder, folder)
    return World(folder, founded.ids)
