"""The rows that a load package brings to the system tables: all that a sync has to say, or what concerns one table.

In: a sync whose reports have given their rows. Out: an Arrow table for each system table that has something to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dlt
import pyarrow as pa

from ..plan.system_tables import (
    REPORT_CELLS,
    REPORT_COLUMNS,
    REPORT_FRESHNESS,
    REPORT_LANES,
    REPORT_RUNS,
    REPORT_TYPES,
    FreshnessRow,
    RunRow,
    SystemRow,
    SystemTable,
)
from ..rows.system_rows import column_rows, fingerprint, system_table, type_rows
from ..warehouse.freshness import freshness_table
from ..warehouse.ledger import tables_of_runs
from ..warehouse.straight import straight_to, unselected
from .lane_book import LaneEntry
from .ledger import covered_cells, ended_lanes, freshness, note_left
from .package import current_load_id, emptied_tables
from .running import Sync

LEDGER = (REPORT_RUNS, REPORT_COLUMNS, REPORT_CELLS, REPORT_LANES, REPORT_FRESHNESS)
"""What tells of the rows that are loaded, and is written with them whatever is selected."""


def rows_for(table: SystemTable, sync: Sync, of_table: str | None = None) -> pa.Table | None:
    """The rows of a system table that the present package is to bring; None if there are none.

    Args:
        table: which.
        sync: the sync; what is given out is noted as said.
        of_table: of one report's table; None is of all.
    """
    rows = _ROWS[table.name](sync, of_table)
    return None if rows is None else system_table(table, rows, current_load_id())


def straight_rows(sync: Sync, table: str, *, last: bool = True) -> Iterator[Any]:
    """The ledger's rows of one report, where dlt does not extract the system tables by themselves.

    Args:
        sync: the sync.
        table: the report's.
        last: nothing follows from this report in the package.
    """
    if current_load_id() is None:
        return
    for system, resource in unselected(LEDGER):
        if last or system is not REPORT_FRESHNESS:
            rows = rows_for(system, sync, table)
            if rows is not None:
                yield straight_to(resource, rows)


def _type_rows(sync: Sync, of_table: str | None) -> Sequence[SystemRow] | None:
    return _changed(REPORT_TYPES, {account: type_rows(offered, account) for account, offered in sync.offered.items()})


def _run_rows(sync: Sync, of_table: str | None) -> Sequence[SystemRow] | None:
    rows = _without_failures_of_loaded(sync, sync.outcomes.take_run_rows())
    return rows if rows or _lacks_columns(REPORT_RUNS) else None


def _without_failures_of_loaded(sync: Sync, rows: Sequence[RunRow]) -> list[RunRow]:
    """Rows without those of runs that have failed for a table, and are loaded in another: a run has one row."""
    loaded = {row.run_id for row in rows if row.error is None}
    tables = tables_of_runs(sync.pipeline, [row.run_id for row in rows if row.error is not None])
    return [
        row
        for row in rows
        if row.error is None or (row.run_id not in loaded and not tables.get(row.run_id, set()) - {row.table_name})
    ]


def _cell_rows(sync: Sync, of_table: str | None) -> Sequence[SystemRow] | None:
    rows = sync.outcomes.take_cell_rows()
    if sync.pipeline is not None:
        rows = covered_cells(_entries(sync, of_table), rows, sync.pipeline, emptied_tables(), sync.listed)
    return rows or None


def _freshness_rows(sync: Sync, of_table: str | None) -> list[FreshnessRow] | None:
    """The rows that have to go with the load package; those that speak of nothing in one are written in place."""
    pipeline, load_id, book = sync.pipeline, current_load_id(), sync.outcomes.book
    entries = _entries(sync, of_table)
    with freshness_table(pipeline) as table:
        rows = freshness(entries, table.open_failures(), table.rows, sync.replayed, pipeline, book.asked_at)
        left = set() if load_id is None else note_left(book, table.rows)
        rows += ended_lanes(book, sync.take_whole_tables(), table.rows, left)
        waits = any(entry.now and entry.now.package == load_id for entry in entries)
        if pipeline is None or waits or pipeline.has_pending_data or REPORT_FRESHNESS.name in emptied_tables():
            return rows or None
        return None if table.stamp(rows) else rows or None


def _lane_rows(sync: Sync, of_table: str | None) -> Sequence[SystemRow] | None:
    return sync.take_lane_rows(of_table) or None


def _column_rows(sync: Sync, of_table: str | None) -> Sequence[SystemRow] | None:
    tables = sync.outcomes.columns
    wanted = tables if of_table is None else {name: tables[name] for name in (of_table,) if name in tables}
    return _changed(
        REPORT_COLUMNS, {name: column_rows(name, list(columns.values())) for name, columns in wanted.items()}
    )


_ROWS: Mapping[str, Callable[[Sync, str | None], Sequence[SystemRow] | None]] = {
    REPORT_TYPES.name: _type_rows,
    REPORT_RUNS.name: _run_rows,
    REPORT_COLUMNS.name: _column_rows,
    REPORT_CELLS.name: _cell_rows,
    REPORT_FRESHNESS.name: _freshness_rows,
    REPORT_LANES.name: _lane_rows,
}


def _entries(sync: Sync, of_table: str | None) -> list[LaneEntry]:
    return [entry for entry in sync.outcomes.book if of_table in (None, entry.table)]


def _lacks_columns(table: SystemTable) -> bool:
    """True if the pipeline knows the table as an older version has made it: a package makes its columns, also an empty
    one.
    """
    if current_load_id() is None:
        return False
    known = dlt.current.source_schema().tables.get(table.name, {}).get("columns", {})
    return bool(known) and not table.columns.keys() <= known.keys()


def _changed(table: SystemTable, parts: Mapping[str, Sequence[SystemRow]]) -> Sequence[SystemRow] | None:
    """The rows of those parts of a system table that are not what was loaded last."""
    if current_load_id() is not None:
        state = dlt.current.resource_state(table.name)
        parts = {part: rows for part, rows in parts.items() if state.get(part) != fingerprint(rows)}
        state.update({part: fingerprint(rows) for part, rows in parts.items()})
    return [row for rows in parts.values() for row in rows] if parts else None
