"""
Findings as a judge reads them: what happened, what is missing, whose it is, by which rule, since and until when.

Every finding names both clocks: since when something was missing, and since when the ledger could show it.
Nothing is told but what the finding holds and the acts that it names, in their own sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from ledger.law.data import Words
from projections.facts import COLUMNS, Clocks, row_of
from projections.rules import book
from projections.sentences import day_text, sentence
from projections.wording import cited, label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.duties import Finding
    from projections.facts import Row
    from projections.views import Views

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROLES: Final = {
    "requesting": "the requesting authority",
    "requested": "the requested authority",
    "addressee": "the provider to whom the order is addressed",
    "enforcing": "the enforcing authority",
    "notified": "the authority that is told",
    "sending": "the sending authority",
    "recipient": "the recipient",
    "holder": "the holder of the exhibit",
    "member": "a member of the joint team",
    "challenged": "the authority whose act is challenged",
    "court": "the court",
    "central": "the central authority",
    "person": "the person concerned",
    "operator": "the operator of the ledger or platform",
    "supervisory": "the supervisory authority",
    "publisher": "the authority that said it",
    "any": "whichever authority it is",
}


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step in the history of a finding.

    Attributes:
        happened_at: when it happened, µs.
        known_at: since when the ledger has known it, µs; None for what follows from time alone.
        index: the entry; None for what follows from time alone.
        words: one sentence.
    """

    happened_at: int
    known_at: int | None
    index: int | None
    words: str


def told(views: Views, one: Finding, zone: str = "UTC") -> tuple[str, ...]:
    """
    Return a finding in sentences: the act, what is missing, whose it is and by which rule, since and until when.

    Args:
        views: the projections, opened for reading; an instrument's own words are those of their law.
        one: the finding, as far as its reader may see it.
        zone: in which days are said.
    """
    return tuple(_told(views, one, ZoneInfo(zone)))


def history(views: Views, one: Finding, zone: str = "UTC") -> tuple[Step, ...]:
    """
    Return what became of a finding, step by step, in the order in which it could be known.

    Arguments are those of :func:`told`. What was put right keeps all its steps.
    """
    return tuple(sorted(_steps(views, one, ZoneInfo(zone)), key=_seen))


def concerned(views: Views, one: Finding) -> str:
    """Return who has to act, with its State: by name where it is known, else by the instrument's own word."""
    return _who(views, one, one.role, one.authority, one.country)


def _seen(step: Step) -> tuple[int, int]:
    """Since when a step can be seen; what follows from time alone comes before what was said at that instant."""
    if step.index is None or step.known_at is None:
        return step.happened_at, -1
    return max(step.happened_at, step.known_at), step.index


def _who(views: Views, one: Finding, role: str, authority: str | None, country: str | None) -> str:
    where = "" if country is None else label("countries", country)
    if authority is not None:
        who = views.who(authority)
        where = where or ("" if who.country is None else label("countries", who.country))
        return who.designation + (f" ({where})" if where and where not in who.designation else "")
    law = views.law or book()
    own = next((w.roles[role] for w in law.data(Words, one.instrument) if role in w.roles), None)
    words = _ROLES[role] if own is None else f"the {own}"
    return words + (f" of {where}" if where and role != "person" else "")


def _of(views: Views, one: Finding) -> str:
    """Of one of several authorities, which; States, codes and conditions are in the words already."""
    if one.value is None or one.kind == "use_outside_conditions" or not _ID.fullmatch(one.value):
        return ""
    return f", as to {views.who(one.value).designation}"


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _told(views: Views, one: Finding, zone: ZoneInfo) -> Iterator[str]:
    row = _row(views, one.index)
    if row is not None:
        yield f"{sentence(views, row)[:-1]} (entry {one.index})."
    yield _upper(one.detail) + _of(views, one) + "." * (not one.detail.endswith("."))
    who = concerned(views, one)
    to = "" if one.to_role is None else _who(views, one, one.to_role, one.to_authority, one.to_country)
    if one.expected and one.role != "any":
        yield f"It was for {who} to do" + (f", towards {to}." if to else ".")
    else:
        yield f"It concerns {who}" + (f", towards {to}." if to else ".")
    yield _rule(one)
    yield from _since(one, row, zone)
    yield from _stands(views, one, who, zone)


