from __future__ import annotations

import contextlib
import io
import json
import time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.acts import catalogue
from ledger.documents import DRAFT_BYTES_MAX, DraftInvalid, located
from ledger.drafts import from_json, to_json
from ledger.errors import FormatError
from ledger.instants import instant, rfc3339
from ledger.statement import Draft
from ledger.templates import template

CASE = "6f1c5d7e-8f2a-4b6c-9d3e-0a1b2c3d4e5f"
AUTHORITY = "0b7e6a51-3c2d-4e1f-8a9b-7c6d5e4f3a2b"


def refusal(**changes: Any) -> dict[str, Any]:
    """A draft of a refusal, as JSON."""
    value: dict[str, Any] = {
        "act": "request.refused",
        "case": CASE,
        "subject": "1d2c3b4a-5f6e-4d7c-8b9a-0f1e2d3c4b5a",
        "occurred_from": "2020-06-02T14:30:00Z",
        "zone": "Europe/Berlin",
        "language": "de",
        "addressees": [AUTHORITY],
        "basis": [{"instrument": "eu-eio-2014-41", "article": "11(1)(a)"}],
        "body": {
            "scope": "full",
            "grounds": [{"ground": "immunity_or_privilege", "article": "11(1)(a)"}],
            "reasons": "ab" * 32,
            "consultation": None,
        },
    }
    value.update(changes)
    return value


def read(value: dict[str, Any]) -> Draft:
    """The draft that a JSON object means."""
    return from_json(value, catalogue())


def faults(value: dict[str, Any]) -> dict[str, str]:
    """What is wrong with the draft, by path."""
    with pytest.raises(DraftInvalid) as raised:
        read(value)
    return {fault.path: fault.rule for fault in raised.value.faults}


def instruments() -> str:
    """Some instrument."""
    return next(iter(catalogue().codes("instruments")))


@pytest.fixture
def draft() -> dict[str, Any]:
    """A good draft."""
    return refusal(basis=[{"instrument": instruments(), "article": "11(1)(a)"}])


class TestEnvelope:
    def test_reads_what_it_writes(self, draft: dict[str, Any]) -> None:
        """A draft written as JSON reads back as the same draft."""
        once = read(draft)

        assert once == read(to_json(once, catalogue()))

    def test_plain_meanings(self, draft: dict[str, Any]) -> None:
        """What is left out takes its plainest meaning, and the kind that the act ordinarily has."""
        found = read(draft)

        assert ("own", None, "decision", 1) == (
            found.voice,
            found.speaker,
            found.kind,
            found.version,
        )
        assert found.occurred_from == found.occurred_until
        assert "case" == found.visibility.ring

    def test_a_day_is_an_interval(self, draft: dict[str, Any]) -> None:
        """A bare day is the whole day where it happened, never an invented hour."""
        found = read(draft | {"occurred_from": "2020-03-29"})

        # The clocks went forward that day: it has 23 hours.
        assert "2020-03-28T23:00:00Z" == rfc3339(found.occurred_from)
        assert 23 * 3_600_000_000 - 1 == found.occurred_until - found.occurred_from

    def test_designations(self, draft: dict[str, Any]) -> None:
        """An authority may be named by its designation, in the envelope."""
        names = {"Staatsanwaltschaft Berlin": UUID(AUTHORITY).bytes}
        value = draft | {"addressees": ["Staatsanwaltschaft Berlin"]}

        assert (UUID(AUTHORITY).bytes,) == from_json(value, catalogue(), names=names).addressees

    def test_designations_in_bodies(self, draft: dict[str, Any]) -> None:
        """And wherever a body refers to an authority."""
        names = {"Staatsanwaltschaft Berlin": UUID(AUTHORITY).bytes}
        value = draft | {
            "act": "request.forwarded",
            "body": {"to": "Staatsanwaltschaft Berlin"},
        }

        assert UUID(AUTHORITY).bytes == from_json(value, catalogue(), names=names).body["to"]

    def test_remarks(self, draft: dict[str, Any]) -> None:
        """Keys that begin with // are remarks, at every depth."""
        value = draft | {"//": "why", "//act": "x", "body": draft["body"] | {"//scope": "y"}}

        assert read(draft) == read(value)


