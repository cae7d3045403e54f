"""Who sees which finding: every ring, embargo and role at both clocks; nothing hidden leaks; nothing is forgotten."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import NotFound
from ledger.law.data import Period
from ledger.law.law import load
from ledger.statement import Visibility
from projections import findings, telling
from projections.facts import id_text
from tests.projections.build import DAY, Log, on, some_id
from tests.projections.test_findings import CONSULT, GROUND, LATER, a_request, found, law_of, only

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.duties import Finding
    from projections.rules import Book
    from projections.views import Views

    Follow = Callable[[Log], Views]

GROUNDS: dict[str, Any] = {"grounds": [{"ground": "national_security", "article": None}]}
EMBARGO = on("2024-09-01")
#: Who takes part in the case, who is addressed, who oversees, who has nothing to do with it.
PUBLISHER, INSIDE, ADDRESSED, OVERSEER, STRANGER = "Lille", "GStA", "LG", "Ombud", "Zoll"
SEES = {
    "addressees": {PUBLISHER, ADDRESSED},
    "case": {PUBLISHER, ADDRESSED, INSIDE},
    "oversight": {PUBLISHER, ADDRESSED, INSIDE, OVERSEER},
    "public": {PUBLISHER, ADDRESSED, INSIDE, OVERSEER, STRANGER},
}


def a_refusal(ring: str, embargo_until: int | None) -> Log:
    # Under which instrument it is refused anybody may see: without that, nobody could hold anything against it.
    log = a_request(shown_to=Visibility("public"))
    log.say(
        "request.refused", "r", PUBLISHER, "2024-03-20", known="2024-03-25",
        shown_to=Visibility(ring, embargo_until), sent_to=(some_id(ADDRESSED),), **GROUNDS,
    )  # fmt: skip
    return log


def seen(view: Views, log: Log, law: Book, who: str, **asked: Any) -> tuple[Finding, ...] | str:
    """What somebody is answered: findings, or an error in words."""
    try:
        return found(view, log, law, viewer=some_id(who), every=True, **asked)
    except NotFound as error:
        return str(error)


@pytest.mark.parametrize(("ring", "embargo"), list(itertools.product(SEES, (None, EMBARGO))))
def test_each_ring_and_embargo_for_each_role(views: Follow, tmp_path: Path, ring: str, embargo: int | None):
    """As the trigger itself is seen; an embargo is judged when it is read, whatever instant is asked about."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_refusal(ring, embargo)
    view = views(log)
    for who in (PUBLISHER, INSIDE, ADDRESSED, OVERSEER, STRANGER):
        for read_at, at in itertools.product((on("2024-08-31"), EMBARGO), (on("2024-04-01"), LATER)):
            allowed = SEES[ring] if embargo is None or read_at >= embargo else {PUBLISHER, ADDRESSED}
            shown = seen(view, log, law, who, at=at, read_at=read_at)
            assert (who in allowed) == bool(shown and not isinstance(shown, str)), (who, read_at, at)
            # Before it happened, and before anybody knew of it, nobody sees it.
            assert not seen(view, log, law, who, known_by=on("2024-03-24"), read_at=read_at)
            assert not seen(view, log, law, who, at=on("2024-03-10"), read_at=read_at)


@pytest.mark.parametrize("who", [INSIDE, OVERSEER, STRANGER])
@pytest.mark.parametrize("hidden", [Visibility("addressees"), Visibility("public", LATER + DAY)])
def test_what_may_not_be_seen_changes_nothing(views: Follow, tmp_path: Path, who: str, hidden: Visibility):
    """Whatever was said out of somebody's sight, the answer, its length and its error are those without it."""
    law = law_of(tmp_path / "law", CONSULT, GROUND)
    plain, more = a_refusal("oversight", None), a_refusal("oversight", None)
    answered: dict[str, Any] = {"answer": "explained", "rule": "consult", "trigger": None}
    more.say("consultation.opened", "r", "Gendarmerie", "2024-03-10", topic="timing", shown_to=hidden)
    more.say("request.refused", "r2", "Gendarmerie", "2024-03-26", shown_to=hidden, **GROUNDS)
    more.say("finding.answered", "r", PUBLISHER, "2024-03-28", shown_to=hidden, **answered)
    # Named where nobody but others may read it, one takes no part in the case by that.
    more.say("disclosure.made", "d", PUBLISHER, "2024-03-28", recipient=some_id(STRANGER), exhibits=[], shown_to=hidden)
    one, other = views(plain), views(more)
    for asked in ({}, {"at": on("2024-03-30")}, {"known_by": on("2024-03-29"), "at": on("2024-03-29")}):
        assert seen(one, plain, law, who, **asked) == seen(other, more, law, who, **asked)
    for thing in ("r", "r2"):
        answers = []
        for view in (one, other):
            try:
                answers.append(str(findings.thing(view, some_id(thing), at=LATER, law=law, viewer=some_id(who))))
            except NotFound as error:
                answers.append(str(error))
        assert answers[0] == answers[1]
    mine = [findings.authority(view, some_id(who), at=LATER, law=law) for view in (one, other)]
    assert mine[0] == mine[1]
    each = [tuple(findings.every(view, at=LATER, law=law, viewer=some_id(who))) for view in (one, other)]
    assert each[0] == each[1]


