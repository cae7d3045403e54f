"""A log in another store is the same log to the byte, and wherever it was interrupted it has one continuation."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ledger import moving
from ledger.errors import Conflict, FormatError, NotFound, NotVerified, Unavailable
from ledger.ledger import Ledger
from ledger.log import fsck
from ledger.sequencer import Receipt
from ledger.store import STORE_FILE, address_in, fence, open_store
from tests.small_ledger import BEGIN
from tests.test_crash import every_step, killed
from tests.test_store import append, everything
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, LOG_KEYS, Clock, check_everything, found, opened, reopened

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.town import Town

LATE = BEGIN + 3_000_000_000


def speak(town: Town, word: str) -> None:
    """Say a few things: accepted, rejected, in a batch and alone."""
    town.forget_sequences()
    assert isinstance(town.say(town.opening(word), DE_PROSECUTOR), Receipt)
    town.say(town.person(f"no case {word}"), FR_PROSECUTOR)
    list(town.ledger.submit_many(town.signed_batch([town.person(word, str(n)) for n in range(5)], DE_PROSECUTOR)))


def held(address: str | Path) -> tuple[Any, ...]:
    """All that can be read of the log at an address."""
    with closing(open_store(address, read_only=True)) as store:
        return everything(store)


def goes_on(folder: Path, word: str) -> None:
    """The log in this folder is sound, and takes what is said next."""
    town = opened(folder, Clock(LATE + sum(map(ord, word)) * 1_000_000))
    check_everything(town.ledger)
    assert [] == fsck.check(town.store, town.ledger.catalogue).faults
    speak(town, word)
    check_everything(town.ledger)
    town.ledger.close()


def takes_nothing(address: str) -> None:
    """Whoever appends to this store is refused, and nothing changes."""
    before = held(address)
    with closing(open_store(address)) as store, pytest.raises(Unavailable, match="takes no entries") as raised:
        append(store, [b"another"])
    assert raised.value.why.startswith("this log was moved to ")
    assert "name the new store" in raised.value.what_now
    assert before == held(address)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a ledger with something on it, closed."""
    town = found(tmp_path / "ledger")
    speak(town, "first")
    town.ledger.close()
    return tmp_path / "ledger"


# --- moving ---


def test_a_log_moves_to_postgresql_and_back_and_stays_the_same(folder, cluster):
    """Every byte, index, root, checkpoint and sequence; at each place it goes on, and the old place does not."""
    address = cluster.address(cluster.schema())
    before = held(folder / "ledger.db")

    moved = moving.migrate(folder, address)
    assert before == held(address)
    assert (address, len(before[1])) == (address_in(folder), moved.size)
    takes_nothing(str(folder / "ledger.db"))
    goes_on(folder, "second")

    there = held(address)
    moving.migrate(folder, str(folder / "ledger.db"))
    assert there == held(folder / "ledger.db")
    assert str(folder / "ledger.db") == address_in(folder)
    takes_nothing(address)
    goes_on(folder, "third")

    here = held(folder / "ledger.db")
    assert len(here[1]) - len(there[1]) == moving.migrate(folder, address).copied
    assert here == held(address)
    goes_on(folder, "fourth")


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_it_is_the_same_log_however_it_is_cut(folder, tmp_path, batch, monkeypatch):
    """Checkpoints fall within and between the batches of a copy."""
    monkeypatch.setattr(moving, "BATCH", batch)
    with closing(open_store(folder / "ledger.db")) as source, closing(open_store(tmp_path / "copy.db")) as target:
        assert source.size() == moving.copy(source, target)
        assert 0 == moving.copy(source, target)
        moving.compare(source, target)

    assert held(folder / "ledger.db") == held(tmp_path / "copy.db")


