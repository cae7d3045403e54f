"""
Where entries, tree nodes and checkpoints are kept; each store keeps the same promises.

======================== ============================================ =============================
store                    where                                        named by
======================== ============================================ =============================
``ledger.store.sqlite``  one file on one machine, the default         the path of the file
``ledger.store.postgres`` PostgreSQL, shared by many machines         ``postgresql://host/database``
======================== ============================================ =============================

What every store promises, tested by one suite over all of them:

- a transaction holds entries, tree nodes, sequences, versions, the size and the checkpoint: all or nothing;
- indexes are gapless and in the order of commits, so that no reader ever skips;
- what is written once stays: entries, nodes and checkpoints are neither updated nor deleted;
- one size has one root for ever, and whoever lost the lease may not seal;
- what is read back is what was written, before it is committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ledger.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

POSTGRES: Final = ("postgresql://", "postgres://")
"""How the address of a PostgreSQL store begins."""

LOG_FILE: Final = "ledger.db"
"""The file of a ledger's folder that holds its log, when it is in the folder."""

STORE_FILE: Final = "store"
"""The file of a ledger's folder that says where its log is, when it is not in the folder."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One entry about to be appended, with everything that moves with it.

    ``stream`` is the subject in hex, or ``rejected/`` and the statement id: a rejected statement
    moves no stream, yet has its row.
    """

    index: int
    stream: str
    version: int
    act: str
    entry: bytes
    statement_id: bytes
    case: bytes | None
    case_version: int


