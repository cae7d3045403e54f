"""``comity deadlines``: what a judge reads, and what a program gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.world import World, comity, good

if TYPE_CHECKING:
    from pathlib import Path

LILLE = "Tribunal judiciaire de Lille"
BERLIN = "Staatsanwaltschaft Berlin"


@pytest.fixture(scope="module")
def received(founded: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The request of the world, received in Lille on Thursday 4 June 2020: thirty days end on Saturday 4 July."""
    import shutil

    folder: Path = tmp_path_factory.mktemp("received") / "ledger"
    shutil.copytree(founded.folder, folder)
    world = World(folder, founded.ids)
    draft: dict[str, Any] = {
        "act": "request.received",
        "case": world.ids["case"],
        "subject": world.ids["request"],
        "occurred_from": "2020-06-04T09:00:00Z",
        "zone": "Europe/Paris",
        "language": "fr",
        "body": {"completeness": "complete"},
    }
    good(world.publish(draft, key="lille"))
    return world


def limits(world: World, *asked: object) -> dict[str, Any]:
    """The answer in JSON, by the id of the limit."""
    found = good(world.run("deadlines", *asked, "--json")).json["answer"]
    return {one["limit"]: one for one in found}


class TestDeadlines:
    def test_of_a_case_and_of_a_request(self, received: World) -> None:
        """The same limits by case and by request, each with all that its end rests on."""
        ids = received.ids
        by_case = limits(received, ids["case"], "--happened-by", "2020-06-10")
        limit = by_case["EIO-REC"]

        assert by_case == limits(received, ids["request"][:8], "--happened-by", "2020-06-10")
        assert ("open", "12(3)", ids["lille"]) == (limit["standing"], limit["article"], limit["authority"])
        # Saturday moves on to Monday 6 July, which ends at 22:00 in UTC.
        assert ("2020-07-06", "2020-07-06T22:00:00Z") == (limit["last_day"], limit["due_at"])
        assert "eu-1182-71" == limit["counting"]
        assert limit["calendar"].startswith("FR (holidays ")
        assert {"article", "text"} == limit["steps"][0].keys()
        assert limit["verified"]
        assert 64 == len(limit["edition"])

    def test_words_for_a_judge(self, received: World) -> None:
        """The rule in plain words, who must act by when, and how the day was found."""
        out = good(received.run("deadlines", received.ids["case"], "--happened-by", "2020-06-10")).out
        words = " ".join(out.split())

        assert "EIO-REC" in out
        assert "2020-07-06" in out
        assert "Art. 12(3)" in words
        assert "Art. 3(4)" in words
        assert "calendar FR (holidays " in words

    def test_of_an_authority(self, received: World) -> None:
        """What Lille must do within thirty days; Berlin has nothing to do."""
        asked = ("--due-within", 30, "--happened-by", "2020-06-10")

        assert "due" == limits(received, "--authority", LILLE, *asked)["EIO-REC"]["standing"]
        assert {} == limits(received, "--authority", BERLIN, *asked)
        early = ("--due-within", 5, "--happened-by", "2020-06-05")
        assert "EIO-REC" not in limits(received, "--authority", LILLE, *early)

    def test_states_and_all_cases(self, received: World) -> None:
        """Without a case every case is asked; a standing chooses among them."""
        assert "lapsed" == limits(received)["EIO-REC"]["standing"]
        assert "EIO-REC" in limits(received, "--state", "lapsed")
        assert {} == limits(received, "--state", "met")
        opened = limits(received, received.ids["case"], "--state", "open", "--as-of", "2100-01-01")
        assert {} == opened

    def test_what_is_not_verified_is_for_whom_it_concerns(self, received: World) -> None:
        """Nothing unverified is shown without a viewer; a note says so, unless it is quiet."""
        shown = limits(received)
        loud = good(received.run("deadlines", received.ids["case"]))
        quiet = good(received.run("deadlines", received.ids["case"], "--quiet"))

        assert all(one["verified"] for one in shown.values())
        assert "--viewer" in loud.err
        assert "--viewer" not in quiet.err
        assert shown.items() <= limits(received, received.ids["case"], "--viewer", LILLE).items()

    def test_an_empty_answer_is_a_sentence(self, received: World) -> None:
        """Nothing to show is said in words."""
        out = good(received.run("deadlines", "--authority", BERLIN, "--state", "late")).out

        assert "No time limit" in out

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            (("--state", "overdue"), 2),
            (("--authority", LILLE, "--viewer", LILLE), 2),
            (("ffffff",), 4),
            (("--authority", "Nobody"), 4),
        ],
    )
    def test_troubles(self, received: World, asked: tuple[str, ...], status: int) -> None:
        """A standing that is none, two views at once, an id and a name that nobody bears."""
        assert status == received.run("deadlines", *asked).status


@pytest.mark.parametrize(("more", "words"), [((), "within 10 days"), (("--variant", "emergency"), "96 hours")])
def test_due_says_the_rule_that_was_counted(more: tuple[str, ...], words: str) -> None:
    """The words and the article of the variant that was asked for, not those of the ordinary rule."""
    said = good(comity("due", "EPOC-REF", "--start", "2026-09-03T10:20:00", "--in", "DE", *more)).out
    assert words in said.splitlines()[0]