def test_nobody_is_answered_while_the_log_is_between_two_places(folder, cluster, monkeypatch):
    """A publisher who is connected all the while is refused from the fence on; his answers before are in the copy."""
    address = cluster.address(cluster.schema())
    town = opened(folder, Clock(LATE))
    speak(town, "before")
    copied = moving.copy

    def copy(*arguments: Any, **how: Any) -> int:
        town.forget_sequences()
        with pytest.raises(Unavailable, match="takes no entries"):
            town.say(town.opening("meanwhile"), DE_PROSECUTOR)
        return copied(*arguments, **how)

    monkeypatch.setattr(moving, "copy", copy)
    moving.migrate(folder, address)
    town.forget_sequences()
    with pytest.raises(Unavailable, match="takes no entries"):
        town.say(town.opening("afterwards"), DE_PROSECUTOR)
    town.ledger.close()
    goes_on(folder, "there")


def test_killed_at_any_step_a_move_is_finished_by_repeating_it(tmp_path, folder, cluster):
    """After each kill at most one store takes entries; repeated, the move is whole, and the log goes on."""
    before = held(folder / "ledger.db")
    schema = {"address": cluster.address(cluster.schema())}

    def work(left: Path, _note: Callable[[str], None]) -> None:
        moving.migrate(left, schema["address"])

    for left, _ in every_step(tmp_path, folder, work):
        open_places = [place for place in (str(left / "ledger.db"), schema["address"]) if _open(place)]
        assert 1 >= len(open_places)
        if open_places != [str(left / "ledger.db")]:
            assert ("left", schema["address"]) == fence.standing(str(left / "ledger.db"))
        if address_in(left) != schema["address"]:
            moving.migrate(left, schema["address"])
        assert before == held(schema["address"])
        assert fence.standing(schema["address"]) is None
        schema["address"] = cluster.address(cluster.schema())


def _open(address: str) -> bool:
    """Whether the log is in this store, and takes entries."""
    try:
        with closing(open_store(address, read_only=True)) as store:
            return store.size() > 0 and fence.standing(address) is None
    except NotFound:
        return False


def test_killed_at_any_step_a_move_back_is_finished_by_repeating_it(tmp_path, folder, cluster):
    """The same from PostgreSQL to a file; the file has its name only once it is whole."""
    address = cluster.address(cluster.schema())
    moving.migrate(folder, address)
    before = held(address)

    def work(left: Path, _note: Callable[[str], None]) -> None:
        moving.migrate(left, str(left / "ledger.db"))

    for left, _ in every_step(tmp_path, folder, work):
        if address_in(left) == address:
            assert not _open(str(left / "ledger.db")) or not _open(address)
            moving.migrate(left, str(left / "ledger.db"))
        assert before == held(left / "ledger.db")
        assert _open(str(left / "ledger.db"))
        # The next round begins where this one did.
        with pytest.raises(Conflict):
            moving.abandon(left, address)
        fence.take_down(address, "left")
    fence.put_up(address, "left", "elsewhere")


