"""
What the gateway offers, and who may ask.

==================================== =========================================== ==========================
path                                 what                                        who
==================================== =========================================== ==========================
``/``                                origin, keys, pin: what a verifier begins with everybody
``/checkpoint``                      the newest signed checkpoint (tlog-tiles)   everybody
``/checkpoints/SIZE``                the checkpoint over exactly SIZE entries    everybody
``/tile/L/N[.p/W]``                  a tile of hashes (tlog-tiles)               everybody
``/tile/entries/N[.p/W]``            a bundle of entries (tlog-tiles)            full mirrors, by token
``POST /statements``                 one signed statement, or many               whoever signed them
``/subjects``, ``/schemas``, ...     ``ledger.gateway.registry``                 everybody
``/livez``, ``/readyz``, ``/metrics``                                            whoever runs it
==================================== =========================================== ==========================

Hashes tell nothing of what they cover: an entry holds a signature that nobody can guess. The entries
themselves belong to those whom their visibility names; until policies decide that for each, a bundle
goes to full mirrors alone, which all participating States have mandated.

A statement needs no login. Its signature says whose it is, and the log looks at that.
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog

from ledger import resources
from ledger.errors import ComityError, Conflict, Denied, FormatError, NotFound, NotPermitted, Unavailable
from ledger.gateway.http import BYTES, TEXT, Request, Response, Route, not_taken, problem
from ledger.gateway.metrics import MEDIA_TYPE as METRICS
from ledger.gateway.metrics import Metrics
from ledger.gateway.registry import Registry
from ledger.instants import rfc3339
from ledger.log.checkpoint import size_of
from ledger.log.tiles import WIDTH, Tile, entry_bundle, parse_path, tile, width_at
from ledger.sequencer import Receipt
from ledger.statement import Batch, Signed
from ledger.store import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ledger.ledger import Ledger
    from ledger.sequencer import Answer

SIMULATION: Final = "/simulation"

STATUS: Final = {
    "malformed": 400,
    "too_large": 413,
    "unauthenticated": 403,
    "wrong_ledger": 422,
    "draft_act": 422,
    "out_of_order": 409,
    "id_reused": 409,
    "sequence_reused": 409,
    "unavailable": 503,
}
"""The HTTP status of a refusal, by its code; else 422. What the log recorded, accepted or rejected, is 200."""

FOREVER: Final = "public, max-age=31536000, immutable"
MOMENT: Final = "public, max-age=1"

READY_SECONDS: Final = 0.5
"""For how long an answer about readiness holds: strangers may ask, and the store is asked for them."""

INDEX_SECONDS: Final = 1.0
"""For how long a description of the log holds."""

_TOKEN_LINE: Final = re.compile(r"([A-Za-z0-9._-]{1,64})\s+([0-9a-f]{64})")
_BASE64_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Offer:
    """What this gateway offers beyond what every one does; see the section ``[gateway]``."""

    publish: bool = True
    entries: str = "mirrors"
    mirrors: Mapping[str, str] | None = None
    statements_max: int = 1_000
    checkpoint_seconds_max: float = 60.0


def read_mirrors(path: Path) -> dict[str, str]:
    """
    Read the tokens of mirrors: name by SHA-256 of the token, in hexadecimal.

    Raises:
        FormatError: a line that is neither empty, nor a comment, nor a name and a hash.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        read = _TOKEN_LINE.fullmatch(said)
        if read is None:
            raise FormatError(
                "should be a name and the SHA-256 of a token, in 64 digits", field=f"{path}: line {number}"
            )
        found[read[2]] = read[1]
    return found


