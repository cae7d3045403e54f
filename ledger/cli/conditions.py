"""``comity conditions``: what binds an exhibit, a person or a case, how it travelled, and every use against it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.console import note, table, text
from ledger.cli.law_editions import Edition, Editions
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, View, Viewer, Zone, view
from ledger.cli.reading import reading
from ledger.cli.shown import day, short, who, words

if TYPE_CHECKING:
    from projections.binding import Binding, Bound, Given, Step, Use

conditions_app = typer.Typer(
    help="Conditions: what binds an exhibit, a person or a case, and every use against it.", no_args_is_help=True
)

Breached = Annotated[bool, typer.Option("--breached", help="Only those with a use against them, or overdue.")]


@conditions_app.command("exhibit", short_help="What binds an exhibit.")
def conditions_exhibit(
    exhibit: Annotated[str, typer.Argument(metavar="ID", help="The exhibit, or 6+ digits of its id.")],
    viewer: Viewer = None,
    breached: Breached = False,
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
    Show what binds an exhibit: what was attached to it, and what came with it through whatever it was derived from.

    Each use stands within the condition, by a consent, or against it, as the condition stood on that day.

    JSON: {size, happened_by, known_by, edition, edition_named, answer: [
    {source, id, instrument, article, text, edition, verified, nature,
    index, act, set_by, things[], person, bound[], purposes[], carried[], consents[], uses[{index, act, by, to[],
    purpose, standing, why, consent, uncertain, put_right_by}], ends_at, due_at, last_day, limit, steps[], done[],
    ended_by, standing, detail, breached, uncertain, ...}]}.
    """
    asked = view(happened_by, known_by, as_of, zone)
    _answer(
        "exhibit",
        exhibit,
        asked,
        viewer,
        ledger,
        breached=breached,
        law=(edition, editions),
        as_json=as_json,
        quiet=quiet,
    )


