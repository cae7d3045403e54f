"""
One run: clients at work, faults by a seed, then everything healed, and everything checked.

It ends by itself: after its seconds of faults it waits for the last receipts, deliveries and projections a bounded
time, and calls it an anomaly when they do not come.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ledger.acts import catalogue
from ledger.configuration import KafkaSection
from ledger.kafka import wire
from ledger.kafka.connection import Connection
from ledger.kafka.relay import partition_of
from ledger.kafka.topics import CHECKPOINTS, ENTRIES, SUBMISSIONS, carry_out, compare, declared
from ledger.ledger import Ledger
from ledger.log import fsck
from ledger.reading import recorded
from ledger.store import open_store
from ledger.verify import leaf_hash
from projections.runner import Runner
from projections.shared import Shared
from tests.fire.checker import KINDS, Anomaly, Delivery, Kept, Outcome, Report, check, evidence
from tests.fire.clients import HttpPublisher, KafkaPublisher, Publisher, Reader, Subscriber, delivered, root_of_note
from tests.fire.history import History, lines
from tests.fire.nemesis import Nemesis, plan
from tests.fire.stand import Stand
from tests.kafka.conveyor import Seen, reading
from tests.town import check_everything
from tests.waiting import came_about

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ledger.store import Store
    from tests.fire.nemesis import Fault

PUBLIC: Final = "comity.entries.public"
PARTITIONS: Final = {ENTRIES: 3, PUBLIC: 2}
SETTLE_SECONDS: Final = 90.0
"""How long after everything was healed the last receipts, deliveries and projections may take, each."""

EVIDENCE_SHOWN: Final = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is: seconds of faults, nodes of Apache Kafka (0: the small broker), and so many of each."""

    seconds: float
    apache: int = 0
    gateways: int = 2
    ingests: int = 2
    projectors: int = 2
    publishers: int = 6
    conveyed: int = 2
    readers: int = 2
    subscribers: int = 2
    per_second: float = 20.0


