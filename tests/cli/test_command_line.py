"""What holds for every command: help, usage, streams, exit statuses, the three parts of an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given as for_any
from hypothesis import settings
from hypothesis import strategies as st
from typer.main import get_command

from ledger.cli.app import app
from ledger.cli.console import laid_out
from ledger.cli.trouble import EXIT_CODES, Trouble, explain
from ledger.errors import Conflict, Denied, FormatError, NotFound, NotPermitted, NotVerified, Unavailable
from tests.cli.world import World, comity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COMMANDS = [
    "demo",
    "init",
    "law",
    "due",
    "authority",
    "key",
    "publish",
    "case",
    "request",
    "exhibit",
    "audit",
    "project",
    "bundle",
    "verify",
    "fsck",
    "proof",
    "tail",
]
READING = (
    ("authority", "list"),
    ("authority", "show", "berlin"),
    ("case", "list"),
    ("case", "show", "case"),
    ("request", "list"),
    ("request", "show", "request"),
    ("exhibit", "show", "request"),
    ("exhibit", "trace", "request"),
    ("exhibit", "rulings", "request"),
    ("audit", "case"),
    ("tail",),
)


def python(*arguments: object, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own, under nobody's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMITY")}
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli", *map(str, arguments)],
        capture_output=True,
        check=False,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
    )


def test_help_names_every_command() -> None:
    """Help lists the commands, and the exit statuses, on standard output."""
    result = comity("--help")

    assert 0 == result.status
    assert "" == result.err
    assert all(f"  {command} " in result.out for command in COMMANDS)
    assert "8 unavailable" in result.out


def test_help_answers_at_once() -> None:
    """Help imports neither the store nor the cryptography: it answers in half a second."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        assert 0 == python("--help").returncode
        taken.append(time.perf_counter() - begun)
    probe = "import sys; from ledger.cli.app import app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)

    # The best of three: this machine may be busy with something else.
    assert min(taken) < 0.5
    assert not {"cryptography", "eventsourcing", "fastavro", "sqlite3"} & set(loaded.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    """Each command has help."""
    result = comity(command, "--help")

    assert 0 == result.status
    assert "usage" in result.out.lower()


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_commands_take_both_clocks(command: tuple[str, ...]) -> None:
    """Every reading command has JSON and the clock options."""
    path = command[:2] if command[0] in {"authority", "case", "request", "exhibit"} else command[:1]
    shown = comity(*path, "--help").out

    assert all(option in shown for option in ("--json", "--happened-by", "--known-by", "--as-of", "--zone"))


def test_completion() -> None:
    """Shells complete commands."""
    done = python(
        _COMITY_COMPLETE="complete_bash", COMP_WORDS="comity exh", COMP_CWORD="1",
    )  # fmt: skip

    assert "exhibit" in done.stdout.decode().split()


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("case", "show"),
        ("tail", "--from", "-1"),
        ("tail", "--nope"),
        ("proof", "one"),
        ("proof", "1", "2", "3"),
        ("publish",),
        ("init", "x", "--origin", "a.example/1", "--root", "germany"),
        ("init", "x", "--origin", "a.example/1", "--root", "DE=a", "--root", "FR=a"),
        ("init", "x", "--origin", "a.example/1", "--root", "DE=a:empire"),
        ("case", "list", "--as-of", "2020-06-02", "--known-by", "2020-06-02"),
        ("case", "list", "--as-of", "the day before"),
        ("case", "list", "--as-of", "2020-10-25T02:30", "--zone", "Europe/Berlin"),
        ("case", "list", "--zone", "Middle/Earth"),
        ("bundle",),
    ],
    ids=" ".join,
)
def test_usage(arguments: tuple[str, ...]) -> None:
    """A command typed wrongly ends with status 2, says what to do, and prints no data."""
    result = comity(*arguments)

    assert 2 == result.status
    assert "" == result.out
    assert result.err.startswith("error: ")
    assert "now: " in result.err


def test_errors_in_json() -> None:
    """With --json an error is one line of JSON on standard error."""
    result = comity("case", "list", "--as-of", "never", "--json")

    assert 2 == result.status
    assert ["--as-of"] == [fault["field"] for fault in result.trouble["faults"]]
    assert {"error", "exit", "what", "why", "now", "faults"} == set(result.trouble)


@pytest.mark.parametrize("command", [("audit", "case"), ("publish", "--template", "request.refused")], ids=" ".join)
def test_no_locale_is_needed(founded: World, command: tuple[str, ...]) -> None:
    """What ships with the program is read as it was written, on a machine that knows ASCII alone."""
    told = [founded.ids.get(word, word) for word in command]
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = python(*told, "--ledger", founded.folder, "--quiet", **bare)

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout


