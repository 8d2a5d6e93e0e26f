"""What a command shows while it loads: a bar per table, and above them what is being done, until all is stored.

In: events of a load, and what dlt says of its own steps. Out: text that moves on a terminal, lines in a log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any

from dlt import Pipeline
from dlt.common.runtime.collector_base import Collector
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from ..errors import SyncFailed
from ..sync.progress import Event

LOOKING = "looking at what is loaded and what is new at Stripe"
COMPARING = "comparing the reports with one another"
READING = "reports are made at Stripe and read"
_DOING = {
    "running": "Stripe works on",
    "adopted": "found at Stripe:",
    "downloading": "downloading",
    "parsing": "reading",
    "fetched": "ready:",
}
_STEPS = {"Normalize": "preparing", "Load": "writing"}
"""What dlt's steps after the last file are called, by the first word of dlt's own name."""
NOTHING_NEW = "nothing new"
NOT_STORED = "not stored"
ROOMY = 120
"""Columns from which on there is room for words beside the bars."""
NARROW = 76
"""Columns below which there is no room for the number of rows."""


class SyncProgress:
    """A bar per table, on a terminal; a line per table in a log.

    Mark, bar, count and clock have their place at any width; the name of the table, or what is being done, is cut.

    Args:
        console: where to.
        pipeline: whose steps are shown as well: what happens after the last file.
        begins: what is done first.
        only_loaded: in a log, no line for a table of which nothing is loaded.
    """

    def __init__(
        self, console: Console, pipeline: Pipeline, *, begins: str = LOOKING, only_loaded: bool = False
    ) -> None:
        self._console = console
        self._pipeline = pipeline
        self._collector = pipeline.collector
        self._only_loaded = only_loaded
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._rows: dict[tuple[str, str], int] = {}
        self._stored: dict[tuple[str, str], int] = {}
        self._not_stored = 0
        self._in_step = False
        self._bars = _Bars(console, begins)

    def __enter__(self) -> SyncProgress:
        self._pipeline.collector = _Steps(self)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.collector = self._collector
        self._bars.say(None)
        kept = self._kept(error)
        if self._console.is_terminal:
            for key, rows in kept.items():
                if rows != self._rows[key]:
                    self._bars.update(self._tasks[key], rows=rows, failed=True, description=NOT_STORED)
            self._bars.stop()  # which, before rich 15, leaves an empty line in a log
            return
        only_loaded = self._only_loaded or not isinstance(error, SyncFailed | None)
        for (table, account), rows in kept.items():
            if only_loaded and not rows:
                continue
            self._console.print(f"{table} [{account}]: {rows} rows", markup=False, highlight=False, soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Show an event; called from several threads."""
        with self._lock:
            self._show(event)
            if not self._in_step:
                self._bars.say(READING)

    def begin_step(self, name: str) -> None:
        """Show a step of dlt's, if it is one after the last file."""
        verb = _STEPS.get(name.partition(" ")[0])
        if verb is not None:
            with self._lock:
                self._in_step = True
                rows = f"{self._not_stored:,} rows" if self._not_stored else "what was found"
                self._bars.say(f"{verb} {rows} {'into' if verb == 'writing' else 'for'} the database")

    def end_step(self, name: str, *, failed: bool = False) -> None:
        """A step of dlt's is over; `failed` where an error has ended it."""
        with self._lock:
            self._in_step = False
            if name.startswith("Load") and not failed:
                self._stored = dict(self._rows)
                self._not_stored = 0
                self._bars.say(COMPARING if self._bars.all_read else READING)

    def _kept(self, error: BaseException | None) -> dict[tuple[str, str], int]:
        """The rows of each table that are stored: what an error says, or what was read when packages were loaded."""
        if error is None:
            return self._rows
        tables = getattr(getattr(error, "loaded", None), "tables", None)
        stored = self._stored if tables is None else {(each.table, each.account): each.rows for each in tables}
        return {key: stored.get(key, 0) for key in self._rows}

    def _show(self, event: Event) -> None:
        key = (event.table, event.account)
        if event.kind in ("planned", "up_to_date"):
            if key in self._tasks:  # another pass over the same reports
                self._go_on(self._tasks[key], event)
                return
            self._rows[key] = 0
            name = event.table if event.account == "default" else f"{event.table} [{event.account}]"
            task = self._bars.add_task("", table=name, rows=0, failed=False, total=event.count)
            self._tasks[key] = task
            if event.kind == "up_to_date":
                self._bars.update(task, total=1, completed=1, description=NOTHING_NEW)
            return
        task_id = self._tasks.get(key)
        if task_id is None:
            return
        interval = _days(event)
        if event.kind in ("loaded", "skipped"):
            self._rows[key] += event.count
            self._not_stored += event.count
            self._bars.update(task_id, advance=1, rows=self._rows[key], description="")
        elif event.kind == "failed":
            self._bars.update(task_id, failed=True, description=f"failed at {interval}")
            self._bars.stop_task(task_id)
        else:
            self._bars.update(task_id, description=f"{_DOING[event.kind]} {interval}")

    def _go_on(self, task_id: TaskID, event: Event) -> None:
        if event.kind == "planned":
            done = self._bars.tasks[task_id]
            idle = done.description == NOTHING_NEW
            total = event.count + (0 if idle else int(done.total or 0))
            self._bars.update(task_id, total=total, completed=0 if idle else done.completed, description="")


