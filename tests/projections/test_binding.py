"""What binds an exhibit, a person or a case: its source, how it travelled, until when, and each use of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import resources, scenarios
from ledger.acts import catalogue
from ledger.errors import NotFound
from ledger.statement import Visibility
from projections import binding, findings, provenance
from projections.facts import id_text
from projections.runner import Runner
from tests.projections.build import DAY, Log, on, some_id
from tests.projections.test_findings import BOUND, COMMON, LATER, a_request, law_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.binding import Binding
    from projections.rules import Book
    from projections.views import Views

    Follow = Callable[[Log], Views]


def rule(name: str, words: str) -> str:
    return f"[use.{name}]\n{COMMON}{words}\n"


NAMED = rule(
    "named",
    "nature = 'purpose'\nattaches_to = ['result.handed_over']\nbinds = 'requesting'\n"
    "purposes = ['named_proceedings']\n"
    "consent_by = ['use_condition.lifted', 'onward_disclosure.consent_decided']",
)
RETURN = rule(
    "return",
    "nature = 'return'\nattaches_to = [{ act = 'result.handed_over', when = { return_required = true } }]\n"
    "binds = 'requesting'\nconsent_by = ['use_condition.lifted']\nends_by = ['exhibit.returned']",
)
KEPT = rule(
    "kept",
    "nature = 'retention'\nattaches_to = ['result.handed_over']\nbinds = 'requesting'\nwithin = { weeks = 4 }\n"
    "ends_by = ['payload.erased']",
)
SECRET = rule(
    "secret",
    "nature = 'confidentiality'\nattaches_to = ['spontaneous_information.sent']\nbinds = 'recipient'\n"
    "consent_by = ['onward_disclosure.consent_decided']",
)
BANK = rule("bank", "nature = 'confidentiality'\nattaches_to = ['request.received']\nbinds = 'addressee'")
LIMIT = (
    f"[limit.EAW-45]\n{COMMON}by = 'person'\ncalendar = 'requesting'\nnature = 'lapse'\nwithin = {{ days = 45 }}\n"
    "starts = [{ act = 'person.discharged', when = { free_to_leave = true } }]\nmatch = 'case'\nsame = ['person']\n"
    "consequence = 'Speciality ends.'\nexamples = [{ start = 2026-03-02, in = 'DE', due = 2026-04-16 }]\n"
)
PERSON = (
    rule(
        "speciality",
        "nature = 'speciality'\nattaches_to = ['person.handed_over']\nbinds = 'requesting'\nlimit = 'EAW-45'\n"
        "consent_by = [{ act = 'consent.recorded', when = { speciality_renounced = true } }, "
        "{ act = 'speciality_consent.decided', when = { granted = true } }]",
    )
    + rule(
        "onward",
        "nature = 'onward'\nattaches_to = ['person.handed_over']\nbinds = 'requesting'\nlimit = 'EAW-45'\n"
        "consent_by = [{ act = 'speciality_consent.decided', when = { granted = true } }]",
    )
    + LIMIT
)


def law(folder: Path, *data: str) -> Book:
    return law_of(folder / "law", *data)


def shown(view: Views, log: Log, book: Book | None, **asked: Any) -> dict[str, Binding]:
    """What binds in the case, by its id or its nature's name."""
    found = binding.case(view, log.case, law=book, **{"at": LATER, **asked})
    return {one.id if one.source != "condition" else "condition": one for one in found}


def result(*, wanted_back: bool = False, items: tuple[str, ...] = ("x",)) -> Log:
    """France hands exhibits over to Germany, which asked for them."""
    log = a_request()
    for item in items:
        log.say("exhibit.acquired", item, "Lille", "2024-03-10", source_country="FR")
    log.say(
        "result.handed_over", "r", "Lille", "2024-03-11",
        exhibits=[some_id(item) for item in items], return_required=wanted_back,
    )  # fmt: skip
    return log


def used(log: Log, purpose: str, day: str, exhibit: str = "x", to: str = "LG", by: str = "GStA") -> int:
    log.say(
        "disclosure.made", f"d {log.size()}", by, day,
        exhibits=[some_id(exhibit)], recipient=some_id(to), purpose=purpose,
    )  # fmt: skip
    return log.size() - 1


# ------------------------------------------------------------------------------------ consents


def test_a_consent_covers_the_use_that_its_request_names_and_no_other(views: Follow, tmp_path: Path):
    """The scope is that of the request it answers: this purpose, this recipient; what it covers is shown."""
    log = result()
    asked = log.say(
        "onward_disclosure.consent_requested", "c", "GStA", "2024-04-01",
        purpose="asset_recovery", new_recipient=some_id("LG"), offences=[],
    )  # fmt: skip
    log.say("onward_disclosure.consent_decided", "c", "Lille", "2024-04-05", outcome="accepted", replies_to=(asked,))
    given_at = log.size() - 1
    covered = used(log, "asset_recovery", "2024-04-10")
    elsewhere = used(log, "asset_recovery", "2024-04-11", to="Polizei")
    one = shown(views(log), log, law(tmp_path, NAMED))["named"]
    assert {covered: "by_consent", elsewhere: "against"} == {use.index: use.standing for use in one.uses}
    (consent,) = one.consents
    assert (given_at, given_at - 1, ("asset_recovery",), (covered,)) == (
        consent.index, consent.asked_index, consent.purposes, consent.uses,
    )  # fmt: skip
    assert one.breached


