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

It is one long file on purpose: whoever doubts a bundle can take this file alone, from a source that
they trust, compare its hash, and run it on any computer; nothing is installed, fetched or imported
beside it. Read it from its end: ``main`` says how it is asked, ``verify_bundle`` calls the ten steps,
``_Bundle`` has one method for each. Each part above needs only those before it, and the line of
dashes that opens it names the specification that it can be compared with: the tree, Ed25519, notes
and checkpoints, proofs, policies, statement and entry, the roster, the container.

Specifications: RFC 6962 and RFC 9162 (tree), RFC 8032 (Ed25519), FIPS 204 (ML-DSA-44, where the
``cryptography`` package is present), and signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof
and tlog-policy of C2SP at 5ba5ee83. The service imports this very file, with a faster signature
function.
"""

from __future__ import annotations

import argparse
import binascii
import io
import json
import re
import struct
import sys
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256, sha512
from pathlib import Path
from types import NoneType, SimpleNamespace
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


def small_order(point: bytes) -> bool:
    """Whether these 32 bytes are the canonical encoding of a point of order 1, 2, 4 or 8."""
    return point in _SMALL


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
    assert base is not None
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
    if re.search("[\0-\t\v-\x1f]", whole):
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
    return join_proof(proof.index, b"".join(map(binascii.b2a_base64, proof.path)), proof.note, proof.extra)


def join_proof(index: int, path: bytes, note: bytes, extra: bytes | None = None) -> bytes:
    """The bytes of a tlog-proof whose *path* is text already: one line of base64 for each hash."""
    said = b"" if extra is None else b"extra " + b64encode(extra) + b"\n"
    return b"%s\n%sindex %d\n%s\n%s" % (_PROOF_HEADER.encode(), said, index, path, note)


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


# ---------------------------------------------------- statement and entry (schemas/*.avsc, Avro 1.12)
#
# The shapes, literally: an int is a fixed of that many bytes; int, bool, str, bytes are themselves;
# a tuple of strings is an enum; (None, x) is null or x; [x] is an array; pairs are a record.
# A test holds them against the schema files.

# fmt: off
STATEMENT = (
    ("id", 16), ("ledger", str), ("publisher", 16), ("key", 32), ("sequence", int),
    ("voice", ("own", "on_behalf", "reported")),
    ("speaker", (None, (
        ("authority", (None, 16)), ("country", (None, str)), ("authority_kind", (None, str)), ("mandate", (None, 16)),
        ("source", (None, str)),
    ))),
    ("case", 16), ("subject", 16), ("act", str), ("version", int), ("kind", ("act", "decision", "claim", "assessment")),
    ("occurred_from", int), ("occurred_until", int), ("occurred_confirmed", bool), ("zone", str),
    ("legal_effect_at", (None, int)), ("known_at", (None, int)), ("addressees", [16]),
    ("visibility", (("ring", ("addressees", "case", "oversight", "public")), ("embargo_until", (None, int)))),
    ("proceedings", [16]), ("language", str), ("local_reference", (None, 32)),
    ("basis", [(("instrument", str), ("article", (None, str)), ("domestic", bool))]),
    ("answers", [16]), ("corrects", (None, 16)),
    ("attachments", [(
        ("role", str), ("commitment", 32), ("key_commitment", (None, 32)), ("size", int), ("media_type", str),
    )]),
    ("body", bytes),
)
ENTRY = (
    ("format", int), ("statement", bytes), ("statement_sha256", (None, 32)),
    ("algorithm", ("ed25519",)), ("signature", 64),
    ("batch", (None, (("size", int), ("index", int), ("path", [32])))),
    ("recorded_at", int), ("disposition", ("accepted", "rejected")), ("reason", (None, str)), ("rules", 32),
    ("subject_version", (None, int)), ("case_version", (None, int)),
)
_PROVEN = (("public_key", 32), ("possession", 64))
_ROOT = (("holder", str), ("authority", 16), *_PROVEN, ("enrolls", str))
_ENDORSED = ("endorsements", [(("root", 16), ("signature", 64))])
ROSTER_ACTS: dict[str, Any] = {
    "ledger.founded": (
        ("origin", str), ("log_keys", [(("algorithm", str), ("public_key", bytes))]),
        ("operator", 16), ("operator_key", 32), ("roots", [_ROOT]), ("quorum", int),
    ),
    "root.admitted": (*_ROOT, _ENDORSED),
    "root_key.replaced": (("authority", 16), *_PROVEN, _ENDORSED),
    "log_key.replaced": (
        ("old_key", 32), ("algorithm", str), ("public_key", bytes), ("possession", bytes), _ENDORSED,
    ),
    "authority.enrolled": (
        ("holder", str), ("authority_kind", str), ("designation", (None, str)), ("country", str), ("zone", str),
        ("languages", [str]), ("functions", [str]), ("level", str),
        ("public_key", (None, 32)), ("possession", (None, 64)),
    ),
    "key.certified": _PROVEN,
    "key.rotated": (("old_key", 32), *_PROVEN),
    "key.revoked": (("key", 32), ("invalid_from", int), ("suspect_from", int), ("reason", str)),
    "key.retired": (("key", 32),),
    "roster.confirmed": (("size", int), ("roster_digest", 32)),
}
# fmt: on


class _Decoder:
    """Reads the one encoding of a value; anything else is a FormatError naming the field."""

    def __init__(self, data: bytes, record: Callable[..., Any], array: Callable[[list[Any]], Any]) -> None:
        self.data, self.at, self.record, self.array = data, 0, record, array

    def take(self, count: int, where: str) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise FormatError("is cut short", field=where)
        self.at += count
        return self.data[self.at - count : self.at]

    def long(self, where: str) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1, where)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise FormatError("is longer than 64 bits", field=where)
        if value >> 64 or (shift and not byte):
            raise FormatError("is not a number in its shortest form", field=where)
        return value >> 1 ^ -(value & 1)

    def value(self, shape: Any, where: str) -> Any:
        if shape is int:
            return self.long(where)
        if isinstance(shape, int):
            return self.take(shape, where)
        if shape is bool:
            return self.choice(2, where, self.take(1, where)[0]) == 1
        if shape in {str, bytes} if isinstance(shape, type) else False:
            data = self.take(self.long(where), where)
            if shape is bytes:
                return data
            try:
                return data.decode()
            except UnicodeDecodeError:
                raise FormatError("is not UTF-8", field=where) from None
        if isinstance(shape, list):
            count = self.long(where)
            items = [self.value(shape[0], f"{where}[{number}]") for number in range(self.within(count, where))]
            if count and self.long(where):
                raise FormatError("is an array in more than one block", field=where)
            return self.array(items)
        if shape[0] is None:
            return self.value(shape[1], where) if self.choice(2, where, self.long(where)) else None
        if isinstance(shape[0], str):
            return shape[self.choice(len(shape), where, self.long(where))]
        inside = where and where + "."
        return self.record(**{name: self.value(inner, inside + name) for name, inner in shape})

    def choice(self, count: int, where: str, chosen: int) -> int:
        if not 0 <= chosen < count:
            raise FormatError(f"chooses {chosen} of {count}", field=where)
        return chosen

    def within(self, count: int, where: str) -> int:
        if not 0 <= count <= len(self.data) - self.at:  # every item takes at least one byte
            raise FormatError("is cut short", field=where)
        return count


def _decode(shape: Any, data: bytes, what: str, record: Callable[..., Any], array: Callable[[list[Any]], Any]) -> Any:
    decoder = _Decoder(data, record, array)
    value = decoder.value(shape, "")
    if decoder.at != len(data):
        raise FormatError("is followed by other bytes", field=what)
    return value


def decode_statement(data: bytes) -> Any:
    """
    The fields of a statement as attributes, arrays as tuples; strict, of at most 60,000 bytes.

    Raises:
        FormatError: naming the field. Only the encoding is judged, not code lists and patterns.
    """
    if len(data) > 60_000:
        raise FormatError("is longer than 60,000 bytes", field="statement")
    return _decode(STATEMENT, data, "statement", SimpleNamespace, tuple)


def decode_header(prefix: bytes) -> Any:
    """What a rejected entry keeps: the statement up to its body, which is here ``b""``."""
    return decode_statement(prefix + b"\x00")


def decode_entry(data: bytes) -> Any:
    """The fields of an entry as attributes; strict, of at most 65,535 bytes and format 1."""
    if len(data) > 65_535:
        raise FormatError("is longer than 65,535 bytes", field="entry")
    entry = _decode(ENTRY, data, "entry", SimpleNamespace, tuple)
    if entry.format != 1:
        raise FormatError(f"is {entry.format}; this reads format 1", field="format")
    return entry


def decode_body(act: str, data: bytes) -> dict[str, Any]:
    """The body of an act of the roster, version 1, as nested dicts and lists; strict."""
    decoded: dict[str, Any] = _decode(ROSTER_ACTS[act], data, "body", dict, list)
    return decoded


# ------------------------------------------------------------------------- the roster: who may sign


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority as it was enrolled. ``enrolls`` is set for roots: whose authorities they enrol."""

    id: bytes
    index: int
    kind: str
    holder: str
    country: str | None = None
    designation: str | None = None
    level: str | None = None
    functions: tuple[str, ...] = ()
    enrolled_by: bytes | None = None
    enrolls: str | None = None


