"""
The relay: from the log to the topics, each entry once and in order.

Nothing but the topics says how far it is. A relay that starts reads, in each partition, the last index
there; it sends every entry above it. The argument, for one topic:

- a group of at most ``GROUP_SIZE`` entries is sent and acknowledged whole before the next is begun, and of one group a
  partition gets one batch, which is stored whole or not at all. So within a partition nothing is missing below
  the last index there, and "above the last index of its partition" is exactly what is to be sent;
- the search for it begins at the smallest of these last indexes. So it is found, too, where brokers have lost the end
  of a partition, however much of it; and marks keep the search short where a partition gets little;
- who dies may have a batch on its way that arrives after his successor looked. It begins at the index that his
  successor begins with, and holds the same bytes: what comes second is a duplicate by index, never a hole. A reader
  ignores an index that it has passed in that partition.

**Two relays.** Each takes a *turn*: a number above all turns in the topic, and a random part. It first writes
a mark (a message without a value) into every partition, then knows the offset that its next message must get.
A message that gets another has met somebody else's: where that one's turn is later, this relay is
fenced and ends; where it is earlier, it was a dying predecessor's, and this one goes on.
"""

from __future__ import annotations

import os
import time
from binascii import b2a_base64
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from kafka import TopicPartition
from kafka import errors as faults
from kafka.partitioner.default import murmur2

from ledger.errors import Conflict, NotFound, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import BACKOFF_SECONDS, Connection, explained, missing, passing, said, track
from ledger.kafka.pulse import Pulse
from ledger.kafka.topics import CHECKPOINTS, ENTRIES
from ledger.log.checkpoint import size_of
from ledger.log.tree import SharedPaths
from ledger.statement import decode_entry, statement_in
from ledger.verify import join_proof, parse_checkpoint, parse_note

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kafka import KafkaConsumer, KafkaProducer

    from ledger.kafka.topics import Audience, Declared
    from ledger.statement import Statement
    from ledger.store import Store

GROUP_SIZE: Final = 1_024
"""How many entries are unacknowledged at most."""

GROUP_BYTES: Final = 512 << 10
"""How many bytes of entries: with keys, headers and proofs they stay within one batch of a producer."""

MARK_EVERY: Final = 10_000
"""After how many entries that do not reach a partition it is told how far the relay is."""

MARK_SECONDS: Final = 6 * 3600.0
"""How long a partition goes without a message: what Kafka has let expire would say nothing of how far it was."""

KEYS_MAX: Final = 100_000
"""Keys whose partition is remembered."""

CASES_MAX: Final = 20_000
"""Cases whose authorities are remembered."""

log = structlog.get_logger()


class Fenced(Conflict):
    """Another relay has taken its turn after this one."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"another relay writes to {topic}",
            why="it started after this one; what both sent is the same, once each by index",
            what_now="let one relay run for each topic",
        )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message: *index* is what its header says."""

    index: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Source(Protocol):
    """What one topic carries of the log."""

    topic: str
    # Whether each message is about one entry; a checkpoint is about all below it.
    entries: bool

    def messages(self, start: int, stop: int, turn: bytes) -> Iterator[Outgoing | None]:
        """Yield a message for each entry from *start* to before *stop*; None where there is none to send."""


class _Entries:
    """``comity.entries``: every entry, the same bytes."""

    entries = True

    def __init__(self, store: Store, topic: str) -> None:
        self.topic = topic
        self._store = store

    def messages(self, start: int, stop: int, turn: bytes) -> Iterator[Outgoing]:
        pack, place_of, headers = wire.pack_entry, wire.place_of, wire.entry_headers
        for index, entry in self._store.entries(start, stop - start):
            place = place_of(entry)
            yield Outgoing(index, place.case, pack(entry), headers(index, place.act, entry, turn))


