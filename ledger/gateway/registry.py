"""
The released schemas as a Confluent Schema Registry that only answers.

Source: the Schema Registry API of the Confluent Platform 8 (paths, media type, error codes). Schemas come
from ``schemas/``, ids and versions from ``schemas/RELEASED``; nothing is ever registered over HTTP, and
whoever tries is told so as the API says it for a registry in mode READONLY (42205).

A *subject* is the name of a schema (``entry``, ``case.opened``), or that of a topic whose values it
frames, with ``-value``: the two ways in which clients name subjects.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from fastavro.schema import parse_schema, to_parsing_canonical_form

from ledger.acts import release
from ledger.errors import FormatError, NotVerified
from ledger.gateway.http import Request, Response, Route

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"

TOPICS: Final = {
    "comity.submissions": "submission",
    "comity.rejections": "set_aside",
    "comity.entries": "entry",
    "comity.checkpoints": "signed_checkpoint",
}
"""The schema of each topic's values; topics below ``comity.receipts`` and ``comity.entries`` have one each."""

BELOW: Final = (("comity.receipts.", "answer"), ("comity.entries.", "proven_entry"))

LEVEL: Final = "BACKWARD_TRANSITIVE"
"""A new version reads everything that any version before it wrote."""

SCHEMA_BYTES_MAX: Final = 1_000_000


