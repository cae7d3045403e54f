"""
The bytes of each Kafka value, and what stands in the headers.

Every value is in the Confluent wire format: a zero byte, the schema id of ``schemas/RELEASED`` as four
bytes, big-endian, then Avro. So any Avro client reads it; and of an entry, what follows the five
bytes is the leaf itself.

Headers of ``comity.entries`` and of the audiences' topics, all of them text:

============ ===================================================================
``index``    of the entry, decimal; of a checkpoint, the last entry it covers
``act``      wire name of the act
``leaf``     leaf hash, hexadecimal
``relay``    whose turn wrote it: a number that grows, and a random part
============ ===================================================================

A value that is null carries nothing: it marks that a relay took its turn (``ledger.kafka.relay``).
"""

from __future__ import annotations

import re
from binascii import b2a_hex
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ledger import resources
from ledger.acts import codec, release
from ledger.errors import FormatError, NotVerified
from ledger.statement import Batch, Signed, decode_entry, statement_in
from ledger.verify import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC: Final = b"\0"
FRAME_BYTES: Final = 5
SUBMISSION_BYTES_MAX: Final = 61_440
"""The longest submission taken: a statement of 60,000 bytes, a signature, a place in a batch of 4,096."""

_REASON: Final = re.compile(r"[a-z_]{2,63}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]]{1,64}")

_SUBMISSION: Final = codec("submission.avsc")
_ANSWER: Final = codec("answer.avsc")
_PROVEN: Final = codec("proven_entry.avsc")
_CHECKPOINT: Final = codec("signed_checkpoint.avsc")
_SET_ASIDE: Final = codec("set_aside.avsc")


@cache
def schema_ids() -> dict[str, int]:
    """Return the id of every released schema that is no act, by name."""
    frozen = release(resources.path("schemas")).schemas
    return {name: one.number for (name, _), one in frozen.items() if "." not in name}


@cache
def frame(schema: str) -> bytes:
    """Return the five bytes before a value of this schema."""
    return MAGIC + schema_ids()[schema].to_bytes(4, "big")


def unframe(schema: str, value: bytes) -> bytes:
    """
    Return what follows the frame of a value of this schema.

    Raises:
        FormatError: it has no frame, or that of another schema.
    """
    if len(value) < FRAME_BYTES or value[:1] != MAGIC:
        raise FormatError("is not in the Confluent wire format: a zero byte and a schema id of four bytes come first")
    if value[:FRAME_BYTES] != frame(schema):
        raise FormatError(
            f"has schema id {int.from_bytes(value[1:5], 'big')}; {schema} has {schema_ids()[schema]} in RELEASED"
        )
    return value[FRAME_BYTES:]


# --- submissions and their answers -------------------------------------------------------------------


def pack_submission(signed: Signed) -> bytes:
    """Return the value by which a signed statement is submitted."""
    batch = signed.batch
    return frame("submission") + _SUBMISSION.encode(
        {
            "statement": signed.statement,
            "algorithm": "ed25519",
            "signature": signed.signature,
            "batch": None if batch is None else {"size": batch.size, "index": batch.index, "path": list(batch.path)},
        }
    )


