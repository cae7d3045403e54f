"""The roster: who may enrol, certify, rotate and revoke what, and what each act does to each key."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from ledger.keys import ed25519
from ledger.verify import Roster, possession_message
from tests.small_ledger import (
    COUNSEL,
    COURT,
    DE,
    FR,
    LEDGER,
    ML_DSA,
    OPERATOR,
    ORIGIN,
    PROSECUTOR,
    SmallLedger,
    endorsements,
    enrolment,
    founded,
    founding,
    keyed,
    named,
    possession,
)

POLICE = named("police")


def judged(ledger: SmallLedger, act: str, body: dict[str, Any], **how: Any) -> str | None:
    """What the roster says of an act that is not recorded."""
    statement, _, signer = ledger.statement(act, body, **how)
    ledger.sequences[signer.id] -= 1
    return ledger.roster_.judge(ledger.size(), statement, body, ed25519)


@pytest.fixture
def ledger() -> SmallLedger:
    """Two roots; a prosecutor, a court and a lawyer of one of them."""
    found = founded()
    found.say("authority.enrolled", enrolment("a prosecutor", "prosecutor"), by="DE", subject=PROSECUTOR)
    found.say("authority.enrolled", enrolment("a court", "court"), by="DE", subject=COURT)
    found.say("authority.enrolled", enrolment("a lawyer", "counsel"), by="a court", subject=COUNSEL)
    return found


# --- founding ---


@pytest.mark.parametrize(
    ("what", "change", "reason"),
    [
        ("nothing", {}, None),
        ("another origin", {"origin": "other.example"}, "outside_code_list"),
        ("an operator that did not sign", {"operator": DE}, "not_own_authority"),
        ("another operator key", {"operator_key": keyed("DE").public}, "not_own_authority"),
        ("a quorum of none", {"quorum": 0}, "insufficient_endorsement"),
        ("a quorum out of reach", {"quorum": 3}, "insufficient_endorsement"),
        ("no log key", {"log_keys": []}, "outside_code_list"),
        ("no Ed25519 log key", {"log_keys": founding()["log_keys"][1:]}, "outside_code_list"),
        (
            "a log key of small order",
            {"log_keys": [{"algorithm": "ed25519", "public_key": bytes(32)}]},
            "outside_code_list",
        ),
        (
            "a log key of another algorithm",
            {"log_keys": [{"algorithm": "rsa", "public_key": bytes(32)}]},
            "outside_code_list",
        ),
        (
            "a log key that is a root's",
            {"log_keys": [{"algorithm": "ed25519", "public_key": keyed("DE").public}]},
            "bad_possession_proof",
        ),
        ("the same root twice", {"roots": founding()["roots"][:1] * 2}, "subject_exists"),
        ("no root", {"roots": []}, "insufficient_endorsement"),
    ],
)
def test_a_ledger_is_founded_whole_or_not_at_all(what: str, change: dict[str, Any], reason: str | None) -> None:
    """The operator signs; roots prove their keys; a quorum is in reach; the log has an Ed25519 key."""
    body = founding() | change
    assert judged(SmallLedger(), "ledger.founded", body, by="operator", subject=LEDGER) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"possession": bytes(64)}, "bad_possession_proof"),
        (possession("FR", FR, "other.example"), "bad_possession_proof"),
        (possession("FR", DE), "bad_possession_proof"),
        ({"holder": "DE"}, "outside_code_list"),
        ({"holder": "eu"}, "outside_code_list"),
        ({"enrolls": "union"}, "outside_code_list"),
        ({"enrolls": "everybody"}, "outside_code_list"),
        ({"authority": OPERATOR}, "subject_exists"),
        ({"public_key": keyed("DE").public}, "bad_possession_proof"),
    ],
)
def test_each_founding_root_stands_for_itself(change: dict[str, Any], reason: str) -> None:
    """A founding root has its own holder, id and key, and proves the key for this ledger."""
    body = founding()
    body["roots"][1] |= change
    assert judged(SmallLedger(), "ledger.founded", body, by="operator", subject=LEDGER) == reason


def test_a_ledger_is_founded_once(ledger: SmallLedger) -> None:
    """A second founding, and one at another index than 0, is rejected."""
    assert judged(ledger, "ledger.founded", founding(), by="operator", subject=LEDGER) == "subject_exists"
    late = SmallLedger()
    statement, *_ = late.statement("ledger.founded", founding(), by="operator", subject=LEDGER)
    assert Roster().judge(1, statement, founding(), ed25519) == "subject_exists"


# --- enrolment ---


@pytest.mark.parametrize(
    ("by", "body", "reason"),
    [
        ("DE", enrolment("police", "police"), None),
        ("FR", enrolment("police", "police", "FR"), None),
        ("FR", enrolment("police", "police"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "police", country="FR", holder="DE"), "not_enrolled_by_root"),
        ("operator", enrolment("police", "police"), "not_enrolled_by_root"),
        ("operator", enrolment("police", "police", holder=""), "not_enrolled_by_root"),
        ("a prosecutor", enrolment("police", "police"), "not_enrolled_by_root"),
        ("a court", enrolment("police", "police"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "state_root"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "operator"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "union_body"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "international_court"), "not_enrolled_by_root"),
        ("DE", enrolment("police", "international_organisation"), "not_enrolled_by_root"),
        ("a court", enrolment("police", "counsel"), None),
        ("DE", enrolment("police", "counsel"), "not_enrolled_by_root"),
        ("a prosecutor", enrolment("police", "counsel"), "not_enrolled_by_root"),
        ("a court", enrolment("police", "counsel", "FR"), "not_enrolled_by_root"),
        ("a court", enrolment("police", "counsel", designation="A name"), "outside_code_list"),
        ("DE", enrolment("police", "police", public_key=None, possession=None), None),
        ("DE", enrolment("police", "police", possession=None), "bad_possession_proof"),
        ("DE", enrolment("police", "police", possession=bytes(64)), "bad_possession_proof"),
        ("DE", enrolment("police", "police", **possession("a court", POLICE)), "bad_possession_proof"),
        ("DE", enrolment("police", "police", **possession("DE", POLICE)), "bad_possession_proof"),
        ("DE", enrolment("police", "police", **possession("log", POLICE)), "bad_possession_proof"),
        ("DE", enrolment("police", "police", **possession("police", COURT)), "bad_possession_proof"),
        ("DE", enrolment("police", "police", public_key=bytes(32)), "bad_possession_proof"),
    ],
)
def test_only_a_holders_root_enrols_its_authorities(
    ledger: SmallLedger, by: str, body: dict[str, Any], reason: str | None
) -> None:
    """A State's root its own; a court or bar counsel; nobody a root; each key new and proven."""
    assert judged(ledger, "authority.enrolled", body, by=by, subject=POLICE) == reason


