"""
Editions of the law that are kept: each a folder of its files, found again by its hash.

An entry carries the hash of the edition under which it was judged (``Entry.rules``). That hash means
something only while the files can be found, so each is kept once, and unchanged, in an archive:

========================= ======================================================================
``<archive>/<edition>``   the law folder, as the release had it; ``--law`` takes it
``.../MANIFEST``          one line ``<sha256>  <name>`` for each file; its own hash is the edition
========================= ======================================================================

``sha256sum MANIFEST`` gives the name of the folder, and ``sha256sum -c MANIFEST`` checks it, without us.
The commands that publish keep the edition of their release in the folder ``law`` of the ledger.
"""

from __future__ import annotations

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.errors import FormatError, NotFound
from ledger.law.manifest import manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MANIFEST", "find", "held", "is_edition", "keep"]

MANIFEST: Final = "MANIFEST"
_HERE: Final = Path(__file__).parent
_EDITION: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = re.compile(r"[0-9a-f]{8,64}")


def is_edition(text: str) -> bool:
    """Whether a text can be the hash of an edition, or the first eight digits of one or more."""
    return _NAMED.fullmatch(text) is not None


def keep(archive: Path, folder: Path = _HERE) -> Path:
    """
    Keep an edition in an archive, unless it is there.

    Args:
        archive: a folder; made where there is none.
        folder: the law folder; this release's if not given.

    Returns:
        The folder of the edition in the archive.

    Raises:
        OSError: it cannot be written; nothing of it has its name then.

    Cost: a copy of about one megabyte, once; else the look at one folder.
    """
    manifest = manifest_of(folder)
    target = archive / sha256(manifest).hexdigest()
    if target.is_dir():
        return target
    # Written beside, then named: an interrupted copy never passes for an edition.
    partial = archive / f".{target.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for line in manifest.decode().splitlines():
            name = line.split("  ", 1)[1]
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, partial / name)
        (partial / MANIFEST).write_bytes(manifest)
        try:
            partial.rename(target)
        except OSError:
            # Another process kept the same edition meanwhile.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def held(archives: Iterable[Path]) -> dict[str, Path]:
    """The editions that are held: this release's, then those of the archives, by hash."""
    found = {sha256(manifest_of(_HERE)).hexdigest(): _HERE}
    for archive in archives:
        if archive.is_dir():
            for folder in sorted(archive.iterdir()):
                if _EDITION.fullmatch(folder.name) and folder.is_dir():
                    found.setdefault(folder.name, folder)
    return found


def find(edition: str, archives: Iterable[Path]) -> Path:
    """
    The folder of an edition, checked against its hash.

    Args:
        edition: the hash in hex, or at least its first eight digits.
        archives: where to look, beside this release.

    Raises:
        NotFound: no archive holds it, or several editions begin so.
        FormatError: the files are not those of the edition: one was changed, is missing, or was added.
    """
    where = [*archives]
    rows = held(where)
    fitting = [name for name in rows if name.startswith(edition)] if is_edition(edition) else []
    if len(fitting) != 1:
        looked = ", ".join(str(one) for one in where) or "no archive"
        raise NotFound(
            f"{len(fitting)} editions of the law begin with {edition}"
            if fitting
            else f"no edition {edition} of the law is held here",
            why=f"looked at this release and in {looked}",
            what_now="give more of its digits" if fitting else "name the archive that has it with --editions",
        )
    folder = rows[fitting[0]]
    found = sha256(manifest_of(folder)).hexdigest()
    if found != fitting[0]:
        raise FormatError(f"its files are those of edition {found}", field=str(folder))
    return folder
