"""Delta tables of a dataset on dlt's `filesystem`, through delta-rs.

In: dlt's client of such a dataset, a table's name. Out: its newest version; what `lake_tables` reads and changes.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from dlt.common.libs.deltalake import deltalake_storage_options
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from sqlglot import exp


def storage_options(client: FilesystemClient) -> dict[str, str]:
    """What delta-rs needs to reach the dataset's bucket, as dlt is set up."""
    return deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)


def delta_table(client: FilesystemClient, name: str) -> DeltaTable | None:
    """The newest version of a Delta table; None if there is none."""
    location, options = client.get_open_table_location("delta", name), storage_options(client)
    if not DeltaTable.is_deltatable(location, options):
        return None
    return DeltaTable(location, storage_options=options)


class DeltaLakeTable:
    """A table as `lake_tables.LakeTable` wants it."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table

    def schema(self) -> pa.Schema:
        return pa.schema(self._table.schema().to_arrow())

    def files(self) -> list[str]:
        if "deletionVectors" in (self._table.protocol().reader_features or ()):
            raise DatabaseTerminalException(
                ValueError(f"the Delta table {self._table.table_uri} has deletion vectors, which are not read here")
            )
        return list(self._table.file_uris())

    def change(self, statement: Any) -> None:
        where = statement.args["where"].this.sql(dialect="duckdb")
        if isinstance(statement, exp.Update):
            self._table.update(
                {part.this.name: part.expression.sql(dialect="duckdb") for part in statement.expressions},
                predicate=where,
            )
        else:
            self._table.delete(where)
