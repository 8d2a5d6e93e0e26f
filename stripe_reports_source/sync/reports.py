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
from ..plan.intervals import Span
from ..plan.lanes import BEGINNING
from ..plan.report import Report
from ..plan.state import LaneStates, Synced, with_loaded_cell
from ..rows.cell_tables import cell_tables
from ..rows.control_sums import ControlSums
from ..warehouse.dispositions import alters_rows
from ..warehouse.hints import report_hints
from .ahead import one_ahead
from .keeping import note_cell
from .running import ActiveLane, Sync


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
        self.states = LaneStates(None if load_id is None else dlt.current.resource_state(resource.name))
        self.resource = resource.name
        self.altered = alters_rows(resource)
        self._table = report.table
        self._cursor = cursor
        self._hinted: set[tuple[str, ...]] = set()
        window = None if cursor.end_value is None else Span(cursor.start_value or BEGINNING, cursor.end_value)
        self._lanes = sync.lanes(report, resource.name, self.states, cursor.last_value, window, altered=self.altered)
        if any(active.lane.noted is not None for active in self._lanes):
            self.move_cursor()

    def cells(self) -> Generator[ArrivedCell | None, None, None]:
        """Cells as they arrive, each lane's in order; None while Stripe is awaited. Ends when the package is full."""
        finished = False
        try:
            for active in self._lanes:
                active.start()
            while waiting := [active for active in self._lanes if active.left]:
                if self.sync.load.full:
                    break
                arrived = False
                for active in waiting:
                    taken = active.take()
                    if taken is not None:
                        arrived = True
                        yield ArrivedCell(self, active, taken)
                if not arrived:
                    self.sync.fetching.wait()
                    yield None
            finished = True
        finally:
            if not finished:
                self.sync.abandon(self._table)

    def hinted(self, table: pa.Table, fetched: FetchedCell) -> Any:
        """A table for dlt, with hints where its columns are new in this package."""
        names = tuple(table.column_names)
        if names in self._hinted:
            return table
        self._hinted.add(names)
        hints = dlt.mark.make_hints(columns=report_hints(fetched.columns), file_format=self.sync.file_format)
        return dlt.mark.with_hints(table, hints)

    def move_cursor(self) -> None:
        """dlt's cursor is the end of what is loaded of every lane of the report."""
        cursor = self.states.common_cursor([active.lane.key for active in self._lanes])
        if cursor is not None:
            self._cursor.advance(cursor)


class ArrivedCell:
    """A cell that was fetched, or has failed."""

    def __init__(self, report: ReportInPackage, active: ActiveLane, taken: FetchedCell | CellFailure) -> None:
        self._report = report
        self._active = active
        self._taken = taken
        self._request = active.next_cell
        self._rows = -1
        """Rows given to dlt; the first one is the tombstone, which is not a row of the report."""
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

    def tables(self) -> Iterator[Any]:
        """The cell's rows for dlt; those of a larger file are parsed while dlt writes the ones before.

        Raises:
            CellFailure: the cell was not fetched or not archived, or a row does not fit.
        """
        fetched, archive = self._fetched, self._report.sync.fetching.archive
        if archive is not None:
            note_cell(archive, fetched, self._active.lane)
        self._report.sync.outcomes.stage(self._request, "parsing", fetched.obtained.run.id)
        parsing = self._report.sync.settings.parse_policy
        self._sums = ControlSums(fetched.columns)
        tables = cell_tables(fetched, self._report.load_id, parsing, self._sums)
        try:
            with self._report.sync.fetching.parsing(), closing(tables):
                for table in one_ahead(tables) if fetched.file.bytes > parsing.block_bytes else tables:
                    self._rows += table.num_rows
                    if not self._superseded:  # such rows are counted only
                        yield self._report.hinted(table, fetched)
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
        synced = None if self._backfill else Synced(sync.forks, last=self._active.left == 1, reach=reach)
        # as it was planned: with the grid of the lane, and of a report per payout without the payout
        request = replace(self._request, report=lane.resolved)
        state = with_loaded_cell(states.get(lane.key), request, fetched.span, self._report.load_id, synced)
        states.put(lane.key, state)
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
        begun = self._rows >= 0 and not self._superseded
        self._report.sync.outcomes.failed(self._active.lane, self._request, error, begun=begun)
        return True

    @property
    def _fetched(self) -> FetchedCell:
        if isinstance(self._taken, CellFailure):
            raise self._taken
        return self._taken
