"""One value has one encoding; whatever is wrong is named by its path, and nothing else is raised."""

from __future__ import annotations

import io
import json
import re
import sys
from functools import cache
from subprocess import run
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import codec as codecs
from ledger import resources
from ledger.acts import Catalogue, catalogue, codec
from ledger.codec import Codec, Fault
from ledger.errors import FormatError

NAMES = [act.name for act in catalogue().acts()]
RELEASED = [act.name for act in catalogue().acts() if act.released]
STATEMENT = codec("statement.avsc")
ENTRY = codec("entry.avsc")

quick = settings(deadline=None, max_examples=12)
thorough = settings(deadline=None, max_examples=300)


def values(schema: Any, named: dict[str, Any], field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of one type of the subset, within its code list, pattern and limits."""
    if isinstance(schema, list):
        return st.none() | values(schema[1], named, field)
    if isinstance(schema, str):
        if schema == "long":
            return st.integers(field.get("minimum", -(2**63)), 2**63 - 1)
        if schema == "boolean":
            return st.booleans()
        if schema == "bytes":
            return st.binary(max_size=min(300, field["max_bytes"]))
        if schema == "string":
            if "codes" in field:
                return st.sampled_from(sorted(catalogue().codes(field["codes"])))
            pattern = st.from_regex(field["pattern"], fullmatch=True)
            return pattern.map(str.strip).filter(
                lambda text: len(text) <= 64 and bool(re.fullmatch(field["pattern"], text))
            )
        return values(named[schema], named, field)
    kind = schema["type"]
    if kind == "long":
        return st.integers(codecs._FIRST_INSTANT, codecs._LAST_INSTANT)
    if kind == "array":
        return st.lists(values(schema["items"], named, field), max_size=3)
    named[f"comity.{schema['name']}"] = schema
    if kind == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    return st.fixed_dictionaries({f["name"]: values(f["type"], named, f) for f in schema["fields"]})


@cache
def bodies(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of an act, or statements or entries."""
    schema = {"statement": STATEMENT, "entry": ENTRY}.get(name)
    return values((schema or catalogue().codec_of(name)).schema, {}, {})


def codec_of(name: str) -> Codec:
    """The codec of an act, of the statement or of the entry."""
    return {"statement": STATEMENT, "entry": ENTRY}.get(name) or catalogue().codec_of(name)


@pytest.mark.parametrize("name", ["statement", "entry", *NAMES])
@settings(quick)
@given(data=st.data())
def test_every_value_survives_both_ways(name: str, data: st.DataObject):
    """decode(encode(x)) is x, from_json(to_json(x)) is x, and no such value has a fault."""
    value = data.draw(bodies(name))
    one = codec_of(name)
    encoded = one.encode(value)
    assert one.decode(encoded) == value
    assert one.from_json(json.loads(json.dumps(one.to_json(value)))) == value
    assert one.faults(value) == []


@pytest.mark.parametrize("name", ["statement", "entry", *RELEASED])
@settings(quick)
@given(data=st.data())
def test_another_reader_agrees(name: str, data: st.DataObject):
    """fastavro, knowing nothing of our decoder, reads the same value from the same bytes."""
    value = data.draw(bodies(name))
    one = codec_of(name)
    read = fastavro.schemaless_reader(io.BytesIO(one.encode(value)), one._parsed, None)
    assert read == value


def judged(one: Codec, data: bytes) -> None:
    """Any bytes are a value with this one encoding, or a FormatError."""
    try:
        value = one.decode(data)
    except FormatError:
        return
    assert one.encode(value) == data
    one.faults(value)
    one.references(value)
    json.dumps(one.to_json(value))


@pytest.mark.parametrize("name", ["statement", "entry", "request.refused", "ledger.founded"])
@settings(thorough)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_value_or_a_format_error(name: str, data: bytes):
    """Nothing else is ever raised, and what is accepted is canonical."""
    judged(codec_of(name), data)


@pytest.mark.parametrize("name", ["statement", "entry", "request.refused", "exhibit.acquired"])
@settings(thorough)
@given(data=st.data())
def test_damaged_bytes_are_a_value_or_a_format_error(name: str, data: st.DataObject):
    """The same close to what is right: one span of an encoding replaced, cut or repeated."""
    one = codec_of(name)
    whole = one.encode(data.draw(bodies(name)))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 12)))
    judged(one, whole[:start] + data.draw(st.binary(max_size=12)) + whole[end:])


