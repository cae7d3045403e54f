"""The loader: what the format does not have is refused, naming file and key."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from ledger.acts import catalogue
from ledger.domain.procedure import load as superset
from ledger.errors import FormatError
from ledger.law import law as law_module
from ledger.law.data import CHECKS, KINDS, ROLES, Between, Ground, Limit, Period, Stage, StepEdit
from ledger.law.loader import Reader

ROOT = Path(__file__).resolve().parents[2]
FORMAT = (ROOT / "docs" / "reference" / "law-format.md").read_text(encoding="utf-8")

HEAD = """
id = "eu-eio-2014-41"
title = "European Investigation Order"
official = "Directive 2014/41/EU"
from = 2017-05-22
counting = "eu-1182-71"
reviewed = 2026-07-01
"""

LIMIT = """
[limit.T-1]
article = "12(3)"
text = "A decision within thirty days."
from = 2017-05-22
verified = true
by = "requested"
within = { days = 30 }
starts = ["request.received"]
ends = ["request.recognised", "request.refused"]
consequence = "None."
examples = [{ start = 2026-03-02, in = "DE", due = 2026-04-01 }]
"""

GROUND = """
[ground.T-2]
article = "11(1)(a)"
text = "A privilege."
from = 2017-05-22
verified = false
grounds = ["immunity_or_privilege"]
nature = "optional"
"""

DUTY = """
[duty.T-3]
article = "11(4)"
text = "Consult first."
from = 2017-05-22
verified = false
when = ["request.refused"]
then = ["consultation.opened"]
by = "requested"
timing = "before"
"""

FORM = """
[particular.T-4]
article = "5(1)"
text = "The measure."
from = 2017-05-22
verified = false
act = "request.issued"
form = "A"
carried_by = ["body.measures"]
"""

EDIT = """
[stage.T-5]
article = "2"
text = "No validation afterwards."
from = 2017-05-22
verified = false
remove = [{ kind = "request", act = "request.validated", from = ["transmitted"] }]
"""

WHOLE = HEAD + LIMIT + GROUND + DUTY + FORM + EDIT

OVERLAY = """
parent = "eu-eio-2014-41"
country = "DE"
reviewed = 2026-07-01
"""

REMOVED = """
[[remove]]
kind = "duty"
id = "T-3"
article = "1"
text = "Gone."
from = 2017-05-22
verified = false
"""


def read(text: str, file: str = "eu-eio-2014-41.toml"):
    return Reader(catalogue(), superset(), {"eu-1182-71", "national"}).instrument(text.encode(), file=file)


def lay(text: str, file: str = "eu-eio-2014-41.de.toml"):
    reader = Reader(catalogue(), superset(), {"eu-1182-71", "national"})
    parent = reader.instrument(WHOLE.encode(), file="eu-eio-2014-41.toml")
    return reader.overlay((OVERLAY + text).encode(), parent, file=file)


GROUPS = b"""
[no-validation]
text = "Validation."
steps = [{ kind = "request", act = "request.validated" }]
"""


def test_a_group_stands_for_its_steps():
    """What instruments leave out together is named once, and read as the steps themselves."""
    text = HEAD + re.sub("remove = .*", 'remove = ["no-validation"]', EDIT)
    reader = Reader(catalogue(), superset(), {"eu-1182-71"}, GROUPS)
    (stage,) = reader.instrument(text.encode(), file="eu-eio-2014-41.toml").data["stage"]["T-5"]
    assert isinstance(stage, Stage)
    assert (StepEdit("request", "request.validated"),) == stage.remove


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        (b'text = "Validation."', b"", "no-validation.text"),
        (b"kind =", b"kin =", "no-validation.steps[0].kin"),
        (b'"request.validated"', b'"request.valid"', "no-validation.steps[0].act"),
        (b"[no-validation]", b"no-validation = 1\n[other]", "no-validation"),
    ],
)
def test_a_damaged_group_is_refused(good, bad, key):
    """The error names the file of the groups, and the key."""
    with pytest.raises(FormatError) as refused:
        Reader(catalogue(), superset(), set(), GROUPS.replace(good, bad))
    assert f"steps.toml: {key}" in str(refused.value)


def test_the_whole_example_is_read():
    """What the refusals below damage is itself a good file."""
    assert {"limit", "ground", "duty", "particular", "stage"} == set(read(WHOLE).data)


DAMAGES = {
    "an unknown key of the file": ('title = "', 'titel = "x"\ntitle = "', "titel"),
    "an unknown kind": ("[ground.T-2]", "[grounds.T-2]", "grounds"),
    "an unknown key of a datum": ("[limit.T-1]", "[limit.T-1]\nstart = 1", "limit.T-1.start"),
    "a limit without an article": ('article = "12(3)"\n', "", "limit.T-1.article"),
    "a limit without words": ('text = "A decision within thirty days."\n', "", "limit.T-1.text"),
    "words that are empty": ('"A decision within thirty days."', '" "', "limit.T-1.text"),
    "a datum that does not say whether it is verified": ("verified = true\n", "", "limit.T-1.verified"),
    "a datum without a first day": ('days."\nfrom = 2017-05-22', 'days."', "limit.T-1.from"),
    "a day with a time": ('days."\nfrom = 2017-05-22', 'days."\nfrom = 2017-05-22T10:00:00', "limit.T-1.from"),
    "verified from memory": ("verified = true", 'verified = true\nbasis = "memory"', "limit.T-1.verified"),
    "a basis that nobody knows": ("verified = true", 'verified = true\nbasis = "hearsay"', "limit.T-1.basis"),
    "a limit without an example": (re.compile("examples = .*"), "", "limit.T-1.examples"),
    "a limit that nothing starts": (re.compile("starts = .*"), "", "limit.T-1.starts"),
    "a limit that nothing meets": (re.compile("ends = .*"), "", "limit.T-1.ends"),
    "a limit without a period": ("within = { days = 30 }\n", "", "limit.T-1.within"),
    "a period of two units": ("{ days = 30 }", "{ days = 30, hours = 1 }", "limit.T-1.within"),
    "a period of nothing": ("{ days = 30 }", "{ days = 0 }", "limit.T-1.within.days"),
    "an act that does not exist": ("request.received", "request.recieved", "limit.T-1.starts[0]"),
    "a role that does not exist": ('by = "requested"\nwithin', 'by = "executing"\nwithin', "limit.T-1.by"),
    "a condition on a field that the act lacks": (
        '["request.received"]',
        '[{ act = "request.received", when = { form = "gather" } }]',
        "limit.T-1.starts[0].when.form",
    ),
    "a condition with a code outside the list": (
        '["request.received"]',
        '[{ act = "request.received", when = { completeness = "half" } }]',
        "limit.T-1.starts[0].when.completeness",
    ),
    "a where on a field that no request has": (
        'consequence = "None."',
        'consequence = "None."\nwhere = { urgent = true }',
        "limit.T-1.where.urgent",
    ),
    "a counting rule that does not exist": (
        'consequence = "None."',
        'consequence = "None."\ncounting = "eu-1"',
        "limit.T-1.counting",
    ),
    "an example in no place": ('in = "DE"', 'in = "Germany"', "limit.T-1.examples[0].in"),
    "an example of a variant that is not there": (
        'in = "DE"',
        'in = "DE", variant = "emergency"',
        "limit.T-1.examples[0].variant",
    ),
    "a ground outside the code list": ("immunity_or_privilege", "immunity", "ground.T-2.grounds[0]"),
    "a ground of no nature": ('nature = "optional"', 'nature = "maybe"', "ground.T-2.nature"),
    "a duty that nothing fulfils": ('then = ["consultation.opened"]\n', "", "duty.T-3.then"),
    "a duty of an unknown check": ('timing = "before"', 'timing = "before"\ncheck = "guess"', "duty.T-3.check"),
    "a duty within no time": ('timing = "before"', 'timing = "within"', "duty.T-3.within"),
    "a duty within a limit that is not there": (
        'timing = "before"',
        'timing = "within"\nlimit = "T-9"',
        "duty.T-3.limit",
    ),
    "a form carried by no field": ("body.measures", "body.measure", "particular.T-4.carried_by[0]"),
    "a form carried by no attachment role": ("body.measures", "attachment.letter", "particular.T-4.carried_by[0]"),
    "an edit of a stage that does not exist": ('from = ["transmitted"]', 'from = ["sent"]', "stage.T-5.remove[0].from"),
    "the removal of a step that is not there": ('from = ["transmitted"]', 'from = ["closed"]', "stage.T-5.remove[0]"),
    "an edit of an act that is not said there": (
        'kind = "request", act',
        'kind = "exhibit", act',
        "stage.T-5.remove[0].act",
    ),
    "the removal of a group that is not there": (
        re.compile("remove = .*"),
        'remove = ["orders"]',
        "stage.T-5.remove[0]",
    ),
    "what follows from the scope alone, verified": (
        "verified = false\nremove",
        "verified = true\nby_scope = true\nremove",
        "stage.T-5.verified",
    ),
    "a variant of an example that is no name": (
        'in = "DE"',
        'in = "DE", variant = ["x"]',
        "limit.T-1.examples[0].variant",
    ),
    "an extension whose end has no name": (
        'consequence = "None."',
        "consequence = \"None.\"\nextension = { by = ['delay.notified'], article = '1', text = 'x', named = [] }",
        "limit.T-1.extension.named",
    ),
    "an instrument that is no code": ('id = "eu-eio-2014-41"', 'id = "eu-eio"', "id"),
    "the key of an overlay": ('title = "', 'country = "DE"\ntitle = "', "country"),
    "a way on of a rule that is not about going on": (
        "[limit.T-1]",
        (
            "[use.x]\narticle = '1'\ntext = 'x'\nfrom = 2020-01-01\nverified = true\nnature = 'purpose'\n"
            "attaches_to = ['disclosure.made']\nbinds = 'recipient'\ntowards = 'third'\n[limit.T-1]"
        ),
        "use.x.towards",
    ),
    "a reach without things": ('title = "', 'applies_to = {}\ntitle = "', "applies_to.streams"),
    "a reach to no thing": ('title = "', 'applies_to = { streams = [] }\ntitle = "', "applies_to.streams"),
    "a reach to an unknown kind of thing": (
        'title = "',
        'applies_to = { streams = ["team"] }\ntitle = "',
        "applies_to.streams[0]",
    ),
    "a reach by an unknown key": (
        'title = "',
        'applies_to = { streams = ["case"], states = ["DE"] }\ntitle = "',
        "applies_to.states",
    ),
    "what is no TOML": ("[limit.T-1]", "[limit.T-1", ""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused(damage):
    """Each refusal names the file and the key."""
    old, new, key = damage
    text = old.sub(new, WHOLE) if isinstance(old, re.Pattern) else WHOLE.replace(old, new, 1)
    assert text != WHOLE
    with pytest.raises(FormatError) as trouble:
        read(text)
    assert f"eu-eio-2014-41.toml: {key}".removesuffix(": ") == trouble.value.field


def test_a_misspelt_key_is_told_its_neighbour():
    """The error helps a jurist who mistyped."""
    with pytest.raises(FormatError, match=r"did you mean request\.received"):
        read(WHOLE.replace('["request.received"]', '["request.recieved"]'))


def test_an_id_with_a_full_stop_is_quoted():
    """TOML would read it as a table in a table; the error says what to write."""
    with pytest.raises(FormatError, match=r'is quoted: \[limit\."T-1\.2"\]'):
        read(HEAD + LIMIT.replace("T-1", "T-1.2"))
    assert ["T-1.2"] == list(read(HEAD + LIMIT.replace("T-1", '"T-1.2"')).data["limit"])


def test_versions_must_follow_each_other():
    """Two versions of one rule never apply on the same day."""
    second = LIMIT.replace("[limit.T-1]", "[[limit.T-1]]")
    with pytest.raises(FormatError, match="needs an until"):
        read(HEAD + second + second.replace("2017-05-22", "2020-01-01"))
    first = second.replace("from = 2017-05-22", "from = 2017-05-22\nuntil = 2020-01-01")
    whole = read(HEAD + first + second.replace("2017-05-22", "2020-01-01"))
    assert 2 == len(whole.data["limit"]["T-1"])


# ----------------------------------------------------------------------------------------- overlays


def test_an_overlay_adds_replaces_and_removes():
    """What it does not mention stays the parent's."""
    added = GROUND.replace("T-2", "DE-1")
    replaced = LIMIT.replace("[limit.", "[replace.limit.").replace("days = 30", "days = 14").replace("04-01", "03-16")
    removed = REMOVED
    merged = lay(removed + replaced + added)

    assert "DE" == merged.country
    assert {"T-2", "DE-1"} == set(merged.data["ground"])
    limit = merged.data["limit"]["T-1"][0]
    assert isinstance(limit, Limit)
    assert (Period("days", 14), "DE") == (limit.within, limit.country)
    assert "duty" not in merged.data
    assert None is merged.data["ground"]["T-2"][0].country


