"""PostgreSQL: many processes, one order; whoever is cut off, stopped or killed neither loses nor doubles anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from ledger.errors import Conflict, FormatError, NotFound, NotPermitted, Unavailable
from ledger.log import fsck
from ledger.log.tree import root_at
from ledger.sequencer import Receipt
from ledger.store import check_address, open_store
from ledger.store.postgres import PostgresStore, connections
from ledger.verify import leaf_hash, root_of
from tests.cluster import Relay
from tests.small_ledger import BEGIN
from tests.test_crash import killed
from tests.test_no_skip import Ours, race, skipped, words
from tests.test_store import append, everything, write
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, Clock, check_everything, found, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.ledger import Ledger
    from tests.cluster import Cluster
    from tests.town import Town

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def address(cluster: Cluster) -> str:
    return cluster.address(cluster.schema())


@pytest.fixture
def store(address: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(address)) as made:
        yield made


def python(*arguments: str) -> subprocess.Popen[bytes]:
    """Another process of ours."""
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )


# --- many processes ---


def test_processes_that_start_together_make_the_tables_once(address):
    """Eight at the same moment: each opens the store, and there is one of everything."""
    opens = "from ledger.store import open_store; import sys; sys.stdin.read(1); open_store(sys.argv[1]).close()"
    starting = [
        subprocess.Popen([sys.executable, "-c", opens, address], cwd=ROOT, stdin=subprocess.PIPE) for _ in range(8)
    ]
    for one in starting:
        assert one.stdin is not None
        one.stdin.write(b"!")
        one.stdin.flush()
    assert [0] * 8 == [one.wait() for one in starting]
    with closing(PostgresStore(address)) as store:
        assert 0 == store.size()
        assert [] == list(store.altered())


def test_no_reader_skips_with_many_writing_processes(address):
    """Four threads and four processes append; three readers see every entry, in order, exactly once."""
    mine = Ours(address)
    threads = [words(f"thread {number}", 15, (1, 5, 40)) for number in range(4)]
    others = [python("tests/test_no_skip.py", address, f"process {number}") for number in range(4)]
    seen = race(mine, threads, others)

    appended = [*threads, *(words(f"process {number}", 30, (3, 1)) for number in range(4))]
    expected = {entry for writer in appended for batch in writer for entry in batch}
    for reader in seen:
        assert list(range(len(expected))) == [index for index, _ in reader]
        assert expected == {entry for _, entry in reader}
    order = [entry for _, entry in seen[0]]
    assert root_of([leaf_hash(entry) for entry in order]) == root_at(len(order), mine.store.hashes)
    mine.store.close()


class Numbered:
    """Numbers from a sequence of the database, taken before the order of commits is fixed: what many stores do."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._guard = threading.Condition()
        self._first = True
        self._numbered = threading.Event()
        self._seen = -1
        with closing(self._open()) as one, one.cursor() as cursor:
            cursor.execute("CREATE TABLE entries (id bigserial PRIMARY KEY, state bytea)")

    def _open(self) -> Any:
        one = psycopg2.connect(self.address)
        one.autocommit = True
        return one

    def append(self, entries: Sequence[bytes]) -> None:
        with self._guard:
            slow, self._first = self._first, False
        assert slow or self._numbered.wait(20)
        with closing(self._open()) as one, one.cursor() as cursor:
            cursor.execute("BEGIN")
            for entry in entries:
                cursor.execute("INSERT INTO entries (state) VALUES (%s)", (entry,))
            if slow:
                # In the wild it takes a busy day; here the others go on, and a reader comes by.
                self._numbered.set()
                with self._guard:
                    self._guard.wait_for(lambda: self._seen >= len(entries), timeout=20)
            cursor.execute("COMMIT")

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        with closing(self._open()) as one, one.cursor() as cursor:
            cursor.execute("SELECT id - 1, state FROM entries WHERE id > %s ORDER BY id LIMIT %s", (start, limit))
            found = [(index, bytes(state)) for index, state in cursor.fetchall()]
        with self._guard:
            self._seen = max(self._seen, *(index for index, _ in found), -1)
            self._guard.notify_all()
        return found


