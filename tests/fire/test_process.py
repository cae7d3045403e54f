"""What is done to a process is done: its clock, its disk, its end. A fault that does not happen would prove nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fire.process import ROOT, Process, limit_files, set_clock

HOUR = 3_600_000_000

CLOCK = """
import sys, time
from pathlib import Path
right = time.time_ns
from tests.fire.process import prepare
prepare(Path(sys.argv[1]))
from ledger.ledger import system_clock
for _ in range(3):
    print(system_clock() - right() // 1000, flush=True)
    Path(sys.argv[2]).open("rb").read(1)
"""


def test_a_clock_is_stepped_while_the_process_runs(tmp_path):
    """The log's own clock in that process goes forward and back as it is told; the machine's does not."""
    clock, asked = tmp_path / "clock", tmp_path / "asked"
    set_clock(clock, 0)
    os.mkfifo(asked)
    child = subprocess.Popen(
        [sys.executable, "-c", CLOCK, clock, asked],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    seen = []
    for step in (HOUR, -HOUR, 0):
        seen.append(int(child.stdout.readline()))
        set_clock(clock, step)
        asked.write_bytes(b"!")
    child.communicate()
    assert [0, HOUR, -HOUR] == [round(one, -6) for one in seen]


def test_a_process_ends_with_whoever_started_it(tmp_path):
    """Its input is closed, however that came about, and it is gone: nothing is left behind."""
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    # It would sleep for ten minutes; that it does not is the claim.
    waits = "import sys, time; from pathlib import Path; from tests.fire.process import prepare; "
    waits += "prepare(Path(sys.argv[1])); print('waits', flush=True); time.sleep(600)"
    child = subprocess.Popen(
        [sys.executable, "-c", waits, clock],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert b"waits\n" == child.stdout.readline()
    child.stdin.close()
    assert -9 == child.wait(30)
    child.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a limit be set for another process")
def test_a_quota_keeps_a_process_from_writing_and_is_lifted(tmp_path):
    """While it holds no file grows beyond it, with an error that the writer sees; then it goes on."""
    writes = (
        "import sys\nfor line in sys.stdin:\n  try:\n    open(sys.argv[1], 'ab', buffering=0).write(b'x' * 10)\n"
        "    print('written', flush=True)\n  except OSError as error:\n    print(error.errno, flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", writes, tmp_path / "file"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    said = []
    for limit in (None, 0, None):
        limit_files(child.pid, limit)
        child.stdin.write("now\n")
        child.stdin.flush()
        said.append(child.stdout.readline().strip())
    child.communicate()
    assert ["written", "27", "written"] == said


def test_what_ends_by_itself_is_started_again_until_it_is_stopped(tmp_path):
    """As a service manager does it; and whoever watches is told, with its last words."""
    told: list[tuple[str, int, str]] = []
    made = Process("wrong", ["no-such-command"], Path(tmp_path), lambda *how: told.append((*how[:2], how[2][-1])))
    made.start()
    while made.starts < 3:
        made._threads[0].join(0.05)
    made.kill()
    for thread in made._threads:
        thread.join(30)
    assert not made.running
    assert {("wrong", 2)} == {one[:2] for one in told}
    assert len(told) >= 2
