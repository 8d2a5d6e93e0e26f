"""One load at a time, the key nowhere but at Stripe, and nothing kept where schedulers throw it away."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from dlt import Pipeline
from filelock import FileLock

from stripe_reports_source import AuthenticationError, SyncFailed, load_reports, stripe_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.warehouse.locks import pipeline_lock
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true

REPORT = "payouts.itemized"


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
        assert list(emulator.requests) == []
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
