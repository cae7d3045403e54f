"""
The sequencer: admission, acceptance, the append and the seal.

A statement passes four gates::

    admit    size, strict decoding, schema, this ledger, a key, the signature     no lock
    order    a key valid at this index, the id, the next sequence of that key      tree lock
    decide   may this be true of the record? accepted, or rejected with a reason   tree lock
    seal     a signed checkpoint over the new size, shown after the commit         tree lock

What fails before ``decide`` gets a ``Refusal``, signed by the log; it is not logged and consumes
nothing.
What is decided is an entry for ever and gets a ``Receipt``.

Concurrent publishers share transactions (group commit): whoever finds the sequencer free leads,
takes everything that waits, and answers everybody.

The crash argument stands at the lines that it governs, in ``Sequencer._lead``.

It is one long class on purpose: the gates, what they remember and the seal share one lock, one transaction and
one way back when either fails. Whoever changes one of them must have the others before their eyes.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ledger import keys
from ledger.domain import Rejected, Seen, decide, evolve, named_by
from ledger.errors import FormatError, NotVerified, Unavailable
from ledger.frozen import builder
from ledger.law.manifest import rules
from ledger.log.tree import Frontier, stored_count
from ledger.reading import recorded, roster_of
from ledger.signatures import Check, Helper, Pending, Workers
from ledger.signatures import check as check_signatures
from ledger.statement import (
    FORMAT,
    STATEMENT_BYTES_MAX,
    Entry,
    Signed,
    Statement,
    check,
    decode_entry,
    decode_statement,
    encode_entry,
    header_of,
    sha256_of,
    signed_message,
    statement_in,
)
from ledger.store import Row
from ledger.verify import ROSTER_ACTS, Roster, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ledger.acts import Catalogue
    from ledger.domain import Thing
    from ledger.log.tree import SharedPaths
    from ledger.store import Store, Writing
    from ledger.verify import VerifierKey

BATCH_SIZE_MAX: Final = 4096
"""How many statements one signature may cover."""

BATCHES_REMEMBERED: Final = 1024
"""How many batch signatures are remembered as checked."""

CROWD_MIN: Final = 8
"""From so many concurrent publishers on, the leader waits a moment for those who are late."""

PATIENCE_SECONDS: Final = 0.001
"""How long that moment is at most."""

WARY_GROUPS: Final = 1_000
"""After a false signature, for how many groups signatures are waited for before anything is decided."""

FOLDED_IN_MAX: Final = 4_096
"""How many entries of other processes are folded into what is known; beyond that everything is read anew."""

FOUNDED: Final = "ledger.founded"
LOG_KEY_REPLACED: Final = "log_key.replaced"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sequencer allows itself; times in milliseconds, counts in statements."""

    # How long a statement that came before its predecessor is held.
    early_ms_max: int = 250
    # How many statements share one transaction.
    group_size_max: int = 2_048
    # How many statements may wait; beyond it publishers are told to come back.
    waiting_max: int = 20_000
    # How many things, statements and cases are remembered between transactions.
    cache_size_max: int = 50_000


class Seal:
    """The checkpoint that first covers a group, once the group is sealed; and what its proofs have in common."""

    __slots__ = ("note", "paths")

    def __init__(self) -> None:
        """Begin a group."""
        self.note: bytes | None = None
        self.paths: SharedPaths | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    The log's answer to a statement that is in it; accepted, or rejected with a reason code.

    ``entry`` is the leaf that the proof is about, the log's own bytes: nothing else is needed to verify it.
    """

    index: int
    statement_id: bytes
    accepted: bool
    reason: str | None
    recorded_at: int
    entry: bytes = dataclasses.field(repr=False)
    _prove: Callable[[int, Seal], bytes] = dataclasses.field(repr=False, compare=False)
    _seal: Seal = dataclasses.field(repr=False, compare=False)

    @property
    def proof(self) -> bytes:
        """The tlog-proof: index, path and the first checkpoint that covers the entry. Always the same bytes."""
        return self._prove(self.index, self._seal)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The log's answer to what it did not take: a code, where, and what it expected; ``note`` is signed."""

    code: str
    what: str
    field: str = ""
    expected: int | None = None
    note: bytes = dataclasses.field(default=b"", repr=False)


