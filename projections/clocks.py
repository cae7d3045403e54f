"""
The clocks that the acts of a matter start, fold and end, under the law of the day: pure, without a clock of its own.

One clock runs for each act that starts a time limit under the instrument of its request. It is shown
with everything that its end rests on, so that anybody can compute it again and contest it. That a
limit has lapsed is said here and nowhere acted upon: it ends no request.

Days are ``YYYY-MM-DD`` text, instants µs since the epoch. An act that happened somewhere in an interval
starts a clock that ends in an interval; it is late only if it is late however one reads the interval.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from ledger.errors import FormatError, NotFound
from ledger.law.counting import Calendar, Due, Step, calendar
from ledger.law.counting import due as counted
from ledger.law.data import Limit, Variant, holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ledger.law.data import Pattern
    from ledger.law.law import Law
    from projections.facts import Row

__all__ = ["STANDINGS", "Act", "Clock", "Extended", "Published", "Reason", "Rules", "Seat", "clocks", "rules"]

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
_ISSUED: Final = "request.issued"
_RECEIVED: Final = "request.received"
_LAPSED: Final = "time_limit.lapsed"
_COURTS: Final = frozenset({"court", "international_court", "investigating_judge"})


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an authority sits: its State, the zone of its days, and its kind, as its root enrolled it."""

    country: str | None
    zone: str | None
    authority_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """
    What a clock needs of an act; ids are UUID text, instants of the body µs.

    Attributes:
        index: the entry.
        actor: the authority whose act it is; None where a report names only a State.
        country: the State that a report names; None otherwise.
        reported: whether only a report says so.
        basis: instruments that the act names.
    """

    index: int
    statement: str
    case: str
    subject: str
    act: str
    actor: str | None
    country: str | None
    reported: bool
    from_at: int
    until_at: int
    legal_effect_at: int | None
    answers: tuple[str, ...]
    corrects: str | None
    basis: tuple[str, ...]
    body: Mapping[str, object]

    @classmethod
    def of(cls, row: Row, legal_effect_at: int | None = None) -> Act:
        """Cut a row of facts."""
        speaker = row.speaker
        return cls(
            row.index,
            row.statement,
            row.case,
            row.subject,
            row.act,
            row.actor,
            None if speaker is None else speaker[1],
            row.said_by_report,
            row.when.from_at,
            row.when.until_at,
            legal_effect_at,
            row.answers,
            row.corrects,
            tuple(instrument for instrument, _, _ in row.basis),
            row.body,
        )


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


# --------------------------------------------------------------------------------------------- rules


class Rules:
    """
    The limits of a law, ready to be asked which of them an act starts.

    Args:
        law: all days and all knowledge; each question names its own.
        manifest: of the same edition, as `ledger.law.manifest.manifest_of`: the hash of each file.
        by: who says each act, by wire name (`ledger.domain.procedure`).
    """

    __slots__ = ("_by", "_editions", "_limits", "_named", "law")

    def __init__(self, law: Law, manifest: bytes, by: Mapping[str, Sequence[str]]) -> None:
        self.law = law
        self._by = by
        rows = (line.split("  ", 1) for line in manifest.decode().splitlines())
        self._editions = {name.rpartition("/")[2]: digest for digest, name in rows}
        self._limits: dict[tuple[str, str | None], dict[str, tuple[Limit, ...]]] = {}
        self._named: dict[str, Limit] = {}

    def edition(self, limit: Limit) -> str:
        """SHA-256, in hex, of the file that has the limit."""
        return self._editions.get(limit.file, self.law.edition)

    def says(self, act: str) -> Sequence[str]:
        """The roles and kinds of authority that say an act."""
        return self._by.get(act, ())

    def starting(self, instrument: str, country: str | None, act: str) -> tuple[Limit, ...]:
        """Every version of every limit that an act may start, under an instrument as a State has it."""
        return self._of(instrument, country).get(act, ())

    def every(self, instrument: str, country: str | None) -> Iterator[Limit]:
        """Every version of every limit of an instrument as a State has it, each once."""
        seen: set[int] = set()
        for limits in self._of(instrument, country).values():
            for limit in limits:
                if id(limit) not in seen:
                    seen.add(id(limit))
                    yield limit

    def named(self, name: str) -> Limit | None:
        """A limit by its id in any case of letters: bodies of acts write it in small ones."""
        if not self._named:
            self._named = {one.casefold(): self.law.limit(one) for one in self.law.limits()}
        return self._named.get(name.casefold())

    def overlaid(self, instrument: str, country: str | None) -> bool:
        """Whether a State has an overlay of its own."""
        return (instrument, country) in self.law.overlays

    def in_force(self, limit: Limit, on: date, known: date | None) -> bool:
        """Whether a limit, and its instrument, applied on a day, as the law was known on another."""
        one = self.law.instruments[limit.instrument]
        applies = one.from_on <= on and (one.until_on is None or on < one.until_on)
        return applies and limit.applies(on, known)

    def _of(self, instrument: str, country: str | None) -> dict[str, tuple[Limit, ...]]:
        found = self._limits.get((instrument, country))
        if found is None:
            gathered: dict[str, list[Limit]] = {}
            if instrument in self.law.instruments:
                for limit in self.law.data(Limit, instrument, country):
                    if limit.nature != "condition":
                        for act in dict.fromkeys(pattern.act for pattern in limit.starts):
                            gathered.setdefault(act, []).append(limit)
            found = self._limits[instrument, country] = {act: tuple(limits) for act, limits in gathered.items()}
        return found


