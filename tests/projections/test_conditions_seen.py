"""Whom attached conditions bind, as a viewer may know it: acceptances, liftings and hands at every ring and embargo."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import NotFound
from ledger.statement import Visibility
from projections import binding, findings, lineage
from projections.facts import id_text
from tests.projections.build import DAY, Log, on, some_id
from tests.projections.test_findings import GROUND, LATER, a_request, law_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.binding import Binding
    from projections.views import Views

    Follow = Callable[[Log], Views]

EMBARGO = on("2024-09-01")
#: Whose acts are hidden or shown; who takes part in the case, is addressed, oversees, has nothing to do with it.
HOLDER, AUTHOR, INSIDE, ADDRESSED, OVERSEER, STRANGER = "GStA", "Lille", "LG", "Polizei", "Ombud", "Zoll"
EVERYBODY = (HOLDER, AUTHOR, INSIDE, ADDRESSED, OVERSEER, STRANGER)
SEES = {
    "addressees": {ADDRESSED},
    "case": {ADDRESSED, HOLDER, AUTHOR, INSIDE},
    "oversight": {ADDRESSED, HOLDER, AUTHOR, INSIDE, OVERSEER},
    "public": set(EVERYBODY),
}
#: What a further entry shows of a condition, whose act it is, and since when it is known.
SHOWN = {"accepted": HOLDER, "through": HOLDER, "lifted": AUTHOR, "varied": AUTHOR}
RINGS = [(ring, embargo) for ring in SEES for embargo in (None, EMBARGO)]


def bound(*further: str, shown_to: Visibility | None = None) -> Log:
    """France handed an exhibit over, for these proceedings; what is further said of it is shown to some."""
    public = Visibility("public")
    log = a_request(shown_to=public)
    log.say("exhibit.acquired", "x", AUTHOR, "2024-03-10", source_country="FR", shown_to=public)
    log.say("result.handed_over", "r", AUTHOR, "2024-03-11", exhibits=[some_id("x")], shown_to=public)
    log.say(
        "use_condition.attached", "r", AUTHOR, "2024-03-12", condition=some_id("only"),
        purposes=["named_proceedings"], recipients=[some_id(HOLDER)], shown_to=public,
    )  # fmt: skip
    log.say("request.acknowledged", "r", INSIDE, "2024-03-13", shown_to=public)
    # The same instants, whatever is said: nothing but the act itself can tell.
    some: dict[str, Any] = {"known": "2024-04-25", "shown_to": shown_to, "sent_to": (some_id(ADDRESSED),)}
    if "accepted" in further:
        log.say(
            "conditions.accepted", "r", HOLDER, "2024-04-20", condition=some_id("only"), outcome="accepted", **some
        )  # fmt: skip
    if "through" in further:
        log.say("exhibit.handed_over", "x", HOLDER, "2024-04-20", to=some_id("Gendarmerie"), **some)
    if "lifted" in further:
        log.say(
            "use_condition.lifted", "r", AUTHOR, "2024-04-20", condition=some_id("only"),
            recipients=[some_id(HOLDER)], purposes=["asset_recovery"], **some,
        )  # fmt: skip
    if "varied" in further:
        log.say(
            "use_condition.varied", "r", AUTHOR, "2024-04-20", condition=some_id("only"),
            recipients=[some_id(HOLDER)], purposes=["named_proceedings"], expires_at=LATER + DAY, **some,
        )  # fmt: skip
    return log


def the_condition(view: Views, log: Log, who: str, **asked: Any) -> Binding:
    found = binding.case(view, log.case, viewer=some_id(who), **{"at": LATER, **asked})
    (one,) = [one for one in found if one.source == "condition"]
    return one


def told(one: Binding, what: str) -> bool:
    """Whether an answer shows what a further entry says."""
    own = next(part for part in one.bound if part.authority.id == id_text(some_id(HOLDER)))
    return {
        "accepted": own.accepted == "accepted",
        "through": id_text(some_id("Gendarmerie")) in {part.authority.id for part in one.bound},
        "lifted": "asset_recovery" in own.purposes,
        "varied": one.ends_at is not None,
    }[what]


@pytest.mark.parametrize(("ring", "embargo"), RINGS)
@pytest.mark.parametrize("what", SHOWN)
def test_what_binds_rests_on_what_the_viewer_may_see(views: Follow, what: str, ring: str, embargo: int | None):
    """At each ring and embargo, for each role, at both clocks: who may not read the entry is told as if it were not."""
    log = bound(what, shown_to=Visibility(ring, embargo))
    view, without = views(log), views(bound())
    for who, read_at in itertools.product(EVERYBODY, (EMBARGO - 1, EMBARGO)):
        open_to = SEES[ring] if embargo is None or read_at >= embargo else {ADDRESSED}
        one = the_condition(view, log, who, read_at=read_at)
        assert (who in open_to | {SHOWN[what]}) == told(one, what), (who, read_at)
        if not told(one, what):
            assert one == the_condition(without, log, who, read_at=read_at)
        # Before it happened, and before anybody knew of it, it is told to nobody.
        assert not told(the_condition(view, log, who, read_at=read_at, happened_by=on("2024-04-19")), what)
        assert not told(the_condition(view, log, who, read_at=read_at, known_by=on("2024-04-24")), what)
    assert told(next(one for one in binding.case(view, log.case, at=LATER) if one.source == "condition"), what)


@pytest.mark.parametrize("hidden", [Visibility("addressees"), Visibility("public", LATER + DAY)])
@pytest.mark.parametrize("who", [INSIDE, OVERSEER, STRANGER])
def test_a_lifting_out_of_sight_rights_no_use(views: Follow, tmp_path: Path, who: str, hidden: Visibility):
    """The use stands against the condition for who cannot read that it was lifted, and not for who can."""
    log = bound("lifted", shown_to=hidden)
    log.say(
        "disclosure.made", "d", HOLDER, "2024-05-01", exhibits=[some_id("x")], recipient=some_id(HOLDER),
        purpose="asset_recovery", shown_to=Visibility("public"),
    )  # fmt: skip
    view, law = views(log), law_of(tmp_path / "law", GROUND)

    def flagged(viewer: str) -> bool:
        found = findings.case(view, log.case, at=LATER, viewer=some_id(viewer), law=law)
        return id_text(some_id("only")) in {one.rule for one in found}

    assert [True, False] == [flagged(who), flagged(ADDRESSED)]
    assert [True, False] == [the_condition(view, log, one).breached for one in (who, ADDRESSED)]


@pytest.mark.parametrize("hidden", [Visibility("addressees"), Visibility("public", LATER + DAY)])
def test_what_is_named_out_of_sight_is_not_known(views: Follow, hidden: Visibility):
    """An exhibit or a person of whom only hidden entries speak is answered as one that is nowhere."""
    log = bound()
    some: dict[str, Any] = {"shown_to": hidden, "sent_to": (some_id(ADDRESSED),)}
    log.say("exhibit.derived", "y", HOLDER, "2024-04-20", parents=[some_id("x")], **some)
    log.say("person.arrested", "a", HOLDER, "2024-04-20", person=some_id("somebody"), **some)
    view = views(log)
    for ask, thing, other in ((binding.exhibit, "y", "z"), (binding.person, "somebody", "nobody")):
        ask(view, some_id(thing), at=LATER, viewer=some_id(ADDRESSED))
        said = []
        for name in (thing, other):
            with pytest.raises(NotFound) as error:
                ask(view, some_id(name), at=LATER, viewer=some_id(INSIDE))
            said.append(str(error.value).replace(id_text(some_id(name)), "it"))
        assert said[0] == said[1]


def test_a_case_reached_only_out_of_sight_adds_nothing(views: Follow):
    """That an exhibit went into another case is told to those alone who may read that it did."""
    log = bound()
    log.say(
        "case.opened", some_id("other"), AUTHOR, "2024-04-01", in_case=some_id("other"), shown_to=Visibility("public")
    )
    log.say("exhibit.handed_over", "x", HOLDER, "2024-04-20", in_case=some_id("other"), to=some_id("Gendarmerie"),
            shown_to=Visibility("addressees"), sent_to=(some_id(ADDRESSED),))  # fmt: skip
    view = views(log)
    x = id_text(some_id("x"))

    def homes(who: str | None) -> set[str]:
        sight = None if who is None else findings.asked(view, at=LATER, viewer=some_id(who)).sight
        return set(lineage.homes(view, [x], sight=sight))

    here, there = id_text(log.case), id_text(some_id("other"))
    assert [{here, there}, {here, there}, {here}, {here}] == [homes(w) for w in (None, ADDRESSED, INSIDE, OVERSEER)]


def test_who_takes_no_part_is_told_a_breach_as_far_as_the_ledger_can_tell(views: Follow, tmp_path: Path):
    """What would right the use may lie out of an overseer's sight; conditions and findings say so alike."""
    log = bound()
    log.say(
        "disclosure.made", "d", HOLDER, "2024-05-01", exhibits=[some_id("x")], recipient=some_id(HOLDER),
        purpose="asset_recovery", shown_to=Visibility("public"),
    )  # fmt: skip
    view, law = views(log), law_of(tmp_path / "law", GROUND)
    for who, unsure in ((INSIDE, False), (OVERSEER, True), (STRANGER, True)):
        one = the_condition(view, log, who, law=law)
        assert (True, unsure, [unsure]) == (one.breached, one.uncertain, [use.uncertain for use in one.uses])
        found = findings.case(view, log.case, at=LATER, viewer=some_id(who), law=law)
        assert [unsure] == [each.uncertain for each in found if each.rule == id_text(some_id("only"))]