def test_the_race_finds_the_hole_that_a_sequence_leaves(address):
    """The same readers, against numbers from a sequence: they miss what was committed late."""
    numbered = Numbered(address)
    threads = [words(f"thread {number}", 3, (2,)) for number in range(3)]
    seen = race(numbered, threads)

    size = sum(len(batch) for writer in threads for batch in writer)
    assert size == len(numbered.entries(0, size + 1))
    assert any(len(skipped(reader, size)) >= 2 for reader in seen)


def test_several_ledgers_publish_into_one_log(tmp_path, address):
    """Three sequencers with their own leases take turns: one gapless log, every checkpoint right, receipts for all."""
    town = found(tmp_path / "0", store=address)
    towns = [town]
    with ExitStack() as stack:
        for number in (1, 2):
            folder = tmp_path / str(number)
            folder.mkdir()
            for name in ("log.key", "log.mldsa.key", "store"):
                (folder / name).write_bytes((town.ledger.folder / name).read_bytes())
            towns.append(opened(folder, Clock(BEGIN + number)))
            stack.callback(towns[-1].ledger.close)
        drafts = [[town.signed(town.opening(f"{who} {n}"), by) for n in range(12)] for who, by in publishers(town)]

        def publish(at: int) -> list[Any]:
            return [towns[(at + turn) % 3].ledger.submit(signed) for turn, signed in enumerate(drafts[at])]

        with ThreadPoolExecutor(len(drafts)) as threads:
            answers = [answer for many in threads.map(publish, range(len(drafts))) for answer in many]
    assert all(isinstance(answer, Receipt) and answer.accepted for answer in answers)
    assert list(range(5, 5 + len(answers))) == sorted(answer.index for answer in answers)
    town.ledger.sequencer.seal()
    check_everything(town.ledger)
    town.ledger.close()


def publishers(town: Town) -> list[tuple[str, Any]]:
    """Two authorities, each with a key of its own."""
    return [("DE", DE_PROSECUTOR), ("FR", FR_PROSECUTOR)]


# --- cut off, stopped, killed ---


def sound(ledger: Ledger) -> None:
    """Check the log from its entries, by our own recomputation and by the one that users have."""
    check_everything(ledger)
    assert [] == fsck.check(ledger.store, ledger.catalogue).faults


@pytest.mark.parametrize("batch", [1, 40])
def test_a_writer_killed_between_any_two_steps_leaves_all_or_nothing(address, tmp_path, batch):
    """SIGKILL before each call of the driver in turn: a batch and its checkpoint are there together, or neither."""
    with closing(PostgresStore(address)) as store:
        outcomes = []
        for number in range(200):
            before = everything(store)
            entries = [b"%d %d" % (number, one) for one in range(batch)]

            def work(note: Callable[[str], None], entries: list[bytes] = entries) -> None:
                child = PostgresStore(address)
                append(child, entries, seal=True)
                note("committed")

            died = killed(number, work, tmp_path / "notes")
            acknowledged = (tmp_path / "notes").exists() and (tmp_path / "notes").read_text()
            (tmp_path / "notes").unlink(missing_ok=True)
            with store.writing() as writing:  # waits until the server has noticed
                there = writing.size > len(before[1])
            outcomes.append(there)
            if there:
                assert [*before[1], *entries] == list(store.scan())
                leaves = [leaf_hash(entry) for entry in store.scan()]
                assert (len(leaves), root_of(leaves)) == list(store.checkpoints())[-1][:2]
                assert root_of(leaves) == root_at(len(leaves), store.hashes)
            else:
                assert not acknowledged
                assert before == everything(store)
            if not died:
                break
        assert {True, False} == set(outcomes)
        assert outcomes[-1]
        assert [] == [*store.miscounted(), *store.altered()]


@pytest.fixture
def cut_town(tmp_path: Path, cluster: Cluster) -> Iterator[tuple[Town, list[bytes]]]:
    """A town whose connections are cut at what is armed: each piece that contains it is sent on, and not answered."""
    armed: list[bytes] = []

    def cut(piece: bytes) -> bool:
        if armed and armed[0] in piece:
            armed.pop(0)
            return True
        return False

    relay = Relay(cluster, cluster.folder.parent / f"{cluster.folder.name}-relay", cut)
    town = found(tmp_path / "ledger", store=cluster.address(cluster.schema(), through=relay.folder))
    yield town, armed
    town.ledger.close()
    relay.close()


