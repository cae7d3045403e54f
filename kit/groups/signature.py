"""Ed25519 under the one strict rule, statements alone and in batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from kit.group import Group
from kit.sample import CLERK, FULL, PLAIN, keyed, statement
from ledger.statement import encode_statement

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
MIXED: Final = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d"
"""A point of mixed order: on the curve, canonical, and not in the subgroup of prime order."""
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
    folder = Path(__file__).resolve().parents[2] / "tests" / "vectors"
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


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]
