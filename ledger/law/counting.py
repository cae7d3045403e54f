"""
When a limit ends, and why: counting rules as data, calendars of States, and one pure function.

The counting rules are files under ``ledger/law/counting``; the first is Regulation (EEC, Euratom) No
1182/71. :func:`due` follows the rule step by step and says which article each step rests on, so that
anybody can recompute and contest a result. It asks no clock and no zone of the machine.

A period is counted on local days of the State whose authority must act. Periods in hours run in
elapsed hours, also across a change to or from summer time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.errors import FormatError, NotFound
from ledger.law.data import BASES, UNITS
from ledger.law.files import keys, toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ledger.law.data import Limit, Period

__all__ = [
    "MONTHS",
    "Calendar",
    "Calendars",
    "Counting",
    "Due",
    "Institution",
    "NoCalendar",
    "Step",
    "calendar",
    "calendars",
    "counting_of",
    "countings",
    "due",
]

_HERE: Final = Path(__file__).parent
_CALENDARS: Final = "calendars.toml"
_HOUR: Final = timedelta(hours=1)
_ROLLING: Final = frozenset(UNITS) - {"hours", "consecutive_days"}
"""Units whose end a counting rule may move; consecutive days are what they say."""
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
"""Names of the months in their order: no locale of the machine is asked."""


class NoCalendar(NotFound):
    """The calendar does not cover a year, or there is none for the place: an error, never a guess."""


@dataclass(frozen=True, slots=True)
class Counting:
    """
    A counting rule.

    Attributes:
        id: as ``eu-1182-71``.
        title: the provision, short.
        text: the rule in plain words.
        eli: address of the official text, where there is one.
        verified: whether it was compared with the official wording.
        basis: a key of :data:`ledger.law.data.BASES`.
        country: the State whose national rule it is; None for others.
        event_excluded: whether the day of the event is left out.
        hours_from_full_hour: whether a period in hours leaves the hour of the event out as well; else it
            runs from the event itself.
        rolls: units whose periods move on when they end on a Saturday, Sunday or public holiday.
        rolls_on_saturday: whether a Saturday moves the end.
        working_days_at_least: how many working days a period of two days or more must have; 0: no rule.
        articles: the provision of each step.
    """

    id: str
    title: str
    text: str
    eli: str | None
    verified: bool
    basis: str
    country: str | None
    event_excluded: bool
    hours_from_full_hour: bool
    rolls: frozenset[str]
    rolls_on_saturday: bool
    working_days_at_least: int
    articles: Mapping[str, str]


class Step(NamedTuple):
    """One step of a computation: the provision it follows, and what it gave, in plain words."""

    article: str
    text: str


class Due(NamedTuple):
    """
    The end of a limit.

    Attributes:
        at: the instant of expiry, with the offset in force there: 24:00 of ``last_on`` for whole days.
        last_on: the last local day on which the limit is still met.
        rule: id of the limit.
        article: its article.
        counting: id of the counting rule.
        calendar: name and version of the calendar, as ``DE-BY (holidays 0.109)``.
        zone: IANA zone.
        verified: whether the limit, the counting rule and the year of the calendar are.
        steps: the computation, in order.
    """

    at: datetime
    last_on: date
    rule: str
    article: str
    counting: str
    calendar: str
    zone: str
    verified: bool
    steps: tuple[Step, ...]


class Calendar:
    """
    Public holidays and zone of a State, a part of it, or an institution.

    Args:
        place: ``DE``, ``DE-BY``, or the id of an institution.
        zone: IANA zone; that of the State where None.
        known: the zones, years and institutions of an edition; this release's where None.

    Attributes:
        place: as given.
        zone: the zone that its days are days of.
        version: names the source of its holidays, so that a result can be recomputed.
        unverified: years whose days were not read in an official list.
    """

    _read: Callable[[int], tuple[date, ...] | None]
    unverified: frozenset[int]

    __slots__ = ("_days", "_read", "_years", "first_year", "last_year", "place", "unverified", "version", "zone")

    def __init__(self, place: str, zone: str | None = None, known: Calendars | None = None) -> None:
        known = _calendars() if known is None else known
        country, _, part = place.partition("-")
        own = known.institutions.get(place)
        if own is not None:
            zone = zone or own.zone
            self.version = f"{place} ({own.source})"
            self.unverified = own.unverified
            self._read = own.days.get
            self.first_year, self.last_year = min(own.days), max(own.days)
        else:
            zones = known.zones
            if zone is None and country not in zones:
                raise NoCalendar(f"no zone is known for {place!r}: name a State such as DE, or the zone")
            zone = zone or str(zones.get(place, zones.get(country)))
            self._read = lambda year: _holidays(country, part or None, year)
            self.version = f"{place} (holidays {_release()})"
            self.unverified = frozenset()
            self.first_year, self.last_year = known.first_year, known.last_year
            _supported(country, part)
        try:
            self.zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise NoCalendar(f"no zone {zone!r}") from error
        self.place = place
        self._days: set[int] = set()
        self._years: set[int] = set()

    def is_holiday(self, day: int) -> bool:
        """
        Whether a day, as a proleptic ordinal, is a public holiday.

        Raises:
            NoCalendar: the calendar does not cover its year.
        """
        year = date.fromordinal(day).year
        if year not in self._years:
            if not self.first_year <= year <= self.last_year:
                raise NoCalendar(f"{self.version} does not cover {year}, only {self.first_year} to {self.last_year}")
            found = self._read(year)
            if found is None:
                raise NoCalendar(f"{self.version} does not cover {year}")
            self._days.update(one.toordinal() for one in found)
            self._years.add(year)
        return day in self._days

    def works(self, day: int) -> bool:
        """Whether a day, as a proleptic ordinal, is a working day: no Saturday, Sunday or public holiday."""
        # Ordinal 1 was a Monday. The calendar is asked first, so that a missing year is an error on weekends too.
        return not self.is_holiday(day) and day % 7 not in {6, 0}


@cache
def calendar(place: str, zone: str | None = None) -> Calendar:
    """
    The calendar of a place, kept for the life of the process.

    Raises:
        NoCalendar: no holidays, or no zone, are known for it.
    """
    return Calendar(place, zone)


@dataclass(frozen=True, slots=True)
class Institution:
    """
    An institution of the Union, whose own days count where it must act (Regulation 1182/71 Art. 2(1)).

    Attributes:
        zone: IANA zone.
        source: where its holidays were read.
        days: its holidays, by year.
        unverified: years whose days were not read in an official list.
    """

    zone: str
    source: str
    days: Mapping[int, tuple[date, ...]]
    unverified: frozenset[int]


@dataclass(frozen=True, slots=True)
class Calendars:
    """
    What an edition of the law holds of calendars: ``calendars.toml``.

    Attributes:
        first_year: before it, public holidays of States are an error and no guess.
        last_year: after it as well.
        zones: IANA zone by State, or by part of a State.
        institutions: by id.
    """

    first_year: int
    last_year: int
    zones: Mapping[str, str]
    institutions: Mapping[str, Institution]


def calendars(folder: Path = _HERE) -> Calendars:
    """
    Read the calendars of a law folder.

    Raises:
        FormatError: the file has an unknown key, lacks one, or has a value of another kind; the error
            names file and key.
    """
    file = folder / _CALENDARS
    if not file.is_file():
        raise FormatError("is missing: an edition has its calendars", field=_CALENDARS)
    data = keys(
        toml(file.read_bytes(), _CALENDARS),
        _CALENDARS,
        {"first_year", "last_year", "zones", "institution"},
        {"first_year", "last_year", "zones"},
    )
    for key in ("first_year", "last_year"):
        if type(data[key]) is not int:
            raise FormatError("is a year", field=f"{_CALENDARS}: {key}")
    zones = _table(data["zones"], "zones")
    for place, zone in zones.items():
        if not isinstance(zone, str):
            raise FormatError("is the name of a zone, such as Europe/Berlin", field=f"{_CALENDARS}: zones.{place}")
    institutions = {
        name: _institution(name, row) for name, row in _table(data.get("institution", {}), "institution").items()
    }
    return Calendars(data["first_year"], data["last_year"], MappingProxyType(zones), MappingProxyType(institutions))


def _institution(name: str, table: object) -> Institution:
    key = f"{_CALENDARS}: institution.{name}"
    row = keys(table, key, {"zone", "source", "days", "unverified"}, {"zone", "source", "days"})
    days: dict[int, tuple[date, ...]] = {}
    for year, rows in _table(row["days"], f"institution.{name}.days").items():
        # One day of another year would be a holiday that nobody asks for.
        whole = year.isdecimal() and isinstance(rows, list)
        if not whole or not all(type(one) is date and one.year == int(year) for one in rows):
            raise FormatError("has days of this year", field=f"{key}.days.{year}")
        days[int(year)] = tuple(rows)
    for said in ("zone", "source"):
        if not isinstance(row[said], str):
            raise FormatError("must be plain words", field=f"{key}.{said}")
    unverified = row.get("unverified", [])
    years = isinstance(unverified, list) and all(type(year) is int and year in days for year in unverified)
    if not days or not years:
        raise FormatError("names years that have days", field=f"{key}.unverified")
    return Institution(row["zone"], row["source"], MappingProxyType(days), frozenset(unverified))


def _table(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("must be a table", field=f"{_CALENDARS}: {key}")
    return value


@cache
def _calendars() -> Calendars:
    return calendars()


@cache
def _release() -> str:
    return installed("holidays")


@cache
def _supported(country: str, part: str) -> None:
    import holidays  # noqa: PLC0415 -- only who counts needs it; it takes a tenth of a second

    known = holidays.list_supported_countries()
    if country not in known:
        raise NoCalendar(f"no public holidays are known for {country!r}")
    if part and part not in known[country]:
        raise NoCalendar(f"no public holidays are known for {country}-{part}")


@cache
def _holidays(country: str, part: str | None, year: int) -> tuple[date, ...]:
    import holidays  # noqa: PLC0415 -- see above

    return tuple(holidays.country_holidays(country, subdiv=part, years=year, expand=False))


# ------------------------------------------------------------------------------------ counting rules

_KEYS: Final[dict[str, type]] = {
    "id": str,
    "title": str,
    "text": str,
    "eli": str,
    "country": str,
    "from": date,
    "until": date,
    "verified": bool,
    "basis": str,
    "event_excluded": bool,
    "hours_from_full_hour": bool,
    "rolls": list,
    "rolls_on_saturday": bool,
    "working_days_at_least": int,
    "articles": dict,
}
"""The keys of a counting rule, and of which type of TOML each is."""
_NEEDED: Final = {"id", "title", "from", "verified", "text", "event_excluded", "rolls", "articles"}
_STEPS: Final = {"event", *UNITS, "parts", "rolls", "two_working_days", "fixed_day"}
_OPTIONAL_STEPS: Final = {"consecutive_days", "two_working_days", "fixed_day"}


def countings(folder: Path = _HERE) -> dict[str, Counting]:
    """
    Read the counting rules of a law folder, by id.

    Raises:
        FormatError: a file has an unknown key, lacks one, or has a value of another kind; the error
            names file and key.
    """
    return {rule.id: rule for rule in (_counting(file) for file in sorted((folder / "counting").glob("*.toml")))}


def _counting(file: Path) -> Counting:
    data = keys(toml(file.read_bytes(), file.name), file.name, _KEYS, _NEEDED)
    for key, value in data.items():
        if type(value) is not _KEYS[key]:
            raise FormatError(f"must be of the type {_KEYS[key].__name__}", field=f"{file.name}: {key}")
    for name, article in data["articles"].items():
        if not isinstance(article, str):
            raise FormatError("is the provision, in words", field=f"{file.name}: articles.{name}")
    for key, known in (("rolls", _ROLLING), ("articles", _STEPS)):
        for name in data[key]:
            if not isinstance(name, str) or name not in known:
                raise FormatError(f"{name!r} is not known", field=f"{file.name}: {key}")
    basis = data.get("basis", "wording" if data["verified"] else "memory")
    if data["id"] != file.stem:
        raise FormatError("must be the file's name", field=f"{file.name}: id")
    if basis not in BASES or (data["verified"] and basis != "wording"):
        raise FormatError("only what was compared with the official wording is verified", field=f"{file.name}: basis")
    for key in sorted(_STEPS - data["articles"].keys() - _OPTIONAL_STEPS):
        raise FormatError("is missing", field=f"{file.name}: articles.{key}")
    return Counting(
        id=data["id"],
        title=data["title"],
        text=data["text"],
        eli=data.get("eli"),
        verified=data["verified"],
        basis=basis,
        country=data.get("country"),
        event_excluded=data["event_excluded"],
        hours_from_full_hour=data.get("hours_from_full_hour", False),
        rolls=frozenset(data["rolls"]),
        rolls_on_saturday=data.get("rolls_on_saturday", True),
        working_days_at_least=data.get("working_days_at_least", 0),
        articles=dict(data["articles"]),
    )


@cache
def _rules() -> dict[str, Counting]:
    return countings()


def counting_of(name: str, place: str, rules: Mapping[str, Counting] | None = None) -> Counting:
    """
    The counting rule that a limit names, for the State that must act.

    Args:
        name: the limit's ``counting``; ``national`` is that of the State, and where none is held,
            the unverified rule ``national``.
        place: as of :func:`calendar`.
        rules: those of another edition than this release's.
    """
    rules = _rules() if rules is None else rules
    if name == "national":
        name = f"national-{place.partition('-')[0].lower()}"
        name = name if name in rules else "national"
    return rules[name]


# ----------------------------------------------------------------------------------------- counting


def due(
    limit: Limit,
    start: date | datetime,
    cal: Calendar,
    *,
    variant: str | None = None,
    extended: int = 0,
    suspended: Iterable[tuple[date | datetime, date | datetime]] = (),
    counting: Counting | None = None,
) -> Due:
    """
    When a limit ends.

    Args:
        limit: with a period of its own.
        start: of the event that starts it: a local day, a local date-time without offset, or an
            instant with one. A period in hours needs a time.
        cal: of the State (or part, or institution) that must act; its zone counts.
        variant: name of the limit's variant that applies.
        extended: how often the limit's extension was used.
        suspended: (from, until) of times that do not count.
        counting: another rule than the limit names.

    Returns:
        The instant, the last day, and every step with its article.

    Raises:
        FormatError: the limit has no period, no such variant, no extension, or needs a time of day.
        NoCalendar: the calendar does not cover a year that the computation touches.

    Cost: a few microseconds, once the years of the calendar have been read.
    Source: Regulation 1182/71 Art. 3, and whatever the counting rule names.
    """
    rule = counting or counting_of(limit.counting, cal.place)
    if limit.yearly is not None and variant is None and not extended:
        return _fixed(limit, limit.yearly, _day_of(start, cal.zone), cal, rule)
    period, verified = limit.within, limit.verified
    if variant is not None:
        for one in limit.variants:
            if one.name == variant:
                period, verified = one.within, one.verified
                break
        else:
            raise FormatError(f"{limit.id} has no variant {variant!r}", field="variant")
    if period is None:
        raise FormatError(f"{limit.id} has no period of its own: an act or a form states its end", field="limit")
    periods = [period]
    if extended:
        more = limit.extension.within if limit.extension else None
        if more is None:
            raise FormatError(f"{limit.id} has no extension by a period", field="extended")
        periods += [more] * extended
    zone = cal.zone
    steps: list[Step] = []
    if period.unit == "hours":
        at = _hours(periods, start, zone, rule, suspended, steps)
        last_on = (at - timedelta(microseconds=1)).date()
    else:
        last_on = _days(periods, _day_of(start, zone), cal, rule, suspended, steps)
        at = _midnight(last_on.toordinal() + 1, zone)
    verified = verified and rule.verified and last_on.year not in cal.unverified
    return Due(at, last_on, limit.id, limit.article, rule.id, cal.version, zone.key, verified, tuple(steps))


def _fixed(limit: Limit, yearly: tuple[int, int], day: date, cal: Calendar, rule: Counting) -> Due:
    """The end of a limit that names a day of the year: the next year's, and it does not move."""
    last_on = date(day.year + 1, *yearly)
    named = f"{yearly[1]} {MONTHS[yearly[0] - 1]}"
    steps = [Step(limit.article, f"for {day.year}: {named} of the next year, {last_on.isoformat()}")]
    article = rule.articles.get("fixed_day")
    if article is not None:
        steps.append(Step(article, "a day that the text names does not move to a working day"))
    at = _midnight(last_on.toordinal() + 1, cal.zone)
    # Where the rule is silent on fixed days, that this one does not move is our reading of it.
    verified = limit.verified and rule.verified and article is not None
    return Due(at, last_on, limit.id, limit.article, rule.id, cal.version, cal.zone.key, verified, tuple(steps))


