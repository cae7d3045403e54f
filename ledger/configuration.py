"""
The configuration: one TOML file, one frozen dataclass; the comments of its fields are the manual.

What holds is, in this order: a variable of the environment, the file, the default of the field.
The variable of a key is ``COMITY_``, its section, ``_``, its name, in capitals; a list is separated by commas.

A key that does not exist is refused by file and name: a limit that was misspelt would otherwise be no limit.
Secrets never stand in the file: it names files that nobody but their owner (and a group that may read) can open.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import stat
import textwrap
import tomllib
import typing
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, get_type_hints

from ledger.errors import FormatError, NotFound, NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE: Final = "comity.toml"
"""The name under which a configuration is looked for in the folder of a ledger."""

PREFIX: Final = "COMITY_"

BYTES_MAX: Final = 1_000_000
"""A configuration larger than this is none."""


def _of(default: Any, low: float, high: float) -> Any:
    """Return a number's field: its default, and the least and the greatest that it may be."""
    return dataclasses.field(default=default, metadata={"least": low, "greatest": high})


def _one_of(*codes: str) -> Any:
    """Return a field that takes one of these words, by default the first."""
    return dataclasses.field(default=codes[0], metadata={"codes": codes})


@dataclass(frozen=True, slots=True)
class LedgerSection:
    """Which log this is, and where it is kept."""

    # The folder of the ledger: its checkpoint, its law, and its keys unless `keys` names another folder.
    folder: Path = Path("comity-ledger")
    # Where the log is kept, when not in the folder: postgresql://role@host/database. It must be what the folder's
    # file `store` says, where there is one. A password belongs into a file that ?passfile= names.
    store: str = ""
    # The origin that the log must have. Empty: whatever the log says.
    origin: str = ""
    # The leaf hash of entry 0, 64 hexadecimal digits, as `comity init` printed it. A store that begins otherwise
    # is another log, and an empty one has lost this log: both are refused. Empty: not checked.
    pin: str = ""
    # The only day (UTC) on which `comity init --inception` may found this log. On every other day an empty store is
    # a loss, never a beginning. Empty: it may not be founded under this configuration.
    inception: str = ""
    # The folder of log.key and log.mldsa.key. Empty: the ledger's own. Without keys a ledger can only be read.
    keys: str = ""


@dataclass(frozen=True, slots=True)
class SequencerSection:
    """What publishing allows itself; see `ledger.sequencer.Limits`."""

    # Milliseconds for which a statement that came before its predecessor is held.
    early_ms_max: int = _of(250, 0, 60_000)
    # Statements that share one transaction.
    group_size_max: int = _of(2_048, 1, 65_536)
    # Statements that may wait; beyond it publishers are told to come back.
    waiting_max: int = _of(20_000, 1, 10_000_000)
    # Things, statements and cases remembered between transactions.
    cache_size_max: int = _of(50_000, 0, 10_000_000)


