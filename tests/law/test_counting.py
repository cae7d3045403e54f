"""Counting: worked examples first, then what must hold of every period, zone and calendar."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import FormatError
from ledger.law.counting import Calendar, NoCalendar, calendar, calendars, countings, due
from ledger.law.data import Extension, Limit, Pattern, Period, Variant, Where

ROOT = Path(__file__).resolve().parents[2]

PLACES = ("DE", "FR", "NL", "IE", "GR", "ES-CN", "US", "DE-BY")


def limit(period: Period, counting: str = "eu-1182-71", more: Period | None = None) -> Limit:
    extension = None
    if more is not None:
        extension = Extension(by=(Pattern("delay.notified"),), within=more, times=1, article="2", text="Longer.")
    return Limit(
        id="T-1",
        instrument="eu-eio-2014-41",
        article="1",
        text="A limit.",
        from_on=date(1990, 1, 1),
        verified=True,
        basis="wording",
        by="requested",
        within=period,
        counting=counting,
        calendar="requested",
        consequence="None.",
        extension=extension,
    )


def last(period: Period, start: date | datetime, place: str = "DE") -> date:
    return due(limit(period), start, calendar(place)).last_on


# -------------------------------------------------------------------------------------- worked examples


def test_eight_hours_begin_with_the_full_hour_after_the_event():
    """An emergency order received on a Thursday at 10:20 expires the same day at 19:00."""
    result = due(limit(Period("hours", 8)), datetime(2026, 4, 9, 10, 20), calendar("DE"))

    assert "2026-04-09T19:00:00+02:00" == result.at.isoformat()
    assert date(2026, 4, 9) == result.last_on


def test_hours_are_not_moved_by_a_weekend():
    """An emergency order received on a Saturday expires on that Saturday."""
    assert date(2026, 4, 11) == last(Period("hours", 8), datetime(2026, 4, 11, 10, 20))


def test_thirty_days_from_the_second_of_march_end_on_the_first_of_april():
    """The day after receipt is day 1; day 30 ends at 24:00."""
    result = due(limit(Period("days", 30)), date(2026, 3, 2), calendar("DE"))

    assert date(2026, 4, 1) == result.last_on
    assert "2026-04-02T00:00:00+02:00" == result.at.isoformat()
    assert [step.article for step in result.steps] == ["3(1)", "3(2)(b)"]


def test_ten_days_from_friday_the_tenth_of_april_end_on_monday_the_twentieth():
    """Ten days that end on a working day stay as they are."""
    assert date(2026, 4, 20) == last(Period("days", 10), date(2026, 4, 10))


def test_the_calendar_is_that_of_the_state_that_must_act():
    """Ten days from 1 April 2026 end on a Saturday; Orthodox Easter Monday moves them once more in Greece."""
    assert date(2026, 4, 13) == last(Period("days", 10), date(2026, 4, 1), "DE")
    assert date(2026, 4, 14) == last(Period("days", 10), date(2026, 4, 1), "GR")


def test_working_days_skip_the_holidays_of_the_acting_state():
    """Five working days from the Wednesday before Easter 2026: Good Friday counts in France, not in Germany."""
    assert date(2026, 4, 10) == last(Period("working_days", 5), date(2026, 4, 1), "DE")
    assert date(2026, 4, 9) == last(Period("working_days", 5), date(2026, 4, 1), "FR")


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (Period("weeks", 1), date(2026, 3, 3), date(2026, 3, 10)),
        (Period("months", 1), date(2026, 3, 3), date(2026, 4, 3 + 4)),
        (Period("months", 1), date(2026, 1, 29), date(2026, 3, 2)),
        (Period("months", 1), date(2023, 5, 31), date(2023, 6, 30)),
        (Period("years", 1), date(2024, 2, 29), date(2025, 2, 28)),
        (Period("months", 1, (1, 2)), date(2026, 3, 3), date(2026, 4, 20)),
    ],
    ids=str,
)
def test_weeks_months_and_years_end_on_the_day_that_matches_the_event(period, start, end):
    """The day of the same name or number; where there is none, the last of the month; then the roll."""
    # 3 April 2026 is Good Friday and moves to Tuesday 7 April; 28 February 2026 is a Saturday; the parts of a
    # month have 15 days, from 3 April to Saturday 18 April.
    assert end == last(period, start)


def test_a_subdivision_has_its_own_holidays():
    """Epiphany is a public holiday in Bavaria, not in Berlin."""
    assert date(2026, 1, 7) == last(Period("days", 4), date(2026, 1, 2), "DE-BY")
    assert date(2026, 1, 6) == last(Period("days", 4), date(2026, 1, 2), "DE-BE")


def test_an_institution_has_its_own_days():
    """Maundy Thursday is a holiday of the Commission; a year whose list was not read in the Journal says so."""
    one = limit(Period("days", 8))

    result = due(one, date(2023, 3, 29), calendar("eu-commission"))
    assert (date(2023, 4, 11), True) == (result.last_on, result.verified)
    assert not due(one, date(2026, 3, 25), calendar("eu-commission")).verified
    with pytest.raises(NoCalendar):
        due(one, date(2024, 3, 25), calendar("eu-commission"))


def test_a_period_of_two_days_has_two_working_days():
    """Two days from a Thursday would end on Saturday; they get two working days: Friday and Monday."""
    assert date(2026, 3, 9) == last(Period("days", 2), date(2026, 3, 5))
    # From Friday: Saturday, Sunday, rolled to Monday, and one working day more.
    assert date(2026, 3, 10) == last(Period("days", 2), date(2026, 3, 6))


def test_an_extension_counts_from_the_end_before_any_move():
    """Thirty days and thirty more are sixty: 1 May is a holiday, so the end moves to Monday 4 May."""
    one = limit(Period("days", 30), more=Period("days", 30))

    assert date(2026, 5, 4) == due(one, date(2026, 3, 2), calendar("DE"), extended=1).last_on


def test_suspended_days_do_not_count():
    """Time that stood still from 10 to 15 March makes the end five days later."""
    one = limit(Period("days", 30))
    still = [(date(2026, 3, 10), date(2026, 3, 15))]

    assert date(2026, 4, 7) == due(one, date(2026, 3, 2), calendar("DE"), suspended=still).last_on
    assert date(2026, 4, 1) == due(one, date(2026, 3, 2), calendar("DE"), suspended=[(date(2026, 4, 5),) * 2]).last_on


def test_hours_across_the_change_to_summer_time_are_elapsed_hours():
    """Eight hours from 28 March 22:20: the first counted hour begins at 23:00, and 2 o'clock does not exist."""
    result = due(limit(Period("hours", 8)), datetime(2026, 3, 28, 22, 20), calendar("DE"))

    assert "2026-03-29T08:00:00+02:00" == result.at.isoformat()


