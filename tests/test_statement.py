"""
Statements and entries: bytes with one reading, whoever reads them.

Four decoders are held against each other: the fast path, the careful one behind it, the verifier's,
and fastavro. The verifier judges the encoding alone, so it may read what the service refuses for a
limit (more than 64 characters or items, an instant outside the years 1 to 9999); never otherwise.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import fastavro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import resources, statement, verify
from ledger.acts import catalogue
from ledger.errors import FormatError
from ledger.statement import (
    EARLIEST,
    ENTRY_BYTES_MAX,
    LATEST,
    STATEMENT_BYTES_MAX,
    Attachment,
    Basis,
    Batch,
    Entry,
    Speaker,
    Statement,
    Visibility,
    batch_message,
    check,
    decode_entry,
    decode_header,
    decode_statement,
    encode_entry,
    encode_statement,
    header_of,
    new_id,
    random_id,
    signed_message,
)

SCHEMAS = {
    name: fastavro.parse_schema(json.loads((resources.path("schemas") / f"{name}.avsc").read_text()))
    for name in ("statement", "entry")
}

ids = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
texts = st.text(max_size=64)
longs = st.integers(-(2**63), 2**63 - 1)
instants = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


def several(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A few items, or as many as an array may hold."""
    few = st.lists(items, max_size=3)
    return (few | items.map(lambda item: [item] * 63) | items.map(lambda item: [item] * 64)).map(tuple)


speakers = st.builds(
    Speaker,
    authority=st.none() | ids,
    country=st.none() | texts,
    authority_kind=st.none() | texts,
    mandate=st.none() | ids,
    source=st.none() | texts,
)
statements = st.builds(
    Statement,
    id=ids,
    ledger=texts,
    publisher=ids,
    key=hashes,
    sequence=longs,
    voice=st.sampled_from(["own", "on_behalf", "reported"]),
    speaker=st.none() | speakers,
    case=ids,
    subject=ids,
    act=texts,
    version=longs,
    kind=st.sampled_from(["act", "decision", "claim", "assessment"]),
    occurred_from=instants,
    occurred_until=instants,
    occurred_confirmed=st.booleans(),
    zone=texts,
    legal_effect_at=st.none() | instants,
    known_at=st.none() | instants,
    addressees=several(ids),
    visibility=st.builds(
        Visibility,
        ring=st.sampled_from(["addressees", "case", "oversight", "public"]),
        embargo_until=st.none() | instants,
    ),
    proceedings=several(ids),
    language=texts,
    local_reference=st.none() | hashes,
    basis=several(st.builds(Basis, instrument=texts, article=st.none() | texts, domestic=st.booleans())),
    answers=several(ids),
    corrects=st.none() | ids,
    attachments=several(
        st.builds(
            Attachment,
            role=texts,
            commitment=hashes,
            key_commitment=st.none() | hashes,
            size=longs,
            media_type=texts,
        )
    ),
    body=st.binary(max_size=300),
)
entries = st.builds(
    Entry,
    format=st.just(1),
    statement=st.binary(max_size=300),
    statement_sha256=st.none() | hashes,
    algorithm=st.just("ed25519"),
    signature=st.binary(min_size=64, max_size=64),
    batch=st.none() | st.builds(Batch, size=longs, index=longs, path=several(hashes)),
    recorded_at=instants,
    disposition=st.sampled_from(["accepted", "rejected"]),
    reason=st.none() | texts,
    rules=hashes,
    subject_version=st.none() | longs,
    case_version=st.none() | longs,
)

