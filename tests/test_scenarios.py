"""
The real cases: EncroChat (all 29 rows of the published list) and Aranyosi/Căldăraru.

``GOLDEN`` holds the roots of the trees that the scenarios play into. A root changes when a scenario,
a schema, the encoding, the roster's rules or the law manifest changes, and with nothing else; so a
change of it is to be reviewed like a change of the wire format, and then written down here.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import resources
from ledger.acts import catalogue
from ledger.errors import FormatError, NotFound, NotPermitted
from ledger.instants import instant
from ledger.scenarios import Scenario, Simulation, identity, load, play
from ledger.verify import parse_checkpoint, parse_note
from projections import admissibility, audit, provenance, status
from projections.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.views import Views

GOLDEN = Path(__file__).parent / "golden" / "scenario-roots.txt"
SCENARIOS = resources.path("scenarios")
THEN = instant("2020-06-02", zone="Europe/Berlin", end=True)


@dataclass(frozen=True)
class Story:
    """A scenario played, its projections open."""

    scenario: Scenario
    ledger: Simulation
    views: Views


def _story(name: str, folder: Path) -> Iterator[Story]:
    scenario = load(SCENARIOS / f"{name}.toml")
    with (
        closing(play(scenario, folder)) as ledger,
        closing(Runner(ledger.store, catalogue(), folder / "projections.db")) as runner,
    ):
        runner.catch_up()
        with runner.views() as views:
            yield Story(scenario, ledger, views)


@pytest.fixture(scope="module")
def encrochat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    yield from _story("encrochat", tmp_path_factory.mktemp("encrochat"))


@pytest.fixture(scope="module")
def aranyosi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    yield from _story("aranyosi", tmp_path_factory.mktemp("aranyosi"))


def _root(ledger: Simulation) -> str:
    return parse_checkpoint(parse_note(ledger.checkpoint()).text).root.hex()


# ------------------------------------------------------------- the assertions of the scenario list


def test_a_on_2_june_2020_germany_holds_the_data_for_evaluation_only_and_has_not_asked(encrochat: Story):
    """(a) As of 2 June 2020: held by the BKA, bound to police evaluation, no formal request shown."""
    found = provenance.exhibit(encrochat.views, encrochat.ledger.named("chat-1"), happened_by=THEN, known_by=THEN)
    german = [one for one in found.holders if one.authority.country == "DE"]
    assert {"Bundeskriminalamt"} == {one.authority.designation for one in german}
    assert all(one.requests == () for one in german)
    assert all(one.conditions for one in german)
    assert any(one.before_request for one in german)
    (condition,) = found.conditions
    (bound,) = condition.recipients
    assert (True, True) == (condition.in_force, condition.future_material)
    assert (("police_evaluation",), False, "accepted") == (bound.purposes, bound.free, bound.accepted)
    case = status.case(encrochat.views, encrochat.ledger.named("encrochat-de"), happened_by=THEN, known_by=THEN)
    assert [] == [thing for thing in case.things if thing.thing_kind == "request"]


def test_c_the_provenance_of_a_chat_runs_from_lille_to_berlin_with_its_gaps_shown(encrochat: Story):
    """(c) Authorisation, collection with the method withheld, Europol, BKA, Frankfurt, Berlin; gaps named."""
    found = provenance.exhibit(encrochat.views, encrochat.ledger.named("chat-1"))
    told = [(hop.step, hop.said.speaker.designation) for hop in found.chain if hop.on_path]
    expected = [
        ("authorised", "Tribunal judiciaire de Lille"),
        ("acquired", "Gendarmerie nationale"),
        ("withheld", "Gendarmerie nationale"),
        ("taken_over", "Europol"),
        ("derived", "Europol"),
        ("taken_over", "Bundeskriminalamt"),
        ("derived", "Bundeskriminalamt"),
        ("taken_over", "Generalstaatsanwaltschaft Frankfurt am Main (ZIT)"),
        ("taken_over", "Staatsanwaltschaft Berlin"),
        ("taken_over", "Landgericht Berlin"),
    ]
    assert expected == [step for step in told if step in expected]
    assert ("method", "tool") == found.withheld[0].facts
    assert "military_secret" == found.withheld[0].ground
    gaps = {(gap.code, gap.index) for gap in found.gaps}
    collected = next(hop for hop in found.chain if hop.step == "acquired")
    assert ("hash_missing", collected.index) in gaps
    assert {"hash_missing", "other_half_missing", "reported_only", "withheld", "discrepancy"} <= {c for c, _ in gaps}


def test_d_the_same_exhibit_is_admitted_in_hamburg_bremen_and_london_and_excluded_in_berlin(encrochat: Story):
    """(d) Simultaneously, of one item; and the ruling of 2021 stands overturned in the history."""
    found = admissibility.exhibit(encrochat.views, encrochat.ledger.named("stream-1"), lineage=False)
    stands = {(one.court.designation, one.stage): (one.outcome, one.standing) for one in found}
    assert {
        ("Hanseatisches Oberlandesgericht in Bremen", "remand"): ("admitted", "stands"),
        ("Hanseatisches Oberlandesgericht Hamburg", "remand"): ("admitted", "stands"),
        ("Court of Appeal, Criminal Division", "appeal"): ("admitted", "stands"),
        ("Landgericht Berlin", "opening"): (None, "overturned"),
        ("Bundesgerichtshof", "appeal"): ("admitted", "final"),
        ("Landgericht Berlin", "trial"): ("excluded", "stands"),
    } == stands
    berlin = {one.proceedings for one in found if one.court.designation == "Landgericht Berlin"}
    assert 2 == len(berlin), "two proceedings at one court are two proceedings"


def test_e_the_disclosure_lies_before_the_authorisation_of_its_use(encrochat: Story):
    """(e) The timeline keeps apart what was disclosed in spring and what was authorised on 13 June 2020."""
    steps = provenance.legal_basis_timeline(encrochat.views, encrochat.ledger.named("chat-1"))
    disclosed = next(step for step in steps if step.step == "disclosed")
    authorised = next(step for step in steps if step.step == "use_authorised")
    assert disclosed.when.until_at < authorised.when.from_at
    assert (True, authorised.index) == (disclosed.before_authorisation, disclosed.authorised_index)
    assert instant("2020-06-13", zone="Europe/Paris") == authorised.when.from_at
    lifted = next(step for step in steps if step.step == "condition_lifted")
    assert authorised.when.from_at == lifted.when.from_at


# ------------------------------------------------------------------------------- the facts as told


def test_every_row_of_the_published_list_is_told(encrochat: Story, aranyosi: Story):
    """Rows 1 to 29 of EncroChat, and 1 to 10 of the surrender cases."""
    assert set(range(1, 30)) == {said.step for said in encrochat.scenario.statements}
    assert set(range(1, 11)) == {said.step for said in aranyosi.scenario.statements}


@pytest.mark.parametrize("name", ["encrochat", "aranyosi"])
def test_every_statement_is_accepted(name: str, request: pytest.FixtureRequest):
    """Nothing in either case is impossible on the record; what the law would forbid is there all the same."""
    story: Story = request.getfixturevalue(name)
    assert len(story.scenario.statements) == len(story.ledger.told.published)
    assert all(one.receipt.accepted for one in story.ledger.told.published)


@pytest.mark.parametrize("name", ["encrochat", "aranyosi"])
def test_an_unconfirmed_date_is_marked_in_every_answer(name: str, request: pytest.FixtureRequest):
    """What the file marks as from memory is marked in the trail, in the flag and in the sentence."""
    story: Story = request.getfixturevalue(name)
    unconfirmed = [one for one in story.ledger.told.published if not one.said.confirmed]
    assert unconfirmed
    for one in story.ledger.told.published:
        line = audit.entry(story.views, one.receipt.index)
        assert one.said.confirmed == line.when.confirmed
        assert one.said.confirmed != ("(unconfirmed)" in line.sentence)


def test_the_order_of_germany_is_dated_from_memory(encrochat: Story):
    """June 2020 is published, the 2nd is not; the ledger says so."""
    line = audit.entry(encrochat.views, encrochat.ledger.labelled("eio-de-1").index)
    assert not line.when.confirmed


def test_no_notice_of_the_interception_to_germany_is_told(encrochat: Story):
    """There was none: the absence is what a later rule finds."""
    assert [] == [said for said in encrochat.scenario.statements if said.act == "interception.notified"]


def test_the_method_is_withheld_from_the_first_day_of_the_collection(encrochat: Story):
    """It is dated from the collection, not from the judgment of 2024 that relied on it."""
    first = next(said for said in encrochat.scenario.statements if said.act == "provenance.withheld")
    began = next(said for said in encrochat.scenario.statements if said.label == "collection-begins")
    assert began.occurred_from == first.occurred_from


@pytest.mark.parametrize("name", ["encrochat", "aranyosi"])
def test_who_has_no_key_is_reported_with_a_source(name: str):
    """Courts and States without keys are reported; who has a key speaks for itself."""
    scenario = load(SCENARIOS / f"{name}.toml")
    for said in scenario.statements:
        if said.voice == "reported":
            assert said.source
            assert not (isinstance(said.speaker, str) and scenario.cast[said.speaker].key)


@pytest.mark.parametrize("name", ["encrochat", "aranyosi"])
def test_each_challenge_is_lodged_before_it_is_decided(name: str):
    """Berlin, London, Bremen, Hamburg, Strasbourg: in the log, and as it happened."""
    lodged: dict[str, int] = {}
    for said in load(SCENARIOS / f"{name}.toml").statements:
        if said.act == "challenge.lodged":
            lodged[said.subject.slug] = said.occurred_from
        elif said.subject.kind == "challenge":
            assert lodged[said.subject.slug] <= said.occurred_until


def test_the_surrender_is_postponed_by_bremen_after_the_answer_from_luxembourg(aranyosi: Story):
    """The Court answers on 5 April 2016; to postpone and to ask for assurances is Bremen's, afterwards."""
    answered = aranyosi.ledger.labelled("first-answer").index
    case = status.case(aranyosi.views, aranyosi.ledger.named("aranyosi"))
    (handover,) = [thing for thing in case.things if thing.thing_kind == "handover"]
    assert ("postponed", False) == (handover.stage, handover.reported)
    assert answered < handover.index


