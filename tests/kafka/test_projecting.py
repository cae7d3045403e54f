"""Projection workers on a real group: they divide the partitions, take over, and need no Kafka at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger.acts import catalogue
from ledger.configuration import KafkaSection
from ledger.errors import Conflict
from ledger.kafka.connection import Connection
from ledger.kafka.topics import ENTRIES
from projections.runner import Runner
from projections.shared import JOINED, Shared
from projections.workers import Limits, work
from tests.projections.test_runner import digests
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.kafka.conveyor import Conveyor

QUICK = Limits(settle_seconds=0.3, silent_seconds=2)
SECONDS = 60


def of_the_log(conveyor: Conveyor, folder: Path) -> dict[str, str]:
    with Runner(conveyor.town.store, catalogue(), folder / "projections.db") as runner:
        runner.catch_up()
        return digests(runner)


class Working:
    """A worker in a thread of this process, with connections of its own."""

    def __init__(self, conveyor: Conveyor, address: str, connection: Connection | None) -> None:
        self.stop = threading.Event()
        self.applied = 0
        self._shared = Shared(conveyor.town.store, catalogue(), address, partitions=3)
        topic = conveyor.named(ENTRIES)

        def run() -> None:
            self.applied = work(
                self._shared,
                conveyor.town.store,
                catalogue(),
                connection,
                self.stop.is_set,
                topic=topic,
                limits=QUICK,
                apart_seconds=1,
            )

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(SECONDS)
        self._shared.close()


def reached(shared: Shared, size: int) -> Callable[[], bool]:
    return lambda: set(shared.sizes().values()) == {size} and not any(one.taken for one in shared.places().values())


def test_workers_of_a_group_apply_each_entry_once(conveyor: Conveyor, cluster: Cluster, tmp_path: Path):
    """Through a real broker: what two workers fill, one joining while the other works, is what the log says."""
    address = cluster.address(cluster.schema())
    store = conveyor.town.store
    with Shared(store, catalogue(), address, partitions=3) as shared:
        conveyor.say(6)
        conveyor.relay()
        workers = [Working(conveyor, address, conveyor.connection)]
        try:
            until(reached(shared, store.size()))
            workers.append(Working(conveyor, address, conveyor.connection))
            conveyor.say(12)
            conveyor.relay()
            until(reached(shared, store.size()))
            # The older one goes; the other takes its partitions over.
            workers.pop(0).end()
            conveyor.say(6)
            conveyor.relay()
            until(reached(shared, store.size()))
        finally:
            for one in workers:
                one.end()
        assert of_the_log(conveyor, tmp_path) == digests(shared)
        assert all(place.offset for unit, place in shared.places().items() if unit.name not in JOINED)


def test_without_a_broker_the_projections_follow_the_log(conveyor: Conveyor, cluster: Cluster, tmp_path: Path):
    """Losing Kafka loses nothing: a worker that cannot reach it follows the log, and tries again."""
    address = cluster.address(cluster.schema())
    nowhere = Connection(replace(KafkaSection(), bootstrap=("127.0.0.1:1",), request_ms=1_000))
    conveyor.say(4)
    with Shared(conveyor.town.store, catalogue(), address, partitions=3) as shared:
        one = Working(conveyor, address, nowhere)
        try:
            until(reached(shared, conveyor.town.store.size()))
        finally:
            one.end()
        assert of_the_log(conveyor, tmp_path) == digests(shared)


def test_another_number_of_partitions_is_refused(conveyor: Conveyor, cluster: Cluster):
    """A case would stand in two partitions: the worker ends before it reads anything."""
    address = cluster.address(cluster.schema())
    store = conveyor.town.store
    with (
        Shared(store, catalogue(), address, partitions=4) as shared,
        pytest.raises(Conflict, match="3 partitions"),
    ):
        work(shared, store, catalogue(), conveyor.connection, lambda: False, topic=conveyor.named(ENTRIES))


_PROCESS = """
import sys
from pathlib import Path
from ledger.acts import catalogue
from ledger.configuration import KafkaSection
from ledger.kafka.connection import Connection
from ledger.store import open_store
from projections.shared import Shared
from projections.workers import Limits, work
log, address, bootstrap, topic = sys.argv[1:]
store = open_store(log, read_only=True)
shared = Shared(store, catalogue(), address, partitions=3)
connection = Connection(KafkaSection(bootstrap=(bootstrap,), request_ms=5_000))
work(shared, store, catalogue(), connection, lambda: False, topic=topic, limits=Limits(settle_seconds=0.3))
"""


def test_a_stopped_process_that_wakes_writes_nothing_wrong(conveyor: Conveyor, cluster: Cluster, tmp_path: Path):
    """SIGSTOP, another takes over, SIGCONT; then SIGKILL: what stands is at all times what the log says."""
    address = cluster.address(cluster.schema())
    store = conveyor.town.store
    arguments = [str(store.address), address, conveyor.bootstrap, conveyor.named(ENTRIES)]
    with Shared(store, catalogue(), address, partitions=3) as shared:
        process = subprocess.Popen([sys.executable, "-c", _PROCESS, *arguments])
        heir = None
        try:
            conveyor.say(4)
            conveyor.relay()
            until(reached(shared, store.size()))
            os.kill(process.pid, signal.SIGSTOP)
            epochs = {unit: place.epoch for unit, place in shared.places().items()}
            heir = Working(conveyor, address, conveyor.connection)
            conveyor.say(8)
            conveyor.relay()
            until(reached(shared, store.size()))
            assert all(place.epoch > epochs[unit] for unit, place in shared.places().items())
            os.kill(process.pid, signal.SIGCONT)
            conveyor.say(8)
            conveyor.relay()
            until(reached(shared, store.size()))
            process.kill()
            process.wait()
            conveyor.say(4)
            conveyor.relay()
            until(reached(shared, store.size()))
        finally:
            process.kill()
            process.wait()
            if heir is not None:
                heir.end()
        assert of_the_log(conveyor, tmp_path) == digests(shared)
