"""
Every failure in three parts: what happened, why, and what to do now; and its exit status.

Nothing is imported here that a successful command would not already have: the kinds of error are
recognised when one has been raised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

EXIT_CODES = {
    0: "done",
    1: "unexpected",
    2: "usage",
    3: "verification failed",
    4: "not found",
    5: "denied",
    6: "conflict",
    7: "invalid input",
    8: "unavailable",
    130: "interrupted",
}
"""What each exit status of a command means; ``verify`` has its own (0, 1, 2, 3, 64)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One faulty field: where the draft begins (0: no line), the path of the field, the rule."""

    line: int
    field: str
    rule: str


class Trouble(Exception):  # noqa: N818 -- a command speaks of trouble, not of errors
    """
    A command that cannot do what was asked.

    Attributes:
        status: exit status, one of ``EXIT_CODES``.
        what: what happened.
        why: why it did.
        now: what to do now.
        faults: the faulty fields, where input was at fault.
    """

    def __init__(self, status: int, what: str, *, why: str = "", now: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.why = why
        self.now = now
        self.faults = faults

    def lines(self) -> list[str]:
        """The three parts, each on a line of its own, the faulty fields between them."""
        said = [f"error: {self.what}"]
        if self.why:
            said.append(f"  why: {self.why}")
        for fault in self.faults:
            # A single fault is the reason itself.
            if not fault.line and self.why in {fault.rule, f"{fault.field}: {fault.rule}"}:
                continue
            where = f"line {fault.line}: " if fault.line else ""
            said.append(f"       {where}{fault.field + ': ' if fault.field else ''}{fault.rule}")
        if self.now:
            said.append(f"  now: {self.now}")
        return said

    def to_json(self) -> str:
        """The same as one line of JSON."""
        return json.dumps(
            {
                "error": EXIT_CODES.get(self.status, "unexpected"),
                "exit": self.status,
                "what": self.what,
                "why": self.why,
                "now": self.now,
                "faults": [{"line": fault.line, "field": fault.field, "rule": fault.rule} for fault in self.faults],
            },
            ensure_ascii=False,
        )


def explain(error: BaseException) -> Trouble:
    """The trouble that *error* means to the person at the keyboard."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Trouble(130, "stopped", why="interrupted from the keyboard", now="run it again")
    if isinstance(error, OSError):
        return _system(error)
    from ledger import errors

    if isinstance(error, errors.FormatError):
        faults = (Fault(getattr(error, "line", 0), error.field, error.what),)
        return Trouble(
            7,
            "the input cannot be read",
            why=f"{error.field + ': ' if error.field else ''}{error.what}",
            now="correct it; nothing was recorded",
            faults=faults if error.field else (),
        )
    if isinstance(error, errors.NotVerified):
        entry = "" if error.index is None else f" at entry {error.index}"
        return Trouble(
            3,
            f"verification failed{entry}",
            why=str(error),
            now="keep the ledger and the receipts as they are, and tell the operator and a mirror",
        )
    if isinstance(error, errors.ComityError):
        status = errors.exit_status(error)
        return Trouble(
            status,
            str(getattr(error, "what", error)) or EXIT_CODES[status],
            why=str(getattr(error, "why", "")),
            now=str(getattr(error, "what_now", "")) or _NOW.get(status, ""),
        )
    if _is_sqlite(error):
        return _sqlite(error)
    return Trouble(
        1,
        "something unexpected happened",
        why=f"{type(error).__name__}: {error}",
        now="run it again with COMITY_DEBUG=1 and report the traceback",
    )


_NOW = {
    4: "see what there is: `comity case list`, `comity request list`, `comity authority list`, `comity law list`",
    5: "ask the authority that holds it",
    6: "look at what stands there now, then decide again",
    7: "correct it; nothing was recorded",
    8: "try again in a moment",
}


def _system(error: OSError) -> Trouble:
    name = f"{error.filename}" if error.filename else "a file"
    if isinstance(error, FileNotFoundError):
        return Trouble(4, f"there is no {name}", why="the path does not exist", now="check the path")
    if isinstance(error, FileExistsError):
        return Trouble(
            6,
            f"{name} exists already",
            why="nothing that exists is ever overwritten",
            now="name another path",
        )
    if isinstance(error, PermissionError):
        return Trouble(
            5,
            f"{name} may not be opened",
            why="the permissions of the file or folder forbid it",
            now="run as its owner, or ask for access",
        )
    return Trouble(
        8,
        f"the system could not serve {name}",
        why=error.strerror or str(error),
        now="check the disk, then try again; what was answered is safe",
    )


def _is_sqlite(error: BaseException) -> bool:
    return type(error).__module__ == "sqlite3"


def _sqlite(error: BaseException) -> Trouble:
    said = str(error)
    if "locked" in said or "busy" in said:
        return Trouble(
            8,
            "the ledger is busy",
            why="another process is writing",
            now="try again in a moment",
        )
    return Trouble(
        3 if any(sign in said for sign in ("malformed", "not a database", "no such table")) else 8,
        "the store cannot be read",
        why=said,
        now="run `comity fsck`; restore from a mirror if it fails",
    )
