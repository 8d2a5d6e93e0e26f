"""Rows written straight into a DuckDB table, without a load package of dlt's.

In: an open client, a table that there is already, rows. Out: they are in it, instead of those with the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from dlt import Pipeline

from .duckdb_memory import FEW_ROWS_BYTES, Room, frugal, with_more_memory

NEW_ROWS = "stripe_reports_new_rows"


def replace_rows(client: Any, pipeline: Pipeline, table: str, keys: Sequence[str], rows: pa.Table) -> None:
    """Replace rows in one transaction; see `own_jobs.replace_rows`."""
    with frugal(client, pipeline, Room(FEW_ROWS_BYTES)) as limit:
        target = client.make_qualified_table_name(table)
        with_more_memory(client, limit, lambda: _replace(client, target, keys, rows), table)


def _replace(client: Any, target: str, keys: Sequence[str], new: pa.Table) -> None:
    columns = ", ".join(map(client.escape_column_name, keys))
    connection = client.native_connection
    connection.register(NEW_ROWS, new)
    try:
        with client.begin_transaction():
            client.execute_sql(f"DELETE FROM {target} WHERE ({columns}) IN (SELECT {columns} FROM {NEW_ROWS})")  # noqa: S608
            client.execute_sql(f"INSERT INTO {target} BY NAME SELECT * FROM {NEW_ROWS}")  # noqa: S608
    finally:
        connection.unregister(NEW_ROWS)