class _Wrong(Exception):  # noqa: N818 -- carries an answer
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.response = Response.json({"error_code": code, "message": message}, status, MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Released:
    """One released schema: name, version, id, its text as one line of JSON, and Avro's canonical form of it."""

    name: str
    version: int
    schema_id: int
    text: str
    canonical: str


class Registry:
    """Answers for one folder of schemas."""

    def __init__(self, root: Path) -> None:
        """Answer for the schemas under *root*; they are read when first asked for."""
        self._root = root

    @cached_property
    def _by_id(self) -> dict[int, Released]:
        found: dict[int, Released] = {}
        for (name, version), frozen in release(self._root).schemas.items():
            data = (self._root / (f"acts/{name}.{version}.avsc" if "." in name else f"{name}.avsc")).read_bytes()
            if sha256(data).hexdigest() != frozen.sha256:
                raise NotVerified(f"the schema {name} is not the file that was released", step="schemas")
            read = json.loads(data)
            canonical = to_parsing_canonical_form(parse_schema(json.loads(data)))
            text = json.dumps(read, separators=(",", ":"), ensure_ascii=False)
            found[frozen.number] = Released(name, version, frozen.number, text, canonical)
        return found

    @cached_property
    def _by_name(self) -> dict[str, dict[int, Released]]:
        found: dict[str, dict[int, Released]] = {}
        for one in sorted(self._by_id.values(), key=lambda one: one.version):
            found.setdefault(one.name, {})[one.version] = one
        return found

    def route(self, method: str, path: str) -> Route | None:
        """Return who answers a path of the registry; None where it is none of its paths."""
        parts = path.strip("/").split("/")
        found = self._find(method, parts)
        if found is None:
            return None
        name, answer = found

        def asked(request: Request) -> Response:
            try:
                return Response.json(answer(request), 200, MEDIA_TYPE)
            except _Wrong as wrong:
                return wrong.response

        return Route(f"registry {name}", asked, takes_body=method in {"POST", "PUT"})

    def _find(self, method: str, parts: list[str]) -> tuple[str, Callable[[Request], Any]] | None:
        match method, parts:
            case "GET", ["subjects"]:
                return "subjects", lambda _: [*sorted(self._by_name), *(f"{topic}-value" for topic in sorted(TOPICS))]
            case "GET", ["subjects", subject, "versions"]:
                return "versions", lambda _: list(self._versions(subject))
            case "GET", ["subjects", subject, "versions", version]:
                return "version", lambda _: _shape(subject, self._version(subject, version))
            case "GET", ["subjects", subject, "versions", version, "schema"]:
                return "version schema", lambda _: json.loads(self._version(subject, version).text)
            case "POST", ["subjects", subject]:
                return "look up", lambda request: self._look_up(subject, request.body)
            case "GET", ["schemas", "ids", number]:
                return "schema", lambda _: {"schema": self._schema(number).text}
            case "GET", ["schemas", "ids", number, "schema"]:
                return "schema text", lambda _: json.loads(self._schema(number).text)
            case "GET", ["schemas", "ids", number, "subjects"]:
                return "schema subjects", lambda _: self._subjects(self._schema(number))
            case "GET", ["schemas", "ids", number, "versions"]:
                return "schema versions", lambda _: [
                    {"subject": subject, "version": self._schema(number).version}
                    for subject in self._subjects(self._schema(number))
                ]
            case "GET", ["schemas", "types"]:
                return "types", lambda _: ["AVRO"]
            case "GET", ["config"]:
                return "config", lambda _: {"compatibilityLevel": LEVEL}
            case "GET", ["config", subject]:
                return "subject config", lambda _: {"compatibilityLevel": self._versions(subject) and LEVEL}
            case "GET", ["mode"]:
                return "mode", lambda _: {"mode": "READONLY"}
            case "GET", ["mode", subject]:
                return "subject mode", lambda _: {"mode": self._versions(subject) and "READONLY"}
            case "POST", ["compatibility", "subjects", subject, "versions", *_]:
                return "compatibility", lambda request: self._compatible(subject, request.body)
            case "GET", ["v1", "metadata", "id"]:
                return "identity", lambda _: {"scope": {"path": [], "clusters": {}}, "id": "comity"}
            case _, ["subjects" | "schemas" | "config" | "mode" | "compatibility", *_]:
                return ("read-only", _read_only) if method != "GET" else ("unknown", _unknown)
        return None

    def _versions(self, subject: str) -> dict[int, Released]:
        name = subject
        if subject.endswith("-value"):
            topic = subject.removesuffix("-value")
            name = TOPICS.get(topic) or next((schema for head, schema in BELOW if topic.startswith(head)), subject)
        found = self._by_name.get(name)
        if found is None:
            raise _Wrong(404, 40401, f"Subject '{subject[:100]}' not found.")
        return found

    def _version(self, subject: str, version: str) -> Released:
        versions = self._versions(subject)
        if version in {"latest", "-1"}:
            return versions[max(versions)]
        number = _number(version)
        if number is None or not number:
            raise _Wrong(
                422, 42202,
                f"The specified version '{version[:40]}' is not a valid version id. Allowed values are between "
                '[1, 2^31-1] and the string "latest"',
            )  # fmt: skip
        if number not in versions:
            raise _Wrong(404, 40402, f"Version {number} not found.")
        return versions[number]

    def _schema(self, text: str) -> Released:
        found = self._by_id.get(_number(text) or -1)
        if found is None:
            raise _Wrong(404, 40403, f"Schema {text[:40]} not found")
        return found

    def _subjects(self, schema: Released) -> list[str]:
        return [schema.name, *(f"{topic}-value" for topic, name in TOPICS.items() if name == schema.name)]

    def _look_up(self, subject: str, body: bytes) -> dict[str, Any]:
        wanted = _canonical(body)
        for one in self._versions(subject).values():
            if one.canonical == wanted:
                return _shape(subject, one)
        raise _Wrong(404, 40403, "Schema not found")

    def _compatible(self, subject: str, body: bytes) -> dict[str, Any]:
        """
        Say whether a schema may be used with this subject.

        A released schema never changes and what follows it is decided where it is released: a client may use what
        is released, and nothing else.
        """
        wanted = _canonical(body)
        return {"is_compatible": any(one.canonical == wanted for one in self._versions(subject).values())}


def _shape(subject: str, schema: Released) -> dict[str, Any]:
    return {"subject": subject, "version": schema.version, "id": schema.schema_id, "schema": schema.text}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _canonical(body: bytes) -> str:
    """Return the canonical form of the Avro schema in a request; 42201 where there is none."""
    try:
        asked = json.loads(body[:SCHEMA_BYTES_MAX])
        if asked.get("schemaType", "AVRO") != "AVRO" or asked.get("references"):
            raise FormatError("is no Avro schema that stands alone")
        return to_parsing_canonical_form(parse_schema(json.loads(asked["schema"])))
    except RecursionError:
        raise _Wrong(422, 42201, "Invalid schema: nested too deeply") from None
    except Exception as error:  # noqa: BLE001 -- whatever Avro says of a stranger's schema, it is the schema's fault
        raise _Wrong(422, 42201, f"Invalid schema: {type(error).__name__}") from None


def _read_only(_: Request) -> Any:
    raise _Wrong(
        422, 42205,
        "This registry is read-only: schemas are released with the software, never registered over HTTP. "
        "Use a released schema (auto.register.schemas=false, use.latest.version=true).",
    )  # fmt: skip


def _unknown(_: Request) -> Any:
    raise _Wrong(404, 404, "HTTP 404 Not Found")
