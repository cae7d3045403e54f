"""
What the ledger would answer to drafts, one after the other, as if each had been recorded.

The real rules over the real log; what the drafts themselves would add is kept beside it and thrown
away.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger import keys
from ledger.domain import Accepted, Rejected, Seen, decide, evolve, flags, load, named_by
from ledger.statement import new_id, statement_from

if TYPE_CHECKING:
    from collections.abc import Collection

    from ledger.domain import Thing
    from ledger.keys import Signer
    from ledger.ledger import Ledger
    from ledger.statement import Draft


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one draft would get: accepted or a reason, and what would be flagged about it."""

    accepted: bool
    reason: str | None
    detail: str
    flags: tuple[tuple[str, str], ...]


class Rehearsal:
    """The ledger as it would be after the drafts rehearsed so far (a ``ledger.domain.View``)."""

    def __init__(self, ledger: Ledger, signer: Signer) -> None:
        self.catalogue = ledger.catalogue
        self.roster = deepcopy(ledger.roster)
        self._ledger = ledger
        self._signer = signer
        self._next = ledger.store.size()
        self._sequence = ledger.store.next_sequence(signer.key.id)
        self._things: dict[bytes, Thing] = {}
        self._seen: dict[bytes, tuple[Seen, frozenset[bytes]]] = {}

    def thing(self, subject: bytes) -> Thing | None:
        """The thing, with what was rehearsed of it."""
        return self._things.get(subject) or self._ledger.sequencer.thing(subject)

    def recorded(self, statement_id: bytes) -> Seen | None:
        """The statement, recorded or rehearsed."""
        rehearsed = self._seen.get(statement_id)
        return rehearsed[0] if rehearsed else self._ledger.sequencer.seen(statement_id)

    def named_in(self, statement_id: bytes) -> Collection[bytes]:
        """The authorities that a statement names."""
        rehearsed = self._seen.get(statement_id)
        return rehearsed[1] if rehearsed else self._ledger.sequencer.named_in(statement_id)

    def ed25519(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds."""
        return keys.ed25519(public_key, message, signature)

    def judge(self, draft: Draft) -> Rehearsed:
        """
        Judge the next draft, and keep what it would add.

        Raises:
            FormatError, NotPermitted: it would not be signed at all.
        """
        encoded = self._ledger.validate(draft)
        body: dict[str, Any] = self.catalogue.decode(draft.act, draft.version, encoded)
        statement = statement_from(
            draft,
            statement_id=new_id(self._ledger.clock()),
            ledger=self._ledger.origin,
            publisher=self._signer.authority,
            key=self._signer.key.id,
            sequence=self._sequence,
            body=encoded,
        )
        decision = decide(self, self._next, statement, body)
        seen = Seen(
            self._next,
            statement.act,
            statement.publisher,
            statement.subject,
            statement.case,
            isinstance(decision, Rejected),
        )
        self._seen[statement.id] = seen, named_by(statement, body, self.catalogue)
        said: tuple[tuple[str, str], ...] = ()
        if isinstance(decision, Accepted):
            thing = self.thing(statement.subject)
            said = tuple((flag.code, flag.detail) for flag in flags(thing, statement, body, load()))
            self._things[statement.subject] = evolve(thing, self._next, statement, body)
            self.roster.fold(self._next, statement, body)
        self._next += 1
        self._sequence += 1
        if isinstance(decision, Rejected):
            return Rehearsed(accepted=False, reason=decision.reason, detail=decision.detail, flags=())
        return Rehearsed(accepted=True, reason=None, detail="", flags=said)
