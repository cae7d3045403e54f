"""
A whole log from one store to another: moving house, backing up, restoring.

Everything here rests on one function, ``copy``: it reads entries, rebuilds leaves, nodes and roots from
them, compares these with what the source has kept and with every checkpoint that was signed, and
writes entries and checkpoints in the transactions of the target. What is there already stays, and what
follows is added; so whatever was interrupted is repeated, and goes on where it stood.

A log must never have two continuations. Hence the order in which a move is made::

    fence the source     from here on nobody appends anywhere
    fence the target     whoever finds it half copied cannot take it for the log
    copy, compare        any number of times
    open the target      it is whole
    name it              the folder's file ``store`` says where the log is

Killed between any two lines, the log is fenced or whole, and repeating the command finishes the move.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.acts import catalogue
from ledger.errors import Conflict, FormatError, NotFound, NotVerified
from ledger.files import sync
from ledger.keys import ed25519
from ledger.log import fsck
from ledger.log.tree import Frontier, root_at, stored_count
from ledger.reading import roster_of
from ledger.statement import decode_entry, statement_in
from ledger.store import LOG_FILE, POSTGRES, STORE_FILE, Row, address_in, check_address, fence, named_in, open_store
from ledger.verify import Roster, check_signatures, leaf_hash, parse_checkpoint, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.store import Store
    from ledger.verify import Checkpoint

    Progress = Callable[[int], None]

BATCH: Final = 2_048
"""How many entries are copied in one transaction."""

ARRIVING: Final = ".arriving"
"""What is appended to the name of a file until it holds the whole log."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied: where to, how many entries in all, their root, and how many were new there."""

    address: str
    size: int
    root: bytes
    copied: int


# ------------------------------------------------------------------------------------------- copying


def copy(source: Store, target: Store, *, progress: Progress = lambda _: None) -> int:
    """
    Copy what *target* lacks of *source*, up to the newest checkpoint; return the number of entries copied.

    Args:
        source: is read alone; others may append meanwhile.
        target: empty, or the beginning of the same log.
        progress: is told how many entries the target holds.

    Raises:
        Conflict: the target holds another log, or more of this one than the source; or somebody else writes to it.
        NotVerified: the source does not agree with itself; what was copied before stays, and is sound.

    Cost: some 60 us an entry from file to file; memory for one batch.
    """
    newest = source.checkpoint()
    if newest is None:
        raise NotFound("there is nothing to copy: the log has no checkpoint", what_now="run `comity fsck`")
    stop = parse_checkpoint(parse_note(newest).text).size
    first = size = _beginning(target, source)
    frontier = Frontier.load(size, target.hashes)
    nodes_kept = source.node_hashes(stored_count(size))
    seals = (one for one in source.checkpoints() if one[0] > size)
    seal = next(seals, None)
    while size < stop:
        batch = _Batch(size)
        due: list[tuple[int, bytes, bytes]] = []
        for row in source.rows(size, min(BATCH, stop - size)):
            batch.add(frontier, *row)
            while seal is not None and seal[0] == frontier.size:
                due.append(_sealed(seal, frontier.root()))
                seal = next(seals, None)
        if not batch.rows:
            raise NotVerified("is missing", step="copy", index=size)
        if [node for _, node in batch.nodes] != list(islice(nodes_kept, len(batch.nodes))):
            raise NotVerified(f"one of the nodes over entries {size} to {frontier.size - 1} is wrong", step="copy")
        with target.writing() as writing:
            if writing.size != size:
                raise Conflict("somebody else writes to the target", what_now="find out who, before anything else")
            writing.append(batch.rows, batch.nodes, batch.sequences, batch.leaves, batch.recorded_at)
            for sealed, root, note in due:
                if writing.seal(sealed, root, note, writing.epoch) != note:
                    raise Conflict(f"the target keeps another checkpoint over {sealed} entries")
        size = frontier.size
        progress(size)
    return size - first


def _beginning(target: Store, source: Store) -> int:
    """Return how many entries of *source* the target holds; Conflict where it holds anything else."""
    size, whole = target.size(), source.size()
    if size > whole:
        raise Conflict(
            f"the target holds {size} entries, and the source {whole}",
            why="the target went on where the source stopped, or is another log",
            what_now="keep both as they are, and find out which one publishers were answered from",
        )
    if size and root_at(size, target.hashes) != root_at(size, source.hashes):
        raise Conflict(
            "the target holds another log",
            why=f"{target.address} is no beginning of this one",
            what_now="name an empty one",
        )
    return size


