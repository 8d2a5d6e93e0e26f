"""Cells of some days alone, for engines with time partitions; what a source's tables are before Stripe was asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import (
    ConfigurationError,
    FetchedFile,
    NotAvailable,
    NotFetched,
    PlannedCell,
    Report,
    SyncFailed,
    availability,
    load_cells,
    load_reports,
    plan_cells,
    report_tables,
)
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.whole_cells import DAYS
from tests.archive.test_replay import lanes_of
from tests.conftest import query, source_of
from tests.jobs.equal import assert_equal_datasets
from tests.jobs.test_jobs import PLATFORM, START, Jobs, Make, Pipelines, jobs, loaded_cells, second  # noqa: F401  # fixtures

JANUARY, FEBRUARY, MARCH = [(date(2025, month, 1), date(2025, month + 1, 1)) for month in (1, 2, 3)]
Days = tuple[date, date]


def plan(jobs: Jobs, days: Days) -> list[PlannedCell]:  # noqa: F811
    """The cells of some days."""
    return plan_cells(jobs.pipeline, jobs.source, days=days)


def load(jobs: Jobs, days: Days, files: list[FetchedFile] | None = None) -> int:  # noqa: F811
    """Fetch and load the cells of some days. Returns how many were loaded."""
    files = jobs.fetch(plan(jobs, days)) if files is None else files
    return load_cells(jobs.pipeline, jobs.source, files, days=days).cells


@pytest.mark.long
def test_months_in_any_order_are_what_load_reports_loads(jobs: Jobs, second: Pipeline) -> None:  # noqa: F811
    for days in (MARCH, JANUARY, FEBRUARY):
        cells = plan(jobs, days)
        assert {cell.interval_day for cell in cells} == {days[0].isoformat()}
        assert load(jobs, days, jobs.fetch(cells)) == len(cells) == 2
    load_reports(second, jobs.source)
    assert_equal_datasets(jobs.pipeline, second, verdicts=False)


def test_no_cursor_is_moved_and_repeating_changes_nothing(jobs: Jobs) -> None:  # noqa: F811
    files = jobs.fetch(plan(jobs, FEBRUARY))
    assert load(jobs, FEBRUARY, files) == 2
    assert load(jobs, FEBRUARY, files) == 0
    lanes = lanes_of(jobs.pipeline)
    assert {state.cursor for state in lanes.values()} == {None}


@pytest.mark.long
def test_a_sync_loads_what_days_have_not_and_then_nothing(jobs: Jobs, second: Pipeline) -> None:  # noqa: F811
    for days in (MARCH, JANUARY):
        load(jobs, days)
    assert {cell.interval_day for cell in jobs.plan()} == {FEBRUARY[0].isoformat()}
    assert load_reports(jobs.pipeline, jobs.source).cells == 2
    made = len(jobs.emulator.runs)
    assert load_reports(jobs.pipeline, jobs.source).cells == jobs.round() == 0
    assert (made, len(jobs.emulator.runs)) == (6, 6)
    load_reports(second, jobs.source)
    assert_equal_datasets(jobs.pipeline, second, verdicts=False)
    assert lanes_of(jobs.pipeline).keys() == lanes_of(second).keys()


@pytest.mark.long
def test_after_days_of_all_that_there_is_a_sync_only_moves_the_cursor(jobs: Jobs) -> None:  # noqa: F811
    load(jobs, (JANUARY[0], MARCH[1]))
    assert jobs.plan() == []
    assert load_reports(jobs.pipeline, jobs.source).cells == 0
    assert {state.cursor for state in lanes_of(jobs.pipeline).values()} == {jobs.emulator.settings.available_end}
    jobs.emulator.advance(datetime(2025, 4, 2, tzinfo=timezone.utc))
    assert {cell.interval_day for cell in jobs.plan()} == {"2025-03-01", "2025-04-01"}


@pytest.mark.long
def test_a_gap_stops_no_other_days(jobs: Jobs) -> None:  # noqa: F811
    february = jobs.fetch(plan(jobs, FEBRUARY))
    with pytest.raises(SyncFailed):
        load(jobs, FEBRUARY, february[:1])
    load(jobs, MARCH)
    assert ("payouts_itemized", "2025-02-01") not in loaded_cells(jobs.pipeline)
    assert ("payouts_itemized", "2025-03-01") in loaded_cells(jobs.pipeline)
    assert load(jobs, FEBRUARY, february) == 1


def test_days_that_cut_what_is_loaded_are_named(jobs: Jobs) -> None:  # noqa: F811
    load(jobs, FEBRUARY)
    with pytest.raises(ConfigurationError, match=f"Let {DAYS} be the first day of a month"):
        plan(jobs, (date(2025, 2, 5), date(2025, 2, 9)))


@pytest.mark.long
def test_days_that_stripe_has_in_part_are_loaded_as_far_and_again(jobs: Jobs) -> None:  # noqa: F811
    [cell, _] = plan(jobs, MARCH)
    assert cell.interval_end == "2025-03-10T12:00:00Z"
    load(jobs, MARCH)
    jobs.emulator.advance(datetime(2025, 4, 3, tzinfo=timezone.utc))
    [cell, _] = plan(jobs, MARCH)
    assert cell.interval_end == "2025-04-01T00:00:00Z"
    assert load(jobs, MARCH) == 2


def test_days_whose_files_are_older_than_what_is_loaded_of_others(jobs: Jobs) -> None:  # noqa: F811
    """Stripe refreshes its data between January's fetch and March's; January is loaded last, February never came."""
    january = jobs.fetch(plan(jobs, JANUARY))
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    load(jobs, MARCH)
    with pytest.raises(SyncFailed, match=r"2025-02-01.*no file of it was given"):
        load(jobs, (JANUARY[0], FEBRUARY[1]), january)
    assert {day for _, day in loaded_cells(jobs.pipeline)} == {"2025-01-01", "2025-03-01"}


@pytest.mark.long
def test_an_older_file_of_days_that_have_gone_on_is_refused(jobs: Jobs) -> None:  # noqa: F811
    """March has ended, and April is loaded: March's file, to its tenth day, would leave a gap."""
    march = jobs.fetch(plan(jobs, MARCH))
    jobs.emulator.advance(datetime(2025, 5, 1, tzinfo=timezone.utc))
    for days in (FEBRUARY, (date(2025, 4, 1), date(2025, 5, 1))):
        load(jobs, days)
    with pytest.raises(SyncFailed, match="was fetched from older data than is loaded of it or beside it") as caught:
        load(jobs, MARCH, march)
    assert {type(failure.error) for failure in caught.value.failures} == {NotFetched}
    assert load(jobs, MARCH) == 2


