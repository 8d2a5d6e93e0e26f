"""Time partitions that are the cells of a report's grid and zone, and the days that a partition stands for.

In: a report's table, a partition of Dagster's. Out: Dagster's partitions, calendar days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta, timezone
from zoneinfo import ZoneInfo

from dagster import (
    DailyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    PartitionsDefinition,
    TimeWindow,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from ... import ConfigurationError, ReportTable
from ...plan.intervals import UTC_NAMES, day_of, floor_to_grid, next_on_grid, start_of_day

DAY = "%Y-%m-%d"
MONDAY = 1
PARTITIONS_LOOKED_AT = 32
"""Windows of a user's partitions that are compared with the grid: a month of days."""

_OF_GRID: dict[str, Callable[..., TimeWindowPartitionsDefinition]] = {
    "day": DailyPartitionsDefinition,
    "week": WeeklyPartitionsDefinition,
    "month": MonthlyPartitionsDefinition,
}


def partitions_of(table: ReportTable) -> TimeWindowPartitionsDefinition:
    """The cells of a report as partitions, from the source's first day to the cell that today lies in.

    Raises:
        ConfigurationError: the source has no first day.
    """
    if table.start_date is None:
        raise ConfigurationError(
            f"report {table.report!r}: set start_date, the day that the first partition begins with; definitions do "
            "not ask Stripe from when on it has data."
        )
    how: dict[str, object] = {"timezone": table.timezone, "fmt": DAY}
    if table.grid == "week":
        how["day_offset"] = MONDAY
    if table.end_date is None:
        how["end_offset"] = 1  # the cell that is still in progress
    else:
        last = floor_to_grid(table.end_date - timedelta(days=1), table.grid)
        how["end_date"] = next_on_grid(last, table.grid).isoformat()
    return _OF_GRID[table.grid](start_date=floor_to_grid(table.start_date, table.grid).isoformat(), **how)


def checked_partitions(partitions: PartitionsDefinition[str], table: ReportTable) -> TimeWindowPartitionsDefinition:
    """A user's partitions, each of which must hold whole cells of a report.

    Raises:
        ConfigurationError: a partition would cut a cell.
    """
    where = f"report {table.report!r}: partitions_def"
    if not isinstance(partitions, TimeWindowPartitionsDefinition):
        raise ConfigurationError(f"{where} must be time partitions, such as MonthlyPartitionsDefinition.")
    if partitions.timezone != table.timezone and not {partitions.timezone, table.timezone} <= set(UTC_NAMES):
        raise ConfigurationError(
            f"{where} has the timezone {partitions.timezone!r}, and the report {table.timezone!r}; set the same."
        )
    zone = ZoneInfo(table.timezone)
    # in UTC: Python lets no midnight that a clock change skips equal an instant of another zone
    for key in partitions.get_partition_keys()[:PARTITIONS_LOOKED_AT]:
        window = partitions.time_window_for_partition_key(key)
        for day, instant in zip(days_of(window, table), (window.start, window.end), strict=True):
            if floor_to_grid(day, table.grid) != day or start_of_day(day, zone) != instant.astimezone(timezone.utc):
                raise ConfigurationError(
                    f"{where} begins or ends a partition at {instant.isoformat()}, in a {table.grid} of the report; "
                    f"let each partition be whole {table.grid}s, weeks from Monday (day_offset=1)."
                )
    return partitions


def days_of(window: TimeWindow, table: ReportTable) -> tuple[date, date]:
    """The first day of a partition, and the day after its last, in the report's zone."""
    zone = ZoneInfo(table.timezone)
    return day_of(window.start, zone), day_of(window.end, zone)