def _sealed(seal: tuple[int, bytes, bytes], root: bytes) -> tuple[int, bytes, bytes]:
    """Return a checkpoint that says of this size what the entries say."""
    size, kept, note = seal
    said = parse_checkpoint(parse_note(note).text)
    if (said.size, said.root, kept) != (size, root, root):
        raise NotVerified(f"the checkpoint over {size} entries is not that of these entries", step="copy")
    return seal


class _Batch:
    """Consecutive entries with all that moves with them, made anew from their bytes."""

    def __init__(self, size: int) -> None:
        self.rows: list[Row] = []
        self.nodes: list[tuple[int, bytes]] = []
        self.leaves: list[bytes] = []
        self.sequences: dict[bytes, int] = {}
        self.recorded_at = 0
        self._number = stored_count(size)

    def add(self, frontier: Frontier, index: int, stream: str, version: int, act: str, data: bytes) -> None:
        """Take one row of the source in; NotVerified unless it says what its entry says."""
        entry = decode_entry(data)
        statement = statement_in(entry)
        said = (
            (frontier.size, statement.subject.hex(), entry.subject_version, statement.act)
            if entry.accepted
            else (frontier.size, f"rejected/{statement.id.hex()}", 0, statement.act)
        )
        if said != (index, stream, version, act):
            raise NotVerified(
                f"its row says {(index, stream, version, act)}, its bytes {said}", step="copy", index=index
            )
        case = statement.case if entry.accepted else None
        self.rows.append(Row(index, stream, version, act, data, statement.id, case, entry.case_version or 0))
        leaf = leaf_hash(data)
        self.leaves.append(leaf)
        for node in frontier.append(leaf):
            self.nodes.append((self._number, node))
            self._number += 1
        self.sequences[statement.key] = statement.sequence + 1
        self.recorded_at = entry.recorded_at


def compare(source: Store, target: Store) -> bytes:
    """
    Compare all that two stores hold of one log, and return the root.

    Raises:
        NotVerified: they differ in anything that a reader could see.
    """
    size = source.size()
    root = root_at(size, source.hashes)
    for what, same in (
        ("number of entries", size == target.size()),
        ("root", root == root_at(target.size(), target.hashes)),
        ("next sequences", source.next_sequences() == target.next_sequences()),
        ("nodes", _alike(source.node_hashes(), target.node_hashes())),
        ("checkpoints", _alike(source.checkpoints(), target.checkpoints())),
        ("entries", _alike(source.scan(), target.scan())),
    ):
        if not same:
            raise NotVerified(f"the copy has another {what} than the source", step="compare")
    return root


def _alike(one: Iterator[object], other: Iterator[object]) -> bool:
    return all(left == right for left, right in zip_longest(one, other))


def check(store: Store, *, signatures: bool = True, progress: Progress = lambda _: None) -> fsck.Report:
    """
    Check a store as ``comity fsck`` does; NotVerified names the first fault.

    Cost: 4 us an entry, and 70 us more for each signature, over all cores.
    """
    workers = max(0, (os.cpu_count() or 1) - 1)
    report = fsck.check(store, catalogue(), signatures=signatures, workers=workers, progress=progress)
    if not report.sound:
        first = report.faults[0]
        raise NotVerified(first.what, step="check", index=first.index)
    return report


# ------------------------------------------------------------------------------------------- moving


