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
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections.clocks import RUNNING, by_end, clocks
from projections.facts import COLUMNS, Fact, Table, id_bytes, id_text
from projections.matters import Seat
from projections.rules import rules
from projections.running import instant
from projections.sight import COLUMNS as COLUMNS_OF_SIGHT
from projections.sight import Sight, columns_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from projections.clocks import Clock
    from projections.duties import Finding
    from projections.matters import Act
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
    asked = _Asked(views, at, happened_by, known_by, due_within, law, viewer, read_at)
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
    asked = _Asked(views, at, happened_by, known_by, due_within, law, viewer, read_at)
    found: list[Clock] = []
    known = False
    for home in homes:
        here = asked.shown(asked.fold(home) or (), states)
        known = known or text in asked.things
        found += (clock for clock in here if text in {clock.thing, clock.request})
    if not known:
        raise NotFound(f"nothing is known of {text}")
    return tuple(sorted(found, key=by_end))


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
    asked = _Asked(views, at, happened_by, known_by, due_within, law, key, read_at)
    found: list[Clock] = []
    homes = views.db.execute("SELECT DISTINCT case_id FROM deadlines.part WHERE authority = ? ORDER BY case_id", (key,))
    for (home,) in homes.fetchall():
        found += (clock for clock in asked.shown(asked.fold(home) or (), wanted) if clock.authority == text)
    return tuple(sorted(found, key=by_end))


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
    asked = _Asked(views, at, happened_by, known_by, due_within, law, viewer, read_at)
    homes = views.db.execute("SELECT case_id FROM deadlines.act GROUP BY case_id ORDER BY min(idx)")
    for (home,) in homes.fetchall():
        yield from asked.shown(asked.fold(home) or (), states)


class Reading:
    """
    Cases as one viewer may see them at one pair of clocks, and what clocks they start.

    Args:
        views: the projections, opened for reading.
        projection: the name of the one whose tables `act`, `part` and `seat` are read.
        law: the limits.
        at, happened_by, known_by, due_within, viewer, read_at: as :func:`case`.
        carried: as `projections.sight.Sight`.

    Attributes:
        seats: where every authority sits, read once for all cases.
        sight: who may see what of the case that was read last.
        viewer: the authority that asks, UUID text.
        bound: until when what happened counts, µs.
        known_on: the day whose knowledge of the law counts; None for today's.
        things: of the case that was read last, as far as the viewer may see them.
    """

    def __init__(
        self,
        views: Views,
        projection: str,
        law: Rules,
        *,
        at: int,
        happened_by: int | None,
        known_by: int | None,
        viewer: str | bytes | None,
        read_at: int | None,
        due_within: int | None = None,
        carried: bool = False,
    ) -> None:
        self.limits = law
        self.at = at
        self.happened_by = happened_by
        self.known_by = known_by
        self.due_within = due_within
        self.bound = at if happened_by is None else min(at, happened_by)
        self.known_on = None if known_by is None else instant(known_by).date()
        found = views.db.execute(f"SELECT authority, country, zone, kind FROM {projection}.seat ORDER BY idx")
        self.seats = {id_text(one): Seat(country, zone, kind) for one, country, zone, kind in found}
        when = at if read_at is None else read_at
        self.sight = Sight(views, projection, self.seats, viewer, known_by=known_by, read_at=when, carried=carried)
        self.viewer = self.sight.viewer
        self.things: frozenset[str] = frozenset()

    def acts(self, key: bytes) -> list[Act] | None:
        """
        Read one case; None where nothing is known of it.

        After its acts come those of a request of another case to which a thing of this one belongs.
        """
        self.sight.marks, self.things, self.sight.outsider = {}, frozenset(), self.viewer is not None
        acts = self.sight.of_case(key, home=True)
        if not any(act.from_at <= self.bound for act in acts):
            return None
        held = {act.subject for act in acts}
        self.things = frozenset(held)
        # That request says under which instrument the thing stands.
        beyond = {str(one) for act in acts if (one := act.body.get("request")) is not None} - held
        for one in sorted(beyond):
            acts += self.sight.of_thing(one)
        return acts

    def clocks(self, acts: Iterable[Act]) -> tuple[Clock, ...]:
        """The clocks that acts start, of whatever case, by their end."""
        return clocks(
            acts,
            self.limits,
            self.seats,
            at=self.at,
            happened_by=self.happened_by,
            known_on=self.known_on,
            due_within=self.due_within,
        )

    def concerns(self, one: Clock | Finding, who: str) -> bool:
        """Whether a clock or a finding concerns an authority: it must act, or sits where only the State is known."""
        if one.authority is not None:
            return one.authority == who
        seat = self.seats.get(who)
        return one.country is not None and seat is not None and seat.country == one.country


class _Asked:
    """What is asked, and under which law."""

    def __init__(
        self,
        views: Views,
        at: int,
        happened_by: int | None,
        known_by: int | None,
        due_within: int | None,
        law: Rules | None,
        viewer: str | bytes | None,
        read_at: int | None,
    ) -> None:
        self.reading = Reading(
            views,
            NAME,
            law or (rules() if views.law is None else views.law.limits),
            at=at,
            happened_by=happened_by,
            known_by=known_by,
            viewer=viewer,
            read_at=read_at,
            due_within=due_within,
        )

    @property
    def things(self) -> frozenset[str]:
        """The things of the case that was folded last."""
        return self.reading.things

    def fold(self, key: bytes) -> tuple[Clock, ...] | None:
        """Fold one case; None where nothing is known of it."""
        acts = self.reading.acts(key)
        if acts is None:
            return None
        text = id_text(key)
        return tuple(clock for clock in self.reading.clocks(acts) if clock.case == text)

    def shown(self, found: Iterable[Clock], states: Collection[str]) -> tuple[Clock, ...]:
        """Return what is asked for, as far as the viewer may see it; right after the fold of its case."""
        reading, who = self.reading, self.reading.viewer
        wanted = frozenset[str]().union(*(STATES.get(state, {state}) for state in states))
        return tuple(
            # Of a case in which it takes no part a viewer sees too little to say that nobody has acted.
            replace(clock, uncertain=True) if reading.sight.outsider and clock.standing in _NOBODY_ACTED else clock
            for clock in found
            if (not wanted or clock.standing in wanted)
            and (clock.verified or (who is not None and reading.concerns(clock, who)))
        )
