"""DuckLake through dlt's own destination: the truth, and no snapshot with a cell half. Needs DuckDB's extension."""

from __future__ import annotations

import platform
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import source_of
from tests.pipeline.truth import assert_true

extension = pytest.importorskip("duckdb_extension_ducklake")
CELLS = """
SELECT _interval_key, count(*), count(DISTINCT _dlt_load_id)
FROM payouts_itemized AT (VERSION => {}) GROUP BY 1 ORDER BY 1
"""
REPORTS = ["payouts.itemized"]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A lake in a folder, and a home where DuckDB finds the extension that it would download."""
    machine = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}.get(platform.machine(), platform.machine())
    place = tmp_path / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / machine
    place.mkdir(parents=True)
    [file] = Path(extension.__file__).parent.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")
    shutil.copy(file, place)
    monkeypatch.setenv("HOME", str(tmp_path))
    credentials = DuckLakeCredentials(
        "lake", catalog=f"duckdb:///{tmp_path}/catalog.duckdb", storage=str(tmp_path / "files")
    )
    destination = dlt.destinations.ducklake(credentials=credentials)
    return dlt.pipeline("lake", destination=destination, dataset_name="stripe", pipelines_dir=str(tmp_path / "p"))


def test_syncs_end_in_the_truth_and_no_snapshot_has_a_cell_half(emulator: Emulator, lake: Pipeline) -> None:
    for days in (0, 1):
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        loaded = load_reports(lake, source_of(emulator, REPORTS))
        assert loaded.reconciliation is not None
        assert loaded.reconciliation.ok
        assert_true(emulator, lake, REPORTS, end=emulator.service.available_end)
    assert load_reports(lake, source_of(emulator, REPORTS)).cells == 0
    counts: set[tuple[object, ...]] = set()
    with lake.sql_client() as client:
        for (snapshot,) in client.execute_sql("SELECT snapshot_id FROM ducklake_snapshots('lake')") or ():
            with suppress(DatabaseUndefinedRelation):  # before the table was made
                cells = client.execute_sql(CELLS.format(snapshot)) or ()
                assert all(loads == 1 for *_, loads in cells)
                counts.add(tuple(map(tuple, cells)))
    assert len(counts - {()}) == 2, "rows came and were replaced, each at once"
