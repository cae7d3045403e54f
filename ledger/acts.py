"""
What can be said on a ledger: the catalogue of acts.

A schema file under ``schemas/`` is the single source: its fields, their meaning, unit, source and
privacy, the code list or pattern of each string, what each identifier refers to, and for an act on
which streams it may be said, by whom, and in answer to what. Released schemas never change:
``schemas/RELEASED`` freezes their bytes, and a file that differs from it is not loaded.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from ledger import resources
from ledger.codec import MAX_CHARS, Codec, Fault
from ledger.errors import FormatError, NotVerified

__all__ = ["Act", "Catalogue", "catalogue", "codec", "codes_digest", "labels", "release"]


def codec(source: str | Path | Mapping[str, Any]) -> Codec:
    """
    Return the codec of a schema.

    Args:
        source: the schema itself, or the path of its file; a relative path is meant under
            ``schemas/``, such as ``statement.avsc``.

    Raises:
        NotVerified: the file is frozen in RELEASED and differs from what was released.

    Cost: a file read and a compilation, about a millisecond; keep what it returns.
    """
    known = catalogue()
    if isinstance(source, Mapping):
        return Codec(source, known.codes)
    return known.codec(Path(source))


@dataclass(frozen=True, slots=True)
class Act:
    """
    One version of one act: what the catalogue says about it.

    Attributes:
        name: wire name, ``noun.past_participle``.
        version: 1 or more.
        schema_id: number of the released schema; 0 for a draft.
        sha256: SHA-256 of the schema file.
        released: whether a production ledger admits it.
        noun: the part of the name before the full stop.
        streams: kinds of stream that its subject may be.
        creates: whether it begins the stream that is its subject.
        by: who may say it in their own voice.
        answers: acts that its ``answers`` may point to; empty where any or none will do.
        kind: what such a statement ordinarily is: act, decision, claim or assessment.
        references: kind of what each identifier refers to, by path such as ``roots[].authority``.
        doc: what it says, in one sentence.
        source: article or specification behind it.
    """

    name: str
    version: int
    schema_id: int
    sha256: str
    released: bool
    noun: str
    streams: tuple[str, ...]
    creates: bool
    by: tuple[str, ...]
    answers: tuple[str, ...]
    kind: str
    references: Mapping[str, str]
    doc: str
    source: str


class Frozen(NamedTuple):
    """A released schema: its number, and the SHA-256 of its file in hexadecimal."""

    number: int
    sha256: str


class Release(NamedTuple):
    """
    What RELEASED freezes.

    Attributes:
        schemas: by (name, version).
        lists: by name of a code list, oldest first: how many codes were frozen, and the SHA-256 over them.
    """

    schemas: Mapping[tuple[str, int], Frozen]
    lists: Mapping[str, list[tuple[int, str]]]


def release(root: Path) -> Release:
    """Read the file RELEASED of the schema folder *root*."""
    schemas: dict[tuple[str, int], Frozen] = {}
    lists: dict[str, list[tuple[int, str]]] = {}
    for line in (root / "RELEASED").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        name, *rest = line.split()
        if name.startswith("codes/"):
            size, digest = rest
            lists.setdefault(name.removeprefix("codes/"), []).append((int(size), digest))
        else:
            version, number, digest = rest
            schemas[name, int(version)] = Frozen(int(number), digest)
    return Release(schemas, lists)


def labels(path: Path) -> dict[str, str]:
    """Read a code list: label in plain words by code, in the order of release; FileNotFoundError without the file."""
    rows = tomllib.loads(path.read_text("utf-8"))["codes"]
    return {code: row if isinstance(row, str) else str(row["label"]) for code, row in rows.items()}


def codes_digest(labels: Mapping[str, str], size: int) -> str:
    """SHA-256 over the first ``size`` codes with their labels, sorted: codes are only appended."""
    first = sorted(list(labels.items())[:size])
    return sha256("".join(f"{code}\t{label}\n" for code, label in first).encode()).hexdigest()


def _references(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for field in schema["fields"]:
        here = f"{path}{field['name']}"
        kind = field["type"]
        if isinstance(kind, list):
            kind = kind[1]
        if isinstance(kind, Mapping) and kind["type"] == "array":
            here += "[]"
            kind = kind["items"]
        if isinstance(kind, Mapping) and kind["type"] == "record":
            yield from _references(kind, f"{here}.")
        elif "refers" in field:
            yield here, field["refers"]


class Catalogue:
    """
    The acts under one schema folder, each read when it is first asked for.

    Args:
        root: the folder that holds ``RELEASED``, ``acts``, ``drafts`` and ``codes``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._acts: dict[tuple[str, int], tuple[Act, Codec]] = {}
        self._lists: dict[str, dict[str, str]] = {}

    @cached_property
    def _release(self) -> Release:
        return release(self._root)

    def _read(self, path: Path, frozen: Frozen | None) -> tuple[Mapping[str, Any], str]:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotVerified(f"{path.name} is missing", step="schemas") from None
        digest = sha256(data).hexdigest()
        if frozen is not None and digest != frozen.sha256:
            raise NotVerified(f"{path.name} is not the file that was released", step="schemas")
        return json.loads(data), digest

    def codec(self, path: Path) -> Codec:
        """Return the codec of a schema file; see the function ``codec``."""
        frozen = self._release.schemas.get((path.stem, 1)) if not path.is_absolute() else None
        schema, _ = self._read(self._root / path, frozen)
        return Codec(schema, self.codes)

    def _load(self, name: str, version: int) -> tuple[Act, Codec]:
        found = self._acts.get((name, version))
        if found is not None:
            return found
        frozen = self._release.schemas.get((name, version))
        file = f"{name}.{version}.avsc"
        path = self._root / ("acts" if frozen else "drafts") / file
        if frozen is None and (name, version) not in self._drafts:
            known = {known for known, _ in (*self._release.schemas, *self._drafts)}
            close = get_close_matches(str(name)[:MAX_CHARS], known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            hint = f" in version {version}" if name in known else hint
            raise FormatError(f"no act {str(name)[:MAX_CHARS]!r}" + hint, field="act")
        schema, digest = self._read(path, frozen)
        act = Act(
            name=name,
            version=version,
            schema_id=frozen.number if frozen else 0,
            sha256=digest,
            released=frozen is not None,
            noun=name.partition(".")[0],
            streams=tuple(schema["streams"]),
            creates=schema["creates"],
            by=tuple(schema["by"]),
            answers=tuple(schema["answers"]),
            kind=schema["kind"],
            references=dict(_references(schema)),
            doc=schema["doc"],
            source=schema["source"],
        )
        return self._acts.setdefault((name, version), (act, Codec(schema, self.codes)))

    @cached_property
    def _drafts(self) -> frozenset[tuple[str, int]]:
        files = (path.stem.rpartition(".") for path in (self._root / "drafts").glob("*.avsc"))
        return frozenset((name, int(version)) for name, _, version in files)

    def act(self, name: str, version: int = 1) -> Act:
        """
        Return what the catalogue says about an act.

        Raises:
            FormatError: there is no such act, in field ``act``.
            NotVerified: its file differs from what was released.
        """
        return self._load(name, version)[0]

    def acts(self) -> tuple[Act, ...]:
        """Return all acts, released and drafts, by name and version. Reads every file."""
        known = [key for key in self._release.schemas if "." in key[0]]
        return tuple(self.act(*key) for key in sorted((*known, *self._drafts)))

    def codec_of(self, name: str, version: int = 1) -> Codec:
        """Return the codec of an act's body; raises as ``act`` does."""
        return self._load(name, version)[1]

    def encode(self, name: str, version: int, body: Mapping[str, Any]) -> bytes:
        """Return the encoding of an act's body; see ``Codec.encode`` and ``act``."""
        return self._load(name, version)[1].encode(body)

    def decode(self, name: str, version: int, data: bytes) -> dict[str, Any]:
        """Return the body that ``data`` encodes; see ``Codec.decode`` and ``act``."""
        return self._load(name, version)[1].decode(data)

    def faults(self, name: str, version: int, body: Mapping[str, Any]) -> list[Fault]:
        """Return what a body holds outside its code lists and patterns; see ``Codec.faults``."""
        return self._load(name, version)[1].faults(body)

    def references(self, name: str, version: int, body: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
        """Return what a body refers to: (path, kind, identifier)."""
        return self._load(name, version)[1].references(body)

    def to_json(self, name: str, version: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body as JSON has it; see ``Codec.to_json``."""
        return self._load(name, version)[1].to_json(body)

    def from_json(self, name: str, version: int, value: Any) -> dict[str, Any]:
        """Return the body that a JSON object means; see ``Codec.from_json``."""
        return self._load(name, version)[1].from_json(value)

    def codes(self, name: str) -> dict[str, str]:
        """
        Return a code list: label in plain words by code, in the order of release.

        Raises:
            NotVerified: there is no such list, or a released code was removed or redefined.
        """
        found = self._lists.get(name)
        if found is not None:
            return found
        try:
            read = labels(self._root / "codes" / f"{name}.toml")
        except FileNotFoundError:
            raise NotVerified(f"code list {name} is missing", step="schemas") from None
        # The newest freeze covers those before it.
        for size, digest in self._release.lists.get(name, ())[-1:]:
            if codes_digest(read, size) != digest:
                raise NotVerified(f"code list {name} lost or redefined a released code", step="schemas")
        return self._lists.setdefault(name, read)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of this installation."""
    return Catalogue(resources.path("schemas"))


def _check(arguments: list[str]) -> int:
    """``python -m ledger.acts check [FOLDER]``: name every fault of the schemas on stderr."""
    # Only the check needs these rules, and Avro's own judgement is a development dependency.
    from avro.compatibility import ReaderWriterCompatibilityChecker  # noqa: PLC0415 -- for the check alone
    from avro.schema import make_avsc_object  # noqa: PLC0415 -- for the check alone

    from ledger import schema_rules  # noqa: PLC0415 -- for the check alone

    if not arguments or arguments[0] != "check" or len(arguments) > 2:
        sys.stderr.write("usage: python -m ledger.acts check [FOLDER]\n")
        return 2
    root = Path(arguments[1]) if len(arguments) == 2 else resources.path("schemas")

    def hinders(newer: Any, older: Any) -> list[str]:
        checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # avro has no types
        judged = checker.get_compatibility(make_avsc_object(newer), make_avsc_object(older))
        return [str(message) for message in judged.messages]

    found = schema_rules.faults(root) + schema_rules.incompatible(root, hinders)
    for fault in found:
        sys.stderr.write(fault + "\n")
    return 3 if found else 0


if __name__ == "__main__":
    sys.exit(_check(sys.argv[1:]))
