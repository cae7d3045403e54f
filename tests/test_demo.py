"""
The demonstration, as a reader sees it.

``golden/demo.txt`` is its transcript. What differs from run to run or with the encoding (roots, pins,
key ids, folder, seconds, offset in the file) is masked; what is left changes only when the story or
the words of an answer change, and is then to be read again before it is written down.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from ledger.cli.demo import MARKER, WIDTH, demo
from ledger.errors import Conflict

GOLDEN = Path(__file__).parent / "golden" / "demo.txt"


def masked(text: str, folder: Path) -> str:
    """The stable parts of a transcript."""
    text = text.replace(str(folder), "DIR")
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"(log key )[0-9a-f]{8}", r"\1KEY", text)
    text = re.sub(r"byte \d+ of", "byte N of", text)
    # Whether the second signature can be checked depends on the installation: no part of the story.
    text = re.sub(r"(ML-DSA-44\): ).*", r"\1...", text)
    return re.sub(r"Told in [0-9.]+ seconds", "Told in N seconds", text)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, float]:
    """The transcript, the folder and the seconds of one demonstration in a process of its own."""
    import subprocess
    import sys

    # A path of fixed length: the transcript is wrapped at 100 columns.
    folder = tmp_path_factory.mktemp("told") / "demo"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "demo", "demo"],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout, folder, time.monotonic() - began


def test_the_transcript_is_the_one_reviewed(told: tuple[str, Path, float]):
    """Word for word, but for what is masked."""
    text, folder, _ = told
    assert GOLDEN.read_text(encoding="utf-8") == masked(text, folder)


def test_it_fits_a_hundred_columns_without_colour(told: tuple[str, Path, float]):
    """It can be read on any terminal, in a file and by a machine that reads aloud."""
    text, _, _ = told
    assert [] == [line for line in text.splitlines() if len(line) > WIDTH]
    assert "\x1b" not in text


def test_each_section_begins_with_what_it_shows(told: tuple[str, Path, float]):
    """Eight sections, numbered, each with its sentence."""
    text, _, _ = told
    heads = re.findall(r"^(\d)\. .+\n=+\n[A-Z].+", text, re.MULTILINE)
    assert list("12345678") == heads


def test_it_takes_less_than_twenty_seconds(told: tuple[str, Path, float]):
    """Long enough to read, short enough to wait."""
    assert told[2] < 20


def test_the_commands_that_it_ends_with_work(told: tuple[str, Path, float]):
    """What a reader is told to try next succeeds as it stands."""
    import shlex
    import subprocess
    import sys

    text, folder, _ = told
    commands = re.findall(r"^  comity (.+)$", text.partition("8. What to try next")[2], re.MULTILINE)
    assert 5 < len(commands)
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "ledger.cli", *shlex.split(command)],
            cwd=folder.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            check=False,
        )
        assert (command, 0) == (command, done.returncode), done.stderr


def test_as_json_every_section_is_there_and_the_change_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The same answers for machines; the damaged entry is named and the bundle verified."""
    demo(tmp_path / "demo", as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert {"played", "cases", "trail", "provenance", "rulings", "damage", "bundle", "seconds"} == set(answer)
    assert (True, False) == (answer["damage"]["found"], answer["damage"]["sound"])
    assert 0 == answer["bundle"]["status"]
    assert 7 == len(answer["cases"])
    outcomes = {(one["court"]["designation"], one["outcome"]) for one in answer["rulings"]}
    assert ("Hanseatisches Oberlandesgericht Hamburg", "admitted") in outcomes
    assert ("Landgericht Berlin", "excluded") in outcomes


def test_only_a_folder_that_a_demonstration_made_is_replaced(tmp_path: Path, told: tuple[str, Path, float]):
    """Nobody loses a file to a demonstration."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("kept")
    with pytest.raises(Conflict):
        demo(tmp_path / "mine", as_json=True)
    assert "kept" == (tmp_path / "mine" / "letter").read_text()
    shutil.copytree(told[1], tmp_path / "old")
    assert (tmp_path / "old" / MARKER).exists()
    demo(tmp_path / "old", as_json=True)
