"""A cell that has arrived, and knows how to end.

In: a report within a load package, a fetched cell. Out: a context manager that gives the cell's rows to dlt. Leaving it
frees its slot and its file; an error ends its lane; a generator that is closed meanwhile has abandoned it.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import Any

import pyarrow as pa

from ..errors import AccountGone, ConfigurationError, RowError, TableRefused
from ..plan.cells import CellFailure, FetchedCell, LoadedCell
from ..plan.columns import TableColumn
from ..plan.state import Synced, with_loaded_cell
from ..rows.cell_tables import cell_tables
from ..rows.control_sums import ControlSums
from ..rows.parquet_file import ParquetFile
from ..warehouse.straight import ends_with
from .active_lane import ActiveLane
from .ahead import one_ahead
from .package import note_in_package
from .reports import ReportInPackage

SMALL_BYTES = 1 << 20
"""Of the result file of a cell that is given to dlt together with others."""


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
        ahead = report.sync.fetching.parsed_ahead
        self._ahead = ahead if ahead is not None and ahead.request is self._request else None

    def __enter__(self) -> ArrivedCell:
        load = self._report.sync.load
        if isinstance(self._taken, FetchedCell):
            load.cells += 1
            load.bytes += self._taken.file.bytes
        return self

    @property
    def small(self) -> bool:
        """True for a cell whose tables need not be given to dlt one by one, as no step of the user's sees them."""
        return (
            not self._report.straight
            and not self._superseded
            and isinstance(self._taken, FetchedCell)
            and self._taken.file.bytes <= SMALL_BYTES
            and not self._large
        )

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        """The columns of the cell's file."""
        return self._fetched.columns

    def all_tables(self) -> list[pa.Table]:
        """All rows of a small cell.

        Raises:
            CellFailure: as of `items`.
        """
        self._begin()
        return list(self._parse())

    def items(self) -> Iterator[Any]:
        """All that goes to dlt of the cell; with the last of it, or before a limit may close us there, it is loaded.

        Raises:
            CellFailure: the cell was not fetched or not archived, or a row does not fit.
        """
        report = self._report
        order = self._order_in_file()
        if order is not None:
            yield from self._as_file(order)
            self.loaded()
            return
        tables = self._handed_over()
        if not report.straight:
            for table in tables:
                yield report.hinted(table, self._fetched.columns)
            self.loaded()
            return
        tombstone = next(tables, None)  # there is none of a cell whose rows are counted only
        if tombstone is not None:
            yield from report.past_steps(tombstone, self._fetched)
        if report.passed is not None:
            tables = map(report.passed.note_types, tables)
        if report.limit is None:
            yield from tables
            self.loaded()
            return
        whole = list(tables)  # a limit counts it as one item, so that it cuts no cell in two
        self.loaded()
        item = whole if len(whole) > 1 else next(iter(whole), None)
        ends = item is not None and ends_with(report.limit, item)
        yield from report.last_items() if ends else report.ledger(last=False)
        if item is not None:
            yield item

    def _order_in_file(self) -> list[str] | None:
        """The columns of a file that dlt takes instead of the cell's rows; None for a cell that it takes row by row."""
        if self._superseded or not self._large:
            return None
        return self._report.order_in_file(self._fetched.columns)

    def _as_file(self, order: Sequence[str]) -> Iterator[Any]:
        """The cell as a file that dlt takes as it is, once it is whole; None, so that others go on, until then."""
        report, folder = self._report, self._report.sync.fetching.folder
        self._begin()
        ahead = self._ahead
        if ahead is not None and ahead.is_of(self._fetched, order):
            with report.sync.fetching.parsing():
                yield from ahead.steps()
            if ahead.whole:
                self._sums, self._rows, self._begun = ahead.sums, ahead.file.rows - 1, True
                yield report.as_file(ahead.file, self._fetched.columns)
                return
        path = folder / f"{uuid.uuid4().hex}.parquet"
        try:
            with ParquetFile(path, order) as file, closing(self._tables()) as tables:
                for table in tables:
                    file.add(table)
                    yield None
            self._begun = True
            yield report.as_file(file, self._fetched.columns)
        finally:
            path.unlink(missing_ok=True)

    def _handed_over(self) -> Iterator[pa.Table]:
        """The cell's rows, for dlt."""
        self._begin()
        with closing(self._tables()) as tables:
            for table in tables:
                self._begun = True
                yield table

    def _tables(self) -> Generator[pa.Table, None, None]:
        """The cell's rows; those of a larger file are parsed while the ones before are written."""
        if self._large:  # of one report one such cell at a time is in memory
            self._report.sync.fetching.give_up_ahead(self._report.table)
        with self._report.sync.fetching.parsing(), closing(self._parse()) as tables:
            for table in one_ahead(tables) if self._large else tables:
                if not self._superseded:  # such rows are counted only
                    yield table

    @property
    def _large(self) -> bool:
        return self._fetched.file.bytes > self._report.sync.settings.parse_policy.block_bytes

    def _begin(self) -> None:
        """The cell's turn has come.

        Raises:
            CellFailure: the user's schema contract does not take a column of its file.
        """
        keeping = self._report.sync.fetching.keeping
        if keeping is not None:
            keeping.note(self._fetched, self._active.lane)
        self._report.sync.outcomes.stage(self._request, "parsing", self._fetched.obtained.run.id)
        try:
            self._report.refuse_columns(self._fetched.columns)
        except ConfigurationError as error:
            raise CellFailure(TableRefused(str(error)), self._fetched.obtained) from error

    def _parse(self) -> Generator[pa.Table, None, None]:
        fetched = self._fetched
        policy, apart = self._report.sync.settings.parse_policy, self._report.straight
        self._sums = ControlSums(self._report.kept(fetched.columns))
        ahead = one_ahead if self._large else iter
        tables = cell_tables(fetched, self._report.load_id, policy, self._sums, tombstone_apart=apart, ahead=ahead)
        return self._counted(tables, fetched)

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
        stored = replace(fetched, columns=self._report.kept(fetched.columns))
        sync.outcomes.loaded(lane, cell, stored, self._sums.json(), state)
        table = lane.resolved.report.table
        sync.under_way.loaded[table].add(self._request.key)
        if not sync.load.collects:
            note_in_package(table, self._request.label, self._request.key, cell.run_id)
        if not self._backfill:
            self._report.move_cursor()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._ahead is not None:
            self._ahead.close()
        self._active.release(self._taken)
        if not isinstance(error, CellFailure):
            return False
        if not self._active.lane.resolved.keys and not self._superseded:
            self._active.abandon()  # a cursor never passes a cell that is not loaded
        if not self._superseded:
            place = self._active.lane.resolved.report.table, self._active.lane.key
            under_way = self._report.sync.under_way
            under_way.failed.setdefault(place, set()).add(self._request.key)
            if isinstance(error.error, AccountGone):
                under_way.gone.add(place)
        self._report.sync.outcomes.failed(self._active.lane, self._request, error, begun=self._begun)
        return True

    @property
    def _fetched(self) -> FetchedCell:
        if isinstance(self._taken, CellFailure):
            raise self._taken
        return self._taken
