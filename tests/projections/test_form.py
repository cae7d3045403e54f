"""Form completeness: what an annex requires, who gets which copy, and what a draft carries."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from ledger.law import form
from ledger.law.law import load
from ledger.statement import Attachment, Basis, Draft
from tests.projections.build import some_id
from tests.projections.test_findings import COMMON, law_of

if TYPE_CHECKING:
    from pathlib import Path

EIO = "eu-eio-2014-41"
DAY = date(2024, 3, 1)


def box(name: str, carried_by: str, more: str = "") -> str:
    return (
        f"[particular.{name}]\n{COMMON}act = 'request.issued'\nform = 'A'\nsection = '{name}'\n"
        f"carried_by = ['{carried_by}']\n{more}\n"
    )


def ids(folder: Path, *boxes: str, thing: dict[str, object] | None = None, **asked: Any) -> list[str]:
    law = law_of(folder, *boxes).law
    asked = {"on": DAY, **asked}
    return [one.id for one in form.required(law, EIO, "request.issued", thing or {}, **asked)]


def test_the_copies_of_a_form_differ_by_who_gets_them(tmp_path: Path):
    """The provider's copy leaves out what only the enforcing authority is told."""
    boxes = (
        box("both", "body.urgency"),
        box("provider", "body.measures", "views = ['provider']"),
        box("authority", "body.necessity", "views = ['enforcing_authority']"),
    )
    assert ["both", "provider"] == ids(tmp_path / "one", *boxes, view="provider")
    assert ["both", "authority"] == ids(tmp_path / "two", *boxes, view="enforcing_authority")
    assert ["both", "provider", "authority"] == ids(tmp_path / "all", *boxes)


def test_only_what_is_required_of_such_a_request_on_that_day(tmp_path: Path):
    """Neither what is asked if available, nor what another kind of request needs, nor what came later."""
    boxes = (
        box("always", "body.urgency"),
        box("maybe", "body.urgency", "required = false"),
        box("hearings", "body.urgency", "where = { measures = ['hearing'] }"),
        box("later", "body.urgency").replace("from = 2017-05-22", "from = 2025-01-01"),
    )
    assert ["always"] == ids(tmp_path / "law", *boxes, thing={"measures": ["search"]})
    assert ["always", "hearings"] == ids(tmp_path / "other", *boxes, thing={"measures": ["hearing"]})


def test_an_unknown_instrument_requires_nothing(tmp_path: Path):
    """A request under one that this edition does not have is not found lacking."""
    law = law_of(tmp_path / "law", box("a", "body.urgency")).law
    assert [] == list(form.required(law, "un-uncac-2003", "request.issued", {}, on=DAY))


@pytest.mark.parametrize(
    ("carried_by", "body", "lacks"),
    [
        ("body.necessity", {"necessity": None}, True),
        ("body.persons", {"persons": []}, True),
        ("body.unknown_persons", {"unknown_persons": False}, False),
        ("statement.publisher", {}, False),
        ("statement.basis", {}, False),
        ("attachment.form", {}, False),
        ("attachment.translation", {}, True),
    ],
)
def test_what_is_carried_where(tmp_path: Path, carried_by: str, body: dict[str, object], lacks: bool):
    """Nothing and an empty list carry nothing; that something is not so is said."""
    law = law_of(tmp_path / "law", box("a", carried_by)).law
    draft = Draft(
        "request.issued",
        some_id("case"),
        some_id("r"),
        body,
        0,
        0,
        basis=(Basis(EIO),),
        attachments=(Attachment("form", bytes(32), None, 1, "application/pdf"),),
    )
    wanted = form.required(law, EIO, "request.issued", body, on=DAY)
    assert lacks == bool(form.lacking(wanted, body, form.carried(draft)))


def test_a_sealed_form_carries_every_box_of_the_order_that_it_is():
    """With form, reasons and identity attached, and a plain body, only bodies can lack something."""
    has = {f"attachment.{one}" for one in ("form", "reasons", "identity", "translation", "decision", "contact")}
    has |= {"statement.publisher", "statement.proceedings"}
    wanted = tuple(form.required(load(), EIO, "request.issued", {"measures": ["search"]}, on=DAY))
    assert wanted
    assert all(
        place.startswith("body.")
        for one in form.lacking(wanted, {"measures": ["search"]}, has)
        for place in one.carried_by
    )


def test_the_production_order_has_two_copies():
    """Regulation 2023/1543: what the provider's copy has is not what the enforcing authority is told."""
    on = date(2026, 9, 1)
    thing: dict[str, object] = {"form": "produce", "measures": ["content_data"], "urgency": "ordinary"}

    def copy(view: str | None) -> set[str]:
        return {
            one.id
            for one in form.required(load(), "eu-e-evidence-2023-1543", "request.issued", thing, on=on, view=view)
        }

    assert copy("provider") < copy(None)
    assert copy("enforcing_authority") <= copy(None)
    assert copy("provider") != copy("enforcing_authority")
