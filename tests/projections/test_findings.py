"""Findings: what the law says should have happened and did not, by whom, since when, and until what."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import resources, scenarios
from ledger.acts import catalogue
from ledger.domain import procedure
from ledger.errors import NotFound
from ledger.law.data import CHECKS
from ledger.law.law import HERE, read
from ledger.law.manifest import manifest_of
from ledger.statement import Speaker
from projections import findings
from projections.checks import CHECKED
from projections.facts import id_text
from projections.rules import Book, book_of
from projections.runner import Runner
from tests.projections.build import DAY, Log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.duties import Finding
    from projections.views import Views

    Follow = Callable[[Log], Views]

LATER = on("2030-01-01")
HEAD = """
id = "eu-eio-2014-41"
title = "European Investigation Order"
official = "Directive 2014/41/EU"
from = 2017-05-22
counting = "eu-1182-71"
reviewed = 2026-07-01
"""
COMMON = """
article = "1"
text = "In plain words."
from = 2017-05-22
verified = true
"""
BOUND = f"[applicability.bound]\n{COMMON}effect = 'bound'\ncountries = ['DE', 'FR', 'NL']\n"


def law_of(folder: Path, *data: str, overlay: str = "") -> Book:
    """A law with one instrument, of the data given."""
    (folder / "instruments").mkdir(parents=True)
    for name in ("counting", "calendars.toml", "procedure.toml", "steps.toml", "answers.toml"):
        (folder / name).symlink_to(HERE / name)
    (folder / "instruments" / "eu-eio-2014-41.toml").write_text(HEAD + "\n".join(data))
    if overlay:
        (folder / "instruments" / "eu-eio-2014-41.fr.toml").write_text(
            'parent = "eu-eio-2014-41"\ncountry = "FR"\nreviewed = 2026-07-01\n' + overlay
        )
    return book_of(read(folder), manifest_of(folder), procedure.load())


def duty(name: str, words: str) -> str:
    return f"[duty.{name}]\n{COMMON}{words}\n"


def a_request(asker: str = "GStA", **fields: Any) -> Log:
    """Germany asks France, under the instrument, on 1 March 2024."""
    log = Log()
    for name, country, kind in (
        ("GStA", "DE", "prosecutor"),
        ("Polizei", "DE", "police"),
        ("Zoll", "DE", "ministry"),
        ("LG", "DE", "court"),
        ("Lille", "FR", "court"),
        ("Gendarmerie", "FR", "police"),
        ("Ombud", "DE", "oversight_body"),
    ):
        log.enrol(name, country, kind)
    log.say(
        "request.issued",
        "r",
        asker,
        "2024-03-01",
        **{
            "instrument": "eu-eio-2014-41",
            "form": "gather",
            "measures": ["search"],
            "requested": some_id("Lille"),
            "requested_country": "FR",
            **fields,
        },
    )
    return log


def found(views: Views, log: Log, law: Book, **asked: Any) -> tuple[Finding, ...]:
    every = asked.pop("every", False)
    states = ("pending", "observation", "finding", "resolved") if every else ()
    return findings.case(views, log.case, law=law, **{"at": LATER, "states": states, **asked})


def only(views: Views, log: Log, law: Book, **asked: Any) -> Finding:
    (one,) = found(views, log, law, **asked)
    return one


# ------------------------------------------------------------------------------------ one by one


def test_every_check_that_a_law_file_may_name_is_computed():
    """The table of the format, and what computes it, have the same names."""
    assert CHECKS.keys() == CHECKED.keys()


CONSULT = duty(
    "consult",
    'when = ["request.refused"]\nthen = ["consultation.opened"]\nby = "requested"\nto = "requesting"\n'
    'timing = "before"\ncheck = "consult_first_ground"',
)
GROUND = f"[ground.a]\n{COMMON}grounds = ['national_security']\nnature = 'optional'\nconsult_first = true\n"


@pytest.mark.parametrize(("ground", "missing"), [("national_security", True), ("dual_criminality", False)])
def test_a_refusal_without_the_consultation_that_its_ground_requires(
    views: Follow, tmp_path: Path, ground: str, missing: bool
):
    """Only the grounds of which the law says so are consulted on first."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_request()
    log.say("request.refused", "r", "Lille", "2024-03-20", grounds=[{"ground": ground, "article": None}])
    shown = found(views(log), log, law)

    assert missing == bool(shown)
    for one in shown:
        assert ("consult_first_ground", "consult", "1") == (one.kind, one.rule, one.article)
        assert (id_text(some_id("Lille")), "FR") == (one.authority, one.country)
        assert log.size() - 1 == one.index
        assert on("2024-03-20") == one.since_from_at
        assert one.verified
        assert 64 == len(one.edition)


