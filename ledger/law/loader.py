"""
Reads law files strictly: what the format does not have is refused, naming file and key.

A file is refused when it has an unknown key, lacks a compulsory one, names an act, stage, code, field,
role or datum that does not exist, calls something verified that rests on less than the official
wording, or has a limit without a worked example. An overlay is refused when it adds what its parent
has, or removes or replaces what its parent lacks.

The format, key by key: ``docs/reference/law-format.md``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from difflib import get_close_matches
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast

from ledger.errors import FormatError
from ledger.law.data import (
    BASES,
    CHECKS,
    EVERYWHERE,
    KINDS,
    MATCHES,
    NATURES,
    ROLES,
    TIMINGS,
    TOWARDS,
    UNITS,
    USES,
    Between,
    Datum,
    Example,
    Exempt,
    Extension,
    Instrument,
    Pattern,
    Period,
    Reach,
    Ruling,
    StepEdit,
    Unit,
    Value,
    Variant,
    Where,
)

if TYPE_CHECKING:
    from ledger.acts import Catalogue
    from ledger.domain.procedure import Procedure

__all__ = ["Reader"]

_BYTES_MAX: Final = 1 << 20
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+()-]{0,47}")
_PLACE: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?|[a-z][a-z-]{1,31}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_ARTICLE_MAX: Final = 64
_BETWEEN: Final = {"both", "requesting", "requested", "one", "neither"}
_FIXED_DAY: Final = re.compile(r"(0[1-9]|1[0-2])-([0-2][1-9]|[1-3]0|31)")
_DELAY, _LIMIT = "delay.notified", "limit"
"""The act and its field that hold the id of a limit; a condition on it names a limit of the instrument."""

_HEADER: Final = {
    "id", "title", "official", "eli", "from", "until", "counting", "reviewed", "parent", "country", "with",
    "remove", "replace", "applies_to",
}  # fmt: skip
_EFFECTS: Final = ("bound", "not_bound", "territory", "declaration", "scope", "temporal")
_REVIEWS: Final = ("substance", "execution", "rights", "both", "domestic")
_SUSPENSIVE: Final = ("no", "yes", "possible", "domestic", "unstated")
_VIEWS: Final = ("provider", "enforcing_authority")
_ON: Final = "request.issued"

Table: TypeAlias = Mapping[str, Any]


class Reader:
    """
    Reads one file after another against the same acts, codes and graph.

    Args:
        catalogue: the acts, released and drafts, and the code lists.
        procedure: the superset graph.
        countings: ids of the counting rules that a limit may name.
    """

    def __init__(self, catalogue: Catalogue, procedure: Procedure, countings: Collection[str]) -> None:
        self._catalogue = catalogue
        self._acts = {act.name: act for act in catalogue.acts()}
        self._procedure = procedure
        self._countings = frozenset(countings)
        self._fields: dict[str, dict[str, Collection[Value] | None]] = {}
        self._statement = _statement_fields(catalogue)
        self._name = ""

    def instrument(self, text: bytes, *, file: str) -> Instrument:
        """
        Read the file of an instrument.

        Raises:
            FormatError: the file breaks the format; the error names file and key.
        """
        data = self._toml(text, file)
        for key in ("parent", "country", "remove", "replace"):
            if key in data:
                self._fail(key, "belongs into the overlay of a State, a file named instrument.cc.toml")
        return self._instrument(data, file, parent=None)

    def overlay(self, text: bytes, parent: Instrument, *, file: str) -> Instrument:
        """
        Read the overlay of a State, and return the parent with its entries added, removed or replaced.

        Raises:
            FormatError: the file breaks the format, adds what the parent has, or removes or replaces
                what it lacks.
        """
        return self._instrument(self._toml(text, file), file, parent=parent)

    # ------------------------------------------------------------------------------------ one file

    def _toml(self, text: bytes, file: str) -> Table:
        self._name = file
        if len(text) > _BYTES_MAX:
            self._fail("", f"is longer than {_BYTES_MAX} bytes")
        try:
            return tomllib.loads(text.decode())
        except ValueError as error:
            self._fail("", f"not TOML: {error}")

    def _instrument(self, data: Table, file: str, parent: Instrument | None) -> Instrument:
        needed = (
            {"parent", "country", "reviewed"} if parent else {"id", "title", "official", "from", "counting", "reviewed"}
        )
        known = {"parent", "country", "reviewed", "remove", "replace", *KINDS} if parent else _HEADER | set(KINDS)
        self._keys(data, "", known, needed)
        stem = file.removesuffix(".toml")
        if parent:
            country = self._country(data["country"], "country")
            if data["parent"] != parent.id or stem != f"{parent.id}.{country.lower()}":
                self._fail("parent", f"the file must be named {parent.id}.{country.lower()}.toml")
            base = replace(parent, country=country, file=file, reviewed_on=self._day(data["reviewed"], "reviewed"))
        else:
            country = None
            if data["id"] != stem or stem not in self._catalogue.codes("instruments"):
                self._fail("id", "must be the file's name, and a code of schemas/codes/instruments.toml")
            base = Instrument(
                id=stem,
                title=self._text(data["title"], "title"),
                official=self._text(data["official"], "official"),
                eli=self._text(data["eli"], "eli") if "eli" in data else None,
                from_on=self._day(data["from"], "from"),
                until_on=self._day(data["until"], "until") if "until" in data else None,
                counting=self._one_of(data["counting"], "counting", self._countings),
                reviewed_on=self._day(data["reviewed"], "reviewed"),
                country=None,
                with_instruments=tuple(
                    self._one_of(name, f"with[{at}]", self._catalogue.codes("instruments"))
                    for at, name in enumerate(self._list(data.get("with", []), "with"))
                ),
                data=MappingProxyType({}),
                file=file,
                applies_to=self._reach(data["applies_to"], "applies_to") if "applies_to" in data else None,
            )
        merged = {kind: dict(base.data.get(kind, {})) for kind in KINDS}
        for at, row in enumerate(self._list(data.get("remove", []), "remove")):
            self._remove(row, f"remove[{at}]", merged)
        for kind, rows in self._table(data.get("replace", {}), "replace").items():
            self._one_of(kind, f"replace.{kind}", KINDS)
            for name, versions in self._data(rows, f"replace.{kind}", kind, base, country):
                if name not in merged[kind]:
                    self._fail(f"replace.{kind}.{name}", "the parent has no such entry to replace")
                merged[kind][name] = versions
        for kind in KINDS:
            if kind not in data:
                continue
            for name, versions in self._data(data[kind], kind, kind, base, country):
                if name in merged[kind]:
                    self._fail(f"{kind}.{name}", f"the parent has this entry; write [replace.{kind}.{name}]")
                merged[kind][name] = versions
        whole = replace(
            base, data=MappingProxyType({kind: MappingProxyType(rows) for kind, rows in merged.items() if rows})
        )
        self._resolve(whole)
        return whole

    def _reach(self, data: Any, key: str) -> Reach:
        self._keys(data, key, {"streams", "follows", "kinds"}, {"streams"})
        streams = _some(self._procedure.graphs)(self, data["streams"], f"{key}.streams")
        if not streams:
            self._fail(f"{key}.streams", "names at least one kind of stream")
        follows = self._flag(data.get("follows", False), f"{key}.follows")
        kinds = _some(self._catalogue.codes("authority_kinds"))(self, data.get("kinds", []), f"{key}.kinds")
        return Reach(streams, follows, kinds)

    def _remove(self, row: Any, key: str, merged: dict[str, dict[str, tuple[Datum, ...]]]) -> None:
        needed = {"kind", "id", "article", "text", "from", "verified"}
        self._keys(row, key, needed | {"basis", "source", "note"}, needed)
        kind = self._one_of(row["kind"], f"{key}.kind", KINDS)
        name = self._text(row["id"], f"{key}.id")
        self._text(row["article"], f"{key}.article")
        self._text(row["text"], f"{key}.text")
        self._verified(row, key)
        from_on = self._day(row["from"], f"{key}.from")
        versions = merged[kind].get(name)
        if versions is None:
            self._fail(f"{key}.id", f"the parent has no {kind} {name!r}")
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
        for name, entry in self._table(rows, key).items():
            at = key if kind == "words" else f"{key}.{name}"
            if not _ID.fullmatch(name):
                self._fail(at, "an id has letters, digits, and . - _ + ( ), at most 48")
            tables = entry if isinstance(entry, list) else [entry]
            if not tables:
                self._fail(at, "is empty")
            versions = tuple(
                self._datum(table, f"{at}[{index}]" if isinstance(entry, list) else at, kind, name, base, country)
                for index, table in enumerate(tables)
            )
            for earlier, later in pairwise(versions):
                if earlier.until_on is None or earlier.until_on > later.from_on:
                    self._fail(at, "versions must follow each other: the earlier one needs an until")
            yield name, versions

    def _datum(self, table: Any, key: str, kind: str, name: str, base: Instrument, country: str | None) -> Datum:
        own = _FIELDS[kind]
        self._keys(table, key, _COMMON | set(own), {"article", "text", "from", "verified"} | _NEEDED[kind])
        article = self._text(table["article"], f"{key}.article")
        if len(article) > _ARTICLE_MAX:
            self._fail(f"{key}.article", f"has more than {_ARTICLE_MAX} characters")
        values: dict[str, Any] = {
            "id": name,
            "instrument": base.id,
            "article": article,
            "text": self._text(table["text"], f"{key}.text"),
            "from_on": self._day(table["from"], f"{key}.from"),
            "until_on": self._day(table["until"], f"{key}.until") if "until" in table else None,
            "known_from_on": self._day(table["known_from"], f"{key}.known_from") if "known_from" in table else None,
            "verified": self._verified(table, key),
            "basis": table.get("basis", "wording" if table["verified"] else "memory"),
            "country": country,
            "file": base.file,
        }
        for optional in ("eli", "source", "note"):
            values[optional] = self._text(table[optional], f"{key}.{optional}") if optional in table else None
        if "between" in table:
            values["between"] = self._between(table["between"], f"{key}.between")
        if values["until_on"] is not None and values["until_on"] <= values["from_on"]:
            self._fail(f"{key}.until", "is not after from")
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
                self._fail(f"{key}.towards", "is only for nature onward: whither something must not go on")
        elif kind == "ground":
            for act in values.get("acts", ("request.refused",)):
                self._conditions(act, table.get("when", {}), f"{key}.when")
        elif kind == "applicability":
            if table["effect"] in {"bound", "not_bound"} and "countries" not in table and "pairs" not in table:
                self._fail(f"{key}.countries", "is missing: who is bound, or is not; empty where nobody is known")
        elif kind == "stage" and not (table.get("add") or table.get("remove")):
            self._fail(key, "neither adds nor removes a step")
        elif kind == "ruling" and values["known_from_on"] is None:
            self._fail(f"{key}.known_from", "is missing: the day of the ruling")
        elif kind == "particular":
            self._carriers(table, key)
        return KINDS[kind](**values)

    def _limit(self, table: Table, key: str) -> None:
        condition = table.get("nature") == "condition"
        yearly = "yearly" in table
        if ("within" in table) + ("named" in table) + bool(table.get("stated")) + yearly != 1:
            self._fail(
                f"{key}.within",
                "a limit has one of within, named (the field with its end), yearly (a fixed day), or stated = true",
            )
        if yearly and (table.get("variants") or table.get("extension")):
            self._fail(f"{key}.yearly", "a fixed day has neither variants nor an extension")
        clockless = condition or (yearly and not table.get("starts"))
        if not clockless and not table.get("starts"):
            self._fail(f"{key}.starts", "is missing: what starts the clock")
        if not clockless and table.get("nature", "act") == "act" and not table.get("ends"):
            self._fail(f"{key}.ends", "is missing: what meets the limit")
        for field in (table.get("named"), table.get("starts_at")):
            if field in {None, "occurred", "legal_effect"}:
                continue
            for at, row in enumerate(table.get("starts", [])):
                act = row if isinstance(row, str) else row["act"]
                if field not in self._fields_of(act):
                    self._fail(f"{key}.starts[{at}]", f"{act} has no field {field!r}")
        names = {variant["name"] for variant in table.get("variants", [])}
        if ("within" in table or yearly) and not table.get("examples"):
            self._fail(f"{key}.examples", "is missing: a limit needs a worked example")
        for at, example in enumerate(table.get("examples", [])):
            if example.get("variant") not in {None, *names}:
                self._fail(f"{key}.examples[{at}].variant", f"no variant {example['variant']!r}")

    def _duty(self, table: Table, key: str) -> None:
        if not table.get("then") and "check" not in table:
            self._fail(f"{key}.then", "is missing: what fulfils the duty, or a check")
        if table["timing"] == "within" and ("within" in table) == ("limit" in table):
            self._fail(f"{key}.within", "timing within needs either within or limit")
        if "each" in table:
            for at, row in enumerate(table["when"]):
                act = row if isinstance(row, str) else row["act"]
                if table["each"] not in self._fields_of(act):
                    self._fail(f"{key}.when[{at}]", f"{act} has no field {table['each']!r}")

    def _carriers(self, table: Table, key: str) -> None:
        for at, carrier in enumerate(table["carried_by"]):
            place, _, name = carrier.partition(".")
            known: Collection[str] = {
                "statement": self._statement,
                "body": self._fields_of(table["act"]),
                "attachment": self._catalogue.codes("attachment_roles"),
            }.get(place, ())
            if name not in known:
                self._fail(
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
                        self._fail(f"{kind}.{name}.limit", f"the instrument has no limit {limit!r}")
                    if isinstance(datum, Ruling):
                        for about in datum.about:
                            if about not in ids:
                                self._fail(f"{kind}.{name}.about", f"the instrument has no datum {about!r}")
                    for named in datum.between.names() if datum.between is not None else ():
                        if named not in listed:
                            self._unknown(
                                f"{kind}.{name}.between",
                                f"the instrument has no applicability {named!r}",
                                named,
                                listed,
                            )
                    for value in _limits_named(datum):
                        if value not in limits:
                            self._unknown(f"{kind}.{name}", f"the instrument has no limit {value!r}", value, limits)

    # ---------------------------------------------------------------------------------- parts of it

    def pattern(self, data: Any, key: str) -> Pattern:
        """An act by name, or a table of act, when and unless."""
        if isinstance(data, str):
            return Pattern(self.act(data, key))
        self._keys(data, key, {"act", "when", "unless"}, {"act"})
        act = self.act(data["act"], f"{key}.act")
        return Pattern(
            act,
            self._conditions(act, data.get("when", {}), f"{key}.when"),
            self._conditions(act, data.get("unless", {}), f"{key}.unless"),
        )

    def patterns(self, data: Any, key: str) -> tuple[Pattern, ...]:
        """An array of :meth:`pattern`."""
        return tuple(self.pattern(row, f"{key}[{at}]") for at, row in enumerate(self._list(data, key)))

    def act(self, data: Any, key: str) -> str:
        """The wire name of an act, released or draft."""
        return self._one_of(data, key, self._acts)

    def acts(self, data: Any, key: str) -> tuple[str, ...]:
        """An array of wire names."""
        return tuple(self.act(name, f"{key}[{at}]") for at, name in enumerate(self._list(data, key)))

    def where(self, data: Any, key: str) -> Where:
        """Values by field of the request's ``request.issued``; under ``never`` those that exclude it."""
        table = dict(self._table(data, key))
        never = table.pop("never", {})
        return Where(self._conditions(_ON, table, key), self._conditions(_ON, never, f"{key}.never"))

    def period(self, data: Any, key: str) -> Period:
        """One unit and a count, for months perhaps with a part."""
        self._keys(data, key, {*UNITS, "part"}, ())
        units = [unit for unit in UNITS if unit in data]
        if len(units) != 1:
            self._fail(key, f"has exactly one of {', '.join(UNITS)}")
        unit: Unit = units[0]
        count = self._count(data[unit], f"{key}.{unit}")
        part: tuple[int, int] | None = None
        if "part" in data:
            found = re.fullmatch(r"([1-9])/([1-9][0-9]?)", str(data["part"]))
            if (
                unit != "months"
                or found is None
                or int(found[1]) >= int(found[2])
                or 30 * int(found[1]) % int(found[2])
            ):
                self._fail(f"{key}.part", "is a fraction of a month that gives whole days, such as 1/2")
            part = (int(found[1]), int(found[2]))
        if count == 0 and part is None:
            self._fail(f"{key}.{unit}", "must be at least 1")
        return Period(unit, count, part)

    def fixed_day(self, data: Any, key: str) -> tuple[int, int]:
        """A month and a day that every year has, as ``03-31``."""
        found = _FIXED_DAY.fullmatch(data) if isinstance(data, str) else None
        try:
            # A year without 29 February, so that the day is there every year.
            day = date(2023, int(found[1]), int(found[2])) if found else None
        except ValueError:
            day = None
        if day is None:
            self._fail(key, "is a month and a day that every year has, such as 03-31")
        return day.month, day.day

    def pairs(self, data: Any, key: str) -> tuple[tuple[str, str], ...]:
        """Two States each."""
        found = []
        for at, row in enumerate(self._list(data, key)):
            if not isinstance(row, list) or len(row) != 2 or row[0] == row[1]:
                self._fail(f"{key}[{at}]", "is a pair of two States")
            found.append((self._country(row[0], f"{key}[{at}]"), self._country(row[1], f"{key}[{at}]")))
        return tuple(found)

    def _between(self, data: Any, key: str) -> Between:
        self._keys(data, key, _BETWEEN, ())
        if not data:
            self._fail(key, f"has one or more of {', '.join(sorted(_BETWEEN))}")
        parts = {name: _texts(self, rows, f"{key}.{name}") for name, rows in data.items()}
        for name, rows in parts.items():
            if not rows:
                self._fail(f"{key}.{name}", "names at least one applicability")
        return Between(**parts)

    def extension(self, data: Any, key: str) -> Extension:
        """How a limit becomes longer."""
        known = {"by", "within", "times", "article", "text", "named"}
        self._keys(data, key, known, {"by", "article", "text"})
        by = self.patterns(data["by"], f"{key}.by")
        named = data.get("named")
        for pattern in by:
            if named is not None and named not in self._fields_of(pattern.act):
                self._fail(f"{key}.named", f"{pattern.act} has no field {named!r}")
        return Extension(
            by=by,
            within=self.period(data["within"], f"{key}.within") if "within" in data else None,
            times=self._count(data["times"], f"{key}.times") if "times" in data else None,
            article=self._text(data["article"], f"{key}.article"),
            text=self._text(data["text"], f"{key}.text"),
            named=named,
        )

    def variants(self, data: Any, key: str) -> tuple[Variant, ...]:
        """Other lengths of a limit."""
        found = []
        for at, row in enumerate(self._list(data, key)):
            here = f"{key}[{at}]"
            needed = {"name", "within", "article", "text", "verified"}
            self._keys(row, here, needed | {"where", "starts", "basis"}, needed)
            starts = self._table(row.get("starts", {}), f"{here}.starts")
            found.append(
                Variant(
                    name=self._text(row["name"], f"{here}.name"),
                    where=self.where(row["where"], f"{here}.where") if "where" in row else EVERYWHERE,
                    starts=MappingProxyType({n: self._values(v, f"{here}.starts.{n}") for n, v in starts.items()}),
                    within=self.period(row["within"], f"{here}.within"),
                    article=self._text(row["article"], f"{here}.article"),
                    text=self._text(row["text"], f"{here}.text"),
                    verified=self._verified(row, here),
                )
            )
        return tuple(found)

    def examples(self, data: Any, key: str) -> tuple[Example, ...]:
        """Worked examples of a limit."""
        found = []
        for at, row in enumerate(self._list(data, key)):
            here = f"{key}[{at}]"
            known = {"start", "in", "zone", "due", "variant", "extended", "suspended"}
            self._keys(row, here, known, {"start", "in", "due"})
            if not isinstance(row["in"], str) or not _PLACE.fullmatch(row["in"]):
                self._fail(f"{here}.in", "is a State such as DE, a subdivision such as DE-BY, or an institution")
            suspended = []
            for n, pair in enumerate(self._list(row.get("suspended", []), f"{here}.suspended")):
                if not isinstance(pair, list) or len(pair) != 2:
                    self._fail(f"{here}.suspended[{n}]", "is a pair: from, until")
                suspended.append((self._moment(pair[0], here), self._moment(pair[1], here)))
            found.append(
                Example(
                    start=self._moment(row["start"], f"{here}.start"),
                    place=row["in"],
                    due=self._moment(row["due"], f"{here}.due"),
                    zone=self._text(row["zone"], f"{here}.zone") if "zone" in row else None,
                    variant=row.get("variant"),
                    extended=self._count(row.get("extended", 0), f"{here}.extended"),
                    suspended=tuple(suspended),
                )
            )
        return tuple(found)

    def exceptions(self, data: Any, key: str) -> tuple[Exempt, ...]:
        """When a ground or use rule does not apply."""
        found = []
        for at, row in enumerate(self._list(data, key)):
            here = f"{key}[{at}]"
            self._keys(row, here, {"article", "text", "where"}, {"article", "text"})
            where = self.where(row["where"], f"{here}.where") if "where" in row else EVERYWHERE
            found.append(
                Exempt(self._text(row["article"], f"{here}.article"), self._text(row["text"], f"{here}.text"), where)
            )
        return tuple(found)

    def steps(self, data: Any, key: str, *, adding: bool) -> tuple[StepEdit, ...]:
        """Steps that are added to the graph, or removed from it."""
        found = []
        for at, row in enumerate(self._list(data, key)):
            here = f"{key}[{at}]"
            needed = {"kind", "act", "from"} if adding else {"kind", "act"}
            self._keys(row, here, {"kind", "act", "from", "when"} | ({"to"} if adding else set()), needed)
            kind = self._one_of(row["kind"], f"{here}.kind", self._procedure.graphs)
            graph = self._procedure.graphs[kind]
            act = self.act(row["act"], f"{here}.act")
            if kind not in self._acts[act].streams:
                self._fail(f"{here}.act", f"{act} is not said of a {kind}")
            origins = tuple(
                self._one_of(s, f"{here}.from", graph.stages) for s in self._list(row.get("from", []), here)
            )
            when = None
            if "when" in row:
                conditions = self._conditions(act, row["when"], f"{here}.when")
                if len(conditions) != 1:
                    self._fail(f"{here}.when", "names exactly one field")
                when = next(iter(conditions.items()))
            edit = StepEdit(
                kind, act, origins, self._one_of(row["to"], f"{here}.to", graph.stages) if "to" in row else None, when
            )
            if not adding and not any(
                edge.act == act and (not origins or edge.origin in origins) for edge in graph.edges
            ):
                self._fail(here, "the graph has no such step to remove")
            found.append(edit)
        return tuple(found)

    def words_of(self, data: Any, key: str, known: Collection[str]) -> Mapping[str, str]:
        """Words for display by something known."""
        table = self._table(data, key)
        for name, words in table.items():
            self._one_of(name, f"{key}.{name}", known)
            self._text(words, f"{key}.{name}")
        return MappingProxyType(dict(table))

    def stages(self) -> Collection[str]:
        """Every stage as ``kind.stage``."""
        return {f"{kind}.{stage}" for kind, graph in self._procedure.graphs.items() for stage in graph.stages}

    # -------------------------------------------------------------------------------------- values

    def _conditions(self, act: str, data: Any, key: str) -> Mapping[str, tuple[Value, ...]]:
        found: dict[str, tuple[Value, ...]] = {}
        fields = self._fields_of(act)
        for name, values in self._table(data, key).items():
            if name not in fields:
                self._unknown(f"{key}.{name}", f"{act} has no field {name!r}", name, fields)
            allowed = fields[name]
            found[name] = self._values(values, f"{key}.{name}")
            for value in found[name]:
                if (act, name) == (_DELAY, _LIMIT) and isinstance(value, str):
                    # Which limits there are is known when the whole file is read.
                    continue
                if allowed is None or value not in allowed:
                    self._fail(f"{key}.{name}", f"{value!r} is no value of {act} {name}")
        return MappingProxyType(found)

    def _values(self, data: Any, key: str) -> tuple[Value, ...]:
        values = data if isinstance(data, list) else [data]
        if not values or not all(isinstance(value, (str, bool)) for value in values):
            self._fail(key, "compares with codes or with true or false")
        return tuple(values)

    def _fields_of(self, act: str) -> dict[str, Collection[Value] | None]:
        """Fields of an act's body, with the values they may take; None where these are not enumerated."""
        found = self._fields.get(act)
        if found is None:
            schema = self._catalogue.codec_of(act).schema
            found = self._fields[act] = {}
            for field in schema["fields"]:
                kind = field["type"]
                if "codes" in field:
                    found[field["name"]] = self._catalogue.codes(field["codes"])
                elif kind in ("boolean", ["null", "boolean"]):
                    found[field["name"]] = (True, False)
                else:
                    found[field["name"]] = None
        return found

    def _verified(self, table: Table, key: str) -> bool:
        verified = table["verified"]
        if not isinstance(verified, bool):
            self._fail(f"{key}.verified", "is true or false")
        if "basis" in table:
            self._one_of(table["basis"], f"{key}.basis", BASES)
            if verified and table["basis"] != "wording":
                self._fail(f"{key}.verified", "only what was compared with the official wording is verified")
        return verified

    def _keys(self, table: Any, key: str, known: Collection[str], needed: Collection[str]) -> None:
        for name in self._table(table, key):
            if name not in known:
                if isinstance(table[name], dict) and "article" in table[name] and "." in key:
                    kind, _, ident = key.partition(".")
                    self._fail(f"{key}.{name}", f'an id with a full stop is quoted: [{kind}."{ident}.{name}"]')
                self._unknown(f"{key}.{name}", "unknown key", name, known)
        for name in sorted(needed):
            if name not in table:
                self._fail(f"{key}.{name}", "is missing")

    def _table(self, data: Any, key: str) -> Table:
        if not isinstance(data, dict):
            self._fail(key, "must be a table")
        return cast("Table", data)

    def _list(self, data: Any, key: str) -> list[Any]:
        if not isinstance(data, list):
            self._fail(key, "must be an array")
        return data

    def _text(self, data: Any, key: str) -> str:
        if not isinstance(data, str) or not data.strip():
            self._fail(key, "must be plain words")
        return data

    def _flag(self, data: Any, key: str) -> bool:
        if not isinstance(data, bool):
            self._fail(key, "is true or false")
        return data

    def _count(self, data: Any, key: str) -> int:
        if not isinstance(data, int) or isinstance(data, bool) or data < 0:
            self._fail(key, "is a whole number")
        return data

    def _day(self, data: Any, key: str) -> date:
        if not isinstance(data, date) or isinstance(data, datetime):
            self._fail(key, "is a day, such as 2017-05-22")
        return data

    def _moment(self, data: Any, key: str) -> date | datetime:
        if not isinstance(data, date) or (isinstance(data, datetime) and data.tzinfo is not None):
            self._fail(key, "is a day or a local date-time without an offset")
        return data

    def _country(self, data: Any, key: str) -> str:
        return self._one_of(data, key, self._catalogue.codes("countries"))

    def _one_of(self, data: Any, key: str, known: Collection[str]) -> str:
        if not isinstance(data, str) or data not in known:
            self._unknown(key, f"{data!r} is not known", data, known)
        return data

    def _unknown(self, key: str, what: str, name: Any, known: Collection[str]) -> NoReturn:
        close = get_close_matches(name, known, n=1) if isinstance(name, str) else []
        self._fail(key, what + (f"; did you mean {close[0]}?" if close else ""))

    def _fail(self, key: str, what: str) -> NoReturn:
        key = key.lstrip(".")
        raise FormatError(what, field=f"{self._name}: {key}" if key else self._name)


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
    for conditions in (pattern.when, pattern.unless) if pattern.act == _DELAY else ():
        yield from (str(value) for value in conditions.get(_LIMIT, ()))


