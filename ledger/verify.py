"""Verify a Comity bundle with nothing but Python: one file, standard library only."""

from __future__ import annotations

from hashlib import sha256


class FormatError(ValueError):
    """
    These bytes are not what they claim to be.

    Attributes:
        field: path of the faulty part, such as ``basis[0].article``; empty for the whole.
    """

    def __init__(self, what: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {what}" if field else what)
        self.what = what
        self.field = field


class NotVerified(Exception):  # noqa: N818 -- says what is the case
    """
    Well-formed, yet something does not bind to something else.

    Attributes:
        step: the numbered step that failed, such as ``5 inclusion``.
        index: the entry concerned; None where the step is not about one entry.
    """

    def __init__(self, what: str, *, step: str, index: int | None = None) -> None:
        super().__init__(f"step {step}" + ("" if index is None else f", entry {index}") + f": {what}")
        self.what = what
        self.step = step
        self.index = index


def leaf_hash(entry: bytes) -> bytes:
    """The Merkle leaf of an entry (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The Merkle node over two subtrees (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()
