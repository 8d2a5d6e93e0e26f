"""The rows of a mart: as dbt has built it, and as this package reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from stripe_reports_source.marts.catalog import MARTS
from stripe_reports_source.marts.reading import read_mart

from .names import SCHEMA
from .world import Books


def rows_in_file(file: Path, name: str) -> list[tuple[Any, ...]]:
    """The rows of a mart that dbt has built in a DuckDB file."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return in_order(connection.execute(f"SELECT {_columns(name)} FROM {SCHEMA}.{name}").fetchall())


def built_rows(books: Books, target: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a mart that dbt has built."""
    return in_order(books.rows(target, f"SELECT {_columns(name)} FROM {name}"))


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that does not depend on the database."""
    return sorted(rows, key=lambda row: [str(value) for value in row])


def read_rows(books: Books, target: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a mart as this package reads them."""
    return in_order([tuple(row) for row in read_mart(books.pipeline(target), name).rows])


def _columns(name: str) -> str:
    return ", ".join(column.name for column in MARTS[name].columns)
