"""
Who held an exhibit, on which authority, by which method, derived from what, with what withheld.

An answer follows an exhibit through everything it was derived from, back to the authorisation of
the measure that collected it. Every hop names the entry that shows it; what no entry shows is a
gap, and is named. Conditions of use are followed through three doors: those attached to the
exhibit or to what it was derived from, to a disclosure that carried it, and to future material of
a case, recipient by recipient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections.facts import (
    COLUMNS,
    Clocks,
    Fact,
    Row,
    Said,
    Table,
    When,
    Who,
    id_bytes,
    id_text,
)
from projections.gaps import Gap, NotShown
from projections.lineage import MADE, Origin, Reader, origin_of
from projections.sentences import articles, sentence
from projections.travelling import (
    GIVING,
    MAKING,
    TAKING,
    Condition,
    OnExhibit,
    binding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from projections.sight import Sight
    from projections.views import Views

NAME: Final = "provenance"

TABLES: Final = (
    Table("fact", COLUMNS, ("subject", "statement", "case_id, act")),
    # What an act is about besides its subject: the exhibits it lists, the parents it derives from,
    # the case it links to, the statement it corrects or disputes.
    Table(
        "link",
        (
            ("idx", "INTEGER NOT NULL"),
            ("ord", "INTEGER NOT NULL"),
            ("role", "TEXT NOT NULL"),
            ("thing", "BLOB NOT NULL"),
        ),
        ("thing, role",),
    ),
)

#: The acts that say something about where an exhibit comes from or may go.
_ACTS: Final = frozenset(
    {
        "admissibility.ruled",
        "case.linked",
        "conditions.accepted",
        "disclosure.made",
        "disclosure.recalled",
        "discrepancy.reported",
        "exhibit.acquired",
        "exhibit.derived",
        "exhibit.examined",
        "exhibit.handed_over",
        "exhibit.returned",
        "exhibit.taken_over",
        "integrity.verified",
        "joint_team.material_shared",
        "measure.authorised",
        "measure.completed",
        "measure.started",
        "provenance.withheld",
        "recall.implemented",
        "request.issued",
        "request.recognised",
        "result.handed_over",
        "result.received",
        "spontaneous_information.sent",
        "statement.corrected",
        "statement.disputed",
        "use_condition.attached",
        "use_condition.lifted",
        "use_condition.varied",
    }
)

_LISTING: Final = frozenset(
    {
        "disclosure.made",
        "joint_team.material_shared",
        "result.handed_over",
        "result.received",
        "spontaneous_information.sent",
    }
)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    statement = fact.statement
    act = statement.act
    body = fact.body
    if act not in _ACTS or body is None or not fact.accepted:
        return
    rows["fact"].append(fact.header())
    if act in _LISTING:
        links = [("listed", exhibit) for exhibit in body["exhibits"]]
    elif act == "exhibit.derived":
        links = [("parent", parent) for parent in body["parents"]]
    elif act == "case.linked":
        links = [("case", body["other"])]
    elif act == "statement.corrected":
        links = [] if statement.corrects is None else [("corrected", statement.corrects)]
    elif act == "statement.disputed":
        links = [("disputed", answered) for answered in statement.answers]
    else:
        return
    rows["link"].extend((fact.index, number, role, thing) for number, (role, thing) in enumerate(links))


# ---------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Hop:
    """
    One link of the chain, from the authorisation to the exhibit asked about, as it happened.

    `step` is authorised, measured, measure_ended, acquired, derived, informed, disclosed,
    handed_over, taken_over, result_handed_over, result_received, shared, examined, verified,
    discrepancy, withheld, recalled or recall_implemented. `hash_check` is first, same, differs,
    missing or not_comparable (None where no hash is due). What is returned is handed over. `on_path` is
    false for a hop of an ancestor that led to somebody else.
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
    on_path: bool = True
    corrected_by: int | None = None
    disputed_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """
    An authority that holds the exhibit, or the ancestor named, since when and by which entry.

    `by` is the step by which it came to it. `before_request` says that no formal request of an
    authority of its country is shown to precede the holding; None where the question does not
    arise: it acquired or derived the exhibit itself, or is no authority of a State. `requests` are
    the indexes of all such requests shown, `conditions` the ids of those that bind it. `said` tells who
    says so, and in whose voice.
    """

    authority: Who
    exhibit: str
    index: int
    since: When
    said: Said
    by: str
    legal_basis: tuple[str, ...]
    purpose: str | None
    handed_over_index: int | None
    before_request: bool | None
    requests: tuple[int, ...]
    conditions: tuple[str, ...]


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
    """Facts withheld about the exhibit or the case `via`, and on which ground."""

    index: int
    facts: tuple[str, ...]
    ground: str
    said: Said
    when: When
    sentence: str
    via: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """
    The provenance of one exhibit.

    `lineage` begins with the exhibit itself; `chain` leads from the authorisation through every
    ancestor to it. `not_yet` says that at these clocks it was not yet an exhibit of its own: shown
    is what it was later derived from, as that stood then.
    """

    exhibit: str
    case: str
    not_yet: bool
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
    One step of the legal basis, as it happened.

    `step` is measure_authorised, collected, condition_attached, information_sent, disclosed,
    result_handed_over, requested, use_authorised, condition_lifted, condition_varied, ruled or recalled. For a
    disclosure, `authorised_index` is the first authorisation of the use for its recipient's
    country, and `before_authorisation` says that the disclosure began first (None: there is none).
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


