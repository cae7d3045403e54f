"""Deadlines: which limits an act starts, who must act, when each ends, and what came of it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import resources, scenarios
from ledger.domain import procedure
from ledger.errors import NotFound
from ledger.law.law import HERE, read
from ledger.law.manifest import manifest_of
from projections import deadlines
from projections.clocks import STANDINGS, Clock, clocks
from projections.facts import id_text, micros
from projections.matters import Act, Seat
from projections.rules import Rules, rules
from projections.runner import Runner
from tests.projections.build import DAY, Log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.views import Views

HOUR = DAY // 24
BERLIN = ZoneInfo("Europe/Berlin")
EIO = "eu-eio-2014-41"
HEAD = """
id = "eu-eio-2014-41"
title = "European Investigation Order"
official = "Directive 2014/41/EU"
from = 2017-05-22
counting = "eu-1182-71"
reviewed = 2026-07-01
"""
COMMON = """
text = "A decision in plain words."
from = 2017-05-22
verified = true
by = "requested"
consequence = "The text attaches none."
"""
EXTENSION = (
    '{ by = [{ act = "delay.notified", when = { extension_claimed = true } }], within = { days = 30 }, times = 1, '
    'article = "12(5)", text = "Once, by thirty days." }'
)
EMERGENCY = (
    '{ name = "emergency", where = { urgency = "emergency" }, within = { hours = 8 }, article = "10(4) second", '
    'text = "Eight hours.", verified = true }'
)
LAW = (
    HEAD
    + f"""
[[limit.T-REC]]
article = "12(3)"
within = {{ days = 20 }}
starts = ["request.received"]
ends = ["request.recognised", "request.refused"]
until = 2018-01-01
examples = [{{ start = 2017-07-03, in = "DE", due = 2017-07-24 }}]
{COMMON}
[[limit.T-REC]]
article = "12(3)"
within = {{ days = 30 }}
starts = ["request.received"]
ends = ["request.recognised", "request.refused"]
waived_by = ["request.withdrawn"]
suspended_by = ["request.execution_postponed"]
resumed_by = ["request.postponement_ended"]
restarted_by = ["request.supplement_provided"]
extension = {EXTENSION}
examples = [{{ start = 2026-03-02, in = "DE", due = 2026-04-01 }}]
{COMMON.replace("2017-05-22", "2018-01-01")}
[limit.T-URG]
article = "10(4)"
within = {{ days = 10 }}
variants = [{EMERGENCY}]
starts = ["request.acknowledged"]
ends = ["request.executed"]
examples = [{{ start = 2026-04-10, in = "DE", due = 2026-04-20 }}]
{COMMON}
[limit.T-NEW]
article = "operative part 3"
text = "What a court held."
from = 2017-05-22
known_from = 2024-04-30
verified = true
by = "notified"
consequence = "None."
within = {{ hours = 96 }}
starts = ["interception.notified"]
ends = ["interception.answered"]
match = "answers"
examples = [{{ start = 2026-03-05T10:20:00, in = "DE", due = 2026-03-09T11:00:00 }}]

[limit.T-DRAFT]
article = "32(2)"
within = {{ hours = 24 }}
starts = ["request.forwarded"]
ends = ["request.recognised"]
examples = [{{ start = 2026-03-05T10:20:00, in = "DE", due = 2026-03-06T11:00:00 }}]
{COMMON.replace("true", "false")}
[limit.T-NAMED]
article = "15(2)"
named = "due_at"
starts = ["request.supplement_requested"]
ends = ["request.supplement_provided"]
match = "answers"
{COMMON.replace('"requested"', '"requesting"')}
[limit.T-KEEP]
article = "7"
nature = "minimum"
within = {{ days = 60 }}
starts = ["request.executed"]
ends = ["request.closed"]
examples = [{{ start = 2026-03-02, in = "DE", due = 2026-05-04 }}]
{COMMON}"""
)
OVERLAY = """
parent = "eu-eio-2014-41"
country = "FR"
reviewed = 2026-07-01

[replace.limit.T-REC]
article = "art. 694-37"
text = "France gives fifteen days."
from = 2018-01-01
verified = true
by = "requested"
within = { days = 15 }
starts = ["request.received"]
ends = ["request.recognised", "request.refused"]
consequence = "None."
examples = [{ start = 2026-03-02, in = "FR", due = 2026-03-17 }]
"""


@cache
def _procedure() -> Any:
    return procedure.load()


def law_of(folder: Path, *, overlay: bool = False) -> Rules:
    """The small law of these tests, read as a release is."""
    shutil.copytree(HERE, folder, ignore=lambda *_: ["instruments", "__pycache__"], dirs_exist_ok=True)
    (folder / "instruments").mkdir()
    (folder / "instruments" / f"{EIO}.toml").write_text(LAW)
    if overlay:
        (folder / "instruments" / f"{EIO}.fr.toml").write_text(OVERLAY)
    return Rules(read(folder), manifest_of(folder), _procedure())


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The small law, once for all tests that only read it."""
    return law_of(tmp_path_factory.mktemp("law") / "edition")


