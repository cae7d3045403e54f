"""
``comity demo``: two real cases, told as a judge would ask about them.

Nothing here is prepared: the scenarios are played through the ordinary publishing path, every answer
comes from the projections that the other commands use, and the last two sections run those commands
themselves, on a damaged copy and in an empty folder.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ledger.cli.console import laid_out
from ledger.cli.exhibits import ruling_of
from ledger.cli.shown import day, said_by, when, who
from ledger.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.scenarios import Scenario, Simulation
    from projections.admissibility import Standing
    from projections.provenance import BasisStep, Provenance
    from projections.status import CaseStatus, ThingStatus
    from projections.views import Views

WIDTH: Final = 100
SCENARIOS: Final = ("encrochat", "aranyosi")
FOLDER: Final = Path("demo")
MARKER: Final = "made-by-comity-demo"
THEN: Final = "2020-06-02"
ZONE: Final = "Europe/Berlin"
TRAIL: Final = 6
"""How many lines of the audit trail are shown."""
_NEXT: Final = 3
_FAULTS: Final = 4
_SHOWN: Final = ("request", "handover", "joint_team", "challenge")
_PLURAL: Final = {"request": "Requests", "handover": "Surrender", "joint_team": "Joint team", "challenge": "Challenges"}
_HALVES: Final = "other_half_missing"


@dataclass(frozen=True, slots=True)
class _Stage:
    """The ledger played, its projections, and how slugs and ids read."""

    folder: Path
    ledger: Simulation
    views: Views
    scenarios: tuple[Scenario, ...]
    titles: dict[str, str]
    quiet: bool

    def title(self, identity: str) -> str:
        """The title that the scenario gives a thing; its id where it gives none."""
        return self.titles.get(identity, identity)


@dataclass(slots=True)
class _Report:
    """What ``--json`` prints: one object a section, in the order told."""

    sections: dict[str, Any] = field(default_factory=dict)


def demo(folder: Path | None, as_json: bool) -> None:
    """
    Play both scenarios into *folder* and tell what the ledger knows of them.

    Args:
        folder: where the ledger is left; ``./demo`` when None. A folder that an earlier demonstration
            made is replaced; any other that is not empty is left alone.
        as_json: print one JSON document instead of the narration.

    Raises:
        Conflict: the folder holds something else.
    """
    # Imported when it runs: the command line loads this module to list its commands.
    from ledger import resources
    from ledger.acts import catalogue
    from ledger.scenarios import load, play
    from projections.runner import Runner

    began = time.monotonic()
    place = _place(folder or FOLDER)
    scenarios = tuple(load(resources.path("scenarios") / f"{name}.toml") for name in SCENARIOS)
    report = _Report()
    with closing(play(scenarios, place)) as ledger:
        with closing(Runner(ledger.store, catalogue(), place / "projections.db")) as filling:
            filling.catch_up()
            with filling.views() as views:
                titles = {
                    str(UUID(bytes=ledger.named(item.slug))): item.title
                    for scenario in scenarios
                    for item in scenario.items.values()
                }
                stage = _Stage(place, ledger, views, scenarios, titles, as_json)
                for tell in (_played, _cases, _trail, _provenance, _rulings):
                    tell(stage, report)
        _damage(stage, report)
        _bundle(stage, report)
        _next(stage)
    seconds = time.monotonic() - began
    if as_json:
        sys.stdout.write(
            json.dumps({**report.sections, "seconds": round(seconds, 1)}, ensure_ascii=False, indent=2) + "\n"
        )
    else:
        _say(stage, f"\nTold in {seconds:.1f} seconds.")


def _place(folder: Path) -> Path:
    """An empty folder, known to be ours to replace the next time."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise Conflict(
                f"{folder} is not empty",
                why="only a folder that a demonstration made is replaced",
                what_now="name another with `comity demo DIR`",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("Made by `comity demo`; the next demonstration here replaces it.\n")
    return folder


# ------------------------------------------------------------------------------------------- words


def _say(stage: _Stage, text: str = "", *, indent: int = 0, hang: int = 0) -> None:
    """A paragraph of at most 100 columns."""
    if stage.quiet:
        return
    lead = text[: len(text) - len(text.lstrip("\n"))]
    body = text[len(lead) :]
    lines = textwrap.wrap(
        body, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hang), break_on_hyphens=False
    )
    sys.stdout.write(lead + "\n".join(lines) + "\n")


