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
    REPORT_LANES,
    REPORT_RUNS,
    REPORT_TYPES,
    FreshnessRow,
    SystemRow,
    SystemTable,
)
from ..rows.system_rows import column_rows, fingerprint, system_table, type_rows
from ..warehouse.dispositions import refuse_other_dispositions
from ..warehouse.freshness import freshness_table
from .held import HeldCells
from .ledger import covered_cells, freshness
from .package import current_load_id, emptied_tables
from .reports import ReportInPackage
from .running import Sync
from .syncs import Syncs


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
        if sync.load.plans_only:
            return
        with closing(part.cells()) as cells:
            held = HeldCells(part)
            for cell in cells:
                if cell is None:
                    yield from held.give_out()
                    yield None
                    continue
                with cell:
                    if cell.small:
                        held.hold(cell)
                    else:
                        yield from held.give_out()
                        yield from cell.tables()
                        # after the last yield: a generator that is closed at a yield has not moved the cursor
                        cell.loaded()
                if held.enough:
                    yield from held.give_out()
            yield from held.give_out()


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
    if rows or _lacks_columns(REPORT_RUNS):
        yield system_table(REPORT_RUNS, rows, current_load_id())


def cell_items(syncs: Syncs) -> Iterator[Any]:
    """`report_cells`: the cells of this load package, and those that an older version has not listed."""
    sync = _sync_for(syncs, REPORT_CELLS)
    yield from _until_reports_end(sync)
    rows = sync.outcomes.take_cell_rows()
    if sync.pipeline is not None:
        rows = covered_cells(sync.outcomes.book, rows, sync.pipeline, emptied_tables(), sync.listed)
    if rows:
        yield system_table(REPORT_CELLS, rows, current_load_id())


def freshness_items(syncs: Syncs) -> Iterator[Any]:
    """`report_freshness`: how far each report of this sync is loaded; written in place where that loses nothing."""
    sync = _sync_for(syncs, REPORT_FRESHNESS)
    yield from _until_reports_end(sync)
    rows = _not_stamped(sync)
    if rows:
        yield system_table(REPORT_FRESHNESS, rows, current_load_id())


def lane_items(syncs: Syncs) -> Iterator[Any]:
    """`report_lanes`: how far each connected account is loaded, as the next sync must know it."""
    sync = _sync_for(syncs, REPORT_LANES)
    yield from _until_reports_end(sync)
    yield None  # `report_cells` comes first, which says up to which package it lists them
    rows = sync.take_lane_rows()
    if rows:
        yield system_table(REPORT_LANES, rows, current_load_id())


def _not_stamped(sync: Sync) -> list[FreshnessRow]:
    """The rows that have to go with the load package; those that speak of nothing in one are written in place."""
    pipeline, load_id, book = sync.pipeline, current_load_id(), sync.outcomes.book
    with freshness_table(pipeline) as table:
        rows = freshness(book, table.open_failures(), table.rows, sync.replayed)
        waits = any(entry.now and entry.now.package == load_id for entry in book)
        if pipeline is None or waits or pipeline.has_pending_data or REPORT_FRESHNESS.name in emptied_tables():
            return rows
        return [] if table.stamp(rows) else rows


def column_items(syncs: Syncs) -> Iterator[Any]:
    """`report_columns`: which column holds which of Stripe's headers."""
    sync = _sync_for(syncs, REPORT_COLUMNS)
    yield from _until_reports_end(sync)
    for table, columns in sync.outcomes.columns.items():
        yield from _when_changed(REPORT_COLUMNS, table, column_rows(table, list(columns.values())))


def _sync_for(syncs: Syncs, table: SystemTable) -> Sync:
    refuse_other_dispositions(dlt.current.resource(), table.key)
    return syncs.current()


def _lacks_columns(table: SystemTable) -> bool:
    """True if the pipeline knows the table as an older version has made it: a package makes its columns, also an empty
    one.
    """
    if current_load_id() is None:
        return False
    known = dlt.current.source_schema().tables.get(table.name, {}).get("columns", {})
    return bool(known) and not table.columns.keys() <= known.keys()


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
