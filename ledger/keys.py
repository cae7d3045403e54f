"""
Private keys and the fast signature functions.

The one Ed25519 rule (canonical encodings, ``s < L``, no small-order points, cofactorless) is
written down in ``ledger.verify.strict_ed25519``; the functions here obey the same rule at the
speed of libsodium, or of OpenSSL where PyNaCl is not installed.
``tests/test_keys.py`` holds all three against the same edge cases.

Keys at rest are PKCS #8 PEM files (RFC 8410, RFC 9881) that only their owner can read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.configuration import check_secret
from ledger.errors import FormatError, NotFound, NotPermitted
from ledger.verify import acceptable_key, small_order

if TYPE_CHECKING:
    from pathlib import Path

try:
    from nacl.bindings import (
        crypto_core_ed25519_is_valid_point,
        crypto_sign,
        crypto_sign_open,
        crypto_sign_seed_keypair,
        has_crypto_core_ed25519,
    )
    from nacl.exceptions import BadSignatureError

    SODIUM = True
except ImportError:
    SODIUM = False

Verify = Callable[[bytes, bytes, bytes], bool]

PEM_BYTES_MAX = 16_384


def key_id(public_key: bytes) -> bytes:
    """Return the 32-byte id of a raw public key: its SHA-256, as ``Statement.key`` has it."""
    return sha256(public_key).digest()


_P = 2**255 - 19


def _refused_point(point: bytes) -> bool:
    """Tell whether an encoding is of small order, or is a second encoding of some point."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    return y >= _P or small_order(point) or (y in {1, _P - 1} and point[31] >= 0x80)


