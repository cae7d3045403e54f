"""What the files of the law promise a jurist: where each rule rests, and why something is dropped or left open."""

from __future__ import annotations

import tomllib

import pytest

from ledger.law.data import Competence, Duty, Ground, Limit, Particular, Ruling, Stage
from ledger.law.law import HERE, load

LAW = load()
OWN = [
    datum
    for one in (*LAW.instruments.values(), *LAW.overlays.values())
    for rows in one.data.values()
    for versions in rows.values()
    for datum in versions
    if datum.country == one.country
]


def latest(instrument, kind, ident):
    """The last version of a datum."""
    return LAW.instruments[instrument].data[kind][ident][-1]


def test_a_step_is_dropped_only_on_a_provision_that_was_not_remembered():
    """An act without a step is flagged, so that a step dropped from memory would accuse."""
    for datum in OWN:
        if isinstance(datum, Stage) and datum.remove:
            assert "memory" != datum.basis, (datum.instrument, datum.id)


def test_a_dropped_step_says_why():
    """What no provision says in so many words follows from the scope, or says why, and is not verified."""
    for datum in OWN:
        if isinstance(datum, Stage) and datum.id in {
            "authorities-only",
            "evidence-only",
            "no-enforcement",
            "data-only",
        }:
            assert not datum.verified, datum.id
            assert datum.by_scope or datum.note, datum.id


def test_steps_that_go_together_are_listed_once():
    """No file names the steps of a whole group one by one; each group is named by some instrument."""
    groups = tomllib.loads((HERE / "steps.toml").read_text(encoding="utf-8"))
    named = set()
    for file in (HERE / "instruments").glob("*.toml"):
        for stages in tomllib.loads(file.read_text(encoding="utf-8")).get("stage", {}).values():
            for stage in stages if isinstance(stages, list) else [stages]:
                removed = stage.get("remove", [])
                named |= {one for one in removed if isinstance(one, str)}
                for name, group in groups.items():
                    assert not all(step in removed for step in group["steps"]), (file.name, name)
    assert named == set(groups)


def test_a_ground_without_a_code_says_why():
    """An empty list of codes is explained where it stands."""
    for datum in OWN:
        if isinstance(datum, Ground) and not datum.grounds:
            assert datum.note, (datum.instrument, datum.id)


def test_no_ground_is_held_twice():
    """Article, codes, acts and words together name one ground of an instrument."""
    seen = set()
    for datum in OWN:
        if isinstance(datum, Ground) and datum.country is None:
            key = (datum.instrument, datum.article, datum.grounds, datum.acts, datum.text)
            assert key not in seen, key
            seen.add(key)


def test_every_rule_of_a_state_is_unverified_and_says_where_it_was_read():
    """No statute of a State was compared with its official wording; each rule says what it rests on."""
    for datum in OWN:
        if datum.country is not None:
            assert not datum.verified, (datum.country, datum.id)
            assert datum.source or "case_law" == datum.basis, (datum.country, datum.id)


def test_a_ruling_names_its_court_and_its_number():
    """Whoever reads the rule can find the case."""
    for datum in OWN:
        if isinstance(datum, Ruling):
            assert datum.court, datum.id
            assert datum.number, datum.id


def test_the_infiltration_of_devices_rests_on_a_summary_and_names_the_case():
    """The operative part was not compared word by word: not verified, with its source and its identifier."""
    duty = latest("eu-eio-2014-41", "duty", "notify-infiltration")
    assert not duty.verified
    assert "case_law" == duty.basis
    assert "ECLI:EU:C:2024:372" in duty.source


@pytest.mark.parametrize("instrument", sorted(LAW.instruments))
def test_whoever_asks_for_a_form_also_notices_when_it_is_incomplete(instrument):
    """What an instrument requires of a request is looked at before publishing, and after."""
    data = LAW.instruments[instrument].data
    asked = [
        datum
        for versions in data.get("particular", {}).values()
        for datum in versions
        if isinstance(datum, Particular) and "request.issued" == datum.act and datum.required
    ]
    checks = {
        datum.check for versions in data.get("duty", {}).values() for datum in versions if isinstance(datum, Duty)
    }
    assert not asked or "form_incomplete" in checks or "eu-jit-2002-465" == instrument


