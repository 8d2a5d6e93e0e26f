"""The pages of the documentation, and the code blocks in them. Pure.

A block is run by its language, see `test_blocks.py` and `test_results.py`. The one way to leave a block out is a line
`<!-- not run: why -->` above it; it is still read by its language's parser.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
ELSEWHERE = ("airflow.md", "proof.md")
"""Pages whose blocks have tests of their own."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: [^\n]+ -->\n\s*\Z")
_TABLE = re.compile(r"\n\n(?P<table>(?:\|[^\n]*\n)+)")


@dataclass(frozen=True)
class Block:
    """A code block: where it is, its language and text, whether it is run, and the table right below it."""

    page: Path
    line: int
    language: str
    text: str
    run: bool
    table: str | None
    table_at: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        below = _TABLE.match(text, found.end())
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            language=found["language"],
            text=textwrap.dedent(found["text"]),
            run=_NOT_RUN.search(text, 0, found.start()) is None,
            table=below["table"] if below else None,
            table_at=below.span("table") if below else (found.end(), found.end()),
        )


def blocks(*languages: str) -> list[Block]:
    """All code blocks in these languages, of all pages that have no tests of their own."""
    pages = [page for page in PAGES if page.name not in ELSEWHERE]
    return [block for page in pages for block in blocks_of(page) if block.language in languages]
