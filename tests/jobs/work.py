"""Cells as jobs in processes of their own, which may be killed. Imported before a process is forked.

In: settings of a source, JSON values. Out: JSON values; or nothing where the process was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

import dlt
from dlt import Pipeline
from dlt.extract import DltSource

import stripe_reports_source.reconcile.checks
import stripe_reports_source.sync.before_turn
import stripe_reports_source.sync.given
import stripe_reports_source.sync.planning
import stripe_reports_source.sync.single
import stripe_reports_source.sync.verdicts
import stripe_reports_source.warehouse.duckdb_cells
import tests.faults.worker  # noqa: F401  # imports what a sync imports late
from stripe_reports_source import (
    FetchedFile,
    PlannedCell,
    fetch_cell,
    load_cells,
    load_reports,
    plan_cells,
    stripe_reports,
)
from stripe_reports_source.emulator import Emulator

PACKAGE = os.path.dirname(stripe_reports_source.__file__)
PROCESSES = get_context("forkserver")
"""Forks from a process without threads, which has this module already."""
PROCESSES.set_forkserver_preload([__name__, "pytest"])


def settings_of(emulator: Emulator, reports: Sequence[str], **settings: Any) -> dict[str, Any]:
    """The settings of a source of some reports of an emulator's."""
    return {
        "reports": reports,
        "api_key": emulator.settings.live_keys[0],
        "api_base_url": emulator.api_url,
        "files_base_url": emulator.files_url,
        **settings,
    }


@dataclass(frozen=True)
class Job:
    """What a process is told: the settings of its source, its place on this machine, and what to do.

    Args:
        settings: of `stripe_reports`.
        folder: where its pipelines, files and answer are.
        machine: which working folder of dlt's.
        database: the DuckDB file.
        do: `plan`, `fetch`, `load`, or `sync` for `load_reports`.
        given: a cell for `fetch`, files for `load`, as JSON.
        answer: name of the file for what comes out.
        kill_at: at which call of a function of the package the process is killed; 0 counts them.
        name: of the pipeline.
        address: of a PostgreSQL database instead of the DuckDB file.
        dataset: where in it the tables are.
    """

    settings: dict[str, Any]
    folder: Path
    database: Path
    do: str
    given: Any = None
    answer: str = "answer.json"
    machine: str = "one"
    kill_at: int | None = None
    name: str = "jobs"
    address: str = ""
    dataset: str = "stripe"

    @property
    def files(self) -> Path:
        """Where fetched files go."""
        return self.folder / "files"

    @property
    def source(self) -> DltSource:
        """The source of every job."""
        return stripe_reports(**self.settings)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that is planned for and loaded."""
        destination: Any = dlt.destinations.duckdb(str(self.database))
        if self.address:
            destination = dlt.destinations.postgres(self.address)
        folder = str(self.folder / self.machine)
        return dlt.pipeline(self.name, destination=destination, dataset_name=self.dataset, pipelines_dir=folder)


def work(job: Job) -> None:
    """Do a job. What comes out of it is in its answer; for a count of calls, that."""
    os.environ.update(DLT_DATA_DIR=str(job.folder / "dlt"), RUNTIME__DLTHUB_TELEMETRY="false")
    os.chdir(job.folder)
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls += 1
            if calls == job.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if job.kill_at is not None:
        sys.setprofile(count)
    found = _done(job)
    sys.setprofile(None)
    (job.folder / job.answer).write_text(json.dumps(calls if job.kill_at == 0 else found))


def _done(job: Job) -> Any:
    if job.do == "plan":
        return [cell.as_json() for cell in plan_cells(job.pipeline, job.source)]
    if job.do == "fetch":
        return fetch_cell(job.source, PlannedCell.from_json(job.given), job.files).as_json()
    if job.do == "sync":
        loaded = load_reports(job.pipeline, job.source)
    else:
        loaded = load_cells(job.pipeline, job.source, [FetchedFile.from_json(file) for file in job.given])
    return {"cells": loaded.cells, "rows": loaded.rows}


def run(jobs: Sequence[Job], at_once: int = 4) -> list[int | None]:
    """Do jobs in processes, so many at once. Returns their exit codes."""
    codes: list[int | None] = []
    for first in range(0, len(jobs), at_once):
        processes = [PROCESSES.Process(target=work, args=(job,)) for job in jobs[first : first + at_once]]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        codes += [process.exitcode for process in processes]
    return codes


def answers(jobs: Iterable[Job]) -> list[Any]:
    """What came out of jobs."""
    return [json.loads((job.folder / job.answer).read_text()) for job in jobs]
