"""The schemas obey their subset, carry their properties, and never change once released."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from ledger import resources, schema_rules
from ledger.acts import Catalogue, catalogue
from ledger.errors import NotVerified

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = resources.path("schemas")
RELEASED_FILES = [
    *(f"{name}.avsc" for name in schema_rules.ENVELOPES),
    *(f"acts/{path.name}" for path in sorted((SCHEMAS / "acts").iterdir())),
]

# The names under which the acts were first listed; a pair of a row is two names.
FIRST_LISTED = """
AuthorityRegistered CompetenceDeclared SigningKeyCertified SigningKeyRevoked ProfileVersionAdopted
CaseOpened CaseLinked PartyRegistered ProceedingStageChanged RetentionReviewed CaseClosed
RequestIssued RequestValidated ValidationRefused RequestTransmitted RequestReceived
ReceiptAcknowledged RequestForwarded DefectNotified SupplementaryInformationRequested
SupplementaryInformationProvided ConsultationOpened ConsultationConcluded DelayNotified
RequestRecognised AlternativeMeasureChosen RequestRefused ExecutionPostponed PostponementEnded
MeasureStarted MeasureCompleted MeasureNotExecutable InterceptionNotified InterceptionAnswered
CoerciveMeasureAuthorised ResultTransferred ResultReceived PersonInformed InformationDeferred
RequestWithdrawnOrAdapted CostsReported RequestClosed PreservationConfirmed PreservationExtended
PreservationLapsed EnforcingAuthorityNotified NotificationNotRequired ImmunityOrPrivilegeFlagged
ThirdCountryConflictObjected ConflictReviewDecided EnforcementRequested EnforcementDecided
NoGroundRaisedConfirmed EvidenceAcquired CustodyTransferred CustodyAccepted EvidenceExamined
EvidenceDerived IntegrityVerified IntegrityDiscrepancyReported ProvenanceWithheld
UseConditionAttached UseConditionVaried UseConditionLifted TruthfulnessCertified EvidenceReturned
PayloadErased AdmissibilityRuled DisclosureMade SpontaneousInformationSent ConditionsAccepted
OnwardDisclosureConsentRequested OnwardDisclosureConsentDecided UseExplanationRequested
UseExplanationGiven DisclosureRecalled RecallImplemented AccessLogged ChallengeLodged
ChallengeAdmissibilityDecided SuspensiveEffectDecided CounterpartInformed EvidenceAccessRequested
EvidenceAccessDecided PreliminaryReferenceMade PreliminaryReferenceAnswered ChallengeDecided
RemedyOrdered RemedyImplemented PersonArrested RightsStatusRecorded ConsentRecorded DetentionDecided
DetentionPeriodCertified AssuranceRequested AssuranceGiven AssuranceAssessed TransferDecided
PersonOrFileHandedOver HandoverFailed PostTransferReported JitAgreementSigned JitAgreementAmended
JitMembershipChanged JitMaterialShared JitClosed FindingIssued PublicSummaryPublished TimeLimitLapsed
EventCorrected EventDisputed RestrictionOrRectificationRecorded CheckpointAnchored
AssistanceRequested AssistanceProvided
""".split()  # noqa: SIM905 -- a table of names reads better than a list of literals

# Acts added or split since, as they were first called.
ADDED = """counsel mandated, counsel mandate ended, measure proposed by defence,
measure proposed by defence decided, person role changed, person cleared, hearing held,
reference registered, ruling appealed, ruling overturned, ruling became final, finding answered,
immunity waiver requested, immunity waiver decided, speciality consent requested,
speciality consent decided, handover date agreed, person discharged, alert issued, alert withdrawn,
competing requests decided, prosecution undertaken, safe conduct granted, safe conduct ended,
person temporarily transferred, person returned, document served, translation made,
data breach notified, asset frozen, asset released, asset confiscated, asset returned, asset shared,
extradition found admissible, extradition decided, prisoner transfer decided,
data subject request lodged, data subject request answered, public summary confirmed,
ledger founded, root admitted, root key replaced, log key replaced, key rotated, key retired,
roster confirmed, handover opened, consent withdrawn,
subscription granted, subscription ended, sealed, unsealed, entry redacted""".replace("\n", " ").split(", ")


def listed() -> list[list[str]]:
    """The rows of ACTS.md: known as, wire name, on, by, standing, source."""
    lines = (SCHEMAS / "ACTS.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows if row[1].startswith("`")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the schemas to damage."""
    return shutil.copytree(SCHEMAS, tmp_path / "schemas")


