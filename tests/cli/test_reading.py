"""Reading: cases, requests, exhibits, the trail, the log itself; at every clock."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ledger.law.law import HERE, load
from ledger.verify import parse_proof
from tests.cli.world import World, comity, good, issued, opened
from tests.projections.test_editions import ten_days

if TYPE_CHECKING:
    from pathlib import Path


class TestCases:
    def test_listed_and_shown(self, founded: World) -> None:
        """A case is listed, and shown with its things and what can lawfully come next."""
        case = founded.ids["case"]
        listed = [one["case"] for one in good(founded.run("case", "list", "--json")).lines]
        shown = good(founded.run("case", "show", case, "--json")).json

        assert case in listed
        assert case == shown["answer"]["case"]
        assert founded.size() == shown["size"]
        assert founded.ids["request"] in [thing["thing"] for thing in shown["answer"]["things"]]

    def test_words(self, founded: World) -> None:
        """People read the same as a table."""
        result = good(founded.run("case", "show", founded.ids["case"][:8]))

        assert founded.ids["case"] in result.out
        assert "can lawfully come next" in result.out

    @pytest.mark.parametrize("digits", [6, 8, 13, 36])
    def test_short_ids(self, founded: World, digits: int) -> None:
        """Six digits of an id, or more, name it where nothing else begins so."""
        given = founded.ids["case"][:digits]

        assert founded.ids["case"] == good(founded.run("case", "show", given, "--json")).json["answer"]["case"]

    def test_too_short(self, founded: World) -> None:
        """Fewer digits are a usage error."""
        assert 2 == founded.run("case", "show", founded.ids["case"][:5]).status
        assert 2 == founded.run("case", "show", "the case").status

    def test_ambiguous(self, world: World) -> None:
        """A beginning that two ids share is refused, and both are shown."""
        ids = [f"abcdef12-0000-4000-8000-00000000000{n}" for n in (1, 2)]
        good(world.publish(*map(opened, ids)))
        result = world.run("case", "show", "abcdef12")

        assert 2 == result.status
        assert all(one in result.err for one in ids)

    def test_not_found(self, founded: World) -> None:
        """An id under which nothing is recorded is not found."""
        assert 4 == founded.run("case", "show", "ffffff").status
        assert 4 == founded.run("case", "show", str(uuid4())).status

    def test_happened_by(self, founded: World) -> None:
        """The first clock leaves out what had not happened yet, whenever it was recorded."""
        case = founded.ids["case"]
        shown = good(founded.run("case", "show", case, "--happened-by", "2020-06-02T12:00Z", "--json")).json

        assert "2020-06-02T12:00:00Z" == shown["happened_by"]
        assert shown["known_by"] is None
        # The request is dated to the day: it may have happened before noon.
        assert [True] == [thing["since"]["uncertain"] for thing in shown["answer"]["things"]
                          if thing["thing"] == founded.ids["request"]]  # fmt: skip

    def test_a_day_means_its_end(self, founded: World) -> None:
        """A bare day is the end of that day in the zone given."""
        shown = good(
            founded.run("case", "show", founded.ids["case"], "--happened-by", "2020-06-02",
                        "--zone", "Europe/Berlin", "--json")
        ).json  # fmt: skip

        assert "2020-06-02T21:59:59.999999Z" == shown["happened_by"]

    def test_heading(self, founded: World) -> None:
        """People are told what a clock leaves out."""
        result = good(founded.run("case", "list", "--happened-by", "2020-06-02"))

        assert "what had happened by 2020-06-02 23:59:59 UTC" in result.out

    def test_what_cannot_have_happened_yet_is_marked(self, world: World) -> None:
        """A case said to be opened in another century is recorded, and shown so wherever its time is shown."""
        case = str(uuid4())
        good(world.publish(opened(case, occurred_from="2150-01-01")))

        assert (
            "open since 2150-01-01 (later than recorded), 1 entry\nNo proceedings"
            in good(world.run("case", "show", case)).out
        )
        assert "(later than recorded)" in " ".join(good(world.run("audit", case)).out.split())
        assert "later than recorded" not in good(world.run("audit", world.ids["case"])).out


class TestRequests:
    def test_listed(self, founded: World) -> None:
        """Requests are listed with their stage and what can lawfully come next."""
        (request,) = good(founded.run("request", "list", "--case", founded.ids["case"], "--json")).lines

        assert founded.ids["request"] == request["thing"]
        assert "request.transmitted" in [step["act"] for step in request["next"]]
        assert founded.ids["request"] in good(founded.run("request", "list")).out

    def test_shown(self, founded: World) -> None:
        """One request is shown step by step."""
        shown = good(founded.run("request", "show", founded.ids["request"], "--json")).json["answer"]

        assert ["request.issued"] == [step["act"] for step in shown["steps"]]
        assert "What can lawfully come next" in good(founded.run("request", "show", founded.ids["request"])).out


@pytest.fixture(scope="module")
def evidence(founded: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A ledger with an exhibit, on which a court ruled."""
    folder = tmp_path_factory.mktemp("evidence") / "ledger"
    shutil.copytree(founded.folder, folder)
    world = World(folder, founded.ids | {"exhibit": str(uuid4()), "proceedings": str(uuid4())})
    told = {"case": world.ids["case"], "zone": "Europe/Paris", "language": "fr"}
    good(
        world.publish(
            told
            | {
                "act": "exhibit.acquired",
                "subject": world.ids["exhibit"],
                "occurred_from": "2020-06-03",
                "body": {
                    "exhibit_kind": first("exhibit_kinds"),
                    "source_country": "FR",
                    "method": first("methods"),
                    "hash": None,
                    "hash_kind": "none",
                    "acquired_from": "2020-06-03T00:00:00Z",
                    "acquired_until": "2020-06-03T12:00:00Z",
                    "copy": first("copy_kinds"),
                },
            },
            told
            | {
                "act": "proceedings.opened",
                "subject": world.ids["proceedings"],
                "occurred_from": "2020-06-04",
                "body": {
                    "authority": world.ids["lille"],
                    "procedure": "criminal",
                    "stage": "trial",
                },
            },
            told
            | {
                "act": "admissibility.ruled",
                "subject": world.ids["exhibit"],
                "occurred_from": "2021-07-01",
                "body": {
                    "court": world.ids["lille"],
                    "proceedings": world.ids["proceedings"],
                    "stage": "trial",
                    "outcome": "excluded",
                    "grounds": [],
                    "test": first("admissibility_tests"),
                    "final": False,
                },
            },
            key="lille",
        )
    )
    return world


