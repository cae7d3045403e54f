"""``comity law`` and ``comity due``: the law as this edition holds it, and when a limit ends."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.console import document, line, table, text
from ledger.cli.options import AsJson
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from datetime import date, datetime

    from ledger.law.data import Datum, Instrument, Limit
    from ledger.law.law import Law

_COMMON = ("id", "instrument", "article", "text", "verified", "file", "country")

law_app = typer.Typer(
    help="The law as data: instruments, time limits, grounds, duties, use rules.", no_args_is_help=True
)

Country = Annotated[
    str | None,
    typer.Option("--country", metavar="CC", help="As it holds for a State, such as DE.", show_default=False),
]
Edition = Annotated[
    str | None,
    typer.Option(
        "--law",
        metavar="EDITION",
        envvar="COMITY_LAW",
        help="Folder or hash of another edition; else COMITY_LAW, else this release's.",
        show_default=False,
        show_envvar=False,
    ),
]
Editions = Annotated[
    list[Path] | None,
    typer.Option(
        "--editions",
        metavar="DIR",
        envvar="COMITY_EDITIONS",
        help="Archive in which hashes are looked up; else COMITY_EDITIONS, and the ledger's own.",
        show_default=False,
        show_envvar=False,
    ),
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
    law = _edition(edition, editions)
    if limits:
        rows = [_limit_row(law, name) for name in sorted(law.limits())]
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
    found = [_instrument_row(law, one) for one in law.instruments.values()]
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
    law = _edition(edition, editions)
    if name in law.instruments:
        _show(law.instrument(name, country), as_json=as_json)
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
        text(_said(datum))


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
    law = _edition(edition, editions).at(on, known=_day(known_by, "--known-by") if known_by else None)
    names = [instrument] if instrument else list(law.instruments)
    rows = [(kind, datum) for kind, datum in _rows(law, names, country)]
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


@law_app.command("diff", short_help="Say what differs between days, or editions.")
def law_diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A day; or the folder, or the hash, of an edition.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A day; or the folder, or the hash, of an edition.")],
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what differs between two days, or between two editions.

    A hash is that of `Entry.rules`, or its first eight digits or more; 'release' is this release's edition.
    Rules, heads of instruments, ways of counting (kind counting) and calendars (kind calendar) are compared.

    JSON, a line a rule: {instrument, country, kind, id, keys, before, after}; the instrument of ways of
    counting and of calendars is empty.
    """
    changes = _law(before, editions).diff(_law(after, editions))
    if as_json:
        for one in changes:
            line(
                {
                    "instrument": one.instrument,
                    "country": one.country,
                    "kind": one.kind,
                    "id": one.id,
                    "keys": list(one.keys),
                    "before": None if one.before is None else plain(one.before),
                    "after": None if one.after is None else plain(one.after),
                }
            )
        return
    table(
        ("instrument", "kind", "rule", "change"),
        [
            (
                one.instrument + (f" in {one.country}" if one.country else ""),
                one.kind,
                one.id,
                "new"
                if one.before is None
                else "gone"
                if one.after is None
                else ", ".join(one.keys) or f"{one.before} -> {one.after}",
            )
            for one in changes
        ],
        empty="Nothing differs.",
    )


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

    law = _edition(edition, editions, only)
    if only is not None and not law.instruments:
        raise Trouble(4, f"no instrument is called {only}", now="`comity law list` shows the instruments")
    found = list(wrong(law))
    every = [datum for _, datum in _rows(law, list(law.instruments), None)]
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
    named = f"{len(law.instruments)} instrument{'' if len(law.instruments) == 1 else 's'}"
    text(f"{named}, {len(every)} rules, {verified} of them verified. Edition {law.edition}.")


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

    law = _edition(edition, editions)
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