def _head(stage: _Stage, number: int, title: str, why: str) -> None:
    if stage.quiet:
        return
    sys.stdout.write(f"\n{number}. {title}\n{'=' * (len(title) + len(str(number)) + 2)}\n")
    _say(stage, why)
    sys.stdout.write("\n")


def _table(stage: _Stage, rows: Sequence[Sequence[str]]) -> None:
    if not stage.quiet:
        sys.stdout.write("".join(f"{line}\n" for line in laid_out(rows, WIDTH)))


def _command(stage: _Stage, text: str) -> None:
    if not stage.quiet:
        sys.stdout.write(f"  {text.replace('comity ', f'{_program()} ', 1) if text.startswith('comity ') else text}\n")


# ---------------------------------------------------------------------------------------- sections


def _played(stage: _Stage, report: _Report) -> None:
    from ledger.verify import parse_checkpoint, parse_note

    told = stage.ledger.told.published
    head = parse_checkpoint(parse_note(stage.ledger.checkpoint()).text)
    reported = sum(one.said.voice == "reported" for one in told)
    unconfirmed = sum(not one.said.confirmed for one in told)
    _head(
        stage,
        1,
        "Two real cases, published statement by statement",
        "Every statement below was signed by the authority that publishes it, checked against the rules, and sealed "
        "into one append-only tree: whoever keeps the root of the tree can show later that no entry was changed, "
        "removed or slipped in.",
    )
    for scenario in stage.scenarios:
        _say(stage, f"- {scenario.title}: {len(scenario.statements)} statements", hang=2)
    _say(
        stage,
        f"{reported} of the {len(told)} statements report what others did, courts and States that have no key here, "
        f"each naming its source; the dates of {unconfirmed} could not be confirmed, and are marked so. Authorities "
        "and rulings are real; persons, keys and the single chat are synthetic.",
    )
    _say(stage, f"\nledger {head.origin}")
    _say(
        stage,
        f"size   {head.size} entries: these statements, and {head.size - len(told)} that found the ledger and say who "
        "may sign",
        hang=7,
    )
    _say(stage, f"root   {head.root.hex()}")
    report.sections["played"] = {
        "folder": str(stage.folder),
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "statements": len(told),
        "reported": reported,
        "unconfirmed": unconfirmed,
    }


def _cases(stage: _Stage, report: _Report) -> None:
    from projections import status
    from projections.facts import to_json

    _head(
        stage,
        2,
        "Where each case stands, and what may come next",
        "A judge who takes over a file sees at once what has been asked, decided and answered, and what the procedure "
        "still allows; what only one side has said stays visible as one half.",
    )
    shown = []
    for scenario in stage.scenarios:
        for item in scenario.items.values():
            if item.kind != "case":
                continue
            found = status.case(stage.views, stage.ledger.named(item.slug))
            shown.append(to_json(found))
            _case(stage, found)
    report.sections["cases"] = shown


def _case(stage: _Stage, found: CaseStatus) -> None:
    _say(
        stage,
        f"{stage.title(found.case)}: {(found.stage or 'unknown').replace('_', ' ')}, {found.entries} entries",
        hang=2,
    )
    for kind in _SHOWN:
        things = [thing for thing in found.things if thing.thing_kind == kind]
        if things:
            _say(stage, _PLURAL[kind], indent=2)
        for thing in things:
            _thing(stage, thing)
    missing, beside = len(found.unmatched), len(found.out_of_procedure)
    if missing or beside:
        parts = []
        if missing:
            parts.append(f"{missing} {'half waits' if missing == 1 else 'halves wait'} for the other side")
        if beside:
            parts.append(
                f"{beside} {'step was' if beside == 1 else 'steps were'} recorded although an earlier one is missing"
            )
        _say(stage, f"Noted: {'; '.join(parts)}.", indent=2, hang=2)
    _say(stage)


def _thing(stage: _Stage, thing: ThingStatus) -> None:
    how = " (by report only)" if thing.reported else ""
    _say(
        stage,
        f"{stage.title(thing.thing)}. {thing.stage_words.rstrip('.')}{how}: entry {thing.index}.",
        indent=4,
        hang=2,
    )
    # What may be said of anything at any time tells nothing about where this thing stands.
    acts = [step.words for step in thing.next if not step.act.startswith(("statement.", "finding.", "time_limit."))]
    if acts:
        more = f", and {len(acts) - _NEXT} more" if len(acts) > _NEXT else ""
        _say(stage, f"may come next: {', '.join(acts[:_NEXT])}{more}", indent=6, hang=2)