# ---------------------------------------------------------------------------------------- queries


def exhibit(
    views: Views,
    exhibit_id: str | bytes,
    *,
    at: int | None = None,
    happened_by: int | None = None,
    known_by: int | None = None,
    sight: Sight | None = None,
) -> Provenance:
    """
    Return the provenance of an exhibit.

    Args:
        views: the projections, opened for reading.
        exhibit_id: the exhibit.
        at: the instant at which conditions that end by themselves are read, µs; None for `happened_by`, and where
            that is None too, they have not ended.
        happened_by: what may have happened by then, µs; None for no bound.
        known_by: what the log knew by then, µs; None for no bound.
        sight: through whose eyes; None for those of whoever holds this log. What is not seen changes nothing.

    Raises:
        NotFound: nothing is known of it, nor of what it was derived from, at these clocks.

    Cost: O(entries about its lineage, and about requests and conditions of the cases concerned).
    """
    chain = Chain(views, exhibit_id, Clocks(happened_by, known_by), sight)
    return chain.provenance(happened_by if at is None else at)


def conditions_on(
    views: Views, exhibit_id: str | bytes, *, happened_by: int, known_by: int | None, sight: Sight | None
) -> tuple[Condition, ...]:
    """
    Return the conditions on an exhibit alone: those of its provenance; none where nothing is known of it.

    Arguments are those of :func:`exhibit`. Cost: as there; a third of it where its cases attach no condition.
    """
    try:
        chain = Chain(views, exhibit_id, Clocks(happened_by, known_by), sight)
    except NotFound:
        return ()
    return chain.conditions(happened_by)


def legal_basis_timeline(
    views: Views,
    exhibit_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    sight: Sight | None = None,
) -> tuple[BasisStep, ...]:
    """
    Return on which basis the exhibit was collected, disclosed, requested and authorised for use.

    Disclosure and authorisation are steps of their own: one may come without, or before, the other.

    Raises:
        NotFound: as `exhibit`.
    """
    return Chain(views, exhibit_id, Clocks(happened_by, known_by), sight).timeline()


def exhibits(
    views: Views,
    case_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    sight: Sight | None = None,
) -> tuple[Origin, ...]:
    """List the exhibits of a case in the order of the log; empty where it has none."""
    reader = Reader(views, Clocks(happened_by, known_by), sight)
    found = reader.of_case(id_text(id_bytes(case_id)), MADE)
    return tuple(origin_of(reader, made, 0) for made in found)


