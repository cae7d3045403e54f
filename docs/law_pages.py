"""
Write the page of each instrument: ``docs/law/<instrument>.html``, printable, from the data alone.

One file each, without scripts and without anything fetched; what was not compared with the official
wording says so. ``make docs`` writes them, and ``tests/test_docs.py`` fails while one is stale.

Pages of two instruments are alike where these are: each page is whole, with the frame and the common steps, and
conventions of the same drafting have rules of the same words, each with the article, the days and the standing of
its own ("What is shared, and what is not" in ``docs/reference/law-format.md``).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import graphlay

from ledger import resources
from ledger.acts import catalogue
from ledger.law.counting import MONTHS
from ledger.law.data import (
    BASES,
    BY_SCOPE,
    CHECKS,
    KINDS,
    MATCHES,
    NATURES,
    ROLES,
    TIMINGS,
    TOWARDS,
    USES,
    Applicability,
    Between,
    Competence,
    Datum,
    Duty,
    Force,
    Ground,
    Instrument,
    Limit,
    Particular,
    Pattern,
    Remedy,
    Ruling,
    Stage,
    Supervision,
    Use,
    Where,
    Words,
)
from ledger.law.law import Law, load

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from ledger.domain import Procedure
    from ledger.domain.procedure import Edge

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

_GROUPS = (
    ("eu-", "European Union"),
    ("coe-", "Council of Europe"),
    ("un-", "United Nations"),
    ("", "Other agreements and statutes"),
)
"""Whose instruments, by how their ids begin."""

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: .25rem; line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 2px solid #111 }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #bbb }
.id { font-weight: 400; overflow-wrap: anywhere; width: 9.5rem; font-size: .85em }
.article { width: 9.5rem; overflow-wrap: anywhere } .number { text-align: right; white-space: nowrap }
.index th, .index td { overflow-wrap: anywhere } .index .number { width: 4.6rem } .index .from { width: 8.6rem }
.index .national { width: 7rem } .index th:first-child { width: 14rem }
td p { margin: 0 0 .3rem } dl { margin: 0; color: #333; font-size: .9em; display: grid }
dl { grid-template-columns: 8.5rem 1fr; gap: 0 .6rem } dt { color: #555 } dd { margin: 0; overflow-wrap: anywhere }
.doubt > * { background: #fff8ee } .doubt > :first-child { border-left: 4px solid #8a4b00 }
.unverified { border: 1px solid #8a4b00; color: #8a4b00; background: #fff; padding: 0 .3em; font-size: .8em }
.unverified { white-space: nowrap; display: inline-block }
.notice { border: 1px solid #8a4b00; border-left-width: 4px; padding: .5rem .8rem; background: #fff8ee }
nav ul { columns: 2; padding-left: 1.2rem } figure { margin: 1rem 0; overflow-x: auto }
svg { display: block; margin: 0 auto; max-width: 100%; height: auto }
.steps { columns: 2; column-gap: 2.5rem; font-size: .9em; padding-left: 2rem }
.steps li { break-inside: avoid; padding-left: .2rem } a { color: #003f8a }
@media screen and (max-width: 45rem) {
  .steps, nav ul { columns: 1 } dl { grid-template-columns: 1fr } dd { margin-bottom: .2rem }
  thead { display: none } table, tbody, tr, th, td { display: block }
  tr { border-bottom: 1px solid #bbb; padding: .4rem 0 } th, td { border: 0; padding: .1rem .5rem }
  .id, .article, .number, .index th, .index td { width: auto !important; text-align: left }
  .article { font-weight: 600 } .id::before, .index [data-label]::before { content: attr(data-label) ": "; color: #555 }
  .index [data-label]:empty { display: none } .doubt { border-left: 4px solid #8a4b00; background: #fff8ee }
  .doubt > :first-child { border-left: 0 }
}
@media print {
  html { font-size: 9.5pt } body { margin: 0; max-width: none; padding: 0; font-size: 1rem }
  nav { display: none } a { color: inherit; text-decoration: none } h1, h2 { margin-top: 1rem }
  h2, h3, thead { break-after: avoid } tr, figure { break-inside: avoid }
  figure { overflow: visible; margin: .5rem 0 } svg { max-height: 14.5cm; width: auto; max-width: 100% }
  .doubt > *, .notice { background: none } .article { width: 8rem } .id { width: 7rem }
  dl { display: block } dt, dd { display: inline } dt::after { content: ": " } dd::after { content: " \\2022  " }
  dd:last-child::after { content: "" } .steps { font-size: .85em }
}
@page { margin: 1.5cm }
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
    groups: dict[str, list[Instrument]] = {words: [] for _, words in _GROUPS}
    for name, one in sorted(law.instruments.items()):
        groups[next(words for start, words in _GROUPS if name.startswith(start))].append(one)
    every = [datum for one in (*law.instruments.values(), *_own(law)) for datum in _all(one)]
    body = (
        "<h1>The law as data</h1>\n<p>What the ledger knows of each instrument, in plain words of its own: who is "
        "bound, its steps, what its forms ask for, which limits run, on which grounds something may "
        "be refused, what must be done, told and kept. The ledger computes and shows; it never decides, and the "
        f'official text alone is the law.</p>\n<p class="notice">Of {len(every)} rules {_share(every)} were compared '
        f"with the official wording. The others are marked {_UNVERIFIED} wherever they are shown, with what they rest "
        "on: the wording in a copy or by inference only, a court's summary, the statutes of States, a commentary or "
        "another treaty, or memory.</p>\n"
    )
    for words, ones in groups.items():
        rows = "".join(_row(law, one) for one in ones)
        if rows:
            body += f'<h2>{escape(words)}</h2>\n<table class="index">\n{_INDEX_HEAD}<tbody>\n{rows}</tbody>\n</table>\n'
    return _whole("The law as data", body)


_COLUMNS = {
    "Official text": "",
    "Applies from": "from",
    "National law": "national",
    "Rules": "number",
    "Verified": "number",
}
"""Columns of the index after the first, and their classes."""

_INDEX_HEAD = (
    "<thead><tr><th>Instrument</th>"
    + "".join(f'<th class="{css}">{label}</th>' for label, css in _COLUMNS.items())
    + "</tr></thead>\n"
)


def _row(law: Law, one: Instrument) -> str:
    data = list(_all(one))
    countries = ", ".join(_countries(country for name, country in law.overlays if name == one.id))
    day = _day(one.from_on) + ("" if _in_force(one) else "<br>not in force yet")
    cells = (escape(one.official), day, escape(countries), str(len(data)), _share(data))
    return (
        f'<tr><th scope="row"><a href="{one.id}.html">{escape(one.title)}</a></th>'
        + "".join(
            f'<td class="{css}" data-label="{label}">{cell}</td>'
            for (label, css), cell in zip(_COLUMNS.items(), cells, strict=True)
        )
        + "</tr>\n"
    )


def _own(law: Law) -> Iterator[Instrument]:
    """The overlays, with nothing of their parents."""
    for overlay in law.overlays.values():
        data = {
            kind: {
                ident: own
                for ident, versions in rows.items()
                if (own := tuple(datum for datum in versions if datum.country == overlay.country))
            }
            for kind, rows in overlay.data.items()
        }
        yield replace(overlay, data=data)


def _share(data: list[Datum]) -> str:
    verified = sum(datum.verified for datum in data)
    return f"{verified} ({100 * verified // len(data)} %)" if data else "0"


def _in_force(one: Instrument) -> bool:
    """Whether it is in force, as far as its data say otherwise."""
    forces = [datum for versions in one.data.get("force", {}).values() for datum in versions[-1:]]
    return not forces or any(getattr(datum, "in_force", True) for datum in forces)


_UNVERIFIED = '<span class="unverified">not verified</span>'


def _all(one: Instrument) -> Iterator[Datum]:
    for versions in one.data.values():
        for data in versions.values():
            yield from data


def _without_a_name(law: Law, one: Instrument) -> str:
    """To what an instrument applies though nobody names it, and with which others it is read."""
    said = ""
    reach = one.applies_to
    if reach is not None:
        on = ", ".join(kind.replace("_", " ") for kind in reach.streams)
        follows = ", and of the exhibits that were named there" if reach.follows else ""
        by = f"; by authorities of these kinds: {_codes('authority_kinds', reach.kinds)}" if reach.kinds else ""
        said += f" It applies though nobody names it, to what is said of: {on}{follows}{by}."
    if one.with_instruments:
        titles = (law.instruments[name].title for name in one.with_instruments if name in law.instruments)
        said += f" It is read together with: {', '.join(titles)}."
    return "" if not said else f"\n{escape(said.strip())}"


def _page(law: Law, one: Instrument) -> str:
    official = escape(one.official)
    if one.eli is not None:
        official = f'<a href="{escape(one.eli)}">{official}</a>'
    ends = f" until {_day(one.until_on)}" if one.until_on else ""
    if one.counting in law.countings and one.counting != "national":
        counting = f"its limits are counted by {law.countings[one.counting].title}"
    else:
        counting = "its limits are counted by the law of the State that must act"
    if _in_force(one):
        applies = f"Applies from {_day(one.from_on)}{ends}"
    else:
        applies = f"Not in force yet; its text is of {_day(one.from_on)}"
    procedure = law.procedure(one.id)
    say = _Words(one, procedure)
    data = list(_all(one))
    overlays = [(country, overlay) for (name, country), overlay in sorted(law.overlays.items()) if name == one.id]
    kinds = [kind for kind in KINDS if one.data.get(kind)]
    links = "".join(f'<li><a href="#{kind}">{TITLES[kind]}</a></li>\n' for kind in kinds)
    links += "".join(
        f'<li><a href="#{country.lower()}">{escape(_country(country))}: what its law changes</a></li>\n'
        for country, _ in overlays
    )
    parts = [
        f"""\
