"""The store: what continues the log is appended, what is written once stays, and one size has one root."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import Conflict, NotFound, NotVerified
from ledger.log import fsck
from ledger.log.tree import Frontier, root_at, stored_count, stored_index
from ledger.store import Row, open_store
from ledger.store.sqlite import SQLiteStore
from ledger.verify import leaf_hash, root_of
from tests.town import DE_PROSECUTOR, found, named, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.store import Store, Writing


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "ledger.db")
    yield made
    made.close()


def append(store: Store, entries: Sequence[bytes], *, first: int | None = None, seal: bool = False) -> None:
    """Append these bytes as a sequencer would, each its own stream."""
    with store.writing() as writing:
        write(store, writing, entries, first=first)
        if seal:
            root = root_of([leaf_hash(entry) for entry in store.scan()] + [leaf_hash(entry) for entry in entries])
            writing.seal(writing.size, root, b"note %d" % writing.size, writing.take_lease())


def write(store: Store, writing: Writing, entries: Sequence[bytes], *, first: int | None = None) -> None:
    """The same, within a transaction."""
    start = writing.size if first is None else first
    frontier = Frontier.load(writing.size, store.hashes)
    number = stored_count(writing.size)
    rows, nodes, leaves = [], [], []
    for index, entry in enumerate(entries, start):
        leaves.append(leaf_hash(entry))
        for node in frontier.append(leaves[-1]):
            nodes.append((number, node))
            number += 1
        one = sha256(b"%d" % index).digest()[:16]
        rows.append(Row(index, one.hex(), 0, "case.opened", entry, one, one, 0))
    writing.append(rows, nodes, {b"key": start + len(rows)}, leaves, 1_000 + start)


def everything(store: Store) -> tuple[Any, ...]:
    """All that can be read of the log."""
    return (
        store.size(),
        list(store.scan()),
        list(store.node_hashes()),
        list(store.checkpoints()),
        store.next_sequences(),
    )


def fail_after(store: Store, entries: Sequence[bytes]) -> None:
    """Append these bytes, and fail before the transaction is over."""
    with store.writing() as writing:
        size = writing.size
        write(store, writing, entries)
        assert size + len(entries) == writing.size
        raise ZeroDivisionError


# --- appending ---


@given(batches=st.lists(st.lists(st.binary(max_size=20), max_size=9), max_size=8))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_make_the_tree_of_their_entries(new_store, batches):
    """However the entries were cut into batches, every size has the root of RFC 6962."""
    with closing(new_store()) as store:
        entries: list[bytes] = []
        for batch in batches:
            append(store, batch)
            entries += batch
            assert len(entries) == store.size()
        assert list(enumerate(entries)) == store.entries(0, 1000)
        leaves = [leaf_hash(entry) for entry in entries]
        assert [root_of(leaves[:size]) for size in range(len(leaves) + 1)] == [
            root_at(size, store.hashes) for size in range(len(leaves) + 1)
        ]


@pytest.mark.parametrize("first", [0, 1, 3, 100])
def test_what_does_not_continue_the_log_is_not_appended(store, first):
    """An index used or left out is a conflict, and nothing changes."""
    append(store, [b"0", b"1"])
    before = everything(store)

    with pytest.raises(Conflict):
        append(store, [b"x"], first=first)
    assert before == everything(store)


def test_a_transaction_left_by_an_error_changes_nothing(store):
    """Entries, nodes, sequences and size move together or not at all; the next append finds the old index."""
    append(store, [b"0"])
    before = everything(store)
    with pytest.raises(ZeroDivisionError):
        fail_after(store, [b"1", b"2"])

    assert before == everything(store)
    append(store, [b"1"])
    assert [(0, b"0"), (1, b"1")] == store.entries(0, 10)
    assert root_of([leaf_hash(b"0"), leaf_hash(b"1")]) == root_at(2, store.hashes)


def test_what_is_stored_is_read_back_before_it_is_committed(store):
    """A leaf that is not the hash of the bytes stored stops the transaction."""
    row = Row(0, "a", 0, "case.opened", b"entry", bytes(16), None, 0)
    with pytest.raises(NotVerified), store.writing() as writing:
        writing.append([row], [(0, bytes(32))], {}, [leaf_hash(b"another")], 1)
    assert 0 == store.size()


def test_a_checkpoint_ahead_of_the_entries_stops_every_append(store):
    """Such a file was restored in parts; to append would fork the log."""
    append(store, [b"0"])
    with store.writing() as writing:
        writing.seal(5, bytes(32), b"note", writing.take_lease())

    with pytest.raises(Conflict, match="a checkpoint over 5 was signed"):
        append(store, [b"1"])
    assert 1 == store.size()


# --- sealing ---


def test_one_size_has_one_root_for_ever(store):
    """The checkpoint kept is returned to whoever seals again; another root is a conflict."""
    append(store, [b"0"], seal=True)
    root = leaf_hash(b"0")
    with store.writing() as writing:
        assert b"note 1" == writing.seal(1, root, b"another note", writing.epoch)
    with pytest.raises(Conflict, match="another root"), store.writing() as writing:
        writing.seal(1, bytes(32), b"forged", writing.epoch)

    assert [(1, root, b"note 1")] == list(store.checkpoints())


def test_whoever_lost_the_lease_may_not_seal(store):
    """A process that was suspended while another took over finds its epoch over."""
    append(store, [b"0"])
    with store.writing() as writing:
        mine = writing.take_lease()
    with store.writing() as writing:
        theirs = writing.take_lease()

    assert mine < theirs
    with pytest.raises(Conflict, match="another process"), store.writing() as writing:
        writing.seal(1, leaf_hash(b"0"), b"note", mine)
    assert [] == list(store.checkpoints())


def test_the_first_checkpoint_that_covers_a_size_is_found(store):
    """So a receipt is always the same."""
    for batch in ([b"0", b"1"], [b"2"], [b"3", b"4"]):
        append(store, batch, seal=True)

    assert [b"note 2", b"note 2", b"note 3", b"note 5", b"note 5", None] == [store.checkpoint(n) for n in range(1, 7)]
    assert b"note 5" == store.checkpoint()


# --- what is written once ---


@pytest.mark.parametrize("table", ["entries", "nodes", "statements", "cases", "seals"])
def test_the_tables_of_the_log_refuse_to_be_changed(file, table):
    """UPDATE and DELETE are refused by the file itself, whoever opens it."""
    append(file, [b"0", b"1"], seal=True)
    before = everything(file)
    with closing(sqlite3.connect(file.path)) as connection:
        (column,) = connection.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()
        for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)
    assert before == everything(file)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_one_byte_changed_in_the_file_is_found(tmp_path, at):
    """Whoever takes the triggers away changes an entry; the check of the log names it."""
    town = found(tmp_path / "ledger")
    town.say(town.opening("case"), DE_PROSECUTOR)
    town.say(town.person("case"), DE_PROSECUTOR)
    town.ledger.close()
    with closing(sqlite3.connect(tmp_path / "ledger" / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER entries_update")
        (entry,) = connection.execute("SELECT state FROM entries WHERE rowid = 6").fetchone()
        changed = bytearray(entry)
        changed[at] ^= 1
        connection.execute("UPDATE entries SET state = ? WHERE rowid = 6", (bytes(changed),))
        connection.commit()
    with closing(SQLiteStore(tmp_path / "ledger" / "ledger.db", read_only=True)) as store:
        report = fsck.check(store, town.ledger.catalogue)

    assert not report.sound
    assert 5 in {fault.index for fault in report.faults}


# --- reading ---


def test_what_is_not_there_is_said_so(store):
    """No such entry, node, statement or stream."""
    append(store, [b"0"])

    with pytest.raises(NotFound, match="entry 1"):
        store.entry(1)
    with pytest.raises(NotFound):
        store.entry(-1)
    with pytest.raises(NotFound, match="tree node"):
        store.hashes([0, 1])
    assert None is store.index_of(bytes(16))
    assert [] == store.stream(bytes(16)) == store.case(bytes(16))
    assert 0 == store.next_sequence(b"nobody")
    assert None is store.checkpoint()


def test_a_reader_makes_no_file(tmp_path):
    """Where there is no ledger, looking for one leaves none."""
    with pytest.raises(NotFound):
        SQLiteStore(tmp_path / "other.db", read_only=True)
    assert not (tmp_path / "other.db").exists()


def test_more_is_asked_than_one_query_takes(store):
    """Nodes and statements by the thousand, in the order asked."""
    entries = [b"%d" % number for number in range(1500)]
    append(store, entries)
    nodes = list(store.node_hashes())
    order = list(range(len(nodes)))[::-1]
    with closing(open_store(store.address, read_only=True)) as reader:
        assert nodes[::-1] == reader.hashes(order)
    wanted = [sha256(b"%d" % number).digest()[:16] for number in range(1600)]

    assert {one: number for number, one in enumerate(wanted[:1500])} == store.indexes_of(wanted)
    with store.writing() as writing:
        assert store.indexes_of(wanted) == writing.known(wanted)


@pytest.mark.parametrize(
    ("node", "named"), [(None, []), (stored_index(0, 9_000), [9_000]), (stored_index(1, 4_500), [None])]
)
def test_a_large_tree_is_checked_by_several_processes(file, node, named):
    """What each found makes one tree; a leaf or a node that is another one is found whoever came to it."""
    append(file, [b"%d" % number for number in range(3 << fsck.HEIGHT)])
    with closing(sqlite3.connect(file.address)) as connection, connection:
        connection.execute("DROP TRIGGER nodes_update")
        connection.execute("UPDATE nodes SET hash = zeroblob(32) WHERE id = ?", (node,))
    report = fsck.Report(file.size())
    with fsck.Helpers(file, 2) as helpers:
        fsck.check_tree(file, report, helpers=helpers)
    assert root_of([leaf_hash(entry) for entry in file.scan()]) == report.root
    assert named == [fault.index for fault in report.faults]


def test_a_case_leads_to_its_entries(store):
    """Whatever is asked, in whatever order: those that it does not lead to are named."""
    one, two = sha256(b"one").digest()[:16], sha256(b"two").digest()[:16]
    with store.writing() as writing:
        frontier, nodes = Frontier(), []
        for index in range(6):
            nodes += frontier.append(leaf_hash(b"%d" % index))
        writing.append(
            [
                Row(index, named(f"{index}").hex(), 0, "case.opened", b"%d" % index, named(f"{index}"), case, version)
                for index, (case, version) in enumerate([(one, 0), (two, 0), (one, 1), (one, 2), (two, 1), (one, 3)])
            ],
            list(enumerate(nodes)),
            {b"key": 6},
            [leaf_hash(b"%d" % index) for index in range(6)],
            1_000,
        )
    right = [(one, 0, 0), (two, 0, 1), (one, 1, 2), (one, 2, 3), (two, 1, 4), (one, 3, 5)]
    assert [] == store.misplaced(right)
    assert [] == store.misplaced(right[::-1])
    assert [] == store.misplaced([*right[3:], *right])
    assert [4, 9] == store.misplaced([(one, 0, 0), (one, 1, 4), (one, 2, 3), (one, 7, 9), (two, 1, 4)])
    assert [2, 3] == store.misplaced([(named("nobody"), 0, 2), (two, 0, 3)])
    assert [] == store.misplaced([])


def test_a_reader_sees_whole_batches(store):
    """In the middle of a transaction, a reader of another thread sees what was committed before."""
    append(store, [b"0"])
    seen: list[tuple[Any, ...]] = []
    with store.writing() as writing:
        write(store, writing, [b"1", b"2"])
        thread = threading.Thread(target=lambda: seen.append(everything(store)))
        thread.start()
        thread.join()
    assert [b"0"] == seen[0][1]
    assert [b"0", b"1", b"2"] == list(store.scan())


def test_whoever_waits_hears_of_the_next_entry(store):
    """Waiting ends with the first entry beyond what was seen, or with the time given."""
    append(store, [b"0"])
    assert 1 == store.wait(0, 60)
    assert 1 == store.wait(1, 0.02)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(store.wait, 1, 60) for _ in range(3)]
        append(store, [b"1", b"2"])
        assert [3, 3, 3] == [one.result() for one in waiting]


def test_many_rows_are_kept_as_few_are(store):
    """Batches of any length: whatever can be in an entry, a stream or the name of an act comes back the same."""
    awkward = [bytes(range(256)), b"", b"\\\n\t", "\u00e9\u2028".encode(), b"x" * 65_535]
    for count in (1, 31, 32, 500):
        append(store, [awkward[number % 5] + b"%d" % number for number in range(count)], seal=True)
        found = store.rows(store.size() - count, count)
        assert [awkward[number % 5] + b"%d" % number for number in range(count)] == [row[4] for row in found]
    assert [] == list(store.miscounted())
    leaves = [leaf_hash(entry) for entry in store.scan()]
    assert root_of(leaves) == root_at(len(leaves), store.hashes)
    whole = list(store.node_hashes())
    assert [whole[start:] for start in (0, 1, 59, 60, 61, 700)] == [
        list(store.node_hashes(start)) for start in (0, 1, 59, 60, 61, 700)
    ]


def test_streams_cases_and_sequences_are_found(store):
    """What the sequencer asks before it decides, and what readers ask of one thing."""
    case, rejected = named("case"), named("rejected")
    rows = [
        Row(0, named("a").hex(), 0, "case.opened", b"0", named("0"), case, 0),
        Row(1, f"rejected/{rejected.hex()}", 0, "tab\tand\\slash", b"1", rejected, None, 0),
        Row(2, named("a").hex(), 1, "person.registered", b"2", named("2"), case, 1),
        Row(3, named("b").hex(), 0, "authority.enrolled", b"3", named("3"), named("other"), 0),
    ]
    frontier = Frontier()
    leaves = [leaf_hash(row.entry) for row in rows]
    nodes = list(enumerate(node for leaf in leaves for node in frontier.append(leaf)))
    with store.writing() as writing:
        assert {case: 0} == writing.case_sizes([case])
        writing.append(rows, nodes, {b"one": 3, b"two": 1}, leaves, 9)
    with store.writing() as writing:
        assert (4, 9) == (writing.size, writing.recorded_at)
        assert {case: 2, named("other"): 1, named("new"): 0} == writing.case_sizes([case, named("other"), named("new")])
        assert {named("a")} == writing.streams([named("a"), named("c")])
        assert set() == writing.streams([])
        assert {named("2"): 2} == writing.known([named("2"), named("9")])
        assert {} == writing.known([]) == writing.case_sizes([])
        assert {b"one": 3, b"three": 0} == writing.next_sequences([b"one", b"three"])
    assert {b"one": 3, b"two": 1} == store.next_sequences()
    assert [0, 2] == store.stream(named("a")) == store.case(case)
    assert [(0, b"0"), (2, b"2")] == store.stream_entries(named("a"))
    assert [(3, b"3")] == store.roster()
    assert [("rejected/" + rejected.hex(), 0, "tab\tand\\slash", b"1")] == [row[1:] for row in store.rows(1, 1)]
    assert (1, 1) == (store.index_of(rejected), store.indexes_of([rejected, named("9")])[rejected])
    assert [] == list(store.miscounted())


def test_the_size_of_a_case_is_one_look_up_however_large_the_case_is(file):
    """The database works as much for a case of 5,000 entries as for one of two."""
    small, large = named("small"), named("large")
    with closing(sqlite3.connect(file.path)) as run:
        run.executemany("INSERT INTO cases VALUES (?,?,?)", [(small, n, n) for n in range(2)])
        run.executemany("INSERT INTO cases VALUES (?,?,?)", [(large, n, n) for n in range(5_000)])
        run.commit()
    steps: list[int] = []
    with file.writing() as writing:
        for case, size in ((small, 2), (large, 5_000), (named("new"), 0)):
            steps.append(0)

            def stepped() -> int:
                steps[-1] += 1
                return 0

            writing._cursor.connection.set_progress_handler(stepped, 1)
            assert {case: size} == writing.case_sizes([case])
        writing._cursor.connection.set_progress_handler(None, 1)
    assert 0 < steps[0] == steps[1]


def test_what_is_appended_during_a_check_is_no_fault(file):
    """Rows are counted in one snapshot: a log that grows meanwhile has as many of each kind as it has entries."""
    append(file, [b"0", b"1"])
    with closing(sqlite3.connect(file.path)) as run:
        run.execute("DROP TRIGGER entries_update")
        run.execute("UPDATE entries SET originator_version = 1 WHERE rowid = 1")
        run.commit()
    said = iter(file.miscounted())
    assert "has 1 entries, the last numbered 1" in next(said)
    append(file, [b"2"])
    assert [] == list(said)


def test_two_entries_may_not_share_what_is_one(store):
    """One statement id, one version of a stream: a second is refused, and nothing of its batch stays."""
    append(store, [b"0"])
    before = everything(store)
    one = store.rows(0, 1)[0]
    again = Row(1, one[1], 0, "case.opened", b"1", named("fresh"), None, 0)
    with pytest.raises(Conflict, match="something else in this place"), store.writing() as writing:
        writing.append([again], [(1, leaf_hash(b"1")), (2, bytes(32))], {}, [leaf_hash(b"1")], 2)
    assert before == everything(store)


def test_a_node_is_remembered_once_it_is_committed_and_not_before(store):
    """A node of a transaction that failed is not taken for one of the tree."""
    with pytest.raises(ZeroDivisionError):
        fail_after(store, [b"never"])
    append(store, [b"0"])

    assert [leaf_hash(b"0")] == store.hashes([0])


def test_a_closed_ledger_is_one_file(tmp_path):
    """A copy of ``ledger.db`` alone is then a copy of the log."""
    town = found(tmp_path / "ledger")
    town.say(town.opening("case"), DE_PROSECUTOR)
    town.ledger.close()

    assert not list(town.ledger.folder.glob("ledger.db-*"))
    copy = tmp_path / "copy.db"
    copy.write_bytes((town.ledger.folder / "ledger.db").read_bytes())
    with closing(SQLiteStore(copy, read_only=True)) as store:
        assert 6 == store.size()
        assert [5] == store.stream(named("case"))


def test_an_older_copy_beside_a_newer_checkpoint_refuses_to_append(tmp_path):
    """It would fork the log. It can still be read; and the newer file, put back, is taken again."""
    town = found(tmp_path / "ledger")
    file = town.ledger.folder / "ledger.db"
    town.ledger.close()
    older = file.read_bytes()
    town = opened(town.ledger.folder, town.clock)
    town.say(town.opening("case"), DE_PROSECUTOR)
    town.ledger.close()
    newer = file.read_bytes()

    file.write_bytes(older)
    with pytest.raises(Conflict, match="does not extend the published checkpoint over 6") as refused:
        opened(town.ledger.folder, town.clock)
    assert "older copy" in refused.value.why
    with opened(town.ledger.folder, town.clock, read_only=True).ledger as ledger:
        assert 5 == ledger.store.size()
    file.write_bytes(newer)
    with opened(town.ledger.folder, town.clock).ledger as ledger:
        assert 6 == ledger.store.size()


def test_a_copy_with_another_history_refuses_to_append(tmp_path):
    """As many entries, and others: it does not extend what was published."""
    one, two = found(tmp_path / "one"), found(tmp_path / "two")
    for town, case in ((one, "a case"), (two, "another case")):
        town.say(town.opening(case), DE_PROSECUTOR)
        town.ledger.close()
    (one.ledger.folder / "ledger.db").write_bytes((two.ledger.folder / "ledger.db").read_bytes())

    with pytest.raises(Conflict, match="does not extend"):
        opened(one.ledger.folder, one.clock)
