"""Processes that call `load_reports` side by side on one dataset: one run and one replacement for each cell."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.sync.result_files import FOLDER
from tests.conftest import BOTH, query, until
from tests.jobs.work import PROCESSES, Job, answers, run, settings_of, work
from tests.pipeline.ledger import assert_ledger
from tests.pipeline.truth import assert_true

REPORTS = ["payouts.itemized"]
MONTHS = [("2025-01-01", "2025-02-01"), ("2025-02-01", "2025-03-01"), ("2025-03-01", "2025-03-10")]
RUNS = "/v1/reporting/report_runs$"


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A small business, from January to 9 March 2025."""
    return start_emulator(available_end=datetime(2025, 3, 10, tzinfo=timezone.utc))


@pytest.fixture
def job(
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    destination: str,
    request: pytest.FixtureRequest,
) -> Iterator[Job]:
    """A load; the others are like it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the server that forks has to find this package
    settings = settings_of(emulator, REPORTS, run_policy={"first_poll": 0.01, "longest_poll": 0.1})
    job = Job(settings, tmp_path, tmp_path / "jobs.duckdb", "sync")
    if destination == "postgres":
        address, dataset = request.getfixturevalue("postgres"), f"stripe_{uuid.uuid4().hex[:12]}"
        job = replace(job, address=address, dataset=dataset)
    yield job
    if job.address:
        with job.pipeline.sql_client() as client:
            client.execute_sql(f'DROP SCHEMA IF EXISTS "{job.dataset}" CASCADE')


def backfills(job: Job, how: str) -> list[Job]:
    """A backfill of each month: in one working folder, in several, or each by a pipeline of its own."""
    jobs = []
    for number, (first, last) in enumerate(MONTHS):
        settings = {**job.settings, "start_date": first, "end_date": last}
        machine = "one" if how == "one folder" else f"machine{number}"
        name = f"month{number}" if how == "other pipelines" else job.name
        jobs.append(replace(job, settings=settings, machine=machine, name=name, answer=f"{number}.json"))
    if how == "one folder":
        assert jobs[0].pipeline  # which makes it: where two processes do at once, dlt fails in one of them
    return jobs


def each_way(*ways: str) -> pytest.MarkDecorator:
    """`how`, in both destinations; all but the first takes long."""
    every = [pytest.param(destination, how) for destination in ("duckdb", "postgres") for how in ways]
    long = [pytest.param(*each.values, marks=pytest.mark.long) for each in every[1:]]
    return pytest.mark.parametrize(("destination", "how"), [every[0], *long], indirect=["destination"])


def assert_loaded_once(emulator: Emulator, job: Job, jobs: list[Job]) -> None:
    """Each month has a run, which one load has loaded, once."""
    assert len(emulator.runs) == len(MONTHS)
    assert sum(found["cells"] for found in answers(jobs)) == len(MONTHS)
    assert query(job.pipeline, "SELECT count(*), count(DISTINCT run_id) FROM report_runs") == [(3, 3)]
    assert_true(emulator, job.pipeline, REPORTS, end=emulator.settings.available_end)
    assert_ledger(job.pipeline, REPORTS)


@each_way("machines", "one folder", "other pipelines")
def test_each_process_loads_a_month(emulator: Emulator, job: Job, how: str) -> None:
    jobs = backfills(job, how)
    assert run(jobs) == [0, 0, 0]
    assert_loaded_once(emulator, jobs[0], jobs)
    assert [found["cells"] for found in answers(jobs)] == [1, 1, 1]


@each_way("syncs", "backfills", "other pipelines")
def test_all_processes_want_the_same_months(emulator: Emulator, job: Job, how: str) -> None:
    """Nothing is loaded before all of them are at work: each has planned all months."""
    emulator.add_fault(Fault("run_stuck", method="POST", path=RUNS, times=None))
    if how != "syncs":
        job = replace(job, settings={**job.settings, "start_date": MONTHS[0][0], "end_date": MONTHS[-1][1]})
    jobs = [replace(job, machine=f"machine{number}", answer=f"{number}.json") for number in range(3)]
    if how == "other pipelines":
        jobs = [replace(each, name=f"jobs{number}") for number, each in enumerate(jobs)]
    with at_work(jobs) as processes:
        until(lambda: all_run(emulator, jobs))
        emulator.clear_faults()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert_loaded_once(emulator, jobs[0], jobs)


@pytest.mark.long
@BOTH
def test_a_process_that_is_killed_while_it_waits(emulator: Emulator, job: Job, tmp_path: Path) -> None:
    """One holds the lock and waits for Stripe, the other waits for both. Both die; a third finds their runs."""
    emulator.add_fault(Fault("run_stuck", method="POST", path=RUNS, skip=1, times=None))
    jobs = [replace(job, machine=f"machine{number}", answer=f"{number}.json") for number in range(2)]
    with at_work(jobs) as processes:
        until(lambda: all_run(emulator, jobs))
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
    emulator.clear_faults()
    third = replace(jobs[0], answer="third.json")
    assert run([third, replace(jobs[1], answer="fourth.json")]) == [0, 0]
    assert len(emulator.runs) == len(MONTHS)
    assert_true(emulator, job.pipeline, REPORTS, end=emulator.settings.available_end)
    assert not [*tmp_path.glob(f"machine*/*/{FOLDER}/*")]


def all_run(emulator: Emulator, jobs: list[Job]) -> bool:
    """Whether there is a run of each month, and each process has looked which runs there are."""
    paths = [request.path.partition("?")[0] for request in emulator.requests if request.method == "GET"]
    looks = sum(path.endswith("/report_runs") for path in paths)
    return looks >= len(jobs) and len(emulator.runs) == len(MONTHS)


@contextmanager
def at_work(jobs: list[Job]) -> Iterator[list[Any]]:
    """Processes that do jobs, until they have ended."""
    processes = [PROCESSES.Process(target=work, args=(job,)) for job in jobs]
    for process in processes:
        process.start()
    try:
        yield processes
        for process in processes:
            process.join(120)
    finally:
        for process in processes:
            process.kill()
