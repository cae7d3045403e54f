"""
What binds an exhibit, a person or a case: every condition, how it travelled, until when, and each use of it.

Three kinds of source stand side by side: use rules of instruments (`projections.conditions`), conditions that an
authority attached (`projections.travelling`), and assurances given for a person. Each names the entry by which it
came to bind, and the rule with article and edition where one is behind it. Nothing here decides: a use against a
condition is flagged with the source, and the flag stays with the entry that it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.acts import catalogue
from ledger.errors import NotFound
from projections import breaches, conditions, findings, provenance
from projections.duties import USES
from projections.facts import Clocks, Who, id_bytes, id_text
from projections.matters import listed, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.conditions import Attached
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.rules import Book
    from projections.running import Reason
    from projections.travelling import Condition
    from projections.views import Views

__all__ = ["STANDINGS", "Binding", "Bound", "Given", "Step", "Use", "case", "exhibit", "person"]

STANDINGS: Final = {
    "in_force": "it binds",
    "lifted": "it was lifted for everybody whom it bound",
    "expired": "the time for which it was to bind has ended",
    "ended": "an act has ended it",
    "done": "what was to be done was done: given back, erased, fulfilled",
    "partly_done": "of several things, some were given back or erased",
    "overdue": "what was to be done was not, and the time for it has passed",
    "requested": "an assurance was asked for, and none is recorded",
    "required": "an assurance was made a condition, and none is recorded",
    "insufficient": "an assurance was assessed, and did not suffice",
}
"""Where a condition stands."""


@dataclass(frozen=True, slots=True)
class Bound:
    """
    Somebody who is bound.

    Attributes:
        authority: who; where only a State is bound, an authority of it.
        index: the entry by which it came to be so; None where the rule itself says it.
        through: from whom it had what is under the condition; None where the condition names it.
        purposes: what it may use that for; empty where the condition is not about purposes.
        free: whether the condition was lifted for it.
        accepted: what it answered to the condition; None where no answer is shown.
    """

    authority: Who
    index: int | None = None
    through: Who | None = None
    purposes: tuple[str, ...] = ()
    free: bool = False
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step on which the condition went along: a disclosure, a derivation, a hand-over, of things or a person."""

    index: int
    act: str
    from_at: int
    until_at: int
    giver: Who | None
    takers: tuple[Who, ...]
    exhibits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """
    A consent, its scope, and the uses that it covers.

    An empty scope leaves nothing out. `asked_index` is the request that says the scope; `uses` are the entries
    of uses that needed it and are covered; `withdrawn_index` is the entry by which it was taken back.
    """

    index: int
    act: str
    from_at: int
    purposes: tuple[str, ...]
    recipients: tuple[Who, ...]
    offences: tuple[str, ...]
    onward_to: str | None
    asked_index: int | None
    withdrawn_index: int | None
    uses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """
    A use or onward disclosure of what is under a condition, by one who is bound.

    Attributes:
        index, act: the entry, and what it was.
        from_at, until_at: when.
        by, to: who used it, and to whom it went.
        exhibits: which of the things.
        purpose: for what, where the act says it.
        standing: `within` the condition, `by_consent`, or `against` it.
        why: in words, why it is against the condition.
        consent: the entry of the consent that it rests on.
        uncertain: whether the ledger can tell.
        put_right_by: the entry by which it was taken back.
    """

    index: int
    act: str
    from_at: int
    until_at: int
    by: Who
    to: tuple[Who, ...]
    exhibits: tuple[str, ...]
    purpose: str | None
    standing: str
    why: str | None = None
    consent: int | None = None
    uncertain: bool = False
    put_right_by: int | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """
    A condition, and everything that became of it.

    Attributes:
        source: `rule` of an instrument, `condition` of an authority, or `assurance` for a person.
        id: of the rule or condition; the topic of an assurance.
        instrument, article, text, edition, verified, known_from_on: of the rule; for what an authority set, its
            own words are its entry, and `verified` says nothing.
        nature: a key of `ledger.law.data.USES`.
        index, act: the entry by which it came to bind, and what that was.
        set_by: whose act that is.
        since_at: since when it binds.
        case: its case.
        things: exhibits under it, with what was derived from them.
        person: the person under it.
        role: who is bound, in the words of the rule; empty for a condition.
        bound: who is bound.
        purposes: what stays allowed; empty where it is not about purposes.
        carried: how it travelled.
        consents: what allowed more.
        uses: every use by one who is bound.
        ends_at: when it ends by itself; None where it does not.
        due_at: by when it is to be fulfilled; None where no time is computed.
        last_day: the last local day of either.
        limit, steps: the limit that says so, and the computation.
        problem: why the time cannot be computed.
        done: for what is to be given back or erased: each thing, and the entry.
        ended_by: the entry that ended or fulfilled it.
        standing: a key of `STANDINGS`.
        detail: more on the standing, in words.
        breached: whether a use that was not put right goes against it, or it is overdue.
        uncertain: whether an exception that no field tells apart may apply.
    """

    source: str
    id: str
    instrument: str
    article: str
    text: str
    edition: str
    verified: bool
    known_from_on: str | None
    nature: str
    index: int
    act: str
    set_by: Who
    since_at: int
    case: str
    things: tuple[str, ...]
    person: str | None
    role: str
    bound: tuple[Bound, ...]
    purposes: tuple[str, ...]
    carried: tuple[Step, ...] = ()
    consents: tuple[Given, ...] = ()
    uses: tuple[Use, ...] = ()
    ends_at: int | None = None
    due_at: int | None = None
    last_day: str | None = None
    limit: str | None = None
    steps: tuple[Reason, ...] = ()
    problem: str | None = None
    done: tuple[tuple[str, int], ...] = ()
    ended_by: int | None = None
    standing: str = "in_force"
    detail: str = ""
    breached: bool = False
    uncertain: bool = False


