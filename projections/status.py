"""
Where a case and each thing in it stand, since when, by which entry, and what can lawfully come next.

A stage is computed when it is asked for, by folding the acts of one stream through the procedure
graph in the order in which they happened: so it is right at any two instants of the two clocks, and
no cached stage can differ from the facts. An act that was corrected no longer counts from the
moment the correction is known; it stays listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import NotFound
from projections.facts import (
    COLUMNS,
    Clocks,
    Fact,
    Row,
    Said,
    Table,
    When,
    Who,
    id_bytes,
    id_text,
    rows,
)
from projections.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from projections.views import Views

NAME: Final = "status"

TABLES: Final = (Table("fact", COLUMNS, ("case_id", "subject")),)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes: every accepted act may move a thing."""
    if fact.accepted:
        rows["fact"].append(fact.header())


#: What waits for an answer, and the acts that give it.
AWAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "consultation.opened": ("consultation.concluded",),
    "request.supplement_requested": ("request.supplement_provided",),
    "request.execution_postponed": ("request.postponement_ended", "request.executed"),
    "assurance.requested": ("assurance.given",),
    "interception.notified": ("interception.answered",),
    "reference.made": ("reference.answered",),
    "measure.started": ("measure.completed",),
    "disclosure.recalled": ("recall.implemented",),
    "remedy.ordered": ("remedy.implemented",),
}

#: The field of a first half that names who gives the second.
_GIVEN_TO: Final = ("to", "recipient")


@dataclass(frozen=True, slots=True)
class Step:
    """
    One act in a thing's stream, in the order in which they happened.

    `out_of_procedure` says that the graph has no such step from there: it is recorded all the same.
    `corrected_by` is the index of the correction after which the act counts no more.
    """

    index: int
    act: str
    sentence: str
    when: When
    said: Said
    stage_before: str | None
    stage_after: str | None
    out_of_procedure: bool
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """An act that the procedure knows from here: who says it, and the stages it can lead to."""

    act: str
    words: str
    by: tuple[str, ...] = ()
    leads_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Something that waits for an answer: a consultation, a reference, a recall."""

    index: int
    act: str
    awaits: tuple[str, ...]
    thing: str
    sentence: str
    when: When
    said: Said


@dataclass(frozen=True, slots=True)
class UnmatchedHalf:
    """
    One half of a bilateral act without the other.

    `by` is who would say the other half, where the first names him. `reported_index` is an entry
    that reports the other half: a report is shown, but never completes it.
    """

    index: int
    act: str
    awaits: str
    thing: str
    sentence: str
    when: When
    said: Said
    by: Who | None
    reported_index: int | None = None


@dataclass(frozen=True, slots=True)
class ChallengeStatus:
    """A challenge: its forum, what it attacks and suspends, how it ended (None while it is open)."""

    challenge: str
    index: int
    challenge_kind: str
    forum: Who
    lodged: When
    target: str | None
    suspends: tuple[str, ...]
    outcome: str | None
    outcome_index: int | None


@dataclass(frozen=True, slots=True)
class ThingStatus:
    """
    Where one thing stands.

    `index` is the entry that brought it to its stage; `reported` says that only a report did.
    `sides` are side stages open beside it, as often as they are open.
    """

    thing: str
    thing_kind: str
    case: str
    stage: str
    stage_words: str
    since: When
    index: int
    reported: bool
    sides: tuple[tuple[str, int], ...]
    steps: tuple[Step, ...]
    next: tuple[Next, ...]
    open: tuple[Open, ...]
    unmatched: tuple[UnmatchedHalf, ...]


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """
    Where a case stands: its own stage, its things, and what is open in any of them.

    `linked` has the other case, the relation, and the index that says so. `stage` is None where the
    opening of the case is not in this log, or not at these clocks.
    """

    case: str
    stage: str | None
    since: When | None
    index: int | None
    entries: int
    things: tuple[ThingStatus, ...]
    open: tuple[Open, ...]
    challenges: tuple[ChallengeStatus, ...]
    unmatched: tuple[UnmatchedHalf, ...]
    out_of_procedure: tuple[Step, ...]
    linked: tuple[tuple[str, str, int], ...]
    own: ThingStatus | None


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the list of cases; indexes of its first and last entry, and how many it has."""

    case: str
    first_index: int
    last_index: int
    entries: int


