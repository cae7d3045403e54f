"""
The nemesis: which faults come when, by a seed; and what each does.

Two lanes of faults run beside each other: one against our processes, one against what they stand on. Within a lane
one fault is over before the next begins, so that what can be reached is known; across the lanes they meet.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fire.history import History
    from tests.fire.stand import Stand

HOUR: Final = 3_600_000_000

LINUX: Final = frozenset({"quota", "postgres disk full"})
"""Faults that Linux alone can do: elsewhere they are not planned, so that none is counted that did not happen."""


def _possible(*kinds: tuple[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(one for one in kinds if sys.platform == "linux" or one[0] not in LINUX)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: begins *after* seconds from the start, lasts *seconds*."""

    after: float
    kind: str
    target: str
    seconds: float


PROCESSES: Final = _possible(
    ("kill", 5),
    ("pause", 4),
    ("clock", 2),
    ("quota", 1),
    ("another ingest", 2),
    ("another relay", 1),
    ("stop", 1),
)
"""Faults of our own processes, and how often each, of all."""

BENEATH: Final = _possible(
    ("postgres crash", 3),
    ("postgres restart", 1),
    ("postgres backends", 4),
    ("postgres disk full", 2),
    ("postgres slow", 2),
    ("postgres cut", 3),
    ("postgres dropped", 2),
    ("postgres deaf", 2),
    ("broker restart", 3),
    ("broker pause", 2),
    ("broker slow", 2),
    ("broker cut", 2),
    ("broker dropped", 2),
    ("broker deaf", 2),
    ("broker closed", 2),
)
"""Faults of what they stand on."""


def plan(seed: int, seconds: float, targets: Sequence[str]) -> list[Fault]:
    """Return the faults of a run in order; the same seed, seconds and targets give the same."""
    found = []
    for lane, kinds in (("processes", PROCESSES), ("beneath", BENEATH)):
        chosen = random.Random(f"{seed} {lane}")
        longest = min(8.0, seconds / 8)
        bag: list[str] = []
        at = chosen.uniform(0.5, 2)
        while True:
            if not bag:
                # Each kind comes once before any comes again.
                once = [kind for kind, _ in kinds]
                again = [kind for kind, share in kinds for _ in range(share - 1)]
                bag = [*chosen.sample(once, len(once)), *chosen.sample(again, len(again))]
            kind = bag.pop(0)
            lasts = chosen.uniform(0.2, longest)
            if at + lasts > seconds - 1:
                break
            target = chosen.choice(targets) if lane == "processes" else kind.split()[0]
            if kind == "quota":
                target = chosen.choice([one for one in targets if one.startswith("gateway")])
            found.append(Fault(round(at, 3), kind, target, round(lasts, 3)))
            at += lasts + chosen.uniform(0.2, 2)
    return sorted(found, key=lambda one: one.after)


class Nemesis:
    """Carries a plan out against a stand."""

    def __init__(self, stand: Stand, history: History, seed: int) -> None:
        """Do nothing yet."""
        self._stand = stand
        self._history = history
        self._random = random.Random(f"{seed} nemesis")
        self.survived: Counter[str] = Counter()

    def run(self, faults: Sequence[Fault]) -> None:
        """Carry out every fault at its time; return when the last is over."""
        begun = time.monotonic()
        failures: list[BaseException] = []

        def lane(mine: Sequence[Fault]) -> None:
            try:
                for fault in mine:
                    # A plan is of real time: this and the fault's own duration are what has to pass.
                    time.sleep(max(0.0, begun + fault.after - time.monotonic()))
                    self._one(fault)
            except BaseException as error:  # noqa: BLE001 -- raised again by whoever waits
                failures.append(error)

        names = {name for name, _ in PROCESSES}
        lanes = ([one for one in faults if one.kind in names], [one for one in faults if one.kind not in names])
        threads = [threading.Thread(target=lane, args=(mine,)) for mine in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _one(self, fault: Fault) -> None:
        self._history.add("nemesis", "fault", kind=fault.kind, target=fault.target, seconds=fault.seconds)
        begin, end = self._ways(fault)
        begin()
        try:
            time.sleep(fault.seconds)
        finally:
            end()
        self._history.add("nemesis", "healed", kind=fault.kind, target=fault.target)
        kind = f"{fault.kind} {fault.target.split('-')[0]}" if fault.kind in {"kill", "pause", "stop"} else fault.kind
        self.survived[kind] += 1

    def _ways(self, fault: Fault) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Return how a fault begins and how it ends."""
        stand = self._stand
        if fault.kind.startswith("postgres "):
            return self._postgres(fault.kind.removeprefix("postgres "))
        if fault.kind.startswith("broker "):
            return self._broker(fault.kind.removeprefix("broker "))
        if fault.kind.startswith("another "):
            extra = stand.one_more(fault.kind.removeprefix("another "))
            return extra.start, lambda: stand.end(extra)
        process = stand.processes[fault.target]
        match fault.kind:
            case "kill":
                return process.kill, process.start
            case "stop":
                return lambda: stand.stopped(process), process.start
            case "pause":
                return lambda: process.signal(signal.SIGSTOP), lambda: process.signal(signal.SIGCONT)
            case "clock":
                step = self._random.choice([-1, 1]) * self._random.randrange(HOUR)
                return lambda: process.step_clock(step), lambda: process.step_clock(0)
            case "quota":
                return lambda: process.limit_files(0), lambda: process.limit_files(None)
        raise AssertionError(fault.kind)

    def _postgres(self, kind: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        stand = self._stand
        database, proxy = stand.database, stand.database_proxy
        match kind:
            case "crash":
                return lambda: database.stop(signal.SIGQUIT), stand.start_database
            case "restart":
                return lambda: database.stop(signal.SIGINT), stand.start_database
            case "backends":
                return lambda: self._end_backends(0.5), lambda: self._end_backends(1.0)
            case "disk full":
                return stand.disk.fill, stand.empty_disk
            case "cut":
                return proxy.cut, proxy.cut
        return lambda: proxy.set(kind), lambda: proxy.set("open")

    def _end_backends(self, share: float) -> None:
        with suppress(Exception):  # it may be down: then there is nobody to end
            self._stand.database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND random() < {share}"
            )

    def _broker(self, kind: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        broker = self._stand.broker
        number = self._random.randrange(broker.nodes)
        match kind:
            case "restart":
                return lambda: broker.end(number), lambda: broker.begin(number)
            case "pause":
                return lambda: broker.signal(number, signal.SIGSTOP), lambda: broker.signal(number, signal.SIGCONT)
            case "cut":
                return broker.proxies[number].cut, broker.proxies[number].cut
        chosen = broker.proxies if self._random.random() < 0.5 else [broker.proxies[number]]

        def set_all(mode: str) -> None:
            for one in chosen:
                one.set(mode)

        return lambda: set_all(kind), lambda: set_all("open")