@cache
def _real(*only: str) -> list[Rules]:
    return [Rules(read(HERE, only=one), manifest_of(HERE), _procedure()) for one in only]


def name(of: str) -> str:
    """The id of a thing or authority in these tests."""
    return id_text(some_id(of))


SEATS = {
    name("Berlin"): Seat("DE", "Europe/Berlin", "prosecutor"),
    name("Lille"): Seat("FR", "Europe/Paris", "court"),
}


def begins(day: str, later: int = 0) -> int:
    """The first instant of a day in Berlin, or of one some days later."""
    there = datetime.combine(date.fromisoformat(day) + timedelta(days=later), datetime.min.time(), BERLIN)
    return micros(there)


class Story:
    """Acts of one request from Lille to Berlin, told in the order of the log."""

    def __init__(self, issued_on: str = "2026-02-27", **issued: Any) -> None:
        self.acts: list[Act] = []
        body = {"instrument": EIO, "requested": name("Berlin"), "requested_country": "DE", "urgency": "ordinary"}
        self.say("request.issued", issued_on, by="Lille", **(body | issued))

    def say(
        self,
        act: str,
        at: str | tuple[str, str] | int,
        *,
        by: str | None = "Berlin",
        thing: str = "request",
        country: str | None = None,
        answers: tuple[Act, ...] = (),
        corrects: Act | None = None,
        **body: Any,
    ) -> Act:
        """Add an act on whole days, or at an instant; return it."""
        if isinstance(at, int):
            first = last = at
        else:
            days = (at, at) if isinstance(at, str) else at
            first, last = begins(days[0]), begins(days[1], 1) - 1
        index = len(self.acts)
        said = Act(
            index=index,
            statement=name(f"statement {index}"),
            case=name("case"),
            subject=name(thing),
            act=act,
            actor=None if by is None else name(by),
            country=country,
            reported=country is not None,
            from_at=first,
            until_at=last,
            legal_effect_at=None,
            answers=tuple(one.statement for one in answers),
            corrects=None if corrects is None else corrects.statement,
            basis=(),
            body=body,
        )
        self.acts.append(said)
        return said

    def clocks(self, law: Rules, at: str | int, **asked: Any) -> tuple[Clock, ...]:
        """The clocks as read at the end of a day, or at an instant."""
        return clocks(self.acts, law, SEATS, at=at if isinstance(at, int) else begins(at, 1) - 1, **asked)

    def one(self, law: Rules, at: str | int, **asked: Any) -> Clock:
        """The only clock that there is."""
        (found,) = self.clocks(law, at, **asked)
        return found


def received(at: Any = "2026-03-02", issued_on: str = "2026-02-27") -> Story:
    """A request received, whose clock ends with 1 April 2026."""
    story = Story(issued_on)
    story.say("request.received", at)
    return story


ENDS = begins("2026-04-02")


