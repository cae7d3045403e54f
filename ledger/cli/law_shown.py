"""How the law is shown: rules, instruments and limits, in JSON and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.cli.console import document, table, text
from ledger.cli.shown import words

if TYPE_CHECKING:
    from ledger.law.data import Datum, Instrument, Limit
    from ledger.law.law import Law

_COMMON = ("id", "instrument", "article", "text", "verified", "file", "country")


def plain(value: Any) -> Any:
    """Data of the law as JSON has it: days and instants as ISO text, absent keys left out."""
    from collections.abc import Mapping
    from dataclasses import fields, is_dataclass
    from datetime import date

    if is_dataclass(value):
        return {
            field.name: shown
            for field in fields(value)
            if (shown := plain(getattr(value, field.name))) not in (None, [], {})
        }
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(one) for one in value)
    return value


def rules_of(law: Law, names: list[str], country: str | None) -> list[tuple[str, Datum]]:
    """Every rule of these instruments with its kind, as it holds for a State."""
    return [
        (kind, datum)
        for name in names
        for kind, rows in law.instrument(name, country).data.items()
        for versions in rows.values()
        for datum in versions
    ]


def instrument_row(law: Law, one: Instrument) -> dict[str, Any]:
    """An instrument as a list has it."""
    every = [datum for rows in one.data.values() for versions in rows.values() for datum in versions]
    return {
        "id": one.id,
        "title": one.title,
        "from": one.from_on.isoformat(),
        "until": None if one.until_on is None else one.until_on.isoformat(),
        "countries": sorted(country for name, country in law.overlays if name == one.id),
        "data": len(every),
        "verified": sum(datum.verified for datum in every),
    }


def limit_row(law: Law, name: str) -> dict[str, Any]:
    """A time limit as a list has it."""
    one = law.limit(name)
    return {
        "id": one.id,
        "instrument": one.instrument,
        "article": one.article,
        "period": _period(one),
        "by": one.by,
        "verified": one.verified,
        "text": one.text,
    }


def _period(one: Limit) -> str:
    if one.yearly is not None:
        return "by {:02d}-{:02d} of the next year".format(*one.yearly)
    return str(one.within) if one.within is not None else "as the act or form states"


def show(one: Instrument, *, as_json: bool) -> None:
    """Print an instrument with all its rules."""
    if as_json:
        document(plain(one))
        return
    text(f"{one.title} ({one.id})" + (f", as it holds in {one.country}" if one.country else ""))
    text(f"{one.official}. Applies from {one.from_on}; reviewed {one.reviewed_on}.")
    reach = one.applies_to
    if reach is not None:
        of = ", ".join(map(words, reach.streams))
        follows = ", and of the exhibits that were named there" if reach.follows else ""
        by = "; by authorities of these kinds: " + ", ".join(map(words, reach.kinds)) if reach.kinds else ""
        text(f"Applies though nobody names it, to what is said of: {of}{follows}{by}.")
    if one.with_instruments:
        text(f"Read together with: {', '.join(one.with_instruments)}.")
    for kind, rows in one.data.items():
        text(f"\n{kind}")
        table(
            ("rule", "article", "", ""),
            [
                (d.id, d.article, d.text, "" if d.verified else "not verified")
                for versions in rows.values()
                for d in versions
            ],
            empty="",
        )


def said(datum: Datum) -> str:
    """One rule in words, all its particulars included."""
    from ledger.law.data import BY_SCOPE

    parts = [
        f"{datum.id}, {datum.instrument} Art. {datum.article}" + (f", in {datum.country}" if datum.country else ""),
        datum.text,
        f"Applies from {datum.from_on}"
        + (f" until {datum.until_on}" if datum.until_on else "")
        + (f"; known from {datum.known_from_on}" if datum.known_from_on else "")
        + ("; verified." if datum.verified else f"; not verified (basis: {datum.basis})."),
    ]
    shown = plain(datum)
    if shown.pop("by_scope", False):
        shown["why"] = BY_SCOPE
    common = (*_COMMON, "from_on", "until_on", "known_from_on", "basis")
    parts += [f"{key}: {_worded(value)}" for key, value in shown.items() if key not in common]
    return "\n".join(parts) + "\n"


def _worded(value: Any) -> str:
    """A value as somebody reads it who has never seen a program."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_worded(one) for one in value)
    if isinstance(value, dict):
        if {"unit", "count"} <= value.keys():
            unit = value["unit"].replace("_", " ")
            part = " and {}/{} month".format(*value["part"]) if "part" in value else ""
            return f"{value['count']} {unit if value['count'] != 1 else unit[:-1]}{part}"
        if value.keys() == {"act"}:
            return str(value["act"])
        return "(" + "; ".join(f"{key} {_worded(one)}" for key, one in value.items()) + ")"
    return str(value)
