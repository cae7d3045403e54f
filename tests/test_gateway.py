"""The gateway: what it offers is the log's own bytes, and no stranger can take more than his share."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ledger.configuration import GatewaySection
from ledger.errors import FormatError, NotPermitted
from ledger.gateway.front import Front, Offer, read_mirrors
from ledger.gateway.http import Bounds, Request, Response, Route, Server, problem
from ledger.gateway.registry import LEVEL, Registry
from ledger.gateway.running import bounds_of
from ledger.keys import ed25519
from ledger.ledger import Ledger, Root
from ledger.log.tiles import Tile, parse_entry_bundle, tiles_of
from ledger.resources import path as resource
from ledger.statement import decode_entry
from ledger.store import fence
from ledger.verify import (
    check_inclusion,
    check_signatures,
    leaf_hash,
    node_hash,
    parse_checkpoint,
    parse_note,
    parse_proof,
    parse_vkey,
    root_of,
)
from tests.town import DE, DE_PROSECUTOR, FR_PROSECUTOR, OPERATOR, found, signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.gateway.http import Service
    from ledger.statement import Signed
    from tests.town import Town

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "a token of thirty-two letters...."
MIRRORS = {sha256(TOKEN.encode()).hexdigest(): "oversight"}
QUICK = Bounds(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.3, write_seconds=0.3, requests_per_second=0)


@dataclass
class Gateway:
    """A gateway that answers at a port of this machine."""

    port: int
    service: Any
    server: Server
    loop: asyncio.AbstractEventLoop

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask once; status, headers with names in small letters, body."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = link.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            link.close()

    def get(self, path: str, **headers: str) -> bytes:
        """What is at this path; it must be there."""
        status, _, body = self.ask("GET", path, None, **headers)
        assert 200 == status, body
        return body

    def json(self, path: str) -> Any:
        """The same as JSON."""
        return json.loads(self.get(path))

    def publish(self, value: Any) -> tuple[int, Any]:
        """Publish what a client would send; status and answer."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, answer = self.ask("POST", "/statements", body, Content_Type="application/json")
        return status, json.loads(answer)

    def raw(self, *parts: bytes, shut: bool = False, seconds: float = 20) -> bytes:
        """Send bytes as they are, and read until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as link:
            for part in parts:
                link.sendall(part)
            if shut:
                link.shutdown(socket.SHUT_WR)
            return everything(link)


def everything(link: socket.socket) -> bytes:
    """What comes until the other side closes."""
    said = b""
    try:
        while data := link.recv(1 << 16):
            said += data
    except ConnectionResetError:
        pass
    return said


@contextmanager
def serving(service: Service, bounds: Bounds = QUICK, tls: ssl.SSLContext | None = None) -> Iterator[Gateway]:
    """A server of this service in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = Server(service, bounds)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(server.listen("127.0.0.1", 0, tls), loop).result(10)
        yield Gateway(port, service, server, loop)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(5), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = found(tmp_path / "ledger")
    yield made
    made.ledger.close()


@pytest.fixture
def gateway(town: Town) -> Iterator[Gateway]:
    with serving(Front(town.ledger, Offer(mirrors=MIRRORS))) as made:
        yield made


def sent(signed: Signed) -> dict[str, Any]:
    """A signed statement as a client sends it."""
    batch = signed.batch
    return {
        "statement": base64.b64encode(signed.statement).decode(),
        "signature": base64.b64encode(signed.signature).decode(),
        "batch": None
        if batch is None
        else {
            "size": batch.size,
            "index": batch.index,
            "path": [base64.b64encode(one).decode() for one in batch.path],
        },
    }


# --- publishing ---


def test_a_receipt_proves_its_entry_to_whoever_knows_the_logs_keys(town, gateway):
    """From what the gateway says alone: the keys, and a receipt with its entry; the tiles have the same hash."""
    signed = town.signed(town.opening("a case"), DE_PROSECUTOR)
    status, receipt = gateway.publish(sent(signed))
    keys = [parse_vkey(one) for one in gateway.json("/")["vkeys"]]
    proof = parse_proof(receipt["proof"].encode())
    note = parse_note(proof.note)
    checkpoint = parse_checkpoint(note.text)
    leaf = gateway.get(f"/tile/0/000.p/{proof.index + 1}")[-32:]

    assert (200, "accepted", 5) == (status, receipt["disposition"], receipt["index"])
    assert 2 == len(check_signatures(note, checkpoint, keys, ed25519))
    check_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    entry = base64.b64decode(receipt["entry"])
    assert leaf == leaf_hash(entry)
    assert signed.statement == decode_entry(entry).statement


