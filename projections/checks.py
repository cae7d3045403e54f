"""
The conditions that a duty may name beside its trigger, computed: what each check has found.

A duty names a check, so that no instrument needs code (``ledger.law.data.CHECKS``). Each is a pure function
of an inquiry: a matter, what is known beside it, and the law that it is held against. Instants are µs
since the epoch, ids UUID text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from ledger.errors import NotFound
from ledger.law import form
from ledger.law.data import Competence, Datum, Duty, Ground, Particular, Remedy
from projections.matters import Act, Matter, listed
from projections.running import Clock, instant, micros
from projections.wording import cited, label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.law.counting import Calendar
    from ledger.law.data import Period
    from projections.rules import Book

__all__ = ["CHECKED", "Check", "Declared", "Inquiry", "Mark", "Outside", "Verdict"]

_KIND = TypeVar("_KIND", bound=Datum)


@dataclass(frozen=True, slots=True)
class Mark:
    """
    What a finding needs of an act beyond the act: who may see it, and what it carries beside its body.

    Attributes:
        publisher: who said it.
        known_at: since when it has been known.
        ring: addressees, case, oversight or public.
        embargo_until: until when only publisher and addressees see it.
        addressees: to whom it is addressed.
        carried: as `ledger.law.form.carried`.
    """

    publisher: str
    known_at: int
    ring: str = "case"
    embargo_until: int | None = None
    addressees: frozenset[str] = frozenset()
    carried: frozenset[str] = frozenset()


class Declared(NamedTuple):
    """A competence that an authority's State has declared: from an instant, for measures and functions."""

    from_at: int
    measures: frozenset[str]
    functions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outside:
    """
    A use against a condition or a use rule.

    Attributes:
        index: the entry that attached it.
        source: id of the condition, or of the use rule.
        why: in words.
        instrument, article, text, edition: of the use rule; those of the ledger for a condition.
        verified: whether the rule was compared with the official wording.
        ended_by: an act that put the use right again (a recall that was implemented).
        uncertain: whether the ledger can tell.
    """

    index: int
    source: str
    why: str
    instrument: str = "ledger"
    article: str = ""
    text: str = "What is given under a condition is used and passed on within it."
    edition: str = ""
    verified: bool = True
    ended_by: int | None = None
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Overdue:
    """
    What a use rule asks to be given back or erased by a day, and was not, or came late.

    Attributes:
        index: the entry that brought it under the rule.
        rule, instrument, article, text, edition, verified, known_from_on: the rule.
        detail: in words, what is missing.
        role, authority, country: who is bound.
        due_at: by when, µs; the first instant that is too late.
        ended_by: the entry by which it was done, late.
        uncertain: whether an exception that no field tells apart may apply.
    """

    index: int
    rule: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    known_from_on: str | None
    detail: str
    role: str
    authority: str | None
    country: str | None
    due_at: int
    ended_by: int | None
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Inquiry:
    """
    A matter, what is known beside it, and the law that it is held against.

    Attributes:
        matter: the acts of a case, and what belongs to what.
        book: the law.
        clocks: the clocks of the case, by limit in small letters and starting entry.
        marks: by entry.
        declared: competences declared, by authority.
        outside: the uses against conditions that an act is.
        at: the instant at which all is read.
        known_on: the day whose knowledge of the law counts; None for today's.
    """

    matter: Matter
    book: Book
    clocks: Mapping[tuple[str, int | None], Clock]
    marks: Mapping[int, Mark]
    declared: Mapping[str, tuple[Declared, ...]]
    outside: Callable[[Act], tuple[Outside, ...]]
    at: int
    known_on: date | None
    halves: dict[str, dict[int, Act | None]] = field(default_factory=dict)
    days: dict[int, date] = field(default_factory=dict)

    def kind(self, act: Act) -> str | None:
        """The kind of authority whose act it is, where it is known."""
        return self.matter.seat(act.actor).authority_kind

    def on(self, act: Act) -> date:
        """The day of an act where its authority sits; in UTC where that is not known."""
        day = self.days.get(act.index)
        if day is None:
            held = self.calendar(act.actor, self.matter.country(act))
            day = self.days[act.index] = instant(act.until_at).astimezone(UTC if held is None else held.zone).date()
        return day

    def calendar(self, authority: str | None, country: str | None) -> Calendar | None:
        """The calendar of an authority, or at least of its State; None where neither is known or held."""
        seat = self.matter.seat(authority, country)
        place = seat.country or country
        try:
            return None if place is None else self.book.limits.calendar(place, seat.zone)
        except NotFound:
            return None

    def ends(self, duty: Duty, period: Period, begins: int, act: Act, request: str | None) -> tuple[int, bool] | None:
        """
        When a period of a duty ends, in the calendar of the authority that must act, and whether that is verified.

        None where it is not known where that authority sits, or its calendar does not cover the time.
        """
        held = self.calendar(*self.matter.part(duty.by, act, request))
        if held is None:
            return None
        try:
            due = self.book.limits.ends(duty, period, instant(begins), held)
        except NotFound:
            return None
        return micros(due.at), due.verified

    def issued(self, request: str | None) -> Act | None:
        """The act that created a request."""
        return self.matter.issued.get(request or "")

    def of(self, kind: type[_KIND], instrument: str, country: str | None, on: date) -> list[_KIND]:
        """The data of a kind in force on a day, as a State has them."""
        return [d for d in self.book.data(kind, instrument, country) if self.book.in_force(d, on, self.known_on)]

    def later(self, names: Iterable[str], subject: str, act: Act) -> Act | None:
        """The first act of one of *names* on a stream that need not lie before another act."""
        found = (a for a in self.matter.streams.get(subject, ()) if a.act in names and a.until_at >= act.from_at)
        return next((a for a in found if a is not act), None)

    def partner(self, act: Act) -> Act | None:
        """The other half of an act that gives or takes; a report is none."""
        if act.subject not in self.halves:
            pairs: dict[int, Act | None] = {}
            stream = self.matter.streams.get(act.subject, ())
            for name in dict.fromkeys(one.second for one in self.book.halves):
                # What is handed over and what is returned is taken over alike.
                giving = {one.first for one in self.book.halves if one.second == name}
                free = [a for a in stream if a.act == name and not a.reported]
                for first in (a for a in stream if a.act in giving):
                    second = next((a for a in free if self._fits(first, a)), None)
                    pairs[first.index] = second
                    if second is not None:
                        free.remove(second)
                        pairs[second.index] = None if first.reported else first
            self.halves[act.subject] = pairs
        return self.halves[act.subject].get(act.index)

    def _fits(self, first: Act, second: Act) -> bool:
        giver, to = second.body.get("from_authority"), first.body.get("to") or first.body.get("recipient")
        if giver is not None and first.actor is not None and giver != first.actor:
            return False
        if to is None or to == second.actor:
            return True
        country = self.matter.seat(str(to)).country
        return country is not None and country == self.matter.seat(second.actor, second.country).country


