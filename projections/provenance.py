"""
Who held an exhibit, on which authority, by which method, derived from what, with what withheld, and under which conditions.

Every hop names the entry that shows it. What is not shown is a gap, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.facts import Said, When, Who
    from projections.views import Views


@dataclass(frozen=True, slots=True)
class Origin:
    """One exhibit of the chain: how it came to be. `parents` is empty for one that was acquired, not derived."""

    exhibit: str
    index: int
    exhibit_kind: str | None
    parents: tuple[str, ...]
    transformation: str | None
    reproducible: bool | None
    acquired_by: Who | None
    source_country: str | None
    method: str | None
    authorisation_index: int | None
    measure_index: int | None
    hash: str | None
    hash_kind: str | None
    manifest_root: str | None
    items: int | None
    acquired_from_at: int | None
    acquired_until_at: int | None
    copy: str | None
    series: str | None
    distance: int


@dataclass(frozen=True, slots=True)
class Gap:
    """
    Something the chain does not show. `index` is the entry at which it is missed; None when no entry is there at all.

    Codes: hash_missing, hash_differs, hash_not_comparable, other_half_missing, reported_only, holder_not_shown,
    authorisation_not_shown, parent_not_shown, not_reproducible, withheld, discrepancy, integrity_check_failed.
    """

    code: str
    exhibit: str
    index: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Hop:
    """
    One link of the chain, from the authorisation to the exhibit asked about, in the order in which they happened.

    `step` is authorised, measured, acquired, derived, disclosed, handed_over, taken_over, result_handed_over, result_received,
    shared, examined, verified, discrepancy, withheld or recalled. `hash_check` is first, same, differs, missing or not_comparable.
    """

    index: int
    statement: str
    exhibit: str | None
    step: str
    act: str
    sentence: str
    when: When
    said: Said
    giver: Who | None
    takers: tuple[Who, ...]
    hash: str | None
    hash_check: str | None
    gaps: tuple[Gap, ...]
    uncertain: bool
    corrected_by: int | None = None
    disputed_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """
    An authority that holds the exhibit (or the ancestor named), since when and by which entry.

    `before_request` is true when no formal request of an authority of its country is shown before the holding began (and the
    holder did not acquire or derive it itself); `requests` are the indexes of those shown up to the instant asked about.
    """

    authority: Who
    exhibit: str
    index: int
    since: When
    by: str
    legal_basis: tuple[str, ...]
    purpose: str | None
    handed_over_index: int | None
    before_request: bool
    requests: tuple[int, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lift:
    """A lifting: for whom (empty = every recipient) and for which purposes (empty = every purpose)."""

    index: int
    when: When
    said: Said
    recipients: tuple[Who, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoundRecipient:
    """What one recipient may use the exhibit for; `free` when the condition was lifted for every purpose."""

    authority: Who
    purposes: tuple[str, ...]
    free: bool
    accepted: str | None
    accepted_index: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A use condition that binds the exhibit at the instant asked about, or did until lifted or expired.

    `bound_by` is exhibit, ancestor, disclosure, case or future_material, and `via` the id of that thing. `purposes` are the only
    uses allowed; empty `recipients` binds every holder.
    """

    condition: str
    index: int
    sentence: str
    bound_by: str
    via: str
    when: When
    said: Said
    purposes: tuple[str, ...]
    recipients: tuple[BoundRecipient, ...]
    future_material: bool
    expires_at: int | None
    in_force: bool
    lifted: tuple[Lift, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One disclosure of the exhibit or of an ancestor, to one recipient."""

    disclosure: str
    index: int
    exhibits: tuple[str, ...]
    recipient: Who
    purpose: str | None
    legal_basis: tuple[str, ...]
    when: When
    said: Said
    sentence: str
    recalled_index: int | None


@dataclass(frozen=True, slots=True)
class Withheld:
    """Facts withheld about the exhibit, an ancestor or the whole case, and on which ground."""

    index: int
    facts: tuple[str, ...]
    ground: str
    said: Said
    when: When
    sentence: str
    via: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """The provenance of one exhibit: `chain` leads from the authorisation through every ancestor to the exhibit itself."""

    exhibit: str
    case: str
    lineage: tuple[Origin, ...]
    chain: tuple[Hop, ...]
    holders: tuple[Holding, ...]
    conditions: tuple[Condition, ...]
    disclosures: tuple[Disclosure, ...]
    withheld: tuple[Withheld, ...]
    gaps: tuple[Gap, ...]
    descendants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BasisStep:
    """
    One step of the legal basis, in the order in which it happened.

    `step` is measure_authorised, collected, condition_attached, information_sent, disclosed, requested, use_authorised,
    condition_lifted, ruled or recalled. For a disclosure, `authorised_index` is the first later (or earlier) authorisation of
    the use by its recipient, and `before_authorisation` says that the disclosure came first (None when there is none).
    """

    index: int
    step: str
    act: str
    sentence: str
    when: When
    said: Said
    legal_basis: tuple[str, ...]
    recipients: tuple[Who, ...]
    authorised_index: int | None = None
    before_authorisation: bool | None = None


def exhibit(views: Views, exhibit_id: str | bytes, *, happened_by: int | None = None,
            known_by: int | None = None) -> Provenance:  # fmt: skip
    """Return the provenance of an exhibit. Raises `NotFound` when nothing is known of it at these clocks."""
    raise NotImplementedError


def legal_basis_timeline(views: Views, exhibit_id: str | bytes, *, happened_by: int | None = None,
                         known_by: int | None = None) -> tuple[BasisStep, ...]:  # fmt: skip
    """Return on which basis the exhibit was collected, disclosed, requested and authorised for use, in order. Raises `NotFound`."""
    raise NotImplementedError


def exhibits(views: Views, case_id: str | bytes, *, happened_by: int | None = None,
             known_by: int | None = None) -> tuple[Origin, ...]:  # fmt: skip
    """List the exhibits of a case in the order of the log."""
    raise NotImplementedError