_STEPS: Final[Mapping[str, str]] = {
    "measure.authorised": "authorised",
    "measure.started": "measured",
    "measure.completed": "measure_ended",
    "exhibit.acquired": "acquired",
    "exhibit.derived": "derived",
    "spontaneous_information.sent": "informed",
    "disclosure.made": "disclosed",
    "exhibit.handed_over": "handed_over",
    "exhibit.returned": "handed_over",
    "exhibit.taken_over": "taken_over",
    "result.handed_over": "result_handed_over",
    "result.received": "result_received",
    "joint_team.material_shared": "shared",
    "exhibit.examined": "examined",
    "integrity.verified": "verified",
    "discrepancy.reported": "discrepancy",
    "provenance.withheld": "withheld",
    "disclosure.recalled": "recalled",
    "recall.implemented": "recall_implemented",
}

_TIMELINE: Final[Mapping[str, str]] = {
    "measure.authorised": "measure_authorised",
    "exhibit.acquired": "collected",
    "use_condition.attached": "condition_attached",
    "spontaneous_information.sent": "information_sent",
    "disclosure.made": "disclosed",
    "result.handed_over": "result_handed_over",
    "request.issued": "requested",
    "request.recognised": "use_authorised",
    "use_condition.lifted": "condition_lifted",
    "use_condition.varied": "condition_varied",
    "admissibility.ruled": "ruled",
    "disclosure.recalled": "recalled",
}

#: What a linked case may say about the exhibit.
_CASE_WIDE: Final = (
    "measure.completed",
    "request.issued",
    "request.recognised",
    "spontaneous_information.sent",
    "use_condition.attached",
    "use_condition.lifted",
    "use_condition.varied",
)


