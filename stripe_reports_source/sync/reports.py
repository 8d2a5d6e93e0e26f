"""A report within a load package: its cells in order, each of which knows how to end.

In: a sync, the report, dlt's cursor and the kept state. Out: cells as context managers that give tables to dlt. Leaving
one frees its slot and its file; an error ends its lane; a generator that is closed meanwhile has abandoned it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..errors import RowError
from ..plan.cells import CellFailure, FetchedCell, LoadedCell
from ..plan.columns import TableColumn
from ..plan.intervals import Span
from ..plan.lanes import BEGINNING
from ..plan.report import Report
from ..plan.state import LaneState, Synced, with_loaded_cell
from ..rows.cell_tables import cell_tables
from ..rows.control_sums import ControlSums
from ..warehouse.dispositions import alters_rows, takes_any_tables
from ..warehouse.hints import report_hints
from .ahead import one_ahead
from .keeping import note_cell
from .running import ActiveLane, Sync

SMALL_BYTES = 1 << 20
"""Of the result file of a cell that is given to dlt together with others."""


class ReportInPackage:
    """See the module.

    Args:
        sync: what the report shares with others.
        report: the user's words.
        resource: its dlt resource, as the user has changed it.
        cursor: dlt's, which is moved here and filters no rows.
        load_id: the load package, None outside a pipeline.
    """

    def __init__(
        self,
        sync: Sync,
        report: Report,
        resource: DltResource,
        cursor: dlt.sources.incremental[datetime],
        load_id: str | None,
    ) -> None:
        cursor.advance(None)  # type: ignore[arg-type]  # dlt must not filter rows by the cursor
        self.sync = sync
        self.load_id = load_id
        self.states = sync.states(
            report.table, None if load_id is None else dlt.current.resource_state(resource.name), load_id
        )
        self.resource = resource.name
        self.altered = alters_rows(resource)
        self.together = takes_any_tables(resource)
        self._table = report.table
        self._cursor = cursor
        self._hinted: set[tuple[str, ...]] = set()
        window = None if cursor.end_value is None else Span(cursor.start_value or BEGINNING, cursor.end_value)
        self._lanes = sync.lanes(report, resource.name, self.states, cursor.last_value, window, altered=self.altered)
        self._cursors = self.states.cursors([active.lane.key for active in self._lanes])
        if any(active.lane.noted is not None for active in self._lanes):
            self.move_cursor()

    def cells(self) -> Generator[ArrivedCell | None, None, None]:
        """Cells as they arrive, each lane's in order; None while Stripe is awaited. Ends when the package is full."""
        finished = False
        fetching = self.sync.fetching
        try:
            waiting = {queue: active for active in self._lanes if active.left and (queue := active.start())}
            while waiting and not self.sync.load.full:
                ready = [queue for queue in fetching.ready(self._table) if queue in waiting]
                for queue in ready:
                    active = waiting[queue]
                    taken = active.take()
                    if taken is not None:
                        yield ArrivedCell(self, active, taken)
                    if not active.left:
                        del waiting[queue]
                    if self.sync.load.full:
                        break
                if not ready:
                    fetching.wait()
                    yield None
            finished = True
        finally:
            if not finished:
                self.sync.abandon(self._table)

    def hinted(self, table: pa.Table, columns: tuple[TableColumn, ...]) -> Any:
        """A table for dlt, with hints where its columns are new in this package."""
        names = tuple(table.column_names)
        if names in self._hinted:
            return table
        self._hinted.add(names)
        hints = dlt.mark.make_hints(columns=report_hints(columns), file_format=self.sync.file_format)
        return dlt.mark.with_hints(table, hints)

    def keep(self, lane: str, state: LaneState) -> None:
        """Keep a lane's state; `move_cursor` counts with it."""
        self.states.put(lane, state)
        self._cursors.moved(lane, state.cursor)

    def move_cursor(self) -> None:
        """dlt's cursor is the end of what is loaded of every lane of the report."""
        cursor = self._cursors.common
        if cursor is not None:
            self._cursor.advance(cursor)


