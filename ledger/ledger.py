"""
The front of an embedded ledger: one folder, one object.

    >>> ledger = Ledger.open(folder)  # doctest: +SKIP
    >>> receipt = ledger.publish(draft, signer)  # doctest: +SKIP
    >>> receipt.index, receipt.proof  # doctest: +SKIP

======================= =================================================================
file of the folder      what it is
======================= =================================================================
``ledger.db``           the log: entries, tree, checkpoints (``ledger.store.sqlite``)
``store``               instead of it, where the log is in PostgreSQL: its address
``checkpoint``          the newest signed checkpoint, as a witness would hold it
``log.key``             the log's Ed25519 key; ``log.mldsa.key`` its ML-DSA-44 key
``outbox.db``           what was signed here and has no answer yet (``ledger.store.outbox``)
``projections.db``      what people look at; disposable
======================= =================================================================
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from binascii import b2a_base64
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from ledger.acts import Catalogue, catalogue
from ledger.errors import ComityError, Conflict, FormatError, NotFound, NotPermitted
from ledger.keys import LogKeys, PrivateKey, Signer
from ledger.law.editions import keep
from ledger.law.manifest import rules
from ledger.log.checkpoint import log_signer, sign_checkpoint
from ledger.log.tree import Frontier, SharedPaths, consistency_path, inclusion_path, root_at
from ledger.sequencer import Answer, Limits, Receipt, Refusal, Seal, Sequencer
from ledger.statement import (
    Batch,
    Draft,
    Signed,
    Statement,
    Visibility,
    batch_message,
    check,
    encode_statement,
    new_id,
    random_id,
    sha256_of,
    signed_message,
    statement_from,
)
from ledger.store import POSTGRES, STORE_FILE, Store, address_in, check_address, open_store
from ledger.store.outbox import Outbox, Outgoing, Unshown
from ledger.store.outbox import Writing as OutboxWriting
from ledger.verify import (
    Checkpoint,
    Note,
    NoteSignature,
    Proof,
    Roster,
    format_note,
    format_proof,
    format_vkey,
    join_proof,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    possession_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from ledger.domain import Thing

BATCH_SIZE: Final = 256
"""How many statements ``publish_many`` signs together."""

OUTBOX_ROWS_MAX: Final = 1024
"""How many statements are made durable, and sent, at a time."""

DURABLE_SECONDS: Final = 1.0
"""How often the published checkpoint is forced to the disk while statements are published."""

SIMULATION: Final = "/simulation"


def system_clock() -> int:
    """Return the present instant, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Root:
    """A root of trust at the founding: whose it is, the authority, its key, and what it may enrol."""

    holder: str
    authority: bytes
    public_key: bytes
    possession: bytes
    enrolls: str = "country"

    @classmethod
    def of(cls, holder: str, signer: Signer, origin: str, enrolls: str = "country") -> Root:
        """Make the root of *signer*, with its proof of possession for the ledger *origin*."""
        proof = signer.key.sign(possession_message(origin, signer.authority, signer.key.public))
        return cls(holder, signer.authority, signer.key.public, proof, enrolls)


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


