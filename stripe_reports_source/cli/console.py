"""What the command line shows: sentences and tables.

In: texts and rows. Out: text on a terminal or in a log. No logic of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from .columns import paragraph

WIDE = 4096
"""Columns of what is not a terminal: nothing is folded there."""


def standard_output() -> Console:
    """The standard output."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def standard_error() -> Console:
    """The standard error: for progress and notes where the standard output belongs to data."""
    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=WIDE)


def say(console: Console, text: str, style: str | None = None, indent: str = "") -> None:
    """Print a text as it is; on a terminal its lines are broken between words.

    Args:
        console: where to.
        text: of one line or more.
        style: rich's.
        indent: on a terminal, before what goes on in another line.
    """
    if console.is_terminal:
        text = "\n".join(_fitted(line, console.width, indent) for line in text.split("\n"))
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _fitted(line: str, width: int, indent: str) -> str:
    if len(line) <= width:
        return line
    begin = line[: len(line) - len(line.lstrip())]
    return "\n".join(paragraph(line.lstrip(), width, begin + indent, begin))


def show_table(console: Console, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, numbers to the right; where the terminal is too narrow for it, a line for each value instead.

    Ids, names and times are copied from it, so nothing is folded or cut.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    shown = [[cell(value) for value in row] for row in rows]
    numeric = [bool(shown) and all(row[index][1] for row in shown) for index in range(len(columns))]
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for row in shown:
        table.add_row(*(escape(text) for text, _ in row))
    if Measurement.get(Console(width=WIDE), Console(width=WIDE).options, table).maximum <= console.width:
        console.print(table)
        return
    if title:
        say(console, title, "bold")
    wide = max(map(len, columns))
    for row in shown:
        say(console, "")
        for name, (text, _) in zip(columns, row, strict=True):
            say(console, f"{name:<{wide}}  {text}", indent=" " * (wide + 2))


def cell(value: object) -> tuple[str, bool]:
    """A value as a table shows it, and whether it is a number."""
    if value is None:
        return "-", True
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, int):
        return f"{value:,}", True
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M"), False
    if isinstance(value, timedelta):
        return span(value), False
    return str(value), False


def span(value: timedelta) -> str:
    """A duration in days and hours."""
    hours = int(value.total_seconds() // 3600)
    if hours == 0:
        return "up to date"
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h"
