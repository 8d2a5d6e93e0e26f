"""Iceberg tables without a catalog and with one: what a commit is, and who finds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, load_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, posts, refusal

pytest.importorskip("pyiceberg")
ICEBERG = pytest.mark.parametrize("destination", ["iceberg"], indirect=True)
PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"


def opened(pipeline: Pipeline, name: str = TABLE) -> Any:
    from stripe_reports_source.warehouse.iceberg_tables import iceberg_table

    client: Any = pipeline.destination_client()
    return iceberg_table(client, name)


def commit(table: Any, keys: Sequence[str]) -> None:
    """Rows without a file that gives way to them."""
    from stripe_reports_source.warehouse import iceberg_tables

    rows = pa.table({"_interval_key": pa.array(keys, pa.string())})
    iceberg_tables.commit(table, [], [rows.to_batches()], rows.schema)


@ICEBERG
def test_of_two_commits_at_a_time_one_is_told_and_none_is_lost(emulator: Emulator, pipeline: Pipeline) -> None:
    from stripe_reports_source.warehouse.iceberg_tables import Conflict

    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    before = query(pipeline, f"SELECT count(*) FROM {TABLE}")[0][0]
    first, second = opened(pipeline), opened(pipeline)
    commit(first, ["a"])
    with pytest.raises(Conflict):
        commit(second, ["b"])
    assert query(pipeline, f"SELECT count(*), count(*) FILTER (_interval_key = 'a') FROM {TABLE}") == [(before + 1, 1)]
    commit(opened(pipeline), ["b"])
    assert query(pipeline, f"SELECT count(*) FROM {TABLE}") == [(before + 2,)]


@ICEBERG
def test_a_commit_counts_whatever_became_of_the_hint(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    folder = tmp_path / "lake" / "stripe" / TABLE / "metadata"
    hints = [None, b"", b"\xff", b"1", b"100000001", b"10000000"]
    for hint in hints:
        file = folder / "version-hint.text"
        newest = max(folder.glob("v*.metadata.json"))
        assert newest.name == f"v{file.read_text()}.metadata.json"
        file.unlink()
        if hint is not None:
            file.write_bytes(hint)
        assert opened(pipeline).metadata_location.removeprefix("file://") == str(newest)
        commit(opened(pipeline), ["more"])
    assert query(pipeline, f"SELECT count(*) FROM {TABLE} WHERE _interval_key = 'more'") == [(len(hints),)]


@ICEBERG
def test_old_metadata_goes_and_a_reader_of_dlts_finds_the_newest(pipeline: Pipeline, tmp_path: Path) -> None:
    from dlt.common.libs.pyiceberg import get_last_metadata_file

    from stripe_reports_source.warehouse.iceberg_tables import KEPT_VERSIONS, new_iceberg_table

    client: Any = pipeline.destination_client()
    table = new_iceberg_table(client, TABLE, pa.schema([("_interval_key", pa.string())]), {})
    for number in range(KEPT_VERSIONS + 2):
        commit(table, [str(number)] if number < 3 else [])
    folder = tmp_path / "lake" / "stripe" / TABLE / "metadata"
    assert len(list(folder.glob("*.metadata.json"))) == KEPT_VERSIONS
    last = get_last_metadata_file(str(folder), client.fs_client, client.config)
    assert last == table.metadata_location == opened(pipeline).metadata_location
    assert opened(pipeline).scan().to_arrow().num_rows == 3


@ICEBERG
def test_a_catalog_that_dlt_is_set_up_with_has_the_tables(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.catalog import load_catalog

    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": str(tmp_path / "lake")}
    monkeypatch.setenv("ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG", json.dumps(catalog))
    for days in (0, 1):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        load_reports(pipeline, source_of(emulator, [PAYOUTS]))
        assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)
    table = load_catalog("default", **catalog).load_table(f"stripe.{TABLE}")
    assert [(table.scan().to_arrow().num_rows,)] == query(pipeline, f"SELECT count(*) FROM {TABLE}")
    assert not list(tmp_path.glob("lake/**/version-hint.text"))


@WAYS
def test_a_place_where_commits_cannot_be_told_apart_is_refused_before_a_run(
    emulator: Emulator, tmp_path: Path, way: str
) -> None:
    memory = dlt.destinations.filesystem("memory://lake")
    pipeline = dlt.pipeline("other", destination=memory, dataset_name="stripe", pipelines_dir=str(tmp_path))
    error = refusal(pipeline, source_of(emulator, [PAYOUTS], table_format="iceberg"), way)
    assert isinstance(error, ConfigurationError)
    assert "Iceberg tables on 'memory' need a catalog" in str(error)
    assert not posts(emulator)


@ICEBERG
def test_files_of_others_deletes_are_not_passed_over(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyiceberg cannot write such files: a scan says here what it would of a table that Spark has deleted rows of."""
    from pyiceberg.table import DataScan

    pipeline = make_pipeline()
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    real = DataScan.plan_files

    def plan_files(scan: Any) -> Any:
        tasks = list(real(scan))
        for task in tasks:
            task.delete_files.add(task.file)
        return tasks

    monkeypatch.setattr(DataScan, "plan_files", plan_files)
    with pytest.raises(Exception, match="has delete files, which are not read here"):
        query(pipeline, f"SELECT count(*) FROM {TABLE}")
