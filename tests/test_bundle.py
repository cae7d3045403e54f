"""Bundles: what verifies, what does not and at which step, and the same by hand."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import verify
from ledger.acts import catalogue
from ledger.errors import Conflict, FormatError, NotVerified
from ledger.keys import ed25519
from ledger.log.bundle import write_bundle, write_zip
from ledger.log.checkpoint import cosign, sign_checkpoint, witness_signer
from ledger.statement import Attachment, Speaker, encode_statement, signed_message
from ledger.verify import Checkpoint, PolicyNotMet, Roster, canonical_json, parse_policy, verify_bundle
from tests.small_ledger import (
    BEGIN,
    CASE,
    COURT,
    LEDGER,
    ML_DSA,
    ORIGIN,
    PROSECUTOR,
    RULES,
    SECOND,
    SmallLedger,
    endorsements,
    enrolment,
    founded,
    founding,
    keyed,
    named,
    possession,
    with_case,
)

CIPHERTEXT = b"what nobody reads here" * 50
SHEET = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "verify-by-hand.md"


def with_attachment() -> SmallLedger:
    """The ledger of the other tests, and a statement that commits to a ciphertext."""
    ledger = with_case()
    found = Attachment("other", sha256(CIPHERTEXT).digest(), bytes(32), len(CIPHERTEXT), "application/pdf")
    person = {"person": named("somebody"), "role": next(iter(catalogue().codes("person_roles")))}
    ledger.say("person.role_changed", person, by="a prosecutor", case=CASE, subject=CASE, attachments=(found,))
    return ledger


def bundle(ledger: SmallLedger, **changed: Any) -> bytes:
    """A bundle of the case of this ledger."""
    shown = [index for index, one in enumerate(ledger.statements) if one.case == CASE]
    attached = {sha256(CIPHERTEXT).digest(): CIPHERTEXT} if any(one.attachments for one in ledger.statements) else {}
    options: dict[str, Any] = {
        "indexes": shown,
        "checkpoint": ledger.checkpoint(),
        "catalogue": catalogue(),
        "case": CASE,
        "law": [RULES],
        "attachments": attached,
    }
    out = io.BytesIO()
    write_bundle(out, ledger, **options | changed)
    return out.getvalue()


LEDGER_12 = with_attachment()
NOTE = LEDGER_12.checkpoint()  # once: signatures by ML-DSA-44 are randomised
BUNDLE = bundle(LEDGER_12, checkpoint=NOTE)
PIN = verify.leaf_hash(LEDGER_12.entry(0))


def members(data: bytes) -> dict[str, bytes]:
    """What a bundle holds, read by the standard library."""
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return {name: found.read(name) for name in found.namelist()}


def rebuilt(changed: dict[str, bytes | None], **manifest: Any) -> bytes:
    """The bundle with members changed, added or (None) removed, under a manifest that names them so."""
    held = {name: content for name, content in (members(BUNDLE) | changed).items() if content is not None}
    told = json.loads(held.pop("manifest.json")) | manifest
    told["members"] = {name: sha256(content).hexdigest() for name, content in held.items()} | manifest.get(
        "members", {}
    )
    out = io.BytesIO()
    write_zip(out, {**held, "manifest.json": canonical_json(told)})
    return out.getvalue()


def check(data: bytes, **options: Any) -> dict[str, Any]:
    """The report on a bundle, with the service's signature function."""
    return verify_bundle(io.BytesIO(data), ed25519=ed25519, **options)


def failed(data: bytes, **options: Any) -> tuple[str, int | None]:
    """Step and entry at which a bundle fails."""
    with pytest.raises(NotVerified) as caught:
        check(data, **options)
    return caught.value.step, caught.value.index


def test_a_bundle_verifies_and_says_what_it_proves_and_what_not() -> None:
    """Case complete, roster confirmed, attachment present; and the limits of it, in words."""
    report = check(BUNDLE, pin=PIN)

    assert report["result"] == "verified"
    assert (report["origin"], report["size"], report["case"]) == (ORIGIN, 12, CASE.hex())
    assert (report["case_complete_to"], report["withheld"]) == (5, [])
    assert [entry["index"] for entry in report["entries"]] == [4, 5, 6, 7, 8, 10, 11]
    assert [entry["reason"] for entry in report["entries"] if entry["reason"]] == ["outside_code_list"]
    assert {entry["designation"] for entry in report["entries"]} == {"A prosecutor"}
    assert report["roster_entries"] == 5
    assert report["roster_confirmed"] == {"size": 4, "by": "FR"}
    assert report["attachments"]["included"] == [sha256(CIPHERTEXT).hexdigest()]
    assert report["attachments"]["law_included"] == [sha256(RULES).hexdigest()]
    assert [line["checked"] for line in report["log_signatures"]] == [True, True]
    said = " ".join(report["not_excluded"])
    for words in ("is true", "another log to somebody else", "after size 4", "went on", "rejected statements"):
        assert words in said
    assert "another ledger of the same name" not in said
    assert "another ledger of the same name" in " ".join(check(BUNDLE)["not_excluded"])


