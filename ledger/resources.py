"""
Where the packaged data lies: the schemas and the scenarios.

An installed distribution carries copies under ``ledger/_data``; a checkout has them at its top.
Nothing else in the project builds a path to either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

__all__ = ["Name", "path"]

Name = Literal["schemas", "scenarios"]
"""The folders that travel with the code."""

_HERE: Final = Path(__file__).resolve().parent


def path(name: Name) -> Path:
    """
    Return the folder ``name``: the packaged copy where there is one, else the checkout's.

    Args:
        name: ``schemas`` or ``scenarios``.

    Returns:
        An absolute path. It need not exist: who opens a file in it says what is missing.

    Cost: one look at the file system.
    """
    packaged = _HERE / "_data" / name
    return packaged if packaged.is_dir() else _HERE.parent / name
