"""A log made by hand: statements with real bytes, bodies filled in from their schemas."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from ledger import resources
from ledger.acts import catalogue
from ledger.reading import recorded
from ledger.statement import (
    Attachment,
    Basis,
    Entry,
    Recorded,
    Speaker,
    Statement,
    Visibility,
    encode_entry,
    encode_statement,
    header_of,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400_000_000


def on(text: str) -> int:
    """The first instant of a day, µs."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def some_id(name: str) -> bytes:
    """An id that is always the same for a name."""
    return hashlib.sha256(name.encode()).digest()[:16]


@cache
def _fields(act: str) -> list[dict[str, Any]]:
    file = resources.path("schemas") / "acts" / f"{act}.1.avsc"
    fields: list[dict[str, Any]] = json.loads(file.read_text())["fields"]
    return fields


def body(act: str, given: dict[str, Any]) -> dict[str, Any]:
    """A body with everything *given* and the plainest value for the rest."""
    unknown = given.keys() - {f["name"] for f in _fields(act)}
    assert not unknown, f"{act} has no {unknown}"
    return {f["name"]: given[f["name"]] if f["name"] in given else _plain(f) for f in _fields(act)}


def _plain(of: dict[str, Any]) -> Any:
    kind = of["type"]
    if isinstance(kind, list):
        return None
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "array":
        return []
    if name == "boolean":
        return False
    if name == "long":
        return 0
    if name == "string" and "codes" in of:
        return next(iter(catalogue().codes(of["codes"])))
    if name == "fixed":
        return bytes(kind["size"])
    if "refers" in of:
        return bytes(16)
    if name == "bytes":
        return b""
    raise AssertionError(f"say something for {of['name']}")


@dataclass
class Log:
    """
    A growing log with the store's reading interface.

    Says what it is told without judging it: projections must fold whatever was accepted.
    """

    case: bytes = some_id("case")
    entry_bytes: list[bytes] = field(default_factory=list)
    recorded: list[Recorded] = field(default_factory=list)
    versions: dict[bytes, int] = field(default_factory=dict)
    subjects: dict[bytes, int] = field(default_factory=dict)

    def size(self) -> int:
        return len(self.entry_bytes)

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        stop = min(start + limit, len(self.entry_bytes))
        return [(index, self.entry_bytes[index]) for index in range(start, stop)]

    def enrol(self, name: str, country: str, kind: str = "prosecutor") -> bytes:
        """Enrol an authority; its id is `some_id(name)`."""
        self.say(
            "authority.enrolled",
            some_id(name),
            "root",
            holder=country,
            authority_kind=kind,
            designation=name,
            country=country,
            zone="Europe/Berlin",
            level="L2",
        )
        return some_id(name)

    def say(
        self,
        act: str,
        subject: bytes | str,
        by: bytes | str,
        at: str | tuple[str, str] | int = "2020-01-01",
        /,
        *,
        in_case: bytes | None = None,
        known: str | int | None = None,
        rejected: str | None = None,
        voice_of: Speaker | None = None,
        confirmed: bool = True,
        replies_to: tuple[bytes, ...] = (),
        corrects: bytes | None = None,
        law: tuple[Basis, ...] = (),
        received_at: int | None = None,
        proven: bool = True,
        case_version: int | None = None,
        shown_to: Visibility | None = None,
        sent_to: tuple[bytes, ...] = (),
        **fields: Any,
    ) -> bytes:
        """Append a statement; return its id. *at* is a day, an interval of days, or µs."""
        index = self.size()
        if isinstance(at, int):
            first = last = at
        else:
            first, last = (on(at), on(at)) if isinstance(at, str) else (on(at[0]), on(at[1]))
        subject = some_id(subject) if isinstance(subject, str) else subject
        case = self.case if in_case is None else in_case
        data = catalogue().encode(act, 1, body(act, fields))
        proof = Attachment("receipt_proof", bytes(32), None, 1, "application/pdf")
        statement = Statement(
            id=index.to_bytes(16, "big"),
            ledger="example.org/simulation",
            publisher=some_id(by) if isinstance(by, str) else by,
            key=bytes(32),
            sequence=index,
            voice="own" if voice_of is None else "reported",
            speaker=voice_of,
            case=case,
            subject=subject,
            act=act,
            version=1,
            kind="act",
            occurred_from=first,
            occurred_until=last,
            occurred_confirmed=confirmed,
            zone="UTC",
            legal_effect_at=None,
            known_at=received_at,
            addressees=sent_to,
            visibility=shown_to or Visibility(),
            proceedings=(),
            language="en",
            local_reference=None,
            basis=law,
            answers=replies_to,
            corrects=corrects,
            attachments=(proof,) if received_at is not None and proven else (),
            body=data,
        )
        encoded = encode_statement(statement)
        known_at = last if known is None else known if isinstance(known, int) else on(known)
        version = self.versions.get(case, 0) if case_version is None else case_version
        on_subject = self.subjects.get(subject, 0)
        if rejected is None:
            self.versions[case] = version + 1
            self.subjects[subject] = on_subject + 1
        entry = Entry(
            format=1,
            statement=encoded if rejected is None else header_of(encoded, data),
            statement_sha256=None if rejected is None else hashlib.sha256(encoded).digest(),
            algorithm="ed25519",
            signature=bytes(64),
            batch=None,
            recorded_at=known_at,
            disposition="accepted" if rejected is None else "rejected",
            reason=rejected,
            rules=bytes(32),
            subject_version=on_subject if rejected is None else None,
            case_version=version if rejected is None else None,
        )
        raw = encode_entry(entry)
        self.entry_bytes.append(raw)
        self.recorded.append(recorded(index, raw, catalogue()))
        return statement.id

    def save(self, path: Path) -> None:
        """Write the entries where `reopen` finds them."""
        path.write_text("\n".join(raw.hex() for raw in self.entry_bytes))


