"""
Admissibility per court, proceedings and stage: never a property of an exhibit.

One item can stand admitted in Hamburg and excluded in Berlin at once; what a higher court overturned
stays in the history of the court below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import NotFound
from projections.facts import (
    COLUMNS,
    Clocks,
    Fact,
    Row,
    Said,
    Table,
    When,
    Who,
    id_bytes,
    id_text,
    rows,
)
from projections.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from projections.views import Views

NAME: Final = "admissibility"

_SEQUELS: Final = frozenset({"ruling.appealed", "ruling.overturned", "ruling.became_final"})

TABLES: Final = (
    # Rulings, and what became of them; `target` is the ruling that a sequel or a correction is about.
    Table(
        "fact",
        (*COLUMNS, ("proceedings", "BLOB"), ("target", "BLOB")),
        ("subject", "proceedings", "target"),
    ),
    # Which exhibits there are, and what they were derived from (no parent: acquired).
    Table(
        "lineage",
        (
            ("idx", "INTEGER NOT NULL"),
            ("ord", "INTEGER NOT NULL"),
            ("exhibit", "BLOB NOT NULL"),
            ("parent", "BLOB"),
            ("occurred_from", "INTEGER NOT NULL"),
            ("known_at", "INTEGER NOT NULL"),
        ),
        ("exhibit", "parent"),
    ),
)


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    body = fact.body
    if body is None or not fact.accepted:
        return
    statement = fact.statement
    act = statement.act
    if act == "admissibility.ruled":
        rows["fact"].append((*fact.header(), body["proceedings"], None))
    elif act in _SEQUELS:
        rows["fact"].append((*fact.header(), None, body["ruling"]))
    elif statement.corrects is not None:
        rows["fact"].append((*fact.header(), None, statement.corrects))
    elif act in {"exhibit.acquired", "exhibit.derived"}:
        known_at = fact.known_at
        for number, parent in enumerate(body["parents"] if act == "exhibit.derived" else [None]):
            rows["lineage"].append(
                (
                    fact.index,
                    number,
                    statement.subject,
                    parent,
                    statement.occurred_from,
                    known_at,
                )
            )


@dataclass(frozen=True, slots=True)
class Ruling:
    """
    One ruling and what became of it; indexes are of the entries that say so.

    `concerns` is `this`, `ancestor` or `descendant` of the exhibit asked about.
    """

    index: int
    statement: str
    exhibit: str
    concerns: str
    outcome: str
    grounds: tuple[str, ...]
    test: str
    ecli: str | None
    when: When
    said: Said
    appealed_index: int | None
    overturned_index: int | None
    overturned_by: Who | None
    final: bool
    final_index: int | None
    sentence: str
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How an exhibit stands before one court in one proceedings at one stage.

    `outcome` is that of the latest ruling that stands, None when every ruling was overturned or corrected;
    `standing` is `stands`, `under_appeal`, `final`, `overturned` or `corrected`. `index` is the entry that it rests
    on, and `history` has every ruling, the oldest first.
    """

    court: Who
    proceedings: str
    stage: str
    exhibit: str
    concerns: str
    outcome: str | None
    standing: str
    index: int
    history: tuple[Ruling, ...]


def exhibit(
    views: Views,
    exhibit_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
    lineage: bool = True,
) -> tuple[Standing, ...]:
    """
    Return how the exhibit stands, court by court; empty when no court has ruled.

    Args:
        views: the projections, opened for reading.
        exhibit_id: the exhibit.
        happened_by: what may have happened by then, µs; None for no bound.
        known_by: what the log knew by then, µs; None for no bound.
        lineage: also rulings on its ancestors and descendants, marked so.

    Raises:
        NotFound: nothing is known of the exhibit at these clocks.

    Cost: O(exhibits of its lineage and rulings on them).
    """
    clocks = Clocks(happened_by, known_by)
    key = id_bytes(exhibit_id)
    concerns = {id_text(key): "this"}
    if lineage:
        concerns |= dict.fromkeys(_reach(views, clocks, key, "exhibit", "parent"), "ancestor")
        concerns |= dict.fromkeys(_reach(views, clocks, key, "parent", "exhibit"), "descendant")
    standings = _standings(views, clocks, "subject", concerns, concerns)
    if not standings and not _reach(views, clocks, key, "exhibit", "exhibit"):
        raise NotFound(f"nothing is known of exhibit {id_text(key)}")
    return standings


