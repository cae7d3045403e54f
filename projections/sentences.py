"""
One plain sentence for each act, for readers who are not engineers.

A template is the predicate of a sentence whose subject is the authority that acted. ``{field}``
is a field of the body, ``{field:how}`` says how to put it: ``authority``, ``other`` (an authority, unless it is
the one that acted: then the part is left out), ``authorities``,
``count``, ``exhibits``, ``others``, ``instant``, ``order``, or the name of a code list.
``yes``, ``no``, ``self`` and ``not_self`` put no words, but say when the part stands. A part in square brackets
is left out when one of its fields is empty.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from projections.wording import cited, joined, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.facts import Row, When
    from projections.views import Views

SENTENCES: Final[Mapping[str, str]] = {
    # the ledger and its authorities
    "ledger.founded": "founded the ledger[ with {roots:count} founding roots]",
    "root.admitted": "admitted the root of {holder}",
    "root_key.replaced": "replaced the root key of {authority:authority}",
    "log_key.replaced": "replaced a signing key of the log",
    "authority.enrolled": "enrolled an authority[: {designation}]"
    " ({authority_kind:authority_kinds}[, {country:countries}])",
    "competence.declared": "declared the competence of an authority[ for {measures:measures}]"
    "[ from {valid_from:instant}]",
    "key.certified": "certified a further signing key of an authority",
    "key.rotated": "replaced a signing key of an authority",
    "key.revoked": "revoked a signing key[ ({reason:revocation_reasons})], invalid from entry {invalid_from}"
    " and suspect from entry {suspect_from}",
    "key.retired": "retired a signing key",
    "roster.confirmed": "confirmed the roster of authorities up to entry {size}",
    "profile_version.adopted": "adopted an edition of the rules of {instrument:instruments}"
    "[, from {effective_from:instant}]",
    "assistance.requested": "asked for help with capacity ({topic:assistance_topics})",
    "assistance.provided": "gave help with capacity ({topic:assistance_topics})",
    # case and proceedings
    "case.opened": "opened the case[ ({procedure:procedure_kinds}, {stage:proceedings_stages})]"
    "[ concerning {offences:offences}]",
    "case.linked": "linked the case to another[ ({relation:case_relations})]",
    "case.closed": "closed the case[ ({outcome:case_outcomes})]",
    "proceedings.opened": "opened proceedings[ before {authority:other}]"
    "[ ({procedure:procedure_kinds}, {stage:proceedings_stages})][ under number {published_reference}]",
    "proceedings.stage_changed": "moved the proceedings on (from: {from_stage:proceedings_stages}; to: "
    "{to_stage:proceedings_stages})",
    "person.registered": "registered a person ({role:person_roles})",
    "person.role_changed": "changed the role of a person: {role:person_roles}",
    "counsel.mandated": "recorded that a person mandated counsel",
    "counsel.mandate_ended": "recorded that {counsel:authority} no longer acts for a person",
    "person.cleared": "cleared a person ({reason:clearances})",
    "person.informed": "informed a person (about: {subject_matter:information_topics})"
    "[, naming the remedies{remedies_named:yes}]",
    "information.deferred": "deferred informing a person ({ground:deferral_grounds})"
    "[, to be reviewed by {review_due_at:instant}]",
    "retention.reviewed": "reviewed whether data are still needed: {outcome:retention_outcomes}"
    "[, next by {next_due_at:instant}]",
    "data_subject_request.lodged": "recorded that a person asks for rights over data ({right:data_rights})"
    "[, through the supervisory authority{indirect:yes}]",
    "data_subject_request.answered": "answered a person's request for rights over data: {outcome:data_request_outcomes}"
    "[ ({limit:deferral_grounds})]",
    "data_breach.notified": "notified a breach of data protection (risk for persons: {risk:breach_risks})"
    "[, known since {aware_at:instant}][, the persons having been told{persons_told:yes}]",
    "defence_measure.proposed": "proposed a measure for the defence ({measure:measures})",
    "defence_measure.decided": "decided on a measure proposed by the defence: [it is taken{granted:yes}]"
    "[it is not taken{granted:no}]",
    "document.served": "served a document on a person[, channel: {channel:channels}]",
    "safe_conduct.granted": "granted safe conduct[ until {until:instant}]",
    "safe_conduct.ended": "recorded that safe conduct ended",
    # requests
    "request.issued": "issued {instrument:order} to [{requested:authority}, ]{requested_country:countries}"
    "[, asking to {form:request_kinds}][ ({measures:measures})]"
    "[, against persons unknown{unknown_persons:yes}]",
    "request.validated": "validated the request[ ({validated_on:validation_times})]",
    "request.transmitted": "sent the request to {to:authority}[, channel: {channel:channels}]",
    "request.received": "received the request[ ({completeness:completeness})]",
    "request.acknowledged": "acknowledged receipt of the request[, naming {competent:authority} as competent]",
    "request.forwarded": "forwarded the request to {to:authority}",
    "request.defect_notified": "notified that the request is defective[ ({defects:defects})]",
    "request.supplement_requested": "asked for further information[ about {topics:supplement_topics}]"
    "[, by {due_at:instant}]",
    "request.supplement_provided": "provided further information[ ({completeness:completeness})]",
    "request.recognised": "recognised the request[ ({scope:scopes})][, on conditions: {conditions:conditions}]",
    "request.refused": "refused the request[ ({scope:scopes})][, on the grounds: {grounds:grounds}]",
    "request.execution_postponed": "postponed execution of the request[ ({ground:postponement_grounds})]",
    "request.postponement_ended": "ended the postponement of execution[ ({reason:postponement_end_reasons})]",
    "request.withdrawn": "withdrew the request[ ({reason:withdrawal_reasons})]",
    "request.executed": "executed the request[ ({result:results})]",
    "request.closed": "closed the request[ ({outcome:request_outcomes})]",
    "result.handed_over": "handed over the results[ ({exhibits:exhibits})][, channel: {channel:channels}]"
    "[, to be returned{return_required:yes}]",
    "result.received": "received the results[ ({exhibits:exhibits})][; check: {check:integrity_results}]",
    "consultation.opened": "opened a consultation[ with {with_authorities:authorities}]"
    "[ about {topic:consultation_topics}]",
    "consultation.concluded": "concluded a consultation[ ({outcome:consultation_outcomes})]",
    "request.validation_denied": "denied validation of the request[ ({validated_on:validation_times})]",
    "delay.notified": "notified that a time limit cannot be kept ({limit})[, now expecting {expected_at:instant}]"
    "[, relying on an extension{extension_claimed:yes}]",
    "alternative_measure.chosen": "chose another measure ({substitute:measures}) than the one asked for"
    " ({original:measures})[, because: {reason:substitution_reasons}]",
    "request.adapted": "adapted the request[, now asking for: {measures:measures}]",
    "request.maintained": "maintained the request after doubts about: {topic:consultation_topics}",
    "costs.reported": "reported costs[, exceptionally high{exceptional:yes}][ (borne by: {sharing:cost_sharings})]",
    "immunity_waiver.requested": "asked for a waiver of immunity or privilege[, of {to:authority}]",
    "immunity_waiver.decided": "decided on a waiver of immunity or privilege: [waived{waived:yes}]"
    "[not waived{waived:no}]",
    "translation.made": "made a translation",
    "competing_requests.decided": "decided which of several requests goes first"
    "[: that of {preferred_country:countries}]",
    "alert.issued": "issued an alert ({alert_kind:alert_kinds})",
    "alert.withdrawn": "withdrew an alert ({alert_kind:alert_kinds})",
    "prosecution.undertaken": "undertook to submit the case for prosecution[ to {authority:authority}]",
    # orders to providers
    "preservation.confirmed": "confirmed that a request for production follows[, until {until:instant}]",
    "preservation.extended": "extended preservation until {until:instant}",
    "preservation.lapsed": "recorded that preservation lapsed[ at {lapsed_at:instant}]",
    "enforcing_authority.notified": "notified {to:authority} of the order",
    "notification.found_unnecessary": "found that no notification is needed",
    "no_ground.confirmed": "confirmed that it raises no ground[, before its time ran out{early:yes}]",
    "immunity.flagged": "pointed to an immunity or privilege ({ground:grounds})",
    "third_country_conflict.objected": "objected that the law of {country:countries} forbids it",
    "third_country_conflict.reviewed": "decided on a conflict with the law of a third country:"
    " {outcome:review_outcomes}",
    "enforcement.requested": "asked {to:authority} to enforce the order",
    "enforcement.decided": "decided whether the order is enforced: [yes{enforced:yes}][no{enforced:no}]"
    "[, on the grounds: {grounds:grounds}][, with a penalty{penalty:yes}]",
    # measures
    "measure.authorised": "authorised a measure ({measure:measures})[ in {territory:countries}]"
    "[, worldwide{worldwide:yes}][, against all users{all_users:yes}][, from {valid_from:instant}]"
    "[, until {valid_until:instant}]",
    "measure.started": "started a measure ({measure:measures})[ in {place:countries}]"
    "[, its subjects being in {subjects_in:countries}]",
    "measure.completed": "ended a measure ({measure:measures})[, with the result: {result:results}]",
    "interception.notified": "notified {to_country:countries}[ ({to:authority})] of a measure ({measure:measures})",
    "interception.answered": "answered the notification of an interception[ ({answer:interception_answers})]",
    "measure.found_not_executable": "found that a measure cannot be carried out ({measure:measures})"
    "[, because: {reason:impossibilities}]",
    "asset.frozen": "froze property",
    "asset.released": "released frozen property",
    "asset.confiscated": "confiscated property",
    "asset.returned": "returned property",
    "asset.shared": "shared the value of property with {share_to:countries}",
    # exhibits
    "exhibit.acquired": "acquired an exhibit ({exhibit_kind:exhibit_kinds}) from {source_country:countries}"
    "[, method: {method:methods}][ ({items} items)][, collected from {acquired_from:instant}]"
    "[ to {acquired_until:instant}]",
    "exhibit.derived": "derived an exhibit from {parents:others}[ ({transformation:transformations})]"
    "[ ({items} items)]",
    "exhibit.handed_over": "handed the exhibit over to {to:authority}[ ({reason:handover_reasons})]",
    "exhibit.taken_over": "took the exhibit over from {from_authority:authority}[; check: {check:integrity_results}]",
    "exhibit.examined": "examined the exhibit[, purpose: {purpose:examination_purposes}]"
    "[, method: {method:methods}][, accredited{accredited:yes}]",
    "integrity.verified": "checked the exhibit's integrity: {result:integrity_results}"
    "[ (compared: {compared:compared})]",
    "discrepancy.reported": "reported discrepancies in the exhibit[: {missing} items missing]"
    "[; {duplicated} duplicated][; {misattributed} attributed to the wrong person]"
    "[; one-sided conversations{one_sided:yes}]",
    "provenance.withheld": "withheld part of the provenance[: {facts:withheld_facts}][ ({ground:withholding_grounds})]"
    "[, as decided by {decided_by:authority}]",
    "use_condition.attached": "attached a condition of use[, only for: {purposes:purposes}]"
    "[, binding {recipients:authorities}][, for future material too{future_material:yes}]"
    "[, until {expires_at:instant}]",
    "use_condition.lifted": "lifted a condition of use[ for {recipients:authorities}]"
    "[, now allowing: {purposes:purposes}]",
    "admissibility.ruled": "ruled that the exhibit {outcome:admissibility_outcomes}"
    "[, at the stage: {stage:proceedings_stages}][, on the grounds: {grounds:admissibility_grounds}]"
    "[, by the test: {test:admissibility_tests}][, finally{final:yes}][, {ecli}]",
    "ruling.appealed": "recorded an appeal against a ruling, to {court:authority}",
    "ruling.overturned": "overturned a ruling[, {ecli}]",
    "ruling.became_final": "recorded that a ruling became final",
    "exhibit.returned": "returned the exhibit to {to:authority}[; condition: {check:integrity_results}]",
    "truthfulness.certified": "certified that the exhibit is what it is said to be ({certificate:certificates})",
    "use_condition.varied": "changed a condition of use[, now only for: {purposes:purposes}]"
    "[, now binding {recipients:authorities}][, until {expires_at:instant}]",
    "payload.erased": "erased content by destroying its keys[ ({scope:scopes})][, because: {ground:erasure_grounds}]",
    "data_restriction.recorded": "restricted the processing of data ({ground:restriction_grounds})"
    "[, informing {recipients_informed:authorities}]",
    "data_rectification.recorded": "rectified or completed data[, informing {recipients_informed:authorities}]",
    # disclosures
    "disclosure.made": "disclosed {exhibits:exhibits} to {recipient:authority}"
    "[, purpose: {purpose:purposes}][, accuracy: {accuracy:accuracies}]",
    "spontaneous_information.sent": "sent information of its own motion[ to {recipients:authorities}]"
    "[, purpose: {purpose:purposes}][, covering future material{future_material:yes}]",
    "conditions.accepted": "answered a condition of use: {outcome:condition_answers}",
    "disclosure.recalled": "recalled a disclosure[ ({reason:recall_reasons})]"
    "[, asking of the recipient: {action:recall_actions}]",
    "recall.implemented": "carried out the recall of a disclosure[ ({action:recall_actions})]",
    "onward_disclosure.consent_requested": "asked for consent to another use ({purpose:purposes})"
    "[, by {new_recipient:authority}][, for other offences: {offences:offences}]",
    "onward_disclosure.consent_decided": "decided on consent to another use or recipient: {outcome:condition_answers}"
    "[, on conditions: {conditions:conditions}]",
    "use_explanation.requested": "asked what use was made of what was disclosed[, by {due_at:instant}]",
    "use_explanation.given": "explained what use was made of what was disclosed[: {purposes:purposes}]",
    # challenges and courts
    "challenge.lodged": "[recorded a challenge{forum:self}][lodged a challenge{forum:not_self}]"
    "[ ({challenge_kind:challenge_kinds})][ before {forum:other}]"
    "[, lodged by: {applicant_role:person_roles}][, asking for: {relief:reliefs}]",
    "challenge.admissibility_decided": "decided on the admissibility of the challenge: {outcome:admission_outcomes}"
    "[ ({ground:admission_grounds})]",
    "suspension.decided": "decided on suspension ({suspended:suspensions}): [granted{granted:yes}]"
    "[not granted{granted:no}]",
    "counterpart.informed": "informed {informed:authority}",
    "hearing.held": "[held{court:self}][recorded{court:not_self}] a hearing[ before {court:other}]",
    "opinion.delivered": "[delivered{court:self}][recorded{court:not_self}] an Opinion"
    "[ delivered at {court:other}][, {ecli}]",
    "reference.made": "[made{court:self}][recorded{court:not_self}] a reference for a preliminary ruling"
    "[ by {court:other}][ (questions: {questions})][, {ecli}]",
    "reference.registered": "registered the reference under {number}",
    "reference.answered": "answered the reference[ (answers: {answers_count})][, {ecli}]",
    "challenge.decided": "decided the challenge: {outcome:challenge_outcomes}[, finally{final:yes}][, {ecli}]",
    "remedy.ordered": "ordered a remedy ({remedy:remedies}), addressed to {addressee:authority}",
    "remedy.implemented": "carried out a remedy ({remedy:remedies})",
    "evidence_access.requested": "recorded that access is asked for[, to: {facts:withheld_facts}]",
    "evidence_access.decided": "decided on access to material or method: [given{granted:yes}][not given{granted:no}]"
    "[ ({ground:withholding_grounds})]",
    # handovers of persons, proceedings and files
    "person.arrested": "arrested a person[ ({arrest_basis:arrest_bases})]",
    "handover.opened": "began to prepare the handover of a person[ ({purpose:handover_purposes})]",
    "consent.recorded": "recorded that the person [consents{consents:yes}][does not consent{consents:no}]"
    "[ and renounces speciality{speciality_renounced:yes}]",
    "consent.withdrawn": "recorded that the person takes consent back"
    "[, for the renunciation of speciality only{speciality_only:yes}]",
    "detention.decided": "decided on detention: {outcome:detention_outcomes}",
    "rights_status.recorded": "recorded which rights were observed[: {rights:rights}]",
    "assurance.requested": "asked for an assurance[ about {topic:assurance_topics}][, by {due_at:instant}]",
    "assurance.given": "gave an assurance[ about {topic:assurance_topics}]",
    "assurance.assessed": "assessed an assurance[ about {topic:assurance_topics}]: {outcome:assurance_outcomes}",
    "surrender.decided": "decided on surrender: {outcome:surrender_outcomes}"
    "[, on the grounds: {grounds:grounds}][, on conditions: {conditions:conditions}]",
    "extradition.found_admissible": "ruled whether extradition is admissible: [admissible{admissible:yes}]"
    "[not admissible{admissible:no}][, on the grounds: {grounds:grounds}][, on conditions: {conditions:conditions}]",
    "extradition.decided": "decided on extradition: {outcome:handover_outcomes}"
    "[, on the grounds: {grounds:grounds}][, on conditions: {conditions:conditions}]",
    "prisoner_handover.decided": "decided on the handover of a sentenced person: {outcome:handover_outcomes}"
    "[, on the grounds: {grounds:grounds}][, on conditions: {conditions:conditions}]"
    "[, with the sentence adapted{sentence_adapted:yes}][ ({enforcement:enforcement_kinds})]"
    "[, without consent: {without_consent:consent_exceptions}]",
    "handover.scheduled": "recorded the time agreed for the handover[: from {planned_from:instant}]"
    "[ to {planned_until:instant}][, in {place:countries}][, after: {after:handover_failures}]",
    "detention_period.certified": "certified the days already spent in detention ({detention_days})",
    "person.handed_over": "handed the person over[ in {place:countries}]",
    "person.taken_over": "took the person over[ in {place:countries}]",
    "handover.failed": "recorded that the handover failed[ ({reason:handover_failures})]",
    "person.moved_temporarily": "moved a detained person to {to_country:countries} for a time"
    "[, to be back by {return_by_at:instant}]",
    "person.returned": "recorded that the person moved for a time is back",
    "person.discharged": "discharged a person ({reason:discharge_reasons})[, free to leave{free_to_leave:yes}]",
    "speciality_consent.requested": "asked for consent to prosecute other offences or to hand over onward"
    "[ ({offences:offences})][, onward to {onward_to:countries}]",
    "speciality_consent.decided": "decided on consent to prosecute other offences or to hand over onward: "
    "[given{granted:yes}][not given{granted:no}][, on the grounds: {grounds:grounds}]",
    "handover.followed_up": "told what happened after the handover: {report:follow_ups}",
    "proceedings_handover.decided": "decided on the handover of proceedings: {outcome:proceedings_handover_outcomes}",
    "file.handed_over": "handed the file over to {recipient:authority}",
    "file.taken_over": "took the file over from {from_authority:authority}",
    # joint teams
    "joint_team.agreed": "agreed on a joint investigation team[ of {members:authorities}]"
    "[, from {valid_from:instant}][, until {valid_until:instant}]",
    "joint_team.amended": "amended the agreement on the joint investigation team[, until {valid_until:instant}]",
    "joint_team.membership_changed": "recorded a change of membership of the joint investigation team: "
    "{authority:authority}"
    " ({change:membership_changes})",
    "joint_team.material_shared": "shared {exhibits:exhibits} in the joint investigation team"
    "[ with {downloaders:authorities}]",
    "joint_team.closed": "closed the joint investigation team",
    # any stream
    "statement.corrected": "corrected an earlier statement[ ({reason:correction_reasons})]",
    "statement.disputed": "disputed a statement[ ({reason:dispute_reasons})]",
    "finding.issued": "found that a rule was not followed ({rule}; {severity:severities})",
    "finding.answered": "answered a finding: {answer:finding_answers}",
    "time_limit.lapsed": "recorded that a time limit ran out ({rule})[ at {due_at:instant}]",
    "public_summary.confirmed": "confirmed a public summary by computing it again[, up to entry {size}]",
    "public_summary.published": "published a summary for the public",
}

_PLACE: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
_PART: Final = re.compile(r"\[([^][]*)\]")


def predicate(views: Views, act: str, body: Mapping[str, Any], zone: str = "UTC", actor: str | None = None) -> str:
    """Return the predicate of the sentence for *act* with *body*; the act's own name, spaced, where there is none."""
    template = SENTENCES.get(act, _spaced(act))

    def part(match: re.Match[str]) -> str:
        words = match[1]
        for name, how in _PLACE.findall(words):
            value = body.get(name)
            if how in _SILENT:
                if not _holds(value, how, actor):
                    return ""
            elif not _put(views, None if how == "other" and value == actor else value, how, zone):
                return ""
        return _PLACE.sub(place, words)

    def place(match: re.Match[str]) -> str:
        name, how = match[1], match[2] or ""
        if how in _SILENT:
            return ""
        return _put(views, body.get(name), how, zone) or "(not said)"

    return _PLACE.sub(place, _PART.sub(part, template))


