"""
A world for the domain: authorities that say things, in the field's words, and a machine that lets
them say anything.

``given(...).when(...).then(accepted)`` reads as the sentence that it tests. Names stand for ids:
``ident("the request")``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import resources
from ledger.acts import Catalogue, catalogue
from ledger.domain import (
    ACCEPTED,
    Decision,
    Flag,
    Rejected,
    Seen,
    Thing,
    decide,
    evolve,
    flags,
    fold,
    load,
    named_by,
)
from ledger.statement import Speaker, Statement, Visibility

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOON = 1_591_056_000_000_000
"""2 June 2020, in microseconds."""


def ident(name: str) -> bytes:
    """The 16-byte id for which a name stands."""
    return sha256(name.encode()).digest()[:16]


class Known(NamedTuple):
    """What a roster knows of an authority, as far as the domain asks."""

    kind: str
    country: str | None
    holder: str


AUTHORITIES: Mapping[str, Known] = {
    "Paris": Known("prosecutor", "FR", "FR"),
    "Lyon": Known("prosecutor", "FR", "FR"),
    "the French ministry": Known("central_authority", "FR", "FR"),
    "Berlin": Known("court", "DE", "DE"),
    "Frankfurt": Known("prosecutor", "DE", "DE"),
    "Munich": Known("prosecutor", "DE", "DE"),
    "the German ministry": Known("central_authority", "DE", "DE"),
    "The Hague": Known("prosecutor", "NL", "NL"),
    "Luxembourg": Known("international_court", None, "CJEU"),
    "a lawyer": Known("counsel", "DE", "DE"),
}


class EveryoneKnown:
    """A roster that knows these authorities and lets every roster act pass; its own tests judge those."""

    ledger = ident("the ledger")

    def authority(self, authority: bytes) -> Known | None:
        return _BY_ID.get(authority)

    def judge(self, index: int, statement: Statement, body: Any, ed25519: Any) -> str | None:
        return None

    def fold(self, index: int, statement: Statement, body: Any) -> None:
        """Nobody new."""


_BY_ID = {ident(name): known for name, known in AUTHORITIES.items()}


class Saying(NamedTuple):
    """Somebody says something of something."""

    who: str
    act: str
    of: str
    body: Mapping[str, Any] = {}
    case: str = "the case"
    name: str = ""
    voice: str = "own"
    speaker: Speaker | None = None
    answers: tuple[str, ...] = ()
    corrects: str | None = None
    addressees: tuple[str, ...] = ()
    occurred: int = 0
    key: bytes = bytes(32)


def says(who: str, act: str, of: str, body: Mapping[str, Any] | None = None, **rest: Any) -> Saying:
    """``who`` says ``act`` of the thing called ``of``; what the body leaves open is filled in."""
    return Saying(who, act, of, body or {}, **rest)


def reports(
    who: str, about: str | None, act: str, of: str, body: Mapping[str, Any] | None = None, **rest: Any
) -> Saying:
    """``who`` reports that ``about`` did something."""
    speaker = Speaker(
        authority=None if about is None else ident(about),
        country="FR" if about is None else None,
        authority_kind="court" if about is None else None,
        source="a judgment",
    )
    return Saying(who, act, of, body or {}, voice="reported", speaker=speaker, **rest)


@cache
def _schema(act: str) -> Any:
    return json.loads((resources.path("schemas") / "acts" / f"{act}.1.avsc").read_text())


def whole(act: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A body that its schema admits: what is not given is the emptiest value that will do."""
    return {f["name"]: body[f["name"]] if f["name"] in body else _empty(f["type"], f) for f in _schema(act)["fields"]}


def _empty(kind: Any, properties: Mapping[str, Any]) -> Any:
    if isinstance(kind, list):
        return None
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "string":
        return next(iter(catalogue().codes(properties["codes"]))) if "codes" in properties else "C-670/22"
    if name == "array":
        return []
    if name == "boolean":
        return False
    if name in {"fixed", "comity.Uuid", "comity.Digest"}:
        return ident("the case") if "igest" not in str(kind) else bytes(32)
    return 1


