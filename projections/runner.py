"""
Filling the projections: by following the log, or by building them anew beside the old ones.

Each projection has a SQLite file of its own, so that two processes can write at once; the file
*path* only says which file is the present one of each projection. A rebuild fills new files and
then points at all of them in one transaction: a reader sees the old answers or the new, never half.

The size a projection has reached moves in the same transaction as its rows. An index already
passed is ignored, a gap is refused, and a projection that fails names the entry and stops.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import sqlite3
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from ledger.errors import ComityError, Conflict
from projections import admissibility, audit, deadlines, findings, provenance, roster, status
from projections.facts import Fact, Table
from projections.views import Views, open_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from ledger.acts import Catalogue
    from ledger.statement import Recorded


class Projection(Protocol):
    """What the runner needs of a module: its name, its tables, and the rows that a fact makes."""

    NAME: str
    TABLES: tuple[Table, ...]

    def collect(self, fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
        """Add the rows that *fact* makes."""


class Store(Protocol):
    """What the runner reads of a log."""

    def size(self) -> int:
        """How many entries there are."""

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """At most *limit* entries from index *start*."""


PROJECTIONS: Final[tuple[Any, ...]] = (
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
_BATCH: Final = 2000
_BATCH_BYTES: Final = 4 << 20
_FIRST_BATCH: Final = 64


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

    def __init__(self, name: str, expected: int, given: int) -> None:
        super().__init__(f"projection {name} expects entry {expected}, not {given}")
        self.name = name
        self.expected = expected
        self.given = given


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has come, for a progress bar; both are counts of entries."""

    done: int
    size: int


class _File:
    """One projection's SQLite file: its tables, and the size it has reached."""

    def __init__(self, projection: Any, path: Path, *, building: bool = False, start: int = 0) -> None:
        self.projection = projection
        self.name: str = projection.NAME
        self.path = path
        self._tables: tuple[Table, ...] = projection.TABLES
        self._insert = {table.name: table.insert() for table in self._tables}
        self.db = sqlite3.connect(path, isolation_level=None, timeout=30)
        if building:
            # Nobody reads a file that is being built, and a crash only leaves it to be removed.
            self.db.execute("PRAGMA journal_mode = OFF")
            self.db.execute("PRAGMA synchronous = OFF")
            self.db.execute("PRAGMA cache_size = -16384")
        else:
            self.db.execute("PRAGMA journal_mode = WAL")
            # A loss of power may take the last transactions, rows and size together: they are
            # applied again from the log.
            self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("CREATE TABLE IF NOT EXISTS applied (size INTEGER NOT NULL)")
        if self.db.execute("SELECT count(*) FROM applied").fetchone() == (0,):
            self.db.execute("INSERT INTO applied VALUES (?)", (start,))
        for table in self._tables:
            self.db.execute(table.create())
        self.db.execute("COMMIT")
        if not building:
            self.index()

    def index(self) -> None:
        """Make the secondary indexes, where they are missing."""
        for table in self._tables:
            for sql in table.create_indexes():
                self.db.execute(sql)

    def size(self) -> int:
        """How many entries this projection has applied."""
        return int(self.db.execute("SELECT size FROM applied").fetchone()[0])

    def apply(self, facts: Sequence[Fact]) -> None:
        """
        Apply contiguous *facts* in one transaction; those already passed are ignored.

        Raises:
            GapRefused: the first one not passed is not the next.
            ProjectionFailed: one of them could not be taken; none of them was.
        """
        if not facts:
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            size = self.size()
            first = facts[0].index
            if first > size:
                raise GapRefused(self.name, size, first)
            fresh = facts[size - first :]
            if fresh:
                self._write(fresh)
                self.db.execute("UPDATE applied SET size = ?", (fresh[-1].index + 1,))
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def _write(self, facts: Sequence[Fact]) -> None:
        rows: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in self._tables}
        collect = self.projection.collect
        for fact in facts:
            try:
                collect(fact, rows)
            except Exception as error:
                raise ProjectionFailed(self.name, fact.index, repr(error)) from error
        for name, batch in rows.items():
            if batch:
                try:
                    self.db.executemany(self._insert[name], batch)
                except sqlite3.Error as error:
                    self._name_the_row(name, batch, error)

    def _name_the_row(self, name: str, batch: list[tuple[object, ...]], error: sqlite3.Error) -> None:
        """Find the row that SQLite would not take: a savepoint each, since this ends the run."""
        self.db.execute("ROLLBACK")
        self.db.execute("BEGIN IMMEDIATE")
        for row in batch:
            try:
                self.db.execute(self._insert[name], row)
            except sqlite3.Error as found:
                raise ProjectionFailed(self.name, int(str(row[0])), repr(found)) from found
        raise ProjectionFailed(self.name, int(str(batch[0][0])), repr(error)) from error

    def digest(self, size: int) -> str:
        """Return the SHA-256, in hex, over the rows made by entries below *size*."""
        sha = hashlib.sha256(b"comity.projection.v1\0" + self.name.encode())
        for table in sorted(self._tables, key=lambda table: table.name):
            sha.update(_value(table.name))
            for row in self.db.execute(
                f"SELECT * FROM {table.name} WHERE idx < ? ORDER BY {table.key}",
                (size,),
            ):
                sha.update(b"".join(map(_value, row)))
        return sha.hexdigest()

    def finish(self) -> None:
        """Index a file that was built, and put it on the disk before anybody is pointed at it."""
        self.index()
        self.close()
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self.db.close()