def test_an_authority_is_enrolled_once(ledger: SmallLedger) -> None:
    """Also roots and the operator count as enrolled; and acts of the roster are said in one's own voice."""
    body = enrolment("police", "police")
    for subject in (COURT, DE, OPERATOR):
        assert judged(ledger, "authority.enrolled", body, by="DE", subject=subject) == "subject_exists"
    statement, *_ = ledger.statement("authority.enrolled", body, by="DE", subject=POLICE, voice="reported")
    assert ledger.roster_.judge(ledger.size(), statement, body, ed25519) == "not_own_authority"


def test_what_is_no_act_of_the_roster_changes_nothing(ledger: SmallLedger) -> None:
    """Other acts are neither judged nor folded here."""
    before = ledger.roster_.digest()
    statement, *_ = ledger.statement("key.retired", {"key": bytes(32)}, by="DE", subject=COURT, version=1)
    object.__setattr__(statement, "act", "case.opened")
    ledger.roster_.fold(ledger.size(), statement, {})

    assert ledger.roster_.judge(ledger.size(), statement, {}, ed25519) is None
    assert ledger.roster_.digest() == before


def test_a_union_enrols_its_bodies_and_no_states() -> None:
    """Kinds above the States come from roots of their own, which a quorum admits."""
    ledger = founded()
    eu = named("eu")
    admitted = {"holder": "eu", "authority": eu, "enrolls": "union", **possession("eu", eu)}
    admitted["endorsements"] = endorsements(eu, keyed("eu").public, "DE", "FR")
    ledger.say("root.admitted", admitted, by="operator", subject=LEDGER)
    body = enrolment("a body", "union_body", "eu", country="BE")

    assert judged(ledger, "authority.enrolled", body, by="eu", subject=named("a body")) is None
    state = enrolment("a body", "union_body", "BE", holder="BE")
    assert judged(ledger, "authority.enrolled", state, by="eu", subject=named("a body")) == "not_enrolled_by_root"


