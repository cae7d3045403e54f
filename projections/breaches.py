"""
How each act stands to the conditions on what it uses, and what those ask for that was not done: pure.

Two kinds of condition are judged alike: the use rules of instruments (`projections.conditions`), and what an
authority attached (`projections.travelling`). Both are read as they stood on the day of the use: a consent that
came later does not make it right, and one that was taken back no longer does. Only what codes can tell is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from projections import provenance
from projections.checks import Outside, Overdue
from projections.conditions import exhibits_of, named_takers, person_of, takers_of
from projections.duties import USES
from projections.running import instant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from projections.conditions import Attached, Consent
    from projections.matters import Act
    from projections.matters import Matter as Folded
    from projections.rules import Book
    from projections.running import Clock
    from projections.sight import Sight
    from projections.travelling import Condition
    from projections.views import Views

__all__ = [
    "Judged",
    "against_conditions",
    "against_rules",
    "judged",
    "overdue",
    "recalled",
    "review_missed",
    "under_condition",
]

#: What a hand-over is for, where its reason says so in the words of a purpose.
_REASONS: Final[Mapping[str, frozenset[str]]] = {
    "prosecution": frozenset({"criminal_proceedings", "named_proceedings"}),
    "trial": frozenset({"criminal_proceedings", "named_proceedings"}),
    "examination": frozenset({"examination"}),
}

_REVIEWED: Final = "retention.reviewed"

#: Acts by which a person goes on to another State.
_ONWARD: Final = frozenset({"surrender.decided", "extradition.decided", "person.handed_over"})


def overdue(
    folded: Folded, rules: Iterable[Attached], clocks: Iterable[Clock], book: Book, *, at: int
) -> Iterator[Overdue]:
    """
    What was to be given back, erased or looked at again by a day and was not, or only later.

    Where a limit of its own runs for it, the lapse of that is what is found, and nothing is said here; nor where
    duties of the same instrument speak of reviews.

    Args:
        folded: the acts.
        rules: those under which something fell.
        clocks: those of the case.
        book: the law.
        at: the instant at which all is read, µs.
    """
    given = tuple(clocks)
    running = {(clock.limit.casefold(), clock.index) for clock in given}
    started = {clock.index for clock in given}
    for rule in rules:
        if rule.nature not in {"retention", "return"}:
            continue
        if rule.due_at is None or at < rule.due_at:
            missed = review_missed(folded, rule, at=at)
            if missed is None or missed.index in started or book.triggered(rule.instrument, None, _REVIEWED):
                continue
            yield _overdue(rule, missed.why, missed.since_at, None)
            continue
        if rule.ended_at is not None and rule.ended_at < rule.due_at:
            continue
        if ((rule.limit or "").casefold(), rule.index) in running or (rule.nature == "return" and rule.consents):
            continue
        wanted = rule.originals if rule.nature == "return" else rule.things
        what = "given back" if rule.nature == "return" else "erased"
        some = f" (done for {len(rule.done)} of {len(wanted)})" if rule.done and rule.ended_by is None else ""
        yield _overdue(rule, f"it was to be {what} by {_day(rule.last_day)}{some}", rule.due_at, rule.ended_by)


def _overdue(rule: Attached, detail: str, due_at: int, ended_by: int | None) -> Overdue:
    return Overdue(
        rule.index,
        rule.rule,
        rule.instrument,
        rule.article,
        rule.text,
        rule.edition,
        rule.verified,
        rule.known_from_on,
        detail,
        rule.role,
        rule.authority,
        rule.country,
        due_at,
        ended_by,
        rule.uncertain,
    )


@dataclass(frozen=True, slots=True)
class Missed:
    """What a review of retention asked for and was not done: in words, by which entry, since when (µs)."""

    why: str
    index: int
    since_at: int


def review_missed(folded: Folded, rule: Attached, *, at: int) -> Missed | None:
    """
    Say what the last review of a thing asked for, and was not done by an instant; None where nothing is missed.

    Args:
        folded: the acts.
        rule: any; only one on retention can be missed so.
        at: the instant, µs.
    """
    if rule.nature != "retention" or rule.ended_at is not None:
        return None
    last = {
        act.subject: act
        for act in folded.named.get(_REVIEWED, ())
        if (act.subject in rule.things or act.subject == rule.request) and act.until_at >= rule.from_at
    }
    erased = dict(rule.done)
    for subject, act in last.items():
        if subject in erased:
            continue
        if act.body.get("outcome") == "erase":
            return Missed(f"to be erased since entry {act.index}, and not shown to be", act.index, act.until_at)
        due_at = act.body.get("next_due_at")
        if isinstance(due_at, int) and at >= due_at:
            return Missed(f"the next review, set by entry {act.index}, is not shown", act.index, due_at)
    return None


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
        bound = book.bound(rule.instrument, to, instant(act.until_at).date())
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
    takers, meant = takers_of(folded, act), _meant_by(act)
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
    on = instant(act.until_at).date()
    there = {folded.seat(taker).country for taker in takers} - {rule.origin}
    if rule.towards == "bound":
        own = folded.seat(act.actor, act.country).country
        return any(one is None or (one != own and book.bound(rule.instrument, one, on)) for one in there)
    return not there or any(one is None or not book.bound(rule.instrument, one, on) for one in there)


def _meant_by(act: Act) -> frozenset[str]:
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

    Cost: that of `provenance.conditions_on` for each exhibit that an act uses.
    """

    @cache
    def on_exhibit(exhibit: str, at: int) -> tuple[Condition, ...]:
        return provenance.conditions_on(views, exhibit, happened_by=at, known_by=known_by, sight=sight)

    def against(act: Act) -> Iterator[Outside]:
        if act.act not in USES or act.actor is None:
            return
        seen: set[str] = set()
        for exhibit in exhibits_of(act):
            for condition in on_exhibit(exhibit, act.until_at):
                found = under_condition(views, condition, act)
                if found is not None and found.why is not None and condition.condition not in seen:
                    seen.add(condition.condition)
                    yield Outside(condition.index, condition.condition, found.why, ended_by=recalled(folded, act))

    return against


