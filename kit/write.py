"""
Writes the conformance vectors anew: ``python -m kit.write``. Same sources, same bytes.

Every expected answer comes from Comity itself: from ``kit.answer``, and for admission from a ledger that is
founded for the purpose and asked, with which ``kit.answer`` must agree. What a vector is about is written here
by hand, byte by byte where it matters. ``tests/kit`` holds the files to what this writes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kit.answer import STATEMENT, answer, batch_json, shown
from kit.conformance import VECTORS
from ledger.acts import catalogue
from ledger.kafka import wire
from ledger.keys import LogKeys, PrivateKey, Signer
from ledger.ledger import Ledger, Root, batch_paths, system_clock
from ledger.log.checkpoint import log_signer, sign_checkpoint
from ledger.log.tree import Frontier, inclusion_path
from ledger.sequencer import Limits, Receipt, Refusal
from ledger.statement import (
    Attachment,
    Basis,
    Batch,
    Draft,
    Entry,
    Signed,
    Speaker,
    Visibility,
    batch_message,
    encode_entry,
    encode_statement,
    header_of,
    new_id,
    sha256_of,
    signed_message,
    statement_from,
)
from ledger.verify import (
    Checkpoint,
    Note,
    NoteSignature,
    Proof,
    VerifierKey,
    format_note,
    format_proof,
    format_vkey,
    leaf_hash,
    possession_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger.statement import Statement

ORIGIN: Final = "ledger.example/simulation"
BEGIN: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in microseconds."""

Row = dict[str, Any]


def named(name: str) -> bytes:
    """Return the identifier, 16 bytes, that this name always has here."""
    return sha256(name.encode()).digest()[:16]


def keyed(name: str) -> PrivateKey:
    """Return the key that this name always has here."""
    return PrivateKey.from_seed(sha256(b"kit key of " + name.encode()).digest())


LOG: Final = LogKeys.from_seed(sha256(b"kit log").digest())
CLERK: Final = Signer(named("prosecutor"), keyed("prosecutor"))
BODY: Final = {"procedure": "criminal", "stage": "investigation", "offences": ["cybercrime"], "sensitivity": "ordinary"}


def draft(**other: Any) -> Draft:
    """Return the draft that opens a case, with other fields as told."""
    what: dict[str, Any] = {
        "act": "case.opened",
        "case": named("case"),
        "subject": named("case"),
        "body": BODY,
        "occurred_from": BEGIN,
        "occurred_until": BEGIN,
        "zone": "Europe/Berlin",
        "language": "de",
    }
    return Draft(**{**what, **other})


def statement(number: int = 0, *, by: Signer = CLERK, **other: Any) -> Statement:
    """Return statement *number* of a publisher, with other fields as told; those of the draft among them."""
    own = {name: other.pop(name) for name in ("ledger", "statement_id", "publisher", "key") if name in other}
    made = draft(**other)
    body = other.get("body", BODY)
    return statement_from(
        made,
        statement_id=own.get("statement_id")
        or new_id(BEGIN + 1000 * number, sha256(b"%d" % number + by.key.id).digest()[:10]),
        ledger=own.get("ledger", ORIGIN),
        publisher=own.get("publisher", by.authority),
        key=own.get("key", by.key.id),
        sequence=number,
        body=body if isinstance(body, bytes) else catalogue().encode(made.act, made.version, body),
    )


def value_of(data: bytes) -> Row:
    """Return the JSON of a statement's bytes."""
    found: Row = shown(STATEMENT.to_json(STATEMENT.decode(data)))
    return found


PLAIN: Final = encode_statement(statement())
"""The statement that most vectors alter."""


FULL: Final = encode_statement(
    statement(
        7,
        kind="decision",
        voice="reported",
        speaker=Speaker(None, "FR", "court", None, "ECLI:FR:CCASS:2020:CR00001"),
        occurred_until=BEGIN + 86_399_999_999,
        occurred_confirmed=False,
        legal_effect_at=BEGIN + 1,
        known_at=BEGIN + 2,
        addressees=(named("a"), named("b")),
        visibility=Visibility("oversight", BEGIN + 3),
        proceedings=(named("p"),),
        local_reference=sha256(b"salted").digest(),
        basis=(Basis("eu-eio-2014-41", "12(3)"), Basis("StPO", None, domestic=True)),
        answers=(named("c"),),
        corrects=named("d"),
        attachments=(
            Attachment("receipt_proof", sha256(b"1").digest(), None, 1, "application/pdf"),
            Attachment("receipt_proof", sha256(b"2").digest(), sha256(b"3").digest(), 2**40, "application/pdf"),
        ),
    )
)
"""Every field that may be absent is there, every list has items."""


# --- bytes by hand ---------------------------------------------------------------------------------


def number(value: int) -> bytes:
    """Return Avro's zig-zag number in its shortest form."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(value: str | bytes) -> bytes:
    """Return a string, or bytes, with its length before it."""
    data = value if isinstance(value, bytes) else value.encode()
    return number(len(data)) + data


def listed(*items: bytes) -> bytes:
    """Return an array: one block, and the zero that ends it."""
    return number(len(items)) + b"".join(items) + b"\0" if items else b"\0"


def parts() -> dict[str, bytes]:
    """Return the plain statement field by field, each with its bytes."""
    return {
        "id": PLAIN[:16],
        "ledger": text(ORIGIN),
        "publisher": CLERK.authority,
        "key": CLERK.key.id,
        "sequence": number(0),
        "voice": number(0),
        "speaker": b"\0",
        "case": named("case"),
        "subject": named("case"),
        "act": text("case.opened"),
        "version": number(1),
        "kind": number(0),
        "occurred_from": number(BEGIN),
        "occurred_until": number(BEGIN),
        "occurred_confirmed": b"\1",
        "zone": text("Europe/Berlin"),
        "legal_effect_at": b"\0",
        "known_at": b"\0",
        "addressees": listed(),
        "visibility": number(1) + b"\0",
        "proceedings": listed(),
        "language": text("de"),
        "local_reference": b"\0",
        "basis": listed(),
        "answers": listed(),
        "corrects": b"\0",
        "attachments": listed(),
        "body": text(catalogue().encode("case.opened", 1, BODY)),
    }


def altered(**other: bytes) -> bytes:
    """Return the plain statement with these fields replaced."""
    return b"".join({**parts(), **other}.values())


# --- rows ------------------------------------------------------------------------------------------


class Group:
    """The vectors of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[Row] = []

    def add(self, says: str, do: str, given: Row, *, fails: bool | None = None) -> Row:
        """
        Add a vector whose answer is our own.

        Args:
            says: what it is about.
            do: the operation.
            given: its input.
            fails: whether it must fail, where that is the point; otherwise the writing stops.
        """
        expected = answer(do, given)
        if expected.get("unsupported") or (fails is not None and fails != ("fault" in expected)):
            raise AssertionError(f"{self.name}: {says}: {expected}")
        self.rows.append(
            {"id": f"{self.name}-{len(self.rows):03}", "says": says, "do": do, "given": given, "expected": expected}
        )
        return expected