class ArrivedCell:
    """A cell that was fetched, or has failed."""

    def __init__(self, report: ReportInPackage, active: ActiveLane, taken: FetchedCell | CellFailure) -> None:
        self._report = report
        self._active = active
        self._taken = taken
        self._request = active.next_cell
        self._last = active.left == 1
        self._begun = False
        """True once rows of it are with dlt."""
        self._rows = -1
        """Rows parsed; the first one is the tombstone, which is not a row of the report."""
        replayed = self._request.replayed
        self._superseded = replayed is not None and replayed.superseded
        self._backfill = (
            active.lane.backfill
            or self._request.key in active.lane.gaps
            or (replayed is not None and replayed.backfill)
        )
        self._sums = ControlSums(())

    def __enter__(self) -> ArrivedCell:
        load = self._report.sync.load
        if isinstance(self._taken, FetchedCell):
            load.cells += 1
            load.bytes += self._taken.file.bytes
        return self

    @property
    def small(self) -> bool:
        """True for a cell whose tables need not be given to dlt one by one."""
        report = self._report
        return (
            report.together
            and not self._superseded
            and isinstance(self._taken, FetchedCell)
            and self._taken.file.bytes <= SMALL_BYTES
        )

    def tables(self) -> Iterator[Any]:
        """The cell's rows for dlt; those of a larger file are parsed while dlt writes the ones before.

        Raises:
            CellFailure: the cell was not fetched or not archived, or a row does not fit.
        """
        fetched, policy = self._fetched, self._report.sync.settings.parse_policy
        with self._report.sync.fetching.parsing(), closing(self._parse()) as tables:
            for table in one_ahead(tables) if fetched.file.bytes > policy.block_bytes else tables:
                if not self._superseded:  # such rows are counted only
                    self._begun = True
                    yield self._report.hinted(table, fetched.columns)

    def all_tables(self) -> list[pa.Table]:
        """All rows of a small cell.

        Raises:
            CellFailure: as of `tables`.
        """
        return list(self._parse())

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        """The columns of the cell's file."""
        return self._fetched.columns

    def _parse(self) -> Generator[pa.Table, None, None]:
        fetched, archive = self._fetched, self._report.sync.fetching.archive
        if archive is not None:
            note_cell(archive, fetched, self._active.lane)
        self._report.sync.outcomes.stage(self._request, "parsing", fetched.obtained.run.id)
        self._sums = ControlSums(fetched.columns)
        return self._counted(
            cell_tables(fetched, self._report.load_id, self._report.sync.settings.parse_policy, self._sums), fetched
        )

    def _counted(
        self, tables: Generator[pa.Table, None, None], fetched: FetchedCell
    ) -> Generator[pa.Table, None, None]:
        try:
            with closing(tables):
                for table in tables:
                    self._rows += table.num_rows
                    yield table
        except RowError as error:
            raise CellFailure(error, fetched.obtained) from error

    def loaded(self) -> None:
        """All rows are with dlt: keep what the next sync must know, and move the cursor."""
        fetched, lane = self._fetched, self._active.lane
        states, sync = self._report.states, self._report.sync
        if self._superseded:
            sync.outcomes.noted(fetched, self._rows, self._sums.json())
            return
        reach = lane.reaches.get(self._request.key)
        synced = None if self._backfill else Synced(sync.forks, last=self._last, reach=reach)
        # as it was planned: with the grid of the lane, and of a report per payout without the payout
        request = replace(self._request, report=lane.resolved)
        state = with_loaded_cell(states.get(lane.key), request, fetched.span, self._report.load_id, synced)
        self._report.keep(lane.key, state)
        cell = LoadedCell(
            self._request,
            lane.key,
            self._report.resource,
            fetched.span,
            fetched.obtained.run.id,
            self._rows,
            self._report.altered,
        )
        sync.outcomes.loaded(lane, cell, fetched, self._sums.json(), state)
        if not self._backfill:
            self._report.move_cursor()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._active.release(self._taken)
        if not isinstance(error, CellFailure):
            return False
        if not self._active.lane.resolved.keys and not self._superseded:
            self._active.abandon()  # a cursor never passes a cell that is not loaded
        self._report.sync.outcomes.failed(self._active.lane, self._request, error, begun=self._begun)
        return True

    @property
    def _fetched(self) -> FetchedCell:
        if isinstance(self._taken, CellFailure):
            raise self._taken
        return self._taken
