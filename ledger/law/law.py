"""
The law that this edition holds: instruments, overlays, counting rules, calendars; by day, and compared.

>>> from datetime import date
>>> law = load().at(date(2026, 3, 2))
>>> law.limit("EIO-REC").article
'12(3)'

Nothing here decides. A datum that is not verified is given like any other and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from ledger.domain.procedure import Edge, Graph, Procedure, When, parse
from ledger.domain.procedure import load as superset
from ledger.errors import FormatError, NotFound
from ledger.law.counting import Calendar, Calendars, Counting, calendars, countings
from ledger.law.data import KINDS, Applicability, Datum, Instrument, Limit, Period, Stage
from ledger.law.files import keys, toml
from ledger.law.loader import Reader
from ledger.law.manifest import manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from ledger.law.data import Unit

__all__ = ["HERE", "Change", "Law", "load", "read"]

HERE: Final = Path(__file__).parent
"""The law folder of this release."""
_KIND = TypeVar("_KIND", bound=Datum)
_NAMES: Final[dict[type[Datum], str]] = {kind: name for name, kind in KINDS.items()}
_ANSWER: Final = frozenset({"within", "text", "from", "verified", "basis"})
_Steps: TypeAlias = dict[str, tuple[str, ...]]
_ANSWER_UNITS: Final[tuple[Unit, ...]] = ("hours", "days", "weeks", "months", "years")


@dataclass(frozen=True, slots=True)
class Change:
    """
    One datum, head of an instrument, counting rule or part of the calendars in which two laws differ.

    Attributes:
        instrument: the instrument's id; empty for counting rules and calendars.
        country: the State whose overlay it is about; None for the instrument itself.
        kind: kind of datum; or ``head``, ``counting``, ``calendar``, ``graph``, ``answer``.
        id: its id; of a head the instrument's, of the calendars ``years``, a place or an institution, of the
            common graph kind and act.
        before: as the first law has it; None where it is new.
        after: as the second law has it; None where it is gone.
        keys: attributes that differ; empty where it is new or gone.
    """

    instrument: str
    country: str | None
    kind: str
    id: str
    before: object
    after: object
    keys: tuple[str, ...]


class Law:
    """
    One edition of the law, whole or as it was on a day. Immutable.

    Attributes:
        edition: SHA-256 of the manifest, in hex: what an entry carries as ``rules``.
        instruments: each instrument without overlays, by id.
        overlays: each instrument merged with the overlay of a State, by (id, country).
        countings: the counting rules, by id.
        calendars: years that are covered, zones, days of institutions.
        graph: the common graph of all procedures (``procedure.toml``).
        answer: how long an authority has to answer where no rule says so (``answers.toml``).
        on: the day of whose law this is; None for all days.
        known_on: the day of whose knowledge this is; None for today's.
    """

    __slots__ = (
        "__dict__", "answer", "calendars", "countings", "edition", "graph", "instruments", "known_on", "on", "overlays",
    )  # fmt: skip

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        overlays: Mapping[tuple[str, str], Instrument],
        counting_rules: Mapping[str, Counting],
        known_calendars: Calendars,
        *,
        edition: str,
        graph: Procedure,
        answer: Period,
        on: date | None = None,
        known_on: date | None = None,
    ) -> None:
        self.instruments = MappingProxyType(dict(instruments))
        self.overlays = MappingProxyType(dict(overlays))
        self.countings = MappingProxyType(dict(counting_rules))
        self.calendars = known_calendars
        self.edition = edition
        self.graph = graph
        self.answer = answer
        self.on = on
        self.known_on = known_on

    def at(self, on: date, *, known: date | None = None) -> Law:
        """
        The law in force on a day.

        Args:
            on: the day on which something happened.
            known: the day whose knowledge counts: rulings known later are left out. None: all.

        Returns:
            A law whose data each have one version. Instruments not yet, or no longer, in force on
            that day are left out.

        Cost: linear in the data; keep the result.
        """

        def cut(instrument: Instrument) -> Instrument:
            return replace(
                instrument,
                data=MappingProxyType(
                    {
                        kind: MappingProxyType(rows)
                        for kind, versions in instrument.data.items()
                        if (
                            rows := {
                                name: kept
                                for name, each in versions.items()
                                if (kept := tuple(v for v in each if v.applies(on, known)))
                            }
                        )
                    }
                ),
            )

        def applies(instrument: Instrument) -> bool:
            return instrument.from_on <= on and (instrument.until_on is None or on < instrument.until_on)

        return Law(
            {name: cut(one) for name, one in self.instruments.items() if applies(one)},
            {name: cut(one) for name, one in self.overlays.items() if applies(one)},
            self.countings,
            self.calendars,
            edition=self.edition,
            graph=self.graph,
            answer=self.answer,
            on=on,
            known_on=known,
        )

    def instrument(self, name: str, country: str | None = None) -> Instrument:
        """
        An instrument, as it holds for a State: with its overlay where there is one.

        Raises:
            NotFound: this law has no such instrument.
        """
        found = self.overlays.get((name, country)) if country is not None else None
        found = found or self.instruments.get(name)
        if found is None:
            raise NotFound(f"no instrument {name!r}" + (f" in force on {self.on}" if self.on else ""))
        return found

    def data(self, kind: type[_KIND], instrument: str, country: str | None = None) -> Iterator[_KIND]:
        """Every datum of a kind, as ``Limit``, that an instrument has for a State, each version."""
        held = self.instrument(instrument, country).data
        own = _NAMES.get(kind)
        for rows in held.values() if own is None else (held[own],) if own in held else ():
            for versions in rows.values():
                for datum in versions:
                    if isinstance(datum, kind):
                        yield datum

    def limit(self, name: str, country: str | None = None, *, on: date | None = None) -> Limit:
        """
        A limit by its id, which is unique among all instruments.

        Args:
            name: as ``EIO-REC``.
            country: the State whose overlay counts.
            on: which version; the latest where None.

        Raises:
            NotFound: this law has no such limit, or not on that day.
        """
        owner = self._limits.get(name)
        if owner is None and country is not None:
            owner = next(
                (one for (one, of), i in self.overlays.items() if of == country and name in i.data.get("limit", {})),
                None,
            )
        if owner is None:
            raise NotFound(f"no limit {name!r}; `comity law list --limits` names them all")
        versions = self.instrument(owner, country).data["limit"].get(name, ())
        for version in reversed(versions):
            if isinstance(version, Limit) and (on is None or version.applies(on)):
                return version
        raise NotFound(f"no limit {name!r}" + (f" on {on}" if on else "") + (f" in {country}" if country else ""))

    def calendar(self, place: str, zone: str | None = None) -> Calendar:
        """
        The calendar of a place as this edition has it, kept as long as the law is.

        Raises:
            NoCalendar: no holidays, or no zone, are known for it.
        """
        found = self._calendars.get((place, zone))
        if found is None:
            found = self._calendars[place, zone] = Calendar(place, zone, self.calendars)
        return found

    @cached_property
    def _calendars(self) -> dict[tuple[str, str | None], Calendar]:
        return {}

    def bound(self, instrument: str, country: str | None, on: date) -> bool | None:
        """
        Whether an instrument bound a State on a day; None where this law does not say so.

        Applicabilities that are about some kinds of request or some measures alone do not count.
        """
        if country is None or instrument not in self.instruments:
            return None
        said = [a for a in self._parties(instrument) if a.applies(on)]
        if any(country in a.countries for a in said if a.effect == "not_bound"):
            return False
        lists = [a for a in said if a.effect == "bound"]
        if any(country in (*a.countries, *(one for pair in a.pairs for one in pair)) for a in lists):
            return True
        return False if lists and all(a.complete for a in lists) else None

    def _parties(self, instrument: str) -> tuple[Applicability, ...]:
        found = self._bound.get(instrument)
        if found is None:
            found = self._bound[instrument] = tuple(
                one
                for one in self.data(Applicability, instrument)
                if one.effect in {"bound", "not_bound"} and not one.kinds and not one.measures
            )
        return found

    @cached_property
    def _bound(self) -> dict[str, tuple[Applicability, ...]]:
        return {}

    def between(self, datum: _KIND, requesting: str | None, requested: str | None, on: date) -> _KIND | None:
        """
        A datum as it holds between two States: itself; or not verified, where this law does not know whether
        it holds; or None, where it does not hold, or its instrument does not bind one of them.

        Args:
            datum: of this law.
            requesting: State of the authority that asks; None where it is not known.
            requested: State of the authority that is asked; likewise.
            on: the day whose declarations, reservations and accessions count.

        Cost: less than a microsecond for most data, whose holding does not depend on the States.
        """
        if (
            self.bound(datum.instrument, requesting, on) is False
            or self.bound(datum.instrument, requested, on) is False
        ):
            return None
        if datum.between is None:
            return datum
        holds = self._holds(datum, requesting, requested, on)
        if holds is None:
            return replace(datum, verified=False)
        return datum if holds else None

    def _holds(self, datum: Datum, requesting: str | None, requested: str | None, on: date) -> bool | None:
        rule = datum.between
        assert rule is not None

        def listed(names: Iterable[str], *countries: str | None) -> bool | None:
            """Whether all the States, or the two as a pair, are in the lists together."""
            rows = self.instrument(datum.instrument, datum.country).data.get("applicability", {})
            lists = [a for name in names for a in rows.get(name, ()) if isinstance(a, Applicability) and a.applies(on)]
            if None in countries:
                return None
            if len(countries) == 2 and any({*countries} == {*pair} for a in lists for pair in a.pairs):
                return True
            if all(any(country in a.countries for a in lists) for country in countries):
                return True
            return False if all(a.complete for a in lists) else None

        parts: list[bool | None] = []
        if rule.both:
            parts.append(listed(rule.both, requesting, requested))
        if rule.requesting:
            parts.append(listed(rule.requesting, requesting))
        if rule.requested:
            parts.append(listed(rule.requested, requested))
        for names, wanted in ((rule.one, True), (rule.neither, False)):
            if names:
                each = (listed(names, requesting), listed(names, requested))
                some = True if True in each else None if None in each else False
                parts.append(some if some is None else some is wanted)
        return False if False in parts else None if None in parts else True

    def limits(self) -> Mapping[str, str]:
        """The instrument of each limit, by the limit's id."""
        return MappingProxyType(self._limits)

    @cached_property
    def _limits(self) -> dict[str, str]:
        return {name: one.id for one in self.instruments.values() for name in one.data.get("limit", {})}

    def procedure(self, instrument: str, country: str | None = None) -> Procedure:
        """
        The superset graph with the instrument's edits: which steps it has from where.

        Every version of a stage edit that this law holds counts, so ask a law of one day (:meth:`at`).

        Raises:
            NotFound: this law has no such instrument.
        """
        key = (instrument, country if (instrument, country) in self.overlays else None)
        found = self._procedures.get(key)
        if found is None:
            found = self._procedures[key] = edited(self.graph, tuple(self.data(Stage, instrument, country)))
        return found

    @cached_property
    def _procedures(self) -> dict[tuple[str, str | None], Procedure]:
        return {}

    def diff(self, other: Law) -> tuple[Change, ...]:
        """
        What is different in ``other``: new, gone or changed, by instrument, State, kind and id.

        Covers every datum, the heads of the instruments, the counting rules, the calendars, the common graph, the
        time to answer, and the steps of an instrument that both have, where they changed otherwise than the common
        graph did (of a State's overlay: otherwise than the instrument did).
        """
        changes: list[Change] = []
        before, after = _flat(self), _flat(other)
        for instrument, country, name, was, now in _redrawn(self, other):
            before[instrument, country, "graph", name, None] = was
            after[instrument, country, "graph", name, None] = now
        for key in sorted(before.keys() | after.keys(), key=lambda k: tuple(str(part or "") for part in k)):
            old, new = before.get(key), after.get(key)
            if old == new:
                continue
            keys: tuple[str, ...] = ()
            if old is not None and new is not None:
                keys = _keys(old, new)
            instrument, country, kind, name, _ = key
            changes.append(Change(instrument, country, kind, name, old, new, keys))
        return tuple(changes)