def test_a_consent_that_was_denied_is_none(views: Follow, tmp_path: Path):
    """Though the rule names the act by which it is decided."""
    log = result()
    asked = log.say("onward_disclosure.consent_requested", "c", "GStA", "2024-04-01", purpose="asset_recovery")
    log.say("onward_disclosure.consent_decided", "c", "Lille", "2024-04-05", outcome="refused", replies_to=(asked,))
    used(log, "asset_recovery", "2024-04-10")
    one = shown(views(log), log, law(tmp_path, NAMED))["named"]
    assert ((), ["against"]) == (one.consents, [use.standing for use in one.uses])


def test_a_consent_that_came_later_does_not_make_a_use_right(views: Follow, tmp_path: Path):
    """Each use stands as things stood on its day."""
    log = result()
    used(log, "asset_recovery", "2024-04-01")
    log.say("use_condition.lifted", "r", "Lille", "2024-04-05", condition=some_id("c"), purposes=["asset_recovery"])
    used(log, "asset_recovery", "2024-04-10")
    one = shown(views(log), log, law(tmp_path, NAMED))["named"]
    assert ["against", "by_consent"] == [use.standing for use in one.uses]


def test_a_variation_says_anew_what_a_condition_allows_whom_it_binds_and_how_long(views: Follow, tmp_path: Path):
    """The first words no longer count; the change and its entry are shown."""
    log = result()
    common: dict[str, Any] = {"condition": some_id("only"), "recipients": [some_id("GStA")]}
    log.say("use_condition.attached", "x", "Lille", "2024-03-11", **common, purposes=["police_evaluation"])
    before = used(log, "asset_recovery", "2024-03-20")
    log.say(
        "use_condition.varied", "x", "Lille", "2024-04-01",
        **common, purposes=["asset_recovery"], expires_at=on("2024-06-01"),
    )  # fmt: skip
    after = used(log, "asset_recovery", "2024-04-10")
    view = views(log)
    one = shown(view, log, law(tmp_path, RETURN), at=on("2024-05-01"))["condition"]
    assert {before: "against", after: "within"} == {use.index: use.standing for use in one.uses}
    assert (("asset_recovery",), on("2024-06-01"), "in_force") == (one.purposes, one.ends_at, one.standing)
    assert "expired" == shown(view, log, law_of(tmp_path / "other", RETURN))["condition"].standing


def test_a_condition_under_which_nothing_came_yet_stands_as_it_was_last_said(views: Follow, tmp_path: Path):
    """Lifted for everybody it no longer stands; varied afterwards it stands anew."""
    log = a_request()
    common: dict[str, Any] = {"condition": some_id("only"), "recipients": []}
    log.say("use_condition.attached", "r", "Lille", "2024-03-11", **common, purposes=["police_evaluation"])
    log.say("use_condition.lifted", "r", "Lille", "2024-04-01", **common)
    book = law(tmp_path, RETURN)
    assert "lifted" == shown(views(log), log, book)["condition"].standing
    log.say("use_condition.varied", "r", "Lille", "2024-05-01", **common, purposes=["asset_recovery"])
    one = shown(views(log), log, book)["condition"]
    assert ("in_force", ("asset_recovery",), ()) == (one.standing, one.purposes, one.things)


# ------------------------------------------------------------------------- return, erasure, secrecy


def test_items_go_back_one_by_one_until_all_are_back(views: Follow, tmp_path: Path):
    """What is wanted back is partly done until the last item is in the State that it came from."""
    log = result(wanted_back=True, items=("x", "y"))
    book = law(tmp_path, RETURN)
    assert "in_force" == shown(views(log), log, book)["return"].standing
    log.say("exhibit.returned", "x", "GStA", "2024-05-01", to=some_id("Lille"))
    log.say("exhibit.returned", "y", "GStA", "2024-05-02", to=some_id("Zoll"))
    one = shown(views(log), log, book)["return"]
    assert ("partly_done", "1 of 2", ((id_text(some_id("x")), log.size() - 2),)) == (one.standing, one.detail, one.done)
    log.say("exhibit.returned", "y", "GStA", "2024-05-03", to=some_id("Gendarmerie"))
    one = shown(views(log), log, book)["return"]
    assert ("done", log.size() - 1, False) == (one.standing, one.ended_by, one.breached)


def test_whoever_wanted_items_back_may_leave_them(views: Follow, tmp_path: Path):
    """A waiver by lifting; nothing that did not have to go back is under the rule at all."""
    log = result(wanted_back=True)
    log.say("use_condition.lifted", "r", "Lille", "2024-05-01", condition=some_id("c"))
    assert "lifted" == shown(views(log), log, law(tmp_path, RETURN))["return"].standing
    assert {} == shown(views(result()), log, law_of(tmp_path / "other", RETURN))


