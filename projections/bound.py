"""
How a condition and everything that became of it is told: the shapes of what `projections.binding` answers.

Instants are µs since the epoch, ids UUID text, indexes those of entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from projections.facts import Who

if TYPE_CHECKING:
    from projections.running import Reason
    from projections.views import Views

__all__ = ["STANDINGS", "Binding", "Bound", "Given", "Step", "Use", "part_of"]

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


def part_of(views: Views, authority: str | None, country: str | None) -> Who:
    """An authority, or where only its State is known, the authorities of that."""
    if authority is None and country is not None:
        return Who(None, f"the authorities of {views.label('countries', country)}", country, None)
    return views.who(authority, country)
