"""
How rows get into a projection's tables whatever keeps them, and what becomes of acts that fail.

An act that makes a projection fail is *parked*, and with it every later act of the same stream: a stream that
is told with a hole in it would be told wrongly. The other streams go on. What is parked is kept by index
until `retry` succeeds, and as long as anything is parked there is no digest: the projection is not whole.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

import structlog

from ledger.errors import ComityError, Conflict
from projections import admissibility, audit, deadlines, findings, provenance, roster, status
from projections.facts import Fact, Table, id_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ledger.acts import Catalogue
    from ledger.store import Store as Log

log: Final = structlog.get_logger("comity.projections")


class Projection(Protocol):
    """What fills a projection needs of its module: its name, its tables, and the rows that a fact makes."""

    @property
    def NAME(self) -> str:  # noqa: N802 -- a constant of the module
        """What it is called."""

    @property
    def TABLES(self) -> tuple[Table, ...]:  # noqa: N802 -- as above
        """Its tables."""

    def collect(self, fact: Fact, rows: dict[str, list[tuple[object, ...]]], /) -> None:
        """Add the rows that *fact* makes."""


class Store(Protocol):
    """What is read of a log."""

    def size(self) -> int:
        """How many entries there are."""

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """At most *limit* entries from index *start*."""


PROJECTIONS: Final[tuple[Projection, ...]] = (
    audit,
    status,
    provenance,
    admissibility,
    deadlines,
    findings,
    roster,
)

#: A batch, one transaction each: large enough to make a commit cheap. It is bounded in bytes too, so
#: that memory stays flat where entries are as large as the format allows.
BATCH: Final = 2000
_BATCH_BYTES: Final = 4 << 20
_FIRST_BATCH: Final = 64

WIDEST: Final = 16
"""From so many batches at most one transaction is made, where little of them is kept."""

PARKED_MAX: Final = 10_000
"""So many acts of one projection may be parked: beyond that it is the projection that is broken, and it stops."""


class ProjectionFailed(ComityError):  # noqa: N818 -- says what is the case, as NotVerified does
    """A projection could not take an entry; it stands before it, and nothing of it was kept."""

    def __init__(self, name: str, index: int, why: str) -> None:
        super().__init__(f"projection {name} failed at entry {index}", why=why)
        self.name = name
        self.index = index

    def __reduce__(self) -> tuple[type[ProjectionFailed], tuple[str, int, str]]:
        """Survive the way from a worker process."""
        return type(self), (self.name, self.index, self.why)


class GapRefused(Conflict):
    """An entry came before one that precedes it in the log."""

    def __init__(self, who: str, expected: int, given: int) -> None:
        super().__init__(
            f"{who} expects entry {expected}, not {given}",
            why="rows are derived from every entry, in the order of the log",
            what_now="give it the entries between, or let it read the log itself: `comity project catch-up`",
        )
        self.expected = expected
        self.given = given


class NotWhole(Conflict):
    """A projection has parked acts, so that its content is not what the log says."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            f"projection {name} is not whole: {count} acts are parked",
            what_now="see `comity project parked`; after the fix, `comity project retry`",
        )
        self.name = name
        self.count = count


