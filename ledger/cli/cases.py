"""``comity case`` and ``comity request``: where things stand, and what can lawfully come next."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import line, table, text
from ledger.cli.law_editions import Edition, Editions
from ledger.cli.options import (
    AsJson,
    AsOf,
    HappenedBy,
    KnownBy,
    LedgerFolder,
    Quiet,
    Zone,
    view,
)
from ledger.cli.reading import Reading, heading, reading
from ledger.cli.shown import counted, reported, said_by, short, when, who, words
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.status import CaseLine, CaseStatus, Next, ThingStatus

case_app = typer.Typer(help="Cases: list them, show where one stands.", no_args_is_help=True)
request_app = typer.Typer(help="Requests: their stage, since when, what can lawfully come next.", no_args_is_help=True)

_PAGE = 100
_NEXT = 4


def _lines(asked: Reading) -> "Iterator[CaseLine]":
    from projections import status

    after = -1
    while True:
        page = status.cases(asked.answers, **asked.clocks, limit=_PAGE, after_index=after)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].first_index


@case_app.command("list")
def case_list(
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    List the cases, in the order in which the log first heard of them.

    JSON, a line a case: {case, first_index, last_index, entries}.
    """
    from projections.facts import to_json

    with reading(ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet) as asked:
        found = _lines(asked)
        if as_json:
            for one in found:
                line(to_json(one))
            return
        heading(asked.asked)
        table(
            ("case", "entries", "first", "last"),
            [(one.case, one.entries, one.first_index, one.last_index) for one in found],
            empty="No cases.",
        )


