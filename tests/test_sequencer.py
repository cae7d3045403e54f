"""
The sequencer: what is not admitted, what is rejected, and what everybody gets who publishes.

Each test is one sentence: given a town, when somebody sends something, then this is the answer.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import FormatError, Unavailable
from ledger.keys import Signer, ed25519
from ledger.ledger import Ledger, Root
from ledger.sequencer import Limits, Receipt, Refusal, _Waiting
from ledger.signatures import Workers, check
from ledger.statement import (
    Batch,
    Signed,
    Speaker,
    batch_message,
    decode_entry,
    decode_header,
    decode_statement,
    encode_statement,
    header_of,
    signed_message,
)
from ledger.verify import NotVerified, parse_note, parse_vkey, possession_message
from tests.town import (
    DE,
    DE_COURT,
    DE_PROSECUTOR,
    FR,
    FR_PROSECUTOR,
    LEDGER,
    OPERATOR,
    ORIGIN,
    Clock,
    Town,
    check_everything,
    check_receipt,
    enrolment,
    found,
    keyed,
    named,
    opened,
    signer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ledger.sequencer import Answer
    from ledger.signatures import Check
    from ledger.statement import Statement

SOON = Limits(early_ms_max=20)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A town where nobody is waited for long; whatever a test does to it, its log is sound at the end."""
    made = found(tmp_path / "ledger", limits=SOON)
    yield made
    check_everything(made.ledger)
    made.ledger.close()


def sign(made: Statement, by: Signer) -> Signed:
    """The statement, signed."""
    data = encode_statement(made)
    return Signed(data, by.key.sign(signed_message(data)))


def refusal(answer: Answer) -> Refusal:
    """The answer, which is a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer


def receipt(answer: Answer) -> Receipt:
    """The answer, which is a receipt."""
    assert isinstance(answer, Receipt), answer
    return answer


def accepted(answer: Answer) -> Receipt:
    """The answer, which is a receipt of an accepted statement."""
    assert receipt(answer).accepted, answer
    return receipt(answer)


def rejected(answer: Answer) -> str | None:
    """The reason of a receipt of a rejected statement."""
    assert not receipt(answer).accepted
    return receipt(answer).reason


def stands(town: Town, sent: Signed, answer: Answer, code: str, field: str = "") -> Refusal:
    """Check a refusal as its holder would: its words, and the log's signature over them."""
    refused = refusal(answer)
    assert (code, field) == (refused.code, refused.field), refused
    note = parse_note(refused.note)
    word, origin, digest, by, place, said, where, expected, at = note.text.splitlines()
    batch = sent.batch
    assert ("comity.refusal/v1", ORIGIN) == (word, origin)
    assert sha256(sent.statement).hexdigest() == digest
    assert sha256(sent.signature).hexdigest() == by
    if batch is None:
        assert "-" == place
    else:
        assert f"{batch.size} {batch.index} {sha256(b''.join(batch.path)).hexdigest()}" == place
    assert (code, field or "-") == (said, where)
    assert ("-" if refused.expected is None else str(refused.expected)) == expected
    assert int(at) <= town.clock.now
    key = parse_vkey(town.ledger.vkeys()[0])
    (signature,) = note.signatures
    assert key.key_id == signature.key_id
    assert ed25519(key.public_key, note.text.encode(), signature.blob)
    return refused


def refuses(town: Town, sent: Signed, code: str, field: str = "") -> Refusal:
    """Submit what must be refused: nothing is recorded, and the refusal stands."""
    size = town.store.size()
    refused = stands(town, sent, town.ledger.submit(sent), code, field)
    (again,) = town.ledger.submit_many([sent], workers=0)
    stands(town, sent, again, code, field)
    assert size == town.store.size()
    town.forget_sequences()
    return refused


# --- what is not admitted ---


@pytest.mark.parametrize("data", [b"", b"\0", bytes(300), b"Anna Muster", bytes(range(256)) * 4])
def test_bytes_that_are_no_statement_are_malformed(town, data):
    """Then nothing is recorded, and the log signs that it refused them."""
    size = town.store.size()
    answer = refusal(town.ledger.submit(Signed(data, bytes(64))))

    assert "malformed" == answer.code
    assert answer.what
    assert size == town.store.size()


def test_a_statement_with_a_byte_more_is_malformed(town):
    """Or one byte less: there is one encoding."""
    good = town.signed(town.opening("case"), DE_PROSECUTOR)

    assert "malformed" == refusal(town.ledger.submit(replace(good, statement=good.statement + b"\0"))).code
    assert "malformed" == refusal(town.ledger.submit(replace(good, statement=good.statement[:-1]))).code
    accepted(town.ledger.submit(good))


def test_text_that_is_not_utf_8_is_malformed(town):
    """Broken text is refused by the field that holds it."""
    good = town.signed(town.opening("case"), DE_PROSECUTOR).statement
    bad = good.replace(b"Zone", b"x").replace(b"\x06UTC", b"\x06U\xffC")
    assert bad != good

    refuses(town, Signed(bad, DE_PROSECUTOR.key.sign(signed_message(bad))), "malformed", "zone")


