"""
The clients of a run: they publish, by HTTP and by Kafka, they read, they subscribe; and write down all of it.

A publisher owns one key. It sends the same bytes until it has a receipt, to whichever gateway; what it cannot know
it calls unknown. Now and then it says what can never be taken, or what it has said already.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as faults

from ledger.acts import catalogue
from ledger.errors import ComityError
from ledger.kafka import wire
from ledger.statement import (
    Draft,
    Signed,
    Visibility,
    encode_statement,
    new_id,
    sha256_of,
    signed_message,
    statement_from,
)
from ledger.store import open_store
from ledger.verify import leaf_hash, parse_checkpoint, parse_note
from tests.fire.history import LEAF_DIGITS
from tests.small_ledger import ORIGIN
from tests.town import OPENED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.keys import Signer
    from tests.fire.history import History

ANSWER_SECONDS: Final = 8.0
"""How long a publisher waits for an answer by HTTP; it asks again with the same bytes."""

CONVEYED_SECONDS: Final = 15.0
"""How long for one by Kafka."""

FLIGHT_MAX: Final = 12
"""Statements that one publisher sends together."""

PAUSE_SECONDS: Final = 0.1


@dataclass(slots=True)
class Sent:
    """A statement on its way."""

    id: str
    signed: Signed
    sequence: int
    never: bool = False
    attempt: int = -1


class Publisher(threading.Thread, ABC):
    """
    Says things under one key until it is told to stop; then until everything it said has its receipt.

    Args:
        name: by which the history knows it.
        signer: its authority and key; nobody else publishes with it.
        seed: of what it says.
        history: takes what it sends and hears.
        stop: no more is said from then on.
        per_second: about how many statements, when all is well.
    """

    def __init__(
        self, name: str, signer: Signer, seed: int, history: History, stop: threading.Event, per_second: float
    ) -> None:
        """Publish nothing yet; ``start`` starts it."""
        super().__init__(name=name, daemon=True)
        self._signer = signer
        self._random = random.Random(f"{seed} {name}")
        self._history = history
        self._stop_saying = stop
        self._pause = FLIGHT_MAX / 2 / per_second
        self.give_up = float("inf")
        self.failure: BaseException | None = None
        self._sequence = 0
        self._cases: list[bytes] = []
        self._done: list[Sent] = []

    def run(self) -> None:
        """Publish."""
        try:
            waiting: list[Sent] = []
            while not self._stop_saying.is_set() or waiting:
                if time.monotonic() > self.give_up:
                    return
                if not waiting and not self._stop_saying.is_set():
                    waiting = [self._say() for _ in range(self._random.randint(1, FLIGHT_MAX))]
                extra = []
                if not self._stop_saying.is_set() and self._random.random() < 0.15:
                    extra.append(self._never())
                if self._done and self._random.random() < 0.1:
                    extra.append(self._random.choice(self._done))
                answered = self.send([*waiting, *extra])
                self._done = [*self._done, *(one for one in waiting if one.id in answered)][-200:]
                waiting = [one for one in waiting if one.id not in answered]
                # Whoever publishes has something else to do between; and hammers nobody who is down.
                time.sleep(self._pause * self._random.random() if not waiting else PAUSE_SECONDS)
        except BaseException as error:
            self.failure = error
            raise

    @abstractmethod
    def send(self, sent: Sequence[Sent]) -> set[str]:
        """Send these together; return the ids of those that have a receipt now."""

    def close(self) -> None:
        """Close what it has open."""

    # What it says.

    def _say(self) -> Sent:
        choice = self._random.random()
        act: str = "case.opened"
        body: dict[str, Any] = OPENED
        if not self._cases or choice < 0.25:
            case = self._random.randbytes(16)
            self._cases = [*self._cases, case][-20:]
        else:
            # Now and then a case is opened a second time: recorded as rejected.
            case = self._random.choice(self._cases)
            if choice < 0.95:
                act, body = "person.registered", {"person": self._random.randbytes(16), "role": "suspect"}
        made = self._signed(act, case, body, self._sequence)
        self._sequence += 1
        return made

    def _signed(self, act: str, case: bytes, body: dict[str, Any], sequence: int, origin: str = ORIGIN) -> Sent:
        at = time.time_ns() // 1000
        signer = self._signer
        ring = self._random.choice(["public", "oversight", "addressees"])
        draft = Draft(
            act=act, case=case, subject=case, body=body, occurred_from=at, occurred_until=at,
            visibility=Visibility(ring=ring),
        )  # fmt: skip
        identity = new_id(at, self._random.randbytes(10))
        data = encode_statement(
            statement_from(
                draft,
                statement_id=identity,
                ledger=origin,
                publisher=signer.authority,
                key=signer.key.id,
                sequence=sequence,
                body=catalogue().encode(act, 1, body),
            )
        )
        return Sent(identity.hex(), Signed(data, signer.key.sign(signed_message(data))), sequence)

    def _never(self) -> Sent:
        """Something that can never be taken, whenever it arrives."""
        kind = self._random.choice(["signature", "origin", "far", "used"])
        case = self._random.randbytes(16)
        if kind == "origin":
            made = self._signed("case.opened", case, OPENED, self._sequence, "another.example/simulation")
        elif kind == "far":
            made = self._signed("case.opened", case, OPENED, self._sequence + 1_000_000)
        elif kind == "used" and self._done:
            made = self._signed("case.opened", case, OPENED, self._done[0].sequence)
        else:
            made = self._signed("case.opened", case, OPENED, self._sequence)
            forged = bytes([made.signed.signature[0] ^ 1]) + made.signed.signature[1:]
            made.signed = Signed(made.signed.statement, forged)
        made.never = True
        return made

    # What it writes down.

    def _invoke(self, one: Sent) -> None:
        one.attempt += 1
        key = self._signer.key.id.hex()
        self._history.add(
            self.name, "invoke", id=one.id, attempt=one.attempt, key=key, sequence=one.sequence, never=one.never
        )

    def _ok(self, one: Sent, index: int, *, accepted: bool) -> None:
        self._history.add(self.name, "ok", id=one.id, attempt=one.attempt, index=index, accepted=accepted)

    def _fail(self, one: Sent, reason: str) -> None:
        self._history.add(self.name, "fail", id=one.id, attempt=one.attempt, reason=reason)

    def _info(self, one: Sent, why: str) -> None:
        self._history.add(self.name, "info", id=one.id, attempt=one.attempt, why=why[:120])


class HttpPublisher(Publisher):
    """Publishes by HTTP, to any of the gateways."""

    def __init__(self, *how: Any, gateways: Sequence[int], shown: Callable[[str, float, bytes], None]) -> None:
        """Publish to these ports; *shown* takes each checkpoint that a receipt brings."""
        super().__init__(*how)
        self._gateways = gateways
        self._shown = shown

    def send(self, sent: Sequence[Sent]) -> set[str]:
        """Send these in one request, to one gateway."""
        for one in sent:
            self._invoke(one)
        try:
            body = {"statements": [_json(one.signed) for one in sent]}
            answers = _post(self._random.choice(self._gateways), "/statements", body)["answers"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            for one in sent:
                self._info(one, f"{type(error).__name__}: {error}")
            return set()
        answered = set()
        for one, answer in zip(sent, answers, strict=True):
            if answer["disposition"] == "refused":
                self._fail(one, answer["reason"])
            else:
                assert UUID(answer["statement"]).hex == one.id
                self._ok(one, answer["index"], accepted=answer["disposition"] == "accepted")
                answered.add(one.id)
                # The first checkpoint that covers it: not the newest, so it is stale by right.
                self._shown(self.name, 0.0, _note_of(answer["proof"].encode()))
        return answered


class KafkaPublisher(Publisher):
    """Publishes through Kafka, out of order and twice now and then, and reads its topic of receipts."""

    def __init__(self, *how: Any, bootstrap: str, submissions: str, receipts: str) -> None:
        """Publish to *submissions*, be answered in *receipts*."""
        super().__init__(*how)
        self._brokers = bootstrap
        self._submissions = submissions
        self._receipts = receipts
        self._producer: KafkaProducer | None = None
        self._consumer: KafkaConsumer | None = None
        self._position: int | None = None

    def send(self, sent: Sequence[Sent]) -> set[str]:
        """Send these, and read receipts until all are there or it has taken too long."""
        order = list(sent)
        if self._random.random() < 0.3:
            order += self._random.sample(order, self._random.randint(1, len(order)))
        if self._random.random() < 0.3:
            place = self._random.randrange(len(order))
            order[place : place + 3] = reversed(order[place : place + 3])
        # By the bytes that were sent: an id alone may be somebody else's copy.
        by_bytes = {sha256_of(one.signed.statement): one for one in sent}
        for one in sent:
            self._invoke(one)
        answered: set[str] = set()
        refused: set[str] = set()
        why = "no answer"
        try:
            producer, consumer = self._clients()
            for one in order:
                producer.send(self._submissions, wire.pack_submission(one.signed), self._signer.key.id)
            producer.flush(timeout=CONVEYED_SECONDS)
            until = time.monotonic() + CONVEYED_SECONDS
            while len(answered | refused) < len(by_bytes) and time.monotonic() < until:
                self._read(consumer, by_bytes, answered, refused)
        except (faults.KafkaError, OSError, KeyError, AssertionError, RuntimeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            self.close()
        for one in sent:
            if one.id not in answered and not (one.never and one.id in refused):
                self._info(one, why)
        return answered

    def _read(
        self, consumer: KafkaConsumer, by_bytes: dict[bytes, Sent], answered: set[str], refused: set[str]
    ) -> None:
        here = TopicPartition(self._receipts, 0)
        if not consumer.assignment():
            if not consumer.partitions_for_topic(self._receipts):
                # Whoever waits for the answers asks once more, until his deadline.
                time.sleep(PAUSE_SECONDS)
                return
            consumer.assign([here])
            if self._position is None:
                consumer.seek_to_beginning(here)
            else:
                consumer.seek(here, self._position)
        for some in consumer.poll(timeout_ms=200).values():
            for one in some:
                self._position = one.offset + 1
                told = wire.unpack_answer(one.value)
                sent = by_bytes.get(told.statement_sha256)
                if sent is None:
                    continue
                if told.outcome != "refused":
                    assert told.index is not None
                    if sent.id not in answered:
                        self._ok(sent, told.index, accepted=told.outcome == "accepted")
                    answered.add(sent.id)
                else:
                    # An honest one may still be taken: it was sent twice, or comes again after a rebalance.
                    if sent.never:
                        self._fail(sent, told.reason or "")
                    refused.add(sent.id)

    def _clients(self) -> tuple[KafkaProducer, KafkaConsumer]:
        if self._producer is None or self._consumer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._brokers, acks="all", linger_ms=5, max_block_ms=5_000,
                request_timeout_ms=5_000, delivery_timeout_ms=10_000, bootstrap_timeout_ms=5_000,
            )  # fmt: skip
            self._consumer = _consumer(self._brokers)
        return self._producer, self._consumer

    def close(self) -> None:
        """Forget both clients; others are made."""
        if self._producer is not None:
            try:
                self._producer.close(timeout=1)
            except faults.KafkaTimeoutError:
                # What is not delivered by then keeps it from closing, and its thread alive: end that by force.
                self._producer._sender.force_close()
                self._producer._closed = True
        if self._consumer is not None:
            with suppress(Exception):
                self._consumer.close(timeout_ms=1_000)
        self._producer = self._consumer = None


class Reader(threading.Thread):
    """Reads the log as a tailing reader does, from the database and from the gateways."""

    def __init__(
        self, name: str, address: str, gateways: Sequence[int], seed: int, history: History, stop: threading.Event,
        shown: Callable[[str, float, bytes], None],
    ) -> None:  # fmt: skip
        """Read from this address, and checkpoints from these ports."""
        super().__init__(name=name, daemon=True)
        self._address = address
        self._gateways = gateways
        self._random = random.Random(f"{seed} {name}")
        self._history = history
        self._stop_reading = stop
        self._shown = shown
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Read."""
        try:
            while not self._stop_reading.is_set():
                with suppress(ComityError), closing(open_store(self._address, read_only=True)) as store:
                    self._follow(store)
                self._stop_reading.wait(PAUSE_SECONDS)
        except BaseException as error:
            self.failure = error
            raise

    def _follow(self, store: Any) -> None:
        place = 0
        while not self._stop_reading.is_set():
            begun_at = time.monotonic()
            size = store.size()
            self._history.add(self.name, "size", begun_at=begun_at, size=size)
            start = place if self._random.random() < 0.9 else self._random.randrange(size)
            begun_at = time.monotonic()
            found = store.entries(start, 500)
            leaves = [leaf_hash(entry).hex()[:LEAF_DIGITS] for _, entry in found]
            assert [index for index, _ in found] == list(range(start, start + len(found)))
            self._history.add(self.name, "read", begun_at=begun_at, start=start, leaves=leaves)
            if start == place:
                place += len(found)
            begun_at = time.monotonic()
            with suppress(OSError, http.client.HTTPException):
                self._shown(self.name, begun_at, _get(self._random.choice(self._gateways), "/checkpoint"))
            self._stop_reading.wait(PAUSE_SECONDS * 2)


