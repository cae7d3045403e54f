"""
The publishing client: from a draft to the answer of the log, for whoever holds a key.

Each call does the same things in the same order, so that a crash between any two neither loses a
statement nor records it twice (``ledger.store.outbox`` says why)::

    what an earlier, interrupted call had signed is sent first
    validate        nothing is signed that the log would call malformed
    sign            with the next sequences of the key, alone or in batches
    keep            in the outbox, durably
    send            to the sequencer, and note what it answers
    sign anew       what stands behind a refused statement: that one consumed no sequence

A refusal is in the log nowhere: the outbox keeps it until its publisher has been shown it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.errors import ComityError, FormatError, NotPermitted
from ledger.files import locked
from ledger.log.tree import Frontier, inclusion_path
from ledger.sequencer import Answer, Receipt, Refusal
from ledger.statement import (
    Batch,
    Draft,
    Signed,
    Statement,
    batch_message,
    check,
    decode_statement,
    encode_statement,
    new_id,
    signed_message,
    statement_from,
)
from ledger.store.outbox import Outbox, Outgoing, Unshown, Writing
from ledger.verify import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from ledger.acts import Catalogue
    from ledger.keys import Signer
    from ledger.sequencer import Sequencer

__all__ = [
    "BATCH_SIZE",
    "OUTBOX_ROWS_MAX",
    "SIMULATION",
    "Client",
    "Judgement",
    "Refused",
    "RefusedEarlier",
    "Rejected",
    "batch_paths",
    "spare_cores",
]

BATCH_SIZE: Final = 256
"""How many statements ``publish_many`` signs together."""

OUTBOX_ROWS_MAX: Final = 1024
"""How many statements are made durable, and sent, at a time."""

SIMULATION: Final = "/simulation"
"""How the origin of a simulation ends: it may have a clock of its own, and draft acts."""

_ORDER_CODES: Final = ("out_of_order", "sequence_reused")


def spare_cores() -> int:
    """Return how many processes may check signatures beside this one."""
    return max(0, (os.cpu_count() or 1) - 1)


class Refused(ComityError):  # noqa: N818 -- says what the log did
    """The log refused a statement: nothing was recorded, and its sequence is free again."""

    def __init__(self, refusal: Refusal, at: str = "") -> None:
        where = f"{refusal.field}: " if refusal.field else ""
        super().__init__(
            f"{at}the ledger refused the statement ({refusal.code}): {where}{refusal.what}",
            why="what cannot be admitted is not logged",
            what_now="correct it and publish it again",
        )
        self.refusal = refusal
        self.status = {"unauthenticated": 5, "id_reused": 6, "sequence_reused": 6, "out_of_order": 6}.get(
            refusal.code, 7
        )


class RefusedEarlier(ComityError):  # noqa: N818 -- says what the log did
    """
    What an earlier, interrupted call had signed was refused, and nobody has been shown it.

    Attributes:
        refused: each statement, as it was signed, with the refusal.
    """

    def __init__(self, refused: Sequence[tuple[bytes, Refusal]]) -> None:
        first = refused[0][1]
        super().__init__(
            f"of what an earlier, interrupted call had signed, the ledger refused {len(refused)}; "
            f"the first ({first.code}): {f'{first.field}: ' if first.field else ''}{first.what}",
            why="what is refused is not logged; nothing of this call has been signed yet",
            what_now="correct what was refused, if it is still to be said; then publish this again",
        )
        self.refused = refused
        self.status = Refused(first).status


class Rejected(ComityError):  # noqa: N818 -- says what the log did
    """The log recorded a statement as rejected: header, hash and reason stay, the body does not."""

    status = 7

    def __init__(self, receipt: Receipt, detail: str = "") -> None:
        super().__init__(
            f"entry {receipt.index}: rejected ({receipt.reason})",
            why=detail or "it cannot be true of the record",
            what_now="publish a statement that can; the rejection stays visible, without the body",
        )
        self.receipt = receipt


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the ledger would answer: accepted, or a reason with its detail."""

    accepted: bool
    reason: str | None = None
    detail: str = ""


