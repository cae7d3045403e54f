"""Status: the stage at any two instants, what can come next, and what is open."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from ledger.domain.folding import fold
from ledger.errors import NotFound
from ledger.law.law import load as law
from ledger.statement import Speaker
from projections import status
from projections.facts import id_text
from tests.projections.build import Log, a_log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.views import Views

    Follow = Callable[[Log], Views]


@pytest.fixture
def log() -> Log:
    log = Log()
    log.enrol("Berlin", "DE")
    log.enrol("Lille", "FR")
    log.enrol("Paris", "FR")
    log.say("case.opened", log.case, "Berlin", "2020-01-01")
    log.say("request.issued", "r", "Berlin", "2020-01-02", requested_country="FR")
    return log


def test_a_stage_is_right_at_both_clocks(views: Follow, log: Log):
    """What is known late is told late; asked what had happened, it is told in its place."""
    log.say("request.transmitted", "r", "Berlin", "2020-01-03", to=some_id("Lille"))
    log.say("request.recognised", "r", "Lille", "2020-02-01")
    log.say("request.received", "r", "Lille", "2020-01-05", known="2020-03-01")
    view = views(log)

    def stage(**clocks: int) -> tuple[str, int]:
        found = status.thing(view, some_id("r"), **clocks)
        return found.stage, found.index

    assert ("recognised", 6) == stage()
    assert ("transmitted", 5) == stage(happened_by=on("2020-01-04"))
    assert ("received", 7) == stage(happened_by=on("2020-01-31"))
    assert ("transmitted", 5) == stage(happened_by=on("2020-01-31"), known_by=on("2020-01-31"))
    now = status.thing(view, some_id("r"))
    assert [4, 5, 7, 6] == [step.index for step in now.steps]
    assert [False] * 4 == [step.out_of_procedure for step in now.steps]
    # The late half was not there: recognition without receipt was out of procedure, as then known.
    then = status.thing(view, some_id("r"), known_by=on("2020-02-28"))
    assert [False, False, True] == [step.out_of_procedure for step in then.steps]
    with pytest.raises(NotFound):
        status.thing(view, some_id("r"), happened_by=on("2020-01-01"))


def test_what_can_come_next_is_what_the_graph_has(views: Follow, log: Log):
    """The same acts, words and stages that the procedure of its instrument names from there, on its day."""
    log.say("request.transmitted", "r", "Berlin", "2020-01-03", to=some_id("Lille"))
    found = status.thing(views(log), some_id("r"))
    order = law().at(date(2020, 1, 2)).procedure("eu-eio-2014-41")
    following = order.next("request", "transmitted", found.sides)
    assert [(n.act, n.words, n.by, n.to) for n in following] == [(n.act, n.words, n.by, n.leads_to) for n in found.next]
    assert "request.received" in {n.act for n in found.next}


def test_a_closed_request_is_closed_next_by_the_other_side_alone(views: Follow, log: Log):
    """Each side closes a request once: what one has said does not come next for it, and nothing once both have."""
    words = law().at(date(2020, 1, 2)).procedure("eu-eio-2014-41").each_once["request.closed"]

    def closing() -> list[tuple[str, tuple[str, ...]]]:
        found = status.thing(views(log), some_id("r"))
        return [(step.words, step.by) for step in found.next if step.act == "request.closed"]

    log.say("request.withdrawn", "r", "Berlin", "2020-01-03")
    assert [("requesting", "requested")] == [by for _, by in closing()]
    assert words not in {said for said, _ in closing()}

    log.say("request.closed", "r", "Lille", "2020-01-04")
    assert [(words, ("requesting",))] == closing()

    log.say("request.closed", "r", "Paris", "2020-01-05")  # of the same State, hence the same side
    assert [(words, ("requesting",))] == closing()

    log.say("request.closed", "r", "Berlin", "2020-01-06")
    assert [] == closing()
    assert [] == [step.act for step in status.thing(views(log), some_id("r")).steps if step.out_of_procedure]


def test_a_stage_is_that_of_the_domain(views: Follow):
    """Asked without clocks, every thing stands where the domain's own fold by what happened puts it."""
    log = a_log(11, 60)
    view = views(log)
    streams: dict[bytes, list[object]] = {}
    corrected = {r.statement.corrects for r in log.recorded}
    for entry in log.recorded:
        accepted = entry.entry.accepted and entry.statement.id not in corrected
        if accepted and entry.statement.subject != log.case:
            streams.setdefault(entry.statement.subject, []).append(entry)
    compared = 0
    for subject, said in streams.items():
        found = status.thing(view, subject)
        if found.steps[0].stage_before is None and found.thing_kind in {"request", "disclosure"}:
            folded = fold(said, order="happened")  # type: ignore[arg-type]
            assert folded is not None
            assert (folded.stage, folded.moved) == (found.stage, found.index)
            compared += 1
    assert compared > 5