@dataclass(frozen=True, slots=True)
class RosterKey:
    """A key: valid from one index on, suspect from another, invalid from a third (None: not)."""

    id: bytes
    public_key: bytes
    authority: bytes
    valid_from: int
    suspect_from: int | None = None
    invalid_from: int | None = None


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the log: signs checkpoints of sizes above ``after``, up to ``until`` (None: on)."""

    key: VerifierKey
    after: int
    until: int | None = None


_ALGORITHMS = {"ed25519": ED25519, "ml_dsa_44": ML_DSA_44}
_NOT_ENROLLED = {"state_root", "operator"}  # these come by founding and admission alone
_ABOVE_STATES = {
    "union_body": {"union"},
    "international_court": {"court", "union"},
    "international_organisation": {"organisation"},
}


def possession_message(origin: str, authority: bytes, public_key: bytes) -> bytes:
    """What a new key signs to prove that its holder has it."""
    return b"comity.possession.v1\0" + origin.encode() + b"\0" + authority + public_key


def endorsement_message(origin: str, authority: bytes, public_key: bytes) -> bytes:
    """What a root signs to endorse a key of a root, or of the log (then: the operator's id)."""
    return b"comity.endorsement.v1\0" + origin.encode() + b"\0" + authority + public_key


class Roster:
    """
    Who may sign, folded from the acts of the roster in the order of the log.

    The one implementation of these rules: the service judges and folds with it, and so does
    whoever verifies a bundle. By log order alone; no clock is asked. The rules:

    - entry 0 founds the ledger; it is signed by the operator key that it names, and each root of
      it proves possession of its own key. The operator enrols nobody;
    - a root enrols the authorities of its holder, a State's root those of its own country only;
      counsel are enrolled by a court or bar of the holder, and never named;
    - whoever enrols an authority certifies, rotates, retires and revokes its keys, as does the
      root of its holder; an authority rotates and retires its own;
    - each new key signs for itself, is acceptable, and was never anybody's before;
    - a root is admitted by ``quorum`` of the founding roots; its key is replaced by the old key or
      by that quorum; a log key by the old one (whose signature then follows the new one's in
      ``possession``) or by that quorum;
    - every act belongs to the ledger's own case, so that none can be withheld without a hole;
    - a revocation reaches back (``suspect_from <= invalid_from <= index``), and is never undone;
    - the operator's keys are the founding roots' business: ``quorum`` of them revoke one, or certify
      a new one, each by an act of its own, and no root counts twice. With the act that makes the
      quorum the key is ended (a new one is valid from the next index on); before it, nothing is.
      Where the roots name different indexes, a key is contested, or invalid, from the smallest
      index from which ``quorum`` of them say so. An act said under a key that was not valid then,
      as known when the quorum is counted, counts for nobody;
    - a root may confirm the roster at a size by its digest; a wrong digest is rejected.
    """

    def __init__(self, acceptable: Callable[[bytes], bool] = acceptable_key) -> None:
        """Know nobody yet; *acceptable* says whether a key may be registered, as ``acceptable_key`` does."""
        self._acceptable = acceptable
        self.origin = ""
        self.ledger = b""  # its id: the subject of entry 0, and the case of every act of the roster
        self.operator = b""
        self.quorum = 0
        self.confirmed: tuple[int, str] | None = None  # size and holder of the last confirmation
        self._authorities: dict[bytes, Authority] = {}
        self._keys: dict[bytes, RosterKey] = {}
        self._keys_of: dict[bytes, list[bytes]] = {}
        self._log_keys: list[LogKey] = []
        self._marks: list[tuple[int, bytes]] = []  # index of each act folded, digest after it
        # Act and key of the operator -> root, the key that it signed with, index, the indexes that it named.
        self._said: dict[tuple[str, bytes], list[tuple[bytes, bytes, int, tuple[int, int]]]] = {}

    def key(self, key_id: bytes) -> RosterKey | None:
        """The key of this id (SHA-256 of the raw public key), whatever its verdict."""
        return self._keys.get(key_id)

    def authority(self, authority: bytes) -> Authority | None:
        """The authority of this id: roots and the operator too."""
        return self._authorities.get(authority)

    def authorities(self) -> Iterator[Authority]:
        """All authorities, in the order of their enrolment."""
        return iter(self._authorities.values())

    def verdict(self, key_id: bytes, index: int) -> str:
        """``valid``, ``contested``, ``invalid``, or ``unknown``: the key at this index, as known now."""
        key = self._keys.get(key_id)
        if key is None or index < key.valid_from:
            return "unknown"
        if key.invalid_from is not None and index >= key.invalid_from:
            return "invalid"
        return "contested" if key.suspect_from is not None and index >= key.suspect_from else "valid"

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The keys that sign the log's checkpoints now."""
        return tuple(log.key for log in self._log_keys if log.until is None)

    def log_keys_at(self, size: int) -> tuple[VerifierKey, ...]:
        """The keys that sign a checkpoint of this size."""
        return tuple(log.key for log in self._log_keys if log.after < size and (log.until is None or size <= log.until))

    def digest(self, size: int | None = None) -> bytes:
        """
        Which acts made this roster: a chain over their indexes and statement ids, 32 bytes.

        Args:
            size: of the log at which to take it; None for now. Cost: O(log n).
        """
        count = len(self._marks) if size is None else bisect_left(self._marks, (size, b""))
        return self._marks[count - 1][1] if count else bytes(32)

    def judge(self, index: int, statement: Any, body: Mapping[str, Any], ed25519: Ed25519) -> str | None:
        """
        Why this act cannot be accepted at this index; None if it can, or is none of the roster.

        Args:
            index: the entry's own; the roster holds everything before it.
            statement: its signature was checked under a key that is valid here.
            body: decoded.
            ed25519: the signature function.

        Returns:
            A reason code, or None.
        """
        act = statement.act
        if act not in ROSTER_ACTS:
            return None
        if statement.voice != "own":
            return "not_own_authority"
        if act == "ledger.founded":
            return self._judge_founding(index, statement, body, ed25519)
        if statement.case != self.ledger:
            return "wrong_case"
        publisher, subject = self._authorities.get(statement.publisher), self._authorities.get(statement.subject)
        if publisher is None:
            return "not_enrolled_by_root"
        if act == "roster.confirmed":
            if publisher.enrolls is None:
                return "not_enrolled_by_root"
            known = 0 < body["size"] <= index and self.digest(body["size"]) == body["roster_digest"]
            return None if known else "unknown_reference"
        if act == "root.admitted":
            if publisher.id != self.operator and publisher.enrolls is None:
                return "not_enrolled_by_root"
            if body["authority"] in self._authorities or body["holder"] in self._holders():
                return "subject_exists"
            if not _holder_fits(body):
                return "outside_code_list"
            if not self._endorsed(index, body["authority"], body, ed25519):
                return "insufficient_endorsement"
            return self._judge_key(body["authority"], body, ed25519)
        if act == "root_key.replaced":
            root = self._authorities.get(body["authority"])
            if root is None or root.enrolls is None:
                return "unknown_reference"
            if publisher.id != root.id and not self._endorsed(index, root.id, body, ed25519):
                return "insufficient_endorsement"
            return self._judge_key(root.id, body, ed25519)
        if act == "log_key.replaced":
            return self._judge_log_key(index, publisher, body, ed25519)
        if act == "authority.enrolled":
            return self._judge_enrolment(publisher, subject, statement.subject, body, ed25519)
        # The rest are acts about the keys of one authority.
        if subject is None:
            return "subject_missing"
        if subject.enrolls is not None and act != "key.revoked":
            return "wrong_subject_kind"  # the key of a root is replaced, not rotated
        itself = publisher.id == subject.id and act in {"key.rotated", "key.retired"}
        founder = publisher.enrolls is not None and publisher.index == 0
        together = founder and subject.id == self.operator and act in {"key.revoked", "key.certified"}
        if not (itself or together or self._answers_for(publisher, subject)):
            return "not_enrolled_by_root"
        old = body.get("old_key", body.get("key"))
        if old is not None:
            key = self._keys.get(old)
            if key is None:
                return "unknown_reference"
            if key.authority != subject.id or (act == "key.revoked" and old == statement.key):
                return "wrong_reference_kind"
            if act != "key.revoked" and self.verdict(old, index) != "valid":
                return "wrong_reference_kind"
        if act == "key.revoked":
            ordered = 0 <= body["suspect_from"] <= body["invalid_from"] <= index
            return None if ordered else "outside_code_list"
        return None if act == "key.retired" else self._judge_key(subject.id, body, ed25519)

    def _judge_founding(self, index: int, statement: Any, body: Mapping[str, Any], ed25519: Ed25519) -> str | None:
        if index or self._marks:
            return "subject_exists"
        operator, roots = body["operator"], body["roots"]
        keys = [body["operator_key"], *(root["public_key"] for root in roots)]
        keys += [log["public_key"] for log in body["log_keys"]]
        if statement.case != statement.subject:
            return "wrong_case"
        if statement.publisher != operator or statement.key != sha256(body["operator_key"]).digest():
            return "not_own_authority"
        if body["origin"] != statement.ledger or not 0 < len(body["origin"].encode()) <= NAME_MAX:
            return "outside_code_list"
        if len({operator, *(root["authority"] for root in roots)}) != 1 + len(roots):
            return "subject_exists"
        if len({root["holder"] for root in roots}) != len(roots) or not all(_holder_fits(root) for root in roots):
            return "outside_code_list"
        if not 1 <= body["quorum"] <= len(roots):
            return "insufficient_endorsement"
        if not all(self._log_key_fits(log) for log in body["log_keys"]) or not any(
            log["algorithm"] == "ed25519" for log in body["log_keys"]
        ):
            return "outside_code_list"
        if len(set(keys)) != len(keys) or not self._acceptable(body["operator_key"]):
            return "bad_possession_proof"
        origin = body["origin"]
        proven = (self._proven(origin, root["authority"], root, ed25519) for root in roots)
        return None if all(proven) else "bad_possession_proof"

    def _judge_enrolment(
        self, publisher: Authority, known: Authority | None, subject: bytes, body: Mapping[str, Any], ed25519: Ed25519
    ) -> str | None:
        kind, counsel = body["authority_kind"], body["authority_kind"] == "counsel"
        enrolls = publisher.kind in {"court", "bar"} if counsel else publisher.enrolls is not None
        if not enrolls or publisher.holder != body["holder"] or kind in _NOT_ENROLLED:
            return "not_enrolled_by_root"
        if kind in _ABOVE_STATES and publisher.enrolls not in _ABOVE_STATES[kind]:
            return "not_enrolled_by_root"
        if _is_state(body["holder"]) and body["country"] != body["holder"]:
            return "not_enrolled_by_root"
        if known is not None:
            return "subject_exists"
        if counsel and body["designation"] is not None:
            return "outside_code_list"
        if (body["public_key"] is None) != (body["possession"] is None):
            return "bad_possession_proof"
        return None if body["public_key"] is None else self._judge_key(subject, body, ed25519)

    def _judge_log_key(self, index: int, publisher: Authority, body: Mapping[str, Any], ed25519: Ed25519) -> str | None:
        if publisher.id != self.operator:
            return "not_own_authority"
        old = next((key for key in self.log_keys if sha256(key.public_key).digest() == body["old_key"]), None)
        if old is None:
            return "unknown_reference"
        rest = {key.algorithm for key in self.log_keys if key != old}
        if not self._log_key_fits(body) or ED25519 not in rest | {_ALGORITHMS[body["algorithm"]]}:
            return "outside_code_list"
        new = VerifierKey(self.origin, _ALGORITHMS[body["algorithm"]], body["public_key"])
        if sha256(new.public_key).digest() in self._keys or any(new == log.key for log in self._log_keys):
            return "bad_possession_proof"
        signed = possession_message(self.origin, self.operator, new.public_key)
        cut = 64 if new.algorithm == ED25519 else 2420
        if not _holds(new, signed, body["possession"][:cut], ed25519):
            return "bad_possession_proof"
        by_old, endorsed = body["possession"][cut:], self._endorsed(index, self.operator, body, ed25519)
        if by_old:
            return None if _holds(old, signed, by_old, ed25519) else "bad_possession_proof"
        return None if endorsed else "insufficient_endorsement"

    def _judge_key(self, authority: bytes, body: Mapping[str, Any], ed25519: Ed25519) -> str | None:
        """A new key was never anybody's, not even the log's, and signs for itself."""
        public_key = body["public_key"]
        used = sha256(public_key).digest() in self._keys or any(
            public_key == log.key.public_key for log in self._log_keys
        )
        if used or not self._proven(self.origin, authority, body, ed25519):
            return "bad_possession_proof"
        return None

    def _log_key_fits(self, log: Mapping[str, Any]) -> bool:
        algorithm = _ALGORITHMS.get(log["algorithm"])
        if algorithm == ED25519:
            return self._acceptable(log["public_key"])
        return algorithm == ML_DSA_44 and len(log["public_key"]) == 1312

    def _proven(self, origin: str, authority: bytes, body: Mapping[str, Any], ed25519: Ed25519) -> bool:
        public_key = body["public_key"]
        signed = possession_message(origin, authority, public_key)
        return self._acceptable(public_key) and ed25519(public_key, signed, body["possession"])

    def _endorsed(self, index: int, authority: bytes, body: Mapping[str, Any], ed25519: Ed25519) -> bool:
        """Whether ``quorum`` founding roots endorse the key, and nobody endorses it wrongly."""
        signed = endorsement_message(self.origin, authority, body["public_key"])
        endorsers = set()
        for endorsement in body["endorsements"]:
            root = self._authorities.get(endorsement["root"])
            if root is None or root.enrolls is None or root.index != 0 or root.id in endorsers:
                return False
            valid = [self._keys[key] for key in self._keys_of[root.id] if self.verdict(key, index) == "valid"]
            if not any(ed25519(key.public_key, signed, endorsement["signature"]) for key in valid):
                return False
            endorsers.add(root.id)
        return len(endorsers) >= self.quorum

    def _answers_for(self, publisher: Authority, subject: Authority) -> bool:
        """Whether the publisher is the root of the subject's holder, or enrolled it (counsel); never the operator."""
        root = publisher.enrolls is not None and publisher.holder == subject.holder and subject.id != self.operator
        return root or publisher.id == subject.enrolled_by

    def _agreed(self, index: int, statement: Any, key_id: bytes, named: tuple[int, int]) -> tuple[int, int] | None:
        """
        Take in what a founding root says of a key of the operator; what ``quorum`` of them say, if they do.

        Args:
            index: of the act.
            statement: the root's.
            key_id: which key it is about.
            named: from where the root has it suspect, and invalid.

        Returns:
            The smallest indexes from which ``quorum`` roots have it suspect, and invalid; or None.
        """
        said = self._said.setdefault((statement.act, key_id), [])
        said.append((statement.publisher, statement.key, index, named))
        roots: dict[bytes, tuple[int, int]] = {}
        for root, signed_with, at, (suspect, invalid) in said:
            if self.verdict(signed_with, at) == "valid":
                before = roots.get(root, (suspect, invalid))
                roots[root] = min(before[0], suspect), min(before[1], invalid)
        if len(roots) < self.quorum:
            return None
        suspects, invalids = zip(*roots.values(), strict=True)
        return sorted(suspects)[self.quorum - 1], sorted(invalids)[self.quorum - 1]

    def _holders(self) -> set[str]:
        return {authority.holder for authority in self._authorities.values() if authority.enrolls is not None}

    def fold(self, index: int, statement: Any, body: Mapping[str, Any]) -> None:
        """Take in an accepted act; one that is none of the roster changes nothing."""
        match statement.act:
            case "ledger.founded":
                self.origin, self.operator, self.quorum = body["origin"], body["operator"], body["quorum"]
                self.ledger = statement.subject
                self._enrol(Authority(self.operator, index, "operator", ""))
                self._add_key(self.operator, body["operator_key"], index)
                for root in body["roots"]:
                    self._admit(index, root)
                for log in body["log_keys"]:
                    self._add_log_key(index, log)
            case "root.admitted":
                self._admit(index, body)
            case "root_key.replaced":
                for key in list(self._keys_of[body["authority"]]):
                    self._end_key(key, index + 1, index + 1)
                self._add_key(body["authority"], body["public_key"], index + 1)
            case "log_key.replaced":
                self._log_keys = [
                    replace(log, until=index)
                    if log.until is None and sha256(log.key.public_key).digest() == body["old_key"]
                    else log
                    for log in self._log_keys
                ]
                self._add_log_key(index, body)
            case "authority.enrolled":
                described = {name: body[name] for name in ("holder", "country", "designation", "level")}
                functions, by = tuple(body["functions"]), statement.publisher
                kind = body["authority_kind"]
                self._enrol(Authority(statement.subject, index, kind, functions=functions, enrolled_by=by, **described))
                if body["public_key"] is not None:
                    self._add_key(statement.subject, body["public_key"], index + 1)
            case "key.certified":
                new = sha256(body["public_key"]).digest()
                alone = statement.subject != self.operator
                if alone or self._agreed(index, statement, new, (0, 0)) is not None:
                    self._add_key(statement.subject, body["public_key"], index + 1)
            case "key.rotated":
                self._end_key(body["old_key"], index + 1, index + 1)
                self._add_key(statement.subject, body["public_key"], index + 1)
            case "key.revoked":
                ends: tuple[int, int] | None = body["suspect_from"], body["invalid_from"]
                if statement.subject == self.operator:
                    ends = self._agreed(index, statement, body["key"], (body["suspect_from"], body["invalid_from"]))
                if ends is not None:
                    self._end_key(body["key"], *ends)
            case "key.retired":
                self._end_key(body["key"], index + 1, index + 1)
            case "roster.confirmed":
                self.confirmed = (body["size"], self._authorities[statement.publisher].holder)
            case _:
                return
        linked = b"comity.roster.v1\0" + self.digest() + index.to_bytes(8, "big") + statement.id
        self._marks.append((index, sha256(linked).digest()))

    def _enrol(self, authority: Authority) -> None:
        self._authorities[authority.id] = authority
        self._keys_of[authority.id] = []

    def _admit(self, index: int, root: Mapping[str, Any]) -> None:
        country = root["holder"] if root["enrolls"] == "country" else None
        self._enrol(Authority(root["authority"], index, "state_root", root["holder"], country, enrolls=root["enrolls"]))
        self._add_key(root["authority"], root["public_key"], index + 1)

    def _add_key(self, authority: bytes, public_key: bytes, valid_from: int) -> None:
        key = RosterKey(sha256(public_key).digest(), public_key, authority, valid_from)
        self._keys[key.id] = key
        self._keys_of[authority].append(key.id)

    def _end_key(self, key_id: bytes, suspect_from: int, invalid_from: int) -> None:
        """What was said of a key before is never softened: the smaller index stands."""
        key = self._keys[key_id]
        suspect = suspect_from if key.suspect_from is None else min(suspect_from, key.suspect_from)
        invalid = invalid_from if key.invalid_from is None else min(invalid_from, key.invalid_from)
        self._keys[key_id] = replace(key, suspect_from=suspect, invalid_from=invalid)

    def _add_log_key(self, index: int, log: Mapping[str, Any]) -> None:
        key = VerifierKey(self.origin, _ALGORITHMS[log["algorithm"]], log["public_key"])
        self._log_keys.append(LogKey(key, index))


def _is_state(holder: str) -> bool:
    """A State is held under the two letters of its country; every other holder under a name."""
    return re.fullmatch("[A-Z]{2}", holder) is not None


def _holder_fits(root: Mapping[str, Any]) -> bool:
    enrolls = root["enrolls"]
    known = enrolls in {"country", "union", "court", "organisation"}
    return known and _is_state(root["holder"]) == (enrolls == "country")


def _holds(key: VerifierKey, signed: bytes, signature: bytes, ed25519: Ed25519) -> bool:
    """For ML-DSA-44 also where nobody can check it here: the log did, when it accepted the act."""
    if key.algorithm == ED25519:
        return ed25519(key.public_key, signed, signature)
    return ml_dsa_44(key.public_key, signed, signature) is not False


# --------------------------------------------------------------------- the bundle: a ZIP, only stored
#
# No two programs may read two things in one file. So members are stored, sorted and contiguous, and
# every header is the one that these functions make; the same content makes the same bytes.

FORMAT = "comity.bundle.v1"
MEMBERS_MAX = 65_534
ZIP_MAX = 2**32 - 2  # bytes
TEXT_MAX = 32 * 2**20  # bytes of any member but an attachment
_MEMBER = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*){0,2}", re.ASCII)