def first(codes: str) -> str:
    """The first code of a list."""
    from ledger.acts import catalogue

    return next(iter(catalogue().codes(codes)))


class TestExhibits:
    @pytest.mark.parametrize("command", ["show", "trace"])
    def test_provenance(self, evidence: World, command: str) -> None:
        """An exhibit's provenance is shown: who acquired it, and what is not shown."""
        exhibit = evidence.ids["exhibit"]
        shown = good(evidence.run("exhibit", command, exhibit, "--json")).json["answer"]

        assert exhibit == shown["exhibit"]
        assert "exhibit.acquired" in [hop["act"] for hop in shown["chain"]]
        assert exhibit in good(evidence.run("exhibit", command, exhibit)).out

    def test_legal_basis(self, evidence: World) -> None:
        """The timeline of its legal basis is its own answer."""
        exhibit = evidence.ids["exhibit"]
        steps = good(evidence.run("exhibit", "trace", exhibit, "--basis", "--json")).json["answer"]

        assert "collected" in [step["step"] for step in steps]
        assert "collected" in good(evidence.run("exhibit", "trace", exhibit, "--basis")).out

    def test_rulings(self, evidence: World) -> None:
        """Rulings are shown court by court; before they were made there is none."""
        exhibit = evidence.ids["exhibit"]
        (ruling,) = good(evidence.run("exhibit", "rulings", exhibit, "--json")).json["answer"]
        before = good(evidence.run("exhibit", "rulings", exhibit, "--happened-by", "2020-12-31"))

        assert ("excluded", "Tribunal judiciaire de Lille") == (ruling["outcome"], ruling["court"]["designation"])
        assert "excluded" in good(evidence.run("exhibit", "rulings", exhibit)).out
        assert "No court is shown" in before.out

    def test_an_overturned_ruling_is_still_told(self, evidence: World, tmp_path: Path) -> None:
        """What a court had decided stays to be read beside the entry that overturned it."""
        shutil.copytree(evidence.folder, tmp_path / "ledger")
        world, exhibit = World(tmp_path / "ledger", evidence.ids), evidence.ids["exhibit"]
        (ruling,) = good(world.run("exhibit", "rulings", exhibit, "--json")).json["answer"]
        overturned = {
            "act": "ruling.overturned", "case": world.ids["case"], "subject": exhibit, "zone": "Europe/Paris",
            "language": "fr", "occurred_from": "2021-08-30",
            "body": {"ruling": ruling["history"][0]["statement"], "court": world.ids["lille"]},
        }  # fmt: skip
        (answer,) = good(world.publish(overturned, key="lille")).lines
        told = good(world.run("exhibit", "rulings", exhibit)).out

        assert "was excluded" in told
        assert f"overturned by entry {answer['index']}" in told

    def test_no_exhibit(self, evidence: World) -> None:
        """A thing that is no exhibit is not shown as one, and one that is no request not as that."""
        assert 4 == evidence.run("exhibit", "show", evidence.ids["request"]).status
        assert 4 == evidence.run("exhibit", "trace", evidence.ids["request"]).status
        assert 4 == evidence.run("request", "show", evidence.ids["exhibit"]).status


