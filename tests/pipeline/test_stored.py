"""What is reported as loaded is what the destination holds, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyarrow.compute as pc
import pytest
from dlt import Pipeline

from stripe_reports_source import Loaded, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import NotStored
from stripe_reports_source.load import TableLoaded
from tests.conftest import BOTH, query, source_of
from tests.pipeline.ledger import assert_ledger
from tests.pipeline.truth import assert_true

PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"
START = datetime(2025, 1, 1, tzinfo=timezone.utc)
DROP_ROWS = (
    "CREATE FUNCTION {0}.no_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER no_usd BEFORE INSERT ON {0}.payouts_itemized FOR EACH ROW WHEN (NEW.currency = 'usd') "
    "EXECUTE FUNCTION {0}.no_row()",
)


def count(pipeline: Pipeline, table: str = TABLE) -> int:
    [[rows]] = query(pipeline, f"SELECT count(*) FROM {table}")
    return int(rows)


def noted(pipeline: Pipeline) -> int:
    """Rows that the ledger counts for the runs whose rows are there."""
    [[rows]] = query(
        pipeline, f"SELECT sum(rows) FROM report_runs WHERE run_id IN (SELECT _report_run_id FROM {TABLE})"
    )
    return int(rows)


@pytest.mark.long
@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_rows_that_a_trigger_takes_away_are_missed(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    reports = [PAYOUTS, "balance.summary"]
    load_reports(make_pipeline(), source_of(emulator, reports, lookback_days=0))
    for statement in DROP_ROWS:
        query(make_pipeline(), statement.format(make_pipeline().dataset_name))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    for _ in range(2):  # as long as the trigger is there, every sync says so
        with pytest.raises(SyncFailed) as caught:
            load_reports(make_pipeline(), source_of(emulator, reports, lookback_days=0))
        [failure] = caught.value.failures
        assert isinstance(failure.error, NotStored)
        [run] = [run for run in emulator.runs if run.id == failure.run_id]
        rows = len(emulator.truth(run.report_type, *_interval(failure.interval)))
        stored = query(make_pipeline(), f"SELECT count(*) FROM {TABLE} WHERE _report_run_id = %s", run.id)
        assert str(failure.error) == f"the file has {rows} rows, and {stored[0][0]} are stored."
        assert failure.interval == "[2025-03-01T00:00:00Z, 2025-03-11T12:00:00Z)"
        assert "the next sync loads the interval again" in str(caught.value)
        errors = query(make_pipeline(), "SELECT run_id, error FROM report_runs WHERE error IS NOT NULL")
        assert errors == [(run.id, str(failure.error))]
        listed = query(make_pipeline(), "SELECT interval_day FROM report_cells WHERE table_name = %s ORDER BY 1", TABLE)
        assert listed == [(date(2025, 1, 1),), (date(2025, 2, 1),)]
        fresh = "SELECT loaded_to, open_failures FROM report_freshness WHERE table_name = %s"
        assert query(make_pipeline(), fresh, TABLE) == [(datetime(2025, 3, 1, tzinfo=timezone.utc), 1)]
    query(make_pipeline(), f"DROP TRIGGER no_usd ON {TABLE}")
    again = load_reports(make_pipeline(), source_of(emulator, reports, lookback_days=0))
    assert [table.table for table in again.tables] == [TABLE]
    assert_true(emulator, make_pipeline(), reports, end=emulator.service.available_end)
    assert query(make_pipeline(), "SELECT count(*) FROM report_runs WHERE error IS NOT NULL") == [(0,)]
    assert query(make_pipeline(), fresh, TABLE) == [(emulator.service.available_end, 0)]
    assert_ledger(make_pipeline(), reports)
    runs = len(emulator.runs)
    assert load_reports(make_pipeline(), source_of(emulator, reports, lookback_days=0)).cells == 0
    assert len(emulator.runs) == runs


@pytest.mark.long
@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_a_cell_whose_older_rows_are_left_in_place_is_missed(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0))
    function, trigger = DROP_ROWS
    trigger = trigger.replace("BEFORE INSERT", "BEFORE INSERT OR DELETE").replace("WHEN (NEW.currency = 'usd') ", "")
    for statement in (function, trigger):
        query(pipeline, statement.format(pipeline.dataset_name))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    with pytest.raises(SyncFailed, match="rows, and 0 are stored"):
        load_reports(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0))
    query(pipeline, f"DROP TRIGGER no_usd ON {TABLE}")
    load_reports(pipeline, source_of(emulator, [PAYOUTS], lookback_days=0))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


def _interval(text: str) -> list[datetime]:
    return [datetime.fromisoformat(part.replace("Z", "+00:00")) for part in text.strip("[)").split(", ")]


@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_what_was_loaded_beside_a_loss_is_said(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    for statement in DROP_ROWS:
        query(pipeline, statement.format(pipeline.dataset_name))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"]))
    loaded: Any = caught.value.loaded
    assert isinstance(loaded, Loaded)
    assert loaded.tables == (TableLoaded("balance_summary", "default", 3, count(pipeline, "balance_summary")),)
    assert (loaded.cells, loaded.rows) == (3, count(pipeline, "balance_summary"))


@pytest.mark.first(1)
@BOTH
@pytest.mark.parametrize("file_format", ["jsonl", "insert_values", "parquet"])
def test_no_file_format_loses_a_row(emulator: Emulator, pipeline: Pipeline, file_format: Any) -> None:
    for _ in range(2):
        source = source_of(emulator, [PAYOUTS])
        source.resources[TABLE].apply_hints(file_format=file_format)
        loaded = load_reports(pipeline, source)
        assert loaded.rows == sum(table.rows for table in loaded.tables) > 0
        assert count(pipeline) == noted(pipeline)
        assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)
        emulator.advance(emulator.service.available_end + timedelta(days=1))


def only_usd(table: Any) -> Any:
    """A step of a user's own, who keeps some rows of each table."""
    return table.filter(pc.equal(table["currency"], "usd"))