def test_a_corrected_act_counts_no_more_once_that_is_known(views: Follow, log: Log):
    """It stays listed, with the correction; before the correction was known, it counted."""
    wrong = log.say("request.refused", "r", "Lille", "2020-02-01")
    log.say("statement.corrected", "r", "Lille", "2020-02-10", corrects=wrong)
    view = views(log)
    now = status.thing(view, some_id("r"))
    assert "issued" == now.stage
    assert [None, 6, None] == [step.corrected_by for step in now.steps]
    assert "issued" != status.thing(view, some_id("r"), known_by=on("2020-02-05")).stage


def test_a_half_waits_for_the_other_and_a_report_never_completes_it(views: Follow, log: Log):
    """Sent and not received; received by report only; received by him to whom it was sent."""

    def halves() -> list[tuple[str, str, int | None]]:
        found = status.case(views(log), log.case).unmatched
        return [(half.act, half.awaits, half.reported_index) for half in found]

    log.say("request.transmitted", "r", "Berlin", "2020-01-03", to=some_id("Lille"))
    assert [("request.transmitted", "request.received", None)] == halves()
    speaker = Speaker(authority=some_id("Lille"), source="a judgment")
    log.say("request.received", "r", "Berlin", "2020-01-04", voice_of=speaker)
    assert [("request.transmitted", "request.received", 6)] == halves()
    # Another authority of the State to which it was sent may receive it.
    log.say("request.received", "r", "Paris", "2020-01-05")
    assert [] == [half for half in halves() if half[0] == "request.transmitted"]


def test_a_receipt_without_a_sending_is_a_half_too(views: Follow, log: Log):
    """A receipt whose sending nobody recorded waits for its other half."""
    log.say("exhibit.acquired", "x", "Lille", source_country="FR")
    log.say("exhibit.taken_over", "x", "Paris", from_authority=some_id("Lille"))
    (half,) = status.thing(views(log), some_id("x")).unmatched
    assert ("exhibit.taken_over", "exhibit.handed_over", "Lille") == (
        half.act,
        half.awaits,
        half.by and half.by.designation,
    )


def test_consultations_and_challenges_are_open_until_they_are_not(views: Follow, log: Log):
    """By the statement answered; a challenge with its forum, what it suspends and how it ended."""
    first = log.say("consultation.opened", "r", "Lille", "2020-01-06")
    second = log.say("consultation.opened", "r", "Lille", "2020-01-07")
    log.say("consultation.concluded", "r", "Lille", "2020-01-08", replies_to=(second,))
    log.say("challenge.lodged", "c", "Paris", "2020-01-09", forum=some_id("Paris"), target=first)
    log.say("suspension.decided", "c", "Paris", "2020-01-10", suspended="use", granted=True)
    log.say("challenge.decided", "c", "Paris", "2020-03-01", outcome="dismissed")
    view = views(log)
    then = status.case(view, log.case, happened_by=on("2020-02-01"))
    assert [(5, "consultation.opened")] == [(o.index, o.act) for o in then.open]
    (challenge,) = then.challenges
    assert ("Paris", id_text(first), ("use",), None) == (
        challenge.forum.designation,
        challenge.target,
        challenge.suspends,
        challenge.outcome,
    )
    (challenge,) = status.case(view, log.case).challenges
    assert ("dismissed", 10) == (challenge.outcome, challenge.outcome_index)


def test_a_case_lists_its_things_and_cases_are_listed(views: Follow, log: Log):
    """The case's own stage, its things, what it is linked to; the list is paged by the first index."""
    other = some_id("other")
    log.say("case.opened", other, "Lille", "2020-05-01", in_case=other)
    log.say("case.linked", log.case, "Berlin", "2020-05-02", other=other, relation="same_facts")
    view = views(log)
    found = status.case(view, id_text(log.case))
    assert ("open", 3) == (found.stage, found.index)
    assert ["request"] == [t.thing_kind for t in found.things if t.thing_kind != "authority"]
    assert ((id_text(other), "same_facts", 6),) == found.linked
    lines = status.cases(view)
    assert {id_text(log.case), id_text(other)} == {line.case for line in lines}
    assert (lines[1],) == status.cases(view, after_index=lines[0].first_index)
    assert (lines[0],) == status.cases(view, limit=1)
    with pytest.raises(NotFound):
        status.case(view, some_id("nowhere"))


def test_what_only_a_report_says_is_marked_until_somebody_concerned_says_it(views: Follow, log: Log):
    """A stage reached by report alone is marked so, until an authority concerned says the same."""
    speaker = Speaker(country="FR", authority_kind="court", source="a judgment")
    log.say("request.transmitted", "r", "Berlin", "2020-01-03", to=some_id("Lille"))
    log.say("request.received", "r", "Berlin", "2020-01-04", voice_of=speaker)
    assert status.thing(views(log), some_id("r")).reported
    log.say("request.received", "r", "Lille", "2020-01-04")
    assert not status.thing(views(log), some_id("r")).reported
