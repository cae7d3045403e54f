"""
The outbox as a protocol, played against a ledger that crashes and a network that loses, repeats and delays.

The publisher here does what ``docs/publisher-kit/outbox.md`` says and nothing else: what it may remember across
a crash is what it made durable before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from kit.outbox import UNKNOWN, Answer, Pending, Settled, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Sent:
    """
    The bytes of a statement: its id, its sequence, whether what it says can be admitted; how often it was signed.

    A copy that is forged has the same bytes under a signature that is not the publisher's.
    """

    id: str
    sequence: int
    good: bool
    signed: int = field(default=1, compare=False)
    forged: bool = field(default=False, compare=False)


@dataclass
class ModelLedger:
    """What a log does with one key: entries are durable, answers are not."""

    entries: list[Sent] = field(default_factory=list)

    def submit(self, sent: Sent) -> Answer:
        """Judge in the order of the log: what it says, its id, its sequence."""
        if not sent.good:
            return Answer("refused", code="malformed")
        if sent.forged:
            return Answer("refused", code="unauthenticated")
        for index, entry in enumerate(self.entries):
            if entry.id == sent.id:
                return Answer("accepted", index) if entry == sent else Answer("refused", code="id_reused")
        expected = len(self.entries)
        if sent.sequence != expected:
            code = "sequence_reused" if sent.sequence < expected else "out_of_order"
            return Answer("refused", code=code, expected=expected)
        self.entries.append(sent)
        return Answer("accepted", expected)


@dataclass
class Durable:
    """What of a publisher survives a crash."""

    pending: list[Sent] = field(default_factory=list)
    next: int = 0
    earlier: dict[str, list[Sent]] = field(default_factory=dict, kw_only=True)
    answered: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class ModelPublisher:
    """The protocol, step by step; each ``self.durable = ...`` is one transaction."""

    settling: ClassVar[Callable[..., Settled]] = staticmethod(settle)

    def __init__(self) -> None:
        self.durable = Durable()
        self.heard: dict[str, Answer] = {}

    def sign(self, statement_id: str, *, good: bool) -> None:
        """Sign, number and store in one transaction; only then may it be sent."""
        was = self.durable
        sent = Sent(statement_id, was.next, good)
        self.durable = Durable([*was.pending, sent], was.next + 1, was.answered, was.refused, earlier=was.earlier)

    def hear(self, sent: Sent, answer: Answer) -> None:
        """A receipt counts for whatever bytes were ever signed under its id, a refusal for those pending alone."""
        if sent.forged:
            return  # the refusal names another signature
        received = self.heard.get(sent.id, UNKNOWN).outcome == "accepted"
        if answer.outcome == "accepted" or (sent in self.durable.pending and not received):
            self.heard[sent.id] = answer

    def settle(self) -> None:
        """Settle in one transaction; what was heard is forgotten, for the bytes may be others now."""
        was = self.durable
        settled = self.settling(
            [Pending(one.id, one.sequence, one.signed) for one in was.pending], was.next, self.heard
        )
        receipts = {one: answer.index for one, answer in self.heard.items() if answer.index is not None}
        answered = {**was.answered, **receipts}
        codes = {one: self.heard[one].code or "" for one in settled.refused}
        refused = {one: code for one, code in {**was.refused, **codes}.items() if one not in answered}
        again = {one.id: one for one in settled.sign_again}
        kept = [one for one in was.pending if one.id not in {*settled.answered, *settled.refused}]
        earlier = {one.id: [*was.earlier.get(one.id, []), *([one] if one.id in again else [])] for one in kept}
        kept = [
            Sent(one.id, again[one.id].sequence, one.good, again[one.id].signed) if one.id in again else one
            for one in kept
        ]
        self.durable = Durable(kept, settled.next, answered, refused, earlier=earlier)
        self.heard = {}

    def outgoing(self) -> list[Sent]:
        """What a round sends: every form that each pending statement ever had, the oldest first."""
        durable = self.durable
        return [form for one in durable.pending for form in (*durable.earlier.get(one.id, []), one)]

    def crash(self) -> None:
        """Forget what was not durable."""
        self.heard = {}


class Network(RuleBasedStateMachine):
    """Any order of sending, losing, repeating, delaying and crashing that Hypothesis can think of."""

    made: ClassVar[type[ModelPublisher]] = ModelPublisher

    @initialize()
    def begin(self) -> None:
        """An empty log and an empty outbox."""
        self.ledger = ModelLedger()
        self.publisher = self.made()
        self.submissions: list[Sent] = []
        self.answers: list[tuple[Sent, Answer]] = []
        self.said: list[tuple[str, bool]] = []

    @rule(good=st.booleans())
    def say(self, good: bool) -> None:
        """The publisher says something; some of it can never be admitted."""
        name = f"s{len(self.said)}"
        self.said.append((name, good))
        self.publisher.sign(name, good=good)

    @rule()
    def send(self) -> None:
        """All that is pending is sent, or sent again."""
        self.submissions += self.publisher.outgoing()

    @precondition(lambda self: self.submissions)
    @rule(data=st.data(), repeated=st.booleans(), crashed=st.sampled_from(["no", "before", "after"]))
    def arrive(self, data: st.DataObject, repeated: bool, crashed: str) -> None:
        """One submission arrives, in any order, perhaps twice; the ledger may crash before or after it is durable."""
        at = data.draw(st.integers(0, len(self.submissions) - 1))
        sent = self.submissions[at] if repeated else self.submissions.pop(at)
        if crashed == "before":
            return
        answer = self.ledger.submit(sent)
        if crashed == "no":
            self.answers.append((sent, answer))

    @precondition(lambda self: self.submissions)
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        """Somebody who saw a submission sends its bytes with a false signature; the log answers the publisher."""
        copy = replace(data.draw(st.sampled_from(self.submissions)), forged=True)
        self.answers.append((copy, self.ledger.submit(copy)))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), repeated=st.booleans(), lost=st.booleans())
    def answer(self, data: st.DataObject, repeated: bool, lost: bool) -> None:
        """One answer arrives, in any order, perhaps twice, perhaps never."""
        at = data.draw(st.integers(0, len(self.answers) - 1))
        sent, answer = self.answers[at] if repeated else self.answers.pop(at)
        if not lost:
            self.publisher.hear(sent, answer)

    @rule()
    def settle(self) -> None:
        """A round ends."""
        self.publisher.settle()

    @rule()
    def crash(self) -> None:
        """The publisher is killed, and starts again."""
        self.publisher.crash()

    @invariant()
    def nothing_is_in_the_log_twice(self) -> None:
        """Whatever is repeated: an id stands there once."""
        ids = [entry.id for entry in self.ledger.entries]
        assert len(ids) == len(set(ids))

    @invariant()
    def what_the_publisher_holds_to_be_recorded_is(self) -> None:
        """A receipt is never believed of what is not there."""
        index = {entry.id: number for number, entry in enumerate(self.ledger.entries)}
        assert all(index.get(one) == number for one, number in self.publisher.durable.answered.items())

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Whatever was said is pending, answered or refused, and of these only one."""
        durable = self.publisher.durable
        kept = [*(one.id for one in durable.pending), *durable.answered, *durable.refused]
        assert sorted(kept) == sorted(name for name, _ in self.said)

    def teardown(self) -> None:
        """When the network is quiet again, everything good is in the log once, in order, and known to be."""
        if not hasattr(self, "publisher"):
            return
        for sent in self.submissions:
            self.answers.append((sent, self.ledger.submit(sent)))
        for sent, answer in self.answers:
            self.publisher.hear(sent, answer)
        # One round for each refusal, one to follow the log after it, one to begin with.
        for _ in range(2 * len(self.said) + 2):
            self.publisher.settle()
            if not self.publisher.durable.pending:
                break
            for sent in self.publisher.outgoing():
                self.publisher.hear(sent, self.ledger.submit(sent))
        durable = self.publisher.durable
        good = [name for name, can_be in self.said if can_be]
        assert not durable.pending
        assert set(good) == durable.answered.keys()
        assert {name for name, can_be in self.said if not can_be} == durable.refused.keys()
        assert good == [entry.id for entry in self.ledger.entries]


