"""
The lines of COPY of what comes next, made by other processes while this one writes.

Decoding an entry and making its rows takes twice as long as the database needs to take them. So whoever is far behind
the log has helpers that do it; the transactions, their fences and their order stay with him alone. What a helper
cannot make, and what the database does not take, is left to the ordinary way, which finds the act and parks it.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from projections.filling import BATCH, WIDEST, batches, decode, helpers, module, open_log, rows_of, sized
from projections.shared import tables
from projections.shared.units import Unit, dealt, sieve

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from concurrent.futures import Future

    from ledger.acts import Catalogue
    from ledger.store import Store as Log

log: Final = structlog.get_logger("comity.projections")

WORTH_IT: Final = 8_000
"""From so many entries on, the second in which the helpers start is made up for."""

HELPERS_MAX: Final = 3
"""So many make more lines than one connection takes."""

_FIRST: Final = 512
"""Entries of each piece, as long as nobody knows how large they are."""

_AHEAD: Final = 2
"""How many pieces each helper may be ahead; with at most some 10 MB a piece, memory stays flat."""


class Piece(NamedTuple):
    """
    Lines of COPY by projection and table, of the entries before `stop` that were left.

    Of these `kept` belonged to what is asked for, and had `size` bytes.
    """

    stop: int
    kept: int
    size: int
    lines: dict[str, dict[str, bytes]]


def made(log_at: str, units: Iterable[Unit], count: int, start: int, stop: int) -> Generator[Piece, None, None]:
    """
    Yield the log from *start* to before *stop* in pieces, in order, each made by a helper; end early where one fails.

    Args:
        log_at: where another process opens the log.
        units: what of it is asked for.
        count: of the partitions.
        start: of the first piece.
        stop: after the last one.
    """
    asked = frozenset(units)
    crew = min(HELPERS_MAX, os.cpu_count() or 1)
    limit, at = _FIRST, start
    coming: deque[tuple[int, Future[Piece]]] = deque()
    with ExitStack() as stack:
        pool = helpers(crew)
        stack.callback(pool.shutdown, cancel_futures=True)
        while at < stop or coming:
            while at < stop and len(coming) < _AHEAD * crew:
                end = min(stop, at + limit)
                coming.append((at, pool.submit(_made, log_at, asked, count, at, end)))
                at = end
            first, future = coming.popleft()
            try:
                piece = future.result()
            except Exception as error:  # noqa: BLE001 -- the ordinary way says what it is, or parks it
                log.info("helper_failed", start=first, why=repr(error)[:500])
                return
            read = piece.stop - first
            # As much in a transaction, however little of the log belongs here.
            most = BATCH * min(WIDEST, read // max(1, piece.kept))
            limit = sized(limit, piece.size // read, most)
            yield piece


@cache
def _opened(log_at: str) -> tuple[Log, Catalogue]:
    return open_log(log_at)


def _made(log_at: str, units: frozenset[Unit], count: int, start: int, stop: int) -> Piece:
    """Make one piece, in a helper."""
    store, catalogue = _opened(log_at)
    wanted = sieve(units, count)
    kept: list[tuple[int, bytes]] = []
    for batch in batches(store, start, stop, min(BATCH, stop - start)):
        kept += batch if wanted is None else [one for one in batch if wanted(one[1])]
    shares = dealt(decode(catalogue, kept), count)
    text, lines = tables.Lines(), {}
    for name in sorted({unit.name for unit in units}):
        mine = [fact for unit in units if unit.name == name for fact in shares.get(unit.partition, ())]
        # In the order of the log, so that every row lands behind the last.
        rows = rows_of(module(name), sorted(mine, key=lambda fact: fact.index))
        lines[name] = {table: text.of(some).encode() for table, some in rows.items() if some}
    return Piece(stop, len(kept), sum(len(entry) for _, entry in kept), lines)