class Subscriber(threading.Thread):
    """Reads a topic of entries, every partition, and begins anew now and then."""

    def __init__(
        self, name: str, bootstrap: str, topic: str, seed: int, history: History, stop: threading.Event
    ) -> None:
        """Read this topic."""
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._topic = topic
        self._random = random.Random(f"{seed} {name}")
        self._history = history
        self._stop_reading = stop
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Read."""
        positions: dict[TopicPartition, int] = {}
        try:
            while not self._stop_reading.is_set():
                with suppress(faults.KafkaError, OSError, KeyError, RuntimeError, ValueError):
                    self._follow(positions)
                if self._random.random() < 0.3:
                    positions.clear()
                self._stop_reading.wait(PAUSE_SECONDS)
        except BaseException as error:
            self.failure = error
            raise

    def _follow(self, positions: dict[TopicPartition, int]) -> None:
        with closing(_consumer(self._brokers)) as consumer:
            numbers = consumer.partitions_for_topic(self._topic)
            if not numbers:
                return
            here = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            consumer.assign(here)
            consumer.seek_to_beginning(*here)
            for where, offset in positions.items():
                consumer.seek(where, offset)
            until = time.monotonic() + 20 * self._random.random()
            while not self._stop_reading.is_set() and time.monotonic() < until:
                for where, some in consumer.poll(timeout_ms=200).items():
                    for one in some:
                        positions[where] = one.offset + 1
                        if one.value is not None:
                            index, leaf = delivered(self._topic, one)
                            self._history.add(
                                self.name, "delivered", topic=self._topic, partition=where.partition,
                                offset=one.offset, index=index, leaf=leaf[:LEAF_DIGITS],
                            )  # fmt: skip


def delivered(topic: str, one: Any) -> tuple[int, str]:
    """Return the index that a message names, and the leaf hash, in hexadecimal, of the entry that it carries."""
    index = wire.index_in(one.headers)
    if one.value[: wire.FRAME_BYTES] == wire.frame("proven_entry"):
        proven, entry, _ = wire.unpack_proven(one.value)
        assert proven == index
    else:
        entry = wire.unframe("entry", one.value)
    leaf = leaf_hash(entry).hex()
    assert dict(one.headers)["leaf"] == leaf.encode()
    return index, leaf


def _consumer(bootstrap: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
        request_timeout_ms=5_000, bootstrap_timeout_ms=5_000,
    )  # fmt: skip


def root_of_note(note: bytes) -> tuple[int, str]:
    """Return size and root, in hexadecimal, of a checkpoint."""
    head = parse_checkpoint(parse_note(note).text)
    return head.size, head.root.hex()


def _note_of(proof: bytes) -> bytes:
    """The checkpoint at the end of a tlog-proof."""
    return proof.partition(b"\n\n")[2]


def _json(signed: Signed) -> dict[str, str]:
    return {
        "statement": b64encode(signed.statement).decode(),
        "signature": b64encode(signed.signature).decode(),
    }


def _post(port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {data[:200]!r}")
        found: dict[str, Any] = json.loads(data)
        return found


def _get(port: int, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {data[:200]!r}")
        return data