def cases(
    views: Views,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    limit: int = 100,
    after_index: int = -1,
) -> tuple[CaseLine, ...]:
    """
    List cases in the order in which the log first heard of them.

    Args:
        views: the projections, opened for reading.
        happened_by: what may have happened by then, µs; None for no bound.
        known_by: what the log knew by then, µs; None for no bound.
        limit: at most so many.
        after_index: page with the `first_index` of the last line.

    Cost: O(accepted entries), from the index on cases; it is a list for people, paged.
    """
    passes, bounds = Clocks(happened_by, known_by).where()
    found = views.db.execute(
        "SELECT case_id, min(idx), max(idx), count(*) FROM status.fact"
        f" WHERE {passes} GROUP BY case_id HAVING min(idx) > ? AND max(CASE act WHEN 'case.opened' THEN 1 END) = 1"
        " ORDER BY 2 LIMIT ?",
        (*bounds, after_index, limit),
    )
    return tuple(CaseLine(id_text(case), first, last, n) for case, first, last, n in found)


def case(
    views: Views,
    case_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
) -> CaseStatus:
    """
    Return where the case stands.

    Raises:
        NotFound: nothing is known of it at these clocks.

    Cost: O(entries of the case).
    """
    clocks = Clocks(happened_by, known_by)
    key = id_bytes(case_id)
    found = rows(views.db, "status.fact", clocks, "case_id = ?", [key])
    if not found:
        raise NotFound(f"nothing is known of case {id_text(key)}")
    corrected = _corrected(views, clocks, "case_id", key)
    streams: dict[str, list[Row]] = {}
    for row in found:
        streams.setdefault(row.subject, []).append(row)
    things = [_thing(views, stream, corrected) for stream in streams.values()]
    # A consultation, a reference or an answer may be said on another stream than its question.
    open_ = _open(views, found, corrected)
    own = next((thing for thing in things if thing.thing == id_text(key)), None)
    opened = own is not None and own.thing_kind == "case"
    return CaseStatus(
        id_text(key),
        own.stage if own is not None and opened else None,
        own.since if own is not None else None,
        own.index if own is not None else None,
        len(found),
        tuple(thing for thing in things if thing is not own),
        open_,
        _challenges(views, streams, corrected),
        tuple(half for thing in things for half in thing.unmatched),
        tuple(step for thing in things for step in thing.steps if step.out_of_procedure),
        tuple(
            (str(row.body["other"]), str(row.body["relation"]), row.index)
            for row in found
            if row.act == "case.linked" and row.statement not in corrected
        ),
        own,
    )


def thing(
    views: Views,
    thing_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
) -> ThingStatus:
    """
    Return where one thing (a request, an exhibit, a challenge, …) stands.

    Raises:
        NotFound: nothing is known of it at these clocks.

    Cost: O(entries of its stream).
    """
    clocks = Clocks(happened_by, known_by)
    key = id_bytes(thing_id)
    found = rows(views.db, "status.fact", clocks, "subject = ?", [key])
    if not found:
        raise NotFound(f"nothing is known of {id_text(key)}")
    return _thing(views, found, _corrected(views, clocks, "subject", key))


def _corrected(views: Views, clocks: Clocks, column: str, key: bytes) -> dict[str, int]:
    """Return the statements corrected, with the index of the correction, as far as it was known."""
    where = f"{column} = ? AND corrects IS NOT NULL"
    found = rows(views.db, "status.fact", clocks.known_only(), where, [key])
    return {row.corrects: row.index for row in found if row.corrects is not None}


def _kind(procedure: Any, stream: Sequence[Row]) -> tuple[str, int]:
    """
    Return the kind of the stream, and where the act that created it stands; -1 where it is not shown.

    A stream whose creation this reader does not hold is told by the acts it has.
    """
    created: dict[str, str] = {}
    known: dict[str, set[str]] = {}
    for kind, graph in procedure.graphs.items():
        for edge in graph.edges:
            known.setdefault(edge.act, set()).add(kind)
            if edge.origin is None:
                created[edge.act] = kind
    for number, row in enumerate(stream):
        if row.act in created:
            return created[row.act], number
    if stream[0].subject == stream[0].case:
        return "case", -1
    candidates = [known.get(row.act, set()) for row in stream]
    common = set.intersection(*candidates) if candidates else set()
    return (min(common) if len(common) == 1 else "unknown"), -1


