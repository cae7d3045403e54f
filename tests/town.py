"""
A town for the tests of the ledger: an operator, two States, a prosecutor and a court each.

Keys come from names and instants from a counter, so that the same calls make the same statements.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ledger.keys import LogKeys, Signer, ed25519
from ledger.ledger import Ledger, Root, batch_paths
from ledger.log.tree import Frontier, root_at, stored_count
from ledger.reading import recorded
from ledger.sequencer import Receipt
from ledger.statement import (
    Batch,
    Draft,
    Signed,
    batch_message,
    encode_statement,
    new_id,
    signed_message,
    statement_from,
)
from ledger.verify import (
    Roster,
    check_inclusion,
    check_signatures,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_proof,
)
from tests.small_ledger import BEGIN, LEDGER, ORIGIN, enrolment, keyed, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ledger.sequencer import Answer, Limits
    from ledger.statement import Statement
    from ledger.store import Store
    from ledger.verify import Checkpoint

__all__ = ["LEDGER", "ORIGIN", "Clock", "Town", "check_everything", "enrolment", "found", "keyed", "named", "signer"]

LOG_KEYS = LogKeys.from_seed(bytes(32))
OPENED = {"procedure": "criminal", "stage": "investigation", "offences": [], "sensitivity": "ordinary"}


def signer(name: str, key: str = "") -> Signer:
    """The authority of this name with the key of the same name, or of another."""
    return Signer(named(name), keyed(key or name))


OPERATOR, DE, FR = signer("operator"), signer("DE"), signer("FR")
DE_PROSECUTOR, DE_COURT = signer("a prosecutor in Berlin"), signer("a court in Berlin")
FR_PROSECUTOR, FR_COURT = signer("a prosecutor in Paris"), signer("a court in Paris")

ENROLMENTS = (
    ("a prosecutor in Berlin", "prosecutor", "DE"),
    ("a court in Berlin", "court", "DE"),
    ("a prosecutor in Paris", "prosecutor", "FR"),
    ("a court in Paris", "court", "FR"),
)


@dataclass
class Clock:
    """A clock that goes on by a millisecond whenever it is read, and jumps where it is told to."""

    now: int = BEGIN

    def __call__(self) -> int:
        self.now += 1000
        return self.now


@dataclass
class Town:
    """A ledger, and whoever writes to it."""

    ledger: Ledger
    clock: Clock
    codes: Mapping[str, str] = field(default_factory=dict)
    made: int = 0
    sequences: dict[bytes, int] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.ledger.store

    def draft(
        self, act: str, subject: bytes, body: Mapping[str, Any], *, case: bytes | None = None, **other: Any
    ) -> Draft:
        """A draft of an act that happened just now."""
        at = self.clock()
        how: dict[str, Any] = {"occurred_from": at, "occurred_until": at, **other}
        return Draft(act=act, case=subject if case is None else case, subject=subject, body=body, **how)

    def opening(self, case: str | bytes) -> Draft:
        """The draft that opens the case of this name."""
        return self.draft("case.opened", named(case) if isinstance(case, str) else case, OPENED)

    def person(self, case: str, person: str = "somebody", role: str = "suspect") -> Draft:
        """The draft that registers a person in the case of this name."""
        return self.draft("person.registered", named(case), {"person": named(person), "role": role})

    def enrolling(self, name: str, kind: str = "prosecutor", holder: str = "DE", **other: Any) -> Draft:
        """The draft that enrols the authority of this name."""
        return self.draft("authority.enrolled", named(name), enrolment(name, kind, holder, **other), case=LEDGER)

    def statement(self, draft: Draft, by: Signer, **other: Any) -> Statement:
        """The statement of a draft, with the key's next sequence; *other* fields are set as told."""
        self.made += 1
        sequence = self.sequences.get(by.key.id)
        if sequence is None:
            sequence = self.store.next_sequence(by.key.id)
        sequence = other.pop("sequence", sequence)
        self.sequences[by.key.id] = sequence + 1
        made = statement_from(
            draft,
            statement_id=new_id(self.clock(), sha256(b"%d" % self.made + by.key.id).digest()[:10]),
            ledger=self.ledger.origin,
            publisher=by.authority,
            key=by.key.id,
            sequence=sequence,
            body=self.ledger.catalogue.encode(draft.act, draft.version, draft.body),
        )
        return replace(made, **other)

    def signed(self, draft: Draft, by: Signer, **other: Any) -> Signed:
        """A signed statement, ready to be sent."""
        data = encode_statement(self.statement(draft, by, **other))
        return Signed(data, by.key.sign(signed_message(data)))

    def signed_batch(self, drafts: Sequence[Draft], by: Signer) -> list[Signed]:
        """Several statements under one signature."""
        statements = [encode_statement(self.statement(draft, by)) for draft in drafts]
        root, paths = batch_paths(statements)
        signature = by.key.sign(batch_message(len(statements), root))
        return [
            Signed(data, signature, Batch(len(statements), place, path))
            for place, (data, path) in enumerate(zip(statements, paths, strict=True))
        ]

    def say(self, draft: Draft, by: Signer, **other: Any) -> Answer:
        """Sign and submit; the answer."""
        return self.ledger.submit(self.signed(draft, by, **other))

    def forget_sequences(self) -> None:
        """Count again from what the log expects: after a refusal."""
        self.sequences.clear()