def zip_headers(name: str, crc: int, size: int, offset: int) -> tuple[bytes, bytes]:
    """The local and the central header of a stored member, dated 1980-01-01, readable by all."""
    fields = struct.pack("<HHHHHLLLHH", 10, 0, 0, 0, 0x21, crc, size, size, len(name), 0)
    tail = struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, offset)
    return b"PK\x03\x04" + fields + name.encode(), b"PK\x01\x02\x14\x03" + fields + tail + name.encode()


def zip_end(count: int, size: int, offset: int) -> bytes:
    """The end of a ZIP with ``count`` members, whose directory of ``size`` bytes starts at ``offset``."""
    return b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, count, count, size, offset, 0)


def member_name(name: str) -> str:
    """The name, if it is of lower-case letters, digits and ``._-`` in at most two folders, none hidden."""
    if not _MEMBER.fullmatch(name) or ".." in name or len(name) > 120:
        raise FormatError("is not the name of a member", field=repr(name)[:130])
    return name


class Container:
    """
    The members of a bundle: name -> (offset, size, SHA-256).

    Raises:
        FormatError: the file is not a ZIP of exactly this form. Cost: the file is read once.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.members: dict[str, tuple[int, int, bytes]] = {}
        length = file.seek(0, 2)
        tail = self._bytes(length - 22, 22) if 22 <= length <= ZIP_MAX else bytes(22)
        count, size, offset = struct.unpack("<HLL", tail[10:20])
        if tail != zip_end(count, size, offset) or offset + size + 22 != length or count > MEMBERS_MAX:
            raise FormatError("the end of the file is not that of a bundle", field="1 container")
        directory, at, expected, last = self._bytes(offset, size), 0, 0, ""
        for _ in range(count):
            if len(directory) < at + 46:
                raise FormatError("the directory of the ZIP is cut short", field="1 container")
            crc, _, size, name_length = struct.unpack("<LLLH", directory[at + 16 : at + 30])
            name = member_name(directory[at + 46 : at + 46 + name_length].decode("latin-1"))
            local, central = zip_headers(name, crc, size, expected)
            start = expected + len(local)
            if last >= name or start + size > offset:
                raise FormatError("members overlap, repeat or are out of order", field=name)
            if directory[at : at + len(central)] != central or self._bytes(expected, len(local)) != local:
                what = "its header is not that of a bundle: damaged, or packed again by another program"
                raise FormatError(what, field=name)
            self.members[name] = (start, size, self._digest(name, start, size, crc))
            at, expected, last = at + len(central), start + size, name
        if at != len(directory) or expected != offset:
            raise FormatError("bytes that belong to no member", field="1 container")

    def _bytes(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _digest(self, name: str, start: int, size: int, expected: int) -> bytes:
        self._file.seek(start)
        crc, digest = 0, sha256()
        while size:
            piece = self._file.read(min(size, 2**20))
            crc, size = binascii.crc32(piece, crc), size - len(piece)
            digest.update(piece)
        if crc != expected:
            raise FormatError("is damaged: its checksum is another", field=name)
        return digest.digest()

    def read(self, name: str) -> bytes:
        """The content of a member that is not an attachment; at most 32 MiB."""
        start, size, _ = self.members.get(name, (0, TEXT_MAX + 1, b""))
        if size > TEXT_MAX:
            raise FormatError("is missing, or too long", field=name)
        return self._bytes(start, size)


def canonical_json(value: Any) -> bytes:
    """The one form in which a manifest is written."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


