"""Every released act has a sentence that a jurist can read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ledger.acts import catalogue
from ledger.statement import Basis, Speaker
from projections import audit
from projections.facts import When
from projections.runner import Runner
from projections.sentences import SENTENCES, day_text, when_text
from tests.projections.build import Log, on, some_id

if TYPE_CHECKING:
    from pathlib import Path

RELEASED = sorted(act.name for act in catalogue().acts() if act.released)

NEEDED: dict[str, dict[str, Any]] = {
    "authority.enrolled": {"holder": "FR", "zone": "Europe/Paris", "country": "FR"},
    "ledger.founded": {"origin": "example.org"},
    "root.admitted": {"holder": "FR"},
    "public_summary.published": {"release": "2024-1"},
    "reference.registered": {"number": "C-670/22"},
    "delay.notified": {"limit": "EIO-REC"},
    "finding.issued": {"rule": "tell-the-person"},
    "preservation.lapsed": {"rule": "EEV-PR-60"},
    "time_limit.lapsed": {"rule": "EIO-REC", "calendar_version": "2020"},
    "translation.made": {"from_language": "fr", "to_language": "de"},
}


def test_the_table_has_every_released_act_and_no_other():
    """An act released without words, or words for no act, fails here."""
    assert RELEASED == sorted(SENTENCES)


@pytest.mark.parametrize("act", RELEASED)
def test_every_released_act_reads_as_a_sentence(act: str, tmp_path: Path):
    """It begins with a day and ends with a full stop; what was rejected is named, and not told as done."""
    log = Log()
    log.enrol("Lille", "FR")
    log.say(act, "thing", "Lille", "2020-06-02", **NEEDED.get(act, {}))
    log.say(act, "thing", "Lille", "2020-06-02", rejected="wrong_case", **NEEDED.get(act, {}))
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.catch_up()
        with runner.views() as views:
            said, rejected = (audit.entry(views, index).sentence for index in (1, 2))
    assert re.fullmatch(r"On 2 June 2020 Lille [a-z][^{}\[\]_]*\.", said), said
    named = act.replace(".", " ").replace("_", " ")
    assert f'On 2 June 2020 Lille: "{named}", not accepted, and what it says is not kept.' == rejected
    assert "(not said)" not in said
    assert "  " not in said


def test_fields_of_templates_exist():
    """Each placeholder is a field of the act's schema, and each code list is one."""
    from ledger import resources

    lists = {file.stem for file in (resources.path("schemas") / "codes").glob("*.toml")}
    manners = {"", "authority", "authorities", "count", "exhibits", "others", "instant", "order", "other"}
    for act, template in SENTENCES.items():
        schema = (resources.path("schemas") / "acts" / f"{act}.1.avsc").read_text()
        for name, how in re.findall(r"\{(\w+)(?::(\w+))?\}", template):
            assert f'"{name}"' in schema, (act, name)
            assert how in lists | manners | {"yes", "no", "self", "not_self"}, (act, how)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (on("2020-06-02"), on("2020-06-02"), "On 2 June 2020"),
        (on("2020-06-02"), on("2020-06-03") - 1, "On 2 June 2020"),
        (on("2020-06-02"), on("2020-06-03"), "On 2 June 2020"),
        (on("2020-06-02") + 52_200_000_000, on("2020-06-02") + 52_200_000_000, "On 2 June 2020 at 14:30"),
        (on("2020-04-03"), on("2020-06-29") - 1, "Between 3 April 2020 and 28 June 2020"),
        (on("2020-04-01"), on("2020-05-01") - 1, "In April 2020"),
        (on("2017-01-01"), on("2018-01-01"), "In 2017"),
        (on("2017-01-01"), on("2019-01-01") - 1, "In the years 2017 to 2018"),
    ],
)
def test_a_vague_day_is_never_narrowed(first: int, last: int, words: str):
    """An interval is said as wide as it is known."""
    assert words == when_text(When(first, last, True, False, "UTC", 0))
    assert f"{words} (unconfirmed)" == when_text(When(first, last, False, False, "UTC", 0))


def test_days_are_local_and_an_unknown_zone_is_utc():
    """Late in the evening in UTC it is already tomorrow in Berlin."""
    late = on("2020-06-02") - 3_600_000_000
    assert "1 June 2020" == day_text(late)
    assert "On 2 June 2020 at 01:00" == when_text(When(late, late, True, False, "Europe/Berlin", 0))
    assert when_text(When(late, late, True, False, "Nowhere", 0)).startswith("On 1 June 2020 at 23:00")


def test_a_report_names_its_source_and_an_order_its_law(tmp_path: Path):
    """Who speaks, who reports and from which source are in one sentence; the article beside it."""
    log = Log()
    log.enrol("Lille", "FR")
    court = Speaker(country="DE", authority_kind="court", source="ECLI:DE:BGH:2022")
    log.say(
        "request.issued",
        "r",
        "Lille",
        "2020-06-02",
        voice_of=court,
        confirmed=False,
        instrument="eu-eio-2014-41",
        form="already_in_possession",
        requested=some_id("Lille"),
        requested_country="FR",
        unknown_persons=True,
        law=(Basis("eu-eio-2014-41", "1(1)"), Basis("StPO", "§ 100a", domestic=True)),
    )
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.catch_up()
        with runner.views() as views:
            line = audit.entry(views, 1)
    assert (
        "On 2 June 2020 (unconfirmed) a court of Germany issued a European Investigation Order to"
        " Lille, France, asking to hand over evidence already held, against persons unknown"
        " (as reported by Lille, source: ECLI:DE:BGH:2022)."
    ) == line.sentence
    assert ("European Investigation Order, Art. 1(1)", "StPO, § 100a (domestic law)") == line.articles
    assert "reported" == line.said.voice