def test_a_commit_that_nobody_answered_is_settled_by_what_is_stored(cut_town):
    """The connection dies between COMMIT and its answer: the publisher gets the receipt of what was committed."""
    town, armed = cut_town
    signed = town.signed(town.opening("one"), DE_PROSECUTOR)
    armed.append(b"COMMIT")
    answer = town.ledger.submit(signed)

    assert not armed
    assert isinstance(answer, Receipt)
    again = town.ledger.submit(signed)
    assert isinstance(again, Receipt)
    assert (answer.index, answer.proof) == (again.index, again.proof)
    assert 6 == town.store.size()
    sound(town.ledger)


@pytest.mark.parametrize("at", [b"INSERT INTO entries", b"INSERT INTO seals", b"statement_id = ANY", b"BEGIN"])
def test_a_connection_lost_in_a_transaction_takes_it_back(cut_town, at):
    """Lost before the commit, nothing was recorded: whoever repeats is recorded once."""
    town, armed = cut_town
    signed = town.signed(town.opening("one"), DE_PROSECUTOR)
    armed.append(at)
    with suppress(Unavailable):
        # Before anything is begun the connection is mended unseen.
        town.ledger.submit(signed)
    assert not armed
    answer = town.ledger.submit(signed)

    assert isinstance(answer, Receipt)
    assert (5, 6) == (answer.index, town.store.size())
    sound(town.ledger)


def test_backends_may_be_ended_at_any_moment(tmp_path, cluster, address):
    """An operator ends every connection again and again: what was acknowledged is there once, and in order."""
    town = found(tmp_path / "ledger", store=address)
    stop = threading.Event()
    ended = 0

    def end() -> None:
        nonlocal ended
        while not stop.wait(0.03):
            rows = cluster.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'comity' AND pid <> pg_backend_pid()"
            )
            ended += len(rows)

    ending = threading.Thread(target=end)
    ending.start()
    indexes = []
    try:
        for number in range(60):
            signed = town.signed(town.opening(f"case {number}"), DE_PROSECUTOR)
            while True:
                try:
                    answer = town.ledger.submit(signed)
                    break
                except Unavailable:
                    continue
            assert isinstance(answer, Receipt)
            indexes.append(answer.index)
    finally:
        stop.set()
        ending.join()
    assert list(range(5, 65)) == indexes
    assert ended
    sound(town.ledger)
    town.ledger.close()


def test_the_server_may_crash_and_come_back(tmp_path):
    """Stopped at once between two statements: the next is recorded when it is back, and reading goes on."""
    from tests.cluster import Cluster

    own = Cluster()
    town = found(tmp_path / "ledger", store=own.address())
    town.say(town.opening("one"), DE_PROSECUTOR)
    own.stop()
    back = threading.Thread(target=own.start)
    back.start()
    assert 6 == town.store.size()
    back.join()
    own.stop()
    own.start()
    assert isinstance(town.say(town.opening("two"), DE_PROSECUTOR), Receipt)
    sound(town.ledger)
    town.ledger.close()
    own.remove()


def test_a_server_that_stays_away_is_said_so(tmp_path, monkeypatch):
    """After some patience; nothing was recorded, and it says what helps."""
    from tests.cluster import Cluster

    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 0.1)
    own = Cluster()
    store = PostgresStore(own.address())
    own.stop()
    with pytest.raises(Unavailable, match="cannot do this now"), store.writing():
        pass
    with pytest.raises(Unavailable):
        store.size()
    with pytest.raises(Unavailable):
        PostgresStore(own.address())
    own.remove()


def suspended(address: str, where: str) -> subprocess.Popen[bytes]:
    """A process that holds the tree lock and was stopped in the middle: between statements, or while it sends."""
    source = f"""
import os, signal, sys
from ledger.store import postgres
from ledger.store.postgres import PostgresStore
from ledger.errors import ComityError
from tests.test_store import write
store = PostgresStore({address!r}, idle_seconds=0.2)
class Stops:
    def read(self, size):
        os.kill(os.getpid(), signal.SIGSTOP)
        return b""
try:
    with store.writing() as writing:
        if {where!r} == "sending":
            writing._cursor.copy_expert("COPY nodes FROM STDIN", Stops())
        else:
            os.kill(os.getpid(), signal.SIGSTOP)
        write(store, writing, [b"of a zombie"])
except ComityError as error:
    print(error)
    sys.exit(8)
"""
    process = python("-c", source)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    return process