def _trail(stage: _Stage, report: _Report) -> None:
    from projections import audit
    from projections.facts import to_json

    _head(
        stage,
        3,
        "The audit trail",
        "Who did what, when, under which article, in the order in which the ledger learned it: the thread that a "
        "remedy or an oversight body follows.",
    )
    case = stage.ledger.named("encrochat-de")
    lines = audit.case(stage.views, case).lines
    for line in lines[:TRAIL]:
        articles = f" [{'; '.join(line.articles)}]" if line.articles else ""
        _say(stage, f"{line.index:>4}  {line.sentence}{articles}", hang=6)
    _say(stage, f"... {len(lines) - TRAIL} more: see", indent=6)
    _command(stage, f"comity audit {_short(case)} --ledger {_typed(stage.folder)}")
    report.sections["trail"] = {
        "case": str(UUID(bytes=case)),
        "entries": len(lines),
        "lines": [to_json(x) for x in lines[:TRAIL]],
    }


def _provenance(stage: _Stage, report: _Report) -> None:
    from ledger.drafts import instant
    from projections import provenance
    from projections.facts import to_json

    _head(
        stage,
        4,
        "Where one chat comes from: as of 2 June 2020, and as of today",
        "Evidence is judged by what was known when it was used. The ledger has two clocks, when things happened and "
        "when it was told of them; as of a day means both, to the end of that day, here in Berlin.",
    )
    chat = stage.ledger.named("chat-1")
    at = instant(THEN, zone=ZONE, end=True)
    then = provenance.exhibit(stage.views, chat, happened_by=at, known_by=at)
    happened = provenance.exhibit(stage.views, chat, happened_by=at)
    now = provenance.exhibit(stage.views, chat)
    steps = provenance.legal_basis_timeline(stage.views, chat)
    rows = [("", "as of 2 June 2020", "as of today")]
    rows += [(name, read(then), read(now)) for name, read in _ASPECTS]
    _table(stage, rows)
    difference = _difference(then, happened, now, steps)
    _say(stage, "\n" + difference)
    path = [hop for hop in now.chain if hop.on_path and hop.step in _LINKS]
    _say(
        stage,
        f"\nThe chain as of today, from the authorisation to the court: the {len(path)} of its {len(now.chain)} links "
        "by which the chat came there. In brackets what no entry shows: a hash of what moved, the word of the other "
        "side, the word of anybody concerned.",
    )
    for hop in path:
        gaps = [_GAPS[gap.code] for gap in hop.gaps if gap.code in _GAPS]
        if hop.said.voice == "reported" and _GAPS["reported_only"] not in gaps:
            gaps.append(_GAPS["reported_only"])
        _say(stage, f"{hop.index:>4}  {_link(hop)}" + (f"  [{'; '.join(gaps)}]" if gaps else ""), hang=6)
    _say(stage, "\nOn which authority, and since when:")
    for step in steps:
        if step.step in _BASIS:
            late = (
                f" - before it was authorised (entry {step.authorised_index})"
                if step.before_authorisation and step.step == "disclosed"
                else ""
            )
            _say(
                stage,
                f"{step.index:>4}  {when(step.when)}: {_BASIS[step.step]}, {said_by(step.said)}{late}",
                hang=6,
            )
    report.sections["provenance"] = {
        "exhibit": str(UUID(bytes=chat)),
        "as_of": THEN,
        "then": to_json(then),
        "now": to_json(now),
        "difference": difference,
    }


def _held(found: Provenance) -> str:
    own = [holding for holding in found.holders if holding.exhibit == found.exhibit]
    return who(own[-1].authority) if own else "nobody is shown"


def _germans(found: Provenance) -> list[int]:
    """Indexes of the formal requests of Germany that are shown."""
    return sorted(
        {index for holding in found.holders if holding.authority.country == "DE" for index in holding.requests}
    )


def _asked(found: Provenance) -> str:
    shown = _germans(found)
    return (
        f"{len(shown)} orders of Germany: entries {', '.join(map(str, shown))}"
        if shown
        else "none of Germany is recorded"
    )


def _bound(found: Provenance) -> str:
    words = []
    for condition in found.conditions:
        for one in condition.recipients:
            uses = " or ".join(use.replace("_", " ") for use in one.purposes) or "any use"
            words.append(f"{who(one.authority)}: {uses}")
    return "; ".join(words) or "no condition"


def _unknown(found: Provenance) -> str:
    return (
        "; ".join(
            f"{' and '.join(fact.replace('_', ' ') for fact in one.facts)}: {one.ground.replace('_', ' ')}"
            for one in found.withheld
        )
        or "nothing"
    )


