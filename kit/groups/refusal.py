"""Refusals that the log signed, and what somebody might take for one."""

from __future__ import annotations

from kit.answer import batch_json, signed_json
from kit.group import Group
from kit.sample import CLERKS_VKEY, FULL, ORIGIN, PLAIN, VKEYS, Row, checkpoint_note, in_a_batch, refusal_note, sealed
from ledger.statement import Batch, Signed


def refusals() -> Group:
    """Refusals that the log signed."""
    group = Group("refusal")
    alone, together = sealed(PLAIN), in_a_batch()

    def of(signed: Signed) -> Row:
        return {"origin": ORIGIN, "log_keys": [*VKEYS], **signed_json(signed)}

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
        ("under another key", {"log_keys": [CLERKS_VKEY]}),
        ("with its code changed", {"note": good.replace(b"malformed", b"draft_act").hex()}),
        ("without its signature", {"note": good[: good.index(b"\n\n") + 2].hex()}),
        ("that is a checkpoint", {"note": checkpoint_note(3, bytes(32)).hex()}),
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
