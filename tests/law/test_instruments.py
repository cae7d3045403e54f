"""The law of this edition: every file of it is read, every example comes out, and nothing claims too much."""

from __future__ import annotations

import shutil
import time
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.acts import catalogue
from ledger.domain.procedure import load as superset
from ledger.errors import NotFound
from ledger.law import manifest
from ledger.law.checking import computed, wrong
from ledger.law.counting import countings
from ledger.law.data import Limit, Pattern, StepEdit
from ledger.law.law import HERE, load, read

ROOT = Path(__file__).resolve().parents[2]
LAW = load()
MERGED = [*LAW.instruments.values(), *LAW.overlays.values()]
EVERY = [d for one in MERGED for rows in one.data.values() for versions in rows.values() for d in versions]
LIMITS = [d for d in EVERY if isinstance(d, Limit)]
DAYS = st.dates(date(1950, 1, 1), date(2035, 1, 1))


def within(value, kind):
    """Every value of a type anywhere inside a datum."""
    if isinstance(value, kind):
        yield value
    if is_dataclass(value):
        for field in fields(value):
            yield from within(getattr(value, field.name), kind)
    elif isinstance(value, tuple):
        for one in value:
            yield from within(one, kind)


def test_every_worked_example_comes_out():
    """What each file says of its limits is what is computed."""
    assert [] == list(wrong(LAW))


def test_every_limit_with_a_period_has_an_example_and_every_variant_too():
    """Nothing that is computed goes without an example."""
    for limit in LIMITS:
        if limit.within is not None:
            assert limit.examples, limit.id
        tried = {example.variant for example in limit.examples}
        assert {variant.name for variant in limit.variants} <= tried, limit.id


def test_an_example_that_is_wrong_is_found(tmp_path):
    """The check of the examples has teeth."""
    folder = tmp_path / "law"
    shutil.copytree(HERE, folder, ignore=lambda *_: ["instruments"])
    (folder / "instruments").mkdir()
    text = (HERE / "instruments" / "eu-eio-2014-41.toml").read_text(encoding="utf-8")
    (folder / "instruments" / "eu-eio-2014-41.toml").write_text(text.replace("due = 2026-04-01", "due = 2026-04-02"))

    found = list(wrong(read(folder)))
    assert [("eu-eio-2014-41.toml", "limit.EIO-REC.examples[0]", "is due 2026-04-01, not 2026-04-02")] == found


def test_every_act_that_the_law_names_exists():
    """Start, end, suspension, extension, duty, edit: each names an act of the catalogue."""
    known = {act.name for act in catalogue().acts()}
    for datum in EVERY:
        assert {pattern.act for pattern in within(datum, Pattern)} <= known, datum.id
        assert set(getattr(datum, "acts", ())) <= known, datum.id


def test_every_stage_that_the_law_names_exists():
    """An edit of the graph speaks of stages that the graph has."""
    graphs = superset().graphs
    for datum in EVERY:
        for edit in within(datum, StepEdit):
            assert set(edit.origins) <= set(graphs[edit.kind].stages), datum.id
            assert edit.to is None or edit.to in graphs[edit.kind].stages, datum.id


@pytest.mark.parametrize("instrument", MERGED, ids=lambda one: f"{one.id}.{one.country}" if one.country else one.id)
def test_the_edited_graph_has_every_step_it_is_drawn_with(instrument):
    """Every act at every stage is unflagged exactly where the instrument's graph has an edge for it."""
    procedure = LAW.procedure(instrument.id, instrument.country)
    for kind, graph in procedure.graphs.items():
        unconditional = {(e.act, e.origin) for e in graph.edges if e.when is None and e.from_field is None}
        named = {(e.act, e.origin) for e in graph.edges}
        for act in {e.act for e in superset().graphs[kind].edges}:
            for stage in (None, *graph.stages):
                unflagged = procedure.in_graph(kind, stage, act, {})
                if (act, stage) in unconditional:
                    assert unflagged, (kind, act, stage)
                elif (act, stage) not in named:
                    assert not unflagged, (kind, act, stage)
        for edge in graph.edges:
            if edge.when is None or edge.from_field is not None:
                continue
            held = [procedure.in_graph(kind, edge.origin, edge.act, {edge.when.field: v}) for v in edge.when.values]
            assert all(held), (kind, edge)
            if (edge.act, edge.origin) not in unconditional:
                assert not procedure.in_graph(kind, edge.origin, edge.act, {edge.when.field: "another"}), (kind, edge)


def test_what_is_verified_names_its_official_text():
    """A rule that claims the official wording says where it can be read, or its instrument does."""
    for one in MERGED:
        for rows in one.data.values():
            for versions in rows.values():
                for datum in versions:
                    assert not datum.verified or datum.basis == "wording", datum.id


