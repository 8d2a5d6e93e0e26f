"""PostgreSQL: rows of a package copied straight from its files: exact, once, beside others, whoever fails when."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import dlt
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt import Pipeline
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import ConfigurationError, DestinationBusy
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.reconcile.checks import opened
from stripe_reports_source.reconcile.coverage import read_coverage
from stripe_reports_source.reconcile.equations import EQUATIONS
from stripe_reports_source.reconcile.glance import COPIES, OF_ROWS
from stripe_reports_source.reconcile.groups import tables_of
from stripe_reports_source.reconcile.inputs import INPUTS, glance_query
from stripe_reports_source.reconcile.queries import copies_query, equation_query, in_dialect
from stripe_reports_source.reconcile.scope import Scope
from stripe_reports_source.warehouse import destinations
from stripe_reports_source.warehouse.own_jobs import keep_own_jobs
from stripe_reports_source.warehouse.postgres_binary import binary_rows
from stripe_reports_source.warehouse.postgres_cells import CellJob, CellPostgres
from stripe_reports_source.warehouse.postgres_rows import Stream
from tests.conftest import postgres_server, query, source_of, with_settings
from tests.pipeline.lost_answers import losing_answers
from tests.pipeline.test_large_cells import files_of, is_ours, large
from tests.pipeline.truth import assert_true

pytestmark = pytest.mark.parametrize("destination", ["postgres"], indirect=True)
PAYOUTS = "payouts.itemized"
ACTIVITY = "balance_change_from_activity.itemized"
TABLE = "payouts_itemized"
ACTIVITY_TABLE = "balance_change_from_activity_itemized"
FORMS = pytest.mark.parametrize("number", ["bigint", "numeric"], ids=["binary", "csv"])
"""What a table's column of numbers is: of just the type that the file's is, or another, which CSV goes into as well."""

EDGES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (
        pa.string(),
        ["", "NULL", "\\N", "\\.", "a\n\\.\nb", 'q"uo"te', "\\", "a\r\nb", ",", " x ", "日本é", "é\t"],
    ),
    "amount": (pa.decimal128(38, 9), [Decimal(n) for n in ("0", "-0.000000001", "9" * 29 + "." + "9" * 9, "12.5")]),
    "rate": (pa.decimal128(38, 28), [Decimal(n) for n in ("1E-28", "-1.5", "9" * 10 + "." + "9" * 28, "10000")]),
    "flag": (pa.bool_(), [True, False]),
    "number": (pa.int64(), [2**63 - 1, -(2**63), 0]),
    "day": (pa.date32(), [date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31)]),
    "local": (pa.timestamp("us"), [datetime(1, 1, 1), datetime(2025, 3, 30, 2, 30, 0, 1)]),
    "instant": (
        pa.timestamp("us", "UTC"),
        [datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)],
    ),
}


def edge_rows(key: str) -> pa.Table:
    """Every edge of every type, and NULL, in rows of one cell; and the cell's tombstone."""
    count = 1 + max(len(values) for _, values in EDGES.values())
    columns = {
        name: pa.array([*values, *[None] * (count - len(values))], type_) for name, (type_, values) in EDGES.items()
    }
    keys = {"_interval_key": pa.array([key] * count), "_cell_dropped": pa.nulls(count, pa.bool_())}
    rows = pa.table({**columns, **keys})
    tombstone = pa.Table.from_pylist([{"_interval_key": key, "_cell_dropped": True}], schema=rows.schema)
    return pa.concat_tables([tombstone, rows])


def the_job(pipeline: Pipeline, number: str, rows: pa.Table, folder: Path) -> Callable[[], None]:
    """A job that loads rows into a table of cells, which is made for it."""
    types = {"amount": "numeric(38,9)", "rate": "numeric(38,28)", "flag": "boolean", "number": number, "day": "date"}
    types |= {"local": "timestamp", "instant": "timestamptz", "_cell_dropped": "boolean"}
    with pipeline.sql_client() as client:
        client.create_dataset()
        table = client.make_qualified_table_name("edges")
        columns = ", ".join(f'"{name}" {types.get(name, "varchar")}' for name in rows.column_names)
        client.execute_sql(f"CREATE TABLE {table} ({columns})")
    path = folder / "edges.1.0.parquet"
    pq.write_table(rows, path, row_group_size=5)
    keep_own_jobs(pipeline)

    def run() -> None:
        made = CellJob(str(path))
        hints = {"_interval_key": {"merge_key": True}, "_cell_dropped": {"hard_delete": True}}
        load_table: Any = {"name": "edges", "write_disposition": "merge", "columns": hints}
        made.set_run_vars("load", dlt.Schema("edges"), load_table)
        job_client = pipeline.destination_client()
        with job_client:
            made._job_client = job_client
            made.run()

    return run


