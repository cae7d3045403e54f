"""The law: what it costs to read it all, and to compute one end."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import ledger.law
from bench.measure import Figure, Sizes, median
from ledger.law.counting import calendar, due
from ledger.law.law import load

if TYPE_CHECKING:
    from collections.abc import Callable

_COLD = (
    "import time; from ledger.law.law import load; began = time.perf_counter(); load(); "
    "print(time.perf_counter() - began)"
)
START = date(2026, 3, 2)


def law(sizes: Sizes) -> list[Figure]:
    """Read the whole law in a new process; compute the end of one limit."""
    folder = Path(ledger.law.__file__).parent
    texts = [file.read_text(encoding="utf-8") for file in folder.rglob("*.toml")]
    cold, parsing, ends, days = [], [], [], []
    limit, place = load().limit("EIO-REC"), calendar("DE")
    due(limit, START, place)
    for _ in range(sizes.rounds):
        shown = subprocess.run([sys.executable, "-c", _COLD], capture_output=True, text=True, check=True)
        cold.append(float(shown.stdout) * 1000)
        parsing.append(_milliseconds(lambda: [tomllib.loads(text) for text in texts], 1))
        ends.append(_milliseconds(lambda: due(limit, START, place), 2000) * 1000)
        days.append(_milliseconds(lambda: START + timedelta(30), 2000) * 1000)
    return [
        Figure(
            "law", "reading all of it, cold", median(cold), "ms", median(parsing), "ms, its TOML alone",
            None, "value", at_most=True, target=500,
        ),
        Figure(
            "law", "the end of one limit", median(ends), "us", median(days), "us, adding thirty days",
            None, "value", at_most=True, target=20,
        ),
    ]  # fmt: skip


def _milliseconds(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1000