@settings(deadline=None)
@given(data=st.data())
def test_every_truncation_is_found(data: st.DataObject):
    """No proper prefix of an encoding is an encoding, and the path says where it stopped."""
    one = catalogue().codec_of("request.refused")
    whole = one.encode(data.draw(bodies("request.refused")))
    for size in range(len(whole)):
        with pytest.raises(FormatError) as caught:
            one.decode(whole[:size])
        assert caught.value.field


REFUSED: dict[str, Any] = {
    "scope": "full",
    "grounds": [{"ground": "fundamental_rights", "article": "11(1)(f)"}],
    "reasons": bytes(32),
    "consultation": None,
}
WHOLE = catalogue().encode("request.refused", 1, REFUSED)
AFTER_SCOPE = 1 + len("full")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (WHOLE + b"\0", ""),
        (b"", "scope"),
        (b"\x81\x80\x00" + WHOLE[1:], "scope"),
        (b"\x88\x00" + WHOLE[1:], "scope"),
        (b"\x01" + WHOLE[1:], "scope"),
        (b"\xff" * 9 + b"\x01", "scope"),
        (b"\xff" * 30, "scope"),
        (b"\xfe\xff\xff\xff\x0f", "scope"),
        (b"\x04\xc3\x28" + WHOLE[AFTER_SCOPE:], "scope"),
        (b"\x06\xed\xa0\x80" + WHOLE[AFTER_SCOPE:], "scope"),
        (b"\x82\x01" + b"x" * 65 + WHOLE[AFTER_SCOPE:], "scope"),
        (WHOLE[:AFTER_SCOPE] + b"\x01\x02", "grounds"),
        (WHOLE[:AFTER_SCOPE] + b"\xfe\xff\xff\xff\x0f", "grounds"),
        (WHOLE[:AFTER_SCOPE] + b"\x82\x01" + b"\0" * 400, "grounds"),
        (WHOLE[:AFTER_SCOPE] + b"\x02\x02a\x04", "grounds[0].article"),
        (WHOLE[:AFTER_SCOPE] + b"\x02\x02a\x00\x02\x02a\x00\x00" + WHOLE[-33:], "grounds"),
        (WHOLE[:-33] + bytes(31), "reasons"),
        (WHOLE[:-1] + b"\x01", "consultation"),
        (WHOLE[:-1] + b"\x80\x00", "consultation"),
        (WHOLE[:-1] + b"\x02" + bytes(15), "consultation"),
    ],
)
def test_broken_bytes_are_named_by_their_path(data: bytes, field: str):
    """Left over, cut off, longer than need be, negative, huge, broken UTF-8, two blocks, bad branch."""
    with pytest.raises(FormatError) as caught:
        catalogue().decode("request.refused", 1, data)
    assert field == caught.value.field