def test_repeating_a_statement_returns_the_same_bytes(town, gateway):
    """Whoever lost his answer asks again, alone or among others, and gets the first one."""
    one = sent(town.signed(town.opening("a case"), DE_PROSECUTOR))
    body = json.dumps(one).encode()
    first, again = (gateway.ask("POST", "/statements", body, Content_Type="application/json")[2] for _ in range(2))
    many = gateway.publish({"statements": [one, one]})[1]["answers"]

    assert first == again
    assert [json.loads(first)] * 2 == many
    assert 6 == town.store.size()


def test_a_batch_is_answered_in_its_order_and_one_bad_statement_fails_alone(town, gateway):
    """Accepted, rejected and refused beside each other; each refusal is signed by the log."""
    good = town.signed_batch([town.opening("one"), town.opening("two")], DE_PROSECUTOR)
    rejected = town.signed(town.person("no such case"), FR_PROSECUTOR)
    forged = replace(town.signed(town.opening("three"), DE_PROSECUTOR), signature=bytes(64))
    status, answer = gateway.publish({"statements": [sent(one) for one in (*good, rejected, forged)]})
    answers = answer["answers"]
    note = parse_note(answers[-1]["note"].encode())

    assert 200 == status
    assert ["accepted", "accepted", "rejected", "refused"] == [one["disposition"] for one in answers]
    assert [5, 6, 7] == [one["index"] for one in answers[:3]]
    _, _, statement, signature, place, *_ = note.text.splitlines()
    assert [sha256(one).hexdigest() for one in (forged.statement, forged.signature)] == [statement, signature]
    assert "-" == place
    kept = decode_entry(base64.b64decode(answers[2]["entry"]))
    assert sha256(rejected.statement).digest() == kept.statement_sha256
    assert len(kept.statement) < len(rejected.statement), "the body is not there"


def test_each_refusal_has_its_status(town, gateway):
    """What cannot be read, whose it is not, what is for another log, and what comes out of order."""
    reused = town.signed(town.opening("a"), DE_PROSECUTOR)
    assert 200 == gateway.publish(sent(reused))[0]
    again = town.signed(town.opening("b"), DE_PROSECUTOR, sequence=0)
    stranger = town.signed(town.opening("c"), signer("nobody"))
    elsewhere = town.signed(town.opening("d"), FR_PROSECUTOR, ledger="another.example/log")
    cut = replace(reused, statement=reused.statement[:-1])
    early = town.signed(town.opening("e"), FR_PROSECUTOR, sequence=9)

    for signed, status, code in (
        (again, 409, "sequence_reused"),
        (stranger, 403, "unauthenticated"),
        (elsewhere, 422, "wrong_ledger"),
        (cut, 400, "malformed"),
        (early, 409, "out_of_order"),
    ):
        assert (status, code) == (gateway.publish(sent(signed))[0], gateway.publish(sent(signed))[1]["reason"])
    assert 6 == town.store.size()


@pytest.mark.parametrize(
    ("body", "field"),
    {
        b"": "body",
        b"[]": "body",
        b"{": "body",
        b"[" * 100_000: "body",
        b'{"statement": 1}': "statement",
        b'{"statement": "!", "signature": ""}': "statement",
        b'{"statement": "", "signature": "", "more": 1}': "more",
        b'{"statement": "", "signature": "", "batch": {"size": 1}}': "batch",
        b'{"statement": "", "signature": "", "batch": {"size": true, "index": 0, "path": []}}': "batch",
        b'{"statement": "", "signature": "", "batch": {"size": 1, "index": 0, "path": ["AA=="]}}': "batch.path",
        b'{"statements": []}': "statements",
        b'{"statements": [{"statement": "", "signature": ""}, 3]}': "statements[1]",
    }.items(),
)
def test_what_is_no_statement_is_named_by_its_field(town, gateway, body, field):
    """Nothing is recorded, and the answer says where it is wrong."""
    status, answer = gateway.publish(body)

    assert (400, True) == (status, answer["detail"].startswith(f"{field}: "))
    assert 5 == town.store.size()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["AA==", "statement"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["statement", "signature", "batch", "statements", "size", "index", "path"]), inner
        )
    ),
    max_leaves=12,
)


