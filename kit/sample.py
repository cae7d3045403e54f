"""
One publisher and one log that are always the same, what they say and sign, and its bytes by hand.

All of it comes from names, so that whoever writes the vectors anew writes the same bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from kit.answer import STATEMENT, answer, shown
from ledger.acts import catalogue
from ledger.keys import LogKeys, PrivateKey, Signer
from ledger.ledger import batch_paths
from ledger.log.checkpoint import log_signer, sign_checkpoint
from ledger.statement import (
    Attachment,
    Basis,
    Batch,
    Draft,
    Entry,
    Signed,
    Speaker,
    Visibility,
    batch_message,
    encode_entry,
    encode_statement,
    header_of,
    new_id,
    sha256_of,
    signed_message,
    statement_from,
)
from ledger.verify import Checkpoint, Note, NoteSignature, format_note

if TYPE_CHECKING:
    from ledger.statement import Statement

ORIGIN: Final = "ledger.example/simulation"
BEGIN: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in microseconds."""

Row = dict[str, Any]
"""What JSON has: of a vector, what is given or expected."""


def named(name: str) -> bytes:
    """Return the identifier, 16 bytes, that this name always has here."""
    return sha256(name.encode()).digest()[:16]


def keyed(name: str) -> PrivateKey:
    """Return the key that this name always has here."""
    return PrivateKey.from_seed(sha256(b"kit key of " + name.encode()).digest())


LOG: Final = LogKeys.from_seed(sha256(b"kit log").digest())
FIRST: Final = log_signer(ORIGIN, "ed25519", LOG.ed25519.public, LOG.ed25519.sign)
SECOND: Final = log_signer(ORIGIN, "ml_dsa_44", LOG.mldsa44_public, LOG.mldsa44.sign)
VKEYS: Final = (FIRST.vkey, SECOND.vkey)
"""The log's verifier keys: Ed25519, and ML-DSA-44."""

CLERK: Final = Signer(named("prosecutor"), keyed("prosecutor"))
CLERKS_VKEY: Final = log_signer(ORIGIN, "ed25519", CLERK.key.public, CLERK.key.sign).vkey
"""A key that is not the log's, under the log's name."""

BODY: Final = {"procedure": "criminal", "stage": "investigation", "offences": ["cybercrime"], "sensitivity": "ordinary"}


def draft(**other: Any) -> Draft:
    """Return the draft that opens a case, with other fields as told."""
    what: dict[str, Any] = {
        "act": "case.opened",
        "case": named("case"),
        "subject": named("case"),
        "body": BODY,
        "occurred_from": BEGIN,
        "occurred_until": BEGIN,
        "zone": "Europe/Berlin",
        "language": "de",
    }
    return Draft(**{**what, **other})


def statement(number: int = 0, *, by: Signer = CLERK, **other: Any) -> Statement:
    """Return statement *number* of a publisher, with other fields as told; those of the draft among them."""
    own = {name: other.pop(name) for name in ("ledger", "statement_id", "publisher", "key") if name in other}
    made = draft(**other)
    body = other.get("body", BODY)
    return statement_from(
        made,
        statement_id=own.get("statement_id")
        or new_id(BEGIN + 1000 * number, sha256(b"%d" % number + by.key.id).digest()[:10]),
        ledger=own.get("ledger", ORIGIN),
        publisher=own.get("publisher", by.authority),
        key=own.get("key", by.key.id),
        sequence=number,
        body=body if isinstance(body, bytes) else catalogue().encode(made.act, made.version, body),
    )


def value_of(data: bytes) -> Row:
    """Return the JSON of a statement's bytes."""
    found: Row = shown(STATEMENT.to_json(STATEMENT.decode(data)))
    return found


PLAIN: Final = encode_statement(statement())
"""The statement that most vectors alter."""

FULL: Final = encode_statement(
    statement(
        7,
        kind="decision",
        voice="reported",
        speaker=Speaker(None, "FR", "court", None, "ECLI:FR:CCASS:2020:CR00001"),
        occurred_until=BEGIN + 86_399_999_999,
        occurred_confirmed=False,
        legal_effect_at=BEGIN + 1,
        known_at=BEGIN + 2,
        addressees=(named("a"), named("b")),
        visibility=Visibility("oversight", BEGIN + 3),
        proceedings=(named("p"),),
        local_reference=sha256(b"salted").digest(),
        basis=(Basis("eu-eio-2014-41", "12(3)"), Basis("StPO", None, domestic=True)),
        answers=(named("c"),),
        corrects=named("d"),
        attachments=(
            Attachment("receipt_proof", sha256(b"1").digest(), None, 1, "application/pdf"),
            Attachment("receipt_proof", sha256(b"2").digest(), sha256(b"3").digest(), 2**40, "application/pdf"),
        ),
    )
)
"""Every field that may be absent is there, every list has items."""