class Front:
    """One ledger, offered."""

    def __init__(self, ledger: Ledger, offer: Offer, *, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Offer *ledger*; *clock* gives seconds.

        Raises:
            NotPermitted: entries would be shown to everybody, and the log is no simulation.
        """
        if offer.entries == "everybody" and not ledger.origin.endswith(SIMULATION):
            raise NotPermitted(
                "entries would be shown to everybody",
                why="gateway.entries says so, and this log is no simulation: its entries are about real proceedings",
                what_now='say "mirrors" or "nobody"',
            )
        self._ledger = ledger
        self._offer = offer
        self._clock = clock
        self._registry = Registry(resources.path("schemas"))
        self._leaving = False
        self._behind_since: float | None = None
        self._readiness: tuple[float, list[str]] | None = None
        self._said: tuple[float, Response] | None = None
        self._publishes = offer.publish and not ledger.store.read_only
        self.metrics = Metrics(
            size=lambda: self._number(ledger.store.size),
            sealed=lambda: self._number(self._sealed),
            ready=lambda: float(not self.reasons()),
        )

    # --- what the server asks ---

    def route(self, method: str, path: str) -> Route:
        """Return who answers; see the table of the module."""
        if path == "/statements":
            if method != "POST":
                return Route("publish", lambda _: not_taken(method, "POST"))
            return Route("publish", self._publish, publishes=True, takes_body=True)
        found = self._registry.route(method, path)
        if found is not None:
            return found
        name, answer = self._read(path)
        if answer is None:
            return Route("none", lambda _: problem(404, "there is nothing here", now="GET / says what there is"))
        if method != "GET":
            return Route(name, lambda _: not_taken(method, "GET, HEAD"))
        return Route(name, answer)

    def _read(self, path: str) -> tuple[str, Callable[[Request], Response] | None]:
        match path:
            case "/":
                return "index", self._index
            case "/checkpoint":
                return "checkpoint", self._newest
            case "/livez":
                return "live", lambda _: Response(200, b"live\n", TEXT)
            case "/readyz":
                return "ready", self._ready
            case "/metrics":
                return "metrics", lambda _: Response(200, self.metrics.text(), METRICS)
        if path.startswith("/checkpoints/"):
            return "checkpoint of a size", lambda _: self._at(path.removeprefix("/checkpoints/"))
        if path.startswith("/tile/entries/"):
            return "entries", lambda request: self._entries(path[1:], request)
        if path.startswith("/tile/"):
            return "tile", lambda _: self._tile(path[1:])
        return "none", None

    def failed(self, error: Exception) -> Response:
        """Return the answer to a request whose handler raised this."""
        if isinstance(error, FormatError):
            return problem(400, "the request cannot be read", f"{error.field}: {error.what}".lstrip(": "), "correct it")
        if isinstance(error, ComityError):
            status = next((code for kind, code in _KINDS if isinstance(error, kind)), 500)
            again = {"Retry_After": "1"} if status == 503 else {}
            return problem(status, error.what, error.why, error.what_now, **again)
        # What went wrong inside is for the operator's eyes, and may be for nobody else's.
        _LOG.error("unexpected", exc_info=error)
        return problem(503, "not now", "something went wrong here", "try again: repeating is harmless", Retry_After="1")

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer."""
        known = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE"} else "other"
        self.metrics.requests.labels(route, known, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)

    def connected(self, number: int) -> None:
        """Show how many connections are open."""
        self.metrics.connections.set(number)

    def leave(self) -> None:
        """Say from now on that the service is not ready."""
        self._leaving = True

    # --- health ---

    def reasons(self) -> list[str]:
        """Return why the service is not ready; empty when it is."""
        if self._leaving:
            return ["it is stopping"]
        now = self._clock()
        if self._readiness is None or now - self._readiness[0] >= READY_SECONDS:
            self._readiness = now, self._look(now)
        return self._readiness[1]

    def _look(self, now: float) -> list[str]:
        store = self._ledger.store
        try:
            size, sealed = store.size(), int(self._sealed())
            standing = fence.standing(store.address) if self._publishes else None
        except Exception as error:  # noqa: BLE001 -- whatever keeps the store from answering, it does not answer
            return [f"the store does not answer ({type(error).__name__})"]
        found = []
        if standing is not None:
            found.append("the log has left this store, or has not wholly arrived")
        if sealed >= size:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        elif now - self._behind_since > self._offer.checkpoint_seconds_max:
            found.append(f"no checkpoint covers the entries from {sealed} on")
        if self._publishes:
            try:
                self._ledger.check_keys()
            except ComityError as error:
                found.append(f"{error.what}: {error.why}")
        if self._offer.publish and store.read_only:
            found.append("statements cannot be taken: the log's keys are not here")
        return found

    def _ready(self, _: Request) -> Response:
        reasons = self.reasons()
        return Response.json(
            {"ready": not reasons, "reasons": reasons}, 503 if reasons else 200, Cache_Control="no-store"
        )

    def _number(self, asked: Callable[[], float]) -> float:
        try:
            return float(asked())
        except Exception:  # noqa: BLE001 -- a gauge that cannot be read has no number; readiness says why
            return float("nan")

    # --- the log ---

    def _sealed(self) -> int:
        return size_of(self._ledger.store.checkpoint() or b"")

    def _index(self, _: Request) -> Response:
        # Keys are folded from the roster: work that no stranger may ask for as often as he likes.
        now = self._clock()
        if self._said is None or now - self._said[0] >= INDEX_SECONDS:
            self._said = now, self._described()
        return self._said[1]

    def _described(self) -> Response:
        ledger = self._ledger
        return Response.json(
            {
                "origin": ledger.origin,
                "pin": ledger.pin().hex(),
                "vkeys": ledger.vkeys(),
                "size": self._sealed(),
                "publish": self._publishes,
                "see": ["/checkpoint", "/checkpoints/SIZE", "/tile/L/N", "/statements", "/subjects", "/schemas/ids/ID"],
            },
            Cache_Control=MOMENT,
        )

    def _newest(self, _: Request) -> Response:
        return Response(200, self._ledger.checkpoint(), TEXT, (("Cache-Control", "no-cache"),))

    def _at(self, text: str) -> Response:
        if not re.fullmatch(r"[1-9][0-9]{0,15}", text, re.ASCII):
            raise FormatError("is no size in decimal", field="checkpoints")
        size = int(text)
        note = self._ledger.store.checkpoint(size)
        if note is None or size_of(note) != size:
            after = "" if note is None else f"; the next is over {size_of(note)}"
            raise NotFound(f"no checkpoint covers exactly {size} entries{after}")
        return Response(200, note, TEXT, (("Cache-Control", FOREVER),))

    def _tile(self, path: str) -> Response:
        wanted = self._existing(path)
        assert wanted.level is not None
        data = tile(wanted.level, wanted.n, wanted.width, self._ledger.store.hashes)
        return Response(200, data, BYTES, (("Cache-Control", FOREVER),))

    def _entries(self, path: str, request: Request) -> Response:
        wanted = self._existing(path)
        if self._offer.entries != "everybody":
            self._check_mirror(request)
        data = entry_bundle(wanted.n, wanted.width, self._ledger.store.entries)
        return Response(200, data, BYTES, (("Cache-Control", "private, no-store"),))

    def _existing(self, path: str) -> Tile:
        """Return the tile of a path, if the newest checkpoint covers it."""
        try:
            wanted = parse_path(path)
        except FormatError as error:
            raise NotFound(f"this is no tile: {error.what}") from None
        held = width_at(wanted.level or 0, wanted.n, self._sealed())
        if wanted.width > held:
            raise NotFound("there is no such tile yet", why=f"it is {held} of {WIDTH} wide under the newest checkpoint")
        return wanted

    def _check_mirror(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        digest = sha256(token.strip().encode()).hexdigest()
        known = (self._offer.mirrors or {}) if self._offer.entries == "mirrors" else {}
        # Every one is compared, so that the time tells nothing.
        matched = [name for kept, name in known.items() if compare_digest(kept, digest)]
        if kind.lower() != "bearer" or not matched:
            raise Denied(
                "entries are not public",
                why="they belong to those whom their visibility names; whole bundles go to mandated mirrors",
                what_now="ask with the token of a mirror; hashes, proofs and checkpoints are public",
            )

    # --- publishing ---

    def _publish(self, request: Request) -> Response:
        if not self._publishes:
            raise NotPermitted("this gateway takes no statements", what_now="publish where the log's keys are")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return problem(415, "the media type is not taken", media_type[:80], "send application/json")
        if self._leaving:
            raise Unavailable("the service is stopping", what_now="submit again elsewhere: repeating is harmless")
        many, statements = _signed(request.body, self._offer.statements_max)
        ledger = self._ledger
        if not many:
            answer = ledger.submit(statements[0])
            self._count(answer)
            status = 200 if isinstance(answer, Receipt) else STATUS.get(answer.code, 422)
            return Response.json(told(answer), status, Cache_Control="no-store")
        answers = []
        # One transaction may take them all; whoever sends many has checked his signatures by then.
        for answer in ledger.submit_many(statements, workers=0):
            self._count(answer)
            answers.append(told(answer))
        return Response.json({"answers": answers}, 200, Cache_Control="no-store")

    def _count(self, answer: Answer) -> None:
        said = ("accepted" if answer.accepted else "rejected") if isinstance(answer, Receipt) else answer.code
        self.metrics.statements.labels(said).inc()


_LOG: Final = structlog.get_logger("comity.gateway")

_KINDS: Final = ((NotPermitted, 403), (NotFound, 404), (Denied, 403), (Conflict, 409), (Unavailable, 503))


def told(answer: Answer) -> dict[str, Any]:
    """
    Return an answer as JSON has it.

    Recorded: ``{index, statement, disposition: accepted|rejected, reason, recorded_at, entry, proof}``, the last
    two the leaf in base64 and its tlog-proof. Else ``{disposition: refused, reason, field, what, expected, note}``,
    the last signed by the log.
    """
    if isinstance(answer, Receipt):
        return {
            "index": answer.index,
            "statement": str(UUID(bytes=answer.statement_id)),
            "disposition": "accepted" if answer.accepted else "rejected",
            "reason": answer.reason,
            "recorded_at": rfc3339(answer.recorded_at),
            "entry": b64encode(answer.entry).decode(),
            "proof": answer.proof.decode(),
        }
    return {
        "disposition": "refused",
        "reason": answer.code,
        "field": answer.field,
        "what": answer.what,
        "expected": answer.expected,
        "note": answer.note.decode(),
    }


def _signed(body: bytes, most: int) -> tuple[bool, list[Signed]]:
    """Return whether a body is a list, and its statements; FormatError names what is wrong, and where."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise FormatError("is not JSON", field="body") from None
    if not isinstance(read, dict):
        raise FormatError("is not an object", field="body")
    if set(read) == {"statements"}:
        rows = read["statements"]
        if not isinstance(rows, list) or not 1 <= len(rows) <= most:
            raise FormatError(f"is not a list of 1 to {most:,}", field="statements")
        return True, [_one(row, f"statements[{place}].") for place, row in enumerate(rows)]
    return False, [_one(read, "")]


def _one(row: Any, at: str) -> Signed:
    if not isinstance(row, dict):
        raise FormatError("is not an object", field=at.rstrip(".") or "body")
    unknown = set(row) - {"statement", "signature", "batch"}
    if unknown:
        raise FormatError("is unknown", field=f"{at}{min(unknown)[:40]}")
    batch = row.get("batch")
    place: Batch | None = None
    if batch is not None:
        if not isinstance(batch, dict) or set(batch) != {"size", "index", "path"}:
            raise FormatError("is not null, nor an object of size, index and path", field=f"{at}batch")
        size, index, path = batch["size"], batch["index"], batch["path"]
        if not all(type(one) is int and 0 <= one < 2**31 for one in (size, index)):
            raise FormatError("size and index are not whole numbers", field=f"{at}batch")
        if not isinstance(path, list) or len(path) > 63:
            raise FormatError("is not a list of at most 63 hashes", field=f"{at}batch.path")
        hashes = tuple(_base64(one, f"{at}batch.path") for one in path)
        if any(len(one) != 32 for one in hashes):
            raise FormatError("holds something that is not 32 bytes long", field=f"{at}batch.path")
        place = Batch(size, index, hashes)
    return Signed(
        _base64(row.get("statement"), f"{at}statement"), _base64(row.get("signature"), f"{at}signature"), place
    )


def _base64(text: Any, field: str) -> bytes:
    if not isinstance(text, str) or len(text) > _BASE64_MAX:
        raise FormatError("is not text in base64", field=field)
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise FormatError("is not base64 as RFC 4648 section 4 has it", field=field) from None
