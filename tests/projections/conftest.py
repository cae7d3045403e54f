"""A log told in full, and the projections that followed it: in files, or in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.acts import catalogue
from projections.runner import Runner
from projections.shared import Shared
from tests.projections.topic import COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.views import Views
    from tests.cluster import Cluster
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


@pytest.fixture
def opened(cluster: Cluster) -> Iterator[Callable[..., Shared]]:
    """Open the projections of a log in a schema of their own, as often as it is called."""
    address = cluster.address(cluster.schema())
    made: list[Shared] = []

    def open_it(log: Log) -> Shared:
        made.append(Shared(log, catalogue(), address, partitions=COUNT))
        return made[-1]

    yield open_it
    for one in made:
        one.close()
