"""``comity authority``: who is on the roster, and how to come onto it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.console import document, line, table, text
from ledger.cli.keyring import read_request, roster_draft
from ledger.cli.options import AsJson, AsOf, HappenedBy, KnownBy, LedgerFolder, Quiet, Zone, view
from ledger.cli.saying import possession, said, signer_of
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from ledger.cli.directory import Directory, Member

authority_app = typer.Typer(help="Authorities: enrol one, list them, show one with its keys.", no_args_is_help=True)


@authority_app.command("enrol", short_help="Enrol an authority, signed by its root.")
def authority_enrol(
    kind: Annotated[str, typer.Option("--kind", help="Code of the list authority_kinds, such as prosecutor.")],
    country: Annotated[str, typer.Option("--country", help="Where it acts: ISO 3166-1, such as DE.")],
    zone: Annotated[str, typer.Option("--zone", help="Time zone of its seat: Europe/Berlin.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Key file of the root (or court, or bar).")],
    designation: Annotated[
        str | None, typer.Argument(metavar="DESIGNATION", help="Official name; none for counsel.")
    ] = None,
    request: Annotated[
        str | None,
        typer.Option("--request", metavar="FILE|-", help="What its `comity key new` printed."),
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="FILE", help="Make its first key here, instead."),
    ] = None,
    holder: Annotated[
        str | None,
        typer.Option("--holder", help="Whose authority it is; else that of the signing root."),
    ] = None,
    function: Annotated[
        list[str] | None, typer.Option("--function", help="Code of functions; may be repeated.")
    ] = None,
    language: Annotated[list[str] | None, typer.Option("--language", help="It accepts, most usual first.")] = None,
    level: Annotated[
        str | None,
        typer.Option("--level", help="L0 to L3; else L2 with a key, L0 without."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Enrol an authority, signed by the root of its State or body; counsel by a court or bar.

    Its first key proves its own possession: made here with --new-key, or by its owner with `comity
    key new`, whose output is given with --request. Without either it has no key and is only reported
    about.

    JSON: the receipt and the authority's id {index, statement, disposition, reason, recorded_at,
    authority}.
    """
    from ledger.acts import catalogue
    from ledger.cli.directory import directory
    from ledger.cli.opened import ledger as open_ledger
    from ledger.keys import PrivateKey
    from ledger.statement import random_id

    if request is not None and new_key is not None:
        raise Trouble(2, "--request and --new-key exclude each other", now="give one of them")
    acts = catalogue()
    asked = None if request is None else read_request(request)
    whole = asked["authority"] if asked else random_id()
    with open_ledger(ledger) as opened:
        roster = directory(opened.store, acts)
        signer = signer_of(roster, key)
        body: dict[str, Any] = {
            "holder": holder or _holder(roster, signer.authority),
            "authority_kind": kind,
            "designation": designation,
            "country": country,
            "zone": zone,
            "languages": language or [],
            "functions": function or [],
            "level": level or ("L0" if asked is None and new_key is None else "L2"),
            "public_key": asked["public_key"] if asked else None,
            "possession": asked["possession"] if asked else None,
        }
        _check(acts.faults("authority.enrolled", 1, body))
        if designation is not None and designation in roster.names:
            raise Trouble(
                6,
                f"an authority is called {designation} already",
                why=f"its id is {UUID(bytes=roster.names[designation])}",
                now="certify a further key of it with `comity key certify`, or name the new one apart",
            )
        if new_key is not None:
            fresh = PrivateKey.generate()
            fresh.save(new_key)
            body["public_key"] = fresh.public
            body["possession"] = possession(roster.origin, whole, fresh)
        draft = roster_draft(roster, "authority.enrolled", whole, body, opened.clock())
        shown = str(UUID(bytes=whole))
        if not as_json:
            said(
                opened,
                draft,
                signer,
                as_json=False,
                quiet=quiet,
                done=f"{designation or kind} is enrolled",
            )
            text(shown)
            return
        from ledger.cli.saying import answered, refused, status_of

        for answer in opened.publish_many([draft], signer, batch=False):
            line(answered(answer) | {"authority": shown})
            if status_of(answer):
                raise refused(answered(answer), status_of(answer))


_OPTIONS = {
    "authority_kind": "--kind",
    "designation": "DESIGNATION",
    "country": "--country",
    "zone": "--zone",
    "languages": "--language",
    "functions": "--function",
    "level": "--level",
    "holder": "--holder",
}


