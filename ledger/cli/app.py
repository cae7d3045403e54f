"""The commands, and what they are called."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import auditing, bundling, conveying, founding, inspecting, keeping, publishing, serving
from ledger.cli.authorities import authority_app
from ledger.cli.cases import case_app, request_app
from ledger.cli.conditions import conditions_app
from ledger.cli.configuring import config_app
from ledger.cli.conveying import topics_app
from ledger.cli.deadlines import deadlines
from ledger.cli.exhibits import exhibit_app
from ledger.cli.findings import findings
from ledger.cli.keyring import key_app
from ledger.cli.law import due, law_app
from ledger.cli.options import AsJson
from ledger.cli.projecting import project_app

app = typer.Typer(
    name="comity",
    help="A shared, signed, tamper-evident ledger of cross-border criminal-justice cooperation.",
    epilog="Exit status: 0 done, 1 unexpected, 2 usage, 3 verification failed, 4 not found, "
    "5 denied, 6 conflict, 7 invalid input, 8 unavailable (verify has its own). "
    "Data is written to standard output, everything else to standard error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, asked: bool) -> None:
    if asked:
        try:
            typer.echo(f"comity {installed('comity')}")
        except PackageNotFoundError:
            typer.echo("comity (not installed)")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=lambda value: _version(asked=value),
        ),
    ] = False,
) -> None:
    del version


@app.command(short_help="Load two real cases, show them, find a forgery.")
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where the demonstration keeps its ledger.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load two real cases, show them, damage one byte and find it."""
    from ledger.cli.demo import demo as show

    show(folder, as_json)


app.command("init", short_help="Found a ledger: keys, roots, entry 0.")(founding.init)
app.add_typer(law_app, name="law", short_help="The law as data: instruments, limits, duties.")
app.command("due", short_help="Compute when a time limit ends, step by step.")(due)
app.add_typer(authority_app, name="authority")
app.add_typer(key_app, name="key")
app.command("publish", short_help="Publish drafts as signed statements.")(publishing.publish)
app.add_typer(case_app, name="case")
app.add_typer(request_app, name="request", short_help="Requests: their stage, and what can come next.")
app.add_typer(exhibit_app, name="exhibit")
app.add_typer(conditions_app, name="conditions", short_help="Conditions: what binds, and whom.")
app.command("audit", short_help="Print who did what: in a case, by somebody.")(auditing.audit)
app.command("deadlines", short_help="Show time limits: open, met, late, lapsed.")(deadlines)
app.command("findings", short_help="Show what should have happened and did not.")(findings)
app.add_typer(project_app, name="project", short_help="Projections: bring up to date, rebuild, compare.")
app.command("relay", short_help="Carry the log to Kafka.")(conveying.relay)
app.command("ingest", short_help="Take what comes through Kafka, and answer.")(conveying.ingest)
app.add_typer(topics_app, name="topics")
app.command("bundle", short_help="Write a case as one ZIP that verifies itself.")(bundling.bundle)
app.command(
    "verify",
    short_help="Verify a bundle, offline.",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(bundling.verify)
app.command("fsck", short_help="Rebuild and compare the whole log.")(inspecting.fsck)
app.command("serve", short_help="Serve the log over HTTP.")(serving.serve)
app.command("backup", short_help="Copy the log into a folder, and check the copy.")(keeping.backup)
app.command("restore", short_help="Put the log of a backup into a folder.")(keeping.restore)
app.command("migrate", short_help="Move the log to another store.")(keeping.migrate)
app.add_typer(config_app, name="config")
app.command("proof", short_help="Print a proof of an entry, or of growth.")(inspecting.proof)
app.command("tail", short_help="Print the newest entries, one a line.")(inspecting.tail)
