"""Founding a ledger, and coming onto its roster."""

from __future__ import annotations

import json
import shutil
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from ledger.keys import LogKey, PrivateKey
from ledger.verify import leaf_hash, possession_message
from tests.cli.world import ORIGIN, World, comity, good

if TYPE_CHECKING:
    from pathlib import Path


class TestInit:
    def test_founds(self, tmp_path: Path) -> None:
        """Founding prints the hash of entry 0, by which verifiers know the ledger."""
        folder = tmp_path / "new" / "ledger"
        found = good(
            comity("init", folder, "--origin", ORIGIN, "--root", "DE=bmj", "--root", "eu=union:union", "--json")
        ).json
        first = good(comity("tail", "--from", 0, "--ledger", folder, "--json")).lines[0]

        assert found["pin"] == first["leaf"]
        assert ("ledger.founded", 0) == (first["act"], first["index"])
        assert [("DE", "country"), ("eu", "union")] == [(root["holder"], root["enrolls"]) for root in found["roots"]]

    def test_keys_are_private(self, founded: World) -> None:
        """Key files are readable by their owner alone."""
        files = [*founded.folder.glob("keys/*.pem"), founded.folder / "log.key", founded.folder / "log.mldsa.key"]

        assert len(files) >= 5
        assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}

    def test_never_twice(self, world: World) -> None:
        """Where a ledger exists nothing is founded, and nothing changes: a conflict."""
        before = {file: file.read_bytes() for file in world.folder.rglob("*") if file.is_file()}
        again = comity("init", world.folder, "--origin", ORIGIN, "--root", "DE=germany")

        assert 6 == again.status
        assert before == {file: file.read_bytes() for file in world.folder.rglob("*") if file.is_file()}

    @pytest.mark.parametrize("origin", ["", "two words", "a+b", "x" * 200])
    def test_origin(self, origin: str, tmp_path: Path) -> None:
        """An origin that cannot name checkpoints is refused before anything is written."""
        result = comity("init", tmp_path / "x", "--origin", origin, "--root", "DE=a")

        assert 7 == result.status
        assert "origin" in result.err
        assert not list(tmp_path.iterdir())


class TestEnrolment:
    def test_listed(self, founded: World) -> None:
        """Whom a root enrolled is on the roster, with a key that proved possession."""
        listed = {one["called"]: one for one in good(founded.run("authority", "list", "--json")).lines}
        berlin = listed["Staatsanwaltschaft Berlin"]

        assert founded.ids["berlin"] == berlin["authority"]
        assert ["valid"] == [key["standing"] for key in berlin["keys"]]
        assert "DE" == berlin["holder"]
        assert {"the root of DE", "the root of FR", "the operator of the ledger"} < set(listed)

    @pytest.mark.parametrize("called", ["Staatsanwaltschaft Berlin", "id", "prefix"])
    def test_shown(self, founded: World, called: str) -> None:
        """An authority is found by designation, by id, and by the beginning of its id."""
        whole = founded.ids["berlin"]
        name = {"id": whole, "prefix": whole[:8]}.get(called, called)

        assert whole == good(founded.run("authority", "show", name, "--json")).json["authority"]

    def test_another_state(self, world: World) -> None:
        """No root enrols an authority for another State: recorded as rejected, status 7."""
        result = world.run(
            "authority", "enrol", "Staatsanwaltschaft Bonn", "--kind", "prosecutor", "--country", "DE",
            "--zone", "Europe/Berlin", "--holder", "DE", "--key", world.key("france"),
            "--new-key", world.folder / "bonn.pem",
        )  # fmt: skip

        assert 7 == result.status
        assert "not_enrolled_by_root" in result.err
        assert 4 == world.run("authority", "show", "Staatsanwaltschaft Bonn").status

    def test_the_operator(self, world: World) -> None:
        """The operator enrols nobody: denied."""
        result = world.run(
            "authority", "enrol", "Staatsanwaltschaft Bonn", "--kind", "prosecutor", "--country", "DE",
            "--zone", "Europe/Berlin", "--key", world.key("operator"),
        )  # fmt: skip

        assert 5 == result.status

    def test_name_in_a_coded_field(self, world: World) -> None:
        """A coded option with something else in it is named, and nothing is recorded."""
        before = world.size()
        result = world.run(
            "authority", "enrol", "Staatsanwaltschaft Bonn", "--kind", "Jean Dupont", "--country", "Germany",
            "--zone", "Europe/Berlin", "--key", world.key("germany"), "--json",
        )  # fmt: skip

        assert 7 == result.status
        assert ["--kind", "--country"] == [fault["field"] for fault in result.trouble["faults"]]
        assert before == world.size()

    def test_same_name(self, world: World) -> None:
        """A designation that another bears already is a conflict."""
        result = world.run(
            "authority", "enrol", "Staatsanwaltschaft Berlin", "--kind", "prosecutor", "--country", "DE",
            "--zone", "Europe/Berlin", "--key", world.key("germany"),
        )  # fmt: skip

        assert 6 == result.status

    def test_by_request(self, world: World, tmp_path: Path) -> None:
        """An authority makes its own key; its root sees the proof of possession alone."""
        asked = good(world.run("key", "new", tmp_path / "bonn.pem"))
        request = asked.json
        enrolled = good(
            world.run(
                "authority", "enrol", "Staatsanwaltschaft Bonn", "--kind", "prosecutor", "--country", "DE",
                "--zone", "Europe/Berlin", "--key", world.key("germany"), "--request", "-", "--json",
                stdin=asked.out,
            )
        )  # fmt: skip

        assert request["authority"] == enrolled.json["authority"]
        shown = good(world.run("key", "show", tmp_path / "bonn.pem", "--json")).json
        assert ("Staatsanwaltschaft Bonn", "valid") == (shown["called"], shown["standing"])

    def test_stolen_proof(self, world: World, tmp_path: Path) -> None:
        """A proof of possession made for another ledger does not enrol here."""
        asked = good(world.run("key", "new", tmp_path / "bonn.pem", "--origin", "other.example/1"))
        result = world.run(
            "authority", "enrol", "Staatsanwaltschaft Bonn", "--kind", "prosecutor", "--country", "DE",
            "--zone", "Europe/Berlin", "--key", world.key("germany"), "--request", "-", stdin=asked.out,
        )  # fmt: skip

        assert 7 == result.status
        assert "bad_possession_proof" in result.err

    def test_as_it_stood(self, founded: World) -> None:
        """The roster is shown as it stood."""
        assert [] == founded.run("authority", "list", "--known-by", "2001-01-01", "--json").lines