def _spaced(act: str) -> str:
    """Return the name of an act as words."""
    return act.replace(".", " ").replace("_", " ")


#: Manners that put no words: they only say when a part stands.
_SILENT: Final = frozenset({"yes", "no", "self", "not_self"})


def _holds(value: object, how: str, actor: str | None) -> bool:
    """Whether a part stands that depends on a yes or a no, or on whether the actor is meant."""
    if how in {"yes", "no"}:
        return value is (how == "yes")
    return (value is not None and value == actor) is (how == "self")


def _put(views: Views, value: Any, how: str, zone: str) -> str:
    """Return the words for one value, empty when there is none."""
    if value is None:
        return ""
    if how in {"exhibits", "others"}:
        one, many = ("an exhibit", "exhibits") if how == "exhibits" else ("another", "others")
        return one if len(value) == 1 else f"{len(value) or 'no'} {many}"
    if value == []:
        return ""
    if how in {"authority", "other"}:
        return views.who(value).designation
    if how == "authorities":
        return joined([views.who(item).designation for item in value])
    if how == "count":
        return str(len(value))
    if how == "instant":
        return day_text(value, _zone(zone))
    if isinstance(value, list):
        return joined([_put(views, item, how, zone) for item in value])
    if isinstance(value, dict):
        # A ground with its article; a right with what became of it.
        first, *rest = [str(item) for item in value.values() if item is not None]
        return label(how, first) + (f" ({', '.join(rest)})".replace("_", " ") if rest else "")
    if how == "order":
        return _order(views, str(value))
    return label(how, str(value)) if how else str(value)


