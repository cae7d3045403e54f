"""What the ledger accepts, what it rejects, what it flags, and what becomes of things."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_any
from hypothesis import strategies as st
from nacl.signing import SigningKey

from ledger.acts import catalogue
from ledger.domain import Disclosure, Exhibit, JointTeam, Request, evolve, fold, named_by
from ledger.keys import ed25519
from ledger.schema_rules import ROLES
from ledger.statement import Speaker
from ledger.verify import Roster, endorsement_message, possession_message
from tests.domain_machine import (
    A_CASE,
    A_CHALLENGE,
    A_DISCLOSURE,
    A_REQUEST,
    A_TEAM,
    AN_ARREST,
    AN_EXHIBIT,
    EVERYTHING,
    PROCEEDINGS,
    Anything,
    Said,
    Saying,
    World,
    accepted,
    given,
    ident,
    rejected,
    reports,
    says,
)

TestAnything = Anything.TestCase
TestAnything.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)

SENT = says("Paris", "request.transmitted", "the request", {"to": ident("Frankfurt")})
RECEIVED = says("Frankfurt", "request.received", "the request")


# ------------------------------------------------------------------------------ things and cases


def test_a_subject_is_created_once():
    """A second opening of the same case is rejected, whoever says it"""
    given(A_CASE).when(says("Berlin", "case.opened", "the case")).then(rejected("subject_exists"))


def test_an_id_is_of_one_kind():
    """A request cannot be issued under the id of a case"""
    given(A_CASE).when(A_REQUEST._replace(of="the case")).then(rejected("subject_exists"))


def test_nothing_is_said_of_what_does_not_exist():
    """An act of a request that nobody issued is rejected"""
    given(A_CASE).when(RECEIVED).then(rejected("subject_missing"))


def test_an_act_is_said_of_its_own_kind_of_thing():
    """A case cannot be received"""
    given(A_CASE).when(RECEIVED._replace(of="the case")).then(rejected("wrong_subject_kind"))


def test_a_thing_stays_in_its_case():
    """A request belongs to the case in which it was issued"""
    other = says("Paris", "case.opened", "another case", case="another case")
    given(A_CASE, other, A_REQUEST).when(RECEIVED._replace(case="another case")).then(rejected("wrong_case"))


def test_a_thing_begins_in_a_case_that_was_opened():
    """A request without a case is rejected, and a case is its own case"""
    given().when(A_REQUEST).then(rejected("wrong_case"))
    given().when(A_CASE._replace(case="another case")).then(rejected("wrong_case"))


# ------------------------------------------------------------------------- who may say what


def test_the_requested_authority_receives():
    """The authority named in the request receives it"""
    given(A_CASE, A_REQUEST, SENT).when(RECEIVED).then(accepted)


@pytest.mark.parametrize("who", ["Paris", "The Hague", "a lawyer"][:2])
def test_nobody_else_receives(who):
    """Neither the requesting authority nor a third State says that the request was received"""
    given(A_CASE, A_REQUEST, SENT).when(RECEIVED._replace(who=who)).then(rejected("not_own_authority"))


def test_another_authority_of_the_requested_state_may_receive():
    """The forwarding may not be recorded yet: the reception is accepted, flagged, and makes it one named"""
    world = given(A_CASE, A_REQUEST, SENT).when(RECEIVED._replace(who="Munich")).then_flagged("not_named")
    assert world.decide(says("Munich", "request.recognised", "the request")) is accepted


def test_an_unnamed_authority_does_not_decide_for_the_named_one():
    """A decision needs an authority that was named, or that received the request"""
    given(A_CASE, A_REQUEST, SENT).when(says("Munich", "request.recognised", "the request")).then(
        rejected("not_own_authority")
    )


def test_forwarding_names_another_authority():
    """After a forwarding the other authority may decide, and the first one still may speak"""
    forwarded = says("Frankfurt", "request.forwarded", "the request", {"to": ident("Munich")})
    world = given(A_CASE, A_REQUEST, SENT, RECEIVED, forwarded).world
    request = world.thing(ident("the request"))
    assert isinstance(request, Request)
    assert request.requested == ident("Munich")
    for who in ("Munich", "Frankfurt"):
        assert world.decide(says(who, "request.recognised", "the request")) is accepted


def test_a_request_to_a_state_is_answered_by_any_of_its_authorities():
    """Where no authority is named, the requested State's own speak for it, and no others"""
    to_germany = A_REQUEST._replace(body={"requested_country": "DE"})
    given(A_CASE, to_germany).when(RECEIVED._replace(who="Munich")).then(accepted)
    given(A_CASE, to_germany).when(RECEIVED._replace(who="The Hague")).then(rejected("not_own_authority"))


