"""A gateway as a process: open, listen, and on SIGTERM or SIGINT leave in order."""

from __future__ import annotations

import asyncio
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ledger.configuration import address
from ledger.errors import FormatError, Unavailable
from ledger.gateway.front import Front, Offer, read_mirrors
from ledger.gateway.http import Bounds, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.configuration import GatewaySection
    from ledger.ledger import Ledger


def run(ledger: Ledger, section: GatewaySection, *, listening: Callable[[str], None] = lambda _: None) -> bool:
    """
    Serve *ledger* until the process is told to stop; return whether everybody had his answer.

    The order of leaving: say that it is not ready; answer on for ``leaving_seconds``; take no more; let those
    who asked have their answers for ``stop_seconds``.

    Args:
        ledger: stays open; the caller closes it.
        section: of the configuration.
        listening: is told the address once the service answers there.

    Raises:
        Unavailable: the address is taken.
        FormatError: the certificate or its key cannot be used.
    """
    return asyncio.run(_run(ledger, section, listening))


async def _run(ledger: Ledger, section: GatewaySection, listening: Callable[[str], None]) -> bool:
    mirrors = read_mirrors(Path(section.mirrors)) if section.mirrors else {}
    service = Front(
        ledger,
        Offer(section.publish, section.entries, mirrors, section.statements_max, section.checkpoint_seconds_max),
    )
    server = Server(service, bounds_of(section))
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told.set)
    listening(await listen(server, section.listen, _tls(section)))
    await told.wait()
    service.leave()
    _LOG.info("leaving")
    await asyncio.sleep(section.leaving_seconds)
    answered = await server.stop(section.stop_seconds)
    _LOG.info("stopped", all_answered=answered)
    return answered


async def listen(server: Server, where: str, secured: ssl.SSLContext | None = None) -> str:
    """
    Let a server listen at ``host:port``; return its URL.

    Raises:
        Unavailable: the address is taken, or is not this machine's.
    """
    host, port = address(where)
    try:
        port = await server.listen(host, port, secured)
    except OSError as error:
        raise Unavailable(
            f"nobody can listen at {where}", why=str(error.strerror or error), what_now="name another address"
        ) from error
    _LOG.info("listening", port=port)
    shown = f"[{host}]" if ":" in host else host
    return f"http{'' if secured is None else 's'}://{shown}:{port}"


def bounds_of(section: GatewaySection) -> Bounds:
    """Return what the section says of strangers."""
    return Bounds(**{name: getattr(section, name) for name in Bounds.__slots__})


def _tls(section: GatewaySection) -> ssl.SSLContext | None:
    if not section.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(section.tls_certificate, section.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise FormatError(f"cannot be used with its key: {error}", field="gateway.tls_certificate") from None
    return context


_LOG: Final = structlog.get_logger("comity.gateway")
