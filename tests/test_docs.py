"""
The documentation is true: what it shows runs, what it links to exists, and what exists is in it.

Blocks marked ``console`` and ``python`` are run, page by page, in an empty folder with nothing of the person
who runs the tests. In a ``console`` block, lines after ``$`` are commands, lines after ``>`` continue them, and
the others are their output, in which ``...`` stands for anything. A command may fail only where the next one is
``echo $?``. A block after ``<!-- not run: reason -->`` is not run. Blocks of other languages are not run.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from docs.generate import commands, pages
from ledger.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md"), *ROOT.glob("re*/*.md")})
ADRS = sorted((DOCS / "adr").glob("*.md"))

BLOCK = re.compile(
    r"(?P<exempt><!-- not run: (?P<reason>[^>]+) -->\n+)?^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Step:
    """One command as a reader would type it, and the output they are promised (None: not shown)."""

    command: str
    output: str | None


def steps(page: Path, side: Path) -> list[Step]:
    """What a reader of *page* would do; Python blocks are put into files in the folder *side*."""
    found: list[Step] = []
    for number, block in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
        if block["exempt"]:
            continue
        if block["language"] == "python":
            script = side / f"block-{number}.py"
            script.write_text(block["text"], encoding="utf-8")
            found.append(Step(f"python {shlex.quote(str(script))}", None))
        elif block["language"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                lines = part.splitlines()
                last = next((n for n, line in enumerate(lines[1:], 1) if not line.startswith("> ")), len(lines))
                command = "\n".join([lines[0], *(line[2:] for line in lines[1:last])])
                output = "\n".join(lines[last:]).strip()
                found.append(Step(command, output or None))
    return found


def runnable(page: Path) -> bool:
    """Whether any block of *page* is run."""
    blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return any(block["language"] in {"console", "python"} and not block["exempt"] for block in blocks)


def name(page: Path) -> str:
    """How *page* is named in a list of tests."""
    return str(page.relative_to(ROOT))


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path):
    """Every command of a page ends as it should, in order, and prints what the page shows."""
    folder, home, side = tmp_path / "folder", tmp_path / "home", tmp_path / "side"
    for made in (folder, home, side):
        made.mkdir()
    todo = steps(page, side)
    # What `make demo` runs once its environment is there; building one inside a test would take minutes.
    script = ['make() { [ "$*" = demo ] && comity demo; }']
    for step in todo:
        script += ["{", step.command, "} 2>&1", r"status=$?; printf '\0%d\0' $status; (exit $status)"]
    done = subprocess.run(
        ["bash"],
        input="\n".join(script) + "\n",
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
        check=False,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(home),
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",  # so that the two outputs interleave as on a terminal
        },
    )
    parts = done.stdout.split("\0")
    check = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

    assert len(todo) == len(parts) // 2, done.stdout + done.stderr
    for number, step in enumerate(todo):
        said, status = parts[2 * number], int(parts[2 * number + 1])
        following = todo[number + 1].command if number + 1 < len(todo) else ""

        assert 0 == status or following == "echo $?", f"$ {step.command}\n{said}"
        if step.output is not None:
            assert check.check_output(step.output + "\n", said.strip() + "\n", flags), (
                f"$ {step.command}\nshown:\n{step.output}\nprinted:\n{said}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_an_example_that_is_not_run_says_why(page: Path):
    """Nothing is exempt from being run without a reason."""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        assert not block["exempt"] or len(block["reason"].split()) > 2


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path):
    """Every link within the repository leads to a file, and to a heading in it where one is named."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target, _, anchor = link["target"].partition("#")
        if target.startswith(("https://", "mailto:")):
            continue
        leads_to = (page.parent / target).resolve() if target else page

        assert leads_to.is_relative_to(ROOT), link["target"]
        assert leads_to.exists(), link["target"]
        if anchor:
            headings = re.findall(r"^#+ (.+)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, link["target"]


def test_every_page_is_reached_from_the_front_page():
    """No page of the documentation lies unlinked."""
    linked = {(DOCS / link["target"].partition("#")[0]).resolve() for link in _links(DOCS / "README.md")}

    assert set() == {name(page) for page in DOCS.rglob("*.md") if page not in linked} - {"docs/README.md"}


@pytest.mark.parametrize("page", ADRS, ids=name)
def test_every_decision_is_complete(page: Path):
    """A decision says what it decides, in the order that a reader expects."""
    text = page.read_text(encoding="utf-8")

    assert ["Status", "Context", "Decision", "Consequences"] == re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert text.startswith(f"# {int(page.name[:4])}. ")


def test_decisions_are_numbered_without_gaps():
    """A decision that was withdrawn stays, superseded."""
    assert list(range(1, len(ADRS) + 1)) == [int(page.name[:4]) for page in ADRS]


def test_generated_pages_are_current():
    """The pages that describe commands and schemas say what these say now; else: make docs."""
    stale = [name(page) for page, text in pages().items() if not page.exists() or page.read_text("utf-8") != text]

    assert [] == stale


COMMANDS = [" ".join(names) for names, _ in commands(get_command(app))]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_documented(command: str):
    """Every command has its section in the reference, with what it is for."""
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {command}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)

    assert section is not None
    assert len(BLOCK.sub("", section[1]).split()) > 3


def test_every_variable_of_the_environment_is_documented():
    """What the program reads from its environment is in the reference."""
    sources = [file for package in ("ledger", "projections") for file in (ROOT / package).rglob("*.py")]
    read = {name for file in sources for name in re.findall(r"COMITY_[A-Z_]+", file.read_text(encoding="utf-8"))}
    documented = set(
        re.findall(r"^\| `(COMITY_[A-Z_]+)`", (DOCS / "reference" / "cli.md").read_text("utf-8"), re.MULTILINE)
    )

    assert set() == read - documented


def _links(page: Path) -> list[re.Match[str]]:
    return [link for link in LINK.finditer(page.read_text(encoding="utf-8")) if "://" not in link["target"]]