# --- keys of an authority ---


@pytest.mark.parametrize(
    ("act", "by", "body", "reason"),
    [
        ("key.certified", "DE", possession("second", COURT), None),
        ("key.certified", "a court", possession("second", COURT), "not_enrolled_by_root"),
        ("key.certified", "FR", possession("second", COURT), "not_enrolled_by_root"),
        ("key.certified", "operator", possession("second", COURT), "not_enrolled_by_root"),
        ("key.certified", "DE", possession("second", PROSECUTOR), "bad_possession_proof"),
        ("key.certified", "DE", possession("a court", COURT), "bad_possession_proof"),
        ("key.rotated", "a court", {"old_key": keyed("a court").id, **possession("second", COURT)}, None),
        ("key.rotated", "DE", {"old_key": keyed("a court").id, **possession("second", COURT)}, None),
        ("key.rotated", "FR", {"old_key": keyed("a court").id, **possession("second", COURT)}, "not_enrolled_by_root"),
        (
            "key.rotated",
            "a prosecutor",
            {"old_key": keyed("a court").id, **possession("second", COURT)},
            "not_enrolled_by_root",
        ),
        ("key.rotated", "a court", {"old_key": bytes(32), **possession("second", COURT)}, "unknown_reference"),
        ("key.rotated", "a court", {"old_key": keyed("DE").id, **possession("second", COURT)}, "wrong_reference_kind"),
        (
            "key.rotated",
            "a court",
            {"old_key": keyed("a court").id, **possession("a court", COURT)},
            "bad_possession_proof",
        ),
        ("key.retired", "a court", {"key": keyed("a court").id}, None),
        ("key.retired", "DE", {"key": keyed("a court").id}, None),
        ("key.retired", "FR", {"key": keyed("a court").id}, "not_enrolled_by_root"),
    ],
)
def test_keys_of_an_authority_are_its_roots_and_its_own_business(
    ledger: SmallLedger, act: str, by: str, body: dict[str, Any], reason: str | None
) -> None:
    """The root certifies, rotates and retires; the authority rotates and retires its own."""
    assert judged(ledger, act, body, by=by, subject=COURT) == reason


def revocation(key: str, invalid: int, suspect: int) -> dict[str, Any]:
    """The body that revokes the key of this name."""
    return {"key": keyed(key).id, "invalid_from": invalid, "suspect_from": suspect, "reason": "compromised"}


