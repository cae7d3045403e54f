"""
Stands between clients and a server on this machine, and does to their bytes what networks do.

============ =============================================================================
mode         what becomes of the bytes
============ =============================================================================
``open``     they pass
``slow``     each piece is held for a moment, in both directions
``dropped``  connections stay open, nothing passes, nobody is told
``deaf``     half open: what clients send arrives, what is answered does not
``closed``   connections are reset, and new ones too
============ =============================================================================

``cut`` resets the connections that there are, once. What was held back while ``dropped`` or ``deaf`` is never
passed on later: those connections are reset when the mode ends, as a network's state tables do it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODES: Final = ("open", "slow", "dropped", "deaf", "closed")
SLOW_SECONDS: Final = 0.15
PIECE: Final = 1 << 16


class Proxy:
    """
    One listening socket, and where it leads.

    Args:
        server: address and port, or the path of a Unix socket.
        at: where to listen: a port of 127.0.0.1 (0 for a free one), or the path of a Unix socket.
    """

    def __init__(self, server: tuple[str, int] | Path, at: int | Path = 0) -> None:
        """Listen."""
        self._to = server
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._mode = "open"
        # Bytes of the server's answers that are replaced by others of the same length: where it says it is.
        self.renamed: Mapping[bytes, bytes] = {}
        self._loop = asyncio.new_event_loop()
        if isinstance(at, int):
            self._listening = socket.create_server(("127.0.0.1", at), backlog=128)
            self.port: int = self._listening.getsockname()[1]
        else:
            self.port = 0
            at.unlink(missing_ok=True)
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(str(at))
            at.chmod(0o777)
            self._listening.listen(128)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        starting = (
            asyncio.start_server(self._serve, sock=self._listening)
            if self._listening.family == socket.AF_INET
            else asyncio.start_unix_server(self._serve, sock=self._listening)
        )
        server = self._loop.run_until_complete(starting)
        self._loop.run_forever()
        server.close()
        self._reset()
        serving = asyncio.all_tasks(self._loop)
        for one in serving:
            one.cancel()
        self._loop.run_until_complete(asyncio.gather(*serving, return_exceptions=True))
        self._loop.close()

    def set(self, mode: str) -> None:
        """Change the mode for all connections, those there are and those to come."""
        assert mode in MODES
        ends = self._mode in {"dropped", "deaf"} or mode == "closed"
        self._mode = mode
        if ends:
            self.cut()

    def cut(self) -> None:
        """Reset every connection there is."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for pair in list(self._pairs):
            for one in pair:
                _abort(one)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "closed":
            _abort(writer)
            return
        try:
            if isinstance(self._to, tuple):
                theirs, to_server = await asyncio.open_connection(*self._to)
            else:
                theirs, to_server = await asyncio.open_unix_connection(str(self._to))
        except (OSError, asyncio.CancelledError):
            _abort(writer)
            return
        pair = (writer, to_server)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, to_server, asks=True), self._pass(theirs, writer, asks=False))
        except (OSError, asyncio.CancelledError):
            pass  # either way both are reset
        finally:
            self._pairs.discard(pair)
            for one in pair:
                _abort(one)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        while piece := await reader.read(PIECE):
            if self._mode == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            if self._mode == "dropped" or (self._mode == "deaf" and not asks):
                continue
            if not asks:
                for old, new in self.renamed.items():
                    piece = piece.replace(old, new)
            writer.write(piece)
            await writer.drain()
        # Whoever ends one direction has ended the conversation: none of ours speaks on after that.
        raise ConnectionResetError

    def close(self) -> None:
        """Listen no more, and reset what there is."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, where the kind of socket has one."""
    with suppress(OSError, ValueError):
        one = writer.get_extra_info("socket")
        if one is not None and one.family == socket.AF_INET:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def named_at(host: str, port: int) -> bytes:
    """How Kafka writes an address into its answers: the host, then the port in four bytes."""
    return host.encode() + struct.pack(">i", port)