@cache
def rules() -> Rules:
    """The rules of this release, read once per process."""
    from ledger.domain import procedure  # noqa: PLC0415 -- read once, when first asked for
    from ledger.law.law import load  # noqa: PLC0415 -- see above
    from ledger.law.manifest import manifest  # noqa: PLC0415 -- see above

    return Rules(load(), manifest(), procedure.load().by)


# -------------------------------------------------------------------------------------------- matters


class _Matter:
    """The acts of a case, in the order in which they happened, and what belongs to what."""

    def __init__(self, acts: Iterable[Act], seats: Mapping[str, Seat], law: Rules) -> None:
        self.acts = sorted(acts, key=_order)
        self.seats = seats
        self.law = law
        self.said = {act.statement: act for act in self.acts}
        self.named: dict[str, list[Act]] = {}
        self.streams: dict[str, list[Act]] = {}
        self.replies: dict[str, list[Act]] = {}
        self.issued: dict[str, Act] = {}
        self.created: dict[str, Act] = {}
        self._results: dict[str, str] = {}
        for act in self.acts:
            self.named.setdefault(act.act, []).append(act)
            self.streams.setdefault(act.subject, []).append(act)
            for target in dict.fromkeys((*act.answers, *_pointers(act.body))):
                self.replies.setdefault(target, []).append(act)
            first = self.created.get(act.subject)
            if first is None or act.index < first.index:
                self.created[act.subject] = act
            if act.act == _ISSUED:
                self.issued.setdefault(act.subject, act)
            elif act.act == "result.handed_over":
                for exhibit in _list(act.body.get("exhibits")):
                    self._results.setdefault(exhibit, act.subject)
        self._requests: dict[str, str | None] = {}

    def request(self, act: Act) -> str | None:
        """The request that an act belongs to: its own stream, the one it names, or that of what it answers."""
        found: Act | None = act
        for _ in range(8):
            if found is None:
                return None
            linked = self._request_of(found.subject) or self._existing(found.body.get("request"))
            if linked is not None:
                return linked
            found = next((self.said[one] for one in found.answers if one in self.said), None)
        return None

    def _request_of(self, subject: str) -> str | None:
        if subject not in self._requests:
            self._requests[subject] = None
            created = self.created.get(subject)
            linked = self._existing(subject)
            if linked is None and created is not None:
                body = created.body
                targets = (body.get("request"), body.get("target_subject"), self._results.get(subject))
                linked = next((one for one in map(self._existing, targets) if one is not None), None)
                target = self.said.get(str(body.get("target")))
                if linked is None and target is not None and target.subject != subject:
                    linked = self._request_of(target.subject)
            self._requests[subject] = linked
        return self._requests[subject]

    def _existing(self, subject: object) -> str | None:
        return subject if isinstance(subject, str) and subject in self.issued else None

    def under(self, act: Act) -> tuple[str | None, tuple[str, ...]]:
        """The request of an act, and the instruments whose limits it may start."""
        request = self.request(act)
        if request is None and not act.basis and len(self.issued) == 1:
            request = next(iter(self.issued))
        if request is not None:
            return request, (str(self.issued[request].body.get("instrument")),)
        return None, tuple(dict.fromkeys(act.basis))

    def seat(self, authority: str | None, country: str | None = None) -> Seat:
        """Where an authority sits; the State alone where the authority is not known."""
        return self.seats.get(authority or "") or Seat(country, None)

    def part(self, role: str, start: Act, request: str | None) -> tuple[str | None, str | None]:
        """Who has a role in the matter of an act: an authority, or at least its State, or neither."""
        authority, country = self._part(role, start, request)
        if authority is not None:
            country = self.seat(authority, country).country or country
        return authority, country

    def _part(self, role: str, start: Act, request: str | None) -> tuple[str | None, str | None]:
        issued = self.issued.get(request or "")
        created = self.created.get(start.subject, start)
        if role == "requesting":
            of = issued or created
            return of.actor, of.country
        if role in {"requested", "addressee"}:
            return self._requested(role, start, issued)
        if role in {"publisher", "member"}:
            return start.actor, start.country
        if role == "sending":
            return created.actor, created.country
        if role == "recipient":
            return _first(start.body, created.body, fields=("recipient", "to", "recipients")), None
        if role == "holder":
            held = [
                a for a in self.streams.get(start.subject, ()) if a.act in {"exhibit.acquired", "exhibit.taken_over"}
            ]
            return (held[-1].actor, held[-1].country) if held else (None, None)
        if role == "challenged":
            target = self.said.get(str(created.body.get("target")))
            return (target.actor, target.country) if target is not None else (None, None)
        if role == "court":
            return self._court(start, created, issued)
        asked = str(issued.body["requested_country"]) if issued and issued.body.get("requested_country") else None
        if role == "notified":
            to = start.body.get("to_country")
            return self._told(start, request), str(to) if to else asked
        if role == "enforcing":
            return self._told(start, request), asked
        if role in {"central", "supervisory"}:
            return None, self.seat(start.actor, start.country).country
        return None, None

    def _told(self, start: Act, request: str | None) -> str | None:
        told = [
            a for a in self.streams.get(request or "", ()) if a.act.startswith(("enforcing_authority.", "enforcement."))
        ]
        return _first(start.body, *(act.body for act in reversed(told)), fields=("to",))

    def _requested(self, role: str, start: Act, issued: Act | None) -> tuple[str | None, str | None]:
        if issued is None:
            named = _first(start.body, fields=("to", "recipient"))
            return (named, None) if named else (start.actor, start.country)
        stream = self.streams[issued.subject]
        country = issued.body.get("requested_country")
        asked = str(country) if country else None
        said = self.law.says(start.act)
        holder: str | None = None
        if start.actor is not None and start.actor != issued.actor:
            there = asked is not None and self.seat(start.actor).country == asked
            if there or {role, "requested", "provider"} & {*said}:
                holder = start.actor
        if holder is not None:
            for act in stream:
                if act.act == "request.forwarded" and act.actor == holder and act.until_at >= start.from_at:
                    holder = _first(act.body, fields=("to",)) or holder
            return holder, asked
        for act in stream:
            if act.act == _RECEIVED and not act.reported:
                holder = act.actor or holder
            elif act.act in {_ISSUED, "request.forwarded", "request.transmitted", "request.acknowledged"}:
                holder = _first(act.body, fields=("requested", "to", "competent")) or holder
        return holder, asked

    def _court(self, start: Act, created: Act, issued: Act | None) -> tuple[str | None, str | None]:
        named = _first(start.body, created.body, fields=("court", "forum"))
        if named is not None:
            return named, None
        if self.seat(start.actor).authority_kind in _COURTS:
            return start.actor, None
        for act in reversed(self.streams.get(start.subject, ())):
            if self.seat(act.actor).authority_kind in _COURTS:
                return act.actor, None
        country = issued.body.get("requested_country") if issued is not None else None
        return None, str(country) if country else None

    def belonging(self, limit: Limit, start: Act, request: str | None) -> list[Act]:
        """What may end, stop or lengthen the clock, in the order in which it happened."""
        found: list[Act] = []
        extending = limit.extension.by if limit.extension else ()
        ends = {pattern.act for pattern in limit.ends}
        strict = ends | {pattern.act for pattern in extending}
        loose = {p.act for p in (*limit.suspended_by, *limit.resumed_by, *limit.restarted_by, *limit.waived_by)}
        if limit.match == "answers":
            reached, queue = set[str](), [start.statement]
            while queue:
                for act in self.replies.get(queue.pop(), ()):
                    if act.statement not in reached and act.act not in {p.act for p in limit.starts}:
                        reached.add(act.statement)
                        queue.append(act.statement)
                        if act.act in strict | loose:
                            insort(found, act, key=_order)
            strict = {pattern.act for pattern in extending}
        for act in (a for name in sorted(strict | loose) for a in self.named.get(name, ())):
            if act is start or act.until_at < start.from_at or act in found:
                continue
            if act.index < start.index and _span(act) == _span(start) and act.act not in ends:
                # On one day the log's own order decides; only what meets a limit may have been recorded before.
                continue
            if act.subject != start.subject:
                # What is said of the request, or of another thing under it, touches its clocks; an end has to
                # be said of the same thing unless the rule looks at the whole case.
                other = self.request(act)
                meets = act.act in ends and limit.match == "thing" and not self._extends(limit, act)
                if meets and act.act not in loose:
                    continue
                if limit.match == "case" and other is not None and request is not None and other != request:
                    continue
                if limit.match != "case" and (request is None or other != request):
                    continue
            insort(found, act, key=_order)
        return found

    @staticmethod
    def _extends(limit: Limit, act: Act) -> bool:
        return limit.extension is not None and _matches(limit.extension.by, act)


