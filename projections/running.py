"""
One running of one time limit: what happened to it, when it ends, and where it stands.

A clock is shown with everything that its end rests on, so that anybody can compute it again and contest
it. Pure. Days are ``YYYY-MM-DD`` text, instants µs since the epoch. An act that happened somewhere in an
interval starts a clock that ends in an interval; it is late only if it is late however one reads the interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ledger.errors import FormatError, NotFound
from ledger.law.counting import Calendar, Due, Step
from ledger.law.data import Limit, Variant, holds
from projections.matters import Act, Matter, matches, order, span

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "RUNNING",
    "STANDINGS",
    "Clock",
    "Extended",
    "Published",
    "Reason",
    "Running",
    "calendar_of",
    "day_of",
    "instant",
    "micros",
]

STANDINGS: Final = {
    "open": "it runs",
    "due": "it runs, and ends within the days asked about",
    "extended": "it runs, longer than it did at first",
    "suspended": "time stands still",
    "met": "the act came in time; or for a minimum, the time has passed",
    "early": "for a minimum only: it ended before the time had passed",
    "late": "the act came after the end",
    "lapsed": "the end has passed, and nobody acted",
    "waived": "it no longer applies",
    "unstarted": "what ends it was said, what starts it was not",
    "uncomputed": "its end cannot be computed; the reason is given",
}
"""Where a clock stands."""

RUNNING: Final = frozenset({"open", "due", "extended", "suspended"})
"""Standings of clocks that still run."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the computation, and the provision that it follows."""

    article: str
    text: str


@dataclass(frozen=True, slots=True)
class Extended:
    """
    An extension that the rule has, whether used or not.

    `due_at` and `last_day` are the end if it is used once more; None where the text has no maximum, or
    where it is used up.
    """

    article: str
    text: str
    used: int
    times: int | None
    due_at: int | None
    last_day: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """
    A lapse as it was published, which no later calendar or edition changes.

    `computed` is the standing that would be computed now, `differs` whether its end, or the fact of the
    lapse, would be another.
    """

    index: int
    rule: str
    edition: str
    due_at: int
    calendar: str
    computed: str
    computed_due_at: int | None
    differs: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """
    One running of one time limit.

    Attributes:
        limit: id of the rule.
        instrument: the instrument.
        article: the provision: that of the variant where one applies.
        text: the rule in plain words, likewise.
        edition: SHA-256, in hex, of the law file that has the rule.
        verified: whether the rule and the way of counting were compared with the official wording.
        nature: what its end means, a key of `ledger.law.data.NATURES`.
        consequence: what the text attaches to its end.
        variant: the variant chosen by the fields of the request; None for the rule itself.
        case: the case.
        thing: the stream of the act that started it.
        request: the request under whose instrument it runs; None where the act names the instrument.
        index: entry that started it; None where no such entry is known.
        trigger: its statement.
        act: what it was.
        started_from_at, started_until_at: from when time is counted.
        standing: a key of `STANDINGS`.
        role: the role that must act.
        authority: who that is; None where it is not known.
        country: its State, where known.
        due_at: when it ends, at the latest reading of an uncertain start.
        last_day: the last local day on which it is met.
        due_earliest_at: when it ends at the earliest reading, where that differs.
        counting: id of the counting rule.
        calendar: name and version of the calendar.
        zone: zone of its days.
        steps: the computation.
        met_index: entry that met it, in time or late.
        met_act: what that was.
        met_from_at, met_until_at: when.
        waived_index: entry by which it no longer applies.
        extended_by: entries that extended it.
        extended_too_late: entries that would have, had they come before the end.
        suspended_by: pairs of the entry from which time stood still, and the entry from which it ran again.
        restarted_by: entries from which it ran anew.
        extension: the extension of the rule; None where it has none.
        published: the lapse as published; None where none was.
        uncertain: whether an interval leaves open on which side of the end the act lies.
        reported: whether its start or its end is known from a report only.
        problem: why the end cannot be computed.
    """

    limit: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    nature: str
    consequence: str
    variant: str | None
    case: str
    thing: str
    request: str | None
    index: int | None
    trigger: str | None
    act: str | None
    started_from_at: int
    started_until_at: int
    standing: str
    role: str
    authority: str | None
    country: str | None
    due_at: int | None = None
    last_day: str | None = None
    due_earliest_at: int | None = None
    counting: str | None = None
    calendar: str | None = None
    zone: str | None = None
    steps: tuple[Reason, ...] = ()
    met_index: int | None = None
    met_act: str | None = None
    met_from_at: int | None = None
    met_until_at: int | None = None
    waived_index: int | None = None
    extended_by: tuple[int, ...] = ()
    extended_too_late: tuple[int, ...] = ()
    suspended_by: tuple[tuple[int, int | None], ...] = ()
    restarted_by: tuple[int, ...] = ()
    extension: Extended | None = None
    published: Published | None = None
    uncertain: bool = False
    reported: bool = False
    problem: str | None = None


