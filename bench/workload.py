"""
A workload with the shape of the published figures, the same on every run.

=================  ===========================================================================
what               from
=================  ===========================================================================
instruments        yearly volumes in the Union and beyond: production orders some 275,000,
                   investigation orders 45,000, assistance outside the Union 45,000, arrest
                   warrants 17,000
acts per request   15 to 25
authorities        135: 27 States with a root, and four authorities each
one long stream    a twentieth of all acts is said of one exhibit, as in a case with 60,000 users
interleaving       200 requests are under way at any time
=================  ===========================================================================

Every act is lawful, so that the log accepts it, and refers to what came before it, so that deciding
on it costs what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

from ledger.acts import catalogue
from ledger.keys import LogKeys, PrivateKey, Signer
from ledger.ledger import BATCH_SIZE, Draft, Ledger, Root, batch_paths
from ledger.statement import (
    Attachment,
    Basis,
    Batch,
    Signed,
    Visibility,
    batch_message,
    encode_statement,
    new_id,
    signed_message,
    statement_from,
)
from ledger.verify import possession_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = "ledger.example/bench"
BEGIN = 1_767_225_600_000_000  # 1 January 2026
MINUTE = 60_000_000
STATES = (
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE",
    "IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
)  # fmt: skip
KINDS = ("prosecutor", "court", "central_authority", "provider")
OPEN_REQUESTS = 200
LONG_STREAM_SHARE = 0.05
INSTRUMENTS = {
    ("eu-e-evidence-2023-1543", "produce", "5"): 275,
    ("eu-eio-2014-41", "gather", "6"): 45,
    ("coe-mla-ets-30", "gather", "14"): 45,
    ("eu-eaw-2002-584", "arrest", "8"): 17,
}


@dataclass(frozen=True, slots=True)
class Authority:
    name: str
    kind: str
    country: str
    signer: Signer

    @property
    def id(self) -> bytes:
        return self.signer.authority


def _id(name: str) -> bytes:
    raw = bytearray(sha256(name.encode()).digest()[:16])
    raw[6] = 0x40 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)


def _signer(name: str) -> Signer:
    return Signer(_id(name), PrivateKey.from_seed(sha256(b"bench " + name.encode()).digest()))


@dataclass(frozen=True, slots=True)
class World:
    """Who is there: roots, authorities by country and kind."""

    roots: dict[str, Signer]
    authorities: dict[tuple[str, str], Authority]

    @classmethod
    def make(cls) -> World:
        roots = {country: _signer(f"root {country}") for country in STATES}
        authorities = {
            (country, kind): Authority(f"{kind} {country}", kind, country, _signer(f"{kind} {country}"))
            for country in STATES
            for kind in KINDS
        }
        return cls(roots, authorities)

    def keys(self) -> dict[bytes, bytes]:
        """The public key of each authority by its id."""
        return {who.signer.key.id: who.signer.key.public for who in self.authorities.values()}

    def found(self, folder: Path, store: str | None = None) -> None:
        """Found the ledger in *folder*, or with its log at the address *store*, and enrol everybody."""
        operator = _signer("operator")
        roots = [Root.of(country, signer, ORIGIN) for country, signer in self.roots.items()]
        with Ledger.found(
            folder,
            origin=ORIGIN,
            operator=operator,
            roots=roots,
            store=store,
            log_keys=LogKeys.from_seed(bytes(32)),
            ledger_id=_id("the ledger"),
        ) as ledger:
            for country, root in self.roots.items():
                drafts = [
                    Draft(
                        act="authority.enrolled",
                        case=_id("the ledger"),
                        subject=who.id,
                        occurred_from=BEGIN,
                        occurred_until=BEGIN,
                        visibility=Visibility(ring="public"),
                        body={
                            "holder": country,
                            "authority_kind": who.kind,
                            "designation": f"{who.kind.replace('_', ' ').capitalize()} of {country}",
                            "country": country,
                            "zone": "Europe/Berlin",
                            "languages": ["en"],
                            "functions": ["issue", "execute"],
                            "level": "L2",
                            "public_key": who.signer.key.public,
                            "possession": who.signer.key.sign(
                                possession_message(ORIGIN, who.id, who.signer.key.public)
                            ),
                        },
                    )
                    for (state, _), who in self.authorities.items()
                    if state == country
                ]
                for answer in ledger.publish_many(drafts, root):
                    assert getattr(answer, "accepted", False), answer


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody is about to say: by whom, under which id, and the draft."""

    by: Authority
    id: bytes
    draft: Draft


