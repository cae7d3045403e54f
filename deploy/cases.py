"""
The two real cases, through the whole of it: `make cluster-demo`.

Each authority signs on its own machine; here that is a scratch ledger that signs what `comity demo` signs, under the
same origin. What is then published are these bytes, by two ways at once: Germany's authorities speak Kafka, the others
HTTP. On the way the gateway and the relay are killed. What is shown comes from the projections, through the commands
that a user has.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from kafka import TopicPartition

from ledger import resources, scenarios
from ledger.configuration import KafkaSection
from ledger.kafka import wire
from ledger.kafka.connection import Connection, track
from ledger.kafka.topics import ENTRIES, RECEIPTS, SUBMISSIONS
from ledger.statement import Signed, Statement, decode_entry, decode_statement, sha256_of

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

    from deploy.cluster import Stack

ANSWER_SECONDS: Final = 120.0
BY_KAFKA: Final = "DE"
MANY: Final = 100


class NotShown(Exception):  # noqa: N818 -- says what became of the demonstration
    """The demonstration did not show what it claims: what happened instead, and where to look."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A statement as its authority signed it, and which way it takes."""

    signed: Signed
    statement: Statement
    by_kafka: bool


class _Story:
    """What was signed, and what the ids in it are called."""

    def __init__(self, folder: Path, origin: str, names: tuple[str, ...]) -> None:
        told = [scenarios.load(resources.path("scenarios") / f"{name}.toml") for name in names]
        self.titles = [one.title for one in told]
        german = {
            scenarios.identity(origin, "authority", slug)
            for one in told
            for slug, cast in one.cast.items()
            if cast.holder == BY_KAFKA
        }
        with closing(scenarios.play(told, folder, origin=origin)) as played:
            self.cases = [played.named(slug) for slug in ("encrochat-de", "aranyosi")]
            self.exhibit = played.named("chat-1")
            self.signed = []
            for entry in list(played.store.scan())[1:]:
                read = decode_entry(entry)
                statement = decode_statement(read.statement)
                signed = Signed(read.statement, read.signature, read.batch)
                self.signed.append(_Signed(signed, statement, statement.publisher in german))


def show(stack: Stack, started: float) -> None:
    """Publish both cases, show them, verify one offline, and publish them again."""
    with tempfile.TemporaryDirectory(prefix="comity-demo-") as scratch:
        story = _Story(Path(scratch) / "signed", stack.origin, stack.scenarios)
        print(f"\nEverything answers after {started:.0f} seconds:\n")
        for name, where in stack.where():
            print(f"  {name:<16} {where}")
        receipts = _publish(stack, story)
        _carried(stack)
        _shown(stack, story)
        _verified(stack, story, Path(scratch))
        _again(stack, story, receipts)
    print("\n`make cluster` goes on with this ledger, and says how to ask it.\n")


def _head(title: str) -> None:
    print(f"\n{title}\n{'=' * len(title)}\n", flush=True)


# -------------------------------------------------------------------------------- publishing


def _publish(stack: Stack, story: _Story) -> list[int]:
    """Publish everything while two services are killed; return the index in each receipt."""
    by_kafka = sum(one.by_kafka for one in story.signed)
    by_http = len(story.signed) - by_kafka
    _head("1. Two real cases, published by two ways at once")
    for title in story.titles:
        print(f"- {title}")
    print(
        f"\nGermany's authorities submit {by_kafka} statements through Kafka, the others {by_http} through the "
        "gateway.\nAfter the first third the gateway is killed, after the second the relay."
    )
    before, began = _size(stack), time.monotonic()
    third = len(story.signed) // 3
    receipts = []
    with _Ways(stack) as ways:
        for number, one in enumerate(story.signed):
            if number in {third, 2 * third}:
                stack.kill("gateway" if number == third else "relay")
            receipts.append(ways.publish(one))
    size = _size(stack)
    print(
        f"\n{len(story.signed)} statements have their receipts after {time.monotonic() - began:.1f} seconds; "
        f"the log grew by {size - before} entries, to {size}."
    )
    print(f"\n{stack.asked('/checkpoint').decode().split(chr(10) * 2, 1)[0]}")
    return receipts


