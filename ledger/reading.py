"""Read entries back: from the bytes of a leaf to the statement and the body that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.statement import Recorded, decode_entry, decode_header, decode_statement

if TYPE_CHECKING:
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
    if not entry.accepted:
        return Recorded(index, entry, decode_header(entry.statement), None)
    statement = decode_statement(entry.statement)
    return Recorded(index, entry, statement, catalogue.decode(statement.act, statement.version, statement.body))
