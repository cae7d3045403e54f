"""``comity fsck``, ``comity proof`` and ``comity tail``: looking at the log itself."""

import os
import time
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.console import document, line, progress, text
from ledger.cli.options import (
    AsJson,
    AsOf,
    HappenedBy,
    KnownBy,
    LedgerFolder,
    Quiet,
    Zone,
    folder,
    view,
)
from ledger.cli.shown import counted, moment, short
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.cli.directory import Directory
    from ledger.statement import Recorded

_POLL_SECONDS = 0.2
_PAGE = 1000
_MANY = 10_000
"""Entries from which on it pays to start processes that check signatures."""


def tail(
    from_index: Annotated[
        int | None,
        typer.Option("--from", min=0, metavar="N", help="Begin at entry N; else the last ten."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until interrupted.")] = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Print entries in the order of the log, one a line; no index is ever skipped.

    With a clock, entries beyond it are left out; one that came late was known since its proof of receipt says.

    JSON, a line an entry: {index, recorded_at, occurred_from, occurred_until, act, version, kind, voice,
    publisher, called, speaker: {authority, called, country, authority_kind, mandate, source}|null, whose_act,
    case, subject, statement, disposition, reason, leaf}.
    """
    from ledger.acts import catalogue
    from ledger.cli.directory import directory
    from ledger.cli.opened import store
    from ledger.reading import recorded
    from ledger.verify import whose_act
    from projections.facts import Fact

    del quiet
    asked = view(happened_by, known_by, as_of, zone)
    acts = catalogue()
    with store(ledger) as opened:
        at = max(0, opened.size() - 10) if from_index is None else from_index
        names = directory(opened, acts)
        while True:
            page = opened.entries(at, _PAGE)
            for index, data in page:
                entry = recorded(index, data, acts)
                if entry.statement.publisher not in names.members:
                    names = directory(opened, acts)
                if asked.happened_by is not None and (entry.statement.occurred_from > asked.happened_by):
                    continue
                if asked.known_by is not None and Fact(entry).known_at > asked.known_by:
                    continue
                whose = whose_act(entry.statement, names.called, opened.index_of)
                if as_json:
                    line(_shape(entry, data, names, whose))
                else:
                    text(_sentence(entry, whose, asked.zone))
            at += len(page)
            if not page:
                if not follow:
                    return
                time.sleep(_POLL_SECONDS)


def _shape(entry: "Recorded", data: bytes, names: "Directory", whose: str) -> dict[str, Any]:
    from ledger.instants import rfc3339
    from ledger.verify import leaf_hash

    said = entry.statement
    speaker = said.speaker
    return {
        "index": entry.index,
        "recorded_at": rfc3339(entry.entry.recorded_at),
        "occurred_from": rfc3339(said.occurred_from),
        "occurred_until": rfc3339(said.occurred_until),
        "act": said.act,
        "version": said.version,
        "kind": said.kind,
        "voice": said.voice,
        "publisher": str(UUID(bytes=said.publisher)),
        "called": names.called(said.publisher),
        "speaker": speaker
        and {
            "authority": speaker.authority and str(UUID(bytes=speaker.authority)),
            "called": speaker.authority and names.called(speaker.authority),
            "country": speaker.country,
            "authority_kind": speaker.authority_kind,
            "mandate": speaker.mandate and str(UUID(bytes=speaker.mandate)),
            "source": speaker.source,
        },
        "whose_act": whose,
        "case": str(UUID(bytes=said.case)),
        "subject": str(UUID(bytes=said.subject)),
        "statement": str(UUID(bytes=said.id)),
        "disposition": entry.entry.disposition,
        "reason": entry.entry.reason,
        "leaf": leaf_hash(data).hex(),
    }


def _sentence(entry: "Recorded", whose: str, zone: str) -> str:

    said = entry.statement
    rejected = "" if entry.entry.reason is None else f"  rejected: {entry.entry.reason}"
    return (
        f"{entry.index:>8}  {moment(entry.entry.recorded_at, zone)}  case {short(said.case)}  "
        f"subject {short(said.subject)}  {said.act:<28}  {whose}{rejected}"
    )


def proof(
    what: Annotated[
        list[str],
        typer.Argument(metavar="INDEX | consistency OLD NEW", help="An entry, or two sizes."),
    ],
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, metavar="N", help="In the tree of the first N entries."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Print the proof that an entry is in the log (tlog-proof), or that one tree extends another.

    JSON: {index, proof} or {old, new, path: [hex]}.
    """
    del quiet
    numbers = _numbers(what)
    if len(numbers) == 2:
        if size is not None:
            raise Trouble(2, "--size belongs to the proof of an entry", now="leave it out")
        _consistency(ledger, *numbers, as_json=as_json)
        return
    _inclusion(ledger, numbers[0], size, as_json=as_json)


def _numbers(what: list[str]) -> list[int]:
    given = what[1:] if what[0] == "consistency" else what
    if all(one.isdecimal() for one in given) and len(given) == 1 + (what[0] == "consistency"):
        return [int(one) for one in given]
    raise Trouble(
        2,
        "a proof is of one entry, or between two sizes",
        why="given: " + " ".join(what),
        now="`comity proof 41`, or `comity proof consistency 20 41`",
    )


def _inclusion(ledger: Any, index: int, size: int | None, *, as_json: bool) -> None:
    from ledger.cli.opened import ledger as open_ledger

    with open_ledger(ledger, read_only=True) as opened:
        given = opened.inclusion_proof(index, size)
    said = given.decode()
    if as_json:
        document({"index": index, "proof": said})
    else:
        text(said)


def _consistency(ledger: Any, old: int, new: int, *, as_json: bool) -> None:
    from base64 import b64encode

    from ledger.cli.opened import store
    from ledger.log.tree import consistency_path

    with store(ledger) as opened:
        held = opened.size()
        if not 0 < old <= new:
            raise Trouble(2, f"{old} and {new} are no two sizes in order", now="give OLD, then NEW, from 1 on")
        if new > held:
            raise Trouble(4, f"the log has {held} entries", why=f"a tree of {new} was asked for", now="wait")
        path = consistency_path(old, new, opened.hashes)
    if as_json:
        document({"old": old, "new": new, "path": [one.hex() for one in path]})
        return
    for one in path:
        text(b64encode(one).decode())


def fsck(
    signatures: Annotated[
        bool,
        typer.Option("--signatures/--no-signatures", help="Verify every signature too."),
    ] = True,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Rebuild the whole tree from the entries and compare; verify every signature and checkpoint.

    A warning names what does not make the ledger unsound and should be looked at, such as a published
    checkpoint that is missing beside the store.

    JSON: {sound, entries, root, checkpoints, signatures, unchecked, faults: [{index, what}], warnings:
    [what]}; index is null for the log as a whole, and unchecked counts rejected entries, whose bodies
    are withheld. Exit status 3 when anything differs.
    """
    from ledger.acts import catalogue
    from ledger.cli.opened import store
    from ledger.log.fsck import check, check_published

    with store(ledger) as opened:
        size = opened.size()
        with progress("checking", size * (2 if signatures else 1), quiet=quiet) as done:
            report = check(
                opened,
                catalogue(),
                signatures=signatures,
                workers=max(0, (os.cpu_count() or 1) - 1) if size > _MANY else 0,
                progress=_two_steps(done),
            )
        check_published(folder(ledger) / "checkpoint", opened, report)
    if as_json:
        document(
            {
                "sound": report.sound,
                "entries": report.size,
                "root": report.root.hex(),
                "checkpoints": report.checkpoints,
                "signatures": report.signatures,
                "unchecked": report.unchecked,
                "faults": [{"index": fault.index, "what": fault.what} for fault in report.faults],
                "warnings": report.warnings,
            }
        )
    elif report.sound:
        said = f"{report.signatures} signatures" if signatures else "signatures not looked at"
        if report.unchecked:
            # Of a rejected statement the log keeps no body, and without it nobody can check who signed.
            said += f"; of {report.unchecked} rejected entries, whose bodies are not kept, no signature can be checked"
        text(f"Sound: {report.size} entries, {report.checkpoints} checkpoints, {said}.")
        text(f"root {report.root.hex()}")
    else:
        for fault in report.faults:
            text(("the log: " if fault.index is None else f"entry {fault.index}: ") + fault.what)
    for warning in report.warnings if not as_json else ():
        text(f"warning: {warning}")
    if not report.sound:
        first = next((fault.index for fault in report.faults if fault.index is not None), None)
        raise Trouble(
            3,
            f"the ledger is not sound: {counted(len(report.faults), 'fault')}"
            + ("" if first is None else f", the first at entry {first}"),
            why=report.faults[0].what,
            now="stop publishing, keep this copy as it is, and compare with a mirror and with receipts",
        )


def _two_steps(done: "Callable[[int], None]") -> "Callable[[int], None]":
    """Progress over two passes that each count from the beginning."""
    before = [0, 0]

    def count(reached: int) -> None:
        if reached < before[0]:
            before[1] += before[0]
        before[0] = reached
        done(before[0] + before[1])

    return count