def entry_name(index: int) -> str:
    """Where a bundle keeps an entry; its proof lies in ``proofs/`` under the same number."""
    return f"entries/{index:012}.entry"


def proof_name(index: int) -> str:
    """Where a bundle keeps the proof of an entry."""
    return f"proofs/{index:012}.tlog-proof"


def iso(at: int) -> str:
    """Microseconds since 1970 as UTC text."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{at} microseconds after 1970"


def called(roster: Roster, authority: bytes) -> str:
    """What the roster calls an authority, and whose it is; its id where the roster does not know it."""
    known = roster.authority(authority)
    if known is None:
        return authority.hex()
    name = known.designation or known.kind.replace("_", " ")
    return f"{name} ({known.holder})" if known.holder else name


def whose_act(statement: Any, named: Callable[[bytes], str], index_of: Callable[[bytes], int | None]) -> str:
    """
    Whose act it is; and where another says so, who, and on what ground: the mandate, or the source.

    ``named`` calls an authority by its name; ``index_of`` finds the entry of a statement, if it is known.
    """
    publisher, speaker = named(statement.publisher), statement.speaker
    if statement.voice == "own":
        return publisher
    if speaker is None:
        return f"somebody not named, says {publisher}"
    kind = (speaker.authority_kind or "authority").replace("_", " ")
    actor = f"{kind} ({speaker.country})" if speaker.authority is None else named(speaker.authority)
    if statement.voice == "reported":
        return f'{actor}, as reported by {publisher} from "{speaker.source}"'
    if speaker.mandate is None:
        return f"{actor}, through {publisher} without a mandate"
    given = index_of(speaker.mandate)
    where = "not in this extract" if given is None else f"entry {given}"
    return f"{actor}, through {publisher} under mandate {speaker.mandate.hex()} ({where})"


@dataclass(frozen=True, slots=True)
class _Shown:
    index: int
    entry: Any
    statement: Any


class _Bundle:
    """One verification; each step is a method, in the order of the module's list."""

    def __init__(self, file: IO[bytes], ed25519: Ed25519) -> None:
        self.ed25519 = lru_cache(maxsize=1024)(ed25519)  # one signature may cover a whole batch
        self.container = Container(file)  # step 1
        self.manifest = self._manifest()
        self.roster = Roster()
        self.entries: list[_Shown] = []
        self.indexes: dict[bytes, int] = {}  # of each statement in the bundle, by its id

    def _manifest(self) -> dict[str, Any]:
        """Step 2: the manifest names every other member, and by its hash."""
        step, data = "2 manifest", self.container.read("manifest.json")
        try:
            manifest = json.loads(data)
            canonical = canonical_json(manifest)
        except (ValueError, RecursionError):
            raise FormatError("is not JSON", field="manifest.json") from None
        kinds: dict[str, Any] = {"case": (str, NoneType), "format": str, "members": dict, "origin": str, "pin": str}
        kinds |= {"root": str, "shown": list, "size": int}
        if not isinstance(manifest, dict) or data != canonical or set(manifest) != set(kinds):
            raise FormatError("is not the manifest of a bundle", field="manifest.json")
        for name, kind in kinds.items():
            if not isinstance(manifest[name], kind):
                raise FormatError(f"{name} is of another type", field="manifest.json")
        if manifest["format"] != FORMAT or not all(type(index) is int for index in manifest["shown"]):
            raise FormatError(f"is not of format {FORMAT}", field="manifest.json")
        if manifest["case"] is not None and not re.fullmatch("[0-9a-f]{32}", manifest["case"]):
            raise FormatError("case is not an id", field="manifest.json")
        held = {name: digest.hex() for name, (_, _, digest) in self.container.members.items()}
        held.pop("manifest.json")
        for name in sorted(held.keys() | manifest["members"].keys()):
            if name not in held or name not in manifest["members"]:
                raise NotVerified(f"{name} is in the bundle or in its manifest, but not in both", step=step)
            if held[name] != manifest["members"][name]:
                raise NotVerified(f"{name} is not the member that the manifest names", step=step)
        return manifest

    def founding(self, pin: bytes | None) -> None:
        """Step 3: entry 0 is the one pinned."""
        step = "3 founding"
        found = leaf_hash(self.container.read(entry_name(0)))
        if found.hex() != self.manifest["pin"]:
            raise NotVerified("entry 0 is not the one that the manifest names", step=step, index=0)
        if pin is not None and found != pin:
            raise NotVerified(f"the leaf hash of entry 0 is {found.hex()}: another ledger", step=step, index=0)

    def inclusion(self) -> None:
        """Step 4: each entry is a leaf under the root; each proof carries this very checkpoint."""
        step, data = "4 inclusion", self.container.read("checkpoint")
        self.note = parse_note(data)
        self.checkpoint = parse_checkpoint(self.note.text)
        told = (self.manifest["origin"], self.manifest["size"], self.manifest["root"])
        if told != (self.checkpoint.origin, self.checkpoint.size, self.checkpoint.root.hex()):
            raise NotVerified("the manifest names another checkpoint than the one included", step=step)
        names = [name for name in self.container.members if name.startswith(("entries/", "proofs/"))]
        indexes = sorted({int(found[1]) for name in names if (found := re.search(r"/(\d{12})\.", name))})
        if sorted(names) != sorted(f(index) for index in indexes for f in (entry_name, proof_name)):
            raise FormatError("entries and proofs do not come in pairs", field="entries/")
        for index in indexes:
            entry, proof = self.container.read(entry_name(index)), parse_proof(self.container.read(proof_name(index)))
            if proof.index != index or proof.note != data:
                raise NotVerified("the proof is of another index or checkpoint", step=step, index=index)
            check_inclusion(leaf_hash(entry), index, self.checkpoint.size, proof.path, self.checkpoint.root)
            try:
                decoded = decode_entry(entry)
                read = decode_statement if decoded.disposition == "accepted" else decode_header
                self.entries.append(_Shown(index, decoded, read(decoded.statement)))
                self.indexes[self.entries[-1].statement.id] = index
            except FormatError as error:
                raise FormatError(error.what, field=f"{entry_name(index)}: {error.field}") from None

    def signatures(self) -> None:
        """Steps 5 and 8, entry by entry: who signed, by the roster just before; then the roster after."""
        for shown in self.entries:
            index, entry, statement = shown.index, shown.entry, shown.statement
            step = "5 roster" if statement.act in ROSTER_ACTS else "8 signature"
            body = None
            if entry.disposition == "accepted" and statement.act in ROSTER_ACTS:
                if statement.version != 1:
                    raise NotVerified("this program knows version 1 of this act only", step=step, index=index)
                body = decode_body(statement.act, statement.body)
            if statement.ledger != self.checkpoint.origin:
                raise NotVerified("the statement was signed for another ledger", step="8 signature", index=index)
            key = self.roster.key(statement.key)
            if index == 0 and statement.act == "ledger.founded" and body is not None:
                public = body["operator_key"]
                key = RosterKey(sha256(public).digest(), public, statement.publisher, 0)
            elif key is None or self.roster.verdict(key.id, index) != "valid":
                verdict = "unknown" if key is None else self.roster.verdict(key.id, index)
                raise NotVerified(f"the log took a statement under a key that was {verdict}", step=step, index=index)
            if key.authority != statement.publisher or key.id != statement.key:
                raise NotVerified("the key is not the publisher's", step=step, index=index)
            if entry.disposition == "accepted":
                signed = b"comity.statement.v1\0" + entry.statement
                if entry.batch is not None:
                    batch = entry.batch
                    if not 0 < batch.size < 2**63:
                        raise NotVerified("a batch of no size", step="8 signature", index=index)
                    try:
                        root = root_by_path(leaf_hash(entry.statement), batch.index, batch.size, batch.path)
                    except NotVerified as error:
                        raise NotVerified(f"its batch: {error.what}", step="8 signature", index=index) from None
                    signed = b"comity.batch.v1\0" + batch.size.to_bytes(8, "big") + root
                if not self.ed25519(key.public_key, signed, entry.signature):
                    raise NotVerified("the signature does not hold", step="8 signature", index=index)
            if body is not None:
                reason = self.roster.judge(index, statement, body, self.ed25519)
                if reason is not None:
                    what = f"the rules of the roster reject {statement.act} ({reason}), or an act before it is missing"
                    raise NotVerified(what, step="5 roster", index=index)
                self.roster.fold(index, statement, body)

    def signed_by(self, policy: Policy | None) -> list[Signed]:
        """Steps 6 and 7: every log key of the roster signed; so did enough witnesses."""
        step, log_keys = "6 checkpoint", self.roster.log_keys
        keys = [*log_keys, *((*policy.logs, *policy.witnesses.values()) if policy else ())]
        signed = check_signatures(self.note, self.checkpoint, keys, self.ed25519)
        by = {line.key for line in signed}
        for key in log_keys:
            if key not in by:
                what = f"the log key {key.key_id.hex()} of the roster did not sign this checkpoint"
                raise NotVerified(what, step=step)
        if policy:
            checked = {line.key for line in signed if line.checked}
            unchecked = len(by - checked)
            more = f" ({unchecked} signatures need the cryptography package to be checked)" if unchecked else ""
            logs = {key for key in policy.logs if key.name == self.checkpoint.origin}
            if policy.logs and checked.isdisjoint(logs):
                raise PolicyNotMet("none of the logs of the policy signed" + more, step="7 policy")
            if not policy.met(checked):
                raise PolicyNotMet("fewer witnesses cosigned than the policy wants" + more, step="7 policy")
        return signed

    def streams(self) -> list[tuple[int, int]]:
        """Step 9: what must run forward does; first and last of each run of case versions withheld."""
        step, case = "9 streams", self.manifest["case"]
        shown = set(self.manifest["shown"])
        streams = {b"".join((b"a", self.entries[0].statement.subject))}
        streams |= {b"a" + authority.id for authority in self.roster.authorities()}
        # Every act about an authority belongs to the ledger's own case, whose versions have no hole
        # either: so an authority whose whole stream is withheld is missed as well.
        streams.add(b"c" + self.roster.ledger)
        recorded_at, ids, last, withheld = 0, set(), dict[bytes, int](), list[tuple[int, int]]()
        for item in self.entries:
            index, entry, statement = item.index, item.entry, item.statement
            accepted = entry.disposition == "accepted"
            kept = (entry.statement_sha256, entry.reason)
            versions = (entry.subject_version, entry.case_version)
            if (
                accepted != (None not in versions)
                or accepted != (kept == (None, None))
                or (not accepted and (None in kept or versions != (None, None)))
            ):
                raise NotVerified("an entry that is neither accepted nor rejected", step=step, index=index)
            if entry.recorded_at < recorded_at or statement.id in ids:
                raise NotVerified("the log's clock ran back, or a statement id stands twice", step=step, index=index)
            recorded_at = entry.recorded_at
            ids.add(statement.id)
            runs = [(b"k" + statement.key, statement.sequence)]
            if accepted:
                runs += [(b"a" + statement.subject, versions[0]), (b"c" + statement.case, versions[1])]
            for run, number in runs:
                before = last.get(run, -1)
                if number <= before:
                    raise NotVerified("a sequence or version that does not run forward", step=step, index=index)
                if run in streams and number != before + 1:
                    what = "an act about an authority is missing before this one: the roster has a hole"
                    raise NotVerified(what, step="5 roster", index=index)
                if run == b"c" + bytes.fromhex(case or "") and number > before + 1:
                    withheld.append((before + 1, number - 1))
                last[run] = number
            if index in shown and case is not None and statement.case.hex() != case:
                raise NotVerified("the entry belongs to another case than the manifest says", step=step, index=index)
            if index not in shown and b"a" + statement.subject not in streams:
                raise NotVerified("an entry that is neither shown nor of the roster", step=step, index=index)
        if not shown <= {item.index for item in self.entries}:
            raise NotVerified("the manifest shows an entry that is not included", step=step)
        return withheld

    def attachments(self, shown: Sequence[_Shown]) -> dict[str, Any]:
        """Step 10: what lies beside the entries is what they commit to."""
        step, members = "10 attachments", self.container.members
        committed = {a.commitment.hex(): (a, item.index) for item in shown for a in item.statement.attachments}
        for name, (_, size, digest) in members.items():
            folder, _, rest = name.partition("/")
            if folder in {"attachments", "law"} and rest != digest.hex():
                raise NotVerified(f"{name} does not hash to its name", step=step)
            if folder == "attachments":
                if rest not in committed:
                    raise NotVerified(f"{name} is committed to by no entry shown", step=step)
                if committed[rest][0].size != size:
                    raise NotVerified(f"{name} is of another size", step=step, index=committed[rest][1])
        rules = sorted({item.entry.rules.hex() for item in shown})
        return {
            "included": sorted(name for name in committed if f"attachments/{name}" in members),
            "not_included": sorted(name for name in committed if f"attachments/{name}" not in members),
            "law_included": [name for name in rules if f"law/{name}" in members],
            "law_not_included": [name for name in rules if f"law/{name}" not in members],
        }

    def described(self, item: _Shown) -> dict[str, Any]:
        """An entry in the words of the report."""
        entry, statement = item.entry, item.statement
        publisher, speaker = self.roster.authority(statement.publisher), statement.speaker
        acting = self.roster.authority((speaker and speaker.authority) or b"")
        return {
            "index": item.index,
            "statement": statement.id.hex(),
            "act": statement.act,
            "disposition": entry.disposition,
            "reason": entry.reason,
            "publisher": statement.publisher.hex(),
            "designation": publisher and (publisher.designation or called(self.roster, statement.publisher)),
            "voice": statement.voice,
            "speaker": speaker
            and {
                "authority": speaker.authority and speaker.authority.hex(),
                "designation": acting and (acting.designation or called(self.roster, acting.id)),
                "country": speaker.country,
                "authority_kind": speaker.authority_kind,
                "mandate": speaker.mandate and speaker.mandate.hex(),
                "source": speaker.source,
            },
            "whose_act": whose_act(statement, partial(called, self.roster), self.indexes.get),
            "occurred_from": iso(statement.occurred_from),
            "occurred_until": iso(statement.occurred_until),
            "occurred_confirmed": statement.occurred_confirmed,
            "zone": statement.zone,
            "recorded_at": iso(entry.recorded_at),
            "case_version": entry.case_version,
            "key": self.roster.verdict(statement.key, item.index) if item.index else "valid",
            "signature": "holds" if entry.disposition == "accepted" else "cannot be checked without the body",
        }


