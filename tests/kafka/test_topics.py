"""A cluster becomes what is declared, once and for all; what is declared is read strictly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer as StandardConsumer
from kafka import KafkaAdminClient, KafkaProducer

from ledger.configuration import KafkaSection
from ledger.errors import ComityError, Conflict, FormatError, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import Connection
from ledger.kafka.relay import partition_of
from ledger.kafka.topics import ENTRIES, Change, Topic, carry_out, compare, declared
from ledger.statement import Batch, Signed, decode_entry, decode_statement, statement_in
from tests.kafka.conveyor import TOPICS
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conveyor import Conveyor


def test_the_declaration_that_comes_with_comity_can_be_read():
    """Every topic of the design is declared, and the audiences of the public and of oversight."""
    wanted = declared()

    assert {"comity.submissions", "comity.rejections", "comity.entries", "comity.checkpoints"} < {
        one.name for one in wanted.topics
    }
    assert {"comity.entries.public", "comity.entries.oversight"} == {one.topic for one in wanted.audiences}
    assert wanted.replication == 3
    assert all(one.settings["min.insync.replicas"] == "2" for one in wanted.topics)
    assert declared(replication=1).topics[0].settings["min.insync.replicas"] == "1"


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("replication = 1", "replication = 0", "defaults.replication"),
        ("replication = 1", "copies = 1", "defaults.copies"),
        ('name = "comity.entries"', 'name = "entries"', "topic.2.name"),
        ("partitions = 3", 'partitions = "3"', "topic.0.partitions"),
        ('readers = ["ingest"]', 'readers = ["ingset"]', "topic.0.readers"),
        ('rings = ["public"]', 'rings = ["case"]', "audience.0.rings"),
        ('rings = ["public"]', "", "audience.0"),
        (DE_PROSECUTOR.authority.hex(), "berlin", "audience.1.authority"),
        ('relay = ["User:relay"]', 'relay = ["relay"]', "roles.relay"),
        ('checkpoints"\npartitions = 1', 'checkpoints"\npartitions = 2', "topic"),
        ('name = "comity.rejections"', 'name = "comity.other"', "topic"),
        ('name = "comity.rejections"', 'name = "comity.submissions"', "topic"),
        ("[publishers]", '[publishers]\n"nobody" = ["User:x"]', "publishers.nobody"),
        ("[receipts]", "[receipt]", "receipt"),
        ("[receipts]", '[receipts]\nreaders = ["mirrors"]', "receipts.readers"),
        ("[receipts]", '[receipts]\nname = "comity.answers"', "receipts.name"),
        ('name = "comity.rejections"', 'name = "comity.receipts.x"', "topic"),
        ('rings = ["public"]', 'rings = [["public"]]', "audience.0.rings"),
        ('readers = ["ingest"]', "readers = 1", "topic.0.readers"),
        ('readers = ["ingest"]', 'readers = [["ingest"]]', "topic.0.readers"),
    ],
)
def test_a_fault_in_a_declaration_is_named(tmp_path: Path, old: str, new: str, where: str):
    """Whatever is misspelt, missing or impossible is refused with the file and the key."""
    file = tmp_path / "topics.toml"
    assert old in TOPICS
    file.write_text(TOPICS.replace(old, new, 1))
    with pytest.raises(FormatError) as fault:
        declared(file)

    assert f"topics.toml: {where}" == fault.value.field


def test_applying_twice_changes_nothing(conveyor: Conveyor):
    """What was made is found made; a setting that somebody changed is set back, and shown before."""
    wanted = conveyor.declared
    changed = replace(
        wanted, topics=tuple(replace(one, settings={**one.settings, "retention.ms": "60000"}) for one in wanted.topics)
    )
    with conveyor.connection.admin() as admin:
        assert [] == compare(admin, wanted, acls=False)
        differences = compare(admin, changed, acls=False)
        carry_out(admin, differences, 1)
        assert [] == compare(admin, changed, acls=False)
        carry_out(admin, compare(admin, wanted, acls=False), 1)
        assert [] == compare(admin, wanted, acls=False)

    assert [f"retention.ms from {30 * 86_400_000} to 60000"] * len(wanted.topics) == [one.detail for one in differences]


def test_a_setting_that_the_cluster_does_not_take_is_an_error(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """Kafka's client tells it as an answer among others: whoever applied learns of it, with the cluster's own words."""
    topic = conveyor.named(ENTRIES)
    monkeypatch.setattr(
        KafkaAdminClient, "alter_configs", lambda *_: {"topic": {topic: "[Error 44] PolicyViolationError: too long"}}
    )
    change = Change("set", topic, made=(topic, "retention.ms", "1"))
    with conveyor.connection.admin() as admin, pytest.raises(ComityError, match="were not changed") as refused:
        carry_out(admin, [change], 1)

    assert "PolicyViolationError" in refused.value.why


def test_a_publisher_gets_its_topic_of_receipts(conveyor: Conveyor):
    """Whoever is on the roster has a topic before it is first answered."""
    with conveyor.connection.admin() as admin:
        changes = compare(admin, conveyor.declared, [DE_PROSECUTOR.authority], acls=False)
        carry_out(admin, changes, 1)
        again = compare(admin, conveyor.declared, [DE_PROSECUTOR.authority], acls=False)

    assert [("create", conveyor.declared.receipts_of(DE_PROSECUTOR.authority).name)] == [
        (one.verb, one.what) for one in changes
    ]
    assert [] == again


def test_a_partition_count_never_changes(conveyor: Conveyor):
    """More partitions would tear cases and keys apart, so it is refused."""
    wanted = conveyor.declared
    more = replace(wanted, topics=tuple(Topic(one.name, one.partitions + 1, one.settings) for one in wanted.topics))
    with conveyor.connection.admin() as admin, pytest.raises(Conflict) as refused:
        compare(admin, more, acls=False)

    assert "partitions" in refused.value.what


def test_a_cluster_that_does_not_answer_is_said_so(tmp_path: Path):
    """Nobody listens: what to check is said, and what is not lost."""
    connection = Connection(KafkaSection(bootstrap=("127.0.0.1:1",), request_ms=1_000))
    with pytest.raises(Unavailable) as silent, connection.admin():
        pass

    assert "kafka.bootstrap" in silent.value.what_now


def test_a_standard_client_reads_the_entries(conveyor: Conveyor):
    """Librdkafka reads what the relay writes: key, headers, the frame of the registry, and behind it the leaf."""
    town = conveyor.town
    town.say(town.opening("a case"), DE_PROSECUTOR)
    conveyor.relay()
    topic = conveyor.named(ENTRIES)
    consumer = StandardConsumer(
        {
            "bootstrap.servers": conveyor.bootstrap,
            "group.id": f"{topic}/librdkafka",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    found: dict[int, bytes] = {}
    try:
        for _ in range(240):
            message = consumer.poll(0.25)
            if message is not None and message.error() is None and message.value() is not None:
                headers: dict[str, Any] = dict(message.headers() or ())
                value: Any = message.value()
                assert value[:1] == b"\0"
                assert int.from_bytes(value[1:5], "big") == wire.schema_ids()["entry"]
                found[int(headers["index"])] = value[5:]
                statement = statement_in(decode_entry(value[5:]))
                assert (statement.case, statement.act) == (message.key(), headers["act"].decode())
            if len(found) == town.store.size():
                break
    finally:
        consumer.close()

    assert dict(town.store.entries(0, 100)) == found


def test_a_case_goes_where_standard_clients_would_put_it(conveyor: Conveyor):
    """The partition of a key is that of Kafka's own clients, so that others may join our topics by key."""
    topic = conveyor.named(ENTRIES)
    producer = KafkaProducer(bootstrap_servers=conveyor.bootstrap)
    sent = [(key, producer.send(topic, b"", key)) for key in (bytes([number]) * 16 for number in range(20))]
    producer.flush()

    assert [future.get(5).partition for _, future in sent] == [partition_of(key, 3) for key, _ in sent]
    producer.close()


