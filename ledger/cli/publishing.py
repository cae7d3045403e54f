"""``comity publish``: from drafts on a file or standard input to receipts."""

import sys
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast
from uuid import UUID

import typer

from ledger.cli.console import document, line, note, progress, text
from ledger.cli.options import AsJson, LedgerFolder, Quiet
from ledger.cli.shown import counted
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.cli.directory import Directory
    from ledger.keys import Signer
    from ledger.ledger import Ledger
    from ledger.statement import Draft

_SPOOL_BYTES = 8 << 20
"""Standard input is kept in memory up to this size, on disk beyond it: it is read twice."""

_FAULTS_MAX = 50
"""Faulty fields that are named; the rest are counted."""

_SUBJECTS_MAX = 1000
"""Streams whose recorded statements are remembered while looking for repetitions."""

_COMPARED_MAX = 200_000
"""Drafts of one file among which repetitions are looked for: some 40 MiB."""


def publish(
    source: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="Drafts: JSON (one object, an array) or NDJSON."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            envvar="COMITY_KEY",
            help="Key file (PEM) of the authority that speaks; else COMITY_KEY.",
        ),
    ] = None,
    speaks_as: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="AUTHORITY",
            help="Check that the key is of this authority.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what the ledger would answer, and who will see it."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --dry-run: each particular that a form lacks, in words.")
    ] = False,
    batch: Annotated[bool, typer.Option("--batch", help="Sign many statements together, for volume.")] = False,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", metavar="DIR", help="Write each receipt here (tlog-proof)."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Publish even what is recorded already, word for word.")
    ] = False,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="ACT", help="Print a draft of this act to fill in."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Publish drafts as signed statements.

    Every draft is checked before any is signed: if one is faulty, nothing is published, and each
    faulty field is named by its path and the line of its draft. Signed bytes are stored durably
    before they are sent; after a crash, the same command finishes what it began: drafts that this
    authority has recorded already, word for word, are not published twice.

    JSON, a line a draft: {line, index, statement, disposition: accepted|rejected, reason,
    recorded_at, receipt, repeated}; refused: {line, disposition: refused, reason, field, what,
    expected}; with --dry-run {line, act, answer: accepted|rejected, reason, detail, flags[],
    visible_to: {ring, to, embargo_until, addressees[]}, warnings[], form: [{copy, form, required, words,
    lacking: [{id, section, article, text, verified}]}], repeated}.
    """
    if template is not None:
        _template(template)
        return
    if source is None or key is None:
        raise Trouble(
            2,
            "publish needs drafts and the key that signs them",
            why="no " + ("FILE" if source is None else "--key") + " was given",
            now="`comity publish FILE --key KEY.pem`, or `comity publish --template ACT`",
        )
    from ledger.acts import catalogue
    from ledger.cli.directory import directory
    from ledger.cli.opened import ledger as open_ledger
    from ledger.cli.rehearsing import rehearse
    from ledger.cli.saying import signer_of

    with _opened(source) as drafts, open_ledger(ledger) as opened:
        roster = directory(opened.store, catalogue())
        signer = signer_of(roster, key, speaks_as)
        publishing = Publishing(opened, signer, roster, again=again)
        count = _validate(drafts, publishing, quiet=quiet)
        if count == 0:
            note("There is no draft in it.", quiet=quiet)
            return
        if dry_run:
            rehearse(drafts, publishing, ledger, as_json=as_json, verbose=verbose)
            return
        if receipts is not None:
            receipts.mkdir(parents=True, exist_ok=True)
        _publish(
            drafts,
            publishing,
            count,
            batch=batch,
            receipts=receipts,
            as_json=as_json,
            quiet=quiet,
        )


def _template(act: str) -> None:
    from ledger.acts import catalogue
    from ledger.templates import template

    name, _, version = act.partition(" ")
    acts = catalogue()
    document(template(acts.act(name, int(version) if version.isdecimal() else 1), acts))


@contextmanager
def _opened(source: str) -> "Iterator[BinaryIO]":
    """The drafts, in a file that can be read twice."""
    if source != "-":
        with Path(source).open("rb") as file:
            if file.seekable():
                yield file
                return
            with _spooled(file) as spooled:
                yield spooled
        return
    with _spooled(sys.stdin.buffer) as spooled:
        yield spooled


@contextmanager
def _spooled(stream: BinaryIO) -> "Iterator[BinaryIO]":
    from shutil import copyfileobj
    from tempfile import SpooledTemporaryFile

    with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spooled:
        copyfileobj(stream, spooled)
        spooled.seek(0)
        yield cast("BinaryIO", spooled)


def _validate(drafts: BinaryIO, run: "Publishing", *, quiet: bool) -> int:
    """Read every draft once; Trouble naming each faulty field, or how many there are."""
    from ledger.documents import DraftInvalid, located
    from ledger.drafts import from_json
    from ledger.errors import ComityError, FormatError

    faults: list[Fault] = []
    faulty = count = 0
    names = run.roster.names
    said: dict[bytes, int] = {}
    with progress("checking the drafts", None, quiet=quiet) as done:
        try:
            for found in located(drafts):
                count += 1
                done(count)
                try:
                    draft = from_json(found.value, run.opened.catalogue, line=found.line, names=names)
                    run.opened.validate(draft)
                    if not run.again and len(said) < _COMPARED_MAX:
                        first = said.setdefault(run.words(draft), found.line)
                        if first != found.line:
                            raise FormatError(f"says the same as line {first}, word for word; --again publishes both")
                except DraftInvalid as invalid:
                    faulty += 1
                    faults += [Fault(found.line, one.path, one.rule) for one in invalid.faults]
                except FormatError as error:
                    faulty += 1
                    faults.append(Fault(found.line, error.field, error.what))
                except ComityError as error:
                    # A draft act, on a ledger that takes released acts alone.
                    faulty += 1
                    faults.append(Fault(found.line, "act", str(error)))
        except DraftInvalid as unreadable:
            faulty += 1
            faults += [Fault(unreadable.line, one.path, one.rule) for one in unreadable.faults]
    drafts.seek(0)
    if faulty:
        more = len(faults) - _FAULTS_MAX
        raise Trouble(
            7,
            f"{faulty} of {max(count, faulty)} drafts cannot be published",
            why="these fields are at fault" + (f" ({more} more are not shown)" if more > 0 else ""),
            now="correct them and publish again; nothing was signed and nothing recorded",
            faults=tuple(faults[:_FAULTS_MAX]),
        )
    return count


class Publishing:
    """What a run knows: the ledger, who speaks, and which drafts are on the record already."""

    def __init__(self, opened: "Ledger", signer: "Signer", roster: "Directory", *, again: bool) -> None:
        self.opened = opened
        self.signer = signer
        self.roster = roster
        self.again = again
        self._recorded: dict[bytes, dict[bytes, int]] = {}

    def drafts(self, source: BinaryIO) -> "Iterator[tuple[int, Draft]]":
        """Each draft with its line."""
        from ledger.drafts import read

        return read(source, self.opened.catalogue, names=self.roster.names)

    def repeated(self, draft: "Draft") -> int | None:
        """The entry by which this authority has said the same already, word for word."""
        if self.again:
            return None
        stream = self._recorded.get(draft.subject)
        if stream is None:
            if len(self._recorded) >= _SUBJECTS_MAX:
                self._recorded.clear()
            stream = self._recorded[draft.subject] = self._said(draft.subject)
        return stream.get(self.words(draft))

    def _said(self, subject: bytes) -> dict[bytes, int]:
        """What this authority said in a stream: the index of each statement by its words."""
        from ledger.reading import recorded

        found: dict[bytes, int] = {}
        for index, data in self.opened.store.stream_entries(subject):
            entry = recorded(index, data, self.opened.catalogue)
            if entry.statement.publisher == self.signer.authority:
                found.setdefault(_words(entry.statement), index)
        return found

    def words(self, draft: "Draft") -> bytes:
        """A digest of everything that the publisher chose."""
        from ledger.statement import statement_from

        body = self.opened.catalogue.encode(draft.act, draft.version, draft.body)
        return _words(
            statement_from(
                draft,
                statement_id=bytes(16),
                ledger="",
                publisher=self.signer.authority,
                key=bytes(32),
                sequence=0,
                body=body,
            )
        )


def _words(statement: Any) -> bytes:
    """A digest of everything that the publisher chose, and nothing that signing added."""
    from dataclasses import replace
    from hashlib import sha256

    from ledger.statement import encode_statement

    bare = replace(statement, id=bytes(16), ledger="", key=bytes(32), sequence=0)
    return sha256(encode_statement(bare)).digest()


def _publish(
    source: BinaryIO,
    run: Publishing,
    count: int,
    *,
    batch: bool,
    receipts: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    import structlog

    from ledger.cli.saying import (
        answered,
        reason_words,
        refused,
        status_of,
    )
    from ledger.sequencer import Receipt

    finished = run.opened.resume(run.signer)
    if finished:
        note(
            f"{len(finished)} statements that an interrupted run had signed were sent first.",
            quiet=quiet,
        )
    for one in finished:
        if not isinstance(one, Receipt):
            # Never silenced: the log has it nowhere, and it is said once.
            where = f"{one.field}: " if one.field else ""
            note(f"Of the interrupted run, refused ({one.code}): {where}{one.what}")
    sent: deque[int] = deque()
    tally = {"accepted": 0, "rejected": 0, "refused": 0, "repeated": 0}
    status, trouble, held = 0, None, deque[dict[str, Any]]()

    def flush(before: int | None = None) -> None:
        """Show what was recorded before, up to a line."""
        while held and (before is None or held[0]["line"] < before):
            _keep(receipts, run, held[0])
            tally["repeated"] += 1
            show(held.popleft())
            done(sum(tally.values()))

    def fresh() -> "Iterator[Draft]":
        for number, draft in run.drafts(source):
            index = run.repeated(draft)
            if index is None:
                sent.append(number)
                yield draft
                continue
            held.append(_repeated(run, number, index))
            if not sent:
                # Nobody in front of it waits for an answer: memory stays flat over a whole file.
                flush()

    def show(shape: dict[str, Any]) -> None:
        if as_json:
            line(shape)
        elif shape["disposition"] == "refused":
            text(f"line {shape['line']}: refused ({shape['reason']}): {shape['what']}")
        else:
            said = f"line {shape['line']}: entry {shape['index']} {shape['disposition']}"
            if shape["repeated"]:
                said += ", recorded before"
            if shape["reason"]:
                said += f" ({shape['reason']}: {reason_words(shape['reason'])})"
            text(said)

    with progress("publishing", count, quiet=quiet or as_json) as done:
        for answer in run.opened.publish_many(fresh(), run.signer, batch=batch):
            number = sent.popleft()
            flush(number)
            shape = {"line": number} | answered(answer)
            tally[shape["disposition"]] += 1
            if isinstance(answer, Receipt):
                shape |= {"receipt": None, "repeated": False}
                _keep(receipts, run, shape)
            show(shape)
            if status_of(answer) and trouble is None:
                status = status_of(answer)
                trouble = refused(shape, status)
            done(sum(tally.values()))
        flush()
    said = ", ".join(f"{number} {what}" for what, number in tally.items() if number)
    note(f"{counted(count, 'draft')}: {said}.", quiet=quiet or as_json)
    structlog.get_logger().info("published", ledger=run.opened.origin, drafts=count, **tally)
    if trouble is not None:
        bad = tally["rejected"] + tally["refused"]
        raise Trouble(
            status,
            trouble.what if bad == 1 else f"{bad} of {count} statements were not accepted",
            why=trouble.why,
            now=trouble.now,
        )


def _repeated(run: Publishing, number: int, index: int) -> dict[str, Any]:
    from ledger.instants import rfc3339
    from ledger.reading import recorded

    entry = recorded(index, run.opened.store.entry(index), run.opened.catalogue)
    return {
        "line": number,
        "index": index,
        "statement": str(UUID(bytes=entry.statement.id)),
        "disposition": entry.entry.disposition,
        "reason": entry.entry.reason,
        "recorded_at": rfc3339(entry.entry.recorded_at),
        "receipt": None,
        "repeated": True,
    }


def _keep(folder: Path | None, run: Publishing, shape: dict[str, Any]) -> None:
    """Write the receipt: the same bytes whenever it is asked for, so an old one may stay."""
    if folder is None:
        return
    file = folder / f"{shape['statement']}.tlog-proof"
    file.write_bytes(run.opened.receipt_proof(shape["index"]))
    shape["receipt"] = str(file)
