"""Decoding and encoding of statements: one value has one encoding."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from kit.group import Group
from kit.sample import BEGIN, FULL, PLAIN, altered, listed, named, number, parts, text, value_of

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