@pytest.mark.parametrize(
    ("by", "subject", "body", "reason"),
    [
        ("DE", COURT, revocation("a court", 4, 3), None),
        ("DE", COURT, revocation("a court", 0, 0), None),
        ("DE", COURT, revocation("a court", 5, 3), "outside_code_list"),
        ("DE", COURT, revocation("a court", 3, 4), "outside_code_list"),
        ("DE", COURT, revocation("a court", 3, -1), "outside_code_list"),
        ("a court", COURT, revocation("a court", 4, 3), "not_enrolled_by_root"),
        ("FR", COURT, revocation("a court", 4, 3), "not_enrolled_by_root"),
        ("operator", COURT, revocation("a court", 4, 3), "not_enrolled_by_root"),
        ("DE", COURT, revocation("a prosecutor", 4, 3), "wrong_reference_kind"),
        ("DE", COURT, revocation("nobody", 4, 3), "unknown_reference"),
        ("DE", named("nobody"), revocation("a court", 4, 3), "subject_missing"),
        ("DE", DE, revocation("DE", 4, 3), "wrong_reference_kind"),
        ("FR", DE, revocation("DE", 4, 3), "not_enrolled_by_root"),
        ("a court", COUNSEL, revocation("a lawyer", 4, 4), None),
        ("DE", COUNSEL, revocation("a lawyer", 4, 4), None),
        ("a prosecutor", COUNSEL, revocation("a lawyer", 4, 4), "not_enrolled_by_root"),
    ],
)
def test_only_who_enrolled_revokes_and_only_backwards(
    ledger: SmallLedger, by: str, subject: bytes, body: dict[str, Any], reason: str | None
) -> None:
    """suspect_from <= invalid_from <= index, by the holder's root or whoever enrolled counsel."""
    assert judged(ledger, "key.revoked", body, by=by, subject=subject) == reason


def test_verdicts_follow_the_order_of_the_log(ledger: SmallLedger) -> None:
    """Unknown before enrolment; then valid, contested, invalid; and a later act never softens them."""
    key = keyed("a court").id
    ledger.say("key.revoked", revocation("a court", 4, 3), by="DE", subject=COURT)
    verdicts = [ledger.roster_.verdict(key, index) for index in range(6)]
    assert verdicts == ["unknown"] * 3 + ["contested", "invalid", "invalid"]

    ledger.say("key.revoked", revocation("a court", 5, 5), by="DE", subject=COURT)
    assert [ledger.roster_.verdict(key, index) for index in range(6)] == verdicts
    assert ledger.roster_.verdict(keyed("nobody").id, 3) == "unknown"
    assert ledger.roster_.verdict(keyed("operator").id, 0) == "valid"
    assert ledger.roster_.verdict(keyed("DE").id, 0) == "unknown"


def test_a_rotated_key_ends_with_the_act_that_ends_it(ledger: SmallLedger) -> None:
    """The act itself is still signed with the old key; what follows is not, and no key comes back."""
    body = {"old_key": keyed("a court").id, **possession("second", COURT)}
    index = ledger.say("key.rotated", body, by="a court", subject=COURT)

    assert ledger.roster_.verdict(keyed("a court").id, index) == "valid"
    assert ledger.roster_.verdict(keyed("a court").id, index + 1) == "invalid"
    assert ledger.roster_.verdict(keyed("second").id, index) == "unknown"
    assert ledger.roster_.verdict(keyed("second").id, index + 1) == "valid"
    again = {"old_key": keyed("second").id, **possession("a court", COURT)}
    how: dict[str, Any] = {"by": "a court", "subject": COURT, "key": "second"}
    assert judged(ledger, "key.rotated", again, **how) == "bad_possession_proof"
    retired = {"key": keyed("a court").id}
    assert judged(ledger, "key.retired", retired, **how) == "wrong_reference_kind"


# --- roots ---


def replacement(root: str, key: str, *endorsers: str) -> dict[str, Any]:
    """The body that gives a root another key."""
    authority = named(root)
    body = {"authority": authority, **possession(key, authority)}
    return {**body, "endorsements": endorsements(authority, keyed(key).public, *endorsers)}


