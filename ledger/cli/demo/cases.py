"""What the ledger knows of the two cases: where they stand, who did what, where a chat came from, how courts ruled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from ledger.cli.demo.page import Report, Stage, command, say, section, table, typed
from ledger.cli.exhibits import ruling_of
from ledger.cli.shown import day, said_by, short, when, who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.admissibility import Standing
    from projections.provenance import BasisStep, Hop, Provenance
    from projections.status import CaseStatus, ThingStatus

THEN: Final = "2020-06-02"
ZONE: Final = "Europe/Berlin"
TRAIL: Final = 6
"""How many lines of the audit trail are shown."""
_NEXT: Final = 3
_SHOWN: Final = ("request", "handover", "joint_team", "challenge")
_PLURAL: Final = {"request": "Requests", "handover": "Surrender", "joint_team": "Joint team", "challenge": "Challenges"}
_HALVES: Final = "other_half_missing"


def played(stage: Stage, report: Report) -> None:
    """1: what was played into the ledger, and its root."""
    from ledger.verify import parse_checkpoint, parse_note

    told = stage.ledger.told.published
    head = parse_checkpoint(parse_note(stage.ledger.checkpoint()).text)
    reported = sum(one.said.voice == "reported" for one in told)
    unconfirmed = sum(not one.said.confirmed for one in told)
    section(
        stage,
        1,
        "Two real cases, published statement by statement",
        "Every statement below was signed by the authority that publishes it, checked against the rules, and sealed "
        "into one append-only tree: whoever keeps the root of the tree can show later that no entry was changed, "
        "removed or slipped in.",
    )
    for scenario in stage.scenarios:
        say(stage, f"- {scenario.title}: {len(scenario.statements)} statements", hang=2)
    say(
        stage,
        f"{reported} of the {len(told)} statements report what others did, courts and States that have no key here, "
        f"each naming its source; the dates of {unconfirmed} could not be confirmed, and are marked so. Authorities "
        "and rulings are real; persons, keys and the single chat are synthetic.",
    )
    say(stage, f"\nledger {head.origin}")
    say(
        stage,
        f"size   {head.size} entries: these statements, and {head.size - len(told)} that found the ledger and say who "
        "may sign",
        hang=7,
    )
    say(stage, f"root   {head.root.hex()}")
    report.sections["played"] = {
        "folder": str(stage.folder),
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "statements": len(told),
        "reported": reported,
        "unconfirmed": unconfirmed,
    }


def cases(stage: Stage, report: Report) -> None:
    """2: where each case stands, and what may come next."""
    from projections import status
    from projections.facts import to_json

    section(
        stage,
        2,
        "Where each case stands, and what may come next",
        "A judge who takes over a file sees at once what has been asked, decided and answered, and what the procedure "
        "still allows; what only one side has said stays visible as one half.",
    )
    shown = []
    for scenario in stage.scenarios:
        for item in scenario.items.values():
            if item.kind != "case":
                continue
            found = status.case(stage.views, stage.ledger.named(item.slug))
            shown.append(to_json(found))
            _case(stage, found)
    report.sections["cases"] = shown


def _case(stage: Stage, found: CaseStatus) -> None:
    say(
        stage,
        f"{stage.title(found.case)}: {(found.stage or 'unknown').replace('_', ' ')}, {found.entries} entries",
        hang=2,
    )
    for kind in _SHOWN:
        things = [thing for thing in found.things if thing.thing_kind == kind]
        if things:
            say(stage, _PLURAL[kind], indent=2)
        for thing in things:
            _thing(stage, thing)
    missing, beside = len(found.unmatched), len(found.out_of_procedure)
    if missing or beside:
        parts = []
        if missing:
            parts.append(f"{missing} {'half waits' if missing == 1 else 'halves wait'} for the other side")
        if beside:
            parts.append(
                f"{beside} {'step was' if beside == 1 else 'steps were'} recorded although an earlier one is missing"
            )
        say(stage, f"Noted: {'; '.join(parts)}.", indent=2, hang=2)
    say(stage)


def _thing(stage: Stage, thing: ThingStatus) -> None:
    how = " (by report only)" if thing.reported else ""
    say(
        stage,
        f"{stage.title(thing.thing)}. {thing.stage_words.rstrip('.')}{how}: entry {thing.index}.",
        indent=4,
        hang=2,
    )
    # What may be said of anything at any time tells nothing about where this thing stands.
    acts = [step.words for step in thing.next if not step.act.startswith(("statement.", "finding.", "time_limit."))]
    if acts:
        more = f", and {len(acts) - _NEXT} more" if len(acts) > _NEXT else ""
        say(stage, f"may come next: {', '.join(acts[:_NEXT])}{more}", indent=6, hang=2)


def trail(stage: Stage, report: Report) -> None:
    """3: the audit trail of one case."""
    from projections import audit
    from projections.facts import to_json

    section(
        stage,
        3,
        "The audit trail",
        "Who did what, when, under which article, in the order in which the ledger learned it: the thread that a "
        "remedy or an oversight body follows.",
    )
    case = stage.ledger.named("encrochat-de")
    lines = audit.case(stage.views, case).lines
    for line in lines[:TRAIL]:
        articles = f" [{'; '.join(line.articles)}]" if line.articles else ""
        say(stage, f"{line.index:>4}  {line.sentence}{articles}", hang=6)
    say(stage, f"... {len(lines) - TRAIL} more: see", indent=6)
    command(stage, f"comity audit {short(case)} --ledger {typed(stage.folder)}")
    report.sections["trail"] = {
        "case": str(UUID(bytes=case)),
        "entries": len(lines),
        "lines": [to_json(x) for x in lines[:TRAIL]],
    }


def provenance(stage: Stage, report: Report) -> None:
    """4: where one chat comes from, as of two days."""
    from ledger.instants import instant
    from projections import provenance
    from projections.facts import to_json

    section(
        stage,
        4,
        "Where one chat comes from: as of 2 June 2020, and as of today",
        "Evidence is judged by what was known when it was used. The ledger has two clocks, when things happened and "
        "when it was told of them; as of a day means both, to the end of that day, here in Berlin.",
    )
    chat = stage.ledger.named("chat-1")
    at = instant(THEN, zone=ZONE, end=True)
    then = provenance.exhibit(stage.views, chat, happened_by=at, known_by=at)
    happened = provenance.exhibit(stage.views, chat, happened_by=at)
    now = provenance.exhibit(stage.views, chat)
    steps = provenance.legal_basis_timeline(stage.views, chat)
    rows = [("", "as of 2 June 2020", "as of today")]
    rows += [(name, read(then), read(now)) for name, read in _ASPECTS]
    table(stage, rows)
    difference = _difference(then, happened, now, steps)
    say(stage, "\n" + difference)
    path = [hop for hop in now.chain if hop.on_path and hop.step in _LINKS]
    say(
        stage,
        f"\nThe chain as of today, from the authorisation to the court: the {len(path)} of its {len(now.chain)} links "
        "by which the chat came there. In brackets what no entry shows: a hash of what moved, the word of the other "
        "side, the word of anybody concerned.",
    )
    for hop in path:
        gaps = [_GAPS[gap.code] for gap in hop.gaps if gap.code in _GAPS]
        if hop.said.voice == "reported" and _GAPS["reported_only"] not in gaps:
            gaps.append(_GAPS["reported_only"])
        say(stage, f"{hop.index:>4}  {_link(hop)}" + (f"  [{'; '.join(gaps)}]" if gaps else ""), hang=6)
    say(stage, "\nOn which authority, and since when:")
    for step in steps:
        if step.step in _BASIS:
            late = (
                f" - before it was authorised (entry {step.authorised_index})"
                if step.before_authorisation and step.step == "disclosed"
                else ""
            )
            say(
                stage,
                f"{step.index:>4}  {when(step.when)}: {_BASIS[step.step]}, {said_by(step.said)}{late}",
                hang=6,
            )
    report.sections["provenance"] = {
        "exhibit": str(UUID(bytes=chat)),
        "as_of": THEN,
        "then": to_json(then),
        "now": to_json(now),
        "difference": difference,
    }


def _held(found: Provenance) -> str:
    own = [holding for holding in found.holders if holding.exhibit == found.exhibit]
    return who(own[-1].authority) if own else "nobody is shown"


def _germans(found: Provenance) -> list[int]:
    """Indexes of the formal requests of Germany that are shown."""
    return sorted(
        {index for holding in found.holders if holding.authority.country == "DE" for index in holding.requests}
    )


def _asked(found: Provenance) -> str:
    shown = _germans(found)
    return (
        f"{len(shown)} orders of Germany: entries {', '.join(map(str, shown))}"
        if shown
        else "none of Germany is recorded"
    )


def _bound(found: Provenance) -> str:
    words = []
    for condition in found.conditions:
        for one in condition.recipients:
            uses = " or ".join(use.replace("_", " ") for use in one.purposes) or "any use"
            words.append(f"{who(one.authority)}: {uses}")
    return "; ".join(words) or "no condition"


def _unknown(found: Provenance) -> str:
    return (
        "; ".join(
            f"{' and '.join(fact.replace('_', ' ') for fact in one.facts)}: {one.ground.replace('_', ' ')}"
            for one in found.withheld
        )
        or "nothing"
    )


def _doubted(found: Provenance) -> str:
    return (
        "; ".join(f"entry {hop.index}, {said_by(hop.said)}" for hop in found.chain if hop.step == "discrepancy")
        or "none is recorded"
    )


def _counted(found: Provenance) -> str:
    hashes = sum(gap.code == "hash_missing" for gap in found.gaps)
    halves = sum(gap.code == _HALVES for gap in found.gaps)
    return f"{len(found.chain)} links, {hashes} without a hash, {halves} with one half only"


_ASPECTS: Final = (
    ("Held by", _held),
    ("Formal requests", _asked),
    ("May be used for", _bound),
    ("Withheld", _unknown),
    ("Doubts reported", _doubted),
    ("The chain", _counted),
)

_LINKS: Final = frozenset(
    {"authorised", "measured", "acquired", "withheld", "handed_over", "taken_over", "derived", "disclosed"}
)
_GAPS: Final = {
    "hash_missing": "no hash",
    "other_half_missing": "other half missing",
    "reported_only": "by report only",
    "not_reproducible": "cannot be repeated",
}
_BASIS: Final = {
    "information_sent": "announced without a request",
    "condition_attached": "bound to police evaluation",
    "disclosed": "DISCLOSED to Germany",
    "requested": "asked for by a European Investigation Order",
    "use_authorised": "AUTHORISED for use in criminal proceedings",
    "condition_lifted": "condition lifted",
}
_DID: Final = {
    "authorised": "authorised the measure",
    "measured": "started the measure",
    "acquired": "collected the data",
    "withheld": "withheld the method",
    "derived": "made an extract",
}


def _link(hop: Hop) -> str:
    did = _DID.get(hop.step)
    takers = ", ".join(who(one) for one in hop.takers)
    if did is None:
        verb = {"handed_over": "handed over to", "disclosed": "disclosed to", "taken_over": "took over from"}[hop.step]
        other = who(hop.giver) if hop.step == "taken_over" else takers
        did = f"{verb} {other}"
    return f"{when(hop.when)}: {who(hop.said.speaker)} {did}"


def _difference(then: Provenance, happened: Provenance, now: Provenance, steps: Sequence[BasisStep]) -> str:
    """What differs between the days and between the clocks; each clause only if the answers bear it out."""
    clauses = []
    if not _germans(then) and any(one.authority.country == "DE" for one in then.holders):
        clauses.append(
            "By the end of 2 June 2020 the ledger had been told that Germany held the chat, for evaluation by the "
            "police only, and of no order of Germany."
        )
    later = set(_germans(happened)) - set(_germans(then))
    clauses += [
        f"The order dated {when(step.when)} (entry {step.index}) was recorded on {day(step.when.recorded_at, ZONE)}: "
        "as it is dated it had happened by then, but the ledger did not know."
        for step in steps
        if step.index in later
    ]
    clauses.append(f"Today {len(_germans(now))} orders are shown.")
    clauses += [
        f"{who(lift.said.speaker)} widened the condition on {when(lift.when)} to "
        f"{' and '.join(use.replace('_', ' ') for use in lift.purposes) or 'any use'} (entry {lift.index})."
        for condition in now.conditions
        for lift in condition.lifted
    ]
    clauses += [
        f"{who(hop.said.speaker)} doubted the integrity of the data on {when(hop.when)} (entry {hop.index}"
        f"{', by report' if hop.said.voice == 'reported' else ''})."
        for hop in now.chain
        if hop.step == "discrepancy"
    ]
    if now.withheld:
        clauses.append("The method is still withheld.")
    return " ".join(clauses)


def rulings(stage: Stage, report: Report) -> None:
    """5: how each court ruled on one exhibit."""
    from projections import admissibility
    from projections.facts import to_json

    section(
        stage,
        5,
        "One exhibit, admitted in Hamburg and excluded in Berlin",
        "Admissibility belongs to a court, its proceedings and their stage, never to the exhibit: both rulings stand "
        "at once, and an overturned one stays in the history.",
    )
    exhibit = stage.ledger.named("stream-1")
    found = admissibility.exhibit(stage.views, exhibit, lineage=False)
    say(stage, f"{stage.title(str(UUID(bytes=exhibit)))}, exhibit {short(exhibit)}")
    say(stage)
    rows = [("court", "proceedings", "stage", "outcome", "decided", "entry")]
    rows += [_ruling(stage, one) for one in found]
    table(stage, rows)
    reports = [(last.index, last.said) for one in found if (last := ruling_of(one)).said.voice == "reported"]
    say(
        stage,
        f"\n{len(found) - len(reports)} of the {len(found)} rulings was published by the court itself; the others are "
        "known by report alone:",
    )
    for index, said in reports:
        say(stage, f"{index:>4}  {said_by(said)}", hang=6)
    report.sections["rulings"] = to_json(list(found))


def _ruling(stage: Stage, one: Standing) -> tuple[str, str, str, str, str, str]:
    last = ruling_of(one)
    outcome = one.outcome.upper() if one.outcome else f"{last.outcome}, {one.standing} by entry {one.index}"
    return (who(one.court), stage.title(one.proceedings), one.stage, outcome, when(last.when), str(last.index))
