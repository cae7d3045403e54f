"""
Write a bundle: what a judge takes away, and verifies without us.

One ZIP of stored members, sorted, with fixed dates: the same entries under the same checkpoint
give the same bytes. Layout::

    attachments/<sha256>              what the entries commit to, where it was given
    checkpoint                        the signed note that every proof leads to
    cover.txt                         plain words for whoever opens it first
    entries/<index>.entry             the entries shown, and every entry of the roster's streams
    law/<sha256>                      law manifests that the entries were judged under
    manifest.json                     what this is, and the SHA-256 of every other member
    proofs/<index>.tlog-proof         one proof per entry
    schemas/...                       how to decode what is inside
    verify.py                         the verifier

The roster travels whole, for a verifier must know every key, and that none is missing.
"""

from __future__ import annotations

import binascii
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from ledger import resources, verify
from ledger.errors import Conflict, FormatError
from ledger.log.tree import inclusion_path
from ledger.reading import recorded
from ledger.verify import (
    ED25519,
    Checkpoint,
    Proof,
    Roster,
    canonical_json,
    entry_name,
    format_proof,
    format_vkey,
    iso,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    proof_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ledger.acts import Catalogue
    from ledger.statement import Recorded

PIECE = 2**20  # bytes copied at a time


class Source(Protocol):
    """What a bundle reads of a store."""

    def entry(self, index: int, /) -> bytes:
        """The bytes of an entry."""

    def stream(self, subject: bytes, /) -> list[int]:
        """The indexes of a stream, in order."""

    def roster(self) -> list[tuple[int, bytes]]:
        """Every entry of an act of the roster, with its index, in order."""

    def hashes(self, ids: Sequence[int], /) -> list[bytes]:
        """Stored rows of the tree."""


def write_bundle(
    out: Path | IO[bytes],
    store: Source,
    *,
    indexes: Iterable[int],
    checkpoint: bytes,
    catalogue: Catalogue,
    case: bytes | None = None,
    law: Iterable[bytes] = (),
    attachments: Mapping[bytes, Path | bytes] | None = None,
) -> dict[str, Any]:
    """
    Write a bundle of these entries, with everything that verifying them takes.

    Args:
        out: a file that does not exist, or one open for writing in binary.
        store: what to read from.
        indexes: the entries shown. With ``case`` they must all be of it.
        checkpoint: the signed, best a witnessed, note that the proofs shall lead to.
        catalogue: decodes the bodies for the cover.
        case: 16 bytes, where the bundle is about one case: then holes are named as withheld.
        law: law manifests, as they are; the hash of one stands in each entry as ``rules``.
        attachments: commitment (32 bytes) to ciphertext, of what may go with the bundle.

    Returns:
        The manifest.

    Raises:
        Conflict: an entry is not under the checkpoint yet, or ``out`` exists.
        FormatError: an attachment that does not hash to its commitment, or a bundle beyond the
            limits of the format (65,534 members, 4 GiB).

    Cost: reads each entry once, one proof of at most 2 log2(size) rows per entry.
    """
    if isinstance(out, Path):
        try:
            file = out.open("xb")
        except FileExistsError:
            raise Conflict(f"{out} exists", what_now="name another file: a bundle is never overwritten") from None
        try:
            with file:
                return write_bundle(
                    file, store, indexes=indexes, checkpoint=checkpoint, catalogue=catalogue,
                    case=case, law=law, attachments=attachments,
                )  # fmt: skip
        except BaseException:
            out.unlink(missing_ok=True)  # half a bundle is none, and would stand in the way of the next
            raise
    head = parse_checkpoint(parse_note(checkpoint).text)
    shown = sorted(set(indexes))
    if shown and not 0 <= shown[0] <= shown[-1] < head.size:
        raise Conflict(
            f"entry {shown[-1]} is not under the checkpoint of size {head.size}",
            what_now="wait for the next checkpoint",
        )
    roster, of_roster = _roster(store, head.size, catalogue)
    entries = {index: store.entry(index) for index in sorted({0, *shown, *of_roster})}
    decoded = {index: recorded(index, entry, catalogue) for index, entry in entries.items()}
    if case is not None and any(decoded[index].statement.case != case for index in shown):
        raise FormatError("an entry shown is of another case", field="case")

    members: dict[str, bytes | Path] = {"checkpoint": checkpoint}
    for index, entry in entries.items():
        path = inclusion_path(index, head.size, store.hashes)
        members[entry_name(index)] = entry
        members[proof_name(index)] = format_proof(Proof(index, tuple(path), checkpoint))
    schemas = resources.path("schemas")
    names = {"statement.avsc", "entry.avsc"}
    names |= {f"acts/{one.statement.act}.{one.statement.version}.avsc" for one in decoded.values()}
    members |= {f"schemas/{name}": (schemas / name).read_bytes() for name in names if (schemas / name).is_file()}
    members |= {f"law/{sha256(text).hexdigest()}": text for text in law}
    for commitment, content in (attachments or {}).items():
        members[f"attachments/{commitment.hex()}"] = content
    members["verify.py"] = Path(verify.__file__).read_bytes()
    pin = leaf_hash(entries[0])
    members["cover.txt"] = _cover(head, pin, case, decoded, shown, roster).encode()
    digests = {name: _digest(content) for name, content in members.items()}
    for name, (_, _, digest) in digests.items():
        folder, _, rest = name.rpartition("/")
        if folder == "attachments" and rest != digest.hex():
            raise FormatError("does not hash to its commitment", field=name)
    manifest = {
        "case": None if case is None else case.hex(),
        "format": verify.FORMAT,
        "members": {name: digest.hex() for name, (_, _, digest) in digests.items()},
        "origin": head.origin,
        "pin": pin.hex(),
        "root": head.root.hex(),
        "shown": shown,
        "size": head.size,
    }
    members["manifest.json"] = canonical_json(manifest)
    write_zip(out, members)
    return manifest


def _roster(store: Source, size: int, catalogue: Catalogue) -> tuple[Roster, set[int]]:
    """The roster at ``size``, and the indexes of all streams that are its own."""
    roster, subjects = Roster(), set[bytes]()
    for index, entry in store.roster():
        if index >= size:
            break
        act = recorded(index, entry, catalogue)
        if act.body is not None and act.statement.act in verify.ROSTER_ACTS:
            roster.fold(index, act.statement, act.body)
            subjects.add(act.statement.subject)
    subjects |= {authority.id for authority in roster.authorities()}
    return roster, {index for subject in subjects for index in store.stream(subject) if index < size}


def _digest(content: bytes | Path) -> tuple[int, int, bytes]:
    """CRC-32, size and SHA-256."""
    crc, size, digest = 0, 0, sha256()
    for piece in _pieces(content):
        crc, size = binascii.crc32(piece, crc), size + len(piece)
        digest.update(piece)
    return crc, size, digest.digest()


def _pieces(content: bytes | Path) -> Iterable[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def write_zip(out: IO[bytes], members: Mapping[str, bytes | Path]) -> None:
    """
    Write members, sorted and stored, in the one form that ``ledger.verify.Container`` reads.

    Raises:
        FormatError: a name that is none, or too many members, or too long.
    """
    offset = 0
    directory: list[bytes] = []
    for name in sorted(members):
        verify.member_name(name)
        crc, size, _ = _digest(members[name])
        if offset + size > verify.ZIP_MAX or len(directory) == verify.MEMBERS_MAX:
            raise FormatError("does not fit a bundle: split it", field=name)
        local, central = verify.zip_headers(name, crc, size, offset)
        out.write(local)
        for piece in _pieces(members[name]):
            out.write(piece)
        directory.append(central)
        offset += len(local) + size
    central = b"".join(directory)
    if offset + len(central) > verify.ZIP_MAX - 22:
        raise FormatError("does not fit a bundle: split it", field="manifest.json")
    out.write(central + verify.zip_end(len(directory), len(central), offset))


def _cover(
    head: Checkpoint,
    pin: bytes,
    case: bytes | None,
    decoded: Mapping[int, Recorded],
    shown: Sequence[int],
    roster: Roster,
) -> str:
    """The sheet that a judge reads first. It proves nothing; it says what does."""
    about = f"{len(shown)} entries" if case is None else f"the case {case.hex()}, {len(shown)} entries"
    lines = [
        "EXTRACT FROM A LEDGER OF CROSS-BORDER COOPERATION",
        "",
        f"This file belongs to an extract from the ledger {head.origin}.",
        f"It shows {about}, as the ledger stood at {head.size} entries.",
        "",
        "WHAT IS PROVED, once verified as below",
        "- Each entry is, unchanged, in the ledger whose root the log signed.",
        "- Each statement was signed with a key that its authority held at that point of the ledger.",
        "- Where this is one case: no entry is missing up to the last one shown, or each hole is named.",
        "",
        "WHAT IS NOT PROVED",
        "- That a statement is true: only that the authority made it, and when the ledger recorded it.",
        "- That an authority did what another reports of it: a report is signed by the one that reports.",
        "- That nothing followed after the last entry shown.",
        "- Anything that this sheet says: whoever made the extract wrote it. Trust the output of verify.py,",
        "  and take verify.py and the two values below from a source that you trust.",
        "",
        "HOW TO VERIFY, on any computer with Python 3.11 or later, without a network",
        "    python3 verify.py EXTRACT.zip --pin PIN --policy POLICY",
        f"    PIN     {pin.hex()}",
        "            (the founding entry; published by the operator and by each founding State)",
        "    POLICY  the file naming the witnesses whose signatures you require",
        "",
        f"root of the tree at {head.size} entries: {head.root.hex()}",
        *(f"key of the log: {format_vkey(key)}" for key in roster.log_keys if key.algorithm == ED25519),
        "",
        "ENTRIES",
    ]
    indexes = {one.statement.id: index for index, one in decoded.items()}
    for index in shown:
        statement, entry = decoded[index].statement, decoded[index].entry
        until = "" if statement.occurred_until == statement.occurred_from else f" to {iso(statement.occurred_until)}"
        doubt = "" if statement.occurred_confirmed else ", unconfirmed"
        rejected = f"  REJECTED by the ledger ({entry.reason}); the body was not recorded" if entry.reason else ""
        lines += [
            f"{index:>8}  {statement.act}",
            f"          by {verify.whose_act(statement, partial(verify.called, roster), indexes.get)}",
            f"          occurred {iso(statement.occurred_from)}{until} ({statement.zone}{doubt})",
            f"          recorded {iso(entry.recorded_at)}",
        ]
        lines += [f"        {rejected}"] if rejected else []
    return "\n".join(lines) + "\n"
