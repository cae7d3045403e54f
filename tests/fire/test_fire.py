"""
A short run under fire, in which every promise is kept: 12 seconds on the small broker, 60 on Apache Kafka.

``make soak`` is the long one. The seed is fixed here, so that the same faults come in the same order each time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.fire.nemesis import BENEATH, PROCESSES, plan
from tests.fire.running import Size, run

APACHE = os.environ.get("TEST_KAFKA") == "apache"
SEED = 20_261_122
TARGETS = ["gateway-0", "gateway-1", "ingest-0", "ingest-1", "relay-0", "projector-0", "projector-1", "follower-0"]


def test_every_promise_is_kept_under_fire():
    """Killed, paused, cut off, out of disk and out of time: the log, the topics and the projections are one."""
    size = Size(60.0, apache=3) if APACHE else Size(12.0, projectors=1, readers=1)
    with tempfile.TemporaryDirectory(prefix="comity-fire-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        result = run(folder, SEED, size)
        print(result.figures())  # noqa: T201 -- the figures are what this is for
        assert not result.wrong, f"seed {SEED}:\n" + "\n".join(result.wrong)
        # It proves nothing unless something happened.
        assert result.report.operations["ok"] > 20
        assert sum(result.faults.values()) >= 6
        assert result.report.seen["delivered"] > 20
        assert result.report.seen["read"] > 5


def test_the_same_seed_plans_the_same_faults():
    """A run that failed can be tried again."""
    assert plan(7, 60, TARGETS) == plan(7, 60, TARGETS)
    assert plan(7, 60, TARGETS) != plan(8, 60, TARGETS)


def test_ten_minutes_hold_every_kind_of_fault_against_every_kind_of_process():
    """No kind is left to chance, and no fault outlasts the run."""
    for seed in range(20):
        faults = plan(seed, 600, TARGETS)
        assert {one.kind for one in faults} == {kind for kind, _ in (*PROCESSES, *BENEATH)}
        killed = {one.target.split("-")[0] for one in faults if one.kind == "kill"}
        assert killed == {"gateway", "ingest", "relay", "projector", "follower"}
        assert all(one.after + one.seconds < 600 for one in faults)
