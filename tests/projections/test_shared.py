"""The projections in PostgreSQL: what SQLite has, swapped and taken back under readers and workers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import resources
from ledger.acts import Catalogue, catalogue
from ledger.errors import Conflict, NotFound, NotPermitted, Unavailable
from ledger.statement import Entry, Statement, decode_entry, encode_entry, encode_statement, header_of, statement_in
from projections import admissibility, audit, findings, provenance, status
from projections.facts import to_json
from projections.filling import PROJECTIONS, Differs, GapRefused, NotWhole, ProjectionFailed, decode, module, rows_of
from projections.runner import Runner
from projections.shared import Fenced, Shared, Step, Unit, open_shared, partition_of, tables, units_of
from projections.shared.rebuilding import Rebuild
from projections.shared.tables import copied
from projections.shared.units import sieve
from tests.projections.build import Log, a_log, cases, some_id
from tests.projections.test_runner import digests, fails_at, killed_before, sampled
from tests.projections.topic import COUNT
from tests.test_statement import entries, statements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projections.views import Views
    from tests.cluster import Cluster

NAMES = [projection.NAME for projection in PROJECTIONS]
EVERYTHING = units_of(range(COUNT))


def in_sqlite(log: Log, folder: Path) -> dict[str, str]:
    with Runner(log, catalogue(), folder / "projections.db") as runner:
        runner.catch_up()
        return digests(runner)


def test_both_stores_derive_the_same(opened: Callable[..., Shared], tmp_path: Path):
    """Followed or built, in PostgreSQL or in SQLite: one digest, and the same answers to the same questions."""
    log = cases(a_log(5, 60), size=120)
    shared = opened(log)
    assert 120 == shared.catch_up()
    expected = in_sqlite(log, tmp_path)
    assert expected == digests(shared)
    half = digests(shared, 60)
    assert 120 == shared.rebuild(workers=1)
    assert (expected, half) == (digests(shared), digests(shared, 60))
    runner = Runner(log, catalogue(), tmp_path / "projections.db")
    with runner, runner.views() as there, shared.views() as here:
        assert there.sizes() == here.sizes()
        at = log.recorded[-1].entry.recorded_at
        for case in (log.case, some_id("case 3")):
            assert to_json(audit.case(there, case)) == to_json(audit.case(here, case))
            assert to_json(status.case(there, case)) == to_json(status.case(here, case))
            assert to_json(findings.case(there, case, at=at)) == to_json(findings.case(here, case, at=at))
        assert to_json(status.cases(there)) == to_json(status.cases(here))
        x4 = next(one.statement.subject for one in log.recorded if one.statement.act == "exhibit.acquired")
        assert to_json(provenance.exhibit(there, x4)) == to_json(provenance.exhibit(here, x4))
        assert to_json(admissibility.exhibit(there, x4)) == to_json(admissibility.exhibit(here, x4))


def test_every_unit_is_dealt_once():
    """However the partitions are divided, each unit has one owner."""
    for owners in (1, 2, 4):
        shares = [units_of(range(number, 12, owners)) for number in range(owners)]
        assert units_of(range(12)) == set().union(*shares)
        assert len(units_of(range(12))) == sum(map(len, shares))
    assert 12 * len(PROJECTIONS) == len(units_of(range(12)))


def some_division(chance: random.Random, count: int) -> list[set[int]]:
    """The twelve partitions, dealt to *count* workers by chance; each has some."""
    numbers = list(range(12))
    chance.shuffle(numbers)
    ends = sorted(chance.sample(range(1, 12), count - 1))
    return [set(numbers[start:end]) for start, end in pairwise((0, *ends, 12))]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, dict[str, str]]:
    """A log of many cases and kinds of rows, and what SQLite makes of it."""
    log = cases(a_log(7, 60), 7, 200)
    log.say("case.linked", log.case, "Lille", other=some_id("other"), rejected="subject_exists")
    return log, in_sqlite(log, tmp_path_factory.mktemp("followed"))


@given(count=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_any_division_over_workers_gives_one_digest(
    count: int, seed: int, followed: tuple[Log, dict[str, str]], cluster: Cluster
):
    """
    One to twelve workers, in any order and from places that differ, each decoding what belongs to it and no more.

    What a reader is shown meanwhile of the projections that join cases is a prefix of the log.
    """
    log, expected = followed
    chance = random.Random(seed)
    decoded = []

    class Counted(Catalogue):
        """Counts the bodies that are decoded."""

        def decode(self, act: str, version: int, data: bytes) -> Any:
            decoded.append(act)
            return super().decode(act, version, data)

    address = cluster.address(cluster.schema())
    with Shared(log, catalogue(), address) as first:
        for numbers in some_division(chance, chance.randint(1, 12))[:3]:
            size = chance.randint(0, 200)
            first.follow(first.take(units_of(numbers)), decode(catalogue(), log.entries(0, size)), size)
        # Another may have come to the end with what Kafka brought him, long before the others.
        shares = some_division(chance, count)
        for numbers in shares:
            with Shared(log, Counted(resources.path("schemas")), address) as worker:
                held = worker.take(units_of(numbers))
                least = min(place.size for place in held.values())
                decoded.clear()
                held, _ = worker.settle(held, forced=True)
                mine = [one for one in log.recorded[least:] if one.body is not None]
                mine = [one for one in mine if partition_of(one.statement.case, 12) in numbers]
                assert len(decoded) == len(mine)
            with first.views() as views:
                check_prefix(views, log)
        assert digests(first) == expected


def check_prefix(views: Views, log: Log) -> None:
    """The later half of what two cases say is not shown without the earlier."""
    for name, table in (
        ("deadlines", "act"), ("findings", "act"), ("provenance", "fact"), ("roster", "authority"), ("status", "fact"),
    ):  # fmt: skip
        shown = {index for (index,) in views.db.execute(f"SELECT idx FROM {name}.{table}").fetchall()}
        facts = decode(catalogue(), log.entries(0, views.sizes()[name]))
        made = rows_of(module(name), facts)[table]
        assert {row[0] for row in made} == shown


def test_a_question_in_several_parts_is_answered_from_a_prefix(opened: Callable[..., Shared]):
    """Queries that begin with tables of their own, and join what cases say, see no entry behind the prefix."""
    log = a_log(5, 60)
    shared = opened(log)
    home = partition_of(log.case, COUNT)
    facts = decode(catalogue(), log.entries(0, 60))
    held = shared.follow(shared.take(EVERYTHING), facts[:20], 20)
    own = {unit: place for unit, place in held.items() if unit.partition == home}
    shared.follow(own, facts[20:], 60, start=20)
    with shared.views() as views:
        assert 20 == views.sizes()["provenance"]
        queries = (
            "SELECT max(idx) FROM provenance.fact AS one",
            "WITH known AS (SELECT idx FROM provenance.fact) SELECT max(idx) FROM known",
            (
                "WITH RECURSIVE up(idx) AS (SELECT 0::bigint UNION SELECT one.idx FROM up, provenance.fact AS one)"
                " TABLE up ORDER BY 1 DESC LIMIT 1"
            ),
            "SELECT max(provenance.fact.idx) FROM provenance.fact JOIN deadlines.act USING (idx) WHERE idx > ?",
        )
        for query in queries:
            ((last,),) = views.db.execute(query, [-1] * query.count("?")).fetchall()
            assert 10 < last < 20
        assert (log.size() - 1,) == views.db.execute("SELECT max(idx) FROM audit.entry").fetchone()
    with pytest.raises(GapRefused):
        shared.follow(held | {unit: place for unit, place in shared.places().items() if unit in own}, (), 60, start=21)


@given(entries, statements)
@settings(deadline=None, max_examples=200)
def test_the_front_of_an_entry_places_it_as_the_decoder_does(entry: Entry, statement: Statement):
    """Whatever an entry holds, plain or not, accepted or rejected: its own worker decodes it, and no other."""
    said = encode_statement(statement)
    data = encode_entry(replace(entry, statement=said if entry.accepted else header_of(said, statement.body)))
    number = partition_of(statement_in(decode_entry(data)).case, 12)
    for one in range(12):
        wanted = sieve([Unit("status", one)], 12)
        assert wanted is not None
        assert (one == number) == wanted(data)
    assert sieve(units_of(range(12)), 12) is None


def test_who_lost_a_unit_writes_nothing(opened: Callable[..., Shared], tmp_path: Path):
    """Whoever takes a unit fences the one before, in the transaction that writes; nothing of a zombie's is kept."""
    log = cases(Log(), size=40)
    shared, other = opened(log), opened(log)
    stale = shared.take(EVERYTHING)
    facts = decode(catalogue(), log.entries(0, 40))
    stale = shared.follow(stale, facts[:10], 10)
    one = {Unit("status", 2)}
    held = other.take(one)
    before = digests(other, 10)
    with pytest.raises(Fenced):
        shared.follow(stale, facts[10:], 40)
    # One lost unit is enough: nothing of the transaction was written.
    assert set(dict.fromkeys(NAMES, 10).items()) == set(other.sizes().items())
    held = other.follow(held, facts[10:], 40)
    assert 40 == held[Unit("status", 2)].size
    assert before == digests(other, 10)
    assert 40 == opened(log).catch_up()
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_a_transaction_that_may_have_been_done_is_not_done_twice(opened: Callable[..., Shared]):
    """Who does not know whether his last transaction was committed is told by the size, and reads his place anew."""
    log = cases(Log(), size=20)
    shared = opened(log)
    held = shared.take(EVERYTHING)
    facts = decode(catalogue(), log.entries(0, 20))
    shared.follow(held, facts, 20)
    with pytest.raises(Fenced):
        shared.apply(held, {Unit("roster", 2): Step(facts, None, 20)})
    assert dict.fromkeys(NAMES, 20) == shared.sizes()


