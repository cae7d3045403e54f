"""Templates: a draft to be filled in, for each act, with every field explained beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from ledger import resources
from ledger.drafts import FIELDS
from ledger.statement import ITEMS_MAX

if TYPE_CHECKING:
    from ledger.acts import Act, Catalogue

__all__ = ["template"]

_CODES_SHOWN: Final = 40


def template(act: Act, catalogue: Catalogue) -> dict[str, Any]:
    """
    A JSON skeleton of a draft: every field, and beside it a remark that explains it.

    Remarks are the keys that begin with ``//``; they may stay, since reading drops them. What must
    be filled in stands in angle brackets.
    """
    schemas = resources.path("schemas")
    envelope = json.loads((schemas / "statement.avsc").read_text("utf-8"))
    folder = schemas / ("acts" if act.released else "drafts")
    body = json.loads((folder / f"{act.name}.{act.version}.avsc").read_text("utf-8"))
    told = {field["name"]: field for field in envelope["fields"]}
    fresh = str(uuid4())
    given: dict[str, Any] = {
        "act": act.name,
        "version": act.version,
        "kind": act.kind,
        "voice": "own",
        "case": fresh if act.name == "case.opened" else "<id of the case>",
        "subject": _subject(act, fresh),
        "occurred_from": "<2020-06-02T14:30:00Z, or a day: 2020-06-02>",
        "occurred_until": "<the same when exact>",
        "occurred_confirmed": True,
        "zone": "<Europe/Paris>",
        "visibility": {"ring": "case", "embargo_until": None},
        "language": "<fr>",
    }
    skeleton: dict[str, Any] = {
        "//": f"{act.doc} Subject: {' or '.join(act.streams)}. "
        f"Said by: {', '.join(act.by) or 'any'}." + (f" Answers: {', '.join(act.answers)}." if act.answers else "")
    }
    for name in FIELDS:
        if name == "body":
            break
        field = told[name]
        skeleton |= _explained(field, catalogue)
        if name in given:
            skeleton[name] = given[name]
    skeleton["body"] = _fields(body["fields"], catalogue)
    return skeleton


def _subject(act: Act, fresh: str) -> str:
    if act.name == "case.opened":
        return fresh
    if act.creates:
        return str(uuid4())
    return f"<id of the {' or '.join(act.streams)}>"


def _fields(fields: list[dict[str, Any]], catalogue: Catalogue) -> dict[str, Any]:
    skeleton: dict[str, Any] = {}
    for field in fields:
        skeleton |= _explained(field, catalogue)
    return skeleton


def _explained(field: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    name = field["name"]
    explained: dict[str, Any] = {f"//{name}": _remark(field, catalogue)}
    inner = _inner(field["type"])
    if isinstance(inner, dict) and inner.get("type") == "record":
        explained[f"//{name} has"] = _fields(inner["fields"], catalogue)
    explained[name] = _placeholder(field["type"], field)
    return explained


def _inner(kind: Any) -> Any:
    if isinstance(kind, list):
        kind = kind[-1]
    if isinstance(kind, dict) and kind.get("type") == "array":
        kind = kind["items"]
    return kind


def _remark(field: dict[str, Any], catalogue: Catalogue) -> str:
    said = str(field["doc"]).rstrip(".")
    inner = _inner(field["type"])
    if isinstance(inner, dict) and inner.get("logicalType") == "timestamp-micros":
        said += "; an instant, RFC 3339"
    elif "unit" in field and field["unit"].lower() != said.lower():
        said += f"; {field['unit']}"
    if "refers" in field:
        said += f"; refers to: {field['refers'].replace('|', ' or ')}"
    if "codes" in field:
        codes = list(catalogue.codes(field["codes"]))
        more = ", …" if len(codes) > _CODES_SHOWN else ""
        said += f"; one of {', '.join(codes[:_CODES_SHOWN])}{more}"
    elif "pattern" in field:
        said += f"; matches {field['pattern']}"
    if isinstance(inner, dict) and inner.get("type") == "enum":
        said += f"; one of {', '.join(inner['symbols'])}"
    kind = field["type"]
    if isinstance(kind, list):
        said += "; may be null"
    elif isinstance(kind, dict) and kind.get("type") == "array":
        said += f"; a list of at most {field.get('max_items', ITEMS_MAX)}"
    return said


def _placeholder(kind: Any, field: dict[str, Any]) -> Any:
    if isinstance(kind, list):
        return None
    if isinstance(kind, dict):
        if kind.get("type") == "array":
            return []
        if kind.get("logicalType") == "timestamp-micros":
            return "<2020-06-02T14:30:00Z>"
        if kind.get("type") == "enum":
            return f"<one of {', '.join(kind['symbols'])}>"
        if kind.get("type") == "fixed":
            return _bytes_placeholder(kind["size"], field)
        return {}
    if kind == "boolean":
        return False
    if kind == "long":
        return 0
    if kind == "string":
        return f"<{field.get('codes') or 'text'}>"
    if isinstance(kind, str) and kind.endswith("Uuid"):
        return _bytes_placeholder(16, field)
    return "<hexadecimal>"


def _bytes_placeholder(size: int, field: dict[str, Any]) -> str:
    if size == 16:
        return f"<id: {field.get('refers', 'thing')}>"
    return f"<{size} bytes, hexadecimal>"
