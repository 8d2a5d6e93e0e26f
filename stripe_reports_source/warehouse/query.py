"""Reading the tables of a pipeline's dataset, in any SQL destination.

In: a pipeline and a query. Out: rows; None where there is no such table, which a first sync has not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase


class Reader:
    """An open connection to a pipeline's dataset."""

    def __init__(self, client: SqlClientBase[Any]) -> None:
        self.client = client
        self._tables = _Quoted(client.make_qualified_table_name)
        self._columns = _Quoted(client.escape_column_name)

    def select(self, query: str, *values: Any) -> list[tuple[Any, ...]] | None:
        """See `select`."""
        try:
            rows = self.client.execute_sql(query.format(table=self._tables, column=self._columns), *values)
        except DatabaseUndefinedRelation:
            return None
        return [tuple(row) for row in rows or ()]


@contextmanager
def reading(pipeline: Pipeline) -> Iterator[Reader]:
    """One connection for several queries."""
    with pipeline.sql_client() as client:
        yield Reader(client)


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


class _Quoted:
    """Names as attributes, quoted."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self._quote = quote

    def __getattr__(self, name: str) -> str:
        return self._quote(name)