def test_what_is_to_be_erased_is_due_on_the_day_that_counting_gives(views: Follow, tmp_path: Path):
    """Four weeks from Monday, 11 March 2024; Easter Monday is a day like others before the last one."""
    log, book = result(), law(tmp_path, KEPT)
    view = views(log)
    open_ = shown(view, log, book, at=on("2024-04-08"))["kept"]
    assert ("2024-04-08", "in_force", False) == (open_.last_day, open_.standing, open_.breached)
    assert open_.steps
    over = shown(view, log, book, at=on("2024-04-09"))["kept"]
    assert ("overdue", True) == (over.standing, over.breached)
    log.say("payload.erased", "x", "GStA", "2024-04-10", scope="full")
    late = shown(views(log), log, book)["kept"]
    assert ("done", "late", log.size() - 1) == (late.standing, late.detail, late.ended_by)


def test_erasing_a_part_or_only_the_original_is_not_erasing_it(views: Follow, tmp_path: Path):
    """What was derived is under the rule as well."""
    log, book = result(), law(tmp_path, KEPT)
    log.say("exhibit.derived", "copy", "GStA", "2024-03-12", parents=[some_id("x")])
    log.say("payload.erased", "x", "GStA", "2024-03-20", scope="partial")
    assert () == shown(views(log), log, book, at=on("2024-04-01"))["kept"].done
    log.say("payload.erased", "x", "GStA", "2024-03-21", scope="full")
    assert "partly_done" == shown(views(log), log, book, at=on("2024-04-01"))["kept"].standing
    log.say("payload.erased", "copy", "GStA", "2024-03-22", scope="full")
    assert "done" == shown(views(log), log, book, at=on("2024-04-01"))["kept"].standing


def test_a_review_of_retention_that_was_set_and_not_made_is_overdue(views: Follow, tmp_path: Path):
    """Where the law has no number, what the holder himself set counts; conditions and findings say so alike."""
    log, book = result(items=("x", "y")), law(tmp_path, KEPT.replace("within = { weeks = 4 }\n", ""))

    def stands(at: str) -> tuple[str, str]:
        view = views(log)
        found = findings.case(view, log.case, at=on(at), law=book)
        one = shown(view, log, book, at=on(at))["kept"]
        missing = [(each.rule, each.since_from_at, each.detail) for each in found if each.kind == "use_overdue"]
        assert (missing != []) == (one.standing == "overdue") == one.breached
        assert all(each[0] == "kept" and each[2] == one.detail for each in missing)
        return one.standing, one.detail

    log.say("retention.reviewed", "x", "GStA", "2024-04-01", outcome="retain", next_due_at=on("2024-10-01"))
    set_by = log.size() - 1
    # That another thing was looked at later says nothing of this one.
    log.say("retention.reviewed", "y", "GStA", "2024-05-01", outcome="retain", next_due_at=on("2025-10-01"))
    assert ("in_force", "") == stands("2024-09-30")
    assert ("overdue", f"the next review, set by entry {set_by}, is not shown") == stands("2024-10-01")
    log.say("retention.reviewed", "x", "GStA", "2024-10-02", outcome="erase")
    assert ("overdue", f"to be erased since entry {log.size() - 1}, and not shown to be") == stands("2024-10-03")
    log.say("payload.erased", "x", "GStA", "2024-10-04", scope="full")
    assert ("partly_done", "1 of 2") == stands("2024-10-05")


def test_a_missed_review_is_found_once_where_a_limit_or_a_duty_speaks_of_it(views: Follow):
    """By the law of this release: the day that a review named is a limit, and what it found needless a duty."""
    for outcome, kind in (("retain", "limit_lapsed"), ("erase", "duty")):
        log = result()
        log.say("retention.reviewed", "x", "GStA", "2024-04-01", outcome=outcome, next_due_at=on("2024-10-01"))
        view = views(log)
        assert "overdue" in {one.standing for one in binding.exhibit(view, some_id("x"), at=LATER)}
        found = findings.case(view, log.case, at=LATER)
        about = [one for one in found if one.index == log.size() - 1 or one.kind == "use_overdue"]
        assert [(kind, "eu-led-2016-680")] == [(one.kind, one.instrument) for one in about]


def test_what_was_given_in_confidence_does_not_leave_the_state_that_received_it(views: Follow, tmp_path: Path):
    """Within the State it may be passed on; abroad only by consent; that confidence was asked for stays a doubt."""
    log = a_request()
    log.enrol("NL-OM", "NL")
    log.say("exhibit.acquired", "x", "Lille", "2024-03-10", source_country="FR")
    log.say("spontaneous_information.sent", "s", "Lille", "2024-03-11",
            exhibits=[some_id("x")], recipients=[some_id("GStA")], purpose="police_evaluation")  # fmt: skip
    home = used(log, "police_evaluation", "2024-03-12", to="Polizei")
    abroad = used(log, "police_evaluation", "2024-03-13", to="NL-OM")
    one = shown(views(log), log, law(tmp_path, SECRET))["secret"]
    found = {use.index: (use.standing, use.uncertain) for use in one.uses}
    assert {home: ("within", False), abroad: ("against", True)} == found


