"""
What a log answers to a submission, before it judges what the statement means.

The expected answer is that of a ledger which is founded for the purpose and asked; ``kit.answer`` must agree.
"""

from __future__ import annotations

import json
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from kit.answer import answer, signed_json
from kit.group import Group
from kit.sample import (
    BEGIN,
    BODY,
    CLERK,
    LOG,
    ORIGIN,
    PLAIN,
    Row,
    altered,
    keyed,
    named,
    number,
    sealed,
    statement,
    text,
)
from ledger.acts import catalogue
from ledger.keys import Signer
from ledger.ledger import Ledger, Root, batch_paths, system_clock
from ledger.sequencer import Limits, Receipt, Refusal
from ledger.statement import (
    Attachment,
    Basis,
    Batch,
    Signed,
    Speaker,
    Visibility,
    batch_message,
    encode_statement,
    new_id,
    sha256_of,
    signed_message,
)
from ledger.verify import possession_message


class Bench:
    """A ledger that is founded to be asked, and the situation that its vectors describe."""

    def __init__(self, folder: Path, origin: str) -> None:
        """Found it; a simulated clock only where the origin says so."""
        root = Signer(named("DE"), keyed("DE"))
        simulated = origin.endswith("/simulation")
        self.ledger = Ledger.found(
            folder,
            origin=origin,
            operator=Signer(named("operator"), keyed("operator")),
            roots=[Root.of("DE", root, origin)],
            log_keys=LOG,
            quorum=1,
            limits=Limits(early_ms_max=0),
            clock=(lambda: BEGIN) if simulated else system_clock,
            ledger_id=named("ledger"),
        )
        self.origin = origin
        self.root = root
        self.sequence = 0
        self.recorded: dict[str, str] = {}
        self.standing: dict[str, Row] = {}

    def roots(self, **what: Any) -> None:
        """Let the root say something, which the ledger must accept."""
        made = statement(
            self.sequence,
            by=self.root,
            ledger=self.origin,
            statement_id=new_id(BEGIN, sha256(b"root %d" % self.sequence).digest()[:10]),
            case=named("ledger"),
            **what,
        )
        self.sequence += 1
        data = encode_statement(made)
        said = self.ledger.submit(Signed(data, self.root.key.sign(signed_message(data))))
        assert isinstance(said, Receipt), said
        assert said.accepted, said.reason

    def enrol(self, who: Signer) -> None:
        """Enrol an authority with its key."""
        body = {
            "holder": "DE",
            "authority_kind": "prosecutor",
            "designation": "A prosecutor",
            "country": "DE",
            "zone": "Europe/Berlin",
            "languages": ["de"],
            "functions": [],
            "level": "L1",
            "public_key": who.key.public,
            "possession": who.key.sign(possession_message(self.origin, who.authority, who.key.public)),
        }
        self.roots(act="authority.enrolled", subject=who.authority, body=body)
        self.standing[who.key.id.hex()] = {
            "public_key": who.key.public.hex(),
            "authority": who.authority.hex(),
            "valid": True,
            "next": 0,
        }

    def revoke(self, who: Signer) -> None:
        """Revoke a key from now on."""
        at = self.ledger.store.size()
        body = {"key": who.key.id, "invalid_from": at, "suspect_from": at, "reason": "compromised"}
        self.roots(act="key.revoked", subject=who.authority, body=body)
        self.standing[who.key.id.hex()]["valid"] = False

    def situation(self) -> Row:
        """What an implementation must know to answer as the ledger does."""
        return {
            "origin": self.origin,
            "drafts": self.origin.endswith("/simulation"),
            "keys": json.loads(json.dumps(self.standing)),
            "recorded": dict(self.recorded),
        }

    def ask(self, group: Group, says: str, signed: Signed, *, wants: str) -> None:
        """Add the vector, and hold the answer against that of the ledger itself."""
        expected = group.add(says, "admit", {"log": self.situation(), **signed_json(signed)})
        said = self.ledger.submit(signed)
        if isinstance(said, Refusal):
            real = {"answer": said.code, "at": said.field or None, "expected": said.expected}
            of_the_log = {"origin": self.origin, "log_keys": self.ledger.vkeys(), "note": said.note.hex()}
            read = answer("read_refusal", {**of_the_log, **signed_json(signed)})
            assert real == {"answer": read["code"], "at": read["at"], "expected": read["expected"]}
        else:
            sent = signed.statement
            again = sent[:16].hex() in self.recorded
            real = {"answer": "first_answer" if again else "admitted"}
            if not again:
                self.recorded[sent[:16].hex()] = sha256_of(sent).hex()
                by = answer("decode_statement", {"statement": sent.hex()})["value"]
                self.standing[by["key"]]["next"] += 1
        assert real == expected, (says, real, expected)
        assert real["answer"] == wants, (says, real)


