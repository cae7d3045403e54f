"""Admissibility per court, proceedings and stage: never a property of an exhibit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.facts import Said, When, Who
    from projections.views import Views


@dataclass(frozen=True, slots=True)
class Ruling:
    """One ruling and what became of it. `concerns` is `this`, `ancestor` or `descendant` of the exhibit asked about."""

    index: int
    statement: str
    exhibit: str
    concerns: str
    outcome: str
    grounds: tuple[str, ...]
    test: str
    ecli: str | None
    when: When
    said: Said
    appealed_index: int | None
    overturned_index: int | None
    overturned_by: Who | None
    final: bool
    final_index: int | None
    sentence: str
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How an exhibit stands before one court in one proceedings at one stage.

    `outcome` is that of the latest ruling that stands, or None when every ruling was overturned; `standing` is `stands`,
    `under_appeal`, `final` or `overturned`.
    """

    court: Who
    proceedings: str
    stage: str
    exhibit: str
    concerns: str
    outcome: str | None
    standing: str
    index: int
    history: tuple[Ruling, ...]


def exhibit(views: Views, exhibit_id: str | bytes, *, happened_by: int | None = None, known_by: int | None = None,
            lineage: bool = True) -> tuple[Standing, ...]:  # fmt: skip
    """
    Return how the exhibit stands, court by court; with *lineage*, rulings on its ancestors and descendants too, marked so.

    Raises `NotFound` when nothing is known of the exhibit.
    """
    raise NotImplementedError


def proceedings(views: Views, proceedings_id: str | bytes, *, happened_by: int | None = None,
                known_by: int | None = None) -> tuple[Standing, ...]:  # fmt: skip
    """Return how every exhibit ruled upon in these proceedings stands."""
    raise NotImplementedError
