"""Projection workers: whatever Kafka does, each entry is applied once, and what stands is what a rebuild gives."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ledger.acts import catalogue
from ledger.kafka import wire
from projections.filling import PROJECTIONS, decode
from projections.shared import Shared, Step, Unit, partition_of, units_of
from projections.workers import Alone, Limits, SilentPartition, Worker
from tests.projections.build import Log, cases
from tests.projections.test_runner import digests
from tests.projections.test_shared import in_sqlite
from tests.projections.topic import Member, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHAT = (
    *("more", "more", "relay", "twice", "exchange", "lose", "mark"),
    *("damage", "expire", "deaf", "away", "join", "kill", "step"),
)
NAMES = [projection.NAME for projection in PROJECTIONS]


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def worker(shared: Shared, log: Log, member: Member | Alone, clock: Clock, **limits: float) -> Worker:
    settings = Limits(**{"batch_size_max": 7, "far_behind_size": 10_000, **limits})  # type: ignore[arg-type]
    return Worker(shared, log, catalogue(), member, limits=settings, clock=clock)


def settled(shared: Shared, log: Log, clock: Clock, *workers: Worker) -> None:
    """Step until everything is applied; as long as it takes for a silent partition, and no longer."""
    for _ in range(400):
        for one in workers:
            one.step()
        if set(shared.sizes().values()) == {log.size()} and not any(place.taken for place in shared.places().values()):
            return
        clock.now += 0.25
    raise AssertionError(shared.places())


def test_workers_divide_the_partitions_and_apply_each_entry_once(opened: Callable[..., Shared], tmp_path: Path):
    """One, two and four workers share the units; what they fill together is what a rebuild gives."""
    log = cases(Log(), size=40)
    topic, clock = Topic(), Clock()
    topic.relay(log)
    shared = opened(log)
    members = [Member(topic).join()]
    workers = [worker(shared, log, members[0], clock)]
    settled(shared, log, clock, *workers)
    for count in (2, 4):
        while len(workers) < count:
            members.append(Member(topic).join())
            workers.append(worker(opened(log), log, members[-1], clock))
        cases(log, count, log.size() + 40)
        topic.relay(log)
        settled(shared, log, clock, *workers)
        assert [4 // count] * count == [len(one.partitions) for one in workers]
        assert all(one.applied for one in workers)
    assert in_sqlite(log, tmp_path) == digests(shared)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_kafka_does_the_projections_are_those_of_the_log(
    opened: Callable[..., Shared], tmp_path: Path, seed: int
):
    """Duplicates, exchanged and lost entries, marks, damage, expiry, silence and rebalances amid batches."""
    chance = random.Random(seed)
    log = cases(Log(), seed, 30)
    topic, clock = Topic(), Clock()
    shared = opened(log)
    members = [Member(topic).join()]
    workers = [worker(opened(log), log, members[0], clock)]
    # Those that were taken for dead, and do not know it.
    zombies: list[Worker] = []
    for _ in range(60):
        what = chance.choice(WHAT)
        if what == "more":
            cases(log, chance.randrange(1000), log.size() + chance.randint(1, 9))
        elif what == "relay":
            topic.relay(log)
        elif what == "twice" and topic.relayed:
            topic.say(log, chance.randrange(topic.relayed))
        elif what == "exchange" and topic.relayed + 4 <= log.size():
            for index in chance.sample(range(topic.relayed, topic.relayed + 4), 4):
                topic.say(log, index)
            topic.relayed += 4
        elif what == "lose":
            topic.relayed = min(log.size(), topic.relayed + 1)
        elif what == "mark":
            topic.put(chance.randrange(4), None, [("index", b"3"), ("relay", b"2-00")])
        elif what == "damage" and topic.relayed:
            entry = log.entry_bytes[topic.relayed - 1]
            headers = wire.entry_headers(topic.relayed + 5, "case.opened", entry, b"1-00")
            topic.put(chance.randrange(4), wire.pack_entry(entry)[:-1], headers)
            topic.put(chance.randrange(4), wire.pack_entry(entry), [("index", b"many")])
        elif what == "expire":
            topic.expire()
        elif what == "deaf":
            chance.choice(members).deaf.add(chance.randrange(4))
        elif what == "away":
            members[-1].away = not members[-1].away
        elif what == "join" and len(members) < 4:
            members.append(Member(topic).join())
            workers.append(worker(opened(log), log, members[-1], clock))
        elif what == "kill" and len(members) > 1:
            members.pop(0).leave()
            zombies.append(workers.pop(0))
        for one in (*workers, *zombies):
            if chance.random() < 0.4:
                step_over_silence(one)
        clock.now += 0.2
        check_prefixes(shared, log)
    topic.relay(log)
    for member in members:
        member.away = False
    settled(shared, log, clock, *workers)
    assert in_sqlite(log, tmp_path) == digests(shared)
    assert [] == shared.parked()


def step_over_silence(one: Worker) -> None:
    try:
        one.step()
    except SilentPartition:
        one.step()


def check_prefixes(shared: Shared, log: Log) -> None:
    """A reader never sees an entry twice, nor one that the log has not; those that join cases show a prefix."""
    with shared.views() as views:
        sizes = views.sizes()
        there = [index for (index,) in views.db.execute("SELECT idx FROM deadlines.act ORDER BY idx").fetchall()]
        expected = [
            one.index
            for one in log.recorded[: sizes["deadlines"]]
            if one.entry.accepted and one.statement.act != "authority.enrolled"
        ]
        assert expected == there


def test_a_worker_that_was_stopped_and_comes_back_writes_nothing(opened: Callable[..., Shared], tmp_path: Path):
    """It holds a batch that it read before it was stopped; its partitions are another's by then."""
    log = cases(Log(), size=40)
    topic, clock = Topic(), Clock()
    shared = opened(log)
    stopped = Member(topic).join()
    zombie = worker(opened(log), log, stopped, clock)
    topic.relay(log, 20)
    zombie.step()
    zombie.step()
    before = zombie.applied
    assert before
    stopped.leave()
    heir = worker(opened(log), log, Member(topic).join(), clock)
    heir.step()
    epochs = {unit: place.epoch for unit, place in shared.places().items()}
    reached = shared.sizes()
    topic.relay(log)
    zombie.step()
    assert (before, reached) == (zombie.applied, shared.sizes())
    assert epochs == {unit: place.epoch for unit, place in shared.places().items()}
    assert frozenset() == zombie.partitions
    # The group tells it at last that it owns nothing.
    stopped.owned = set()
    zombie.step()
    settled(shared, log, clock, heir)
    assert before == zombie.applied
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_a_silent_partition_is_begun_anew_and_nobody_waits_for_it(opened: Callable[..., Shared], tmp_path: Path):
    """Its entries come from the log; where it stays silent, whoever made the consumer is told to make another."""
    log = cases(Log(), size=20)
    topic, clock = Topic(), Clock()
    shared = opened(log)
    member = Member(topic).join()
    one = worker(shared, log, member, clock, silent_seconds=5)
    topic.relay(log)
    settled(shared, log, clock, one)
    member.deaf = {0, 1, 2, 3}
    cases(log, 1, 60)
    topic.relay(log)
    begun = clock.now
    settled(shared, log, clock, one)
    assert 5 <= clock.now - begun < 8
    assert not member.deaf
    # It was begun anew behind what came from the log: what comes now is read again.
    cases(log, 2, 80)
    topic.relay(log)
    begun = clock.now
    settled(shared, log, clock, one)
    assert clock.now - begun < 2
    member.away = True
    for number in range(2):
        cases(log, 3 + number, log.size() + 20)
        settled(shared, log, clock, one)
    cases(log, 5, log.size() + 20)
    with pytest.raises(SilentPartition):
        settled(shared, log, clock, one)
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_what_kafka_no_longer_has_comes_from_the_log(opened: Callable[..., Shared], tmp_path: Path):
    """After retention has passed, a worker goes to the log at once, and then on with Kafka where that is."""
    log = cases(Log(), size=50)
    topic, clock = Topic(), Clock()
    topic.relay(log)
    topic.expire()
    shared = opened(log)
    one = worker(shared, log, Member(topic).join(), clock)
    one.step()
    assert dict.fromkeys(NAMES, 50) == shared.sizes()
    assert len(topic.lanes[0]) == shared.places()[Unit("audit", 0)].offset
    cases(log, 1, 60)
    topic.relay(log)
    settled(shared, log, clock, one)
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_without_kafka_one_worker_stands_in_for_all(opened: Callable[..., Shared], tmp_path: Path):
    """The database says which one; another takes over once it is gone."""
    log = cases(Log(), size=30)
    first, second = opened(log), opened(log)
    clock = Clock()
    one, two = worker(first, log, Alone(first), clock), worker(second, log, Alone(second), clock)
    for _ in range(3):
        one.step()
        two.step()
    assert (4, 0) == (len(one.partitions), len(two.partitions))
    assert dict.fromkeys(NAMES, 30) == first.sizes()
    first.close()
    cases(log, 1, 40)
    for _ in range(3):
        two.step()
    assert dict.fromkeys(NAMES, 40) == second.sizes()
    assert in_sqlite(log, tmp_path) == digests(second)


