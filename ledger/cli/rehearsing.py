"""``comity publish --dry-run``: what the ledger would answer, who would see it, and what a form lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.cli.console import line, text
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from ledger.cli.publishing import Publishing
    from ledger.law.form import Gap
    from ledger.statement import Draft

_RECIPIENT_FIELDS = frozenset({"to", "recipient", "recipients", "requested", "forum", "informed"})
"""Fields of bodies that name who is meant to receive something."""

RINGS = {
    "addressees": "the addressees alone",
    "case": "every authority that takes part in the case",
    "oversight": "the authorities of the case and the oversight bodies",
    "public": "everybody",
}


def rehearse(source: BinaryIO, run: Publishing, ledger: Path | None, *, as_json: bool, verbose: bool) -> None:
    """
    Say of each draft what the ledger would answer, who would see it, and what its form lacks.

    Raises:
        Trouble: 7: some would be rejected.
    """
    from ledger.cli.rehearsal import Rehearsal
    from ledger.cli.saying import reason_words
    from ledger.instants import rfc3339

    rehearsal = Rehearsal(run.opened, run.signer)
    now = run.opened.clock()
    before = _Addressed(run, ledger)
    rejected = count = 0
    for number, draft in run.drafts(source):
        count += 1
        judged = rehearsal.judge(draft)
        rejected += not judged.accepted
        embargo = draft.visibility.embargo_until
        shape: dict[str, Any] = {
            "line": number,
            "act": draft.act,
            "answer": "accepted" if judged.accepted else "rejected",
            "reason": judged.reason,
            "detail": judged.detail,
            "flags": [{"code": code, "detail": detail} for code, detail in judged.flags],
            "visible_to": {
                "ring": draft.visibility.ring,
                "to": RINGS[draft.visibility.ring],
                "embargo_until": None if embargo is None else rfc3339(embargo),
                "addressees": [
                    {"authority": str(UUID(bytes=one)), "called": run.roster.called(one)} for one in draft.addressees
                ],
            },
            # Who would see it cannot be undone once it is said; a form can still be completed.
            "warnings": [*_unusual(draft, run, before), *_odd_times(draft, now)],
            "form": [_gap(one) for one in _lacking(draft)],
            "repeated": run.repeated(draft),
        }
        if as_json:
            line(shape)
            continue
        said = "would be accepted"
        if not judged.accepted:
            said = f"would be rejected ({judged.reason}: {reason_words(judged.reason)})"
            said += f"\n  because  {judged.detail}" if judged.detail else ""
        if shape["repeated"] is not None:
            said = f"is recorded already as entry {shape['repeated']}, and would not be published again"
        text(f"line {number}: {draft.act} {said}")
        called = ", ".join(run.roster.called(one) for one in draft.addressees)
        text(f"  seen by  {RINGS[draft.visibility.ring]}" + _until(shape["visible_to"]))
        text(f"  to       {called or 'no addressee'}")
        for code, detail in judged.flags:
            text(f"  flagged  {code}: {detail}")
        for warning in shape["warnings"]:
            text(f"  warning  {warning}")
        for gap in shape["form"]:
            text(f"  form     {gap['words']}")
            for one in gap["lacking"] if verbose else ():
                known = "" if one["verified"] else " (not compared with the official wording)"
                text(f"           {' '.join(filter(None, (one['section'], _cited(one))))}: {one['text']}{known}")
    if rejected:
        raise Trouble(
            7,
            f"{rejected} of {count} statements would be rejected",
            why="they cannot be true of the record as it stands",
            now="correct the drafts; nothing was signed and nothing recorded",
        )


def _lacking(draft: Draft) -> tuple[Gap, ...]:
    """What the annex of the instrument requires, copy by copy, and the draft of a request does not carry."""
    if draft.act != "request.issued":
        return ()
    from datetime import UTC, datetime

    from ledger.law import form
    from ledger.law.law import load

    on = datetime.fromtimestamp(draft.occurred_from / 1e6, UTC).date()
    instrument = str(draft.body["instrument"])
    return form.gaps(load(), instrument, draft.act, draft.body, draft.body, form.carried(draft), on=on)


def _gap(gap: Gap) -> dict[str, Any]:
    """What one copy of a form lacks, in full."""
    return {
        "copy": gap.view,
        "form": gap.form,
        "required": gap.required,
        "words": gap.words,
        "lacking": [
            {"id": one.id, "section": one.section, "article": one.article, "text": one.text, "verified": one.verified}
            for one in gap.lacking
        ],
    }


def _cited(one: dict[str, Any]) -> str:
    """The provision, where it is more than the box itself."""
    article = one["article"]
    return f"(Article {article})" if article[:1].isdigit() and article != one["section"] else ""


def _until(visible: dict[str, Any]) -> str:
    until = visible["embargo_until"]
    return f", from {until} on" if until else ""


class _Addressed:
    """To whom this authority has addressed statements before; read from the log when first asked."""

    def __init__(self, run: Publishing, ledger: Path | None) -> None:
        self._run = run
        self._ledger = ledger
        self._known: set[bytes] | None = None

    def __contains__(self, authority: bytes) -> bool:
        if self._known is None:
            self._known = self._read()
        return authority in self._known

    def _read(self) -> set[bytes]:
        from ledger.cli.opened import views
        from ledger.errors import NotFound
        from ledger.reading import recorded
        from projections import audit

        found: set[bytes] = set()
        run = self._run
        with views(self._ledger, quiet=True) as (answers, store):
            try:
                trail = audit.authority(answers, run.signer.authority)
            except NotFound:
                return found
            for one in trail.lines:
                entry = recorded(one.index, store.entry(one.index), run.opened.catalogue)
                found.update(entry.statement.addressees)
        return found


def _unusual(draft: Draft, run: Publishing, before: _Addressed) -> list[str]:
    """What a publisher who mistook one authority for another would want to be told."""
    warnings = []
    for authority in draft.addressees:
        called = run.roster.called(authority)
        if authority not in run.roster.members:
            warnings.append(f"addressee {called} is not on the roster")
        elif authority == run.signer.authority:
            warnings.append(f"{called} addresses itself")
        elif authority not in before:
            warnings.append(f"{called} has never been addressed by this authority before")
    if len(set(draft.addressees)) != len(draft.addressees):
        warnings.append("an addressee is named twice")
    if draft.visibility.ring == "addressees" and not draft.addressees:
        warnings.append("only the addressees may see it, and there is none")
    references = run.opened.catalogue.references(draft.act, draft.version, draft.body)
    for path, kind, authority in references:
        field = path.rpartition(".")[2].partition("[")[0]
        if kind == "authority" and field in _RECIPIENT_FIELDS and authority not in draft.addressees:
            called = run.roster.called(authority)
            warnings.append(f"body.{path} names {called}, which is not among the addressees")
    return warnings


def _odd_times(draft: Draft, now: int) -> list[str]:
    if draft.occurred_from > now:
        return ["occurred_from lies in the future"]
    if draft.occurred_until > now:
        return ["occurred_until lies in the future"]
    return []
