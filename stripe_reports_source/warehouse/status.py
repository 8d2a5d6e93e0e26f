"""How far each report is loaded, what has failed, and what Stripe has: from the dataset alone, or with Stripe's word.

In: a pipeline (its tables and the state that dlt keeps at the destination), and how far Stripe's data reaches, where
that is known. Out: one `ReportStatus` per table and account that was ever asked for. Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from ..plan.credentials import connected_in
from ..plan.state import lanes_in
from ..plan.system_tables import REPORT_CELLS, FreshnessRow
from .freshness import freshness_table
from .passing import raise_passing
from .places import reading_place
from .query import prefix_sql, select
from .status_runs import ShownRun, accounts_in, open_runs, shown_runs

LaneKey = tuple[str, str]
"""A table, and an account as `report_freshness` writes it."""
PENDING = "pending"
UNNAMED = "default"
"""The `account` of a source that is given none."""
NO_RUN = "no run could be made for it, or its record is gone; the next sync says why"


@dataclass(frozen=True)
class ReportStatus:
    """One report of one account. Instants are UTC.

    Args:
        table, account, report_type: which report; the type is empty where it is not known.
        loaded_to: up to when all is loaded; None while nothing is.
        available_to: up to when Stripe has data: now, or at the last sync where Stripe was not asked.
        checked_at: when the last sync asked Stripe; None where that is not known.
        rows: that are stored.
        last_run, last_run_created: id and status of the newest run.
        failures: intervals that have failed and are not loaded, each with its run and why.
        pending: the same for intervals whose run Stripe has not ended.
        asked: `available_to` is what Stripe says now, and not what it said at the last sync.
        ended: a connected account that has left the platform and is asked for no more: nothing is behind.
    """

    table: str
    account: str
    report_type: str
    loaded_to: datetime | None
    available_to: datetime | None
    checked_at: datetime | None
    rows: int
    last_run: str | None
    last_run_created: datetime | None
    failures: tuple[str, ...]
    pending: tuple[str, ...]
    asked: bool = False
    ended: bool = False

    @property
    def behind(self) -> timedelta | None:
        """How much of what Stripe has is not loaded; None where nothing is, or Stripe does not offer the report."""
        if self.available_to is None or self.loaded_to is None:
            return None
        return max(self.available_to - self.loaded_to, timedelta(0))

    def behind_now(self, now: datetime) -> timedelta | None:
        """How long ago the loaded data ends; None where nothing is loaded, or nothing more can be."""
        return None if self.loaded_to is None or self.ended else max(now - self.loaded_to, timedelta(0))

    def fresh(self, most: timedelta, now: datetime) -> bool:
        """Whether the report is behind Stripe by no more than `most`.

        Where Stripe was not asked, a last sync that is longer ago than `most` is behind: what has come since then is
        not known.

        Args:
            most: may be missing of what Stripe has.
            now: the present.
        """
        if self.ended:
            return True
        if not self.asked and (self.checked_at is None or now - self.checked_at > most):
            return False
        if self.loaded_to is None:
            return self.available_to is None and self.asked
        return self.behind is None or self.behind <= most


def loaded_cursors(pipeline: Pipeline, source_name: str = "stripe_reports") -> dict[LaneKey, datetime | None]:
    """The end of what syncs have loaded, by table and account, from the state that dlt keeps at the destination.

    None where only backfills have: how far all is loaded then is in `report_freshness`, for there may be gaps.
    """
    with reading_place(pipeline) as restored:
        restored.sync_destination()
        return {
            (table, account): lane.cursor
            for table, lanes in lanes_in(restored.state, source_name).items()
            for account, lane in lanes.items()
        }


def report_status(
    pipeline: Pipeline, available: Mapping[str, datetime] | None = None, account: str = UNNAMED
) -> list[ReportStatus]:
    """The status of each report that was loaded, tried or asked for.

    Args:
        pipeline: where the reports were loaded to.
        available: up to when Stripe has data now, by report type; None where Stripe was not asked.
        account: the `_account` value of what was asked of: nothing is known by it of other accounts. One that was given
            no label stands for the only account that there is.
    """
    cursors = loaded_cursors(pipeline)
    with freshness_table(pipeline) as freshness:
        fresh = freshness.rows
    of_lane: dict[LaneKey, list[ShownRun]] = {lane: [] for lane in (*cursors, *fresh)}
    for run in shown_runs(pipeline):
        lanes = [lane for lane in run.lanes if lane in of_lane]
        # of an older version's ledger, or of a table that was never loaded
        for lane in lanes or [(run.table_name, run.account)]:
            of_lane.setdefault(lane, []).append(run)
    types = _covered(pipeline)
    labels = {lane: lane if lane in types else (lane[0], label_of(lane[1])) for lane in of_lane}
    of_lane.update((place, []) for place in types if place not in labels.values())
    rows = _Rows(pipeline, {lane for lane, place in labels.items() if lane != place})
    of_account = {lane: labels.get(lane, lane)[1] for lane in of_lane}
    only = set(of_account.values()) if account == UNNAMED else set()
    own = {account} if account in only or len(only) != 1 else only
    return [
        _status(
            lane,
            made,
            fresh.get(lane),
            cursors.get(lane),
            available if of_account[lane] in own else None,
            rows.of(*lane),
            types.get(labels.get(lane, lane), ""),
        )
        for lane, made in sorted(of_lane.items())
    ]


def label_of(account: str) -> str:
    """The `_account` value of the rows of a lane of a connected account; any other account as it is."""
    label = account.rpartition("/")[0]
    return label if label and connected_in(account, label) else account


def _status(
    lane: LaneKey,
    runs: Sequence[ShownRun],
    fresh: FreshnessRow | None,
    cursor: datetime | None,
    available: Mapping[str, datetime] | None,
    rows: int,
    covered_type: str,
) -> ReportStatus:
    last = runs[0] if runs else None
    table, account = lane
    report_type = fresh.report_type if fresh else last.report_type if last else covered_type
    ended = fresh is not None and fresh.ended
    still_open = [] if ended else open_runs(runs)
    failures = [run.why for run in still_open if run.status != PENDING]
    pending = [run.why for run in still_open if run.status == PENDING]
    # what could not even be planned has no run
    unknown = (fresh.open_failures if fresh else 0) - len(still_open)
    last_known = fresh.available_to if fresh else None
    return ReportStatus(
        table=table,
        account=account,
        report_type=report_type,
        loaded_to=_loaded_to(cursor, fresh),
        available_to=last_known if available is None or ended else available.get(report_type),
        checked_at=fresh.checked_at if fresh else None,
        rows=rows,
        last_run=f"{last.run_id} {last.status}" if last else None,
        last_run_created=last.created if last else None,
        failures=(*failures, *[NO_RUN] * (1 if unknown > 0 and not still_open else 0)),
        pending=tuple(pending),
        asked=available is not None,
        ended=ended,
    )


def _loaded_to(cursor: datetime | None, fresh: FreshnessRow | None) -> datetime | None:
    """The cursor; where not all before it is loaded, which the dataset alone says, where that ends."""
    told = fresh.loaded_to if fresh else None
    return min(cursor, told) if cursor and told and fresh and fresh.open_failures else cursor or told


def _covered(pipeline: Pipeline) -> dict[LaneKey, str]:
    """The report type of each table and account of which cells are loaded."""
    query = (
        "SELECT {column.table_name}, {column.account}, MAX({column.report_type}) "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} GROUP BY {{column.table_name}}, {{column.account}}"
    )
    found = select(pipeline, query) or ()
    return {(table, account): report_type for table, account, report_type in found}


class _Rows:
    """The rows of each lane that are stored; those of the `connected` accounts are counted in one query for a table."""

    def __init__(self, pipeline: Pipeline, connected: Collection[LaneKey]) -> None:
        self._pipeline = pipeline
        self._connected = connected
        self._counts = {table: self._counted(table) for table in {table for table, _ in connected}}

    def of(self, table: str, account: str) -> int:
        """How many are stored."""
        if (table, account) in self._connected:
            return self._counts[table][table, account]
        found = self._select(
            f"SELECT COUNT(*) FROM {{table.{table}}} WHERE {{column._account}} = %s",  # noqa: S608
            account,
        )
        return int(found[0][0]) if found else 0

    def _counted(self, table: str) -> Counter[LaneKey]:
        counts: Counter[LaneKey] = Counter()
        lane = prefix_sql("t.{column._interval_key}")
        found = self._select(
            f"SELECT t.{{column._account}}, {lane}, COUNT(*) "  # noqa: S608
            f"FROM {{table.{table}}} t GROUP BY t.{{column._account}}, {lane}"
        )
        for label, key, rows in found:
            for connected in accounts_in(key):
                counts[table, f"{label}/{connected}"] += int(rows)
        return counts

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return select(self._pipeline, query, *values) or []
        except DatabaseException as error:  # a table that is not one of ours any more
            raise_passing(error)
            return []