class TestOneClock:
    def test_it_names_everything_it_rests_on(self, law: Rules) -> None:
        """Rule, article, edition, way of counting, calendar, zone, trigger, who must act, and every step."""
        clock = received().one(law, "2026-03-10")

        assert ("T-REC", "12(3)", EIO, 1) == (clock.limit, clock.article, clock.instrument, clock.index)
        assert (name("Berlin"), "requested", "DE") == (clock.authority, clock.role, clock.country)
        assert ("2026-04-01", ENDS) == (clock.last_day, clock.due_at)
        assert ("eu-1182-71", "Europe/Berlin") == (clock.counting, clock.zone)
        assert (clock.calendar or "").startswith("DE (holidays ")
        assert clock.edition in manifest_text(law)
        assert "3(2)(b)" in [step.article for step in clock.steps]
        assert clock.verified

    @pytest.mark.parametrize(
        ("decided", "at", "stands"),
        [
            (None, "2026-03-10", "open"),
            (None, ENDS - 1, "open"),
            (None, ENDS, "lapsed"),
            ("2026-03-20", "2026-03-19", "open"),
            ("2026-03-20", "2026-03-20", "met"),
            (ENDS - 1, "2026-05-01", "met"),
            (ENDS, "2026-05-01", "late"),
        ],
    )
    def test_it_is_met_late_or_lapsed(self, law: Rules, decided: Any, at: Any, stands: str) -> None:
        """The last microsecond of the last day is in time; what had not happened yet does not count."""
        story = received()
        if decided is not None:
            story.say("request.recognised", decided)
        clock = story.one(law, at)

        assert stands == clock.standing
        assert (2 if stands in {"met", "late"} else None) == clock.met_index

    def test_due_within_days(self, law: Rules) -> None:
        """What ends within the days asked about stands as due; a limit that has ended does not."""
        story = received()

        assert "open" == story.one(law, "2026-03-20", due_within=7).standing
        assert "due" == story.one(law, "2026-03-27", due_within=7).standing
        assert "lapsed" == story.one(law, "2026-04-02", due_within=7).standing

    def test_a_minimum_is_kept_by_time_alone(self, law: Rules) -> None:
        """Something that lasts at least so long is met when the time has passed, and may end too early."""
        story = Story()
        story.say("request.executed", "2026-03-02")
        assert "open" == story.one(law, "2026-04-01").standing
        assert "met" == story.one(law, "2026-06-01").standing
        story.say("request.closed", "2026-04-02")
        assert "early" == story.one(law, "2026-06-01").standing

    def test_an_act_belongs_to_its_own_request(self, law: Rules) -> None:
        """A decision on another request of the case meets nothing here."""
        story = received()
        story.say("request.issued", "2026-02-27", by="Lille", thing="other", instrument=EIO, requested_country="DE")
        story.say("request.recognised", "2026-03-10", thing="other")

        assert {"lapsed", "unstarted"} == {clock.standing for clock in story.clocks(law, "2026-05-01")}

    def test_only_an_answer_ends_what_must_be_answered(self, law: Rules) -> None:
        """Where the rule asks for an answer, another answer in the same stream does not do."""
        story = Story()
        ask: dict[str, Any] = {"to_country": "DE", "to": name("Berlin")}
        first = story.say("interception.notified", on("2026-03-05") + 9 * HOUR, by="Lille", **ask)
        second = story.say("interception.notified", on("2026-03-05") + 9 * HOUR, by="Lille", **ask)
        story.say("interception.answered", on("2026-03-06"), answers=(second,))
        found = {clock.index: clock.standing for clock in story.clocks(law, "2026-03-20")}

        assert {first.index: "lapsed", second.index: "met"} == found

    def test_what_was_corrected_starts_and_ends_nothing(self, law: Rules) -> None:
        """A correction counts whenever it was made; the act that it corrects is as if it had not been said."""
        story = received()
        decided = story.say("request.recognised", "2026-03-10")
        story.say("statement.corrected", "2026-07-01", corrects=decided)
        assert "open" == story.one(law, "2026-03-20").standing
        story.say("statement.corrected", "2026-07-01", by="Berlin", corrects=story.acts[1])
        assert () == story.clocks(law, "2026-03-20")

    def test_an_act_that_may_name_an_end_and_does_not_sets_no_limit(self, law: Rules) -> None:
        """A question with a day makes a limit of that day for who must answer; without one there is none."""
        story = Story()
        asked = story.say("request.supplement_requested", "2026-03-02", due_at=on("2026-03-20"))
        story.say("request.supplement_requested", "2026-03-03", due_at=None)
        clock = story.one(law, "2026-03-10")

        assert (asked.index, on("2026-03-20"), name("Lille")) == (clock.index, clock.due_at, clock.authority)
        assert "the act names its end" in clock.steps[0].text


