"""
What a form requires against what a draft or a request carries: before publishing, and afterwards.

A form's copies may differ by who gets them: the provider's copy of a production order leaves out what
only the enforcing authority is told. Nothing here refuses anything; what is lacking is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.law.data import Particular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from ledger.law.law import Law
    from ledger.statement import Draft, Statement

__all__ = ["VIEWS", "carried", "lacking", "required"]

VIEWS = ("provider", "enforcing_authority")
"""Who may get a copy of its own."""


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