def test_what_goes_over_the_wire_comes_back(conveyor: Conveyor):
    """Submissions, proven entries and checkpoints decode to what was encoded."""
    town = conveyor.town
    alone = town.signed(town.opening("one"), DE_PROSECUTOR)
    (first, _) = town.signed_batch([town.opening("two"), town.opening("three")], FR_PROSECUTOR)

    for signed in (alone, first, Signed(b"", bytes(64), Batch(1, 0, ()))):
        assert signed == wire.unpack_submission(wire.pack_submission(signed))
    assert (7, b"entry", b"proof") == wire.unpack_proven(wire.pack_proven(7, b"entry", b"proof"))
    assert (9, b"note") == wire.unpack_checkpoint(wire.pack_checkpoint(9, b"note"))


def test_where_an_entry_belongs_is_read_from_its_front(conveyor: Conveyor):
    """The quick reading of case, subject and act agrees with the decoder on every entry there is."""
    town = conveyor.town
    town.say(town.opening("a case"), DE_PROSECUTOR)
    town.say(town.opening("a case"), FR_PROSECUTOR)
    for _, data in town.store.entries(0, 100):
        entry = decode_entry(data)
        place = wire.place_of(data)
        statement = statement_in(entry)
        assert (statement.case, statement.subject, statement.act) == (place.case, place.subject, place.act)
        if entry.accepted:
            assert decode_statement(entry.statement) == statement


