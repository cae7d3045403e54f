"""
What the law says should have happened in an inquiry, and did not: pure, without a clock of its own.

A duty is data: when X, then Y, by whom, within what (``docs/reference/law-format.md``). Each act of a
matter is held against the duties of its instrument as they were in force, and known, on its day. What
is missing is a finding: an observation first, until the authority concerned has answered or its time
to answer has passed. It goes away only by an act, whose index it keeps.

Instants are µs since the epoch, ids UUID text. An act that happened somewhere in an interval breaks a
duty only if it does so however one reads the interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from projections.checks import CHECKED, Inquiry, Verdict
from projections.matters import Act, Matter, Seat, listed, matches, order
from projections.running import micros
from projections.wording import clause, clauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ledger.law.data import Duty, Reach
    from projections.checks import Declared, Mark, Outside, Overdue
    from projections.rules import Book
    from projections.running import Clock

__all__ = ["SETTLED", "STANDINGS", "USES", "Finding", "findings"]

STANDINGS: Final = {
    "pending": "it is still to be done, and the time for it has not passed",
    "observation": "it is missing; the authority concerned may still answer",
    "finding": "it is missing, and the authority concerned has answered, or its time to answer has passed",
    "resolved": "an act has put it right, or it came too late; kept as history",
}
"""Where a finding stands."""

SETTLED: Final = frozenset({"pending", "resolved"})
"""Standings that are not shown unless asked for."""

USES: Final = frozenset(
    {
        "disclosure.made", "spontaneous_information.sent", "exhibit.handed_over", "result.handed_over",
        "joint_team.material_shared", "proceedings.opened", "surrender.decided", "extradition.decided",
        "person.handed_over", "person.informed",
    }
)  # fmt: skip
"""Acts by which something is used or passed on, a person is pursued or let go on, or somebody is told."""

_DAY: Final = 86_400_000_000
_DAYS: Final = {"hours": 1 / 24, "days": 1.0, "weeks": 7.0, "months": 31.0, "years": 366.0}
"""Units of the time to answer in days of 24 hours, never too short."""

_LEDGER: Final = "ledger"
"""What stands for the instrument where the ledger's own procedure is the rule."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that the law says should have been, and is not shown.

    Attributes:
        kind: ``duty``, the name of the check that found it (`ledger.law.data.CHECKS`), or ``use_overdue`` for what
            a use rule asks to be given back or erased.
        rule: id of the duty, or of the limit that lapsed.
        instrument: the instrument; ``ledger`` where the ledger's own procedure is the rule.
        article: the provision.
        text: the rule in plain words.
        edition: SHA-256, in hex, of the law file.
        verified: whether everything that it rests on was compared with the official wording.
        known_from_on: since which day case law says so (``YYYY-MM-DD``); None where the text itself does.
        rulings: the cases that say so.
        detail: what is missing here.
        case, thing, request: the case, the stream of the triggering act, the request it belongs to.
        index, trigger, act: the triggering entry, its statement and what it was.
        value: which of several (a State, a right); None where there is one.
        role, authority, country: who is concerned: who must act.
        to_role, to_authority, to_country: who was to be told or heard.
        since_from_at, since_until_at: since when it has been missing; for one that is pending, until when it
            may be done (None where the text has no time).
        standing: a key of `STANDINGS`.
        expected: the acts any one of which was asked for, by their wire names.
        resolved_by, resolved_act: the entry that put it right, and what it was.
        shown_late: whether what was asked for was done in time, but known only when it was missing already.
        answer, answered_by: what the authority concerned answered, and the entry.
        answer_due_at: until when it may answer before the observation becomes a finding.
        answer_chosen: whether no law sets that time, so that it is the ledger's own choice.
        issued_by: entries by which an oversight body found the same.
        reported: whether the trigger, or what put it right, is known from a report only.
        uncertain: whether something leaves open if it is missing at all.
    """

    kind: str
    rule: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    known_from_on: str | None
    rulings: tuple[str, ...]
    detail: str
    case: str
    thing: str
    request: str | None
    index: int
    trigger: str
    act: str
    value: str | None
    role: str
    authority: str | None
    country: str | None
    to_role: str | None
    to_authority: str | None
    to_country: str | None
    since_from_at: int | None
    since_until_at: int | None
    standing: str
    resolved_by: int | None = None
    resolved_act: str | None = None
    answer: str | None = None
    answered_by: int | None = None
    answer_due_at: int | None = None
    answer_chosen: bool = True
    expected: tuple[str, ...] = ()
    shown_late: bool = False
    issued_by: tuple[int, ...] = ()
    reported: bool = False
    uncertain: bool = False


# --------------------------------------------------------------------------------------- the folding


def findings(
    acts: Iterable[Act],
    law: Book,
    seats: Mapping[str, Seat],
    marks: Mapping[int, Mark],
    *,
    at: int,
    happened_by: int | None = None,
    known_on: date | None = None,
    clocks: Iterable[Clock] = (),
    declared: Mapping[str, tuple[Declared, ...]] | None = None,
    outside: Callable[[Act], tuple[Outside, ...]] | None = None,
    overdue: Iterable[Overdue] = (),
) -> tuple[Finding, ...]:
    """
    Hold the acts of one case against the duties that they trigger.

    Args:
        acts: those that were known, in any order; what one of them corrects no longer counts.
        law: the rules.
        seats: where each authority sits.
        marks: by entry, what each act carries and who may see it.
        at: the instant at which all is read, µs; what happened later does not count.
        happened_by: an earlier bound of what counts; None for no other.
        known_on: the day whose knowledge of the law counts; None for today's.
        clocks: those of the same case at the same instants (`projections.clocks`).
        declared: competences declared, by authority.
        outside: the uses against conditions that an act is (`projections.conditions`).
        overdue: what use rules asked to be given back or erased by a day that has passed.

    Returns:
        What is pending, missing, and what was put right, by the triggering entry.

    Cost: O(acts x duties that each may trigger), some tens of µs each.
    """
    given = tuple(acts)
    bound = at if happened_by is None else min(at, happened_by)
    corrections = {act.corrects: act for act in given if act.corrects is not None}
    counted = [act for act in given if act.from_at <= bound]
    matter = Matter([act for act in counted if act.statement not in corrections], seats, law.limits)
    running = tuple(clocks)
    inquiry = Inquiry(
        matter,
        law,
        {(clock.limit.casefold(), clock.index): clock for clock in running},
        marks,
        declared or {},
        outside or (lambda _: ()),
        at,
        known_on,
    )
    found: list[Finding] = []
    for act in matter.acts:
        found += _of_act(inquiry, act)
    for act in counted:
        if act.statement in corrections:
            found += _corrected(inquiry, act, corrections[act.statement])
    found += _lapsed(inquiry, running)
    found += _not_done(inquiry, overdue)
    return tuple(sorted(_heard(inquiry, found), key=_by_trigger))


def _by_trigger(one: Finding) -> tuple[int, str, str, str, str]:
    return one.index, one.instrument, one.rule, one.value or "", one.detail


def _of_act(inquiry: Inquiry, act: Act) -> Iterator[Finding]:
    matter = inquiry.matter
    request, named = matter.under(act)
    halved = False
    # The instruments whose own duties speak of uses against their rules.
    used: set[str] = set()
    together = inquiry.book.limits.together(named)
    under: list[tuple[str, Reach | None]] = [(name, None) for name in together]
    under += matter.reached(act, together)
    for instrument, reach in under:
        for duty in _triggered(inquiry, instrument, reach, act, request):
            halved = halved or duty.check == "half_missing"
            if duty.check == "use_outside_conditions":
                used |= {duty.instrument} if reach is not None else {duty.instrument, _LEDGER}
            yield from _duty(inquiry, duty, act, request)
    if request is None and not act.basis:
        for duty in inquiry.book.unasked(act.act):
            if matches(duty.when, act) and inquiry.book.in_force(duty, inquiry.on(act), inquiry.known_on):
                yield from _duty(inquiry, duty, act, None, unasked=True)
    if not halved:
        yield from _half(inquiry, act, request)
    if act.act in USES:
        yield from (_used(inquiry, act, request, one) for one in inquiry.outside(act) if one.instrument not in used)


def _triggered(inquiry: Inquiry, instrument: str, reach: Reach | None, act: Act, request: str | None) -> Iterator[Duty]:
    """The duties that an act triggers: each as the State that must act has it, in the version of that day."""
    law, on = inquiry.book, inquiry.on(act)
    overlaid = law.overlaid(instrument)
    thing = inquiry.matter.thing(act, request).body
    acting: dict[str, str | None] = {}
    issued = inquiry.issued(request)
    for country in (None, *overlaid):
        for duty in law.triggered(instrument, country, act.act):
            if not matches(duty.when, act) or not duty.where.matches(thing):
                continue
            if duty.by not in acting:
                acting[duty.by] = inquiry.matter.part(duty.by, act, request)[1]
            who = acting[duty.by]
            if (who != country) if country is not None else (who in overlaid):
                continue
            if not law.in_force(duty, on, inquiry.known_on):
                continue
            if reach is None:
                held = duty if issued is None else _held(inquiry, duty, issued)
                if held is not None:
                    yield held
                continue
            binding = inquiry.matter.binds(instrument, reach, duty.by, act, request, on)
            if binding is not None:
                yield duty if binding.verified else law.limits.unsure(duty)


def _held(inquiry: Inquiry, duty: Duty, issued: Act) -> Duty | None:
    """A duty as it holds between the two States of its request, on the day on which that was made."""
    return inquiry.book.limits.between(duty, *inquiry.matter.sides(issued.subject), inquiry.on(issued))


def _duty(inquiry: Inquiry, duty: Duty, act: Act, request: str | None, *, unasked: bool = False) -> Iterator[Finding]:
    values: list[str | None] = [None]
    if duty.each is not None:
        values = list(listed(act.body.get(duty.each)))
    own = inquiry.matter.seat(act.actor, act.country).country or act.country
    verdicts = (Verdict(),) if duty.check is None else CHECKED[duty.check](inquiry, duty, act, request)
    for value in values:
        if duty.other_state and value == own:
            continue
        # Between States only one of which the instrument binds, nothing is owed under it.
        if unasked and not all(inquiry.book.bound(duty.instrument, one, inquiry.on(act)) for one in (own, value)):
            continue
        for verdict in verdicts:
            found = _missing(inquiry, duty, act, request, value, verdict)
            if found is not None:
                yield found


def _missing(
    inquiry: Inquiry, duty: Duty, act: Act, request: str | None, value: str | None, verdict: Verdict
) -> Finding | None:
    """The finding, unless what the duty asks for was done in time."""
    begins, ends, verified = _time(inquiry, duty, act, request)
    if not verified:
        verdict = verdict._replace(verified=False)
    done: Act | None = None
    late = False
    for found in _belonging(inquiry, duty, act, request):
        if matches(duty.unless, found):
            if not _was_missing(inquiry, duty, act, found, ends):
                return None
            # It fell away after it had been missing: that it once was stays.
            done, late = done or found, late or done is None
            continue
        if done is not None or not matches(duty.then, found) or not _fulfils(duty, act, found, value):
            continue
        if verdict.fulfils is not None and not verdict.fulfils(found):
            continue
        if duty.timing != "before" and found.until_at < act.from_at:
            continue
        # A counted period ends with its last day, so that what comes at midnight comes too late.
        last = act.until_at if duty.timing == "before" else None if ends is None else ends - (duty.timing == "within")
        in_time = last is None or found.from_at <= last
        if in_time and not _was_missing(inquiry, duty, act, found, ends):
            return None
        done, late = found, in_time
    if done is None:
        done = verdict.resolved
    pending = done is None and (ends is None or inquiry.at < ends)
    if pending and not duty.then and duty.timing in {"whenever", "at_once", "together"}:
        # Nothing can be done about it any more: it is so from the trigger on.
        pending, begins, ends = False, act.from_at, act.until_at
    shown = _finding(inquiry, duty, act, request, value, verdict, (begins, ends), done, pending=pending)
    return replace(shown, shown_late=True) if late else shown


def _was_missing(inquiry: Inquiry, duty: Duty | None, act: Act, found: Act, ends: int | None) -> bool:
    """
    Whether the ledger had shown something as missing before an act that would have spared it was known.

    Findings go away by an act and keep their history, also where that act was only said too late.
    """
    mark, later = inquiry.marks.get(act.index), inquiry.marks.get(found.index)
    if ends is None or mark is None or later is None:
        return False
    since = max(ends, mark.known_at)
    if duty is not None and duty.known_from_on is not None:
        since = max(since, _midnight(duty.known_from_on))
    return later.known_at > since


def _midnight(on: date) -> int:
    return micros(datetime.combine(on, datetime.min.time(), UTC))


class _Time(NamedTuple):
    """
    Until when a duty may be done.

    Attributes:
        begins, ends: at the earliest and the latest reading of the trigger; None where the text has no time.
        verified: whether the counting was compared with the official wording.
    """

    begins: int | None
    ends: int | None
    verified: bool = True


def _time(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> _Time:
    if duty.timing == "before":
        return _Time(act.from_at, act.until_at)
    if duty.timing in {"together", "at_once"} or duty.check == "half_missing":
        # The days of acts are known to the day; within one, nobody is found to have hesitated.
        return _Time(act.from_at + _DAY, act.until_at + _DAY)
    if duty.timing == "within":
        if duty.limit is not None:
            clock = inquiry.clocks.get((duty.limit.casefold(), act.index))
            if clock is None or clock.standing in {"met", "waived"}:
                return _Time(None, None)
            return _Time(clock.due_earliest_at or clock.due_at, clock.due_at)
        if duty.within is not None:
            first = inquiry.ends(duty, duty.within, act.from_at, act, request)
            last = inquiry.ends(duty, duty.within, act.until_at, act, request)
            if first is not None and last is not None:
                return _Time(first[0], last[0], last[1])
    # "Whenever" has no time, nor has what no calendar counts; when the matter is closed it can no longer come.
    closed = _closed(inquiry, act, request)
    return _Time(None, None) if closed is None else _Time(closed.from_at, closed.until_at)


def _closed(inquiry: Inquiry, act: Act, request: str | None) -> Act | None:
    streams = dict.fromkeys((act.subject, request or "", act.case))
    found = (inquiry.later(("request.closed", "case.closed"), one, act) for one in streams)
    return next((a for a in found if a is not None), None)


def _belonging(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> Iterator[Act]:
    """The acts that may fulfil a duty or make it fall away, in the order in which they happened."""
    matter = inquiry.matter
    names = {pattern.act for pattern in (*duty.then, *duty.unless)}
    candidates = [a for name in sorted(names) for a in matter.named.get(name, ()) if a is not act]
    if len(names) > 1:
        candidates.sort(key=order)
    for found in candidates:
        if duty.match == "answers":
            if not _answers(matter, found, act.statement):
                continue
        elif duty.match == "case":
            other = matter.request(found)
            if other is not None and request is not None and other != request:
                continue
        elif found.subject != act.subject and matter.request(found) != act.subject:
            continue
        yield found


def _answers(matter: Matter, found: Act, statement: str) -> bool:
    """Whether an act answers a statement, or points to it, at once or through others."""
    queue, seen = [found], set[str]()
    while queue:
        one = queue.pop()
        if statement in one.answers or statement in one.body.values():
            return True
        for other in one.answers:
            if other not in seen and other in matter.said:
                seen.add(other)
                queue.append(matter.said[other])
    return False


def _fulfils(duty: Duty, act: Act, found: Act, value: str | None) -> bool:
    if any(found.body.get(name) != act.body.get(name) for name in duty.same if name in found.body):
        return False
    limit = found.body.get("limit")
    if isinstance(limit, str) and duty.limit is not None and limit.casefold() != duty.limit.casefold():
        return False
    if value is None or duty.each_as is None:
        return True
    held = found.body.get(duty.each_as)
    return value in held if isinstance(held, (list, tuple)) else held == value


def _finding(
    inquiry: Inquiry,
    duty: Duty,
    act: Act,
    request: str | None,
    value: str | None,
    verdict: Verdict,
    since: tuple[int | None, int | None],
    done: Act | None,
    *,
    pending: bool,
) -> Finding:
    authority, country = inquiry.matter.part(duty.by, act, request)
    to_authority, to_country = (None, None) if duty.to is None else inquiry.matter.part(duty.to, act, request)
    if duty.by == "recipient" and value is not None and value in inquiry.matter.seats:
        authority, country = value, inquiry.matter.seat(value).country
    if duty.other_state and value is not None:
        to_authority, to_country = None, value
    words = verdict.detail
    if duty.then and not words.startswith(("the form", "nothing")):
        missing = clauses(duty.then, value)
        words = f"{words}: {missing}" if words else missing
    words = words or "what the rule asks for is not recorded"
    return Finding(
        kind=duty.check or "duty",
        rule=duty.id,
        instrument=duty.instrument,
        article=duty.article,
        text=duty.text,
        edition=inquiry.book.edition(duty),
        verified=duty.verified and verdict.verified,
        known_from_on=None if duty.known_from_on is None else duty.known_from_on.isoformat(),
        rulings=inquiry.book.rulings(duty, inquiry.known_on),
        detail=words,
        case=act.case,
        thing=act.subject,
        request=request,
        index=act.index,
        trigger=act.statement,
        act=act.act,
        value=value or verdict.value,
        role=duty.by,
        authority=authority,
        country=country,
        to_role=duty.to,
        to_authority=to_authority,
        to_country=to_country,
        since_from_at=since[0],
        since_until_at=since[1],
        standing="resolved" if done is not None else "pending" if pending else "observation",
        resolved_by=None if done is None else done.index,
        resolved_act=None if done is None else done.act,
        answer_due_at=None if pending else _answer_due(inquiry, duty, act, since[1], request),
        answer_chosen=duty.answer_within is None,
        expected=tuple(dict.fromkeys(pattern.act for pattern in duty.then)),
        reported=act.reported or (done is not None and done.reported),
        uncertain=verdict.uncertain,
    )


def _answer_due(inquiry: Inquiry, duty: Duty | None, act: Act, since: int | None, request: str | None = None) -> int:
    """Nobody can answer before the act is known, nor before anybody could know that it was a duty."""
    mark = inquiry.marks.get(act.index)
    begins = max(since or act.until_at, act.until_at if mark is None else mark.known_at)
    if duty is not None and duty.known_from_on is not None:
        begins = max(begins, _midnight(duty.known_from_on))
    if duty is not None and duty.answer_within is not None:
        counted = inquiry.ends(duty, duty.answer_within, begins, act, request)
        if counted is not None:
            return counted[0]
    chosen = inquiry.book.law.answer
    return begins + int(chosen.count * _DAYS[chosen.unit] * _DAY)


def _corrected(inquiry: Inquiry, act: Act, by: Act) -> Iterator[Finding]:
    """What an act that was corrected had triggered: put right by the correction."""
    for one in _of_act(inquiry, act):
        if one.standing == "observation":
            yield replace(one, standing="resolved", resolved_by=by.index, resolved_act=by.act)


def _half(inquiry: Inquiry, act: Act, request: str | None) -> Iterator[Finding]:
    """A half that the other side has not said: the ledger's own procedure knows both."""
    halves = next((one for one in inquiry.book.halves if act.act in {one.first, one.second}), None)
    if halves is None:
        return
    other = inquiry.partner(act)
    first = act.act == halves.first
    both = {name for one in inquiry.book.halves if one.second == halves.second for name in (one.first, one.second)}
    if act.reported and any(a.act in both and a is not act for a in inquiry.matter.streams.get(act.subject, ())):
        # A report beside what somebody concerned says adds nothing that is missing.
        return
    ends = act.until_at + _DAY
    late = first and other is not None and _was_missing(inquiry, None, act, other, ends)
    if other is not None and other.from_at <= ends and not late:
        return
    if other is not None and not first:
        return
    to = act.body.get("to") or act.body.get("recipient") if first else act.body.get("from_authority")
    authority = str(to) if isinstance(to, str) else None
    seat = inquiry.matter.seat(authority)
    yield Finding(
        kind="half_missing",
        rule=halves.second if first else halves.first,
        instrument=_LEDGER,
        article="",
        text=halves.words,
        edition=inquiry.book.law.edition,
        verified=True,
        known_from_on=None,
        rulings=(),
        detail=f"it is not recorded by the other side that {clause(halves.second if first else halves.first)}",
        case=act.case,
        thing=act.subject,
        request=request,
        index=act.index,
        trigger=act.statement,
        act=act.act,
        value=None,
        role="recipient" if first else "sending",
        authority=authority,
        country=seat.country,
        to_role=None,
        to_authority=None,
        to_country=None,
        since_from_at=act.from_at + _DAY,
        since_until_at=ends,
        standing="resolved" if other is not None else "pending" if inquiry.at < ends else "observation",
        resolved_by=None if other is None else other.index,
        resolved_act=None if other is None else other.act,
        answer_due_at=None if inquiry.at < ends else _answer_due(inquiry, None, act, ends),
        expected=(halves.second if first else halves.first,),
        shown_late=late and other is not None and other.from_at <= ends,
        reported=act.reported,
    )


