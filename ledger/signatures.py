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
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from ledger.errors import Unavailable
from ledger.keys import ed25519

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICE: Final = 128
"""How many signatures travel to a worker at a time: about 10 ms of work."""

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
            return _converse(process, checks)
        finally:
            self._idle.append(process)

    def close(self) -> None:
        """End the workers."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait()
            process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "ledger.signatures"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _converse(process: subprocess.Popen[bytes], checks: Sequence[Check]) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    parts = [_HEAD.pack(len(checks))]
    for public_key, message, signature in checks:
        parts += (_ITEM.pack(public_key, signature, len(message)), message)
    try:
        process.stdin.write(b"".join(parts))
        process.stdin.flush()
        answer = process.stdout.read(len(checks))
    except BrokenPipeError:
        answer = b""
    if len(answer) != len(checks):
        raise Unavailable("a signature worker ended early", what_now="submit again: nothing of this batch was recorded")
    return answer


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