def test_a_central_authority_sends_for_its_own_state_only():
    """The French ministry may send the French request; the German ministry may not"""
    given(A_CASE, A_REQUEST).when(SENT._replace(who="the French ministry")).then(accepted)
    given(A_CASE, A_REQUEST).when(SENT._replace(who="the German ministry")).then(rejected("not_own_authority"))


def test_only_the_requesting_authority_withdraws():
    """A request is withdrawn by who issued it"""
    given(A_CASE, A_REQUEST).when(says("Lyon", "request.withdrawn", "the request")).then(rejected("not_own_authority"))
    given(A_CASE, A_REQUEST).when(says("Paris", "request.withdrawn", "the request")).then(accepted)


def test_a_court_rules_for_itself():
    """A ruling on admissibility is a court's, and names that court"""
    ruling = says(
        "Berlin",
        "admissibility.ruled",
        "the exhibit",
        {"court": ident("Berlin"), "proceedings": ident("the proceedings")},
    )
    settled = (A_CASE, AN_EXHIBIT, PROCEEDINGS)
    given(*settled).when(ruling).then(accepted)
    given(*settled).when(ruling._replace(who="Frankfurt")).then(rejected("not_own_authority"))
    given(*settled).when(ruling._replace(who="Luxembourg")).then(rejected("not_own_authority"))


def test_a_handover_belongs_to_the_sides_of_its_request():
    """One side hands the person over and the other takes him over (CETS 112: either way); a third State does neither"""
    handed = says("Frankfurt", "person.handed_over", "the arrest")
    taken = says("Paris", "person.taken_over", "the arrest")
    given(A_CASE, A_REQUEST, AN_ARREST).when(handed).then_flagged("step_outside_procedure")
    given(A_CASE, A_REQUEST, AN_ARREST, handed).when(taken).then_flagged()
    for half in (handed, taken):
        third = half._replace(who="The Hague")
        given(A_CASE, A_REQUEST, AN_ARREST).when(third).then(rejected("not_own_authority"))


def test_a_sentenced_person_is_handed_over_without_an_arrest():
    """The sentencing State, which made the request, hands over; the requested State takes over"""
    prepared = says(
        "Paris", "handover.opened", "the prisoner", {"request": ident("the request"), "purpose": "sentence"}
    )
    consent = says("Paris", "consent.recorded", "the prisoner", {"consents": True})
    decided = says("Frankfurt", "prisoner_handover.decided", "the prisoner", {"outcome": "yes"})
    handed = says("Paris", "person.handed_over", "the prisoner")
    taken = says("Frankfurt", "person.taken_over", "the prisoner")
    path = (A_CASE, A_REQUEST, prepared, consent, decided, handed)
    given(*path[:3]).when(consent).then_flagged()
    given(*path[:4]).when(decided).then_flagged()
    given(*path[:5]).when(handed).then_flagged()
    given(*path).when(taken).then_flagged()


def test_the_enforcing_authority_speaks_once_it_is_named():
    """An order goes to one authority or provider; the authority notified beside it may raise no ground, another not"""
    notified = says("Paris", "enforcing_authority.notified", "the request", {"to": ident("Berlin")})
    clear = says("Berlin", "no_ground.confirmed", "the request", {"early": True})
    given(A_CASE, A_REQUEST).when(clear).then(rejected("not_own_authority"))
    world = given(A_CASE, A_REQUEST, notified).when(clear).then(accepted)
    request = world.thing(ident("the request"))
    assert isinstance(request, Request)
    assert request.requested == ident("Frankfurt")


def test_an_exhibit_returned_is_taken_over_by_whom_it_is_returned_to():
    """Nobody returns without a flag what another holds"""
    returned = says("Paris", "exhibit.returned", "the exhibit", {"to": ident("Frankfurt")})
    taken = says("Frankfurt", "exhibit.taken_over", "the exhibit", {"from_authority": ident("Paris")})
    given(A_CASE, AN_EXHIBIT, returned).when(taken).then_flagged()
    given(A_CASE, AN_EXHIBIT).when(returned._replace(who="The Hague")).then_flagged("not_the_holder")


