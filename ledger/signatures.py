"""
Check many signatures at once, on every core.

One signature costs some 60 us; deciding and storing a statement costs less.
So for volume the checking is handed to worker processes, in slices, while the sequencer decodes;
and when the sequencer has nothing else to do it takes slices back and checks them itself.

A worker is this module run by the interpreter (``python -m ledger.signatures``): it reads slices
from its standard input and answers one byte for each signature.
It is not ``multiprocessing``, which would run the caller's main module a second time.
"""

from __future__ import annotations

import select
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
"""How many signatures travel to a worker at a time: about 8 ms of work."""

HELPED_MIN: Final = 16
"""How many signatures are worth a message to the helper."""

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


class _Worker:
    """A process that checks slices; it takes a fifth of a second to start, and says when it has."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ledger.signatures"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._started = False
        # How many verdicts were asked for and not yet read.
        self.owed = 0

    @property
    def started(self) -> bool:
        """Whether it listens by now; returns at once."""
        if not self._started and select.select([self._answers], [], [], 0)[0]:
            self._started = bool(self._answers.read(1))
            if not self._started:
                raise self._gone()
        return self._started

    def send(self, checks: Sequence[Check]) -> None:
        """Send checks; their verdicts are to be received before those of any others."""
        self.owed += len(checks)
        try:
            self._requests.write(_pack(checks))
            self._requests.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def receive(self, count: int) -> bytes:
        """Wait for one byte per check."""
        if not self._started:
            self._started = bool(self._answers.read(1))
        answer = self._answers.read(count)
        if len(answer) != count:
            raise self._gone()
        self.owed -= count
        return answer

    def _gone(self) -> Unavailable:
        return Unavailable(
            "a signature worker ended early", what_now="submit again: nothing of this group was recorded"
        )

    def end(self) -> None:
        """End it and wait until it is gone."""
        with suppress(BrokenPipeError):
            self._requests.close()
        self._process.wait()
        self._answers.close()


class Helper:
    """
    One worker for the leader of concurrent publishers, started when the first group is worth it.

    He gives it the signatures of a group, decides on the statements meanwhile, and reads the verdicts
    before he seals. No thread stands between them, and nobody waits until the worker has started.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._worker: _Worker | None = None

    def begin(self, checks: Sequence[Check]) -> Checking:
        """Begin to check these signatures; what the worker cannot take at once is checked here and now."""
        if self._worker is not None and self._worker.owed:
            # A group failed before its verdicts were read: they must not be taken for those of this one.
            self.close()
        if len(checks) < HELPED_MIN:
            return Checking(self, None, (), check(checks))
        # What is sent must fit into the pipe: it is not waited until somebody reads it.
        count, room = 0, PIPE_BYTES
        for _, message, _ in checks:
            room -= _ITEM.size + len(message)
            if room < 0:
                break
            count += 1
        try:
            if self._worker is None:
                self._worker = _Worker()
            if self._worker.started:
                self._worker.send(checks[:count])
                return Checking(self, self._worker, checks[:count], check(checks[count:]))
        except Unavailable:
            self.close()
        return Checking(self, None, (), check(checks))

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


@dataclass(frozen=True, slots=True)
class Checking:
    """Signatures that the helper checks; once it has, ask for the ``result`` once."""

    _helper: Helper
    _worker: _Worker | None
    _asked: Sequence[Check]
    _known: bytes

    @property
    def done(self) -> bool:
        """Whether all verdicts are known already."""
        return self._worker is None

    def result(self) -> bytes:
        """Return one byte per check, in their order, 1 where the signature holds."""
        if self._worker is None:
            return self._known
        try:
            return self._worker.receive(len(self._asked)) + self._known
        except Unavailable:
            # It was ended from outside: all is checked here, and the next group gets another.
            self._helper.close()
            return check(self._asked) + self._known


class Workers:
    """
    Worker processes that check signatures; closed, they are gone.

    They are started with the first signature that there is to check, and given nothing before they
    listen: until then everything is checked by the caller, and nobody waits.
    """

    def __init__(self, count: int) -> None:
        """Allow *count* workers; none is allowed too."""
        self._count = count
        self._starting: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._listening: list[_Worker] = []
        self._threads = ThreadPoolExecutor(max(1, count), thread_name_prefix="signatures")

    def check(self, checks: Sequence[Check]) -> Pending:
        """Begin to check these signatures; returns at once."""
        starts = range(0, len(checks), SLICE)
        if checks and not (self._starting or self._listening):
            self._starting = [_Worker() for _ in range(self._count)]
        for worker in list(self._starting):
            try:
                if not worker.started:
                    continue
                self._listening.append(worker)
                self._idle.append(worker)
            except Unavailable:
                worker.end()  # it ended before it began: the rest is checked without it
            self._starting.remove(worker)
        if not self._listening:
            return Pending(checks, [Future() for _ in starts])
        return Pending(checks, [self._threads.submit(self._ask, checks[start : start + SLICE]) for start in starts])

    def _ask(self, checks: Sequence[Check]) -> bytes:
        try:
            worker = self._idle.pop()
        except IndexError:  # more threads than workers listen yet
            return check(checks)
        try:
            worker.send(checks)
            return worker.receive(len(checks))
        finally:
            self._idle.append(worker)

    def close(self) -> None:
        """End the workers."""
        self._threads.shutdown(cancel_futures=True)
        for worker in (*self._starting, *self._listening):
            worker.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pack(checks: Sequence[Check]) -> bytes:
    parts = [_HEAD.pack(len(checks))]
    for public_key, message, signature in checks:
        parts += (_ITEM.pack(public_key, signature, len(message)), message)
    return b"".join(parts)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say that it listens, with one byte; then answer slices until the input ends."""
    answers.write(b"\1")
    answers.flush()
    while head := requests.read(_HEAD.size):
        checks = []
        for _ in range(_HEAD.unpack(head)[0]):
            public_key, signature, length = _ITEM.unpack(requests.read(_ITEM.size))
            checks.append((public_key, requests.read(length), signature))
        answers.write(check(checks))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
