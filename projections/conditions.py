"""
Use rules and assurances that travel with an exhibit or a person, and the uses against them.

Conditions that an authority attached are followed by `projections.provenance`, through every disclosure,
derivation and hand-over. Beside them stand the rules of the instruments themselves: what is handed over
under one may be used, passed on or held against a person only so far. Both are read as they stood on the
day of the use: a consent that came later does not make it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections import provenance
from projections.duties import USES, Outside

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from ledger.law.data import Pattern, Use
    from projections.clocks import Act, Clock
    from projections.clocks import _Matter as Folded
    from projections.duties import Book
    from projections.provenance import Condition, Provenance
    from projections.views import Views

__all__ = ["Attached", "against_conditions", "against_rules", "attached"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400_000_000

#: What a hand-over is for, where its reason says so in the words of a purpose.
_REASONS: Final[Mapping[str, frozenset[str]]] = {
    "prosecution": frozenset({"criminal_proceedings", "named_proceedings"}),
    "trial": frozenset({"criminal_proceedings", "named_proceedings"}),
    "examination": frozenset({"examination"}),
}


@dataclass(frozen=True, slots=True)
class Attached:
    """
    A use rule of an instrument under which something fell.

    Attributes:
        rule, instrument, article, text, edition, verified: the rule.
        nature: a key of `ledger.law.data.USES`.
        index: the entry by which it attached; `act` what that was.
        case: its case.
        things: exhibits under it, with all that was derived from them; empty for a person.
        person: the person under it; None for exhibits.
        role, authority, country: who is bound.
        purposes: what stays allowed; empty where the rule is not about purposes.
        consents: entries that allowed more.
        ended_by: the entry that ended it.
        ends_at: when it ends by itself; None where it does not.
        in_force: whether it binds at the instant asked about.
    """

    rule: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    nature: str
    index: int
    act: str
    case: str
    things: tuple[str, ...]
    person: str | None
    role: str
    authority: str | None
    country: str | None
    purposes: tuple[str, ...]
    consents: tuple[int, ...]
    ended_by: int | None
    ends_at: int | None
    in_force: bool


def attached(
    folded: Folded, book: Book, clocks: Iterable[Clock], *, at: int, known_on: date | None
) -> tuple[Attached, ...]:
    """
    Return the use rules of instruments under which the things and persons of a case fell.

    Args:
        folded: the acts of the case.
        book: the law.
        clocks: those of the case: a rule may end with a limit.
        at: the instant at which they are read, µs.
        known_on: the day whose knowledge of the law counts; None for today's.

    Cost: O(acts x use rules that each may attach).
    """
    ends = {(clock.limit.casefold(), clock.index): clock for clock in clocks}
    found = []
    for act in folded.acts:
        request, instruments = folded.under(act)
        issued = folded.issued.get(request or "")
        thing = (issued or folded.created.get(act.subject, act)).body
        on = (_EPOCH + timedelta(microseconds=act.until_at)).date()
        for instrument in instruments:
            for use in book.attaching(instrument, act.act):
                if not _matches(use.attaches_to, act) or not use.where.matches(thing):
                    continue
                if not book.in_force(use, on, known_on):
                    continue
                # An exception that no field tells apart stays a doubt; one that does, ends the matter.
                if any(one.where.only and one.where.matches(thing) for one in use.exceptions):
                    continue
                found.append(_attached(folded, book, use, act, request, ends, at))
    return tuple(found)


def _attached(
    folded: Folded,
    book: Book,
    use: Use,
    act: Act,
    request: str | None,
    ends: Mapping[tuple[str, int | None], Clock],
    at: int,
) -> Attached:
    authority, country = folded.part(use.binds, act, request)
    later = [a for a in folded.acts if a is not act and a.until_at >= act.from_at]
    # A consent may come first, as a person renounces before being handed over.
    consents = [a for a in folded.acts if a is not act and _matches(use.consent_by, a)]
    ended = next((a for a in later if _matches(use.ends_by, a) and _near(folded, a, act, request)), None)
    clock = ends.get(((use.limit or "").casefold(), act.index))
    ends_at = None if clock is None else clock.due_at
    if ends_at is None and use.within is not None:
        days = {"hours": 1 / 24, "weeks": 7, "months": 31, "years": 366}.get(use.within.unit, 1)
        ends_at = act.until_at + int(use.within.count * days * _DAY)
    person = _person(folded, act)
    return Attached(
        use.id,
        use.instrument,
        use.article,
        use.text,
        book.edition(use),
        use.verified,
        use.nature,
        act.index,
        act.act,
        act.case,
        () if person is not None else _derived(folded, _exhibits(act)),
        person,
        use.binds,
        authority,
        country,
        use.purposes,
        tuple(a.index for a in consents if _near(folded, a, act, request)),
        None if ended is None else ended.index,
        ends_at,
        ended is None and (ends_at is None or at < ends_at),
    )


def _near(folded: Folded, one: Act, act: Act, request: str | None) -> bool:
    """Whether a consent or an end is said of the same thing, or of what belongs to its request."""
    if one.subject == act.subject or act.statement in one.answers:
        return True
    other = folded.request(one)
    return other is None or request is None or other == request


def _matches(patterns: Iterable[Pattern], act: Act) -> bool:
    return any(pattern.matches(act.act, act.body) for pattern in patterns)


def _exhibits(act: Act) -> list[str]:
    listed = act.body.get("exhibits")
    if isinstance(listed, (list, tuple)):
        return [str(one) for one in listed]
    return [act.subject] if act.act.startswith("exhibit.") else []


def _derived(folded: Folded, exhibits: Sequence[str]) -> tuple[str, ...]:
    """Exhibits and everything derived from them, in the order in which it was."""
    found = dict.fromkeys(exhibits)
    for act in folded.named.get("exhibit.derived", ()):
        parents = act.body.get("parents")
        if isinstance(parents, (list, tuple)) and any(parent in found for parent in parents):
            found.setdefault(act.subject)
    return tuple(found)


def _person(folded: Folded, act: Act) -> str | None:
    if not act.act.startswith("person."):
        return None
    named = act.body.get("person")
    if named is None:
        arrested = (a.body.get("person") for a in folded.streams.get(act.subject, ()) if a.act == "person.arrested")
        named = next(arrested, None)
    return str(named or act.subject)


# ---------------------------------------------------------------------------------- the uses against


def against_rules(folded: Folded, rules: Iterable[Attached], act: Act) -> Iterator[Outside]:
    """
    The use rules of instruments against which an act goes.

    Only what codes can tell is said: a purpose that is not among those allowed, a passing on without
    consent, new proceedings against a person surrendered for others.
    """
    if act.act not in USES:
        return
    country = folded.seat(act.actor, act.country).country
    by = {a.index: a for a in folded.acts}
    for rule in rules:
        bound = act.actor == rule.authority if rule.authority else country is not None and country == rule.country
        bound = bound or (rule.country is not None and country == rule.country)
        if not bound or act.index == rule.index or act.until_at < by[rule.index].from_at:
            continue
        if rule.ends_at is not None and act.from_at >= rule.ends_at:
            continue
        if rule.ended_by is not None and by[rule.ended_by].from_at <= act.until_at:
            continue
        given = [by[index] for index in rule.consents if by[index].from_at <= act.until_at]
        why, uncertain = _why(folded, rule, act, given)
        if why is not None:
            yield Outside(
                rule.index,
                rule.rule,
                why,
                rule.instrument,
                rule.article,
                rule.text,
                rule.edition,
                rule.verified,
                _recalled(folded, act),
                uncertain,
            )


def _why(folded: Folded, rule: Attached, act: Act, given: Sequence[Act]) -> tuple[str | None, bool]:
    if rule.person is not None:
        if act.act != "proceedings.opened" or rule.nature != "speciality" or given:
            return None, False
        registered = [a.body.get("person") for a in folded.streams.get(act.subject, ()) if a.act == "person.registered"]
        if registered and rule.person not in registered:
            return None, False
        # For which offence, and when it was committed, is nowhere on the ledger.
        return "new proceedings against a person who was surrendered for others, without consent", True
    if not set(_exhibits(act)) & set(rule.things):
        return None, False
    if rule.nature in {"purpose", "speciality"} and rule.purposes:
        meant = _meant(act)
        allowed = set(rule.purposes)
        for consent in given:
            more = consent.body.get("purposes")
            if not isinstance(more, (list, tuple)) or not more:
                return None, False
            allowed.update(map(str, more))
        if meant and not meant & allowed:
            return f"for {_words(meant)}, where only {_words(allowed)} is allowed", False
        return None, False
    if rule.nature == "exclusion" and not given:
        return "what must not be used was used", False
    if rule.nature == "onward" and not given and act.act != "result.handed_over":
        return "passed on without the consent that the rule requires", False
    return None, False


def _meant(act: Act) -> frozenset[str]:
    """For what an act uses something, as far as its codes say."""
    purpose = act.body.get("purpose")
    if isinstance(purpose, str):
        return frozenset({purpose})
    if act.act == "joint_team.material_shared":
        return frozenset({"joint_team"})
    return _REASONS.get(str(act.body.get("reason")), frozenset())


def _words(codes: Iterable[str]) -> str:
    return " or ".join(code.replace("_", " ") for code in sorted(codes))


def _recalled(folded: Folded, act: Act) -> int | None:
    """The entry by which what was passed on was taken back: the recall, once it was implemented."""
    done = (a for a in folded.streams.get(act.subject, ()) if a.act == "recall.implemented")
    return next((a.index for a in done if act.act in {"disclosure.made", "spontaneous_information.sent"}), None)


def against_conditions(views: Views, folded: Folded, *, known_by: int | None) -> Callable[[Act], Iterator[Outside]]:
    """
    Return what tells the attached conditions against which an act goes.

    Each exhibit that the act uses is followed to its origin as things stood when it was used.

    Cost: that of `provenance.exhibit` for each exhibit that an act uses.
    """
    read: dict[tuple[str, int], Provenance | None] = {}

    def followed(exhibit: str, at: int) -> Provenance | None:
        key = (exhibit, at)
        if key not in read:
            try:
                read[key] = provenance.exhibit(views, exhibit, happened_by=at, known_by=known_by)
            except NotFound:
                read[key] = None
        return read[key]

    def against(act: Act) -> Iterator[Outside]:
        if act.act not in USES or act.actor is None:
            return
        seen: set[str] = set()
        for exhibit in _exhibits(act):
            chain = followed(exhibit, act.until_at)
            for condition in () if chain is None else chain.conditions:
                why = _breach(views, condition, act)
                if why is not None and condition.condition not in seen:
                    seen.add(condition.condition)
                    yield Outside(condition.index, condition.condition, why, ended_by=_recalled(folded, act))

    return against


def _breach(views: Views, condition: Condition, act: Act) -> str | None:
    if not condition.in_force:
        return None
    bound = next((one for one in condition.recipients if one.authority.id == act.actor), None)
    if bound is None or bound.free:
        return None
    meant = _meant(act)
    if meant and not meant & set(bound.purposes):
        return f"for {_words(meant)}, where only {_words(bound.purposes)} is allowed"
    named = {one.authority.id for one in condition.recipients if one.through is None}
    for taker in _takers(act):
        there = views.who(taker).country
        # Who has it from one bound in the same State is bound with him; abroad it must be allowed.
        if taker not in named and (there is None or there != bound.authority.country):
            return "passed on to an authority that the condition does not name"
    return None


def _takers(act: Act) -> Collection[str]:
    found: dict[str, None] = {}
    for name in ("to", "recipient", "recipients", "downloaders"):
        value = act.body.get(name)
        if isinstance(value, str):
            found[value] = None
        elif isinstance(value, (list, tuple)):
            found.update(dict.fromkeys(str(one) for one in value))
    return found
