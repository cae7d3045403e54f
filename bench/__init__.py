"""Speed and memory, each figure beside its physical limit: see ``docs/reference/performance.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.folding import folding
from bench.law import law
from bench.projecting import rebuilding
from bench.proving import audit, inclusion
from bench.publishing import batch_signed, concurrent, single_signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Figure, Sizes

BENCHMARKS: dict[str, Callable[[Sizes], list[Figure]]] = {
    "single-signed": single_signed,
    "batch-signed": batch_signed,
    "concurrent": concurrent,
    "inclusion-proof": inclusion,
    "audit": audit,
    "rebuilding": rebuilding,
    "folding": folding,
    "law": law,
}
