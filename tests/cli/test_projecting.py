"""``comity project``: what stands, what is parked, built anew, taken back, and filled by a worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ledger.acts import catalogue
from ledger.store import open_store
from projections import status
from projections.filling import PROJECTIONS
from projections.shared import Shared
from tests.cli.world import ORIGIN, World, comity, good

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


def test_a_role_that_may_only_read_asks_everything(founded: World, cluster: Cluster, tmp_path: Path):
    """With SELECT alone every question is answered from the shared projections; what would write is denied."""
    schema, folder = cluster.schema(), tmp_path / "ledger"
    where = cluster.address(schema)
    shutil.copytree(founded.folder, folder)
    world = World(folder, founded.ids)
    good(comity("migrate", folder, where))
    with closing(open_store(where, read_only=True)) as store, Shared(store, catalogue(), where) as shared:
        assert store.size() == shared.catch_up()
    role = f"asks_{schema}"
    cluster.run(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    (folder / "store").write_text(cluster.address(schema, role), encoding="utf-8")
    case, lille = founded.ids["case"], founded.ids["lille"]
    for asked in (
        "project status", "project digest", "project parked", "case list", f"case show {case}", "request list",
        f"request show {founded.ids['request']}", f"audit {case}", f"audit {lille}", "authority list",
        "deadlines", f"deadlines {case}", f"deadlines --authority {lille}", "findings", "findings --figures",
        f"findings {case} --viewer {lille} --history", f"conditions case {case}",
        f"conditions case {case} --viewer {lille}",
    ):  # fmt: skip
        good(world.run(*asked.split()))
    # What is not there is not found, rather than denied.
    for asked in ("exhibit show", "exhibit trace", "conditions exhibit", "conditions person"):
        assert 4 == world.run(*asked.split(), "01234567-89ab-4def-8123-456789abcdef").status
    for writes in ("catch-up", "rebuild", "rollback"):
        assert "may not do this" in world.run("project", writes).err
