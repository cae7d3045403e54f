"""
JSON documents and NDJSON streams of drafts: each object, with the line on which it begins.

What cannot be read is named with its line; what an object means is for ``ledger.drafts`` to say.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ledger.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOCUMENT_BYTES_MAX", "DRAFT_BYTES_MAX", "DraftFault", "DraftInvalid", "Located", "kind_of", "located"]

DRAFT_BYTES_MAX: Final = 1 << 20
"""A draft on one line; a statement has at most 60,000 bytes, so this leaves room for remarks."""

DOCUMENT_BYTES_MAX: Final = 64 << 20
"""A document that is not NDJSON is held whole in memory."""

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_ABSENT: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class DraftFault:
    """One thing wrong with a draft: the path of the field, and the rule that it breaks."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


class DraftInvalid(FormatError):  # noqa: N818 -- says what is the case, as NotVerified does
    """
    A draft that cannot become a statement.

    Attributes:
        line: the line of the input on which the draft begins, counted from 1.
        faults: everything wrong with it, in the order of the fields; at least one.
    """

    def __init__(self, line: int, faults: tuple[DraftFault, ...]) -> None:
        first = faults[0]
        super().__init__(first.rule, field=first.path)
        self.line = line
        self.faults = faults

    def __str__(self) -> str:
        return f"line {self.line}: " + "; ".join(map(str, self.faults))


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON object and the line on which it begins, counted from 1."""

    line: int
    value: dict[str, Any]


def located(source: BinaryIO) -> Iterator[Located]:
    """
    Every JSON object of *source*: NDJSON line by line, or one document.

    A first line that is a whole object makes it NDJSON, read in constant memory. Otherwise the
    input is one document: an object, an array of objects, or objects one after the other.

    Raises:
        DraftInvalid: not UTF-8, not JSON, a repeated key, not an object, or too large; with the
            line.

    Cost: O(bytes); memory O(one draft) for NDJSON, O(document) otherwise.
    """
    line = 0
    while raw := source.readline(DRAFT_BYTES_MAX + 1):
        line += 1
        if line == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if not raw.strip():
            continue
        if len(raw) <= DRAFT_BYTES_MAX and not raw.lstrip().startswith(b"["):
            value = _whole(_text(raw, line))
            if value is not _ABSENT:
                yield Located(line, _object(value, line))
                break
        rest = source.read(DOCUMENT_BYTES_MAX + 1 - len(raw))
        if len(raw) + len(rest) > DOCUMENT_BYTES_MAX:
            raise _fault(line, f"larger than {DOCUMENT_BYTES_MAX} bytes; write one draft a line")
        yield from _document(_text(raw + rest, line), line)
        return
    while raw := source.readline(DRAFT_BYTES_MAX + 1):
        line += 1
        if len(raw) > DRAFT_BYTES_MAX:
            raise _fault(line, f"larger than {DRAFT_BYTES_MAX} bytes")
        if raw.strip():
            yield Located(line, _object(_load(_text(raw, line), line), line))


def _fault(line: int, rule: str, path: str = "") -> DraftInvalid:
    return DraftInvalid(line, (DraftFault(path, rule),))


def _text(raw: bytes, line: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line += raw.count(b"\n", 0, error.start)
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1)
        raise _fault(line, f"not UTF-8: {error.reason} at byte {column} of the line") from None


class _RepeatedKeyError(ValueError):
    """A JSON object names a key twice; which value counts would be a guess."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKeyError(twice)
    return value


class _NotJsonError(ValueError):
    """What Python's parser would take, and JSON does not have."""


def _constant(name: str) -> Any:
    raise _NotJsonError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _whole(text: str) -> Any:
    """The value if *text* is exactly one, ``_ABSENT`` if it may be the start of a document."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        # Said again, and better, when the document is read.
        return _ABSENT


def _load(text: str, line: int) -> Any:
    value, end, _ = _value(text, 0, line)
    if text[end:].strip():
        raise _fault(line, "more than one JSON value on the line")
    return value


def _value(text: str, start: int, line: int) -> tuple[Any, int, int]:
    """One value at *start*, where it ends, and the line on which it begins."""
    at, start = start, _after_blanks(text, start)
    line += text.count("\n", at, start)
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        at = line + text.count("\n", start, error.pos)
        column = error.pos - (text.rfind("\n", 0, error.pos) + 1) + 1
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        what = "ends in the middle of a draft" if cut else error.msg
        raise _fault(at, f"not JSON: {what} (column {column})") from None
    except _RepeatedKeyError as error:
        raise _fault(line, "the key is given twice", str(error)) from None
    except RecursionError:
        raise _fault(line, "nested too deeply") from None
    except _NotJsonError as error:
        raise _fault(line, f"not JSON: {error}") from None
    except ValueError:
        # The one other complaint of the parser; Python's own words advise to lift its limit.
        raise _fault(line, "a number of too many digits") from None
    return value, end, line


def _after_blanks(text: str, at: int) -> int:
    """Where the blanks end that JSON allows between values; nothing behind them is read."""
    found = _BLANKS.match(text, at)
    assert found is not None, "there may be none"
    return found.end()


def _document(text: str, line: int) -> Iterator[Located]:
    at = 0
    bracket = text.lstrip().startswith("[")
    if bracket:
        at = text.index("[") + 1
        line += text.count("\n", 0, at)
    first = True
    while True:
        place = _after_blanks(text, at)
        mark = text[place : place + 1]
        if bracket and mark == "]" and first:
            line, at = line + text.count("\n", at, place), place + 1
            break
        if bracket and not first:
            line, at = line + text.count("\n", at, place), place + 1
            if mark == "]":
                break
            if mark != ",":
                raise _fault(line, "not JSON: expected , or ] after a draft")
        elif not bracket and not mark:
            return
        value, end, begins = _value(text, at, line)
        yield Located(begins, _object(value, begins))
        line += text.count("\n", at, end)
        at = end
        first = False
    if text[at:].strip():
        raise _fault(line, "not JSON: something follows the closing ]")


def _object(value: Any, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _fault(line, f"a draft is a JSON object, not {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    for kind, name in (
        (bool, "a boolean"),
        (str, "a text"),
        (int, "a number"),
        (float, "a fraction"),
        (list, "an array"),
        (dict, "an object"),
    ):
        if isinstance(value, kind):
            return name
    return "null"
