"""What every test may rely on: no settings of the person who runs it, and no clock that hurries it."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# An example may meet a cold cache; how long it takes is no claim of any property here.
hypothesis.settings.register_profile("comity", deadline=None)
hypothesis.settings.load_profile("comity")

for name in [name for name in os.environ if name.startswith("COMITY_")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parent.parent
