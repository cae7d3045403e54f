"""Admissibility: per court, proceedings and stage, each with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import NotFound
from projections import admissibility
from tests.projections.build import Log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.views import Views

    Follow = Callable[[Log], Views]


def ruled(log: Log, court: str, day: str, outcome: str, subject: str = "stream", **more: object) -> bytes:
    return log.say(
        "admissibility.ruled",
        subject,
        court,
        day,
        court=some_id(court),
        proceedings=some_id(f"proceedings {more.pop('proceedings', court)}"),
        stage=more.pop("stage", "trial"),
        outcome=outcome,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture
def log() -> Log:
    log = Log()
    for court in ("Hamburg", "Berlin", "Kammergericht"):
        log.enrol(court, "DE", "court")
    log.say("exhibit.acquired", "stream", "Lille", "2020-04-01", source_country="FR")
    log.say("exhibit.derived", "chat", "BKA", "2020-05-01", parents=[some_id("stream")])
    return log


def outcomes(view: Views, exhibit: str, **clocks: Any) -> dict[str, tuple[str | None, str, str]]:
    return {
        s.court.designation: (s.outcome, s.standing, s.concerns)
        for s in admissibility.exhibit(view, some_id(exhibit), **clocks)
    }


def test_one_item_is_admitted_here_and_excluded_there_at_once(views: Follow, log: Log):
    """A ruling on the whole is shown at its part as one on an ancestor, and the other way round."""
    ruled(log, "Hamburg", "2021-01-01", "admitted", stage="remand")
    ruled(log, "Berlin", "2024-12-19", "excluded", "chat")
    view = views(log)
    assert {
        "Hamburg": ("admitted", "stands", "ancestor"),
        "Berlin": ("excluded", "stands", "this"),
    } == outcomes(view, "chat")
    assert "descendant" == outcomes(view, "stream")["Berlin"][2]
    assert {"Hamburg"} == set(outcomes(view, "chat", happened_by=on("2022-01-01")))
    own = admissibility.exhibit(view, some_id("chat"), lineage=False)
    assert ["Berlin"] == [standing.court.designation for standing in own]
    (by_file,) = admissibility.proceedings(view, some_id("proceedings Berlin"))
    assert "excluded" == by_file.outcome


def test_an_overturned_ruling_stays_in_the_history(views: Follow, log: Log):
    """What the higher court overturned decides no more, and is told with the entry that did it."""
    ruling = ruled(log, "Berlin", "2021-07-01", "excluded", stage="opening")
    log.say("ruling.appealed", "stream", "StA", "2021-07-10", ruling=ruling, court=some_id("Kammergericht"))
    log.say("ruling.overturned", "stream", "StA", "2021-08-30", ruling=ruling, court=some_id("Kammergericht"))
    view = views(log)
    assert ("excluded", "stands", "this") == outcomes(view, "stream", known_by=on("2021-07-02"))["Berlin"]
    assert ("excluded", "under_appeal", "this") == outcomes(view, "stream", known_by=on("2021-08-01"))["Berlin"]
    assert (None, "overturned", "this") == outcomes(view, "stream")["Berlin"]
    (standing,) = admissibility.exhibit(view, some_id("stream"))
    assert [("excluded", 7, "Kammergericht")] == [
        (r.outcome, r.overturned_index, r.overturned_by and r.overturned_by.designation) for r in standing.history
    ]
    assert 7 == standing.index


def test_two_proceedings_at_one_court_are_two(views: Follow, log: Log):
    """One court may admit in one file and exclude in another, and at another stage."""
    ruled(log, "Berlin", "2021-07-01", "excluded", proceedings="254")
    ruled(log, "Berlin", "2022-07-01", "admitted", proceedings="279")
    ruled(log, "Berlin", "2023-07-01", "limited", proceedings="279", stage="appeal")
    standings = admissibility.exhibit(views(log), some_id("stream"))
    assert ["excluded", "admitted", "limited"] == [standing.outcome for standing in standings]


def test_a_later_ruling_counts_and_a_final_one_is_final(views: Follow, log: Log):
    """The latest that stands; final by its own word or by a later act; corrected, it counts no more."""
    first = ruled(log, "Berlin", "2021-07-01", "excluded")
    second = ruled(log, "Berlin", "2021-08-01", "admitted")
    log.say("ruling.became_final", "stream", "StA", "2021-09-01", ruling=second)
    wrong = ruled(log, "Berlin", "2021-10-01", "limited")
    log.say("statement.corrected", "stream", "Berlin", "2021-10-02", corrects=wrong)
    view = views(log)
    assert ("admitted", "final", "this") == outcomes(view, "stream")["Berlin"]
    assert "limited" == outcomes(view, "stream", known_by=on("2021-10-01"))["Berlin"][0]
    (standing,) = admissibility.exhibit(view, some_id("stream"))
    assert [False, True, False] == [ruling.final for ruling in standing.history]
    assert first != second


def test_no_ruling_is_no_answer_and_no_exhibit_is_an_error(views: Follow, log: Log):
    """An exhibit without rulings has none to show; an unknown exhibit is not found."""
    view = views(log)
    assert () == admissibility.exhibit(view, some_id("chat"))
    assert () == admissibility.exhibit(view, some_id("stream"))
    assert () == admissibility.proceedings(view, some_id("nowhere"))
    with pytest.raises(NotFound):
        admissibility.exhibit(view, some_id("nothing"))
