"""A topic in memory that does to its readers what Kafka, and those who write to it, may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import TopicPartition

from ledger.kafka import wire
from ledger.kafka.topics import ENTRIES
from projections.shared import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.projections.build import Log


COUNT = 4
"""How many partitions it has."""


@dataclass(frozen=True)
class Message:
    """One message, with what a worker reads of it."""

    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass
class Topic:
    """``comity.entries`` and its one group; whoever joins or leaves makes it deal the partitions anew."""

    count: int = COUNT
    lanes: list[list[Message]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    relayed: int = 0

    def __post_init__(self) -> None:
        self.lanes = [[] for _ in range(self.count)]
        self.begins = [0] * self.count

    def put(self, number: int, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        """Append a message to a partition."""
        self.lanes[number].append(Message(len(self.lanes[number]), value, headers))

    def relay(self, log: Log, stop: int | None = None) -> None:
        """Bring what the log has more, as the relay does: each entry once and in order."""
        for index in range(self.relayed, log.size() if stop is None else stop):
            self.say(log, index)
            self.relayed = index + 1

    def say(self, log: Log, index: int) -> None:
        """Bring one entry, whether it is its turn or not."""
        entry = log.entry_bytes[index]
        place = wire.place_of(entry)
        headers = wire.entry_headers(index, place.act, entry, b"1-00")
        self.put(partition_of(place.case, self.count), wire.pack_entry(entry), headers)

    def expire(self) -> None:
        """Let everything expire that there is, as retention does."""
        self.begins = [len(lane) for lane in self.lanes]

    def deal(self) -> None:
        """Deal the partitions to the members."""
        for place, member in enumerate(self.members):
            member.owned = {
                TopicPartition(ENTRIES, number) for number in range(self.count) if number % len(self.members) == place
            }


@dataclass(eq=False)
class Member:
    """A consumer; *deaf* partitions give nothing until it seeks in them."""

    topic: Topic
    owned: set[TopicPartition] = field(default_factory=set)
    reads: dict[TopicPartition, int] = field(default_factory=dict)
    deaf: set[int] = field(default_factory=set)
    away: bool = False

    def join(self) -> Member:
        """Join the group."""
        self.topic.members.append(self)
        self.topic.deal()
        return self

    def leave(self) -> None:
        """Leave the group, or be taken for dead; this member does not hear of it."""
        self.topic.members.remove(self)
        self.topic.deal()

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> Mapping[TopicPartition, Sequence[Message]]:
        """What there is, at most *max_records* of each partition."""
        del timeout_ms
        found: dict[TopicPartition, Sequence[Message]] = {}
        for one in self.owned:
            at = max(self.reads.get(one, 0), self.topic.begins[one.partition])
            more = self.topic.lanes[one.partition][at : at + (max_records or 500)]
            if more and one.partition not in self.deaf and not self.away:
                found[one] = more
                self.reads[one] = more[-1].offset + 1
        return found

    def assignment(self) -> set[TopicPartition]:
        """What it was told that it owns."""
        return set(self.owned)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read from there, and hear again."""
        self.reads[partition] = offset
        self.deaf.discard(partition.partition)

    def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition begins."""
        return {one: self.topic.begins[one.partition] for one in partitions}

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition ends."""
        return {one: len(self.topic.lanes[one.partition]) for one in partitions}