# ------------------------------------------------------------------------------------------- queries


def case(
    views: Views,
    case_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    law: Book | None = None,
) -> tuple[Binding, ...]:
    """
    Return what binds the exhibits and persons of a case, in the order of the log.

    Args:
        views: the projections, opened for reading.
        case_id: the case.
        at: the instant at which it is read, µs.
        happened_by: what may have happened by then, µs; None for `at`.
        known_by: what the log, and the law, knew by then, µs; None for no bound.
        viewer: the authority that asks: it sees what its part lets it see, and unverified rules that concern
            it. None: whoever holds this log, without unverified rules.
        read_at: the instant at which the viewer reads, µs, by which embargoes are judged whatever instant is
            asked about; None for `at`.
        law: another law than that of this release.

    Raises:
        NotFound: nothing is known of the case at these clocks.

    Cost: O(entries of the cases through which its exhibits went), and the provenance of each exhibit.
    """
    asked = _Asked(views, at, happened_by, known_by, viewer, read_at, law)
    key = id_bytes(case_id)
    found = asked.of_case(key)
    if found is None:
        raise NotFound(f"nothing is known of case {id_text(key)}")
    text = id_text(key)
    here = asked.within.things
    return asked.shown(
        one for one in found if one.case == text or not here.isdisjoint(one.things) or asked.touches(one, text)
    )


def exhibit(
    views: Views,
    exhibit_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    law: Book | None = None,
) -> tuple[Binding, ...]:
    """
    Return what binds one exhibit: what was attached to it, and what it brought along.

    Arguments, errors and cost are those of :func:`case`.
    """
    asked = _Asked(views, at, happened_by, known_by, viewer, read_at, law)
    text = id_text(id_bytes(exhibit_id))
    chain = provenance.exhibit(views, text, happened_by=asked.bound, known_by=known_by, sight=asked.within.sight)
    found = asked.of_case(id_bytes(chain.case)) or ()
    return asked.shown(one for one in found if text in one.things)