class TestAudit:
    @pytest.mark.parametrize("what", ["case", "request", "berlin", "Staatsanwaltschaft Berlin", "3", "@3"])
    def test_trails(self, founded: World, what: str) -> None:
        """The trail of a case, of a thing, of an authority by id or name, or one entry."""
        given = founded.ids.get(what, what)
        shown = good(founded.run("audit", given, "--json")).json["answer"]

        assert shown["lines"]
        assert all({"index", "act", "said", "when", "articles", "disposition"} <= set(one) for one in shown["lines"])
        assert good(founded.run("audit", given)).out

    def test_any_id(self, world: World) -> None:
        """Of a statement, a person and an authority, whole or shortened, whatever anybody said by, of or about it."""
        person = "f4767e9c-6e27-4580-a550-8d0634a92761"
        draft = issued(world.ids["case"], str(uuid4()), "Tribunal judiciaire de Lille")
        draft["body"] |= {"persons": [person], "unknown_persons": False}
        good(world.publish(draft))
        told = good(world.run("tail", "--json")).lines
        issuing = next(one for one in reversed(told) if one["act"] == "request.issued")

        def trail(given: str) -> list[int]:
            return [one["index"] for one in good(world.run("audit", given, "--json")).json["answer"]["lines"]]

        assert [issuing["index"]] == trail(issuing["statement"]) == trail(issuing["statement"].replace("-", "")[:30])
        assert [issuing["index"]] == trail(person) == trail("f4767e9c") == trail("f4767e9c6e2745")
        by_berlin = [one["index"] for one in told if one["publisher"] == world.ids["berlin"]]
        enrolled = next(one["index"] for one in told if one["subject"] == world.ids["berlin"])
        assert sorted({enrolled, *by_berlin}) == trail(world.ids["berlin"])
        # Lille has said nothing, and is named as the authority that is asked.
        assert issuing["index"] in trail(world.ids["lille"])

    def test_nothing_under_an_id(self, founded: World) -> None:
        """What no entry has or names is not found."""
        for more in ((), ("--as-of", "1999-12-31")):
            result = founded.run("audit", "99999999-0000-4000-8000-000000000000", *more)
            assert (4, "") == (result.status, result.out)

    def test_rejections(self, world: World) -> None:
        """What was rejected is on the trail with its reason."""
        case = world.ids["case"]
        world.publish(opened(case, occurred_from="2020-06-05"))
        lines = good(world.run("audit", case, "--json")).json["answer"]["lines"]

        assert ["subject_exists"] == [one["reason"] for one in lines if one["disposition"] == "rejected"]

    def test_pages(self, founded: World) -> None:
        """A trail is read from an entry on, so many at a time."""
        whole = good(founded.run("audit", founded.ids["case"], "--json")).json["answer"]["lines"]
        page = good(
            founded.run("audit", founded.ids["case"], "--from", whole[0]["index"] + 1, "--limit", 1, "--json")
        ).json["answer"]["lines"]

        assert whole[1:2] == page


