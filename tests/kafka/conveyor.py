"""A ledger of the town with a broker beside it: what the tests of relay and ingest say and ask."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from ledger.configuration import KafkaSection
from ledger.kafka import wire
from ledger.kafka.connection import Connection
from ledger.kafka.ingest import Ingest, IngestLimits
from ledger.kafka.relay import Relay, sources
from ledger.kafka.topics import ENTRIES, REJECTIONS, SUBMISSIONS, carry_out, compare, declared
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ledger.kafka.topics import Declared
    from ledger.statement import Signed
    from tests.town import Town

#: Enough partitions that order in each is not order in all.
TOPICS = f"""
[defaults]
replication = 1
min_insync = 1
[roles]
relay = ["User:relay"]
ingest = ["User:ingest"]
mirrors = ["User:mirror"]
[publishers]
[[topic]]
name = "comity.submissions"
partitions = 3
retention_days = 30
writers = ["publishers"]
readers = ["ingest"]
[[topic]]
name = "comity.rejections"
partitions = 1
retention_days = 30
writers = ["ingest"]
[[topic]]
name = "comity.entries"
partitions = 3
retention_days = 30
writers = ["relay"]
readers = ["relay", "mirrors"]
[[topic]]
name = "comity.checkpoints"
partitions = 1
retention_days = 30
writers = ["relay"]
readers = ["relay"]
[receipts]
partitions = 1
retention_days = 30
[[audience]]
name = "public"
rings = ["public"]
partitions = 2
retention_days = 30
[[audience]]
name = "berlin"
authority = "{DE_PROSECUTOR.authority.hex()}"
partitions = 2
retention_days = 30
[[audience]]
name = "paris"
authority = "{FR_PROSECUTOR.authority.hex()}"
partitions = 2
retention_days = 30
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as a reader sees it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def index(self) -> int:
        """The index in its header."""
        return wire.index_in(self.headers)


def reading(bootstrap: str, topic: str) -> list[Seen]:
    """Everything that a topic holds now, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            return []
        here = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(here)
        ends = consumer.end_offsets(here)
        consumer.seek_to_beginning()
        found: list[Seen] = []
        for _ in range(200):
            if all(consumer.position(one) >= ends[one] for one in here):
                break
            for messages in consumer.poll(timeout_ms=200).values():
                found += [Seen(one.partition, one.offset, one.key, one.value, list(one.headers)) for one in messages]
        return sorted(found, key=lambda one: (one.partition, one.offset))
    finally:
        consumer.close()


def first_occurrences(messages: Iterable[Seen]) -> list[Seen]:
    """What a reader takes who ignores each index that it has passed in a partition, and marks."""
    reached: dict[int, int] = {}
    taken = []
    for one in messages:
        if one.value is not None and one.index > reached.get(one.partition, -1):
            reached[one.partition] = one.index
            taken.append(one)
    return taken


class Conveyor:
    """Says and asks what agencies, relay, ingest and readers do."""

    def __init__(self, town: Town, bootstrap: str, prefix: str, folder: Path, *, request_ms: int = 5_000) -> None:
        """Use topics whose names begin with *prefix*."""
        self.town = town
        self.bootstrap = bootstrap
        self.folder = folder
        self.file = folder / "topics.toml"
        self.file.write_text(TOPICS)
        self.prefix = prefix
        self.connection = Connection(KafkaSection(bootstrap=tuple(bootstrap.split(",")), request_ms=request_ms))
        self._producer: KafkaProducer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the agency's client, where there is one."""
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

    @property
    def declared(self) -> Declared:
        """What is declared."""
        return declared(self.file, prefix=self.prefix)

    def apply(self) -> None:
        """Make the topics."""
        with self.connection.admin() as admin:
            carry_out(admin, compare(admin, self.declared, acls=False), 1)

    def named(self, topic: str) -> str:
        """What a topic is called here."""
        return self.declared.named(topic)

    # What agencies do.

    def say(self, cases: int, each: int = 3) -> None:
        """Open cases in the log itself, by two publishers in turn, and register persons in them: *each* acts a case."""
        town = self.town
        for number in range(cases):
            by = (DE_PROSECUTOR, FR_PROSECUTOR)[number % 2]
            name = f"case {number} at {town.store.size()}"
            drafts = [town.opening(name), *(town.person(name, f"{place}") for place in range(each - 1))]
            for answer in town.ledger.submit_many([town.signed(draft, by) for draft in drafts], workers=0):
                assert getattr(answer, "accepted", False)

    @property
    def producer(self) -> KafkaProducer:
        """An agency's own client."""
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5)
        return self._producer

    def send(self, *statements: Signed) -> None:
        """Submit statements under their signing keys, in this order."""
        for one in statements:
            self.send_raw(wire.pack_submission(one), _key(one))
        self.producer.flush()

    def send_raw(self, value: bytes | None, key: bytes = b"somebody", partition: int | None = None) -> None:
        """Submit whatever it is."""
        self.producer.send(self.named(SUBMISSIONS), value, key, partition=partition)
        self.producer.flush()

    # What runs.

    def relay(self, **how: Any) -> int:
        """Relay everything that is sealed; how many messages were sent."""
        return self.relaying(**how).run(threading.Event(), once=True)

    def relaying(self, only: str | None = None, **how: Any) -> Relay:
        """A relay that does nothing yet."""
        carried = sources(self.town.store, self.declared)
        return Relay(self.town.store, self.connection, [one for one in carried if only in (None, one.topic)], **how)

    def ingesting(self, **limits: Any) -> Ingest:
        """An ingest that does nothing yet."""
        ledger = self.town.ledger
        return Ingest(
            lambda statements: ledger.submit_many(statements, workers=0),
            lambda authority: ledger.roster.authority(authority) is not None,
            self.connection,
            self.declared,
            limits=replace(IngestLimits(), **limits),
        )

    def ingest(self, **limits: Any) -> Ingest:
        """Take everything that has been submitted; the ingest that did."""
        made = self.ingesting(**limits)
        made.run(threading.Event(), once=True)
        return made

    # What readers see.

    def seen(self, topic: str) -> list[Seen]:
        """Everything that a topic holds."""
        return reading(self.bootstrap, self.named(topic))

    def answers(self, publisher: bytes) -> list[wire.Told]:
        """What a publisher has been told, in order."""
        topic = self.declared.receipts_of(publisher).name
        return [wire.unpack_answer(one.value or b"") for one in reading(self.bootstrap, topic)]

    def set_aside(self) -> list[dict[str, Any]]:
        """What nobody can be answered to."""
        return [wire.unpack_set_aside(one.value or b"") for one in self.seen(REJECTIONS)]

    def entries(self) -> dict[int, bytes]:
        """Every entry by index, as a reader of ``comity.entries`` has them, each checked against its headers."""
        found = {}
        for one in first_occurrences(self.seen(ENTRIES)):
            headers = dict(one.headers)
            assert one.value is not None
            found[one.index] = wire.unpack_entry(one.index, headers["leaf"], one.value)
        return found

    def check_entries(self) -> None:
        """Every entry once, the same bytes, in each partition in the order of the log."""
        store = self.town.store
        assert dict(store.entries(0, store.size())) == self.entries()


def _key(one: Signed) -> bytes:
    from ledger.errors import FormatError
    from ledger.statement import decode_statement

    try:
        return decode_statement(one.statement).key
    except FormatError:
        return b"unreadable"