def _order(views: Views, instrument: str) -> str:
    """Return what is issued under an instrument: an order with a name, or a request."""
    words = views.label("instruments", instrument)
    if instrument in {"eu-eio-2014-41", "eu-eaw-2002-584"}:
        return f"a {words}"
    if instrument == "eu-e-evidence-2023-1543":
        return "a European Production or Preservation Order"
    return f"a request ({words})"


@cache
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


_DAY: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _local(micros: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=micros)).astimezone(zone)


def day_text(micros: int, zone: tzinfo = UTC) -> str:
    """
    Return the local day of an instant, in words.

    >>> day_text(1_591_056_000_000_000)
    '2 June 2020'
    """
    moment = _local(micros, zone)
    return f"{moment.day} {moment:%B %Y}"


def when_text(when: When) -> str:
    """
    Return when something happened: a day, a month, a year, or the interval; "(unconfirmed)" where it is.

    An interval is shown as wide as it is known, never narrowed to a day that nobody stated.
    """
    zone = _zone(when.zone)
    start = _local(when.from_at, zone)
    # An interval may be written up to the last microsecond of its day or to the next midnight.
    end = _local(max(when.from_at, when.until_at - 1), zone)
    if start.date() == end.date():
        # Midnight, here or in UTC, is how a day is written of which the hour is not known.
        midnight = when.from_at % _DAY == 0 or (start.hour, start.minute) == (0, 0)
        exact = when.from_at == when.until_at and not midnight
        words = f"On {day_text(when.from_at, zone)}" + (f" at {start:%H:%M}" if exact else "")
    else:
        after = end + timedelta(days=1)
        whole_months = start.day == 1 and after.day == 1
        if whole_months and (start.year, start.month) == (end.year, end.month):
            words = f"In {start:%B %Y}"
        elif whole_months and start.month == 1 and end.month == 12:
            years = f"In {start.year}"
            words = years if start.year == end.year else f"In the years {start.year} to {end.year}"
        else:
            first, last = f"{start.day} {start:%B %Y}", f"{end.day} {end:%B %Y}"
            words = f"Between {first} and {last}"
    return words if when.confirmed else f"{words} (unconfirmed)"


