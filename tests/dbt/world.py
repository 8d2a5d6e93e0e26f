"""A small business in a DuckDB file and in PostgreSQL, and the dbt project of someone who has its books.

In: a folder, the address of a server. Out: loaded datasets, the project, what its commands have come to.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dlt
import duckdb
import psycopg2
from dlt import Pipeline

from stripe_reports_source import load_reports, reconcile
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from tests.conftest import source_of
from tests.marts.truth import Truth
from tests.reconcile.worlds import SIX, Account, World

from .names import SCHEMA
from .project import Project

FIRST_END = datetime(2025, 5, 6, 12, tzinfo=timezone.utc)
NEXT_END = datetime(2025, 6, 9, 12, tzinfo=timezone.utc)
TARGETS = ("duckdb", "postgres")
ZONE = "Europe/Berlin"
ACCOUNT = "eu"
SCALE = 0.25


@dataclass(frozen=True)
class Books:
    """See the module. `emulator` is the business; both datasets are loaded from it."""

    emulator: Emulator
    folder: Path
    postgres: str

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        return self.folder / "books.duckdb"

    @property
    def pipelines(self) -> list[Pipeline]:
        """One for each database."""
        return [self.pipeline("duckdb"), self.pipeline("postgres")]

    def pipeline(self, target: str) -> Pipeline:
        """The pipeline of a database."""
        of: dict[str, Any] = {
            "duckdb": dlt.destinations.duckdb(str(self.file)),
            "postgres": dlt.destinations.postgres(self.postgres),
        }
        return dlt.pipeline(
            f"books_{target}",
            destination=of[target],
            dataset_name="stripe",
            pipelines_dir=str(self.folder / "pipelines"),
        )

    def sync(self) -> None:
        """Load what the business has into both."""
        for pipeline in self.pipelines:
            source = source_of(self.emulator, list(SIX), account=ACCOUNT, timezone=ZONE, max_concurrent_runs=8)
            load_reports(pipeline, source, max_cells=2000, reconcile="warn")

    def project(self) -> Project:
        """A dbt project with a target for each database, an empty one, and two that nothing is sent to."""
        address = urlsplit(self.postgres)
        return Project(
            self.folder / "project",
            {
                "duckdb": {"type": "duckdb", "path": str(self.file), "schema": SCHEMA, "threads": 2},
                "postgres": {
                    "type": "postgres",
                    "host": unquote(address.hostname or ""),
                    "port": address.port,
                    "user": address.username,
                    "password": address.password,
                    "dbname": address.path.lstrip("/"),
                    "schema": SCHEMA,
                    "threads": 2,
                },
                "empty": {"type": "duckdb", "path": str(self.folder / "empty.duckdb"), "schema": SCHEMA, "threads": 2},
                "snowflake": {
                    "type": "snowflake",
                    "account": "none",
                    "user": "none",
                    "password": "none",
                    "database": "books",
                    "warehouse": "none",
                    "schema": SCHEMA,
                    "threads": 1,
                },
                "bigquery": {
                    "type": "bigquery",
                    "method": "oauth-secrets",
                    "token": "none",
                    "project": "books",
                    "schema": SCHEMA,
                    "threads": 1,
                },
            },
        )

    def rows(self, target: str, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the database of a target, among dbt's models; instants in UTC."""
        with self._connected(target) as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def change(self, target: str, *statements: str) -> None:
        """Change what is loaded."""
        with self._connected(target) as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextmanager
    def _connected(self, target: str) -> Iterator[Any]:
        if target == "duckdb":
            with duckdb.connect(str(self.file)) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(f"SET search_path = '{SCHEMA},stripe'")
                yield connection
            return
        address = urlsplit(self.postgres)
        server = psycopg2.connect(
            host=unquote(address.hostname or ""), user=address.username, dbname=address.path.lstrip("/")
        )
        try:
            with server, server.cursor() as cursor:
                cursor.execute("SET TIME ZONE 'UTC'")
                cursor.execute(f"SET search_path = {SCHEMA}, stripe, public")
                yield cursor
        finally:
            server.close()

    def reconcile(self, target: str) -> None:
        """Look whether the reports agree, and keep what is found."""
        reconcile(self.pipeline(target))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is changed in the DuckDB file within is undone at its end."""
        kept = self.file.with_suffix(".kept")
        shutil.copy(self.file, kept)
        try:
            yield
        finally:
            shutil.move(kept, self.file)


@contextmanager
def opened(folder: Path, postgres: str) -> Iterator[Books]:
    """A business with failed and retried payouts, reserves, four currencies; loaded up to its first end."""
    settings = EmulatorSettings(
        seed=0, scale=SCALE, business_start=date(2025, 1, 1), available_end=FIRST_END, pending_polls=0
    )
    with Emulator(settings) as emulator:
        yield Books(emulator, folder, postgres)


def truth() -> Truth:
    """What the business's own ledger says of it, up to its first end."""
    account = Account(ACCOUNT, SIX, {"timezone": ZONE})
    return Truth.of(World("dbt", (account,), end=FIRST_END, scale=SCALE), 0)
