"""What a sync is to do: the cells of each report of each account, in order.

In: settings, the types that Stripe offers, what is loaded already. Out: lanes of cells, or a refusal. Runs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dlt
from dlt import Pipeline

from ..sync.pool import Lane
from ..warehouse.forks import History
from ..warehouse.hints import stored_types
from ..warehouse.payouts import keys_to_run
from .catalog import load_catalog
from .cells import CellRequest, FetchedCell
from .column_types import ColumnType
from .intervals import ONE_SECOND, Cell, Span, cells, day_of, sync_window
from .report import Report, ResolvedReport, resolve
from .settings import Settings
from .stripe_objects import OfferedType
from .whole_cells import first_instant, refuse_other_grid, refuse_other_lanes, whole_cells

logger = logging.getLogger(__name__)


@dataclass
class LaneSync:
    """The cells of one report of one account in one sync, and how far it has got."""

    key: str
    resolved: ResolvedReport
    jobs: list[CellRequest]
    backfill: bool
    left: int
    lane: Lane[CellRequest, FetchedCell] | None = None


class LanePlanner:
    """Plans lanes within a dlt resource, whose schema it reads.

    Args:
        settings: the source's.
        history: the pipeline's, None without a pipeline.
        pipeline: where payouts were loaded, for reports that are run per payout.
    """

    def __init__(self, settings: Settings, history: History | None, pipeline: Pipeline | None) -> None:
        self._settings = settings
        self._history = history
        self._pipeline = pipeline
        self._tables = {report.table for report in settings.reports}
        self._catalog = load_catalog()

    def plan(
        self,
        report: Report,
        offered: Sequence[OfferedType],
        window: Span | None,
        cursor: datetime | None,
        state: Mapping[str, Any],
    ) -> list[LaneSync]:
        """The lanes of a report: one, or one per connected account.

        Args:
            report: the user's words.
            offered: the report types that Stripe offers.
            window: for a backfill, what to load; None follows the cursor.
            cursor: end of what is loaded, None if nothing is.
            state: what is kept of earlier syncs, by lane.

        Raises:
            ConfigurationError: the report cannot be run as asked. No run has been created then.
        """
        accounts: tuple[str | None, ...] = (None,)
        if report.base.startswith("connected_account_") and self._settings.connected_accounts:
            accounts = self._settings.connected_accounts
        stored = self._stored_types(report.table)
        return [
            self._lane(
                resolve(report, offered, self._catalog, self._settings.defaults, account, stored),
                account,
                window,
                cursor if len(accounts) == 1 else None,
                state,
            )
            for account in accounts
        ]

    def _lane(
        self,
        resolved: ResolvedReport,
        connected: str | None,
        window: Span | None,
        cursor: datetime | None,
        state: Mapping[str, Any],
    ) -> LaneSync:
        settings = self._settings
        label = settings.stripe_account or settings.account
        key = f"{label}/{connected}" if connected else label
        known: Mapping[str, Any] = state.get(key, {})
        refuse_other_grid(resolved, known)
        refuse_other_lanes(resolved, label, connected, state)
        if known.get("report_type", resolved.offered.id) != resolved.offered.id:
            logger.warning("%s: goes on as %s from here on", known["report_type"], resolved.offered.id)
        loaded = Span(known["loaded_from"], known["loaded_to"]) if known else None
        available = resolved.offered.available
        if resolved.keys:
            return self._keyed_lane(resolved, key, label, window)
        if window is not None:
            planned = window.clamp(available)
            if window.end > available.end:
                logger.warning(
                    "%s: asked for data up to %s, Stripe has it up to %s",
                    resolved.offered.id,
                    window.end,
                    available.end,
                )
        else:
            planned = self._sync_window(resolved, key, known, cursor)
        jobs = [
            CellRequest(resolved, label, settings.stripe_account, cell)
            for cell in cells(planned, resolved.grid, resolved.zone)
        ]
        jobs = whole_cells(jobs, loaded, backfill=window is not None)
        return LaneSync(key, resolved, jobs, window is not None, len(jobs))

    def _keyed_lane(self, resolved: ResolvedReport, key: str, label: str, window: Span | None) -> LaneSync:
        """A lane of a report that is run per payout: one cell for each, as of Stripe's present data."""
        available = resolved.offered.available
        cell = Cell(day_of(available.end, resolved.zone), available, available)
        jobs = [
            CellRequest(resolved.for_key(one), label, self._settings.stripe_account, cell)
            for one in keys_to_run(resolved, self._pipeline, label, window, self._tables)
        ]
        return LaneSync(key, resolved, jobs, window is not None, len(jobs))

    def _stored_types(self, table: str) -> dict[str, ColumnType]:
        if self._history is None:
            return {}
        return stored_types(dlt.current.source_schema().tables.get(table, {}).get("columns", {}))

    def _sync_window(
        self, resolved: ResolvedReport, key: str, known: Mapping[str, Any], cursor: datetime | None
    ) -> Span:
        """What an incremental sync of a lane reads; empty when Stripe has nothing new."""
        available = resolved.offered.available
        since = known.get("cursor")
        if since is not None and cursor is not None:
            since = min(since, cursor)  # dlt's cursor may have been moved on by a sync of another account
        first = first_instant(self._settings.start_date, resolved.zone)
        if since is not None:
            first = known["loaded_from"]
            again = self._replaced_by_others(resolved.report.table, key, known)
            if again is not None:
                logger.warning("%s: two syncs have crossed; loading again from %s", resolved.offered.id, again)
                since = min(since, again)
            elif known.get("complete_to") == available.end and since >= available.end - ONE_SECOND:
                return Span(available.end, available.end)
        return sync_window(
            available,
            grid=resolved.grid,
            zone=resolved.zone,
            first=first,
            cursor=since,
            lookback_days=resolved.lookback_days,
        )

    def _replaced_by_others(self, table: str, key: str, known: Mapping[str, Any]) -> datetime | None:
        if self._history is None:
            return None
        return self._history.replaced_since(known.get("forks", ()), dlt.current.source_schema().name, table, key)