@pytest.mark.parametrize("command", [*READING, ("proof", "0"), ("fsck",), ("project", "status")], ids=" ".join)
def test_no_ledger(command: tuple[str, ...], tmp_path: Path) -> None:
    """Where there is no ledger, every command says so with status 4 and leaves nothing behind."""
    result = comity(*command, "--ledger", tmp_path / "none")

    assert 4 == result.status
    assert "comity init" in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_unknown_before_the_beginning(founded: World, command: tuple[str, ...]) -> None:
    """Before anything was known a list is empty, and a thing is not found."""
    told = [command[0], *(founded.ids.get(word, word) for word in command[1:])]
    result = founded.run(*told, "--as-of", "1999-12-31", "--json", "--quiet")

    if command in {("tail",), ("case", "list"), ("request", "list"), ("authority", "list")}:
        assert (0, "") == (result.status, result.out)
    else:
        assert 4 == result.status
        assert "" == result.out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 4),
        (Denied("x"), 5),
        (Conflict("x"), 6),
        (NotPermitted("x"), 7),
        (FormatError("x", field="body.ground"), 7),
        (Unavailable("x"), 8),
        (NotVerified("x", step="leaf", index=4), 3),
        (FileNotFoundError(2, "no", "drafts.json"), 4),
        (PermissionError(13, "no", "key.pem"), 5),
        (FileExistsError(17, "yes", "key.pem"), 6),
        (OSError(28, "no space left on device"), 8),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
        (Trouble(5, "x"), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_statuses(error: BaseException, status: int) -> None:
    """Each kind of error has its exit status, and says what happened and what to do now."""
    trouble = explain(error)

    assert status == trouble.status
    assert status in EXIT_CODES
    assert trouble.what
    assert status == json.loads(trouble.to_json())["exit"]


def test_no_tracebacks(founded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is one sentence with status 1; COMITY_DEBUG=1 shows where it lies."""
    from ledger.store.sqlite import SQLiteStore

    monkeypatch.setattr(SQLiteStore, "roster", lambda _: 1 / 0)
    result = founded.run("authority", "list")

    assert 1 == result.status
    assert "Traceback" not in result.err
    assert "COMITY_DEBUG=1" in result.err
    monkeypatch.setenv("COMITY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        founded.run("authority", "list")


def test_logs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are JSON lines on standard error, from the level that COMITY_LOG_LEVEL names on."""
    monkeypatch.setenv("COMITY_LOG_LEVEL", "info")
    draft = world.run("publish", "--template", "case.opened").json | {"occurred_from": "2020-06-02"}
    draft |= {"occurred_until": "2020-06-02", "zone": "Europe/Berlin", "language": "de"}
    draft["body"] |= {"procedure": "criminal", "stage": "investigation", "sensitivity": "ordinary"}
    result = world.publish(draft, more=("--quiet",))
    log = json.loads(result.err)

    assert ("published", "info", 1) == (log["event"], log["level"], log["accepted"])
    monkeypatch.delenv("COMITY_LOG_LEVEL")
    assert "" == world.publish(draft, more=("--quiet",)).err


def test_ledger_from_the_environment(founded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """COMITY_LEDGER names the ledger where --ledger does not."""
    monkeypatch.setenv("COMITY_LEDGER", str(founded.folder))

    assert founded.run("tail", "--json").out == comity("tail", "--json").out


def test_a_closed_pipe_is_no_error(founded: World) -> None:
    """A reader that has seen enough ends the command quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "tail", "--from", "0", "--json", "--ledger", founded.folder],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (0, b"") == (done.returncode, done.stderr)


def test_no_colour_in_pipes(founded: World) -> None:
    """What is written to a file or pipe has no colours, even where a terminal would."""
    done = python("authority", "list", "--ledger", founded.folder, NO_COLOR="1", TERM="xterm-256color")

    assert b"\x1b" not in done.stdout
    assert "Staatsanwaltschaft Berlin" in done.stdout.decode()


def test_a_reason_is_given_once(tmp_path: Path) -> None:
    """A single fault is the reason itself, and is not said again below it."""
    said = comity("init", tmp_path / "ledger", "--origin", "my ledger", "--root", "SE=sweden")

    assert 7 == said.status
    assert 1 == said.err.count("printable ASCII")


def test_help_is_not_cut_short() -> None:
    """What a command is for is said in a whole sentence, at eighty columns, in every group of commands."""
    every = getattr(get_command(app), "commands", {})
    groups = [name for name, one in every.items() if hasattr(one, "commands")]

    assert groups
    for group in ("", *groups):
        listed = comity(*group.split(), "--help").out.partition("Commands:")[2]
        assert listed.strip()
        assert "..." not in listed, group


@pytest.mark.parametrize("columns", ["", "20", "60", "100", "500", "none"])
def test_tables_in_a_pipe_keep_every_word(columns: str, founded: World) -> None:
    """Whatever COLUMNS says, an id is found whole and no cell is cut; lines are as wide as it says, or as needed."""
    done = python("authority", "list", "--ledger", founded.folder, COLUMNS=columns)
    said = done.stdout.decode()
    members = founded.run("authority", "list", "--json").lines

    assert all(member["authority"] in said for member in members)
    words = {word for member in members for word in member["called"].split()}
    assert words <= set(said.split())
    longest = max(map(len, said.splitlines()))
    assert longest <= max(100, int(columns)) if columns in {"100", "500"} else longest <= 160


@settings(deadline=None, max_examples=60)
@for_any(
    st.integers(1, 4).flatmap(
        lambda wide: st.lists(
            st.lists(st.text("ab- \u6771\u0308\n", max_size=40), min_size=wide, max_size=wide), min_size=1, max_size=4
        )
    ),
    st.integers(1, 60),
    st.booleans(),
)
def test_nothing_is_left_out_of_a_table(rows: list[list[str]], room: int, whole: bool) -> None:
    """Every letter of every cell stands in the lines, at any width, with wide letters and marks too."""
    lines = list(laid_out(rows, room, whole=whole))

    def letters(texts: Iterable[str]) -> list[str]:
        return sorted(letter for text in texts for letter in text if not letter.isspace() and letter != "-")

    assert letters(cell for row in rows for cell in row) == letters(lines)
