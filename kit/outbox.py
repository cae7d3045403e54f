"""
The outbox as a protocol: what follows from what the log answered. Standard library only.

A publisher keeps, for each signing key, what it has signed and has no answer to (*pending*), in order of
sequence, and the sequence that comes *next*. One round sends all that is pending and then settles.
What must be durable before what stands in ``docs/publisher-kit/outbox.md``; ``tests/kit/test_protocol.py``
plays this function against a ledger that crashes, answers late, and answers twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ORDER_CODES: Final = frozenset({"out_of_order", "sequence_reused"})
"""Refusals that are about the sequence alone: the log counts otherwise than this outbox."""

AGAIN_CODES: Final = frozenset({"unavailable"})
"""No judgement: the same bytes are sent again."""


@dataclass(frozen=True, slots=True)
class Pending:
    """
    A signed statement without an answer.

    Attributes:
        id: of the statement, which never changes.
        sequence: with which it was signed last.
        signed: how often it was signed; beyond 1, earlier bytes with this id may be in the log.
    """

    id: str
    sequence: int
    signed: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the log said to a statement, matched by the SHA-256 of the bytes that were sent.

    Attributes:
        outcome: ``accepted``, ``rejected`` (both are receipts), ``refused``, or ``unknown`` where nothing came.
        index: of the entry, with a receipt.
        code: of a refusal.
        expected: the sequence that the log wants next, with the refusals that are about the sequence.
    """

    outcome: str
    index: int | None = None
    code: str | None = None
    expected: int | None = None


UNKNOWN: Final = Answer("unknown")


@dataclass(frozen=True, slots=True)
class Settled:
    """
    What one durable transaction now does.

    Attributes:
        answered: ids with a receipt: they leave the outbox.
        refused: ids that the log refused for what they say: they leave it, and are kept to be shown.
        resend: ids whose bytes stay as they are.
        sign_again: ids with the sequence under which their statement is encoded and signed anew; ids stay.
        next: the sequence that the next new statement gets.
    """

    answered: tuple[str, ...]
    refused: tuple[str, ...]
    resend: tuple[str, ...]
    sign_again: tuple[Pending, ...]
    next: int


def _judged(item: Pending, answer: Answer) -> bool:
    """Whether this is a refusal of these bytes: not where earlier bytes of the same id may be in the log."""
    if answer.outcome != "refused" or answer.code in AGAIN_CODES:
        return False
    return answer.code != "id_reused" or item.signed == 1


def settle(pending: Sequence[Pending], following: int, answers: Mapping[str, Answer]) -> Settled:
    """
    Return what follows from a round of answers.

    Receipts count wherever they stand. Of refusals only the first counts: those behind it were judged while
    a number was missing before them. A refusal about the sequence moves it and everything behind it to
    what the log expects; any other takes it out, frees its number, and moves those behind it up.

    Nothing is signed anew whose answer is unknown: it may stand in the log already, and its id would then be
    there with other bytes. Where one that is unknown stands behind the refusal, all are sent once more as they
    are. For the same reason ``id_reused`` is no judgement of what was signed more than once: every form that it
    ever had is sent, and one of them has its receipt.

    Args:
        pending: what was sent, by ascending sequence.
        following: the sequence that the next new statement would get.
        answers: by id; an id without one is unknown.

    Cost: O(pending).
    """
    answered: list[str] = []
    resend: list[str] = []
    behind: list[Pending] = []
    refusal: Answer | None = None
    refused: tuple[str, ...] = ()
    sequence = following
    for item in pending:
        answer = answers.get(item.id, UNKNOWN)
        if answer.outcome in {"accepted", "rejected"}:
            answered.append(item.id)
        elif refusal is not None:
            behind.append(item)
        elif _judged(item, answer):
            refusal = answer
            sequence = item.sequence
            if answer.code in ORDER_CODES:
                sequence = item.sequence if answer.expected is None else answer.expected
                behind.append(item)
            else:
                refused = (item.id,)
        else:
            resend.append(item.id)
    if not all(_judged(item, answers.get(item.id, UNKNOWN)) for item in behind):
        return Settled(tuple(answered), refused, (*resend, *(item.id for item in behind)), (), following)
    again = tuple(Pending(item.id, sequence + offset, item.signed + 1) for offset, item in enumerate(behind))
    after = following if refusal is None else sequence + len(again)
    return Settled(tuple(answered), refused, tuple(resend), again, after)
