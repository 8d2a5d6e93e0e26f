"""The SQL of the pages on the demonstration's database: what it gives, as the table that stands below it.

In: blocks and an open database. Out: markdown tables; `fill` writes them into the pages.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import duckdb

from stripe_reports_source.demo import DATASET, pipeline_name
from stripe_reports_source.marts import create_views

from .pages import Block, blocks


def make_views(database: Path) -> None:
    """Make the marts of a demonstration's database views, as a reader does."""
    with TemporaryDirectory() as folder:
        destination = dlt.destinations.duckdb(str(database))
        create_views(dlt.pipeline(pipeline_name(database), folder, destination=destination, dataset_name=DATASET))


def open_demo(database: Path) -> duckdb.DuckDBPyConnection:
    """The database, read-only and in UTC."""
    connection = duckdb.connect(str(database), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def result_of(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What a query gives, as a markdown table."""
    done = connection.execute(sql)
    names = [name for name, *_ in done.description or ()]
    rows = done.fetchall()
    right = [bool(rows) and all(isinstance(row[index], int | Decimal) for row in rows) for index in range(len(names))]
    lines = [names, ["---:" if number else "---" for number in right], *([shown(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(value: Any) -> str:
    """A value as the pages print it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        places = max(2, -int(value.normalize().as_tuple().exponent))
        return f"{value:,.{places}f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}{' UTC' if value.tzinfo else ''}"
    return value.isoformat() if isinstance(value, date) else str(value)


def fill(database: Path) -> None:
    """Put the results below each query that has a table there."""
    make_views(database)
    by_page: dict[Path, list[Block]] = {}
    for block in blocks("sql"):
        if block.run and block.table is not None:
            by_page.setdefault(block.page, []).append(block)
    with open_demo(database) as connection:
        for page, found in by_page.items():
            text = page.read_text(encoding="utf-8")
            for block in reversed(found):
                start, end = block.table_at
                text = text[:start] + result_of(connection, block.text) + text[end:]
            page.write_text(text, encoding="utf-8")
