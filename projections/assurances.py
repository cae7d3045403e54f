"""
Assurances for a person: asked for, required, given, assessed, and whether an act shows that one was broken.

Each is told as a binding (`projections.bound`), by person and topic, beside the conditions of `projections.binding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.acts import catalogue
from projections import conditions
from projections.bound import Binding, Bound, Step, part_of
from projections.matters import listed, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.bound import Use
    from projections.facts import Who
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.views import Views

__all__ = ["assurances", "steps_of"]

_ON_THE_WAY: Final = (
    "person.handed_over",
    "person.taken_over",
    "person.moved_temporarily",
    "person.returned",
    "person.discharged",
)


def steps_of(views: Views, folded: Folded, person_id: str, since_at: int, index: int) -> tuple[Step, ...]:
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
        takers: tuple[Who, ...] = ()
        if taking:
            takers = (said,)
        elif act.act in _ON_THE_WAY[:3] and country:
            takers = (part_of(views, None, str(country)),)
        steps.append(Step(act.index, act.act, act.from_at, act.until_at, None if taking else said, takers, ()))
    return tuple(steps)


def assurances(views: Views, folded: Folded, found: Sequence[Binding], bound: int) -> Iterator[Binding]:
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
    steps = steps_of(views, folded, who, since.from_at, since.index)
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
        bound=() if authority is None and country is None else (Bound(part_of(views, authority, country)),),
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
