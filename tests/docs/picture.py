"""The picture of a terminal in README: a part of what the demonstration prints at 80 columns, as SVG.

In: the capture that the tests of the terminal keep, with its colours. Out: the picture.
"""

from __future__ import annotations

import html
import io
import re

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.terminal import captures

from .pages import DOCS

CAPTURE = captures.file_of("demo", "80")
PICTURE = DOCS / "demo.svg"
COMMAND = "$ stripe-reports demo"
LEFT_OUT = "[...]"
COLUMNS = 80
PARTS = (
    ("stripe-reports demo:", "tied:"),
    ("Balance, June 2025, account default, usd", "of it not yet paid"),
    ("A day later", "by itself"),
    ("tied:", "    (2025-07-02 00:00 UTC): load it again"),
    ("7 report runs", "7 report runs"),
    ("tied:", "tied:"),
)
"""How the first and last lines of each part begin that the picture shows; each is looked for after the last."""


def shown_lines(capture: str) -> list[str]:
    """The lines that the picture shows, with their colours."""
    lines = capture.splitlines()
    told = captures.plain(capture).splitlines()
    kept, at = [COMMAND], 0
    for first, last in PARTS:
        start = next(index for index in range(at, len(lines)) if told[index].startswith(first))
        end = next(index for index in range(start, len(lines)) if told[index].startswith(last)) + 1
        if start > at + 1:
            kept += ["", LEFT_OUT, ""]
        elif start > at:
            kept.append("")
        kept += lines[start:end]
        at = end
    return kept


def draw(capture: str) -> str:
    """The picture, as SVG."""
    console = Console(record=True, width=COLUMNS + 2, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi("\n".join(shown_lines(capture))), soft_wrap=True)
    drawn = console.export_svg(title="stripe-reports demo", theme=DIMMED_MONOKAI, unique_id="demo")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # fonts from elsewhere on the web


def texts(drawn: str) -> list[str]:
    """What a picture says, line by line, whatever the version that drew it."""
    return [html.unescape(text) for text in re.findall(r"<text [^>]*>([^<]*)</text>", drawn)]


def make() -> None:
    """Draw the picture of the capture that is kept."""
    PICTURE.write_text(draw(CAPTURE.read_text(encoding="utf-8")), encoding="utf-8")
