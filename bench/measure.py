"""
Rates, ratios and the table.

A figure is never a bare number of this machine: it stands beside the physical limit of what it does
(a signature check, a hash, a raw insert), measured in the same run, in turns: A B A B ... The ratio
is the median of the ratios of the rounds, so a machine that slows down slows both.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path

Work = Callable[[], float]
"""Does something, and returns its rate (things per second)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    statements: int = 20_000
    batched: int = 20_000
    each: int = 60  # statements per concurrent publisher
    proofs: int = 1_000
    processes: int = 11  # that prove once each
    proven: int = 1_000_000  # entries of the log that proofs come from
    log: int = 20_000
    signed_log: int = 100_000  # entries whose signatures are audited
    checked: int = 40_000  # of these, by PyNaCl alone: seconds beside seconds, however the machine is shared
    long_log: int = 200_000
    folded: int = 100_000


TINY = Sizes(
    rounds=1,
    statements=200,
    batched=300,
    each=2,
    proofs=10,
    processes=1,
    proven=600,
    log=300,
    signed_log=300,
    checked=100,
    long_log=600,
    folded=300,
)
QUICK = Sizes(
    rounds=3,
    statements=2_000,
    batched=6_000,
    each=15,
    proofs=300,
    processes=3,
    proven=50_000,
    log=5_000,
    signed_log=20_000,
    checked=8_000,
    long_log=20_000,
    folded=20_000,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One line of the table.

    ``judged`` says which of the two is held against target and aim: the ratio to the limit, or the
    value itself. Without a target the line only informs.
    """

    benchmark: str
    what: str
    value: float
    unit: str
    limit: float | None
    limit_is: str
    ratio: float | None
    judged: Literal["ratio", "value"] = "ratio"
    at_most: bool = False
    target: float | None = None
    aim: float | None = None

    def reaches(self, mark: float | None) -> bool | None:
        got = self.ratio if self.judged == "ratio" else self.value
        if mark is None or got is None:
            return None
        return got <= mark if self.at_most else got >= mark

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        if not self.reaches(self.target):
            return "short"
        return "pass, aim" if self.reaches(self.aim) else "pass"


def in_turns(rounds: int, **works: Work) -> dict[str, list[float]]:
    """Do all *works* once per round, in turns; return the rates of each."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            rates[name].append(work())
    return rates


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratio(of: list[float], to: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


class Watch:
    """Measures a block: ``with Watch() as watch: ...; watch.seconds``."""

    seconds = 0.0
    _begin = 0.0

    def __enter__(self) -> Self:
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begin


def machine() -> dict[str, str | int]:
    """What the figures come from, without naming the machine."""
    return {
        "cores": os.cpu_count() or 1,
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _shown(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _mark(figure: Figure, mark: float | None) -> str:
    if mark is None:
        return ""
    sign = "<=" if figure.at_most else ">="
    return f"{sign} {mark:,g}" + (" x" if figure.judged == "ratio" else f" {figure.unit}")


def table(figures: list[Figure]) -> str:
    """The table as text, columns aligned."""
    rows = [("benchmark", "what", "measured", "limit", "ratio", "target", "aim", "")]
    rows += [
        (
            figure.benchmark,
            figure.what,
            f"{_shown(figure.value)} {figure.unit}",
            "" if figure.limit is None else f"{_shown(figure.limit)} {figure.limit_is}",
            "" if figure.ratio is None else f"{figure.ratio:.2f} x",
            _mark(figure, figure.target),
            _mark(figure, figure.aim),
            figure.verdict,
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def save(figures: list[Figure], path: Path) -> None:
    told = [{**asdict(figure), "verdict": figure.verdict} for figure in figures]
    path.write_text(json.dumps({"machine": machine(), "figures": told}, indent=2) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout is the table."""
    print(text, file=sys.stderr, flush=True)
