"""``comity law`` and ``comity due``: what they print, as text and as JSON, and how they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.law.law import HERE, load
from tests.cli.world import World, comity, good

if TYPE_CHECKING:
    from pathlib import Path


def edition(folder: Path) -> Path:
    """A copy of this edition that a test may damage."""
    for file in HERE.rglob("*.toml"):
        target = folder / file.relative_to(HERE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return folder


def test_due_in_json_has_all_that_is_needed_to_compute_it_again() -> None:
    """The instant with its offset, the last day, rule, article, calendar, edition and every step."""
    said = good(comity("due", "EIO-REC", "--start", "2026-03-02", "--in", "DE", "--json")).json

    assert "2026-04-02T00:00:00+02:00" == said["due"]
    assert "2026-04-01" == said["last_day"]
    assert ("EIO-REC", "12(3)", "eu-1182-71") == (said["limit"], said["article"], said["rule"])
    assert said["calendar"].startswith("DE (holidays ")
    assert load().edition == said["edition"]
    assert ["3(1)", "3(2)(b)"] == [step["article"] for step in said["steps"]]


def test_due_takes_a_local_time_a_part_of_a_state_and_a_zone() -> None:
    """Hours are local to the State that must act; a part of it has its own holidays."""
    hours = good(comity("due", "EIO-PROV", "--start", "2026-03-05T10:20", "--in", "DE-BY", "--json")).json
    assert ("2026-03-06T11:00:00+01:00", "DE-BY") == (hours["due"], hours["calendar"].split(" ")[0])
    abroad = good(
        comity("due", "EIO-PROV", "--start", "2026-03-05T10:20", "--in", "ES", "--zone", "Atlantic/Canary", "--json")
    ).json
    assert "2026-03-06T11:00:00+00:00" == abroad["due"]


def test_due_says_when_a_rule_is_not_verified() -> None:
    """What was not compared with the official wording is shown so, with what of it is a reading."""
    said = good(comity("due", "EIO-31", "--start", "2026-03-05T10:20", "--in", "DE"))
    assert "Not verified against the official wording." in said.out

    asked = ("due", "EPOC-XPV", "--start", "2026-09-03T10:20", "--in", "DE")
    words = " ".join(good(comity(*asked)).out.split())
    assert "Not verified against the official wording. The text does not say when the 48 hours begin" in words
    said_so = good(comity(*asked, "--json")).json
    assert (False, True) == (said_so["verified"], said_so["note"].startswith("The text does not say when"))
    verified = good(comity("due", "EIO-REC", "--start", "2026-03-02", "--in", "DE"))
    assert "Not verified" not in verified.out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("due", "EIO-NONE", "--start", "2026-03-02", "--in", "DE"), 4),
        (("due", "EIO-REC", "--start", "yesterday", "--in", "DE"), 2),
        (("due", "EIO-REC", "--start", "2026-03-02", "--in", "ZZ"), 4),
        (("due", "EIO-REC", "--start", "2041-03-02", "--in", "DE"), 4),
        (("due", "EIO-REC", "--start", "2016-03-02", "--in", "DE"), 4),
        (("due", "EIO-PROV", "--start", "2026-03-02", "--in", "DE"), 7),
        (("due", "EIO-REC", "--start", "2026-03-02", "--in", "DE", "--variant", "emergency"), 7),
        (("law", "show", "nothing"), 4),
        (("law", "on", "yesterday"), 2),
        (("law", "graph", "nothing"), 4),
        (("law", "graph", "eu-eio-2014-41", "--kind", "nothing"), 2),
    ],
)
def test_what_cannot_be_answered_has_its_status(arguments: tuple[str, ...], status: int) -> None:
    """No such rule, no calendar, no time of day: each with words and no traceback."""
    said = comity(*arguments)
    assert (status, "") == (said.status, said.out)
    assert said.err.startswith("error: ")


def test_the_law_is_listed_shown_and_dated() -> None:
    """Instruments and limits as lists, a rule with its article, the rules of a day."""
    assert "eu-eio-2014-41" in {row["id"] for row in good(comity("law", "list", "--json")).lines}
    limits = {row["id"]: row for row in good(comity("law", "list", "--limits", "--json")).lines}
    assert ("30 days", "12(3)", True) == tuple(limits["EIO-REC"][key] for key in ("period", "article", "verified"))
    shown = good(comity("law", "show", "EIO-REC", "--json")).json
    assert [{"unit": "days", "count": 30}] == [rule["within"] for rule in shown]
    assert "12(3)" in good(comity("law", "show", "EIO-REC")).out
    assert "European Investigation Order" in good(comity("law", "show", "eu-eio-2014-41")).out
    before = good(comity("law", "on", "2017-05-21", "--json")).lines
    assert "EIO-REC" not in {row["id"] for row in before}
    assert "EIO-REC" in {row["id"] for row in good(comity("law", "on", "2017-05-22", "--json")).lines}


def test_what_was_not_known_yet_can_be_left_out() -> None:
    """The notice of an infiltration was a duty in 2020, and known as one from 30 April 2024."""
    arguments = ("law", "on", "2020-06-02", "--instrument", "eu-eio-2014-41", "--json")
    known = {row["id"] for row in good(comity(*arguments)).lines}
    then = {row["id"] for row in good(comity(*arguments, "--known-by", "2020-06-02")).lines}

    assert "notify-infiltration" in known - then


def test_a_graph_is_drawn() -> None:
    """Mermaid for people, a step a line for programs."""
    assert good(comity("law", "graph", "eu-eio-2014-41")).out.startswith("```mermaid")
    steps = good(comity("law", "graph", "eu-eio-2014-41", "--json")).lines
    assert {"act": "request.issued", "from": None, "to": "issued", "when": None} in steps


def test_a_difference_names_rule_and_key(tmp_path: Path) -> None:
    """Between two days, and between two editions."""
    new = good(comity("law", "diff", "2017-05-21", "2017-05-22", "--json")).lines
    assert {"EIO-REC"} <= {row["id"] for row in new if row["before"] is None}

    folder = edition(tmp_path)
    file = folder / "instruments" / "eu-eio-2014-41.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("within = { weeks = 1 }", "within = { weeks = 2 }", 1))
    changed = good(comity("law", "diff", HERE, folder, "--json")).lines
    assert ["within"] in [row["keys"] for row in changed]
    assert "Nothing differs." in good(comity("law", "diff", HERE, HERE)).out


def test_a_difference_of_a_procedure_names_the_steps(tmp_path: Path) -> None:
    """A step that came or went is said in words, of the common graph or of the instrument, and in JSON as lists."""
    folder = edition(tmp_path)
    file = folder / "instruments" / "us-cloud-act-2018.toml"
    stage = '[stage.x]\narticle = "1"\ntext = "X."\nfrom = 2018-03-23\nverified = false\n'
    stage += 'add = [{ kind = "request", act = "request.acknowledged", from = ["issued"], to = "acknowledged" }]\n'
    file.write_text(file.read_text(encoding="utf-8") + "\n" + stage, encoding="utf-8")
    graph = folder / "procedure.toml"
    step = 'act = "request.received"\nfrom = ["transmitted", '
    assert step in graph.read_text(encoding="utf-8")
    graph.write_text(graph.read_text(encoding="utf-8").replace(step, step.replace('"transmitted", ', ""), 1))

    rows = [row for row in good(comity("law", "diff", HERE, folder, "--json")).lines if "graph" == row["kind"]]
    common, own = sorted(rows, key=lambda row: str(row["instrument"]))
    assert ("", "request request.received") == (common["instrument"], common["id"])
    assert ["transmitted to received"] == [one for one in common["before"] if one not in common["after"]]
    assert ("us-cloud-act-2018", "request request.acknowledged") == (own["instrument"], own["id"])
    assert ["issued to acknowledged"] == [one for one in own["after"] if one not in (own["before"] or [])]
    words = " ".join(good(comity("law", "diff", HERE, folder)).out.split())
    assert "gone: transmitted to received" in words
    assert "new: issued to acknowledged" in words


def test_an_edition_is_named_by_its_hash(tmp_path: Path) -> None:
    """The hash that an entry carries finds its files in an archive, whole or shortened."""
    folder = edition(tmp_path / "mine")
    file = folder / "counting" / "eu-1182-71.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("event_excluded = true", "event_excluded = false"))
    archive = tmp_path / "archive"
    kept = good(comity("law", "archive", archive, "--law", folder, "--json")).json
    name = kept["edition"]

    assert [name] == kept["held"]
    (changed,) = good(comity("law", "diff", "release", name, "--editions", archive, "--json")).lines
    assert ("", "counting", "eu-1182-71", ["event_excluded"]) == tuple(
        changed[key] for key in ("instrument", "kind", "id", "keys")
    )
    asked = ("due", "EIO-REC", "--start", "2026-03-02", "--in", "DE", "--editions", archive, "--json")
    then = good(comity(*asked, "--law", name[:8])).json
    assert (name, "2026-03-31") == (then["edition"], then["last_day"])
    assert "2026-04-01" == good(comity(*asked)).json["last_day"]
    assert "Nothing differs." in good(comity("law", "diff", load().edition, HERE)).out
    missing = comity("law", "diff", "release", name)
    assert 4 == missing.status
    assert "--editions" in missing.err


def test_a_ledger_keeps_the_edition_it_publishes_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash in its entries is found in its own folder, though the release has gone on."""
    ledger = tmp_path / "ledger"
    good(comity("init", ledger, "--origin", "test.example/law", "--root", "DE=germany"))

    name = load().edition
    assert (ledger / "law" / name / "MANIFEST").is_file()
    folder = edition(tmp_path / "mine")
    (folder / "counting" / "national-fr.toml").unlink()
    monkeypatch.setenv("COMITY_LEDGER", str(ledger))
    (gone,) = good(comity("law", "diff", name, folder, "--json")).lines
    assert ("national-fr", None) == (gone["id"], gone["after"])