<nav><a href="index.html">All instruments</a></nav>
<h1>{escape(one.title)}</h1>
<p>{official}</p>
<p>{applies}; {escape(counting)}.
Last compared with its sources on {_day(one.reviewed_on)}.{_without_a_name(law, one)}</p>
<p class="notice">These are the ledger's own words, not the law: the official text decides.
Of {len(data)} rules {_share(data)} were compared with the official wording;
the others are marked {_UNVERIFIED} and say what they rest on.</p>
<nav><ul>
<li><a href="#procedure">The procedure</a></li>
{links}</ul></nav>
<h2 id="procedure">The procedure</h2>
""",
        *_drawings(procedure, one),
    ]
    parts += [_section(kind, [d for rows in one.data[kind].values() for d in rows], say) for kind in kinds]
    for country, overlay in overlays:
        own = [datum for datum in _all(overlay) if datum.country == country]
        name = country.lower()
        parts.append(f'<h2 id="{name}">{escape(_country(country))}: what its law changes</h2>\n')
        parts.append(_rests_on(own) + _table(own, say, f"{name}-"))
    return _whole(one.title, "".join(parts))


def _rests_on(own: list[Datum]) -> str:
    """Warns where the law of a State was not read."""
    memory = sum(datum.basis == "memory" for datum in own)
    if not memory:
        return ""
    what = "All of this is" if memory == len(own) else f"{memory} of these {len(own)} rules are"
    return f'<p class="notice">{what} from memory: no source of this State was read. It may be wrong.</p>\n'


# --- the data ------------------------------------------------------------------------------------


def _section(kind: str, data: list[Datum], say: _Words) -> str:
    return f'<h2 id="{kind}">{TITLES[kind]}</h2>\n{_table(data, say)}'


def _table(data: list[Datum], say: _Words, prefix: str = "") -> str:
    seen: set[str] = set()
    rows = ""
    for datum in data:
        anchor = f"{prefix}{type(datum).__name__.lower()}-{datum.id}"
        named = "" if anchor in seen else f' id="{escape(anchor)}"'
        seen.add(anchor)
        doubt = "" if datum.verified else ' class="doubt"'
        mark = "" if datum.verified else f"<br>{_UNVERIFIED}"
        rows += (
            f'<tr{named}{doubt}><td class="article">{escape(datum.article)}{mark}</td>'
            f"<td><p>{escape(datum.text)}</p>{_more(datum, say)}</td>"
            f'<td class="id" data-label="Name of the rule">{escape(datum.id)}</td></tr>\n'
        )
    head = '<tr><th class="article">Article</th><th>In plain words</th><th class="id">Name of the rule</th></tr>'
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def _more(datum: Datum, say: _Words) -> str:
    """What else the datum has, each with a label; in words, not in keys."""
    rows = [*_particulars(datum, say), *_standing_of(datum, say)]
    lines = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in rows if text)
    return f"<dl>{lines}</dl>" if lines else ""


def _standing_of(datum: Datum, say: _Words) -> Iterator[tuple[str, str]]:
    if datum.between is not None:
        yield "Between", _between(datum.between)
    if datum.until_on or datum.from_on != say.from_on:
        yield "From", _day(datum.from_on)
    if datum.until_on:
        yield "Until", _day(datum.until_on)
    if datum.known_from_on:
        yield "Known from", _day(datum.known_from_on)
    if not datum.verified:
        # Where the copy that was read is no official one the basis is the wording, and the rule not verified.
        yield (
            "Rests on",
            "the wording, in a copy or by inference only" if datum.basis == "wording" else BASES[datum.basis],
        )
    if datum.source:
        yield "Source", datum.source
    if datum.note:
        yield "Note", datum.note


def _between(rule: Between) -> str:
    parts = (
        ("both in", rule.both),
        ("the requesting State in", rule.requesting),
        ("the requested State in", rule.requested),
        ("at least one in", rule.one),
        ("none in", rule.neither),
    )
    said = "; ".join(f"{words} {' or '.join(ids)}" for words, ids in parts if ids)
    return f"States of which the lists above say so: {said}. Elsewhere it is not known whether the rule holds."


def _particulars(datum: Datum, say: _Words) -> Iterator[tuple[str, str]]:
    if isinstance(datum, Limit):
        yield from _limit(datum, say)
    elif isinstance(datum, Applicability):
        label = {"bound": "Bound", "not_bound": "Not bound", "declaration": "Declared by"}.get(datum.effect, "States")
        is_list = datum.effect in {"bound", "not_bound"} or datum.id in say.lists
        none = "none is known" if is_list and not datum.pairs else ""
        yield label, ", ".join(_countries(datum.countries)) or none
        yield "Pairs", "; ".join(" and ".join(map(_country, pair)) for pair in datum.pairs)
        if datum.complete:
            yield "Others", "none is meant"
        elif datum.id in say.lists:
            yield "Others", "not known here; for a State that is not listed, what depends on the list is not verified"
        elif datum.effect == "bound":
            yield "Others", "whether another State is bound is not known here"
        yield "For", _codes("request_kinds", datum.kinds)
        yield "Measures", _codes("measures", datum.measures)
    elif isinstance(datum, Stage):
        yield "Has not", say.acts(dict.fromkeys(edit.act for edit in datum.remove))
        yield "Has besides", say.acts(dict.fromkeys(edit.act for edit in datum.add))
        yield "Why", BY_SCOPE if datum.by_scope else ""
    elif isinstance(datum, Particular):
        yield "Form", " ".join(filter(None, [datum.form, datum.section]))
        yield "When", say.act(datum.act)
        yield "Carried by", " or ".join(map(_place, datum.carried_by))
        yield "Required", "" if datum.required else "not in every case, or only if known"
        yield "Copy", " and ".join(f"that of the {view.replace('_', ' ')} only" for view in datum.views)
    elif isinstance(datum, Competence):
        yield "Acts", say.acts(datum.acts)
        yield "Who", _codes("authority_kinds", datum.kinds)
        yield "If validated", _codes("authority_kinds", datum.with_validation)
        yield "Validated by", _codes("authority_kinds", datum.validated_by)
    elif isinstance(datum, Supervision):
        yield "Acts", say.acts(datum.acts)
        yield "Of", say.role(datum.of)
        yield "By", _codes("authority_kinds", datum.by)
    elif isinstance(datum, Ground):
        yield "Nature", "must be refused" if datum.nature == "mandatory" else "may be refused"
        yield "Invoked as", _codes("grounds", datum.grounds) or "nothing: the act has codes of its own"
        yield "In", say.acts(datum.acts)
        yield "By", "" if datum.invoked_by == "requested" else say.role(datum.invoked_by)
        yield "First", "consult the other authority" if datum.consult_first else ""
        yield "Waiver", f"asked for by the {say.role(datum.waiver)}" if datum.waiver else ""
    elif isinstance(datum, Duty):
        yield "When", say.patterns(datum.when)
        yield "Who", f"{say.role(datum.by)}" + (f", towards: {say.role(datum.to)}" if datum.to else "")
        yield "Then", say.patterns(datum.then)
        yield (
            "Time",
            f"within {datum.within}"
            if datum.within
            else f"within {datum.limit}"
            if datum.limit
            else TIMINGS[datum.timing],
        )
        yield "Unless", say.patterns(datum.unless)
        yield "Noticed if", CHECKS[datum.check] if datum.check else ""
    elif isinstance(datum, Use):
        yield "Nature", USES[datum.nature]
        yield "Begins when", say.patterns(datum.attaches_to)
        yield "Binds", say.role(datum.binds)
        yield "Whither", TOWARDS[datum.towards] if datum.towards else ""
        yield "Open remains", _codes("purposes", datum.purposes)
        yield "More if", say.patterns(datum.consent_by)
        yield "Ends when", say.patterns(datum.ends_by)
        yield "Ends with", datum.limit or ""
        yield "Kept for", str(datum.within) if datum.within else ""
    elif isinstance(datum, Remedy):
        yield "Against", say.acts(datum.against)
        yield "Where", f"State of: {say.role(datum.forum)}"
        yield "Examines", _EXAMINES[datum.reviews]
        yield "Suspends", _SUSPENDS[datum.suspensive]
        yield "Available", "" if datum.available else "no"
        yield "Within", datum.limit or ""
    elif isinstance(datum, Force):
        yield "In force", "yes" if datum.in_force else "not yet"
        yield "Needs", f"{datum.ratifications} ratifications" if datum.ratifications else ""
        yield "Then after", str(datum.after) if datum.after else ""
        yield "States", ", ".join(_countries(datum.countries))
        yield "As of", _day(datum.status_on) if datum.status_on else ""
    elif isinstance(datum, Ruling):
        yield "Court", datum.court
        yield "Case", ", ".join(filter(None, [datum.number, datum.ecli]))
        yield "About", ", ".join(datum.about)
    elif isinstance(datum, Words):
        for role, words in datum.roles.items():
            yield ROLES[role].split(" (")[0], words
        for kind, words in datum.things.items():
            yield kind.replace("_", " "), words
        for act, words in datum.acts.items():
            yield say.common.get(act, act), words
        for stage, words in datum.stages.items():
            yield stage.replace(".", ": ").replace("_", " "), words
    where = getattr(datum, "where", None)
    if isinstance(where, Where):
        yield "Holds for", _conditions(where.only)
        yield "Never for", _conditions(where.never)
    for exempt in getattr(datum, "exceptions", ()):
        yield "Except", f"{exempt.text} ({exempt.article})"


_EXAMINES = {
    "substance": "the reasons for the request",
    "execution": "how it is carried out",
    "rights": "whether rights are kept",
    "both": "the reasons and how it is carried out",
    "domestic": "what national law says",
}
_SUSPENDS = {
    "no": "no",
    "yes": "yes",
    "possible": "possible",
    "domestic": "if national law says so",
    "unstated": "the text does not say",
}


def _limit(limit: Limit, say: _Words) -> Iterator[tuple[str, str]]:
    yield "Length", _length(limit)
    yield "Nature", NATURES[limit.nature]
    yield "Who", say.role(limit.by)
    begins = {"occurred": "", "legal_effect": ", from its legal effect"}.get(
        limit.starts_at, f", from the instant that it names ({limit.starts_at.replace('_', ' ')})"
    )
    yield "Begins when", say.patterns(limit.starts) + (begins if limit.starts else "")
    yield "Is met when", say.patterns(limit.ends)
    yield "By", MATCHES[limit.match] if limit.match != "thing" and limit.ends else ""
    yield "Stands still", say.patterns(limit.suspended_by)
    yield "Runs on when", say.patterns(limit.resumed_by)
    yield "Anew when", say.patterns(limit.restarted_by)
    yield "Falls away", say.patterns(limit.waived_by)
    for variant in limit.variants:
        mark = "" if variant.verified else " Not verified."
        yield variant.name.capitalize(), f"{variant.within} ({variant.article}). {variant.text}{mark}"
    if limit.extension is not None:
        yield "Longer if", f"{say.patterns(limit.extension.by)} ({limit.extension.article}). {limit.extension.text}"
    yield "At its end", limit.consequence
    yield "Counted by", "the law of the State that must act" if limit.counting == "national" else ""
    for example in limit.examples:
        how = [example.variant or "", f"extended {example.extended} times" if example.extended > 1 else ""]
        how += ["extended" if example.extended == 1 else "", "standing still between" if example.suspended else ""]
        said = ", ".join(filter(None, how))
        yield (
            "Example",
            f"from {_when(example.start)} in {example.place}{f' ({said})' if said else ''}: {_when(example.due)}",
        )


def _length(limit: Limit) -> str:
    if limit.within is not None:
        return str(limit.within)
    if limit.yearly is not None:
        return f"until {limit.yearly[1]} {MONTHS[limit.yearly[0] - 1]} of the next year"
    if limit.named:
        return f"until the instant that the act names ({limit.named.replace('_', ' ')})"
    return "as the sealed form, or national law, says"


# --- words ---------------------------------------------------------------------------------------


class _Words:
    """How an instrument calls roles and acts: in its own words where it has them."""

    def __init__(self, one: Instrument, procedure: Procedure) -> None:
        self.common = procedure.words
        self.from_on = one.from_on
        # The lists of States on which some rule of the instrument depends.
        self.lists = {name for datum in _all(one) if datum.between is not None for name in datum.between.names()}
        own = [words for versions in one.data.get("words", {}).values() for words in versions[-1:]]
        self._roles: Mapping[str, str] = getattr(own[0], "roles", {}) if own else {}
        self._acts: Mapping[str, str] = getattr(own[0], "acts", {}) if own else {}

    def role(self, role: str) -> str:
        return self._roles.get(role) or ROLES[role].split(" (")[0]

    def act(self, act: str) -> str:
        return self._acts.get(act) or self.common.get(act) or act.replace("_", " ").replace(".", " ")

    def acts(self, acts: Iterable[str]) -> str:
        return "; ".join(map(self.act, acts))

    def patterns(self, patterns: Iterable[Pattern]) -> str:
        said = []
        for one in patterns:
            only = _conditions(one.when, one.act)
            never = _conditions(one.unless, one.act)
            said.append(self.act(one.act) + (f" ({only})" if only else "") + (f" (not if {never})" if never else ""))
        return "; or ".join(said)


@cache
def _lists(act: str) -> dict[str, str]:
    """The code list of each field of an act."""
    schema = json.loads(
        next(iter(sorted((resources.path("schemas") / "acts").glob(f"{act}.*.avsc")))).read_text("utf-8")
    )
    return {field["name"]: field["codes"] for field in schema["fields"] if "codes" in field}


def _conditions(values: Mapping[str, tuple[Any, ...]], act: str = "request.issued") -> str:
    said = []
    for field, allowed in values.items():
        listed = _lists(act).get(field)
        if listed == "countries" and len(allowed) > _MANY:
            words = f"{len(allowed)} States, which the file lists"
        elif listed is not None:
            words = _codes(listed, allowed)
        else:
            words = " or ".join("yes" if one is True else "no" if one is False else str(one) for one in allowed)
        said.append(f"{field.replace('_', ' ')}: {words}")
    return "; ".join(said)


_MANY = 40
"""Above so many States a list says nothing to a reader."""


def _codes(name: str, codes: Iterable[str]) -> str:
    labels = catalogue().codes(name)
    return ", ".join(labels.get(code, code) for code in codes)


def _country(code: str) -> str:
    return catalogue().codes("countries").get(code, code)


def _countries(codes: Iterable[str]) -> list[str]:
    return sorted(map(_country, codes))


def _place(place: str) -> str:
    """Where the ledger carries a particular."""
    where, _, name = place.partition(".")
    if where == "attachment":
        return f"the sealed attachment “{catalogue().codes('attachment_roles').get(name, name)}”"
    return f"{name.replace('_', ' ')} of the {'act' if where == 'body' else 'statement'}"


def _day(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _when(moment: Any) -> str:
    """A day, or a local date-time, as an example gives it."""
    return f"{_day(moment)}{f', {moment:%H:%M}' if hasattr(moment, 'hour') else ''}"


# --- the drawing ---------------------------------------------------------------------------------


def _drawings(procedure: Procedure, one: Instrument) -> Iterator[str]:
    """Draw the graph of requests, and each other graph that the instrument edits, or of whose things it speaks."""
    edited = {
        edit.kind
        for data in one.data.get("stage", {}).values()
        for stage in data
        for edit in (*getattr(stage, "add", ()), *getattr(stage, "remove", ()))
    }
    asks = any(isinstance(datum, Particular) and datum.act == "request.issued" for datum in _all(one))
    streams = one.applies_to.streams if one.applies_to is not None else ()
    # What nobody names, and what has no form for a request, has none: it is about other things, or about all.
    kinds = ["request"] if asks or not streams else []
    kinds += streams if len(streams) == 1 else ()
    drawn = "".join(
        part for kind in (*kinds, *sorted(edited - {"request", *kinds})) for part in _drawing(procedure, kind)
    )
    yield (
        f"{_LEGEND}{drawn}" if drawn else "<p>It has no procedure of its own: it is about what is done in others.</p>\n"
    )


_LEGEND = (
    "<p>A box is a stage; a line is a step from one stage to another, and its number is that of the step in the list "
    "below the drawing. What is said out of turn is kept all the same, and marked.</p>\n"
)
_LAYOUT = {"direction": "topbottom", "spacing": {"layer_gap": 30.0, "node_gap": 34.0}}
"""Close enough to be read where the drawing is made to fit a sheet of paper."""
_FEWEST = 2
"""A single stage is no procedure."""


def _drawing(procedure: Procedure, kind: str) -> Iterator[str]:
    graph = procedure.graphs[kind]
    reached = _reached(graph.edges)
    steps: dict[tuple[str, str], list[str]] = {}
    anywhere: dict[str, set[str]] = {}
    begins: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.to is not None and edge.origin is None:
            begins.setdefault(edge.to, []).append(_step(procedure, edge.act))
        if edge.to is not None and edge.origin != edge.to and (edge.origin is None or edge.origin in reached):
            anywhere.setdefault(edge.to, set()).add(edge.origin or "")
    many = {to for to, origins in anywhere.items() if len(origins) > 5}
    for edge in graph.edges:
        if edge.to is None or edge.to == edge.origin or (edge.origin is not None and edge.origin not in reached):
            continue
        if edge.to in many and edge.origin is not None:
            continue
        acts = steps.setdefault((edge.origin or "", edge.to), [])
        if edge.act not in acts:
            acts.append(edge.act)
    drawn = sorted({stage for pair in steps for stage in pair if stage}, key=list(graph.stages).index)
    if len(drawn) < _FEWEST:
        return  # the instrument has dropped every step between stages
    plan = graphlay.Graph()
    for stage in drawn:
        plan.node(stage, width=9 * len(stage) + 24, height=30)
    numbered = [pair for pair in steps if pair[0]]
    for origin, to in numbered:
        plan.edge(origin, to)
    layout = graphlay.layout(plan, preset="process_map", options=_LAYOUT)
    yield f"<h3>{escape(graph.words[:1].upper() + graph.words[1:])}</h3>\n"
    yield f"<figure>{_svg(layout, drawn)}</figure>\n"
    yield from (
        f"<p>It begins as <b>{escape(_stage(to))}</b>: {escape('; '.join(dict.fromkeys(acts)))}.</p>\n"
        for to, acts in begins.items()
    )
    listed = "".join(
        f"<li>{escape(_stage(origin))} &rarr; {escape(_stage(to))}: "
        f"{escape('; '.join(_step(procedure, act) for act in steps[origin, to]))}</li>\n"
        for origin, to in numbered
    )
    yield f'<ol class="steps">\n{listed}</ol>\n'
    for to in sorted(many):
        how = "; ".join(sorted({_step(procedure, edge.act) for edge in graph.edges if edge.to == to}))
        yield f"<p>From most stages it may also become <b>{escape(_stage(to))}</b>: {escape(how)}.</p>\n"


def _reached(edges: Collection[Edge]) -> set[str]:
    """The stages to which some way leads from the beginning; an instrument that drops steps leaves others behind."""
    known: set[str] = set()
    grown = True
    while grown:
        more = {e.to for e in edges if e.to is not None and (e.origin is None or e.origin in known)} - known
        known |= more
        grown = bool(more)
    return known


def _step(procedure: Procedure, act: str) -> str:
    """The words of an act; those of a draft act are its name."""
    return procedure.words.get(act, act.replace("_", " ").replace(".", " "))


def _stage(name: str) -> str:
    return name.replace("_", " ")


def _svg(layout: Any, drawn: list[str]) -> str:
    boxes, lines, labels = [], [], []
    places = [(*_xy(node["center"]), node["size"]["width"], node["size"]["height"]) for node in layout.nodes]
    corners = [_xy(point) for edge in layout.edges for point in edge["points"]]
    for cx, cy, w, h in places:
        corners += [(cx - w / 2, cy - h / 2), (cx + w / 2, cy + h / 2)]
    xs, ys = zip(*corners, strict=True)
    left, top, width, height = min(xs) - 16, min(ys) - 16, max(xs) - min(xs) + 32, max(ys) - min(ys) + 32
    taken = [(cx, cy, w / 2 + 8, h / 2 + 7) for cx, cy, w, h in places]
    for number, edge in enumerate(layout.edges, 1):
        path = [_xy(point) for point in edge["points"]]
        along = " L".join(f"{px:.1f} {py:.1f}" for px, py in path)
        lines.append(f'<path d="M{along}" fill="none" stroke="#555" marker-end="url(#a)"/>')
        lx, ly = _free(path, taken)
        taken.append((lx, ly, 18.0, 13.0))
        labels.append(
            f'<text x="{lx:.1f}" y="{ly + 4:.1f}" font-size="11" text-anchor="middle" stroke="#fff" stroke-width="4" '
            f'paint-order="stroke">{number}</text>'
        )
    for stage, (cx, cy, w, h) in zip(drawn, places, strict=True):
        box = f'x="{cx - w / 2:.1f}" y="{cy - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}"'
        boxes.append(f'<rect {box} rx="4" fill="#f3f2f1" stroke="#111"/>')
        boxes.append(f'<text x="{cx:.1f}" y="{cy + 5:.1f}" font-size="14" text-anchor="middle">{_stage(stage)}</text>')
    view = f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}"
    return (
        f'<svg viewBox="{view}" width="{width:.0f}" height="{height:.0f}" '
        # Smaller it could not be read: on a narrow screen it is moved sideways.
        f'style="min-width: {min(width, 544):.0f}px" role="img" '
        'aria-label="Stages and steps; the list below says the same">\n'
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>\n{"".join(lines + boxes + labels)}</svg>\n'
    )


def _free(path: list[tuple[float, float]], taken: list[tuple[float, float, float, float]]) -> tuple[float, float]:
    """
    Where the number of a line stands: on its longest stretch, clear of boxes and of other numbers.

    Args:
        path: the corners of the line.
        taken: centre and half width and height of what stands already.
    """
    stretches = sorted(pairwise(path), key=lambda pair: -abs(pair[0][0] - pair[1][0]) - abs(pair[0][1] - pair[1][1]))
    tried = [
        (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part)
        for (x1, y1), (x2, y2) in stretches
        for part in (0.5, 0.35, 0.65, 0.2, 0.8)
    ]
    clear = (
        (x, y)
        for x, y in tried
        if all(abs(x - cx) >= width or abs(y - cy) >= height for cx, cy, width, height in taken)
    )
    return next(clear, tried[0])


def _xy(point: Mapping[str, float]) -> tuple[float, float]:
    return point["x"], point["y"]
