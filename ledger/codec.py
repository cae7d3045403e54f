"""
The codec that one Avro schema gives: reading, checking, writing and showing the records of that schema.

One value has one encoding. Decoding accepts exactly the bytes that encoding makes (shortest
numbers, one block per array, nothing left over) and fails only with ``FormatError``, naming the
path of the faulty field. Lengths are compared with their limits before anything is read, so that
hostile bytes cost no more than honest ones.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final, NamedTuple, NoReturn, cast

import fastavro

from ledger.errors import FormatError
from ledger.instants import rfc3339

__all__ = ["Bad", "Codec", "Codes", "Fault", "read_instant", "read_long"]

MAX_ITEMS: Final = 64
"""Items of an array whose field does not say otherwise."""
MAX_CHARS: Final = 64
"""Characters of any string."""
_MAX_LONG: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Years 1 to 9999: what RFC 3339 can write. Anything else is a broken clock.
_FIRST_INSTANT: Final = -62_135_596_800_000_000
_LAST_INSTANT: Final = 253_402_300_799_999_999
_INSTANT: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A value of the right type that its field does not admit.

    Attributes:
        path: the field, such as ``grounds[0].ground``.
        rule: what it breaks, such as ``not in the code list grounds``.
    """

    path: str
    rule: str


class Bad(Exception):  # noqa: N818 -- never leaves the decoders: they make a FormatError of it
    """What is wrong, with the path that grows as it passes outward."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.path = path

    def under(self, name: str) -> Bad:
        """The same, one level further out."""
        self.path = _join(name, self.path)
        return self

    def at(self, index: int) -> Bad:
        """The same, as item ``index`` of an array."""
        self.path = _join(f"[{index}]", self.path)
        return self


def _join(outer: str, inner: str) -> str:
    return outer + inner if not inner or inner.startswith("[") else f"{outer}.{inner}"


def _refuse(expected: str, value: object) -> NoReturn:
    shown = "null" if value is None else type(value).__name__
    raise Bad(f"should be {expected}, is {shown}")


class _Type(NamedTuple):
    """
    The five readings of one Avro type.

    Attributes:
        read: ``(bytes, at) -> (value, next)``; raises ``Bad``, or IndexError past the end.
        check: raises ``Bad`` unless the value can be written.
        show: value to JSON.
        parse: JSON to value; raises ``Bad``.
        faults: appends the faults of a value under a path; None where every value will do.
        references: appends (path, kind, identifier); None where there are none.
    """

    read: Callable[[bytes, int], tuple[Any, int]]
    check: Callable[[Any], None]
    show: Callable[[Any], Any]
    parse: Callable[[Any], Any]
    faults: Callable[[Any, str, list[Fault]], None] | None = None
    references: Callable[[Any, str, list[tuple[str, str, bytes]]], None] | None = None


# ------------------------------------------------------------------------------------- numbers


_SHIFTS: Final = tuple(range(7, 64, 7))


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """
    Read a zig-zag number of at most 64 bits in its shortest form; the value, and where the next field begins.

    Raises:
        Bad, or IndexError past the end. Never more than ten bytes are read.
    """
    byte = data[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    number = byte & 0x7F
    for shift in _SHIFTS:
        byte = data[at]
        at += 1
        if byte < 0x80:
            if not byte:
                raise Bad("a number not in its shortest form")
            number |= byte << shift
            if number >> 64:
                break
            return (number >> 1) ^ -(number & 1), at
        number |= (byte & 0x7F) << shift
    raise Bad("a number of more than 64 bits")


def read_instant(data: bytes, at: int) -> tuple[int, int]:
    """Read microseconds since 1970 UTC, and where the next field begins; raises as ``read_long``."""
    value, at = read_long(data, at)
    if not _FIRST_INSTANT <= value <= _LAST_INSTANT:
        raise Bad("an instant outside the years 1 to 9999")
    return value, at


def _check_long(value: Any) -> None:
    if type(value) is not int:
        _refuse("a whole number", value)
    if not -_MAX_LONG - 1 <= value <= _MAX_LONG:
        raise Bad("a number of more than 64 bits")


def _check_instant(value: Any) -> None:
    if type(value) is not int:
        _refuse("microseconds since 1970 as a whole number", value)
    if not _FIRST_INSTANT <= value <= _LAST_INSTANT:
        raise Bad("an instant outside the years 1 to 9999")


def _parse_instant(value: Any) -> int:
    if not isinstance(value, str):
        _refuse("an instant such as 2020-06-02T00:00:00Z", value)
    found = _INSTANT.fullmatch(value)
    if found is None:
        raise Bad(f"should be an instant such as 2020-06-02T00:00:00Z, is {value[:40]!r}")
    *parts, fraction = found.groups()
    try:
        instant = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]  # the pattern gave six numbers
    except ValueError as error:
        raise Bad(f"no such instant: {value} ({error})") from None
    return (instant - _EPOCH) // timedelta(microseconds=1) + int((fraction or "").ljust(6, "0"))


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        raise Bad(f"neither true nor false: {byte:#04x}")
    return byte == 1, at + 1


def _check_boolean(value: Any) -> None:
    if type(value) is not bool:
        _refuse("true or false", value)


def _same(value: Any) -> Any:
    return value


def _checked(check: Callable[[Any], None], read: Callable[[Any], Any] = _same) -> Callable[[Any], Any]:
    """The value that JSON means, by *read*, once it has passed *check*."""

    def parse(value: Any) -> Any:
        found = read(value)
        check(found)
        return found

    return parse


# --------------------------------------------------------------------------------------- bytes


def _parse_hex(value: Any) -> bytes:
    if not isinstance(value, str):
        _refuse("bytes in lower-case hexadecimal", value)
    if not _HEX.fullmatch(value):
        raise Bad("should be bytes in lower-case hexadecimal")
    return bytes.fromhex(value)


def _show_uuid(value: bytes) -> str:
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _parse_uuid(value: Any) -> bytes:
    if not isinstance(value, str):
        _refuse("an identifier in UUID form", value)
    try:
        identifier = uuid.UUID(value).bytes
    except ValueError:
        identifier = b""
    if _show_uuid(identifier) != value.lower():
        raise Bad(f"should be an identifier in UUID form, is {value[:40]!r}")
    return identifier


def _fixed(size: int) -> _Type:
    def read(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + size
        value = data[at:end]
        if len(value) != size:
            raise Bad(f"ends before its {size} bytes do")
        return value, end

    def check(value: Any) -> None:
        if type(value) is not bytes:
            _refuse(f"{size} bytes", value)
        if len(value) != size:
            raise Bad(f"should be {size} bytes, is {len(value)}")

    if size == 16:
        return _Type(read, check, _show_uuid, _parse_uuid)
    return _Type(read, check, bytes.hex, _checked(check, _parse_hex))


def _bytes(max_bytes: int) -> _Type:
    def read(data: bytes, at: int) -> tuple[bytes, int]:
        size, at = read_long(data, at)
        if not 0 <= size <= max_bytes:
            raise Bad(f"a length of {size} bytes; at most {max_bytes}")
        end = at + size
        if end > len(data):
            raise Bad(f"ends before its {size} bytes do")
        return data[at:end], end

    def check(value: Any) -> None:
        if type(value) is not bytes:
            _refuse("bytes", value)
        if len(value) > max_bytes:
            raise Bad(f"{len(value)} bytes; at most {max_bytes}")

    return _Type(read, check, bytes.hex, _checked(check, _parse_hex))


# ------------------------------------------------------------------------------------- strings


def _check_string(value: Any) -> None:
    if type(value) is not str:
        _refuse("text", value)
    if len(value) > MAX_CHARS:
        raise Bad(f"{len(value)} characters; at most {MAX_CHARS}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Bad("text that is not valid Unicode") from None


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    size, at = read_long(data, at)
    # Four bytes a character at most: a longer one is refused before it is decoded.
    if not 0 <= size <= 4 * MAX_CHARS:
        raise Bad(f"a length of {size} bytes; at most {MAX_CHARS} characters")
    end = at + size
    if end > len(data):
        raise Bad(f"ends before its {size} bytes do")
    try:
        value = data[at:end].decode()
    except UnicodeDecodeError:
        raise Bad("text that is not valid UTF-8") from None
    if size > MAX_CHARS and len(value) > MAX_CHARS:
        raise Bad(f"{len(value)} characters; at most {MAX_CHARS}")
    return value, end


def _string(allowed: frozenset[str] | None, rule: str) -> _Type:
    """A string of a code list (``allowed``), or of the pattern in ``rule``."""
    if allowed is None:
        matches = re.compile(rule).fullmatch
        broken = f"does not match {rule}"

        def faults(value: str, path: str, found: list[Fault]) -> None:
            if len(value) > MAX_CHARS:
                found.append(Fault(path, f"longer than {MAX_CHARS} characters"))
            elif matches(value) is None:
                found.append(Fault(path, broken))
    else:
        codes = allowed
        broken = f"not in the code list {rule}"

        def faults(value: str, path: str, found: list[Fault]) -> None:
            if value not in codes:
                found.append(Fault(path, broken))

    return _Type(_read_string, _check_string, _same, _checked(_check_string), faults)


def _enum(symbols: tuple[str, ...]) -> _Type:
    known = frozenset(symbols)
    listed = ", ".join(symbols)

    def read(data: bytes, at: int) -> tuple[str, int]:
        index, at = read_long(data, at)
        if not 0 <= index < len(symbols):
            raise Bad(f"symbol {index}, where {len(symbols)} are known")
        return symbols[index], at

    def check(value: Any) -> None:
        if type(value) is not str:
            _refuse(f"one of {listed}", value)
        if value not in known:
            raise Bad(f"should be one of {listed}, is {value[:MAX_CHARS]!r}")

    return _Type(read, check, _same, _checked(check))


# --------------------------------------------------------------------------------- compositions


def _nullable(inner: _Type) -> _Type:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch = data[at]
        if branch == 0:
            return None, at + 1
        if branch != 2:
            raise Bad("neither absent nor present")
        return inner.read(data, at + 1)

    def check(value: Any) -> None:
        if value is not None:
            inner.check(value)

    def show(value: Any) -> Any:
        return None if value is None else inner.show(value)

    def parse(value: Any) -> Any:
        return None if value is None else inner.parse(value)

    faults = references = None
    if inner.faults is not None:
        inner_faults = inner.faults

        def faults(value: Any, path: str, found: list[Fault]) -> None:
            if value is not None:
                inner_faults(value, path, found)

    if inner.references is not None:
        inner_references = inner.references

        def references(value: Any, path: str, found: list[tuple[str, str, bytes]]) -> None:
            if value is not None:
                inner_references(value, path, found)

    return _Type(read, check, show, parse, faults, references)


def _array(inner: _Type, max_items: int) -> _Type:
    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        count, at = read_long(data, at)
        if count == 0:
            return items, at
        if not 0 < count <= max_items:
            raise Bad(f"a block of {count} items; at most {max_items}")
        read_item = inner.read
        try:
            for _ in range(count):
                value, at = read_item(data, at)
                items.append(value)
        except Bad as bad:
            raise bad.at(len(items)) from None
        if data[at]:
            raise Bad("more than one block")
        return items, at + 1

    def check(value: Any) -> None:
        if not isinstance(value, (list, tuple)):
            _refuse("a list", value)
        if len(value) > max_items:
            raise Bad(f"{len(value)} items; at most {max_items}")
        for index, item in enumerate(value):
            try:
                inner.check(item)
            except Bad as bad:
                raise bad.at(index) from None

    def show(value: Any) -> list[Any]:
        return [inner.show(item) for item in value]

    def parse(value: Any) -> list[Any]:
        if not isinstance(value, list):
            _refuse("a list", value)
        if len(value) > max_items:
            raise Bad(f"{len(value)} items; at most {max_items}")
        items: list[Any] = []
        try:
            for item in value:
                items.append(inner.parse(item))  # noqa: PERF401 -- the index is the length so far
        except Bad as bad:
            raise bad.at(len(items)) from None
        return items

    inner_faults = inner.faults

    def faults(value: Any, path: str, found: list[Fault]) -> None:
        if len(value) > max_items:
            found.append(Fault(path, f"more than {max_items} items"))
        if inner_faults is not None:
            for index, item in enumerate(value):
                inner_faults(item, f"{path}[{index}]", found)

    references = None
    if inner.references is not None:
        inner_references = inner.references

        def references(value: Any, path: str, found: list[tuple[str, str, bytes]]) -> None:
            for index, item in enumerate(value):
                inner_references(item, f"{path}[{index}]", found)

    return _Type(read, check, show, parse, faults, references)


def _record(fields: tuple[tuple[str, _Type], ...], optional: Mapping[str, Any]) -> _Type:
    """``optional``: what JSON may leave out, and the value it then has."""
    readers = tuple((name, kind.read) for name, kind in fields)
    checkers = tuple((name, kind.check) for name, kind in fields)
    judged = tuple((name, kind.faults) for name, kind in fields if kind.faults is not None)
    referring = tuple((name, kind.references) for name, kind in fields if kind.references is not None)
    names = {name: None for name, _ in fields}

    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        values = {}
        name = ""
        try:
            for name, read_field in readers:
                values[name], at = read_field(data, at)
        except Bad as bad:
            raise bad.under(name) from None
        except IndexError:
            raise Bad("ends too early", name) from None
        return values, at

    def unknown(value: Any) -> None:
        for name in value:
            if name not in names:
                close = get_close_matches(str(name), names, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise Bad("no such field" + hint, str(name)[:MAX_CHARS])

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            _refuse("a group of fields", value)
        unknown(value)
        for name, check_field in checkers:
            if name not in value:
                raise Bad("missing", name)
            try:
                check_field(value[name])
            except Bad as bad:
                raise bad.under(name) from None

    def show(value: Any) -> dict[str, Any]:
        return {name: kind.show(value[name]) for name, kind in fields}

    def parse(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            _refuse("a group of fields", value)
        unknown(value)
        values = {}
        for name, kind in fields:
            if name not in value:
                if name not in optional:
                    raise Bad("missing", name)
                default = optional[name]
                values[name] = [] if default == [] else default
                continue
            try:
                values[name] = kind.parse(value[name])
            except Bad as bad:
                raise bad.under(name) from None
        return values

    def faults(value: Any, path: str, found: list[Fault]) -> None:
        prefix = f"{path}." if path else ""
        for name, judge in judged:
            judge(value[name], prefix + name, found)

    def references(value: Any, path: str, found: list[tuple[str, str, bytes]]) -> None:
        prefix = f"{path}." if path else ""
        for name, refer in referring:
            refer(value[name], prefix + name, found)

    return _Type(
        read,
        check,
        show,
        parse,
        faults if judged else None,
        references if referring else None,
    )


_LONG: Final = _Type(read_long, _check_long, _same, _checked(_check_long))
_TIMESTAMP: Final = _Type(read_instant, _check_instant, rfc3339, _parse_instant)
_BOOLEAN: Final = _Type(_read_boolean, _check_boolean, _same, _checked(_check_boolean))


def _at_least(minimum: int) -> _Type:
    def faults(value: int, path: str, found: list[Fault]) -> None:
        if value < minimum:
            found.append(Fault(path, f"less than {minimum}"))

    return _LONG._replace(faults=faults)


def _referring(kind: str) -> _Type:
    def references(value: bytes, path: str, found: list[tuple[str, str, bytes]]) -> None:
        found.append((path, kind, value))

    return _fixed(16)._replace(references=references)


Codes = Callable[[str], Mapping[str, str]]


class Codec:
    """
    Everything that one record schema can do, compiled once.

    Values are dictionaries by field name: ``bytes`` for bytes and fixed, whole microseconds since
    1970 for instants, lists for arrays, None for what is absent.

    Args:
        schema: an Avro record schema of the project's subset, with its properties.
        codes: gives the code list of a name.

    Attributes:
        name: the record's full Avro name.
        schema: the schema as read.
    """

    def __init__(self, schema: Mapping[str, Any], codes: Codes) -> None:
        self.schema: Mapping[str, Any] = schema
        self.name = f"{schema['namespace']}.{schema['name']}"
        self._named: dict[str, Any] = {}
        self._codes = codes
        self._type = self._compile(schema, str(schema["namespace"]), {})

    @cached_property
    def _parsed(self) -> Any:
        # Without logical types fastavro leaves instants as whole numbers, as we hold them.
        return fastavro.parse_schema(_bare(self.schema))

    def _compile(self, schema: Any, space: str, properties: Mapping[str, Any]) -> _Type:
        """
        Compile one type.

        Args:
            schema: an Avro type of the subset.
            space: the namespace around it.
            properties: those of the field that holds it.
        """
        if isinstance(schema, list):
            return _nullable(self._compile(schema[1], space, properties))
        if isinstance(schema, str):
            if schema == "long":
                return _at_least(properties["minimum"]) if "minimum" in properties else _LONG
            if schema == "boolean":
                return _BOOLEAN
            if schema == "bytes":
                return _bytes(int(properties["max_bytes"]))
            if schema == "string":
                if "codes" in properties:
                    name = str(properties["codes"])
                    return _string(frozenset(self._codes(name)), name)
                return _string(None, str(properties["pattern"]))
            full = schema if "." in schema else f"{space}.{schema}"
            return self._compile(self._named[full], space, properties)
        kind = schema["type"]
        if kind == "long":
            return _TIMESTAMP
        if kind == "array":
            inner = self._compile(schema["items"], space, properties)
            return _array(inner, int(properties.get("max_items", MAX_ITEMS)))
        space = str(schema.get("namespace", space))
        self._named[f"{space}.{schema['name']}"] = schema
        if kind == "fixed":
            if "refers" in properties:
                return _referring(str(properties["refers"]))
            return _fixed(int(schema["size"]))
        if kind == "enum":
            return _enum(tuple(schema["symbols"]))
        fields = tuple((str(field["name"]), self._compile(field["type"], space, field)) for field in schema["fields"])
        optional = {f["name"]: f["default"] for f in schema["fields"] if "default" in f}
        return _record(fields, optional)

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """
        Return the one encoding of ``value``.

        Raises:
            FormatError: a field is missing, unknown, of the wrong type or too long.
        """
        try:
            self._type.check(value)
        except Bad as bad:
            raise FormatError(bad.what, field=bad.path) from None
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._parsed, value, strict=True)
        return out.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        """
        Return the value whose encoding is exactly ``data``.

        Raises:
            FormatError: ``data`` is not the encoding of any value.

        Cost: O(bytes); nothing is allocated beyond what ``data`` holds.
        """
        value, at = self.decode_prefix(data)
        if at != len(data):
            raise FormatError(f"{len(data) - at} bytes too many at the end")
        return value

    def decode_prefix(self, data: bytes) -> tuple[dict[str, Any], int]:
        """
        Return the value that ``data`` begins with, and the index of the byte after it.

        Raises:
            FormatError: ``data`` does not begin with the encoding of any value.
        """
        try:
            value, at = self._type.read(bytes(data), 0)
        except Bad as bad:
            raise FormatError(bad.what, field=bad.path) from None
        return value, at

    def faults(self, value: Mapping[str, Any]) -> list[Fault]:
        """
        Return what ``value`` holds outside its code lists, patterns and limits, in field order.

        Args:
            value: one that ``decode`` returned or ``encode`` accepts.
        """
        found: list[Fault] = []
        if self._type.faults is not None:
            self._type.faults(value, "", found)
        return found

    def references(self, value: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
        """Return what ``value`` refers to: (path, kind, identifier), in field order."""
        found: list[tuple[str, str, bytes]] = []
        if self._type.references is not None:
            self._type.references(value, "", found)
        return found

    def to_json(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return ``value`` as JSON has it.

        Identifiers of 16 bytes are UUID text, other bytes lower-case hexadecimal, instants
        RFC 3339 text that ends in ``Z``.
        """
        return cast("dict[str, Any]", self._type.show(value))

    def from_json(self, value: Any) -> dict[str, Any]:
        """
        Return the value that a JSON object means; fields with a default may be left out.

        Raises:
            FormatError: a field is missing, unknown, of the wrong type or form.
        """
        try:
            return cast("dict[str, Any]", self._type.parse(value))
        except Bad as bad:
            raise FormatError(bad.what, field=bad.path) from None


_KEPT: Final = frozenset({"type", "name", "namespace", "fields", "items", "symbols", "size", "default"})


def _bare(schema: Any) -> Any:
    """The schema with nothing but what Avro needs to write: no properties, no logical types."""
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if isinstance(schema, Mapping):
        if schema.get("type") == "long" and "name" not in schema:
            return "long"
        return {key: _bare(item) for key, item in schema.items() if key in _KEPT}
    return schema
