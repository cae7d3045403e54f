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
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, runtime_checkable

from ledger.errors import FormatError, NotFound, NotVerified, Unavailable
from ledger.keys import acceptable, ed25519, key_id
from ledger.log.glance import Glance, glance
from ledger.log.tree import Frontier, root_at, stored_count, stored_index
from ledger.reading import recorded
from ledger.statement import EARLIEST, decode_entry, signed_message, statement_in
from ledger.verify import ROSTER_ACTS, Roster, check_signatures, iso, parse_checkpoint, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.acts import Catalogue
    from ledger.statement import Statement

HEIGHT: Final = 12
"""Leaves are hashed in complete subtrees of this height."""

FAULTS_MAX: Final = 1_000
"""After so many faults the rest would say nothing new."""

GROUP: Final = 2_048
"""How many entries are read at a time."""

TAKES: Final = 3
"""A process takes this part of its share of what is left, so that all end together."""

HELPED_MIN: Final = 8_192
"""From so many entries on, other processes are worth their start."""

BATCHES: Final = 512
"""How many checked batch signatures are remembered: of so many publishers at a time each is checked once."""


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
    """A store that guards what the tree does not cover: checkpoints, triggers, index of cases, clock."""

    def altered(self) -> Iterator[str]:
        """Which checkpoints were taken out, and which guards are not those that were made."""

    def misplaced(self, cases: Sequence[tuple[bytes, int, int]]) -> list[int]:
        """Those indexes to which (case, version, index) does not lead."""

    def newest(self) -> tuple[int, bytes] | None:
        """The log's clock (microseconds) and the newest entry, as one moment has them; None where neither is."""


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

    def tree(helpers: Helpers | None = None) -> None:
        check_tree(store, report, helpers=helpers, progress=progress)
        check_checkpoints(store, report, _Rosters(store, catalogue).before(report.size) if signatures else None)

    with Helpers(store, workers if report.size >= HELPED_MIN else 0) as helpers:
        if signatures:
            # The others begin with the signatures at once; this process builds the tree first.
            check_entries(store, catalogue, report, helpers=helpers, before=tree, progress=progress)
        else:
            tree(helpers)
    return report


# --- ranges, over several processes --------------------------------------------------------------