def test_a_huge_length_costs_nothing():
    """A claim of 2 ** 62 items or bytes is refused before anything is allocated."""
    huge = b"\xfe" + b"\xff" * 7 + b"\x7f"
    for data in (huge, WHOLE[:AFTER_SCOPE] + huge):
        with pytest.raises(FormatError):
            catalogue().decode("request.refused", 1, data)


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"scope": None}, "scope", "should be text, is null"),
        ({"scope": b"full"}, "scope", "should be text, is bytes"),
        ({"scope": "\ud800"}, "scope", "not valid Unicode"),
        ({"scope": "x" * 65}, "scope", "65 characters"),
        ({"reasons": bytes(31)}, "reasons", "should be 32 bytes, is 31"),
        ({"reasons": bytearray(32)}, "reasons", "is bytearray"),
        ({"grounds": "none"}, "grounds", "should be a list"),
        ({"grounds": [REFUSED["grounds"][0]] * 65}, "grounds", "65 items; at most 64"),
        ({"grounds": [{"ground": "age"}]}, "grounds[0].article", "missing"),
        ({"grounds": [7]}, "grounds[0]", "should be a group of fields"),
        ({"grounds": [{"ground": "age", "articel": None}]}, "grounds[0].articel", "mean article?"),
        ({"name": "Jane Doe"}, "name", "no such field"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(changes: dict[str, Any], field: str, what: str):
    """Missing, unknown, of the wrong type or too long: the encoder says which and where."""
    with pytest.raises(FormatError) as caught:
        catalogue().encode("request.refused", 1, REFUSED | changes)
    assert (field, True) == (caught.value.field, what in str(caught.value))


def test_true_is_not_a_number_and_one_is_not_true():
    """Python's booleans are integers; ours are not."""
    one = catalogue().codec_of("consultation.opened")
    body = {"topic": "costs", "formal": 1, "with_authorities": []}
    with pytest.raises(FormatError):
        one.encode(body)
    founding = catalogue().codec_of("roster.confirmed")
    with pytest.raises(FormatError):
        founding.encode({"size": True, "roster_digest": bytes(32)})
    with pytest.raises(FormatError):
        founding.encode({"size": 2**63, "roster_digest": bytes(32)})


def test_a_name_in_a_coded_field_is_a_fault():
    """Outside the code list, the pattern, the limit: each by its path, in field order."""
    body = REFUSED | {"scope": "Jane", "grounds": [{"ground": "age", "article": "Jane Doe"}]}
    found = catalogue().faults("request.refused", 1, body)
    assert [fault.path for fault in found] == ["scope", "grounds[0].article"]
    assert found[0] == Fault("scope", "not in the code list scopes")
    assert catalogue().faults("request.refused", 1, REFUSED) == []
    size = catalogue().faults("roster.confirmed", 1, {"size": -1, "roster_digest": bytes(32)})
    assert size == [Fault("size", "less than 0")]
    line = {"ground": "age", "article": "11(1)\n"}
    assert catalogue().faults("request.refused", 1, REFUSED | {"grounds": [line]})


def test_references_are_found_with_their_kind():
    """Each identifier that refers to something, in field order."""
    body = {
        "exhibits": [b"a" * 16, b"b" * 16],
        "recipient": b"c" * 16,
        "purpose": "defence",
        "accuracy": "verified",
        "third_country_basis": None,
    }
    assert catalogue().references("disclosure.made", 1, body) == [
        ("exhibits[0]", "exhibit", b"a" * 16),
        ("exhibits[1]", "exhibit", b"b" * 16),
        ("recipient", "authority", b"c" * 16),
    ]
    act = catalogue().act("disclosure.made")
    assert act.references == {"exhibits[]": "exhibit", "recipient": "authority"}


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2020-06-02T00:00:00Z", 1_591_056_000_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01T00:00:00Z", codecs._FIRST_INSTANT),
        ("9999-12-31T23:59:59.999999Z", codecs._LAST_INSTANT),
    ],
)
def test_instants_are_rfc_3339_in_utc(text: str, micros: int):
    """One text for one instant, from the year 1 to the year 9999."""
    body = {"evaluation_due_at": micros}
    assert {"evaluation_due_at": text} == catalogue().to_json("joint_team.closed", 1, body)
    assert body == catalogue().from_json("joint_team.closed", 1, {"evaluation_due_at": text})


@pytest.mark.parametrize(
    "text",
    [
        "2020-06-02",
        "2020-06-02T00:00:00",
        "2020-06-02T00:00:00+02:00",
        "2020-02-30T00:00:00Z",
        "2020-06-02T24:00:00Z",
        "2020-06-02T00:00:60Z",
        "2020-06-02t00:00:00z",
        "2020-06-02T00:00:00.1234567Z",
        "0000-01-01T00:00:00Z",
        "２０２０-06-02T00:00:00Z",
        "",
        7,
    ],
)
def test_no_other_writing_of_an_instant(text: Any):
    """Days, local times, impossible instants and foreign digits are refused by path."""
    with pytest.raises(FormatError) as caught:
        catalogue().from_json("joint_team.closed", 1, {"evaluation_due_at": text})
    assert caught.value.field == "evaluation_due_at"


