"""What agencies submit is recorded once and answered, whatever is delivered twice, late, or broken."""

from __future__ import annotations

import random
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition

from kit.answer import batch_json, read_refusal
from ledger.errors import NotVerified, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import BATCH_BYTES
from ledger.kafka.ingest import SilentPartition, Watch
from ledger.kafka.topics import REJECTIONS, SUBMISSIONS
from ledger.keys import LogKey
from ledger.ledger import Ledger
from ledger.sequencer import Receipt
from ledger.statement import (
    ENTRY_BYTES_MAX,
    STATEMENT_BYTES_MAX,
    Batch,
    Signed,
    decode_entry,
    decode_header,
    decode_statement,
)
from tests.kafka.brokers import SmallBroker
from tests.kafka.conveyor import Conveyor
from tests.test_log_keys import replacing
from tests.town import (
    DE_PROSECUTOR,
    FR_PROSECUTOR,
    LEDGER,
    OPERATOR,
    ORIGIN,
    Town,
    check_everything,
    check_receipt,
    found,
    keyed,
    named,
    signer,
)
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.keys import Signer


def _cases(conveyor: Conveyor, count: int, by: Signer = DE_PROSECUTOR) -> list[Signed]:
    """Statements that open cases, in order, signed and not yet submitted."""
    return [
        conveyor.town.signed(conveyor.town.opening(f"{by.authority.hex()} {number}"), by) for number in range(count)
    ]


def _recorded(conveyor: Conveyor) -> list[bytes]:
    """Every statement in the log, in its order, without the founding."""
    store = conveyor.town.store
    return [decode_entry(data).statement for _, data in store.entries(5, 1_000_000)]


def test_each_submission_is_recorded_and_answered(conveyor: Conveyor):
    """Each statement becomes an entry, and its publisher alone is sent its receipt, which proves it."""
    berlin, paris = _cases(conveyor, 6), _cases(conveyor, 4, FR_PROSECUTOR)
    conveyor.send(*berlin)
    conveyor.send(*paris)
    conveyor.ingest()
    ledger = conveyor.town.ledger

    assert sorted(one.statement for one in (*berlin, *paris)) == sorted(_recorded(conveyor))
    for by, some in ((DE_PROSECUTOR, berlin), (FR_PROSECUTOR, paris)):
        answers = conveyor.answers(by.authority)
        assert [one.statement[:16] for one in some] == [one.statement_id for one in answers]
        for one, answer in zip(some, answers, strict=True):
            receipt = ledger.submit(one)
            assert isinstance(receipt, Receipt)
            assert ("accepted", receipt.index, receipt.proof) == (answer.outcome, answer.index, answer.note)
            assert receipt.entry == answer.entry
            check_receipt(ledger, receipt)
    assert [] == conveyor.set_aside()
    check_everything(ledger)


def test_what_is_delivered_twice_is_recorded_once(conveyor: Conveyor):
    """The same bytes get the same receipt, in the same round, in a later one, and from another agency's client."""
    some = _cases(conveyor, 5)
    conveyor.send(*some, *some)
    conveyor.ingest()
    conveyor.send(*reversed(some))
    conveyor.ingest()
    answers = conveyor.answers(DE_PROSECUTOR.authority)

    assert [one.statement for one in some] == _recorded(conveyor)
    assert 15 == len(answers)
    assert 5 == len({(one.statement_id, one.index, one.note) for one in answers})


@pytest.mark.parametrize("seed", range(3))
def test_what_is_delivered_out_of_order_is_put_in_order(conveyor: Conveyor, seed: int):
    """Shuffled and repeated within what is held, statements are still recorded in their publisher's order."""
    some = _cases(conveyor, 20)
    shuffled = some + random.Random(seed).choices(some, k=7)
    random.Random(seed).shuffle(shuffled)
    conveyor.send(*shuffled)
    conveyor.ingest()

    assert [one.statement for one in some] == _recorded(conveyor)
    assert {"accepted"} == {one.outcome for one in conveyor.answers(DE_PROSECUTOR.authority)}


def test_what_comes_a_little_early_is_held_across_rounds(conveyor: Conveyor):
    """A predecessor that comes in a later round still comes in time; nothing of it was committed before."""
    first, second, third = _cases(conveyor, 3)
    conveyor.send(third)
    conveyor.send(second)
    conveyor.send(first)
    conveyor.ingest(round_size_max=1, early_ms_max=60_000)

    assert [one.statement for one in (first, second, third)] == _recorded(conveyor)


