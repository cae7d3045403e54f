"""
The front of an embedded ledger: one folder, one object, that founds, opens, publishes and proves.

How a draft becomes a recorded statement is ``ledger.publishing``; what may be recorded, ``ledger.sequencer``.

    >>> ledger = Ledger.open(folder)  # doctest: +SKIP
    >>> receipt = ledger.publish(draft, signer)  # doctest: +SKIP
    >>> receipt.index, receipt.proof  # doctest: +SKIP

======================= ==================================================================================
file of the folder      what it is
======================= ==================================================================================
``ledger.db``           the log: entries, tree, checkpoints (``ledger.store.sqlite``)
``store``               instead of it, where the log is in PostgreSQL: its address
``checkpoint``          the newest signed checkpoint, as a witness would hold it
``log.key``             the log's Ed25519 key; ``log.mldsa.key`` its ML-DSA-44 key
``law``                 each edition of the law that entries were judged under (``ledger.law.editions``)
``outbox.db``           what was signed here and has no answer yet (``ledger.store.outbox``)
``projections.db``      what people look at; disposable
======================= ==================================================================================
"""

from __future__ import annotations

import os
import time
from binascii import b2a_base64
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import structlog

from ledger.acts import Catalogue, catalogue
from ledger.errors import ComityError, Conflict, FormatError, NotFound, NotPermitted, Unavailable
from ledger.keys import LogKey, LogKeys, Signer
from ledger.law.editions import keep
from ledger.law.manifest import rules
from ledger.log.checkpoint import log_signer, sign_checkpoint, size_of
from ledger.log.published import Published
from ledger.log.tree import SharedPaths, consistency_path, inclusion_path
from ledger.publishing import (
    BATCH_SIZE,
    SIMULATION,
    Client,
    Judgement,
    Refused,
    RefusedEarlier,
    Rejected,
    batch_paths,
    spare_cores,
)
from ledger.reading import recorded, roster_of
from ledger.sequencer import Answer, Limits, Receipt, Refusal, Seal, Sequencer
from ledger.statement import Draft, Signed, Visibility, random_id, sha256_of
from ledger.store import POSTGRES, STORE_FILE, Store, address_in, check_address, open_store
from ledger.verify import (
    ED25519,
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
    possession_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from ledger.domain import Thing
    from ledger.store.outbox import Outbox
    from ledger.verify import VerifierKey


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


_LOG: Final = structlog.get_logger("comity.ledger")


class _Sealer:
    """
    Signs under the log's origin with those of its keys that the roster says stand, and with no other.

    A key that it lacks is looked for in the folder that the others were read from, so that one which replaces
    another need only lie there.
    """

    def __init__(
        self, origin: str, log_keys: LogKeys, clock: Callable[[], int], published: Callable[[bytes], None]
    ) -> None:
        self._origin = origin
        self._clock = clock
        self._folder = log_keys.folder
        self._trouble = ""
        self._told: set[bytes] = set()
        self._first = log_signer(origin, "ed25519", log_keys.ed25519.public, log_keys.ed25519.sign)
        second = log_signer(origin, "ml_dsa_44", log_keys.mldsa44_public, log_keys.mldsa44.sign)
        self._signers = {one.key.public_key: one for one in (self._first, second)}
        self.published = published

    def has(self, public_key: bytes) -> bool:
        if public_key not in self._signers and self._folder is not None:
            self._trouble = ""
            try:
                for key in LogKey.all_in(self._folder):
                    signer = log_signer(self._origin, key.algorithm, key.public, key.sign)
                    self._signers.setdefault(key.public, signer)
            except (ComityError, FormatError) as error:
                # Half copied, or open to others: it is no key of ours until that is mended.
                self._trouble = str(error)
        return public_key in self._signers

    def check(self, standing: Sequence[VerifierKey]) -> None:
        for key in standing:
            if not self.has(key.public_key):
                kind = "log.next.key" if key.algorithm == ED25519 else "log.mldsa.next.key"
                identity = sha256_of(key.public_key).hex()
                if key.public_key not in self._told:
                    # Where the keys lie is for the operator's eyes; what is raised may reach a publisher.
                    self._told.add(key.public_key)
                    _LOG.error("log_key_missing", key=identity, folder=str(self._folder), why=self._trouble)
                raise Unavailable(
                    "a key of the log was replaced, and the one that stands is not here: nothing is signed",
                    why=f"the log names the key {identity[:16]}…, which is none of this service's",
                    what_now=f"the operator puts it beside the others as {kind}; where the service sees a copy made"
                    " at its start, restart it",
                )

    def checkpoint(self, size: int, root: bytes, standing: Sequence[VerifierKey]) -> bytes:
        self.check(standing)
        # The one that every verifier reads comes first, however often it was replaced.
        signers = [self._signers[key.public_key] for key in sorted(standing, key=lambda key: key.algorithm)]
        at = max(0, self._clock() // 1_000_000)
        return sign_checkpoint(Checkpoint(self._origin, size, root), signers, at=at)

    def refusal(self, refusal: Refusal, signed: Signed, at: int, standing: Sequence[VerifierKey]) -> bytes:
        self.check(standing)
        # Before entry 0 nobody has said which keys stand.
        signer = next((self._signers[key.public_key] for key in standing if key.algorithm == ED25519), self._first)
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
        signature = signer.sign(text.encode())
        return format_note(Note(text, (NoteSignature(self._origin, signer.key.key_id, signature),)))


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
        self._sequencer: Sequencer | None = None
        self._sealer: _Sealer | None = None
        self._published = Published(folder)
        self._client = Client(
            folder,
            lambda: self.sequencer,
            origin=origin,
            catalogue=self.catalogue,
            clock=clock,
            randomness=self._randomness,
        )
        if log_keys is not None:
            self._published.check_extended(store.size(), store.hashes)
            sealer = self._sealer = _Sealer(origin, log_keys, clock, self._published.put)
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
            self.check_keys()
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
            log_keys = replace(log_keys, folder=folder)
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
        try:
            if store.size() == 0:
                published = Published(folder)
                if published.size():
                    raise Conflict(
                        f"the store of {folder} is empty, yet this log has begun",
                        why=f"{published.path} was published over {published.size()} entries",
                        what_now="see that the store is the right one; if it was lost, `comity restore`",
                    )
                raise NotFound(
                    f"the ledger in {folder} was never founded",
                    why="the founding was interrupted",
                    what_now="found it again"
                    if address.startswith(POSTGRES)
                    else "remove ledger.db and found it again",
                )
            founded = recorded(0, store.entry(0), catalogue()).body
            assert founded is not None
            origin: str = founded["origin"]
            if clock is not system_clock and not origin.endswith(SIMULATION):
                raise NotPermitted(f"{origin} is not a simulation", why="a simulated clock would give false instants")
            log_keys = None if read_only else LogKeys.load(folder)
            return cls(folder, store, origin=origin, log_keys=log_keys, clock=clock, limits=limits)
        except BaseException:
            store.close()  # whoever tries again until it can be opened leaves nothing behind
            raise

    def close(self) -> None:
        """End the sequencer and close the store."""
        if self._sequencer is not None:
            self._sequencer.close()
            self._published.make_durable()
        self._client.close()
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

    def check_keys(self) -> None:
        """
        Check that the keys of the log which stand, as far as this process has read it, are here.

        Raises:
            Unavailable: one was replaced, and its successor is not among the keys: nothing can be published.
        """
        if self._sealer is not None:
            self._sealer.check(self.sequencer.roster.log_keys)

    def has_key(self, public_key: bytes) -> bool:
        """Whether the private half of this key, 32 or 1,312 bytes, is among the log's keys here."""
        return self._sealer is not None and self._sealer.has(public_key)

    # --- publishing ---

    def submit(self, signed: Signed) -> Answer:
        """Put one signed statement through the sequencer; a Receipt, or a signed Refusal."""
        return self.sequencer.submit(signed)

    def submit_many(self, statements: Iterable[Signed], *, workers: int | None = None) -> Iterator[Answer]:
        """Put many signed statements through, in order; *workers* processes check signatures (default: cores - 1)."""
        return self.sequencer.submit_many(statements, workers=spare_cores() if workers is None else workers)

    def publish(self, draft: Draft, signer: Signer) -> Receipt:
        """Validate, sign, keep in the outbox, send; return the receipt. Raises as ``Client.publish``."""
        return self._client.publish(draft, signer)

    def publish_many(
        self, drafts: Iterable[Draft], signer: Signer, *, batch: bool = True
    ) -> Generator[Answer, None, None]:
        """Publish many drafts of one signer, in order; one answer for each. See ``Client.publish_many``."""
        return self._client.publish_many(drafts, signer, batch=batch)

    def resume(self, signer: Signer) -> list[Answer]:
        """Send what an interrupted call had signed and not seen answered; see ``Client.resume``."""
        return self._client.resume(signer)

    @property
    def outbox(self) -> Outbox:
        """The outbox of this folder's publishers."""
        return self._client.outbox

    def validate(self, draft: Draft) -> bytes:
        """Return the encoded body of a draft that may be signed. Raises as ``Client.validate``."""
        return self._client.validate(draft)

    def judge(self, draft: Draft, signer: Signer) -> Judgement:
        """Say what the ledger would answer to this draft now; nothing is recorded. Raises as ``Client.judge``."""
        return self._client.judge(draft, signer)

    def _randomness(self) -> bytes:
        return os.urandom(10)

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
            seal.paths = SharedPaths(size_of(seal.note), self.store.hashes, b2a_base64)
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
        size = size_of(note)
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
        return roster_of(self.store.roster(), self.catalogue)

    def vkeys(self) -> list[str]:
        """Return the log's verifier keys as C2SP signed-note writes them."""
        return [format_vkey(key) for key in self.roster.log_keys]

    def thing(self, subject: bytes) -> Thing | None:
        """Return what the stream of *subject* folds into, now."""
        return self.sequencer.current(subject)


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


__all__ = [
    "BATCH_SIZE",
    "SIMULATION",
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
    "system_clock",
]
