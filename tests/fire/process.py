"""
One process of ours as an operator starts it, and what is done to it from outside.

Run as a program, this file is the command ``comity`` with two differences. Its wall clock can be stepped: an offset in
µs lies in a file that another process may change. And it ends when whoever started it is gone, however he went.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parent.parent.parent
RESTART_SECONDS: Final = 0.3
TAIL_LINES: Final = 400
_OFFSET: Final = struct.Struct("<q")


class Process:
    """
    One process, started again when it ends by itself, as a service manager does it.

    Args:
        name: by which the history knows it.
        arguments: of ``comity``.
        folder: where its clock's offset and what it says are kept.
        ended: is told when it ended by itself: name, exit status, its last lines.
    """

    def __init__(
        self, name: str, arguments: list[str], folder: Path, ended: Callable[[str, int, list[str]], None]
    ) -> None:
        """Describe it; ``start`` starts it."""
        self.name = name
        self.starts = 0
        self.started_at = 0.0
        self._arguments = arguments
        self._clock = folder / f"{name}.clock"
        set_clock(self._clock, 0)
        self._said_to = folder / f"{name}.said"
        self._ended = ended
        self._wanted = False
        self._guard = threading.RLock()
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=TAIL_LINES)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._guard:
            self._wanted = True
            if self._process is not None and self._process.poll() is None:
                return
            self.starts += 1
            self.started_at = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fire.process", str(self._clock), *self._arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            watching = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
            self._threads.append(watching)
            watching.start()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with self._said_to.open("a", encoding="utf-8") as file:
            for line in process.stdout:
                self._said.append(line.rstrip("\n"))
                file.write(line)
        status = process.wait()
        with self._guard:
            again = self._wanted and self._process is process
        if again:
            self._ended(self.name, status, list(self._said)[-20:])
            # As a supervisor of services does: what ends at once may not be started in a circle.
            time.sleep(RESTART_SECONDS)
            with self._guard:
                if self._wanted and self._process is process:
                    self.start()

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def signal(self, how: Signals) -> None:
        """Send it a signal, and nothing to those that it started."""
        with self._guard, suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(how)

    def kill(self) -> None:
        """End it at once, and do not start it again."""
        self._end(signal.SIGKILL, 30)

    def stop(self, seconds: float = 60) -> int | None:
        """Tell it to end; its exit status, None where it had to be killed."""
        return self._end(signal.SIGTERM, seconds)

    def _end(self, how: Signals, seconds: float) -> int | None:
        with self._guard:
            self._wanted = False
            process = self._process
        if process is None:
            return 0
        self.signal(how)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            # It says where it hangs.
            process.send_signal(signal.SIGUSR1)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
            process.wait()
            return None
        return status

    def left(self) -> list[int]:
        """Return the ids of processes that it started and left behind; they are ended."""
        found = []
        if self._process is not None:
            for path in Path("/proc").glob("[0-9]*/stat"):
                with suppress(OSError):
                    fields = path.read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._process.pid and fields[0] != "Z":
                        found.append(int(path.parent.name))
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return found

    def step_clock(self, microseconds: int) -> None:
        """Step its wall clock so far from the right time."""
        set_clock(self._clock, microseconds)

    def limit_files(self, size: int | None) -> None:
        """Let it write no file beyond *size* bytes, as a quota does; None lifts that."""
        with self._guard, suppress(ProcessLookupError):
            if self._process is not None:
                limit_files(self._process.pid, size)


def set_clock(clock: Path, microseconds: int) -> None:
    """Write how far the clock of whoever follows this file is from the right time."""
    clock.touch()
    with clock.open("r+b") as file:
        file.write(_OFFSET.pack(microseconds))


def limit_files(pid: int, size: int | None) -> None:
    """Let a process write no file beyond *size* bytes, on Linux; what it starts inherits that. None lifts it."""
    if sys.platform != "linux":
        assert size is None, "no other system lets one process limit another"
        return
    with suppress(ProcessLookupError, PermissionError):
        most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))


def prepare(clock: Path) -> None:
    """Let the wall clock of this process follow *clock*, and the process end with whoever holds its input open."""
    with clock.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), _OFFSET.size)
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + _OFFSET.unpack_from(shared)[0] / 1e6
    time.time_ns = lambda: right_ns() + _OFFSET.unpack_from(shared)[0] * 1000

    def end_with_parent() -> None:
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _main() -> None:
    # Where one hangs, SIGUSR1 makes it say where.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    prepare(Path(sys.argv[1]))
    sys.argv = ["comity", *sys.argv[2:]]
    if sys.argv[1] == "follow":
        from tests.fire.following import follow

        follow(Path(sys.argv[2]))
    else:
        from ledger.cli import main

        main()


if __name__ == "__main__":
    _main()
