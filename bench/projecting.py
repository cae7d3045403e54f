"""Projections: how fast they are built anew, and how much memory that takes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.ledgers import filled
from bench.measure import Figure, Sizes, Watch, in_turns, median, ratio
from ledger.acts import catalogue
from ledger.store.sqlite import SQLiteStore
from projections.filling import PROJECTIONS
from projections.runner import Runner

MIB = 1024.0


def rebuild_once(folder: Path, target: Path) -> float:
    """What a fresh process measures: the seconds of one rebuild in two processes."""
    store = SQLiteStore(folder / "ledger.db", read_only=True)
    with Runner(store, catalogue(), target) as runner, Watch() as watch:
        size = runner.rebuild(workers=2)
    assert size == store.size()
    store.close()
    return watch.seconds


def _peaks(process: subprocess.Popen[str]) -> dict[int, float]:
    """Follow a process and its children to their end; return the peak of each one's memory, MiB."""
    peaks: dict[int, float] = {}
    while process.poll() is None:
        todo = [process.pid]
        while todo:
            pid = todo.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())
            except (OSError, ValueError):
                continue
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peaks[pid] = int(line.split()[1]) / MIB
        time.sleep(0.01)
    return peaks


def _rebuilt(folder: Path) -> tuple[float, list[float], dict[str, list[tuple[str, list[Any]]]]]:
    """Entries per second, the peaks of the processes, and a way to the rows that were made."""
    code = (
        "import sys, json, pathlib; from bench.projecting import rebuild_once\n"
        "if __name__ == '__main__': print(json.dumps(rebuild_once(*map(pathlib.Path, sys.argv[1:]))))"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        target = Path(place) / "projections.db"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(target)], stdout=subprocess.PIPE, text=True
        )
        peaks = _peaks(process)
        said, _ = process.communicate()
        seconds = float(json.loads(said))
        rows: dict[str, list[tuple[str, list[Any]]]] = {}
        with Runner(None, None, target) as runner:
            size = max(runner.sizes().values())
            if size <= 50_000:
                for projection in PROJECTIONS:
                    (file,) = Path(place).glob(f"projections.{projection.NAME}.[0-9].db")
                    db = sqlite3.connect(file)
                    rows[projection.NAME] = [
                        (table.name, db.execute(f"SELECT * FROM {table.name}").fetchall())  # noqa: S608 -- our tables
                        for table in projection.TABLES
                    ]
                    db.close()
    return size / seconds, sorted(peaks.values()), rows


def _inserted(size: int, rows: dict[str, list[tuple[str, list[Any]]]]) -> float:
    """Entries per second whose rows, made already, go into unindexed tables without durability."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place, Watch() as watch:
        for projection in PROJECTIONS:
            db = sqlite3.connect(Path(place) / f"{projection.NAME}.db", isolation_level=None)
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            for table in projection.TABLES:
                db.execute(table.create())
            inserts = {table.name: table.insert() for table in projection.TABLES}
            for name, batch in rows[projection.NAME]:
                db.executemany(inserts[name], batch)
            db.execute("COMMIT")
            db.close()
    return size / watch.seconds


def rebuilding(sizes: Sizes) -> list[Figure]:
    short, long = filled(sizes.log), filled(sizes.long_log, batch=256)
    peaks: dict[str, list[float]] = {}
    made: dict[str, list[tuple[str, list[Any]]]] = {}
    count = SQLiteStore(short / "ledger.db", read_only=True).size()

    def run(name: str, folder: Path) -> float:
        rate, seen, rows = _rebuilt(folder)
        peaks[name] = [max(pair) for pair in zip(peaks.get(name, seen), seen, strict=False)]
        if rows:
            made.update(rows)
        return rate

    rates = in_turns(
        sizes.rounds,
        short=lambda: run("short", short),
        limit=lambda: _inserted(count, made),
        long=lambda: run("long", long),
    )
    found = [
        Figure(
            "rebuilding",
            f"all projections of {size:,} entries, two processes",
            median(rates[name]),
            "entries/s",
            median(rates["limit"]),
            "entries/s, their rows inserted raw by one process",
            ratio(rates[name], rates["limit"]),
            judged="value",
            target=10_000,
        )
        for name, size in (("short", sizes.log), ("long", sizes.long_log))
    ]
    small, large = max(peaks["short"]), max(peaks["long"])
    for name, size, peak in (("short", sizes.log, small), ("long", sizes.long_log, large)):
        each = ", ".join(f"{one:.0f}" for one in peaks[name])
        found.append(
            Figure(
                "rebuilding",
                f"memory of the largest process at {size:,} entries ({each})",
                peak,
                "MiB",
                small,
                f"MiB at {sizes.log:,}",
                peak / small,
                judged="value",
                at_most=True,
                target=200,
            )
        )
    return found