def test_what_the_state_says_of_periods_counts_where_a_limit_follows_national_law():
    """A State whose rule is held counts by it; any other by a rule that says it is not verified."""
    one = limit(Period("days", 30), counting="national")

    assert "national-de" == due(one, date(2026, 3, 2), calendar("DE")).counting
    elsewhere = due(one, date(2026, 3, 2), calendar("ES"))
    assert ("national", False) == (elsewhere.counting, elsewhere.verified)


def test_hours_run_from_the_event_where_no_rule_says_otherwise():
    """That the hour of the event is left out is a rule of Regulation 1182/71, not of nature."""
    result = due(limit(Period("hours", 8), counting="national"), datetime(2026, 4, 9, 10, 20), calendar("ES"))

    assert "2026-04-09T18:20:00+02:00" == result.at.isoformat()


def test_consecutive_days_never_move():
    """Fifteen consecutive days end on the fifteenth, whatever day that is and whatever rule counts."""
    sunday, good_friday = date(2026, 3, 7), date(2026, 3, 19)

    assert date(2026, 3, 22) == last(Period("consecutive_days", 15), sunday)
    assert date(2026, 3, 23) == last(Period("days", 15), sunday)
    assert date(2026, 4, 3) == last(Period("consecutive_days", 15), good_friday)
    national = due(limit(Period("consecutive_days", 15), counting="national"), sunday, calendar("DE"))
    assert ("national-de", date(2026, 3, 22)) == (national.counting, national.last_on)