def test_overlays_hold_nothing_but_differences():
    """What an overlay does not touch is the parent's own, the same object."""
    for (name, country), merged in LAW.overlays.items():
        parent = LAW.instrument(name)
        for kind, rows in merged.data.items():
            for ident, versions in rows.items():
                if all(version.country is None for version in versions) and ident in parent.data.get(kind, {}):
                    ours = parent.data[kind][ident]
                    assert versions is ours or all(v.until_on for v in versions), (country, ident)


@settings(deadline=None, max_examples=40)
@given(DAYS)
def test_the_law_of_a_day_has_one_version_of_each_rule(day):
    """Replay at T uses the law at T."""
    law = LAW.at(day)
    for one in (*law.instruments.values(), *law.overlays.values()):
        for rows in one.data.values():
            for versions in rows.values():
                assert 1 == len(versions)
                assert versions[0].applies(day)


def test_a_rule_that_a_court_found_later_was_not_known_before():
    """In 2020 nobody knew that infiltrating devices is an interception; the law was so all the same."""
    day = date(2020, 6, 2)
    ident = "notify-infiltration"

    assert ident in LAW.at(day).instrument("eu-eio-2014-41").data["duty"]
    assert ident not in LAW.at(day, known=day).instrument("eu-eio-2014-41").data["duty"]
    assert ident in LAW.at(day, known=date(2024, 4, 30)).instrument("eu-eio-2014-41").data["duty"]


def test_before_its_first_day_an_instrument_does_not_exist():
    """The European Investigation Order applies from 22 May 2017."""
    with pytest.raises(NotFound):
        LAW.at(date(2017, 5, 21)).instrument("eu-eio-2014-41")
    assert "eu-eio-2014-41" in LAW.at(date(2017, 5, 22)).instruments


def test_a_law_differs_from_itself_in_nothing():
    """And from the law of another day in what began or ended between."""
    assert () == LAW.diff(LAW)
    changes = LAW.at(date(2017, 5, 21)).diff(LAW.at(date(2017, 5, 22)))
    assert ("EIO-REC", None) in {(change.id, change.before) for change in changes}


def test_editions_differ_by_what_was_edited(tmp_path):
    """A folder with one word changed is another edition, and the difference names rule and key."""
    for file in HERE.rglob("*.toml"):
        target = tmp_path / file.relative_to(HERE)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
    same = read(tmp_path)
    assert (LAW.edition, ()) == (same.edition, LAW.diff(same))

    file = tmp_path / "instruments" / "eu-eio-2014-41.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("the duty to decide goes on", "nothing ends"))
    other = read(tmp_path)
    assert LAW.edition != other.edition
    changes = [change for change in LAW.diff(other) if change.country is None]
    assert [("EIO-REC", ("consequence",))] == [(change.id, change.keys) for change in changes]


def test_the_manifest_names_every_file():
    """The edition of an entry is the hash over all that is data here."""
    names = {line.split("  ")[1] for line in manifest.manifest().decode().splitlines()}
    assert {file.relative_to(HERE).as_posix() for file in HERE.rglob("*.toml")} == names
    assert manifest.rules().hex() == LAW.edition


def test_limits_name_counting_rules_that_are_held():
    """A limit is counted by a rule of this edition, or by that of the State."""
    assert {limit.counting for limit in LIMITS} <= countings().keys() | {"national"}


COUNTED = [
    (limit, example)
    for limit in {id(one): one for one in LIMITS}.values()
    for example in limit.examples
    if not example.suspended and (limit.within is not None or example.variant is not None)
]
"""Every limit that is counted, in each variant and each extension that an example has."""


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(COUNTED), st.integers(0, 400), st.integers(1, 40))
def test_every_limit_is_monotone_in_its_start(counted, days, later):
    """Whatever happens later ends no earlier, for every limit of this edition, its variants and its extensions."""
    limit, example = counted
    ends = [computed(limit, replace(example, start=example.start + timedelta(days=n))).at for n in (days, days + later)]
    assert sorted(ends) == ends


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 10, 24), date(2026, 12, 30)], ids=str)
def test_every_limit_runs_evenly_over_the_change_of_the_clocks_and_the_new_year(day):
    """From hour to hour an end never goes back; hours are elapsed hours, however often the clocks are set."""
    began = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for limit, example in COUNTED:
        starts = [began + timedelta(hours=n) for n in range(0, 72, 3)]
        ends = [computed(limit, replace(example, start=start)).at for start in starts]
        assert sorted(ends) == ends, limit.id
        if (
            example.variant is None
            and limit.within is not None
            and "hours" == limit.within.unit
            and not example.extended
        ):
            spans = {end - start for start, end in zip(starts, ends, strict=True)}
            period = timedelta(hours=limit.within.count)
            assert all(period <= span <= period + timedelta(hours=1) for span in spans), limit.id


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_every_example_comes_out_in_any_zone_of_the_machine(zone, monkeypatch):
    """The clock on the wall of the computing centre has no say."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert [] == list(wrong(LAW))
    finally:
        monkeypatch.undo()
        time.tzset()