class _Voice:
    """Makes the drafts of one story."""

    def __init__(self, random: Random, case: bytes, at: int, basis: tuple[Basis, ...] = ()) -> None:
        self.random, self.case, self.at, self.basis = random, case, at, basis

    def some_id(self) -> bytes:
        raw = bytearray(self.random.randbytes(16))
        raw[6] = 0x40 | raw[6] & 0x0F
        raw[8] = 0x80 | raw[8] & 0x3F
        return bytes(raw)

    def __call__(
        self,
        by: Authority,
        act: str,
        subject: bytes,
        *,
        tell: Authority | None = None,
        answers: tuple[bytes, ...] = (),
        paper: str | None = None,
        **body: Any,
    ) -> Said:
        random = self.random
        self.at += random.randrange(1, 600) * MINUTE
        attachments: tuple[Attachment, ...] = ()
        if paper is not None:
            attachments = (
                Attachment(
                    paper, random.randbytes(32), random.randbytes(32), random.randrange(9_000_000), "application/pdf"
                ),
            )
        draft = Draft(
            act=act,
            case=self.case,
            subject=subject,
            body=body,
            occurred_from=self.at,
            occurred_until=self.at,
            zone="Europe/Berlin",
            addressees=() if tell is None else (tell.id,),
            local_reference=random.randbytes(32),
            basis=self.basis,
            answers=answers,
            attachments=attachments,
        )
        return Said(by, new_id(self.at, random.randbytes(10)), draft)


def _request(random: Random, world: World, at: int) -> Iterator[Said]:
    """One request from its case to its end: 15 to 25 acts."""
    (instrument, form, article), *_ = random.choices(list(INSTRUMENTS), list(INSTRUMENTS.values()))
    here, there = random.sample(STATES, 2)
    us = world.authorities[here, "prosecutor"]
    court = world.authorities[here, "court"]
    them = world.authorities[there, "provider" if form == "produce" else "prosecutor"]
    case, request, exhibit = (_id(f"{random.getrandbits(128)}") for _ in range(3))
    say = _Voice(random, case, at, (Basis(instrument, article),))
    person, condition = say.some_id(), say.some_id()
    measure = random.choice(["subscriber_identification", "search", "bank_accounts", "seizure"])

    yield say(us, "case.opened", case, procedure="criminal", stage="investigation", offences=["fraud", "laundering"],
              sensitivity="ordinary")  # fmt: skip
    yield say(us, "person.registered", case, person=person, role="suspect")
    authorised = say(court, "measure.authorised", case, paper="decision", measure=measure, territory=[there],
                     worldwide=False, persons=[person], all_users=False, valid_from=say.at,
                     valid_until=None)  # fmt: skip
    yield authorised
    yield say(us, "request.issued", request, tell=them, paper="form", instrument=instrument, form=form,
              measures=[measure], requested=them.id, requested_country=there, persons=[person],
              unknown_persons=False, urgency="ordinary", necessity=random.randbytes(32),
              domestic_authorisation=authorised.id)  # fmt: skip
    yield say(court, "request.validated", request, validated_on="ex_ante")
    yield say(us, "request.transmitted", request, tell=them, to=them.id, channel="e_codex",
              transport_proof=random.randbytes(32))  # fmt: skip
    yield say(them, "request.received", request, tell=us, completeness="complete")
    yield say(them, "request.acknowledged", request, tell=us, competent=them.id)
    if random.random() < 0.3:
        yield say(them, "request.supplement_requested", request, tell=us, topics=["identity", "facts"], due_at=None)
        yield say(us, "request.supplement_provided", request, tell=them, paper="report", completeness="complete")
    yield say(them, "request.recognised", request, tell=us, scope="full", conditions=["speciality"])
    if form == "arrest":
        yield from _surrender(say, world, request, person, us, them)
        return
    started = say(them, "measure.started", request, measure=measure, place=there, subjects_in=[there],
                  aware_since=None, technical_assistance_needed=False, authorisation=authorised.id)  # fmt: skip
    yield started
    yield say(them, "measure.completed", request, answers=(started.id,), measure=measure, result="obtained")
    yield say(them, "exhibit.acquired", exhibit, paper="manifest", exhibit_kind="communications", acquired_by=them.id,
              source_country=there, authorisation=authorised.id, measure=started.id, method="production",
              hash=random.randbytes(32), hash_kind="plain", manifest_root=random.randbytes(32), items=1200,
              acquired_from=say.at, acquired_until=say.at, copy="original", series=None)  # fmt: skip
    yield say(
        them, "result.handed_over", request, tell=us, exhibits=[exhibit], channel="e_codex", return_required=False
    )
    yield say(them, "exhibit.handed_over", exhibit, tell=us, to=us.id, reason="execution_result",
              hash=random.randbytes(32))  # fmt: skip
    yield say(us, "exhibit.taken_over", exhibit, tell=them, from_authority=them.id, check="identical",
              hash=random.randbytes(32))  # fmt: skip
    yield say(us, "result.received", request, tell=them, exhibits=[exhibit], check="identical")
    if random.random() < 0.5:
        yield say(them, "use_condition.attached", exhibit, tell=us, condition=condition,
                  purposes=["criminal_proceedings"], recipients=[us.id, court.id], future_material=False,
                  expires_at=None)  # fmt: skip
    for _ in range(random.randrange(3)):
        yield say(us, "exhibit.examined", exhibit, purpose="content_analysis", method="examination", accredited=True)
    yield say(us, "integrity.verified", exhibit, result="identical", compared="hash")
    yield say(them, "request.executed", request, tell=us, result="obtained")
    yield say(us, "request.closed", request, tell=them, outcome="fulfilled")


