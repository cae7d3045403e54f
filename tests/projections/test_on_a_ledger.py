"""On a real ledger: the store reopened in other processes, the graph and the codes as released."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from ledger import resources, scenarios
from projections import admissibility, audit, provenance, status
from projections.facts import to_json
from projections.filling import Progress
from projections.runner import Runner
from projections.shared import Shared
from tests.projections.test_runner import digests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scenarios.Simulation]:
    """A scenario as released, played on a ledger; only read by these tests."""
    scenario = scenarios.load(resources.path("scenarios") / "encrochat.toml")
    made = scenarios.play(scenario, tmp_path_factory.mktemp("played") / "ledger")
    yield made
    made.close()


def test_a_played_scenario_is_rebuilt_in_two_processes_and_every_answer_is_plain(
    played: scenarios.Simulation, tmp_path: Path
):
    """Rebuilt from the store's file = followed; what every query answers can be written as JSON."""
    with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
        size = runner.catch_up()
        followed = digests(runner)
        assert size == runner.rebuild(workers=2) == played.store.size()
        assert followed == digests(runner)
        with runner.views() as views:
            lines = 0
            for line in status.cases(views):
                trail = audit.case(views, line.case)
                lines += len(trail.lines)
                assert () == trail.holes
                answers: list[object] = [trail, status.case(views, line.case)]
                for origin in provenance.exhibits(views, line.case):
                    answers += [
                        provenance.exhibit(views, origin.exhibit),
                        provenance.legal_basis_timeline(views, origin.exhibit),
                        admissibility.exhibit(views, origin.exhibit),
                    ]
                assert json.dumps(to_json(answers))
                assert all(dataclasses.is_dataclass(t) for t in trail.lines)
            assert 50 < lines < size


def test_the_shared_ones_are_rebuilt_in_two_processes(played: scenarios.Simulation, tmp_path: Path, cluster: Cluster):
    """As in files: the digests of the log followed, and what was told goes up to the size."""
    told: list[Progress] = []
    with Shared(played.store, played.catalogue, cluster.address(cluster.schema())) as shared:
        size = shared.rebuild(workers=2, tell=told.append)
        with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
            assert size == runner.catch_up()
            assert digests(runner) == digests(shared)
    assert [Progress(size // 2, size), Progress(size, size)] == told


def test_every_hop_of_every_exhibit_names_an_entry_that_says_so(played: scenarios.Simulation, tmp_path: Path):
    """Each index in a chain is that of an entry with the act and the sentence of the hop."""
    with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
        runner.catch_up()
        with runner.views() as views:
            chat = provenance.exhibit(views, played.named("chat-1"))
            assert chat.chain
            for hop in chat.chain:
                line = audit.entry(views, hop.index)
                assert (line.act, line.statement, line.sentence) == (hop.act, hop.statement, hop.sentence)
            assert {gap.index for gap in chat.gaps} <= {hop.index for hop in chat.chain}
