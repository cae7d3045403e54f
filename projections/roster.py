"""The names that ids are shown with: every authority enrolled, and the holders of root keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from projections.facts import Fact, Table, id_text

if TYPE_CHECKING:
    import sqlite3

NAME: Final = "roster"

TABLES: Final = (
    Table(
        "authority",
        (
            ("idx", "INTEGER NOT NULL"),
            ("ord", "INTEGER NOT NULL"),
            ("authority", "BLOB NOT NULL"),
            ("holder", "TEXT"),
            ("kind", "TEXT"),
            ("designation", "TEXT"),
            ("country", "TEXT"),
        ),
        ("authority, idx",),
    ),
)


@dataclass(frozen=True, slots=True)
class Name:
    """An authority as its root enrolled it; `index` is the entry that says so."""

    authority: str
    holder: str | None
    authority_kind: str | None
    designation: str | None
    country: str | None
    index: int


def collect(fact: Fact, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Add the rows that *fact* makes."""
    body = fact.body
    if body is None or not fact.accepted:
        return
    act = fact.statement.act
    add = rows["authority"].append
    if act == "authority.enrolled":
        add(
            (
                fact.index,
                0,
                fact.statement.subject,
                body["holder"],
                body["authority_kind"],
                body["designation"],
                body["country"],
            )
        )
    elif act == "ledger.founded":
        add((fact.index, 0, body["operator"], None, "operator", None, None))
        for number, root in enumerate(body["roots"], 1):
            holder = root["holder"]
            add((fact.index, number, root["authority"], holder, "state_root", None, None))
    elif act == "root.admitted":
        add((fact.index, 0, body["authority"], body["holder"], "state_root", None, None))


def names(db: sqlite3.Connection) -> dict[str, Name]:
    """
    Return every authority by its id, as last enrolled.

    Cost: O(authorities); the roster of all States is some thousands.
    """
    found = db.execute(
        "SELECT authority, holder, kind, designation, country, idx FROM roster.authority ORDER BY idx, ord"
    )
    return {
        id_text(authority): Name(id_text(authority), holder, kind, designation, country, index)
        for authority, holder, kind, designation, country, index in found
    }