def test_a_consultation_before_the_refusal_leaves_nothing_and_one_afterwards_is_history(views: Follow, tmp_path: Path):
    """What came too late puts it right: the finding goes, and keeps the entry that made it go."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_request()
    refusal: dict[str, Any] = {"grounds": [{"ground": "national_security", "article": None}]}
    log.say("request.refused", "r", "Lille", "2024-03-20", **refusal)
    log.say("consultation.opened", "r", "Lille", "2024-03-22", topic="timing", with_authorities=[])
    view = views(log)
    late = only(view, log, law, every=True)

    assert () == found(view, log, law)
    assert ("resolved", log.size() - 1, "consultation.opened") == (late.standing, late.resolved_by, late.resolved_act)
    # Before the consultation was known, it stood there as missing.
    assert late.index == only(view, log, law, known_by=on("2024-03-21"), at=on("2024-03-21")).index

    early = a_request()
    early.say("consultation.opened", "r", "Lille", "2024-03-18", topic="timing", with_authorities=[])
    early.say("request.refused", "r", "Lille", "2024-03-20", **refusal)
    assert () == found(views(early), early, law, every=True)


NOTIFY = duty(
    "notify",
    'when = [{ act = "measure.started", when = { measure = "device_infiltration" } }]\n'
    'then = ["interception.notified"]\nby = "publisher"\nto = "notified"\ntiming = "before"\nmatch = "case"\n'
    'each = "subjects_in"\neach_as = "to_country"\nother_state = true\nknown_from = 2024-04-30',
)


def test_each_state_that_an_interception_reaches_is_told(views: Follow, tmp_path: Path):
    """Once for each State but one's own and those that are not bound; without any request."""
    law, log = law_of(tmp_path / "law", BOUND, NOTIFY), Log()
    log.enrol("Gendarmerie", "FR", "police")
    log.say(
        "measure.started",
        log.case,
        "Gendarmerie",
        "2024-05-02",
        measure="device_infiltration",
        place="FR",
        subjects_in=["FR", "DE", "NL", "DK"],
    )
    log.say(
        "interception.notified", log.case, "Gendarmerie", "2024-05-01", to_country="NL", measure="device_infiltration"
    )
    one = only(views(log), log, law)

    assert ("DE", "DE", "notified") == (one.value, one.to_country, one.to_role)
    assert ("FR", id_text(some_id("Gendarmerie"))) == (one.country, one.authority)


def test_a_duty_that_only_a_ruling_made_known_is_not_one_before(views: Follow, tmp_path: Path):
    """Replayed with the knowledge of the day before the ruling it is not there; with that of the day, it is."""
    law, log = law_of(tmp_path / "law", BOUND, NOTIFY), Log()
    log.enrol("Gendarmerie", "FR", "police")
    log.say("measure.started", log.case, "Gendarmerie", "2020-04-01", measure="device_infiltration", subjects_in=["DE"])
    view = views(log)

    assert () == found(view, log, law, known_by=on("2024-04-30") - 1)
    one = only(view, log, law, known_by=on("2024-04-30"), at=on("2024-05-02"))
    assert ("2024-04-30", on("2020-04-01")) == (one.known_from_on, one.since_from_at)
    # Nobody could answer before anybody knew: the time to answer runs from the ruling.
    assert ("observation", on("2024-05-30")) == (one.standing, one.answer_due_at)