def spoken_for() -> SmallLedger:
    """The ledger of the other tests, with an act said by report, twice, and one through another authority."""
    ledger = with_case()
    person = {"person": named("somebody"), "role": next(iter(catalogue().codes("person_roles")))}
    about: dict[str, Any] = {"by": "a prosecutor", "case": CASE, "subject": CASE}
    for voice, speaker in (
        ("reported", Speaker(authority=COURT, source="Order of 3 March 2020, 4 Qs 1/20")),
        ("reported", Speaker(country="FR", authority_kind="investigating_judge", source="Bulletin 7/2020")),
        ("on_behalf", Speaker(authority=COURT, mandate=ledger.statements[2].id)),
    ):
        ledger.say("person.role_changed", person, voice=voice, speaker=speaker, **about)
    return ledger


WHOSE = [
    'A court (DE), as reported by A prosecutor (DE) from "Order of 3 March 2020, 4 Qs 1/20"',
    'investigating judge (FR), as reported by A prosecutor (DE) from "Bulletin 7/2020"',
    f"A court (DE), through A prosecutor (DE) under mandate {with_case().statements[2].id.hex()} (entry 2)",
]


def test_the_report_says_whose_act_it_is_and_on_what_ground() -> None:
    """What is reported or said for another is the act of that other: who, from which source, by which mandate."""
    report = check(bundle(spoken_for()))
    told = report["entries"][-3:]
    court = {"authority": COURT.hex(), "designation": "A court", "country": None, "authority_kind": None}

    assert WHOSE == [entry["whose_act"] for entry in told]
    assert {"A prosecutor (DE)"} == {entry["whose_act"] for entry in report["entries"][:-3]}
    assert [None] * len(report["entries"][:-3]) == [entry["speaker"] for entry in report["entries"][:-3]]
    assert [
        {**court, "mandate": None, "source": "Order of 3 March 2020, 4 Qs 1/20"},
        {**court, "mandate": with_case().statements[2].id.hex(), "source": None},
    ] == [told[0]["speaker"], told[2]["speaker"]]
    assert "FR" == told[1]["speaker"]["country"]
    said = " ".join(report["not_excluded"])
    for words in ("what another reports of it", "a mandate to speak for another"):
        assert words in said
        assert words not in " ".join(check(BUNDLE)["not_excluded"])


def test_the_cover_and_the_plain_words_say_whose_act_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A judge who reads the sheet or the output takes no prosecutor's report for the court's own word."""
    data = bundle(spoken_for())
    (tmp_path / "bundle.zip").write_bytes(data)

    assert 0 == verify.main([str(tmp_path / "bundle.zip")])
    plain, cover = capsys.readouterr().out, members(data)["cover.txt"].decode()

    for whose in WHOSE:
        assert f" by {whose}, occurred " in plain
        assert f" by {whose}\n" in cover


def test_what_others_wrote_cannot_move_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A designation or a source with control characters is shown without them."""
    report = check(BUNDLE)
    report["entries"][0]["whose_act"] = "A\x1b[2Jcourt\u202e"

    assert "A\ufffd[2Jcourt\ufffd" in verify._plain(report)
    (tmp_path / "bundle.zip").write_bytes(BUNDLE)
    verify.main([str(tmp_path / "bundle.zip")])
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


def test_the_same_entries_make_the_same_bytes() -> None:
    """No clock, no order of a set, no compression library shows in a bundle."""
    assert bundle(with_attachment(), checkpoint=NOTE) == BUNDLE
    names = list(members(BUNDLE))
    assert names == sorted(names)
    assert members(BUNDLE)["verify.py"] == Path(verify.__file__).read_bytes()
    assert {info.compress_type for info in zipfile.ZipFile(io.BytesIO(BUNDLE)).infolist()} == {zipfile.ZIP_STORED}


