"""Tables that someone has dropped or changed by hand: seen at the start, and made anew or named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.system_tables import SYSTEM_TABLES
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true
from tests.pipeline.ways import WAYS, load, posts, refusal

pytestmark = pytest.mark.long

PAYOUTS = "payouts.itemized"
REPORTS = [PAYOUTS, "balance.summary"]
TABLE = "payouts_itemized"
Make = Callable[..., Pipeline]
PROCESSES = pytest.mark.parametrize("process", ["the same", "another"])


class Loader:
    """Makes the pipeline once, as a long-lived process does, or for each load."""

    def __init__(self, make_pipeline: Make, process: str) -> None:
        self._make = make_pipeline
        self._kept = make_pipeline() if process == "the same" else None

    @property
    def pipeline(self) -> Pipeline:
        return self._kept or self._make()


@BOTH
@PROCESSES
def test_a_dropped_report_table_is_loaded_anew(
    emulator: Emulator, make_pipeline: Make, process: str, caplog: pytest.LogCaptureFixture
) -> None:
    loader = Loader(make_pipeline, process)
    load_reports(loader.pipeline, source_of(emulator, REPORTS))
    query(loader.pipeline, f"DROP TABLE {TABLE}")
    loaded = load_reports(loader.pipeline, source_of(emulator, REPORTS))
    assert [table.table for table in loaded.tables] == [TABLE]
    assert f"the table '{TABLE}' is gone; it is made and loaded anew" in caplog.text
    assert_true(emulator, loader.pipeline, REPORTS, end=emulator.settings.available_end)


@BOTH
@WAYS
@pytest.mark.parametrize("table", [table.name for table in SYSTEM_TABLES])
def test_a_dropped_system_table_is_made_anew(emulator: Emulator, pipeline: Pipeline, way: str, table: str) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    rows = query(pipeline, f"SELECT count(*) FROM {table}")
    query(pipeline, f"DROP TABLE {table}")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)
    found = query(pipeline, f"SELECT count(*) FROM {table}")
    assert found == rows if table != "report_runs" else found[0][0] > 0


@BOTH
@PROCESSES
def test_a_dropped_dataset_is_loaded_anew(emulator: Emulator, make_pipeline: Make, process: str) -> None:
    loader = Loader(make_pipeline, process)
    first = load_reports(loader.pipeline, source_of(emulator, REPORTS))
    query(loader.pipeline, f'DROP SCHEMA "{loader.pipeline.dataset_name}" CASCADE')
    again = load_reports(loader.pipeline, source_of(emulator, REPORTS))
    assert (again.cells, again.rows) == (first.cells, first.rows)
    assert_true(emulator, loader.pipeline, REPORTS, end=emulator.settings.available_end)


def test_a_plain_run_names_a_dropped_report_table(emulator: Emulator, pipeline: Pipeline) -> None:
    pipeline.run(source_of(emulator, REPORTS))
    query(pipeline, f"DROP TABLE {TABLE}")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    runs = posts(emulator)
    for _ in range(2):
        error = refusal(pipeline, source_of(emulator, REPORTS), "run")
        assert isinstance(error, ConfigurationError)
        assert str(error).startswith(f"table '{TABLE}' was dropped by hand; load its report anew with refresh=")
        assert len(str(error)) < 200
    assert posts(emulator) == runs
    assert not pipeline.has_pending_data
    pipeline.run(source_of(emulator, [PAYOUTS]), refresh="drop_resources")
    pipeline.run(source_of(emulator, REPORTS))
    assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)


CHANGES = {
    "lacks the column 'net'": "ALTER TABLE payouts_itemized DROP COLUMN net",
    "lacks the column '_interval_key'": "ALTER TABLE payouts_itemized DROP COLUMN _interval_key",
    "has another type in the column 'gross'": "ALTER TABLE payouts_itemized ALTER COLUMN gross TYPE double precision",
    "has another type in the column 'effective_at'": "ALTER TABLE payouts_itemized ALTER COLUMN effective_at "
    "TYPE timestamp with time zone",
}


@BOTH
@WAYS
@pytest.mark.parametrize("said", CHANGES)
def test_a_changed_column_is_named(emulator: Emulator, pipeline: Pipeline, way: str, said: str) -> None:
    load(pipeline, source_of(emulator, REPORTS), way)
    query(pipeline, CHANGES[said])
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    runs = posts(emulator)
    error = refusal(pipeline, source_of(emulator, REPORTS), way)
    assert isinstance(error, ConfigurationError)
    by = ", or by another source or pipeline" if "type" in said else ""
    assert str(error).startswith(f"table '{TABLE}' {said}, which was changed by hand{by}; put it back, or")
    assert len(str(error)) < 250
    assert posts(emulator) == runs
    load(pipeline, source_of(emulator, [PAYOUTS]), way, refresh="drop_resources")
    load(pipeline, source_of(emulator, REPORTS), way)
    assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)


@WAYS
def test_a_column_of_a_system_table_is_made_anew(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    query(pipeline, "ALTER TABLE report_runs DROP COLUMN sha256")
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert query(pipeline, "SELECT count(*) > count(sha256) AND count(sha256) > 0 FROM report_runs") == [(True,)]


@BOTH
@pytest.mark.parametrize("folder", ["pipelines", "another machine"])
def test_dlts_own_tables_are_made_anew(emulator: Emulator, make_pipeline: Make, folder: str) -> None:
    load_reports(make_pipeline(), source_of(emulator, REPORTS))
    query(make_pipeline(), "DROP TABLE _dlt_loads")
    load_reports(make_pipeline(folder=folder), source_of(emulator, REPORTS))
    assert_true(emulator, make_pipeline(), REPORTS, end=emulator.settings.available_end)
    assert load_reports(make_pipeline(folder=folder), source_of(emulator, REPORTS)).cells == 0


NO_LOAD_ENDED = "DELETE FROM _dlt_loads"


@BOTH
@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE _dlt_loads"],
        ["DROP TABLE _dlt_pipeline_state"],
        ["DROP TABLE _dlt_version"],
        [NO_LOAD_ENDED, f"DROP TABLE {TABLE}"],
        [NO_LOAD_ENDED, f"ALTER TABLE {TABLE} DROP COLUMN net"],
    ],
    ids=", ".join,
)
def test_a_plain_run_that_knows_of_no_load_makes_all_that_is_missing(
    emulator: Emulator, make_pipeline: Make, statements: list[str]
) -> None:
    """On another machine, as what tells of loads is gone, or none has ever ended."""
    make_pipeline().run(source_of(emulator, REPORTS))
    for statement in statements:
        query(make_pipeline(), statement)
    make_pipeline(folder="another machine").run(source_of(emulator, REPORTS))
    assert_true(emulator, make_pipeline(), REPORTS, end=emulator.settings.available_end)
    runs = posts(emulator)
    make_pipeline(folder="another machine").run(source_of(emulator, REPORTS))
    assert posts(emulator) == runs