def migrate(folder: Path, target: str, *, progress: Progress = lambda _: None) -> Moved:
    """
    Move the log of a ledger to another store, and let its folder say so.

    Args:
        folder: of the ledger.
        target: the address of a PostgreSQL database, or ``ledger.db`` in the folder.
        progress: is told how many entries the target holds.

    Raises:
        NotFound: the folder holds no ledger.
        Conflict: the log is there already; or the target holds something else; or the log has left this store for
            another one.
        NotVerified: source or copy do not agree with themselves, or with each other.
    """
    address = _present(folder)
    target = _named(folder, target)
    if target == address or (not target.startswith(POSTGRES) and not address.startswith(POSTGRES)):
        if fence.standing(address) is None:
            raise Conflict("the log is there already", why=f"{folder} says so", what_now="use it")
        raise Conflict(
            "the log has left this store", why=_went(address), what_now=f"name the store that it went to in {folder}"
        )
    with closing(open_store(address, read_only=True)) as source:
        _check_published(folder, source)
        standing = fence.standing(address)
        if standing is not None and standing != ("left", target):
            raise Conflict(
                "the log is on its way elsewhere, or has left this store already",
                why=_went(address),
                what_now="finish that move, or take it back with --abandon",
            )
        before = source.size()
        if standing is not None and (whole := _whole_at(target, source)) is not None:
            # Everything was done but naming it.
            _name(folder, target)
            return Moved(target, *whole, 0)
        place = _arrival(target)
        _check_target(place, source)
        fence.put_up(address, "left", target)
        size, root, copied = _brought(source, place, progress)
    assert size >= before, "a fenced source does not shrink"
    _let_in(place, target)
    _name(folder, target)
    return Moved(target, size, root, copied)


def abandon(folder: Path, target: str) -> None:
    """
    Take a move back that was begun and not finished: the log stays where it was.

    Raises:
        Conflict: no such move was begun; or the target holds the whole log, and may have been appended to.
    """
    address = _present(folder)
    target = _named(folder, target)
    if fence.standing(address) != ("left", target):
        raise Conflict("no move to there was begun", why=_went(address), what_now="nothing needs to be taken back")
    with closing(open_store(address, read_only=True)) as source:
        if _whole_at(target, source) is not None:
            raise Conflict(
                "the log is in its new store, and open",
                why="whoever knows the new address may have been answered from there",
                what_now="finish the move with `comity migrate`, then move back",
            )
    fence.take_down(address, "left")


def _present(folder: Path) -> str:
    address = address_in(folder)
    if address is None:
        raise NotFound(f"there is no ledger in {folder}", what_now="name its folder")
    return address


def _named(folder: Path, target: str) -> str:
    """Return the target of a move as its fence keeps it; FormatError where the log cannot move there."""
    if target.startswith(POSTGRES):
        check_address(target)
        return target
    path = Path(target).absolute()
    if path != (folder / LOG_FILE).absolute():
        raise FormatError(f"is {target}, and should be postgresql://... or {folder / LOG_FILE}", field="target")
    # From whichever folder the command is repeated, it is the same.
    return str(path)


def _went(address: str) -> str:
    standing = fence.standing(address)
    return "" if standing is None else f"its fence says: {standing[0]} for {standing[1] or 'here'}"


def _arrival(target: str) -> str:
    """Return where the copy is made: in the database itself, or beside the file."""
    return target if target.startswith(POSTGRES) else target + ARRIVING


def _whole_at(target: str, source: Store) -> tuple[int, bytes] | None:
    """Return size and root of the log at *target* when it is open there and holds all of *source*; else None."""
    if not target.startswith(POSTGRES) and not Path(target).exists():
        return None
    if fence.standing(target) is not None:
        return None
    try:
        found = open_store(target, read_only=True)
    except NotFound:
        return None
    with closing(found):
        size, before = found.size(), source.size()
        if size < before or root_at(before, found.hashes) != root_at(before, source.hashes):
            return None
        return size, root_at(size, found.hashes)


def _brought(source: Store, place: str, progress: Progress) -> tuple[int, bytes, int]:
    """Copy all of *source* behind a fence and compare it; return size, root, and how many entries were new there."""
    if place.startswith(POSTGRES):
        _reserve(place)
    with closing(fence.open_arriving(place)) as arriving:
        copied = copy(source, arriving, progress=progress)
        return arriving.size(), compare(source, arriving), copied


def _let_in(place: str, target: str) -> None:
    """Let a whole copy take entries: its fence falls, or its file gets its name."""
    if place.startswith(POSTGRES):
        fence.take_down(place, "arriving")
    else:
        _put(Path(place), Path(target))


def _check_target(place: str, source: Store) -> None:
    """Refuse a target that holds anything but a beginning of this log behind a fence."""
    if not place.startswith(POSTGRES):
        if Path(place).exists():
            # For writing: whoever began this file may have been killed before it had its tables.
            with closing(open_store(place)) as found:
                _beginning(found, source)
        return
    try:
        found = open_store(place, read_only=True)
    except NotFound:
        return
    with closing(found):
        if found.size() and fence.standing(place) is None:
            raise Conflict(
                "the target holds a log, and takes entries",
                why=f"{found.size()} entries are in it, and no fence stands before it",
                what_now="name an empty database or schema",
            )
        _beginning(found, source)


