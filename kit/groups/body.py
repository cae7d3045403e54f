"""The body of every released act, with every field present."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kit.answer import shown
from kit.group import Group
from kit.sample import BEGIN, BODY
from ledger.acts import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping


def bodies() -> Group:
    """The body of every released act, with every field present."""
    group = Group("body")
    for act in catalogue().acts():
        if not act.released:
            continue
        read = catalogue().codec_of(act.name, act.version)
        value = shown(read.to_json(_sample(read.schema, act.name, {}, str(read.schema["namespace"]))))
        about = {"act": act.name, "version": act.version}
        made = group.add(f"the body of {act.name}", "encode_body", {**about, "value": value}, fails=False)
        back = group.add(f"the body of {act.name}, read", "decode_body", {**about, **made}, fails=False)
        assert back == {"value": value}
    about = {"act": "case.opened", "version": 1}
    body = catalogue().encode("case.opened", 1, BODY)
    group.add("a body with a byte too many", "decode_body", {**about, "body": body.hex() + "00"}, fails=True)
    group.add("a body that is cut off", "decode_body", {**about, "body": body.hex()[:-2]}, fails=True)
    group.add(
        "an act that does not exist", "decode_body", {**about, "act": "case.closed_twice", "body": ""}, fails=True
    )
    group.add("a version that does not exist", "decode_body", {**about, "version": 9, "body": ""}, fails=True)
    return group


def _sample(
    schema: Any, seed: str, known: dict[str, Any], space: str, properties: Mapping[str, Any] | None = None
) -> Any:
    """Return some value of a type, always the same for a seed; *known* collects named types."""
    properties = properties or {}
    if isinstance(schema, list):
        return _sample(schema[1], seed, known, space, properties)
    if isinstance(schema, str):
        if schema == "long":
            return 300
        if schema == "boolean":
            return True
        if schema == "bytes":
            return sha256(seed.encode()).digest()[: properties["max_bytes"]]
        if schema == "string":
            return next(iter(catalogue().codes(properties["codes"]))) if "codes" in properties else "A1"
        return _sample(known[schema if "." in schema else f"{space}.{schema}"], seed, known, space, properties)
    if schema["type"] == "long":
        return BEGIN
    if schema["type"] == "array":
        size = min(2, properties.get("max_items", 64))
        return [_sample(schema["items"], f"{seed}{index}", known, space, properties) for index in range(size)]
    space = schema.get("namespace", space)
    known[f"{space}.{schema['name']}"] = schema
    if schema["type"] == "fixed":
        return (sha256(seed.encode()).digest() * 50)[: schema["size"]]
    if schema["type"] == "enum":
        return schema["symbols"][-1]
    return {
        field["name"]: _sample(field["type"], f"{seed}.{field['name']}", known, space, field)
        for field in schema["fields"]
    }