@conditions_app.command("person", short_help="What binds those who hold a person.")
def conditions_person(
    person: Annotated[str, typer.Argument(metavar="ID", help="The person's pseudonym, or 6+ digits of it.")],
    viewer: Viewer = None,
    breached: Breached = False,
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
    Show what binds those to whom a person was handed over, and the assurances asked for and given.

    Speciality and the bar on handing the person on are shown with the limit that ends them, and new proceedings
    against the person as a question where the ledger does not tell for which offence they are.

    JSON: as ``conditions exhibit``.
    """
    asked = view(happened_by, known_by, as_of, zone)
    _answer(
        "person",
        person,
        asked,
        viewer,
        ledger,
        breached=breached,
        law=(edition, editions),
        as_json=as_json,
        quiet=quiet,
    )


@conditions_app.command("case", short_help="All that binds the things of a case.")
def conditions_case(
    case: Annotated[str, typer.Argument(metavar="ID", help="The case, or 6+ digits of its id.")],
    viewer: Viewer = None,
    breached: Breached = False,
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
    Show everything that binds the exhibits and persons of a case, and what its exhibits brought from other cases.

    JSON: as ``conditions exhibit``.
    """
    asked = view(happened_by, known_by, as_of, zone)
    _answer(
        "case", case, asked, viewer, ledger, breached=breached, law=(edition, editions), as_json=as_json, quiet=quiet
    )


def _answer(
    kind: str,
    given: str,
    asked: View,
    viewer: str | None,
    ledger: Path | None,
    *,
    breached: bool,
    law: tuple[str | None, list[Path] | None],
    as_json: bool,
    quiet: bool,
) -> None:
    from projections import binding

    query: Any = {"exhibit": binding.exhibit, "person": binding.person, "case": binding.case}[kind]
    with reading(ledger, asked, as_json=as_json, quiet=quiet, law=law) as reader:
        found = query(
            reader.answers,
            reader.id(given, kind),
            at=reader.at,
            **reader.clocks,
            viewer=reader.viewer(viewer),
            read_at=reader.now_at,
        )
        if breached:
            found = tuple(one for one in found if one.breached)
        if reader.said(found):
            return
        _show(found, asked.zone)
        if viewer is None:
            note(
                "Conditions of rules not compared with the official wording are left out; "
                "the authority concerned sees them with --viewer.",
                quiet=quiet,
            )
        else:
            note("Drawn from what this authority may see; what it may not see may right a use.", quiet=quiet)


def _show(found: "tuple[Binding, ...]", zone: str) -> None:
    table(
        ("entry", "source", "what", "stands", "until", "set by", "binds", "breached"),
        [
            (
                one.index,
                _source(one),
                _what(one),
                _standing(one),
                _until(one, zone),
                who(one.set_by),
                ", ".join(map(_bound, one.bound)) or one.role or "every recipient",
                _breached(one),
            )
            for one in found
        ],
        empty="No condition that can be shown.",
    )
    for one in found:
        text(f"\nentry {one.index}, {_source(one)}: {one.text or _what(one)}")
        for line in (
            *_time(one),
            *map(_step, one.carried),
            *map(_consent, one.consents),
            *(_use(one, use, zone) for use in one.uses),
        ):
            text("  " + line)


def _source(one: "Binding") -> str:
    from projections.wording import cited

    if one.source == "rule":
        known = "" if one.known_from_on is None else f" (known since {one.known_from_on})"
        edition = f", edition {one.edition[:12]}" if one.edition else ""
        unverified = "" if one.verified else "UNVERIFIED. "
        return f"{unverified}{one.instrument}: {one.id}, {cited(one.article)}{known}{edition}"
    if one.source == "assurance":
        return f"assurance on {words(one.id)}"
    return f"condition {short(one.id)}"


def _what(one: "Binding") -> str:
    of = f"person {short(one.person)}" if one.person is not None else ", ".join(map(short, one.things))
    only = f", only for {', '.join(map(words, one.purposes))}" if one.purposes else ""
    return f"{one.nature}{only}" + (f": {of}" if of else "")


def _standing(one: "Binding") -> str:
    stands = words(one.standing) + (f" ({one.detail})" if one.detail else "")
    return stands + (f", entry {one.ended_by}" if one.ended_by is not None else "")


def _until(one: "Binding", zone: str) -> str:
    if one.last_day is not None:
        return one.last_day
    end = one.ends_at if one.ends_at is not None else one.due_at
    return "" if end is None else day(end, zone)


def _bound(one: "Bound") -> str:
    said = who(one.authority)
    if one.through is not None:
        said += f" through {who(one.through)}"
    return said + (" (lifted)" if one.free else "") + (f" ({one.accepted})" if one.accepted else "")


def _breached(one: "Binding") -> str:
    if not one.breached:
        return ""
    entries = [str(use.index) for use in one.uses if use.standing == "against" and use.put_right_by is None]
    sure = all(not use.uncertain for use in one.uses if use.standing == "against") and not (
        one.uncertain and not entries
    )
    said = "BREACHED" + (f" by entry {', '.join(entries)}" if entries else "")
    return said if sure else f"{said}, as far as the ledger can tell"


def _time(one: "Binding") -> list[str]:
    from projections.wording import cited

    said = [
        f"{one.limit or 'computed'}: {step.text}" + (f" ({cited(step.article)})" if step.article else "")
        for step in one.steps
    ]
    if one.problem is not None:
        said.append(f"the time cannot be computed: {one.problem}")
    return said


def _step(one: "Step") -> str:
    to = f" to {', '.join(map(who, one.takers))}" if one.takers else ""
    by = f" by {who(one.giver)}" if one.giver is not None else ""
    return f"went on with entry {one.index}, {words(one.act)}{by}{to}"


def _consent(one: "Given") -> str:
    scope = [*map(words, one.purposes), *map(who, one.recipients), *one.offences]
    if one.onward_to is not None:
        scope.append(f"onward to {one.onward_to}")
    said = f"consent with entry {one.index}, {words(one.act)}: {', '.join(scope) or 'without a limit'}"
    if one.withdrawn_index is not None:
        said += f"; taken back with entry {one.withdrawn_index}"
    return said + (f"; covers entry {', '.join(map(str, one.uses))}" if one.uses else "")


def _use(one: "Binding", use: "Use", zone: str) -> str:
    to = f" to {', '.join(map(who, use.to))}" if use.to else ""
    purpose = f" for {words(use.purpose)}" if use.purpose else ""
    said = f"entry {use.index}, {day(use.until_at, zone)}, {words(use.act)} by {who(use.by)}{to}{purpose}: "
    if use.standing == "within":
        return said + "within the condition"
    if use.standing == "by_consent":
        return said + f"by the consent of entry {use.consent}"
    said += f"AGAINST it: {use.why} (attached by entry {one.index})"
    if use.uncertain:
        said += ", as far as the ledger can tell"
    return said + (f"; put right by entry {use.put_right_by}" if use.put_right_by is not None else "")
