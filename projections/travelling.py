"""
Conditions of use that travel with an exhibit: whom each binds, for what, until when, and through whom.

An authority attaches a condition to an exhibit, to a disclosure, to a case, or to material still to come. It binds
whom it names, or every recipient, and whoever has the exhibit, or what was derived from it, from one so bound.
It is lifted or changed for some and stays for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from projections.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from projections.facts import Row, Said, When, Who
    from projections.provenance import Chain, Holding, Hop

#: Steps by which somebody comes to hold an exhibit.
GIVING: Final = frozenset({"informed", "disclosed", "handed_over", "result_handed_over", "shared"})
TAKING: Final = frozenset({"taken_over", "result_received"})
MAKING: Final = frozenset({"acquired", "derived"})


@dataclass(frozen=True, slots=True)
class Lift:
    """A lifting: for whom (empty: every recipient), for which purposes (empty: every purpose)."""

    index: int
    when: When
    said: Said
    recipients: tuple[Who, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variation:
    """A change of a condition: the purposes, recipients (empty: every recipient) and expiry that it has since."""

    index: int
    when: When
    said: Said
    recipients: tuple[Who, ...]
    purposes: tuple[str, ...]
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class BoundRecipient:
    """
    What one recipient may use the exhibit for: `purposes`, or anything where `free`.

    `accepted` is how it answered the condition, by the entry `accepted_index`. `through` is who gave
    the exhibit on to it, where the condition does not name it: a condition travels with the evidence.
    """

    authority: Who
    purposes: tuple[str, ...]
    free: bool
    accepted: str | None
    accepted_index: int | None
    through: Who | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A use condition on the exhibit, by the entry `index` in `case`: in force at the instant asked about, or lifted
    or expired.

    `bound_by` is exhibit, ancestor, disclosure, case or future_material, and `via` the id of that
    thing. `purposes` are the only uses allowed, before any lifting; `recipients` are those it names, or,
    where it names none, every holder shown; both as the last variation has them.
    """

    condition: str
    index: int
    case: str
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
    varied: tuple[Variation, ...] = ()


class OnExhibit:
    """
    The conditions on one exhibit, which come to it through what its chain shows.

    Args:
        chain: the exhibit, what it was derived from, and what the log says of them.
        at: the instant at which conditions that end by themselves are read, µs; None where none has ended.
    """

    def __init__(self, chain: Chain, at: int | None) -> None:
        self.chain = chain
        self.at = at

    def conditions(self, holders: Sequence[Holding], chain: Sequence[Hop]) -> tuple[Condition, ...]:
        """Return the conditions on the exhibit, in the order in which they were attached."""
        doors: dict[int, tuple[Row, str]] = {}
        for exhibit in self.chain.distance:
            for row in self.chain.reader.subject(exhibit):
                if row.act == "use_condition.attached":
                    door = "exhibit" if exhibit == self.chain.exhibit else "ancestor"
                    doors[row.index] = (row, door)
        carried = {row.subject for row, _ in self.chain.listing.values()}
        for row in self.chain.case_rows("use_condition.attached"):
            if row.index in doors:
                continue
            if row.subject in carried:
                doors[row.index] = (row, "disclosure")
            elif row.body["future_material"] and self._reaches(row, holders):
                doors[row.index] = (row, "future_material")
            elif row.subject in self.chain.own_cases and self._existed(row):
                doors[row.index] = (row, "case")
        changes = {row.index: row for row in self.chain.case_rows("use_condition.lifted", "use_condition.varied")}
        for exhibit in self.chain.distance:
            changes.update(
                (row.index, row)
                for row in self.chain.reader.subject(exhibit)
                if row.act in {"use_condition.lifted", "use_condition.varied"}
            )
        lifts = [changes[index] for index in sorted(changes)]
        return tuple(
            self._condition(row, door, lifts, holders, chain)
            for _, (row, door) in sorted(doors.items())
            if self.chain.corrected(row) is None
        )

    def _reaches(self, row: Row, holders: Sequence[Holding]) -> bool:
        """Whether a condition on future material binds somebody who came to the exhibit since."""
        named = set(row.body["recipients"])
        return any(
            (not named or holding.authority.id in named)
            and holding.since.until_at >= row.when.from_at
            and holding.by not in MAKING
            for holding in holders
        )

    def _existed(self, row: Row) -> bool:
        """Whether an exhibit of the lineage in the same case was there when the condition was attached."""
        return any(
            made.case == row.subject and made.when.from_at <= row.when.until_at for made in self.chain.made.values()
        )

    def _condition(
        self,
        row: Row,
        door: str,
        lifts: Sequence[Row],
        holders: Sequence[Holding],
        chain: Sequence[Hop],
    ) -> Condition:
        body, views = row.body, self.chain.views
        condition = str(body["condition"])
        changes = [lift for lift in lifts if lift.body["condition"] == condition and self.chain.corrected(lift) is None]
        changes.sort(key=lambda change: (change.when.from_at, change.index))
        varied = [change for change in changes if change.act == "use_condition.varied"]
        # A variation says anew for what it allows use, whom it binds, and how long.
        body = varied[-1].body if varied else body
        mine = [
            change
            for change in changes
            if change.act == "use_condition.lifted" and (not varied or _after(change, varied[-1]))
        ]
        author = views.said(row).speaker
        named = list(body["recipients"]) or [
            holding.authority.id
            for holding in holders
            if holding.authority.id is not None and (holding.by not in MAKING or _abroad(holding, author))
        ]
        through = _through(row, named, chain)
        recipients = tuple(
            self._bound(row, recipient, through, mine, [str(one) for one in body["purposes"]]) for recipient in through
        )
        expires = body.get("expires_at")
        expired = expires is not None and self.at is not None and expires <= self.at
        lifted_for_all = any(not lift.body["recipients"] and not lift.body["purposes"] for lift in mine)
        bound = any(not recipient.free for recipient in recipients) if recipients else not lifted_for_all
        return Condition(
            condition,
            row.index,
            row.case,
            sentence(views, row),
            door,
            row.subject,
            row.when,
            views.said(row),
            tuple(body["purposes"]),
            recipients,
            bool(row.body["future_material"]),
            expires,
            bound and not expired,
            tuple(
                Lift(
                    lift.index,
                    lift.when,
                    views.said(lift),
                    views.whos(lift.body["recipients"]),
                    tuple(lift.body["purposes"]),
                )
                for lift in changes
                if lift.act == "use_condition.lifted"
            ),
            tuple(
                Variation(
                    change.index,
                    change.when,
                    views.said(change),
                    views.whos(change.body["recipients"]),
                    tuple(change.body["purposes"]),
                    change.body.get("expires_at"),
                )
                for change in varied
            ),
        )

    def _bound(
        self,
        row: Row,
        recipient: str,
        through: Mapping[str, Who | None],
        lifts: Sequence[Row],
        allowed: Iterable[str],
    ) -> BoundRecipient:
        purposes = dict.fromkeys(allowed)
        # Who had it from another may do what that other may, and what was allowed to himself.
        names = {recipient}
        giver = through[recipient]
        while giver is not None and giver.id is not None and giver.id not in names:
            names.add(giver.id)
            giver = through.get(giver.id)
        free = False
        for lift in lifts:
            if lift.body["recipients"] and names.isdisjoint(lift.body["recipients"]):
                continue
            free = free or not lift.body["purposes"]
            purposes |= dict.fromkeys(lift.body["purposes"])
        answers = [
            answer
            for answer in self.chain.reader.subject(row.subject)
            if answer.act == "conditions.accepted"
            and answer.body["condition"] == row.body["condition"]
            and answer.actor == recipient
        ]
        answer = answers[-1] if answers else None
        return BoundRecipient(
            self.chain.views.who(recipient),
            tuple(purposes),
            free,
            None if answer is None else str(answer.body["outcome"]),
            None if answer is None else answer.index,
            through[recipient],
        )