def test_who_is_bound_to_silence_tells_nobody_of_the_request(views: Follow, tmp_path: Path):
    """A provider that tells its customer; what it says of remedies is not held against it."""
    log = a_request()
    log.say("request.received", "r", "Lille", "2024-03-02")
    log.say("person.informed", "r", "Lille", "2024-03-05", person=some_id("p"), subject_matter="measure")
    told = log.size() - 1
    log.say("person.informed", "r", "Lille", "2024-03-06", person=some_id("p"), subject_matter="remedies")
    book = law(tmp_path, BANK)
    view = views(log)
    one = shown(view, log, book)["bank"]
    assert [(told, "against", False)] == [(use.index, use.standing, use.uncertain) for use in one.uses]
    found = findings.case(view, log.case, at=LATER, law=book)
    assert [("bank", told)] == [(f.rule, f.index) for f in found if f.kind == "use_outside_conditions"]


# ------------------------------------------------------------------------------------- persons


def surrendered(*, renounced: bool = False) -> Log:
    """France surrenders a person to Germany."""
    log = a_request(form="arrest")
    log.enrol("NL-OM", "NL")
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    if renounced:
        log.say("consent.recorded", "h", "Lille", "2024-04-05", consents=True, speciality_renounced=True)
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    return log


def wanted_on(log: Log, day: str) -> int:
    """The Netherlands ask Germany for the same person, and get it."""
    log.say(
        "request.issued", f"nl {log.size()}", "NL-OM", "2024-05-01", instrument="eu-eio-2014-41", form="arrest",
        measures=[], requested=some_id("GStA"), requested_country="DE",
    )  # fmt: skip
    asked = some_id(f"nl {log.size() - 1}")
    log.say("person.arrested", f"on {log.size()}", "GStA", day, person=some_id("p"), request=asked)
    log.say("surrender.decided", f"on {log.size() - 1}", "GStA", day, outcome="yes")
    return log.size() - 1


@pytest.mark.parametrize(("country", "breached"), [("NL", {"to-bound"}), ("CH", {"to-third"})])
def test_a_rule_says_whither_a_person_must_not_go_on(views: Follow, tmp_path: Path, country: str, breached: set[str]):
    """One rule for States that the instrument binds, another for those that it does not: never both."""
    words = "nature = 'onward'\nattaches_to = ['person.handed_over']\nbinds = 'requesting'\ntowards = "
    rules = [rule(f"to-{one}", f"{words}'{one}'") for one in ("bound", "third")]
    log, book = surrendered(), law(tmp_path, *rules, BOUND)
    log.enrol("Asking", country)
    log.say(
        "request.issued", "on", "Asking", "2024-05-01", instrument="eu-eio-2014-41", form="arrest",
        measures=[], requested=some_id("GStA"), requested_country="DE",
    )  # fmt: skip
    log.say("person.arrested", "again", "GStA", "2024-05-02", person=some_id("p"), request=some_id("on"))
    log.say("surrender.decided", "again", "GStA", "2024-05-03", outcome="yes")
    found = shown(views(log), log, book)
    assert breached == {name for name, one in found.items() if one.breached}
    assert {"to-bound", "to-third"} == found.keys()


def test_what_was_not_erased_in_time_is_found_and_goes_away_by_the_erasure(views: Follow, tmp_path: Path):
    """From the day after the last one; where it was erased late, the finding says by which entry."""
    log, book = result(), law(tmp_path, KEPT)
    view = views(log)
    last = on(str(shown(view, log, book)["kept"].last_day))

    def found(of: Views, at: int) -> list[tuple[str, str, str, int | None]]:
        states = ("observation", "finding", "resolved")
        each = findings.case(of, log.case, at=at, law=book, states=states)
        return [(one.kind, one.rule, one.standing, one.resolved_by) for one in each if one.kind == "use_overdue"]

    assert [] == found(view, last)
    assert [("use_overdue", "kept", "observation", None)] == found(view, last + 2 * DAY)
    assert [("use_overdue", "kept", "finding", None)] == found(view, LATER)
    log.say("payload.erased", "x", "GStA", "2024-12-01", scope="full")
    assert [("use_overdue", "kept", "resolved", log.size() - 1)] == found(views(log), LATER)


def test_speciality_and_the_bar_on_going_on_end_45_days_after_the_discharge(views: Follow, tmp_path: Path):
    """Not 45 days after the hand-over: it binds until the person could leave, and was discharged."""
    log, book = surrendered(), law(tmp_path, PERSON)
    before = shown(views(log), log, book)
    assert {"speciality": None, "onward": None} == {name: before[name].ends_at for name in ("speciality", "onward")}
    assert "in_force" == before["speciality"].standing

    log.say("person.discharged", "h", "GStA", "2024-05-10", person=some_id("p"), free_to_leave=True)
    log.say("proceedings.opened", "new", "GStA", "2024-06-24", authority=some_id("GStA"))
    early = log.size() - 1
    log.say("proceedings.opened", "later", "GStA", "2024-06-25", authority=some_id("GStA"))
    one = shown(views(log), log, book)["speciality"]
    assert ("2024-06-24", "expired", "EAW-45") == (one.last_day, one.standing, one.limit)
    assert [(early, "against", True)] == [(use.index, use.standing, use.uncertain) for use in one.uses]
    assert "in_force" == shown(views(log), log, book, at=on("2024-06-24"))["speciality"].standing