def person(
    views: Views,
    person_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    law: Book | None = None,
) -> tuple[Binding, ...]:
    """
    Return what binds those to whom a person was handed over, and the assurances given for that person.

    Arguments and errors are those of :func:`case`. Cost: one pass over the log, then that of :func:`case` for
    each case that names the person.
    """
    asked = _Asked(views, at, happened_by, known_by, viewer, read_at, law)
    text = id_text(id_bytes(person_id))
    passes, bounds = Clocks(asked.bound, known_by).where()
    sql = f"SELECT idx, case_id FROM findings.act WHERE (body LIKE ? OR subject = ?) AND {passes}"
    naming = views.db.execute(sql, (f'%"{text}"%', id_bytes(text), *bounds)).fetchall()
    # Who is named only where the viewer may not look is not known to it.
    homes = dict.fromkeys(home for index, home in naming if asked.within.sight.sees_entry(index))
    known = False
    kept: list[Binding] = []
    for home in homes:
        found = asked.of_case(home)
        known = known or found is not None
        kept += asked.shown(one for one in found or () if one.person == text)
    if not known:
        raise NotFound(f"nothing is known of person {text}")
    return tuple(sorted(kept, key=_by_entry))


def _by_entry(one: Binding) -> tuple[int, str, str]:
    return one.index, one.instrument, one.id


