"""Indexes on PostgreSQL, by which the rows of a cell, and what they are compared with, are found.

In: dlt's client of a dataset, and tables of cells. Out: each that has rows has the indexes that it lacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.destinations.impl.postgres.postgres import PostgresClient

from .dispositions import CELL_KEY

INDEXED = (CELL_KEY, "_interval_day", "balance_transaction_id", "automatic_payout_id", "payout_id")
"""Columns by which rows are looked for: to replace a cell, and to compare what was loaded with all that was before."""


def make_indexes(client: PostgresClient, tables: Sequence[str]) -> None:
    """Indexes on the `INDEXED` columns that have none, of tables that are there and are ours to be put in order.

    Without them a cell, and what is compared of its rows, is looked for in all rows. A table's first load makes
    none: building them from the rows that are there costs a fraction of keeping them up with each row. PostgreSQL
    goes by what it knows of the values whether it takes an index.

    Args:
        client: of the dataset.
        tables: of cells, that are loaded now.
    """
    for lacking, _ in _not_indexed(client, tables):
        # one by one: a table that is locked does not undo what was built for another
        with client.maybe_ddl_transaction():
            for name, columns in _not_indexed(client, [lacking]):
                table = client.sql_client.make_qualified_table_name(name)
                listed = list(map(client.sql_client.escape_column_name, columns))
                for column in listed:
                    client.sql_client.execute_sql(f"CREATE INDEX ON {table} ({column})")
                client.sql_client.execute_sql(f"ANALYZE {table} ({', '.join(listed)})")


def _not_indexed(client: PostgresClient, tables: Sequence[str]) -> Sequence[Sequence[Any]]:
    """Those of some tables that have `INDEXED` columns without an index, and these columns."""
    if not tables:
        return ()
    found = client.sql_client.execute_sql(
        "SELECT c.relname, array_agg(a.attname::text) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN %s AND NOT a.attisdropped "
        "WHERE n.nspname = %s AND c.relname IN %s AND c.relkind IN ('r', 'p') "
        "AND pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT 1 FROM pg_index i "
        "WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL) "
        "GROUP BY c.relname ORDER BY c.relname",
        INDEXED,
        client.sql_client.dataset_name,
        tuple(tables),
    )
    return found or ()