def _comity(conveyor: Conveyor, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
    file = conveyor.folder / "own.toml"
    file.write_text(TOPICS)
    return subprocess.Popen(
        [sys.executable, "-m", "ledger.cli", *arguments, "--kafka", conveyor.bootstrap, "--topics", str(file)],
        env={**own, "COMITY_LEDGER": str(conveyor.town.ledger.folder), "COMITY_LOG_LEVEL": "info", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_commands_work_together(conveyor: Conveyor):
    """Topics are applied, a submission is taken, answered and relayed; the relay ends in order on SIGTERM."""
    done = _comity(conveyor, "topics", "apply", "--dry-run", "--json")
    plan = json.loads(done.communicate(timeout=120)[0])
    done = _comity(conveyor, "topics", "apply", "--json")
    said = json.loads(done.communicate(timeout=120)[0])
    done = _comity(conveyor, "topics", "apply", "--json")
    again = json.loads(done.communicate(timeout=120)[0])

    assert plan["changed"] == again["changed"] == 0
    assert said["changed"] == len([one for one in plan["changes"] if one["verb"] == "create"]) > 10
    signed = conveyor.town.signed(conveyor.town.opening("a case"), DE_PROSECUTOR)
    conveyor.producer.send("comity.submissions", wire.pack_submission(signed), DE_PROSECUTOR.key.id)
    conveyor.producer.flush()
    conveyor.town.ledger.close()
    done = _comity(conveyor, "ingest", "--once", "--json")
    out, err = done.communicate(timeout=120)
    assert (done.returncode, json.loads(out)) == (0, {"recorded": 1, "refused": 0, "set_aside": 0}), err
    relay = _comity(conveyor, "relay", "--json")
    assert relay.stderr is not None
    lanes = []
    for line in relay.stderr:
        lanes.append(json.loads(line))
        if lanes[-1]["event"] == "relay_recovered" and lanes[-1]["topic"] == "comity.checkpoints":
            break
    relay.send_signal(signal.SIGTERM)
    out, err = relay.communicate(timeout=120)

    assert (relay.returncode, list(json.loads(out))) == (0, ["sent"]), err
