"""
Opening the ledger that a configuration names; founding one, where that is what was meant.

A store that is empty looks the same whether a log is to begin there or has been lost: a mistyped address, a
search path that leads elsewhere, a volume that was not mounted. Whoever founds a second log over a lost one
gives every index a second time. So an empty store is a beginning only where nothing says otherwise.
"""

from __future__ import annotations

from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.acts import catalogue
from ledger.configuration import check_secret
from ledger.errors import Conflict, NotFound, NotPermitted
from ledger.keys import LogKeys
from ledger.ledger import Ledger, system_clock
from ledger.reading import recorded
from ledger.sequencer import Limits
from ledger.store import POSTGRES, STORE_FILE, address_in, check_address, fence, open_store
from ledger.verify import leaf_hash, parse_checkpoint, parse_note

if TYPE_CHECKING:
    from ledger.configuration import Configuration, LedgerSection
    from ledger.store import Store

_RESTORE: Final = "see that the store is the right one; if it was lost, `comity restore`; never found this log again"


def open_configured(configuration: Configuration, *, read_only: bool = False) -> Ledger:
    """
    Open the ledger of a configuration, with everything that it promises about it checked first.

    Args:
        configuration: names folder, store, origin, pin and keys.
        read_only: open for reading, though the keys are there.

    Raises:
        NotFound: there is no ledger, and nothing says that there was one.
        Conflict: the store is empty or behind though a checkpoint or the pin says otherwise; it holds another
            log; or the log has left it.
        NotPermitted: the log's keys can be opened by others.
    """
    chosen = configuration.ledger
    address = _address(chosen)
    # For reading first: opening for writing would make the tables of a database that was meant to have them.
    with closing(_begun(chosen, address)) as store:
        entry = store.entry(0)
        standing = fence.standing(address)
    founded = recorded(0, entry, catalogue()).body
    assert founded is not None
    origin: str = founded["origin"]
    if chosen.origin and origin != chosen.origin:
        raise Conflict(
            f"the store holds the log {origin}", why=f"the configuration says {chosen.origin}", what_now=_RESTORE
        )
    if chosen.pin and leaf_hash(entry).hex() != chosen.pin:
        raise Conflict(
            "the store holds another log than the one pinned",
            why=f"its entry 0 has the hash {leaf_hash(entry).hex()}",
            what_now=_RESTORE,
        )
    keys = Path(chosen.keys) if chosen.keys else chosen.folder
    read_only = read_only or not (keys / "log.key").exists()
    if standing is not None and not read_only:
        kind, where = standing
        raise Conflict(
            "the log has left this store" if kind == "left" else "the log has not wholly arrived in this store",
            why=f"a fence stands on it{f': it moved to {where}' if where else ''}",
            what_now="name the new store in every folder and configuration, or finish `comity migrate`",
        )
    log_keys = None
    if not read_only:
        for name in ("log.key", "log.mldsa.key"):
            check_secret(keys / name, "the log's keys")
        log_keys = LogKeys.load(keys)
    limits = configuration.sequencer
    return Ledger(
        chosen.folder,
        open_store(address, read_only=read_only),
        origin=origin,
        log_keys=log_keys,
        clock=system_clock,
        limits=Limits(limits.early_ms_max, limits.group_size_max, limits.waiting_max, limits.cache_size_max),
    )


def check_inception(chosen: LedgerSection, *, asked: bool, store: str = "", today: date | None = None) -> None:
    """
    Check that a log may be founded: that nothing says it has begun, and that it was asked for where it must be.

    Args:
        chosen: the section of the configuration, or its defaults where there is none.
        asked: whether ``--inception`` was given.
        store: the address of a shared store, if it is to be one.
        today: in UTC; of the system if not given.

    Raises:
        Conflict: a checkpoint or a pin says that the log exists.
        NotPermitted: it was not asked for, or this is not the day.
    """
    checkpoint = chosen.folder / "checkpoint"
    if checkpoint.exists() or chosen.pin:
        raise Conflict(
            "this log has begun already",
            why=f"{checkpoint} exists" if checkpoint.exists() else "the configuration pins its entry 0",
            what_now="restore it; or name another folder, and another configuration, for another log",
        )
    if store and not asked:
        raise NotPermitted(
            "a log is founded in a shared database only on request",
            why="an address that leads to the wrong database or schema looks like a new one",
            what_now="see that it is the right one, then give --inception",
        )
    if not chosen.origin and not chosen.inception:
        return
    day = (today or datetime.now(UTC).date()).isoformat()
    if not asked or chosen.inception != day:
        raise NotPermitted(
            f"this log may not be founded today ({day}, UTC)",
            why=f'the configuration says ledger.inception = "{chosen.inception}"',
            what_now="if it is new indeed, set ledger.inception to this day, and give --inception; else restore it",
        )


def _address(chosen: LedgerSection) -> str:
    found = address_in(chosen.folder)
    if not chosen.store:
        if found is None:
            raise NotFound(
                f"there is no ledger in {chosen.folder}",
                why=_traces(chosen),
                what_now=_RESTORE if _traces(chosen) else "name its folder, or found one with `comity init`",
            )
        return found
    check_address(chosen.store)
    if found is not None and found != chosen.store:
        raise Conflict(
            f"the log is kept in two places: {found} by the folder, {chosen.store} by the configuration",
            why=f"the folder's file {STORE_FILE} or ledger.db says one thing, ledger.store another",
            what_now="correct whichever is old; to move the log, `comity migrate`",
        )
    return chosen.store


def _begun(chosen: LedgerSection, address: str) -> Store:
    """Open the store for reading; Conflict where it lacks what was published, NotFound where nothing was."""
    store: Store | None = None
    with suppress(NotFound):
        store = open_store(address, read_only=True)
    size = 0 if store is None else store.size()
    if store is not None and size:
        return store
    if store is not None:
        store.close()
    traces = _traces(chosen)
    if traces:
        raise Conflict("the store is empty, yet this log has begun", why=traces, what_now=_RESTORE)
    what = "there is no ledger in this database" if address.startswith(POSTGRES) else "the ledger was never founded"
    raise NotFound(what, what_now="found it: `comity init`")


def _traces(chosen: LedgerSection) -> str:
    """Say what shows that the log has begun; empty when nothing does."""
    path = chosen.folder / "checkpoint"
    if path.exists() and (note := path.read_bytes()):
        return f"{path} was published over {parse_checkpoint(parse_note(note).text).size} entries"
    return "the configuration pins its entry 0" if chosen.pin else ""
