"""
A matter: the acts of a case, who has which part in it, to which request each act belongs, and under what law.

Clocks, duties and conditions must agree on what belongs to what; it is said here once. Pure, without a
clock of its own. Ids are UUID text, instants µs since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from ledger.law.data import Applicability, Pattern, Reach
    from projections.facts import Row
    from projections.rules import Rules

__all__ = ["ISSUED", "RECEIVED", "Act", "Matter", "Seat", "listed", "matches", "order", "span"]

ISSUED: Final = "request.issued"
RECEIVED: Final = "request.received"
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


class Matter:
    """
    The acts of a case, in the order in which they happened, and what belongs to what.

    Args:
        acts: those that count, in any order.
        seats: where each authority sits, by id.
        law: what says who may say an act, and to what an instrument applies.

    Attributes:
        acts: in the order in which they happened.
        said: by statement.
        named: by wire name.
        streams: by the thing that they are said of.
        replies: what answers a statement, or points to it.
        issued: the act that made each request, by the request.
        created: the first act on each thing.
    """

    def __init__(self, acts: Iterable[Act], seats: Mapping[str, Seat], law: Rules) -> None:
        self.acts = sorted(acts, key=order)
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
            if act.act == ISSUED:
                self.issued.setdefault(act.subject, act)
            elif act.act == "result.handed_over":
                for exhibit in listed(act.body.get("exhibits")):
                    self._results.setdefault(exhibit, act.subject)
        self._requests: dict[str, str | None] = {}
        self._followed: dict[str, frozenset[str]] = {}
        self._sides: dict[str, tuple[str | None, str | None]] = {}

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
            linked = self._existing(subject) or self._existing(self._results.get(subject))
            if linked is None and created is not None:
                body = created.body
                targets = (body.get("request"), body.get("target_subject"))
                linked = next((one for one in map(self._existing, targets) if one is not None), None)
                target = self.said.get(str(body.get("target")))
                if linked is None and target is not None and target.subject != subject:
                    linked = self._request_of(target.subject)
                if linked is None and self.kind(created) == "handover":
                    linked = self._request_for(subject, created)
                if linked is None:
                    linked = self._request_behind(created)
            self._requests[subject] = linked
        return self._requests[subject]

    def _request_for(self, subject: str, created: Act) -> str | None:
        """
        The request that a handover serves though its first act names none, as after an arrest on an alert.

        A later act on it may name the request; else it is the only one that asks for this person. Where
        several do, nobody has said yet for which the person is held.
        """
        for act in self.streams[subject]:
            linked = self._existing(act.body.get("request"))
            if linked is not None:
                return linked
        person = created.body.get("person")
        asking = [one for one, issued in self.issued.items() if person in listed(issued.body.get("persons"))]
        return asking[0] if len(asking) == 1 else None

    def _request_behind(self, created: Act) -> str | None:
        """The request whose results a thing consists of, or was derived from; None where several are behind it."""
        used = (*listed(created.body.get("exhibits")), *listed(created.body.get("parents")))
        behind = {self._request_of(one) for one in used if one != created.subject and self._known(one)}
        return behind.pop() if len(behind) == 1 else None

    def _known(self, subject: str) -> bool:
        """Whether something is said here of a thing: what made it, or under which request it came."""
        return subject in self.created or subject in self._results

    def _existing(self, subject: object) -> str | None:
        return subject if isinstance(subject, str) and subject in self.issued else None

    def under(self, act: Act) -> tuple[str | None, tuple[str, ...]]:
        """
        The request of an act, and the instruments that are named for it.

        That is the request's; without a request those that the act names itself, else those named by the act
        that made its thing, or by what it answers: whoever goes on says the basis once.
        """
        request = self.request(act)
        if request is None:
            if act.basis:
                return None, tuple(dict.fromkeys(act.basis))
            inherited = self._inherited(act)
            if inherited or len(self.issued) != 1:
                return None, inherited
            request = next(iter(self.issued))
        return request, (str(self.issued[request].body.get("instrument")),)

    def _inherited(self, act: Act) -> tuple[str, ...]:
        found: Act | None = act
        for _ in range(8):
            if found is None:
                break
            made = self.created.get(found.subject, found)
            # What a whole case rests on says nothing of one act in it.
            for one in (found, made) if self.kind(made) != "case" else (found,):
                held = tuple(dict.fromkeys(name for name in one.basis if name in self.law.law.instruments))
                if held:
                    return held
            found = next((self.said[one] for one in found.answers if one in self.said), None)
        return ()

    def thing(self, act: Act, request: str | None) -> Act:
        """The act by whose fields the conditions of a rule are read: that of the request, or of the act's stream."""
        return self.issued.get(request or "") or self.created.get(act.subject, act)

    def reached(self, act: Act, named: Collection[str]) -> Iterator[tuple[str, Reach]]:
        """The instruments, beside those that are named for an act, that apply to it though nobody names them."""
        for instrument, reach in self.law.reaching(act.act):
            if instrument not in named and self._within(act, instrument, reach):
                yield instrument, reach

    def _within(self, act: Act, instrument: str, reach: Reach) -> bool:
        if self._kind_of(act) in reach.streams:
            return True
        if not reach.follows:
            return False
        if instrument not in self._followed:
            kinds = reach.streams
            there = (one for one in self.acts if self._kind_of(one) in kinds)
            self._followed[instrument] = self.derived(
                exhibit for one in there for exhibit in listed(one.body.get("exhibits"))
            )
        things = self._followed[instrument]
        made = self.created.get(act.subject, act)
        touched = (act.subject, *listed(act.body.get("exhibits")), *listed(made.body.get("exhibits")))
        return not things.isdisjoint(touched)

    def derived(self, exhibits: Iterable[str]) -> frozenset[str]:
        """Exhibits, and everything that was derived from them."""
        found = set(exhibits)
        for act in self.named.get("exhibit.derived", ()):
            if not found.isdisjoint(listed(act.body.get("parents"))):
                found.add(act.subject)
        return frozenset(found)

    def kind(self, created: Act) -> str | None:
        """The kind of thing that an act creates; None where it creates none."""
        return self.law.procedure.creates.get(created.act)

    def _kind_of(self, act: Act) -> str | None:
        """The kind of thing that an act is said of; None where what made it is not known here."""
        if act.subject == act.case:
            return "case"
        found = self.kind(self.created.get(act.subject, act))
        if found is None:
            # An authority, and what only another case made, has no first act here.
            found = "authority" if act.subject in self.seats else self.law.home(act.act)
        return found

    def binds(
        self, instrument: str, reach: Reach, role: str, act: Act, request: str | None, on: date
    ) -> Applicability | None:
        """
        What says that an instrument that nobody names binds whoever must act.

        Where that is not known, whoever acted. None where the law says of no such thing, or of authorities
        of another kind.
        """
        authority, country = self.part(role, act, request)
        if country is None:
            authority, country = act.actor, self.country(act)
        kind = self.seat(authority).authority_kind
        if kind is not None and reach.kinds and kind not in reach.kinds:
            return None
        return self.law.binding(instrument, country, on)

    def country(self, act: Act) -> str | None:
        """The State whose authority acted."""
        return self.seat(act.actor, act.country).country or act.country

    def members(self, act: Act) -> frozenset[str]:
        """Who belongs to the team whose act this is, as it was agreed on and as it was changed since."""
        found: set[str] = set() if act.actor is None else {act.actor}
        for one in self.streams.get(act.subject, ()):
            found.update(listed(one.body.get("members")))
            found.update(listed(one.body.get("downloaders")))
        return frozenset(found)

    def sides(self, request: str) -> tuple[str | None, str | None]:
        """The States that asked and were asked by a request, as it was made."""
        found = self._sides.get(request)
        if found is None:
            issued = self.issued[request]
            asking, asked = (self.part(role, issued, request)[1] for role in ("requesting", "requested"))
            found = self._sides[request] = (asking, asked)
        return found

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
            if act.act == RECEIVED and not act.reported:
                holder = act.actor or holder
            elif act.act in {ISSUED, "request.forwarded", "request.transmitted", "request.acknowledged"}:
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


def order(act: Act) -> tuple[int, int, int]:
    """By what acts are sorted: when they happened, then the order of the log."""
    return act.from_at, act.until_at, act.index


def span(act: Act) -> tuple[int, int]:
    """When an act happened, at the earliest and the latest."""
    return act.from_at, act.until_at


def matches(patterns: Iterable[Pattern], act: Act) -> bool:
    """Whether one of several patterns means an act."""
    name, body = act.act, act.body
    for pattern in patterns:  # noqa: SIM110 -- asked of every act and rule: a loop is twice as fast
        if pattern.act == name and pattern.matches(name, body):
            return True
    return False


def listed(value: object) -> list[str]:
    """The items of an array field; none where it has no array."""
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
