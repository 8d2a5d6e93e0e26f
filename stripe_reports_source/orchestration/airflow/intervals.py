"""The data interval of a DAG run as days of a report: which cells it loads, and what Stripe must have for them. Pure.

In: a report's table, the interval's two instants. Out: calendar days in the report's zone, an instant to wait for.

A day belongs to the interval in which it ends. So the intervals of a schedule share out all days, each to one of them,
at any hour and in any zone; and all days of an interval are over when it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ... import ReportTable
from ...plan.intervals import day_of, floor_to_grid, next_on_grid, start_of_day

Days = tuple[date, date]
"""The first day, and the day after the last."""


@dataclass(frozen=True)
class DataInterval:
    """Airflow's data interval; both instants are the same, or None, where a run has none."""

    start: datetime | None
    end: datetime | None


def days_of(table: ReportTable, interval: DataInterval) -> Days | None:
    """The whole cells in which the days of an interval lie; None where no day ends in it."""
    if interval.start is None or interval.end is None:
        return None
    zone = ZoneInfo(table.timezone)
    first, after = day_of(interval.start, zone), day_of(interval.end, zone)
    if first >= after:
        return None
    last = floor_to_grid(after - timedelta(days=1), table.grid)
    return floor_to_grid(first, table.grid), next_on_grid(last, table.grid)


def reports_by_days(tables: Iterable[ReportTable], interval: DataInterval) -> dict[Days | None, list[str]]:
    """The resources of the reports that an interval loads, by their days; without those that have no such day.

    Under None are the reports of a run without an interval: all that is not loaded yet.
    """
    found: dict[Days | None, list[str]] = {}
    for table in tables:
        days = days_of(table, interval)
        outside = days is not None and (
            (table.start_date is not None and days[1] <= table.start_date)
            or (table.end_date is not None and days[0] >= table.end_date)
        )
        if not outside:
            found.setdefault(days, []).append(table.resource)
    return found


def awaited(table: ReportTable, interval: DataInterval) -> datetime | None:
    """Up to when Stripe must have a report for an interval: the end of its last day. None where that is in any case."""
    if interval.end is None:
        return None
    zone = ZoneInfo(table.timezone)
    day = day_of(interval.end, zone)
    if table.end_date is not None:
        day = min(day, table.end_date)
    return None if table.start_date is not None and day <= table.start_date else start_of_day(day, zone)