def openssl_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """
    Check one Ed25519 signature with OpenSSL, under the strict rule.

    OpenSSL compares the encoding of R byte for byte and checks ``s < L``, but lets small-order
    points pass; these are refused here.
    """
    if len(signature) != 64 or len(public_key) != 32:
        return False
    if _refused_point(public_key) or _refused_point(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sodium_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Check one Ed25519 signature with libsodium, which obeys the strict rule by itself (60 us)."""
    if len(signature) != 64 or len(public_key) != 32:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


ed25519: Verify = sodium_ed25519 if SODIUM else openssl_ed25519
"""The fastest strict Ed25519 check of this installation."""


def acceptable(public_key: bytes) -> bool:
    """Whether a key may be registered, as ``ledger.verify.acceptable_key``: 45 us with libsodium, else 2 ms."""
    if SODIUM and has_crypto_core_ed25519 and len(public_key) == 32:
        return bool(crypto_core_ed25519_is_valid_point(public_key))
    return acceptable_key(public_key)


def mldsa44(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Check one ML-DSA-44 signature (FIPS 204, empty context); 1,312-byte key, 2,420-byte signature."""
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An Ed25519 private key: the 32-byte seed, its public key and the id of that key."""

    seed: bytes = field(repr=False)
    public: bytes
    id: bytes
    _expanded: bytes = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a new key from the operating system's randomness."""
        return cls.from_seed(os.urandom(32))

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Return the key of a 32-byte *seed* (RFC 8032 section 5.1.5)."""
        if SODIUM:
            public, expanded = crypto_sign_seed_keypair(seed)
        else:
            public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
            expanded = seed + public
        return cls(seed=seed, public=public, id=key_id(public), _expanded=expanded)

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """Read an Ed25519 key from a PKCS #8 PEM file; NotFound or FormatError otherwise."""
        key = _load(path)
        if not isinstance(key, Ed25519PrivateKey):
            raise FormatError(f"{path} holds a key of another kind; an Ed25519 key is needed", field="key")
        return cls.from_seed(key.private_bytes_raw())

    def save(self, path: Path) -> None:
        """Write the key as PKCS #8 PEM, readable by its owner alone; an existing file is never replaced."""
        _save(path, Ed25519PrivateKey.from_private_bytes(self.seed))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of *message* (about 35 us)."""
        if SODIUM:
            return crypto_sign(message, self._expanded)[:64]
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority (16-byte id) together with the key it signs statements with."""

    authority: bytes
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class LogKeys:
    """
    The two keys with which a log signs its checkpoints.

    `folder` is where they were read, if from files: a key that replaces one of them is found there, too.
    """

    ed25519: PrivateKey
    mldsa44: MLDSA44PrivateKey = field(repr=False)
    folder: Path | None = field(default=None, compare=False)

    @classmethod
    def generate(cls) -> LogKeys:
        """Return new keys from the operating system's randomness."""
        return cls(PrivateKey.generate(), MLDSA44PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> LogKeys:
        """Derive both keys from a 32-byte *seed*: for simulations and tests alone."""
        return cls(
            PrivateKey.from_seed(sha256(b"ed25519\0" + seed).digest()),
            MLDSA44PrivateKey.from_seed_bytes(sha256(b"mldsa44\0" + seed).digest()),
        )

    @classmethod
    def load(cls, folder: Path) -> LogKeys:
        """Read ``log.key`` and ``log.mldsa.key`` of a ledger *folder*."""
        second = _load(folder / "log.mldsa.key")
        if not isinstance(second, MLDSA44PrivateKey):
            raise FormatError(f"{folder / 'log.mldsa.key'} does not hold an ML-DSA-44 key", field="key")
        return cls(PrivateKey.load(folder / "log.key"), second, folder)

    def save(self, folder: Path) -> None:
        """Write both keys into *folder*."""
        self.ed25519.save(folder / "log.key")
        _save(folder / "log.mldsa.key", self.mldsa44)

    @property
    def mldsa44_public(self) -> bytes:
        """The 1,312-byte ML-DSA-44 public key."""
        return self.mldsa44.public_key().public_bytes_raw()


LOG_KEY_FILES: Final = ("log.key", "log.mldsa.key", "log.next.key", "log.mldsa.next.key")
"""What a log's keys are kept as; the latter two, where they are, replace the former once the log says so."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """One key of a log, of either kind: `algorithm` is ``ed25519`` or ``ml_dsa_44``, `public` raw."""

    algorithm: str
    public: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> LogKey:
        """Read a key file; NotFound, NotPermitted, FormatError as of any key."""
        found = _load(path)
        if isinstance(found, MLDSA44PrivateKey):
            return cls("ml_dsa_44", found.public_key().public_bytes_raw(), found.sign)
        key = PrivateKey.load(path)
        return cls("ed25519", key.public, key.sign)

    @classmethod
    def make(cls, path: Path, algorithm: str) -> LogKey:
        """Make a key and write it into a file that does not exist yet, readable by its owner alone."""
        if algorithm == "ml_dsa_44":
            _save(path, MLDSA44PrivateKey.generate())
        else:
            PrivateKey.generate().save(path)
        return cls.load(path)

    @classmethod
    def all_in(cls, folder: Path) -> list[LogKey]:
        """
        Return the keys of a log that lie in *folder* now.

        Raises:
            NotPermitted: others than their owner, and a group that reads, can open one.
            FormatError: one is no key.
        """
        found = []
        for path in (folder / name for name in LOG_KEY_FILES):
            if path.exists():
                check_secret(path, "the log's keys")
                found.append(cls.load(path))
        return found


def _load(path: Path) -> object:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no key file {path}", what_now="name the file with --key, or make one with `comity key new`"
        ) from None
    except PermissionError:
        raise NotPermitted(f"the key file {path} may not be read by this user", what_now="run as its owner") from None
    if len(data) > PEM_BYTES_MAX:
        raise FormatError(f"{path} is larger than any key file", field="key")
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{path} is not an unencrypted PKCS #8 PEM key", field="key") from error


def _save(path: Path, key: Ed25519PrivateKey | MLDSA44PrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # O_EXCL: a key that signed anything must never be overwritten by a second one.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
