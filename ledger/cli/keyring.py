"""``comity key``: make keys, and have them certified, rotated, revoked, retired."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.console import document, note, table
from ledger.cli.options import AsJson, LedgerFolder, Quiet
from ledger.cli.saying import possession, said, signer_of
from ledger.cli.trouble import Fault, Trouble

if TYPE_CHECKING:
    from ledger.cli.directory import Directory
    from ledger.statement import Draft

key_app = typer.Typer(help="Keys: make, certify, rotate, revoke, retire; the log's too.", no_args_is_help=True)

SigningKey = Annotated[Path, typer.Option("--key", metavar="FILE", help="Key file (PEM) that signs the statement.")]


@key_app.command("new")
def key_new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key is written.")],
    authority: Annotated[
        str | None,
        typer.Option(
            "--authority",
            metavar="ID",
            help="Whose key it will be: an id or a designation; else a new authority.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--origin", help="Of the ledger it is for; else read from --ledger."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Make a key, and print what its root needs to certify it.

    The private key stays in FILE, readable by its owner alone, and is never overwritten. The output
    holds its proof of possession; give it to `comity authority enrol --request` or `comity key
    certify`.

    JSON (always): {origin, authority, public_key, key, possession}.
    """
    del as_json
    from ledger.cli.opened import store
    from ledger.keys import PrivateKey
    from ledger.statement import random_id

    whole = None if authority is None else _uuid(authority)
    if origin is None or (authority is not None and whole is None):
        with store(ledger) as opened:
            roster = _roster(opened)
        origin = origin or roster.origin
        if authority is not None and whole is None:
            whole = roster.names.get(authority)
            if whole is None:
                raise Trouble(4, f"no authority is called {authority}", now="see `comity authority list`")
    whole = whole or random_id()
    key = PrivateKey.generate()
    key.save(file)
    document(
        {
            "origin": origin,
            "authority": str(UUID(bytes=whole)),
            "public_key": key.public.hex(),
            "key": key.id.hex(),
            "possession": possession(origin, whole, key).hex(),
        }
    )
    note(f"The private key is in {file}; keep it where only its owner reads it.", quiet=quiet)


@key_app.command("show", short_help="Show a key's public half, and whose it is.")
def key_show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A key file (PEM).")],
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Show a key's public half, and whose it is on the roster; the private half is never shown.

    JSON: {key, public_key, authority, called, since_index, standing, ended_index}.
    """
    del quiet
    from ledger.cli.opened import store
    from ledger.keys import PrivateKey

    key = PrivateKey.load(file)
    with store(ledger) as opened:
        roster = _roster(opened)
    held = roster.keys.get(key.id)
    shape: dict[str, Any] = {
        "key": key.id.hex(),
        "public_key": key.public.hex(),
        "authority": None if held is None else str(UUID(bytes=held.authority)),
        "called": None if held is None else roster.called(held.authority),
        "since_index": None if held is None else held.since_index,
        "standing": "on no roster" if held is None else held.ended or "valid",
        "ended_index": None if held is None else held.ended_index,
    }
    if as_json:
        document(shape)
        return
    table(("what", "value"), [(name, shape[name]) for name in shape], empty="")


@key_app.command("certify", short_help="Certify another key, signed by the root.")
def key_certify(
    request: Annotated[str, typer.Argument(metavar="REQUEST|-", help="What `comity key new` printed.")],
    key: SigningKey,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Certify another key of an authority, signed by the root that enrolled it.

    A new key of the operator is valid once a quorum of the founding roots has certified it, each with this command.

    JSON: the receipt {index, statement, disposition, reason, recorded_at}.
    """
    asked = read_request(request)
    _say(
        ledger,
        key,
        "key.certified",
        lambda _: (asked["authority"], _pair(asked)),
        as_json=as_json,
        quiet=quiet,
        done="The certification is recorded",
    )


