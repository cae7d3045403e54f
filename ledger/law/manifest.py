"""Which edition of the law an entry was judged under: one hash over every file of it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path


def manifest_of(folder: Path) -> bytes:
    """
    Return the manifest of a law folder: one line ``<sha256 in hex>  <name>`` for each TOML file, by name.

    ``sha256sum -c`` reads it.
    """
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.toml"))
    return "".join(f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names).encode()


@cache
def manifest() -> bytes:
    """Return the manifest of this release; see :func:`manifest_of`."""
    return manifest_of(Path(__file__).parent)


@cache
def rules() -> bytes:
    """Return the 32-byte SHA-256 of the manifest: ``Entry.rules``."""
    return sha256(manifest()).digest()
