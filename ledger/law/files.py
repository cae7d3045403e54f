"""How every file of a law folder is opened: bounded, as TOML, with errors that name file and key."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final, cast

from ledger.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["BYTES_MAX", "keys", "toml"]

BYTES_MAX: Final = 1 << 20
"""No file of the law is longer; the longest of this release has about 70 kB."""


def toml(text: bytes, file: str) -> Mapping[str, Any]:
    """
    Read TOML.

    Args:
        text: UTF-8, at most :data:`BYTES_MAX`.
        file: the name that errors give.

    Raises:
        FormatError: it is too long, no TOML, or nested deeper than can be read.
    """
    if len(text) > BYTES_MAX:
        raise FormatError(f"is longer than {BYTES_MAX} bytes", field=file)
    try:
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not TOML: {error}", field=file) from error


def keys(table: object, where: str, known: Collection[str], needed: Collection[str]) -> Mapping[str, Any]:
    """
    Check the keys of a table, and return it.

    Args:
        table: any value of TOML.
        where: the file, or the file and the key of the table, as errors name it.
        known: keys that it may have.
        needed: keys that it must have.

    Raises:
        FormatError: it is no table, has an unknown key, or lacks one.
    """
    inner = f"{where}." if ": " in where else f"{where}: "
    if not isinstance(table, dict):
        raise FormatError("must be a table", field=where)
    for key in table:
        if key not in known:
            raise FormatError("unknown key", field=f"{inner}{key}")
    for key in sorted(set(needed) - table.keys()):
        raise FormatError("is missing", field=f"{inner}{key}")
    return cast("Mapping[str, Any]", table)
