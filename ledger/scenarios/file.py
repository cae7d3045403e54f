"""
Scenario files: real cases as dated statements.

A scenario is a TOML file that a jurist can read and correct: a cast of roots and authorities, the
things that the case is about, and what was said of them, in the order in which the log learned it.
Slugs stand for ids; a day stands for the whole of that day in the zone of whoever acted.
``scenarios/README.md`` describes the format. Everything is checked that can be without playing it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from ledger.acts import catalogue
from ledger.drafts import KINDS as KINDS_OF_STATEMENT
from ledger.drafts import RINGS, VOICES
from ledger.errors import FormatError, NotFound
from ledger.instants import YEARS, instant, rfc3339
from ledger.statement import Basis

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.acts import Catalogue

__all__ = ["KINDS", "Cast", "Holder", "Item", "Names", "Said", "Scenario", "derived", "enrolment", "identity", "load"]

KINDS: Final = (
    "case",
    "proceedings",
    "request",
    "exhibit",
    "disclosure",
    "challenge",
    "handover",
    "joint_team",
)
"""Kinds of thing: each is a table of the file, and a kind of stream."""

_BYTES_MAX: Final = 4 << 20
SECOND: Final = 1_000_000
_MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * _MINUTE
_RECORDED_AT: Final = 9 * HOUR
# Fields whose schema refers to no one kind of stream, and what a slug in them means.
_LOOSE: Final = {"condition": "condition", "target_subject": "thing"}


# ------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True)
class Holder:
    """
    A root of trust.

    Attributes:
        slug: the holder's name on the roster: two letters of a State, or a word.
        name: what people call it.
        enrolls: code of ``root_kinds``.
        zone: IANA zone of its statements.
        admitted: day on which it joined a ledger already founded; None for a founding root.
    """

    slug: str
    name: str
    enrolls: str
    zone: str
    admitted: date | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """
    An authority, enrolled by the root of its holder; counsel by ``enrolled_by``.

    Attributes:
        key: whether it publishes for itself; an authority without a key is only reported.
        designated: whether its name is published as its designation; that of counsel never is.
        enrolled: day of its enrolment; None for the day of the founding.
    """

    slug: str
    name: str
    holder: str
    kind: str
    country: str
    zone: str
    languages: tuple[str, ...]
    functions: tuple[str, ...]
    level: str
    key: bool
    designated: bool = True
    enrolled: date | None = None
    enrolled_by: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A thing, a person or a condition: slug, kind, the case it belongs to, and its title."""

    slug: str
    kind: str
    case: str
    title: str


@dataclass(frozen=True, slots=True)
class Said:
    """
    One statement of a scenario; instants in microseconds since 1970 UTC.

    ``body`` has slugs, labels, days and commitments as the file has them; ``where`` is how errors
    name the statement.
    """

    where: str
    step: int
    label: str | None
    act: str
    kind: str
    subject: Item
    by: str
    voice: str
    speaker: str | Mapping[str, str] | None
    source: str | None
    mandate: str | None
    occurred_from: int
    occurred_until: int
    confirmed: bool
    recorded: int
    zone: str
    addressees: tuple[str, ...]
    proceedings: tuple[str, ...]
    basis: tuple[Basis, ...]
    answers: tuple[str, ...]
    visibility: str
    body: Mapping[str, Any]
    note: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, checked."""

    name: str
    title: str
    founded: int
    sources: tuple[str, ...]
    holders: Mapping[str, Holder]
    cast: Mapping[str, Cast]
    items: Mapping[str, Item]
    statements: tuple[Said, ...]


def load(path: Path) -> Scenario:
    """
    Read and check a scenario file.

    Everything is checked that can be without playing it: keys, slugs, labels, days, and each body
    against the schema of its act.

    Raises:
        NotFound: there is no such file.
        FormatError: naming the file and the key.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no scenario {path}", what_now="name a file of scenarios/") from None
    if len(data) > _BYTES_MAX:
        raise FormatError(f"is longer than {_BYTES_MAX} bytes", field=path.name)
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not TOML: {error}", field=path.name) from error
    return _Reader(path).scenario(table)