def admissions() -> Group:
    """What a log answers to a submission, before it judges what the statement means."""
    group = Group("admission")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "1", ORIGIN)
        gone, other = Signer(named("gone"), keyed("gone")), Signer(named("other"), keyed("other"))
        for who in (CLERK, gone, other):
            bench.enrol(who)
        bench.revoke(gone)

        def ask(says: str, signed: Signed, wants: str = "malformed") -> None:
            bench.ask(group, says, signed, wants=wants)

        def refused(says: str, wants: str = "malformed", **other_: Any) -> None:
            ask(says, sealed(encode_statement(statement(**other_))), wants)

        first = sealed(PLAIN)
        ask("a statement whose predecessor has not come", sealed(encode_statement(statement(1))), "out_of_order")
        ask("the first statement of a key", first, "admitted")
        ask("the same bytes again", first, "first_answer")
        again = sealed(encode_statement(statement(1, statement_id=PLAIN[:16])))
        ask("another statement with the same id", again, "id_reused")
        ask(
            "another statement with a sequence that is used",
            sealed(encode_statement(statement(0, statement_id=new_id(BEGIN, b"again-----")))),
            "sequence_reused",
        )
        ask(
            "a report of another's act",
            sealed(
                encode_statement(
                    statement(
                        1,
                        voice="reported",
                        case=named("case 2"),
                        subject=named("case 2"),
                        speaker=Speaker(None, "FR", "court", None, "ECLI:FR:CCASS:2020:CR00001"),
                    )
                )
            ),
            "admitted",
        )
        ask("a statement three ahead", sealed(encode_statement(statement(5))), "out_of_order")
        ask("the wrong key signs", sealed(encode_statement(statement(2)), other), "unauthenticated")
        ask("signed without the domain", Signed(first.statement, CLERK.key.sign(first.statement)), "unauthenticated")
        nobody = Signer(named("nobody"), keyed("nobody"))
        ask("a key that nobody has", sealed(encode_statement(statement(0, by=nobody)), nobody), "unauthenticated")
        ask("a key that was revoked", sealed(encode_statement(statement(0, by=gone)), gone), "unauthenticated")
        lent = statement(0, by=other, publisher=CLERK.authority, statement_id=new_id(BEGIN, b"lent------"))
        ask("the key of another authority", sealed(encode_statement(lent), other), "unauthenticated")
        refused("for another ledger", "wrong_ledger", ledger="ledger.example/other", number=2)
        ask("a statement of 60,001 bytes", sealed(PLAIN.ljust(60_001, b"\0")), "too_large")
        ask("nothing at all", sealed(b""))
        ask("a byte too many", sealed(PLAIN + b"\0"))
        ask("a signature of 63 bytes", Signed(PLAIN, bytes(63)))
        batch = [encode_statement(statement(n, case=named(str(n)), subject=named(str(n)))) for n in (2, 3, 4)]
        root, paths = batch_paths(batch)
        under = CLERK.key.sign(batch_message(3, root))
        for index, wants in ((1, "out_of_order"), (0, "admitted"), (1, "admitted"), (0, "first_answer")):
            ask(f"statement {index} of a batch", Signed(batch[index], under, Batch(3, index, paths[index])), wants)
        ask("a batch whose path is too short", Signed(batch[2], under, Batch(3, 2, ())))
        ask("a batch of another size", Signed(batch[2], under, Batch(4, 2, paths[0])), "unauthenticated")
        ask("a batch of 4,097", Signed(batch[2], under, Batch(4097, 2, paths[2])))
        for says, other_ in ENVELOPES.items():
            refused(says, number=4, **other_)
        ask("a negative sequence", sealed(altered(sequence=number(-1))))
        ask("an act that does not exist", sealed(altered(act=text("case.reopened_twice"))))
        ask("a version that does not exist", sealed(altered(version=number(9))))
        ask("a body that is another act's", sealed(altered(body=text(b"\0"))))
        ask(
            "a body with a byte too many",
            sealed(altered(body=text(catalogue().encode("case.opened", 1, BODY) + b"\0"))),
        )
        bench.ledger.close()
        bench = Bench(Path(folder) / "2", "ledger.example/2026")
        bench.enrol(CLERK)
        kept = next(act for act in catalogue().acts() if not act.released)
        made = altered(ledger=text(bench.origin), act=text(kept.name), version=number(kept.version))
        ask("an act that is only a draft", sealed(made), "draft_act")
        bench.ledger.close()
    return group