def _surrender(
    say: _Voice, world: World, request: bytes, person: bytes, us: Authority, them: Authority
) -> Iterator[Said]:
    court = world.authorities[them.country, "court"]
    handover = say.some_id()
    yield say(them, "person.arrested", handover, tell=us, person=person, request=request, arrest_basis="eaw")
    rights = [{"right": "informed_of_warrant", "status": "done"}, {"right": "counsel_executing", "status": "done"}]
    yield say(them, "rights_status.recorded", handover, rights=rights)
    yield say(court, "detention.decided", handover, paper="decision", outcome="detained", review_due_at=None)
    yield say(court, "consent.recorded", handover, consents=False, speciality_renounced=False)
    yield say(court, "surrender.decided", handover, paper="decision", outcome="yes", grounds=[], conditions=[])
    yield say(them, "person.handed_over", handover, tell=us, place=them.country, detention_days=40)
    yield say(us, "person.taken_over", handover, tell=them, place=us.country, detention_days=40)
    yield say(them, "request.executed", request, tell=us, result="obtained")
    yield say(us, "request.closed", request, tell=them, outcome="fulfilled")


def long_stream(random: Random, world: World) -> Iterator[Said]:
    """One exhibit that is examined for ever, by ten authorities."""
    who = [world.authorities[country, "prosecutor"] for country in STATES[:10]]
    case, exhibit = _id("the long case"), _id("the long stream")
    say = _Voice(random, case, BEGIN)
    yield say(who[0], "case.opened", case, procedure="criminal", stage="investigation", offences=["drug_trafficking"],
              sensitivity="restricted")  # fmt: skip
    yield say(who[0], "exhibit.acquired", exhibit, exhibit_kind="intercepted_data", acquired_by=who[0].id,
              source_country="FR", authorisation=None, measure=None, method="remote_infiltration", hash=None,
              hash_kind="none", manifest_root=random.randbytes(32), items=115_000_000, acquired_from=say.at,
              acquired_until=say.at, copy="original", series=None)  # fmt: skip
    while True:
        say.at = BEGIN + random.randrange(500_000) * MINUTE
        by = random.choice(who)
        if random.random() < 0.5:
            yield say(by, "exhibit.examined", exhibit, purpose="selection", method="filtering", accredited=False)
        else:
            yield say(by, "integrity.verified", exhibit, result="identical", compared="item_proof")


