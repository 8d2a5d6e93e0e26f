"""One load at a time, the key nowhere but at Stripe, and nothing kept where schedulers throw it away."""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dlt
import duckdb
import psycopg2
import pytest
from dlt import Pipeline
from filelock import FileLock

from stripe_reports_source import AuthenticationError, SyncFailed, load_reports, stripe_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import DestinationBusy, WorkingFolderError
from stripe_reports_source.warehouse.advisory_lock import AdvisoryLock
from stripe_reports_source.warehouse.destinations import duckdb_file
from stripe_reports_source.warehouse.own_jobs import keep_own_jobs
from stripe_reports_source.warehouse.turns import pipeline_lock
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, load

REPORT = "payouts.itemized"


@pytest.mark.first(1)
@BOTH
def test_a_second_sync_waits_for_the_first(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait(seconds: float) -> None:
        waiting.set()
        assert go_on.wait(60)

    monkeypatch.setattr(
        "stripe_reports_source.warehouse.locks.time", SimpleNamespace(sleep=wait, monotonic=time.monotonic)
    )
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    done = threading.Event()

    def sync() -> None:
        load_reports(second, source_of(emulator, [REPORT]))
        done.set()

    with pipeline_lock(first):
        thread = threading.Thread(target=sync)
        thread.start()
        assert waiting.wait(60)
        assert not done.is_set()
    go_on.set()
    thread.join(60)
    assert done.is_set()
    assert_true(emulator, second, [REPORT], end=emulator.settings.available_end)


def test_the_working_folder_has_a_lock_too(pipeline: Pipeline) -> None:
    with pipeline_lock(pipeline):
        lock = FileLock(Path(pipeline.pipelines_dir) / "reports.lock")
        with pytest.raises(TimeoutError):
            lock.acquire(timeout=0)
    with lock.acquire(timeout=0):
        pass


def test_links_lead_to_one_lock(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.duckdb"
    link.symlink_to(tmp_path / "reports.duckdb")
    through_the_link = dlt.pipeline("linked", destination=dlt.destinations.duckdb(str(link)), dataset_name="stripe")
    with pipeline_lock(through_the_link), pytest.raises(TimeoutError):
        FileLock(tmp_path / ".reports.duckdb.lock").acquire(timeout=0)
    assert duckdb_file(through_the_link) == duckdb_file(make_pipeline()) == tmp_path / "reports.duckdb"


def test_a_lock_file_that_cannot_be_made(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    lock = tmp_path / "pipelines" / "reports.lock"
    lock.mkdir()
    with pytest.raises(WorkingFolderError, match=f"the lock file {lock} cannot be made \\(Is a directory\\)"):
        load_reports(pipeline, source_of(emulator, [REPORT]))
    assert not list(emulator.requests)


@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_a_lost_lock_hides_nothing(
    emulator: Emulator, pipeline: Pipeline, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin = psycopg2.connect(postgres)
    admin.autocommit = True

    def end_connections() -> int:
        with admin.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            return cursor.rowcount

    ended: list[int] = []
    load_reports(pipeline, source_of(emulator, [REPORT]), on_event=lambda event: ended.append(end_connections()))
    assert sum(ended) == 1
    assert f"the connection that held the lock of the dataset {pipeline.dataset_name!r} was lost" in caplog.text
    assert_true(emulator, pipeline, [REPORT], end=emulator.settings.available_end)

    def fail() -> None:
        with pipeline_lock(pipeline):
            ended.append(end_connections())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sum(ended) == 2
    admin.close()


@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_a_lost_lock_is_taken_again(pipeline: Pipeline, postgres: str, caplog: pytest.LogCaptureFixture) -> None:
    admin = psycopg2.connect(postgres)
    admin.autocommit = True
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    again = threading.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            again.set()

    handler = Heard()
    logger = logging.getLogger("stripe_reports_source.warehouse.advisory_lock")
    logger.addHandler(handler)
    with ExitStack() as stack, admin.cursor() as cursor:
        lock = AdvisoryLock(pipeline, keep_alive=0.05)
        lock.take()
        stack.callback(lock.release)
        cursor.execute(held)
        [[first]] = cursor.fetchall()
        cursor.execute("SELECT pg_terminate_backend(%s)", (first,))
        assert again.wait(60)
        cursor.execute(held)
        [[second]] = cursor.fetchall()
    logger.removeHandler(handler)
    assert first != second
    assert "the lock is taken again" in caplog.text
    admin.close()


@pytest.mark.parametrize("destination", ["postgres"], indirect=True)
def test_who_holds_the_lock_is_said(make_pipeline: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture) -> None:
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    with pipeline_lock(first):
        [[pid]] = query(first, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
        waiting = AdvisoryLock(second, patience=0.0)
        waiting.take()
        waiting.release()
    said = f"another load into the dataset {second.dataset_name!r} is at work (pid {pid}, user postgres); waiting"
    assert said in caplog.text
    assert "going on without the lock" in caplog.text


def hold_open(database: str, opened: Any, close: Any) -> None:
    with duckdb.connect(database):
        opened.set()
        close.wait(100)


def test_a_duckdb_file_that_is_open_elsewhere_is_waited_for(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forks = multiprocessing.get_context("fork")
    opened, close = forks.Event(), forks.Event()
    database = str(tmp_path / "reports.duckdb")
    holder = forks.Process(target=hold_open, args=(database, opened, close))
    holder.start()
    assert opened.wait(60)
    keep_own_jobs(pipeline)
    client: Any = pipeline.sql_client()
    client.patience = 0.0
    said = f"the DuckDB file {database} has been open in .*PID {holder.pid}.* for more than 0 s; close it there"
    with pytest.raises(DestinationBusy, match=said):
        client.open_connection()
    assert caplog.text.count("is open elsewhere") == 1

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            close.set()

    handler = Heard()
    logger = logging.getLogger("stripe_reports_source.warehouse.locks")
    logger.addHandler(handler)
    load_reports(pipeline, source_of(emulator, [REPORT]))
    logger.removeHandler(handler)
    holder.join()
    assert_true(emulator, pipeline, [REPORT], end=emulator.settings.available_end)


def test_the_key_is_nowhere_but_at_stripe(
    emulator: Emulator,
    pipeline: Pipeline,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = emulator.settings.live_keys[0]
    shown = []
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__API_KEY", key)
    source = stripe_reports([REPORT], api_base_url=emulator.api_url, files_base_url=emulator.files_url)
    with caplog.at_level(logging.DEBUG):
        load_reports(pipeline, source)
        for fault in (
            Fault("status", status=401, body=json.dumps({"error": {"message": f"Invalid API Key provided: {key}"}})),
            Fault("run_failed", method="POST", times=9, error="no"),
        ):
            emulator.add_fault(fault)
            emulator.advance(emulator.service.available_end + timedelta(days=1))
            with pytest.raises((AuthenticationError, SyncFailed)) as caught:
                load_reports(pipeline, source)
            shown += traceback.format_exception(caught.value)
            emulator.clear_faults()
    trace = pipeline.last_trace
    assert trace is not None
    shown += [caplog.text, repr(source), str(source), repr(source.resources), str(trace)]
    shown += [json.dumps(trace.asdict(), default=str)]
    assert not [text[:200] for text in shown if key in text]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_full_secret_key_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        stripe_reports([REPORT], api_key="rk_" + "live_x")
        assert not caplog.records
        stripe_reports([REPORT], api_key="sk_" + "live_x")
    assert "a restricted key (rk_live_...)" in caplog.text


@pytest.mark.first(1)
@BOTH
def test_schedulers_that_drop_the_local_state(emulator: Emulator, pipeline: Pipeline) -> None:
    """Airflow's and Dagster's helpers drop it before each run."""
    for _ in range(3):
        pipeline = pipeline.drop()
        load_reports(pipeline, source_of(emulator, [REPORT]))
        assert_true(emulator, pipeline, [REPORT], end=emulator.service.available_end)
        emulator.advance(emulator.service.available_end + timedelta(days=2))
    runs = query(pipeline, "SELECT count(*) FROM report_runs")
    assert runs == [(len(emulator.runs),)]


@pytest.mark.first(1)
@BOTH
@pytest.mark.parametrize(
    "change",
    [
        "CREATE UNIQUE INDEX one_each ON {table} (customer_email)",
        "ALTER TABLE {table} ALTER COLUMN customer_description SET NOT NULL",
    ],
    ids=["unique", "not-null"],
)
@WAYS
def test_a_database_that_refuses_rows_quotes_none_of_them(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, way: str
) -> None:
    """Not in the error, nor in dlt's log, trace and working folder."""
    report, table = "balance_change_from_activity.itemized", "balance_change_from_activity_itemized"
    load_reports(pipeline, source_of(emulator, [report]))
    [(listed,)] = query(pipeline, f"SELECT string_agg(DISTINCT customer_email, ',') FROM {table}")
    query(pipeline, f"DELETE FROM {table}")
    query(pipeline, change.format(table=table))
    emulator.advance(emulator.service.available_end + timedelta(days=1))
    logger = logging.getLogger("dlt")
    logger.addHandler(caplog.handler)
    with pytest.raises(Exception, match=r".") as caught:
        load(pipeline, source_of(emulator, [report]), way)
    logger.removeHandler(caplog.handler)
    assert "exception in job" in caplog.text
    texts = {"error": "".join(traceback.format_exception(caught.value)).encode(), "log": caplog.text.encode()}
    files = [path for path in (tmp_path / "pipelines").rglob("*") if path.is_file() and path.suffix != ".parquet"]
    texts |= {path.name: path.read_bytes() for path in files}
    assert not [name for name, text in texts.items() for email in listed.split(",") if email.encode() in text]
