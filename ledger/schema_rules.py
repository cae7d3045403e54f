"""
What a schema must be: the subset, the properties of every field, the names, and the freeze.

Run by ``python -m ledger.acts check`` and by the tests. Nothing here runs in service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ledger.acts import codes_digest, labels, release

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.acts import Frozen

__all__ = ["BANNED", "ENVELOPES", "KINDS", "ROLES", "faults", "full_name", "incompatible"]

KINDS: Final = (
    "ledger",
    "authority",
    "case",
    "proceedings",
    "request",
    "exhibit",
    "disclosure",
    "challenge",
    "handover",
    "joint_team",
)
"""Kinds of thing, each with a stream of its own."""

ROLES: Final = frozenset(
    {
        "addressee",
        "any",
        "enrolling_root",
        "holder",
        "member",
        "notified",
        "other_authority",
        "publisher_of_disclosure",
        "recipient",
        "requested",
        "requesting",
        "same_publisher",
        "self",
    }
)
"""What ``by`` may say besides a kind of authority."""

ENVELOPES: Final = ("statement", "entry", "submission", "answer", "proven_entry", "signed_checkpoint", "set_aside")
"""Schemas that are no act: what is signed, what is kept, and what goes over the wire around them."""

BANNED: Final = frozenset(
    {
        "commit",
        "custody",
        "date",
        "event",
        "log",
        "message",
        "party",
        "position",
        "record",
        "refusal",
        "state",
        "transfer",
    }
)
"""Words with two meanings in this field, which no name may be, and no act or list may contain."""

_PRIVACY: Final = frozenset({"act", "pseudonym", "commitment"})
_STATEMENT_KINDS: Final = frozenset({"act", "decision", "claim", "assessment"})
_REFERS: Final = frozenset({*KINDS, "person", "statement"})
_FIELD_KEYS: Final = frozenset(
    {"name", "type", "default", "doc", "unit", "source", "privacy", "codes", "pattern"}
    | {"refers", "max_items", "max_bytes", "minimum"}
)
_ACT_KEYS: Final = frozenset(
    {"type", "name", "namespace", "doc", "act", "version", "released", "streams", "creates"}
    | {"by", "answers", "kind", "source", "fields"}
)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_INNER_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_ACT_NAME: Final = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


def full_name(act: str) -> str:
    """
    Return the Avro name of an act's record, the same in every version.

    >>> full_name("proceedings.stage_changed")
    'comity.acts.proceedings.StageChanged'
    """
    noun, _, verb = act.partition(".")
    return f"comity.acts.{noun}." + "".join(word.capitalize() for word in verb.split("_"))


def faults(root: Path) -> list[str]:
    """
    Return what is wrong with the schemas under ``root``, a sentence each; empty when all is well.

    Args:
        root: the folder that holds ``RELEASED``, ``acts``, ``drafts`` and ``codes``.
    """
    return list(_faults(root))


def _faults(root: Path) -> Iterator[str]:
    released, lists = release(root)
    files = {
        **dict.fromkeys((root / f"{name}.avsc" for name in ENVELOPES), True),
        **dict.fromkeys(sorted((root / "acts").glob("*")), True),
        **dict.fromkeys(sorted((root / "drafts").glob("*")), False),
    }
    schemas = {path: json.loads(path.read_bytes()) for path in files if path.exists()}
    acts = {schema["act"] for schema in schemas.values() if "act" in schema}
    codes = {path.stem: labels(path) for path in sorted((root / "codes").glob("*"))}

    yield from _freeze(root, released, lists, codes)
    for path, schema in schemas.items():
        where = path.relative_to(root).as_posix()
        for fault in _schema(path, schema, files[path], acts, codes):
            yield f"{where}: {fault}"
    for path, admitted in files.items():
        listed = (path.stem.rpartition(".")[0] or path.stem) in {name for name, _ in released}
        if admitted != listed:
            yield f"{path.relative_to(root).as_posix()}: " + (
                "is not in RELEASED" if admitted else "is a draft, yet in RELEASED"
            )
    for name, known in codes.items():
        yield from (f"codes/{name}: {fault}" for fault in _codes(name, known))
    yield from (f"codes/{name}: no schema uses it" for name in sorted(codes.keys() - _lists_of(schemas.values())))
    in_released = _lists_of(schema for path, schema in schemas.items() if files[path])
    yield from (f"codes/{name}: is not in RELEASED" for name in sorted(in_released - lists.keys()))


def _lists_of(schemas: Iterable[Mapping[str, Any]]) -> set[str]:
    """The code lists that schemas name."""
    return {str(field["codes"]) for schema in schemas for field in _fields(schema) if "codes" in field}


def _freeze(
    root: Path,
    released: Mapping[tuple[str, int], Frozen],
    lists: Mapping[str, list[tuple[int, str]]],
    codes: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    numbers = [number for number, _ in released.values()]
    if len(numbers) != len(set(numbers)):
        yield "RELEASED: a schema id is used twice"
    for (name, version), (_, digest) in released.items():
        path = root / (f"{name}.avsc" if name in ENVELOPES else f"acts/{name}.{version}.avsc")
        if not path.exists():
            yield f"RELEASED: {path.name} is missing"
        elif sha256(path.read_bytes()).hexdigest() != digest:
            yield f"RELEASED: {path.name} is not the file that was released"
    for name, freezes in lists.items():
        listed = codes.get(name, {})
        for size, digest in freezes:
            if len(listed) < size or codes_digest(listed, size) != digest:
                yield f"RELEASED: codes/{name} lost, moved or redefined a code"


def _schema(
    path: Path,
    schema: Mapping[str, Any],
    released: bool,
    acts: Iterable[str],
    codes: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    if schema.get("released") is not released:
        yield "`released` does not say where the file lies"
    if "act" in schema:
        name, version = schema["act"], schema["version"]
        if path.name != f"{name}.{version}.avsc":
            yield f"is not named after {name} {version}"
        # A log key is no log: qualified, the word has one meaning.
        words = set(re.split(r"[._]", name.replace("log_key", "")))
        if not _ACT_NAME.fullmatch(name) or BANNED & words:
            yield f"{name} is not a name for an act"
        if f"{schema['namespace']}.{schema['name']}" != full_name(name):
            yield f"should be the record {full_name(name)}"
        if unknown := schema.keys() ^ _ACT_KEYS:
            yield f"properties missing or unknown: {', '.join(sorted(unknown))}"
        if not schema["streams"] or not set(schema["streams"]) <= set(KINDS):
            yield "`streams` names an unknown kind"
        if schema["creates"] and len(schema["streams"]) != 1:
            yield "creates a thing, but of which kind?"
        if not schema["by"] or not set(schema["by"]) <= ROLES | codes["authority_kinds"].keys():
            yield "`by` names neither a kind of authority nor a role"
        if not set(schema["answers"]) <= set(acts):
            yield "`answers` names an unknown act"
        if schema["kind"] not in _STATEMENT_KINDS:
            yield "`kind` is none of the four"
    if not schema["doc"] or not schema["source"]:
        yield "doc or source is empty"
    yield from _record(schema, str(schema["namespace"]), {}, acts, codes)


def _record(
    schema: Mapping[str, Any],
    space: str,
    named: dict[str, Any],
    acts: Iterable[str],
    codes: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    for field in schema["fields"]:
        name = field["name"]

        def tell(what: str, name: str = name) -> str:
            return f"field {name}: {what}"

        if not _NAME.fullmatch(name) or name in BANNED:
            yield tell("is not a name for a field")
        if unknown := field.keys() - _FIELD_KEYS:
            yield tell(f"unknown properties {', '.join(sorted(unknown))}")
        if not field.get("doc") or not field.get("source"):
            yield tell("doc or source is missing")
        if field.get("privacy") not in _PRIVACY:
            yield tell("privacy is none of act, pseudonym, commitment")
        leaf, layers = _leaf(field["type"])
        if leaf is None:
            yield tell("is outside the subset of Avro")
            continue
        if isinstance(leaf, str) and leaf not in {"string", "bytes", "long", "boolean"}:
            full = leaf if "." in leaf else f"{space}.{leaf}"
            if full not in named:
                yield tell(f"refers to {leaf}, which is not defined before")
                continue
            leaf = named[full]
            again = True
        else:
            again = False
        kind = leaf if isinstance(leaf, str) else leaf["type"]
        yield from (tell(fault) for fault in _properties(field, kind, leaf, layers, acts, codes))
        if isinstance(leaf, Mapping) and kind in {"record", "enum", "fixed"} and not again:
            inner_space = str(leaf.get("namespace", space))
            full = f"{inner_space}.{leaf['name']}"
            if not _INNER_NAME.fullmatch(leaf["name"]):
                yield tell(f"{leaf['name']} is not a name for a type")
            if full in named:
                yield tell(f"defines {full} again")
            named[full] = leaf
            if kind == "record":
                yield from (tell(fault) for fault in _record(leaf, inner_space, named, acts, codes))
            if kind == "enum" and not all(_NAME.fullmatch(symbol) for symbol in leaf["symbols"]):
                yield tell("a symbol is not a name")


def _leaf(schema: Any) -> tuple[Any, Sequence[str]]:
    """The innermost type and what surrounds it; None where it is outside the subset."""
    layers: list[str] = []
    while True:
        if isinstance(schema, list):
            if len(schema) != 2 or schema[0] != "null" or "union" in layers:
                return None, layers
            layers.append("union")
            schema = schema[1]
        elif isinstance(schema, Mapping) and schema["type"] == "array":
            if layers:
                return None, layers
            layers.append("array")
            schema = schema["items"]
        elif isinstance(schema, str) and schema in {"null", "int", "float", "double", "map"}:
            return None, layers
        elif isinstance(schema, Mapping) and schema["type"] == "long":
            return (schema, layers) if schema.get("logicalType") == "timestamp-micros" else (None, layers)
        elif isinstance(schema, Mapping) and schema["type"] not in {"record", "enum", "fixed"}:
            return None, layers
        else:
            return schema, layers


def _properties(
    field: Mapping[str, Any],
    kind: str,
    leaf: Any,
    layers: Sequence[str],
    acts: Iterable[str],
    codes: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    if kind in {"long", "bytes"} and not field.get("unit"):
        yield "a number without its unit"
    if kind == "bytes" and not 0 < field.get("max_bytes", 0) <= 65_535:
        yield "bytes without max_bytes"
    if not 0 < field.get("max_items", 1) <= 64:
        yield "max_items outside 1 to 64"
    if kind == "string":
        if ("codes" in field) == ("pattern" in field):
            yield "text needs a code list or a pattern"
        if "codes" in field and field["codes"] not in codes:
            yield f"code list {field['codes']} is missing"
        if "pattern" in field:
            yield from _pattern(field["pattern"])
    elif "codes" in field or "pattern" in field:
        yield "only text has a code list or a pattern"
    if "refers" in field:
        target, _, names = field["refers"].partition(":")
        if kind != "fixed" or leaf["size"] != 16:
            yield "refers, but is no identifier"
        if target not in _REFERS or (names and target != "statement"):
            yield f"refers to {field['refers']}, which is no kind of thing"
        if names and not set(names.split("|")) <= set(acts):
            yield f"refers to {names}, which is no act"
        if (target == "person") != (field["privacy"] == "pseudonym"):
            yield "a person is a pseudonym, and nothing else is"
    if "default" in field:
        nothing: object = [] if layers[:1] == ["array"] else None
        if not layers or field["default"] != nothing:
            yield "a default is only for what may be absent or empty"
    if "union" in layers[:1] and "default" not in field:
        yield "may be absent, but has no default"


def _pattern(pattern: str) -> Iterator[str]:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        yield "the pattern is not anchored"
    # Linear time on text of at most 64 characters: no repeat within a repeat, nothing referred back.
    if re.search(r"\)[*+{]|\\[1-9]|\(\?", pattern):
        yield "the pattern may take more than linear time"
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"the pattern does not compile: {error}"


def _codes(name: str, labels: Mapping[str, str]) -> Iterator[str]:
    if not _NAME.fullmatch(name) or BANNED & set(name.split("_")):
        yield "is not a name for a code list"
    for code, label in labels.items():
        if len(code) > 64 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./+-]*", code):
            yield f"{code} is not a code"
        if not label:
            yield f"{code} has no label"
        if code in BANNED:
            yield f"{code} has two meanings"


def _fields(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every field, those of inner records too."""
    for field in schema["fields"]:
        yield field
        leaf, _ = _leaf(field["type"])
        if isinstance(leaf, Mapping) and leaf["type"] == "record":
            yield from _fields(leaf)


def incompatible(root: Path, later: Callable[[Any, Any], list[str]]) -> list[str]:
    """
    Return the released versions that cannot read their predecessors.

    Args:
        root: the schema folder.
        later: (newer, older) to what hinders reading the older with the newer.
    """
    found = []
    for path in sorted((root / "acts").glob("*.avsc")):
        name, _, version = path.stem.rpartition(".")
        older = path.with_name(f"{name}.{int(version) - 1}.avsc")
        if older.exists():
            newer_schema, older_schema = (json.loads(p.read_bytes()) for p in (path, older))
            found += [f"{path.name}: {what}" for what in later(newer_schema, older_schema)]
    return found