BLOCKS: Final = {
    "a block of a negative number of items with its size in bytes": number(-1) + number(16) + named("a") + b"\0",
    "two blocks": number(1) + named("a") + number(1) + named("b") + b"\0",
    "65 items": listed(*[named(str(n)) for n in range(65)]),
    "a list that does not end": number(1) + named("a") + b"\2",
    "a count not in its shortest form": b"\x82\0" + named("a") + b"\0",
}
NUMBERS: Final = {
    "a number of two bytes where one will do": b"\x80\0",
    "a number of three bytes where two will do": b"\x80\x81\0",
    "a number of more than 64 bits": b"\xff" * 9 + b"\x02",
    "a number of eleven bytes": b"\x80" * 10 + b"\x01",
}
STRINGS: Final = {
    "a length below zero": number(-1),
    "a length beyond the end": number(60) + b"de",
    "UTF-8 that is longer than needed": text(b"\xc0\x80"),
    "UTF-8 of a surrogate": text(b"\xed\xa0\x80"),
    "UTF-8 that is cut off": text(b"\xe2\x82"),
    "UTF-8 beyond Unicode": text(b"\xf4\x90\x80\x80"),
    "65 characters": text("a" * 65),
    "65 characters of two bytes each": text("\u00e4" * 65),
    "257 bytes": text("a" * 257),
    "a length not in its shortest form": b"\x84\0de",
}


def statements() -> Group:
    """Decoding and encoding of statements."""
    group = Group("statement")

    def good(says: str, data: bytes) -> None:
        value = group.add(says, "decode_statement", {"statement": data.hex()}, fails=False)["value"]
        made = group.add(f"{says}, encoded", "encode_statement", {"value": value}, fails=False)
        assert made == {"statement": data.hex()}

    def bad(says: str, data: bytes) -> None:
        group.add(says, "decode_statement", {"statement": data.hex()}, fails=True)

    assert altered() == PLAIN
    good("a plain statement", PLAIN)
    good("every field present", FULL)
    good("the largest sequence", altered(sequence=number(2**63 - 1)))
    good("a sequence below zero is read here, and refused at admission", altered(sequence=number(-1)))
    good("the smallest number of 64 bits", altered(version=number(-(2**63))))
    good("an instant before 1970", altered(occurred_from=number(-1)))
    good("the first instant that can be written", altered(occurred_from=number(-62_135_596_800_000_000)))
    good("the last instant that can be written", altered(occurred_until=number(253_402_300_799_999_999)))
    good("64 characters of four bytes each", altered(language=text("\U0001d538" * 64)))
    good("64 items", altered(addressees=listed(*[named(str(n)) for n in range(64)])))
    good("an empty text", altered(language=b"\0"))
    good("an empty body", altered(body=b"\0"))
    longest = 60_000 - len(altered(body=b"")) - 3
    fits = {"statement": altered(body=text(bytes(longest))).hex()}
    group.add("a statement of 60,000 bytes", "decode_statement", fits, fails=False)
    bad("a statement of 60,001 bytes", altered(body=text(bytes(longest + 1))))
    bad("nothing", b"")
    bad("a byte too many", PLAIN + b"\0")
    at = 0
    for name, data in parts().items():
        bad(f"it ends before {name}", PLAIN[:at])
        if len(data) > 1:
            bad(f"it ends within {name}", PLAIN[: at + len(data) - 1])
        at += len(data)
    for says, data in NUMBERS.items():
        bad(f"sequence: {says}", altered(sequence=data))
        bad(f"occurred_from: {says}", altered(occurred_from=data))
    for says, data in STRINGS.items():
        bad(f"language: {says}", altered(language=data))
    for says, data in BLOCKS.items():
        bad(f"addressees: {says}", altered(addressees=data))
    for byte in (2, 0x80, 0xFF):
        bad(f"a boolean that is {byte:#04x}", altered(occurred_confirmed=bytes([byte])))
    for byte in (1, 4, 0x82):
        bad(f"neither absent nor present: {byte:#04x}", altered(corrects=bytes([byte, 0]) + named("d")))
    bad("a symbol beyond the last", altered(voice=number(3)))
    bad("a symbol below zero", altered(kind=number(-1)))
    bad("a symbol not in its shortest form", altered(kind=b"\x80\0"))
    bad("the ring is a symbol beyond the last", altered(visibility=number(4) + b"\0"))
    bad("an instant in the year 10000", altered(occurred_from=number(253_402_300_800_000_000)))
    bad("an instant in the year 0", altered(occurred_until=number(-62_135_596_800_000_001)))
    bad("an instant within a union in the year 10000", altered(known_at=b"\2" + number(253_402_300_800_000_000)))
    bad("a body longer than what follows", altered(body=number(60_000)))
    bad("a body of more than 60,000 bytes", altered(body=number(60_001)))
    bad("a body whose length is below zero", altered(body=number(-1)))
    bad("a body whose length is not in its shortest form", altered(body=b"\x80\0"))
    basis = text("eu-eio-2014-41") + b"\0" + b"\0"
    bad("the second legal basis is cut off", altered(basis=number(2) + basis + text("StPO"))[: -len(parts()["body"])])
    bad("the second legal basis has a false boolean", altered(basis=listed(basis, basis[:-1] + b"\2")))
    attachment = text("receipt_proof") + sha256(b"1").digest() + b"\0" + number(1) + text("application/pdf")
    swollen = attachment.replace(number(1) + text("application/pdf"), b"\x82\0" + text("application/pdf"))
    bad("the size of an attachment is not in its shortest form", altered(attachments=listed(attachment, swollen)))
    bad("a speaker with a branch that does not exist", altered(speaker=b"\2\0\1"))

    def wrong(says: str, **other: Any) -> None:
        value = {name: one for name, one in {**value_of(PLAIN), **other}.items() if one is not ...}
        group.add(says, "encode_statement", {"value": value}, fails=True)

    wrong("a field is missing", zone=...)
    wrong("a field that does not exist", colour="red")
    wrong("a number where text belongs", zone=1)
    wrong("text where true or false belongs", occurred_confirmed="true")
    wrong("null where something belongs", language=None)
    wrong("65 characters", language="a" * 65)
    wrong("half of a surrogate pair", language="\ud800")
    wrong("a symbol that does not exist", voice="royal")
    wrong("an identifier that is none", case="case")
    wrong("a digest of 31 bytes", key="00" * 31)
    wrong("hexadecimal in capitals", key="AA" * 32)
    wrong("an instant without its zone", occurred_from="2026-01-01T00:00:00")
    wrong("a day that does not exist", occurred_from="2026-02-30T00:00:00Z")
    wrong("seven digits of a second", occurred_from="2026-01-01T00:00:00.0000001Z")
    wrong("65 items", addressees=[str(value_of(PLAIN)["case"])] * 65)
    wrong("an item that is none", addressees=[str(value_of(PLAIN)["case"]), "x"])
    wrong("a number of more than 64 bits", sequence=str(2**63))
    wrong("a record with a field too many", visibility={"ring": "case", "embargo_until": None, "x": 1})
    group.add(
        "fields with a default may be left out",
        "encode_statement",
        {"value": {name: one for name, one in value_of(PLAIN).items() if name not in {"speaker", "corrects"}}},
        fails=False,
    )
    group.add(
        "an instant with milliseconds",
        "encode_statement",
        {"value": {**value_of(PLAIN), "occurred_until": "2026-01-01T00:00:00.5Z"}},
        fails=False,
    )
    for at_, randomness in ((BEGIN, bytes(10)), (BEGIN + 999, b"\xff" * 10), (0, bytes(range(10)))):
        given = {"at": at_, "randomness": randomness.hex()}
        group.add("a UUIDv7 of an instant and ten random bytes", "statement_id", given)
    return group