_SEEN: Final = Attachment("receipt_proof", bytes(32), None, 1, "application/pdf")
ENVELOPES: Final[dict[str, Row]] = {
    "an id that is no UUIDv7": {"statement_id": bytes(16)},
    "an id of another variant": {"statement_id": PLAIN[:8] + b"\xc0" + PLAIN[9:16]},
    "an act without its verb": {"act": "case", "body": b""},
    "a zone that does not exist": {"zone": "Europe/Atlantis"},
    "a language in capitals": {"language": "DE"},
    "an instant before 1900": {"occurred_from": -2_208_988_800_000_001},
    "an instant after 2199": {"occurred_until": 7_258_118_400_000_001},
    "an end before its beginning": {"occurred_until": BEGIN - 1},
    "a legal effect after 2199": {"legal_effect_at": 7_258_118_400_000_001},
    "an embargo after 2199": {"visibility": Visibility("case", 7_258_118_400_000_001)},
    "known earlier, without proof": {"known_at": BEGIN},
    "own words with a speaker": {"speaker": Speaker(authority=named("a"))},
    "another's words without a speaker": {"voice": "reported"},
    "on behalf, without the mandate": {"voice": "on_behalf", "speaker": Speaker(authority=named("a"))},
    "reported, without the source": {"voice": "reported", "speaker": Speaker(authority=named("a"))},
    "reported, of nobody": {"voice": "reported", "speaker": Speaker(source="ECLI:FR:2020")},
    "a country in small letters": {"voice": "reported", "speaker": Speaker(country="fr")},
    "an authority of no known kind": {"voice": "reported", "speaker": Speaker(country="FR", authority_kind="wizard")},
    "an instrument that does not exist": {"basis": (Basis("eu-atlantis-1"),)},
    "an article that is none": {"basis": (Basis("eu-eio-2014-41", "!"),)},
    "a domestic act that is none": {"basis": (Basis("eu-eio-2014-41"), Basis("1", None, domestic=True))},
    "an attachment of no known role": {"attachments": (_SEEN, Attachment("x", bytes(32), None, 1, "application/pdf"))},
    "an attachment of no known type": {"attachments": (Attachment("receipt_proof", bytes(32), None, 1, "x/y"),)},
    "an attachment of negative size": {
        "attachments": (Attachment("receipt_proof", bytes(32), None, -1, "application/pdf"),)
    },
}