@FORMS
def test_every_value_arrives_as_it_is_however_often_a_job_runs(pipeline: Pipeline, number: str, tmp_path: Path) -> None:
    rows = edge_rows("cell")
    run = the_job(pipeline, number, rows, tmp_path)
    for _ in range(2):
        run()
        names = ", ".join(f'"{name}"' for name in EDGES)
        found = query(pipeline, f"SELECT {names} FROM edges")
        wanted = [tuple(row[name] for name in EDGES) for row in rows.to_pylist()[1:]]
        assert Counter(found) == Counter(wanted)


@FORMS
def test_other_cells_stay(pipeline: Pipeline, number: str, tmp_path: Path) -> None:
    run = the_job(pipeline, number, edge_rows("cell"), tmp_path)
    query(pipeline, "INSERT INTO edges (text, _interval_key) VALUES ('other', 'other'), ('old', 'cell')")
    run()
    assert query(pipeline, "SELECT text FROM edges WHERE _interval_key = 'other'") == [("other",)]
    assert query(pipeline, "SELECT count(*) FROM edges WHERE text = 'old'") == [(0,)]


@FORMS
def test_text_goes_as_utf8_whatever_the_client_is_set_to(
    pipeline: Pipeline, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = the_job(pipeline, number, edge_rows("cell"), tmp_path)
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    run()
    monkeypatch.delenv("PGCLIENTENCODING")
    assert query(pipeline, "SELECT text FROM edges WHERE text LIKE '%%é%%' ORDER BY 1") == [("é\t",), ("日本é",)]


def test_a_database_that_cannot_keep_every_text_is_refused_before_a_run(
    emulator: Emulator, postgres: str, destination: str, tmp_path: Path
) -> None:
    admin = psycopg2.connect(postgres)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    address = postgres.replace(":5432/postgres", ":5432/old")
    pipeline = dlt.pipeline("old", destination=dlt.destinations.postgres(address), pipelines_dir=str(tmp_path))
    try:
        with pytest.raises(ConfigurationError, match=r"the database 'old' has the encoding LATIN1, .*ENCODING 'UTF8'"):
            load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        with pytest.raises(Exception, match="the database 'old' has the encoding LATIN1"):
            pipeline.run(source_of(emulator, [PAYOUTS]))
        assert not emulator.runs
    finally:
        with admin.cursor() as cursor:
            cursor.execute("DROP DATABASE old WITH (FORCE)")
        admin.close()


@pytest.mark.first(1)
@pytest.mark.parametrize("plain", [False, True])
def test_a_lost_answer_to_a_commit_doubles_nothing(
    emulator: Emulator, pipeline: Pipeline, postgres: str, plain: bool, tmp_path: Path
) -> None:
    # a socket's path must be short
    with tempfile.TemporaryDirectory() as folder, losing_answers(postgres, Path(folder), TABLE) as (address, door):
        behind: Any = dlt.destinations.postgres(address)
        unsure = dlt.pipeline(
            "unsure", destination=behind, dataset_name=pipeline.dataset_name, pipelines_dir=str(tmp_path / "unsure")
        )
        source = source_of(emulator, [PAYOUTS])
        if plain:
            unsure.run(source)
        else:
            load_reports(unsure, source)
    assert door.lost == 1
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


def sync_when_all_wait(emulator: Emulator, pipeline: Pipeline, waiting: Any) -> None:
    class Arrived(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "keeps this load out" in record.getMessage():
                said = record.getMessage()
                assert f"user postgres, application index builder, table {TABLE}" in said, said
                waiting.wait()

    logging.getLogger("stripe_reports_source").addHandler(Arrived())
    pipeline.run(source_of(emulator, [PAYOUTS]))  # `load_reports` would wait for its turn


@pytest.mark.long
def test_two_pipelines_load_the_same_cells_while_the_table_is_locked(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], postgres: str
) -> None:
    pipelines = [make_pipeline(name, folder=name) for name in ("first", "second")]
    load_reports(pipelines[0], source_of(emulator, [PAYOUTS]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    forks = multiprocessing.get_context("fork")
    waiting = forks.Barrier(3, timeout=100)
    blocker = psycopg2.connect(postgres, application_name="index builder")
    with blocker.cursor() as cursor:
        cursor.execute(f'LOCK TABLE "{pipelines[0].dataset_name}".{TABLE} IN SHARE MODE')
    processes = [forks.Process(target=sync_when_all_wait, args=(emulator, pipeline, waiting)) for pipeline in pipelines]
    for process in processes:
        process.start()
    waiting.wait()
    blocker.rollback()
    blocker.close()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_true(emulator, pipelines[1], [PAYOUTS], end=emulator.service.available_end)


def test_a_readers_open_transaction_is_named_and_other_readers_are_let_in(
    emulator: Emulator, pipeline: Pipeline, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A new column needs a lock that a reader's transaction is in the way of."""
    load_reports(pipeline, source_of(emulator, [Report(PAYOUTS, columns=["payout_id", "gross"])]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    tool = psycopg2.connect(postgres, application_name="a tool")
    reader = psycopg2.connect(postgres, options="-c statement_timeout=30s")
    with tool.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{pipeline.dataset_name}".{TABLE}')
    own: Any = CellPostgres.instead_of(pipeline.destination)
    own.patience = 1.0
    pipeline.destination = own
    source = source_of(emulator, [Report(PAYOUTS, columns=["payout_id", "gross", "fee"])])
    with pytest.raises(DestinationBusy, match=r"was locked by pid \d+, user postgres, application a tool, table .*"):
        load_reports(pipeline, source)
    with reader.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{pipeline.dataset_name}".{TABLE}')
    assert caplog.text.count("keeps this load out") == 1
    for connection in (tool, reader):
        connection.close()
    load_reports(pipeline, source_of(emulator, [Report(PAYOUTS, columns=["payout_id", "gross", "fee"])]))
    assert query(pipeline, f"SELECT count(*) FROM {TABLE} WHERE fee IS NOT NULL") != [(0,)]


@pytest.mark.long
def test_a_table_that_the_server_vacuums_is_not_waited_for_in_vain(emulator: Emulator, pipeline: Pipeline) -> None:
    """The server gives it up for a lock after `deadlock_timeout`; it would take hours here."""
    with postgres_server() as address, closing(psycopg2.connect(address)) as connection:
        own: Any = CellPostgres.instead_of(dlt.destinations.postgres(address))
        own.patience = 60.0
        pipeline.destination = own
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        connection.autocommit = True
        table = f'"{pipeline.dataset_name}".{TABLE}'
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            cursor.execute(f"CREATE TABLE copies AS SELECT t.* FROM {table} t, generate_series(1, 300)")
            cursor.execute("UPDATE copies SET _interval_key = 'another'")
            cursor.execute(f"INSERT INTO {table} SELECT * FROM copies")
            cursor.execute(f"DELETE FROM {table} WHERE _interval_key = 'another'")
            slow = "autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100"
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled, autovacuum_vacuum_threshold = 1, {slow})")
            cursor.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
            cursor.execute("SELECT pg_reload_conf()")
            vacuumed: Any = None
            while vacuumed is None:
                time.sleep(0.1)
                cursor.execute("SELECT pid FROM pg_stat_progress_vacuum WHERE relid = %s::regclass", (table,))
                vacuumed = cursor.fetchone()
        emulator.advance(emulator.settings.available_end + timedelta(days=1))
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


def kill_after_the_rows_are_in(pipeline: Pipeline, source: Any, table: str = TABLE) -> None:
    real = CellJob.run

    def run(job: CellJob) -> None:
        real(job)
        if job.load_table_name == table:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(CellJob, "run", run)  # noqa: B010  # a forked process, which ends here
    pipeline.run(source)


@pytest.mark.long
def test_plain_runs_after_a_kill_double_nothing(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    make_pipeline().run(source_of(emulator, [PAYOUTS]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    killed = multiprocessing.get_context("fork").Process(
        target=kill_after_the_rows_are_in, args=(make_pipeline(), source_of(emulator, [PAYOUTS]))
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    pipeline = make_pipeline()
    assert pipeline.list_normalized_load_packages()
    with pytest.raises(PipelineStepFailed, match=r"was ended while it loaded, .* run the pipeline again"):
        pipeline.run(source_of(emulator, [PAYOUTS]))
    pipeline.run(source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


def test_without_adbc(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, make_pipeline: Callable[..., Pipeline]
) -> None:
    monkeypatch.setenv("DISABLE_ADBC_DETECTION", "true")
    monkeypatch.setattr(destinations, "adbc_version", lambda: None)
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    pipeline.run(source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


def test_no_staging_is_made_for_files_of_whole_cells(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    schemas = query(pipeline, "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", f"{pipeline.dataset_name}%")
    assert schemas == [(pipeline.dataset_name,)]


def test_each_large_cell_is_a_file_also_after_a_kill_between_two(emulator: Emulator, pipeline: Pipeline) -> None:
    """One at a time, as each has the table's lock; without a staging table for any."""
    killed = multiprocessing.get_context("fork").Process(
        target=kill_after_the_rows_are_in, args=(pipeline, large(emulator, [ACTIVITY]), ACTIVITY_TABLE)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    [load_id] = pipeline.list_normalized_load_packages()
    files = files_of(pipeline, ACTIVITY_TABLE, load_id)
    assert len(files) == 3  # months
    assert all(map(is_ours, files))
    assert len(query(pipeline, f"SELECT DISTINCT _interval_key FROM {ACTIVITY_TABLE}")) == 1
    for _ in range(2):
        load_reports(pipeline, large(emulator, [ACTIVITY]))
        assert_true(emulator, pipeline, [ACTIVITY], end=emulator.service.available_end)
        emulator.advance(emulator.service.available_end + timedelta(days=30))
    schemas = query(pipeline, "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", f"{pipeline.dataset_name}%")
    assert schemas == [(pipeline.dataset_name,)]


@pytest.mark.long
def test_files_that_dlt_has_split_within_a_cell_are_staged(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "50")
    source = with_settings(source_of(emulator, [ACTIVITY]), parse_policy=ParsePolicy(50, block_bytes=1 << 13))
    source.resources[ACTIVITY_TABLE].add_map(lambda rows: rows)  # so that dlt gets rows
    loaded = load_reports(pipeline, source)
    assert len(files_of(pipeline, ACTIVITY_TABLE, loaded.load_infos[-1].loads_ids[0])) > 3
    assert_true(emulator, pipeline, [ACTIVITY], end=emulator.settings.available_end)
    staged = "SELECT count(*) FROM pg_tables WHERE tablename = %s AND schemaname <> %s AND schemaname LIKE %s"
    dataset = pipeline.dataset_name
    assert query(pipeline, staged, ACTIVITY_TABLE, dataset, f"{dataset}%") == [(1,)]


SCALES = (0, 1, 3, 4, 9, 18, 28, 37)


@pytest.mark.parametrize("digits", [1, 4, 9, 18, 19, 38])
def test_decimals_of_every_scale_and_size_are_written_as_they_are(pipeline: Pipeline, digits: int) -> None:
    """Those of up to 64 bits are written in another way than larger ones, and each batch in that of its largest."""
    most = min(10**digits - 1, 2**63) if digits == 19 else 10**digits - 1
    values = [0, 1, -1, most, -most, most // 7, 1000, -10_000 * (most // 10_000), None]
    exact = Context(prec=60)
    columns = {
        f"s{scale}": pa.array(
            [None if value is None else Decimal(value).scaleb(-scale, exact) for value in values],
            pa.decimal128(38, scale),
        )
        for scale in SCALES
    }
    rows = pa.table(columns).to_batches()[0]
    with pipeline.sql_client() as client, client.native_connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE made ({', '.join(f's{scale} numeric' for scale in SCALES)})")
        cursor.copy_expert(
            "COPY made FROM STDIN WITH (FORMAT binary)", Stream(binary_rows(iter([rows.slice(1), rows])))
        )
        cursor.execute("SELECT * FROM made")
        found = [[None if value is None else str(value) for value in row] for row in cursor.fetchall()]
        cursor.execute("SELECT * FROM made WHERE s0 = 0 AND s9 = 0.0 AND s9::text = '0.000000000'")
        assert cursor.fetchall()
    wanted = [[None if value is None else f"{value:f}" for value in row.values()] for row in rows.to_pylist()]
    texts = [[None if value is None else f"{Decimal(value):f}" for value in row] for row in found]
    assert texts == [*wanted[1:], *wanted]


def test_a_batch_of_very_many_bytes_is_written_in_parts(pipeline: Pipeline) -> None:
    words = pa.array([str(number) * 50 for number in range(700)])
    shared = pa.array(["a key"] * 500 + ["b", None] * 100).dictionary_encode()
    batch = pa.RecordBatch.from_arrays([words, shared], ["word", "key"])
    parts = list(binary_rows(iter([batch]), most_bytes=10_000))
    assert len(parts) > 6
    with pipeline.sql_client() as client, client.native_connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE made (word text, key varchar)")
        cursor.copy_expert("COPY made FROM STDIN WITH (FORMAT binary)", Stream(iter(parts)))
        cursor.execute("SELECT word, key FROM made")
        assert cursor.fetchall() == list(zip(words.to_pylist(), shared.to_pylist(), strict=True))


@pytest.mark.long
def test_a_load_does_without_duckdb(emulator: Emulator, pipeline: Pipeline, postgres: str, tmp_path: Path) -> None:
    """Which would take some 50 MB more."""
    script = (
        "import sys, dlt\nfrom stripe_reports_source import load_reports, stripe_reports\n"
        f"destination = dlt.destinations.postgres({postgres!r})\n"
        f"pipeline = dlt.pipeline('light', destination=destination, dataset_name={pipeline.dataset_name!r}, "
        f"pipelines_dir={str(tmp_path)!r})\n"
        f"source = stripe_reports([{PAYOUTS!r}], api_key={emulator.settings.live_keys[0]!r}, "
        f"api_base_url={emulator.api_url!r}, files_base_url={emulator.files_url!r})\n"
        "print(load_reports(pipeline, source).rows, 'duckdb' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    rows, imported = told.stdout.split()
    assert int(rows) > 0
    assert imported == "False"


@pytest.mark.long
def test_a_table_too_wide_is_named_and_the_others_go_on(
    emulator: Emulator, pipeline: Pipeline, make_pipeline: Callable[..., Pipeline]
) -> None:
    wide = [f"payment_metadata[k{number}]" for number in range(1700)]
    activity = "balance_change_from_activity.itemized"
    with pytest.raises(SyncFailed) as caught:
        load_reports(pipeline, source_of(emulator, [Report(activity, metadata=wide), PAYOUTS]))
    [failure] = caught.value.failures
    assert failure.report.startswith(activity)
    assert "tables can have at most 1600 columns" in str(failure)
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)
    assert not pipeline.has_pending_data
    later = make_pipeline()
    load_reports(later, source_of(emulator, [activity, PAYOUTS]))
    assert_true(emulator, later, [activity, PAYOUTS], end=emulator.settings.available_end)


def test_a_table_gets_indexes_once_it_has_rows(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    """By the package after its first one, also by another machine; one that is there is taken as it is."""
    loaded = make_pipeline()

    def indexed() -> list[str]:
        columns = (
            "SELECT a.attname FROM pg_index i "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
            "WHERE i.indrelid = %s::regclass ORDER BY 1"
        )
        return [column for (column,) in query(loaded, columns, f"{loaded.dataset_name}.{TABLE}")]

    loaded.run(source_of(emulator, [PAYOUTS], end_date="2025-02-01"))
    assert indexed() == []
    loaded.run(source_of(emulator, [PAYOUTS], start_date="2025-02-01", end_date="2025-03-01"))
    wanted = ["_interval_day", "_interval_key", "balance_transaction_id", "payout_id"]
    assert indexed() == wanted
    assert query(
        loaded, "SELECT count(*) FROM pg_stats WHERE schemaname = %s AND tablename = %s", loaded.dataset_name, TABLE
    )
    load_reports(make_pipeline("another", "elsewhere"), source_of(emulator, [PAYOUTS]))
    assert indexed() == wanted
    assert_true(emulator, loaded, [PAYOUTS], end=emulator.settings.available_end)
    with loaded.sql_client() as client:
        client.execute_sql("SET enable_seqscan = off")
        table = client.make_qualified_table_name(TABLE)
        plan = client.execute_sql(f"EXPLAIN DELETE FROM {table} WHERE (_interval_key) IN (%s)", (("key",),))
    assert any("Index" in line for (line,) in plan or ())


@pytest.mark.long
def test_a_table_that_is_locked_does_not_undo_the_indexes_of_another(
    emulator: Emulator, pipeline: Pipeline, postgres: str
) -> None:
    activity, locked = "balance_change_from_activity_itemized", TABLE
    reports = [ACTIVITY, PAYOUTS]
    load_reports(pipeline, source_of(emulator, reports))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    writer = psycopg2.connect(postgres, application_name="a writer")
    with writer.cursor() as cursor:
        cursor.execute(f'LOCK TABLE "{pipeline.dataset_name}".{locked} IN ROW EXCLUSIVE MODE')
    own: Any = CellPostgres.instead_of(pipeline.destination)
    own.patience = 1.0
    pipeline.destination = own
    with pytest.raises(DestinationBusy, match=f"application a writer, table {locked}"):
        load_reports(pipeline, source_of(emulator, reports))
    writer.close()
    count = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
    assert query(pipeline, count, f"{pipeline.dataset_name}.{activity}") != [(0,)]
    assert query(pipeline, count, f"{pipeline.dataset_name}.{locked}") == [(0,)]


def test_a_load_alone_makes_no_index(emulator: Emulator, pipeline: Pipeline) -> None:
    """The package of its tie-out, which comes after its rows, needs none."""
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    count = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
    assert query(pipeline, count, f"{pipeline.dataset_name}.{TABLE}") == [(0,)]


@pytest.mark.long
def test_what_a_load_has_touched_is_compared_by_indexes(emulator: Emulator, pipeline: Pipeline) -> None:
    """No equation of rows reads a table of transactions from end to end; of payouts there are few."""
    reports = [ACTIVITY, PAYOUTS, "payout_reconciliation.itemized", "ending_balance_reconciliation.itemized"]
    for end in ("2025-02-01", "2025-03-01"):
        load_reports(pipeline, source_of(emulator, reports, start_date="2025-01-01", end_date=end))
    scope = Scope(touched=frozenset({"default|month|UTC|2025-02-01"}), since=date(2025, 2, 1))
    with opened(pipeline) as dataset:
        coverage = read_coverage(dataset.reader)
        tables = {name: tables_of(coverage, input_, dataset.columns) for name, input_ in INPUTS.items()}
        asked = {
            f"{equation.name} of {equation.figure[0]}": equation_query(equation, INPUTS, tables, scope, None, {})
            for equation in EQUATIONS
            if equation.per_row and tables[equation.figure[0]]
        }
        for equation in EQUATIONS:
            name = equation.figure[0]
            if equation.name in OF_ROWS and tables[name]:
                asked[f"rows of {name} at a glance"] = glance_query(INPUTS[name], tables[name], only=scope.touched)
            if equation.name == COPIES and tables[name]:
                asked[f"copies in {name}"] = copies_query(equation, INPUTS, tables, scope)
        dataset.reader.execute("SET enable_seqscan = off")
        for name, sql in asked.items():
            client = dataset.reader.client
            written = in_dialect(sql, dataset.dialect, client.make_qualified_table_name, client.escape_column_name)
            plan = [line for (line,) in dataset.reader.execute(f"EXPLAIN {written}")]
            scanned = [line for line in plan if "Seq Scan on" in line and TABLE not in line]
            assert plan
            assert not scanned, name