class _Reader:
    """Reads one file; every refusal names file and key."""

    def __init__(self, path: Path) -> None:
        self._file = path.name
        self._name = path.stem
        self._catalogue = catalogue()
        self._holders: dict[str, Holder] = {}
        self._cast: dict[str, Cast] = {}
        self._items: dict[str, Item] = {}
        self._labels: dict[str, str] = {}

    def scenario(self, data: Mapping[str, Any]) -> Scenario:
        known = {"title", "founded", "sources", "root", "authority", "person", "condition", "statement"}
        self._keys(data, "", known | set(KINDS), {"title", "founded", "root", "authority", "statement"})
        founded = midnight(self._day(data["founded"], "founded"))
        for slug, row in self._table(data["root"], "root").items():
            self._holders[slug] = self._holder(slug, row)
        for slug, row in self._table(data["authority"], "authority").items():
            self._cast[slug] = self._authority(slug, row)
        for kind in (*KINDS, "person", "condition"):
            for slug, row in self._table(data.get(kind, {}), kind).items():
                self._items[slug] = self._item(kind, slug, row)
        statements: list[Said] = []
        before = founded
        for number, row in enumerate(self._rows(data["statement"], "statement")):
            said = self._statement(number, row, before)
            before = said.recorded
            statements.append(said)
        return Scenario(
            self._name,
            self._text(data, "title", ""),
            founded,
            tuple(self._texts(data, "sources", "")),
            self._holders,
            self._cast,
            self._items,
            tuple(statements),
        )

    def _holder(self, slug: str, row: Any) -> Holder:
        key = f"root.{slug}"
        self._keys(row, key, {"name", "enrolls", "zone", "admitted"}, {"name", "enrolls", "zone"})
        enrolls = self._code(row, "enrolls", key, self._catalogue.codes("root_kinds"))
        return Holder(
            slug,
            self._text(row, "name", key),
            enrolls,
            self._zone(row, key),
            self._day(row["admitted"], f"{key}.admitted") if "admitted" in row else None,
        )

    def _authority(self, slug: str, row: Any) -> Cast:
        key = f"authority.{slug}"
        needed = {"name", "holder", "kind", "zone", "languages", "functions", "level", "key"}
        self._keys(row, key, needed | {"country", "designated", "enrolled", "enrolled_by"}, needed)
        holder = self._text(row, "holder", key)
        if holder not in self._holders:
            self._fail(f"{key}.holder", f"no root {holder!r}")
        enrolled_by = self._text(row, "enrolled_by", key) if "enrolled_by" in row else None
        if enrolled_by is not None and enrolled_by not in self._cast:
            self._fail(f"{key}.enrolled_by", f"no authority {enrolled_by!r} before this one")
        cast = Cast(
            slug,
            self._text(row, "name", key),
            holder,
            self._text(row, "kind", key),
            self._text(row, "country", key) if "country" in row else holder,
            self._zone(row, key),
            tuple(self._texts(row, "languages", key)),
            tuple(self._texts(row, "functions", key)),
            self._text(row, "level", key),
            self._flag(row, "key", key, default=False),
            self._flag(row, "designated", key, default=True),
            self._day(row["enrolled"], f"{key}.enrolled") if "enrolled" in row else None,
            enrolled_by,
        )
        body = enrolment(cast, None, None)
        for fault in self._catalogue.faults("authority.enrolled", 1, body):
            self._fail(f"{key}.{fault.path}", fault.rule)
        return cast

    def _item(self, kind: str, slug: str, row: Any) -> Item:
        key = f"{kind}.{slug}"
        placed = kind in KINDS and kind != "case"
        needed = {"title", "case"} if placed else {"title"}
        self._keys(row, key, needed, needed)
        if slug in self._items:
            self._fail(key, f"there is a {self._items[slug].kind} of this name already")
        case = self._text(row, "case", key) if placed else slug if kind == "case" else ""
        if placed and (case not in self._items or self._items[case].kind != "case"):
            self._fail(f"{key}.case", f"no case {case!r}")
        return Item(slug, kind, case, self._text(row, "title", key))

    def _statement(self, number: int, row: Any, before: int) -> Said:
        key = f"statement[{number}]"
        needed = {"step", "act", "subject", "by", "recorded", "body"}
        known = needed | {
            "label", "kind", "voice", "speaker", "source", "mandate", "on", "from", "until",
            "confirmed", "zone", "addressees", "proceedings", "basis", "answers", "visibility", "note",
        }  # fmt: skip
        self._keys(row, key, known, needed)
        label = self._text(row, "label", key) if "label" in row else None
        if label is not None:
            key = f"{key} ({label})"
        if type(row["step"]) is not int or row["step"] < 1:
            self._fail(f"{key}.step", "should be a number from 1")
        try:
            act = self._catalogue.act(self._text(row, "act", key))
        except FormatError as error:
            self._fail(f"{key}.act", error.what)
        slug = self._text(row, "subject", key)
        subject = self._items.get(slug)
        if subject is None or subject.kind not in act.streams:
            self._fail(f"{key}.subject", f"no {' or '.join(act.streams)} {slug!r}")
        by = self._text(row, "by", key)
        if by not in self._cast:
            self._fail(f"{key}.by", f"no authority {by!r}")
        if not self._cast[by].key:
            self._fail(f"{key}.by", f"{by} has no key and publishes nothing; report it with speaker")
        voice, speaker = self._voice(row, key)
        zone = self._zone(row, key) if "zone" in row else self._cast[speaker if isinstance(speaker, str) else by].zone
        began, ended = self._occurred(row, key, zone)
        recorded = self._recorded(row["recorded"], f"{key}.recorded", before)
        if recorded <= ended:
            self._fail(f"{key}.recorded", "lies before the end of what it records")
        said = Said(
            f"{self._file}: {key}",
            row["step"],
            label,
            act.name,
            self._code(row, "kind", key, KINDS_OF_STATEMENT) if "kind" in row else act.kind,
            subject,
            by,
            voice,
            speaker,
            self._text(row, "source", key) if "source" in row else None,
            self._text(row, "mandate", key) if "mandate" in row else None,
            began,
            ended,
            self._flag(row, "confirmed", key, default=True),
            recorded,
            zone,
            self._named(row, "addressees", key, self._cast),
            self._named(row, "proceedings", key, self._of_kind("proceedings")),
            tuple(self._basis(row, key)),
            self._named(row, "answers", key, self._labels),
            self._code(row, "visibility", key, RINGS) if "visibility" in row else "case",
            self._table(row["body"], f"{key}.body"),
            self._text(row, "note", key) if "note" in row else "",
        )
        self._body(said)
        if said.label is not None:
            if said.label in self._labels:
                self._fail(f"{key}.label", "stands for an earlier statement already")
            self._labels[said.label] = said.act
        return said

    def _voice(self, row: Mapping[str, Any], key: str) -> tuple[str, str | Mapping[str, str] | None]:
        speaker = row.get("speaker")
        voice = self._code(row, "voice", key, VOICES) if "voice" in row else "own" if speaker is None else "reported"
        if (voice == "own") != (speaker is None):
            self._fail(f"{key}.speaker", f"does not go with the voice {voice}")
        if ("source" in row) != (voice == "reported"):
            self._fail(f"{key}.source", "is where a reported act was published, and of reports only")
        if ("mandate" in row) != (voice == "on_behalf"):
            self._fail(f"{key}.mandate", "is the statement by which one speaks on behalf of another")
        if voice == "on_behalf" and self._text(row, "mandate", key) not in self._labels:
            self._fail(f"{key}.mandate", f"no earlier statement {row['mandate']!r}")
        if isinstance(speaker, Mapping):
            where = f"{key}.speaker"
            self._keys(speaker, where, {"country", "kind"}, {"country", "kind"})
            if voice == "on_behalf":
                self._fail(where, "is the authority spoken for, by its slug")
            codes = self._catalogue.codes
            return voice, {
                "country": self._code(speaker, "country", where, codes("countries")),
                "kind": self._code(speaker, "kind", where, codes("authority_kinds")),
            }
        if speaker is not None and self._text(row, "speaker", key) not in self._cast:
            self._fail(f"{key}.speaker", f"no authority {speaker!r}")
        return voice, speaker

    def _occurred(self, row: Mapping[str, Any], key: str, zone: str) -> tuple[int, int]:
        if ("on" in row) == ("from" in row) or ("from" in row) != ("until" in row):
            self._fail(key, "says when it happened by either on, or from and until")
        first, last = ("on", "on") if "on" in row else ("from", "until")
        began = self._instant(row[first], f"{key}.{first}", zone, end=False)
        ended = self._instant(row[last], f"{key}.{last}", zone, end=True)
        if ended < began:
            self._fail(f"{key}.until", "lies before from")
        return began, ended

    def _recorded(self, value: Any, key: str, before: int) -> int:
        if isinstance(value, datetime):
            recorded = self._instant(value, key, "UTC", end=False)
            if recorded <= before:
                self._fail(key, "statements stand in the order in which they were recorded")
            return recorded
        morning = midnight(self._day(value, key)) + _RECORDED_AT
        if morning // (24 * HOUR) < before // (24 * HOUR):
            self._fail(key, "statements stand in the order in which they were recorded")
        # Of one day, each a minute after the one before it.
        return max(morning, before + _MINUTE)

    def _basis(self, row: Mapping[str, Any], key: str) -> Iterator[Basis]:
        for number, item in enumerate(self._rows(row.get("basis", []), f"{key}.basis")):
            where = f"{key}.basis[{number}]"
            self._keys(item, where, {"instrument", "article", "domestic"}, {"instrument"})
            domestic = self._flag(item, "domestic", where, default=False)
            instrument = self._text(item, "instrument", where)
            if not domestic:
                self._code(item, "instrument", where, self._catalogue.codes("instruments"))
            yield Basis(instrument, self._text(item, "article", where) if "article" in item else None, domestic)

    def _body(self, said: Said) -> None:
        """Try the body against its schema, with ids made up for the trial."""
        trial = Names(
            "trial",
            self._cast,
            self._items,
            {label: identity("trial", "statement", label) for label in self._labels},
        )
        trial.body(self._catalogue, said)

    def _of_kind(self, kind: str) -> set[str]:
        return {item.slug for item in self._items.values() if item.kind == kind}

    # --- values ---

    def _fail(self, key: str, what: str) -> NoReturn:
        raise FormatError(what, field=f"{self._file}: {key}")

    def _keys(self, table: Any, key: str, known: set[str], needed: set[str]) -> None:
        prefix = f"{key}." if key else ""
        for name in self._table(table, key):
            if name not in known:
                self._fail(f"{prefix}{name}", "unknown key")
        for name in sorted(needed):
            if name not in table:
                self._fail(f"{prefix}{name}", "is missing")

    def _table(self, value: Any, key: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._fail(key, "should be a table")
        return value

    def _rows(self, value: Any, key: str) -> list[Any]:
        if not isinstance(value, list):
            self._fail(key, "should be a list")
        return value

    def _text(self, row: Mapping[str, Any], name: str, key: str) -> str:
        value = row[name]
        if not isinstance(value, str) or not value.strip():
            self._fail(f"{key}.{name}".lstrip("."), "should be text")
        return value

    def _texts(self, row: Mapping[str, Any], name: str, key: str) -> list[str]:
        values = self._rows(row.get(name, []), f"{key}.{name}".lstrip("."))
        if not all(isinstance(value, str) for value in values):
            self._fail(f"{key}.{name}".lstrip("."), "should be a list of texts")
        return values

    def _named(self, row: Mapping[str, Any], name: str, key: str, known: Iterable[str]) -> tuple[str, ...]:
        values = self._texts(row, name, key)
        for value in values:
            if value not in known:
                self._fail(f"{key}.{name}", f"nothing of this kind is called {value!r} here")
        return tuple(values)

    def _code(self, row: Mapping[str, Any], name: str, key: str, codes: Iterable[str]) -> str:
        value = self._text(row, name, key)
        if value not in codes:
            self._fail(f"{key}.{name}", f"{value!r} is no code of its list")
        return value

    def _flag(self, row: Mapping[str, Any], name: str, key: str, *, default: bool) -> bool:
        value = row.get(name, default)
        if type(value) is not bool:
            self._fail(f"{key}.{name}", "should be true or false")
        return value

    def _zone(self, row: Mapping[str, Any], key: str) -> str:
        zone = self._text(row, "zone", key)
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            self._fail(f"{key}.zone", "is not an IANA time zone such as Europe/Berlin")
        return zone

    def _day(self, value: Any, key: str) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            self._fail(key, "should be a day such as 2020-06-02, without quotes")
        if value.year not in YEARS:
            self._fail(key, f"should lie in the years {YEARS.start} to {YEARS.stop - 1}")
        return value

    def _instant(self, value: Any, key: str, zone: str, *, end: bool) -> int:
        if not isinstance(value, date):
            self._fail(key, "should be a day such as 2020-06-02, without quotes")
        if isinstance(value, datetime) and value.tzinfo is None:
            self._fail(key, "should have an offset, such as Z")
        try:
            return instant(value.isoformat(), zone=zone, end=end)
        except FormatError as error:
            self._fail(key, error.what)


def midnight(day: date) -> int:
    """When a day begins in UTC, in microseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


# --------------------------------------------------------------------------------------- names, ids


def identity(origin: str, kind: str, slug: str) -> bytes:
    """
    Return the 16-byte id of a slug in a simulation: the same in every play of that origin.

    It has the form of a random UUID, as the ids of a real ledger have.
    """
    raw = bytearray(derived(origin, kind, slug)[:16])
    raw[6] = 0x40 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)


def derived(origin: str, kind: str, slug: str) -> bytes:
    """32 bytes that belong to a slug in a simulation: anybody can derive them."""
    return sha256(f"comity.scenario.v1\0{origin}\0{kind}\0{slug}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Names:
    """What slugs and labels stand for under one origin."""

    origin: str
    cast: Mapping[str, Cast]
    items: Mapping[str, Item]
    labels: Mapping[str, bytes]

    def authority(self, slug: str) -> bytes:
        """The id of an authority."""
        return identity(self.origin, "authority", slug)

    def item(self, slug: str) -> bytes:
        """The id of a thing, a person or a condition."""
        return identity(self.origin, self.items[slug].kind, slug)

    def body(self, acts: Catalogue, said: Said) -> dict[str, Any]:
        """The body with ids for slugs; FormatError names file, statement and field."""
        kinds = acts.act(said.act).references
        value = self._value(said, kinds, said.body, "")
        try:
            body = acts.from_json(said.act, 1, value)
        except FormatError as error:
            raise FormatError(error.what, field=f"{said.where}.body.{error.field}") from error
        for fault in acts.faults(said.act, 1, body):
            raise FormatError(fault.rule, field=f"{said.where}.body.{fault.path}")
        return body

    def _value(self, said: Said, kinds: Mapping[str, str], value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            if set(value) == {"commitment"} and isinstance(value["commitment"], str):
                return derived(self.origin, "commitment", value["commitment"]).hex()
            inner = f"{path}." if path else ""
            return {name: self._value(said, kinds, item, inner + name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._value(said, kinds, item, f"{path}[]") for item in value]
        if isinstance(value, date):
            try:
                micros = instant(value.isoformat(), zone=said.zone, end=path.endswith("_until"))
            except FormatError as error:
                raise FormatError(error.what, field=f"{said.where}.body.{path}") from error
            return rfc3339(micros)
        kind = kinds.get(path) or _LOOSE.get(path)
        if kind is None or not isinstance(value, str):
            return value
        found = self._find(kind.partition(":")[0], value)
        if found is None:
            raise FormatError(f"no {kind} is called {value!r} here", field=f"{said.where}.body.{path}")
        return str(UUID(bytes=found))

    def _find(self, kind: str, slug: str) -> bytes | None:
        if kind == "authority":
            return self.authority(slug) if slug in self.cast else None
        if kind == "statement":
            return self.labels.get(slug)
        item = self.items.get(slug)
        if item is None or (item.kind not in KINDS if kind == "thing" else item.kind != kind):
            return None
        return self.item(slug)


def enrolment(cast: Cast, public_key: bytes | None, possession: bytes | None) -> dict[str, Any]:
    """The body of the act by which an authority is enrolled, with its key where it has one."""
    return {
        "holder": cast.holder,
        "authority_kind": cast.kind,
        "designation": cast.name if cast.designated else None,
        "country": cast.country,
        "zone": cast.zone,
        "languages": list(cast.languages),
        "functions": list(cast.functions),
        "level": cast.level,
        "public_key": public_key,
        "possession": possession,
    }
