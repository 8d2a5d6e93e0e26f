"""What tables and columns hold, as comments in DuckDB and PostgreSQL, which dlt does not write there.

In: a pipeline that has loaded. Out: comments in its tables, where they are not what the dlt schema says already.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from .destinations import destination_type

logger = logging.getLogger(__name__)

_EXISTING = {
    # of columns, and of tables, which have no name of a column
    "duckdb": "SELECT table_name, column_name, comment FROM duckdb_columns() "
    "WHERE schema_name = %s AND database_name = current_database() "
    "UNION ALL SELECT table_name, NULL, comment FROM duckdb_tables() "
    "WHERE schema_name = %s AND database_name = current_database()",
    "postgres": "SELECT t.relname, a.attname, d.description FROM pg_class t "
    "JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 "
    "LEFT JOIN pg_description d ON d.objoid = t.oid AND d.objsubid = a.attnum WHERE n.nspname = %s "
    "UNION ALL SELECT t.relname, NULL, obj_description(t.oid, 'pg_class') FROM pg_class t "
    "JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = %s AND t.relkind IN ('r', 'p')",
}
_Existing = Mapping[tuple[str, str | None], str | None]


def write_comments(pipeline: Pipeline, source_name: str, texts: Mapping[str, str]) -> int:
    """Write the descriptions of a source's tables and columns into the database.

    Args:
        pipeline: where the tables were loaded.
        source_name: the source, whose schema has the descriptions of columns.
        texts: of tables, by the names of their resources.

    Returns:
        How many comments were written; 0 where dlt writes them itself or the destination has none.
    """
    query = _EXISTING.get(destination_type(pipeline))
    if query is None or source_name not in pipeline.schemas:
        return 0
    try:
        with pipeline.sql_client(source_name) as client:
            rows = client.execute_sql(query, client.dataset_name, client.dataset_name) or ()
            existing = {(table, column): comment for table, column, comment in rows}
            statements = list(_statements(pipeline, source_name, texts, client, existing))
            if statements:
                if destination_type(pipeline) == "postgres":
                    # whoever holds a lock on a table is not waited for: the next sync writes what is missing
                    client.execute_sql("SET lock_timeout = '2s'")
                with client.begin_transaction():  # one by one, each would be written to disk by itself
                    client.execute_many(statements)
    except DatabaseException as error:
        # the rows are loaded; that a role may not comment is not a reason to fail
        logger.warning("comments could not be written: %s", error)
        return 0
    return len(statements)


def _statements(
    pipeline: Pipeline,
    source_name: str,
    texts: Mapping[str, str],
    client: SqlClientBase[object],
    existing: _Existing,
) -> Iterator[str]:
    for name, table in pipeline.schemas[source_name].tables.items():
        where = client.make_qualified_table_name(name)
        text = texts.get(table.get("resource") or name)
        if text and (name, None) in existing and existing[name, None] != text:
            yield f"COMMENT ON TABLE {where} IS {_quoted(text)}"
        for column, hints in table["columns"].items():
            text = hints.get("description")
            if text and (name, column) in existing and existing[name, column] != text:
                yield f"COMMENT ON COLUMN {where}.{client.escape_column_name(column)} IS {_quoted(text)}"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
