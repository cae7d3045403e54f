"""
What the tests of the conveyor run on: a small broker from PyPI, or with ``TEST_KAFKA=apache`` Apache Kafka.

``make test`` needs no Java: it collects nothing under ``apache``, and says so at the end. ``make test-cluster`` runs
all.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from deploy.servers import KAFKA_VERSION
from tests.kafka.brokers import ApacheKafka, SmallBroker
from tests.kafka.conveyor import Conveyor
from tests.town import found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APACHE = os.environ.get("TEST_KAFKA") == "apache"
KCAT = shutil.which("kcat") is not None
collect_ignore_glob = ([] if APACHE else ["apache/*"]) + ([] if KCAT else ["apache/test_kcat.py"])
_numbers = itertools.count()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran on, and what was left to another command."""
    name = f"Apache Kafka {KAFKA_VERSION}" if APACHE else SmallBroker.name
    terminalreporter.write_line(f"Kafka: these tests ran on {name}.")
    if not APACHE:
        terminalreporter.write_line(
            "Kafka: tests/kafka/apache was not collected; `make test-cluster` runs everything on Apache Kafka."
        )
    elif not KCAT:
        terminalreporter.write_line(
            "Kafka: there is no kcat here, so tests/kafka/apache/test_kcat.py was not collected."
        )


@pytest.fixture(scope="session")
def broker() -> Iterator[SmallBroker | ApacheKafka]:
    """One broker for all tests; each has topics of its own."""
    made = ApacheKafka() if APACHE else SmallBroker()
    yield made
    made.remove()


@pytest.fixture
def conveyor(broker: SmallBroker | ApacheKafka, tmp_path: Path) -> Iterator[Conveyor]:
    """A ledger of the town, and topics that no other test has."""
    town = found(tmp_path / "ledger")
    with Conveyor(town, broker.bootstrap, f"test-{os.getpid()}-{next(_numbers)}", tmp_path) as made:
        made.apply()
        yield made
    town.ledger.close()
