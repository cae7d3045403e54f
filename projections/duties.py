"""
What the law says should have happened in a matter, and did not: pure, without a clock of its own.

A duty is data: when X, then Y, by whom, within what (``docs/reference/law-format.md``). Each act of a
matter is held against the duties of its instrument as they were in force, and known, on its day. What
is missing is a finding: an observation first, until the authority concerned has answered or its time
to answer has passed. It goes away only by an act, whose index it keeps.

Instants are µs since the epoch, ids UUID text. An act that happened somewhere in an interval breaks a
duty only if it does so however one reads the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar, cast

from ledger.law import form
from ledger.law.data import Applicability, Competence, Datum, Duty, Ground, Particular, Remedy, Ruling, Use
from projections.clocks import Act, Clock, Rules, Seat

# The matter of a case is folded in one place; clocks and duties must agree on what belongs to what.
from projections.clocks import _Matter as Folded
from projections.clocks import rules as clock_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ledger.domain.procedure import Halves
    from ledger.law.data import Pattern
    from ledger.law.law import Law

__all__ = ["CHECKED", "SETTLED", "STANDINGS", "Book", "Declared", "Finding", "Mark", "Outside", "book", "findings"]

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

ANSWER_DAYS: Final = 30
"""How long an authority has to answer where its rule does not say."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400_000_000
_ISSUED: Final = "request.issued"
_LEDGER: Final = "ledger"
"""What stands for the instrument where the ledger's own procedure is the rule."""

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
class Finding:
    """
    Something that the law says should have been, and is not shown.

    Attributes:
        kind: ``duty``, or the name of the check that found it (`ledger.law.data.CHECKS`).
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
        resolved_by, resolved_act: the entry that put it right, and what it was.
        answer, answered_by: what the authority concerned answered, and the entry.
        answer_due_at: until when it may answer before the observation becomes a finding.
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
    issued_by: tuple[int, ...] = ()
    reported: bool = False
    uncertain: bool = False


# ---------------------------------------------------------------------------------------- the rules


class Book:
    """
    The duties of a law, ready to be asked which of them an act triggers.

    Args:
        law: all days and all knowledge; each question names its own.
        limits: the limits of the same law.
        editions: SHA-256, in hex, of each law file.
        halves: acts that are two halves of one hand-over.
    """

    __slots__ = (
        "_data",
        "_duties",
        "_overlaid",
        "_rulings",
        "_unasked",
        "_uses",
        "editions",
        "halves",
        "law",
        "limits",
    )

    def __init__(self, law: Law, limits: Rules, editions: Mapping[str, str], halves: Sequence[Halves]) -> None:
        self.law = law
        self.limits = limits
        self.editions = editions
        self.halves = tuple(halves)
        self._duties: dict[tuple[str, str | None], dict[str, tuple[Duty, ...]]] = {}
        self._data: dict[tuple[type[Datum], str, str | None], tuple[Datum, ...]] = {}
        self._rulings: dict[str, dict[str, tuple[Ruling, ...]]] = {}
        self._unasked: dict[str, tuple[Duty, ...]] | None = None
        self._uses: dict[str, dict[str, tuple[Use, ...]]] = {}
        self._overlaid: dict[str, tuple[str, ...]] = {}

    def edition(self, datum: Datum) -> str:
        """SHA-256, in hex, of the file that has the datum."""
        return self.editions.get(datum.file, self.law.edition)

    def triggered(self, instrument: str, country: str | None, act: str) -> tuple[Duty, ...]:
        """Every version of every duty that an act may trigger, under an instrument as a State has it."""
        found = self._duties.get((instrument, country))
        if found is None:
            gathered: dict[str, list[Duty]] = {}
            for duty in self.data(Duty, instrument, country):
                for name in dict.fromkeys(pattern.act for pattern in duty.when):
                    gathered.setdefault(name, []).append(duty)
            found = self._duties[instrument, country] = {name: tuple(duties) for name, duties in gathered.items()}
        return found.get(act, ())

    def overlaid(self, instrument: str) -> tuple[str, ...]:
        """The States that have an overlay of an instrument."""
        found = self._overlaid.get(instrument)
        if found is None:
            found = self._overlaid[instrument] = tuple(
                sorted(country for name, country in self.law.overlays if name == instrument)
            )
        return found

    def attaching(self, instrument: str, act: str) -> tuple[Use, ...]:
        """Every version of every use rule that something may fall under by an act."""
        found = self._uses.get(instrument)
        if found is None:
            gathered: dict[str, list[Use]] = {}
            for use in self.data(Use, instrument):
                for name in dict.fromkeys(pattern.act for pattern in use.attaches_to):
                    gathered.setdefault(name, []).append(use)
            found = self._uses[instrument] = {name: tuple(uses) for name, uses in gathered.items()}
        return found.get(act, ())

    def unasked(self, act: str) -> tuple[Duty, ...]:
        """
        Duties towards another State that arise from an act alone, without any request.

        A measure at home that reaches into another State is no cooperation, and names no instrument of it;
        what it owes that State it owes all the same.
        """
        if self._unasked is None:
            gathered: dict[str, list[Duty]] = {}
            for instrument in self.law.instruments:
                for duty in self.data(Duty, instrument):
                    if duty.other_state:
                        for name in dict.fromkeys(pattern.act for pattern in duty.when):
                            gathered.setdefault(name, []).append(duty)
            self._unasked = {name: tuple(duties) for name, duties in gathered.items()}
        return self._unasked.get(act, ())

    def data(self, kind: type[_KIND], instrument: str, country: str | None = None) -> tuple[_KIND, ...]:
        """Every version of every datum of a kind; nothing for an instrument that this law does not have."""
        key = (kind, instrument, country if (instrument, country) in self.law.overlays else None)
        found = self._data.get(key)
        if found is None:
            held = instrument in self.law.instruments
            found = self._data[key] = tuple(self.law.data(kind, instrument, key[2])) if held else ()
        return cast("tuple[_KIND, ...]", found)

    def rulings(self, datum: Datum, known: date | None) -> tuple[str, ...]:
        """The cases that bear on a datum, as far as they were known."""
        about = self._rulings.get(datum.instrument)
        if about is None:
            gathered: dict[str, list[Ruling]] = {}
            for ruling in self.data(Ruling, datum.instrument):
                for name in ruling.about:
                    gathered.setdefault(name, []).append(ruling)
            about = self._rulings[datum.instrument] = {name: tuple(each) for name, each in gathered.items()}
        return tuple(
            one.number
            for one in about.get(datum.id, ())
            if known is None or one.known_from_on is None or one.known_from_on <= known
        )

    def in_force(self, datum: Datum, on: date, known: date | None) -> bool:
        """Whether a datum, and its instrument, applied on a day, as the law was known on another."""
        one = self.law.instruments.get(datum.instrument)
        if one is None or on < one.from_on or (one.until_on is not None and on >= one.until_on):
            return False
        return datum.applies(on, known)

    def bound(self, instrument: str, country: str | None, on: date) -> bool:
        """Whether the law says that an instrument bound a State on a day."""
        said = [a for a in self.data(Applicability, instrument) if country in a.countries and a.applies(on)]
        return any(a.effect == "bound" for a in said) and not any(a.effect == "not_bound" for a in said)


def book_of(law: Law, manifest: bytes, limits: Rules, halves: Sequence[Halves]) -> Book:
    """The rules of a law with its manifest (`ledger.law.manifest.manifest_of`)."""
    rows = (line.split("  ", 1) for line in manifest.decode().splitlines())
    return Book(law, limits, {name.rpartition("/")[2]: digest for digest, name in rows}, halves)


@cache
def book() -> Book:
    """The rules of this release, read once per process."""
    from ledger.domain import procedure  # noqa: PLC0415 -- read once, when first asked for
    from ledger.law.manifest import manifest  # noqa: PLC0415 -- see above

    limits = clock_rules()
    return book_of(limits.law, manifest(), limits, procedure.load().halves)


# --------------------------------------------------------------------------------------- the matter


@dataclass(frozen=True, slots=True)
class Matter:
    """
    The acts of a case, what is known beside them, and the law they are held against.

    Attributes:
        folded: the acts, and what belongs to what.
        book: the law.
        clocks: the clocks of the case, by limit in small letters and starting entry.
        marks: by entry.
        declared: competences declared, by authority.
        outside: the uses against conditions that an act is.
        at: the instant at which all is read.
        known_on: the day whose knowledge of the law counts; None for today's.
    """

    folded: Folded
    book: Book
    clocks: Mapping[tuple[str, int | None], Clock]
    marks: Mapping[int, Mark]
    declared: Mapping[str, tuple[Declared, ...]]
    outside: Callable[[Act], tuple[Outside, ...]]
    at: int
    known_on: date | None
    halves: dict[str, dict[int, Act | None]] = field(default_factory=dict)

    def kind(self, act: Act) -> str | None:
        """The kind of authority whose act it is, where it is known."""
        return self.folded.seat(act.actor).authority_kind

    def on(self, act: Act) -> date:
        """The day of an act, where its actor sits."""
        return (_EPOCH + timedelta(microseconds=act.until_at)).date()

    def issued(self, request: str | None) -> Act | None:
        """The act that created a request."""
        return self.folded.issued.get(request or "")

    def thing(self, act: Act, request: str | None) -> Act:
        """The act by which the conditions of a datum are read: that of the request, or of the stream."""
        return self.issued(request) or self.folded.created.get(act.subject, act)

    def of(self, kind: type[_KIND], instrument: str, country: str | None, on: date) -> list[_KIND]:
        """The data of a kind in force on a day, as a State has them."""
        return [d for d in self.book.data(kind, instrument, country) if self.book.in_force(d, on, self.known_on)]

    def later(self, names: Iterable[str], subject: str, act: Act) -> Act | None:
        """The first act of one of *names* on a stream that need not lie before another act."""
        found = (a for a in self.folded.streams.get(subject, ()) if a.act in names and a.until_at >= act.from_at)
        return next((a for a in found if a is not act), None)

    def partner(self, act: Act) -> Act | None:
        """The other half of an act that gives or takes; a report is none."""
        if act.subject not in self.halves:
            pairs: dict[int, Act | None] = {}
            stream = self.folded.streams.get(act.subject, ())
            for one in self.book.halves:
                free = [a for a in stream if a.act == one.second and not a.reported]
                for first in (a for a in stream if a.act == one.first):
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
        country = self.folded.seat(str(to)).country
        return country is not None and country == self.folded.seat(second.actor, second.country).country


def _list(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else []


def _matches(patterns: Iterable[Pattern], act: Act) -> bool:
    return any(pattern.matches(act.act, act.body) for pattern in patterns)


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


Check: TypeAlias = Callable[[Matter, Duty, Act, "str | None"], "tuple[Verdict, ...]"]
"""Of a matter, a duty, the triggering act and its request: nothing where the duty does not arise."""


def _consult_first_ground(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """
    The refusal invokes a ground that has to be consulted on first.

    A code that several grounds of the instrument have is consulted on if the article that the refusal names
    is one of those, or if it names none.
    """
    country = matter.folded.part(duty.by, act, request)[1]
    thing = matter.thing(act, request).body
    first = [
        ground
        for ground in matter.of(Ground, duty.instrument, country, matter.on(act))
        if ground.consult_first and act.act in ground.acts and ground.where.matches(thing)
    ]
    # Where a State only words the ground anew, the instrument itself says that it is consulted on first.
    itself = matter.of(Ground, duty.instrument, None, matter.on(act))
    sure = {ground.id for ground in (*itself, *first) if ground.consult_first and ground.verified}
    given = act.body.get("grounds")
    for invoked in given if isinstance(given, (list, tuple)) else ():
        code, article = (
            (invoked.get("ground"), invoked.get("article")) if isinstance(invoked, dict) else (invoked, None)
        )
        for ground in first:
            if code in ground.grounds and (article is None or _same_article(str(article), ground.article)):
                words = f"the ground {str(code).replace('_', ' ')} (Article {ground.article}) is consulted on first"
                return (Verdict(words, verified=ground.id in sure),)
    return ()


def _same_article(named: str, article: str) -> bool:
    """Whether an article that an act names is, or contains or lies in, one that the law names."""
    one, other = (text.replace(" ", "").casefold() for text in (named, article))
    return one.startswith(other) or other.startswith(one)


def _competences(matter: Matter, duty: Duty, act: Act, request: str | None) -> list[Competence]:
    country = matter.folded.part("requesting", act, request)[1]
    thing = matter.thing(act, request).body
    found = matter.of(Competence, duty.instrument, country, matter.on(act))
    return [one for one in found if act.act in one.acts and one.where.matches(thing)]


def _order_without_competence(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """
    The kind of authority that ordered is in no competence, or its own declared competence lacks the measure.

    The second is what an authority that could not order it at home lacks (C-724/19).
    """
    order = matter.issued(request) or act
    gone = matter.later(("request.withdrawn",), order.subject, order)
    competences = _competences(matter, duty, order, request)
    kind = matter.kind(order)
    if competences and kind is not None and not any(kind in (*c.kinds, *c.with_validation) for c in competences):
        verified = all(c.verified for c in competences)
        words = f"{kind.replace('_', ' ')} is no kind of authority that may order it"
        return (Verdict(words, resolved=gone, verified=verified),)
    declared = [d for d in matter.declared.get(order.actor or "", ()) if d.from_at <= order.until_at]
    asked = _list(order.body.get("measures"))
    functions = {c.function for c in competences if c.function is not None}
    able: set[str] = set()
    for one in declared:
        if not functions or functions & one.functions:
            able |= one.measures
    lacks = [measure for measure in asked if measure not in able]
    if declared and lacks:
        words = "its declared competence does not have " + ", ".join(m.replace("_", " ") for m in lacks)
        return (Verdict(words, resolved=gone),)
    return ()


def _validation_missing(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """The order's authority needs a validation; one by a kind of authority that validates counts."""
    order = matter.issued(request) or act
    competences = _competences(matter, duty, order, request)
    kind = matter.kind(order)
    if kind is None or any(kind in c.kinds for c in competences):
        return ()
    needed = [c for c in competences if kind in c.with_validation]
    if not needed:
        return ()
    by = {one for c in needed for one in c.validated_by}

    def counts(found: Act) -> bool:
        who = matter.kind(found)
        return who is None or not by or who in by

    gone = matter.later(("request.withdrawn",), order.subject, order)
    return (Verdict("", counts, gone, verified=all(c.verified for c in needed)),)


