"""Editions: kept under their hash, found by it, and compared in everything they hold; rules between two States."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import FormatError, NotFound
from ledger.law.counting import due
from ledger.law.data import Ground
from ledger.law.editions import MANIFEST, find, held, keep
from ledger.law.law import HERE, Law, load, read
from ledger.law.manifest import manifest, rules

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 3, 2)


def copy(folder: Path) -> Path:
    """A law folder that a test may change: one instrument, and what all instruments share."""
    shutil.copytree(HERE, folder, ignore=lambda *_: ["instruments", "__pycache__"], dirs_exist_ok=True)
    (folder / "instruments").mkdir()
    (folder / "instruments" / "bilateral.toml").write_text(
        """id = "bilateral"
title = "Treaty"
official = "A treaty, invented for a test"
from = 2020-01-01
counting = "eu-1182-71"
reviewed = 2026-07-01
[limit.T-1]
article = "1"
text = "Thirty days."
from = 2020-01-01
verified = true
by = "requested"
starts = ["request.received"]
ends = ["request.recognised"]
within = { days = 30 }
consequence = "None."
examples = [{ start = 2026-03-02, in = "DE", due = 2026-04-01 }]
""",
        encoding="utf-8",
    )
    return folder


def datum(name: str, *lines: str, start: str = "2020-01-01", until: str | None = None, verified: str = "false") -> str:
    """A datum of a law file, with what each must have, and with *lines* of its own."""
    ends = [] if until is None else [f"until = {until}"]
    common = ('article = "2"', 'text = "Invented."', f"from = {start}", *ends, f"verified = {verified}")
    return "\n".join(["", f"[{name}]", *common, *lines, ""])


def change(file: Path, before: str, after: str) -> None:
    """Replace a text that is there."""
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


# ------------------------------------------------------------------------------------------------ kept


def test_what_is_kept_is_found_by_its_hash_or_the_beginning_of_it(tmp_path):
    """The archive gives back the very files whose hash was asked for."""
    mine = copy(tmp_path / "mine")
    kept = keep(tmp_path / "archive", mine)

    assert read(mine).edition == kept.name
    for name in (kept.name, kept.name[:8]):
        assert kept == find(name, [tmp_path / "archive"])
    assert () == read(kept).diff(read(mine))


def test_this_release_is_an_edition_that_is_always_held(tmp_path):
    """The hash that an entry written today carries is found without any archive."""
    assert HERE == find(rules().hex(), [])
    assert HERE == find(rules().hex(), [tmp_path / "none"])


def test_keeping_twice_changes_nothing(tmp_path):
    """An edition is kept once; nothing is left beside it."""
    mine = copy(tmp_path / "mine")
    first = keep(tmp_path / "archive", mine)
    before = sorted((file, file.stat().st_mtime_ns) for file in first.rglob("*"))

    assert first == keep(tmp_path / "archive", mine)
    assert before == sorted((file, file.stat().st_mtime_ns) for file in first.rglob("*"))
    assert [first] == list((tmp_path / "archive").iterdir())


def test_an_interrupted_copy_never_passes_for_an_edition(tmp_path, monkeypatch):
    """Where copying fails, nothing bears the name of the edition, and nothing is left."""
    mine = copy(tmp_path / "mine")

    def fails(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(shutil, "copyfile", fails)
    with pytest.raises(OSError, match="no space"):
        keep(tmp_path / "archive", mine)
    assert [] == list((tmp_path / "archive").iterdir())


def test_an_edition_is_checked_with_the_tools_of_the_system(tmp_path):
    """`sha256sum` gives the name of the folder from its manifest, and the manifest checks the files."""
    kept = keep(tmp_path, HERE)

    assert sha256((kept / MANIFEST).read_bytes()).hexdigest() == kept.name
    assert manifest() == (kept / MANIFEST).read_bytes()
    checked = subprocess.run(["sha256sum", "-c", MANIFEST], cwd=kept, capture_output=True, check=False)
    assert 0 == checked.returncode


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_what_was_changed_after_it_was_kept_is_refused(tmp_path, damage):
    """A hash means its files or nothing."""
    kept = keep(tmp_path / "archive", copy(tmp_path / "mine"))
    file = kept / "counting" / "national.toml"
    if damage == "changed":
        change(file, "event_excluded = true", "event_excluded = false")
    elif damage == "missing":
        file.unlink()
    else:
        file.with_name("national-xx.toml").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")

    with pytest.raises(FormatError):
        find(kept.name, [tmp_path / "archive"])


def test_a_hash_that_nobody_holds_says_where_it_was_looked_for(tmp_path):
    """What to do now is said: name the archive that has it."""
    with pytest.raises(NotFound) as trouble:
        find("0" * 64, [tmp_path])
    assert str(tmp_path) in trouble.value.why
    assert "--editions" in trouble.value.what_now


def test_a_beginning_that_two_editions_share_is_not_guessed(tmp_path):
    """Eight digits may be too few."""
    for tail in ("1", "2"):
        (tmp_path / ("ab" * 16 + tail * 32)).mkdir()

    assert 3 == len(held([tmp_path]))
    with pytest.raises(NotFound, match="2 editions"):
        find("abababab", [tmp_path])


FILES = (
    "answers.toml", "calendars.toml", "counting/national.toml", "instruments/bilateral.toml", "procedure.toml",
    "steps.toml",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_nobody_can_read_is_refused_by_its_name(tmp_path, name):
    """Whoever gives an edition may have nested a value deeper than a reader can follow."""
    folder = copy(tmp_path / "law")
    (folder / name).write_text("deep = " + "[" * 100_000, encoding="utf-8")

    with pytest.raises(FormatError) as trouble:
        read(folder)
    assert name.rpartition("/")[2] == trouble.value.field


@pytest.mark.parametrize("name", [name for name in FILES if "/" not in name])
def test_an_edition_that_lacks_what_its_instruments_share_is_none(tmp_path, name):
    """What is missing is not taken from this release: the edition would say what it never said."""
    folder = copy(tmp_path / "law")
    (folder / name).unlink()

    with pytest.raises(FormatError, match="is missing") as trouble:
        read(folder)
    assert name == trouble.value.field


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("days = 30", "days = 0", "answer.within.days"),
        ("days = 30", "fortnights = 2", "answer.within.fortnights"),
        ("days = 30", "days = 30, weeks = 1", "answer.within"),
        ("verified = false", "", "answer.verified"),
        ("[answer]", "[answers]", "answers"),
    ],
)
def test_the_time_to_answer_is_read_strictly(tmp_path, before, after, key):
    """As every file of the law is; the error names the key."""
    folder = copy(tmp_path / "law")
    change(folder / "answers.toml", before, after)

    with pytest.raises(FormatError) as trouble:
        read(folder)
    assert f"answers.toml: {key}" == trouble.value.field


# -------------------------------------------------------------------------------------------- compared


@pytest.mark.parametrize(
    ("file", "before", "after", "kind", "ident", "keys"),
    [
        ("counting/eu-1182-71.toml", "working_days_at_least = 2", "working_days_at_least = 3", "counting",
         "eu-1182-71", ("working_days_at_least",)),
        ("counting/eu-1182-71.toml", 'rolls = "3(4)"', 'rolls = "3(5)"', "counting", "eu-1182-71", ("articles",)),
        ("calendars.toml", "last_year = 2040", "last_year = 2041", "calendar", "years", ()),
        ("calendars.toml", 'AD = "Europe/Andorra"', 'AD = "Europe/Madrid"', "calendar", "AD", ()),
        ("calendars.toml", "unverified = [2025, 2026, 2027]", "unverified = [2026, 2027]", "calendar",
         "eu-commission", ("unverified",)),
        ("instruments/bilateral.toml", "reviewed = 2026-07-01", "reviewed = 2026-07-02", "head", "bilateral",
         ("reviewed_on",)),
        ("instruments/bilateral.toml", "days = 30", "days = 31", "limit", "T-1", ("within",)),
    ],
)  # fmt: skip
def test_a_difference_is_found_wherever_it_is(tmp_path, file, before, after, kind, ident, keys):
    """In a rule, in the head of an instrument, in a way of counting, in the calendars."""
    old = read(copy(tmp_path / "old"))
    new = copy(tmp_path / "new")
    change(new / file, before, after)

    (found,) = old.diff(read(new))
    assert (kind, ident, keys) == (found.kind, found.id, found.keys)
    assert old.edition != read(new).edition


STAGE = datum("stage.own")
STEP = 'add = [{ kind = "request", act = "request.received", from = ["issued"], to = "received" }]'
CUT = 'remove = [{ kind = "request", act = "request.received" }]'
OVERLAY = 'parent = "bilateral"\ncountry = "DE"\nreviewed = 2026-07-01\n'
COMMON = 'act = "request.received"\nfrom = ["transmitted", "forwarded"]'
EARLIER = 'act = "request.received"\nfrom = ["issued", "transmitted", "forwarded"]'
RECEIVED = "request request.received"


def drawn(before: Law, after: Law) -> dict[tuple[str, str | None, str], tuple[Any, Any]]:
    """What differs in the procedures: by instrument, State and id, as it was and as it is."""
    return {
        (one.instrument, one.country, one.id): (one.before, one.after)
        for one in before.diff(after)
        if "graph" == one.kind
    }


def with_steps(folder: Path, edits: str = "", of: str = "bilateral") -> Path:
    """The law folder of these tests, with a German overlay; its treaty, or the overlay, edits the graph."""
    instruments = copy(folder) / "instruments"
    (instruments / "bilateral.de.toml").write_text(OVERLAY, encoding="utf-8")
    file = instruments / f"{of}.toml"
    if edits:
        file.write_text(file.read_text(encoding="utf-8") + STAGE + edits + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("before", "after", "ident"),
    [
        ("The request has been issued; it", "The request is issued; it", "request is issued"),
        ("a request sent is a request received", "sent is received", "request.transmitted and request.received"),
        ('= "the request is received"', '= "it came"', "words of request.received"),
        ("The requested authority waits for further", "It waits for", "request beside supplement_requested"),
        ("closes it too", "does so as well", "request.closed on each side"),
        ('from = ["received", "acknowledged"]\nto = "forwarded"', 'from = ["received"]\nto = "forwarded"',
         "request request.forwarded"),
    ],
)  # fmt: skip
def test_a_difference_of_the_procedure_is_found_wherever_it_is(tmp_path, before, after, ident):
    """Stages, halves, words, what is open beside, steps: each is named once, of no instrument."""
    new = copy(tmp_path / "new")
    change(new / "procedure.toml", before, after)
    assert [("", None, ident)] == list(drawn(read(copy(tmp_path / "old")), read(new)))


def test_a_step_of_the_common_graph_that_came_or_went_is_told_once(tmp_path):
    """The act is named with its steps before and after, and no instrument or State that only follows."""
    old, new = read(with_steps(tmp_path / "old")), with_steps(tmp_path / "new")
    change(new / "procedure.toml", COMMON, EARLIER)
    key = ("", None, RECEIVED)

    there, back = drawn(old, read(new)), drawn(read(new), old)
    was, now = there[key]
    assert {key: (was, now)} == there
    assert {key: (now, was)} == back
    assert ("forwarded to received", "transmitted to received") == was
    assert ("forwarded to received", "issued to received", "transmitted to received") == now


def test_steps_of_one_instrument_that_came_or_went_are_told_of_it(tmp_path):
    """Added or removed, each is told of the instrument, not of the common graph, and not again of its State."""
    plain = read(with_steps(tmp_path / "plain"))
    adds = read(with_steps(tmp_path / "adds", STEP))
    cuts = read(with_steps(tmp_path / "cuts", CUT))
    key = ("bilateral", None, RECEIVED)

    ((found, (was, now)),) = drawn(plain, adds).items()
    assert key == found
    assert ({"issued to received"}, set()) == (set(now) - set(was), set(was) - set(now))
    assert {key: (now, was)} == drawn(adds, plain)
    assert {key: (was, None)} == drawn(plain, cuts)
    assert {key: (now, None)} == drawn(adds, cuts)


def test_a_step_that_the_common_graph_takes_over_is_no_change_of_the_instrument(tmp_path):
    """What the treaty had added of its own all instruments have now: for the treaty nothing came."""
    before, after = with_steps(tmp_path / "before", STEP), with_steps(tmp_path / "after")
    change(after / "procedure.toml", COMMON, EARLIER)

    assert [("", None, RECEIVED)] == list(drawn(read(before), read(after)))


def test_steps_of_a_state_are_told_of_that_state(tmp_path):
    """What its overlay adds is its own; where the instrument itself changed alike, the State only follows."""
    plain = read(with_steps(tmp_path / "plain"))
    own = read(with_steps(tmp_path / "own", STEP, of="bilateral.de"))
    shared = read(with_steps(tmp_path / "shared", STEP))

    assert [("bilateral", "DE", RECEIVED)] == list(drawn(plain, own)) == list(drawn(own, plain))
    assert [("bilateral", None, RECEIVED)] == list(drawn(plain, shared))
    # The State had the step before the instrument had it.
    assert [("bilateral", None, RECEIVED)] == list(drawn(own, shared))


def test_steps_that_begin_or_end_on_a_day_are_told_between_two_days(tmp_path):
    """Of one edition too: what an instrument has from 2022 until 2024 came after 2021, and is gone after 2024."""
    folder = with_steps(tmp_path / "law", STEP)
    file = folder / "instruments" / "bilateral.toml"
    stage = 'own]\narticle = "2"\ntext = "Invented."\nfrom = '
    change(file, stage + "2020-01-01", stage + "2022-01-01\nuntil = 2024-01-01")
    law = read(folder)
    before, between, after = (law.at(date(year, 6, 1)) for year in (2021, 2022, 2024))
    key = ("bilateral", None, RECEIVED)

    ((found, (was, now)),) = drawn(before, between).items()
    assert key == found
    assert {"issued to received"} == set(now) - set(was)
    assert {key: (now, was)} == drawn(between, after)
    assert {} == drawn(before, after)


def test_how_long_an_answer_may_take_is_compared(tmp_path):
    """The time that is a choice of the ledger is in an edition like any other."""
    old, new = copy(tmp_path / "old"), copy(tmp_path / "new")
    change(new / "answers.toml", "days = 30", "days = 60")
    (found,) = read(old).diff(read(new))
    assert ("answer", "answer", ("count",)) == (found.kind, found.id, found.keys)


def test_a_way_of_counting_can_be_new_or_gone(tmp_path):
    """As a rule can."""
    old, new = copy(tmp_path / "old"), copy(tmp_path / "new")
    (new / "counting" / "national-de.toml").unlink()

    (gone,) = read(old).diff(read(new))
    (back,) = read(new).diff(read(old))
    assert ("national-de", None) == (gone.id, gone.after)
    assert ("national-de", None) == (back.id, back.before)


def test_an_edition_counts_with_its_own_calendars(tmp_path):
    """A zone or an institution that only another edition has is that edition's alone."""
    folder = copy(tmp_path / "law")
    change(folder / "calendars.toml", 'AD = "Europe/Andorra"', 'AD = "Pacific/Kiritimati"')
    law = read(folder)
    ends = {
        one.limit("T-1").id + where.zone.key: due(law.limit("T-1"), DAY, where).at.isoformat()
        for one, where in ((law, law.calendar("AD")), (law, load().calendar("AD")))
    }

    assert {
        "T-1Pacific/Kiritimati": "2026-04-02T00:00:00+14:00",
        "T-1Europe/Andorra": "2026-04-02T00:00:00+02:00",
    } == ends


