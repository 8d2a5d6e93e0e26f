"""How far each report is loaded, compared with what Stripe has now.

In: a pipeline (its state and its tables) and the offered report types. Out: one `ReportStatus` per table and
account. Reads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dlt import Pipeline

from ..plan.state import lanes_in
from ..plan.system_tables import REPORT_RUNS
from .query import select


@dataclass(frozen=True)
class ReportStatus:
    """One report of one account. Instants are UTC; `behind` is zero when all that Stripe has is loaded."""

    table: str
    account: str
    report_type: str
    loaded_to: datetime | None
    available_to: datetime | None
    rows: int
    last_run: str | None
    last_run_created: datetime | None
    failures: tuple[str, ...]

    @property
    def behind(self) -> timedelta | None:
        """How much of what Stripe has is not loaded; None where Stripe no longer offers the report."""
        if self.available_to is None or self.loaded_to is None:
            return None
        return max(self.available_to - self.loaded_to, timedelta(0))


def loaded_cursors(pipeline: Pipeline, source_name: str = "stripe_reports") -> dict[tuple[str, str], datetime]:
    """The end of what is loaded, by table and account, from the state that dlt keeps at the destination."""
    pipeline.sync_destination()
    return {
        (table, account): lane.all_loaded_to
        for table, lanes in lanes_in(pipeline.state, source_name).items()
        for account, lane in lanes.items()
    }


def report_status(pipeline: Pipeline, offered: Sequence[Mapping[str, Any]]) -> list[ReportStatus]:
    """The status of all reports that the pipeline has loaded.

    Args:
        pipeline: where the reports were loaded to.
        offered: rows of `report_types`.
    """
    available = {offer["id"]: offer["data_available_end"] for offer in offered}
    result = []
    for (table, account), loaded_to in sorted(loaded_cursors(pipeline).items()):
        runs = _runs(pipeline, table)
        last = runs[0] if runs else None
        report_type = last["report_type"] if last else ""
        result.append(
            ReportStatus(
                table=table,
                account=account,
                report_type=report_type,
                loaded_to=loaded_to,
                available_to=available.get(report_type),
                rows=_rows(pipeline, table),
                last_run=f"{last['run_id']} {last['status']}" if last else None,
                last_run_created=last["created"] if last else None,
                failures=_open_failures(runs),
            )
        )
    return result


def _open_failures(runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Errors of intervals that no later run has loaded. `runs` are newest first."""
    loaded: set[tuple[Any, Any]] = set()
    failures = []
    for run in runs:
        interval = (run["account"], run["interval_start"] or run["interval_end"] or run["parameters"])
        if run["error"] is None:
            loaded.add(interval)
        elif interval not in loaded:
            failures.append(f"{run['run_id']}: {run['error']}")
    return tuple(failures)


_RUN_COLUMNS = (
    "run_id",
    "report_type",
    "account",
    "interval_start",
    "interval_end",
    "parameters",
    "status",
    "created",
    "error",
)


def _runs(pipeline: Pipeline, table: str) -> list[dict[str, Any]]:
    columns = ", ".join(f"{{column.{name}}}" for name in _RUN_COLUMNS)
    query = (
        f"SELECT {columns} FROM {{table.{REPORT_RUNS.name}}} WHERE table_name = %s ORDER BY created DESC, run_id DESC"  # noqa: S608
    )
    return [dict(zip(_RUN_COLUMNS, row, strict=True)) for row in select(pipeline, query, table) or ()]


def _rows(pipeline: Pipeline, table: str) -> int:
    rows = select(pipeline, f"SELECT count(*) FROM {{table.{table}}}")  # noqa: S608
    return int(rows[0][0]) if rows else 0
