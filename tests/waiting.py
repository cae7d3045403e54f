"""Waiting for what other threads and processes do: asked again and again, until it came about or its time is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

START_SECONDS = 90


def came_about(holds: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether it holds within so many seconds; it is asked *every* so many."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return True


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what others do; fail where it does not come about in time."""
    assert came_about(holds, seconds), f"it did not come about in {seconds:g} seconds"


def await_server(answers: Callable[[], bool], process: subprocess.Popen[bytes], said: Path) -> None:
    """Wait until a server answers; AssertionError with its last words where it ends before, or takes too long."""
    over = came_about(lambda: process.poll() is not None or answers(), START_SECONDS, every=0.02)
    assert process.poll() is None, said.read_text()[-3000:]
    assert over, said.read_text()[-3000:]