@dataclass(frozen=True, slots=True)
class GatewaySection:
    """The HTTP service, `comity serve`: what it offers, and what it takes from strangers."""

    # Where it listens: address and port, [::1]:8440 for IPv6. Port 0 takes a free one.
    listen: str = "127.0.0.1:8440"
    # A certificate chain in PEM; with it the service speaks TLS 1.2 or newer, and nothing else. Empty: plain HTTP,
    # which belongs behind a proxy that terminates TLS.
    tls_certificate: str = ""
    # The private key of that certificate, in PEM: a secret.
    tls_key: str = ""
    # Whether signed statements are taken. It needs the log's keys.
    publish: bool = True
    # Who may fetch entry bundles. "mirrors": whoever has a token of the file `mirrors`; "nobody"; "everybody", which
    # only an origin that ends in /simulation may say. Hashes and checkpoints are public in any case.
    entries: str = _one_of("mirrors", "nobody", "everybody")
    # A file of tokens of full mirrors, a secret: on each line a name and the SHA-256 of the token in hexadecimal.
    mirrors: str = ""
    # Connections open at a time, and those of one address (one /64 in IPv6). Behind a proxy all come from one address.
    connections_max: int = _of(1_024, 1, 100_000)
    connections_per_address_max: int = _of(256, 1, 100_000)
    # Requests per second that one address may make for long, and how many at once. 0: no limit, for use behind a
    # proxy that has its own.
    requests_per_second: float = _of(200.0, 0, 1_000_000)
    requests_at_once: int = _of(400, 1, 1_000_000)
    # Bytes of a request's line and headers.
    head_bytes_max: int = _of(16_384, 1_024, 1_000_000)
    # Bytes of a request's body; of all bodies that are in memory at a time, and of those of one address; and
    # statements in one request.
    body_bytes_max: int = _of(8_000_000, 1_000, 1_000_000_000)
    bodies_bytes_max: int = _of(128_000_000, 1_000, 100_000_000_000)
    bodies_bytes_per_address_max: int = _of(32_000_000, 1_000, 100_000_000_000)
    statements_max: int = _of(1_000, 1, 100_000)
    # Seconds: until a whole head has come, until a whole body has, how long a connection may idle between requests,
    # until a client must have taken an answer, and until it must be given one.
    head_seconds: float = _of(10.0, 0.01, 3_600)
    body_seconds: float = _of(30.0, 0.01, 3_600)
    idle_seconds: float = _of(60.0, 0.01, 3_600)
    write_seconds: float = _of(60.0, 0.01, 3_600)
    answer_seconds: float = _of(30.0, 0.01, 3_600)
    # Requests that publish at a time, each in its thread; whoever comes beyond twice as many is told to come back.
    publishing_max: int = _of(64, 1, 1_000)
    # Requests that read at a time, each in its thread.
    reading_max: int = _of(8, 1, 1_000)
    # On SIGTERM: seconds for which the service answers on while it says that it is not ready, so that a proxy
    # notices, and seconds until those who have asked must have their answers.
    leaving_seconds: float = _of(0.0, 0, 3_600)
    stop_seconds: float = _of(30.0, 0, 3_600)
    # Seconds after which a newest checkpoint that lags behind the log makes the service not ready.
    checkpoint_seconds_max: float = _of(60.0, 0.1, 86_400)


@dataclass(frozen=True, slots=True)
class KafkaSection:
    """The conveyor: how its brokers are reached. What its topics are is said in a file of its own."""

    # host:port of some of the brokers; the others are found through them.
    bootstrap: tuple[str, ...] = ("localhost:9092",)
    # Encrypt, and check the broker's certificate and name.
    tls: bool = False
    # Certificates of the authorities trusted for brokers, PEM; empty: those of the system.
    ca_file: str = ""
    # This client's certificate and its key (a secret), PEM, where brokers ask for one.
    certificate_file: str = ""
    key_file: str = ""
    # A file that holds the password of that key, where it has one: a secret.
    key_password_file: str = ""
    # How we say who we are: SCRAM-SHA-512 or SCRAM-SHA-256. Empty: no name and password are sent.
    mechanism: str = _one_of("", "SCRAM-SHA-512", "SCRAM-SHA-256")
    # The user's name for SCRAM, and a file that holds the password on one line: a secret.
    username: str = ""
    password_file: str = ""
    # How long one request may take, milliseconds.
    request_ms: int = _of(30_000, 1_000, 300_000)