# ------------------------------------------------------------------------------------- two plays


def test_two_plays_give_the_same_root_and_it_is_the_one_reviewed(encrochat: Story, aranyosi: Story, tmp_path: Path):
    """Keys, ids and clock are derived, so the bytes are; see the module's words before changing GOLDEN."""
    with closing(play(load(SCENARIOS / "encrochat.toml"), tmp_path / "again")) as again:
        assert _root(encrochat.ledger) == _root(again)
    with closing(play([encrochat.scenario, aranyosi.scenario], tmp_path / "both")) as both:
        roots = {"encrochat": _root(encrochat.ledger), "aranyosi": _root(aranyosi.ledger), "both": _root(both)}
        assert 4 + 5 < both.store.size()
    golden = dict(line.split() for line in GOLDEN.read_text().splitlines() if line and not line.startswith("#"))
    assert golden == roots


def test_both_cases_share_one_log_in_the_order_of_its_clock(encrochat: Story, aranyosi: Story, tmp_path: Path):
    """The clock of the log never runs backwards, and the court of Bremen is one authority in both."""
    with closing(play([encrochat.scenario, aranyosi.scenario], tmp_path / "both")) as both:
        recorded = [one.receipt.recorded_at for one in both.told.published]
        assert sorted(recorded) == recorded
        assert recorded == [one.said.recorded for one in both.told.published]
        assert both.named("de-olg-bremen") == aranyosi.ledger.named("de-olg-bremen")
        with pytest.raises(NotFound):
            both.named("nobody")
        with pytest.raises(NotFound):
            both.labelled("nothing")


