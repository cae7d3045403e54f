"""The graph of procedures: what it has, what it flags, and that page and code read one file."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.acts import catalogue
from ledger.domain import THINGS, diagrams, flags, load
from ledger.domain import procedure as procedures
from ledger.domain.procedure import parse
from ledger.errors import FormatError
from tests.domain_machine import EVERYTHING, World, ident, says

if TYPE_CHECKING:
    from ledger.domain import Thing

TEXT = (Path(procedures.__file__).parent.parent / "law" / "procedure.toml").read_text(encoding="utf-8")
DATA = tomllib.loads(TEXT)


def bodies(kind: str, act: str) -> list[dict[str, Any]]:
    """One body for each way in which the steps of an act look at it; one that no step looks for, too."""
    rows = [row for row in DATA[kind]["steps"] if row["act"] == act]
    seen = [(row["when"]["field"], row["when"]["value"]) for row in rows if "when" in row]
    if any("from_field" in row for row in rows):
        return [{"from_stage": a, "to_stage": b} for a, b in product(DATA[kind]["stages"], repeat=2) if a != b]
    return [dict([pair]) for pair in seen] or [{}]


def written(kind: str, stage: str, act: str, body: dict[str, Any]) -> bool:
    """Does the file have this step? Read here a second time, by other code."""
    if act in DATA["everywhere"]:
        return True
    for row in DATA[kind]["steps"]:
        if row["act"] != act or "from" not in row:
            continue
        at = stage in row["from"] or row["from"] == ["*"]
        looks = row.get("when", {"field": "", "value": body.get("")})
        if at and body.get(looks["field"]) == looks["value"] and body.get(row.get("from_field", ""), stage) == stage:
            return True
    return False


CROSS = [
    (kind, act.name)
    for kind in THINGS
    for act in catalogue().acts()
    if act.released and kind in act.streams and not act.creates
]


@pytest.mark.parametrize(("kind", "act"), CROSS, ids=lambda name: name)
def test_every_act_at_every_stage(kind, act):
    """Each act is unflagged exactly where the file has the step, and never leads to an unknown stage"""
    graph = load().graphs[kind]
    for stage, body in product(graph.stages, bodies(kind, act)):
        step = load().step(kind, stage, act, body)
        assert step.in_graph == written(kind, stage, act, body), (stage, body)
        assert step.stage in graph.stages
        flagged = {flag.code for flag in flags(a_thing(kind, stage), *World().statement(said(kind, act, body)), load())}
        assert ("step_outside_procedure" in flagged) == (not step.in_graph), (stage, body)


def said(kind: str, act: str, body: dict[str, Any]) -> Any:
    """Somebody says it; who, is not what is asked here."""
    return says("Frankfurt", act, f"a {kind}", body)


def a_thing(kind: str, stage: str) -> Thing:
    """A thing at a stage, with every side stage open."""
    sides = tuple(sorted((name, 1) for name in load().graphs[kind].sides))
    return THINGS[kind](ident(f"a {kind}"), ident("the case"), 1, 1, 1, stage, 1, False, sides)


@pytest.mark.parametrize(("kind", "act"), CROSS, ids=lambda name: name)
def test_outside_the_graph_nothing_goes_back(kind, act):
    """An act that the graph does not have from here leads to a later stage, or to none"""
    order = list(load().graphs[kind].stages)
    for stage, body in product(order, bodies(kind, act)):
        step = load().step(kind, stage, act, body)
        if not step.in_graph:
            assert order.index(step.stage) >= order.index(stage), (stage, body)


def test_what_comes_next_is_what_the_graph_has():
    """``next`` names exactly the acts that are steps from here, movers first"""
    for kind, graph in load().graphs.items():
        for stage in graph.stages:
            sides = tuple((name, 1) for name in graph.sides)
            steps = load().next(kind, stage, sides)
            possible = {
                act for of, act in CROSS if of == kind and any(written(kind, stage, act, b) for b in bodies(kind, act))
            }
            assert {step.act for step in steps} == possible
            assert [bool(step.to) for step in steps] == sorted((bool(step.to) for step in steps), reverse=True)
            for step in steps:
                assert step.words
                assert step.by == catalogue().act(step.act).by
                assert set(step.to) <= set(graph.stages)


def test_what_is_not_open_is_not_ended_next():
    """Without a postponement, its end is not among what can come next"""
    assert "request.postponement_ended" not in {step.act for step in load().next("request", "recognised")}
    open_now = load().next("request", "recognised", (("postponed", 1),))
    assert "request.postponement_ended" in {step.act for step in open_now}


def test_how_things_begin():
    """From nothing come the acts that create, and only they"""
    for kind in THINGS:
        creating = {act.name for act in catalogue().acts() if act.released and act.creates and kind in act.streams}
        assert {step.act for step in load().next(kind, None)} == creating


def test_an_ordinary_request_is_not_flagged():
    """Issued, sent, received, acknowledged, recognised, carried out, handed over, received, closed by both"""
    path: tuple[tuple[str, dict[str, str], str], ...] = (
        ("request.transmitted", {}, "transmitted"),
        ("request.received", {}, "received"),
        ("request.acknowledged", {}, "acknowledged"),
        ("request.recognised", {"scope": "full"}, "recognised"),
        ("measure.started", {}, "executing"),
        ("measure.completed", {}, "executing"),
        ("request.executed", {}, "executed"),
        ("result.handed_over", {}, "results_handed_over"),
        ("result.received", {}, "results_received"),
        ("request.closed", {}, "closed"),
        ("request.closed", {}, "closed"),
    )
    stage = load().step("request", None, "request.issued", {}).stage
    for act, body, expected in path:
        assert load().step("request", stage, act, body) == (expected, True)
        stage = expected


def test_the_outcome_decides_where_a_surrender_leads():
    """Yes, no, on conditions, postponed: four stages"""
    for outcome, stage in (
        ("yes", "granted"),
        ("no", "not_granted"),
        ("conditional", "granted_conditionally"),
        ("postponed", "postponed"),
    ):
        assert load().step("handover", "arrested", "surrender.decided", {"outcome": outcome}) == (stage, True)


def test_no_handing_over_before_the_decision():
    """A person handed over before any decision is outside the procedure, and so is one refused"""
    for stage in ("arrested", "postponed", "not_granted"):
        assert not load().step("handover", stage, "person.handed_over", {}).in_graph


def test_no_recognition_before_receipt():
    """A request not received cannot be recognised within the procedure"""
    for stage in ("issued", "validated", "transmitted", "withdrawn", "closed"):
        assert not load().step("request", stage, "request.recognised", {"scope": "full"}).in_graph


def test_halves_belong_together():
    """Each half knows the other, and an act without another half has none"""
    for halves in load().halves:
        assert load().other_half(halves.first) == halves.second
        firsts = [one.first for one in load().halves if one.second == halves.second]
        assert load().other_half(halves.second) == firsts[0]
    assert load().other_half("case.opened") is None


def test_stages_of_proceedings_are_their_code_list():
    """The graph and the code list name the same stages"""
    assert list(DATA["proceedings"]["stages"]) == list(catalogue().codes("proceedings_stages"))


def test_conditions_look_at_fields_and_codes_that_exist():
    """Every condition of a step names a field of its act and a value of that field"""
    for kind in THINGS:
        rows = list(DATA[kind]["steps"])
        for side in DATA[kind].get("sides", {}).values():
            rows += [*side["opens"], *side["closes"]]
        for row in rows:
            if "when" not in row:
                continue
            body = {row["when"]["field"]: row["when"]["value"]}
            statement_body = World().statement(said(kind, row["act"], body))[1]
            assert set(body) <= set(statement_body)
            faults = catalogue().faults(row["act"], 1, statement_body)
            assert row["when"]["field"] not in {fault.path for fault in faults}, row


@settings(deadline=None, max_examples=200)
@given(acts=st.lists(st.sampled_from([pair for pair in CROSS if pair[0] == "request"]), max_size=40))
def test_any_acts_lead_to_known_stages(acts):
    """Whatever is said of a request, it stands at a stage that has words, and counts stay positive"""
    stage = "issued"
    sides: tuple[tuple[str, int], ...] = ()
    for kind, act in acts:
        body = bodies(kind, act)[0]
        stage = load().step(kind, stage, act, body).stage
        sides, _ = load().sides(kind, sides, act, body)
        assert stage in load().graphs[kind].stages
        assert all(count > 0 for _, count in sides)
        assert sides == tuple(sorted(sides))


# ------------------------------------------------------------------------------- reading the file


def changed(old: str, new: str) -> bytes:
    assert old in TEXT
    return TEXT.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (changed('act = "case.opened"\n', 'act = "case.opened"\ncolour = "red"\n'), "case.steps[0].colour"),
        (changed('act = "case.opened"\n', 'act = "case.invented"\n'), "case.steps[0].act"),
        (changed('act = "case.opened"\n', 'act = "request.issued"\n'), "case.steps[0].act"),
        (changed('act = "case.opened"\nto = "open"', 'act = "case.opened"\nto = "ajar"'), "case.steps[0].to"),
        (changed('act = "case.closed"\nfrom = ["open"]', 'act = "case.closed"\nfrom = ["ajar"]'), "case.steps[1].from"),
        (changed('act = "case.closed"\nfrom = ["open"]', 'act = "case.closed"'), "case.steps[1].from"),
        (changed('closed = "The case is closed."', 'closed = ""'), "case.stages.closed"),
        (changed('closed = "The case', 'lost = "Nobody knows."\nclosed = "The case'), "case.stages.lost"),
        (changed('"case.opened" = "a case is opened"\n', ""), "words.case.opened"),
        (changed('"case.opened" = ', '"case.invented" = "nothing"\n"case.opened" = '), "words.case.invented"),
        (changed('[[case.steps]]\nact = "case.linked"\nfrom = ["open"]\n', ""), "case.steps"),
        (changed('second = "request.received"', 'second = "request.heard"'), "halves[0].second"),
        (changed("[case.stages]", "[castle]\n[case.stages]"), "castle"),
        (changed('value = "ex_ante"', 'values = ["ex_ante"], value = "ex_ante"'), "request.steps[1].when"),
        (changed("everywhere = [", 'everywhere = ["a.b", '), "everywhere[0]"),
        (b"\xff", ""),
        (b"a = ", ""),
    ],
)
def test_a_fault_in_the_file_is_named(text, field):
    """An unknown key, act, stage or kind, and a missing one, is refused by file and key"""
    with pytest.raises(FormatError) as raised:
        parse(text, catalogue().acts())
    assert raised.value.field == (f"procedure.toml: {field}" if field else "procedure.toml")


@settings(deadline=None, max_examples=100)
@given(cut=st.integers(0, len(TEXT)), noise=st.binary(max_size=4))
def test_any_bytes_are_a_graph_or_a_format_error(cut, noise):
    """A damaged file is refused as such, whatever the damage"""
    data = TEXT.encode()
    with suppress(FormatError):
        parse(data[:cut] + noise + data[cut + len(noise) :], catalogue().acts())


@settings(deadline=None, max_examples=200)
@given(
    line=st.integers(0, TEXT.count("\n")),
    value=st.sampled_from(["1", "[]", "{}", "[1]", "{ act = 1 }", "[[]]", "1979-05-27", "''", "true", "[{}]"]),
)
def test_a_value_of_another_type_is_a_format_error(line, value):
    """Whatever stands where a string, a list or a table should, only the format error comes of it"""
    lines = TEXT.splitlines()
    name, equals, _ = lines[min(line, len(lines) - 1)].partition(" = ")
    if equals:
        lines[min(line, len(lines) - 1)] = f"{name} = {value}"
    with suppress(FormatError):
        parse("\n".join(lines).encode(), catalogue().acts())


# ------------------------------------------------------------------------------------ the page


def test_the_page_is_not_stale():
    """docs/explanation/procedures.md is what the graph draws; run python -m ledger.domain.diagrams"""
    page = diagrams.PAGE.read_text(encoding="utf-8")
    assert diagrams.drawn(page, load()) == page


def test_the_page_draws_every_kind():
    """Every kind of thing has its part, and every stage that is moved to has an arrow"""
    page = diagrams.PAGE.read_text(encoding="utf-8")
    parts = set(re.findall(r"<!-- generated: ([a-z-]+) -->", page))
    assert parts == {kind.replace("_", "-") for kind in THINGS} | {"halves"}
    for kind, graph in load().graphs.items():
        for edge in graph.edges:
            if edge.to is not None and edge.to != edge.origin and len(graph.stages) > 1:
                assert f"    {edge.origin or '[*]'} --> {edge.to}: " in page, (kind, edge)


def test_the_things_of_these_tests_are_of_every_kind():
    """The named things of the domain's tests cover what can be begun in a case"""
    kinds = {catalogue().act(saying.act).streams[0] for saying in EVERYTHING}
    assert kinds == set(THINGS) - {"ledger", "authority"}
