"""``comity law``: the law as this edition holds it."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, line, table, text
from ledger.cli.law_due import due
from ledger.cli.law_editions import Edition, Editions, edition_of, law_archive, law_diff
from ledger.cli.law_shown import instrument_row, limit_row, plain, rules_of, said, show
from ledger.cli.options import AsJson
from ledger.cli.shown import counted
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from datetime import date

__all__ = ["due", "law_app"]

law_app = typer.Typer(
    help="The law as data: instruments, time limits, grounds, duties, use rules.", no_args_is_help=True
)

Country = Annotated[
    str | None,
    typer.Option("--country", metavar="CC", help="As it holds for a State, such as DE.", show_default=False),
]
Pair = Annotated[
    str | None,
    typer.Option(
        "--between",
        metavar="CC,CC",
        help="Only what holds between a requesting and a requested State, such as CH,DE.",
        show_default=False,
    ),
]


@law_app.command("list", short_help="List the instruments, or every time limit.")
def law_list(
    limits: Annotated[bool, typer.Option("--limits", help="Every time limit instead.")] = False,
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    List the instruments, or every time limit.

    JSON, a line each: {id, title, from, until, countries, data, verified}; with --limits
    {id, instrument, article, period, by, verified, text}.
    """
    law = edition_of(edition, editions)
    if limits:
        rows = [limit_row(law, name) for name in sorted(law.limits())]
        if as_json:
            for row in rows:
                line(row)
            return
        table(
            ("limit", "instrument", "article", "period", "by", ""),
            [
                (r["id"], r["instrument"], r["article"], r["period"], r["by"], "" if r["verified"] else "not verified")
                for r in rows
            ],
            empty="There is no limit.",
        )
        return
    found = [instrument_row(law, one) for one in law.instruments.values()]
    if as_json:
        for row in found:
            line(row)
        return
    table(
        ("instrument", "", "from", "overlays", "rules", "verified"),
        [(r["id"], r["title"], r["from"], " ".join(r["countries"]), r["data"], r["verified"]) for r in found],
        empty="There is no instrument.",
    )


@law_app.command("show", short_help="Show an instrument, or one rule of it.")
def law_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An instrument, or the id of a rule such as EIO-REC.")],
    country: Country = None,
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Show an instrument, or one rule of it, with article, dates and whether it was verified.

    JSON: an instrument {id, title, ..., data: {kind: {id: [rule, ...]}}}, or a list of rules.
    """
    law = edition_of(edition, editions)
    if name in law.instruments:
        show(law.instrument(name, country), as_json=as_json)
        return
    found = [
        datum
        for instrument in law.instruments
        for kind in law.instrument(instrument, country).data.values()
        for datum in kind.get(name, ())
    ]
    if not found:
        raise Trouble(4, f"no instrument and no rule is called {name}", now="`comity law list` shows the instruments")
    if as_json:
        document([plain(datum) for datum in found])
        return
    for datum in found:
        text(said(datum))


@law_app.command("on", short_help="Say which rules were in force on a day.")
def law_on(
    day: Annotated[str, typer.Argument(metavar="DATE", help="A day, such as 2020-06-02.")],
    known_by: Annotated[
        str | None,
        typer.Option("--known-by", metavar="DATE", help="Without rulings that were known later.", show_default=False),
    ] = None,
    instrument: Annotated[
        str | None, typer.Option("--instrument", metavar="NAME", help="Of one instrument only.", show_default=False)
    ] = None,
    country: Country = None,
    pair: Pair = None,
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Say which rules were in force on a day.

    With --between, what does not hold between the two States is left out, and what may hold counts as not
    verified: which declarations and accessions are not known.

    JSON, a line a rule: {kind, id, instrument, article, text, from, until, known_from, verified, ...}.
    """
    on = _day(day, "DATE")
    law = edition_of(edition, editions).at(on, known=_day(known_by, "--known-by") if known_by else None)
    names = [instrument] if instrument else list(law.instruments)
    rows = [(kind, datum) for kind, datum in rules_of(law, names, country)]
    if pair is not None:
        requesting, requested = _pair(pair)
        rows = [
            (kind, held) for kind, datum in rows if (held := law.between(datum, requesting, requested, on)) is not None
        ]
    if as_json:
        for kind, datum in rows:
            line({"kind": kind, **plain(datum)})
        return
    table(
        ("instrument", "kind", "rule", "article", "", ""),
        [(d.instrument, kind, d.id, d.article, d.text, "" if d.verified else "not verified") for kind, d in rows],
        empty="No rule of this edition was in force on that day.",
    )


