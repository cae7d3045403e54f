"""Proving and auditing: inclusion proofs from a large log, and checking a whole log again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from bench import limits
from bench.ledgers import filled, synthetic, world
from bench.measure import Figure, Sizes, Watch, in_turns, median, ratio
from ledger.acts import catalogue
from ledger.ledger import Ledger
from ledger.log.fsck import Helpers, Report, check, check_tree
from ledger.log.tree import inclusion_ids, inclusion_path
from ledger.statement import Signed, decode_entry
from ledger.store.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def _rows_by_key(folder: Path, ids: Sequence[int]) -> float:
    """Microseconds to read these rows on a new connection by the bare ``sqlite3``, a query for all."""
    with Watch() as watch:
        db = sqlite3.connect(f"{(folder / 'ledger.db').as_uri()}?mode=ro", uri=True)
        db.execute(f"SELECT hash FROM nodes WHERE id IN ({','.join('?' * len(ids))})", ids).fetchall()  # noqa: S608 -- placeholders alone
        db.close()
    return watch.seconds * 1e6


def prove_once(folder: Path, seed: int) -> dict[str, float]:
    """What a fresh process measures: its first proof, and the bare reads of another one."""
    with Ledger.open(folder, read_only=True) as ledger:
        size = ledger.store.size()
        random = Random(seed)
        index, other = random.randrange(size), random.randrange(size)
        with Watch() as watch:
            ledger.inclusion_proof(index)
    return {"proof": watch.seconds * 1e6, "rows": _rows_by_key(folder, inclusion_ids(other, size))}


def _in_a_process(folder: Path, seed: int) -> dict[str, float]:
    code = (
        "import json, sys, pathlib; from bench.proving import prove_once; "
        "print(json.dumps(prove_once(pathlib.Path(sys.argv[1]), int(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(seed)], check=True, capture_output=True, text=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _forget(file: Path) -> None:
    """Ask the operating system to drop its copy of *file*, where it can be asked."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def inclusion(sizes: Sizes) -> list[Figure]:
    folder = synthetic(sizes.proven)
    said = f"from {sizes.proven:,} entries"
    from_disk, first = [], []
    for seed in range(sizes.processes):
        _forget(folder / "ledger.db")
        from_disk.append(_in_a_process(folder, seed))
        first.append(_in_a_process(folder, seed))
    random = Random(1)
    asked = [random.randrange(sizes.proven) for _ in range(sizes.proofs)]
    cold, rows = [], []
    for index in asked:
        store = SQLiteStore(folder / "ledger.db", read_only=True)
        with Watch() as watch:
            inclusion_path(index, sizes.proven, store.hashes)
        store.close()
        cold.append(watch.seconds * 1e6)
        rows.append(_rows_by_key(folder, inclusion_ids(random.randrange(sizes.proven), sizes.proven)))
    warm: list[float] = []
    path: list[float] = []
    read: list[float] = []
    with Ledger.open(folder, read_only=True) as ledger:
        for index in asked:
            ledger.inclusion_proof(index)
        known = dict.fromkeys(range(2 * sizes.proven), bytes(32))
        for _ in range(sizes.rounds):
            for index in asked:
                with Watch() as watch:
                    ledger.inclusion_proof(index)
                warm.append(watch.seconds * 1e6)
                with Watch() as watch:
                    inclusion_path(index, sizes.proven, ledger.store.hashes)
                path.append(watch.seconds * 1e6)
                ids = inclusion_ids(index, sizes.proven)
                with Watch() as watch:
                    _ = [known[number] for number in ids]
                read.append(watch.seconds * 1e6)
    part = partial(Figure, "inclusion-proof", judged="value", at_most=True)
    return [
        part(
            f"{said}: first proof of a process, from the disk",
            median([one["proof"] for one in from_disk]),
            "us",
            median([one["rows"] for one in from_disk]),
            "us, its rows by bare sqlite3",
            ratio([one["proof"] for one in from_disk], [one["rows"] for one in from_disk]),
            target=1_000,
        ),
        part(
            f"{said}: first proof of a process, file in memory",
            median([one["proof"] for one in first]),
            "us",
            median([one["rows"] for one in first]),
            "us, its rows by bare sqlite3",
            ratio([one["proof"] for one in first], [one["rows"] for one in first]),
            target=1_000,
        ),
        part(
            f"{said}: path on a new connection",
            median(cold),
            "us",
            median(rows),
            "us, its rows by bare sqlite3",
            ratio(cold, rows),
            target=1_000,
        ),
        part(
            f"{said}: proof asked before",
            median(warm),
            "us",
            median(read),
            "us, its rows from a dict",
            ratio(warm, read),
            target=50,
        ),
        part(f"{said}: path asked before", median(path), "us", median(read), "us, its rows from a dict", None),
    ]


def audit(sizes: Sizes) -> list[Figure]:
    large, small = filled(sizes.long_log, batch=256), filled(sizes.signed_log)
    store, signed = (SQLiteStore(folder / "ledger.db", read_only=True) for folder in (large, small))
    entries = list(store.scan())
    checks = limits.checks(
        [
            Signed(entry.statement, entry.signature)
            for entry in map(decode_entry, signed.scan(200, 200 + sizes.checked))
        ],
        world().keys(),
    )

    def tree() -> float:
        report = Report(store.size())
        with Watch() as watch, Helpers(store, 1) as helpers:
            check_tree(store, report, helpers=helpers)
        assert report.sound, report.faults
        return report.size / watch.seconds

    def whole() -> float:
        with Watch() as watch:
            report = check(signed, catalogue(), workers=1)
        assert report.sound, report.faults
        return report.signatures / watch.seconds

    trees = in_turns(sizes.rounds, limit=lambda: limits.hash_in_memory(entries), ours=tree)
    entries.clear()
    wholes = in_turns(sizes.rounds, limit=lambda: limits.verify_on_two_threads(checks), ours=whole)
    store.close()
    signed.close()
    return [
        Figure(
            "audit",
            f"tree of {sizes.long_log:,} entries",
            median(trees["ours"]),
            "entries/s",
            median(trees["limit"]),
            "leaf and node hashes/s, in memory",
            ratio(trees["ours"], trees["limit"]),
            target=0.5,
        ),
        Figure(
            "audit",
            f"{sizes.signed_log:,} entries with their signatures",
            median(wholes["ours"]),
            "entries/s",
            median(wholes["limit"]),
            "verifies/s, two threads",
            ratio(wholes["ours"], wholes["limit"]),
            target=0.8,
        ),
    ]
