"""A sync in a process of its own, which is killed where the schedule says. Imported before the process is forked."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt import Pipeline
from dlt.destinations._adbc_jobs import AdbcParquetCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.job_client_impl import SqlJobClientBase, SqlLoadJob
from dlt.destinations.sql_client import SqlClientBase

from stripe_reports_source import SyncFailed, load, load_reports, stripe_reports
from stripe_reports_source.errors import StripeReportsError, own_error
from stripe_reports_source.rows import cell_tables as tables
from stripe_reports_source.stripe_api.client import StripeClient
from stripe_reports_source.stripe_api.connection import Connection
from stripe_reports_source.stripe_api.runs import RunBook, RunRequest
from stripe_reports_source.sync import fetch, reports
from stripe_reports_source.sync.reports import ArrivedCell
from stripe_reports_source.warehouse.duckdb_cells import CellJob
from stripe_reports_source.warehouse.forks import History
from tests.faults.schedule import Kill, Schedule

CLEAN, NOT_ALL_LOADED, OWN_ERROR, OTHER_ERROR = 0, 3, 4, 5
PATIENCE = 60.0
COPY_JOBS = {"duckdb": CellJob, "postgres": AdbcParquetCopyJob}
SQL_CLIENTS: dict[str, Any] = {"duckdb": DuckDbSqlClient, "postgres": Psycopg2SqlClient}
MERGE_JOBS = {"duckdb": CellJob, "postgres": SqlLoadJob}
DATASET = "stripe"


@dataclass(frozen=True)
class Work:
    """What a worker process is told."""

    schedule: Schedule
    folder: Path
    database: str
    dataset: str
    machine: int
    api_key: str
    api_url: str
    files_url: str
    max_cells: int
    kill: Kill | None = None
    locks: bool = True
    hold_for: Path | None = None
    """Do not load what is extracted before this file is there."""
    watch: bool = False
    plants: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """Where everything the process prints goes."""
        return self.folder / "worker.log"

    @property
    def sightings(self) -> Path:
        """What the reader that looks all the time has seen, a JSON line each."""
        return self.folder / "sightings.jsonl"


def make_pipeline(work: Work) -> Pipeline:
    """The pipeline of a work order; another machine has another working folder."""
    destination: Any = dlt.destinations.duckdb(work.database)
    if work.schedule.destination == "postgres":
        destination = dlt.destinations.postgres(work.database)
    return dlt.pipeline(
        "faults",
        destination=destination,
        dataset_name=work.dataset,
        pipelines_dir=str(work.folder / f"machine{work.machine}"),
    )


def run_worker(work: Work) -> None:
    """Run a sync; the exit code says how it ended."""
    log = os.open(work.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(work.folder)
    os.environ.update(DLT_DATA_DIR=str(work.folder / "dlt"), RUNTIME__DLTHUB_TELEMETRY="false")
    logging.basicConfig(level=logging.DEBUG, force=True)
    os._exit(_ending(work))


def _ending(work: Work) -> int:
    for plant in work.plants:
        PLANTS[plant]()
    if work.kill:
        _arm(work, work.kill)
    if not work.locks:
        _replace(load, "pipeline_lock", lambda pipeline: contextlib.nullcontext())
    if work.hold_for:
        _hold(work.hold_for)
    pipeline = make_pipeline(work)
    schedule = work.schedule
    source = stripe_reports(
        list(schedule.reports),
        interval=schedule.grid,
        timezone=schedule.zone,
        lookback_days=schedule.lookback_days,
        max_concurrent_runs=schedule.concurrency,
        run_timeout=0.3,
        retry_policy={"first_delay": 0.002, "longest_delay": 0.01},
        run_policy={"first_poll": 0.002, "longest_poll": 0.02, "retry_delay": 0.002},
        api_key=work.api_key,
        api_base_url=work.api_url,
        files_base_url=work.files_url,
    )
    try:
        with _watching(work) if work.watch else contextlib.nullcontext():
            load_reports(pipeline, source, max_cells=work.max_cells)
    except SyncFailed as failed:
        logging.info("not all loaded: %s", failed)
        return NOT_ALL_LOADED
    except StripeReportsError as error:
        logging.info("stopped: %s", error)
        return OWN_ERROR
    except Exception as error:
        logging.exception("dlt stopped")
        return OTHER_ERROR if own_error(error) is None else OWN_ERROR
    return CLEAN


def _replace(owner: Any, name: str, other: Any) -> None:
    setattr(owner, name, other)


def _arm(work: Work, kill: Kill) -> None:
    countdown = itertools.count(1)

    def strike() -> None:
        if next(countdown) == kill.count:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, name: str, *, before: bool = False) -> None:
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

    def half_a_cell(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for table in tables.cell_tables(*args, **kwargs):
            yield table
            strike()

    def half_a_merge() -> None:
        def execute(client: SqlClientBase[Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
            result = real(client, statement, *args, **kwargs)
            if statement.lstrip().startswith("DELETE"):
                strike()
            return result

        def one_by_one(client: SqlClientBase[Any], statements: Any, *args: Any, **kwargs: Any) -> Any:
            return [client.execute_sql(statement, *args, **kwargs) for statement in statements]

        client_class = SQL_CLIENTS[work.schedule.destination]
        real = client_class.execute_sql
        _replace(client_class, "execute_sql", execute)
        _replace(SqlClientBase, "execute_many", one_by_one)

    def at_any_time() -> None:
        threading.Timer(kill.after, os.kill, (os.getpid(), signal.SIGKILL)).start()

    arms: dict[str, Callable[[], None]] = {
        "before creating a run": lambda: around(StripeClient, "create_run", before=True),
        "after creating a run": lambda: around(StripeClient, "create_run"),
        "after a poll": lambda: around(StripeClient, "run"),
        "before a download": lambda: around(StripeClient, "download", before=True),
        "after a download": lambda: around(StripeClient, "download"),
        "after a look at the header": lambda: around(fetch, "read_header"),
        "half-way through a cell": lambda: setattr(reports, "cell_tables", half_a_cell),
        "after a cell": lambda: around(ArrivedCell, "loaded"),
        "package written": lambda: around(Pipeline, "extract"),
        "package normalised": lambda: around(Pipeline, "normalize"),
        "after rows are staged": lambda: around(COPY_JOBS[work.schedule.destination], "run"),
        "before a merge": lambda: around(MERGE_JOBS[work.schedule.destination], "run", before=True),
        "half-way through a merge": half_a_merge,
        "after a merge": lambda: around(MERGE_JOBS[work.schedule.destination], "run"),
        "before the state is committed": lambda: around(SqlJobClientBase, "complete_load", before=True),
        "after the state is committed": lambda: around(SqlJobClientBase, "complete_load"),
        "at any time": at_any_time,
    }
    arms[kill.point]()


def _hold(until: Path) -> None:
    real = Pipeline.extract

    @wraps(real)
    def extract_and_wait(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        until.with_suffix(".ready").touch()
        give_up = time.monotonic() + PATIENCE
        while not until.exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        return result

    _replace(Pipeline, "extract", extract_and_wait)


@contextlib.contextmanager
def _watching(work: Work) -> Iterator[None]:
    """A reader beside the load, in the same process, because DuckDB lets no other one in."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(work, stop), daemon=True)
    watcher.start()
    yield
    stop.set()
    watcher.join()


