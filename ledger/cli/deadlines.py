"""``comity deadlines``: which time limits run, which were met, came late or lapsed, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.console import note, table, text
from ledger.cli.law_editions import Edition, Editions
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Viewer, Zone, view
from ledger.cli.reading import reading
from ledger.cli.shown import short, who
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from projections.clocks import Clock
    from projections.views import Views


def deadlines(
    thing: Annotated[
        str | None,
        typer.Argument(
            metavar="[CASE|REQUEST]", help="A case, or a thing in it, or 6+ digits of its id.", show_default=False
        ),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option("--authority", metavar="NAME", help="What this authority must do by when.", show_default=False),
    ] = None,
    due_within: Annotated[
        int | None,
        typer.Option("--due-within", metavar="DAYS", min=0, help="What ends within so many days.", show_default=False),
    ] = None,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only these: open, late, lapsed, ...", show_default=False),
    ] = None,
    viewer: Viewer = None,
    edition: Edition = None,
    editions: Editions = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Show the time limits of a case, of a thing, of an authority, or of all cases.

    They are read at --happened-by, else at --known-by, else now. A limit whose rule was not compared with
    the official wording is shown as unverified, and to the authority concerned only (--authority, --viewer).

    JSON: {size, happened_by, known_by, edition, edition_named, answer: [
    {limit, instrument, article, text, edition, verified, standing,
    role, authority, country, index, due_at, last_day, counting, calendar, zone, steps[], met_index, ...}]}.
    """
    from projections import deadlines as projected
    from projections.clocks import STANDINGS

    for one in states or ():
        if one not in STANDINGS:
            raise Trouble(2, f"--state: {one} is none", now="one of " + ", ".join(STANDINGS))
    if authority is not None and (thing is not None or viewer is not None):
        raise Trouble(
            2,
            "--authority was given together with " + ("a case or thing" if thing is not None else "--viewer"),
            why="it asks for all that one authority must do, as that authority sees it",
            now="give --authority alone, or a case with --viewer",
        )
    wanted = tuple(states or (("due",) if due_within is not None else ()))
    with reading(
        ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet, law=(edition, editions)
    ) as asked:
        answers = asked.answers
        common: dict[str, Any] = {
            "at": asked.at,
            "read_at": asked.now_at,
            **asked.clocks,
            "due_within": due_within,
            "states": wanted,
        }
        if authority is not None:
            found = projected.authority(answers, asked.id(authority, "authority"), **common)
        else:
            common["viewer"] = asked.viewer(viewer)
            if thing is None:
                found = tuple(projected.every(answers, **common))
            else:
                key = asked.id(thing, "any")
                ask = projected.case if asked.is_case(key) else projected.thing
                found = ask(answers, key, **common)
        if asked.said(found):
            return
        _show(answers, found, one_thing=thing is not None, zone=zone)
        if authority is None and viewer is None:
            note(
                "Limits whose rules were not compared with the official wording are left out; "
                "the authority concerned sees them with --viewer.",
                quiet=quiet,
            )


def _show(answers: "Views", found: "tuple[Clock, ...]", *, one_thing: bool, zone: str) -> None:
    table(
        ("limit", "stands", "last day", "who must act", "case", "began with", "rule"),
        [
            (
                clock.limit,
                _standing(clock),
                _end(clock),
                _who(answers, clock),
                short(clock.case),
                "not recorded" if clock.index is None else f"entry {clock.index}",
                _rule(clock),
            )
            for clock in found
        ],
        empty="No time limit that can be shown.",
    )
    for clock in found if one_thing else ():
        said = _story(clock, zone)
        if said:
            text(f"\n{clock.limit}, " + ("" if clock.index is None else f"entry {clock.index}: ") + said)


def _standing(clock: "Clock") -> str:
    stands = clock.standing
    if clock.met_index is not None:
        stands += f" (entry {clock.met_index})"
    if clock.uncertain:
        stands += ", as far as the days are known"
    return stands + (", by report" if clock.reported else "")


def _end(clock: "Clock") -> str:
    """The last day; the hour where a whole day does not say it; the earlier reading where the start is uncertain."""
    from datetime import UTC, datetime, timedelta
    from zoneinfo import ZoneInfo

    def local(micros: int) -> datetime:
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        return there.astimezone(ZoneInfo(clock.zone or "UTC"))

    said = clock.last_day or ""
    if clock.due_at is not None and (end := local(clock.due_at)).time() != end.min.time():
        said = f"{end:%Y-%m-%d %H:%M %Z}"
    if clock.due_earliest_at is not None:
        first = f"{local(clock.due_earliest_at) - timedelta(microseconds=1):%Y-%m-%d}"
        said = f"{said}, or as early as {first}" if said else f"not before {first}"
    return said


def _who(answers: "Views", clock: "Clock") -> str:
    if clock.authority is not None:
        return who(answers.who(clock.authority))
    where = f" of {answers.label('countries', clock.country)}" if clock.country else ""
    return f"the {clock.role.replace('_', ' ')} authority{where}" if clock.role != "person" else "the person"


def _rule(clock: "Clock") -> str:
    from projections.wording import cited

    return ("" if clock.verified else "UNVERIFIED. ") + f"{cited(clock.article, 'Art.')}: {clock.text}"


def _story(clock: "Clock", zone: str) -> str:
    """What it rests on, step by step, so that it can be contested."""
    from ledger.cli.shown import day
    from projections.wording import cited

    said = [f"{cited(step.article, 'Art.')}: {step.text}" if step.article else step.text for step in clock.steps]
    if clock.counting:
        said.append(f"counted by {clock.counting}, calendar {clock.calendar}, zone {clock.zone}")
    if clock.problem:
        said.append(clock.problem)
    said += [f"entry {index} made it longer" for index in clock.extended_by]
    said += [f"entry {index} came after its end and did not make it longer" for index in clock.extended_too_late]
    said += [
        f"time stood still from entry {stop} " + ("on" if go is None else f"to entry {go}")
        for stop, go in clock.suspended_by
    ]
    said += [f"it ran anew from entry {index}" for index in clock.restarted_by]
    if clock.waived_index is not None:
        said.append(f"it no longer applies since entry {clock.waived_index}")
    longer = clock.extension
    if longer is not None and longer.due_at is not None and clock.met_index is None and clock.waived_index is None:
        might = "would have made" if clock.standing == "lapsed" else "could make"
        said.append(f"{cited(longer.article, 'Art.')} {might} it end on {longer.last_day}")
    lapse = clock.published
    if lapse is not None:
        said.append(f"its lapse on {day(lapse.due_at, clock.zone or zone)} was published with entry {lapse.index}")
        if lapse.differs:
            now = "" if clock.last_day is None else f", last day {clock.last_day}"
            said.append(f"today's edition and calendar would say otherwise ({lapse.computed}{now})")
    if clock.standing in {"late", "lapsed"}:
        said.append(f"what follows: {clock.consequence}")
    return "; ".join(said)