@given(value=_JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_has_an_answer_that_blames_the_sender(gateway, value):
    """No JSON makes the gateway fail."""
    status, answer = gateway.publish(value)

    assert status in {200, 400, 403, 409, 413, 422}, answer


def test_statements_are_taken_only_where_the_keys_are(town, tmp_path):
    """A gateway that reads alone says so, to publishers and to whoever asks whether it is ready."""
    ledger = Ledger.open(town.ledger.folder, read_only=True)
    with closing(ledger), serving(Front(ledger, Offer())) as gateway:
        status, answer = gateway.publish(sent(town.signed(town.opening("a"), DE_PROSECUTOR)))

        assert (403, "this gateway takes no statements") == (status, answer["title"])
        assert 503 == gateway.ask("GET", "/readyz")[0]
        assert 200 == gateway.ask("GET", "/checkpoint")[0]


# --- the log ---


def test_a_tile_client_rebuilds_the_root_from_hash_tiles_alone(town, gateway):
    """As C2SP tlog-tiles says: every tile that the checkpoint's size implies is there, and makes its root."""
    list(town.ledger.submit_many([town.signed(town.opening(f"{n}"), DE_PROSECUTOR) for n in range(600)], workers=0))
    checkpoint = parse_checkpoint(parse_note(gateway.get("/checkpoint")).text)
    tiles = {one: gateway.get(f"/{one.path}") for one in tiles_of(checkpoint.size)}
    leaves = [data[at : at + 32] for one, data in tiles.items() if one.level == 0 for at in range(0, len(data), 32)]
    above = tiles[Tile(1, 0, 2)]

    assert 605 == checkpoint.size == len(leaves)
    assert checkpoint.root == root_of(leaves)
    assert above == _row(leaves[:256]) + _row(leaves[256:512])


def _row(leaves: list[bytes]) -> bytes:
    while len(leaves) > 1:
        leaves = [node_hash(*leaves[at : at + 2]) for at in range(0, len(leaves), 2)]
    return leaves[0]


@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/001", "tile/0/000", "tile/0/000.p/6", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/0", "tile/"),
        *("tile/00/000", "tile/0/x000/000", "tile/64/000", "tile/entries/000", "x"),
        *("tile/0/../../log.key", "tile/0/%2e%2e/000"),
    ],
)
def test_what_no_checkpoint_covers_is_not_there(gateway, path):
    """A tile beyond the newest checkpoint, and whatever is no path of a tile."""
    assert 404 == gateway.ask("GET", f"/{path}")[0]


def test_hash_tiles_may_be_kept_for_ever_and_answers_about_now_may_not(gateway):
    """Caches are told what never changes."""
    assert "immutable" in gateway.ask("GET", "/tile/0/000.p/5")[1]["cache-control"]
    assert "immutable" in gateway.ask("GET", "/checkpoints/5")[1]["cache-control"]
    assert "no-cache" == gateway.ask("GET", "/checkpoint")[1]["cache-control"]
    assert "no-store" == gateway.ask("GET", "/tile/0/001")[1]["cache-control"]


def test_every_checkpoint_is_served_by_its_size_and_no_other(town, gateway):
    """The bytes that were signed; a size without a checkpoint says which one follows."""
    kept = {size: note for size, _, note in town.store.checkpoints()}

    assert {size: gateway.get(f"/checkpoints/{size}") for size in kept} == kept
    for size in ("0", "01", "-1", "x", "9" * 30):
        assert 400 == gateway.ask("GET", f"/checkpoints/{size}")[0]
    status, _, body = gateway.ask("GET", "/checkpoints/2")
    assert (404, True) == (status, b"the next is over 5" in body)


