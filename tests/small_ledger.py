"""
A ledger of a few entries in memory, made by hand: without sequencer, store or domain.

What the log, the verifier and the bundles are tested on. Keys come from fixed seeds and instants
from a counter, so that the same calls make the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.acts import catalogue
from ledger.keys import PrivateKey, ed25519
from ledger.log.checkpoint import NoteSigner, log_signer, sign_checkpoint
from ledger.log.tree import Frontier, inclusion_path
from ledger.statement import (
    Batch,
    Draft,
    Entry,
    batch_message,
    encode_entry,
    encode_statement,
    header_of,
    new_id,
    sha256_of,
    signed_message,
    statement_from,
)
from ledger.verify import (
    Checkpoint,
    Roster,
    endorsement_message,
    leaf_hash,
    possession_message,
    root_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.statement import Statement

ORIGIN = "ledger.example/simulation"
BEGIN = 1_700_000_000_000_000  # microseconds: an instant in November 2023
SECOND = 1_000_000
RULES = b"0" * 64 + b"  eu-eio.toml\n"  # a law manifest


def named(name: str) -> bytes:
    """An id, 16 bytes, that is always the same for a name."""
    return sha256(name.encode()).digest()[:16]


def keyed(name: str) -> PrivateKey:
    """A key that is always the same for a name."""
    return PrivateKey.from_seed(sha256(b"key of " + name.encode()).digest())


OPERATOR, DE, FR = named("operator"), named("DE"), named("FR")
LEDGER, CASE = named("the ledger"), named("a case")
PROSECUTOR, COURT, COUNSEL = named("a prosecutor"), named("a court"), named("a lawyer")


def possession(name: str, authority: bytes, origin: str = ORIGIN) -> dict[str, bytes]:
    """The two fields by which a body introduces the key of this name."""
    key = keyed(name)
    return {"public_key": key.public, "possession": key.sign(possession_message(origin, authority, key.public))}


def endorsements(authority: bytes, public_key: bytes, *roots: str) -> list[dict[str, bytes]]:
    """Endorsements by the roots of these names, each under the key of the same name."""
    signed = endorsement_message(ORIGIN, authority, public_key)
    return [{"root": named(root), "signature": keyed(root).sign(signed)} for root in roots]


def founding() -> dict[str, Any]:
    """The body of entry 0: an operator and the roots of two States, both needed for a quorum."""
    return {
        "origin": ORIGIN,
        "log_keys": [
            {"algorithm": "ed25519", "public_key": keyed("log").public},
            {"algorithm": "ml_dsa_44", "public_key": ML_DSA.public_key().public_bytes_raw()},
        ],
        "operator": OPERATOR,
        "operator_key": keyed("operator").public,
        "roots": [
            {"holder": name, "authority": named(name), "enrolls": "country", **possession(name, named(name))}
            for name in ("DE", "FR")
        ],
        "quorum": 2,
    }


ML_DSA = MLDSA44PrivateKey.from_seed_bytes(bytes(32))


def enrolment(name: str, kind: str, state: str = "DE", /, **other: Any) -> dict[str, Any]:
    """The body by which the authority of this name is enrolled under the key of the same name."""
    body = {
        "holder": state,
        "authority_kind": kind,
        "designation": None if kind == "counsel" else name.capitalize(),
        "country": state,
        "zone": "Europe/Berlin",
        "languages": ["de"],
        "functions": [],
        "level": "L1",
        **possession(name, named(name)),
    }
    return {**body, **other}


@dataclass
class SmallLedger:
    """Entries, the tree over them, and who may sign."""

    entries_: list[bytes] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    rows: list[bytes] = field(default_factory=list)
    roster_: Roster = field(default_factory=Roster)
    streams: dict[bytes, list[int]] = field(default_factory=dict)
    cases: dict[bytes, list[int]] = field(default_factory=dict)
    sequences: dict[bytes, int] = field(default_factory=dict)
    checking: bool = True
    bend: dict[str, Any] = field(default_factory=dict)  # fields of entries that a dishonest log falsifies

    # What a store answers.

    def size(self) -> int:
        """How many entries there are."""
        return len(self.entries_)

    def entry(self, index: int, /) -> bytes:
        """The bytes of an entry."""
        return self.entries_[index]

    def stream(self, subject: bytes, /) -> list[int]:
        """The indexes of a stream."""
        return self.streams.get(subject, [])

    def roster(self) -> list[tuple[int, bytes]]:
        """All entries: a reader takes the acts of the roster among them."""
        return list(enumerate(self.entries_))

    def hashes(self, ids: Sequence[int], /) -> list[bytes]:
        """Rows of the tree."""
        return [self.rows[row] for row in ids]

    # How it grows.

    def statement(
        self,
        act: str,
        body: dict[str, Any],
        *,
        by: str,
        subject: bytes,
        case: bytes = LEDGER,
        key: str = "",
        **other: Any,
    ) -> tuple[Statement, bytes, PrivateKey]:
        """A statement by the authority of this name under the key of this name, its bytes, and the key."""
        at = BEGIN + self.size() * SECOND
        signer = keyed(key or by)
        draft = Draft(act=act, case=case, subject=subject, body=body, occurred_from=at, occurred_until=at, **other)
        statement = statement_from(
            draft,
            statement_id=new_id(at, sha256(b"%d %d" % (self.size(), self.sequences.get(signer.id, 0))).digest()[:10]),
            ledger=ORIGIN,
            publisher=named(by),
            key=signer.id,
            sequence=self.sequences.get(signer.id, 0),
            body=catalogue().encode(act, 1, body),
        )
        self.sequences[signer.id] = statement.sequence + 1
        return statement, encode_statement(statement), signer

    def say(self, act: str, body: dict[str, Any], *, reason: str | None = None, **how: Any) -> int:
        """Append one statement, accepted unless there is a reason; its index."""
        statement, data, signer = self.statement(act, body, **how)
        return self.append(statement, data, signer.sign(signed_message(data)), None, body, reason)

    def say_batch(self, acts: Sequence[tuple[str, dict[str, Any]]], **how: Any) -> list[int]:
        """Append several statements under one signature; their indexes."""
        made = [(*self.statement(act, body, **how), body) for act, body in acts]
        leaves = [leaf_hash(data) for _, data, _, _ in made]
        frontier, rows = Frontier(), list[bytes]()
        for leaf in leaves:
            rows += frontier.append(leaf)
        signature = made[0][2].sign(batch_message(len(made), root_of(leaves)))
        indexes = []
        for number, (statement, data, _, body) in enumerate(made):
            path = inclusion_path(number, len(made), lambda ids: [rows[row] for row in ids])
            indexes.append(self.append(statement, data, signature, Batch(len(made), number, tuple(path)), body, None))
        return indexes

    def append(
        self,
        statement: Statement,
        data: bytes,
        signature: bytes,
        batch: Batch | None,
        body: dict[str, Any],
        reason: str | None,
    ) -> int:
        """Append an entry as the log would, checking the roster's rules unless told not to."""
        index, accepted = self.size(), reason is None
        if accepted and self.checking:
            assert self.roster_.judge(index, statement, body, ed25519) is None
        honest = Entry(
            format=1,
            statement=data if accepted else header_of(data, statement.body),
            statement_sha256=None if accepted else sha256_of(data),
            algorithm="ed25519",
            signature=signature,
            batch=batch,
            recorded_at=BEGIN + index * SECOND,
            disposition="accepted" if accepted else "rejected",
            reason=reason,
            rules=sha256(RULES).digest(),
            subject_version=len(self.stream(statement.subject)) if accepted else None,
            case_version=len(self.cases.get(statement.case, [])) if accepted else None,
        )
        entry = encode_entry(replace(honest, **self.bend))
        if accepted:
            self.roster_.fold(index, statement, body)
            self.streams.setdefault(statement.subject, []).append(index)
            self.cases.setdefault(statement.case, []).append(index)
        self.statements.append(statement)
        self.entries_.append(entry)
        self.rows += self.frontier.append(leaf_hash(entry))
        return index

    def signers(self) -> list[NoteSigner]:
        """The log's two keys."""
        key = keyed("log")
        return [
            log_signer(ORIGIN, "ed25519", key.public, key.sign),
            log_signer(ORIGIN, "ml_dsa_44", ML_DSA.public_key().public_bytes_raw(), ML_DSA.sign),
        ]

    def checkpoint(self) -> bytes:
        """A signed checkpoint over everything."""
        head = Checkpoint(ORIGIN, self.size(), self.frontier.root())
        return sign_checkpoint(head, self.signers(), at=BEGIN // SECOND + self.size())


def founded() -> SmallLedger:
    """A ledger with its entry 0."""
    ledger = SmallLedger()
    ledger.say("ledger.founded", founding(), by="operator", subject=LEDGER)
    return ledger


def with_case() -> SmallLedger:
    """A ledger of eleven entries: two authorities, a lawyer, and a case with a rejected statement."""
    ledger = founded()
    ledger.say("authority.enrolled", enrolment("a prosecutor", "prosecutor"), by="DE", subject=PROSECUTOR)
    ledger.say("authority.enrolled", enrolment("a court", "court"), by="DE", subject=COURT)
    ledger.say("authority.enrolled", enrolment("a lawyer", "counsel"), by="a court", subject=COUNSEL)
    opened = {"procedure": "investigation", "stage": "investigation", "offences": [], "sensitivity": "ordinary"}
    codes = catalogue().codes
    opened |= {"procedure": next(iter(codes("procedure_kinds"))), "stage": next(iter(codes("proceedings_stages")))}
    opened |= {"sensitivity": next(iter(codes("sensitivities")))}
    about: dict[str, Any] = {"by": "a prosecutor", "case": CASE, "subject": CASE}
    person = {"person": named("somebody"), "role": next(iter(codes("person_roles")))}
    ledger.say("case.opened", opened, **about)
    ledger.say_batch(
        [("person.registered", person), ("person.role_changed", person), ("person.role_changed", person)], **about
    )
    ledger.say("person.role_changed", person, reason="outside_code_list", **about)
    ledger.say("roster.confirmed", {"size": 4, "roster_digest": ledger.roster_.digest(4)}, by="FR", subject=LEDGER)
    ledger.say("person.role_changed", person, **about)
    return ledger
