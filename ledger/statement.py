"""
Statement and entry: the bytes that a publisher signs, and the bytes that become a leaf.

A *statement* is encoded once, by its publisher; an *entry* is the statement with its signature and
what the log adds; field by field in ``schemas/statement.avsc`` and ``schemas/entry.avsc``.
Nothing is ever re-encoded: what is stored, hashed, sent and bundled are these bytes.

Decoding is strict: trailing bytes, a second encoding of the same value, values beyond a limit are
a ``FormatError`` naming the field.
``tests/test_statement.py`` holds this decoder, the verifier's and fastavro against each other.

It is one long file on purpose: what is fast here, decoder and encoder, repeats by hand what the schema says of
the types above it, and a field is added to all of them or to none.
"""

from __future__ import annotations

import os
import re
import zoneinfo
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ledger import verify
from ledger.acts import codec
from ledger.codec import Bad, read_instant, read_long
from ledger.errors import FormatError
from ledger.frozen import builder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATEMENT_BYTES_MAX: Final = 60_000
ENTRY_BYTES_MAX: Final = 65_535
ITEMS_MAX: Final = 64
CHARACTERS_MAX: Final = 64
ORIGIN_CHARACTERS_MAX: Final = 64

EARLIEST: Final = -2_208_988_800_000_000
"""1900-01-01T00:00:00Z in microseconds: no act on this log happened before."""
LATEST: Final = 7_258_118_400_000_000
"""2200-01-01T00:00:00Z in microseconds."""

FORMAT: Final = 1

