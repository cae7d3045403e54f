"""
Killed between any two steps, the ledger loses nothing that was acknowledged, and forks nowhere.

A child process does the work and is killed (SIGKILL, no cleaning up) before its n-th step, for every
n there is. A step is whatever can change a file: each call of SQLite, each write, rename, lock.
What it was answered before it died, it has written down where the parent can read it.
Then the parent opens what is left, checks all of it, and repeats the work as its publisher would.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from psycopg2 import extensions as driver

from ledger.errors import ComityError, FormatError, NotFound
from ledger.ledger import Ledger, Root
from ledger.log import fsck
from ledger.sequencer import Limits, Receipt, Refusal
from ledger.statement import decode_entry, new_id
from tests.small_ledger import BEGIN
from tests.town import (
    DE,
    DE_PROSECUTOR,
    FR_PROSECUTOR,
    LEDGER,
    LOG_KEYS,
    OPERATOR,
    ORIGIN,
    Clock,
    check_everything,
    check_receipt,
    found,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger.statement import Signed

SYSTEM_CALLS = {"replace", "rename", "unlink", "open", "mkdir", "fsync", "flock", "ftruncate"}
STEPS_MAX = 2_000
MEANWHILE = Limits(early_ms_max=0)


def step(function: Any) -> bool:
    """Whether this call may change a file, or what another process may do."""
    of = getattr(function, "__self__", None)
    if isinstance(of, (sqlite3.Connection, sqlite3.Cursor)):
        return function.__name__ in {"execute", "executemany", "commit", "rollback", "close"}
    if isinstance(of, (driver.connection, driver.cursor)):
        return function.__name__ in {"execute", "copy_expert", "close"}
    if isinstance(of, io.IOBase):
        return function.__name__ in {"write", "close", "flush"}
    return getattr(of, "__name__", None) in {"posix", "fcntl", "io", "_io"} and function.__name__ in SYSTEM_CALLS


def die_before(number: int) -> Callable[[Any, str, Any], None]:
    """A profile function that kills this process before its n-th step."""
    left = number

    def look(_frame: Any, happened: str, function: Any) -> None:
        nonlocal left
        if happened == "c_call" and step(function):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    return look


def killed(number: int, work: Callable[[Callable[[str], None]], None], notes: Path) -> bool:
    """
    Do *work* in a child that is killed before its n-th step; whether it was.

    The work is given a function that writes a line down which outlives it.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            handle = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            sys.setprofile(die_before(number))
            work(lambda line: void(os.write(handle, line.encode() + b"\n")))
            sys.setprofile(None)
            status = 0
        except BaseException:  # noqa: BLE001 -- the parent hears of it by the exit status
            sys.setprofile(None)
            traceback.print_exc()
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        assert signal.SIGKILL == os.WTERMSIG(ended)
        return True
    assert 0 == os.waitstatus_to_exitcode(ended), "the work failed by itself"
    return False


def void(_: object) -> None:
    """Drop a result."""