def large(table: Any) -> bool:
    """A filter of a user's own, which sees whole tables."""
    return bool(table.num_rows > 60)


def filtered(source: Any) -> None:
    source.resources[TABLE].add_filter(large)


def mapped(source: Any) -> None:
    source.resources[TABLE].add_map(only_usd)


@pytest.mark.first(1)
@BOTH
@pytest.mark.parametrize("alter", [filtered, mapped])
def test_what_the_users_own_steps_leave_is_what_is_counted(
    emulator: Emulator, pipeline: Pipeline, alter: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(emulator, [PAYOUTS])
    alter(source)
    loaded = load_reports(pipeline, source)
    stored = count(pipeline)
    assert 0 < loaded.rows == stored < len(emulator.truth("payouts.itemized.3", START, emulator.settings.available_end))
    assert noted(pipeline) == stored
    assert query(pipeline, "SELECT sum(rows) FROM report_cells WHERE table_name = %s", TABLE) == [(stored,)]
    assert caplog.text.count(f"table {TABLE}: steps or a schema contract of your own have stored") == 1
    assert load_reports(pipeline, source).cells == 0


@pytest.mark.first(1)
@BOTH
def test_loaded_says_what_is_in_each_table(emulator: Emulator, pipeline: Pipeline) -> None:
    loaded = load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"], account="us"), max_cells=2)
    assert {(table.table, table.account, table.cells, table.rows) for table in loaded.tables} == {
        (name, "us", 3, count(pipeline, name)) for name in (TABLE, "balance_summary")
    }
    assert loaded.cells == 6
    assert loaded.rows == count(pipeline) + count(pipeline, "balance_summary")
    assert noted(pipeline) == count(pipeline)
    assert load_reports(pipeline, source_of(emulator, [PAYOUTS, "balance.summary"], account="us")).tables == ()
