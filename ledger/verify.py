#!/usr/bin/env python3
"""
Verify a Comity bundle with nothing but Python: one file, standard library only.

    python3 verify.py BUNDLE.zip [--pin HEX] [--policy FILE] [--json]

A bundle is a ZIP of entries of one ledger with everything needed to check them. Each entry holds a
statement that an authority signed. What is checked, in this order, and the name under which a
failure is reported:

    1 container    the ZIP says one thing only: stored members, no gaps, no second reading
    2 manifest     every member is the one that the manifest names by SHA-256
    3 founding     entry 0 founds this ledger; its leaf hash is the one that you pinned
    4 inclusion    every entry is a leaf under the root of the checkpoint (RFC 6962 §2.1.1)
    5 roster       who may sign: each enrolment, rotation and revocation, in order, by its rules
    6 checkpoint   the log signed that root, with every key that the roster gives it
    7 policy       enough witnesses cosigned it (only with --policy)
    8 signature    every statement is signed by its publisher's key, valid at that index
    9 streams      versions, sequences and times run forward; holes are named as withheld
    10 attachments every attachment, law edition and schema is the one committed to

Exit status: 0 verified, 1 not verified (naming step and entry), 2 malformed, 3 policy not met,
64 usage.

An entry proves that an authority *said* something at a time. Whether it is true stays a claim.

Specifications: RFC 6962 and RFC 9162 (tree), RFC 8032 (Ed25519), FIPS 204 (ML-DSA-44, where the
``cryptography`` package is present), and signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof
and tlog-policy of C2SP at 5ba5ee83. The service imports this very file, with a faster signature
function.
"""

from __future__ import annotations

import argparse
import binascii
import json
import re
import struct
import sys
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256, sha512
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

