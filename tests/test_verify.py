"""The verifier's own parts: one Ed25519 rule, one encoding, one file that needs nothing."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import verify
from ledger.acts import catalogue
from ledger.errors import FormatError
from ledger.keys import PrivateKey, openssl_ed25519, sodium_ed25519
from ledger.resources import path
from ledger.statement import decode_entry, decode_header, decode_statement
from ledger.verify import acceptable_key, strict_ed25519
from tests.small_ledger import with_case

VECTORS = Path(__file__).parent / "vectors"
FUNCTIONS = [strict_ed25519, openssl_ed25519, sodium_ed25519]
LEDGER = with_case()

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
BASE = verify._base_table()[0][1]
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def point(data: bytes) -> Any:
    """A point from its encoding."""
    found = verify._decode_point(data)
    assert found is not None
    return found


def multiple(scalar: int, torsion: int = 0) -> bytes:
    """Scalar times the base point, plus so many times a point of order eight; encoded."""
    there = verify._multiply(scalar, BASE)
    for _ in range(torsion):
        there = verify._add(there, point(ORDER_8))
    return verify._encode_point(there)


def signature(
    secret: int, nonce: int, message: bytes, *, key: bytes, torsion_of_nonce: int = 0, add_to_s: int = 0
) -> bytes:
    """A signature by the equation of RFC 8032, with what the caller bends in it."""
    r = multiple(nonce, torsion_of_nonce)
    h = int.from_bytes(sha512(r + key + message).digest(), "little") % L
    return r + ((nonce + h * secret) % L + add_to_s).to_bytes(32, "little")


def vectors(name: str) -> list[tuple[bytes, bytes, bytes]]:
    """Key, message, signature of each vector in a file."""
    found = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return [tuple(bytes.fromhex(one[name]) for name in ("pub_key", "message", "signature")) for one in found]  # type: ignore[misc] # three names, three bytes


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_the_vectors_of_rfc_8032_hold(ed25519: verify.Ed25519) -> None:
    """Each function verifies the signatures of the standard, and none with a bit flipped."""
    for key, message, signed in vectors("ed25519_rfc8032.json"):
        assert ed25519(key, message, signed)
        assert acceptable_key(key)
        for at in range(0, 64, 5):
            bad = bytearray(signed)
            bad[at] ^= 1 << at % 8
            assert not ed25519(key, message, bytes(bad))
        assert not ed25519(key, message + b"x", signed)
        assert not ed25519(key, message, signed[:63])
        assert not ed25519(key[:31], message, signed)


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_the_cases_on_which_implementations_disagree_are_decided_one_way(ed25519: verify.Ed25519) -> None:
    """Of the ten cases of 'Taming the many EdDSAs' only the fourth, mixed order and cofactorless, holds."""
    assert [ed25519(*case) for case in vectors("ed25519_speccheck.json")] == [False] * 3 + [True] + [False] * 6


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_a_signature_with_torsion_in_r_is_rejected(ed25519: verify.Ed25519) -> None:
    """A verifier that multiplies by the cofactor would accept it, so a State could repudiate it."""
    key = multiple(12345)
    plain = signature(12345, 678, b"said", key=key)

    assert ed25519(key, b"said", plain)
    for torsion in range(1, 8):
        assert not ed25519(key, b"said", signature(12345, 678, b"said", key=key, torsion_of_nonce=torsion))


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_a_second_form_of_s_is_rejected(ed25519: verify.Ed25519) -> None:
    """Adding L to s solves the same equation; it is another signature over the same words."""
    key = multiple(12345)
    assert not ed25519(key, b"said", signature(12345, 678, b"said", key=key, add_to_s=L))


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_small_order_keys_and_nonces_are_rejected(ed25519: verify.Ed25519) -> None:
    """Under a key of small order, one signature holds for many words."""
    for n in range(8):
        small = multiple(0, n)
        assert verify.small_order(small)
        assert not acceptable_key(small)
        assert not ed25519(small, b"said", small + bytes(32))
        key = multiple(12345)
        h = int.from_bytes(sha512(small + key + b"said").digest(), "little") % L
        assert not ed25519(key, b"said", small + (h * 12345 % L).to_bytes(32, "little"))


@pytest.mark.parametrize("ed25519", FUNCTIONS)
def test_encodings_that_are_not_canonical_are_rejected(ed25519: verify.Ed25519) -> None:
    """A y of p or more, and a negative zero, are second names of a point."""
    second_names = [(P + y).to_bytes(32, "little") for y in range(19)]
    second_names += [bytes([*name[:31], name[31] | 0x80]) for name in second_names]
    second_names += [b"\x01" + bytes(30) + b"\x80", (P - 1 | 1 << 255).to_bytes(32, "little")]

    for name in second_names:
        assert not acceptable_key(name)
        assert not ed25519(name, b"said", multiple(5) + bytes(32))
        assert not ed25519(multiple(12345), b"said", name + bytes(32))


def test_a_key_of_mixed_order_cannot_be_registered() -> None:
    """Each coset of the prime-order subgroup but itself is refused at registration."""
    assert [acceptable_key(multiple(12345, torsion)) for torsion in range(8)] == [True] + [False] * 7
    assert not acceptable_key((2).to_bytes(32, "little"))  # not on the curve
    assert not acceptable_key(b"")


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32))
@settings(max_examples=25)
def test_what_any_library_signs_holds_everywhere(message: bytes, seed: bytes) -> None:
    """Keys and signatures made by libsodium pass all three functions, and registration."""
    key = PrivateKey.from_seed(seed)
    signed = key.sign(message)

    assert acceptable_key(key.public)
    assert [ed25519(key.public, message, signed) for ed25519 in FUNCTIONS] == [True] * 3
    assert [ed25519(key.public, message + b".", signed) for ed25519 in FUNCTIONS] == [False] * 3


# --- encoding ---


def shape_of(schema: Any) -> Any:
    """A schema in the notation of the verifier's tables."""
    match schema:
        case "long" | "int" | {"type": "long"}:
            return int
        case "string":
            return str
        case "bytes":
            return bytes
        case "boolean":
            return bool
        case str():
            return {"Uuid": 16, "Digest": 32, "PublicKey": 32, "Signature": 64}[schema.rpartition(".")[2]]
        case ["null", inner]:
            return (None, shape_of(inner))
        case {"type": "fixed", "size": size}:
            return size
        case {"type": "enum", "symbols": symbols}:
            return tuple(symbols)
        case {"type": "array", "items": items}:
            return [shape_of(items)]
        case {"type": "record", "fields": fields}:
            return tuple((one["name"], shape_of(one["type"])) for one in fields)
        case {"type": inner}:
            return shape_of(inner)
    raise AssertionError(schema)