class _Audience:
    """
    ``comity.entries.<audience>``: what it may see, each with its proof under the first checkpoint that covers it.

    What is under an embargo goes to its publisher and its addressees alone, for ever: whoever may see it later asks the
    gateway then. So what a topic holds does not depend on when it was filled.
    """

    entries = True

    def __init__(self, store: Store, audience: Audience) -> None:
        self.topic = audience.topic
        self._store = store
        self._audience = audience
        self._takes_part: OrderedDict[bytes, bool] = OrderedDict()
        self._note = b""
        self._first = self._size = 0
        self._paths: SharedPaths | None = None

    def messages(self, start: int, stop: int, turn: bytes) -> Iterator[Outgoing | None]:
        for index, data in self._store.entries(start, stop - start):
            entry = decode_entry(data)
            statement = statement_in(entry)
            if not self._sees(index, statement, accepted=entry.accepted):
                yield None
                continue
            value = wire.pack_proven(index, data, self._proof(index))
            yield Outgoing(index, statement.case, value, wire.entry_headers(index, statement.act, data, turn))

    def _sees(self, index: int, statement: Statement, *, accepted: bool) -> bool:
        who = self._audience.authority
        shown = statement.visibility
        if who is None:
            # Of what was rejected only the publisher is told.
            return accepted and shown.embargo_until is None and shown.ring in self._audience.rings
        if who == statement.publisher:
            if accepted:
                self._join(statement.case)
            return True
        if not accepted:
            return False
        if who in statement.addressees:
            self._join(statement.case)
            return True
        if shown.embargo_until is not None or shown.ring == "addressees":
            return False
        return shown.ring == "public" or self._in_case(statement.case, index)

    def _join(self, case: bytes) -> None:
        self._takes_part[case] = True
        self._takes_part.move_to_end(case)
        if len(self._takes_part) > CASES_MAX:
            self._takes_part.popitem(last=False)

    def _in_case(self, case: bytes, before: int) -> bool:
        """Whether the authority said something in this case before, or was addressed."""
        found = self._takes_part.get(case)
        if found is None:
            found = False
            for index in self._store.case(case):
                if index >= before:
                    break
                statement = statement_in(decode_entry(self._store.entry(index)))
                if self._audience.authority in (statement.publisher, *statement.addressees):
                    found = True
                    break
            self._takes_part[case] = found
            if len(self._takes_part) > CASES_MAX:
                self._takes_part.popitem(last=False)
        return found

    def _proof(self, index: int) -> bytes:
        if self._paths is None or not self._size > index >= self._first:
            note = self._store.checkpoint(index + 1)
            if note is None:
                raise NotFound(f"no checkpoint covers entry {index} yet")
            self._note, self._first, self._size = note, index, size_of(note)
            self._paths = SharedPaths(self._size, self._store.hashes, b2a_base64)
        return join_proof(index, self._paths.text(index), self._note)


class _Checkpoints:
    """``comity.checkpoints``: the newest when the entries that it covers are there."""

    entries = False

    def __init__(self, store: Store, topic: str) -> None:
        self.topic = topic
        self._store = store

    def messages(self, start: int, stop: int, turn: bytes) -> Iterator[Outgoing | None]:
        note = self._store.checkpoint(stop)
        if note is None or start >= stop:
            return
        head = parse_checkpoint(parse_note(note).text)
        index = head.size - 1
        headers = [("index", b"%d" % index), ("relay", turn)]
        yield Outgoing(index, head.origin.encode(), wire.pack_checkpoint(head.size, note), headers)


def sources(store: Store, declared: Declared) -> list[Source]:
    """Return what a relay carries: entries, the audiences' topics, and at last the checkpoints over them."""
    return [
        _Entries(store, declared.named(ENTRIES)),
        *(_Audience(store, one) for one in declared.audiences),
        _Checkpoints(store, declared.named(CHECKPOINTS)),
    ]


# --- one topic ---------------------------------------------------------------------------------------


@dataclass
class _Partition:
    number: int
    # The last index there, -1 before the first; the offset that the next message must get.
    last: int = -1
    end: int = 0
    written_at: float = field(default_factory=time.monotonic)


