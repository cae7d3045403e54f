"""The audit trail: every entry, its reason, its remarks, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.errors import NotFound
from projections import audit
from projections.audit import Hole
from projections.facts import id_text, to_json
from tests.projections.build import Log, on, some_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.views import Views

    Follow = Callable[[Log], Views]


def test_a_rejected_entry_is_shown_with_its_reason(views: Follow):
    """Nothing that the log holds is left out; a rejected one has no version and no body."""
    log = Log()
    log.say("case.opened", log.case, "Lille")
    log.say("case.opened", log.case, "Lille", rejected="subject_exists")
    first, second = audit.case(views(log), log.case).lines
    assert ("accepted", None, 0) == (first.disposition, first.reason, first.case_version)
    assert ("rejected", "subject_exists", None) == (
        second.disposition,
        second.reason,
        second.case_version,
    )
    assert {} == second.body


def test_whatever_concerns_an_id(views: Follow):
    """An authority's own words, reports of it and its enrolment; a statement and what replies to it; a person named."""
    log = Log()
    log.enrol("Berlin", "DE")
    log.enrol("Lille", "FR")
    told = log.say("request.issued", "r", "Lille", "2020-01-01", requested_country="DE", persons=[some_id("anna")])
    log.say("statement.disputed", "r", "Berlin", "2020-01-06", replies_to=(told,))
    view = views(log)

    def concerned(identity: bytes) -> list[int]:
        return [line.index for line in audit.concerning(view, identity).lines]

    assert [1, 2] == concerned(some_id("Lille"))
    assert [2, 3] == concerned(told)
    assert [2] == concerned(some_id("anna"))
    for digits in (6, 8, 12, 21, 32):
        assert {some_id("anna")} == audit.named(view, some_id("anna").hex()[:digits])
    with pytest.raises(NotFound):
        audit.concerning(view, some_id("nobody"))


def test_corrections_and_disputes_stand_at_the_act(views: Follow):
    """Who reads an act reads at once that it was corrected, by which entry, and that it is disputed."""
    log = Log()
    log.enrol("Berlin", "DE")
    told = log.say("request.issued", "r", "Lille", "2020-01-01", requested_country="DE")
    better = log.say("request.validated", "r", "Lille", "2020-01-02")
    log.say("statement.corrected", "r", "Lille", "2020-01-05", corrects=told, replaced_by=better)
    log.say("statement.disputed", "r", "Berlin", "2020-01-06", replies_to=(told, better))
    view = views(log)
    line, validated, correction, dispute = audit.case(view, log.case).lines[1:]
    assert [("corrected", 3, 2), ("disputed", 4, None)] == [
        (remark.kind, remark.index, remark.replaced_by) for remark in line.remarks
    ]
    assert "Berlin" == line.remarks[1].said.speaker.designation
    assert [4] == [remark.index for remark in validated.remarks]
    assert 1 == correction.corrects
    assert (1, 2) == dispute.answers
    before = audit.case(view, log.case, known_by=on("2020-01-05")).lines
    assert ["corrected"] == [remark.kind for remark in before[1].remarks]
    # A correction speaks of the record: asked what had happened, it is shown whenever it was made.
    happened = audit.case(view, log.case, happened_by=on("2020-01-01")).lines
    assert ["corrected", "disputed"] == [remark.kind for remark in happened[1].remarks]


def test_entries_that_are_not_here_are_a_hole(views: Follow):
    """A copy that was not given everything names what it lacks."""
    log = Log()
    log.say("case.opened", log.case, "Lille", case_version=2)
    log.say("case.linked", log.case, "Lille", other=some_id("other"), case_version=3)
    log.say("case.linked", log.case, "Lille", other=some_id("other"), case_version=7)
    trail = audit.case(views(log), log.case)
    assert (Hole(0, 1), Hole(4, 6)) == trail.holes


def test_the_two_clocks_and_paging(views: Follow):
    """What happened by then, what was known by then, and one page after the other."""
    log = Log()
    log.say("case.opened", log.case, "Lille", "2020-01-01", known="2020-03-01")
    log.say("case.linked", log.case, "Lille", ("2020-02-01", "2020-02-20"), other=some_id("o"))
    view = views(log)

    def indexes(**clocks: int) -> list[int]:
        return [line.index for line in audit.case(view, log.case, **clocks).lines]

    assert [0, 1] == indexes()
    assert [0] == indexes(happened_by=on("2020-01-31"))
    assert [1] == indexes(known_by=on("2020-02-28"))
    assert [1] == indexes(after_index=0)
    assert [0] == indexes(limit=1)
    first, second = audit.case(view, log.case, happened_by=on("2020-02-10")).lines
    assert (False, True) == (first.when.uncertain, second.when.uncertain)
    with pytest.raises(NotFound):
        audit.case(view, log.case, known_by=on("2019-01-01"))
    with pytest.raises(NotFound):
        audit.entry(view, 99)


def test_a_late_entry_is_known_from_its_proof_of_receipt_and_not_from_a_claim(views: Follow):
    """`known_at` counts with proof; without, the log's clock does."""
    for proven, known in ((True, [0]), (False, [])):
        log = Log()
        log.say(
            "case.opened",
            log.case,
            "Lille",
            "2020-01-01",
            known="2020-06-01",
            received_at=on("2020-01-03"),
            proven=proven,
        )
        found = views(log).db.execute("SELECT idx FROM audit.entry WHERE known_at <= ?", (on("2020-01-04"),))
        assert known == [index for (index,) in found]


def test_by_stream_and_by_authority(views: Follow):
    """The trail of one thing, and of one publisher."""
    log = Log()
    log.say("case.opened", log.case, "Lille")
    log.say("request.issued", "r", "Berlin", requested_country="FR")
    view = views(log)
    assert [1] == [line.index for line in audit.subject(view, some_id("r")).lines]
    assert [0] == [line.index for line in audit.authority(view, id_text(some_id("Lille"))).lines]
    assert "another authority" == audit.entry(view, 1).said.speaker.designation
    plain = to_json(audit.entry(view, 1))
    assert isinstance(plain, dict)
    assert "2020-01-01T00:00:00Z" == plain["when"]["from_at"]