@pytest.mark.parametrize("where", ["between", "sending"])
def test_a_process_stopped_while_it_holds_the_lock_is_fenced_off(address, where):
    """The server ends its transaction, others go on, and when it wakes it writes nothing."""
    with closing(PostgresStore(address, busy_seconds=0.5, idle_seconds=0.2)) as store:
        append(store, [b"0"])
        zombie = suspended(address, where)
        append(store, [b"1"], seal=True)
        zombie.send_signal(signal.SIGCONT)
        said, _ = zombie.communicate()
        assert (8, True) == (zombie.returncode, b"database cannot do this now" in said)
        assert [b"0", b"1"] == list(store.scan())


def test_whoever_holds_the_lock_and_works_is_waited_for(address):
    """A busy writer is no zombie: others are told to come back, and he commits."""
    with (
        closing(PostgresStore(address, idle_seconds=60)) as busy,
        closing(PostgresStore(address, busy_seconds=0.2)) as other,
    ):
        with busy.writing() as writing:
            with pytest.raises(Unavailable, match="another process"), other.writing():
                pass
            write(busy, writing, [b"0"])
        append(other, [b"1"])
        assert [b"0", b"1"] == list(busy.scan())


def test_whoever_waits_is_not_left_alone_by_a_lost_notification(store, cluster):
    """The listening connection is cut off: the entry is seen all the same."""
    assert 0 == store.wait(0, 0.01)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(store.wait, 0, 60)
        cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        append(store, [b"0"])
        assert 1 == waiting.result()


# --- what may be done by whom ---


@pytest.fixture
def roles(cluster: Cluster) -> str:
    """A log with the roles of deploy/roles.sql; its schema."""
    schema = cluster.schema()
    with closing(PostgresStore(cluster.address(schema))) as store:
        append(store, [b"0"], seal=True)
    cluster.psql(ROOT / "deploy" / "roles.sql", schema=schema)
    cluster.run(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway') THEN "
        "CREATE ROLE gateway LOGIN IN ROLE comity_writer; CREATE ROLE auditor LOGIN IN ROLE comity_reader; "
        "CREATE ROLE worker LOGIN IN ROLE comity_projector; ALTER ROLE worker SET role = comity_projector; "
        "CREATE ROLE nobody_in_particular LOGIN; END IF; END $$"
    )
    return schema


def test_the_runtime_role_appends_and_can_change_nothing(cluster, roles):
    """It has no right to UPDATE, DELETE or TRUNCATE the log, nor to take the triggers away; yet it appends."""
    with closing(PostgresStore(cluster.address(roles, "gateway"))) as store:
        append(store, [b"1"], seal=True)
        before = everything(store)
    with closing(psycopg2.connect(cluster.address(roles, "gateway"))) as one, one.cursor() as cursor:
        one.autocommit = True
        for table, column in (("entries", "state"), ("nodes", "hashes"), ("seals", "note")):
            for change in (
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                f"DROP TABLE {table}",
                f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
            ):
                with pytest.raises(psycopg2.Error) as refused:
                    cursor.execute(change)
                assert "42501" == refused.value.pgcode or change.startswith("LOCK"), change
        for change in ("DELETE FROM sequences", "DELETE FROM entries_head", "UPDATE entries_head SET size = 0"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(change)
    with closing(PostgresStore(cluster.address(roles), read_only=True)) as store:
        assert before == everything(store)


def test_a_reader_reads_and_others_do_not_even_that(cluster, roles):
    """Oversight reads every table and writes none; a role without a mandate sees nothing."""
    with closing(PostgresStore(cluster.address(roles, "auditor"))) as store:
        assert [b"0"] == list(store.scan())
        with pytest.raises(NotPermitted, match="role may not"), store.writing():
            pass
    with pytest.raises((NotPermitted, NotFound)):
        PostgresStore(cluster.address(roles, "nobody_in_particular")).size()


def test_whoever_fills_the_projections_owns_them_and_can_change_nothing_else(cluster, roles):
    """It reads the log; what one worker makes another replaces; those who ask read it and no more."""
    address = f"projections,{roles}"
    with closing(PostgresStore(cluster.address(address, "worker"), read_only=True)) as store:
        assert [b"0"] == list(store.scan())
    table = f"of_{roles}"

    def run(role: str, statement: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(cluster.address(address, role))) as one, one, one.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    run("worker", f"CREATE TABLE {table} AS SELECT 7 AS size")
    assert [("comity_projector",)] == run("worker", f"SELECT tableowner FROM pg_tables WHERE tablename = '{table}'")
    assert [(7,)] == run("auditor", f"SELECT size FROM {table}")
    for role, statement in (
        ("auditor", f"DELETE FROM {table}"),
        ("auditor", "CREATE TABLE projections.mine (one int)"),
        ("gateway", f"SELECT size FROM {table}"),
        ("worker", f"DELETE FROM {roles}.sequences"),
        ("worker", f"INSERT INTO {roles}.seals VALUES (9, '', '', 9)"),
        ("nobody_in_particular", f"SELECT size FROM projections.{table}"),
    ):
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable)):
            run(role, statement)
    run("worker", f"DROP TABLE {table}")


