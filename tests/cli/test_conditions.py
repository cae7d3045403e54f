"""``comity conditions``: what a judge reads, and what a program gets."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.cli.world import World, good

if TYPE_CHECKING:
    from pathlib import Path

EXHIBIT, ALERT, PERSON, CONDITION = (
    str(UUID(int=n << 96 | 7)) for n in (0xA1B2C3D4, 0xB2C3D4E5, 0xC3D4E5F6, 0xD4E5F6A7)
)


@pytest.fixture(scope="module")
def bound(founded: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Lille gives Berlin an exhibit for evaluation only; Berlin uses it in court."""
    folder: Path = tmp_path_factory.mktemp("bound") / "ledger"
    shutil.copytree(founded.folder, folder)
    world = World(folder, founded.ids)
    ids = world.ids

    def say(act: str, subject: str, day: str, key: str, **body: object) -> None:
        draft = {
            "act": act, "case": ids["case"], "subject": subject, "occurred_from": f"{day}T09:00:00Z",
            "zone": "Europe/Paris", "language": "fr", "body": body,
        }  # fmt: skip
        good(world.publish(draft, key=key))

    say(
        "exhibit.acquired", EXHIBIT, "2020-06-10", "lille", exhibit_kind="communications", acquired_by=None,
        source_country="FR", authorisation=None, measure=None, method="network_interception", hash=None,
        hash_kind="none", manifest_root=None, items=None, acquired_from="2020-06-09T00:00:00Z",
        acquired_until="2020-06-10T00:00:00Z",
        copy="original", series=None,
    )  # fmt: skip
    say(
        "disclosure.made", ALERT, "2020-06-11", "lille", exhibits=[EXHIBIT], recipient=ids["berlin"],
        purpose="police_evaluation", accuracy="not_stated", third_country_basis=None,
    )  # fmt: skip
    say(
        "use_condition.attached", ALERT, "2020-06-11", "lille", condition=CONDITION, purposes=["police_evaluation"],
        recipients=[ids["berlin"]], future_material=False, expires_at="2021-06-11T00:00:00Z",
    )  # fmt: skip
    say(
        "disclosure.made", str(UUID(int=0xE5F6A7B8 << 96)), "2020-07-01", "berlin", exhibits=[EXHIBIT],
        recipient=ids["lille"], purpose="criminal_proceedings", accuracy="not_stated", third_country_basis=None,
    )  # fmt: skip
    return world


def attached(shown: Any) -> list[Any]:
    """The conditions that an authority attached, among all that binds."""
    return [one for one in shown["answer"] if one["source"] == "condition"]


class TestConditions:
    def test_of_an_exhibit_and_of_a_case(self, bound: World) -> None:
        """The same condition however one asks, with its entry, who set it, until when, and the use against it."""
        shown = good(bound.run("conditions", "exhibit", EXHIBIT[:8], "--json", "--happened-by", "2020-08-01")).json
        (one,) = attached(shown)
        # Data protection, which nobody names, binds besides.
        assert {"condition", "rule"} == {each["source"] for each in shown["answer"]}
        asked = good(bound.run("conditions", "case", bound.ids["case"], "--json", "--happened-by", "2020-08-01"))
        assert [one] == attached(asked.json)
        assert (CONDITION, bound.size() - 2, True) == (one["id"], one["index"], one["breached"])
        assert ("in_force", "2021-06-11T00:00:00Z") == (one["standing"], one["ends_at"])
        assert [bound.ids["lille"], bound.ids["berlin"]] == [one["set_by"]["id"], one["bound"][0]["authority"]["id"]]
        (use,) = one["uses"]
        assert ("against", bound.size() - 1) == (use["standing"], use["index"])

    def test_words_for_a_judge(self, bound: World) -> None:
        """The breach, the entry that made it, and the entry by which the condition came to bind."""
        out = good(bound.run("conditions", "exhibit", EXHIBIT, "--happened-by", "2020-08-01")).out
        words = " ".join(out.split())
        assert "BREACHED" in words
        assert "AGAINST it: for criminal proceedings, where only police evaluation is allowed" in words
        assert f"(attached by entry {bound.size() - 2})" in words

    def test_both_clocks_and_the_expiry(self, bound: World) -> None:
        """Before the use nothing is breached; after its last day it no longer binds, and the breach stays."""
        assert 4 == bound.run("conditions", "exhibit", EXHIBIT, "--known-by", "2020-08-01").status
        before = good(bound.run("conditions", "exhibit", EXHIBIT, "--json", "--happened-by", "2020-06-20")).json
        assert {False} == {one["breached"] for one in before["answer"]}
        after = good(bound.run("conditions", "exhibit", EXHIBIT, "--json", "--happened-by", "2021-07-01")).json
        assert [("expired", True)] == [(one["standing"], one["breached"]) for one in attached(after)]

    def test_only_what_is_breached(self, bound: World) -> None:
        """Nothing where nothing is."""
        asked = ("conditions", "case", bound.ids["case"], "--breached")
        assert 1 == len(good(bound.run(*asked, "--json")).json["answer"])
        assert "No condition" in good(bound.run(*asked, "--happened-by", "2020-06-20")).out

    def test_a_note_says_what_is_left_out(self, bound: World) -> None:
        """Unverified rules are for the authority concerned."""
        assert "--viewer" in good(bound.run("conditions", "exhibit", EXHIBIT)).err
        viewed = bound.run("conditions", "exhibit", EXHIBIT, "--viewer", bound.ids["berlin"])
        assert "--viewer" not in good(viewed).err

    @pytest.mark.parametrize(
        ("asked", "status"),
        [(("exhibit", "abcdef"), 4), (("person", "abcdef"), 4), (("person", PERSON), 4), (("case", "zz"), 2)],
    )
    def test_what_cannot_be_asked(self, bound: World, asked: tuple[str, ...], status: int) -> None:
        """Nothing under an id, or what is no id at all: each has its exit status."""
        assert status == bound.run("conditions", *asked).status