class Chain:
    """One exhibit, everything it was derived from, and what the log says of them."""

    def __init__(self, views: Views, exhibit_id: str | bytes, clocks: Clocks, sight: Sight | None) -> None:
        self.views = views
        self.reader = Reader(views, clocks, sight)
        self.clocks = clocks
        self.exhibit = id_text(id_bytes(exhibit_id))
        self.distance = self._ancestors(self.reader)
        self.not_yet = not self.reader.subject(self.exhibit)
        if self.not_yet:
            # Today's lineage, of which only what had happened and was known then is told.
            self.distance = self._ancestors(Reader(views, Clocks(), sight))
        self.made = {
            exhibit: made for exhibit in self.distance if (made := self._made(self.reader, exhibit)) is not None
        }
        if not any(self.reader.subject(exhibit) for exhibit in self.distance):
            raise NotFound(f"nothing is known of exhibit {self.exhibit}")
        self.listing = self._listing()
        self.cases = self._cases()
        self.requests = self.case_rows("request.issued")
        self._corrections: dict[int, int | None] = {}

    # ------------------------------------------------------------------------------- what is read

    @staticmethod
    def _made(reader: Reader, exhibit: str) -> Row | None:
        return next((row for row in reader.subject(exhibit) if row.act in MADE), None)

    def _ancestors(self, reader: Reader) -> dict[str, int]:
        """Every exhibit it was derived from, itself included, with how many derivations away."""
        distance = {self.exhibit: 0}
        queue = [self.exhibit]
        for exhibit in queue:
            made = self._made(reader, exhibit)
            for parent in made.body.get("parents", ()) if made is not None else ():
                if parent not in distance:
                    distance[parent] = distance[exhibit] + 1
                    queue.append(parent)
        return distance

    def _descendants(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        queue = [self.exhibit]
        for exhibit in queue:
            for derived in self.reader.linked(exhibit, "parent"):
                if derived.subject not in found:
                    found[derived.subject] = None
                    queue.append(derived.subject)
        return tuple(found)

    def _listing(self) -> dict[int, tuple[Row, tuple[str, ...]]]:
        """The acts that list an exhibit of the lineage, with those that they list."""
        found: dict[int, tuple[Row, tuple[str, ...]]] = {}
        for exhibit in self.distance:
            for row in self.reader.linked(exhibit, "listed"):
                mine = tuple(e for e in row.body["exhibits"] if e in self.distance)
                found[row.index] = (row, mine)
        return found

    def _cases(self) -> tuple[str, ...]:
        """The cases of the lineage and of its disclosures, then the cases linked to those."""
        own = dict.fromkeys(
            [row.case for exhibit in self.distance for row in self.reader.subject(exhibit)]
            + [row.case for row, _ in self.listing.values()]
        )
        self.own_cases = tuple(own)
        for case in tuple(own):
            for link in self.reader.of_case(case, ("case.linked",)):
                own.setdefault(str(link.body["other"]))
            for link in self.reader.linked(case, "case"):
                own.setdefault(link.case)
        return tuple(own)

    def case_rows(self, *acts: str) -> list[Row]:
        """The rows of these acts in the cases of the lineage and in those linked to them, in the order of the log."""
        found = {row.index: row for case in self.cases for row in self.reader.of_case(case, acts)}
        return [found[index] for index in sorted(found)]

    def corrected(self, row: Row) -> int | None:
        """The entry that corrects a row, as far as it was known; read once."""
        if row.index not in self._corrections:
            self._corrections[row.index] = self.reader.corrected_by(row)
        return self._corrections[row.index]

    # ------------------------------------------------------------------------------ the provenance

    def provenance(self, at: int | None) -> Provenance:
        """Return the whole answer; conditions that end by themselves are read at an instant, µs."""
        chain = self._hops()
        holders = self._holders(chain)
        conditions = OnExhibit(self, at).conditions(holders, chain)
        holders = tuple(replace(holding, conditions=binding(conditions, holding.authority)) for holding in holders)
        withheld = self._withheld()
        first = self.made.get(self.exhibit) or next(
            row for exhibit in self.distance for row in self.reader.subject(exhibit)
        )
        return Provenance(
            self.exhibit,
            first.case,
            self.not_yet,
            tuple(origin_of(self.reader, made, self.distance[exhibit]) for exhibit, made in self.made.items()),
            chain,
            holders,
            conditions,
            self._disclosures(),
            withheld,
            tuple(gap for hop in chain for gap in hop.gaps),
            self._descendants(),
        )

    def conditions(self, at: int | None) -> tuple[Condition, ...]:
        """Return the conditions, as :meth:`provenance`; the hops are told only if one of its cases attached any."""
        if not self.case_rows("use_condition.attached"):
            return ()
        chain = self._hops()
        return OnExhibit(self, at).conditions(self._holders(chain), chain)

    def _hops(self) -> tuple[Hop, ...]:
        found: dict[tuple[int, str | None], tuple[Row, str | None]] = {}

        def add(row: Row | None, exhibit: str | None) -> None:
            if row is not None and row.act in _STEPS:
                found.setdefault((row.index, exhibit), (row, exhibit))

        for exhibit in self.distance:
            for row in self.reader.subject(exhibit):
                add(row, exhibit)
            made = self.made.get(exhibit)
            if made is not None:
                self._add_authority(made, add)
        for row, mine in self.listing.values():
            for exhibit in mine:
                add(row, exhibit)
            for follow in self.reader.subject(row.subject):
                if follow.act in {"disclosure.recalled", "recall.implemented"}:
                    add(follow, None)
        for case in self.own_cases:
            for row in self.reader.of_case(case, ("provenance.withheld",)):
                if row.subject == case:
                    add(row, None)
        ordered = sorted(found.values(), key=lambda item: (item[0].when.from_at, item[0].index, item[1] or ""))
        hops = [self._hop(row, exhibit) for row, exhibit in ordered]
        return NotShown(self.reader, self.exhibit, self.made).marked(self._with_path(hops))

    def _add_authority(self, made: Row, add: Add) -> None:
        """Add the measure that an exhibit comes from, its authorisation and its end."""
        measure = self.reader.statement(made.body.get("measure"))
        add(self.reader.statement(made.body.get("authorisation")), None)
        add(measure, None)
        if measure is not None:
            add(self.reader.statement(measure.body.get("authorisation")), None)
            for row in self.reader.of_case(measure.case, ("measure.completed",)):
                if measure.statement in row.answers:
                    add(row, None)

    def _hop(self, row: Row, exhibit: str | None) -> Hop:
        step, views = _STEPS[row.act], self.views
        said = views.said(row)
        giver: Who | None = None
        takers: tuple[Who, ...] = ()
        if step in GIVING:
            giver, takers = said.speaker, self._takers(row)
        elif step in TAKING:
            source = row.body.get("from_authority")
            giver, takers = None if source is None else views.who(source), (said.speaker,)
        elif step == "acquired":
            by = row.body.get("acquired_by")
            takers = (said.speaker if by is None else views.who(by),)
        elif step == "derived":
            takers = (said.speaker,)
        return Hop(
            row.index,
            row.statement,
            exhibit,
            step,
            row.act,
            sentence(views, row),
            row.when,
            said,
            giver,
            takers,
            row.body.get("hash"),
            None,
            (),
            row.when.uncertain,
            True,
            self.corrected(row),
            self.reader.disputed_by(row),
        )

    def _takers(self, row: Row) -> tuple[Who, ...]:
        """Who is given the exhibit: as the act names him, or who asked for the result."""
        body = row.body
        if row.act == "result.handed_over":
            issued = next((r for r in self.reader.subject(row.subject) if r.act == "request.issued"), None)
            return () if issued is None else (self.views.said(issued).speaker,)
        named = [body.get("to"), body.get("recipient")]
        named += [*body.get("recipients", ()), *body.get("downloaders", ())]
        return self.views.whos(authority for authority in named if authority)

    def _with_path(self, hops: list[Hop]) -> list[Hop]:
        """Mark the hops of an ancestor that led to somebody who derived nothing of this lineage."""
        towards: dict[str, set[str | None]] = {exhibit: set() for exhibit in self.distance}
        for made in self.made.values():
            for parent in made.body.get("parents", ()):
                towards[parent].add(made.actor)
        # What was handed over after the derivation may have led elsewhere; backwards it is followed
        # from him who derived to whom he had it from.
        changed = True
        while changed:
            changed = False
            for hop in hops:
                if hop.exhibit is None or hop.giver is None or hop.giver.id is None:
                    continue
                wanted = towards[hop.exhibit]
                if hop.giver.id not in wanted and any(taker.id in wanted for taker in hop.takers):
                    wanted.add(hop.giver.id)
                    changed = True
        return [
            replace(hop, on_path=False)
            if hop.step in GIVING | TAKING
            and hop.exhibit is not None
            and hop.exhibit != self.exhibit
            and not any(taker.id in towards[hop.exhibit] for taker in hop.takers)
            else hop
            for hop in hops
        ]

    # ------------------------------------------------------------------------ holders, disclosures

    def _holders(self, chain: Sequence[Hop]) -> tuple[Holding, ...]:
        found: dict[tuple[str, str], Holding] = {}
        for hop in chain:
            exhibit = hop.exhibit
            if exhibit is None or hop.corrected_by is not None:
                continue
            if hop.step == "handed_over" and hop.giver is not None:
                giver = found.get((hop.giver.id or hop.giver.designation, exhibit))
                if giver is not None and giver.handed_over_index is None:
                    key = (hop.giver.id or hop.giver.designation, exhibit)
                    found[key] = replace(giver, handed_over_index=hop.index)
            if hop.step not in GIVING | TAKING | MAKING:
                continue
            for taker in hop.takers:
                key = (taker.id or taker.designation, exhibit)
                held = found.get(key)
                if held is None:
                    found[key] = self._holding(hop, exhibit, taker)
                elif held.handed_over_index is not None and hop.step in GIVING:
                    # It came back; that a request preceded the first holding is no question of this one.
                    found[key] = replace(self._holding(hop, exhibit, taker), before_request=held.before_request)
                elif held.by == "handed_over" and hop.step == "taken_over":
                    # Who took it over says best since when he holds it.
                    found[key] = replace(held, index=hop.index, since=hop.when, said=hop.said, by=hop.step)
        return tuple(found.values())

    def _holding(self, hop: Hop, exhibit: str, taker: Who) -> Holding:
        row = self.reader.statement(hop.statement)
        requests = [
            request
            for request in self.requests
            if taker.country is not None
            and self.views.said(request).speaker.country == taker.country
            and self.corrected(request) is None
        ]
        before: bool | None = None
        if hop.step not in MAKING and taker.country and taker.authority_kind not in _NOT_OF_A_STATE:
            before = not any(request.when.from_at < hop.when.from_at for request in requests)
        purpose = None if row is None else row.body.get("purpose")
        return Holding(
            taker,
            exhibit,
            hop.index,
            hop.when,
            hop.said,
            hop.step,
            () if row is None else articles(self.views, row),
            purpose,
            None,
            before,
            tuple(request.index for request in requests),
            (),
        )

    def _disclosures(self) -> tuple[Disclosure, ...]:
        found: list[Disclosure] = []
        for row, mine in self.listing.values():
            if row.act not in {"disclosure.made", "spontaneous_information.sent"}:
                continue
            if self.corrected(row) is not None:
                continue
            recalled = [
                follow.index for follow in self.reader.subject(row.subject) if follow.act == "disclosure.recalled"
            ]
            found.extend(
                Disclosure(
                    row.subject,
                    row.index,
                    mine,
                    taker,
                    row.body.get("purpose"),
                    articles(self.views, row),
                    row.when,
                    self.views.said(row),
                    sentence(self.views, row),
                    recalled[0] if recalled else None,
                )
                for taker in self._takers(row)
            )
        return tuple(sorted(found, key=lambda d: (d.when.from_at, d.index)))

    def _withheld(self) -> tuple[Withheld, ...]:
        found = {}
        for exhibit in self.distance:
            for row in self.reader.subject(exhibit):
                if row.act == "provenance.withheld":
                    found[row.index] = row
        for case in self.own_cases:
            for row in self.reader.of_case(case, ("provenance.withheld",)):
                if row.subject == case:
                    found[row.index] = row
        return tuple(
            Withheld(
                index,
                tuple(row.body["facts"]),
                str(row.body["ground"]),
                self.views.said(row),
                row.when,
                sentence(self.views, row),
                row.subject,
            )
            for index, row in sorted(found.items())
            if self.corrected(row) is None
        )

    # -------------------------------------------------------------------------------- the timeline

    def timeline(self) -> tuple[BasisStep, ...]:
        """Return the legal basis step by step."""
        chain = self._hops()
        conditions = {c.condition for c in OnExhibit(self, None).conditions(self._holders(chain), chain)}
        found: dict[int, Row] = {}
        for exhibit in self.distance:
            for row in self.reader.subject(exhibit):
                found[row.index] = row
        for row, _ in self.listing.values():
            found[row.index] = row
            for follow in self.reader.subject(row.subject):
                found[follow.index] = follow
        for hop in chain:
            if hop.step == "authorised" and (row_ := self.reader.statement(hop.statement)):
                found[row_.index] = row_
        for row in self.case_rows(*_CASE_WIDE):
            if row.act.startswith("use_condition.") and row.body["condition"] not in conditions:
                continue
            found[row.index] = row
        steps = [row for row in found.values() if row.act in _TIMELINE and self.corrected(row) is None]
        steps.sort(key=lambda row: (row.when.from_at, row.index))
        return tuple(self._basis_step(row, steps) for row in steps)

    def _basis_step(self, row: Row, steps: Sequence[Row]) -> BasisStep:
        recipients = self._takers(row)
        authorised, before = None, None
        if row.act in {"disclosure.made", "spontaneous_information.sent", "result.handed_over"}:
            first = next((s for s in steps if self._authorises(s, recipients)), None)
            if first is not None:
                authorised = first.index
                before = row.when.from_at < first.when.from_at
        return BasisStep(
            row.index,
            _TIMELINE[row.act],
            row.act,
            sentence(self.views, row),
            row.when,
            self.views.said(row),
            articles(self.views, row),
            recipients,
            authorised,
            before,
        )

    def _authorises(self, row: Row, recipients: Sequence[Who]) -> bool:
        """Whether an act authorises the use by the recipients, or by authorities of their countries."""
        ids = {who.id for who in recipients}
        countries = {who.country for who in recipients} - {None}
        if row.act == "use_condition.lifted":
            named = row.body["recipients"]
            return not named or any(name in ids or self.views.who(name).country in countries for name in named)
        if row.act == "request.recognised":
            issued = [r for r in self.requests if r.subject == row.subject]
            return any(self.views.said(request).speaker.country in countries for request in issued)
        return False


_NOT_OF_A_STATE: Final = frozenset({"union_body", "international_court", "international_organisation", "operator"})

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[[Row | None, str | None], None]
