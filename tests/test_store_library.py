"""
The store passes the suites that the eventsourcing library ships for its own recorders.

Every suite runs on a file, as the store does; some race threads against each other.
The suite of aggregate recorders is left out: it wants ``insert_events`` to return nothing, and the
suite of application recorders wants the numbers that were given.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from eventsourcing import cryptography as by_the_cryptography_package
from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteDatastore, SQLiteTrackingRecorder
from eventsourcing.utils import Environment

from ledger.store.sqlite import EntryProcessRecorder, EntryRecorder, Factory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The suites name the cipher that needs another package; its twin here has the same name and interface.
sys.modules.setdefault("eventsourcing.cipher", by_the_cryptography_package)

from eventsourcing.tests import persistence as suites  # noqa: E402 -- after its stand-in


class Counted(SQLiteTrackingRecorder):
    """A tracking recorder of our own, which the library must be able to find."""


@pytest.fixture
def datastore(tmp_path: Path) -> Iterator[SQLiteDatastore]:
    before = set(threading.enumerate())
    opened = SQLiteDatastore(str(tmp_path / "ledger.db"), lock_timeout=30)
    yield opened
    # A suite tells its readers to stop and does not wait: whoever still reads must not find it closed.
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    opened.close()


class _OnAFile:
    """Makes recorders on the file of the test."""

    datastore: SQLiteDatastore

    @pytest.fixture(autouse=True)
    def _on_a_file(self, datastore: SQLiteDatastore) -> None:
        self.datastore = datastore

    def create_recorder(self) -> Any:
        recorder = self.recorder()
        recorder.create_table()
        return recorder

    def recorder(self) -> Any:
        return EntryRecorder(self.datastore)


class TestAsApplicationRecorder(_OnAFile, suites.ApplicationRecorderTestCase[Any]):
    """Events of all streams are numbered without gaps, and threads do not hinder each other."""


class TestNothingInterleaves(_OnAFile, suites.NonInterleavingNotificationIDsBaseCase):
    """Two batches at the same time get two unbroken ranges of numbers."""


class _AsProcess(_OnAFile):
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
    def _environment(self, tmp_path: Path) -> None:
        self.env = Environment(
            "TestCase",
            {"PERSISTENCE_MODULE": "ledger.store.sqlite:Factory", "SQLITE_DBNAME": str(tmp_path / "ledger.db")},
        )

    def setUp(self) -> None:
        super().setUp()

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[Any]:
        return SQLiteAggregateRecorder

    def expected_application_recorder_class(self) -> type[Any]:
        return EntryRecorder

    def expected_tracking_recorder_class(self) -> type[Any]:
        return SQLiteTrackingRecorder

    def tracking_recorder_subclass(self) -> type[Any]:
        return Counted

    def expected_process_recorder_class(self) -> type[Any]:
        return EntryProcessRecorder


def test_a_number_is_never_given_out_twice(datastore):
    """Unlike the library's own table: even after rows were deleted their numbers stay taken."""
    from eventsourcing.persistence import StoredEvent

    recorder = EntryRecorder(datastore)
    recorder.create_table()
    for version in range(3):
        recorder.insert_events([StoredEvent("a", version, "t", b"")])
    with datastore.transaction(commit=True) as cursor:
        cursor.execute("DELETE FROM entries WHERE rowid = 3")

    assert [4] == recorder.insert_events([StoredEvent("b", 0, "t", b"")])