@pytest.mark.parametrize(
    ("by", "body", "reason"),
    [
        ("DE", replacement("DE", "new"), None),
        ("FR", replacement("DE", "new"), "insufficient_endorsement"),
        ("FR", replacement("DE", "new", "FR"), "insufficient_endorsement"),
        ("operator", replacement("DE", "new", "FR", "DE"), None),
        ("operator", replacement("DE", "new", "FR", "FR"), "insufficient_endorsement"),
        ("operator", replacement("DE", "new", "FR", "a court"), "insufficient_endorsement"),
        (
            "operator",
            {**replacement("DE", "new"), "endorsements": endorsements(DE, keyed("x").public, "DE", "FR")},
            "insufficient_endorsement",
        ),
        (
            "operator",
            {**replacement("DE", "new"), "endorsements": endorsements(FR, keyed("new").public, "DE", "FR")},
            "insufficient_endorsement",
        ),
        ("DE", replacement("DE", "FR"), "bad_possession_proof"),
        ("DE", {**replacement("DE", "new"), "possession": bytes(64)}, "bad_possession_proof"),
        ("a court", replacement("a court", "new"), "unknown_reference"),
        ("DE", replacement("nobody", "new"), "unknown_reference"),
    ],
)
def test_a_root_key_is_replaced_by_the_old_one_or_by_the_quorum(
    ledger: SmallLedger, by: str, body: dict[str, Any], reason: str | None
) -> None:
    """Endorsements are for this root and this key, by distinct founding roots, none of them wrong."""
    assert judged(ledger, "root_key.replaced", body, by=by, subject=LEDGER) == reason


def test_a_replaced_root_key_signs_no_more_and_may_be_revoked_by_its_successor(ledger: SmallLedger) -> None:
    """The new key is the root: it enrols, and it may say since when the old one was in other hands."""
    index = ledger.say("root_key.replaced", replacement("DE", "new"), by="DE", subject=LEDGER)
    assert ledger.roster_.verdict(keyed("DE").id, index + 1) == "invalid"

    ledger.say("authority.enrolled", enrolment("police", "police"), by="DE", key="new", subject=POLICE)
    ledger.say("key.revoked", revocation("DE", 3, 2), by="DE", key="new", subject=DE)
    assert [ledger.roster_.verdict(keyed("DE").id, index) for index in range(5)] == [
        "unknown",
        "valid",
        "contested",
        "invalid",
        "invalid",
    ]
    assert (
        judged(
            ledger, "key.rotated", {"old_key": keyed("new").id, **possession("z", DE)}, by="DE", key="new", subject=DE
        )
        == "wrong_subject_kind"
    )


def admission(root: str, *endorsers: str, **other: Any) -> dict[str, Any]:
    """The body that admits the root of a State."""
    authority = named(root)
    body = {"holder": root, "authority": authority, "enrolls": "country", **possession(root, authority)}
    return {**body, "endorsements": endorsements(authority, keyed(root).public, *endorsers), **other}


@pytest.mark.parametrize(
    ("by", "body", "reason"),
    [
        ("operator", admission("AT", "DE", "FR"), None),
        ("DE", admission("AT", "DE", "FR"), None),
        ("a court", admission("AT", "DE", "FR"), "not_enrolled_by_root"),
        ("operator", admission("AT", "DE"), "insufficient_endorsement"),
        ("operator", admission("AT", "DE", "FR", holder="DE"), "subject_exists"),
        ("operator", admission("AT", "DE", "FR", authority=COURT), "subject_exists"),
        ("operator", admission("AT", "DE", "FR", holder="austria"), "outside_code_list"),
        ("operator", admission("AT", "DE", "FR", possession=bytes(64)), "bad_possession_proof"),
    ],
)
def test_a_root_is_admitted_by_the_quorum_of_the_founders(
    ledger: SmallLedger, by: str, body: dict[str, Any], reason: str | None
) -> None:
    """Whoever publishes it, the founding roots decide."""
    assert judged(ledger, "root.admitted", body, by=by, subject=LEDGER) == reason


