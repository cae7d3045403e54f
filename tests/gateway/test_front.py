"""What the gateway offers is the log's own bytes, and what it takes is answered by the log."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from dataclasses import replace
from hashlib import sha256

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ledger.errors import FormatError, NotPermitted
from ledger.gateway.front import Front, Offer, read_mirrors
from ledger.gateway.http import Request
from ledger.keys import ed25519
from ledger.ledger import Ledger, Root
from ledger.log.tiles import Tile, parse_entry_bundle, tiles_of
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
from tests.gateway.asking import MIRRORS, TOKEN, sent, serving
from tests.town import DE, DE_PROSECUTOR, FR_PROSECUTOR, OPERATOR, signer

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


def test_another_method_is_told_which_are_taken(gateway):
    """A path that is there is not said to be missing, whatever it is asked with."""
    for method, path, allowed in (
        ("GET", "/statements", "POST"),
        ("DELETE", "/statements", "POST"),
        ("POST", "/checkpoint", "GET, HEAD"),
        ("PUT", "/tile/0/000", "GET, HEAD"),
    ):
        status, headers, _ = gateway.ask(method, path)
        assert (405, allowed) == (status, headers["allow"])
    assert 404 == gateway.ask("POST", "/nowhere")[0]


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