class TestExhibits:
    def test_an_exhibit_is_shown_with_its_conditions_as_they_stand(self, bound: World) -> None:
        """In force or ended as `comity conditions` says, at whatever instant either is asked."""
        for asked, stands in (
            ((), "expired"),
            (("--happened-by", "2020-08-01"), "in_force"),
            (("--known-by", "2099-01-01"), "expired"),
        ):
            shown = good(bound.run("exhibit", "show", EXHIBIT, *asked, "--json")).json["answer"]
            (one,) = shown["conditions"]
            assert (CONDITION, stands == "in_force") == (one["condition"], one["in_force"])
            told = good(bound.run("conditions", "exhibit", EXHIBIT, *asked, "--json")).json
            assert [stands] == [each["standing"] for each in attached(told)]

    def test_an_exhibit_as_an_authority_sees_it(self, bound: World, tmp_path: Path) -> None:
        """What it may not read changes nothing; what is nowhere else is as what is nowhere at all."""
        shutil.copytree(bound.folder, tmp_path / "ledger")
        world = World(tmp_path / "ledger", bound.ids)
        before = good(world.run("exhibit", "show", EXHIBIT, "--json")).json["answer"]
        hidden = str(UUID(int=0xF6A7B8C9 << 96))
        said = {
            "case": world.ids["case"], "occurred_from": "2020-07-02T09:00:00Z", "zone": "Europe/Paris",
            "language": "fr", "visibility": {"ring": "addressees"},
        }  # fmt: skip
        examined = {
            "act": "exhibit.examined", "subject": EXHIBIT,
            "body": {"purpose": "content_analysis", "method": "network_interception", "accredited": True},
        }  # fmt: skip
        cut = {"act": "exhibit.derived", "subject": hidden, "body": {
            "parents": [EXHIBIT], "transformation": "extraction", "hash": None, "hash_kind": "none",
            "manifest_root": None, "items": None, "reproducible": True,
        }}  # fmt: skip
        good(world.publish(said | examined, said | cut, key="lille"))

        def answer(command: str, of: str, who: str | None) -> Any:
            viewer = () if who is None else ("--viewer", world.ids[who])
            return world.run("exhibit", command, of, *viewer, "--json")

        for command in ("show", "trace"):
            assert before == good(answer(command, EXHIBIT, "berlin")).json["answer"]
            for who in (None, "lille"):
                seen = good(answer(command, EXHIBIT, who)).json["answer"]
                assert ["exhibit.examined", [hidden]] == [seen["chain"][-1]["act"], seen["descendants"]]
        basis = good(world.run("exhibit", "trace", EXHIBIT, "--basis", "--viewer", world.ids["berlin"], "--json"))
        assert basis.json["answer"] == good(bound.run("exhibit", "trace", EXHIBIT, "--basis", "--json")).json["answer"]
        nowhere = str(UUID(int=0xF6A7B8CA << 96))
        refused = [answer("show", one, "berlin") for one in (hidden, nowhere)]
        assert [4, 4] == [one.status for one in refused]
        assert refused[1].trouble["what"].replace(nowhere, hidden) == refused[0].trouble["what"]
        assert 0 == answer("show", hidden, "lille").status
