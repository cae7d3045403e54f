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
    """A signed statement without an answer: its id, and the sequence with which it was signed."""

    id: str
    sequence: int


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


def settle(pending: Sequence[Pending], following: int, answers: Mapping[str, Answer]) -> Settled:
    """
    Return what follows from a round of answers.

    Receipts count wherever they stand. Of refusals only the first counts: those behind it were judged while
    a number was missing before them. A refusal about the sequence moves it and everything behind it to
    what the log expects; any other takes it out, frees its number, and moves those behind it up.

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
        elif answer.outcome == "refused" and answer.code not in AGAIN_CODES:
            refusal = answer
            sequence = item.sequence
            if answer.code in ORDER_CODES:
                sequence = item.sequence if answer.expected is None else answer.expected
                behind.append(item)
            else:
                refused = (item.id,)
        else:
            resend.append(item.id)
    again = tuple(Pending(item.id, sequence + offset) for offset, item in enumerate(behind))
    after = following if refusal is None else sequence + len(again)
    return Settled(tuple(answered), refused, tuple(resend), again, after)
