"""
Comity's own implementation, asked through the protocol of the conformance suite.

python3 kit/conformance.py run -- .venv/bin/python -m kit.answer

Each operation is one function from what is given to the answer, both JSON. Bytes are lower-case hexadecimal,
identifiers UUID text, instants RFC 3339, whole numbers beyond 2**53 - 1 decimal text.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from kit import outbox
from ledger import keys, verify
from ledger.acts import catalogue, codec
from ledger.errors import FormatError, NotVerified
from ledger.kafka import wire
from ledger.keys import PrivateKey
from ledger.ledger import batch_paths
from ledger.sequencer import BATCH_SIZE_MAX
from ledger.statement import (
    STATEMENT_BYTES_MAX,
    Batch,
    Signed,
    batch_message,
    check,
    decode_entry,
    decode_statement,
    new_id,
    sha256_of,
    signed_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAFE: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps."""

STATEMENT: Final = codec("statement.avsc")
ENTRY: Final = codec("entry.avsc")

Asked = dict[str, Any]


def shown(value: Any) -> Any:
    """Whole numbers that a reader of JSON might round become text; all else stays."""
    if isinstance(value, dict):
        return {name: shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shown(one) for one in value]
    if isinstance(value, int) and abs(value) > SAFE:
        return str(value)
    return value


def statement_value(given: Mapping[str, Any]) -> dict[str, Any]:
    """The statement that its JSON means; the reverse of ``shown`` where the schema has whole numbers."""
    value = dict(given)
    for name in ("sequence", "version"):
        value[name] = _whole(value[name])
    value["attachments"] = [{**item, "size": _whole(item["size"])} for item in value["attachments"]]
    return STATEMENT.from_json(value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) else value


def batch_of(given: Mapping[str, Any] | None) -> Batch | None:
    """The place in a batch that its JSON means."""
    if given is None:
        return None
    return Batch(given["size"], given["index"], tuple(bytes.fromhex(node) for node in given["path"]))


def batch_json(batch: Batch | None) -> dict[str, Any] | None:
    """A place in a batch, as JSON."""
    if batch is None:
        return None
    return {"size": batch.size, "index": batch.index, "path": [node.hex() for node in batch.path]}


def signed_json(signed: Signed) -> dict[str, Any]:
    """What a publisher sends, as JSON: statement, signature, place in a batch."""
    return {
        "statement": signed.statement.hex(),
        "signature": signed.signature.hex(),
        "batch": batch_json(signed.batch),
    }


# --- statements ------------------------------------------------------------------------------------


def decode(given: Asked) -> Asked:
    """Statement bytes to value."""
    data = bytes.fromhex(given["statement"])
    decode_statement(data)
    return {"value": shown(STATEMENT.to_json(STATEMENT.decode(data)))}


def encode(given: Asked) -> Asked:
    """Value to statement bytes."""
    data = STATEMENT.encode(statement_value(given["value"]))
    if len(data) > STATEMENT_BYTES_MAX:
        raise FormatError("is too long", field="statement")
    return {"statement": data.hex()}


def decode_body(given: Asked) -> Asked:
    """Body bytes to value, by act and version."""
    read = catalogue().codec_of(given["act"], given["version"])
    return {"value": shown(read.to_json(read.decode(bytes.fromhex(given["body"]))))}


def encode_body(given: Asked) -> Asked:
    """Value to body bytes, by act and version."""
    written = catalogue().codec_of(given["act"], given["version"])
    return {"body": written.encode(written.from_json(given["value"])).hex()}


def statement_id(given: Asked) -> Asked:
    """A UUIDv7 from an instant and randomness."""
    made = new_id(_whole(given["at"]), bytes.fromhex(given["randomness"])).hex()
    return {"id": f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:]}"}


# --- signatures ------------------------------------------------------------------------------------


def sign(given: Asked) -> Asked:
    """Sign one statement."""
    key, data = PrivateKey.from_seed(bytes.fromhex(given["seed"])), bytes.fromhex(given["statement"])
    message = signed_message(data)
    return {
        "public_key": key.public.hex(),
        "key": key.id.hex(),
        "message": message.hex(),
        "signature": key.sign(message).hex(),
    }


def sign_batch(given: Asked) -> Asked:
    """Sign several statements together."""
    key = PrivateKey.from_seed(bytes.fromhex(given["seed"]))
    statements = [bytes.fromhex(one) for one in given["statements"]]
    root, paths = batch_paths(statements)
    message = batch_message(len(statements), root)
    places = [batch_json(Batch(len(statements), index, path)) for index, path in enumerate(paths)]
    return {"root": root.hex(), "message": message.hex(), "signature": key.sign(message).hex(), "places": places}


