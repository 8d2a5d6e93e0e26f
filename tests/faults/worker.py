"""A sync in a process of its own, which is ended where the schedule says. Imported before the process is forked."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import dlt
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import SyncFailed, fetch_cell, load_cells, load_reports, plan_cells, stripe_reports
from stripe_reports_source.errors import CellError, ConfigurationError, StripeReportsError, find_cause, own_error
from stripe_reports_source.plan.cells import LoadedCell
from stripe_reports_source.sync import loading
from stripe_reports_source.warehouse.stored import note_lost
from tests.faults.arms import arm, hold
from tests.faults.plants import PLANTS, plant
from tests.faults.schedule import WHOLE, Kill, Schedule
from tests.faults.store import Store
from tests.faults.trouble import Form
from tests.faults.watch import watching

CLEAN, NOT_ALL_LOADED, OWN_ERROR, OTHER_ERROR, REFUSED, PENDING_ALONE, STOPPED = 0, 3, 4, 5, 6, 7, 130
"""PENDING_ALONE: a plain run has loaded what an earlier one had left, and no more, as dlt's own `run` does. That may be
older than what another machine has loaded since; the next run sees it."""
KILLED = (-signal.SIGKILL, -signal.SIGTERM, STOPPED)
BEFOREHAND = (
    "dlt._workspace.cli",
    "dlt.common.configuration.plugins",
    "dlt.common.libs.pyarrow",
    "dlt.destinations.impl.duckdb.duck",
    "dlt.sources.helpers.requests",
    "numpy.random",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.pandas_compat",
    "pytz",
    "stripe_reports_source.sync.resources",
)
"""What a sync imports late, and a process that is forked has already. Nothing that starts threads."""
for _module in BEFOREHAND:
    importlib.import_module(_module)


@dataclass(frozen=True)
class Work:
    """What a worker process is told.

    Args:
        pipeline, label, reports: whose sync it is.
        machine: which working folder.
        window: first and last day of a backfill, instead of a sync.
        refresh: dlt's mode of loading anew.
        hold_for: do not load what is extracted before this file is there.
        watch: look at the tables all the time.
        said: the file for the error's text.
        job: `plan`, `fetch` or `load`: a part of a sync by cells as jobs.
        given: a cell to fetch, files to load, as JSON.
        answer: the file for what comes out of a job.
    """

    schedule: Schedule
    folder: Path
    store: Store
    api_key: str = field(repr=False)
    api_url: str
    files_url: str
    pipeline: str = ""
    label: str = ""
    reports: tuple[str, ...] = ()
    machine: int = 0
    max_cells: int = WHOLE
    form: Form | None = None
    window: tuple[str, str] | None = None
    refresh: bool = False
    kill: Kill | None = None
    locks: bool = True
    hold_for: Path | None = None
    watch: bool = False
    said: str = "said"
    job: Literal["plan", "fetch", "load"] | None = None
    given: Any = None
    answer: str = ""
    plants: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """Where everything the process prints goes."""
        return self.folder / "worker.log"

    @property
    def sightings(self) -> Path:
        """What the reader that looks all the time has seen, a JSON line each."""
        return self.folder / "sightings.jsonl"

    @property
    def losses(self) -> Path:
        """What the loader has found lost and has mended, a line each."""
        return self.folder / "losses.txt"

    @property
    def fetched(self) -> Path:
        """Where workers put result files."""
        return self.folder / "fetched"

    @property
    def temporary(self) -> Path:
        """The temporary folder of all processes."""
        return self.folder / "tmp"


def make_pipeline(work: Work) -> Pipeline:
    """The pipeline of a work order; another machine has another working folder."""
    destination: Any = dlt.destinations.duckdb(work.store.database)
    if work.store.is_postgres:
        destination = dlt.destinations.postgres(work.store.database)
    pipeline = dlt.pipeline(
        work.pipeline,
        destination=destination,
        dataset_name=work.store.dataset,
        pipelines_dir=str(work.folder / f"machine{work.machine}"),
    )
    pipeline.refresh = "drop_resources" if work.refresh else None
    return pipeline


def run_worker(work: Work) -> None:
    """Run a sync; the exit code says how it ended."""
    log = os.open(work.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.umask(0o022)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line has it end: like Ctrl-C
    os.chdir(work.folder)
    os.environ.update(
        DLT_DATA_DIR=str(work.folder / "dlt"), TMPDIR=str(work.temporary), RUNTIME__DLTHUB_TELEMETRY="false"
    )
    logging.basicConfig(level=logging.DEBUG, force=True, format="%(asctime)s %(process)d %(name)s %(message)s")
    os._exit(_ending(work))


def hold_database(path: str, ready: Any, seconds: float) -> None:
    """Have a DuckDB file open for some time."""
    import time

    import duckdb

    os.umask(0o077)
    with duckdb.connect(path):
        ready.set()
        time.sleep(seconds)


def _write_down_losses(losses: Path) -> None:
    """Write down each cell of which the loader finds other rows stored than loaded, before it sees to its mending."""

    @wraps(note_lost)
    def noted(pipeline: Pipeline, source_name: str, lost: Sequence[tuple[LoadedCell, str]]) -> None:
        with losses.open("a") as out:
            out.writelines(f"{pipeline.pipeline_name}, {cell.request.key}: {why}\n" for cell, why in lost)
        note_lost(pipeline, source_name, lost)

    plant(loading, "note_lost", noted)


def _ending(work: Work) -> int:
    _write_down_losses(work.losses)
    for name in work.plants:
        PLANTS[name]()
    if work.kill:
        arm(work.schedule.destination, work.kill)
    if not work.locks:
        plant(loading, "pipeline_lock", lambda *args: contextlib.nullcontext())
    if work.hold_for:
        hold(work.hold_for)
    try:
        with watching(work.store, work.reports, work.sightings) if work.watch else contextlib.nullcontext():
            return _sync(work)
    except BaseException as error:
        said = own_error(error) or error
        (work.folder / work.said).write_text(f"{type(said).__name__}: {said}", "utf-8")
        logging.info("ended: %s", said, exc_info=own_error(error) is None)
        return _code(error)


def _sync(work: Work) -> int:
    source = _source(work)
    if work.job:
        (work.folder / work.answer).write_text(json.dumps(_job(work, source)), "utf-8")
        return CLEAN
    pipeline = make_pipeline(work)
    if not work.schedule.plain:
        load_reports(pipeline, source, max_cells=work.max_cells)
        return CLEAN
    pending = pipeline.has_pending_data
    pipeline.run(source)
    return PENDING_ALONE if pending else CLEAN


def _job(work: Work, source: DltSource) -> list[Any] | dict[str, Any]:
    """What comes out of a job."""
    if work.job == "fetch":
        return fetch_cell(source, work.given, work.fetched).as_json()
    pipeline = make_pipeline(work)
    if work.job == "plan":
        return [cell.as_json() for cell in plan_cells(pipeline, source)]
    load_cells(pipeline, source, work.given)
    return []


def _code(error: BaseException) -> int:
    if find_cause(error, KeyboardInterrupt) is not None:
        return STOPPED
    if find_cause(error, ConfigurationError) is not None:
        return REFUSED
    if find_cause(error, SyncFailed) is not None or find_cause(error, CellError) is not None:
        return NOT_ALL_LOADED
    return OTHER_ERROR if find_cause(error, StripeReportsError) is None else OWN_ERROR


def _source(work: Work) -> DltSource:
    schedule = work.schedule
    start, end = work.window or (None, None)
    source = stripe_reports(
        list(work.reports),
        start_date=start,
        end_date=end,
        account=work.label,
        interval=schedule.grid,
        timezone=schedule.zone,
        lookback_days=schedule.lookback_days,
        connected_accounts=schedule.connected or None,
        max_concurrent_runs=schedule.concurrency,
        run_timeout=0.3,
        retry_policy={"first_delay": 0.002, "longest_delay": 0.01},
        run_policy={"first_poll": 0.002, "longest_poll": 0.02, "retry_delay": 0.002},
        api_key=work.api_key,
        api_base_url=work.api_url,
        files_base_url=work.files_url,
    )
    for report in work.reports if work.form else ():
        resource = source.resources[report.replace(".", "_")]
        if work.form == "same tables":
            resource.add_map(lambda table: table)
        elif work.form == "dictionaries":
            resource.add_yield_map(lambda table: iter(table.to_pylist()))
        else:
            resource.apply_hints(file_format=work.form)
    return source