class _Ways:
    """How a statement gets to the log and its answer back: by HTTP, or by Kafka."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._connection = Connection(KafkaSection(bootstrap=tuple(stack.bootstrap.split(","))))
        # By the hash of the bytes that were sent: an id alone may be somebody else's copy.
        self._heard: dict[bytes, wire.Told] = {}

    def __enter__(self) -> Self:
        self._producer = self._connection.producer()
        self._consumer = self._connection.consumer()
        self._to: KafkaProducer = self._producer.__enter__()
        self._from: KafkaConsumer = self._consumer.__enter__()
        track(self._to, SUBMISSIONS)
        return self

    def __exit__(self, *why: Any) -> None:
        self._consumer.__exit__(*why)
        self._producer.__exit__(*why)

    def publish(self, one: _Signed) -> int:
        """
        Return the index in the receipt. Nothing is lost where somebody dies: it is sent again.

        Raises:
            NotShown: it was not accepted, or nobody answered for ``ANSWER_SECONDS``.
        """
        return self._through_kafka(one) if one.by_kafka else self._through_http(one)

    def _through_http(self, one: _Signed) -> int:
        body = json.dumps(
            {
                "statement": b64encode(one.signed.statement).decode(),
                "signature": b64encode(one.signed.signature).decode(),
            }
        ).encode()
        url = f"http://127.0.0.1:{self._stack.gateway}/statements"
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    found: dict[str, Any] = json.load(answer)
                    return _accepted(found["disposition"], found["index"], f"{found}")
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")
                if error.code < 500 and error.code != 429:
                    return _accepted("refused", None, said)
            except OSError:
                pass
            if time.monotonic() > until:
                raise NotShown(f"{url} gave no answer for {ANSWER_SECONDS:.0f} seconds; see {self._stack.folder}/*.log")
            time.sleep(0.1)

    def _through_kafka(self, one: _Signed) -> int:
        topic = RECEIPTS + str(UUID(bytes=one.statement.publisher))
        self._follow(topic)
        sent = self._to.send(SUBMISSIONS, wire.pack_submission(one.signed), key=one.statement.key)
        self._to.flush(ANSWER_SECONDS)
        sent.get(ANSWER_SECONDS)
        until = time.monotonic() + ANSWER_SECONDS
        sent_bytes = sha256_of(one.signed.statement)
        while sent_bytes not in self._heard:
            for messages in self._from.poll(100).values():
                for message in messages:
                    told = wire.unpack_answer(message.value)
                    before = self._heard.get(told.statement_sha256)
                    # A receipt is final: no later answer undoes it.
                    if before is None or before.index is None:
                        self._heard[told.statement_sha256] = told
            if time.monotonic() > until:
                raise NotShown(
                    f"no answer came in {topic} for {ANSWER_SECONDS:.0f} seconds; see {self._stack.folder}/*.log"
                )
        told = self._heard.pop(sent_bytes)
        return _accepted(told.outcome, told.index, f"{told.reason} {told.field or ''}")

    def _follow(self, topic: str) -> None:
        """Read a topic of receipts too, from its end, before anything is submitted that is answered there."""
        partition = TopicPartition(topic, 0)
        if partition in self._from.assignment():
            return
        if not self._from.partitions_for_topic(topic):
            self._stack.make_topics()
        positions = {known: self._from.position(known) for known in self._from.assignment()}
        self._from.assign([*positions, partition])
        for known, offset in positions.items():
            self._from.seek(known, offset)
        self._from.seek_to_end(partition)
        self._from.position(partition)


def _accepted(outcome: str, index: int | None, said: str) -> int:
    """Return the index of what was accepted; NotShown of anything else, for all of this was accepted before."""
    if outcome != "accepted" or index is None:
        raise NotShown(f"a statement that the scenarios' own ledger accepted was {outcome} here: {said}")
    return index


def _size(stack: Stack) -> int:
    return int(stack.asked("/checkpoint").split(b"\n", 2)[1])


def _carried(stack: Stack) -> None:
    """Wait until the relay and the projector have all of it."""
    _head("2. Carried to the topics, and into the projections")
    size, began = _size(stack), time.monotonic()
    connection = Connection(KafkaSection(bootstrap=tuple(stack.bootstrap.split(","))))
    with connection.consumer() as reading:
        numbers = sorted(reading.partitions_for_topic(ENTRIES) or ())
        reading.assign([TopicPartition(ENTRIES, number) for number in numbers])
        reading.seek_to_beginning()
        seen: list[int] = []
        while len(set(seen)) < size and time.monotonic() < began + ANSWER_SECONDS:
            for messages in reading.poll(200).values():
                seen += [wire.index_in(message.headers) for message in messages if message.value]
    print(f"comity.entries holds {len(set(seen))} of {size} entries, {len(seen) - len(set(seen))} of them twice.")
    if len(set(seen)) != size:
        raise NotShown(f"the relay did not carry all of it; see {stack.folder}/relay.log")


# ------------------------------------------------------------------------------------ showing


def _shown(stack: Stack, story: _Story) -> None:
    _head("3. What the projections say")
    _projected(stack)
    encrochat, surrender = (str(UUID(bytes=case)) for case in story.cases)
    _command(stack, "case", "show", surrender)
    _command(stack, "deadlines", encrochat, "--happened-by", "2020-06-20")
    _command(stack, "exhibit", "trace", str(UUID(bytes=story.exhibit)), "--happened-by", "2020-06-02")


def _projected(stack: Stack) -> None:
    """Wait until every projection has the whole log."""
    until = time.monotonic() + ANSWER_SECONDS
    while True:
        found = json.loads(stack.read("project", "status", "--json"))
        if min(found["projections"].values()) == found["size"]:
            break
        if time.monotonic() > until:
            raise NotShown(f"the projector is behind: {found}; see {stack.folder}/projector.log")
    _command(stack, "project", "status")


def _command(stack: Stack, *arguments: str) -> None:
    print(f"$ comity {' '.join(arguments)}\n")
    print(stack.read(*arguments), flush=True)


def _verified(stack: Stack, story: _Story, scratch: Path) -> None:
    _head("4. One case as a bundle, verified with Python alone")
    case = str(UUID(bytes=story.cases[0]))
    bundle = scratch / "case.zip"
    stack.read("bundle", case, "--output", str(bundle))
    with zipfile.ZipFile(bundle) as packed:
        packed.extract("verify.py", scratch)
    print(f"$ comity bundle {case} --output case.zip\n$ python3 -I verify.py case.zip --pin {stack.pin}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", scratch / "verify.py", bundle, "--pin", stack.pin],
        capture_output=True, text=True, check=False, env={}, cwd=scratch,
    )  # fmt: skip
    if done.returncode:
        raise NotShown(f"the bundle did not verify: {done.stderr.strip()}")
    # The trail of the case is in it too: a line for each entry, which are counted here.
    said, entries = re.subn(r"^  \d+ .*\n", "", done.stdout.strip(), flags=re.MULTILINE)
    print(said.replace("Entries:", f"Entries: {entries}, a line for each"))


def _again(stack: Stack, story: _Story, receipts: list[int]) -> None:
    _head("5. The same once more, and nothing twice")
    before = _size(stack)
    with _Ways(stack) as ways:
        again = [ways.publish(one) for one in story.signed[:MANY]]
    if _size(stack) != before or again != receipts[:MANY]:
        raise NotShown(f"what was repeated was recorded twice: {before} entries before, {_size(stack)} after")
    print(
        f"{len(again)} statements were submitted again, each got the receipt that it had, "
        f"and the log has {before} entries as before."
    )
    often = [f"{name} {number} times" for name, number in stack.starts().items() if number > 1]
    print(f"Started until now: {', '.join(often)}; all else once.")
