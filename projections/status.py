"""Where a case and each thing in it stand, since when, by which entry, and what can lawfully come next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.facts import Said, When, Who
    from projections.views import Views


@dataclass(frozen=True, slots=True)
class Step:
    """One act in a thing's stream: the stage before and after, and whether the procedure has such a step from there."""

    index: int
    act: str
    sentence: str
    when: When
    said: Said
    stage_before: str | None
    stage_after: str | None
    out_of_procedure: bool
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """An act that the procedure knows from the present stage, and the stage it leads to, where that is known."""

    act: str
    by: tuple[str, ...] = ()
    leads_to: str | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Something that waits for an answer: an open consultation, a reference, a request for an assurance, a recall."""

    index: int
    act: str
    awaits: tuple[str, ...]
    thing: str
    sentence: str
    when: When
    said: Said


@dataclass(frozen=True, slots=True)
class UnmatchedHalf:
    """
    One half of a bilateral act without the other.

    `reported_index` names an entry that reports the other half: a report is shown, but never completes it.
    """

    index: int
    act: str
    awaits: str
    thing: str
    sentence: str
    when: When
    said: Said
    by: Who | None
    reported_index: int | None = None


@dataclass(frozen=True, slots=True)
class ChallengeStatus:
    """A challenge: where it is pending, what it attacks, whether it suspends, how it ended (None while open)."""

    challenge: str
    index: int
    challenge_kind: str
    forum: Who
    lodged: When
    target: str | None
    suspends: tuple[str, ...]
    outcome: str | None
    outcome_index: int | None


@dataclass(frozen=True, slots=True)
class ThingStatus:
    """Where one thing stands. `index` is the entry that brought it to its stage."""

    thing: str
    thing_kind: str
    case: str
    stage: str | None
    since: When
    index: int
    steps: tuple[Step, ...]
    next: tuple[Next, ...]
    open: tuple[Open, ...]
    unmatched: tuple[UnmatchedHalf, ...]


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """Where a case stands: its own stage, its things, and what is open in any of them."""

    case: str
    stage: str | None
    since: When | None
    index: int | None
    entries: int
    things: tuple[ThingStatus, ...]
    open: tuple[Open, ...]
    challenges: tuple[ChallengeStatus, ...]
    unmatched: tuple[UnmatchedHalf, ...]
    out_of_procedure: tuple[Step, ...]
    linked: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the list of cases."""

    case: str
    opened: When | None
    first_index: int
    last_index: int
    entries: int


def cases(views: Views, *, happened_by: int | None = None, known_by: int | None = None, limit: int = 100,
          after_index: int = -1) -> tuple[CaseLine, ...]:  # fmt: skip
    """List cases in the order in which the log first heard of them; page with the last line's `first_index`."""
    raise NotImplementedError


def case(views: Views, case_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None) -> CaseStatus:
    """Return where the case stands. Raises `NotFound` when nothing is known of it at these clocks."""
    raise NotImplementedError


def thing(views: Views, thing_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None) -> ThingStatus:
    """Return where one thing (a request, an exhibit, a challenge, …) stands. Raises `NotFound`."""
    raise NotImplementedError
