"""Findings as a judge reads them: every kind, and every duty of every instrument, in words."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.acts import catalogue
from ledger.law.data import CHECKS, Duty
from projections import findings, telling
from projections.checks import Inquiry, Verdict
from projections.duties import _finding
from projections.facts import id_text
from projections.matters import Act, Matter
from projections.rules import book
from projections.wording import clause
from tests.projections.build import DAY, Log, on, some_id
from tests.projections.test_findings import COMMON, CONSULT, GROUND, LATER, a_request, law_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.duties import Finding
    from projections.views import Views

    Follow = Callable[[Log], Views]

ACTS = re.compile("|".join(rf"\b{re.escape(act.name)}\b" for act in catalogue().acts()))
CODES = re.compile(r"\w_\w")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}")
JARGON = re.compile(
    r"\b(None|True|False|null|UUID|JSON|SHA|hash|wire|trigger|index|projection|payload|datum|fold|enum|bool)\b"
)


def refuse(words: str) -> None:
    """Fail on what no judge should have to read."""
    for what in (ACTS, CODES, ID, JARGON):
        assert not what.search(words), words
    assert "another authority" not in words, words
    assert not re.search(r"  |\.\.| \.|\(\)", words), words
    assert re.fullmatch(r"[A-Z].*\.", words), words


def every_duty() -> list[Duty]:
    """Each version of each duty, of the instruments and of what States made of them."""
    law = book().law
    own = [one for name in law.instruments for one in law.data(Duty, name)]
    overlaid = [one for name, country in law.overlays for one in law.data(Duty, name, country)]
    return list({(one.instrument, one.id, one.from_on, one.file): one for one in (*own, *overlaid)}.values())


def an_order(log: Log) -> Act:
    """The order that `a_request` issued."""
    asker, asked = (id_text(some_id(name)) for name in ("GStA", "Lille"))
    return Act(
        index=log.size() - 1,
        statement=id_text(some_id("said")),
        case=id_text(log.case),
        subject=id_text(some_id("r")),
        act="request.issued",
        actor=asker,
        country=None,
        reported=False,
        from_at=on("2024-03-01"),
        until_at=on("2024-03-01"),
        legal_effect_at=None,
        answers=(),
        corrects=None,
        basis=(),
        body={"instrument": "eu-eio-2014-41", "requested": asked, "requested_country": "FR"},
    )


def test_every_duty_of_every_instrument_reads_as_sentences(views: Follow):
    """However it stands, no wire name, no code, no id and no jargon is left in it."""
    log = a_request()
    view, order, duties = views(log), an_order(log), every_duty()
    assert len(duties) > 200
    lille, asker = (id_text(some_id(name)) for name in ("Lille", "GStA"))
    inquiry = Inquiry(Matter([order], {}, book().limits), book(), {}, {}, {}, lambda _: (), LATER, None)
    for duty in duties:
        value = "DE" if duty.each == "subjects_in" else asker if duty.each else None
        began = (on("2024-03-02"), on("2024-03-03"))
        one = _finding(inquiry, duty, order, None, value, Verdict(), began, None, pending=False)
        one = replace(one, authority=lille, country="FR")
        pending = replace(one, standing="pending", since_from_at=None, since_until_at=None)
        done = replace(one, standing="resolved", resolved_by=order.index, issued_by=(order.index,), reported=True)
        for shown in (replace(one, authority=None, country=None), replace(pending, authority=None), done):
            for sentence in telling.told(view, shown):
                refuse(sentence)
    for shown in (one, pending, done, replace(one, standing="finding", uncertain=True), replace(one, reported=True)):
        for sentence in (*telling.told(view, shown), *(step.words for step in telling.history(view, shown))):
            refuse(sentence)


def test_every_act_has_a_clause():
    """What is not recorded is said in the words of the procedure."""
    for act in catalogue().acts():
        if act.released:
            assert re.fullmatch(r"[a-z][^_.]*", clause(act.name)), act.name


# ------------------------------------------------------------------ each kind, from acts to sentences


def refused_without_consultation() -> Log:
    log = a_request()
    log.say("request.refused", "r", "Lille", "2024-03-20", grounds=[{"ground": "national_security", "article": None}])
    return log


def interception_not_notified() -> Log:
    log = Log()
    log.enrol("Gendarmerie", "FR", "police")
    log.say("measure.started", log.case, "Gendarmerie", "2024-05-02", measure="device_infiltration", subjects_in=["DE"])
    return log


def sent_without_validation() -> Log:
    log = a_request("Polizei")
    log.say("request.transmitted", "r", "Polizei", "2024-03-04", to=some_id("Lille"))
    return log


def ordered_beyond_competence() -> Log:
    log = a_request(measures=["traffic_data"])
    log.say(
        "competence.declared", "GStA", "root", measures=["search"], functions=["issue"], valid_from=on("2017-01-01")
    )
    return log


def ordered_where_there_is_no_remedy() -> Log:
    log = Log()
    log.enrol("Sofia", "BG", "prosecutor")
    log.enrol("Lille", "FR", "court")
    log.say(
        "request.issued", "r", "Sofia", "2020-03-01", instrument="eu-eio-2014-41", form="gather", measures=["search"],
        requested=some_id("Lille"), requested_country="FR",
    )  # fmt: skip
    return log


def used_outside_its_condition() -> Log:
    log = a_request()
    log.say("exhibit.acquired", "x", "Lille", "2024-03-20", source_country="FR")
    log.say(
        "use_condition.attached", "x", "Lille", "2024-03-20",
        recipients=[some_id("GStA")], purposes=["police_evaluation"],
    )  # fmt: skip
    log.say("exhibit.handed_over", "x", "Lille", "2024-03-21", to=some_id("GStA"))
    log.say("exhibit.taken_over", "x", "GStA", "2024-03-21", from_authority=some_id("Lille"))
    log.say(
        "disclosure.made", "d", "GStA", "2024-04-02",
        exhibits=[some_id("x")], recipient=some_id("LG"), purpose="criminal_proceedings",
    )  # fmt: skip
    return log


def handed_over_without_rights() -> Log:
    log = a_request(instrument="eu-eaw-2002-584", form="arrest", measures=[])
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    return log


def deferred_without_review() -> Log:
    log = a_request()
    log.say("information.deferred", "r", "GStA", "2024-03-05", person=some_id("p"), review_due_at=on("2024-06-01"))
    log.say("request.closed", "r", "GStA", "2024-08-01")
    return log


def half_a_return() -> Log:
    log = a_request()
    log.say("exhibit.acquired", "x", "GStA", "2024-03-20", source_country="DE")
    log.say("exhibit.returned", "x", "GStA", "2024-03-21", to=some_id("Lille"))
    return log


def limit_lapsed() -> Log:
    log = a_request()
    log.say("request.transmitted", "r", "GStA", "2024-03-04", to=some_id("Lille"))
    log.say("request.received", "r", "Lille", "2024-03-04")
    return log


def form_incomplete() -> Log:
    log = a_request()
    log.say("request.transmitted", "r", "GStA", "2024-03-04", to=some_id("Lille"))
    return log


NAMED: dict[str, tuple[Callable[[], Log], str, str, str]] = {
    "a refusal without the consultation that comes first": (
        refused_without_consultation, "consult_first_ground", "Lille", "is one to be consulted on first: it is not"
    ),
    "an interception of which the State was not told": (
        interception_not_notified, "duty", "Gendarmerie", "is told of an interception, as to Germany"
    ),
    "a missing validation": (
        sent_without_validation, "validation_missing", "Polizei", "a judicial authority validates the request"
    ),
    "an order without competence": (
        ordered_beyond_competence, "order_without_competence", "GStA", "does not have traffic and location data"
    ),
    "an order where no remedy exists": (
        ordered_where_there_is_no_remedy, "no_remedy", "Sofia", "the law of Bulgaria has no remedy"
    ),
    "a use outside the conditions": (
        used_outside_its_condition, "use_outside_conditions", "GStA", "where only police evaluation is allowed"
    ),
    "rights never recorded before a handover": (
        handed_over_without_rights, "rights_unrecorded", "Lille", "nothing is recorded of the right"
    ),
    "information deferred without review": (
        deferred_without_review, "deferral_without_review", "GStA", "its day of review has passed without a review"
    ),
    "a half that the other side has not said": (
        half_a_return, "half_missing", "Lille", "by the other side that the exhibit is taken over"
    ),
    "a limit that lapsed": (limit_lapsed, "limit_lapsed", "Lille", "the time limit ended on 3 April 2024"),
    "an incomplete form": (form_incomplete, "form_incomplete", "GStA", "the form is incomplete: Annex A, sections"),
}  # fmt: skip


@pytest.mark.parametrize("named", NAMED)
def test_each_kind_from_acts_to_sentences(views: Follow, named: str):
    """Under the law of this release, read by the authority concerned: the acts, and what a judge reads of them."""
    make, kind, who, words = NAMED[named]
    log = make()
    view = views(log)
    shown: list[Finding] = [
        one
        for one in findings.case(view, log.case, at=LATER, viewer=some_id(who))
        if one.kind == kind and words in one.detail
    ]
    assert shown, [(one.kind, one.detail) for one in findings.case(view, log.case, at=LATER, viewer=some_id(who))]
    for one in shown:
        said = telling.told(view, one)
        for sentence in said:
            refuse(sentence)
        assert id_text(some_id(who)) == one.authority
        assert any(sentence.endswith(f"(entry {one.index}).") for sentence in said[:1])
        assert any("Missing since" in sentence and "has known of the act since" in sentence for sentence in said)
        assert any(who in sentence for sentence in said)
        assert any(one.article in sentence for sentence in said)
        assert any("A finding since" in sentence for sentence in said)


def test_days_are_said_in_the_zone_that_is_asked_for(views: Follow):
    """Also the day since which an answer is known: an hour before midnight in UTC it is the next day in Berlin."""
    log = refused_without_consultation()
    late = on("2024-03-25") + 23 * DAY // 24
    log.say(
        "finding.answered",
        "r",
        "Lille",
        "2024-03-22",
        known=late,
        answer="explained",
        replies_to=(log.recorded[-1].statement.id,),
    )
    view = views(log)
    (one,) = (one for one in findings.case(view, log.case, at=LATER) if one.kind == "consult_first_ground")
    for zone, day in (("UTC", "25 March 2024"), ("Europe/Berlin", "26 March 2024")):
        assert any(f"known since {day})" in said for said in telling.told(view, one, zone))


def test_the_words_are_those_of_the_law_under_which_is_answered(views: Follow, tmp_path: Path):
    """Where another edition was named for the views, its instrument's own words for a role are said, unasked."""
    log = refused_without_consultation()
    view = views(log)
    words = "[words]\n" + COMMON + "roles = { requested = 'court of that edition' }\n"
    view.law = law_of(tmp_path / "law", CONSULT, GROUND, words)
    (one,) = findings.case(view, log.case, at=LATER)
    unnamed = replace(one, authority=None)
    assert "the court of that edition of France" == telling.concerned(view, unnamed)
    assert any("the court of that edition of France" in said for said in telling.told(view, unnamed))


def test_every_check_has_its_words_tested():
    """Each computed condition is in a test of this file or in those of the findings."""
    tested = "".join((Path(__file__).parent / name).read_text() for name in ("test_telling.py", "test_findings.py"))
    assert all(f'"{check}"' in tested for check in CHECKS)
