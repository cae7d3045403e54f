"""``comity audit``: who did what, when, under which article, in the order of the log."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.cases import answer, heading
from ledger.cli.console import document, table, text
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Zone, view
from ledger.cli.shown import moment, when

if TYPE_CHECKING:
    from projections.audit import Line

# Fewer digits than any prefix of an id; a greater index is written with the @.
_INDEX = re.compile(r"@\d{1,18}|\d{1,5}")


def audit(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="CASE|ID",
            help="A case, a thing in one, an authority (id or designation), or an entry (41, @123456).",
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
    Print the trail of a case, of one thing, of an authority, or one entry.

    Rejected entries are shown with their reason; entries that this copy does not hold are named.

    JSON: {size, happened_by, known_by, answer: {lines[], holes[]}}.
    """
    from ledger.cli.opened import designations, views, whole_id
    from ledger.errors import NotFound
    from projections import audit as trails

    asked = view(happened_by, known_by, as_of, zone)
    with views(ledger, quiet=quiet) as (answers, store):
        if _INDEX.fullmatch(subject):
            found = trails.Trail((trails.entry(answers, int(subject.lstrip("@"))),), ())
        else:
            whole = whole_id(subject, store, "any", designations(answers))
            for read in (trails.case, trails.subject, trails.authority):
                try:
                    found = read(answers, whole, **asked.clocks, after_index=from_index - 1, limit=limit)
                    break
                except NotFound:
                    continue
            else:
                raise NotFound(
                    f"nothing is recorded about {subject}" + (" by then" if asked.heading() else ""),
                    what_now="see `comity case list`; or ask at a later time",
                )
        if as_json:
            document(answer(asked, store.size(), found))
            return
        heading(asked)
        table(
            ("entry", "happened", "recorded", "what", "under"),
            [
                (
                    one.index,
                    when(one.when),
                    moment(one.when.recorded_at, asked.zone),
                    one.sentence + _remarks(one),
                    "; ".join(one.articles),
                )
                for one in found.lines
            ],
            empty="No entries.",
        )
        for hole in found.holes:
            text(f"Entries {hole.first} to {hole.last} of the case are withheld from this copy.")


def _remarks(one: "Line") -> str:
    said = "" if one.disposition == "accepted" else f" [rejected: {one.reason}]"
    for remark in one.remarks:
        said += f" [{remark.kind} by entry {remark.index}]"
    return said
