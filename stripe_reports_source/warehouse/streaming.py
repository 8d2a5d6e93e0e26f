"""The stored rows of a cell, a few at a time, as Arrow.

In: a pipeline, a table, a cell and the columns that are wanted. Out: Arrow batches of exactly these types. DuckDB gives
Arrow itself; rows of other destinations come through Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from dlt import Pipeline

from .destinations import destination_type
from .query import sql_client

ROWS = 20_000


def batches_of_cell(pipeline: Pipeline, table: str, interval_key: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a cell.

    Args:
        pipeline: whose dataset.
        table, interval_key: the cell.
        schema: the columns to read, with their types.
    """
    with sql_client(pipeline) as client:
        listed = ", ".join(map(client.escape_column_name, schema.names))
        query = (
            f"SELECT {listed} FROM {client.make_qualified_table_name(table)} "  # noqa: S608
            f"WHERE {client.escape_column_name('_interval_key')} = %s"
        )
        with client.execute_query(query, interval_key) as cursor:
            if destination_type(pipeline) == "duckdb":
                for part in cursor.iter_arrow(ROWS):
                    yield part.rename_columns(schema.names).cast(schema)
                return
            while rows := cursor.fetchmany(ROWS):
                yield _table(rows, schema)


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
