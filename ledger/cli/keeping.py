"""``comity migrate``, ``comity backup`` and ``comity restore``: a whole log, from one store to another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, note, progress, text
from ledger.cli.options import AsJson, LedgerFolder, Quiet, folder

if TYPE_CHECKING:
    from ledger.moving import Moved

Signatures = Annotated[
    bool, typer.Option("--signatures/--no-signatures", help="Verify every signature of the copy too.")
]


def migrate(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of the ledger whose log moves.")],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="postgresql://role@host/database, or SOURCE/ledger.db.")
    ],
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Take back a move to TARGET that was begun and not finished.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Move the log of a ledger to another store: every byte, index, root and checkpoint.

    Nobody can append while it moves, and nobody can append to the old store afterwards, which keeps its
    bytes. The copy is rebuilt and compared before the ledger's folder names it. Interrupted, the same
    command goes on where it stood. Every other folder and configuration that names the old store must
    then name the new one.

    In PostgreSQL, TARGET names the role that owns the tables.

    JSON: {store, size, root, copied}.
    """
    from ledger import moving
    from ledger.cli.opened import logging

    logging()
    if abandon:
        moving.abandon(source, target)
        note("The move is taken back; the log stays where it was.", quiet=quiet)
        return
    with progress("moving", None, quiet=quiet) as done:
        moved = moving.migrate(source, target, progress=done)
    _answer(moved, "moved", as_json=as_json, quiet=quiet)


def backup(
    to: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the backup: new, or of an earlier one.")],
    signatures: Signatures = True,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Copy the log, its checkpoint and its law into a folder, and check the copy.

    Publishing goes on meanwhile. Whatever the log is kept in, the copy is one SQLite file, and the folder
    can be read like a ledger's. An earlier backup of the same log is added to. Keys are not in it.

    JSON: {store, size, root, copied}.
    """
    from ledger import moving
    from ledger.cli.opened import logging

    logging()
    with progress("copying", None, quiet=quiet) as done:
        copied = moving.back_up(folder(ledger), to, signatures=signatures, progress=done)
    _answer(copied, "copied", as_json=as_json, quiet=quiet)


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder that `comity backup` wrote.")],
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="ADDRESS",
            help="Restore into this empty PostgreSQL database; else where the folder says, else a file in it.",
            show_default=False,
        ),
    ] = "",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="A checkpoint known from elsewhere, of a witness or a mirror; may be repeated.",
            show_default=False,
        ),
    ] = None,
    signatures: Signatures = True,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Put the log of a backup into a ledger's folder, unless more of it was ever published.

    The backup is checked wholly, and compared with the newest checkpoint of the folder, of the backup and
    of --checkpoint. Behind one of them nothing is restored: indexes that people hold receipts for would be
    given a second time. Interrupted, repeat the command. Keys are put back by hand.

    JSON: {store, size, root, copied}.
    """
    from ledger import moving
    from ledger.cli.opened import logging

    logging()
    with progress("restoring", None, quiet=quiet) as done:
        put = moving.restore(
            backup, folder(ledger), store=store, seen=checkpoint or (), signatures=signatures, progress=done
        )
    _answer(put, "restored", as_json=as_json, quiet=quiet)


def _answer(moved: "Moved", done: str, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        document({"store": moved.address, "size": moved.size, "root": moved.root.hex(), "copied": moved.copied})
        return
    text(f"root {moved.root.hex()}")
    note(f"{moved.copied} entries {done}, {moved.size} in all, in {moved.address}.", quiet=quiet)
