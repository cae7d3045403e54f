"""
What the chain of an exhibit does not show, or shows to be wrong, link by link.

A hash that is missing or differs, a half without the other, a holder to whom nobody is shown to have given it,
what is withheld, what is known by report alone: each gap names the entry at which it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from projections.lineage import origin_of
from projections.travelling import GIVING, MAKING, TAKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from projections.facts import Row
    from projections.lineage import Reader
    from projections.provenance import Hop

    Note = Callable[[str, str], None]

__all__ = ["Gap", "NotShown"]

_FAILED: Final = frozenset({"different", "partly_identical"})
"""Results of a check of integrity that did not find the same."""


@dataclass(frozen=True, slots=True)
class Gap:
    """
    Something the chain does not show, or shows to be wrong, at the entry `index`.

    Codes: hash_missing, hash_differs, hash_not_comparable, other_half_missing, reported_only,
    holder_not_shown, authorisation_not_shown, parent_not_shown, not_reproducible, withheld,
    discrepancy, integrity_check_failed.
    """

    code: str
    exhibit: str
    index: int
    sentence: str


class NotShown:
    """
    The gaps of one chain.

    Args:
        reader: the rows, as they may be seen.
        exhibit: the exhibit asked about.
        made: by exhibit of its lineage, the row that made it.
    """

    def __init__(self, reader: Reader, exhibit: str, made: Mapping[str, Row]) -> None:
        self.reader = reader
        self.exhibit = exhibit
        self.made = made

    def marked(self, hops: list[Hop]) -> tuple[Hop, ...]:
        """Return the links, in the order in which they happened, each with its gaps."""
        known: dict[str, tuple[str, bool]] = {}
        holders: defaultdict[str, set[str | None]] = defaultdict(set)
        done = []
        for hop in hops:
            check, gaps = None, list[Gap]()
            if hop.exhibit is not None and hop.corrected_by is None:
                salted = self._body(hop).get("hash_kind") == "salted"
                check = self._hash_check(hop, hop.exhibit, known, gaps, salted=salted)
                self._chain_gaps(hop, hop.exhibit, hops, holders, gaps)
                if hop.step in MAKING | TAKING | GIVING:
                    holders[hop.exhibit].update(taker.id for taker in hop.takers)
            elif hop.step == "withheld":
                gaps.append(Gap("withheld", self.exhibit, hop.index, hop.sentence))
            done.append(replace(hop, hash_check=check, gaps=tuple(gaps)))
        return tuple(done)

    def _hash_check(
        self,
        hop: Hop,
        exhibit: str,
        known: dict[str, tuple[str, bool]],
        gaps: list[Gap],
        *,
        salted: bool,
    ) -> str | None:
        """Compare the hash that a hop states with the one stated when the exhibit was made."""
        if hop.step not in {"acquired", "derived", "handed_over", "taken_over"}:
            return "missing" if hop.step in GIVING | TAKING else None

        def gap(code: str, words: str) -> str:
            gaps.append(Gap(code, exhibit, hop.index, words))
            return code.removeprefix("hash_")

        if hop.act == "exhibit.returned":
            # A return states no hash, only whether what goes back is what had come.
            stated = self._body(hop).get("check")
            return "same" if stated == "identical" else gap("hash_missing", f"Entry {hop.index} shows no comparison.")
        stated, first = hop.hash, known.get(exhibit)
        if stated is None:
            return gap("hash_missing", f"Entry {hop.index} states no hash of the exhibit.")
        if first is None:
            known[exhibit] = (stated, salted)
            return "first"
        if stated == first[0]:
            return "same"
        if first[1]:
            # Salted commitments of one exhibit differ when the salts do.
            words = f"The salted hash at entry {hop.index} cannot be compared with the first one."
            return gap("hash_not_comparable", words)
        return gap(
            "hash_differs",
            f"The hash at entry {hop.index} is not the one stated before for the same exhibit.",
        )

    def _chain_gaps(
        self,
        hop: Hop,
        exhibit: str,
        hops: list[Hop],
        holders: Mapping[str, set[str | None]],
        gaps: list[Gap],
    ) -> None:
        body = self._body(hop)

        def gap(code: str, words: str) -> None:
            gaps.append(Gap(code, exhibit, hop.index, words))

        if hop.step == "acquired":
            origin = self.made.get(exhibit)
            if origin is not None and origin_of(self.reader, origin, 0).authorisation_index is None:
                gap("authorisation_not_shown", "No entry shows who authorised the acquisition.")
        elif hop.step == "derived":
            if body.get("reproducible") is False:
                gap("not_reproducible", "The derivation cannot be repeated.")
            for parent in map(str, cast("list[object]", body.get("parents", []))):
                if parent not in self.made:
                    gap("parent_not_shown", f"No entry shows where {parent} comes from.")
                elif hop.said.speaker.id not in holders[parent]:
                    name = hop.said.speaker.designation
                    gap("holder_not_shown", f"No entry shows how {name} came to hold {parent}.")
        elif hop.step == "discrepancy":
            gap("discrepancy", hop.sentence)
        elif hop.step == "withheld":
            gap("withheld", hop.sentence)
        if body.get("check", body.get("result")) in _FAILED:
            gap("integrity_check_failed", hop.sentence)
        if hop.step in GIVING | TAKING:
            self._half_gaps(hop, exhibit, hops, gap)
            # Who discloses decides on the exhibit; he need not hold it.
            decides = hop.step in {"disclosed", "informed", "shared"}
            if not decides and hop.giver is not None and hop.giver.id not in holders[exhibit]:
                name = hop.giver.designation
                gap("holder_not_shown", f"No entry shows how {name} came to hold it.")
        if hop.said.voice == "reported" and hop.step in GIVING | TAKING | MAKING:
            gap("reported_only", "Nobody concerned has said this: it is known by report.")

    def _half_gaps(self, hop: Hop, exhibit: str, hops: list[Hop], gap: Note) -> None:
        """Name what the other side has not said, and a hash that nobody has compared."""
        others = {
            "handed_over": ("taken_over",),
            "taken_over": ("handed_over",),
            "result_handed_over": ("result_received",),
            "result_received": ("result_handed_over",),
            "disclosed": ("taken_over", "result_received"),
            "shared": ("taken_over",),
            "informed": ("taken_over",),
        }[hop.step]
        same = [
            other for other in hops if other.step in others and other.exhibit == exhibit and other.corrected_by is None
        ]
        if hop.step in GIVING:
            names = {taker.id for taker in hop.takers}
            same = [other for other in same if not names or other.said.speaker.id in names]
        else:
            speaker = hop.said.speaker.id
            same = [o for o in same if not o.takers or speaker in {taker.id for taker in o.takers}]
        said = [other for other in same if other.said.voice != "reported"]
        if not said and hop.step in {
            "handed_over",
            "taken_over",
            "result_handed_over",
            "result_received",
        }:
            what = "the result" if others[0].startswith("result_") else "it"
            words = others[0].removeprefix("result_").replace("_", " ")
            gap("other_half_missing", f"The other side has not said that {what} was {words}.")
        if hop.step in {"disclosed", "shared", "result_handed_over"} and not any(
            other.hash is not None or self._body(other).get("check") == "identical" for other in said
        ):
            gap("hash_missing", "Nobody has shown that what arrived is what was sent.")

    def _body(self, hop: Hop) -> dict[str, object]:
        found = self.reader.statement(hop.statement)
        return {} if found is None else found.body