def test_entries_go_to_mirrors_alone(town, gateway):
    """Without a token, with another, and with the right one: the bytes of the log."""
    path = "/tile/entries/000.p/5"

    assert 403 == gateway.ask("GET", path)[0]
    assert 403 == gateway.ask("GET", path, Authorization="Bearer another")[0]
    assert 403 == gateway.ask("GET", path, Authorization=TOKEN)[0]
    status, headers, body = gateway.ask("GET", path, Authorization=f"Bearer {TOKEN}")
    assert (200, "private, no-store") == (status, headers["cache-control"])
    assert list(town.store.scan()) == parse_entry_bundle(body)


def test_entries_are_for_nobody_or_everybody_only_where_that_can_be(town, tmp_path):
    """The word nobody refuses even a mirror; everybody is for simulations."""
    with serving(Front(town.ledger, Offer(entries="nobody", mirrors=MIRRORS))) as gateway:
        assert 403 == gateway.ask("GET", "/tile/entries/000.p/5", Authorization=f"Bearer {TOKEN}")[0]
    with serving(Front(town.ledger, Offer(entries="everybody"))) as gateway:
        assert 200 == gateway.ask("GET", "/tile/entries/000.p/5")[0]
    origin = "real.example/2026"
    real = Ledger.found(tmp_path / "real", origin=origin, operator=OPERATOR, roots=[Root.of("DE", DE, origin)])
    with closing(real), pytest.raises(NotPermitted):
        Front(real, Offer(entries="everybody"))


def test_a_file_of_mirrors_is_read_strictly(tmp_path):
    """A token itself, written where its hash belongs, is refused by line."""
    file = tmp_path / "mirrors"
    file.write_text(f"# mirrors\noversight {next(iter(MIRRORS))}  # since May\n\n")
    assert MIRRORS == read_mirrors(file)
    file.write_text("oversight secret\n")
    with pytest.raises(FormatError) as raised:
        read_mirrors(file)
    assert raised.value.field.endswith("line 1")


# --- the registry ---


def test_every_released_schema_is_served_under_its_id(gateway):
    """What RELEASED numbers, a client gets by that number, by subject and version, and as a plain document."""
    rows = [line.split() for line in (resource("schemas") / "RELEASED").read_text().splitlines() if line]
    released = [row for row in rows if not row[0].startswith(("#", "codes/"))]
    registry = Registry(resource("schemas"))

    def ask(path: str) -> Any:
        route = registry.route("GET", path)
        assert route is not None
        answer = route.answer(Request("GET", path, {}, {}))
        assert 200 == answer.status
        return json.loads(answer.body)

    assert len(released) > 170
    for name, version, number, digest in released:
        file = f"acts/{name}.{version}.avsc" if "." in name else f"{name}.avsc"
        data = (resource("schemas") / file).read_bytes()
        by_id = ask(f"/schemas/ids/{number}")["schema"]
        by_name = ask(f"/subjects/{name}/versions/{version}")
        assert sha256(data).hexdigest() == digest
        assert json.loads(data) == json.loads(by_id) == json.loads(by_name["schema"])
        assert (name, int(version), int(number)) == (by_name["subject"], by_name["version"], by_name["id"])
    assert {row[0] for row in released} <= set(gateway.json("/subjects"))


