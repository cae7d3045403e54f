"""Opening what a command needs: the store for reading, the projections caught up, ids made whole."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from ledger.cli.console import note, progress
from ledger.cli.options import folder
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger.ledger import Ledger
    from ledger.store import Store
    from projections.runner import Runner
    from projections.shared import Shared
    from projections.views import Views

PREFIX_MIN = 6
"""Fewest hexadecimal digits of a shortened id that are taken for one."""

_CANDIDATES_MAX = 8


def logging() -> None:
    """
    Send structured logs, one JSON object a line, to standard error.

    COMITY_LOG_LEVEL names the lowest level that is written (default ``warning``).
    """
    import logging as levels
    import os

    import structlog

    named = os.environ.get("COMITY_LOG_LEVEL", "warning").upper()
    lowest = levels.getLevelNamesMapping().get(named, levels.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def store(given: Path | None) -> Iterator[Store]:
    """The log, for reading alone."""
    from ledger.store import address_in, open_store

    logging()
    with closing(open_store(address_in(_present(folder(given))) or "", read_only=True)) as opened:
        yield opened


@contextmanager
def ledger(given: Path | None, *, read_only: bool = False) -> Iterator[Ledger]:
    """
    The ledger, for publishing; *read_only* also where its log keys are not.

    What is published is judged under this release's law, which is kept first: the entries name it by its hash.
    """
    from ledger.law.editions import keep
    from ledger.ledger import Ledger

    logging()
    if not read_only:
        keep(_present(folder(given)) / "law")
    with closing(Ledger.open(_present(folder(given)), read_only=read_only)) as opened:
        yield opened


def _present(path: Path) -> Path:
    from ledger.store import address_in

    if address_in(path) is None:
        raise Trouble(
            4,
            f"there is no ledger in {path}",
            why="the folder holds no ledger.db",
            now="name its folder with --ledger or COMITY_LEDGER, or found one with `comity init`",
        )
    return path


@contextmanager
def runner(given: Path | None) -> Iterator[Runner | Shared]:
    """What fills the projections of a ledger: files in its folder, or tables that workers share."""
    from ledger.acts import catalogue
    from projections.runner import Runner
    from projections.shared import Shared, are_shared

    with store(given) as opened:
        path = folder(given) / "projections.db"
        shared = are_shared(opened.address)
        with closing(
            Shared(opened, catalogue(), opened.address) if shared else Runner(opened, catalogue(), path)
        ) as filling:
            yield filling


@contextmanager
def views(given: Path | None, *, quiet: bool = False) -> Iterator[tuple[Views, Store]]:
    """
    The projections, caught up with the log, and the log.

    Where they cannot be written (a read-only copy), or workers share them, they answer as they stand, with a
    note of how far that is.
    """
    from ledger.acts import catalogue
    from projections.runner import Runner
    from projections.shared import are_shared, open_shared
    from projections.views import open_views

    path = folder(given) / "projections.db"
    with store(given) as opened:
        if are_shared(opened.address):
            with open_shared(opened.address) as answers:
                behind = opened.size() - min(answers.sizes().values())
                if behind > 0:
                    note(f"the projections are {behind} entries behind; their workers go on", quiet=quiet)
                yield answers, opened
            return
        try:
            with closing(Runner(opened, catalogue(), path)) as filling:
                behind = opened.size() - min(filling.sizes().values(), default=0)
                with progress("reading the log", behind, quiet=quiet or behind < 1000) as done:
                    filling.catch_up()
                    done(behind)
        except (PermissionError, sqlite3.OperationalError) as error:
            if not path.exists():
                raise
            note(f"the projections could not be brought up to date: {error}", quiet=quiet)
        with open_views(path) as answers:
            yield answers, opened


# ----------------------------------------------------------------------------------------- ids


def whole_id(
    text: str,
    opened: Store,
    kind: str = "thing",
    names: dict[str, bytes] | None = None,
    further: Callable[[str], set[bytes]] | None = None,
) -> bytes:
    """
    The id that *text* stands for: a whole one, six or more of its first digits, or a designation.

    Args:
        text: as typed.
        opened: the log in which ids are looked for.
        kind: ``case``, ``statement``, ``any`` (a case or a stream), ``anything`` (a statement too), or a kind of
            stream.
        names: designations that are taken too.
        further: ids looked for elsewhere, by their first digits.

    Raises:
        Trouble: not an id, unknown (4), or the beginning of several (2).
    """
    if names and text in names:
        return names[text]
    try:
        return UUID(text).bytes
    except ValueError:
        digits = text.replace("-", "").lower()
    if not PREFIX_MIN <= len(digits) <= 32 or any(d not in "0123456789abcdef" for d in digits):
        if names is not None:
            raise Trouble(
                4,
                f"{_nothing(kind)} is called {text}",
                why="it is neither an id nor the designation of an enrolled authority",
                now="see `comity authority list`",
            )
        raise Trouble(
            2,
            f"{text} is no id",
            why=f"an id is UUID text, or its first {PREFIX_MIN} or more hexadecimal digits",
            now=f"see `comity {kind if kind in {'case', 'request'} else 'case'} list`, or a trail: `comity audit CASE`",
        )
    found = sorted(
        _beginning(digits, opened, kind) | _named(digits, names) | (further(digits) if further is not None else set())
    )
    if not found:
        raise Trouble(
            4,
            f"{_nothing(kind)} begins with {text}",
            why="nothing is recorded under such an id",
            now="see `comity case list`, `comity request list` or `comity authority list`",
        )
    if len(found) > 1:
        shown = ", ".join(str(UUID(bytes=one)) for one in found[:_CANDIDATES_MAX])
        raise Trouble(
            2,
            f"{text} is the beginning of {len(found)} ids",
            why=shown + (", …" if len(found) > _CANDIDATES_MAX else ""),
            now="give more of its digits",
        )
    return found[0]


def _nothing(kind: str) -> str:
    return "nothing" if kind in {"any", "anything"} else f"no {kind}"


def _named(digits: str, names: dict[str, bytes] | None) -> set[bytes]:
    return {one for one in (names or {}).values() if one.hex().startswith(digits)}


def _beginning(digits: str, opened: Store, kind: str) -> set[bytes]:
    # A person is no stream: it is found where it is named.
    asked = {
        "any": ("case", "thing"),
        "anything": ("case", "thing", "statement"),
        "case": ("case",),
        "statement": ("statement",),
        "person": (),
    }.get(kind, ("thing",))
    return {one for name in asked for one in opened.beginning(name, digits)}


def designations(answers: Views) -> dict[str, bytes]:
    """Every designation on the roster and the authority that bears it; those borne twice left out."""
    from projections.roster import names

    found: dict[str, bytes] = {}
    twice: set[str] = set()
    for authority, name in names(answers.db).items():
        if (called := name.designation) is not None:
            if called in found:
                twice.add(called)
            found[called] = UUID(authority).bytes
    return {called: one for called, one in found.items() if called not in twice}