def verify_signature(given: Asked) -> Asked:
    """Whether a signature over a statement, alone or in a batch, holds."""
    message = _message(bytes.fromhex(given["statement"]), batch_of(given["batch"]))
    holds = keys.ed25519(bytes.fromhex(given["public_key"]), message, bytes.fromhex(given["signature"]))
    return {"holds": holds}


def _check_size(batch: Batch | None) -> None:
    if batch is not None and not 0 < batch.size <= BATCH_SIZE_MAX:
        raise FormatError(f"a batch holds 1 to {BATCH_SIZE_MAX} statements", field="batch.size")


def _message(statement: bytes, batch: Batch | None) -> bytes:
    _check_size(batch)
    try:
        return signed_message(statement, batch)
    except NotVerified as error:
        raise FormatError(error.what, field="batch.path") from error


def verify_raw(given: Asked) -> Asked:
    """Whether a signature over any bytes holds under the strict rule."""
    parts = (bytes.fromhex(given[name]) for name in ("public_key", "message", "signature"))
    return {"holds": keys.ed25519(*parts)}


def register_key(given: Asked) -> Asked:
    """Whether a key may be registered."""
    return {"acceptable": verify.acceptable_key(bytes.fromhex(given["public_key"]))}


# --- admission -------------------------------------------------------------------------------------


def admit(given: Asked) -> Asked:
    """What a log in the situation given answers to a submission, before it judges what the statement means."""
    log = given["log"]
    data, signature = bytes.fromhex(given["statement"]), bytes.fromhex(given["signature"])
    if len(data) > STATEMENT_BYTES_MAX:
        return _refused("too_large")
    try:
        statement = decode_statement(data)
        if statement.ledger != log["origin"]:
            return _refused("wrong_ledger", "ledger")
        check(statement, catalogue().codes)
        if not catalogue().act(statement.act, statement.version).released and not log["drafts"]:
            return _refused("draft_act", "act")
        try:
            catalogue().decode(statement.act, statement.version, statement.body)
        except FormatError as error:
            raise FormatError(error.what, field=f"body.{error.field}" if error.field else "body") from error
        batch = batch_of(given["batch"])
        _check_size(batch)
        if len(signature) != 64:
            raise FormatError("is not 64 bytes long", field="signature")
        message = _message(data, batch)
    except FormatError as error:
        return _refused("malformed", error.field)
    standing = log["keys"].get(statement.key.hex())
    if standing is not None and not keys.ed25519(bytes.fromhex(standing["public_key"]), message, signature):
        return _refused("unauthenticated", "signature")
    same = log["recorded"].get(statement.id.hex())
    if same is not None:
        return {"answer": "first_answer"} if same == sha256_of(data).hex() else _refused("id_reused", "id")
    if standing is None or not standing["valid"]:
        return _refused("unauthenticated", "key")
    if standing["authority"] != statement.publisher.hex():
        return _refused("unauthenticated", "publisher")
    if statement.sequence != standing["next"]:
        code = "sequence_reused" if statement.sequence < standing["next"] else "out_of_order"
        return _refused(code, "sequence", standing["next"])
    return {"answer": "admitted"}


def _refused(code: str, field: str = "", expected: int | None = None) -> Asked:
    return {"answer": code, "at": field or None, "expected": expected}


# --- answers ---------------------------------------------------------------------------------------


def read_refusal(given: Asked) -> Asked:
    """A signed refusal: whether it is the log's, of these bytes with this signature, and what it says."""
    note = verify.parse_note(bytes.fromhex(given["note"]))
    lines = note.text.split("\n")
    if len(lines) != 10 or lines[0] != "comity.refusal/v1":
        raise FormatError("is no refusal", field="note")
    _, origin, statement, signature, place, code, field, expected, at, _ = lines
    if origin != given["origin"] or statement != sha256_of(bytes.fromhex(given["statement"])).hex():
        raise NotVerified("it is about another statement, or of another log", step="refusal")
    if signature != sha256_of(bytes.fromhex(given["signature"])).hex() or place != _place(batch_of(given["batch"])):
        raise NotVerified("it is about a copy of the statement that another signed", step="refusal")
    _signed_by_the_log(note, note.text.encode(), given["log_keys"])
    return {
        "code": code,
        "at": None if field == "-" else field,
        "expected": None if expected == "-" else int(expected),
        "refused_at": int(at),
    }


def _place(batch: Batch | None) -> str:
    """Return how a refusal names the place in a batch that it received."""
    return "-" if batch is None else f"{batch.size} {batch.index} {sha256_of(b''.join(batch.path)).hex()}"


def _signed_by_the_log(note: verify.Note, text: bytes, vkeys: list[str]) -> None:
    known = {(key.name, key.key_id): key for key in map(verify.parse_vkey, vkeys) if key.algorithm == verify.ED25519}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None and keys.ed25519(key.public_key, text, line.blob):
            return
    raise NotVerified("the log did not sign it", step="refusal")


