"""
What the ledger knows of a thing: a case, a request, an exhibit, an authority.

A thing is what a stream folds into. It keeps what a decision or the next step needs and no more:
every field has a fixed or bounded size, so folding one act costs the same whether the stream holds
ten acts or a hundred thousand. Whoever needs the whole story reads the entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Sides: TypeAlias = tuple[tuple[str, int], ...]
"""Open side stages, each with how many times it is open; sorted by name; none with count 0."""

AUTHORITIES_MAX: Final = 256
"""The most authorities that one thing remembers in one role; later ones are not remembered."""


@dataclass(frozen=True, slots=True)
class Thing:
    """
    What every thing has.

    Attributes:
        subject: 16 bytes, the id of its stream.
        case: 16 bytes, the case that its first act named; for a case, its own id.
        opened: index of the entry that created it.
        last: index of the latest entry folded in.
        acts: how many acts have been folded in; the next ``subject_version``.
        stage: where the procedure stands, one of the stages of its kind in ``procedure.toml``.
        moved: index of the entry by which it came to that stage.
        reported: whether it came to that stage by a report only, nobody concerned having said so.
        sides: side stages that are open beside the stage, such as a consultation.
    """

    kind: ClassVar[str] = ""

    subject: bytes
    case: bytes
    opened: int
    last: int
    acts: int
    stage: str
    moved: int
    reported: bool
    sides: Sides


@dataclass(frozen=True, slots=True)
class LedgerThing(Thing):
    """The ledger itself, created by entry 0."""

    kind: ClassVar[str] = "ledger"

    operator: bytes | None = None


@dataclass(frozen=True, slots=True)
class Authority(Thing):
    """
    An authority as its enrolment describes it; its keys are the roster's business.

    Attributes:
        holder: the State, Union, court or organisation whose root enrolled it; None for a root.
        authority_kind: code of the list ``authority_kinds``.
        country: ISO 3166-1 code.
    """

    kind: ClassVar[str] = "authority"

    holder: str | None = None
    authority_kind: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Case(Thing):
    """A cross-border file. ``authority`` opened it (None where only a country is known)."""

    kind: ClassVar[str] = "case"

    authority: bytes | None = None


@dataclass(frozen=True, slots=True)
class Proceedings(Thing):
    """National proceedings. ``authority`` conducts them."""

    kind: ClassVar[str] = "proceedings"

    authority: bytes | None = None


@dataclass(frozen=True, slots=True)
class Request(Thing):
    """
    A request of one State to another.

    Attributes:
        instrument: code of the instrument it is made under.
        form: code of ``request_kinds`` (gather, already_in_possession, preserve...).
        requesting: the authority that issued it; None where it is only reported of a country.
        requesting_country: set only where a report names a country instead of an authority.
        requested: the authority it is now before, as last named; None while nobody is named.
        requested_country: the requested State.
        named: every authority that was named as requested or forwarded to, or received it.
    """

    kind: ClassVar[str] = "request"

    instrument: str = ""
    form: str = ""
    requesting: bytes | None = None
    requesting_country: str | None = None
    requested: bytes | None = None
    requested_country: str | None = None
    named: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Exhibit(Thing):
    """
    An item of evidence.

    Attributes:
        exhibit_kind: code of ``exhibit_kinds``; empty for a derived exhibit.
        holder: who holds it, by both halves of the latest complete hand-over.
        offered_to: to whom it was handed over without his half being recorded yet.
        parents: what it was derived from; empty when it was acquired.
        source_country: the State in which it was acquired; None for a derived exhibit.
    """

    kind: ClassVar[str] = "exhibit"

    exhibit_kind: str = ""
    holder: bytes | None = None
    offered_to: bytes | None = None
    parents: tuple[bytes, ...] = ()
    source_country: str | None = None


@dataclass(frozen=True, slots=True)
class Disclosure(Thing):
    """
    A disclosure of exhibits, on request or spontaneous.

    Attributes:
        discloser: who disclosed.
        recipients: to whom.
        spontaneous: whether nobody had asked.
        implemented: recipients who have themselves said that they carried out the recall.
    """

    kind: ClassVar[str] = "disclosure"

    discloser: bytes | None = None
    recipients: frozenset[bytes] = frozenset()
    spontaneous: bool = False
    implemented: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Challenge(Thing):
    """
    A legal remedy sought.

    Attributes:
        forum: the court or body before which it was lodged.
        target: the statement challenged, if one is named.
        target_subject: the thing challenged, if one is named.
    """

    kind: ClassVar[str] = "challenge"

    forum: bytes | None = None
    target: bytes | None = None
    target_subject: bytes | None = None


@dataclass(frozen=True, slots=True)
class Handover(Thing):
    """
    The handing over of a person, of proceedings, or of a file.

    Attributes:
        what: ``person``, ``proceedings`` or ``file``.
        request: the request it answers, if one is named.
        recipient: the authority that is to receive it, where it is named.
    """

    kind: ClassVar[str] = "handover"

    what: str = "person"
    request: bytes | None = None
    recipient: bytes | None = None


@dataclass(frozen=True, slots=True)
class JointTeam(Thing):
    """A joint investigation team and its present members."""

    kind: ClassVar[str] = "joint_team"

    members: frozenset[bytes] = frozenset()


THINGS: Final[Mapping[str, type[Thing]]] = {
    thing.kind: thing
    for thing in (
        LedgerThing,
        Authority,
        Case,
        Proceedings,
        Request,
        Exhibit,
        Disclosure,
        Challenge,
        Handover,
        JointTeam,
    )
}
"""The class of each stream kind."""