Answer = Receipt | Refusal

_build_entry: Final = builder(Entry)
_build_receipt: Final = builder(Receipt)
_build_row: Final = builder(Row)
_build_seen: Final = builder(Seen)


class Sealer(Protocol):
    """Holds the log keys: signs checkpoints and refusals."""

    def checkpoint(self, size: int, root: bytes, standing: Sequence[VerifierKey]) -> bytes:
        """
        Return a checkpoint signed by every key in *standing*: those that sign this size.

        Raises:
            Unavailable: one of them is not here.
        """

    def published(self, note: bytes) -> None:
        """Take note that this checkpoint is kept, and may be shown to anybody."""

    def refusal(self, refusal: Refusal, signed: Signed, at: int, standing: Sequence[VerifierKey]) -> bytes:
        """
        Return the signed note of a refusal, which names the bytes and the signature that were received.

        Args:
            refusal: what is told.
            signed: what was received.
            at: microseconds since 1970.
            standing: the keys of the log now; none before it was founded.

        Raises:
            Unavailable: the one that would sign it is not here.
        """

    def check(self, standing: Sequence[VerifierKey]) -> None:
        """Raise Unavailable where one of the keys that must sign the next checkpoint is not here."""

    def has(self, public_key: bytes) -> bool:
        """Whether the private half of this key is here."""


class _Refused(Exception):  # noqa: N818 -- carries an answer, not an error
    def __init__(self, code: str, what: str, *, where: str = "", expected: int | None = None) -> None:
        super().__init__(what)
        self.refusal = Refusal(code, what, where, expected)


class _Forged(Exception):  # noqa: N818 -- carries no fault of ours
    """A signature does not hold on which a group has been ordered meanwhile."""