class Differs(Conflict):
    """A projection built anew is not what stood before."""

    def __init__(self, names: Sequence[str], size: int) -> None:
        super().__init__(
            f"built anew from the same {size} entries, {', '.join(names)} is not what stood before",
            why="what stood was damaged, or made by another release",
            what_now="what stood is untouched; take what was built with --accept, and go back with `comity project "
            "rollback`",
        )
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has come, for a progress bar; both are counts of entries."""

    done: int
    size: int


@dataclass(frozen=True, slots=True)
class Parked:
    """
    An act that a projection has not taken.

    `why` is what went wrong; empty where it only waits behind an earlier act of its stream.
    """

    projection: str
    index: int
    subject: str
    why: str


def parked_row(name: str, index: int, subject: bytes, why: str) -> Parked:
    """Return what is parked, as it is told."""
    return Parked(name, index, id_text(subject), why)


#: Not the act's fault: memory, the disk, and whatever the tables are kept in being unable now.
PASSING: Final[tuple[type[Exception], ...]] = (MemoryError, OSError)


class Parking:
    """
    Puts facts into one projection, and parks what fails.

    Args:
        projection: its module.
        put: inserts rows by table, all or none; called within the caller's transaction.
        park: notes that a fact was parked, and why; None where nothing may be, and the first that fails is named.
        streams: the subjects of which something is parked.
        count: how many acts are parked already.
        passing: what *put* raises that is not the rows' fault; it goes through.
    """

    def __init__(
        self,
        projection: Projection,
        put: Callable[[dict[str, list[tuple[object, ...]]]], None],
        park: Callable[[int, bytes, str], None] | None,
        streams: Iterable[bytes] = (),
        count: int = 0,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        self._projection = projection
        self._put = put
        self._park = park
        self._streams = set(streams)
        self._count = count
        self._passing: tuple[type[Exception], ...] = (*PASSING, *passing)

    def take(self, facts: Sequence[Fact]) -> None:
        """
        Take *facts*, in the order of the log; halves of a batch that fails are tried by themselves.

        Raises:
            ProjectionFailed: too much is parked, or nothing may be.
        """
        going = facts
        if self._streams:
            going = [fact for fact in facts if fact.statement.subject not in self._streams]
            if len(going) < len(facts):
                for fact in facts:
                    if fact.statement.subject in self._streams:
                        self._set_aside(fact, "")
        if not going:
            return
        try:
            self._put(rows_of(self._projection, going))
        except self._passing:
            raise
        except Exception as error:  # noqa: BLE001 -- it is kept, shown, and tried again
            if len(going) == 1:
                self._set_aside(going[0], repr(error)[:500])
            else:
                middle = len(going) // 2
                self.take(going[:middle])
                self.take(going[middle:])

    def _set_aside(self, fact: Fact, why: str) -> None:
        name, subject = self._projection.NAME, fact.statement.subject
        self._count += 1
        if self._park is None or self._count > PARKED_MAX:
            raise ProjectionFailed(name, fact.index, why or f"more than {PARKED_MAX} acts would be parked")
        self._streams.add(subject)
        self._park(fact.index, subject, why)
        log.warning("act_parked", projection=name, index=fact.index, stream=subject.hex(), why=why or "waits")


def rows_of(projection: Projection, facts: Iterable[Fact]) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows that *facts* make, by table."""
    rows: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in projection.TABLES}
    collect = projection.collect
    for fact in facts:
        collect(fact, rows)
    return rows


def edition(projection: Projection) -> str:
    """The SHA-256 of a projection's tables: what another edition made is made anew."""
    sql = [s for table in projection.TABLES for s in (table.create(), *table.create_indexes())]
    return hashlib.sha256("\n".join(sql).encode()).hexdigest()