class _Asked:
    """What is asked: one reading of a case with everything that its exhibits went through."""

    def __init__(
        self,
        views: Views,
        at: int,
        happened_by: int | None,
        known_by: int | None,
        viewer: str | bytes | None,
        read_at: int | None,
        law: Book | None,
    ) -> None:
        self.views = views
        self.bound = at if happened_by is None else min(at, happened_by)
        self.known_by = known_by
        self.viewer = None if viewer is None else id_text(id_bytes(viewer))
        self.within = findings.asked(
            views, at=at, happened_by=happened_by, known_by=known_by, viewer=viewer, read_at=read_at, law=law
        )
        self.chains: dict[tuple[str, int], tuple[Condition, ...]] = {}

    def of_case(self, key: bytes) -> tuple[Binding, ...] | None:
        """Everything that binds in a case, unfiltered; None where nothing is known of it."""
        gathered = self.within.gather(key)
        if gathered is None:
            return None
        acts, bound, running, known_on = gathered
        folded, rules = self.within.restraints(acts, bound, running, known_on, forward=True)
        found = [*(self._rule(folded, rule) for rule in rules), *self._conditions(folded)]
        found += _assurances(self.views, folded, found, self.bound)
        return tuple(sorted(found, key=_by_entry))

    def touches(self, one: Binding, case_id: str) -> bool:
        """Whether a condition of another case binds something that this case used or derived."""
        sql = "SELECT 1 FROM findings.act WHERE case_id = ? AND idx = ?"
        indexes = [*(step.index for step in one.carried), *(use.index for use in one.uses)]
        key = id_bytes(case_id)
        return any(self.views.db.execute(sql, (key, index)).fetchone() is not None for index in indexes)

    # ------------------------------------------------------------------------------ who sees what

    def shown(self, found: Iterable[Binding]) -> tuple[Binding, ...]:
        """
        What the viewer may be told; without one, nothing that rests on an unverified rule.

        What it may not see was left out before anything was folded.
        """
        who = self.viewer
        kept = (one for one in found if one.verified or (who is not None and self._concerned(one, who)))
        return tuple(map(_from_outside, kept) if self.within.sight.outsider else kept)

    def _concerned(self, one: Binding, who: str) -> bool:
        seat = self.within.seats.get(who)
        country = None if seat is None else seat.country
        parts = [one.set_by, *(bound.authority for bound in one.bound)]
        return any(part.id == who or (country is not None and part.country == country) for part in parts)

    # --------------------------------------------------------------------- the rules of instruments

    def _rule(self, folded: Folded, rule: Attached) -> Binding:
        views = self.views
        uses = tuple(self._uses_of(folded, rule))
        bound = [Bound(views.who(one), index, self._through(rule, one)) for one, index in rule.bound]
        if rule.authority is not None or rule.country is not None:
            bound.insert(0, Bound(_part(views, rule.authority, rule.country)))
        one = Binding(
            source="rule",
            id=rule.rule,
            instrument=rule.instrument,
            article=rule.article,
            text=rule.text,
            edition=rule.edition,
            verified=rule.verified,
            known_from_on=rule.known_from_on,
            nature=rule.nature,
            index=rule.index,
            act=rule.act,
            set_by=views.who(rule.sender, rule.origin),
            since_at=rule.from_at,
            case=rule.case,
            things=rule.things,
            person=rule.person,
            role=rule.role,
            bound=tuple(bound),
            purposes=rule.purposes,
            carried=self._steps(folded, rule),
            consents=tuple(
                Given(
                    given.index,
                    given.act,
                    given.from_at,
                    given.purposes,
                    views.whos(given.recipients),
                    given.offences,
                    given.onward_to,
                    given.asked_index,
                    given.withdrawn_index,
                    tuple(use.index for use in uses if use.consent == given.index),
                )
                for given in rule.consents
            ),
            uses=uses,
            ends_at=rule.ends_at,
            due_at=rule.due_at,
            last_day=rule.last_day,
            limit=rule.limit,
            steps=rule.steps,
            problem=rule.problem,
            done=rule.done,
            ended_by=rule.ended_by,
            uncertain=rule.uncertain,
        )
        standing, detail = self._standing(folded, rule)
        against = any(use.standing == "against" and use.put_right_by is None for use in uses)
        return replace(one, standing=standing, detail=detail, breached=against or standing == "overdue")

    def _through(self, rule: Attached, authority: str) -> Who | None:
        step = next((one for one in rule.carried if authority in one.takers), None)
        return None if step is None or step.giver is None else self.views.who(step.giver)

    def _steps(self, folded: Folded, rule: Attached) -> tuple[Step, ...]:
        views = self.views
        if rule.person is None:
            return tuple(
                Step(
                    one.index,
                    one.act,
                    one.from_at,
                    one.until_at,
                    None if one.giver is None else views.who(one.giver),
                    views.whos(one.takers),
                    one.exhibits,
                )
                for one in rule.carried
            )
        return _steps_of(views, folded, rule.person, rule.from_at, rule.index)

    def _standing(self, folded: Folded, rule: Attached) -> tuple[str, str]:
        to_do = rule.nature in {"return", "retention"}
        if rule.ended_at is not None and rule.ended_at <= self.bound:
            late = rule.due_at is not None and rule.ended_at >= rule.due_at
            return ("done" if to_do or rule.nature == "assurance" else "ended"), "late" if late else ""
        if rule.ends_at is not None and self.bound >= rule.ends_at:
            return "expired", ""
        words = ""
        if rule.done:
            wanted = rule.originals if rule.nature == "return" else rule.things
            words = f"{len(rule.done)} of {len(wanted)}"
        if rule.nature == "return" and rule.consents:
            # The State to which it would go back has waived that.
            return "lifted", words
        if rule.due_at is not None and self.bound >= rule.due_at:
            return "overdue", words
        missed = breaches.review_missed(folded, rule, at=self.bound)
        if missed is not None:
            return "overdue", missed.why
        return ("partly_done" if rule.done else "in_force"), words

    def _uses_of(self, folded: Folded, rule: Attached) -> Iterator[Use]:
        for act in folded.acts:
            found = breaches.judged(folded, rule, act, self.within.law)
            if found is not None:
                yield _use(self.views, folded, act, rule.things, found)

    # ---------------------------------------------------------------- what authorities attached

    def _conditions(self, folded: Folded) -> list[Binding]:
        """The conditions on every exhibit that the acts name, each once, and those on nothing yet."""
        used = list(dict.fromkeys(e for act in folded.acts for e in conditions.exhibits_of(act)))
        gathered: dict[str, tuple[Condition, list[str]]] = {}
        for one in used:
            for condition in self._chain(one, self.bound):
                first, things = gathered.get(condition.condition, (condition, []))
                # One exhibit shows whom another does not: together they name everybody who is bound.
                known = {part.authority.id for part in first.recipients}
                more = tuple(part for part in condition.recipients if part.authority.id not in known)
                first = replace(
                    first, recipients=(*first.recipients, *more), in_force=first.in_force or condition.in_force
                )
                gathered[condition.condition] = (first, [*things, one])
        found = [self._condition(folded, condition, things) for condition, things in gathered.values()]
        found += (
            self._unused(folded, act)
            for act in folded.named.get("use_condition.attached", ())
            if str(act.body.get("condition")) not in gathered
        )
        return found

    def _chain(self, exhibit_id: str, at: int) -> tuple[Condition, ...]:
        key = (exhibit_id, at)
        if key not in self.chains:
            self.chains[key] = provenance.conditions_on(
                self.views, exhibit_id, happened_by=at, known_by=self.known_by, sight=self.within.sight
            )
        return self.chains[key]

    def _condition(self, folded: Folded, condition: Condition, things: Sequence[str]) -> Binding:
        views = self.views
        uses = tuple(self._uses_under(folded, condition, things))
        names = {one.authority.id for one in condition.recipients if one.authority.id is not None}
        start = dict.fromkeys(names, condition.when.from_at)
        _, carried, _ = conditions.travelled(
            folded, things, start, None, index=condition.index, from_at=condition.when.from_at
        )
        expired = condition.expires_at is not None and condition.expires_at <= self.bound
        free = bool(condition.recipients) and all(one.free for one in condition.recipients)
        consents = [
            Given(
                lift.index,
                "use_condition.lifted",
                lift.when.from_at,
                lift.purposes,
                lift.recipients,
                (),
                None,
                None,
                None,
                tuple(use.index for use in uses if use.consent == lift.index),
            )
            for lift in condition.lifted
        ]
        consents += (
            Given(
                change.index,
                "use_condition.varied",
                change.when.from_at,
                change.purposes,
                change.recipients,
                (),
                None,
                None,
                None,
                (),
            )
            for change in condition.varied
        )
        return Binding(
            source="condition",
            id=condition.condition,
            instrument="",
            article="",
            text=condition.sentence,
            edition="",
            verified=True,
            known_from_on=None,
            nature="purpose",
            index=condition.index,
            act="use_condition.attached",
            set_by=condition.said.speaker,
            since_at=condition.when.from_at,
            case=condition.case,
            things=tuple(things),
            person=None,
            role="",
            bound=tuple(
                Bound(one.authority, one.accepted_index, one.through, one.purposes, one.free, one.accepted)
                for one in condition.recipients
            ),
            purposes=condition.purposes,
            carried=tuple(
                Step(
                    one.index,
                    one.act,
                    one.from_at,
                    one.until_at,
                    None if one.giver is None else views.who(one.giver),
                    views.whos(one.takers),
                    one.exhibits,
                )
                for one in carried
            ),
            consents=tuple(consents),
            uses=uses,
            ends_at=condition.expires_at,
            standing="expired" if expired else "lifted" if free or not condition.in_force else "in_force",
            breached=any(use.standing == "against" and use.put_right_by is None for use in uses),
        )

    def _uses_under(self, folded: Folded, condition: Condition, things: Sequence[str]) -> Iterator[Use]:
        """Each use, held against the condition as it stood then: what was lifted later does not count."""
        for act in folded.acts:
            if act.act not in USES:
                continue
            held = [
                found
                for one in conditions.exhibits_of(act)
                if one in things
                for then in self._chain(one, act.until_at)
                if then.condition == condition.condition
                and (found := breaches.under_condition(self.views, then, act)) is not None
            ]
            if held:
                # Of several exhibits, one that is used against the condition is enough.
                yield _use(self.views, folded, act, things, next((one for one in held if one.why is not None), held[0]))

    def _unused(self, folded: Folded, act: Act) -> Binding:
        """A condition under which no exhibit is shown to have come yet."""
        body, views = act.body, self.views
        changes = [
            a
            for name in ("use_condition.lifted", "use_condition.varied")
            for a in folded.named.get(name, ())
            if a.body.get("condition") == body.get("condition")
        ]
        varied = next((a for a in reversed(changes) if a.act == "use_condition.varied"), None)
        # A variation says anew what binds: what was lifted before it no longer counts.
        lifted = [
            a for a in changes if a.act == "use_condition.lifted" and (varied is None or order(a) > order(varied))
        ]
        now = body if varied is None else varied.body
        expires = now.get("expires_at")
        ends_at = expires if isinstance(expires, int) else None
        named = listed(now.get("recipients"))
        over = any(not listed(a.body.get("recipients")) and not listed(a.body.get("purposes")) for a in lifted)
        return Binding(
            source="condition",
            id=str(body.get("condition")),
            instrument="",
            article="",
            text="",
            edition="",
            verified=True,
            known_from_on=None,
            nature="purpose",
            index=act.index,
            act=act.act,
            set_by=views.who(act.actor, act.country),
            since_at=act.from_at,
            case=act.case,
            things=(),
            person=None,
            role="",
            bound=tuple(Bound(views.who(one), None, None, tuple(listed(now.get("purposes")))) for one in named),
            purposes=tuple(listed(now.get("purposes"))),
            consents=tuple(
                Given(
                    a.index,
                    a.act,
                    a.from_at,
                    tuple(listed(a.body.get("purposes"))),
                    views.whos(listed(a.body.get("recipients"))),
                    (),
                    None,
                    None,
                    None,
                    (),
                )
                for a in changes
            ),
            ends_at=ends_at,
            standing="expired" if ends_at is not None and ends_at <= self.bound else "lifted" if over else "in_force",
            detail="no exhibit is shown to have come under it",
        )


