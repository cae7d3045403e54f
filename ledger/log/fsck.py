"""
Check a whole log against itself: rebuild the tree from the entries, and compare everything.

``check_tree`` needs the entries alone: it hashes every leaf, rebuilds every node, and compares
both with what is stored and with every checkpoint ever signed.
``check_entries`` reads what the entries say: every signature under the key that was valid then,
every sequence, version and index.

Neither trusts a cache, a projection or the sequencer, and both only read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, runtime_checkable

from ledger.errors import FormatError, NotFound, NotVerified, Unavailable
from ledger.keys import ed25519, key_id
from ledger.log.glance import Glance, glance
from ledger.log.tree import Frontier, root_at, stored_count, stored_index
from ledger.reading import recorded
from ledger.statement import EARLIEST, decode_entry, decode_header, decode_statement, signed_message
from ledger.verify import ROSTER_ACTS, Roster, check_signatures, parse_checkpoint, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.acts import Catalogue
    from ledger.statement import Statement

Check = tuple[bytes, bytes, bytes]

HEIGHT: Final = 12
"""Leaves are hashed in complete subtrees of this height."""

FAULTS_MAX: Final = 1_000
"""After so many faults the rest would say nothing new."""

GROUP: Final = 2_048
"""How many entries are read at a time."""

TREE_HEAD_START: Final = 60_000
"""How many leaves are hashed while another process starts."""

ENTRIES_HEAD_START: Final = 2_048
"""How many entries are read, and their signatures checked, while another process starts."""

TREE_SHARE: Final = 30
"""How many entries' hashes in the tree cost as much as one entry with its signature."""

ENROLMENT_COST: Final = 15
"""How many entries cost as much as one act of the roster, whose key is checked to be of prime order."""

HELPED_MIN: Final = 8_192
"""From so many entries on, other processes are worth their start."""

BATCHES: Final = 512
"""How many checked batch signatures are remembered."""


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
    # What does not make the log unsound, and yet should be looked at.
    warnings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    def fault(self, what: str, index: int | None = None) -> None:
        """Note a fault."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(index, what))


class Source(Protocol):
    """What is read of a store; ``address`` is where other processes open it."""

    @property
    def address(self) -> str:
        """Where it is."""

    def size(self) -> int:
        """Entries."""

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Entries in order."""

    def node_hashes(self, start: int = 0) -> Iterator[bytes]:
        """Nodes in order, from number *start* on."""

    def roster(self) -> list[tuple[int, bytes]]:
        """Index and bytes of every entry of the roster."""

    def hashes(self, ids: Sequence[int]) -> list[bytes]:
        """These nodes."""

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Size, root, signed note, in order."""

    def checkpoint(self, min_size: int | None = None) -> bytes | None:
        """The newest signed checkpoint, or the first that covers so many entries."""

    def rows(self, start: int, limit: int) -> list[tuple[int, str, int, str, bytes]]:
        """Index, stream, version, act, entry."""

    def indexes_of(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Index by statement id."""

    def miscounted(self) -> Iterator[str]:
        """What is not numbered gaplessly."""

    def next_sequences(self) -> dict[bytes, int]:
        """Next sequence by key."""