def _used(inquiry: Inquiry, act: Act, request: str | None, one: Outside) -> Finding:
    """A use against a condition that no duty of an instrument speaks of."""
    authority, country = inquiry.matter.part("publisher", act, request)
    return Finding(
        kind="use_outside_conditions",
        rule=one.source,
        instrument=one.instrument,
        article=one.article,
        text=one.text,
        edition=one.edition or inquiry.book.law.edition,
        verified=one.verified,
        known_from_on=None,
        rulings=(),
        detail=f"{one.why} (attached by entry {one.index})",
        case=act.case,
        thing=act.subject,
        request=request,
        index=act.index,
        trigger=act.statement,
        act=act.act,
        value=one.source,
        role="publisher",
        authority=authority,
        country=country,
        to_role=None,
        to_authority=None,
        to_country=None,
        since_from_at=act.from_at,
        since_until_at=act.until_at,
        standing="observation" if one.ended_by is None else "resolved",
        resolved_by=one.ended_by,
        resolved_act=None if one.ended_by is None else "recall.implemented",
        answer_due_at=_answer_due(inquiry, None, act, act.until_at),
        reported=act.reported,
        uncertain=one.uncertain,
    )


def _not_done(inquiry: Inquiry, overdue: Iterable[Overdue]) -> Iterator[Finding]:
    """What was to be given back or erased and was not, on the entry that brought it under the rule."""
    triggers = {act.index: act for act in inquiry.matter.acts}
    for one in overdue:
        act = triggers.get(one.index)
        if act is None:
            # It is under the rule in another case, and found missing there.
            continue
        done = None if one.ended_by is None else triggers.get(one.ended_by)
        yield Finding(
            kind="use_overdue",
            rule=one.rule,
            instrument=one.instrument,
            article=one.article,
            text=one.text,
            edition=one.edition,
            verified=one.verified,
            known_from_on=one.known_from_on,
            rulings=(),
            detail=one.detail,
            case=act.case,
            thing=act.subject,
            request=inquiry.matter.request(act),
            index=act.index,
            trigger=act.statement,
            act=act.act,
            value=None,
            role=one.role,
            authority=one.authority,
            country=one.country,
            to_role=None,
            to_authority=None,
            to_country=None,
            since_from_at=one.due_at,
            since_until_at=one.due_at,
            standing="observation" if one.ended_by is None else "resolved",
            resolved_by=one.ended_by,
            resolved_act=None if done is None else done.act,
            answer_due_at=_answer_due(inquiry, None, act, one.due_at),
            reported=act.reported,
            uncertain=one.uncertain,
        )


