"""
Write the roots and the transcript of the scenarios anew: ``python tests/golden/write.py``.

For whoever has changed a scenario, a schema or the words of an answer. What ``git diff`` then shows
is to be read before it is committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE.parent)]

HEAD = """\
# Roots of the trees that the scenarios play into: one line per play, name and root.
# A root changes with a scenario, a schema, the encoding, the roster's rules or the law manifest.
# `python tests/golden/write.py` writes them anew; the change is to be reviewed.
"""


def main() -> None:
    """Play the scenarios and the demonstration in a folder that is then removed."""
    from ledger.scenarios import load, play
    from ledger.verify import parse_checkpoint, parse_note

    encrochat, aranyosi = (load(ROOT / "scenarios" / f"{name}.toml") for name in ("encrochat", "aranyosi"))
    plays = {"encrochat": [encrochat], "aranyosi": [aranyosi], "both": [encrochat, aranyosi]}
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, scenarios in plays.items():
            with closing(play(scenarios, Path(folder) / name)) as ledger:
                root = parse_checkpoint(parse_note(ledger.checkpoint()).text).root
                lines.append(f"{name} {root.hex()}\n")
        told = subprocess.run(
            [sys.executable, "-m", "ledger.cli", "demo", "demo"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=True,
        )
        masked = import_module("test_demo").masked
        transcript: str = masked(told.stdout, Path(folder) / "demo")
    (HERE / "scenario-roots.txt").write_text(HEAD + "".join(lines), encoding="utf-8")
    (HERE / "demo.txt").write_text(transcript, encoding="utf-8")


if __name__ == "__main__":
    main()