def test_an_older_file_replaces_nothing_that_another_pipeline_has_loaded(
    jobs: Jobs,  # noqa: F811
    make_pipeline: Pipelines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = jobs.fetch(plan(jobs, JANUARY))
    jobs.emulator.advance(jobs.emulator.settings.available_end + timedelta(days=1))
    load_reports(jobs.pipeline, jobs.source)
    stored = "SELECT table_name, run_id FROM report_cells ORDER BY interval_key"
    before = query(jobs.pipeline, stored)
    other = make_pipeline(name="second")
    assert load(replace(jobs, pipeline=other), JANUARY, old) == 0
    assert query(jobs.pipeline, stored) == before
    assert caplog.text.count("is not loaded, the newer frr_") == len(old)


def test_days_that_stripe_does_not_have(jobs: Jobs) -> None:  # noqa: F811
    with pytest.raises(SyncFailed) as caught:
        plan(jobs, (date(2026, 1, 1), date(2026, 2, 1)))
    assert {type(failure.error) for failure in caught.value.failures} == {NotAvailable}
    assert not jobs.emulator.runs


def test_days_keep_within_those_of_the_source(jobs: Jobs) -> None:  # noqa: F811
    jobs = replace(jobs, how={"start_date": "2025-01-10", "end_date": "2025-03-01"})
    [cell, _] = plan(jobs, JANUARY)
    assert (cell.interval_start, cell.interval_end) == ("2025-01-10T00:00:00Z", "2025-02-01T00:00:00Z")
    assert plan(jobs, MARCH) == []


def test_days_are_those_of_the_zone(jobs: Jobs) -> None:  # noqa: F811
    jobs = replace(jobs, how={"timezone": "America/New_York", "interval": "day"})
    cells = plan(jobs, (date(2025, 3, 8), date(2025, 3, 10)))
    assert [(cell.interval_start, cell.interval_end) for cell in cells[:2]] == [
        ("2025-03-08T05:00:00Z", "2025-03-09T05:00:00Z"),
        ("2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"),
    ]


def test_a_source_asks_for_what_stripe_has_after_days_were_planned(jobs: Jobs) -> None:  # noqa: F811
    """Days allow what is there in part; the source itself stays as it was."""
    source = source_of(jobs.emulator, ["balance.summary"], start_date="2025-03-01", end_date="2025-04-01")
    assert plan_cells(jobs.pipeline, source, days=MARCH)
    with pytest.raises(SyncFailed, match="of which Stripe has"):
        plan_cells(jobs.pipeline, source)


@pytest.mark.parametrize(
    "days", [(date(2025, 2, 1), date(2025, 2, 1)), ("2025-02", "2025-03"), ("2025-02-01",), "2025-02-01"]
)
def test_days_that_are_none_are_refused(jobs: Jobs, days: Any) -> None:  # noqa: F811
    with pytest.raises(ConfigurationError, match="days"):
        plan_cells(jobs.pipeline, jobs.source, days=days)
    with pytest.raises(ConfigurationError, match="days"):
        load_cells(jobs.pipeline, jobs.source, [], days=days)


@pytest.mark.long
def test_reports_per_payout_are_those_whose_payouts_took_effect_in_the_days(
    start_emulator: Make, pipeline: Pipeline
) -> None:
    emulator = start_emulator(**PLATFORM, business_start=START.date() - timedelta(days=9))
    reports = ["payouts.itemized", "payout_reconciliation.by_id.itemized"]
    load_reports(pipeline, source_of(emulator, reports[:1]))

    def payouts(days: Days) -> set[str]:
        source = source_of(emulator, reports).with_resources("payout_reconciliation_by_id_itemized")
        return {cell.keys for cell in plan_cells(pipeline, source, days=days)}

    first, rest = (date(2025, 3, 1), date(2025, 3, 4)), (date(2025, 3, 4), date(2025, 4, 1))
    assert payouts(first)
    assert payouts(rest)
    assert not payouts(first) & payouts(rest)
    assert payouts((date(2025, 3, 1), date(2025, 4, 1))) == payouts(first) | payouts(rest)


def test_tables_are_told_without_a_request(emulator: Emulator) -> None:
    weekly = Report("payouts.itemized", interval="week", timezone="Europe/Berlin", lookback_days=1, table_name="paid")
    reports = ["balance.summary", weekly, "nobody.knows.this", "payout_reconciliation.by_id.itemized"]
    source = source_of(emulator, reports, start_date="2025-01-10")
    source.balance_summary.apply_hints(table_name="balances")
    balances, paid, unknown, by_payout = report_tables(source)
    assert (balances.resource, balances.table, balances.grid, balances.timezone) == (
        *("balance_summary", "balances", "month", "UTC"),
    )
    assert (paid.table, paid.report, paid.grid, paid.timezone) == (
        *("paid", "payouts.itemized", "week", "Europe/Berlin"),
    )
    assert (paid.lookback_days, balances.lookback_days) == (1, 3)
    assert (balances.account, balances.start_date, balances.end_date) == ("default", date(2025, 1, 10), None)
    assert "never add them up" in balances.description
    assert (balances.payouts_table, by_payout.payouts_table) == (None, "paid")
    assert unknown.columns == ()
    assert not emulator.requests


def test_columns_that_are_told_are_those_that_are_loaded(jobs: Jobs) -> None:  # noqa: F811
    """In their order; with a metadata column, and without personal ones."""
    report = Report("payout_reconciliation.itemized", metadata={"payment_metadata[orderId]": "order_ref"})
    jobs = replace(jobs, reports=[report], how={"personal_data": False})
    load(jobs, JANUARY)
    [table] = report_tables(jobs.source)
    with jobs.pipeline.sql_client() as client:
        stored = client.execute_sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
            table.table,
        )
    told = [column.name for column in table.columns]
    assert "order_ref" in told
    assert {name for (name,) in stored or ()} - {"_cell_dropped"} == set(told)
    assert all(column.type and column.description for column in table.columns)


