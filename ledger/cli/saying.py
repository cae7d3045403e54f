"""What every publishing command does alike: find the signer, publish, show the answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.cli.console import line, note
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.cli.directory import Directory
    from ledger.keys import PrivateKey, Signer
    from ledger.ledger import Ledger
    from ledger.sequencer import Answer
    from ledger.statement import Draft

REFUSAL_STATUS = {
    "unauthenticated": 5,
    "out_of_order": 6,
    "id_reused": 6,
    "sequence_reused": 6,
    "unavailable": 8,
}
"""Exit status of a command whose statement the log refused, by the refusal's code; else 7."""


def signer_of(roster: Directory, file: Path, speaks_as: str | None = None) -> Signer:
    """
    The authority and its key, from a key file.

    Raises:
        Trouble: denied: no authority on the roster has this key, or another than ``--as`` names.
    """
    from ledger.keys import PrivateKey, Signer

    key = PrivateKey.load(file)
    standing = roster.keys.get(key.id)
    if standing is None:
        raise Trouble(
            5,
            f"the key in {file} is on no roster",
            why=f"no authority of {roster.origin} has the key {key.id.hex()[:16]}…",
            now="have it certified by the root: `comity key certify`",
        )
    if standing.ended:
        raise Trouble(
            5,
            f"the key in {file} was {standing.ended}",
            why=f"entry {standing.ended_index} ended it",
            now="sign with a key that is valid now",
        )
    if speaks_as is not None:
        wanted = roster.names.get(speaks_as)
        if wanted is None:
            try:
                wanted = UUID(speaks_as).bytes
            except ValueError:
                raise Trouble(
                    4,
                    f"no authority is called {speaks_as}",
                    why="--as takes an id or a designation on the roster",
                    now="see `comity authority list`",
                ) from None
        if wanted != standing.authority:
            raise Trouble(
                5,
                f"the key in {file} is not that of {speaks_as}",
                why=f"it is that of {roster.called(standing.authority)}",
                now="give the key of the authority that speaks; nobody signs for another",
            )
    return Signer(standing.authority, key)


def possession(origin: str, authority: bytes, key: PrivateKey) -> bytes:
    """The proof, signed by the new key itself, that its holder has it."""
    from ledger.verify import possession_message

    return key.sign(possession_message(origin, authority, key.public))


def said(opened: Ledger, draft: Draft, signer: Signer, *, as_json: bool, quiet: bool, done: str) -> None:
    """Publish one statement of the roster and show the answer; Trouble where it is not accepted."""
    for answer in opened.publish_many([draft], signer, batch=False):
        shape = answered(answer)
        status = status_of(answer)
        if as_json:
            line(shape)
        if status:
            raise refused(shape, status)
        note(f"{done} (entry {shape['index']}).", quiet=quiet or as_json)


def answered(answer: Answer) -> dict[str, Any]:
    """
    The JSON of an answer.

    ``{index, statement, disposition: accepted|rejected, reason, recorded_at}``, or for what was not
    admitted ``{disposition: refused, reason, field, what, expected}``.
    """
    from ledger.instants import rfc3339
    from ledger.sequencer import Receipt

    if isinstance(answer, Receipt):
        return {
            "index": answer.index,
            "statement": str(UUID(bytes=answer.statement_id)),
            "disposition": "accepted" if answer.accepted else "rejected",
            "reason": answer.reason,
            "recorded_at": rfc3339(answer.recorded_at),
        }
    return {
        "disposition": "refused",
        "reason": answer.code,
        "field": answer.field,
        "what": answer.what,
        "expected": answer.expected,
    }


def status_of(answer: Answer) -> int:
    """The exit status that this answer calls for; 0 when it was accepted."""
    from ledger.sequencer import Receipt

    if isinstance(answer, Receipt):
        return 0 if answer.accepted else 7
    return REFUSAL_STATUS.get(answer.code, 7)


def refused(shape: dict[str, Any], status: int) -> Trouble:
    """The trouble of a statement that the log did not accept."""
    if shape["disposition"] == "rejected":
        return Trouble(
            status,
            f"entry {shape['index']}: rejected ({shape['reason']})",
            why=reason_words(shape["reason"]),
            now="the rejection stays on the record, without the body; publish what can be true",
        )
    where = f"{shape['field']}: " if shape["field"] else ""
    return Trouble(
        status,
        f"the ledger refused the statement ({shape['reason']})",
        why=where + shape["what"],
        now="correct it and publish it again; nothing was recorded",
    )


def reason_words(reason: str | None) -> str:
    """The words of a rejection's reason code."""
    from ledger.acts import catalogue

    return catalogue().codes("rejection_reasons").get(reason or "", str(reason))


def read_bytes(source: str) -> bytes:
    """The bytes of a file, or of standard input for ``-``."""
    if source == "-":
        return sys.stdin.buffer.read()
    from pathlib import Path

    return Path(source).read_bytes()
