"""
What acts make of a thing.

``evolve`` folds one accepted act into a thing; it never refuses anything, because what it folds has
been accepted. Two orders make sense, and both are offered (:func:`fold`):

- **recorded**: the order of the log, in which the ledger decides. Folding is incremental:
  ``fold(a + b)`` is ``fold(b)`` begun with ``fold(a)``.
- **happened**: the order in which things are said to have happened; what a judge asks for. A thing
  that arrives late may belong in the middle, so this fold starts anew.

The two differ only where the log learned things in another order than they happened.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast

from ledger.domain.procedure import Body, Procedure, load
from ledger.domain.things import (
    AUTHORITIES_MAX,
    THINGS,
    Authority,
    Disclosure,
    Exhibit,
    Handover,
    JointTeam,
    Request,
    Thing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ledger.statement import Statement

Facts: TypeAlias = dict[str, Any]


class Said(Protocol):
    """An accepted act: its index, its statement and its decoded body."""

    @property
    def index(self) -> int:
        """Of its entry."""

    @property
    def statement(self) -> Statement:
        """As it was signed."""

    @property
    def body(self) -> dict[str, Any] | None:
        """Decoded; None for a rejected entry."""


def speaker_of(statement: Statement) -> bytes | None:
    """
    Whose act it is: the publisher's own, or that of the authority it speaks for or reports.

    None where a report names a country and a kind of authority only.
    """
    if statement.speaker is None:
        return statement.publisher
    return statement.speaker.authority


def evolve(
    thing: Thing | None,
    index: int,
    statement: Statement,
    body: Body,
    procedure: Procedure | None = None,
) -> Thing:
    """
    The thing after one more accepted act.

    Args:
        thing: what the stream folded into before; None for the first act of the stream.
        index: of the entry, above that of every act folded before.
        statement: the accepted statement.
        body: its decoded body.
        procedure: the graph; the superset graph of this release unless another is given.

    Returns:
        A new thing; the given one is unchanged.

    Cost: independent of how many acts were folded before.
    """
    return _folded(thing, ((index, statement, body),), procedure or load())


def fold(
    said: Iterable[Said],
    thing: Thing | None = None,
    *,
    order: Literal["recorded", "happened"] = "recorded",
    procedure: Procedure | None = None,
) -> Thing | None:
    """
    What a stream folds into.

    Args:
        said: the stream's acts in log order; rejected entries (body None) are passed over.
        thing: where to begin, for order ``recorded`` only.
        order: ``recorded`` as the log learned; ``happened`` by ``occurred_from``, then by index,
            the creating act first.
        procedure: see :func:`evolve`.

    Returns:
        The thing; None if nothing was said and nothing was given.

    Cost: linear in the number of acts; ``happened`` holds them all and sorts them.
    """
    if order == "happened":
        assert thing is None, "a fold by what happened starts anew"
        accepted = [act for act in said if act.body is not None]
        said = accepted[:1] + sorted(accepted[1:], key=lambda act: (act.statement.occurred_from, act.index))
    acts = ((act.index, act.statement, act.body) for act in said if act.body is not None)
    first = next(acts, None)
    return thing if first is None else _folded(thing, chain((first,), acts), procedure or load())


def _folded(thing: Thing | None, acts: Iterable[tuple[int, Statement, Body]], graph: Procedure) -> Thing:
    """
    Fold at least one act.

    Most acts move the head of a thing and tell nothing else of it, so the head is carried in local
    names and a thing is made once at the end, and where an act tells more.
    """
    acts = iter(acts)
    if thing is None:
        thing = _created(graph, *next(acts))
    kind, last, count, stage = thing.kind, thing.last, thing.acts, thing.stage
    moved, reported, sides = thing.moved, thing.reported, thing.sides
    facts: Facts = {}
    for index, statement, body in acts:
        act = statement.act
        last = index
        count += 1
        said_itself = statement.voice != "reported"
        before, stage = stage, graph.step(kind, stage, act, body).stage
        sides = graph.sides(kind, sides, act, body)[0]
        learns = _LEARNS.get(act)
        if learns is not None:
            if facts:
                thing = replace(thing, **facts)
            facts = learns(thing, statement, body)
            if facts.pop("stays", False):
                stage = before
        if stage != before:
            moved, reported = index, not said_itself
        elif reported and said_itself and graph.leads_to(kind, act, body) == stage:
            # What was only reported is confirmed when somebody concerned says the same act.
            reported = False
    if facts:
        thing = replace(thing, **facts)
    told = _TOLD[kind](thing)
    return THINGS[kind](thing.subject, thing.case, thing.opened, last, count, stage, moved, reported, sides, *told)


def _told_by(names: tuple[str, ...]) -> Callable[[Thing], tuple[Any, ...]]:
    """A fast reader of these attributes; with one name or none ``attrgetter`` gives no tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda thing: tuple(getattr(thing, name) for name in names)