class TestWhatMovesIt:
    def test_a_variant_is_chosen_by_the_request(self, law: Rules) -> None:
        """An emergency has its own length, article and unit."""
        for urgency, last, article in (
            ("ordinary", "2026-04-20", "10(4)"),
            ("emergency", "2026-04-10", "10(4) second"),
        ):
            story = Story(urgency=urgency)
            story.say("request.acknowledged", on("2026-04-10") + 8 * HOUR + 1)
            clock = story.one(law, "2026-04-10")
            assert (last, article) == (clock.last_day, clock.article)

        assert on("2026-04-10") + 17 * HOUR == clock.due_at

    def test_an_extension_makes_it_longer_once(self, law: Rules) -> None:
        """It says how far it could go, goes there when claimed in time, and no further."""
        story = received()
        before = story.one(law, "2026-03-10").extension
        assert before is not None
        assert (0, "2026-05-04") == (before.used, before.last_day)
        for _ in range(2):
            story.say("delay.notified", "2026-03-20", limit="t-rec", extension_claimed=True)
        clock = story.one(law, "2026-04-10")

        assert ("extended", "2026-05-04", (2,)) == (clock.standing, clock.last_day, clock.extended_by)
        assert clock.extension is not None
        assert (1, None) == (clock.extension.used, clock.extension.last_day)

    @pytest.mark.parametrize(
        ("body", "at"),
        [
            ({"limit": "t-rec", "extension_claimed": False}, "2026-03-20"),
            ({"limit": "t-urg", "extension_claimed": True}, "2026-03-20"),
            ({"limit": "t-rec", "extension_claimed": True}, "2026-04-02"),
        ],
    )
    def test_what_does_not_extend(self, law: Rules, body: dict[str, Any], at: str) -> None:
        """A delay that claims nothing, one of another limit, and one after the end leave it as it was."""
        story = received()
        story.say("delay.notified", at, **body)
        clock = story.one(law, "2026-05-01")

        assert ("lapsed", "2026-04-01", ()) == (clock.standing, clock.last_day, clock.extended_by)
        assert ((2,) if at > "2026-04-01" else ()) == clock.extended_too_late

    def test_time_stands_still_and_runs_on(self, law: Rules) -> None:
        """While it is suspended it cannot lapse; afterwards it ends so much later."""
        story = received()
        story.say("request.execution_postponed", "2026-03-10")
        assert "suspended" == story.one(law, "2026-12-01").standing
        story.say("request.postponement_ended", "2026-03-20")
        clock = story.one(law, "2026-04-05")

        # Ten days and the day on which they end, each left out once at the later reading: 11 April is a Saturday.
        assert ("open", "2026-04-13", ((2, 3),)) == (clock.standing, clock.last_day, clock.suspended_by)

    def test_what_comes_after_the_end_does_not_suspend_it(self, law: Rules) -> None:
        """A limit that has lapsed does not stand still."""
        story = received()
        story.say("request.execution_postponed", "2026-04-10")

        assert "lapsed" == story.one(law, "2026-12-01").standing

    def test_it_runs_anew(self, law: Rules) -> None:
        """A restart gives the whole period again, and keeps the trigger."""
        story = received()
        story.say("request.supplement_provided", "2026-03-20", by="Lille")
        clock = story.one(law, "2026-04-05")

        assert (1, (2,), "2026-04-20") == (clock.index, clock.restarted_by, clock.last_day)

    def test_it_is_waived(self, law: Rules) -> None:
        """A request withdrawn needs no decision; the clock stays visible."""
        story = received()
        story.say("request.withdrawn", "2026-03-20", by="Lille")

        assert ("waived", 2) == (story.one(law, "2027-01-01").standing, story.one(law, "2027-01-01").waived_index)

    def test_on_one_day_the_order_of_the_log_decides(self, law: Rules) -> None:
        """What was said earlier on the same day withdraws nothing that came after, but may have met it."""
        story = Story()
        story.say("request.withdrawn", "2026-03-02", by="Lille")
        story.say("request.received", "2026-03-02")
        assert "open" == story.one(law, "2026-03-10").standing
        story = Story()
        story.say("request.recognised", "2026-03-02")
        story.say("request.received", "2026-03-02")
        assert "met" == story.one(law, "2026-03-10").standing


class TestWhoMustAct:
    def test_who_received_it(self, law: Rules) -> None:
        """Each receipt starts a clock of who received; one that passes it on is followed."""
        story = received()
        clock = story.one(law, "2026-03-05")
        assert name("Berlin") == clock.authority
        story.say("request.forwarded", "2026-03-06", to=name("Bremen"))
        moved = next(c for c in story.clocks(law, "2026-03-08") if c.limit == "T-REC")
        assert name("Bremen") == moved.authority

    def test_unknown_is_named_as_the_role_in_its_state(self, law: Rules) -> None:
        """Where a report names only a State, its calendar counts and the role is named."""
        story = Story(requested=None)
        story.say("request.received", "2026-03-02", by=None, country="DE")
        clock = story.one(law, "2026-03-10")

        assert (None, "requested", "DE") == (clock.authority, clock.role, clock.country)
        assert "2026-04-01" == clock.last_day
        assert clock.reported

    def test_without_a_calendar_nothing_is_computed(self, law: Rules) -> None:
        """A State, or a year, without a calendar is a problem that is named, never a guess."""
        nowhere = Story(requested=None, requested_country=None)
        nowhere.say("request.received", "2026-03-02", by=None, country=None)
        later = received("2094-03-02")

        for story, says in ((nowhere, "not known in which State"), (later, "does not cover 2094")):
            clock = story.one(law, "2094-03-10")
            assert ("uncomputed", None) == (clock.standing, clock.due_at)
            assert says in (clock.problem or "")

    def test_the_law_of_the_state_that_must_act(self, tmp_path: Path) -> None:
        """An overlay replaces the rule where its State must act, and nowhere else."""
        law = law_of(tmp_path / "edition", overlay=True)
        german = received().one(law, "2026-03-10")
        story = Story(requested=name("Lille"), requested_country="FR")
        story.acts[0] = replace(story.acts[0], actor=name("Berlin"))
        story.say("request.received", "2026-03-02", by="Lille")
        french = story.one(law, "2026-03-10")

        assert ("2026-04-01", "12(3)") == (german.last_day, german.article)
        assert ("2026-03-17", "art. 694-37", name("Lille")) == (french.last_day, french.article, french.authority)
        assert german.edition != french.edition


