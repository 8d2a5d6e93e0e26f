"""How much memory, and how many threads, a load into DuckDB begins with: by the width of its widest table,
and how long its longest file is."""

from __future__ import annotations

import logging
import multiprocessing
import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DatabaseTransientException

from stripe_reports_source.warehouse import duckdb_memory
from stripe_reports_source.warehouse.duckdb_memory import (
    ROW_GROUP,
    SMALL_FILE_BYTES,
    Memory,
    Room,
    frugal,
    with_more_memory,
    write_frugally,
)
from stripe_reports_source.warehouse.kept_open import KeptOpen
from stripe_reports_source.warehouse.own_jobs import own_jobs

COLUMNS = 60
TOO_LITTLE = Room(1 << 20, COLUMNS, rows=1, per_column=400 << 10)
"""To commit a few thousand wide rows; it is enough to insert them."""


def wide_rows(first: int, last: int) -> str:
    columns = ", ".join(
        f"CASE WHEN i % 3 = 0 THEN 'text ' || (i * {place}) END AS c{place}" for place in range(COLUMNS)
    )
    return f"SELECT i, {columns} FROM range({first}, {last}) AS numbers(i)"


def assert_rows_are(found: Any, first: int, last: int) -> None:
    """Each value of each row stands where it belongs."""
    other = f"({wide_rows(first, last)}) EXCEPT ALL (SELECT * FROM wide)"
    [[count, lacking]] = found.execute(f"SELECT (SELECT count(*) FROM wide), count(*) FROM ({other})").fetchall()
    assert (count, lacking) == (last - first, 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def pipeline(file: Path, tmp_path: Path) -> Pipeline:
    return dlt.pipeline("memory", destination=dlt.destinations.duckdb(str(file)), pipelines_dir=str(tmp_path))


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
    room = Room(columns=columns, rows=rows)
    found, wanted = room.of(2)
    assert found == threads
    assert megabytes[0] <= wanted / (1 << 20) <= megabytes[1]
    assert room.of(4)[0] >= found
    assert room.of(1)[0] == 1


@pytest.mark.parametrize(("small", "by_it"), [(SMALL_FILE_BYTES, False), (0, True)])
def test_a_small_file_is_written_without_the_method_that_costs_most(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, small: int, by_it: bool
) -> None:
    monkeypatch.setattr(duckdb_memory, "SMALL_FILE_BYTES", small)
    with pipeline.sql_client() as client:
        client.execute_sql(
            "CREATE TABLE rows_of AS SELECT 'https://dashboard.stripe.com/payments/' || range AS word FROM range(20000)"
        )
        write_frugally(client)
        rows = client.execute_sql(
            "SELECT DISTINCT compression FROM pragma_storage_info('rows_of') WHERE segment_type = 'VARCHAR'"
        )
        assert any("FSST" in str(row[0]) for row in rows or ()) is by_it
        assert client.execute_sql("SELECT count(DISTINCT word) FROM rows_of") == [(20000,)]


@pytest.mark.parametrize("busy", [False, True])
def test_a_file_is_written_before_it_is_closed_and_settings_stay_as_they_were(
    pipeline: Pipeline, file: Path, busy: bool
) -> None:
    names = ("threads", "memory_limit", "disabled_compression_methods")
    settings = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with pipeline.sql_client() as client, duckdb.connect(str(file)) as other:
        client.execute_sql("SET GLOBAL threads = 3")
        client.execute_sql("SET GLOBAL disabled_compression_methods = 'zstd'")
        before = client.execute_sql(settings)
        client.execute_sql("CREATE TABLE rows_of AS SELECT range AS number FROM range(1000)")
        log = file.with_name(f"{file.name}.wal")
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


def test_a_file_that_cannot_be_written_is_let_go_all_the_same_and_loses_nothing(pipeline: Pipeline, file: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=let_go_without_room, args=(pipeline, file))
    child.start()
    child.join()
    assert child.exitcode == 0
    with duckdb.connect(str(file)) as connection:
        assert connection.execute("SELECT count(DISTINCT word) FROM rows_of").fetchall() == [(50_000,)]


def test_a_commit_has_all_the_memory_there_is(pipeline: Pipeline, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with own_jobs(pipeline), pipeline.sql_client() as client, caplog.at_level(logging.INFO):
        client.execute_sql(f"CREATE TABLE wide AS {wide_rows(0, 5000)}")
        client.execute_sql("CHECKPOINT")
        with frugal(client, pipeline, TOO_LITTLE) as limit:
            limited = client.execute_sql("SELECT current_setting('memory_limit')")
            with client.begin_transaction():
                client.execute_sql(f"INSERT INTO wide {wide_rows(5000, 8000)}")
            assert client.execute_sql("SELECT current_setting('memory_limit')") == limited
        assert limit.spoiled is None
        assert "more memory" not in caplog.text
        assert_rows_are(client.native_connection, 0, 8000)
    with duckdb.connect(str(file)) as connection:
        assert_rows_are(connection, 0, 8000)


def leave_no_memory(connection: duckdb.DuckDBPyConnection) -> list[duckdb.DuckDBPyConnection]:
    """Have all the memory that DuckDB may use, in results that are being read, until these are let go of."""
    connection.execute("SET GLOBAL max_temp_directory_size = '0 KiB'")
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS mine AS FROM range(100000) AS rows(i)")
    used = connection.sql("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()[0][0]
    connection.execute(f"SET GLOBAL memory_limit = '{used + (64 << 10)} bytes'")
    held = []
    with suppress(duckdb.OutOfMemoryException):
        while True:
            held.append(connection.cursor())
            held[-1].execute("SELECT true")
    return held


def test_a_commit_for_which_others_leave_no_memory_is_not_begun_but_done_again(
    pipeline: Pipeline, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[int] = []
    held: list[duckdb.DuckDBPyConnection] = []
    monkeypatch.setattr("stripe_reports_source.warehouse.locks.time.sleep", lambda _: held.clear())
    with own_jobs(pipeline), pipeline.sql_client() as client, duckdb.connect(str(file)) as other:
        client.execute_sql("CREATE TABLE wide AS SELECT 1 AS i")
        with frugal(client, pipeline, Room(8 << 20)) as limit:

            def insert() -> None:
                with client.begin_transaction():
                    client.execute_sql("INSERT INTO wide VALUES (2)")
                    allowed.append(limit.allowed)
                    if len(allowed) == 1:
                        held.extend(leave_no_memory(other))

            with_more_memory(client, limit, insert, "wide")
            assert limit.spoiled is None
        assert allowed == [allowed[0], 2 * allowed[0]]
        assert client.execute_sql("SELECT i FROM wide ORDER BY i") == [(1,), (2,)]


@pytest.mark.parametrize("ends", ["limit", "transaction"])
def test_what_takes_very_little_memory_waits_for_those_that_have_all(
    pipeline: Pipeline, file: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    settings = "SELECT current_setting('memory_limit'), current_setting('threads')"
    held: list[duckdb.DuckDBPyConnection] = []
    monkeypatch.setattr("stripe_reports_source.warehouse.locks.time.sleep", lambda _: held.clear())
    with own_jobs(pipeline), pipeline.sql_client() as client, duckdb.connect(str(file)) as other:
        client.execute_sql("CREATE TABLE wide AS SELECT 1 AS i")
        before = client.execute_sql(settings)
        with frugal(client, pipeline), suppress(DatabaseException):
            if ends == "transaction":
                with client.begin_transaction():
                    client.execute_sql("INSERT INTO wide VALUES (2)")
                    held += leave_no_memory(other)
                    client.execute_sql("INSERT INTO wide VALUES (3)")
            held += leave_no_memory(other)
        has_room = bool(held) and duckdb.__version__ >= "2"  # which has room at times, and waits for nothing then
        assert not held or has_room
        held.clear()
        assert client.execute_sql(settings) == before
        rows = client.execute_sql("SELECT i FROM wide ORDER BY i")
        assert rows == [(1,)] or (has_room and rows == [(1,), (2,), (3,)])


@pytest.mark.skipif(duckdb.__version__ >= "2", reason="DuckDB 2 has room to commit whatever it had room to insert")
def test_after_a_commit_that_had_no_room_nothing_is_written_until_the_database_was_closed(
    pipeline: Pipeline, file: Path
) -> None:
    with own_jobs(pipeline):
        kept = KeptOpen(pipeline)
        kept.keep()
        with pipeline.sql_client() as client:
            client.execute_sql(f"CREATE TABLE wide AS {wide_rows(0, 5000)}")
            client.execute_sql("CHECKPOINT")
            client.execute_sql(f"INSERT INTO wide {wide_rows(5000, 6000)}")
            client.execute_sql("SET GLOBAL memory_limit = '24MiB'")
            with frugal(client, pipeline, TOO_LITTLE) as limit:

                def insert() -> None:
                    with client.begin_transaction():
                        client.execute_sql(f"INSERT INTO wide {wide_rows(6000, 9000)}")

                with pytest.raises(DatabaseException, match="Failed to commit") as failed:
                    with_more_memory(client, limit, insert, "wide")
                assert limit.spoiled is failed.value
                client.execute_sql("SET GLOBAL memory_limit = '1GiB'")
                with pytest.raises(DatabaseException, match="Failed to commit"):
                    insert()
        log = file.with_name(f"{file.name}.wal")
        before = file.read_bytes(), log.read_bytes()
        kept.let_go()
        assert (file.read_bytes(), log.read_bytes()) == before
    with duckdb.connect(str(file)) as connection:
        assert_rows_are(connection, 0, 6000)


def test_so_it_is_where_nothing_more_can_be_put_aside_on_disk() -> None:
    cause = duckdb.TransactionException(
        "TransactionContext Error: Failed to commit: failed to offload data block of size 96.0 KiB"
    )
    memory, attempts = Memory(), []

    def commit() -> None:
        with memory.for_commit(None):
            attempts.append(1)
            raise DatabaseTransientException(cause) from cause

    for _ in range(2):
        with pytest.raises(DatabaseException, match="offload"):
            commit()
    assert len(attempts) == 1


def test_rows_that_are_loaded_side_by_side_in_little_memory_stand_where_they_belong(
    pipeline: Pipeline, file: Path
) -> None:
    cells, rows = 24, 1000

    def load(cell: int) -> None:
        client: Any = pipeline.sql_client()

        def replace() -> None:
            first = cell * rows
            with client.begin_transaction():
                client.execute_sql(f"DELETE FROM wide WHERE i BETWEEN {first} AND {first + rows - 1}")
                client.execute_sql(f"INSERT INTO wide {wide_rows(first, first + rows)}")

        with client:
            with_more_memory(client, client.memory, replace, "wide")

    with own_jobs(pipeline), pipeline.sql_client() as client:
        client.execute_sql(f"CREATE TABLE wide AS {wide_rows(0, 0)}")
        with frugal(client, pipeline, TOO_LITTLE), ThreadPoolExecutor(4) as threads:
            list(threads.map(load, range(cells)))
        assert_rows_are(client.native_connection, 0, cells * rows)
    with duckdb.connect(str(file)) as connection:
        assert_rows_are(connection, 0, cells * rows)
