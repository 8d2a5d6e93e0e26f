"""The answers of docs/marts.md are those of the business's own books; that queries give them is in `test_results`."""

from __future__ import annotations

import re

import pytest

from tests.marts.truth import Truth

from .pages import DOCS, blocks_of
from .questions import ANSWERS
from .results import shown

PAGE = DOCS / "marts.md"


@pytest.fixture(scope="module")
def truth() -> Truth:
    """The books of the demonstration."""
    return Truth.of_demonstration()


def told() -> dict[str, str]:
    """The table below each question's query."""
    text = PAGE.read_text("utf-8")
    headings = {
        text.count("\n", 0, found.start()): found[1] for found in re.finditer(r"^### (.+\?)$", text, re.MULTILINE)
    }
    answers = {}
    for block in blocks_of(PAGE):
        if block.language == "sql":
            line = max(line for line in headings if line < block.line)
            answers[headings[line]] = block.table or ""
    return answers


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_is_that_of_the_books(question: str, truth: Truth) -> None:
    rows = [f"| {' | '.join(map(shown, row))} |" for row in ANSWERS[question](truth)]
    assert told()[question].splitlines()[2:] == rows
    assert rows


def test_every_question_of_the_page_has_its_answer() -> None:
    assert list(told()) == list(ANSWERS)
