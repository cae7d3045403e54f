"""Keys: one Ed25519 rule in three implementations, and files that nobody else reads and nothing replaces."""

from __future__ import annotations

import json
import os
import stat
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import keys, verify
from ledger.errors import FormatError, NotFound, NotPermitted, exit_status
from ledger.keys import LogKeys, PrivateKey, acceptable, key_id, mldsa44, openssl_ed25519, sodium_ed25519
from ledger.verify import acceptable_key, strict_ed25519

VECTORS = Path(__file__).parent / "vectors"
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER = sorted(verify._SMALL)
SECOND_NAMES = [(2**255 - 19 + y + (sign << 255)).to_bytes(32, "little") for y in range(19) for sign in (0, 1)] + [
    (1 + (1 << 255)).to_bytes(32, "little"),
    (2**255 - 20 + (1 << 255)).to_bytes(32, "little"),
]


def verdicts(public_key: bytes, message: bytes, signature: bytes) -> set[bool]:
    """What the three implementations say: one verdict, when they agree."""
    return {check(public_key, message, signature) for check in (strict_ed25519, openssl_ed25519, sodium_ed25519)}


# --- one rule ---


@pytest.mark.parametrize("case", json.loads((VECTORS / "ed25519_rfc8032.json").read_text()))
def test_the_vectors_of_rfc_8032_hold_for_all(case):
    """All three accept what the standard signed."""
    assert {True} == verdicts(*(bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature")))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_both_libraries_sign_alike(seed, message):
    """Ed25519 is deterministic: which library signed cannot be told, and everybody accepts it."""
    key = PrivateKey.from_seed(seed)
    other = Ed25519PrivateKey.from_private_bytes(seed)

    assert other.public_key().public_bytes_raw() == key.public
    assert other.sign(message) == key.sign(message)
    assert {True} == verdicts(key.public, message, key.sign(message))


@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=80),
    bit=st.integers(0, 8 * 96 - 1),
    other=st.binary(min_size=1, max_size=8),
)
def test_one_bit_changed_anywhere_breaks_a_signature_for_all(seed, message, bit, other):
    """In key, R, s, or in the message: all three say no."""
    key = PrivateKey.from_seed(seed)
    both = bytearray(key.public + key.sign(message))
    both[bit // 8] ^= 1 << bit % 8

    assert {False} == verdicts(bytes(both[:32]), message, bytes(both[32:]))
    assert {False} == verdicts(key.public, message + other, key.sign(message))


@given(data=st.binary(min_size=96, max_size=96), message=st.binary(max_size=20))
def test_any_bytes_get_one_verdict(data, message):
    """Whatever 96 bytes claim to be a key and a signature, the three agree."""
    assert 1 == len(verdicts(data[:32], message, data[32:]))


@given(key=st.binary(max_size=40), signature=st.binary(max_size=70), message=st.binary(max_size=20))
def test_other_lengths_are_no_keys_and_no_signatures(key, signature, message):
    """A key is 32 bytes and a signature 64, or it is none."""
    if len(key) != 32 or len(signature) != 64:
        assert {False} == verdicts(key, message, signature)


@pytest.mark.parametrize("point", SMALL_ORDER + SECOND_NAMES, ids=bytes.hex)
@settings(max_examples=12)
@given(message=st.binary(max_size=20), s=st.sampled_from([0, 1, 8, ORDER - 1]))
def test_bent_points_hold_nowhere(point, message, s):
    """Of small order or by a second name, as the key or as R, with whichever s: nobody accepts it."""
    scalar = s.to_bytes(32, "little")
    key = PrivateKey.from_seed(bytes(32))

    assert {False} == verdicts(point, message, point + scalar)
    assert {False} == verdicts(point, message, key.public + scalar)
    assert {False} == verdicts(key.public, message, point + scalar)
    assert not acceptable_key(point)
    assert not acceptable(point)


@given(secret=st.integers(1, ORDER - 1), torsion=st.sampled_from(SMALL_ORDER))
@settings(max_examples=20)
def test_a_key_with_a_part_of_small_order_is_not_registered(secret, torsion):
    """Of mixed order it would verify here and not there: both say no, and yes to the key without that part."""
    pure = verify._multiply(secret, verify._base_table()[0][1])
    added = verify._decode_point(torsion)
    assert added is not None
    mixed = verify._encode_point(verify._add(pure, added))
    harmless = mixed == verify._encode_point(pure)

    assert [True, True] == [one(verify._encode_point(pure)) for one in (acceptable, acceptable_key)]
    assert [harmless, harmless] == [one(mixed) for one in (acceptable, acceptable_key)]


@given(data=st.binary(min_size=32, max_size=32) | st.binary(max_size=40))
def test_any_bytes_are_a_key_for_both_or_for_neither(data):
    """Fast or slow, the same keys may be registered."""
    assert acceptable_key(data) == acceptable(data)


@given(message=st.binary(max_size=20), torsion=st.sampled_from(SMALL_ORDER), extra=st.sampled_from([0, ORDER]))
def test_torsion_in_r_and_a_second_s_get_one_verdict(message, torsion, extra):
    """Only cofactorless and with s below L: what differs from the one signature is refused by all."""
    secret, nonce = 12345, 67890
    base = verify._base_table()[0][1]
    key = verify._encode_point(verify._multiply(secret, base))
    added = verify._decode_point(torsion)
    assert added is not None
    r = verify._encode_point(verify._add(verify._multiply(nonce, base), added))
    h = int.from_bytes(sha512(r + key + message).digest(), "little") % ORDER
    signature = r + ((nonce + h * secret) % ORDER + extra).to_bytes(32, "little")
    honest = torsion == verify._encode_point(verify._ZERO) and not extra

    assert {honest} == verdicts(key, message, signature)


def test_ml_dsa_44_holds_for_what_was_signed_alone(tmp_path):
    """The second signature of a checkpoint is over its words, under its key."""
    log = LogKeys.from_seed(bytes(32))
    signature = log.mldsa44.sign(b"words")

    assert mldsa44(log.mldsa44_public, b"words", signature)
    assert not mldsa44(log.mldsa44_public, b"other words", signature)
    assert not mldsa44(LogKeys.from_seed(bytes([1]) * 32).mldsa44_public, b"words", signature)
    assert not mldsa44(b"no key", b"words", signature)


# --- files ---


def test_a_key_file_is_read_back_and_belongs_to_its_owner(tmp_path):
    """What was saved is the key, and nobody else may read it, whatever the umask is."""
    key = PrivateKey.generate()
    before = os.umask(0)
    try:
        key.save(tmp_path / "one.pem")
    finally:
        os.umask(before)

    assert key == PrivateKey.load(tmp_path / "one.pem")
    assert 0o600 == stat.S_IMODE((tmp_path / "one.pem").stat().st_mode)
    assert b"-----BEGIN PRIVATE KEY-----" == (tmp_path / "one.pem").read_bytes().splitlines()[0]


def test_a_key_file_is_never_replaced(tmp_path):
    """A key that has signed anything is not lost to a second one."""
    first = PrivateKey.generate()
    first.save(tmp_path / "one.pem")

    with pytest.raises(FileExistsError):
        PrivateKey.generate().save(tmp_path / "one.pem")
    assert first == PrivateKey.load(tmp_path / "one.pem")


def test_the_keys_of_a_log_are_read_back(tmp_path):
    """Both of them, from the two files of the folder."""
    log = LogKeys.generate()
    log.save(tmp_path)
    again = LogKeys.load(tmp_path)

    assert (log.ed25519, log.mldsa44_public) == (again.ed25519, again.mldsa44_public)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}