def test_the_two_views_of_a_production_order_differ_by_two_particulars():
    """The provider's copy ends with point (h); necessity and the case are for the enforcing authority alone."""
    rows = LAW.instruments["eu-e-evidence-2023-1543"].data["particular"]
    assert {"EPOC-i", "EPOC-j", "PR-g", "EPOC-additional"} == {
        ident for ident, versions in rows.items() if getattr(versions[-1], "views", ())
    }


@pytest.mark.parametrize(
    ("instrument", "limit"), [("eu-eaw-2002-584", "EAW-SUR-NEW"), ("eu-prisoners-2008-909", "TSP-MOVE-2")]
)
def test_ten_days_run_from_a_new_day_and_not_from_the_first(instrument, limit):
    """A day that says after what failure it was agreed begins the clock; a first day does not."""
    (begins,) = latest(instrument, "limit", limit).starts
    assert begins.matches("handover.scheduled", {"after": "beyond_control"})
    assert not begins.matches("handover.scheduled", {"after": None})


def test_consent_to_extradite_onward_has_no_limit_of_union_law():
    """Thirty days are for other offences and for another Member State."""
    (begins,) = latest("eu-eaw-2002-584", "limit", "EAW-SPEC").starts
    assert begins.matches("speciality_consent.requested", {"onward_to": None})
    assert begins.matches("speciality_consent.requested", {"onward_to": "FR"})
    assert not begins.matches("speciality_consent.requested", {"onward_to": "US"})


def test_who_is_expelled_or_fled_is_not_asked_for_consent():
    """The decision says so, and then nobody is told that consent is missing."""
    (when,) = latest("coe-prisoners-cets-112", "duty", "consent").when
    body = {"outcome": "yes", "without_consent": None}
    assert when.matches("prisoner_handover.decided", body)
    for exception in ("expulsion", "fled"):
        assert not when.matches("prisoner_handover.decided", {**body, "without_consent": exception})


def test_what_a_protocol_says_holds_between_the_states_that_took_it():
    """Thirty and ninety days of the fourth protocol on extradition are not shown as verified of any two States."""
    for ident in ("E212-30", "E212-90"):
        assert ("fourth-protocol",) == latest("coe-extradition-ets-24", "limit", ident).between.both


def test_safe_conduct_lasts_fifteen_days_in_a_row():
    """Consecutive days do not move to a working day."""
    for instrument, ident in (
        ("coe-mla-ets-30", "UNT-SAFE-ETS30"),
        ("un-untoc-2000", "UNT-SAFE"),
        ("un-uncac-2003", "UNT-SAFE-UNCAC"),
        ("eu-eio-2014-41", "EIO-22-15"),
    ):
        limit = latest(instrument, "limit", ident)
        assert isinstance(limit, Limit)
        assert limit.within is not None
        assert "consecutive_days" == limit.within.unit, ident