law_app.command("diff", short_help="Say what differs between days, or editions.")(law_diff)


@law_app.command("check", short_help="Read every law file, compute every example.")
def law_check(
    edition: Annotated[
        str | None,
        typer.Argument(
            metavar="[EDITION]",
            envvar="COMITY_LAW",
            help="Folder or hash of an edition; else COMITY_LAW, else this release's.",
            show_default=False,
            show_envvar=False,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--instrument", metavar="NAME", help="Only this instrument's files.", show_default=False),
    ] = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Read every law file strictly, and compute every worked example.

    JSON: {edition, instruments, rules, verified, wrong: [{file, key, what}]}.
    """
    from ledger.law.checking import wrong

    law = edition_of(edition, editions, only)
    if only is not None and not law.instruments:
        raise Trouble(4, f"no instrument is called {only}", now="`comity law list` shows the instruments")
    found = list(wrong(law))
    every = [datum for _, datum in rules_of(law, list(law.instruments), None)]
    verified = sum(datum.verified for datum in every)
    if as_json:
        document(
            {
                "edition": law.edition,
                "instruments": len(law.instruments),
                "rules": len(every),
                "verified": verified,
                "wrong": [one._asdict() for one in found],
            }
        )
        if not found:
            return
    if found:
        raise Trouble(
            7,
            "1 worked example does not come out as its file says"
            if len(found) == 1
            else f"{len(found)} worked examples do not come out as their files say",
            now="correct the example or the rule; one of them is wrong",
            faults=tuple(Fault(0, f"{one.file}: {one.key}", one.what) for one in found),
        )
    named = counted(len(law.instruments), "instrument")
    text(f"{named}, {counted(len(every), 'rule')}, {verified} of them verified. Edition {law.edition}.")


@law_app.command("graph", short_help="Draw a procedure as an instrument has it.")
def law_graph(
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT", help="As `comity law list` names it.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="Kind of thing: request, handover, exhibit, ...")
    ] = "request",
    day: Annotated[
        str | None,
        typer.Option("--on", metavar="DATE", help="As it was on a day; else today's file.", show_default=False),
    ] = None,
    country: Country = None,
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Draw a procedure as the instrument has it, in Mermaid and tables.

    JSON, a line a step: {act, from, to, when}.
    """
    from ledger.domain.diagrams import section

    law = edition_of(edition, editions)
    law = law if day is None else law.at(_day(day, "--on"))
    procedure = law.procedure(instrument, country)
    if kind not in procedure.graphs:
        raise Trouble(2, f"--kind: {kind} is no kind of thing", now="one of " + ", ".join(procedure.graphs))
    if as_json:
        for edge in procedure.graphs[kind].edges:
            when = None if edge.when is None else {edge.when.field: list(edge.when.values)}
            line({"act": edge.act, "from": edge.origin, "to": edge.to, "when": when})
        return
    text(section(procedure, kind))


law_app.command("archive", short_help="Keep an edition, to be found by its hash.")(law_archive)


def _pair(given: str) -> tuple[str, str]:
    requesting, comma, requested = given.partition(",")
    if not comma or len(requesting) != 2 or len(requested) != 2:
        raise Trouble(2, f"--between: {given} is no pair of States", now="give two codes, such as CH,DE")
    return requesting.upper(), requested.upper()


def _day(given: str, what: str) -> "date":
    from datetime import date

    try:
        return date.fromisoformat(given)
    except ValueError:
        raise Trouble(2, f"{what}: {given} is no day", now="give a day, such as 2020-06-02") from None