class Writing(Protocol):
    """One write transaction: the tree lock is held from its first line to its last."""

    size: int
    recorded_at: int
    epoch: int

    def known(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is already in the log."""

    def next_sequences(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Return the sequence that each of these signing keys must use next: 0 for one that signed nothing yet."""

    def streams(self, subjects: Iterable[bytes]) -> set[bytes]:
        """Return those of these subjects that have a stream."""

    def case_sizes(self, cases: Iterable[bytes]) -> dict[bytes, int]:
        """Return how many entries each of these cases holds: the version that its next entry gets."""

    def append(
        self,
        rows: Sequence[Row],
        nodes: Sequence[tuple[int, bytes]],
        sequences: dict[bytes, int],
        leaves: Sequence[bytes],
        recorded_at: int,
    ) -> None:
        """
        Append a batch at the end of the log; the caller commits by leaving the transaction.

        Args:
            rows: consecutive from the present size.
            nodes: (number, 32-byte hash), as ``Frontier.append`` gives them.
            sequences: for each signing key that moved, its next sequence.
            leaves: the leaf hash of each row, which is checked against what was really stored.
            recorded_at: the log's clock at the last row, microseconds.

        Raises:
            Conflict: the rows do not continue the log, or a checkpoint is already ahead of it.
            NotVerified: what was read back is not what was written.
        """

    def seal(self, size: int, root: bytes, note: bytes, epoch: int) -> bytes:
        """
        Keep a signed checkpoint, unless one of that size is kept already; return the one kept.

        Compare-and-swap: one size has one root for ever.

        Raises:
            Conflict: the sealer's epoch is over, or that size was sealed with another root.
        """

    def take_lease(self) -> int:
        """Become the sealer: return the new epoch, which fences every earlier holder."""


class Store(Protocol):
    """
    The log, as its users see it; from any thread and any process.

    ``address`` opens the same store in another process (``open_store``).
    """

    @property
    def address(self) -> str:
        """Where it is."""

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading alone."""

    def close(self) -> None:
        """Close every connection; the store must not be used afterwards."""

    def writing(self) -> AbstractContextManager[Writing]:
        """Hold the tree lock; leaving normally commits durably, leaving by an exception changes nothing."""

    def size(self) -> int:
        """Return the number of entries."""

    def wait(self, size: int, seconds: float) -> int:
        """Return the size as soon as it is more than *size*, at the latest after *seconds*."""

    def entry(self, index: int, /) -> bytes:
        """Return the bytes of the entry at *index*; NotFound beyond the size."""

    def entries(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """Return up to *limit* entries from index *start* on, in order, without holes."""

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of the entries from *start* to before *stop*; memory stays flat."""

    def index_of(self, statement_id: bytes) -> int | None:
        """Return the index under which a statement was recorded, accepted or rejected."""

    def stream(self, subject: bytes, /) -> list[int]:
        """Return the indexes of a stream, in order."""

    def stream_entries(self, subject: bytes) -> list[tuple[int, bytes]]:
        """Return the entries of a stream with their indexes, in order."""

    def case(self, case: bytes) -> list[int]:
        """Return the indexes of a case, in order: accepted entries alone."""

    def roster(self) -> list[tuple[int, bytes]]:
        """Return every entry that founded, enrolled, certified or revoked somebody, in order."""

    def next_sequence(self, key: bytes) -> int:
        """Return the sequence that a signing key must use next."""

    def hashes(self, ids: Sequence[int], /) -> list[bytes]:
        """Return the stored hashes of these nodes, in the order asked; NotFound when one is missing."""

    def node_hashes(self, start: int = 0) -> Iterator[bytes]:
        """Yield the hash of every stored node from number *start* on, in order."""

    def rows(self, start: int, limit: int) -> list[tuple[int, str, int, str, bytes]]:
        """Return up to *limit* rows from *start* on: index, stream, version in it, act, entry."""

    def indexes_of(self, statement_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the index of each of these statements that is recorded."""

    def next_sequences(self) -> dict[bytes, int]:
        """Return the next sequence of every signing key."""

    def miscounted(self) -> Iterator[str]:
        """Say which streams and cases are not numbered from 0 without a hole, and which rows are too many."""

    def beginning(self, kind: str, digits: str) -> set[bytes]:
        """
        Return the ids of this kind (case, statement, thing) that begin with these hexadecimal digits, at most 100.

        Cost: that of a whole id.
        """

    def checkpoint(self, min_size: int | None = None) -> bytes | None:
        """Return the newest signed checkpoint, or the first that covers *min_size* entries."""

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (size, root, signed note) of every checkpoint ever issued, in order."""


def named_in(folder: Path) -> str | None:
    """Return the address that the folder's file ``store`` says; None when there is no such file."""
    try:
        return (folder / STORE_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def address_in(folder: Path) -> str | None:
    """Return where the log of the ledger in *folder* is; None when there is none."""
    path = folder / LOG_FILE
    return named_in(folder) or (str(path) if path.exists() else None)


def check_address(address: str) -> None:
    """
    Check the address of a shared store before it is written down.

    Raises:
        FormatError: it is not that of a PostgreSQL database, or a password is in it.
    """
    if not address.startswith(POSTGRES):
        raise FormatError("is not an address of PostgreSQL, such as postgresql://role@host/database", field="store")
    from ledger.store.postgres import password_in  # noqa: PLC0415 -- its driver is loaded where it is used

    if password_in(address):
        raise FormatError(
            "holds a password, which would be written down; put it into a file and name that with ?passfile=",
            field="store",
        )


def open_store(address: str | Path, *, read_only: bool = False) -> Store:
    """
    Open the store at *address*, and make its tables unless *read_only*.

    Args:
        address: ``postgresql://...``, or the path of a SQLite file.
        read_only: open for reading alone; nothing is made.

    Raises:
        NotFound: *read_only*, and there is no store.
        Unavailable: the database cannot be reached.
    """
    if str(address).startswith(POSTGRES):
        from ledger.store.postgres import PostgresStore  # noqa: PLC0415 -- its driver is loaded where it is used

        return PostgresStore(str(address), read_only=read_only)
    from ledger.store.sqlite import SQLiteStore  # noqa: PLC0415 -- the library's recorder is loaded where it is used

    return SQLiteStore(Path(address), read_only=read_only)