def _statement_fields(catalogue: Catalogue) -> frozenset[str]:
    from pathlib import Path  # noqa: PLC0415 -- needed here alone

    return frozenset(field["name"] for field in catalogue.codec(Path("statement.avsc")).schema["fields"])


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


def _text(reader: Reader, data: Any, key: str) -> str:
    return reader._text(data, key)  # noqa: SLF001 -- the table below belongs to the class above


def _flag(reader: Reader, data: Any, key: str) -> bool:
    return reader._flag(data, key)  # noqa: SLF001 -- part of the reader


def _count(reader: Reader, data: Any, key: str) -> int:
    return reader._count(data, key)  # noqa: SLF001 -- part of the reader


def _day(reader: Reader, data: Any, key: str) -> date:
    return reader._day(data, key)  # noqa: SLF001 -- part of the reader


def _values_by_field(reader: Reader, data: Any, key: str) -> Mapping[str, tuple[Value, ...]]:
    table = reader._table(data, key)  # noqa: SLF001 -- part of the reader
    return MappingProxyType({name: reader._values(rows, f"{key}.{name}") for name, rows in table.items()})  # noqa: SLF001 -- part of the reader


def _texts(reader: Reader, data: Any, key: str) -> tuple[str, ...]:
    return tuple(_text(reader, text, f"{key}[{at}]") for at, text in enumerate(reader._list(data, key)))  # noqa: SLF001 -- part of the reader