Network.TestCase.settings = settings(
    deadline=None, max_examples=100, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)
test_the_protocol_holds_whatever_the_network_does = Network.TestCase


# --- each rule of the protocol is needed ---


def hasty(pending: Sequence[Pending], following: int, answers: Mapping[str, Answer]) -> Settled:
    """As ``settle``, but what is unknown behind a refusal counts as refused, and is signed anew."""
    unknown = Answer("refused", code="out_of_order")
    return settle(pending, following, {one.id: unknown for one in pending} | dict(answers))


class Hasty(ModelPublisher):
    """Signs anew what may be in the log, sends that alone, and takes ``id_reused`` for a judgement."""

    settling = staticmethod(hasty)

    def settle(self) -> None:
        """Forget that anything was signed before."""
        self.durable.pending = [replace(one, signed=1) for one in self.durable.pending]
        self.durable.earlier = {}
        super().settle()

    def outgoing(self) -> list[Sent]:
        """Send only what was signed last."""
        return self.durable.pending


class Forgetful(ModelPublisher):
    """Knows a receipt only for the bytes that are pending now."""

    def hear(self, sent: Sent, answer: Answer) -> None:
        """Ignore what was signed before."""
        if sent in self.durable.pending:
            super().hear(sent, answer)


class Credulous(ModelPublisher):
    """Believes the newest answer, and lets a refusal undo a receipt."""

    def hear(self, sent: Sent, answer: Answer) -> None:
        """Whatever bytes were refused."""
        self.heard[sent.id] = answer