def foreign(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return the projections, of pairs of name and edition, that this release has not or makes otherwise."""
    editions = {p.NAME: edition(p) for p in PROJECTIONS}
    return [name for name, made_by in found if editions.get(name) != made_by]


def module(name: str) -> Projection:
    """Return a projection by its name."""
    return next(projection for projection in PROJECTIONS if name == projection.NAME)


def size_asked(name: str, size: int | None, reached: Mapping[str, int]) -> int:
    """
    Return of how many entries a digest is asked for: *size*, or as many as the projection has applied.

    Raises:
        ComityError: the projection has not come so far, or there is none of that name.
    """
    if name not in reached:
        raise ComityError(f"there is no projection {name}", what_now=", ".join(reached))
    if size is not None and size > reached[name]:
        raise ComityError(f"projection {name} has applied {reached[name]} entries, not {size}")
    return reached[name] if size is None else size


def refuse_differing(compared: Iterable[tuple[str, int, str, str]]) -> None:
    """
    Compare what was built anew with what stood: of each projection its name, the size compared, and two digests.

    Raises:
        Differs: some are not the same.
    """
    different = {name: size for name, size, built, stood in compared if built != stood}
    if different:
        raise Differs(tuple(different), min(different.values()))


def decode(catalogue: Catalogue, batch: Iterable[tuple[int, bytes]]) -> list[Fact]:
    """Return the facts of entries."""
    from ledger.reading import recorded  # noqa: PLC0415 -- a worker that is fed needs no decoder

    return [Fact(recorded(index, entry, catalogue)) for index, entry in batch]


def batches(store: Store, start: int, stop: int, first: int = _FIRST_BATCH) -> Iterator[list[tuple[int, bytes]]]:
    """
    Yield the entries from *start* to before *stop*, contiguous, in batches of bounded memory.

    The number of entries read at once follows the size of those just read; the *first* time it is given.

    Raises:
        GapRefused: the store does not give the entries that it says it has.
    """
    limit = first
    while start < stop:
        batch = store.entries(start, min(limit, stop - start))
        if not batch or batch[0][0] != start or batch[-1][0] != start + len(batch) - 1:
            raise GapRefused("a reader of the log", start, batch[0][0] if batch else stop)
        yield batch
        start = batch[-1][0] + 1
        limit = sized(limit, _mean(batch))


def sized(last: int, mean: int, most: int = BATCH) -> int:
    """Return how many entries are read at once after *last*, which had *mean* bytes each; *most* at most."""
    return max(1, min(most, 2 * last, _BATCH_BYTES // max(1, mean)))


class Digest:
    """The SHA-256 over a projection's rows, typed and length-prefixed: the same whatever keeps them."""

    def __init__(self, name: str) -> None:
        self._sha = hashlib.sha256(b"comity.projection.v1\0" + name.encode())

    def table(self, name: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Add the rows of one table; tables come by name, rows by key."""
        self._sha.update(_value(name))
        for row in rows:
            self._sha.update(b"".join(map(_value, row)))

    def hex(self) -> str:
        """Return it."""
        return self._sha.hexdigest()


def _value(value: object) -> bytes:
    """One value of a row, typed and length-prefixed, so that no two rows share an encoding."""
    if value is None:
        return b"n"
    if isinstance(value, int):
        return b"i%d;" % value
    if isinstance(value, bytes):
        kind, raw = b"b", value
    else:
        assert isinstance(value, str), value
        kind, raw = b"t", value.encode()
    return kind + b"%d:" % len(raw) + raw


class Stretch(NamedTuple):
    """A contiguous stretch of the log, from entry `start` to before `stop`, and the facts of it that are wanted."""

    start: int
    stop: int
    facts: list[Fact]


def decoded(
    catalogue: Catalogue, read: Iterable[list[tuple[int, bytes]]], wanted: Callable[[bytes], bool] | None = None
) -> Iterator[Stretch]:
    """
    Yield the facts of batches; the next is read and decoded by a thread while the last is written.

    Args:
        catalogue: the acts.
        read: the batches, contiguous.
        wanted: tells of the bytes of an entry whether it is decoded; None for all. Where it keeps little, several
            batches make one stretch.
    """
    entries = iter(read)

    def make() -> Stretch | None:
        kept: list[tuple[int, bytes]] = []
        start = stop = -1
        for number, batch in enumerate(entries, 1):
            start, stop = batch[0][0] if number == 1 else start, batch[-1][0] + 1
            kept += batch if wanted is None else [one for one in batch if wanted(one[1])]
            # As much again as is kept by now could be more than a batch, in entries or in bytes.
            if wanted is None or number == WIDEST or 2 * len(kept) > sized(BATCH, _mean(kept)):
                break
        return None if stop < 0 else Stretch(start, stop, decode(catalogue, kept))

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(make)
        while (found := coming.result()) is not None:
            coming = thread.submit(make)
            yield found


def _mean(entries: Sequence[tuple[int, bytes]]) -> int:
    return sum(len(entry) for _, entry in entries) // max(1, len(entries))


def open_log(address: str) -> tuple[Log, Catalogue]:
    """Open in a worker process what is read: the log at *address*, for reading alone, and the acts."""
    from ledger.acts import catalogue  # noqa: PLC0415 -- imported in the worker
    from ledger.store import open_store  # noqa: PLC0415 -- imported in the worker

    return open_store(address, read_only=True), catalogue()


def helpers(count: int) -> ProcessPoolExecutor:
    """Return *count* processes that read the log beside this one, and end with it, however it ends."""
    return ProcessPoolExecutor(count, get_context("spawn"), _end_with_parent)


def _end_with_parent() -> None:
    """Where the process that started this one is killed nobody would tell it, and it would wait for work for ever."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


class Projections(ABC):
    """
    The projections of one log, whatever keeps them: what `runner.Runner` and `shared.Shared` have alike.

    Args:
        store: the log; None where nothing is read of it.
        catalogue: the acts, to decode bodies with; None likewise.
    """

    def __init__(self, store: Store | None, catalogue: Catalogue | None) -> None:
        self._store = store
        self._catalogue = catalogue

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    def _source(self) -> tuple[Store, Catalogue]:
        if self._store is None or self._catalogue is None:
            raise ComityError("there is no log to read", what_now="open the projections with a store")
        return self._store, self._catalogue

    def _log_at(self) -> str:
        """Where another process opens the log."""
        return str(getattr(self._store, "address", ""))
