"""A table that cannot be read at the moment: nothing is said of it, and nothing is concluded from that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dlt
import psycopg2
import pytest
from click.testing import CliRunner, Result
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.passing import raise_passing
from tests.pipeline.test_cli import environment

Run = Callable[..., Result]
DATASET = f"locked_{os.getpid()}"
SECOND = "options=-c%20lock_timeout%3D1s"
"""How long to wait for a lock, as a company may set it for a role."""


@pytest.fixture
def run(emulator: Emulator, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in environment(emulator, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{postgres}?{SECOND}")
    place = ("--destination", "postgres", "--dataset", DATASET)
    return lambda command, *arguments: CliRunner().invoke(cli, [command, *arguments, *place], catch_exceptions=False)


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("table", "command"),
    [
        ("balance_summary", ("status",)),
        ("report_runs", ("status",)),
        ("report_cells", ("status",)),
        ("report_runs", ("sync", "balance.summary")),
        ("report_cells", ("sync", "balance.summary")),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_a_locked_table_is_exit_code_75(run: Run, postgres: str, table: str, command: tuple[str, ...]) -> None:
    assert run("sync", "balance.summary").exit_code == 0
    other = psycopg2.connect(postgres)
    with other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {DATASET}.{table} IN ACCESS EXCLUSIVE MODE")
        ended = run(*command)
    other.close()
    assert (ended.exit_code, "lock timeout; try again later" in ended.stderr) == (75, True)
    assert command != ("status",) or "balance_summary" not in ended.stdout
    assert run(*command).exit_code == 0


def passes(client: SqlClientBase[Any], sql: str) -> bool:
    """Whether what a query fails with counts as an error that passes."""
    with pytest.raises(DatabaseException) as failed:
        client.execute_sql(sql)
    with suppress(DatabaseException):
        raise_passing(failed.value)
        return False
    return True


@contextmanager
def table(destination: Any, tmp_path: Path) -> Iterator[SqlClientBase[Any]]:
    """A client of a dataset with the table `things`, which has a column `id`."""
    name = f"passing_{os.getpid()}"
    pipeline = dlt.pipeline(name, destination=destination, dataset_name=name, pipelines_dir=str(tmp_path))
    pipeline.run([{"id": 1}], table_name="things")
    with pipeline.sql_client() as client:
        yield client


def test_what_passes_in_duckdb(tmp_path: Path) -> None:
    with table(dlt.destinations.duckdb(str(tmp_path / "w.duckdb")), tmp_path) as client:
        assert not passes(client, "SELECT id, other FROM things")
        assert not passes(client, "SELECT substr(id, 1, 2) FROM things")
        assert not passes(client, "SELECT CAST('a' AS integer) FROM things")
        client.execute_sql("SET memory_limit = '5MB'")
        client.execute_sql("SET temp_directory = ''")
        assert passes(client, "SELECT count(DISTINCT hash(range)) FROM range(10_000_000)")


def test_what_passes_in_postgres(postgres: str, tmp_path: Path) -> None:
    with table(dlt.destinations.postgres(f"{postgres}?{SECOND}"), tmp_path) as client:
        name = client.make_qualified_table_name("things")
        assert not passes(client, f"SELECT id, other FROM {name}")
        assert not passes(client, f"SELECT no_such_function(id) FROM {name}")
        assert not passes(client, f"SELECT CAST('a' AS integer) FROM {name}")
        client.execute_sql("CREATE ROLE nobody_here")
        client.execute_sql("SET ROLE nobody_here")
        assert passes(client, f"SELECT id FROM {name}")
        client.execute_sql("RESET ROLE")
        client.execute_sql("DROP ROLE nobody_here")
        [(number,)] = client.execute_sql("SELECT pg_backend_pid()") or ()
        with psycopg2.connect(postgres) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", (number,))
        assert passes(client, f"SELECT id FROM {name}")