class TestTheLawOfTheDay:
    def test_the_version_in_force(self, law: Rules) -> None:
        """The day of the start chooses the version, whatever the day on which it is asked."""
        old, new = received("2017-07-03", "2017-04-01"), received("2018-07-02", "2017-04-01")

        assert "2017-07-24" == old.one(law, "2026-01-01").last_day
        assert "2018-08-01" == new.one(law, "2026-01-01").last_day
        assert () == received("2017-05-01", "2017-04-01").clocks(law, "2026-01-01")

    def test_what_a_court_held_is_known_from_then_on(self, law: Rules) -> None:
        """Before the ruling nobody knew the limit; afterwards it has always been so."""
        story = Story("2020-03-02")
        story.say("interception.notified", on("2020-03-05"), by="Lille", to=name("Berlin"), to_country="DE")

        assert () == story.clocks(law, "2021-01-01", known_on=date(2024, 4, 29))
        assert "lapsed" == story.one(law, "2021-01-01", known_on=date(2024, 4, 30)).standing
        assert "lapsed" == story.one(law, "2021-01-01").standing


class TestUncertainty:
    def test_a_start_in_an_interval_has_two_ends(self, law: Rules) -> None:
        """It is late only where every reading says so; between the ends that stays open."""
        story = received(("2026-03-02", "2026-03-20"))
        clock = story.one(law, "2026-03-25")

        assert ("2026-04-20", ENDS) == (clock.last_day, clock.due_earliest_at)
        assert (False, True) == (clock.uncertain, story.one(law, "2026-04-10").uncertain)
        story.say("request.recognised", "2026-04-10")
        assert ("met", True) == (story.one(law, "2026-05-01").standing, story.one(law, "2026-05-01").uncertain)
        story.acts[-1] = replace(story.acts[-1], from_at=on("2026-04-21"), until_at=on("2026-04-22"))
        assert ("late", False) == (story.one(law, "2026-05-01").standing, story.one(law, "2026-05-01").uncertain)

    def test_what_nobody_recorded_the_start_of(self, law: Rules) -> None:
        """A decision without a receipt: the clock is shown as not started, with the earliest end it can have."""
        story = Story()
        story.say("request.recognised", "2026-03-10")
        clock = story.one(law, "2026-03-11")

        assert ("unstarted", None, 1) == (clock.standing, clock.index, clock.met_index)
        # Counted from the request itself, 27 February: 29 March is a Sunday.
        assert begins("2026-03-31") == clock.due_earliest_at
        assert not clock.uncertain
        story.say("request.received", "2026-03-02")
        assert "met" == story.one(law, "2026-03-11").standing


