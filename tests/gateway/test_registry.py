"""The released schemas, to a client of a Confluent Schema Registry: everything is answered, nothing changes."""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from io import BytesIO
from typing import Any

import fastavro
import pytest

from ledger.gateway.http import Request
from ledger.gateway.registry import LEVEL, Registry
from ledger.resources import path as resource


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
