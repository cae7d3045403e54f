"""``comity findings``: what a judge reads, and what a program gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.world import World, good

if TYPE_CHECKING:
    from pathlib import Path

LILLE = "Tribunal judiciaire de Lille"


@pytest.fixture(scope="module")
def refused(founded: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The request of the world, refused for national security without the consultation that comes first."""
    import shutil

    folder: Path = tmp_path_factory.mktemp("refused") / "ledger"
    shutil.copytree(founded.folder, folder)
    world = World(folder, founded.ids)
    draft = {
        "act": "request.refused",
        "case": world.ids["case"],
        "subject": world.ids["request"],
        "occurred_from": "2020-06-20T09:00:00Z",
        "zone": "Europe/Paris",
        "language": "fr",
        "body": {
            "scope": "full",
            "grounds": [{"ground": "national_security", "article": None}],
            "reasons": "11" * 32,
            "consultation": None,
        },
    }
    good(world.publish(draft, key="lille"))
    return world


class TestFindings:
    def test_of_a_case_of_a_request_and_of_an_authority(self, refused: World) -> None:
        """The same finding however one asks, with rule, article, edition, entry and who is concerned."""
        ids = refused.ids

        def asked(*how: object) -> list[dict[str, object]]:
            shown = good(refused.run("findings", *how, "--json")).json["answer"]
            return [one for one in shown if one["rule"] == "consult-before-refusing"]

        (one,) = asked(ids["case"])
        assert [one] == asked(ids["request"][:8]) == asked("--authority", LILLE) == asked()
        assert ("11(4)", "consult_first_ground", ids["lille"]) == (one["article"], one["kind"], one["authority"])
        assert (True, "2020-06-20T09:00:00Z", None) == (one["verified"], one["since_from_at"], one["resolved_by"])
        assert 64 == len(str(one["edition"]))
        assert [] == asked(ids["case"], "--happened-by", "2020-06-19")

    def test_words_for_a_judge(self, refused: World) -> None:
        """What is missing, since when, whose it is, and under which article."""
        out = good(refused.run("findings", refused.ids["case"])).out
        for words in ("consultation", "2020-06-20", "11(4)"):
            assert words in out

    def test_sentences_and_history(self, refused: World) -> None:
        """A program gets the sentences that a judge reads; with the history each step at both clocks."""
        (one,) = [
            one
            for one in good(refused.run("findings", refused.ids["case"], "--history", "--json")).json["answer"]
            if one["rule"] == "consult-before-refusing"
        ]
        assert any(LILLE in said for said in one["says"])
        assert ["consultation.opened", "consultation.concluded"] == one["expected"]
        steps = [step for step in one["history"] if step["index"] is not None]
        assert "2020-06-20T09:00:00Z" == steps[0]["happened_at"]
        assert steps[0]["happened_at"] < steps[0]["known_at"]
        out = " ".join(good(refused.run("findings", refused.ids["case"], "--history")).out.split())
        assert all(step["words"] in out for step in one["history"])

    def test_what_may_not_be_seen_is_as_if_it_were_not(self, refused: World) -> None:
        """A case out of one's sight, and one that does not exist, end with the same status and no answer."""
        hidden = refused.run("findings", refused.ids["case"], "--viewer", "root:FR", "--json")
        unknown = refused.run("findings", "5b1d6a52-7c5e-4d0f-93a5-3f6f8b1f5aff", "--viewer", "root:FR", "--json")
        assert (4, 4) == (hidden.status, unknown.status)
        assert "" == hidden.out == unknown.out

    def test_a_note_says_what_is_left_out(self, refused: World) -> None:
        """Unverified rules are for the authority concerned."""
        assert "--viewer" in good(refused.run("findings", refused.ids["case"])).err
        assert "may have been done" in good(refused.run("findings", "--authority", LILLE)).err
        assert "--viewer" not in good(refused.run("findings", "--authority", LILLE)).err

    def test_figures_have_nothing_that_oversight_may_not_see(self, refused: World) -> None:
        """The case alone may see the refusal."""
        assert [] == good(refused.run("findings", "--figures", "--json")).json["answer"]
        assert "No finding" in good(refused.run("findings", "--figures")).out

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            (("--state", "lost"), 2),
            (("--authority", LILLE, "--figures"), 2),
            (("--authority", LILLE, "--viewer", LILLE), 2),
            (("abcdef",), 4),
        ],
    )
    def test_what_cannot_be_asked(self, refused: World, asked: tuple[str, ...], status: int) -> None:
        """Usage errors and unknown ids have their own exit status."""
        assert status == refused.run("findings", *asked).status
