"""One sync: fetches planned cells ahead, hands them to dlt in order and moves the cursor.

In: settings, reports, dlt's incremental cursor and resource state. Out: Arrow tables for dlt. All that a sync
shares between its reports (client, list of offered types, worker pool, files on disk) is in `SyncSession`.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dlt import Pipeline

from ..errors import Failure, StripeError, StripeReportsError, StripeUnreachable
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.columns import TableColumn
from ..plan.intervals import Span
from ..plan.lanes import LanePlanner, LaneSync
from ..plan.report import Report, ResolvedReport
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedType
from ..plan.system_tables import RunRow
from ..rows.system_rows import failed_run_row, loaded_run_row
from ..stripe_api.client import StripeClient
from ..stripe_api.runs import RunBook, Runner
from ..warehouse.destinations import check_destination, exact_file_format
from ..warehouse.forks import Fork, History
from ..warehouse.payouts import payouts_table
from .context import LoadScope, SpoiledPackage
from .fetch import CellFetcher
from .pool import FetchPool, Lane, Stopped
from .progress import Event, EventKind

logger = logging.getLogger(__name__)

SPARE_BYTES = 128 << 20
"""Result files that may wait for a load package beyond one per slot, in all: small runs go on while dlt loads."""
CLOSE_PATIENCE = 0.3
"""Seconds to wait for workers at the end: a request that hangs must not hold up Ctrl-C."""


class SyncSession:
    """What the reports of one sync share. Made lazily; `close` may be called at any time."""

    def __init__(self, settings: Settings, scope: LoadScope | None, pipeline: Pipeline | None) -> None:
        if pipeline is not None:
            check_destination(pipeline)
        self.file_format = None if pipeline is None else exact_file_format(pipeline)
        self._history = None if pipeline is None else History(pipeline)
        self.settings = settings
        self.scope = scope
        self.run_rows: list[RunRow] = []
        self.columns: dict[str, dict[str, TableColumn]] = {}
        self.open_reports = 0
        self._parsing = 0
        self._planner = LanePlanner(settings, self._history, pipeline)
        self._client = StripeClient(
            settings.api_key,
            api_base_url=settings.api_base_url,
            files_base_url=settings.files_base_url,
            retry=settings.retry_policy,
            sleep=self._sleep,
        )
        self._offered: list[OfferedType] | None = None
        self._lanes: dict[str, list[LaneSync]] = {}
        self._pool: FetchPool[CellRequest, FetchedCell] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._news = scope.run_news if scope else None
        self._closing = threading.Event()

    @property
    def offered(self) -> list[OfferedType]:
        """The report types the account offers: asked once per sync."""
        if self._offered is None:
            self._offered = self._client.report_types(self.settings.stripe_account)
        return self._offered

    @property
    def forks(self) -> frozenset[Fork]:
        """The forks in the pipeline's history that this sync knows of."""
        return self._history.forks if self._history else frozenset()

    @property
    def follow_up(self) -> bool:
        """True when payouts were loaded for which another report of this sync is to be run now."""
        keyed = (lane.resolved for lanes in self._lanes.values() for lane in lanes if lane.resolved.keys)
        return any(payouts_table(resolved) in self.columns for resolved in keyed)

    def notify(self, event: Event) -> None:
        """Tell whoever watches."""
        if self.scope:
            self.scope.on_event(event)

    def lanes(
        self, report: Report, window: Span | None, cursor: datetime | None, state: Mapping[str, Any]
    ) -> list[LaneSync]:
        """The lanes of a report, planned at the first call of a sync.

        Args:
            report: the user's words.
            window: for a backfill, what to load; None follows the cursor.
            cursor: end of what is loaded, None if nothing is.
            state: what `note_loaded` has kept, by lane.

        Raises:
            ConfigurationError: the report cannot be run as asked. No run has been created then.
        """
        if report.table not in self._lanes:
            planned = self._planner.plan(report, self.offered, window, cursor, state)
            for lane in planned:
                kind: EventKind = "planned" if lane.jobs else "up_to_date"
                self.notify(_event(kind, lane.resolved, lane.key, count=lane.left))
            self._lanes[report.table] = planned
        return self._lanes[report.table]

    def start(self, lane: LaneSync) -> None:
        """Let the lane's cells be fetched, unless that is under way already."""
        if lane.lane is None and lane.left:
            if self._pool is None:
                self._pool = self._new_pool()
            lane.lane = self._pool.lane(lane.jobs)

    def take(self, lane: LaneSync) -> FetchedCell | CellFailure | None:
        """The lane's next cell in order, None while it is not there; call `release` when through with it."""
        pool, started = self._started(lane)
        outcome = pool.take(started)
        if outcome is None:
            return None
        if isinstance(outcome.error, CellFailure):
            return outcome.error
        if self.scope and outcome.result is not None:
            self.scope.cells += 1
            self.scope.bytes += outcome.result.file.bytes
        return outcome.result

    def release(self, lane: LaneSync, taken: FetchedCell | CellFailure, *, failed: bool) -> None:
        """Free a cell's slot and disk space. If it has failed, so has the rest of its lane."""
        pool, started = self._started(lane)
        if failed and not lane.resolved.keys:
            lane.left = 0
            pool.cancel(started)
        else:
            lane.left -= 1
        if isinstance(taken, FetchedCell):
            _remove(taken)
        pool.release(started)

    def abandon(self, table: str) -> None:
        """Drop what is under way for a table: its generator was closed before its end."""
        for lane in self._lanes.pop(table, []):
            if lane.lane is not None and self._pool is not None:
                self._pool.cancel(lane.lane)

    def wait(self) -> None:
        """Wait a moment for any cell, unless there is one at hand."""
        if self._pool is not None and not self._parsing:
            self._pool.wait(0.05)

    @contextmanager
    def parsing(self, fetched: FetchedCell) -> Iterator[None]:
        """While a cell's rows are given out, nobody waits."""
        self._on_stage(fetched.request, "parsing", fetched.obtained.run.id)
        self._parsing += 1
        try:
            yield
        finally:
            self._parsing -= 1

    def fail(self, lane: LaneSync, request: CellRequest, failure: CellFailure, *, begun: bool = False) -> None:
        """Note a cell that could not be loaded: in `report_runs` and, under a scope, for the error at the end.

        Args:
            lane, request: the cell.
            failure: why.
            begun: rows of the cell are in the load package already, which has to be extracted anew without it.

        Raises:
            StripeReportsError: without a scope.
            SpoiledPackage: under a scope, when the cell was begun.
        """
        if request.report.keys and isinstance(failure.error, StripeError) and failure.error.http_status in (400, 404):
            # manual and instant payouts never have such a report, automatic ones only some time after they are made
            logger.warning("%s %s: no report (yet): %s", request.report.offered.id, request.title, failure.error)
            self.notify(_event("skipped", lane.resolved, lane.key, message=str(failure.error)))
            return
        row = failed_run_row(request, failure)
        if row:
            self.run_rows.append(row)
        run_id = failure.obtained.run.id if failure.obtained else None
        failed = Failure(
            report=lane.resolved.offered.id,
            account=lane.key,
            interval=request.title,
            run_id=run_id,
            error=failure.error,
            remedy=getattr(failure.error, "remedy", StripeReportsError.remedy),
        )
        self.notify(_event("failed", lane.resolved, lane.key, request.cell.span, run_id, message=str(failure.error)))
        if self.scope is None:
            raise StripeReportsError(str(failed)) from failure.error
        self.scope.failures.append(failed)
        if begun:
            self.scope.spoiled[request.report.report.table, request.key] = failure
            raise SpoiledPackage(str(failed)) from failure.error

    def note_loaded(
        self, lane: LaneSync, fetched: FetchedCell, rows: int, state: MutableMapping[str, Any], load_id: str | None
    ) -> None:
        """Keep what the next sync must know, in the state that dlt commits with the rows."""
        known = state.setdefault(lane.key, {})
        loaded = Span(known["loaded_from"], known["loaded_to"]) if known else None
        hull = fetched.span.hull(loaded)
        known.update(
            loaded_from=hull.start,
            loaded_to=hull.end,
            grid=lane.resolved.grid_identity,
            report_type=lane.resolved.offered.id,
        )
        first = known["package_from"] if "package" in known and known["package"] == load_id else fetched.span.start
        known.update(package=load_id, package_from=min(first, fetched.span.start))  # see `history`
        if not lane.backfill:
            known["cursor"] = fetched.span.end
            known["forks"] = sorted(self.forks)
            if lane.left == 1:
                known["complete_to"] = lane.resolved.offered.available.end
        self.run_rows.append(loaded_run_row(fetched, rows))
        table = self.columns.setdefault(lane.resolved.report.table, {})
        table.update((column.name, column) for column in fetched.columns)
        self.notify(_event("loaded", lane.resolved, lane.key, fetched.span, fetched.obtained.run.id, count=rows))

    def close(self) -> None:
        """Stop the workers and remove the files. The runs stay at Stripe, where the next sync finds them."""
        pool, self._pool = self._pool, None
        folder, self._folder = self._folder, None
        self._lanes.clear()
        self._closing.set()
        if self._news:
            self._news.wake()
        if pool:
            pool.close(CLOSE_PATIENCE)
        if folder:
            folder.cleanup()

    def _started(self, lane: LaneSync) -> tuple[FetchPool[CellRequest, FetchedCell], Lane[CellRequest, FetchedCell]]:
        if self._pool is None or lane.lane is None:
            raise RuntimeError(f"{lane.resolved.report.table}: this sync is closed")
        return self._pool, lane.lane

    def _new_pool(self) -> FetchPool[CellRequest, FetchedCell]:
        book = RunBook(self._client)
        runner = Runner(
            self._client,
            book,
            self.settings.run_policy,
            clock=time.monotonic,
            sleep=self._sleep,
            wait_for_news=self._wait_for_news if self._news else None,
        )
        self._folder = tempfile.TemporaryDirectory(prefix="stripe-reports-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        spoiled = self.scope.spoiled if self.scope else {}
        fetcher = CellFetcher(self._client, runner, folder, self._on_stage, spoiled)
        return FetchPool(
            self.settings.max_concurrent_runs,
            fetcher.fetch,
            _remove,
            bytes_of=lambda fetched: fetched.file.bytes,
            spare_bytes=SPARE_BYTES,
        )

    def _on_stage(self, request: CellRequest, stage: EventKind, run_id: str | None) -> None:
        logger.info("%s %s: %s %s", request.report.offered.id, request.cell.span, stage, run_id or "")
        self.notify(_event(stage, request.report, request.label, request.cell.span, run_id))

    def _wait_for_news(self, run_id: str, seconds: float) -> None:
        if self._news:
            self._news.wait(run_id, seconds, self._closing)
        if self._closing.is_set():
            raise Stopped

    def _sleep(self, seconds: float) -> None:
        if self._pool is not None:
            self._pool.sleep(seconds)
        elif self.scope is None or self.scope.stop is None:
            time.sleep(seconds)
        elif self.scope.stop.wait(seconds):
            raise StripeUnreachable("The load was stopped while it waited to ask Stripe again.")


def _remove(fetched: FetchedCell) -> None:
    fetched.file.path.unlink(missing_ok=True)


def _event(
    kind: EventKind,
    resolved: ResolvedReport,
    account: str,
    interval: Span | None = None,
    run_id: str | None = None,
    count: int = 0,
    message: str = "",
) -> Event:
    return Event(kind, resolved.report.table, resolved.offered.id, account, interval, run_id, count, message)