def _from_outside(one: Binding) -> Binding:
    """To whom takes no part in the case: what would right a use, or fulfil a condition, may lie out of its sight."""
    uses = tuple(replace(use, uncertain=True) if use.standing == "against" else use for use in one.uses)
    return replace(one, uses=uses, uncertain=one.uncertain or one.breached)


def _use(views: Views, folded: Folded, act: Act, things: Sequence[str], found: breaches.Judged) -> Use:
    standing = "against" if found.why is not None else "within" if found.consent is None else "by_consent"
    purpose = act.body.get("purpose")
    return Use(
        act.index,
        act.act,
        act.from_at,
        act.until_at,
        views.who(act.actor, act.country),
        views.whos(conditions.takers_of(folded, act)),
        tuple(one for one in conditions.exhibits_of(act) if one in things),
        purpose if isinstance(purpose, str) else None,
        standing,
        found.why,
        found.consent,
        found.uncertain,
        breaches.recalled(folded, act),
    )


def _part(views: Views, authority: str | None, country: str | None) -> Who:
    """An authority, or where only its State is known, the authorities of that."""
    if authority is None and country is not None:
        return Who(None, f"the authorities of {views.label('countries', country)}", country, None)
    return views.who(authority, country)


# ----------------------------------------------------------------------------------- assurances

