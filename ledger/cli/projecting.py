"""``comity project``: the projections, which are disposable and rebuilt from the log alone."""

from typing import Annotated

import typer

from ledger.cli.console import document, note, progress, table
from ledger.cli.options import AsJson, LedgerFolder, Quiet

project_app = typer.Typer(
    help="Projections: how far they are, bring them up to date, rebuild, compare.",
    no_args_is_help=True,
)


@project_app.command("status", short_help="Show how many entries each has applied.")
def project_status(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    Show how many entries each projection has applied; nothing is changed.

    JSON: {size, projections: {name: size}}.
    """
    from ledger.cli.opened import runner, store

    del quiet
    with store(ledger) as opened, runner(ledger) as filling:
        size, sizes = opened.size(), filling.sizes()
    if as_json:
        document({"size": size, "projections": sizes})
        return
    table(
        ("projection", "applied", "behind"),
        [(name, applied, size - applied) for name, applied in sorted(sizes.items())],
        empty="No projections.",
    )


@project_app.command("catch-up")
def project_catch_up(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    Apply every entry not yet applied.

    JSON: {size}.
    """
    from ledger.cli.opened import runner

    with runner(ledger) as filling, progress("reading the log", None, quiet=quiet):
        size = filling.catch_up()
    if as_json:
        document({"size": size})
    else:
        note(f"The projections have applied {size} entries.", quiet=quiet)


@project_app.command("rebuild", short_help="Build every projection anew, then swap.")
def project_rebuild(
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that decode.")] = 2,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Build every projection anew beside the old ones, then swap them in at once.

    Readers are served by the old ones until then. JSON: {size}.
    """
    from ledger.cli.opened import runner

    with runner(ledger) as filling, progress("rebuilding", None, quiet=quiet):
        size = filling.rebuild(workers)
    if as_json:
        document({"size": size})
    else:
        note(f"The projections were rebuilt from {size} entries.", quiet=quiet)


@project_app.command("digest", short_help="Print what two mirrors compare.")
def project_digest(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One projection; else all.")] = None,
    size: Annotated[int | None, typer.Option("--size", min=0, metavar="N", help="Of the first N entries.")] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Print what two mirrors compare: the SHA-256 of what was derived from the first N entries.

    JSON: {size, digests: {name: hex}}.
    """
    from ledger.cli.opened import runner
    from ledger.cli.trouble import Trouble

    with runner(ledger) as filling:
        with progress("reading the log", None, quiet=quiet):
            reached = filling.catch_up()
        if size is not None and size > reached:
            raise Trouble(
                4,
                f"the log has only {reached} entries",
                why=f"a digest of {size} was asked for",
                now="give a smaller --size",
            )
        known = sorted(filling.sizes())
        if name is not None and name not in known:
            raise Trouble(4, f"there is no projection {name}", now="one of " + ", ".join(known))
        digests = {one: filling.digest(one, size) for one in ([name] if name else known)}
    at = reached if size is None else size
    if as_json:
        document({"size": at, "digests": digests})
        return
    table(
        ("projection", "entries", "SHA-256"),
        [(one, at, digest) for one, digest in digests.items()],
        empty="No projections.",
    )
