"""Which destinations are taken, warned about and refused, by what dlt says of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source import ConfigurationError, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.warehouse.destinations import check_destination, exact_file_format
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, posts, refusal


def to(destination: str, tmp_path: Path) -> Pipeline:
    return dlt.pipeline("any", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["duckdb", "motherduck", "postgres", "redshift", "snowflake", "mssql"])
def test_taken(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_destination(to(name, tmp_path))
    assert not caplog.records


@pytest.mark.parametrize("name", ["bigquery", "databricks", "clickhouse", "athena", "synapse", "dremio", "fabric"])
def test_taken_with_a_warning(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_destination(to(name, tmp_path))
    assert f"destination '{name}' replaces an interval's rows in two steps" in caplog.text


@pytest.mark.parametrize("name", ["filesystem", "lancedb", "qdrant", "weaviate"])
def test_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"destination '{name}' cannot replace rows"):
        check_destination(to(name, tmp_path))


@WAYS
@pytest.mark.parametrize(("name", "length"), [("d" * 64, 64), ("Ab" * 22, 65), ("日" * 22, 66)], ids=str)
def test_a_dataset_name_that_destinations_would_write_otherwise_is_refused_before_a_run(
    emulator: Emulator, tmp_path: Path, name: str, length: int, way: str
) -> None:
    pipeline = dlt.pipeline("any", destination="duckdb", dataset_name=name, pipelines_dir=str(tmp_path))
    error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert isinstance(error, ConfigurationError)
    assert f"dataset_name {name!r} has {length} bytes as dlt writes it" in str(error)
    assert not posts(emulator)
    longest = to("duckdb", tmp_path)
    longest.dataset_name = "d" * 63
    check_destination(longest)


@WAYS
@pytest.mark.first(1)
@pytest.mark.parametrize("name", ["stripe.duckdb", "Stripe.duckdb", "Stripe.reports.db", "stripe"])
def test_a_duckdb_file_that_is_named_as_its_dataset_is_refused_before_a_run(
    emulator: Emulator, tmp_path: Path, name: str, way: str
) -> None:
    """DuckDB would take the one for the other in each statement."""
    file = tmp_path / name
    destination = dlt.destinations.duckdb(str(file))
    pipeline = dlt.pipeline("any", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))
    error = refusal(pipeline, source_of(emulator, ["payouts.itemized"]), way)
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(f"database {str(file)!r} must not be named after the dataset 'stripe'")
    assert not posts(emulator)


def test_the_file_format_that_keeps_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert exact_file_format(to("duckdb", tmp_path)) is None
    assert exact_file_format(to("postgres", tmp_path)) == "parquet"
    monkeypatch.setattr("stripe_reports_source.warehouse.destinations.version", lambda name: "1.11.0")
    assert exact_file_format(to("postgres", tmp_path)) == "insert_values"
    assert "Install adbc-driver-postgresql>=1.12" in caplog.text

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("stripe_reports_source.warehouse.destinations.version", missing)
    assert exact_file_format(to("postgres", tmp_path)) == "parquet"


class Derived(dlt.destinations.duckdb):
    """Stands for any destination that this package has no jobs of its own for."""


@pytest.mark.long
@pytest.mark.parametrize("layout", [None, "scratch"])
def test_each_pipeline_has_a_staging_dataset_of_its_own(
    start_emulator: Callable[..., Emulator], tmp_path: Path, layout: str | None
) -> None:
    accounts = {"rk_live_one": "one", "rk_live_two": "two"}
    emulator = start_emulator(live_keys=tuple(accounts), accounts=accounts)
    settings: dict[str, Any] = {"staging_dataset_name_layout": layout} if layout else {}
    destination = Derived(str(tmp_path / "derived.duckdb"), **settings)
    for key, name in accounts.items():
        pipeline = dlt.pipeline(name, destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], account=name, api_key=key))
        assert pipeline.destination is destination
    found = query(pipeline, "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'derived' AND NOT internal")
    staging = {layout} if layout else {"stripe_staging_one", "stripe_staging_two"}
    assert {schema for (schema,) in found} - {"main"} == {"stripe", *staging}
    loaded = query(
        pipeline, "SELECT _account, count(DISTINCT _interval_key) FROM payouts_itemized GROUP BY 1 ORDER BY 1"
    )
    assert loaded == [("one", 3), ("two", 3)]


def die_after_the_copy(pipeline: Pipeline, source: Any) -> None:
    real = DuckDbCopyJob.run

    def run(job: DuckDbCopyJob) -> None:
        real(job)
        if job.load_table_name == "payouts_itemized":
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(DuckDbCopyJob, "run", run)  # noqa: B010  # a forked process, which ends here
    pipeline.run(source)


def test_a_killed_plain_run_doubles_nothing_with_jobs_of_dlts(emulator: Emulator, tmp_path: Path) -> None:
    def make() -> Pipeline:
        destination = Derived(str(tmp_path / "derived.duckdb"))
        return dlt.pipeline("derived", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))

    make().run(source_of(emulator, ["payouts.itemized"]))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    killed = multiprocessing.get_context("fork").Process(
        target=die_after_the_copy, args=(make(), source_of(emulator, ["payouts.itemized"]))
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    with pytest.raises(PipelineStepFailed, match="was ended while it loaded"):
        make().run(source_of(emulator, ["payouts.itemized"]))
    make().run(source_of(emulator, ["payouts.itemized"]))
    assert_true(emulator, make(), ["payouts.itemized"], end=emulator.service.available_end)