@dataclass
class World:
    """A ledger in memory, without bytes: a ``ledger.domain.View`` that grows."""

    roster: Any = field(default_factory=EveryoneKnown)
    catalogue: Catalogue = field(default_factory=catalogue)
    things: dict[bytes, Thing] = field(default_factory=dict)
    seen: dict[bytes, Seen] = field(default_factory=dict)
    named: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    size: int = 0
    ed25519: Callable[[bytes, bytes, bytes], bool] = lambda _key, _message, _signature: True

    def thing(self, subject: bytes) -> Thing | None:
        return self.things.get(subject)

    def recorded(self, statement_id: bytes) -> Seen | None:
        return self.seen.get(statement_id)

    def named_in(self, statement_id: bytes) -> frozenset[bytes]:
        return self.named.get(statement_id, frozenset())

    def statement(self, saying: Saying) -> tuple[Statement, dict[str, Any]]:
        """The statement that a saying stands for, and its body."""
        name = saying.name or f"statement {self.size}"
        at = NOON + (saying.occurred or self.size)
        statement = Statement(
            id=ident(name),
            ledger="comity.example/simulation",
            publisher=ident(saying.who),
            key=saying.key,
            sequence=self.size,
            voice=saying.voice,
            speaker=saying.speaker,
            case=ident(saying.case),
            subject=ident(saying.of),
            act=saying.act,
            version=1,
            kind="act",
            occurred_from=at,
            occurred_until=at,
            occurred_confirmed=True,
            zone="UTC",
            legal_effect_at=None,
            known_at=None,
            addressees=tuple(map(ident, saying.addressees)),
            visibility=Visibility(),
            proceedings=(),
            language="en",
            local_reference=None,
            basis=(),
            answers=tuple(map(ident, saying.answers)),
            corrects=None if saying.corrects is None else ident(saying.corrects),
            attachments=(),
            body=b"",
        )
        return statement, whole(saying.act, saying.body)

    def decide(self, saying: Saying) -> Decision:
        """What the ledger would say."""
        return decide(self, self.size, *self.statement(saying))

    def flags(self, saying: Saying) -> tuple[Flag, ...]:
        """What would be flagged."""
        statement, body = self.statement(saying)
        return flags(self.thing(statement.subject), statement, body, load())

    def publish(self, saying: Saying) -> Decision:
        """Say it: it is recorded, accepted or not."""
        statement, body = self.statement(saying)
        decision = decide(self, self.size, statement, body)
        rejected = decision is not ACCEPTED
        self.seen[statement.id] = Seen(
            self.size, statement.act, statement.publisher, statement.subject, statement.case, rejected
        )
        if not rejected:
            self.things[statement.subject] = evolve(self.thing(statement.subject), self.size, statement, body)
            self.roster.fold(self.size, statement, body)
            self.named[statement.id] = named_by(statement, body, self.catalogue)
        self.said.append(Said(self.size, statement, None if rejected else body))
        self.size += 1
        return decision

    def stream(self, name: str) -> list[Said]:
        """What was said of a thing and accepted."""
        return [said for said in self.said if said.statement.subject == ident(name) and said.body is not None]


@dataclass(frozen=True)
class Said:
    """One entry, as far as folding asks."""

    index: int
    statement: Statement
    body: dict[str, Any] | None


# ----------------------------------------------------------------------------- given, when, then


@dataclass
class Given:
    """What has been said so far, and what is said now."""

    world: World
    now: Saying | None = None

    def when(self, saying: Saying) -> Given:
        """This is said now."""
        return Given(self.world, saying)

    def then(self, expected: Decision) -> World:
        """This is the answer; returns the world after it."""
        assert self.now is not None
        found = self.world.publish(self.now)
        reason = found.reason if isinstance(found, Rejected) else "accepted"
        assert reason == (expected.reason if isinstance(expected, Rejected) else "accepted"), found
        return self.world

    def then_flagged(self, *codes: str) -> World:
        """It is accepted, with these flags and no others."""
        assert self.now is not None
        assert {flag.code for flag in self.world.flags(self.now)} == set(codes)
        return self.then(ACCEPTED)


accepted = ACCEPTED


def rejected(reason: str) -> Rejected:
    """Rejected for this reason, whatever the sentence."""
    return Rejected(reason, "")


def given(*sayings: Saying) -> Given:
    """All this has been said, and accepted."""
    world = World()
    for saying in sayings:
        found = world.publish(saying)
        assert found is ACCEPTED, (saying, found)
    return Given(world)


A_CASE = says("Paris", "case.opened", "the case")

A_REQUEST = says(
    "Paris",
    "request.issued",
    "the request",
    {"requested": ident("Frankfurt"), "requested_country": "DE"},
)

AN_EXHIBIT = says("Paris", "exhibit.acquired", "the exhibit", {"source_country": "FR"})

AN_ARREST = says("Frankfurt", "person.arrested", "the arrest", {"request": ident("the request")})

A_DISCLOSURE = says(
    "Paris", "disclosure.made", "the disclosure", {"exhibits": [ident("the exhibit")], "recipient": ident("Frankfurt")}
)

A_CHALLENGE = says("a lawyer", "challenge.lodged", "the challenge", {"forum": ident("Berlin")})

A_TEAM = says("Paris", "joint_team.agreed", "the team", {"members": [ident("Paris"), ident("The Hague")]})

PROCEEDINGS = says(
    "Berlin",
    "proceedings.opened",
    "the proceedings",
    {"authority": ident("Berlin"), "stage": "trial", "published_reference": None},
)

EVERYTHING = (A_CASE, A_REQUEST, AN_EXHIBIT, AN_ARREST, A_DISCLOSURE, A_CHALLENGE, A_TEAM, PROCEEDINGS)

THING_NAMES = tuple(saying.of for saying in EVERYTHING)


