"""Instants as people and other systems write them: RFC 3339, a local date-time, or a bare day of a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger.errors import FormatError

__all__ = ["DAY", "YEARS", "instant", "rfc3339"]

YEARS = range(1900, 2200)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
"""How a bare day is written."""
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(text: str, *, zone: str = "UTC", end: bool = False) -> int:
    """
    An instant in microseconds since 1970, UTC.

    Args:
        text: RFC 3339 with an offset; a local date-time of *zone*; or a bare day of *zone*.
        zone: IANA name of the zone in which days and local times are meant.
        end: a bare day is its last microsecond instead of its first.

    Raises:
        FormatError: none of these, outside the years 1900 to 2199, or a local time that the zone
            skips or has twice.

    >>> instant("1970-01-02", end=True)
    172799999999
    >>> instant("1970-01-01T01:00+01:00")
    0
    """
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise FormatError("not a zone of the IANA database", field="zone") from None
    try:
        if DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=place)
            _sensible(day)
            # The next midnight of the zone, not 24 hours later: a day may have 23 or 25.
            when = day if not end else day + timedelta(days=1)
            return _microseconds(when) - int(end)
        if not _INSTANT.fullmatch(text):
            raise FormatError("not an instant such as 2020-06-02T14:30:00Z")
        when = datetime.fromisoformat(text.upper())
        _sensible(when)
    except (ValueError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"no such instant: {error}") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=place)
        _once(when, zone)
    return _microseconds(when)


def _sensible(when: datetime) -> None:
    if when.year not in YEARS:
        raise FormatError(f"outside the years {YEARS.start} to {YEARS.stop - 1}")


def _once(when: datetime, zone: str) -> None:
    earlier, later = when.replace(fold=0), when.replace(fold=1)
    if earlier.utcoffset() == later.utcoffset():
        return
    back = _microseconds(earlier), _microseconds(later)
    if back[0] < back[1]:
        raise FormatError(f"this local time comes twice in {zone}; give its offset")
    raise FormatError(f"this local time does not exist in {zone}")


def _microseconds(when: datetime) -> int:
    return (when.astimezone(UTC) - _EPOCH) // _MICROSECOND


def rfc3339(microseconds: int) -> str:
    """
    The instant in UTC, without a fraction where it is none.

    >>> rfc3339(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    when = _EPOCH + microseconds * _MICROSECOND
    return when.isoformat(timespec="microseconds" if when.microsecond else "seconds").replace("+00:00", "Z")