def _through(row: Row, named: Iterable[str], chain: Sequence[Hop]) -> dict[str, Who | None]:
    """
    Return whom a condition binds: those named, and whoever had the exhibit from one so bound.

    Either half of a hand-over shows it. Of two steps of one day the log may have heard in the wrong order,
    so that the chain is followed again until nobody is added.
    """
    bound: dict[str, Who | None] = dict.fromkeys(named)
    since = dict.fromkeys(bound, row.when.from_at)
    hops = [
        hop
        for hop in chain
        if hop.step in GIVING | TAKING and hop.giver is not None and hop.corrected_by is None
        if hop.when.until_at >= row.when.from_at
    ]
    size = -1
    while size != len(bound):
        size = len(bound)
        for hop in hops:
            giver = None if hop.giver is None else hop.giver.id
            if giver is None or giver not in since or hop.when.until_at < since[giver]:
                continue
            for taker in hop.takers:
                if taker.id is not None and taker.id not in bound:
                    bound[taker.id] = hop.giver
                    since[taker.id] = hop.when.from_at
    for hop in chain:
        # Who derived something without being shown to hold it had it from somebody of his State.
        maker = hop.takers[0] if hop.step == "derived" and hop.takers else None
        if maker is None or maker.id is None or maker.id in bound or hop.when.until_at < row.when.from_at:
            continue
        near = next((one for one in _holders_of(chain, bound) if maker.country and one.country == maker.country), None)
        if near is not None and not any(maker in one.takers for one in hops):
            bound[maker.id] = near
    return bound


def _holders_of(chain: Sequence[Hop], bound: Mapping[str, Who | None]) -> list[Who]:
    """Those who are bound, as the chain names them."""
    return [taker for hop in chain for taker in hop.takers if taker.id in bound]


def _after(change: Row, other: Row) -> bool:
    return (change.when.from_at, change.index) > (other.when.from_at, other.index)


def _abroad(holding: Holding, author: Who) -> bool:
    """Whether who made something sits in another State than who set a condition: he had it from there."""
    return holding.authority.country is not None and holding.authority.country != author.country


def binding(conditions: Iterable[Condition], authority: Who) -> tuple[str, ...]:
    """Return the ids of the conditions in force that bind *authority*."""
    return tuple(
        condition.condition
        for condition in conditions
        if condition.in_force
        and any(recipient.authority.id == authority.id and not recipient.free for recipient in condition.recipients)
    )
