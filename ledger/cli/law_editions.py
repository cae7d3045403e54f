"""``comity law diff`` and ``comity law archive``, and which edition of the law any command reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.console import document, line, table, text
from ledger.cli.law_shown import plain
from ledger.cli.options import AsJson
from ledger.cli.trouble import Trouble

if TYPE_CHECKING:
    from ledger.law.law import Change, Law

Edition = Annotated[
    str | None,
    typer.Option(
        "--law",
        "--edition",
        metavar="EDITION",
        envvar="COMITY_LAW",
        help="Folder or hash of another edition; else COMITY_LAW, else this release's.",
        show_default=False,
        show_envvar=False,
    ),
]
Editions = Annotated[
    list[Path] | None,
    typer.Option(
        "--editions",
        metavar="DIR",
        envvar="COMITY_EDITIONS",
        help="Archive in which hashes are looked up; else COMITY_EDITIONS, and the ledger's own.",
        show_default=False,
        show_envvar=False,
    ),
]


def law_diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A day; or the folder, or the hash, of an edition.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A day; or the folder, or the hash, of an edition.")],
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what differs between two days, or between two editions.

    A hash is that of `Entry.rules`, or its first eight digits or more; 'release' is this release's edition.
    Rules, heads of instruments, ways of counting (kind counting), calendars (kind calendar), the time to
    answer (kind answer) and the steps of the procedures (kind graph) are compared. Steps that changed in the
    common graph are told once; an instrument is named where its own changed otherwise.

    JSON, a line a rule: {instrument, country, kind, id, keys, before, after}; the instrument of what all
    share is empty. The id of steps is the kind of thing and the act, before and after are its steps.
    """
    changes = _law(before, editions).diff(_law(after, editions))
    if as_json:
        for one in changes:
            line(
                {
                    "instrument": one.instrument,
                    "country": one.country,
                    "kind": one.kind,
                    "id": one.id,
                    "keys": list(one.keys),
                    "before": None if one.before is None else plain(one.before),
                    "after": None if one.after is None else plain(one.after),
                }
            )
        return
    table(
        ("instrument", "kind", "rule", "change"),
        [
            (
                one.instrument + (f" in {one.country}" if one.country else ""),
                one.kind,
                one.id,
                _changed(one),
            )
            for one in changes
        ],
        empty="Nothing differs.",
    )


def law_archive(
    archive: Annotated[Path, typer.Argument(metavar="DIR", help="The archive; made where there is none.")],
    edition: Edition = None,
    editions: Editions = None,
    as_json: AsJson = False,
) -> None:
    """
    Keep an edition in an archive, under its hash, so that it is found when an entry names it.

    The commands that publish keep the edition of their release in the folder law of the ledger.

    JSON: {edition, folder, held: [edition, ...]}.
    """
    from ledger.law.editions import held, keep
    from ledger.law.law import HERE

    kept = keep(archive, HERE if edition is None else edition_folder(edition, editions))
    if as_json:
        names = sorted(name for name, folder in held([archive]).items() if folder.parent == archive)
        document({"edition": kept.name, "folder": str(kept), "held": names})
        return
    text(f"Edition {kept.name} is kept in {archive}.")


def _changed(change: "Change") -> str:
    """What changed, in words: new, gone, the keys that differ, or the steps that came and went."""
    before, after = change.before, change.after
    if change.kind == "graph" and (isinstance(before, tuple) or isinstance(after, tuple)):
        was, now = (one if isinstance(one, tuple) else () for one in (before, after))
        told = [f"new: {one}" for one in now if one not in was] + [f"gone: {one}" for one in was if one not in now]
        return "; ".join(told)
    if before is None:
        return "new"
    if after is None:
        return "gone"
    return ", ".join(change.keys) or f"{before} -> {after}"


# ------------------------------------------------------------------------------------------ reading


def edition_of(given: str | None, archives: list[Path] | None, only: str | None = None) -> "Law":
    """The law of the edition named by folder or hash, or this release's; *only* one instrument of it."""
    from ledger.law.law import HERE, load, read

    if given is None:
        return load() if only is None else read(HERE, only=only)
    return read(edition_folder(given, archives), only=only)


def edition_folder(given: str, archives: list[Path] | None) -> Path:
    """The folder of an edition that is named by folder, or by its hash."""
    from ledger.cli.options import folder
    from ledger.law.editions import find, is_edition
    from ledger.law.law import HERE

    named = Path(given)
    if (named / "instruments").is_dir():
        return named
    if given == "release":
        return HERE
    if is_edition(given) and not named.exists():
        return find(given, [*(archives or ()), folder(None) / "law"])
    raise Trouble(
        4,
        f"there is no edition of the law in {given}",
        why="the folder holds no folder `instruments`",
        now="name its folder or its hash with --law or COMITY_LAW, or leave both out for this release's",
    )


def _law(given: str, archives: list[Path] | None) -> "Law":
    from datetime import date

    from ledger.law.law import load, read

    try:
        # A day is written with hyphens: eight digits alone may begin a hash.
        return load().at(date.fromisoformat(given if "-" in given else ""))
    except ValueError:
        return read(edition_folder(given, archives))