@dataclass(frozen=True, slots=True)
class MetricsSection:
    """Where relay, ingest and projectors, which nobody asks for anything else, say how they are."""

    # Where each of them answers /metrics for Prometheus: address and port, [::]:9440 for IPv6; port 0 takes a free
    # one. Plain HTTP, for a network of your own. Empty: nowhere. Two services on one machine need two ports: say each
    # in its environment. Gateways answer it where they listen.
    listen: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that an operator can choose."""

    ledger: LedgerSection = LedgerSection()
    sequencer: SequencerSection = SequencerSection()
    gateway: GatewaySection = GatewaySection()
    kafka: KafkaSection = KafkaSection()
    metrics: MetricsSection = MetricsSection()
    # Where each key that is no default comes from: `section.key` -> the file or the variable.
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)


SECTIONS: Final = {
    "ledger": LedgerSection,
    "sequencer": SequencerSection,
    "gateway": GatewaySection,
    "kafka": KafkaSection,
    "metrics": MetricsSection,
}

SECRETS: Final = (
    ("gateway", "tls_key"),
    ("gateway", "mirrors"),
    ("kafka", "key_file"),
    ("kafka", "key_password_file"),
    ("kafka", "password_file"),
)
"""Keys that name files of secrets."""

_PATHS: Final = (
    ("ledger", "folder"),
    ("ledger", "keys"),
    ("gateway", "tls_certificate"),
    ("kafka", "ca_file"),
    ("kafka", "certificate_file"),
    *SECRETS,
)


def load(file: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """
    Read the configuration: the file, and over it the environment.

    Args:
        file: TOML; None for the defaults alone. Paths in it are relative to its folder.
        environment: ``os.environ`` if not given. Paths in it are relative to the working directory.

    Raises:
        NotFound: there is no such file.
        FormatError: a key that does not exist, or a value that its key does not take; the field names the file or
            the variable, and the key.
        NotPermitted: the file of a secret can be opened by others.
    """
    chosen: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sources: dict[str, str] = {}
    for where, section, key, value in (*_from_file(file), *_from_environment(environment)):
        chosen[section][key] = _checked(where, section, key, value)
        sources[f"{section}.{key}"] = where
    made = Configuration(**{name: kind(**chosen[name]) for name, kind in SECTIONS.items()}, sources=sources)
    _check_together(made)
    return made


def _from_file(file: Path | None) -> Iterator[tuple[str, str, str, Any]]:
    if file is None:
        return
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no configuration {file}", what_now="name it with --config or COMITY_CONFIG") from None
    if len(data) > BYTES_MAX:
        raise FormatError(f"is larger than {BYTES_MAX:,} bytes", field=str(file))
    try:
        read = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"is not TOML: {error}", field=str(file)) from None
    for section, keys in read.items():
        if section not in SECTIONS:
            raise _unknown(str(file), section, SECTIONS)
        if not isinstance(keys, dict):
            raise FormatError("is a section, and holds keys", field=f"{file}: {section}")
        for key, value in keys.items():
            if key not in _fields(section):
                raise _unknown(str(file), f"{section}.{key}", [f"{section}.{one}" for one in _fields(section)])
            beside = (section, key) in _PATHS and isinstance(value, str) and value
            yield str(file), section, key, str(file.absolute().parent / value) if beside else value


def _from_environment(environment: Mapping[str, str] | None) -> Iterator[tuple[str, str, str, Any]]:
    environment = os.environ if environment is None else environment
    variables = {variable(section, key): (section, key) for section in SECTIONS for key in _fields(section)}
    for name, text in sorted(environment.items()):
        if not name.startswith(tuple(f"{PREFIX}{section.upper()}_" for section in SECTIONS)):
            continue
        if name not in variables:
            raise _unknown("the environment", name, variables)
        section, key = variables[name]
        yield name, section, key, _parsed(name, section, key, text)


def variable(section: str, key: str) -> str:
    """Return the variable of the environment that overrides a key."""
    return f"{PREFIX}{section}_{key}".upper()


def _unknown(where: str, name: str, known: Any) -> FormatError:
    close = get_close_matches(name, known, n=1)
    return FormatError(
        "there is no such key" + (f"; did you mean {close[0]}?" if close else ""), field=f"{where}: {name[:80]}"
    )


@cache
def _fields(section: str) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """Return type and bounds of each key of a section."""
    hints = get_type_hints(SECTIONS[section])
    return {one.name: (hints[one.name], one.metadata) for one in dataclasses.fields(SECTIONS[section])}


def _parsed(where: str, section: str, key: str, text: str) -> Any:
    """Return what the text of a variable means for its key."""
    kind = _fields(section)[key][0]
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        if kind in {int, float}:
            return kind(text)
    except (KeyError, ValueError):
        raise FormatError(
            f"is {text[:40]!r}, and should be {_TYPES[kind]}", field=f"{where}: {section}.{key}"
        ) from None
    if typing.get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


_TYPES: Final = {str: "text", Path: "a path", bool: "true or false", int: "a whole number", float: "a number"}


def _checked(where: str, section: str, key: str, value: Any) -> Any:
    """Return a value as its field has it; FormatError where the field does not take it."""
    kind, bounds = _fields(section)[key]
    at = f"{where}: {section}.{key}"
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise FormatError("should be a list of texts", field=at)
        return tuple(value)
    if section == "ledger" and key == "inception" and type(value) is date:
        value = value.isoformat()
    taken = {Path: (str,), float: (int, float)}.get(kind, (kind,))
    # bool is an int in Python, and never meant as one.
    if not isinstance(value, taken) or (isinstance(value, bool) and kind is not bool):
        raise FormatError(f"is {str(value)[:40]!r}, and should be {_TYPES[kind]}", field=at)
    if "least" in bounds and not bounds["least"] <= value <= bounds["greatest"]:
        raise FormatError(f"is {value}, and should be {bounds['least']} to {bounds['greatest']}", field=at)
    if "codes" in bounds and value not in bounds["codes"]:
        raise FormatError(f"is {value[:40]!r}, and should be one of {', '.join(bounds['codes'])}", field=at)
    if (section, key) in SECRETS and value:
        check_secret(Path(value), at)
    return kind(value)


def _check_together(made: Configuration) -> None:
    """Refuse values that contradict each other."""
    for name, certificate, key in (
        ("gateway.tls_certificate", made.gateway.tls_certificate, made.gateway.tls_key),
        ("kafka.certificate_file", made.kafka.certificate_file, made.kafka.key_file),
    ):
        if bool(certificate) != bool(key):
            raise FormatError("and its key belong together; one of them is missing", field=name)
    if made.kafka.mechanism and not (made.kafka.username and made.kafka.password_file):
        raise FormatError("needs username and password_file", field="kafka.mechanism")
    pin = made.ledger.pin
    if pin and (len(pin) != 64 or not all(digit in "0123456789abcdef" for digit in pin)):
        raise FormatError("is not 64 hexadecimal digits in small letters", field="ledger.pin")
    if made.ledger.inception:
        try:
            date.fromisoformat(made.ledger.inception)
        except ValueError:
            raise FormatError("is not a day, such as 2026-11-22", field="ledger.inception") from None
    address(made.gateway.listen)
    if made.metrics.listen:
        address(made.metrics.listen, "metrics.listen")


def address(text: str, field: str = "gateway.listen") -> tuple[str, int]:
    """
    Read where to listen: ``127.0.0.1:8440``, ``[::1]:8440``; *field* is named where it cannot be read.

    Raises:
        FormatError: it is neither.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not host
        or not (port.isascii() and port.isdecimal() and len(port) < 6 and int(port) < 65_536)
        or (":" in host and not bracketed)
    ):
        raise FormatError(f"is {text[:80]!r}, and should be host:port", field=field)
    return host.strip("[]"), int(port)