class _Sealer:
    """Signs with the log's keys under its origin."""

    def __init__(
        self, origin: str, log_keys: LogKeys, clock: Callable[[], int], published: Callable[[bytes], None]
    ) -> None:
        self._origin = origin
        self._clock = clock
        self._first = log_signer(origin, "ed25519", log_keys.ed25519.public, log_keys.ed25519.sign)
        self._second = log_signer(origin, "ml_dsa_44", log_keys.mldsa44_public, log_keys.mldsa44.sign)
        self.published = published

    def checkpoint(self, size: int, root: bytes) -> bytes:
        at = max(0, self._clock() // 1_000_000)
        return sign_checkpoint(Checkpoint(self._origin, size, root), (self._first, self._second), at=at)

    def refusal(self, refusal: Refusal, signed: Signed, at: int) -> bytes:
        # Whoever has the bytes of a statement may send them with another signature, or under another place in a
        # batch: what is refused then must not pass for a refusal of what their publisher sent.
        batch = signed.batch
        lines = (
            "comity.refusal/v1",
            self._origin,
            sha256_of(signed.statement).hex(),
            sha256_of(signed.signature).hex(),
            "-" if batch is None else f"{batch.size} {batch.index} {sha256_of(b''.join(batch.path)).hex()}",
            refusal.code,
            refusal.field or "-",
            "-" if refusal.expected is None else str(refusal.expected),
            str(at),
        )
        text = "\n".join(lines) + "\n"
        signature = self._first.sign(text.encode())
        return format_note(Note(text, (NoteSignature(self._origin, self._first.key.key_id, signature),)))


class Ledger:
    """A ledger in a folder: publish, prove, read."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        *,
        origin: str,
        log_keys: LogKeys | None,
        clock: Callable[[], int],
        limits: Limits | None = None,
    ) -> None:
        """Use ``Ledger.found`` or ``Ledger.open``; without *log_keys* the ledger can only be read."""
        self.folder = folder
        self.store = store
        self.origin = origin
        self.clock = clock
        self.catalogue: Catalogue = catalogue()
        self._locks: dict[bytes, threading.Lock] = {}
        self._guard = threading.Lock()
        self._outbox: Outbox | None = None
        self._sequencer: Sequencer | None = None
        self._published: tuple[int, int] | None = None
        # Refusals of earlier calls that were shown to whoever called last, by key.
        self._shown: dict[bytes, list[bytes]] = {}
        # When the published checkpoint was last forced to the disk, and whether one was written since.
        self._durable_at: float | None = None
        self._written = False
        if log_keys is not None:
            sealer = _Sealer(origin, log_keys, clock, self._publish_checkpoint)
            self._check_not_behind()
            self._sequencer = Sequencer(
                store,
                self.catalogue,
                sealer,
                origin=origin,
                clock=clock,
                limits=limits,
                prove=self._proof_of_receipt,
                drafts=origin.endswith(SIMULATION),
            )
            self._keep_edition()

    def _keep_edition(self) -> None:
        """
        Keep the law under which entries are judged from now on: they name it by its hash.

        Cost: a copy of about one megabyte for the first of its release, else one look.
        """
        archive = self.folder / "law"
        if not (archive / rules().hex()).is_dir():
            # Whoever may publish need not be able to write beside the store; the law is the release's all the same.
            with suppress(OSError):
                keep(archive)

    # --- founding and opening ---

    @classmethod
    def found(
        cls,
        folder: Path,
        *,
        origin: str,
        operator: Signer,
        roots: Sequence[Root],
        store: str | None = None,
        log_keys: LogKeys | None = None,
        quorum: int | None = None,
        clock: Callable[[], int] = system_clock,
        ledger_id: bytes | None = None,
        limits: Limits | None = None,
    ) -> Ledger:
        """
        Found a ledger: make its folder, its keys and entry 0.

        Args:
            folder: must not hold a ledger yet.
            origin: the name of the log for ever; URL-like, such as ``ledger.example.org/2026``.
            operator: signs entry 0; may enrol nobody.
            roots: the founding roots, each with its proof of possession.
            store: the address of a PostgreSQL database to keep the log in; a file of the folder when None.
            log_keys: made anew when None.
            quorum: how many founding roots replace or admit a root; a majority when None.
            clock: the log's clock; a simulated one only under an origin that ends in ``/simulation``.
            ledger_id: 16 bytes; random when None.
            limits: see ``Limits``.

        Raises:
            Conflict: the folder holds a ledger.
            FormatError: the origin cannot be one.
        """
        check_origin(origin)
        if clock is not system_clock and not origin.endswith(SIMULATION):
            raise NotPermitted(
                f"{origin} is not a simulation",
                why="a simulated clock would give false instants",
                what_now=f"choose an origin that ends in {SIMULATION}",
            )
        if store is not None:
            check_address(store)
        if (folder / "ledger.db").exists() or (folder / "checkpoint").exists():
            raise Conflict(
                f"{folder} holds a ledger already",
                why="a log is founded once; a second entry 0 would be another log",
                what_now="open it, or name another folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "log.key").exists():
            # Of a founding that was interrupted or not accepted: a key file is never replaced.
            kept = LogKeys.load(folder)
            if log_keys is not None and log_keys.ed25519 != kept.ed25519:
                raise Conflict(
                    f"{folder} holds other log keys", what_now="name another folder, or found with these keys"
                )
            log_keys = kept
        else:
            log_keys = log_keys or LogKeys.generate()
            log_keys.save(folder)
        kept_in = open_store(store or folder / "ledger.db")
        if kept_in.size():
            kept_in.close()
            raise Conflict(
                "this database holds a ledger already",
                why="a log is founded once; a second entry 0 would be another log",
                what_now="open it, or name another database or schema",
            )
        if store is not None:
            (folder / STORE_FILE).write_text(store + "\n", encoding="utf-8")
        ledger = cls(folder, kept_in, origin=origin, log_keys=log_keys, clock=clock, limits=limits)
        ledger_id = ledger_id or random_id()
        now = clock()
        founding = Draft(
            act="ledger.founded",
            case=ledger_id,
            subject=ledger_id,
            occurred_from=now,
            occurred_until=now,
            visibility=Visibility(ring="public"),
            body={
                "origin": origin,
                "log_keys": [
                    {"algorithm": "ed25519", "public_key": log_keys.ed25519.public},
                    {"algorithm": "ml_dsa_44", "public_key": log_keys.mldsa44_public},
                ],
                "operator": operator.authority,
                "operator_key": operator.key.public,
                "roots": [
                    {
                        "holder": root.holder,
                        "authority": root.authority,
                        "public_key": root.public_key,
                        "possession": root.possession,
                        "enrolls": root.enrolls,
                    }
                    for root in roots
                ],
                "quorum": len(roots) // 2 + 1 if quorum is None else quorum,
            },
        )
        try:
            # Judged before it is published: a log whose entry 0 is a rejection could never be one.
            judged = ledger.judge(founding, operator)
            if not judged.accepted:
                raise NotPermitted(
                    f"the ledger was not founded ({judged.reason})",
                    why=judged.detail,
                    what_now="correct the roots, and found it again",
                )
            with ledger.outbox.writing() as writing:
                # What an interrupted founding had signed was never answered: it is not sent after all.
                writing.withdraw(operator.key.id, 0)
            ledger.publish(founding, operator)
        except (ComityError, FormatError):
            # Nobody has seen this log: the next founding begins from nothing, under the same keys.
            ledger.close()
            (folder / "ledger.db").unlink(missing_ok=True)
            (folder / STORE_FILE).unlink(missing_ok=True)
            (folder / "checkpoint").unlink(missing_ok=True)
            raise
        return ledger

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Callable[[], int] = system_clock,
        read_only: bool = False,
        limits: Limits | None = None,
    ) -> Ledger:
        """
        Open the ledger in *folder*.

        Whoever has the log keys may append; without them, or *read_only*, it can be read and
        verified.

        Raises:
            NotFound: there is no ledger.
            Conflict: the store is behind a checkpoint that this folder has published.
        """
        address = address_in(folder)
        read_only = read_only or not (folder / "log.key").exists()
        if address is None:
            raise NotFound(
                f"there is no ledger in {folder}",
                what_now="name its folder with --ledger, or found one with `comity init`",
            )
        store = open_store(address, read_only=read_only)
        if store.size() == 0:
            store.close()
            published = folder / "checkpoint"
            if published.exists() and published.stat().st_size:
                raise Conflict(
                    f"the store of {folder} is empty, yet this log has begun",
                    why=f"{published} was published over {_size_of(published.read_bytes())} entries",
                    what_now="see that the store is the right one; if it was lost, `comity restore`",
                )
            raise NotFound(
                f"the ledger in {folder} was never founded",
                why="the founding was interrupted",
                what_now="found it again" if address.startswith(POSTGRES) else "remove ledger.db and found it again",
            )
        from ledger.reading import recorded  # noqa: PLC0415 -- only to read entry 0

        founded = recorded(0, store.entry(0), catalogue()).body
        assert founded is not None
        origin: str = founded["origin"]
        if clock is not system_clock and not origin.endswith(SIMULATION):
            raise NotPermitted(f"{origin} is not a simulation", why="a simulated clock would give false instants")
        log_keys = None if read_only else LogKeys.load(folder)
        return cls(folder, store, origin=origin, log_keys=log_keys, clock=clock, limits=limits)

    def close(self) -> None:
        """End the sequencer and close the store."""
        if self._sequencer is not None:
            self._sequencer.close()
            self._make_durable()
        for key, ids in self._shown.items():
            with self.outbox.writing() as writing:
                writing.shown(key, ids)
        self._shown.clear()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sequencer(self) -> Sequencer:
        """The sequencer; NotPermitted where the ledger was opened for reading."""
        if self._sequencer is None:
            raise NotPermitted("this ledger was opened for reading", what_now="open it where its log keys are")
        return self._sequencer

    # --- the checkpoint beside the store ---

    def _publish_checkpoint(self, note: bytes) -> None:
        """
        Put the checkpoint beside the store, before anybody is answered: an older copy restored is then noticed.

        The store is the truth and durable; this file is its public copy. It is replaced whole, and whoever reads
        it, or kills this process, finds one checkpoint or the next. It is forced to the disk, with the name
        that leads to it, when the ledger is opened and closed and once in ``DURABLE_SECONDS``: doing so for every
        group of publishers would cost two more waits for the disk beside the store's own. So a power failure may
        leave a copy that is older by that second, or by what the system had not written of its own accord
        since; the next start publishes the newest of the store. Only who restores an older store before that
        start, within that second, is not noticed by it.
        """
        path = self.folder / "checkpoint"
        # Another process may be a step ahead, or write at this very moment: it never goes back.
        with _locked(self.folder / "checkpoint.lock"):
            if _identity(path) != self._published and path.exists() and _size_of(path.read_bytes()) > _size_of(note):
                return
            temporary = self.folder / "checkpoint.new"
            now = time.monotonic()
            durable = self._durable_at is None or now - self._durable_at >= DURABLE_SECONDS
            with temporary.open("wb") as file:
                file.write(note)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
            if durable:
                _sync(self.folder)
                self._durable_at = now
            self._published = _identity(path)
            self._written = not durable

    def _make_durable(self) -> None:
        """Force the published checkpoint to the disk, where the last one was not."""
        if self._written:
            with suppress(FileNotFoundError):  # somebody took it away: the next start writes it anew
                _sync(self.folder / "checkpoint")
                _sync(self.folder)
            self._written = False

    def _check_not_behind(self) -> None:
        path = self.folder / "checkpoint"
        if not path.exists():
            return
        note = path.read_bytes()
        if not note:
            return  # left empty by a power failure; the store has its own copy
        published = parse_checkpoint(parse_note(note).text)
        size = self.store.size()
        if size < published.size or root_at(published.size, self.store.hashes) != published.root:
            raise Conflict(
                f"the store holds {size} entries and does not extend the published checkpoint over {published.size}",
                why="it was restored from an older copy, or altered; appending would fork the log",
                what_now="refill it from a mirror or from receipts up to the same root; never delete the checkpoint",
            )

    # --- publishing ---

    def submit(self, signed: Signed) -> Answer:
        """Put one signed statement through the sequencer; a Receipt, or a signed Refusal."""
        return self.sequencer.submit(signed)

    def submit_many(self, statements: Iterable[Signed], *, workers: int | None = None) -> Iterator[Answer]:
        """Put many signed statements through, in order; *workers* processes check signatures (default: cores - 1)."""
        count = max(0, (os.cpu_count() or 1) - 1) if workers is None else workers
        return self.sequencer.submit_many(statements, workers=count)

    def publish(self, draft: Draft, signer: Signer) -> Receipt:
        """
        Validate, sign, store in the outbox, send; return the receipt.

        Raises:
            FormatError: the draft cannot be encoded or a value is outside its code list; the
                offending field is named by its path, and nothing was signed.
            Refused: the log did not admit it.
            RefusedEarlier: see ``publish_many``.
            Rejected: the log recorded it as rejected.
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
            FormatError: a draft is invalid; those before it have been published.
            RefusedEarlier: what the earlier call had signed was sent, and some of it refused, or a refusal of then
                was never shown. None of these drafts was signed; whoever calls again is not told again.
        """
        with self._holding(signer.key.id):
            self._forget_shown(signer)
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
            self._forget_shown(signer)
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

    def _forget_shown(self, signer: Signer) -> None:
        ids = self._shown.pop(signer.key.id, None)
        if ids:
            with self.outbox.writing() as writing:
                writing.shown(signer.key.id, ids)

    @property
    def outbox(self) -> Outbox:
        """The outbox of this folder's publishers."""
        if self._outbox is None:
            self._outbox = Outbox(self.folder / "outbox.db")
        return self._outbox

    def validate(self, draft: Draft) -> bytes:
        """Return the encoded body of a draft that may be signed; FormatError names the offending field."""
        act = self.catalogue.act(draft.act, draft.version)
        if not act.released and not self.origin.endswith(SIMULATION):
            raise NotPermitted(
                f"{draft.act} is a draft act",
                why="its wording may still change, and a record is for ever",
                what_now="use a released act: `comity publish --template`",
            )
        try:
            body = self.catalogue.encode(draft.act, draft.version, draft.body)
        except FormatError as error:
            raise FormatError(error.what, field=f"body.{error.field}" if error.field else "body") from error
        for fault in self.catalogue.faults(draft.act, draft.version, draft.body):
            raise FormatError(f"{fault.rule}", field=f"body.{fault.path}")
        check(self._statement(draft, bytes(16), bytes(32), 0, body, at=0), self.catalogue.codes)
        return body

    def judge(self, draft: Draft, signer: Signer) -> Judgement:
        """
        Say what the ledger would answer to this draft now; nothing is recorded.

        Raises:
            FormatError: as ``publish``.
        """
        body = self.validate(draft)
        statement = self._statement(
            draft, signer.authority, signer.key.id, self.sequencer.next_sequence(signer.key.id), body
        )
        refused = self.sequencer.try_out(statement, self.catalogue.decode(draft.act, draft.version, body))
        if refused is None:
            return Judgement(accepted=True)
        return Judgement(accepted=False, reason=refused[0], detail=refused[1])

    @contextmanager
    def _holding(self, key: bytes) -> Iterator[None]:
        """Be the only one, in any process, who publishes from this folder with this key: sequences have an order."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock, _locked(self.folder / f"outbox.{key.hex()[:16]}.lock"):
            yield

    def _statement(
        self, draft: Draft, publisher: bytes, key: bytes, sequence: int, body: bytes, *, at: int | None = None
    ) -> Statement:
        identity = new_id(self.clock() if at is None else at, self._randomness())
        return statement_from(
            draft, statement_id=identity, ledger=self.origin, publisher=publisher, key=key, sequence=sequence, body=body
        )

    def _randomness(self) -> bytes:
        return os.urandom(10)

    def _publish_group(self, drafts: list[Draft], signer: Signer, *, batch: bool) -> Iterator[Answer]:
        bodies = [self.validate(draft) for draft in drafts]
        key = signer.key.id
        with self.outbox.writing() as writing:
            start = writing.next_sequence(key, self.store.next_sequence(key))
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
                stream: Iterator[Answer] = iter([self.submit(_signed(rows[0]))])
            else:
                stream = self.submit_many(
                    (_signed(row) for row in rows), workers=None if len(rows) >= BATCH_SIZE else 0
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

    def _withdraw(self, writing: OutboxWriting, row: Outgoing, refusal: Refusal, signer: Signer) -> list[Outgoing]:
        """Take a refused statement out and sign those behind it with the sequences that are free."""
        behind = writing.withdraw(row.key, row.sequence)
        sequence = row.sequence
        if refusal.code in _ORDER_CODES:
            # The log counts otherwise than this outbox (a restored copy, a second one): follow the log.
            # The ids stay, so nothing that the log has already can be recorded twice.
            sequence = self.store.next_sequence(row.key)
        else:
            behind = behind[1:]
        from ledger.statement import decode_statement  # noqa: PLC0415 -- only on this rare path

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

    # --- proving ---

    def receipt_proof(self, index: int, note: bytes | None = None) -> bytes:
        """
        Return the tlog-proof of an entry under the first checkpoint that covers it: always the same bytes.

        Args:
            index: of the entry.
            note: that checkpoint, where the caller has it.
        """
        note = note or self.store.checkpoint(index + 1)
        if note is None:
            raise NotFound(f"no checkpoint covers entry {index} yet")
        return self._proof(index, note)

    def _proof_of_receipt(self, index: int, seal: Seal) -> bytes:
        """Return the tlog-proof of an entry under the checkpoint of its group; the group shares what is common."""
        if seal.note is None:
            return self.receipt_proof(index)
        if seal.paths is None:
            seal.paths = SharedPaths(_size_of(seal.note), self.store.hashes, b2a_base64)
        return join_proof(index, seal.paths.text(index), seal.note)

    def inclusion_proof(self, index: int, size: int | None = None) -> bytes:
        """
        Return the tlog-proof of an entry under the newest checkpoint, or the first from *size* on.

        Raises:
            NotFound: no such entry, or no checkpoint of that size.
        """
        note = self.checkpoint() if size is None else self.store.checkpoint(max(size, index + 1))
        if note is None:
            raise NotFound(f"no checkpoint covers entry {index} at size {size}")
        return self._proof(index, note)

    def _proof(self, index: int, note: bytes) -> bytes:
        size = _size_of(note)
        if not 0 <= index < size:
            raise NotFound(f"there is no entry {index}", why=f"the checkpoint covers {size} entries, counted from 0")
        path = inclusion_path(index, size, self.store.hashes)
        return format_proof(Proof(index, tuple(path), note, None))

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Return the path, 32 bytes each, by which the tree of size *new* extends that of size *old*."""
        if not 0 < old <= new <= self.store.size():
            raise NotFound(
                f"there is no consistency proof from {old} to {new}", why=f"the log holds {self.store.size()} entries"
            )
        return consistency_path(old, new, self.store.hashes)

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""
        note = self.store.checkpoint()
        if note is None:
            raise NotFound("the log has no checkpoint yet")
        return note

    def pin(self) -> bytes:
        """Return the 32-byte leaf hash of entry 0, by which verifiers know this ledger."""
        return leaf_hash(self.store.entry(0))

    @property
    def roster(self) -> Roster:
        """Who is enrolled, with which keys, now."""
        if self._sequencer is not None:
            self._sequencer.refresh()
            return self._sequencer.roster
        from ledger.reading import recorded  # noqa: PLC0415 -- only where the ledger is read

        roster = Roster()
        for index, data in self.store.roster():
            act = recorded(index, data, self.catalogue)
            if act.body is not None:
                roster.fold(index, act.statement, act.body)
        return roster

    def vkeys(self) -> list[str]:
        """Return the log's verifier keys as C2SP signed-note writes them."""
        return [format_vkey(key) for key in self.roster.log_keys]

    def thing(self, subject: bytes) -> Thing | None:
        """Return what the stream of *subject* folds into, now."""
        return self.sequencer.current(subject)


_ORDER_CODES: Final = ("out_of_order", "sequence_reused")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file against other processes; the system lets go of it when the holder dies."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    """Force a file to the disk, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from any that was put in its place: its number and when it was written."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def check_origin(origin: str) -> None:
    """Raise FormatError unless *origin* can name a log and its checkpoints."""
    if (
        not origin
        or len(origin) > 64
        or not origin.isascii()
        or not origin.isprintable()
        or " " in origin
        or "+" in origin
    ):
        raise FormatError("must be 1 to 64 printable ASCII characters without spaces and plus signs", field="origin")
    if origin.startswith("comity.refusal"):
        raise FormatError(
            "must not begin with 'comity.refusal', which begins the refusals that a log signs", field="origin"
        )


def _size_of(note: bytes) -> int:
    """Return the size that a checkpoint of our own covers, its second line; 0 for a file left empty."""
    return int(note.split(b"\n", 2)[1]) if note else 0


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


def load_signer(authority: bytes, path: Path) -> Signer:
    """Return a signer from its authority's id and a key file."""
    return Signer(authority, PrivateKey.load(path))


__all__ = [
    "BATCH_SIZE",
    "Answer",
    "Draft",
    "Judgement",
    "Ledger",
    "Limits",
    "Receipt",
    "Refusal",
    "Refused",
    "RefusedEarlier",
    "Rejected",
    "Root",
    "Signed",
    "Signer",
    "batch_paths",
    "check_origin",
    "load_signer",
    "system_clock",
]
