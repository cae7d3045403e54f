"""The runner: rebuilt is incremental, nothing is skipped, nothing is swallowed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.acts import catalogue
from ledger.errors import NotFound
from projections import audit, filling, status
from projections.facts import id_text
from projections.filling import PROJECTIONS, Differs, GapRefused, NotWhole, Progress, ProjectionFailed
from projections.runner import Runner
from projections.views import open_views
from tests.projections.build import a_log, reopen, some_id
from tests.test_crash import die_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.shared import Shared

NAMES = [projection.NAME for projection in PROJECTIONS]


def digests(of: Runner | Shared, size: int | None = None) -> dict[str, str]:
    """The digest of every projection, whatever keeps it."""
    return {name: of.digest(name, size) for name in NAMES}


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(1, 12), max_size=8),
    restarts=st.integers(0, 255),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rebuilt_equals_incremental(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], restarts: int
):
    """However the log is cut into batches, and wherever the process ends, the content is one."""
    folder = tmp_path_factory.mktemp("runs")
    log = a_log(seed, 40)
    path = folder / "projections.db"
    runner = Runner(log, catalogue(), path)
    start = 0
    for number, step in enumerate(cuts):
        # Some entries are delivered twice, as a conveyor may.
        runner.feed(log.recorded[max(0, start - number) : start + step])
        start += step
        if restarts >> number & 1:
            runner.close()
            runner = Runner(log, catalogue(), path)
    assert log.size() == runner.catch_up()
    incremental = digests(runner)
    assert log.size() == runner.rebuild(workers=1)
    assert incremental == digests(runner)
    half = log.size() // 2
    with Runner(log, catalogue(), folder / "other.db") as other:
        other.feed(log.recorded[:half])
        assert digests(other) == digests(runner, half)
    runner.close()


def test_two_processes_build_what_one_builds(tmp_path: Path):
    """A rebuild in two processes gives the digests of following the log, and tells how far it is."""
    log = a_log(7, 60)
    log.save(tmp_path / "log")
    told: list[Progress] = []
    path = tmp_path / "projections.db"
    with Runner(log, catalogue(), path, reopen=partial(reopen, tmp_path / "log")) as runner:
        runner.catch_up()
        followed = digests(runner)
        assert log.size() == runner.rebuild(workers=2, tell=told.append)
        assert followed == digests(runner)
        assert dict.fromkeys(NAMES, log.size()) == runner.sizes()
    assert Progress(log.size(), log.size()) == told[-1]
    # The pointers and one file each: parts and older generations are gone.
    assert 1 + len(NAMES) == len(list(tmp_path.glob("projections*.db")))


def test_a_digest_tells_one_changed_value(tmp_path: Path):
    """The digest has teeth: one changed day gives another."""
    log = a_log(1, 20)
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.catch_up()
        before = digests(runner)
        (file,) = tmp_path.glob("projections.status.*.db")
        with sqlite3.connect(file) as db:
            db.execute("UPDATE fact SET occurred_from = occurred_from + 1 WHERE idx = 5")
        changed = {name for name in NAMES if before[name] != runner.digest(name)}
    assert {"status"} == changed


def test_an_entry_passed_is_ignored_and_a_gap_is_refused(tmp_path: Path):
    """Delivered again, an entry changes nothing; delivered too early, it is refused and nothing is kept."""
    log = a_log(2, 20)
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.feed(log.recorded[:10])
        before = digests(runner)
        runner.feed(log.recorded[3:8])
        assert before == digests(runner)
        with pytest.raises(GapRefused) as refused:
            runner.feed(log.recorded[11:])
        assert (10, 11) == (refused.value.expected, refused.value.given)
        with pytest.raises(GapRefused):
            runner.feed([log.recorded[10], log.recorded[12]])
        assert before == digests(runner)
        assert dict.fromkeys(NAMES, 10) == runner.sizes()


def fails_at(monkeypatch: pytest.MonkeyPatch, projection: Any, index: int) -> None:
    """Make a projection fail at one entry, as a fault in it would."""
    collect = projection.collect

    def fails(fact: Any, rows: Any) -> None:
        collect(fact, rows)
        if fact.index == index:
            raise ValueError(f"entry {index}")

    monkeypatch.setattr(projection, "collect", fails)


def test_an_act_that_fails_parks_the_later_acts_of_its_stream_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The other streams go on; what is parked is told, has no digest, and is lost nowhere."""
    log = a_log(3, 40)
    subject = log.recorded[13].statement.subject
    stream = [one.index for one in log.recorded[13:] if one.statement.subject == subject and one.entry.accepted]
    behind = [one.index for one in log.recorded[13:] if one.statement.subject == subject]
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        with monkeypatch.context() as patch:
            fails_at(patch, status, 13)
            for size in (10, 15, 17, 40):
                runner.feed(log.recorded[:size])
            assert dict.fromkeys(NAMES, 40) == runner.sizes()
            parked = runner.parked()
            assert behind == [one.index for one in parked]
            assert stream
            assert {("status", id_text(subject))} == {(one.projection, one.subject) for one in parked}
            assert ["ValueError('entry 13')", *[""] * (len(parked) - 1)] == [one.why for one in parked]
            with pytest.raises(NotWhole):
                runner.digest("status")
            # Below what is parked, it is whole.
            runner.digest("status", 13)
            assert len(behind) == runner.retry()
            with pytest.raises(ProjectionFailed) as failed:
                runner.rebuild(workers=1)
            assert ("status", 13) == (failed.value.name, failed.value.index)
        assert 0 == runner.retry()
        assert [] == runner.parked()
        with Runner(log, catalogue(), tmp_path / "other.db") as other:
            other.catch_up()
            assert digests(other) == digests(runner)