class TestKeys:
    def test_new(self, world: World, tmp_path: Path) -> None:
        """A new key stays in its file, and proves its possession for this ledger and authority."""
        made = good(world.run("key", "new", tmp_path / "k.pem", "--authority", "Staatsanwaltschaft Berlin")).json
        key = PrivateKey.load(tmp_path / "k.pem")
        message = possession_message(ORIGIN, bytes.fromhex(made["authority"].replace("-", "")), key.public)

        assert world.ids["berlin"] == made["authority"]
        assert key.sign(message).hex() == made["possession"]
        assert key.seed.hex() not in json.dumps(made)

    def test_never_overwritten(self, world: World) -> None:
        """An existing key file is never replaced: a conflict."""
        before = world.key("berlin").read_bytes()

        assert 6 == world.run("key", "new", world.key("berlin")).status
        assert before == world.key("berlin").read_bytes()

    def test_certify(self, world: World, tmp_path: Path) -> None:
        """A second key is certified by the root, and both count."""
        asked = world.run("key", "new", tmp_path / "k.pem", "--authority", "Staatsanwaltschaft Berlin")
        good(world.run("key", "certify", "-", "--key", world.key("germany"), stdin=asked.out))
        shown = good(world.run("authority", "show", "Staatsanwaltschaft Berlin", "--json")).json

        assert ["valid", "valid"] == [key["standing"] for key in shown["keys"]]

    @pytest.mark.parametrize(
        ("request_text", "said"),
        [
            ("nope", "not JSON"),
            ("[]", "not a JSON object"),
            ("{}", "authority: is missing"),
            ('{"authority": "zz"}', "authority: is not hexadecimal"),
            ('{"authority": "00"}', "authority: should be 16 bytes"),
        ],
    )
    def test_bad_request(self, world: World, request_text: str, said: str) -> None:
        """A request that cannot be read is named by its field."""
        result = world.run("key", "certify", "-", "--key", world.key("germany"), stdin=request_text)

        assert 7 == result.status
        assert said in result.err

    def test_rotate(self, world: World) -> None:
        """After a rotation the old key signs no more, and the new one does."""
        good(world.run("key", "rotate", world.key("berlin2"), "--key", world.key("berlin")))
        shown = good(world.run("authority", "show", "Staatsanwaltschaft Berlin", "--json")).json

        assert ["rotated", "valid"] == [key["standing"] for key in shown["keys"]]
        assert 5 == world.run("key", "rotate", world.key("berlin3"), "--key", world.key("berlin")).status
        assert not world.key("berlin3").exists()

    def test_replace_the_logs(self, world: World) -> None:
        """The old key carries the new one, once it lies beside it; renamed when it is over, it signs on."""
        new, old = world.key("new-log"), world.folder / "log.key"
        said = ("key", "replace-log", new, "--key", world.key("operator"))
        early = world.run(*said, "--old", old)
        made = new.read_bytes()
        shutil.copy(new, world.folder / "log.next.key")
        receipt = good(world.run(*said, "--old", old, "--json")).json
        (world.folder / "log.next.key").rename(old)
        good(world.run("key", "rotate", world.key("berlin2"), "--key", world.key("berlin")))

        assert 8 == early.status
        assert "log.next.key" in early.err
        assert "accepted" == receipt["disposition"]
        assert made == old.read_bytes()
        assert 0 == world.run("fsck").status

    def test_replace_the_logs_other_key(self, world: World) -> None:
        """The one of ML-DSA-44 is carried by a quorum of the roots, and named by its id; only the operator says it."""
        identity = sha256(LogKey.load(world.folder / "log.mldsa.key").public).hexdigest()
        new = world.folder / "log.mldsa.next.key"
        said = ("key", "replace-log", new, "--old", identity[:12])
        roots = ("--root", world.key("germany"), "--root", world.key("france"))

        assert 2 == world.run(*said, "--key", world.key("operator")).status
        assert 4 == world.run(*said[:-1], "ffffffffffff", "--key", world.key("operator"), *roots).status
        assert not new.exists()
        assert 7 == world.run(*said, "--key", world.key("germany"), *roots).status
        good(world.run(*said, "--key", world.key("operator"), *roots))
        assert 0 == world.run("fsck").status

    def test_revoke(self, world: World) -> None:
        """A revoked key shows from which entry it is invalid, since when suspect, and why."""
        berlin = PrivateKey.load(world.key("berlin")).id.hex()
        good(
            world.run(
                "key", "revoke", berlin[:10], "--key", world.key("germany"), "--reason", "compromised",
                "--suspect-from", 4,
            )
        )  # fmt: skip
        key = good(world.run("authority", "show", "Staatsanwaltschaft Berlin", "--json")).json["keys"][0]

        assert ("revoked", "compromised", 4) == (key["standing"], key["reason"], key["suspect_from"])

    def test_revoke_the_operators(self, world: World) -> None:
        """The operator's key is revoked once both roots have said so, and not before; then it signs no more."""
        operator = PrivateKey.load(world.key("operator")).id.hex()
        for root, standing, invalid in (("germany", "valid", None), ("france", "revoked", 3)):
            said = ("--reason", "compromised", "--from", 3, "--suspect-from", 2)
            good(world.run("key", "revoke", operator, "--key", world.key(root), *said))
            key = good(world.run("authority", "show", "operator", "--json")).json["keys"][0]
            assert (standing, invalid) == (key["standing"], key["invalid_from"])
        refused = world.run("key", "rotate", world.key("operator2"), "--key", world.key("operator"))

        assert 5 == refused.status

    def test_revoke_for_no_reason(self, world: World) -> None:
        """A reason outside the code list is a usage error that lists the codes."""
        result = world.run(
            "key", "revoke", world.key("berlin"), "--key", world.key("germany"), "--reason", "Jean Dupont"
        )

        assert 2 == result.status
        assert "compromised" in result.err
        assert "Jean Dupont" not in result.err

    def test_retire(self, world: World) -> None:
        """An authority retires its own key."""
        good(world.run("key", "retire", world.key("berlin"), "--key", world.key("berlin")))
        shown = good(world.run("key", "show", world.key("berlin"), "--json")).json

        assert "retired" == shown["standing"]

    def test_unknown_key(self, world: World, tmp_path: Path) -> None:
        """A key on no roster signs nothing: denied, and told how to be certified."""
        PrivateKey.generate().save(tmp_path / "k.pem")
        result = world.run("key", "retire", world.key("berlin"), "--key", tmp_path / "k.pem")

        assert 5 == result.status
        assert "key certify" in result.err

    @pytest.mark.parametrize("content", [b"", b"nope", b"\xff" * 20_000])
    def test_broken_file(self, world: World, tmp_path: Path, content: bytes) -> None:
        """A file that holds no key is invalid input."""
        (tmp_path / "k.pem").write_bytes(content)

        assert 7 == world.run("key", "show", tmp_path / "k.pem").status

    def test_missing_file(self, world: World, tmp_path: Path) -> None:
        """A key file that is not there is not found."""
        assert 4 == world.run("key", "show", tmp_path / "k.pem").status


def test_leaf_is_the_entry(founded: World) -> None:
    """The leaf hash that tail prints is the hash of the stored bytes."""
    from ledger.store.sqlite import SQLiteStore

    store = SQLiteStore(founded.folder / "ledger.db", read_only=True)
    lines = good(founded.run("tail", "--from", 0, "--json")).lines

    assert [leaf_hash(store.entry(line["index"])).hex() for line in lines] == [line["leaf"] for line in lines]
    store.close()