_HEAD: Final = len(fields(Thing))
_TOLD: Final = {kind: _told_by(tuple(field.name for field in fields(thing))[_HEAD:]) for kind, thing in THINGS.items()}


def _created(graph: Procedure, index: int, statement: Statement, body: Body) -> Thing:
    # Roots are founded, not enrolled: their stream may begin with any act of an authority.
    kind = graph.creates.get(statement.act, Authority.kind)
    begins = _BEGINS.get(statement.act)
    stage = graph.step(kind, None, statement.act, body).stage
    sides = graph.sides(kind, (), statement.act, body)[0]
    return THINGS[kind](
        subject=statement.subject,
        case=statement.case,
        opened=index,
        last=index,
        acts=1,
        stage=stage or next(iter(graph.graphs[kind].stages)),
        moved=index,
        reported=statement.voice == "reported",
        sides=sides,
        **(begins(statement, body) if begins is not None else {}),
    )


# What the first act of a stream tells of the thing.


def _conducted(statement: Statement, body: Body) -> Facts:
    return {"authority": body.get("authority") or speaker_of(statement)}


def _enrolled(statement: Statement, body: Body) -> Facts:
    return {
        "holder": body["holder"],
        "authority_kind": body["authority_kind"],
        "country": body["country"],
    }


def _founded(statement: Statement, body: Body) -> Facts:
    return {"operator": body["operator"]}


def _issued(statement: Statement, body: Body) -> Facts:
    requested = body.get("requested")
    speaker = statement.speaker
    return {
        "instrument": body["instrument"],
        "form": body["form"],
        "requesting": speaker_of(statement),
        "requesting_country": speaker.country if speaker is not None else None,
        "requested": requested,
        "requested_country": body["requested_country"],
        "named": frozenset() if requested is None else frozenset((requested,)),
    }


def _acquired(statement: Statement, body: Body) -> Facts:
    return {
        "exhibit_kind": body["exhibit_kind"],
        "holder": body.get("acquired_by") or speaker_of(statement),
        "source_country": body["source_country"],
    }


def _derived(statement: Statement, body: Body) -> Facts:
    return {"holder": speaker_of(statement), "parents": tuple(body["parents"])}


def _disclosed(statement: Statement, body: Body) -> Facts:
    return {"discloser": speaker_of(statement), "recipients": frozenset((body["recipient"],))}


def _sent_unasked(statement: Statement, body: Body) -> Facts:
    return {
        "discloser": speaker_of(statement),
        "recipients": frozenset(body["recipients"]),
        "spontaneous": True,
    }


def _lodged(statement: Statement, body: Body) -> Facts:
    return {
        "forum": body["forum"],
        "target": body.get("target"),
        "target_subject": body.get("target_subject"),
    }


def _arrested(statement: Statement, body: Body) -> Facts:
    return {"what": "person", "request": body.get("request")}


def _proceedings_offered(statement: Statement, body: Body) -> Facts:
    return {"what": "proceedings", "request": body.get("request")}


def _file_sent(statement: Statement, body: Body) -> Facts:
    return {
        "what": "file",
        "request": body.get("request"),
        "recipient": body.get("recipient"),
    }


def _agreed(statement: Statement, body: Body) -> Facts:
    return {"members": frozenset(body["members"])}


