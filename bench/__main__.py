"""``python -m bench [NAME ...] [--quick]``: measure, print the table, write ``bench/last.json``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import BENCHMARKS
from bench.measure import QUICK, Sizes, machine, save, say, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed and memory, as ratios to their limits.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it works, not how fast")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    sizes = QUICK if given.quick else Sizes()
    figures = []
    for name in given.names or BENCHMARKS:
        say(f"{name} ...")
        figures += BENCHMARKS[name](sizes)
    print(table(figures))
    print("\n" + ", ".join(f"{key} {value}" for key, value in machine().items()))
    save(figures, Path(__file__).with_name("last.json"))
    return 0


# The processes that rebuild projections are spawned, and read this module once more.
if __name__ == "__main__":
    sys.exit(main())