class _Bars(Progress):
    """The bars, and above them a line for what is being done; none for None."""

    def __init__(self, console: Console, begins: str) -> None:
        self._doing: str | None = None
        self._began = time.monotonic()
        self._moving = Spinner("dots" if _has_marks(console) else "line", style="progress.spinner")
        wide, narrow = console.width >= ROOMY, console.width < NARROW
        rows = "{task.fields[rows]:>9,} rows" if wide else "{task.fields[rows]:>7,} rows"
        super().__init__(
            _Mark(console, self._moving),
            _Cut("{task.fields[table]}", console),
            BarColumn(bar_width=24 if wide else 6 if narrow else 8),
            MofNCompleteColumn(),
            *(() if narrow else (TextColumn(rows),)),
            TimeElapsedColumn(),
            *((_Cut("[dim]{task.description}", console),) if wide else ()),
            console=console,
            disable=not console.is_terminal,
        )
        self._doing = begins  # not before: rich looks at what is to be shown while it is made

    def say(self, doing: str | None) -> None:
        """What is being done from now on; it is shown at once, however short it is."""
        if doing != self._doing:
            self._doing = doing
            self.refresh()

    @property
    def all_read(self) -> bool:
        """Whether no table waits for a file."""
        return all(task.finished or task.fields["failed"] for task in self.tasks)

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is shown now."""
        if self._doing is not None:
            line = Table.grid(Column(no_wrap=True), Column(), Column(no_wrap=True), padding=(0, 1))
            clock = timedelta(seconds=int(time.monotonic() - self._began))
            line.add_row(self._moving, _cut(Text(self._doing), self.console), Text(str(clock), "progress.elapsed"))
            yield line
        yield self.make_tasks_table(self.tasks)


class _Mark(ProgressColumn):
    """Whether a table is done, has failed, or is under way."""

    def __init__(self, console: Console, moving: Spinner) -> None:
        done, failed = ("✓", "✗") if _has_marks(console) else ("*", "x")
        self._done, self._failed = Text(done, "green"), Text(failed, "red")
        self._moving = moving
        super().__init__()

    def render(self, task: Task) -> RenderableType:
        """The mark of a table."""
        if task.fields["failed"]:
            return self._failed
        return self._done if task.finished else self._moving.render(task.get_time())


class _Cut(TextColumn):
    """Text that is cut where the line is too long for the terminal; other columns keep their width."""

    def __init__(self, text: str, console: Console) -> None:
        self._console = console
        super().__init__(text, table_column=Column())

    def render(self, task: Task) -> Text:
        """The text of a table."""
        return _cut(super().render(task), self._console)


def _cut(text: Text, console: Console) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis" if _has_marks(console) else "crop"
    return text


def _has_marks(console: Console) -> bool:
    """Whether what is written there can have more than ASCII."""
    return console.encoding.startswith("utf")


class _Steps(Collector):
    """Told by dlt of each step of a pipeline."""

    def __init__(self, shown: SyncProgress) -> None:
        self._shown = shown

    def update(
        self,
        name: str,
        inc: int = 1,
        total: int | None = None,
        inc_total: int | None = None,
        message: str | None = None,
        label: str | None = None,
    ) -> None:
        """Counters of dlt's, which say less than the bars."""

    def _start(self, step: str) -> None:
        self._shown.begin_step(step)

    def _stop(self) -> None:
        self._shown.end_step(self.step)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._shown.end_step(self.step, failed=error is not None)


def _days(event: Event) -> str:
    return "" if event.interval is None else f"{event.interval.start:%Y-%m-%d}"
