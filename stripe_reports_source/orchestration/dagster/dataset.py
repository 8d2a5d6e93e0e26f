"""What the dataset says of a report: the cells of a partition, how fresh the table is, whether it agrees with others.

In: a pipeline that has loaded, a report's table. Out: values that Dagster shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from dlt import Pipeline

from ... import FetchedFile, ReportTable, query_tables

STORED = "rows_stored_equal_file"
BAD = ("variance", "stale")
OPEN = (*BAD, "pending")
STATUSES = ("tied", "explained", "not_comparable", "pending", "stale", "variance")


@dataclass(frozen=True)
class StoredCell:
    """A cell as it is stored: its rows, the run it is from, the SHA-256 of that run's file."""

    interval_end: datetime | None
    rows: int
    run_id: str
    sha256: str | None


@dataclass(frozen=True)
class Freshness:
    """How far a table is loaded, and when that was last compared with Stripe; of its slowest account."""

    loaded_to: datetime | None
    available_to: datetime | None
    checked_at: datetime
    open_failures: int


@dataclass(frozen=True)
class Verdict:
    """A row of `tie_out` that is about a table."""

    equation: str
    currency: str
    item: str
    interval_day: date | None
    difference: Decimal | None
    status: str
    reason: str
    checked_at: datetime

    @property
    def line(self) -> str:
        """Where, by how much, why and what to do."""
        where = " ".join(str(part) for part in (self.interval_day, self.currency, self.item) if part)
        amount = "" if self.difference is None else f" {self.difference.normalize():f}"
        return f"{self.equation} {where}:{amount} ({self.status}): {self.reason}"


def stored_cells(
    pipeline: Pipeline, table: ReportTable, days: tuple[date, date], files: Iterable[FetchedFile]
) -> list[StoredCell]:
    """The cells of some days; of a report per payout those of the files, as its cells have no day."""
    columns = "c.interval_end, c.{column.rows}, c.run_id, r.sha256"
    known = "FROM {table.report_cells} c LEFT JOIN {table.report_runs} r ON r.run_id = c.run_id AND r.error IS NULL"
    query = f"SELECT {columns} {known} WHERE c.table_name = %s AND c.account = %s"
    of_days = f"{query} AND c.interval_day >= %s AND c.interval_day < %s ORDER BY c.interval_day, c.interval_key"
    found = query_tables(pipeline, of_days, table.table, table.account, *days)
    if not found:
        runs = {file.run_id for file in files if file.refused is None}
        found = [row for row in query_tables(pipeline, query, table.table, table.account) if row[2] in runs]
    return [StoredCell(end, int(rows or 0), run_id, sha256) for end, rows, run_id, sha256 in found]


def freshness(pipeline: Pipeline, table: ReportTable) -> Freshness | None:
    """How fresh a table is; None where nothing says so."""
    rows = query_tables(
        pipeline,
        "SELECT loaded_to, available_to, checked_at, open_failures, account FROM {table.report_freshness} "
        "WHERE table_name = %s",
        table.table,
    )
    lanes = f"{table.account}/acct_"  # of connected accounts; a label may have slashes too
    ours = [Freshness(*row[:4]) for row in rows if row[4] == table.account or str(row[4]).startswith(lanes)]
    # those that have left the platform and are asked for no more
    ours = [lane for lane in ours if lane.available_to is not None or lane.open_failures]
    if not ours:
        return None
    slowest = min(ours, key=lambda lane: (lane.loaded_to is not None, lane.loaded_to or lane.checked_at))
    return Freshness(
        slowest.loaded_to, slowest.available_to, slowest.checked_at, sum(lane.open_failures for lane in ours)
    )


def verdicts(pipeline: Pipeline, table: ReportTable, days: tuple[date, date] | None = None) -> list[Verdict]:
    """What `tie_out` says of the figures of a table, of some days or of all.

    What is of no run is of an interval that the ledger does not have: rows that it does not list, whose item is their
    table, and payouts of a report that is run for each of them.
    """
    runs = {
        run
        for (run,) in query_tables(
            pipeline,
            "SELECT run_id FROM {table.report_runs} WHERE table_name = %s AND account = %s",
            *(table.table, table.account),
        )
    }
    query = (
        "SELECT equation, currency, item, interval_day, difference, status, reason, checked_at, "
        "interval_key, figure_run, against_run FROM {table.tie_out} WHERE account = %s"
    )
    values: list[Any] = [table.account]
    if days is not None:
        query += " AND interval_day >= %s AND interval_day < %s"
        values += days
    rows = query_tables(pipeline, query, *values)
    found = [(Verdict(*row[:8]), row[8], row[9:]) for row in rows]
    return [
        verdict
        for verdict, key, named in found
        if runs & set(_runs(named)) or (named[0] is None and _is_of_no_run(verdict, key, table))
    ]


def _is_of_no_run(verdict: Verdict, key: str, table: ReportTable) -> bool:
    """True for what is open of a table's report, though no run of it is named."""
    if verdict.equation == STORED:
        return verdict.status in OPEN and verdict.item == table.table
    base = table.report.rstrip("0123456789").rstrip(".")
    return verdict.status in OPEN and key.startswith(f"{table.account}|{base}|")


def counted(found: Sequence[Verdict]) -> str:
    """How many verdicts there are of each status, in words."""
    counts = Counter(verdict.status for verdict in found)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]) or "nothing compared yet"


def _runs(columns: Iterable[str | None]) -> list[str]:
    return [run for runs in columns if runs for run in runs.split(", ")]