@case_app.command("show")
def case_show(
    case: Annotated[str, typer.Argument(metavar="ID", help="The case, or 6+ digits of its id.")],
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
    Show where a case stands: its things, what is open, what is missing.

    What can come next is read from the procedure of the edition that the log named at --known-by, else of this
    release's.

    JSON: {size, happened_by, known_by, edition, edition_named, answer: {case, stage, since, index, entries,
    things[], open[], challenges[], unmatched[], out_of_procedure[], linked[]}}.
    """
    from projections import status

    with reading(
        ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet, law=(edition, editions)
    ) as asked:
        found = status.case(asked.answers, asked.id(case, "case"), **asked.clocks)
        if not asked.said(found):
            _show_case(found)


def _first(steps: "Sequence[Next]") -> str:
    """The first few of what can come next; the whole list is with the thing itself."""
    acts = [step.act for step in steps]
    return ", ".join(acts[:_NEXT]) + (f", and {len(acts) - _NEXT} more" if len(acts) > _NEXT else "")


def _show_case(found: "CaseStatus") -> None:
    since = f" since {when(found.since)}" if found.since else ""
    stage = words(found.stage) or "its opening is not in this copy, or not at the time asked about"
    if found.own is not None:
        stage = reported(stage, by_report=found.own.reported)
    text(f"Case {found.case}: {stage}{since}, {counted(found.entries, 'entry', 'entries')}")
    table(
        ("thing", "id", "stage", "since", "entry", "can lawfully come next"),
        [
            (
                words(thing.thing_kind),
                short(thing.thing),
                reported(words(thing.stage), by_report=thing.reported),
                when(thing.since),
                thing.index,
                _first(thing.next),
            )
            for thing in found.things
        ],
        empty="No proceedings, request or other thing is recorded in it yet.",
    )
    _show_open(found)
    if found.linked:
        text("Linked: " + ", ".join(f"{short(other)} ({words(how)})" for other, how, _ in found.linked))


def _show_open(found: "CaseStatus | ThingStatus") -> None:
    challenges = getattr(found, "challenges", ())
    by_report = {thing.thing for thing in getattr(found, "things", ()) if thing.reported}
    if challenges:
        text("Challenges")
        table(
            ("entry", "before", "kind", "lodged", "suspends", "outcome"),
            [
                (
                    one.index,
                    who(one.forum),
                    words(one.challenge_kind),
                    when(one.lodged),
                    ", ".join(map(words, one.suspends)),
                    reported(words(one.outcome), by_report=one.challenge in by_report) or "pending",
                )
                for one in challenges
            ],
            empty="",
        )
    if found.open:
        text("Open")
        table(
            ("entry", "what", "by", "when", "awaits"),
            [(one.index, one.sentence, said_by(one.said), when(one.when), ", ".join(one.awaits)) for one in found.open],
            empty="",
        )
    if found.unmatched:
        text("One half without the other")
        table(
            ("entry", "what", "awaits", "from", "reported"),
            [
                (
                    one.index,
                    one.sentence,
                    one.awaits,
                    who(one.by),
                    "" if one.reported_index is None else f"entry {one.reported_index}",
                )
                for one in found.unmatched
            ],
            empty="",
        )
    beside = getattr(found, "out_of_procedure", ())
    if beside:
        text("Steps the procedure does not have from there (recorded all the same)")
        table(
            ("entry", "what", "by", "when", "stage before"),
            [
                (
                    one.index,
                    one.sentence,
                    said_by(one.said),
                    when(one.when),
                    words(one.stage_before),
                )
                for one in beside
            ],
            empty="",
        )


@request_app.command("list")
def request_list(
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="Only those of this case.")] = None,
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
    List the requests with their stage and what can lawfully come next.

    JSON, a line a request: {thing, thing_kind, case, stage, since, index, next[], open[],
    unmatched[]}.
    """
    from projections import status
    from projections.facts import id_bytes, to_json

    with reading(
        ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet, law=(edition, editions)
    ) as asked:
        if case is None:
            cases: Iterator[bytes] = (id_bytes(one.case) for one in _lines(asked))
        else:
            cases = iter((asked.id(case, "case"),))
        requests = (
            thing
            for one in cases
            for thing in status.case(asked.answers, one, **asked.clocks).things
            if thing.thing_kind == "request"
        )
        if as_json:
            for thing in requests:
                shape = to_json(thing)
                assert isinstance(shape, dict)
                del shape["steps"]
                line(shape)
            return
        heading(asked.asked)
        table(
            ("request", "case", "stage", "since", "entry", "can lawfully come next"),
            [
                (
                    thing.thing,
                    short(thing.case),
                    reported(words(thing.stage), by_report=thing.reported),
                    when(thing.since),
                    thing.index,
                    _first(thing.next),
                )
                for thing in requests
            ],
            empty="No requests.",
        )


@request_app.command("show", short_help="Show one request, and what can lawfully come next.")
def request_show(
    request: Annotated[str, typer.Argument(metavar="ID", help="The request, or 6+ digits of it.")],
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
    Show one request: its stage, since when, each step, and what can lawfully come next.

    JSON: {size, happened_by, known_by, edition, edition_named, answer: {thing, thing_kind, case, stage, since,
    index, steps[], next[], open[], unmatched[]}}.
    """
    from projections import status

    with reading(
        ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet, law=(edition, editions)
    ) as asked:
        found = status.thing(asked.answers, asked.id(request, "request"), **asked.clocks)
        if found.thing_kind != "request":
            raise Trouble(
                4,
                f"{found.thing} is no request",
                why=f"it is a {found.thing_kind.replace('_', ' ')}",
                now=f"see `comity request list`, or its trail: `comity audit {short(found.thing)}`",
            )
        if not asked.said(found):
            _show_thing(found)


def _show_thing(found: "ThingStatus") -> None:
    text(
        f"{found.thing_kind.capitalize()} {found.thing} in case {found.case}\n"
        f"{reported(words(found.stage), by_report=found.reported)} since {when(found.since)} (entry {found.index})"
    )
    table(
        ("entry", "when", "what", "leads to"),
        [
            (
                step.index,
                when(step.when),
                step.sentence
                + (f" [corrected by entry {step.corrected_by}]" if step.corrected_by else "")
                + (" [not a step of the procedure from there]" if step.out_of_procedure else ""),
                words(step.stage_after) if step.stage_after != step.stage_before else "",
            )
            for step in found.steps
        ],
        empty="No steps.",
    )
    _show_open(found)
    text("What can lawfully come next")
    table(
        ("act", "by", "leads to"),
        [(step.act, ", ".join(map(words, step.by)), words(step.leads_to)) for step in found.next],
        empty="  nothing: the procedure ends here",
    )