def _procedure(views: Views, stream: Sequence[Row], created: int) -> Any:
    """The graph under the instrument of a request, or of the request that a handover hangs on; else the superset."""
    first = stream[max(created, 0)]
    if first.act != "request.issued" and (request := first.body.get("request")) is not None:
        issued = "subject = ? AND act = 'request.issued'"
        found = rows(views.db, "status.fact", Clocks(), issued, [id_bytes(request)])
        if not found:
            return views.procedure
        first = found[0]
    return views.procedure_under(first.body.get("instrument"), first.when.from_at)


def _thing(views: Views, stream: Sequence[Row], corrected: Mapping[str, int]) -> ThingStatus:
    kind, created = _kind(views.procedure, stream)
    procedure = _procedure(views, stream, created)
    # What created it comes first, however vague its day; the rest as it happened, ties as recorded.
    order = sorted(range(len(stream)), key=lambda n: (n != created, stream[n].when.from_at, stream[n].index))
    stage: str | None = None
    moved, reported = stream[order[0]], False
    sides: tuple[tuple[str, int], ...] = ()
    steps = []
    for row in (stream[number] for number in order):
        before, outside = stage, False
        if row.statement not in corrected and kind != "unknown":
            step = procedure.step(kind, stage, row.act, row.body)
            sides, closes_open = procedure.sides(kind, sides, row.act, row.body)
            if row.corrects is None:
                outside = not step.in_graph or not closes_open
            if (step.stage or None) != stage:
                stage, moved, reported = step.stage or None, row, row.said_by_report
            elif reported and not row.said_by_report:
                # Somebody concerned says what was only reported before.
                reported = procedure.leads_to(kind, row.act, row.body) != stage
        steps.append(
            Step(
                row.index,
                row.act,
                sentence(views, row),
                row.when,
                views.said(row),
                before,
                stage,
                outside,
                corrected.get(row.statement),
            )
        )
    graph = procedure.graphs.get(kind)
    counted = [row for row in stream if row.statement not in corrected]
    following = _following(views, procedure, kind, stage, sides, counted) if graph is not None else ()
    return ThingStatus(
        stream[0].subject,
        kind,
        stream[0].case,
        stage or "",
        str(graph.stages.get(stage, stage)) if graph is not None and stage else "",
        moved.when,
        moved.index,
        reported,
        sides,
        tuple(steps),
        tuple(following),
        _open(views, stream, corrected),
        _unmatched(views, stream, corrected),
    )


def _following(
    views: Views,
    procedure: Any,
    kind: str,
    stage: str | None,
    sides: tuple[tuple[str, int], ...],
    counted: Sequence[Row],
) -> Iterator[Next]:
    """What can come next; what each side says once, only for the side that has not said it, by itself or by report."""
    issued = next((row for row in counted if row.act == "request.issued"), None)
    asking = None if issued is None else views.said(issued).speaker
    for step in procedure.next(kind, stage, sides):
        words, by = step.words, tuple(step.by)
        if step.act in procedure.each_once and stage == procedure.leads_to(kind, step.act, {}):
            said = {_side(asking, views.said(row).speaker) for row in counted if row.act == step.act}
            words, by = procedure.each_once[step.act], tuple(role for role in by if role not in said)
            if not by:
                continue
        yield Next(step.act, words, by, tuple(step.to))


def _side(asking: Who | None, speaker: Who) -> str | None:
    """Which side of a request an authority is on: it asked, or is of the State that did; None if that is not told."""
    if asking is None:
        return None
    same = asking.id is not None and asking.id == speaker.id
    return "requesting" if same or (asking.country and asking.country == speaker.country) else "requested"


def _open(views: Views, found: Sequence[Row], corrected: Mapping[str, int]) -> tuple[Open, ...]:
    """Return what waits for an answer: by the statement answered, else the oldest of its stream."""
    said = {row.statement: row for row in found}
    waiting = {row.statement: row for row in found if row.act in AWAITS and row.statement not in corrected}
    for row in found:
        if row.statement in corrected:
            continue
        answered = _answered(row, said)
        asked = [a for a in answered if a in waiting and row.act in AWAITS[waiting[a].act]]
        if not asked:
            asked = [
                statement
                for statement, question in waiting.items()
                if row.act in AWAITS[question.act] and question.subject == row.subject and not row.answers
            ][:1]
        for statement in asked:
            del waiting[statement]
    return tuple(
        Open(
            row.index,
            row.act,
            AWAITS[row.act],
            row.subject,
            sentence(views, row),
            row.when,
            views.said(row),
        )
        for row in waiting.values()
    )