class TestPublishedLapses:
    LAPSE: ClassVar[dict[str, Any]] = {"rule": "t-rec", "edition": "00" * 32, "calendar_version": "de-0.1"}

    def test_it_stands_beside_what_would_be_computed_now(self, law: Rules) -> None:
        """Another calendar would end the limit on another day: both are shown, and the published one stands."""
        story = received()
        trigger = story.acts[1].statement
        story.say("time_limit.lapsed", "2026-03-31", by=None, trigger=trigger, due_at=ENDS - DAY, **self.LAPSE)
        clock = story.one(law, "2026-04-01")
        lapse = clock.published

        assert lapse is not None
        assert ("lapsed", 2, ENDS - DAY) == (clock.standing, lapse.index, lapse.due_at)
        assert ("open", ENDS, True) == (lapse.computed, lapse.computed_due_at, lapse.differs)

    def test_it_agrees(self, law: Rules) -> None:
        """Where the computation agrees, that is said too."""
        story = received()
        story.say("time_limit.lapsed", "2026-04-02", trigger=story.acts[1].statement, due_at=ENDS, **self.LAPSE)
        clock = story.one(law, "2026-04-03")

        assert clock.published is not None
        assert ("lapsed", False) == (clock.standing, clock.published.differs)

    def test_a_decision_found_later_does_not_undo_it(self, law: Rules) -> None:
        """A decision taken in time and recorded afterwards is shown as computed; the publication stays."""
        story = received()
        story.say("time_limit.lapsed", "2026-04-02", trigger=story.acts[1].statement, due_at=ENDS, **self.LAPSE)
        story.say("request.recognised", "2026-03-30")
        clock = story.one(law, "2026-05-01")

        assert clock.published is not None
        assert ("lapsed", "met", 3) == (clock.standing, clock.published.computed, clock.met_index)

    def test_a_rule_that_this_edition_lacks(self, law: Rules) -> None:
        """A lapse of a rule nobody holds any more is shown as it was published."""
        story = received()
        body = self.LAPSE | {"rule": "t-gone"}
        story.say("time_limit.lapsed", "2026-03-03", trigger=story.acts[1].statement, due_at=on("2026-03-03"), **body)
        gone = next(c for c in story.clocks(law, "2026-03-10") if c.limit == "t-gone")

        assert ("lapsed", 1, None) == (gone.standing, gone.index, gone.due_at)
        assert not gone.verified
        assert gone.published is not None


ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                ("request.received", {}),
                ("request.recognised", {}),
                ("request.withdrawn", {}),
                ("request.execution_postponed", {}),
                ("request.postponement_ended", {}),
                ("request.supplement_provided", {}),
                ("request.acknowledged", {}),
                ("request.executed", {}),
                ("request.closed", {}),
                ("delay.notified", {"limit": "t-rec", "extension_claimed": True}),
                ("request.supplement_requested", {"due_at": on("2026-04-20")}),
            ]
        ),
        st.integers(0, 120 * 24),
        st.integers(0, 72),
    ),
    max_size=12,
)


def told(acts: list[tuple[tuple[str, dict[str, Any]], int, int]]) -> Story:
    """A story of acts at hours after 1 March 2026, each within so many hours."""
    story = Story()
    for (act, body), hour, wide in acts:
        said = story.say(act, on("2026-03-01") + hour * HOUR, **body)
        story.acts[-1] = replace(said, until_at=said.from_at + wide * HOUR)
    return story


HOURS = st.integers(0, 60 * 24)


