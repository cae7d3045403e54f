"""
``python -m bench.kafka [PORT]``: relay and ingest, as ratios to what the clients do alone, in one run.

On Apache Kafka from its Maven artifacts; on the broker that already listens on PORT, where one is given.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from typing import TYPE_CHECKING

import structlog
from kafka import KafkaProducer

from bench.ledgers import filled, fresh, world
from bench.measure import Watch, in_turns, median, ratio, say
from bench.workload import statements
from ledger.configuration import KafkaSection
from ledger.kafka import wire
from ledger.kafka.connection import Connection
from ledger.kafka.ingest import Ingest
from ledger.kafka.relay import Relay, sources
from ledger.kafka.topics import CHECKPOINTS, ENTRIES, SUBMISSIONS, carry_out, compare, declared
from ledger.ledger import Ledger
from ledger.statement import decode_statement
from ledger.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ledger.kafka.topics import Declared
    from ledger.statement import Signed

ENTRIES_RELAYED = 10_000
STATEMENTS_TAKEN = 20_000
ROUNDS = 3
GROUP = 1_024

_numbers = itertools.count()


def _topics(connection: Connection, publishers: Iterable[bytes] = ()) -> Declared:
    wanted = declared(replication=1, prefix=f"bench-{os.getpid()}-{next(_numbers)}")
    with connection.admin() as admin:
        carry_out(admin, compare(admin, wanted, publishers, acls=False), 1)
    return wanted


def _relayed(connection: Connection, folder: Path, which: str) -> float:
    """Messages per second of the relay, recovery included."""
    wanted = _topics(connection)
    store = open_store(folder / "ledger.db", read_only=True)
    carried = [one for one in sources(store, wanted) if one.topic == wanted.named(which)]
    with Watch() as watch:
        Relay(store, connection, carried).run(threading.Event(), once=True)
    store.close()
    return ENTRIES_RELAYED / watch.seconds


def _bare(connection: Connection, bootstrap: str, folder: Path) -> float:
    """Messages per second of a loop that reads, sends under a key, and flushes; it decodes and checks nothing."""
    wanted = _topics(connection)
    topic = wanted.named(ENTRIES)
    store = open_store(folder / "ledger.db", read_only=True)
    with Watch() as watch:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", metrics_enabled=False)
        for start in range(0, ENTRIES_RELAYED, GROUP):
            for _, entry in store.entries(start, min(GROUP, ENTRIES_RELAYED - start)):
                producer.send(topic, entry, entry[-16:])
            producer.flush()
        producer.close()
    store.close()
    return ENTRIES_RELAYED / watch.seconds


def _taken(connection: Connection, bootstrap: str, items: list[Signed]) -> float:
    """Statements per second from submissions that wait in Kafka to answers that Kafka has."""
    # One topic for each of some hundred publishers is made before, as `comity topics apply` does.
    wanted = _topics(connection, {decode_statement(one.statement).publisher for one in items})
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20)
    for one in items:
        producer.send(wanted.named(SUBMISSIONS), wire.pack_submission(one), decode_statement(one.statement).key)
    producer.flush()
    producer.close()
    with fresh() as folder, Ledger.open(folder) as ledger:
        ingest = Ingest(
            lambda some: ledger.submit_many(some, workers=0),
            lambda authority: ledger.roster.authority(authority) is not None,
            connection,
            wanted,
        )
        with Watch() as watch:
            count = ingest.run(threading.Event(), once=True)
        assert ledger.store.size() > len(items), count
    return len(items) / watch.seconds


def _in_process(items: list[Signed]) -> float:
    with fresh() as folder, Ledger.open(folder) as ledger:
        with Watch() as watch:
            answers = [answer.proof for answer in ledger.submit_many(items, workers=0) if hasattr(answer, "proof")]
        assert len(answers) == len(items)
    return len(items) / watch.seconds


def main() -> None:
    if len(sys.argv) > 1:
        bootstrap = f"127.0.0.1:{sys.argv[1]}"
    else:
        from tests.kafka.brokers import ApacheKafka  # noqa: PLC0415 -- only where none is given

        bootstrap = ApacheKafka().bootstrap
    connection = Connection(KafkaSection(bootstrap=(bootstrap,)))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    folder = filled(ENTRIES_RELAYED)
    rates = in_turns(
        ROUNDS,
        bare=lambda: _bare(connection, bootstrap, folder),
        relay=lambda: _relayed(connection, folder, ENTRIES),
        public=lambda: _relayed(connection, folder, "comity.entries.public"),
        checkpoints=lambda: _relayed(connection, folder, CHECKPOINTS),
    )
    items = statements(world(), STATEMENTS_TAKEN)
    rates |= in_turns(
        ROUNDS,
        in_process=lambda: _in_process(items),
        ingest=lambda: _taken(connection, bootstrap, items),
    )
    for name, some in rates.items():
        say(f"{name:12} {median(some):10,.0f}/s")
    print(f"relay, entries: {ratio(rates['relay'], rates['bare']):.2f} x a bare loop (at least 0.80)")
    print(f"relay, public:  {ratio(rates['public'], rates['bare']):.2f} x a bare loop (at least 0.80)")
    print(f"ingest:         {ratio(rates['ingest'], rates['in_process']):.2f} x in the process (at least 0.55)")


if __name__ == "__main__":
    main()