def test_another_persons_discharge_ends_nobodys_protection(views: Follow, tmp_path: Path):
    """Nor does one after which the person could not leave."""
    log, book = surrendered(), law(tmp_path, PERSON)
    log.say("person.discharged", "other", "GStA", "2024-05-10", person=some_id("another"), free_to_leave=True)
    log.say("person.discharged", "h", "GStA", "2024-05-10", person=some_id("p"), free_to_leave=False)
    assert "in_force" == shown(views(log), log, book)["speciality"].standing


def test_a_person_goes_on_to_a_third_state_only_by_consent(views: Follow, tmp_path: Path):
    """Surrendered by France, the person goes on to the Netherlands; the consent says to where."""
    log, book = surrendered(), law(tmp_path, PERSON)
    without = wanted_on(log, "2024-05-10")
    asked = log.say(
        "speciality_consent.requested", "h", "GStA", "2024-06-01", person=some_id("p"), offences=[], onward_to="NL"
    )
    log.say("speciality_consent.decided", "h", "Lille", "2024-06-20", granted=True, replies_to=(asked,))
    consented = wanted_on(log, "2024-07-01")
    found = shown(views(log), log, book)
    uses = {use.index: use.standing for use in found["onward"].uses}
    assert ("against", "by_consent") == (uses[without], uses[consented])
    # A consent to let the person go on is none to new proceedings at home.
    assert () == found["speciality"].consents


def test_a_denied_consent_and_one_to_another_state_allow_nothing(views: Follow, tmp_path: Path):
    """The bar stands."""
    log, book = surrendered(), law(tmp_path, PERSON)
    for onward_to, granted in (("NL", False), ("BE", True)):
        asked = log.say(
            "speciality_consent.requested", "h", "GStA", "2024-05-01",
            person=some_id("p"), offences=[], onward_to=onward_to,
        )  # fmt: skip
        log.say("speciality_consent.decided", "h", "Lille", "2024-05-02", granted=granted, replies_to=(asked,))
    index = wanted_on(log, "2024-05-10")
    uses = {use.index: use.standing for use in shown(views(log), log, book)["onward"].uses}
    assert "against" == uses[index]


def test_a_renunciation_that_was_taken_back_protects_again(views: Follow, tmp_path: Path):
    """Until then it counted."""
    log, book = surrendered(renounced=True), law(tmp_path, PERSON)
    log.say("proceedings.opened", "one", "GStA", "2024-05-10", authority=some_id("GStA"))
    log.say("consent.withdrawn", "h", "Lille", "2024-05-20", speciality_only=True)
    log.say("proceedings.opened", "two", "GStA", "2024-05-30", authority=some_id("GStA"))
    one = shown(views(log), log, book)["speciality"]
    assert ["by_consent", "against"] == [use.standing for use in one.uses]
    assert [log.size() - 2] == [consent.withdrawn_index for consent in one.consents]


def test_an_assurance_travels_with_the_person_from_the_asking_to_the_assessment(views: Follow, tmp_path: Path):
    """Asked for, given, found wanting after the hand-over: flagged, as far as the ledger can tell."""
    log, book = a_request(form="arrest"), law(tmp_path, NAMED)
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    log.say("assurance.requested", "h", "Lille", "2024-04-02", topic="detention_conditions")
    assert "requested" == shown(views(log), log, book)["detention_conditions"].standing
    log.say("assurance.given", "h", "GStA", "2024-04-10", topic="detention_conditions")
    one = shown(views(log), log, book)["detention_conditions"]
    assert ("in_force", ["GStA"]) == (one.standing, [bound.authority.designation for bound in one.bound])
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    log.say("assurance.assessed", "h", "Lille", "2024-09-01", topic="detention_conditions", outcome="insufficient")
    one = shown(views(log), log, book)["detention_conditions"]
    assert ("insufficient", True, True) == (one.standing, one.breached, one.uncertain)
    assert [log.size() - 2] == [step.index for step in one.carried]


def test_a_surrender_on_conditions_requires_the_assurances_that_it_names(views: Follow, tmp_path: Path):
    """Handed over without one: a breach with the decision as its source."""
    log, book = a_request(form="arrest"), law(tmp_path, NAMED)
    log.say("person.arrested", "h", "Lille", "2024-04-01", person=some_id("p"), request=some_id("r"))
    log.say("surrender.decided", "h", "Lille", "2024-04-10", outcome="conditional", conditions=["return_of_person"])
    one = shown(views(log), log, book)["return_of_person"]
    assert ("required", False, log.size() - 1) == (one.standing, one.breached, one.index)
    log.say("person.handed_over", "h", "Lille", "2024-04-20", place="FR")
    assert shown(views(log), log, book)["return_of_person"].breached
    log.say("assurance.given", "h", "GStA", "2024-04-12", topic="return_of_person")
    assert not shown(views(log), log, book)["return_of_person"].breached
    log.say("person.returned", "h", "Lille", "2026-01-10", person=some_id("p"))
    assert ("done", log.size() - 1) == (
        (one := shown(views(log), log, book)["return_of_person"]).standing,
        one.ended_by,
    )