def test_a_move_that_was_not_finished_can_be_taken_back(folder, cluster, monkeypatch):
    """The log stays where it was, and goes on; once it is open in its new store that is too late."""
    address = cluster.address(cluster.schema())
    monkeypatch.setattr(moving, "compare", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        moving.migrate(folder, address)
    takes_nothing(str(folder / "ledger.db"))
    assert "arriving" == (fence.standing(address) or ("",))[0]
    with closing(open_store(address)) as store, pytest.raises(Unavailable) as refused:
        append(store, [b"into half a log"])
    assert "not wholly arrived" in refused.value.why

    moving.abandon(folder, address)
    goes_on(folder, "here still")
    monkeypatch.undo()
    moving.migrate(folder, address)
    with pytest.raises(Conflict):
        moving.abandon(folder, address)


def test_a_target_that_holds_another_log_is_refused_and_the_source_stays_open(folder, tmp_path, cluster):
    """Another log, the same log gone on by itself, and a log behind no fence: nothing is fenced, nothing copied."""
    address = cluster.address(cluster.schema())
    found(tmp_path / "other", store=address).ledger.close()
    with pytest.raises(Conflict):
        moving.migrate(folder, address)
    assert fence.standing(str(folder / "ledger.db")) is None
    arriving = tmp_path / "half.db"
    with closing(open_store(arriving)) as store:
        append(store, [b"not", b"ours"])
    with (
        closing(open_store(folder / "ledger.db")) as source,
        closing(open_store(arriving)) as target,
        pytest.raises(Conflict),
    ):
        moving.copy(source, target)
    goes_on(folder, "after")


@pytest.mark.parametrize("target", ["postgresql://a:secret@host/database", "elsewhere.db", "mysql://host"])
def test_a_target_that_can_be_none_is_refused(folder, target):
    """A password in the address, a file that the folder would not find, another database."""
    with pytest.raises(FormatError):
        moving.migrate(folder, target)
    assert fence.standing(str(folder / "ledger.db")) is None


def test_a_log_that_is_there_is_not_moved_there(folder, cluster):
    """And a folder that names a store which the log has left says so."""
    address = cluster.address(cluster.schema())
    with pytest.raises(Conflict, match="there already"):
        moving.migrate(folder, str(folder / "ledger.db"))
    shutil.copytree(folder, folder.with_name("stale"))
    moving.migrate(folder, address)
    moving._detached(folder / "ledger.db")
    shutil.copy(folder / "ledger.db", folder.with_name("stale") / "ledger.db")
    with pytest.raises(Conflict, match="elsewhere"):
        moving.migrate(folder.with_name("stale"), cluster.address(cluster.schema()))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entries SET state = CAST(x'00' || substr(state, 2) AS BLOB) WHERE rowid = 9",
        "UPDATE entries SET originator_version = 7 WHERE rowid = 9",
        "UPDATE entries SET topic = 'case.closed' WHERE rowid = 9",
        "UPDATE nodes SET hash = zeroblob(32) WHERE id = 12",
        "UPDATE seals SET root = zeroblob(32) WHERE size = 6",
        "UPDATE seals SET note = CAST(replace(note, x'0a360a', x'0a350a') AS BLOB) WHERE size = 6",
        "DELETE FROM entries WHERE rowid = 9",
    ],
)
def test_a_damaged_log_is_not_carried_on(folder, tmp_path, damage):
    """An entry, its row, a node, a checkpoint: what does not agree with the rest stops the copy."""
    with closing(sqlite3.connect(folder / "ledger.db")) as run:
        for (name,) in run.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            run.execute(f"DROP TRIGGER {name}")
        assert 1 == run.execute(damage).rowcount
        run.commit()
    with closing(open_store(folder / "ledger.db")) as source, closing(open_store(tmp_path / "copy.db")) as target:
        with pytest.raises((NotVerified, FormatError)):
            moving.copy(source, target)
        assert target.size() < 9


# --- backup and restore ---


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_backup_restores_to_the_same_log_from_either_store_into_either(tmp_path, cluster, kind):
    """While somebody publishes; the backup is a ledger that can be read; a second one adds to the first."""
    address = cluster.address(cluster.schema()) if kind == "postgres" else None
    town = found(tmp_path / "ledger", store=address)
    speak(town, "first")
    (town.ledger.folder / "law" / "abc").mkdir(parents=True)
    (town.ledger.folder / "law" / "abc" / "manifest").write_text("edition")

    first = moving.back_up(town.ledger.folder, tmp_path / "backup")
    speak(town, "second")
    second = moving.back_up(town.ledger.folder, tmp_path / "backup", signatures=False)
    assert (first.size, second.size) == (first.copied, first.size + second.copied)
    assert everything(town.store) == held(tmp_path / "backup" / "ledger.db")
    with closing(Ledger.open(tmp_path / "backup")) as copied:
        assert copied.store.read_only
        check_everything(copied)
    town.ledger.close()

    new = cluster.address(cluster.schema())
    for name, store in (("file", ""), ("database", new)):
        target = tmp_path / name
        moving.restore(tmp_path / "backup", target, store=store)
        LOG_KEYS.save(target)
        assert "edition" == (target / "law" / "abc" / "manifest").read_text()
        assert (store or str(target / "ledger.db")) == address_in(target)
        goes_on(target, "restored")


