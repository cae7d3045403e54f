"""From drafts to receipts: checked before they are signed, never lost, never doubled."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ledger.statement import STATEMENT_BYTES_MAX
from ledger.verify import parse_proof
from tests.cli.world import World, comity, good, issued, opened

if TYPE_CHECKING:
    from pathlib import Path


def fresh() -> str:
    """A new id."""
    return str(uuid4())


class TestReceipts:
    def test_one_line_a_draft(self, world: World) -> None:
        """Each draft is answered on a line of its own: where it stands, and that it was accepted."""
        case = fresh()
        before = world.size()
        result = good(world.publish(opened(case), issued(case, fresh(), world.ids["lille"])))

        assert [1, 2] == [line["line"] for line in result.lines]
        assert [before, before + 1] == [line["index"] for line in result.lines]
        assert {"accepted"} == {line["disposition"] for line in result.lines}

    @pytest.mark.parametrize("batch", [(), ("--batch",)])
    def test_kept(self, world: World, tmp_path: Path, batch: tuple[str, ...]) -> None:
        """Receipts are kept as tlog-proof files, the same that `proof` can print."""
        folder = tmp_path / "receipts"
        cases = [opened(fresh()) for _ in range(5)]
        result = good(world.publish(*cases, more=("--receipts", str(folder), *batch)))

        for line in result.lines:
            file = folder / f"{line['statement']}.tlog-proof"
            assert str(file) == line["receipt"]
            assert line["index"] == parse_proof(file.read_bytes()).index
        assert 5 == len(list(folder.iterdir()))

    @pytest.mark.parametrize("form", ["object", "array", "ndjson", "stdin"])
    def test_forms(self, world: World, tmp_path: Path, form: str) -> None:
        """A draft comes as an object, in an array, as NDJSON, from a file or standard input."""
        draft = opened(fresh())
        said = {"object": json.dumps(draft, indent=2), "array": json.dumps([draft])}.get(form, json.dumps(draft))
        file = tmp_path / "drafts"
        file.write_text(said)
        source = "-" if form == "stdin" else file
        result = good(world.run("publish", source, "--key", world.key("berlin"), "--json", stdin=said))

        assert ["accepted"] == [line["disposition"] for line in result.lines]

    def test_words(self, world: World) -> None:
        """Without --json a person reads what happened to each line, and a tally on standard error."""
        said = json.dumps(opened(fresh()))
        result = good(world.run("publish", "-", "--key", world.key("berlin"), stdin=said))

        assert result.out.startswith("line 1: entry ")
        assert "1 draft: 1 accepted." in result.err

    def test_nothing(self, world: World) -> None:
        """No draft is nothing to do, not an error."""
        before = world.size()

        assert 0 == world.publish().status
        assert before == world.size()


class TestNeverDoubled:
    def test_the_same_file_again(self, world: World) -> None:
        """Publishing the same drafts again answers with the first receipts and records nothing."""
        case = fresh()
        drafts = opened(case), issued(case, fresh(), world.ids["lille"])
        first = good(world.publish(*drafts))
        size = world.size()
        again = good(world.publish(*drafts))

        assert size == world.size()
        assert [line["index"] for line in first.lines] == [line["index"] for line in again.lines]
        assert [True, True] == [line["repeated"] for line in again.lines]

    def test_what_is_new_in_it(self, world: World) -> None:
        """What was added to the file is published, and the lines keep their order."""
        case, other = fresh(), fresh()
        good(world.publish(opened(case)))
        result = good(world.publish(opened(other), opened(case), opened(fresh())))

        assert [1, 2, 3] == [line["line"] for line in result.lines]
        assert [False, True, False] == [line["repeated"] for line in result.lines]

    def test_twice_in_one_file(self, world: World) -> None:
        """A draft that repeats another of the file is a fault that names both lines, unless said --again."""
        draft = opened(fresh())
        result = world.publish(draft, opened(fresh()), draft)

        assert 7 == result.status
        assert [3] == [fault["line"] for fault in result.trouble["faults"]]
        assert "line 1" in result.trouble["faults"][0]["rule"]

    def test_all_repeated(self, world: World) -> None:
        """A file of which everything is recorded is answered in order, too."""
        drafts = [opened(fresh()) for _ in range(7)]
        first = good(world.publish(*drafts, more=("--batch",)))
        again = good(world.publish(*drafts))

        assert [line["index"] for line in first.lines] == [line["index"] for line in again.lines]
        assert list(range(1, 8)) == [line["line"] for line in again.lines]

    def test_again(self, world: World) -> None:
        """--again says it again; a case opened twice is then recorded as rejected."""
        case = fresh()
        good(world.publish(opened(case)))
        result = world.publish(opened(case), more=("--again",))

        assert 7 == result.status
        assert ["subject_exists"] == [line["reason"] for line in result.lines]

    def test_killed(self, world: World, tmp_path: Path) -> None:
        """A run killed at any point, and repeated, neither loses nor doubles a draft."""
        cases = [fresh() for _ in range(300)]
        file = tmp_path / "drafts.ndjson"
        file.write_text("".join(json.dumps(opened(case)) + "\n" for case in cases))
        command = [
            sys.executable, "-m", "ledger.cli", "publish", str(file), "--key", str(world.key("berlin")),
            "--ledger", str(world.folder), "--json",
        ]  # fmt: skip
        before = world.size()
        # First with everything signed and nothing sent, or little; then with some of it recorded.
        for database, sign in (
            ("outbox.db", "SELECT COUNT(*) FROM outgoing"),
            ("ledger.db", f"SELECT size > {before} FROM tree"),
        ):
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while running.poll() is None:
                with sqlite3.connect(world.folder / database, timeout=30) as looking:
                    (seen,) = looking.execute(sign).fetchone()
                looking.close()
                if seen:
                    break
            running.send_signal(signal.SIGKILL)
            running.wait()
        result = good(world.run("publish", file, "--key", world.key("berlin"), "--json", "--quiet"))
        subjects = [line["subject"] for line in world.run("tail", "--from", before, "--json").lines]

        assert 300 == len(result.lines)
        assert sorted(cases) == sorted(subjects)


class TestRefused:
    def test_rejected(self, world: World) -> None:
        """What cannot be true is recorded without its body, answered with its reason; status 7."""
        result = world.publish(issued(fresh(), fresh(), world.ids["lille"]))

        assert 7 == result.status
        assert ["rejected"] == [line["disposition"] for line in result.lines]
        assert ["wrong_case"] == [line["reason"] for line in result.lines]
        assert "rejected" == world.run("tail", "--json").lines[-1]["disposition"]

    def test_the_others_stand(self, world: World) -> None:
        """One rejected statement stops none behind it."""
        case = fresh()
        result = world.publish(opened(case), issued(fresh(), fresh(), world.ids["lille"]), opened(fresh()))

        assert 7 == result.status
        assert ["accepted", "rejected", "accepted"] == [line["disposition"] for line in result.lines]

    def test_not_its_key(self, world: World) -> None:
        """Nobody signs for another: --as must be whose the key is."""
        before = world.size()
        good(world.publish(opened(fresh()), more=("--as", "Staatsanwaltschaft Berlin")))
        result = world.publish(opened(fresh()), more=("--as", "Tribunal judiciaire de Lille"))

        assert 5 == result.status
        assert before + 1 == world.size()
        assert 4 == world.publish(opened(fresh()), more=("--as", "Nobody")).status

    def test_revoked_key(self, world: World) -> None:
        """A revoked key signs no more: denied, and nothing is recorded."""
        good(world.run("key", "revoke", world.key("berlin"), "--key", world.key("germany"), "--reason", "compromised"))
        before = world.size()

        assert 5 == world.publish(opened(fresh())).status
        assert before == world.size()

    def test_busy(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ledger held by another process is unavailable, not broken."""
        monkeypatch.setattr("ledger.store.sqlite.BUSY_SECONDS", 0.05)
        holding = sqlite3.connect(world.folder / "ledger.db", isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")
        result = world.publish(opened(fresh()))
        holding.close()

        assert 8 == result.status
        assert "again" in result.trouble["now"]


def changed(**changes: Any) -> bytes:
    """A draft with something changed, as JSON."""
    return json.dumps(opened(CASE, **changes)).encode()


CASE = "6f1c5d7e-8f2a-4b6c-9d3e-0a1b2c3d4e5f"
BODY = opened(CASE)["body"]
GOOD = json.dumps(opened("11111111-2222-4333-8444-555555555555")).encode()


class TestBadInput:
    @pytest.mark.parametrize(
        ("said", "line", "field", "rule"),
        [
            (changed()[:-20], 1, "", "ends in the middle"),
            (GOOD + b"\n" + changed()[:-20], 2, "", "ends in the middle"),
            (GOOD + b"\n{}} \n", 2, "", "more than one JSON value"),
            (b"\x00\x01\x02", 1, "", "not JSON"),
            (changed().replace(b"Europe", b"\xff\xfe"), 1, "", "not UTF-8"),
            (GOOD + b"\n" + b" " * (1 << 20) + changed(), 2, "", "larger than"),
            (b"[" * 50_000, 1, "", "nested too deeply"),
            (b"[1, 2]", 1, "", "not a number"),
            (b'{"act": "case.opened", "act": "case.closed"}', 1, "act", "given twice"),
            (changed(act="case.opend"), 1, "act", "did you mean case.opened?"),
            (changed(act="refuse everything"), 1, "act", "no such act"),
            (changed(version=2), 1, "version", "no version 2"),
            (changed(body=BODY | {"procedure": "Jean Dupont"}), 1, "body.procedure", "code list procedure_kinds"),
            (changed(body=BODY | {"offences": ["murder of J. Dupont"]}), 1, "body.offences[0]", "code list offences"),
            (changed(body=BODY | {"comment": "see file"}), 1, "body.comment", ""),
            (changed(body={}), 1, "body.procedure", ""),
            (changed(body=BODY | {"offences": ["theft"] * 65}), 1, "body.offences", "at most 64"),
            (changed(occurred_from="2020-02-30T00:00:00Z"), 1, "occurred_from", "no such instant"),
            (changed(occurred_from="20200602"), 1, "occurred_from", "2020-06-02T14:30:00Z"),
            (changed(occurred_from="1066-10-14T09:00:00Z"), 1, "occurred_from", "1900 to 2199"),
            (changed(occurred_until="2020-06-01T00:00:00Z"), 1, "occurred_until", "before occurred_from"),
            (changed(known_at="2020-06-02T10:00:00Z"), 1, "known_at", "receipt_proof"),
            (changed(zone="Europe/Gotham"), 1, "zone", "IANA"),
            (changed(language="\ud800"), 1, "language", "two or three"),
            (changed(publisher=CASE), 1, "publisher", "set by signing"),
            (changed(key="00" * 32), 1, "key", "set by signing"),
            (changed(sequence=17), 1, "sequence", "set by signing"),
            (changed(addressees=["Nobody Known"]), 1, "addressees[0]", "neither an id"),
        ],
    )  # fmt: skip
    def test_names_line_and_field(self, founded: World, said: bytes, line: int, field: str, rule: str) -> None:
        """Whatever is wrong is named by line and path; nothing is signed, recorded or lost; status 7."""
        before = founded.size()
        result = founded.run("publish", "-", "--key", founded.key("berlin"), "--json", stdin=said)
        found = {(fault["line"], fault["field"]): fault["rule"] for fault in result.trouble["faults"]}

        assert 7 == result.status
        assert "" == result.out
        assert (line, field) in found
        assert rule in found[line, field]
        assert "Dupont" not in result.err
        assert before == founded.size()

    def test_all_of_them(self, founded: World) -> None:
        """Every faulty draft of a file is named in one run, for people too."""
        said = b"\n".join([changed(zone="x"), GOOD, changed(subject=7, language="German")])
        result = founded.run("publish", "-", "--key", founded.key("berlin"), stdin=said)

        assert 7 == result.status
        assert "2 of 3 drafts" in result.err
        for named in ("line 1: zone", "line 3: subject", "line 3: language"):
            assert named in result.err

    def test_too_large(self, founded: World) -> None:
        """A draft whose statement would exceed the limit is refused before it is signed."""
        attachment = {
            "role": "receipt_proof", "commitment": "ab" * 32, "size": 1, "media_type": "application/pdf",
        }  # fmt: skip
        said = changed(attachments=[attachment] * 1000)

        assert len(said) > STATEMENT_BYTES_MAX
        result = founded.run("publish", "-", "--key", founded.key("berlin"), "--json", stdin=said)
        assert 7 == result.status
        assert ["attachments"] == [fault["field"] for fault in result.trouble["faults"]]

    def test_good_ones_wait(self, world: World) -> None:
        """One faulty draft holds back all: nothing of the file is published until it is corrected."""
        before = world.size()
        draft = opened(fresh())

        assert 7 == world.publish(draft, draft | {"zone": "Mars"}).status
        assert before == world.size()
        good(world.publish(draft, opened(fresh())))
        assert before + 2 == world.size()

    def test_draft_acts(self, founded: World) -> None:
        """A draft act is refused by a ledger that is no simulation."""
        from ledger.acts import catalogue

        drafts = [act for act in catalogue().acts() if not act.released]
        for act in drafts[:1]:
            template = comity("publish", "--template", act.name).json
            result = founded.run("publish", "-", "--key", founded.key("berlin"), stdin=json.dumps(template))
            assert 7 == result.status

    def test_missing_file(self, founded: World, tmp_path: Path) -> None:
        """A file that is not there is not found."""
        result = founded.run("publish", tmp_path / "none.json", "--key", founded.key("berlin"))

        assert 4 == result.status
        assert "none.json" in result.err


class TestDryRun:
    def rehearse(self, world: World, *drafts: dict[str, Any]) -> tuple[int, list[Any]]:
        """What the ledger would answer; it must not grow by being asked."""
        before = world.size()
        result = world.publish(*drafts, more=("--dry-run",))
        assert before == world.size()

        return result.status, result.lines

    def test_accepted(self, founded: World) -> None:
        """A dry run says that a draft would be accepted, who will see it, and records nothing."""
        draft = opened(fresh(), addressees=["Tribunal judiciaire de Lille"], visibility={"ring": "addressees"})
        status, (said,) = self.rehearse(founded, draft)

        assert 0 == status
        assert "accepted" == said["answer"]
        assert "addressees" == said["visible_to"]["ring"]
        assert ["Tribunal judiciaire de Lille"] == [one["called"] for one in said["visible_to"]["addressees"]]

    def test_one_upon_another(self, founded: World) -> None:
        """A draft is judged as if those before it had been recorded."""
        case, request = fresh(), fresh()
        status, lines = self.rehearse(founded, opened(case), issued(case, request, founded.ids["lille"]))

        assert 0 == status
        assert ["accepted", "accepted"] == [line["answer"] for line in lines]

    def test_rejected(self, founded: World) -> None:
        """A dry run gives the reason of a rejection that does not happen; status 7."""
        status, (said,) = self.rehearse(founded, issued(fresh(), fresh(), founded.ids["lille"]))

        assert 7 == status
        assert ("rejected", "wrong_case") == (said["answer"], said["reason"])

    def test_unusual_recipients(self, founded: World) -> None:
        """It warns of a recipient this authority never addressed; not of one it has."""
        _, lines = self.rehearse(
            founded,
            opened(fresh(), addressees=[founded.ids["lille"]]),
            opened(fresh(), addressees=["root:FR"]),
            opened(fresh(), addressees=[fresh()]),
        )

        assert [[], 1, 1] == [line["warnings"] and len(line["warnings"]) for line in lines]
        assert "never been addressed" in lines[1]["warnings"][0]
        assert "not on the roster" in lines[2]["warnings"][0]

    def test_recipient_not_addressed(self, founded: World) -> None:
        """It warns when the body names a recipient who is not addressed."""
        case = fresh()
        draft = issued(case, fresh(), founded.ids["lille"], addressees=[])
        _, lines = self.rehearse(founded, opened(case), draft)

        assert any("body.requested" in warning for warning in lines[1]["warnings"])

    def test_the_future(self, founded: World) -> None:
        """It warns of what is dated in the future."""
        _, (said,) = self.rehearse(founded, opened(fresh(), occurred_from="2150-01-01T00:00:00Z"))

        assert ["occurred_from lies in the future"] == said["warnings"]

    def test_what_the_form_lacks_is_one_line_a_copy(self, founded: World) -> None:
        """A line for each copy of each form; with --verbose and in JSON every particular with its provision."""
        case = fresh()
        drafts = [opened(case), issued(case, fresh(), founded.ids["lille"])]
        _, lines = self.rehearse(founded, *drafts)
        (gap,) = lines[1]["form"]
        assert (None, "A") == (gap["copy"], gap["form"])
        assert gap["words"].startswith(f"Annex A lacks {len(gap['lacking'])} of {gap['required']} particulars")
        assert not any("Annex" in warning for warning in lines[1]["warnings"])
        assert all(one["article"] and one["text"] for one in gap["lacking"])

        said = "\n".join(map(json.dumps, drafts))
        asked = ("publish", "-", "--dry-run", "--key", founded.key("berlin"))
        short = good(founded.run(*asked, stdin=said)).out
        full = good(founded.run(*asked, "--verbose", stdin=said)).out
        assert 1 == short.count("  form     Annex A lacks")
        assert not any(one["text"] in short for one in gap["lacking"])
        assert all(" ".join(one["text"].split()) in " ".join(full.split()) for one in gap["lacking"])

    def test_the_copies_of_a_production_order_are_kept_apart(self, founded: World) -> None:
        """What the provider's copy lacks is not what the enforcing authority's copy lacks."""
        case = fresh()
        order = issued(case, fresh(), founded.ids["lille"], occurred_from="2026-09-01T10:00:00Z")
        order["body"] |= {"instrument": "eu-e-evidence-2023-1543", "form": "produce", "measures": ["content_data"]}
        _, lines = self.rehearse(founded, opened(case), order)
        copies = {gap["copy"]: {one["id"] for one in gap["lacking"]} for gap in lines[1]["form"]}
        assert {"provider", "enforcing_authority"} == copies.keys()
        assert copies["provider"] < copies["enforcing_authority"]
        words = [gap["words"] for gap in lines[1]["form"]]
        assert any(said.startswith("the provider's copy of Annex I lacks") for said in words)

    def test_words(self, founded: World) -> None:
        """A person reads the same."""
        said = json.dumps(opened(fresh(), addressees=["root:FR"]))
        result = good(founded.run("publish", "-", "--dry-run", "--key", founded.key("berlin"), stdin=said))

        assert "would be accepted" in result.out
        assert "every authority that takes part in the case" in result.out
        assert "the root of FR" in result.out
        assert "warning" in result.out


class TestTemplate:
    def test_prints(self) -> None:
        """A template is JSON that explains every field, with an id already made for what it creates."""
        skeleton = good(comity("publish", "--template", "case.opened")).json

        assert skeleton["case"] == skeleton["subject"]
        assert "criminal" in skeleton["body"]["//procedure"]

    def test_unknown(self) -> None:
        """An unknown act is named with its nearest neighbour."""
        result = comity("publish", "--template", "case.opend")

        assert 7 == result.status
        assert "case.opened" in result.err

    def test_filled_in(self, world: World) -> None:
        """Filled in, remarks and all, it can be published."""
        skeleton = good(comity("publish", "--template", "case.opened")).json
        skeleton |= {"occurred_from": "2020-06-02", "occurred_until": "2020-06-02", "zone": "Europe/Berlin"}
        skeleton |= {"language": "de"}
        skeleton["body"] |= {"procedure": "criminal", "stage": "investigation", "sensitivity": "ordinary"}

        assert "accepted" == good(world.publish(skeleton)).lines[0]["disposition"]
