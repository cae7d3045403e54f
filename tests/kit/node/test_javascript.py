"""The second implementation: it conforms, and what it signs is recorded once, through HTTP and through Kafka."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from kit.conformance import run, vectors
from ledger.gateway.front import Front, Offer, told
from ledger.statement import Signed, decode_entry, decode_statement
from tests.gateway.asking import serving
from tests.kafka.brokers import ApacheKafka
from tests.kafka.conveyor import Conveyor
from tests.town import DE_PROSECUTOR, ORIGIN, check_everything, found, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.town import Town

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HERE = ROOT / "kit" / "javascript"
BUILT = ROOT / "build" / "kit-javascript"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A ledger, sound at the end."""
    made = found(tmp_path / "ledger")
    yield made
    check_everything(made.ledger)
    made.ledger.close()


@pytest.fixture(scope="module")
def with_kafkajs() -> Path:
    """The kit, copied to where its one package is installed: once, and kept under build/."""
    shutil.copytree(HERE, BUILT, dirs_exist_ok=True)
    if not (BUILT / "node_modules" / "kafkajs").is_dir():
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=BUILT, check=True, capture_output=True
        )
    return BUILT


class Agency:
    """An agency's program: its settings, its key, its outbox."""

    def __init__(self, town: Town, folder: Path, program: Path = HERE, **how: Any) -> None:
        self.town = town
        self.program = program / "publish.mjs"
        self.settings = folder / "settings.json"
        self.outbox = folder / "outbox"
        key = folder / "key"
        DE_PROSECUTOR.key.save(key)
        self.how = {
            "schemas": str(ROOT / "schemas"),
            "key": str(key),
            "authority": str(UUID(bytes=DE_PROSECUTOR.authority)),
            "outbox": str(self.outbox),
            "origin": ORIGIN,
            "log_keys": town.ledger.vkeys(),
            "ms": 20_000,
            **how,
        }

    def publish(self, *cases: str, **how: Any) -> tuple[int, list[dict[str, Any]], str]:
        """Open these cases; the exit status, the answers, and what was said besides."""
        self.settings.write_text(json.dumps(self.how | how))
        lines = "\n".join(json.dumps(opening(case)) for case in cases)
        done = subprocess.run(
            ["node", str(self.program), str(self.settings)], input=lines, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    @property
    def journal(self) -> bytes:
        """What its outbox has written."""
        return (self.outbox / "outbox").read_bytes()


def opening(case: str) -> dict[str, Any]:
    """What an agency says to open a case."""
    one = str(UUID(bytes=named(case)))
    at = "2023-11-14T22:13:20Z"
    return {
        "voice": "own",
        "case": one,
        "subject": one,
        "act": "case.opened",
        "version": 1,
        "kind": "act",
        "occurred_from": at,
        "occurred_until": at,
        "occurred_confirmed": True,
        "zone": "Europe/Berlin",
        "addressees": [],
        "visibility": {"ring": "case", "embargo_until": None},
        "proceedings": [],
        "language": "de",
        "basis": [],
        "answers": [],
        "attachments": [],
        "body": {"procedure": "criminal", "stage": "investigation", "offences": [], "sensitivity": "ordinary"},
    }


def opened(town: Town) -> list[str]:
    """The cases in the log that the agency opened and the log accepted, in order."""
    names = {named(f"case {number}"): f"case {number}" for number in range(600)}
    entries = [decode_entry(data) for _, data in town.store.entries(0, 10_000)]
    statements = [decode_statement(entry.statement) for entry in entries if entry.accepted]
    return [names[one.case] for one in statements if one.act == "case.opened"]


def cases(first: int, end: int) -> list[str]:
    """Names of cases."""
    return [f"case {number}" for number in range(first, end)]


def test_it_conforms():
    """Another language, other libraries, the same answer to every vector."""
    report = run(["node", str(HERE / "answer.mjs")], vectors())

    assert [] == [(vector.id, answer) for vector, answer in report.failed]
    assert report.passed


def test_the_core_needs_no_package():
    """Only the file that speaks Kafka's protocol imports anything that node does not have."""
    imported = re.compile(r'(?:\bfrom |\bimport\()"([^"]+)"')
    packages = {
        (file.name, one)
        for file in HERE.glob("*.mjs")
        for one in imported.findall(file.read_text(encoding="utf-8"))
        if not one.startswith(("node:", "./"))
    }

    assert {("publish.mjs", "kafkajs")} == packages


def test_what_it_publishes_over_http_is_recorded_once_and_in_order(town, tmp_path):
    """One alone, then many under one signature, then one that the log rejects."""
    with serving(Front(town.ledger, Offer())) as gateway:
        agency = Agency(town, tmp_path, http=f"http://127.0.0.1:{gateway.port}")

        assert 0 == agency.publish("case 0")[0]
        status, answers, _ = agency.publish(*cases(1, 520))
        assert (0, 519) == (status, len(answers))
        status, answers, _ = agency.publish("case 0")

    assert (0, ["rejected"]) == (status, [answer["outcome"] for answer in answers])
    assert cases(0, 520) == opened(town)


def test_it_believes_no_answer_that_is_not_about_what_it_sent(town, tmp_path):
    """Refusals of forged copies, entries that were altered and receipts of others change nothing: it asks again."""

    def lie(rows: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        match len(rounds):
            case 0:
                copies = [Signed(base64.b64decode(row["statement"]), bytes(64)) for row in rows]
                said = [told(town.ledger.submit(copy)) for copy in copies]
                assert ["unauthenticated", "unauthenticated"] == [one["reason"] for one in said]
                return said
            case 1:
                return [{**one, "entry": base64.b64encode(b64_entry(one)[:-1] + b"\x04").decode()} for one in answers]
            case 2:
                return answers[::-1]
            case 3:
                return [{name: value for name, value in one.items() if name != "entry"} for one in answers]
        return answers

    rounds: list[list[str]] = []
    with serving(Front(town.ledger, Offer())) as gateway, lying(gateway.port, lie, rounds) as port:
        status, answers, said = Agency(town, tmp_path, http=f"http://127.0.0.1:{port}").publish("case 0", "case 1")

    assert (0, [("accepted", 5), ("accepted", 6)]) == (status, [(one["outcome"], one["index"]) for one in answers])
    assert 5 == len(rounds)
    assert 2 == said.count("an answer was not believed")
    assert cases(0, 2) == opened(town)


def b64_entry(receipt: dict[str, Any]) -> bytes:
    """The entry of a receipt as the gateway tells it."""
    return base64.b64decode(receipt["entry"])


@contextmanager
def lying(
    port: int,
    lie: Callable[[list[dict[str, Any]], list[dict[str, Any]]], list[dict[str, Any]]],
    rounds: list[list[str]],
) -> Iterator[int]:
    """A proxy before a gateway that changes its answers; *rounds* has what was sent, by statement."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server asks for
            body = self.rfile.read(int(self.headers["content-length"]))
            rows = json.loads(body)["statements"]
            to = HTTPConnection("127.0.0.1", port)
            to.request("POST", self.path, body, {"content-type": "application/json"})
            answers = json.loads(to.getresponse().read())["answers"]
            to.close()
            said = json.dumps({"answers": lie(rows, answers)}).encode()
            rounds.append([row["statement"] for row in rows])
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.05)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


def test_what_is_stored_and_not_sent_is_sent_by_the_next_run(town, tmp_path):
    """Killed in between, it neither loses nor doubles; the same when the answer alone was lost."""
    with serving(Front(town.ledger, Offer())) as gateway:
        agency = Agency(town, tmp_path, http=f"http://127.0.0.1:{gateway.port}")
        assert 8 == agency.publish(*cases(0, 3), stop_before_sending=True)[0]
        stored = agency.journal
        assert [] == opened(town)
        assert 0 == agency.publish("case 3")[0]
        assert cases(0, 4) == opened(town)

        # A copy of the outbox from before the answers: all is sent again, and answered with the first receipts.
        (agency.outbox / "outbox").write_bytes(stored)
        assert 0 == agency.publish("case 4")[0]

    assert cases(0, 5) == opened(town)


def test_a_journal_cut_off_at_any_byte_is_what_it_was_before_or_after(town, tmp_path):
    """A transaction is done when its line is whole; half of one is none."""
    with serving(Front(town.ledger, Offer())) as gateway:
        agency = Agency(town, tmp_path, http=f"http://127.0.0.1:{gateway.port}")
        agency.publish("case 0")
        agency.publish("case 1", stop_before_sending=True)
    whole = agency.journal
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 0x0A]
    code = """
        const { Outbox } = await import(process.argv[1]);
        const { writeFileSync } = await import("node:fs");
        const [folder, whole, opened_as] = [process.argv[2], Buffer.from(process.argv[3], "hex"), []];
        for (let at = 0; at <= whole.length; at++) {
          writeFileSync(folder + "/outbox", whole.subarray(0, at));
          const made = new Outbox(folder);
          opened_as.push([made.next, made.pending.map((one) => one.sequence)]);
          made.close();
        }
        console.log(JSON.stringify(opened_as));
    """
    folder = tmp_path / "cut"
    folder.mkdir()
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code, (HERE / "outbox.mjs").as_uri(), str(folder), whole.hex()],
        capture_output=True,
        text=True,
        check=True,
    )
    opened_as = json.loads(done.stdout)

    assert len(whole) + 1 == len(opened_as)
    for at, one in enumerate(opened_as):
        before = max((end for end in ends if end <= at), default=0)
        assert opened_as[before] == one
    assert [2, [1]] == opened_as[-1]


def test_two_processes_do_not_share_an_outbox(tmp_path):
    """Sequences have an order: the second is told who holds it; of one that died it is taken over."""
    code = f"import {{ Outbox }} from {json.dumps((HERE / 'outbox.mjs').as_uri())}; const made = new Outbox(%s); %s"
    folder = json.dumps(str(tmp_path / "outbox"))
    holder = subprocess.Popen(
        ["node", "--input-type=module", "-e", code % (folder, "console.log('held'); setInterval(() => {}, 1000);")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    second = ["node", "--input-type=module", "-e", code % (folder, "made.close()")]
    with holder:
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        refused = subprocess.run(second, capture_output=True, text=True, check=False)
        holder.kill()

    assert f"process {holder.pid} holds the outbox" in refused.stderr
    assert 0 == subprocess.run(second, capture_output=True, check=False).returncode


def test_what_it_publishes_through_kafka_is_recorded_once_and_answered(town, tmp_path, with_kafkajs):
    """Submissions out, receipts back, against Apache Kafka; a second run finds nothing to do again."""
    broker = ApacheKafka()
    stop = threading.Event()
    with Conveyor(town, broker.bootstrap, f"kit-{os.getpid()}", tmp_path) as conveyor, ThreadPoolExecutor(1) as pool:
        conveyor.apply()
        ingesting = pool.submit(conveyor.ingesting().run, stop)
        try:
            kafka = {"brokers": broker.bootstrap.split(","), "prefix": conveyor.prefix}
            agency = Agency(town, tmp_path, with_kafkajs, kafka=kafka, ms=60_000)
            first = agency.publish("case 0")
            second = agency.publish(*cases(1, 40))
            third = agency.publish("case 0")
            # Somebody has the bytes before the log does, and sends them with a false signature.
            agency.publish("case 40", stop_before_sending=True)
            done = [json.loads(line.partition(b" ")[2]) for line in agency.journal.splitlines()]
            stored = [one["put"][0]["statement"] for one in done if one.get("put")]
            conveyor.send(Signed(bytes.fromhex(stored[-1]), bytes(64)))
            fourth = agency.publish()
        finally:
            stop.set()
        count = ingesting.result(60)
    broker.remove()

    assert (0, 1) == (first[0], len(first[1])), first[2]
    assert (0, 39) == (second[0], len(second[1])), second[2]
    assert (0, ["rejected"]) == (third[0], [answer["outcome"] for answer in third[1]]), third[2]
    assert (0, ["accepted"]) == (fourth[0], [answer["outcome"] for answer in fourth[1]]), fourth[2]
    assert cases(0, 41) == opened(town)
    assert (42, 1, 0) == (count.recorded, count.refused, count.set_aside)