def _keys(old: object, new: object) -> tuple[str, ...]:
    if is_dataclass(old) and not isinstance(old, type):
        return tuple(f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name, None))
    return ()


def _flat(law: Law) -> dict[tuple[str, str | None, str, str, date | None], object]:
    found: dict[tuple[str, str | None, str, str, date | None], object] = {}
    for name, rule in law.countings.items():
        found["", None, "counting", name, None] = rule
    known = law.calendars
    found["", None, "calendar", "years", None] = (known.first_year, known.last_year)
    for place, zone in known.zones.items():
        found["", None, "calendar", place, None] = zone
    for name, institution in known.institutions.items():
        found["", None, "calendar", name, None] = institution
    found["", None, "answer", "answer", None] = law.answer
    for name, steps in _steps(law.graph).items():
        found["", None, "graph", name, None] = steps
    for stream, graph in law.graph.graphs.items():
        for stage, words in graph.stages.items():
            found["", None, "graph", f"{stream} is {stage}", None] = words
        for name, side in graph.sides.items():
            acts = (" or ".join(act + _when(when) for act, when in each) for each in (side.opens, side.closes))
            said = "opened by {}, closed by {}".format(*acts) + (", elsewhere" if side.elsewhere else "")
            found["", None, "graph", f"{stream} beside {name}", None] = f"{side.words}: {said}"
    for act, words in law.graph.words.items():
        found["", None, "graph", f"words of {act}", None] = words
    for act, words in law.graph.each_once.items():
        found["", None, "graph", f"{act} on each side", None] = words
    for half in law.graph.halves:
        found["", None, "graph", f"{half.first} and {half.second}", None] = half.words
    for (name, country), one in (
        *(((name, None), one) for name, one in law.instruments.items()),
        *law.overlays.items(),
    ):
        # What the file says of itself; of an overlay that is when it was last compared with its sources.
        found[name, country, "head", name, None] = replace(one, data=MappingProxyType({}))
        for kind, rows in one.data.items():
            for ident, versions in rows.items():
                for version in versions:
                    # A law of one day has one version of each, whatever its first day.
                    if country is None or version.country is not None:
                        found[name, country, kind, ident, None if law.on else version.from_on] = version
    return found