def test_the_cover_says_in_plain_words_what_this_is() -> None:
    """Case, size, what is proved and what not, how to verify, and each entry with who and when."""
    cover = members(BUNDLE)["cover.txt"].decode()

    for words in (
        CASE.hex(),
        "12 entries",
        "NOT PROVED",
        f"{PIN.hex()}",
        "python3 verify.py",
        "person.registered",
        "A prosecutor (DE)",
        "2023-11-14T22:13:24Z",
        "REJECTED by the ledger (outside_code_list)",
    ):
        assert words in cover
    assert max(len(line) for line in cover.splitlines()) <= 110


def test_every_member_changed_is_noticed() -> None:
    """One byte of any member, in the file itself: the checksum; with it mended: the manifest."""
    for name, content in members(BUNDLE).items():
        at = BUNDLE.index(content) + len(content) // 2
        raw = BUNDLE[:at] + bytes([BUNDLE[at] ^ 1]) + BUNDLE[at + 1 :]
        with pytest.raises(FormatError):
            check(raw)
        damaged = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
        out = io.BytesIO()
        write_zip(out, members(BUNDLE) | {name: damaged})
        if name == "manifest.json":
            with pytest.raises(FormatError):
                check(out.getvalue())
        else:
            assert failed(out.getvalue()) == ("2 manifest", None)


def test_every_member_removed_or_added_is_noticed() -> None:
    """What the manifest names is there, and nothing else is."""
    for name in members(BUNDLE):
        out = io.BytesIO()
        write_zip(out, {other: content for other, content in members(BUNDLE).items() if other != name})
        with pytest.raises((FormatError, NotVerified)):
            check(out.getvalue())
    out = io.BytesIO()
    write_zip(out, members(BUNDLE) | {"entries/more": b""})
    assert failed(out.getvalue()) == ("2 manifest", None)


