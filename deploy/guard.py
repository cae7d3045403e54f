"""
Whatever a program started ends with it, however it ends: also when it is killed and can clean up nothing itself.

A second process waits until the first is gone, then kills the process groups, unmounts the file systems and removes
the folders that it was told of. It learns of the end in two ways: nobody can write to its input any more, or it has
another parent; the first alone would not do, because a forked child of the first may hold that input open.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.5


class Guard:
    """Watches over the process that makes it; cheap enough to have one in each."""

    def __init__(self) -> None:
        """Start the second process."""
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid())],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        with self._lock, suppress(BrokenPipeError):
            self._process.stdin.write(f"{word}\n".encode())
            self._process.stdin.flush()

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the group that this process leads (``start_new_session=True``) when the guarded one is gone."""
        self._tell(f"+group {process.pid}")

    def release(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended: another may get its number."""
        self._tell(f"-group {process.pid}")

    def unmount(self, folder: Path) -> None:
        """Unmount what is mounted on this folder when the guarded process is gone."""
        self._tell(f"+mount {folder}")

    def remove(self, folder: Path) -> None:
        """Remove this folder when the guarded process is gone."""
        self._tell(f"+folder {folder}")


@cache
def _guard_of(process: int) -> Guard:
    del process
    return Guard()


def guard() -> Guard:
    """The guard of this process: a forked child gets one of its own."""
    return _guard_of(os.getpid())


def _wait(parent: int) -> tuple[list[int], list[str], list[str]]:
    """Return the groups to kill, what to unmount and the folders to remove, once *parent* is gone."""
    groups: dict[int, None] = {}
    mounts: dict[str, None] = {}
    folders: dict[str, None] = {}
    unread = b""
    while True:
        # What was said before the end is read after it, if need be.
        gone = os.getppid() != parent
        if not select.select([0], [], [], 0 if gone else LOOK_SECONDS)[0]:
            if gone:
                break
            continue
        piece = os.read(0, 65_536)
        if not piece:
            break
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            what, _, value = line.decode().partition(" ")
            if what == "+group":
                groups[int(value)] = None
            elif what == "-group":
                groups.pop(int(value), None)
            elif what == "+mount":
                mounts[value] = None
            else:
                folders[value] = None
    return list(groups), list(mounts), list(folders)


def _main() -> None:
    # Ctrl-C is for the guarded process, which may want to stop in order.
    for one in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    groups, mounts, folders = _wait(int(sys.argv[1]))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for mount in mounts:
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main()