def verify_bundle(
    source: Path | IO[bytes], *, pin: bytes | None = None, policy: Policy | None = None,
    ed25519: Ed25519 = strict_ed25519,
) -> dict[str, Any]:  # fmt: skip
    """
    Verify a bundle; what is proved, and what is not, as JSON data.

    Args:
        source: the file, or its path.
        pin: leaf hash of entry 0, from somewhere that you trust; None excludes no other ledger.
        policy: which witnesses must have cosigned; None excludes no split view.
        ed25519: the signature function.

    Raises:
        FormatError: malformed. NotVerified: naming step and entry. PolicyNotMet: too few witnesses.

    Cost: about 2 ms per entry with the function of this file; memory in proportion to the entries.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return verify_bundle(file, pin=pin, policy=policy, ed25519=ed25519)
    bundle = _Bundle(source, ed25519)
    bundle.founding(pin)
    bundle.inclusion()
    bundle.signatures()
    signed = bundle.signed_by(policy)
    withheld = bundle.streams()
    shown = [item for item in bundle.entries if item.index in set(bundle.manifest["shown"])]
    beside = bundle.attachments(shown)
    entries = [bundle.described(item) for item in shown]
    for entry in entries:
        if entry["key"] == "invalid":
            what = "the key was later declared invalid from an index before this one: nobody stands by this statement"
            raise NotVerified(what, step="8 signature", index=entry["index"])
    confirmed = bundle.roster.confirmed
    versions = [item.entry.case_version for item in shown if item.entry.case_version is not None]
    case = bundle.manifest["case"]
    witnesses = {key: key.name for key in policy.witnesses.values()} if policy else {}
    report = {
        "result": "verified",
        "origin": bundle.checkpoint.origin,
        "size": bundle.checkpoint.size,
        "root": bundle.checkpoint.root.hex(),
        "pin": bundle.manifest["pin"],
        "pin_given": pin is not None,
        "policy": "met" if policy else "none given",
        "log_signatures": [
            {
                "key_id": line.key.key_id.hex(),
                "algorithm": _ALGORITHM_NAMES[line.key.algorithm],
                "checked": line.checked,
            }
            for line in signed
            if line.key not in witnesses
        ],
        "cosigned_by": [
            {"name": line.key.name, "at": iso(line.at * 10**6) if line.at else None, "checked": line.checked}
            for line in signed
            if line.key in witnesses
        ],
        "case": case,
        "case_complete_to": max(versions, default=None) if case and not withheld else None,
        "withheld": withheld,
        "entries": entries,
        "roster_entries": len(bundle.entries) - len(shown),
        "roster_confirmed": confirmed and {"size": confirmed[0], "by": confirmed[1]},
        "attachments": beside,
        "verify_py": bundle.container.members.get("verify.py", (0, 0, b""))[2].hex(),
    }
    report["not_excluded"] = list(_not_excluded(report))
    return report


_UNCHECKED = "NOT CHECKED (that needs the cryptography package)"
_ALGORITHM_NAMES = {ED25519: "Ed25519", COSIGNATURE_ED25519: "Ed25519 cosignature", ML_DSA_44: "ML-DSA-44"}


def _not_excluded(report: Mapping[str, Any]) -> Iterator[str]:
    """What this verification leaves open, said plainly."""
    yield "Whether what the statements say is true: an entry proves that an authority said it, and when."
    voices = {entry["voice"] for entry in report["entries"]}
    if "reported" in voices:
        yield "Whether an authority did what another reports of it: the report is signed by the one that reports."
    if "on_behalf" in voices:
        yield "Whether a mandate to speak for another holds: read the entry that is named."
    if not report["pin_given"]:
        yield f"That this is another ledger of the same name: compare the pin {report['pin']} with a published one."
    if report["policy"] != "met":
        yield "That the operator shows another log to somebody else: give --policy with witnesses that you trust."
    if not all(line["checked"] for line in (*report["log_signatures"], *report["cosigned_by"])):
        yield "Whether the ML-DSA-44 signatures hold: they were not checked, for the cryptography package is missing."
    confirmed = report["roster_confirmed"]
    since = f"after size {confirmed['size']}, which the root of {confirmed['by']} confirmed" if confirmed else "at all"
    yield (
        "That acts of the roster which would end a stream, such as the revocation of a key, were left out of this "
        f"bundle, if they were recorded {since}: no act is missing between those included."
    )
    if report["case"]:
        yield "That the case went on after the last entry shown" + (
            ", and what the entries withheld say." if report["withheld"] else "."
        )
    if any(entry["disposition"] == "rejected" for entry in report["entries"]):
        yield "Whether the signatures of rejected statements hold: their bodies were not recorded."
    if any(entry["key"] == "contested" for entry in report["entries"]):
        yield "Who signed the entries marked contested: their key was declared suspect from before."
    yield "That cover.txt, schemas/ and verify.py say what we wrote: compare verify.py with the published hash."


def _plain(report: Mapping[str, Any]) -> str:
    """The report in plain words."""
    lines = [
        "VERIFIED",
        f"  ledger {report['origin']}, {report['size']} entries, root {report['root']}",
        f"  founding entry {report['pin']} ({'as pinned' if report['pin_given'] else 'not pinned'})",
        *(
            f"  log key {line['key_id']} ({line['algorithm']}): {'holds' if line['checked'] else _UNCHECKED}"
            for line in report["log_signatures"]
        ),
        *(
            f"  witness {line['name']} at {line['at'] or 'no time'}: {'holds' if line['checked'] else _UNCHECKED}"
            for line in report["cosigned_by"]
        ),
        f"  roster: {report['roster_entries']} further entries, each of which its rules admit",
    ]
    if report["case"]:
        complete = report["case_complete_to"]
        runs = ", ".join(f"{first} to {last}" for first, last in report["withheld"])
        what = f"WITHHELD from this bundle: versions {runs}"
        if complete is not None:
            what = f"versions 0 to {complete}, its first {complete + 1} accepted entries: none is missing"
        lines.append(f"  case {report['case']}: {what}")
    lines.append("Entries:")
    for entry in report["entries"]:
        rejected = "" if entry["reason"] is None else f" REJECTED ({entry['reason']})"
        contested = " KEY CONTESTED" if entry["key"] == "contested" else ""
        # Both ends and the zone: the first instant of a day alone would read as the day before, further east.
        until = "" if entry["occurred_until"] == entry["occurred_from"] else f" to {entry['occurred_until']}"
        doubt = "" if entry["occurred_confirmed"] else ", unconfirmed"
        lines.append(
            f"  {entry['index']} {entry['act']}{rejected}{contested} by {entry['whose_act']},"
            f" occurred {entry['occurred_from']}{until} ({entry['zone']}{doubt}),"
            f" recorded {entry['recorded_at']}"
        )
    beside = report["attachments"]
    lines.append(f"Attachments: {len(beside['included'])} included, {len(beside['not_included'])} committed to only")
    lines += ["Not excluded:", *(f"  - {line}" for line in report["not_excluded"])]
    # What others wrote is shown, never obeyed: no sequence that a terminal would act upon.
    return "\n".join("".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines)


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status is that of the module's list."""
    parser = _Arguments(prog="verify.py", description="Verify a bundle of a Comity ledger, offline.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE.zip")
    parser.add_argument("--pin", metavar="HEX", help="leaf hash of entry 0, from a source that you trust")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a C2SP tlog-policy: logs, witnesses, quorum")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    try:
        asked = parser.parse_args(argv)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to fail
    status, report = 0, dict[str, Any]()
    try:
        if asked.pin is not None and not re.fullmatch("[0-9a-fA-F]{64}", asked.pin):
            raise OSError("--pin is not of 64 hexadecimal digits")
        policy = parse_policy(asked.policy.read_bytes()) if asked.policy else None
        report = verify_bundle(asked.bundle, pin=asked.pin and bytes.fromhex(asked.pin), policy=policy)
    except FileNotFoundError as error:
        status, report = 64, {"result": "usage", "what": f"there is no file {error.filename}"}
    except OSError as error:
        status, report = 64, {"result": "usage", "what": str(error)}
    except FormatError as error:
        status, report = 2, {"result": "malformed", "field": error.field, "what": error.what}
    except NotVerified as error:
        result = "policy not met" if isinstance(error, PolicyNotMet) else "not verified"
        status = 3 if isinstance(error, PolicyNotMet) else 1
        report = {"result": result, "step": error.step, "entry": error.index, "what": error.what}
    if asked.json:
        print(json.dumps(report, indent=1, ensure_ascii=True))
    elif status:
        where = report.get("field") or (report.get("step") and f"step {report['step']}")
        entry = "" if report.get("entry") is None else f", entry {report['entry']}"
        print(f"{report['result'].upper()}{f': {where}' if where else ''}{entry}: {report['what']}")
    else:
        print(_plain(report))
    return status


if __name__ == "__main__":
    sys.exit(main())
