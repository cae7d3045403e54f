"""
The law as the acts of a case ask for it: which limits an act starts, which duties it triggers, under what.

An instrument applies to a request that names it. Some apply though none does, wherever an authority of a
State that they bind acts (data protection), or to things of one kind (joint teams): their files say to
what (``applies_to``). Under those, nothing is owed by a State of which the law does not say that it is bound.

Pure; everything is indexed once, when first asked for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

from ledger.law.counting import counting_of
from ledger.law.counting import due as counted
from ledger.law.data import Applicability, Datum, Duty, Limit, Reach, Ruling, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from ledger.domain.procedure import Halves, Procedure
    from ledger.law.counting import Calendar, Due
    from ledger.law.data import Pattern, Period
    from ledger.law.law import Law

__all__ = ["Book", "Rules", "book", "book_of", "rules"]

_KIND = TypeVar("_KIND", bound=Datum)


class Rules:
    """
    The limits of a law, ready to be asked which of them an act starts.

    Args:
        law: all days and all knowledge; each question names its own.
        manifest: of the same edition, as `ledger.law.manifest.manifest_of`: the hash of each file.
        procedure: who says each act, and which kind of thing it creates.
    """

    __slots__ = (
        "_binding",
        "_both",
        "_editions",
        "_homes",
        "_limits",
        "_named",
        "_reaching",
        "_together",
        "_unsure",
        "law",
        "procedure",
    )

    def __init__(self, law: Law, manifest: bytes, procedure: Procedure) -> None:
        self.law = law
        self.procedure = procedure
        rows = (line.split("  ", 1) for line in manifest.decode().splitlines())
        self._editions = {name.rpartition("/")[2]: digest for digest, name in rows}
        self._limits: dict[tuple[str, str | None], dict[str, tuple[Limit, ...]]] = {}
        self._named: dict[str, Limit] = {}
        self._homes: dict[str, str] = {}
        self._both: dict[tuple[str, str | None, str | None, date], bool] = {}
        self._reaching: dict[str, tuple[tuple[str, Reach], ...]] | None = None
        self._binding: dict[tuple[str, str], tuple[Applicability, ...]] = {}
        self._together: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._unsure: dict[int, tuple[Datum, Datum]] = {}

    def edition(self, datum: Datum) -> str:
        """SHA-256, in hex, of the file that has the datum."""
        return self._editions.get(datum.file, self.law.edition)

    def says(self, act: str) -> Sequence[str]:
        """The roles and kinds of authority that say an act."""
        return self.procedure.by.get(act, ())

    def home(self, act: str) -> str | None:
        """The kind of thing that an act is said of, where there is only one."""
        if not self._homes:
            found: dict[str, set[str]] = {}
            for kind, graph in self.procedure.graphs.items():
                for edge in graph.edges:
                    found.setdefault(edge.act, set()).add(kind)
            self._homes = {one: kinds.pop() for one, kinds in found.items() if len(kinds) == 1}
        return self._homes.get(act)

    def starting(self, instrument: str, country: str | None, act: str) -> tuple[Limit, ...]:
        """Every version of every limit that an act may start, under an instrument as a State has it."""
        return self._of(instrument, country).get(act, ())

    def every(self, instrument: str, country: str | None) -> Iterator[Limit]:
        """Every version of every limit of an instrument as a State has it, each once."""
        seen: set[int] = set()
        for limits in self._of(instrument, country).values():
            for limit in limits:
                if id(limit) not in seen:
                    seen.add(id(limit))
                    yield limit

    def named(self, name: str) -> Limit | None:
        """A limit by its id in any case of letters: bodies of acts write it in small ones."""
        if not self._named:
            self._named = {one.casefold(): self.law.limit(one) for one in self.law.limits()}
        return self._named.get(name.casefold())

    def overlaid(self, instrument: str, country: str | None) -> bool:
        """Whether a State has an overlay of its own."""
        return (instrument, country) in self.law.overlays

    def in_force(self, datum: Datum, on: date, known: date | None) -> bool:
        """Whether a datum, and its instrument, applied on a day, as the law was known on another."""
        one = self.law.instruments.get(datum.instrument)
        if one is None or on < one.from_on or (one.until_on is not None and on >= one.until_on):
            return False
        return datum.applies(on, known)

    def together(self, instruments: Sequence[str]) -> tuple[str, ...]:
        """Instruments of this law, and those that they are read together with (protocols), each once."""
        given = tuple(instruments)
        found = self._together.get(given)
        if found is None:
            held = self.law.instruments
            each = ((name, *held[name].with_instruments) for name in given if name in held)
            found = self._together[given] = tuple(dict.fromkeys(one for names in each for one in names if one in held))
        return found

    # ------------------------------------------------------------------------- without a request

    def reaching(self, act: str) -> tuple[tuple[str, Reach], ...]:
        """The instruments that apply without being named and have a limit, a duty or a use rule about an act."""
        if self._reaching is None:
            gathered: dict[str, dict[str, Reach]] = {}
            for one in self.law.instruments.values():
                if one.applies_to is not None:
                    for name in self._touched(one.id):
                        gathered.setdefault(name, {})[one.id] = one.applies_to
            self._reaching = {name: tuple(found.items()) for name, found in gathered.items()}
        return self._reaching.get(act, ())

    def _touched(self, instrument: str) -> Iterator[str]:
        countries = [country for name, country in self.law.overlays if name == instrument]
        for country in (None, *countries):
            for limit in self.law.data(Limit, instrument, country):
                yield from (pattern.act for pattern in limit.starts)
            for duty in self.law.data(Duty, instrument, country):
                yield from (pattern.act for pattern in duty.when)
            for use in self.law.data(Use, instrument, country):
                yield from (pattern.act for pattern in use.attaches_to)

    def binding(self, instrument: str, country: str | None, on: date) -> Applicability | None:
        """What says that an instrument bound a State on a day; None where nothing does, or the contrary."""
        if country is None:
            return None
        key = (instrument, country)
        said = self._binding.get(key)
        if said is None:
            held = self.law.data(Applicability, instrument) if instrument in self.law.instruments else ()
            said = self._binding[key] = tuple(one for one in held if country in one.countries)
        found = None
        for one in said:
            if one.effect in {"bound", "not_bound"} and one.applies(on):
                if one.effect == "not_bound":
                    return None
                # That it is bound is as sure as the surest that says so.
                found = one if found is None or not found.verified else found
        return found

    def between(self, datum: _KIND, requesting: str | None, requested: str | None, on: date) -> _KIND | None:
        """A datum as it holds between two States (`ledger.law.law.Law.between`): not verified where that is open."""
        if datum.between is None:
            # Then it only has to bind both; that is the same for all such data of the instrument.
            key = (datum.instrument, requesting, requested, on)
            binds = self._both.get(key)
            if binds is None:
                binds = self._both[key] = self.law.between(datum, requesting, requested, on) is not None
            return datum if binds else None
        held = self.law.between(datum, requesting, requested, on)
        return held if held is None or held is datum else self.unsure(datum)

    def unsure(self, datum: _KIND) -> _KIND:
        """The same datum, not verified: what it rests on beside its own text was not compared."""
        found = self._unsure.get(id(datum))
        if found is None:
            copy = replace(datum, verified=False)
            if isinstance(copy, Limit):
                copy = replace(copy, variants=tuple(replace(one, verified=False) for one in copy.variants))
            # The datum is kept beside its copy, so that its identity is not given to another.
            found = self._unsure[id(datum)] = (datum, copy)
        return cast("_KIND", found[1])

    def ends(self, duty: Duty, period: Period, start: datetime, cal: Calendar) -> Due:
        """
        When a period that a duty states ends, by the counting rule of its instrument.

        Raises:
            NotFound: the calendar does not cover a year that the computation touches.
        """
        limit = Limit(
            id=duty.id,
            instrument=duty.instrument,
            article=duty.article,
            text=duty.text,
            from_on=duty.from_on,
            verified=duty.verified,
            basis=duty.basis,
            by=duty.by,
            within=period,
            counting=self.law.instruments[duty.instrument].counting,
            calendar=duty.by,
            consequence="",
        )
        return self.due(limit, start, cal)

    def calendar(self, place: str, zone: str | None) -> Calendar:
        """
        The calendar of a place, as this edition has it (`ledger.law.law.Law.calendar`).

        Raises:
            NoCalendar: no holidays, or no zone, are known for it.
        """
        return self.law.calendar(place, zone)

    def due(
        self,
        limit: Limit,
        start: date | datetime,
        cal: Calendar,
        *,
        variant: str | None = None,
        extended: int = 0,
        suspended: Iterable[tuple[datetime, datetime]] = (),
    ) -> Due:
        """When a limit ends (`ledger.law.counting.due`), by the counting rule as this edition has it."""
        rule = counting_of(limit.counting, cal.place, self.law.countings)
        return counted(limit, start, cal, variant=variant, extended=extended, suspended=suspended, counting=rule)

    def _of(self, instrument: str, country: str | None) -> dict[str, tuple[Limit, ...]]:
        found = self._limits.get((instrument, country))
        if found is None:
            held = self.law.data(Limit, instrument, country) if instrument in self.law.instruments else ()
            running = (limit for limit in held if limit.nature != "condition")
            found = self._limits[instrument, country] = _by_act(running, lambda limit: limit.starts)
        return found


def _by_act(data: Iterable[_KIND], begins: Callable[[_KIND], Iterable[Pattern]]) -> dict[str, tuple[_KIND, ...]]:
    """Data by the acts that they begin with, each once under each."""
    gathered: dict[str, list[_KIND]] = {}
    for one in data:
        for act in dict.fromkeys(pattern.act for pattern in begins(one)):
            gathered.setdefault(act, []).append(one)
    return {act: tuple(each) for act, each in gathered.items()}


@cache
def rules() -> Rules:
    """The rules of this release, read once per process."""
    from ledger.domain import procedure  # noqa: PLC0415 -- read once, when first asked for
    from ledger.law.law import load  # noqa: PLC0415 -- see above
    from ledger.law.manifest import manifest  # noqa: PLC0415 -- see above

    return Rules(load(), manifest(), procedure.load())


# -------------------------------------------------------------------------------------------- duties


class Book:
    """
    The duties of a law, ready to be asked which of them an act triggers.

    Args:
        limits: the limits of the same law.

    Attributes:
        limits: as given.
        law: all days and all knowledge; each question names its own.
        halves: acts that are two halves of one hand-over.
    """

    __slots__ = ("_data", "_duties", "_overlaid", "_rulings", "_timed", "_unasked", "_uses", "halves", "law", "limits")

    def __init__(self, limits: Rules) -> None:
        self.limits = limits
        self.law: Law = limits.law
        self.halves: tuple[Halves, ...] = tuple(limits.procedure.halves)
        self._duties: dict[tuple[str, str | None], dict[str, tuple[Duty, ...]]] = {}
        self._data: dict[tuple[type[Datum], str, str | None], tuple[Datum, ...]] = {}
        self._rulings: dict[str, dict[str, tuple[Ruling, ...]]] = {}
        self._timed: frozenset[str] | None = None
        self._unasked: dict[str, tuple[Duty, ...]] | None = None
        self._uses: dict[str, dict[str, tuple[Use, ...]]] = {}
        self._overlaid: dict[str, tuple[str, ...]] = {}

    def edition(self, datum: Datum) -> str:
        """SHA-256, in hex, of the file that has the datum."""
        return self.limits.edition(datum)

    def triggered(self, instrument: str, country: str | None, act: str) -> tuple[Duty, ...]:
        """Every version of every duty that an act may trigger, under an instrument as a State has it."""
        found = self._duties.get((instrument, country))
        if found is None:
            held = self.data(Duty, instrument, country)
            found = self._duties[instrument, country] = _by_act(held, lambda duty: duty.when)
        return found.get(act, ())

    def overlaid(self, instrument: str) -> tuple[str, ...]:
        """The States that have an overlay of an instrument."""
        found = self._overlaid.get(instrument)
        if found is None:
            found = self._overlaid[instrument] = tuple(
                sorted(country for name, country in self.law.overlays if name == instrument)
            )
        return found

    def attaching(self, instrument: str, act: str) -> tuple[Use, ...]:
        """Every version of every use rule that something may fall under by an act."""
        found = self._uses.get(instrument)
        if found is None:
            found = self._uses[instrument] = _by_act(self.data(Use, instrument), lambda use: use.attaches_to)
        return found.get(act, ())

    @property
    def timed(self) -> frozenset[str]:
        """The acts by which something may fall under a use rule that asks for something by a day of its own."""
        if self._timed is None:
            self._timed = frozenset(
                pattern.act
                for instrument in self.law.instruments
                for use in self.data(Use, instrument)
                if use.nature in {"retention", "return"} and (use.within is not None or use.limit is not None)
                for pattern in use.attaches_to
            )
        return self._timed

    def unasked(self, act: str) -> tuple[Duty, ...]:
        """
        Duties towards another State that arise from an act alone, without any request.

        A measure at home that reaches into another State is no cooperation, and names no instrument of it;
        what it owes that State it owes all the same.
        """
        if self._unasked is None:
            held = (duty for instrument in self.law.instruments for duty in self.data(Duty, instrument))
            self._unasked = _by_act((duty for duty in held if duty.other_state), lambda duty: duty.when)
        return self._unasked.get(act, ())

    def data(self, kind: type[_KIND], instrument: str, country: str | None = None) -> tuple[_KIND, ...]:
        """Every version of every datum of a kind; nothing for an instrument that this law does not have."""
        key = (kind, instrument, country if (instrument, country) in self.law.overlays else None)
        found = self._data.get(key)
        if found is None:
            held = instrument in self.law.instruments
            found = self._data[key] = tuple(self.law.data(kind, instrument, key[2])) if held else ()
        return cast("tuple[_KIND, ...]", found)

    def rulings(self, datum: Datum, known: date | None) -> tuple[str, ...]:
        """The cases that bear on a datum, as far as they were known."""
        about = self._rulings.get(datum.instrument)
        if about is None:
            gathered: dict[str, list[Ruling]] = {}
            for ruling in self.data(Ruling, datum.instrument):
                for name in ruling.about:
                    gathered.setdefault(name, []).append(ruling)
            about = self._rulings[datum.instrument] = {name: tuple(each) for name, each in gathered.items()}
        return tuple(
            one.number
            for one in about.get(datum.id, ())
            if known is None or one.known_from_on is None or one.known_from_on <= known
        )

    def in_force(self, datum: Datum, on: date, known: date | None) -> bool:
        """Whether a datum, and its instrument, applied on a day, as the law was known on another."""
        return self.limits.in_force(datum, on, known)

    def bound(self, instrument: str, country: str | None, on: date) -> bool:
        """Whether the law says that an instrument bound a State on a day."""
        return self.limits.binding(instrument, country, on) is not None


def book_of(law: Law, manifest: bytes, procedure: Procedure) -> Book:
    """The rules of a law with its manifest (`ledger.law.manifest.manifest_of`)."""
    return Book(Rules(law, manifest, procedure))


@cache
def book() -> Book:
    """The rules of this release, read once per process."""
    return Book(rules())
