"""
The domain: what authorities may say of which thing, and what becomes of the thing.

Twelve lines are the whole theory::

    decision = decide(view, index, statement, body)  # accepted, or rejected with a reason
    flags(thing, statement, body, procedure)  # what is odd about an accepted act
    thing = evolve(thing, index, statement, body)  # what the stream folds into

Pure: no clock, no storage, no network. The same log gives the same answers everywhere.
"""

from __future__ import annotations

from ledger.domain.folding import evolve, fold, speaker_of
from ledger.domain.judging import (
    ACCEPTED,
    Accepted,
    Decision,
    Flag,
    Rejected,
    Seen,
    View,
    decide,
    flags,
    named_by,
)
from ledger.domain.procedure import Halves, Next, Procedure, Step, load
from ledger.domain.things import (
    THINGS,
    Authority,
    Case,
    Challenge,
    Disclosure,
    Exhibit,
    Handover,
    JointTeam,
    LedgerThing,
    Proceedings,
    Request,
    Thing,
)

__all__ = [
    "ACCEPTED",
    "THINGS",
    "Accepted",
    "Authority",
    "Case",
    "Challenge",
    "Decision",
    "Disclosure",
    "Exhibit",
    "Flag",
    "Halves",
    "Handover",
    "JointTeam",
    "LedgerThing",
    "Next",
    "Procedure",
    "Proceedings",
    "Rejected",
    "Request",
    "Seen",
    "Step",
    "Thing",
    "View",
    "decide",
    "evolve",
    "flags",
    "fold",
    "load",
    "named_by",
    "speaker_of",
]
