"""What an outbox does after a round of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.group import Group
from kit.sample import PLAIN, Row

if TYPE_CHECKING:
    from collections.abc import Mapping


def outboxes() -> Group:
    """What an outbox does after a round of answers."""
    group = Group("outbox")
    taken: Row = {"outcome": "accepted", "index": 10}
    noted: Row = {"outcome": "rejected", "index": 11}

    def case(says: str, answers: Mapping[str, Row], *, first: int = 4, ids: str = "abcd", signed: int = 1) -> None:
        pending = [{"id": one, "sequence": first + place, "signed": signed} for place, one in enumerate(ids)]
        group.add(says, "settle", {"pending": pending, "next": first + len(ids), "answers": dict(answers)})

    case("nothing was sent", {}, ids="")
    case("no answer came: the same bytes again", {})
    case("all have their receipts", dict.fromkeys("abcd", taken))
    case("a rejected statement has its receipt too", {"a": taken, "b": noted, "c": taken, "d": taken})
    case("the answers of the last two were lost", {"a": taken, "b": taken})
    case("the answer of the first was lost", {"b": taken, "c": taken, "d": taken})
    case("the log cannot take them now", {one: {"outcome": "refused", "code": "unavailable"} for one in "abcd"})
    behind = {"outcome": "refused", "code": "out_of_order", "expected": 5}
    for code in ("malformed", "unauthenticated", "wrong_ledger", "id_reused", "too_large", "draft_act"):
        said = {"outcome": "refused", "code": code}
        case(
            f"the second is refused, {code}: those behind it move up", {"a": taken, "b": said, "c": behind, "d": behind}
        )
    malformed = {"outcome": "refused", "code": "malformed"}
    case("the last is refused", {"a": taken, "b": taken, "c": taken, "d": malformed})
    case("the first is refused, and of those behind it nothing is known: they stay as they are", {"a": malformed})
    case("only the first of two refusals counts", {"a": malformed, "b": malformed, "c": behind, "d": behind})
    case("of the last nothing is known: it may be in the log", {"a": malformed, "b": behind, "c": behind})
    there = {"outcome": "refused", "code": "id_reused"}
    case("signed twice: earlier bytes have the id", {"a": there, "b": behind, "c": behind, "d": behind}, signed=2)
    case("signed twice, and refused all the same", dict.fromkeys("abcd", malformed), signed=2)
    now = {"outcome": "refused", "code": "unavailable"}
    case("not now is not known", {"a": malformed, "b": behind, "c": behind, "d": now})
    case("the order is wrong, and of the last nothing is known", {"a": behind, "b": behind, "c": behind})
    reused = {"outcome": "refused", "code": "sequence_reused", "expected": 9}
    case("the outbox counts too low: it follows the log", dict.fromkeys("abcd", reused))
    early = {"outcome": "refused", "code": "out_of_order", "expected": 2}
    case("the outbox counts too high: it follows the log", dict.fromkeys("abcd", early))
    fits = {**reused, "expected": 6}
    case("the outbox counts too low, and a later one fits", {"a": fits, "b": fits, "c": taken, "d": taken})
    case("an answer to what is not pending changes nothing", {"z": malformed, "a": taken})
    for sequence in (5, 63, 64, 8191, 8192):
        given = {"statement": PLAIN.hex(), "sequence": sequence}
        group.add("a statement with another sequence keeps its id", "sign_again", given)
    return group