def a_log(seed: int, size: int) -> Log:
    """A log of every kind of row, in an order that a seed chooses."""
    chance = random.Random(seed)
    log = Log()
    france, germany = log.enrol("Lille", "FR"), log.enrol("Berlin", "DE")
    said = [log.say("case.opened", log.case, france)]
    while log.size() < size:
        name = str(log.size())
        day = f"2020-{chance.randint(1, 12):02}-01"
        choices: list[tuple[str, Any, dict[str, Any]]] = [
            ("exhibit.acquired", f"x{name}", {"source_country": "FR", "hash": bytes(32)}),
            ("exhibit.derived", f"y{name}", {"parents": [some_id("x4"), some_id("x5")]}),
            ("disclosure.made", f"d{name}", {"exhibits": [some_id("x4")], "recipient": germany}),
            ("request.issued", f"r{name}", {"requested_country": "FR"}),
            ("case.linked", log.case, {"other": some_id("other")}),
            (
                "admissibility.ruled",
                "x4",
                {"court": germany, "proceedings": some_id("p"), "stage": "trial"},
            ),
            ("ruling.overturned", "x4", {"ruling": chance.choice(said), "court": germany}),
        ]
        act, subject, fields = chance.choice(choices)
        rejected = "subject_exists" if chance.random() < 0.1 else None
        said.append(log.say(act, subject, chance.choice([france, germany]), day, rejected=rejected, **fields))
        if chance.random() < 0.1:
            log.say("statement.corrected", log.case, france, day, corrects=chance.choice(said))
        if chance.random() < 0.1:
            answers = (chance.choice(said), chance.choice(said))
            log.say("statement.disputed", log.case, germany, day, replies_to=answers)
    return log


def cases(log: Log, seed: int = 0, size: int = 60) -> Log:
    """Many cases in one log, so that every partition has some."""
    chance = random.Random(seed)
    while log.size() < size:
        number = chance.randrange(12)
        case = some_id(f"case {number}")
        day = f"2021-{chance.randint(1, 12):02}-01"
        if chance.random() < 0.3:
            log.say("case.opened", case, "Lille", day, in_case=case)
        else:
            log.say(
                "exhibit.acquired", f"x{log.size()}", "Lille", day, in_case=case, source_country="FR", hash=bytes(32)
            )
    return log


def reopen(path: Path) -> tuple[Log, Any]:
    """Open a saved log in another process."""
    log = Log()
    log.entry_bytes = [bytes.fromhex(line) for line in path.read_text().split()]
    return log, catalogue()
