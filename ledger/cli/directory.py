"""
Who is on the roster and with which keys, read from the log's own roster entries.

It is the reader's list: the judgement of which key counts where is the verifier's (``ledger.verify``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from ledger.acts import Catalogue
    from ledger.cli.options import View
    from ledger.store import Store
    from ledger.verify import Roster


@dataclass(slots=True)
class Key:
    """A key of an authority: its id, since which entry, and how it ended, where it did."""

    id: bytes
    public_key: bytes
    authority: bytes
    since_index: int
    ended: str = ""
    ended_index: int | None = None
    invalid_from: int | None = None
    suspect_from: int | None = None
    reason: str | None = None


@dataclass(slots=True)
class Member:
    """An authority: what its root said of it, and its keys in the order of the log."""

    authority: bytes
    index: int
    kind: str
    holder: str | None = None
    designation: str | None = None
    country: str | None = None
    level: str | None = None
    functions: tuple[str, ...] = ()
    enrolled_by: bytes | None = None
    keys: list[Key] = field(default_factory=list)

    @property
    def called(self) -> str:
        """Its designation; where it has none, what it is."""
        if self.designation:
            return self.designation
        if self.kind == "state_root":
            return f"the root of {self.holder}"
        if self.kind == "operator":
            return "the operator of the ledger"
        return self.kind.replace("_", " ")


@dataclass(slots=True)
class Directory:
    """Everybody on the roster by id, and every key by its id."""

    members: dict[bytes, Member] = field(default_factory=dict)
    keys: dict[bytes, Key] = field(default_factory=dict)
    origin: str = ""
    founded: bytes = b""
    ledger: bytes = b""
    case: bytes = b""

    def called(self, authority: bytes) -> str:
        """What an authority is called; its id where it is not on the roster."""
        member = self.members.get(authority)
        return member.called if member else str(UUID(bytes=authority))

    @property
    def names(self) -> dict[str, bytes]:
        """Each designation, and each ``root:HOLDER``, that means exactly one authority."""
        found: dict[str, bytes | None] = {}
        for authority, member in self.members.items():
            called = member.designation
            if member.kind == "state_root":
                called = f"root:{member.holder}"
            if member.kind == "operator":
                called = "operator"
            if called:
                found[called] = None if called in found else authority
        return {called: one for called, one in found.items() if one is not None}


def directory(store: Store, catalogue: Catalogue, asked: View | None = None) -> Directory:
    """
    The roster as the log has it, or as it stood at the clocks asked about.

    Cost: O(roster entries); the roster of all States is some thousands.
    """
    from ledger.reading import recorded
    from ledger.verify import Roster

    found, judge = Directory(), Roster()
    for index, data in store.roster():
        entry = recorded(index, data, catalogue)
        if entry.body is None:
            continue
        if asked is not None and asked.known_by is not None and entry.entry.recorded_at > asked.known_by:
            continue
        judge.fold(index, entry.statement, entry.body)
        if asked is not None and asked.happened_by is not None and entry.statement.occurred_from > asked.happened_by:
            continue
        body = _agreed(judge, entry.statement, entry.body)
        if body is not None:
            _apply(found, index, entry.statement, body)
    return found


def _agreed(judge: Roster, statement: Any, body: dict[str, Any]) -> dict[str, Any] | None:
    """What an act has done: what one root says of the operator's keys, nothing until the quorum has said it."""
    from ledger.keys import key_id

    if statement.subject != judge.operator or statement.act not in {"key.revoked", "key.certified"}:
        return body
    key = judge.key(body["key"] if statement.act == "key.revoked" else key_id(body["public_key"]))
    if key is None or (statement.act == "key.revoked" and key.invalid_from is None):
        return None
    return body | {"invalid_from": key.invalid_from, "suspect_from": key.suspect_from}


def _apply(found: Directory, index: int, statement: Any, body: dict[str, Any]) -> None:
    act = statement.act
    if act == "ledger.founded":
        found.origin = body["origin"]
        found.ledger, found.case = statement.subject, statement.case
        _member(found, Member(body["operator"], index, "operator"))
        _key(found, body["operator"], body["operator_key"], index)
        for root in body["roots"]:
            _member(found, Member(root["authority"], index, "state_root", root["holder"]))
            _key(found, root["authority"], root["public_key"], index)
    elif act == "root.admitted":
        _member(found, Member(body["authority"], index, "state_root", body["holder"]))
        _key(found, body["authority"], body["public_key"], index)
    elif act == "authority.enrolled":
        _member(
            found,
            Member(
                statement.subject,
                index,
                body["authority_kind"],
                body["holder"],
                body["designation"],
                body["country"],
                body["level"],
                tuple(body["functions"]),
                statement.publisher,
            ),
        )
        if body["public_key"] is not None:
            _key(found, statement.subject, body["public_key"], index)
    elif act == "key.certified":
        _key(found, statement.subject, body["public_key"], index)
    elif act == "key.rotated":
        _end(found, body["old_key"], "rotated", index)
        _key(found, statement.subject, body["public_key"], index)
    elif act == "root_key.replaced":
        for key in _of(found, body["authority"]):
            _end(found, key.id, "replaced", index)
        _key(found, body["authority"], body["public_key"], index)
    elif act == "key.retired":
        _end(found, body["key"], "retired", index)
    elif act == "key.revoked":
        revoked = found.keys.get(body["key"])
        if revoked is not None:
            revoked.ended, revoked.ended_index = "revoked", index
            revoked.invalid_from, revoked.suspect_from = body["invalid_from"], body["suspect_from"]
            revoked.reason = body["reason"]


def _member(found: Directory, member: Member) -> None:
    before = found.members.get(member.authority)
    if before is not None:
        member.keys = before.keys
    found.members[member.authority] = member


def _of(found: Directory, authority: bytes) -> list[Key]:
    member = found.members.get(authority)
    return [] if member is None else [key for key in member.keys if not key.ended]


def _key(found: Directory, authority: bytes, public_key: bytes, index: int) -> None:
    from ledger.keys import key_id

    key = Key(key_id(public_key), public_key, authority, index)
    found.keys[key.id] = key
    member = found.members.get(authority)
    if member is not None:
        member.keys.append(key)


def _end(found: Directory, key_id: bytes, how: str, index: int) -> None:
    key = found.keys.get(key_id)
    if key is not None and not key.ended:
        key.ended, key.ended_index = how, index
