"""What runs inside the measured processes: `python -m tests.benchmarks.workers WHAT JSON`.

Each function imports only what it needs, because imports are part of what is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_BEGAN = time.time()


def reference(database: str, sql: str, ordered: bool = True) -> dict[str, Any]:
    """DuckDB alone: one statement, then everything in its file. As it comes it keeps rows in their order."""
    import duckdb

    with duckdb.connect(database) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET preserve_insertion_order = {str(ordered).lower()}")
        connection.execute(sql)
        connection.execute("CHECKPOINT")
    return {}


def load(
    url: str,
    files_url: str,
    key: str,
    database: str,
    reports: list[str],
    columns: list[str] | None = None,
    metadata: list[str] | None = None,
    interval: str = "month",
    in_flight: int = 4,
    pipelines: str | None = None,
    name: str = "benchmark",
    days: tuple[str | None, str | None] = (None, None),
    dataset: str = "stripe",
) -> dict[str, Any]:
    """This package: `load_reports` of some reports into a DuckDB file, of all `days` or from one up to another.

    `database` may be the address of a PostgreSQL database, too.
    """
    import dlt

    from stripe_reports_source import Report, load_reports, stripe_reports

    imported = time.time()
    stages: dict[str, float] = {}

    def note(event: Any) -> None:
        stages.setdefault(event.kind, round(time.time() - _BEGAN, 3))

    of_postgres = database.startswith("postgresql:")
    destination: Any = (dlt.destinations.postgres if of_postgres else dlt.destinations.duckdb)(database)
    where: dict[str, Any] = {} if pipelines is None else {"pipelines_dir": pipelines}
    pipeline = dlt.pipeline(name, destination=destination, dataset_name=dataset, **where)
    source = stripe_reports(
        [Report(report, columns=columns, metadata=metadata or ()) for report in reports],
        start_date=days[0],
        end_date=days[1],
        interval=interval,
        max_concurrent_runs=in_flight,
        api_key=key,
        api_base_url=url,
        files_base_url=files_url,
    )
    began = time.time()
    loaded = load_reports(pipeline, source, on_event=note)
    ended = time.time()
    for info in loaded.load_infos:
        if info.started_at and info.finished_at:
            stages.setdefault("dlt_load_begins", round(info.started_at.timestamp() - _BEGAN, 3))
            stages.setdefault("dlt_load_ends", round(info.finished_at.timestamp() - _BEGAN, 3))
    return {
        "import_seconds": round(imported - _BEGAN, 3),
        "load_reports_seconds": round(ended - began, 3),
        "rows": loaded.rows,
        "stages": stages,
    }


def copy(address: str, table: str, csv_file: str) -> dict[str, Any]:
    """PostgreSQL alone: one COPY of a file."""
    import psycopg2

    with psycopg2.connect(address) as connection, connection.cursor() as cursor, open(csv_file, "rb") as file:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.copy_expert(f"COPY {table} FROM STDIN WITH (FORMAT csv, HEADER true)", file, 1 << 20)
    return {}


def empty(database: str, rows: int = 0) -> dict[str, Any]:
    """A dlt pipeline whose resource has nothing new; `rows` makes the first run, which has."""
    import dlt

    @dlt.resource(name="things", write_disposition="merge", primary_key="id")
    def things() -> Any:
        yield from ({"id": number} for number in range(rows))

    pipeline = dlt.pipeline("empty", destination=dlt.destinations.duckdb(database), dataset_name="stripe")
    pipeline.run(things())
    return {}


def tie_out(database: str, cells: list[str] | None = None) -> dict[str, Any]:
    """A look at a dataset: all of it, or what a load of some cells makes it look at."""
    from datetime import datetime, timezone
    from pathlib import Path

    import dlt

    from stripe_reports_source.reconcile.checks import look
    from stripe_reports_source.reconcile.scope import Scope

    destination = dlt.destinations.duckdb(database)
    folder = str(Path(database).parent / "pipelines")
    pipeline = dlt.pipeline("benchmark", destination=destination, dataset_name="stripe", pipelines_dir=folder)
    with pipeline.sql_client() as client:
        client.execute_sql("SELECT %s", 1)  # with its first parameter DuckDB imports pandas, as a load has long done
    began = time.time()
    statements = look(pipeline, datetime.now(timezone.utc), Scope(None if cells is None else frozenset(cells)))
    statuses = [statement.status for statement in statements]
    return {
        "look_seconds": round(time.time() - began, 3),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
    }


def download(url: str, path: str) -> dict[str, Any]:
    """The file that the server has, onto this disk, and nothing else."""
    import shutil
    from urllib.request import urlopen

    with urlopen(f"{url}/v1/files/file_1/contents") as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
    return {}


def arrow_dlt(csv_file: str, database: str, table: str, types: dict[str, str]) -> dict[str, Any]:
    """pyarrow's `open_csv` with explicit types, whose batches dlt appends: no checks, and nothing is replaced."""
    import dlt
    import pyarrow as pa
    import pyarrow.csv as pacsv

    kinds = {"VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DECIMAL(38,9)": pa.decimal128(38, 9)}
    options = pacsv.ConvertOptions(
        column_types={name: kinds.get(type_, pa.timestamp("us")) for name, type_ in types.items()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    block = pacsv.ReadOptions(block_size=16 << 20)
    quoted = pacsv.ParseOptions(newlines_in_values=True)
    pipeline = dlt.pipeline("arrow", destination=dlt.destinations.duckdb(database), dataset_name="main")
    batches = pacsv.open_csv(csv_file, read_options=block, parse_options=quoted, convert_options=options)
    pipeline.run(batches, table_name=table)
    return {}


def dict_reader(csv_file: str, database: str, table: str) -> dict[str, Any]:
    """`csv.DictReader` into dlt."""
    import csv

    import dlt

    def rows() -> Any:
        with open(csv_file, encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)

    pipeline = dlt.pipeline("dict_reader", destination=dlt.destinations.duckdb(database), dataset_name="main")
    pipeline.run(rows(), table_name=table)
    return {}


def pandas_dlt(csv_file: str, database: str, table: str) -> dict[str, Any]:
    """pandas `read_csv` into dlt."""
    import dlt
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    pipeline = dlt.pipeline("pandas", destination=dlt.destinations.duckdb(database), dataset_name="main")
    pipeline.run(pd.read_csv(csv_file), table_name=table)
    return {}


def pandas_sql(csv_file: str, database: str, table: str) -> dict[str, Any]:
    """pandas `read_csv`, then `to_sql` into DuckDB by SQLAlchemy, in chunks of 10,000 rows."""
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]
    from sqlalchemy import create_engine  # type: ignore[import-not-found,unused-ignore]

    engine = create_engine(f"duckdb:///{database}")
    with engine.begin() as connection:
        pd.read_csv(csv_file).to_sql(table, connection, index=False, chunksize=10_000)
    return {}


def pandas_sqlite(csv_file: str, database: str, table: str) -> dict[str, Any]:
    """pandas `read_csv`, then `to_sql` into SQLite, for want of SQLAlchemy's DuckDB dialect."""
    import sqlite3

    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    with sqlite3.connect(database) as connection:
        pd.read_csv(csv_file).to_sql(table, connection, index=False)
    return {}


_WORKERS: dict[str, Callable[..., dict[str, Any]]] = {
    way.__name__: way
    for way in (
        *(reference, load, copy, download, empty, tie_out, arrow_dlt),
        *(dict_reader, pandas_dlt, pandas_sql, pandas_sqlite),
    )
}


def main() -> None:
    """Run a worker and leave what it says about itself in the file named by BENCHMARK_SAID."""
    said = _WORKERS[sys.argv[1]](**json.loads(sys.argv[2]))
    with open(os.environ["BENCHMARK_SAID"], "w", encoding="utf-8") as file:
        json.dump(said, file)


if __name__ == "__main__":
    main()
