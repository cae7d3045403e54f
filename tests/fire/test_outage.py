"""What a long outage of the brokers leaves behind in a process of ours: nothing."""

from __future__ import annotations

import threading
from contextlib import suppress

from kafka import KafkaAdminClient
from kafka import errors as faults

from ledger.configuration import KafkaSection
from ledger.kafka.connection import Connection
from tests.fire.stand import Small


def test_a_producer_that_cannot_deliver_leaves_no_thread(monkeypatch):
    """Its session ends with messages on their way, again and again: no thread outlives its session."""
    broker = Small()
    with_topic = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    with_topic.create_topics({"comity.test": {"num_partitions": 1, "replication_factor": 1}})
    with_topic.close()
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
    broker.remove()