def test_a_recall_is_the_disclosers_or_a_courts():
    """A third authority cannot recall what it did not disclose"""
    recall = says("Paris", "disclosure.recalled", "the disclosure")
    settled = (A_CASE, AN_EXHIBIT, A_DISCLOSURE)
    given(*settled).when(recall).then(accepted)
    given(*settled).when(recall._replace(who="Berlin")).then(accepted)
    given(*settled).when(recall._replace(who="The Hague")).then(rejected("not_own_authority"))


def test_a_remedy_is_carried_out_by_its_addressee():
    """Who was ordered, or an authority of that State, says that the remedy is carried out"""
    ordered = says("Berlin", "remedy.ordered", "the challenge", {"addressee": ident("Frankfurt")}, name="the order")
    done = says("Frankfurt", "remedy.implemented", "the challenge", answers=("the order",))
    given(A_CASE, A_CHALLENGE, ordered).when(done).then(accepted)
    given(A_CASE, A_CHALLENGE, ordered).when(done._replace(who="Paris")).then(rejected("not_own_authority"))


def test_every_role_of_the_schemas_is_known_here():
    """``by`` of every act names kinds of authority, or roles that the domain resolves"""
    kinds = set(catalogue().codes("authority_kinds"))
    assert {by for act in catalogue().acts() for by in act.by} - kinds <= ROLES


# ------------------------------------------------------------------- on behalf, and reported


def on_behalf(who: str, of_whom: str, act: str, of: str, mandate: str | None, **rest: Any) -> Any:
    speaker = Speaker(authority=ident(of_whom), mandate=None if mandate is None else ident(mandate))
    return says(who, act, of, voice="on_behalf", speaker=speaker, **rest)


MANDATE = says("Frankfurt", "consultation.opened", "the case", name="the mandate", addressees=("the German ministry",))


def test_a_mandate_names_who_speaks():
    """On behalf of another speaks only whom that other has named"""
    settled = (A_CASE, A_REQUEST, SENT, MANDATE)
    recognised = on_behalf("the German ministry", "Frankfurt", "request.recognised", "the request", "the mandate")
    given(*settled).when(recognised).then(accepted)
    given(*settled).when(recognised._replace(who="Paris")).then(rejected("not_a_mandate"))


def test_without_a_mandate_nobody_speaks_for_another():
    """No mandate, an unknown one, and one by somebody else are each rejected by name"""
    settled = (A_CASE, A_REQUEST, SENT, MANDATE._replace(who="Munich"))

    def case(mandate: str | None) -> Any:
        return on_behalf("the German ministry", "Frankfurt", "request.recognised", "the request", mandate)

    given(*settled).when(case(None)).then(rejected("speaks_for_another"))
    given(*settled).when(case("no such statement")).then(rejected("unknown_reference"))
    given(*settled).when(case("the mandate")).then(rejected("not_a_mandate"))


def test_a_mandate_does_not_widen_what_the_other_may_say():
    """On behalf of an authority that is not requested, nobody recognises"""
    mandate = MANDATE._replace(who="The Hague")
    given(A_CASE, A_REQUEST, SENT, mandate).when(
        on_behalf("the German ministry", "The Hague", "request.recognised", "the request", "the mandate")
    ).then(rejected("not_own_authority"))


def test_a_report_is_accepted_and_completes_no_half():
    """A reported taking over is recorded; the exhibit stays with who holds it"""
    handed = says("Paris", "exhibit.handed_over", "the exhibit", {"to": ident("Frankfurt")})
    taken = reports("Berlin", "Frankfurt", "exhibit.taken_over", "the exhibit", {"from_authority": ident("Paris")})
    world = given(A_CASE, AN_EXHIBIT, handed).when(taken).then_flagged("reported_half")
    exhibit = world.thing(ident("the exhibit"))
    assert isinstance(exhibit, Exhibit)
    assert exhibit.holder == ident("Paris")
    assert exhibit.offered_to == ident("Frankfurt")
    assert exhibit.reported


def test_a_report_gives_way_to_the_authority_itself():
    """A stage known by report is confirmed when the authority concerned says the same"""
    reported = reports("Paris", "Frankfurt", "request.received", "the request")
    world = given(A_CASE, A_REQUEST, SENT).when(reported).then_flagged("reported_half")
    assert world.things[ident("the request")].reported
    world.publish(RECEIVED)
    assert world.things[ident("the request")].stage == "received"
    assert not world.things[ident("the request")].reported


