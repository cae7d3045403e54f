"""Ledgers to measure on: small ones made anew, large ones built once and kept."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import say
from bench.workload import World, statements
from ledger import resources
from ledger.ledger import Ledger
from ledger.log.tree import Frontier, stored_count
from ledger.statement import decode_entry
from ledger.store import Row, sqlite
from ledger.verify import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = Path(__file__).parent / ".ledgers_cache"
CHUNK = 20_000


@cache
def _edition() -> str:
    """Changes when the workload or the bytes of statements and entries do: what is kept is then built anew."""
    files = [Path(__file__), Path(__file__).with_name("workload.py")]
    files += [resources.path("schemas") / name for name in ("RELEASED", "statement.avsc", "entry.avsc")]
    parts = [b"%d" % sqlite.FORMAT, *(file.read_bytes() for file in files)]
    return sha256(b"".join(parts)).hexdigest()[:8]


@cache
def world() -> World:
    return World.make()


@cache
def _founded() -> tempfile.TemporaryDirectory[str]:
    folder: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="bench-")
    world().found(Path(folder.name) / "ledger")
    return folder


@contextmanager
def fresh() -> Iterator[Path]:
    """A folder with a founded ledger on which everybody is enrolled; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "ledger"
        shutil.copytree(Path(_founded().name) / "ledger", path)
        yield path


def filled(size: int, *, batch: int = 1) -> Path:
    """The folder of a ledger with *size* published statements; built by publishing them, once."""
    path = KEPT / f"filled-{size}-{batch}-{_edition()}"
    if path.exists():
        return path
    say(f"  publishing {size:,} statements to measure on (kept for next time)")
    with fresh() as folder:
        with Ledger.open(folder) as ledger:
            for answer in ledger.submit_many(statements(world(), size, batch=batch)):
                assert getattr(answer, "accepted", False), answer
        _keep(folder, path)
    return path


def synthetic(size: int) -> Path:
    """
    The folder of a ledger with *size* entries that were never judged, put straight into the store.

    The entries are those of a real log with the statement ids exchanged; the tree over them is real.
    """
    path = KEPT / f"synthetic-{size}-{_edition()}"
    if path.exists():
        return path
    say(f"  storing {size:,} entries to prove from (kept for next time)")
    models = _models()
    with fresh() as folder:
        with Ledger.open(folder) as ledger:
            store = ledger.store
            done = store.size()
            frontier = Frontier.load(done, store.hashes)
            while done < size:
                stop = min(done + CHUNK, size)
                rows, leaves = [], []
                nodes: list[tuple[int, bytes]] = []
                number = stored_count(done)
                for index in range(done, stop):
                    head, tail, act = models[index % len(models)]
                    statement_id = index.to_bytes(16, "big")
                    entry = head + statement_id + tail
                    subject = (index // 20).to_bytes(16, "big")
                    rows.append(Row(index, subject.hex(), index % 20, act, entry, statement_id, subject, index % 20))
                    leaves.append(leaf_hash(entry))
                    for node in frontier.append(leaves[-1]):
                        nodes.append((number, node))
                        number += 1
                with store.writing() as writing:
                    writing.append(rows, nodes, {}, leaves, writing.recorded_at + 1)
                done = stop
        with Ledger.open(folder):
            pass  # opening seals what is not sealed
        _keep(folder, path)
    return path


def _models() -> list[tuple[bytes, bytes, str]]:
    """Real entries, cut where the statement's id stands, with their acts."""
    models = []
    with Ledger.open(filled(1_000), read_only=True) as ledger:
        for _, _, _, act, data in islice(ledger.store.rows(0, 2_000), 150, None):
            entry = decode_entry(data)
            at = data.index(entry.statement)
            models.append((data[:at], data[at + 16 :], act))
    return models


def _keep(folder: Path, path: Path) -> None:
    KEPT.mkdir(exist_ok=True)
    built = path.with_name(path.name + ".new")
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(folder, built)
    built.replace(path)
