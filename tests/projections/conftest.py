"""A log told in full, and the projections that followed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.acts import catalogue
from projections.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.views import Views
    from tests.projections.build import Log


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Callable[[Log], Views]]:
    """Follow a log and open its projections; closed at the end of the test."""
    opened: list[Views] = []

    def follow(log: Log) -> Views:
        path = tmp_path / f"{len(opened)}" / "projections.db"
        path.parent.mkdir()
        with Runner(log, catalogue(), path) as runner:
            runner.catch_up()
            opened.append(runner.views())
        return opened[-1]

    yield follow
    for view in opened:
        view.close()
