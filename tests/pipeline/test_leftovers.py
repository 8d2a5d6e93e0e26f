"""What a killed process leaves in the working folder does not block the next sync."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import LoadInterrupted, WorkingFolderError, own_error
from stripe_reports_source.sync.result_files import FOLDER
from stripe_reports_source.warehouse.checkup import working_folder
from stripe_reports_source.warehouse.duckdb_cells import CellDuckDb, CellJob
from stripe_reports_source.warehouse.leftovers import abort_begun_packages
from tests.conftest import BOTH, query, source_of
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


def test_result_files_of_a_killed_sync_go_although_nothing_is_to_be_fetched(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    left = Path(pipeline.working_dir) / FOLDER / "killed"
    left.mkdir(parents=True)
    (left / "report.csv").write_text("payout_id\npo_1\n")
    left.with_suffix(".lock").touch()
    assert load_reports(pipeline, source_of(emulator, ["payouts.itemized"])).cells == 0
    assert not [*left.parent.glob("*")]


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


def die_in_a_plain_run(pipeline: Pipeline, source: Any) -> None:
    real = CellJob.run

    def run(job: CellJob) -> None:
        real(job)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(CellJob, "run", run)  # noqa: B010  # a forked process, which ends here
    pipeline.run(source)


def killed_plain_run(emulator: Emulator, make_pipeline: Callable[..., Pipeline]) -> None:
    """A plain run that is killed after the database has taken a job's rows and before dlt has noted it."""
    make_pipeline().run(source_of(emulator, ["payouts.itemized"]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    source = source_of(emulator, ["payouts.itemized"])
    killed = multiprocessing.get_context("fork").Process(target=die_in_a_plain_run, args=(make_pipeline(), source))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL


def test_a_plain_run_gives_up_what_a_killed_one_had_begun(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline]
) -> None:
    killed_plain_run(emulator, make_pipeline)
    runs = len(emulator.runs)
    pipeline = make_pipeline()
    with pytest.raises(PipelineStepFailed, match="was ended while it loaded") as caught:
        pipeline.run(source_of(emulator, ["payouts.itemized"]))
    assert isinstance(own_error(caught.value), LoadInterrupted)
    make_pipeline().run(source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.service.available_end)
    assert len(emulator.runs) == runs


@pytest.mark.long
def test_a_load_mends_what_a_killed_plain_run_had_begun(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline]
) -> None:
    killed_plain_run(emulator, make_pipeline)
    load_reports(make_pipeline(), source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, make_pipeline(), ["payouts.itemized"], end=emulator.service.available_end)


def test_a_plain_run_that_is_given_its_destination_again(emulator: Emulator, tmp_path: Path) -> None:
    """dlt hands the destination on to its load step, which would undo what the extraction has set."""
    database = dlt.destinations.duckdb(str(tmp_path / "given.duckdb"))
    pipeline = dlt.pipeline("given", dataset_name="stripe", pipelines_dir=str(tmp_path / "given"))
    for _ in range(2):
        pipeline.run(source_of(emulator, ["payouts.itemized"]), destination=database)
        assert isinstance(pipeline.destination, CellDuckDb)
        assert query(pipeline, "SELECT count(*) FROM stripe_staging.payouts_itemized") == [(0,)]
        emulator.advance(emulator.service.available_end + timedelta(days=1))


Cut = Callable[[Path], object]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CUTS: dict[str, Cut] = {
    "a file of rows": lambda folder: half(next((folder / "load").rglob("payouts_itemized*.parquet"))),
    "a package's schema": lambda folder: half(next((folder / "load" / "normalized").glob("*/schema.json"))),
    "a package's state": lambda folder: half(next((folder / "load").rglob("load_package_state.json"))),
    "the schema": lambda folder: half(next((folder / "schemas").iterdir())),
    "the state": lambda folder: half(folder / "state.json"),
    "all of it": shutil.rmtree,
}


@pytest.mark.long
@pytest.mark.parametrize("what", CUTS)
def test_a_working_folder_that_is_cut_is_begun_anew(emulator: Emulator, pipeline: Pipeline, what: str) -> None:
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    pipeline.extract(source_of(emulator, ["payouts.itemized"]))
    pipeline.normalize()
    CUTS[what](Path(pipeline.working_dir))
    runs = len(emulator.runs)
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.service.available_end)
    assert len(emulator.runs) == runs


@pytest.mark.long
def test_a_cut_folder_of_several_sources_is_left_to_its_owner(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run([{"of": "another source"}], table_name="other", schema=dlt.Schema("another"))
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    folder = Path(pipeline.working_dir)
    half(next((folder / "schemas").glob("stripe_reports*")))
    requests = len(emulator.requests)
    with pytest.raises(
        WorkingFolderError, match=f"{folder} holds a file that is cut off .* delete the folder"
    ) as caught:
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert len(str(caught.value)) < 400
    assert len(emulator.requests) == requests
    shutil.rmtree(folder)  # as the error says
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, pipeline, ["payouts.itemized"], end=emulator.service.available_end)


def test_a_folder_that_cannot_be_written(emulator: Emulator, pipeline: Pipeline) -> None:
    folder = Path(pipeline.working_dir)
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("/proc/self/fdinfo")  # where no file can be made
    with pytest.raises(WorkingFolderError, match=f"dlt's working folder {folder} cannot be written") as caught:
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert len(str(caught.value)) < 300
    assert not list(emulator.requests)


@pytest.mark.parametrize("load", [load_reports, pytest.param(Pipeline.run, marks=pytest.mark.long)])
def test_a_folder_whose_name_dlt_cannot_write_to(load: Callable[..., Any], emulator: Emulator, tmp_path: Path) -> None:
    pipeline = dlt.pipeline("named", destination="duckdb", pipelines_dir=str(tmp_path / "100 %d"))
    with pytest.raises(Exception, match="has a % in its name") as caught:
        load(pipeline, source_of(emulator, ["payouts.itemized"]))
    assert isinstance(own_error(caught.value), WorkingFolderError)
    assert len(emulator.runs) == 0
    with pytest.raises(WorkingFolderError, match="100 %d/pipelines has a %"):
        working_folder(tmp_path / "100 %d" / "pipelines")


def test_packages_of_other_sources_are_left_alone(emulator: Emulator, pipeline: Pipeline) -> None:
    load_id = half_loaded(emulator, pipeline)
    pipeline.extract([{"of": "another source"}], table_name="other", schema=dlt.Schema("another"))
    extracted = pipeline.list_extracted_load_packages()
    abort_begun_packages(pipeline, "stripe_reports")
    assert pipeline.list_normalized_load_packages() == [load_id]
    assert pipeline.list_extracted_load_packages() == extracted != []


@pytest.mark.first(1)
@BOTH
def test_a_pending_package_whose_dataset_has_no_table_yet(emulator: Emulator, pipeline: Pipeline) -> None:
    # what is left where the connection broke when the tables of a first load were being made
    reports = ["balance.summary"]
    pipeline.extract(source_of(emulator, reports))
    pipeline.normalize()
    with pipeline.destination_client() as client:
        client.initialize_storage()
    load_reports(pipeline, source_of(emulator, reports))
    assert_true(emulator, pipeline, reports, end=emulator.service.available_end)