def test_a_report_may_know_the_country_alone():
    """A court without a key is reported by its country and kind"""
    given(A_CASE).when(reports("Paris", None, "measure.authorised", "the case")).then(accepted)


def test_a_roster_act_is_never_reported():
    """Who may sign is said by those who say it, not by others"""
    report = reports("Paris", "Berlin", "key.retired", "Berlin", {"key": bytes(32)})._replace(case="the ledger")
    given(A_CASE).when(report).then(rejected("not_own_authority"))


def test_acts_about_authorities_belong_to_the_ledgers_own_case():
    """What is said of an authority in another case could be withheld without a hole: it is rejected"""
    world = founded()
    elsewhere = enrolment("root of DE", "Berlin", "DE")._replace(case="the case")
    assert getattr(world.decide(elsewhere), "reason", "") == "wrong_case"


# ------------------------------------------------------------- references, answers, corrections


def test_a_reference_must_exist_and_be_of_its_kind():
    """A disclosure of an unknown exhibit, of a request, to an unknown authority: each rejected"""
    settled = (A_CASE, A_REQUEST, AN_EXHIBIT)
    cases = {
        "unknown_reference": {"exhibits": [ident("nothing")]},
        "wrong_reference_kind": {"exhibits": [ident("the exhibit"), ident("the request")]},
    }
    for reason, body in cases.items():
        given(*settled).when(A_DISCLOSURE._replace(body={**A_DISCLOSURE.body, **body})).then(rejected(reason))
    stranger = {**A_DISCLOSURE.body, "recipient": ident("nobody")}
    given(*settled).when(A_DISCLOSURE._replace(body=stranger)).then(rejected("unknown_reference"))


def test_a_rejected_statement_is_answered_by_nobody():
    """What was rejected is in the log, and yet nothing to build on"""
    world = (
        given(A_CASE, A_REQUEST)
        .when(says("The Hague", "consultation.opened", "nothing", name="the rejected one"))
        .then(rejected("subject_missing"))
    )
    answer = says("Paris", "consultation.concluded", "the case", answers=("the rejected one",))
    assert world.decide(answer) != accepted
    given_again = world.decide(answer._replace(answers=("never said",)))
    assert getattr(world.decide(answer), "reason", "") == "rejected_reference"
    assert getattr(given_again, "reason", "") == "unknown_reference"


def test_an_answer_answers_the_right_act():
    """A consultation is not concluded by answering the opening of the case"""
    opened = A_CASE._replace(name="the opening")
    given(opened).when(says("Paris", "consultation.concluded", "the case", answers=("the opening",))).then(
        rejected("wrong_reference_kind")
    )


def test_only_its_publisher_corrects_and_only_others_dispute():
    """One corrects oneself and disputes others"""
    opened = A_CASE._replace(name="the opening")
    correction = says("Paris", "statement.corrected", "the case", corrects="the opening")
    given(opened).when(correction).then(accepted)
    given(opened).when(correction._replace(who="Berlin")).then(rejected("not_own_authority"))
    given(opened).when(correction._replace(corrects=None)).then(rejected("unknown_reference"))
    dispute = says("Berlin", "statement.disputed", "the case", answers=("the opening",))
    given(opened).when(dispute).then(accepted)
    given(opened).when(dispute._replace(who="Paris")).then(rejected("not_own_authority"))
    given(opened).when(dispute._replace(answers=())).then(rejected("unknown_reference"))


def test_a_value_outside_its_list_is_rejected():
    """A name typed into a coded field does not become permanent"""
    given(A_CASE).when(A_REQUEST._replace(body={**A_REQUEST.body, "urgency": "Jean Dupont"})).then(
        rejected("outside_code_list")
    )


# ------------------------------------------------------------------ recorded, and flagged


def test_a_recognition_before_receipt_is_recorded_and_flagged():
    """Reality may break the law; the record holds what was said"""
    world = (
        given(A_CASE, A_REQUEST, SENT)
        .when(says("Frankfurt", "request.recognised", "the request"))
        .then_flagged("step_outside_procedure")
    )
    assert world.things[ident("the request")].stage == "recognised"


def test_what_the_log_learns_late_takes_nothing_back():
    """The sending is recorded after the receipt: flagged, and the request stays received"""
    world = given(A_CASE, A_REQUEST, RECEIVED).when(SENT).then_flagged("step_outside_procedure")
    assert world.things[ident("the request")].stage == "received"