# ------------------------------------------------------------------------------------ where and when


def instant(micros: int) -> datetime:
    """An instant, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def micros(moment: datetime) -> int:
    """µs since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def day_of(matter: Matter, limit: Limit, act: Act, request: str | None) -> date:
    """The local day of an act, where the authority sits whose days count for a limit; in UTC where that is unknown."""
    try:
        zone = calendar_of(matter, limit, act, request).zone
    except NotFound:
        return instant(act.until_at).date()
    return instant(act.until_at).astimezone(zone).date()


def calendar_of(matter: Matter, limit: Limit, act: Act, request: str | None) -> Calendar:
    """
    The calendar by which a limit is counted.

    Raises:
        NotFound: it is not known where the authority sits, or its State has none.
    """
    authority, country = matter.part(limit.calendar, act, request)
    seat = matter.seat(authority, country)
    place = seat.country or country
    if place is None:
        raise NotFound(f"it is not known in which State the {limit.calendar} authority sits")
    return matter.law.calendar(place, seat.zone)


# ----------------------------------------------------------------------------------------- one clock


class Running:
    """One running of one limit: what happened to it, and when it ends."""

    def __init__(
        self, matter: Matter, limit: Limit, start: Act, request: str | None, at: int, due_within: int | None
    ) -> None:
        self.matter = matter
        self.limit = limit
        self.start = start
        self.request = request
        self.at = at
        self.due_within = due_within
        self.variant = _variant(limit, matter.thing(start, request).body, start)
        self.begins = self._begins(start)
        self.named_end = self._named(start, limit.named)
        self.extended: list[int] = []
        self.periods = 0
        self.too_late: list[int] = []
        self.open_ended = False
        self.stops: list[tuple[Act, Act | None]] = []
        self.restarts: list[int] = []
        self.met: Act | None = None
        self.waived: Act | None = None
        self.calendar: Calendar | None = None
        self.problem: str | None = None
        try:
            self.calendar = calendar_of(matter, limit, start, request)
        except NotFound as error:
            self.problem = str(error)

    def clock(self) -> Clock:
        """Fold, and say where it stands."""
        for act in _belonging(self.matter, self.limit, self.start, self.request):
            if self._concerns(act) and self._take(act):
                break
        limit, start = self.limit, self.start
        authority, country = self.matter.part(limit.by, start, self.request)
        due = self._due(latest=True)
        earliest = self._due(latest=False) if due is not None and self._wide(due) else due
        due_at = None if due is None else micros(due.at)
        earliest_at = None if earliest is None or due is None or earliest.at == due.at else micros(earliest.at)
        standing, uncertain = self._standing(due_at, earliest_at)
        variant = self.variant
        return Clock(
            limit=limit.id,
            instrument=limit.instrument,
            article=limit.article if variant is None else variant.article,
            text=limit.text if variant is None else variant.text,
            edition=self.matter.law.edition(limit),
            verified=(limit if variant is None else variant).verified if due is None else due.verified,
            nature=limit.nature,
            consequence=limit.consequence,
            variant=None if variant is None else variant.name,
            case=start.case,
            thing=start.subject,
            request=self.request,
            index=start.index,
            trigger=start.statement,
            act=start.act,
            started_from_at=self.begins[0],
            started_until_at=self.begins[1],
            standing=standing,
            role=limit.by,
            authority=authority,
            country=country,
            due_at=due_at,
            last_day=None if due is None else due.last_on.isoformat(),
            due_earliest_at=earliest_at,
            counting=None if due is None else due.counting or None,
            calendar=None if due is None else due.calendar or None,
            zone=None if due is None else due.zone,
            steps=() if due is None else tuple(Reason(step.article, step.text) for step in due.steps),
            met_index=None if self.met is None else self.met.index,
            met_act=None if self.met is None else self.met.act,
            met_from_at=None if self.met is None else self.met.from_at,
            met_until_at=None if self.met is None else self.met.until_at,
            waived_index=None if self.waived is None else self.waived.index,
            extended_by=tuple(self.extended),
            extended_too_late=tuple(self.too_late),
            suspended_by=tuple((stop.index, None if go is None else go.index) for stop, go in self.stops),
            restarted_by=tuple(self.restarts),
            extension=self._extension(),
            uncertain=uncertain,
            reported=start.reported or (self.met is not None and self.met.reported),
            problem=None if due is not None else self.problem,
        )

    def _begins(self, act: Act) -> tuple[int, int]:
        """From when time is counted: the act, its legal effect, or the instant that a field of it names."""
        name = self.limit.starts_at
        instant = act.legal_effect_at if name == "legal_effect" else act.body.get(name) if name != "occurred" else None
        if isinstance(instant, int):
            return instant, instant
        return act.from_at, act.until_at

    @staticmethod
    def _named(act: Act, name: str | None) -> int | None:
        value = None if name is None else act.body.get(name)
        return value if isinstance(value, int) else None

    def _concerns(self, act: Act) -> bool:
        """Whether an act that names a limit names this one, and has the same values where they must be equal."""
        named = act.body.get("limit")
        if isinstance(named, str) and named.casefold() != self.limit.id.casefold():
            return False
        return act.until_at >= self.start.from_at and all(
            act.body.get(name) == self.start.body.get(name) for name in self.limit.same if name in act.body
        )

    def _take(self, act: Act) -> bool:
        """Let an act touch the clock; True where that ends it."""
        limit = self.limit
        if matches(limit.ends, act):
            self.met = act
        elif matches(limit.waived_by, act):
            self.waived = act
        elif matches(limit.restarted_by, act):
            self.begins = self._begins(act)
            self.restarts.append(act.index)
            self.extended, self.periods, self.stops, self.open_ended = [], 0, [], False
            self.named_end = self._named(act, limit.named) or self.named_end
        elif self.stops and self.stops[-1][1] is None and matches(limit.resumed_by, act):
            self.stops[-1] = (self.stops[-1][0], act)
        elif matches(limit.suspended_by, act) and (not self.stops or self.stops[-1][1] is not None):
            self.stops.append((act, None))
        elif limit.extension is not None and matches(limit.extension.by, act):
            self._extend(act)
        return self.met is not None or self.waived is not None

    def _extend(self, act: Act) -> None:
        extension = self.limit.extension
        assert extension is not None
        due = self._due(latest=True, at=act.from_at)
        if due is not None and act.from_at >= micros(due.at):
            # What has ended is not made longer; the act stays visible beside the lapse.
            self.too_late.append(act.index)
            return
        if extension.times is not None and len(self.extended) >= extension.times:
            return
        named = self._named(act, extension.named)
        self.extended.append(act.index)
        if named is not None:
            self.named_end, self.open_ended = named, False
        elif extension.within is not None:
            self.periods += 1
        else:
            self.open_ended = True

    # ------------------------------------------------------------------------------------- its end

    def _due(self, *, latest: bool, at: int | None = None, more: int = 0) -> Due | None:
        if self.calendar is None:
            return None
        if self.open_ended and not more:
            self.problem = "it was extended without naming an end, and the text has no maximum"
            return None
        try:
            return self._counted(self.calendar, latest=latest, at=self.at if at is None else at, more=more)
        except (FormatError, NotFound) as error:
            self.problem = str(error)
            return None

    def _counted(self, cal: Calendar, *, latest: bool, at: int, more: int) -> Due:
        limit, side = self.limit, 1 if latest else 0
        periods = self.periods + more
        stops = []
        for stop, go in self.stops:
            began, ended = (stop.from_at, at) if latest else (stop.until_at, at)
            if go is not None:
                ended = go.until_at if latest else go.from_at
            if ended > began:
                stops.append((instant(began), instant(ended)))
        if self.named_end is not None:
            return self._named_due(cal, self.named_end, periods)
        if limit.stated:
            raise FormatError("its end is stated where the ledger cannot read it", field="stated")
        return self.matter.law.due(
            limit,
            instant(self.begins[side]),
            cal,
            variant=None if self.variant is None else self.variant.name,
            extended=periods,
            suspended=stops,
        )

    def _named_due(self, cal: Calendar, end: int, periods: int) -> Due:
        """The end that an act names, perhaps made longer by periods counted from there."""
        limit = self.limit
        local = instant(end).astimezone(cal.zone)
        last_on = (local - _MICROSECOND).date()
        extension = limit.extension
        if periods and extension is not None and extension.within is not None:
            longer = replace(limit, within=extension.within, named=None, variants=())
            begins = last_on if extension.within.unit != "hours" else local
            due = self.matter.law.due(longer, begins, cal, extended=periods - 1)
            return due._replace(verified=due.verified and limit.verified)
        source = extension.article if self.extended and extension is not None else limit.article
        steps = (Step(source, f"the act names its end: {local.isoformat(' ', 'minutes')}"),)
        return Due(local, last_on, limit.id, limit.article, "", "", cal.zone.key, limit.verified, steps)

    def _wide(self, due: Due) -> bool:
        """Whether an earlier reading of the start, or of what stopped it, may give another end."""
        zone = self.calendar.zone if self.calendar is not None else UTC
        first, last = (instant(one).astimezone(zone) for one in self.begins)
        if self.stops:
            return True
        return first != last and (first.date() != last.date() or due.at.time() != datetime.min.time())

    def _extension(self) -> Extended | None:
        extension = self.limit.extension
        if extension is None:
            return None
        used = len(self.extended)
        due = None
        if extension.within is not None and (extension.times is None or used < extension.times):
            problem = self.problem
            due = self._due(latest=True, more=1)
            self.problem = problem
        return Extended(
            extension.article,
            extension.text,
            used,
            extension.times,
            None if due is None else micros(due.at),
            None if due is None else due.last_on.isoformat(),
        )

    def _standing(self, due_at: int | None, earliest_at: int | None) -> tuple[str, bool]:
        """Where it stands, and whether an interval leaves that open; the earlier end only where it is another."""
        minimum = self.limit.nature == "minimum"
        if due_at is None:
            return self._endless(), False
        earliest = earliest_at or due_at
        if self.met is not None:
            late = self.met.from_at >= due_at
            uncertain = not late and self.met.until_at >= earliest
            if minimum:
                return ("met" if late else "early"), uncertain
            return ("late" if late else "met"), uncertain
        if self.waived is not None:
            return "waived", False
        if self.at >= due_at:
            return ("met" if minimum else "lapsed"), False
        if self._stopped():
            return "suspended", False
        uncertain = self.at >= earliest
        if self.due_within is not None and due_at <= self.at + self.due_within * _DAY:
            return "due", uncertain
        return ("extended" if self.extended else "open"), uncertain

    def _endless(self) -> str:
        """Where it stands if its end cannot be computed."""
        if self.met is not None:
            return "met" if self.problem is None else "uncomputed"
        if self.waived is not None:
            return "waived"
        if self._stopped():
            return "suspended"
        return "extended" if self.extended else "uncomputed"

    def _stopped(self) -> bool:
        return bool(self.stops) and self.stops[-1][1] is None


