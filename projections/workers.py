"""
A projection worker: one member of the consumer group that fills the shared projections.

Kafka brings the entries and divides the work; the log says what is true. A worker fills the partitions that the
group gives it: from ``comity.entries``, or, of the projections that join cases (``projections.shared``), from the
log itself, of which it decodes what belongs to it and no more. It goes to the log for all of them where

- it starts far behind, or Kafka's retention has passed what it needs: at the full speed of the log;
- the offsets of a partition have a gap;
- Kafka owes entries that the log has had for a while: the partition is silent (consumers have been seen to stop on
  one without a word, and brokers go away), and its reading is begun anew;
- there is no Kafka at all (``Alone``).

Whatever Kafka brings twice, late, in another order or never: what was applied is counted against the log
once a second (``Shared.settle``), and what is not the same is applied from the log.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import structlog

from ledger.errors import Conflict, FormatError, NotFound, NotVerified, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import explained
from ledger.kafka.pulse import Pulse
from ledger.kafka.topics import ENTRIES
from projections.filling import Store, batches, decode
from projections.shared import JOINED, Fenced, Place, Shared, Step, Unit, partition_of, units_of
from projections.shared.units import dealt, sieve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ledger.acts import Catalogue
    from ledger.kafka.connection import Connection
    from projections.facts import Fact

log: Final = structlog.get_logger("comity.projections")

# A worker that died is replaced after ten seconds. One that reads a long log between two polls is alive.
_GROUP_OPTIONS: Final[dict[str, Any]] = {
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_500,
    "max_poll_interval_ms": 300_000,
    "max_poll_records": 2_000,
}

APART_SECONDS: Final = 15.0
"""After how long without Kafka it is tried again."""


class Partition(NamedTuple):
    """A partition of a topic, as Kafka's own client names it."""

    topic: str
    partition: int


class Consumer(Protocol):
    """What a worker needs of Kafka's consumer; it names partitions as the consumer gave them."""

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> Mapping[Any, Sequence[Any]]:
        """Messages by partition, in the order of their offsets."""

    def assignment(self) -> set[Any]:
        """The partitions that the group gave this member."""

    def seek(self, partition: Any, offset: int) -> None:
        """Read from there next."""

    def beginning_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        """The offset of the first message that there still is, by partition."""

    def end_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        """The offset after the last message, by partition."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How a worker goes about it."""

    # How many messages, and entries of the log, one transaction takes.
    batch_size_max: int = 2_000
    # How long it waits for messages: while there are some, and when it has been idle for a second, milliseconds.
    wait_ms: tuple[int, int] = (4, 40)
    # How often what was applied is compared with the log, seconds.
    settle_seconds: float = 1.0
    # After how many seconds a partition that owes entries is silent.
    silent_seconds: float = 5.0
    # How often it may be silent in a row before the consumer is made anew.
    silent_times_max: int = 3
    # Further behind than this, it reads the log instead of Kafka: entries.
    far_behind_size: int = 20_000


@dataclass(slots=True)
class Tally:
    """
    What one worker has done so far; written by it alone, read by any thread.

    `applied` counts entries, `partitions` those that it fills now, `owed` entries of them that the log had and Kafka
    had not brought when they were last compared; `by_kafka` says whether Kafka divides the work, and not the log.
    """

    applied: int = 0
    partitions: int = 0
    owed: int = 0
    by_kafka: bool = False
    pulse: Pulse = field(default_factory=Pulse)


