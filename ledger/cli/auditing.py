"""``comity audit``: who did what, when, under which article, in the order of the log."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import table, text
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Zone, view
from ledger.cli.reading import Reading, reading
from ledger.cli.shown import moment, when

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.audit import Line, Trail

# Fewer digits than any prefix of an id; a greater index is written with the @.
_INDEX = re.compile(r"@\d{1,18}|\d{1,5}")


def audit(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="CASE|ID",
            help="A case; a thing in one; an authority (id or designation); a person; a statement, or 6+ digits of "
            "any of these ids; or an entry (41, @123456).",
        ),
    ],
    from_index: Annotated[int, typer.Option("--from", min=0, metavar="INDEX", help="Begin at this entry.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many entries.")] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Print the trail of a case or a thing, of an authority, a person or a statement, or one entry.

    Of an authority: what it said, what others say it did, and what names it. Of a person: the entries that name
    that pseudonym. Of a statement: itself, and what answers, corrects or disputes it.

    Rejected entries are shown with their reason; entries that this copy does not hold are named.

    JSON: {size, happened_by, known_by, answer: {lines[], holes[]}}.
    """
    with reading(ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet) as asked:
        found = _trail(asked, subject, from_index, limit)
        if asked.said(found):
            return
        table(
            ("entry", "happened", "recorded", "what", "under"),
            [
                (
                    one.index,
                    when(one.when),
                    moment(one.when.recorded_at, zone),
                    one.sentence + _remarks(one),
                    "; ".join(one.articles),
                )
                for one in found.lines
            ],
            empty="No entries.",
        )
        for hole in found.holes:
            text(f"Entries {hole.first} to {hole.last} of the case are withheld from this copy.")


def _trail(asked: Reading, subject: str, from_index: int, limit: int | None) -> "Trail":
    """The trail of whatever *subject* is."""
    from ledger.errors import NotFound
    from projections import audit as trails

    answers = asked.answers
    if _INDEX.fullmatch(subject):
        return trails.Trail((trails.entry(answers, int(subject.lstrip("@"))),), ())
    whole = asked.id(subject, "anything")
    # An authority has a stream too, in which its root enrolled it: that is the least of what it did.
    stream = asked.is_thing(whole) and not asked.is_authority(whole)
    read: Callable[..., Trail] = (
        trails.case if asked.is_case(whole) else trails.subject if stream else trails.concerning
    )
    try:
        return read(answers, whole, **asked.clocks, after_index=from_index - 1, limit=limit)
    except NotFound as error:
        by_then = bool(asked.asked.heading())
        raise NotFound(
            f"nothing is recorded about {subject}" + (" by then" if by_then else ""),
            what_now="ask at a later time, or without a clock" if by_then else "see `comity case list`",
        ) from error


def _remarks(one: "Line") -> str:
    said = "" if one.disposition == "accepted" else f" [rejected: {one.reason}]"
    for remark in one.remarks:
        said += f" [{remark.kind} by entry {remark.index}]"
    return said