@law_app.command("archive", short_help="Keep an edition, to be found by its hash.")
def law_archive(
    archive: Annotated[Path, typer.Argument(metavar="DIR", help="The archive; made where there is none.")],
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Keep an edition in an archive, under its hash, so that it is found when an entry names it.

    The commands that publish keep the edition of their release in the folder law of the ledger.

    JSON: {edition, folder, held: [edition, ...]}.
    """
    from ledger.law.editions import held, keep
    from ledger.law.law import HERE

    kept = keep(archive, HERE if edition is None else _folder(edition, editions))
    if as_json:
        names = sorted(name for name, folder in held([archive]).items() if folder.parent == archive)
        document({"edition": kept.name, "folder": str(kept), "held": names})
        return
    text(f"Edition {kept.name} is kept in {archive}.")


def due(
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="Its id, such as EIO-REC.")],
    start: Annotated[str, typer.Option("--start", metavar="WHEN", help="The event: a day, or a local date-time.")],
    place: Annotated[
        str, typer.Option("--in", metavar="STATE", help="State that must act, such as DE, or a part of it: DE-BY.")
    ],
    zone: Annotated[
        str | None,
        typer.Option("--zone", metavar="IANA", help="Zone of local times; else the State's.", show_default=False),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="A variant, such as emergency.", show_default=False)
    ] = None,
    extended: Annotated[int, typer.Option("--extended", metavar="N", help="How often it was extended.", min=0)] = 0,
    other: Annotated[
        str | None,
        typer.Option("--with", metavar="STATE", help="The other State of the pair, such as FR.", show_default=False),
    ] = None,
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Compute when a time limit ends, with every step and its article.

    With --with, a limit that does not hold between the two States is not computed, and one that may hold counts
    as not verified.

    JSON: {limit, article, start, due, last_day, rule, calendar, zone, verified, edition, steps: [{article, text}]};
    due is an instant with offset: the end of the last day, or of the last hour.
    """
    from ledger.law.counting import counting_of
    from ledger.law.counting import due as compute

    law = _edition(edition, editions)
    began = _moment(start)
    on = began.date() if hasattr(began, "date") else began
    country = place.partition("-")[0]
    rule = law.limit(limit, country, on=on)
    if other is not None:
        asks = rule.by in {"requesting", "sending"}
        requesting, requested = (country, other) if asks else (other, country)
        held = law.between(rule, requesting, requested, on)
        if held is None:
            raise Trouble(
                4,
                f"{rule.id} does not hold between {requesting} and {requested} on {on}",
                why="the law file lists who is bound, and which declarations and reservations there are",
                now=f"`comity law show {rule.id}` names the lists it depends on",
            )
        rule = held
    counting = counting_of(rule.counting, place, law.countings)
    result = compute(rule, began, law.calendar(place, zone), variant=variant, extended=extended, counting=counting)
    if as_json:
        document(
            {
                "limit": rule.id,
                "article": result.article,
                "start": began.isoformat(),
                "due": result.at.isoformat(),
                "last_day": result.last_on.isoformat(),
                "rule": result.counting,
                "calendar": result.calendar,
                "zone": result.zone,
                "verified": result.verified,
                "edition": law.edition,
                "steps": [step._asdict() for step in result.steps],
            }
        )
        return
    text(f"{rule.id}, {law.instrument(rule.instrument).title} Art. {rule.article}: {rule.text}")
    text(f"Last day {result.last_on}; expires {result.at.isoformat(' ')} ({result.zone}).")
    if not result.verified:
        text("Not verified against the official wording.")
    table(("article", "step"), list(result.steps), empty="")
    text(f"Counted by {law.countings[result.counting].title}, calendar {result.calendar}.")


# ----------------------------------------------------------------------------------------- showing


def plain(value: Any) -> Any:
    """Data of the law as JSON has it: days and instants as ISO text, absent keys left out."""
    from collections.abc import Mapping
    from dataclasses import fields, is_dataclass
    from datetime import date

    if is_dataclass(value):
        return {
            field.name: shown
            for field in fields(value)
            if (shown := plain(getattr(value, field.name))) not in (None, [], {})
        }
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(one) for one in value)
    return value


def _rows(law: "Law", names: list[str], country: str | None) -> "list[tuple[str, Datum]]":
    return [
        (kind, datum)
        for name in names
        for kind, rows in law.instrument(name, country).data.items()
        for versions in rows.values()
        for datum in versions
    ]


def _instrument_row(law: "Law", one: "Instrument") -> dict[str, Any]:
    every = [datum for rows in one.data.values() for versions in rows.values() for datum in versions]
    return {
        "id": one.id,
        "title": one.title,
        "from": one.from_on.isoformat(),
        "until": None if one.until_on is None else one.until_on.isoformat(),
        "countries": sorted(country for name, country in law.overlays if name == one.id),
        "data": len(every),
        "verified": sum(datum.verified for datum in every),
    }