def test_an_entry_that_kafka_lost_is_found_by_counting(opened: Callable[..., Shared], tmp_path: Path):
    """The comparison has teeth: without it, an entry exchanged with a later one would be passed for ever."""
    log = cases(Log(), size=20)
    shared = opened(log)
    held = shared.take(units_of(range(4)))
    facts = decode(catalogue(), log.entries(0, 20))
    held = shared.follow(held, facts[:10], 10)
    steps = {}
    for number in range(4):
        mine = [fact for fact in facts[10:] if partition_of(fact.statement.case, 4) == number]
        # The first of each partition never comes.
        steps[Unit("audit", number)] = Step(mine[1:], 7)
    held = shared.apply(held, steps)
    held, _ = shared.settle(held)
    settled_to, owed = shared.settle(held, forced=True)
    assert {} == owed
    assert {20} == {place.size for place in settled_to.values()}
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_a_message_that_is_no_entry_of_the_log_is_passed_over(opened: Callable[..., Shared], tmp_path: Path):
    """Beyond the end of the log, cut off though its hash is right, with empty headers: it stops no worker, ever."""
    log = cases(Log(), size=20)
    topic, clock = Topic(), Clock()
    shared = opened(log)
    one = worker(shared, log, Member(topic).join(), clock)
    topic.relay(log)
    settled(shared, log, clock, one)
    entry = log.entry_bytes[19]
    number, act = partition_of(wire.place_of(entry).case, 4), wire.place_of(entry).act
    for index, said in ((10**6, entry), (10**30, entry), (20, entry[:-9]), (20, b"no entry")):
        topic.put(number, wire.pack_entry(said), wire.entry_headers(index, act, said, b"1-00"))
    topic.put(number, wire.pack_entry(entry), [("index", None), ("leaf", None)])  # type: ignore[list-item]
    one.step()
    assert dict.fromkeys(NAMES, 20) == shared.sizes()
    cases(log, 1, 40)
    topic.relay(log)
    settled(shared, log, clock, one)
    assert in_sqlite(log, tmp_path) == digests(shared)