@pytest.mark.parametrize(("changed", "field"), [
    ({"id": bytes(16)}, "id"),
    ({"sequence": -1}, "sequence"),
    ({"act": "no.such_act"}, "act"),
    ({"version": 2}, "act"),
    ({"version": -1}, "act"),
    ({"act": "../../etc"}, "act"),
    ({"zone": "Mars/Olympus"}, "zone"),
    ({"occurred_from": 9 * 10**15}, "occurred_from"),
    ({"occurred_until": -9 * 10**15}, "occurred_until"),
    ({"known_at": 1_600_000_000_000_000}, "known_at"),
    ({"body": b""}, "body.procedure"),
    ({"body": b"Anna Muster"}, "body.procedure"),
    ({"body": bytes(100)}, "body"),
], ids=str)  # fmt: skip
def test_what_a_statement_says_wrongly_of_itself_is_malformed(town, changed, field):
    """The clock and the form of it, an unknown act, a body that is not the act's: the field is named."""
    answer = refuses(town, town.signed(town.opening("case"), DE_PROSECUTOR, **changed), "malformed", field)
    assert answer.what


def test_a_statement_for_another_ledger_is_refused(town):
    """What was said elsewhere cannot be carried here."""
    sent = town.signed(town.opening("case"), DE_PROSECUTOR, ledger="another.example/simulation")

    refuses(town, sent, "wrong_ledger", "ledger")


def test_a_statement_of_60_001_bytes_is_too_large(town):
    """It is refused before it is read."""
    refuses(town, Signed(bytes(60_001), bytes(64)), "too_large")
    assert "malformed" == refusal(town.ledger.submit(Signed(bytes(60_000), bytes(64)))).code


def test_a_draft_act_is_refused_by_a_production_ledger(tmp_path):
    """Its wording may still change, and a record is for ever; a simulation takes it."""
    origin = "ledger.example/2026"
    with Ledger.found(tmp_path / "l", origin=origin, operator=OPERATOR, roots=[Root.of("DE", DE, origin)]) as ledger:
        town = Town(ledger, Clock())
        draft = next(act for act in ledger.catalogue.acts() if not act.released)
        made = town.signed(town.opening("case"), OPERATOR, act=draft.name, version=draft.version)
        answer = refusal(ledger.submit(made))

    assert ("draft_act", "act") == (answer.code, answer.field)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_malformed(town, length):
    """Ed25519 signatures have 64 bytes."""
    sent = town.signed(town.opening("case"), DE_PROSECUTOR)

    refuses(town, replace(sent, signature=bytes(length)), "malformed", "signature")