_STATEMENT_DOMAIN: Final = b"comity.statement.v1\0"
_BATCH_DOMAIN: Final = b"comity.batch.v1\0"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose words these are, when not the publisher's own."""

    authority: bytes | None = None
    country: str | None = None
    authority_kind: str | None = None
    mandate: bytes | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Visibility:
    """Who may see the statement, and from when on."""

    ring: str = "case"
    embargo_until: int | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """One legal basis: an instrument with its article, or a domestic provision."""

    instrument: str
    article: str | None = None
    domestic: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """The commitment to an attachment; its content never enters the log."""

    role: str
    commitment: bytes
    key_commitment: bytes | None
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Where a statement lies in a batch that was signed as a whole: RFC 6962 path over *size* leaves."""

    size: int
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a publisher signs. Ids are 16 bytes, hashes 32, instants microseconds since 1970 UTC."""

    id: bytes
    ledger: str
    publisher: bytes
    key: bytes
    sequence: int
    voice: str
    speaker: Speaker | None
    case: bytes
    subject: bytes
    act: str
    version: int
    kind: str
    occurred_from: int
    occurred_until: int
    occurred_confirmed: bool
    zone: str
    legal_effect_at: int | None
    known_at: int | None
    addressees: tuple[bytes, ...]
    visibility: Visibility
    proceedings: tuple[bytes, ...]
    language: str
    local_reference: bytes | None
    basis: tuple[Basis, ...]
    answers: tuple[bytes, ...]
    corrects: bytes | None
    attachments: tuple[Attachment, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf: a signed statement and what the log added to it."""

    format: int
    statement: bytes
    statement_sha256: bytes | None
    algorithm: str
    signature: bytes
    batch: Batch | None
    recorded_at: int
    disposition: str
    reason: str | None
    rules: bytes
    subject_version: int | None
    case_version: int | None

    @property
    def accepted(self) -> bool:
        """Whether the act moved its stream."""
        return self.disposition == "accepted"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decoded entry: of a rejected one the body is withheld (``statement.body == b""``, body None)."""

    index: int
    entry: Entry
    statement: Statement
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a publisher chooses; the rest of the statement is filled in when it is signed."""

    act: str
    case: bytes
    subject: bytes
    body: Mapping[str, Any]
    occurred_from: int
    occurred_until: int
    zone: str = "UTC"
    version: int = 1
    kind: str = "act"
    occurred_confirmed: bool = True
    voice: str = "own"
    speaker: Speaker | None = None
    legal_effect_at: int | None = None
    known_at: int | None = None
    addressees: tuple[bytes, ...] = ()
    visibility: Visibility = field(default_factory=Visibility)
    proceedings: tuple[bytes, ...] = ()
    language: str = "en"
    local_reference: bytes | None = None
    basis: tuple[Basis, ...] = ()
    answers: tuple[bytes, ...] = ()
    corrects: bytes | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement as its publisher sends it: the signed bytes, the signature, the place in a batch."""

    statement: bytes
    signature: bytes
    batch: Batch | None = None


def new_id(at: int, randomness: bytes | None = None) -> bytes:
    """
    Return a UUIDv7 (RFC 9562 section 5.7), 16 bytes.

    Args:
        at: instant in microseconds since 1970; its milliseconds lead the id.
        randomness: 10 bytes; the operating system's when None.
    """
    tail = bytearray(randomness if randomness is not None else os.urandom(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    return (at // 1000).to_bytes(6, "big") + bytes(tail)


def random_id() -> bytes:
    """Return a random UUIDv4 (16 bytes): ids of cases, subjects and persons reveal nothing."""
    raw = bytearray(os.urandom(16))
    raw[6] = 0x40 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)


# --- bytes -----------------------------------------------------------------------------------------


_STATEMENT: Final = codec("statement.avsc")
_ENTRY: Final = codec("entry.avsc")


def _statement(value: dict[str, Any]) -> Statement:
    speaker = value["speaker"]
    visibility = value["visibility"]
    return Statement(
        value["id"],
        value["ledger"],
        value["publisher"],
        value["key"],
        value["sequence"],
        value["voice"],
        None if speaker is None else Speaker(**speaker),
        value["case"],
        value["subject"],
        value["act"],
        value["version"],
        value["kind"],
        value["occurred_from"],
        value["occurred_until"],
        value["occurred_confirmed"],
        value["zone"],
        value["legal_effect_at"],
        value["known_at"],
        tuple(value["addressees"]),
        Visibility(visibility["ring"], visibility["embargo_until"]),
        tuple(value["proceedings"]),
        value["language"],
        value["local_reference"],
        tuple([Basis(**item) for item in value["basis"]]),
        tuple(value["answers"]),
        value["corrects"],
        tuple([Attachment(**item) for item in value["attachments"]]),
        value["body"],
    )


def decode_statement(data: bytes) -> Statement:
    """
    Decode the signed bytes of a statement; about 6 us for a typical one.

    Raises:
        FormatError: too long, truncated, trailing bytes, not canonical, or not the schema's types.
    """
    if len(data) > STATEMENT_BYTES_MAX:
        raise FormatError(f"is {len(data):,} bytes long; at most {STATEMENT_BYTES_MAX:,} are taken", field="statement")
    try:
        return _plain_statement(data)
    except (_NotPlain, Bad, IndexError, KeyError, UnicodeDecodeError):
        return _statement(_STATEMENT.decode(data))


class _NotPlain(Exception):  # noqa: N818 -- no error: the careful decoder takes over
    pass


_VOICES: Final = {0: "own", 2: "on_behalf", 4: "reported"}
_KINDS: Final = {0: "act", 2: "decision", 4: "claim", 6: "assessment"}
_RINGS: Final = {0: "addressees", 2: "case", 4: "oversight", 6: "public"}
_BOOLEANS: Final = {0: False, 1: True}
_PLAIN_RINGS: Final = {ring: Visibility(ring, None) for ring in _RINGS.values()}

_build_statement: Final = builder(Statement)
_build_entry: Final = builder(Entry)


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Read a string of less than 64 bytes."""
    length = data[at]
    if length & 0x81:
        raise _NotPlain
    end = at + 1 + (length >> 1)
    return data[at + 1 : end].decode(), end


def _ids(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    """Read an array of less than 64 ids."""
    count = data[at]
    if not count:
        return (), at + 1
    if count & 0x81:
        raise _NotPlain
    at += 1
    end = at + 8 * count
    if data[end]:
        raise _NotPlain
    return tuple([data[start : start + 16] for start in range(at, end, 16)]), end + 1


def _instant(data: bytes, at: int) -> tuple[int, int]:
    # From 1988 to 2112 an instant takes eight bytes: seven bits of each, all but the last with the high bit set.
    eight = int.from_bytes(data[at : at + 8], "little")
    if eight & 0x8080_8080_8080_8081 == 0x0080_8080_8080_8080:
        eight &= 0x7F7F_7F7F_7F7F_7F7F
        eight = eight & 0x007F_007F_007F_007F | (eight & 0x7F00_7F00_7F00_7F00) >> 1
        eight = eight & 0x0000_3FFF_0000_3FFF | (eight & 0x3FFF_0000_3FFF_0000) >> 2
        eight = eight & 0x0FFF_FFFF | eight >> 4 & 0x00FF_FFFF_F000_0000
        if data[at + 7]:
            return eight >> 1, at + 8
        raise _NotPlain
    return read_instant(data, at)


def _optional_instant(data: bytes, at: int) -> tuple[int | None, int]:
    if not data[at]:
        return None, at + 1
    if data[at] != 2:
        raise _NotPlain
    return _instant(data, at + 1)


def _optional_bytes(data: bytes, at: int, size: int) -> tuple[bytes | None, int]:
    if not data[at]:
        return None, at + 1
    if data[at] != 2:
        raise _NotPlain
    end = at + 1 + size
    return data[at + 1 : end], end


def _attachments(data: bytes, at: int) -> tuple[tuple[Attachment, ...], int]:
    count = data[at]
    at += 1
    if not count:
        return (), at
    if count & 0x81:
        raise _NotPlain
    found = []
    for _ in range(count >> 1):
        role, at = _text(data, at)
        commitment = data[at : at + 32]
        key_commitment, at = _optional_bytes(data, at + 32, 32)
        size, at = read_long(data, at)
        media_type, at = _text(data, at)
        found.append(Attachment(role, commitment, key_commitment, size, media_type))
    if data[at]:
        raise _NotPlain
    return tuple(found), at + 1


def _plain_statement(data: bytes) -> Statement:
    """
    Decode the statements that come by the thousand: short strings, nobody else's words.

    Whatever is not plain, or not right, is left to the careful decoder, which also names the
    field. That every byte was there is known at the end, where the body must close the statement.
    """
    at = 17 + (data[16] >> 1)
    if data[16] & 0x81:
        raise _NotPlain
    ledger = data[17:at].decode()
    publisher, key = data[at : at + 16], data[at + 16 : at + 48]
    sequence, at = read_long(data, at + 48)
    voice = _VOICES[data[at]]
    if data[at + 1]:
        raise _NotPlain
    case, subject = data[at + 2 : at + 18], data[at + 18 : at + 34]
    act, at = _text(data, at + 34)
    version, at = read_long(data, at)
    kind = _KINDS[data[at]]
    since = at + 1
    occurred_from, at = _instant(data, since)
    # Most acts happened at one instant, written twice.
    if data[since:at] == data[at : at + at - since]:
        occurred_until, at = occurred_from, at + at - since
    else:
        occurred_until, at = _instant(data, at)
    confirmed = _BOOLEANS[data[at]]
    zone, at = _text(data, at + 1)
    legal_effect_at = known_at = None
    if data[at]:
        legal_effect_at, at = _optional_instant(data, at)
    else:
        at += 1
    if data[at]:
        known_at, at = _optional_instant(data, at)
    else:
        at += 1
    addressees, at = _ids(data, at)
    ring, embargo_until = _RINGS[data[at]], None
    if data[at + 1]:
        embargo_until, at = _optional_instant(data, at + 1)
    else:
        at += 2
    proceedings: tuple[bytes, ...] = ()
    if data[at]:
        proceedings, at = _ids(data, at)
    else:
        at += 1
    language, at = _text(data, at)
    local_reference = None
    if data[at]:
        local_reference, at = _optional_bytes(data, at, 32)
    else:
        at += 1
    basis, at = _bases(data, at)
    answers, at = _ids(data, at)
    corrects: bytes | None = None
    attachments: tuple[Attachment, ...] = ()
    if data[at] or data[at + 1]:
        corrects, at = _optional_bytes(data, at, 16)
        attachments, at = _attachments(data, at)
    else:
        at += 2
    length, at = read_long(data, at)
    if length < 0 or at + length != len(data):
        raise _NotPlain
    return _build_statement(
        data[:16],
        ledger,
        publisher,
        key,
        sequence,
        voice,
        None,
        case,
        subject,
        act,
        version,
        kind,
        occurred_from,
        occurred_until,
        confirmed,
        zone,
        legal_effect_at,
        known_at,
        addressees,
        _PLAIN_RINGS[ring] if embargo_until is None else Visibility(ring, embargo_until),
        proceedings,
        language,
        local_reference,
        basis,
        answers,
        corrects,
        attachments,
        data[at:],
    )


def _bases(data: bytes, at: int) -> tuple[tuple[Basis, ...], int]:
    count = data[at]
    at += 1
    if not count:
        return (), at
    if count & 0x81:
        raise _NotPlain
    found = []
    for _ in range(count >> 1):
        instrument, at = _text(data, at)
        article = None
        if data[at] == 2:
            article, at = _text(data, at + 1)
        elif data[at]:
            raise _NotPlain
        else:
            at += 1
        found.append(Basis(instrument, article, _BOOLEANS[data[at]]))
        at += 1
    if data[at]:
        raise _NotPlain
    return tuple(found), at + 1


def decode_header(prefix: bytes) -> Statement:
    """Decode what a rejected entry keeps of its statement: everything before the body, which is the last field."""
    return _statement(_STATEMENT.decode(prefix + b"\0"))


def statement_in(entry: Entry) -> Statement:
    """Return the statement of an entry; of a rejected one the header alone. Raises as `decode_statement`."""
    return decode_statement(entry.statement) if entry.accepted else decode_header(entry.statement)


def header_of(statement: bytes, body: bytes) -> bytes:
    """Return the prefix of *statement* that ends where the length of its *body* begins."""
    return statement[: len(statement) - len(body) - _varint_bytes(len(body))]


def _varint_bytes(length: int) -> int:
    """How many bytes Avro's zig-zag varint of *length* takes."""
    return max(1, -(-(2 * length).bit_length() // 7))


def _optional(value: Any) -> dict[str, Any] | None:
    return None if value is None else {name: getattr(value, name) for name in value.__slots__}


def encode_statement(statement: Statement) -> bytes:
    """Encode a statement: the bytes to be signed. FormatError when too long or of the wrong types."""
    value = {name: getattr(statement, name) for name in statement.__slots__}
    value["speaker"] = _optional(statement.speaker)
    value["visibility"] = _optional(statement.visibility)
    value["basis"] = [_optional(item) for item in statement.basis]
    value["attachments"] = [_optional(item) for item in statement.attachments]
    data = _STATEMENT.encode(value)
    if len(data) > STATEMENT_BYTES_MAX:
        raise FormatError(f"is {len(data):,} bytes long; at most {STATEMENT_BYTES_MAX:,} are taken", field="statement")
    return data


def decode_entry(data: bytes) -> Entry:
    """Decode the bytes of an entry (about 3 us); FormatError as in ``decode_statement``."""
    if len(data) > ENTRY_BYTES_MAX:
        raise FormatError(f"is {len(data):,} bytes long; at most {ENTRY_BYTES_MAX:,} are taken", field="entry")
    try:
        return _plain_entry(data)
    except (_NotPlain, Bad, IndexError):
        value = _ENTRY.decode(data)
    batch = value["batch"]
    if batch is not None:
        value["batch"] = Batch(batch["size"], batch["index"], tuple(batch["path"]))
    if value["format"] != FORMAT:
        raise FormatError(f"is {value['format']}; this version reads format {FORMAT}", field="format")
    return Entry(**value)


def _plain_entry(data: bytes) -> Entry:
    """Decode an accepted entry; see ``_plain_statement``."""
    if data[0] != 2 * FORMAT:
        raise _NotPlain
    length, at = read_long(data, 1)
    end = at + length
    if not 0 <= length <= STATEMENT_BYTES_MAX:
        raise _NotPlain
    if data[end] or data[end + 1]:  # accepted entries have no hash beside; Ed25519 is algorithm 0
        raise _NotPlain
    statement = data[at:end]
    signature = data[end + 2 : end + 66]
    batch, at = None, end + 66
    if data[at]:
        batch, at = _plain_batch(data, at)
    recorded_at, at = _instant(data, at + 1)
    if data[at] or data[at + 1]:  # accepted, without a reason
        raise _NotPlain
    rules = data[at + 2 : at + 34]
    if data[at + 34] != 2:
        raise _NotPlain
    subject_version, at = read_long(data, at + 35)
    if data[at] != 2:
        raise _NotPlain
    case_version, at = read_long(data, at + 1)
    if at != len(data):
        raise _NotPlain
    return _build_entry(
        FORMAT,
        statement,
        None,
        "ed25519",
        signature,
        batch,
        recorded_at,
        "accepted",
        None,
        rules,
        subject_version,
        case_version,
    )


def _plain_batch(data: bytes, at: int) -> tuple[Batch, int]:
    """Read a batch; returns it and where its last byte is."""
    if data[at] != 2:
        raise _NotPlain
    size, at = read_long(data, at + 1)
    index, at = read_long(data, at)
    count = data[at]
    if not count:
        return Batch(size, index, ()), at
    end = at + 1 + 16 * count
    if count & 0x81 or data[end]:
        raise _NotPlain
    return Batch(size, index, tuple([data[start : start + 32] for start in range(at + 1, end, 32)])), end


def _varint(value: int) -> bytes:
    """Encode a long as Avro's zig-zag varint."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    if value < 0x80:
        return _BYTES[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_BYTES: Final = [bytes([value]) for value in range(0x80)]


def encode_entry(entry: Entry) -> bytes:
    """Encode an entry: the bytes that become the leaf. FormatError when longer than 65,535 bytes."""
    if (
        entry.accepted
        and len(entry.statement) <= STATEMENT_BYTES_MAX
        and entry.statement_sha256 is None
        and entry.reason is None
        and entry.subject_version is not None
        and entry.case_version is not None
    ):
        batch = entry.batch
        data = b"".join(
            (
                _BYTES[2 * FORMAT],
                _varint(len(entry.statement)),
                entry.statement,
                b"\0\0",
                entry.signature,
                b"\0" if batch is None else _batch_bytes(batch),
                _varint(entry.recorded_at),
                b"\0\0",
                entry.rules,
                b"\2",
                _varint(entry.subject_version),
                b"\2",
                _varint(entry.case_version),
            )
        )
    else:
        value = {name: getattr(entry, name) for name in entry.__slots__}
        value["batch"] = _optional(entry.batch)
        data = _ENTRY.encode(value)
    if len(data) > ENTRY_BYTES_MAX:
        raise FormatError(f"is {len(data):,} bytes long; at most {ENTRY_BYTES_MAX:,} are taken", field="entry")
    return data


def _batch_bytes(batch: Batch) -> bytes:
    path = b"".join((_varint(len(batch.path)), *batch.path, b"\0")) if batch.path else b"\0"
    return b"\2" + _varint(batch.size) + _varint(batch.index) + path


# --- signed messages -------------------------------------------------------------------------------


def signed_message(statement: bytes, batch: Batch | None = None) -> bytes:
    """
    Return the bytes under the signature of *statement*.

    Alone: ``comity.statement.v1`` and a zero byte before the statement.
    In a batch: ``comity.batch.v1``, a zero byte, the size as 8 bytes, the RFC 6962 root that the
    path leads to.

    Raises:
        FormatError: the path cannot belong to that index and size.
    """
    if batch is None:
        return _STATEMENT_DOMAIN + statement
    root = verify.root_by_path(verify.leaf_hash(statement), batch.index, batch.size, batch.path)
    return batch_message(batch.size, root)


def batch_message(size: int, root: bytes) -> bytes:
    """Return the bytes under the signature of a batch of *size* statements with that 32-byte *root*."""
    return _BATCH_DOMAIN + size.to_bytes(8, "big") + root


# --- what a statement may say about itself ---------------------------------------------------------

_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")
_ACT = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*\Z")
_CITATION = re.compile(r"[A-Za-z0-9 .,:;()/§&*\[\]_+-]{2,64}\Z")
_ARTICLE = re.compile(r"[0-9A-Za-z()., §/-]{1,32}\Z")
_PROVISION = re.compile(r"[A-Za-z][A-Za-z0-9 ./-]{1,63}\Z")
_COUNTRY = re.compile(r"[A-Z]{2}\Z")


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def check(statement: Statement, codes: Callable[[str], Mapping[str, str]]) -> None:
    """
    Check what the encoding cannot: limits, clocks, patterns and code lists of the envelope.

    Args:
        statement: as decoded.
        codes: gives the code list of a name (``Catalogue.codes``).

    Raises:
        FormatError: naming the first field that fails.

    Cost: about 5 us.   Source: design, Statement and Entry.
    """
    s = statement
    if s.id[6] >> 4 != 7 or s.id[8] >> 6 != 2:
        raise FormatError("is not a UUIDv7", field="id")
    if s.sequence < 0:
        raise FormatError("is negative; sequences count from 0", field="sequence")
    if len(s.ledger) > ORIGIN_CHARACTERS_MAX:
        raise FormatError("is longer than any origin", field="ledger")
    if not _ACT.match(s.act) or len(s.act) > CHARACTERS_MAX:
        raise FormatError("is not of the form noun.past_participle", field="act")
    if s.zone not in _zones():
        raise FormatError("is not an IANA time zone such as Europe/Berlin", field="zone")
    if not _LANGUAGE.match(s.language):
        raise FormatError("is not a language code of two or three lower-case letters", field="language")
    if not EARLIEST <= s.occurred_from <= LATEST:
        raise FormatError("lies outside the years 1900 to 2199", field="occurred_from")
    if not EARLIEST <= s.occurred_until <= LATEST:
        raise FormatError("lies outside the years 1900 to 2199", field="occurred_until")
    if s.occurred_from > s.occurred_until:
        raise FormatError("lies before occurred_from", field="occurred_until")
    for name, instant in (
        ("legal_effect_at", s.legal_effect_at),
        ("known_at", s.known_at),
        ("visibility.embargo_until", s.visibility.embargo_until),
    ):
        if instant is not None and not EARLIEST <= instant <= LATEST:
            raise FormatError("lies outside the years 1900 to 2199", field=name)
    for name in ("addressees", "proceedings", "basis", "answers", "attachments"):
        if len(getattr(s, name)) > ITEMS_MAX:
            raise FormatError(f"has more than {ITEMS_MAX} items", field=name)
    if s.known_at is not None and all(item.role != "receipt_proof" for item in s.attachments):
        raise FormatError(
            "needs an attachment with the role receipt_proof: a claim to have known earlier is not believed without",
            field="known_at",
        )
    _check_voice(s, codes)
    for number, basis in enumerate(s.basis):
        where = f"basis[{number}]"
        if basis.domestic:
            if not _PROVISION.match(basis.instrument):
                raise FormatError("is not the short name of a domestic act", field=f"{where}.instrument")
        elif basis.instrument not in codes("instruments"):
            raise FormatError("is not in the code list of instruments", field=f"{where}.instrument")
        if basis.article is not None and not _ARTICLE.match(basis.article):
            raise FormatError("is not an article such as 12(3)", field=f"{where}.article")
    for number, item in enumerate(s.attachments):
        where = f"attachments[{number}]"
        if item.role not in codes("attachment_roles"):
            raise FormatError("is not in the code list of attachment roles", field=f"{where}.role")
        if item.media_type not in codes("media_types"):
            raise FormatError("is not in the code list of media types", field=f"{where}.media_type")
        if item.size < 0:
            raise FormatError("is negative", field=f"{where}.size")


def _check_voice(s: Statement, codes: Callable[[str], Mapping[str, str]]) -> None:
    speaker = s.speaker
    if s.voice == "own":
        if speaker is not None:
            raise FormatError("must be null when the voice is own", field="speaker")
        return
    if speaker is None:
        raise FormatError(f"is needed when the voice is {s.voice}", field="speaker")
    if speaker.country is not None and not _COUNTRY.match(speaker.country):
        raise FormatError("is not a two-letter country code", field="speaker.country")
    if speaker.authority_kind is not None and speaker.authority_kind not in codes("authority_kinds"):
        raise FormatError("is not in the code list of authority kinds", field="speaker.authority_kind")
    if s.voice == "on_behalf":
        if speaker.authority is None or speaker.mandate is None:
            raise FormatError("needs the authority spoken for and the statement that is the mandate", field="speaker")
        return
    if speaker.source is None or not _CITATION.match(speaker.source):
        raise FormatError("must cite where the reported act was published", field="speaker.source")
    if speaker.authority is None and (speaker.country is None or speaker.authority_kind is None):
        raise FormatError("needs the authority reported, or its country and kind", field="speaker")


def statement_from(
    draft: Draft, *, statement_id: bytes, ledger: str, publisher: bytes, key: bytes, sequence: int, body: bytes
) -> Statement:
    """Fill in what the publisher does not choose; *body* is the encoded body of the draft's act."""
    return Statement(
        id=statement_id,
        ledger=ledger,
        publisher=publisher,
        key=key,
        sequence=sequence,
        voice=draft.voice,
        speaker=draft.speaker,
        case=draft.case,
        subject=draft.subject,
        act=draft.act,
        version=draft.version,
        kind=draft.kind,
        occurred_from=draft.occurred_from,
        occurred_until=draft.occurred_until,
        occurred_confirmed=draft.occurred_confirmed,
        zone=draft.zone,
        legal_effect_at=draft.legal_effect_at,
        known_at=draft.known_at,
        addressees=draft.addressees,
        visibility=draft.visibility,
        proceedings=draft.proceedings,
        language=draft.language,
        local_reference=draft.local_reference,
        basis=draft.basis,
        answers=draft.answers,
        corrects=draft.corrects,
        attachments=draft.attachments,
        body=body,
    )


def sha256_of(statement: bytes) -> bytes:
    """Return the 32-byte SHA-256 by which a rejected entry names the statement whose body it withholds."""
    return sha256(statement).digest()