def bodies() -> Group:
    """The body of every released act, with every field present."""
    group = Group("body")
    for act in catalogue().acts():
        if not act.released:
            continue
        read = catalogue().codec_of(act.name, act.version)
        value = shown(read.to_json(_sample(read.schema, act.name, {}, str(read.schema["namespace"]))))
        about = {"act": act.name, "version": act.version}
        made = group.add(f"the body of {act.name}", "encode_body", {**about, "value": value}, fails=False)
        back = group.add(f"the body of {act.name}, read", "decode_body", {**about, **made}, fails=False)
        assert back == {"value": value}
    about = {"act": "case.opened", "version": 1}
    body = catalogue().encode("case.opened", 1, BODY)
    group.add("a body with a byte too many", "decode_body", {**about, "body": body.hex() + "00"}, fails=True)
    group.add("a body that is cut off", "decode_body", {**about, "body": body.hex()[:-2]}, fails=True)
    group.add(
        "an act that does not exist", "decode_body", {**about, "act": "case.closed_twice", "body": ""}, fails=True
    )
    group.add("a version that does not exist", "decode_body", {**about, "version": 9, "body": ""}, fails=True)
    return group


def _sample(
    schema: Any, seed: str, known: dict[str, Any], space: str, properties: Mapping[str, Any] | None = None
) -> Any:
    """Return some value of a type, always the same for a seed; *known* collects named types."""
    properties = properties or {}
    if isinstance(schema, list):
        return _sample(schema[1], seed, known, space, properties)
    if isinstance(schema, str):
        if schema == "long":
            return 300
        if schema == "boolean":
            return True
        if schema == "bytes":
            return sha256(seed.encode()).digest()[: properties["max_bytes"]]
        if schema == "string":
            return next(iter(catalogue().codes(properties["codes"]))) if "codes" in properties else "A1"
        return _sample(known[schema if "." in schema else f"{space}.{schema}"], seed, known, space, properties)
    if schema["type"] == "long":
        return BEGIN
    if schema["type"] == "array":
        size = min(2, properties.get("max_items", 64))
        return [_sample(schema["items"], f"{seed}{index}", known, space, properties) for index in range(size)]
    space = schema.get("namespace", space)
    known[f"{space}.{schema['name']}"] = schema
    if schema["type"] == "fixed":
        return (sha256(seed.encode()).digest() * 50)[: schema["size"]]
    if schema["type"] == "enum":
        return schema["symbols"][-1]
    return {
        field["name"]: _sample(field["type"], f"{seed}.{field['name']}", known, space, field)
        for field in schema["fields"]
    }


# --- signatures ------------------------------------------------------------------------------------

SMALL: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)
"""The eight points of order 1, 2, 4 and 8."""
TWICE: Final = {
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": "y = p, a second encoding of 0",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": "y = p + 1, a second encoding of 1",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "y = p with the sign set",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "y = p + 1 with the sign set",
    "0100000000000000000000000000000000000000000000000000000000000080": "y = 1 with the sign set",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "y = -1 with the sign set",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": "y beyond p",
}
OFF_CURVE: Final = "0200000000000000000000000000000000000000000000000000000000000000"
ORDER: Final = 2**252 + 27742317777372353535851937790883648493


