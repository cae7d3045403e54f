"""
The parts of which data of the law are made, each read strictly: acts with conditions, periods, steps, codes.

Every method takes a value of TOML and the key that errors name, and returns what the value says;
:mod:`ledger.law.loader` has which kind of datum is made of which parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast

from ledger.errors import FormatError
from ledger.law.data import (
    BASES,
    EVERYWHERE,
    UNITS,
    Between,
    Example,
    Exempt,
    Extension,
    Pattern,
    Period,
    StepEdit,
    Unit,
    Value,
    Variant,
    Where,
)
from ledger.law.files import toml

if TYPE_CHECKING:
    from ledger.acts import Catalogue
    from ledger.domain.procedure import Procedure

__all__ = ["NAMES_A_LIMIT", "Parts", "Table"]

_PLACE: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?|[a-z][a-z-]{1,31}")
_BETWEEN: Final = {"both", "requesting", "requested", "one", "neither"}
_FIXED_DAY: Final = re.compile(r"(0[1-9]|1[0-2])-([0-2][1-9]|[1-3]0|31)")
_ON: Final = "request.issued"
NAMES_A_LIMIT: Final = ("delay.notified", "limit")
"""The act and its field that hold the id of a limit; a condition on it names a limit of the instrument."""

Table: TypeAlias = Mapping[str, Any]


class Parts:
    """
    Reads the parts of one file after another against the same acts, codes and graph.

    Args:
        catalogue: the acts, released and drafts, and the code lists.
        procedure: the superset graph.
        groups: ``steps.toml``: steps that instruments leave out together; empty where there are none.

    Attributes:
        known_acts: the acts by wire name.
        groups: the steps of each group by its name.

    Raises:
        FormatError: *groups* breaks the format; the error names file and key.
    """

    def __init__(self, catalogue: Catalogue, procedure: Procedure, groups: bytes = b"") -> None:
        self.catalogue = catalogue
        self.known_acts = {act.name: act for act in catalogue.acts()}
        self.procedure = procedure
        self.groups: dict[str, tuple[StepEdit, ...]] = {}
        self._fields: dict[str, dict[str, Collection[Value] | None]] = {}
        self._name = ""
        for name, row in self.opened(groups, "steps.toml").items():
            self.keys(row, name, {"text", "steps"}, {"text", "steps"})
            self.text(row["text"], f"{name}.text")
            self.groups[name] = self.steps(row["steps"], f"{name}.steps", adding=False)

    def opened(self, text: bytes, file: str) -> Table:
        """The file that is read from now on."""
        self._name = file
        return toml(text, file)

    def pattern(self, data: Any, key: str) -> Pattern:
        """An act by name, or a table of act, when and unless."""
        if isinstance(data, str):
            return Pattern(self.act(data, key))
        self.keys(data, key, {"act", "when", "unless"}, {"act"})
        act = self.act(data["act"], f"{key}.act")
        return Pattern(
            act,
            self.conditions(act, data.get("when", {}), f"{key}.when"),
            self.conditions(act, data.get("unless", {}), f"{key}.unless"),
        )

    def patterns(self, data: Any, key: str) -> tuple[Pattern, ...]:
        """An array of :meth:`pattern`."""
        return tuple(self.pattern(row, f"{key}[{at}]") for at, row in enumerate(self.array(data, key)))

    def act(self, data: Any, key: str) -> str:
        """The wire name of an act, released or draft."""
        return self.one_of(data, key, self.known_acts)

    def acts(self, data: Any, key: str) -> tuple[str, ...]:
        """An array of wire names."""
        return tuple(self.act(name, f"{key}[{at}]") for at, name in enumerate(self.array(data, key)))

    def where(self, data: Any, key: str) -> Where:
        """Values by field of the request's ``request.issued``; under ``never`` those that exclude it."""
        table = dict(self.table(data, key))
        never = table.pop("never", {})
        return Where(self.conditions(_ON, table, key), self.conditions(_ON, never, f"{key}.never"))

    def period(self, data: Any, key: str) -> Period:
        """One unit and a count, for months perhaps with a part."""
        self.keys(data, key, {*UNITS, "part"}, ())
        units = [unit for unit in UNITS if unit in data]
        if len(units) != 1:
            self.fail(key, f"has exactly one of {', '.join(UNITS)}")
        unit: Unit = units[0]
        count = self.count(data[unit], f"{key}.{unit}")
        part: tuple[int, int] | None = None
        if "part" in data:
            found = re.fullmatch(r"([1-9])/([1-9][0-9]?)", str(data["part"]))
            if (
                unit != "months"
                or found is None
                or int(found[1]) >= int(found[2])
                or 30 * int(found[1]) % int(found[2])
            ):
                self.fail(f"{key}.part", "is a fraction of a month that gives whole days, such as 1/2")
            part = (int(found[1]), int(found[2]))
        if count == 0 and part is None:
            self.fail(f"{key}.{unit}", "must be at least 1")
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
            self.fail(key, "is a month and a day that every year has, such as 03-31")
        return day.month, day.day

    def pairs(self, data: Any, key: str) -> tuple[tuple[str, str], ...]:
        """Two States each."""
        found = []
        for at, row in enumerate(self.array(data, key)):
            if not isinstance(row, list) or len(row) != 2 or row[0] == row[1]:
                self.fail(f"{key}[{at}]", "is a pair of two States")
            found.append((self.country(row[0], f"{key}[{at}]"), self.country(row[1], f"{key}[{at}]")))
        return tuple(found)

    def between(self, data: Any, key: str) -> Between:
        """Between which two States a datum holds."""
        self.keys(data, key, _BETWEEN, ())
        if not data:
            self.fail(key, f"has one or more of {', '.join(sorted(_BETWEEN))}")
        parts = {name: self.texts(rows, f"{key}.{name}") for name, rows in data.items()}
        for name, rows in parts.items():
            if not rows:
                self.fail(f"{key}.{name}", "names at least one applicability")
        return Between(**parts)

    def extension(self, data: Any, key: str) -> Extension:
        """How a limit becomes longer."""
        known = {"by", "within", "times", "article", "text", "named"}
        self.keys(data, key, known, {"by", "article", "text"})
        by = self.patterns(data["by"], f"{key}.by")
        named = self.text(data["named"], f"{key}.named") if "named" in data else None
        for pattern in by:
            if named is not None and named not in self.fields_of(pattern.act):
                self.fail(f"{key}.named", f"{pattern.act} has no field {named!r}")
        return Extension(
            by=by,
            within=self.period(data["within"], f"{key}.within") if "within" in data else None,
            times=self.count(data["times"], f"{key}.times") if "times" in data else None,
            article=self.text(data["article"], f"{key}.article"),
            text=self.text(data["text"], f"{key}.text"),
            named=named,
        )

    def variants(self, data: Any, key: str) -> tuple[Variant, ...]:
        """Other lengths of a limit."""
        found = []
        for at, row in enumerate(self.array(data, key)):
            here = f"{key}[{at}]"
            needed = {"name", "within", "article", "text", "verified"}
            self.keys(row, here, needed | {"where", "starts", "basis"}, needed)
            found.append(
                Variant(
                    name=self.text(row["name"], f"{here}.name"),
                    where=self.where(row["where"], f"{here}.where") if "where" in row else EVERYWHERE,
                    starts=self.values_by_field(row.get("starts", {}), f"{here}.starts"),
                    within=self.period(row["within"], f"{here}.within"),
                    article=self.text(row["article"], f"{here}.article"),
                    text=self.text(row["text"], f"{here}.text"),
                    verified=self.verified(row, here),
                )
            )
        return tuple(found)

    def examples(self, data: Any, key: str) -> tuple[Example, ...]:
        """Worked examples of a limit."""
        found = []
        for at, row in enumerate(self.array(data, key)):
            here = f"{key}[{at}]"
            known = {"start", "in", "zone", "due", "variant", "extended", "suspended"}
            self.keys(row, here, known, {"start", "in", "due"})
            if not isinstance(row["in"], str) or not _PLACE.fullmatch(row["in"]):
                self.fail(f"{here}.in", "is a State such as DE, a subdivision such as DE-BY, or an institution")
            suspended = []
            for n, pair in enumerate(self.array(row.get("suspended", []), f"{here}.suspended")):
                if not isinstance(pair, list) or len(pair) != 2:
                    self.fail(f"{here}.suspended[{n}]", "is a pair: from, until")
                suspended.append((self.moment(pair[0], here), self.moment(pair[1], here)))
            found.append(
                Example(
                    start=self.moment(row["start"], f"{here}.start"),
                    place=row["in"],
                    due=self.moment(row["due"], f"{here}.due"),
                    zone=self.text(row["zone"], f"{here}.zone") if "zone" in row else None,
                    variant=self.text(row["variant"], f"{here}.variant") if "variant" in row else None,
                    extended=self.count(row.get("extended", 0), f"{here}.extended"),
                    suspended=tuple(suspended),
                )
            )
        return tuple(found)

    def exceptions(self, data: Any, key: str) -> tuple[Exempt, ...]:
        """When a ground or use rule does not apply."""
        found = []
        for at, row in enumerate(self.array(data, key)):
            here = f"{key}[{at}]"
            self.keys(row, here, {"article", "text", "where"}, {"article", "text"})
            where = self.where(row["where"], f"{here}.where") if "where" in row else EVERYWHERE
            found.append(
                Exempt(self.text(row["article"], f"{here}.article"), self.text(row["text"], f"{here}.text"), where)
            )
        return tuple(found)

    def steps(self, data: Any, key: str, *, adding: bool) -> tuple[StepEdit, ...]:
        """Steps that are added to the graph, or removed from it; a group of those that are removed by its name."""
        found: list[StepEdit] = []
        for at, row in enumerate(self.array(data, key)):
            here = f"{key}[{at}]"
            if isinstance(row, str) and not adding:
                found += self.groups[self.one_of(row, here, self.groups)]
                continue
            needed = {"kind", "act", "from"} if adding else {"kind", "act"}
            self.keys(row, here, {"kind", "act", "from", "when"} | ({"to"} if adding else set()), needed)
            kind = self.one_of(row["kind"], f"{here}.kind", self.procedure.graphs)
            graph = self.procedure.graphs[kind]
            act = self.act(row["act"], f"{here}.act")
            if kind not in self.known_acts[act].streams:
                self.fail(f"{here}.act", f"{act} is not said of a {kind}")
            origins = tuple(self.one_of(s, f"{here}.from", graph.stages) for s in self.array(row.get("from", []), here))
            when = None
            if "when" in row:
                conditions = self.conditions(act, row["when"], f"{here}.when")
                if len(conditions) != 1:
                    self.fail(f"{here}.when", "names exactly one field")
                when = next(iter(conditions.items()))
            edit = StepEdit(
                kind, act, origins, self.one_of(row["to"], f"{here}.to", graph.stages) if "to" in row else None, when
            )
            if not adding and not any(
                edge.act == act and (not origins or edge.origin in origins) for edge in graph.edges
            ):
                self.fail(here, "the graph has no such step to remove")
            found.append(edit)
        return tuple(found)

    def words_of(self, data: Any, key: str, known: Collection[str]) -> Mapping[str, str]:
        """Words for display by something known."""
        table = self.table(data, key)
        for name, words in table.items():
            self.one_of(name, f"{key}.{name}", known)
            self.text(words, f"{key}.{name}")
        return MappingProxyType(dict(table))

    def stages(self) -> Collection[str]:
        """Every stage as ``kind.stage``."""
        return {f"{kind}.{stage}" for kind, graph in self.procedure.graphs.items() for stage in graph.stages}

    # ------------------------------------------------------------------------------------------ values

    def conditions(self, act: str, data: Any, key: str) -> Mapping[str, tuple[Value, ...]]:
        """Values by field of an act's body."""
        found: dict[str, tuple[Value, ...]] = {}
        fields = self.fields_of(act)
        for name, values in self.table(data, key).items():
            if name not in fields:
                self.unknown(f"{key}.{name}", f"{act} has no field {name!r}", name, fields)
            allowed = fields[name]
            found[name] = self.values(values, f"{key}.{name}")
            for value in found[name]:
                if (act, name) == NAMES_A_LIMIT and isinstance(value, str):
                    # Which limits there are is known when the whole file is read.
                    continue
                if allowed is None or value not in allowed:
                    self.fail(f"{key}.{name}", f"{value!r} is no value of {act} {name}")
        return MappingProxyType(found)

    def values(self, data: Any, key: str) -> tuple[Value, ...]:
        """One code or truth value, or an array of them."""
        values = data if isinstance(data, list) else [data]
        if not values or not all(isinstance(value, (str, bool)) for value in values):
            self.fail(key, "compares with codes or with true or false")
        return tuple(values)

    def values_by_field(self, data: Any, key: str) -> Mapping[str, tuple[Value, ...]]:
        """Values by field, of an act that is not known yet."""
        table = self.table(data, key)
        return MappingProxyType({name: self.values(rows, f"{key}.{name}") for name, rows in table.items()})

    def fields_of(self, act: str) -> dict[str, Collection[Value] | None]:
        """Fields of an act's body, with the values they may take; None where these are not enumerated."""
        found = self._fields.get(act)
        if found is None:
            schema = self.catalogue.codec_of(act).schema
            found = self._fields[act] = {}
            for field in schema["fields"]:
                kind = field["type"]
                if "codes" in field:
                    found[field["name"]] = self.catalogue.codes(field["codes"])
                elif kind in ("boolean", ["null", "boolean"]):
                    found[field["name"]] = (True, False)
                else:
                    found[field["name"]] = None
        return found

    def verified(self, table: Table, key: str) -> bool:
        """``verified``, with the ``basis`` that it needs."""
        verified = table["verified"]
        if not isinstance(verified, bool):
            self.fail(f"{key}.verified", "is true or false")
        if "basis" in table:
            self.one_of(table["basis"], f"{key}.basis", BASES)
            if verified and table["basis"] != "wording":
                self.fail(f"{key}.verified", "only what was compared with the official wording is verified")
        return verified

    def keys(self, table: Any, key: str, known: Collection[str], needed: Collection[str]) -> None:
        """Check the keys of a table."""
        for name in self.table(table, key):
            if name not in known:
                if isinstance(table[name], dict) and "article" in table[name] and "." in key:
                    kind, _, ident = key.partition(".")
                    self.fail(f"{key}.{name}", f'an id with a full stop is quoted: [{kind}."{ident}.{name}"]')
                self.unknown(f"{key}.{name}", "unknown key", name, known)
        for name in sorted(needed):
            if name not in table:
                self.fail(f"{key}.{name}", "is missing")

    def table(self, data: Any, key: str) -> Table:
        """A table."""
        if not isinstance(data, dict):
            self.fail(key, "must be a table")
        return cast("Table", data)

    def array(self, data: Any, key: str) -> list[Any]:
        """An array."""
        if not isinstance(data, list):
            self.fail(key, "must be an array")
        return data

    def text(self, data: Any, key: str) -> str:
        """Plain words."""
        if not isinstance(data, str) or not data.strip():
            self.fail(key, "must be plain words")
        return data

    def texts(self, data: Any, key: str) -> tuple[str, ...]:
        """An array of plain words."""
        return tuple(self.text(text, f"{key}[{at}]") for at, text in enumerate(self.array(data, key)))

    def flag(self, data: Any, key: str) -> bool:
        """True or false."""
        if not isinstance(data, bool):
            self.fail(key, "is true or false")
        return data

    def count(self, data: Any, key: str) -> int:
        """A whole number, 0 or more."""
        if not isinstance(data, int) or isinstance(data, bool) or data < 0:
            self.fail(key, "is a whole number")
        return data

    def day(self, data: Any, key: str) -> date:
        """A day."""
        if not isinstance(data, date) or isinstance(data, datetime):
            self.fail(key, "is a day, such as 2017-05-22")
        return data

    def moment(self, data: Any, key: str) -> date | datetime:
        """A day, or a local date-time."""
        if not isinstance(data, date) or (isinstance(data, datetime) and data.tzinfo is not None):
            self.fail(key, "is a day or a local date-time without an offset")
        return data

    def country(self, data: Any, key: str) -> str:
        """A State, by its two letters."""
        return self.one_of(data, key, self.catalogue.codes("countries"))

    def one_of(self, data: Any, key: str, known: Collection[str]) -> str:
        """One of what is known."""
        if not isinstance(data, str) or data not in known:
            self.unknown(key, f"{data!r} is not known", data, known)
        return data

    def some(self, data: Any, key: str, known: Collection[str]) -> tuple[str, ...]:
        """An array of what is known."""
        return tuple(self.one_of(one, f"{key}[{at}]", known) for at, one in enumerate(self.array(data, key)))

    def unknown(self, key: str, what: str, name: Any, known: Collection[str]) -> NoReturn:
        """Refuse a name, and say what it may have been meant to be."""
        close = get_close_matches(name, known, n=1) if isinstance(name, str) else []
        self.fail(key, what + (f"; did you mean {close[0]}?" if close else ""))

    def fail(self, key: str, what: str) -> NoReturn:
        """Refuse the file, naming it and the key."""
        key = key.lstrip(".")
        raise FormatError(what, field=f"{self._name}: {key}" if key else self._name)
