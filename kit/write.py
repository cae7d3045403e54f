"""
Writes the conformance vectors anew: ``python -m kit.write``. Same sources, same bytes.

Every expected answer comes from Comity itself, through ``kit.answer``; what a vector is about is written by hand in
``kit/groups``, byte by byte where it matters. ``tests/kit`` holds the files to what this writes.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from kit.conformance import VECTORS
from kit.groups import admission, body, kafka, outbox, receipt, refusal, signature, statement

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS: Final = (
    statement.statements,
    body.bodies,
    signature.signatures,
    admission.admissions,
    refusal.refusals,
    receipt.receipts,
    kafka.conveyor,
    outbox.outboxes,
)


def files() -> Iterator[tuple[str, str]]:
    """What each file should hold, by its name."""
    for make in GROUPS:
        group = make()
        rows = (json.dumps(row, ensure_ascii=True) for row in group.rows)
        yield f"{group.name}.json", "[\n" + ",\n".join(rows) + "\n]\n"


def main() -> None:
    """Write what changed, and name it."""
    VECTORS.mkdir(exist_ok=True)
    for name, said in files():
        file = VECTORS / name
        if not file.exists() or file.read_text(encoding="utf-8") != said:
            file.write_text(said, encoding="utf-8")
            sys.stderr.write(f"{name}\n")


if __name__ == "__main__":
    main()
