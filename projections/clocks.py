"""
The clocks that the acts of a matter start, under the law of the day: pure, without a clock of its own.

One clock runs for each act that starts a time limit: under the instrument of its request, under one that
the act itself names, or under one that applies though nobody names it (`projections.rules`). What each
clock is, and how its acts fold, is said in `projections.running`. That a limit has lapsed is said here and
nowhere acted upon: it ends no request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from projections.matters import RECEIVED, Act, Matter, Seat, matches
from projections.running import (
    RUNNING,
    STANDINGS,
    Clock,
    Extended,
    Published,
    Reason,
    Running,
    day_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from ledger.law.data import Limit, Reach
    from projections.rules import Rules

__all__ = ["RUNNING", "STANDINGS", "Clock", "Extended", "Published", "Reason", "by_end", "clocks"]

_LAPSED: Final = "time_limit.lapsed"


def clocks(
    acts: Iterable[Act],
    law: Rules,
    seats: Mapping[str, Seat],
    *,
    at: int,
    happened_by: int | None = None,
    known_on: date | None = None,
    due_within: int | None = None,
) -> tuple[Clock, ...]:
    """
    Fold the acts of one case into the clocks that they start.

    Args:
        acts: those that were known, in any order; what one of them corrects is left out here.
        law: the rules.
        seats: where each authority sits.
        at: the instant at which each clock is read, µs; what happened later does not count.
        happened_by: an earlier bound of what counts; None for no other.
        known_on: the day whose knowledge of the law counts; None for today's.
        due_within: days; a clock that ends within them stands as due.

    Returns:
        The clocks by their end, then by index and limit; the same for every order of `acts`.

    Cost: O(acts + starts x acts that may belong to each), some tens of µs for each clock.
    """
    given = tuple(acts)
    bound = at if happened_by is None else min(at, happened_by)
    # A correction speaks of the record, whenever it was made.
    gone = {act.corrects for act in given if act.corrects is not None}
    matter = Matter((a for a in given if a.from_at <= bound and a.statement not in gone), seats, law)
    found: list[Clock] = []
    for act in matter.acts:
        request, named = matter.under(act)
        together = law.together(named)
        under: list[tuple[str, Reach | None]] = [(name, None) for name in together]
        under += matter.reached(act, together)
        for instrument, reach in under:
            found += (
                Running(matter, limit, act, request, at, due_within).clock()
                for limit in _started(matter, instrument, reach, act, request, known_on)
            )
    for request, issued in matter.issued.items():
        found += _unstarted(matter, request, issued, at, known_on)
    return tuple(sorted(_with_lapses(matter, found), key=by_end))


def by_end(clock: Clock) -> tuple[bool, int, int, str]:
    """By what clocks are sorted: their end, those without one last; then the entry and the limit."""
    index = -1 if clock.index is None else clock.index
    return clock.due_at is None, clock.due_at or 0, index, clock.limit


def _started(
    matter: Matter, instrument: str, reach: Reach | None, act: Act, request: str | None, known_on: date | None
) -> Iterator[Limit]:
    """The limits that an act starts: each as the State that must act has it, in the version of that day."""
    law = matter.law
    thing = matter.thing(act, request).body
    countries = sorted(
        {
            country
            for _, country in (matter.part(role, act, request) for role in ("requesting", "requested", "publisher"))
            if country is not None and law.overlaid(instrument, country)
        }
    )
    for country in (None, *countries):
        for limit in law.starting(instrument, country, act.act):
            if not matches(limit.starts, act) or not limit.where.matches(thing):
                continue
            if limit.named is not None and not isinstance(act.body.get(limit.named), int):
                # The act may name an end and did not: then there is no limit.
                continue
            acting = matter.part(limit.by, act, request)[1] or matter.part(limit.calendar, act, request)[1]
            mine = acting == country if country is not None else not law.overlaid(instrument, acting)
            on = day_of(matter, limit, act, request)
            if not mine or not law.in_force(limit, on, known_on):
                continue
            if reach is None:
                held = _held(matter, limit, request)
                if held is not None:
                    yield held
                continue
            binding = matter.binds(instrument, reach, limit.by, act, request, on)
            if binding is not None:
                yield limit if binding.verified else law.unsure(limit)


def _held(matter: Matter, limit: Limit, request: str | None) -> Limit | None:
    """
    A limit as it holds between the two States of its request, on the day on which that was made.

    What a State accepts or leaves later does not touch the requests that were made before.
    """
    issued = matter.issued.get(request or "")
    if issued is None:
        return limit
    return matter.law.between(limit, *matter.sides(issued.subject), day_of(matter, limit, issued, request))


# --------------------------------------------------------------------------- what was never said to begin


def _unstarted(matter: Matter, request: str, issued: Act, at: int, known_on: date | None) -> Iterator[Clock]:
    """
    Limits of a request that something ended although nobody recorded what starts them.

    Whoever decided on a request has received it, but never before it was made, so that counting from there
    gives an end that is never too late. Other starts, such as a forwarding, may as well never have been.
    """
    law, stream = matter.law, matter.streams[request]
    said = {act.act for act in stream}
    _, asked = matter.part("requested", issued, request)
    for limit in (
        limit
        for instrument in law.together((str(issued.body.get("instrument")),))
        for limit in law.every(instrument, asked if law.overlaid(instrument, asked) else None)
    ):
        names = {pattern.act for pattern in limit.starts}
        if limit.match != "thing" or limit.nature != "act" or limit.within is None or names & said:
            continue
        if RECEIVED not in names or limit.variants:
            continue
        met = next((act for act in stream if matches(limit.ends, act) and act.from_at <= at), None)
        waived = any(matches(limit.waived_by, act) and act is not met for act in stream)
        if met is None or waived or not limit.where.matches(issued.body):
            continue
        if not law.in_force(limit, day_of(matter, limit, issued, request), known_on):
            continue
        held = _held(matter, limit, request)
        if held is None:
            continue
        run = Running(matter, replace(held, extension=None), issued, request, at, None).clock()
        yield replace(
            run,
            index=None,
            trigger=None,
            act=None,
            standing="unstarted",
            due_at=None,
            last_day=None,
            due_earliest_at=run.due_at,
            met_index=met.index,
            met_act=met.act,
            met_from_at=met.from_at,
            met_until_at=met.until_at,
            uncertain=run.due_at is None or met.until_at >= run.due_at,
            reported=met.reported,
            extension=None,
            problem=f"nobody has recorded what starts it ({', '.join(sorted(names))})",
        )


# ------------------------------------------------------------------------------------ published lapses


def _with_lapses(matter: Matter, found: list[Clock]) -> Iterator[Clock]:
    """Put each published lapse beside the clock that it speaks of; it stands whatever is computed now."""
    lapses: dict[tuple[str, str], Act] = {}
    for act in matter.named.get(_LAPSED, ()):
        lapses.setdefault((str(act.body.get("trigger")), str(act.body.get("rule")).casefold()), act)
    for clock in found:
        lapse = lapses.pop((clock.trigger or "", clock.limit.casefold()), None)
        yield clock if lapse is None else _published(clock, lapse)
    for (trigger, name), act in lapses.items():
        start = matter.said.get(trigger)
        limit = matter.law.named(name)
        yield _published(_bare(matter, start, limit, act, name), act)


def _published(clock: Clock, act: Act) -> Clock:
    due_at = act.body.get("due_at")
    assert isinstance(due_at, int)
    published = Published(
        act.index,
        str(act.body.get("rule")),
        str(act.body.get("edition")),
        due_at,
        str(act.body.get("calendar_version")),
        clock.standing,
        clock.due_at,
        clock.due_at != due_at or clock.standing not in {"lapsed", "late"},
    )
    came = clock.met_from_at is not None and clock.met_from_at >= due_at
    return replace(clock, standing="late" if came else "lapsed", published=published)


def _bare(matter: Matter, start: Act | None, limit: Limit | None, act: Act, name: str) -> Clock:
    """A clock of which this edition computes nothing: only what was published is known."""
    of = start or act
    request = matter.request(of)
    role = "any" if limit is None else limit.by
    authority, country = matter.part(role, of, request)
    return Clock(
        limit=name if limit is None else limit.id,
        instrument="" if limit is None else limit.instrument,
        article="" if limit is None else limit.article,
        text="" if limit is None else limit.text,
        edition="" if limit is None else matter.law.edition(limit),
        verified=limit is not None and limit.verified,
        nature="act" if limit is None else limit.nature,
        consequence="" if limit is None else limit.consequence,
        variant=None,
        case=of.case,
        thing=of.subject,
        request=request,
        index=None if start is None else start.index,
        trigger=None if start is None else start.statement,
        act=None if start is None else start.act,
        started_from_at=of.from_at,
        started_until_at=of.until_at,
        standing="uncomputed",
        role=role,
        authority=authority,
        country=country,
        problem="this edition of the law starts no such clock there",
    )