def _when(when: When | None) -> str:
    return "" if when is None else f" when {when.field} is {', '.join(map(str, when.values))}"


def _steps(procedure: Procedure) -> _Steps:
    """The steps of each act of each kind of thing, by kind and act, in words that do not depend on their order."""
    found: dict[str, list[str]] = {}
    for kind, graph in procedure.graphs.items():
        for edge in graph.edges:
            # What the body names instead of the graph is a part of the step.
            origin = edge.origin or "nothing"
            to = edge.to or ("the same" if edge.to_field is None else f"what {edge.to_field} names")
            stands = "" if edge.from_field is None else f" if {edge.from_field} names that"
            found.setdefault(f"{kind} {edge.act}", []).append(f"{origin} to {to}{stands}{_when(edge.when)}")
    return {name: tuple(sorted(each)) for name, each in found.items()}


def _redrawn(
    old: Law, new: Law
) -> Iterator[tuple[str, str | None, str, tuple[str, ...] | None, tuple[str, ...] | None]]:
    """
    Acts whose steps changed under an instrument otherwise than above it.

    Each as instrument, State, kind and act, steps before, steps after. What changed in the common
    graph alike is told there once, and not again for every instrument.
    """
    above: dict[str, tuple[_Steps, _Steps]] = {}
    common = _steps(old.graph), _steps(new.graph)
    shared = [name for name in old.instruments if name in new.instruments]
    overlays = dict.fromkeys((*old.overlays, *new.overlays))
    both = [*((name, None) for name in shared), *(key for key in overlays if key[0] in shared)]
    for name, country in both:
        was, now = (_steps(edited(law.graph, _last(law, name, country))) for law in (old, new))
        drawn = was, now
        parent = above.get(name, common)
        above.setdefault(name, drawn)
        for act in sorted(drawn[0].keys() | drawn[1].keys()):
            came = _came(drawn, act)
            if any(came) and came != _came(parent, act):
                yield name, country, act, drawn[0].get(act), drawn[1].get(act)