def table(name: str) -> Any:
    """The shape that a schema file describes."""
    return shape_of(json.loads((path("schemas") / name).read_text(encoding="utf-8")))


def test_the_tables_are_the_schemas() -> None:
    """What the verifier reads is what the schema files say, field by field, in order."""
    assert table("statement.avsc") == verify.STATEMENT
    assert table("entry.avsc") == verify.ENTRY
    for act, shape in verify.ROSTER_ACTS.items():
        assert table(f"acts/{act}.1.avsc") == shape


def attributes(value: Any) -> Any:
    """A decoded record as nested dicts, whatever class holds it."""
    if isinstance(value, tuple):
        return [attributes(item) for item in value]
    names = getattr(value, "__slots__", None) or (vars(value) if hasattr(value, "__dict__") else None)
    return {name: attributes(getattr(value, name)) for name in names} if names else value


def outcome(decode: Any, data: bytes) -> Any:
    """What a decoder makes of bytes; None where it makes nothing."""
    try:
        return attributes(decode(data))
    except FormatError:
        return None


def test_both_decoders_read_a_ledger_alike() -> None:
    """The service's decoder and the verifier's give the same fields for every entry."""
    for data in LEDGER.entries_:
        entry = verify.decode_entry(data)
        assert outcome(decode_entry, data) == attributes(entry)
        if entry.disposition == "accepted":
            statement = verify.decode_statement(entry.statement)
            assert outcome(decode_statement, entry.statement) == attributes(statement)
            if statement.act in verify.ROSTER_ACTS:
                body = verify.decode_body(statement.act, statement.body)
                assert catalogue().decode(statement.act, 1, statement.body) == body
        else:
            assert outcome(decode_header, entry.statement) == attributes(verify.decode_header(entry.statement))