def test_what_binds_a_person_is_found_by_the_person(views: Follow, tmp_path: Path):
    """In whatever case; a person whom nobody names is not found."""
    log, book = surrendered(), law(tmp_path, PERSON)
    view = views(log)
    found = binding.person(view, some_id("p"), at=LATER, law=book)
    assert {"speciality", "onward"} == {one.id for one in found}
    assert {id_text(some_id("p"))} == {one.person for one in found}
    # A case that is known does not make a person known who had not been named by then.
    early = on("2024-03-31")
    for name, happened_by, known_by in (("nobody", None, None), ("p", early, None), ("p", None, early)):
        with pytest.raises(NotFound):
            binding.person(view, some_id(name), at=LATER, happened_by=happened_by, known_by=known_by, law=book)


def given_for_evaluation(by: str, to: str, purpose: str) -> tuple[Log, int]:
    """France gives Germany an exhibit for evaluation; somebody passes it on."""
    log = a_request()
    log.enrol("NL-OM", "NL")
    log.say("exhibit.acquired", "x", "Lille", "2024-03-10", source_country="FR")
    log.say("disclosure.made", "d", "Lille", "2024-03-11", exhibits=[some_id("x")], recipient=some_id("GStA"),
            purpose="police_evaluation")  # fmt: skip
    log.say("use_condition.attached", "d", "Lille", "2024-03-11", condition=some_id("only"),
            purposes=["police_evaluation"], recipients=[some_id("GStA")])  # fmt: skip
    # It comes back to who set the condition, who then holds it from one bound.
    log.say("exhibit.handed_over", "x", "GStA", "2024-03-12", to=some_id("Lille"))
    return log, used(log, purpose, "2024-03-20", by=by, to=to)


@pytest.mark.parametrize(
    ("by", "to", "purpose", "standing"),
    [
        ("GStA", "LG", "criminal_proceedings", "against"),
        ("GStA", "Polizei", "police_evaluation", "within"),
        ("GStA", "NL-OM", "police_evaluation", "against"),
        # What a State has under a condition binds its authorities, though nobody is shown to have passed it on.
        ("Polizei", "LG", "criminal_proceedings", "against"),
        # Who set a condition is free.
        ("Lille", "NL-OM", "criminal_proceedings", None),
        ("NL-OM", "NL-OM", "criminal_proceedings", None),
    ],
)
def test_a_use_stands_to_a_condition_as_the_findings_have_it(
    views: Follow, tmp_path: Path, by: str, to: str, purpose: str, standing: str | None
):
    """The two answers to one question agree: what binds, and what the law misses."""
    log, use = given_for_evaluation(by, to, purpose)
    view, book = views(log), law(tmp_path, RETURN)
    one = shown(view, log, book)["condition"]
    told = {each.index: each.standing for each in one.uses if each.index == use}
    assert told == ({} if standing is None else {use: standing})
    found = findings.case(view, log.case, at=LATER, law=book)
    flagged = {each.index for each in found if each.kind == "use_outside_conditions"}
    assert ({use} if standing == "against" else set()) == flagged
    assert one.breached == (standing == "against")


def test_one_of_several_exhibits_used_against_its_condition_is_enough(views: Follow, tmp_path: Path):
    """The condition had been lifted for the holder of the first; the second came by another way."""
    log = a_request()
    for item in ("x", "y"):
        log.say("exhibit.acquired", item, "Lille", "2024-03-10", source_country="FR")
    log.say("use_condition.attached", log.case, "Lille", "2024-03-11", condition=some_id("only"),
            purposes=["police_evaluation"], recipients=[])  # fmt: skip
    log.say("exhibit.handed_over", "y", "Lille", "2024-03-12", to=some_id("GStA"))
    log.say("disclosure.made", "d", "GStA", "2024-03-20", exhibits=[some_id("x"), some_id("y")],
            recipient=some_id("LG"), purpose="criminal_proceedings")  # fmt: skip
    view, book = views(log), law(tmp_path, RETURN)
    one = shown(view, log, book)["condition"]
    assert [(log.size() - 1, "against")] == [(use.index, use.standing) for use in one.uses]
    found = findings.case(view, log.case, at=LATER, law=book)
    assert [log.size() - 1] == [each.index for each in found if each.kind == "use_outside_conditions"]


