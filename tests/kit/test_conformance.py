"""The conformance suite: its vectors are what Comity itself answers, and whoever answers otherwise is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kit.conformance import VECTORS, BrokenProtocol, Vector, holds, main, run, vectors
from kit.write import files
from ledger.acts import catalogue

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = [sys.executable, "-m", "kit.answer"]
CODES = {
    "admitted",
    "first_answer",
    "malformed",
    "unauthenticated",
    "wrong_ledger",
    "out_of_order",
    "id_reused",
    "sequence_reused",
    "too_large",
    "draft_act",
}


def program(source: str) -> list[str]:
    """A program that reads each vector as ``asked`` and runs *source*, which makes ``answer``."""
    code = (
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        f"    {source}\n"
        "    print(json.dumps({'id': asked['id'], 'answer': answer}), flush=True)\n"
    )
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """What the files should hold."""
    return dict(files())


def test_the_vectors_are_those_that_our_code_makes_now(written):
    """A change of the wire cannot happen unseen: it changes a file that others build against."""
    kept = {file.name: file.read_text(encoding="utf-8") for file in VECTORS.iterdir()}

    assert written.keys() == kept.keys()
    assert [] == [name for name, said in written.items() if kept[name] != said]


def test_our_implementation_passes_through_the_same_protocol(monkeypatch):
    """What we ask of others we answer ourselves, over the same two pipes."""
    monkeypatch.chdir(ROOT)
    report = run(OURS, vectors())

    assert report.passed
    assert len(report.held) == len(vectors())


def test_the_suite_needs_nothing_installed(tmp_path):
    """The runner is one file that Python runs by itself, without what this project installs."""
    copied = tmp_path / "conformance.py"
    copied.write_bytes((ROOT / "kit" / "conformance.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copied), "list", "--vectors", str(VECTORS), "--only", "outbox"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip

    assert len(vectors(only=["outbox"])) == len(done.stdout.splitlines())


def test_every_answer_of_admission_has_its_vector():
    """A publisher meets each of them here before he meets it in earnest."""
    seen = {vector.expected["answer"] for vector in vectors(only=["admission"])}
    read = {vector.expected.get("code") for vector in vectors(only=["refusal"])}

    assert seen == CODES
    assert CODES - {"admitted", "first_answer"} <= read


def test_every_field_of_a_statement_fails_somewhere():
    """No field is left whose decoding nobody asks about."""
    failed = {
        vector.expected["field"].split(".")[0].split("[")[0]
        for vector in vectors(only=["statement"])
        if vector.do == "decode_statement" and "fault" in vector.expected
    }
    fields = {field["name"] for field in json.loads((ROOT / "schemas" / "statement.avsc").read_text())["fields"]}

    assert fields <= failed


def test_every_released_act_has_its_body():
    """Whoever passes can write and read every act that this ledger takes."""
    acts = {(act.name, act.version) for act in catalogue().acts() if act.released}
    asked = {(v.given["act"], v.given["version"]) for v in vectors(only=["body"]) if v.do == "encode_body"}

    assert acts == asked


def test_no_two_vectors_have_one_name():
    """A report names each by its id alone."""
    assert [] == [one for one, count in Counter(vector.id for vector in vectors()).items() if count > 1]


# --- the runner has teeth ---


def test_whoever_says_yes_to_everything_fails():
    """A verifier that always agrees is the fault that the suite is for."""
    report = run(program("answer = {'holds': True}"), vectors(only=["signature"]))

    assert not report.passed
    assert all(answer == {"holds": True} for _, answer in report.failed)
    assert all(vector.expected == {"holds": True} for vector in report.held)


def test_whoever_decodes_loosely_fails():
    """Each vector that must fail does fail the one who gives a value."""
    must = [vector for vector in vectors(only=["statement"]) if "fault" in vector.expected]
    report = run(program("answer = {'value': {}}"), must)

    assert len(must) == len(report.failed)


def test_what_is_not_supported_is_counted_and_not_taken_for_right():
    """Nobody conforms by answering nothing."""
    report = run(program("answer = {'unsupported': True}"), vectors(only=["outbox"]))

    assert not report.passed
    assert len(vectors(only=["outbox"])) == len(report.unsupported)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ({"fault": "malformed", "field": "zone"}, True),
        ({"fault": "malformed"}, True),
        ({"fault": "malformed", "field": "language"}, False),
        ({"fault": "not_verified"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_path_of_a_fault_may_be_left_out_and_not_be_wrong(answer, right):
    """What an implementation says must be true; what it does not know it need not say."""
    assert right == holds({"fault": "malformed", "field": "zone"}, answer)


def test_true_is_not_one():
    """Python takes them for the same; nobody else does."""
    assert not holds({"holds": True}, {"holds": 1})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("sys.exit()", "ended without an answer"),
        ("asked['id'] = 'x'; answer = {}", "it answered 'x'"),
        ("print('hello', flush=True); answer = {}", "no such object"),
    ],
)
def test_a_program_that_breaks_the_protocol_is_told_so(source, said):
    """It is not judged: nothing can be said about its answers."""
    with pytest.raises(BrokenProtocol) as raised:
        run(program(source), vectors(only=["outbox"]))

    assert said in str(raised.value)


def test_a_program_that_hangs_is_ended():
    """A report comes in any case."""
    with pytest.raises(BrokenProtocol) as raised:
        run([sys.executable, "-c", "import sys; sys.stdin.read()"], vectors(only=["outbox"]), seconds=0.3)

    assert "longer than" in str(raised.value)


def test_a_program_that_does_not_exist_is_named():
    """With what the system says."""
    with pytest.raises(BrokenProtocol) as raised:
        run(["/nowhere/program"], [Vector("g", "g-000", "says", "do", {}, {})])

    assert "/nowhere/program cannot be run" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["run", "--only", "outbox", "--", *OURS], 0),
        (["run", "--only", "outbox", "--json", "--", *OURS], 0),
        (["run", "--only", "outbox", "--", *program("answer = {}")], 1),
        (["run", "--only", "outbox", "--", *program("sys.exit()")], 2),
        (["run", "--only", "nothing", "--", *OURS], 64),
        (["run"], 64),
        (["walk"], 64),
    ],
)
def test_the_exit_status_says_how_it_went(arguments, status, capsys, monkeypatch):
    """So that a build can stop on it."""
    monkeypatch.chdir(ROOT)

    assert status == main(arguments)
    if status == 1:
        assert "DOES NOT CONFORM" in capsys.readouterr().out