def _answered(row: Row, said: Mapping[str, Row]) -> list[str]:
    """The statements answered, and those that they answer: a reference is registered, then answered."""
    found: list[str] = []
    queue = list(row.answers)
    while queue:
        statement = queue.pop(0)
        if statement not in found:
            found.append(statement)
            queue += said[statement].answers if statement in said else ()
    return found


def _unmatched(views: Views, stream: Sequence[Row], corrected: Mapping[str, int]) -> tuple[UnmatchedHalf, ...]:
    """Return the halves of bilateral acts on one stream that lack the other half."""
    found = []
    standing = [row for row in stream if row.statement not in corrected]
    acts = {row.act for row in standing}
    for second in dict.fromkeys(halves.second for halves in views.procedure.halves):
        # What is handed over and what is returned is taken over alike.
        giving = [halves.first for halves in views.procedure.halves if halves.second == second]
        if second not in acts and acts.isdisjoint(giving):
            continue
        firsts = [row for row in standing if row.act in giving]
        seconds = [row for row in standing if row.act == second]
        partner = _pairs(views, firsts, seconds)
        for row in firsts:
            other = partner.get(row.index)
            # Two reports are one hand-over that nobody concerned has said: shown once, at the first.
            if other is None or row.said_by_report or other.said_by_report:
                lacks, shown = (row, other)
                if other is not None and row.said_by_report and not other.said_by_report:
                    lacks, shown = (other, row)
                awaits = second if lacks is row else row.act
                found.append(_half(views, lacks, awaits, shown))
        paired = {other.index for other in partner.values()}
        found.extend(
            _half(views, row, giving[0], None)
            for row in seconds
            # A report beside halves that are paired already adds nothing that is missing.
            if row.index not in paired and not (row.said_by_report and firsts)
        )
    return tuple(sorted(found, key=lambda half: half.index))


def _half(views: Views, row: Row, awaits: str, other: Row | None) -> UnmatchedHalf:
    named = row.body.get("from_authority") or _given_to(row)
    return UnmatchedHalf(
        row.index,
        row.act,
        awaits,
        row.subject,
        sentence(views, row),
        row.when,
        views.said(row),
        None if named is None else views.who(named),
        None if other is None else other.index,
    )


def _given_to(row: Row) -> str | None:
    return next((row.body[name] for name in _GIVEN_TO if row.body.get(name)), None)


def _pairs(views: Views, firsts: Iterable[Row], seconds: Sequence[Row]) -> dict[int, Row]:
    """
    Pair the halves: with him who was named, else with another authority of his country.

    What an authority says itself is preferred to any report.
    """
    free = sorted(seconds, key=lambda row: (row.when.from_at, row.index))
    pairs: dict[int, Row] = {}
    for first in firsts:
        to = _given_to(first)
        country = None if to is None else views.who(to).country
        best: tuple[tuple[bool, bool], Row] | None = None
        for second in free:
            giver = second.body.get("from_authority")
            if giver is not None and first.actor is not None and giver != first.actor:
                continue
            named = to is None or second.actor == to
            speaker = views.said(second).speaker
            if not named and (country is None or country != speaker.country):
                continue
            rank = (second.said_by_report, not named)
            if best is None or rank < best[0]:
                best = (rank, second)
        if best is not None:
            free.remove(best[1])
            pairs[first.index] = best[1]
    return pairs


def _challenges(
    views: Views, streams: Mapping[str, Sequence[Row]], corrected: Mapping[str, int]
) -> tuple[ChallengeStatus, ...]:
    found = []
    for subject, stream in streams.items():
        standing = [row for row in stream if row.statement not in corrected]
        lodged = next((row for row in standing if row.act == "challenge.lodged"), None)
        if lodged is None:
            continue
        suspends: dict[str, bool] = {}
        outcome, outcome_index = None, None
        for row in standing:
            if row.act == "suspension.decided":
                suspends[str(row.body["suspended"])] = bool(row.body["granted"])
            elif row.act == "challenge.decided" or (
                row.act == "challenge.admissibility_decided" and row.body["outcome"] == "inadmissible"
            ):
                outcome, outcome_index = str(row.body["outcome"]), row.index
        found.append(
            ChallengeStatus(
                subject,
                lodged.index,
                str(lodged.body["challenge_kind"]),
                views.who(lodged.body["forum"]),
                lodged.when,
                lodged.body.get("target") or lodged.body.get("target_subject"),
                tuple(name for name, granted in suspends.items() if granted),
                outcome,
                outcome_index,
            )
        )
    return tuple(found)
