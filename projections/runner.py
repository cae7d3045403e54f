"""
Filling the projections: by following the log, or by building them anew beside the old ones.

Each projection has a SQLite file of its own, so that two processes can write at once; the file
*path* only says which file is the present one of each projection. A rebuild fills new files and
then points at all of them in one transaction: a reader sees the old answers or the new, never half.

The size a projection has reached moves in the same transaction as its rows. An index already
passed is ignored and a gap is refused. Following parks an act that makes a projection fail, with the later acts
of its stream (``projections.filling``); a rebuild names the entry, and changes nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import sqlite3
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from ledger.errors import ComityError, Conflict, NotFound
from projections.facts import Fact, Table
from projections.filling import (
    PROJECTIONS,
    Digest,
    GapRefused,
    NotWhole,
    Parked,
    Parking,
    Progress,
    Projection,
    ProjectionFailed,
    Projections,
    Store,
    batches,
    decode,
    edition,
    foreign,
    module,
    open_log,
    parked_row,
    refuse_differing,
    size_asked,
)
from projections.views import Views, open_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from ledger.acts import Catalogue
    from ledger.statement import Recorded

log: Final = structlog.get_logger("comity.projections")


class _File:
    """One projection's SQLite file: its tables, and the size it has reached."""

    def __init__(self, projection: Projection, path: Path, *, building: bool = False, start: int = 0) -> None:
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
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS parked (idx INTEGER PRIMARY KEY, subject BLOB NOT NULL, why TEXT NOT NULL)"
        )
        for table in self._tables:
            self.db.execute(table.create())
        self.db.execute("COMMIT")
        self._building = building
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
            ProjectionFailed: in a file that is being built, one of them could not be taken; else it is parked.
        """
        if not facts:
            return
        with _transaction(self.db):
            size = self.size()
            first = facts[0].index
            if first > size:
                raise GapRefused(f"projection {self.name}", size, first)
            fresh = facts[size - first :]
            if fresh:
                self._parking().take(fresh)
                self.db.execute("UPDATE applied SET size = ?", (fresh[-1].index + 1,))

    def retry(self, store: Store, catalogue: Catalogue) -> int:
        """Take what is parked once more, in one transaction; return how much still is."""
        with _transaction(self.db):
            indexes = [index for (index,) in self.db.execute("SELECT idx FROM parked ORDER BY idx")]
            self.db.execute("DELETE FROM parked")
            parking = self._parking()
            for index in indexes:
                parking.take(decode(catalogue, store.entries(index, 1)))
            return self.parked_count()

    def _parking(self) -> Parking:
        if self._building:
            return Parking(self.projection, self._fill, None, passing=(ProjectionFailed,))
        streams = [subject for (subject,) in self.db.execute("SELECT DISTINCT subject FROM parked")]
        count = self.parked_count() if streams else 0
        return Parking(self.projection, self._put, self._park, streams, count, (sqlite3.OperationalError,))

    def _put(self, rows: dict[str, list[tuple[object, ...]]]) -> None:
        """Insert rows, all or none."""
        self.db.execute("SAVEPOINT put")
        try:
            for name, batch in rows.items():
                if batch:
                    self.db.executemany(self._insert[name], batch)
        except Exception:
            self.db.execute("ROLLBACK TO put")
            raise
        finally:
            self.db.execute("RELEASE put")

    def _fill(self, rows: dict[str, list[tuple[object, ...]]]) -> None:
        """Insert rows into a file that has no journal: what went wrong cannot be taken back there."""
        for name, batch in rows.items():
            if batch:
                try:
                    self.db.executemany(self._insert[name], batch)
                except sqlite3.OperationalError:
                    raise
                except sqlite3.Error as error:
                    raise self._failed_at(name, batch, error) from error

    def _failed_at(self, name: str, batch: list[tuple[object, ...]], error: sqlite3.Error) -> ProjectionFailed:
        """Find the row that SQLite would not take, by a table of its own: this ends the build."""
        with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
            fresh.execute(next(table for table in self._tables if table.name == name).create())
            for row in batch:
                try:
                    fresh.execute(self._insert[name], row)
                except sqlite3.Error as found:
                    return ProjectionFailed(self.name, int(str(row[0])), repr(found))
        return ProjectionFailed(self.name, int(str(batch[0][0])), repr(error))

    def _park(self, index: int, subject: bytes, why: str) -> None:
        self.db.execute("INSERT INTO parked VALUES (?, ?, ?)", (index, subject, why))

    def parked(self) -> list[Parked]:
        """What is parked, by index."""
        return [parked_row(self.name, *row) for row in self.db.execute("SELECT * FROM parked ORDER BY idx")]

    def parked_count(self, size: int | None = None) -> int:
        """How much is parked, of the entries below *size*."""
        below = self.size() if size is None else size
        return int(self.db.execute("SELECT count(*) FROM parked WHERE idx < ?", (below,)).fetchone()[0])

    def digest(self, size: int) -> str:
        """
        Return the SHA-256, in hex, over the rows made by entries below *size*.

        Raises:
            NotWhole: one of these entries is parked.
        """
        if count := self.parked_count(size):
            raise NotWhole(self.name, count)
        sha = Digest(self.name)
        for table in sorted(self._tables, key=lambda table: table.name):
            sql = f"SELECT * FROM {table.name} WHERE idx < ? ORDER BY {table.key}"
            sha.table(table.name, self.db.execute(sql, (size,)))
        return sha.hex()

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
        for batch in batches(store, start, stop):
            facts = decode(catalogue, batch)
            for file in built:
                file.apply(facts)
            tell(len(facts))
    finally:
        for file in built:
            file.close()


def _merge(projection: Projection, parts: Sequence[Path]) -> None:
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
            _merge(module(name), parts)
        pipe.send(("merged", 0))
    except BaseException as error:  # noqa: BLE001 -- it is raised again by the process that waits
        failed = error if isinstance(error, ComityError) else RuntimeError(repr(error))
        with contextlib.suppress(OSError):
            pipe.send(("failed", failed))
    finally:
        pipe.close()


class Runner(Projections):
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
        super().__init__(store, catalogue)
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
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS previous"
            " (name TEXT PRIMARY KEY, edition TEXT NOT NULL, generation INTEGER NOT NULL,"
            " file TEXT NOT NULL)"
        )
        with _transaction(self._db):
            self._db.execute("CREATE TABLE IF NOT EXISTS generation (number INTEGER NOT NULL)")
            if self._db.execute("SELECT count(*) FROM generation").fetchone() == (0,):
                self._db.execute("INSERT INTO generation VALUES (0)")
        self._refresh()

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

        An act that makes a projection fail is parked with the later ones of its stream.

        Raises:
            ProjectionFailed: too much of one projection would be parked; before that entry it stays.
        """
        store, catalogue = self._source()
        self._refresh()
        start, size = min(file.size() for file in self._files.values()), store.size()
        for batch in batches(store, start, size):
            self._apply(decode(catalogue, batch))
            if tell is not None:
                tell(Progress(batch[-1][0] + 1, size))
        return max(start, size)

    def feed(self, batch: Sequence[Recorded]) -> None:
        """
        Apply entries already decoded, contiguous and in order; those already passed are ignored.

        Raises:
            GapRefused: an entry is missing before them or between them; nothing is applied.
        """
        self._refresh()
        for before, after in pairwise(batch):
            if after.index != before.index + 1:
                raise GapRefused("every projection", before.index + 1, after.index)
        self._apply([Fact(recorded) for recorded in batch])

    def _apply(self, facts: Sequence[Fact]) -> None:
        for file in self._files.values():
            file.apply(facts)

    # ------------------------------------------------------------------------------ rebuilding

    def rebuild(
        self,
        workers: int = 2,
        tell: Callable[[Progress], None] | None = None,
        *,
        online: bool = False,
        accept: bool = False,
    ) -> int:
        """
        Build every projection anew and swap all of them in at once; return the size reached.

        Readers keep the old answers until then. Each of the *workers* builds a range of the log and
        merges some of the projections; memory does not grow with the log. Ended at any point, it leaves the
        old answers or the new, and files that the next rebuild removes.

        Args:
            workers: processes.
            tell: is told how far it is.
            online: compare what was built with what stands, and keep what stood for `rollback`.
            accept: swap in what is not the same, too.

        Raises:
            ProjectionFailed: naming the entry; the old answers stay.
            Differs: what was built is not what stands, of the same entries; the old answers stay.
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
            if online and not accept:
                self._compare(parts[0])
            self._point_at(parts[0], generation, keep=online)
        except BaseException:
            for path in made:
                _remove(path)
            raise
        self._refresh()
        self._remove_strays(generation)
        return self.catch_up()

    def _compare(self, files: dict[str, Path]) -> None:
        """Refuse what was built where it is not what stands; what has parked acts is what a rebuild is for."""
        self._refresh()
        refuse_differing(self._digests(files))

    def _digests(self, files: dict[str, Path]) -> Iterator[tuple[str, int, str, str]]:
        for name, held in self._files.items():
            if not held.size() or held.parked_count():
                continue
            with contextlib.closing(_File(held.projection, files[name])) as built:
                size = min(held.size(), built.size())
                yield name, size, built.digest(size), held.digest(size)

    def rollback(self) -> dict[str, int]:
        """
        Swap back what stood before the last online rebuild; return the size that each has reached.

        They go on from there. Rolling back once more swaps the newer ones in again.

        Raises:
            NotFound: nothing was kept.
            Conflict: what was kept was made by another edition of the tables.
        """
        with _transaction(self._db):
            kept = self._db.execute("SELECT name, edition, file FROM previous").fetchall()
            if not kept:
                raise NotFound(
                    "nothing was kept to go back to", what_now="only `comity project rebuild --online` keeps it"
                )
            if other := foreign((name, made_by) for name, made_by, _ in kept):
                raise Conflict(
                    f"what stood before of {', '.join(other)} cannot be read by this release",
                    what_now="install the release that made it, then go back",
                )
            if missing := [name for name, _, file in kept if not self._path.with_name(file).exists()]:
                raise Conflict(
                    f"the file that stood before of {', '.join(missing)} is gone", what_now="rebuild instead"
                )
            here = "name, edition, generation, file"
            self._db.execute(
                "CREATE TEMP TABLE swapped AS SELECT * FROM present WHERE name IN (SELECT name FROM previous)"
            )
            self._db.execute(f"INSERT OR REPLACE INTO present ({here}) SELECT {here} FROM previous")
            self._db.execute(f"INSERT OR REPLACE INTO previous ({here}) SELECT {here} FROM swapped")
            self._db.execute("DROP TABLE swapped")
        log.warning("projections_rolled_back", names=[name for name, _, _ in kept])
        return self.sizes()

    def _build_in_processes(self, parts: list[dict[str, Path]], size: int, report: Callable[[int], None]) -> None:
        reopen = self._reopen or partial(open_log, self._log_at())
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

    def _point_at(self, files: dict[str, Path], generation: int, *, keep: bool) -> None:
        """Make new files the present ones, unless a later rebuild was faster; the old ones may be kept."""
        with _transaction(self._db):
            (newest,) = self._db.execute("SELECT max(generation) FROM present").fetchone()
            if newest is not None and newest > generation:
                raise Conflict("another rebuild was faster", what_now="use its answers")
            self._db.execute("DELETE FROM previous")
            if keep:
                self._db.execute("INSERT INTO previous SELECT * FROM present")
            self._db.executemany(
                "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
                [(p.NAME, edition(p), generation, files[p.NAME].name) for p in PROJECTIONS],
            )

    def _present(self) -> dict[str, str]:
        """The present file of each projection, leaving out those of other editions."""
        found = self._db.execute("SELECT name, edition, file FROM present").fetchall()
        other = set(foreign((name, made_by) for name, made_by, _ in found))
        return {name: file for name, _, file in found if name not in other}

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
                            (name, edition(projection), generation, path.name),
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
        kept |= {name for (name,) in self._db.execute("SELECT file FROM previous")}
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
            NotWhole: some of these entries are parked.
        """
        self._refresh()
        below = size_asked(name, size, {name: file.size() for name, file in self._files.items()})
        return self._files[name].digest(below)

    def parked(self) -> list[Parked]:
        """Return every act that a projection has not taken, by projection and index."""
        self._refresh()
        return [one for file in self._files.values() for one in file.parked()]

    def retry(self) -> int:
        """
        Take what is parked once more, each projection in one transaction; return how much still is.

        What fails again is parked again, with the later acts of its stream.
        """
        store, catalogue = self._source()
        self._refresh()
        return sum(file.retry(store, catalogue) for file in self._files.values())

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
        # SQLite has ended it by itself where the disk was full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
