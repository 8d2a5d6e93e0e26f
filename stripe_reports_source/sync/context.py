"""What a sync is run under: bounds, listeners and the failures that are collected.

In: what `load_reports` was called with, or nothing for a plain `pipeline.run`. Out: a `Load`, which a sync asks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ..errors import Failure, StripeReportsError, TableRefused
from ..plan.cells import CellFailure
from ..plan.windows import Days
from ..stripe_api.run_events import RunEvents
from ..warehouse.kept_open import KeptOpen
from .progress import Event

PACKAGE_SECONDS = 20
"""How long a package takes more cells than it has to: each costs the destination and dlt much the same."""
ANY_CELL = ""
"""Stands for all cells of a table."""


class SpoiledPackage(Exception):
    """Ends an extraction that holds part of a cell whose file turned out not to fit."""


class GivesWay(Exception):
    """Ends an extraction that holds nothing and waits for Stripe, as another load waits for the lock."""


@dataclass
class Load:
    """A call of `load_reports`; the defaults are those of a plain `pipeline.run`.

    Args:
        collects: failures are collected and cells bounded; else the first failure ends the one package there is.
        max_cells, max_bytes: of a load package.
        most_cells: of a load package that has as many as `max_cells` within `PACKAGE_SECONDS`; None does not let it.
        on_event: called with each event, from several threads.
        stop: once set, the load ends after the present package.
        run_events: tells the workers that a run has ended.
        plans_only: nothing is fetched or loaded: the sync ends when all its reports are planned.
        exact: interval keys by table: those cells alone are loaded again, and no cursor is moved; None for a sync.
        days: first day and the day after the last: those cells alone, as far as Stripe has them, and no cursor is
            moved; None for what the source asks for.
        wanted: tells whether another load waits for the lock.
        database: of the pipeline; others may have it while the load waits.
    """

    collects: bool = False
    max_cells: float = math.inf
    max_bytes: float = math.inf
    on_event: Callable[[Event], None] = lambda event: None
    stop: threading.Event | None = None
    run_events: RunEvents | None = None
    plans_only: bool = False
    exact: Mapping[str, Collection[str]] | None = None
    days: Days | None = None
    wanted: Callable[[], bool] = lambda: False
    database: KeptOpen = field(default_factory=KeptOpen)
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    """What is not loaded, by table and cell key or `ANY_CELL`: of what fails twice, the later one."""
    spoiled: dict[tuple[str, str], CellFailure] = field(default_factory=dict)
    """Failures, by table and cell key or `ANY_CELL`, that were found after part of the cell had been extracted."""
    cells: int = 0
    bytes: int = 0
    gives_way: bool = False
    """The present package ends with what it holds, as another load waits for the lock."""
    most_cells: float | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def full(self) -> bool:
        """True when the present package holds enough, or is to end with what it holds."""
        if self.stopped or self.gives_way or self.bytes >= self.max_bytes:
            return True
        if self.cells < self.max_cells:
            return False
        late = time.monotonic() - self._began >= PACKAGE_SECONDS
        return late or self.most_cells is None or self.cells >= self.most_cells

    @property
    def stopped(self) -> bool:
        """True when the caller wants the load to end."""
        return self.stop is not None and self.stop.is_set()

    def refuse(self, tables: Mapping[str, str]) -> bool:
        """Let the cells of these tables fail from now on: the database has said why it does not take them.

        Returns:
            False if that is known of all of them already, so that another try would not help.
        """
        new = {table: why for table, why in tables.items() if (table, ANY_CELL) not in self.spoiled}
        for table, why in new.items():
            self.spoiled[table, ANY_CELL] = CellFailure(TableRefused(f"table {table}: {why}."), None)
        return bool(new)

    def fail(self, failure: Failure, table: str, key: str = ANY_CELL) -> None:
        """Keep a failure for the error at the end, or raise it where there is none to come.

        Args:
            failure: why it is not loaded.
            table, key: which cell, or all of a table; "" for all of the source.

        Raises:
            StripeReportsError: outside of `load_reports`.
        """
        if not self.collects:
            raise StripeReportsError(str(failure)) from failure.error
        self.failures[table, key] = failure

    def mended(self, table: str, key: str = ANY_CELL) -> None:
        """Forget a failure: the cell is stored now, or the report, of which nothing could be planned, is planned.

        One that others have followed stays where exactly some cells are loaded again, as those are not loaded by that.
        """
        failure = self.failures.get((table, key))
        if failure is not None and (self.exact is None or (key != ANY_CELL and not failure.following)):
            del self.failures[table, key]

    def begin_package(self) -> None:
        """Count anew."""
        self.cells = self.bytes = 0
        self.gives_way = False
        self._began = time.monotonic()
