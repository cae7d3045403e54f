"""Provenance: the chain back to the authorisation, its gaps, its holders and the conditions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import NotFound
from ledger.statement import Speaker
from projections import provenance
from projections.facts import id_text
from tests.projections.build import Log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.provenance import Provenance
    from projections.views import Views

    Follow = Callable[[Log], Views]

STREAM, EXTRACT, CHAT = (id_text(some_id(name)) for name in ("stream", "extract", "chat"))


@pytest.fixture
def log() -> Log:
    """Data collected in France, extracted at Europol, disclosed to Germany, asked for afterwards."""
    log = Log()
    for name, country, kind in [
        ("Lille", "FR", "prosecutor"),
        ("Gendarmerie", "FR", "police"),
        ("Europol", "EU", "union_body"),
        ("BKA", "DE", "police"),
        ("GStA", "DE", "prosecutor"),
    ]:
        log.enrol(name, country, kind)
    authorised = log.say("measure.authorised", log.case, "Lille", "2020-01-30", measure="device_infiltration")
    started = log.say("measure.started", log.case, "Gendarmerie", "2020-04-01", place="FR", authorisation=authorised)
    log.say("spontaneous_information.sent", "siena", "Lille", "2020-03-27", recipients=[some_id("BKA")])
    log.say(
        "use_condition.attached",
        "siena",
        "Lille",
        "2020-03-27",
        condition=some_id("evaluation"),
        purposes=["police_evaluation"],
        recipients=[some_id("BKA")],
        future_material=True,
    )
    log.say("conditions.accepted", "siena", "BKA", "2020-03-28", condition=some_id("evaluation"))
    log.say(
        "exhibit.acquired",
        "stream",
        "Gendarmerie",
        "2020-04-01",
        measure=started,
        source_country="FR",
        method="withheld",
        hash_kind="none",
    )
    log.say("provenance.withheld", "stream", "Gendarmerie", "2020-04-01", facts=["method"])
    log.say("exhibit.handed_over", "stream", "Gendarmerie", "2020-04-02", to=some_id("Europol"))
    log.say("exhibit.handed_over", "stream", "Gendarmerie", "2020-04-02", to=some_id("elsewhere"))
    log.say(
        "exhibit.derived",
        "extract",
        "BKA",
        "2020-04-03",
        voice_of=Speaker(authority=some_id("Europol"), source="Europol"),
        parents=[some_id("stream")],
        hash_kind="none",
    )
    log.say(
        "disclosure.made",
        "to-bka",
        "Lille",
        ("2020-04-03", "2020-06-28"),
        known="2020-05-05",
        exhibits=[some_id("extract")],
        recipient=some_id("BKA"),
        purpose="police_evaluation",
    )
    log.say("exhibit.taken_over", "extract", "BKA", "2020-04-04", from_authority=some_id("Europol"))
    log.say(
        "exhibit.derived",
        "chat",
        "BKA",
        "2020-05-06",
        parents=[some_id("extract")],
        hash=bytes(32),
        hash_kind="salted",
        reproducible=True,
    )
    german = some_id("german case")
    log.say("case.linked", log.case, "Lille", "2020-05-07", other=german)
    log.say("request.issued", "eio", "GStA", "2020-06-02", in_case=german, requested_country="FR")
    log.say("request.recognised", "eio", "Lille", "2020-06-13", in_case=german)
    log.say(
        "use_condition.lifted",
        "siena",
        "Lille",
        "2020-06-14",
        condition=some_id("evaluation"),
        purposes=["criminal_proceedings"],
        recipients=[some_id("BKA")],
    )
    log.say("exhibit.handed_over", "chat", "BKA", "2020-06-20", to=some_id("GStA"), hash=bytes(32))
    log.say("exhibit.taken_over", "chat", "GStA", "2020-06-20", from_authority=some_id("BKA"))
    return log


def chain(found: Provenance) -> list[tuple[str, str | None]]:
    return [(hop.step, hop.exhibit) for hop in found.chain]


def test_the_chain_leads_from_the_authorisation_to_the_exhibit(views: Follow, log: Log):
    """Every hop of every ancestor, in order, each with the index of the entry that shows it."""
    found = provenance.exhibit(views(log), some_id("chat"))
    assert [
        ("authorised", None),
        ("measured", None),
        ("acquired", STREAM),
        ("withheld", STREAM),
        ("handed_over", STREAM),
        ("handed_over", STREAM),
        ("derived", EXTRACT),
        ("disclosed", EXTRACT),
        ("taken_over", EXTRACT),
        ("derived", CHAT),
        ("handed_over", CHAT),
        ("taken_over", CHAT),
    ] == chain(found)
    assert [5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 22, 23] == [hop.index for hop in found.chain]
    # What went elsewhere is told, and marked as no part of the way to this exhibit.
    assert [13] == [hop.index for hop in found.chain if not hop.on_path]
    assert [(CHAT, 0), (EXTRACT, 1), (STREAM, 2)] == [(o.exhibit, o.distance) for o in found.lineage]
    assert (5, 6) == (found.lineage[2].authorisation_index, found.lineage[2].measure_index)
    assert (CHAT,) == provenance.exhibit(views(log), some_id("extract")).descendants


def test_the_gaps_are_named_at_the_entries_where_they_are(views: Follow, log: Log):
    """Missing hashes, a missing half, a report, what is withheld and what cannot be repeated."""
    found = provenance.exhibit(views(log), some_id("chat"))
    gaps = {(gap.code, gap.index) for gap in found.gaps}
    assert {
        ("hash_missing", 10),
        ("withheld", 11),
        ("other_half_missing", 12),
        ("hash_missing", 14),
        ("not_reproducible", 14),
        ("reported_only", 14),
        ("other_half_missing", 16),
        ("hash_missing", 23),
    } <= gaps
    assert not {gap for gap in gaps if gap[1] == 22}
    checks = {hop.index: hop.hash_check for hop in found.chain}
    assert ("first", "same", "missing") == (checks[17], checks[22], checks[23])


@pytest.mark.parametrize(("kind", "code"), [("plain", "hash_differs"), ("salted", "hash_not_comparable")])
def test_another_hash_differs_unless_it_is_salted(views: Follow, kind: str, code: str):
    """Two salted commitments of one exhibit may differ; two plain hashes may not."""
    log = Log()
    log.say("exhibit.acquired", "x", "A", source_country="FR", hash=bytes(32), hash_kind=kind)
    log.say("exhibit.handed_over", "x", "A", "2020-02-01", to=some_id("B"), hash=b"1" * 32)
    log.say("integrity.verified", "x", "B", "2020-02-02", result="different")
    log.say("discrepancy.reported", "x", "B", "2020-02-03", one_sided=True)
    found = provenance.exhibit(views(log), some_id("x"))
    codes = [gap.code for gap in found.gaps]
    assert "authorisation_not_shown" in codes
    assert code in codes
    assert ["integrity_check_failed", "discrepancy"] == codes[-2:]


def test_a_holder_nobody_gave_it_to_is_a_gap(views: Follow):
    """Somebody who holds an exhibit that nobody is shown to have handed him is a gap in the chain."""
    log = Log()
    log.say("exhibit.acquired", "x", "A", source_country="FR", hash=bytes(32))
    log.say("exhibit.handed_over", "x", "C", "2020-02-01", to=some_id("B"), hash=bytes(32))
    log.say("exhibit.derived", "y", "D", "2020-03-01", parents=[some_id("x"), some_id("z")])
    gaps = {(g.code, g.index) for g in provenance.exhibit(views(log), some_id("y")).gaps}
    assert {("holder_not_shown", 1), ("holder_not_shown", 2), ("parent_not_shown", 2)} <= gaps


def test_germany_held_it_for_evaluation_only_and_had_not_asked(views: Follow, log: Log):
    """As of the second of June 2020: holder, condition, no formal request before."""
    instant = on("2020-06-02") - 1
    found = provenance.exhibit(views(log), some_id("chat"), happened_by=instant, known_by=instant)
    german = [holding for holding in found.holders if holding.authority.country == "DE"]
    assert [(EXTRACT, "disclosed", True, ()), (CHAT, "derived", None, ())] == [
        (h.exhibit, h.by, h.before_request, h.requests) for h in german
    ]
    assert all(h.conditions == (id_text(some_id("evaluation")),) for h in german)
    assert german[0].since.uncertain
    (condition,) = found.conditions
    assert (True, "future_material", ("police_evaluation",), ()) == (
        condition.in_force,
        condition.bound_by,
        condition.purposes,
        condition.lifted,
    )
    (bound,) = condition.recipients
    assert ("BKA", ("police_evaluation",), False, "accepted", 9) == (
        bound.authority.designation,
        bound.purposes,
        bound.free,
        bound.accepted,
        bound.accepted_index,
    )
    (disclosure,) = found.disclosures
    assert ("BKA", 15, None) == (
        disclosure.recipient.designation,
        disclosure.index,
        disclosure.recalled_index,
    )


def test_a_lifting_widens_what_its_recipient_may_do(views: Follow, log: Log):
    """Lifted for one purpose, the condition still binds; lifted for all, it does not."""
    (condition,) = provenance.exhibit(views(log), some_id("chat")).conditions
    # The prosecutor is not named, but had it from the police: the condition travels with it.
    bound, onward = condition.recipients
    assert ("GStA", "BKA") == (onward.authority.designation, onward.through and onward.through.designation)
    assert ("police_evaluation", "criminal_proceedings") == bound.purposes == onward.purposes
    assert condition.in_force
    assert [21] == [lift.index for lift in condition.lifted]
    log.say(
        "use_condition.lifted",
        "siena",
        "Lille",
        "2020-07-01",
        condition=some_id("evaluation"),
        recipients=[some_id("BKA")],
    )
    (condition,) = provenance.exhibit(views(log), some_id("chat")).conditions
    assert (False, True) == (condition.in_force, condition.recipients[0].free)


@pytest.mark.parametrize("door", ["exhibit", "ancestor", "disclosure", "case"])
def test_a_condition_comes_by_every_door(views: Follow, log: Log, door: str):
    """On the exhibit, on what it came from, on the disclosure that carried it, on the whole case."""
    subject: dict[str, Any] = {
        "exhibit": some_id("chat"),
        "ancestor": some_id("stream"),
        "disclosure": some_id("to-bka"),
        "case": log.case,
    }
    log.say(
        "use_condition.attached",
        subject[door],
        "Lille",
        "2020-07-01",
        condition=some_id("second"),
        purposes=["arrest"],
        expires_at=on("2021-01-01"),
    )
    view = views(log)
    found = provenance.exhibit(view, some_id("chat"), happened_by=on("2020-12-01"))
    second = found.conditions[-1]
    assert (door, id_text(subject[door]), True) == (second.bound_by, second.via, second.in_force)
    assert {"Europol", "BKA", "GStA"} <= {r.authority.designation for r in second.recipients}
    later = provenance.exhibit(view, some_id("chat"), happened_by=on("2021-02-01"))
    assert not later.conditions[-1].in_force


def test_the_timeline_separates_disclosure_and_authorisation(views: Follow, log: Log):
    """The disclosure began before anybody authorised the use, and the timeline says by which entry."""
    steps = provenance.legal_basis_timeline(views(log), some_id("chat"))
    assert [
        "measure_authorised",
        "information_sent",
        "condition_attached",
        "collected",
        "disclosed",
        "requested",
        "use_authorised",
        "condition_lifted",
    ] == [step.step for step in steps]
    disclosed = steps[4]
    assert (20, True) == (disclosed.authorised_index, disclosed.before_authorisation)
    instant = on("2020-06-10")
    then = provenance.legal_basis_timeline(views(log), some_id("chat"), happened_by=instant)
    assert (None, None) == (then[4].authorised_index, then[4].before_authorisation)


def test_a_part_that_was_not_cut_out_yet_is_shown_as_the_whole_it_was_in(views: Follow, log: Log):
    """Asked of a day before the extraction: where its ancestors then were, and that it was not yet."""
    instant = on("2020-05-05")
    found = provenance.exhibit(views(log), some_id("chat"), happened_by=instant, known_by=instant)
    assert found.not_yet
    assert {EXTRACT, STREAM} == {origin.exhibit for origin in found.lineage}
    assert {"Gendarmerie", "Europol", "BKA", "another authority"} == {
        holding.authority.designation for holding in found.holders
    }
    with pytest.raises(NotFound):
        provenance.exhibit(views(log), some_id("chat"), happened_by=on("2020-01-01"))
    with pytest.raises(NotFound):
        provenance.exhibit(views(log), some_id("nothing"))


def test_what_is_corrected_gives_nobody_the_exhibit(views: Follow, log: Log):
    """A corrected handing over stays in the chain, marked, and makes no holder; a dispute is shown."""
    wrong = log.say("exhibit.handed_over", "chat", "GStA", "2020-07-01", to=some_id("Lille"))
    log.say("statement.corrected", "chat", "GStA", "2020-07-02", corrects=wrong)
    log.say("statement.disputed", "chat", "Lille", "2020-07-03", replies_to=(wrong,))
    found = provenance.exhibit(views(log), some_id("chat"))
    (hop,) = [hop for hop in found.chain if hop.index == 24]
    assert (25, (26,)) == (hop.corrected_by, hop.disputed_by)
    assert "Lille" not in {h.authority.designation for h in found.holders if h.exhibit == CHAT}


def test_results_and_recalls_are_followed(views: Follow):
    """A result goes to who asked; a recall is told at the disclosure; exhibits of a case are listed."""
    log = Log()
    log.enrol("Berlin", "DE")
    log.enrol("Lille", "FR")
    x = some_id("x")
    log.say("request.issued", "r", "Berlin", "2020-01-02", requested_country="FR")
    log.say("exhibit.acquired", "x", "Lille", "2020-01-03", source_country="FR", hash=bytes(32))
    log.say("result.handed_over", "r", "Lille", "2020-01-04", exhibits=[x])
    log.say("result.received", "r", "Berlin", "2020-01-05", exhibits=[x], check="identical")
    log.say("disclosure.made", "d", "Berlin", "2020-02-01", exhibits=[x], recipient=some_id("Lille"))
    log.say("disclosure.recalled", "d", "Berlin", "2020-03-01")
    log.say("recall.implemented", "d", "Lille", "2020-03-02")
    view = views(log)
    found = provenance.exhibit(view, x)
    assert ["acquired", "result_handed_over", "result_received", "disclosed", "recalled", "recall_implemented"] == [
        hop.step for hop in found.chain
    ]
    assert {("Lille", None), ("Berlin", False)} == {(h.authority.designation, h.before_request) for h in found.holders}
    links = {hop.index: hop.said for hop in found.chain}
    assert [links[h.index] for h in found.holders] == [h.said for h in found.holders]
    assert [7] == [disclosure.recalled_index for disclosure in found.disclosures]
    assert {"authorisation_not_shown", "hash_missing"} == {gap.code for gap in found.gaps}
    assert [3] == [origin.index for origin in provenance.exhibits(view, log.case)]


@pytest.mark.parametrize(("check", "gaps"), [("identical", set()), ("not_checked", {"hash_missing"}),
                                             ("different", {"hash_missing", "integrity_check_failed"})])  # fmt: skip
def test_what_is_returned_is_held_again_by_whom_it_came_from(views: Follow, check: str, gaps: set[str]):
    """A return is a handing over: who returns no longer holds it, who gets it back does, whoever says which half."""
    log = Log()
    for name, country in (("Berlin", "DE"), ("Lille", "FR")):
        log.enrol(name, country)
    log.say("exhibit.acquired", "x", "Lille", "2020-01-03", source_country="FR", hash=bytes(32))
    log.say("exhibit.handed_over", "x", "Lille", "2020-01-04", to=some_id("Berlin"), hash=bytes(32))
    log.say("exhibit.taken_over", "x", "Berlin", "2020-01-04", from_authority=some_id("Lille"), hash=bytes(32))
    log.say("exhibit.returned", "x", "Berlin", "2020-03-04", to=some_id("Lille"), check=check)
    half = provenance.exhibit(views(log), some_id("x"))
    assert ["acquired", "handed_over", "taken_over", "handed_over"] == [hop.step for hop in half.chain]
    (back,) = [hop for hop in half.chain if hop.act == "exhibit.returned"]
    assert {"other_half_missing"} | gaps == {gap.code for gap in back.gaps}
    assert ("Berlin", "Lille") == (back.giver and back.giver.designation, back.takers[0].designation)

    log.say("exhibit.taken_over", "x", "Lille", "2020-03-05", from_authority=some_id("Berlin"), hash=bytes(32))
    whole = provenance.exhibit(views(log), some_id("x"))
    (back,) = [hop for hop in whole.chain if hop.act == "exhibit.returned"]
    assert gaps == {gap.code for gap in back.gaps}
    held = {h.authority.designation: (h.index, h.by, h.handed_over_index, h.before_request) for h in whole.holders}
    assert {"Lille": (6, "taken_over", None, None), "Berlin": (4, "taken_over", 5, True)} == held
