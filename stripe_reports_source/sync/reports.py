"""A report within a load package: its lanes, its hints, its cursor, and what goes past the user's steps.

In: a sync, the report, dlt's cursor and the kept state. Out: what the cells of the report have in common, which give
their rows to dlt through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource
from dlt.extract.items import DataItemWithMeta

from ..plan.cells import FetchedCell
from ..plan.columns import SYSTEM_COLUMNS, TableColumn
from ..plan.intervals import Span
from ..plan.lanes import BEGINNING, Lane
from ..plan.report import Report
from ..plan.state import LaneState
from ..rows.parquet_file import ParquetFile
from ..warehouse.contracts import discarded_columns, discards, refuse_contract
from ..warehouse.dispositions import check_cursor, refuse_column_hints
from ..warehouse.hints import report_hints
from ..warehouse.own_jobs import takes_files
from ..warehouse.passed_rows import last_step
from ..warehouse.straight import children, has_steps, order_in_table, straight_to
from .ledger_tables import straight_rows
from .package import cells_in_package
from .running import Sync


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
        check_cursor(resource, cursor)
        cursor.advance(None)  # type: ignore[arg-type]  # dlt must not filter rows by the cursor
        self.sync = sync
        self.load_id = load_id
        self.states = sync.states(
            report.table, None if load_id is None else dlt.current.resource_state(resource.name), load_id
        )
        self.discards, self.limit = discards(resource), resource.limit
        self._last_step = last_step(report.table)
        self.passed = self._last_step.watched() if has_steps(resource) else None
        """What the user's own steps have let through; None without such steps."""
        self.altered = self.discards or self.passed is not None
        self.straight = self.altered or self.limit is not None or bool(children(resource))
        """The user's own steps get rows alone: tombstones and hints go past them."""
        self._emptied: dict[str, pa.Table] = {}
        self.table = report.table
        self._resource = resource
        self._ended = False
        self._cursor = cursor
        self._hinted: set[tuple[str, ...]] = set()
        window = None if cursor.end_value is None else Span(cursor.start_value or BEGINNING, cursor.end_value)
        self.lanes = sync.lanes(
            report,
            resource.name,
            self.states,
            cursor.last_value,
            window,
            altered=self.altered,
            limited=self.limit is not None,
            start=cursor.initial_value,
        )
        self._cursors = self.states.cursors([active.lane.key for active in self.lanes])
        for active in self.lanes[:1]:  # lanes of a report differ in the connected account alone
            self._refuse_hints(active.lane, any(other.lane.cells for other in self.lanes))
        if any(active.lane.noted is not None for active in self.lanes):
            self.move_cursor()

    def hinted(self, table: pa.Table, columns: tuple[TableColumn, ...]) -> Any:
        """A table for dlt, with hints where its columns are new in this package."""
        names = tuple(table.column_names)
        if names in self._hinted:
            return table
        self._hinted.add(names)
        hints = dlt.mark.make_hints(columns=report_hints(self.kept(columns)), file_format=self.sync.file_format)
        return dlt.mark.with_hints(table, hints)

    def kept(self, columns: tuple[TableColumn, ...]) -> tuple[TableColumn, ...]:
        """Those of a file's columns that the user's schema contract does not discard."""
        discarded = discarded_columns(self._resource, [column.name for column in columns]) if self.discards else ()
        return tuple(column for column in columns if column.name not in discarded)

    def refuse_columns(self, columns: Sequence[TableColumn]) -> None:
        """Refuse what the user's schema contract would make of a file's columns.

        Raises:
            ConfigurationError: names the column and the contract.
        """
        if self.load_id is not None:
            refuse_contract(self._resource, [column.name for column in columns])

    def order_in_file(self, columns: Sequence[TableColumn]) -> list[str] | None:
        """The order of columns in a file of a whole cell; None where dlt is to be given the cell's rows.

        Args:
            columns: of the cell's result file.
        """
        in_rows = self.sync.file_format not in (None, "parquet")
        if self.straight or in_rows or not takes_files(self.sync.pipeline):
            return None
        return order_in_table(self.table, [*(column.name for column in columns), *SYSTEM_COLUMNS])

    def as_file(self, file: ParquetFile, columns: tuple[TableColumn, ...]) -> Any:
        """A file of a whole cell for dlt, which links it into its package."""
        form = file.schema.empty_table()
        item = self.hinted(form, columns)
        if isinstance(item, DataItemWithMeta):
            self._resource.merge_hints(item.meta.hints)
        return dlt.mark.with_file_import(str(file.path), "parquet", file.rows, form)

    def past_steps(self, tombstone: pa.Table, fetched: FetchedCell) -> Iterator[Any]:
        """A cell's tombstone and its hints, past the user's steps, limits and transformers.

        Beside steps of the user's it comes last, and only for cells of which they have let nothing through: it has to
        be of the form that they have made of rows.
        """
        tombstone = self._last_step.with_ids(tombstone)
        item = self.hinted(tombstone, fetched.columns)
        if self.passed is None:
            yield straight_to(self._resource, tombstone, item.meta if isinstance(item, DataItemWithMeta) else None)
            return
        if isinstance(item, DataItemWithMeta):
            self._resource.merge_hints(item.meta.hints)
        self._emptied[fetched.request.key] = tombstone

    def last_items(self) -> Iterator[Any]:
        """What comes when all rows are with dlt: tombstones of cells that the user's steps have emptied, the ledger."""
        yield from self._emptied_cells()
        yield from self.ledger(last=True)

    def _emptied_cells(self) -> Iterator[Any]:
        while self._emptied and self.passed is not None:
            key, tombstone = self._emptied.popitem()
            if self.discards or key not in self.passed.keys:
                rows = [
                    {name: value for name, value in row.items() if value is not None} for row in tombstone.to_pylist()
                ]
                yield straight_to(self._resource, rows if self.passed.as_dicts else tombstone)

    def ledger(self, *, last: bool) -> Iterator[Any]:
        """The ledger's rows of what is loaded so far, where the system tables are not extracted by themselves."""
        yield from straight_rows(self.sync, self.table, last=last and not self._ended)
        self._ended = self._ended or last

    @property
    def resource(self) -> str:
        """The name of its dlt resource."""
        return str(self._resource.name)

    def _refuse_hints(self, lane: Lane, has_cells: bool) -> None:
        """Refuse what the user's hints and contracts would make of the columns that are asked for."""
        columns = lane.resolved.table_columns(lane.resolved.requested or ())
        refuse_column_hints(self._resource, columns, begun=bool(cells_in_package(self.table)))
        if has_cells:
            self.refuse_columns(columns)

    def keep(self, lane: str, state: LaneState) -> None:
        """Keep a lane's state; `move_cursor` counts with it."""
        self.states.put(lane, state)
        self._cursors.moved(lane, state.cursor)

    def move_cursor(self) -> None:
        """dlt's cursor is the end of what is loaded of every lane of the report."""
        cursor = self._cursors.common
        if cursor is not None:
            self._cursor.advance(cursor)