class Client:
    """Publishes for the keys of one folder, through its outbox, into one log; safe from many threads and processes."""

    def __init__(
        self,
        folder: Path,
        sequencer: Callable[[], Sequencer],
        *,
        origin: str,
        catalogue: Catalogue,
        clock: Callable[[], int],
        randomness: Callable[[], bytes],
    ) -> None:
        """
        Publish from *folder*; nothing is opened yet.

        Args:
            folder: where the outbox and the locks of the keys are.
            sequencer: gives what appends; NotPermitted where nothing can be appended.
            origin: of the log.
            catalogue: the acts that can be said.
            clock: microseconds since 1970 UTC, for the ids of statements.
            randomness: gives 10 bytes, for the ids of statements.
        """
        self._folder = folder
        self._sequencer = sequencer
        self._origin = origin
        self._catalogue = catalogue
        self._clock = clock
        self._randomness = randomness
        self._outbox: Outbox | None = None
        self._locks: dict[bytes, threading.Lock] = {}
        self._guard = threading.Lock()
        # Refusals of earlier calls that were shown to whoever called last, by key.
        self._shown: dict[bytes, list[bytes]] = {}

    def close(self) -> None:
        """Forget the refusals that whoever called last was shown: the process ends in order, so they were seen."""
        for key in list(self._shown):
            self._forget_shown(key)

    def publish(self, draft: Draft, signer: Signer) -> Receipt:
        """
        Validate, sign, store in the outbox, send; return the receipt.

        Raises:
            FormatError: the draft cannot be encoded or a value is outside its code list; the
                offending field is named by its path, and nothing was signed.
            Refused: the log did not admit it.
            RefusedEarlier: see ``publish_many``.
            Rejected: the log recorded it as rejected.
            NotPermitted: a draft act outside a simulation, or a ledger open for reading; nothing was signed.
        """
        with closing(self.publish_many([draft], signer, batch=False)) as answers:
            answer = next(answers)
        if isinstance(answer, Refusal):
            raise Refused(answer)
        if not answer.accepted:
            raise Rejected(answer)
        return answer

    def publish_many(
        self, drafts: Iterable[Draft], signer: Signer, *, batch: bool = True
    ) -> Generator[Answer, None, None]:
        """
        Publish many drafts of one signer, in order; yield one answer for each.

        What an earlier, interrupted call had signed is sent first. One publisher of a key at a time:
        exhaust this before the same signer publishes again in the same thread.

        Args:
            drafts: read lazily, ``OUTBOX_ROWS_MAX`` at a time.
            signer: whose statements they are.
            batch: sign ``BATCH_SIZE`` statements together, which is many times faster.

        Raises:
            FormatError, NotPermitted: as ``publish``; the groups before this draft's have been published.
            RefusedEarlier: what the earlier call had signed was sent, and some of it refused, or a refusal of then
                was never shown. None of these drafts was signed; whoever calls again is not told again.
        """
        with self._holding(signer.key.id):
            self._forget_shown(signer.key.id)
            self._resume(signer)
            earlier = self._unshown(signer)
            if earlier:
                raise RefusedEarlier([(row.statement, _refusal(row)) for row in earlier])
            group: list[Draft] = []
            for draft in drafts:
                group.append(draft)
                if len(group) == OUTBOX_ROWS_MAX:
                    yield from self._publish_group(group, signer, batch=batch)
                    group = []
            if group:
                yield from self._publish_group(group, signer, batch=batch)

    def resume(self, signer: Signer) -> list[Answer]:
        """
        Send what an interrupted call had signed and not seen answered; return the answers.

        Refusals of earlier calls that nobody has been shown come first.
        """
        with self._holding(signer.key.id):
            self._forget_shown(signer.key.id)
            answers = self._resume(signer)
            unshown = self._unshown(signer)
            return [*map(_refusal, unshown), *(one for one in answers if isinstance(one, Receipt))]

    def _resume(self, signer: Signer) -> list[Answer]:
        pending = self.outbox.pending(signer.key.id)
        return list(self._send(pending, signer, show=False)) if pending else []

    def _unshown(self, signer: Signer) -> list[Unshown]:
        """
        Return the refusals that nobody has been shown, to be shown now.

        They are forgotten with the next call of this process, when whoever called has surely had them, or when it
        closes the ledger: killed before, they are shown once more.
        """
        with self.outbox.writing() as writing:
            unshown = writing.unshown(signer.key.id)
        if unshown:
            self._shown[signer.key.id] = [row.id for row in unshown]
        return unshown

    def _forget_shown(self, key: bytes) -> None:
        ids = self._shown.pop(key, None)
        if ids:
            with self.outbox.writing() as writing:
                writing.shown(key, ids)

    @property
    def outbox(self) -> Outbox:
        """The outbox of this folder's publishers."""
        if self._outbox is None:
            self._outbox = Outbox(self._folder / "outbox.db")
        return self._outbox

    def validate(self, draft: Draft) -> bytes:
        """
        Return the encoded body of a draft that may be signed.

        Raises:
            FormatError: naming the offending field.
            NotPermitted: a draft act, outside a simulation.
        """
        act = self._catalogue.act(draft.act, draft.version)
        if not act.released and not self._origin.endswith(SIMULATION):
            raise NotPermitted(
                f"{draft.act} is a draft act",
                why="its wording may still change, and a record is for ever",
                what_now="use a released act: `comity publish --template`",
            )
        try:
            body = self._catalogue.encode(draft.act, draft.version, draft.body)
        except FormatError as error:
            raise FormatError(error.what, field=f"body.{error.field}" if error.field else "body") from error
        for fault in self._catalogue.faults(draft.act, draft.version, draft.body):
            raise FormatError(fault.rule, field=f"body.{fault.path}")
        check(self._statement(draft, bytes(16), bytes(32), 0, body, at=0), self._catalogue.codes)
        return body

    def judge(self, draft: Draft, signer: Signer) -> Judgement:
        """
        Say what the ledger would answer to this draft now; nothing is recorded.

        Raises:
            FormatError, NotPermitted: as ``publish``.
        """
        body = self.validate(draft)
        statement = self._statement(
            draft, signer.authority, signer.key.id, self._sequencer().next_sequence(signer.key.id), body
        )
        refused = self._sequencer().try_out(statement, self._catalogue.decode(draft.act, draft.version, body))
        if refused is None:
            return Judgement(accepted=True)
        return Judgement(accepted=False, reason=refused[0], detail=refused[1])

    @contextmanager
    def _holding(self, key: bytes) -> Iterator[None]:
        """
        Be the only one, in any process, who publishes from this folder with this key: sequences have an order.

        Raises:
            NotPermitted: nothing can be appended here.
        """
        self._sequencer()  # before anything is signed that could not be sent
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock, locked(self._folder / f"outbox.{key.hex()[:16]}.lock"):
            yield

    def _statement(
        self, draft: Draft, publisher: bytes, key: bytes, sequence: int, body: bytes, *, at: int | None = None
    ) -> Statement:
        identity = new_id(self._clock() if at is None else at, self._randomness())
        return statement_from(
            draft,
            statement_id=identity,
            ledger=self._origin,
            publisher=publisher,
            key=key,
            sequence=sequence,
            body=body,
        )

    def _publish_group(self, drafts: list[Draft], signer: Signer, *, batch: bool) -> Iterator[Answer]:
        bodies = [self.validate(draft) for draft in drafts]
        key = signer.key.id
        with self.outbox.writing() as writing:
            start = writing.next_sequence(key, self._sequencer().next_sequence(key))
            data = [
                encode_statement(self._statement(draft, signer.authority, key, start + offset, body))
                for offset, (draft, body) in enumerate(zip(drafts, bodies, strict=True))
            ]
            rows = self._sign(data, signer, start, batch=batch)
            writing.put(rows, start + len(rows))
        yield from self._send(rows, signer)

    def _sign(self, statements: list[bytes], signer: Signer, start: int, *, batch: bool) -> list[Outgoing]:
        """Sign statements of consecutive sequences, alone or in batches."""
        key = signer.key
        rows = []
        for first in range(0, len(statements), BATCH_SIZE if batch else 1):
            part = statements[first : first + (BATCH_SIZE if batch else 1)]
            if len(part) == 1:
                places: list[Batch | None] = [None]
                signature = key.sign(signed_message(part[0]))
            else:
                root, paths = batch_paths(part)
                places = [Batch(len(part), place, path) for place, path in enumerate(paths)]
                signature = key.sign(batch_message(len(part), root))
            for offset, (statement, place) in enumerate(zip(part, places, strict=True)):
                rows.append(
                    Outgoing(key.id, start + first + offset, statement[:16], statement, signature, _pack(place))
                )
        return rows

    def _send(self, rows: list[Outgoing], signer: Signer, *, show: bool = True) -> Generator[Answer, None, None]:
        """
        Send stored statements and note their answers; what stands behind a refused one is signed anew.

        With *show*, a refusal is forgotten once the caller has taken it; otherwise it stays unshown.
        """
        order = deque(row.id for row in rows)
        answered: dict[bytes, Answer] = {}
        while rows:
            receipts: list[tuple[Outgoing, Receipt]] = []
            refused: tuple[Outgoing, Refusal] | None = None
            if len(rows) == 1:
                stream: Iterator[Answer] = iter([self._sequencer().submit(_signed(rows[0]))])
            else:
                stream = self._sequencer().submit_many(
                    (_signed(row) for row in rows), workers=spare_cores() if len(rows) >= BATCH_SIZE else 0
                )
            for row, answer in zip(rows, stream, strict=True):
                if isinstance(answer, Receipt):
                    # Also behind a refused one: where this outbox counts too low, a later one may fit.
                    receipts.append((row, answer))
                    answered[row.id] = answer
                else:
                    refused = refused or (row, answer)
            with self.outbox.writing() as writing:
                writing.answer(
                    [(row.key, row.sequence, row.id, receipt.index, receipt.accepted) for row, receipt in receipts]
                )
                rows = []
                if refused is not None:
                    if refused[1].code not in _ORDER_CODES:
                        answered[refused[0].id] = refused[1]
                        writing.refuse(_kept(*refused))
                    rows = self._withdraw(writing, *refused, signer)
            while order and order[0] in answered:
                one = order.popleft()
                taken = answered.pop(one)
                try:
                    yield taken
                finally:
                    # Also where the caller wants no more: it has this one.
                    if show and isinstance(taken, Refusal):
                        with self.outbox.writing() as writing:
                            writing.shown(signer.key.id, [one])

    def _withdraw(self, writing: Writing, row: Outgoing, refusal: Refusal, signer: Signer) -> list[Outgoing]:
        """Take a refused statement out and sign those behind it with the sequences that are free."""
        behind = writing.withdraw(row.key, row.sequence)
        sequence = row.sequence
        if refusal.code in _ORDER_CODES:
            # The log counts otherwise than this outbox (a restored copy, a second one): follow the log.
            # The ids stay, so nothing that the log has already can be recorded twice.
            sequence = self._sequencer().next_sequence(row.key)
        else:
            behind = behind[1:]
        data = [
            encode_statement(replace(decode_statement(item.statement), sequence=sequence + offset))
            for offset, item in enumerate(behind)
        ]
        rows = self._sign(data, signer, sequence, batch=len(data) > 1)
        if rows:
            writing.put(rows, sequence + len(rows))
        else:
            writing.set_next(row.key, sequence)
        return rows