INSTRUMENT = next(iter(catalogue().codes("instruments")))
PLAIN = Statement(
    id=new_id(1_700_000_000_000_000, bytes(10)), ledger="ledger.example/simulation", publisher=bytes(16),
    key=bytes(32), sequence=3, voice="own", speaker=None, case=bytes(16), subject=bytes(16), act="case.opened",
    version=1, kind="act", occurred_from=1_700_000_000_000_000, occurred_until=1_700_000_000_000_000,
    occurred_confirmed=True, zone="Europe/Berlin", legal_effect_at=None, known_at=None, addressees=(bytes(16),),
    visibility=Visibility(), proceedings=(), language="de", local_reference=None,
    basis=(Basis(INSTRUMENT, "12(3)"),), answers=(), corrects=None, attachments=(), body=b"body",
)  # fmt: skip
ACCEPTED = Entry(
    format=1, statement=encode_statement(PLAIN), statement_sha256=None, algorithm="ed25519", signature=bytes(64),
    batch=Batch(2, 1, (bytes(32),)), recorded_at=1_700_000_000_000_000, disposition="accepted", reason=None,
    rules=bytes(32), subject_version=0, case_version=300,
)  # fmt: skip


def fields(value: Any) -> Any:
    """A decoded record as nested dicts, whatever class holds it."""
    if isinstance(value, (tuple, list)):
        return [fields(item) for item in value]
    if isinstance(value, dict):
        return {name: fields(item) for name, item in value.items()}
    names = getattr(value, "__slots__", None) or (vars(value) if hasattr(value, "__dict__") else None)
    return {name: fields(getattr(value, name)) for name in names} if names else value


def by_fastavro(what: str, data: bytes) -> Any:
    """What the library makes of the bytes, with instants as numbers; None unless these are its own bytes."""
    schema = SCHEMAS[what]
    source = io.BytesIO(data)
    value: Any = fastavro.schemaless_reader(source, schema, None)
    assert b"" == source.read()
    return numbers(value)