def signatures() -> Group:
    """Ed25519 under the one strict rule, statements alone and in batches."""
    group = Group("signature")
    seed = CLERK.key.seed.hex()
    for says, data in (("a plain statement", PLAIN), ("a full statement", FULL)):
        made = group.add(f"{says} is signed", "sign", {"seed": seed, "statement": data.hex()})
        given = {
            "public_key": made["public_key"],
            "statement": data.hex(),
            "signature": made["signature"],
            "batch": None,
        }
        assert group.add(f"{says}: its signature holds", "verify", given)["holds"]
        group.add(f"{says}: not with a bit changed", "verify", {**given, "statement": _flipped(data).hex()})
        signature = bytes.fromhex(made["signature"])
        group.add(f"{says}: not with R changed", "verify", {**given, "signature": _flipped(signature).hex()})
        s = int.from_bytes(signature[32:], "little") + ORDER
        large = signature[:32] + s.to_bytes(32, "little")
        group.add(f"{says}: not with s beyond L", "verify", {**given, "signature": large.hex()})
        other = keyed("another").public.hex()
        group.add(f"{says}: not under another key", "verify", {**given, "public_key": other})
    for size in (1, 2, 3, 5, 8, 13):
        hexed = [encode_statement(statement(n)).hex() for n in range(size)]
        made = group.add(f"a batch of {size} is signed", "sign_batch", {"seed": seed, "statements": hexed})
        for index in sorted({0, size // 2, size - 1}):
            given = {
                "public_key": CLERK.key.public.hex(),
                "statement": hexed[index],
                "signature": made["signature"],
                "batch": made["places"][index],
            }
            assert group.add(f"statement {index} of a batch of {size}", "verify", given)["holds"]
    place = made["places"][5]
    given = {**given, "statement": hexed[5], "batch": place}

    def placed(says: str, **other: Any) -> None:
        group.add(f"a batch: {says}", "verify", {**given, "batch": {**place, **other}})

    placed("another index of the same form", index=7)
    placed("another size that the path also fits", size=14)
    placed("an index beyond the size", index=13)
    placed("an index below zero", index=-1)
    placed("a path too short", path=place["path"][:-1])
    placed("a path too long", path=[*place["path"], "00" * 32])
    placed("a path of 31 bytes", path=[*place["path"][:-1], "00" * 31])
    placed("a size of 0", size=0)
    placed("a size of 4097", size=4097)
    placed("a node of the path changed", path=["00" * 32, *place["path"][1:]])
    folder = Path(__file__).resolve().parent.parent / "tests" / "vectors"
    for row in json.loads((folder / "ed25519_rfc8032.json").read_text(encoding="utf-8")):
        raw = {"public_key": row["pub_key"], "message": row["message"], "signature": row["signature"]}
        assert group.add("RFC 8032 section 7.1", "verify_raw", raw)["holds"]
    for number_, row in enumerate(json.loads((folder / "ed25519_speccheck.json").read_text(encoding="utf-8"))):
        raw = {"public_key": row["pub_key"], "message": row["message"], "signature": row["signature"]}
        group.add(f"a case on which libraries disagree, number {number_}", "verify_raw", raw)
    for point in (*SMALL, *TWICE, OFF_CURVE):
        # s = 0 and R = A = a point of small order satisfies the equation for some messages, or for all.
        raw = {"public_key": point, "message": "", "signature": SMALL[0] + "00" * 32}
        assert not group.add(f"a key that proves nothing: {point[:8]}", "verify_raw", raw)["holds"]
        raw = {"public_key": CLERK.key.public.hex(), "message": "", "signature": point + "00" * 32}
        assert not group.add(f"an R that proves nothing: {point[:8]}", "verify_raw", raw)["holds"]
    raw = {"public_key": CLERK.key.public.hex(), "message": "", "signature": "00" * 63}
    group.add("a signature of 63 bytes", "verify_raw", raw)
    assert group.add("a key from a seed", "register_key", {"public_key": CLERK.key.public.hex()})["acceptable"]
    for point in (*SMALL, *TWICE, OFF_CURVE, MIXED, "00" * 31):
        assert not group.add("a key that may not be registered", "register_key", {"public_key": point})["acceptable"]
    return group


MIXED: Final = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d"
"""A point of mixed order: on the curve, canonical, and not in the subgroup of prime order."""


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


# --- admission -------------------------------------------------------------------------------------


class Bench:
    """A ledger that is founded to be asked, and the situation that its vectors describe."""

    def __init__(self, folder: Path, origin: str) -> None:
        """Found it; a simulated clock only where the origin says so."""
        root = Signer(named("DE"), keyed("DE"))
        simulated = origin.endswith("/simulation")
        self.ledger = Ledger.found(
            folder,
            origin=origin,
            operator=Signer(named("operator"), keyed("operator")),
            roots=[Root.of("DE", root, origin)],
            log_keys=LOG,
            quorum=1,
            limits=Limits(early_ms_max=0),
            clock=(lambda: BEGIN) if simulated else system_clock,
            ledger_id=named("ledger"),
        )
        self.origin = origin
        self.root = root
        self.sequence = 0
        self.recorded: dict[str, str] = {}
        self.standing: dict[str, Row] = {}

    def roots(self, **what: Any) -> None:
        """Let the root say something, which the ledger must accept."""
        made = statement(
            self.sequence,
            by=self.root,
            ledger=self.origin,
            statement_id=new_id(BEGIN, sha256(b"root %d" % self.sequence).digest()[:10]),
            case=named("ledger"),
            **what,
        )
        self.sequence += 1
        data = encode_statement(made)
        said = self.ledger.submit(Signed(data, self.root.key.sign(signed_message(data))))
        assert isinstance(said, Receipt), said
        assert said.accepted, said.reason

    def enrol(self, who: Signer) -> None:
        """Enrol an authority with its key."""
        body = {
            "holder": "DE",
            "authority_kind": "prosecutor",
            "designation": "A prosecutor",
            "country": "DE",
            "zone": "Europe/Berlin",
            "languages": ["de"],
            "functions": [],
            "level": "L1",
            "public_key": who.key.public,
            "possession": who.key.sign(possession_message(self.origin, who.authority, who.key.public)),
        }
        self.roots(act="authority.enrolled", subject=who.authority, body=body)
        self.standing[who.key.id.hex()] = {
            "public_key": who.key.public.hex(),
            "authority": who.authority.hex(),
            "valid": True,
            "next": 0,
        }

    def revoke(self, who: Signer) -> None:
        """Revoke a key from now on."""
        at = self.ledger.store.size()
        body = {"key": who.key.id, "invalid_from": at, "suspect_from": at, "reason": "compromised"}
        self.roots(act="key.revoked", subject=who.authority, body=body)
        self.standing[who.key.id.hex()]["valid"] = False

    def situation(self) -> Row:
        """What an implementation must know to answer as the ledger does."""
        return {
            "origin": self.origin,
            "drafts": self.origin.endswith("/simulation"),
            "keys": json.loads(json.dumps(self.standing)),
            "recorded": dict(self.recorded),
        }

    def ask(self, group: Group, says: str, signed: Signed, *, wants: str) -> None:
        """Add the vector, and hold the answer against that of the ledger itself."""
        given = {
            "log": self.situation(),
            "statement": signed.statement.hex(),
            "signature": signed.signature.hex(),
            "batch": batch_json(signed.batch),
        }
        expected = group.add(says, "admit", given)
        said = self.ledger.submit(signed)
        if isinstance(said, Refusal):
            real = {"answer": said.code, "at": said.field or None, "expected": said.expected}
            read = {
                "note": said.note.hex(),
                "statement": signed.statement.hex(),
                "signature": signed.signature.hex(),
                "batch": batch_json(signed.batch),
                "origin": self.origin,
                "log_keys": self.ledger.vkeys(),
            }
            shown_ = answer("read_refusal", read)
            assert (shown_["code"], shown_["at"], shown_["expected"]) == (said.code, said.field or None, said.expected)
        else:
            sent = signed.statement
            again = sent[:16].hex() in self.recorded
            real = {"answer": "first_answer" if again else "admitted"}
            if not again:
                self.recorded[sent[:16].hex()] = sha256_of(sent).hex()
                by = answer("decode_statement", {"statement": sent.hex()})["value"]
                self.standing[by["key"]]["next"] += 1
        assert real == expected, (says, real, expected)
        assert real["answer"] == wants, (says, real)


def sealed(data: bytes, by: Signer = CLERK) -> Signed:
    """Return a statement with its signature."""
    return Signed(data, by.key.sign(signed_message(data)))


def in_a_batch() -> Signed:
    """Return the second of three statements that were signed together."""
    data = [encode_statement(statement(n)) for n in range(3)]
    root, paths = batch_paths(data)
    return Signed(data[1], CLERK.key.sign(batch_message(3, root)), Batch(3, 1, paths[1]))


def admissions() -> Group:
    """What a log answers to a submission, before it judges what the statement means."""
    group = Group("admission")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "1", ORIGIN)
        gone, other = Signer(named("gone"), keyed("gone")), Signer(named("other"), keyed("other"))
        for who in (CLERK, gone, other):
            bench.enrol(who)
        bench.revoke(gone)

        def ask(says: str, signed: Signed, wants: str = "malformed") -> None:
            bench.ask(group, says, signed, wants=wants)

        def refused(says: str, wants: str = "malformed", **other_: Any) -> None:
            ask(says, sealed(encode_statement(statement(**other_))), wants)

        first = sealed(PLAIN)
        ask("a statement whose predecessor has not come", sealed(encode_statement(statement(1))), "out_of_order")
        ask("the first statement of a key", first, "admitted")
        ask("the same bytes again", first, "first_answer")
        again = sealed(encode_statement(statement(1, statement_id=PLAIN[:16])))
        ask("another statement with the same id", again, "id_reused")
        ask(
            "another statement with a sequence that is used",
            sealed(encode_statement(statement(0, statement_id=new_id(BEGIN, b"again-----")))),
            "sequence_reused",
        )
        ask(
            "a report of another's act",
            sealed(
                encode_statement(
                    statement(
                        1,
                        voice="reported",
                        case=named("case 2"),
                        subject=named("case 2"),
                        speaker=Speaker(None, "FR", "court", None, "ECLI:FR:CCASS:2020:CR00001"),
                    )
                )
            ),
            "admitted",
        )
        ask("a statement three ahead", sealed(encode_statement(statement(5))), "out_of_order")
        ask("the wrong key signs", sealed(encode_statement(statement(2)), other), "unauthenticated")
        ask("signed without the domain", Signed(first.statement, CLERK.key.sign(first.statement)), "unauthenticated")
        nobody = Signer(named("nobody"), keyed("nobody"))
        ask("a key that nobody has", sealed(encode_statement(statement(0, by=nobody)), nobody), "unauthenticated")
        ask("a key that was revoked", sealed(encode_statement(statement(0, by=gone)), gone), "unauthenticated")
        lent = statement(0, by=other, publisher=CLERK.authority, statement_id=new_id(BEGIN, b"lent------"))
        ask("the key of another authority", sealed(encode_statement(lent), other), "unauthenticated")
        refused("for another ledger", "wrong_ledger", ledger="ledger.example/other", number=2)
        ask("a statement of 60,001 bytes", sealed(PLAIN.ljust(60_001, b"\0")), "too_large")
        ask("nothing at all", sealed(b""))
        ask("a byte too many", sealed(PLAIN + b"\0"))
        ask("a signature of 63 bytes", Signed(PLAIN, bytes(63)))
        batch = [encode_statement(statement(n, case=named(str(n)), subject=named(str(n)))) for n in (2, 3, 4)]
        root, paths = batch_paths(batch)
        under = CLERK.key.sign(batch_message(3, root))
        for index, wants in ((1, "out_of_order"), (0, "admitted"), (1, "admitted"), (0, "first_answer")):
            ask(f"statement {index} of a batch", Signed(batch[index], under, Batch(3, index, paths[index])), wants)
        ask("a batch whose path is too short", Signed(batch[2], under, Batch(3, 2, ())))
        ask("a batch of another size", Signed(batch[2], under, Batch(4, 2, paths[0])), "unauthenticated")
        ask("a batch of 4,097", Signed(batch[2], under, Batch(4097, 2, paths[2])))
        for says, other_ in ENVELOPES.items():
            refused(says, number=4, **other_)
        ask("a negative sequence", sealed(altered(sequence=number(-1))))
        ask("an act that does not exist", sealed(altered(act=text("case.reopened_twice"))))
        ask("a version that does not exist", sealed(altered(version=number(9))))
        ask("a body that is another act's", sealed(altered(body=text(b"\0"))))
        ask(
            "a body with a byte too many",
            sealed(altered(body=text(catalogue().encode("case.opened", 1, BODY) + b"\0"))),
        )
        bench.ledger.close()
        bench = Bench(Path(folder) / "2", "ledger.example/2026")
        bench.enrol(CLERK)
        kept = next(act for act in catalogue().acts() if not act.released)
        made = altered(ledger=text(bench.origin), act=text(kept.name), version=number(kept.version))
        ask("an act that is only a draft", sealed(made), "draft_act")
        bench.ledger.close()
    return group


_SEEN: Final = Attachment("receipt_proof", bytes(32), None, 1, "application/pdf")
ENVELOPES: Final[dict[str, Row]] = {
    "an id that is no UUIDv7": {"statement_id": bytes(16)},
    "an id of another variant": {"statement_id": PLAIN[:8] + b"\xc0" + PLAIN[9:16]},
    "an act without its verb": {"act": "case", "body": b""},
    "a zone that does not exist": {"zone": "Europe/Atlantis"},
    "a language in capitals": {"language": "DE"},
    "an instant before 1900": {"occurred_from": -2_208_988_800_000_001},
    "an instant after 2199": {"occurred_until": 7_258_118_400_000_001},
    "an end before its beginning": {"occurred_until": BEGIN - 1},
    "a legal effect after 2199": {"legal_effect_at": 7_258_118_400_000_001},
    "an embargo after 2199": {"visibility": Visibility("case", 7_258_118_400_000_001)},
    "known earlier, without proof": {"known_at": BEGIN},
    "own words with a speaker": {"speaker": Speaker(authority=named("a"))},
    "another's words without a speaker": {"voice": "reported"},
    "on behalf, without the mandate": {"voice": "on_behalf", "speaker": Speaker(authority=named("a"))},
    "reported, without the source": {"voice": "reported", "speaker": Speaker(authority=named("a"))},
    "reported, of nobody": {"voice": "reported", "speaker": Speaker(source="ECLI:FR:2020")},
    "a country in small letters": {"voice": "reported", "speaker": Speaker(country="fr")},
    "an authority of no known kind": {"voice": "reported", "speaker": Speaker(country="FR", authority_kind="wizard")},
    "an instrument that does not exist": {"basis": (Basis("eu-atlantis-1"),)},
    "an article that is none": {"basis": (Basis("eu-eio-2014-41", "!"),)},
    "a domestic act that is none": {"basis": (Basis("eu-eio-2014-41"), Basis("1", None, domestic=True))},
    "an attachment of no known role": {"attachments": (_SEEN, Attachment("x", bytes(32), None, 1, "application/pdf"))},
    "an attachment of no known type": {"attachments": (Attachment("receipt_proof", bytes(32), None, 1, "x/y"),)},
    "an attachment of negative size": {
        "attachments": (Attachment("receipt_proof", bytes(32), None, -1, "application/pdf"),)
    },
}


# --- answers ---------------------------------------------------------------------------------------


def log_vkeys() -> list[str]:
    """Return the log's verifier keys: Ed25519, and ML-DSA-44."""
    return [log_signer(ORIGIN, "ed25519", LOG.ed25519.public, LOG.ed25519.sign).vkey, format_vkey(_second())]


def _second() -> VerifierKey:
    return log_signer(ORIGIN, "ml_dsa_44", LOG.mldsa44_public, LOG.mldsa44.sign).key


def refusal_note(code: str, field: str, expected: int | None, signed: Signed) -> bytes:
    """Return a refusal as the log signs it."""
    place, batch = "-", signed.batch
    if batch is not None:
        place = f"{batch.size} {batch.index} {sha256(b''.join(batch.path)).hexdigest()}"
    lines = {
        "first": "comity.refusal/v1",
        "origin": ORIGIN,
        "statement": sha256(signed.statement).hexdigest(),
        "signature": sha256(signed.signature).hexdigest(),
        "place": place,
        "code": code,
        "field": field or "-",
        "expected": "-" if expected is None else str(expected),
        "at": str(BEGIN),
    }
    body = "\n".join(lines.values()) + "\n"
    first = log_signer(ORIGIN, "ed25519", LOG.ed25519.public, LOG.ed25519.sign)
    return format_note(Note(body, (NoteSignature(ORIGIN, first.key.key_id, first.sign(body.encode())),)))


def refusals() -> Group:
    """Refusals that the log signed."""
    group = Group("refusal")
    alone, together = sealed(PLAIN), in_a_batch()

    def of(signed: Signed) -> Row:
        return {
            "origin": ORIGIN,
            "log_keys": log_vkeys(),
            "statement": signed.statement.hex(),
            "signature": signed.signature.hex(),
            "batch": batch_json(signed.batch),
        }

    for code, field, expected in (
        ("malformed", "basis[0].article", None),
        ("unauthenticated", "signature", None),
        ("wrong_ledger", "ledger", None),
        ("out_of_order", "sequence", 7),
        ("id_reused", "id", None),
        ("sequence_reused", "sequence", 8),
        ("too_large", "", None),
        ("draft_act", "act", None),
    ):
        for says, signed in (("", alone), (", in a batch", together)):
            note = refusal_note(code, field, expected, signed)
            group.add(f"a refusal: {code}{says}", "read_refusal", {**of(signed), "note": note.hex()}, fails=False)
    good = refusal_note("malformed", "zone", None, alone)
    forged = refusal_note("unauthenticated", "signature", None, Signed(PLAIN, bytes(64)))
    short = refusal_note("malformed", "signature", None, Signed(PLAIN, bytes(63)))
    placed = refusal_note("malformed", "batch.path", None, Signed(PLAIN, alone.signature, Batch(3, 1, ())))
    for says, other in (
        ("about another statement", {"statement": FULL.hex()}),
        ("of a copy with a false signature", {"note": forged.hex()}),
        ("of a copy with half a signature", {"note": short.hex()}),
        ("of a copy under a false place in a batch", {"note": placed.hex()}),
        ("of another log", {"origin": "ledger.example/other"}),
        ("with no key of the log known", {"log_keys": []}),
        ("under another key", {"log_keys": [log_signer(ORIGIN, "ed25519", CLERK.key.public, CLERK.key.sign).vkey]}),
        ("with its code changed", {"note": good.replace(b"malformed", b"draft_act").hex()}),
        ("without its signature", {"note": good[: good.index(b"\n\n") + 2].hex()}),
        ("that is a checkpoint", {"note": _note(3, bytes(32)).hex()}),
    ):
        group.add(f"a refusal {says}", "read_refusal", {**of(alone), "note": good.hex(), **other}, fails=True)
    batch = together.batch
    assert batch is not None
    beside = refusal_note("malformed", "zone", None, together)
    for says, other_batch in (
        ("signed alone", None),
        ("with another index", Batch(batch.size, 0, batch.path)),
        ("with another size", Batch(4, batch.index, batch.path)),
        ("with another path", Batch(batch.size, batch.index, batch.path[:-1])),
    ):
        copied: Row = {**of(together), "note": beside.hex(), "batch": batch_json(other_batch)}
        group.add(f"a refusal in a batch, of a copy {says}", "read_refusal", copied, fails=True)
    return group


def _note(size: int, root: bytes, *, origin: str = ORIGIN, second: bytes | None = None) -> bytes:
    """Return a checkpoint signed with the log's Ed25519 key; *second* is an ML-DSA-44 signature with its time."""
    first = log_signer(origin, "ed25519", LOG.ed25519.public, LOG.ed25519.sign)
    note = sign_checkpoint(Checkpoint(origin, size, root), (first,), at=0)
    if second is None:
        return note
    return note + format_note(Note("x\n", (NoteSignature(origin, _second().key_id, second),))).partition(b"\n\n")[2]


def entry_of(data: bytes, place: int, *, reason: str | None = None) -> bytes:
    """Return the entry that the log makes of a statement."""
    body = bytes.fromhex(answer("decode_statement", {"statement": data.hex()})["value"]["body"])
    return encode_entry(
        Entry(
            format=1,
            statement=data if reason is None else header_of(data, body),
            statement_sha256=None if reason is None else sha256_of(data),
            algorithm="ed25519",
            signature=CLERK.key.sign(signed_message(data)),
            batch=None,
            recorded_at=BEGIN + place,
            disposition="accepted" if reason is None else "rejected",
            reason=reason,
            rules=sha256(b"rules").digest(),
            subject_version=place if reason is None else None,
            case_version=place if reason is None else None,
        )
    )


def receipts() -> Group:
    """Receipts: entry, inclusion proof and checkpoint."""
    group = Group("receipt")
    data = [encode_statement(statement(n)) for n in range(7)]
    entries = [entry_of(one, n, reason="subject_exists" if n == 3 else None) for n, one in enumerate(data)]
    frontier, nodes = Frontier(), list[bytes]()
    for one in entries:
        nodes += frontier.append(leaf_hash(one))
    root = frontier.root()

    def path(index: int) -> tuple[bytes, ...]:
        return tuple(inclusion_path(index, 7, lambda ids: [nodes[number_] for number_ in ids]))

    def given(index: int, note: bytes) -> Row:
        return {
            "origin": ORIGIN,
            "log_keys": log_vkeys()[:1],
            "statement": data[index].hex(),
            "entry": entries[index].hex(),
            "proof": format_proof(Proof(index, path(index), note, None)).hex(),
        }

    note = _note(7, root)
    for index in range(7):
        group.add(f"the receipt of entry {index}", "verify_receipt", given(index, note), fails=False)
    both = _note(7, root, second=_kept_second(root))
    group.add(
        "a checkpoint also signed with ML-DSA-44",
        "verify_receipt",
        {**given(2, both), "log_keys": log_vkeys()},
        fails=False,
    )
    group.add("a signature by a key that is not known", "verify_receipt", given(2, both), fails=False)
    good = given(2, note)
    proof = bytes.fromhex(good["proof"])

    def bad(says: str, **other: Any) -> None:
        group.add(f"a receipt {says}", "verify_receipt", {**good, **other}, fails=True)

    bad("of another entry", entry=entries[1].hex())
    bad("of another statement", statement=data[1].hex())
    bad(
        "of a rejected statement with another hash",
        **{name: value for name, value in given(3, note).items() if name != "statement"},
        statement=(data[3][:-1] + b"\1").hex(),
    )
    bad("of an entry that was altered", entry=(entries[2][:-1] + b"\x06").hex())
    bad("with a byte too many in its entry", entry=entries[2].hex() + "00")
    bad("of another log", origin="ledger.example/other")
    bad("with no key of the log known", log_keys=[])
    bad("under another key", log_keys=[log_signer(ORIGIN, "ed25519", CLERK.key.public, CLERK.key.sign).vkey])
    bad("whose key id is not that of its key", log_keys=[log_vkeys()[0].replace("+", "+0", 1)])
    bad("with another index", proof=proof.replace(b"index 2", b"index 3").hex())
    bad("with an index beyond the tree", proof=proof.replace(b"index 2", b"index 9").hex())
    bad("with leading zeroes in its index", proof=proof.replace(b"index 2", b"index 02").hex())
    bad("with another size", proof=proof.replace(b"\n7\n", b"\n8\n").hex())
    bad("with a line too many", proof=proof.replace(b"\n7\n", b"\n7\nextension\n").hex())
    short = format_proof(Proof(2, path(2)[:-1], note, None))
    bad("with a path too short", proof=short.hex())
    bad("with a path too long", proof=format_proof(Proof(2, (*path(2), bytes(32)), note, None)).hex())
    bad("without its checkpoint", proof=proof[: proof.index(b"\n\n") + 2].hex())
    bad("that is no proof", proof=note.hex())
    bad("with base64 that is not canonical", proof=_loosened(proof).hex())
    bad("signed by the log for another root", proof=format_proof(Proof(2, path(2), _note(7, bytes(32)), None)).hex())
    forged = note[:-6] + b"AAAA=\n"
    bad("whose signature was altered", proof=format_proof(Proof(2, path(2), forged, None)).hex())
    return group


def _loosened(proof: bytes) -> bytes:
    """Set a bit of the first hash's base64 that decoding ignores: 32 bytes leave two bits over, here zero."""
    line = proof.split(b"\n")[2]
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters[letters.index(line[-2]) + 1]
    return proof.replace(line, line[:-2] + bytes([last]) + b"=", 1)


def _kept_second(root: bytes) -> bytes:
    """
    Return the ML-DSA-44 signature that the present file has, or a new one.

    Signing is randomised: without this the file would change whenever it is written.
    """
    from ledger.keys import mldsa44  # noqa: PLC0415 -- for this alone
    from ledger.verify import parse_note, parse_proof, signed_bytes  # noqa: PLC0415 -- for this alone

    checkpoint = Checkpoint(ORIGIN, 7, root)
    message = signed_bytes(_second(), checkpoint, 0)
    file = VECTORS / "receipt.json"
    if file.exists():
        for row in json.loads(file.read_text(encoding="utf-8")):
            try:
                note = parse_note(parse_proof(bytes.fromhex(row["given"]["proof"])).note)
            except ValueError:
                continue
            for line in note.signatures[1:]:
                if mldsa44(LOG.mldsa44_public, message, line.blob[8:]):
                    return line.blob
    return bytes(8) + LOG.mldsa44.sign(message)


# --- Kafka -----------------------------------------------------------------------------------------


def conveyor() -> Group:
    """The values on Kafka that a publisher writes and reads."""
    group = Group("kafka")
    signed = sealed(PLAIN)
    alone = {"statement": PLAIN.hex(), "signature": signed.signature.hex(), "batch": None}
    second = in_a_batch()
    together = {
        "statement": second.statement.hex(),
        "signature": second.signature.hex(),
        "batch": batch_json(second.batch),
    }
    for says, given in (("alone", alone), ("of a batch", together)):
        made = group.add(f"a submission, {says}", "pack_submission", given, fails=False)
        assert group.add(f"a submission, {says}, read", "unpack_submission", made, fails=False) == given
    value = wire.pack_submission(signed)
    for says, bad in (
        ("nothing", b""),
        ("a frame that is cut off", value[:4]),
        ("another magic byte", b"\1" + value[1:]),
        ("the schema id of an answer", wire.frame("answer") + value[5:]),
        ("a schema id that does not exist", b"\0\0\0\xff\xff" + value[5:]),
        ("a byte too many", value + b"\0"),
        ("cut off", value[:-1]),
        ("an algorithm that does not exist", value.replace(b"\0" + signed.signature, b"\2" + signed.signature)),
        ("longer than any", value + bytes(61_440)),
    ):
        group.add(f"a submission: {says}", "unpack_submission", {"value": bad.hex()}, fails=True)
    common: Row = {"statement_id": PLAIN[:16], "statement_sha256": sha256_of(PLAIN)}
    nothing: Row = dict.fromkeys(("index", "recorded_at", "reason", "field", "expected", "entry"))
    for code, field, expected in (("out_of_order", "sequence", 7), ("malformed", "basis[0].article", None)):
        why = {"outcome": "refused", "reason": code, "field": field, "expected": expected}
        note = refusal_note(code, field, expected, signed)
        said = wire.pack_answer(wire.Told(**{**common, **nothing, **why, "note": note}))
        group.add(f"an answer: {code}", "unpack_answer", {"value": said.hex()}, fails=False)
        group.add("an answer that is cut off", "unpack_answer", {"value": said[:-1].hex()}, fails=True)
        group.add("an answer with a byte too many", "unpack_answer", {"value": said.hex() + "00"}, fails=True)
        group.add("an answer in another's frame", "unpack_answer", {"value": (value[:5] + said[5:]).hex()}, fails=True)
    for outcome, reason in (("accepted", None), ("rejected", "subject_exists")):
        entry = entry_of(PLAIN, 0, reason=reason)
        proof = format_proof(Proof(0, (), _note(1, leaf_hash(entry)), None))
        told: Row = {"outcome": outcome, "reason": reason, "index": 0, "recorded_at": BEGIN, "entry": entry}
        said = wire.pack_answer(wire.Told(**{**common, **nothing, **told, "note": proof}))
        read = group.add(f"an answer: a receipt, {outcome}", "unpack_answer", {"value": said.hex()}, fails=False)
        heard = read["value"]
        alone_ = {"statement": PLAIN.hex(), "entry": heard["entry"], "proof": heard["note"]}
        whole = {"origin": ORIGIN, "log_keys": log_vkeys()[:1], **alone_}
        group.add(f"the same receipt verified, {outcome}", "verify_receipt", whole, fails=False)
    return group


# --- the outbox ------------------------------------------------------------------------------------


def outboxes() -> Group:
    """What an outbox does after a round of answers."""
    group = Group("outbox")
    taken: Row = {"outcome": "accepted", "index": 10}
    noted: Row = {"outcome": "rejected", "index": 11}

    def case(says: str, answers: Mapping[str, Row], *, first: int = 4, ids: str = "abcd", signed: int = 1) -> None:
        pending = [{"id": one, "sequence": first + place, "signed": signed} for place, one in enumerate(ids)]
        group.add(says, "settle", {"pending": pending, "next": first + len(ids), "answers": dict(answers)})

    case("nothing was sent", {}, ids="")
    case("no answer came: the same bytes again", {})
    case("all have their receipts", dict.fromkeys("abcd", taken))
    case("a rejected statement has its receipt too", {"a": taken, "b": noted, "c": taken, "d": taken})
    case("the answers of the last two were lost", {"a": taken, "b": taken})
    case("the answer of the first was lost", {"b": taken, "c": taken, "d": taken})
    case("the log cannot take them now", {one: {"outcome": "refused", "code": "unavailable"} for one in "abcd"})
    behind = {"outcome": "refused", "code": "out_of_order", "expected": 5}
    for code in ("malformed", "unauthenticated", "wrong_ledger", "id_reused", "too_large", "draft_act"):
        said = {"outcome": "refused", "code": code}
        case(
            f"the second is refused, {code}: those behind it move up", {"a": taken, "b": said, "c": behind, "d": behind}
        )
    malformed = {"outcome": "refused", "code": "malformed"}
    case("the last is refused", {"a": taken, "b": taken, "c": taken, "d": malformed})
    case("the first is refused, and of those behind it nothing is known: they stay as they are", {"a": malformed})
    case("only the first of two refusals counts", {"a": malformed, "b": malformed, "c": behind, "d": behind})
    case("of the last nothing is known: it may be in the log", {"a": malformed, "b": behind, "c": behind})
    there = {"outcome": "refused", "code": "id_reused"}
    case("signed twice: earlier bytes have the id", {"a": there, "b": behind, "c": behind, "d": behind}, signed=2)
    case("signed twice, and refused all the same", dict.fromkeys("abcd", malformed), signed=2)
    now = {"outcome": "refused", "code": "unavailable"}
    case("not now is not known", {"a": malformed, "b": behind, "c": behind, "d": now})
    case("the order is wrong, and of the last nothing is known", {"a": behind, "b": behind, "c": behind})
    reused = {"outcome": "refused", "code": "sequence_reused", "expected": 9}
    case("the outbox counts too low: it follows the log", dict.fromkeys("abcd", reused))
    early = {"outcome": "refused", "code": "out_of_order", "expected": 2}
    case("the outbox counts too high: it follows the log", dict.fromkeys("abcd", early))
    fits = {**reused, "expected": 6}
    case("the outbox counts too low, and a later one fits", {"a": fits, "b": fits, "c": taken, "d": taken})
    case("an answer to what is not pending changes nothing", {"z": malformed, "a": taken})
    for sequence in (5, 63, 64, 8191, 8192):
        given = {"statement": PLAIN.hex(), "sequence": sequence}
        group.add("a statement with another sequence keeps its id", "sign_again", given)
    return group


GROUPS: Final = (statements, bodies, signatures, admissions, refusals, receipts, conveyor, outboxes)


def files() -> Iterator[tuple[str, str]]:
    """What each file should hold, by its name."""
    for make in GROUPS:
        group = make()
        rows = (json.dumps(row, ensure_ascii=True) for row in group.rows)
        yield f"{group.name}.json", "[\n" + ",\n".join(rows) + "\n]\n"


def main() -> None:
    """Write what changed, and name it."""
    VECTORS.mkdir(exist_ok=True)
    for name, said in files():
        file = VECTORS / name
        if not file.exists() or file.read_text(encoding="utf-8") != said:
            file.write_text(said, encoding="utf-8")
            sys.stderr.write(f"{name}\n")


if __name__ == "__main__":
    main()
