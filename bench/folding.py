"""Folding: what a long stream costs to become a thing again, beside the library's repository."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from eventsourcing.application import Application, project_aggregate
from eventsourcing.domain import Aggregate, event

from bench.ledgers import world
from bench.measure import Figure, Sizes, Watch, in_turns, median, ratio
from bench.workload import encoded, long_stream
from ledger.acts import catalogue
from ledger.domain import fold
from ledger.reading import recorded
from ledger.statement import Entry, encode_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.statement import Recorded

SAVED_TOGETHER = 5_000


class Exhibit(Aggregate):
    """The same stream in the library: an exhibit that is examined and verified."""

    @event("Acquired")
    def __init__(self, kind: str, holder: str) -> None:
        self.kind, self.holder = kind, holder
        self.stage = "held"
        self.acts = 1

    @event("Examined")
    def examined(self, purpose: str, method: str) -> None:  # noqa: ARG002 -- kept in the event
        self.acts += 1

    @event("Verified")
    def verified(self, result: str, compared: str) -> None:  # noqa: ARG002 -- kept in the event
        self.acts += 1


class Exhibits(Application[UUID]):
    """An application of the library as it comes."""


def _acts(count: int) -> list[tuple[int, bytes]]:
    """The entries of one stream of *count* acts."""
    entries = []
    said = islice(long_stream(Random(1), world()), 1, count + 1)
    for index, item in enumerate(said):
        entry = Entry(
            format=1,
            statement=encoded(item, index),
            statement_sha256=None,
            algorithm="ed25519",
            signature=bytes(64),
            batch=None,
            recorded_at=item.draft.occurred_from,
            disposition="accepted",
            reason=None,
            rules=bytes(32),
            subject_version=index,
            case_version=index + 1,
        )
        entries.append((index, encode_entry(entry)))
    return entries


def folding(sizes: Sizes) -> list[Figure]:
    count = sizes.folded
    entries = _acts(count)
    acts = [recorded(index, data, catalogue()) for index, data in entries]
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        app = Exhibits(
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(Path(place) / "exhibits.db")}
        )
        exhibit = Exhibit(kind="intercepted_data", holder=str(uuid4()))
        for act in acts[1:]:
            if act.statement.act == "exhibit.examined":
                exhibit.examined(purpose="selection", method="filtering")
            else:
                exhibit.verified(result="identical", compared="item_proof")
            if len(exhibit.pending_events) == SAVED_TOGETHER:
                app.save(exhibit)
        app.save(exhibit)
        events = list(app.events.get(exhibit.id))
        assert len(events) == len(acts) == count

        def ours() -> float:
            return _rate(acts)

        def ours_stored() -> float:
            with Watch() as watch:
                thing = fold(recorded(index, data, catalogue()) for index, data in entries)
            assert thing is not None
            assert thing.acts == count
            return count / watch.seconds

        def library() -> float:
            with Watch() as watch:
                made: Exhibit | None = project_aggregate(None, events)
            assert made is not None
            assert made.acts == count
            return count / watch.seconds

        def library_stored() -> float:
            with Watch() as watch:
                made: Exhibit = app.repository.get(exhibit.id)
            assert made.acts == count
            return count / watch.seconds

        rates = in_turns(
            sizes.rounds, ours=ours, library=library, ours_stored=ours_stored, library_stored=library_stored
        )
        app.close()
    return [
        Figure(
            "folding",
            f"{count:,} acts, decoded on both sides",
            median(rates["ours"]),
            "acts/s",
            median(rates["library"]),
            "events/s, the library's projector",
            ratio(rates["ours"], rates["library"]),
            target=3,
        ),
        Figure(
            "folding",
            f"{count:,} acts, decoding included on both sides",
            median(rates["ours_stored"]),
            "acts/s",
            median(rates["library_stored"]),
            "events/s, repository.get",
            ratio(rates["ours_stored"], rates["library_stored"]),
        ),
        Figure(
            "folding",
            f"{count:,} decoded acts, beside repository.get",
            median(rates["ours"]),
            "acts/s",
            median(rates["library_stored"]),
            "events/s, repository.get",
            ratio(rates["ours"], rates["library_stored"]),
        ),
    ]


def _rate(acts: Sequence[Recorded]) -> float:
    with Watch() as watch:
        thing = fold(acts)
    assert thing is not None
    assert thing.acts == len(acts)
    return len(acts) / watch.seconds