def _of(known: Collection[str]) -> _Read:
    return lambda reader, data, key: reader._one_of(data, key, known)  # noqa: SLF001 -- part of the reader


def _some(known: Collection[str]) -> _Read:
    return lambda reader, data, key: tuple(
        reader._one_of(one, f"{key}[{at}]", known)  # noqa: SLF001 -- part of the reader
        for at, one in enumerate(reader._list(data, key))  # noqa: SLF001 -- part of the reader
    )


def _code(name: str) -> _Read:
    return lambda reader, data, key: reader._one_of(data, key, reader._catalogue.codes(name))  # noqa: SLF001 -- part of the reader


def _codes(name: str) -> _Read:
    return lambda reader, data, key: _some(reader._catalogue.codes(name))(reader, data, key)  # noqa: SLF001 -- part of the reader


_FIELDS: Final[dict[str, dict[str, _Read]]] = {
    "applicability": {
        "effect": _of(_EFFECTS),
        "countries": _codes("countries"),
        "pairs": Reader.pairs,
        "complete": _flag,
        "kinds": _codes("request_kinds"),
        "measures": _codes("measures"),
    },
    "stage": {
        "remove": lambda reader, data, key: reader.steps(data, key, adding=False),
        "add": lambda reader, data, key: reader.steps(data, key, adding=True),
    },
    "particular": {
        "act": Reader.act,
        "form": _text,
        "section": _text,
        "carried_by": _texts,
        "required": _flag,
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
        "named": _text,
        "stated": _flag,
        "yearly": Reader.fixed_day,
        "starts": Reader.patterns,
        "starts_at": _text,
        "ends": Reader.patterns,
        "match": _of(MATCHES),
        "same": _texts,
        "suspended_by": Reader.patterns,
        "resumed_by": Reader.patterns,
        "restarted_by": Reader.patterns,
        "waived_by": Reader.patterns,
        "extension": Reader.extension,
        "variants": Reader.variants,
        "counting": lambda reader, data, key: reader._one_of(data, key, reader._countings),  # noqa: SLF001 -- part of the reader
        "calendar": _of(ROLES),
        "consequence": _text,
        "where": Reader.where,
        "examples": Reader.examples,
    },
    "ground": {
        "grounds": _codes("grounds"),
        "nature": _of(("optional", "mandatory")),
        "acts": Reader.acts,
        "when": _values_by_field,
        "invoked_by": _of(ROLES),
        "consult_first": _flag,
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
        "limit": _text,
        "unless": Reader.patterns,
        "match": _of(MATCHES),
        "same": _texts,
        "each": _text,
        "each_as": _text,
        "other_state": _flag,
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
        "limit": _text,
        "within": Reader.period,
        "where": Reader.where,
        "exceptions": Reader.exceptions,
    },
    "remedy": {
        "against": Reader.acts,
        "forum": _of(ROLES),
        "reviews": _of(_REVIEWS),
        "suspensive": _of(_SUSPENSIVE),
        "available": _flag,
        "limit": _text,
        "where": Reader.where,
    },
    "force": {
        "in_force": _flag,
        "ratifications": _count,
        "after": Reader.period,
        "status_on": _day,
        "countries": _codes("countries"),
    },
    "ruling": {"court": _text, "number": _text, "ecli": _text, "about": _texts},
    "words": {
        "roles": lambda reader, data, key: reader.words_of(data, key, ROLES),
        "things": lambda reader, data, key: reader.words_of(data, key, reader._procedure.graphs),  # noqa: SLF001 -- part of the reader
        "acts": lambda reader, data, key: reader.words_of(data, key, reader._acts),  # noqa: SLF001 -- part of the reader
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
