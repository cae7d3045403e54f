"""The outbox: what was signed is durable before it is sent, and is sent until it is answered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.errors import FormatError, NotPermitted
from ledger.ledger import Ledger, Refused, RefusedEarlier, Rejected
from ledger.sequencer import Limits, Receipt, Refusal
from ledger.statement import Draft, Signed, decode_entry, decode_statement, new_id
from ledger.store.outbox import Outbox, Outgoing
from tests.small_ledger import BEGIN
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, Town, check_everything, check_receipt, found, named, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.sequencer import Answer

ROOT = Path(__file__).resolve().parent.parent
KEY = DE_PROSECUTOR.key.id


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A town; its log is sound at the end, and nothing waits in its outbox."""
    made = found(tmp_path / "ledger", limits=Limits(early_ms_max=0))
    yield made
    made.ledger.resume(DE_PROSECUTOR)
    assert [] == made.ledger.outbox.pending(KEY)
    check_everything(made.ledger)
    made.ledger.close()


def row(sequence: int, key: bytes = b"key", *, batch: bytes | None = None) -> Outgoing:
    """A row that is told from others."""
    one = bytes([sequence]) * 16
    return Outgoing(key, sequence, one, one + b"statement", b"signature", batch)


class Cut(Exception):  # noqa: N818 -- the line is cut, which is no error of ours
    """The network is gone."""


