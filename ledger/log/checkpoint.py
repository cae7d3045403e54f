"""
Sign checkpoints and other notes of a log.

A checkpoint carries two lines under the origin's name: Ed25519 (0x01, over the text), and
ML-DSA-44 (0x06, a tlog-cosignature over the whole tree), because evidence outlives Ed25519.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.verify import (
    ED25519,
    ML_DSA_44,
    Checkpoint,
    Note,
    NoteSignature,
    VerifierKey,
    format_checkpoint,
    format_note,
    signed_bytes,
)

KeyPair = tuple[bytes, Callable[[bytes], bytes]]
"""A raw public key, and the function that signs with its private key."""


def sign_checkpoint(origin: str, size: int, root: bytes, *, ed25519: KeyPair, ml_dsa_44: KeyPair, at: int) -> bytes:
    """
    Return the signed note of a checkpoint.

    Args:
        origin: name of the log, and of both its keys.
        size: leaves under the root.
        root: 32 bytes.
        ed25519: the log's first key.
        ml_dsa_44: the log's second key.
        at: POSIX seconds; the cosignature says that the log was seen then.

    Source: C2SP tlog-checkpoint, signed-note, tlog-cosignature. Cost: about 0.7 ms.
    """
    checkpoint = Checkpoint(origin, size, root)
    first = VerifierKey(origin, ED25519, ed25519[0])
    second = VerifierKey(origin, ML_DSA_44, ml_dsa_44[0])
    stamp = at.to_bytes(8, "big")
    lines = (
        NoteSignature(origin, first.key_id, ed25519[1](signed_bytes(first, checkpoint, 0))),
        NoteSignature(origin, second.key_id, stamp + ml_dsa_44[1](signed_bytes(second, checkpoint, at))),
    )
    return format_note(Note(format_checkpoint(checkpoint), lines))


def sign_text(text: str, name: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Return *text*, which ends with a newline, as a note with one Ed25519 line of *name*."""
    key = VerifierKey(name, ED25519, public_key)
    return format_note(Note(text, (NoteSignature(name, key.key_id, sign(text.encode())),)))
