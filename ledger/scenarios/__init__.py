"""
Real cases as files that a jurist can read, and as ledgers that they are played into.

``ledger.scenarios.file`` reads and checks a scenario; ``ledger.scenarios.playing`` founds a ledger
for it and publishes what it says.
"""

from __future__ import annotations

from ledger.scenarios.file import Cast, Holder, Item, Said, Scenario, identity, load
from ledger.scenarios.playing import ORIGIN, Simulation, begin, play

__all__ = [
    "ORIGIN",
    "Cast",
    "Holder",
    "Item",
    "Said",
    "Scenario",
    "Simulation",
    "begin",
    "identity",
    "load",
    "play",
]