def _doubted(found: Provenance) -> str:
    return (
        "; ".join(f"entry {hop.index}, {said_by(hop.said)}" for hop in found.chain if hop.step == "discrepancy")
        or "none is recorded"
    )


def _counted(found: Provenance) -> str:
    hashes = sum(gap.code == "hash_missing" for gap in found.gaps)
    halves = sum(gap.code == _HALVES for gap in found.gaps)
    return f"{len(found.chain)} links, {hashes} without a hash, {halves} with one half only"


_ASPECTS: Final = (
    ("Held by", _held),
    ("Formal requests", _asked),
    ("May be used for", _bound),
    ("Withheld", _unknown),
    ("Doubts reported", _doubted),
    ("The chain", _counted),
)

_LINKS: Final = frozenset(
    {"authorised", "measured", "acquired", "withheld", "handed_over", "taken_over", "derived", "disclosed"}
)
_GAPS: Final = {
    "hash_missing": "no hash",
    "other_half_missing": "other half missing",
    "reported_only": "by report only",
    "not_reproducible": "cannot be repeated",
}
_BASIS: Final = {
    "information_sent": "announced without a request",
    "condition_attached": "bound to police evaluation",
    "disclosed": "DISCLOSED to Germany",
    "requested": "asked for by a European Investigation Order",
    "use_authorised": "AUTHORISED for use in criminal proceedings",
    "condition_lifted": "condition lifted",
}
_DID: Final = {
    "authorised": "authorised the measure",
    "measured": "started the measure",
    "acquired": "collected the data",
    "withheld": "withheld the method",
    "derived": "made an extract",
}


def _link(hop: Any) -> str:
    did = _DID.get(hop.step)
    takers = ", ".join(who(one) for one in hop.takers)
    if did is None:
        verb = {"handed_over": "handed over to", "disclosed": "disclosed to", "taken_over": "took over from"}[hop.step]
        other = who(hop.giver) if hop.step == "taken_over" else takers
        did = f"{verb} {other}"
    return f"{when(hop.when)}: {who(hop.said.speaker)} {did}"


def _difference(then: Provenance, happened: Provenance, now: Provenance, steps: Sequence[BasisStep]) -> str:
    """What differs between the days and between the clocks; each clause only if the answers bear it out."""
    clauses = []
    if not _germans(then) and any(one.authority.country == "DE" for one in then.holders):
        clauses.append(
            "By the end of 2 June 2020 the ledger had been told that Germany held the chat, for evaluation by the "
            "police only, and of no order of Germany."
        )
    later = set(_germans(happened)) - set(_germans(then))
    clauses += [
        f"The order dated {when(step.when)} (entry {step.index}) was recorded on {day(step.when.recorded_at, ZONE)}: "
        "as it is dated it had happened by then, but the ledger did not know."
        for step in steps
        if step.index in later
    ]
    clauses.append(f"Today {len(_germans(now))} orders are shown.")
    clauses += [
        f"{who(lift.said.speaker)} widened the condition on {when(lift.when)} to "
        f"{' and '.join(use.replace('_', ' ') for use in lift.purposes) or 'any use'} (entry {lift.index})."
        for condition in now.conditions
        for lift in condition.lifted
    ]
    clauses += [
        f"{who(hop.said.speaker)} doubted the integrity of the data on {when(hop.when)} (entry {hop.index}"
        f"{', by report' if hop.said.voice == 'reported' else ''})."
        for hop in now.chain
        if hop.step == "discrepancy"
    ]
    if now.withheld:
        clauses.append("The method is still withheld.")
    return " ".join(clauses)


def _rulings(stage: _Stage, report: _Report) -> None:
    from projections import admissibility
    from projections.facts import to_json

    _head(
        stage,
        5,
        "One exhibit, admitted in Hamburg and excluded in Berlin",
        "Admissibility belongs to a court, its proceedings and their stage, never to the exhibit: both rulings stand "
        "at once, and an overturned one stays in the history.",
    )
    exhibit = stage.ledger.named("stream-1")
    found = admissibility.exhibit(stage.views, exhibit, lineage=False)
    _say(stage, f"{stage.title(str(UUID(bytes=exhibit)))}, exhibit {_short(exhibit)}")
    _say(stage)
    rows = [("court", "proceedings", "stage", "outcome", "decided", "entry")]
    rows += [_ruling(stage, one) for one in found]
    _table(stage, rows)
    reports = [(last.index, last.said) for one in found if (last := ruling_of(one)).said.voice == "reported"]
    _say(
        stage,
        f"\n{len(found) - len(reports)} of the {len(found)} rulings was published by the court itself; the others are "
        "known by report alone:",
    )
    for index, said in reports:
        _say(stage, f"{index:>4}  {said_by(said)}", hang=6)
    report.sections["rulings"] = to_json(list(found))


