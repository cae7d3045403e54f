"""``comity exhibit``: where an item of evidence came from, who holds it, how courts ruled on it."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import table, text
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Viewer, Zone, view
from ledger.cli.reading import reading
from ledger.cli.shown import said_by, short, when, who, words
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from projections.admissibility import Ruling, Standing
    from projections.facts import Said
    from projections.provenance import Provenance
    from projections.travelling import BoundRecipient

exhibit_app = typer.Typer(help="Exhibits: provenance, holders, conditions, rulings.", no_args_is_help=True)

Exhibit = Annotated[str, typer.Argument(metavar="ID", help="The exhibit, or 6+ digits of its id.")]


@exhibit_app.command("show", short_help="Show who holds it, under which conditions.")
def exhibit_show(
    exhibit: Exhibit,
    viewer: Viewer = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Show who holds an exhibit, under which conditions, and what is not shown of it.

    JSON: as ``exhibit trace``.
    """
    from projections import provenance

    with reading(ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet) as asked:
        whole, sight = asked.id(exhibit, "exhibit"), asked.sight(viewer)
        found = _exhibit(provenance.exhibit(asked.answers, whole, at=asked.at, **asked.clocks, sight=sight))
        if asked.said(found):
            return
        _show(found)


def _exhibit(found: "Provenance") -> "Provenance":
    """The provenance of something that was acquired or derived; Trouble for any other thing."""
    if not found.lineage:
        raise Trouble(
            4,
            f"{found.exhibit} is not shown to be an exhibit",
            why="no entry says that it was acquired or derived, at the time asked about",
            now="see the exhibits of the case: `comity case show`",
        )
    return found


def _show(found: "Provenance") -> None:
    text(f"Exhibit {found.exhibit} in case {found.case}")
    table(
        ("held by", "which", "since", "by", "on the basis of", "before a request", "use"),
        [
            (
                who(one.authority),
                "this" if one.exhibit == found.exhibit else short(one.exhibit),
                when(one.since),
                f"{words(one.by)} (entry {one.index})" + _unlike(one.said),
                "; ".join(one.legal_basis),
                "yes" if one.before_request else "",
                "restricted" if one.conditions else "",
            )
            for one in found.holders
        ],
        empty="No holder is shown.",
    )
    if found.conditions:
        text("Conditions of use")
        table(
            ("entry", "condition", "in force", "now binds, and to which use"),
            [
                (
                    one.index,
                    one.sentence,
                    "yes" if one.in_force else "no",
                    "; ".join(f"{who(bound.authority)}: {_use(bound)}" for bound in one.recipients) or "every holder",
                )
                for one in found.conditions
            ],
            empty="",
        )
    if found.withheld:
        text("Withheld")
        table(
            ("entry", "by", "facts", "ground"),
            [
                (one.index, said_by(one.said), ", ".join(map(words, one.facts)), words(one.ground))
                for one in found.withheld
            ],
            empty="",
        )
    _gaps(found)


def _use(bound: "BoundRecipient") -> str:
    """What one recipient may use it for, as the condition stands after what was lifted for it."""
    return "any use (lifted)" if bound.free else " or ".join(map(words, bound.purposes)) or "no use"


def _unlike(said: "Said") -> str:
    """Who says so, where it is not the authority itself."""
    return "" if said.voice == "own" else f", {said_by(said, named=True)}"


def _gaps(found: "Provenance") -> None:
    if found.gaps:
        text("What the chain does not show")
        table(
            ("entry", "exhibit", "gap"),
            [(gap.index, short(gap.exhibit), gap.sentence) for gap in found.gaps],
            empty="",
        )


@exhibit_app.command("trace", short_help="Trace it from authorisation to holders.")
def exhibit_trace(
    exhibit: Exhibit,
    basis: Annotated[bool, typer.Option("--basis", help="Show the timeline of its legal basis instead.")] = False,
    viewer: Viewer = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Trace an exhibit from the authorisation to its present holders, link by link.

    JSON: {size, happened_by, known_by, answer: {exhibit, case, lineage[], chain[], holders[],
    conditions[], disclosures[], withheld[], gaps[], descendants[]}}; with --basis the answer is the
    list of steps.
    """
    from projections import provenance

    with reading(ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet) as asked:
        whole, sight = asked.id(exhibit, "exhibit"), asked.sight(viewer)
        if basis:
            steps = provenance.legal_basis_timeline(asked.answers, whole, **asked.clocks, sight=sight)
            if asked.said(steps):
                return
            table(
                ("entry", "when", "step", "what", "on the basis of", "authorised"),
                [
                    (
                        step.index,
                        when(step.when),
                        words(step.step),
                        step.sentence,
                        "; ".join(step.legal_basis),
                        _authorised(step.authorised_index, before=step.before_authorisation),
                    )
                    for step in steps
                ],
                empty="No step is shown.",
            )
            return
        found = _exhibit(provenance.exhibit(asked.answers, whole, at=asked.at, **asked.clocks, sight=sight))
        if asked.said(found):
            return
        text(f"Exhibit {found.exhibit} in case {found.case}")
        table(
            ("entry", "when", "step", "which", "what", "hash"),
            [
                (
                    hop.index,
                    when(hop.when),
                    words(hop.step),
                    "this" if hop.exhibit == found.exhibit else short(hop.exhibit),
                    hop.sentence
                    + (f" [corrected by entry {hop.corrected_by}]" if hop.corrected_by else "")
                    + (" [disputed by entry " + ", ".join(map(str, hop.disputed_by)) + "]" if hop.disputed_by else ""),
                    words(hop.hash_check),
                )
                for hop in found.chain
            ],
            empty="No link is shown.",
        )
        _gaps(found)


def _authorised(index: int | None, *, before: bool | None) -> str:
    if index is None:
        return ""
    return f"entry {index}" + (", afterwards" if before else "")


@exhibit_app.command("rulings", short_help="Show how each court ruled on it.")
def exhibit_rulings(
    exhibit: Exhibit,
    alone: Annotated[bool, typer.Option("--alone", help="Without rulings on ancestors and descendants.")] = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Show how each court ruled on an exhibit: per court, proceedings and stage.

    JSON: {size, happened_by, known_by, answer: [{court, proceedings, stage, exhibit, concerns,
    outcome, standing, index, history[]}]}.
    """
    from projections import admissibility

    with reading(ledger, view(happened_by, known_by, as_of, zone), as_json=as_json, quiet=quiet) as asked:
        found = admissibility.exhibit(asked.answers, asked.id(exhibit, "exhibit"), **asked.clocks, lineage=not alone)
        if asked.said(found):
            return
        table(
            ("court", "proceedings", "stage", "outcome", "standing", "when", "ruling", "concerns"),
            [
                (
                    who(one.court),
                    short(one.proceedings),
                    words(one.stage),
                    words(one.outcome) or f"was {words(ruling_of(one).outcome)}",
                    words(one.standing),
                    when(ruling_of(one).when),
                    _entry(one),
                    one.concerns,
                )
                for one in found
            ],
            empty="No court is shown to have ruled on it.",
        )


def ruling_of(one: "Standing") -> "Ruling":
    """The ruling that a standing rests on; the latest, where none stands."""
    return next((ruling for ruling in one.history if ruling.index == one.index), one.history[-1])


def _entry(one: "Standing") -> str:
    """The entry of the ruling, who says so, and the entry that ended it."""
    ruling = ruling_of(one)
    said = f"entry {ruling.index}{_unlike(ruling.said)}"
    return said if one.outcome else f"{said}; {words(one.standing)} by entry {one.index}"
