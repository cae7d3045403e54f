"""``python -m ledger.cli``: the same as ``comity``."""

from __future__ import annotations

from ledger.cli import main

main()
