"""
What a form requires against what a draft or a request carries: before publishing, and afterwards.

A form's copies may differ by who gets them: the provider's copy of a production order leaves out what
only the enforcing authority is told. Nothing here refuses anything; what is lacking is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.law.data import Particular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from ledger.law.law import Law
    from ledger.statement import Draft, Statement

__all__ = ["VIEWS", "Gap", "carried", "gaps", "lacking", "required", "summary"]

VIEWS = ("provider", "enforcing_authority")
"""Who may get a copy of its own."""

_COPIES = {"provider": "the provider's copy", "enforcing_authority": "the enforcing authority's copy"}


@dataclass(frozen=True, slots=True)
class Gap:
    """
    What one copy of one form lacks.

    Attributes:
        view: whose copy, one of :data:`VIEWS`; None where all get the same.
        form: as the law file has it, ``A``.
        required: how many particulars it must have.
        lacking: those carried nowhere, those of verified rules first.
    """

    view: str | None
    form: str
    required: int
    lacking: tuple[Particular, ...]

    @property
    def words(self) -> str:
        """One line for a person: which copy, of which form, how much of it, and where to look."""
        copy = f"{_COPIES[self.view]} of " if self.view else ""
        unverified = sum(not one.verified for one in self.lacking)
        known = f" ({unverified} by rules not compared with the official wording)" if unverified else ""
        lacks = f"lacks {len(self.lacking)} of {self.required} particulars"
        return f"{copy}{_named(self.form)} {lacks}: {_places(self.lacking)}{known}"


def required(
    law: Law,
    instrument: str,
    act: str,
    thing: Mapping[str, object],
    *,
    on: date,
    known: date | None = None,
    country: str | None = None,
    view: str | None = None,
) -> Iterator[Particular]:
    """
    What the form that an act carries must have, under an instrument on a day.

    Args:
        law: of all days.
        instrument: its id; one that this law does not have requires nothing.
        act: wire name of the act that carries the form.
        thing: body of the act that created the request, by which particulars are chosen.
        on: the day.
        known: the day whose knowledge of the law counts; None for today's.
        country: the State whose overlay counts.
        view: one of :data:`VIEWS`: only what that copy must have; None for all copies together.

    Cost: linear in the particulars of the instrument.
    """
    if instrument not in law.instruments:
        return
    for particular in law.data(Particular, instrument, country):
        if particular.act != act or not particular.required or not particular.applies(on, known):
            continue
        if view is not None and particular.views and view not in particular.views:
            continue
        if particular.where.matches(thing):
            yield particular


def lacking(
    particulars: Iterable[Particular], body: Mapping[str, object], has: Collection[str]
) -> tuple[Particular, ...]:
    """
    Which particulars are carried nowhere.

    Args:
        particulars: as :func:`required` gives them.
        body: of the act that carries the form.
        has: what else it carries, as :func:`carried` gives it.
    """
    return tuple(p for p in particulars if not any(_carries(place, body, has) for place in p.carried_by))


def gaps(
    law: Law,
    instrument: str,
    act: str,
    thing: Mapping[str, object],
    body: Mapping[str, object],
    has: Collection[str],
    *,
    on: date,
) -> tuple[Gap, ...]:
    """
    What each copy of each form lacks, the gravest first: what is verified, then what lacks most.

    Args:
        law: as for :func:`required`, and so are the following but two.
        instrument: its id.
        act: wire name of the act that carries the form.
        thing: body of the act that created the request.
        body: as for :func:`lacking`.
        has: as for :func:`lacking`.
        on: the day.
    """
    every = tuple(required(law, instrument, act, thing, on=on))
    apart = {one.form for one in every if one.views}
    found = []
    for name in dict.fromkeys(one.form for one in every):
        for view in VIEWS if name in apart else (None,):
            mine = [one for one in every if one.form == name and (view is None or not one.views or view in one.views)]
            lacks = sorted(lacking(mine, body, has), key=lambda one: not one.verified)
            if lacks:
                found.append(Gap(view, name, len(mine), tuple(lacks)))
    return tuple(sorted(found, key=lambda gap: (not gap.lacking[0].verified, -len(gap.lacking))))


def summary(lacks: Collection[Particular]) -> str:
    """
    Say in a few words where a form lacks something, what only one copy must have said apart.

    Args:
        lacks: as :func:`lacking` gives them.
    """
    said = []
    for form_name in dict.fromkeys(one.form for one in lacks):
        for views in dict.fromkeys(one.views for one in lacks if one.form == form_name):
            these = [one for one in lacks if one.form == form_name and one.views == views]
            copy = "".join(f"{_COPIES[view]} of " for view in views[:1]) if len(views) == 1 else ""
            said.append(f"{copy}{_named(form_name)}, {_places(these)}")
    return "; ".join(said)


def _named(name: str) -> str:
    """
    A form as a reader knows it.

    >>> _named("A"), _named("29(2)"), _named("request"), _named("EAW")
    ('Annex A', 'the particulars of Article 29(2)', 'the request', 'the form')
    """
    if re.fullmatch(r"[A-Z]|[IVX]+(?:(?:, |-)[IVX]+)*", name):
        return f"Annex {name}"
    if name[:1].isdigit() or name.startswith("Art. "):
        return f"the particulars of Article {name.removeprefix('Art. ')}"
    if "Art. " in name:
        return f"the particulars of {name}"
    return f"the {name}" if name[:1].islower() else "the form"


def _places(lacks: Collection[Particular]) -> str:
    """Where in the form it is: its boxes, else the provisions that ask for it; each once."""
    boxes = dict.fromkeys(one.section for one in lacks if one.section and not one.section[0].isdigit())
    cited = (one.section or one.article for one in lacks if not one.section or one.section[0].isdigit())
    articles = dict.fromkeys(one.split(";")[0] for one in cited)
    said = []
    for words, these in ((("section", "sections"), boxes), (("Article", "Articles"), articles)):
        if these:
            said.append(f"{words[len(these) > 1]} {', '.join(these)}")
    return "; ".join(said)


def _carries(place: str, body: Mapping[str, object], has: Collection[str]) -> bool:
    if place in has:
        return True
    where, _, name = place.partition(".")
    # False and 0 are answers; nothing, an empty text and an empty list are none.
    return where == "body" and body.get(name) not in (None, "", [], ())


_FIELDS = ("speaker", "legal_effect_at", "addressees", "proceedings", "local_reference", "basis", "answers")
_ALWAYS = frozenset({"statement.case", "statement.subject", "statement.publisher", "statement.language"})


def carried(statement: Statement | Draft) -> frozenset[str]:
    """What a statement or a draft carries beside its body: ``statement.<field>``, ``attachment.<role>``."""
    fields = {f"statement.{name}" for name in _FIELDS if getattr(statement, name, None) not in (None, (), [])}
    return _ALWAYS | fields | {f"attachment.{one.role}" for one in statement.attachments}