def _came(sides: tuple[_Steps, _Steps], act: str) -> tuple[set[str], set[str]]:
    """The steps of an act that are new, and those that are gone."""
    was, now = (set(side.get(act, ())) for side in sides)
    return now - was, was - now


def _last(law: Law, instrument: str, country: str | None) -> tuple[Stage, ...]:
    """The edits of the graph as they stand last; those that ended without another in their place are left out."""
    rows = law.instrument(instrument, country).data.get("stage", {}).values()
    last = (versions[-1] for versions in rows)
    return tuple(one for one in last if isinstance(one, Stage) and (law.on is not None or one.until_on is None))


def edited(procedure: Procedure, stages: tuple[Stage, ...]) -> Procedure:
    """The graph after the edits of ``stages``: for each, removals first, then additions."""
    edges = {kind: list(graph.edges) for kind, graph in procedure.graphs.items()}
    for stage in stages:
        for cut in stage.remove:
            edges[cut.kind] = [
                edge
                for edge in edges[cut.kind]
                if edge.act != cut.act
                or (cut.origins and edge.origin not in cut.origins)
                or (cut.when is not None and edge.when != When(*cut.when))
            ]
        for new in stage.add:
            when = When(*new.when) if new.when is not None else None
            edges[new.kind] += [Edge(new.act, origin, new.to, when, None, None) for origin in new.origins or (None,)]
    return Procedure(
        {
            kind: Graph(graph.words, graph.stages, graph.sides, tuple(edges[kind]))
            for kind, graph in procedure.graphs.items()
        },
        words=procedure.words,
        by=procedure.by,
        creates=procedure.creates,
        answering=procedure.answering,
        halves=procedure.halves,
        each_once=procedure.each_once,
    )


