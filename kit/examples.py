"""
The worked examples of ``docs/publisher-kit/wire.md``: ``python -m kit.examples`` writes them anew.

Every byte comes from the code; ``tests/kit`` holds the page to it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from kit.answer import answer
from kit.sample import CLERK, PLAIN, entry_of, parts, refusal_note, sealed, statement
from ledger.kafka import wire
from ledger.statement import encode_statement, signed_message
from ledger.verify import leaf_hash

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "publisher-kit" / "wire.md"
_MARKED: Final = re.compile(r"(<!-- example: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDE: Final = 32
"""Bytes of hexadecimal on a line."""


def hexed(data: bytes, indent: str = "") -> str:
    """Return bytes as lines of hexadecimal."""
    return "\n".join(indent + data[at : at + WIDE].hex() for at in range(0, len(data), WIDE))


def plain_statement() -> str:
    """The plain statement, field by field: offset, bytes, field."""
    rows, at = [], 0
    for name, data in parts().items():
        rows.append(f"{at:>3}  {name:<19} {data.hex()}")
        at += len(data)
    assert at == len(PLAIN)
    return "\n".join([*rows, f"{at:>3}  bytes in all"])


def alone() -> str:
    """The same statement, signed alone."""
    signed = sealed(PLAIN)
    return "\n".join(
        (
            f"seed        {CLERK.key.seed.hex()}",
            f"public key  {CLERK.key.public.hex()}",
            f"key         {CLERK.key.id.hex()}",
            f"signed      {signed_message(PLAIN)[:32].hex()}...  ({len(signed_message(PLAIN))} bytes)",
            f"signature   {signed.signature.hex()}",
        )
    )


def together() -> str:
    """Three statements under one signature."""
    data = [encode_statement(statement(number)) for number in range(3)]
    made = answer("sign_batch", {"seed": CLERK.key.seed.hex(), "statements": [one.hex() for one in data]})
    leaves = [f"leaf {number}      {leaf_hash(one).hex()}" for number, one in enumerate(data)]
    paths = [f"path of {place['index']}   {' '.join(place['path'])}" for place in made["places"]]
    named = [f"root        {made['root']}", f"signed      {made['message']}", f"signature   {made['signature']}"]
    return "\n".join([*leaves, *paths, *named])


def submission() -> str:
    """The Kafka value of the statement signed alone."""
    value = wire.pack_submission(sealed(PLAIN))
    end = len(value) - 65 - 1
    return "\n".join(
        (
            f"  0  {value[:5].hex()}  magic byte, schema id {int.from_bytes(value[1:5], 'big')}",
            f"  5  {value[5:7].hex()}  length of the statement: {len(PLAIN)}",
            f"  7  {value[7:23].hex()}...  the statement",
            f"{end:>3}  {value[end : end + 1].hex()}  algorithm: ed25519",
            f"{end + 1:>3}  {value[end + 1 : end + 17].hex()}...  the signature, 64 bytes",
            f"{len(value) - 1:>3}  {value[-1:].hex()}  no batch",
        )
    )


def refused() -> str:
    """A refusal as the log signs it."""
    return refusal_note("out_of_order", "sequence", 7, sealed(PLAIN)).decode().rstrip("\n")


def entry() -> str:
    """The entry of the plain statement, and its leaf hash."""
    data = entry_of(PLAIN, 0)
    return f"{hexed(data)}\n\nleaf {leaf_hash(data).hex()}"


EXAMPLES: Final = {
    "statement": plain_statement,
    "alone": alone,
    "together": together,
    "submission": submission,
    "refusal": refused,
    "entry": entry,
}


def page(text: str) -> str:
    """Return the page with its examples as they should be."""
    return _MARKED.sub(lambda found: f"{found[1]}\n```text\n{EXAMPLES[found['name']]()}\n```\n\n{found[3]}", text)


def main() -> None:
    """Write the page where it changed."""
    text = PAGE.read_text(encoding="utf-8")
    if page(text) != text:
        PAGE.write_text(page(text), encoding="utf-8")
        sys.stderr.write("wire.md\n")


if __name__ == "__main__":
    main()