class TestProperties:
    @given(acts=ACTS, order=st.randoms(use_true_random=False), hour=st.integers(0, 200 * 24))
    @settings(deadline=None, max_examples=60)
    def test_the_order_of_telling_does_not_matter(self, law: Rules, acts: Any, order: Any, hour: int) -> None:
        """The fold depends on what happened, not on the order in which the acts are handed over."""
        story, at = told(acts), on("2026-03-01") + hour * HOUR
        before = story.clocks(law, at)
        order.shuffle(story.acts)

        assert before == story.clocks(law, at)
        assert {clock.standing for clock in before} <= STANDINGS.keys()

    @given(acts=ACTS, hours=st.tuples(st.integers(0, 200 * 24), st.integers(0, 200 * 24)))
    @settings(deadline=None, max_examples=60)
    def test_the_past_is_read_alike_with_or_without_the_future(self, law: Rules, acts: Any, hours: Any) -> None:
        """A clock read at an instant is what it was then: acts that happened later are as if never told."""
        at, later = (on("2026-03-01") + hour * HOUR for hour in sorted(hours))
        story = told(acts)
        now = story.clocks(law, at)
        story.acts = [act for act in story.acts if act.from_at <= at]
        assert now == story.clocks(law, at)
        settled = {
            (c.index, c.limit): c.standing for c in now if c.standing in {"met", "late"} and c.met_until_at != at
        }
        after = {(c.index, c.limit): c.standing for c in story.clocks(law, later)}
        assert settled.items() <= after.items()

    @given(
        start=st.integers(0, 60 * 24), more=st.integers(0, 60 * 24), stop=st.integers(0, 20), long=st.integers(0, 40)
    )
    @settings(deadline=None, max_examples=60)
    def test_it_never_ends_earlier_for_a_later_start_or_a_stop(
        self, law: Rules, start: int, more: int, stop: int, long: int
    ) -> None:
        """Monotone: a later start, a suspension, a longer one and an extension never bring the end nearer."""

        def end(hour: int, *, stopped: int | None = None, extended: bool = False) -> int:
            start_at = on("2026-03-01") + hour * HOUR
            story = received(start_at)
            if stopped is not None:
                story.say("request.execution_postponed", start_at + stop * DAY)
                story.say("request.postponement_ended", start_at + stop * DAY + stopped * DAY)
            if extended:
                story.say("delay.notified", start_at + HOUR, limit="T-REC", extension_claimed=True)
            found = story.one(law, start_at + 100 * DAY).due_at
            assert found is not None
            return found

        plain = end(start)
        assert plain <= end(start + more)
        assert plain <= end(start, stopped=long) <= end(start, stopped=long + 1)
        assert plain < end(start, extended=True)
        assert end(start, stopped=long) <= end(start, stopped=long, extended=True)

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "Pacific/Pago_Pago"])
    def test_the_zone_of_the_machine_is_not_asked(self, law: Rules, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wherever the machine stands, the days are those of the authority that must act."""
        story = received(on("2026-03-02") + 23 * HOUR + HOUR // 2)
        here = story.one(law, "2026-03-10")
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            there = story.one(law, "2026-03-10")
        time.tzset()

        assert here == there
        # Half past midnight of 3 March in Berlin.
        assert "2026-04-02" == here.last_day


# ---------------------------------------------------------------------------------------- the projection


def a_log() -> tuple[Log, bytes, bytes]:
    """A request received in Berlin, then passed on at once, under an unverified limit of a day."""
    log = Log()
    france, germany = log.enrol("Lille", "FR", "court"), log.enrol("Berlin", "DE")
    log.say("case.opened", log.case, france, "2026-02-27")
    log.say(
        "request.issued", "request", france, "2026-02-27", instrument=EIO, requested=germany, requested_country="DE"
    )
    log.say("request.received", "request", germany, "2026-03-02")
    log.say("request.forwarded", "request", germany, "2026-03-04", to=germany)
    return log, france, germany


class TestProjection:
    AT = on("2026-03-27")

    def test_unverified_rules_are_for_the_authority_concerned(self, law: Rules, views: Callable[[Log], Views]) -> None:
        """Oversight, the other side and the public see verified rules alone."""
        log, france, germany = a_log()
        open_ = views(log)

        def seen(viewer: bytes | None) -> dict[str, bool]:
            found = deadlines.case(open_, log.case, at=self.AT, viewer=viewer, law=law)
            return {clock.limit: clock.verified for clock in found}

        assert {"T-REC": True} == seen(None) == seen(france)
        assert {"T-REC": True, "T-DRAFT": False} == seen(germany)

    def test_what_one_authority_must_do_within_days(self, law: Rules, views: Callable[[Log], Views]) -> None:
        """Only its own limits, only those that end within the days, also the unverified, by their end."""
        log, france, germany = a_log()
        open_ = views(log)

        def due(authority: bytes, at: int, days: int) -> list[str]:
            found = deadlines.authority(open_, authority, at=at, due_within=days, law=law)
            return [clock.limit for clock in found]

        assert ["T-REC"] == due(germany, self.AT, 7)
        assert [] == due(germany, self.AT, 3)
        assert ["T-DRAFT", "T-REC"] == due(germany, on("2026-03-04") + HOUR, 60)
        assert [] == due(france, self.AT, 60)

    def test_things_states_and_all_cases(self, law: Rules, views: Callable[[Log], Views]) -> None:
        """The same clocks by thing, by standing, and over every case."""
        log, _, _ = a_log()
        open_ = views(log)
        whole = deadlines.case(open_, log.case, at=self.AT, law=law)

        assert whole == deadlines.thing(open_, some_id("request"), at=self.AT, law=law)
        assert whole == tuple(deadlines.every(open_, at=self.AT, law=law))
        assert () == deadlines.thing(open_, log.case, at=self.AT, law=law)
        due = deadlines.case(open_, log.case, at=self.AT, due_within=7, states=["open"], law=law)
        assert ["due"] == [clock.standing for clock in due]
        assert () == deadlines.case(open_, log.case, at=self.AT, states=["lapsed"], law=law)
        for ask in (deadlines.case, deadlines.thing):
            with pytest.raises(NotFound):
                ask(open_, some_id("nothing"), at=self.AT, law=law)

    def test_both_clocks(self, law: Rules, views: Callable[[Log], Views]) -> None:
        """A decision in time that the log learned late: lapsed as known before, met as known since."""
        log, _, germany = a_log()
        log.say("request.recognised", "request", germany, "2026-03-30", known="2026-05-01")
        log.say("request.received", "request", germany, "2026-03-02", rejected="wrong_case")
        open_ = views(log)

        def stands(**clocks_: Any) -> list[str]:
            return [c.standing for c in deadlines.case(open_, log.case, at=on("2026-05-02"), law=law, **clocks_)]

        assert ["met"] == stands()
        assert ["lapsed"] == stands(known_by=on("2026-04-15"))
        assert ["lapsed"] == stands(happened_by=on("2026-03-29"))
        assert [] == stands(happened_by=on("2026-03-01"))
        with pytest.raises(NotFound):
            stands(known_by=on("2026-01-01"))

    def test_a_thing_of_another_case_under_its_request(self, law: Rules, views: Callable[[Log], Views]) -> None:
        """A hand-over in a case of its own finds the request that it names, and is no clock of that case."""
        log, _, germany = a_log()
        other = some_id("other case")
        log.say("person.arrested", "handover", germany, "2026-03-05", in_case=other, request=some_id("request"))
        open_ = views(log)

        assert () == deadlines.case(open_, other, at=self.AT, law=law)
        assert ["T-REC"] == [c.limit for c in deadlines.case(open_, log.case, at=self.AT, law=law)]


def test_the_scenarios_show_their_deadlines(tmp_path: Path) -> None:
    """
    Aranyosi: sixty days from the arrest of 14 January 2015, and thirty more had they been claimed.

    EncroChat: no receipt of the German order is published, so that its thirty days never began on the
    record; counted from the order itself, the decision of 13 June 2020 was in time.
    """
    (eaw,), (eio,) = _real("eu-eaw-2002-584"), _real(EIO)
    now = on("2026-01-01")
    for scenario, law in (("aranyosi", eaw), ("encrochat", eio)):
        played = scenarios.play(scenarios.load(resources.path("scenarios") / f"{scenario}.toml"), tmp_path / scenario)
        try:
            with Runner(played.store, played.catalogue, tmp_path / scenario / "projections.db") as runner:
                runner.catch_up()
                with runner.views() as views:
                    if scenario == "aranyosi":
                        case, bremen = played.named("aranyosi"), played.named("de-gsta-bremen")
                        found = deadlines.case(views, case, at=now, viewer=bremen, law=law)
                        limit = next(clock for clock in found if clock.limit == "EAW-DEC")
                        assert ("17(3)", "lapsed") == (limit.article, limit.standing)
                        assert "person.arrested" == limit.act
                        assert id_text(bremen) == limit.authority
                        # Sixty days end with Sunday 15 March.
                        assert "60 days end on 2015-03-15" in [step.text for step in limit.steps]
                        assert limit.extension is not None
                        assert ("2015-04-14", "17(4)") == (limit.extension.last_day, limit.extension.article)
                        early = deadlines.case(views, case, at=on("2015-02-01"), viewer=bremen, law=law)
                        assert ["open"] == [clock.standing for clock in early if clock.limit == "EAW-DEC"]
                        # Whoever asks sees it if, and only if, all that it rests on was compared with the wording.
                        anybody = deadlines.case(views, case, at=now, law=law)
                        assert limit.verified is ("EAW-DEC" in {clock.limit for clock in anybody})
                    else:
                        order = deadlines.thing(views, played.named("eio-de-1"), at=now, law=law)
                        limit = next(clock for clock in order if clock.limit == "EIO-REC")
                        assert ("unstarted", "12(3)", False) == (limit.standing, limit.article, limit.uncertain)
                        assert on("2020-07-02") + 22 * HOUR == limit.due_earliest_at
                        assert "request.recognised" == limit.met_act
                        assert limit.reported
        finally:
            played.close()


@pytest.mark.parametrize(("requested", "expected"), [("PT", True), ("DK", False), ("IE", False)])
def test_a_limit_runs_only_for_states_that_its_instrument_binds(requested: str, *, expected: bool) -> None:
    """Denmark and Ireland took no part in the Directive: no clock of it runs for an order sent there."""
    seats = {name("Lille"): Seat("LU", None, "court"), name("Berlin"): Seat(requested, None, "prosecutor")}
    story = Story("2026-03-01", instrument="eu-eio-2014-41", requested_country=requested)
    story.say("request.received", "2026-03-02")

    found = clocks(story.acts, rules(), seats, at=begins("2026-03-03"))
    assert expected is ("EIO-REC" in {clock.limit for clock in found})


def test_a_limit_of_a_protocol_is_not_verified_where_nobody_knows_who_accepted_it() -> None:
    """The fourth protocol's ninety days run, and say that they may not hold between these two States."""
    seats = {name("Lille"): Seat("TR", None, "court"), name("Berlin"): Seat("SM", None, "prosecutor")}
    limit = rules().law.limit("E212-90")
    assert limit.verified
    story = Story("2026-03-01", instrument=limit.instrument, requested_country="SM")
    start = limit.starts[0]
    body: dict[str, Any] = {field: values[0] for field, values in start.when.items()}
    story.say(start.act, "2026-03-02", thing="thing", **body)

    (found,) = (c for c in clocks(story.acts, rules(), seats, at=begins("2026-03-03")) if c.limit == "E212-90")
    assert not found.verified


def manifest_text(law: Rules) -> str:
    """The hashes of the files of a law, as its rules hold them."""
    return " ".join(law._editions.values())
