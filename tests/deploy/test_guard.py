"""A test run that is killed leaves no server, no mounted file system and no folder behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WITHIN = 20

# Who is to be killed has to be alive until then: each sleeps, and ends by itself where nobody ends it.
GUARDED = """
import os, subprocess, sys, time
from pathlib import Path
from deploy.guard import guard

folder = Path(sys.argv[1])
folder.mkdir()
guard().unmount(folder / "mounted")
# A server with a child of its own: the whole group has to go.
kept = subprocess.Popen(["/bin/sh", "-c", "sleep 600 & wait"], start_new_session=True)
gone = subprocess.Popen(["/bin/sh", "-c", "exit"], start_new_session=True)
guard().watch(kept)
guard().watch(gone)
gone.wait()
guard().release(gone)
guard().remove(folder)
if sys.argv[2] == "fork" and not os.fork():
    os.close(1)
    time.sleep(600)
print(kept.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("also", ["alone", "fork"])
def test_what_a_killed_program_started_ends_with_it(also: str, tmp_path: Path):
    """SIGKILL lets nobody clean up, and a forked child may outlive it; the server and the folder go all the same."""
    folder = tmp_path / "data"
    # Whoever may not mount can see that it would have been unmounted, before the folder around it went.
    umount = tmp_path / "umount"
    umount.write_text(f'#!/bin/sh\nls -d {folder} > {tmp_path}/there && echo "$@" > {tmp_path}/unmounted\n')
    umount.chmod(0o755)
    program = subprocess.Popen(
        [sys.executable, "-c", GUARDED, folder, also],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert program.stdout is not None
    try:
        server = int(program.stdout.readline())
        os.killpg(server, 0)

        assert folder.exists()

        program.kill()
        program.wait()

        # The server and the guard hold the other end: it closes when both are gone.
        assert [program.stdout] == select.select([program.stdout], [], [], WITHIN)[0]
        assert b"" == program.stdout.read()
        assert not folder.exists()
        assert f"-l {folder}/mounted\n" == (tmp_path / "unmounted").read_text()
    finally:
        program.stdout.close()
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