class SilentPartition(Unavailable):
    """A partition, or the whole group, stays silent: the consumer has to be made anew."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(
            f"{ENTRIES} gives nothing of partition {', '.join(map(str, numbers))}, though the log has more"
            if numbers
            else "the group gives this worker no partition, and nobody else fills them",
            why="the consumer stopped reading without an error, or the relay, or another worker, stands still",
            what_now="the projections follow the log meanwhile; look at `comity relay` and at the brokers",
        )


class Worker:
    """
    One member of the group.

    Args:
        shared: the projections.
        store: the log.
        catalogue: the acts.
        consumer: subscribed to ``comity.entries`` in the group, never saying by itself how far it is.
        limits: see there.
        clock: seconds, never going back.
        tally: counts what is done, over workers that follow each other.
    """

    def __init__(
        self,
        shared: Shared,
        store: Store,
        catalogue: Catalogue,
        consumer: Consumer,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        tally: Tally | None = None,
    ) -> None:
        self._tally = Tally() if tally is None else tally
        self._tally.by_kafka, self._tally.owed = not isinstance(consumer, Alone), 0
        self._shared = shared
        self._store = store
        self._catalogue = catalogue
        self._consumer = consumer
        self._limits = limits or Limits()
        self._clock = clock
        self._held: dict[Unit, Place] = {}
        self._numbers: frozenset[int] = frozenset()
        self._there: list[Any] = []
        self._offsets: dict[int, int] = {}
        self._owing: dict[int, tuple[int, float]] = {}
        self._silent: dict[int, int] = {}
        # How far the projections were when this member had no partition, and since when.
        self._least = (-1, clock())
        self._settled_at = clock()
        self._busy_at = clock()
        self.applied = 0

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that it fills."""
        return self._numbers

    def run(self, ended: Callable[[], bool]) -> None:
        """
        Work until *ended* says so.

        Raises:
            SilentPartition: the consumer has to be made anew.
            ProjectionFailed: too much of one projection would be parked.
            Unavailable: the database or the log cannot be reached.
        """
        while not ended():
            self.step()

    def step(self) -> int:
        """
        Take what there is, in one transaction; return how many entries were applied.

        One that another worker holds by now is given up without a word: its owner fills it.
        """
        before = self.applied
        try:
            count = self._step()
        except Fenced as fenced:
            log.warning("projection_worker_fenced", why=fenced.what)
            # Either the group has given them to another, which the next poll says, or the tables were swapped.
            self._held, self._numbers, self._offsets = {}, frozenset(), {}
            return 0
        else:
            # Whoever raises or is fenced has not come round.
            self._tally.pulse.beat()
            return count
        finally:
            self._tally.applied += self.applied - before
            self._tally.partitions = len(self._numbers)

    def _step(self) -> int:
        limits = self._limits
        now = self._clock()
        wait = limits.wait_ms[0] if now - self._busy_at < 1 else limits.wait_ms[1]
        brought = self._consumer.poll(timeout_ms=wait, max_records=limits.batch_size_max)
        self._there = sorted(self._consumer.assignment(), key=lambda one: int(one.partition))
        numbers = frozenset(one.partition for one in self._there)
        if numbers != self._numbers or (numbers and not self._held):
            self._take(numbers)
            # What came with the change may begin anywhere.
            brought = {}
        if not numbers:
            self._watch_the_group(now)
            return 0
        if isinstance(self._consumer, Alone):
            return self._follow_alone(now)
        steps = self._from_kafka(brought)
        steps |= self._from_log()
        count = 0
        if steps:
            self._held = self._shared.apply(self._held, steps)
            given: Counter[str] = Counter()
            for unit, step in steps.items():
                given[unit.name] += len(step.facts)
            count = max(given.values())
            self._busy_at = now
            self.applied += count
        if now - self._settled_at >= limits.settle_seconds:
            self._settled_at = now
            self._settle(now)
        return count

    def _watch_the_group(self, now: float) -> None:
        """Whoever was given nothing looks whether those who were given something do it."""
        if isinstance(self._consumer, Alone) or now - self._settled_at < self._limits.settle_seconds:
            return
        self._settled_at = now
        least = min(self._shared.sizes().values())
        if least >= self._store.size() or least != self._least[0]:
            self._least = least, now
        elif now - self._least[1] >= 2 * self._limits.silent_seconds:
            raise SilentPartition([])

    def _follow_alone(self, now: float) -> int:
        if self._store.size() == self._least_size():
            return 0
        self._busy_at = now
        return self._from_log_wholly({})

    def _least_size(self) -> int:
        return min(place.size for place in self._held.values())

    # --------------------------------------------------------------------------------- taking

    def _take(self, numbers: frozenset[int]) -> None:
        """Take the partitions that the group gave, go to the log for what Kafka has not, and read on from there."""
        self._held = self._shared.take(units_of(numbers))
        self._numbers = numbers
        self._offsets = {}
        self._owing, self._silent = {}, {}
        if not numbers:
            return
        there = self._there
        begins, ends = self._consumer.beginning_offsets(there), self._consumer.end_offsets(there)
        lost = []
        for one in there:
            kept = [place.offset for place in self._brought(one.partition).values()]
            offset = min((at for at in kept if at is not None), default=None)
            if offset is None or any(at is None for at in kept):
                offset = 0 if begins.get(one) == 0 else None
            if offset is None or not begins.get(one, 0) <= offset <= ends.get(one, 0):
                lost.append(one.partition)
            else:
                self._offsets[one.partition] = offset
        behind = self._store.size() - self._least_size()
        if lost or behind > self._limits.far_behind_size:
            log.info("projections_from_the_log", behind=behind, partitions=sorted(lost))
            self._from_log_wholly(ends)
        self._seek()
        log.info("projection_worker_took", partitions=sorted(numbers), behind=behind)

    def _from_log_wholly(self, ends: Mapping[Any, int]) -> int:
        """
        Follow the log as far as it goes; return how many entries were applied.

        Kafka is read on from *ends*, read before: nothing falls between.
        """
        after = {one.partition: offset for one, offset in ends.items() if one.partition in self._numbers}
        before = self._least_size()
        self._held, _ = self._shared.settle(self._held, forced=True, ends=after)
        self._offsets |= after
        count = self._least_size() - before
        self.applied += count
        return count

    def _brought(self, number: int) -> dict[Unit, Place]:
        """What Kafka fills of a partition."""
        return {
            unit: place for unit, place in self._held.items() if unit.partition == number and unit.name not in JOINED
        }

    def _seek(self) -> None:
        for one in self._there:
            if one.partition in self._offsets:
                self._consumer.seek(one, self._offsets[one.partition])

    # ------------------------------------------------------------------------------- following

    def _from_kafka(self, brought: Mapping[Any, Sequence[Any]]) -> dict[Unit, Step]:
        steps: dict[Unit, Step] = {}
        # Asked after the messages were brought: it has every entry that a relay can have written.
        logged = self._store.size() if brought else 0
        for one, messages in brought.items():
            number = one.partition
            if number not in self._numbers:
                continue
            facts: list[Fact] = []
            offset = self._offsets.get(number)
            units = self._brought(number)
            size = min(place.size for place in units.values())
            for message in messages:
                if offset is not None and message.offset != offset:
                    if message.offset < offset:
                        continue
                    # Messages are missing: the comparison with the log finds whether entries are.
                    log.warning("kafka_offsets_missing", partition=number, since=offset, next=message.offset)
                    self._settled_at = float("-inf")
                offset = message.offset + 1
                if message.value is not None:
                    fact = self._read(number, message, logged)
                    if fact is not None and fact.index >= size:
                        size = fact.index + 1
                        facts.append(fact)
            if offset is not None:
                self._offsets[number] = offset
            if facts:
                self._silent.pop(number, None)
                steps |= {unit: Step(facts, offset) for unit in units}
        return steps

    def _read(self, number: int, message: Any, logged: int) -> Fact | None:
        """
        Return what a message carries; None where that is no entry of the *logged* ones, or does not belong here.

        It stops nothing: the entry, if there is one, is missed at the comparison with the log, and comes from there.
        """
        try:
            index = wire.index_in(message.headers)
            entry = wire.unpack_entry(index, _leaf(message.headers), message.value)
            (fact,) = decode(self._catalogue, [(index, entry)])
            belongs = partition_of(fact.statement.case, self._shared.partitions)
            if belongs == number and index < logged:
                return fact
            why = f"the log has {logged} entries" if index >= logged else f"its case belongs into partition {belongs}"
        except (FormatError, NotVerified) as error:
            why = str(error)
        log.warning("kafka_message_ignored", partition=number, offset=message.offset, why=why)
        self._settled_at = float("-inf")
        return None

    def _from_log(self) -> dict[Unit, Step]:
        """The next piece of the log for the projections that join cases."""
        joined = {unit: place for unit, place in self._held.items() if unit.name in JOINED}
        if not joined:
            return {}
        start = min(place.size for place in joined.values())
        stop = min(self._store.size(), start + self._limits.batch_size_max)
        batch = next(batches(self._store, start, stop, first=self._limits.batch_size_max), None)
        if batch is None:
            return {}
        wanted = sieve(joined, self._shared.partitions)
        kept = batch if wanted is None else [one for one in batch if wanted(one[1])]
        shares, end = dealt(decode(self._catalogue, kept), self._shared.partitions), batch[-1][0] + 1
        return {
            unit: Step(shares.get(unit.partition, ()), None, end, start=start)
            for unit, place in joined.items()
            if place.size < end
        }

    # -------------------------------------------------------------------------------- watching

    def _settle(self, now: float) -> None:
        """Compare with the log; begin a silent partition anew, and apply from the log what it owes."""
        self._held, owed = self._shared.settle(self._held)
        self._tally.owed = sum(owed.values())
        sizes = {unit.partition: place.size for unit, place in self._held.items() if unit.name not in JOINED}
        before, self._owing = self._owing, {}
        for number in owed:
            # Whoever brings something is not silent, however much more there is.
            size, since = before.get(number, (sizes[number], now))
            self._owing[number] = (size, since) if size == sizes[number] else (sizes[number], now)
        late = [number for number, (_, since) in self._owing.items() if now - since >= self._limits.silent_seconds]
        if not late:
            return
        log.warning("kafka_partition_silent", partitions=sorted(late), owed=sum(owed[number] for number in late))
        self._from_log_wholly(self._consumer.end_offsets(self._there))
        self._seek()
        for number in late:
            self._owing.pop(number)
            self._silent[number] = self._silent.get(number, 0) + 1
        if worst := [number for number, times in self._silent.items() if times >= self._limits.silent_times_max]:
            raise SilentPartition(worst)


