"""Where a syncing process is ended: what is called there is wrapped, in that process alone."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.common.destination.client import RunnableLoadJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

from stripe_reports_source.rows import cell_tables as tables
from stripe_reports_source.stripe_api.archive import Archive
from stripe_reports_source.stripe_api.client import StripeClient
from stripe_reports_source.sync import fetch, reports
from stripe_reports_source.sync.arrived_cell import ArrivedCell
from stripe_reports_source.warehouse import duckdb_cells, postgres_cells, postgres_rows
from tests.faults.schedule import Destination, Kill

PATIENCE = 60.0


def arm(destination: Destination, kill: Kill) -> None:
    """End this process where `kill` says."""
    number = signal.SIGTERM if kill.softly else signal.SIGKILL
    if kill.point == "at any time":
        threading.Timer(kill.after, os.kill, (os.getpid(), number)).start()
        return
    countdown = itertools.count(1)

    def strike() -> None:
        if next(countdown) == kill.count:
            os.kill(os.getpid(), number)

    if kill.point == "half-way through a cell":
        _half_a_cell(strike)
    elif kill.point == "half-way through a merge":
        _half_a_merge(destination, strike)
    else:
        owner, name = _called(destination)[kill.point]
        _around(owner, name, strike, before=kill.point.startswith("before"))


def _called(destination: Destination) -> dict[str, tuple[Any, str]]:
    """What is called at each point."""
    cells: Any = duckdb_cells.CellJob
    if destination == "postgres":
        cells = postgres_cells.CellJob
    return {
        "before creating a run": (StripeClient, "create_run"),
        "after creating a run": (StripeClient, "create_run"),
        "after a poll": (StripeClient, "run"),
        "before a download": (StripeClient, "download"),
        "after a download": (StripeClient, "download"),
        "after a look at the header": (fetch, "read_header"),
        "before a file is kept": (Archive, "keep"),
        "after a file is kept": (Archive, "keep"),
        "after a cell": (ArrivedCell, "loaded"),
        "package written": (Pipeline, "extract"),
        "package normalised": (Pipeline, "normalize"),
        "before a job": (RunnableLoadJob, "run_managed"),
        "after a job": (RunnableLoadJob, "run_managed"),
        "before cells are replaced": (cells, "run"),
        "after cells are replaced": (cells, "run"),
        "before the state is committed": (SqlJobClientBase, "complete_load"),
        "after the state is committed": (SqlJobClientBase, "complete_load"),
    }


def _around(owner: Any, name: str, strike: Callable[[], None], *, before: bool) -> None:
    real = getattr(owner, name)

    @wraps(real)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            strike()
        result = real(*args, **kwargs)
        if not before:
            strike()
        return result

    setattr(owner, name, wrapped)


def _half_a_cell(strike: Callable[[], None]) -> None:
    real = tables.cell_tables

    def half(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for table in real(*args, **kwargs):
            yield table
            strike()

    setattr(reports, "cell_tables", half)  # noqa: B010  # not typed so


def _half_a_merge(destination: Destination, strike: Callable[[], None]) -> None:
    client_class: Any = DuckDbSqlClient
    if destination == "postgres":
        client_class = Psycopg2SqlClient
        real_rows = postgres_rows.rows_to_insert

        def rows(*args: Any) -> Iterator[Any]:
            strike()  # what they replace is deleted
            yield from real_rows(*args)

        setattr(postgres_cells, "rows_to_insert", rows)  # noqa: B010
    real = client_class.execute_sql

    def execute(client: SqlClientBase[Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
        result = real(client, statement, *args, **kwargs)
        if isinstance(statement, str) and statement.lstrip().startswith("DELETE"):
            strike()
        return result

    def one_by_one(client: SqlClientBase[Any], statements: Any, *args: Any, **kwargs: Any) -> Any:
        return [client.execute_sql(statement, *args, **kwargs) for statement in statements]

    setattr(client_class, "execute_sql", execute)  # noqa: B010
    setattr(SqlClientBase, "execute_many", one_by_one)  # noqa: B010


def hold(until: Path) -> None:
    """Do not load what is extracted before a file is there."""
    real = Pipeline.extract

    @wraps(real)
    def extract_and_wait(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        until.with_suffix(".ready").touch()
        give_up = time.monotonic() + PATIENCE
        while not until.exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        return result

    setattr(Pipeline, "extract", extract_and_wait)  # noqa: B010