def read(folder: Path, *, only: str | None = None) -> Law:
    """
    Read every file of a law folder, and check all of it.

    Args:
        folder: holds ``instruments``, ``counting``, and the files that all instruments share.
        only: id of one instrument, which is read alone, with its overlays.

    Raises:
        FormatError: a file breaks the format, or one that all share is missing; the error names file and key.
    """
    from ledger.acts import catalogue  # noqa: PLC0415 -- who only asks for the edition needs no schemas

    counting_rules = countings(folder)
    graph = superset()
    if folder != HERE:
        words = _bytes(folder, "procedure.toml")
        # Acts that were released since have no step in an older graph, and are none of its own.
        graph = parse(words, [act for act in catalogue().acts() if f'"{act.name}"'.encode() in words])
    reader = Reader(catalogue(), graph, counting_rules.keys() | {"national"}, _bytes(folder, "steps.toml"))
    files = sorted((folder / "instruments").glob("*.toml" if only is None else f"{only}.*toml"))
    instruments: dict[str, Instrument] = {}
    overlays: dict[tuple[str, str], Instrument] = {}
    owners: dict[str, str] = {}
    for file in files:
        if "." not in file.stem:
            one = reader.instrument(file.read_bytes(), file=file.name)
            instruments[one.id] = one
            for name in one.data.get("limit", {}):
                if owners.setdefault(name, file.name) != file.name:
                    raise FormatError(f"{owners[name]} has a limit of this id", field=f"{file.name}: limit.{name}")
    for file in files:
        if "." in file.stem:
            parent = instruments.get(file.stem.partition(".")[0])
            if parent is None:
                raise FormatError("no instrument of this name to be an overlay of", field=file.name)
            merged = reader.overlay(file.read_bytes(), parent, file=file.name)
            assert merged.country is not None
            overlays[merged.id, merged.country] = merged
    return Law(
        instruments,
        overlays,
        counting_rules,
        calendars(folder),
        edition=sha256(manifest_of(folder)).hexdigest(),
        graph=graph,
        answer=_answer(folder),
    )


def _bytes(folder: Path, name: str) -> bytes:
    """A file that all instruments of an edition share; another edition's never stands in for it."""
    file = folder / name
    if not file.is_file():
        raise FormatError(f"is missing: an edition has its {name}", field=name)
    return file.read_bytes()


def _answer(folder: Path) -> Period:
    """How long an authority has to answer where its rule does not say."""
    name = "answers.toml"
    data = keys(toml(_bytes(folder, name), name), name, {"answer"}, {"answer"})
    row = keys(data["answer"], f"{name}: answer", _ANSWER, _ANSWER)
    within = keys(row["within"], f"{name}: answer.within", _ANSWER_UNITS, ())
    if len(within) != 1:
        raise FormatError("expected one unit, as { days = 30 }", field=f"{name}: answer.within")
    ((unit, count),) = within.items()
    if type(count) is not int or count < 1:
        raise FormatError("is a whole number, 1 or more", field=f"{name}: answer.within.{unit}")
    return Period(unit=cast("Unit", unit), count=count)


@cache
def load() -> Law:
    """The law of this release; read once per process, in less than half a second."""
    return read(HERE)