def _limit_row(law: "Law", name: str) -> dict[str, Any]:
    one = law.limit(name)
    return {
        "id": one.id,
        "instrument": one.instrument,
        "article": one.article,
        "period": _period(one),
        "by": one.by,
        "verified": one.verified,
        "text": one.text,
    }


def _period(one: "Limit") -> str:
    if one.yearly is not None:
        return "by {:02d}-{:02d} of the next year".format(*one.yearly)
    return str(one.within) if one.within is not None else "as the act or form states"


def _show(one: "Instrument", *, as_json: bool) -> None:
    if as_json:
        document(plain(one))
        return
    text(f"{one.title} ({one.id})" + (f", as it holds in {one.country}" if one.country else ""))
    text(f"{one.official}. Applies from {one.from_on}; reviewed {one.reviewed_on}.")
    for kind, rows in one.data.items():
        text(f"\n{kind}")
        table(
            ("rule", "article", "", ""),
            [
                (d.id, d.article, d.text, "" if d.verified else "not verified")
                for versions in rows.values()
                for d in versions
            ],
            empty="",
        )


def _said(datum: "Datum") -> str:
    parts = [
        f"{datum.id}, {datum.instrument} Art. {datum.article}" + (f", in {datum.country}" if datum.country else ""),
        datum.text,
        f"Applies from {datum.from_on}"
        + (f" until {datum.until_on}" if datum.until_on else "")
        + (f"; known from {datum.known_from_on}" if datum.known_from_on else "")
        + ("; verified." if datum.verified else f"; not verified (basis: {datum.basis})."),
    ]
    shown = plain(datum)
    common = (*_COMMON, "from_on", "until_on", "known_from_on", "basis")
    parts += [f"{key}: {_worded(value)}" for key, value in shown.items() if key not in common]
    return "\n".join(parts) + "\n"


def _worded(value: Any) -> str:
    """A value as somebody reads it who has never seen a program."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_worded(one) for one in value)
    if isinstance(value, dict):
        if {"unit", "count"} <= value.keys():
            unit = value["unit"].replace("_", " ")
            part = " and {}/{} month".format(*value["part"]) if "part" in value else ""
            return f"{value['count']} {unit if value['count'] != 1 else unit[:-1]}{part}"
        if value.keys() == {"act"}:
            return str(value["act"])
        return "(" + "; ".join(f"{key} {_worded(one)}" for key, one in value.items()) + ")"
    return str(value)


# ------------------------------------------------------------------------------------------ reading


def _edition(given: str | None, archives: list[Path] | None, only: str | None = None) -> "Law":
    from ledger.law.law import HERE, load, read

    if given is None:
        return load() if only is None else read(HERE, only=only)
    return read(_folder(given, archives), only=only)


def _folder(given: str, archives: list[Path] | None) -> Path:
    """The folder of an edition that is named by folder, or by its hash."""
    from ledger.cli.options import folder
    from ledger.law.editions import find, is_edition
    from ledger.law.law import HERE

    named = Path(given)
    if (named / "instruments").is_dir():
        return named
    if given == "release":
        return HERE
    if is_edition(given) and not named.exists():
        return find(given, [*(archives or ()), folder(None) / "law"])
    raise Trouble(
        4,
        f"there is no edition of the law in {given}",
        why="the folder holds no folder `instruments`",
        now="name its folder or its hash with --law or COMITY_LAW, or leave both out for this release's",
    )


def _law(given: str, archives: list[Path] | None) -> "Law":
    from datetime import date

    from ledger.law.law import load, read

    try:
        # A day is written with hyphens: eight digits alone may begin a hash.
        return load().at(date.fromisoformat(given if "-" in given else ""))
    except ValueError:
        return read(_folder(given, archives))


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


def _moment(given: str) -> "date | datetime":
    from datetime import date, datetime

    try:
        return date.fromisoformat(given) if len(given) == 10 else datetime.fromisoformat(given)
    except ValueError:
        raise Trouble(
            2, f"--start: {given} is no day and no date-time", now="give 2026-03-02 or 2026-03-02T10:20"
        ) from None
