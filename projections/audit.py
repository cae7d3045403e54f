"""Who did what, when, under which article, in order; what was rejected, corrected or disputed, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.facts import Said, When
    from projections.views import Views


@dataclass(frozen=True, slots=True)
class Remark:
    """A correction or a dispute, shown at the act that it concerns."""

    index: int
    kind: str
    reason: str
    said: Said
    when: When
    replaced_by: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the trail."""

    index: int
    statement: str
    case: str
    subject: str
    act: str
    kind: str
    sentence: str
    when: When
    said: Said
    articles: tuple[str, ...]
    disposition: str
    reason: str | None
    answers: tuple[int, ...]
    corrects: int | None
    remarks: tuple[Remark, ...]
    case_version: int | None
    subject_version: int | None
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class Hole:
    """Entries of a case that this copy of the log does not hold: `first` to `last` inclusive, numbered within the case."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trail:
    """The entries in the order of the log, and the holes between them."""

    lines: tuple[Line, ...]
    holes: tuple[Hole, ...]


def case(views: Views, case_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None,
         after_index: int = -1, limit: int | None = None) -> Trail:  # fmt: skip
    """Return the trail of a case, rejected entries included. Raises `NotFound`."""
    raise NotImplementedError


def subject(views: Views, subject_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None,
            after_index: int = -1, limit: int | None = None) -> Trail:  # fmt: skip
    """Return the trail of one thing (its stream). Raises `NotFound`."""
    raise NotImplementedError


def authority(views: Views, authority_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None,
              after_index: int = -1, limit: int | None = None) -> Trail:  # fmt: skip
    """Return what one authority published. Raises `NotFound`."""
    raise NotImplementedError


def entry(views: Views, index: int) -> Line:
    """Return one entry. Raises `NotFound`."""
    raise NotImplementedError