COMPETENCE = (
    f"[competence.issue]\n{COMMON}acts = ['request.issued']\nfunction = 'issue'\nkinds = ['court', 'prosecutor']\n"
    "with_validation = ['police']\nvalidated_by = ['court']\n"
)
ORDER = duty(
    "issuer", 'when = ["request.issued"]\nby = "requesting"\ntiming = "before"\ncheck = "order_without_competence"'
)
VALIDATE = duty(
    "validate",
    'when = ["request.transmitted"]\nthen = ["request.validated"]\nby = "requesting"\ntiming = "before"\n'
    'check = "validation_missing"',
)


@pytest.mark.parametrize(("asker", "count"), [("GStA", 0), ("Polizei", 0), ("Zoll", 1)])
def test_an_order_by_a_kind_of_authority_that_may_not_order(views: Follow, tmp_path: Path, asker: str, count: int):
    """A kind that needs a validation may order; one that no competence has may not."""
    law, log = law_of(tmp_path / "law", ORDER, COMPETENCE), a_request(asker)
    assert count == len(found(views(log), log, law))


def test_an_order_of_what_the_authority_could_not_order_at_home(views: Follow, tmp_path: Path):
    """C-724/19: a declared competence without the measure is none; a withdrawal puts it right."""
    law, log = law_of(tmp_path / "law", ORDER, COMPETENCE), a_request(measures=["search", "traffic_data"])
    declared: dict[str, Any] = {"measures": ["search"], "functions": ["issue"], "valid_from": on("2017-01-01")}
    log.say("competence.declared", "GStA", "root", **declared)
    view = views(log)
    assert "its declared competence does not have traffic and location data" == only(view, log, law).detail

    log.say("request.withdrawn", "r", "GStA", "2024-03-09")
    assert log.size() - 1 == only(views(log), log, law, every=True).resolved_by


@pytest.mark.parametrize(
    ("asker", "validator", "count"),
    [("GStA", None, 0), ("Polizei", None, 1), ("Polizei", "LG", 0), ("Polizei", "GStA", 1)],
)
def test_a_request_sent_without_the_validation_that_it_needs(
    views: Follow, tmp_path: Path, asker: str, validator: str | None, count: int
):
    """Only who needs one, and only by a kind of authority that validates."""
    law, log = law_of(tmp_path / "law", VALIDATE, COMPETENCE), a_request(asker)
    if validator is not None:
        log.say("request.validated", "r", validator, "2024-03-02")
    log.say("request.transmitted", "r", asker, "2024-03-04", to=some_id("Lille"))
    shown = [one for one in found(views(log), log, law) if one.kind == "validation_missing"]
    assert count == len(shown)


def test_an_order_from_a_state_that_has_no_remedy(views: Follow, tmp_path: Path):
    """C-852/19: the overlay of the issuing State says that there is none."""
    check = duty(
        "remedy-exists", 'when = ["request.issued"]\nby = "requesting"\ntiming = "before"\ncheck = "no_remedy"'
    )
    remedy = f"[remedy.substance]\n{COMMON}against = ['request.issued']\nforum = 'requesting'\n"
    none = (
        f"[replace.remedy.substance]\n{COMMON}against = ['request.issued']\nforum = 'requesting'\navailable = false\n"
    )
    law = law_of(tmp_path / "law", check, remedy, overlay=none)
    german = a_request()
    assert () == found(views(german), german, law)

    french = a_request("Gendarmerie")
    one = only(views(french), french, law)
    assert ("no_remedy", "FR") == (one.kind, one.country)


RIGHTS = "".join(
    duty(
        f"right_{right}",
        'when = ["person.handed_over"]\nthen = ["rights_status.recorded"]\nby = "requested"\ntiming = "before"\n'
        'check = "rights_unrecorded"',
    )
    for right in ("heard", "interpreter")
)


def test_a_right_of_which_nothing_is_recorded_before_the_hand_over(views: Follow, tmp_path: Path):
    """Each right by itself; that it was not granted is recorded too, and is no finding of this kind."""
    law, log = law_of(tmp_path / "law", RIGHTS), a_request()
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    log.say("rights_status.recorded", "h", "Lille", "2024-04-02", rights=[{"right": "heard", "status": "not_done"}])
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    shown = [one for one in found(views(log), log, law) if one.kind == "rights_unrecorded"]
    assert ["interpreter"] == [one.value for one in shown]


