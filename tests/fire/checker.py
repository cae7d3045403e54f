"""
The checker: from what clients saw, and from what there is at the end, what must never be.

In the manner of Jepsen and Elle. Versions are explicit here: an acknowledgment names an index, an entry its
sequence and its versions, a delivery its index. So no order has to be searched for: each promise is compared with the
one order that the log has. Pure: lines in, anomalies out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.log.tree import Frontier
from tests.fire.history import LEAF_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.fire.history import Line

KINDS: Final = {
    "lost": "an acknowledged statement is not in the log, or not where its receipt says",
    "changed": "an acknowledged statement stands in the log with another disposition",
    "duplicate": "a statement, or a sequence of a key, is in the log twice",
    "refused recorded": "a statement that was refused, or can never be taken, is in the log",
    "gap": "an index, or a version of a stream or case, is missing",
    "disorder": "sequences of a key, versions of a stream, or instants do not follow one another",
    "late": "a statement stands before one that was acknowledged before it was sent",
    "not a prefix": "a reader saw an entry that is not the log's",
    "stale": "a reader saw less than had been acknowledged, or seen, before it asked",
    "fork": "a checkpoint has another root than the log has at its size",
    "skipped": "a subscriber, or a topic, lacks an entry before one that it has",
    "foreign": "a subscriber, or a topic, has what is not in the log, or not meant for it",
    "unfinished": "a topic lacks entries at the end, when everything was well again",
    "wrong digest": "a projection is not what a rebuild makes of the same entries",
    "unanswered": "an honest statement had no receipt, though everything was well again",
}
"""What may be found, and what it means."""

SHOWN_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that must never be: its kind, a sentence, and the indexes and statement ids that show it."""

    kind: str
    what: str
    indexes: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of the log, as it stands at the end; ids in hexadecimal, versions None where it was rejected."""

    index: int
    leaf: bytes
    id: str
    key: str
    sequence: int
    stream: str
    stream_version: int | None
    case: str
    case_version: int | None
    accepted: bool
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a topic holds at one offset; *leaf* is the hash of the entry that it carries, in hexadecimal."""

    offset: int
    index: int
    leaf: str


@dataclass(slots=True)
class Outcome:
    """
    What there is at the end.

    Attributes:
        entries: the log, in its order.
        topics: by name and partition, everything that each holds.
        expected: by name and partition, the indexes that each should hold.
        digests: by projector and projection.
        rebuilt: by projection, of the same entries.
        statements: answers in the topics of receipts: statement, index.
    """

    entries: Sequence[Kept]
    topics: Mapping[str, Mapping[int, Sequence[Delivery]]] = field(default_factory=dict)
    expected: Mapping[str, Mapping[int, Sequence[int]]] = field(default_factory=dict)
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rebuilt: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[tuple[str, int]] = ()