def test_what_does_not_hold_between_two_states_is_not_computed() -> None:
    """Denmark and Ireland are not bound by the Directive, so that no limit of it runs there."""
    asked = ("due", "EIO-REC", "--start", "2026-03-02", "--in", "DE", "--json")
    assert "2026-04-01" == good(comity(*asked, "--with", "FR")).json["last_day"]
    said = comity(*asked, "--with", "DK")
    assert (4, "") == (said.status, said.out)
    assert "does not hold between DK and DE" in said.err
    day = ("law", "on", "2026-03-02", "--instrument", "eu-eio-2014-41", "--json", "--between")
    assert [] == good(comity(*day, "FR,IE")).lines
    assert "EIO-REC" in {row["id"] for row in good(comity(*day, "FR,DE")).lines}
    assert 2 == comity(*day, "FR").status


def test_an_edition_with_a_wrong_example_or_key_does_not_pass(tmp_path: Path) -> None:
    """The check names file and key, and its status is that of invalid input."""
    assert good(comity("law", "check", "--instrument", "eu-eio-2014-41")).out.startswith("1 instrument, ")
    folder = edition(tmp_path)
    file = folder / "instruments" / "eu-eio-2014-41.toml"
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace("due = 2026-04-01", "due = 2026-04-02"))
    said = comity("law", "check", folder, "--instrument", "eu-eio-2014-41")
    assert 7 == said.status
    assert "limit.EIO-REC.examples[0]: is due 2026-04-01, not 2026-04-02" in said.err
    file.write_text(right.replace("title =", "titel =", 1))
    said = comity("law", "check", folder, "--instrument", "eu-eio-2014-41")
    assert 7 == said.status
    assert "eu-eio-2014-41.toml: titel" in said.err


