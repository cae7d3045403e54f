"""What anybody can check: one byte changed and found, and a bundle verified in an empty environment."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Final

from ledger.cli.demo.cases import THEN, ZONE
from ledger.cli.demo.page import Report, Stage, command, say, section, typed
from ledger.cli.shown import short

_FAULTS: Final = 4


def damage(stage: Stage, report: Report) -> None:
    """6: one byte of a copy changed, and what the check finds."""
    from ledger.acts import catalogue
    from ledger.log.fsck import check
    from ledger.store.sqlite import SQLiteStore

    section(
        stage,
        6,
        "One byte changed, and found",
        "Somebody with access to the disk changes a ruling in a copy of the store; the tree and the publisher's "
        "signature contradict it, and the check names the entry.",
    )
    index = stage.ledger.labelled("hamburg-ruling").index
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "ledger.db"
        offset = _flip(stage.folder / "ledger.db", copy, stage.ledger.store.entry(index))
        with closing(SQLiteStore(copy, read_only=True)) as damaged:
            found = check(damaged, catalogue())
    say(stage, f"Entry {index}, the ruling from Hamburg: byte {offset} of the file, the 'a' of 'admitted', is now 'e'.")
    say(stage, "What `comity fsck` finds in the copy:")
    for fault in found.faults[:_FAULTS]:
        where = "the log" if fault.index is None else f"entry {fault.index}"
        say(stage, f"{where}: {fault.what}", indent=2, hang=2)
    if len(found.faults) > _FAULTS:
        say(stage, f"... and {len(found.faults) - _FAULTS} more", indent=2)
    named = any(fault.index == index for fault in found.faults)
    say(stage, f"The change was {'found' if named else 'NOT found'}; the original is untouched.")
    report.sections["damage"] = {
        "index": index,
        "sound": found.sound,
        "found": named,
        "faults": [{"index": fault.index, "what": fault.what} for fault in found.faults],
    }


def _flip(original: Path, copy: Path, entry: bytes) -> int:
    """
    Copy the store and change one byte of *entry* in the file, past every trigger that forbids it.

    Returns:
        The offset in the file.
    """
    with closing(sqlite3.connect(f"{original.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    data = bytearray(copy.read_bytes())
    at = data.find(entry)
    assert at >= 0, "an entry lies in the file in one piece"
    offset = at + entry.rindex(b"admitted")
    data[offset] = ord("e")
    copy.write_bytes(data)
    return offset


def bundle(stage: Stage, report: Report) -> None:
    """7: a bundle written, and verified where nothing of ours is installed."""
    section(
        stage,
        7,
        "A bundle, verified without us",
        "A court need not trust this program or its operator: the file holds the entries, their proofs and the "
        "verifier, which runs on the standard library of Python alone.",
    )
    case = stage.ledger.named("encrochat-de")
    file = stage.folder / "encrochat-de.zip"
    written = _comity("bundle", short(case), "--ledger", str(stage.folder), "--output", str(file), "--json", "--quiet")
    command(stage, f"comity bundle {short(case)} --ledger {typed(stage.folder)} --output {typed(file)}")
    lines: list[str] = []
    status: int | None = None
    pin = stage.ledger.pin().hex()
    if written.returncode == 0:
        with tempfile.TemporaryDirectory() as empty:
            with zipfile.ZipFile(file) as archive:
                (Path(empty) / "verify.py").write_bytes(archive.read("verify.py"))
            shutil.copy(file, Path(empty) / "bundle.zip")
            command(stage, "python3 -I -S verify.py bundle.zip --pin ...      (an empty folder, an empty environment)")
            checked = subprocess.run(  # noqa: S603 -- this interpreter, our own file
                [sys.executable, "-I", "-S", "verify.py", "bundle.zip", "--pin", pin],
                cwd=empty,
                env={},
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=60,
                check=False,
            )
        status = checked.returncode
        lines = [line for line in checked.stdout.splitlines() if not line[:3].strip().isdigit()]
        head, _, entries = checked.stdout.partition("Entries:")
        example = next((line for line in entries.splitlines() if "as reported by" in line), "")
        for line in (*head.splitlines(), "and each entry, with whose act it is and who says so, such as", example):
            say(stage, line.strip(), indent=2, hang=4)
        say(stage, f"Exit status {status}: {'verified' if status == 0 else 'NOT verified'}.", indent=2)
    else:
        say(stage, f"could not be written: {written.stderr.strip()}", indent=2)
    report.sections["bundle"] = {"file": str(file), "status": status, "pin": pin, "said": lines}


def _comity(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of our own commands in a process of its own."""
    return subprocess.run(  # noqa: S603 -- this interpreter, our own module, arguments made here
        [sys.executable, "-m", "ledger.cli", *arguments],
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def next_steps(stage: Stage) -> None:
    """8: commands with which everything shown can be asked again."""
    section(
        stage,
        8,
        "What to try next",
        f"The ledger is left in {stage.folder}: everything above can be asked again, of any case, as of any day.",
    )
    chat, stream = short(stage.ledger.named("chat-1")), short(stage.ledger.named("stream-1"))
    case, surrender = short(stage.ledger.named("encrochat-de")), short(stage.ledger.named("aranyosi"))
    place = f"--ledger {typed(stage.folder)}"
    for line in (
        f"comity case list {place}",
        f"comity case show {surrender} {place} --as-of 2016-04-05",
        f"comity exhibit trace {chat} {place} --as-of {THEN} --zone {ZONE}",
        f"comity exhibit trace {chat} {place} --basis --happened-by {THEN} --zone {ZONE}",
        f"comity exhibit rulings {stream} {place} --json",
        f"comity audit {case} {place} --known-by 2020-12-31",
        f"comity fsck {place}",
        f"comity verify {typed(stage.folder / 'encrochat-de.zip')}",
    ):
        command(stage, line)
