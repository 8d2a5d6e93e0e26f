"""Open tables of a dataset on dlt's `filesystem`: read with SQL, and changed a row at a time, as any database.

In: dlt's client of such a dataset. Out: a client whose queries see the newest version of each Delta or Iceberg table,
whether dlt's schema here knows of it or not, without an extension that DuckDB would have to download; and whose UPDATE
and DELETE are commits of the table. dlt's own reads through those extensions, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Protocol

import pyarrow as pa
import sqlglot
from dlt.common.destination.dataset import DBApiCursor
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from dlt.destinations.impl.filesystem.sql_client import FilesystemSqlClient
from sqlglot import exp

from ..plan.texts import text_literal

_TYPES = {
    pa.types.is_boolean: "BOOLEAN",
    pa.types.is_int64: "BIGINT",
    pa.types.is_date: "DATE",
    pa.types.is_floating: "DOUBLE",
}


class LakeTable(Protocol):
    """The newest version of a table."""

    def schema(self) -> pa.Schema:
        """Its columns."""

    def files(self) -> list[str]:
        """Its Parquet files.

        Raises:
            DatabaseTerminalException: they do not hold its rows alone.
        """

    def change(self, statement: Any) -> None:
        """Commit an UPDATE or DELETE, as sqlglot has parsed it."""


def lake_table(client: FilesystemClient, name: str) -> LakeTable | None:
    """The newest version of a table of either form; None if there is none, or its form's package is missing."""
    if find_spec("deltalake") is not None:
        from .delta_tables import DeltaLakeTable, delta_table  # an extra

        delta = delta_table(client, name)
        if delta is not None:
            return DeltaLakeTable(delta)
    if find_spec("pyiceberg") is not None:
        from .iceberg_tables import IcebergLakeTable, iceberg_table  # an extra

        iceberg = iceberg_table(client, name)
        if iceberg is not None:
            return IcebergLakeTable(iceberg, lambda: iceberg_table(client, name))
    return None


class LakeSqlClient(FilesystemSqlClient):
    """See the module."""

    def open_connection(self) -> Any:
        connection = DuckDbSqlClient.open_connection(self)
        if not self.remote_client.is_local_filesystem:
            self._register_filesystem(self.remote_client.fs_client, self.remote_client.config.protocol)
        return connection

    def should_replace_view(self, view_name: str, table_schema: Any) -> bool:
        return True  # each query sees what is there now

    def create_views_for_tables(self, tables: dict[str, str]) -> None:
        own = {name for name in tables if not self.remote_client.is_dlt_table(name)}
        try:
            super().create_views_for_tables({name: view for name, view in tables.items() if name not in own})
        except DestinationUndefinedEntity as error:
            raise DatabaseUndefinedRelation(error) from error
        for name in own:
            view, table = self.make_qualified_table_name(name), lake_table(self.remote_client, name)
            if table is None:
                self._conn.execute(f"DROP VIEW IF EXISTS {view}")
            else:
                self._conn.execute(f"CREATE OR REPLACE VIEW {view} AS {self._rows(table)}")

    def _rows(self, table: LakeTable) -> str:
        """A query of a table's rows. Columns that came later than all files, and tables without a row, have no file."""
        columns = ", ".join(
            f"CAST(NULL AS {_duckdb_type(field.type)}) AS {self.escape_column_name(field.name)}"
            for field in table.schema()
        )
        files = ", ".join(map(self.capabilities.escape_literal, table.files()))
        typed = f"SELECT {columns} WHERE false"
        return f"{typed} UNION ALL BY NAME FROM read_parquet([{files}], union_by_name = true)" if files else typed

    @contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[DBApiCursor]:
        begins = str(query).lstrip()[:6].upper()
        if begins in ("UPDATE", "DELETE"):
            self._change(str(query), args)
            query, args = "SELECT 1 WHERE false", ()
        with super().execute_query(query, *args, **kwargs) as cursor:
            yield cursor

    def _change(self, query: str, values: tuple[Any, ...]) -> None:
        first, *rest = query.split("%s")
        written = first + "".join(_literal(value) + part for value, part in zip(values, rest, strict=True))
        statement = sqlglot.parse_one(written, read="duckdb")
        named = statement.find(exp.Table)
        name = "" if named is None else named.name
        table = lake_table(self.remote_client, name)
        if table is None:
            raise DatabaseUndefinedRelation(ValueError(f"there is no table {name}"))
        table.change(statement)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"CAST('{value.isoformat(sep=' ', timespec='microseconds')}' AS TIMESTAMPTZ)"
    if isinstance(value, (bool, int)):
        return str(value)
    return text_literal(str(value))


def _duckdb_type(type_: pa.DataType) -> str:
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    if pa.types.is_timestamp(type_):
        return "TIMESTAMP" if type_.tz is None else "TIMESTAMPTZ"
    return next((name for is_one, name in _TYPES.items() if is_one(type_)), "VARCHAR")