def test_what_is_removed_later_still_held_before():
    """A removal from a day on leaves the past as it was."""
    removed = REMOVED.replace("2017-05-22", "2020-01-01")

    assert "2020-01-01" == str(lay(removed).data["duty"]["T-3"][0].until_on)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (GROUND, "ground.T-2"),
        (LIMIT.replace("[limit.T-1]", "[replace.limit.T-7]"), "replace.limit.T-7"),
        (
            REMOVED.replace("T-3", "T-7"),
            "remove[0].id",
        ),
        ('title = "Another"\n', "title"),
    ],
    ids=["adds what is there", "replaces what is not", "removes what is not", "has a head of its own"],
)
def test_an_overlay_does_nothing_else(text, key):
    """An overlay only adds, replaces and removes entries of its parent."""
    with pytest.raises(FormatError) as trouble:
        lay(text)
    assert f"eu-eio-2014-41.de.toml: {key}" == trouble.value.field


def test_an_overlay_is_named_for_its_parent_and_state():
    """A file for France cannot speak for Germany."""
    with pytest.raises(FormatError):
        lay("", file="eu-eio-2014-41.fr.toml")


def test_an_overlay_without_a_parent_is_refused(tmp_path):
    """Nothing departs from what is not there."""
    folder = tmp_path / "law"
    shutil.copytree(law_module.HERE, folder, ignore=lambda *_: ["instruments"])
    (folder / "instruments").mkdir()
    (folder / "instruments" / "eu-eio-2014-41.de.toml").write_text(OVERLAY)
    with pytest.raises(FormatError, match="no instrument of this name"):
        law_module.read(folder)


