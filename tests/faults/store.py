"""The schedule's database, read and changed past dlt and past the loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

Run = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Store:
    """A dataset in a DuckDB file or in a PostgreSQL database; `database` is a path or an address."""

    database: str
    dataset: str

    @property
    def is_postgres(self) -> bool:
        """True for PostgreSQL."""
        return self.database.startswith("postgres")

    @property
    def is_there(self) -> bool:
        """False for a DuckDB file that is not made yet."""
        return self.is_postgres or Path(self.database).exists()

    @contextmanager
    def session(self, *, autocommit: bool = True) -> Iterator[Run]:
        """A connection: gives what runs a statement on it and returns its rows."""
        if not self.is_postgres:
            # one connection for all reads: DuckDB may stumble over a file that is closed and opened at the same moment
            with duckdb.connect(self.database) as warehouse:
                yield lambda sql: warehouse.execute(sql).fetchall()
            return
        import psycopg2  # only there for PostgreSQL

        connection = psycopg2.connect(self.database)
        connection.autocommit = autocommit

        def run(sql: str) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []

        try:
            yield run
        finally:
            connection.close()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """A statement on a connection of its own."""
        with self.session() as run:
            return run(sql)

    def table(self, name: str) -> str:
        """A table's name for a statement."""
        return f'"{self.dataset}"."{name}"'

    def columns(self, table: str) -> list[str]:
        """The columns of a table; none where there is no table. A file that is not there is not made."""
        if not self.is_there:
            return []
        return [
            str(row[0])
            for row in self.run(
                "SELECT column_name FROM information_schema.columns "
                f"WHERE table_schema = '{self.dataset}' AND table_name = '{table}' ORDER BY ordinal_position"
            )
        ]

    def rows(self, table: str, columns: list[str], where: str = "true") -> list[tuple[Any, ...]]:
        """Rows of a table; none where there is no table, or not all of the columns."""
        there = set(self.columns(table))
        if not there or not there.issuperset(columns):
            return []
        listed = ", ".join(f'"{column}"' for column in columns)
        return self.run(f"SELECT {listed} FROM {self.table(table)} WHERE {where}")
