"""
The use rules of instruments under which exhibits and persons fell, whom they bind and until when: pure.

What is handed over under an instrument may be used, passed on or held against a person only so far. Such a rule
attaches by an act, goes along with every derivation, disclosure and hand-over, allows more by consents, and ends
by an act or with its time. Conditions that an authority attached itself are followed by `projections.travelling`.

How an act stands to either is judged by `projections.breaches`; what somebody asks of them is answered by
`projections.binding`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.errors import FormatError, NotFound
from ledger.law.data import Limit
from projections.matters import listed, matches, order
from projections.running import Reason, calendar_of, instant, micros

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from ledger.law.data import Reach, Use
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.rules import Book
    from projections.running import Clock

__all__ = [
    "Attached",
    "Carried",
    "Consent",
    "attached",
    "exhibits_of",
    "named_takers",
    "person_of",
    "takers_of",
    "travelled",
]

#: Acts by which an exhibit comes to somebody: said by who gives it, or by who takes it.
_GIVING: Final = frozenset(
    {
        "disclosure.made", "exhibit.handed_over", "joint_team.material_shared", "result.handed_over",
        "spontaneous_information.sent",
    }
)  # fmt: skip
_TAKING: Final = frozenset({"exhibit.taken_over", "result.received"})

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


def attached(
    folded: Folded,
    book: Book,
    clocks: Iterable[Clock],
    *,
    known_on: date | None,
    beyond: Folded | None = None,
) -> tuple[Attached, ...]:
    """
    Return the use rules of instruments under which the things and persons of a case fell.

    Args:
        folded: the acts of the case.
        book: the law.
        clocks: those of the case: a rule may end with a limit.
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
        on = instant(act.until_at).date()
        together = book.limits.together(instruments)
        under: list[tuple[str, Reach | None]] = [(name, None) for name in together]
        under += folded.reached(act, together)
        for instrument, reach in under:
            for rule in book.attaching(instrument, act.act):
                if not matches(rule.attaches_to, act) or not rule.where.matches(thing):
                    continue
                if not book.in_force(rule, on, known_on):
                    continue
                if reach is None:
                    # As it holds between the two States of its request, on the day on which that was made.
                    use: Use | None = rule
                    if issued is not None:
                        made_on = instant(issued.until_at).date()
                        use = book.limits.between(rule, *folded.sides(issued.subject), made_on)
                else:
                    said = folded.binds(instrument, reach, rule.binds, act, request, on)
                    use = None if said is None else rule if said.verified else book.limits.unsure(rule)
                if use is None:
                    continue
                # An exception that no field tells apart stays a doubt; one that does, ends the matter.
                if any(one.where.only and one.where.matches(thing) for one in use.exceptions):
                    continue
                found.append(_attached(folded, wide, book, use, act, request, running))
    return tuple(found)


def _attached(
    folded: Folded,
    wide: Folded,
    book: Book,
    use: Use,
    act: Act,
    request: str | None,
    clocks: Sequence[Clock],
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
        things, carried, bound = travelled(wide, originals, start, country, index=act.index, from_at=act.from_at)
        rule = replace(rule, things=things, carried=carried, bound=(*rule.bound, *bound))
    rule = replace(rule, consents=tuple(_consents(wide, rule, use, act)))
    rule = _with_end(wide, rule, use, act)
    return _with_time(folded, rule, use, act, request, book, clocks)


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
    found = dict.fromkeys(one for other in folded.streams.get(act.subject, ()) for one in exhibits_of(other))
    if not found and request is not None:
        found = dict.fromkeys(one for other in folded.streams.get(request, ()) for one in exhibits_of(other))
    if not found and act.act.startswith("interception."):
        found = dict.fromkeys(_intercepted(folded, act))
    return list(found)


def _intercepted(folded: Folded, act: Act) -> Iterator[str]:
    """The exhibits that come from the measure of which a State was told."""
    told = next((a for a in folded.streams.get(act.subject, ()) if a.act == "interception.notified"), act)
    for made in folded.named.get("exhibit.acquired", ()):
        measure = folded.said.get(str(made.body.get("measure")))
        if measure is not None and measure.body.get("measure") == told.body.get("measure"):
            yield made.subject


def exhibits_of(act: Act) -> list[str]:
    """The exhibits that an act lists, or whose stream it is on."""
    named = act.body.get("exhibits")
    if isinstance(named, (list, tuple)):
        return listed(named)
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
    return tuple(named_takers(act))


def named_takers(act: Act) -> Collection[str]:
    """To whom an act itself says that it gives something."""
    found: dict[str, None] = {}
    for name in ("to", "recipient", "recipients", "downloaders"):
        value = act.body.get(name)
        if isinstance(value, str):
            found[value] = None
        elif isinstance(value, (list, tuple)):
            found.update(dict.fromkeys(str(one) for one in value))
    return found


def travelled(
    folded: Folded,
    originals: Iterable[str],
    start: Mapping[str, int],
    country: str | None,
    *,
    index: int,
    from_at: int,
) -> tuple[tuple[str, ...], tuple[Carried, ...], tuple[tuple[str, int], ...]]:
    """
    Follow exhibits from those who are bound, through every derivation, disclosure and hand-over.

    Args:
        folded: the acts, of every case that the exhibits may have gone through.
        originals: the exhibits.
        start: who is bound, and since when.
        country: a State all of whose authorities are bound; None for no such State.
        index: the entry by which the exhibits fell under the rule.
        from_at: when that was, µs.

    Returns:
        The exhibits with all that was derived from them, the steps, and who came to be bound with the entry.

    Cost: O(acts on exhibits), once more for each step that was recorded out of order.
    """
    things = dict.fromkeys(originals)
    since = dict(start)
    bound: dict[str, int] = {}
    steps: dict[int, Carried] = {}
    acts = [a for name in ("exhibit.derived", *sorted(_GIVING | _TAKING)) for a in folded.named.get(name, ())]
    acts.sort(key=order)
    changed = True
    while changed:
        changed = False
        for act in acts:
            if act.index in steps:
                continue
            if act.act == "exhibit.derived":
                if things.keys().isdisjoint(listed(act.body.get("parents"))):
                    continue
                things.setdefault(act.subject)
                mine, giver, takers = [act.subject], None, tuple[str, ...]()
            else:
                mine = [one for one in exhibits_of(act) or _received(folded, act) if one in things]
                giver, takers = _giver(act), takers_of(folded, act)
                if not mine or act.index == index or act.until_at < from_at:
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
            offences=tuple(listed(asked.body.get("offences"))),
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
            offences=tuple(listed(asked.body.get("offences"))),
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
    return replace(
        plain, purposes=tuple(listed(body.get("purposes"))), recipients=tuple(listed(body.get("recipients")))
    )


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
    later.sort(key=order)
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
        due = book.limits.due(limit, instant(act.until_at), calendar_of(folded, limit, act, request))
    except (FormatError, NotFound) as error:
        return replace(rule, limit=limit.id, problem=str(error))
    end = micros(due.at)
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