def under_condition(views: Views, condition: Condition, act: Act) -> Judged | None:
    """
    Say how an act stands to an attached condition; None where it is no use by one whom that binds.

    Args:
        views: the projections, for the States of authorities.
        condition: as it stood when the act was done.
        act: what uses an exhibit under it.
    """
    # Who set a condition is not bound by it, also where what it gave came back to it.
    if not condition.in_force or act.actor is None or act.actor == condition.said.speaker.id:
        return None
    bound = next((one for one in condition.recipients if one.authority.id == act.actor), None)
    if bound is None:
        # Nobody is shown to have given it to him; what his State has under a condition, he has under it.
        own = views.who(act.actor).country
        bound = next((one for one in condition.recipients if own is not None and one.authority.country == own), None)
    if bound is None:
        return None
    meant = _meant_by(act)
    if bound.free:
        return Judged(None, _lift_for(condition, meant))
    if meant and not meant & set(bound.purposes):
        return Judged(f"for {_words(meant)}, where only {_words(bound.purposes)} is allowed")
    named = {one.authority.id for one in condition.recipients if one.through is None}
    # Who has it from one bound in the same State is bound with him, and it may go back; elsewhere it must be allowed.
    free = {bound.authority.country, condition.said.speaker.country} - {None}
    for taker in named_takers(act):
        if taker not in named and views.who(taker).country not in free:
            return Judged("passed on to an authority that the condition does not name")
    return Judged(None, _lift_for(condition, meant))


def _lift_for(condition: Condition, meant: Collection[str]) -> int | None:
    """The lifting without which a use would go against a condition; None where it needed none."""
    if not meant or not set(meant).isdisjoint(condition.purposes):
        return None
    fitting = (one for one in condition.lifted if not one.purposes or not set(meant).isdisjoint(one.purposes))
    return next((one.index for one in fitting), None)
