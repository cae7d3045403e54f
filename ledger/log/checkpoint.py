"""
Checkpoints: what the log signs, and what a witness signs beside it.

A checkpoint is signed twice by the log, with Ed25519 (0x01) and, as a cosignature under the
origin's own name, with ML-DSA-44 (0x06): evidence outlives Ed25519. There are no extension lines;
one of the two forms would not cover them.

Keys stay where they are: a signer is a public key and a function.

Sources: C2SP signed-note, tlog-checkpoint and tlog-cosignature at 5ba5ee83.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.verify import (
    COSIGNATURE_ED25519,
    ED25519,
    ML_DSA_44,
    Checkpoint,
    FormatError,
    Note,
    NoteSignature,
    VerifierKey,
    format_checkpoint,
    format_note,
    format_vkey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    signed_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "ALGORITHMS",
    "NoteSigner",
    "cosign",
    "format_vkey",
    "log_signer",
    "parse_vkey",
    "sign_checkpoint",
    "size_of",
    "witness_signer",
]

ALGORITHMS: Final = {"ed25519": ED25519, "ml_dsa_44": ML_DSA_44}
"""The code list ``algorithms``, and what it is in a note when the log signs."""


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """
    A name, a key, and a function that signs with it.

    Attributes:
        key: the public half, as verifiers know it.
        sign: signed bytes in; 64 bytes (Ed25519) or 2420 bytes (ML-DSA-44) out.
    """

    key: VerifierKey
    sign: Callable[[bytes], bytes]

    @property
    def vkey(self) -> str:
        """The text by which others configure this key."""
        return format_vkey(self.key)


def log_signer(origin: str, algorithm: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> NoteSigner:
    """
    A signer of the log itself, under its origin.

    Args:
        origin: without spaces and plus signs, at most 255 bytes.
        algorithm: ``ed25519`` or ``ml_dsa_44``.
        public_key: raw, 32 or 1312 bytes.
        sign: see ``NoteSigner``.

    Raises:
        FormatError: a key or a name that no verifier would read.
    """
    return _signer(VerifierKey(origin, ALGORITHMS[algorithm], public_key), sign)


def witness_signer(name: str, algorithm: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> NoteSigner:
    """A signer of a witness: 0x04 for ``ed25519``, 0x06 for ``ml_dsa_44``; otherwise as a log's."""
    code = COSIGNATURE_ED25519 if algorithm == "ed25519" else ALGORITHMS[algorithm]
    return _signer(VerifierKey(name, code, public_key), sign)


def _signer(key: VerifierKey, sign: Callable[[bytes], bytes]) -> NoteSigner:
    # What is written here must be readable there: the parser is the rule.
    return NoteSigner(parse_vkey(format_vkey(key)), sign)


def _line(signer: NoteSigner, checkpoint: Checkpoint, at: int) -> NoteSignature:
    stamp = b"" if signer.key.algorithm == ED25519 else at.to_bytes(8, "big")
    signature = signer.sign(signed_bytes(signer.key, checkpoint, at))
    return NoteSignature(signer.key.name, signer.key.key_id, stamp + signature)


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[NoteSigner], *, at: int) -> bytes:
    """
    The signed note of a checkpoint, one line per signer, in the order given.

    Args:
        checkpoint: origin, size, root.
        signers: at least one.
        at: POSIX seconds, for the forms that hold a time; 0 makes no statement of time.

    Raises:
        FormatError: the checkpoint could not be read back.
    """
    text = format_checkpoint(checkpoint)
    if parse_checkpoint(text) != checkpoint:
        raise FormatError("does not read back as it was written", field="checkpoint")
    note = format_note(Note(text, tuple(_line(signer, checkpoint, at) for signer in signers)))
    parse_note(note)
    return note


def size_of(note: bytes) -> int:
    """
    How many entries a checkpoint of our own covers: its second line; 0 for a file left empty.

    Cost: far less than parsing, for notes that this log has signed itself; nothing is checked.
    """
    return int(note.split(b"\n", 2)[1]) if note else 0


def cosign(note: bytes, signer: NoteSigner, *, at: int) -> bytes:
    """
    The note with one line more. Whether the checkpoint deserves it is the witness's to know.

    Args:
        note: a signed checkpoint.
        signer: of the witness.
        at: POSIX seconds.
    """
    signed = parse_note(note)
    line = _line(signer, parse_checkpoint(signed.text), at)
    return format_note(replace(signed, signatures=(*signed.signatures, line)))