def test_information_deferred_without_a_review(views: Follow, tmp_path: Path):
    """Nothing before the day of review; after it a finding, until somebody looks again."""
    review = duty(
        "review",
        'when = ["information.deferred"]\nthen = ["person.informed"]\nby = "publisher"\nto = "person"\n'
        'timing = "whenever"\nsame = ["person"]\ncheck = "deferral_without_review"',
    )
    law, log = law_of(tmp_path / "law", review), a_request()
    log.say("information.deferred", "r", "GStA", "2024-03-05", person=some_id("p"), review_due_at=on("2024-06-01"))
    log.say("request.closed", "r", "GStA", "2024-08-01")
    view = views(log)
    assert () == found(view, log, law, at=on("2024-05-01"))
    assert "deferral_without_review" == only(view, log, law).kind

    log.say("person.informed", "r", "GStA", "2024-09-01", person=some_id("p"))
    assert log.size() - 1 == only(views(log), log, law, every=True).resolved_by


def test_a_half_is_missing_until_the_other_side_says_it(views: Follow, tmp_path: Path):
    """A day is left to it; a report never completes it; what came later is history."""
    law, log = law_of(tmp_path / "law", BOUND), a_request()
    log.say("exhibit.acquired", "x", "Lille", "2024-03-20", source_country="FR")
    log.say("exhibit.handed_over", "x", "Lille", "2024-03-21", to=some_id("GStA"))
    log.say(
        "exhibit.taken_over",
        "x",
        "Lille",
        "2024-03-21",
        voice_of=Speaker(authority=some_id("GStA"), source="a letter"),
        from_authority=some_id("Lille"),
    )
    view = views(log)
    assert "pending" == only(view, log, law, at=on("2024-03-21"), every=True).standing
    one = only(view, log, law)
    assert ("half_missing", "exhibit.taken_over") == (one.kind, one.rule)
    assert (id_text(some_id("GStA")), on("2024-03-22")) == (one.authority, one.since_until_at)

    log.say("exhibit.taken_over", "x", "GStA", "2024-03-28", from_authority=some_id("Lille"))
    assert log.size() - 1 == only(views(log), log, law, every=True).resolved_by


LIMIT = (
    f"[limit.EIO-REC]\n{COMMON}by = 'requested'\nwithin = {{ days = 30 }}\nstarts = ['request.received']\n"
    "ends = ['request.recognised']\nconsequence = 'None.'\n"
    "examples = [{ start = 2026-03-02, in = 'DE', due = 2026-04-01 }]\n"
)
TELL = duty(
    "tell-delay",
    'when = ["request.received"]\nthen = ["delay.notified", "request.recognised"]\nby = "requested"\n'
    'timing = "within"\nlimit = "EIO-REC"\ncheck = "limit_lapsed"',
)


def test_a_limit_that_lapsed_and_what_should_have_been_said_of_it(views: Follow, tmp_path: Path):
    """The lapse is a finding of its own, beside the duty to tell of the delay; a late act makes both history."""
    law, log = law_of(tmp_path / "law", LIMIT, TELL), a_request()
    log.say("request.transmitted", "r", "GStA", "2024-03-04", to=some_id("Lille"))
    log.say("request.received", "r", "Lille", "2024-03-04")
    view = views(log)
    assert () == found(view, log, law, at=on("2024-03-20"))
    lapsed, untold = sorted(found(view, log, law), key=lambda one: one.rule)
    assert ("EIO-REC", "tell-delay") == (lapsed.rule, untold.rule)
    assert lapsed.since_until_at == untold.since_until_at == on("2024-04-03") + 22 * DAY // 24

    log.say("request.recognised", "r", "Lille", "2024-05-06")
    shown = found(views(log), log, law, every=True)
    assert {log.size() - 1} == {one.resolved_by for one in shown if one.kind == "limit_lapsed"}
    assert 2 == len(shown)


