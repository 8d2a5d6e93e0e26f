"""The rows of a mart: as dbt has built it, and as this package reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stripe_reports_source.marts.catalog import MARTS
from stripe_reports_source.marts.reading import read_mart

from .world import Books


def built_rows(books: Books, target: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a mart that dbt has built, in the order of its key."""
    mart = MARTS[name]
    columns = ", ".join(column.name for column in mart.columns)
    return in_order(books.rows(target, f"SELECT {columns} FROM {name}"))


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that does not depend on the database."""
    return sorted(rows, key=lambda row: [str(value) for value in row])


def read_rows(books: Books, target: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a mart as this package reads them."""
    return in_order([tuple(row) for row in read_mart(books.pipeline(target), name).rows])