@dataclass(slots=True)
class _Operation:
    """One statement, from the first time it was sent."""

    id: str
    begun_at: float
    never: bool
    attempts: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    answers: list[tuple[float, int, bool]] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """ok, fail where every attempt was refused, info where nobody knows."""
        if self.answers:
            return "ok"
        return "fail" if self.attempts <= self.refused else "info"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how much was looked at: operations by outcome, other lines by what they are."""

    anomalies: tuple[Anomaly, ...]
    operations: Mapping[str, int]
    seen: Mapping[str, int]
    without_availability: float


def check(lines: Iterable[Line], outcome: Outcome) -> Report:
    """Return everything in *lines* and *outcome* that must never be. Cost: linear, some 20 us a line."""
    history = sorted(lines, key=lambda line: line.at)
    operations = _operations(history)
    found = [
        *_log(outcome.entries),
        *_acknowledged(operations.values(), outcome),
        *_real_time(operations.values(), outcome.entries),
        *_reads(history, operations.values(), outcome.entries),
        *_topics(outcome),
        *_subscribers(history, outcome),
        *_projections(outcome),
    ]
    counted = Counter(one.outcome for one in operations.values())
    seen = Counter(line.what for line in history)
    return Report(tuple(found), counted, seen, without_availability(history))


def _operations(history: Iterable[Line]) -> dict[str, _Operation]:
    found: dict[str, _Operation] = {}
    for line in history:
        data = line.data
        if line.what == "invoke":
            one = found.setdefault(data["id"], _Operation(data["id"], line.at, data["never"]))
            one.attempts.add(data["attempt"])
        elif line.what == "ok":
            found[data["id"]].answers.append((line.at, data["index"], data["accepted"]))
        elif line.what == "fail":
            found[data["id"]].refused.add(data["attempt"])
    return found


# --- the log by itself -------------------------------------------------------------------------------


def _log(entries: Sequence[Kept]) -> Iterator[Anomaly]:
    ids: dict[str, int] = {}
    sequences: dict[str, int] = {}
    versions: dict[tuple[str, str], int] = {}
    before = 0
    for place, one in enumerate(entries):
        if one.index != place:
            yield Anomaly("gap", f"where index {place} should be stands {one.index}", (place, one.index))
            return
        if one.id in ids:
            yield Anomaly("duplicate", "one statement, two entries", (ids[one.id], place), (one.id,))
        ids[one.id] = place
        expected = sequences.get(one.key, 0)
        if one.sequence != expected:
            kind = "duplicate" if one.sequence < expected else "disorder"
            what = f"key {one.key[:12]} has sequence {one.sequence} where {expected} comes next"
            yield Anomaly(kind, what, (place,), (one.id,))
        sequences[one.key] = max(expected, one.sequence + 1)
        for kind, name, version in (("stream", one.stream, one.stream_version), ("case", one.case, one.case_version)):
            if version is None:
                continue
            next_version = versions.get((kind, name), 0)
            if version != next_version:
                what = f"{kind} {name[:12]} has version {version} where {next_version} comes next"
                yield Anomaly("gap" if version > next_version else "disorder", what, (place,), (one.id,))
            versions[kind, name] = max(next_version, version + 1)
        if one.recorded_at < before:
            yield Anomaly(
                "disorder", f"recorded {before - one.recorded_at} us before its predecessor", (place - 1, place)
            )
        before = one.recorded_at


def _acknowledged(operations: Iterable[_Operation], outcome: Outcome) -> Iterator[Anomaly]:
    entries = outcome.entries
    where = {one.id: one for one in entries}
    for one in operations:
        kept = where.get(one.id)
        for _, index, accepted in one.answers:
            if kept is None:
                yield Anomaly("lost", f"acknowledged at index {index}, and not in the log", (index,), (one.id,))
            elif kept.index != index:
                yield Anomaly("lost", "its receipt names another index", (index, kept.index), (one.id,))
            elif kept.accepted != accepted:
                yield Anomaly("changed", f"answered accepted={accepted}", (index,), (one.id,))
        if kept is not None and (one.never or one.outcome == "fail"):
            yield Anomaly("refused recorded", "refused, yet in the log", (kept.index,), (one.id,))
        if one.outcome == "info" and not one.never:
            yield Anomaly("unanswered", "no receipt until the end", () if kept is None else (kept.index,), (one.id,))
    for statement, index in outcome.statements:
        kept = where.get(statement)
        if kept is None or kept.index != index:
            yield Anomaly("lost", f"a topic of receipts says index {index}", (index,), (statement,))


def _real_time(operations: Iterable[_Operation], entries: Sequence[Kept]) -> Iterator[Anomaly]:
    """Whatever was acknowledged before a statement was first sent stands before it."""
    where = {one.id: one.index for one in entries}
    known = _Acknowledged(operations)
    for one in operations:
        if one.id in where:
            before = known.highest(one.begun_at)
            if before >= where[one.id]:
                yield Anomaly("late", f"sent after {before} was acknowledged", (where[one.id], before), (one.id,))


class _Acknowledged:
    """The highest index acknowledged by an instant."""

    def __init__(self, operations: Iterable[_Operation]) -> None:
        self._at: list[float] = []
        self._highest: list[int] = []
        highest = -1
        for at, index, _ in sorted(answer for one in operations for answer in one.answers):
            highest = max(highest, index)
            self._at.append(at)
            self._highest.append(highest)

    def highest(self, at: float) -> int:
        """The highest index acknowledged before *at*, -1 where none was."""
        place = bisect_right(self._at, at)
        return self._highest[place - 1] if place else -1


# --- who reads ---------------------------------------------------------------------------------------


def _reads(history: Sequence[Line], operations: Iterable[_Operation], entries: Sequence[Kept]) -> Iterator[Anomaly]:
    known = _Acknowledged(operations)
    leaves = [one.leaf.hex()[:LEAF_DIGITS] for one in entries]
    roots: dict[int, str] = {}
    wanted = {line.data["size"] for line in history if line.what == "root"}
    frontier = Frontier()
    for one in entries:
        frontier.append(one.leaf)
        if frontier.size in wanted:
            roots[frontier.size] = frontier.root().hex()
    shown: dict[int, str] = {}
    # Sizes that were seen: what one reader saw, another that asked later must see too.
    seen = sorted((line.at, line.data["size"]) for line in history if line.what in {"size", "root"})
    times, most, highest = [at for at, _ in seen], list[int](), 0
    for _, size in seen:
        highest = max(highest, size)
        most.append(highest)
    for line in history:
        data = line.data
        if line.what in {"size", "root"}:
            size = data["size"]
            before = known.highest(data["begun_at"]) + 1
            place = bisect_right(times, data["begun_at"])
            before = max(before, most[place - 1] if place and line.what == "size" else 0)
            if size < before:
                yield Anomaly("stale", f"{line.who} saw {size} entries after {before} were known", (size, before))
            if size > len(entries):
                yield Anomaly("not a prefix", f"{line.who} saw {size} entries; there are {len(entries)}", (size,))
        if line.what == "root":
            first = shown.setdefault(size, data["root"])
            if data["root"] != first or roots.get(size, first) != data["root"]:
                yield Anomaly("fork", f"{line.who} was shown another root at size {size}", (size,))
        elif line.what == "read":
            start, given = data["start"], data["leaves"]
            if leaves[start : start + len(given)] != given:
                wrong = [start + n for n, leaf in enumerate(given) if leaves[start + n : start + n + 1] != [leaf]]
                yield Anomaly("not a prefix", f"{line.who} read other entries", tuple(wrong[:SHOWN_MAX]))


# --- who subscribes ----------------------------------------------------------------------------------


def _topics(outcome: Outcome) -> Iterator[Anomaly]:
    for topic, partitions in outcome.topics.items():
        for partition, deliveries in partitions.items():
            expected = outcome.expected[topic][partition]
            reader = _Reader(f"topic {topic} partition {partition}", expected, outcome.entries)
            for one in deliveries:
                yield from reader.take(one.index, one.leaf)
            missing = expected[reader.place :]
            if missing:
                what = f"{reader.name} ends {len(missing)} entries short"
                yield Anomaly("unfinished", what, tuple(missing[:SHOWN_MAX]))


def _subscribers(history: Iterable[Line], outcome: Outcome) -> Iterator[Anomaly]:
    readers: dict[tuple[str, str, int], _Reader] = {}
    for line in history:
        if line.what == "delivered":
            data = line.data
            topic, partition = data["topic"], data["partition"]
            reader = readers.get((line.who, topic, partition))
            if reader is None:
                name = f"{line.who} on {topic} partition {partition}"
                reader = _Reader(name, outcome.expected[topic][partition], outcome.entries)
                readers[line.who, topic, partition] = reader
            yield from reader.take(data["index"], data["leaf"])


class _Reader:
    """Reads one partition as every subscriber does: an index that it has passed is ignored."""

    def __init__(self, name: str, expected: Sequence[int], entries: Sequence[Kept]) -> None:
        self.name = name
        self.place = 0
        self._expected = expected
        self._entries = entries

    def take(self, index: int, leaf: str) -> Iterator[Anomaly]:
        """Take a delivery; yield what is wrong with it."""
        if not 0 <= index < len(self._entries) or not self._entries[index].leaf.hex().startswith(leaf) or not leaf:
            yield Anomaly("foreign", f"{self.name} holds another entry than the log", (index,))
            return
        if self.place and index <= self._expected[self.place - 1]:
            return
        place = bisect_right(self._expected, index) - 1
        if place < 0 or self._expected[place] != index:
            yield Anomaly("foreign", f"{self.name} holds what is not meant for it", (index,))
            return
        if place > self.place:
            missing = tuple(self._expected[self.place : place][:SHOWN_MAX])
            yield Anomaly("skipped", f"{self.name} goes on at {index} without what is before", missing)
        self.place = place + 1


def _projections(outcome: Outcome) -> Iterator[Anomaly]:
    for projector, digests in outcome.digests.items():
        for name, digest in outcome.rebuilt.items():
            if digests.get(name) != digest:
                yield Anomaly("wrong digest", f"{projector}: {name} is {digests.get(name)}, a rebuild gives {digest}")


# --- figures and evidence ----------------------------------------------------------------------------


def without_availability(history: Iterable[Line], allowed: float = 1.0) -> float:
    """Seconds in which nobody was answered though somebody asked, beyond *allowed* seconds each time."""
    total, waiting, since = 0.0, set[str](), 0.0
    for line in history:
        if line.what == "invoke" and not line.data["never"]:
            if not waiting:
                since = line.at
            waiting.add(line.data["id"])
        elif line.what == "ok":
            if line.at - since > allowed:
                total += line.at - since - allowed
            since = line.at
            waiting.discard(line.data["id"])
    return total


def evidence(anomaly: Anomaly, history: Sequence[Line], most: int = 8) -> list[str]:
    """Return the lines about the statements of an anomaly, and the faults that were on then."""
    about = [line for line in history if line.data.get("id") in anomaly.ids]
    if not about:
        about = [
            line
            for line in history
            if line.data.get("index") in anomaly.indexes or line.data.get("size") in anomaly.indexes
        ]
    about = about[: most // 2] + about[-(most // 2) :] if len(about) > most else about
    found: dict[float, list[str]] = defaultdict(list)
    for line in about:
        found[line.at].append(f"{line.at:.3f} {line.who}: {line.what} {line.data}"[:300])
    if about:
        first, last = about[0].at, about[-1].at
        for line in history:
            if line.what == "fault" and first - line.data["seconds"] - 5 <= line.at <= last:
                found[line.at].append(f"{line.at:.3f} fault: {line.data}")
    return [text for at in sorted(found) for text in found[at]][: 2 * most]
