"""
The recorders on PostgreSQL pass the suites that the eventsourcing library ships for its own.

All of them: recorders of aggregates, applications, positions and processes, with subscriptions, and
the factory by which the library finds them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from eventsourcing import cryptography as by_the_cryptography_package
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.utils import Environment

from ledger.store.postgres.recorder import (
    Datastore,
    EntryProcessRecorder,
    EntryRecorder,
    Factory,
    PositionRecorder,
    SnapshotRecorder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import Cluster

# The suites name the cipher that needs another package; its twin here has the same name and interface.
sys.modules.setdefault("eventsourcing.cipher", by_the_cryptography_package)

from eventsourcing.tests import persistence as suites  # noqa: E402 -- after its stand-in


class Counted(PositionRecorder):
    """A tracking recorder of our own, which the library must be able to find."""


@pytest.fixture
def datastore(cluster: Cluster) -> Iterator[Datastore]:
    opened = Datastore(cluster.address(cluster.schema()))
    yield opened
    opened.close()


@pytest.fixture
def named_by_text(cluster: Cluster) -> Iterator[Datastore]:
    opened = Datastore(cluster.address(cluster.schema()), originator_id_type="text")
    yield opened
    opened.close()


class _InASchema:
    """Makes recorders in the schema of the test."""

    datastore: Datastore

    @pytest.fixture(autouse=True)
    def _in_a_schema(self, datastore: Datastore) -> None:
        self.datastore = datastore

    def create_recorder(self) -> Any:
        recorder = self.recorder()
        recorder.create_table()
        return recorder

    def recorder(self) -> Any:
        return EntryRecorder(self.datastore)


class TestAsApplicationRecorder(_InASchema, suites.ApplicationRecorderTestCase[Any]):
    """Events of all streams are numbered without gaps, and threads do not hinder each other."""

    def test_insert_subscribe(self) -> None:
        """Whoever subscribes gets what is there and what comes, by topic too."""
        self.optional_test_insert_subscribe()


class TestNothingInterleaves(_InASchema, suites.NonInterleavingNotificationIDsBaseCase):
    """Two batches at the same time get two unbroken ranges of numbers."""


class TestAsAggregateRecorder(_InASchema, suites.AggregateRecorderTestCase):
    """Snapshots are kept by aggregate and version."""

    def recorder(self) -> Any:
        return SnapshotRecorder(self.datastore)


class _AsProcess(_InASchema):
    def recorder(self) -> Any:
        return EntryProcessRecorder(self.datastore)


class TestAsProcessRecorder(_AsProcess, suites.ProcessRecorderTestCase):
    """Events and the position of whoever made them move together."""


class TestAsTrackingRecorder(_AsProcess, suites.TrackingRecorderTestCase):
    """A position never goes back."""


class TestAsApplicationRecorderWithTracking(_AsProcess, suites.ApplicationRecorderTestCase[Any]):
    """The table is the same with tracking."""


class TestFactory(suites.InfrastructureFactoryTestCase[Factory]):
    """The library finds our recorders by the name of our module."""

    @pytest.fixture(autouse=True)
    def _environment(self, cluster: Cluster) -> None:
        self.env = Environment("TestCase", settings(cluster))

    def setUp(self) -> None:
        super().setUp()

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[Any]:
        return SnapshotRecorder

    def expected_application_recorder_class(self) -> type[Any]:
        return EntryRecorder

    def expected_tracking_recorder_class(self) -> type[Any]:
        return PositionRecorder

    def tracking_recorder_subclass(self) -> type[Any]:
        return Counted

    def expected_process_recorder_class(self) -> type[Any]:
        return EntryProcessRecorder


def settings(cluster: Cluster) -> dict[str, str]:
    """The library's own settings, for a new schema."""
    return {
        "PERSISTENCE_MODULE": "ledger.store.postgres.recorder:Factory",
        "POSTGRES_DBNAME": "postgres",
        "POSTGRES_HOST": str(cluster.folder),
        "POSTGRES_USER": "comity",
        "POSTGRES_SCHEMA": cluster.schema(),
    }


class Docket(Aggregate):
    """A thing of an application built on the library."""

    @event("Opened")
    def __init__(self, title: str) -> None:
        self.title = title
        self.entered: list[str] = []

    @event("Entered")
    def enter(self, text: str) -> None:
        self.entered.append(text)


class Dockets(Application[Any]):
    """An application built on the library."""

    is_snapshotting_enabled = True


def test_an_application_of_the_library_runs_on_it(cluster):
    """Saved, read again, notified in order and followed, with snapshots."""
    with Dockets(env=settings(cluster)) as dockets:
        docket = Docket("one")
        docket.enter("first")
        dockets.save(docket)
        dockets.take_snapshot(docket.id)
        docket.enter("second")
        assert [3] == [recording.notification.id for recording in dockets.save(docket)]
        assert ["first", "second"] == dockets.repository.get(docket.id).entered
        assert [1, 2, 3] == [one.id for one in dockets.notification_log.select(1, 10)]
        with dockets.recorder.subscribe(gt=1) as following:
            assert [2, 3] == [next(following).id, next(following).id]


def test_a_number_is_never_left_out_nor_given_out_twice(named_by_text):
    """Unlike those of a sequence: what failed took no number, few or many."""
    recorder = EntryRecorder(named_by_text)
    recorder.create_table()
    assert [] == recorder.insert_events([])
    for count in (1, 40):
        events = [StoredEvent(f"stream {count}", version, "t", b"") for version in range(count)]
        first = recorder.max_notification_id() or 0
        assert list(range(first + 1, first + 1 + count)) == list(recorder.insert_events(events))
        for _ in range(3):
            with pytest.raises(IntegrityError):
                recorder.insert_events(events)
    assert [42] == recorder.insert_events([StoredEvent("b", 0, "t", b"")])


def test_a_position_that_may_not_move_stores_no_event(named_by_text):
    """Events and position are one: where one is refused the other is not there."""
    recorder = EntryProcessRecorder(named_by_text)
    recorder.create_table()
    recorder.insert_events([StoredEvent("a", 0, "t", b"")], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent("a", 1, "t", b"")], tracking=Tracking("upstream", 5))

    assert (1, 5) == (recorder.max_notification_id(), recorder.max_tracking_id("upstream"))


def test_a_subscription_outlives_the_connection_that_notifies_it(named_by_text, cluster):
    """Whoever listens is cut off; what is recorded then is delivered all the same."""
    recorder = EntryRecorder(named_by_text)
    recorder.create_table()
    with recorder.subscribe() as following:
        recorder.insert_events([StoredEvent("a", 0, "t", b"0")])
        assert 1 == next(following).id
        cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        recorder.insert_events([StoredEvent("a", 1, "t", b"1")])
        assert 2 == next(following).id