def test_an_admitted_root_enrols_but_is_no_founder(ledger: SmallLedger) -> None:
    """It has the rights of a root over its own; endorsements stay with those who founded."""
    ledger.say("root.admitted", admission("AT", "DE", "FR"), by="operator", subject=LEDGER)
    at = enrolment("police", "police", "AT")

    assert judged(ledger, "authority.enrolled", at, by="AT", subject=POLICE) is None
    body = replacement("DE", "new", "FR", "AT")
    assert judged(ledger, "root_key.replaced", body, by="operator", subject=LEDGER) == "insufficient_endorsement"


# --- keys of the log ---


def log_key(new: str, *endorsers: str, old: str | None = "log", **other: Any) -> dict[str, Any]:
    """The body that replaces the log's Ed25519 key, signed by the old one where it is named."""
    key = keyed(new)
    signed = possession_message(ORIGIN, OPERATOR, key.public)
    proof = key.sign(signed) + (keyed(old).sign(signed) if old else b"")
    body = {"old_key": keyed("log").id, "algorithm": "ed25519", "public_key": key.public, "possession": proof}
    return {**body, "endorsements": endorsements(OPERATOR, key.public, *endorsers), **other}


PQ = sha256(ML_DSA.public_key().public_bytes_raw()).digest()


@pytest.mark.parametrize(
    ("by", "body", "reason"),
    [
        ("operator", log_key("log 2"), None),
        ("operator", log_key("log 2", "DE", "FR", old=None), None),
        ("operator", log_key("log 2", "DE", old=None), "insufficient_endorsement"),
        ("operator", log_key("log 2", old="DE"), "bad_possession_proof"),
        ("operator", log_key("log 2", possession=bytes(128)), "bad_possession_proof"),
        ("operator", log_key("log"), "bad_possession_proof"),
        ("operator", log_key("DE"), "bad_possession_proof"),
        ("operator", log_key("log 2", old_key=bytes(32)), "unknown_reference"),
        ("operator", log_key("log 2", algorithm="ml_dsa_44"), "outside_code_list"),
        ("operator", log_key("log 2", old_key=PQ), "bad_possession_proof"),
        ("DE", log_key("log 2"), "not_own_authority"),
    ],
)
def test_a_log_key_is_replaced_by_the_old_one_or_by_the_quorum(
    ledger: SmallLedger, by: str, body: dict[str, Any], reason: str | None
) -> None:
    """The operator says it; the old log key or the founders carry it; an Ed25519 key remains."""
    assert judged(ledger, "log_key.replaced", body, by=by, subject=LEDGER) == reason


def test_log_keys_have_their_sizes(ledger: SmallLedger) -> None:
    """The old key signs checkpoints up to the act that replaces it, the new one those above."""
    old = ledger.roster_.log_keys
    index = ledger.say("log_key.replaced", log_key("log 2"), by="operator", subject=LEDGER)
    new = ledger.roster_.log_keys

    assert ledger.roster_.log_keys_at(index) == old
    assert ledger.roster_.log_keys_at(index + 1) == new
    assert keyed("log 2").public in {key.public_key for key in new}
    assert keyed("log").public not in {key.public_key for key in new}
    assert {key.name for key in new} == {ORIGIN}


# --- the operator's keys ---


def three_roots() -> SmallLedger:
    """Three founding roots, two of them a quorum, an admitted one, and a court."""
    body = founding()
    at = {"holder": "AT", "authority": named("AT"), "enrolls": "country", **possession("AT", named("AT"))}
    body["roots"].append(at)
    made = SmallLedger()
    made.say("ledger.founded", body, by="operator", subject=LEDGER)
    made.say("authority.enrolled", enrolment("a court", "court"), by="DE", subject=COURT)
    made.say("root.admitted", admission("PL", "DE", "FR"), by="operator", subject=LEDGER)
    for root in ("DE", "FR"):
        made.say("roster.confirmed", {"size": 2, "roster_digest": made.roster_.digest(2)}, by=root, subject=LEDGER)
    return made


