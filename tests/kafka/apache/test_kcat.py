"""
What operators look into topics with reads ours: kcat, as Debian has it.

Debian builds kcat without Avro, so kcat itself shows the bytes, and Confluent's own deserialiser turns those very bytes
into values, by the schema that our registry gives for the id in their frame.
"""

from __future__ import annotations

import json
import struct
import subprocess
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from ledger.gateway.front import Front, Offer
from ledger.kafka.topics import CHECKPOINTS, ENTRIES
from ledger.statement import decode_entry
from tests.gateway.asking import serving

if TYPE_CHECKING:
    from tests.kafka.conveyor import Conveyor


def _kcat(conveyor: Conveyor, *arguments: str) -> bytes:
    """What kcat writes to its standard output."""
    done = subprocess.run(
        ["kcat", "-q", "-b", conveyor.bootstrap, *arguments], capture_output=True, check=False, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def _values(conveyor: Conveyor, topic: str) -> list[bytes]:
    """The values of a topic as kcat consumes them, marks left out."""
    said = _kcat(conveyor, "-C", "-e", "-o", "beginning", "-t", conveyor.named(topic), "-f", "%R%s")
    found = []
    while said:
        (size,) = struct.unpack(">i", said[:4])
        said = said[4:]
        if size >= 0:
            found.append(said[:size])
            said = said[size:]
    return found


def test_kcat_lists_the_topics_and_their_partitions(conveyor: Conveyor):
    """Its metadata request is answered, and has every partition with a leader."""
    listed = json.loads(_kcat(conveyor, "-L", "-J", "-t", conveyor.named(ENTRIES)))
    (topic,) = listed["topics"]

    assert conveyor.named(ENTRIES) == topic["topic"]
    assert [0, 1, 2] == sorted(one["partition"] for one in topic["partitions"])
    assert all(one["leader"] >= 0 for one in topic["partitions"])


def test_what_kcat_consumes_is_read_through_our_registry(conveyor: Conveyor):
    """Each entry once: its frame names a schema, which the registry gives, and by which it is what ours say it is."""
    conveyor.say(3)
    conveyor.relay()
    store = conveyor.town.store
    read: dict[bytes, Any] = {}
    with serving(Front(conveyor.town.ledger, Offer())) as gateway:
        client = SchemaRegistryClient({"url": f"http://127.0.0.1:{gateway.port}"})
        deserialise = AvroDeserializer(client)
        for value in _values(conveyor, ENTRIES):
            read[value[5:]] = deserialise(value, SerializationContext(conveyor.named(ENTRIES), MessageField.VALUE))
        newest = [
            deserialise(value, SerializationContext(conveyor.named(CHECKPOINTS), MessageField.VALUE))
            for value in _values(conveyor, CHECKPOINTS)
        ][-1]

    assert sorted(data for _, data in store.entries(0, store.size())) == sorted(read)
    for data, values in read.items():
        ours = decode_entry(data)
        assert (ours.statement, ours.signature, ours.recorded_at, "accepted", ours.rules) == (
            values["statement"], values["signature"], _micros(values["recorded_at"]), values["disposition"],
            values["rules"],
        )  # fmt: skip
    assert store.size() == newest["size"]


def _micros(value: Any) -> int:
    """An instant as ours have it: Avro's readers make a date and time of a logical type."""
    return value if isinstance(value, int) else round(value.timestamp() * 1_000_000)


def test_kcat_shows_the_headers(conveyor: Conveyor):
    """Index, act and leaf stand in the headers, so that whoever looks need not decode anything."""
    conveyor.say(1)
    conveyor.relay()
    said = _kcat(
        conveyor, "-C", "-e", "-o", "beginning", "-t", conveyor.named(ENTRIES), "-s", "value=s", "-f", "%o|%S|%h\n"
    ).decode()
    lines = [line.split("|", 2) for line in said.splitlines()]
    indexes = {
        int(part.removeprefix("index="))
        for _, size, headers in lines
        for part in headers.split(",")
        if part.startswith("index=") and int(size) > 0
    }

    assert set(range(conveyor.town.store.size())) == indexes
    assert any("act=case.opened" in headers for _, _, headers in lines)