@pytest.mark.parametrize("bit", [0, 7, 255, 256, 400, 511])
def test_a_signature_with_one_bit_changed_is_unauthenticated(town, bit):
    """In R or in s."""
    sent = town.signed(town.opening("case"), DE_PROSECUTOR)
    signature = bytearray(sent.signature)
    signature[bit // 8] ^= 1 << bit % 8

    refuses(town, replace(sent, signature=bytes(signature)), "unauthenticated", "signature")


def test_the_signature_of_another_statement_is_unauthenticated(town):
    """A signature belongs to one statement, even of the same key."""
    first, second = (town.signed(town.opening(name), DE_PROSECUTOR) for name in ("one", "two"))

    refuses(town, replace(first, signature=second.signature), "unauthenticated", "signature")


def test_a_signature_over_the_statement_alone_is_unauthenticated(town):
    """What was signed for another purpose is no statement: the purpose is part of what is signed."""
    made = encode_statement(town.statement(town.opening("case"), DE_PROSECUTOR))

    refuses(town, Signed(made, DE_PROSECUTOR.key.sign(made)), "unauthenticated", "signature")


def test_a_key_that_nobody_enrolled_is_unauthenticated(town):
    """Whoever the publisher claims to be."""
    stranger = Signer(DE_PROSECUTOR.authority, keyed("a stranger"))

    refuses(town, town.signed(town.opening("case"), stranger), "unauthenticated", "key")


def test_the_key_of_another_authority_is_unauthenticated(town):
    """A court cannot publish in the name of a prosecutor."""
    disguised = Signer(DE_PROSECUTOR.authority, DE_COURT.key)

    refuses(town, town.signed(town.opening("case"), disguised), "unauthenticated", "publisher")


@pytest.mark.parametrize("suspect_back", [0, 1])
def test_a_revoked_key_is_unauthenticated(town, suspect_back):
    """From the entry of the revocation on; what it signed before stays, and is contested where suspect."""
    before = accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    at = town.store.size()
    body = {
        "key": DE_PROSECUTOR.key.id,
        "invalid_from": at,
        "suspect_from": before.index if suspect_back else at,
        "reason": "compromised",
    }
    accepted(town.say(town.draft("key.revoked", DE_PROSECUTOR.authority, body, case=LEDGER), DE))

    refuses(town, town.signed(town.person("case"), DE_PROSECUTOR), "unauthenticated", "key")
    roster = town.ledger.roster
    assert ("contested" if suspect_back else "valid") == roster.verdict(DE_PROSECUTOR.key.id, before.index)
    assert "invalid" == roster.verdict(DE_PROSECUTOR.key.id, at)


def test_a_rotated_key_is_unauthenticated_and_its_successor_is_not(town):
    """The new key counts its own sequences from 0."""
    new = keyed("the second key of a prosecutor")
    proof = new.sign(possession_message(ORIGIN, DE_PROSECUTOR.authority, new.public))
    body = {"old_key": DE_PROSECUTOR.key.id, "public_key": new.public, "possession": proof}
    accepted(town.say(town.draft("key.rotated", DE_PROSECUTOR.authority, body, case=LEDGER), DE_PROSECUTOR))

    refuses(town, town.signed(town.opening("case"), DE_PROSECUTOR), "unauthenticated", "key")
    accepted(town.say(town.opening("case"), Signer(DE_PROSECUTOR.authority, new), sequence=0))


# --- sequences and repetitions ---


def test_a_statement_that_leaves_one_out_is_out_of_order(town):
    """An omission must be visible: the refusal says which sequence is expected."""
    accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    answer = refuses(town, town.signed(town.person("case"), DE_PROSECUTOR, sequence=5), "out_of_order", "sequence")

    assert 1 == answer.expected
    accepted(town.say(town.person("case"), DE_PROSECUTOR, sequence=answer.expected))


def test_a_sequence_is_used_once(town):
    """Another statement with a used sequence is refused, and told the next."""
    accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    answer = refuses(town, town.signed(town.person("case"), DE_PROSECUTOR, sequence=0), "sequence_reused", "sequence")

    assert 1 == answer.expected


def test_an_id_is_used_once(town):
    """A replayed id with other content is refused, whoever signs it, and in the same group too."""
    first = town.statement(town.opening("case"), DE_PROSECUTOR)
    accepted(town.ledger.submit(sign(first, DE_PROSECUTOR)))

    again = replace(first, sequence=1, occurred_confirmed=False)
    refuses(town, sign(again, DE_PROSECUTOR), "id_reused", "id")
    other = town.statement(town.opening("another"), FR_PROSECUTOR, id=first.id)
    refuses(town, sign(other, FR_PROSECUTOR), "id_reused", "id")

    new = town.statement(town.opening("third"), FR_PROSECUTOR)
    twin = replace(new, sequence=new.sequence + 1, occurred_confirmed=False)
    one, two = town.ledger.submit_many([sign(new, FR_PROSECUTOR), sign(twin, FR_PROSECUTOR)], workers=0)
    accepted(one)
    assert "id_reused" == refusal(two).code


def test_repeating_the_same_bytes_returns_the_first_receipt(town):
    """Again, in the same group, and after the ledger was opened anew: the same proof, byte for byte."""
    sent = town.signed(town.opening("case"), DE_PROSECUTOR)
    first, second = town.ledger.submit_many([sent, sent], workers=0)
    accepted(town.say(town.person("case"), DE_PROSECUTOR))
    third = town.ledger.submit(sent)
    with opened(town.ledger.folder).ledger as ledger:
        fourth = ledger.submit(sent)

        assert first == second == third == fourth
        assert receipt(first).proof == receipt(second).proof == receipt(third).proof == receipt(fourth).proof


def test_repeating_a_rejected_statement_returns_the_first_receipt(town):
    """It is recognised by its hash: the log has no body to compare."""
    sent = town.signed(town.person("a case that nobody opened"), DE_PROSECUTOR)
    first, second = town.ledger.submit(sent), town.ledger.submit(sent)

    assert "subject_missing" == rejected(first) == rejected(second)
    assert first == second
    assert receipt(first).proof == receipt(second).proof


def test_a_rejected_statement_has_used_its_sequence(town):
    """It is in the log; one that was refused is not."""
    assert "subject_missing" == rejected(town.say(town.person("no case"), DE_PROSECUTOR))
    accepted(town.say(town.opening("case"), DE_PROSECUTOR, sequence=1))


def test_one_bad_statement_never_fails_its_group(town):
    """Those around it are answered as if it were not there."""
    good = [town.signed(town.opening(f"case {number}"), by) for number, by in enumerate([DE_PROSECUTOR, FR_PROSECUTOR])]
    missing = town.signed(town.person("no case"), DE_COURT)
    bad = [Signed(b"", b""), Signed(bytes(70_000), bytes(64)), replace(good[1], signature=bytes(64))]
    sent = [bad[0], good[0], bad[1], missing, bad[2], good[1]]
    answers = list(town.ledger.submit_many(sent, workers=0))

    assert ["malformed", "too_large", "unauthenticated"] == [one.code for one in answers if isinstance(one, Refusal)]
    accepted(answers[1])
    assert "subject_missing" == rejected(answers[3])
    accepted(answers[5])


def test_early_statements_are_held_and_then_accepted_in_order(tmp_path):
    """Sent by threads in any order, the statements of one key are recorded in the order of their sequences."""
    town = found(tmp_path / "l", limits=Limits(early_ms_max=10_000))
    sent = [town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        waiting = [threads.submit(town.ledger.submit, one) for one in reversed(sent[1:])]
        assert not any(one.done() for one in waiting)
        first = accepted(town.ledger.submit(sent[0]))
        receipts = [first, *(accepted(one.result(timeout=9)) for one in reversed(waiting))]

    assert sorted(one.index for one in receipts) == [one.index for one in receipts]
    check_everything(town.ledger)
    town.ledger.close()


# --- what is rejected ---


def everywhere(folder: Path, words: bytes) -> list[str]:
    """The files of a folder that hold these bytes."""
    return [path.name for path in folder.rglob("*") if path.is_file() and words in path.read_bytes()]


def test_a_name_typed_into_a_coded_field_is_recorded_without_the_body(town):
    """The rejection is in the log with header, hash and reason; the name is nowhere on the disk."""
    name = "Annegret Mustermann-Beispiel"
    accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    sent = town.signed(town.person("case", role=name), DE_PROSECUTOR)
    assert name.encode() in sent.statement
    answer = town.ledger.submit(sent)

    assert "outside_code_list" == rejected(answer)
    assert name not in repr(answer)
    entry = decode_entry(town.store.entry(receipt(answer).index))
    header = decode_header(entry.statement)
    assert ("rejected", "outside_code_list", sha256(sent.statement).digest()) == (
        entry.disposition, entry.reason, entry.statement_sha256,
    )  # fmt: skip
    assert ("person.registered", b"") == (header.act, header.body)
    assert sent.statement.startswith(entry.statement)
    assert (None, None) == (entry.subject_version, entry.case_version)
    assert [] == everywhere(town.ledger.folder, name.encode())
    town.ledger.close()
    assert [] == everywhere(town.ledger.folder, name.encode())
    again = opened(town.ledger.folder)
    town.ledger = again.ledger


def test_a_name_in_a_draft_is_never_signed(town):
    """Published from here it is refused before it is signed: the outbox does not hold it either."""
    name = "Annegret Mustermann-Beispiel"
    town.ledger.publish(town.opening("case"), DE_PROSECUTOR)
    with pytest.raises(FormatError) as refused:
        town.ledger.publish(town.person("case", role=name), DE_PROSECUTOR)

    assert "body.role" == refused.value.field
    assert [] == everywhere(town.ledger.folder, name.encode())


def test_a_rejected_statement_moves_nothing(town):
    """Its subject and its case count as before; its entry is in neither."""
    case = named("case")
    accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    before = town.store.stream(case), town.store.case(case)

    assert "subject_exists" == rejected(town.say(town.opening("case"), FR_PROSECUTOR))
    assert before == (town.store.stream(case), town.store.case(case))
    accepted(town.say(town.person("case"), FR_PROSECUTOR))
    assert 2 == len(town.store.stream(case))


def test_what_is_said_in_one_group_is_known_in_it(town):
    """A mandate given in the same transaction counts as one given before: no decision depends on who came along."""
    accepted(town.say(town.opening("case"), DE_PROSECUTOR))
    body = {"topic": "timing", "formal": False, "with_authorities": [DE_PROSECUTOR.authority]}
    for together in (False, True):
        mandate = town.statement(town.draft("consultation.opened", named("case"), body), FR_PROSECUTOR)
        speaker = Speaker(authority=FR_PROSECUTOR.authority, mandate=mandate.id)
        said = town.statement(
            town.person("case", f"somebody {together}"), DE_PROSECUTOR, voice="on_behalf", speaker=speaker
        )
        both = [sign(mandate, FR_PROSECUTOR), sign(said, DE_PROSECUTOR)]
        if together:
            answers = list(town.ledger.submit_many(both, workers=0))
        else:
            answers = [town.ledger.submit(one) for one in both]

        assert [True, True] == [accepted(one).accepted for one in answers]


# --- roots of trust ---


@pytest.mark.parametrize(
    "by", [OPERATOR, FR, DE_PROSECUTOR, DE_COURT, FR_PROSECUTOR], ids=lambda one: one.authority.hex()[:6]
)
@pytest.mark.parametrize("kind", ["prosecutor", "court", "police", "state_root"])
def test_nobody_enrols_for_a_state_without_its_root_key(town, by, kind):
    """Neither the operator, nor another State, nor an authority of that State: the attempt is recorded as rejected."""
    answer = town.say(town.enrolling("somebody new", kind, "DE"), by)

    assert "not_enrolled_by_root" == rejected(answer)
    assert town.ledger.roster.authority(named("somebody new")) is None
    assert town.ledger.roster.key(keyed("somebody new").id) is None
    refuses(town, town.signed(town.opening("case"), signer("somebody new"), sequence=0), "unauthenticated", "key")


def test_nobody_enrols_for_a_state_by_claiming_to_be_its_root(town):
    """Not with another key under the root's name, and not by copying the root's own enrolment."""
    disguised = Signer(DE.authority, OPERATOR.key)
    refuses(town, town.signed(town.enrolling("somebody new"), disguised), "unauthenticated", "publisher")

    genuine = town.signed(town.enrolling("somebody new"), DE)
    bent = genuine.statement.replace(keyed("somebody new").public, OPERATOR.key.public)
    assert bent != genuine.statement
    refuses(town, replace(genuine, statement=bent), "unauthenticated", "signature")


def test_nobody_speaks_for_a_root(town):
    """Neither on behalf of it nor by reporting it: who may sign is said in one's own voice."""
    mandate = town.store.entry(0)
    for voice, speaker in (
        ("on_behalf", Speaker(authority=DE.authority, mandate=decode_entry(mandate).statement[:16])),
        ("reported", Speaker(authority=DE.authority, source="OJ L 130, 1.5.2014, p. 1")),
    ):
        answer = town.say(town.enrolling("somebody new"), OPERATOR, voice=voice, speaker=speaker)
        assert "not_own_authority" == rejected(answer)


def test_the_operator_alone_admits_no_root(town):
    """It takes the endorsement of the founding roots: two of two here."""
    key = keyed("NL")
    proof = key.sign(possession_message(ORIGIN, named("NL"), key.public))
    body: dict[str, Any] = {
        "holder": "NL", "authority": named("NL"), "public_key": key.public, "possession": proof,
        "enrolls": "country", "endorsements": [],
    }  # fmt: skip

    assert "insufficient_endorsement" == rejected(town.say(town.draft("root.admitted", LEDGER, body), OPERATOR))
    stolen = body | {"holder": "DE"}
    assert "subject_exists" == rejected(town.say(town.draft("root.admitted", LEDGER, stolen), OPERATOR))


def test_a_ledger_is_founded_once(town):
    """A second founding is rejected, and other operators are nobody here."""
    founding = town.statement(town.opening("x"), OPERATOR)
    body = decode_statement(decode_entry(town.store.entry(0)).statement).body
    again = replace(founding, act="ledger.founded", case=LEDGER, subject=LEDGER, body=body)

    assert "subject_exists" == rejected(town.ledger.submit(sign(again, OPERATOR)))


SMALL_ORDER = [
    bytes(32), b"\1" + bytes(31), bytes(31) + b"\x80",
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    b"\xff" * 32,
]  # fmt: skip


@pytest.mark.parametrize("key", SMALL_ORDER, ids=bytes.hex)
def test_a_key_of_small_order_is_not_enrolled(town, key):
    """Under it one signature would hold for many words."""
    answer = town.say(town.enrolling("somebody new", public_key=key, possession=key + bytes(32)), DE)

    assert "bad_possession_proof" == rejected(answer)


def test_a_key_is_enrolled_by_who_has_it(town):
    """A proof by another key, or for another authority, is none; so is a key that somebody has already."""
    for changed in (
        {"possession": bytes(64)},
        {"possession": enrolment("somebody else", "prosecutor")["possession"]},
        enrolment("a court in Paris", "court") | {"country": "DE", "holder": "DE"},
    ):
        body = enrolment("somebody new", "prosecutor") | {
            name: value for name, value in changed.items() if name in {"possession", "public_key"}
        }
        answer = town.say(town.draft("authority.enrolled", named("somebody new"), body, case=LEDGER), DE)
        assert "bad_possession_proof" == rejected(answer)


def test_a_key_certified_in_the_same_group_may_speak_in_it(town):
    """The authority enrolled by one statement publishes the next."""
    new = signer("somebody new")
    sent = [town.signed(town.enrolling("somebody new"), DE), town.signed(town.opening("case"), new, sequence=0)]
    bad = replace(town.signed(town.opening("other"), new, sequence=1), signature=bytes(64))
    answers = list(town.ledger.submit_many([*sent, bad], workers=0))

    accepted(answers[0])
    accepted(answers[1])
    assert "unauthenticated" == refusal(answers[2]).code


# --- batches ---


def test_statements_signed_together_are_verified_one_by_one(town):
    """Each entry holds the signature, its place and its path, and needs none of the others."""
    drafts = [town.opening(f"case {number}") for number in range(13)]
    answers = [accepted(one) for one in town.ledger.submit_many(town.signed_batch(drafts, DE_PROSECUTOR), workers=0)]

    assert 13 == len(answers)
    for place, one in enumerate(answers):
        entry = decode_entry(town.store.entry(one.index))
        assert entry.batch is not None
        assert (13, place) == (entry.batch.size, entry.batch.index)
        assert ed25519(DE_PROSECUTOR.key.public, signed_message(entry.statement, entry.batch), entry.signature)
        check_receipt(town.ledger, one)


def test_a_member_of_a_batch_may_be_sent_alone(town):
    """Its path is its own; single and batched statements share one sequence."""
    first, second = town.signed_batch([town.opening("one"), town.opening("two")], DE_PROSECUTOR)
    accepted(town.ledger.submit(first))
    accepted(town.ledger.submit(second))
    accepted(town.say(town.opening("three"), DE_PROSECUTOR))


@pytest.mark.parametrize(("bent", "code"), [
    (lambda batch: replace(batch, index=batch.index + 1), "unauthenticated"),
    (lambda batch: replace(batch, size=batch.size + 1), "unauthenticated"),
    (lambda batch: replace(batch, path=batch.path[:-1]), "malformed"),
    (lambda batch: replace(batch, path=(*batch.path, bytes(32))), "malformed"),
    (lambda batch: replace(batch, path=(bytes(31), *batch.path[1:])), "malformed"),
    (lambda batch: replace(batch, path=(bytes(32), *batch.path[1:])), "unauthenticated"),
    (lambda batch: replace(batch, index=-1), "malformed"),
    (lambda batch: replace(batch, size=0), "malformed"),
    (lambda batch: replace(batch, size=2**40), "malformed"),
    (lambda _: None, "unauthenticated"),
])  # fmt: skip
def test_a_place_in_a_batch_that_is_not_its_own_is_refused(town, bent, code):
    """Another index, size or path, or none."""
    one = town.signed_batch([town.opening(f"case {number}") for number in range(3)], DE_PROSECUTOR)[0]
    answer = refusal(town.ledger.submit(replace(one, batch=bent(one.batch))))

    assert code == answer.code


def test_a_batch_whose_hashes_have_other_lengths_cannot_be_made(town):
    """Even where its signer signs for it: an entry with such a path could not be read back."""
    made = encode_statement(town.statement(town.opening("case"), DE_PROSECUTOR))
    root = sha256(b"\1" + sha256(b"\0" + made).digest() + b"short").digest()
    batch = Batch(2, 0, (b"short",))
    sent = Signed(made, DE_PROSECUTOR.key.sign(batch_message(2, root)), batch)

    with pytest.raises(NotVerified):
        signed_message(made, batch)
    refuses(town, sent, "malformed", "batch.path")


# --- clocks ---


def test_a_clock_that_goes_back_never_decreases_recorded_at(town):
    """An hour back, it stands still until the hour has passed."""
    first = accepted(town.say(town.opening("one"), DE_PROSECUTOR))
    now = town.clock.now
    town.clock.now -= 3_600_000_000
    second = accepted(town.say(town.opening("two"), DE_PROSECUTOR))
    town.ledger.close()
    town.ledger = opened(town.ledger.folder, town.clock).ledger
    third = accepted(town.say(town.opening("three"), DE_PROSECUTOR))
    town.clock.now = now + 1_000_000
    fourth = accepted(town.say(town.opening("four"), DE_PROSECUTOR))

    assert first.recorded_at == second.recorded_at == third.recorded_at < fourth.recorded_at


# --- many at once ---


def test_32_threads_publish_and_everybody_gets_what_he_is_due(town):
    """All receipts are valid, all sequences gapless, no index is given twice."""
    barrier = threading.Barrier(32)
    enrolled = [signer(f"clerk {number}") for number in range(32)]
    enrolments = [town.signed(town.enrolling(f"clerk {number}"), DE) for number in range(32)]
    for answer in town.ledger.submit_many(enrolments, workers=0):
        accepted(answer)

    def publish(number: int) -> list[Receipt]:
        by = enrolled[number]
        barrier.wait()
        return [town.ledger.publish(town.opening(f"case {number} {one}"), by) for one in range(6)]

    with ThreadPoolExecutor(32) as threads:
        receipts = [one for each in threads.map(publish, range(32)) for one in each]

    assert 32 * 6 == len({one.index for one in receipts})
    roster = check_everything(town.ledger)
    for one in receipts:
        assert one.accepted
        check_receipt(town.ledger, one, roster)
    assert {6} == {town.store.next_sequence(by.key.id) for by in enrolled}


def test_worker_processes_change_no_answer(town):
    """Checked here or in two other processes, the same statements get the same answers."""
    sent = [town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(300)]
    sent[150] = replace(sent[150], signature=bytes(64))
    answers = list(town.ledger.submit_many(sent, workers=2))

    assert [True] * 150 == [accepted(one).accepted for one in answers[:150]]
    assert "unauthenticated" == refusal(answers[150]).code
    assert {"out_of_order"} == {refusal(one).code for one in answers[151:]}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started during the test."""
    begun: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *how: Any, **more: Any) -> None:
            super().__init__(*how, **more)
            begun.append(self)

    monkeypatch.setattr("ledger.signatures.subprocess.Popen", Noted)
    return begun


def test_workers_that_are_killed_are_noticed(started):
    """Nothing is taken for checked that was not; whoever waits is told to submit again."""
    checks = [(DE.key.public, b"words", DE.key.sign(b"words"))] * 300
    with Workers(2) as pool:
        assert b"\1" * 300 == pool.check(checks).result()
        for process in started:
            process.kill()
            process.wait()
        pending = pool.check(checks[:200])
        try:
            assert b"\1" * 200 == pending.result()
        except Unavailable as error:
            assert error.what_now


def test_a_killed_helper_hinders_nobody(town, started):
    """The leader of concurrent publishers checks alone where his helper is gone: no verdict changes."""
    helper = town.ledger.sequencer._helper
    good = [(DE.key.public, b"%d" % number, DE.key.sign(b"%d" % number)) for number in range(40)]
    bad = [*good[:-1], (DE.key.public, b"words", bytes(64)), good[0]]
    for _ in range(100):  # long enough for it to have started
        assert b"\1" * 40 == helper.begin(good).result()
    for _ in range(2):
        checking = helper.begin(bad)
        started[-1].kill()
        started[-1].wait()
        assert b"\1" * 39 + b"\0\1" == checking.result()
        assert b"\1" * 40 == helper.begin(good).result()
        while (checking := helper.begin(good)).done:  # until the next one listens
            pass
        assert b"\1" * 40 == checking.result()


def test_verdicts_of_a_group_that_failed_are_never_taken_for_those_of_the_next(town, started):
    """A group that could not be written leaves its verdicts unread; the next group's false signatures stay false."""
    helper = town.ledger.sequencer._helper
    good = [(DE.key.public, b"%d" % number, DE.key.sign(b"%d" % number)) for number in range(40)]
    while helper.begin(good).done:
        pass  # until it listens; whoever does not read the verdicts is the group that failed
    false = [(public, message, bytes(64)) for public, message, _ in good]

    assert bytes(40) == helper.begin(false).result()
    assert b"\1" * 40 == helper.begin(good).result()
    assert len(started) >= 2


class Late:
    """A helper whose verdicts come when they are asked for."""

    def begin(self, checks: Sequence[Check]) -> Late:
        self.checks = list(checks)
        return self

    @property
    def done(self) -> bool:
        return False

    def result(self) -> bytes:
        return check(self.checks)

    def close(self) -> None:
        pass


def together(town: Town, sent: Sequence[Signed]) -> list[Answer]:
    """Submit them so that all share one group; their answers."""
    sequencer = town.ledger.sequencer
    waiting = [_Waiting(one) for one in sent[:-1]]
    sequencer._queue.extend(waiting)
    last = town.ledger.submit(sent[-1])
    return [*(item.answer for item in waiting if item.answer is not None), last]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_false_signature_among_many_harms_its_sender_alone(town, place, monkeypatch):
    """
    A group is ordered while its signatures are checked; one that does not hold leaves no trace.

    The others get what they would have got, at the indexes they would have got, and the next groups
    wait for the verdicts first.
    """
    sequencer = town.ledger.sequencer
    monkeypatch.setattr(sequencer, "_helper", Late())
    size = town.store.size()
    sent = [town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(4)]
    forged = replace(town.signed(town.opening("forged"), FR_PROSECUTOR), signature=bytes(64))
    town.forget_sequences()
    sent.insert(place, forged)

    answers = together(town, sent)

    assert "unauthenticated" == refusal(answers[place]).code
    assert list(range(size, size + 4)) == [receipt(one).index for one in answers if one is not answers[place]]
    for one in answers:
        if isinstance(one, Receipt):
            check_receipt(town.ledger, one)
    assert size + 4 == town.store.size()
    assert not any(forged.statement in entry for entry in town.store.scan())
    assert [size, size + 4] == [kept for kept, *_ in town.store.checkpoints()][-2:]
    assert 0 < sequencer._wary
    # Whose name was used for it has lost nothing: his sequence is free.
    accepted(town.say(town.opening("his own"), FR_PROSECUTOR))


def test_nobody_is_enrolled_on_a_signature_that_is_still_being_checked(town, monkeypatch):
    """What may change who is believed waits for its verdict before it is looked at."""
    monkeypatch.setattr(town.ledger.sequencer, "_helper", Late())
    forged = replace(town.signed(town.enrolling("nobody"), DE), signature=bytes(64))
    ordered: list[int] = []
    order = town.ledger.sequencer._order

    def watched(writing: Any, group: list[Any], seal: Any) -> Any:
        ordered.append(len(group))
        return order(writing, group, seal)

    monkeypatch.setattr(town.ledger.sequencer, "_order", watched)
    others = [town.signed(town.opening("case"), FR_PROSECUTOR)]

    answers = together(town, [forged, *others])

    town.forget_sequences()
    assert "unauthenticated" == refusal(answers[0]).code
    accepted(answers[1])
    assert [1] == ordered


def test_a_receipt_proves_the_same_whoever_makes_the_proof(town):
    """The proofs of a group share their making, not their bytes."""
    answers = together(town, [town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(9)])
    for one in map(receipt, answers):
        assert town.ledger.receipt_proof(one.index) == one.proof
        assert one.proof == one.proof


def test_who_cannot_be_served_is_told_so_at_once(tmp_path):
    """More may not wait than the limit says."""
    town = found(tmp_path / "l")
    sent = [town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(3)]
    town.ledger.sequencer.limits = Limits(waiting_max=2)

    with pytest.raises(Unavailable):
        list(town.ledger.submit_many(sent, workers=0))
    assert 5 == town.store.size()
    town.ledger.close()


@pytest.mark.parametrize("broken", ["evolve", "encode_entry", "Sequencer._admit", "Sequencer._seal"])
def test_a_fault_of_ours_fails_its_group_and_nothing_after_it(town, monkeypatch, broken):
    """Everybody in the group is told, nobody waits for ever, and the next publisher finds all in order."""
    sent = [town.signed(town.opening(f"case {number}"), by) for number, by in enumerate([DE_PROSECUTOR, FR_PROSECUTOR])]
    size = town.store.size()

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(f"ledger.sequencer.{broken}", fail)
        with ThreadPoolExecutor(2) as threads:
            errors = [threads.submit(town.ledger.submit, one).exception(timeout=20) for one in sent]

    assert all(isinstance(error, (ZeroDivisionError, Unavailable)) for error in errors)
    assert size == town.store.size()
    for one in sent:
        accepted(town.ledger.submit(one))


def test_two_processes_worth_of_sequencers_take_turns(town):
    """Each folds what the other appended before it decides; there is one log."""
    other = opened(town.ledger.folder, town.clock)
    for number in range(4):
        accepted((town, other)[number % 2].ledger.submit(town.signed(town.opening(f"case {number}"), DE_PROSECUTOR)))
    accepted(other.ledger.submit(town.signed(town.enrolling("somebody new"), DE)))
    accepted(town.ledger.submit(town.signed(town.opening("theirs"), signer("somebody new"), sequence=0)))
    assert town.ledger.thing(named("theirs")) == other.ledger.thing(named("theirs")) is not None
    check_everything(other.ledger)
    other.ledger.close()


def test_what_another_process_appends_is_folded_in_without_reading_all_anew(town, monkeypatch):
    """Streams, cases, sequences, roster and tree go on where the other left them; a little costs a little."""
    other = opened(town.ledger.folder, town.clock)
    accepted(town.ledger.submit(town.signed(town.opening("shared"), DE_PROSECUTOR)))
    accepted(other.ledger.submit(town.signed(town.opening("theirs"), DE_PROSECUTOR)))

    def never() -> None:
        raise AssertionError("read anew")

    for one in (town, other):
        monkeypatch.setattr(one.ledger.sequencer, "_reload", never)
    for number in range(9):
        here = (town, other)[number % 2].ledger
        accepted(here.submit(town.signed(town.person("shared", f"person {number}"), DE_PROSECUTOR)))
        if number == 4:
            accepted(here.submit(town.signed(town.enrolling("newcomer", "prosecutor"), DE)))
    late = refusal(other.ledger.submit(town.signed(town.opening("x"), DE_PROSECUTOR, sequence=0)))
    assert ("sequence_reused", town.store.next_sequence(DE_PROSECUTOR.key.id)) == (late.code, late.expected)
    town.forget_sequences()
    accepted(town.ledger.submit(town.signed(town.opening("by the newcomer"), signer("newcomer"))))
    for one in (town, other):
        thing = one.ledger.sequencer.current(named("shared"))
        assert thing is not None
        assert thing.acts == 10
        assert one.ledger.sequencer.roster.digest() == town.ledger.roster.digest()
    other.ledger.close()


# --- anything at all ---


@pytest.fixture(scope="module")
def any_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for everything that a fuzzer sends."""
    made = found(tmp_path_factory.mktemp("any") / "ledger", limits=Limits(early_ms_max=0))
    accepted(made.say(made.opening("case"), DE_PROSECUTOR))
    yield made
    check_everything(made.ledger)
    made.ledger.close()


@given(data=st.binary(max_size=600), signature=st.binary(max_size=70), at=st.integers(0, 600), tail=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer(any_town, data, signature, at, tail):
    """Raw, or put into a good statement and honestly signed: a receipt or a refusal, nothing else."""
    town = any_town
    town.forget_sequences()
    good = encode_statement(town.statement(town.opening(bytes(16)), DE_PROSECUTOR))
    bent = good[:at] + data[:8] + (good[at + 8 :] if tail else b"")
    for one in (Signed(data, signature), Signed(bent, DE_PROSECUTOR.key.sign(signed_message(bent)))):
        assert isinstance(town.ledger.submit(one), (Receipt, Refusal))


@given(data=st.data())
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_of_any_act_gets_an_answer(any_town, data):
    """Every released act, with any body that its schema can hold, of any subject, by anybody who may sign."""
    town = any_town
    town.forget_sequences()
    acts = [act for act in town.ledger.catalogue.acts() if act.released]
    act = data.draw(st.sampled_from(acts))
    codec = town.ledger.catalogue.codec_of(act.name, act.version)
    known = [named("case"), LEDGER, DE.authority, DE_PROSECUTOR.authority, named("nothing"), bytes(16)]
    schema = codec._parsed
    body = data.draw(values(schema, known, dict(sizes(schema))))
    by = data.draw(st.sampled_from([DE_PROSECUTOR, DE, OPERATOR, DE_COURT]))
    draft = town.draft(act.name, data.draw(st.sampled_from(known)), body, case=data.draw(st.sampled_from(known)))
    made = town.statement(draft, by)
    answer = town.ledger.submit(sign(made, by))

    assert isinstance(answer, Receipt)
    if not answer.accepted:
        entry = decode_entry(town.store.entry(answer.index))
        assert header_of(encode_statement(made), made.body) == entry.statement


def sizes(schema: Any) -> Iterator[tuple[str, int]]:
    """The fixed types that a parsed schema names, with their sizes."""
    if isinstance(schema, list):
        for one in schema:
            yield from sizes(one)
    elif isinstance(schema, dict):
        if schema["type"] == "fixed":
            yield schema["name"], schema["size"]
        for inner in (*(field["type"] for field in schema.get("fields", ())), schema.get("items"), schema["type"]):
            yield from sizes(inner)


def values(schema: Any, ids: list[bytes], fixed: dict[str, int]) -> st.SearchStrategy[Any]:
    """Values of a parsed schema; ids are often those of things that exist."""
    match schema:
        case [*branches]:
            return st.one_of([values(branch, ids, fixed) for branch in branches])
        case {"type": "record"}:
            return st.fixed_dictionaries(
                {field["name"]: values(field["type"], ids, fixed) for field in schema["fields"]}
            )
        case {"type": "array"}:
            return st.lists(values(schema["items"], ids, fixed), max_size=2)
        case {"type": "fixed"}:
            return values(schema["name"], ids, fixed)
        case {"logicalType": _}:
            return st.integers(-(10**15), 10**15)
        case {"type": inner}:
            return values(inner, ids, fixed)
        case "long":
            return st.integers(-3, 2**40)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return st.sampled_from(["DE", "FR", "prosecutor", "investigation", "other", "EIO", "ed25519", "Anna", ""])
        case "bytes":
            return st.binary(max_size=40)
    size = fixed[schema]
    return st.sampled_from(ids) if size == 16 else st.binary(min_size=size, max_size=size)


# --- the law under which entries are judged ---


def test_whoever_opens_a_ledger_to_publish_keeps_the_edition_that_its_entries_name(tmp_path):
    """Found by the hash in the first entry; opened again it is made again if it was lost, and not for reading alone."""
    town = found(tmp_path)
    folder = town.ledger.folder
    kept = folder / "law" / decode_entry(town.store.entry(0)).rules.hex()
    assert kept.name == sha256((kept / "MANIFEST").read_bytes()).hexdigest()
    town.ledger.close()

    shutil.rmtree(folder / "law")
    with Ledger.open(folder, read_only=True):
        assert not (folder / "law").exists()
    opened(folder).ledger.close()
    assert (kept / "MANIFEST").is_file()


def test_a_folder_that_takes_no_edition_takes_statements_all_the_same(tmp_path):
    """The law is the release's, kept or not: publishing does not rest on the copy."""
    town = found(tmp_path)
    folder = town.ledger.folder
    town.ledger.close()
    shutil.rmtree(folder / "law")
    (folder / "law").write_text("no folder can be made here")
    again = opened(folder)
    accepted(again.say(again.opening("case"), DE_PROSECUTOR))
    again.ledger.close()