def verdicts(ledger: SmallLedger, key: str) -> str:
    """The first letter of each verdict on this key, from entry 0 to the one that comes next."""
    return "".join(ledger.roster_.verdict(keyed(key).id, index)[0] for index in range(ledger.size() + 1))


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("DE", None),
        ("AT", None),
        ("PL", "not_enrolled_by_root"),
        ("a court", "not_enrolled_by_root"),
        ("operator", "not_enrolled_by_root"),
        ("nobody", "not_enrolled_by_root"),
    ],
)
@pytest.mark.parametrize("act", ["key.revoked", "key.certified"])
def test_only_founding_roots_have_a_say_about_the_operators_keys(act: str, by: str, reason: str | None) -> None:
    """Not an admitted root, not an authority, and not the operator itself."""
    body = revocation("operator", 4, 3) if act == "key.revoked" else possession("second", OPERATOR)
    assert judged(three_roots(), act, body, by=by, subject=OPERATOR) == reason


def test_a_root_whose_holder_has_no_name_does_not_answer_for_the_operator() -> None:
    """The operator has no holder: a root of no holder is one root of several, and retires nothing of it."""
    body = founding()
    body["roots"][1] |= {"holder": "", "enrolls": "union"}
    made = SmallLedger()
    made.say("ledger.founded", body, by="operator", subject=LEDGER)

    gone = {"key": keyed("operator").id}
    assert judged(made, "key.retired", gone, by="FR", subject=OPERATOR) == "not_enrolled_by_root"
    made.say("key.revoked", revocation("operator", 1, 1), by="FR", subject=OPERATOR)
    assert verdicts(made, "operator") == "vvv"