def test_a_backup_behind_the_published_checkpoint_is_not_restored(folder, tmp_path):
    """It says which entries are missing and what to do, and leaves everything as it was; nothing overrules it."""
    moving.back_up(folder, tmp_path / "backup")
    goes_on(folder, "published since")
    (folder / "ledger.db").rename(tmp_path / "lost.db")
    with pytest.raises(Conflict) as raised:
        moving.restore(tmp_path / "backup", folder)

    assert "entries 12 to 18 are missing" in raised.value.why
    assert "mirror" in raised.value.what_now
    assert not (folder / "ledger.db").exists()


def test_a_checkpoint_from_elsewhere_counts_and_a_forged_one_stops(folder, tmp_path):
    """A witness's copy shows that more was published; one that nobody of this log has signed shows nothing."""
    moving.back_up(folder, tmp_path / "backup")
    goes_on(folder, "published since")
    newest = (folder / "checkpoint").read_bytes()
    (tmp_path / "witness").write_bytes(newest)
    with pytest.raises(Conflict):
        moving.restore(tmp_path / "backup", tmp_path / "new", seen=[tmp_path / "witness"])
    (tmp_path / "forged").write_bytes(newest.replace(b"\n19\n", b"\n20\n"))
    (tmp_path / "noise").write_bytes(b"nothing")
    for name in ("forged", "noise"):
        with pytest.raises(NotVerified):
            moving.restore(tmp_path / "backup", tmp_path / "new", seen=[tmp_path / name])
    assert not (tmp_path / "new").exists()


def test_another_history_of_the_same_size_is_not_restored(tmp_path):
    """The same keys, the same origin, the same size, another root: that is a fork, and is called one."""
    for name, word in (("one", "alpha"), ("other", "omega")):
        town = found(tmp_path / name)
        speak(town, word)
        town.ledger.close()
    moving.back_up(tmp_path / "one", tmp_path / "backup")
    with pytest.raises(NotVerified, match="another history"):
        moving.restore(tmp_path / "backup", tmp_path / "new", seen=[tmp_path / "other" / "checkpoint"])