def test_by_what_happened_nothing_was_out_of_order():
    """Folded as things happened, the same acts give the stages in their order"""
    late = SENT._replace(occurred=1)
    world = given(A_CASE, A_REQUEST, RECEIVED._replace(occurred=2), late).world
    stream = world.stream("the request")
    recorded, happened = fold(stream), fold(stream, order="happened")
    assert recorded is not None
    assert happened is not None
    assert recorded.stage == happened.stage == "received"
    assert happened.moved == stream[1].index


def test_ending_what_was_not_begun_is_flagged():
    """A postponement ends that was never pronounced"""
    given(A_CASE, A_REQUEST, SENT, RECEIVED).when(
        says("Frankfurt", "request.postponement_ended", "the request")
    ).then_flagged("nothing_open", "answers_nothing")


def test_two_consultations_are_counted():
    """One of two consultations ends, and one is still open"""
    opened = says("Frankfurt", "consultation.opened", "the request")
    world = given(A_CASE, A_REQUEST, opened, opened).world
    assert world.things[ident("the request")].sides == (("consultation_open", 2),)
    world.publish(says("Paris", "consultation.concluded", "the request"))
    assert world.things[ident("the request")].sides == (("consultation_open", 1),)
    world.publish(says("Paris", "consultation.concluded", "the request"))
    assert world.things[ident("the request")].sides == ()


def test_a_hand_over_through_unknown_hands_is_flagged_not_rejected():
    """Who hands over what another holds by the record may have got it unrecorded"""
    handed = says("Frankfurt", "exhibit.handed_over", "the exhibit", {"to": ident("Berlin")})
    given(A_CASE, AN_EXHIBIT).when(handed).then_flagged("not_the_holder")


def test_the_holder_changes_by_both_halves():
    """Handed over and taken over: now the other holds it"""
    handed = says("Paris", "exhibit.handed_over", "the exhibit", {"to": ident("Frankfurt")})
    taken = says("Frankfurt", "exhibit.taken_over", "the exhibit", {"from_authority": ident("Paris")})
    world = given(A_CASE, AN_EXHIBIT, handed).when(taken).then_flagged()
    exhibit = world.thing(ident("the exhibit"))
    assert isinstance(exhibit, Exhibit)
    assert (exhibit.holder, exhibit.offered_to, exhibit.stage) == (ident("Frankfurt"), None, "held")


def test_a_recall_is_carried_out_when_every_recipient_says_so():
    """One of two recipients is not all of them"""
    sent = says(
        "Paris",
        "spontaneous_information.sent",
        "the disclosure",
        {"exhibits": [ident("the exhibit")], "recipients": [ident("Frankfurt"), ident("The Hague")]},
    )
    recall = says("Paris", "disclosure.recalled", "the disclosure", name="the recall")
    done = says("Frankfurt", "recall.implemented", "the disclosure", answers=("the recall",))
    world = given(A_CASE, AN_EXHIBIT, sent, recall, done).world
    assert world.things[ident("the disclosure")].stage == "recalled"
    world.publish(reports("Paris", "The Hague", "recall.implemented", "the disclosure", answers=("the recall",)))
    assert world.things[ident("the disclosure")].stage == "recalled"
    world.publish(done._replace(who="The Hague"))
    disclosure = world.thing(ident("the disclosure"))
    assert isinstance(disclosure, Disclosure)
    assert disclosure.stage == "recall_implemented"


def test_members_of_a_joint_team_come_and_go():
    """Joining and leaving change who is a member; others are flagged"""
    joins = says(
        "Paris", "joint_team.membership_changed", "the team", {"authority": ident("Berlin"), "change": "joined"}
    )
    world = given(A_CASE, A_TEAM, joins).world
    team = world.thing(ident("the team"))
    assert isinstance(team, JointTeam)
    assert team.members == {ident("Paris"), ident("The Hague"), ident("Berlin")}
    assert [flag.code for flag in world.flags(joins._replace(who="Munich"))] == ["not_a_member"]


def test_a_decision_looks_and_changes_nothing():
    """Deciding twice gives the same answer and leaves the world as it was"""
    world = given(*EVERYTHING).world
    before = dict(world.things)
    assert world.decide(SENT) == world.decide(SENT)
    assert world.things == before


# ------------------------------------------------------------------------------------- folding


