"""What can be checked of the law beyond its format: that every worked example comes out as it says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ledger.errors import FormatError, NotFound
from ledger.law.counting import Due, calendar, counting_of, due
from ledger.law.data import Example, Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.law.law import Law

__all__ = ["Wrong", "computed", "wrong"]


class Wrong(NamedTuple):
    """An example that does not come out: the file, the key, and what was computed instead."""

    file: str
    key: str
    what: str


def computed(limit: Limit, example: Example, law: Law | None = None) -> Due:
    """Compute a worked example, as *law* counts or else this release; raises as :func:`ledger.law.counting.due`."""
    return due(
        limit,
        example.start,
        (calendar if law is None else law.calendar)(example.place, example.zone),
        variant=example.variant,
        extended=example.extended,
        suspended=example.suspended,
        counting=counting_of(limit.counting, example.place, None if law is None else law.countings),
    )


def wrong(law: Law) -> Iterator[Wrong]:
    """
    Every worked example that does not come out as its file says.

    Cost: the calendars of every place and year that is named, once.
    """
    seen: set[int] = set()
    for instrument in (*law.instruments.values(), *law.overlays.values()):
        for versions in instrument.data.get("limit", {}).values():
            for limit in versions:
                # An overlay holds the parent's own limits as well; once is enough.
                if not isinstance(limit, Limit) or id(limit) in seen:
                    continue
                seen.add(id(limit))
                for at, example in enumerate(limit.examples):
                    key = f"limit.{limit.id}.examples[{at}]"
                    try:
                        result = computed(limit, example, law)
                    except (FormatError, NotFound) as error:
                        yield Wrong(limit.file, key, str(error))
                        continue
                    if isinstance(example.due, datetime):
                        got: object = result.at.replace(tzinfo=None)
                    else:
                        got = result.last_on
                    if got != example.due:
                        yield Wrong(limit.file, key, f"is due {got}, not {example.due}")
