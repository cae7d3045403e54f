"""
Reads law files strictly: what the format does not have is refused, naming file and key.

A file is refused when it has an unknown key, lacks a compulsory one, names an act, stage, code, field,
role or datum that does not exist, calls something verified that rests on less than the official
wording, or has a limit without a worked example. An overlay is refused when it adds what its parent
has, or removes or replaces what its parent lacks.

What a value may be: :mod:`ledger.law.parts`. The format, key by key: ``docs/reference/law-format.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ledger.law.data import (
    CHECKS,
    KINDS,
    MATCHES,
    NATURES,
    ROLES,
    TIMINGS,
    TOWARDS,
    USES,
    Datum,
    Instrument,
    Pattern,
    Reach,
    Ruling,
)
from ledger.law.parts import NAMES_A_LIMIT, Parts, Table

if TYPE_CHECKING:
    from ledger.acts import Catalogue
    from ledger.domain.procedure import Procedure

__all__ = ["Reader"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+()-]{0,47}")
_ARTICLE_MAX: Final = 64

_HEADER: Final = {
    "id", "title", "official", "eli", "from", "until", "counting", "reviewed", "parent", "country", "with",
    "remove", "replace", "applies_to",
}  # fmt: skip
_EFFECTS: Final = ("bound", "not_bound", "territory", "declaration", "scope", "temporal")
_REVIEWS: Final = ("substance", "execution", "rights", "both", "domestic")
_SUSPENSIVE: Final = ("no", "yes", "possible", "domestic", "unstated")
_VIEWS: Final = ("provider", "enforcing_authority")


class Reader(Parts):
    """
    Reads one file after another against the same acts, codes and graph.

    Args:
        catalogue: the acts, released and drafts, and the code lists.
        procedure: the superset graph.
        countings: ids of the counting rules that a limit may name.
        groups: as of :class:`ledger.law.parts.Parts`.
    """

    def __init__(
        self, catalogue: Catalogue, procedure: Procedure, countings: Collection[str], groups: bytes = b""
    ) -> None:
        super().__init__(catalogue, procedure, groups)
        self.countings = frozenset(countings)
        self._statement = frozenset(f["name"] for f in catalogue.codec(Path("statement.avsc")).schema["fields"])

    def instrument(self, text: bytes, *, file: str) -> Instrument:
        """
        Read the file of an instrument.

        Raises:
            FormatError: the file breaks the format; the error names file and key.
        """
        data = self.opened(text, file)
        for key in ("parent", "country", "remove", "replace"):
            if key in data:
                self.fail(key, "belongs into the overlay of a State, a file named instrument.cc.toml")
        return self._instrument(data, file, parent=None)

    def overlay(self, text: bytes, parent: Instrument, *, file: str) -> Instrument:
        """
        Read the overlay of a State, and return the parent with its entries added, removed or replaced.

        Raises:
            FormatError: the file breaks the format, adds what the parent has, or removes or replaces
                what it lacks.
        """
        return self._instrument(self.opened(text, file), file, parent=parent)

    # ------------------------------------------------------------------------------------ one file

    def _instrument(self, data: Table, file: str, parent: Instrument | None) -> Instrument:
        needed = (
            {"parent", "country", "reviewed"} if parent else {"id", "title", "official", "from", "counting", "reviewed"}
        )
        known = {"parent", "country", "reviewed", "remove", "replace", *KINDS} if parent else _HEADER | set(KINDS)
        self.keys(data, "", known, needed)
        stem = file.removesuffix(".toml")
        if parent:
            country = self.country(data["country"], "country")
            if data["parent"] != parent.id or stem != f"{parent.id}.{country.lower()}":
                self.fail("parent", f"the file must be named {parent.id}.{country.lower()}.toml")
            base = replace(parent, country=country, file=file, reviewed_on=self.day(data["reviewed"], "reviewed"))
        else:
            country = None
            if data["id"] != stem or stem not in self.catalogue.codes("instruments"):
                self.fail("id", "must be the file's name, and a code of schemas/codes/instruments.toml")
            base = Instrument(
                id=stem,
                title=self.text(data["title"], "title"),
                official=self.text(data["official"], "official"),
                eli=self.text(data["eli"], "eli") if "eli" in data else None,
                from_on=self.day(data["from"], "from"),
                until_on=self.day(data["until"], "until") if "until" in data else None,
                counting=self.one_of(data["counting"], "counting", self.countings),
                reviewed_on=self.day(data["reviewed"], "reviewed"),
                country=None,
                with_instruments=tuple(
                    self.one_of(name, f"with[{at}]", self.catalogue.codes("instruments"))
                    for at, name in enumerate(self.array(data.get("with", []), "with"))
                ),
                data=MappingProxyType({}),
                file=file,
                applies_to=self._reach(data["applies_to"], "applies_to") if "applies_to" in data else None,
            )
        merged = {kind: dict(base.data.get(kind, {})) for kind in KINDS}
        for at, row in enumerate(self.array(data.get("remove", []), "remove")):
            self._remove(row, f"remove[{at}]", merged)
        for kind, rows in self.table(data.get("replace", {}), "replace").items():
            self.one_of(kind, f"replace.{kind}", KINDS)
            for name, versions in self._data(rows, f"replace.{kind}", kind, base, country):
                if name not in merged[kind]:
                    self.fail(f"replace.{kind}.{name}", "the parent has no such entry to replace")
                merged[kind][name] = versions
        for kind in KINDS:
            if kind not in data:
                continue
            for name, versions in self._data(data[kind], kind, kind, base, country):
                if name in merged[kind]:
                    self.fail(f"{kind}.{name}", f"the parent has this entry; write [replace.{kind}.{name}]")
                merged[kind][name] = versions
        whole = replace(
            base, data=MappingProxyType({kind: MappingProxyType(rows) for kind, rows in merged.items() if rows})
        )
        self._resolve(whole)
        return whole

    def _reach(self, data: Any, key: str) -> Reach:
        self.keys(data, key, {"streams", "follows", "kinds"}, {"streams"})
        streams = self.some(data["streams"], f"{key}.streams", self.procedure.graphs)
        if not streams:
            self.fail(f"{key}.streams", "names at least one kind of stream")
        follows = self.flag(data.get("follows", False), f"{key}.follows")
        kinds = self.some(data.get("kinds", []), f"{key}.kinds", self.catalogue.codes("authority_kinds"))
        return Reach(streams, follows, kinds)

    def _remove(self, row: Any, key: str, merged: dict[str, dict[str, tuple[Datum, ...]]]) -> None:
        needed = {"kind", "id", "article", "text", "from", "verified"}
        self.keys(row, key, needed | {"basis", "source", "note"}, needed)
        kind = self.one_of(row["kind"], f"{key}.kind", KINDS)
        name = self.text(row["id"], f"{key}.id")
        self.text(row["article"], f"{key}.article")
        self.text(row["text"], f"{key}.text")
        self.verified(row, key)
        from_on = self.day(row["from"], f"{key}.from")
        versions = merged[kind].get(name)
        if versions is None:
            self.fail(f"{key}.id", f"the parent has no {kind} {name!r}")
        # Removed from a day on: what it said before that day it still says of that time.
        kept = tuple(
            v if v.until_on is not None and v.until_on <= from_on else replace(v, until_on=from_on)
            for v in versions
            if v.from_on < from_on
        )
        if kept:
            merged[kind][name] = kept
        else:
            del merged[kind][name]

    def _data(
        self, rows: Any, key: str, kind: str, base: Instrument, country: str | None
    ) -> Iterator[tuple[str, tuple[Datum, ...]]]:
        if kind == "words":
            rows = {"words": rows}
        for name, entry in self.table(rows, key).items():
            at = key if kind == "words" else f"{key}.{name}"
            if not _ID.fullmatch(name):
                self.fail(at, "an id has letters, digits, and . - _ + ( ), at most 48")
            tables = entry if isinstance(entry, list) else [entry]
            if not tables:
                self.fail(at, "is empty")
            versions = tuple(
                self._datum(table, f"{at}[{index}]" if isinstance(entry, list) else at, kind, name, base, country)
                for index, table in enumerate(tables)
            )
            for earlier, later in pairwise(versions):
                if earlier.until_on is None or earlier.until_on > later.from_on:
                    self.fail(at, "versions must follow each other: the earlier one needs an until")
            yield name, versions

    def _datum(self, table: Any, key: str, kind: str, name: str, base: Instrument, country: str | None) -> Datum:
        own = _FIELDS[kind]
        self.keys(table, key, _COMMON | set(own), {"article", "text", "from", "verified"} | _NEEDED[kind])
        article = self.text(table["article"], f"{key}.article")
        if len(article) > _ARTICLE_MAX:
            self.fail(f"{key}.article", f"has more than {_ARTICLE_MAX} characters")
        values: dict[str, Any] = {
            "id": name,
            "instrument": base.id,
            "article": article,
            "text": self.text(table["text"], f"{key}.text"),
            "from_on": self.day(table["from"], f"{key}.from"),
            "until_on": self.day(table["until"], f"{key}.until") if "until" in table else None,
            "known_from_on": self.day(table["known_from"], f"{key}.known_from") if "known_from" in table else None,
            "verified": self.verified(table, key),
            "basis": table.get("basis", "wording" if table["verified"] else "memory"),
            "country": country,
            "file": base.file,
        }
        for optional in ("eli", "source", "note"):
            values[optional] = self.text(table[optional], f"{key}.{optional}") if optional in table else None
        if "between" in table:
            values["between"] = self.between(table["between"], f"{key}.between")
        if values["until_on"] is not None and values["until_on"] <= values["from_on"]:
            self.fail(f"{key}.until", "is not after from")
        for field, read in own.items():
            if field in table:
                values[field] = read(self, table[field], f"{key}.{field}")
        if kind == "limit":
            values.setdefault("counting", base.counting)
            values.setdefault("calendar", values["by"])
            self._limit(table, key)
        elif kind == "duty":
            self._duty(table, key)
        elif kind == "use":
            if "towards" in table and table["nature"] != "onward":
                self.fail(f"{key}.towards", "is only for nature onward: whither something must not go on")
        elif kind == "ground":
            for act in values.get("acts", ("request.refused",)):
                self.conditions(act, table.get("when", {}), f"{key}.when")
        elif kind == "applicability":
            if table["effect"] in {"bound", "not_bound"} and "countries" not in table and "pairs" not in table:
                self.fail(f"{key}.countries", "is missing: who is bound, or is not; empty where nobody is known")
        elif kind == "stage":
            if not (table.get("add") or table.get("remove")):
                self.fail(key, "neither adds nor removes a step")
            if table.get("by_scope") and table["verified"]:
                self.fail(f"{key}.verified", "what follows from the scope alone is not verified")
        elif kind == "ruling" and values["known_from_on"] is None:
            self.fail(f"{key}.known_from", "is missing: the day of the ruling")
        elif kind == "particular":
            self._carriers(table, key)
        return KINDS[kind](**values)

    def _limit(self, table: Table, key: str) -> None:
        condition = table.get("nature") == "condition"
        yearly = "yearly" in table
        if ("within" in table) + ("named" in table) + bool(table.get("stated")) + yearly != 1:
            self.fail(
                f"{key}.within",
                "a limit has one of within, named (the field with its end), yearly (a fixed day), or stated = true",
            )
        if yearly and (table.get("variants") or table.get("extension")):
            self.fail(f"{key}.yearly", "a fixed day has neither variants nor an extension")
        clockless = condition or (yearly and not table.get("starts"))
        if not clockless and not table.get("starts"):
            self.fail(f"{key}.starts", "is missing: what starts the clock")
        if not clockless and table.get("nature", "act") == "act" and not table.get("ends"):
            self.fail(f"{key}.ends", "is missing: what meets the limit")
        for field in (table.get("named"), table.get("starts_at")):
            if field in {None, "occurred", "legal_effect"}:
                continue
            for at, row in enumerate(table.get("starts", [])):
                act = row if isinstance(row, str) else row["act"]
                if field not in self.fields_of(act):
                    self.fail(f"{key}.starts[{at}]", f"{act} has no field {field!r}")
        names = {variant["name"] for variant in table.get("variants", [])}
        if ("within" in table or yearly) and not table.get("examples"):
            self.fail(f"{key}.examples", "is missing: a limit needs a worked example")
        for at, example in enumerate(table.get("examples", [])):
            if example.get("variant") not in {None, *names}:
                self.fail(f"{key}.examples[{at}].variant", f"no variant {example['variant']!r}")

    def _duty(self, table: Table, key: str) -> None:
        if not table.get("then") and "check" not in table:
            self.fail(f"{key}.then", "is missing: what fulfils the duty, or a check")
        if table["timing"] == "within" and ("within" in table) == ("limit" in table):
            self.fail(f"{key}.within", "timing within needs either within or limit")
        if "each" in table:
            for at, row in enumerate(table["when"]):
                act = row if isinstance(row, str) else row["act"]
                if table["each"] not in self.fields_of(act):
                    self.fail(f"{key}.when[{at}]", f"{act} has no field {table['each']!r}")

    def _carriers(self, table: Table, key: str) -> None:
        for at, carrier in enumerate(table["carried_by"]):
            place, _, name = carrier.partition(".")
            known: Collection[str] = {
                "statement": self._statement,
                "body": self.fields_of(table["act"]),
                "attachment": self.catalogue.codes("attachment_roles"),
            }.get(place, ())
            if name not in known:
                self.fail(
                    f"{key}.carried_by[{at}]",
                    f"{carrier!r} is no field of the statement or body, and no attachment role",
                )

    def _resolve(self, instrument: Instrument) -> None:
        """Check what one datum says of another."""
        limits = instrument.data.get("limit", {})
        listed = instrument.data.get("applicability", {})
        ids = {name for rows in instrument.data.values() for name in rows}
        for kind, rows in instrument.data.items():
            for name, versions in rows.items():
                for datum in versions:
                    limit = getattr(datum, "limit", None)
                    if limit is not None and limit not in limits:
                        self.fail(f"{kind}.{name}.limit", f"the instrument has no limit {limit!r}")
                    if isinstance(datum, Ruling):
                        for about in datum.about:
                            if about not in ids:
                                self.fail(f"{kind}.{name}.about", f"the instrument has no datum {about!r}")
                    for named in datum.between.names() if datum.between is not None else ():
                        if named not in listed:
                            self.unknown(
                                f"{kind}.{name}.between",
                                f"the instrument has no applicability {named!r}",
                                named,
                                listed,
                            )
                    for value in _limits_named(datum):
                        if value not in limits:
                            self.unknown(f"{kind}.{name}", f"the instrument has no limit {value!r}", value, limits)


def _limits_named(datum: Datum) -> Iterator[str]:
    """The limits that the conditions of a datum on acts name."""
    for field in _PATTERNS:
        for pattern in getattr(datum, field, ()):
            if isinstance(pattern, Pattern):
                yield from _limits_of(pattern)
    extension = getattr(datum, "extension", None)
    for pattern in extension.by if extension is not None else ():
        yield from _limits_of(pattern)


def _limits_of(pattern: Pattern) -> Iterator[str]:
    for conditions in (pattern.when, pattern.unless) if pattern.act == NAMES_A_LIMIT[0] else ():
        yield from (str(value) for value in conditions.get(NAMES_A_LIMIT[1], ()))


# -------------------------------------------------------------------------------- the keys of each kind

_Read: TypeAlias = Callable[[Reader, Any, str], Any]

_COMMON: Final = {
    "article", "text", "from", "until", "known_from", "verified", "basis", "eli", "source", "note", "between",
}  # fmt: skip
_PATTERNS: Final = (
    "starts", "ends", "suspended_by", "resumed_by", "restarted_by", "waived_by", "when", "then", "unless",
    "attaches_to", "consent_by", "ends_by",
)  # fmt: skip
"""Fields of a datum that are arrays of acts with conditions; ``when`` of a ground is none."""


def _of(known: Collection[str]) -> _Read:
    return lambda reader, data, key: reader.one_of(data, key, known)


def _some(known: Collection[str]) -> _Read:
    return lambda reader, data, key: reader.some(data, key, known)


def _code(name: str) -> _Read:
    return lambda reader, data, key: reader.one_of(data, key, reader.catalogue.codes(name))


def _codes(name: str) -> _Read:
    return lambda reader, data, key: reader.some(data, key, reader.catalogue.codes(name))


_FIELDS: Final[dict[str, dict[str, _Read]]] = {
    "applicability": {
        "effect": _of(_EFFECTS),
        "countries": _codes("countries"),
        "pairs": Reader.pairs,
        "complete": Reader.flag,
        "kinds": _codes("request_kinds"),
        "measures": _codes("measures"),
    },
    "stage": {
        "remove": lambda reader, data, key: reader.steps(data, key, adding=False),
        "add": lambda reader, data, key: reader.steps(data, key, adding=True),
        "by_scope": Reader.flag,
    },
    "particular": {
        "act": Reader.act,
        "form": Reader.text,
        "section": Reader.text,
        "carried_by": Reader.texts,
        "required": Reader.flag,
        "views": _some(_VIEWS),
        "where": Reader.where,
    },
    "competence": {
        "acts": Reader.acts,
        "function": _code("functions"),
        "kinds": _codes("authority_kinds"),
        "with_validation": _codes("authority_kinds"),
        "validated_by": _codes("authority_kinds"),
        "where": Reader.where,
    },
    "supervision": {"acts": Reader.acts, "of": _of(ROLES), "by": _codes("authority_kinds")},
    "limit": {
        "by": _of(ROLES),
        "nature": _of(NATURES),
        "within": Reader.period,
        "named": Reader.text,
        "stated": Reader.flag,
        "yearly": Reader.fixed_day,
        "starts": Reader.patterns,
        "starts_at": Reader.text,
        "ends": Reader.patterns,
        "match": _of(MATCHES),
        "same": Reader.texts,
        "suspended_by": Reader.patterns,
        "resumed_by": Reader.patterns,
        "restarted_by": Reader.patterns,
        "waived_by": Reader.patterns,
        "extension": Reader.extension,
        "variants": Reader.variants,
        "counting": lambda reader, data, key: reader.one_of(data, key, reader.countings),
        "calendar": _of(ROLES),
        "consequence": Reader.text,
        "where": Reader.where,
        "examples": Reader.examples,
    },
    "ground": {
        "grounds": _codes("grounds"),
        "nature": _of(("optional", "mandatory")),
        "acts": Reader.acts,
        "when": Reader.values_by_field,
        "invoked_by": _of(ROLES),
        "consult_first": Reader.flag,
        "waiver": _of(ROLES),
        "where": Reader.where,
        "exceptions": Reader.exceptions,
    },
    "duty": {
        "when": Reader.patterns,
        "then": Reader.patterns,
        "by": _of(ROLES),
        "to": _of(ROLES),
        "timing": _of(TIMINGS),
        "within": Reader.period,
        "limit": Reader.text,
        "unless": Reader.patterns,
        "match": _of(MATCHES),
        "same": Reader.texts,
        "each": Reader.text,
        "each_as": Reader.text,
        "other_state": Reader.flag,
        "check": _of(CHECKS),
        "where": Reader.where,
        "answer_within": Reader.period,
    },
    "use": {
        "nature": _of(USES),
        "attaches_to": Reader.patterns,
        "binds": _of(ROLES),
        "towards": _of(TOWARDS),
        "purposes": _codes("purposes"),
        "consent_by": Reader.patterns,
        "ends_by": Reader.patterns,
        "limit": Reader.text,
        "within": Reader.period,
        "where": Reader.where,
        "exceptions": Reader.exceptions,
    },
    "remedy": {
        "against": Reader.acts,
        "forum": _of(ROLES),
        "reviews": _of(_REVIEWS),
        "suspensive": _of(_SUSPENSIVE),
        "available": Reader.flag,
        "limit": Reader.text,
        "where": Reader.where,
    },
    "force": {
        "in_force": Reader.flag,
        "ratifications": Reader.count,
        "after": Reader.period,
        "status_on": Reader.day,
        "countries": _codes("countries"),
    },
    "ruling": {"court": Reader.text, "number": Reader.text, "ecli": Reader.text, "about": Reader.texts},
    "words": {
        "roles": lambda reader, data, key: reader.words_of(data, key, ROLES),
        "things": lambda reader, data, key: reader.words_of(data, key, reader.procedure.graphs),
        "acts": lambda reader, data, key: reader.words_of(data, key, reader.known_acts),
        "stages": lambda reader, data, key: reader.words_of(data, key, reader.stages()),
    },
}

_NEEDED: Final[dict[str, set[str]]] = {
    "applicability": {"effect"},
    "stage": set(),
    "particular": {"act", "form", "carried_by"},
    "competence": {"acts", "kinds"},
    "supervision": {"acts", "of", "by"},
    "limit": {"by", "consequence"},
    "ground": {"grounds", "nature"},
    "duty": {"when", "by", "timing"},
    "use": {"nature", "attaches_to", "binds"},
    "remedy": {"against", "forum"},
    "force": {"in_force"},
    "ruling": {"court", "number"},
    "words": set(),
}
