"""
Drafts as people and other systems write them, as JSON objects; ``ledger.documents`` finds these in what was sent.

A draft is every field of a statement that its publisher chooses; signing adds the rest (id, ledger,
publisher, key, sequence). Ids are UUID text, hashes hexadecimal, instants RFC 3339 with an offset. A
bare day is what it says: the whole day in the draft's ``zone``, never an invented hour. Keys that
begin with ``//`` are remarks for the writer and are dropped.

Reading never stops at the first fault of a draft: all are named, each by its path.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID
from zoneinfo import ZoneInfo

from ledger.documents import DraftFault, DraftInvalid, kind_of, located
from ledger.errors import ComityError, FormatError
from ledger.instants import DAY, instant, rfc3339
from ledger.statement import (
    CHARACTERS_MAX,
    ITEMS_MAX,
    Attachment,
    Basis,
    Draft,
    Speaker,
    Visibility,
    check,
    encode_statement,
    new_id,
    statement_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ledger.acts import Catalogue

__all__ = [
    "FIELDS",
    "KINDS",
    "RINGS",
    "VOICES",
    "from_json",
    "read",
    "to_json",
]

VOICES = ("own", "on_behalf", "reported")
KINDS = ("act", "decision", "claim", "assessment")
RINGS = ("addressees", "case", "oversight", "public")

_SIGNED_LATER = ("id", "ledger", "publisher", "key", "sequence")
FIELDS = (
    "act",
    "version",
    "kind",
    "voice",
    "speaker",
    "case",
    "subject",
    "occurred_from",
    "occurred_until",
    "occurred_confirmed",
    "zone",
    "legal_effect_at",
    "known_at",
    "addressees",
    "visibility",
    "proceedings",
    "language",
    "local_reference",
    "basis",
    "answers",
    "corrects",
    "attachments",
    "body",
)
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ABSENT: Any = object()


# ------------------------------------------------------------------------------------- from JSON


class _Reading:
    """The draft being read: its faults so far, and what names an authority may go by."""

    def __init__(self, names: Mapping[str, bytes]) -> None:
        self.faults: list[DraftFault] = []
        self.names = names

    def fault(self, path: str, rule: str) -> None:
        self.faults.append(DraftFault(path, rule))

    def keys(self, value: dict[str, Any], path: str, known: tuple[str, ...]) -> None:
        for name in value:
            if name in known or name.startswith("//"):
                continue
            where = f"{path}.{name}" if path else name
            if not path and name in _SIGNED_LATER:
                self.fault(where, "is set by signing, not by the draft")
                continue
            near = difflib.get_close_matches(name, known, 1)
            self.fault(where, "unknown field" + (f"; did you mean {near[0]}?" if near else ""))

    def get(
        self,
        value: dict[str, Any],
        name: str,
        convert: Callable[[Any], Any],
        default: Any = _ABSENT,
        path: str = "",
    ) -> Any:
        """The field, converted; the default where it is absent; None where it is faulty."""
        where = f"{path}.{name}" if path else name
        found = value.get(name, _ABSENT)
        if found is _ABSENT:
            if default is _ABSENT:
                self.fault(where, "is missing")
                return None
            return default
        if found is None and default is None:
            return None
        try:
            return convert(found)
        except FormatError as error:
            inner = f".{error.field}" if error.field else ""
            self.fault(where + inner, error.what)
            return None

    def array(
        self,
        value: dict[str, Any],
        name: str,
        convert: Callable[[Any, str], Any],
        path: str = "",
    ) -> tuple[Any, ...]:
        where = f"{path}.{name}" if path else name
        found = value.get(name, [])
        if not isinstance(found, list):
            self.fault(where, f"expected an array, found {kind_of(found)}")
            return ()
        if len(found) > ITEMS_MAX:
            self.fault(where, f"has {len(found)} items; at most {ITEMS_MAX}")
            return ()
        items = []
        for number, item in enumerate(found):
            here = f"{where}[{number}]"
            try:
                items.append(convert(item, here))
            except FormatError as error:
                self.fault(here, error.what)
        return tuple(items)

    def authority(self, found: Any) -> bytes:
        """An authority by its id, or by its designation on the roster."""
        if isinstance(found, str) and found in self.names:
            return self.names[found]
        try:
            return _id(found)
        except FormatError:
            if self.names and isinstance(found, str):
                raise FormatError("neither an id (UUID) nor the designation of an enrolled authority") from None
            raise


def _string(found: Any) -> str:
    if not isinstance(found, str):
        raise FormatError(f"expected a text, found {kind_of(found)}")
    if not 0 < len(found) <= CHARACTERS_MAX:
        raise FormatError(f"must have 1 to {CHARACTERS_MAX} characters")
    if any("\ud800" <= character <= "\udfff" for character in found):
        raise FormatError("half a surrogate pair is not a character")
    return found


def _id(found: Any) -> bytes:
    if isinstance(found, str):
        try:
            return UUID(found).bytes
        except ValueError:
            pass
    raise FormatError("expected an id: UUID text, 32 hexadecimal digits")


def _hash(found: Any) -> bytes:
    if isinstance(found, str) and re.fullmatch(r"[0-9a-fA-F]{64}", found):
        return bytes.fromhex(found)
    raise FormatError("expected a hash: 64 hexadecimal digits")


def _boolean(found: Any) -> bool:
    if not isinstance(found, bool):
        raise FormatError(f"expected true or false, found {kind_of(found)}")
    return found


def _natural(found: Any) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 1 << 63:
        raise FormatError("expected a whole number, 0 or more")
    return found


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def convert(found: Any) -> str:
        # The value is not repeated: a name typed into the wrong field must not reach a screen log.
        if not isinstance(found, str) or found not in choices:
            raise FormatError("must be one of " + ", ".join(choices))
        return found

    return convert


def _zone(found: Any) -> str:
    name = _string(found)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise FormatError("not a zone of the IANA database, such as Europe/Paris") from None
    return name


def _language(found: Any) -> str:
    if not isinstance(found, str) or not _LANGUAGE.fullmatch(found):
        raise FormatError("expected a language of two or three small letters, such as fr")
    return found


def _when(found: Any) -> int:
    if not isinstance(found, str):
        raise FormatError(f"expected an instant such as 2020-06-02T14:30:00Z, found {kind_of(found)}")
    if not re.search(r"([Zz]|[+-]\d{2}:\d{2})$", found) or DAY.fullmatch(found):
        raise FormatError("expected an instant with its offset, such as 2020-06-02T14:30:00Z")
    return instant(found)


def _occurred(zone: str | None, *, end: bool) -> Callable[[Any], int]:
    def convert(found: Any) -> int:
        if isinstance(found, str) and DAY.fullmatch(found):
            return instant(found, zone=zone or "UTC", end=end)
        return _when(found)

    return convert


def _code(catalogue: Catalogue, codes: str) -> Callable[[Any], str]:
    def convert(found: Any) -> str:
        if _string(found) not in catalogue.codes(codes):
            raise FormatError(f"not in the code list {codes}")
        return str(found)

    return convert


def from_json(
    value: dict[str, Any],
    catalogue: Catalogue,
    *,
    line: int = 1,
    names: Mapping[str, bytes] | None = None,
) -> Draft:
    """
    The draft that a JSON object describes.

    Absent fields take the plainest meaning: version 1, voice own, ``occurred_until`` the
    same as ``occurred_from`` (or the end of that day), confirmed, ring ``case``, language ``en``, empty lists; the kind
    is the one that the act ordinarily has.

    Args:
        value: the JSON object.
        catalogue: the acts that may be said.
        line: where it begins, for the error.
        names: designations of enrolled authorities, accepted wherever the envelope names one.

    Raises:
        DraftInvalid: with every fault found, each with its path.
    """
    reading = _Reading(names or {})
    reading.keys(value, "", FIELDS)
    get = reading.get
    act = get(value, "act", _string)
    version = get(value, "version", _natural, 1)
    kind = get(value, "kind", _one_of(KINDS), _usual_kind(catalogue, act, version))
    voice = get(value, "voice", _one_of(VOICES), "own")
    speaker = _speaker(reading, value, voice)
    case = get(value, "case", _id)
    subject = get(value, "subject", _id)
    zone = get(value, "zone", _zone)
    occurred_from = get(value, "occurred_from", _occurred(zone, end=False))
    told_until = value.get("occurred_until", value.get("occurred_from", _ABSENT))
    until = {} if told_until is _ABSENT else {"occurred_until": told_until}
    if "occurred_until" in value or occurred_from is not None:
        occurred_until = get(until, "occurred_until", _occurred(zone, end=True))
    else:
        occurred_until = None
    if None not in (occurred_from, occurred_until) and occurred_until < occurred_from:
        reading.fault("occurred_until", "lies before occurred_from")
    confirmed = get(value, "occurred_confirmed", _boolean, True)
    legal_effect_at = get(value, "legal_effect_at", _when, None)
    known_at = get(value, "known_at", _when, None)
    addressees = reading.array(value, "addressees", lambda item, _: reading.authority(item))
    visibility = _visibility(reading, value)
    proceedings = reading.array(value, "proceedings", lambda item, _: _id(item))
    language = get(value, "language", _language, "en")
    local_reference = get(value, "local_reference", _hash, None)
    basis = reading.array(value, "basis", lambda item, path: _basis(reading, item, path))
    answers = reading.array(value, "answers", lambda item, _: _id(item))
    corrects = get(value, "corrects", _id, None)
    attachments = reading.array(value, "attachments", lambda item, path: _attachment(reading, catalogue, item, path))
    if known_at is not None and not any(
        attachment and attachment.role == "receipt_proof" for attachment in attachments
    ):
        reading.fault("known_at", "needs an attachment with the role receipt_proof")
    body = _body(reading, catalogue, value, act, version)
    if reading.faults:
        raise DraftInvalid(line, tuple(reading.faults))
    draft = Draft(
        voice=voice,
        speaker=speaker,
        case=case,
        subject=subject,
        act=act,
        version=version,
        kind=kind,
        occurred_from=occurred_from,
        occurred_until=occurred_until,
        occurred_confirmed=confirmed,
        zone=zone,
        legal_effect_at=legal_effect_at,
        known_at=known_at,
        addressees=addressees,
        visibility=visibility,
        proceedings=proceedings,
        language=language,
        local_reference=local_reference,
        basis=basis,
        answers=answers,
        corrects=corrects,
        attachments=attachments,
        body=body,
    )
    try:
        _rehearse(draft, catalogue)
    except FormatError as error:
        raise DraftInvalid(line, (DraftFault(error.field, error.what),)) from None
    return draft


def _usual_kind(catalogue: Catalogue, act: str | None, version: int | None) -> str:
    try:
        return catalogue.act(act or "", version or 1).kind
    except (ComityError, FormatError, LookupError):
        return "act"


def _rehearse(draft: Draft, catalogue: Catalogue) -> None:
    """Encode the draft as it would be signed, so that nothing is left to fail afterwards."""
    statement = statement_from(
        draft,
        statement_id=new_id(0, bytes(10)),
        ledger="a",
        publisher=bytes(16),
        key=bytes(32),
        sequence=0,
        body=catalogue.encode(draft.act, draft.version, draft.body),
    )
    check(statement, catalogue.codes)
    encode_statement(statement)


def _speaker(reading: _Reading, value: dict[str, Any], voice: str | None) -> Speaker | None:
    found = value.get("speaker")
    if found is not None and not isinstance(found, dict):
        reading.fault("speaker", f"expected an object, found {kind_of(found)}")
        return None
    if voice == "own" and found is not None:
        reading.fault("speaker", "must be absent when the voice is own")
    if voice in {"on_behalf", "reported"} and found is None:
        reading.fault("speaker", f"is missing: a statement {voice} says for whom")
    if found is None:
        return None
    reading.keys(found, "speaker", ("authority", "country", "authority_kind", "mandate", "source"))
    get = reading.get
    speaker = Speaker(
        authority=get(found, "authority", reading.authority, None, "speaker"),
        country=get(found, "country", _string, None, "speaker"),
        authority_kind=get(found, "authority_kind", _string, None, "speaker"),
        mandate=get(found, "mandate", _id, None, "speaker"),
        source=get(found, "source", _string, None, "speaker"),
    )
    if voice == "on_behalf":
        for name in ("authority", "mandate"):
            if found.get(name) is None:
                reading.fault(f"speaker.{name}", "is missing: needed to speak on behalf")
    if voice == "reported":
        if found.get("source") is None:
            reading.fault("speaker.source", "is missing: a report names its published source")
        if found.get("authority") is None and None in (
            found.get("country"),
            found.get("authority_kind"),
        ):
            reading.fault("speaker", "names neither an authority nor a country and authority_kind")
    return speaker


def _visibility(reading: _Reading, value: dict[str, Any]) -> Visibility:
    found = value.get("visibility", {})
    if isinstance(found, str):
        found = {"ring": found}
    if not isinstance(found, dict):
        reading.fault("visibility", f"expected an object, found {kind_of(found)}")
        found = {}
    reading.keys(found, "visibility", ("ring", "embargo_until"))
    return Visibility(
        ring=reading.get(found, "ring", _one_of(RINGS), "case", "visibility"),
        embargo_until=reading.get(found, "embargo_until", _when, None, "visibility"),
    )


def _basis(reading: _Reading, item: Any, path: str) -> Basis:
    if not isinstance(item, dict):
        raise FormatError(f"expected an object, found {kind_of(item)}")
    reading.keys(item, path, ("instrument", "article", "domestic"))
    return Basis(
        instrument=reading.get(item, "instrument", _string, path=path),
        article=reading.get(item, "article", _string, None, path),
        domestic=reading.get(item, "domestic", _boolean, False, path),
    )


def _attachment(reading: _Reading, catalogue: Catalogue, item: Any, path: str) -> Attachment:
    if not isinstance(item, dict):
        raise FormatError(f"expected an object, found {kind_of(item)}")
    reading.keys(item, path, ("role", "commitment", "key_commitment", "size", "media_type"))
    get = reading.get
    return Attachment(
        role=get(item, "role", _code(catalogue, "attachment_roles"), path=path),
        commitment=get(item, "commitment", _hash, path=path),
        key_commitment=get(item, "key_commitment", _hash, None, path),
        size=get(item, "size", _natural, path=path),
        media_type=get(item, "media_type", _code(catalogue, "media_types"), path=path),
    )


def _is_act(reading: _Reading, catalogue: Catalogue, act: str | None, version: int | None) -> bool:
    """Whether the catalogue has the act, as far as it could be read; a fault where it has not."""
    if act is None or version is None:
        return False
    try:
        catalogue.act(act, version)
    except (ComityError, FormatError, LookupError):
        names = [one.name for one in catalogue.acts()]
        if act in names:
            reading.fault("version", f"the catalogue has no version {version} of {act}")
        else:
            near = difflib.get_close_matches(act, names, 1)
            reading.fault("act", "no such act in the catalogue" + (f"; did you mean {near[0]}?" if near else ""))
        return False
    return True


def _body(
    reading: _Reading,
    catalogue: Catalogue,
    value: dict[str, Any],
    act: str | None,
    version: int | None,
) -> dict[str, Any]:
    known = _is_act(reading, catalogue, act, version)
    found = value.get("body", _ABSENT)
    if found is _ABSENT:
        reading.fault("body", "is missing")
        return {}
    if not isinstance(found, dict):
        reading.fault("body", f"expected an object, found {kind_of(found)}")
        return {}
    if act is None or version is None or not known:
        return {}
    try:
        told = _without_remarks(found)
        for path, kind in catalogue.act(act, version).references.items():
            if kind == "authority":
                _name(told, path.split("."), reading.names)
        body: dict[str, Any] = catalogue.from_json(act, version, told)
    except FormatError as error:
        reading.fault(_under_body(error.field), error.what)
        return {}
    for fault in catalogue.faults(act, version, body):
        reading.fault(_under_body(fault.path), fault.rule)
    return body


def _name(value: Any, path: list[str], names: Mapping[str, bytes]) -> None:
    """Replace designations at *path* (``roots[].authority``) by the ids that they mean, in place."""
    if not isinstance(value, dict):
        return
    step, *rest = path
    name = step.removesuffix("[]")
    found = value.get(name)
    if rest:
        for item in found if isinstance(found, list) else [found]:
            _name(item, rest, names)
    elif isinstance(found, list):
        value[name] = [_meant(item, names) for item in found]
    elif found is not None:
        value[name] = _meant(found, names)


def _meant(found: Any, names: Mapping[str, bytes]) -> Any:
    meant = names.get(found) if isinstance(found, str) else None
    return found if meant is None else _uuid(meant)


def _under_body(path: str) -> str:
    if path == "body" or path.startswith(("body.", "body[")):
        return path
    return f"body.{path}" if path else "body"


def _without_remarks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_remarks(item) for name, item in value.items() if not name.startswith("//")}
    if isinstance(value, list):
        return [_without_remarks(item) for item in value]
    return value


def read(
    source: BinaryIO, catalogue: Catalogue, *, names: Mapping[str, bytes] | None = None
) -> Iterator[tuple[int, Draft]]:
    """Every draft of *source* with its line; ``DraftInvalid`` at the first that is none."""
    for found in located(source):
        yield found.line, from_json(found.value, catalogue, line=found.line, names=names)


# ------------------------------------------------------------------------------------- to JSON


def to_json(draft: Draft, catalogue: Catalogue) -> dict[str, Any]:
    """The JSON object that ``from_json`` reads as *draft*; every field written out."""
    speaker = draft.speaker
    return {
        "act": draft.act,
        "version": draft.version,
        "kind": draft.kind,
        "voice": draft.voice,
        "speaker": None
        if speaker is None
        else {
            "authority": _uuid(speaker.authority),
            "country": speaker.country,
            "authority_kind": speaker.authority_kind,
            "mandate": _uuid(speaker.mandate),
            "source": speaker.source,
        },
        "case": _uuid(draft.case),
        "subject": _uuid(draft.subject),
        "occurred_from": rfc3339(draft.occurred_from),
        "occurred_until": rfc3339(draft.occurred_until),
        "occurred_confirmed": draft.occurred_confirmed,
        "zone": draft.zone,
        "legal_effect_at": _instant_or_null(draft.legal_effect_at),
        "known_at": _instant_or_null(draft.known_at),
        "addressees": [_uuid(authority) for authority in draft.addressees],
        "visibility": {
            "ring": draft.visibility.ring,
            "embargo_until": _instant_or_null(draft.visibility.embargo_until),
        },
        "proceedings": [_uuid(item) for item in draft.proceedings],
        "language": draft.language,
        "local_reference": _hex(draft.local_reference),
        "basis": [
            {"instrument": basis.instrument, "article": basis.article, "domestic": basis.domestic}
            for basis in draft.basis
        ],
        "answers": [_uuid(item) for item in draft.answers],
        "corrects": _uuid(draft.corrects),
        "attachments": [
            {
                "role": attachment.role,
                "commitment": _hex(attachment.commitment),
                "key_commitment": _hex(attachment.key_commitment),
                "size": attachment.size,
                "media_type": attachment.media_type,
            }
            for attachment in draft.attachments
        ],
        "body": catalogue.to_json(draft.act, draft.version, draft.body),
    }


def _uuid(value: bytes | None) -> str | None:
    return None if value is None else str(UUID(bytes=value))


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _instant_or_null(value: int | None) -> str | None:
    return None if value is None else rfc3339(value)