def test_a_standard_client_reads_an_entry_from_its_frame(town, gateway):
    """Confluent's own client fetches the schema by the id of the frame, and decodes statement and entry."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    client = SchemaRegistryClient({"url": f"http://127.0.0.1:{gateway.port}"})
    entry = town.store.entry(1)
    latest = client.get_latest_version("comity.entries-value")
    framed = b"\0" + struct.pack(">I", latest.schema_id) + entry
    read = AvroDeserializer(client)(framed, SerializationContext("comity.entries", MessageField.VALUE))
    schema = client.get_latest_version("statement").schema
    statement: Any = fastavro.schemaless_reader(
        BytesIO(read["statement"]), fastavro.parse_schema(json.loads(schema.schema_str or "")), None
    )

    assert ("accepted", "authority.enrolled") == (read["disposition"], statement["act"])
    assert latest.schema_id == client.lookup_schema("comity.entries-value", latest.schema).schema_id


def test_a_client_that_would_register_is_told_in_the_apis_own_words(gateway):
    """Confluent's client raises what it raises for a registry in mode READONLY; nothing changes."""
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    client = SchemaRegistryClient({"url": f"http://127.0.0.1:{gateway.port}", "max.retries": 0})
    before = client.get_subjects()
    for asked in (
        lambda: client.register_schema("entry", Schema('"string"', "AVRO")),
        lambda: client.delete_subject("entry"),
        lambda: client.set_compatibility("entry", "NONE"),
    ):
        with pytest.raises(SchemaRegistryError) as raised:
            asked()
        assert (422, 42205) == (raised.value.http_status_code, raised.value.error_code)
    assert before == client.get_subjects()
    assert LEVEL == client.get_compatibility()
    assert not client.test_compatibility("entry", Schema('"string"', "AVRO"))
    assert client.test_compatibility("entry", client.get_latest_version("entry").schema)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/subjects/none/versions", b"", 404, 40401),
        ("GET", "/subjects/entry/versions/9", b"", 404, 40402),
        ("GET", "/subjects/entry/versions/0", b"", 422, 42202),
        ("GET", "/subjects/entry/versions/%D9%A1", b"", 422, 42202),
        ("GET", "/schemas/ids/99999", b"", 404, 40403),
        ("GET", "/schemas/ids/x", b"", 404, 40403),
        ("GET", "/config/none", b"", 404, 40401),
        ("GET", "/schemas/none", b"", 404, 404),
        ("POST", "/subjects/entry", b"{}", 422, 42201),
        ("POST", "/subjects/entry", b"[" * 5_000, 422, 42201),
        ("POST", "/subjects/entry", json.dumps({"schema": '"string"'}).encode(), 404, 40403),
        ("POST", "/subjects/none", json.dumps({"schema": '"string"'}).encode(), 404, 40401),
        ("POST", "/subjects/entry/versions", b"{}", 422, 42205),
        ("DELETE", "/subjects/entry", b"", 422, 42205),
        ("PUT", "/config", b"{}", 422, 42205),
        ("PUT", "/mode/entry", b"{}", 422, 42205),
    ],
)
def test_the_registry_errs_as_its_api_says(gateway, method, path, body, status, code):
    """Code and status of each error are those of the API, for every path of it."""
    found, headers, answer = gateway.ask(method, path, body or None)

    assert (status, code) == (found, json.loads(answer)["error_code"])
    assert "application/vnd.schemaregistry.v1+json" == headers["content-type"]


# --- strangers ---

HEAD = b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n"


def alive(gateway: Gateway) -> None:
    """Whoever asks in order is answered still."""
    assert b"live\n" == gateway.get("/livez")


