"""What a long outage of the brokers leaves behind in a process of ours: nothing."""

from __future__ import annotations

import threading
from contextlib import closing, suppress

import pytest
from kafka import KafkaAdminClient
from kafka import errors as faults

from ledger.configuration import KafkaSection
from ledger.kafka.connection import Connection
from tests.fire.stand import Small


@pytest.fixture
def broker():
    made = Small()
    with closing(KafkaAdminClient(bootstrap_servers=made.bootstrap)) as admin:
        admin.create_topics({"comity.test": {"num_partitions": 1, "replication_factor": 1}})
    yield made
    made.remove()


def test_what_is_neither_delivered_nor_failed_is_given_up(broker, monkeypatch):
    """A client that forgets a batch holds a relay up for some seconds, not for ever."""
    connection = Connection(KafkaSection(bootstrap=(broker.reached_at,), request_ms=1_000))
    with connection.producer() as producer:
        producer.send("comity.test", b"arrives", b"key")
        connection.deliver(producer)
        # Nobody sends any more, nor sees that it has expired.
        nothing = threading.Event()
        monkeypatch.setattr(producer._sender, "run_once", lambda: nothing.wait(0.01))
        producer.send("comity.test", b"is forgotten", b"key")
        with pytest.raises(faults.KafkaTimeoutError):
            connection.deliver(producer)
        monkeypatch.undo()


def test_a_producer_that_cannot_deliver_leaves_no_thread(broker, monkeypatch):
    """Its session ends with messages on their way, again and again: no thread outlives its session."""
    connection = Connection(KafkaSection(bootstrap=(broker.reached_at,), request_ms=5_000))
    before = threading.active_count()
    for _ in range(2):
        with suppress(faults.KafkaTimeoutError), connection.producer() as producer:
            producer.send("comity.test", b"arrives", b"key")
            producer.flush()
            closes = producer.close
            monkeypatch.setattr(producer, "close", lambda timeout, closes=closes: closes(timeout=timeout / 10))
            broker.proxies[0].set("dropped")
            producer.send("comity.test", b"does not", b"key")
            raise faults.KafkaTimeoutError
        broker.proxies[0].set("open")
        assert before == threading.active_count()
