"""
What can go wrong, and the exit status by which a command says so.

Two kinds are born in the verifier, which imports nothing of ours, and are re-exported here:
``FormatError`` (these bytes are not what they claim to be) and ``NotVerified`` (well-formed, yet
something does not bind to something else).
"""

from __future__ import annotations

from ledger.verify import FormatError, NotVerified

__all__ = [
    "ComityError",
    "Conflict",
    "Denied",
    "FormatError",
    "NotFound",
    "NotPermitted",
    "NotVerified",
    "Unavailable",
    "exit_status",
]


class ComityError(Exception):
    """
    Anything that this service refuses or cannot do, with the exit status of its command.

    Args:
        what: what happened, one sentence without a full stop.
        why: the rule or circumstance behind it.
        what_now: what the reader can do about it.
    """

    status = 1

    def __init__(self, what: str, *, why: str = "", what_now: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.what_now = what_now


class NotPermitted(ComityError):  # noqa: N818 -- says what is the case, as NotVerified does
    """The rules of the ledger forbid this, whoever asks (a draft act, an unknown voice)."""

    status = 7


class NotFound(ComityError):  # noqa: N818 -- see NotPermitted
    """Nothing is recorded under this index, id or name."""

    status = 4


class Denied(ComityError):  # noqa: N818 -- see NotPermitted
    """This reader may not see or do this."""

    status = 5


class Conflict(ComityError):  # noqa: N818 -- see NotPermitted
    """Something else already stands where this should go."""

    status = 6


class Unavailable(ComityError):  # noqa: N818 -- see NotPermitted
    """Not now: another process holds what is needed, or it cannot be reached. Trying again helps."""

    status = 8


def exit_status(error: BaseException) -> int:
    """
    The exit status of a command that ended with ``error``.

    0 done, 1 unexpected, 2 usage, 3 verification failed, 4 not found, 5 denied, 6 conflict,
    7 invalid input, 8 unavailable.
    """
    if isinstance(error, ComityError):
        return error.status
    if isinstance(error, NotVerified):
        return 3
    if isinstance(error, FormatError):
        return 7
    return 1