def test_a_damaged_backup_is_not_restored(folder, tmp_path):
    """One byte of one entry is enough, and is named."""
    moving.back_up(folder, tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup" / "ledger.db")) as run:
        run.execute("DROP TRIGGER entries_update")
        run.execute(
            "UPDATE entries SET state = CAST(substr(state, 1, length(state) - 1) || x'7f' AS BLOB) WHERE rowid = 9"
        )
        run.commit()
    with pytest.raises(NotVerified) as raised:
        moving.restore(tmp_path / "backup", tmp_path / "new")
    assert 8 == raised.value.index


def test_nothing_that_may_be_a_log_is_overwritten(folder, tmp_path, cluster):
    """Neither a file nor a database nor a backup of another log."""
    moving.back_up(folder, tmp_path / "backup")
    with pytest.raises(Conflict):
        moving.restore(tmp_path / "backup", folder)
    address = cluster.address(cluster.schema())
    found(tmp_path / "other", store=address).ledger.close()
    with pytest.raises(Conflict):
        moving.restore(tmp_path / "backup", tmp_path / "new", store=address)
    with pytest.raises(Conflict):
        moving.back_up(tmp_path / "other", tmp_path / "backup")
    assert held(folder / "ledger.db") == held(tmp_path / "backup" / "ledger.db")


def test_killed_at_any_step_a_backup_is_repeated(tmp_path, folder):
    """Whatever is left is nothing, or a sound beginning; the next run finishes it."""
    before = held(folder / "ledger.db")

    def work(left: Path, _note: Callable[[str], None]) -> None:
        moving.back_up(left, left / "backup", signatures=False)

    for left, _ in every_step(tmp_path, folder, work):
        work(left, print)
        assert before == held(left / "backup" / "ledger.db")


def edition(folder: Path) -> Path:
    """A ledger's folder with an edition of the law in it."""
    (folder / "law" / "abc").mkdir(parents=True)
    (folder / "law" / "abc" / "manifest").write_text("edition")
    return folder


def restored(backup: Path, folder: Path, place: str) -> None:
    """The log of the backup is in this place and takes entries; its name, checkpoint and law are beside it."""
    assert _open(place)
    assert held(backup / "ledger.db") == held(place)
    assert place == address_in(folder)
    assert (backup / "checkpoint").read_bytes() == (folder / "checkpoint").read_bytes()
    assert "edition" == (folder / "law" / "abc" / "manifest").read_text()


def test_killed_at_any_step_a_restore_is_repeated(tmp_path, folder):
    """A log that takes entries has its checkpoint and its law beside it; until then the same command goes on."""
    backup = tmp_path / "backup"
    moving.back_up(edition(folder), backup)
    (tmp_path / "base").mkdir()

    def work(left: Path, _note: Callable[[str], None]) -> None:
        moving.restore(backup, left, signatures=False)

    for left, _ in every_step(tmp_path, tmp_path / "base", work):
        place = str(left / "ledger.db")
        if not _open(place):
            work(left, print)
        restored(backup, left, place)


@pytest.mark.parametrize("before", ["copy", "compare", "_replace", "_copy_law", "_name", "_let_in"])
def test_a_restore_into_a_database_is_repeated_from_wherever_it_stopped(tmp_path, folder, cluster, before, monkeypatch):
    """Its fence falls last: nobody finds a log that takes entries, and lacks what belongs beside it."""
    backup, address = tmp_path / "backup", cluster.address(cluster.schema())
    moving.back_up(edition(folder), backup)
    with monkeypatch.context() as stopped:
        stopped.setattr(moving, before, lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            moving.restore(backup, tmp_path / "new", store=address, signatures=False)
    assert not _open(address)
    moving.restore(backup, tmp_path / "new", store=address, signatures=False)
    restored(backup, tmp_path / "new", address)


def test_a_move_is_finished_from_another_folder_than_it_was_begun_in(folder, cluster, monkeypatch):
    """A path that was relative where it was typed first names the same file."""
    moving.migrate(folder, cluster.address(cluster.schema()))
    monkeypatch.chdir(folder.parent)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(moving, "compare", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            moving.migrate(Path("ledger"), "ledger/ledger.db")
    monkeypatch.chdir("/")
    assert str(folder / "ledger.db") == moving.migrate(folder, str(folder / "ledger.db")).address
    goes_on(folder, "back")


def test_a_log_that_has_left_is_neither_backed_up_nor_restored(folder, tmp_path, cluster):
    """A copy of a former home would look like the log, and be behind it."""
    shutil.copytree(folder, tmp_path / "stale")
    moving.migrate(folder, cluster.address(cluster.schema()))
    moving._detached(folder / "ledger.db")
    shutil.copy(folder / "ledger.db", tmp_path / "stale" / "ledger.db")
    with pytest.raises(Conflict):
        moving.back_up(tmp_path / "stale", tmp_path / "backup")
    with pytest.raises(Conflict):
        moving.restore(tmp_path / "stale", tmp_path / "new")


def test_killed_between_writing_and_naming_the_store_the_folder_has_one_log(tmp_path, folder, cluster):
    """The file that names the store is there whole or not at all."""
    address = cluster.address(cluster.schema())
    shutil.copytree(folder, tmp_path / "left")
    for number in range(200):
        if not killed(number, lambda _: moving._name(tmp_path / "left", address), tmp_path / "notes"):
            break
        named = tmp_path / "left" / STORE_FILE
        assert not named.exists() or f"{address}\n" == named.read_text()
    assert address == address_in(tmp_path / "left")


def test_a_reopened_ledger_remembers_nothing_of_the_move(folder, cluster):
    """Receipts from before the move are answered after it with the same bytes."""
    town = opened(folder, Clock(LATE))
    signed = town.signed(town.opening("a case"), DE_PROSECUTOR)
    first = town.ledger.submit(signed)
    assert isinstance(first, Receipt)
    proof = first.proof
    town.ledger.close()
    moving.migrate(folder, cluster.address(cluster.schema()))
    again = opened(folder, Clock(LATE + 1_000_000_000))
    repeated = again.ledger.submit(signed)
    assert isinstance(repeated, Receipt)
    assert (first.index, proof) == (repeated.index, repeated.proof)
    reopened(again).ledger.close()
