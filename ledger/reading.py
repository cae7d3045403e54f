"""Read entries back: from the bytes of a leaf to the statement and the body that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.keys import acceptable
from ledger.statement import Recorded, decode_entry, statement_in
from ledger.verify import Roster

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.acts import Catalogue


def recorded(index: int, data: bytes, catalogue: Catalogue) -> Recorded:
    """
    Decode one entry wholly.

    Args:
        index: the leaf index, 0-based.
        data: the bytes of the entry, as stored.
        catalogue: knows the schema of each act.

    Raises:
        FormatError: the bytes are not an entry of this format.

    Cost: about 30 us for a typical entry.
    """
    entry = decode_entry(data)
    statement = statement_in(entry)
    if not entry.accepted:
        return Recorded(index, entry, statement, None)
    return Recorded(index, entry, statement, catalogue.decode(statement.act, statement.version, statement.body))


def roster_of(entries: Iterable[tuple[int, bytes]], catalogue: Catalogue) -> Roster:
    """
    Fold who is enrolled, with which keys.

    Args:
        entries: every entry of an act of the roster with its index, in order, as a store gives them.
        catalogue: knows the schema of each act.

    Raises:
        FormatError: as ``recorded``.

    Cost: O(entries); the roster of all States is some thousands.
    """
    roster = Roster(acceptable)
    for index, data in entries:
        act = recorded(index, data, catalogue)
        if act.body is not None:
            roster.fold(index, act.statement, act.body)
    return roster
