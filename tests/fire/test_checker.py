"""The checker is itself checked: a run that is well has nothing, and each thing planted into it is found."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from ledger.log.tree import Frontier
from tests.fire.checker import KINDS, Delivery, Kept, Outcome, check, evidence
from tests.fire.history import LEAF_DIGITS, History, Line, lines

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 24
TOPIC = "comity.entries"


def leaf(index: int) -> bytes:
    return sha256(b"%d" % index).digest()


def well() -> tuple[list[Line], Outcome]:
    """A run without a fault: three keys in turn, two cases, one reader, one subscriber, one projector."""
    history, kept, held = list[Line](), list[Kept](), dict[int, list[Delivery]]({0: [], 1: []})
    frontier = Frontier()
    for index in range(SIZE):
        at, name, case = float(index), f"{index:032x}", f"case {index % 2}"
        sent = {"id": name, "attempt": 0, "never": False}
        history.append(Line(at, "publisher", "invoke", sent))
        frontier.append(leaf(index))
        one = Kept(
            index, leaf(index), name, f"key {index % 3}", index // 3, case, index // 2, case, index // 2, True, index
        )
        kept.append(one)
        held[index % 2].append(Delivery(index // 2, index, leaf(index).hex()))
        history.append(Line(at + 0.2, "publisher", "ok", {"id": name, "attempt": 0, "index": index, "accepted": True}))
        seen = {"begun_at": at + 0.3, "size": index + 1}
        history.append(Line(at + 0.4, "reader", "size", dict(seen)))
        history.append(Line(at + 0.4, "reader", "root", {**seen, "root": frontier.root().hex()}))
        given = [leaf(one).hex()[:LEAF_DIGITS] for one in range(index // 2, index + 1)]
        history.append(Line(at + 0.5, "reader", "read", {"begun_at": at, "start": index // 2, "leaves": given}))
        delivered = {"topic": TOPIC, "partition": index % 2, "offset": index // 2, "index": index}
        history.append(Line(at + 0.6, "subscriber", "delivered", {**delivered, "leaf": leaf(index).hex()}))
    for number, never in ((98, False), (99, True)):
        name = f"{number:032x}"
        history.append(Line(30.0 + number, "publisher", "invoke", {"id": name, "attempt": 0, "never": never}))
        history.append(Line(30.5 + number, "publisher", "fail", {"id": name, "attempt": 0, "reason": "malformed"}))
    expected = {TOPIC: {0: list(range(0, SIZE, 2)), 1: list(range(1, SIZE, 2))}}
    digests = {"status": "aa", "audit": "bb"}
    return history, Outcome(kept, {TOPIC: held}, expected, {"projector": dict(digests)}, digests, [(kept[3].id, 3)])


def find(history: list[Line], what: str, **data: Any) -> int:
    """The place of the first line of this kind that says this."""
    return next(
        place
        for place, line in enumerate(history)
        if line.what == what and all(line.data.get(name) == value for name, value in data.items())
    )


def altered(history: list[Line], what: str, change: dict[str, Any], **data: Any) -> None:
    place = find(history, what, **data)
    history[place] = replace(history[place], data={**history[place].data, **change})


def without(outcome: Outcome, index: int) -> None:
    """Take an entry out of the log as if it had never been: those behind it move up."""
    behind = outcome.entries[index + 1 :]
    outcome.entries = [*outcome.entries[:index], *(replace(one, index=one.index - 1) for one in behind)]


def lost_acknowledgment(history: list[Line], outcome: Outcome) -> None:
    without(outcome, SIZE - 1)


def lost_by_receipt(history: list[Line], outcome: Outcome) -> None:
    outcome.statements = [("ff" * 16, 3)]


def other_index(history: list[Line], outcome: Outcome) -> None:
    altered(history, "ok", {"index": 6}, index=5)


def other_disposition(history: list[Line], outcome: Outcome) -> None:
    altered(history, "ok", {"accepted": False}, index=5)


def twice(history: list[Line], outcome: Outcome) -> None:
    last = outcome.entries[-1]
    outcome.entries = [*outcome.entries, replace(outcome.entries[4], index=SIZE, recorded_at=last.recorded_at)]


def sequence_twice(history: list[Line], outcome: Outcome) -> None:
    entries = list(outcome.entries)
    entries[9] = replace(entries[9], sequence=2)
    outcome.entries = entries


def refused_recorded(history: list[Line], outcome: Outcome) -> None:
    entries = list(outcome.entries)
    entries[-1] = replace(entries[-1], id=f"{98:032x}")
    outcome.entries = entries


def never_recorded(history: list[Line], outcome: Outcome) -> None:
    """Nobody heard the answer to a statement that can never be taken: it must not be there all the same."""
    del history[find(history, "fail", id=f"{99:032x}")]
    entries = list(outcome.entries)
    entries[-1] = replace(entries[-1], id=f"{99:032x}")
    outcome.entries = entries


def hole_in_the_log(history: list[Line], outcome: Outcome) -> None:
    outcome.entries = [one for one in outcome.entries if one.index != 11]


def hole_in_a_case(history: list[Line], outcome: Outcome) -> None:
    entries = list(outcome.entries)
    entries[10] = replace(entries[10], case_version=6)
    outcome.entries = entries


def sequences_reordered(history: list[Line], outcome: Outcome) -> None:
    entries = list(outcome.entries)
    entries[6], entries[9] = (
        replace(entries[9], index=6, stream_version=3, case_version=3, stream="case 0", case="case 0", recorded_at=6),
        replace(entries[6], index=9, stream_version=4, case_version=4, stream="case 1", case="case 1", recorded_at=9),
    )
    outcome.entries = entries


def clock_went_back(history: list[Line], outcome: Outcome) -> None:
    entries = list(outcome.entries)
    entries[7] = replace(entries[7], recorded_at=2)
    outcome.entries = entries


def late_statement(history: list[Line], outcome: Outcome) -> None:
    """Sent after index 5 was acknowledged, it stands at index 2."""
    for what, at in (("invoke", 5.3), ("ok", 5.4)):
        place = find(history, what, id=f"{2:032x}")
        history[place] = replace(history[place], at=at)


def reads_another_entry(history: list[Line], outcome: Outcome) -> None:
    place = find(history, "read", start=6)
    leaves = list(history[place].data["leaves"])
    leaves[1], leaves[2] = leaves[2], leaves[1]
    altered(history, "read", {"leaves": leaves}, start=6)


def reads_a_hole(history: list[Line], outcome: Outcome) -> None:
    """What every store with numbers from a sequence does at some time: an index passed that was not there yet."""
    place = find(history, "read", start=6)
    altered(history, "read", {"leaves": history[place].data["leaves"][1:]}, start=6)


def reads_beyond(history: list[Line], outcome: Outcome) -> None:
    altered(history, "size", {"size": SIZE + 1}, size=SIZE)


def stale_read(history: list[Line], outcome: Outcome) -> None:
    altered(history, "size", {"size": 7}, size=10)


def stale_after_another(history: list[Line], outcome: Outcome) -> None:
    """No acknowledgment says so, but somebody has seen more before."""
    history.append(Line(50.0, "another", "size", {"begun_at": 49.0, "size": SIZE}))
    history.append(Line(52.0, "reader", "size", {"begun_at": 51.0, "size": SIZE - 1}))


def two_roots(history: list[Line], outcome: Outcome) -> None:
    history.append(Line(40.0, "another", "root", {"begun_at": 3.0, "size": SIZE, "root": "00" * 32}))


def topic_skips(history: list[Line], outcome: Outcome) -> None:
    del outcome.topics[TOPIC][1][4]  # type: ignore[attr-defined]


def topic_reorders(history: list[Line], outcome: Outcome) -> None:
    held = outcome.topics[TOPIC][1]
    held[4], held[5] = held[5], held[4]  # type: ignore[index]


def topic_ends_early(history: list[Line], outcome: Outcome) -> None:
    del outcome.topics[TOPIC][1][-2:]  # type: ignore[attr-defined]


def topic_with_other_bytes(history: list[Line], outcome: Outcome) -> None:
    held = outcome.topics[TOPIC][0]
    held[3] = replace(held[3], leaf=leaf(77).hex())  # type: ignore[index]


def topic_with_what_is_anothers(history: list[Line], outcome: Outcome) -> None:
    outcome.topics[TOPIC][0].insert(2, Delivery(9, 3, leaf(3).hex()))  # type: ignore[attr-defined]


def subscriber_skips(history: list[Line], outcome: Outcome) -> None:
    del history[find(history, "delivered", index=8)]


def wrong_digest(history: list[Line], outcome: Outcome) -> None:
    outcome.digests["projector"]["audit"] = "cc"  # type: ignore[index]


def no_digest(history: list[Line], outcome: Outcome) -> None:
    del outcome.digests["projector"]["audit"]  # type: ignore[attr-defined]


def unanswered(history: list[Line], outcome: Outcome) -> None:
    history.append(Line(60.0, "publisher", "invoke", {"id": "ab" * 16, "attempt": 0, "never": False}))


PLANTED: list[tuple[str, Callable[[list[Line], Outcome], None]]] = [
    ("lost", lost_acknowledgment),
    ("lost", lost_by_receipt),
    ("lost", other_index),
    ("changed", other_disposition),
    ("duplicate", twice),
    ("duplicate", sequence_twice),
    ("refused recorded", refused_recorded),
    ("refused recorded", never_recorded),
    ("gap", hole_in_the_log),
    ("gap", hole_in_a_case),
    ("disorder", sequences_reordered),
    ("disorder", clock_went_back),
    ("late", late_statement),
    ("not a prefix", reads_another_entry),
    ("not a prefix", reads_a_hole),
    ("not a prefix", reads_beyond),
    ("stale", stale_read),
    ("stale", stale_after_another),
    ("fork", two_roots),
    ("skipped", topic_skips),
    ("skipped", topic_reorders),
    ("unfinished", topic_ends_early),
    ("foreign", topic_with_other_bytes),
    ("foreign", topic_with_what_is_anothers),
    ("skipped", subscriber_skips),
    ("wrong digest", wrong_digest),
    ("wrong digest", no_digest),
    ("unanswered", unanswered),
]


def test_a_run_that_is_well_has_no_anomaly():
    """Nothing is found where nothing is; every operation is counted by its outcome."""
    history, outcome = well()
    report = check(history, outcome)
    assert () == report.anomalies
    assert {"ok": SIZE, "fail": 2} == dict(report.operations)
    assert 0 == report.without_availability


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=lambda one: getattr(one, "__name__", None))
def test_what_is_planted_is_found(kind, plant):
    """One thing wrong in one place: the checker says what it is, and names it."""
    history, outcome = well()
    plant(history, outcome)
    report = check(history, outcome)
    assert kind in {one.kind for one in report.anomalies}
    for one in report.anomalies:
        assert one.indexes or one.ids or one.kind == "wrong digest"


def test_every_kind_of_anomaly_is_planted_somewhere():
    """A kind that no test plants could be one that is never found."""
    assert {kind for kind, _ in PLANTED} == set(KINDS)


def test_duplicates_are_no_anomaly_for_who_ignores_what_he_has_passed():
    """Whoever dies sends again: a topic may hold an entry twice, and a subscriber may begin anew."""
    history, outcome = well()
    held = outcome.topics[TOPIC][0]
    outcome.topics[TOPIC] = {**outcome.topics[TOPIC], 0: [*held[:5], *held[2:]]}  # type: ignore[index]
    again = [line for line in history if line.what == "delivered"]
    history += [replace(line, at=line.at + 100) for line in again]
    assert () == check(history, outcome).anomalies


def test_a_statement_of_unknown_outcome_may_be_there_or_not():
    """It counts as unanswered, and as nothing worse, whether it is in the log or is not."""
    history, outcome = well()
    del history[find(history, "ok", index=SIZE - 1)]
    assert {"unanswered"} == {one.kind for one in check(history, outcome).anomalies}
    # Refused once, but sent before with an unknown outcome: it may have been recorded.
    history.append(Line(70.0, "publisher", "invoke", {"id": f"{SIZE - 1:032x}", "attempt": 1, "never": False}))
    history.append(Line(70.1, "publisher", "fail", {"id": f"{SIZE - 1:032x}", "attempt": 1, "reason": "out_of_order"}))
    assert {"unanswered"} == {one.kind for one in check(history, outcome).anomalies}


def test_time_without_availability_is_counted_beyond_the_first_second():
    """From the moment somebody waits until somebody is answered."""
    sent = {"id": "aa", "attempt": 0, "never": False}
    history = [
        Line(1.0, "one", "invoke", sent),
        Line(1.5, "one", "ok", {**sent, "index": 0, "accepted": True}),
        Line(20.0, "one", "invoke", {**sent, "id": "bb"}),
        Line(25.0, "one", "ok", {**sent, "id": "bb", "index": 1, "accepted": True}),
    ]
    assert 4.0 == check(history, Outcome([])).without_availability


def test_the_evidence_is_short_and_names_the_faults(tmp_path):
    """Of a long history only what concerns the statement, and what was broken then; and it comes from the file."""
    file = History(tmp_path / "history.jsonl")
    file.add("nemesis", "fault", kind="kill", target="gateway-0", seconds=1.0)
    for line in well()[0]:
        file.add(line.who, line.what, **line.data)
    file.close()
    history = list(lines(tmp_path / "history.jsonl"))
    outcome = well()[1]
    without(outcome, SIZE - 1)
    anomaly = next(one for one in check(history, outcome).anomalies if one.kind == "lost")
    shown = evidence(anomaly, history)
    assert len(shown) < 30
    assert any("gateway-0" in one for one in shown)
    assert any(anomaly.ids[0] in one for one in shown)
