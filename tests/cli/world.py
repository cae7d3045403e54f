"""Commands run in this process, on ledgers founded by the commands themselves."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.cli import run

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "test.example/2026"


@dataclass(frozen=True)
class Result:
    """What a command left behind: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def trouble(self) -> Any:
        """The error, as JSON on standard error."""
        return json.loads(self.err.splitlines()[-1])


def comity(*arguments: object, stdin: bytes | str = b"") -> Result:
    """Run one command as if typed; nothing it prints reaches the terminal."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(given)), out, err
    try:
        status = run([str(argument) for argument in arguments])
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
    said = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        said.append(stream.buffer.getvalue().decode())
    return Result(status, *said)


@dataclass(frozen=True)
class World:
    """A ledger with two States, a prosecutor and a court of each, and what the tests say on it."""

    folder: Path
    ids: dict[str, str]

    def key(self, name: str) -> Path:
        """The key file of a root (germany, france) or an authority (berlin, lille)."""
        return self.folder / "keys" / f"{name}.pem"

    def run(self, *arguments: object, stdin: bytes | str = b"") -> Result:
        """Run a command on this ledger."""
        return comity(*arguments, "--ledger", self.folder, stdin=stdin)

    def publish(self, *drafts: dict[str, Any], key: str = "berlin", more: tuple[str, ...] = ()) -> Result:
        """Publish drafts from standard input as NDJSON, answered in JSON."""
        said = "\n".join(json.dumps(draft) for draft in drafts)
        return self.run("publish", "-", "--key", self.key(key), "--json", *more, stdin=said)

    def size(self) -> int:
        """How many entries the log holds."""
        return len(self.run("tail", "--from", 0, "--json").lines)


def opened(case: str, **changes: Any) -> dict[str, Any]:
    """A draft that opens a case."""
    return {
        "act": "case.opened",
        "case": case,
        "subject": case,
        "occurred_from": "2020-06-02T10:00:00Z",
        "zone": "Europe/Berlin",
        "language": "de",
        "body": {
            "procedure": "criminal",
            "stage": "investigation",
            "offences": [],
            "sensitivity": "ordinary",
        },
    } | changes


def issued(case: str, request: str, requested: str, **changes: Any) -> dict[str, Any]:
    """A draft that issues a request to the French prosecutor."""
    return {
        "act": "request.issued",
        "case": case,
        "subject": request,
        "occurred_from": "2020-06-02",
        "zone": "Europe/Berlin",
        "language": "de",
        "addressees": [requested],
        "body": {
            "instrument": "eu-eio-2014-41",
            "form": "gather",
            "measures": [],
            "requested": requested,
            "requested_country": "FR",
            "persons": [],
            "unknown_persons": True,
            "urgency": "ordinary",
            "necessity": None,
            "domestic_authorisation": None,
        },
    } | changes


def good(result: Result) -> Result:
    """The result of a command that must not fail."""
    assert 0 == result.status, result.err

    return result
