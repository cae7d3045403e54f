"""
Use rules and assurances that travel with an exhibit or a person, and the uses against them: pure.

Conditions that an authority attached are followed by `projections.provenance`, through every disclosure,
derivation and hand-over. Beside them stand the rules of the instruments themselves: what is handed over
under one may be used, passed on or held against a person only so far. Both are read as they stood on the
day of the use: a consent that came later does not make it right, and one that was taken back no longer does.

What somebody asks of conditions is answered by `projections.binding`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.errors import FormatError, NotFound
from ledger.law.data import Limit
from projections import provenance
from projections.checks import Outside, Overdue
from projections.duties import USES
from projections.running import Reason, calendar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ledger.law.data import Pattern, Reach, Use
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.provenance import Provenance
    from projections.rules import Book
    from projections.running import Clock
    from projections.sight import Sight
    from projections.travelling import Condition
    from projections.views import Views

__all__ = [
    "Attached",
    "Carried",
    "Consent",
    "Judged",
    "against_conditions",
    "against_rules",
    "attached",
    "condition_breach",
    "exhibits_of",
    "judged",
    "meant_by",
    "overdue",
    "person_of",
    "recalled",
    "takers_of",
    "travelled",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: What a hand-over is for, where its reason says so in the words of a purpose.
_REASONS: Final[Mapping[str, frozenset[str]]] = {
    "prosecution": frozenset({"criminal_proceedings", "named_proceedings"}),
    "trial": frozenset({"criminal_proceedings", "named_proceedings"}),
    "examination": frozenset({"examination"}),
}

#: Acts by which an exhibit comes to somebody: said by who gives it, or by who takes it.
_GIVING: Final = frozenset(
    {
        "disclosure.made", "exhibit.handed_over", "joint_team.material_shared", "result.handed_over",
        "spontaneous_information.sent",
    }
)  # fmt: skip
_TAKING: Final = frozenset({"exhibit.taken_over", "result.received"})

#: Acts by which a person goes on to another State.
_ONWARD: Final = frozenset({"surrender.decided", "extradition.decided", "person.handed_over"})

#: Acts that are about a person though they need not name one.
_OF_PERSONS: Final = ("person.", "surrender.", "extradition.", "assurance.", "safe_conduct.", "speciality_consent.",
                      "consent.")  # fmt: skip

#: What is done once, rather than kept: the end of a limit is when it is due, not when it no longer binds.
_TO_DO: Final = frozenset({"retention", "return", "assurance"})


@dataclass(frozen=True, slots=True)
class Consent:
    """
    A consent to more than a rule allows, and its scope; an empty scope leaves nothing out.

    Attributes:
        index, act: the entry, and what it was.
        from_at, until_at: when.
        purposes, recipients: for which uses, and whom.
        offences: for which other offences.
        onward_to: the State to which a person may go on; None where it is not about that.
        asked_index: the request for it that says the scope; None where none is shown.
        withdrawn_index, withdrawn_at: where it was taken back.
    """

    index: int
    act: str
    from_at: int
    until_at: int
    purposes: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    offences: tuple[str, ...] = ()
    onward_to: str | None = None
    asked_index: int | None = None
    withdrawn_index: int | None = None
    withdrawn_at: int | None = None

    def given_before(self, act: Act) -> bool:
        """Whether it was there when something was done, and had not been taken back."""
        return self.from_at <= act.until_at and (self.withdrawn_at is None or self.withdrawn_at > act.from_at)


@dataclass(frozen=True, slots=True)
class Carried:
    """
    One step by which what is under a rule went on.

    Attributes:
        index, act: the entry, and what it was.
        from_at, until_at: when.
        exhibits: what went on; for a derivation what came of it.
        giver: from whom; None where nobody is named.
        takers: to whom.
    """

    index: int
    act: str
    from_at: int
    until_at: int
    exhibits: tuple[str, ...]
    giver: str | None
    takers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """
    A use rule of an instrument under which something fell.

    Attributes:
        rule, instrument, article, text, edition, verified, known_from_on: the rule.
        nature: a key of `ledger.law.data.USES`.
        index: the entry by which it attached; `act` what that was.
        from_at: since when it binds.
        case, request: its case, and the request that it belongs to.
        originals: exhibits that fell under it; empty for a person.
        things: those, with all that was derived from them.
        person: the person under it; None for exhibits.
        role, authority, country: who is bound.
        sender, origin: whose act brought it under the rule, and the State where that authority sits.
        purposes: what stays allowed; empty where the rule is not about purposes.
        towards: whither it must not go on, a key of `ledger.law.data.TOWARDS`; None where the rule does not say.
        consents: what allowed more.
        carried: how it went on, from one who is bound.
        bound: who is bound besides, and by which entry.
        done: for what is to be given back or erased: each thing, and the entry.
        ended_by: the entry that ended it, or by which all was done.
        ended_at: when that was.
        ends_at: when it ends by itself; None where it does not.
        due_at: by when it is to be done; None where no time is computed.
        last_day: the last local day of either.
        limit, steps: the rule of time, and the computation.
        problem: why the time cannot be computed.
        uncertain: whether an exception that no field tells apart may apply.
        in_force: whether it binds at the instant asked about.
    """

    rule: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    known_from_on: str | None
    nature: str
    index: int
    act: str
    from_at: int
    case: str
    request: str | None
    originals: tuple[str, ...]
    things: tuple[str, ...]
    person: str | None
    role: str
    authority: str | None
    country: str | None
    sender: str | None
    origin: str | None
    purposes: tuple[str, ...]
    towards: str | None = None
    consents: tuple[Consent, ...] = ()
    carried: tuple[Carried, ...] = ()
    bound: tuple[tuple[str, int], ...] = ()
    done: tuple[tuple[str, int], ...] = ()
    ended_by: int | None = None
    ended_at: int | None = None
    ends_at: int | None = None
    due_at: int | None = None
    last_day: str | None = None
    limit: str | None = None
    steps: tuple[Reason, ...] = ()
    problem: str | None = None
    uncertain: bool = False
    in_force: bool = True


def attached(
    folded: Folded,
    book: Book,
    clocks: Iterable[Clock],
    *,
    at: int,
    known_on: date | None,
    beyond: Folded | None = None,
) -> tuple[Attached, ...]:
    """
    Return the use rules of instruments under which the things and persons of a case fell.

    Args:
        folded: the acts of the case.
        book: the law.
        clocks: those of the case: a rule may end with a limit.
        at: the instant at which they are read, µs.
        known_on: the day whose knowledge of the law counts; None for today's.
        beyond: those acts with the acts of other cases, through which the things may have gone on.

    Cost: O(acts x use rules that each may attach), and for each rule one pass over the acts on exhibits.
    """
    running = tuple(clocks)
    wide = folded if beyond is None else beyond
    found = []
    for act in folded.acts:
        request, instruments = folded.under(act)
        issued = folded.issued.get(request or "")
        thing = (issued or folded.created.get(act.subject, act)).body
        on = _instant(act.until_at).date()
        together = book.limits.together(instruments)
        under: list[tuple[str, Reach | None]] = [(name, None) for name in together]
        under += folded.reached(act, together)
        for instrument, reach in under:
            for rule in book.attaching(instrument, act.act):
                if not _matches(rule.attaches_to, act) or not rule.where.matches(thing):
                    continue
                if not book.in_force(rule, on, known_on):
                    continue
                if reach is None:
                    use = _held(folded, book, rule, issued, request)
                else:
                    said = folded.binds(instrument, reach, rule.binds, act, request, on)
                    use = None if said is None else rule if said.verified else book.limits.unsure(rule)
                if use is None:
                    continue
                # An exception that no field tells apart stays a doubt; one that does, ends the matter.
                if any(one.where.only and one.where.matches(thing) for one in use.exceptions):
                    continue
                found.append(_attached(folded, wide, book, use, act, request, running, at))
    return tuple(found)


def _held(folded: Folded, book: Book, use: Use, issued: Act | None, request: str | None) -> Use | None:
    """A rule as it holds between the two States of its request, on the day on which that was made."""
    if issued is None:
        return use
    requesting, requested = (folded.part(role, issued, request)[1] for role in ("requesting", "requested"))
    return book.limits.between(use, requesting, requested, _instant(issued.until_at).date())


def _attached(
    folded: Folded,
    wide: Folded,
    book: Book,
    use: Use,
    act: Act,
    request: str | None,
    clocks: Sequence[Clock],
    at: int,
) -> Attached:
    authority, country = folded.part(use.binds, act, request)
    person = person_of(folded, act)
    # Whoever is asked keeps the request secret, not the result, which is there to be handed over.
    asked = use.nature == "confidentiality" and use.binds in {"requested", "addressee", "notified"}
    originals = () if person is not None or asked else tuple(_things(folded, act, request))
    takers = takers_of(folded, act) if authority is None and country is None else ()
    if use.binds == "member":
        # What one member shares binds all of the team.
        takers = tuple(sorted(folded.members(act) - {authority}))
    rule = Attached(
        rule=use.id,
        instrument=use.instrument,
        article=use.article,
        text=use.text,
        edition=book.edition(use),
        verified=use.verified,
        known_from_on=None if use.known_from_on is None else use.known_from_on.isoformat(),
        nature=use.nature,
        index=act.index,
        act=act.act,
        from_at=act.from_at,
        case=act.case,
        request=request,
        originals=originals,
        things=originals,
        person=person,
        role=use.binds,
        authority=authority,
        country=country,
        sender=act.actor,
        origin=folded.seat(act.actor, act.country).country,
        purposes=use.purposes,
        towards=use.towards,
        bound=tuple((taker, act.index) for taker in takers),
        uncertain=any(not one.where.only for one in use.exceptions) or _depends(use, act),
    )
    if originals:
        start = dict.fromkeys((*takers, *(() if authority is None else (authority,))), act.from_at)
        things, carried, bound = travelled(wide, originals, start, country, act)
        rule = replace(rule, things=things, carried=carried, bound=(*rule.bound, *bound))
    rule = replace(rule, consents=tuple(_consents(wide, rule, use, act)))
    rule = _with_end(wide, rule, use, act)
    rule = _with_time(folded, rule, use, act, request, book, clocks)
    over = rule.ended_at is not None or (rule.ends_at is not None and at >= rule.ends_at)
    return replace(rule, in_force=not over)


def _depends(use: Use, act: Act) -> bool:
    """
    Whether the rule depends on what no field tells.

    An exclusion that neither an answer sets nor an act ends speaks of a quality of the material, or of the
    use, and a wish for confidentiality is nowhere recorded; that a State answered is.
    """
    set_by_answer = any(pattern.act == act.act and pattern.when for pattern in use.attaches_to)
    if use.nature == "exclusion":
        return not (set_by_answer or use.ends_by) or act.act.startswith("interception.answered")
    return use.nature == "confidentiality" and use.binds != "addressee" and not set_by_answer


# ------------------------------------------------------------------------- what falls under a rule


def _things(folded: Folded, act: Act, request: str | None) -> list[str]:
    """The exhibits that an act brings under a rule: those it lists, or those of what it is said of."""
    own = exhibits_of(act)
    if own:
        return own
    listed = dict.fromkeys(one for other in folded.streams.get(act.subject, ()) for one in exhibits_of(other))
    if not listed and request is not None:
        listed = dict.fromkeys(one for other in folded.streams.get(request, ()) for one in exhibits_of(other))
    if not listed and act.act.startswith("interception."):
        listed = dict.fromkeys(_intercepted(folded, act))
    return list(listed)


def _intercepted(folded: Folded, act: Act) -> Iterator[str]:
    """The exhibits that come from the measure of which a State was told."""
    told = next((a for a in folded.streams.get(act.subject, ()) if a.act == "interception.notified"), act)
    for made in folded.named.get("exhibit.acquired", ()):
        measure = folded.said.get(str(made.body.get("measure")))
        if measure is not None and measure.body.get("measure") == told.body.get("measure"):
            yield made.subject


def exhibits_of(act: Act) -> list[str]:
    """The exhibits that an act lists, or whose stream it is on."""
    listed = act.body.get("exhibits")
    if isinstance(listed, (list, tuple)):
        return [str(one) for one in listed]
    return [act.subject] if act.act.startswith(("exhibit.", "provenance.")) else []


def person_of(folded: Folded, act: Act) -> str | None:
    """The person whom an act is about, as it says or as its stream does; None for an act on no person."""
    if not act.act.startswith(_OF_PERSONS):
        return None
    named = act.body.get("person")
    if named is None:
        stream = folded.streams.get(act.subject, ())
        named = next((a.body.get("person") for a in stream if a.body.get("person") is not None), None)
    if named is None:
        issued = folded.issued.get(folded.request(act) or "")
        persons = () if issued is None else issued.body.get("persons")
        if isinstance(persons, (list, tuple)) and len(persons) == 1:
            named = persons[0]
    return str(named or act.subject)


def takers_of(folded: Folded, act: Act) -> tuple[str, ...]:
    """To whom an act gives something: as it names them, or who asked for the result."""
    if act.act in _TAKING:
        return () if act.actor is None else (act.actor,)
    if act.act == "result.handed_over":
        issued = folded.issued.get(folded.request(act) or "")
        return () if issued is None or issued.actor is None else (issued.actor,)
    return tuple(_named_takers(act))


def _named_takers(act: Act) -> Collection[str]:
    found: dict[str, None] = {}
    for name in ("to", "recipient", "recipients", "downloaders"):
        value = act.body.get(name)
        if isinstance(value, str):
            found[value] = None
        elif isinstance(value, (list, tuple)):
            found.update(dict.fromkeys(str(one) for one in value))
    return found


def travelled(
    folded: Folded, originals: Iterable[str], start: Mapping[str, int], country: str | None, begun: Act
) -> tuple[tuple[str, ...], tuple[Carried, ...], tuple[tuple[str, int], ...]]:
    """
    Follow exhibits from those who are bound, through every derivation, disclosure and hand-over.

    Args:
        folded: the acts, of every case that the exhibits may have gone through.
        originals: the exhibits.
        start: who is bound, and since when.
        country: a State all of whose authorities are bound; None for no such State.
        begun: the act by which the exhibits fell under the rule.

    Returns:
        The exhibits with all that was derived from them, the steps, and who came to be bound with the entry.

    Cost: O(acts on exhibits), once more for each step that was recorded out of order.
    """
    things = dict.fromkeys(originals)
    since = dict(start)
    bound: dict[str, int] = {}
    steps: dict[int, Carried] = {}
    acts = [a for name in ("exhibit.derived", *sorted(_GIVING | _TAKING)) for a in folded.named.get(name, ())]
    acts.sort(key=lambda a: (a.from_at, a.until_at, a.index))
    changed = True
    while changed:
        changed = False
        for act in acts:
            if act.index in steps:
                continue
            if act.act == "exhibit.derived":
                parents = act.body.get("parents")
                if not isinstance(parents, (list, tuple)) or not any(str(one) in things for one in parents):
                    continue
                things.setdefault(act.subject)
                mine, giver, takers = [act.subject], None, tuple[str, ...]()
            else:
                mine = [one for one in exhibits_of(act) or _received(folded, act) if one in things]
                giver, takers = _giver(act), takers_of(folded, act)
                if not mine or act is begun or act.until_at < begun.from_at:
                    continue
                if not _is_bound(folded, giver, since, country, act):
                    continue
            changed = True
            steps[act.index] = Carried(act.index, act.act, act.from_at, act.until_at, tuple(mine), giver, takers)
            for taker in takers:
                if taker not in since:
                    since[taker] = act.from_at
                    bound[taker] = act.index
    ordered = sorted(steps.values(), key=lambda one: (one.from_at, one.until_at, one.index))
    return tuple(things), tuple(ordered), tuple(bound.items())


def _received(folded: Folded, act: Act) -> list[str]:
    """What was received without being listed anew: what the other half lists."""
    if act.act != "result.received":
        return []
    return [one for a in folded.streams.get(act.subject, ()) if a.act == "result.handed_over" for one in exhibits_of(a)]


def _giver(act: Act) -> str | None:
    if act.act not in _TAKING:
        return act.actor
    named = act.body.get("from_authority")
    return None if named is None else str(named)


def _is_bound(folded: Folded, one: str | None, since: Mapping[str, int], country: str | None, act: Act) -> bool:
    if one is None:
        return False
    if one in since:
        return act.until_at >= since[one]
    return country is not None and folded.seat(one).country == country


# ---------------------------------------------------------------------------- consents, ends, times


def _consents(folded: Folded, rule: Attached, use: Use, act: Act) -> Iterator[Consent]:
    """What allowed more: a consent may come first, as a person renounces before being handed over."""
    for pattern in use.consent_by:
        for one in folded.named.get(pattern.act, ()):
            if one is act or not pattern.matches(one.act, one.body) or not _about(folded, rule, one, act):
                continue
            given = _consent(folded, one)
            if given is not None and _of_the_kind(rule, given):
                yield given


def _consent(folded: Folded, act: Act) -> Consent | None:
    """A consent with its scope; None where it was denied, whatever the rule asks of the act."""
    body = act.body
    plain = Consent(act.index, act.act, act.from_at, act.until_at)
    if act.act == "onward_disclosure.consent_decided":
        if body.get("outcome") != "accepted":
            return None
        asked = _asked(folded, act, "onward_disclosure.consent_requested")
        if asked is None:
            return plain
        purpose, to = asked.body.get("purpose"), asked.body.get("new_recipient")
        return replace(
            plain,
            purposes=() if purpose is None else (str(purpose),),
            recipients=() if to is None else (str(to),),
            offences=tuple(_list(asked.body.get("offences"))),
            asked_index=asked.index,
        )
    if act.act == "speciality_consent.decided":
        if body.get("granted") is not True:
            return None
        asked = _asked(folded, act, "speciality_consent.requested")
        if asked is None:
            return plain
        to = asked.body.get("onward_to")
        return replace(
            plain,
            offences=tuple(_list(asked.body.get("offences"))),
            onward_to=None if to is None else str(to),
            asked_index=asked.index,
        )
    if act.act == "consent.recorded":
        gone = next(
            (
                a
                for a in folded.streams.get(act.subject, ())
                if a.act == "consent.withdrawn" and a.until_at >= act.from_at
            ),
            None,
        )
        return plain if gone is None else replace(plain, withdrawn_index=gone.index, withdrawn_at=gone.from_at)
    return replace(plain, purposes=tuple(_list(body.get("purposes"))), recipients=tuple(_list(body.get("recipients"))))


def _asked(folded: Folded, act: Act, name: str) -> Act | None:
    """The request that a decision answers: as it says, else the last one on its stream before it."""
    for one in act.answers:
        found = folded.said.get(one)
        if found is not None and found.act == name:
            return found
    before = [a for a in folded.streams.get(act.subject, ()) if a.act == name and a.from_at <= act.until_at]
    return before[-1] if before else None


def _of_the_kind(rule: Attached, given: Consent) -> bool:
    """Whether a consent is one to what the rule restrains: to prosecute, or to let go on."""
    if rule.person is None or given.asked_index is None:
        return True
    return (given.onward_to is not None) == (rule.nature == "onward")


def _about(folded: Folded, rule: Attached, one: Act, act: Act) -> bool:
    """Whether a consent or an end is said of what is under the rule, or of what belongs to its request."""
    if rule.person is not None:
        asked = _asked(folded, one, "speciality_consent.requested") if one.act.endswith("consent.decided") else None
        named = (asked or one).body.get("person")
        if named is not None:
            return str(named) == rule.person
        return one.subject == act.subject or person_of(folded, one) == rule.person
    if one.subject == act.subject or act.statement in one.answers:
        return True
    mine = exhibits_of(one) or [e for a in folded.streams.get(one.subject, ()) for e in exhibits_of(a)]
    if mine and rule.things:
        return not set(mine).isdisjoint(rule.things)
    if one.case != act.case:
        return False
    other = folded.request(one)
    return other is None or rule.request is None or other == rule.request


def _with_end(folded: Folded, rule: Attached, use: Use, act: Act) -> Attached:
    """What ended the rule; what is to be done with several things is at an end with the last of them."""
    later = [
        a
        for pattern in use.ends_by
        for a in folded.named.get(pattern.act, ())
        if a is not act
        and a.until_at >= act.from_at
        and pattern.matches(a.act, a.body)
        and _about(folded, rule, a, act)
    ]
    later.sort(key=lambda a: (a.from_at, a.until_at, a.index))
    if rule.nature not in {"return", "retention"} or not rule.originals:
        first = next(iter(later), None)
        return rule if first is None else replace(rule, ended_by=first.index, ended_at=first.from_at)
    wanted = rule.originals if rule.nature == "return" else rule.things
    done: dict[str, tuple[int, int]] = {}
    for one in later:
        if one.act == "exhibit.returned" and not _goes_back(folded, rule, one):
            continue
        if one.body.get("scope") == "partial":
            # What part of it was erased is not told: it is not done with.
            continue
        mine = exhibits_of(one) or [e for a in folded.streams.get(one.subject, ()) for e in exhibits_of(a)]
        for thing in (mine or wanted) if one.act == "payload.erased" else mine:
            if thing in wanted:
                done.setdefault(thing, (one.index, one.from_at))
    rule = replace(rule, done=tuple((thing, index) for thing, (index, _) in done.items()))
    if set(wanted) <= done.keys():
        last = max(done.values(), key=lambda pair: (pair[1], pair[0]))
        return replace(rule, ended_by=last[0], ended_at=last[1])
    return rule


def _goes_back(folded: Folded, rule: Attached, act: Act) -> bool:
    """Whether what is returned goes to the State that it came from."""
    there = folded.seat(str(act.body.get("to"))).country
    return there is None or rule.origin is None or there == rule.origin


def _with_time(
    folded: Folded, rule: Attached, use: Use, act: Act, request: str | None, book: Book, clocks: Sequence[Clock]
) -> Attached:
    """Until when it binds, or by when it is to be done, as the rules of counting have it."""
    to_do = use.nature in _TO_DO
    name = (use.limit or "").casefold()
    for clock in clocks:
        if not name or clock.limit.casefold() != name or not _runs_for(folded, clock, rule, act):
            continue
        if clock.standing == "waived":
            continue
        rule = replace(rule, limit=clock.limit, steps=clock.steps, last_day=clock.last_day, problem=clock.problem)
        return replace(rule, due_at=clock.due_at) if to_do else replace(rule, ends_at=clock.due_at)
    if use.within is None:
        return replace(rule, limit=use.limit)
    limit = Limit(
        id=use.limit or use.id,
        instrument=use.instrument,
        article=use.article,
        text=use.text,
        from_on=use.from_on,
        verified=use.verified,
        basis=use.basis,
        by=use.binds,
        within=use.within,
        counting=book.law.instruments[use.instrument].counting,
        calendar=use.binds,
        consequence="",
    )
    try:
        due = book.limits.due(limit, _instant(act.until_at), calendar_of(folded, limit, act, request))
    except (FormatError, NotFound) as error:
        return replace(rule, limit=limit.id, problem=str(error))
    end = (due.at - _EPOCH) // _MICROSECOND
    rule = replace(
        rule,
        limit=limit.id,
        last_day=due.last_on.isoformat(),
        steps=tuple(Reason(step.article, step.text) for step in due.steps),
        verified=rule.verified and due.verified,
    )
    return replace(rule, due_at=end) if to_do else replace(rule, ends_at=end)


def _runs_for(folded: Folded, clock: Clock, rule: Attached, act: Act) -> bool:
    """Whether a clock is that of the rule: started by the same act, or by a later one on the same person."""
    if clock.index is None or clock.index == act.index:
        return clock.index is not None
    start = folded.said.get(clock.trigger or "")
    if start is None or start.until_at < act.from_at:
        return False
    if rule.person is not None:
        return person_of(folded, start) == rule.person
    return clock.request is not None and clock.request == rule.request


def _matches(patterns: Iterable[Pattern], act: Act) -> bool:
    return any(pattern.matches(act.act, act.body) for pattern in patterns)


def _list(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else []


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


# ---------------------------------------------------------------------------------- the uses against


def overdue(rules: Iterable[Attached], clocks: Iterable[Clock], *, at: int) -> Iterator[Overdue]:
    """
    What was to be given back or erased by a day and was not, or only later.

    Where a limit of its own runs for it, the lapse of that is what is found, and nothing is said here.
    """
    running = {(clock.limit.casefold(), clock.index) for clock in clocks}
    for rule in rules:
        if rule.nature not in {"retention", "return"} or rule.due_at is None or at < rule.due_at:
            continue
        if rule.ended_at is not None and rule.ended_at < rule.due_at:
            continue
        if ((rule.limit or "").casefold(), rule.index) in running or (rule.nature == "return" and rule.consents):
            continue
        wanted = rule.originals if rule.nature == "return" else rule.things
        what = "given back" if rule.nature == "return" else "erased"
        some = f" (done for {len(rule.done)} of {len(wanted)})" if rule.done and rule.ended_by is None else ""
        yield Overdue(
            rule.index,
            rule.rule,
            rule.instrument,
            rule.article,
            rule.text,
            rule.edition,
            rule.verified,
            rule.known_from_on,
            f"it was to be {what} by {_day(rule.last_day)}{some}",
            rule.role,
            rule.authority,
            rule.country,
            rule.due_at,
            rule.ended_by,
            rule.uncertain,
        )


def _day(text: str | None) -> str:
    found = date.fromisoformat(text or "")
    return f"{found.day} {found:%B %Y}"


class Judged(NamedTuple):
    """
    How a use stands to a rule: within it, allowed by a consent, or against it.

    Attributes:
        why: in words, why it is against the rule; None where it is not.
        consent: the entry of the consent that it needed; None where it needed none, or has none.
        uncertain: whether the ledger can tell.
    """

    why: str | None
    consent: int | None = None
    uncertain: bool = False


_WITHIN: Final = Judged(None)


def against_rules(folded: Folded, rules: Iterable[Attached], act: Act, book: Book) -> Iterator[Outside]:
    """
    The use rules of instruments against which an act goes.

    Only what codes can tell is said: a purpose that is not among those allowed, a passing on without
    consent, new proceedings against a person surrendered for others, a person let go on, or told.
    """
    for rule in rules:
        found = judged(folded, rule, act, book)
        if found is not None and found.why is not None:
            yield Outside(
                rule.index,
                rule.rule,
                found.why,
                rule.instrument,
                rule.article,
                rule.text,
                rule.edition,
                rule.verified,
                recalled(folded, act),
                found.uncertain,
            )


def judged(folded: Folded, rule: Attached, act: Act, book: Book) -> Judged | None:
    """
    Say how an act stands to a rule; None where it is no use of what is under it by one who is bound.

    Args:
        folded: the acts.
        rule: as `attached` gives it.
        act: the act.
        book: the law, which says which States an instrument binds.
    """
    if act.act not in USES or act.index == rule.index or act.until_at < rule.from_at:
        return None
    if rule.ends_at is not None and act.from_at >= rule.ends_at:
        return None
    if rule.ended_at is not None and rule.ended_at <= act.until_at:
        return None
    bound = _binds(folded, rule, act)
    if not bound:
        return None
    given = [one for one in rule.consents if one.given_before(act)]
    if rule.person is not None:
        return _of_person(folded, rule, act, given, book)
    if rule.nature == "confidentiality" and not rule.originals:
        return _told(folded, rule, act, given)
    used = set(exhibits_of(act)) & set(rule.things)
    return _of_exhibits(folded, rule, act, given, book) if used else None


def _binds(folded: Folded, rule: Attached, act: Act) -> bool:
    if act.actor is not None and (act.actor == rule.authority or act.actor in dict(rule.bound)):
        return True
    country = folded.seat(act.actor, act.country).country
    return country is not None and country == rule.country


def _of_person(folded: Folded, rule: Attached, act: Act, given: Sequence[Consent], book: Book) -> Judged | None:
    if rule.nature == "speciality" and act.act == "proceedings.opened":
        registered = [a.body.get("person") for a in folded.streams.get(act.subject, ()) if a.act == "person.registered"]
        if registered and rule.person not in registered:
            return None
        if given:
            # For which offence is nowhere on the ledger; a consent for named ones leaves that open.
            return Judged(None, given[0].index, uncertain=all(one.offences for one in given))
        return Judged("new proceedings against a person who was surrendered for others, without consent", None, True)
    if rule.nature != "onward" or act.act not in _ONWARD or person_of(folded, act) != rule.person:
        return None
    if act.body.get("outcome") in {"no", "postponed"}:
        return None
    _, to = folded.part("requesting", act, folded.request(act))
    if to is not None and to in {rule.origin, rule.country}:
        return None
    if to is not None and rule.towards is not None:
        bound = book.bound(rule.instrument, to, _instant(act.until_at).date())
        if bound != (rule.towards == "bound"):
            return None
    allowed = next((one for one in given if one.onward_to is None or to is None or one.onward_to == to), None)
    if allowed is not None:
        return Judged(None, allowed.index)
    where = "another State" if to is None else to
    # Where it is not known whither, both the rule on States that are bound and that on others may be meant.
    unsure = rule.uncertain or (to is None and rule.towards is not None)
    return Judged(f"the person goes on to {where}, without the consent that the rule requires", None, unsure)


def _told(folded: Folded, rule: Attached, act: Act, given: Sequence[Consent]) -> Judged | None:
    """Who has to keep a request secret tells somebody of it."""
    if act.act != "person.informed" or act.body.get("subject_matter") not in {"measure", "decision"}:
        return None
    other = folded.request(act)
    if rule.request is None or (other is not None and other != rule.request) or act.case != rule.case:
        return None
    if given:
        return Judged(None, given[0].index)
    return Judged("a person was told, where the rule asks for confidentiality", None, rule.uncertain or other is None)


def _of_exhibits(folded: Folded, rule: Attached, act: Act, given: Sequence[Consent], book: Book) -> Judged | None:
    takers, meant = takers_of(folded, act), meant_by(act)
    fitting = [one for one in given if not one.recipients or set(takers) <= set(one.recipients)]
    if rule.nature in {"purpose", "speciality"} and rule.purposes:
        if not meant or meant & set(rule.purposes):
            return _WITHIN
        for one in fitting:
            if not one.purposes or meant & set(one.purposes):
                return Judged(None, one.index)
        allowed = {*rule.purposes, *(purpose for one in fitting for purpose in one.purposes)}
        return Judged(f"for {_words(meant)}, where only {_words(allowed)} is allowed", None, rule.uncertain)
    if rule.nature == "exclusion" and rule.role != "sending":
        return _by_consent(fitting, meant) or Judged("what must not be used was used", None, rule.uncertain)
    if rule.nature == "confidentiality":
        if not _leaves(folded, rule, act, takers):
            return _WITHIN
        why = "what is to be kept confidential was passed on"
        return _by_consent(fitting, meant) or Judged(why, None, rule.uncertain)
    if rule.nature == "onward" and act.act != "result.handed_over":
        if not _goes_where_it_must_not(folded, rule, act, takers, book):
            return _WITHIN
        why = "passed on without the consent that the rule requires"
        return _by_consent(fitting, meant) or Judged(why, None, rule.uncertain)
    return _WITHIN


def _by_consent(given: Sequence[Consent], meant: Collection[str]) -> Judged | None:
    found = next((one for one in given if not one.purposes or not meant or set(meant) & set(one.purposes)), None)
    return None if found is None else Judged(None, found.index)


def _leaves(folded: Folded, rule: Attached, act: Act, takers: Collection[str]) -> bool:
    """Whether something leaves the State of who gives it, and does not go back where it came from."""
    own = folded.seat(act.actor, act.country).country
    there = {folded.seat(taker).country for taker in takers}
    return bool({one for one in there if one is None or one not in {own, rule.origin}}) or not takers


def _goes_where_it_must_not(folded: Folded, rule: Attached, act: Act, takers: Collection[str], book: Book) -> bool:
    """Whether something goes to a State of which the rule speaks, as far as it is known: a third one, or one bound."""
    if act.body.get("third_country_basis") is not None:
        return rule.towards != "bound"
    if not _leaves(folded, rule, act, takers):
        return False
    on = _instant(act.until_at).date()
    there = {folded.seat(taker).country for taker in takers} - {rule.origin}
    if rule.towards == "bound":
        own = folded.seat(act.actor, act.country).country
        return any(one is None or (one != own and book.bound(rule.instrument, one, on)) for one in there)
    return not there or any(one is None or not book.bound(rule.instrument, one, on) for one in there)


def meant_by(act: Act) -> frozenset[str]:
    """For what an act uses something, as far as its codes say."""
    purpose = act.body.get("purpose")
    if isinstance(purpose, str):
        return frozenset({purpose})
    if act.act == "joint_team.material_shared":
        return frozenset({"joint_team"})
    return _REASONS.get(str(act.body.get("reason")), frozenset())


def _words(codes: Iterable[str]) -> str:
    return " or ".join(code.replace("_", " ") for code in sorted(codes))


def recalled(folded: Folded, act: Act) -> int | None:
    """The entry by which what was passed on was taken back: the recall, once it was implemented."""
    done = (a for a in folded.streams.get(act.subject, ()) if a.act == "recall.implemented")
    return next((a.index for a in done if act.act in {"disclosure.made", "spontaneous_information.sent"}), None)


def against_conditions(
    views: Views, folded: Folded, *, known_by: int | None, sight: Sight
) -> Callable[[Act], Iterator[Outside]]:
    """
    Return what tells the attached conditions against which an act goes.

    Each exhibit that the act uses is followed to its origin as things stood when it was used, by what the viewer
    may see: an onward hand-over or a lifting out of its sight changes nothing.

    Cost: that of `provenance.exhibit` for each exhibit that an act uses.
    """
    read: dict[tuple[str, int], Provenance | None] = {}

    def followed(exhibit: str, at: int) -> Provenance | None:
        key = (exhibit, at)
        if key not in read:
            try:
                read[key] = provenance.exhibit(views, exhibit, happened_by=at, known_by=known_by, sight=sight)
            except NotFound:
                read[key] = None
        return read[key]

    def against(act: Act) -> Iterator[Outside]:
        if act.act not in USES or act.actor is None:
            return
        seen: set[str] = set()
        for exhibit in exhibits_of(act):
            chain = followed(exhibit, act.until_at)
            for condition in () if chain is None else chain.conditions:
                why = condition_breach(views, condition, act)
                if why is not None and condition.condition not in seen:
                    seen.add(condition.condition)
                    yield Outside(condition.index, condition.condition, why, ended_by=recalled(folded, act))

    return against


def condition_breach(views: Views, condition: Condition, act: Act) -> str | None:
    """Why an act goes against an attached condition, as that stood then; None where it does not."""
    if not condition.in_force:
        return None
    bound = next((one for one in condition.recipients if one.authority.id == act.actor), None)
    if bound is None:
        # Nobody is shown to have given it to him; what his State has under a condition, he has under it.
        own = views.who(act.actor).country
        bound = next((one for one in condition.recipients if own is not None and one.authority.country == own), None)
    if bound is None or bound.free:
        return None
    meant = meant_by(act)
    if meant and not meant & set(bound.purposes):
        return f"for {_words(meant)}, where only {_words(bound.purposes)} is allowed"
    named = {one.authority.id for one in condition.recipients if one.through is None}
    for taker in _named_takers(act):
        there = views.who(taker).country
        # Who has it from one bound in the same State is bound with him; abroad it must be allowed.
        if taker not in named and (there is None or there != bound.authority.country):
            return "passed on to an authority that the condition does not name"
    return None
