"""``python -m tests.fire``: a run under mixed faults, with its figures; the exit status is 1 where a promise broke."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fire.running import Size, run

LONG_SECONDS = 120.0


def main() -> int:
    """Run as asked, and print the figures."""
    asked = argparse.ArgumentParser(prog="python -m tests.fire", description=__doc__)
    asked.add_argument("--seed", type=int, default=None, help="of the faults; drawn and printed if not given")
    asked.add_argument("--seconds", type=float, default=60.0, help="under fire; some more are needed to settle")
    asked.add_argument("--broker", choices=["small", "apache"], default="small", help="which Kafka")
    asked.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="of Apache Kafka")
    asked.add_argument("--keep", type=Path, default=None, help="a new folder for the history, kept in any case")
    chosen = asked.parse_args()
    if chosen.nodes > 1 and chosen.broker != "apache":
        asked.error(f"--nodes {chosen.nodes} needs --broker apache: the small broker has one node")
    if chosen.keep is not None and chosen.keep.exists() and any(chosen.keep.iterdir()):
        asked.error(f"{chosen.keep} is not empty: a history would go on with another run's; name a new folder")
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="comity-fire-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the server, which may be somebody else, reaches its socket through it
    print(f"seed {seed}, {chosen.seconds:g} seconds; the history is {folder / 'history.jsonl'}", flush=True)
    nodes = chosen.nodes if chosen.broker == "apache" else 0
    # What is said has to be checked: in a long run it is said more slowly.
    size = Size(chosen.seconds, apache=nodes, per_second=20.0 if chosen.seconds < LONG_SECONDS else 8.0)
    try:
        result = run(folder, seed, size)
    except BaseException:
        print(f"the run with seed {seed} came to no end; what there is, is kept in {folder}", file=sys.stderr)
        raise
    print(result.figures())
    if result.wrong:
        print(f"\nseed {seed}: promises were broken; the history is kept in {folder}")
        for one in result.wrong:
            print(f"- {one}")
        return 1
    if chosen.keep is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
