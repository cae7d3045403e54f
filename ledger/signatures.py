"""
Check many signatures at once, on every core.

One signature costs some 80 us; deciding and storing a statement costs less.
So for volume the checking is handed to worker processes, in slices, while the sequencer decodes;
and when the sequencer has nothing else to do it takes slices back and checks them itself.

A worker is this module run by the interpreter (``python -m ledger.signatures``): it reads slices
from its standard input and answers one byte for each signature.
It is not ``multiprocessing``, which would run the caller's main module a second time.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from ledger.errors import Unavailable
from ledger.keys import ed25519

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICE: Final = 128
"""How many signatures travel to a worker at a time: about 10 ms of work."""

HELPED_MIN: Final = 8
"""How many signatures are worth a message to the helper."""

HELPED_MAX: Final = 128
"""How many signatures the helper takes at once."""

PIPE_BYTES: Final = 60_000
"""What a pipe holds without a reader."""

_HEAD: Final = struct.Struct(">I")
_ITEM: Final = struct.Struct(">32s64sI")

Check = tuple[bytes, bytes, bytes]
"""Public key (32 bytes), message, signature (64 bytes)."""


@dataclass(slots=True)
class Pending:
    """Signatures that are being checked; ``result`` waits for them."""

    checks: Sequence[Check]
    slices: list[Future[bytes]]

    def result(self) -> bytes:
        """Return one byte per check, 1 where the signature holds; unstarted slices are checked here."""
        parts: list[bytes | None] = [None] * len(self.slices)
        # From the back: workers take slices from the front.
        for number in range(len(self.slices) - 1, -1, -1):
            if self.slices[number].cancel():
                parts[number] = check(self.checks[number * SLICE : (number + 1) * SLICE])
        return b"".join(
            future.result() if part is None else part for part, future in zip(parts, self.slices, strict=True)
        )


def check(checks: Sequence[Check]) -> bytes:
    """Check signatures one after the other, here and now."""
    return bytes([ed25519(*item) for item in checks])


class Helper:
    """
    One worker that takes half of each group, started when the first group is worth it.

    For the leader of concurrent publishers: he sends half of the signatures to the worker, checks
    the other half himself, and reads the answers. No thread stands between them.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None

    def check(self, checks: Sequence[Check]) -> bytes:
        """Return one byte per check, 1 where the signature holds."""
        # What is sent must fit into the pipe: nobody reads the answer meanwhile.
        half = min(len(checks) // 2, HELPED_MAX)
        sent = _pack(checks[:half])
        if half < HELPED_MIN or len(sent) > PIPE_BYTES:
            return check(checks)
        if self._process is None:
            self._process = _start()
        try:
            _send(self._process, sent)
            mine = check(checks[half:])
            return _receive(self._process, half) + mine
        except Unavailable:
            # It was ended from outside: all is checked here, and the next group gets another.
            self.close()
            return check(checks)

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._process is not None:
            _end(self._process)
            self._process = None


class Workers:
    """Worker processes that check signatures; closed, they are gone."""

    def __init__(self, count: int) -> None:
        """Start *count* workers (none is allowed: then everything is checked by the caller)."""
        self._processes = [_start() for _ in range(count)]
        self._idle = list(self._processes)
        self._threads = ThreadPoolExecutor(max(1, count), thread_name_prefix="signatures") if count else None

    def check(self, checks: Sequence[Check]) -> Pending:
        """Begin to check these signatures; returns at once."""
        if self._threads is None:
            done: list[Future[bytes]] = [Future() for _ in range(0, len(checks), SLICE)]
            return Pending(checks, done)
        slices = [
            self._threads.submit(self._ask, checks[start : start + SLICE]) for start in range(0, len(checks), SLICE)
        ]
        return Pending(checks, slices)

    def _ask(self, checks: Sequence[Check]) -> bytes:
        process = self._idle.pop()
        try:
            _send(process, _pack(checks))
            return _receive(process, len(checks))
        finally:
            self._idle.append(process)

    def close(self) -> None:
        """End the workers."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            _end(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "ledger.signatures"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.wait()
    process.stdout.close()


def _pack(checks: Sequence[Check]) -> bytes:
    parts = [_HEAD.pack(len(checks))]
    for public_key, message, signature in checks:
        parts += (_ITEM.pack(public_key, signature, len(message)), message)
    return b"".join(parts)


def _send(process: subprocess.Popen[bytes], request: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        raise _gone() from None


def _receive(process: subprocess.Popen[bytes], count: int) -> bytes:
    assert process.stdout is not None
    answer = process.stdout.read(count)
    if len(answer) != count:
        raise _gone()
    return answer


def _gone() -> Unavailable:
    return Unavailable("a signature worker ended early", what_now="submit again: nothing of this group was recorded")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer slices until the input ends."""
    while head := requests.read(_HEAD.size):
        checks = []
        for _ in range(_HEAD.unpack(head)[0]):
            public_key, signature, length = _ITEM.unpack(requests.read(_ITEM.size))
            checks.append((public_key, requests.read(length), signature))
        answers.write(check(checks))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
