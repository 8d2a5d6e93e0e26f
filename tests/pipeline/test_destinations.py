"""Which destinations are taken, warned about and refused, by what dlt says of them."""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path

import dlt
import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError
from stripe_reports_source.warehouse.destinations import check_destination, exact_file_format


def to(destination: str, tmp_path: Path) -> Pipeline:
    return dlt.pipeline("any", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["duckdb", "motherduck", "postgres", "redshift", "snowflake", "mssql"])
def test_taken(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_destination(to(name, tmp_path))
    assert not caplog.records


@pytest.mark.parametrize("name", ["bigquery", "databricks", "clickhouse", "athena", "synapse", "dremio"])
def test_taken_with_a_warning(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_destination(to(name, tmp_path))
    assert f"destination '{name}' replaces an interval's rows in two steps" in caplog.text


@pytest.mark.parametrize("name", ["filesystem", "lancedb", "qdrant", "weaviate"])
def test_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"destination '{name}' cannot replace rows"):
        check_destination(to(name, tmp_path))


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
    assert exact_file_format(to("postgres", tmp_path)) == "insert_values"
