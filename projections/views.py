"""Opening the projections for reading, and the names that ids are shown with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ledger.errors import NotFound
from projections import roster
from projections.facts import Said, Who

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.law.law import Law
    from projections.facts import Row
    from projections.rules import Book

_UNKNOWN = "another authority"


class Views:
    """
    What the queries read: every projection's tables under its own name (`audit.entry`, …).

    Open with `Runner.views()` or `open_views(path)`; a context manager. One thread at a time.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        #: Under which law questions are answered that name none; None for this release's.
        self.law: Book | None = None
        self._names: dict[str, roster.Name] | None = None

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files."""
        self.db.close()

    @property
    def procedure(self) -> Any:
        """The procedure graph, loaded once per process."""
        return _procedure()

    def procedure_under(self, instrument: str | None, at: int) -> Any:
        """
        Return the graph that an instrument makes of the superset, as in force at *at* (µs).

        The superset itself where no instrument is named, or none of this release applied then.
        """
        if instrument is None:
            return _procedure()
        day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).date()
        return _procedure_under(instrument, day, None if self.law is None else self.law.law)

    def label(self, codes: str, code: str) -> str:
        """Return the words of a code in the list *codes*, or the code itself, spaced."""
        return _labels(codes).get(code) or code.replace("_", " ")

    def who(self, authority: str | None, country: str | None = None, authority_kind: str | None = None) -> Who:
        """Return the authority with its designation, "another authority" where none is known."""
        if self._names is None:
            self._names = roster.names(self.db)
        if authority is None:
            kind = self.label("authority_kinds", authority_kind or "") or _UNKNOWN
            kind = kind[:1].lower() + kind[1:]
            words = f"{_article(kind)} of {self.label('countries', country)}" if country else kind
            return Who(None, words, country, authority_kind)
        name = self._names.get(authority)
        if name is None:
            return Who(authority, _UNKNOWN, country, authority_kind)
        words = name.designation or _unnamed(name)
        return Who(authority, words, name.country or country, name.authority_kind)

    def whos(self, authorities: Iterable[str]) -> tuple[Who, ...]:
        """Return several authorities."""
        return tuple(self.who(authority) for authority in authorities)

    def said(self, row: Row) -> Said:
        """Return whose act *row* is, and in whose voice."""
        publisher = self.who(row.publisher)
        if row.speaker is None:
            return Said(row.voice, publisher, publisher)
        authority, country, kind, mandate, source = row.speaker
        return Said(row.voice, self.who(authority, country, kind), publisher, mandate, source)

    def sizes(self) -> dict[str, int]:
        """Return, per projection, how many entries it has applied."""
        names = [name for _, name, _ in self.db.execute("PRAGMA database_list") if name != "main"]
        return {name: int(self.db.execute(f"SELECT size FROM {name}.applied").fetchone()[0]) for name in names}


def _article(noun: str) -> str:
    return ("an " if noun[:1].lower() in set("aeiou") else "a ") + noun


def _unnamed(name: roster.Name) -> str:
    """Words for an authority enrolled without a designation: a root, the operator, a counsel."""
    if name.authority_kind == "operator":
        return "the operator of the ledger"
    if name.authority_kind == "state_root":
        return f"the root of {name.holder}"
    return (name.authority_kind or _UNKNOWN).replace("_", " ")


@cache
def _procedure() -> Any:
    from ledger.domain import procedure  # noqa: PLC0415 -- read once, when first asked for

    return procedure.load()


@lru_cache(maxsize=4096)
def _procedure_under(instrument: str, on: date, other: Law | None) -> Any:
    from ledger.law import law  # noqa: PLC0415 -- read once, when first asked for
    from ledger.law.data import Stage  # noqa: PLC0415 -- as above

    book = other or law.load()
    known = book.instruments.get(instrument)
    if known is None or on < known.from_on or (known.until_on is not None and on >= known.until_on):
        return _procedure()
    edits = tuple(stage for stage in book.data(Stage, instrument) if stage.applies(on))
    return _edited(edits) if edits else _procedure()


@cache
def _edited(edits: tuple[Any, ...]) -> Any:
    from ledger.law import law  # noqa: PLC0415 -- read once, when first asked for

    return law.edited(_procedure(), edits)


@cache
def _labels(codes: str) -> dict[str, str]:
    from ledger.acts import catalogue  # noqa: PLC0415 -- read once, when first asked for

    try:
        return dict(catalogue().codes(codes))
    except (KeyError, NotFound):
        return {}


def open_views(path: Path | str) -> Views:
    """
    Open the projections whose pointers are at *path* for reading.

    Raises:
        NotFound: there are none; they are made by `Runner`.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"no projections at {path}", what_now="build them from the log")
    for _ in range(10):
        db = sqlite3.connect(":memory:", isolation_level=None, timeout=30, uri=True)
        try:
            with closing(sqlite3.connect(path, timeout=30)) as pointers:
                present = pointers.execute("SELECT name, file FROM present").fetchall()
            for name, file in present:
                # `mode=rw`: a file swapped out between the two readings is not made anew, empty.
                uri = f"{path.with_name(file).absolute().as_uri()}?mode=rw"
                db.execute(f"ATTACH ? AS {name}", (uri,))
        except sqlite3.OperationalError:
            db.close()
            continue
        db.execute("PRAGMA query_only = ON")
        return Views(db)
    raise NotFound(f"the projections at {path} cannot be opened", what_now="build them anew")