# ---------------------------------------------------------------------------------------- the checks


class Verdict(NamedTuple):
    """
    What a check has found: the duty arises.

    Attributes:
        detail: what is missing, in words; empty where the missing act says it.
        fulfils: which of the acts that fulfil the duty count; None for all.
        resolved: an act that puts it right though the duty does not name it.
        verified: whether what it rests on beside the duty was compared with the official wording.
        uncertain: whether it may be right after all.
        value: which of several.
    """

    detail: str = ""
    fulfils: Callable[[Act], bool] | None = None
    resolved: Act | None = None
    verified: bool = True
    uncertain: bool = False
    value: str | None = None


Check: TypeAlias = Callable[[Inquiry, Duty, Act, "str | None"], "tuple[Verdict, ...]"]
"""Of an inquiry, a duty, the triggering act and its request: nothing where the duty does not arise."""


def _consult_first_ground(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """
    The refusal invokes a ground that has to be consulted on first.

    A code that several grounds of the instrument have is consulted on if the article that the refusal names
    is one of those, or if it names none.
    """
    country = inquiry.matter.part(duty.by, act, request)[1]
    thing = inquiry.matter.thing(act, request).body
    first = [
        ground
        for ground in inquiry.of(Ground, duty.instrument, country, inquiry.on(act))
        if ground.consult_first and ground.open_to(act.act, act.body, thing)
    ]
    # Where a State only words the ground anew, the instrument itself says that it is consulted on first.
    itself = inquiry.of(Ground, duty.instrument, None, inquiry.on(act))
    sure = {ground.id for ground in (*itself, *first) if ground.consult_first and ground.verified}
    given = act.body.get("grounds")
    for invoked in given if isinstance(given, (list, tuple)) else ():
        code, article = (
            (invoked.get("ground"), invoked.get("article")) if isinstance(invoked, dict) else (invoked, None)
        )
        for ground in first:
            if code in ground.grounds and (article is None or _same_article(str(article), ground.article)):
                named = label("grounds", str(code))
                words = f"the ground invoked, {named} ({cited(ground.article)}), is one to be consulted on first"
                return (Verdict(words, verified=ground.id in sure),)
    return ()


def _same_article(named: str, article: str) -> bool:
    """Whether an article that an act names is, or contains or lies in, one that the law names."""
    one, other = (text.replace(" ", "").casefold() for text in (named, article))
    return one.startswith(other) or other.startswith(one)


def _competences(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> list[Competence]:
    country = inquiry.matter.part("requesting", act, request)[1]
    thing = inquiry.matter.thing(act, request).body
    found = inquiry.of(Competence, duty.instrument, country, inquiry.on(act))
    return [one for one in found if act.act in one.acts and one.where.matches(thing)]


def _order_without_competence(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """
    The kind of authority that ordered is in no competence, or its own declared competence lacks the measure.

    The second is what an authority that could not order it at home lacks (C-724/19).
    """
    order = inquiry.issued(request) or act
    if order is not act and duty.by == "requesting" and _competences(inquiry, duty, act, request):
        # The instrument says who may do this itself, as sending what another has ordered.
        order = act
    gone = inquiry.later(("request.withdrawn",), order.subject, order)
    competences = _competences(inquiry, duty, order, request)
    kind = inquiry.kind(order)
    if competences and kind is not None and not any(kind in (*c.kinds, *c.with_validation) for c in competences):
        verified = all(c.verified for c in competences)
        words = f"authorities of this kind ({label('authority_kinds', kind)}) may not order it"
        return (Verdict(words, resolved=gone, verified=verified),)
    declared = [d for d in inquiry.declared.get(order.actor or "", ()) if d.from_at <= order.until_at]
    asked = listed(order.body.get("measures"))
    functions = {c.function for c in competences if c.function is not None}
    able: set[str] = set()
    for one in declared:
        if not functions or functions & one.functions:
            able |= one.measures
    lacks = [measure for measure in asked if measure not in able]
    if declared and lacks:
        words = "its declared competence does not have " + ", ".join(label("measures", m) for m in lacks)
        return (Verdict(words, resolved=gone),)
    return ()


def _validation_missing(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """The order's authority needs a validation; one by a kind of authority that validates counts."""
    order = inquiry.issued(request) or act
    competences = _competences(inquiry, duty, order, request)
    kind = inquiry.kind(order)
    if kind is None or any(kind in c.kinds for c in competences):
        return ()
    needed = [c for c in competences if kind in c.with_validation]
    if not needed:
        return ()
    by = {one for c in needed for one in c.validated_by}

    def counts(found: Act) -> bool:
        who = inquiry.kind(found)
        return who is None or not by or who in by

    gone = inquiry.later(("request.withdrawn",), order.subject, order)
    return (Verdict("", counts, gone, verified=all(c.verified for c in needed)),)


def _no_remedy(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """A remedy rule of the State that ordered says that its law has none (C-852/19)."""
    order = inquiry.issued(request) or act
    _, country = inquiry.matter.part("requesting", order, request)
    gone = inquiry.later(("request.withdrawn",), order.subject, order)
    return tuple(
        Verdict(f"the law of {label('countries', country or '')} has no remedy", resolved=gone, verified=one.verified)
        for one in inquiry.of(Remedy, duty.instrument, country, inquiry.on(order))
        if not one.available and order.act in one.against and one.where.matches(order.body)
    )[:1]


def _use_outside_conditions(inquiry: Inquiry, duty: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """What is outside a rule of the duty's instrument; outside conditions, unless nobody named the instrument."""
    _, named = inquiry.matter.under(act)
    reached = {instrument for instrument, _ in inquiry.matter.reached(act, named)}
    own = {duty.instrument} if duty.instrument in reached else {duty.instrument, "ledger"}
    return tuple(_outside(inquiry, one) for one in inquiry.outside(act) if one.instrument in own)


def _outside(inquiry: Inquiry, one: Outside) -> Verdict:
    # The rule of use is named as its source: several may be broken by one act.
    ended = None if one.ended_by is None else next((a for a in inquiry.matter.acts if a.index == one.ended_by), None)
    return Verdict(one.why, None, ended, one.verified, one.uncertain, value=one.source)


def _deferral_without_review(inquiry: Inquiry, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """A deferral names no day of review, or that day has passed and nobody looked again."""
    review = act.body.get("review_due_at")
    again = next(
        (
            a
            for a in inquiry.matter.streams.get(act.subject, ())
            if a is not act
            and a.from_at >= act.from_at
            and a.act in {act.act, "person.informed"}
            and a.body.get("person") == act.body.get("person")
        ),
        None,
    )
    if not isinstance(review, int):
        return (Verdict("the deferral names no day of review", resolved=again),)
    if inquiry.at < review or (again is not None and again.from_at <= review):
        return ()
    return (Verdict("its day of review has passed without a review", resolved=again),)


def _half_missing(inquiry: Inquiry, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """The other half was not said by the other side; what only a report says is not said by it."""
    other = inquiry.partner(act)
    return (Verdict("", lambda found: other is not None and found.index == other.index),)


def _form_incomplete(inquiry: Inquiry, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """A required particular is carried nowhere; what rests on unverified particulars is said apart."""
    order = inquiry.issued(request) or act
    country = inquiry.matter.part("requesting", order, request)[1]
    bearer = act
    wanted = _particulars(inquiry, duty, act, order, country)
    if not wanted and order is not act:
        # What an act other than the request should have, the duty itself asks for.
        wanted = _particulars(inquiry, duty, act, order, country, optional=True)
    if not wanted and order is not act:
        bearer, wanted = order, _particulars(inquiry, duty, order, order, country)
    mark = inquiry.marks.get(bearer.index)
    lacks = form.lacking(wanted, bearer.body, frozenset() if mark is None else mark.carried)
    gone = next(
        (
            a
            for a in inquiry.matter.streams.get(bearer.subject, ())
            if a.until_at >= bearer.from_at
            and (a.act == "request.withdrawn" or (a.act == "request.supplement_provided" and _complete(a)))
        ),
        None,
    )
    verdicts = []
    for verified in (True, False):
        these = [p for p in lacks if p.verified == verified]
        if these:
            verdicts.append(Verdict(f"the form is incomplete: {form.summary(these)}", None, gone, verified))
    return tuple(verdicts)


def _complete(act: Act) -> bool:
    return act.body.get("completeness") == "complete"


def _particulars(
    inquiry: Inquiry, duty: Duty, bearer: Act, order: Act, country: str | None, *, optional: bool = False
) -> list[Particular]:
    law = inquiry.book.law
    own = country if (duty.instrument, country) in law.overlays else None
    on = inquiry.on(bearer)
    if optional:
        every = inquiry.of(Particular, duty.instrument, own, on)
        return [one for one in every if one.act == bearer.act and one.where.matches(order.body)]
    known = inquiry.known_on
    return list(form.required(law, duty.instrument, bearer.act, order.body, on=on, known=known, country=own))


def _limit_lapsed(inquiry: Inquiry, duty: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """The limit has ended and nobody had acted; a duty that names no limit is triggered by the lapse itself."""
    if duty.limit is None:
        return (Verdict(),)
    clock = inquiry.clocks.get((duty.limit.casefold(), act.index))
    if clock is None or clock.standing not in {"lapsed", "late"}:
        return ()
    return (Verdict(verified=clock.verified, uncertain=clock.uncertain),)


def _rights_unrecorded(__: Inquiry, duty: Duty, ___: Act, ____: str | None) -> tuple[Verdict, ...]:
    """No status is recorded for the right that the duty's id names after ``right_``; else for any right."""
    _, named, right = duty.id.partition("right_")

    def recorded(found: Act) -> bool:
        rights = found.body.get("rights")
        if not named or not isinstance(rights, (list, tuple)):
            return True
        return any(isinstance(one, dict) and one.get("right") == right for one in rights)

    words = f"nothing is recorded of the right: {label('rights', right)}" if named else ""
    return (Verdict(words, recorded, value=right or None),)


def _assurance_missing(_: Inquiry, duty: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """Each condition that the duty names has an assurance on the topic of the same name."""
    asked = {value for pattern in duty.when for value in pattern.when.get("conditions", ())}
    needed = [one for one in listed(act.body.get("conditions")) if one in asked]

    def counts(topic: str) -> Callable[[Act], bool]:
        return lambda found: found.body.get("topic") == topic

    if not needed:
        return (Verdict(),)
    return tuple(Verdict(f"on {label('assurance_topics', one)}", counts(one), value=one) for one in needed)


def _listed_offence(inquiry: Inquiry, _: Duty, __: Act, ___: str | None) -> tuple[Verdict, ...]:
    """
    The case has an offence of the list.

    Whether it is punishable by three years where it was committed is nowhere on the ledger: the finding is a
    question.
    """
    offences = {
        offence
        for opened in inquiry.matter.named.get("case.opened", ())
        for offence in listed(opened.body.get("offences"))
    }
    # The code list is that of the instruments; "other" is what they do not list.
    on_list = sorted(offences - {"other"})
    if not on_list:
        return ()
    words = "of the offences, these are on the list that needs no double criminality: "
    words += ", ".join(label("offences", one) for one in on_list)
    return (Verdict(words, uncertain=True),)


def _cost_exceptional(inquiry: Inquiry, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    if act.body.get("exceptional") is True:
        return (Verdict(),)
    reported = (a for a in inquiry.matter.streams.get(act.subject, ()) if a.act == "costs.reported")
    return (Verdict(),) if any(a.body.get("exceptional") is True for a in reported) else ()


CHECKED: Final[Mapping[str, Check]] = {
    "consult_first_ground": _consult_first_ground,
    "order_without_competence": _order_without_competence,
    "validation_missing": _validation_missing,
    "no_remedy": _no_remedy,
    "use_outside_conditions": _use_outside_conditions,
    "deferral_without_review": _deferral_without_review,
    "half_missing": _half_missing,
    "form_incomplete": _form_incomplete,
    "limit_lapsed": _limit_lapsed,
    "rights_unrecorded": _rights_unrecorded,
    "assurance_missing": _assurance_missing,
    "listed_offence": _listed_offence,
    "cost_exceptional": _cost_exceptional,
}
"""How each check of `ledger.law.data.CHECKS` is computed."""