@runtime_checkable
class Guarded(Protocol):
    """A store that guards what the tree does not cover: its checkpoints, its triggers, its index of cases."""

    def altered(self) -> Iterator[str]:
        """Which checkpoints were taken out, and which guards are not those that were made."""

    def misplaced(self, cases: Sequence[tuple[bytes, int, int]]) -> list[int]:
        """Those indexes to which (case, version, index) does not lead."""


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
        workers: how many processes help; each takes a range of the log.
        progress: is told how many entries each step has done.

    Returns:
        The report; faults are data, not exceptions.

    Cost: some 4 us an entry for the tree, 70 us for its signature, over all processes.
    Memory is flat: it grows with the number of keys alone.
    """
    report = Report(store.size())
    roster: Roster | None = None
    with Helpers(store, workers if report.size >= HELPED_MIN else 0) as helpers:
        if signatures:
            # The others begin with the signatures at once; this process builds the tree first.
            tree = partial(check_tree, store, report, progress=progress)
            roster = check_entries(store, catalogue, report, helpers=helpers, before=tree, progress=progress)
        else:
            check_tree(store, report, helpers=helpers, progress=progress)
    check_checkpoints(store, report, roster)
    return report


# --- ranges, over several processes --------------------------------------------------------------


def _ranges(stop: int, count: int, width: int, head_start: int) -> list[tuple[int, int]]:
    """
    Cut 0..stop into up to *count* ranges whose inner borders are multiples of *width*.

    The first is longer by *head_start*: it is done here, while the other processes start.
    """
    if not stop:
        return []
    step = -(-(stop + head_start * (count - 1)) // (count * width)) * width
    if count == 1 or step >= stop:
        return [(0, stop)]
    rest = -(-(stop - step) // ((count - 1) * width)) * width
    return [(0, step), *((start, min(start + rest, stop)) for start in range(step, stop, rest))]


class Helpers:
    """
    Processes that each check one range at a time (``python -m ledger.checking``); closed, they are gone.

    They start when they are told to, or with the first range.
    """

    def __init__(self, store: Source, count: int) -> None:
        """Allow *count* processes; none is allowed too."""
        self.count = count
        self._store = store
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start those that are allowed; they take a fifth of a second."""
        while len(self._processes) < self.count:
            self._processes.append(
                subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                    [sys.executable, "-m", "ledger.checking", self._store.address],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

    def divide(self, stop: int, width: int, head_start: int) -> list[tuple[int, int]]:
        """Cut 0..stop into a range for this process and one for each helper."""
        return _ranges(stop, self.count + 1, width, 0 if self._processes else head_start)

    @contextmanager
    def checking(self, what: str, ranges: Sequence[tuple[int, int]]) -> Iterator[Iterator[Any]]:
        """Have one range checked by each; gives what each found, in order of their ranges."""
        if ranges:
            self.start()
        asked = self._processes[: len(ranges)]
        for process, (start, stop) in zip(asked, ranges, strict=True):
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it is missed when its answer is
                process.stdin.write(f"{what} {start} {stop}\n")
                process.stdin.flush()
        yield map(self._found, asked)

    @staticmethod
    def _found(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise Unavailable("a process that checked a part of the log ended early", what_now="check it again")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            if kind is not None:
                process.kill()  # what it is still checking is for nobody
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
        self._processes.clear()


def check_part(store: Source, catalogue: Catalogue, what: str, start: int, stop: int) -> dict[str, Any]:
    """Check one range for the process that asked for it; what was found is JSON data."""
    report = Report(store.size())
    if what == "tree":
        found: dict[str, Any] = {"roots": [root.hex() for root in _check_chunks(store, report, start, stop)]}
    else:
        found = _check_range(store, catalogue, report, start, stop).to_json()
    found["faults"] = [(fault.index, fault.what) for fault in report.faults]
    found["counts"] = [report.signatures, report.unchecked]
    return found


def _merge(report: Report, found: Any) -> None:
    for index, what in found["faults"]:
        report.fault(what, index)
    report.signatures += found["counts"][0]
    report.unchecked += found["counts"][1]


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
        level, place = 0, leaf
        while place & 1 and level < HEIGHT:
            level, place = level + 1, place >> 1
            order.append(starts[level] + place)
    return tuple(order)


def check_tree(
    store: Source, report: Report, *, helpers: Helpers | None = None, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Rebuild the tree from the entries; compare every node with the one stored. Sets ``report.root``."""
    helpers = helpers or Helpers(store, 0)
    whole = report.size >> HEIGHT << HEIGHT
    ranges = helpers.divide(whole, 1 << HEIGHT, TREE_HEAD_START)
    with helpers.checking("tree", ranges[1:]) as others:
        roots = _check_chunks(store, report, *ranges[0], progress) if ranges else []
        for found in others:
            _merge(report, found)
            roots += [bytes.fromhex(root) for root in found["roots"]]
    # What lies above the chunks: few nodes, compared one by one.
    stack: list[bytes] = []
    for number, chunk in enumerate(roots):
        node, closes, level = chunk, number, HEIGHT
        while closes & 1:
            node, level = sha256(b"\1" + stack.pop() + node).digest(), level + 1
            place = number >> (level - HEIGHT)
            if _stored(store, stored_index(level, place)) != node:
                report.fault(f"the stored tree node {place} of level {level} is not the hash of its children")
            closes >>= 1
        stack.append(node)
    frontier = Frontier(len(roots) << HEIGHT, stack)
    expected: list[bytes] = []
    done = frontier.size
    for entry in store.scan(done, report.size):
        expected += frontier.append(sha256(b"\0" + entry).digest())
    found_nodes = list(store.node_hashes(stored_count(done)))
    if found_nodes != expected:
        _name_faults(report, done, expected, found_nodes)
    if frontier.size != report.size:
        report.fault(f"the log says that it holds {report.size} entries; {frontier.size} are there")
    report.root = frontier.root()
    progress(frontier.size)


def _stored(store: Source, number: int) -> bytes | None:
    try:
        return store.hashes([number])[0]
    except NotFound:
        return None


def _check_chunks(
    store: Source, report: Report, start: int, stop: int, progress: Callable[[int], None] = lambda _: None
) -> list[bytes]:
    """Check complete subtrees of 2**HEIGHT leaves from *start* to before *stop*; return their roots."""
    width, order = 1 << HEIGHT, _order()
    entries = store.scan(start, stop)
    roots = []
    for first in range(start, stop, width):
        level = [sha256(b"\0" + entry).digest() for entry in islice(entries, width)]
        if len(level) < width:
            report.fault(f"entries are missing between {first} and {first + width}")
            break
        flat = list(level)
        while len(level) > 1:
            pairs = iter(level)
            level = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            flat += level
        expected = [flat[place] for place in order]
        found = list(islice(store.node_hashes(stored_count(first)), len(expected)))
        if found != expected:
            _name_faults(report, first, expected, found)
        roots.append(level[0])
        progress(first + width)
    return roots


def _name_faults(report: Report, first: int, expected: list[bytes], found: list[bytes]) -> None:
    """Name each entry whose leaf differs; nodes above differ with them, and are named only when no leaf does."""
    if len(found) != len(expected):
        report.fault(f"{len(expected)} tree nodes belong to the entries from {first} on; {len(found)} are stored")
    at, index, named = 0, first, False
    while at < min(len(expected), len(found)):
        if expected[at] != found[at]:
            report.fault("the entry is not the one that was sealed: its bytes do not give the stored leaf hash", index)
            named = True
        at += 1 + _closed(index - first)
        index += 1
    if not named and len(found) == len(expected):
        report.fault(f"a stored tree node above the entries from {first} on is not the hash of its children")


def _closed(place: int) -> int:
    """How many nodes of its chunk the leaf at *place* completes: the trailing ones of its number."""
    return (~place & (place + 1)).bit_length() - 1


def check_checkpoints(store: Source, report: Report, roster: Roster | None) -> None:
    """
    Compare every checkpoint ever signed with the tree; with a *roster*, check its signatures too.

    Must follow ``check_tree``, which has established the stored nodes. Nor may one be missing: entries and the
    checkpoint over them are written in one transaction, and checkpoints are counted.
    """
    previous = 0
    for size, root, note in store.checkpoints():
        if size > report.size:
            if size <= store.size():
                break  # others go on publishing; what was there at the beginning is checked
            report.fault(f"a checkpoint over {size} entries was signed; the log holds {report.size}: it was cut")
            continue
        report.checkpoints += 1
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
    if previous != report.size:
        report.fault(
            f"no checkpoint covers the entries from {previous} on, though each is written together with one: "
            "the newest checkpoints were deleted; receipts may hold them; opening the ledger for writing signs one anew"
        )
    if isinstance(store, Guarded):
        for what in store.altered():
            report.fault(what)


def check_published(beside: Path, store: Source, report: Report) -> None:
    """
    Compare the file ``checkpoint`` of the ledger's folder, which others may have seen, with the store.

    That it is missing or old is a warning, since a power failure may leave it so (``Ledger`` says when it is
    durable); that it says something else than the store is a fault.
    """
    now = (
        "a store restored from an older copy would not be noticed by it; compare the root with a receipt or "
        "a copy of the checkpoint from elsewhere, then open the ledger for writing, which writes it anew"
    )
    try:
        note = beside.read_bytes()
    except FileNotFoundError:
        report.warnings.append(
            f"the file {beside.name}, which the ledger publishes beside its store, is missing: {now}"
        )
        return
    if not note:
        report.warnings.append(f"the file {beside.name}, which the ledger publishes beside its store, is empty: {now}")
        return
    try:
        published = parse_checkpoint(parse_note(note).text)
        held = store.size()  # read after the file: what was published had been stored before
        if published.size > held:
            report.fault(
                f"a checkpoint over {published.size} entries was published; the log holds {held}: "
                "it was restored from an older copy, or cut; refill it from a mirror, never delete the checkpoint"
            )
        elif root_at(published.size, store.hashes) != published.root:
            report.fault(f"the log does not extend the published checkpoint over {published.size} entries")
        elif published.size and store.checkpoint(published.size) != note:
            report.fault(
                f"the published checkpoint over {published.size} entries is not among those kept: "
                "it was deleted from the store, or the file was altered; keep both, and compare with receipts"
            )
        elif published.size < report.size:
            report.warnings.append(
                f"the file {beside.name} covers {published.size} entries, and the store has signed one over "
                f"{report.size}: {now}, unless another process is publishing at this moment"
            )
    except FormatError as error:
        report.fault(f"the published checkpoint cannot be read: {error}")
    except NotFound as error:
        report.fault(str(error))


# --- what the entries say ------------------------------------------------------------------------


def check_entries(
    store: Source,
    catalogue: Catalogue,
    report: Report,
    *,
    helpers: Helpers | None = None,
    before: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Roster:
    """
    Read every entry: its signature, key, sequence, versions, clock and row. Returns the roster.

    What is to be done *before* is done here while the others have begun; it may cost what the tree costs.
    """
    helpers = helpers or Helpers(store, 0)
    ranges = helpers.divide(report.size, GROUP, _head_start(store, report.size) if helpers.count else 0)
    sequences: dict[str, int] = {}
    recorded_at = EARLIEST
    with helpers.checking("entries", ranges[1:]) as others:
        before()
        parts = [_check_range(store, catalogue, report, *ranges[0], progress).to_json()] if ranges else []
        for found in others:
            _merge(report, found)
            parts.append(found)
    for (start, _), part in zip(ranges, parts, strict=True):
        if part["clock"][0] < recorded_at:
            report.fault("was recorded before the entry in front of it", start)
        recorded_at = part["clock"][1]
        for key, (index, first, following) in part["sequences"].items():
            expected = sequences.get(key, 0)
            if first != expected:
                report.fault(f"has sequence {first}; its key's next was {expected}", index)
            sequences[key] = following
    for what in store.miscounted():
        report.fault(what)
    if {key.hex(): following for key, following in store.next_sequences().items()} != sequences:
        report.fault("the next sequences of the signing keys are not those that the entries give")
    return _roster(store, catalogue, report.size)


def _head_start(store: Source, size: int) -> int:
    """How much longer the first range is: less what is done here alone, the tree and the first enrolments."""
    enrolments = sum(index < size // 2 for index, _ in store.roster())
    return ENTRIES_HEAD_START - size // TREE_SHARE - enrolments * ENROLMENT_COST


def _roster(store: Source, catalogue: Catalogue, size: int) -> Roster:
    """Fold the roster as it stood at *size*; what cannot be read is named where it is read in order."""
    roster = Roster()
    for index, data in store.roster():
        if index < size:
            with suppress(FormatError):
                act = recorded(index, data, catalogue)
                if act.body is not None:
                    roster.fold(index, act.statement, act.body)
    return roster


def _check_range(
    store: Source,
    catalogue: Catalogue,
    report: Report,
    start: int,
    stop: int,
    progress: Callable[[int], None] = lambda _: None,
) -> _Reading:
    """Read the entries from *start* to before *stop*, and check each signature."""
    # A key may be revoked backwards, by a later entry: what counts is the roster before each entry.
    reading = _Reading(_roster(store, catalogue, start), report)
    batches: dict[Check, bool] = {}
    for first in range(start, stop, GROUP):
        rows = store.rows(first, min(GROUP, stop - first))
        ids = []
        cases: list[tuple[bytes, int, int]] = []
        for index, stream, version, act, data in rows:
            seen, batch, accepted = glance(data), None, True
            statement: Statement | None = None
            body: dict[str, Any] | None = None
            if seen is None or seen.act in ROSTER_ACTS:
                try:
                    entry = decode_entry(data)
                    batch, accepted = entry.batch, entry.accepted
                    statement = (decode_statement if accepted else decode_header)(entry.statement)
                    # Of the bodies, which admission has checked, those of the roster alone.
                    if statement.act in ROSTER_ACTS and accepted:
                        body = catalogue.decode(statement.act, statement.version, statement.body)
                except FormatError as error:
                    report.fault(f"cannot be read: {error}", index)
                    continue
                seen = Glance.of(entry, statement)
            ids.append((seen.id, index))
            public = reading.read(index, seen, statement, body)
            where = seen.subject.hex() if accepted else f"rejected/{seen.id.hex()}"
            if act != seen.act or stream != where or version != seen.subject_version:
                report.fault("stands in another stream than it says", index)
            if not accepted:
                # The body of a rejected statement is withheld, and with it what was signed.
                report.unchecked += 1
                continue
            cases.append((seen.case, seen.case_version, index))
            if public is None:
                continue
            report.signatures += 1
            if batch is None:
                if not ed25519(public, signed_message(seen.statement), seen.signature):
                    report.fault("its signature does not hold", index)
                continue
            try:
                one = public, signed_message(seen.statement, batch), seen.signature
            except NotVerified as error:
                report.fault(f"its place in the batch: {error.what}", index)
                continue
            if one not in batches:
                batches = {**dict(islice(batches.items(), BATCHES)), one: ed25519(*one)}
            if not batches[one]:
                report.fault("the signature of its batch does not hold", index)
        known = store.indexes_of([statement_id for statement_id, _ in ids])
        for statement_id, index in ids:
            if known.get(statement_id) != index:
                report.fault("the index of statement ids does not lead to it", index)
        for index in store.misplaced(cases) if isinstance(store, Guarded) else ():
            report.fault("the index of cases does not lead to it", index)
        progress(first + len(rows))
    return reading


@dataclass(slots=True)
class _Reading:
    """What one entry must continue: the roster, each key's sequence, the clock."""

    roster: Roster
    report: Report
    # Signing key -> the sequence that must follow.
    following: dict[bytes, int] = field(default_factory=dict)
    # Signing key -> index and sequence of its first statement here.
    begun: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    began_at: int | None = None
    recorded_at: int = EARLIEST

    def to_json(self) -> dict[str, Any]:
        """What the next range must continue."""
        began_at = self.recorded_at if self.began_at is None else self.began_at
        return {
            "sequences": {key.hex(): (*begun, self.following[key]) for key, begun in self.begun.items()},
            "clock": (began_at, self.recorded_at),
        }

    def read(self, index: int, seen: Glance, statement: Statement | None, body: dict[str, Any] | None) -> bytes | None:
        """
        Compare an entry with what came before; return the public key that its publisher then had.

        Args:
            index: of the entry.
            seen: of it.
            statement: decoded, where there is a *body*.
            body: of an act of the roster that was accepted.
        """
        recorded_at, key, sequence = seen.recorded_at, seen.key, seen.sequence
        if recorded_at < self.recorded_at and self.began_at is not None:
            self.report.fault("was recorded before the entry in front of it", index)
        elif self.began_at is None:
            self.began_at = recorded_at
        self.recorded_at = recorded_at
        expected = self.following.get(key)
        if expected is None:
            self.begun[key] = index, sequence
        elif sequence != expected:
            self.report.fault(f"has sequence {sequence}; its key's next was {expected}", index)
        self.following[key] = sequence + 1
        public: bytes | None = None
        if index == 0 and seen.act == "ledger.founded" and body is not None:
            if key_id(body["operator_key"]) == key:
                public = body["operator_key"]
        else:
            standing = self.roster.key(key)
            if (
                standing is not None
                and standing.authority == seen.publisher
                and self.roster.verdict(key, index) in _STANDING
            ):
                public = standing.public_key
        if public is None:
            self.report.fault("is signed by a key that its publisher did not have then", index)
        if statement is not None and body is not None:
            if self.roster.judge(index, statement, body, ed25519) is not None:
                self.report.fault("changes the roster against its rules", index)
            self.roster.fold(index, statement, body)
        return public


_STANDING: Final = frozenset({"valid", "contested"})
