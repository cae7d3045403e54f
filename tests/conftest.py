"""What every test may rely on: no settings of the person who runs it, and no clock that hurries it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from ledger.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.store import Store
    from tests.cluster import Cluster

# An example may meet a cold cache; how long it takes is no claim of any property here.
hypothesis.settings.register_profile("comity", deadline=None)
hypothesis.settings.load_profile("comity")

# Whose terminal it is must not matter; processes that share the tests out set its width and colours too.
TERMINAL = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS"}
for name in [name for name in os.environ if name.startswith("COMITY_") or name in TERMINAL]:
    del os.environ[name]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parent.parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which PostgreSQL the tests ran on, and how to run them in this order again."""
    from deploy.servers import postgres_name

    seed = terminalreporter.config.getoption("randomly_seed", None)
    terminalreporter.write_line(f"Order: the same again with `pytest --randomly-seed={seed}`.")
    terminalreporter.write_line(f"PostgreSQL: these tests ran on {postgres_name()}.")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private PostgreSQL cluster; each log lives in a schema of its own."""
    from tests.cluster import Cluster

    made = Cluster()
    yield made
    made.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Make an empty store, as often as it is called: of each kind that there is."""
    made: list[Store] = []

    def make() -> Store:
        if request.param == "sqlite":
            store = open_store(tmp_path / f"ledger{len(made) or ''}.db")
        else:
            cluster: Cluster = request.getfixturevalue("cluster")
            store = open_store(cluster.address(cluster.schema()))
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()
