"""How far each report is loaded, what has failed, and what Stripe has: from the dataset alone, or with Stripe's word.

In: a pipeline (its tables and the state that dlt keeps at the destination), and how far Stripe's data reaches, where
that is known. Out: one `ReportStatus` per table and account that was ever asked for. Reads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from ..plan.state import lanes_in
from ..plan.system_tables import REPORT_CELLS, REPORT_RUNS, FreshnessRow
from .freshness import freshness_table
from .query import select

LaneKey = tuple[str, str]
"""A table, and an account as `report_freshness` writes it."""
PENDING = "pending"
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

    @property
    def behind(self) -> timedelta | None:
        """How much of what Stripe has is not loaded; None where nothing is, or Stripe does not offer the report."""
        if self.available_to is None or self.loaded_to is None:
            return None
        return max(self.available_to - self.loaded_to, timedelta(0))

    def behind_now(self, now: datetime) -> timedelta | None:
        """How long ago the loaded data ends; None where nothing is loaded."""
        return None if self.loaded_to is None else max(now - self.loaded_to, timedelta(0))

    def fresh(self, most: timedelta, now: datetime, *, asked: bool) -> bool:
        """Whether the report is behind Stripe by no more than `most`.

        Args:
            most: may be missing of what Stripe has.
            now: the present.
            asked: `available_to` is what Stripe says now. Else a last sync that is longer ago than `most` is behind:
                what has come since then is not known.
        """
        if not asked and (self.checked_at is None or now - self.checked_at > most):
            return False
        if self.loaded_to is None:
            return self.available_to is None and asked
        return self.behind is None or self.behind <= most


def loaded_cursors(pipeline: Pipeline, source_name: str = "stripe_reports") -> dict[LaneKey, datetime]:
    """The end of what is loaded, by table and account, from the state that dlt keeps at the destination."""
    pipeline.sync_destination()
    return {
        (table, account): lane.all_loaded_to
        for table, lanes in lanes_in(pipeline.state, source_name).items()
        for account, lane in lanes.items()
    }


def report_status(pipeline: Pipeline, available: Mapping[str, datetime] | None = None) -> list[ReportStatus]:
    """The status of each report that was loaded, tried or asked for.

    Args:
        pipeline: where the reports were loaded to.
        available: up to when Stripe has data now, by report type; None where Stripe was not asked.
    """
    cursors, runs = loaded_cursors(pipeline), _runs(pipeline)
    with freshness_table(pipeline) as freshness:
        fresh = freshness.rows
    lanes = {**dict.fromkeys(cursors), **dict.fromkeys(fresh)}
    of_lane: dict[LaneKey, list[_Run]] = {lane: [run for run in runs if run.is_of(lane)] for lane in lanes}
    for run in runs:  # of an older version's ledger, or of a table that was never loaded
        if not any(run.is_of(lane) for lane in lanes):
            of_lane.setdefault((run.table_name, run.account), []).append(run)
    types = _covered(pipeline)
    for table, account in types:
        if not any((table, account) == (lane, _label(key)) for lane, key in of_lane):
            of_lane[table, account] = []
    return [
        _status(lane, made, fresh.get(lane), cursors.get(lane), available, _rows(pipeline, *lane), types)
        for lane, made in sorted(of_lane.items())
    ]


def _label(account: str) -> str:
    """The `_account` value of a lane's rows: without the connected account that its runs are for."""
    return account.partition("/")[0]


def _status(
    lane: LaneKey,
    runs: Sequence[_Run],
    fresh: FreshnessRow | None,
    cursor: datetime | None,
    available: Mapping[str, datetime] | None,
    rows: int,
    covered: Mapping[LaneKey, str],
) -> ReportStatus:
    last = runs[0] if runs else None
    table, account = lane
    report_type = (
        fresh.report_type if fresh else last.report_type if last else covered.get((table, _label(account)), "")
    )
    open_runs = _open_runs(runs)
    failures = [run.why for run in open_runs if run.status != PENDING]
    pending = [run.why for run in open_runs if run.status == PENDING]
    # what could not even be planned has no run
    unknown = (fresh.open_failures if fresh else 0) - len(open_runs)
    last_known = fresh.available_to if fresh else None
    return ReportStatus(
        table=table,
        account=account,
        report_type=report_type,
        loaded_to=cursor or (fresh.loaded_to if fresh else None),
        available_to=last_known if available is None else available.get(report_type),
        checked_at=fresh.checked_at if fresh else None,
        rows=rows,
        last_run=f"{last.run_id} {last.status}" if last else None,
        last_run_created=last.created if last else None,
        failures=(*failures, *[NO_RUN] * (1 if unknown > 0 and not open_runs else 0)),
        pending=tuple(pending),
    )


@dataclass(frozen=True)
class _Run:
    """A row of `report_runs`, as far as a status needs it."""

    run_id: str
    report_type: str
    account: str
    table_name: str
    interval_start: datetime | None
    interval_end: datetime | None
    parameters: str
    status: str
    created: datetime
    error: str | None

    def is_of(self, lane: LaneKey) -> bool:
        table, account = lane
        label, _, connected = account.partition("/")
        named = not connected or f'"{connected}"' in self.parameters
        return (table, label) == (self.table_name, self.account) and named

    @property
    def place(self) -> object:
        """What the run was made for. An interval that has grown since begins where it did."""
        return self.interval_start or self.interval_end or self.parameters

    @property
    def why(self) -> str:
        return f"{self.run_id}: {self.error}"


def _open_runs(runs: Sequence[_Run]) -> list[_Run]:
    """The newest run of each interval, where it has failed. `runs` are newest first."""
    newest: dict[object, _Run] = {}
    for run in runs:
        newest.setdefault(run.place, run)
    return [run for run in newest.values() if run.error is not None]


def _runs(pipeline: Pipeline) -> list[_Run]:
    names = ", ".join(f"{{column.{column.name}}}" for column in fields(_Run))
    query = (
        f"SELECT {names} FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
        "ORDER BY {column.created} DESC, {column.run_id} DESC"
    )
    return [_Run(*row) for row in select(pipeline, query) or ()]


def _covered(pipeline: Pipeline) -> dict[LaneKey, str]:
    """The report type of each table and account of which cells are loaded."""
    query = (
        "SELECT {column.table_name}, {column.account}, MAX({column.report_type}) "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} GROUP BY {{column.table_name}}, {{column.account}}"
    )
    found = select(pipeline, query) or ()
    return {(table, account): report_type for table, account, report_type in found}


def _rows(pipeline: Pipeline, table: str, account: str) -> int:
    """The rows of a lane that are stored."""
    label, _, connected = account.partition("/")
    query, values = f"SELECT COUNT(*) FROM {{table.{table}}} WHERE {{column._account}} = %s", [label]  # noqa: S608
    if connected:
        query, values = f"{query} AND {{column._interval_key}} LIKE %s", [label, f'%"{connected}"%']
    try:
        found = select(pipeline, query, *values)
    except DatabaseException:  # a table that is not one of ours any more
        return 0
    return int(found[0][0]) if found else 0