def found(folder: Path, *, limits: Limits | None = None, enrol: bool = True, store: str | None = None) -> Town:
    """Found the ledger of the town in *folder*; entry 0, and four enrolments unless told otherwise."""
    clock = Clock()
    ledger = Ledger.found(
        folder,
        origin=ORIGIN,
        operator=OPERATOR,
        roots=[Root.of("DE", DE, ORIGIN), Root.of("FR", FR, ORIGIN)],
        log_keys=LOG_KEYS,
        quorum=2,
        clock=clock,
        ledger_id=LEDGER,
        limits=limits,
        store=store,
    )
    town = Town(ledger, clock)
    if enrol:
        signed = [town.signed(town.enrolling(*who), signer(who[2])) for who in ENROLMENTS]
        answers = list(ledger.submit_many(signed, workers=0))
        assert all(isinstance(answer, Receipt) and answer.accepted for answer in answers), answers
    return town


def reopened(town: Town, **how: Any) -> Town:
    """The same folder, opened anew."""
    town.ledger.close()
    return opened(town.ledger.folder, town.clock, **how)


def opened(folder: Path, clock: Clock | None = None, **how: Any) -> Town:
    """A town whose ledger is already there."""
    clock = clock or Clock(BEGIN + 1_000_000_000)
    return Town(Ledger.open(folder, clock=clock, **how), clock)


def checkpoints(store: Store) -> Iterator[tuple[Checkpoint, bytes]]:
    """Every checkpoint ever kept, parsed, with its note."""
    for size, root, note in store.checkpoints():
        checkpoint = parse_checkpoint(parse_note(note).text)
        assert (size, root) == (checkpoint.size, checkpoint.root)
        yield checkpoint, note


def check_everything(ledger: Ledger) -> Roster:
    """
    Recompute the whole log from its entries and compare it with all that the store keeps beside them.

    Entries are decoded and folded, their signatures checked; nodes, checkpoints, indexes of
    statements, streams and cases, and sequences must be what the entries make them. The roster.
    """
    store, roster, frontier = ledger.store, Roster(), Frontier()
    entries = store.entries(0, 1_000_000)
    assert list(range(store.size())) == [index for index, _ in entries]
    nodes: list[bytes] = []
    roots = {0: frontier.root()}
    streams: dict[bytes, list[int]] = {}
    cases: dict[bytes, list[int]] = {}
    sequences: dict[bytes, int] = {}
    ids: dict[bytes, int] = {}
    before = 0
    for index, data in entries:
        nodes += frontier.append(leaf_hash(data))
        roots[index + 1] = frontier.root()
        act = recorded(index, data, ledger.catalogue)
        statement, entry = act.statement, act.entry
        assert sequences.get(statement.key, 0) == statement.sequence, "a sequence is missing or was used twice"
        sequences[statement.key] = statement.sequence + 1
        assert statement.id not in ids, "a statement was recorded twice"
        ids[statement.id] = index
        assert before <= entry.recorded_at
        before = entry.recorded_at
        if act.body is not None:
            if index:
                key = roster.key(statement.key)
                assert key is not None
                assert key.authority == statement.publisher
                message = signed_message(entry.statement, entry.batch)
                assert ed25519(key.public_key, message, entry.signature)
            roster.fold(index, statement, act.body)
            assert entry.subject_version == len(streams.setdefault(statement.subject, []))
            streams[statement.subject].append(index)
            assert entry.case_version == len(cases.setdefault(statement.case, []))
            cases[statement.case].append(index)
    assert nodes == list(store.node_hashes())
    assert stored_count(store.size()) == len(nodes)
    assert all(store.index_of(one) == index for one, index in ids.items())
    assert all(store.stream(one) == indexes for one, indexes in streams.items())
    assert all(store.case(one) == indexes for one, indexes in cases.items())
    assert all(store.next_sequence(one) == following for one, following in sequences.items())
    sizes = []
    for checkpoint, note in checkpoints(store):
        assert checkpoint.origin == ledger.origin
        assert checkpoint.root == roots[checkpoint.size]
        assert checkpoint.root == root_at(checkpoint.size, store.hashes)
        keys = roster.log_keys_at(checkpoint.size)
        assert len(check_signatures(parse_note(note), checkpoint, keys, ed25519)) == 2
        sizes.append(checkpoint.size)
    assert sizes == sorted(set(sizes))
    if entries and not ledger.store.read_only:
        assert sizes[-1] == store.size(), "the newest entries are sealed"
    return roster


def check_receipt(ledger: Ledger, receipt: Receipt, roster: Roster | None = None) -> None:
    """Check a receipt as its holder would: entry, path, checkpoint, both signatures of the log."""
    proof = parse_proof(receipt.proof)
    note = parse_note(proof.note)
    checkpoint = parse_checkpoint(note.text)
    assert proof.index == receipt.index
    assert checkpoint.size > receipt.index
    assert receipt.entry == ledger.store.entry(receipt.index)
    check_inclusion(leaf_hash(receipt.entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    keys = (roster or ledger.roster).log_keys_at(checkpoint.size)
    assert len(check_signatures(note, checkpoint, keys, ed25519)) == 2
