"""Two tables of one form, compared as multisets of rows. Names columns and counts rows; gives out no value.

In: a DuckDB connection with the tables `file` and `stored`. Out: how many rows each has that the other lacks, and in
which columns they differ. Only a hash of each row is kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from ..plan.column_types import ColumnType

_TYPES = {
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class Differences:
    """Rows of the file, those that are not stored, those that are stored only, and the columns that differ."""

    rows: int
    missing: int
    extra: int
    columns: tuple[str, ...]


def duckdb_type(type_: ColumnType) -> str:
    """DuckDB's name of a column type."""
    return f"DECIMAL({type_.precision},{type_.scale})" if type_.kind == "decimal" else _TYPES[type_.kind]


def compare(connection: DuckDBPyConnection, types: Mapping[str, ColumnType], key: Sequence[str]) -> Differences:
    """Compare the tables `file` and `stored`.

    Args:
        connection: which has both, with these columns.
        types: the columns.
        key: columns that tell rows apart, where some are known: they say which rows are the same one, changed.
    """
    [(rows,)] = connection.execute("SELECT count(*) FROM file").fetchall()
    text = _row_text(types)
    connection.execute(
        f"CREATE TABLE hashes AS SELECT h, sum(n) AS n FROM (SELECT md5({text}) AS h, 1 AS n FROM file "  # noqa: S608
        f"UNION ALL SELECT md5({text}), -1 FROM stored) GROUP BY h HAVING sum(n) <> 0"
    )
    query = "SELECT coalesce(sum(n) FILTER (n > 0), 0), coalesce(-sum(n) FILTER (n < 0), 0) FROM hashes"
    [(missing, extra)] = connection.execute(query).fetchall()
    columns: set[str] = set()
    if missing and extra:
        for table, sign in (("file", 1), ("stored", -1)):
            # of equal rows as many as the other table lacks
            connection.execute(
                f"CREATE TABLE odd_{table} AS SELECT t.* FROM (SELECT *, md5({text}) AS h, "  # noqa: S608
                f"row_number() OVER (PARTITION BY md5({text})) AS copy FROM {table}) t "
                f"JOIN hashes USING (h) WHERE copy <= {sign} * n"
            )
        columns = _differing(connection, list(types), key)
    return Differences(int(rows), int(missing), int(extra), tuple(name for name in types if name in columns))


def _row_text(types: Iterable[str]) -> str:
    """SQL for a row as text, so that no two rows share one: each value with its length, NULL apart from all."""
    parts = [
        f'CASE WHEN "{name}" IS NULL THEN \'-\' ELSE concat(length("{name}"::VARCHAR), \':\', "{name}"::VARCHAR) END'
        for name in types
    ]
    return f"concat({', '.join(parts)})"


def _differing(connection: DuckDBPyConnection, names: Sequence[str], key: Sequence[str]) -> set[str]:
    """The columns in which rows differ that are the same one: by their key, the others in the order of their values."""
    found: set[str] = set()
    order = ", ".join(f'"{name}"' for name in names)
    for by in dict.fromkeys((tuple(key), ())):
        partition = ", ".join(f'"{name}"' for name in by)
        for table in ("file", "stored"):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE n_{table} AS SELECT *, row_number() OVER ("  # noqa: S608
                f"{f'PARTITION BY {partition} ' if by else ''}ORDER BY {order}) AS place FROM odd_{table}"
            )
        same = " AND ".join([*(f'f."{name}" IS NOT DISTINCT FROM s."{name}"' for name in by), "f.place = s.place"])
        counts = ", ".join(f'count(*) FILTER (f."{name}" IS DISTINCT FROM s."{name}")' for name in names)
        [told] = connection.execute(f"SELECT {counts} FROM n_file f JOIN n_stored s ON {same}").fetchall()  # noqa: S608
        found |= {name for name, count in zip(names, told, strict=True) if count}
        for kept, tables in (("f", "n_file f ANTI JOIN n_stored s"), ("s", "n_stored s ANTI JOIN n_file f")):
            connection.execute(
                f"CREATE OR REPLACE TABLE odd_{'file' if kept == 'f' else 'stored'} AS "  # noqa: S608
                f"SELECT {kept}.* EXCLUDE place FROM {tables} ON {same}"
            )
    return found
