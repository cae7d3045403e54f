"""Every limit and every duty of every instrument can come about: for each, the least that must be said is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, uuid5

import pytest

from ledger.acts import catalogue
from ledger.law.counting import calendar
from ledger.law.data import Competence, Duty, Ground, Limit, Particular, Period, Remedy, Use
from projections.checks import Outside
from projections.clocks import STANDINGS, clocks
from projections.duties import findings
from projections.matters import Act, Seat
from projections.rules import book

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger.law.data import Pattern, Where

DAY: Final = 86_400_000_000
STATES: Final = (
    "PT",
    "LU",
    "SI",
    "HR",
    "FI",
    "FR",
    "DE",
    "NL",
    "GB",
    "US",
    "TR",
    "CH",
    "BR",
    "JP",
    "IE",
    "DK",
    "ES",
    "BG",
)
MADE_BY: Final = {
    "request": "request.issued",
    "handover": "handover.opened",
    "challenge": "challenge.lodged",
    "disclosure": "disclosure.made",
    "exhibit": "exhibit.acquired",
    "joint_team": "joint_team.agreed",
    "proceedings": "proceedings.opened",
}
"""The act that makes a thing of each kind; cases and authorities are there."""
THEN_MADE: Final = {"eu-jit-platform-2023-969": "joint_team.agreed"}
"""Where making the thing is what a duty asks for, the thing is known by what is said of it alone."""
ANSWERED: Final = {"conditions.accepted": "spontaneous_information.sent"}


def name(of: str) -> str:
    """An id that is always the same for a name."""
    return str(uuid5(NAMESPACE_OID, of))


def micros(day: date) -> int:
    """The first instant of a day, µs."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


@cache
def streams(act: str) -> tuple[str, ...]:
    """The kinds of thing of which an act is said."""
    return tuple(next(one for one in catalogue().acts() if one.name == act).streams)