def test_what_is_no_key_file_is_said_so(tmp_path):
    """Missing, of another kind, encrypted, too large, or not PEM at all: each is a clear error."""
    with pytest.raises(NotFound) as missing:
        PrivateKey.load(tmp_path / "no.pem")
    assert 4 == exit_status(missing.value)
    assert missing.value.what_now

    elliptic = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    locked = serialization.BestAvailableEncryption(b"word")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    ours = Ed25519PrivateKey.from_private_bytes(bytes(32))
    for content in (
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
        elliptic.private_bytes(pem, pkcs8, plain),
        ours.private_bytes(pem, pkcs8, locked),
        ours.private_bytes(pem, pkcs8, plain) + b"\n" * keys.PEM_BYTES_MAX,
    ):
        (tmp_path / "odd.pem").write_bytes(content)
        with pytest.raises(FormatError):
            PrivateKey.load(tmp_path / "odd.pem")

    PrivateKey.generate().save(tmp_path / "log.mldsa.key")
    PrivateKey.generate().save(tmp_path / "log.key")
    with pytest.raises(FormatError):
        LogKeys.load(tmp_path)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_key_file_or_a_format_error(tmp_path_factory, data):
    """Nothing else comes out of reading one."""
    path = tmp_path_factory.mktemp("keys") / "any.pem"
    path.write_bytes(data)
    try:
        assert isinstance(PrivateKey.load(path), PrivateKey)
    except FormatError as error:
        assert "key" == error.field


def test_a_file_that_may_not_be_read_is_said_so(tmp_path, monkeypatch):
    """Reading it as the wrong user names the file and what to do."""

    def forbidden(self: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", forbidden)

    with pytest.raises(NotPermitted):
        PrivateKey.load(tmp_path / "one.pem")


def test_a_secret_is_never_printed():
    """The representation of a key shows what is public of it."""
    key = PrivateKey.from_seed(bytes(range(32)))

    assert "seed" not in repr(key)
    assert repr(key.seed) not in repr(key)
    assert key_id(key.public) == key.id


def test_without_libsodium_everything_is_the_same(monkeypatch):
    """OpenSSL signs and verifies the same bytes where PyNaCl is not installed."""
    with_sodium = PrivateKey.from_seed(bytes(32))
    monkeypatch.setattr(keys, "SODIUM", False)
    without = PrivateKey.from_seed(bytes(32))

    assert with_sodium == without
    assert with_sodium.sign(b"words") == without.sign(b"words")