def test_who_takes_no_part_reads_no_more_than_an_observation(views: Follow, tmp_path: Path):
    """An oversight body sees little of a case: what is missing to its eyes may have been done out of its sight."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_refusal("oversight", None)
    log.say("consultation.opened", "r", PUBLISHER, "2024-03-10", topic="timing", with_authorities=[])
    view = views(log)
    assert () == found(view, log, law, viewer=some_id(INSIDE))
    outside = only(view, log, law, viewer=some_id(OVERSEER))
    assert ("observation", True) == (outside.standing, outside.uncertain)
    # The figures know better: what was done, though out of sight, is held against nobody.
    assert () == findings.figures(view, at=LATER, law=law)


@pytest.mark.parametrize(("ring", "count"), [("addressees", 0), ("case", 0), ("oversight", 1), ("public", 1)])
def test_figures_count_what_oversight_may_see_and_no_embargo_hides(
    views: Follow, tmp_path: Path, ring: str, count: int
):
    """Nothing before the end of an embargo, whatever instant is asked about; afterwards by the ring."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_refusal(ring, EMBARGO)
    view = views(log)
    assert () == findings.figures(view, at=LATER, law=law, read_at=EMBARGO - 1)
    assert count == sum(one.count for one in findings.figures(view, at=LATER, law=law, read_at=EMBARGO))


# ----------------------------------------------------------------------------- what is never forgotten


def test_what_was_done_in_time_but_said_too_late_keeps_that_it_was_missing(views: Follow, tmp_path: Path):
    """The finding goes away by the act that shows it, and stays as history; as it was known then it stands."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_refusal("case", None)
    log.say("consultation.opened", "r", PUBLISHER, "2024-03-10", known="2024-05-02", topic="timing")
    view = views(log)
    assert () == found(view, log, law)
    assert "observation" == only(view, log, law, at=on("2024-04-01"), known_by=on("2024-04-01")).standing
    one = only(view, log, law, every=True)
    assert ("resolved", True, log.size() - 1) == (one.standing, one.shown_late, one.resolved_by)
    steps = [(step.index, step.known_at) for step in telling.history(view, one)]
    assert [(None, None), (log.size() - 2, on("2024-03-25")), (log.size() - 1, on("2024-05-02"))] == steps
    assert any("done in time, but said only when" in sentence for sentence in telling.told(view, one))


def test_a_return_awaits_its_taking_over(views: Follow, tmp_path: Path):
    """Handed over and taken over, returned and taken over: each pair by itself, whoever took part in both."""
    law, log = law_of(tmp_path / "law", CONSULT, GROUND), a_request()
    log.say("exhibit.acquired", "x", "Lille", "2024-03-20", source_country="FR")
    log.say("exhibit.handed_over", "x", "Lille", "2024-03-21", to=some_id("GStA"))
    log.say("exhibit.taken_over", "x", "GStA", "2024-03-21", from_authority=some_id("Lille"))
    log.say("exhibit.returned", "x", "GStA", "2024-06-03", to=some_id("Lille"))
    one = only(views(log), log, law)
    assert ("half_missing", "exhibit.returned", id_text(some_id("Lille"))) == (one.kind, one.act, one.authority)
    assert "it is not recorded by the other side that the exhibit is taken over" == one.detail

    log.say("exhibit.taken_over", "x", "Lille", "2024-06-03", from_authority=some_id("GStA"))
    assert () == found(views(log), log, law, every=True)


def test_the_time_to_answer_is_data_and_said_to_be_a_choice(views: Follow, tmp_path: Path):
    """Thirty days, of no law; where a rule has its own, nothing is said of a choice."""
    assert Period(unit="days", count=30) == load().answer
    log = a_refusal("case", None)
    view = views(log)
    chosen = only(view, log, law_of(tmp_path / "law", CONSULT, GROUND), at=on("2024-04-01"))
    assert (True, on("2024-04-24")) == (chosen.answer_chosen, chosen.answer_due_at)
    assert any("no law sets it" in sentence for sentence in telling.told(view, chosen))
    own = CONSULT.replace("check", "answer_within = { days = 10 }\ncheck")
    ruled = only(view, log, law_of(tmp_path / "own", own, GROUND), at=on("2024-04-01"))
    assert not ruled.answer_chosen
    assert not any("no law sets it" in sentence for sentence in telling.told(view, ruled))