def unpack_submission(value: bytes) -> Signed:
    """
    Return the signed statement of a submission; the statement itself is not decoded.

    Raises:
        FormatError: too long, another schema, or not its encoding.
    """
    if len(value) > SUBMISSION_BYTES_MAX:
        raise FormatError(f"is {len(value):,} bytes long; at most {SUBMISSION_BYTES_MAX:,} are taken")
    read = _SUBMISSION.decode(unframe("submission", value))
    batch = read["batch"]
    return Signed(
        read["statement"],
        read["signature"],
        None if batch is None else Batch(batch["size"], batch["index"], tuple(batch["path"])),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """An answer as its publisher reads it; fields as in ``schemas/answer.avsc``."""

    statement_id: bytes
    statement_sha256: bytes
    outcome: str
    index: int | None
    recorded_at: int | None
    reason: str | None
    field: str | None
    expected: int | None
    note: bytes
    entry: bytes | None


def pack_answer(told: Told) -> bytes:
    """Return the value that tells a publisher what the log answered."""
    return frame("answer") + _ANSWER.encode(
        {
            "statement_id": told.statement_id,
            "statement_sha256": told.statement_sha256,
            "outcome": told.outcome,
            "index": told.index,
            "recorded_at": told.recorded_at,
            "reason": told.reason,
            "field": _plain_field(told.field or ""),
            "expected": told.expected,
            "note": told.note,
            "entry": told.entry,
        }
    )


def unpack_answer(value: bytes) -> Told:
    """Return an answer; FormatError where it is none."""
    return Told(**_ANSWER.decode(unframe("answer", value)))


def publisher_of(statement: bytes) -> bytes | None:
    """
    Return the publisher that a statement names, 16 bytes, as far as that can be read; None otherwise.

    It stands near the front (id, ledger, publisher), so that also a statement which is malformed further on
    can be answered.
    """
    # Text of less than 64 bytes has its length in one byte.
    if len(statement) < 34 or statement[16] & 0x81:
        return None
    start = 17 + (statement[16] >> 1)
    found = statement[start : start + 16]
    return found if len(found) == 16 else None


def pack_set_aside(
    partition: int, offset: int, value: bytes, reason: str, *, field: str = "", note: bytes | None = None
) -> bytes:
    """Return the value that tells an operator of a submission nobody can be answered to."""
    return frame("set_aside") + _SET_ASIDE.encode(
        {
            "partition": partition,
            "offset": offset,
            "value_bytes": len(value),
            "value_sha256": sha256(value).digest(),
            "reason": reason if _REASON.fullmatch(reason) else "unreadable",
            "field": _plain_field(field),
            "note": note or None,
        }
    )


def unpack_set_aside(value: bytes) -> dict[str, Any]:
    """Return what was set aside, by field of ``schemas/set_aside.avsc``; FormatError where it is none."""
    return _SET_ASIDE.decode(unframe("set_aside", value))


def _plain_field(path: str) -> str | None:
    return path if _FIELD.fullmatch(path) else None


# --- entries and checkpoints -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry belongs, as its key and headers say it."""

    case: bytes
    subject: bytes
    act: str


def place_of(entry: bytes) -> Place:
    """
    Return where an entry belongs, from its first bytes alone; about 2 us for a typical one.

    Raises:
        FormatError: it is no entry.
    """
    try:
        # Format 1; the length of the statement; its id, the origin, publisher, key, sequence.
        at = 1
        while entry[at] & 0x80:
            at += 1
        at += 17
        length = entry[at]
        # A short origin, then a short sequence, the voice, and no other speaker: what all but a few entries have.
        if entry[0] == 2 and not length & 0x81:
            at += 1 + (length >> 1) + 48
            while entry[at] & 0x80:
                at += 1
            if entry[at + 2] == 0:
                at += 3
                size = entry[at + 32]
                act = entry[at + 33 : at + 33 + (size >> 1)].decode()
                if not size & 0x81:
                    return Place(entry[at : at + 16], entry[at + 16 : at + 32], act)
    except (IndexError, UnicodeDecodeError):
        pass
    found = statement_in(decode_entry(entry))
    return Place(found.case, found.subject, found.act)


def entry_headers(index: int, act: str, entry: bytes, turn: bytes) -> list[tuple[str, bytes]]:
    """Return the headers of an entry; *turn* as the relay has it."""
    return [("index", b"%d" % index), ("act", act.encode()), ("leaf", b2a_hex(leaf_hash(entry))), ("relay", turn)]


def index_in(headers: Iterable[tuple[str, bytes]]) -> int:
    """
    Return the index that headers name; −1 where a relay marked its turn before any entry.

    Raises:
        FormatError: there is none.
    """
    for name, value in headers:
        if name == "index":
            try:
                return int(value)
            except (TypeError, ValueError):
                # Kafka lets a header have no value at all.
                break
    raise FormatError("has no header `index` that is a number", field="headers")


def turn_in(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Return whose turn wrote this, empty where nobody says."""
    return next((value for name, value in headers if name == "relay"), b"") or b""


def pack_entry(entry: bytes) -> bytes:
    """Return the value that carries an entry."""
    return frame("entry") + entry


def unpack_entry(index: int, leaf: bytes, value: bytes) -> bytes:
    """
    Return the entry that a value carries, checked against what its headers say.

    Raises:
        FormatError: it carries no entry.
        NotVerified: its hash is not *leaf*.
    """
    entry = unframe("entry", value)
    if b2a_hex(leaf_hash(entry)) != leaf:
        raise NotVerified("the entry is not the one that its header `leaf` names", step="wire", index=index)
    return entry


def pack_proven(index: int, entry: bytes, proof: bytes) -> bytes:
    """Return the value that carries an entry with its proof."""
    return frame("proven_entry") + _PROVEN.encode({"index": index, "entry": entry, "proof": proof})


def unpack_proven(value: bytes) -> tuple[int, bytes, bytes]:
    """Return index, entry and proof; FormatError where the value carries none."""
    read = _PROVEN.decode(unframe("proven_entry", value))
    return read["index"], read["entry"], read["proof"]


def pack_checkpoint(size: int, note: bytes) -> bytes:
    """Return the value that carries a checkpoint."""
    return frame("signed_checkpoint") + _CHECKPOINT.encode({"size": size, "note": note})


def unpack_checkpoint(value: bytes) -> tuple[int, bytes]:
    """Return size and note of a checkpoint; FormatError where the value carries none."""
    read = _CHECKPOINT.decode(unframe("signed_checkpoint", value))
    return read["size"], read["note"]
