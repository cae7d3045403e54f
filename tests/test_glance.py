"""The audit's short reading of an entry says what the decoders say, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.errors import FormatError
from ledger.log.glance import IDS_MAX, Glance, glance
from ledger.statement import (
    STATEMENT_BYTES_MAX,
    Attachment,
    Basis,
    Statement,
    Visibility,
    _varint,
    decode_entry,
    decode_statement,
    encode_entry,
    encode_statement,
)
from tests.test_statement import ACCEPTED, PLAIN, damaged, entries, hashes, ids

instants = st.integers(1_600_000_000_000_000, 4_000_000_000_000_000)


def words(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(max_codepoint=127), min_size=least, max_size=most)


several = st.lists(ids, max_size=IDS_MAX).map(tuple)
plain = st.builds(
    Statement,
    id=ids,
    ledger=words(1, 63),
    publisher=ids,
    key=hashes,
    sequence=st.integers(0, 2**40),
    voice=st.sampled_from(["own", "on_behalf", "reported"]),
    speaker=st.none(),
    case=ids,
    subject=ids,
    act=words(3, 40),
    version=st.integers(1, 200),
    kind=st.sampled_from(["act", "decision", "claim", "assessment"]),
    occurred_from=instants,
    occurred_until=instants,
    occurred_confirmed=st.booleans(),
    zone=words(1, 32),
    legal_effect_at=st.none() | instants,
    known_at=st.none() | instants,
    addressees=several,
    visibility=st.builds(
        Visibility,
        ring=st.sampled_from(["addressees", "case", "oversight", "public"]),
        embargo_until=st.none() | instants,
    ),
    proceedings=several,
    language=words(2, 3),
    local_reference=st.none() | hashes,
    basis=st.lists(
        st.builds(Basis, instrument=words(1, 40), article=st.none() | words(1, 32), domestic=st.booleans()), max_size=2
    ).map(tuple),
    answers=several,
    corrects=st.none() | ids,
    attachments=st.lists(
        st.builds(
            Attachment,
            role=words(1, 24),
            commitment=hashes,
            key_commitment=st.none() | hashes,
            size=st.integers(0, 2**48),
            media_type=words(1, 40),
        ),
        max_size=1,
    ).map(tuple),
    body=st.binary(max_size=300),
)


@st.composite
def accepted(draw: Any) -> bytes:
    """The bytes of an entry that holds a plain statement, signed alone."""
    return encode_entry(
        replace(
            ACCEPTED,
            batch=None,
            statement=encode_statement(draw(plain)),
            signature=draw(st.binary(min_size=64, max_size=64)),
            recorded_at=draw(instants),
            rules=draw(hashes),
            subject_version=draw(st.integers(0, 2**40)),
            case_version=draw(st.integers(0, 2**40)),
        )
    )


def decoded(data: bytes) -> Glance | None:
    """What the decoders say of an accepted entry that was signed alone; None for any other bytes."""
    try:
        entry = decode_entry(data)
        if not entry.accepted or entry.batch is not None:
            return None
        return Glance.of(entry, decode_statement(entry.statement))
    except FormatError:
        return None


@given(accepted())
@settings(max_examples=150)
def test_every_plain_entry_is_read_and_reads_as_it_decodes(data):
    """Whatever a plain statement holds, the audit compares what was signed."""
    assert glance(data) is not None
    assert decoded(data) == glance(data)


def _around(statement: bytes) -> bytes:
    return encode_entry(replace(ACCEPTED, batch=None, statement=statement))


_WHOLE = encode_statement(PLAIN)
_SEQUENCE = 16 + 1 + len(PLAIN.ledger) + 16 + 32


def _longest(more: int) -> bytes:
    """An entry around a statement as long as one may be, and longer."""
    header = encode_statement(replace(PLAIN, body=b""))[:-1]
    size = STATEMENT_BYTES_MAX - len(header) - 3 + more
    statement = header + _varint(size) + bytes(size)
    tail = _around(_WHOLE).partition(_WHOLE)[2]
    return b"\2" + _varint(len(statement)) + statement + tail


@given(damaged(accepted() | entries.map(encode_entry)) | st.binary(max_size=400))
@settings(max_examples=500)
@example(_around(_WHOLE))
@example(_around(_WHOLE) + b"\0")
@example(_around(_WHOLE + b"\0"))
@example(_around(_WHOLE[:-1]))
@example(_around(_WHOLE[:_SEQUENCE] + b"\x86\x00" + _WHOLE[_SEQUENCE + 1 :]))  # 3, not in its shortest form
@example(_around(_WHOLE.replace(b"Berlin", b"\xff\xfe\xfd\xfc\xfb\xfa")))  # no text
@example(_around(encode_statement(replace(PLAIN, occurred_from=-1))))
@example(_around(encode_statement(replace(PLAIN, zone="Ürümqi"))))
@example(_longest(0))
@example(_longest(1))
@example(encode_entry(ACCEPTED))
def test_no_bytes_are_read_that_do_not_decode(data):
    """It takes less than the decoders take, never more, and never anything else."""
    seen = glance(data)
    assert seen is None or decoded(data) == seen
