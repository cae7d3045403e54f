"""``comity relay``, ``comity ingest``, ``comity topics``: between the log and Kafka."""

import signal
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.configuring import ConfigFile, configuration
from ledger.cli.console import document, note, table
from ledger.cli.options import AsJson, LedgerFolder, Quiet
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.configuration import Configuration
    from ledger.kafka.connection import Connection

Brokers = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT[,...]",
        help="Some brokers, instead of those of the configuration.",
        show_default=False,
    ),
]
Declared = Annotated[
    Path | None,
    typer.Option(
        "--topics",
        metavar="FILE",
        help="TOML that declares topics, audiences and who may what; else the one that comes with comity.",
        show_default=False,
    ),
]
Copies = Annotated[
    int | None,
    typer.Option(
        "--replication",
        min=1,
        max=10,
        metavar="N",
        help="Copies of each partition, instead of what is declared.",
        show_default=False,
    ),
]
Once = Annotated[bool, typer.Option("--once", help="End when everything that is there now is done.")]

topics_app = typer.Typer(help="Topics: make a Kafka cluster as it is declared.", no_args_is_help=True)


def relay(
    kafka: Brokers = None,
    config: ConfigFile = None,
    topics: Declared = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="TOPIC", help="Only this topic; may be given again.", show_default=False),
    ] = None,
    resume_at: Annotated[
        int | None,
        typer.Option(
            "--resume-at",
            min=0,
            metavar="SIZE",
            help="Entries that a topic held before all its messages expired.",
            show_default=False,
        ),
    ] = None,
    once: Once = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Carry the log to Kafka: entries, what each audience may see, checkpoints.

    Runs until it gets SIGTERM. How far it is stands in the topics themselves, so that it may be killed at any
    time. Of two relays for one topic the older ends with status 6. It needs no key: reading the log is enough.

    JSON, at the end: {sent}.
    """
    from ledger.cli.opened import logging
    from ledger.gateway.figures import Listener, of_relay
    from ledger.kafka.relay import Relay, sources
    from ledger.kafka.topics import declared
    from ledger.opening import open_configured

    logging()
    chosen = configuration(config, ledger)
    wanted, connection = declared(topics), kafka_of(chosen, kafka)
    with closing(open_configured(chosen, read_only=True)) as opened:
        carried = sources(opened.store, wanted)
        if only:
            known = [one.topic for one in carried]
            if unknown := set(only) - set(known):
                raise Trouble(2, f"--only: no topic {min(unknown)} is carried", now=f"there are {', '.join(known)}")
            carried = [one for one in carried if one.topic in only]
        carrying = Relay(opened.store, connection, carried, resume_at=resume_at)
        with Listener(chosen.metrics.listen, of_relay(carrying, opened.store), telling(quiet=quiet)):
            sent = carrying.run(until_stopped(), once=once)
    if as_json:
        document({"sent": sent})
    else:
        note(f"{sent} messages were sent.", quiet=quiet)


def ingest(
    kafka: Brokers = None,
    config: ConfigFile = None,
    topics: Declared = None,
    once: Once = False,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Take what agencies submit through Kafka, and answer each.

    Runs until it gets SIGTERM; any number may run on one ledger that lies in PostgreSQL. What cannot be
    answered to anybody goes to comity.rejections with its reason, and holds nobody up.

    JSON, at the end: {recorded, refused, set_aside}.
    """
    from ledger.cli.opened import logging
    from ledger.gateway.figures import Listener, of_ingest
    from ledger.kafka.ingest import Ingest
    from ledger.kafka.topics import declared
    from ledger.law.editions import keep
    from ledger.opening import open_configured

    logging()
    chosen = configuration(config, ledger)
    wanted, connection = declared(topics), kafka_of(chosen, kafka)
    # What is taken is judged under this release's law, which is kept first: the entries name it by its hash.
    keep(chosen.ledger.folder / "law")
    with closing(open_configured(chosen)) as opened:
        taking = Ingest(
            lambda statements: opened.submit_many(statements, workers=0),
            lambda authority: opened.roster.authority(authority) is not None,
            connection,
            wanted,
        )
        with Listener(chosen.metrics.listen, of_ingest(taking), telling(quiet=quiet)):
            count = taking.run(until_stopped(), once=once)
    if as_json:
        document({"recorded": count.recorded, "refused": count.refused, "set_aside": count.set_aside})
    else:
        note(f"{count.recorded} recorded, {count.refused} refused, {count.set_aside} set aside.", quiet=quiet)


@topics_app.command("apply", short_help="Make the topics as they are declared.")
def topics_apply(
    kafka: Brokers = None,
    config: ConfigFile = None,
    topics: Declared = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    replication: Copies = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Create the topics, settings and ACLs that are declared and missing; nothing is ever removed.

    Where there is a ledger, every authority on its roster gets its topic of receipts. Doing it
    again changes nothing. ACLs that nobody declared are shown as extra.

    JSON: {changed, changes: [{verb, what, detail}]}.
    """
    from ledger.cli.opened import logging
    from ledger.kafka.topics import carry_out, compare, declared

    logging()
    chosen = configuration(config, ledger)
    wanted = declared(topics, replication=replication)
    with kafka_of(chosen, kafka).admin() as admin:
        changes = compare(admin, wanted, _publishers(chosen))
        todo = [one for one in changes if one.verb in {"create", "set", "allow"}]
        if not dry_run:
            carry_out(admin, todo, wanted.replication)
    if as_json:
        shown = [{"verb": one.verb, "what": one.what, "detail": one.detail} for one in changes]
        document({"changed": 0 if dry_run else len(todo), "changes": shown})
        return
    table(("", "what", "how"), [(one.verb, one.what, one.detail) for one in changes], empty="Nothing is missing.")
    done = "would change" if dry_run else "changed"
    note(f"{len(todo)} {done}.", quiet=quiet)


def kafka_of(chosen: "Configuration", kafka: str | None) -> "Connection":
    """Return the way to the cluster; what the client warns of goes where our own warnings go."""
    import logging
    from dataclasses import replace

    import structlog

    from ledger.kafka.connection import Connection

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            structlog.get_logger().log(record.levelno, "kafka_client", said=record.getMessage(), source=record.name)

    client = logging.getLogger("kafka")
    client.setLevel(logging.WARNING)
    client.handlers = [Handler()]
    client.propagate = False
    section = chosen.kafka
    if kafka is not None:
        section = replace(section, bootstrap=tuple(part.strip() for part in kafka.split(",")))
    return Connection(section)


def _publishers(chosen: "Configuration") -> set[bytes]:
    """Return the authorities of the ledger; none where there is no ledger."""
    from ledger.opening import open_configured
    from ledger.store import address_in

    if not chosen.ledger.store and address_in(chosen.ledger.folder) is None:
        return set()
    with closing(open_configured(chosen, read_only=True)) as opened:
        return {one.id for one in opened.roster.authorities()}


def telling(*, quiet: bool) -> "Callable[[str], None]":
    """Return what says where the metrics of a service are."""
    return lambda where: note(f"metrics at {where}/metrics", quiet=quiet)


def until_stopped() -> threading.Event:
    """Return what SIGTERM and SIGINT set: what is under way is finished, and nothing more begun."""
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    return stop
