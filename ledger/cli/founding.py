"""``comity init``: found a ledger."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from uuid import UUID

import typer

from ledger.cli.configuring import ConfigFile, configuration
from ledger.cli.console import document, text
from ledger.cli.options import AsJson, Quiet
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from ledger.keys import PrivateKey

_HOLDER = re.compile(r"[A-Z]{2}|[a-z][a-z0-9-]{1,31}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Asked(NamedTuple):
    holder: str
    name: str
    enrolls: str


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new ledger.")],
    origin: Annotated[
        str,
        typer.Option(
            "--origin",
            help="Name of the log for ever, such as ledger.example.org/2026; one that ends in "
            "/simulation takes drafts too.",
        ),
    ],
    root: Annotated[
        list[str],
        typer.Option(
            "--root",
            metavar="HOLDER=NAME[:KIND]",
            help="A root of trust: a country (DE=germany) or a body (eu=union:union). NAME names its "
            "key file; KIND is what it may enrol: country, union, court or organisation.",
        ),
    ],
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="DIR",
            help="Where the keys of the operator and the roots are written; else DIR/keys.",
            show_default=False,
        ),
    ] = None,
    quorum: Annotated[
        int | None,
        typer.Option(
            "--quorum",
            min=1,
            metavar="K",
            help="How many founding roots admit or replace one; else a majority.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="ADDRESS",
            help="Keep the log in this PostgreSQL database (postgresql://role@host/database), not in DIR.",
            show_default=False,
        ),
    ] = "",
    inception: Annotated[
        bool,
        typer.Option(
            "--inception", help="This log is new indeed: needed with --store, and where a configuration names the log."
        ),
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Found a ledger: its log keys, the operator's, the roots', and entry 0.

    A store that is empty may be a log that was lost. So where a configuration names the log, it is founded
    with --inception alone, and on the day that the configuration says.

    Key files are readable by their owner alone; move each root's key to its holder. Prints the hash
    of entry 0, by which verifiers know this ledger.

    JSON: {ledger, origin, pin, operator: {authority, key, file}, roots: [{holder, enrolls, authority,
    key, file}], vkeys[]}.
    """
    asked = [_asked(one) for one in root]
    if len({one.name for one in asked} | {"operator"}) != len(asked) + 1:
        raise Trouble(
            2,
            "two keys would have the same name",
            why="each NAME becomes the name of a key file, and the operator's is called `operator`",
            now="give each root another NAME",
        )
    if quorum is not None and quorum > len(asked):
        raise Trouble(2, f"{quorum} of {len(asked)} roots cannot agree", now="give a smaller --quorum")
    _inception(directory)
    store = _checked_inception(directory, origin, store, config, asked=inception)
    folder = keys or directory / "keys"
    from ledger.cli.opened import logging
    from ledger.keys import PrivateKey, Signer
    from ledger.law.editions import keep
    from ledger.ledger import Ledger, Root, check_origin
    from ledger.statement import random_id

    check_origin(origin)
    logging()
    directory.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    operator = Signer(random_id(), _new_key(folder / "operator.pem"))
    founding: list[tuple[_Asked, Root, PrivateKey]] = []
    for one in asked:
        signer = Signer(random_id(), _new_key(folder / f"{one.name}.pem"))
        founding.append((one, Root.of(one.holder, signer, origin, one.enrolls), signer.key))
    # The first entries are judged under this edition, and name it by its hash.
    keep(directory / "law")
    opened = Ledger.found(
        directory,
        origin=origin,
        operator=operator,
        roots=[made for _, made, _ in founding],
        quorum=quorum,
        store=store or None,
    )
    try:
        shape = {
            "ledger": str(directory),
            "origin": origin,
            "pin": opened.pin().hex(),
            "operator": {
                "authority": str(UUID(bytes=operator.authority)),
                "key": operator.key.id.hex(),
                "file": str(folder / "operator.pem"),
            },
            "roots": [
                {
                    "holder": one.holder,
                    "enrolls": one.enrolls,
                    "authority": str(UUID(bytes=made.authority)),
                    "key": key.id.hex(),
                    "file": str(folder / f"{one.name}.pem"),
                }
                for one, made, key in founding
            ],
            "vkeys": opened.vkeys(),
        }
    finally:
        opened.close()
    if as_json:
        document(shape)
        return
    text(f"pin {shape['pin']}")
    if not quiet:
        for one, _, key in founding:
            text(f"root {one.holder} {folder / (one.name + '.pem')} key {key.id.hex()[:16]}…")
        text(f"operator {folder / 'operator.pem'} key {operator.key.id.hex()[:16]}…")


def _inception(directory: Path) -> None:
    """Refuse to found where a ledger, or what is left of one, lies: a second log is worse than none."""
    for name in ("ledger.db", "store", "log.key", "checkpoint"):
        if (directory / name).exists():
            raise Trouble(
                6,
                f"{directory} holds a ledger already",
                why=f"{directory / name} exists; a log is founded once",
                now="use it with --ledger, or name another folder (if a founding was interrupted, "
                "and nobody has seen its pin, remove what it left)",
            )


def _checked_inception(directory: Path, origin: str, store: str, config: Path | None, *, asked: bool) -> str:
    """Check that this log may be founded, and return the address of its store; empty: a file of the folder."""
    from ledger.opening import check_inception

    chosen = configuration(config, directory).ledger
    if chosen.origin and chosen.origin != origin:
        raise Trouble(
            6,
            f"the configuration is that of {chosen.origin}",
            why=f"--origin says {origin}",
            now="correct one of them",
        )
    if store and chosen.store and store != chosen.store:
        raise Trouble(6, f"the configuration keeps the log in {chosen.store}", now="leave out --store")
    check_inception(chosen, asked=asked, store=store or chosen.store)
    return store or chosen.store


def _asked(given: str) -> _Asked:
    holder, equals, rest = given.partition("=")
    name, _, kind = rest.partition(":")
    kind = kind or ("country" if holder.isupper() else "")
    from ledger.acts import catalogue

    kinds = catalogue().codes("root_kinds")
    for field, holds, rule in (
        ("HOLDER", bool(equals) and _HOLDER.fullmatch(holder), "two capitals (DE), or small letters"),
        ("NAME", _NAME.fullmatch(name), "letters, digits, dot, dash: it names a file"),
        ("KIND", kind in kinds, "one of " + ", ".join(kinds)),
    ):
        if not holds:
            raise Trouble(
                2,
                f"--root {given} cannot be read",
                why=f"{field} should be {rule}",
                now="such as --root DE=germany or --root eu=union:union",
                faults=(Fault(0, f"--root {field}", rule),),
            )
    return _Asked(holder, name, kind)


def _new_key(file: Path) -> "PrivateKey":
    from ledger.keys import PrivateKey

    key = PrivateKey.generate()
    key.save(file)
    return key