def verify_receipt(given: Asked) -> Asked:
    """
    A receipt: whether the log signed a tree in which the entry stands, and the entry is of the statement that was sent.

    The Ed25519 line of the log must hold. A line by another known key that is checked and does not hold makes the
    whole worthless; ML-DSA-44 is told apart in ``checked``.
    """
    data, entry = bytes.fromhex(given["entry"]), decode_entry(bytes.fromhex(given["entry"]))
    statement = bytes.fromhex(given["statement"])
    proof = verify.parse_proof(bytes.fromhex(given["proof"]))
    note = verify.parse_note(proof.note)
    checkpoint = verify.parse_checkpoint(note.text)
    if checkpoint.origin != given["origin"]:
        raise NotVerified("the checkpoint is of another log", step="6 checkpoint")
    verify.check_inclusion(verify.leaf_hash(data), proof.index, checkpoint.size, proof.path, checkpoint.root)
    vkeys = [verify.parse_vkey(text) for text in given["log_keys"]]
    signed = verify.check_signatures(note, checkpoint, vkeys, keys.ed25519)
    if not any(line.key.algorithm == verify.ED25519 and line.key.name == checkpoint.origin for line in signed):
        raise NotVerified("the log did not sign this checkpoint", step="6 checkpoint")
    whole = entry.statement == statement if entry.accepted else entry.statement_sha256 == sha256_of(statement)
    if not whole or not statement.startswith(entry.statement):
        raise NotVerified("the entry is not of the statement that was sent", step="4 inclusion")
    return {
        "index": proof.index,
        "outcome": entry.disposition,
        "reason": entry.reason,
        "recorded_at": ENTRY.to_json(ENTRY.decode(data))["recorded_at"],
        "size": checkpoint.size,
    }


# --- Kafka -----------------------------------------------------------------------------------------


def pack_submission(given: Asked) -> Asked:
    """The Kafka value of a submission."""
    signed = Signed(bytes.fromhex(given["statement"]), bytes.fromhex(given["signature"]), batch_of(given["batch"]))
    return {"value": wire.pack_submission(signed).hex()}


def unpack_submission(given: Asked) -> Asked:
    """A submission from its Kafka value."""
    return signed_json(wire.unpack_submission(bytes.fromhex(given["value"])))


def unpack_answer(given: Asked) -> Asked:
    """An answer from its Kafka value."""
    told = codec("answer.avsc")
    return {"value": shown(told.to_json(told.decode(wire.unframe("answer", bytes.fromhex(given["value"])))))}


# --- the outbox ------------------------------------------------------------------------------------


def settle(given: Asked) -> Asked:
    """What an outbox does after a round of answers."""
    settled = outbox.settle(
        [outbox.Pending(**row) for row in given["pending"]],
        given["next"],
        {key: outbox.Answer(**answer) for key, answer in given["answers"].items()},
    )
    return {
        "answered": list(settled.answered),
        "refused": list(settled.refused),
        "resend": list(settled.resend),
        "sign_again": [{"id": one.id, "sequence": one.sequence, "signed": one.signed} for one in settled.sign_again],
        "next": settled.next,
    }


def sign_again(given: Asked) -> Asked:
    """A statement with another sequence: nothing else changes, the id least of all."""
    statement = STATEMENT.decode(bytes.fromhex(given["statement"]))
    return encode({"value": shown(STATEMENT.to_json({**statement, "sequence": given["sequence"]}))})


DO: Final[dict[str, Callable[[Asked], Asked]]] = {
    "decode_statement": decode,
    "encode_statement": encode,
    "decode_body": decode_body,
    "encode_body": encode_body,
    "statement_id": statement_id,
    "sign": sign,
    "sign_batch": sign_batch,
    "verify": verify_signature,
    "verify_raw": verify_raw,
    "register_key": register_key,
    "admit": admit,
    "read_refusal": read_refusal,
    "verify_receipt": verify_receipt,
    "pack_submission": pack_submission,
    "unpack_submission": unpack_submission,
    "unpack_answer": unpack_answer,
    "settle": settle,
    "sign_again": sign_again,
}


def answer(do: str, given: Asked) -> Asked:
    """Return the answer to one vector."""
    if do not in DO:
        return {"unsupported": True}
    try:
        return DO[do](given)
    except FormatError as error:
        return {"fault": "malformed", "field": error.field}
    except NotVerified:
        return {"fault": "not_verified"}


def main() -> None:
    """Answer one line for each line until there are no more."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], "answer": answer(asked["do"], asked["given"])}), flush=True)


if __name__ == "__main__":
    main()