def proceedings(
    views: Views,
    proceedings_id: str | bytes,
    *,
    happened_by: int | None = None,
    known_by: int | None = None,
) -> tuple[Standing, ...]:
    """Return how every exhibit ruled upon in these proceedings stands; empty when there is none."""
    key = id_text(id_bytes(proceedings_id))
    return _standings(views, Clocks(happened_by, known_by), "proceedings", [key], {})


def _reach(views: Views, clocks: Clocks, key: bytes, here: str, there: str) -> list[str]:
    """Return the exhibits reached from one by steps from column *here* to column *there*."""
    passes, bounds = clocks.where()
    found = views.db.execute(
        f"WITH RECURSIVE reached(id) AS (SELECT {there} FROM admissibility.lineage"
        f" WHERE {here} = ? AND {there} IS NOT NULL AND {passes} UNION"
        f" SELECT l.{there} FROM reached JOIN admissibility.lineage l ON l.{here} = reached.id"
        f" WHERE l.{there} IS NOT NULL AND {passes}) SELECT id FROM reached",
        (key, *bounds, *bounds),
    )
    return [id_text(value) for (value,) in found]


def _standings(
    views: Views,
    clocks: Clocks,
    column: str,
    values: Iterable[str],
    concerns: Mapping[str, str],
) -> tuple[Standing, ...]:
    rulings = [
        row
        for value in values
        for row in rows(
            views.db,
            "admissibility.fact",
            clocks,
            f"{column} = ? AND act = 'admissibility.ruled'",
            [id_bytes(value)],
        )
    ]
    by: dict[tuple[str, str, str, str], list[Ruling]] = {}
    rulings.sort(key=lambda row: (row.when.from_at, row.index))
    for row in rulings:
        place = (row.body["court"], row.body["proceedings"], row.body["stage"], row.subject)
        by.setdefault(place, []).append(_ruling(views, clocks, row, concerns.get(row.subject, "this")))
    standings = [
        _standing(views.who(court), proceedings, stage, subject, history)
        for (court, proceedings, stage, subject), history in by.items()
    ]
    return tuple(sorted(standings, key=lambda standing: standing.history[0].index))


def _ruling(views: Views, clocks: Clocks, row: Row, concerns: str) -> Ruling:
    target = [id_bytes(row.statement)]
    appealed = overturned = final = None
    for sequel in rows(views.db, "admissibility.fact", clocks, "target = ? AND corrects IS NULL", target):
        if sequel.act == "ruling.appealed":
            appealed = sequel
        elif sequel.act == "ruling.overturned":
            overturned = sequel
        else:
            final = sequel
    corrections = rows(
        views.db,
        "admissibility.fact",
        clocks.known_only(),
        "target = ? AND corrects IS NOT NULL",
        target,
    )
    body = row.body
    by_court = None if overturned is None else overturned.body.get("court")
    return Ruling(
        row.index,
        row.statement,
        row.subject,
        concerns,
        str(body["outcome"]),
        tuple(body["grounds"]),
        str(body["test"]),
        body.get("ecli"),
        row.when,
        views.said(row),
        None if appealed is None else appealed.index,
        None if overturned is None else overturned.index,
        None if by_court is None else views.who(by_court),
        bool(body["final"]) or final is not None,
        row.index if body["final"] else None if final is None else final.index,
        sentence(views, row),
        corrections[-1].index if corrections else None,
    )


def _standing(court: Who, proceedings: str, stage: str, subject: str, history: list[Ruling]) -> Standing:
    standing_rulings = [r for r in history if r.overturned_index is None and r.corrected_by is None]
    if standing_rulings:
        last = standing_rulings[-1]
        outcome: str | None = last.outcome
        how = "final" if last.final else "under_appeal" if last.appealed_index else "stands"
        index = last.index
    else:
        last = history[-1]
        outcome, how = None, "overturned" if last.overturned_index is not None else "corrected"
        index = last.overturned_index or last.corrected_by or last.index
    return Standing(
        court,
        proceedings,
        stage,
        subject,
        last.concerns,
        outcome,
        how,
        index,
        tuple(history),
    )