# ------------------------------------------------------------------------------------ between two States

LISTS = (
    datum("applicability.accepted", 'effect = "declaration"', 'countries = ["CH", "DE"]')
    + datum(
        "[applicability.reserved]",
        'effect = "declaration"',
        'countries = ["DE", "FR"]',
        "complete = true",
        until="2025-01-01",
    )
    + datum(
        "[applicability.reserved]",
        'effect = "declaration"',
        'countries = ["FR"]',
        "complete = true",
        start="2025-01-01",
    )
    + datum("applicability.agreed", 'effect = "declaration"', 'pairs = [["GB", "US"]]', "complete = true")
    + datum("applicability.apart", 'effect = "not_bound"', 'countries = ["DK"]')
    + datum("ground.G", 'grounds = ["lapse_of_time"]', 'nature = "optional"', verified="true")
)
"""Who accepted, who reserved it until when, which two agreed, who took no part; and a ground."""


def lawful(folder: Path, between: str) -> Law:
    """A law with one ground that depends on the pair."""
    file = copy(folder) / "instruments" / "bilateral.toml"
    file.write_text(file.read_text(encoding="utf-8") + LISTS + between + "\n", encoding="utf-8")
    return read(folder)


@pytest.mark.parametrize(
    ("between", "requesting", "requested", "on", "expected"),
    [
        ("", "CH", "DE", DAY, "holds"),
        ("", "CH", "DK", DAY, "not"),
        ("", None, None, DAY, "holds"),
        ('both = ["accepted"]', "CH", "DE", DAY, "holds"),
        ('both = ["accepted"]', "CH", "FR", DAY, "unknown"),
        ('both = ["accepted"]', "CH", None, DAY, "unknown"),
        ('both = ["agreed"]', "US", "GB", DAY, "holds"),
        ('both = ["agreed"]', "GB", "US", DAY, "holds"),
        ('both = ["agreed"]', "GB", "FR", DAY, "not"),
        ('both = ["accepted", "agreed"]', "GB", "US", DAY, "holds"),
        ('both = ["accepted", "agreed"]', "CH", "US", DAY, "unknown"),
        ('requesting = ["reserved"]', "FR", "DE", DAY, "holds"),
        ('requesting = ["reserved"]', "DE", "FR", DAY, "not"),
        ('requesting = ["reserved"]', "DE", "FR", date(2024, 12, 31), "holds"),
        ('requested = ["reserved"]', "DE", "FR", DAY, "holds"),
        ('one = ["reserved"]', "DE", "FR", DAY, "holds"),
        ('one = ["reserved"]', "DE", "CH", DAY, "not"),
        ('one = ["accepted"]', "FR", "AT", DAY, "unknown"),
        ('one = ["accepted"]', "FR", "DE", DAY, "holds"),
        ('neither = ["reserved"]', "DE", "CH", DAY, "holds"),
        ('neither = ["reserved"]', "DE", "CH", date(2024, 12, 31), "not"),
        ('neither = ["reserved"]', "DE", "FR", DAY, "not"),
        ('neither = ["accepted"]', "FR", "AT", DAY, "unknown"),
        ('both = ["accepted"], neither = ["reserved"]', "FR", "AT", DAY, "not"),
        ('both = ["accepted"], neither = ["reserved"]', "CH", "DE", DAY, "holds"),
        ('both = ["accepted"], requested = ["reserved"]', "CH", "DK", DAY, "not"),
    ],
)  # fmt: skip
def test_a_rule_holds_between_two_states_as_the_lists_say(tmp_path, between, requesting, requested, on, expected):
    """What a list that is not complete leaves open counts as not verified, and is never left out."""
    law = lawful(tmp_path, f"between = {{ {between} }}" if between else "")
    (ground,) = law.data(Ground, "bilateral")

    held_so = law.between(ground, requesting, requested, on)
    said = "not" if held_so is None else "holds" if held_so.verified else "unknown"
    assert expected == said


def test_who_is_bound_is_known_only_where_the_list_is_complete(tmp_path):
    """Denmark took no part; of a State that no list has, nothing is known."""
    law = lawful(tmp_path, "")

    assert (False, None, None) == tuple(law.bound("bilateral", one, DAY) for one in ("DK", "SE", None))
    assert None is law.bound("no-such-instrument", "SE", DAY)
    assert False is load().bound("eu-eio-2014-41", "IE", DAY)
