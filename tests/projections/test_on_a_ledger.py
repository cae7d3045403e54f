"""On a real ledger: the store reopened in other processes, the graph and the codes as released."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from ledger import resources, scenarios
from projections import admissibility, audit, provenance, status
from projections.facts import to_json
from projections.filling import PROJECTIONS
from projections.runner import Runner

if TYPE_CHECKING:
    from pathlib import Path


def test_a_played_scenario_is_rebuilt_in_two_processes_and_every_answer_is_plain(tmp_path: Path):
    """Rebuilt from the store's file = followed; what every query answers can be written as JSON."""
    scenario = scenarios.load(resources.path("scenarios") / "encrochat.toml")
    played = scenarios.play(scenario, tmp_path / "ledger")
    try:
        with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
            size = runner.catch_up()
            followed = {p.NAME: runner.digest(p.NAME) for p in PROJECTIONS}
            assert size == runner.rebuild(workers=2) == played.store.size()
            assert followed == {p.NAME: runner.digest(p.NAME) for p in PROJECTIONS}
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
    finally:
        played.close()


def test_every_hop_of_every_exhibit_names_an_entry_that_says_so(tmp_path: Path):
    """Each index in a chain is that of an entry with the act and the sentence of the hop."""
    scenario = scenarios.load(resources.path("scenarios") / "encrochat.toml")
    played = scenarios.play(scenario, tmp_path / "ledger")
    try:
        with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
            runner.catch_up()
            with runner.views() as views:
                chat = provenance.exhibit(views, played.named("chat-1"))
                for hop in chat.chain:
                    line = audit.entry(views, hop.index)
                    assert (line.act, line.statement, line.sentence) == (
                        hop.act,
                        hop.statement,
                        hop.sentence,
                    )
                assert {gap.index for gap in chat.gaps} <= {hop.index for hop in chat.chain}
    finally:
        played.close()
