"""Receipts: entry, inclusion proof and checkpoint."""

from __future__ import annotations

import json
from typing import Any

from kit.conformance import VECTORS
from kit.group import Group
from kit.sample import CLERKS_VKEY, FIRST, LOG, ORIGIN, SECOND, VKEYS, Row, checkpoint_note, entry_of, statement
from ledger.keys import mldsa44
from ledger.log.tree import Frontier, inclusion_path
from ledger.statement import encode_statement
from ledger.verify import Checkpoint, Proof, format_proof, leaf_hash, parse_note, parse_proof, signed_bytes


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
        return tuple(inclusion_path(index, 7, lambda ids: [nodes[one] for one in ids]))

    def given(index: int, note: bytes) -> Row:
        return {
            "origin": ORIGIN,
            "log_keys": [FIRST.vkey],
            "statement": data[index].hex(),
            "entry": entries[index].hex(),
            "proof": format_proof(Proof(index, path(index), note, None)).hex(),
        }

    note = checkpoint_note(7, root)
    for index in range(7):
        group.add(f"the receipt of entry {index}", "verify_receipt", given(index, note), fails=False)
    both = checkpoint_note(7, root, second=_kept_second(root))
    group.add(
        "a checkpoint also signed with ML-DSA-44",
        "verify_receipt",
        {**given(2, both), "log_keys": [*VKEYS]},
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
    bad("under another key", log_keys=[CLERKS_VKEY])
    bad("whose key id is not that of its key", log_keys=[FIRST.vkey.replace("+", "+0", 1)])
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
    bad(
        "signed by the log for another root",
        proof=format_proof(Proof(2, path(2), checkpoint_note(7, bytes(32)), None)).hex(),
    )
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
    checkpoint = Checkpoint(ORIGIN, 7, root)
    message = signed_bytes(SECOND.key, checkpoint, 0)
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
