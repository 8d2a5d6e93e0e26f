"""The picture of a terminal in README: the demonstration, run at 80 columns, and a part of what it prints as SVG.

In: an empty folder. Out: what a terminal gets, with its colours; a capture is kept beside this file.
"""

from __future__ import annotations

import html
import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from .pages import DOCS

CAPTURE = Path(__file__).with_name("demo.ansi")
PICTURE = DOCS / "demo.svg"
COMMAND = "$ stripe-reports demo"
LEFT_OUT = "[...]"
COLUMNS = 80
PARTS = (
    ("stripe-reports demo:", "tied:"),
    ("Balance, June 2025, account default, usd", "of it not yet paid"),
    ("A day later", "again; by itself"),
    ("tied:", "    UTC): load it again"),
    ("7 report runs", "7 report runs"),
    ("tied:", "tied:"),
)
"""How the first and last lines of each part begin that the picture shows; each is looked for after the last."""


def run_demo(folder: Path) -> str:
    """Run the demonstration in a folder, where it leaves its database; what it prints on a terminal of 80 columns."""
    environment = {
        **os.environ,
        "COLUMNS": str(COLUMNS),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "FORCE_COLOR": "1",  # as on a terminal
        "TTY_INTERACTIVE": "0",  # each bar as it is in the end
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    for name in ("NO_COLOR", "TERM"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "stripe_reports_source.cli", "demo"],
        cwd=folder,
        env=environment | {"TERM": "xterm-256color"},
        capture_output=True,
        text=True,
        check=True,
    )
    cursor_shown = re.sub(r"\x1b\[\?25[lh]\n?", "", done.stdout)
    at_home = cursor_shown.replace(str(folder.resolve()), "/home/ada").replace(str(folder), "/home/ada")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:40000", at_home)


def plain(capture: str) -> str:
    """A capture without its colours."""
    return Text.from_ansi(capture).plain


def shown_lines(capture: str) -> list[str]:
    """The lines that the picture shows, with their colours."""
    lines = capture.splitlines()
    told = plain(capture).splitlines()
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


def make(folder: Path) -> None:
    """Run the demonstration in a folder, keep the capture and draw the picture."""
    capture = run_demo(folder)
    CAPTURE.write_text(capture, encoding="utf-8")
    PICTURE.write_text(draw(capture), encoding="utf-8")