class _Ranges:
    """
    What is left of 0..stop, for whoever asks next: wide ranges first, then ever narrower ones.

    Nobody needs to know beforehand how fast each process is, when it started or what it does besides.
    Inner borders are multiples of *width*; safe from any thread.
    """

    def __init__(self, stop: int, width: int, takers: int) -> None:
        self._stop, self._width, self._takers = stop, width, takers
        self._start = 0
        self._lock = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, int]:
        with self._lock:
            start, left = self._start, self._stop - self._start
            if left <= 0:
                raise StopIteration
            wide = left if self._takers == 1 else -(-left // (self._takers * TAKES))
            self._start += -(-wide // self._width) * self._width
            return start, min(self._start, self._stop)

    def end(self) -> None:
        """Leave nothing for whoever asks next."""
        with self._lock:
            self._start = self._stop


class Helpers:
    """Processes that check one range after the other (``python -m ledger.checking``); closed, they are gone."""

    def __init__(self, store: Source, count: int) -> None:
        """Allow *count* processes, which start when they are needed (a fifth of a second); none is allowed too."""
        self.count = count
        self._store = store
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []

    def check(
        self,
        what: str,
        stop: int,
        width: int,
        here: Part,
        before: Callable[[], None] = lambda: None,
    ) -> list[tuple[int, dict[str, Any]]]:
        """
        Check 0..stop, here and in every helper, in ranges of multiples of *width*; what is *before* is done here.

        Args:
            what: ``tree`` or ``entries``.
            stop: before which to end.
            width: of the narrowest range.
            here: checks in this process.
            before: what this process does while the others have begun.

        Returns:
            Start of each range and what was found in it, in order.

        Raises:
            Unavailable: a process ended early.
        """
        ranges = _Ranges(stop, width, self.count + 1)
        found: dict[int, dict[str, Any]] = {}
        ended: list[int] = []
        # Their threads only wait for answers.
        self._threads = [
            threading.Thread(target=self._ask, args=(process, what, ranges, found, ended), daemon=True)
            for process in self._started(stop)
        ]
        for thread in self._threads:
            thread.start()
        before()
        for start, end in ranges:
            found[start] = here.check(what, start, end)
        for thread in self._threads:
            thread.join()
        if ended:
            raise Unavailable("a process that checked a part of the log ended early", what_now="check it again")
        return sorted(found.items())

    def _started(self, stop: int) -> list[subprocess.Popen[str]]:
        while stop and len(self._processes) < self.count:
            self._processes.append(
                subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                    [sys.executable, "-m", "ledger.checking", self._store.address],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        return self._processes

    @staticmethod
    def _ask(
        process: subprocess.Popen[str],
        what: str,
        ranges: _Ranges,
        found: dict[int, dict[str, Any]],
        ended: list[int],
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        for start, stop in ranges:
            try:
                process.stdin.write(f"{what} {start} {stop}\n")
                process.stdin.flush()
                found[start] = json.loads(process.stdout.readline())
            except (OSError, ValueError):  # no whole answer: what the others would still find is for nobody
                ended.append(start)
                ranges.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for process in self._processes:
                process.kill()  # what it is still checking is for nobody
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            process.wait()
        self._processes.clear()


class Part:
    """What checks ranges of a log, each further on than the one before: in this process, or in one that helps."""

    def __init__(
        self, store: Source, catalogue: Catalogue | None, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Read *store*; a *catalogue* is needed for entries alone."""
        self._store = store
        self._progress = progress
        self._rosters = None if catalogue is None else _Rosters(store, catalogue)

    def check(self, what: str, start: int, stop: int) -> dict[str, Any]:
        """Check the ``tree`` or the ``entries`` from *start* to before *stop*; what was found is JSON data."""
        report = Report(stop)
        if what == "tree":
            roots = _check_chunks(self._store, report, start, stop, self._progress)
            found: dict[str, Any] = {"roots": [root.hex() for root in roots]}
        else:
            assert self._rosters is not None
            found = _check_range(self._store, self._rosters, report, start, stop, self._progress).to_json()
        found["faults"] = [(fault.index, fault.what) for fault in report.faults]
        found["counts"] = [report.signatures, report.unchecked]
        return found


class _Rosters:
    """The roster as it stood before each entry, further and further on."""

    def __init__(self, store: Source, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._acts = iter(store.roster())
        self._next = next(self._acts, None)
        self._roster = Roster(acceptable)

    def before(self, size: int) -> Roster:
        """Fold what stands before *size*; what cannot be read is named where it is read in order."""
        while self._next is not None and self._next[0] < size:
            with suppress(FormatError):
                act = recorded(*self._next, self.catalogue)
                if act.body is not None:
                    self._roster.fold(act.index, act.statement, act.body)
            self._next = next(self._acts, None)
        return self._roster

    def folded(self, size: int) -> None:
        """Know that whoever had the roster has folded into it what stands before *size*."""
        while self._next is not None and self._next[0] < size:
            self._next = next(self._acts, None)


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
    roots: list[bytes] = []
    here = Part(store, None, progress)
    for _, found in helpers.check("tree", whole, 1 << HEIGHT, here):
        _merge(report, found)
        roots += map(bytes.fromhex, found["roots"])
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
    if stored_count(done) + len(found_nodes) <= stored_count(store.size()):
        # Others go on publishing: what was there at the beginning is checked. Without entries of their own, nodes
        # are too many.
        del found_nodes[stored_count(report.size) - stored_count(done) :]
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
) -> None:
    """
    Read every entry: its signature, key, sequence, versions, clock and row.

    What is to be done *before* is done here while the others have begun.
    """
    helpers = helpers or Helpers(store, 0)
    sequences: dict[str, int] = {}
    recorded_at = EARLIEST
    here = Part(store, catalogue, progress)
    for start, found in helpers.check("entries", report.size, GROUP, here, before):
        _merge(report, found)
        if found["clock"][0] < recorded_at:
            report.fault("was recorded before the entry in front of it", start)
        recorded_at = found["clock"][1]
        for key, (index, first, following) in found["sequences"].items():
            expected = sequences.get(key, 0)
            if first != expected:
                report.fault(f"has sequence {first}; its key's next was {expected}", index)
            sequences[key] = following
    for what in store.miscounted():
        report.fault(what)
    _check_clock(store, report)
    _check_sequences(store, report, {bytes.fromhex(key): following for key, following in sequences.items()})


def _check_clock(store: Source, report: Report) -> None:
    """Compare the clock that the next entry may not fall behind with the newest entry, which it is of."""
    newest = store.newest() if isinstance(store, Guarded) else None
    if newest is None:
        return
    clock, entry = newest
    with suppress(FormatError):  # what cannot be read is named already
        recorded_at = decode_entry(entry).recorded_at
        if clock != recorded_at:
            report.fault(
                f"the clock kept beside the entries says {iso(clock)}, and the newest entry was recorded at "
                f"{iso(recorded_at)}: it was changed, and the next entries would be recorded at a wrong time"
            )


def _check_sequences(store: Source, report: Report, expected: dict[bytes, int]) -> None:
    """Compare what each key may use next with what its entries give; others may go on publishing."""
    stored = store.next_sequences()
    if stored == expected:
        return
    for data in store.scan(report.size):
        with suppress(FormatError):  # what cannot be read gives no sequence
            entry = decode_entry(data)
            statement = statement_in(entry)
            if stored.get(statement.key, 0) > statement.sequence:
                expected[statement.key] = statement.sequence + 1
    if stored != expected:
        report.fault("the next sequences of the signing keys are not those that the entries give")


def _check_range(
    store: Source, rosters: _Rosters, report: Report, start: int, stop: int, progress: Callable[[int], None]
) -> _Reading:
    """Read the entries from *start* to before *stop*, and check each signature."""
    # A key may be revoked backwards, by a later entry: what counts is the roster before each entry.
    reading = _Reading(rosters.before(start), report)
    batch_holds = lru_cache(BATCHES)(ed25519)
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
                    statement = statement_in(entry)
                    # Of the bodies, which admission has checked, those of the roster alone.
                    if statement.act in ROSTER_ACTS and accepted:
                        body = rosters.catalogue.decode(statement.act, statement.version, statement.body)
                except FormatError as error:
                    report.fault(f"cannot be read: {error}", index)
                    continue
                seen = Glance.of(entry, statement)
            said, identity, publisher, key, sequence, case, subject, named, signature, at, place, case_version = seen
            ids.append((identity, index))
            public = reading.read(index, publisher, key, sequence, at, body)
            if statement is not None and body is not None:
                reading.fold(index, statement, body)
            where = subject.hex() if accepted else f"rejected/{identity.hex()}"
            if act != named or stream != where or version != place:
                report.fault("stands in another stream than it says", index)
            if not accepted:
                # The body of a rejected statement is withheld, and with it what was signed.
                report.unchecked += 1
                continue
            cases.append((case, case_version, index))
            if public is None:
                continue
            report.signatures += 1
            if batch is None:
                if not ed25519(public, signed_message(said), signature):
                    report.fault("its signature does not hold", index)
                continue
            try:
                message = signed_message(said, batch)
            except NotVerified as error:
                report.fault(f"its place in the batch: {error.what}", index)
                continue
            if not batch_holds(public, message, signature):
                report.fault("the signature of its batch does not hold", index)
        known = store.indexes_of([statement_id for statement_id, _ in ids])
        for statement_id, index in ids:
            if known.get(statement_id) != index:
                report.fault("the index of statement ids does not lead to it", index)
        for index in store.misplaced(cases) if isinstance(store, Guarded) else ():
            report.fault("the index of cases does not lead to it", index)
        progress(first + len(rows))
    rosters.folded(stop)
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

    def read(
        self, index: int, publisher: bytes, key: bytes, sequence: int, recorded_at: int, body: dict[str, Any] | None
    ) -> bytes | None:
        """
        Compare an entry with what came before; return the public key that its publisher then had.

        Args:
            index: of the entry.
            publisher: 16 bytes.
            key: id of the signing key, 32 bytes.
            sequence: of the statement under its key.
            recorded_at: microseconds since 1970.
            body: of an act of the roster that was accepted; of entry 0 it names the first key.
        """
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
        if index == 0 and body is not None and "operator_key" in body:
            if key_id(body["operator_key"]) == key:
                public = body["operator_key"]
        else:
            standing = self.roster.key(key)
            if (
                standing is not None
                and standing.authority == publisher
                and self.roster.verdict(key, index) in _STANDING
            ):
                public = standing.public_key
        if public is None:
            self.report.fault("is signed by a key that its publisher did not have then", index)
        return public

    def fold(self, index: int, statement: Statement, body: dict[str, Any]) -> None:
        """Judge an act of the roster that was accepted, and fold it."""
        if self.roster.judge(index, statement, body, ed25519) is not None:
            self.report.fault("changes the roster against its rules", index)
        self.roster.fold(index, statement, body)


_STANDING: Final = frozenset({"valid", "contested"})
