"""Records that are built fast are the same records."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

from ledger.frozen import builder
from ledger.statement import Batch, Visibility


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere."""

    street: str
    number: int

    @property
    def door(self) -> str:
        """Which door."""
        return f"{self.street} {self.number}"


def test_a_record_built_fast_is_equal_hashed_and_shown_like_any_other():
    """Nobody can tell how it was made."""
    fast, slow = builder(Place)("Long Lane", 3), Place("Long Lane", 3)
    assert type(fast) is Place
    assert fast == slow
    assert hash(fast) == hash(slow)
    assert repr(fast) == repr(slow)
    assert "Long Lane 3" == fast.door
    assert Place("Long Lane", 4) == replace(fast, number=4)
    assert ["street", "number"] == [field.name for field in fields(fast)]


@pytest.mark.parametrize("made", [builder(Batch)(1, 0, ()), builder(Visibility)("case", None), builder(Place)("a", 1)])
def test_a_record_built_fast_cannot_be_changed(made):
    """Frozen is frozen."""
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(made)[0].name, 0)


def test_a_record_is_built_from_all_its_fields():
    """A default is not guessed: what is left out is an error at once."""
    with pytest.raises(TypeError):
        builder(Visibility)("case")
