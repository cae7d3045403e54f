"""What the tests of the kit run on: `make test` needs no node, and says what it leaves to `make test-cluster`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

WHOLE = os.environ.get("TEST_KAFKA") == "apache"
collect_ignore_glob = [] if WHOLE else ["node/*"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left to another command."""
    if not WHOLE:
        terminalreporter.write_line(
            "Kit: tests/kit/node was not collected; `make test-cluster` runs the second implementation on node."
        )
