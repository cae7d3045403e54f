"""What every reading command does alike: ids made whole, both clocks, and one answer in JSON or in words."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.cli.console import document, note, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.cli.options import Clocks, View
    from ledger.store import Store
    from projections.editions import Under
    from projections.sight import Sight
    from projections.views import Views


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The log and what was derived from it, as one reader asks about it.

    Attributes:
        answers: the projections, caught up with the log.
        store: the log, in which ids are looked up.
        asked: the clocks and the zone.
        as_json: whether the answer is wanted as JSON.
        now_at: when the reader asks, µs.
        law: under which edition the answer is given; None where it does not rest on the law.
    """

    answers: Views
    store: Store
    asked: View
    as_json: bool
    now_at: int
    law: Under | None = None

    @property
    def clocks(self) -> Clocks:
        """The two clocks, as keyword arguments of a query."""
        return self.asked.clocks

    @property
    def at(self) -> int:
        """The instant at which time limits are read: what the reader asks about, else now; µs."""
        bounds = (self.asked.happened_by, self.asked.known_by, self.now_at)
        return next(one for one in bounds if one is not None)

    def id(self, given: str, kind: str = "thing") -> bytes:
        """
        The id that *given* stands for, whole or shortened.

        An authority may be given by its designation too. A person is looked for wherever an entry names one, and
        ``anything`` is all of it: a case, a thing, a statement, an authority or a person.

        Cost: that of the entry looked for; a shortened person, or anything shortened, one pass over the log.
        """
        from ledger.cli.opened import designations, whole_id
        from projections.audit import named

        names = designations(self.answers) if kind in {"authority", "anything"} else None
        further = partial(named, self.answers) if kind in {"person", "anything"} else None
        return whole_id(given, self.store, kind, names, further)

    def viewer(self, given: str | None) -> bytes | None:
        """The authority through whose eyes the answer is wanted; None for nobody's in particular."""
        return None if given is None else self.id(given, "authority")

    def sight(self, given: str | None) -> Sight | None:
        """What that authority may see now; None for all that this log holds."""
        from projections import findings

        viewer = self.viewer(given)
        if viewer is None:
            return None
        return findings.asked(self.answers, at=self.at, **self.clocks, viewer=viewer, read_at=self.now_at).sight

    def is_case(self, key: bytes) -> bool:
        """Whether it is a case, and not one thing in a case."""
        return self._has("SELECT 1 FROM audit.entry WHERE case_id = ? LIMIT 1", key)

    def is_thing(self, key: bytes) -> bool:
        """Whether it has a stream of its own: a request, an exhibit, a challenge, the enrolment of an authority."""
        return self._has("SELECT 1 FROM audit.entry WHERE subject = ? LIMIT 1", key)

    def is_authority(self, key: bytes) -> bool:
        """Whether a root has enrolled it, or it is a root or the operator."""
        return self._has("SELECT 1 FROM roster.authority WHERE authority = ? LIMIT 1", key)

    def _has(self, query: str, key: bytes) -> bool:
        return self.answers.db.execute(query, (key,)).fetchone() is not None

    def said(self, found: Any) -> bool:
        """
        Whether the answer has been given, as JSON; else what the clocks leave out is said, and the caller goes on.

        ``{"size": 41, "happened_by": "2020-06-02T23:59:59.999999Z" | null, "known_by": ..., "answer": ...}``
        """
        if not self.as_json:
            heading(self.asked)
            return False
        answer = shape(self.asked, self.store.size(), found)
        if self.law is not None:
            answer = {**answer, "edition": self.law.edition, "edition_named": self.law.named}
        document(answer)
        return True


@contextmanager
def reading(
    ledger: Path | None,
    asked: View,
    *,
    as_json: bool,
    quiet: bool,
    law: tuple[str | None, list[Path] | None] | None = None,
) -> Iterator[Reading]:
    """
    Open a ledger for a question.

    Args:
        ledger: its folder.
        asked: the clocks and the zone.
        as_json: whether the answer is wanted as JSON.
        quiet: whether notes are left out.
        law: for an answer that rests on the law: the edition asked for, by hash or folder, and the archives.
            Without an edition it is that which the log named at --known-by, where it is kept.

    Raises:
        NotFound: as the question raises it; where clocks were asked about, it says so.
    """
    from time import time_ns

    from ledger.cli.opened import views
    from ledger.errors import NotFound

    with views(ledger, quiet=quiet) as (answers, store):
        try:
            held = None if law is None else _under(ledger, store, asked, *law)
            if held is not None:
                answers.law = held.book
                if held.note:
                    note(f"Judged under this release's edition {held.edition[:12]}: {held.note}.", quiet=quiet)
            yield Reading(answers, store, asked, as_json, time_ns() // 1000, held)
        except NotFound as error:
            bounded = asked.heading()
            if not bounded or error.what_now:
                raise
            why = error.why or f"asked was {bounded.removeprefix('Shows ')}"
            raise NotFound(error.what, why=why, what_now="ask at a later time, or without a clock") from error


def _under(ledger: Path | None, store: Store, asked: View, edition: str | None, archives: list[Path] | None) -> Under:
    from ledger.cli.law_editions import edition_folder
    from ledger.cli.options import folder
    from projections.editions import Under, in_folder, under

    where = [*(archives or ()), folder(ledger) / "law"]
    if edition is not None:
        return Under(in_folder(edition_folder(edition, where)))
    return under(store, asked.known_by, where)


def heading(asked: View) -> None:
    """Say what the clocks leave out, before the answer itself."""
    said = asked.heading()
    if said:
        text(said)


def shape(asked: View, size: int, found: Any) -> dict[str, Any]:
    """An answer as JSON has it: how much of the log it was drawn from, at which clocks, and what was found."""
    from ledger.instants import rfc3339
    from projections.facts import to_json

    return {
        "size": size,
        "happened_by": None if asked.happened_by is None else rfc3339(asked.happened_by),
        "known_by": None if asked.known_by is None else rfc3339(asked.known_by),
        "answer": to_json(found),
    }
