"""The values on Kafka that a publisher writes and reads."""

from __future__ import annotations

from kit.answer import signed_json
from kit.group import Group
from kit.sample import BEGIN, FIRST, ORIGIN, PLAIN, Row, checkpoint_note, entry_of, in_a_batch, refusal_note, sealed
from ledger.kafka import wire
from ledger.statement import sha256_of
from ledger.verify import Proof, format_proof, leaf_hash


def conveyor() -> Group:
    """The values on Kafka that a publisher writes and reads."""
    group = Group("kafka")
    signed = sealed(PLAIN)
    for says, one in (("alone", signed), ("of a batch", in_a_batch())):
        given = signed_json(one)
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
        proof = format_proof(Proof(0, (), checkpoint_note(1, leaf_hash(entry)), None))
        told: Row = {"outcome": outcome, "reason": reason, "index": 0, "recorded_at": BEGIN, "entry": entry}
        said = wire.pack_answer(wire.Told(**{**common, **nothing, **told, "note": proof}))
        read = group.add(f"an answer: a receipt, {outcome}", "unpack_answer", {"value": said.hex()}, fails=False)
        heard = read["value"]
        receipt = {"statement": PLAIN.hex(), "entry": heard["entry"], "proof": heard["note"]}
        whole = {"origin": ORIGIN, "log_keys": [FIRST.vkey], **receipt}
        group.add(f"the same receipt verified, {outcome}", "verify_receipt", whole, fails=False)
    return group
