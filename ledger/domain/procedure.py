"""
Procedures as graphs: stages, and the acts that move between them.

The graph is data (``ledger/law/procedure.toml``), so that a jurist can read it, an instrument can
edit it, and the diagrams in the documentation are drawn from it. It is a *superset*: it has every
step that any instrument knows.

A graph never refuses anything. :meth:`Procedure.step` says where an act leads and whether the
graph has that step from here; an act that it does not have is recorded and flagged. Where such an
act leads follows one rule: **forward only**. An act that skips stages (a State publishes only some
of its steps) brings the thing to the stage it stands for; an act that comes late (the log learns in
another order than things happened) does not take the thing back. Stages are listed in their usual
order; that list is what forward means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from ledger.domain.things import THINGS, Sides
from ledger.errors import FormatError

if TYPE_CHECKING:
    from ledger.acts import Act

Body: TypeAlias = Mapping[str, Any]

_FILE: Final = Path(__file__).parent.parent / "law" / "procedure.toml"
_BYTES_MAX: Final = 1 << 20
_ANY: Final = "*"


class When(NamedTuple):
    """A step that is taken only if ``field`` of the body has one of ``values``."""

    field: str
    values: tuple[str | bool, ...]


class Edge(NamedTuple):
    """
    One step of the graph from one stage.

    Attributes:
        act: the act that is the step.
        origin: the stage it is taken from; None where the act creates the thing.
        to: the stage it leads to; None where the stage stays as it is.
        when: the condition on the body, if any.
        to_field: the field of the body that names the stage it leads to, instead of ``to``.
        from_field: the field of the body that must name the stage it is taken from.
    """

    act: str
    origin: str | None
    to: str | None
    when: When | None
    to_field: str | None
    from_field: str | None


class Side(NamedTuple):
    """
    A side stage: open beside the stage, as often as its opening acts were said.

    Attributes:
        words: what it means, in plain words.
        opens: acts that open it once more, each with its condition.
        closes: acts that close it once.
        elsewhere: its acts are said on another stream, which points to this thing; who folds
            several streams counts it, not :func:`ledger.domain.evolve`.
    """

    words: str
    opens: tuple[tuple[str, When | None], ...]
    closes: tuple[tuple[str, When | None], ...]
    elsewhere: bool


class Step(NamedTuple):
    """Where an act leads, and whether the graph has that step from here."""

    stage: str
    in_graph: bool


class Next(NamedTuple):
    """
    What can lawfully come next.

    Attributes:
        act: its name.
        words: the step in plain words.
        by: the roles and kinds of authority that say it, as the act's schema has them.
        to: the stages it can lead to; empty where the stage stays as it is.
    """

    act: str
    words: str
    by: tuple[str, ...]
    to: tuple[str, ...]


class Halves(NamedTuple):
    """Two acts by two authorities that are one hand-over: ``first`` gives, ``second`` takes."""

    first: str
    second: str
    words: str


@dataclass(frozen=True, slots=True)
class Graph:
    """
    The procedure of one kind of stream.

    Attributes:
        words: what a thing of this kind is, in plain words.
        stages: words of each stage, in their usual order.
        sides: the side stages.
        edges: every step, expanded to one stage each.
    """

    words: str
    stages: Mapping[str, str]
    sides: Mapping[str, Side]
    edges: tuple[Edge, ...]


class Procedure:
    """
    The graphs of all kinds of streams.

    Immutable; a lookup costs a dictionary access or two.

    Attributes:
        graphs: by kind of stream.
        words: of each act.
        by: who may say each act.
        creates: the kind of thing that an act creates, for the acts that do.
        answering: the acts that answer another.
        halves: acts that are two halves of one hand-over.
        each_once: acts that each side says once, and the words for the side that comes after.
    """

    __slots__ = (
        "_by_act",
        "_by_stage",
        "_halves_of",
        "_rank",
        "_side_acts",
        "answering",
        "by",
        "creates",
        "each_once",
        "graphs",
        "halves",
        "words",
    )

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        *,
        words: Mapping[str, str],
        by: Mapping[str, tuple[str, ...]],
        creates: Mapping[str, str],
        answering: frozenset[str],
        halves: tuple[Halves, ...],
        each_once: Mapping[str, str],
    ) -> None:
        self.graphs = MappingProxyType(dict(graphs))
        self.words = MappingProxyType(dict(words))
        self.by = MappingProxyType(dict(by))
        self.creates = MappingProxyType(dict(creates))
        self.answering = answering
        self.halves = halves
        self.each_once = MappingProxyType(dict(each_once))
        # Where two acts have the same second half, that half alone awaits the one that is named first.
        self._halves_of = {h.first: h for h in halves} | {h.second: h for h in reversed(halves)}
        self._by_stage: dict[tuple[str, str | None, str], tuple[Edge, ...]] = {}
        self._by_act: dict[tuple[str, str], tuple[Edge, ...]] = {}
        self._rank: dict[tuple[str, str], int] = {}
        self._side_acts: dict[tuple[str, str], tuple[tuple[str, int, When | None], ...]] = {}
        for kind, graph in self.graphs.items():
            for rank, stage in enumerate(graph.stages):
                self._rank[kind, stage] = rank
            for edge in graph.edges:
                here = (kind, edge.origin, edge.act)
                self._by_stage[here] = (*self._by_stage.get(here, ()), edge)
                act = (kind, edge.act)
                self._by_act[act] = (*self._by_act.get(act, ()), edge)
            for name, side in graph.sides.items():
                if side.elsewhere:
                    continue
                for sign, acts in ((1, side.opens), (-1, side.closes)):
                    for said, when in acts:
                        on = (kind, said)
                        self._side_acts[on] = (*self._side_acts.get(on, ()), (name, sign, when))

    def step(self, kind: str, stage: str | None, act: str, body: Body) -> Step:
        """
        Where ``act`` leads a thing of ``kind`` from ``stage``.

        Args:
            kind: the kind of stream.
            stage: where the thing stands; None where it does not exist yet.
            act: the act's name.
            body: the act's decoded body, for the steps that depend on it.

        Returns:
            The stage afterwards, and whether the graph has this step from here. An act outside the
            graph leads forward or nowhere (see the module's words); one that no step mentions
            leaves the stage as it is.

        Cost: one dictionary access for a step that the graph has.
        """
        for edge in self._by_stage.get((kind, stage, act), ()):
            if _holds(edge, stage, body):
                return Step(_target(edge, body) or stage or "", True)
        rank = self._rank.get((kind, stage), -1) if stage is not None else -1
        for edge in self._by_act.get((kind, act), ()):
            if edge.when is None or body.get(edge.when.field) in edge.when.values:
                to = _target(edge, body)
                if to is not None and self._rank.get((kind, to), -1) > rank:
                    return Step(to, False)
        return Step(stage or "", False)

    def sides(self, kind: str, sides: Sides, act: str, body: Body) -> tuple[Sides, bool]:
        """
        The side stages after ``act``, and whether it closes only what is open.

        Returns:
            The same object when nothing changes.
        """
        touched = self._side_acts.get((kind, act))
        if touched is None:
            return sides, True
        counts = dict(sides)
        in_graph = True
        for name, sign, when in touched:
            if when is not None and body.get(when.field) not in when.values:
                continue
            count = counts.get(name, 0) + sign
            if count < 0:
                in_graph = False
            elif count == 0:
                counts.pop(name, None)
            else:
                counts[name] = count
        return tuple(sorted(counts.items())), in_graph

    def next(self, kind: str, stage: str | None, sides: Sides = ()) -> tuple[Next, ...]:
        """
        What can lawfully come next for a thing of ``kind`` at ``stage``.

        Args:
            kind: the kind of stream.
            stage: where it stands; None for the acts that create such a thing.
            sides: its open side stages; an act that would close what is not open is left out.

        Returns:
            Steps that move the stage first, each act once, then those that leave it.
        """
        open_sides = {name for name, _ in sides}
        found: dict[str, list[str]] = {}
        for (of, origin, act), edges in self._by_stage.items():
            if of != kind or origin != stage:
                continue
            touched = self._side_acts.get((kind, act), ())
            closing = [name for name, sign, _ in touched if sign < 0]
            opening = any(sign > 0 for _, sign, _ in touched)
            if closing and not opening and not open_sides.intersection(closing):
                continue
            targets = found.setdefault(act, [])
            for edge in edges:
                if edge.to_field is not None:
                    targets.extend(s for s in self.graphs[kind].stages if s != stage)
                elif edge.to is not None and edge.to != stage and edge.to not in targets:
                    targets.append(edge.to)
        steps = [Next(act, self.words[act], self.by.get(act, ()), tuple(to)) for act, to in found.items()]
        return tuple(sorted(steps, key=lambda step: not step.to))

    def other_half(self, act: str) -> str | None:
        """The act by which the other authority says the same; None where there is no such."""
        halves = self._halves_of.get(act)
        if halves is None:
            return None
        return halves.second if halves.first == act else halves.first

    def leads_to(self, kind: str, act: str, body: Body) -> str | None:
        """The stage that ``act`` stands for, wherever it is taken from; None if for no stage."""
        for edge in self._by_act.get((kind, act), ()):
            if edge.when is None or body.get(edge.when.field) in edge.when.values:
                to = _target(edge, body)
                if to is not None:
                    return to
        return None

    def in_graph(self, kind: str, stage: str | None, act: str, body: Body) -> bool:
        """Whether the graph has ``act`` as a step from ``stage``."""
        return self.step(kind, stage, act, body).in_graph


def _holds(edge: Edge, stage: str | None, body: Body) -> bool:
    if edge.when is not None and body.get(edge.when.field) not in edge.when.values:
        return False
    return edge.from_field is None or body.get(edge.from_field) == stage


def _target(edge: Edge, body: Body) -> str | None:
    if edge.to_field is not None:
        return cast("str | None", body.get(edge.to_field))
    return edge.to


@cache
def load() -> Procedure:
    """
    The superset graph of this release, checked against the acts of this release.

    Read once per process: the file is part of the package, like the code.

    Raises:
        FormatError: the file has an unknown key, stage or act; it names file and key.
    """
    from ledger.acts import catalogue  # noqa: PLC0415 -- only the packaged graph needs the schemas

    return parse(_FILE.read_bytes(), catalogue().acts(), file=_FILE.name)


def parse(text: bytes, acts: Iterable[Act], *, file: str = "procedure.toml") -> Procedure:
    """
    Read a graph.

    Args:
        text: TOML in UTF-8, at most 1 MiB.
        acts: the acts that may be named, and on which streams and by whom they are said.
        file: the name that errors give.

    Returns:
        The graphs, every one of them complete: each released act that may be said on a kind of
        stream has at least one step there, and every stage can be reached.

    Raises:
        FormatError: an unknown key, act, stage or kind, or one that is missing.
    """
    if len(text) > _BYTES_MAX:
        raise FormatError(f"{file} is longer than {_BYTES_MAX} bytes")
    try:
        data = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not TOML: {error}", field=file) from error
    return _Reader(file, {act.name: act for act in acts}).procedure(data)


class _Reader:
    """Reads the file once, naming file and key in every error."""

    def __init__(self, file: str, acts: Mapping[str, Act]) -> None:
        self._name = file
        self._acts = acts

    def procedure(self, data: Mapping[str, Any]) -> Procedure:
        self._keys(data, "", {"everywhere", "each_once", "words", "halves", *THINGS}, {"words", *THINGS})
        words = self._words(data["words"], "words")
        for act in self._acts:
            # A draft act may still change its name; until its release it goes by that.
            if act not in words and self._acts[act].released:
                self._fail(f"words.{act}", "has no words")
        for act in words:
            self._act(act, f"words.{act}")
        each_once = self._words(data.get("each_once", {}), "each_once")
        for act in each_once:
            self._act(act, f"each_once.{act}")
        everywhere = self._texts(data.get("everywhere", []), "everywhere")
        for index, act in enumerate(everywhere):
            self._act(act, f"everywhere[{index}]")
        graphs = {kind: self._graph(kind, data[kind], everywhere) for kind in THINGS}
        return Procedure(
            graphs,
            words=words,
            by={name: tuple(act.by) for name, act in self._acts.items()},
            answering=frozenset(name for name, act in self._acts.items() if act.answers),
            creates={name: act.streams[0] for name, act in self._acts.items() if act.creates},
            halves=tuple(self._halves(data.get("halves", []))),
            each_once=each_once,
        )

    def _halves(self, rows: Any) -> Iterator[Halves]:
        for index, row in enumerate(self._rows(rows, "halves")):
            key = f"halves[{index}]"
            self._keys(row, key, {"first", "second", "words"}, {"first", "second", "words"})
            for end in ("first", "second"):
                self._act(row[end], f"{key}.{end}")
            yield Halves(row["first"], row["second"], self._text(row["words"], f"{key}.words"))

    def _graph(self, kind: str, data: Any, everywhere: tuple[str, ...]) -> Graph:
        self._keys(data, kind, {"words", "stages", "sides", "steps"}, {"words", "stages", "steps"})
        stages = self._words(data["stages"], f"{kind}.stages")
        sides = {
            name: self._side(kind, side, f"{kind}.sides.{name}")
            for name, side in self._table(data.get("sides", {}), f"{kind}.sides").items()
        }
        edges: list[Edge] = []
        for index, row in enumerate(self._rows(data["steps"], f"{kind}.steps")):
            edges += self._edges(kind, row, f"{kind}.steps[{index}]", stages)
        edges += [
            Edge(act, stage, None, None, None, None)
            for act in everywhere
            if kind in self._acts[act].streams
            for stage in stages
        ]
        reached = {e.to for e in edges} | {stage for e in edges if e.to_field is not None for stage in stages}
        for stage in stages:
            if stage not in reached:
                self._fail(f"{kind}.stages.{stage}", "no step leads to it")
        stepped = {e.act for e in edges}
        for name, act in self._acts.items():
            if kind in act.streams and name not in stepped and act.released:
                self._fail(f"{kind}.steps", f"{name} may be said of this kind and has no step")
        return Graph(self._text(data["words"], f"{kind}.words"), stages, sides, tuple(edges))

    def _side(self, kind: str, data: Any, key: str) -> Side:
        known = {"words", "opens", "closes", "elsewhere"}
        self._keys(data, key, known, {"words", "opens", "closes"})
        elsewhere = bool(data.get("elsewhere", False))

        def acts(of: str) -> Iterator[tuple[str, When | None]]:
            for index, row in enumerate(self._rows(data[of], f"{key}.{of}")):
                at = f"{key}.{of}[{index}]"
                self._keys(row, at, {"act", "when"}, {"act"})
                self._act(row["act"], f"{at}.act", kind=None if elsewhere else kind)
                yield row["act"], self._when(row.get("when"), f"{at}.when")

        return Side(self._text(data["words"], f"{key}.words"), tuple(acts("opens")), tuple(acts("closes")), elsewhere)

    def _edges(self, kind: str, row: Any, key: str, stages: Mapping[str, str]) -> Iterator[Edge]:
        known = {"act", "from", "to", "when", "to_field", "from_field"}
        self._keys(row, key, known, {"act"})
        act = row["act"]
        self._act(act, f"{key}.act", kind=kind)
        for name in ("to", "to_field", "from_field"):
            if name in row:
                self._text(row[name], f"{key}.{name}")
        to = row.get("to")
        if to is not None and to not in stages:
            self._fail(f"{key}.to", f"no stage {to!r}")
        when = self._when(row.get("when"), f"{key}.when")
        origins: tuple[str | None, ...]
        if "from" not in row:
            if not self._acts[act].creates:
                self._fail(f"{key}.from", "is missing, and the act creates nothing")
            origins = (None,)
        else:
            names = self._texts(row["from"], f"{key}.from")
            for stage in names:
                if stage != _ANY and stage not in stages:
                    self._fail(f"{key}.from", f"no stage {stage!r}")
            origins = tuple(stages) if _ANY in names else names
        for origin in origins:
            yield Edge(act, origin, to, when, row.get("to_field"), row.get("from_field"))

    def _when(self, data: Any, key: str) -> When | None:
        if data is None:
            return None
        self._keys(data, key, {"field", "value", "values"}, {"field"})
        if ("value" in data) == ("values" in data):
            self._fail(key, "needs either value or values")
        values = data["values"] if "values" in data else [data["value"]]
        if not isinstance(values, list) or not all(isinstance(value, (str, bool)) for value in values):
            self._fail(key, "compares with strings or booleans")
        return When(self._text(data["field"], f"{key}.field"), tuple(values))

    def _act(self, name: Any, key: str, *, kind: str | None = None) -> None:
        act = self._acts.get(self._text(name, key))
        if act is None:
            self._fail(key, f"no act {name!r}")
        elif kind is not None and kind not in act.streams:
            self._fail(key, f"{name} is not said of a {kind}")

    def _keys(self, table: Any, key: str, known: Collection[str], needed: Collection[str]) -> None:
        for name in self._table(table, key):
            if name not in known:
                self._fail(f"{key}.{name}".lstrip("."), "unknown key")
        for name in needed:
            if name not in table:
                self._fail(f"{key}.{name}".lstrip("."), "is missing")

    def _table(self, data: Any, key: str) -> Mapping[str, Any]:
        if not isinstance(data, dict):
            self._fail(key, "must be a table")
        return cast("dict[str, Any]", data)

    def _rows(self, data: Any, key: str) -> list[Any]:
        if not isinstance(data, list):
            self._fail(key, "must be an array of tables")
        return data

    def _texts(self, data: Any, key: str) -> tuple[str, ...]:
        if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
            self._fail(key, "must be an array of strings")
        return tuple(data)

    def _text(self, data: Any, key: str) -> str:
        if not isinstance(data, str) or not data.strip():
            self._fail(key, "must be plain words")
        return data

    def _words(self, data: Any, key: str) -> dict[str, str]:
        for name, words in self._table(data, key).items():
            self._text(words, f"{key}.{name}")
        return dict(data)

    def _fail(self, key: str, what: str) -> NoReturn:
        raise FormatError(what, field=f"{self._name}: {key}" if key else self._name)