def test_every_byte_of_the_container_counts() -> None:
    """Headers, directory and end have one form: no byte of them can be another."""
    contents = [(BUNDLE.index(content), len(content)) for content in members(BUNDLE).values()]
    inside = {at for start, length in contents for at in range(start, start + length)}
    outside = [at for at in range(len(BUNDLE)) if at not in inside]
    assert len(outside) > 2000

    for at in outside[:: 1 + len(outside) // 400]:
        with pytest.raises(FormatError):
            verify.Container(io.BytesIO(BUNDLE[:at] + bytes([BUNDLE[at] ^ 1]) + BUNDLE[at + 1 :]))
    for raw in (b"", b"PK", BUNDLE[:-1], BUNDLE + b"\0", b"\0" + BUNDLE, BUNDLE[: len(BUNDLE) // 2]):
        with pytest.raises(FormatError):
            verify.Container(io.BytesIO(raw))


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "A", "a/b/c/d", "a\\b", ".x", "a/..", "x" * 121, "", "ä"])
def test_names_that_could_climb_out_are_refused(name: str) -> None:
    """On writing as on reading."""
    with pytest.raises(FormatError):
        write_zip(io.BytesIO(), {name: b""})


def test_compressed_members_are_refused() -> None:
    """A bundle cannot unfold into more than it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in members(BUNDLE).items():
            written.writestr(name, content)
    with pytest.raises(FormatError):
        check(out.getvalue())


def test_another_founding_entry_is_another_ledger() -> None:
    """The pin decides; without one the report says so."""
    assert failed(BUNDLE, pin=bytes(32)) == ("3 founding", 0)
    assert failed(rebuilt({}, pin="00" * 32)) == ("3 founding", 0)


def first(folder: str) -> str:
    """A member of this folder about the case."""
    return f"{folder}/000000000005." + ("entry" if folder == "entries" else "tlog-proof")


def replaced(name: str, old: bytes, new: bytes) -> dict[str, bytes | None]:
    """One member with a part replaced."""
    content = members(BUNDLE)[name]
    assert old in content
    return {name: content.replace(old, new, 1)}


@pytest.mark.parametrize(
    ("what", "data", "expected"),
    [
        ("an entry", lambda: rebuilt(replaced(first("entries"), b"person", b"pErson")), ("4 inclusion", 5)),
        (
            "entry and proof of another",
            lambda: rebuilt({first("proofs"): members(BUNDLE)[first("proofs").replace("5.", "6.")]}),
            ("4 inclusion", 5),
        ),
        (
            "the index of a proof",
            lambda: rebuilt(replaced(first("proofs"), b"index 5", b"index 4")),
            ("4 inclusion", 5),
        ),
        ("the checkpoint", lambda: rebuilt(replaced("checkpoint", b"\n12\n", b"\n13\n"), size=13), ("4 inclusion", 0)),
        ("the size told", lambda: rebuilt({}, size=13), ("4 inclusion", None)),
        ("the origin told", lambda: rebuilt({}, origin="other.example"), ("4 inclusion", None)),
        ("the root told", lambda: rebuilt({}, root="00" * 32), ("4 inclusion", None)),
        (
            "an attachment",
            lambda: rebuilt({f"attachments/{sha256(CIPHERTEXT).hexdigest()}": b"x"}),
            ("10 attachments", None),
        ),
        (
            "an attachment of nobody",
            lambda: rebuilt({f"attachments/{sha256(b'x').hexdigest()}": b"x"}),
            ("10 attachments", None),
        ),
        ("the law", lambda: rebuilt({f"law/{sha256(RULES).hexdigest()}": b"x"}), ("10 attachments", None)),
        (
            "an enrolment left out",
            lambda: rebuilt({"entries/000000000001.entry": None, "proofs/000000000001.tlog-proof": None}),
            ("8 signature", 4),
        ),
        (
            "another enrolment left out",
            lambda: rebuilt({"entries/000000000003.entry": None, "proofs/000000000003.tlog-proof": None}),
            ("5 roster", 9),
        ),
        ("an entry shown left out", lambda: rebuilt({}, shown=[4, 5, 6, 7, 8, 9, 10, 11, 12]), ("9 streams", 9)),
        ("an entry of the roster shown", lambda: rebuilt({}, shown=[1, 4, 5, 6, 7, 8, 10, 11]), ("9 streams", 1)),
        ("an entry of the case not shown", lambda: rebuilt({}, shown=[4, 5, 6, 7, 8, 10]), ("9 streams", 11)),
        ("another case", lambda: rebuilt({}, case="00" * 16), ("9 streams", 4)),
    ],
)
def test_each_step_names_what_it_found(what: str, data: Any, expected: tuple[str, int | None]) -> None:
    """A forger who mends checksums and manifest is caught at the step that binds the part he changed."""
    assert failed(data()) == expected


MANIFEST = json.loads(members(BUNDLE)["manifest.json"])


@given(
    st.sampled_from(sorted(MANIFEST)),
    st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())),
)
@settings(max_examples=60)
def test_any_manifest_ends_in_a_report_or_a_named_fault(key: str, value: Any) -> None:
    """Whatever a manifest claims, nothing else than the two errors comes out."""
    out = io.BytesIO()
    write_zip(out, members(BUNDLE) | {"manifest.json": canonical_json(MANIFEST | {key: value})})
    with suppress(FormatError, NotVerified):
        assert check(out.getvalue())["result"] == "verified"


def test_a_checkpoint_needs_every_key_of_the_log() -> None:
    """A signature left out, or one that does not hold, or another tree under it."""
    head = Checkpoint(ORIGIN, 12, LEDGER_12.frontier.root())
    old, pq = LEDGER_12.signers()
    note = LEDGER_12.checkpoint()
    for signers in ([old], [pq]):
        assert failed(bundle(LEDGER_12, checkpoint=sign_checkpoint(head, signers, at=1))) == ("6 checkpoint", None)
    at = note.index(b"\xe2\x80\x94") + len(ORIGIN) + 30
    broken = note[:at] + (b"A" if note[at : at + 1] != b"A" else b"B") + note[at + 1 :]
    assert failed(bundle(LEDGER_12, checkpoint=broken)) == ("6 checkpoint", None)


def test_without_cryptography_the_report_says_what_was_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Ed25519 signatures suffice; the ML-DSA-44 ones are named as not checked."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    report = check(BUNDLE)

    assert [line["checked"] for line in report["log_signatures"]] == [True, False]
    assert any("were not checked" in line for line in report["not_excluded"])


# --- policy ---


def witnessed(*names: str, pq: bool = False) -> bytes:
    """The bundle under a checkpoint that these witnesses cosigned."""
    note = LEDGER_12.checkpoint()
    for name in names:
        note = cosign(note, witness_signer(name, "ed25519", keyed(name).public, keyed(name).sign), at=1_700_000_100)
    if pq:
        public = ML_DSA.public_key().public_bytes_raw()
        note = cosign(note, witness_signer("pq.example", "ml_dsa_44", public, ML_DSA.sign), at=0)
    return bundle(LEDGER_12, checkpoint=note)


def policy(quorum: str, *, log: str = "log") -> bytes:
    """A policy with two parties' witnesses, one of ML-DSA-44, and this quorum."""
    key = keyed(log)
    keys = [("a", witness_signer("a.example", "ed25519", keyed("a.example").public, key.sign))]
    keys += [("b", witness_signer("b.example", "ed25519", keyed("b.example").public, key.sign))]
    keys += [("c", witness_signer("pq.example", "ml_dsa_44", ML_DSA.public_key().public_bytes_raw(), key.sign))]
    vkey = verify.format_vkey(verify.VerifierKey(ORIGIN, verify.ED25519, key.public))
    lines = [f"log {vkey}", *(f"witness {name} {signer.vkey}" for name, signer in keys)]
    return "\n".join([*lines, "group both all a b", f"quorum {quorum}", ""]).encode()


def test_a_policy_is_met_by_the_witnesses_it_wants() -> None:
    """Their names and times stand in the report; a time of 0 is no time."""
    report = check(witnessed("a.example", "b.example", pq=True), policy=parse_policy(policy("both")))

    assert report["policy"] == "met"
    assert [(line["name"], line["at"]) for line in report["cosigned_by"]] == [
        ("a.example", "2023-11-14T22:15:00Z"),
        ("b.example", "2023-11-14T22:15:00Z"),
        ("pq.example", None),
    ]


def test_a_policy_is_not_met_by_fewer_or_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few, strangers, another log, or signatures that cannot be checked here."""
    for data, wanted in (
        (witnessed("a.example"), policy("both")),
        (witnessed("a.example", "x.example"), policy("both")),
        (BUNDLE, policy("a")),
        (witnessed("a.example", "b.example"), policy("both", log="other")),
    ):
        with pytest.raises(PolicyNotMet):
            check(data, policy=parse_policy(wanted))
    assert check(witnessed(pq=True), policy=parse_policy(policy("c")))["policy"] == "met"
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    with pytest.raises(PolicyNotMet, match="cryptography"):
        check(witnessed(pq=True), policy=parse_policy(policy("c")))


# --- what a dishonest log might record ---


def dishonest(ledger: SmallLedger) -> SmallLedger:
    """A log that records what it is told."""
    ledger.checking = False
    return ledger


PERSON = {"person": named("somebody"), "role": next(iter(catalogue().codes("person_roles")))}
ABOUT: dict[str, Any] = {"case": CASE, "subject": CASE}


def test_a_statement_under_a_key_of_another_is_found() -> None:
    """The court's key under the prosecutor's name."""
    ledger = dishonest(with_case())
    ledger.say("person.role_changed", PERSON, by="a prosecutor", key="a court", **ABOUT)
    assert failed(bundle(ledger)) == ("8 signature", 11)


def test_a_statement_under_a_key_that_nobody_enrolled_is_found() -> None:
    """A publisher from nowhere."""
    ledger = dishonest(with_case())
    ledger.say("person.role_changed", PERSON, by="nobody", **ABOUT)
    assert failed(bundle(ledger)) == ("8 signature", 11)


def test_a_signature_that_does_not_hold_is_found() -> None:
    """A statement that its publisher never signed; alone, and in a batch."""
    for batch in (None, verify.decode_entry(LEDGER_12.entry(5)).batch):
        ledger = dishonest(with_case())
        statement, data, _ = ledger.statement("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
        ledger.append(statement, data, bytes(64), batch, PERSON, None)
        assert failed(bundle(ledger)) == ("8 signature", 11)


def test_an_enrolment_against_the_rules_is_found() -> None:
    """The log accepted what the roster rejects: an authority of DE, enrolled by FR."""
    ledger = dishonest(with_case())
    ledger.say("authority.enrolled", enrolment("police", "police"), by="FR", subject=named("police"))
    assert failed(bundle(ledger)) == ("5 roster", 11)


@pytest.mark.parametrize(
    "bend",
    [
        {"recorded_at": BEGIN},
        {"case_version": 4},
        {"subject_version": 0},
        {"subject_version": None},
        {"statement_sha256": bytes(32)},
        {"reason": "wrong_case"},
    ],
)
def test_an_entry_that_runs_backwards_or_contradicts_itself_is_found(bend: dict[str, Any]) -> None:
    """Clocks and versions run forward; an entry is accepted or rejected, not both."""
    ledger = dishonest(with_case())
    ledger.bend = bend
    ledger.say("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
    assert failed(bundle(ledger)) == ("9 streams", 11)


def test_a_hole_in_the_stream_of_an_authority_is_found() -> None:
    """An act about an authority that the bundle leaves out, a revocation for one, leaves a gap before the next."""
    ledger = dishonest(with_case())
    ledger.bend = {"subject_version": 2}
    ledger.say("key.certified", possession("second", COURT), by="DE", subject=COURT)
    assert failed(bundle(ledger)) == ("5 roster", 11)


def test_an_authority_left_out_altogether_is_found() -> None:
    """An enrolment with its whole stream withheld leaves a hole in the ledger's own case."""
    ledger = dishonest(with_case())
    ledger.bend = {"case_version": len(ledger.cases[LEDGER]) + 1}
    ledger.say("key.certified", possession("second", COURT), by="DE", subject=COURT)
    assert failed(bundle(ledger)) == ("5 roster", 11)


def test_a_statement_for_another_ledger_or_a_second_time_is_found() -> None:
    """Signed as it is, it was not said here; and it is said once."""
    ledger = dishonest(with_case())
    statement, _, signer = ledger.statement("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
    other = replace(statement, ledger="other.example")
    data = encode_statement(other)
    ledger.append(other, data, signer.sign(signed_message(data)), None, PERSON, None)
    assert failed(bundle(ledger)) == ("8 signature", 11)

    twice = dishonest(with_case())
    statement, data, signer = twice.statement("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
    for _ in range(2):
        twice.append(statement, data, signer.sign(signed_message(data)), None, PERSON, None)
    assert failed(bundle(twice)) == ("9 streams", 12)


def test_an_attachment_of_another_size_is_found() -> None:
    """The commitment holds, the size told with it does not."""
    ledger = with_case()
    false = Attachment("other", sha256(CIPHERTEXT).digest(), None, 1, "application/pdf")
    ledger.say("person.role_changed", PERSON, by="a prosecutor", attachments=(false,), **ABOUT)
    assert failed(bundle(ledger)) == ("10 attachments", 11)


def test_a_key_used_after_its_end_is_found() -> None:
    """The log took a statement under a retired key."""
    ledger = with_case()
    ledger.say("key.retired", {"key": keyed("a prosecutor").id}, by="DE", subject=PROSECUTOR)
    dishonest(ledger).say("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
    assert failed(bundle(ledger)) == ("8 signature", 12)


def revoked(invalid: int, suspect: int) -> SmallLedger:
    """The ledger, and the prosecutor's key revoked from these indexes."""
    ledger = with_case()
    body = {"key": keyed("a prosecutor").id, "invalid_from": invalid, "suspect_from": suspect, "reason": "compromised"}
    ledger.say("key.revoked", body, by="DE", subject=PROSECUTOR)
    return ledger


def test_what_a_key_signed_while_suspect_is_shown_as_contested() -> None:
    """It verifies, and the report says for which entries nobody can be sure who signed."""
    report = check(bundle(revoked(11, 8)))

    assert [entry["index"] for entry in report["entries"] if entry["key"] == "contested"] == [8, 10]
    assert any("contested" in line for line in report["not_excluded"])


def test_what_a_key_signed_when_it_was_invalid_is_not_verified() -> None:
    """The root disowns it: nobody stands by that statement."""
    assert failed(bundle(revoked(10, 8))) == ("8 signature", 10)


def by_the_operator(*roots: str) -> SmallLedger:
    """The ledger; its operator's key revoked by these founding roots, two being the quorum; then used once more."""
    ledger = with_case()
    body = {"key": keyed("operator").id, "invalid_from": 8, "suspect_from": 8, "reason": "compromised"}
    for root in roots:
        ledger.say("key.revoked", body, by=root, subject=named("operator"))
    new: dict[str, Any] = {"authority": named("DE"), **possession("new", named("DE"))}
    new["endorsements"] = endorsements(named("DE"), keyed("new").public, "DE", "FR")
    dishonest(ledger).say("root_key.replaced", new, by="operator", subject=LEDGER)
    return ledger


@pytest.mark.parametrize("roots", [("DE",), ("DE", "DE")])
def test_fewer_roots_than_the_quorum_leave_the_operator_its_key(roots: tuple[str, ...]) -> None:
    """Offline as on the log: one root, however often, revokes nothing of the operator."""
    assert check(bundle(by_the_operator(*roots)))["result"] == "verified"


def test_what_the_operator_signs_after_a_quorum_of_roots_revoked_its_key_is_not_verified() -> None:
    """Offline as on the log: with the act of the second root, the key has ended."""
    assert failed(bundle(by_the_operator("DE", "FR"))) == ("5 roster", 13)


def test_what_a_root_said_of_the_operators_key_cannot_be_left_out() -> None:
    """Without the act of the first root, that of the second leaves a hole in the operator's stream."""
    ledger = by_the_operator("DE", "FR")
    ledger.streams[named("operator")].remove(11)
    ledger.streams[LEDGER] = [index for index in ledger.streams[LEDGER] if index < 11]
    assert failed(bundle(ledger)) == ("5 roster", 12)


def test_a_hole_in_a_case_is_named() -> None:
    """Entries left out are withheld versions; the rest still verifies."""
    report = check(bundle(LEDGER_12, indexes=[4, 7, 11]))

    assert report["withheld"] == [(1, 2), (4, 4)]
    assert report["case_complete_to"] is None
    assert "withheld" in " ".join(report["not_excluded"])


def test_single_entries_without_a_case_verify() -> None:
    """A bundle may show entries of any kind; then nothing is said of completeness."""
    report = check(bundle(LEDGER_12, indexes=[1, 8], case=None, attachments={}))

    assert [entry["index"] for entry in report["entries"]] == [1, 8]
    assert (report["case"], report["case_complete_to"], report["withheld"]) == (None, None, [])


def test_a_log_key_that_was_replaced_signs_no_more() -> None:
    """The roster in the bundle says which keys sign a checkpoint of this size."""
    ledger = with_case()
    new = keyed("log 2")
    signed = verify.possession_message(ORIGIN, named("operator"), new.public)
    body = {"old_key": keyed("log").id, "algorithm": "ed25519", "public_key": new.public, "endorsements": []}
    body["possession"] = new.sign(signed) + keyed("log").sign(signed)
    ledger.say("log_key.replaced", body, by="operator", subject=LEDGER)

    assert failed(bundle(ledger)) == ("6 checkpoint", None)


def test_a_rotated_key_is_followed() -> None:
    """The court rotates its key; the roster in the bundle follows, entry by entry."""
    ledger = with_case()
    ledger.say(
        "key.rotated", {"old_key": keyed("a court").id, **possession("second", COURT)}, by="a court", subject=COURT
    )
    ledger.say("person.role_changed", PERSON, by="a court", key="second", **ABOUT)

    assert check(bundle(ledger))["entries"][-1]["designation"] == "A court"


# --- writing ---


def test_a_bundle_is_written_only_under_its_checkpoint(tmp_path: Path) -> None:
    """Entries beyond the checkpoint, of another case, false attachments and existing files are refused."""
    early = with_case()
    note = early.checkpoint()
    early.say("person.role_changed", PERSON, by="a prosecutor", **ABOUT)
    with pytest.raises(Conflict, match="not under the checkpoint"):
        bundle(early, checkpoint=note)
    assert check(bundle(early, checkpoint=note, indexes=[4, 5]))["size"] == 11
    with pytest.raises(FormatError, match="another case"):
        bundle(early, indexes=[1])
    with pytest.raises(FormatError, match="commitment"):
        bundle(early, attachments={bytes(32): b"x"})

    out, attached = tmp_path / "a.zip", tmp_path / "ciphertext"
    attached.write_bytes(CIPHERTEXT)
    options: dict[str, Any] = {"indexes": [4, 5, 6, 7, 8, 10, 11], "checkpoint": NOTE, "case": CASE}
    options |= {"catalogue": catalogue(), "law": [RULES], "attachments": {sha256(CIPHERTEXT).digest(): attached}}
    write_bundle(out, LEDGER_12, **options)
    assert out.read_bytes() == BUNDLE
    with pytest.raises(Conflict, match="exists"):
        write_bundle(out, LEDGER_12, **options)


def test_a_bundle_that_was_not_written_leaves_no_file(tmp_path: Path) -> None:
    """So the same name is free once what was wrong is put right."""
    out = tmp_path / "a.zip"
    options: dict[str, Any] = {"indexes": [0], "checkpoint": NOTE, "catalogue": catalogue()}
    with pytest.raises(FormatError, match="commitment"):
        write_bundle(out, LEDGER_12, **options, attachments={bytes(32): b"x"})
    assert [] == list(tmp_path.iterdir())
    write_bundle(out, LEDGER_12, **options)


def test_a_bundle_of_the_founding_alone_verifies() -> None:
    """The smallest ledger there is."""
    ledger = founded()
    out = io.BytesIO()
    write_bundle(out, ledger, indexes=[0], checkpoint=ledger.checkpoint(), catalogue=catalogue())

    assert check(out.getvalue())["entries"][0]["act"] == "ledger.founded"


def test_the_roster_of_a_bundle_is_that_of_the_log() -> None:
    """Folding the bundle's entries gives the digest that the log has."""
    roster = Roster()
    for index, statement in enumerate(LEDGER_12.statements):
        if statement.act in verify.ROSTER_ACTS:
            roster.fold(index, statement, verify.decode_body(statement.act, statement.body))
    assert roster.digest() == LEDGER_12.roster_.digest()
    assert founding()["origin"] == roster.origin


# --- the command, alone in an empty folder ---


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """verify.py as a judge would run it: isolated, without any package, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a bundle and the verifier out of it."""
    (tmp_path / "bundle.zip").write_bytes(BUNDLE)
    (tmp_path / "verify.py").write_bytes(members(BUNDLE)["verify.py"])
    (tmp_path / "policy").write_bytes(policy("none"))
    (tmp_path / "strict").write_bytes(policy("a"))
    (tmp_path / "bad").write_bytes(b"quorum\n")
    (tmp_path / "forged.zip").write_bytes(rebuilt(replaced(first("entries"), b"person", b"pErson")))
    (tmp_path / "broken.zip").write_bytes(BUNDLE[:-1])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["bundle.zip"], 0, "VERIFIED"),
        (["bundle.zip", "--pin", PIN.hex(), "--policy", "policy"], 0, "as pinned"),
        (["forged.zip"], 1, "NOT VERIFIED: step 4 inclusion, entry 5"),
        (["bundle.zip", "--pin", "00" * 32], 1, "NOT VERIFIED: step 3 founding, entry 0"),
        (["broken.zip"], 2, "MALFORMED: 1 container"),
        (["bundle.zip", "--policy", "bad"], 2, "MALFORMED: policy line 1"),
        (["bundle.zip", "--policy", "strict"], 3, "POLICY NOT MET: step 7 policy"),
        (["absent.zip"], 64, "absent.zip"),
        (["bundle.zip", "--pin", "00"], 64, "--pin"),
    ],
)
def test_the_command_ends_with_its_status(folder: Path, arguments: list[str], status: int, said: str) -> None:
    """0 verified, 1 not verified, 2 malformed, 3 policy not met, 64 usage; in words and as JSON."""
    plain, as_json = run(folder, *arguments), run(folder, *arguments, "--json")

    assert (plain.returncode, as_json.returncode) == (status, status), plain.stdout + plain.stderr
    assert said in plain.stdout
    report = json.loads(as_json.stdout)
    assert (
        report["result"] == {0: "verified", 1: "not verified", 2: "malformed", 3: "policy not met", 64: "usage"}[status]
    )
    if not status:
        assert "NOT CHECKED" in plain.stdout  # there is no cryptography package there
        assert "Not excluded:" in plain.stdout


@pytest.mark.parametrize("arguments", [[], ["--what"], ["a", "b"], ["bundle.zip", "--pin"]])
def test_a_wrong_command_line_is_64(folder: Path, arguments: list[str]) -> None:
    """Not 2, which says that a bundle is malformed."""
    assert run(folder, *arguments).returncode == 64


def test_the_steps_by_hand_end_as_the_verifier_does(tmp_path: Path) -> None:
    """Every command of the page on verifying by hand runs, and agrees, on a bundle of one's own."""
    (tmp_path / "bundle.zip").write_bytes(BUNDLE)
    blocks = re.findall(r"^```bash\n(.*?)^```$", SHEET.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input="\n".join(blocks),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "ENTRY": "4"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"pin: {PIN.hex()}" in done.stdout
    assert f"root: {LEDGER_12.frontier.root().hex()}" in done.stdout
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert BEGIN // SECOND > 0
