"""Which cells a data interval loads, and up to when Stripe must have data for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("airflow", reason='Airflow is not installed: pip install "stripe-reports-source[airflow]"')

from stripe_reports_source import ReportTable
from stripe_reports_source.orchestration.airflow.intervals import DataInterval, awaited, days_of, reports_by_days

TABLE = ReportTable(
    resource="payouts_itemized",
    table="payouts_itemized",
    report="payouts.itemized",
    account="default",
    grid="day",
    timezone="UTC",
    start_date=None,
    end_date=None,
    lookback_days=3,
    description="",
    columns=(),
    payouts_table=None,
)
NEW_YORK = replace(TABLE, timezone="America/New_York")


def between(start: datetime, end: datetime) -> DataInterval:
    return DataInterval(start, end)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def test_a_month_of_days() -> None:
    assert days_of(TABLE, between(utc(2025, 1, 1), utc(2025, 2, 1))) == (date(2025, 1, 1), date(2025, 2, 1))


@pytest.mark.parametrize(
    ("grid", "first", "after"),
    [
        ("day", date(2025, 1, 31), date(2025, 2, 1)),
        ("week", date(2025, 1, 27), date(2025, 2, 3)),
        ("month", date(2025, 1, 1), date(2025, 2, 1)),
    ],
)
def test_a_day_is_loaded_with_the_whole_cell_it_lies_in(grid: str, first: date, after: date) -> None:
    table = replace(TABLE, grid=grid)  # type: ignore[arg-type]
    assert days_of(table, between(utc(2025, 1, 31), utc(2025, 2, 1))) == (first, after)


@pytest.mark.parametrize("table", [TABLE, NEW_YORK, replace(TABLE, timezone="Asia/Kathmandu")])
@pytest.mark.parametrize("hour", [0, 3, 6, 23])
def test_the_intervals_of_a_schedule_share_out_all_days(table: ReportTable, hour: int) -> None:
    """Also where clocks change; and each day is over when its interval is."""
    start = utc(2025, 3, 1, hour)
    found = [between(start + timedelta(days=day), start + timedelta(days=day + 1)) for day in range(60)]
    days = [days_of(table, interval) for interval in found]
    assert all(day is not None for day in days)
    joined = [day for day in days if day is not None]
    assert all(before[1] == after[0] for before, after in pairwise(joined))
    for interval, day in zip(found, joined, strict=True):
        end = datetime.combine(day[1], datetime.min.time(), ZoneInfo(table.timezone))
        assert interval.end is not None
        assert end <= interval.end
        assert awaited(table, interval) == end


def test_an_interval_in_which_no_day_ends_has_no_days() -> None:
    at = utc(2025, 1, 1, 6)
    assert days_of(TABLE, between(at, at)) is None
    assert days_of(TABLE, between(at, at + timedelta(hours=1))) is None
    assert days_of(TABLE, DataInterval(None, None)) is None
    assert awaited(TABLE, DataInterval(None, None)) is None
    assert awaited(TABLE, between(at, at)) == utc(2025, 1, 1)


def test_a_report_outside_of_the_source_s_days_is_left_out() -> None:
    interval = between(utc(2025, 1, 1), utc(2025, 2, 1))
    later = replace(TABLE, resource="later", start_date=date(2025, 2, 1))
    over = replace(TABLE, resource="over", end_date=date(2025, 1, 1))
    assert reports_by_days([later, TABLE, over], interval) == {
        (date(2025, 1, 1), date(2025, 2, 1)): ["payouts_itemized"]
    }
    assert awaited(later, interval) is None
    assert awaited(replace(TABLE, end_date=date(2025, 1, 15)), interval) == utc(2025, 1, 15)


def test_reports_with_days_of_their_own_are_apart() -> None:
    month = replace(TABLE, resource="by_month", grid="month")
    found = reports_by_days([TABLE, month], between(utc(2025, 1, 6), utc(2025, 1, 7)))
    assert sorted(found.values()) == [["by_month"], ["payouts_itemized"]]
    nothing = reports_by_days([TABLE, month], DataInterval(None, None))
    assert nothing == {None: ["payouts_itemized", "by_month"]}