def shaped(act: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields as the schema of an act has them: those of an array field in an array."""
    schema = catalogue().codec_of(act).schema
    arrays = {
        one["name"] for one in schema["fields"] if isinstance(one["type"], dict) and one["type"]["type"] == "array"
    }
    return {key: [value] if key in arrays else value for key, value in values.items()}


def issued_for(where: Where) -> dict[str, Any]:
    """The fields of a request for which a rule holds."""
    return shaped("request.issued", {key: values[0] for key, values in where.only.items()})


@dataclass
class World:
    """
    A case between two States, on one day, with a request under another instrument that must not matter.

    Attributes:
        asking, asked: the two States.
        kind: of the authority that asks.
        day: on which everything is said.
        instrument: under which.
        named: whether a request, or an act, names it.
        thing: fields of the request under it.
        shared: whether what is disclosed is a result of the request, or was shared in a joint team.
    """

    asking: str
    asked: str
    day: date
    instrument: str
    named: bool
    kind: str = "prosecutor"
    thing: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False
    acts: list[Act] = field(default_factory=list)

    def __post_init__(self) -> None:
        other = "eu-freezing-2018-1805" if self.instrument != "eu-freezing-2018-1805" else "un-untoc-2000"
        for at in range(2):
            # Two of them: what belongs to neither is not taken for that of the only one.
            self.say("request.issued", f"other {at}", "Third", instrument=other, requested_country="BR")
        if self.named:
            self.say(
                "request.issued",
                "request",
                "Asker",
                **{"instrument": self.instrument, "requested_country": self.asked, **self.thing},
            )

    @property
    def seats(self) -> dict[str, Seat]:
        """Where everybody sits."""
        return {
            name("Asker"): Seat(self.asking, None, self.kind),
            name("Asked"): Seat(self.asked, None, "court"),
            name("Third"): Seat("BR", None, "prosecutor"),
        }

    def say(self, act: str, thing: str, by: str, *, basis: tuple[str, ...] = (), **body: Any) -> Act:
        """Add an act; return it."""
        index = len(self.acts)
        at = micros(self.day)
        said = Act(
            index=index,
            statement=name(f"statement {index}"),
            case=name("case"),
            subject=name(thing),
            act=act,
            actor=name(by),
            country=None,
            reported=False,
            from_at=at,
            until_at=at,
            legal_effect_at=at,
            answers=(),
            corrects=None,
            basis=basis,
            body=body,
        )
        self.acts.append(said)
        return said

    def trigger(self, pattern: Pattern, by: str, **body: Any) -> Act:
        """Say the act that a rule begins with, on a thing that belongs where it should."""
        given = shaped(pattern.act, {one: values[0] for one, values in pattern.when.items()}) | body
        kinds = streams(pattern.act)
        kind = next((one for one in ("request", "handover", *kinds) if one in kinds), kinds[0])
        basis: tuple[str, ...] = ()
        if kind in {"handover", "challenge"} and self.named:
            given = {"request" if kind == "handover" else "target_subject": name("request")} | given
        elif self.named and kind != "request":
            basis = (self.instrument,)
        if pattern.act in {"disclosure.made", "spontaneous_information.sent"} and self.shared:
            given["exhibits"] = [name("exhibit")]
        if pattern.act == "request.issued":
            self.acts[-1] = replace(self.acts[-1], body={**self.acts[-1].body, **given}, actor=name(by))
            return self.acts[-1]
        maker = MADE_BY.get(kind)
        if kind == "disclosure" and self.shared:
            # What is disclosed came of the request, or through the team, that the rule is about.
            way = ("result.handed_over", "request") if self.named else ("joint_team.material_shared", "team")
            self.say(*way, by, exhibits=[name("exhibit")])
        if kind == "request":
            return self.say(pattern.act, "request" if self.named else "other 0", by, **given)
        if kind in {"case", "authority"}:
            return self.say(pattern.act, "case" if kind == "case" else by, by, basis=basis, **given)
        if maker is not None and pattern.act not in CREATING:
            made: dict[str, Any] = {
                "handover": {"request": name("request")},
                "challenge": {"target_subject": name("request")},
            }.get(kind, {})
            if kind == "disclosure" and self.shared:
                made = {"exhibits": [name("exhibit")]}
            if (instrument_made := THEN_MADE.get(self.instrument)) is not None and maker == instrument_made:
                # What makes the thing would also fulfil the duty: it was made elsewhere.
                return self.say(pattern.act, "thing", by, **given)
            self.say(ANSWERED.get(pattern.act, maker), "thing", by, basis=basis, **made)
            # The thing was made under the instrument; whoever goes on need not say so again.
            basis = ()
            given = {key: value for key, value in given.items() if key != "target_subject"}
        if kind == "disclosure" and self.shared:
            basis = ()
        return self.say(pattern.act, "thing", by, basis=basis, **given)


CREATING: Final = frozenset(
    {
        "request.issued", "handover.opened", "person.arrested", "file.handed_over", "proceedings_handover.decided",
        "challenge.lodged", "disclosure.made", "spontaneous_information.sent", "exhibit.acquired", "exhibit.derived",
        "joint_team.agreed", "proceedings.opened", "case.opened",
    }
)  # fmt: skip


def worlds(datum: Limit | Duty) -> Iterator[World]:
    """Worlds in which a rule may hold: on a day on which it is in force, between States that it binds."""
    law = book().law
    one = law.instruments[datum.instrument]
    start = max(datum.from_on, one.from_on, datum.known_from_on or datum.from_on)
    day = start + timedelta(days=31)
    thing = issued_for(datum.where)
    for asking, asked in permutations(STATES, 2):
        if (one.id, asking) in law.overlays or (one.id, asked) in law.overlays:
            continue
        if one.applies_to is not None and book().limits.binding(one.id, asking, day) is None:
            continue
        if law.between(datum, asking, asked, day) is not None:
            follows = one.applies_to is not None and one.applies_to.follows
            shared = follows or bool(datum.where.only)
            yield World(asking, asked, day, one.id, named=one.applies_to is None, thing=thing, shared=shared)


def speaker(world: World, act: str, by: str) -> str:
    """Who says an act: whoever may; where both may, the one who must act."""
    if not world.named:
        return "Asker"
    roles = set(book().limits.says(act))
    if "requesting" in roles and "requested" not in roles:
        return "Asker"
    if {"requested", "addressee", "provider"} & roles and "requesting" not in roles:
        return "Asked"
    return "Asker" if by in {"requesting", "sending", "publisher", "any"} else "Asked"


LIMITS = [
    (one.id, limit, start)
    for one in book().law.instruments.values()
    for limit in book().law.data(Limit, one.id)
    if limit.nature != "condition"
    for start in limit.starts
]
DUTIES = [
    (one.id, duty, start)
    for one in book().law.instruments.values()
    for duty in book().law.data(Duty, one.id)
    for start in duty.when
]


def ident(value: object) -> str:
    return value if isinstance(value, str) else str(getattr(value, "id", None) or getattr(value, "act", ""))


@pytest.mark.parametrize(("instrument", "limit", "start"), LIMITS, ids=ident)
def test_every_limit_can_run(instrument: str, limit: Limit, start: Pattern):
    """Said under its instrument, or where it applies without being named, the act starts the clock."""
    world = next(worlds(limit))
    later = micros(world.day) + 40 * DAY
    body: dict[str, Any] = {limit.named: later} if limit.named else {}
    world.trigger(start, speaker(world, start.act, limit.by), **body)
    found = clocks(world.acts, book().limits, world.seats, at=micros(world.day) + DAY)

    assert limit.id in {clock.limit for clock in found if clock.instrument == instrument}
    assert {clock.standing for clock in found} <= STANDINGS.keys()


def the_least_of(duty: Duty, world: World, start: Pattern) -> tuple[World, dict[str, Any]]:
    """What a computed condition needs beside the act: the world, and the fields of the act."""
    law, on = book().law, world.day
    body: dict[str, Any] = {}
    if duty.each is not None:
        body[duty.each] = [name("Asked")] if duty.each == "recipients_informed" else [world.asked]
    if duty.check == "consult_first_ground":
        ground = next(
            g for g in law.data(Ground, duty.instrument) if g.consult_first and start.act in g.acts and g.applies(on)
        )
        body["grounds"] = [{"ground": ground.grounds[0], "article": None}]
        body |= {key: values[0] for key, values in ground.when.items()}
        world = replace(world, thing={**issued_for(ground.where), **world.thing}, acts=[])
    elif duty.check == "order_without_competence":
        there = [c for c in law.data(Competence, duty.instrument) if start.act in c.acts and c.applies(on)]
        world = replace(world, kind="bar", thing={**issued_for(there[0].where), **world.thing}, acts=[])
    elif duty.check == "validation_missing":
        one = next(c for c in law.data(Competence, duty.instrument) if c.with_validation and c.applies(on))
        world = replace(world, kind=one.with_validation[0], thing={**issued_for(one.where), **world.thing}, acts=[])
    elif duty.check == "no_remedy":
        country = next(
            c
            for (one, c) in law.overlays
            if one == duty.instrument and any(not r.available for r in law.data(Remedy, one, c))
        )
        world = replace(world, asking=country, acts=[])
    elif duty.check == "listed_offence":
        world.say("case.opened", "case", "Asker", offences=["drug_trafficking"])
    elif duty.check == "form_incomplete":
        wanted = [p for p in law.data(Particular, duty.instrument) if p.act == start.act and p.applies(on)]
        named = [p for p in wanted if not any(c.startswith("statement.") for c in p.carried_by)]
        lacking = next((p for p in named if p.required), None)
        if lacking is not None:
            world = replace(world, thing={**issued_for(lacking.where), **world.thing}, acts=[])
    elif duty.check == "limit_lapsed" and duty.limit is None:
        body |= {"rule": "none", "trigger": name("statement 0"), "due_at": 0, "edition": "", "calendar_version": ""}
    elif duty.check == "cost_exceptional":
        body["exceptional"] = True
    return world, body


@pytest.mark.parametrize(("instrument", "duty", "start"), DUTIES, ids=ident)
def test_every_duty_can_arise(instrument: str, duty: Duty, start: Pattern):
    """Once what triggers it is said, and nothing else, what it asks for is pending, or is missing."""
    world, body = the_least_of(duty, next(worlds(duty)), start)
    world.trigger(start, speaker(world, start.act, duty.by), **body)
    at = micros(world.day) + 1200 * DAY
    running = clocks(world.acts, book().limits, world.seats, at=at)

    def outside(act: Act) -> tuple[Outside, ...]:
        rule = next(iter(book().law.data(Use, instrument)), None)
        return () if rule is None else (Outside(0, rule.id, "against it", instrument),)

    found = findings(
        world.acts,
        book(),
        world.seats,
        {},
        at=at,
        clocks=running,
        outside=outside if duty.check == "use_outside_conditions" else None,
    )

    assert duty.id in {one.rule for one in found if one.instrument == instrument}


# ------------------------------------------------------------------------- where nobody names it


def a_team(day: date, one: str, other: str) -> World:
    """A joint team of two States, which agreed on it on a day; no request, and no act, names an instrument."""
    world = World(one, other, day, "eu-jit-2002-465", named=False)
    until = micros(day) + 200 * DAY
    world.say("joint_team.agreed", "team", "Asker", members=[name("Asker"), name("Asked")], valid_until=until)
    world.say("joint_team.material_shared", "team", "Asker", exhibits=[name("exhibit")])
    return world


@pytest.mark.parametrize(
    ("member", "day", "limits"),
    [
        ("FR", date(2026, 3, 2), {"JIT-END", "JITP-OP"}),
        ("FR", date(2025, 3, 3), {"JIT-END"}),
        ("DK", date(2026, 3, 2), {"JIT-END"}),
        ("CH", date(2026, 3, 2), set()),
        ("GB", date(2020, 3, 2), {"JIT-END"}),
        ("GB", date(2026, 3, 2), set()),
    ],
)
def test_what_nobody_names_runs_where_it_is_in_force_and_binds(member: str, day: date, limits: set[str]):
    """Denmark is in the framework decision and not on the platform; Switzerland in neither; the United Kingdom was."""
    world = a_team(day, member, "DE")
    found = clocks(world.acts, book().limits, world.seats, at=micros(day) + DAY)

    assert limits == {clock.limit for clock in found}


def test_that_a_state_is_bound_by_an_unverified_rule_makes_its_clocks_unverified():
    """That Ireland is bound was not read: what rests on it is not verified, though the limit itself was."""
    day = date(2026, 3, 2)
    for country, verified in (("FR", True), ("IE", False)):
        world = World(country, "DE", day, "eu-led-2016-680", named=False)
        world.say("assistance.requested", "case", "Asker", topic="supervision")
        (clock,) = clocks(world.acts, book().limits, world.seats, at=micros(day) + DAY)
        assert ("LED-50", verified) == (clock.limit, clock.verified)


def test_authorities_of_other_kinds_are_not_bound():
    """A provider is no competent authority under the directive on data protection in criminal justice."""
    day = date(2026, 3, 2)
    for kind, count in (("prosecutor", 1), ("provider", 0)):
        world = World("FR", "DE", day, "eu-led-2016-680", named=False, kind=kind)
        world.say("data_subject_request.lodged", "case", "Asker", indirect=False)
        found = findings(world.acts, book(), world.seats, {}, at=micros(day) + 3 * DAY)
        assert count == sum("answer-request" == one.rule for one in found)


# ------------------------------------------------------------------------------ warrant and surrender


@pytest.mark.parametrize("linked", ["first act", "later act", "person alone"])
def test_a_withdrawn_warrant_stops_the_clocks_of_the_surrender(linked: str):
    """However the handover is linked to its warrant, and though another warrant is open in the same case."""
    day = date(2026, 3, 2)
    world = World("PT", "LU", day, "eu-eaw-2002-584", named=True, thing={"persons": [name("person")]})
    other: dict[str, Any] = {
        "instrument": "eu-eaw-2002-584",
        "requested_country": "LU",
        "persons": [name("somebody else")],
    }
    world.say("request.issued", "another warrant", "Asker", **other)
    arrest: dict[str, Any] = {"person": name("person"), "arrest_basis": "eaw"}
    link: dict[str, Any] = {"request": name("request")}
    world.say("person.arrested", "surrender", "Asked", **arrest, **(link if linked == "first act" else {}))
    if linked == "later act":
        world.acts[2] = replace(world.acts[2], body={**world.acts[2].body, "persons": []})
        world.say("handover.opened", "surrender", "Asked", **link)
    before = clocks(world.acts, book().limits, world.seats, at=micros(day) + DAY)
    assert [("EAW-DEC", "open")] == [(clock.limit, clock.standing) for clock in before]

    world.say("request.withdrawn", "another warrant", "Asker")
    other_gone = clocks(world.acts, book().limits, world.seats, at=micros(day) + DAY)
    assert ["open"] == [clock.standing for clock in other_gone]

    withdrawn = world.say("request.withdrawn", "request", "Asker")
    (after,) = clocks(world.acts, book().limits, world.seats, at=micros(day) + DAY)
    assert ("waived", withdrawn.index) == (after.standing, after.waived_index)


def test_an_arrest_that_two_warrants_may_have_asked_for_belongs_to_neither():
    """Nobody has said yet for which of two the person is held."""
    world = World("PT", "LU", date(2026, 3, 2), "eu-eaw-2002-584", named=True, thing={"persons": [name("person")]})
    competing: dict[str, Any] = {
        "instrument": "eu-eaw-2002-584",
        "requested_country": "LU",
        "persons": [name("person")],
    }
    world.say("request.issued", "competing", "Third", **competing)
    world.say("person.arrested", "surrender", "Asked", person=name("person"), arrest_basis="eaw")

    assert () == clocks(world.acts, book().limits, world.seats, at=micros(world.day) + DAY)


# --------------------------------------------------------------------------------------- what is counted


def test_a_period_of_a_duty_is_counted_where_the_authority_sits_that_must_act():
    """The same ten days end on other days; a month ends on the last day that February has, or after the weekend."""
    rule = next(d for d in book().law.data(Duty, "eu-eio-2014-41"))
    limits = book().limits
    start = datetime(2026, 3, 24, 12, tzinfo=UTC)
    ends = {
        place: limits.ends(rule, Period("days", 10), start, calendar(place)).last_on.isoformat()
        for place in ("DE", "FR", "BG")
    }

    # 3 April is Good Friday: a public holiday in Germany, not in France; in Bulgaria Easter comes a week later.
    assert {"DE": "2026-04-07", "FR": "2026-04-03", "BG": "2026-04-03"} == ends
    months = limits.ends(rule, Period("months", 1), datetime(2026, 1, 31, 12, tzinfo=UTC), calendar("DE"))
    assert date(2026, 3, 2) == months.last_on
