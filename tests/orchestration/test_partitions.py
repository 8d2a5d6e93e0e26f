"""Partitions are the cells of a report's grid and zone."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import (
    DailyPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.orchestration.dagster import report_assets
from tests.orchestration.world import World


def partitions(world: World, *, given: PartitionsDefinition[str] | None = None, **settings: Any) -> Any:
    """The partitions of an asset of a source with these settings."""
    source = world.source(["payouts.itemized"], **settings)
    [asset, _] = report_assets(source, pipeline=world.pipeline(), partitions_def=given)
    return asset.partitions_def


def spans(found: TimeWindowPartitionsDefinition, *keys: str) -> list[tuple[str, str]]:
    """Start and end of partitions."""
    windows = [found.time_window_for_partition_key(key) for key in keys]
    return [(window.start.isoformat(), window.end.isoformat()) for window in windows]


def test_months_from_the_one_of_the_first_day(world: World) -> None:
    found = partitions(world, start_date="2025-01-10", end_date="2025-03-10")
    assert found.get_partition_keys() == ["2025-01-01", "2025-02-01", "2025-03-01"]


def test_weeks_begin_on_monday(world: World) -> None:
    found = partitions(world, interval="week", start_date="2025-01-01", end_date="2025-01-20")
    assert found.get_partition_keys() == ["2024-12-30", "2025-01-06", "2025-01-13"]


def test_days_of_23_and_25_hours(world: World) -> None:
    found = partitions(world, interval="day", timezone="America/New_York", start_date="2025-01-01")
    assert spans(found, "2025-03-09", "2025-11-02") == [
        ("2025-03-09T00:00:00-05:00", "2025-03-10T00:00:00-04:00"),
        ("2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"),
    ]


@pytest.mark.parametrize("grid", ["day", "week", "month"])
def test_the_last_partition_is_the_one_in_progress(world: World, grid: str) -> None:
    found = partitions(world, interval=grid, start_date="2025-01-01")
    window = found.time_window_for_partition_key(found.get_last_partition_key())
    today = date.today()
    assert window.start.date() <= today + timedelta(days=1)
    assert window.end.date() > today - timedelta(days=1)


def test_each_report_has_its_own(world: World) -> None:
    source = world.source(["balance.summary", Report("payouts.itemized", interval="week", timezone="Europe/Berlin")])
    months, _, weeks, _ = report_assets(source, pipeline=world.pipeline())
    assert isinstance(months.partitions_def, MonthlyPartitionsDefinition)
    assert isinstance(weeks.partitions_def, WeeklyPartitionsDefinition)
    assert weeks.partitions_def.timezone == "Europe/Berlin"


def test_without_a_first_day_there_are_none(world: World) -> None:
    with pytest.raises(ConfigurationError, match="set start_date, the day that the first partition begins with"):
        partitions(world, start_date=None)


def test_partitions_of_several_cells(world: World) -> None:
    given = MonthlyPartitionsDefinition("2025-01-01", timezone="America/New_York", end_offset=1)
    how = {"interval": "day", "timezone": "America/New_York", "start_date": None}
    assert partitions(world, given=given, **how) is given


def test_months_of_a_zone_in_which_a_month_begins_without_a_midnight(world: World) -> None:
    """Clocks in Asuncion went on by an hour as October 2023 began."""
    given = MonthlyPartitionsDefinition("2023-08-01", timezone="America/Asuncion", end_offset=1)
    assert partitions(world, given=given, timezone="America/Asuncion", start_date="2023-08-01") is given


@pytest.mark.parametrize(
    ("given", "how", "message"),
    [
        (StaticPartitionsDefinition(["a"]), {}, "must be time partitions"),
        (MonthlyPartitionsDefinition("2025-01-01"), {"timezone": "Europe/Berlin"}, "has the timezone 'UTC'"),
        (DailyPartitionsDefinition("2025-01-01"), {}, "begins or ends a partition .*, in a month"),
        (WeeklyPartitionsDefinition("2025-01-01"), {"interval": "week"}, r"weeks from Monday \(day_offset=1\)"),
        (MonthlyPartitionsDefinition("2025-01-01", day_offset=5), {}, "in a month of the report"),
        (HourlyPartitionsDefinition("2025-01-01-00:00"), {"interval": "day"}, "in a day of the report"),
        (DailyPartitionsDefinition("2025-01-01", hour_offset=6), {"interval": "day"}, "in a day of the report"),
    ],
    ids=["static", "zone", "days of a month", "weeks from Sunday", "months from the 5th", "hours", "days from 6"],
)
def test_partitions_that_would_cut_a_cell_are_refused(
    world: World, given: PartitionsDefinition[str], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        partitions(world, given=given, **how)