def test_a_ledger_that_is_no_simulation_is_never_played_into(encrochat: Story, tmp_path: Path):
    """Keys that anybody can derive must not enter a real log."""
    with pytest.raises(NotPermitted):
        play(encrochat.scenario, tmp_path / "real", origin="ledger.example.org/2026")
    assert not (tmp_path / "real").exists()


def test_ids_are_those_of_random_uuids_and_differ_by_origin():
    """The form gives nothing away, and two simulations share no id."""
    one, other = identity("a/simulation", "case", "x"), identity("b/simulation", "case", "x")
    assert one != other
    assert (4, 2) == (one[6] >> 4, one[8] >> 6)


def test_scenarios_that_contradict_each_other_are_refused(encrochat: Story, tmp_path: Path):
    """One authority is described once; a thing belongs to one scenario."""
    text = (SCENARIOS / "aranyosi.toml").read_text().replace('name = "Germany"', 'name = "Somewhere"')
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(FormatError) as raised:
        play([encrochat.scenario, load(tmp_path / "other.toml")], tmp_path / "ledger")
    assert "other.toml: root.DE" == raised.value.field
    with pytest.raises(FormatError) as raised:
        play([encrochat.scenario, encrochat.scenario.__class__(**_renamed(encrochat.scenario))], tmp_path / "ledger")
    assert raised.value.field.startswith("twice.toml: ")


def _renamed(scenario: Scenario) -> dict[str, Any]:
    return {name: getattr(scenario, name) for name in Scenario.__slots__} | {"name": "twice"}


# ------------------------------------------------------------------------------------- bad files

