"""What was taken out of a store, or put beside it, is found and named: each by an attempt of its own."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import Conflict, Unavailable
from ledger.keys import ed25519
from ledger.log import fsck
from ledger.sequencer import Receipt
from ledger.store.sqlite import SQLiteStore
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, Town, found, named, opened

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN_ONCE = ("entries", "nodes", "statements", "cases", "seals")
GUARDED = {
    *(f"{table}_update" for table in WRITTEN_ONCE),
    *(f"{table}_delete" for table in WRITTEN_ONCE),
    "entries_insert",
    "seals_insert",
}


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """A closed ledger of ten entries, with checkpoints over 1, 5, 6, 7, 8, 9 and 10."""
    made = found(tmp_path / "ledger")
    for number in range(5):
        made.say(made.opening(f"case {number}"), DE_PROSECUTOR)
    made.ledger.close()
    return made


def tamper(town: Town, *changes: str, guarded: bool = True) -> None:
    """Change the file as somebody who can write it; without its guards where told so, which are put back."""
    with closing(sqlite3.connect(town.ledger.folder / "ledger.db", isolation_level=None)) as db:
        guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards if not guarded else ():
            db.execute(f"DROP TRIGGER {name}")
        for change in changes:
            db.execute(change)
        for _, sql in guards if not guarded else ():
            db.execute(sql)


def checked(town: Town, *, signatures: bool = True) -> fsck.Report:
    """What the check finds, the checkpoint beside the store included."""
    folder = town.ledger.folder
    with closing(SQLiteStore(folder / "ledger.db", read_only=True)) as store:
        report = fsck.check(store, town.ledger.catalogue, signatures=signatures)
        fsck.check_published(folder / "checkpoint", store, report)
    return report


def only(town: Town, *, signatures: bool = False) -> str:
    """The one fault that is found, with or without looking at signatures."""
    report = checked(town, signatures=signatures)
    assert [None] == [fault.index for fault in report.faults], report.faults
    return report.faults[0].what


def test_what_nobody_touched_is_sound(town):
    """No fault, and no warning."""
    report = checked(town)
    assert ([], [], 7) == (report.faults, report.warnings, report.checkpoints)


# --- checkpoints ---


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("size = 1", "1 checkpoint was deleted between size 0 and size 5"),
        ("size = 7", "1 checkpoint was deleted between size 6 and size 8"),
        ("size IN (6, 7, 8)", "3 checkpoints were deleted between size 5 and size 9"),
    ],
)
def test_a_checkpoint_taken_out_is_missed(town, where, said):
    """Named by the sizes between which it stood, and said who may still hold it."""
    tamper(town, f"DELETE FROM seals WHERE {where}", guarded=False)
    assert said in only(town)
    assert "receipts may hold them" in only(town)


def test_the_newest_checkpoints_taken_out_are_missed(town):
    """The entries behind the last that is left are covered by none; opening signs one anew, and the gap stays."""
    tamper(town, "DELETE FROM seals WHERE size > 7", guarded=False)
    said = [fault.what for fault in checked(town).faults]
    assert any("no checkpoint covers the entries from 7 on" in one for one in said)
    assert any("3 checkpoints were deleted between size 7 and the newest entries" in one for one in said)

    opened(town.ledger.folder, town.clock).ledger.close()
    assert "3 checkpoints were deleted between size 7 and size 10" in only(town)


def test_all_checkpoints_taken_out_are_missed(town):
    """Also where none is left to compare with."""
    tamper(town, "DELETE FROM seals", guarded=False)
    assert any("7 checkpoints" in fault.what for fault in checked(town).faults)


def test_a_counter_of_checkpoints_that_was_changed_is_found(town):
    """It says how many there are and how many are counted; no checkpoint over nothing is spoken of."""
    tamper(town, "UPDATE sealer SET seals = seals - 1")
    assert "7 checkpoints are numbered, and 6 are counted" in only(town)


@pytest.mark.parametrize("by", [1, -1, 1 << 50])
def test_a_clock_that_was_changed_is_found(town, by):
    """The next entry would be recorded no earlier than it says, were it centuries ahead."""
    tamper(town, f"UPDATE tree SET recorded_at = recorded_at + {by}")
    assert "the clock kept beside the entries says" in only(town, signatures=True)


def test_a_checkpoint_put_in_or_renumbered_is_found(town):
    """Numbers run without a gap in the order of sizes, whoever closes one."""
    tamper(town, "UPDATE seals SET number = 2 WHERE size = 7", guarded=False)
    assert "the checkpoint over 7 entries is numbered 2, and should be 3" in "".join(
        fault.what for fault in checked(town).faults
    )


def test_a_published_checkpoint_that_is_not_kept_is_found(town):
    """Taken out of the store with the numbers made good, it is still beside the store."""
    last = "DELETE FROM seals WHERE size = 10", "UPDATE sealer SET seals = 6"
    tamper(town, *last, guarded=False)
    assert any(
        "the published checkpoint over 10 entries is not among those kept" in one.what for one in checked(town).faults
    )


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["check_tree", "check_checkpoints", "check_entries"])
def test_what_is_appended_meanwhile_is_no_fault(town, monkeypatch, step, when):
    """Another process publishes while a check runs: what it adds, to whichever table, is not taken for a fault."""
    folder = town.ledger.folder
    writer = opened(folder, town.clock)
    real = getattr(fsck, step)

    def grown(*given: Any, **how: Any) -> None:
        if when == "after":
            real(*given, **how)
        writer.say(writer.opening("meanwhile"), DE_PROSECUTOR)
        if when == "before":
            real(*given, **how)

    monkeypatch.setattr(fsck, step, grown)
    with closing(SQLiteStore(folder / "ledger.db", read_only=True)) as store:
        report = fsck.check(store, town.ledger.catalogue)
        assert 11 == store.size()
        fsck.check_published(folder / "checkpoint", store, report)
    writer.ledger.close()
    assert ([], [], 7) == (report.faults, report.warnings, report.checkpoints)


def test_nodes_of_no_entry_are_found(town):
    """A tree has as many as its entries give, and no more."""
    tamper(town, "INSERT INTO nodes VALUES ((SELECT MAX(id) + 1 FROM nodes), zeroblob(32))")
    assert "18 tree nodes belong to the entries from 0 on; 19 are stored" == only(town)


@pytest.mark.parametrize("change", ["next + 1", "next - 1"])
def test_a_sequence_that_no_entry_gives_is_found(town, monkeypatch, change):
    """Also while others publish: what is next for a key follows from its last entry."""
    tamper(town, f"UPDATE sequences SET next = {change} WHERE key = (SELECT MIN(key) FROM sequences)")
    assert "the next sequences of the signing keys are not those that the entries give" == only(town, signatures=True)


# --- several processes ---


CHANGES = (
    "UPDATE entries SET state = x'00' WHERE rowid = 2",
    "UPDATE entries SET originator_version = 5 WHERE rowid = 6",
    "UPDATE statements SET idx = 3 WHERE idx = 7",
    "UPDATE entries SET state = (SELECT state FROM entries WHERE rowid = 9) WHERE rowid = 10",
)


@pytest.mark.parametrize("change", [None, *CHANGES])
@pytest.mark.parametrize("workers", [1, 2])
def test_several_processes_find_what_one_finds(town, monkeypatch, workers, change):
    """Each takes ranges as it gets to them; what follows from one entry to the next does so across them too."""
    monkeypatch.setattr(fsck, "HELPED_MIN", 0)
    monkeypatch.setattr(fsck, "GROUP", 2)
    tamper(town, *([] if change is None else [change]), guarded=False)
    with closing(SQLiteStore(town.ledger.folder / "ledger.db", read_only=True)) as store:
        alone, helped = (fsck.check(store, town.ledger.catalogue, workers=count) for count in (0, workers))
    for report in (alone, helped):
        report.faults.sort(key=repr)
    assert alone == helped
    assert (change is None) == helped.sound


def test_ranges_join_and_get_narrower():
    """Each begins where one ended, at a multiple of the width; who is slow at the end has little left to do."""
    for stop, width, takers in [(0, 4, 2), (1, 4, 2), (100_109, 2_048, 2), (100_109, 2_048, 1), (4_097, 4_096, 9)]:
        ranges = list(fsck._Ranges(stop, width, takers))
        assert [0, *(end for _, end in ranges)] == [*(start for start, _ in ranges), stop]
        assert all(start % width == 0 for start, _ in ranges)
        widths = [-(-(end - start) // width) for start, end in ranges]
        assert widths == sorted(widths, reverse=True)
        assert takers == 1 or all(one == 1 for one in widths[-takers:])


def test_nothing_is_left_of_ranges_that_were_ended():
    """Where one of them cannot be checked, nobody begins with another."""
    ranges = fsck._Ranges(100_000, 1_000, 2)
    assert (0, 17_000) == next(ranges)
    ranges.end()
    assert [] == list(ranges)


def test_a_process_that_ends_early_is_no_answer(town, monkeypatch):
    """Its part was not checked: nothing is said of the log."""
    monkeypatch.setattr(fsck, "HELPED_MIN", 0)
    monkeypatch.setattr(fsck, "GROUP", 2)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        closing(SQLiteStore(town.ledger.folder / "ledger.db", read_only=True)) as store,
        pytest.raises(Unavailable, match="ended early"),
    ):
        fsck.check(store, town.ledger.catalogue, workers=1)


def test_the_signature_of_a_batch_is_checked_once(town, monkeypatch):
    """Also where publishers take turns, and as many batches as are remembered went before."""
    monkeypatch.setattr(fsck, "BATCHES", 2)
    writer = opened(town.ledger.folder, town.clock)
    batches = [
        writer.signed_batch([writer.opening(f"batch {batch}, {number}") for number in range(3)], by)
        for batch, by in enumerate([DE_PROSECUTOR, DE_PROSECUTOR, DE_PROSECUTOR, FR_PROSECUTOR])
    ]
    for one in [*batches[0], *batches[1], *chain.from_iterable(zip(batches[2], batches[3], strict=True))]:
        assert isinstance(writer.ledger.submit(one), Receipt)
    writer.ledger.close()

    asked: list[bytes] = []

    def counted(public_key: bytes, said: bytes, signature: bytes) -> bool:
        asked.append(said)
        return ed25519(public_key, said, signature)

    monkeypatch.setattr(fsck, "ed25519", counted)
    assert checked(town).sound
    assert 4 == sum(said.startswith(b"comity.batch.v1") for said in asked)


# --- the checkpoint beside the store ---


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: file.write_bytes(kept(file, 7)), "covers 7 entries, and the store has signed one over 10"),
    ],
)
def test_a_published_checkpoint_that_is_gone_or_old_is_a_warning(town, change, said):
    """A power failure may leave it so: what it means is said, and opening the ledger puts it right."""
    file = town.ledger.folder / "checkpoint"
    newest = file.read_bytes()
    change(file)
    report = checked(town)
    assert report.sound
    assert [True] == [said in one and "compare the root with a receipt" in one for one in report.warnings]

    opened(town.ledger.folder, town.clock).ledger.close()
    assert newest == file.read_bytes()
    assert [] == checked(town).warnings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda note: note.replace(b"\n10\n", b"\n11\n"), "over 11 entries was published; the log holds 10"),
        (lambda note: note.replace(b"\n10\n", b"\n9\n"), "does not extend the published checkpoint over 9"),
        (lambda note: note[:-20], "cannot be read"),
        (lambda note: note[: note.rindex(b"\xe2\x80\x94")], "is not among those kept"),
    ],
)
def test_a_published_checkpoint_that_says_something_else_is_a_fault(town, change, said):
    """Newer than the store, over another tree, broken, or with other signatures than were made."""
    file = town.ledger.folder / "checkpoint"
    file.write_bytes(change(file.read_bytes()))
    assert said in only(town)


def kept(file: Path, size: int) -> bytes:
    """The checkpoint over so many entries that the store beside the file keeps."""
    with closing(SQLiteStore(file.with_name("ledger.db"), read_only=True)) as store:
        note = store.checkpoint(size)
    assert note is not None
    return note


def test_the_published_checkpoint_is_forced_to_the_disk(town, monkeypatch):
    """At the start, once in a while, and at the end: the file before it takes its name, then the folder."""
    folder, forced = town.ledger.folder, list[str]()
    monkeypatch.setattr(
        "os.fsync",
        lambda handle: forced.extend(
            path.name
            for path in (folder, folder / "checkpoint", folder / "checkpoint.new")
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino
        ),
    )
    monkeypatch.setattr("ledger.log.published.DURABLE_SECONDS", 1e9)
    again = opened(folder, town.clock)
    assert ["checkpoint.new", "ledger"] == forced
    again.say(again.opening("one"), DE_PROSECUTOR)
    assert ["checkpoint.new", "ledger"] == forced, "no group of publishers waits for it"

    again.ledger.close()
    assert ["checkpoint", "ledger"] == forced[2:]
    again.ledger.close()
    assert 4 == len(forced), "what is durable already is left alone"

    monkeypatch.setattr("ledger.log.published.DURABLE_SECONDS", 0)
    again = opened(folder, town.clock)
    again.say(again.opening("two"), DE_PROSECUTOR)
    again.ledger.close()
    assert ["checkpoint.new", "ledger"] * 2 == forced[4:]


# --- what is written once ---


def test_the_guards_are_those_that_are_tried_here(town):
    """Every trigger of the file is among those that the tests below drop and alter."""
    with closing(sqlite3.connect(town.ledger.folder / "ledger.db")) as db:
        assert {(name,) for name in GUARDED} == set(db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"))


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_a_guard_that_was_dropped_or_altered_is_found(town, name):
    """Opening the ledger does not hide it; what is said to do puts it right."""
    table, _, verb = name.rpartition("_")
    for how, first in (
        ("dropped", ()),
        ("altered", (f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN 0 BEGIN SELECT 1; END",)),
    ):
        tamper(town, f"DROP TRIGGER {name}", *first)
        opened(town.ledger.folder, town.clock).ledger.close()
        said = only(town)
        assert f"the trigger {name}, which keeps {table} append-only, was {how}" in said
        cure = said[said.index("put it back: ") + 13 :]
        with closing(sqlite3.connect(town.ledger.folder / "ledger.db")) as db:
            db.executescript(cure)
        assert checked(town, signatures=False).sound


@pytest.mark.parametrize("table", ["entries", "sequences", "tree", "seals"])
def test_a_trigger_of_somebody_else_is_found(town, table):
    """It may change what is written, at the moment it is written."""
    tamper(town, f"CREATE TRIGGER quiet AFTER INSERT ON {table} BEGIN DELETE FROM tree; END")
    assert f"the trigger quiet on {table} is not one of this program" in only(town)


@pytest.mark.parametrize("table", ["entries", "seals"])
def test_a_row_cannot_be_replaced(town, table):
    """INSERT OR REPLACE fires no DELETE trigger: what stands there already is refused all the same."""
    with closing(sqlite3.connect(town.ledger.folder / "ledger.db")) as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        for at in (5, 10):
            same = f"SELECT * FROM {table} WHERE {columns[0]} = {at}"
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(f"INSERT OR REPLACE INTO {table} {same}")
        if table == "entries":
            # Under a new number, yet of a version that its stream has: the row of that version would go.
            other = "SELECT 11, originator_id, originator_version, topic, x'00' FROM entries WHERE rowid = 10"
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(f"INSERT OR REPLACE INTO entries {other}")
    assert checked(town).sound


@pytest.mark.parametrize(
    ("change", "index", "said"),
    [
        ("INSERT OR REPLACE INTO nodes SELECT id, zeroblob(32) FROM nodes WHERE id = 4", 3, "its bytes do not give"),
        (
            "INSERT OR REPLACE INTO statements SELECT id, 7 FROM statements WHERE idx = 8",
            8,
            "the index of statement ids does not lead to it",
        ),
    ],
)
def test_a_row_that_was_replaced_is_found(town, change, index, said):
    """Where replacing is not refused, what stands there follows from the entries."""
    tamper(town, change)
    assert [(index, True)] == [(fault.index, said in fault.what) for fault in checked(town).faults]


def test_a_case_that_leads_to_another_entry_is_found(town):
    """Also where two were exchanged, and no count differs."""
    one, two = named("case 0").hex(), named("case 1").hex()
    tamper(
        town,
        f"INSERT OR REPLACE INTO cases VALUES (x'{one}', 0, 6)",
        f"INSERT OR REPLACE INTO cases VALUES (x'{two}', 0, 5)",
    )
    assert [5, 6] == [fault.index for fault in checked(town).faults]
    assert {"the index of cases does not lead to it"} == {fault.what for fault in checked(town).faults}


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_of_another_format_is_not_opened(town, number, read_only):
    """It would be misread; the error says with what to open it."""
    tamper(town, f"PRAGMA user_version = {number}")
    with pytest.raises(Conflict, match=f"format {number}") as refused:
        SQLiteStore(town.ledger.folder / "ledger.db", read_only=read_only)
    assert "the version that made it" in refused.value.what_now