#: Of limits of these natures, the end without an act is a lapse that concerns somebody.
_KEPT: Final = frozenset({"act", "maximum", "minimum"})
_MISSED: Final = frozenset({"lapsed", "late", "early"})


def _lapsed(inquiry: Inquiry, running: Iterable[Clock]) -> Iterator[Finding]:
    """Each limit that ended without the act, or in which the act came late."""
    for clock in running:
        if clock.nature not in _KEPT or clock.index is None or clock.trigger is None:
            continue
        act = inquiry.matter.said.get(clock.trigger)
        if act is None:
            continue
        late = clock.standing == "met" and clock.nature == "act" and _lapsed_once(inquiry, clock)
        if clock.standing not in _MISSED and not late:
            continue
        last = date.fromisoformat(clock.last_day) if clock.last_day else None
        day = "" if last is None else f"{last.day} {last:%B %Y}"
        words = f"ended on {day}" if day else "has ended"
        if clock.standing == "early":
            words = f"was to be kept until {day}"
        done = None if clock.standing in {"lapsed", "early"} else clock.met_index
        yield Finding(
            kind="limit_lapsed",
            rule=clock.limit,
            instrument=clock.instrument,
            article=clock.article,
            text=clock.text,
            edition=clock.edition,
            verified=clock.verified,
            known_from_on=None,
            rulings=(),
            detail=f"the time limit {words}; what follows: {clock.consequence[:1].lower()}{clock.consequence[1:]}",
            case=clock.case,
            thing=clock.thing,
            request=clock.request,
            index=clock.index,
            trigger=clock.trigger,
            act=act.act,
            value=None,
            role=clock.role,
            authority=clock.authority,
            country=clock.country,
            to_role=None,
            to_authority=None,
            to_country=None,
            since_from_at=clock.due_earliest_at or clock.due_at,
            since_until_at=clock.due_at,
            standing="observation" if done is None else "resolved",
            resolved_by=done,
            resolved_act=None if done is None else clock.met_act,
            answer_due_at=_answer_due(inquiry, None, act, clock.due_at),
            shown_late=late,
            reported=clock.reported,
            uncertain=clock.uncertain,
        )


