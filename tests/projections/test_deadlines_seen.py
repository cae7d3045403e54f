"""Who sees which clock: every ring, embargo and role at both clocks; nothing hidden leaks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import NotFound
from ledger.statement import Visibility
from projections import deadlines
from tests.projections.build import Log, on, some_id
from tests.projections.test_deadlines import law_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.clocks import Clock
    from projections.rules import Rules
    from projections.views import Views

    Follow = Callable[[Log], Views]

LATER = on("2030-01-01")
EMBARGO = on("2026-09-01")
#: Who says what starts the clock, who takes part, who is addressed, who oversees, who has nothing to do with it.
PUBLISHER, INSIDE, ADDRESSED, OVERSEER, STRANGER = "Berlin", "Lille", "LG", "Ombud", "Zoll"
ALL = (PUBLISHER, INSIDE, ADDRESSED, OVERSEER, STRANGER)
SEES = {
    "addressees": {PUBLISHER, ADDRESSED},
    "case": {PUBLISHER, ADDRESSED, INSIDE},
    "oversight": {PUBLISHER, ADDRESSED, INSIDE, OVERSEER},
    "public": {PUBLISHER, ADDRESSED, INSIDE, OVERSEER, STRANGER},
}


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The small law, once for all tests that only read it."""
    return law_of(tmp_path_factory.mktemp("law") / "edition")


def received(ring: str = "case", embargo_until: int | None = None) -> Log:
    """France asks Germany; that Germany received it is seen by some."""
    log = Log()
    for name, country, kind in (
        ("Lille", "FR", "court"),
        ("Berlin", "DE", "prosecutor"),
        ("LG", "DE", "court"),
        ("Ombud", "DE", "oversight_body"),
        ("Zoll", "DE", "ministry"),
    ):
        log.enrol(name, country, kind)
    # Under which instrument it is asked anybody may see: without that, nobody could count anything.
    log.say(
        "request.issued", "r", INSIDE, "2026-02-27", shown_to=Visibility("public"),
        instrument="eu-eio-2014-41", requested=some_id(PUBLISHER), requested_country="DE",
    )  # fmt: skip
    log.say(
        "request.received", "r", PUBLISHER, "2026-03-02", known="2026-03-05",
        shown_to=Visibility(ring, embargo_until), sent_to=(some_id(ADDRESSED),),
    )  # fmt: skip
    return log


def seen(view: Views, log: Log, law: Rules, who: str, **asked: Any) -> tuple[Clock, ...] | str:
    """What somebody is answered: clocks, or an error in words."""
    try:
        return deadlines.case(view, log.case, law=law, viewer=some_id(who), **{"at": LATER, **asked})
    except NotFound as error:
        return str(error)


@pytest.mark.parametrize("ring", SEES)
@pytest.mark.parametrize("embargo", [None, EMBARGO])
def test_each_ring_and_embargo_for_each_role(views: Follow, law: Rules, ring: str, embargo: int | None):
    """As what starts it is seen; an embargo is judged when it is read, whatever instant is asked about."""
    log = received(ring, embargo)
    view = views(log)
    for who in ALL:
        for read_at, at in itertools.product((on("2026-08-31"), EMBARGO), (on("2026-04-10"), LATER)):
            allowed = SEES[ring] if embargo is None or read_at >= embargo else {PUBLISHER, ADDRESSED}
            shown = seen(view, log, law, who, at=at, read_at=read_at)
            assert [one.limit for one in shown if not isinstance(one, str)] == ["T-REC"] * (who in allowed)
            # Before it happened, and before anybody knew of it, nobody sees it.
            assert not seen(view, log, law, who, known_by=on("2026-03-04"), read_at=read_at)
            assert not seen(view, log, law, who, at=on("2026-03-01"), read_at=read_at)


@pytest.mark.parametrize("who", [INSIDE, OVERSEER, STRANGER])
@pytest.mark.parametrize("hidden", [Visibility("addressees"), Visibility("public", LATER + 1)])
def test_what_may_not_be_seen_changes_nothing(views: Follow, law: Rules, who: str, hidden: Visibility):
    """Whatever was said out of somebody's sight, every answer, its length and its error are those without it."""
    plain, more = received("oversight"), received("oversight")
    more.say("request.recognised", "r", PUBLISHER, "2026-03-20", shown_to=hidden)
    more.say("request.forwarded", "r2", PUBLISHER, "2026-03-20", to=some_id(STRANGER), shown_to=hidden)
    more.say(
        "request.issued", "r2", PUBLISHER, "2026-03-20", shown_to=hidden,
        instrument="eu-eio-2014-41", requested=some_id(STRANGER), requested_country="DE",
    )  # fmt: skip
    more.say("request.received", "r2", PUBLISHER, "2026-03-21", shown_to=hidden)
    more.say(
        "time_limit.lapsed", "r", PUBLISHER, "2026-04-02", shown_to=hidden,
        rule="t-rec", edition=bytes(32), due_at=on("2026-04-02"), calendar_version="c",
        trigger=more.recorded[-5].statement.id,
    )  # fmt: skip
    one, other = views(plain), views(more)
    for asked in ({}, {"at": on("2026-03-30")}, {"known_by": on("2026-03-29"), "at": on("2026-03-29")}):
        assert seen(one, plain, law, who, **asked) == seen(other, more, law, who, **asked)
    for thing in ("r", "r2"):
        answers = []
        for view in (one, other):
            try:
                answers.append(str(deadlines.thing(view, some_id(thing), at=LATER, law=law, viewer=some_id(who))))
            except NotFound as error:
                answers.append(str(error))
        assert answers[0] == answers[1]
    mine = [deadlines.authority(view, some_id(who), at=LATER, law=law) for view in (one, other)]
    assert mine[0] == mine[1]
    each = [tuple(deadlines.every(view, at=LATER, law=law, viewer=some_id(who))) for view in (one, other)]
    assert each[0] == each[1]


def test_who_takes_no_part_is_told_that_an_act_may_be_out_of_its_sight(views: Follow, law: Rules):
    """An oversight body sees little of a case: what is missing to its eyes may have been done."""
    log = received("oversight")
    view = views(log)
    for who, uncertain in ((INSIDE, False), (PUBLISHER, False), (OVERSEER, True)):
        (one,) = deadlines.case(view, log.case, at=LATER, law=law, viewer=some_id(who))
        assert ("lapsed", uncertain) == (one.standing, one.uncertain)
