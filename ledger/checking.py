"""
The program of a process that checks a part of a log: ``python -m ledger.checking``.

Started by ``ledger.log.fsck`` with what to check, the file of the store, and the range; prints what it
found as JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from ledger.acts import catalogue
from ledger.log.fsck import check_part
from ledger.store.sqlite import SQLiteStore


def main(what: str, path: str, start: str, stop: str) -> None:
    """Check one range and print the result."""
    with closing(SQLiteStore.open_reader(Path(path))) as store:
        json.dump(check_part(store, catalogue(), what, int(start), int(stop)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