def test_what_lacks_its_predecessor_is_refused_with_what_is_expected(conveyor: Conveyor):
    """Where the predecessor does not come, the publisher is told which sequence it must use, signed by the log."""
    _, second = _cases(conveyor, 2)
    conveyor.send(second)
    conveyor.ingest(early_ms_max=0)
    (answer,) = conveyor.answers(DE_PROSECUTOR.authority)

    assert ("refused", "out_of_order", 0) == (answer.outcome, answer.reason, answer.expected)
    assert answer.note.startswith(b"comity.refusal/v1\n")
    assert [] == _recorded(conveyor)


def test_what_is_held_is_bounded_in_number_and_in_bytes(conveyor: Conveyor):
    """Beyond either bound a statement that came early is refused at once; its predecessor makes room."""
    first, *others = _cases(conveyor, 4)
    size = len(wire.pack_submission(first))
    for bound in ({"early_size_max": 2}, {"early_bytes_max": 2 * size + 40}):
        conveyor.send(*others)
        taking = conveyor.ingest(early_ms_max=200, **bound)
        assert 3 == taking.count.refused
        told = [one.statement_id for one in conveyor.answers(DE_PROSECUTOR.authority)[-3:]]
        assert [others[2], others[0], others[1]] == [
            next(one for one in others if one.statement[:16] == identity) for identity in told
        ]

    assert [] == _recorded(conveyor)


def test_nothing_that_is_sent_is_larger_than_brokers_take():
    """The largest submission, answer and proven entry that their schemas take fit into one batch of a producer."""
    entry, note = bytes(ENTRY_BYTES_MAX), bytes(16_384)
    answer = wire.Told(bytes(16), bytes(32), "accepted", 2**62, 2**54, "x" * 63, "f" * 64, 2**62, note, entry)

    assert len(wire.pack_submission(Signed(bytes(STATEMENT_BYTES_MAX), bytes(64)))) < wire.SUBMISSION_BYTES_MAX
    assert max(len(wire.pack_answer(answer)), len(wire.pack_proven(2**62, entry, note))) < BATCH_BYTES / 10
    assert len(wire.pack_set_aside(1, 2**62, b"", "x" * 63, field="f" * 64, note=note)) < BATCH_BYTES / 10


def test_what_was_refused_may_still_be_accepted(conveyor: Conveyor):
    """A refused statement recorded nothing: sent again in its turn, it is accepted."""
    first, second = _cases(conveyor, 2)
    conveyor.send(second)
    conveyor.ingest(early_ms_max=0)
    conveyor.send(first, second)
    conveyor.ingest()

    assert ["refused", "accepted", "accepted"] == [one.outcome for one in conveyor.answers(DE_PROSECUTOR.authority)]


def test_a_copy_of_what_is_recorded_undoes_no_receipt(conveyor: Conveyor):
    """Sent with a false signature, or under a false place, it is refused under that; the receipt stays the same."""
    (one,) = _cases(conveyor, 1)
    copies = Signed(one.statement, bytes(64)), Signed(one.statement, one.signature, Batch(2, 0, ()))
    conveyor.send(one, *copies, one)
    conveyor.ingest()
    first, *refused, last = conveyor.answers(DE_PROSECUTOR.authority)

    assert first == last
    assert "accepted" == first.outcome
    assert [("unauthenticated", None), ("malformed", None)] == [(said.reason, said.entry) for said in refused]
    for copy, said in zip(copies, refused, strict=True):
        assert said.reason == read_refusal(_asked(conveyor, copy, said.note))["code"]
        with pytest.raises(NotVerified, match="another signed"):
            read_refusal(_asked(conveyor, one, said.note))


def _asked(conveyor: Conveyor, signed: Signed, note: bytes) -> dict[str, Any]:
    """What the publisher kit is asked of a refusal."""
    return {
        "note": note.hex(),
        "origin": ORIGIN,
        "log_keys": conveyor.town.ledger.vkeys(),
        "statement": signed.statement.hex(),
        "signature": signed.signature.hex(),
        "batch": batch_json(signed.batch),
    }