def _ruling(stage: _Stage, one: Standing) -> tuple[str, str, str, str, str, str]:
    last = ruling_of(one)
    outcome = one.outcome.upper() if one.outcome else f"{last.outcome}, {one.standing} by entry {one.index}"
    return (who(one.court), stage.title(one.proceedings), one.stage, outcome, when(last.when), str(last.index))


def _damage(stage: _Stage, report: _Report) -> None:
    from ledger.acts import catalogue
    from ledger.log.fsck import check
    from ledger.store.sqlite import SQLiteStore

    _head(
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
    _say(
        stage, f"Entry {index}, the ruling from Hamburg: byte {offset} of the file, the 'a' of 'admitted', is now 'e'."
    )
    _say(stage, "What `comity fsck` finds in the copy:")
    for fault in found.faults[:_FAULTS]:
        where = "the log" if fault.index is None else f"entry {fault.index}"
        _say(stage, f"{where}: {fault.what}", indent=2, hang=2)
    if len(found.faults) > _FAULTS:
        _say(stage, f"... and {len(found.faults) - _FAULTS} more", indent=2)
    named = any(fault.index == index for fault in found.faults)
    _say(stage, f"The change was {'found' if named else 'NOT found'}; the original is untouched.")
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


def _bundle(stage: _Stage, report: _Report) -> None:
    _head(
        stage,
        7,
        "A bundle, verified without us",
        "A court need not trust this program or its operator: the file holds the entries, their proofs and the "
        "verifier, which runs on the standard library of Python alone.",
    )
    case = stage.ledger.named("encrochat-de")
    file = stage.folder / "encrochat-de.zip"
    written = _comity("bundle", _short(case), "--ledger", str(stage.folder), "--output", str(file), "--json", "--quiet")
    _command(stage, f"comity bundle {_short(case)} --ledger {_typed(stage.folder)} --output {_typed(file)}")
    lines: list[str] = []
    status: int | None = None
    pin = stage.ledger.pin().hex()
    if written.returncode == 0:
        with tempfile.TemporaryDirectory() as empty:
            with zipfile.ZipFile(file) as archive:
                (Path(empty) / "verify.py").write_bytes(archive.read("verify.py"))
            shutil.copy(file, Path(empty) / "bundle.zip")
            _command(stage, "python3 -I -S verify.py bundle.zip --pin ...      (an empty folder, an empty environment)")
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
            _say(stage, line.strip(), indent=2, hang=4)
        _say(stage, f"Exit status {status}: {'verified' if status == 0 else 'NOT verified'}.", indent=2)
    else:
        _say(stage, f"could not be written: {written.stderr.strip()}", indent=2)
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


def _next(stage: _Stage) -> None:
    _head(
        stage,
        8,
        "What to try next",
        f"The ledger is left in {stage.folder}: everything above can be asked again, of any case, as of any day.",
    )
    chat, stream = _short(stage.ledger.named("chat-1")), _short(stage.ledger.named("stream-1"))
    case, surrender = _short(stage.ledger.named("encrochat-de")), _short(stage.ledger.named("aranyosi"))
    place = f"--ledger {_typed(stage.folder)}"
    for command in (
        f"comity case list {place}",
        f"comity case show {surrender} {place} --as-of 2016-04-05",
        f"comity exhibit trace {chat} {place} --as-of {THEN} --zone {ZONE}",
        f"comity exhibit trace {chat} {place} --basis --happened-by {THEN} --zone {ZONE}",
        f"comity exhibit rulings {stream} {place} --json",
        f"comity audit {case} {place} --known-by 2020-12-31",
        f"comity fsck {place}",
        f"comity verify {_typed(stage.folder / 'encrochat-de.zip')}",
    ):
        _command(stage, command)


def _typed(path: Path) -> str:
    """A path as it is to be typed in a shell."""
    return shlex.quote(str(path))


def _program() -> str:
    """How this command is called here: a fresh checkout has it in .venv/bin, not on the path."""
    called = Path(sys.argv[0])
    if called.name != "comity" or shutil.which("comity"):
        return "comity"
    absolute = called.absolute()
    return _typed(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


def _short(identity: bytes) -> str:
    return identity.hex()[:8]


__all__ = ["demo"]
