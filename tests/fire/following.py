"""A projector of one machine: follows the log, and fills the projections of its folder."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from ledger.acts import catalogue
from ledger.errors import Unavailable
from ledger.store import address_in, open_store
from projections.runner import Runner

if TYPE_CHECKING:
    from pathlib import Path


def follow(folder: Path) -> None:
    """Follow the log of *folder* until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    address = address_in(folder)
    assert address is not None
    while not stop.is_set():
        try:
            with (
                closing(open_store(address, read_only=True)) as store,
                Runner(store, catalogue(), folder / "projections.db") as runner,
            ):
                while not stop.is_set():
                    store.wait(runner.catch_up(), 0.5)
        except Unavailable as error:
            print(error, flush=True)  # noqa: T201 -- what it says is kept by whoever started it
            stop.wait(0.2)