def every_step(tmp_path: Path, base: Path, work: Callable[[Path, Callable[[str], None]], None]) -> Iterator[tuple[Path, list[str]]]:  # fmt: skip  # noqa: E501
    """Kill the work before each of its steps in turn; yield what is left of the folder, and what was written down."""
    for number in range(STEPS_MAX):
        folder, notes = tmp_path / "left", tmp_path / "notes"
        shutil.copytree(base, folder)
        died = killed(number, partial(work, folder), notes)
        yield folder, notes.read_text().splitlines() if notes.exists() else []
        shutil.rmtree(folder)
        notes.unlink(missing_ok=True)
        if not died:
            assert number > 20, "there were steps to be killed at"
            return
    raise AssertionError("the work never ends")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a town, closed."""
    town = found(tmp_path / "base")
    town.ledger.close()
    return tmp_path / "base"


def sound(ledger: Ledger) -> None:
    """Check the log from its entries, by our own recomputation and by the one that users have."""
    check_everything(ledger)
    report = fsck.check(ledger.store, ledger.catalogue)
    assert [] == report.faults
    newest = (ledger.folder / "checkpoint").read_bytes()
    assert ledger.store.checkpoint() == newest


def test_a_sequencer_killed_at_any_step_loses_nothing_acknowledged(tmp_path, base):
    """After each kill the log is sound; whoever repeats gets the receipt he had; nothing is recorded twice."""
    town = opened(base)
    sent = [
        town.signed(town.opening("one"), DE_PROSECUTOR),
        town.signed(town.person("no case"), FR_PROSECUTOR),
        *town.signed_batch([town.person("one"), town.opening("two")], DE_PROSECUTOR),
    ]
    roots = {size: root for size, root, _ in town.store.checkpoints()}
    town.ledger.close()

    def publish(folder: Path, note: Callable[[str], None]) -> None:
        ledger = opened(folder, Clock(BEGIN + 2_000_000_000)).ledger
        for group in (sent[:1], sent[1:]):
            for answer in [ledger.submit(group[0])] if len(group) == 1 else ledger.submit_many(group, workers=0):
                assert isinstance(answer, Receipt)
                note(f"{answer.index} {answer.recorded_at} {answer.proof.hex()}")
        ledger.close()

    for folder, acknowledged in every_step(tmp_path, base, publish):
        with opened(folder, Clock(BEGIN + 3_000_000_000)).ledger as ledger:
            sound(ledger)
            shown = {size: root for size, root, _ in ledger.store.checkpoints()}
            assert shown.items() >= roots.items()
            answers = [ledger.submit(one) for one in sent]
            assert all(isinstance(answer, Receipt) for answer in answers)
            repeated = [
                f"{one.index} {one.recorded_at} {one.proof.hex()}" for one in answers if isinstance(one, Receipt)
            ]
            assert acknowledged == repeated[: len(acknowledged)]
            assert 5 + len(sent) == ledger.store.size()
            assert ["accepted", "rejected", "accepted", "accepted"] == [
                decode_entry(one).disposition for one in ledger.store.scan(5)
            ]
            # A size that was shown keeps its root.
            again = {size: root for size, root, _ in ledger.store.checkpoints()}
            assert again.items() >= shown.items()
            sound(ledger)


def test_a_publisher_killed_at_any_step_neither_loses_nor_doubles(tmp_path, base, monkeypatch):
    """Signed once, sent until it is answered: whatever the outbox holds is recorded once, and only once."""
    first = opened(base)
    replayed = first.ledger.publish(first.opening("before"), DE_PROSECUTOR).statement_id
    drafts = [first.opening(f"case {number}") for number in range(4)]
    first.ledger.close()
    ids = [new_id(BEGIN + number * 1_000_000, bytes([number]) * 10) for number in range(4)]
    # The log refuses the second: its id is taken. Those behind it are signed anew.
    taken = [ids[0], replayed, *ids[2:]]
    good = [ids[0], *ids[2:]]

    def publish(folder: Path, note: Callable[[str], None]) -> None:
        given = iter(taken)
        monkeypatch.setattr("ledger.publishing.new_id", lambda at, *_: next(given) if at else taken[0])
        ledger = opened(folder, Clock(BEGIN + 2_000_000_000)).ledger
        for draft, answer in zip(drafts, ledger.publish_many(drafts, DE_PROSECUTOR), strict=True):
            assert isinstance(answer, Refusal) == (draft is drafts[1])
            if isinstance(answer, Receipt):
                note(f"{answer.index} {answer.statement_id.hex()}")
        ledger.close()

    outcomes = set()
    for folder, acknowledged in every_step(tmp_path, base, publish):
        with opened(folder, Clock(BEGIN + 3_000_000_000), limits=MEANWHILE).ledger as ledger:
            ledger.resume(DE_PROSECUTOR)
            assert [] == ledger.outbox.pending(DE_PROSECUTOR.key.id)
            recorded = [one for one in good if ledger.store.index_of(one) is not None]
            # Made durable in one transaction: all of them, or none was ever signed.
            assert recorded in ([], good)
            outcomes.add(len(recorded))
            for line in acknowledged:
                index, one = line.split()
                assert int(index) == ledger.store.index_of(bytes.fromhex(one))
            assert {"accepted"} == {decode_entry(one).disposition for one in ledger.store.scan()}
            assert 6 + len(recorded) == ledger.store.size()
            if recorded:
                assert ledger.store.next_sequence(DE_PROSECUTOR.key.id) == 1 + len(recorded)
            # The next statement goes on where the last one stopped.
            receipt = ledger.publish(first.opening("after"), DE_PROSECUTOR)
            check_receipt(ledger, receipt)
            sound(ledger)
    assert {0, 3} == outcomes


def test_a_founding_killed_at_any_step_can_be_taken_up(tmp_path):
    """Either the ledger is there and sound, or it says what to remove and can be founded with the same keys."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def make(folder: Path, note: Callable[[str], None] = void) -> None:
        ledger = Ledger.found(
            folder, origin=ORIGIN, operator=OPERATOR, roots=[Root.of("DE", DE, ORIGIN)],
            log_keys=LOG_KEYS, clock=Clock(), ledger_id=LEDGER,
        )  # fmt: skip
        note("founded")
        ledger.close()

    for folder, notes in every_step(tmp_path, empty, make):
        try:
            ledger = Ledger.open(folder, clock=Clock())
        except NotFound as error:
            assert [] == notes
            if (folder / "ledger.db").exists():
                assert "remove ledger.db" in error.what_now
                for left in folder.glob("ledger.db*"):
                    left.unlink()
            try:
                make(folder)
            except (ComityError, FormatError) as unfinished:
                # Killed while the keys were written: nothing was signed with them, and the file is named.
                assert "log." in str(unfinished)
                for left in folder.glob("log.*"):
                    left.unlink()
                make(folder)
            ledger = Ledger.open(folder, clock=Clock())
        with ledger:
            sound(ledger)
            assert 1 == ledger.store.size()
            assert LOG_KEYS.ed25519.public == ledger.roster.log_keys[0].public_key


def test_statements_sent_before_a_kill_may_be_sent_by_another_process(tmp_path, base):
    """The same bytes, from whichever process, are the same statement."""
    town = opened(base)
    sent: Signed = town.signed(town.opening("one"), DE_PROSECUTOR)
    town.ledger.close()

    def publish(folder: Path, note: Callable[[str], None]) -> None:
        town = opened(folder)
        note(str(town.ledger.submit(sent)))
        town.ledger.close()

    shutil.copytree(base, tmp_path / "left")
    assert not killed(10_000, lambda note: publish(tmp_path / "left", note), tmp_path / "notes")
    assert not killed(10_000, lambda note: publish(tmp_path / "left", note), tmp_path / "notes")
    first, second = (tmp_path / "notes").read_text().splitlines()
    assert first == second
