"""
Draws the procedures for the documentation: ``python -m ledger.domain.diagrams``.

One Mermaid state diagram and two tables for each kind of thing, written into
``docs/explanation/procedures.md`` between ``<!-- generated: kind -->`` and ``<!-- end -->``. What is
drawn is the graph that the code reads, so page and behaviour cannot differ; a test fails while the
page is stale.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.domain.procedure import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.domain.procedure import Edge, Graph, Procedure, Side, When

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "procedures.md"

_MARKED: Final = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def drawn(page: str, procedure: Procedure) -> str:
    """
    The page with every generated part written anew.

    Raises:
        KeyError: a marker names no kind of thing.
    """

    def part(match: re.Match[str]) -> str:
        name = match["name"]
        text = _halves(procedure) if name == "halves" else "\n".join(_section(procedure, name.replace("-", "_")))
        return f"{match[1]}\n{text}\n\n{match[3]}"

    return _MARKED.sub(part, page)


def section(procedure: Procedure, kind: str) -> str:
    """One kind of thing, drawn in Mermaid, with its tables of stages and side stages."""
    return "\n".join(_section(procedure, kind)) + "\n"


def _section(procedure: Procedure, kind: str) -> Iterator[str]:
    graph = procedure.graphs[kind]
    moving = list(_moving(graph))
    if moving and len(graph.stages) > 1:
        yield "```mermaid"
        yield "stateDiagram-v2"
        for origin, to, label in moving:
            yield f"    {origin} --> {to}: {label}"
        yield "```"
        yield ""
    yield "| stage | meaning | what may come next without leaving it |"
    yield "|---|---|---|"
    anywhere = _staying(graph, set(graph.stages))
    for stage, words in graph.stages.items():
        here = _staying(graph, {stage}) - anywhere if len(graph.stages) > 1 else set[str]()
        yield f"| `{stage}` | {words} | {_listed(here)} |"
    yield ""
    yield f"At every stage: {_listed(anywhere) or 'nothing else'}."
    if graph.sides:
        yield ""
        yield "| side stage | meaning | opened by | closed by |"
        yield "|---|---|---|---|"
        for name, side in graph.sides.items():
            yield f"| `{name}` | {side.words} | {_ends(side, opens=True)} | {_ends(side, opens=False)} |"
    if any(side.elsewhere for side in graph.sides.values()):
        yield ""
        yield "¹ Said of another thing, which points to this one."


def _moving(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """Each arrow once, with everything that takes it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for edge in graph.edges:
        origin = edge.origin or "[*]"
        if edge.to_field is not None:
            # The act itself names the stage, so that every arrow would have to be drawn.
            continue
        if edge.to is None or edge.to == edge.origin:
            continue
        arrows.setdefault((origin, edge.to), []).append(_label(edge))
    for (origin, to), labels in arrows.items():
        yield origin, to, ", ".join(dict.fromkeys(labels))


def _label(edge: Edge) -> str:
    return edge.act if edge.when is None else f"{edge.act} ({_condition(edge.when)})"


def _condition(when: When) -> str:
    values = " or ".join(str(value).lower() if isinstance(value, bool) else value for value in when.values)
    return f"{when.field} {values}"


def _staying(graph: Graph, stages: set[str]) -> set[str]:
    """The acts that leave every one of these stages as it is."""
    acts: dict[str, set[str]] = {}
    for edge in graph.edges:
        if edge.origin is not None and edge.to_field is None and edge.to in {None, edge.origin}:
            acts.setdefault(edge.act, set()).add(edge.origin)
    return {act for act, at in acts.items() if stages <= at}


def _listed(acts: set[str]) -> str:
    return ", ".join(f"`{act}`" for act in sorted(acts))


def _ends(side: Side, *, opens: bool) -> str:
    acts = side.opens if opens else side.closes
    mark = " ¹" if side.elsewhere else ""
    return ", ".join(f"`{act}`" + (f" ({_condition(when)})" if when else "") + mark for act, when in acts)


def _halves(procedure: Procedure) -> str:
    rows = [f"| `{h.first}` | `{h.second}` | {h.words} |" for h in procedure.halves]
    return "\n".join(["| one authority says | the other says | so that |", "|---|---|---|", *rows])


def main() -> int:
    """Write the page anew; say whether it was stale."""
    page = PAGE.read_text(encoding="utf-8")
    fresh = drawn(page, load())
    if fresh != page:
        PAGE.write_text(fresh, encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {'written anew' if fresh != page else 'was up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