def _no_remedy(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """A remedy rule of the State that ordered says that its law has none (C-852/19)."""
    order = matter.issued(request) or act
    _, country = matter.folded.part("requesting", order, request)
    gone = matter.later(("request.withdrawn",), order.subject, order)
    return tuple(
        Verdict(f"the law of {country} has no remedy: {one.text}", resolved=gone, verified=one.verified)
        for one in matter.of(Remedy, duty.instrument, country, matter.on(order))
        if not one.available and order.act in one.against and one.where.matches(order.body)
    )[:1]


def _use_outside_conditions(matter: Matter, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    return tuple(_outside(matter, one) for one in matter.outside(act))


def _outside(matter: Matter, one: Outside) -> Verdict:
    # The rule of use is named as its source: several may be broken by one act.
    ended = None if one.ended_by is None else next((a for a in matter.folded.acts if a.index == one.ended_by), None)
    return Verdict(one.why, None, ended, one.verified, one.uncertain, value=one.source)


def _deferral_without_review(matter: Matter, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """A deferral names no day of review, or that day has passed and nobody looked again."""
    review = act.body.get("review_due_at")
    again = next(
        (
            a
            for a in matter.folded.streams.get(act.subject, ())
            if a is not act
            and a.from_at >= act.from_at
            and a.act in {act.act, "person.informed"}
            and a.body.get("person") == act.body.get("person")
        ),
        None,
    )
    if not isinstance(review, int):
        return (Verdict("the deferral names no day of review", resolved=again),)
    if matter.at < review or (again is not None and again.from_at <= review):
        return ()
    return (Verdict("its day of review has passed without a review", resolved=again),)


def _half_missing(matter: Matter, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """The other half was not said by the other side; what only a report says is not said by it."""
    other = matter.partner(act)
    return (Verdict("", lambda found: other is not None and found.index == other.index),)


def _form_incomplete(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[Verdict, ...]:
    """A required particular is carried nowhere; what rests on unverified particulars is said apart."""
    order = matter.issued(request) or act
    country = matter.folded.part("requesting", order, request)[1]
    bearer = act
    wanted = _particulars(matter, duty, act, order, country)
    if not wanted and order is not act:
        bearer, wanted = order, _particulars(matter, duty, order, order, country)
    mark = matter.marks.get(bearer.index)
    lacks = form.lacking(wanted, bearer.body, frozenset() if mark is None else mark.carried)
    gone = next(
        (
            a
            for a in matter.folded.streams.get(bearer.subject, ())
            if a.until_at >= bearer.from_at
            and (a.act == "request.withdrawn" or (a.act == "request.supplement_provided" and _complete(a)))
        ),
        None,
    )
    verdicts = []
    for verified in (True, False):
        these = [p for p in lacks if p.verified == verified]
        if these:
            parts = ", ".join(f"{p.form} {p.section}".strip() + f" ({p.id})" for p in these)
            verdicts.append(Verdict(f"the form lacks {parts}", None, gone, verified))
    return tuple(verdicts)


def _complete(act: Act) -> bool:
    return act.body.get("completeness") == "complete"


def _particulars(matter: Matter, duty: Duty, bearer: Act, order: Act, country: str | None) -> list[Particular]:
    wanted = form.required(
        matter.book.law,
        duty.instrument,
        bearer.act,
        order.body,
        on=matter.on(bearer),
        known=matter.known_on,
        country=country if (duty.instrument, country) in matter.book.law.overlays else None,
    )
    return list(wanted)


def _limit_lapsed(matter: Matter, duty: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """The limit has ended and nobody had acted; a duty that names no limit is triggered by the lapse itself."""
    if duty.limit is None:
        return (Verdict(),)
    clock = matter.clocks.get((duty.limit.casefold(), act.index))
    if clock is None or clock.standing not in {"lapsed", "late"}:
        return ()
    return (Verdict(verified=clock.verified, uncertain=clock.uncertain),)


def _rights_unrecorded(_matter: Matter, duty: Duty, _act: Act, _request: str | None) -> tuple[Verdict, ...]:
    """No status is recorded for the right that the duty's id names after ``right_``; else for any right."""
    before, named, right = duty.id.partition("right_")
    del before

    def recorded(found: Act) -> bool:
        rights = found.body.get("rights")
        if not named or not isinstance(rights, (list, tuple)):
            return True
        return any(isinstance(one, dict) and one.get("right") == right for one in rights)

    words = f"nothing is recorded of the right: {right.replace('_', ' ')}" if named else ""
    return (Verdict(words, recorded, value=right or None),)


def _assurance_missing(_: Matter, duty: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    """Each condition that the duty names has an assurance on the topic of the same name."""
    asked = {value for pattern in duty.when for value in pattern.when.get("conditions", ())}
    needed = [one for one in _list(act.body.get("conditions")) if one in asked]

    def counts(topic: str) -> Callable[[Act], bool]:
        return lambda found: found.body.get("topic") == topic

    if not needed:
        return (Verdict(),)
    return tuple(Verdict(f"on {one.replace('_', ' ')}", counts(one), value=one) for one in needed)


def _listed_offence(matter: Matter, _: Duty, __: Act, ___: str | None) -> tuple[Verdict, ...]:
    """
    The case has an offence of the list.

    Whether it is punishable by three years where it was committed is nowhere on the ledger: the finding is a
    question.
    """
    offences = {
        offence
        for opened in matter.folded.named.get("case.opened", ())
        for offence in _list(opened.body.get("offences"))
    }
    # The code list is that of the instruments; "other" is what they do not list.
    listed = sorted(offences - {"other"})
    if not listed:
        return ()
    words = "on the list: " + ", ".join(one.replace("_", " ") for one in listed)
    return (Verdict(words, uncertain=True),)


def _cost_exceptional(matter: Matter, _: Duty, act: Act, __: str | None) -> tuple[Verdict, ...]:
    if act.body.get("exceptional") is True:
        return (Verdict(),)
    reported = (a for a in matter.folded.streams.get(act.subject, ()) if a.act == "costs.reported")
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

    Returns:
        What is pending, missing, and what was put right, by the triggering entry.

    Cost: O(acts x duties that each may trigger), some tens of µs each.
    """
    given = tuple(acts)
    bound = at if happened_by is None else min(at, happened_by)
    corrections = {act.corrects: act for act in given if act.corrects is not None}
    counted = [act for act in given if act.from_at <= bound]
    folded = Folded([act for act in counted if act.statement not in corrections], seats, law.limits)
    running = tuple(clocks)
    matter = Matter(
        folded,
        law,
        {(clock.limit.casefold(), clock.index): clock for clock in running},
        marks,
        declared or {},
        outside or (lambda _: ()),
        at,
        known_on,
    )
    found: list[Finding] = []
    for act in folded.acts:
        found += _of_act(matter, act)
    for act in counted:
        if act.statement in corrections:
            found += _corrected(matter, act, corrections[act.statement])
    found += _lapsed(matter, running)
    return tuple(sorted(_heard(matter, found), key=_by_trigger))


def _by_trigger(one: Finding) -> tuple[int, str, str, str, str]:
    return one.index, one.instrument, one.rule, one.value or "", one.detail


def _of_act(matter: Matter, act: Act) -> Iterator[Finding]:
    request, instruments = matter.folded.under(act)
    halved = used = False
    for instrument in _read_together(matter.book.law, instruments):
        for duty in _triggered(matter, instrument, act, request):
            halved = halved or duty.check == "half_missing"
            used = used or duty.check == "use_outside_conditions"
            yield from _duty(matter, duty, act, request)
    if request is None and not act.basis:
        for duty in matter.book.unasked(act.act):
            if _matches(duty.when, act) and matter.book.in_force(duty, matter.on(act), matter.known_on):
                yield from _duty(matter, duty, act, None, unasked=True)
    if not halved:
        yield from _half(matter, act, request)
    if not used and act.act in USES:
        yield from (_used(matter, act, request, one) for one in matter.outside(act))


def _read_together(law: Law, instruments: Sequence[str]) -> Iterator[str]:
    """Instruments, and those that they are read together with, each once."""
    seen: set[str] = set()
    for name in instruments:
        one = law.instruments.get(name)
        for each in (name, *(() if one is None else one.with_instruments)):
            if each in law.instruments and each not in seen:
                seen.add(each)
                yield each


def _triggered(matter: Matter, instrument: str, act: Act, request: str | None) -> Iterator[Duty]:
    """The duties that an act triggers: each as the State that must act has it, in the version of that day."""
    law, on = matter.book, matter.on(act)
    overlaid = law.overlaid(instrument)
    thing = matter.thing(act, request).body
    acting: dict[str, str | None] = {}
    for country in (None, *overlaid):
        for duty in law.triggered(instrument, country, act.act):
            if duty.by not in acting:
                acting[duty.by] = matter.folded.part(duty.by, act, request)[1]
            who = acting[duty.by]
            if (who != country) if country is not None else (who in overlaid):
                continue
            if _matches(duty.when, act) and duty.where.matches(thing) and law.in_force(duty, on, matter.known_on):
                yield duty


def _duty(matter: Matter, duty: Duty, act: Act, request: str | None, *, unasked: bool = False) -> Iterator[Finding]:
    values: list[str | None] = [None]
    if duty.each is not None:
        values = list(_list(act.body.get(duty.each)))
    own = matter.folded.seat(act.actor, act.country).country or act.country
    verdicts = (Verdict(),) if duty.check is None else CHECKED[duty.check](matter, duty, act, request)
    for value in values:
        if duty.other_state and value == own:
            continue
        # Between States only one of which the instrument binds, nothing is owed under it.
        if unasked and not all(matter.book.bound(duty.instrument, one, matter.on(act)) for one in (own, value)):
            continue
        for verdict in verdicts:
            found = _missing(matter, duty, act, request, value, verdict)
            if found is not None:
                yield found


def _missing(
    matter: Matter, duty: Duty, act: Act, request: str | None, value: str | None, verdict: Verdict
) -> Finding | None:
    """The finding, unless what the duty asks for was done in time."""
    begins, ends = _time(matter, duty, act, request)
    done: Act | None = None
    for found in _belonging(matter, duty, act, request):
        if _matches(duty.unless, found):
            return None
        if done is not None or not _matches(duty.then, found) or not _fulfils(duty, act, found, value):
            continue
        if verdict.fulfils is not None and not verdict.fulfils(found):
            continue
        if duty.timing != "before" and found.until_at < act.from_at:
            continue
        if duty.timing == "before" and found.from_at <= act.until_at:
            return None
        if duty.timing != "before" and (ends is None or found.from_at <= ends):
            return None
        done = found
    if done is None:
        done = verdict.resolved
    pending = done is None and (ends is None or matter.at < ends)
    if pending and not duty.then and duty.timing in {"whenever", "at_once", "together"}:
        # Nothing can be done about it any more: it is so from the trigger on.
        pending, begins, ends = False, act.from_at, act.until_at
    return _finding(matter, duty, act, request, value, verdict, (begins, ends), done, pending=pending)


def _time(matter: Matter, duty: Duty, act: Act, request: str | None) -> tuple[int | None, int | None]:
    """Until when a duty may be done, at the earliest and the latest reading; None where the text has no time."""
    if duty.timing == "before":
        return act.from_at, act.until_at
    if duty.timing in {"together", "at_once"} or duty.check == "half_missing":
        # The days of acts are known to the day; within one, nobody is found to have hesitated.
        return act.from_at + _DAY, act.until_at + _DAY
    if duty.timing == "within":
        if duty.limit is not None:
            clock = matter.clocks.get((duty.limit.casefold(), act.index))
            if clock is None or clock.standing in {"met", "waived"}:
                return None, None
            return clock.due_earliest_at or clock.due_at, clock.due_at
        if duty.within is not None:
            days = {"hours": 1 / 24, "weeks": 7, "months": 31, "years": 366}.get(duty.within.unit, 1)
            length = int(duty.within.count * days * _DAY)
            return act.from_at + length, act.until_at + length
    # "Whenever" has no time; when the matter is closed it can no longer come.
    closed = _closed(matter, act, request)
    return (None, None) if closed is None else (closed.from_at, closed.until_at)


def _closed(matter: Matter, act: Act, request: str | None) -> Act | None:
    streams = dict.fromkeys((act.subject, request or "", act.case))
    found = (matter.later(("request.closed", "case.closed"), one, act) for one in streams)
    return next((a for a in found if a is not None), None)


def _belonging(matter: Matter, duty: Duty, act: Act, request: str | None) -> Iterator[Act]:
    """The acts that may fulfil a duty or make it fall away, in the order in which they happened."""
    folded = matter.folded
    names = {pattern.act for pattern in (*duty.then, *duty.unless)}
    candidates = [a for name in sorted(names) for a in folded.named.get(name, ()) if a is not act]
    if len(names) > 1:
        candidates.sort(key=lambda a: (a.from_at, a.until_at, a.index))
    for found in candidates:
        if duty.match == "answers":
            if not _answers(folded, found, act.statement):
                continue
        elif duty.match == "case":
            other = folded.request(found)
            if other is not None and request is not None and other != request:
                continue
        elif found.subject != act.subject and folded.request(found) != act.subject:
            continue
        yield found


def _answers(folded: Folded, found: Act, statement: str) -> bool:
    """Whether an act answers a statement, or points to it, at once or through others."""
    queue, seen = [found], set[str]()
    while queue:
        one = queue.pop()
        if statement in one.answers or statement in one.body.values():
            return True
        for other in one.answers:
            if other not in seen and other in folded.said:
                seen.add(other)
                queue.append(folded.said[other])
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
    matter: Matter,
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
    authority, country = matter.folded.part(duty.by, act, request)
    to_authority, to_country = (None, None) if duty.to is None else matter.folded.part(duty.to, act, request)
    if duty.other_state and value is not None:
        to_authority, to_country = None, value
    words = verdict.detail
    if duty.then and not words.startswith(("the form", "nothing")):
        names = " or ".join(dict.fromkeys(pattern.act.replace("_", " ") for pattern in duty.then))
        missing = f"no {names}" + ("" if value is None else f" to {value}")
        words = f"{words}: {missing}" if words else missing
    return Finding(
        kind=duty.check or "duty",
        rule=duty.id,
        instrument=duty.instrument,
        article=duty.article,
        text=duty.text,
        edition=matter.book.edition(duty),
        verified=duty.verified and verdict.verified,
        known_from_on=None if duty.known_from_on is None else duty.known_from_on.isoformat(),
        rulings=matter.book.rulings(duty, matter.known_on),
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
        answer_due_at=None if pending else _answer_due(matter, duty, act, since[1]),
        reported=act.reported or (done is not None and done.reported),
        uncertain=verdict.uncertain,
    )


def _answer_due(matter: Matter, duty: Duty | None, act: Act, since: int | None) -> int:
    """Nobody can answer before the act is known, nor before anybody could know that it was a duty."""
    mark = matter.marks.get(act.index)
    begins = max(since or act.until_at, act.until_at if mark is None else mark.known_at)
    days = float(ANSWER_DAYS)
    if duty is not None and duty.known_from_on is not None:
        known = datetime.combine(duty.known_from_on, datetime.min.time(), UTC) - _EPOCH
        begins = max(begins, known // timedelta(microseconds=1))
    if duty is not None and duty.answer_within is not None:
        unit = {"hours": 1 / 24, "weeks": 7.0, "months": 31.0, "years": 366.0}.get(duty.answer_within.unit, 1.0)
        days = duty.answer_within.count * unit
    return begins + int(days * _DAY)


def _corrected(matter: Matter, act: Act, by: Act) -> Iterator[Finding]:
    """What an act that was corrected had triggered: put right by the correction."""
    for one in _of_act(matter, act):
        if one.standing == "observation":
            yield replace(one, standing="resolved", resolved_by=by.index, resolved_act=by.act)


def _half(matter: Matter, act: Act, request: str | None) -> Iterator[Finding]:
    """A half that the other side has not said: the ledger's own procedure knows both."""
    halves = next((one for one in matter.book.halves if act.act in {one.first, one.second}), None)
    if halves is None:
        return
    other = matter.partner(act)
    first = act.act == halves.first
    if act.reported and any(
        a.act in {halves.first, halves.second} and a is not act for a in matter.folded.streams.get(act.subject, ())
    ):
        # A report beside what somebody concerned says adds nothing that is missing.
        return
    ends = act.until_at + _DAY
    if other is not None and other.from_at <= ends:
        return
    if other is not None and not first:
        return
    to = act.body.get("to") or act.body.get("recipient") if first else act.body.get("from_authority")
    authority = str(to) if isinstance(to, str) else None
    seat = matter.folded.seat(authority)
    yield Finding(
        kind="half_missing",
        rule=halves.second if first else halves.first,
        instrument=_LEDGER,
        article="",
        text=halves.words,
        edition=matter.book.law.edition,
        verified=True,
        known_from_on=None,
        rulings=(),
        detail=f"no {(halves.second if first else halves.first).replace('_', ' ')} by the other side",
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
        standing="resolved" if other is not None else "pending" if matter.at < ends else "observation",
        resolved_by=None if other is None else other.index,
        resolved_act=None if other is None else other.act,
        answer_due_at=None if matter.at < ends else _answer_due(matter, None, act, ends),
        reported=act.reported,
    )


def _used(matter: Matter, act: Act, request: str | None, one: Outside) -> Finding:
    """A use against a condition that no duty of an instrument speaks of."""
    authority, country = matter.folded.part("publisher", act, request)
    return Finding(
        kind="use_outside_conditions",
        rule=one.source,
        instrument=one.instrument,
        article=one.article,
        text=one.text,
        edition=one.edition or matter.book.law.edition,
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
        answer_due_at=_answer_due(matter, None, act, act.until_at),
        reported=act.reported,
        uncertain=one.uncertain,
    )


#: Of limits of these natures, the end without an act is a lapse that concerns somebody.
_KEPT: Final = frozenset({"act", "maximum", "minimum"})
_MISSED: Final = frozenset({"lapsed", "late", "early"})


def _lapsed(matter: Matter, running: Iterable[Clock]) -> Iterator[Finding]:
    """Each limit that ended without the act, or in which the act came late."""
    for clock in running:
        if clock.nature not in _KEPT or clock.standing not in _MISSED or clock.index is None or clock.trigger is None:
            continue
        act = matter.folded.said.get(clock.trigger)
        if act is None:
            continue
        words = f"ended on {clock.last_day}" if clock.last_day else "has ended"
        if clock.standing == "early":
            words = f"kept less long than until {clock.last_day}"
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
            detail=f"{words}; {clock.consequence}",
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
            answer_due_at=_answer_due(matter, None, act, clock.due_at),
            reported=clock.reported,
            uncertain=clock.uncertain,
        )


# --------------------------------------------------------------------------------------- the answers


def _heard(matter: Matter, found: Iterable[Finding]) -> Iterator[Finding]:
    """Say which authority answered, which body found the same, and what is a finding by now."""
    answers = matter.folded.named.get("finding.answered", [])
    issued = matter.folded.named.get("finding.issued", [])
    for one in found:
        same = [a for a in issued if _speaks_of(a, one)]
        answer = next((a for a in answers if _answered(matter, a, one, same)), None)
        heard = replace(
            one,
            issued_by=tuple(a.index for a in same),
            answered_by=None if answer is None else answer.index,
            answer=None if answer is None else str(answer.body.get("answer")),
        )
        if one.standing == "observation":
            # What only a report says stays an observation until the authority has answered it.
            passed = not one.reported and one.answer_due_at is not None and matter.at >= one.answer_due_at
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


def _answered(matter: Matter, act: Act, one: Finding, same: Sequence[Act]) -> bool:
    if act.reported or act.actor is None:
        return False
    if one.authority is not None:
        concerned = act.actor == one.authority
    else:
        concerned = one.country is not None and matter.folded.seat(act.actor).country == one.country
    return concerned and (_speaks_of(act, one) or any(a.statement in act.answers for a in same))
