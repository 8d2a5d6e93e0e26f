"""Syncs over time against the emulator's truth: incremental, restated, empty, odd ends, zones and grids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from dlt import Pipeline
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import ConfigurationError, Report, load_reports
from stripe_reports_source.emulator import Emulator, late_charge
from stripe_reports_source.plan.intervals import Grid
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of
from tests.pipeline.truth import NEWEST, assert_true

Make = Callable[..., Emulator]
UTC = timezone.utc
METADATA = tuple(f"payment_metadata[{key}]" for key in ("order_id", "orderId", "Order-ID", "注文", "seats", "note"))
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]


def posts(emulator: Emulator) -> int:
    return sum(request.method == "POST" for request in emulator.requests)


@pytest.mark.first(1)
@BOTH
def test_all_reports_of_the_family_equal_the_truth(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, list(NEWEST)))
    assert_true(emulator, pipeline, list(NEWEST), end=emulator.settings.available_end)


@pytest.mark.first(1)
@BOTH
def test_metadata_text_comes_through_unchanged(emulator: Emulator, pipeline: Pipeline) -> None:
    report = "payout_reconciliation.itemized"
    pipeline.run(source_of(emulator, [Report(report, metadata=METADATA)]))
    assert_true(emulator, pipeline, [report], end=emulator.settings.available_end, metadata=METADATA)
    headers = query(
        pipeline, "SELECT stripe_header, column_name FROM report_columns WHERE stripe_header LIKE '%metadata%'"
    )
    assert {header for header, _ in headers} == set(METADATA)


@BOTH
@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("grid", ["day", "week", "month"])
def test_seconds_at_the_edges_fall_into_their_cell(
    start_emulator: Make, pipeline: Pipeline, grid: Grid, zone: str
) -> None:
    """The window holds the clock changes of spring 2025 in all five zones."""
    start, end = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 8, 12, tzinfo=UTC)
    emulator = start_emulator(available_start=start, available_end=end, scale=0.05)
    reports = ["balance_change_from_activity.itemized"]
    pipeline.run(source_of(emulator, reports, interval=grid, timezone=zone, max_concurrent_runs=8))
    assert_true(emulator, pipeline, reports, start=start, end=end, grid=grid, zone=zone)


@FIRST_OF_BOTH
def test_a_sync_with_nothing_new_asks_once_and_runs_nothing(emulator: Emulator, pipeline: Pipeline) -> None:
    reports = ["balance.summary", "payouts.itemized", "ending_balance_reconciliation.itemized"]
    pipeline.run(source_of(emulator, reports))
    runs, asked = len(emulator.runs), len(emulator.requests)
    for sync in (
        lambda: pipeline.run(source_of(emulator, reports)),
        lambda: load_reports(pipeline, source_of(emulator, reports)),
    ):
        sync()
    assert len(emulator.runs) == runs
    assert [request.path for request in list(emulator.requests)[asked:]] == ["/v1/reporting/report_types"] * 2


@FIRST_OF_BOTH
def test_a_new_day_runs_only_the_cells_from_the_cursor_less_the_lookback(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    report = "balance_change_from_activity.itemized"
    settings = {"interval": "day", "lookback_days": 2, "max_concurrent_runs": 8}
    pipeline.run(source_of(emulator, [report], **settings))
    before = len(emulator.runs)
    end = emulator.settings.available_end + timedelta(days=1)
    emulator.advance(end)
    pipeline.run(source_of(emulator, [report], **settings))
    intervals = [(run.parameters["interval_start"], run.parameters["interval_end"]) for run in emulator.runs[before:]]
    days = [datetime(2025, 3, day, tzinfo=UTC).timestamp() for day in (8, 9, 10, 11)]
    assert sorted(intervals) == [(days[0], days[1]), (days[1], days[2]), (days[2], days[3]), (days[3], end.timestamp())]
    assert_true(emulator, pipeline, [report], end=end, grid="day")


@BOTH
@pytest.mark.long
def test_months_grow_and_late_transactions_arrive(emulator: Emulator, pipeline: Pipeline) -> None:
    reports = list(NEWEST)
    end = emulator.settings.available_end
    for step in range(4):
        load_reports(pipeline, source_of(emulator, reports, lookback_days=20))
        assert_true(emulator, pipeline, reports, end=end)
        created = end - timedelta(days=15)
        emulator.add_transaction(
            late_charge(f"late{step}", created, emulator.service.now, "usd", 4200, 152, "late", {})
        )
        end += timedelta(days=11, hours=12 * (step % 2))
        emulator.advance(end)


@BOTH
def test_an_emptied_cell_loses_its_rows(start_emulator: Make, pipeline: Pipeline) -> None:
    """The same month is empty at a second emulator: what the first left must go, other months stay."""
    full = start_emulator()
    report = "payouts.itemized"
    pipeline.run(source_of(full, [report]))
    before = query(pipeline, "SELECT _interval_key, count(*) FROM payouts_itemized GROUP BY 1 ORDER BY 1")
    assert len(before) == 3
    window = {"start_date": "2025-02-01", "end_date": "2025-03-01"}
    pipeline.run(source_of(full, [Report(report, parameters={"currency": "kwd"}, table_name="only_kwd")]))
    quiet = start_emulator(scale=0.0, business_start=datetime(2025, 1, 28, tzinfo=UTC).date())
    pipeline.run(source_of(quiet, [report], **window))
    first = quiet.truth("payouts.itemized.3", datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))
    after = query(pipeline, "SELECT _interval_key, count(*) FROM payouts_itemized GROUP BY 1 ORDER BY 1")
    february = [(key, len(first)) for key, _ in before[1:2] if first]
    assert after == [before[0], *february, before[2]]


@FIRST_OF_BOTH
def test_a_backfill_leaves_the_cursor_alone(emulator: Emulator, pipeline: Pipeline) -> None:
    report = "balance.summary"
    pipeline.run(source_of(emulator, [report], start_date="2025-02-01"))
    cursors = pipeline.state["sources"]["stripe_reports"]["resources"]["balance_summary"]["incremental"]
    before = repr(cursors)
    load_reports(pipeline, source_of(emulator, [report], start_date="2025-01-01", end_date="2025-02-01"))
    assert repr(pipeline.state["sources"]["stripe_reports"]["resources"]["balance_summary"]["incremental"]) == before
    assert_true(emulator, pipeline, [report], end=emulator.settings.available_end)
    runs = len(emulator.runs)
    load_reports(pipeline, source_of(emulator, [report], start_date="2025-02-01"))
    assert len(emulator.runs) == runs


@pytest.mark.first(1)
@FIRST_OF_BOTH
def test_a_part_of_a_loaded_cell_is_refused(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, ["payouts.itemized"]))
    runs = len(emulator.runs)
    with pytest.raises(ConfigurationError, match="first day of a month"):
        load_reports(
            pipeline, source_of(emulator, ["payouts.itemized"], start_date="2025-02-10", end_date="2025-03-01")
        )
    with pytest.raises(ConfigurationError, match=r"cells of 'payouts\.itemized\|month\|UTC'"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], interval="day"))
    assert len(emulator.runs) == runs
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end)


@pytest.mark.long
@FIRST_OF_BOTH
def test_stripes_two_readings_of_the_ends(start_emulator: Make, pipeline: Pipeline) -> None:
    """Where Stripe wants a second less than its availability, the last cell is in progress until the next sync."""
    emulator = start_emulator(interval_edges=False, available_end=datetime(2025, 3, 1, tzinfo=UTC))
    reports = ["balance_change_from_activity.itemized", "ending_balance_reconciliation.itemized"]
    start, second = emulator.settings.first_available, timedelta(seconds=1)
    pipeline.run(source_of(emulator, reports, lookback_days=0))
    end = emulator.settings.available_end
    assert_true(emulator, pipeline, reports[:1], start=start + second, end=end - second)
    assert_true(emulator, pipeline, reports[1:], end=end - second)
    runs = len(emulator.runs)
    pipeline.run(source_of(emulator, reports, lookback_days=0))
    assert len(emulator.runs) == runs  # nothing new, so nothing is run for the missing second
    end += timedelta(days=2)
    emulator.advance(end)
    pipeline.run(source_of(emulator, reports, lookback_days=0))
    assert_true(emulator, pipeline, reports[:1], start=start + second, end=end - second)


DECIMAL = {"duckdb": ("DECIMAL(38,{})", 38), "postgres": ("numeric", 38)}
TIMES = {
    "duckdb": ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE"),
    "postgres": ("timestamp without time zone", "timestamp with time zone", "date"),
}


@BOTH
def test_columns_and_their_types(emulator: Emulator, pipeline: Pipeline, destination: str) -> None:
    pipeline.run(source_of(emulator, ["payouts.itemized", "tax.transactions.itemized"]))
    described = query(
        pipeline,
        "SELECT column_name, data_type, numeric_precision, numeric_scale, table_name "
        "FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, ordinal_position",
        pipeline.dataset_name,
    )
    payouts = [(name, *rest) for name, *rest, table in described if table == "payouts_itemized"]
    types = {name: (type_, precision, scale) for name, type_, precision, scale in payouts}
    assert [row[0] for row in payouts][:4] == ["payout_id", "effective_at_utc", "effective_at", "currency"]
    decimal, precision = DECIMAL[destination]
    naive, aware, date = TIMES[destination]
    assert types["gross"] == types["net"] == (decimal.format(9), precision, 9)
    assert types["effective_at_utc"][0] == types["_interval_end"][0] == aware
    assert types["effective_at"][0] == naive
    assert types["payout_expected_arrival_date"][0] == date
    [rate] = [tuple(rest) for name, *rest, table in described if name == "filing_exchange_rate"]
    assert rate == (decimal.format(28), precision, 28)


@BOTH
def test_system_tables(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, ["balance.summary"], account="us"))
    assert len(query(pipeline, "SELECT * FROM report_types")) == len(emulator.service.list_types(True))
    runs = query(pipeline, "SELECT run_id, status, account, attempt, adopted, rows, bytes, error FROM report_runs")
    assert {row[0] for row in runs} == {run.id for run in emulator.runs}
    assert {row[1:5] for row in runs} == {("succeeded", "us", 0, False)}
    assert sum(row[5] for row in runs) == len(query(pipeline, "SELECT * FROM balance_summary"))
    assert {row[6] for row in runs} == {run.file.stat().st_size for run in emulator.runs}
    joined = query(
        pipeline,
        "SELECT count(*) FROM balance_summary b JOIN report_runs r ON b._report_run_id = r.run_id "
        "JOIN _dlt_loads l ON b._dlt_load_id = l.load_id WHERE l.status = 0 AND b._account = 'us'",
    )
    assert joined == query(pipeline, "SELECT count(*) FROM balance_summary")


@FIRST_OF_BOTH
def test_the_working_folder_and_the_machine_do_not_matter(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline]
) -> None:
    make_pipeline(folder="first").run(source_of(emulator, ["payouts.itemized"]))
    runs = len(emulator.runs)
    other = make_pipeline(folder="second")
    other.run(source_of(emulator, ["payouts.itemized"]))
    assert len(emulator.runs) == runs
    end = emulator.settings.available_end + timedelta(days=1)
    emulator.advance(end)
    make_pipeline(folder="third").run(source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, other, ["payouts.itemized"], end=end)


@FIRST_OF_BOTH
def test_runs_are_adopted_after_a_failed_load(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    """The second report stops the whole package; the first one's runs are found again, not made again."""
    good, bad = "balance.summary", Report("payouts.itemized", types={"payout_id": "bigint"})
    with pytest.raises(PipelineStepFailed, match="not a bigint"):
        make_pipeline(folder="a").run(source_of(emulator, [good, bad]))
    made = {run.id for run in emulator.runs if run.report_type.startswith("balance")}
    emulator.service.forget_idempotency()
    pipeline = make_pipeline(folder="b")
    pipeline.run(source_of(emulator, [good]))
    assert {run.id for run in emulator.runs if run.report_type.startswith("balance")} >= made
    balance = [run.parameters for run in emulator.runs if run.report_type.startswith("balance")]
    assert len(balance) == 3
    assert_true(emulator, pipeline, [good], end=emulator.settings.available_end)
