"""Rows written straight into a DuckDB table, where a load package of dlt's would cost more than all the rest of a look.

In: a pipeline, a table that there is already, rows. Out: they are in it, instead of those with the same keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from .duckdb_memory import FEW_ROWS_BYTES, Room, frugal, with_more_memory

NEW_ROWS = "stripe_reports_new_rows"


def replace_rows(pipeline: Pipeline, table: str, keys: Sequence[str], rows: Callable[[str], pa.Table]) -> bool:
    """Replace rows in one transaction.

    Args:
        pipeline: that is loading into DuckDB in our own way.
        table: dlt's name of it.
        keys: columns; rows that agree in them with a new one are dropped.
        rows: makes the new ones, with the name of the load package that was loaded last.

    Returns:
        False where there is no such table.
    """
    with pipeline.sql_client() as client, frugal(client, pipeline, Room(FEW_ROWS_BYTES)) as most_memory:
        target, loads = client.make_qualified_table_name(table), client.make_qualified_table_name("_dlt_loads")
        try:
            found = client.execute_sql(f"SELECT max(load_id) FROM {loads} WHERE status = 0")  # noqa: S608
            if not found or found[0][0] is None:
                return False
            new = rows(str(found[0][0]))
            with_more_memory(client, most_memory, lambda: _replace(client, target, keys, new), table)
        except DatabaseUndefinedRelation:
            return False
    return True


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