# ---------------------------------------------------------------------------------- the machine

ANY_ACT = sorted(act.name for act in catalogue().acts() if act.released and "ledger" not in act.streams[:1])
NAMES = (*THING_NAMES, "another case", "another request", "another exhibit")


class Anything(RuleBasedStateMachine):
    """Authorities say anything of anything; whatever they say, the record stays true."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.publish(A_CASE)

    @rule(saying=st.sampled_from(EVERYTHING))
    def begin_something(self, saying: Saying) -> None:
        """Somebody begins one of the known things, perhaps a second time."""
        exists = ident(saying.of) in self.world.things
        found = self.world.publish(saying)
        if exists:
            assert isinstance(found, Rejected)

    @rule(
        who=st.sampled_from(sorted(AUTHORITIES)),
        act=st.sampled_from(ANY_ACT),
        of=st.sampled_from(NAMES),
        case=st.sampled_from(["the case", "another case"]),
        other=st.sampled_from(sorted(AUTHORITIES)),
        about=st.integers(0, 30),
        reported=st.booleans(),
        choice=st.integers(0, 5),
    )
    def say_anything(
        self, who: str, act: str, of: str, case: str, other: str, about: int, reported: bool, choice: int
    ) -> None:
        """Anybody says any act of anything, in his own voice or as a report."""
        body = self._body(act, other, about, choice)
        answers = (f"statement {about}",) if about % 3 == 0 else ()
        rest: dict[str, Any] = {"case": case, "answers": answers}
        if act == "statement.corrected":
            rest["corrects"] = f"statement {about}"
        saying = reports(who, other, act, of, body, **rest) if reported else says(who, act, of, body, **rest)
        before = dict(self.world.things)
        found = self.world.publish(saying)
        if isinstance(found, Rejected):
            assert self.world.things == before
            assert found.reason in catalogue().codes("rejection_reasons")
        elif not reported:
            self._nobody_spoke_for_another(who, saying, before.get(ident(of)))

    def _body(self, act: str, other: str, about: int, choice: int) -> dict[str, Any]:
        """Codes by ``choice``, references to what may or may not exist."""
        body: dict[str, Any] = {}
        for path, kind in catalogue().act(act).references.items():
            name = path.removesuffix("[]")
            if "." in name or "[" in name:
                continue
            if kind == "authority":
                value = ident(other)
            elif kind.startswith("statement"):
                value = ident(f"statement {about}")
            else:
                value = ident(NAMES[about % len(NAMES)])
            body[name] = [value] if path.endswith("[]") else value
        for properties in _schema(act)["fields"]:
            if properties["type"] == "string" and "codes" in properties:
                codes = list(catalogue().codes(properties["codes"]))
                body[properties["name"]] = codes[choice % len(codes)]
        return body

    def _nobody_spoke_for_another(self, who: str, saying: Saying, thing: Thing | None) -> None:
        by = catalogue().act(saying.act).by
        if thing is not None and thing.kind == "request" and by == ("requesting",):
            requesting = thing.requesting  # type: ignore[attr-defined]
            assert requesting in {None, ident(who)}
        if set(by) <= {"court", "investigating_judge", "prosecutor", "international_court"}:
            assert AUTHORITIES[who].kind in by

    @invariant()
    def versions_are_dense(self) -> None:
        """Every thing has counted exactly the acts that were accepted of it."""
        counts: dict[bytes, int] = {}
        for said in self.world.said:
            if said.body is not None:
                counts[said.statement.subject] = counts.get(said.statement.subject, 0) + 1
        assert {subject: thing.acts for subject, thing in self.world.things.items()} == counts

    @invariant()
    def no_subject_twice(self) -> None:
        """At most one act created each thing, and it came first."""
        created: set[bytes] = set()
        for said in self.world.said:
            if said.body is not None:
                creates = catalogue().act(said.statement.act).creates
                assert creates == (said.statement.subject not in created)
                created.add(said.statement.subject)

    @invariant()
    def a_report_completes_no_half(self) -> None:
        """Whoever holds an exhibit acquired it or said himself that he took it over."""
        for name in NAMES:
            thing = self.world.thing(ident(name))
            if thing is None or thing.kind != "exhibit" or thing.holder is None:  # type: ignore[attr-defined]
                continue
            own = {
                said.statement.publisher
                for said in self.world.stream(name)
                if said.statement.act == "exhibit.taken_over" and said.statement.voice != "reported"
            }
            first = self.world.stream(name)[0]
            fresh = fold([first])
            assert thing.holder in own | {fresh.holder}  # type: ignore[attr-defined,union-attr]

    @invariant()
    def folding_anew_gives_the_same(self) -> None:
        """What was folded act by act is what the stream folds into, wherever it is cut."""
        for name in THING_NAMES:
            stream = self.world.stream(name)
            middle = len(stream) // 2
            assert fold(stream[middle:], fold(stream[:middle])) == self.world.thing(ident(name)) == fold(stream)