def test_a_rejected_statement_is_answered_with_its_entry(conveyor: Conveyor):
    """It has an index, a reason and an entry without the body; those behind it are judged on their own."""
    town = conveyor.town
    opened, twice = town.opening("one"), town.opening("one")
    some = [town.signed(draft, DE_PROSECUTOR) for draft in (opened, twice, town.opening("another"))]
    conveyor.send(*some)
    conveyor.ingest()
    answers = conveyor.answers(DE_PROSECUTOR.authority)

    assert ["accepted", "rejected", "accepted"] == [one.outcome for one in answers]
    assert "subject_exists" == answers[1].reason
    assert [5, 6, 7] == [one.index for one in answers]
    entry = decode_entry(answers[1].entry or b"")
    assert sha256(some[1].statement).digest() == entry.statement_sha256
    assert named("one") == decode_header(entry.statement).case
    assert len(entry.statement) < len(some[1].statement)


POISON = {
    "empty": (b"", "unreadable"),
    "no value": (None, "unreadable"),
    "no frame": (b"\x01\x00\x00\x00\x01rest", "unreadable"),
    "another schema": (wire.frame("answer") + b"rest", "unreadable"),
    "cut off": (wire.frame("submission") + b"\x80", "unreadable"),
    "too large": (bytes(wire.SUBMISSION_BYTES_MAX + 1), "too_large"),
    "no statement": (wire.pack_submission(Signed(b"nothing", bytes(64))), "malformed"),
}


def test_poison_is_set_aside_and_stops_nobody(conveyor: Conveyor):
    """What is no submission goes to the rejections with its reason, and what stands behind it is recorded."""
    some = _cases(conveyor, len(POISON) + 1)
    partition = 1
    for one, (value, _) in zip(some, POISON.values(), strict=False):
        conveyor.send_raw(wire.pack_submission(one), DE_PROSECUTOR.key.id, partition)
        conveyor.send_raw(value, b"\xff" * 100, partition)
    conveyor.send_raw(wire.pack_submission(some[-1]), DE_PROSECUTOR.key.id, partition)
    conveyor.ingest()
    aside = conveyor.set_aside()

    assert [one.statement for one in some] == _recorded(conveyor)
    assert [reason for _, reason in POISON.values()] == [one["reason"] for one in aside]
    assert [(1, 2 * place + 1) for place in range(len(POISON))] == [(one["partition"], one["offset"]) for one in aside]
    assert [len(value or b"") for value, _ in POISON.values()] == [one["value_bytes"] for one in aside]


def test_what_is_set_aside_is_not_copied(conveyor: Conveyor):
    """A rejection says where the submission lies and its hash: a name in it does not spread."""
    conveyor.send_raw(b"\0\0\0\0\1the name of a person")
    conveyor.ingest()
    (one,) = conveyor.seen(REJECTIONS)

    assert b"the name of a person" not in (one.value or b"")


def test_whoever_is_not_enrolled_gets_no_topic(conveyor: Conveyor):
    """A statement that names an unknown publisher is set aside with the refusal that the log signed."""
    stranger = signer("a stranger")
    conveyor.send(conveyor.town.signed(conveyor.town.opening("forged"), stranger))
    conveyor.ingest()
    (one,) = conveyor.set_aside()

    assert "unauthenticated" == one["reason"]
    assert one["note"].startswith(b"comity.refusal/v1\n")
    assert [] == conveyor.answers(stranger.authority)


def test_a_forgery_is_refused_to_whom_it_names(conveyor: Conveyor):
    """Who is enrolled learns that somebody used his name, and nothing is recorded."""
    draft = conveyor.town.opening("forged")
    forged = conveyor.town.signed(draft, DE_PROSECUTOR)
    conveyor.send(Signed(forged.statement, keyed("another").sign(b"anything")))
    conveyor.ingest()
    (answer,) = conveyor.answers(DE_PROSECUTOR.authority)

    assert ("refused", "unauthenticated") == (answer.outcome, answer.reason)
    assert [] == _recorded(conveyor)


def test_statements_signed_as_a_batch_go_one_by_one(conveyor: Conveyor):
    """The place in a batch travels with each statement, so that each verifies on its own."""
    some = conveyor.town.signed_batch([conveyor.town.opening(f"{number}") for number in range(9)], DE_PROSECUTOR)
    conveyor.send(*some)
    conveyor.ingest()

    assert [one.statement for one in some] == _recorded(conveyor)
    check_everything(conveyor.town.ledger)