def test_another_edition_can_be_asked_by_option_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that only the other folder has is found there and nowhere else, and counted as that folder counts."""
    folder = edition(tmp_path)
    file = folder / "instruments" / "eu-eio-2014-41.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("EIO-REC", "EIO-OTHER"), encoding="utf-8")
    rule = folder / "counting" / "eu-1182-71.toml"
    told = rule.read_text(encoding="utf-8")
    rule.write_text(told.replace("event_excluded = true", "event_excluded = false"), encoding="utf-8")
    arguments = ("due", "EIO-OTHER", "--start", "2026-03-02", "--in", "DE", "--json")

    assert 4 == comity(*arguments).status
    by_option = good(comity(*arguments, "--law", folder)).json
    monkeypatch.setenv("COMITY_LAW", str(folder))
    by_environment = good(comity(*arguments)).json

    assert by_option == by_environment
    assert "2026-03-31" == by_option["last_day"]
    assert load().edition != by_option["edition"]
    assert "EIO-OTHER" in {row["id"] for row in good(comity("law", "list", "--limits", "--json")).lines}
    assert 7 == comity("law", "check").status  # its examples were counted with the day of the event left out


def test_a_folder_without_law_is_no_edition(tmp_path: Path) -> None:
    """Nothing to check is not a check that was passed."""
    for arguments in (("law", "check", tmp_path / "none"), ("law", "list", "--law", tmp_path)):
        said = comity(*arguments)
        assert (4, "") == (said.status, said.out)
        assert "no edition of the law" in said.err
    assert 4 == comity("law", "check", "--instrument", "nothing").status


def test_what_can_come_next_is_read_in_the_edition_asked_for(founded: World, tmp_path: Path) -> None:
    """An edition whose procedure lets an order arrive unsent is asked by option, or was named by the log then."""
    folder = edition(tmp_path / "mine")
    file = folder / "instruments" / "eu-eio-2014-41.toml"
    step = '[stage.fast-means]\narticle = "7(1)"\ntext = "It may arrive in the moment in which it is made."\n'
    step += "from = 2017-05-22\nverified = false\n"
    step += 'add = [{ kind = "request", act = "request.received", from = ["issued"], to = "received" }]\n'
    file.write_text(file.read_text(encoding="utf-8") + "\n" + step, encoding="utf-8")
    request, case = founded.ids["request"], founded.ids["case"]

    def answer(*asked: object) -> tuple[str, bool]:
        said = good(founded.run(*asked, "--json")).json
        things = said["answer"].get("things", [said["answer"]])
        (thing,) = (one for one in things if one["thing"] == request)
        return said["edition"], "request.received" in {one["act"] for one in thing["next"]}

    name = good(comity("law", "archive", tmp_path / "kept", "--law", folder, "--json")).json["edition"]
    for asked in (("request", "show", request), ("case", "show", case)):
        assert (load().edition, False) == answer(*asked)
        assert (name, True) == answer(*asked, "--edition", name[:12], "--editions", tmp_path / "kept")
        # Without an option it is the edition that the entries of that time name.
        assert (load().edition, False) == answer(*asked, "--known-by", "2099-01-01", "--editions", tmp_path / "kept")
    listed = good(founded.run("request", "list", "--edition", folder, "--json")).lines
    (one,) = (one for one in listed if one["thing"] == request)
    assert "request.received" in {step["act"] for step in one["next"]}
