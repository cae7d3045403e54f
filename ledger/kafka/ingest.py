"""
The ingest: from ``comity.submissions`` to the log, and each answer to its publisher.

One round::

    poll      what has come, in the order of its partitions
    unpack    what is no submission is set aside, with its reason
    submit    to the log, in order; it decides, appends, seals
    answer    to ``comity.receipts.<publisher>``
    land      wait until Kafka has the answers
    commit    the offsets in the group

A round's answers are on their way while the next is polled and submitted: what one waits for the brokers, the other
computes. No offset is committed before its answer has landed, and no round answers before the one before it landed.

Killed between any two of these, whatever was not committed comes again. The log answers the same bytes with
the same receipt, so each statement is recorded once; its publisher may read the same answer twice. A receipt is
final, whatever comes after it. A refusal records nothing: a statement that was refused and comes again is judged
again, and a refusal holds only for the signature that it names.

Any number of these may share the group, on one store. One that lost its partitions amid a round submits what
another submits too, which is harmless, and commits nothing.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from kafka import TopicPartition
from kafka import errors as faults
from kafka.structs import OffsetAndMetadata

from ledger.errors import FormatError, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import BACKOFF_SECONDS, Connection, explained, missing, passing, said, track
from ledger.kafka.pulse import Pulse
from ledger.kafka.topics import REJECTIONS, SUBMISSIONS, Declared, make
from ledger.sequencer import Refusal
from ledger.statement import decode_statement, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kafka import KafkaConsumer, KafkaProducer

    from ledger.sequencer import Answer
    from ledger.statement import Signed

OUT_OF_ORDER: Final = "out_of_order"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """
    What an ingest allows itself.

    A round has in memory what it took and held, five times at most: as it came, as a statement, as an entry, in its
    answer, and in the producer; the last of these is of the round before for a while.
    """

    # How many submissions are taken in one round.
    round_size_max: int = 2_048
    # How many bytes are fetched ahead of each broker, whatever the number of its partitions.
    fetch_bytes_max: int = 16 << 20
    # How long a submission that came before its predecessor is held, milliseconds.
    early_ms_max: int = 250
    # How many are held so, and how many bytes of them.
    early_size_max: int = 2_048
    early_bytes_max: int = 16 << 20
    # After how many seconds a partition that has submissions and gives none is called silent.
    silent_seconds: float = 30.0
    # How often that is looked at, seconds.
    watch_seconds: float = 5.0
    # How long one that died is waited for before the group gives its partitions to another, milliseconds.
    session_ms: int = 10_000
    # How long a round may take before the group gives the partitions to another, milliseconds.
    round_ms_max: int = 300_000


class Watch:
    """
    Notices a partition that has more to give and gives nothing.

    Consumers have been seen to stop on one partition without a word, while the others went on.
    """

    def __init__(self, seconds: float) -> None:
        """Call a partition silent after *seconds*."""
        self._seconds = seconds
        # Where each stood when it was last seen to move or to rest, and since when it has had more to give.
        self._since: dict[TopicPartition, tuple[int, float | None]] = {}

    def silent(
        self, positions: dict[TopicPartition, int], ends: dict[TopicPartition, int], now: float
    ) -> list[TopicPartition]:
        """
        Return the partitions that are silent.

        Args:
            positions: the offset that the consumer reads next, by partition.
            ends: the offset after the last message there is, asked of the broker.
            now: seconds of a clock that never goes back.
        """
        found = []
        for one in list(self._since):
            if one not in positions:
                del self._since[one]
        for one, position in positions.items():
            stood, since = self._since.get(one, (-1, None))
            if position >= ends.get(one, 0):
                self._since[one] = position, None
            elif stood != position or since is None:
                self._since[one] = position, now
            elif now - since >= self._seconds:
                found.append(one)
        return found


class SilentPartition(Unavailable):
    """Of a partition that has more nothing comes, by this consumer or by the group: the consumer is made anew."""

    def __init__(self, partitions: Sequence[TopicPartition], *, joined: bool) -> None:
        super().__init__(
            f"{len(partitions)} of the partitions give nothing, though there is more: "
            + ", ".join(f"{one.topic} {one.partition}" for one in partitions[:8]),
            why="the consumer stopped reading without an error"
            if joined
            else "the group gives this consumer no partition, and nobody else answers what they hold",
            what_now="it is made anew by itself; where this repeats, restart the ingest and look at the brokers",
        )


@dataclass(slots=True)
class _Item:
    """One message on its way through a round."""

    where: TopicPartition
    offset: int
    key: bytes
    value: bytes
    signed: Signed | None = None
    until: float = 0.0
    answer: Answer | None = None
    fault: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Flight:
    """Answers on their way to Kafka, and the offsets to commit once they are there."""

    delivery: Future[None] | None
    sent: Sequence[Any]
    offsets: dict[TopicPartition, OffsetAndMetadata]


@dataclass(slots=True)
class Count:
    """
    What a run has done so far; `rejected` are among those `recorded`.

    `lag` is how many submissions of its partitions had come and were not taken when it last looked.
    """

    recorded: int = 0
    rejected: int = 0
    refused: int = 0
    set_aside: int = 0
    rounds: int = 0
    lag: int = 0
    silent: set[TopicPartition] = field(default_factory=set)


class Ingest:
    """Takes what agencies submit, until it is told to stop."""

    def __init__(
        self,
        submit_many: Callable[[list[Signed]], Iterator[Answer]],
        enrolled: Callable[[bytes], bool],
        connection: Connection,
        declared: Declared,
        *,
        limits: IngestLimits | None = None,
    ) -> None:
        """
        Submit by *submit_many*, and answer through *connection*.

        Args:
            submit_many: puts statements through the log in order; an answer for each.
            enrolled: whether an authority, 16 bytes, is on the roster: nobody else gets a topic.
            connection: of the cluster.
            declared: how a topic of receipts is made, where there is none.
            limits: see ``IngestLimits``.
        """
        self._submit_many = submit_many
        self._enrolled = enrolled
        self._connection = connection
        self._declared = declared
        self._submissions = declared.named(SUBMISSIONS)
        self._rejections = declared.named(REJECTIONS)
        self.limits = limits or IngestLimits()
        self.count = Count()
        self.pulse = Pulse()
        # The topic of each publisher answered in this session; the names of all topics that there were before it.
        self._receipts: dict[bytes, str] = {}
        self._present: frozenset[str] = frozenset()
        self._held: list[_Item] = []
        self._next: dict[TopicPartition, int] = {}
        self._flight: _Flight | None = None

    def run(self, stop: threading.Event, *, once: bool = False) -> Count:
        """
        Take submissions until *stop* is set; return what was done.

        Args:
            stop: set from a signal: the round that is on its way is finished.
            once: return when everything submitted before now is answered.

        Raises:
            ComityError: a topic is missing, this user may not, or (with *once*) something is unavailable.
        """
        backoff = BACKOFF_SECONDS[0]
        while not stop.is_set():
            rounds = self.count.rounds
            try:
                self._session(stop, once=once)
            except (Unavailable, faults.KafkaError) as error:
                if not passing(error) or (once and not isinstance(error, SilentPartition)):
                    with explained([self._submissions]):
                        raise
                backoff = BACKOFF_SECONDS[0] if self.count.rounds > rounds else min(2 * backoff, BACKOFF_SECONDS[1])
                self.pulse.interruptions += 1
                log.warning("ingest_interrupted", why=said(error), seconds=backoff)
                stop.wait(backoff)
            else:
                return self.count
        return self.count

    def _session(self, stop: threading.Event, *, once: bool) -> None:
        """Join the group and do rounds until told to stop, or until something fails; whatever is open comes again."""
        limits = self.limits
        self._held, self._next, self._receipts, self._flight = [], {}, {}, None
        watch, looked_at = Watch(limits.silent_seconds), time.monotonic()
        with (
            self._connection.producer() as producer,
            self._connection.consumer(
                f"{self._submissions}/ingest",
                max_poll_records=limits.round_size_max,
                max_poll_interval_ms=limits.round_ms_max,
                session_timeout_ms=limits.session_ms,
                heartbeat_interval_ms=limits.session_ms // 4,
                fetch_max_bytes=limits.fetch_bytes_max,
                max_partition_fetch_bytes=min(limits.fetch_bytes_max, 4 << 20),
            ) as consumer,
        ):
            numbers = consumer.partitions_for_topic(self._submissions)
            if not numbers:
                raise missing(self._submissions)
            everything = [TopicPartition(self._submissions, number) for number in sorted(numbers)]
            goal = consumer.end_offsets(everything) if once else {}
            track(producer, self._rejections)
            self._present = frozenset(consumer.topics())
            # All at once: each that is asked for alone costs a tenth of a second.
            for name in self._present:
                if name.startswith(self._declared.receipts.name):
                    track(producer, name)
            consumer.subscribe([self._submissions])
            while not stop.is_set():
                waits = 20 if self._held or self._flight else 200
                polled = consumer.poll(timeout_ms=waits, max_records=limits.round_size_max)
                if not polled:
                    self._land(consumer)
                self._round(producer, consumer, polled)
                self.pulse.beat()
                now = time.monotonic()
                if now - looked_at >= limits.watch_seconds:
                    looked_at = now
                    self._look(consumer, everything, watch, now)
                if once and not polled and not self._held and self._reached(consumer, goal):
                    return
            self._land(consumer)

    def _reached(self, consumer: KafkaConsumer, goal: dict[TopicPartition, int]) -> bool:
        """Whether the group has committed everything up to *goal*, whoever of it did."""
        if not consumer.assignment() and any(goal.values()):
            return False
        return all(self._committed(consumer, one) >= end for one, end in goal.items() if end)

    def _committed(self, consumer: KafkaConsumer, one: TopicPartition) -> int:
        """Return how far the group is, 0 at its beginning; without a deadline a still coordinator is asked for ever."""
        return consumer.committed(one, timeout_ms=self._connection.request_ms) or 0

    def _look(self, consumer: KafkaConsumer, everything: Sequence[TopicPartition], watch: Watch, now: float) -> None:
        """
        End the session where the consumer has fallen silent, or, where it was given nothing, the whole group.

        A coordinator that stands still while somebody joins holds him for as long as a round may take; asked how far
        the group is, it does not answer that either, and another is looked for.
        """
        assigned = consumer.assignment()
        if assigned:
            positions = {one: consumer.position(one) for one in assigned}
        else:
            positions = {one: self._committed(consumer, one) for one in everything}
        ends = consumer.end_offsets(list(positions))
        silent = watch.silent(positions, ends, now)
        self.count.lag = sum(ends[one] - positions[one] for one in assigned)
        log.debug("ingest_lag", lag=self.count.lag)
        if silent:
            self.count.silent.update(silent)
            raise SilentPartition(silent, joined=bool(assigned))

    def _round(self, producer: KafkaProducer, consumer: KafkaConsumer, polled: dict[TopicPartition, list[Any]]) -> None:
        items, self._held = self._held, []
        for where, messages in polled.items():
            for message in messages:
                items.append(_unpacked(where, message))
            self._next[where] = messages[-1].offset + 1
        if not items:
            return
        self._judge(items)
        # Before landing, which may find that what is held is another's now: it is not passed over all the same.
        offsets = self._offsets(items)
        self._land(consumer)
        sent = self._answer(producer, [one for one in items if one.answer is not None or one.fault is not None])
        self._flight = _Flight(self._delivery(producer) if sent else None, sent, offsets)

    # --- the log ---

    def _judge(self, items: list[_Item]) -> None:
        """
        Submit what can be submitted; what came before its predecessor is held.

        Deliveries out of order come right where the predecessor is in this round or within ``early_ms_max``.
        """
        todo = [one for one in items if one.signed is not None]
        now = time.monotonic()
        while todo:
            early = []
            moved = False
            answers = self._submit_many([one.signed for one in todo if one.signed is not None])
            for one, answer in zip(todo, answers, strict=True):
                one.answer = answer
                if isinstance(answer, Refusal) and answer.code == OUT_OF_ORDER:
                    one.until = one.until or now + self.limits.early_ms_max / 1000
                    early.append(one)
                else:
                    moved = moved or not isinstance(answer, Refusal)
            todo = sorted(early, key=_sequence_of) if moved else []
            if not moved:
                self._held = self._holdable(early, now)
                for one in self._held:
                    one.answer = None

    def _holdable(self, early: list[_Item], now: float) -> list[_Item]:
        """Return those that may wait for their predecessors a little longer; the others keep their refusal."""
        held: list[_Item] = []
        size = 0
        for one in early:
            if now < one.until and len(held) < self.limits.early_size_max:
                size += len(one.value)
                if size > self.limits.early_bytes_max:
                    break
                held.append(one)
        return held

    # --- the answers ---

    def _answer(self, producer: KafkaProducer, items: list[_Item]) -> list[Any]:
        """Tell everybody; return what becomes of each answer."""
        sent = []
        for one in items:
            topic = None
            answer, signed = one.answer, one.signed
            if answer is not None and signed is not None:
                topic = self._topic_of(producer, wire.publisher_of(signed.statement))
                if isinstance(answer, Refusal):
                    self.count.refused += 1
                else:
                    self.count.recorded += 1
                    self.count.rejected += not answer.accepted
                if topic is not None:
                    value = wire.pack_answer(told(signed.statement, answer))
                    sent.append(producer.send(topic, value, signed.statement[:16]))
                    continue
            sent.append(self._set_aside(producer, one))
        return sent

    def _delivery(self, producer: KafkaProducer) -> Future[None]:
        """Deliver what was sent, in a thread that ends when the producer is closed at the latest."""
        done: Future[None] = Future()

        def deliver() -> None:
            try:
                self._connection.deliver(producer)
            except BaseException as error:  # noqa: BLE001 -- told to whoever waits
                done.set_exception(error)
            else:
                done.set_result(None)

        threading.Thread(target=deliver, name="comity-deliver", daemon=True).start()
        return done

    def _land(self, consumer: KafkaConsumer) -> None:
        """Wait until Kafka has the answers that are on their way, and commit how far they go."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        if flight.delivery is not None:
            flight.delivery.result()
        for future in flight.sent:
            future.get(timeout=0)
        self._commit_offsets(consumer, flight.offsets)
        self.count.rounds += 1

    def _set_aside(self, producer: KafkaProducer, one: _Item) -> Any:
        reason, path = one.fault or ("unreadable", "")
        note = None
        if isinstance(one.answer, Refusal):
            reason, path, note = one.answer.code, one.answer.field, one.answer.note
        self.count.set_aside += 1
        log.warning("submission_set_aside", partition=one.where.partition, offset=one.offset, reason=reason)
        value = wire.pack_set_aside(one.where.partition, one.offset, one.value, reason, field=path, note=note)
        return producer.send(self._rejections, value, one.key[:64] or None)

    def _topic_of(self, producer: KafkaProducer, publisher: bytes | None) -> str | None:
        """Return the topic in which a publisher is answered, made where there is none; None for one not enrolled."""
        if publisher is None:
            return None
        if publisher in self._receipts:
            return self._receipts[publisher]
        if not self._enrolled(publisher):
            return None  # it may be enrolled later, so this is not remembered
        topic = self._declared.receipts_of(publisher)
        if topic.name not in self._present:
            with self._connection.admin() as admin:
                make(admin, topic, self._declared.replication)
        track(producer, topic.name)
        self._receipts[publisher] = topic.name
        return topic.name

    # --- the offsets ---

    def _offsets(self, items: list[_Item]) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return how far every partition of this round is answered: not beyond what is held."""
        upto = {one.where: self._next[one.where] for one in items}
        for one in self._held:
            upto[one.where] = min(upto[one.where], one.offset)
        return {where: OffsetAndMetadata(offset, "", -1) for where, offset in upto.items()}

    def _commit_offsets(self, consumer: KafkaConsumer, answered: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit how far the partitions that are still this one's are answered."""
        mine = consumer.assignment()
        offsets = {where: offset for where, offset in answered.items() if where in mine}
        if not offsets:
            return
        try:
            consumer.commit(offsets)
        except (faults.CommitFailedError, faults.RebalanceInProgressError) as error:
            # Another has these partitions now, and submits the same once more: the answers are the same.
            log.info("ingest_lost_partitions", why=type(error).__name__)
            self._held = []


def told(statement: bytes, answer: Answer) -> wire.Told:
    """Return what its publisher is told of the answer to these bytes."""
    identity, digest = statement[:16].ljust(16, b"\0"), sha256_of(statement)
    if isinstance(answer, Refusal):
        return wire.Told(
            identity, digest, "refused", None, None, answer.code, answer.field, answer.expected, answer.note, None
        )
    outcome = "accepted" if answer.accepted else "rejected"
    return wire.Told(
        identity, digest, outcome, answer.index, answer.recorded_at, answer.reason, None, None, answer.proof,
        answer.entry,
    )  # fmt: skip


def _unpacked(where: TopicPartition, message: Any) -> _Item:
    one = _Item(where, message.offset, message.key or b"", message.value or b"")
    if len(one.value) > wire.SUBMISSION_BYTES_MAX:
        one.fault = "too_large", ""
        return one
    try:
        one.signed = wire.unpack_submission(one.value)
    except FormatError as error:
        one.fault = "unreadable", error.field
    return one


def _sequence_of(one: _Item) -> int:
    """Return the sequence that a statement which was found out of order has."""
    assert one.signed is not None
    return decode_statement(one.signed.statement).sequence