class Alone:
    """
    Stands in for a consumer where there is no Kafka: one worker at a time fills every partition, from the log.

    Args:
        shared: of which it holds the database's word that nobody else stands in.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> Mapping[Partition, Sequence[Any]]:
        """Nothing ever comes."""
        del max_records
        time.sleep(timeout_ms / 1000)
        return {}

    def assignment(self) -> set[Partition]:
        """Every partition, or none while another stands in."""
        if not self._shared.stand_in():
            return set()
        return {Partition(ENTRIES, number) for number in range(self._shared.partitions)}

    def seek(self, partition: Partition, offset: int) -> None:
        """Nothing is read."""

    def beginning_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """None is known."""
        del partitions
        return {}

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """None is known."""
        del partitions
        return {}


def _leaf(headers: Sequence[tuple[str, bytes]]) -> bytes:
    return next((value for name, value in headers if name == "leaf"), b"")


def work(
    shared: Shared,
    store: Store,
    catalogue: Catalogue,
    connection: Connection | None,
    ended: Callable[[], bool],
    *,
    topic: str = ENTRIES,
    limits: Limits | None = None,
    apart_seconds: float = APART_SECONDS,
    tally: Tally | None = None,
) -> int:
    """
    Fill the shared projections until *ended* says so; return how many entries were applied.

    While Kafka cannot be reached, or stays silent, one worker follows the log for all; then Kafka is tried again.

    Args:
        shared: the projections.
        store: the log.
        catalogue: the acts.
        connection: the way to Kafka; None where there is none.
        ended: is asked between transactions.
        topic: what ``comity.entries`` is called; the group is named after it.
        limits: see there.
        apart_seconds: after how long without it Kafka is tried again.
        tally: counts what is done, for whoever looks meanwhile.

    Raises:
        ProjectionFailed: too much of one projection would be parked.
        Conflict: the tables are of another release, or the topic has another number of partitions.
    """
    tally = Tally() if tally is None else tally
    before = tally.applied
    while not ended():
        if connection is not None:
            try:
                with explained([topic]), connection.consumer(f"{topic}/projections", **_GROUP_OPTIONS) as consumer:
                    found = consumer.partitions_for_topic(topic)
                    if not found:
                        raise NotFound(f"there is no topic {topic}", what_now="create it: `comity topics apply`")
                    if len(found) != shared.partitions:
                        raise Conflict(
                            f"{topic} has {len(found)} partitions, the projections have {shared.partitions}",
                            why="their number never changes",
                        )
                    consumer.subscribe([topic])
                    Worker(shared, store, catalogue, consumer, limits=limits, tally=tally).run(ended)
            except (Unavailable, NotFound) as error:
                tally.pulse.interruptions += 1
                log.warning("projection_worker_without_kafka", what=error.what, why=error.why)
            if ended():
                break
        until = None if connection is None else time.monotonic() + apart_seconds
        alone = Worker(shared, store, catalogue, Alone(shared), limits=limits, tally=tally)
        try:
            alone.run(lambda: ended() or (until is not None and time.monotonic() >= until))  # noqa: B023 -- used at once
        except Unavailable as error:
            tally.pulse.interruptions += 1
            log.warning("projection_worker_waits", what=error.what, why=error.why)
            time.sleep(1)
        finally:
            # Another may stand in, and Kafka's own division begins.
            shared.stand_down()
    return tally.applied - before
