"""What the command line shows: progress of a sync, tables, one-sentence errors.

In: events, rows, errors. Out: text on a terminal or in a log. No logic of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..sync.progress import Event

_DOING = {
    "running": "Stripe works on",
    "adopted": "found at Stripe:",
    "downloading": "downloading",
    "parsing": "reading",
    "fetched": "ready:",
}


NOTHING_NEW = "nothing new"
ROOMY = 120
"""Columns from which on there is room for clocks and words beside the bars."""
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


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a text as it is, however long its lines are."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class SyncProgress:
    """A bar per table, on a terminal; a line per table in a log.

    Args:
        console: where to.
        only_loaded: in a log, no line for a table of which nothing is loaded.
    """

    def __init__(self, console: Console, *, only_loaded: bool = False) -> None:
        self._console = console
        self._only_loaded = only_loaded
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._rows: dict[tuple[str, str], int] = {}
        wide = console.width >= ROOMY
        self._progress = Progress(
            SpinnerColumn("dots" if console.encoding.startswith("utf") else "line", finished_text="[green]✓"),
            TextColumn("{task.fields[table]:<38}"),
            BarColumn(bar_width=24 if wide else 8),
            MofNCompleteColumn(),
            TextColumn("intervals, {task.fields[rows]:>9,} rows" if wide else "{task.fields[rows]:>7,} rows"),
            *((TimeElapsedColumn(), TextColumn("[dim]{task.description}")) if wide else ()),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> SyncProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.stop()  # which, before rich 15, leaves an empty line in a log
            return
        for (table, account), rows in self._rows.items():
            if self._only_loaded and not rows:
                continue
            self._console.print(f"{table} [{account}]: {rows} rows", markup=False, highlight=False)

    def __call__(self, event: Event) -> None:
        """Show an event; called from several threads."""
        with self._lock:
            self._show(event)

    def _show(self, event: Event) -> None:
        key = (event.table, event.account)
        if event.kind in ("planned", "up_to_date"):
            if key in self._tasks:  # another pass over the same reports
                self._go_on(self._tasks[key], event)
                return
            self._rows[key] = 0
            name = event.table if event.account == "default" else f"{event.table} [{event.account}]"
            task = self._progress.add_task("", table=name, rows=0, total=event.count)
            self._tasks[key] = task
            if event.kind == "up_to_date":
                self._progress.update(task, total=1, completed=1, description=NOTHING_NEW)
            return
        task_id = self._tasks.get(key)
        if task_id is None:
            return
        interval = _days(event)
        if event.kind in ("loaded", "skipped"):
            self._rows[key] += event.count
            self._progress.update(task_id, advance=1, rows=self._rows[key], description="")
        elif event.kind == "failed":
            self._progress.update(task_id, description=f"[red]failed at {interval}")
            self._progress.stop_task(task_id)
        else:
            self._progress.update(task_id, description=f"{_DOING[event.kind]} {interval}")

    def _go_on(self, task_id: TaskID, event: Event) -> None:
        if event.kind == "planned":
            done = self._progress.tasks[task_id]
            idle = done.description == NOTHING_NEW
            total = event.count + (0 if idle else int(done.total or 0))
            self._progress.update(task_id, total=total, completed=0 if idle else done.completed, description="")


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
            say(console, f"{name:<{wide}}  {text}")


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


def _days(event: Event) -> str:
    return "" if event.interval is None else f"{event.interval.start:%Y-%m-%d}"