@pytest.mark.parametrize("micros", [codecs._FIRST_INSTANT - 1, codecs._LAST_INSTANT + 1, -(2**63)])
def test_clock_nonsense_is_not_decoded(micros: int):
    """An instant that cannot be written is refused on the way in and on the way out."""
    one = catalogue().codec_of("joint_team.closed")
    with pytest.raises(FormatError):
        one.encode({"evaluation_due_at": micros})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, one._parsed, {"evaluation_due_at": micros})
    with pytest.raises(FormatError) as caught:
        one.decode(out.getvalue())
    assert caught.value.field == "evaluation_due_at"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], ""),
        ({"scope": "full"}, "grounds"),
        ({"scoop": "full"}, "scoop"),
        ({"scope": "full", "grounds": [], "reasons": "00"}, "reasons"),
        ({"scope": "full", "grounds": [], "reasons": "0" * 63}, "reasons"),
        ({"scope": "full", "grounds": [], "reasons": "AA" * 32}, "reasons"),
        ({"scope": "full", "grounds": [], "reasons": "00" * 32, "consultation": "x"}, "consultation"),
        ({"scope": "full", "grounds": [], "reasons": "00" * 32, "consultation": 7}, "consultation"),
        ({"scope": 1.5}, "scope"),
    ],
)
def test_broken_json_is_named_by_its_path(value: Any, field: str):
    """The same strictness for what a person wrote."""
    with pytest.raises(FormatError) as caught:
        catalogue().from_json("request.refused", 1, value)
    assert field == caught.value.field


def test_json_may_leave_out_what_may_be_absent():
    """A field with a default is filled in, and never shared between two values."""
    one = catalogue().codec_of("request.recognised")
    first, second = one.from_json({"scope": "full"}), one.from_json({"scope": "full"})
    assert first == {"scope": "full", "conditions": []}
    assert first["conditions"] is not second["conditions"]


def test_identifiers_are_uuids_in_json():
    """Sixteen bytes are shown as a UUID; upper case is read, other forms are not."""
    shown = catalogue().to_json("case.linked", 1, {"other": b"\x01" * 16, "relation": "parallel"})
    assert shown["other"] == "01010101-0101-0101-0101-010101010101"
    upper = {"other": "0101010A-0101-0101-0101-010101010101", "relation": "parallel"}
    assert catalogue().from_json("case.linked", 1, upper)["other"][3] == 0x0A
    for other in ("{01010101-0101-0101-0101-010101010101}", "01" * 16, "urn:uuid:" + "01" * 16):
        with pytest.raises(FormatError):
            catalogue().from_json("case.linked", 1, upper | {"other": other})


def test_an_unknown_act_is_a_format_error():
    """With the nearest name, or with the version that is missing."""
    for name, version, hint in (
        ("request.refuse", 1, "request.refused"),
        ("request.refused", 2, "in version 2"),
        ("../statement", 1, "no act"),
        ("", 1, "no act"),
        ("x" * 10_000, 1, "no act"),
    ):
        with pytest.raises(FormatError) as caught:
            catalogue().act(name, version)
        assert caught.value.field == "act"
        assert hint in str(caught.value)
        assert len(str(caught.value)) < 200


def test_a_prefix_is_decoded_with_its_end():
    """What follows a value is left to the reader who knows what it is."""
    value, end = catalogue().codec_of("request.refused").decode_prefix(WHOLE + b"more")
    assert (value, end) == (REFUSED, len(WHOLE))


def test_the_header_of_a_statement_is_a_prefix():
    """The body comes last, and nothing follows it: dropping it drops no other field."""
    assert [field["name"] for field in STATEMENT.schema["fields"]][-1] == "body"


def test_nothing_is_read_before_it_is_needed():
    """Importing and asking for the catalogue opens no schema; an act opens its own."""
    script = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda e, a: opened.append(str(a[0])) if e == 'open' else None)\n"
        "from ledger.acts import catalogue\n"
        "known = catalogue()\n"
        "before = sum(name.endswith('.avsc') for name in opened)\n"
        "known.act('case.closed')\n"
        "print(before, sum(name.endswith('.avsc') for name in opened))\n"
    )
    done = run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


def test_a_catalogue_of_another_folder_stands_alone():
    """Nothing is shared between catalogues but the files."""
    other = Catalogue(resources.path("schemas"))
    assert other.act("case.closed") == catalogue().act("case.closed")
    assert other.codec_of("case.closed") is not catalogue().codec_of("case.closed")