def _order(act: Act) -> tuple[int, int, int]:
    return act.from_at, act.until_at, act.index


def _span(act: Act) -> tuple[int, int]:
    return act.from_at, act.until_at


def _matches(patterns: Iterable[Pattern], act: Act) -> bool:
    return any(pattern.matches(act.act, act.body) for pattern in patterns)


def _list(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else []


def _pointers(body: Mapping[str, object]) -> Iterator[str]:
    for value in body.values():
        if isinstance(value, str) and len(value) == 36:
            yield value


def _first(*bodies: Mapping[str, object], fields: Sequence[str]) -> str | None:
    for body in bodies:
        for name in fields:
            value = body.get(name)
            if isinstance(value, str):
                return value
            if isinstance(value, (list, tuple)) and value:
                return str(value[0])
    return None


# -------------------------------------------------------------------------------------------- folding


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
    matter = _Matter((a for a in given if a.from_at <= bound and a.statement not in gone), seats, law)
    found: list[Clock] = []
    for act in matter.acts:
        request, instruments = matter.under(act)
        for instrument in instruments:
            found += (
                _Run(matter, limit, act, request, at, due_within).clock()
                for limit in _started(matter, instrument, act, request, known_on)
            )
    for request, issued in matter.issued.items():
        found += _unstarted(matter, request, issued, at, known_on)
    return tuple(sorted(_with_lapses(matter, found), key=_by_end))


def _by_end(clock: Clock) -> tuple[bool, int, int, str]:
    index = -1 if clock.index is None else clock.index
    return clock.due_at is None, clock.due_at or 0, index, clock.limit


def _started(matter: _Matter, instrument: str, act: Act, request: str | None, known_on: date | None) -> Iterator[Limit]:
    """The limits that an act starts: each as the State that must act has it, in the version of that day."""
    law = matter.law
    thing = (matter.issued.get(request or "") or matter.created.get(act.subject, act)).body
    countries = sorted(
        {
            country
            for _, country in (matter.part(role, act, request) for role in ("requesting", "requested", "publisher"))
            if country is not None and law.overlaid(instrument, country)
        }
    )
    for country in (None, *countries):
        for limit in law.starting(instrument, country, act.act):
            if not _matches(limit.starts, act) or not limit.where.matches(thing):
                continue
            if limit.named is not None and not isinstance(act.body.get(limit.named), int):
                # The act may name an end and did not: then there is no limit.
                continue
            acting = matter.part(limit.by, act, request)[1] or matter.part(limit.calendar, act, request)[1]
            mine = acting == country if country is not None else not law.overlaid(instrument, acting)
            if mine and law.in_force(limit, _day_of(matter, limit, act, request), known_on):
                yield limit


def _day_of(matter: _Matter, limit: Limit, act: Act, request: str | None) -> date:
    try:
        zone = _calendar(matter, limit, act, request).zone
    except NotFound:
        return _instant(act.until_at).date()
    return _instant(act.until_at).astimezone(zone).date()


def _calendar(matter: _Matter, limit: Limit, act: Act, request: str | None) -> Calendar:
    authority, country = matter.part(limit.calendar, act, request)
    seat = matter.seat(authority, country)
    place = seat.country or country
    if place is None:
        raise NotFound(f"it is not known in which State the {limit.calendar} authority sits")
    return calendar(place, seat.zone)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


class _Run:
    """One running of one limit: what happened to it, and when it ends."""

    def __init__(
        self, matter: _Matter, limit: Limit, start: Act, request: str | None, at: int, due_within: int | None
    ) -> None:
        self.matter = matter
        self.limit = limit
        self.start = start
        self.request = request
        self.at = at
        self.due_within = due_within
        self.thing = (matter.issued.get(request or "") or matter.created.get(start.subject, start)).body
        self.variant = _variant(limit, self.thing, start)
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
            self.calendar = _calendar(matter, limit, start, request)
        except NotFound as error:
            self.problem = str(error)

    def clock(self) -> Clock:
        """Fold, and say where it stands."""
        for act in self.matter.belonging(self.limit, self.start, self.request):
            if self._concerns(act) and self._take(act):
                break
        limit, start = self.limit, self.start
        authority, country = self.matter.part(limit.by, start, self.request)
        due = self._due(latest=True)
        earliest = self._due(latest=False) if due is not None and self._wide(due) else due
        due_at = None if due is None else _micros(due.at)
        earliest_at = None if earliest is None or due is None or earliest.at == due.at else _micros(earliest.at)
        variant = self.variant
        clock = Clock(
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
            standing="open",
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
            reported=start.reported or (self.met is not None and self.met.reported),
            problem=None if due is not None else self.problem,
        )
        standing, uncertain = self._standing(clock)
        return replace(clock, standing=standing, uncertain=uncertain)

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
        if _matches(limit.ends, act):
            self.met = act
        elif _matches(limit.waived_by, act):
            self.waived = act
        elif _matches(limit.restarted_by, act):
            self.begins = self._begins(act)
            self.restarts.append(act.index)
            self.extended, self.periods, self.stops, self.open_ended = [], 0, [], False
            self.named_end = self._named(act, limit.named) or self.named_end
        elif self.stops and self.stops[-1][1] is None and _matches(limit.resumed_by, act):
            self.stops[-1] = (self.stops[-1][0], act)
        elif _matches(limit.suspended_by, act) and (not self.stops or self.stops[-1][1] is not None):
            self.stops.append((act, None))
        elif limit.extension is not None and _matches(limit.extension.by, act):
            self._extend(act)
        return self.met is not None or self.waived is not None

    def _extend(self, act: Act) -> None:
        extension = self.limit.extension
        assert extension is not None
        due = self._due(latest=True, at=act.from_at)
        if due is not None and act.from_at >= _micros(due.at):
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
                stops.append((_instant(began), _instant(ended)))
        if self.named_end is not None:
            return self._named_due(cal, self.named_end, periods)
        if limit.stated:
            raise FormatError("its end is stated where the ledger cannot read it", field="stated")
        return counted(
            limit,
            _instant(self.begins[side]),
            cal,
            variant=None if self.variant is None else self.variant.name,
            extended=periods,
            suspended=stops,
        )

    def _named_due(self, cal: Calendar, end: int, periods: int) -> Due:
        """The end that an act names, perhaps made longer by periods counted from there."""
        limit = self.limit
        local = _instant(end).astimezone(cal.zone)
        last_on = (local - _MICROSECOND).date()
        extension = limit.extension
        if periods and extension is not None and extension.within is not None:
            longer = replace(limit, within=extension.within, named=None, variants=())
            due = counted(longer, last_on if extension.within.unit != "hours" else local, cal, extended=periods - 1)
            return due._replace(verified=due.verified and limit.verified)
        source = extension.article if self.extended and extension is not None else limit.article
        steps = (Step(source, f"the act names its end: {local.isoformat(' ', 'minutes')}"),)
        return Due(local, last_on, limit.id, limit.article, "", "", cal.zone.key, limit.verified, steps)

    def _wide(self, due: Due) -> bool:
        """Whether an earlier reading of the start, or of what stopped it, may give another end."""
        zone = self.calendar.zone if self.calendar is not None else UTC
        first, last = (_instant(one).astimezone(zone) for one in self.begins)
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
            None if due is None else _micros(due.at),
            None if due is None else due.last_on.isoformat(),
        )

    def _standing(self, clock: Clock) -> tuple[str, bool]:
        """Where it stands, and whether an interval leaves that open."""
        return _standing_of(
            clock,
            self.at,
            self.due_within,
            stopped=bool(self.stops) and self.stops[-1][1] is None,
        )