def test_the_form_lacks_what_the_annex_requires(views: Follow, tmp_path: Path):
    """Named by box; what is unverified is said apart; a complete supplement puts it right."""
    check = duty("form", 'when = ["request.issued"]\nby = "requesting"\ntiming = "before"\ncheck = "form_incomplete"')
    boxes = (
        f"[particular.A-B]\n{COMMON}act = 'request.issued'\nform = 'A'\nsection = 'B'\ncarried_by = ['body.urgency']\n"
        f"[particular.A-C]\n{COMMON}act = 'request.issued'\nform = 'A'\nsection = 'C'\n"
        "carried_by = ['attachment.form']\n"
    )
    law, log = law_of(tmp_path / "law", check, boxes), a_request()
    assert "the form is incomplete: Annex A, section C" == only(views(log), log, law).detail

    log.say("request.supplement_provided", "r", "GStA", "2024-03-09", completeness="complete")
    assert log.size() - 1 == only(views(log), log, law, every=True).resolved_by


def test_an_assurance_that_a_condition_requires(views: Follow, tmp_path: Path):
    """One on each condition that the duty names, on the topic of the same name."""
    check = duty(
        "guarantee",
        'when = [{ act = "surrender.decided", when = { conditions = ["life_sentence_review", '
        '"return_of_person"] } }]\n'
        'then = ["assurance.given"]\nby = "requesting"\nto = "requested"\n'
        'timing = "before"\ncheck = "assurance_missing"',
    )
    law, log = law_of(tmp_path / "law", check), a_request()
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    log.say("assurance.given", "h", "GStA", "2024-04-05", topic="return_of_person")
    log.say(
        "surrender.decided", "h", "Lille", "2024-04-10",
        outcome="conditional", grounds=[], conditions=["return_of_person", "life_sentence_review"],
    )  # fmt: skip
    assert ["life_sentence_review"] == [one.value for one in found(views(log), log, law)]


@pytest.mark.parametrize(("offence", "count"), [("drug_trafficking", 1), ("other", 0)])
def test_a_refusal_for_want_of_double_criminality_of_a_listed_offence(
    views: Follow, tmp_path: Path, offence: str, count: int
):
    """A question, not an answer: how it is punishable is nowhere on the ledger."""
    check = duty(
        "listed",
        'when = [{ act = "request.refused" }]\nby = "requested"\ntiming = "before"\ncheck = "listed_offence"',
    )
    law, log = law_of(tmp_path / "law", check), a_request()
    log.say("case.opened", log.case, "GStA", "2024-01-01", offences=[offence])
    log.say("request.refused", "r", "Lille", "2024-03-20", grounds=[])
    shown = found(views(log), log, law)
    assert count == len(shown)
    assert all(one.uncertain for one in shown)


def test_exceptional_costs_are_consulted_on(views: Follow, tmp_path: Path):
    """At once: a day later it is missing."""
    check = duty(
        "costs",
        'when = ["costs.reported"]\nthen = ["consultation.opened"]\nby = "requested"\ntiming = "at_once"\n'
        'check = "cost_exceptional"',
    )
    law, log = law_of(tmp_path / "law", check), a_request()
    log.say("costs.reported", "r", "Lille", "2024-03-20", exceptional=True)
    view = views(log)
    assert "pending" == only(view, log, law, at=on("2024-03-20"), every=True).standing
    assert "cost_exceptional" == only(view, log, law).kind


# ------------------------------------------------------------------------- how long, and who sees it