def a_draft(schemas: Path) -> Path:
    """A draft that is sound: a released schema under another name."""
    path = schemas / "drafts/retention.considered.1.avsc"
    shutil.copy(schemas / "acts/retention.reviewed.1.avsc", path)
    edit(path, act="retention.considered", name="Considered", released=False)
    return path


def edit(path: Path, **changes: Any) -> None:
    """Change top-level properties of a schema, and of its first field under ``field``."""
    schema = json.loads(path.read_text())
    schema["fields"][0] |= changes.pop("field", {})
    path.write_text(json.dumps(schema | changes))


def test_every_schema_is_sound():
    """Subset, properties, names, references, code lists and freeze: no fault at all."""
    assert schema_rules.faults(SCHEMAS) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"field": {"type": "double"}}, "outside the subset"),
        ({"field": {"type": ["null", "string", "long"]}}, "outside the subset"),
        ({"field": {"type": ["string", "null"]}}, "outside the subset"),
        ({"field": {"type": {"type": "map", "values": "string"}}}, "outside the subset"),
        ({"field": {"privacy": "personal"}}, "privacy is none of"),
        ({"field": {"privacy": None}}, "privacy is none of"),
        ({"field": {"doc": ""}}, "doc or source"),
        ({"field": {"source": ""}}, "doc or source"),
        ({"field": {"codes": "nowhere"}}, "code list nowhere is missing"),
        ({"field": {"pattern": "^.*$"}}, "needs a code list or a pattern"),
        ({"field": {"name": "date"}}, "is not a name for a field"),
        ({"field": {"name": "textNote"}}, "is not a name for a field"),
        ({"field": {"type": "long"}}, "without its unit"),
        ({"field": {"refers": "elephant"}}, "no kind of thing"),
        ({"field": {"refers": "statement:nothing.done"}}, "no act"),
        ({"answers": ["nothing.done"]}, "unknown act"),
        ({"by": ["somebody"]}, "neither a kind"),
        ({"streams": ["cupboard"]}, "unknown kind"),
        ({"name": "Other"}, "should be the record"),
        ({"act": "custody.transferred"}, "is not a name for an act"),
        ({"released": True}, "`released`"),
    ],
)
def test_the_check_has_teeth(copy: Path, changes: dict[str, Any], fault: str):
    """Each thing that a schema must not be is named when a draft becomes it."""
    path = a_draft(copy)
    assert schema_rules.faults(copy) == []
    edit(path, **changes)
    assert any(fault in found for found in schema_rules.faults(copy))


@pytest.mark.parametrize("pattern", ["[a-z]+", "^(a+)+$", r"^(a|b)*$", r"^(a)\1$", "^(?=a)b$", "^[$"])
def test_a_pattern_is_anchored_and_linear(pattern: str):
    """A pattern that could be searched for, or could take exponential time, is refused."""
    assert list(schema_rules._pattern(pattern))


@pytest.mark.parametrize("name", RELEASED_FILES)
def test_an_edit_of_a_released_schema_is_found(copy: Path, name: str):
    """One more space in a released file is a fault, and its codec is not built."""
    path = copy / name
    path.write_bytes(path.read_bytes() + b" ")
    found = schema_rules.faults(copy)
    assert f"RELEASED: {path.name} is not the file that was released" in found
    damaged = Catalogue(copy)
    act = path.stem.rpartition(".")[0]
    with pytest.raises(NotVerified):
        _ = damaged.act(act) if act else damaged.codec(path.relative_to(copy))


def test_a_removed_schema_is_found(copy: Path):
    """A released schema can never go away."""
    (copy / "acts/request.issued.1.avsc").unlink()
    assert "RELEASED: request.issued.1.avsc is missing" in schema_rules.faults(copy)
    with pytest.raises(NotVerified):
        Catalogue(copy).act("request.issued")


def test_a_schema_is_released_by_its_line(copy: Path):
    """A schema among the released ones without a line in RELEASED is a fault."""
    path = a_draft(copy)
    edit(path, released=True)
    path.rename(copy / "acts" / path.name)
    assert schema_rules.faults(copy) == [f"acts/{path.name}: is not in RELEASED"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('partial = "In part"\n', ""),
        ('partial = "In part"', 'partial = "Not at all"'),
        ('full = "In whole"', 'whole = "In whole"'),
        ("[codes]\n", '[codes]\nfirst = "Inserted before"\n'),
    ],
)
def test_a_code_is_never_removed_moved_or_redefined(copy: Path, old: str, new: str):
    """A released list keeps its codes, their meaning and their order."""
    path = copy / "codes/scopes.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert "RELEASED: codes/scopes lost, moved or redefined a code" in schema_rules.faults(copy)
    with pytest.raises(NotVerified):
        Catalogue(copy).codes("scopes")


