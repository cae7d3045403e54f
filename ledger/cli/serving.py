"""``comity serve``: the log over HTTP."""

from typing import Annotated

import typer

from ledger.cli.configuring import ConfigFile, configuration
from ledger.cli.console import note
from ledger.cli.options import LedgerFolder, Quiet
from ledger.cli.trouble import Trouble


def serve(
    config: ConfigFile = None,
    ledger: LedgerFolder = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; else as configured.", show_default=False),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no statements, whatever is configured.")] = False,
    quiet: Quiet = False,
) -> None:
    """
    Serve the log over HTTP: publish, checkpoints, tiles, schemas, health and metrics.

    What it takes from strangers, in bytes, time and number, is configured: `comity config manual`. A line for
    each request is written to standard error, without anything that tells people apart. On SIGTERM it says
    that it is not ready, lets those who asked have their answers, and ends.
    """
    import os
    from contextlib import closing
    from dataclasses import replace

    from ledger.cli.opened import logging
    from ledger.gateway.running import run
    from ledger.law.editions import keep
    from ledger.opening import open_configured

    # One line for each request is the least that an operator needs.
    os.environ.setdefault("COMITY_LOG_LEVEL", "info")
    logging()
    chosen = configuration(config, ledger)
    section = chosen.gateway
    if listen is not None:
        section = replace(section, listen=listen)
    if read_only:
        section = replace(section, publish=False)
    with closing(open_configured(chosen, read_only=not section.publish)) as opened:
        if not opened.store.read_only:
            # What is published is judged under this release's law: the entries name it by its hash.
            keep(chosen.ledger.folder / "law")
        answered = run(opened, section, listening=lambda where: note(f"{opened.origin} at {where}", quiet=quiet))
    if not answered:
        raise Trouble(
            8,
            "some requests had no answer when the service ended",
            why=f"they took longer than gateway.stop_seconds, {section.stop_seconds:g}",
            now="nothing is lost: whoever repeats his statement gets its first answer",
        )
