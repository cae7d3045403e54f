"""``comity bundle`` and ``comity verify``: what a judge takes away, and how it is checked."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, note
from ledger.cli.options import AsJson, LedgerFolder, Quiet
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from ledger.store import Store


def bundle(
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="The case, or 6+ digits of its id.")] = None,
    index: Annotated[
        list[int] | None,
        typer.Option("--index", min=0, metavar="N", help="This entry instead; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; never overwritten."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Write one ZIP with a case, its proofs, and the program that verifies it without us.

    JSON: {file, entries, size, bytes}.
    """
    from ledger.cli.opened import store as open_store
    from ledger.cli.opened import whole_id

    if (case is None) == (not index):
        raise Trouble(
            2,
            "a bundle holds one case, or the entries given with --index",
            why="neither was given, or both were",
            now="`comity bundle CASE -o FILE` or `comity bundle --index 7 --index 9 -o FILE`",
        )
    with open_store(ledger) as opened:
        whole = None if case is None else whole_id(case, opened, "case")
        indexes = sorted(set(index or ())) if whole is None else opened.case(whole)
        called = f"case-{whole.hex()[:8]}" if whole else "entries-" + "-".join(map(str, indexes[:3]))
        file = output or Path(f"comity-{called}.zip")
        _write(opened, indexes, whole, file)
        size = opened.size()
    if as_json:
        document({"file": str(file), "entries": len(indexes), "size": size, "bytes": file.stat().st_size})
        return
    note(
        f"{file}: {len(indexes)} entries of {size}. Anybody verifies it: `unzip -p {file} verify.py > verify.py`, "
        f"then `python3 verify.py {file}`.",
        quiet=quiet,
    )


def _write(opened: "Store", indexes: list[int], case: bytes | None, file: Path) -> None:
    from ledger.acts import catalogue
    from ledger.errors import NotFound
    from ledger.law.manifest import manifest
    from ledger.log.bundle import write_bundle

    for index in indexes:
        opened.entry(index)
    newest = opened.checkpoint()
    if newest is None:
        raise NotFound("the log has no checkpoint yet", what_now="publish something, which seals it")
    # Written beside, then named: an interrupted command leaves no half of a bundle under its name.
    if file.exists():
        raise FileExistsError(17, "exists", str(file))
    if not file.parent.is_dir():
        raise FileNotFoundError(2, "missing", str(file.parent))
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        write_bundle(
            partial,
            opened,
            indexes=indexes,
            checkpoint=newest,
            catalogue=catalogue(),
            case=case,
            law=[manifest()],
        )
        os.link(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def verify(
    context: typer.Context,
) -> None:
    """
    Verify a bundle offline; the same program as the verify.py inside it.

    Exit status: 0 verified, 1 not verified, 2 malformed, 3 policy not met, 64 usage.
    """
    from ledger.verify import main

    sys.stdout.flush()
    raise typer.Exit(main(context.args))
