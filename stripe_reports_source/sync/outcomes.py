"""What becomes of the cells of a sync: events for those who watch, rows for the system tables, failures.

In: cells as they are planned, loaded, or failed. Out: events, rows of the system tables, and either an error at once or
one more failure for the error at the end.
"""

from __future__ import annotations

import logging
import re

from ..errors import AccountGone, Failure, RowError, StripeError, StripeReportsError, remedy_of
from ..plan.cells import CellFailure, CellRequest, FetchedCell, LoadedCell
from ..plan.columns import TableColumn
from ..plan.intervals import Span
from ..plan.lanes import Lane
from ..plan.report import Report
from ..plan.resolve import ResolvedReport
from ..plan.state import LaneState, LaneStates
from ..plan.system_tables import CellRow, RunRow
from ..rows.system_rows import cell_row, failed_run_row, loaded_run_row
from .context import Load, SpoiledPackage
from .lane_book import LaneBook
from .progress import Event, EventKind

logger = logging.getLogger(__name__)

_PAYOUT = re.compile(r"\bpayouts?\b", re.IGNORECASE)
"""The word, and not a part of a report's name."""


class Outcomes:
    """See the module; of one sync."""

    def __init__(self, load: Load, label: str, columns: dict[str, dict[str, TableColumn]] | None = None) -> None:
        self._load = load
        self.book = LaneBook(label)
        """The lanes that were asked for, and how far each has come."""
        self._run_rows: list[RunRow] = []
        self._cell_rows: list[CellRow] = []
        self._cells: list[LoadedCell] = []
        self.columns = {} if columns is None else columns
        """The columns of each table that was loaded, by name."""

    @property
    def has_rows(self) -> bool:
        """True while there are rows of system tables that no load package holds yet."""
        return bool(self._run_rows or self._cell_rows)

    def take_run_rows(self) -> list[RunRow]:
        """The rows of `report_runs` that no load package holds yet."""
        rows, self._run_rows = self._run_rows, []
        return rows

    def take_cell_rows(self) -> list[CellRow]:
        """The rows of `report_cells` that no load package holds yet."""
        rows, self._cell_rows = self._cell_rows, []
        return rows

    def take_cells(self) -> list[LoadedCell]:
        """The cells of the package that was extracted last."""
        cells, self._cells = self._cells, []
        return cells

    def not_planned(self, report: Report, states: LaneStates, interval: str, error: StripeReportsError) -> None:
        """Note a report that cannot be loaded at all, for the error at the end.

        Raises:
            StripeReportsError: outside a load, as it is.
        """
        if not self._load.collects:
            raise error
        account = self.book.label
        for key in list(states) or [account]:
            self.book.not_planned(report.table, key, report.report, states.get(key))
        self._load.on_event(Event("failed", report.table, report.report, account, message=str(error)))
        self._load.fail(Failure(report.report, account, interval, None, error, remedy_of(error)), report.table)

    def planned(self, lane: Lane, before: LaneState | None, *, say: bool = True) -> None:
        """Enter what a lane is to do, and say it; `before` is what is known of it."""
        self.book.planned(lane, before)
        self._load.mended(lane.resolved.report.table)
        if not say:
            return
        kind: EventKind = "planned" if lane.cells else "up_to_date"
        self._notify(kind, lane.resolved, lane.key, count=len(lane.cells))

    def stage(self, request: CellRequest, stage: EventKind, run_id: str | None) -> None:
        """Say how far a cell is; called from several threads."""
        logger.info("%s %s: %s %s", request.report.offered.id, request.cell.span, stage, run_id or "")
        self._notify(stage, request.report, request.label, request.cell.span, run_id)

    def loaded(self, lane: Lane, cell: LoadedCell, fetched: FetchedCell, control_totals: str, state: LaneState) -> None:
        """Note a cell whose rows are all given to dlt, and the lane's state with it."""
        rows = cell.rows
        self._cells.append(cell)
        self._run_rows.append(loaded_run_row(fetched, rows, control_totals))
        counted = self._load.collects or not cell.altered  # a plain run does not look at what is stored
        self._cell_rows.append(cell_row(fetched, rows if counted else None))
        self.book.loaded(lane, cell.request.key, fetched.span, state, counted=counted)
        table = self.columns.setdefault(lane.resolved.report.table, {})
        table.update((column.name, column) for column in fetched.columns)
        self._notify("loaded", lane.resolved, lane.key, fetched.span, fetched.obtained.run.id, count=rows)

    def noted(self, fetched: FetchedCell, rows: int, control_totals: str) -> None:
        """Note a run of an archive whose rows a later run of its cell has replaced."""
        self._run_rows.append(loaded_run_row(fetched, rows, control_totals))

    def failed(self, lane: Lane, request: CellRequest, failure: CellFailure, *, begun: bool) -> None:
        """Note a cell that could not be loaded: in `report_runs` and, in a load, for the error at the end.

        Args:
            lane, request: the cell.
            failure: why.
            begun: rows of the cell are in the load package already, which has to be extracted anew without it.

        Raises:
            StripeReportsError: outside a load.
            SpoiledPackage: in a load, when the cell was begun.
        """
        if no_report_yet(request, failure.error):
            logger.warning("%s %s: no report (yet): %s", request.report.offered.id, request.title, failure.error)
            self._notify("skipped", lane.resolved, lane.key, message=str(failure.error))
            return
        gone = isinstance(failure.error, AccountGone)
        self.book.failed(lane, request.key, gone=gone)
        row = failed_run_row(request, failure)
        if row:
            self._run_rows.append(row)
        superseded = request.replayed is not None and request.replayed.superseded
        if superseded and isinstance(failure.error, RowError):
            return  # as it was when it was loaded, and a later run has mended it
        run_id = failure.obtained.run.id if failure.obtained else None
        failed = Failure(
            report=lane.resolved.offered.id,
            account=lane.key,
            interval=f"from {request.cell.first_day} on" if gone else request.title,
            run_id=run_id,
            error=failure.error,
            remedy=remedy_of(failure.error),
            following=() if request.report.keys or gone else _following(lane, request),
        )
        self._notify("failed", lane.resolved, lane.key, request.cell.span, run_id, message=str(failure.error))
        table = request.report.report.table
        # a later run of the cell that is stored does not mend an archived one before it
        self._load.fail(failed, table, run_id if superseded and run_id else request.key)
        if begun:
            self._load.spoiled[table, request.key] = failure
            raise SpoiledPackage(str(failed)) from failure.error

    def _notify(
        self,
        kind: EventKind,
        resolved: ResolvedReport,
        account: str,
        interval: Span | None = None,
        run_id: str | None = None,
        count: int = 0,
        message: str = "",
    ) -> None:
        table = resolved.report.table
        self._load.on_event(Event(kind, table, resolved.offered.id, account, interval, run_id, count, message))


def no_report_yet(request: CellRequest, error: Exception) -> bool:
    """True where Stripe has no report of a payout: of manual and instant ones it never has, of others after a time.

    How Stripe says so is not documented: whatever speaks of the payout counts, and what does not is a failure.
    """
    if not request.report.keys or not isinstance(error, StripeError) or isinstance(error, AccountGone):
        return False
    said = f"{error.param} {error.message}"
    payout = str(request.report.parameters.get("payout", ""))
    speaks_of_it = _PAYOUT.search(said) is not None or (payout != "" and payout in said)
    return error.http_status in (400, 404) and speaks_of_it


def _following(lane: Lane, request: CellRequest) -> tuple[str, ...]:
    """The later cells of a lane, which are not loaded either once one has failed."""
    return tuple(cell.title for cell in lane.cells if cell.cell.first_day > request.cell.first_day)
