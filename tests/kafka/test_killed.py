"""
Killed between any two steps, relay and ingest lose nothing and double nothing.

A child does the work and is killed (SIGKILL, nothing is cleaned up) before its n-th step, for every n there is. A step
is whatever another can see: a message sent, a flush begun, a flush that is on its way, a group of statements
submitted, offsets committed. Then a new one does the rest, and everything is checked.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from ledger.kafka import relay as relaying
from ledger.kafka.topics import ENTRIES
from ledger.statement import decode_entry
from tests.kafka.conveyor import Conveyor, first_occurrences
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, Town, check_everything, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

STEPS_MAX = 200


class Steps:
    """Counts steps in a child, and kills it before its n-th."""

    def __init__(self, fatal: int) -> None:
        self._fatal = fatal
        self._count = 0

    def __call__(self) -> None:
        """Take a step, or die before it."""
        self._count += 1
        if self._count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def amid(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the work with a step before it, one amid it, and none after: the next step is before the next."""

        def stepping(*given: Any, **how: Any) -> Any:
            self()
            self._count += 1
            if self._count == self._fatal:
                threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGKILL)).start()
                work(*given, **how)
                time.sleep(30)
            return work(*given, **how)

        return stepping


def _killed_at(fatal: int, work: Callable[[Steps], object]) -> bool:
    """Do the work in a child that is killed before its n-th step; whether it was, or had come to its end before."""
    child = os.fork()
    if not child:
        try:
            work(Steps(fatal))
        except BaseException:  # noqa: BLE001 -- whatever it is, the parent must see it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the child failed at step {fatal}; see its traceback"
    return False


def _patched(steps: Steps) -> None:
    send = KafkaProducer.send

    def sending(self: KafkaProducer, *given: Any, **how: Any) -> Any:
        steps()
        return send(self, *given, **how)

    KafkaProducer.send = sending
    KafkaProducer.flush = steps.amid(KafkaProducer.flush)
    KafkaConsumer.commit = steps.amid(KafkaConsumer.commit)

    def assign(self: KafkaConsumer, topics: list[str]) -> None:
        # Nobody waits until the group has noticed that its member is dead.
        self.assign([TopicPartition(topics[0], number) for number in self.partitions_for_topic(topics[0])])

    KafkaConsumer.subscribe = assign


def test_a_relay_killed_at_any_step_loses_and_doubles_nothing(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """However often and wherever it dies, readers see each entry once, in the order of the log."""
    monkeypatch.setattr(relaying, "GROUP_SIZE", 3)
    town = conveyor.town
    folder, clock = town.ledger.folder, town.clock
    drafts = [town.opening(f"{number}") for number in range(4)]
    list(town.ledger.submit_many([town.signed(draft, DE_PROSECUTOR) for draft in drafts], workers=0))
    town.ledger.close()

    def work(steps: Steps) -> None:
        _patched(steps)
        here = Conveyor(opened(folder, clock, read_only=True), conveyor.bootstrap, conveyor.prefix, conveyor.folder)
        here.relaying(here.named(ENTRIES)).run(threading.Event(), once=True)

    fatal = 0
    again = True
    while again:
        fatal += 1
        assert fatal < STEPS_MAX
        again = _killed_at(fatal, work)
    conveyor.town = opened(folder, clock)
    conveyor.relay()
    conveyor.check_entries()
    town.ledger = conveyor.town.ledger

    assert fatal > 10


def test_a_relay_killed_at_one_step_each_time_from_the_beginning(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """Each way to die is survived on its own: on an empty topic, then finished by one that is left alone."""
    monkeypatch.setattr(relaying, "GROUP_SIZE", 3)
    folder, clock = conveyor.town.ledger.folder, conveyor.town.clock
    conveyor.town.ledger.close()
    size = 5

    def work(steps: Steps, prefix: str) -> None:
        _patched(steps)
        here = Conveyor(opened(folder, clock, read_only=True), conveyor.bootstrap, prefix, conveyor.folder)
        here.relaying(here.named(ENTRIES)).run(threading.Event(), once=True)

    fatal, again = 0, True
    while again:
        fatal += 1
        prefix = f"{conveyor.prefix}-{fatal}"
        here = Conveyor(conveyor.town, conveyor.bootstrap, prefix, conveyor.folder)
        here.apply()
        again = _killed_at(fatal, partial(work, prefix=prefix))
        _killed_at(0, partial(work, prefix=prefix))
        seen = here.seen(ENTRIES)
        assert list(range(size)) == sorted(one.index for one in first_occurrences(seen))
        values = [one.index for one in seen if one.value is not None]
        assert len(values) <= size + 3, "at most one group is sent twice"
    conveyor.town = Town(opened(folder, clock).ledger, clock)

    assert fatal > 8


def test_an_ingest_killed_at_any_step_records_once_and_answers_all(conveyor: Conveyor):
    """However often and wherever it dies, each statement is recorded once, in order, and its publisher answered."""
    town = conveyor.town
    folder, clock = town.ledger.folder, town.clock
    some = {
        by.authority: [town.signed(town.opening(f"{by.authority.hex()} {number}"), by) for number in range(4)]
        for by in (DE_PROSECUTOR, FR_PROSECUTOR)
    }
    for statements in some.values():
        conveyor.send(*statements)
    conveyor.send_raw(b"poison")
    conveyor.close()  # a child must not inherit a client
    town.ledger.close()

    def work(steps: Steps) -> None:
        _patched(steps)
        here = Conveyor(opened(folder, clock), conveyor.bootstrap, conveyor.prefix, conveyor.folder)
        submit = here.town.ledger.submit_many
        here.town.ledger.submit_many = steps.amid(submit)  # type: ignore[method-assign]  # a step like any other
        here.ingest(round_size_max=3)

    fatal, again = 0, True
    while again:
        fatal += 1
        assert fatal < STEPS_MAX
        again = _killed_at(fatal, work)
    conveyor.town = opened(folder, clock)
    entries = [decode_entry(data).statement for _, data in conveyor.town.store.entries(5, 1_000)]

    for authority, statements in some.items():
        mine = [one.statement for one in statements]
        answers = conveyor.answers(authority)
        assert mine == [data for data in entries if data in mine]
        assert {data[:16] for data in mine} == {one.statement_id for one in answers}
        # Whoever reads an answer twice reads the same.
        assert len(mine) == len({(one.statement_id, one.index, one.note) for one in answers})
    assert len(entries) == 8
    assert {"unreadable"} == {one["reason"] for one in conveyor.set_aside()}
    assert fatal > 10
    check_everything(conveyor.town.ledger)