def _value(value: object) -> bytes:
    """One value of a row, typed and length-prefixed, so that no two rows share an encoding."""
    if value is None:
        return b"n"
    if isinstance(value, int):
        return b"i%d;" % value
    kind, raw = (b"b", value) if isinstance(value, bytes) else (b"t", str(value).encode())
    return kind + b"%d:" % len(raw) + raw


def _edition(projection: Any) -> str:
    """The SHA-256 of a projection's tables: a file made by another edition is made anew."""
    sql = [s for table in projection.TABLES for s in (table.create(), *table.create_indexes())]
    return hashlib.sha256("\n".join(sql).encode()).hexdigest()


def _decode(catalogue: Catalogue, batch: Iterable[tuple[int, bytes]]) -> list[Fact]:
    from ledger.reading import recorded  # noqa: PLC0415 -- a worker that is fed needs no decoder

    return [Fact(recorded(index, entry, catalogue)) for index, entry in batch]


def _batches(store: Store, start: int, stop: int) -> Iterator[list[tuple[int, bytes]]]:
    """
    Yield the entries from *start* to before *stop*, contiguous, in batches of bounded memory.

    The number of entries read at once follows the size of those just read.

    Raises:
        GapRefused: the store does not give the entries that it says it has.
    """
    limit = _FIRST_BATCH
    while start < stop:
        batch = store.entries(start, min(limit, stop - start))
        if not batch or batch[0][0] != start or batch[-1][0] != start + len(batch) - 1:
            raise GapRefused("every", start, batch[0][0] if batch else stop)
        yield batch
        start = batch[-1][0] + 1
        mean = max(1, sum(len(entry) for _, entry in batch) // len(batch))
        limit = max(1, min(_BATCH, 2 * limit, _BATCH_BYTES // mean))


def _open_reader(address: str) -> tuple[Store, Catalogue]:
    """Open in a worker process what the runner reads: the log, read-only, and the acts."""
    from ledger.acts import catalogue  # noqa: PLC0415 -- imported in the worker
    from ledger.store import open_store  # noqa: PLC0415 -- imported in the worker

    return open_store(address, read_only=True), catalogue()


def _build(
    reopen: Callable[[], tuple[Store, Catalogue]],
    files: dict[str, Path],
    start: int,
    stop: int,
    tell: Callable[[int], None],
) -> None:
    """Fill new *files* from the entries from *start* to before *stop*."""
    store, catalogue = reopen()
    built = [_File(p, files[p.NAME], building=True, start=start) for p in PROJECTIONS]
    try:
        for batch in _batches(store, start, stop):
            facts = _decode(catalogue, batch)
            for file in built:
                file.apply(facts)
            tell(len(facts))
    finally:
        for file in built:
            file.close()


def _merge(projection: Any, parts: Sequence[Path]) -> None:
    """Append the later *parts* of one projection to the first, and index the whole."""
    whole = _File(projection, parts[0], building=True)
    for part in parts[1:]:
        whole.db.execute("ATTACH ? AS part", (str(part),))
        with _transaction(whole.db):
            for table in projection.TABLES:
                # In the order of the key, so that every row lands behind the last.
                whole.db.execute(f"INSERT INTO main.{table.name} SELECT * FROM part.{table.name} ORDER BY {table.key}")
            whole.db.execute("UPDATE applied SET size = (SELECT size FROM part.applied)")
        whole.db.execute("DETACH part")
        _remove(part)
    whole.finish()


def _worker(
    reopen: Callable[[], tuple[Store, Catalogue]],
    files: dict[str, Path],
    start: int,
    stop: int,
    pipe: Connection,
) -> None:
    """
    Build one range of the log, then merge the projections that the parent names.

    Splitting the log, not the projections, lets each entry be decoded once.
    """
    try:
        _build(reopen, files, start, stop, lambda done: pipe.send(("done", done)))
        pipe.send(("built", 0))
        for name, parts in pipe.recv():
            _merge(next(p for p in PROJECTIONS if name == p.NAME), parts)
        pipe.send(("merged", 0))
    except BaseException as error:  # noqa: BLE001 -- it is raised again by the process that waits
        failed = error if isinstance(error, ComityError) else RuntimeError(repr(error))
        with contextlib.suppress(OSError):
            pipe.send(("failed", failed))
    finally:
        pipe.close()


class Runner:
    """
    The projections of one ledger, kept in SQLite files beside *path*.

    Args:
        store: the log, with `size()` and `entries(start, limit)`.
        catalogue: the acts, to decode bodies with.
        path: the file that says which files are the present ones (`projections.db`).
        reopen: opens log and acts anew in a worker process; must survive pickling. The default
            reopens the store at `store.address`.
    """

    def __init__(
        self,
        store: Store | None,
        catalogue: Catalogue | None,
        path: Path | str,
        *,
        reopen: Callable[[], tuple[Store, Catalogue]] | None = None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._path = Path(path)
        self._reopen = reopen
        self._files: dict[str, _File] = {}
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS present"
            " (name TEXT PRIMARY KEY, edition TEXT NOT NULL, generation INTEGER NOT NULL,"
            " file TEXT NOT NULL)"
        )
        with _transaction(self._db):
            self._db.execute("CREATE TABLE IF NOT EXISTS generation (number INTEGER NOT NULL)")
            if self._db.execute("SELECT count(*) FROM generation").fetchone() == (0,):
                self._db.execute("INSERT INTO generation VALUES (0)")
        self._refresh()

    def __enter__(self) -> Self:
        """Close the files at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._db.close()

    # ------------------------------------------------------------------------------- following

    def catch_up(self, tell: Callable[[Progress], None] | None = None) -> int:
        """
        Apply every entry not yet applied; return the size reached.

        Raises:
            ProjectionFailed: naming the projection and the entry, before which it stays.
        """
        store, catalogue = self._source()
        self._refresh()
        start, size = min(file.size() for file in self._files.values()), store.size()
        for batch in _batches(store, start, size):
            self._apply(_decode(catalogue, batch))
            if tell is not None:
                tell(Progress(batch[-1][0] + 1, size))
        return max(start, size)

    def feed(self, batch: Sequence[Recorded]) -> None:
        """
        Apply entries already decoded, contiguous and in order; those already passed are ignored.

        Raises:
            GapRefused: an entry is missing before them or between them; nothing is applied.
            ProjectionFailed: one of them could not be taken.
        """
        self._refresh()
        for before, after in pairwise(batch):
            if after.index != before.index + 1:
                raise GapRefused("every", before.index + 1, after.index)
        self._apply([Fact(recorded) for recorded in batch])

    def _apply(self, facts: Sequence[Fact]) -> None:
        for file in self._files.values():
            file.apply(facts)

    def _source(self) -> tuple[Store, Catalogue]:
        if self._store is None or self._catalogue is None:
            raise ComityError("there is no log to read", what_now="open the runner with a store")
        return self._store, self._catalogue

    # ------------------------------------------------------------------------------ rebuilding

    def rebuild(self, workers: int = 2, tell: Callable[[Progress], None] | None = None) -> int:
        """
        Build every projection anew and swap all of them in at once; return the size reached.

        Readers keep the old answers until then. Each of the *workers* builds a range of the log and
        merges some of the projections; memory does not grow with the log.

        Raises:
            ProjectionFailed: naming the entry; the old answers stay.
        """
        store, _ = self._source()
        size = store.size()
        generation = self._next_generation()
        workers = max(1, min(workers, size))
        parts = [{p.NAME: self._file_path(p.NAME, generation, part) for p in PROJECTIONS} for part in range(workers)]
        made = [path for files in parts for path in files.values()]
        for path in made:
            _remove(path)
        done = 0

        def report(more: int) -> None:
            nonlocal done
            done += more
            if tell is not None:
                tell(Progress(done, size))

        try:
            if workers == 1:
                _build(self._source, parts[0], 0, size, report)
                for projection in PROJECTIONS:
                    _merge(projection, [parts[0][projection.NAME]])
            else:
                self._build_in_processes(parts, size, report)
            self._point_at(parts[0], generation)
        except BaseException:
            for path in made:
                _remove(path)
            raise
        self._refresh()
        self._remove_strays(generation)
        return self.catch_up()

    def _build_in_processes(self, parts: list[dict[str, Path]], size: int, report: Callable[[int], None]) -> None:
        reopen = self._reopen or partial(_open_reader, str(getattr(self._store, "address", "")))
        context = multiprocessing.get_context("spawn")
        crew: list[tuple[Any, Connection]] = []
        try:
            for number, files in enumerate(parts):
                ours, theirs = context.Pipe()
                start, stop = (size * n // len(parts) for n in (number, number + 1))
                process = context.Process(target=_worker, args=(reopen, files, start, stop, theirs), daemon=True)
                process.start()
                theirs.close()
                crew.append((process, ours))
            pipes = [pipe for _, pipe in crew]
            _await(pipes, "built", report)
            shares: list[list[tuple[str, list[Path]]]] = [[] for _ in crew]
            for number, projection in enumerate(PROJECTIONS):
                name = projection.NAME
                share = shares[number % len(crew)]
                share.append((name, [files[name] for files in parts]))
            for pipe, share in zip(pipes, shares, strict=True):
                pipe.send(share)
            _await(pipes, "merged", report)
        finally:
            for process, pipe in crew:
                pipe.close()
                process.join(timeout=5)
                if process.is_alive():
                    process.terminate()
                    process.join()

    # ----------------------------------------------------------------------------- the pointers

    def _file_path(self, name: str, generation: int, part: int = 0) -> Path:
        suffix = f".part{part}" if part else ""
        return self._path.with_name(f"{self._path.stem}.{name}.{generation}{suffix}.db")

    def _next_generation(self) -> int:
        """Reserve a number for new files: two runners never write to the same ones."""
        with _transaction(self._db):
            self._db.execute("UPDATE generation SET number = number + 1")
            return int(self._db.execute("SELECT number FROM generation").fetchone()[0])

    def _point_at(self, files: dict[str, Path], generation: int) -> None:
        """Make new files the present ones, unless a later rebuild was faster."""
        with _transaction(self._db):
            (newest,) = self._db.execute("SELECT max(generation) FROM present").fetchone()
            if newest is not None and newest > generation:
                raise Conflict("another rebuild was faster", what_now="use its answers")
            self._db.executemany(
                "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
                [(p.NAME, _edition(p), generation, files[p.NAME].name) for p in PROJECTIONS],
            )

    def _present(self) -> dict[str, str]:
        """The present file of each projection, leaving out those of other editions."""
        found = self._db.execute("SELECT name, edition, file FROM present")
        editions = {p.NAME: _edition(p) for p in PROJECTIONS}
        return {name: file for name, edition, file in found if editions.get(name) == edition}

    def _refresh(self) -> None:
        """Open the present files: another process may have swapped in new ones."""
        present = self._present()
        if len(present) < len(PROJECTIONS):
            # Never made, or made by another edition of the tables: begin anew.
            generation = self._next_generation()
            with _transaction(self._db):
                present = self._present()
                for projection in PROJECTIONS:
                    name = projection.NAME
                    if name not in present:
                        path = self._file_path(name, generation)
                        _remove(path)
                        _File(projection, path).close()
                        self._db.execute(
                            "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
                            (name, _edition(projection), generation, path.name),
                        )
                present = self._present()
        for projection in PROJECTIONS:
            name = projection.NAME
            path = self._path.with_name(present[name])
            held = self._files.get(name)
            if held is None or held.path != path:
                if held is not None:
                    held.close()
                self._files[name] = _File(projection, path)

    def _remove_strays(self, generation: int) -> None:
        """Remove what older generations left; who still reads a file keeps it until he closes it."""
        kept = {file.path.name for file in self._files.values()}
        for path in self._path.parent.glob(f"{self._path.stem}.*.*.db"):
            number = path.name.removeprefix(f"{self._path.stem}.").split(".")[1]
            older = number.isdigit() and int(number) < generation
            if older and path.name not in kept:
                _remove(path)

    # --------------------------------------------------------------------------------- answers

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied."""
        self._refresh()
        return {name: file.size() for name, file in self._files.items()}

    def digest(self, name: str, size: int | None = None) -> str:
        """
        Return the SHA-256, in hex, of what projection *name* derived from the first *size* entries.

        Two mirrors of one log get the same digest, however they applied it. Cost: O(rows).

        Raises:
            ComityError: the projection has not come so far, or there is none of that name.
        """
        self._refresh()
        file = self._files.get(name)
        if file is None:
            raise ComityError(f"there is no projection {name}", what_now=", ".join(self._files))
        reached = file.size()
        if size is not None and size > reached:
            raise ComityError(f"projection {name} has applied {reached} entries, not {size}")
        return file.digest(reached if size is None else size)

    def views(self) -> Views:
        """Open the projections for reading."""
        self._refresh()
        return open_views(self._path)


def _await(pipes: list[Connection], what: str, report: Callable[[int], None]) -> None:
    """Wait until every worker has said *what*; raise what one of them failed of."""
    waiting = list(pipes)
    while waiting:
        for ready in multiprocessing.connection.wait(waiting):
            pipe = next(pipe for pipe in waiting if pipe is ready)
            try:
                said, value = pipe.recv()
            except EOFError as error:
                raise ComityError(
                    "a rebuilding process ended without a word",
                    what_now='in a script, rebuild below `if __name__ == "__main__":`',
                ) from error
            if said == "failed":
                raise value
            if said == what:
                waiting.remove(pipe)
            else:
                report(value)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