def _lapsed_once(inquiry: Inquiry, clock: Clock) -> bool:
    """Whether the ledger had shown a limit as lapsed before the act that kept it was known."""
    done = inquiry.marks.get(-1 if clock.met_index is None else clock.met_index)
    start = inquiry.marks.get(-1 if clock.index is None else clock.index)
    if done is None or start is None or clock.due_at is None:
        return False
    return done.known_at > max(clock.due_at, start.known_at)


# --------------------------------------------------------------------------------------- the answers


def _heard(inquiry: Inquiry, found: Iterable[Finding]) -> Iterator[Finding]:
    """Say which authority answered, which body found the same, and what is a finding by now."""
    answers = inquiry.matter.named.get("finding.answered", [])
    issued = inquiry.matter.named.get("finding.issued", [])
    for one in found:
        same = [a for a in issued if _speaks_of(a, one)]
        answer = next((a for a in answers if _answered(inquiry, a, one, same)), None)
        heard = replace(
            one,
            issued_by=tuple(a.index for a in same),
            answered_by=None if answer is None else answer.index,
            answer=None if answer is None else str(answer.body.get("answer")),
        )
        if one.standing == "observation":
            # What only a report says stays an observation until the authority has answered it.
            passed = not one.reported and one.answer_due_at is not None and inquiry.at >= one.answer_due_at
            if answer is not None or passed:
                heard = replace(heard, standing="finding")
        yield heard


def _speaks_of(act: Act, one: Finding) -> bool:
    """Whether an act on a finding is about this one: it answers its trigger, or names its rule on its thing."""
    named = str(act.body.get("rule") or "").casefold()
    rules = {way.format(one.instrument, one.rule).casefold() for way in ("{1}", "{0}.{1}", "{0}/{1}")}
    if one.trigger in act.answers or act.body.get("trigger") == one.trigger:
        return not named or named in rules
    return act.subject in {one.thing, one.case, one.request} and named in rules


def _answered(inquiry: Inquiry, act: Act, one: Finding, same: Sequence[Act]) -> bool:
    if act.reported or act.actor is None:
        return False
    if one.authority is not None:
        concerned = act.actor == one.authority
    else:
        concerned = one.country is not None and inquiry.matter.seat(act.actor).country == one.country
    return concerned and (_speaks_of(act, one) or any(a.statement in act.answers for a in same))
