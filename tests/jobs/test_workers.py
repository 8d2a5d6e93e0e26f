"""Planning in one process, fetching in several that are killed and repeated, loading in one: one run for each cell."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import load_reports, stripe_reports
from stripe_reports_source.emulator import Emulator
from tests.archive.test_replay import lanes_of
from tests.jobs.equal import assert_equal_datasets
from tests.jobs.work import Job, answers, run, settings_of

REPORTS = ["balance.summary", "payouts.itemized"]
SIGKILL = -9


@pytest.fixture
def job(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that plans; the others are like it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the server that forks has to find this package
    return Job(
        settings_of(emulator, REPORTS, run_policy={"first_poll": 0.01}), tmp_path, tmp_path / "jobs.duckdb", "plan"
    )


def planned(job: Job) -> list[Any]:
    """The cells that a process plans."""
    assert run([job]) == [0]
    [cells] = answers([job])
    return list(cells)


def fetches(job: Job, cells: list[Any]) -> list[Job]:
    """A job for each cell, none of which shares a working folder with another."""
    return [
        replace(job, do="fetch", given=cell, answer=f"file{number}.json", machine=f"machine{number}")
        for number, cell in enumerate(cells)
    ]


def assert_as_load_reports(job: Job, pipeline: Pipeline) -> None:
    """What jobs have loaded is what `load_reports` loads, which finds every run at Stripe."""
    load_reports(pipeline, stripe_reports(**job.settings))
    assert_equal_datasets(pipeline, job.pipeline)
    assert lanes_of(pipeline) == lanes_of(job.pipeline)


@pytest.mark.long
def test_many_processes_and_a_run_for_each_cell(emulator: Emulator, pipeline: Pipeline, job: Job) -> None:
    """Each cell is fetched by two processes at once."""
    cells = planned(job)
    assert not job.database.exists()
    assert not emulator.runs
    fetching = fetches(job, cells)
    twice = [replace(each, answer=f"twice_{each.answer}") for each in fetching]
    both = [each for pair in zip(fetching, twice, strict=True) for each in pair]
    assert set(run(both)) == {0}
    assert len(emulator.runs) == len(cells) == 6
    files = answers(fetching)
    assert [file["run_id"] for file in files] == [file["run_id"] for file in answers(twice)]
    random.Random(1).shuffle(files)
    loading = replace(job, do="load", given=files, machine="loader")
    assert run([loading]) == [0]
    assert answers([loading])[0]["cells"] == len(cells)
    assert planned(job) == []
    assert_as_load_reports(job, pipeline)
    assert len(emulator.runs) == len(cells)


@pytest.mark.long
def test_two_loads_of_the_same_files_wait_for_one_another(emulator: Emulator, job: Job) -> None:
    fetching = fetches(job, planned(job))
    assert set(run(fetching)) == {0}
    loading = [
        replace(job, do="load", given=answers(fetching), machine=each, answer=f"{each}.json") for each in ("a", "b")
    ]
    assert run(loading) == [0, 0]
    assert sorted(found["cells"] for found in answers(loading)) == [0, len(fetching)]


@pytest.mark.first(1)
@pytest.mark.parametrize("seed", range(4))
def test_workers_that_are_killed_at_any_point(emulator: Emulator, pipeline: Pipeline, job: Job, seed: int) -> None:
    """Each worker is killed twice somewhere on its way, and begun again on another machine."""
    chance = random.Random(seed)
    cells = planned(job)
    [counting] = fetches(replace(job, kill_at=0), cells[:1])
    assert run([counting]) == [0]
    [calls] = answers([counting])
    assert calls > 300
    fetching = fetches(job, cells)
    killed: Counter[int | None] = Counter()
    for _ in range(2):
        killed.update(run([replace(each, kill_at=chance.randrange(calls)) for each in fetching]))
    assert killed[SIGKILL] > len(cells)
    assert set(run(fetching)) == {0}
    made = Counter((run.report_type, str(run.parameters)) for run in emulator.runs)
    assert set(made.values()) == {1}
    assert len(made) == len(cells)
    assert {file.suffix for file in (job.files / "files").iterdir()} <= {".csv", ".part"}
    loading = replace(job, do="load", given=answers(fetching), machine="loader")
    assert run([loading]) == [0]
    assert_as_load_reports(job, pipeline)