def test_two_workers_share_the_submissions(conveyor: Conveyor):
    """A worker that joins takes partitions over amid the work; each statement is recorded once, in order."""
    # The first and the last of three partitions: of two members of a group, none gets both.
    places = {DE_PROSECUTOR: 0, FR_PROSECUTOR: 2}
    sent: dict[bytes, list[bytes]] = {by.authority: [] for by in places}

    def submit(count: int) -> None:
        for by, partition in places.items():
            for _ in range(count):
                case = f"{by.authority.hex()} {len(sent[by.authority])}"
                signed = conveyor.town.signed(conveyor.town.opening(case), by)
                conveyor.send_raw(wire.pack_submission(signed), by.key.id, partition)
                sent[by.authority].append(signed.statement)

    stop = threading.Event()
    workers = [conveyor.ingesting(round_size_max=7, early_ms_max=10_000) for _ in range(2)]
    threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in workers]
    submit(30)
    threads[0].start()
    until(lambda: workers[0].count.recorded > 0)
    submit(30)
    threads[1].start()

    def shared() -> bool:
        submit(1)
        return workers[1].count.recorded > 0

    until(shared)
    until(lambda: len(_recorded(conveyor)) == sum(map(len, sent.values())))
    stop.set()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    for authority, statements in sent.items():
        assert statements == [data for data in _recorded(conveyor) if decode_statement(data).publisher == authority]
    check_everything(conveyor.town.ledger)