def _variant(limit: Limit, thing: Mapping[str, object], start: Act) -> Variant | None:
    for variant in limit.variants:
        if variant.where.matches(thing) and holds(variant.starts, {}, start.body):
            return variant
    return None


# ------------------------------------------------------------------------------- what belongs to it


def _belonging(matter: Matter, limit: Limit, start: Act, request: str | None) -> list[Act]:
    """What may end, stop or lengthen the clock, in the order in which it happened."""
    found: dict[int, Act] = {}
    extending = limit.extension.by if limit.extension else ()
    ends = {pattern.act for pattern in limit.ends}
    strict = ends | {pattern.act for pattern in extending}
    loose = {p.act for p in (*limit.suspended_by, *limit.resumed_by, *limit.restarted_by, *limit.waived_by)}
    if limit.match == "answers":
        starts = {pattern.act for pattern in limit.starts}
        reached, queue = set[str](), [start.statement]
        while queue:
            for act in matter.replies.get(queue.pop(), ()):
                if act.statement not in reached and act.act not in starts:
                    reached.add(act.statement)
                    queue.append(act.statement)
                    if act.act in strict | loose:
                        found[act.index] = act
        strict = {pattern.act for pattern in extending}
    for act in (a for name in strict | loose for a in matter.named.get(name, ())):
        if act is start or act.until_at < start.from_at or act.index in found:
            continue
        if act.index < start.index and span(act) == span(start) and act.act not in ends:
            # On one day the log's own order decides; only what meets a limit may have been recorded before.
            continue
        if act.subject != start.subject:
            # What is said of the request, or of another thing under it, touches its clocks; an end has to
            # be said of the same thing unless the rule looks at the whole case.
            other = matter.request(act)
            meets = act.act in ends and limit.match == "thing" and not _extends(limit, act)
            if meets and act.act not in loose:
                continue
            if limit.match == "case" and other is not None and request is not None and other != request:
                continue
            if limit.match != "case" and (request is None or other != request):
                continue
        found[act.index] = act
    return sorted(found.values(), key=order)


def _extends(limit: Limit, act: Act) -> bool:
    return limit.extension is not None and matches(limit.extension.by, act)