def partition_of(key: bytes, count: int) -> int:
    """Return the partition of a key as Kafka's own clients choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class Lane:
    """One topic and how far it is."""

    def __init__(self, source: Source, producer: KafkaProducer, connection: Connection) -> None:
        self.topic = source.topic
        self.size = 0
        self.turn = (0, b"")
        self._source = source
        self._producer = producer
        self._connection = connection
        self._partitions: list[_Partition] = []
        self._keys: dict[bytes, int] = {}
        self._tag = b""

    def recover(self, resume_at: int | None = None) -> None:
        """
        Read how far the topic is, and take a turn.

        Args:
            resume_at: the size that an operator vouches for; it counts only where Kafka has let everything expire.

        Raises:
            NotFound: no such topic.
            Conflict: the topic held messages and holds none any more.
        """
        with explained([self.topic]), self._connection.consumer() as consumer:
            numbers = consumer.partitions_for_topic(self.topic)
            if not numbers:
                raise missing(self.topic)
            here = [TopicPartition(self.topic, number) for number in sorted(numbers)]
            consumer.assign(here)
            begins, ends = consumer.beginning_offsets(here), consumer.end_offsets(here)
            track(self._producer, self.topic)
            self._partitions = [_Partition(one.partition, end=ends[one]) for one in here]
            latest, held = (0, b""), []
            for one, partition in zip(here, self._partitions, strict=True):
                if begins[one] < ends[one]:
                    for message in _read(consumer, one, ends[one] - 1, ends[one]):
                        partition.last = wire.index_in(message.headers)
                        latest = max(latest, _turn(message.headers))
                if begins[one] < ends[one] or not ends[one]:
                    held.append(partition.last)
            if held:
                self.size = min(held) + 1
            elif resume_at is not None:
                self.size = resume_at
            else:
                raise Conflict(
                    f"{self.topic} held messages, and all have expired",
                    why="how far it was stands in its last messages",
                    what_now="say the number of entries that it held with --resume-at, or 0 to send all once more",
                )
            self.turn = (latest[0] + 1, os.urandom(8))
            self._tag = b"%d-%s" % (self.turn[0], self.turn[1].hex().encode())
            self._mark(consumer)
        log.info("relay_recovered", topic=self.topic, size=self.size, turn=self._tag.decode())

    def _mark(self, consumer: KafkaConsumer | None = None) -> None:
        """Write a mark into every partition: whose turn it is, and how far it is."""
        sent = []
        for partition in self._partitions:
            headers = [("index", b"%d" % partition.last), ("relay", self._tag)]
            sent.append(
                (
                    partition,
                    partition.last,
                    self._producer.send(self.topic, None, b"", headers, partition=partition.number),
                )
            )
        self._settle(sent, consumer)

    def advance(self, stop: int, ended: Callable[[], bool]) -> int:
        """
        Send what is missing below *stop*; return how many messages were sent.

        Raises:
            Fenced: another relay took its turn after this one.
            kafka.errors.KafkaError: not everything was acknowledged; recover anew.
        """
        count = 0
        while self.size < stop and not ended():
            count += self._group(min(stop, self.size + GROUP_SIZE), stop)
        return count

    def _group(self, end: int, stop: int) -> int:
        sent: list[tuple[_Partition, int, Any]] = []
        send, partitions, topic, keys = self._producer.send, self._partitions, self.topic, self._keys
        size, count = 0, len(partitions)
        index = self.size - 1
        checkpoints = not self._source.entries
        for message in self._source.messages(self.size, stop if checkpoints else end, self._tag):
            index += 1
            if message is None:
                continue
            number = keys.get(message.key)
            if number is None:
                if len(keys) >= KEYS_MAX:
                    keys.clear()
                number = keys[message.key] = partition_of(message.key, count)
            partition = partitions[number]
            if message.index <= partition.last:
                continue
            size += len(message.value)
            if size > GROUP_BYTES and sent:
                index -= 1  # it comes with the next group
                break
            sent.append((partition, message.index, send(topic, message.value, message.key, message.headers, number)))
        reached = stop if checkpoints else index + 1
        self._settle(sent, None)
        self.size = reached
        if not checkpoints:
            self._tell(reached)
        return len(sent)

    def _tell(self, reached: int) -> None:
        """Mark partitions that nothing has reached for long, so that none is found empty, or the search for it long."""
        now = time.monotonic()
        behind = [
            one for one in self._partitions if reached - one.last > MARK_EVERY or now - one.written_at > MARK_SECONDS
        ]
        for one in behind:
            one.last = reached - 1
        if behind:
            self._mark()

    def idle(self) -> None:
        """Do what is due while nothing is appended."""
        now = time.monotonic()
        if any(now - one.written_at > MARK_SECONDS for one in self._partitions):
            self._mark()

    def _settle(self, sent: Sequence[tuple[_Partition, int, Any]], consumer: KafkaConsumer | None) -> None:
        """Wait until everything sent is acknowledged, and see that nobody else has written meanwhile."""
        if not sent:
            return
        self._connection.deliver(self._producer)
        now = time.monotonic()
        met: dict[int, tuple[_Partition, int, int]] = {}
        for partition, index, future in sent:
            # Raises what became of it. Everything else of the group may have been stored: recovery sees.
            offset = future.get(timeout=0).offset
            if offset < partition.end:
                raise Unavailable(
                    f"{self.topic} partition {partition.number} gave offset {offset} out again",
                    why="its brokers lost messages that they had acknowledged",
                    what_now="the relay looks anew how far the topic is; replicate it, with min.insync.replicas of 2",
                )
            if offset != partition.end:
                begin = met.get(partition.number, (partition, partition.end, 0))[1]
                met[partition.number] = (partition, begin, offset)
            partition.end = offset + 1
            partition.last = max(partition.last, index)
            partition.written_at = now
        for partition, begin, end in met.values():
            self._meet(partition, begin, end, consumer)

    def _meet(self, partition: _Partition, begin: int, end: int, consumer: KafkaConsumer | None) -> None:
        """Look at what stands between this relay's own messages; end where its author came later."""
        if consumer is None:
            with self._connection.consumer() as made:
                self._meet(partition, begin, end, made)
            return
        here = TopicPartition(self.topic, partition.number)
        consumer.assign([here])
        others = 0
        for message in _read(consumer, here, begin, end):
            turn = _turn(message.headers)
            if turn == self.turn:
                continue
            if turn > self.turn:
                raise Fenced(self.topic)
            others += 1
            # A predecessor's last batch: what it brought needs not be sent again.
            partition.last = max(partition.last, wire.index_in(message.headers))
        log.warning("relay_met_predecessor", topic=self.topic, partition=partition.number, messages=others)


