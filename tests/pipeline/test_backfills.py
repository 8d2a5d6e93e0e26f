"""What is loaded counts, whoever has loaded it: syncs run what the ledger lacks, and only that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dlt import Pipeline

from stripe_reports_source import Report, fetch_cell, load_cells, load_reports, plan_cells
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.status import report_status
from tests.conftest import FIRST_OF_BOTH, query, source_of
from tests.pipeline.ledger import assert_ledger
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, load, refusal

Make = Callable[..., Pipeline]

PAYOUTS, TABLE = "payouts.itemized", "payouts_itemized"
REPORTS = [PAYOUTS, "balance.summary"]
WINDOW = {"start_date": "2025-01-01", "end_date": "2025-03-01"}
"""Two of the three months that Stripe has."""


def runs(emulator: Emulator) -> list[str]:
    """The months that runs were made for, in their order."""
    starts = sorted(run.parameters["interval_start"] for run in emulator.runs)
    return [datetime.fromtimestamp(start, timezone.utc).strftime("%b") for start in starts]


def freshness(pipeline: Pipeline) -> list[tuple[bool, int]]:
    """Of each report, whether all that Stripe has is loaded, and what has failed."""
    return [
        (bool(all_there), failed)
        for all_there, failed in query(
            pipeline, "SELECT loaded_to = available_to, open_failures FROM report_freshness ORDER BY table_name"
        )
    ]


def assert_whole(emulator: Emulator, pipeline: Pipeline, reports: Sequence[str] = (PAYOUTS,)) -> None:
    end = emulator.service.available_end
    assert_true(emulator, pipeline, reports, end=end)
    assert_ledger(pipeline, reports)
    assert freshness(pipeline) == [(True, 0)] * len(reports)


@pytest.mark.first(1)
@FIRST_OF_BOTH
@pytest.mark.parametrize(
    ("other", "way"), [("reports", "load_reports"), ("backfills", "load_reports"), ("backfills", "run")]
)
def test_a_sync_runs_what_a_backfill_has_left(emulator: Emulator, make_pipeline: Make, other: str, way: str) -> None:
    load(make_pipeline(other, other), source_of(emulator, [PAYOUTS], **WINDOW), way)
    assert runs(emulator) == ["Jan", "Feb"]
    pipeline = make_pipeline(folder="reports")
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert runs(emulator) == ["Jan", "Feb", "Mar"]
    assert query(pipeline, "SELECT count(*) FROM report_runs WHERE adopted") == [(0,)]
    assert_whole(emulator, pipeline)
    emulator.advance(emulator.service.available_end + timedelta(days=1))
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert runs(emulator) == ["Jan", "Feb", "Mar", "Mar"]
    assert_whole(emulator, pipeline)


@pytest.mark.long
@FIRST_OF_BOTH
def test_what_load_cells_has_loaded_counts(emulator: Emulator, make_pipeline: Make, tmp_path: Path) -> None:
    pipeline, window = make_pipeline("jobs", "jobs"), source_of(emulator, REPORTS, **WINDOW)
    files = [fetch_cell(window, cell, tmp_path / "files") for cell in plan_cells(pipeline, window)]
    assert load_cells(pipeline, window, files).cells == 4
    source = source_of(emulator, REPORTS)
    assert [cell.interval_day for cell in plan_cells(make_pipeline(), source)] == ["2025-03-01"] * 2
    assert load_reports(make_pipeline(), source_of(emulator, REPORTS)).cells == 2
    assert_whole(emulator, make_pipeline(), REPORTS)
    assert plan_cells(pipeline, source) == []


@pytest.mark.long
@FIRST_OF_BOTH
def test_another_pipeline_of_a_whole_dataset_runs_nothing(emulator: Emulator, make_pipeline: Make) -> None:
    load_reports(make_pipeline(), source_of(emulator, [*REPORTS, "payouts.summary"]))
    made = len(emulator.runs)
    other = make_pipeline("other", "other")
    for _ in range(2):
        loaded = load_reports(other, source_of(emulator, REPORTS))
        assert (loaded.cells, len(emulator.runs)) == (0, made)
        assert query(other, "SELECT count(*) FROM report_cells") == [(9,)]
    emulator.advance(emulator.service.available_end + timedelta(days=1))
    assert load_reports(other, source_of(emulator, REPORTS)).cells == 2
    assert load_reports(make_pipeline(), source_of(emulator, REPORTS)).cells == 0
    assert_true(emulator, other, REPORTS, end=emulator.service.available_end)


@pytest.mark.long
@FIRST_OF_BOTH
def test_empty_cells_count_too(start_emulator: Callable[..., Emulator], make_pipeline: Make) -> None:
    """The table has no rows that tell of them."""
    emulator = start_emulator(scale=0.0)
    window = {"start_date": "2025-02-01", "end_date": "2025-03-01"}
    load_reports(make_pipeline("backfills", "backfills"), source_of(emulator, [PAYOUTS], **window))
    pipeline = make_pipeline()
    for cells in (2, 0):
        assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == cells
        assert query(pipeline, 'SELECT count(*), sum("rows") FROM report_cells') == [(3, 0)]
    assert runs(emulator) == ["Jan", "Feb", "Mar"]


@pytest.mark.long
@pytest.mark.parametrize("report", [PAYOUTS, "ending_balance_reconciliation.itemized"])
def test_all_is_loaded_up_to_the_gap_that_backfills_have_left(
    start_emulator: Callable[..., Emulator], make_pipeline: Make, report: str
) -> None:
    """Whichever pipelines have made them."""
    stripe = start_emulator(scale=0.02, available_end=datetime(2025, 4, 1, tzinfo=timezone.utc), pending_polls=0)

    def loaded_to_after(month: int, name: str = "reports") -> int:
        window = {"start_date": f"2025-{month:02}-01", "end_date": f"2025-{month + 1:02}-01"}
        load_reports(make_pipeline(name), source_of(stripe, [report], **window))
        [status] = report_status(make_pipeline(name))
        [(loaded_to,)] = query(make_pipeline(name), "SELECT loaded_to FROM report_freshness")
        assert status.loaded_to == loaded_to
        assert loaded_to.day == 1
        return int(loaded_to.month)

    assert loaded_to_after(1) == 2
    assert loaded_to_after(3) == 2
    assert loaded_to_after(3, "others") == 2
    assert loaded_to_after(2, "others") == 4


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_ledger_that_was_emptied_means_loading_again(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    query(pipeline, f"DELETE FROM {TABLE} WHERE _interval_day = DATE '2025-02-01'")
    query(pipeline, "DELETE FROM report_cells")
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == 3
    assert_whole(emulator, pipeline)
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == 0


@pytest.mark.first(1)
@FIRST_OF_BOTH
@pytest.mark.parametrize(
    ("spoil", "cells"),
    [
        pytest.param(f"DELETE FROM {TABLE}", 3, id="a table that was emptied"),
        pytest.param(f"DROP TABLE {TABLE}", 3, id="a table that was dropped"),
        pytest.param(f"DELETE FROM {TABLE} WHERE _interval_day = DATE '2025-02-01'", 1, id="rows that are gone"),
        pytest.param(
            f"UPDATE {TABLE} SET _report_run_id = 'frr_2' WHERE _interval_day = DATE '2025-02-01'",
            1,
            id="rows of another run",
        ),
        pytest.param("DELETE FROM _dlt_loads", 3, id="loads that are not noted"),
        pytest.param("DELETE FROM report_runs", 3, id="runs that are not noted"),
        pytest.param("DELETE FROM report_cells", 3, id="cells that are not noted"),
    ],
)
def test_what_the_table_does_not_hold_is_not_taken_for_loaded(
    emulator: Emulator, make_pipeline: Make, spoil: str, cells: int
) -> None:
    load_reports(make_pipeline("first", "first"), source_of(emulator, [PAYOUTS]))
    query(make_pipeline(), spoil)
    pipeline = make_pipeline()
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == cells
    assert_whole(emulator, pipeline)


@FIRST_OF_BOTH
def test_a_gap_is_filled_and_said(emulator: Emulator, pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    source = {"start_date": "2025-03-01"}
    load_reports(pipeline, source_of(emulator, [PAYOUTS], **source))
    load_reports(pipeline, source_of(emulator, [PAYOUTS], start_date="2025-01-01", end_date="2025-02-01"))
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS], **source)).cells == 0
    with caplog.at_level(logging.WARNING):
        assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == 1
    assert (
        "payouts.itemized.3 [default]: 1 intervals between loaded ones are not loaded whole, from [2025-02-01T00"
        in caplog.text
    )
    assert runs(emulator) == ["Jan", "Feb", "Mar"]
    assert_whole(emulator, pipeline)
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS])).cells == 0


@pytest.mark.long
def test_other_columns_and_older_data_do_not_count(emulator: Emulator, make_pipeline: Make) -> None:
    few = Report(PAYOUTS, columns=["payout_id", "currency", "gross"])
    load_reports(make_pipeline("few", "few"), source_of(emulator, [few], **WINDOW))
    assert load_reports(make_pipeline(), source_of(emulator, [PAYOUTS])).cells == 3
    assert_whole(emulator, make_pipeline())
    emulator.advance(emulator.service.available_end + timedelta(days=1))
    lookback = {"lookback_days": 20}
    assert load_reports(make_pipeline("older", "older"), source_of(emulator, [PAYOUTS], **lookback)).cells == 2
    assert load_reports(make_pipeline("newer", "newer"), source_of(emulator, [PAYOUTS], **lookback)).cells == 0


@pytest.mark.long
@pytest.mark.parametrize("steps", [("backfill",), ("sync",), ("backfill", "sync")])
def test_what_steps_of_the_users_own_have_altered_does_not_count(
    emulator: Emulator, make_pipeline: Make, steps: tuple[str, ...]
) -> None:
    backfill, sync = source_of(emulator, [PAYOUTS], **WINDOW), source_of(emulator, [PAYOUTS])
    for name, source in (("backfill", backfill), ("sync", sync)):
        if name in steps:
            source.resources[TABLE].add_map(lambda rows: rows.slice(0, rows.num_rows - 1))
    load_reports(make_pipeline("backfill", "backfill"), backfill)
    assert load_reports(make_pipeline(), sync).cells == 3
    if "sync" not in steps:
        assert_whole(emulator, make_pipeline())


@pytest.mark.first(1)
@WAYS
def test_whose_data_it_is_is_looked_at_where_all_is_loaded(
    start_emulator: Callable[..., Emulator], make_pipeline: Make, way: str
) -> None:
    keys = {"rk_live_one": "acct_one", "rk_live_two": "acct_two"}
    emulator = start_emulator(live_keys=tuple(keys), accounts=keys)
    load_reports(make_pipeline(), source_of(emulator, [PAYOUTS], api_key="rk_live_one"))
    other = make_pipeline("other", "other")
    made = len(emulator.runs)
    error = refusal(other, source_of(emulator, [PAYOUTS], api_key="rk_live_two"), way)
    assert "are of another Stripe account than api_key's" in str(error)
    assert len(emulator.runs) == made