# ------------------------------------------------------------------------- between two States, and days

BOUND = """
[applicability.accepted]
article = "14"
text = "Who accepted the protocol."
from = 2020-01-01
verified = false
effect = "bound"
countries = ["CH"]
"""

YEARLY = """
[limit.T-8]
article = "28(2)"
text = "Statistics by 31 March."
from = 2017-05-22
verified = true
by = "requesting"
yearly = "03-31"
consequence = "None."
examples = [{ start = 2026-12-31, in = "DE", due = 2027-03-31 }]
"""


def test_a_rule_names_the_lists_on_which_it_depends():
    """A part of `between` names applicabilities of the same file."""
    pair = BOUND + GROUND + 'between = { both = ["accepted"] }\n'

    ground = read(HEAD + pair).data["ground"]["T-2"][0]
    assert Between(both=("accepted",)) == ground.between


def test_a_ground_may_depend_on_the_act_that_invokes_it():
    """A refusal in part invokes what a whole one does not."""
    ground = read(HEAD + GROUND + 'when = { scope = "partial" }\n').data["ground"]["T-2"][0]

    assert isinstance(ground, Ground)
    assert ground.open_to("request.refused", {"scope": "partial"}, {})
    assert not ground.open_to("request.refused", {"scope": "full"}, {})
    assert not ground.open_to("request.returned", {"scope": "partial"}, {})