@for_any(st.data())
@settings(deadline=None, max_examples=60)
def test_folding_in_two_parts_is_folding_at_once(data):
    """fold(a + b) = fold(b) begun with fold(a), wherever the stream is cut"""
    acts = ("transmitted", "received", "acknowledged", "recognised", "refused", "executed", "withdrawn", "closed")
    world = given(A_CASE, A_REQUEST).world
    for act in data.draw(st.lists(st.sampled_from(acts), max_size=25)):
        who = "Paris" if act in {"transmitted", "withdrawn"} else "Frankfurt"
        body = {"to": ident("Frankfurt")} if act == "transmitted" else {}
        assert world.publish(says(who, f"request.{act}", "the request", body)) is accepted
    stream = world.stream("the request")
    cut = data.draw(st.integers(0, len(stream)))
    assert fold(stream[cut:], fold(stream[:cut])) == fold(stream)


def test_folding_is_linear():
    """Fifty thousand acts of one exhibit cost each what one costs: nothing grows with the stream"""
    world = given(A_CASE, AN_EXHIBIT).world
    statement, body = world.statement(says("Berlin", "exhibit.examined", "the exhibit"))
    many = [Said(index, statement, body) for index in range(2, 50_002)]
    thing = world.thing(ident("the exhibit"))

    def took(acts: list[Said]) -> float:
        start = time.process_time()
        folded = fold(acts, thing)
        assert folded is not None
        assert folded.acts == 1 + len(acts)
        return time.process_time() - start

    took(many[:1_000])
    assert took(many) < 40 * took(many[:5_000])


def test_what_is_given_is_left_unchanged():
    """Evolving makes a new thing"""
    world = given(A_CASE, A_REQUEST).world
    before = world.things[ident("the request")]
    statement, body = world.statement(SENT)
    after = evolve(before, 2, statement, body)
    assert (before.stage, after.stage) == ("issued", "transmitted")
    assert (before.acts, after.acts) == (1, 2)
    assert (after.opened, after.last, after.moved) == (before.opened, 2, 2)


def test_a_statement_names_its_addressees_and_the_authorities_of_its_body():
    """Who is named in a mandate may speak by it"""
    statement, body = World().statement(A_DISCLOSURE._replace(addressees=("Berlin",)))
    assert named_by(statement, body) == {ident("Berlin"), ident("Frankfurt")}


def test_a_world_is_a_view():
    """The world of these tests offers what the sequencer's view offers"""
    assert {"roster", "catalogue", "thing", "recorded", "named_in", "ed25519"} <= set(dir(World()))


# --------------------------------------------------------- roots of trust, with real signatures

ORIGIN = "comity.example/simulation"


def key_of(name: str) -> SigningKey:
    """A private key of its own for each name."""
    return SigningKey(sha256(name.encode()).digest())


def possession(authority: str, key: str, origin: str = ORIGIN) -> dict[str, bytes]:
    """A public key and the proof that its holder has it."""
    public_key = key_of(key).verify_key.encode()
    message = possession_message(origin, ident(authority), public_key)
    return {"public_key": public_key, "possession": key_of(key).sign(message).signature}


def root(holder: str) -> dict[str, Any]:
    """The root of a State, as the founding names it."""
    name = f"root of {holder}"
    return {"holder": holder, "authority": ident(name), "enrolls": "country", **possession(name, name)}


def founded() -> World:
    """A ledger founded by the operator, with the roots of France and Germany, both needed to admit more."""
    world = World(roster=Roster(), ed25519=ed25519)
    founding = says(
        "the operator",
        "ledger.founded",
        "the ledger",
        {
            "origin": ORIGIN,
            "operator": ident("the operator"),
            "operator_key": key_of("the operator").verify_key.encode(),
            "roots": [root("FR"), root("DE")],
            "quorum": 2,
            "log_keys": [{"algorithm": "ed25519", "public_key": key_of("the log").verify_key.encode()}],
        },
        case="the ledger",
        key=sha256(key_of("the operator").verify_key.encode()).digest(),
    )
    assert world.publish(founding) is accepted
    return world


def enrolment(who: str, name: str, holder: str, kind: str = "court", **body: Any) -> Saying:
    described = {"holder": holder, "country": holder, "authority_kind": kind, "designation": None, "zone": "UTC"}
    whole = {**described, **possession(name, name), **body}
    return says(who, "authority.enrolled", name, whole, case="the ledger")


