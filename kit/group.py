"""The vectors of one file: each asked of ``kit.answer`` as it is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.answer import answer

if TYPE_CHECKING:
    from kit.sample import Row


class Group:
    """The vectors of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[Row] = []

    def add(self, says: str, do: str, given: Row, *, fails: bool | None = None) -> Row:
        """
        Add a vector whose answer is our own.

        Args:
            says: what it is about.
            do: the operation.
            given: its input.
            fails: whether it must fail, where that is the point; otherwise the writing stops.
        """
        expected = answer(do, given)
        if expected.get("unsupported") or (fails is not None and fails != ("fault" in expected)):
            raise AssertionError(f"{self.name}: {says}: {expected}")
        self.rows.append(
            {"id": f"{self.name}-{len(self.rows):03}", "says": says, "do": do, "given": given, "expected": expected}
        )
        return expected