def test_a_partition_that_falls_silent_is_noticed(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """A consumer that stops reading one partition without an error is made anew, and reads on."""
    some = _cases(conveyor, 6)
    for one in some[:3]:
        conveyor.send_raw(wire.pack_submission(one), b"", 0)
    here = TopicPartition(conveyor.named(SUBMISSIONS), 0)
    stuck: list[KafkaConsumer] = []
    poll = KafkaConsumer.poll

    def polled(self: KafkaConsumer, **how: object) -> object:
        # The first consumer gives what is there, then nothing of partition 0 any more, and says nothing.
        if here in self.assignment() and self.position(here) >= 3 and stuck in ([], [self]):
            stuck[:] = [self]
            self.pause(here)
        return poll(self, **how)

    monkeypatch.setattr(KafkaConsumer, "poll", polled)
    taking, stop = conveyor.ingesting(silent_seconds=0.3, watch_seconds=0.1), threading.Event()
    running = threading.Thread(target=taking.run, args=(stop,))
    running.start()
    until(lambda: len(_recorded(conveyor)) == 3 and bool(stuck))
    for one in some[3:]:
        conveyor.send_raw(wire.pack_submission(one), b"", 0)
    until(lambda: len(_recorded(conveyor)) == 6)
    stop.set()
    running.join(30)

    assert {here} == set(taking.count.silent)
    assert [one.statement for one in some] == _recorded(conveyor)


def test_a_group_that_never_comes_about_is_joined_anew(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """A coordinator that stands still would keep whoever joins waiting as long as a round may take."""
    some = _cases(conveyor, 3)
    for one in some:
        conveyor.send_raw(wire.pack_submission(one), b"", 0)
    joining: list[KafkaConsumer] = []
    poll = KafkaConsumer.poll

    def polled(self: KafkaConsumer, **how: object) -> object:
        # The first consumer never hears that it has joined.
        if joining in ([], [self]):
            joining[:] = [self]
            return {}
        return poll(self, **how)

    monkeypatch.setattr(KafkaConsumer, "poll", polled)
    taking, stop = conveyor.ingesting(silent_seconds=0.3, watch_seconds=0.1), threading.Event()
    running = threading.Thread(target=taking.run, args=(stop,))
    running.start()
    until(lambda: len(_recorded(conveyor)) == 3)
    stop.set()
    running.join(30)

    assert {TopicPartition(conveyor.named(SUBMISSIONS), 0)} == set(taking.count.silent)
    assert [one.statement for one in some] == _recorded(conveyor)


@pytest.mark.parametrize("asked", ["committed", "commit"])
def test_it_ends_when_told_though_its_brokers_stand_still(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever it asks of them has an end: an ingest that waited for ever would have to be killed."""
    town, broker, stop, still = found(tmp_path / "ledger"), SmallBroker(), threading.Event(), threading.Event()
    ask = getattr(KafkaConsumer, asked)

    def too_late(self: KafkaConsumer, *what: object, **how: object) -> object:
        broker.halt()
        still.set()
        return ask(self, *what, **how)

    monkeypatch.setattr(KafkaConsumer, asked, too_late)
    if asked == "committed":
        monkeypatch.setattr(KafkaConsumer, "poll", lambda *_, **__: {})
    with Conveyor(town, broker.bootstrap, "still", tmp_path, request_ms=1_000) as here:
        here.apply()
        here.send_raw(b"no submission")
        running = threading.Thread(target=here.ingesting(watch_seconds=0.0).run, args=(stop,), daemon=True)
        running.start()
        assert still.wait(60)
        stop.set()
        running.join(30)
        assert not running.is_alive()
    broker.remove()
    town.ledger.close()


def test_the_watch_tells_silence_from_rest():
    """A partition is silent only while it has more and stands still: not at its end, not while it moves."""
    one, two = TopicPartition("submissions", 0), TopicPartition("submissions", 1)
    watch = Watch(10)

    assert [] == watch.silent({one: 5, two: 5}, {one: 9, two: 5}, now=0)
    assert [] == watch.silent({one: 6, two: 5}, {one: 9, two: 5}, now=11)
    assert [] == watch.silent({one: 6, two: 5}, {one: 9, two: 6}, now=20)
    assert [one] == watch.silent({one: 6, two: 5}, {one: 9, two: 6}, now=21)
    assert [one, two] == watch.silent({one: 6, two: 5}, {one: 9, two: 6}, now=40)
    assert [] == watch.silent({two: 6}, {two: 6}, now=50)
    assert "submissions 0" in SilentPartition([one], joined=True).what
    assert "gives this consumer no partition" in SilentPartition([one], joined=False).why


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_a_submission_or_a_fault(data: bytes):
    """Whatever is delivered is decoded or refused with a reason, and nothing else happens."""
    for value in (data, wire.frame("submission") + data):
        try:
            signed = wire.unpack_submission(value)
        except ValueError:
            continue
        assert wire.pack_submission(signed) == value


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_the_publisher_of_any_bytes_is_read_or_not(data: bytes):
    """Who is to be answered is read from the front of a statement without judging the rest."""
    found = wire.publisher_of(data)

    assert found is None or len(found) == 16


def test_the_publisher_of_a_statement_is_the_one_it_names(conveyor: Conveyor):
    """The quick reading and the decoder agree."""
    (one,) = _cases(conveyor, 1)

    assert decode_statement(one.statement).publisher == wire.publisher_of(one.statement)
    assert named("a prosecutor in Berlin") == wire.publisher_of(one.statement)


def test_an_ingest_without_the_key_that_stands_waits_for_it(conveyor: Conveyor):
    """Another process recorded that a key of the log was replaced: nothing is answered, nothing is lost meanwhile."""
    folder, some = conveyor.town.ledger.folder, _cases(conveyor, 3)
    new = LogKey.make(folder / "log.next.key", "ed25519")
    with Ledger.open(folder, clock=conveyor.town.clock) as other:
        town = Town(other, conveyor.town.clock)
        answer = town.say(town.draft("log_key.replaced", LEDGER, replacing(new)), OPERATOR)
        assert getattr(answer, "accepted", False)
    (folder / "log.next.key").rename(folder / "not.here")
    conveyor.send(*some)
    with pytest.raises(Unavailable, match="a key of the log was replaced"):
        conveyor.ingest()
    assert [] == conveyor.answers(DE_PROSECUTOR.authority)

    (folder / "not.here").rename(folder / "log.next.key")
    conveyor.ingest()

    assert ["accepted"] * 3 == [one.outcome for one in conveyor.answers(DE_PROSECUTOR.authority)]
    check_everything(conveyor.town.ledger)


def test_the_replacement_itself_stops_no_partition(conveyor: Conveyor, tmp_path: Path):
    """An ingest that lacks the new key answers `unavailable`, and goes on with what is behind."""
    new = LogKey.make(tmp_path / "elsewhere.key", "ed25519")
    town = conveyor.town
    conveyor.send(town.signed(town.draft("log_key.replaced", LEDGER, replacing(new)), OPERATOR), *_cases(conveyor, 2))
    conveyor.ingest()

    assert ["unavailable"] == [one.reason for one in conveyor.answers(OPERATOR.authority)]
    assert ["accepted"] * 2 == [one.outcome for one in conveyor.answers(DE_PROSECUTOR.authority)]
    check_everything(town.ledger)