def _turn(headers: Iterable[tuple[str, bytes]]) -> tuple[int, bytes]:
    number, _, rest = wire.turn_in(headers).partition(b"-")
    try:
        return int(number), bytes.fromhex(rest.decode())
    except ValueError:
        return 0, b""


def _read(consumer: KafkaConsumer, where: TopicPartition, begin: int, end: int) -> Iterator[Any]:
    """Yield the messages of a partition from offset *begin* to before *end*."""
    consumer.seek(where, begin)
    until = time.monotonic() + 30
    at = begin
    while at < end:
        for message in consumer.poll(timeout_ms=1_000).get(where, ()):
            if message.offset >= end:
                return
            at = message.offset + 1
            yield message
        if consumer.position(where) >= end:
            return
        if time.monotonic() > until:
            raise Unavailable(
                f"{where.topic} partition {where.partition} does not give what it holds",
                why=f"offset {at} of {end} was reached in 30 seconds",
                what_now="try again in a moment",
            )


# --- the relay ---------------------------------------------------------------------------------------


class Relay:
    """Carries one log to its topics, until it is told to stop."""

    def __init__(
        self, store: Store, connection: Connection, carried: Sequence[Source], *, resume_at: int | None = None
    ) -> None:
        """
        Carry *store* by *carried* (``sources``), in that order: checkpoints last.

        Args:
            store: the log; reading is enough.
            connection: of the cluster.
            carried: one for each topic.
            resume_at: see ``Lane.recover``.
        """
        self._store = store
        self._connection = connection
        self._carried = carried
        self._resume_at = resume_at
        self._lanes: dict[str, Lane] = {}
        self.sent = 0
        self.pulse = Pulse()

    @property
    def sizes(self) -> dict[str, int]:
        """How many entries of the log each topic has been given, by topic; nothing of one not looked at yet."""
        return {topic: lane.size for topic, lane in self._lanes.copy().items()}

    def run(self, stop: threading.Event, *, once: bool = False) -> int:
        """
        Follow the log until *stop* is set; return how many messages were sent.

        Args:
            stop: set from a signal.
            once: return when everything sealed so far is there.

        Raises:
            Fenced: another relay came later.
            ComityError: a topic is missing, this user may not write, or (with *once*) the cluster is unavailable.
        """
        before = self.sent
        backoff = BACKOFF_SECONDS[0]
        while True:
            try:
                for sent in self._session(stop, once=once):
                    self.sent += sent
                    backoff = BACKOFF_SECONDS[0]
            except (Unavailable, faults.KafkaError) as error:
                if once or not passing(error):
                    with explained():
                        raise
                self.pulse.interruptions += 1
                log.warning("relay_interrupted", why=said(error), seconds=backoff)
                if stop.wait(backoff):
                    return self.sent - before
                backoff = min(2 * backoff, BACKOFF_SECONDS[1])
            else:
                return self.sent - before

    def _session(self, stop: threading.Event, *, once: bool) -> Iterator[int]:
        """Recover, then follow; yields how much was sent."""
        with self._connection.producer() as producer:
            lanes = [Lane(one, producer, self._connection) for one in self._carried]
            for lane in lanes:
                lane.recover(self._resume_at)
                self._lanes[lane.topic] = lane
            size = 0
            while not self._ended(stop):
                sealed = size_of(self._store.checkpoint() or b"")
                if sealed > size:
                    for lane in lanes:
                        yield lane.advance(sealed, lambda: self._ended(stop))
                    size = sealed
                    log.debug("relay_sent", size=size)
                if once:
                    return
                for lane in lanes:
                    lane.idle()
                self._store.wait(size, 0.5)

    def _ended(self, stop: threading.Event) -> bool:
        """Whether to stop; asked before every group, so that whoever asks no more is stuck."""
        self.pulse.beat()
        return stop.is_set()