def test_a_schema_before_that_of_the_log_hides_nothing(store, cluster):
    """As with the login of whoever asks the projections: the guards are found, and so is what is announced."""
    append(store, [b"0"])
    cluster.run("CREATE SCHEMA IF NOT EXISTS beside")
    schema = store._channel.removeprefix("comity_")
    with closing(PostgresStore(cluster.address(f"beside,{schema}"), read_only=True)) as behind:
        assert [] == list(behind.altered())
        assert store._channel == behind._channel
        assert [b"0"] == list(behind.scan())


@pytest.mark.parametrize("table", ["entries", "nodes", "seals"])
def test_the_tables_refuse_to_be_changed_by_their_owner_too(store, cluster, table):
    """Triggers bind whoever owns the tables; whoever takes one away is found."""
    append(store, [b"0", b"1"], seal=True)
    before = everything(store)
    with closing(psycopg2.connect(store.address)) as one, one.cursor() as cursor:
        one.autocommit = True
        for change in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
                cursor.execute(change)
        assert before == everything(store)
        assert [] == list(store.altered())
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER written_once; DELETE FROM {table} WHERE ctid = '(0,1)'")
    assert any(f"keeps {table} append-only" in said for said in store.altered())


def test_one_byte_changed_in_the_database_is_found(tmp_path, address):
    """Whoever takes the triggers away changes an entry, or takes a checkpoint out: the check of the log says so."""
    town = found(tmp_path / "ledger", store=address)
    town.say(town.opening("case"), DE_PROSECUTOR)
    town.ledger.close()
    with closing(psycopg2.connect(address)) as one, one.cursor() as cursor:
        cursor.execute("ALTER TABLE entries DISABLE TRIGGER ALL; ALTER TABLE seals DISABLE TRIGGER ALL")
        cursor.execute("UPDATE entries SET state = set_byte(state, 40, get_byte(state, 40) # 1) WHERE idx = 5")
        cursor.execute("DELETE FROM seals WHERE size = 1")
        cursor.execute("ALTER TABLE entries ENABLE TRIGGER ALL; ALTER TABLE seals ENABLE TRIGGER ALL")
        one.commit()
    with closing(open_store(address, read_only=True)) as store:
        report = fsck.check(store, town.ledger.catalogue, workers=1)

    assert 5 in {fault.index for fault in report.faults}
    assert any("1 checkpoint was deleted" in fault.what for fault in report.faults)


# --- where it is ---


def test_a_database_holds_one_log_and_says_where_there_is_none(tmp_path, cluster, address):
    """A second founding is refused; a reader makes no tables; a schema that is not there is named."""
    with pytest.raises(NotFound, match="no ledger"):
        open_store(address, read_only=True)
    found(tmp_path / "one", store=address).ledger.close()
    with pytest.raises(Conflict, match="holds a ledger already"):
        found(tmp_path / "two", store=address)
    with pytest.raises(NotFound, match="no schema"):
        open_store(cluster.address("nowhere"))
    with pytest.raises(NotPermitted), open_store(address, read_only=True).writing():
        pass


@pytest.mark.parametrize(
    ("given", "said"),
    [("postgresql://me:secret@host/db", "password"), ("ledger.db", "not an address"), ("postgresql://[", "\\[")],
)
def test_an_address_is_checked_before_it_is_written_down(given, said):
    """No password lies in a ledger's folder."""
    with pytest.raises(FormatError, match=said):
        check_address(given)
    check_address("postgresql://me@host/db?passfile=/etc/comity/pgpass")