def check_secret(path: Path, where: str) -> None:
    """
    Refuse the file of a secret that others than its owner, and a group that reads, can open.

    Raises:
        NotFound: there is no such file.
        NotPermitted: others may open it, or its group may write it.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise NotFound(f"there is no {path}", why=f"{where} names it", what_now="correct the path") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP) and stat.S_ISREG(mode):
        raise NotPermitted(
            f"{path} can be opened by others: its mode is {stat.S_IMODE(mode):04o}",
            why=f"{where} names it as a secret",
            what_now=f"chmod 600 {path} (640 where a group must read it), and change the secret if others had access",
        )


# ------------------------------------------------------------------------------------- the manual


@cache
def comments(section: str) -> dict[str, str]:
    """Return the comment above each key of a section; a key without one shares that of the key before."""
    source = textwrap.dedent(inspect.getsource(SECTIONS[section]))
    lines = source.splitlines()
    tree = cast("ast.ClassDef", ast.parse(source).body[0])
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first = node.lineno - 1
            above = first
            while lines[above - 1].lstrip().startswith("#"):
                above -= 1
            found[node.target.id] = " ".join(line.strip().removeprefix("#").strip() for line in lines[above:first])
    return found


def manual() -> str:
    """Return the manual: a configuration of defaults, each key under its comment."""
    parts = []
    for section, kind in SECTIONS.items():
        lines = [*_wrapped(inspect.getdoc(kind) or ""), f"[{section}]"]
        for key, said in comments(section).items():
            if said:
                lines += ["", *_wrapped(said)]
            lines.append(f"{key} = {_toml(next(one.default for one in dataclasses.fields(kind) if one.name == key))}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def shown(made: Configuration) -> str:
    """Return the configuration that holds, as TOML; behind each key that is no default, where it comes from."""
    parts = []
    for section in SECTIONS:
        values = getattr(made, section)
        lines = [f"[{section}]"]
        for one in dataclasses.fields(values):
            where = made.sources.get(f"{section}.{one.name}")
            said = f"{one.name} = {_toml(getattr(values, one.name))}"
            lines.append(said + (f"  # {where}" if where else ""))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " and one != "\x7f" else f"\\u{ord(one):04x}" for one in escaped) + '"'
