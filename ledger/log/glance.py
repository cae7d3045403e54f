"""
What an audit compares of an entry, read without making objects of the rest.

Nearly all entries are plain: accepted, signed alone, the publisher's own words, short ASCII texts, few bases
and attachments. Their grammar is a regular expression, which checks in two microseconds that every field is there in
its one canonical form, and points at the fields that an audit compares. Whatever is not plain, or not right, is left
to the decoder that names the field (``ledger.statement``); ``tests/test_glance.py`` holds the two together.

The expression is made when the first entry is read (40 ms). No part of it can match in two ways, so hostile bytes
cost no more than others.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple, Self

from ledger.codec import read_long
from ledger.statement import ENTRY_BYTES_MAX, FORMAT, STATEMENT_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.statement import Entry, Statement

IDS_MAX = 8
"""How many ids an array of a plain statement holds."""


class Glance(NamedTuple):
    """An entry: ids 16 bytes, key 32, signature 64, instants microseconds since 1970 UTC."""

    statement: bytes
    id: bytes
    publisher: bytes
    key: bytes
    sequence: int
    case: bytes
    subject: bytes
    act: str
    signature: bytes
    recorded_at: int
    subject_version: int
    case_version: int

    @classmethod
    def of(cls, entry: Entry, statement: Statement) -> Self:
        """What ``glance`` would have said of a decoded entry; the versions of a rejected one are 0."""
        return cls(
            entry.statement,
            statement.id,
            statement.publisher,
            statement.key,
            statement.sequence,
            statement.case,
            statement.subject,
            statement.act,
            entry.signature,
            entry.recorded_at,
            entry.subject_version or 0,
            entry.case_version or 0,
        )


# Avro's zig-zag numbers in their shortest form, up to nine bytes.
_NUMBER = rb"(?:[\x00-\x7f]|[\x80-\xff]{1,8}[\x01-\x7f])"
# From 1988 to 3111 an instant takes eight bytes, of which the first is even: no number in between is out of range.
_INSTANT = b"[%s]" % b"".join(b"\\x%02x" % byte for byte in range(0x80, 0x100, 2)) + rb"[\x80-\xff]{6}[\x01-\x7f]"
_ID, _HASH = b".{16}", b".{32}"


def _text(least: int, most: int) -> bytes:
    return b"(?:%s)" % b"|".join(_count(n) + b"[\x00-\x7f]{%d}" % n for n in range(least, most + 1))


def _maybe(form: bytes) -> bytes:
    return b"(?:\x00|\x02%s)" % form


def _up_to(most: int, form: bytes) -> bytes:
    return b"(?:\x00|%s)" % b"|".join(b"%s(?:%s){%d}\x00" % (_count(n), form, n) for n in range(1, most + 1))


def _count(number: int) -> bytes:
    return re.escape(bytes([2 * number]))


@cache
def _forms() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """The form of an entry up to the length of the body, and behind the statement."""
    ids = _up_to(IDS_MAX, _ID)
    basis = _text(1, 40) + _maybe(_text(1, 32)) + rb"[\x00\x01]"
    attachment = _text(1, 24) + _HASH + _maybe(_HASH) + _NUMBER + _text(1, 40)
    head = (
        (_count(FORMAT), b"(", _NUMBER, b")"),  # format, length of the statement
        (b"(", _ID, b")", _text(1, 63), b"(", _ID, b")(", _HASH, b")(", _NUMBER, b")"),  # id to sequence
        (rb"[\x00\x02\x04]\x00(", _ID, b")(", _ID, b")"),  # voice, no speaker, case, subject
        (b"(", _text(3, 40), b")", _NUMBER, rb"[\x00\x02\x04\x06]"),  # act, version, kind
        (_INSTANT, _INSTANT, rb"[\x00\x01]", _text(1, 32)),  # occurred, confirmed, zone
        (_maybe(_INSTANT), _maybe(_INSTANT), ids),  # legal effect, known, addressees
        (rb"[\x00\x02\x04\x06]", _maybe(_INSTANT), ids),  # visibility, proceedings
        (_text(2, 3), _maybe(_HASH), _up_to(2, basis), ids),  # language, local reference, basis, answers
        (_maybe(_ID), _up_to(1, attachment), b"(", _NUMBER, b")"),  # corrects, attachments, length of the body
    )
    tail = (
        (rb"\x00\x00(.{64})\x00(", _INSTANT, b")"),  # no hash beside, Ed25519, signature, no batch, recorded
        (rb"\x00\x00", _HASH, rb"\x02(", _NUMBER, rb")\x02(", _NUMBER, b")"),  # accepted, rules, versions
    )
    join: Callable[[tuple[tuple[bytes, ...], ...]], bytes] = lambda parts: b"".join(map(b"".join, parts))  # noqa: E731 -- one line says it
    return re.compile(join(head), re.DOTALL), re.compile(join(tail), re.DOTALL)


@lru_cache(maxsize=65_536)
def _number(form: bytes) -> int:
    """What a number means: lengths, sequences, versions and the instants of a group come again and again."""
    return read_long(form, 0)[0]


def glance(entry: bytes) -> Glance | None:
    """
    Read what an audit compares of a plain entry; None where it is not plain.

    Cost: 3 us, a quarter of decoding it.
    """
    head_form, tail_form = _forms()
    head = head_form.match(entry)
    if head is None:
        return None
    size, identity, publisher, key, sequence, case, subject, act, body = head.groups()
    begin = head.end(1)
    end = begin + _number(size)
    if head.end() + _number(body) != end or end - begin > STATEMENT_BYTES_MAX or len(entry) > ENTRY_BYTES_MAX:
        return None
    tail = tail_form.fullmatch(entry, end)
    if tail is None:
        return None
    signature, recorded_at, subject_version, case_version = tail.groups()
    return Glance(
        entry[begin:end],
        identity,
        publisher,
        key,
        _number(sequence),
        case,
        subject,
        act[1:].decode(),
        signature,
        _number(recorded_at),
        _number(subject_version),
        _number(case_version),
    )
