"""What a killed process leaves in the working folder does not block the next sync."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import dlt
from dlt import Pipeline
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.leftovers import abort_begun_packages
from tests.conftest import source_of
from tests.pipeline.truth import assert_true


def test_remains_of_a_normalised_package(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    """dlt was killed while it deleted the extracted form of a package that it had normalised."""
    pipeline.extract(source_of(emulator, ["payouts.itemized"]))
    [load_id] = pipeline.list_extracted_load_packages()
    extracted = Path(pipeline.working_dir) / "normalize" / "extracted" / load_id
    shutil.copytree(extracted, tmp_path / "kept")
    pipeline.normalize()
    shutil.copytree(tmp_path / "kept", extracted)
    (extracted / "schema.json").unlink()
    runs = len(emulator.runs)
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.settings.available_end)
    assert len(emulator.runs) == runs
    assert not extracted.exists()


def test_abandoned_extractions_do_not_fill_the_disk(emulator: Emulator, pipeline: Pipeline) -> None:
    normalize = Path(pipeline.working_dir) / "normalize"
    for name, age in (("abandoned", 90_000), ("at_work", 100)):
        (normalize / name).mkdir(parents=True)
        there = (normalize / name).stat().st_mtime - age
        os.utime(normalize / name, (there, there))
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert not (normalize / "abandoned").exists()
    assert (normalize / "at_work").exists()


def load_until_killed(pipeline: Pipeline) -> None:
    """Load, and die after the database has taken a job's rows and before dlt has noted it."""
    real = DuckDbCopyJob.run

    def run(job: DuckDbCopyJob) -> None:
        real(job)
        if job.file_name().startswith("payouts_itemized"):
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(DuckDbCopyJob, "run", run)  # noqa: B010  # a forked process, which ends here
    pipeline.load()


def half_loaded(emulator: Emulator, pipeline: Pipeline) -> str:
    """Leave a package in the pipeline whose loading was killed; returns its load id."""
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))  # so that the dataset is there
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    usual = pipeline.destination
    pipeline.extract(source_of(emulator, ["payouts.itemized"]))
    pipeline.normalize()
    pipeline.destination = usual  # load it as whoever finds the package later would: in dlt's way
    killed = multiprocessing.get_context("fork").Process(target=load_until_killed, args=(pipeline,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    [load_id] = pipeline.list_normalized_load_packages()
    assert pipeline.get_load_package_info(load_id).jobs["started_jobs"]
    return load_id


def test_a_package_that_was_half_loaded_is_not_doubled(emulator: Emulator, pipeline: Pipeline) -> None:
    half_loaded(emulator, pipeline)
    runs = len(emulator.runs)
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.service.available_end)
    assert len(emulator.runs) == runs


def test_packages_of_other_sources_are_left_alone(emulator: Emulator, pipeline: Pipeline) -> None:
    load_id = half_loaded(emulator, pipeline)
    pipeline.extract([{"of": "another source"}], table_name="other", schema=dlt.Schema("another"))
    extracted = pipeline.list_extracted_load_packages()
    abort_begun_packages(pipeline, "stripe_reports")
    assert pipeline.list_normalized_load_packages() == [load_id]
    assert pipeline.list_extracted_load_packages() == extracted != []