_ON_THE_WAY: Final = (
    "person.handed_over",
    "person.taken_over",
    "person.moved_temporarily",
    "person.returned",
    "person.discharged",
)


def _steps_of(views: Views, folded: Folded, person_id: str, since_at: int, index: int) -> tuple[Step, ...]:
    """Where a person went since a condition came to bind."""
    moved = [
        act
        for name in _ON_THE_WAY
        for act in folded.named.get(name, ())
        if act.index != index and act.until_at >= since_at and conditions.person_of(folded, act) == person_id
    ]
    moved.sort(key=order)
    steps = []
    for act in moved:
        taking = act.act == "person.taken_over"
        said = views.who(act.actor, act.country)
        _, to = folded.part("requesting", act, folded.request(act))
        country = act.body.get("to_country") or to
        takers = (
            (said,) if taking else (_part(views, None, str(country)),) if act.act in _ON_THE_WAY[:3] and country else ()
        )
        steps.append(Step(act.index, act.act, act.from_at, act.until_at, None if taking else said, takers, ()))
    return tuple(steps)


def _assurances(views: Views, folded: Folded, found: Sequence[Binding], bound: int) -> Iterator[Binding]:
    """
    The assurances asked for, required and given, by person and topic.

    That one was kept or broken is said only as far as an act shows it: the person is back, somebody assessed it
    anew after the hand-over, or new proceedings go against the speciality that was assured.
    """
    topics: dict[tuple[str, str], list[Act]] = {}
    for name in ("assurance.requested", "assurance.given", "assurance.assessed"):
        for act in folded.named.get(name, ()):
            who = conditions.person_of(folded, act) or act.subject
            topics.setdefault((who, str(act.body.get("topic"))), []).append(act)
    known = set(catalogue().codes("assurance_topics"))
    for name in ("surrender.decided", "extradition.decided"):
        for act in folded.named.get(name, ()):
            who = conditions.person_of(folded, act) or act.subject
            for code in listed(act.body.get("conditions")):
                if code in known:
                    topics.setdefault((who, code), []).append(act)
    for (who, topic), acts in topics.items():
        acts.sort(key=order)
        yield _assurance(views, folded, who, topic, acts, found, bound)