def _reserve(address: str) -> None:
    """Make the tables where they are not, and fence them as arriving; then nothing of a former fence is needed."""
    with closing(open_store(address)):
        fence.put_up(address, "arriving")
        # A former home of this log was fenced when the log left; now it comes back.
        fence.take_down(address, "left")


def _put(arrived: Path, target: Path) -> None:
    """Give a file that holds the whole log its name; a former home of the log keeps its bytes under another."""
    _detached(arrived)
    if target.exists():
        with closing(open_store(target, read_only=True)) as former:
            left = target.with_name(f"{target.name}.left-{former.size()}")
        _detached(target)
        target.rename(left)
    arrived.rename(target)
    sync(target.parent)


def _detached(file: Path) -> None:
    """Bring what lies in the write-ahead log of a file into the file, so that the file alone is everything."""
    with closing(sqlite3.connect(file, isolation_level=None)) as run:
        try:
            (mode,) = run.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError:
            mode = "locked"
    if mode != "delete":
        raise Conflict(f"{file} is still open elsewhere", what_now="stop whoever has it open, and repeat this")
    sync(file)


def _name(folder: Path, target: str) -> None:
    """Let the folder say where its log is: the name is changed in one step, and durable."""
    named = folder / STORE_FILE
    if target.startswith(POSTGRES):
        _replace(named, f"{target}\n".encode())
    else:
        named.unlink(missing_ok=True)
        sync(folder)


# --------------------------------------------------------------------------------- backup and restore


def back_up(folder: Path, to: Path, *, signatures: bool = True, progress: Progress = lambda _: None) -> Moved:
    """
    Copy the log of a ledger, its checkpoint and its law into a folder; publishing goes on.

    Whatever the log's store is, the copy is one SQLite file: it can be read and checked like any ledger, and
    restored into either store. A folder that holds an earlier backup of the same log is added to.

    Args:
        folder: of the ledger.
        to: of the backup; made where there is none.
        signatures: whether to verify every signature of the copy too, besides rebuilding the tree.
        progress: is told how many entries the copy holds.

    Raises:
        Conflict: the folder holds a backup of another log, or more of this one than the log itself.
        NotVerified: the log does not agree with itself; the backup is then as it was, or a sound beginning.
    """
    address = _present(folder)
    if fence.standing(address) is not None:
        raise Conflict("the log is being moved", why=_went(address), what_now="finish the move first")
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = to / LOG_FILE
    with closing(open_store(address, read_only=True)) as source:
        before = 0
        if kept.exists():
            with closing(open_store(kept, read_only=True)) as copied:
                before = _beginning(copied, source)
        elif not address.startswith(POSTGRES):
            _pages(Path(address), kept)
        with closing(open_store(kept)) as copied:
            copy(source, copied, progress=progress)
    _detached(kept)
    with closing(open_store(kept, read_only=True)) as copied:
        report = check(copied, signatures=signatures)
        note = copied.checkpoint()
        assert note is not None, "a sound store is sealed"
    # After the store: what lies beside a backup never claims more than the backup holds.
    _replace(to / "checkpoint", note)
    _copy_law(folder, to)
    return Moved(str(kept), report.size, report.root, report.size - before)