def _day_of(moment: date | datetime, zone: ZoneInfo) -> date:
    """The local day of a day, of a local date-time, or of an instant."""
    return date.fromordinal(_local_day(moment, zone))


def _hours(
    periods: list[Period],
    start: date | datetime,
    zone: ZoneInfo,
    rule: Counting,
    suspended: Iterable[tuple[date | datetime, date | datetime]],
    steps: list[Step],
) -> datetime:
    """The instant of expiry of a period in hours."""
    instant = _instant(start, zone, "start")
    local = instant.astimezone(zone)
    first = instant
    if rule.hours_from_full_hour:
        # The hour of the event is a local hour: zones with an offset of half an hour have their own hours.
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        first = instant - into + _HOUR
        steps.append(
            Step(rule.articles["event"], f"the hour of the event is left out: from {_clock(first.astimezone(zone))}")
        )
    hours = 0
    for period in periods:
        if period.unit != "hours":
            raise FormatError("a period in hours is extended in hours", field="extended")
        hours += period.count
    end = first + hours * _HOUR
    steps.append(Step(rule.articles["hours"], f"{hours} hours end at {_clock(end.astimezone(zone))}"))
    for began, ended in sorted((_instant(a, zone, "suspended"), _instant(b, zone, "suspended")) for a, b in suspended):
        stood = ended - max(began, first)
        if began < end and stood > timedelta(0):
            end += stood
            steps.append(Step("", f"{stood} do not count: {_clock(end.astimezone(zone))}"))
    return end.astimezone(zone)