def cut(town: Town, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let whatever is sent be lost, before or *after* the log has it."""
    sequencer = town.ledger.sequencer
    one, many = sequencer.submit, sequencer.submit_many

    def submit(signed: Signed) -> Answer:
        if after:
            one(signed)
        raise Cut

    def submit_many(statements: Iterator[Signed], *, workers: int = 0) -> Iterator[Answer]:
        if after:
            list(many(statements, workers=0))
        raise Cut

    monkeypatch.setattr(sequencer, "submit", submit)
    monkeypatch.setattr(sequencer, "submit_many", submit_many)


# --- the file ---


def test_rows_come_back_in_order_until_they_are_answered(tmp_path):
    """Each key has its own; a transaction left by an error changes nothing."""
    outbox = Outbox(tmp_path / "outbox.db")
    with outbox.writing() as writing:
        assert 7 == writing.next_sequence(b"key", 7)
        writing.put([row(1), row(0, batch=b"place")], 2)
        writing.put([row(0, b"other")], 1)
        assert 2 == writing.next_sequence(b"key", 7)
    with pytest.raises(ZeroDivisionError):
        fail_in(outbox)

    assert [row(0, batch=b"place"), row(1)] == Outbox(tmp_path / "outbox.db").pending(b"key")
    with outbox.writing() as writing:
        writing.answer([(b"key", 0, bytes(16), 5, True)])
    assert [row(1)] == outbox.pending(b"key")
    assert [row(0, b"other")] == outbox.pending(b"other")


def fail_in(outbox: Outbox) -> None:
    """Withdraw everything, and fail."""
    with outbox.writing() as writing:
        writing.withdraw(b"key", 0)
        raise ZeroDivisionError


def test_what_is_withdrawn_frees_its_sequence(tmp_path):
    """And whatever stands behind it comes out too, to be signed anew."""
    outbox = Outbox(tmp_path / "outbox.db")
    with outbox.writing() as writing:
        writing.put([row(number) for number in range(4)], 4)
        assert [row(2), row(3)] == writing.withdraw(b"key", 2)
        assert 2 == writing.next_sequence(b"key", 0)
    assert [row(0), row(1)] == outbox.pending(b"key")


# --- publishing ---


@pytest.mark.parametrize("batch", [True, False])
def test_each_draft_gets_its_answer_in_order(town, batch):
    """Signed together or one by one."""
    drafts = [town.opening(f"case {number}") for number in range(7)]
    answers = list(town.ledger.publish_many(drafts, DE_PROSECUTOR, batch=batch))

    for draft, answer in zip(drafts, answers, strict=True):
        assert isinstance(answer, Receipt)
        assert answer.accepted
        entry = decode_entry(town.store.entry(answer.index))
        assert draft.subject == decode_statement(entry.statement).subject
        assert batch == (entry.batch is not None)
        check_receipt(town.ledger, answer)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_line_cut_before_or_after_the_log_has_it_neither_loses_nor_doubles(town, monkeypatch, after, count):
    """The same bytes are sent at the next start; the log returns its first answer."""
    drafts = [town.opening(f"case {number}") for number in range(count)]
    with monkeypatch.context() as patched:
        cut(town, patched, after=after)
        with pytest.raises(Cut):
            list(town.ledger.publish_many(drafts, DE_PROSECUTOR))
    pending = town.ledger.outbox.pending(KEY)
    assert count == len(pending)
    assert (5 + count if after else 5) == town.store.size()

    again = opened(town.ledger.folder, town.clock)
    answers = again.ledger.resume(DE_PROSECUTOR)
    assert [one.id for one in pending] == [one.statement_id for one in answers if isinstance(one, Receipt)]
    assert 5 + count == again.store.size()
    assert [] == again.ledger.resume(DE_PROSECUTOR)
    again.ledger.close()


def test_what_was_interrupted_is_sent_before_anything_else(town, monkeypatch):
    """Whoever publishes next sends it first: the sequences have an order."""
    with monkeypatch.context() as patched:
        cut(town, patched, after=False)
        with pytest.raises(Cut):
            town.ledger.publish(town.opening("first"), DE_PROSECUTOR)
    town.ledger.publish(town.person("first"), DE_PROSECUTOR)

    assert ["case.opened", "person.registered"] == [
        decode_statement(decode_entry(one).statement).act for one in town.store.scan(5)
    ]


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_those_behind_a_refused_statement_are_signed_anew(town, monkeypatch, batch, place):
    """It consumed no sequence: the others take theirs, keep their ids, and are recorded once."""
    replayed = town.ledger.publish(town.opening("before"), DE_PROSECUTOR).statement_id
    ids = [new_id(BEGIN + number, bytes([number]) * 10) for number in range(5)]
    given = iter([*ids[:place], replayed, *ids[place + 1 :]])
    monkeypatch.setattr("ledger.publishing.new_id", lambda at, *_: next(given) if at else replayed)
    drafts = [town.opening(f"case {number}") for number in range(5)]
    answers = list(town.ledger.publish_many(drafts, DE_PROSECUTOR, batch=batch))

    assert 5 == len(answers)
    refused = answers.pop(place)
    assert isinstance(refused, Refusal)
    assert "id_reused" == refused.code
    assert [one for one in ids if one != ids[place]] == [
        one.statement_id for one in answers if isinstance(one, Receipt) and one.accepted
    ]
    assert 5 == town.store.next_sequence(KEY)


def test_a_refused_statement_alone_is_an_error_and_forgotten(town, monkeypatch):
    """Nothing of it stays, and the next has its sequence."""
    first = town.ledger.publish(town.opening("before"), DE_PROSECUTOR)
    with monkeypatch.context() as patched:
        patched.setattr("ledger.publishing.new_id", lambda *_: first.statement_id)
        with pytest.raises(Refused) as refused:
            town.ledger.publish(town.opening("case"), DE_PROSECUTOR)

    assert ("id_reused", 6) == (refused.value.refusal.code, refused.value.status)
    assert [] == town.ledger.outbox.pending(KEY)
    assert 6 == town.ledger.publish(town.opening("case"), DE_PROSECUTOR).index


def interrupted(town: Town, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Two statements are signed, of which the log will refuse the first, and the line is cut; the refused one's id."""
    replayed = town.ledger.publish(town.opening("before"), DE_PROSECUTOR).statement_id
    with monkeypatch.context() as patched:
        cut(town, patched, after=False)
        given = iter([replayed, new_id(BEGIN, bytes(10))])
        patched.setattr("ledger.publishing.new_id", lambda at, *_: next(given) if at else replayed)
        with pytest.raises(Cut):
            list(town.ledger.publish_many([town.opening("refused"), town.opening("taken")], DE_PROSECUTOR))
    return replayed


def test_a_refusal_of_an_interrupted_call_is_shown_to_the_next(town, monkeypatch):
    """It holds what was signed; the draft of the next call is not signed meanwhile, and taken when it is said again."""
    replayed = interrupted(town, monkeypatch)
    draft = town.opening("next")
    with pytest.raises(RefusedEarlier, match="id_reused") as told:
        town.ledger.publish(draft, DE_PROSECUTOR)

    ((statement, refusal),) = told.value.refused
    assert (replayed, named("refused")) == (statement[:16], decode_statement(statement).subject)
    assert (6, "id_reused") == (told.value.status, refusal.code)
    assert refusal.note.startswith(b"comity.refusal/v1")
    assert 7 == town.store.size(), "the statement behind it was sent"
    assert [] == town.ledger.outbox.pending(KEY)

    assert 7 == town.ledger.publish(draft, DE_PROSECUTOR).index
    assert [] == town.ledger.resume(DE_PROSECUTOR)


def test_whoever_resumes_is_shown_what_was_refused_and_taken(town, monkeypatch):
    """Once."""
    interrupted(town, monkeypatch)
    refused, taken = town.ledger.resume(DE_PROSECUTOR)
    assert isinstance(refused, Refusal)
    assert isinstance(taken, Receipt)
    assert [] == town.ledger.resume(DE_PROSECUTOR)
    town.ledger.publish(town.opening("next"), DE_PROSECUTOR)


@pytest.mark.parametrize("closed", [True, False])
def test_whoever_dies_of_being_told_is_told_again(town, monkeypatch, closed):
    """The refusal is forgotten when the process goes on or ends in order; killed before, it is shown once more."""
    interrupted(town, monkeypatch)
    first = opened(town.ledger.folder, town.clock)
    with pytest.raises(RefusedEarlier):
        first.ledger.publish(town.opening("next"), DE_PROSECUTOR)
    if closed:
        first.ledger.close()
    second = opened(town.ledger.folder, town.clock)
    assert ([] if closed else [Refusal]) == [type(one) for one in second.ledger.resume(DE_PROSECUTOR)]
    second.ledger.close()
    if not closed:
        first.ledger.close()


@pytest.mark.parametrize("taken", [1, 2])
def test_a_refusal_that_the_caller_did_not_wait_for_is_kept(town, monkeypatch, taken):
    """Whoever stops listening before his refusal is shown it next time; whoever has taken it, is not."""
    replayed = town.ledger.publish(town.opening("before"), DE_PROSECUTOR).statement_id
    given = iter([new_id(BEGIN, bytes(10)), replayed, new_id(BEGIN + 1000, bytes(10))])
    with monkeypatch.context() as patched:
        patched.setattr("ledger.publishing.new_id", lambda at, *_: next(given) if at else replayed)
        answers = town.ledger.publish_many([town.opening(f"case {n}") for n in range(3)], DE_PROSECUTOR)
        for _ in range(taken):
            last = next(answers)
        answers.close()
    assert isinstance(last, Refusal) == (taken == 2)
    assert [Refusal] * (2 - taken) == [
        type(one) for one in town.ledger.resume(DE_PROSECUTOR) if isinstance(one, Refusal)
    ]


def test_a_rejected_statement_is_an_answer(town):
    """It is in the log; those behind it go on."""
    drafts = [town.person("no case"), town.opening("case")]
    rejected, accepted = town.ledger.publish_many(drafts, DE_PROSECUTOR)

    assert isinstance(rejected, Receipt)
    assert isinstance(accepted, Receipt)
    assert ("subject_missing", None) == (rejected.reason, accepted.reason)
    with pytest.raises(Rejected) as said:
        town.ledger.publish(town.person("no case"), DE_PROSECUTOR)
    assert "subject_missing" == said.value.receipt.reason


def test_an_invalid_draft_is_never_signed(town):
    """Not it, and none of its group; those before had their answers."""
    good: list[Draft] = [town.opening(f"case {number}") for number in range(3)]
    with pytest.raises(FormatError) as refused:
        list(town.ledger.publish_many([*good, town.person("case 0", role="Anna Muster")], DE_PROSECUTOR))

    assert "body.role" == refused.value.field
    assert 5 == town.store.size()
    assert [] == town.ledger.outbox.pending(KEY)
    assert b"Anna Muster" not in (town.ledger.folder / "outbox.db").read_bytes()


def test_whoever_may_only_read_signs_nothing(town):
    """Nothing waits in the outbox, to be sent once the log's keys are there."""
    reader = Ledger.open(town.ledger.folder, clock=town.clock, read_only=True)
    with pytest.raises(NotPermitted, match="opened for reading"):
        reader.publish(town.opening("case"), DE_PROSECUTOR)
    assert [] == reader.outbox.pending(KEY)
    reader.close()


@pytest.mark.parametrize("count", [1, 3])
def test_a_restored_outbox_follows_the_log(town, count):
    """An older copy gives out sequences that were used: what it signs is signed anew, with its ids."""
    file = town.ledger.folder / "outbox.db"
    town.ledger.publish(town.opening("one"), DE_PROSECUTOR)
    older = file.read_bytes() if not Path(f"{file}-wal").exists() else None
    assert older is not None
    town.ledger.publish(town.opening("two"), DE_PROSECUTOR)
    town.ledger.publish(town.opening("three"), DE_PROSECUTOR)
    file.write_bytes(older)

    drafts = [town.opening(f"case {number}") for number in range(count)]
    answers = list(town.ledger.publish_many(drafts, DE_PROSECUTOR))
    assert [True] * count == [isinstance(one, Receipt) and one.accepted for one in answers]
    assert 3 + count == town.store.next_sequence(KEY)


def test_threads_share_a_key(town):
    """Each call is one after the other; every draft is recorded once."""
    with ThreadPoolExecutor(8) as threads:
        receipts = list(threads.map(lambda n: town.ledger.publish(town.opening(f"case {n}"), DE_PROSECUTOR), range(24)))

    assert 24 == len({one.index for one in receipts})
    assert 24 == town.store.next_sequence(KEY)


def test_processes_share_a_key_and_an_outbox(tmp_path):
    """Three processes publish with one key from one folder, in batches and alone; nobody is refused."""
    town = found(tmp_path / "ledger")
    town.ledger.close()
    others = [
        subprocess.Popen(
            [sys.executable, __file__, str(town.ledger.folder), str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(3)
    ]
    assert [0, 0, 0] == [other.wait() for other in others]
    with opened(town.ledger.folder).ledger as ledger:
        check_everything(ledger)
        assert 5 + 3 * 30 == ledger.store.size()
        assert {"accepted"} == {decode_entry(one).disposition for one in ledger.store.scan()}
        assert [] == ledger.outbox.pending(KEY)


def test_keys_do_not_wait_for_each_other(town):
    """While one publisher is in the middle of its drafts, another publishes."""
    begun, published = threading.Event(), threading.Event()

    def drafts() -> Iterator[Draft]:
        yield town.opening("one")
        begun.set()
        assert published.wait(20)
        yield town.opening("two")

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(lambda: list(town.ledger.publish_many(drafts(), DE_PROSECUTOR)))
        assert begun.wait(20)
        town.ledger.publish(town.opening("three"), FR_PROSECUTOR)
        published.set()
        assert 2 == len(slow.result(timeout=20))


if __name__ == "__main__":
    mine = opened(Path(sys.argv[1]))
    for turn in range(6):
        said = [mine.opening(f"process {sys.argv[2]} {turn} {one}") for one in range(4)]
        for each in mine.ledger.publish_many(said, DE_PROSECUTOR):
            assert isinstance(each, Receipt), each
        mine.ledger.publish(mine.opening(f"process {sys.argv[2]} {turn}"), DE_PROSECUTOR)
    mine.ledger.close()