def test_two_consecutive_days_need_no_working_day():
    """The rule of two working days is for periods that may move."""
    assert date(2026, 3, 8) == last(Period("consecutive_days", 2), date(2026, 3, 6))


def test_a_fixed_day_is_that_of_the_next_year_and_does_not_move():
    """Statistics of 2028 are due on Saturday 31 March 2029: Regulation 1182/71 moves no fixed day."""
    one = replace(limit(Period("days", 1)), within=None, yearly=(3, 31))
    for event in (date(2028, 1, 1), date(2028, 12, 31), datetime(2028, 12, 31, 22, 30, tzinfo=UTC)):
        result = due(one, event, calendar("DE"))
        assert (date(2029, 3, 31), True) == (result.last_on, result.verified), event
    assert "2029-04-01T00:00:00+02:00" == result.at.isoformat()
    assert ["1", "4, 5"] == [step.article for step in result.steps]


def test_an_instant_after_the_new_year_of_the_acting_state_belongs_to_its_new_year():
    """Half past eleven in the evening of 31 December in UTC is the next year in Berlin."""
    one = replace(limit(Period("days", 1)), within=None, yearly=(3, 31))

    assert date(2030, 3, 31) == due(one, datetime(2028, 12, 31, 23, 30, tzinfo=UTC), calendar("DE")).last_on
    assert date(2029, 3, 31) == due(one, datetime(2028, 12, 31, 23, 30, tzinfo=UTC), calendar("IE")).last_on


def test_a_rule_that_is_silent_on_fixed_days_verifies_none():
    """Where the way of counting does not say that a fixed day stays, that is our reading and says so."""
    one = replace(limit(Period("days", 1), counting="coe-ets-76"), within=None, yearly=(3, 31))

    assert not due(one, date(2028, 5, 5), calendar("CH")).verified


