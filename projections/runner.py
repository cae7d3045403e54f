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
import os
import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ledger.errors import ComityError
from projections import admissibility, audit, provenance, roster, status
from projections.facts import Fact, Table
from projections.views import Views, open_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from ledger.acts import Catalogue
    from ledger.statement import Recorded


class Projection(Protocol):
    """What the runner needs of a module: its name, its tables, and the rows that a fact makes."""

    NAME: Final[str]
    TABLES: Final[tuple[Table, ...]]

    def collect(self, fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
        """Add the rows that *fact* makes."""


class Store(Protocol):
    """What the runner reads of a log."""

    def size(self) -> int:
        """How many entries there are."""

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """At most *limit* entries from index *start*."""


PROJECTIONS: Final[tuple[Any, ...]] = (audit, status, provenance, admissibility, roster)

#: Who builds what when two processes rebuild: about the same number of rows on either side.
_SHARES: Final = (("audit", "admissibility"), ("status", "provenance", "roster"))

#: Entries per transaction: enough to make a commit cheap, little enough to keep memory flat.
_BATCH: Final = 2000
_REBUILD_BATCH: Final = 5000


class ProjectionFailed(ComityError):  # noqa: N818 -- says what is the case, as NotVerified does
    """A projection could not take an entry; it stands before it, and nothing of it was kept."""

    def __init__(self, name: str, index: int, why: str) -> None:
        super().__init__(f"projection {name} failed at entry {index}", why=why)
        self.name = name
        self.index = index

    def __reduce__(self) -> tuple[type[ProjectionFailed], tuple[str, int, str]]:
        """Survive the way from a worker process."""
        return type(self), (self.name, self.index, self.why)


class GapRefused(ComityError):  # noqa: N818 -- see ProjectionFailed
    """An entry came before one that precedes it in the log."""

    status = 6

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

    def __init__(self, projection: Any, path: Path, *, building: bool = False) -> None:
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
            self.db.execute("INSERT INTO applied VALUES (0)")
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

    def _name_the_row(
        self, name: str, batch: list[tuple[object, ...]], error: sqlite3.Error
    ) -> None:
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
                f"SELECT * FROM {table.name} WHERE idx < ? ORDER BY {table.key}",  # noqa: S608 -- names are constants
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


def _open_reader(path: str) -> tuple[Store, Catalogue]:
    """Open in a worker process what the runner reads: the log, read-only, and the acts."""
    from ledger.acts import catalogue  # noqa: PLC0415 -- imported in the worker
    from ledger.store.sqlite import SQLiteStore  # noqa: PLC0415 -- imported in the worker

    return SQLiteStore.open_reader(Path(path)), catalogue()


def _build(
    reopen: Callable[[], tuple[Store, Catalogue]],
    files: dict[str, Path],
    size: int,
    tell: Callable[[int], None],
) -> None:
    """Build *files* from the first *size* entries; runs in a process of its own."""
    store, catalogue = reopen()
    built = [_File(p, files[p.NAME], building=True) for p in PROJECTIONS if p.NAME in files]
    start = 0
    while start < size:
        facts = _decode(catalogue, store.entries(start, min(_REBUILD_BATCH, size - start)))
        if not facts:
            raise GapRefused(built[0].name, start, size)
        for file in built:
            file.apply(facts)
        start = facts[-1].index + 1
        tell(start)
    for file in built:
        file.finish()


def _worker(
    reopen: Callable[[], tuple[Store, Catalogue]],
    files: dict[str, Path],
    size: int,
    pipe: Connection,
) -> None:
    try:
        _build(reopen, files, size, lambda done: pipe.send(("done", done)))
    except BaseException as error:  # noqa: BLE001 -- it is raised again by the process that waits
        failed = error if isinstance(error, ComityError) else RuntimeError(repr(error))
        pipe.send(("failed", failed))
    else:
        pipe.send(("built", size))
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
            reopens the SQLite store at `store.path`.
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
        self._refresh()

    def __enter__(self) -> Runner:
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
        while True:
            start = min(file.size() for file in self._files.values())
            size = store.size()
            if start >= size:
                return start
            facts = _decode(catalogue, store.entries(start, _BATCH))
            self._apply(facts)
            if tell is not None:
                tell(Progress(facts[-1].index + 1, size))

    def feed(self, batch: Sequence[Recorded]) -> None:
        """
        Apply entries already decoded, contiguous and in order; those already passed are ignored.

        Raises:
            GapRefused: an entry is missing before them or between them; nothing is applied.
            ProjectionFailed: one of them could not be taken.
        """
        self._refresh()
        for before, after in zip(batch, batch[1:], strict=False):
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

        Readers keep the old answers until then. With *workers* > 1 two processes share the work;
        memory does not grow with the log.

        Raises:
            ProjectionFailed: naming the entry; the old answers stay.
        """
        store, _ = self._source()
        size = store.size()
        generation = self._next_generation()
        files = {p.NAME: self._file_path(p.NAME, generation) for p in PROJECTIONS}
        for path in files.values():
            _remove(path)
        try:
            if workers > 1:
                self._build_in_processes(files, size, tell)
            else:
                _build(
                    self._source,
                    files,
                    size,
                    lambda done: tell(Progress(done, size)) if tell else None,
                )
            self._point_at(files, generation)
        except BaseException:
            for path in files.values():
                _remove(path)
            raise
        self._refresh()
        self._remove_strays()
        return self.catch_up()

    def _build_in_processes(
        self, files: dict[str, Path], size: int, tell: Callable[[Progress], None] | None
    ) -> None:
        store = self._store
        reopen = self._reopen or partial(_open_reader, str(getattr(store, "path", "")))
        context = multiprocessing.get_context("spawn")
        crew = []
        for share in _SHARES:
            ours, theirs = context.Pipe(duplex=False)
            mine = {name: files[name] for name in share}
            process = context.Process(target=_worker, args=(reopen, mine, size, theirs))
            process.start()
            theirs.close()
            crew.append((process, ours))
        try:
            done = dict.fromkeys(range(len(crew)), 0)
            for number, what, value in _reports([pipe for _, pipe in crew]):
                if what == "failed":
                    raise value
                done[number] = value
                if tell is not None:
                    tell(Progress(min(done.values()), size))
        finally:
            for process, pipe in crew:
                if process.exitcode is None and pipe.closed is False:
                    pipe.close()
                process.join(timeout=5)
                if process.is_alive():
                    process.terminate()
                    process.join()

    # ----------------------------------------------------------------------------- the pointers

    def _file_path(self, name: str, generation: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.{name}.{generation}.db")

    def _next_generation(self) -> int:
        (found,) = self._db.execute("SELECT coalesce(max(generation), 0) FROM present").fetchone()
        return int(found) + 1

    def _point_at(self, files: dict[str, Path], generation: int) -> None:
        with _transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
                [(p.NAME, _edition(p), generation, files[p.NAME].name) for p in PROJECTIONS],
            )

    def _refresh(self) -> None:
        """Open the present files: another process may have swapped in new ones."""
        present = {
            name: (edition, file)
            for name, edition, file in self._db.execute("SELECT name, edition, file FROM present")
        }
        for projection in PROJECTIONS:
            name = projection.NAME
            edition, file = present.get(name, ("", ""))
            if edition != _edition(projection):
                # Made by another edition of the tables, or never made: begin anew.
                path = self._file_path(name, self._next_generation())
                _remove(path)
                _File(projection, path).close()
                with _transaction(self._db):
                    self._db.execute(
                        "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
                        (name, _edition(projection), self._next_generation(), path.name),
                    )
                file = path.name
            path = self._path.with_name(file)
            held = self._files.get(name)
            if held is None or held.path != path:
                if held is not None:
                    held.close()
                self._files[name] = _File(projection, path)

    def _remove_strays(self) -> None:
        """Remove the files nobody points at; who still reads one keeps it until he closes it."""
        kept = {file.path.name for file in self._files.values()}
        for path in self._path.parent.glob(f"{self._path.stem}.*.*.db"):
            if path.name not in kept:
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


def _reports(pipes: list[Connection]) -> Iterator[tuple[int, str, Any]]:
    """Yield what the workers report, until each has built its share or one has failed."""
    from multiprocessing.connection import wait  # noqa: PLC0415 -- beside its only use

    waiting = dict(enumerate(pipes))
    while waiting:
        for ready in wait(list(waiting.values())):
            number = next(n for n, pipe in waiting.items() if pipe is ready)
            try:
                what, value = waiting[number].recv()
            except EOFError:
                yield number, "failed", ComityError("a rebuilding process ended without a word")
                return
            yield number, what, value
            if what == "failed":
                return
            if what == "built":
                del waiting[number]


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