@pytest.mark.parametrize("who", [None, "GStA", "Lille"])
def test_a_condition_of_a_linked_case_is_shown_with_what_it_came_to_bind(
    views: Follow, tmp_path: Path, who: str | None
):
    """Attached where no exhibit was, to what was still to come: asked by exhibit or by case, and found by the law."""
    log, other = a_request(), some_id("other case")
    log.say("case.linked", log.case, "Lille", "2024-03-02", other=other)
    log.say("spontaneous_information.sent", "s", "Lille", "2024-03-03", in_case=other, recipients=[some_id("GStA")],
            exhibits=[])  # fmt: skip
    log.say("use_condition.attached", "s", "Lille", "2024-03-03", in_case=other, condition=some_id("only"),
            purposes=["police_evaluation"], recipients=[some_id("GStA")], future_material=True,
            sent_to=(some_id("GStA"),))  # fmt: skip
    log.say("exhibit.acquired", "x", "Lille", "2024-03-10", source_country="FR")
    log.say("disclosure.made", "d", "Lille", "2024-03-11", exhibits=[some_id("x")], recipient=some_id("GStA"),
            purpose="police_evaluation")  # fmt: skip
    view, book = views(log), law(tmp_path, RETURN)
    viewer = None if who is None else some_id(who)
    asked: dict[str, Any] = {"at": LATER, "law": book, "viewer": viewer}
    (one,) = binding.exhibit(view, some_id("x"), **asked)
    assert (one,) == binding.case(view, log.case, **asked)
    assert (id_text(other), id_text(some_id("only"))) == (one.case, one.id)
    log_use = used(log, "asset_recovery", "2024-04-01")
    view = views(log)
    (one,) = binding.exhibit(view, some_id("x"), **asked)
    assert (True, [log_use]) == (one.breached, [step.index for step in one.carried])
    found = findings.case(view, log.case, **asked)
    assert [log_use] == [each.index for each in found if each.kind == "use_outside_conditions"]


# --------------------------------------------------------------------------- clocks and the viewer


def test_both_clocks_bound_what_is_told(views: Follow, tmp_path: Path):
    """A use recorded late is not told to who asks what was known before; nor one that had not happened."""
    log, book = result(), law(tmp_path, NAMED)
    log.say(
        "disclosure.made", "late", "GStA", "2024-04-01", known="2024-08-01",
        exhibits=[some_id("x")], recipient=some_id("LG"), purpose="asset_recovery",
    )  # fmt: skip
    view = views(log)
    assert shown(view, log, book)["named"].breached
    assert not shown(view, log, book, known_by=on("2024-07-01"))["named"].breached
    assert not shown(view, log, book, happened_by=on("2024-03-31"))["named"].breached
    assert {} == shown(view, log, book, happened_by=on("2024-03-10"))


def test_an_unverified_rule_is_shown_as_such_to_whom_it_concerns_and_to_nobody_else(views: Follow, tmp_path: Path):
    """Germany is bound and France sent it; the Netherlands have no part in it."""
    log = result()
    log.enrol("NL-OM", "NL")
    book, view = law(tmp_path, NAMED.replace("verified = true", "verified = false")), views(log)
    assert {} == shown(view, log, book)
    assert not shown(view, log, book, viewer=some_id("GStA"))["named"].verified
    assert {"named"} == shown(view, log, book, viewer=some_id("Lille")).keys()
    with pytest.raises(NotFound):
        shown(view, log, book, viewer=some_id("NL-OM"))


def test_an_embargo_is_judged_when_the_viewer_reads(views: Follow, tmp_path: Path):
    """A use under an embargo is no use to whoever may not know of it yet, whatever instant is asked about."""
    log, book = result(), law(tmp_path, NAMED)
    log.say(
        "disclosure.made", "late", "GStA", "2024-04-01", shown_to=Visibility("case", on("2024-09-01")),
        exhibits=[some_id("x")], recipient=some_id("LG"), purpose="asset_recovery",
    )  # fmt: skip
    view = views(log)
    for at in (on("2024-05-01"), LATER):
        for read_at in (on("2024-08-31"), on("2024-09-01")):
            one = shown(view, log, book, viewer=some_id("Lille"), at=at, read_at=read_at)["named"]
            assert one.breached == (read_at >= on("2024-09-01"))
            assert one.breached == bool(one.uses) == bool(one.carried)


def test_the_real_cases_show_their_conditions(tmp_path: Path):
    """EncroChat: evaluation only, lifted for criminal proceedings; Aranyosi: an assurance asked for, and no answer."""
    expected = {
        "encrochat": {("condition", "in_force", "purpose")},
        "aranyosi": {("assurance", "requested", "assurance")},
    }
    for name, wanted in expected.items():
        played = scenarios.play(scenarios.load(resources.path("scenarios") / f"{name}.toml"), tmp_path / name)
        try:
            with Runner(played.store, played.catalogue, tmp_path / f"{name}.db") as runner:
                runner.catch_up()
                with runner.views() as view:
                    homes = [one for (one,) in view.db.execute("SELECT DISTINCT case_id FROM findings.act")]
                    found = [one for home in homes for one in binding.case(view, home, at=LATER)]
        finally:
            played.close()
        assert wanted == {(one.source, one.standing, one.nature) for one in found if one.source != "rule"}
        # Nobody names data protection; what was disclosed and handed over is under it all the same.
        assert {"eu-led-2016-680"} >= {one.instrument for one in found if one.source == "rule"}
        assert (name == "encrochat") == any(one.source == "rule" for one in found)
        assert all(not one.breached for one in found)
        if name == "encrochat":
            condition = next(one for one in found if one.source == "condition")
            assert [consent.purposes for consent in condition.consents] == [("criminal_proceedings",)]
            assert "by_consent" in {use.standing for use in condition.uses}


