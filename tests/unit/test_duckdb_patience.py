"""A DuckDB file that another database of the same process has is waited for, as one of another process is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt import Pipeline

from stripe_reports_source.errors import DestinationBusy
from stripe_reports_source.warehouse.duckdb_cells import CellDuckDb
from stripe_reports_source.warehouse.duckdb_patience import PatientSqlClient


def pipeline_on(file: Path, name: str = "waits") -> Pipeline:
    destination = CellDuckDb.instead_of(dlt.destinations.duckdb(str(file)))
    return dlt.pipeline(name, destination=destination, pipelines_dir=str(file.parent / "pipelines"))


def test_a_file_that_this_process_has_attached_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "reports.duckdb"
    refused = threading.Event()
    real = duckdb.connect

    def connect(*args: object, **settings: object) -> duckdb.DuckDBPyConnection:
        try:
            return real(*args, **settings)  # type: ignore[arg-type]
        except duckdb.Error:  # of a class of its own in DuckDB 2
            refused.set()
            raise

    with real(":memory:") as other, ThreadPoolExecutor() as threads:
        other.execute(f"ATTACH '{file}' AS taken")
        monkeypatch.setattr(duckdb, "connect", connect)

        def let_go() -> None:
            assert refused.wait(60)
            other.execute("DETACH taken")

        done = threads.submit(let_go)
        with pipeline_on(file).sql_client() as client:
            assert client.execute_sql("SELECT 1") == [(1,)]
        done.result()


def test_a_file_that_this_process_keeps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "reports.duckdb"
    monkeypatch.setattr(PatientSqlClient, "patience", 0.0)
    with duckdb.connect(":memory:") as other:
        other.execute(f"ATTACH '{file}' AS taken")
        with pytest.raises(DestinationBusy, match="open in this process"), pipeline_on(file).sql_client():
            pass


def test_threads_open_and_close_one_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "reports.duckdb"

    def work(number: int) -> int:
        pipeline = pipeline_on(file, f"part_{number}")
        for _ in range(100):
            with pipeline.sql_client() as client:
                client.execute_sql("SELECT 1")
        return number

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(work, range(4))) == [0, 1, 2, 3]
