"""Questions to a dataset while others load into it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stripe_reports_source import query_tables
from tests.jobs.test_jobs import Jobs, jobs  # noqa: F401  # fixtures

COUNT = "SELECT count({column.rows}) FROM {table.report_cells} WHERE account = %s"


def test_what_is_not_there_has_no_rows(jobs: Jobs) -> None:  # noqa: F811
    assert query_tables(jobs.pipeline, COUNT, "default") == []
    jobs.round()
    assert query_tables(jobs.pipeline, COUNT, "default") == [(6,)]
    assert query_tables(jobs.pipeline, "SELECT * FROM {table.no_such_table}") == []


def test_a_file_that_another_process_has_open_is_waited_for(
    jobs: Jobs,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    jobs.round()
    file = jobs.pipeline.destination_client().config.credentials.database  # type: ignore[union-attr]
    script = f"import duckdb\nopened = duckdb.connect({str(file)!r})\nprint('open', flush=True)\ninput()"
    with (
        ThreadPoolExecutor(1) as pool,
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        answer = pool.submit(query_tables, jobs.pipeline, COUNT, "default")
        give_up = time.monotonic() + 60
        while "is open elsewhere" not in caplog.text:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert not answer.done()
        other.communicate(b"\n")
        assert answer.result(60) == [(6,)]