def test_a_root_enrols_its_own():
    """The root of Germany enrols a German court, and the court is a thing"""
    world = founded()
    assert world.publish(enrolment("root of DE", "Berlin", "DE")) is accepted
    assert world.roster.authority(ident("Berlin")).country == "DE"
    assert world.things[ident("Berlin")].stage == "enrolled"


@settings(deadline=None, max_examples=80)
@for_any(
    who=st.sampled_from(["the operator", "root of FR", "Paris", "Berlin", "Munich", "nobody"]),
    kind=st.sampled_from(sorted(catalogue().codes("authority_kinds"))),
    holder=st.just("DE"),
    country=st.sampled_from(["DE", "FR"]),
    keyless=st.booleans(),
)
def test_nobody_enrols_for_a_state_without_its_root(who, kind, holder, country, keyless):
    """Not the operator, not another State's root, not a court of that State: whatever they claim"""
    world = founded()
    assert world.publish(enrolment("root of DE", "Berlin", "DE", "police")) is accepted
    assert world.publish(enrolment("root of FR", "Paris", "FR")) is accepted
    key = {"public_key": None, "possession": None} if keyless else {}
    before = list(world.roster.authorities())
    found = world.publish(enrolment(who, "an impostor", holder, kind, country=country, **key))
    assert found != accepted
    assert list(world.roster.authorities()) == before


def test_the_operator_cannot_make_itself_a_root():
    """Admission of a root needs the founders: forged, repeated and borrowed endorsements do not count"""
    world = founded()
    new = possession("root of DE 2", "root of DE 2")
    signed = endorsement_message(ORIGIN, ident("root of DE 2"), new["public_key"])

    def endorsed(*by: tuple[str, str]) -> list[dict[str, bytes]]:
        return [{"root": ident(name), "signature": key_of(key).sign(signed).signature} for name, key in by]

    def admission(endorsements: list[dict[str, bytes]], holder: str = "NL") -> Any:
        body = {
            "holder": holder,
            "authority": ident("root of DE 2"),
            "enrolls": "country",
            **new,
            "endorsements": endorsements,
        }
        return says("the operator", "root.admitted", "the ledger", body, case="the ledger")

    france, germany = ("root of FR", "root of FR"), ("root of DE", "root of DE")
    forged = ("root of DE", "the operator")
    for endorsements in ([], endorsed(france), endorsed(france, france), endorsed(france, forged)):
        found = world.decide(admission(endorsements))
        assert getattr(found, "reason", found) == "insufficient_endorsement"
    assert world.publish(admission(endorsed(france, germany), holder="DE")) != accepted
    assert world.publish(admission(endorsed(france, germany))) is accepted


def test_a_key_is_enrolled_by_who_has_it():
    """Another's key, a proof for another ledger or for another authority: none is a proof of possession"""
    world = founded()
    wrong: tuple[dict[str, Any], ...] = (
        {"possession": bytes(64)},
        possession("Berlin", "Berlin", origin="another.example/log"),
        possession("Munich", "Berlin"),
        {"public_key": key_of("root of DE").verify_key.encode()},
    )
    for body in wrong:
        found = world.decide(enrolment("root of DE", "Berlin", "DE", **body))
        assert getattr(found, "reason", found) == "bad_possession_proof"


def test_no_voice_lends_a_root():
    """Enrolment on behalf of a root, or reported of it, is rejected"""
    world = founded()
    for voice in ("on_behalf", "reported"):
        speaker = Speaker(authority=ident("root of DE"), mandate=ident("statement 0"), source="a letter")
        saying = enrolment("the operator", "an impostor", "DE")._replace(voice=voice, speaker=speaker)
        assert getattr(world.publish(saying), "reason", "") == "not_own_authority"


def test_competence_is_declared_by_ones_own_state():
    """The German ministry declares what a German court may do; the French one does not"""
    world = founded()
    for name, holder, kind in (("Bonn", "DE", "ministry"), ("Paris", "FR", "ministry"), ("Berlin", "DE", "court")):
        assert world.publish(enrolment(f"root of {holder}", name, holder, kind)) is accepted
    for name in ("Berlin", "root of DE"):
        declared = says("Bonn", "competence.declared", name, case="the ledger")
        assert getattr(world.decide(declared._replace(who="Paris")), "reason", "") == "not_own_authority"
        assert world.publish(declared) is accepted
