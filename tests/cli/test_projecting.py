"""``comity project``: what stands, what is parked, built anew, taken back, and filled by a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from projections import status
from projections.filling import PROJECTIONS
from tests.cli.world import ORIGIN, comity, good

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.world import World
    from tests.cluster import Cluster

NAMES = sorted(projection.NAME for projection in PROJECTIONS)


def test_a_parked_act_is_told_and_taken_after_the_fix(world: World, monkeypatch: pytest.MonkeyPatch):
    """Status counts it, the list names it, no digest hides it; retry says whether it helped."""
    # What others have asked of the world that this one is copied from may have filled its projections.
    for file in world.folder.glob("projections*"):
        file.unlink()
    collect = status.collect

    def fails(fact: Any, rows: Any) -> None:
        if fact.statement.act == "request.issued":
            raise ValueError("not understood")
        collect(fact, rows)

    with monkeypatch.context() as patch:
        patch.setattr(status, "collect", fails)
        good(world.run("project", "catch-up"))
        said = good(world.run("project", "status", "--json")).json
        assert 1 == said["parked"]["status"]
        (parked,) = good(world.run("project", "parked", "--json")).json
        assert ("status", "ValueError('not understood')") == (parked["projection"], parked["why"])
        refused = world.run("project", "digest", "status")
        assert 6 == refused.status
        assert "not whole" in refused.err
        assert 6 == world.run("project", "retry").status
    assert {"parked": 0} == good(world.run("project", "retry", "--json")).json
    assert "Nothing is parked." in good(world.run("project", "parked")).out
    good(world.run("project", "digest", "status"))


def test_a_rebuild_is_compared_and_taken_back(world: World):
    """Online, it changes nothing that a reader could tell, and can be taken back; before it there is nothing to."""
    good(world.run("project", "catch-up"))
    before = good(world.run("project", "digest", "--json")).json
    assert 4 == world.run("project", "rollback").status
    good(world.run("project", "rebuild", "--online", "--workers", "1"))
    assert before == good(world.run("project", "digest", "--json")).json
    good(world.run("project", "rollback"))
    assert before == good(world.run("project", "digest", "--json")).json


def test_a_worker_needs_a_log_that_machines_share(world: World):
    """On one machine there is nobody to share with: the command says what to do instead."""
    refused = world.run("project", "work", "--without-kafka")
    assert 2 == refused.status
    assert "comity project catch-up" in refused.err


def test_a_worker_fills_what_every_command_then_reads(cluster: Cluster, tmp_path: Path):
    """Started as an operator starts it, ended by SIGTERM; from then on the answers come from the database."""
    folder = tmp_path / "ledger"
    where = cluster.address(cluster.schema())
    good(comity("init", folder, "--origin", ORIGIN, "--root", "DE=germany", "--store", where, "--inception"))
    worker = subprocess.Popen(
        [sys.executable, "-m", "ledger.cli", "project", "work", "--without-kafka", "--json", "--ledger", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COMITY_LOG_LEVEL": "info"},
    )
    # A worker that says nothing is ended, and so is its standard error.
    late = threading.Timer(60, worker.kill)
    late.start()
    try:
        assert worker.stderr is not None
        # It says so once it has followed the log as far as it goes.
        assert any("projection_worker_took" in line for line in worker.stderr)
        said = good(comity("project", "status", "--json", "--ledger", folder)).json
        assert dict.fromkeys(NAMES, said["size"]) == said["projections"]
        assert not (folder / "projections.db").exists()
        good(comity("authority", "list", "--ledger", folder))
        good(comity("project", "digest", "--ledger", folder))
    finally:
        late.cancel()
        worker.send_signal(signal.SIGTERM)
        out, _ = worker.communicate(timeout=60)
    assert 0 == worker.returncode
    assert {"applied": said["size"]} == json.loads(out)
