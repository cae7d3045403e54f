"""What the kit's pages show is what the code makes."""

from __future__ import annotations

import re
from pathlib import Path

from kit.conformance import vectors
from kit.examples import EXAMPLES, PAGE, page
from kit.sample import PLAIN
from ledger.statement import decode_statement

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_every_example_of_the_wire_is_made_by_the_code():
    """Nobody builds against a byte that we do not send."""
    text = PAGE.read_text(encoding="utf-8")

    assert page(text) == text
    assert set(EXAMPLES) == set(re.findall(r"<!-- example: ([a-z]+) -->", text))


def test_the_bytes_of_the_example_are_a_statement():
    """Joined in order, the fields of the page decode to what they say."""
    table = PAGE.read_text(encoding="utf-8").split("<!-- example: statement -->")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^ *(\d+)  (\w+) +([0-9a-f]+)$", table, re.MULTILINE)
    data = bytes.fromhex("".join(row[2] for row in rows))

    assert PLAIN == data
    assert [row[1] for row in rows] == list(decode_statement(data).__slots__)


def test_the_groups_of_the_page_are_those_of_the_suite():
    """Each group and each operation is explained."""
    said = (DOCS / "publisher-kit" / "conformance.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", said, re.MULTILINE))
    asked = vectors()

    assert {vector.group for vector in asked} == rows.keys()
    for vector in asked:
        assert f"`{vector.do}`" in rows[vector.group]


def test_the_agreement_says_that_it_is_a_template():
    """Nobody takes engineers for counsel."""
    text = (DOCS / "agreement" / "model-agreement.md").read_text(encoding="utf-8")

    assert "**A template, and not legal advice.**" in text
    assert "It needs counsel in every State that signs" in text
