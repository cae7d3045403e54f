"""
What the law says should have happened and did not: for a case, a thing, an authority, at any instant.

Kept are the facts alone, with who may see them and what they carry; the findings are folded when they
are asked for (`projections.duties`), under the law of the day of each and as it was known. So a duty that
only a later ruling made known is not held against anybody at a time when nobody knew it.

For a viewer only what it may see is folded: what it may not see changes nothing of its answer, neither a
finding nor a count, an index or an error. What is missing to its eyes may so have been done out of its sight;
who takes no part in the case is told so, and reads no more than an observation. A finding that rests on an
unverified rule is shown to the authority concerned only. The figures of oversight have neither.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from ledger.law import form
from projections import breaches, conditions, deadlines, lineage
from projections.checks import Declared, Outside, Overdue
from projections.duties import SETTLED, USES, Finding, findings
from projections.facts import COLUMNS, Fact, Table, id_bytes, id_text
from projections.matters import Matter as Folded
from projections.matters import listed
from projections.rules import Book, book
from projections.sight import COLUMNS as COLUMNS_OF_SIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import date

    from projections.clocks import Clock
    from projections.matters import Act
    from projections.views import Views

NAME: Final = "findings"

TABLES: Final = (
    Table(
        "act",
        (
            *COLUMNS,
            ("legal_effect_at", "INTEGER"),
            *COLUMNS_OF_SIGHT,
            ("carried", "TEXT NOT NULL"),
        ),
        ("case_id", "subject"),
    ),
    deadlines.TABLES[1],
    deadlines.TABLES[2],
    Table(
        "competence",
        (
            ("idx", "INTEGER NOT NULL"),
            ("authority", "BLOB NOT NULL"),
            ("known_at", "INTEGER NOT NULL"),
            ("valid_from", "INTEGER NOT NULL"),
            ("measures", "TEXT NOT NULL"),
            ("functions", "TEXT NOT NULL"),
        ),
    ),
    # Where conditions were ever attached: a log without any need not follow its exhibits.
    Table("condition", (("idx", "INTEGER NOT NULL"), ("case_id", "BLOB NOT NULL"))),
)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    if not fact.accepted:
        return
    statement, body = fact.statement, fact.body or {}
    if statement.act == "competence.declared":
        rows["competence"].append(
            (
                fact.index,
                statement.subject,
                fact.known_at,
                body["valid_from"],
                " ".join(body["measures"]),
                " ".join(body["functions"]),
            )
        )
        return
    made: dict[str, list[tuple[object, ...]]] = {"act": [], "part": [], "seat": []}
    deadlines.collect(fact, made)
    rows["part"].extend(made["part"])
    rows["seat"].extend(made["seat"])
    for row in made["act"]:
        rows["act"].append((*row, " ".join(sorted(form.carried(statement)))))
        if statement.act == "use_condition.attached":
            rows["condition"].append((fact.index, statement.case))


# ------------------------------------------------------------------------------------------- answers


def case(
    views: Views,
    case_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Book | None = None,
) -> tuple[Finding, ...]:
    """
    Return the findings of a case, by the triggering entry.

    Args:
        views: the projections, opened for reading.
        case_id: the case.
        at: the instant at which they are read, µs.
        happened_by: what may have happened by then, µs; None for `at`.
        known_by: what the log, and the law, knew by then, µs; None for no bound.
        viewer: the authority that asks: it sees what its part lets it see, and unverified rules that concern
            it. None: whoever holds this log, without unverified rules.
        read_at: the instant at which the viewer reads, µs, by which embargoes are judged whatever instant is
            asked about; None for `at`.
        states: standings to return; none for what is missing and was not put right.
        law: another law than that of this release.

    Raises:
        NotFound: nothing is known of the case at these clocks.

    Cost: O(entries of the case x duties that each may trigger).
    """
    key = id_bytes(case_id)
    asked = _Asked(views, at, happened_by, known_by, law, viewer, read_at)
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
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Book | None = None,
) -> tuple[Finding, ...]:
    """
    Return the findings on one thing, and for a request those on other things under it.

    Arguments, errors and cost are those of :func:`case`.
    """
    key = id_bytes(thing_id)
    text = id_text(key)
    homes = views.db.execute("SELECT DISTINCT case_id FROM findings.act WHERE subject = ?", (key,)).fetchall()
    asked = _Asked(views, at, happened_by, known_by, law, viewer, read_at)
    found: list[Finding] = []
    known = False
    for (home,) in homes:
        here = asked.shown(asked.fold(home) or (), states)
        known = known or text in asked.things
        found += (one for one in here if text in {one.thing, one.request})
    if not known:
        raise NotFound(f"nothing is known of {text}")
    return tuple(found)


def authority(
    views: Views,
    authority_id: str | bytes,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Book | None = None,
) -> tuple[Finding, ...]:
    """
    Return the findings that concern one authority: those that it would have to answer.

    It sees those that rest on unverified rules too. Arguments are those of :func:`case`.

    Cost: O(entries of the cases in which the authority has a part).
    """
    key = id_bytes(authority_id)
    asked = _Asked(views, at, happened_by, known_by, law, key, read_at)
    homes = views.db.execute("SELECT DISTINCT case_id FROM findings.part WHERE authority = ? ORDER BY case_id", (key,))
    found: list[Finding] = []
    for (home,) in homes.fetchall():
        here = asked.shown(asked.fold(home) or (), states)
        found += (one for one in here if asked.reading.concerns(one, id_text(key)))
    return tuple(sorted(found, key=lambda one: (one.index, one.instrument, one.rule)))


def every(
    views: Views,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    states: Collection[str] = (),
    law: Book | None = None,
) -> Iterator[Finding]:
    """
    Yield the findings of every case, case after case in the order in which the log first heard of them.

    Arguments are those of :func:`case`. Memory is that of one case at a time.
    """
    asked = _Asked(views, at, happened_by, known_by, law, viewer, read_at)
    homes = views.db.execute("SELECT case_id FROM findings.act GROUP BY case_id ORDER BY min(idx)")
    for (home,) in homes.fetchall():
        yield from asked.shown(asked.fold(home) or (), states)


@dataclass(frozen=True, slots=True)
class Figure:
    """How many findings of one kind and rule there are, by standing; for oversight."""

    kind: str
    instrument: str
    rule: str
    standing: str
    count: int


def figures(
    views: Views,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    read_at: int | None = None,
    law: Book | None = None,
) -> tuple[Figure, ...]:
    """
    Count the findings of all cases, as they may stand in the figures of oversight.

    Only those of verified rules, whose triggers, and what put them right, oversight or the public may see. What
    was put right out of that sight is not counted at all: a figure accuses nobody of what was done. Arguments are
    those of :func:`case`. Cost: O(entries x duties that each may trigger).
    """
    asked = _Asked(views, at, happened_by, known_by, law, None, read_at)
    counted: Counter[tuple[str, str, str, str]] = Counter()
    homes = views.db.execute("SELECT DISTINCT case_id FROM findings.act")
    for (home,) in homes.fetchall():
        for one in asked.fold(home) or ():
            if one.verified and one.standing != "pending" and asked.open_to_oversight(one):
                counted[one.kind, one.instrument, one.rule, one.standing] += 1
    return tuple(Figure(*key, count) for key, count in sorted(counted.items()))


class _Asked:
    """What is asked, and under which law."""

    def __init__(
        self,
        views: Views,
        at: int,
        happened_by: int | None,
        known_by: int | None,
        law: Book | None,
        viewer: str | bytes | None = None,
        read_at: int | None = None,
    ) -> None:
        self.views = views
        self.law = law or views.law or book()
        self.reading = deadlines.Reading(
            views,
            NAME,
            self.law.limits,
            at=at,
            happened_by=happened_by,
            known_by=known_by,
            viewer=viewer,
            read_at=read_at,
            carried=True,
        )
        self.known_by = known_by
        self.sight = self.reading.sight
        self.seats = self.reading.seats
        self.viewer = self.reading.viewer
        self.declared: dict[str, tuple[Declared, ...]] = {}
        rows = views.db.execute("SELECT authority, known_at, valid_from, measures, functions FROM findings.competence")
        for one, known_at, valid_from, measures, functions in rows:
            if known_by is None or known_at <= known_by:
                said = Declared(valid_from, frozenset(measures.split()), frozenset(functions.split()))
                self.declared[id_text(one)] = (*self.declared.get(id_text(one), ()), said)
        self.conditioned = views.db.execute("SELECT 1 FROM findings.condition LIMIT 1").fetchone() is not None

    @property
    def things(self) -> frozenset[str]:
        """The things of the case that was read last."""
        return self.reading.things

    def fold(self, key: bytes) -> tuple[Finding, ...] | None:
        """Fold one case; None where nothing is known of it."""
        gathered = self.gather(key)
        if gathered is None:
            return None
        acts, bound, running, known_on = gathered
        found = findings(
            acts,
            self.law,
            self.seats,
            self.sight.marks,
            at=self.reading.at,
            happened_by=self.reading.happened_by,
            known_on=known_on,
            clocks=running,
            declared=self.declared,
            outside=self._outside(acts, bound, running, known_on),
            overdue=self._overdue(acts, bound, running, known_on),
        )
        text = id_text(key)
        return tuple(one for one in found if one.case == text)

    def gather(self, key: bytes) -> tuple[list[Act], int, tuple[Clock, ...], date | None] | None:
        """Read one case: its acts, until when they count, its clocks, and the day whose law counts."""
        acts = self.reading.acts(key)
        if acts is None:
            return None
        return acts, self.reading.bound, self.reading.clocks(acts), self.reading.known_on

    def _overdue(
        self, acts: Iterable[Act], bound: int, running: Iterable[Clock], known_on: date | None
    ) -> Iterable[Overdue]:
        """What was to be given back or erased; nothing is read where no act brings anything under such a rule."""
        timed = self.law.timed
        if not any(act.act in timed or act.act == "retention.reviewed" for act in acts):
            return ()
        folded, rules = self.restraints(acts, bound, running, known_on, forward=True)
        return breaches.overdue(folded, rules, running, self.law, at=bound)

    def _outside(
        self, acts: Iterable[Act], bound: int, running: Iterable[Clock], known_on: date | None
    ) -> Callable[[Act], tuple[Outside, ...]]:
        """What tells the uses against conditions; nothing is read before an act uses something."""

        @cache
        def tell() -> Callable[[Act], tuple[Outside, ...]]:
            folded, rules = self.restraints(acts, bound, running, known_on)
            attached = breaches.against_conditions(self.views, folded, known_by=self.known_by, sight=self.sight)

            def outside(act: Act) -> tuple[Outside, ...]:
                found = tuple(breaches.against_rules(folded, rules, act, self.law))
                if not self.conditioned:
                    return found
                # A condition may lie in another case, of which the viewer sees other things than of this one.
                return (*found, *(self._as_seen(one) for one in attached(act) if self.sight.sees_entry(one.index)))

            return outside

        return lambda act: tell()(act) if act.act in USES else ()

    def restraints(
        self,
        acts: Iterable[Act],
        bound: int,
        running: Iterable[Clock],
        known_on: date | None,
        *,
        forward: bool = False,
    ) -> tuple[Folded, tuple[conditions.Attached, ...]]:
        """
        Return the use rules of instruments under which the things of a case fell, here or in another case.

        With *forward* the cases into which its exhibits went on are read too, not only those they come from.
        The acts of all of these are returned folded.
        """
        given = list(acts)
        here = self._counted(given, bound)
        used = {one for act in given for one in (*conditions.exhibits_of(act), *_parents(act))}
        homes: tuple[str, ...] = ()
        if used:
            homes = lineage.homes(self.views, sorted(used), known_by=self.known_by, sight=self.sight, forward=forward)
        # The acts of a case come first, before those of a request of another case that it names.
        others = {one: self.sight.of_case(one) for one in homes if one != given[0].case}
        if not others:
            return here, conditions.attached(here, self.law, running, known_on=known_on)
        wide = self._counted([*given, *(act for each in others.values() for act in each)], bound)
        rules = list(conditions.attached(here, self.law, running, known_on=known_on, beyond=wide))
        for each in others.values():
            run = self.reading.clocks(each)
            there = self._counted(each, bound)
            rules += conditions.attached(there, self.law, run, known_on=known_on, beyond=wide)
        return wide, tuple({(one.instrument, one.rule, one.index): one for one in rules}.values())

    def _counted(self, acts: list[Act], bound: int) -> Folded:
        """Fold what counts: what had happened, and was not corrected."""
        gone = {act.corrects for act in acts if act.corrects is not None}
        counted = {a.index: a for a in acts if a.from_at <= bound and a.statement not in gone}
        return Folded(counted.values(), self.seats, self.law.limits)

    # ---------------------------------------------------------------------------------- who sees it

    def shown(self, found: Iterable[Finding], states: Collection[str]) -> tuple[Finding, ...]:
        """Return what is asked for, as far as the viewer may see it; right after the fold of its case."""
        seen = (self._capped(one) for one in found if self._sees(one))
        return tuple(one for one in seen if (one.standing in states if states else one.standing not in SETTLED))

    def _sees(self, one: Finding) -> bool:
        return one.verified or (self.viewer is not None and self.reading.concerns(one, self.viewer))

    def _capped(self, one: Finding) -> Finding:
        """Of a case in which it takes no part a viewer sees too little to call anything missing for certain."""
        if not self.sight.outsider or one.standing in SETTLED:
            return one
        answered = one.answered_by is not None or one.issued_by
        return replace(one, uncertain=True, standing=one.standing if answered else "observation")

    def _as_seen(self, one: Outside) -> Outside:
        return one if one.ended_by is None or self.sight.sees_entry(one.ended_by) else replace(one, ended_by=None)

    def open_to_oversight(self, one: Finding) -> bool:
        """Whether the trigger, and what put it right, may be seen by oversight bodies, and is under no embargo."""
        return all(self.sight.open_to_oversight(index) for index in (one.index, one.resolved_by) if index is not None)


def _parents(act: Act) -> list[str]:
    return listed(act.body.get("parents")) if act.act == "exhibit.derived" else []


def asked(
    views: Views,
    *,
    at: int,
    happened_by: int | None = None,
    known_by: int | None = None,
    viewer: str | bytes | None = None,
    read_at: int | None = None,
    law: Book | None = None,
) -> _Asked:
    """Return the reading of cases that other answers over the same facts share; arguments are those of `case`."""
    return _Asked(views, at, happened_by, known_by, law, viewer, read_at)
