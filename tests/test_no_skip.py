"""
No reader ever skips: whoever sees an index has seen every smaller one.

The same race is run against our store, with writers in threads and in processes, and against a
store that gives its indexes out before the order of its commits is fixed, as many do. There the
race must find the hole: a test of skipping that cannot see a skip proves nothing.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ledger.log.tree import Frontier, root_at, stored_count
from ledger.store import Row, open_store
from ledger.verify import leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent


class Reads(Protocol):
    """What a tailing reader asks for."""

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]: ...


class Appends(Reads, Protocol):
    """What a writer asks for besides."""

    def append(self, entries: Sequence[bytes]) -> None: ...


class Ours:
    """Our store, as the sequencer uses it."""

    def __init__(self, address: str) -> None:
        self.store = open_store(address)
        self.entries = self.store.entries

    def append(self, entries: Sequence[bytes]) -> None:
        with self.store.writing() as writing:
            frontier = Frontier.load(writing.size, self.store.hashes)
            number = stored_count(writing.size)
            rows, nodes, leaves = [], [], []
            for index, entry in enumerate(entries, writing.size):
                leaves.append(leaf_hash(entry))
                for node in frontier.append(leaves[-1]):
                    nodes.append((number, node))
                    number += 1
                one = sha256(entry).digest()[:16]
                rows.append(Row(index, one.hex(), 0, "case.opened", entry, one, None, 0))
            writing.append(rows, nodes, {}, leaves, 1)


class Skipping:
    """
    Gives indexes out from a counter, outside the transaction: what a sequence of a database does.

    Of two writers the second commits first, and waits until a reader has read; only then does the
    first commit. In the wild it takes a busy day; here it happens at once.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "skipping.db"
        with closing(self._open()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, state BLOB)")
        self._next = 0
        self._guard = threading.Condition()
        self._committed = -1
        self._seen = -1

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=30)

    def append(self, entries: Sequence[bytes]) -> None:
        with self._guard:
            first = self._next
            self._next += len(entries)
            if first == 0:
                # The first writer is slow: the others go on, and a reader comes by.
                self._guard.wait_for(lambda: self._seen >= len(entries), timeout=20)
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO entries VALUES (?,?)", list(enumerate(entries, first)))
            connection.execute("COMMIT")

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        with closing(self._open()) as connection:
            found = connection.execute(
                "SELECT id, state FROM entries WHERE id >= ? ORDER BY id LIMIT ?", (start, limit)
            ).fetchall()
        with self._guard:
            self._seen = max(self._seen, *(index for index, _ in found), -1)
            self._guard.notify_all()
        return found


def tail(store: Reads, stop: threading.Event) -> list[tuple[int, bytes]]:
    """Read by index, as every projection does: always on from the last one seen, until all is over."""
    seen: list[tuple[int, bytes]] = []
    while True:
        over = stop.is_set()
        found = store.entries(seen[-1][0] + 1 if seen else 0, 7)
        seen += found
        if over and not found:
            return seen


def race(store: Appends, batches: Sequence[Sequence[Sequence[bytes]]], others: Sequence[subprocess.Popen[bytes]] = ()) -> list[list[tuple[int, bytes]]]:  # fmt: skip  # noqa: E501
    """Let writers append their batches, with readers tailing; return what each reader has seen."""
    stop = threading.Event()
    start = threading.Barrier(len(batches))

    def publish(mine: Sequence[Sequence[bytes]]) -> None:
        start.wait()
        for batch in mine:
            store.append(batch)

    with ThreadPoolExecutor(len(batches) + 3) as threads:
        readers = [threads.submit(tail, store, stop) for _ in range(3)]
        writers = [threads.submit(publish, mine) for mine in batches]
        for writer in writers:
            writer.result()
        statuses = [other.wait() for other in others]
        stop.set()
        seen = [reader.result() for reader in readers]
    assert [0] * len(statuses) == statuses
    return seen


def skipped(seen: list[tuple[int, bytes]], size: int) -> list[int]:
    """The indexes that a reader never saw."""
    return sorted(set(range(size)) - {index for index, _ in seen})


def words(who: str, batches: int, sizes: Sequence[int]) -> list[list[bytes]]:
    """What a writer appends: each entry once."""
    return [[f"{who} {batch} {one}".encode() for one in range(sizes[batch % len(sizes)])] for batch in range(batches)]


def test_no_reader_of_our_store_skips(tmp_path):
    """Four threads and two processes append; three readers see every entry, in order, exactly once."""
    address = str(tmp_path / "ledger.db")
    store = Ours(address)
    threads = [words(f"thread {number}", 30, (1, 5, 2)) for number in range(4)]
    others = [
        subprocess.Popen(
            [sys.executable, __file__, address, f"process {number}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(2)
    ]
    seen = race(store, threads, others)

    appended = [*threads, *(words(f"process {number}", 30, (3, 1)) for number in range(2))]
    expected = {entry for writer in appended for batch in writer for entry in batch}
    for reader in seen:
        assert list(range(len(expected))) == [index for index, _ in reader]
        assert expected == {entry for _, entry in reader}
    # Gapless, each batch in one piece, and the tree is over exactly what was read.
    order = [entry for _, entry in seen[0]]
    for writer in appended:
        for batch in writer:
            first = order.index(batch[0])
            assert batch == order[first : first + len(batch)]
    assert root_of([leaf_hash(entry) for entry in order]) == root_at(len(order), store.store.hashes)
    store.store.close()


def test_the_race_finds_the_hole_in_a_store_that_skips(tmp_path):
    """Against indexes given out before the commits are ordered, the same readers miss what came late."""
    store = Skipping(tmp_path)
    threads = [words(f"thread {number}", 3, (2,)) for number in range(3)]
    seen = race(store, threads)

    size = sum(len(batch) for writer in threads for batch in writer)
    assert size == len(store.entries(0, size + 1))
    missed = [skipped(reader, size) for reader in seen]
    assert any({0, 1} <= set(reader) for reader in missed)


if __name__ == "__main__":
    ours = Ours(sys.argv[1])
    for one in words(sys.argv[2], 30, (3, 1)):
        ours.append(one)
    ours.store.close()