def test_a_row_the_file_does_not_take_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An error of SQLite itself is traced to its entry too: that one is parked, and a rebuild names it."""
    log = a_log(3, 20)
    collect = audit.collect

    def fails(fact: Any, rows: Any) -> None:
        collect(fact, rows)
        if fact.index == 5:
            rows["remark"].append((fact.index, 0, None))

    monkeypatch.setattr(audit, "collect", fails)
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.catch_up()
        assert ("audit", 5) == (runner.parked()[0].projection, runner.parked()[0].index)
        assert "NOT NULL" in runner.parked()[0].why
        with pytest.raises(ProjectionFailed) as failed:
            runner.rebuild(workers=1)
        assert ("audit", 5) == (failed.value.name, failed.value.index)


def test_a_projection_that_takes_nothing_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where everything would be parked it is the projection that is broken: it names the entry and stands before it."""
    log = a_log(3, 20)
    monkeypatch.setattr(filling, "PARKED_MAX", 5)
    monkeypatch.setattr(status, "collect", lambda fact, rows: rows["nothing"].append(fact))
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        with pytest.raises(ProjectionFailed) as failed:
            runner.catch_up()
        assert "status" == failed.value.name
        assert (0, []) == (runner.sizes()["status"], runner.parked())


def test_an_online_rebuild_compares_and_can_be_taken_back(tmp_path: Path):
    """Damage is found before anything is swapped; what is swapped in all the same can be taken back."""
    log = a_log(1, 20)
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        with pytest.raises(NotFound):
            runner.rollback()
        runner.catch_up()
        whole = digests(runner)
        (file,) = tmp_path.glob("projections.status.*.db")
        with sqlite3.connect(file) as db:
            db.execute("UPDATE fact SET occurred_from = occurred_from + 1 WHERE idx = 5")
        damaged = digests(runner)
        files = sorted(tmp_path.iterdir())
        with pytest.raises(Differs) as found:
            runner.rebuild(workers=1, online=True)
        assert ("status",) == found.value.names
        assert (damaged, files) == (digests(runner), sorted(tmp_path.iterdir()))
        assert 20 == runner.rebuild(workers=1, online=True, accept=True)
        assert whole == digests(runner)
        log.say("case.linked", log.case, "Lille", "2021-01-01", other=some_id("third"))
        runner.catch_up()
        grown = digests(runner)
        # What stood before is where it was left, and goes on from there.
        assert dict.fromkeys(NAMES, 20) == runner.rollback()
        assert damaged == digests(runner)
        runner.catch_up()
        runner.rollback()
        assert grown == digests(runner)
        # A rebuild that is not online keeps nothing.
        runner.rebuild(workers=1)
        assert 1 + len(NAMES) == len(list(tmp_path.glob("projections*.db")))


def killed_before(step: int, work: Callable[[Callable[[], None]], None]) -> bool:
    """Do *work* in a child that is killed, once it has armed itself, before its n-th step; whether it was."""
    child = os.fork()
    if not child:
        try:
            work(lambda: sys.setprofile(die_before(step)))
            sys.setprofile(None)
            os._exit(0)
        except BaseException:  # noqa: BLE001 -- a child that fails must not go on as the parent would
            os._exit(1)
    _, how = os.waitpid(child, 0)
    assert how in {0, signal.SIGKILL}, how
    return bool(how)