def drafts(world: World, count: int, seed: int = 1) -> Iterator[Said]:
    """What *count* statements say, in the order in which they are published."""
    random = Random(seed)
    long = long_stream(random, world)
    yield from (next(long), next(long))
    under_way = [_request(random, world, BEGIN) for _ in range(OPEN_REQUESTS)]
    done = 2
    while done < count:
        if random.random() < LONG_STREAM_SHARE:
            yield next(long)
            done += 1
            continue
        place = random.randrange(len(under_way))
        said = next(under_way[place], None)
        if said is None:
            under_way[place] = _request(random, world, BEGIN + done * MINUTE)
            continue
        yield said
        done += 1


def encoded(said: Said, sequence: int) -> bytes:
    """The bytes of a statement."""
    draft, signer = said.draft, said.by.signer
    body = catalogue().encode(draft.act, draft.version, draft.body)
    return encode_statement(
        statement_from(
            draft,
            statement_id=said.id,
            ledger=ORIGIN,
            publisher=signer.authority,
            key=signer.key.id,
            sequence=sequence,
            body=body,
        )
    )


def statements(world: World, count: int, *, batch: int = 1, seed: int = 1) -> list[Signed]:
    """
    Sign *count* statements, each alone or each publisher's own in batches of at most *batch*.

    The order stays that of ``drafts``: statements of one batch do not stand side by side.
    """
    sequences: dict[bytes, int] = {}
    made: list[tuple[Said, bytes]] = []
    for said in drafts(world, count, seed):
        key = said.by.signer.key.id
        made.append((said, encoded(said, sequences.get(key, 0))))
        sequences[key] = sequences.get(key, 0) + 1
    if batch == 1:
        return [Signed(data, said.by.signer.key.sign(signed_message(data))) for said, data in made]
    signed: list[Signed | None] = [None] * len(made)
    own: dict[bytes, list[int]] = {}
    for number, (said, _) in enumerate(made):
        own.setdefault(said.by.id, []).append(number)
    for numbers in own.values():
        for start in range(0, len(numbers), batch):
            part = numbers[start : start + batch]
            signing = made[part[0]][0].by.signer.key
            root, paths = batch_paths([made[number][1] for number in part])
            signature = signing.sign(batch_message(len(part), root))
            for place, (number, path) in enumerate(zip(part, paths, strict=True)):
                signed[number] = Signed(made[number][1], signature, Batch(len(part), place, path))
    return [item for item in signed if item is not None]


def desks(world: World, publishers: int, each: int) -> list[list[Signed]]:
    """For each of *publishers*, *each* statements about a case of its own, in order."""
    found = []
    for number, who in enumerate(list(world.authorities.values())[:publishers]):
        random = Random(number)
        case, exhibit = _id(f"desk {number}"), _id(f"exhibit of desk {number}")
        say = _Voice(random, case, BEGIN, (Basis("eu-eio-2014-41", "6"),))
        said = [
            say(who, "case.opened", case, procedure="criminal", stage="investigation", offences=["fraud"],
                sensitivity="ordinary"),
            say(who, "exhibit.acquired", exhibit, exhibit_kind="communications", acquired_by=who.id,
                source_country=who.country, authorisation=None, measure=None, method="seizure",
                hash=random.randbytes(32), hash_kind="plain", manifest_root=None, items=3, acquired_from=say.at,
                acquired_until=say.at, copy="original", series=None),
        ]  # fmt: skip
        while len(said) < each:
            if random.random() < 0.5:
                said.append(say(who, "exhibit.examined", exhibit, paper="report", purpose="content_analysis",
                                method="examination", accredited=True))  # fmt: skip
            else:
                said.append(say(who, "integrity.verified", exhibit, result="identical", compared="hash"))
        data = [encoded(item, sequence) for sequence, item in enumerate(said[:each])]
        found.append([Signed(item, who.signer.key.sign(signed_message(item))) for item in data])
    return found


__all__ = ["BATCH_SIZE", "ORIGIN", "Authority", "Said", "World", "desks", "drafts", "encoded", "statements"]
