"""
Write the page of each instrument: ``docs/law/<instrument>.html``, printable, from the data alone.

One file each, without scripts and without anything fetched; what was not compared with the official
wording says so. ``make docs`` writes them, and ``tests/test_docs.py`` fails while one is stale.
"""

from __future__ import annotations

from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

import graphlay

from ledger.law.data import KINDS, NATURES, Datum, Instrument, Limit, Period
from ledger.law.law import Law, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.domain import Procedure

TITLES = {
    "applicability": "Who is bound, and how far",
    "stage": "How the procedure departs from the common one",
    "particular": "What the form requires",
    "competence": "Who may do what",
    "supervision": "Who oversees",
    "limit": "Time limits",
    "ground": "Grounds",
    "duty": "Duties",
    "use": "Rules on use",
    "remedy": "Remedies",
    "force": "Entry into force",
    "ruling": "What courts have held",
    "words": "The instrument's own words",
}

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: .25rem } h2 { margin-top: 2.5rem; border-bottom: 2px solid #111 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #bbb }
td p { margin: 0 0 .3rem } .more { color: #444; font-size: .9em }
.unverified { border: 1px solid #8a4b00; color: #8a4b00; padding: 0 .3em; font-size: .8em; white-space: nowrap }
svg { width: 100%; max-width: 44rem; height: auto } ol { columns: 2; font-size: .9em } a { color: #003f8a }
@media print {
  body { margin: 0; max-width: none; font-size: 11pt }
  h2 { break-after: avoid } tr { break-inside: avoid }
}
"""


def pages() -> dict[str, str]:
    """Every page by the name of its file, the index included."""
    law = load()
    written = {f"{name}.html": _page(law, law.instruments[name]) for name in sorted(law.instruments)}
    written["index.html"] = _index(law)
    return written


def _whole(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _index(law: Law) -> str:
    rows = "".join(
        f'<tr><th scope="row"><a href="{name}.html">{escape(one.title)}</a></th><td>{escape(one.official)}</td>'
        f"<td>{one.from_on}</td><td>{_count(one)}</td></tr>\n"
        for name, one in sorted(law.instruments.items())
    )
    return _whole(
        "The law as data",
        "<h1>The law as data</h1>\n<p>What the ledger knows of each instrument, in plain words of its own. It computes "
        "and shows; it never decides. Rules that were not compared with the official wording are marked "
        f"{_UNVERIFIED}.</p>\n<table>\n<thead><tr><th>Instrument</th><th>Official text</th><th>From</th>"
        f"<th>Rules</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
    )


_UNVERIFIED = '<span class="unverified">not verified</span>'


def _all(one: Instrument) -> Iterator[Datum]:
    for versions in one.data.values():
        for data in versions.values():
            yield from data


def _count(one: Instrument) -> str:
    data = list(_all(one))
    return f"{len(data)} rules, of which {sum(datum.verified for datum in data)} verified"


def _page(law: Law, one: Instrument) -> str:
    official = escape(one.official)
    if one.eli is not None:
        official = f'<a href="{escape(one.eli)}">{official}</a>'
    ends = f" until {one.until_on}" if one.until_on else ""
    counting = law.countings[one.counting].title if one.counting in law.countings else "national rules"
    parts = [
        '<p><a href="index.html">All instruments</a></p>\n',
        f"<h1>{escape(one.title)}</h1>\n<p>{official}<br>Applies from {one.from_on}{ends}.\n",
        f"Counted by {escape(counting)}. Last compared with its sources on {one.reviewed_on}.\n{_count(one)}.</p>\n",
        "<p>These are the ledger's own words, not the law. The official text decides.</p>\n",
        "<h2>The procedure</h2>\n",
        *_drawings(law.procedure(one.id), one),
    ]
    parts += [
        _section(kind, [d for data in one.data[kind].values() for d in data]) for kind in KINDS if one.data.get(kind)
    ]
    for (name, country), overlay in sorted(law.overlays.items()):
        if name == one.id:
            own = [datum for datum in _all(overlay) if datum.country == country]
            parts.append(f"<h2>{escape(country)}: what national law changes</h2>\n{_table(own)}")
    return _whole(one.title, "".join(parts))


# --- the data ------------------------------------------------------------------------------------


def _section(kind: str, data: list[Datum]) -> str:
    return f'<h2 id="{kind}">{TITLES[kind]}</h2>\n{_table(data)}'


def _table(data: list[Datum]) -> str:
    rows = "".join(
        f'<tr id="{escape(datum.id)}"><th scope="row">{escape(datum.id)}</th>'
        f"<td>{escape(datum.article)}{'' if datum.verified else '<br>' + _UNVERIFIED}</td>"
        f"<td><p>{escape(datum.text)}</p>{_more(datum)}</td></tr>\n"
        for datum in data
    )
    head = "<tr><th>Rule</th><th>Article</th><th>In plain words</th></tr>"
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


_SAID = {field.name for field in fields(Datum)} | {
    "examples",
    "variants",
    "extension",
    "exceptions",
    "nature",
    "within",
}


def _more(datum: Datum) -> str:
    """What else the datum has, one line each."""
    lines = []
    if isinstance(datum, Limit):
        lines += _limit(datum)
    elif (within := getattr(datum, "within", None)) is not None:
        lines.append(f"Within {_period(within)}.")
    if nature := (getattr(datum, "nature", None) if not isinstance(datum, Limit) else None):
        lines.append(f"Nature: {nature}.")
    for exempt in getattr(datum, "exceptions", ()):
        lines.append(f"Except ({exempt.article}): {exempt.text}")
    for field in fields(datum):
        value = getattr(datum, field.name)
        if field.name in _SAID or value in (None, (), False, "", {}) or field.name == "consequence":
            continue
        said = _said(value)
        if said:
            lines.append(f"{field.name.replace('_', ' ').capitalize()}: {said}.")
    if datum.until_on:
        lines.append(f"Until {datum.until_on}.")
    if datum.known_from_on:
        lines.append(f"Known from {datum.known_from_on}.")
    if not datum.verified:
        lines.append(f"Basis: {datum.basis}.")
    lines += [f"Note: {datum.note}"] if datum.note else []
    paragraphs = lines if isinstance(datum, Limit) else [" ".join(lines)] if lines else []
    return "".join(f'<p class="more">{escape(line)}</p>' for line in paragraphs)


def _limit(limit: Limit) -> list[str]:
    lines = [f"{'; '.join(filter(None, [_length(limit), NATURES[limit.nature]])).capitalize()}."]
    lines += [f"{v.name.capitalize()} ({v.article}): {_period(v.within)}. {v.text}" for v in limit.variants]
    if limit.extension is not None:
        lines.append(f"Extension ({limit.extension.article}): {limit.extension.text}")
    lines.append(f"At the end: {limit.consequence}")
    lines += [
        f"Example: from {e.start} in {e.place}"
        + (f", {e.variant}" if e.variant else "")
        + (f", extended {e.extended} times" if e.extended else "")
        + f": {e.due}."
        for e in limit.examples
    ]
    return lines


def _length(limit: Limit) -> str:
    if limit.within is not None:
        return _period(limit.within)
    return f"until the instant that {limit.named} names" if limit.named else ""


def _period(period: Period) -> str:
    return str(period)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, tuple):
        return ", ".join(filter(None, map(_said, value)))
    if hasattr(value, "act"):
        return str(value.act)
    if isinstance(value, str | int) or hasattr(value, "isoformat"):
        return str(value)
    if hasattr(value, "items"):
        return ", ".join(f"{key}: {_said(part)}" for key, part in value.items())
    return ""


# --- the drawing ---------------------------------------------------------------------------------


def _drawings(procedure: Procedure, one: Instrument) -> Iterator[str]:
    """Draw the graph of requests, and each other graph that the instrument edits."""
    edited = {
        edit.kind
        for data in one.data.get("stage", {}).values()
        for stage in data
        for edit in (*getattr(stage, "add", ()), *getattr(stage, "remove", ()))
    }
    for kind in ("request", *sorted(edited - {"request"})):
        yield from _drawing(procedure, kind)


def _drawing(procedure: Procedure, kind: str) -> Iterator[str]:
    graph = procedure.graphs[kind]
    steps: dict[tuple[str, str], list[str]] = {}
    anywhere: dict[str, set[str]] = {}
    for edge in graph.edges:
        if edge.to is not None and edge.origin != edge.to:
            anywhere.setdefault(edge.to, set()).add(edge.origin or "")
    many = {to for to, origins in anywhere.items() if len(origins) > 5}
    for edge in graph.edges:
        if edge.to is None or edge.to == edge.origin:
            continue
        if edge.to in many and edge.origin is not None:
            continue
        acts = steps.setdefault((edge.origin or "", edge.to), [])
        if edge.act not in acts:
            acts.append(edge.act)
    drawn = sorted({stage for pair in steps for stage in pair if stage}, key=list(graph.stages).index)
    if not drawn:
        return  # the instrument has dropped every step between stages
    plan = graphlay.Graph()
    for stage in drawn:
        plan.node(stage, width=9 * len(stage) + 24, height=30)
    numbered = [pair for pair in steps if pair[0]]
    for origin, to in numbered:
        plan.edge(origin, to)
    layout = graphlay.layout(plan, preset="process_map", options={"direction": "topbottom"})
    yield f"<h3>{escape(graph.words)}</h3>\n"
    yield _svg(layout, drawn)
    listed = "".join(
        f"<li>{escape(_stage(origin))} &rarr; {escape(_stage(to))}: "
        f"{escape('; '.join(_step(procedure, act) for act in steps[origin, to]))}</li>\n"
        for origin, to in numbered
    )
    yield f"<ol>\n{listed}</ol>\n"
    for to in sorted(many):
        how = "; ".join(sorted({_step(procedure, edge.act) for edge in graph.edges if edge.to == to}))
        yield f"<p>From most stages it may also become <b>{escape(_stage(to))}</b>: {escape(how)}.</p>\n"


def _step(procedure: Procedure, act: str) -> str:
    """The words of an act; those of a draft act are its name."""
    return procedure.words.get(act, act.replace("_", " ").replace(".", " "))


def _stage(name: str) -> str:
    return name.replace("_", " ")


def _svg(layout: Any, drawn: list[str]) -> str:
    boxes, lines = [], []
    points = [point for edge in layout.edges for point in edge["points"]]
    centres = [node["center"] for node in layout.nodes]
    sizes = [node["size"] for node in layout.nodes]
    x = [_xy(point)[0] for point in points] + [_xy(c)[0] + _xy(s)[0] / 2 for c, s in zip(centres, sizes, strict=True)]
    x += [_xy(c)[0] - _xy(s)[0] / 2 for c, s in zip(centres, sizes, strict=True)]
    y = [_xy(point)[1] for point in points] + [_xy(c)[1] + 15 for c in centres] + [_xy(c)[1] - 15 for c in centres]
    left, top, width, height = min(x) - 16, min(y) - 16, max(x) - min(x) + 32, max(y) - min(y) + 32
    for number, edge in enumerate(layout.edges, 1):
        path = [_xy(point) for point in edge["points"]]
        (x1, y1), (x2, y2) = path[len(path) // 2 - 1], path[len(path) // 2]
        along = " L".join(f"{px:.1f} {py:.1f}" for px, py in path)
        at = f'x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2 + 3:.1f}"'
        lines.append(f'<path d="M{along}" fill="none" stroke="#555" marker-end="url(#a)"/>')
        lines.append(
            f'<text {at} font-size="10" text-anchor="middle" stroke="#fff" stroke-width="4" paint-order="stroke">'
            f"{number}</text>"
        )
    for stage, centre, size in zip(drawn, centres, sizes, strict=True):
        (cx, cy), (w, h) = _xy(centre), _xy(size)
        box = f'x="{cx - w / 2:.1f}" y="{cy - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}"'
        boxes.append(f'<rect {box} rx="4" fill="#f3f2f1" stroke="#111"/>')
        boxes.append(f'<text x="{cx:.1f}" y="{cy + 5:.1f}" font-size="14" text-anchor="middle">{_stage(stage)}</text>')
    view = f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}"
    return (
        f'<svg viewBox="{view}" role="img" aria-label="Stages and steps; the list below says the same">\n'
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>\n{"".join(lines)}{"".join(boxes)}</svg>\n'
    )


def _xy(value: Any) -> tuple[float, float]:
    """A pair, however the layout engine writes it."""
    if isinstance(value, dict):
        first, second = (
            value[key] for key in (("x", "y") if "x" in value else ("w", "h") if "w" in value else ("width", "height"))
        )
        return float(first), float(second)
    return float(value[0]), float(value[1])