def test_an_act_that_fails_is_parked_and_taken_after_the_fix(
    opened: Callable[..., Shared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in SQLite: its stream waits, the others go on, and there is no digest until it is mended."""
    log = a_log(3, 40)
    shared = opened(log)
    with monkeypatch.context() as patch:
        fails_at(patch, status, 13)
        assert 40 == shared.catch_up()
        subject = log.recorded[13].statement.subject
        behind = [one.index for one in log.recorded[13:] if one.statement.subject == subject]
        assert behind == [one.index for one in shared.parked()]
        with pytest.raises(NotWhole):
            shared.digest("status")
        assert len(behind) == shared.retry()
        with pytest.raises(ProjectionFailed) as failed:
            shared.rebuild(workers=1)
        assert ("status", 13) == (failed.value.name, failed.value.index)
    assert 0 == shared.retry()
    assert in_sqlite(log, tmp_path) == digests(shared)


def test_a_row_that_the_database_does_not_take_is_parked(
    opened: Callable[..., Shared], monkeypatch: pytest.MonkeyPatch
):
    """A value that PostgreSQL refuses is traced to its entry, and the rows beside it are kept."""
    log = a_log(3, 20)
    collect = audit.collect

    def fails(fact: Any, rows: Any) -> None:
        collect(fact, rows)
        if fact.index == 5:
            rows["remark"].append((fact.index, 0, None))

    monkeypatch.setattr(audit, "collect", fails)
    shared = opened(log)
    shared.catch_up()
    assert ("audit", 5) == (shared.parked()[0].projection, shared.parked()[0].index)
    with shared.views() as views:
        there = {index for (index,) in views.db.execute("SELECT idx FROM audit.entry").fetchall()}
    assert set(range(20)) - {one.index for one in shared.parked()} == there
    # Its line in the table is not its place in the log: a rebuild names the entry all the same.
    with pytest.raises(ProjectionFailed) as failed:
        shared.rebuild(workers=1)
    assert ("audit", 5) == (failed.value.name, failed.value.index)


def schema_of(shared: Shared) -> str:
    return shared.address.split("search_path%3D")[1]


def damage(cluster: Cluster, shared: Shared) -> None:
    (place,) = {place.generation for unit, place in shared.places().items() if unit.name == "status"}
    cluster.run(f"UPDATE {schema_of(shared)}.p{place}_status_fact SET occurred_from = occurred_from + 1 WHERE idx = 5")


def test_an_online_rebuild_compares_and_can_be_taken_back(
    opened: Callable[..., Shared], cluster: Cluster, tmp_path: Path
):
    """Damage is found before anything is swapped; a worker is fenced by the swap; what stood can be taken back."""
    log = a_log(1, 30)
    shared = opened(log)
    with pytest.raises(NotFound):
        shared.rollback()
    shared.catch_up()
    whole = digests(shared)
    assert in_sqlite(log, tmp_path) == whole
    damage(cluster, shared)
    damaged = digests(shared)
    with pytest.raises(Differs) as found:
        shared.rebuild(workers=1, online=True)
    assert ("status",) == found.value.names
    assert damaged == digests(shared)
    worker = opened(log)
    held = worker.take(EVERYTHING)
    with shared.views() as before:
        first = to_json(status.case(before, log.case))
        shared.rebuild(workers=1, online=True, accept=True)
        # Who reads while the tables are swapped reads on in one snapshot.
        assert first == to_json(status.case(before, log.case))
    assert whole == digests(shared)
    log.say("case.linked", log.case, "Lille", "2021-01-01", other=some_id("third"))
    with pytest.raises(Fenced):
        worker.settle(held, forced=True)
    assert 31 == worker.catch_up()
    grown = digests(shared)
    held = worker.take(EVERYTHING)
    assert dict.fromkeys(NAMES, 30) == shared.rollback()
    with pytest.raises(Fenced):
        worker.apply(held, {Unit("status", 0): Step()})
    assert damaged == digests(shared)
    shared.catch_up()
    shared.rollback()
    assert grown == digests(shared)
    # A plain rebuild keeps nothing of the older ones.
    shared.rebuild(workers=1)
    count = sum(len(projection.TABLES) for projection in PROJECTIONS)
    assert [(count,)] == cluster.run(
        f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema_of(shared)}' AND tablename ~ '^p[0-9]'"
    )


def generations(cluster: Cluster, shared: Shared) -> set[str]:
    """The numbers of the generations that there are tables of."""
    sql = f"SELECT substring(tablename FROM '^p([0-9]+)_') FROM pg_tables WHERE schemaname = '{schema_of(shared)}'"
    return {number for (number,) in cluster.run(f"{sql} AND tablename ~ '^p[0-9]'")}


def test_the_tables_of_a_reader_stay_until_he_is_done(opened: Callable[..., Shared], cluster: Cluster):
    """A rebuild does not drop under a reader what he has not come to yet; the next one drops it."""
    log = a_log(1, 30)
    shared = opened(log)
    shared.catch_up()
    with shared.views() as before:
        shared.rebuild(workers=1)
        assert {"1", "2"} == generations(cluster, shared)
        assert 30 == len(audit.case(before, log.case).lines)
    shared.rebuild(workers=1)
    assert {"3"} == generations(cluster, shared)


def test_who_opens_them_during_a_swap_reads_what_was_swapped_in(
    opened: Callable[..., Shared], monkeypatch: pytest.MonkeyPatch
):
    """Tables dropped between looking which stand and holding them: whoever opens them looks once more."""
    log = a_log(1, 30)
    shared = opened(log)
    shared.catch_up()
    hold = tables.hold

    def late(*given: Any) -> None:
        monkeypatch.setattr(tables, "hold", hold)
        shared.rebuild(workers=1)
        hold(*given)

    monkeypatch.setattr(tables, "hold", late)
    with shared.views() as views:
        assert dict.fromkeys(NAMES, 30) == views.sizes()
        assert 30 == len(audit.case(views, log.case).lines)


def test_workers_go_on_during_a_rebuild(opened: Callable[..., Shared], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What is appended and applied while the new tables are built is in them when they are swapped in."""
    log = cases(Log(), size=30)
    shared, worker = opened(log), opened(log)
    worker.catch_up()
    compare = Rebuild._compare

    def meanwhile(built: Rebuild) -> None:
        compare(built)
        cases(log, seed=1, size=50)
        worker.catch_up()

    monkeypatch.setattr(Rebuild, "_compare", meanwhile)
    assert 50 == shared.rebuild(workers=1, online=True)
    assert dict.fromkeys(NAMES, 50) == shared.sizes()
    assert in_sqlite(log, tmp_path) == digests(shared)


@pytest.mark.parametrize(("after", "stride"), [("rebuild", 37), ("rollback", 1)])
def test_killed_at_any_step_a_rebuild_leaves_whole_projections(opened: Callable[..., Shared], after: str, stride: int):
    """
    Killed before one of its words to the database, a rebuild or a rollback leaves answers that are whole.

    Of the many words of a rebuild one run tries a sample; of a rollback every one.
    """
    log = a_log(9, 8)
    shared = opened(log)
    shared.catch_up()
    shared.rebuild(workers=1, online=True)
    whole = digests(shared)

    def work(arm: Callable[[], None]) -> None:
        with Shared(log, catalogue(), shared.address) as mine:
            arm()
            if after == "rebuild":
                mine.rebuild(workers=1, online=True)
            else:
                mine.rollback()

    died = 0
    for step in sampled(stride):
        killed = killed_before(step, work)
        with open_shared(shared.address) as views:
            assert dict.fromkeys(NAMES, 8) == views.sizes()
        assert whole == digests(shared)
        if not killed:
            break
        died += 1
    assert died > 2
    # What the killed ones left is removed.
    shared.rebuild(workers=1)
    assert whole == digests(shared)
    assert {8} == {place.size for place in shared.places().values()}
    assert 1 == len({place.generation for place in shared.places().values()})


def test_tables_of_another_release_are_neither_read_nor_filled(opened: Callable[..., Shared], cluster: Cluster):
    """A new release builds its tables beside the others, which the older one fills and reads until then."""
    log = a_log(6, 20)
    shared = opened(log)
    shared.catch_up()
    cluster.run(f"UPDATE {schema_of(shared)}.projection_set SET edition = 'older' WHERE name = 'status'")
    with pytest.raises(Conflict, match="another release"):
        opened(log).take(EVERYTHING)
    with pytest.raises(Conflict, match="another release"):
        open_shared(shared.address)
    assert 20 == shared.rebuild(workers=1, online=True)
    with shared.views() as views:
        assert dict.fromkeys(NAMES, 20) == views.sizes()
    with pytest.raises(Conflict, match="another release"):
        shared.rollback()


def test_the_number_of_partitions_never_changes(opened: Callable[..., Shared]):
    """A case would change its partition in the middle: it is refused at once; who names none takes what there is."""
    log = a_log(6, 20)
    shared = opened(log)
    with pytest.raises(Conflict, match="partitions"):
        Shared(log, catalogue(), shared.address, partitions=COUNT + 1)
    with Shared(log, catalogue(), shared.address) as other:
        assert COUNT == other.partitions
        assert 20 == other.catch_up()


def test_a_worker_that_waits_for_a_swap_looks_at_what_was_swapped_in(opened: Callable[..., Shared], cluster: Cluster):
    """The tables of another release swapped in under its hands are not filled as if they were its own."""
    shared = opened(a_log(6, 20))
    swapping = psycopg2.connect(shared.address)
    with ThreadPoolExecutor(1) as thread, closing(swapping), swapping.cursor() as cursor:
        cursor.execute("SELECT 1 FROM projection_place FOR UPDATE")
        taken = thread.submit(shared.take, EVERYTHING)
        while not cluster.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert not taken.done()
        cursor.execute("UPDATE projection_set SET edition = 'other' WHERE name = 'status'")
        swapping.commit()
        with pytest.raises(Conflict, match="another release"):
            taken.result()


def test_a_reader_whose_server_went_away_is_told_so(opened: Callable[..., Shared], cluster: Cluster):
    """What the database says is not shown to whoever asked about a case."""
    log = a_log(6, 20)
    shared = opened(log)
    shared.catch_up()
    with shared.views() as views:
        ((process,),) = views.db.execute("SELECT pg_backend_pid()").fetchall()
        cluster.run(f"SELECT pg_terminate_backend({process}, 10000)")
        with pytest.raises(Unavailable):
            audit.case(views, log.case)


def test_a_value_that_no_column_takes_is_not_cut_to_fit():
    """A truth value is a number to SQLite, so it is one here; a fraction is none that these tables keep."""
    assert ["1", "0", r"\N", r"a\\b\tc"] == [copied(value) for value in (True, False, None, "a\\b\tc")]
    for value in (1.7, 1.0, [1]):
        with pytest.raises(TypeError):
            copied(value)


def test_whoever_only_reads_opens_them(cluster: Cluster):
    """The role of those who ask has no right to write: how far they are is told to it all the same."""
    log, schema = a_log(5, 12), cluster.schema()
    cluster.run(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'asks') THEN CREATE ROLE asks LOGIN; "
        "END IF; END $$"
    )
    with Shared(log, catalogue(), cluster.address(schema)) as shared:
        shared.catch_up()
        cluster.run(f"GRANT USAGE ON SCHEMA {schema} TO asks", f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO asks")
        with Shared(log, catalogue(), cluster.address(schema, "asks")) as asked:
            assert shared.sizes() == asked.sizes()
            assert digests(shared) == digests(asked)
            assert ([], shared.places()) == (asked.parked(), asked.places())
            with asked.views() as views:
                assert 12 == len(audit.case(views, log.case).lines)
            with pytest.raises(NotPermitted):
                asked.catch_up()
