"""
Check a whole log against itself: rebuild the tree from the entries, and compare everything.

``check_tree`` needs the entries alone: it hashes every leaf, rebuilds every node, and compares
both with what is stored and with every checkpoint ever signed.
``check_entries`` reads what the entries say: every signature under the key that was valid then,
every sequence, version and index.

Neither trusts a cache, a projection or the sequencer, and both only read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from ledger.errors import FormatError, NotFound, NotVerified
from ledger.keys import ed25519, key_id
from ledger.log.tree import Frontier, root_at
from ledger.reading import recorded
from ledger.signatures import Check, Pending, Workers
from ledger.statement import signed_message
from ledger.verify import Roster, check_signatures, parse_checkpoint, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.acts import Catalogue
    from ledger.statement import Recorded

HEIGHT: Final = 12
"""Leaves are hashed in complete subtrees of this height."""

FAULTS_MAX: Final = 1_000
"""After so many faults the rest would say nothing new."""

GROUP: Final = 2_048
"""How many entries are read between two looks at the workers."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it must be; ``index`` is the entry concerned, None for the log as a whole."""

    index: int | None
    what: str


@dataclass(slots=True)
class Report:
    """What was checked, and what was found."""

    size: int
    root: bytes = b""
    checkpoints: int = 0
    signatures: int = 0
    unchecked: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    def fault(self, what: str, index: int | None = None) -> None:
        """Note a fault."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(index, what))


class Source(Protocol):
    """What is read of a store."""

    def size(self) -> int:
        """Entries."""

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Entries in order."""

    def node_hashes(self) -> Iterator[bytes]:
        """Nodes in order."""

    def hashes(self, ids: Sequence[int]) -> list[bytes]:
        """These nodes."""

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Size, root, signed note, in order."""

    def rows(self, start: int, limit: int) -> list[tuple[int, str, int, str, bytes]]:
        """Index, stream, version, act, entry."""

    def indexes_of(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Index by statement id."""

    def miscounted(self) -> Iterator[str]:
        """What is not numbered gaplessly."""

    def next_sequences(self) -> dict[bytes, int]:
        """Next sequence by key."""


