"""The generators behind the source's resources: cells in order to dlt, cursor on, system tables last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

from ..errors import RowError
from ..plan.cells import CellFailure, FetchedCell
from ..plan.intervals import Span
from ..plan.lanes import LaneSync
from ..plan.report import Report
from ..plan.system_tables import REPORT_COLUMNS, REPORT_RUNS, REPORT_TYPES, SystemRow, SystemTable
from ..rows.cell_tables import cell_tables
from ..rows.csv_file import BLOCK_BYTES
from ..rows.system_rows import column_rows, fingerprint, system_table, type_rows
from ..warehouse.hints import report_hints
from .ahead import one_ahead
from .context import Sessions
from .session import SyncSession

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _load_id() -> str | None:
    """The load package being extracted; None when the source is iterated outside a pipeline."""
    try:
        return dlt.current.load_package_state()["load_id"]
    except CurrentLoadPackageStateNotAvailable:
        return None


def report_items(report: Report, sessions: Sessions, cursor: dlt.sources.incremental[datetime]) -> Iterator[Any]:
    """Tables of one report, cell by cell; None while Stripe or a download is awaited, so that others go on."""
    load_id = _load_id()
    session = sessions.current(load_id)
    cursor.advance(None)  # type: ignore[arg-type]  # cells are planned here; dlt must not filter rows by the cursor
    state = dlt.current.resource_state(report.table).setdefault("lanes", {}) if load_id is not None else {}
    finished = False
    session.open_reports += 1
    try:
        window = None if cursor.end_value is None else Span(cursor.start_value or _EPOCH, cursor.end_value)
        lanes = session.lanes(report, window, cursor.last_value, state)
        # every report is planned, and refused if it is wrong, before any of them makes its first run
        yield None
        for lane in lanes:
            session.start(lane)
        hinted: set[tuple[str, ...]] = set()
        while waiting := [lane for lane in lanes if lane.left]:
            if session.scope is not None and session.scope.full:
                break
            progress = False
            for lane in waiting:
                item = session.take(lane)
                if item is None:
                    continue
                progress = True
                request = lane.jobs[-lane.left]
                rows = -1  # the tombstone is none
                try:
                    if isinstance(item, CellFailure):
                        raise item
                    for table in _parsed(session, item, load_id):
                        rows += table.num_rows
                        names = tuple(table.column_names)
                        if names in hinted:
                            yield table
                        else:
                            hinted.add(names)
                            hints = dlt.mark.make_hints(
                                columns=report_hints(item.columns), file_format=session.file_format
                            )
                            yield dlt.mark.with_hints(table, hints)
                except CellFailure as failure:
                    session.release(lane, item, failed=True)
                    session.fail(lane, request, failure, begun=rows >= 0)
                    continue
                # after the last yield: a generator that is closed at a yield must not have moved the cursor
                session.note_loaded(lane, item, rows, state, load_id)
                _move_cursor(cursor, lanes, lane, state)
                session.release(lane, item, failed=False)
            if not progress:
                session.wait()
                yield None
        finished = True
    finally:
        session.open_reports -= 1
        if not finished:
            session.abandon(report.table)
        if session.scope is None and not session.open_reports:
            session.close()


def _parsed(session: SyncSession, fetched: FetchedCell, load_id: str | None) -> Iterator[pa.Table]:
    """A cell's tables; those of a larger file are parsed in a thread of their own, while dlt writes the one before."""
    tables = cell_tables(fetched, load_id)
    try:
        with session.parsing(fetched), closing(tables):
            yield from one_ahead(tables) if fetched.file.bytes > BLOCK_BYTES else tables
    except RowError as error:
        raise CellFailure(error, fetched.obtained) from error


def _move_cursor(
    cursor: dlt.sources.incremental[datetime],
    lanes: Sequence[LaneSync],
    lane: LaneSync,
    state: dict[str, Any],
) -> None:
    """dlt's cursor is the end of what is loaded of every account of the report."""
    if lane.backfill:
        return
    if all(one.key in state and "cursor" in state[one.key] for one in lanes):
        cursor.advance(min(state[one.key]["cursor"] for one in lanes))


def type_items(sessions: Sessions) -> Iterator[Any]:
    """`report_types`: what the account is offered."""
    session = sessions.current(_load_id())
    account = session.settings.stripe_account or session.settings.account
    yield from _when_changed(REPORT_TYPES, account, type_rows(session.offered, account))


def run_items(sessions: Sessions) -> Iterator[Any]:
    """`report_runs`: the runs of this load package."""
    session = sessions.current(_load_id())
    yield from _until_reports_end(session)
    if session.run_rows:
        rows, session.run_rows = session.run_rows, []
        yield system_table(REPORT_RUNS, rows, _load_id())


def column_items(sessions: Sessions) -> Iterator[Any]:
    """`report_columns`: which column holds which of Stripe's headers."""
    session = sessions.current(_load_id())
    yield from _until_reports_end(session)
    for table, columns in session.columns.items():
        yield from _when_changed(REPORT_COLUMNS, table, column_rows(table, list(columns.values())))


def _until_reports_end(session: SyncSession) -> Iterator[None]:
    yield None
    while session.open_reports:
        session.wait()
        yield None


def _when_changed(table: SystemTable, part: str, rows: Sequence[SystemRow]) -> Iterator[Any]:
    """Rows of a system table, only where they are not what was loaded last."""
    load_id = _load_id()
    if load_id is not None:
        state = dlt.current.resource_state(table.name)
        if state.get(part) == fingerprint(rows):
            return
        state[part] = fingerprint(rows)
    yield system_table(table, rows, load_id)
