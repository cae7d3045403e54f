#!/usr/bin/env python3
"""
Hold any implementation against the conformance vectors. One file, standard library only.

    python3 kit/conformance.py run [--only GROUP] [--json] [--vectors DIR] -- PROGRAM [ARGUMENT...]
    python3 kit/conformance.py list

PROGRAM reads one JSON object a line on standard input and writes one a line on standard output, in the
same order: ``{"id": ..., "do": ..., "given": {...}}`` in, ``{"id": ..., "answer": {...}}`` out. What it does
not implement it answers with ``{"id": ..., "answer": {"unsupported": true}}``; that is counted and never
taken for right. It ends when its input ends. The operations are described in
``docs/publisher-kit/conformance.md``.

Exit status: 0 all vectors hold, 1 some do not, or are unsupported, 2 the program broke the protocol,
64 usage.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VECTORS: Final = Path(__file__).resolve().parent / "vectors"
SECONDS_MAX: Final = 120
"""How long a program may take for all vectors."""
SHOWN_MAX: Final = 20
"""How many vectors that do not hold are shown in full."""
LINE_MAX: Final = 1 << 20
"""Characters of one answer."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One question and its only right answer; ``says`` is the claim, for whoever reads the report."""

    group: str
    id: str
    says: str
    do: str
    given: dict[str, Any]
    expected: dict[str, Any]


class BrokenProtocol(Exception):  # noqa: N818 -- says what the program did
    """The program did not answer one line for each line."""


@dataclass(frozen=True, slots=True)
class Report:
    """How it went: the vectors that held, those that did not with what was answered, those not supported."""

    held: tuple[Vector, ...]
    failed: tuple[tuple[Vector, Any], ...]
    unsupported: tuple[Vector, ...]

    @property
    def passed(self) -> bool:
        """Whether every vector held."""
        return bool(self.held) and not self.failed and not self.unsupported


def vectors(folder: Path = VECTORS, only: Sequence[str] = ()) -> list[Vector]:
    """Return the vectors of a folder, one file for each group, in order of name."""
    found = []
    for file in sorted(folder.glob("*.json")):
        if only and file.stem not in only:
            continue
        rows = json.loads(file.read_text(encoding="utf-8"))
        found += [Vector(file.stem, **row) for row in rows]
    return found


def holds(expected: Any, answer: Any) -> bool:
    """
    Whether an answer is the expected one: the same JSON.

    The path of a faulty field may be left out; where one is given, it must be right.
    """
    if not isinstance(answer, dict):
        return False
    if "fault" in expected and "field" in expected and "field" not in answer:
        answer = {**answer, "field": expected["field"]}
    # 1 and true are equal to Python, and different to everybody else.
    return json.dumps(expected, sort_keys=True) == json.dumps(answer, sort_keys=True)


def run(program: Sequence[str], asked: Sequence[Vector], *, seconds: float = SECONDS_MAX) -> Report:
    """
    Ask a program every vector.

    Raises:
        BrokenProtocol: it did not start, ended early, took too long, or wrote something else than one JSON object
            for each line.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 -- running the program that the caller names is the purpose
            list(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1
        )
    except OSError as error:
        raise BrokenProtocol(f"{program[0]} cannot be run: {error.strerror}") from None
    late = threading.Timer(seconds, process.kill)
    late.start()
    try:
        with process:
            return _judged(asked, _answers(process, asked))
    finally:
        timely = late.is_alive()
        late.cancel()
        process.kill()
        if not timely:
            raise BrokenProtocol(f"it took longer than {seconds:.0f} seconds")


def _answers(process: subprocess.Popen[str], asked: Sequence[Vector]) -> Iterator[Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    for vector in asked:
        try:
            process.stdin.write(json.dumps({"id": vector.id, "do": vector.do, "given": vector.given}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise BrokenProtocol(f"it ended before it was asked {vector.id}") from None
        line = process.stdout.readline(LINE_MAX)
        if not line:
            raise BrokenProtocol(f"it ended without an answer to {vector.id}")
        try:
            said = json.loads(line)
            if said["id"] != vector.id:
                raise BrokenProtocol(f"asked {vector.id}, it answered {said['id']!r}")
            yield said["answer"]
        except (ValueError, KeyError, TypeError):
            raise BrokenProtocol(f"its answer to {vector.id} is no such object: {line.strip()[:200]}") from None
    process.stdin.close()


def _judged(asked: Sequence[Vector], answers: Iterator[Any]) -> Report:
    held: list[Vector] = []
    failed: list[tuple[Vector, Any]] = []
    unsupported: list[Vector] = []
    for vector, answer in zip(asked, answers, strict=True):
        if answer == {"unsupported": True}:
            unsupported.append(vector)
        elif holds(vector.expected, answer):
            held.append(vector)
        else:
            failed.append((vector, answer))
    return Report(tuple(held), tuple(failed), tuple(unsupported))


def plain(report: Report) -> str:
    """Return the report in words: a line for each group, then what does not hold."""
    everything = (*report.held, *(vector for vector, _ in report.failed), *report.unsupported)
    groups = sorted({vector.group for vector in everything})
    total, held = Counter(v.group for v in everything), Counter(v.group for v in report.held)
    left_out = Counter(v.group for v in report.unsupported)
    lines = []
    for group in groups:
        said = f"  {group:<14} {held[group]:>4} of {total[group]:>4} hold"
        lines.append(said + (f", {left_out[group]} unsupported" if left_out[group] else ""))
    for vector, answer in report.failed[:SHOWN_MAX]:
        lines += [
            f"DOES NOT HOLD {vector.id} ({vector.do}): {vector.says}",
            f"  expected {json.dumps(vector.expected)[:2000]}",
            f"  answered {json.dumps(answer)[:2000]}",
        ]
    if len(report.failed) > SHOWN_MAX:
        lines.append(f"and {len(report.failed) - SHOWN_MAX} more that do not hold")
    lines.append("CONFORMS" if report.passed else "DOES NOT CONFORM")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is that of the module's list."""
    given = list(sys.argv[1:] if argv is None else argv)
    program: list[str] = []
    if "--" in given:
        at = given.index("--")
        given, program = given[:at], given[at + 1 :]
    parser = argparse.ArgumentParser(prog="conformance", description="Hold an implementation against the vectors.")
    parser.add_argument("what", choices=["run", "list"])
    parser.add_argument(
        "--only", action="append", default=[], metavar="GROUP", help="this group alone; may be repeated"
    )
    parser.add_argument("--vectors", type=Path, default=VECTORS, metavar="DIR", help="folder of the vectors")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    try:
        options = parser.parse_args(given)
    except SystemExit as stopped:
        return 64 if stopped.code else 0
    asked = vectors(options.vectors, options.only)
    if not asked or (options.what == "run" and not program):
        print("there is no such group of vectors" if not asked else "name the PROGRAM after --", file=sys.stderr)
        return 64
    if options.what == "list":
        for vector in asked:
            print(f"{vector.group}\t{vector.id}\t{vector.do}\t{vector.says}")
        return 0
    try:
        report = run(program, asked)
    except BrokenProtocol as error:
        print(f"the program broke the protocol: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(
            json.dumps(
                {
                    "passed": report.passed,
                    "held": len(report.held),
                    "failed": [{"id": v.id, "expected": v.expected, "answered": answer} for v, answer in report.failed],
                    "unsupported": [v.id for v in report.unsupported],
                }
            )
        )
    else:
        print(plain(report))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