class TestFaults:
    @pytest.mark.parametrize(
        ("changes", "path", "rule"),
        [
            ({"act": "request.refusd"}, "act", "did you mean request.refused?"),
            ({"act": 7}, "act", "expected a text, found a number"),
            ({"version": 9}, "version", "no version 9"),
            ({"kind": "opinion"}, "kind", "one of act, decision"),
            ({"case": "Jean Dupont"}, "case", "expected an id"),
            ({"subject": None}, "subject", "expected an id"),
            ({"zone": "Europe/Atlantis"}, "zone", "IANA"),
            ({"language": "German"}, "language", "two or three"),
            ({"occurred_from": "2020-13-45"}, "occurred_from", "no such instant"),
            ({"occurred_from": "yesterday"}, "occurred_from", "2020-06-02T14:30:00Z"),
            ({"occurred_from": 1591108200}, "occurred_from", "found a number"),
            ({"occurred_from": "0020-06-02T00:00:00Z"}, "occurred_from", "years 1900 to 2199"),
            ({"occurred_from": "2020-06-02T14:30:00"}, "occurred_from", "with its offset"),
            ({"occurred_until": "2020-06-01T00:00:00Z"}, "occurred_until", "before occurred_from"),
            ({"known_at": "2020-06-03T00:00:00Z"}, "known_at", "receipt_proof"),
            ({"occurred_confirmed": "yes"}, "occurred_confirmed", "true or false"),
            ({"visibility": {"ring": "all"}}, "visibility.ring", "one of addressees"),
            ({"addressees": ["x"]}, "addressees[0]", "expected an id"),
            ({"addressees": [AUTHORITY] * 65}, "addressees", "at most 64"),
            ({"addressees": AUTHORITY}, "addressees", "expected an array"),
            ({"basis": [{"article": "1"}]}, "basis[0].instrument", "is missing"),
            ({"basis": ["EIO"]}, "basis[0]", "expected an object"),
            ({"basis": [{"instrument": "nope"}]}, "basis[0].instrument", "instruments"),
            ({"local_reference": "12 Js 34/20"}, "local_reference", "expected a hash"),
            ({"voice": "own", "speaker": {}}, "speaker", "must be absent"),
            ({"voice": "reported"}, "speaker", "is missing"),
            ({"voice": "reported", "speaker": {}}, "speaker.source", "is missing"),
            ({"sequence": 4}, "sequence", "set by signing"),
            ({"adressees": []}, "adressees", "did you mean addressees?"),
            ({"body": []}, "body", "expected an object"),
            ({"attachments": [{"role": "Jean", "commitment": "00" * 32, "size": 1}]},
             "attachments[0].role", "not in the code list attachment_roles"),
        ],
    )  # fmt: skip
    def test_names_the_field(self, draft: dict[str, Any], changes: dict[str, Any], path: str, rule: str) -> None:
        """Each fault is named by the path of its field."""
        found = faults(draft | changes)

        assert path in found
        assert rule in found[path]

    def test_a_name_in_a_coded_field(self, draft: dict[str, Any]) -> None:
        """A name typed into a coded field is refused by the field's path and never repeated."""
        body = draft["body"] | {"grounds": [{"ground": "Jean Dupont", "article": None}]}
        found = faults(draft | {"body": body})

        assert {"body.grounds[0].ground": "not in the code list grounds"} == found

    def test_every_fault_at_once(self, draft: dict[str, Any]) -> None:
        """All faults of a draft are named, not only the first."""
        found = faults(draft | {"case": 1, "zone": "Mars", "body": {"scope": "half"}})

        assert {"case", "zone"} < set(found)
        assert any(path.startswith("body") for path in found)

    def test_missing(self) -> None:
        """An empty draft names what it lacks."""
        assert {"act", "case", "subject", "zone", "occurred_from", "body"} == set(faults({}))

    def test_an_unknown_act_is_named_with_what_is_missing(self) -> None:
        """Whoever mistyped the act does not first fill in what another act needs."""
        assert {"act", "case", "subject", "zone", "occurred_from", "body"} == set(faults({"act": "request.isued"}))

    def test_unknown_body_field(self, draft: dict[str, Any]) -> None:
        """A key that the act does not have is named."""
        found = faults(draft | {"body": draft["body"] | {"reason_text": "because"}})

        assert ["body.reason_text"] == list(found)

    @given(
        st.dictionaries(
            st.sampled_from([*refusal(), "speaker", "visibility", "attachments", "kind"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
                max_leaves=8,
            ),
        )
    )
    @settings(deadline=None, max_examples=150)
    def test_any_json(self, changes: dict[str, Any]) -> None:
        """Whatever JSON holds, it is a draft or faults with paths; nothing else."""
        try:
            found: Draft | DraftInvalid = read(refusal(basis=[]) | changes)
        except DraftInvalid as invalid:
            found = invalid
        assert isinstance(found, Draft) or found.faults


def lines(raw: bytes) -> list[int]:
    """The line of each draft."""
    return [found.line for found in located(io.BytesIO(raw))]


def bad(raw: bytes) -> tuple[int, str]:
    """The line at fault, and what is said of it."""
    with pytest.raises(DraftInvalid) as raised:
        lines(raw)
    return raised.value.line, str(raised.value)


class TestLocated:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (b"", []),
            (b"\n \n", []),
            (b'{"a": 1}', [1]),
            (b'\n{"a": 1}\n\n{"a": 2}\n', [2, 4]),
            (b'{\n"a": 1\n}', [1]),
            (b'{\n"a": 1\n}\n{\n"a": 2\n}\n', [1, 4]),
            (b'[{"a": 1},\n {"a": 2}]\n', [1, 2]),
            (b"[\n{\n}\n,\n{}\n]", [2, 5]),
            (b"[]", []),
            (b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n', [1, 2]),
        ],
    )
    def test_lines(self, raw: bytes, expected: Any) -> None:
        """Each draft is found with the line on which it begins: object, array, NDJSON."""
        assert expected == lines(raw)

    @pytest.mark.parametrize(
        ("raw", "line", "said"),
        [
            (b'{"a": 1}\n{"a": ', 2, "ends in the middle"),
            (b'{"a": 1}\n{"a": 2} x', 2, "more than one"),
            (b'{"a": 1}\nnope', 2, "not JSON"),
            (b'{"a": "\xff"}', 1, "not UTF-8"),
            (b'{"a": 1}\n{"a": "\xc3"}', 2, "not UTF-8"),
            (b'{"a": 1, "a": 2}', 1, "a: the key is given twice"),
            (b'{"a": NaN}', 1, "NaN is not JSON"),
            (b'{"a": 1}\n[1]', 2, "not an array"),
            (b"[1]", 1, "not a number"),
            (b"[{},", 1, "ends in the middle"),
            (b"[{} {}]", 1, "expected , or ]"),
            (b"[{}] x", 1, "follows the closing"),
            (b"null", 1, "not null"),
            (b"[" * 100_000, 1, "nested too deeply"),
            (b'{"a": 1}\n{"a": ' + b"9" * 5000 + b"}", 2, "a number of too many digits"),
        ],
    )
    def test_faults(self, raw: bytes, line: int, said: str) -> None:
        """What cannot be read is named with its line."""
        where, what = bad(raw)

        assert line == where
        assert said in what

    @pytest.mark.parametrize(("head", "between", "tail"), [(b"[", b",", b"]"), (b"{\n}\n", b"\n", b"")])
    def test_a_document_of_many_drafts_is_read_in_one_pass(self, head: bytes, between: bytes, tail: bytes) -> None:
        """What follows a draft is not gone through again for each: a second of work, not minutes."""
        begun = time.process_time()
        assert 400_000 <= len(lines(head + between.join([b"{}"] * 400_000) + tail))
        assert time.process_time() - begun < 6

    def test_oversized(self) -> None:
        """A draft larger than the limit is refused before it is parsed."""
        line, what = bad(b'{"a": 1}\n{"a": "' + b"x" * DRAFT_BYTES_MAX + b'"}\n')

        assert 2 == line
        assert "larger than" in what

    @given(st.binary(max_size=60) | st.text('{}[]",:1a\n ', max_size=30).map(str.encode))
    @settings(deadline=None)
    def test_any_bytes(self, raw: bytes) -> None:
        """Any bytes are drafts or a fault with its line; nothing else."""
        try:
            found: list[Any] = list(located(io.BytesIO(raw)))
        except DraftInvalid as invalid:
            found = [invalid]
        assert all(1 <= one.line <= raw.count(b"\n") + 1 for one in found)


