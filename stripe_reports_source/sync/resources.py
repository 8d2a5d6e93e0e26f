"""The generators behind the source's resources: reports cell by cell, system tables last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import dlt

from ..plan.report import Report
from ..plan.system_tables import (
    REPORT_CELLS,
    REPORT_COLUMNS,
    REPORT_FRESHNESS,
    REPORT_RUNS,
    REPORT_TYPES,
    SystemRow,
    SystemTable,
)
from ..rows.system_rows import column_rows, fingerprint, system_table, type_rows
from ..warehouse.dispositions import refuse_other_dispositions
from .reports import ReportInPackage
from .running import Sync
from .syncs import Syncs, current_load_id


def report_items(report: Report, syncs: Syncs, cursor: dlt.sources.incremental[datetime]) -> Iterator[Any]:
    """Tables of one report, cell by cell; None while Stripe or a download is awaited, so that others go on."""
    sync, resource = syncs.current(), dlt.current.resource()
    refuse_other_dispositions(resource)
    with sync.reporting():
        # a resource that was renamed has another table
        named = replace(report, table_name=str(resource.table_name))
        part = ReportInPackage(sync, named, resource, cursor, current_load_id())
        # every report is planned, and refused if it is wrong, before any of them makes its first run
        yield None
        with closing(part.cells()) as cells:
            for cell in cells:
                if cell is None:
                    yield None
                    continue
                with cell:
                    yield from cell.tables()
                    # after the last yield: a generator that is closed at a yield has not moved the cursor
                    cell.loaded()


def type_items(syncs: Syncs) -> Iterator[Any]:
    """`report_types`: what the account is offered."""
    sync = _sync_for(syncs, REPORT_TYPES)
    for account, offered in sync.offered.items():
        yield from _when_changed(REPORT_TYPES, account, type_rows(offered, account))


def run_items(syncs: Syncs) -> Iterator[Any]:
    """`report_runs`: the runs of this load package."""
    sync = _sync_for(syncs, REPORT_RUNS)
    yield from _until_reports_end(sync)
    rows = sync.outcomes.take_run_rows()
    if rows:
        yield system_table(REPORT_RUNS, rows, current_load_id())


def cell_items(syncs: Syncs) -> Iterator[Any]:
    """`report_cells`: the cells of this load package."""
    sync = _sync_for(syncs, REPORT_CELLS)
    yield from _until_reports_end(sync)
    rows = sync.outcomes.take_cell_rows()
    if rows:
        yield system_table(REPORT_CELLS, rows, current_load_id())


def freshness_items(syncs: Syncs) -> Iterator[Any]:
    """`report_freshness`: how far each report of this sync is loaded."""
    sync = _sync_for(syncs, REPORT_FRESHNESS)
    yield from _until_reports_end(sync)


def column_items(syncs: Syncs) -> Iterator[Any]:
    """`report_columns`: which column holds which of Stripe's headers."""
    sync = _sync_for(syncs, REPORT_COLUMNS)
    yield from _until_reports_end(sync)
    for table, columns in sync.outcomes.columns.items():
        yield from _when_changed(REPORT_COLUMNS, table, column_rows(table, list(columns.values())))


def _sync_for(syncs: Syncs, table: SystemTable) -> Sync:
    refuse_other_dispositions(dlt.current.resource(), table.key)
    return syncs.current()


def _until_reports_end(sync: Sync) -> Iterator[None]:
    yield None
    while sync.open_reports:
        sync.fetching.wait()
        yield None


def _when_changed(table: SystemTable, part: str, rows: Sequence[SystemRow]) -> Iterator[Any]:
    """Rows of a system table, only where they are not what was loaded last."""
    load_id = current_load_id()
    if load_id is not None:
        state = dlt.current.resource_state(table.name)
        if state.get(part) == fingerprint(rows):
            return
        state[part] = fingerprint(rows)
    yield system_table(table, rows, load_id)