def _days(
    periods: list[Period],
    day: date,
    cal: Calendar,
    rule: Counting,
    suspended: Iterable[tuple[date | datetime, date | datetime]],
    steps: list[Step],
) -> date:
    """The last day of a period in days, working days, weeks, months or years."""
    base = day.toordinal()
    if rule.event_excluded:
        steps.append(Step(rule.articles["event"], f"the day of the event, {day.isoformat()}, is left out"))
    else:
        base -= 1
        steps.append(Step(rule.articles["event"], f"the day of the event, {day.isoformat()}, counts"))
    first = base + 1
    end = base
    unit = periods[0].unit
    for period in periods:
        end = _add(end, period, cal)
        unit = period.unit
        article = rule.articles.get(unit) or rule.articles["days"]
        steps.append(Step(article, f"{period} end on {date.fromordinal(end).isoformat()}"))
        if period.part is not None:
            end += 30 * period.part[0] // period.part[1]
            steps.append(
                Step(rule.articles["parts"], f"a month has 30 days for its parts: {date.fromordinal(end).isoformat()}")
            )
    last = first - 1
    for began, ended in sorted((_local_day(a, cal.zone), _local_day(b, cal.zone)) for a, b in suspended):
        # Each day on which time stood still is left out once; the day on which it goes on again counts.
        from_day = max(began, last + 1)
        if from_day <= end and ended > from_day:
            end += ended - from_day
            last = ended - 1
            steps.append(Step("", f"{ended - from_day} days do not count: {date.fromordinal(end).isoformat()}"))
    stated = end - base
    if unit in rule.rolls:
        rolled = end
        while cal.is_holiday(rolled) or rolled % 7 == 0 or (rule.rolls_on_saturday and rolled % 7 == 6):
            rolled += 1
        if rolled != end:
            # Ordinals are taken modulo 7, and days named here: no locale of the machine is asked.
            day_off = {6: "a Saturday", 0: "a Sunday"}.get(end % 7, f"a public holiday of {cal.place}")
            moved = date.fromordinal(rolled).isoformat()
            steps.append(Step(rule.articles["rolls"], f"that is {day_off}: it moves to the next working day, {moved}"))
            end = rolled
    needed = rule.working_days_at_least
    # The period as stated has two days or more; a single day that moved over a weekend is still one day.
    if needed and stated >= 2 and unit not in {"working_days", "consecutive_days"}:
        found = 0
        for one in range(first, end + 1):
            found += cal.works(one)
            if found == needed:
                break
        else:
            while found < needed:
                end += 1
                found += cal.works(end)
            steps.append(
                Step(
                    rule.articles["two_working_days"],
                    f"{needed} working days at least: {date.fromordinal(end).isoformat()}",
                )
            )
    return date.fromordinal(end)