_BEGINS: Final[Mapping[str, Callable[[Statement, Body], Facts]]] = {
    "ledger.founded": _founded,
    "authority.enrolled": _enrolled,
    "case.opened": _conducted,
    "proceedings.opened": _conducted,
    "request.issued": _issued,
    "exhibit.acquired": _acquired,
    "exhibit.derived": _derived,
    "disclosure.made": _disclosed,
    "spontaneous_information.sent": _sent_unasked,
    "challenge.lodged": _lodged,
    "person.arrested": _arrested,
    "handover.opened": _arrested,
    "proceedings_handover.decided": _proceedings_offered,
    "file.handed_over": _file_sent,
    "joint_team.agreed": _agreed,
}


# What a later act adds. Each function is called with the kind of thing its act is said of; an act
# that is said of several kinds and tells something of one only checks the kind.


def _named(request: Request, authority: bytes | None) -> Facts:
    if authority is None:
        return {}
    if authority in request.named or len(request.named) >= AUTHORITIES_MAX:
        return {"requested": authority}
    return {"requested": authority, "named": request.named | {authority}}


def _sent_on(thing: Thing, statement: Statement, body: Body) -> Facts:
    return _named(cast("Request", thing), body["to"])


def _enforcing(thing: Thing, statement: Statement, body: Body) -> Facts:
    # The enforcing authority may speak as requested, yet the order stays before the provider.
    request = cast("Request", thing)
    return {**_named(request, body["to"]), "requested": request.requested}


def _received(thing: Thing, statement: Statement, body: Body) -> Facts:
    request = cast("Request", thing)
    if statement.voice == "reported":
        return {}
    receiver = speaker_of(statement)
    # A central authority that receives for an authority already named does not displace it.
    if request.requested is not None and receiver != request.requested:
        return {**_named(request, receiver), "requested": request.requested}
    return _named(request, body.get("competent") or receiver)


def _acknowledged(thing: Thing, statement: Statement, body: Body) -> Facts:
    return _named(cast("Request", thing), body.get("competent"))


def _offered(thing: Thing, statement: Statement, body: Body) -> Facts:
    if not isinstance(thing, Exhibit) or statement.voice == "reported":
        return {}
    return {"offered_to": body["to"]}


def _taken_over(thing: Thing, statement: Statement, body: Body) -> Facts:
    # A report never completes a bilateral half: the holder stays who he was.
    if statement.voice == "reported":
        return {}
    return {"holder": speaker_of(statement), "offered_to": None}


def _recalled(thing: Thing, statement: Statement, body: Body) -> Facts:
    # Every recall is to be carried out anew by every recipient.
    return {"implemented": frozenset()}


def _carried_out(thing: Thing, statement: Statement, body: Body) -> Facts:
    disclosure = cast("Disclosure", thing)
    done = disclosure.implemented
    recipient = speaker_of(statement)
    if statement.voice != "reported" and recipient is not None and recipient in disclosure.recipients:
        done |= {recipient}
    facts: Facts = {"implemented": done}
    if done < disclosure.recipients:
        facts["stays"] = True
    return facts


def _file_decided(thing: Thing, statement: Statement, body: Body) -> Facts:
    return {"recipient": body.get("recipient") or cast("Handover", thing).recipient}


def _membership(thing: Thing, statement: Statement, body: Body) -> Facts:
    members = cast("JointTeam", thing).members
    if body["change"] == "left":
        return {"members": members - {body["authority"]}}
    if len(members) >= AUTHORITIES_MAX:
        return {}
    return {"members": members | {body["authority"]}}


_LEARNS: Final[Mapping[str, Callable[[Thing, Statement, Body], Facts]]] = {
    "request.transmitted": _sent_on,
    "request.forwarded": _sent_on,
    "enforcing_authority.notified": _enforcing,
    "enforcement.requested": _enforcing,
    "request.received": _received,
    "request.acknowledged": _acknowledged,
    "exhibit.handed_over": _offered,
    "exhibit.returned": _offered,
    "exhibit.taken_over": _taken_over,
    "disclosure.recalled": _recalled,
    "recall.implemented": _carried_out,
    "file.handed_over": _file_decided,
    "joint_team.membership_changed": _membership,
}
