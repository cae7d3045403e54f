"""The measurements can be made: what they find is for ``make bench`` to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import BENCHMARKS, ledgers
from bench.measure import TINY, table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_measurement_can_be_made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each benchmark runs on a tiny log, and every figure stands beside its limit."""
    monkeypatch.setattr(ledgers, "KEPT", tmp_path)

    figures = BENCHMARKS[name](TINY)

    assert figures
    assert [] == [figure for figure in figures if figure.value < 0 or not figure.limit]
    assert all(figure.what in table(figures) for figure in figures)