def test_some_tables_of_a_source(jobs: Jobs) -> None:  # noqa: F811
    [table] = report_tables(jobs.source.with_resources("payouts_itemized", "report_runs"))
    assert table.table == "payouts_itemized"


def test_what_a_report_does_not_have_is_refused_without_a_request(emulator: Emulator) -> None:
    source = source_of(emulator, [Report("balance.summary", parameters={"payout": "po_1"})])
    with pytest.raises(ConfigurationError, match="'payout'"):
        report_tables(source)
    assert not emulator.requests


def test_availability_is_one_request(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    jobs = replace(jobs, reports=["balance.summary", "payouts.itemized.3"])
    end = jobs.emulator.settings.available_end
    found = availability(jobs.source)
    assert {table: there.end for table, there in found.items()} == {"balance_summary": end, "payouts_itemized": end}
    assert [request.method for request in jobs.emulator.requests] == ["GET"]
    jobs.emulator.advance(end + timedelta(days=1))
    jobs.emulator.alter("payouts.itemized.3", hidden=True)
    later = availability(jobs.source)
    assert set(later) == {"balance_summary"}
    assert later["balance_summary"].end == end + timedelta(days=1)
    assert later["balance_summary"].updated > found["balance_summary"].updated
    assert "payouts.itemized.3" in caplog.text