def numbers(value: Any) -> Any:
    """Instants as microseconds."""
    if hasattr(value, "tzinfo"):
        since = value - value.replace(year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(value, dict):
        return {name: numbers(item) for name, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def outcome(decode: Any, data: bytes) -> Any:
    """What a decoder makes of bytes; None where it says that they are none."""
    try:
        return fields(decode(data))
    except FormatError as error:
        assert error.what
        return None


def careful_statement(data: bytes) -> Any:
    """The decoder behind the fast path."""
    return statement._statement(statement._STATEMENT.decode(data))


def careful_entry(data: bytes) -> Any:
    """The decoder behind the fast path."""
    value = statement._ENTRY.decode(data)
    if value["format"] != 1:
        raise FormatError("is another format", field="format")
    return value


# --- one reading ---


@given(statements)
@settings(max_examples=200)
def test_a_statement_is_read_back_alike_by_everybody(made):
    """Encoded once, it is the same value to the fast path, the careful decoder, the verifier and fastavro."""
    data = encode_statement(made)

    assert made == decode_statement(data) == careful_statement(data)
    assert fields(made) == fields(verify.decode_statement(data)) == by_fastavro("statement", data)


@given(entries)
@settings(max_examples=200)
def test_an_entry_is_read_back_alike_by_everybody(made):
    """Whether it was encoded by the fast path or not, and decoded by it or not."""
    data = encode_entry(made)
    value = {name: fields(getattr(made, name)) for name in made.__slots__}

    assert statement._ENTRY.encode(value) == data
    assert made == decode_entry(data)
    assert (
        fields(made) == fields(careful_entry(data)) == fields(verify.decode_entry(data)) == by_fastavro("entry", data)
    )


@st.composite
def damaged(draw: Any, whole: Any) -> bytes:
    """The bytes of something, cut short, lengthened, or with a few of them changed."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 1] = draw(st.binary(max_size=3))
            case 2:
                data[at:at] = draw(st.binary(max_size=3))
            case 3 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@given(damaged(statements.map(encode_statement) | st.just(encode_statement(PLAIN))) | st.binary(max_size=400))
@settings(max_examples=600)
@example(encode_statement(PLAIN)[:-1])
@example(encode_statement(PLAIN) + b"\0")
@example(b"")
@example(encode_statement(replace(PLAIN, occurred_from=-62_135_596_800_000_000)))
def test_any_bytes_are_one_statement_or_none(data):
    """The fast path takes exactly what the careful decoder takes, and the verifier reads it alike."""
    found = outcome(decode_statement, data)

    assert outcome(careful_statement, data) == found
    assert found is None or outcome(verify.decode_statement, data) == found == by_fastavro("statement", data)


@given(damaged(entries.map(encode_entry) | st.just(encode_entry(ACCEPTED))) | st.binary(max_size=400))
@settings(max_examples=600)
@example(encode_entry(ACCEPTED)[:-1])
@example(encode_entry(ACCEPTED) + b"\0")
@example(b"")
def test_any_bytes_are_one_entry_or_none(data):
    """As with statements."""
    found = outcome(decode_entry, data)

    assert outcome(careful_entry, data) == found
    assert found is None or outcome(verify.decode_entry, data) == found == by_fastavro("entry", data)


@pytest.mark.parametrize("changed", [
    {name: value}
    for name in ("occurred_from", "occurred_until", "legal_effect_at", "known_at")
    for value in (-(2**62), 2**62, -62_135_596_800_000_001, 253_402_300_800_000_000)
], ids=str)  # fmt: skip
def test_an_instant_outside_all_calendars_is_none(changed):
    """No four digits name its year; fast or careful, it is refused."""
    data = bytearray(encode_statement(replace(PLAIN, legal_effect_at=0, known_at=0)))
    value = fields(replace(PLAIN, legal_effect_at=0, known_at=0)) | changed
    out = io.BytesIO()
    bare = json.loads(json.dumps(SCHEMAS["statement"]).replace('"logicalType"', '"was"'))
    fastavro.schemaless_writer(out, fastavro.parse_schema(bare), value)
    assert bytes(data) != out.getvalue()

    assert None is outcome(careful_statement, out.getvalue())
    assert None is outcome(decode_statement, out.getvalue())


@given(statements)
def test_nothing_is_encoded_that_differs_from_what_was_meant(made):
    """The same value always gives the same bytes, and another value others."""
    data = encode_statement(made)

    assert encode_statement(decode_statement(data)) == data
    assert encode_statement(replace(made, occurred_confirmed=not made.occurred_confirmed)) != data


# --- limits ---


def test_a_statement_of_60_000_bytes_is_the_longest():
    """One byte more is refused, when it is encoded and when it is decoded."""
    room = STATEMENT_BYTES_MAX - len(encode_statement(replace(PLAIN, body=bytes(50_000)))) + 50_000
    longest = replace(PLAIN, body=bytes(room))
    data = encode_statement(longest)

    assert STATEMENT_BYTES_MAX == len(data)
    assert longest == decode_statement(data)
    with pytest.raises(FormatError, match="60,001 bytes"):
        encode_statement(replace(PLAIN, body=bytes(room + 1)))
    for decode in (decode_statement, verify.decode_statement):
        with pytest.raises(FormatError) as refused:
            decode(data + b"\0")
        assert "statement" == refused.value.field


def test_an_entry_holds_a_statement_of_60_000_bytes_at_most():
    """One byte more is refused, when it is encoded and when it is decoded, on the fast path as on the careful one."""
    longest = replace(ACCEPTED, statement=bytes(STATEMENT_BYTES_MAX))
    data = encode_entry(longest)

    assert longest == decode_entry(data)
    with pytest.raises(FormatError) as refused:
        encode_entry(replace(ACCEPTED, statement=bytes(STATEMENT_BYTES_MAX + 1)))
    assert "statement" == refused.value.field
    told, one_more = (statement._varint(STATEMENT_BYTES_MAX + more) for more in (0, 1))
    longer = data.replace(told, one_more + b"\0", 1)
    assert len(data) + 1 == len(longer)
    for decode in (decode_entry, careful_entry):
        with pytest.raises(FormatError) as refused:
            decode(longer)
        assert "statement" == refused.value.field


def test_no_entry_is_longer_than_65_535_bytes():
    """Whatever else is wrong with it, it is not looked at."""
    for decode in (decode_entry, verify.decode_entry):
        with pytest.raises(FormatError) as refused:
            decode(bytes(ENTRY_BYTES_MAX + 1))
        assert "entry" == refused.value.field


def test_the_longest_statement_fits_an_entry_with_the_longest_batch():
    """So nothing that is admitted can be too long to be recorded."""
    entry = replace(ACCEPTED, statement=bytes(STATEMENT_BYTES_MAX), batch=Batch(4096, 4095, (bytes(32),) * 12))

    assert len(encode_entry(replace(entry, recorded_at=2**55, subject_version=2**55, case_version=2**55))) < 65_000


def test_another_format_of_entry_is_said_so():
    """An entry of a later version is refused by its number, not misread."""
    later = b"\4" + encode_entry(ACCEPTED)[1:]

    for decode in (decode_entry, verify.decode_entry):
        with pytest.raises(FormatError) as refused:
            decode(later)
        assert "format" == refused.value.field


@pytest.mark.parametrize(("changed", "field"), [
    ({"id": b"short"}, "id"),
    ({"sequence": "3"}, "sequence"),
    ({"sequence": 2**63}, "sequence"),
    ({"voice": "loud"}, "voice"),
    ({"act": "x" * 65}, "act"),
    ({"act": "\ud800"}, "act"),
    ({"addressees": (b"",)}, "addressees[0]"),
    ({"addressees": (bytes(16),) * 65}, "addressees"),
    ({"basis": (Basis(INSTRUMENT), Basis(INSTRUMENT, "x" * 65))}, "basis[1].article"),
    ({"visibility": Visibility("nobody")}, "visibility.ring"),
    ({"speaker": Speaker(authority=b"")}, "speaker.authority"),
    ({"occurred_from": 2**62}, "occurred_from"),
    ({"body": "text"}, "body"),
], ids=str)  # fmt: skip
def test_what_cannot_be_encoded_is_named_by_its_path(changed, field):
    """A value of another type, too long or outside its symbols: the error names the field."""
    with pytest.raises(FormatError) as refused:
        encode_statement(replace(PLAIN, **changed))
    assert field == refused.value.field


# --- the header ---


@given(statements, st.binary(max_size=300))
def test_the_header_is_everything_before_the_body(made, body):
    """It is a prefix, the same for every body, and decodes to the statement without its body."""
    made = replace(made, body=body)
    data = encode_statement(made)
    header = header_of(data, body)

    assert data.startswith(header)
    assert encode_statement(replace(made, body=b"")) == header + b"\0"
    assert replace(made, body=b"") == decode_header(header)
    assert fields(verify.decode_header(header)) == fields(decode_header(header))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192, 50_000])
def test_the_header_ends_before_the_length_of_the_body(length):
    """Also where the length takes one byte more."""
    made = replace(PLAIN, body=bytes(length))

    assert encode_statement(replace(PLAIN, body=b""))[:-1] == header_of(encode_statement(made), made.body)


# --- ids and messages ---


@given(st.integers(0, 2**48 * 1000 - 1), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_its_millisecond(at, randomness):
    """UUIDv7: version and variant are set, the milliseconds lead, ten bytes are random."""
    made = new_id(at, randomness)

    assert (16, 7, 2) == (len(made), made[6] >> 4, made[8] >> 6)
    assert at // 1000 == int.from_bytes(made[:6], "big")


def test_ids_of_things_are_random():
    """UUIDv4: nothing of a case, a subject or a person is in its id."""
    made = {random_id() for _ in range(1000)}

    assert 1000 == len(made)
    assert {(4, 2)} == {(one[6] >> 4, one[8] >> 6) for one in made}


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20, unique=True))
def test_a_batch_is_signed_by_its_root(made):
    """Each member leads to the same message, by its own path; another place leads elsewhere or nowhere."""
    from ledger.ledger import batch_paths

    root, paths = batch_paths(made)

    assert verify.root_of([verify.leaf_hash(one) for one in made]) == root
    expected = b"comity.batch.v1\0" + len(made).to_bytes(8, "big") + root
    for index, (one, path) in enumerate(zip(made, paths, strict=True)):
        assert batch_message(len(made), root) == expected == signed_message(one, Batch(len(made), index, path))
        if len(made) > 1:
            moved = Batch(len(made), (index + 1) % len(made), path)
            with contextlib.suppress(verify.NotVerified):
                assert expected != signed_message(one, moved)
    assert b"comity.statement.v1\0" + made[0] == signed_message(made[0])


@pytest.mark.parametrize("batch", [
    Batch(0, 0, ()), Batch(1, 1, ()), Batch(2, -1, (bytes(32),)), Batch(2, 0, ()), Batch(2, 0, (bytes(32),) * 2),
    Batch(2, 0, (bytes(31),)), Batch(-1, 0, ()), Batch(2**62, 0, (bytes(32),) * 100),
])  # fmt: skip
def test_a_path_that_cannot_be_is_refused(batch):
    """Too long, too short, of other hashes, beside the tree."""
    with pytest.raises((FormatError, verify.NotVerified)):
        signed_message(b"statement", batch)


# --- what a statement may say about itself ---


def test_a_plain_statement_passes():
    """What the other examples change is right as it stands."""
    check(PLAIN, catalogue().codes)


REPORTED = Speaker(country="DE", authority_kind="court", source="ECLI:DE:LGBE:2021")


@pytest.mark.parametrize(("changed", "field"), [
    ({"id": bytes(16)}, "id"),
    ({"sequence": -1}, "sequence"),
    ({"act": "Case.Opened"}, "act"),
    ({"act": "case"}, "act"),
    ({"zone": "Berlin"}, "zone"),
    ({"zone": "../etc/passwd"}, "zone"),
    ({"language": "Deutsch"}, "language"),
    ({"language": "DE"}, "language"),
    ({"occurred_from": EARLIEST - 1}, "occurred_from"),
    ({"occurred_until": LATEST + 1}, "occurred_until"),
    ({"occurred_from": PLAIN.occurred_until + 1}, "occurred_until"),
    ({"legal_effect_at": LATEST + 1}, "legal_effect_at"),
    ({"visibility": Visibility(embargo_until=EARLIEST - 1)}, "visibility.embargo_until"),
    ({"known_at": 0}, "known_at"),
    ({"speaker": REPORTED}, "speaker"),
    ({"voice": "reported"}, "speaker"),
    ({"voice": "reported", "speaker": replace(REPORTED, source=None)}, "speaker.source"),
    ({"voice": "reported", "speaker": replace(REPORTED, source="see\nabove")}, "speaker.source"),
    ({"voice": "reported", "speaker": replace(REPORTED, country=None)}, "speaker"),
    ({"voice": "reported", "speaker": replace(REPORTED, country="Germany")}, "speaker.country"),
    ({"voice": "reported", "speaker": replace(REPORTED, authority_kind="Anna Muster")}, "speaker.authority_kind"),
    ({"voice": "on_behalf", "speaker": Speaker(authority=bytes(16))}, "speaker"),
    ({"basis": (Basis("Anna Muster"),)}, "basis[0].instrument"),
    ({"basis": (Basis("StPO"), )}, "basis[0].instrument"),
    ({"basis": (Basis("StPO", "§ 100e Abs. 6; Anna", domestic=True),)}, "basis[0].article"),
    ({"basis": (Basis("<b>", domestic=True),)}, "basis[0].instrument"),
    ({"attachments": (Attachment("Anna Muster", bytes(32), None, 0, "pdf"),)}, "attachments[0].role"),
    ({"attachments": (Attachment("receipt_proof", bytes(32), None, 0, "Anna Muster"),)}, "attachments[0].media_type"),
], ids=str)  # fmt: skip
def test_what_a_statement_says_wrongly_of_itself_is_named(changed, field):
    """Clocks, patterns and code lists of the envelope: the first field that fails is named."""
    with pytest.raises(FormatError) as refused:
        check(replace(PLAIN, **changed), catalogue().codes)
    assert field == refused.value.field


def test_a_rejected_entry_names_what_it_withholds():
    """By the SHA-256 of the whole statement."""
    assert sha256(ACCEPTED.statement).digest() == statement.sha256_of(ACCEPTED.statement)
