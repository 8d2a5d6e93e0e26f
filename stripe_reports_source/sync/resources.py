"""The generators behind the source's resources: reports cell by cell, system tables last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import dlt

from ..plan.report import Report
from ..plan.system_tables import REPORT_LANES, REPORT_TYPES, SystemTable
from ..warehouse.contracts import refuse_contract
from ..warehouse.dispositions import checked_table, refuse_other_dispositions, refuse_parents
from .arriving_cells import arrived_cells
from .held import HeldCells
from .ledger_tables import rows_for
from .package import current_load_id
from .reports import ReportInPackage
from .running import Sync
from .syncs import Syncs


def report_items(report: Report, syncs: Syncs, cursor: dlt.sources.incremental[datetime]) -> Iterator[Any]:
    """Tables of one report, cell by cell; None while Stripe or a download is awaited, so that others go on."""
    sync, resource = syncs.current(), dlt.current.resource()
    if resource.limit is not None and resource.limit.max_items == 0:
        return
    refuse_other_dispositions(resource)
    if current_load_id() is not None:
        refuse_parents(resource)
    with sync.reporting():
        # a resource that was renamed has another table
        named = replace(report, table_name=checked_table(resource))
        sync.claim(named.table, resource.name)
        part = ReportInPackage(sync, named, resource, cursor, current_load_id())
        # every report is planned, and refused if it is wrong, before any of them makes its first run
        yield None
        if sync.load.plans_only:
            return
        with closing(arrived_cells(part)) as cells:
            held = HeldCells(part)
            for cell in cells:
                if cell is None:
                    if held.enough:
                        yield from held.give_out()
                    yield None
                    continue
                with cell:
                    if cell.small:
                        held.hold(cell)
                    else:
                        yield from held.give_out()
                        sync.load.database.let_go()
                        yield from cell.items()
                if held.enough:
                    yield from held.give_out()
            yield from held.give_out()
        yield None  # what the user's steps give one by one is with dlt first
        yield from part.last_items()


def system_items(table: SystemTable, syncs: Syncs) -> Iterator[Any]:
    """Rows of a system table: what the account is offered, and of the others when all reports are through."""
    sync, resource = syncs.current(), dlt.current.resource()
    refuse_other_dispositions(resource, table.key)
    checked_table(resource, table.name)
    if table is not REPORT_LANES:  # which is made only where there are accounts
        refuse_contract(resource, table.columns)
    if table is not REPORT_TYPES:
        yield from _until_reports_end(sync)
    if table is REPORT_LANES:
        yield None  # `report_cells` comes first, which says up to which package it lists them
    rows = rows_for(table, sync)
    if rows is not None:
        if table is REPORT_LANES:
            refuse_contract(resource, table.columns)
        yield rows


def _until_reports_end(sync: Sync) -> Iterator[None]:
    yield None
    while sync.open_reports:
        sync.fetching.wait()
        yield None
    sync.load.database.keep()  # for the questions of all system tables