class TestInstant:
    @pytest.mark.parametrize(
        ("text", "zone", "end", "expected"),
        [
            ("2020-06-02", "UTC", False, "2020-06-02T00:00:00Z"),
            ("2020-06-02", "UTC", True, "2020-06-02T23:59:59.999999Z"),
            ("2020-06-02", "Europe/Paris", True, "2020-06-02T21:59:59.999999Z"),
            ("2020-06-02T14:30", "Europe/Paris", True, "2020-06-02T12:30:00Z"),
            ("2020-06-02 14:30:15", "UTC", False, "2020-06-02T14:30:15Z"),
            ("2020-06-02T14:30:00.5+05:30", "Europe/Paris", False, "2020-06-02T09:00:00.500000Z"),
            ("2020-06-02t14:30:00z", "Asia/Tokyo", False, "2020-06-02T14:30:00Z"),
            # The day on which Berlin's clocks went back has 25 hours.
            ("2020-10-25", "Europe/Berlin", True, "2020-10-25T22:59:59.999999Z"),
        ],
    )
    def test_reads(self, text: str, zone: str, end: bool, expected: Any) -> None:
        """Days, local date-times and RFC 3339 are read as they are meant in the zone."""
        assert expected == rfc3339(instant(text, zone=zone, end=end))

    @pytest.mark.parametrize(
        ("text", "zone", "said"),
        [
            ("2020-02-30", "UTC", "no such instant"),
            ("2020-06-02T25:00Z", "UTC", "no such instant"),
            ("1492-10-12", "UTC", "outside the years"),
            ("2500-01-01", "UTC", "outside the years"),
            ("02.06.2020", "UTC", "not an instant"),
            ("", "UTC", "not an instant"),
            ("2020-10-25T02:30", "Europe/Berlin", "twice"),
            ("2020-03-29T02:30", "Europe/Berlin", "does not exist"),
            ("2020-06-02", "Middle/Earth", "IANA"),
        ],
    )
    def test_refuses(self, text: str, zone: str, said: str) -> None:
        """An instant that is none, or could be two, is refused with its reason."""
        with pytest.raises(FormatError) as raised:
            instant(text, zone=zone)

        assert said in str(raised.value)

    @given(st.text(max_size=30))
    @settings(deadline=None)
    def test_any_text(self, text: str) -> None:
        """Any text is an instant or a format error."""
        with contextlib.suppress(FormatError):
            assert isinstance(instant(text), int)


@pytest.mark.parametrize("act", sorted(act.name for act in catalogue().acts()))
def test_template(act: str) -> None:
    """Every act has a skeleton: it is JSON, explains each of its fields, and reads as a draft."""
    skeleton = json.loads(json.dumps(template(catalogue().act(act), catalogue())))
    fields = {name for name in skeleton if not name.startswith("//")} - {"body"}
    body = {name for name in skeleton["body"] if not name.startswith("//")}

    assert all(skeleton[f"//{name}"] for name in fields)
    assert all(skeleton["body"][f"//{name}"] for name in body)
    # What is left is to fill in: no unknown field, none missing.
    with pytest.raises(DraftInvalid) as raised:
        read(skeleton)
    assert not {fault.rule for fault in raised.value.faults} & {"unknown field", "is missing"}
