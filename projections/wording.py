"""
Words of acts, codes and instruments for findings, where only their names are known: no view, no clock.

An act is said as the procedure has it, in a clause that follows "that": "the exhibit is taken over". A code is
said with the words of its list. What has no words of its own is an error of the release, shown by the tests.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ledger.acts import catalogue
from ledger.domain import procedure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.law.data import Pattern

__all__ = ["cited", "clause", "clauses", "joined", "label"]


@cache
def _codes(codes: str) -> dict[str, str]:
    return dict(catalogue().codes(codes))


def label(codes: str, code: str) -> str:
    """
    Return the words of a code as they stand within a sentence; names keep their capital.

    >>> label("countries", "FR"), label("grounds", "dual_criminality")[:1].islower()
    ('France', True)
    """
    words = _codes(codes).get(code) or code.replace("_", " ")
    if codes in {"countries", "instruments"} or words[1:2].isupper():
        return words
    return words[:1].lower() + words[1:]


def clause(act: str) -> str:
    """
    Return the act as a clause.

    >>> clause("exhibit.taken_over")
    'the exhibit is taken over'
    """
    return procedure.load().words.get(act) or act.replace(".", " ").replace("_", " ")


def _asked(pattern: Pattern) -> str:
    """An act with what is asked of its fields, each in the words of its list or of its own description."""
    fields = {field["name"]: field for field in catalogue().codec_of(pattern.act).schema["fields"]}
    more = []
    for name, values in pattern.when.items():
        codes = fields[name].get("codes")
        if codes is not None:
            more.append(joined([label(codes, str(value)) for value in values], "or"))
        else:
            doc = fields[name]["doc"]
            yes = "yes" if values == (True,) else "no" if values == (False,) else joined(map(str, values), "or")
            more.append(f"{doc[:1].lower()}{doc[1:]}: {yes}")
    return clause(pattern.act) + (f" ({'; '.join(more)})" if more else "")


def clauses(patterns: Iterable[Pattern], value: str | None = None) -> str:
    """
    Return what is not recorded, where any one of several acts would have been enough.

    Args:
        patterns: the acts.
        value: which of several it is about; a State is named, an id is not.
    """
    of = f", as to {label('countries', value)}" if value in _codes("countries") else ""
    said = dict.fromkeys(_asked(pattern) for pattern in patterns)
    return "it is not recorded that " + joined(said, "or", "that ") + of


def joined(words: Iterable[str], last: str = "and", again: str = "") -> str:
    """
    Join words as a sentence does.

    >>> joined(["a", "b", "c"], "or"), joined(["a is", "b is"], "or", "that ")
    ('a, b or c', 'a is, or that b is')
    """
    first, *rest = [*words] or [""]
    if again:
        return first + "".join(f", {last} {again}{word}" for word in rest)
    return first if not rest else f"{', '.join([first, *rest[:-1]])} {last} {rest[-1]}"


def cited(article: str, word: str = "Article") -> str:
    """
    Return a provision as it is cited: a bare number is an article; anything else says itself what it is.

    >>> cited("12(3)"), cited("12(3)", "Art."), cited("§ 80 IRG")
    ('Article 12(3)', 'Art. 12(3)', '§ 80 IRG')
    """
    return f"{word} {article}" if article[:1].isdigit() else article
