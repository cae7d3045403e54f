"""``comity findings``: what the law says should have happened and did not, since when, and by whom."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ledger.cli.console import note, table, text
from ledger.cli.law_editions import Edition, Editions
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Viewer, Zone, view
from ledger.cli.reading import reading
from ledger.cli.shown import day, short
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.duties import Finding
    from projections.findings import Figure
    from projections.views import Views


def findings(
    thing: Annotated[
        str | None,
        typer.Argument(metavar="[CASE|ID]", help="A case, or a thing in it; 6+ digits of its id.", show_default=False),
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option("--authority", metavar="NAME", help="What concerns this authority.", show_default=False),
    ] = None,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only these: pending, observation, finding, resolved; else what is missing still.",
            show_default=False,
        ),
    ] = None,
    viewer: Viewer = None,
    past: Annotated[
        bool, typer.Option("--history", help="Step by step what became of each; also of what was put right.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--figures", help="Count them, as they may stand in the figures of oversight.")
    ] = False,
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
    Show what the law says should have happened and did not: in a case, on a thing, by an authority, in all cases.

    Read at --happened-by, else at --known-by, else now. It is an observation until the authority concerned has
    answered or its time to answer has passed. Only an act puts it right; what was put right is shown with
    --state resolved, and with its steps by --history. What rests on an unverified rule is shown to the authority
    concerned only (--authority, --viewer). A viewer's answer is drawn from what it may see now, and from nothing
    else: what is missing to its eyes may have been done out of its sight.

    JSON: {size, happened_by, known_by, edition, edition_named, answer: [
    {kind, rule, instrument, article, text, edition, verified,
    known_from_on, rulings[], detail, case, thing, index, act, value, role, authority, country, since_from_at,
    since_until_at, standing, resolved_by, answered_by, answer_due_at, expected[], says[], ...}]}; with --history
    each has history: [{happened_at, known_at, index, words}]; with --figures {..., answer: [{kind, instrument, rule,
    standing, count}]}.
    """
    from projections import findings as projected
    from projections.duties import STANDINGS

    for one in states or ():
        if one not in STANDINGS:
            raise Trouble(2, f"--state: {one} is none", now="one of " + ", ".join(STANDINGS))
    if sum((authority is not None, thing is not None or viewer is not None, counts)) > 1:
        raise Trouble(
            2,
            "--authority and --figures each stand alone",
            why="one asks for all that concerns an authority, the other for counts over all cases",
            now="give one of them, or a case with --viewer",
        )
    wanted = tuple(states or (("observation", "finding", "resolved") if past else ()))
    with reading(
        ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet, law=(edition, editions)
    ) as asked:
        answers = asked.answers
        common: dict[str, Any] = {"at": asked.at, "read_at": asked.now_at, **asked.clocks}
        if counts:
            figures = projected.figures(answers, **common)
            if not asked.said(figures):
                _show_figures(figures)
            return
        common["states"] = wanted
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
        if asked.said([_shape(answers, one, zone, past=past) for one in found] if as_json else None):
            return
        _show(answers, found, zone=zone, in_full=thing is not None, past=past)
        if viewer is not None or authority is not None:
            note("Drawn from what this authority may see; what it may not see may have been done.", quiet=quiet)
        else:
            note(
                "Findings that rest on rules not compared with the official wording are left out; "
                "the authority concerned sees them with --viewer.",
                quiet=quiet,
            )


def _shape(answers: "Views", one: "Finding", zone: str, *, past: bool) -> dict[str, Any]:
    """A finding as JSON has it, with its sentences."""
    from projections import telling
    from projections.facts import to_json

    shape: dict[str, Any] = {**cast("dict[str, Any]", to_json(one)), "says": list(telling.told(answers, one, zone))}
    if past:
        shape["history"] = to_json(telling.history(answers, one, zone))
    return shape


def _show_figures(figures: "Sequence[Figure]") -> None:
    table(
        ("kind", "instrument", "rule", "stands", "count"),
        [(one.kind.replace("_", " "), one.instrument, one.rule, one.standing, one.count) for one in figures],
        empty="No finding that may stand in the figures of oversight.",
    )


def _show(answers: "Views", found: "tuple[Finding, ...]", *, zone: str, in_full: bool, past: bool) -> None:
    from projections import telling

    table(
        ("what is missing", "stands", "since", "whose", "case", "entry", "rule"),
        [
            (
                one.detail,
                _standing(one),
                _since(one, zone),
                telling.concerned(answers, one),
                short(one.case),
                one.index,
                _rule(one),
            )
            for one in found
        ],
        empty="No finding that can be shown.",
    )
    for one in found if in_full or past else ():
        text("\n" + " ".join(telling.told(answers, one, zone)))
        for step in telling.history(answers, one, zone) if past else ():
            known = "" if step.known_at is None else f" (known {day(step.known_at, zone)}, entry {step.index})"
            text(f"  {day(step.happened_at, zone)}{known}: {step.words}")


def _standing(one: "Finding") -> str:
    stands = one.standing
    if one.resolved_by is not None:
        stands += f" (entry {one.resolved_by})"
    if one.uncertain:
        stands += ", as far as the ledger can tell"
    return stands + (", by report" if one.reported else "")


def _since(one: "Finding", zone: str) -> str:
    if one.since_until_at is None:
        return ""
    last = day(one.since_until_at, zone)
    first = last if one.since_from_at is None else day(one.since_from_at, zone)
    said = last if first == last else f"{first} to {last}"
    return f"until {said}" if one.standing == "pending" else said


def _rule(one: "Finding") -> str:
    from projections.wording import cited, label

    if one.kind == "use_outside_conditions" and one.instrument == "ledger":
        return "a condition attached to what was used"
    known = "" if one.known_from_on is None else f" (known since {one.known_from_on})"
    words = "the procedure of the ledger" if one.instrument == "ledger" else label("instruments", one.instrument)
    article = f", {cited(one.article)}" if one.article else ""
    return ("" if one.verified else "UNVERIFIED. ") + f"{words}{article}{known}"