# ---------------------------------------------------------------------------------- what is an error


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("first_year = 1990", "frist_year = 1990", "frist_year"),
        ("last_year = 2040", 'last_year = "2040"', "last_year"),
        ('zone = "Europe/Brussels"', 'tzone = "Europe/Brussels"', "institution.eu-commission.tzone"),
        ("unverified = [2025,", "unverified = [2024, 2025,", "institution.eu-commission.unverified"),
        ("2023 = [2023-01-02", "2023 = [2022-01-02", "institution.eu-commission.days.2023"),
        ('AD = "Europe/Andorra"', "AD = 1", "zones.AD"),
        ('zone = "Europe/Brussels"', "zone = 1", "institution.eu-commission.zone"),
        ("unverified = [2025,", "unverified = [[2025],", "institution.eu-commission.unverified"),
    ],
)
def test_calendars_are_read_strictly(tmp_path, before, after, key):
    """An unknown key, a year of another kind, a day of another year: refused, naming file and key."""
    text = (ROOT / "ledger" / "law" / "calendars.toml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "calendars.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(FormatError) as trouble:
        calendars(tmp_path)
    assert f"calendars.toml: {key}" == trouble.value.field


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("event_excluded = true", "event_excluded = 1", "event_excluded"),
        ('id = "national-de"', 'id = ["national-de"]', "id"),
        ("rolls = [", "rolls = [[1], ", "rolls"),
        ("[articles]", "articles = 1\n[article]", "article"),
        ('event = "', 'event = 187 #"', "articles.event"),
    ],
)
def test_counting_rules_are_read_strictly(tmp_path, before, after, key):
    """A key or a value of another kind is refused, naming file and key: a text that says "false" is true."""
    text = (ROOT / "ledger" / "law" / "counting" / "national-de.toml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "national-de.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(FormatError) as trouble:
        countings(tmp_path)
    assert f"national-de.toml: {key}" == trouble.value.field


def test_a_folder_without_calendars_is_no_edition(tmp_path):
    """The calendars of this release do not stand in for those of another."""
    with pytest.raises(FormatError) as trouble:
        calendars(tmp_path)
    assert "calendars.toml" == trouble.value.field


def test_a_year_without_a_calendar_is_an_error():
    """What nobody can know yet is not guessed."""
    with pytest.raises(NoCalendar) as trouble:
        last(Period("years", 20), date(2026, 3, 2))
    assert "does not cover 2046" in trouble.value.what


def test_an_unknown_place_or_zone_is_an_error():
    """Neither a State nor a subdivision nor a zone is made up."""
    for place, zone in (("ZZ", "UTC"), ("DE-ZZ", None), ("DE", "Europe/Atlantis"), ("BR", None)):
        with pytest.raises(NoCalendar):
            Calendar(place, zone)


def test_hours_need_a_time_of_day():
    """A day alone does not start a period in hours."""
    with pytest.raises(FormatError) as trouble:
        last(Period("hours", 8), date(2026, 3, 2))
    assert "start" == trouble.value.field


def test_a_variant_or_extension_that_is_not_there_is_an_error():
    """Nothing is computed on a guess about the limit."""
    one = limit(Period("days", 8))
    for asked in ({"variant": "emergency"}, {"extended": 1}):
        with pytest.raises(FormatError):
            due(one, date(2026, 3, 2), calendar("DE"), **asked)


def test_a_variant_has_its_own_period_and_its_own_standing():
    """What is verified of the limit need not be verified of the variant."""
    short = Variant("emergency", Where(), {}, Period("hours", 8), "10(4)", "Eight hours.", verified=False)
    one = replace(limit(Period("days", 10)), variants=(short,))
    result = due(one, datetime(2026, 4, 9, 10, 20), calendar("DE"), variant="emergency")

    assert (date(2026, 4, 9), False) == (result.last_on, result.verified)


# ------------------------------------------------------------------------------ what holds of every period

_DAYS = st.dates(date(2000, 1, 1), date(2028, 12, 31))
_PERIODS = st.one_of(
    st.builds(Period, st.just("days"), st.integers(1, 120)),
    st.builds(Period, st.just("working_days"), st.integers(1, 20)),
    st.builds(Period, st.just("weeks"), st.integers(1, 20)),
    st.builds(Period, st.just("months"), st.integers(1, 18), st.sampled_from([None, (1, 2), (1, 3)])),
    st.builds(Period, st.just("years"), st.integers(1, 1)),
)
_PLACE = st.sampled_from(PLACES)


@settings(deadline=None)
@given(_PERIODS, _DAYS, _PLACE)
def test_consecutive_days_end_after_exactly_so_many(period, day, place):
    """No holiday, no weekend and no change of the clocks lengthens them."""
    days = Period("consecutive_days", period.count)

    assert day + timedelta(days=period.count) == last(days, day, place)


@settings(deadline=None)
@given(_PERIODS, _DAYS, _PLACE)
def test_a_later_event_never_ends_earlier(period, day, place):
    """Limits are monotone in the day of the event."""
    assert last(period, day, place) <= last(period, day + timedelta(days=1), place)


@settings(deadline=None)
@given(_PERIODS, _DAYS, _PLACE)
def test_a_longer_period_never_ends_earlier(period, day, place):
    """Limits are monotone in the period."""
    assert last(period, day, place) <= last(replace(period, count=period.count + 1), day, place)


@settings(deadline=None)
@given(_PERIODS, _DAYS, _PLACE)
def test_every_end_is_a_working_day_and_its_last_moment(period, day, place):
    """A period in days or longer ends at 24:00 of a working day of the place, and comes after the event."""
    where = calendar(place)
    result = due(limit(period), day, where)
    local = result.at.astimezone(where.zone)

    assert where.works(result.last_on.toordinal())
    assert day < result.last_on
    assert (0, 0, 0) == (local.hour, local.minute, local.second)
    assert result.last_on + timedelta(days=1) == local.date()
    if period.unit != "working_days":
        found = sum(where.works(n) for n in range(day.toordinal() + 1, result.last_on.toordinal() + 1))
        assert found >= (1 if period == Period("days", 1) else 2)


@settings(deadline=None)
@given(
    st.integers(1, 200),
    st.datetimes(datetime(2000, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    st.sampled_from([*PLACES, "IE"]),
)
def test_hours_run_in_elapsed_time_from_the_next_full_hour(hours, start, place):
    """Between the first counted hour and the end lie exactly so many hours, whatever the clocks did."""
    result = due(limit(Period("hours", hours)), start, calendar(place))
    passed = result.at - start

    assert timedelta(hours=hours) < passed <= timedelta(hours=hours + 1)
    assert 0 == result.at.astimezone(calendar(place).zone).minute


@settings(deadline=None)
@given(_DAYS, st.integers(1, 60), st.integers(0, 30), st.integers(0, 30))
def test_standing_still_never_shortens_and_adds_at_most_its_own_length(day, days, after, still):
    """A suspension makes the end later by its days, before any move to a working day."""
    one, where = limit(Period("days", days)), calendar("DE")
    began = day + timedelta(days=after)
    without = due(one, day, where).last_on
    with_it = due(one, day, where, suspended=[(began, began + timedelta(days=still))]).last_on

    assert without <= with_it <= due(limit(Period("days", days + still)), day, where).last_on


def test_a_year_end_is_no_different():
    """A period over New Year ends as it does elsewhere: 1 January is a holiday, 2 January 2026 a Friday."""
    assert date(2026, 1, 2) == last(Period("days", 2), date(2025, 12, 30), "NL")
    assert date(2026, 1, 2) == last(Period("weeks", 1), date(2025, 12, 25), "DE")


def test_the_zone_of_the_machine_is_never_asked():
    """The same command gives the same bytes under four zones of the machine."""
    script = (
        "from datetime import date, datetime, UTC\n"
        "from ledger.law.counting import calendar, due\n"
        "from ledger.law.law import load\n"
        "for start in (date(2026, 3, 2), datetime(2026, 3, 28, 23, 30), datetime(2026, 3, 1, 23, 30, tzinfo=UTC)):\n"
        "    print(due(load().limit('EIO-REC'), start, calendar('DE')))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "TZ": zone, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati")
    }
    assert 1 == len(said)


def test_an_instant_belongs_to_the_local_day_of_the_acting_state():
    """Half past eleven in the evening in UTC is the next day in Berlin."""
    assert (
        date(2026, 4, 2)
        == due(limit(Period("days", 31)), datetime(2026, 3, 1, 23, 30, tzinfo=UTC), calendar("DE")).last_on
    )


def test_midnight_that_the_clocks_skip_is_the_first_moment_of_the_day():
    """In Beirut, summer time once began at midnight: the day before ends where the clocks jump."""
    where = Calendar("DE", "Asia/Beirut")
    result = due(limit(Period("days", 2)), date(2024, 3, 28), where, counting=countings()["national"])

    assert date(2024, 3, 30) == result.last_on
    assert "2024-03-31T01:00:00+03:00" == result.at.astimezone(ZoneInfo("Asia/Beirut")).isoformat()


def test_every_counting_rule_names_itself_and_stays_honest():
    """A rule that is verified rests on the official wording; Regulation 1182/71 does."""
    rules = countings()

    assert rules["eu-1182-71"].verified
    assert not any(rule.verified for name, rule in rules.items() if name.startswith("national"))