def _check(faults: list[Any]) -> None:
    if not faults:
        return
    named = tuple(Fault(0, _OPTIONS.get(fault.path.partition("[")[0], fault.path), fault.rule) for fault in faults)
    raise Trouble(
        7,
        "the authority cannot be enrolled so",
        why="these options are at fault",
        now="correct it; nothing was recorded",
        faults=named,
    )


def _holder(roster: "Directory", authority: bytes) -> str:
    """The holder under whom the signer stands: its own, or that of the root that enrolled it."""
    member = roster.members.get(authority)
    if member is None or member.holder is None:
        raise Trouble(
            5,
            "this key enrols nobody",
            why=f"{roster.called(authority)} holds no root and stands under none",
            now="sign with a root key, or, for counsel, that of a court or bar",
        )
    return member.holder


def _shape(member: "Member") -> dict[str, Any]:
    return {
        "authority": str(UUID(bytes=member.authority)),
        "called": member.called,
        "designation": member.designation,
        "kind": member.kind,
        "holder": member.holder,
        "country": member.country,
        "level": member.level,
        "functions": list(member.functions),
        "enrolled_by": None if member.enrolled_by is None else str(UUID(bytes=member.enrolled_by)),
        "index": member.index,
        "keys": [
            {
                "key": key.id.hex(),
                "public_key": key.public_key.hex(),
                "since_index": key.since_index,
                "standing": key.ended or "valid",
                "ended_index": key.ended_index,
                "invalid_from": key.invalid_from,
                "suspect_from": key.suspect_from,
                "reason": key.reason,
            }
            for key in member.keys
        ],
    }


@authority_app.command("list")
def authority_list(
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    List everybody on the roster.

    JSON, a line an authority: {authority, called, designation, kind, holder, country, level,
    functions[], enrolled_by, index, keys[]}.
    """
    del quiet
    from ledger.acts import catalogue
    from ledger.cli.directory import directory
    from ledger.cli.opened import store
    from ledger.cli.reading import heading

    asked = view(happened_by, known_by, as_of, zone)
    with store(ledger) as opened:
        members = list(directory(opened, catalogue(), asked).members.values())
    if as_json:
        for member in members:
            line(_shape(member))
        return
    heading(asked)
    table(
        ("authority", "called", "kind", "country", "level", "keys", "entry"),
        [
            (
                UUID(bytes=member.authority),
                member.called,
                member.kind.replace("_", " "),
                member.country or member.holder,
                member.level,
                sum(not key.ended for key in member.keys),
                member.index,
            )
            for member in members
        ],
        empty="Nobody is on the roster by then.",
    )


@authority_app.command("show", short_help="Show one authority, and how its keys stand.")
def authority_show(
    authority: Annotated[str, typer.Argument(metavar="ID|DESIGNATION", help="The authority, or 6+ digits of its id.")],
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    happened_by: HappenedBy = None,
    known_by: KnownBy = None,
    as_of: AsOf = None,
    zone: Zone = "UTC",
) -> None:
    """
    Show one authority: who enrolled it, what it may do, its keys and how they stand.

    JSON: as one line of `authority list`.
    """
    del quiet
    from ledger.acts import catalogue
    from ledger.cli.directory import directory
    from ledger.cli.opened import store, whole_id
    from ledger.cli.reading import heading

    asked = view(happened_by, known_by, as_of, zone)
    with store(ledger) as opened:
        roster = directory(opened, catalogue(), asked)
        by_id = {str(UUID(bytes=one)): one for one in roster.members}
        whole = whole_id(authority, opened, "authority", by_id | roster.names)
    member = roster.members.get(whole)
    if member is None:
        raise Trouble(
            4,
            f"{authority} is on no roster" + (" by then" if asked.heading() else ""),
            why="no root has enrolled it",
            now="see `comity authority list`",
        )
    if as_json:
        document(_shape(member))
        return
    heading(asked)
    shape = _shape(member)
    table(
        ("what", "value"),
        [
            (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
            for name, value in shape.items()
            if name != "keys"
        ],
        empty="",
    )
    table(
        ("key", "since entry", "standing", "by entry", "invalid from", "suspect from", "reason"),
        [
            (
                key["key"],
                key["since_index"],
                key["standing"],
                key["ended_index"],
                key["invalid_from"],
                key["suspect_from"],
                key["reason"],
            )
            for key in shape["keys"]
        ],
        empty="It has no key; it is spoken of in reports only.",
    )