class _Bell:
    """Wakes the one thread that waits for a statement; rung before it waits, it does not wait."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # rung already
            self._lock.release()

    def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=seconds)


class _Waiting:
    """A statement on its way through the gates."""

    __slots__ = (
        "answer",
        "body",
        "failed",
        "message",
        "promoted",
        "public_key",
        "ready",
        "signed",
        "since",
        "statement",
    )

    def __init__(self, signed: Signed) -> None:
        self.signed = signed
        self.statement: Statement | None = None
        self.body: dict[str, Any] = {}
        self.message = b""
        self.public_key: bytes | None = None
        self.answer: Answer | None = None
        self.failed = False
        # Set by whoever answers it, or hands the lead to the thread that waits for it.
        self.ready: _Bell | None = None
        self.promoted = False
        self.since = 0.0

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.answer is not None or self.failed


class _View:
    """What a decision may look at: the log just before the statement's own index, within one transaction."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self.catalogue = sequencer.catalogue

    @property
    def roster(self) -> Roster:
        return self._sequencer.roster

    def thing(self, subject: bytes) -> Thing | None:
        return self._sequencer.thing(subject)

    def recorded(self, statement_id: bytes) -> Seen | None:
        return self._sequencer.seen(statement_id)

    def named_in(self, statement_id: bytes) -> frozenset[bytes]:
        return self._sequencer.named_in(statement_id)

    def ed25519(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return keys.ed25519(public_key, message, signature)


class Sequencer:
    """The one place where statements become entries."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        sealer: Sealer,
        *,
        origin: str,
        clock: Callable[[], int],
        limits: Limits | None = None,
        prove: Callable[[int, Seal], bytes],
        drafts: bool = False,
    ) -> None:
        """
        Start on a store; recovery is the normal path: what was appended and not sealed is sealed.

        Args:
            store: where entries go.
            catalogue: the acts.
            sealer: holds the log keys.
            origin: of this log; statements for another are refused.
            clock: gives microseconds since 1970; the log never records a smaller instant than before.
            limits: see ``Limits``.
            prove: gives the tlog-proof of an index, for receipts.
            drafts: whether draft acts are taken; only under an origin that ends in ``/simulation``.
        """
        self.catalogue = catalogue
        self.roster = Roster()
        self.limits = limits or Limits()
        self._store = store
        self._sealer = sealer
        self._origin = origin
        self._clock = clock
        self._prove = prove
        self._drafts = drafts
        self._rules = rules()
        # Guards the queue and the lead, never held while anything is done.
        self._guard = threading.Condition()
        self._led = False
        # How many publishers there seem to be at a time: the last group and those behind it.
        self._crowd = 0
        self._queue: deque[_Waiting] = deque()
        self._early: list[_Waiting] = []
        self._epoch = -1
        self._size = -1
        self._frontier = Frontier(0, [])
        self._things: dict[bytes, Thing | None] = {}
        self._seen: dict[bytes, Seen] = {}
        self._cases: dict[bytes, int] = {}
        # Accepted in this transaction, with their bodies: the store does not show them yet.
        self._fresh: dict[bytes, tuple[Statement, Mapping[str, Any]]] = {}
        self._sequences: dict[bytes, int] = {}
        self._caches: tuple[dict[bytes, Any], ...] = (self._things, self._seen, self._cases, self._sequences)
        self._batches: dict[Check, bool] = {}
        self._view = _View(self)
        self._helper = Helper()
        # For how many groups more the verdicts on signatures are waited for first.
        self._wary = 0
        self._reload()
        self.seal()

    # --- publishing ---

    def submit(self, signed: Signed) -> Answer:
        """
        Put one signed statement through the gates and wait for the answer.

        Safe from any thread. Repeating the same bytes returns the first answer.

        Raises:
            Unavailable: too many wait, or the store is held by another process.
        """
        item = _Waiting(signed)
        item.since = time.monotonic()
        self._wait([item])
        assert item.answer is not None
        return item.answer

    def submit_many(self, statements: Iterable[Signed], *, workers: int = 0) -> Iterator[Answer]:
        """
        Put many signed statements through the gates, in order; yield their answers in order.

        Args:
            statements: read lazily, two groups ahead.
            workers: how many processes check signatures besides this one.

        Cost: memory for three groups.
        """
        with Workers(workers) as pool:
            ahead: deque[tuple[list[_Waiting], list[_Waiting], Pending]] = deque()
            for group in _groups(statements, self.limits.group_size_max):
                waiting = [_Waiting(signed) for signed in group]
                to_check = self._admit_many(waiting)
                ahead.append((waiting, to_check, pool.check(_checks(to_check))))
                if len(ahead) > 2:
                    yield from self._settle(*ahead.popleft())
            while ahead:
                yield from self._settle(*ahead.popleft())

    def _settle(self, group: list[_Waiting], to_check: list[_Waiting], pending: Pending) -> Iterator[Answer]:
        self._judge_signatures(to_check, pending.result())
        undecided = [item for item in group if item.answer is None]
        for item in undecided:
            item.since = float("-inf")  # whoever sends in bulk sends in order: none is held
        if undecided:
            self._wait(undecided)
            # A long group may have shared two transactions, of which the first failed.
            if any(item.answer is None for item in undecided):
                raise Unavailable(
                    "some statements of this group could not be written",
                    what_now="submit them again: repeating is harmless",
                )
        for item in group:
            assert item.answer is not None
            yield item.answer

    def _wait(self, items: list[_Waiting]) -> None:
        """
        Queue *items* and wait until the last has its answer.

        Nobody leading: this thread leads. Somebody leading: he takes them along, or hands the lead
        to this thread when he is done.
        """
        last = items[-1]
        last.ready = _Bell()
        with self._guard:
            if len(self._queue) + len(items) > self.limits.waiting_max:
                raise Unavailable("too many statements wait", what_now="submit again in a moment; nothing was recorded")
            self._queue.extend(items)
            lead = not self._led
            self._led = True
            if self._crowd >= CROWD_MIN and len(self._queue) >= self._crowd:
                self._guard.notify_all()
        while True:
            if lead:
                try:
                    self._lead()
                finally:
                    self._hand_over()
            if last.failed:
                raise Unavailable(
                    "the group of this statement could not be written",
                    what_now="submit it again: repeating is harmless",
                )
            if last.answer is not None:
                return
            last.ready.wait(self.limits.early_ms_max / 1000)
            # Answered; handed the lead; or held because its predecessor is missing, and the moment is over.
            with self._guard:
                lead = last.promoted or not (self._led or last.done)
                last.promoted = False
                self._led = self._led or lead

    def _hand_over(self) -> None:
        with self._guard:
            for item in self._queue:
                if item.ready is not None:
                    item.promoted = True
                    item.ready.ring()
                    return
            self._led = False
            self._guard.notify_all()

    @contextmanager
    def _leading(self) -> Iterator[None]:
        """Hold the lead without publishing anything."""
        with self._guard:
            while self._led:
                self._guard.wait()
            self._led = True
        try:
            yield
        finally:
            self._hand_over()

    # --- the first gate, outside the tree lock ---

    def _admit(self, item: _Waiting) -> None:
        """Decode and check one statement, all but its signature; raise ``_Refused`` otherwise."""
        data = item.signed.statement
        if len(data) > STATEMENT_BYTES_MAX:
            raise _Refused(
                "too_large", f"the statement is {len(data):,} bytes long; at most {STATEMENT_BYTES_MAX:,} are taken"
            )
        try:
            statement = decode_statement(data)
            if statement.ledger != self._origin:
                raise _Refused(
                    "wrong_ledger",
                    f"the statement is for {statement.ledger[:128]!r}, this log is {self._origin}",
                    where="ledger",
                )
            check(statement, self.catalogue.codes)
            act = self.catalogue.act(statement.act, statement.version)
            if not act.released and not self._drafts:
                raise _Refused(
                    "draft_act", f"{statement.act} is a draft; this ledger takes released acts alone", where="act"
                )
            try:
                item.body = self.catalogue.decode(statement.act, statement.version, statement.body)
            except FormatError as error:
                raise FormatError(error.what, field=f"body.{error.field}" if error.field else "body") from error
            batch = item.signed.batch
            if batch is not None and not 0 < batch.size <= BATCH_SIZE_MAX:
                raise FormatError(
                    f"is {batch.size}; a batch holds 1 to {BATCH_SIZE_MAX} statements", field="batch.size"
                )
            if len(item.signed.signature) != 64:
                raise FormatError("is not 64 bytes long", field="signature")
            item.message = signed_message(data, batch)
        except FormatError as error:
            raise _Refused("malformed", error.what, where=error.field) from error
        except NotVerified as error:
            raise _Refused("malformed", error.what, where="batch.path") from error
        item.statement = statement
        item.public_key = self._public_key(statement, item.body)

    def _admit_many(self, group: list[_Waiting]) -> list[_Waiting]:
        """Admit a group; return those whose own signatures must be checked. Batches are checked here."""
        to_check = []
        for item in group:
            try:
                self._admit(item)
                if item.public_key is None:
                    continue
                if item.signed.batch is None:
                    to_check.append(item)
                elif not self._batch_holds(item):
                    raise _Refused("unauthenticated", "the signature of the batch does not hold", where="signature")
            except _Refused as refused:
                self._refuse(item, refused)
        return to_check

    def _judge_signatures(self, items: list[_Waiting], verdicts: bytes) -> None:
        for item, holds in zip(items, verdicts, strict=True):
            if not holds:
                self._refuse(item, _Refused("unauthenticated", "the signature does not hold", where="signature"))

    def _refuse(self, item: _Waiting, refused: _Refused) -> None:
        """Answer with a refusal, signed by the log."""
        refusal = refused.refusal
        note = self._sealer.refusal(refusal, item.signed, self._clock(), self.roster.log_keys)
        item.answer = Refusal(refusal.code, refusal.what, refusal.field, refusal.expected, note)
        if item.ready is not None:
            item.ready.ring()

    def _batch_holds(self, item: _Waiting) -> bool:
        """Check a batch signature once for all its members: the message names size and root."""
        assert item.public_key is not None
        one = (item.public_key, item.message, item.signed.signature)
        holds = self._batches.get(one)
        if holds is None:
            if len(self._batches) >= BATCHES_REMEMBERED:
                self._batches.clear()
            holds = self._batches[one] = keys.ed25519(*one)
        return holds

    def _holds(self, item: _Waiting) -> bool:
        assert item.public_key is not None
        if item.signed.batch is not None:
            return self._batch_holds(item)
        return keys.ed25519(item.public_key, item.message, item.signed.signature)

    def _public_key(self, statement: Statement, body: Mapping[str, Any]) -> bytes | None:
        standing = self.roster.key(statement.key)
        if standing is not None:
            return standing.public_key
        if statement.act == FOUNDED:
            public: bytes = body["operator_key"]
            return public if keys.key_id(public) == statement.key else None
        return None

    # --- the gates under the tree lock ---

    def _lead(self) -> None:
        """Take what waits and give each its answer; the caller holds the lead."""
        with self._guard:
            if self._crowd >= CROWD_MIN:
                # Those just answered are about to come back: a moment's patience lets all share one
                # transaction and one seal, instead of two halves taking turns.
                self._guard.wait_for(lambda: len(self._queue) >= self._crowd, PATIENCE_SECONDS)
            group, self._early = self._early, []
            group += [self._queue.popleft() for _ in range(min(len(self._queue), self.limits.group_size_max))]
        seal = Seal()
        try:
            unread = self._admit_many([item for item in group if item.statement is None])
            checking = self._helper.begin(_checks(unread))
            ahead = not checking.done and not self._wary and not any(map(_of_roster, unread))
            if not ahead:
                self._wary = max(0, self._wary - 1)
                self._judge_signatures(unread, checking.result())
            try:
                written = self._write(group, seal, checking.result if ahead else None)
            except _Forged:
                # All was rolled back. Whoever signs falsely makes the others wait once; then, for a while,
                # signatures come first.
                self._size, self._wary = -1, WARY_GROUPS
                self._judge_signatures(unread, check_signatures(_checks(unread)))
                written = self._write(group, seal, None)
            if written is None:
                return
            size, answers = written
            # Committed: entries and checkpoint together. A crash before this line leaves the log as
            # it was: nobody was answered, the checkpoint was shown to nobody, and whoever repeats
            # his statement is judged as if for the first time. A crash after it loses only answers:
            # whoever repeats his statement gets the receipt that he did not get.
            self._size = size
            if seal.note is not None:
                self._sealer.published(seal.note)
                self._trim()
        except BaseException:
            # Whether it was stored is for the store to say: everything is folded anew, and everybody
            # is told to repeat his statement, which is harmless in either case.
            self._size = -1
            for item in group:
                if item.answer is None:
                    item.failed = True
                    if item.ready is not None:
                        item.ready.ring()
            raise
        self._crowd = max(len(group) + len(self._queue), self._crowd * 3 // 4)
        for item, answer in answers:
            if isinstance(answer, _Refused):
                self._refuse(item, answer)
            else:
                item.answer = answer
                if item.ready is not None:
                    item.ready.ring()

    def _write(
        self, group: list[_Waiting], seal: Seal, verdicts: Callable[[], bytes] | None
    ) -> tuple[int, list[tuple[_Waiting, Receipt | _Refused]]] | None:
        """
        Order, decide, append and seal in one transaction; return the size and the answers, None if nobody is left.

        Args:
            group: of which those answered already are passed over.
            seal: takes the checkpoint.
            verdicts: of signatures that are being checked meanwhile; asked for before anything is sealed.

        Raises:
            _Forged: one of them does not hold; nothing was written, and the caches must be read anew.
        """
        admitted = [item for item in group if not item.done]
        if not admitted:
            return None
        with self._store.writing() as writing:
            if writing.size != self._size:
                self._catch_up(writing.size)
            # Another process may have appended that a key was replaced: nothing is judged that cannot be sealed.
            self._sealer.check(self.roster.log_keys)
            answers = self._order(writing, admitted, seal)
            if verdicts is not None and not all(verdicts()):
                raise _Forged
            if writing.size != self._size:
                seal.note = self._seal(writing)
        return writing.size, answers

    def _order(self, writing: Writing, group: list[_Waiting], seal: Seal) -> list[tuple[_Waiting, Receipt | _Refused]]:
        """Judge a group in order of arrival and append what is decided; return the answers."""
        self._fresh.clear()
        known = self._prefetch(writing, group)
        answers: list[tuple[_Waiting, Receipt | _Refused]] = []
        rows: list[Row] = []
        leaves: list[bytes] = []
        nodes: list[tuple[int, bytes]] = []
        moved: dict[bytes, int] = {}
        number = stored_count(writing.size)
        recorded_at = max(self._clock(), writing.recorded_at)
        now = time.monotonic()
        hold = self.limits.early_ms_max / 1000
        early: list[_Waiting] = []
        todo = group
        while todo:
            before = len(rows)
            for item in todo:
                statement = item.statement
                assert statement is not None
                index = writing.size + len(rows)
                try:
                    first = known.get(statement.id)
                    if first is not None:
                        answers.append((item, self._again(first, item, rows, writing.size, seal)))
                        continue
                    self._authenticate(item, statement, index)
                    expected = moved.get(statement.key)
                    if expected is None:
                        expected = self._sequences[statement.key]
                    if statement.sequence != expected:
                        if statement.sequence < expected:
                            raise _Refused(
                                "sequence_reused",
                                f"this key has already used sequence {statement.sequence}",
                                where="sequence",
                                expected=expected,
                            )
                        if now - item.since < hold:
                            early.append(item)
                            continue
                        raise _Refused(
                            "out_of_order",
                            f"this key's next sequence is {expected}, the statement has {statement.sequence}",
                            where="sequence",
                            expected=expected,
                        )
                    row, receipt = self._decide(item, statement, index, recorded_at, seal)
                except _Refused as refused:
                    answers.append((item, refused))
                    continue
                leaf = leaf_hash(row.entry)
                for node in self._frontier.append(leaf):
                    nodes.append((number, node))
                    number += 1
                rows.append(row)
                leaves.append(leaf)
                moved[statement.key] = expected + 1
                known[statement.id] = index
                answers.append((item, receipt))
            # Somebody's predecessor may just have come: go round again until nothing moves.
            todo, early = (early, []) if len(rows) > before else ([], early)
        self._early = early
        writing.append(rows, nodes, moved, leaves, recorded_at)
        self._sequences.update(moved)
        return answers

    def _prefetch(self, writing: Writing, group: list[_Waiting]) -> dict[bytes, int]:
        """Ask the store once for what a group needs; return the index of each statement that it has already."""
        statements = [item.statement for item in group if item.statement is not None]
        subjects = {statement.subject for statement in statements if statement.subject not in self._things}
        present = writing.streams(subjects)
        self._things.update((subject, None) for subject in subjects if subject not in present)
        cases = {statement.case for statement in statements if statement.case not in self._cases}
        self._cases.update(writing.case_sizes(cases))
        signing = {statement.key for statement in statements if statement.key not in self._sequences}
        self._sequences.update(writing.next_sequences(signing))
        return writing.known([statement.id for statement in statements])

    def _authenticate(self, item: _Waiting, statement: Statement, index: int) -> None:
        """Check that the key is the publisher's and valid at this index."""
        if statement.act == FOUNDED and index == 0:
            if item.public_key is None:
                raise _Refused(
                    "unauthenticated", "entry 0 must be signed by the operator key that it names", where="key"
                )
            return
        standing = self.roster.key(statement.key)
        if standing is None:
            raise _Refused("unauthenticated", "no authority of this ledger has this key", where="key")
        if self.roster.verdict(statement.key, index) not in {"valid", "contested"}:
            raise _Refused("unauthenticated", "this key has been revoked, replaced or retired", where="key")
        if standing.authority != statement.publisher:
            raise _Refused(
                "unauthenticated", "this key belongs to another authority than the publisher named", where="publisher"
            )
        if item.public_key is None:
            # The key was certified while the statement was on its way.
            item.public_key = standing.public_key
            if not self._holds(item):
                raise _Refused("unauthenticated", "the signature does not hold", where="signature")

    def _again(self, index: int, item: _Waiting, rows: list[Row], size: int, seal: Seal) -> Receipt:
        """Answer a statement whose id is in the log: the first answer if it is the same, else a refusal."""
        fresh = index >= size
        kept = rows[index - size].entry if fresh else self._store.entry(index)
        entry = decode_entry(kept)
        data = item.signed.statement
        same = entry.statement == data if entry.statement_sha256 is None else entry.statement_sha256 == sha256_of(data)
        if not same:
            raise _Refused("id_reused", f"entry {index} has this id and other content", where="id")
        return Receipt(
            index,
            data[:16],
            entry.accepted,
            entry.reason,
            entry.recorded_at,
            kept,
            self._prove,
            seal if fresh else Seal(),
        )

    def _decide(
        self, item: _Waiting, statement: Statement, index: int, recorded_at: int, seal: Seal
    ) -> tuple[Row, Receipt]:
        """Decide one admitted statement and make its entry."""
        body, signed = item.body, item.signed
        decision = decide(self._view, index, statement, body)
        if isinstance(decision, Rejected):
            # Header, hash and reason stay; the body does not: a name in a wrong field must not become permanent.
            kept, digest, reason = (
                header_of(signed.statement, statement.body),
                sha256_of(signed.statement),
                decision.reason,
            )
            stream, version, case, case_version = f"rejected/{statement.id.hex()}", 0, None, 0
        else:
            if statement.act == LOG_KEY_REPLACED and not self._sealer.has(body["public_key"]):
                # From this entry on it must sign. Were the act recorded here, nothing could be sealed.
                raise _Refused("unavailable", "the new key of the log is not among the keys of this service yet")
            kept, digest, reason = signed.statement, None, None
            thing = self.thing(statement.subject)
            case, case_version = statement.case, self._cases[statement.case]
            stream, version = statement.subject.hex(), 0 if thing is None else thing.acts
            self._things[statement.subject] = evolve(thing, index, statement, body)
            self._fresh[statement.id] = statement, body
            if statement.act in ROSTER_ACTS:
                self.roster.fold(index, statement, body)
            self._cases[statement.case] = case_version + 1
        accepted = reason is None
        entry = encode_entry(
            _build_entry(
                FORMAT,
                kept,
                digest,
                "ed25519",
                signed.signature,
                signed.batch,
                recorded_at,
                "accepted" if accepted else "rejected",
                reason,
                self._rules,
                version if accepted else None,
                case_version if accepted else None,
            )
        )
        self._remember(statement, index, rejected=not accepted)
        row = _build_row(index, stream, version, statement.act, entry, statement.id, case, case_version)
        return row, _build_receipt(index, statement.id, accepted, reason, recorded_at, entry, self._prove, seal)

    # --- what decisions look at ---

    def thing(self, subject: bytes) -> Thing | None:
        """Return what a stream folds into, now; None when no accepted act created it."""
        try:
            return self._things[subject]
        except KeyError:
            thing: Thing | None = None
            for index, data in self._store.stream_entries(subject):
                act = recorded(index, data, self.catalogue)
                assert act.body is not None
                thing = evolve(thing, index, act.statement, act.body)
            self._things[subject] = thing
            return thing

    def seen(self, statement_id: bytes) -> Seen | None:
        """Return what is known of a statement in the log."""
        found = self._seen.get(statement_id)
        if found is None:
            index = self._store.index_of(statement_id)
            if index is None:
                return None
            entry = decode_entry(self._store.entry(index))
            found = self._remember(statement_in(entry), index, rejected=not entry.accepted)
        return found

    def named_in(self, statement_id: bytes) -> frozenset[bytes]:
        """Return the authorities that an accepted statement names."""
        fresh = self._fresh.get(statement_id)
        if fresh is not None:
            return frozenset(named_by(*fresh))
        index = self._store.index_of(statement_id)
        if index is None:
            return frozenset()
        act = recorded(index, self._store.entry(index), self.catalogue)
        return frozenset() if act.body is None else frozenset(named_by(act.statement, act.body))

    def _remember(self, statement: Statement, index: int, *, rejected: bool) -> Seen:
        seen = _build_seen(index, statement.act, statement.publisher, statement.subject, statement.case, rejected)
        self._seen[statement.id] = seen
        return seen

    def _trim(self) -> None:
        """Keep the caches within their limit; whatever is dropped is read again when it is needed."""
        for cache in self._caches:
            excess = len(cache) - self.limits.cache_size_max
            if excess > 0:
                for key in [
                    key for key, _ in zip(cache, range(excess + self.limits.cache_size_max // 10), strict=False)
                ]:
                    del cache[key]

    def close(self) -> None:
        """End the helper process; the sequencer must not be used afterwards."""
        self._helper.close()

    # --- asking without publishing ---

    def current(self, subject: bytes) -> Thing | None:
        """Return what a stream folds into, with what other processes have appended; from any thread."""
        with self._leading():
            self._refresh()
            return self.thing(subject)

    def next_sequence(self, key: bytes) -> int:
        """Return the sequence that a signing key must use next."""
        return self._store.next_sequence(key)

    def try_out(self, statement: Statement, body: dict[str, Any]) -> tuple[str, str] | None:
        """Return why this statement would be refused or rejected now (code, detail); None if accepted."""
        with self._leading():
            self._refresh()
            item = _Waiting(Signed(b"", bytes(64)))
            item.public_key = b""  # nothing is signed yet
            try:
                self._authenticate(item, statement, self._size)
            except _Refused as refused:
                return refused.refusal.code, refused.refusal.what
            decision = decide(self._view, self._size, statement, body)
            return (decision.reason, decision.detail) if isinstance(decision, Rejected) else None

    def refresh(self) -> None:
        """Take in what other processes have appended."""
        with self._leading():
            self._refresh()

    def _refresh(self) -> None:
        size = self._store.size()
        if size != self._size:
            self._catch_up(size)

    # --- the seal ---

    def _catch_up(self, size: int) -> None:
        """Take in what other processes have appended, up to *size*; only after much of it all is read anew."""
        if not 0 <= self._size < size <= self._size + FOLDED_IN_MAX:
            self._reload()
            return
        start, self._size = self._size, -1  # until all is folded in
        self._fresh.clear()
        for index, data in self._store.entries(start, size - start):
            act = recorded(index, data, self.catalogue)
            entry, statement = act.entry, act.statement
            self._frontier.append(leaf_hash(data))
            self._sequences[statement.key] = statement.sequence + 1
            self._remember(statement, index, rejected=not entry.accepted)
            if act.body is not None:
                subject = statement.subject
                if subject in self._things:
                    self._things[subject] = evolve(self._things[subject], index, statement, act.body)
                self._cases[statement.case] = (entry.case_version or 0) + 1
                self.roster.fold(index, statement, act.body)
        self._size = size
        self._trim()

    def _reload(self) -> None:
        """Forget everything; fold the roster and the edge of the tree from the store."""
        for cache in self._caches:
            cache.clear()
        self._fresh.clear()
        self._epoch = -1
        self.roster = roster_of(self._store.roster(), self.catalogue)
        self._size = self._store.size()
        self._frontier = Frontier.load(self._size, self._store.hashes)

    def seal(self) -> None:
        """Sign a checkpoint over the present size, unless there is one, and publish the newest."""
        with self._leading():
            with self._store.writing() as writing:
                self._refresh()
                if not self._size:
                    return
                note = self._store.checkpoint(self._size) or self._seal(writing)
            self._sealer.published(note)

    def _seal(self, writing: Writing) -> bytes:
        """Sign and keep a checkpoint over the tree as it stands in this transaction; return the one kept."""
        size, root = self._frontier.size, self._frontier.root()
        if writing.epoch != self._epoch:
            # Another process has sealed since. This one holds the tree lock, and has folded what
            # the other appended: it takes the lease, which fences whoever still believes to hold it.
            self._epoch = writing.take_lease()
        note = self._sealer.checkpoint(size, root, self.roster.log_keys_at(size))
        return writing.seal(size, root, note, self._epoch)


def _checks(items: Iterable[_Waiting]) -> list[Check]:
    return [(item.public_key or b"", item.message, item.signed.signature) for item in items]


def _of_roster(item: _Waiting) -> bool:
    """Whether it may change who is believed: the roster may be looked at before a group is committed."""
    return item.statement is None or item.statement.act in ROSTER_ACTS


def _groups(statements: Iterable[Signed], size: int) -> Iterator[list[Signed]]:
    group: list[Signed] = []
    for signed in statements:
        group.append(signed)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