def test_the_operators_key_ends_with_the_act_that_makes_the_quorum() -> None:
    """One root changes nothing; the second ends it, from the index at which both have it ended."""
    ledger = three_roots()
    ledger.say("key.revoked", revocation("operator", 3, 1), by="DE", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vvvvvvv"

    index = ledger.say("key.revoked", revocation("operator", 5, 2), by="FR", subject=OPERATOR)
    assert index == 6
    assert verdicts(ledger, "operator") == "vvcccii" + "i"
    # A third brings it forward to where two of the three have it, and not to where one alone does.
    ledger.say("key.revoked", revocation("operator", 4, 0), by="AT", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vccciiiii"
    # Nothing softens it.
    ledger.say("key.revoked", revocation("operator", 8, 8), by="DE", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vccciiiiii"


def test_one_root_is_no_quorum_however_often_it_says_so() -> None:
    """Twice the same root is one; what it says last may reach further back, and counts once the other has spoken."""
    ledger = three_roots()
    for invalid in (5, 4, 3):
        ledger.say("key.revoked", revocation("operator", invalid, invalid), by="DE", subject=OPERATOR)
    assert set(verdicts(ledger, "operator")) == {"v"}

    ledger.say("key.revoked", revocation("operator", 2, 2), by="AT", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vvviiiiiii"


def test_a_root_whose_key_was_replaced_between_is_the_same_root() -> None:
    """With its new key it is not counted anew, and what it said under the old one stands."""
    ledger = three_roots()
    ledger.say("key.revoked", revocation("operator", 5, 5), by="DE", subject=OPERATOR)
    ledger.say("root_key.replaced", replacement("DE", "new"), by="DE", subject=LEDGER)
    ledger.say("key.revoked", revocation("operator", 5, 5), by="DE", key="new", subject=OPERATOR)
    assert set(verdicts(ledger, "operator")) == {"v"}

    ledger.say("key.revoked", revocation("operator", 5, 5), by="FR", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vvvvviiiii"


def test_what_was_said_under_a_roots_stolen_key_counts_for_nobody() -> None:
    """Declared invalid before the quorum is made, it falls out; said anew under the new key, it counts."""
    ledger = three_roots()
    ledger.say("key.revoked", revocation("operator", 0, 0), by="DE", subject=OPERATOR)
    ledger.say("root_key.replaced", replacement("DE", "new"), by="DE", subject=LEDGER)
    ledger.say("key.revoked", revocation("DE", 5, 5), by="DE", key="new", subject=DE)
    ledger.say("key.revoked", revocation("operator", 7, 7), by="FR", subject=OPERATOR)
    assert set(verdicts(ledger, "operator")) == {"v"}

    ledger.say("key.revoked", revocation("operator", 7, 7), by="DE", key="new", subject=OPERATOR)
    assert verdicts(ledger, "operator") == "vvvvvvviiii"


def test_the_roots_give_the_operator_a_new_key() -> None:
    """By quorum too, valid from the next index on; the new key replaces a log key, and can be revoked in turn."""
    ledger = three_roots()
    for root in ("DE", "FR"):
        ledger.say("key.revoked", revocation("operator", 5, 5), by=root, subject=OPERATOR)
    ledger.say("key.certified", possession("second", OPERATOR), by="DE", subject=OPERATOR)
    ledger.say("key.certified", possession("second", OPERATOR), by="DE", subject=OPERATOR)
    assert ledger.roster_.key(keyed("second").id) is None

    index = ledger.say("key.certified", possession("second", OPERATOR), by="AT", subject=OPERATOR)
    assert ledger.roster_.verdict(keyed("second").id, index) == "unknown"
    assert ledger.roster_.verdict(keyed("second").id, index + 1) == "valid"
    again = judged(ledger, "key.certified", possession("second", OPERATOR), by="FR", subject=OPERATOR)
    assert again == "bad_possession_proof"

    ledger.say("log_key.replaced", log_key("log 2"), by="operator", key="second", subject=LEDGER)
    ledger.say("key.revoked", revocation("second", 10, 10), by="AT", subject=OPERATOR)
    assert ledger.roster_.verdict(keyed("second").id, ledger.size()) == "valid"
    ledger.say("key.revoked", revocation("second", 11, 11), by="DE", subject=OPERATOR)
    assert ledger.roster_.verdict(keyed("second").id, ledger.size()) == "invalid"


# --- confirmation ---


def test_a_root_confirms_the_roster_as_it_stood(ledger: SmallLedger) -> None:
    """Any root may; at a size that has been; with the digest that the log's own roster has there."""
    digests = [ledger.roster_.digest(size) for size in range(5)]
    assert len(set(digests)) == 5
    assert digests[0] == bytes(32)
    assert digests[4] == ledger.roster_.digest()

    for size in (1, 2, 3, 4):
        body = {"size": size, "roster_digest": digests[size]}
        assert judged(ledger, "roster.confirmed", body, by="FR", subject=LEDGER) is None
        assert judged(ledger, "roster.confirmed", body, by="a court", subject=LEDGER) == "not_enrolled_by_root"
        other = {"size": size, "roster_digest": digests[size - 1]}
        assert judged(ledger, "roster.confirmed", other, by="FR", subject=LEDGER) == "unknown_reference"
    for size in (0, 5, -1):
        body = {"size": size, "roster_digest": ledger.roster_.digest()}
        assert judged(ledger, "roster.confirmed", body, by="FR", subject=LEDGER) == "unknown_reference"


def test_nobody_speaks_before_being_enrolled(ledger: SmallLedger) -> None:
    """A publisher whom the roster does not know enrols, confirms and replaces nothing."""
    body = enrolment("police", "police")
    assert judged(ledger, "authority.enrolled", body, by="nobody", subject=POLICE) == "not_enrolled_by_root"
    assert ledger.roster_.authority(named("nobody")) is None
    assert ledger.roster_.key(bytes(32)) is None
