"""
What binds an exhibit, a person or a case: every condition, how it travelled, until when, and each use of it.

Three kinds of source stand side by side: use rules of instruments (`projections.conditions`), conditions that an
authority attached (`projections.travelling`), and assurances given for a person (`projections.assurances`). Each
names the entry by which it came to bind, and the rule with article and edition where one is behind it. Nothing here
decides: a use against a condition is flagged with the source, and the flag stays with the entry that it is about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.errors import NotFound
from projections import breaches, conditions, findings, provenance
from projections.assurances import assurances, steps_of
from projections.bound import Binding, Bound, Given, Step, Use, part_of
from projections.duties import USES
from projections.facts import Clocks, id_bytes, id_text
from projections.matters import listed, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.conditions import Attached
    from projections.facts import Who
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.rules import Book
    from projections.travelling import Condition
    from projections.views import Views

__all__ = ["Binding", "Bound", "Given", "Step", "Use", "case", "exhibit", "person"]

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
        found += assurances(self.views, folded, found, self.bound)
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
            bound.insert(0, Bound(part_of(views, rule.authority, rule.country)))
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
        return steps_of(views, folded, rule.person, rule.from_at, rule.index)

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