def test_a_head_that_trickles_is_cut_off_at_its_deadline(gateway):
    """Slow loris: a byte now and then does not renew the time that the whole head has."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
        link.sendall(b"GET /")
        said = b""
        link.settimeout(0.02)
        while time.monotonic() - begun < 10:
            try:
                link.sendall(b"x")
                data = link.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            said += data
            if not data:
                break
    assert said.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 5
    alive(gateway)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        b"POST /statements HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_a_body_that_does_not_come_is_cut_off_at_its_deadline(gateway, head):
    """The connection is answered and closed, whatever length was promised."""
    assert gateway.raw(head).startswith(b"HTTP/1.1 408 ")
    alive(gateway)


def test_silence_is_not_kept(gateway):
    """A connection that asks for nothing, or for nothing more, is closed."""
    begun = time.monotonic()
    answered = gateway.raw(HEAD + b"\r\n")

    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"" == gateway.raw()
    assert time.monotonic() - begun < 5


def test_what_is_too_large_is_refused_before_it_is_read(town):
    """A head and a body, announced or not, beyond their bounds."""
    bounds = replace(QUICK, body_bytes_max=10_000, head_bytes_max=2_000, body_seconds=5, head_seconds=5)
    post = b"POST /statements HTTP/1.1\r\nHost: x\r\n"
    with serving(Front(town.ledger, Offer()), bounds) as gateway:
        assert b" 431 " in gateway.raw(HEAD + b"A: " + b"a" * 20_000)[:16]
        assert b" 413 " in gateway.raw(post + b"Content-Length: 10001\r\n\r\n")[:16]
        chunks = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        assert b" 413 " in gateway.raw(post + b"Transfer-Encoding: chunked\r\n\r\n", chunks * 8)[:16]
        assert b" 413 " in gateway.raw(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")[:16]
        alive(gateway)


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n\r\n\r\n",
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 500 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?" + b"&".join(b"a%d=1" % n for n in range(100)) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n Folded: y\r\nA b: c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_answered_or_closed(gateway, said):
    """Never a success, never a failure of ours, and the next one is served."""
    answer = gateway.raw(said, shut=True)

    assert not answer or answer[9:12] in {b"400", b"404", b"431", b"501", b"505"}
    alive(gateway)


@given(said=st.binary(max_size=300) | st.lists(st.sampled_from([HEAD, b"\r\n", b"Content-Length: 3\r\n", b"abc", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HEAD / HTTP/1.1\r\n", b"POST /statements HTTP/1.1\r\n"]), max_size=8).map(b"".join))  # fmt: skip  # noqa: E501
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_the_gateway_as_it_was(gateway, said):
    """Fuzzed: every answer is one of HTTP, none says that we failed, and the gateway lives."""
    answer = gateway.raw(said, shut=True)

    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert answer[9:12] not in {b"500", b"503"}
    alive(gateway)


def test_a_length_said_twice_smuggles_nothing(gateway):
    """A request with both framings is read one way, and the connection is not used again."""
    inner = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    said = gateway.raw(
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        % (5 + len(inner)) + inner
    )  # fmt: skip

    assert b"comity_requests" not in said


def test_requests_one_behind_the_other_are_answered_in_order(gateway):
    """Pipelining, HEAD, and 100-continue, as HTTP says."""
    two = gateway.raw(HEAD + b"\r\n" + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = gateway.raw(b"HEAD /checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    waits = gateway.raw(
        b"POST /statements HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Connection: close\r\nExpect: 100-continue\r\n\r\n",
        b"{}",
    )

    assert 2 == two.count(b"HTTP/1.1 200 ")
    assert two.endswith(b"live\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length: 0" not in head
    assert waits.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 400 " in waits


def test_connections_beyond_their_number_are_told_so(town):
    """One address cannot keep everybody else out; those that go make room."""
    bounds = replace(QUICK, connections_per_address_max=3, idle_seconds=10)
    with serving(Front(town.ledger, Offer()), bounds) as gateway, ExitStack() as stack:
        for _ in range(3):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
            link.sendall(HEAD + b"\r\n")
            assert link.recv(1)
        assert gateway.raw(HEAD + b"\r\n").startswith(b"HTTP/1.1 503 ")
        stack.close()
        until = time.monotonic() + 10
        while not (said := gateway.raw(b"GET /livez HTTP/1.0\r\n\r\n")).endswith(b"live\n"):
            assert time.monotonic() < until, said


def test_a_rate_is_kept_for_each_address(town):
    """Beyond what it may at once, an address waits for its rate, and is told how long."""
    now = [0.0]
    bounds = Bounds(requests_per_second=2, requests_at_once=3)
    server = Server(Front(town.ledger, Offer()), bounds, clock=lambda: now[0])

    def spend(address: str) -> Response | None:
        try:
            server._spend(address)
        except Exception as refused:  # noqa: BLE001 -- the refusal is what is looked at
            response: Response = refused.response  # type: ignore[attr-defined]  # carries an answer
            return response
        return None

    assert [None] * 3 == [spend("a") for _ in range(3)]
    refused = spend("a")
    assert refused is not None
    assert (429, ("Retry-After", "1")) == (refused.status, refused.headers[-1])
    assert spend("b") is None
    now[0] += 0.5
    assert spend("a") is None
    assert spend("a") is not None


class Held:
    """A service whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.said: list[int] = []

    def route(self, method: str, path: str) -> Route:
        """Wait at /held, fail at /fails, answer much at /much, else at once."""
        return Route(path, {"/held": self._held, "/fails": self._fails, "/much": self._much}.get(path, self._quick))

    def _held(self, _: Request) -> Response:
        self.asked.set()
        self.go.wait(20)
        return Response(200, b"held\n")

    def _fails(self, _: Request) -> Response:
        raise ZeroDivisionError

    def _much(self, _: Request) -> Response:
        return Response(200, bytes(64_000_000))

    def _quick(self, _: Request) -> Response:
        return Response(200, b"quick\n")

    def failed(self, error: Exception) -> Response:
        """Say that it failed."""
        return problem(503, type(error).__name__)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note it."""
        self.said.append(status)

    def connected(self, number: int) -> None:
        """Ignore it."""


def test_whoever_waits_too_long_is_told_that_repeating_is_harmless():
    """A handler that hangs keeps its thread, and nobody else's answer."""
    service = Held()
    with serving(service, replace(QUICK, answer_seconds=0.1)) as gateway:
        status, _, body = gateway.ask("GET", "/held")
        assert (503, True) == (status, b"harmless" in body)
        assert b"quick\n" == gateway.get("/quick")
        assert 503 == gateway.ask("GET", "/fails")[0]
        service.go.set()