def check(
    store: Source,
    catalogue: Catalogue,
    *,
    signatures: bool = True,
    workers: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """
    Check the whole log.

    Args:
        store: is read alone.
        catalogue: decodes the bodies.
        signatures: whether to check what the entries say too, each signature included.
        workers: how many processes check signatures besides this one.
        progress: is told how many entries each step has done.

    Returns:
        The report; faults are data, not exceptions.

    Cost: some 2.5 us an entry for the tree; one signature check an entry over all cores otherwise.
    Memory is flat: it grows with the number of keys alone.
    """
    report = Report(store.size())
    check_tree(store, report, progress)
    roster = check_entries(store, catalogue, report, workers=workers, progress=progress) if signatures else None
    check_checkpoints(store, report, roster)
    return report


# --- the tree ------------------------------------------------------------------------------------


@cache
def _order() -> tuple[int, ...]:
    """
    Say where each stored node of a complete subtree stands, level by level, in the order stored.

    The levels laid end to end have 2**(HEIGHT + 1) - 1 hashes; nodes are stored as they are
    completed: each leaf, then each node that it completes.
    """
    starts = [0]
    for level in range(HEIGHT):
        starts.append(starts[-1] + (1 << (HEIGHT - level)))
    order = []
    for leaf in range(1 << HEIGHT):
        order.append(leaf)
        level, position = 0, leaf
        while position & 1 and level < HEIGHT:
            level, position = level + 1, position >> 1
            order.append(starts[level] + position)
    return tuple(order)


def check_tree(store: Source, report: Report, progress: Callable[[int], None] = lambda _: None) -> None:
    """Rebuild the tree from the entries; compare every node with the one stored. Sets ``report.root``."""
    width = 1 << HEIGHT
    order = _order()
    entries = store.scan(0, report.size)
    stored = store.node_hashes()
    stack: list[bytes] = []  # roots of complete subtrees of height HEIGHT and above, largest first
    done = 0
    while done + width <= report.size:
        level = [sha256(b"\0" + entry).digest() for entry in islice(entries, width)]
        if len(level) < width:
            break
        flat = list(level)
        while len(level) > 1:
            pairs = iter(level)
            level = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            flat += level
        expected = [flat[place] for place in order]
        closes, node = done >> HEIGHT, level[0]
        while closes & 1:
            node = sha256(b"\1" + stack.pop() + node).digest()
            expected.append(node)
            closes >>= 1
        stack.append(node)
        found = list(islice(stored, len(expected)))
        if found != expected:
            _name_faults(report, done, expected, found)
        done += width
        progress(done)
    frontier = Frontier(done, stack)
    first = done
    tail = []
    for entry in entries:
        tail += frontier.append(sha256(b"\0" + entry).digest())
        done += 1
    found = list(stored)
    if found != tail:
        _name_faults(report, first, tail, found)
    if done != report.size:
        report.fault(f"the log says that it holds {report.size} entries; {done} are there")
    report.root = frontier.root()
    progress(done)


def _name_faults(report: Report, first: int, expected: list[bytes], found: list[bytes]) -> None:
    """Name each entry whose leaf differs; nodes above differ with them, and are named only when no leaf does."""
    if len(found) != len(expected):
        report.fault(f"{len(expected)} tree nodes belong to the entries from {first} on; {len(found)} are stored")
    at, index, named = 0, first, False
    while at < min(len(expected), len(found)):
        if expected[at] != found[at]:
            report.fault("the entry is not the one that was sealed: its bytes do not give the stored leaf hash", index)
            named = True
        at += 1 + _closed(index)
        index += 1
    if not named and len(found) == len(expected):
        report.fault(f"a stored tree node above the entries from {first} on is not the hash of its children")


def _closed(index: int) -> int:
    """How many nodes the leaf at *index* completes: the trailing ones of its number."""
    return (~index & (index + 1)).bit_length() - 1


def check_checkpoints(store: Source, report: Report, roster: Roster | None) -> None:
    """
    Compare every checkpoint ever signed with the tree; with a *roster*, check its signatures too.

    Must follow ``check_tree``, which has established the stored nodes.
    """
    previous = 0
    for size, root, note in store.checkpoints():
        report.checkpoints += 1
        if size > report.size:
            report.fault(f"a checkpoint over {size} entries was signed; the log holds {report.size}: it was cut")
            continue
        try:
            signed = parse_note(note)
            checkpoint = parse_checkpoint(signed.text)
            if (checkpoint.size, checkpoint.root) != (size, root) or size <= previous:
                report.fault(f"the checkpoint kept for size {size} is another one")
            if root_at(size, store.hashes) != root:
                report.fault(f"the tree of the first {size} entries is not the one whose checkpoint was signed")
            if roster is not None:
                keys = roster.log_keys_at(size)
                lines = check_signatures(signed, checkpoint, keys, ed25519)
                if not any(line.checked for line in lines):
                    report.fault(f"the checkpoint over {size} entries is signed by no key of the log")
        except (FormatError, NotVerified, NotFound) as error:
            report.fault(f"the checkpoint over {size} entries: {error}")
        previous = size


# --- what the entries say ------------------------------------------------------------------------


def check_entries(
    store: Source,
    catalogue: Catalogue,
    report: Report,
    *,
    workers: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Roster:
    """Read every entry: its signature, key, sequence, versions, clock and row. Returns the roster."""
    roster = Roster()
    state = _Reading(roster, {}, 0)
    batches: dict[Check, bool] = {}
    # A key may be revoked backwards, by a later entry: verdicts are taken at the end, for each key
    # by the indexes that it signed first and last.
    with Workers(workers) as pool:
        before: tuple[list[int], Pending] | None = None
        for start in range(0, report.size, GROUP):
            rows = store.rows(start, min(GROUP, report.size - start))
            ids = []
            checks: list[Check] = []
            checked: list[int] = []
            for index, stream, version, act, data in rows:
                try:
                    item = recorded(index, data, catalogue)
                except FormatError as error:
                    report.fault(f"cannot be read: {error}", index)
                    continue
                ids.append((item.statement.id, index))
                one = state.read(item, stream, version, act, report)
                if one is None:
                    continue
                if item.entry.batch is None:
                    checks.append(one)
                    checked.append(index)
                else:
                    if one not in batches:
                        batches = {**dict(islice(batches.items(), 512)), one: ed25519(*one)}
                    report.signatures += 1
                    if not batches[one]:
                        report.fault("the signature of its batch does not hold", index)
            known = store.indexes_of([statement_id for statement_id, _ in ids])
            for statement_id, index in ids:
                if known.get(statement_id) != index:
                    report.fault("the index of statement ids does not lead to it", index)
            pending = pool.check(checks)
            if before is not None:
                _collect(report, *before)
            before = (checked, pending)
            progress(start + len(rows))
        if before is not None:
            _collect(report, *before)
    for what in store.miscounted():
        report.fault(what)
    if store.next_sequences() != state.sequences:
        report.fault("the next sequences of the signing keys are not those that the entries give")
    return roster


def _collect(report: Report, indexes: list[int], pending: Pending) -> None:
    for index, holds in zip(indexes, pending.result(), strict=True):
        report.signatures += 1
        if not holds:
            report.fault("its signature does not hold", index)


@dataclass(slots=True)
class _Reading:
    """What one entry must continue: the roster, each key's sequence, the clock."""

    roster: Roster
    sequences: dict[bytes, int]
    recorded_at: int

    def read(self, item: Recorded, stream: str, version: int, act: str, report: Report) -> Check | None:
        """Compare an entry with its row and with what came before; return the signature to check, if it can be."""
        index, entry, statement = item.index, item.entry, item.statement
        if entry.recorded_at < self.recorded_at:
            report.fault("was recorded before the entry in front of it", index)
        self.recorded_at = entry.recorded_at
        expected = self.sequences.get(statement.key, 0)
        if statement.sequence != expected:
            report.fault(f"has sequence {statement.sequence}; its key's next was {expected}", index)
        self.sequences[statement.key] = statement.sequence + 1
        row = (
            (statement.subject.hex(), entry.subject_version)
            if entry.accepted
            else (f"rejected/{statement.id.hex()}", 0)
        )
        if (stream, version, act) != (*row, statement.act):
            report.fault("stands in another stream than it says", index)
        if statement.act == "ledger.founded" and index == 0 and item.body is not None:
            public: bytes | None = item.body["operator_key"]
            if public is None or key_id(public) != statement.key:
                public = None
        else:
            standing = self.roster.key(statement.key)
            public = None
            if standing is not None and standing.authority == statement.publisher:
                known = self.roster.verdict(statement.key, index) in {"valid", "contested"}
                public = standing.public_key if known else None
        if public is None:
            report.fault("is signed by a key that its publisher did not have then", index)
        if item.body is not None:
            if self.roster.judge(index, statement, item.body, ed25519) is not None:
                report.fault("changes the roster against its rules", index)
            self.roster.fold(index, statement, item.body)
        else:
            # The body of a rejected statement is withheld, and with it what was signed.
            report.unchecked += 1
            return None
        if public is None:
            return None
        try:
            return public, signed_message(entry.statement, entry.batch), entry.signature
        except NotVerified as error:
            report.fault(f"its place in the batch: {error.what}", index)
            return None