def test_a_code_may_be_added(copy: Path):
    """A new code at the end of a list is no fault, and is known at once."""
    path = copy / "codes/scopes.toml"
    path.write_text(path.read_text() + 'remainder = "What was left"\n')
    assert schema_rules.faults(copy) == []
    assert list(Catalogue(copy).codes("scopes")) == ["full", "partial", "remainder"]


def test_schema_ids_are_unique_and_positive():
    """A number names one schema for ever."""
    numbers = [act.schema_id for act in catalogue().acts() if act.released]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 0


def test_the_catalogue_carries_what_the_freeze_says():
    """Version, hash and standing come from RELEASED and from the file itself."""
    act = catalogue().act("request.refused")
    path = SCHEMAS / "acts/request.refused.1.avsc"
    assert act.released
    assert act.sha256 == sha256(path.read_bytes()).hexdigest()
    assert not catalogue().act("entry.redacted").released


def test_a_new_version_must_read_the_old(copy: Path):
    """Avro's own judgement: a field without default hinders, one with a default does not."""
    from avro.compatibility import ReaderWriterCompatibilityChecker
    from avro.schema import make_avsc_object

    def hinders(newer: Any, older: Any) -> list[str]:
        checker = ReaderWriterCompatibilityChecker()
        judged = checker.get_compatibility(make_avsc_object(newer), make_avsc_object(older))
        return [str(message) for message in judged.messages]

    assert schema_rules.incompatible(SCHEMAS, hinders) == []
    schema = json.loads((copy / "acts/case.closed.1.avsc").read_text()) | {"version": 2}
    extra = {"name": "again", "type": ["null", "boolean"], "default": None}
    later = copy / "acts/case.closed.2.avsc"
    later.write_text(json.dumps(schema | {"fields": [*schema["fields"], extra]}))
    assert schema_rules.incompatible(copy, hinders) == []
    del extra["default"]
    later.write_text(json.dumps(schema | {"fields": [*schema["fields"], extra]}))
    assert schema_rules.incompatible(copy, hinders)


def test_the_command_names_the_fault(copy: Path):
    """``python -m ledger.acts check`` exits with 0 on sound schemas, with 3 and the file on others."""
    command = [sys.executable, "-m", "ledger.acts", "check"]
    sound = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (sound.returncode, sound.stderr) == (0, "")
    (copy / "acts/case.closed.1.avsc").unlink()
    damaged = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=False)
    assert damaged.returncode == 3
    assert "case.closed.1.avsc is missing" in damaged.stderr


def test_no_field_is_personal():
    """Every field of every schema is about the act, a pseudonym or a commitment."""
    for path in SCHEMAS.rglob("*.avsc"):
        for field in schema_rules._fields(json.loads(path.read_text())):
            assert field["privacy"] in {"act", "pseudonym", "commitment"}, (path.name, field["name"])


def test_the_list_of_acts_is_the_acts():
    """ACTS.md and the schema files agree, act by act, in every column."""
    rows = {row[1].strip("`"): row for row in listed()}
    acts = {act.name: act for act in catalogue().acts()}
    assert rows.keys() == acts.keys()
    assert len(listed()) == len(rows)
    for name, act in acts.items():
        on = "any" if act.streams == schema_rules.KINDS else ", ".join(act.streams)
        standing = "released" if act.released else "draft"
        expected = [on + "+" * act.creates, ", ".join(act.by), standing, act.source]
        assert expected == rows[name][2:]


@pytest.mark.parametrize("name", [*FIRST_LISTED, *ADDED])
def test_every_act_first_listed_has_its_place(name: str):
    """Whatever was catalogued is an act, or is said to be none and why."""
    known = {part.strip(" `") for row in listed() for part in row[0].split(",")}
    introduction = (SCHEMAS / "ACTS.md").read_text().partition("\n## ")[0]
    assert name in known or f"`{name}`" in introduction


def test_what_is_still_a_draft():
    """Only the acts whose mechanism does not exist yet: sealing, redaction, subscriptions."""
    drafts = {act.name for act in catalogue().acts() if not act.released}
    assert drafts == {
        "act.sealed",
        "act.unsealed",
        "entry.redacted",
        "subscription.granted",
        "subscription.ended",
    }


def test_labels_and_docs_are_plain():
    """No abbreviation of an instrument stands alone in what a reader sees."""
    for act in catalogue().acts():
        assert not re.search(r"\b(EIO|EAW|LED|EEV|TOP|MLA)\b", act.doc), act.name
