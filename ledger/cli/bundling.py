"""``comity bundle`` and ``comity verify``: what a judge takes away, and how it is checked."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.console import document, note
from ledger.cli.options import AsJson, LedgerFolder, Quiet
from ledger.cli.trouble import Trouble


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
    from ledger.cli.opened import ledger as open_ledger
    from ledger.cli.opened import whole_id

    if (case is None) == (not index):
        raise Trouble(
            2,
            "a bundle holds one case, or the entries given with --index",
            why="neither was given, or both were",
            now="`comity bundle CASE -o FILE` or `comity bundle --index 7 --index 9 -o FILE`",
        )
    with open_ledger(ledger) as opened:
        if case is not None:
            whole = whole_id(case, opened.store, "case")
            indexes = opened.store.case(whole)
            called = f"case-{whole.hex()[:8]}"
        else:
            indexes = sorted(set(index or ()))
            called = "entries-" + "-".join(map(str, indexes[:3]))
        file = output or Path(f"comity-{called}.zip")
        if file.exists():
            raise FileExistsError(17, "exists", str(file))
        _write(opened, indexes, file)
        size = opened.store.size()
    if as_json:
        document({"file": str(file), "entries": len(indexes), "size": size, "bytes": file.stat().st_size})
        return
    note(
        f"{file}: {len(indexes)} entries of {size}. "
        "Anybody verifies it: unzip it, then `python3 verify.py` in its folder.",
        quiet=quiet,
    )


def _write(opened, indexes, file):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    raise NotImplementedError


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