def sentence(views: Views, row: Row, *, rejected: bool = False) -> str:
    """
    Return the whole sentence: when, who, what, and whose word it is.

    What a rejected statement said is not told as done: the log does not hold it, and keeps nothing but its act.
    """
    said = views.said(row)
    words = f"{when_text(row.when)} {said.speaker.designation}"
    if rejected:
        words += f': "{_spaced(row.act)}", not accepted, and what it says is not kept'
    else:
        words += f" {predicate(views, row.act, row.body, row.when.zone, row.actor)}"
    if said.voice == "reported":
        source = f", source: {said.source}" if said.source else ""
        words += f" (as reported by {said.publisher.designation}{source})"
    elif said.voice == "on_behalf":
        mandate = (said.mandate or "none").replace("-", "")[:8]
        words += f" (published by {said.publisher.designation} on its behalf, mandate {mandate})"
    return words + "."


def articles(views: Views, row: Row) -> tuple[str, ...]:
    """
    Return the legal bases of an act as they are cited: the instrument's words and the article.

    A domestic provision is marked so.
    """
    found = []
    for instrument, article, domestic in row.basis:
        words = views.label("instruments", instrument)
        if article:
            words += f", {cited(article, 'Art.')}"
        found.append(words + (" (domestic law)" if domestic else ""))
    return tuple(found)
