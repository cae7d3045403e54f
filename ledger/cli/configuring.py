"""``comity config``: the configuration that holds, and its manual."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, text
from ledger.cli.options import AsJson

if TYPE_CHECKING:
    from ledger.configuration import Configuration

config_app = typer.Typer(
    help="The configuration: what holds, and what can be chosen.",
    short_help="The configuration, and its manual.",
    no_args_is_help=True,
)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration; else COMITY_CONFIG, else comity.toml in the ledger's folder.",
        show_default=False,
    ),
]


def configuration(file: Path | None, ledger: Path | None = None) -> "Configuration":
    """
    The configuration of a command: of the file given, of COMITY_CONFIG, or of the ledger's folder; else defaults.

    A ledger that is named, by option or by COMITY_LEDGER, is the one that is meant, whatever the file says.
    """
    from dataclasses import replace

    from ledger.configuration import FILE, load

    named = os.environ.get("COMITY_CONFIG")
    said = ledger or (Path(os.environ["COMITY_LEDGER"]) if os.environ.get("COMITY_LEDGER") else None)
    beside = (said or Path("comity-ledger")) / FILE
    chosen = file or (Path(named) if named else beside if beside.exists() else None)
    made = load(chosen)
    if said is None and chosen == beside and "ledger.folder" not in made.sources:
        said = beside.parent
    return made if said is None else replace(made, ledger=replace(made.ledger, folder=said))


@config_app.command("show", short_help="Print the configuration that holds.")
def show(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """
    Print the configuration that holds, each key that is no default with where it comes from.

    Secrets are files, and only their names are shown.

    JSON: {section: {key: value}, sources: {section.key: file or variable}}.
    """
    from dataclasses import asdict

    from ledger.configuration import shown

    made = configuration(config)
    if as_json:
        values = asdict(made)
        values["ledger"]["folder"] = str(values["ledger"]["folder"])
        document(values)
    else:
        text(shown(made))


@config_app.command("manual", short_help="Print every key, its meaning and its default.")
def manual() -> None:
    """Print a configuration of defaults as TOML, each key under its meaning: a file to begin with."""
    from ledger import configuration as described

    text(described.manual())