Ed25519 = Callable[[bytes, bytes, bytes], bool]
"""(public key of 32 bytes, signed bytes, signature of 64 bytes) -> whether it holds."""


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
        step: the numbered step that failed, such as ``4 inclusion``.
        index: the entry concerned; None where the step is not about one entry.
    """

    def __init__(self, what: str, *, step: str, index: int | None = None) -> None:
        where = f"step {step}" if index is None else f"step {step}, entry {index}"
        super().__init__(f"{where}: {what}")
        self.what = what
        self.step = step
        self.index = index


class PolicyNotMet(NotVerified):
    """The log signed this checkpoint, but too few of the witnesses that the policy wants did."""


# ------------------------------------------------------------------- the tree (RFC 6962, RFC 9162)

EMPTY_ROOT = sha256().digest()
PATH_MAX = 63  # hashes; a tree of 2**63 leaves


def leaf_hash(entry: bytes) -> bytes:
    """The Merkle leaf of an entry (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The Merkle node over two subtrees (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """
    The root over leaf hashes, each 32 bytes; the SHA-256 of nothing for none (RFC 6962 §2.1).

    Cost: one hash per leaf, O(log n) memory.
    """
    stack: list[bytes] = []
    for index, leaf in enumerate(leaf_hashes):
        node = leaf
        while index & 1:  # each trailing 1 of the index closes a complete subtree
            node = node_hash(stack.pop(), node)
            index >>= 1  # noqa: PLW2901 -- climbs with the node
        stack.append(node)
    while len(stack) > 1:
        right = stack.pop()
        stack.append(node_hash(stack.pop(), right))
    return stack[0] if stack else EMPTY_ROOT


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """
    The root that an inclusion path leads to (RFC 9162 §2.1.3.2).

    Args:
        leaf: leaf hash, 32 bytes.
        index: of the leaf, 0-based.
        size: of the tree.
        path: 32 bytes each, the leaf's sibling first.

    Raises:
        NotVerified: the path is not one for this index and size.
    """
    step = "4 inclusion"
    if not 0 <= index < size:
        raise NotVerified(f"no leaf {index} in a tree of size {size}", step=step, index=index)
    if len(path) > PATH_MAX or any(len(node) != 32 for node in path):
        raise NotVerified("the path is not of 32-byte hashes", step=step, index=index)
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise NotVerified("the path is too long", step=step, index=index)
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise NotVerified("the path is too short", step=step, index=index)
    return node


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """
    Raise NotVerified unless ``leaf`` stands at ``index`` under ``root`` (RFC 9162 §2.1.3.2).

    Shapes as in ``root_by_path``. Cost: one hash per element of the path.
    """
    if root_by_path(leaf, index, size, path) != root:
        what = "the entry is not under this root: it or its proof was altered"
        raise NotVerified(what, step="4 inclusion", index=index)


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """
    Raise NotVerified unless the tree of size ``new`` extends that of size ``old``.

    From size 0 everything extends, which proves nothing: it is rejected here, and a witness, whose
    protocol wants an empty proof then, treats it before asking. Equal sizes want equal roots and
    an empty path. Cost: two hashes per element. Source: RFC 9162 §2.1.4.2.
    """
    step = "consistency"
    if not 0 < old <= new:
        raise NotVerified(f"no consistency from size {old} to {new}", step=step)
    if len(path) > PATH_MAX or any(len(node) != 32 for node in path):
        raise NotVerified("the path is not of 32-byte hashes", step=step)
    if old == new:
        if path or old_root != new_root:
            raise NotVerified("two roots for one size", step=step)
        return
    rest = list(path)
    if not old & (old - 1):  # a power of two is a complete subtree: its root opens the path
        rest.insert(0, old_root)
    if not rest:
        raise NotVerified("the path is empty", step=step)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = rest[0]
    for node in rest[1:]:
        if last == 0:
            raise NotVerified("the path is too long", step=step)
        if at & 1 or at == last:
            was, now = node_hash(node, was), node_hash(node, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, node)
        at, last = at >> 1, last >> 1
    if last or was != old_root or now != new_root:
        raise NotVerified("the later tree does not extend the earlier one", step=step)


# ----------------------------------------------------------------------------- Ed25519 (RFC 8032)
#
# Libraries disagree on the edge cases, and between States a disagreement is a repudiation. One rule
# everywhere: A and R canonical, neither of small order, s < L, and the equation without cofactor,
# compared as bytes. At registration the key must also lie in the prime-order subgroup, so that no
# holder of a crafted key can later sign what only some verifiers accept.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_D2 = 2 * _D % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z
_ZERO: _Point = (0, 1, 1, 0)

# The eight points of order 1, 2, 4 and 8, canonically encoded.
_SMALL = frozenset(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)


def _add(left: _Point, right: _Point) -> _Point:
    """RFC 8032 §5.1.4; complete, so that it also doubles."""
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = t1 * _D2 * t2 % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(point: _Point) -> _Point:
    """RFC 8032 §5.1.4."""
    x, y, z, _ = point
    a, b = x * x % _P, y * y % _P
    h = a + b
    e = h - (x + y) * (x + y) % _P
    g = a - b
    f = 2 * z * z % _P + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


@lru_cache(maxsize=4096)
def _decode_point(data: bytes) -> _Point | None:
    """RFC 8032 §5.1.3; None unless canonical and on the curve."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == _P - u and u:
        x = x * _ROOT_OF_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def _encode_point(point: _Point) -> bytes:
    """RFC 8032 §5.1.2; always canonical."""
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    return ((y * inverse % _P) | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _multiply(scalar: int, point: _Point) -> _Point:
    """Scalar times point by windows of four bits. Cost: 256 doublings, at most 79 additions."""
    table = [_ZERO, point]
    for _ in range(14):
        table.append(_add(table[-1], point))
    product = _ZERO
    for shift in range(252, -1, -4):
        product = _double(_double(_double(_double(product))))
        window = scalar >> shift & 15
        if window:
            product = _add(product, table[window])
    return product


@lru_cache(maxsize=1)
def _base_table() -> list[list[_Point]]:
    """The multiples 0..15 of 16**i times the base point, once per process (about 10 ms)."""
    y = 4 * pow(5, -1, _P) % _P
    base = _decode_point(y.to_bytes(32, "little"))
    assert base is not None  # noqa: S101 -- the base point is on the curve
    rows = []
    for _ in range(64):
        row = [_ZERO]
        for _ in range(15):
            row.append(_add(row[-1], base))
        rows.append(row)
        base = _add(row[-1], base)
    return rows


def strict_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """
    Whether the signature holds by the one rule of this ledger (RFC 8032 §5.1.7, made strict).

    Args:
        public_key: A, 32 bytes; rejected if not canonical or of small order.
        message: the signed bytes.
        signature: R and s, 64 bytes; rejected if R is not canonical or of small order, or s >= L.

    Cost: about 2 ms, after 10 ms once per process.
    """
    if len(public_key) != 32 or len(signature) != 64 or public_key in _SMALL:
        return False
    point, s = signature[:32], int.from_bytes(signature[32:], "little")
    negated = _decode_point(public_key)
    if negated is None or s >= _L or point in _SMALL:
        return False
    h = int.from_bytes(sha512(point + public_key + message).digest(), "little") % _L
    x, y, z, t = negated
    total = _multiply(h, (_P - x, y, z, _P - t))
    for row in _base_table():
        total = _add(total, row[s & 15])
        s >>= 4
    # R itself is never decoded: only a canonical R can equal the canonical encoding of sB - hA.
    return _encode_point(total) == point


def acceptable_key(public_key: bytes) -> bool:
    """
    Whether a key may be registered: canonical, on the curve and in the prime-order subgroup.

    The last excludes points of small and of mixed order. It is asked once, at registration:
    verification then needs no more than the strict rule. Cost: about 2 ms.
    """
    if len(public_key) != 32 or public_key in _SMALL:
        return False
    point = _decode_point(public_key)
    return point is not None and _encode_point(_multiply(_L, point)) == _encode_point(_ZERO)


def ml_dsa_44(public_key: bytes, message: bytes, signature: bytes) -> bool | None:
    """
    Whether an ML-DSA-44 signature holds (FIPS 204); None where ``cryptography`` is not present.

    Args:
        public_key: 1312 bytes.
        message: the signed bytes.
        signature: 2420 bytes.
    """
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- optional
        from cryptography.hazmat.primitives.asymmetric.mldsa import (  # noqa: PLC0415 -- optional
            MLDSA44PublicKey,
        )
    except ImportError:
        return None
    if len(public_key) != 1312 or len(signature) != 2420:
        return False
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# ------------------------------------------- notes and checkpoints (C2SP signed-note, tlog-checkpoint)

NOTE_MAX = 512 * 1024  # bytes: 128 signatures by ML-DSA-44
SIGNATURES_MAX = 128
NAME_MAX = 255  # bytes: what the cosigned structure can hold
SIZE_MAX = 2**63 - 1
ED25519, COSIGNATURE_ED25519, ML_DSA_44 = 0x01, 0x04, 0x06
_KEY_BYTES = {ED25519: 32, COSIGNATURE_ED25519: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE_ED25519: 72, ML_DSA_44: 2428}


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the signer's name, key id (4 bytes), and what the algorithm made."""

    name: str
    key_id: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A signed text, with its final newline, and its signature lines in order."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that signs notes: its name, algorithm (0x01, 0x04 or 0x06) and raw public key."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name, newline, algorithm, public key) (signed-note)."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return sha256(named).digest()[:4]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log signs: its origin, the size of its tree, and the root, 32 bytes."""

    origin: str
    size: int
    root: bytes


def _base64(text: str, what: str) -> bytes:
    """Standard base64 in its only form: padded, no stray bits (RFC 4648 §4, §3.5)."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise FormatError("not base64", field=what) from None
    if b64encode(data).decode() != text:
        raise FormatError("not canonical base64", field=what)
    return data


def _decimal(text: str, what: str) -> int:
    """An ASCII decimal without leading zeroes, at most 2**63 - 1."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text, re.ASCII) or int(text) > SIZE_MAX:
        raise FormatError("not a decimal number", field=what)
    return int(text)


def _check_name(name: str) -> None:
    """A key name: not empty, without spaces, plus signs and control characters (signed-note)."""
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise FormatError("not a key name", field="name")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise FormatError("not a key name", field="name") from None
    if length > NAME_MAX:
        raise FormatError("longer than 255 bytes", field="name")


def parse_note(data: bytes) -> Note:
    """
    Read a signed note, without verifying anything.

    Raises:
        FormatError: not a signed note of at most 512 KiB and 128 signatures.

    Source: C2SP signed-note.
    """
    if len(data) > NOTE_MAX:
        raise FormatError("longer than 512 KiB", field="note")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise FormatError("not UTF-8", field="note") from None
    if any(c < " " and c != "\n" for c in whole):
        raise FormatError("control characters", field="note")
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not text or not tail.endswith("\n"):
        raise FormatError("no text, blank line and signature lines", field="note")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise FormatError("more than 128 signatures", field="note")
    signatures = []
    for line in lines:
        dash, name, encoded, *rest = [*line.split(" "), "", ""]
        if dash != "—" or rest != ["", ""]:
            raise FormatError("not a signature line", field="note")
        _check_name(name)
        blob = _base64(encoded, "signature")
        if len(blob) < 5:
            raise FormatError("no signature after the key id", field="signature")
        signatures.append(NoteSignature(name, blob[:4], blob[4:]))
    return Note(text + "\n", tuple(signatures))


def format_note(note: Note) -> bytes:
    """The bytes of a note, such that ``parse_note`` gives it back."""
    lines = [f"— {line.name} {b64encode(line.key_id + line.blob).decode()}\n" for line in note.signatures]
    return (note.text + "\n" + "".join(lines)).encode()


def parse_vkey(text: str) -> VerifierKey:
    """
    Read a verifier key, ``name+keyid+base64``, and check that its id is that of its key.

    Raises:
        FormatError: not one, or of another algorithm than Ed25519 (0x01, 0x04) and ML-DSA-44 (0x06).
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    _check_name(name)
    data = _base64(encoded, "vkey")
    if not data or len(data) - 1 != _KEY_BYTES.get(data[0]):
        raise FormatError("unknown algorithm or wrong length", field="vkey")
    key = VerifierKey(name, data[0], data[1:])
    if key.key_id.hex() != key_id:
        raise FormatError("the key id is another", field="vkey")
    return key


def format_vkey(key: VerifierKey) -> str:
    """The text of a verifier key (signed-note, verifier keys)."""
    material = b64encode(bytes([key.algorithm]) + key.public_key).decode()
    return f"{key.name}+{key.key_id.hex()}+{material}"


def parse_checkpoint(text: str) -> Checkpoint:
    """
    Read the text of a checkpoint: exactly origin, size and root.

    Extension lines are refused: one of the two cosignature forms does not cover them.

    Raises:
        FormatError: anything else. Source: C2SP tlog-checkpoint.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise FormatError("not exactly three lines", field="checkpoint")
    origin, size, encoded, _ = lines
    if not origin or any(c < " " for c in origin):
        raise FormatError("no origin", field="checkpoint")
    root = _base64(encoded, "checkpoint")
    if len(root) != 32:
        raise FormatError("the root is not of 32 bytes", field="checkpoint")
    return Checkpoint(origin, _decimal(size, "checkpoint"), root)


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text of a checkpoint, with its final newline."""
    root = b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def signed_bytes(key: VerifierKey, checkpoint: Checkpoint, at: int) -> bytes:
    """
    What ``key`` signs under a checkpoint (signed-note; tlog-cosignature, both forms).

    Args:
        key: for 0x01 the text itself is signed; 0x04 puts a time before it; 0x06 signs a structure
            that also names the cosigner (114 bytes for names of 44 bytes in all).
        checkpoint: its text has no extension lines.
        at: POSIX seconds of a cosignature; 0 makes no statement of time. Unused for 0x01.
    """
    text = format_checkpoint(checkpoint).encode()
    if key.algorithm == ED25519:
        return text
    if key.algorithm == COSIGNATURE_ED25519:
        return b"cosignature/v1\ntime %d\n" % at + text
    name, origin = key.name.encode(), checkpoint.origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(name)]) + name,
            at.to_bytes(8, "big"),
            bytes([len(origin)]) + origin,
            struct.pack(">QQ", 0, checkpoint.size),
            checkpoint.root,
        )
    )


@dataclass(frozen=True, slots=True)
class Signed:
    """A known key's line under a checkpoint: when (0 = unsaid), and whether we could check it."""

    key: VerifierKey
    at: int
    checked: bool


def check_signatures(note: Note, checkpoint: Checkpoint, keys: Iterable[VerifierKey], ed25519: Ed25519) -> list[Signed]:
    """
    The lines of ``note`` that known keys made; lines by unknown keys are ignored.

    ML-DSA-44 lines that cannot be checked here are returned as unchecked.

    Raises:
        NotVerified: a line of a known key does not hold; the whole note is then worthless.
    """
    known = {(key.name, key.key_id): key for key in keys}
    signed = []
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        what = f"the signature of {key.name} ({key.key_id.hex()}) does not hold"
        wrong = NotVerified(what, step="6 checkpoint")
        if len(line.blob) != _SIGNATURE_BYTES[key.algorithm]:
            raise wrong
        stamp = line.blob[:8] if key.algorithm != ED25519 else b""
        at = int.from_bytes(stamp, "big")
        too_long = key.algorithm == ML_DSA_44 and len(checkpoint.origin.encode()) > NAME_MAX
        if at > SIZE_MAX or too_long:
            raise wrong
        verify = ml_dsa_44 if key.algorithm == ML_DSA_44 else ed25519
        holds = verify(key.public_key, signed_bytes(key, checkpoint, at), line.blob[len(stamp) :])
        if holds is False:
            raise wrong
        signed.append(Signed(key, at, checked=holds is True))
    return signed


# -------------------------------------------------------------------- proofs (C2SP tlog-proof)

_PROOF_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof: index, path (32 bytes each, sibling first), checkpoint note as it is."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None  # authenticated by nothing


def parse_proof(data: bytes) -> Proof:
    """
    Read a tlog-proof, without verifying anything; its checkpoint is left as bytes.

    Raises:
        FormatError: not one, or longer than a note and 63 hashes can be.
    """
    if len(data) > NOTE_MAX + 8192:
        raise FormatError("too long", field="proof")
    head, blank, note = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise FormatError("not ASCII before the checkpoint", field="proof") from None
    if not blank or first != _PROOF_HEADER or not lines:
        raise FormatError("not a tlog-proof", field="proof")
    extra = None
    if lines[0].startswith("extra "):
        extra = _base64(lines.pop(0)[6:], "extra")
    if not lines or not lines[0].startswith("index "):
        raise FormatError("no index", field="proof")
    index = _decimal(lines[0][6:], "index")
    path = tuple(_base64(line, "path") for line in lines[1:])
    if len(path) > PATH_MAX or any(len(node) != 32 for node in path):
        raise FormatError("not a path of 32-byte hashes", field="path")
    return Proof(index, path, note, extra)


def format_proof(proof: Proof) -> bytes:
    """The bytes of a tlog-proof, such that ``parse_proof`` gives it back."""
    lines = [_PROOF_HEADER]
    if proof.extra is not None:
        lines.append("extra " + b64encode(proof.extra).decode())
    lines += [f"index {proof.index}", *(b64encode(node).decode() for node in proof.path)]
    return "\n".join(lines).encode() + b"\n\n" + proof.note


# ------------------------------------------------------------------- policies (C2SP tlog-policy)


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Which logs and witnesses count, and how many.

    Attributes:
        logs: keys of the logs; may be empty, then the roster alone says.
        witnesses: by name; names are octets.
        groups: by name: how many of which members.
        quorum: name of a witness or group; None asks for no cosignature.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[bytes, VerifierKey]
    groups: Mapping[bytes, tuple[int, tuple[bytes, ...]]]
    quorum: bytes | None

    def met(self, cosigners: Iterable[VerifierKey]) -> bool:
        """Whether these keys, each of which cosigned, make the quorum."""
        signed = set(cosigners)
        have = {name: key in signed for name, key in self.witnesses.items()}
        for name, (k, members) in self.groups.items():  # members stand before their group
            have[name] = sum(have[member] for member in members) >= k
        return self.quorum is None or have[self.quorum]


def parse_policy(data: bytes) -> Policy:
    """
    Read a tlog-policy: lines ``log``, ``witness``, ``group`` and exactly one ``quorum``.

    Raises:
        FormatError: naming the line; also where a key stands twice, a name is defined twice or used
            before it is defined, or a name is a member of two groups. At most 1 MiB, 1024 lines.
    """
    if len(data) > 2**20 or data.count(b"\n") > 1024 or re.search(rb"[^\t\n -~\x80-\xff]", data):
        raise FormatError("too long, or control characters", field="policy")
    logs: list[VerifierKey] = []
    witnesses: dict[bytes, VerifierKey] = {}
    groups: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
    members_used: set[bytes] = set()
    quorum: list[bytes | None] = []

    for number, line in enumerate(data.split(b"\n"), 1):
        where = f"policy line {number}"
        words = re.split(rb"[ \t]+", line.strip(b" \t"))
        if words == [b""] or words[0].startswith(b"#"):
            continue
        match words:
            case [b"log", vkey, *url] if len(url) <= 1:
                logs.append(_policy_key(vkey, (ED25519, ML_DSA_44), where))
                if len({key.public_key for key in logs}) != len(logs):
                    raise FormatError("a log key stands twice", field=where)
            case [b"witness", name, vkey, *url] if len(url) <= 1:
                _check_new(name, witnesses, groups, where)
                witnesses[name] = _policy_key(vkey, (COSIGNATURE_ED25519, ML_DSA_44), where)
                if len({key.public_key for key in witnesses.values()}) != len(witnesses):
                    raise FormatError("a witness key stands twice", field=where)
            case [b"group", name, threshold, *members] if members:
                _check_new(name, witnesses, groups, where)
                if len(set(members)) != len(members) or not members_used.isdisjoint(members):
                    raise FormatError("a member of two groups, or twice of one", field=where)
                if not all(member in witnesses or member in groups for member in members):
                    raise FormatError("a member that is not defined above", field=where)
                members_used.update(members)
                some = {b"any": b"1", b"all": b"%d" % len(members)}.get(threshold, threshold)
                k = _decimal(some.decode("latin-1"), where)
                if not 1 <= k <= len(members):
                    raise FormatError("a threshold out of reach", field=where)
                groups[name] = (k, tuple(members))
            case [b"quorum", name] if not quorum:
                if name != b"none" and name not in witnesses and name not in groups:
                    raise FormatError("a quorum that is not defined above", field=where)
                quorum.append(None if name == b"none" else name)
            case _:
                raise FormatError("not a line of a policy", field=where)
    if not quorum:
        raise FormatError("no quorum line", field="policy")
    return Policy(tuple(logs), witnesses, groups, quorum[0])


def _policy_key(vkey: bytes, algorithms: tuple[int, ...], where: str) -> VerifierKey:
    """A key of a policy, for the function that its line gives it."""
    try:
        key = parse_vkey(vkey.decode())
    except ValueError as error:
        raise FormatError(f"not a key that is supported here ({error})", field=where) from None
    if key.algorithm not in algorithms:
        raise FormatError("a key of another function", field=where)
    return key


def _check_new(name: bytes, witnesses: Mapping[bytes, Any], groups: Mapping[bytes, Any], where: str) -> None:
    """Witnesses and groups share one space of names, in which ``none`` is taken."""
    if name == b"none" or name in witnesses or name in groups:
        raise FormatError("a name that is taken", field=where)