def test_a_duty_may_be_about_the_delay_of_one_limit():
    """Acts write the id of a limit in small or capital letters."""
    told = DUTY.replace('["consultation.opened"]', '[{ act = "delay.notified", when = { limit = "T-1" } }]')
    (pattern,) = read(HEAD + LIMIT + told).data["duty"]["T-3"][0].then

    assert pattern.matches("delay.notified", {"limit": "t-1"})
    assert pattern.matches("delay.notified", {"limit": "T-1"})
    assert not pattern.matches("delay.notified", {"limit": "t-2"})


def test_a_fixed_day_needs_no_act():
    """No clock runs for it, and its example is compulsory all the same."""
    limit = read(HEAD + YEARLY).data["limit"]["T-8"][0]

    assert isinstance(limit, Limit)
    assert ((3, 31), (), None) == (limit.yearly, limit.starts, limit.within)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (BOUND + GROUND + 'between = { both = ["acepted"] }', "ground.T-2.between"),
        (BOUND + GROUND + 'between = { bth = ["accepted"] }', "ground.T-2.between.bth"),
        (GROUND + "between = {}", "ground.T-2.between"),
        (BOUND + GROUND + "between = { one = [] }", "ground.T-2.between.one"),
        (BOUND.replace('countries = ["CH"]', ""), "applicability.accepted.countries"),
        (BOUND.replace('countries = ["CH"]', 'pairs = [["CH"]]'), "applicability.accepted.pairs[0]"),
        (BOUND.replace('countries = ["CH"]', 'pairs = [["CH", "CH"]]'), "applicability.accepted.pairs[0]"),
        (BOUND.replace('countries = ["CH"]', 'pairs = [["CH", "QQ"]]'), "applicability.accepted.pairs[0]"),
        (GROUND + 'when = { scope = "half" }', "ground.T-2.when.scope"),
        (GROUND + 'when = { size = "partial" }', "ground.T-2.when.size"),
        (
            LIMIT + DUTY.replace('["consultation.opened"]', '[{ act = "delay.notified", when = { limit = "T-9" } }]'),
            "duty.T-3",
        ),
        (YEARLY.replace('"03-31"', '"02-29"'), "limit.T-8.yearly"),
        (YEARLY.replace('"03-31"', '"31 March"'), "limit.T-8.yearly"),
        (YEARLY + "within = { days = 3 }", "limit.T-8.within"),
        (YEARLY.replace('examples = [{ start = 2026-12-31, in = "DE", due = 2027-03-31 }]', ""), "limit.T-8.examples"),
        (LIMIT.replace("days = 30", "consecutive_days = 30, days = 3"), "limit.T-1.within"),
    ],
)
def test_what_is_wrong_about_pairs_grounds_and_days_is_refused(text, key):
    """Each refusal names file and key."""
    with pytest.raises(FormatError) as trouble:
        read(HEAD + text)
    assert f"eu-eio-2014-41.toml: {key}" == trouble.value.field