def batch_paths(statements: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Return the RFC 6962 root over *statements* and the path of each; O(n log n) hashes."""
    frontier = Frontier()
    nodes: list[bytes] = []
    for statement in statements:
        nodes += frontier.append(leaf_hash(statement))
    read = lambda ids: [nodes[number] for number in ids]  # noqa: E731 -- one line says it
    size = len(statements)
    return frontier.root(), [tuple(inclusion_path(index, size, read)) for index in range(size)]


def _pack(batch: Batch | None) -> bytes | None:
    if batch is None:
        return None
    return batch.size.to_bytes(4, "big") + batch.index.to_bytes(4, "big") + b"".join(batch.path)


def _kept(row: Outgoing, refusal: Refusal) -> Unshown:
    return Unshown(
        row.key, row.id, row.statement, refusal.code, refusal.what, refusal.field, refusal.expected, refusal.note
    )


def _refusal(row: Unshown) -> Refusal:
    return Refusal(row.code, row.what, row.field, row.expected, row.note)


def _signed(row: Outgoing) -> Signed:
    packed = row.batch
    batch = None
    if packed is not None:
        path = tuple(packed[start : start + 32] for start in range(8, len(packed), 32))
        batch = Batch(int.from_bytes(packed[:4], "big"), int.from_bytes(packed[4:8], "big"), path)
    return Signed(row.statement, row.signature, batch)