# ------------------------------------------------------------------------------ never lost

AUTHORITIES = {"GStA": "DE", "Polizei": "DE", "LG": "DE", "NL-OM": "NL", "NL-Pol": "NL", "ES-Fis": "ES", "IE-DPP": "IE"}
HOPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["derive", "disclose", "hand over", "give half", "take half", "share", "inform", "hand over, heard late"]
        ),
        st.sampled_from(sorted(AUTHORITIES)),
        st.sampled_from(["case", "other", "third"]),
    ),
    max_size=9,
)


def chain(hops: list[tuple[str, str, str]], *, named: bool) -> tuple[Log, str, list[str], bytes]:
    """Germany has an exhibit from France under a condition and under a rule; it goes on hop by hop."""
    log = a_request()
    for name in ("NL-OM", "NL-Pol", "ES-Fis", "IE-DPP"):
        log.enrol(name, AUTHORITIES[name])
    log.say("exhibit.acquired", "0", "Lille", "2024-03-10", source_country="FR")
    log.say("result.handed_over", "r", "Lille", "2024-03-11", exhibits=[some_id("0")])
    log.say(
        "use_condition.attached", "r", "Lille", "2024-03-11", condition=some_id("only"),
        purposes=["named_proceedings"], recipients=[some_id("GStA")] if named else [],
    )  # fmt: skip
    holder, exhibit, holders, at, home = "GStA", "0", ["GStA"], on("2024-03-12"), log.case
    for number, (how, to, where) in enumerate(hops, 1):
        at += DAY
        home = log.case if where == "case" else some_id(where)
        if how == "derive":
            log.say("exhibit.derived", str(number), holder, at, in_case=home, parents=[some_id(exhibit)])
            exhibit = str(number)
            continue
        if to == holder:
            continue
        listed: dict[str, Any] = {"exhibits": [some_id(exhibit)], "purpose": "named_proceedings"}
        if how == "disclose":
            log.say("disclosure.made", f"d{number}", holder, at, in_case=home, recipient=some_id(to), **listed)
        elif how == "inform":
            log.say(
                "spontaneous_information.sent", f"d{number}", holder, at,
                in_case=home, recipients=[some_id(to)], **listed,
            )  # fmt: skip
        elif how == "share":
            log.say(
                "joint_team.material_shared", f"d{number}", holder, at,
                in_case=home, exhibits=[some_id(exhibit)], downloaders=[some_id(to)],
            )  # fmt: skip
        else:
            # What comes after a half that the log heard late on the same day is followed all the same.
            given_at = at if "late" not in how else at - DAY
            if how != "take half":
                log.say("exhibit.handed_over", exhibit, holder, given_at, in_case=home, to=some_id(to))
            if how != "give half":
                log.say("exhibit.taken_over", exhibit, to, at, in_case=home, from_authority=some_id(holder))
        holder = to
        holders.append(to)
    log.say(
        "disclosure.made", "last", holder, at + DAY, in_case=home,
        exhibits=[some_id(exhibit)], recipient=some_id(holder), purpose="asset_recovery",
    )  # fmt: skip
    return log, exhibit, holders, home


@settings(deadline=None, max_examples=60)
@given(hops=HOPS, named=st.booleans())
def test_a_condition_is_never_lost_by_any_chain_of_hands(
    tmp_path_factory: pytest.TempPathFactory, hops: list[tuple[str, str, str]], named: bool
):
    """Everybody who came to it is bound, by the condition and by the rule; the last use is flagged with both."""
    log, exhibit, holders, home = chain(hops, named=named)
    folder = tmp_path_factory.mktemp("chain")
    book = law_of(folder / "law", NAMED)
    with Runner(log, catalogue(), folder / "p.db") as runner:
        runner.catch_up()
        with runner.views() as view:
            found = provenance.exhibit(view, some_id(exhibit))
            answer = binding.exhibit(view, some_id(exhibit), at=LATER, law=book)
            flagged = findings.case(view, home, at=LATER, law=book)
    (condition,) = found.conditions
    wanted = {id_text(some_id(one)) for one in holders}
    assert wanted <= {one.authority.id for one in condition.recipients if not one.free}

    by_source = {one.source: one for one in answer}
    assert {"condition", "rule"} == by_source.keys()
    rule_ = by_source["rule"]
    assert wanted <= {one.authority.id for one in rule_.bound}
    last = log.size() - 1
    for one in answer:
        assert id_text(some_id(exhibit)) in one.things
        assert last in {use.index for use in one.uses if use.standing == "against"}
        assert one.breached
    sources = {one.rule for one in flagged if one.kind == "use_outside_conditions" and one.index == last}
    assert {"named", id_text(some_id("only"))} == sources
