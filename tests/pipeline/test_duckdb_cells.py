"""DuckDB: cells replaced straight from their files, whole, once, however often a job runs, and rolled back whole."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt import Pipeline
from dlt.common.schema.utils import new_table
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from dlt.destinations.job_client_impl import SqlLoadJob
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import ConfigurationError, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.warehouse.duckdb_cells import CellClient, CellDuckDb, CellJob, load_package
from stripe_reports_source.warehouse.duckdb_memory import COLUMN_BYTES, Room, frugal
from stripe_reports_source.warehouse.leftovers import SPILL_FOLDER
from stripe_reports_source.warehouse.own_jobs import own_jobs
from stripe_reports_source.warehouse.query import Reader, reading_frugally
from tests.conftest import query, source_of, with_settings
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, load

PAYOUTS = "payouts.itemized"
ACTIVITY = "balance_change_from_activity.itemized"


def load_until_killed(pipeline: Pipeline) -> None:
    """Load, and die after the database has taken a job's rows and before dlt has noted it."""
    real = CellJob.run

    def run(job: CellJob) -> None:
        real(job)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(CellJob, "run", run)  # noqa: B010  # a forked process, which ends here
    with own_jobs(pipeline):
        load_package(pipeline, "stripe_reports")


def kill_in_the_middle_of_a_load(emulator: Emulator, pipeline: Pipeline) -> None:
    """Leave a package in the pipeline whose rows are in the database, which dlt does not know."""
    pipeline.extract(source_of(emulator, [PAYOUTS]))
    pipeline.normalize()
    killed = multiprocessing.get_context("fork").Process(target=load_until_killed, args=(pipeline,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL


def test_a_job_that_runs_again_changes_nothing(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    kill_in_the_middle_of_a_load(emulator, pipeline)
    with own_jobs(pipeline):
        load_package(pipeline, "stripe_reports")  # goes on with the very same jobs
    assert not pipeline.has_pending_data
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("table", ["payouts_summary", "report_cells"])
def test_a_job_that_fails_half_way_leaves_the_table_as_it_was(emulator: Emulator, tmp_path: Path, table: str) -> None:
    """That of cells is ours, and that of the ledger dlt's."""
    database = str(tmp_path / "warehouse.duckdb")
    pipeline = dlt.pipeline("atomic", destination=dlt.destinations.duckdb(database), dataset_name="stripe")
    source = source_of(emulator, ["payouts.summary"], start_date="2025-01-01", end_date="2025-03-01")
    load_reports(pipeline, source)
    with duckdb.connect(database) as connection:
        before = connection.sql(f"SELECT count(*) FROM stripe.{table}").fetchall()
        # the DELETE will work, the INSERT after it will not
        connection.execute(f"ALTER TABLE stripe.{table} ADD COLUMN audited BOOLEAN DEFAULT true")
        connection.execute(f"ALTER TABLE stripe.{table} ALTER COLUMN audited DROP DEFAULT")
        connection.execute(f"ALTER TABLE stripe.{table} ALTER COLUMN audited SET NOT NULL")
    with pytest.raises((SyncFailed, PipelineStepFailed), match=rf"NOT NULL constraint failed: {table}.audited"):
        load_reports(pipeline, source)
    with duckdb.connect(database) as connection:
        assert connection.sql(f"SELECT count(*) FROM stripe.{table}").fetchall() == before != [(0,)]


def test_the_pipeline_and_the_database_are_left_as_they_were(emulator: Emulator, tmp_path: Path) -> None:
    database = str(tmp_path / "warehouse.duckdb")
    destination = dlt.destinations.duckdb(database)
    pipeline = dlt.pipeline("same", destination=destination, dataset_name="stripe")
    with duckdb.connect(database) as connection:
        settings = "SELECT name, value FROM duckdb_settings() WHERE name IN ('threads', 'memory_limit')"
        connection.execute("SET GLOBAL memory_limit = '1 GiB'")
        before = connection.sql(settings).fetchall()
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        assert connection.sql(settings).fetchall() == before
        staged = connection.sql("SELECT count(*) FROM stripe_staging.payouts_itemized").fetchall()
    assert pipeline.destination is destination
    assert pipeline.state["destination_type"] == "dlt.destinations.duckdb"
    assert staged == [(0,)]


def test_what_is_open_elsewhere_in_the_process_may_hold_more_memory_than_a_load_has(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    names = "('memory_limit', 'threads', 'preserve_insertion_order')"
    settings = f"SELECT name, value FROM duckdb_settings() WHERE name IN {names} ORDER BY 1"
    with duckdb.connect(str(tmp_path / "reports.duckdb")) as connection:
        connection.execute("SET max_temp_directory_size = '0 KiB'")  # so that nothing of it can be put aside
        connection.execute("CREATE TEMP TABLE mine AS SELECT md5(i::text) AS text FROM range(3000000) AS rows(i)")
        before = connection.sql(settings).fetchall()
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        assert connection.sql(settings).fetchall() == before
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("room", [Room(3 << 20, per_column=1 << 10), Room(4 << 20)], ids=["little", "by width"])
def test_little_room_is_enough_and_by_width_no_more_is_needed(
    emulator: Emulator, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, room: Room
) -> None:
    straight = CellDuckDb.instead_of(pipeline.destination)
    straight.room = room
    pipeline.destination = straight
    with caplog.at_level(logging.INFO, "stripe_reports_source"):
        load_reports(pipeline, source_of(emulator, [ACTIVITY]))
    got_more = [record for record in caplog.records if "more memory than" in record.getMessage()]
    assert not got_more or room.per_column < COLUMN_BYTES
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("kind", [CellJob, SqlLoadJob, InsertValuesLoadJob], ids=["of cells", "of dlt's", "of text"])
def test_jobs_get_more_memory(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Any]
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    schema, jobs = pipeline.default_schema, tmp_path / "package" / "started_jobs"
    jobs.mkdir(parents=True)
    if kind is CellJob:
        table_name, file = "payouts_itemized", jobs / "payouts_itemized.0123456789.0.parquet"
        rows = "SELECT payout.* FROM stripe.payouts_itemized AS payout, range(400000) LIMIT 400000"
        with pipeline.sql_client() as client:
            client.execute_sql(f"COPY ({rows}) TO '{file}'")
    elif kind is InsertValuesLoadJob:
        table_name, file = "_dlt_loads", jobs / "_dlt_loads.0123456789.0.insert_values"
        rows = ",\n".join(f"('{number:0200}', 'x', 1, '2025-01-01', 'x')" for number in range(20_000))
        columns = "load_id, schema_name, status, inserted_at, schema_version_hash"
        file.write_text(f"INSERT INTO {{}}({columns})\nVALUES\n{rows};")
    else:
        table_name, file = "report_runs", jobs / "report_runs.0123456789.0.sql"
        file.write_text("CREATE TABLE hashes AS SELECT count(DISTINCT hash(i)) FROM range(400000) AS rows(i);")
    with (
        caplog.at_level(logging.INFO, "stripe_reports_source"),
        own_jobs(pipeline),
        pipeline.sql_client() as other,
        frugal(other, pipeline, Room(1 << 20)),
    ):
        job_client = pipeline.destination_client()
        assert isinstance(job_client, CellClient)
        table = job_client.prepare_load_table(table_name)
        job: Any = job_client.create_load_job(table, str(file), "1")
        assert isinstance(job, kind)
        job.set_run_vars("1", schema, table)
        job.run_managed(job_client, None)
        assert job.state() == "completed", job.exception()
    assert [record for record in caplog.records if f"{table_name}: more memory than" in record.getMessage()]
    if kind is CellJob:
        assert query(pipeline, "SELECT count(*) FROM payouts_itemized") == [(400_000,)]


@pytest.mark.first(1)
@pytest.mark.parametrize("what", ["the end of a package", "what tables lack"])
def test_what_dlt_writes_beside_the_jobs_gets_more_memory(
    emulator: Emulator, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    loads = query(pipeline, "SELECT count(*) FROM _dlt_loads")[0][0]
    with (
        caplog.at_level(logging.INFO, "stripe_reports_source"),
        own_jobs(pipeline),
        pipeline.sql_client() as other,
        frugal(other, pipeline, Room(16 << 10)),
        pipeline.destination_client() as client,
    ):
        assert isinstance(client, CellClient)
        if what == "the end of a package":
            client.complete_load("1")
        else:
            client.schema.update_table(new_table("more", columns=[{"name": "a", "data_type": "text"}]))
            client.schema._bump_version()
            client.update_stored_schema()
    assert [record for record in caplog.records if f"{what}: more memory than" in record.getMessage()]
    assert query(pipeline, "SELECT count(*) FROM _dlt_loads") == [(loads + (what == "the end of a package"),)]
    assert what == "the end of a package" or query(pipeline, "SELECT count(*) FROM more") == [(0,)]


def test_a_look_at_many_rows_takes_little_memory_and_more_where_it_needs_it(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    spill = Path(pipeline.working_dir) / SPILL_FOLDER
    names = "('memory_limit', 'threads', 'preserve_insertion_order')"
    settings = f"SELECT name, value FROM duckdb_settings() WHERE name IN {names} ORDER BY 1"
    Path(pipeline.working_dir).chmod(0o755)
    with pipeline.sql_client() as client:
        before = client.execute_sql(settings)
        with frugal(client, pipeline, Room(1 << 20)) as limit:
            reader = Reader(client, limit)
            assert reader.execute("SELECT current_setting('temp_directory')") == [(str(spill),)]
            assert Path(pipeline.working_dir).stat().st_mode & 0o777 == 0o700
            little = reader.execute(settings)
            # the ids of so many rows have no room in a megabyte for each thread
            found = reader.execute("SELECT count(DISTINCT hash(i)), max(i::text) FROM range(400000) AS rows(i)")
            assert found == [(400000, "99999")]
            assert little != reader.execute(settings)
        assert client.execute_sql(settings) == before
    with reading_frugally(pipeline) as reader:
        assert reader.execute("SELECT current_setting('temp_directory')") == [(str(spill),)]


def test_a_load_asks_its_questions_with_few_clients_of_dlts(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, made = Pipeline.sql_client, []

    def noted(self: Pipeline, *which: str) -> Any:
        made.append(which)
        return usual(self, *which)

    monkeypatch.setattr(Pipeline, "sql_client", noted)
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert len(made) < 8, "dlt reads the schema from disk for each"
    assert query(pipeline, "SELECT count(*) FROM payouts_itemized") > [(0,)]


def test_what_a_killed_process_had_no_memory_for_is_removed_by_the_next_sync(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    spill = Path(pipeline.working_dir) / SPILL_FOLDER
    spill.mkdir()
    (spill / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"a customer's row")
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert not spill.exists()


def test_what_duckdb_has_put_aside_is_left_while_it_is_open_elsewhere_in_the_process(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    with duckdb.connect(str(tmp_path / "reports.duckdb")) as connection:
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        with pipeline.sql_client() as client, frugal(client, pipeline, Room(1 << 20)):
            connection.execute("CREATE TEMP TABLE mine AS SELECT md5(i::text) AS text FROM range(400000) AS rows(i)")
        assert list((Path(pipeline.working_dir) / SPILL_FOLDER).iterdir())
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        assert connection.sql("SELECT count(DISTINCT text) FROM mine").fetchall() == [(400000,)]


def test_the_working_folder_may_have_any_name(emulator: Emulator, tmp_path: Path) -> None:
    folder = tmp_path / 'o\'brien {x} "y"'
    folder.mkdir()
    destination = dlt.destinations.duckdb(str(folder / "reports.duckdb"))
    pipeline = dlt.pipeline("any", destination=destination, dataset_name="stripe", pipelines_dir=str(folder))
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


def test_files_that_dlt_splits_within_a_cell_are_left_to_dlt(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "50")
    source = with_settings(source_of(emulator, [ACTIVITY]), parse_policy=ParsePolicy(50, block_bytes=1 << 13))
    source.resources["balance_change_from_activity_itemized"].add_map(lambda rows: rows)  # so that dlt gets rows
    loaded = load_reports(pipeline, source)
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)
    jobs = [job.job_file_info for job in loaded.load_infos[0].load_packages[0].jobs["completed_jobs"]]
    formats = [job.file_format for job in jobs if job.table_name == "balance_change_from_activity_itemized"]
    assert formats.count("parquet") > 3
    assert "sql" in formats  # dlt's own merge


def test_the_rest_of_a_killed_load_can_be_loaded_by_dlt_alone(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    kill_in_the_middle_of_a_load(emulator, pipeline)
    pipeline.load()
    assert not pipeline.has_pending_data
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


@pytest.mark.first(1)
@WAYS
def test_what_dlt_cannot_read_through_a_newer_duckdb_is_said_in_a_sentence(
    emulator: Emulator, pipeline: Pipeline, way: str
) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    [(rows,)] = query(pipeline, "SELECT count(*) FROM payouts_itemized")
    table = pipeline.dataset().payouts_itemized
    assert sum(len(chunk) for chunk in table.iter_arrow(chunk_size=50_000)) == len(table.df()) == rows
    if hasattr(duckdb.DuckDBPyConnection, "fetch_arrow_table"):
        assert len(table.arrow()) == rows
    else:
        with pytest.raises(ConfigurationError, match=r"dlt 1.31 cannot read a whole Arrow table through DuckDB 2"):
            table.arrow()