# --- bytes by hand ---------------------------------------------------------------------------------


def number(value: int) -> bytes:
    """Return Avro's zig-zag number in its shortest form."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(value: str | bytes) -> bytes:
    """Return a string, or bytes, with its length before it."""
    data = value if isinstance(value, bytes) else value.encode()
    return number(len(data)) + data


def listed(*items: bytes) -> bytes:
    """Return an array: one block, and the zero that ends it."""
    return number(len(items)) + b"".join(items) + b"\0" if items else b"\0"


def parts() -> dict[str, bytes]:
    """Return the plain statement field by field, each with its bytes."""
    return {
        "id": PLAIN[:16],
        "ledger": text(ORIGIN),
        "publisher": CLERK.authority,
        "key": CLERK.key.id,
        "sequence": number(0),
        "voice": number(0),
        "speaker": b"\0",
        "case": named("case"),
        "subject": named("case"),
        "act": text("case.opened"),
        "version": number(1),
        "kind": number(0),
        "occurred_from": number(BEGIN),
        "occurred_until": number(BEGIN),
        "occurred_confirmed": b"\1",
        "zone": text("Europe/Berlin"),
        "legal_effect_at": b"\0",
        "known_at": b"\0",
        "addressees": listed(),
        "visibility": number(1) + b"\0",
        "proceedings": listed(),
        "language": text("de"),
        "local_reference": b"\0",
        "basis": listed(),
        "answers": listed(),
        "corrects": b"\0",
        "attachments": listed(),
        "body": text(catalogue().encode("case.opened", 1, BODY)),
    }


def altered(**other: bytes) -> bytes:
    """Return the plain statement with these fields replaced."""
    return b"".join({**parts(), **other}.values())


# --- what is signed, by whom ------------------------------------------------------------------------


def sealed(data: bytes, by: Signer = CLERK) -> Signed:
    """Return a statement with its signature."""
    return Signed(data, by.key.sign(signed_message(data)))


def in_a_batch() -> Signed:
    """Return the second of three statements that were signed together."""
    data = [encode_statement(statement(n)) for n in range(3)]
    root, paths = batch_paths(data)
    return Signed(data[1], CLERK.key.sign(batch_message(3, root)), Batch(3, 1, paths[1]))


def refusal_note(code: str, field: str, expected: int | None, signed: Signed) -> bytes:
    """Return a refusal as the log signs it."""
    place, batch = "-", signed.batch
    if batch is not None:
        place = f"{batch.size} {batch.index} {sha256(b''.join(batch.path)).hexdigest()}"
    lines = {
        "first": "comity.refusal/v1",
        "origin": ORIGIN,
        "statement": sha256(signed.statement).hexdigest(),
        "signature": sha256(signed.signature).hexdigest(),
        "place": place,
        "code": code,
        "field": field or "-",
        "expected": "-" if expected is None else str(expected),
        "at": str(BEGIN),
    }
    body = "\n".join(lines.values()) + "\n"
    return format_note(Note(body, (NoteSignature(ORIGIN, FIRST.key.key_id, FIRST.sign(body.encode())),)))


def checkpoint_note(size: int, root: bytes, *, second: bytes | None = None) -> bytes:
    """Return a checkpoint signed with the log's Ed25519 key; *second* is an ML-DSA-44 signature with its time."""
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root), (FIRST,), at=0)
    if second is None:
        return note
    return note + format_note(Note("x\n", (NoteSignature(ORIGIN, SECOND.key.key_id, second),))).partition(b"\n\n")[2]


def entry_of(data: bytes, place: int, *, reason: str | None = None) -> bytes:
    """Return the entry that the log makes of a statement."""
    body = bytes.fromhex(answer("decode_statement", {"statement": data.hex()})["value"]["body"])
    return encode_entry(
        Entry(
            format=1,
            statement=data if reason is None else header_of(data, body),
            statement_sha256=None if reason is None else sha256_of(data),
            algorithm="ed25519",
            signature=CLERK.key.sign(signed_message(data)),
            batch=None,
            recorded_at=BEGIN + place,
            disposition="accepted" if reason is None else "rejected",
            reason=reason,
            rules=sha256(b"rules").digest(),
            subject_version=place if reason is None else None,
            case_version=place if reason is None else None,
        )
    )