def _watch(work: Work, stop: threading.Event) -> None:
    seen: set[str] = set()
    with work.sightings.open("a") as out, _reader(work) as read:
        known: dict[str, set[str]] = {}
        while not stop.wait(0.02):
            for report in work.schedule.reports:
                table = report.replace(".", "_")
                try:
                    rows = read(
                        f"SELECT _interval_key, count(*), count(DISTINCT _report_run_id), min(_report_run_id) "
                        f'FROM "{work.dataset}"."{table}" GROUP BY 1'
                    )
                except Exception:  # the table is not there yet
                    continue
                keys = {row[0] for row in rows}
                gone = known.get(table, set()) - keys
                known[table] = keys | gone
                for line in map(json.dumps, [*map(list, rows), *([key, 0, 0, None] for key in gone)]):
                    if line not in seen:
                        seen.add(line)
                        out.write(line + "\n")
                        out.flush()


@contextlib.contextmanager
def _reader(work: Work) -> Iterator[Callable[[str], list[Any]]]:
    if work.schedule.destination == "duckdb":
        # one connection for all reads: DuckDB may stumble over a file that is closed and opened at the same moment
        with duckdb.connect(work.database) as warehouse:
            yield lambda sql: warehouse.execute(sql).fetchall()
        return
    import psycopg2  # only there for PostgreSQL

    connection = psycopg2.connect(work.database)
    connection.autocommit = True

    def read_postgres(sql: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    yield read_postgres
    connection.close()


def _drop_tombstone() -> None:
    real = tables._tombstone
    tables._tombstone = lambda schema, constants: real(schema, constants).slice(0, 0)


def _random_key() -> None:
    _replace(RunRequest, "idempotency_key", lambda self, attempt: f"random-{random.random()}")


def _no_adoption() -> None:
    _replace(RunBook, "matching", lambda self, request: [])


def _early_cursor() -> None:
    real = ArrivedCell.loaded

    def loaded_all(self: Any) -> None:
        real(self)
        lane, states = self._active.lane, self._report.states
        states.put(lane.key, replace(states.get(lane.key), cursor=lane.cells[-1].cell.span.end))

    _replace(ArrivedCell, "loaded", loaded_all)


def _no_transaction() -> None:
    _replace(SqlLoadJob, "maybe_transaction", lambda self, sql: contextlib.nullcontext())
    _replace(DuckDbSqlClient, "begin_transaction", lambda self: contextlib.nullcontext())


def _no_history() -> None:
    _replace(History, "forks", property(lambda self: frozenset()))
    _replace(History, "replaced_since", lambda self, *args: None)


def _resume_begun() -> None:
    _replace(load, "abort_begun_packages", lambda pipeline, source_name: None)


def _leaky_log() -> None:
    real = Connection._session

    def told(self: Any) -> Any:
        logging.info("asking with %s", self._api_key)
        return real(self)

    _replace(Connection, "_session", told)


PLANTS: dict[str, Callable[[], None]] = {
    "no tombstone": _drop_tombstone,
    "random idempotency key": _random_key,
    "no adoption": _no_adoption,
    "early cursor": _early_cursor,
    "no transaction": _no_transaction,
    "crossed syncs unseen": _no_history,
    "begun packages resumed": _resume_begun,
    "key in the log": _leaky_log,
}
"""Faults of the loader itself, planted to see whether the harness finds them."""