def restore(
    backup: Path,
    folder: Path,
    *,
    store: str = "",
    seen: Sequence[Path] = (),
    signatures: bool = True,
    progress: Progress = lambda _: None,
) -> Moved:
    """
    Put the log of a backup into the folder of a ledger, unless anybody was ever shown more.

    Args:
        backup: a folder that ``back_up`` wrote.
        folder: of the ledger; it must hold no log. Its checkpoint, where there is one, is compared.
        store: the address of an empty PostgreSQL database; a file of the folder if empty, unless the folder's file
            ``store`` names one.
        seen: checkpoints known from elsewhere: of witnesses, mirrors, receipts.
        signatures: whether to verify every signature of the backup too.
        progress: is told how many entries the target holds.

    Raises:
        Conflict: the backup ends before a checkpoint that was published, or the folder holds a log.
        NotVerified: the backup is damaged, or a checkpoint is not of this log or of another history of it.
    """
    kept = backup / LOG_FILE
    if not kept.exists():
        raise NotFound(f"there is no backup in {backup}", what_now="name the folder that `comity backup` wrote")
    if fence.standing(str(kept)) is not None:
        raise Conflict(
            "the log had left this store before it was copied", why=_went(str(kept)), what_now="name a newer backup"
        )
    target = store or named_in(folder) or str(folder / LOG_FILE)
    if target.startswith(POSTGRES):
        check_address(target)
    elif (folder / LOG_FILE).exists():
        raise Conflict(
            f"{folder / LOG_FILE} exists already",
            why="nothing that may be a log is ever overwritten",
            what_now="keep it: move it to another folder, then restore again",
        )
    with closing(open_store(kept, read_only=True)) as source:
        report = check(source, signatures=signatures)
        beside = [path for path in (folder / "checkpoint", backup / "checkpoint") if path.exists()]
        newest = _check_reaches(source, [*beside, *seen])
        place = _arrival(target)
        _check_target(place, source)
        folder.mkdir(parents=True, exist_ok=True)
        _, _, copied = _brought(source, place, progress)
    if newest is not None:
        _replace(folder / "checkpoint", newest)
    _copy_law(backup, folder)
    _name(folder, target)
    # Last: whatever was interrupted before is repeated, and once the log takes entries nothing is missing beside it.
    _let_in(place, target)
    return Moved(target, report.size, report.root, copied)


def _pages(source: Path, target: Path) -> None:
    """Copy a live SQLite file page by page, as SQLite itself does it; it has its name once it is whole."""
    partial = target.with_name(target.name + ARRIVING)
    partial.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(partial)) as copied,
    ):
        live.backup(copied)
    _detached(partial)
    partial.rename(target)
    sync(target.parent)


def _check_published(folder: Path, source: Store) -> None:
    path = folder / "checkpoint"
    if path.exists():
        _check_reaches(source, [path])


def _check_reaches(source: Store, notes: Sequence[Path]) -> bytes | None:
    """
    Check that a log holds everything that was ever shown of it; return the newest checkpoint that was.

    Raises:
        Conflict: it ends before one of these checkpoints.
        NotVerified: one of them is no checkpoint of this log, or of another history of it.
    """
    roster = roster_of(source.roster(), catalogue())
    newest: tuple[int, bytes] | None = None
    for path in notes:
        note = path.read_bytes()
        if not note:
            continue  # left empty by a power failure
        shown = _shown(path, note, roster)
        size = source.size()
        if shown.size > size:
            raise Conflict(
                f"this copy holds {size} entries, and {path} shows that {shown.size} were published",
                why=f"entries {size} to {shown.size - 1} are missing: their publishers hold receipts for them, and "
                "the log would give their indexes a second time",
                what_now="restore a newer backup; or refill the missing entries from a mirror, to the same root; "
                "where neither exists, found a new log under a new origin and say so; this copy can still be read",
            )
        if root_at(shown.size, source.hashes) != shown.root:
            raise NotVerified(
                f"{path} shows another history of the first {shown.size} entries than this store holds", step="restore"
            )
        if newest is None or shown.size > newest[0]:
            newest = shown.size, note
    return None if newest is None else newest[1]


def _shown(path: Path, note: bytes, roster: Roster) -> Checkpoint:
    """Return a checkpoint that a key of this log has signed."""
    try:
        signed = parse_note(note)
        shown = parse_checkpoint(signed.text)
        keys = {key.key_id: key for at in (shown.size, 2**62) for key in roster.log_keys_at(at)}
        lines = check_signatures(signed, shown, keys.values(), ed25519)
    except FormatError as error:
        raise NotVerified(f"{path} is no checkpoint: {error}", step="restore") from error
    if not any(line.checked for line in lines):
        raise NotVerified(f"{path} is signed by no key of this log", step="restore")
    return shown


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def _copy_law(source: Path, target: Path) -> None:
    """Copy the editions of the law that the target lacks; each has its name once it is whole."""
    if not (source / "law").is_dir():
        return
    for edition in sorted((source / "law").iterdir()):
        kept = target / "law" / edition.name
        if edition.is_dir() and not edition.name.startswith(".") and not kept.exists():
            partial = kept.with_name(f".{edition.name}.{os.getpid()}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(edition, partial)
            partial.rename(kept)


__all__ = ["Moved", "abandon", "back_up", "check", "compare", "copy", "migrate", "restore"]