# ------------------------------------------------------------------------------------ its reference


def test_every_example_of_the_reference_is_read():
    """A jurist can copy each block of the page into a file."""
    blocks = [
        block
        for block in re.findall(r"```toml\n(.*?)```", FORMAT, re.DOTALL)
        if block.startswith("[") and "[institution" not in block and "parent" not in block and "[[remove]]" not in block
    ]
    kinds = {kind for block in blocks for kind in re.findall(r"^\[+([a-z]+)", block, re.MULTILINE)}
    assert set(KINDS) <= kinds

    needed = LIMIT.replace("T-1", "EAW-45") + DUTY.replace("T-3", "notify-interception-2")
    whole = HEAD + needed + "\n".join(blocks)
    assert set(KINDS) == set(read(whole).data)


def test_the_reference_names_every_kind_role_check_and_key():
    """What the loader admits, the page explains."""
    for word in (*KINDS, *ROLES, *CHECKS):
        assert f"`{word}`" in FORMAT, word
    renamed = {"from_on": "from", "until_on": "until", "known_from_on": "known_from"}
    unsaid = {"id", "instrument", "country", "file"}
    for kind in KINDS.values():
        assert is_dataclass(kind)
        for field in fields(kind):
            name = renamed.get(field.name, field.name)
            assert field.name in unsaid or re.search(rf"\b{name}\b", FORMAT), f"{kind.__name__}.{name}"


def test_the_list_of_checks_is_the_loaders():
    """The generated table of the page is not stale."""
    rows = "| Check | Holds when |\n|---|---|\n" + "".join(f"| `{k}` | {v} |\n" for k, v in CHECKS.items())
    assert rows in FORMAT
