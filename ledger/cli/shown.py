"""How instants, ids and authorities are shown to people; JSON output never passes through here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from projections.facts import Said, When, Who

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER = 300_000_000
"""Microseconds by which the clock of an authority may be ahead of the log's without being remarked upon."""
SHORT = 8
"""Hexadecimal digits of a shortened id; a prefix of six or more is accepted back."""


def counted(number: int, one: str, more: str | None = None) -> str:
    """
    A number of things, in words that agree with it.

    >>> counted(1, "entry", "entries"), counted(0, "draft")
    ('1 entry', '0 drafts')
    """
    return f"{number} {one if number == 1 else more or one + 's'}"


def moment(microseconds: int, zone: str = "UTC") -> str:
    """
    The instant in *zone*, to the second.

    >>> moment(0)
    '1970-01-01 00:00:00 UTC'
    """
    local = (_EPOCH + timedelta(microseconds=microseconds)).astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname() or zone}"


def day(microseconds: int, zone: str) -> str:
    """The day on which the instant falls in *zone*."""
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).astimezone(ZoneInfo(zone)):%Y-%m-%d}"


def when(value: When | None, zone: str | None = None) -> str:
    """
    When something happened, with no more precision than was claimed.

    An interval shows both ends; ``(unconfirmed)`` marks what the publisher could not confirm,
    ``(may be later)`` an interval that the clock asked about cuts through, and ``(later than
    recorded)`` what cannot have happened when the log was told that it had.
    """
    if value is None:
        return ""
    place = zone or value.zone
    first, last = day(value.from_at, place), day(value.until_at, place)
    if value.from_at == value.until_at:
        said = moment(value.from_at, place)
    elif first == last:
        said = first
    else:
        said = f"{first} to {last}"
    if not value.confirmed:
        said += " (unconfirmed)"
    if value.uncertain:
        said += " (may be later)"
    if value.from_at > value.recorded_at + _CLOCKS_DIFFER:
        said += " (later than recorded)"
    return said


def who(value: Who | None) -> str:
    """The designation of an authority; where a report names none, its country and kind."""
    if value is None:
        return ""
    return value.designation or " ".join(filter(None, (value.country, value.authority_kind)))


def said_by(value: Said, *, named: bool = False) -> str:
    """Whose act it is, unless it is *named* already, and how we know when it did not say so itself."""
    if value.voice == "own":
        return who(value.publisher)
    if value.voice == "on_behalf":
        how = f"through {who(value.publisher)}, mandate {short(value.mandate)}"
    else:
        how = f"reported by {who(value.publisher)}: {value.source}"
    return how if named else f"{who(value.speaker)} ({how})"


def reported(stage: str, *, by_report: bool) -> str:
    """A stage or outcome in words, marked where nobody concerned has said it and only a report has."""
    return f"{stage} (by report only)" if by_report and stage else stage


def words(code: str | tuple[str, ...] | None) -> str:
    """
    A code, or one of several, as it is read.

    >>> words(("handed_over", "closed"))
    'handed over or closed'
    """
    if isinstance(code, tuple):
        return " or ".join(map(words, code))
    return "" if code is None else code.replace("_", " ")


def short(value: str | bytes | None) -> str:
    """
    The first digits of an id.

    >>> short("00010203-0405-0607-0809-0a0b0c0d0e0f")
    '00010203'
    """
    if value is None:
        return ""
    return value.hex()[:SHORT] if isinstance(value, bytes) else value.replace("-", "")[:SHORT]