@key_app.command("rotate", short_help="Replace a key by a new one, signed by the old.")
def key_rotate(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Key file of the new key; made when missing.")],
    key: Annotated[Path, typer.Option("--key", metavar="OLD", help="Key file of the key that is replaced.")],
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Replace a key by a new one, signed by the old; the new one proves possession.

    JSON: the receipt {index, statement, disposition, reason, recorded_at}.
    """
    from ledger.keys import PrivateKey

    def body(roster: "Directory") -> tuple[bytes, dict[str, Any]]:
        # Nothing is made before the old key has been found to be good.
        old = signer_of(roster, key)
        if new.exists():
            fresh = PrivateKey.load(new)
        else:
            fresh = PrivateKey.generate()
            fresh.save(new)
        return old.authority, {
            "old_key": old.key.id,
            "public_key": fresh.public,
            "possession": possession(roster.origin, old.authority, fresh),
        }

    _say(ledger, key, "key.rotated", body, as_json=as_json, quiet=quiet, done="The key is rotated")


@key_app.command("revoke", short_help="Revoke a key, signed by the root.")
def key_revoke(
    revoked: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, its first digits, or its file.")],
    key: SigningKey,
    reason: Annotated[str, typer.Option("--reason", help="Code of the list revocation_reasons.")],
    invalid_from: Annotated[
        int | None,
        typer.Option("--from", min=0, metavar="INDEX", help="Entries signed from here on are invalid; else now."),
    ] = None,
    suspect_from: Annotated[
        int | None,
        typer.Option("--suspect-from", min=0, metavar="INDEX", help="Entries from here on are contested."),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Revoke a key of an authority, signed by the root that enrolled it.

    A key of the operator is revoked once a quorum of the founding roots has said so, each with this command.

    JSON: the receipt {index, statement, disposition, reason, recorded_at}.
    """
    from ledger.acts import catalogue

    reasons = catalogue().codes("revocation_reasons")
    if reason not in reasons:
        rule = "one of " + ", ".join(reasons)
        raise Trouble(
            2,
            "--reason is not in the code list revocation_reasons",
            why=rule,
            now="give one of these codes",
            faults=(Fault(0, "--reason", rule),),
        )

    def body(roster: "Directory", size: int) -> tuple[bytes, dict[str, Any]]:
        held = _held(roster, revoked)
        start = size if invalid_from is None else invalid_from
        suspect = start if suspect_from is None else suspect_from
        if suspect > start:
            raise Trouble(
                2,
                "--suspect-from lies after --from",
                why="a key is suspect before it is invalid, not afterwards",
                now="give a smaller --suspect-from",
            )
        return held.authority, {
            "key": held.id,
            "invalid_from": start,
            "suspect_from": suspect,
            "reason": reason,
        }

    _say_sized(ledger, key, "key.revoked", body, as_json=as_json, quiet=quiet, done="The revocation is recorded")


@key_app.command("retire", short_help="Retire a key that is no longer used.")
def key_retire(
    retired: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, its first digits, or its file.")],
    key: SigningKey,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Retire a key that is no longer used, signed by the authority itself or its root.

    JSON: the receipt {index, statement, disposition, reason, recorded_at}.
    """

    def body(roster: "Directory") -> tuple[bytes, dict[str, Any]]:
        held = _held(roster, retired)
        return held.authority, {"key": held.id}

    _say(ledger, key, "key.retired", body, as_json=as_json, quiet=quiet, done="The key is retired")


@key_app.command("replace-log", short_help="Replace a key of the log itself, signed by the operator.")
def key_replace_log(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Key file of the new key; made when missing.")],
    old: Annotated[
        str, typer.Option("--old", metavar="OLD", help="The log's key that is replaced: its file; with --root, its id.")
    ],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Key file of the operator.")],
    roots: Annotated[
        list[Path] | None,
        typer.Option(
            "--root",
            metavar="FILE",
            help="Key file of a founding root that endorses it; may be given again.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """
    Replace a key with which the log signs its checkpoints.

    The old Ed25519 key carries it, or with --root a quorum of the founding roots; one of ML-DSA-44 takes the quorum.
    Whoever appends must see NEW beside the other keys of the log before, as log.next.key or log.mldsa.next.key.
    Where it is not there nothing is recorded, and the status is 8: put it there, and give the command again.

    JSON: the receipt {index, statement, disposition, reason, recorded_at}.
    """
    from hashlib import sha256

    from ledger.cli.opened import ledger as open_ledger
    from ledger.keys import LogKey
    from ledger.verify import ED25519, endorsement_message, possession_message

    with open_ledger(ledger) as opened:
        directory = _roster(opened.store)
        operator = signer_of(directory, key)
        carrier = LogKey.load(Path(old)) if Path(old).is_file() else None
        given = sha256(carrier.public).hexdigest() if carrier is not None else old.lower()
        standing = {sha256(one.public_key).hexdigest(): one for one in opened.roster.log_keys}
        found = [identity for identity in standing if len(given) >= 6 and identity.startswith(given)]
        if len(found) != 1:
            raise Trouble(
                4,
                f"no key of the log that stands is {old}",
                why="they are " + ", ".join(f"{one[:16]}…" for one in standing),
                now="give its file, or the first digits of its id",
            )
        algorithm = "ed25519" if standing[found[0]].algorithm == ED25519 else "ml_dsa_44"
        if not roots and (carrier is None or algorithm != "ed25519"):
            raise Trouble(
                2,
                "nobody carries this replacement",
                why="the old Ed25519 key signs for its successor, by its file; any other is for the founding roots",
                now="give --root for each of a quorum",
            )
        fresh = LogKey.load(new) if new.exists() else LogKey.make(new, algorithm)
        if not opened.has_key(fresh.public):
            raise Trouble(
                8,
                f"{new} is not among the keys of the log here",
                why="it must sign from the very entry that names it",
                now=f"put it beside log.key as {'log' if algorithm == 'ed25519' else 'log.mldsa'}.next.key, here and"
                " wherever services append; then give the command again",
            )
        proof = possession_message(opened.origin, operator.authority, fresh.public)
        endorsed = endorsement_message(opened.origin, operator.authority, fresh.public)
        endorsers = [signer_of(directory, path) for path in roots or ()]
        body = {
            "old_key": bytes.fromhex(found[0]),
            "algorithm": fresh.algorithm,
            "public_key": fresh.public,
            "possession": fresh.sign(proof) + (b"" if roots or carrier is None else carrier.sign(proof)),
            "endorsements": [{"root": one.authority, "signature": one.key.sign(endorsed)} for one in endorsers],
        }
        draft = roster_draft(directory, "log_key.replaced", opened.roster.ledger, body, opened.clock())
        said(opened, draft, operator, as_json=as_json, quiet=quiet, done="The log's key is replaced")


# ------------------------------------------------------------------------------------- what they share


def read_request(source: str) -> dict[str, Any]:
    """
    What ``key new`` printed: ``{origin, authority, public_key, key, possession}``, as bytes.

    Raises:
        Trouble: invalid input, naming the field.
    """
    from ledger.cli.saying import read_bytes

    def bad(field: str, rule: str) -> Trouble:
        return Trouble(
            7,
            f"the request in {source} cannot be read",
            why=f"{field}: {rule}" if field else rule,
            now="give what `comity key new` printed",
            faults=(Fault(0, field, rule),) if field else (),
        )

    try:
        value = json.loads(read_bytes(source))
    except (ValueError, RecursionError):
        raise bad("", "it is not JSON") from None
    if not isinstance(value, dict):
        raise bad("", "it is not a JSON object")
    asked: dict[str, Any] = {}
    for field, size in (("authority", 16), ("public_key", 32), ("possession", 64)):
        try:
            asked[field] = bytes.fromhex(str(value[field]).replace("-", ""))
        except KeyError:
            raise bad(field, "is missing") from None
        except ValueError:
            raise bad(field, "is not hexadecimal") from None
        if len(asked[field]) != size:
            raise bad(field, f"should be {size} bytes, is {len(asked[field])}")
    return asked


def _pair(asked: dict[str, Any]) -> dict[str, Any]:
    return {"public_key": asked["public_key"], "possession": asked["possession"]}


def _uuid(value: str) -> bytes | None:
    try:
        return UUID(value).bytes
    except ValueError:
        return None


def _roster(opened: Any) -> "Directory":
    from ledger.acts import catalogue
    from ledger.cli.directory import directory

    return directory(opened, catalogue())


def _held(roster: "Directory", given: str) -> Any:
    """The key on the roster that an id, a prefix of one, or a key file means."""
    if Path(given).is_file():
        from ledger.keys import PrivateKey

        given = PrivateKey.load(Path(given)).id.hex()
    found = [key for key in roster.keys.values() if key.id.hex().startswith(given.lower())]
    if len(given) < 6 or not found:
        raise Trouble(
            4,
            f"no key on the roster begins with {given}",
            why="a key is named by its file, or by six or more digits of its id",
            now="see `comity authority show`",
        )
    if len(found) > 1:
        raise Trouble(2, f"{given} is the beginning of {len(found)} keys", now="give more digits")
    return found[0]


def roster_draft(roster: "Directory", act: str, subject: bytes, body: dict[str, Any], at: int) -> "Draft":
    """A statement of the roster: about one authority, of the ledger's own file, for everybody to see."""
    from ledger.statement import Draft, Visibility

    return Draft(
        act=act,
        case=roster.case,
        subject=subject,
        body=body,
        occurred_from=at,
        occurred_until=at,
        visibility=Visibility(ring="public"),
    )


def _say(ledger: Any, key: Path, act: str, body: Any, **shown: Any) -> None:
    _say_sized(ledger, key, act, lambda roster, _: body(roster), **shown)


def _say_sized(ledger: Any, key: Path, act: str, body: Any, **shown: Any) -> None:
    from ledger.cli.opened import ledger as open_ledger

    with open_ledger(ledger) as opened:
        roster = _roster(opened.store)
        signer = signer_of(roster, key)
        subject, told = body(roster, opened.store.size())
        draft = roster_draft(roster, act, subject, told, opened.clock())
        said(opened, draft, signer, **shown)