def _rule(one: Finding) -> str:
    held = f", as held in {', '.join(one.rulings)}" if one.rulings else ""
    known = ""
    if one.known_from_on is not None:
        on = date.fromisoformat(one.known_from_on)
        known = f" This was known as a duty from {on.day} {on:%B %Y}{held}."
    elif held:
        known = f" It is so{held}."
    text = one.text + "." * (not one.text.endswith("."))
    if one.instrument == "ledger":
        said = f"By the procedure of the ledger, {text}"
    else:
        said = f"{label('instruments', one.instrument)}, {cited(one.article)}: {text}"
    return said + known + ("" if one.verified else " This rule was not compared with the official wording.")


def _since(one: Finding, row: Row | None, zone: ZoneInfo) -> Iterator[str]:
    if one.since_until_at is None:
        if one.standing == "pending":
            yield "It is still to be done; the text sets no time."
        return
    last = day_text(one.since_until_at, zone)
    first = last if one.since_from_at is None else day_text(one.since_from_at, zone)
    when = last if first == last else f"between {first} and {last}"
    if one.standing == "pending":
        yield f"It is still to be done, until {when}."
        return
    known = "" if row is None else f"; the ledger has known of the act since {day_text(row.known_at, zone)}"
    yield (f"Missing since {when}" if first == last else f"Missing since a day {when}") + known + "."


def _stands(views: Views, one: Finding, who: str, zone: ZoneInfo) -> Iterator[str]:
    for index in one.issued_by:
        yield _act(views, index, "The same was found by an oversight body", zone)
    if one.answered_by is not None:
        yield _act(views, one.answered_by, "It was answered", zone)
    if one.resolved_by is not None:
        how = "It was done in time, but said only when it was missing already" if one.shown_late else "It was put right"
        yield _act(views, one.resolved_by, how, zone)
    elif one.standing == "observation" and one.answer_due_at is not None:
        chosen = " (a time that this ledger has chosen; no law sets it)" if one.answer_chosen else ""
        if one.reported:
            yield f"It rests on a report, and stays an observation until {who} answers."
        else:
            yield f"An observation until {who} answers, or until {day_text(one.answer_due_at, zone)}{chosen}."
    elif one.standing == "finding" and one.answered_by is None and one.answer_due_at is not None:
        chosen = ", a time that this ledger has chosen" if one.answer_chosen else ""
        yield f"A finding since {day_text(one.answer_due_at, zone)}, when the time to answer had passed{chosen}."
    if one.uncertain:
        yield "Something leaves open whether it is missing at all."


def _act(views: Views, index: int, how: str, zone: ZoneInfo) -> str:
    row = _row(views, index)
    if row is None:
        return f"{how} (entry {index})."
    return f"{how}: {sentence(views, row)[:-1]} (entry {index}, known since {day_text(row.known_at, zone)})."


def _steps(views: Views, one: Finding, zone: ZoneInfo) -> Iterator[Step]:
    named = [(one.index, ""), *((index, "an oversight body finds it: ") for index in one.issued_by)]
    if one.answered_by is not None:
        named.append((one.answered_by, "it is answered: "))
    if one.resolved_by is not None:
        how = "it turns out to have been done in time: " if one.shown_late else "it is put right: "
        named.append((one.resolved_by, how))
    for index, how in named:
        row = _row(views, index)
        if row is not None:
            yield Step(row.when.from_at, row.known_at, index, _upper(how + sentence(views, row)))
    if one.since_until_at is not None and one.standing != "pending":
        yield Step(one.since_until_at, None, None, f"Missing from {day_text(one.since_until_at, zone)} on.")
    if one.standing == "finding" and one.answered_by is None and one.answer_due_at is not None:
        yield Step(one.answer_due_at, None, None, "The time to answer has passed: a finding.")


def _row(views: Views, index: int) -> Row | None:
    names = ", ".join(name for name, _ in COLUMNS)
    values = views.db.execute(f"SELECT {names} FROM findings.act WHERE idx = ?", (index,)).fetchone()
    return None if values is None else row_of(values, Clocks())
