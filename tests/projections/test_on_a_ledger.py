"""On a real ledger: the store reopened in other processes, the graph and the codes as released."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ledger import resources, scenarios
from projections import admissibility, audit, provenance, status
from projections.facts import to_json
from projections.filling import Progress, decode
from projections.runner import Runner
from projections.shared import Fenced, Shared, Unit, ahead, units_of
from tests.projections.test_runner import digests, fails_at

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


def test_what_is_far_behind_is_made_by_helpers(
    played: scenarios.Simulation, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    """
    From places that differ and by several pieces: the digests of the log followed, by two that share the partitions.

    Once an act is parked its stream waits, helpers or not; who was fenced meanwhile writes nothing.
    """
    monkeypatch.setattr(ahead, "WORTH_IT", 1)
    monkeypatch.setattr(ahead, "_FIRST", 8)
    size, address = played.store.size(), cluster.address(cluster.schema())
    with (
        Shared(played.store, played.catalogue, address) as shared,
        Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner,
    ):
        assert size == runner.catch_up()
        facts = decode(played.catalogue, played.store.entries(0, 20))
        shared.follow(shared.take({Unit("roster", 5), *units_of({3})}), facts, 20)
        told: list[Progress] = []
        for numbers in ({0, 3, 7}, set(range(shared.partitions)) - {0, 3, 7}):
            held = shared.settle(shared.take(units_of(numbers)), forced=True, ends={3: 77}, tell=told.append)[0]
            assert {size} == {place.size for place in held.values()} == {place.whole for place in held.values()}
        assert digests(runner) == digests(shared)
        assert 77 == shared.places()[Unit("status", 3)].offset
        assert Progress(28, size) in told

    address = cluster.address(cluster.schema())
    with Shared(played.store, played.catalogue, address) as shared:
        with monkeypatch.context() as patch:
            fails_at(patch, audit, 10)
            held = shared.take(units_of(range(shared.partitions)))
            shared.follow(held, decode(played.catalogue, played.store.entries(0, 20)), 20)
        waiting = len(shared.parked())
        assert size == shared.catch_up()
        subject = decode(played.catalogue, played.store.entries(10, 1))[0].statement.subject
        assert played.store.stream(subject)[-len(shared.parked()) :] == [one.index for one in shared.parked()]
        assert waiting <= len(shared.parked())
        assert 0 == shared.retry()
        with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
            assert digests(runner) == digests(shared)

    with Shared(played.store, played.catalogue, cluster.address(cluster.schema())) as shared:
        held = shared.take(units_of(range(shared.partitions)))
        shared.take({Unit("status", 2)})
        with pytest.raises(Fenced):
            shared.settle(held, forced=True)
        assert {0} == set(shared.sizes().values())


def test_what_helpers_cannot_make_or_the_database_not_take_is_found(
    played: scenarios.Simulation, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    """A helper that dies, and lines that the database refuses: the ordinary way goes on from where they ended."""
    monkeypatch.setattr(ahead, "WORTH_IT", 1)
    size = played.store.size()
    pieces = ahead.made

    def spoiled(*given: Any) -> Iterator[ahead.Piece]:
        for piece in pieces(*given):
            yield piece._replace(lines={**piece.lines, "status": {"fact": b"no row\n"}})

    def dead(*_: Any) -> Iterator[ahead.Piece]:
        yield from pieces(str(played.store.address) + "-which-is-not", *_[1:])

    found = []
    for how in (spoiled, dead):
        monkeypatch.setattr(ahead, "made", how)
        with Shared(played.store, played.catalogue, cluster.address(cluster.schema())) as shared:
            assert size == shared.catch_up()
            assert [] == shared.parked()
            found.append(digests(shared))
    assert found[0] == found[1]


_KILLED = """
import os, signal
from projections.filling import helpers

if __name__ == "__main__":
    pool = helpers(2)
    ready = [pool.submit(os.getpid) for _ in range(8)]
    print(*{one.result() for one in ready}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_helpers_end_with_whoever_started_them():
    """A worker may be killed at any time: its helpers, and their connections to the database, do not outlive it."""
    # They have its standard output, which therefore ends with the last of them.
    started = subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, start_new_session=True)
    try:
        out, _ = started.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert -signal.SIGKILL == started.returncode
    assert out.split()


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