_FAILING: Final = frozenset({"insufficient", "not_given"})


def _assurance(
    views: Views, folded: Folded, who: str, topic: str, acts: Sequence[Act], found: Sequence[Binding], bound: int
) -> Binding:
    first = acts[0]
    given = next((act for act in reversed(acts) if act.act == "assurance.given"), None)
    assessed = next((act for act in reversed(acts) if act.act == "assurance.assessed"), None)
    required = next((act for act in acts if act.act.endswith(".decided")), None)
    since = given or required or first
    request = folded.request(since)
    authority, country = (
        (given.actor, given.country) if given is not None else folded.part("requesting", since, request)
    )
    steps = _steps_of(views, folded, who, since.from_at, since.index)
    gone = next((step for step in steps if step.act == "person.handed_over"), None)
    back = next((step for step in steps if step.act == "person.returned"), None)
    due_at = next(
        (_until(folded, step.index) for step in reversed(steps) if step.act == "person.moved_temporarily"), None
    )
    standing, detail, breached, uncertain = "in_force", "", False, False
    if given is None:
        standing = "requested" if required is None else "required"
        if required is not None and gone is not None:
            detail = f"made a condition by entry {required.index}; the person was handed over with entry {gone.index}"
            breached = True
    elif assessed is not None and assessed.from_at >= given.from_at and assessed.body.get("outcome") in _FAILING:
        standing, detail = "insufficient", f"assessed with entry {assessed.index}"
        if gone is not None and assessed.from_at >= gone.until_at:
            detail += ", after the person was handed over"
            breached = uncertain = True
    if topic == "return_of_person" and given is not None:
        if back is not None:
            standing, detail = "done", f"the person is back, entry {back.index}"
            breached = due_at is not None and back.from_at >= due_at
        elif due_at is not None and bound >= due_at:
            standing, breached = "overdue", True
    uses: tuple[Use, ...] = ()
    if topic == "speciality" and given is not None:
        uses = tuple(
            use
            for one in found
            if one.person == who and one.nature == "speciality"
            for use in one.uses
            if use.from_at >= given.from_at
        )
        breached = breached or any(use.standing == "against" for use in uses)
        uncertain = uncertain or bool(uses)
    return Binding(
        source="assurance",
        id=topic,
        instrument="",
        article="",
        text="",
        edition="",
        verified=True,
        known_from_on=None,
        nature="assurance",
        index=since.index,
        act=since.act,
        set_by=views.who(since.actor, since.country),
        since_at=since.from_at,
        case=since.case,
        things=(),
        person=who,
        role="requesting",
        bound=() if authority is None and country is None else (Bound(_part(views, authority, country)),),
        purposes=(),
        carried=steps,
        uses=uses,
        due_at=due_at,
        done=() if back is None or topic != "return_of_person" else ((who, back.index),),
        ended_by=back.index if back is not None and topic == "return_of_person" else None,
        standing=standing,
        detail=detail,
        breached=breached,
        uncertain=uncertain,
    )


def _until(folded: Folded, index: int) -> int | None:
    """By when a person who was moved for a time must be back, as that act says."""
    moved = next((act for act in folded.named.get("person.moved_temporarily", ()) if act.index == index), None)
    value = None if moved is None else moved.body.get("return_by_at")
    return value if isinstance(value, int) else None