def _add(base: int, period: Period, cal: Calendar) -> int:
    """The ordinal of the day on which ``period`` ends when the day before its first day is ``base``."""
    count = period.count
    if period.unit in {"days", "consecutive_days"}:
        return base + count
    if period.unit == "weeks":
        return base + 7 * count
    if period.unit == "working_days":
        while count:
            base += 1
            count -= cal.works(base)
        return base
    if period.unit == "hours":
        raise FormatError("a period in days or longer is not extended in hours", field="extended")
    day = date.fromordinal(base)
    months = day.year * 12 + day.month - 1 + count * (12 if period.unit == "years" else 1)
    year, month = divmod(months, 12)
    return min(date(year, month + 1, 1).toordinal() + day.day - 1, _last_of(year, month + 1))


def _last_of(year: int, month: int) -> int:
    return date(year + month // 12, month % 12 + 1, 1).toordinal() - 1


def _midnight(day: int, zone: ZoneInfo) -> datetime:
    """The instant at which a local day begins, also where the clocks skip midnight."""
    one = date.fromordinal(day)
    return datetime(one.year, one.month, one.day, tzinfo=zone).astimezone(UTC).astimezone(zone)


def _instant(moment: date | datetime, zone: ZoneInfo, field: str) -> datetime:
    if not isinstance(moment, datetime):
        raise FormatError("a period in hours needs a time of day", field=field)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _local_day(moment: date | datetime, zone: ZoneInfo) -> int:
    if isinstance(moment, datetime) and moment.tzinfo:
        moment = moment.astimezone(zone)
    return moment.toordinal()


def _clock(local: datetime) -> str:
    return local.isoformat(" ", "minutes")