SMALL = """
title = "Small"
founded = 2020-01-01
[root.FR]
name = "France"
enrolls = "country"
zone = "Europe/Paris"
[authority.judge]
name = "A court"
holder = "FR"
kind = "court"
zone = "Europe/Paris"
languages = ["fr"]
functions = []
level = "L2"
key = true
[authority.silent]
name = "Another court"
holder = "FR"
kind = "court"
zone = "Europe/Paris"
languages = []
functions = []
level = "L0"
key = false
[case.file]
title = "A case"
[[statement]]
step = 1
label = "opened"
act = "case.opened"
subject = "file"
by = "judge"
on = 2020-02-01
recorded = 2020-02-02
body = { procedure = "criminal", stage = "investigation", offences = [], sensitivity = "ordinary" }
"""


def test_the_small_scenario_is_sound(tmp_path: Path):
    """What the next test breaks is whole before."""
    (tmp_path / "small.toml").write_text(SMALL)
    with closing(play(load(tmp_path / "small.toml"), tmp_path / "ledger")) as ledger:
        assert 4 == ledger.store.size()


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('title = "Small"', 'titel = "Small"', "titel"),
        ("founded = 2020-01-01", 'founded = "2020-01-01"', "founded"),
        ('enrolls = "country"', 'enrolls = "planet"', "root.FR.enrolls"),
        ('kind = "court"', 'kind = "tribunal"', "authority.judge.authority_kind"),
        ('holder = "FR"', 'holder = "GB"', "authority.judge.holder"),
        ('zone = "Europe/Paris"\nlanguages = ["fr"]', 'zone = "Paris"\nlanguages = ["fr"]', "authority.judge.zone"),
        ('title = "A case"', 'title = "A case"\ncolour = 3', "case.file.colour"),
        ("step = 1", "step = 0", "statement[0] (opened).step"),
        ("step = 1\n", "", "statement[0].step"),
        ("step = 1", "step = 1\nwhen = 3", "statement[0].when"),
        ('act = "case.opened"', 'act = "case.opend"', "statement[0] (opened).act"),
        ('subject = "file"', 'subject = "judge"', "statement[0] (opened).subject"),
        ('by = "judge"', 'by = "silent"', "statement[0] (opened).by"),
        ('by = "judge"', 'by = "judge"\nspeaker = "silent"', "statement[0] (opened).source"),
        ("on = 2020-02-01", "on = 2020-02-01\nuntil = 2020-02-03", "statement[0] (opened)"),
        ("on = 2020-02-01", "from = 2020-02-03\nuntil = 2020-02-01", "statement[0] (opened).until"),
        ("recorded = 2020-02-02", "recorded = 2020-02-01", "statement[0] (opened).recorded"),
        ("recorded = 2020-02-02", "recorded = 2019-12-01", "statement[0] (opened).recorded"),
        ("recorded = 2020-02-02", 'recorded = 2020-02-02\nanswers = ["x"]', "statement[0] (opened).answers"),
        ('"ordinary" }', '"odd" }', "statement[0] (opened).body.sensitivity"),
        ('"ordinary" }', '"ordinary", more = 1 }', "statement[0] (opened).body.more"),
        ('"ordinary" }', '"ordinary"', ""),
    ],
)
def test_a_faulty_scenario_is_refused_naming_file_and_key(old: str, new: str, field: str, tmp_path: Path):
    """A jurist who mistypes is told where; nothing is guessed."""
    assert old in SMALL
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(FormatError) as raised:
        load(path)
    assert (f"small.toml: {field}" if field else "small.toml") == raised.value.field


def test_a_scenario_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    """The error is about the file, not about its content."""
    with pytest.raises(NotFound):
        load(tmp_path / "nothing.toml")


@given(
    at=st.integers(0, len(SMALL)),
    cut=st.integers(0, 12),
    put=st.sampled_from(["", "[]", "{}", "0", "0001-01-01", "true", '"x"', "[[", "\n", "1.5", "=", "'", "12:00:00"]),
)
def test_any_file_gives_a_scenario_or_says_what_is_wrong_with_it(at: int, cut: int, put: str):
    """A scenario with anything cut out and put in is read, or refused by name; nothing else happens."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.toml"
        path.write_text(SMALL[:at] + put + SMALL[at + cut :])
        try:
            load(path)
        except FormatError as error:
            assert error.field.startswith("small.toml")


@pytest.mark.parametrize("data", [b"\xff", b"a = " + b"[" * 100_000, b"title = 1979-05-27T07:32:00", b""])
def test_bytes_that_are_no_scenario_are_refused(data: bytes, tmp_path: Path):
    """Not text, nested without end, or empty."""
    (tmp_path / "small.toml").write_bytes(data)
    with pytest.raises(FormatError):
        load(tmp_path / "small.toml")
