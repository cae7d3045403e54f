"""
The program of a process that checks parts of a log: ``python -m ledger.checking FILE``.

Started by ``ledger.log.fsck``; each line of the input says what to check and the range
(``entries 0 4096``), each line of the output is what was found, as JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing

from ledger.acts import catalogue
from ledger.log.fsck import Part
from ledger.store import open_store


def main(address: str) -> None:
    """Check one range after the other until the input ends."""
    with closing(open_store(address, read_only=True)) as store:
        part = Part(store, catalogue())
        for line in sys.stdin:
            what, start, stop = line.split()
            print(json.dumps(part.check(what, int(start), int(stop))), flush=True)  # noqa: T201 -- its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
