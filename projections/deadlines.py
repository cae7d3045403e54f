"""
Which time limits run, which were met, came late or lapsed: for a case, a thing, an authority, at any instant.

Kept are the facts alone; the clocks are folded when they are asked for (`projections.clocks`), under the
law of the day of each and as it was known. So no stored result can differ from what the facts and the
law give, and a lapse that was published stands as published beside what would be computed now.

For a viewer only what it may see is folded, as findings are (`projections.sight`): what it may not see changes
nothing of its answer. What would have met a limit may so have been done out of its sight; who takes no part in
the case is told so. Rules that were not compared with the official wording are shown as such, and to the
authority concerned only.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections.clocks import RUNNING, Clock, clocks
from projections.facts import COLUMNS, Fact, Table, id_bytes, id_text
from projections.matters import Seat
from projections.rules import rules
from projections.sight import COLUMNS as COLUMNS_OF_SIGHT
from projections.sight import Sight, columns_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from projections.rules import Rules
    from projections.views import Views

NAME: Final = "deadlines"

TABLES: Final = (
    Table("act", (*COLUMNS, ("legal_effect_at", "INTEGER"), *COLUMNS_OF_SIGHT), ("case_id", "subject")),
    Table(
        "part",
        (
            ("idx", "INTEGER NOT NULL"),
            ("ord", "INTEGER NOT NULL"),
            ("authority", "BLOB NOT NULL"),
            ("case_id", "BLOB NOT NULL"),
        ),
        ("authority, case_id",),
    ),
    Table(
        "seat",
        (
            ("idx", "INTEGER NOT NULL"),
            ("authority", "BLOB NOT NULL"),
            ("country", "TEXT"),
            ("zone", "TEXT"),
            ("kind", "TEXT"),
        ),
    ),
)

#: Acts about the ledger and its authorities: no time limit of cooperation begins with them.
_ROSTER: Final = frozenset(
    {
        "authority.enrolled", "competence.declared", "key.certified", "key.retired", "key.revoked", "key.rotated",
        "ledger.founded", "log_key.replaced", "root.admitted", "root_key.replaced", "roster.confirmed",
    }
)  # fmt: skip

#: Fields of bodies that name an authority which may have to act, or be told.
_PARTS: Final = (
    "requested", "to", "competent", "recipient", "recipients", "court", "forum", "authority", "informed", "addressee",
    "with_authorities", "from_authority",
)  # fmt: skip

STATES: Final[Mapping[str, frozenset[str]]] = {"open": RUNNING - {"suspended"}}
"""What is meant by a standing asked for, where it is more than itself: what is due or extended is open too."""

_NOBODY_ACTED: Final = RUNNING | {"lapsed"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    if not fact.accepted:
        return
    statement, body = fact.statement, fact.body or {}
    if statement.act in _ROSTER:
        if statement.act == "authority.enrolled":
            seat = (fact.index, statement.subject, body["country"], body["zone"], body["authority_kind"])
            rows["seat"].append(seat)
        return
    rows["act"].append((*fact.header(), statement.legal_effect_at, *columns_of(statement)))
    concerned = {statement.publisher: None}
    if statement.speaker is not None and statement.speaker.authority is not None:
        concerned[statement.speaker.authority] = None
    for name in _PARTS:
        value = body.get(name)
        if isinstance(value, bytes):
            concerned[value] = None
        elif isinstance(value, (list, tuple)):
            concerned.update((one, None) for one in value if isinstance(one, bytes))
    rows["part"].extend((fact.index, order, one, statement.case) for order, one in enumerate(concerned))


# ------------------------------------------------------------------------------------------- answers


def case(
    views: Views,
    case_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    due_within: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Rules | None = None,
) -> tuple[Clock, ...]:
    """
    Return the clocks of a case, by their end.

    Args:
        views: the projections, opened for reading.
        case_id: the case.
        at: the instant at which they are read, µs.
        happened_by: what may have happened by then, µs; None for `at`.
        known_by: what the log, and the law, knew by then, µs; None for no bound.
        due_within: days; a clock that ends within them stands as `due`.
        viewer: the authority that asks: it sees what its part lets it see, and unverified rules that concern
            it. None: whoever holds this log, without unverified rules.
        read_at: the instant at which the viewer reads, µs, by which embargoes are judged whatever instant is
            asked about; None for `at`.
        states: standings to return; none for all. `open` takes in what is due or extended.
        law: another law than that of this release.

    Raises:
        NotFound: nothing is known of the case at these clocks.

    Cost: O(entries of the case).
    """
    key = id_bytes(case_id)
    asked = _ask(views, at, happened_by, known_by, due_within, law, viewer, read_at)
    found = asked.fold(key)
    if found is None:
        raise NotFound(f"nothing is known of case {id_text(key)}")
    return asked.shown(found, states)


def thing(
    views: Views,
    thing_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    due_within: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Rules | None = None,
) -> tuple[Clock, ...]:
    """
    Return the clocks that run on one thing, and for a request those on other things under it.

    Arguments, errors and cost are those of :func:`case`.
    """
    key = id_bytes(thing_id)
    text = id_text(key)
    homes = [
        home for (home,) in views.db.execute("SELECT DISTINCT case_id FROM deadlines.act WHERE subject = ?", (key,))
    ]
    asked = _ask(views, at, happened_by, known_by, due_within, law, viewer, read_at)
    found: list[Clock] = []
    known = False
    for home in homes:
        here = asked.shown(asked.fold(home) or (), states)
        known = known or text in asked.things
        found += (clock for clock in here if text in {clock.thing, clock.request})
    if not known:
        raise NotFound(f"nothing is known of {text}")
    return tuple(_sorted(found))


def authority(
    views: Views,
    authority_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    due_within: int | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Rules | None = None,
) -> tuple[Clock, ...]:
    """
    Return the clocks of the limits that one authority must keep, by their end; it sees its unverified ones too.

    With `due_within` and no `states`, those that end within so many days. Arguments are those of :func:`case`.

    Cost: O(entries of the cases in which the authority has a part).
    """
    key = id_bytes(authority_id)
    text = id_text(key)
    wanted = states or (("due",) if due_within is not None else ())
    asked = _ask(views, at, happened_by, known_by, due_within, law, key, read_at)
    found: list[Clock] = []
    homes = views.db.execute("SELECT DISTINCT case_id FROM deadlines.part WHERE authority = ? ORDER BY case_id", (key,))
    for (home,) in homes.fetchall():
        found += (clock for clock in asked.shown(asked.fold(home) or (), wanted) if clock.authority == text)
    return tuple(_sorted(found))


def every(
    views: Views,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    due_within: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Rules | None = None,
) -> Iterator[Clock]:
    """
    Yield the clocks of every case, case after case in the order in which the log first heard of them.

    Arguments are those of :func:`case`. Memory is that of one case at a time.
    """
    asked = _ask(views, at, happened_by, known_by, due_within, law, viewer, read_at)
    homes = views.db.execute("SELECT case_id FROM deadlines.act GROUP BY case_id ORDER BY min(idx)")
    for (home,) in homes.fetchall():
        yield from asked.shown(asked.fold(home) or (), states)


def concerned(clock: Clock, viewer: str, country: str | None) -> bool:
    """
    Whether a clock concerns an authority: it must act, or, where only its State is known, sits there.

    Args:
        clock: the clock.
        viewer: the authority, UUID text.
        country: where it sits.
    """
    if clock.authority is not None:
        return clock.authority == viewer
    return clock.country is not None and clock.country == country


def _sorted(found: Iterable[Clock]) -> list[Clock]:
    return sorted(found, key=lambda c: (c.due_at is None, c.due_at or 0, -1 if c.index is None else c.index, c.limit))


class _Asked:
    """What is asked, and under which law; where every authority sits is read once for one question."""

    def __init__(
        self,
        views: Views,
        at: int,
        happened_by: int | None,
        known_by: int | None,
        due_within: int | None,
        law: Rules,
        viewer: str | bytes | None,
        read_at: int | None,
    ) -> None:
        self.at = at
        self.happened_by = happened_by
        self.known_by = known_by
        self.due_within = due_within
        self.law = law
        found = views.db.execute("SELECT authority, country, zone, kind FROM deadlines.seat ORDER BY idx")
        self.seats = {id_text(one): Seat(country, zone, kind) for one, country, zone, kind in found}
        instant = at if read_at is None else read_at
        self.sight = Sight(views, NAME, self.seats, viewer, known_by=known_by, read_at=instant)
        self.things: frozenset[str] = frozenset()

    def fold(self, key: bytes) -> tuple[Clock, ...] | None:
        """Fold one case; None where nothing is known of it."""
        self.sight.marks, self.things, self.sight.outsider = {}, frozenset(), self.sight.viewer is not None
        acts = self.sight.of_case(key, home=True)
        bound = self.at if self.happened_by is None else min(self.at, self.happened_by)
        if not any(act.from_at <= bound for act in acts):
            return None
        held = {act.subject for act in acts}
        self.things = frozenset(held)
        # A request of another case, to which a thing of this one belongs: it says under which instrument.
        beyond = {str(one) for act in acts if (one := act.body.get("request")) is not None} - held
        for one in sorted(beyond):
            acts += self.sight.of_thing(one)
        found = clocks(
            acts,
            self.law,
            self.seats,
            at=self.at,
            happened_by=self.happened_by,
            known_on=None if self.known_by is None else (_EPOCH + timedelta(microseconds=self.known_by)).date(),
            due_within=self.due_within,
        )
        text = id_text(key)
        return tuple(clock for clock in found if clock.case == text)

    def shown(self, found: Iterable[Clock], states: Collection[str]) -> tuple[Clock, ...]:
        """Return what is asked for, as far as the viewer may see it; right after the fold of its case."""
        who = self.sight.viewer
        seat = None if who is None else self.seats.get(who)
        country = None if seat is None else seat.country
        wanted = frozenset[str]().union(*(STATES.get(state, {state}) for state in states))
        return tuple(
            # Of a case in which it takes no part a viewer sees too little to say that nobody has acted.
            replace(clock, uncertain=True) if self.sight.outsider and clock.standing in _NOBODY_ACTED else clock
            for clock in found
            if (not wanted or clock.standing in wanted)
            and (clock.verified or (who is not None and concerned(clock, who, country)))
        )


def _ask(
    views: Views,
    at: int,
    happened_by: int | None,
    known_by: int | None,
    due_within: int | None,
    law: Rules | None,
    viewer: str | bytes | None,
    read_at: int | None,
) -> _Asked:
    return _Asked(
        views,
        at,
        happened_by,
        known_by,
        due_within,
        law or (rules() if views.law is None else views.law.limits),
        viewer,
        read_at,
    )
