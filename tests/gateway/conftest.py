"""A town, and a gateway that offers its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.gateway.front import Front, Offer
from tests.gateway.asking import MIRRORS, serving
from tests.town import found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gateway.asking import Gateway
    from tests.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = found(tmp_path / "ledger")
    yield made
    made.ledger.close()


@pytest.fixture
def gateway(town: Town) -> Iterator[Gateway]:
    with serving(Front(town.ledger, Offer(mirrors=MIRRORS))) as made:
        yield made