@given(st.sampled_from(LEDGER.entries_), st.integers(0, 2000), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=400)
def test_what_the_service_decodes_the_verifier_decodes_alike(
    data: bytes, at: int, inserted: bytes, removed: int
) -> None:
    """Damaged anywhere, bytes that the service takes are the same value to a verifier; it may set limits besides."""
    statement = verify.decode_entry(data).statement
    for decode, strict, whole in (
        (decode_entry, verify.decode_entry, data),
        (decode_statement, verify.decode_statement, statement),
        (decode_header, verify.decode_header, statement),
    ):
        cut = at % len(whole)
        damaged = whole[:cut] + inserted + whole[cut + removed :]
        assert outcome(decode, damaged) in (None, outcome(strict, damaged))


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_a_value_or_a_format_error(data: bytes) -> None:
    """No parser of the verifier ends in anything but a value or a FormatError."""
    parsers: list[Any] = [
        verify.decode_statement, verify.decode_header, verify.decode_entry, verify.parse_note, verify.parse_proof,
        verify.parse_policy, *(lambda data, act=act: verify.decode_body(act, data) for act in verify.ROSTER_ACTS),
        lambda data: verify.parse_vkey(data.decode("latin-1")),
        lambda data: verify.parse_checkpoint(data.decode("latin-1")),
        lambda data: verify.Container(io.BytesIO(data)),
    ]  # fmt: skip
    for parse in parsers:
        try:
            parse(data)
        except FormatError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("what", "shape", "data"),
    [
        ("a number longer than needed", int, b"\x80\x00"),
        ("a number longer than needed, not zero", int, b"\x82\x80\x00"),
        ("a number of 65 bits", int, b"\xff" * 9 + b"\x02"),
        ("a number of eleven bytes", int, b"\x80" * 10 + b"\x01"),
        ("a number cut short", int, b"\x80"),
        ("a boolean of 2", bool, b"\x02"),
        ("an enum beyond its symbols", ("a", "b"), b"\x04"),
        ("an enum below its symbols", ("a", "b"), b"\x01"),
        ("a third branch of a union", (None, int), b"\x04\x00"),
        ("a string that is not UTF-8", str, b"\x02\xff"),
        ("a surrogate", str, b"\x06\xed\xa0\x80"),
        ("a negative length", bytes, b"\x01"),
        ("a length beyond the end", bytes, b"\x04a"),
        ("an array with a block size", [bool], b"\x01\x02\x01\x00"),
        ("an array in two blocks", [bool], b"\x02\x01\x02\x01\x00"),
        ("an array without its end", [bool], b"\x02\x01"),
        ("an array of more items than bytes", [bool], b"\xfe\xff\xff\xff\x0f"),
        ("a fixed cut short", 16, bytes(15)),
        ("bytes after the end", bool, b"\x01\x00"),
    ],
)
def test_a_second_encoding_of_a_value_is_none(what: str, shape: Any, data: bytes) -> None:
    """Numbers, arrays, booleans have one form; everything else is refused."""
    with pytest.raises(FormatError):
        verify._decode(shape, data, what, dict, list)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_number_of_64_bits_has_its_one_form(number: int) -> None:
    """Zig-zag, base 128: what Avro writes is read back, to both ends of the range."""
    rest, data = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        data.append(rest & 0x7F | 0x80)
        rest >>= 7
    data.append(rest)
    assert verify._decode(int, bytes(data), "number", dict, list) == number


def test_too_long_is_said_before_reading() -> None:
    """The limits of the format stand in the decoder, not in whoever calls it."""
    with pytest.raises(FormatError, match="60,000"):
        verify.decode_statement(bytes(60_001))
    with pytest.raises(FormatError, match="65,535"):
        verify.decode_entry(bytes(65_536))


def test_the_verifier_imports_only_the_standard_library() -> None:
    """Isolated, without site packages, the file imports and explains itself."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", verify.__file__, "--help"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "BUNDLE.zip" in done.stdout
    assert os.access(verify.__file__, os.X_OK)
