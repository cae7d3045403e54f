"""``comity project``: the projections, which are disposable and rebuilt from the log alone."""

from contextlib import closing
from typing import Annotated

import typer

from ledger.cli.configuring import ConfigFile, configuration
from ledger.cli.console import document, note, progress, table
from ledger.cli.conveying import Brokers, Declared
from ledger.cli.options import AsJson, LedgerFolder, Quiet

project_app = typer.Typer(
    help="Projections: how far they are, bring them up to date, rebuild, compare.",
    no_args_is_help=True,
)


@project_app.command("status", short_help="Show how many entries each has applied.")
def project_status(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    Show how many entries each projection has applied; nothing is changed.

    JSON: {size, projections: {name: size}, parked: {name: count}}.
    """
    from collections import Counter

    from ledger.cli.opened import runner, store

    with store(ledger) as opened, runner(ledger) as filling:
        size, sizes = opened.size(), filling.sizes()
        parked = Counter(one.projection for one in filling.parked())
    if as_json:
        document({"size": size, "projections": sizes, "parked": {name: parked[name] for name in sizes}})
        return
    table(
        ("projection", "applied", "behind", "parked"),
        [(name, applied, size - applied, parked[name]) for name, applied in sorted(sizes.items())],
        empty="No projections.",
    )
    if parked:
        note(f"{parked.total()} acts are parked: see `comity project parked`.", quiet=quiet)


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
    online: Annotated[
        bool, typer.Option("--online", help="Compare with what stands, and keep that for `comity project rollback`.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="With --online: take what was built even where it is not the same.")
    ] = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Build every projection anew beside the old ones, then swap them in at once.

    Readers are served by the old ones until then. Where --online finds a difference nothing is swapped, and
    the status is 6. JSON: {size}.
    """
    from ledger.cli.opened import runner

    with runner(ledger) as filling, progress("rebuilding", None, quiet=quiet):
        size = filling.rebuild(workers, online=online, accept=accept)
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

    A projection with parked acts is not whole, and has none: the status is 6. JSON: {size, digests: {name: hex}}.
    """
    from ledger.cli.opened import runner
    from ledger.cli.trouble import Trouble
    from projections.runner import Runner

    with runner(ledger) as filling:
        with progress("reading the log", None, quiet=quiet):
            # Shared ones are brought up by their workers.
            reached = filling.catch_up() if isinstance(filling, Runner) else min(filling.sizes().values())
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


@project_app.command("parked", short_help="List the acts that could not be taken yet.")
def project_parked(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    List the acts that a projection has not taken: those that failed, and those that wait behind them.

    JSON: [{projection, index, stream, why}]; why is empty where an act only waits.
    """
    from ledger.cli.opened import runner

    del quiet
    with runner(ledger) as filling:
        found = filling.parked()
    if as_json:
        document([{"projection": p.projection, "index": p.index, "stream": p.subject, "why": p.why} for p in found])
        return
    table(
        ("projection", "entry", "stream", "why"),
        [(p.projection, p.index, p.subject, p.why or "waits for an earlier act of its stream") for p in found],
        empty="Nothing is parked.",
    )


@project_app.command("retry", short_help="Take what is parked once more.")
def project_retry(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    Take what is parked once more, after the fix; what fails again stays parked, and the status is 6.

    JSON: {parked}.
    """
    from ledger.cli.opened import runner

    with runner(ledger) as filling:
        left = filling.retry()
    if as_json:
        document({"parked": left})
    else:
        note(f"{left} acts are parked still." if left else "Nothing is parked any more.", quiet=quiet)
    if left:
        raise typer.Exit(6)


@project_app.command("rollback", short_help="Go back to what stood before a rebuild.")
def project_rollback(ledger: LedgerFolder = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """
    Go back to what stood before the last `rebuild --online`; once more, and the newer ones stand again.

    JSON: {projections: {name: size}}.
    """
    from ledger.cli.opened import runner

    with runner(ledger) as filling:
        sizes = filling.rollback()
    if as_json:
        document({"projections": sizes})
    else:
        note(f"What stood before stands again, at {min(sizes.values())} entries.", quiet=quiet)


@project_app.command("work", short_help="Fill them in PostgreSQL, with other workers.")
def project_work(
    kafka: Brokers = None,
    config: ConfigFile = None,
    topics: Declared = None,
    without_kafka: Annotated[
        bool, typer.Option("--without-kafka", help="Follow the log alone; one worker at a time then does it all.")
    ] = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Fill the projections in PostgreSQL, as one worker of a group; any number may run.

    Runs until it gets SIGTERM, and may be killed at any time. The log must lie in PostgreSQL: its database
    holds the projections too, which every command then reads there. JSON, at the end: {applied}.
    """
    from ledger.acts import catalogue
    from ledger.cli.conveying import kafka_of, telling, until_stopped
    from ledger.cli.opened import logging
    from ledger.cli.trouble import Trouble
    from ledger.gateway.figures import Listener, of_projector
    from ledger.kafka.topics import ENTRIES, declared
    from ledger.opening import open_configured
    from ledger.store import POSTGRES
    from projections.shared import Shared
    from projections.workers import Tally, work

    chosen = configuration(config, ledger)
    stop = until_stopped()
    wanted = declared(topics)
    topic = wanted.named(ENTRIES)
    (count,) = (one.partitions for one in wanted.topics if one.name == topic)
    logging()
    with closing(open_configured(chosen, read_only=True)) as whole:
        opened = whole.store
        if not opened.address.startswith(POSTGRES):
            raise Trouble(
                2,
                "this log lies in a file of one machine",
                why="what reads it keeps its own projections up to date",
                now="move the log to PostgreSQL with `comity migrate`, or `comity project catch-up` here",
            )
        with closing(Shared(opened, catalogue(), opened.address, partitions=count)) as shared:
            connection = None if without_kafka else kafka_of(chosen, kafka)
            tally = Tally()
            with Listener(chosen.metrics.listen, of_projector(tally, shared, opened), telling(quiet=quiet)):
                applied = work(shared, opened, catalogue(), connection, stop.is_set, topic=topic, tally=tally)
    if as_json:
        document({"applied": applied})
    else:
        note(f"{applied} entries were applied.", quiet=quiet)