@pytest.mark.parametrize(
    ("ident", "article", "period", "start"),
    [
        ("EIO-ACK", "16(1)", "1 weeks", "request.received"),
        ("EIO-REC", "12(3)", "30 days", "request.received"),
        ("EIO-EXE", "12(4)", "90 days", "request.recognised"),
        ("EIO-URG", "12(2)", None, "request.received"),
        ("EIO-31", "31(3)", "96 hours", "interception.notified"),
        ("EIO-PROV", "32(2)", "24 hours", "request.received"),
        ("EAW-CONS", "17(2)", "10 days", "consent.recorded"),
        ("EAW-DEC", "17(3)", "60 days", "person.arrested"),
        ("EAW-IMM", "20(1)", "60 days", "immunity_waiver.decided"),
        ("EAW-SUR", "23(2)", "10 days", "surrender.decided"),
        ("EAW-SPEC", "27(4), 28(3)", "30 days", "speciality_consent.requested"),
        ("EAW-45", "27(3)(a), 28(2)(a)", "45 days", "person.discharged"),
        ("EPOC-N", "8(4), 10(2)", "10 days", "request.received"),
        ("EPOC-D", "10(3)", "10 days", "request.received"),
        ("EPOC-E", "10(4)", "8 hours", "request.received"),
        ("EPOC-REF", "10(4), 12(1)", "10 days", "enforcing_authority.notified"),
        ("EPOC-CLAR", "10(6)", "5 days", "request.defect_notified"),
        ("EPOC-XPV", "4(5)", "48 hours", "request.issued"),
        ("PR-60", "11(1), 11(2)", "60 days", "request.received"),
        ("ENF-REC", "16(2)", "5 working_days", "enforcement.requested"),
        ("ENF-INFO", "16(7)", "5 working_days", "request.supplement_requested"),
        ("EPOC-17", "17(2), 17(9)", "10 days", "request.received"),
        ("TOP-DEC", "13", "60 days", "request.received"),
        ("TOP-REM", "17", "15 days", "person.informed"),
        ("TOP-REMD", "17", "60 days", "challenge.lodged"),
        ("TSP-DEC", "12(2)", "90 days", "request.received"),
        ("TSP-MOVE", "15(1)", "30 days", "request.recognised"),
        ("C112-6M", "3(1)(c)", "6 months", None),
        ("ECE-PA", "16(4)", "18 days", "person.arrested"),
        ("ECE-PA-40", "16(4)", "40 days", "person.arrested"),
        ("ECE-SUR", "18(4)", "15 days", "handover.scheduled"),
        ("ECE-SUR-30", "18(4)", "30 days", "handover.scheduled"),
        ("ECE-SPEC", "14(1)(b)", "45 days", "person.discharged"),
        ("MLA20", "20(4)(a)", "96 hours", "interception.notified"),
        ("BUD-29", "29(7)", "60 days", "request.executed"),
        ("AP2-7", "7(7)", "30 days", "request.received"),
        ("AP2-8", "8(6)", "45 days", "request.received"),
        ("UNT-SAFE", "18(27)", "15 consecutive_days", "person.discharged"),
        ("FRZ-48", "9(3)", "48 hours", "request.received"),
        ("FRZ-48-2", "9(3)", "48 hours", "request.recognised"),
        ("CNF-45", "20(1)", "45 days", "request.received"),
        ("SCA-14", "18 USC 2703(h)(2)(A)", "14 days", "request.received"),
        ("JITP-OP", "21", "4 weeks", "joint_team.material_shared"),
        ("JITP-NO", "22", "5 years", None),
        ("JITP-LOG", "25(2)", "3 years", None),
        ("LED-72", "30(1)", "72 hours", None),
        ("EEV-STAT", "28(2)", None, None),
    ],
)
def test_the_limits_that_everybody_asks_for_have_their_numbers(ident, article, period, start):
    """The id, the provision, the period and the act from which it runs; None where it is no clock of an act."""
    limit = LAW.limit(ident)
    assert article == limit.article
    assert period == (limit.within and f"{limit.within.count} {limit.within.unit}")
    assert start == (limit.starts[0].act if limit.starts else None)


@pytest.mark.parametrize(
    ("ident", "more"),
    [
        ("EIO-REC", "30 days"),
        ("EAW-CONS", "30 days"),
        ("EAW-DEC", "30 days"),
        ("PR-60", "30 days"),
        ("TOP-DEC", "30 days"),
        ("MLA20", "192 hours"),
    ],
)
def test_what_can_be_extended_is_extended_once_and_by_so_much(ident, more):
    """Thirty days more, eight days of hours for an interception; a second extension does not count."""
    extension = LAW.limit(ident).extension
    assert extension is not None
    assert (more, 1) == (str(extension.within), extension.times)


@pytest.mark.parametrize("ident", ["EPOC-XPV", "EPOC-XPV-PR", "PR-60", "PR-60-EXT", "TOP-DEC", "TOP-REMD"])
def test_a_start_that_the_text_does_not_name_leaves_the_limit_unverified(ident):
    """The period was read; from when it runs is a reading, and whoever is told the day is told that too."""
    limit = LAW.limit(ident)
    assert not limit.verified
    assert limit.note


@pytest.mark.parametrize(
    ("instrument", "verified"),
    [
        ("coe-cybercrime-cets-224", {}),
        ("un-cybercrime-2024", {}),
        ("eu-jit-2002-465", {"1(10), as amended by Dir. 2022/211"}),
        ("eu-prisoners-2008-909", {"6(3); Reg. 2023/2844, 6(2)", "Dir. 2023/2843, 6"}),
    ],
)
def test_what_was_read_in_other_texts_alone_is_not_verified(instrument, verified):
    """Of these four the official wording was not read, save for what later acts of the Union say of them."""
    rows = LAW.instruments[instrument].data.values()
    assert set(verified) == {
        datum.article for each in rows for versions in each.values() for datum in versions if datum.verified
    }


def test_every_competence_names_somebody():
    """A competence that nobody has would accuse everybody."""
    for datum in OWN:
        if isinstance(datum, Competence):
            assert datum.kinds or datum.with_validation, datum.id
