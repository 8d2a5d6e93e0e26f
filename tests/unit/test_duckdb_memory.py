"""How much memory, and how many threads, a load into DuckDB begins with: by the width of its widest table,
and how long its longest file is."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt import Pipeline

from stripe_reports_source.warehouse import duckdb_memory
from stripe_reports_source.warehouse.duckdb_memory import LOAD_BYTES, ROW_GROUP, SMALL_FILE_BYTES, Room, write_frugally
from stripe_reports_source.warehouse.kept_open import KeptOpen


@pytest.mark.parametrize(
    ("columns", "rows", "threads", "megabytes"),
    [
        (0, None, 2, (80, 90)),
        (30, 10_000_000, 2, (80, 90)),
        (110, 10_000_000, 2, (265, 320)),
        (110, ROW_GROUP + 1, 2, (265, 320)),
        (110, ROW_GROUP, 1, (110, 120)),
        (110, 0, 1, (110, 120)),
        (209, 10_000_000, 1, (209, 220)),
        (1000, 10_000_000, 1, (1000, 1100)),
    ],
)
def test_room_grows_with_the_columns_and_threads_give_way_to_it(
    columns: int, rows: int | None, threads: int, megabytes: tuple[int, int]
) -> None:
    room = Room(LOAD_BYTES, columns, rows)
    found, wanted = room.of(2)
    assert found == threads
    assert megabytes[0] <= wanted / (1 << 20) <= megabytes[1]
    assert room.of(4)[0] >= found
    assert room.of(1)[0] == 1


@pytest.mark.parametrize(("small", "by_it"), [(SMALL_FILE_BYTES, False), (0, True)])
def test_a_small_file_is_written_without_the_method_that_costs_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, by_it: bool
) -> None:
    monkeypatch.setattr(duckdb_memory, "SMALL_FILE_BYTES", small)
    destination = dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb"))
    pipeline = dlt.pipeline("memory", destination=destination, pipelines_dir=str(tmp_path))
    with pipeline.sql_client() as client:
        client.execute_sql(
            "CREATE TABLE rows_of AS SELECT 'a charge of ' || md5(range::varchar) AS word FROM range(20000)"
        )
        write_frugally(client)
        rows = client.execute_sql(
            "SELECT DISTINCT compression FROM pragma_storage_info('rows_of') WHERE segment_type = 'VARCHAR'"
        )
        assert any("FSST" in str(row[0]) for row in rows or ()) is by_it
        assert client.execute_sql("SELECT count(DISTINCT word) FROM rows_of") == [(20000,)]


@pytest.mark.parametrize("busy", [False, True])
def test_a_file_is_written_before_it_is_closed_and_settings_stay_as_they_were(tmp_path: Path, busy: bool) -> None:
    file = tmp_path / "warehouse.duckdb"
    pipeline = dlt.pipeline("memory", destination=dlt.destinations.duckdb(str(file)), pipelines_dir=str(tmp_path))
    names = ("threads", "memory_limit", "disabled_compression_methods")
    settings = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with pipeline.sql_client() as client, duckdb.connect(str(file)) as other:
        client.execute_sql("SET GLOBAL threads = 3")
        client.execute_sql("SET GLOBAL disabled_compression_methods = 'zstd'")
        before = client.execute_sql(settings)
        client.execute_sql("CREATE TABLE rows_of AS SELECT range AS number FROM range(1000)")
        log = tmp_path / "warehouse.duckdb.wal"
        assert log.stat().st_size > 0
        if busy:
            other.execute("BEGIN; INSERT INTO rows_of VALUES (1000)")
        write_frugally(client)
        assert client.execute_sql(settings) == before
        if busy:
            other.execute("COMMIT")
            assert client.execute_sql("SELECT count(*) FROM rows_of") == [(1001,)]
        else:
            assert not log.exists() or log.stat().st_size == 0


def let_go_without_room(pipeline: Pipeline, file: Path) -> None:
    kept = KeptOpen(pipeline)
    kept.keep()
    with pipeline.sql_client() as client:
        client.execute_sql("CREATE TABLE rows_of AS SELECT md5(range::varchar) AS word FROM range(50000)")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 100_000, most))
    kept.let_go()


def test_a_file_that_cannot_be_written_is_let_go_all_the_same_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    pipeline = dlt.pipeline("memory", destination=dlt.destinations.duckdb(str(file)), pipelines_dir=str(tmp_path))
    child = multiprocessing.get_context("fork").Process(target=let_go_without_room, args=(pipeline, file))
    child.start()
    child.join()
    assert child.exitcode == 0
    with duckdb.connect(str(file)) as connection:
        assert connection.execute("SELECT count(DISTINCT word) FROM rows_of").fetchall() == [(50_000,)]