def test_an_observation_becomes_a_finding_by_an_answer_or_by_time(views: Follow, tmp_path: Path):
    """Answered by the authority concerned, and by nobody else; else when its time to answer has passed."""
    law = law_of(tmp_path / "law", CONSULT.replace("check", "answer_within = { days = 10 }\ncheck"), GROUND)
    log = a_request()
    refusal: dict[str, Any] = {"grounds": [{"ground": "national_security", "article": None}]}
    refused = log.say("request.refused", "r", "Lille", "2024-03-20", known="2024-03-25", **refusal)
    view = views(log)
    one = only(view, log, law, at=on("2024-03-26"))
    # It could not answer before anybody knew of it; ten whole days, in its own zone, which has summer time.
    assert ("observation", on("2024-04-04") + 22 * DAY // 24) == (one.standing, one.answer_due_at)
    assert "observation" == only(view, log, law, at=on("2024-04-04")).standing
    assert "finding" == only(view, log, law, at=on("2024-04-05")).standing

    issued = log.say("finding.issued", "r", "Ombud", "2024-03-26", rule="consult", severity="serious")
    log.say("finding.answered", "r", "GStA", "2024-03-26", answer="contested", replies_to=(issued,))
    still = only(views(log), log, law, at=on("2024-03-27"))
    assert ("observation", (log.size() - 2,)) == (still.standing, still.issued_by)

    log.say("finding.answered", "r", "Lille", "2024-03-26", answer="explained", replies_to=(issued,))
    now = only(views(log), log, law, at=on("2024-03-27"))
    assert ("finding", "explained", log.size() - 1) == (now.standing, now.answer, now.answered_by)
    assert refused != issued


def test_a_correction_of_the_act_puts_right_what_it_had_triggered(views: Follow, tmp_path: Path):
    """The act no longer counts; that it once did stays."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_request()
    refusal: dict[str, Any] = {"grounds": [{"ground": "national_security", "article": None}]}
    wrong = log.say("request.refused", "r", "Lille", "2024-03-20", **refusal)
    log.say("statement.corrected", "r", "Lille", "2024-03-22", corrects=wrong)
    view = views(log)
    assert () == found(view, log, law)
    one = only(view, log, law, every=True)
    assert ("resolved", log.size() - 1) == (one.standing, one.resolved_by)
    assert 1 == len(found(view, log, law, known_by=on("2024-03-21")))


def test_an_unverified_rule_is_shown_to_the_authority_concerned_only(views: Follow, tmp_path: Path):
    """Neither to whoever asks, nor to the other side, nor in any figure."""
    law = law_of(tmp_path / "law", CONSULT.replace("verified = true", "verified = false"), GROUND)
    log = a_request()
    log.say("request.refused", "r", "Lille", "2024-03-20", grounds=[{"ground": "national_security", "article": None}])
    view = views(log)
    assert () == found(view, log, law) == found(view, log, law, viewer=some_id("GStA"))
    assert not only(view, log, law, viewer=some_id("Lille")).verified
    assert 1 == len(findings.authority(view, some_id("Lille"), at=LATER, law=law))
    assert () == findings.authority(view, some_id("GStA"), at=LATER, law=law)
    assert () == findings.figures(view, at=LATER, law=law)


def test_who_may_not_see_the_act_does_not_see_what_it_triggers(views: Follow, tmp_path: Path):
    """What the case alone may see is in no figure of oversight, and shown to nobody outside the case."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_request()
    log.say("request.refused", "r", "Lille", "2024-03-20", grounds=[{"ground": "national_security", "article": None}])
    view = views(log)
    assert 1 == len(found(view, log, law)) == len(found(view, log, law, viewer=some_id("GStA")))
    with pytest.raises(NotFound):
        found(view, log, law, viewer=some_id("Ombud"))
    assert () == findings.figures(view, at=LATER, law=law)


def test_nothing_is_known_of_an_unknown_case(views: Follow):
    """It is said, not answered with an empty list."""
    view = views(a_request())
    for ask in (findings.case, findings.thing):
        with pytest.raises(NotFound):
            ask(view, some_id("elsewhere"), at=LATER)


# ---------------------------------------------------------------------- rebuilt, fast, and on real cases


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rebuilt_findings_are_those_of_following_the_log(tmp_path_factory: pytest.TempPathFactory, seed: int):
    """However the entries came, batch by batch or all at once, the same is missing."""
    chance, log = random.Random(seed), a_request()
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("request.transmitted", "r", "GStA", {"to": some_id("Lille")}),
        ("request.received", "r", "Lille", {}),
        ("request.refused", "r", "Lille", {"grounds": [{"ground": "national_security", "article": None}]}),
        ("consultation.opened", "r", "Lille", {"topic": "timing", "with_authorities": []}),
        ("request.withdrawn", "r", "GStA", {}),
        ("exhibit.acquired", "x", "Lille", {"source_country": "FR"}),
        ("exhibit.handed_over", "x", "Lille", {"to": some_id("GStA")}),
        ("exhibit.taken_over", "x", "GStA", {"from_authority": some_id("Lille")}),
    ]
    for _ in range(12):
        act, subject, by, fields = chance.choice(steps)
        log.say(act, subject, by, f"2024-{chance.randint(3, 9):02}-{chance.randint(1, 28):02}", **fields)
    folder = tmp_path_factory.mktemp("findings")
    with Runner(log, catalogue(), folder / "projections.db") as runner:
        start = 0
        while start < log.size():
            step = chance.randint(1, 5)
            runner.feed(log.recorded[start : start + step])
            start += step
        states = ("pending", "observation", "finding", "resolved")
        with runner.views() as view:
            followed = findings.case(view, log.case, at=LATER, states=states, viewer=some_id("Lille"))
        runner.rebuild(workers=1)
        with runner.views() as view:
            assert followed == findings.case(view, log.case, at=LATER, states=states, viewer=some_id("Lille"))