def _standing_of(clock: Clock, at: int, due_within: int | None, *, stopped: bool) -> tuple[str, bool]:
    minimum = clock.nature == "minimum"
    due_at, earliest = clock.due_at, clock.due_earliest_at or clock.due_at
    if clock.met_from_at is not None and clock.met_until_at is not None:
        if due_at is None or earliest is None:
            return ("met", False) if clock.problem is None else ("uncomputed", False)
        late = clock.met_from_at >= due_at
        uncertain = not late and clock.met_until_at >= earliest
        if minimum:
            return ("met" if late else "early"), uncertain
        return ("late" if late else "met"), uncertain
    if clock.waived_index is not None:
        return "waived", False
    if stopped and (due_at is None or at < due_at):
        return "suspended", False
    if due_at is None or earliest is None:
        return ("extended" if clock.extended_by else "uncomputed"), False
    if at >= due_at:
        return ("met" if minimum else "lapsed"), False
    uncertain = at >= earliest
    if due_within is not None and due_at <= at + due_within * _DAY:
        return "due", uncertain
    return ("extended" if clock.extended_by else "open"), uncertain


def _variant(limit: Limit, thing: Mapping[str, object], start: Act) -> Variant | None:
    for variant in limit.variants:
        if variant.where.matches(thing) and holds(variant.starts, {}, start.body):
            return variant
    return None


