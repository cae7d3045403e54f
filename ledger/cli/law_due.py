"""``comity due``: when a time limit ends, step by step."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, table, text
from ledger.cli.law_editions import Edition, Editions, edition_of
from ledger.cli.options import AsJson
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from datetime import date, datetime


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

    JSON: {limit, article, start, due, last_day, rule, calendar, zone, verified, note, edition,
    steps: [{article, text}]}; due is an instant with offset: the end of the last day, or of the last hour.
    """
    from ledger.law.counting import counting_of
    from ledger.law.counting import due as compute
    from projections.wording import cited

    law = edition_of(edition, editions)
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
                "note": rule.note or None,
                "edition": law.edition,
                "steps": [step._asdict() for step in result.steps],
            }
        )
        return
    words = next((one.text for one in rule.variants if one.name == variant), rule.text)
    text(f"{rule.id}, {law.instrument(rule.instrument).title} {cited(result.article, 'Art.')}: {words}")
    text(f"Last day {result.last_on}; expires {result.at.isoformat(' ')} ({result.zone}).")
    if not result.verified:
        # The note says what of it is a reading, as where the text does not name the start.
        text(" ".join(one for one in ("Not verified against the official wording.", rule.note) if one))
    table(("article", "step"), list(result.steps), empty="")
    text(f"Counted by {law.countings[result.counting].title}, calendar {result.calendar}.")


def _moment(given: str) -> "date | datetime":
    from datetime import date, datetime

    try:
        return date.fromisoformat(given) if len(given) == 10 else datetime.fromisoformat(given)
    except ValueError:
        raise Trouble(
            2, f"--start: {given} is no day and no date-time", now="give 2026-03-02 or 2026-03-02T10:20"
        ) from None