def test_germany_was_not_told_of_the_interception_and_since_when_that_was_a_duty(tmp_path: Path):
    """EncroChat: the missing notice under Article 31 appears once the ruling of 30 April 2024 was known."""
    played = scenarios.play(scenarios.load(resources.path("scenarios") / "encrochat.toml"), tmp_path / "ledger")
    try:
        with Runner(played.store, played.catalogue, tmp_path / "projections.db") as runner:
            runner.catch_up()
            with runner.views() as view:
                case, viewer = played.named("encrochat-fr"), played.named("fr-gendarmerie")

                def told(**asked: Any) -> list[Finding]:
                    shown = findings.case(view, case, at=on("2025-06-01"), viewer=viewer, **asked)
                    return [one for one in shown if one.act == "measure.started"]

                assert [] == told(known_by=on("2024-04-30") - 1)
                (one,) = told(known_by=on("2024-04-30"))
                assert [one] == told()
                assert ("notify-infiltration", "eu-eio-2014-41", "DE") == (one.rule, one.instrument, one.to_country)
                assert ("2024-04-30", ("C-670/22",)) == (one.known_from_on, one.rulings)
                assert on("2020-04-01") - DAY < (one.since_until_at or 0) < on("2020-04-02")
                assert "finding" == one.standing
                # As of the summer of 2020 nobody knew it as a duty.
                assert [] == told(happened_by=on("2020-07-01"), known_by=on("2020-07-01"))
    finally:
        played.close()


def test_findings_are_folded_at_thousands_of_entries_a_second(views: Follow):
    """With the deadlines that they rest on, under the whole law of this release."""
    log = a_request()
    for number in range(150):
        case, subject = some_id(f"case {number}"), f"r{number}"
        said: list[tuple[str, str, str, dict[str, Any]]] = [
            ("request.issued", "GStA", "2024-03-01", {"instrument": "eu-eio-2014-41", "requested": some_id("Lille"),
             "requested_country": "FR", "measures": ["search"], "form": "gather"}),
            ("request.transmitted", "GStA", "2024-03-02", {"to": some_id("Lille")}),
            ("request.received", "Lille", "2024-03-04", {}),
            ("request.acknowledged", "Lille", "2024-03-06", {}),
            ("request.recognised", "Lille", "2024-03-20", {"conditions": []}),
            ("request.executed", "Lille", "2024-05-02", {}),
        ]  # fmt: skip
        for act, by, day, fields in said:
            log.say(act, subject, by, day, in_case=case, **fields)
    view = views(log)
    list(findings.every(view, at=LATER))
    began = time.perf_counter()
    count = sum(1 for _ in findings.every(view, at=LATER))
    took = time.perf_counter() - began
    assert count
    # A wide margin below what an idle machine does: the machine of the tests is shared.
    assert log.size() / took > 1000