class Gullible(ModelPublisher):
    """Takes the refusal of a forged copy for one of what it sent."""

    def hear(self, sent: Sent, answer: Answer) -> None:
        """Look at the hash of the statement alone."""
        super().hear(replace(sent, forged=False), answer)


class Careless(ModelPublisher):
    """Sends before it has stored: a crash forgets what was said."""

    def crash(self) -> None:
        """Lose the last statement, which was sent."""
        was = self.durable
        self.durable = Durable(was.pending[:-1], was.next - 1, was.answered, was.refused)
        super().crash()


def receipt_lost_and_an_old_refusal_late(net: Network) -> None:
    """The second comes first and is refused; sent again it is recorded, and only the refusal is heard."""
    first, second = said(net, "first", "second")
    late = net.ledger.submit(second)
    net.publisher.hear(first, net.ledger.submit(first))
    net.ledger.submit(second)
    net.publisher.hear(second, late)
    net.publisher.settle()


def receipt_of_earlier_bytes(net: Network) -> None:
    """The second is signed anew, while its earlier bytes are still on their way."""
    first, second = said(net, "first", "second")
    refused = net.ledger.submit(second)
    net.publisher.hear(first, net.ledger.submit(first))
    net.publisher.hear(second, refused)
    net.publisher.settle()
    net.publisher.hear(second, net.ledger.submit(second))
    net.publisher.settle()


def refusal_after_the_receipt(net: Network) -> None:
    """It was sent before its key was certified and after: the refusal of then is heard after the receipt."""
    (first,) = said(net, "first")
    net.publisher.hear(first, net.ledger.submit(first))
    net.publisher.hear(first, Answer("refused", code="unauthenticated"))
    net.publisher.settle()


def copy_with_a_false_signature(net: Network) -> None:
    """Somebody sends the same bytes with a false signature: the log refuses them, and says so to their publisher."""
    (first,) = said(net, "first")
    copy = replace(first, forged=True)
    net.publisher.hear(copy, net.ledger.submit(copy))
    net.publisher.settle()


def crash_after_sending(net: Network) -> None:
    """It was sent, and the publisher crashes before the answer comes."""
    (first,) = said(net, "first")
    net.ledger.submit(first)
    net.publisher.crash()


def said(net: Network, *names: str) -> list[Sent]:
    """Let the publisher say these things, all of which can be admitted."""
    for name in names:
        net.said.append((name, True))
        net.publisher.sign(name, good=True)
    return net.publisher.durable.pending


@pytest.mark.parametrize(
    ("publisher", "what"),
    [
        (Hasty, receipt_lost_and_an_old_refusal_late),
        (Forgetful, receipt_of_earlier_bytes),
        (Credulous, refusal_after_the_receipt),
        (Gullible, copy_with_a_false_signature),
        (Careless, crash_after_sending),
    ],
)
def test_each_rule_of_the_protocol_is_needed(publisher: type[ModelPublisher], what: Callable[[Network], None]):
    """What the whole protocol survives, the one that lacks a rule does not."""
    whole = Network()
    whole.begin()
    what(whole)
    whole.nothing_is_forgotten()
    whole.teardown()

    lacking = Network()
    lacking.begin()
    lacking.publisher = publisher()
    what(lacking)
    with pytest.raises(AssertionError):
        all_invariants(lacking)


def all_invariants(net: Network) -> None:
    """Whatever must hold, now and at the end."""
    net.nothing_is_forgotten()
    net.what_the_publisher_holds_to_be_recorded_is()
    net.teardown()