def test_whoever_does_not_take_his_answer_is_cut_off():
    """An answer that nobody reads is not held for ever."""
    with serving(Held()) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
            until = time.monotonic() + 10
            while gateway.server._links and time.monotonic() < until:
                assert b"quick\n" == gateway.get("/quick")
                if not [one for one in gateway.server._links if one.busy]:
                    break
        assert time.monotonic() < until


def test_stopping_lets_those_who_asked_have_their_answers():
    """What was asked is answered; what idles is closed; nobody new is taken."""
    service = Held()
    with serving(service, replace(QUICK, idle_seconds=20, head_seconds=20)) as gateway:
        answers: list[bytes] = []
        idle = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        asking = threading.Thread(target=lambda: answers.append(gateway.get("/held")))
        asking.start()
        assert service.asked.wait(10)
        stopping = asyncio.run_coroutine_threadsafe(gateway.server.stop(10), gateway.loop)
        with idle:
            assert b"" == everything(idle)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", gateway.port), timeout=20).close()
        service.go.set()
        assert stopping.result(20)
        asking.join()
    assert [b"held\n"] == answers


def test_stopping_does_not_wait_for_ever():
    """Whoever takes longer than he may goes without, and that is said."""
    service = Held()
    with serving(service) as gateway:
        asking = threading.Thread(target=lambda: gateway.raw(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"))
        asking.start()
        assert service.asked.wait(10)
        assert not asyncio.run_coroutine_threadsafe(gateway.server.stop(0.05), gateway.loop).result(20)
        service.go.set()
        asking.join()


# --- whoever runs it ---


def test_access_lines_tell_nobody_apart(town, gateway):
    """A line for each request says what was asked and how it went: no address, no id, no token, no agent."""
    signed = town.signed(town.opening("a case"), DE_PROSECUTOR)
    structlog.reset_defaults()  # a command may have been run here, and have said what is logged
    with capture_logs() as lines:
        gateway.publish(sent(signed))
        gateway.ask("GET", "/tile/entries/000.p/5", Authorization=f"Bearer {TOKEN}", User_Agent="somebody")
        gateway.ask("GET", "/subjects/somebody?name=somebody")
    said = [{key: value for key, value in line.items() if key != "ms"} for line in lines]

    assert ["publish", "entries", "registry unknown"] == [line["route"] for line in said]
    assert {"event", "log_level", "route", "method", "status", "bytes"} == {key for line in said for key in line}
    assert "somebody" not in str(said)
    assert "127.0.0.1" not in str(said)


def test_metrics_count_what_was_answered(town, gateway):
    """Requests by route and status, statements by answer, the log's size and its checkpoint's."""
    gateway.publish(sent(town.signed(town.opening("a case"), DE_PROSECUTOR)))
    gateway.ask("GET", "/nowhere")
    lines = gateway.get("/metrics").decode().splitlines()

    for line in (
        'comity_requests_total{method="POST",route="publish",status="200"} 1.0',
        'comity_requests_total{method="GET",route="none",status="404"} 1.0',
        'comity_statements_total{answer="accepted"} 1.0',
        "comity_log_size 6.0",
        "comity_checkpoint_size 6.0",
        "comity_ready 1.0",
    ):
        assert line in lines


def test_readiness_gives_its_reasons(town):
    """Stopping; a store that does not answer; a log that has left; entries that stay without a checkpoint."""
    now = [0.0]
    service = Front(town.ledger, Offer(checkpoint_seconds_max=5), clock=lambda: now[0])

    def reasons() -> str:
        now[0] += 10
        return "; ".join(service.reasons())

    assert "" == reasons()
    fence.put_up(town.store.address, "left", "elsewhere")
    assert "left this store" in reasons()
    fence.take_down(town.store.address, "left")
    service._sealed = lambda: 3  # type: ignore[method-assign]  # a sealer that has stopped
    assert "" == reasons()
    assert "no checkpoint covers the entries from 3 on" == reasons()
    service._sealed = lambda: 1 // 0  # type: ignore[method-assign]  # a store that is gone
    assert "the store does not answer (ZeroDivisionError)" == reasons()
    service.leave()
    assert "it is stopping" == reasons()


def test_the_roster_is_not_folded_for_every_stranger_who_asks(town):
    """The keys are looked up once a second at most, and then anew."""
    now = [0.0]
    asked: list[float] = []
    front = Front(town.ledger, Offer(), clock=lambda: now[0])
    vkeys: list[str] = town.ledger.vkeys()

    def looked_up() -> list[str]:
        asked.append(now[0])
        return vkeys

    town.ledger.vkeys = looked_up

    for at in (0.0, 0.5, 0.9, 1.5, 1.6):
        now[0] = at
        front.route("GET", "/").answer(Request("GET", "/", {}, {}))
    assert [0.0, 1.5] == asked


def test_every_bound_of_the_server_is_a_key_of_the_configuration():
    """Their defaults agree, so that what the manual says is what holds."""
    assert Bounds() == bounds_of(GatewaySection())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine's own address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def process(folder: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``comity serve`` as a process, and where it answers."""
    run = subprocess.Popen(
        [sys.executable, "-m", "ledger.cli", "serve", "--ledger", str(folder), "--listen", "127.0.0.1:0"],
        cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert run.stderr is not None
        line = ""
        while " at http" not in line:
            line = run.stderr.readline()
            assert line, "it ended before it answered"
        yield run, line.rpartition(" ")[2].strip()
    finally:
        run.kill()
        run.wait()


def test_the_command_serves_over_tls_until_it_is_told_to_stop(tmp_path, certificate):
    """A real process: TLS 1.2 or newer and nothing else; SIGTERM ends it in order, with status 0."""
    town = found(tmp_path / "ledger")
    newest = town.ledger.checkpoint()
    town.ledger.close()
    # The process takes the system's clock, which only a log that is later than it could trouble.
    cert, key = certificate
    variables = {"COMITY_GATEWAY_TLS_CERTIFICATE": str(cert), "COMITY_GATEWAY_TLS_KEY": str(key)}
    with process(town.ledger.folder, **variables) as (run, where):
        port = int(where.rpartition(":")[2])
        link = http.client.HTTPSConnection(
            "localhost", port, timeout=20, context=ssl.create_default_context(cafile=str(cert))
        )
        link.request("GET", "/checkpoint")
        assert newest == link.getresponse().read()
        assert (link.sock.version() or "") >= "TLSv1.2"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(HEAD + b"\r\n")
            assert b"checkpoint" not in everything(plain)
        run.send_signal(signal.SIGTERM)
        assert 0 == run.wait(20)


def test_two_gateways_cannot_listen_at_one_address(tmp_path):
    """The second says so, and ends with the status of what is not available."""
    town = found(tmp_path / "ledger")
    town.ledger.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "ledger.cli", "serve", "--ledger", town.ledger.folder,
             "--listen", f"127.0.0.1:{taken.getsockname()[1]}"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert 8 == done.returncode
    assert "nobody can listen" in done.stderr