def sampled(stride: int) -> Iterator[int]:
    """Every *stride*-th step, from one of the first that the seed of this run chooses: many runs meet all of them."""
    return count(random.randrange(stride), stride)


@pytest.mark.parametrize(("after", "stride"), [("rebuild", 23), ("rollback", 1)])
def test_killed_at_any_step_a_rebuild_leaves_whole_projections(tmp_path: Path, after: str, stride: int):
    """
    Killed before a step that changes a file, a rebuild or a rollback leaves answers that are whole.

    Of the many steps of a rebuild, which make tables most of all, one run tries a sample; of a rollback every one.
    """
    log = a_log(9, 8)
    template = tmp_path / "template"
    template.mkdir()
    with Runner(log, catalogue(), template / "projections.db") as runner:
        runner.catch_up()
        whole = digests(runner)
        if after == "rollback":
            runner.rebuild(workers=1, online=True)

    def work(arm: Callable[[], None]) -> None:
        with Runner(log, catalogue(), place / "projections.db") as runner:
            arm()
            if after == "rebuild":
                runner.rebuild(workers=1, online=True)
            else:
                runner.rollback()

    died = 0
    for step in sampled(stride):
        place = tmp_path / f"{step}"
        shutil.copytree(template, place)
        killed = killed_before(step, work)
        with open_views(place / "projections.db") as views:
            assert dict.fromkeys(NAMES, 8) == views.sizes()
        with Runner(log, catalogue(), place / "projections.db") as runner:
            assert whole == digests(runner)
            runner.rebuild(workers=1, online=True)
            assert whole == digests(runner)
            assert len(list(place.glob("projections.*.*.db"))) <= 3 * len(NAMES)
        shutil.rmtree(place)
        if not killed:
            break
        died += 1
    assert died > 4


def test_a_worker_that_fails_says_so_and_the_old_answers_stay(tmp_path: Path):
    """A rebuild that cannot read the log changes nothing and leaves nothing."""
    log = a_log(4, 20)
    path = tmp_path / "projections.db"
    with Runner(log, catalogue(), path, reopen=partial(reopen, tmp_path / "none")) as runner:
        runner.catch_up()
        before, files = digests(runner), sorted(tmp_path.iterdir())
        with pytest.raises(RuntimeError, match="FileNotFoundError"):
            runner.rebuild(workers=2)
        assert before == digests(runner)
        assert files == sorted(tmp_path.iterdir())


def test_a_reader_keeps_the_old_answers_through_a_rebuild(tmp_path: Path):
    """Who reads while the files are swapped reads on; who opens afterwards reads the new."""
    log = a_log(5, 20)
    with Runner(log, catalogue(), tmp_path / "projections.db") as runner:
        runner.catch_up()
        with runner.views() as before:
            first = audit.case(before, log.case).lines
            log.say("case.linked", log.case, "Lille", other=some_id("third"))
            runner.rebuild(workers=1)
            assert first == audit.case(before, log.case).lines
        with runner.views() as after:
            assert len(first) + 1 == len(audit.case(after, log.case).lines)


def test_another_runner_follows_a_swap(tmp_path: Path):
    """Two processes on one set of projections: one rebuilds, the other goes on in the new files."""
    log = a_log(6, 20)
    path = tmp_path / "projections.db"
    with Runner(log, catalogue(), path) as one, Runner(log, catalogue(), path) as two:
        one.catch_up()
        two.rebuild(workers=1)
        log.say("case.linked", log.case, "Lille", "2021-01-01", other=some_id("third"))
        one.catch_up()
        assert log.size() == two.sizes()["audit"]
        assert digests(one) == digests(two)


def test_tables_of_another_edition_are_made_anew(tmp_path: Path):
    """Files whose tables this release does not make are not read as if it had."""
    log = a_log(6, 20)
    path = tmp_path / "projections.db"
    with Runner(log, catalogue(), path) as runner:
        runner.catch_up()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE present SET edition = 'older' WHERE name = 'status'")
    with Runner(log, catalogue(), path) as runner:
        assert (0, log.size()) == (runner.sizes()["status"], runner.sizes()["audit"])
        assert log.size() == runner.catch_up()
