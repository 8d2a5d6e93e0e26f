"""Large cells, which are given to dlt as files: whole or not at all, taken as they are, several of a table at once."""

from __future__ import annotations

import multiprocessing
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt import Pipeline

from stripe_reports_source import Loaded, Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator, late_charge
from stripe_reports_source.plan.settings import ParsePolicy
from tests.conftest import query, source_of, with_settings
from tests.pipeline.test_duckdb_cells import load_until_killed
from tests.pipeline.truth import assert_true

ACTIVITY = "balance_change_from_activity.itemized"
PAYOUTS = "payouts.itemized"
TABLE = "balance_change_from_activity_itemized"
GIFT = "payment_metadata[gift]"


def large(emulator: Emulator, reports: Any, **settings: Any) -> Any:
    """A source to which the emulator's files are large."""
    small = ParsePolicy(rows_per_table=60, block_bytes=1 << 13)
    return with_settings(source_of(emulator, reports, **settings), parse_policy=small)


def files_of(pipeline: Pipeline, table: str, load_id: str) -> list[Path]:
    """A package's Parquet files of a table, which dlt has kept."""
    package = Path(pipeline.get_load_package_info(load_id).package_path)
    return sorted(package.glob(f"*_jobs/{table}.*.parquet"))


def is_ours(path: Path) -> bool:
    """True for a file that dlt has taken as it was."""
    return str(pq.ParquetFile(path).metadata.row_group(0).column(0).compression) == "LZ4"


def merged_by_dlt(loaded: Loaded) -> bool:
    jobs = [job for package in loaded.load_infos[-1].load_packages for job in package.jobs["completed_jobs"]]
    return any(job.job_file_info.table_name == TABLE and job.job_file_info.file_format == "sql" for job in jobs)


def test_each_large_cell_is_a_file_that_is_loaded_as_it_is(emulator: Emulator, pipeline: Pipeline) -> None:
    loaded = load_reports(pipeline, large(emulator, [ACTIVITY]))
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)
    files = files_of(pipeline, TABLE, loaded.load_infos[-1].loads_ids[0])
    assert len(files) == 3  # months
    assert all(map(is_ours, files))
    assert not merged_by_dlt(loaded)
    assert not list(Path(pipeline.working_dir).glob("stripe_result_files/*"))
    assert not query(pipeline, f'SELECT 1 FROM "stripe_staging"."{TABLE}"')
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    load_reports(pipeline, large(emulator, [ACTIVITY]))
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.service.available_end)


@pytest.mark.long
def test_a_large_cell_whose_columns_are_others_than_the_tables(emulator: Emulator, pipeline: Pipeline) -> None:
    """A column more goes to the end of the table, and the file has it there; one less is filled in by dlt."""
    load_reports(pipeline, large(emulator, [ACTIVITY]))
    for metadata, ours in (([GIFT], True), ([], False)):
        emulator.advance(emulator.service.available_end + timedelta(days=1))
        loaded = load_reports(pipeline, large(emulator, [Report(ACTIVITY, metadata=metadata)]))
        [file] = files_of(pipeline, TABLE, loaded.load_infos[-1].loads_ids[0])
        assert is_ours(file) is ours
        assert_true(emulator, pipeline, [ACTIVITY], end=emulator.service.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("name", ["ADD_DLT_ID", "ADD_DLT_LOAD_ID"])
def test_columns_that_dlt_is_set_to_add(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"NORMALIZE__PARQUET_NORMALIZER__{name}", "true")
    load_reports(pipeline, large(emulator, [ACTIVITY]))
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)


@pytest.mark.long
def test_a_plain_run_takes_large_cells_as_files_too(emulator: Emulator, pipeline: Pipeline) -> None:
    info = pipeline.run(large(emulator, [ACTIVITY, PAYOUTS]))
    assert_true(emulator, pipeline, [ACTIVITY, PAYOUTS], end=emulator.settings.available_end)
    assert all(map(is_ours, files_of(pipeline, TABLE, info.loads_ids[0])))


def test_steps_of_the_users_see_the_rows_of_large_cells(emulator: Emulator, pipeline: Pipeline) -> None:
    source, seen = large(emulator, [ACTIVITY]), []

    def note(rows: pa.Table) -> pa.Table:
        seen.append(rows.num_rows)
        return rows

    source.resources[TABLE].add_map(note)
    assert load_reports(pipeline, source).rows == sum(seen) > 0
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)


@pytest.mark.long
@pytest.mark.parametrize("stepped", [False, True])
def test_a_bad_value_far_into_a_file(emulator: Emulator, pipeline: Pipeline, stepped: bool) -> None:
    """As a file nothing of the cell is given to dlt; where a step has seen some of it, the package is made anew."""
    created = datetime(2025, 2, 28, 23, tzinfo=timezone.utc)
    emulator.add_transaction(
        late_charge("gift", created, emulator.service.now, "usd", 4200, 152, "Gift", {"gift": "not a number"})
    )
    report = Report(ACTIVITY, metadata=[GIFT], types={GIFT: "bigint"})
    source, events = large(emulator, ["balance.summary", report]), []
    if stepped:
        source.resources[TABLE].add_map(lambda rows: rows)
    with pytest.raises(SyncFailed, match="'aaa a aaaaaa' is not a bigint") as caught:
        load_reports(pipeline, source, on_event=lambda event: events.append(event.kind))
    [failure] = caught.value.failures
    assert failure.interval == "[2025-02-01T00:00:00Z, 2025-03-01T00:00:00Z)"
    assert events.count("planned") == (4 if stepped else 2)  # of two reports, once or twice
    months = "SELECT DISTINCT _interval_key FROM {} ORDER BY 1"
    assert [key[-10:] for (key,) in query(pipeline, months.format(TABLE))] == ["2025-01-01"]
    assert_true(emulator, pipeline, ["balance.summary"], end=emulator.settings.available_end)
    assert query(pipeline, "SELECT count(*) FROM report_runs WHERE error IS NOT NULL") == [(1,)]
    assert not list(Path(pipeline.working_dir).glob("stripe_result_files/*"))
    emulator.withdraw_transaction("txn_gift")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    assert load_reports(pipeline, source).rows > 0
    assert len(query(pipeline, months.format(TABLE))) == 3


def test_a_kill_between_two_files_of_a_table(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.extract(large(emulator, [ACTIVITY]))
    pipeline.normalize()
    killed = multiprocessing.get_context("fork").Process(target=load_until_killed, args=(pipeline,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    load_reports(pipeline, large(emulator, [ACTIVITY]))
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)


@pytest.mark.long
def test_several_files_of_a_table_are_loaded_by_dlt_alone(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, large(emulator, [ACTIVITY]))
    emulator.advance(emulator.settings.available_end + timedelta(days=30))
    usual: Any = pipeline.destination
    pipeline.extract(large(emulator, [ACTIVITY]))
    pipeline.normalize()
    [load_id] = pipeline.list_normalized_load_packages()
    assert len(files_of(pipeline, TABLE, load_id)) == 2
    pipeline.destination = usual
    pipeline.load()
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.service.available_end)


@pytest.mark.parametrize("destination", ["delta"], indirect=True)
def test_several_files_of_a_delta_table_are_one_commit(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    loaded = load_reports(pipeline, large(emulator, [ACTIVITY]))
    assert len(files_of(pipeline, TABLE, loaded.load_infos[-1].loads_ids[0])) == 3
    assert deltalake.DeltaTable(tmp_path / "lake" / "stripe" / TABLE).version() == 0
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)
