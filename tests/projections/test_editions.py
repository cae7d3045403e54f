"""Under which edition an answer is given: the one that the log named then, if it is kept; else it is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger.law.editions import keep
from ledger.law.law import HERE, load
from ledger.statement import decode_entry, encode_entry
from projections import deadlines
from projections.editions import named_by, under
from projections.facts import id_text
from tests.projections.build import Log, on
from tests.projections.test_deadlines import a_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.views import Views

    Follow = Callable[[Log], Views]

LATER = on("2026-06-01")


def ten_days(folder: Path) -> None:
    """Change an edition: a decision on recognition has ten days."""
    file = folder / "instruments" / "eu-eio-2014-41.toml"
    words = file.read_text()
    begins = words.index("[limit.EIO-REC]")
    ends = words.index("\n\n", begins)
    rule = words[begins:ends]
    shorter = rule[: rule.index("examples")].replace("days = 30 }", "days = 10 }", 1)
    shorter += 'examples = [{ start = 2026-03-02, in = "DE", due = 2026-03-12 }]'
    file.write_text(words[:begins] + shorter + words[ends:])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive with an edition in which a decision on recognition had ten days; its hash."""
    folder = tmp_path_factory.mktemp("law") / "edition"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    ten_days(folder)
    kept = keep(folder.parent / "archive", folder)
    return kept.parent, kept.name


def judged(log: Log, *editions: tuple[int, str]) -> Log:
    """The same log, its entries judged under these editions, each from an index on."""
    for start, edition in editions:
        for index in range(start, log.size()):
            entry = decode_entry(log.entry_bytes[index])
            log.entry_bytes[index] = encode_entry(replace(entry, rules=bytes.fromhex(edition)))
    return log


def test_the_edition_is_that_of_the_last_entry_known_then(archive: tuple[Path, str]):
    """Before the first entry there is none."""
    log, _, _ = a_log()
    times = [decode_entry(raw).recorded_at for raw in log.entry_bytes]
    assert sorted(times) == times
    judged(log, (0, archive[1]), (4, load().edition))
    assert [None, archive[1], archive[1], load().edition, load().edition] == [
        named_by(log, at) for at in (times[0] - 1, times[0], times[4] - 1, times[4], LATER)
    ]


def test_replay_at_an_instant_uses_the_law_of_that_instant(views: Follow, archive: tuple[Path, str]):
    """As known then the limit had ten days, as known now it has thirty; who has not the edition is told."""
    log, _, germany = a_log()
    judged(log, (0, archive[1]))
    log.say("request.acknowledged", "request", germany, "2026-05-20")
    judged(log, (log.size() - 1, load().edition))
    view = views(log)
    at = on("2026-03-20")

    def last_days() -> list[str | None]:
        clocks = deadlines.case(view, log.case, at=at, known_by=at)
        return [one.last_day for one in clocks if one.limit == "EIO-REC"]

    for known_by, archives, edition, day, noted in (
        (at, [archive[0]], archive[1], "2026-03-12", False),
        (LATER, [archive[0]], load().edition, "2026-04-01", False),
        (None, [archive[0]], load().edition, "2026-04-01", False),
        (at, [], load().edition, "2026-04-01", True),
    ):
        law = under(log, known_by, archives)
        view.law = law.book
        assert ([day], edition, noted) == (last_days(), law.edition, archive[1][:12] in law.note)


def test_a_published_lapse_stands_beside_what_another_edition_computes(views: Follow, archive: tuple[Path, str]):
    """Published as lapsed on 12 March; under the next edition it would run until 1 April: both are shown."""
    log = Log()
    france, germany = log.enrol("Lille", "FR", "court"), log.enrol("Berlin", "DE")
    log.say(
        "request.issued", "request", france, "2026-02-27",
        instrument="eu-eio-2014-41", requested=germany, requested_country="DE",
    )  # fmt: skip
    log.say("request.received", "request", germany, "2026-03-02")
    received = log.recorded[-1].statement
    log.say(
        "time_limit.lapsed", "request", germany, "2026-03-14", rule="eio-rec", edition=bytes.fromhex(archive[1]),
        due_at=on("2026-03-12") + 23 * 3_600_000_000, calendar_version="DE (holidays 0)", trigger=received.id,
    )  # fmt: skip
    view = views(log)
    at = on("2026-03-20")
    shown = {}
    for name, known_by in (("then", at), ("now", None)):
        view.law = under(judged(log, (0, archive[1])), known_by, [archive[0]]).book
        clocks = deadlines.case(view, log.case, at=at)
        (shown[name],) = [one for one in clocks if one.limit == "EIO-REC" and one.trigger == id_text(received.id)]
    then, now = shown["then"].published, shown["now"].published
    assert then is not None
    assert now is not None
    assert ("lapsed", "lapsed", False) == (shown["then"].standing, then.computed, then.differs)
    assert ("lapsed", "open", True) == (shown["now"].standing, now.computed, now.differs)
    # What was published, and what would be computed now, stand side by side.
    assert (then.due_at, archive[1]) == (now.due_at, now.edition)
    assert "2026-04-01" == shown["now"].last_day