# --------------------------------------------------------------------------- what was never said to begin


def _unstarted(matter: _Matter, request: str, issued: Act, at: int, known_on: date | None) -> Iterator[Clock]:
    """
    Limits of a request that something ended although nobody recorded what starts them.

    Whoever decided on a request has received it, but never before it was made, so that counting from there
    gives an end that is never too late. Other starts, such as a forwarding, may as well never have been.
    """
    law, stream = matter.law, matter.streams[request]
    said = {act.act for act in stream}
    instrument = str(issued.body.get("instrument"))
    _, asked = matter.part("requested", issued, request)
    country = asked if law.overlaid(instrument, asked) else None
    for limit in law.every(instrument, country):
        names = {pattern.act for pattern in limit.starts}
        if limit.match != "thing" or limit.nature != "act" or limit.within is None or names & said:
            continue
        if _RECEIVED not in names or limit.variants:
            continue
        met = next((act for act in stream if _matches(limit.ends, act) and act.from_at <= at), None)
        waived = any(_matches(limit.waived_by, act) and act is not met for act in stream)
        if met is None or waived or not limit.where.matches(issued.body):
            continue
        if not law.in_force(limit, _day_of(matter, limit, issued, request), known_on):
            continue
        run = _Run(matter, replace(limit, extension=None), issued, request, at, None).clock()
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


def _with_lapses(matter: _Matter, found: list[Clock]) -> Iterator[Clock]:
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


def _bare(matter: _Matter, start: Act | None, limit: Limit | None, act: Act, name: str) -> Clock:
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