@dataclass(slots=True)
class Result:
    """What a run gave; *wrong* is empty when every promise was kept."""

    seed: int
    size: Size
    report: Report
    faults: Mapping[str, int]
    entries: int
    ended: Mapping[str, int]
    settled_seconds: float
    disk: str
    broker: str
    wrong: list[str] = field(default_factory=list)

    def figures(self) -> str:
        """Return the figures, to be printed."""
        report = self.report
        rows = [
            ("seed", str(self.seed)),
            ("ran on", f"PostgreSQL, {self.broker}; disk: {self.disk}"),
            ("seconds under fire", f"{self.size.seconds:g}, and {self.settled_seconds:.0f} until all was settled"),
            ("faults survived", f"{sum(self.faults.values())}"),
            *((f"  {kind}", str(count)) for kind, count in sorted(self.faults.items())),
            ("processes ended by themselves", ", ".join(f"{k} {v}" for k, v in sorted(self.ended.items())) or "none"),
            ("entries in the log", f"{self.entries:,}"),
            ("statements checked", f"{sum(report.operations.values()):,}"),
            *(
                (f"  {meaning}", f"{report.operations.get(name, 0):,}")
                for name, meaning in (("ok", "acknowledged"), ("fail", "refused"), ("info", "never known"))
            ),
            ("attempts", f"{report.seen.get('invoke', 0):,}, of unknown outcome {report.seen.get('info', 0):,}"),
            ("reads checked", f"{report.seen.get('read', 0) + report.seen.get('size', 0):,}"),
            ("checkpoints checked", f"{report.seen.get('root', 0):,}"),
            ("deliveries checked", f"{report.seen.get('delivered', 0):,}"),
            ("seconds without availability", f"{report.without_availability:.1f}"),
            ("anomalies", f"{len(report.anomalies)}" + (f", and {len(self.wrong)} to explain" if self.wrong else "")),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


class _Run:
    def __init__(self, folder: Path, seed: int, size: Size) -> None:
        self.folder = folder
        self.seed = seed
        self.size = size
        self.ended: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.history = History(folder / "history.jsonl")
        self._roots: set[tuple[str, int, str]] = set()

    def note_end(self, name: str, status: int, tail: list[str]) -> None:
        """Take note of a process that ended by itself."""
        self.history.add("stand", "ended", name=name, status=status, tail=tail[-6:])
        self.ended[f"{name.rpartition('-')[0]} ({status})"] += 1

    def shown(self, who: str, begun_at: float, note: bytes) -> None:
        """Write down a checkpoint that somebody was shown: of those in receipts, each once."""
        size, root = root_of_note(note)
        if begun_at or (who, size, root) not in self._roots:
            self._roots.add((who, size, root))
            self.history.add(who, "root", begun_at=begun_at, size=size, root=root)

    def run(self) -> Result:
        size = self.size
        stand = Stand(self.folder, apache=size.apache, publishers=size.publishers + size.conveyed, ended=self.note_end)
        try:
            return self._with(stand)
        finally:
            stand.close()
            self.history.close()

    def _with(self, stand: Stand) -> Result:
        size = self.size
        wanted = declared(stand.topics)
        ids = [one.authority for one in stand.signers]
        direct = Connection(KafkaSection(bootstrap=tuple(stand.broker.bootstrap.split(","))))
        with direct.admin() as admin:
            carry_out(admin, compare(admin, wanted, ids, acls=False), wanted.replication)
        stand.start(gateways=size.gateways, ingests=size.ingests, projectors=size.projectors)
        stop, stop_reading = threading.Event(), threading.Event()
        publishers = self._publishers(stand, stop)
        watchers = self._watchers(stand, stop_reading)
        for thread in (*publishers, *watchers):
            thread.start()

        targets = [*stand.processes]
        faults: list[Fault] = plan(self.seed, size.seconds, targets)
        nemesis = Nemesis(stand, self.history, self.seed)
        until = time.monotonic() + size.seconds
        nemesis.run(faults)
        # The run lasts as long as was asked, though its last fault may be over before.
        time.sleep(max(0.0, until - time.monotonic()))
        stand.heal()

        healed_at = time.monotonic()
        stop.set()
        for one in publishers:
            one.give_up = healed_at + SETTLE_SECONDS
        for one in publishers:
            one.join(SETTLE_SECONDS + 60)
            one.close()
        # Whoever waits no longer may still be taken: the log is whole when nobody takes anything any more.
        for name, process in stand.processes.items():
            if name.startswith(("gateway", "ingest")):
                stand.end(process)
        with closing(open_store(stand.direct, read_only=True)) as store:
            outcome = self._outcome(store)
            self._await_topics(stand, outcome)
            self._await_projections(stand, store)
            stop_reading.set()
            for thread in watchers:
                thread.join(60)
            settled = time.monotonic() - healed_at
            for name, process in stand.processes.items():
                if not name.startswith(("gateway", "ingest")):
                    stand.end(process)
            self._digest(stand, store, outcome)
        self._sound(stand)
        for thread in (*publishers, *watchers):
            if thread.failure is not None:
                self.wrong.append(f"{thread.name} failed: {thread.failure!r}")
            elif thread.is_alive():
                self.wrong.append(f"{thread.name} hangs")
        self.wrong += stand.left + stand.unclean
        outcome.statements = self._receipts(stand, ids)
        history = list(lines(self.history.path))
        report = check(history, outcome)
        # Of each kind the first few: what follows is mostly the same thing seen again.
        for kind, count in Counter(one.kind for one in report.anomalies).items():
            self.wrong.append(f"{kind}, {count} times: {KINDS[kind]}")
            for anomaly in [one for one in report.anomalies if one.kind == kind][:EVIDENCE_SHOWN]:
                self.wrong.append(_told(anomaly, evidence(anomaly, history)))
        return Result(
            self.seed, size, report, nemesis.survived, len(outcome.entries), self.ended, settled,
            stand.disk.name, stand.broker.name, self.wrong,
        )  # fmt: skip

    def _publishers(self, stand: Stand, stop: threading.Event) -> list[Publisher]:
        size, wanted = self.size, declared(stand.topics)
        made: list[Publisher] = []
        for number, one in enumerate(stand.signers):
            how = (f"publisher-{number}", one, self.seed, self.history, stop, size.per_second)
            if number < size.publishers:
                made.append(HttpPublisher(*how, gateways=stand.gateways, shown=self.shown))
            else:
                receipts = wanted.receipts_of(one.authority).name
                made.append(
                    KafkaPublisher(*how, bootstrap=stand.broker.reached_at, submissions=SUBMISSIONS, receipts=receipts)
                )
        return made

    def _watchers(self, stand: Stand, stop: threading.Event) -> list[Reader | Subscriber]:
        made: list[Reader | Subscriber] = [
            Reader(f"reader-{n}", stand.address, stand.gateways, self.seed, self.history, stop, self.shown)
            for n in range(self.size.readers)
        ]
        made += [
            Subscriber(
                f"subscriber-{n}", stand.broker.reached_at, (ENTRIES, PUBLIC)[n % 2], self.seed, self.history, stop
            )
            for n in range(self.size.subscribers)
        ]
        return made

    # --- what there is at the end ---

    def _outcome(self, store: Store) -> Outcome:
        acts = catalogue()
        entries, all_of, public = [], dict[int, list[int]](), dict[int, list[int]]()
        counts = PARTITIONS
        for topic, into in ((ENTRIES, all_of), (PUBLIC, public)):
            into.update({number: [] for number in range(counts[topic])})
        for index, data in enumerate(store.scan()):
            act = recorded(index, data, acts)
            said, entry = act.statement, act.entry
            entries.append(
                Kept(
                    index, leaf_hash(data), said.id.hex(), said.key.hex(), said.sequence, said.subject.hex(),
                    entry.subject_version, said.case.hex(), entry.case_version, entry.accepted, entry.recorded_at,
                )
            )  # fmt: skip
            all_of[partition_of(said.case, counts[ENTRIES])].append(index)
            if entry.accepted and said.visibility.ring == "public":
                public[partition_of(said.case, counts[PUBLIC])].append(index)
        return Outcome(entries, {}, {ENTRIES: all_of, PUBLIC: public})

    def _await_topics(self, stand: Stand, outcome: Outcome) -> None:
        whole = len(outcome.entries)
        checkpoints: list[tuple[int, bytes]] = []

        def relayed() -> bool:
            outcome.topics = {
                topic: _held(topic, reading(stand.broker.bootstrap, topic), partitions)
                for topic, partitions in outcome.expected.items()
            }
            there = {
                one.index for held in outcome.topics.values() for part in held.values() for one in part
            }  # fmt: skip
            newest = reading(stand.broker.bootstrap, CHECKPOINTS)
            checkpoints[:] = [wire.unpack_checkpoint(one.value) for one in newest if one.value]
            return len(there) == whole == max((size for size, _ in checkpoints), default=0)

        came_about(relayed, SETTLE_SECONDS, every=0.3)
        sizes = [size for size, _ in checkpoints]
        # Entries that are missing are the checker's to find.
        if max(sizes, default=0) != whole:
            self.wrong.append(f"{CHECKPOINTS} ends at size {max(sizes, default=0)} of {whole}")
        for size, note in checkpoints:
            assert size == root_of_note(note)[0]
            self.shown(CHECKPOINTS, 0.0, note)
        if sizes != sorted(sizes):
            self.wrong.append(f"{CHECKPOINTS} does not grow")

    def _await_projections(self, stand: Stand, store: Store) -> None:
        """Wait; what is behind then is the checker's to find."""
        with self._shared(stand, store) as shared, self._followed() as followed:
            came_about(
                lambda: min(*shared.sizes().values(), *followed.sizes().values()) >= store.size(),
                SETTLE_SECONDS,
                every=0.2,
            )

    def _shared(self, stand: Stand, store: Store) -> Shared:
        """The projections that the workers fill."""
        return Shared(store, catalogue(), stand.direct, partitions=PARTITIONS[ENTRIES])

    def _followed(self) -> Runner:
        """Those of the follower."""
        return Runner(None, None, self.folder / "follower-0" / "projections.db")

    def _digest(self, stand: Stand, store: Store, outcome: Outcome) -> None:
        size = store.size()
        assert size == len(outcome.entries), "somebody appended after everybody had stopped"

        def digests(filled: Runner | Shared) -> dict[str, str]:
            parked = filled.parked()
            self.wrong += [f"parked: {one}" for one in parked[:3]]
            whole = {name for name, at in filled.sizes().items() if at == size} - {one.projection for one in parked}
            return {name: filled.digest(name, size) for name in whole}

        with Runner(store, catalogue(), self.folder / "rebuilt.db") as runner:
            runner.catch_up()
            outcome.rebuilt = digests(runner)
        with self._shared(stand, store) as shared, self._followed() as followed:
            outcome.digests = {"the workers": digests(shared), "the follower": digests(followed)}

    def _receipts(self, stand: Stand, ids: list[bytes]) -> list[tuple[str, int]]:
        """Every receipt in the topics of those who publish by Kafka: statement, index."""
        found, wanted = [], declared(stand.topics)
        for who in ids[self.size.publishers :]:
            for one in reading(stand.broker.bootstrap, wanted.receipts_of(who).name):
                told = wire.unpack_answer(one.value or b"")
                if told.index is not None:
                    found.append((told.statement_id.hex(), told.index))
        return found

    def _sound(self, stand: Stand) -> None:
        """The log by two recomputations that are not this checker's."""
        home = self.folder / "founder"
        (home / "store").write_text(stand.direct + "\n", encoding="utf-8")
        with Ledger.open(home) as ledger:
            try:
                check_everything(ledger)
            except AssertionError as error:
                self.wrong.append(f"the log is not what its entries make it: {error}")
            self.wrong += [str(fault) for fault in fsck.check(ledger.store, ledger.catalogue).faults]


def _held(topic: str, seen: list[Seen], partitions: Mapping[int, Any]) -> dict[int, list[Delivery]]:
    found: dict[int, list[Delivery]] = {number: [] for number in partitions}
    for one in seen:
        if one.value is not None:
            index, leaf = delivered(topic, one)
            found[one.partition].append(Delivery(one.offset, index, leaf))
    return found


def _told(anomaly: Anomaly, shown: list[str]) -> str:
    head = f"{anomaly.kind}: {anomaly.what}; indexes {list(anomaly.indexes)}, ids {list(anomaly.ids)}"
    return head + "".join(f"\n    {line}" for line in shown)


def run(folder: Path, seed: int, size: Size) -> Result:
    """
    Do one run in *folder*, which keeps the history and what every process said.

    Args:
        folder: empty.
        seed: of the faults and of what is said; how threads and processes take turns is not in our hands.
        size: how large.
    """
    return _Run(folder, seed, size).run()
