"""Conditions: use rules that travel with exhibits and persons, and every use against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from projections import findings
from projections.facts import id_text
from tests.projections.build import Log, on, some_id
from tests.projections.test_findings import COMMON, LATER, a_request, law_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.duties import Finding
    from projections.rules import Book
    from projections.views import Views

    Follow = Callable[[Log], Views]


def outside(view: Views, log: Log, law: Book, **asked: Any) -> list[Finding]:
    """The uses against conditions, those put right too."""
    states = ("observation", "finding", "resolved")
    shown = findings.case(view, log.case, law=law, **{"at": LATER, "states": states, **asked})
    return [one for one in shown if one.kind == "use_outside_conditions"]


def given(purposes: tuple[str, ...] = ("police_evaluation",), **fields: Any) -> Log:
    """France gives Germany an exhibit for evaluation only; Germany derives another from it."""
    log = a_request()
    log.enrol("NL-OM", "NL")
    log.say("exhibit.acquired", "x", "Lille", "2024-03-10", source_country="FR")
    log.say(
        "disclosure.made", "d", "Lille", "2024-03-11",
        exhibits=[some_id("x")], recipient=some_id("GStA"), purpose="police_evaluation",
    )  # fmt: skip
    condition: dict[str, Any] = {
        "condition": some_id("only"),
        "purposes": list(purposes),
        "recipients": [some_id("GStA")],
        **fields,
    }
    log.say("use_condition.attached", "d", "Lille", "2024-03-11", **condition)
    log.say("exhibit.derived", "y", "GStA", "2024-03-12", parents=[some_id("x")])
    return log


def pass_on(log: Log, to: str, purpose: str, day: str, exhibit: str = "y") -> None:
    log.say(
        "disclosure.made", f"on {log.size()}", "GStA", day,
        exhibits=[some_id(exhibit)], recipient=some_id(to), purpose=purpose,
    )  # fmt: skip


@pytest.fixture
def law(tmp_path: Path) -> Book:
    """A law without use rules: only what authorities attach."""
    return law_of(tmp_path / "law", f"[applicability.bound]\n{COMMON}effect = 'bound'\ncountries = ['DE']\n")


def test_a_condition_follows_what_is_derived_and_is_flagged_with_its_source(views: Follow, law: Book):
    """Used in court where only evaluation is allowed: the condition, the entry that set it, and who used it."""
    log = given()
    attached = log.size() - 2
    pass_on(log, "LG", "criminal_proceedings", "2024-03-20")
    (one,) = outside(views(log), log, law)
    assert id_text(some_id("only")) == one.rule
    assert (log.size() - 1, id_text(some_id("GStA")), "DE") == (one.index, one.authority, one.country)
    assert one.detail.startswith("for criminal proceedings, where only police evaluation is allowed")
    assert f"entry {attached}" in one.detail


def test_a_use_within_the_condition_is_none_against_it(views: Follow, law: Book):
    """For the purpose allowed, within the State that is bound."""
    log = given()
    pass_on(log, "Polizei", "police_evaluation", "2024-03-20")
    assert [] == outside(views(log), log, law)


def test_passing_on_to_another_state_needs_to_be_allowed(views: Follow, law: Book):
    """An authority abroad that the condition does not name, even for the same purpose."""
    log = given()
    pass_on(log, "NL-OM", "police_evaluation", "2024-03-20")
    (one,) = outside(views(log), log, law)
    assert one.detail.startswith("passed on to an authority that the condition does not name")


def test_a_consent_has_a_scope_and_does_not_reach_back(views: Follow, law: Book):
    """What was used before the lifting stays flagged; after it only what the lifting does not allow is."""
    log = given()
    pass_on(log, "LG", "criminal_proceedings", "2024-03-20")
    early = log.size() - 1
    log.say(
        "use_condition.lifted", "d", "Lille", "2024-04-01",
        condition=some_id("only"), purposes=["criminal_proceedings"], recipients=[some_id("GStA")],
    )  # fmt: skip
    pass_on(log, "LG", "criminal_proceedings", "2024-04-10")
    pass_on(log, "LG", "asset_recovery", "2024-04-11")
    assert [early, log.size() - 1] == [one.index for one in outside(views(log), log, law)]


def test_an_expired_condition_binds_no_more(views: Follow, law: Book):
    """From the instant that it names."""
    log = given(expires_at=on("2024-04-01"))
    pass_on(log, "LG", "criminal_proceedings", "2024-03-31")
    before = log.size() - 1
    pass_on(log, "LG", "criminal_proceedings", "2024-04-02")
    assert [before] == [one.index for one in outside(views(log), log, law)]


def test_a_recall_that_was_implemented_puts_the_use_right(views: Follow, law: Book):
    """Only the act does; that it happened is kept."""
    log = given()
    pass_on(log, "LG", "criminal_proceedings", "2024-03-20")
    stream = f"on {log.size() - 1}"
    recalled = log.say("disclosure.recalled", stream, "GStA", "2024-03-25")
    assert ["finding"] == [one.standing for one in outside(views(log), log, law)]

    log.say("recall.implemented", stream, "LG", "2024-03-28", replies_to=(recalled,))
    (one,) = outside(views(log), log, law)
    assert ("resolved", log.size() - 1) == (one.standing, one.resolved_by)


def test_conditions_are_known_when_they_are_known(views: Follow, law: Book):
    """A condition recorded late flags nothing at a time when nobody knew it."""
    log = given()
    pass_on(log, "LG", "criminal_proceedings", "2024-03-20")
    log.say(
        "use_condition.attached", "d", "Lille", "2024-03-11", known="2024-06-01",
        condition=some_id("late"), purposes=["police_evaluation"], recipients=[some_id("GStA")],
    )  # fmt: skip
    view = views(log)
    assert 2 == len(outside(view, log, law))
    assert 1 == len(outside(view, log, law, known_by=on("2024-05-01")))


# ------------------------------------------------------------------ the rules of the instruments

NAMED = (
    f"[use.named]\n{COMMON}nature = 'purpose'\nattaches_to = ['result.handed_over']\nbinds = 'requesting'\n"
    "purposes = ['named_proceedings', 'defence']\nconsent_by = ['use_condition.lifted']\n"
)


def handed_over() -> Log:
    log = a_request()
    log.say("exhibit.acquired", "x", "Lille", "2024-03-10", source_country="FR")
    log.say("result.handed_over", "r", "Lille", "2024-03-11", exhibits=[some_id("x")])
    log.say("exhibit.derived", "y", "GStA", "2024-03-12", parents=[some_id("x")])
    return log


def test_a_result_is_used_for_what_the_instrument_allows(views: Follow, tmp_path: Path):
    """With article and edition of the rule; the other side is not bound; a consent allows more."""
    law, log = law_of(tmp_path / "law", NAMED), handed_over()
    pass_on(log, "LG", "named_proceedings", "2024-03-20")
    pass_on(log, "LG", "asset_recovery", "2024-03-21")
    (one,) = outside(views(log), log, law)
    assert ("named", "eu-eio-2014-41", "1", log.size() - 1) == (one.rule, one.instrument, one.article, one.index)
    assert 64 == len(one.edition)

    log.say(
        "use_condition.lifted", "d", "Lille", "2024-04-01",
        condition=some_id("c"), purposes=["asset_recovery"], recipients=[],
    )  # fmt: skip
    pass_on(log, "LG", "asset_recovery", "2024-04-02")
    assert 1 == len(outside(views(log), log, law))


SPECIALITY = (
    f"[use.speciality]\n{COMMON}nature = 'speciality'\nattaches_to = ['person.handed_over']\nbinds = 'requesting'\n"
    "consent_by = [{ act = 'consent.recorded', when = { speciality_renounced = true } }]\nlimit = 'EAW-45'\n"
    f"[limit.EAW-45]\n{COMMON}by = 'person'\ncalendar = 'requesting'\nnature = 'lapse'\nwithin = {{ days = 45 }}\n"
    "starts = ['person.handed_over']\nconsequence = 'Speciality ends.'\n"
    "examples = [{ start = 2026-03-02, in = 'DE', due = 2026-04-16 }]\n"
)


def surrendered(*, renounced: bool = False) -> Log:
    log = a_request(form="arrest")
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    if renounced:
        log.say("consent.recorded", "h", "Lille", "2024-04-05", consents=True, speciality_renounced=True)
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    return log


def test_after_surrender_new_proceedings_need_a_consent_until_the_rule_ends(views: Follow, tmp_path: Path):
    """A question, since the offence is nowhere on the ledger; not after 45 days, nor where it was renounced."""
    law, log = law_of(tmp_path / "law", SPECIALITY), surrendered()
    log.say("proceedings.opened", "new", "GStA", "2024-05-10", authority=some_id("GStA"))
    asked = log.size() - 1
    log.say("proceedings.opened", "later", "GStA", "2024-07-10", authority=some_id("GStA"))
    (one,) = outside(views(log), log, law)
    assert ("speciality", asked, True) == (one.rule, one.index, one.uncertain)

    free = surrendered(renounced=True)
    free.say("proceedings.opened", "new", "GStA", "2024-05-10", authority=some_id("GStA"))
    assert [] == outside(views(free), free, law)


def test_speciality_protects_the_person_surrendered_and_nobody_else(views: Follow, tmp_path: Path):
    """Proceedings that name others are none against it."""
    law, log = law_of(tmp_path / "law", SPECIALITY), surrendered()
    log.say("proceedings.opened", "new", "GStA", "2024-05-10", authority=some_id("GStA"))
    log.say("person.registered", "new", "GStA", "2024-05-10", person=some_id("another"))
    assert [] == outside(views(log), log, law)
