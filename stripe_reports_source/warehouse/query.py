"""Reading the tables of a pipeline's dataset, in any SQL destination.

In: a pipeline and a query. Out: rows; None where there is no such table, which a first sync has not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from ..plan.resolve import DAY_LENGTH
from .destinations import destination_type, duckdb_file

if TYPE_CHECKING:
    from .duckdb_memory import Memory


class Reader:
    """An open connection to a pipeline's dataset.

    Args:
        client: dlt's.
        limit: of DuckDB's memory, which grows where a query needs that; None leaves it alone.
    """

    def __init__(self, client: SqlClientBase[Any], limit: Memory | None = None) -> None:
        self.client = client
        self._limit = limit
        self._tables = _Quoted(client.make_qualified_table_name)
        self._columns = _Quoted(client.escape_column_name)
        self._has_zones = bool(client.capabilities.supports_tz_aware_datetime)
        self._is_utc = client.capabilities.sqlglot_dialect == "duckdb"  # dlt sets the zone of its connections

    def select(self, query: str, *values: Any) -> list[tuple[Any, ...]] | None:
        """See `select`."""
        try:
            return self.execute(query.format(table=self._tables, column=self._columns), *values)
        except DatabaseUndefinedRelation:
            return None

    def columns(self, table: str) -> frozenset[str]:
        """The names of a table's columns as the database has them, in lower case; none where it is not there."""
        sql = f"SELECT * FROM {self.client.make_qualified_table_name(table)} WHERE 1 = 0"  # noqa: S608
        try:
            with self.client.execute_query(sql) as cursor:
                return frozenset(name.lower() for name in cursor.columns_schema or ())
        except DatabaseUndefinedRelation:
            return frozenset()

    def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query in the destination's own words."""

        def attempt() -> list[tuple[Any, ...]]:
            rows = self.client.execute_sql(sql, *values) or ()
            return [tuple(row) if self._is_utc else _in_utc(row, has_zones=self._has_zones) for row in rows]

        if self._limit is None:
            return attempt()
        from .duckdb_memory import with_more_memory  # DuckDB, which importing us does not need

        return with_more_memory(self.client, self._limit, attempt, "a query")


@contextmanager
def reading(pipeline: Pipeline) -> Iterator[Reader]:
    """One connection for several queries."""
    with sql_client(pipeline) as client:
        _select_database(client)
        yield Reader(client)


@contextmanager
def reading_frugally(pipeline: Pipeline) -> Iterator[Reader]:
    """As `reading`, for queries over many rows: a DuckDB file is read with little memory, which is this process's."""
    with sql_client(pipeline) as client:
        if duckdb_file(pipeline) is None:
            _select_database(client)
            yield Reader(client)
            return
        from .duckdb_memory import frugal  # DuckDB, which importing us does not need

        with frugal(client, pipeline) as limit:
            yield Reader(client, limit)


def _select_database(client: SqlClientBase[Any]) -> None:
    """MySQL and MariaDB take no common table expression before a database is selected, whichever."""
    if client.capabilities.sqlglot_dialect == "mysql" and client.execute_sql("SELECT DATABASE()") == [(None,)]:
        with suppress(DatabaseUndefinedRelation):
            client.execute_sql(f"USE {client.escape_column_name(client.dataset_name)}")


def sql_client(pipeline: Pipeline) -> SqlClientBase[Any]:
    """dlt's client of the pipeline's dataset; for Delta and Iceberg tables one of our own, see `lake_tables`."""
    if destination_type(pipeline) != "filesystem":
        quicker = getattr(pipeline.destination, "another_client", None)  # which our own jobs have
        made: SqlClientBase[Any] = quicker(pipeline) if quicker else pipeline.sql_client()
        return made
    from .lake_tables import LakeSqlClient  # sqlglot and DuckDB, which importing us does not need

    client: Any = pipeline.destination_client()
    return LakeSqlClient(client, client.dataset_name)


def select(pipeline: Pipeline | None, query: str, *values: Any) -> list[tuple[Any, ...]] | None:
    """Rows of a query on the pipeline's dataset.

    Args:
        pipeline: whose dataset; None has no rows.
        query: SQL that every dialect takes, with `{table.report_runs}` and `{column.rows}` where a table or a column is
            named: they are quoted as the destination does.
        values: for the placeholders `%s` of the query.

    Returns:
        The rows, or None if one of the tables, the dataset or the pipeline is not there.
    """
    if pipeline is None:
        return None
    with reading(pipeline) as reader:
        return reader.select(query, *values)


def placeholders(values: Sized) -> str:
    """As many places for values as there are of these."""
    return ", ".join(["%s"] * len(values))


def prefix_sql(key: str) -> str:
    """`plan.resolve.prefix_of` as SQL, of what stands for an interval key in a query."""
    return f"CASE WHEN LENGTH({key}) > {DAY_LENGTH} THEN SUBSTR({key}, 1, LENGTH({key}) - {DAY_LENGTH}) ELSE '' END"


def _in_utc(row: Iterable[Any], *, has_zones: bool) -> tuple[Any, ...]:
    """A row with its instants in UTC, which a server gives in the zone of the session.

    Where a database has times without a zone alone, those that are read through us are instants.
    """
    return tuple(
        value.astimezone(timezone.utc)
        if isinstance(value, datetime) and value.tzinfo is not None
        else value.replace(tzinfo=timezone.utc)
        if isinstance(value, datetime) and not has_zones
        else value
        for value in row
    )


class _Quoted:
    """Names as attributes, quoted."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self._quote = quote

    def __getattr__(self, name: str) -> str:
        return self._quote(name)