class TestTail:
    def test_every_index(self, founded: World) -> None:
        """Entries are printed in order and none is skipped."""
        lines = good(founded.run("tail", "--from", 0, "--json")).lines

        assert list(range(len(lines))) == [line["index"] for line in lines]
        assert "Staatsanwaltschaft Berlin" in {line["called"] for line in lines}

    def test_words(self, founded: World) -> None:
        """People read one line an entry."""
        result = good(founded.run("tail", "--from", 1))

        assert founded.size() - 1 == len(result.out.splitlines())
        assert "request.issued" in result.out

    def test_follow(self, world: World) -> None:
        """--follow prints what is recorded while it waits."""
        size = world.size()
        command = [sys.executable, "-m", "ledger.cli", "tail", "--follow", "--json", "--from", str(size)]
        following = subprocess.Popen(
            [*command, "--ledger", str(world.folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        case = str(uuid4())
        good(world.publish(opened(case)))
        assert following.stdout is not None
        line = json.loads(following.stdout.readline())
        following.kill()
        following.communicate()

        assert (size, case) == (line["index"], line["case"])

    def test_what_came_late_was_known_since_its_proof_says(self, world: World) -> None:
        """The log and the trail leave out the same at the second clock."""
        proof = {"role": "receipt_proof", "commitment": "ab" * 32, "size": 1, "media_type": "application/pdf"}
        case = str(uuid4())
        good(world.publish(opened(case, known_at="2020-06-03T00:00:00Z", attachments=[proof])))

        for by, known in (("2020-06-02", False), ("2020-06-04", True)):
            told = good(world.run("tail", "--from", 0, "--known-by", by, "--json")).lines
            assert ([case] if known else []) == [one["case"] for one in told]
            assert (0 if known else 4) == world.run("audit", case, "--known-by", by).status


class TestProofs:
    def test_inclusion(self, founded: World) -> None:
        """The proof of an entry is a tlog-proof."""
        result = good(founded.run("proof", 2))

        assert 2 == parse_proof(result.out.encode()).index
        assert result.out.rstrip() == good(founded.run("proof", 2, "--json")).json["proof"].rstrip()

    def test_consistency(self, founded: World) -> None:
        """One tree is proved to extend another."""
        size = founded.size()
        shown = good(founded.run("proof", "consistency", 2, size, "--json")).json

        assert (2, size) == (shown["old"], shown["new"])
        assert all(64 == len(one) for one in shown["path"])
        assert len(shown["path"]) == len(good(founded.run("proof", "consistency", 2, size)).out.splitlines())

    @pytest.mark.parametrize(
        ("arguments", "status"), [(("999",), 4), (("consistency", "2", "999"), 4), (("consistency", "3", "2"), 2)]
    )
    def test_beyond(self, founded: World, arguments: tuple[str, ...], status: int) -> None:
        """What the log does not hold cannot be proved."""
        assert status == founded.run("proof", *arguments).status


class TestProjections:
    def test_rebuilt_is_incremental(self, world: World) -> None:
        """Rebuilt projections have the digests of those that followed the log."""
        good(world.run("project", "catch-up"))
        before = good(world.run("project", "digest", "--json")).json
        assert world.size() == good(world.run("project", "rebuild", "--json", "--workers", 1)).json["size"]

        assert before == good(world.run("project", "digest", "--json")).json
        assert before["digests"]

    def test_status(self, world: World) -> None:
        """The status says how far each projection is."""
        good(world.run("project", "catch-up", "--quiet"))
        shown = good(world.run("project", "status", "--json")).json

        assert {world.size()} == set(shown["projections"].values())
        assert "audit" in good(world.run("project", "status")).out

    def test_digest_of_one(self, world: World) -> None:
        """One projection's digest, at an earlier size; beyond the log there is none."""
        first_entries = good(world.run("project", "digest", "audit", "--size", 2, "--json")).json

        assert (2, ["audit"]) == (first_entries["size"], list(first_entries["digests"]))
        assert 4 == world.run("project", "digest", "audit", "--size", 999).status
        assert 4 == world.run("project", "digest", "horoscope").status


class TestBundles:
    def verify(self, *arguments: object) -> tuple[int, str]:
        """The exit status and report of `comity verify`."""
        result = comity("verify", *arguments)
        return result.status, result.out

    def test_written_and_verified(self, founded: World, tmp_path: Path) -> None:
        """A bundle verifies with our command and, with Python alone, with the program inside it."""
        file = tmp_path / "case.zip"
        good(founded.run("bundle", founded.ids["case"][:8], "-o", file))
        with zipfile.ZipFile(file) as archive:
            archive.extract("verify.py", tmp_path)
        alone = subprocess.run(
            [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), str(file)],
            capture_output=True, check=False, cwd=tmp_path, env={},
        )  # fmt: skip

        assert 0 == self.verify(file)[0]
        assert 0 == alone.returncode, alone.stdout

    def test_damaged(self, founded: World, tmp_path: Path) -> None:
        """One byte changed in an entry is found: not verified, status 1."""
        file, damaged = tmp_path / "case.zip", tmp_path / "damaged.zip"
        good(founded.run("bundle", "--index", 3, "-o", file, "--quiet"))
        data = file.read_bytes()
        with zipfile.ZipFile(file) as archive:
            entry = next(name for name in archive.namelist() if name.startswith("entries/"))
            content = archive.read(entry)
        at = data.index(content) + 100
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

        assert self.verify(damaged)[0] in {1, 2}
        (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
        assert 2 == self.verify(tmp_path / "cut.zip")[0]

    def test_usage(self, tmp_path: Path) -> None:
        """The verifier's usage status is its own: 64."""
        assert 64 == self.verify(tmp_path / "none.zip")[0]
        assert 64 == self.verify()[0]

    def test_never_overwritten(self, founded: World, tmp_path: Path) -> None:
        """A bundle never replaces a file: a conflict."""
        file = tmp_path / "case.zip"
        file.write_text("mine")

        assert 6 == founded.run("bundle", founded.ids["case"], "-o", file).status
        assert "mine" == file.read_text()

    def test_nothing_to_bundle(self, founded: World, tmp_path: Path) -> None:
        """An entry or case that does not exist leaves no file."""
        assert 4 == founded.run("bundle", "--index", 999, "-o", tmp_path / "x.zip").status
        assert 4 == founded.run("bundle", "ffffffff", "-o", tmp_path / "x.zip").status
        assert 2 == founded.run("bundle", "ffffffff", "--index", 1, "-o", tmp_path / "x.zip").status
        assert not list(tmp_path.iterdir())


class TestFsck:
    @pytest.mark.parametrize("more", [(), ("--no-signatures",)])
    def test_sound(self, founded: World, more: tuple[str, ...]) -> None:
        """A sound ledger passes."""
        shown = good(founded.run("fsck", "--json", *more)).json

        assert shown["sound"]
        assert founded.size() == shown["entries"]
        assert "rejected" not in good(founded.run("fsck", *more)).out

    def test_signatures_that_nobody_can_check_are_counted(self, world: World) -> None:
        """Of a rejected entry the body is not kept, so its signature is not among those that hold."""
        assert 7 == world.publish(opened(world.ids["case"]), more=("--again",)).status

        said = " ".join(good(world.run("fsck")).out.split())
        assert "; of 1 rejected entries, whose bodies are not kept, no signature can be checked" in said

    def test_one_byte(self, world: World) -> None:
        """One byte changed in the store is found, with the entry named; status 3."""
        db = sqlite3.connect(world.folder / "ledger.db")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        (state,) = db.execute("SELECT state FROM entries WHERE rowid = 4").fetchone()
        changed = state[:200] + bytes([state[200] ^ 1]) + state[201:]
        db.execute("UPDATE entries SET state = ? WHERE rowid = 4", (changed,))
        db.commit()
        db.close()
        result = world.run("fsck", "--no-signatures", "--json")

        assert 3 == result.status
        assert [3] == [fault["index"] for fault in result.json["faults"] if fault["index"] is not None]
        assert "entry 3" in result.trouble["what"]
        assert "entry 3: " in world.run("fsck", "--no-signatures").out

    def test_restored_from_before(self, world: World) -> None:
        """A store that is older than the checkpoint published beside it is found; status 3."""
        older = world.folder.parent / "older.db"
        with sqlite3.connect(world.folder / "ledger.db") as now, sqlite3.connect(older) as copy:
            now.backup(copy)
        now.close()
        copy.close()
        good(world.publish(opened(str(uuid4()))))
        for file in world.folder.glob("ledger.db*"):
            file.unlink()
        older.rename(world.folder / "ledger.db")

        assert 3 == world.run("fsck").status
        assert 6 == world.publish(opened(str(uuid4()))).status


def test_an_answer_is_given_under_the_edition_that_the_entries_name(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As known then by the law of then, where it is kept; else by this release's, which is said; now by this one's."""
    folder = tmp_path / "edition"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    ten_days(folder)
    other = good(comity("law", "archive", tmp_path / "kept", "--law", folder, "--json")).json["edition"]
    received = {
        "act": "request.received", "case": world.ids["case"], "subject": world.ids["request"], "zone": "Europe/Paris",
        "language": "fr", "occurred_from": "2020-06-03T09:00:00Z", "body": {"completeness": "complete"},
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr("ledger.sequencer.rules", lambda: bytes.fromhex(other))
        good(world.publish(received, key="lille"))
    then = ("--known-by", good(world.run("tail", "--json")).lines[-1]["recorded_at"])
    good(world.publish(opened(str(uuid4()))))
    release, kept = load().edition, ("--editions", tmp_path / "kept")

    def answer(*asked: object) -> tuple[object, ...]:
        run = good(world.run("deadlines", world.ids["request"], *asked, "--json"))
        (limit,) = (one for one in run.json["answer"] if one["limit"] == "EIO-REC")
        return run.json["edition"], run.json["edition_named"], limit["last_day"], other[:12] in run.err

    assert (other, other, "2020-06-15", False) == answer(*then, *kept)
    assert (release, other, "2020-07-03", True) == answer(*then)
    assert (release, release, "2020-07-03", False) == answer("--known-by", "2099-01-01", *kept)
    assert (release, None, "2020-07-03", False) == answer(*kept)
    for asked in (
        ("findings", world.ids["case"]),
        ("conditions", "case", world.ids["case"]),
        ("case", "show", world.ids["case"]),
    ):
        said = good(world.run(*asked, *then, "--json"))
        assert (release, other, True) == (said.json["edition"], said.json["edition_named"], other[:12] in said.err)
        said = good(world.run(*asked, *then, *kept, "--json"))
        assert (other, other, False) == (said.json["edition"], said.json["edition_named"], other[:12] in said.err)
        # Who reads it is told the same in a sentence: whose edition counts, and why not the one that was named.
        sentence = f"Judged under this release's edition {release[:12]}: the edition {other[:12]} that the log named"
        assert sentence + " then is not kept here." in " ".join(good(world.run(*asked, *then)).err.split())
        assert "edition" not in good(world.run(*asked, *then, *kept)).err


def test_json_is_one_document(founded: World) -> None:
    """Every answer in JSON says how much of the log it was drawn from, at which clocks, and under which law if any."""
    law = {"edition", "edition_named"}
    for command, more in ((("case", "show", founded.ids["case"]), law), (("audit", founded.ids["case"]), set[str]())):
        answer = good(founded.run(*command, "--json")).json
        assert {"size", "happened_by", "known_by", "answer"} | more == set(answer)


def test_what_is_reported_is_shown_as_reported(world: World) -> None:
    """In the log and in the case, nobody takes a report for the word of the authority reported."""
    proceedings = str(uuid4())
    spoken = {"country": "FR", "authority_kind": "court", "source": "Order of 3 June 2020, 1/20"}
    told = {
        "act": "proceedings.opened",
        "case": world.ids["case"],
        "subject": proceedings,
        "zone": "Europe/Paris",
        "language": "fr",
        "voice": "reported",
        "speaker": spoken,
        "occurred_from": "2020-06-04",
        "body": {"authority": world.ids["lille"], "procedure": "criminal", "stage": "trial"},
    }
    good(world.publish(told))
    (line,) = good(world.run("tail", "--from", world.size() - 1, "--json")).lines
    whose = f'court (FR), as reported by {line["called"]} from "{spoken["source"]}"'

    assert (whose, spoken) == (line["whose_act"], {name: line["speaker"][name] for name in spoken})
    assert whose in good(world.run("tail", "--from", world.size() - 1)).out
    assert "trial (by report only)" in good(world.run("case", "show", world.ids["case"])).out
