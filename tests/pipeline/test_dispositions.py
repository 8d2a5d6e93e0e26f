"""Hints under which a load would not replace whole cells are refused before a run is made, and leave nothing behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import ConfigurationError
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import own_error
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true, loaded_rows
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, load, posts, refusal

PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "append": ({"write_disposition": "append"}, "has the write disposition 'append'"),
    "replace": ({"write_disposition": "replace"}, "has the write disposition 'replace'"),
    "upsert": (
        {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": "payout_id"},
        "has the write disposition 'upsert'",
    ),
    "scd2": ({"write_disposition": {"disposition": "merge", "strategy": "scd2"}}, "has the write disposition 'scd2'"),
    "primary key": ({"primary_key": "payout_id"}, "has the primary_key 'payout_id', which would drop rows"),
    "merge key": ({"merge_key": "payout_id"}, "has the merge_key 'payout_id', which would drop rows"),
}


@pytest.mark.first(1)
@FIRST_OF_WAYS
@pytest.mark.parametrize("loaded_before", [False, True])
@pytest.mark.parametrize("hint", OTHERS)
def test_other_dispositions_are_refused(
    emulator: Emulator, pipeline: Pipeline, way: str, hint: str, loaded_before: bool
) -> None:
    if loaded_before:
        load(pipeline, source_of(emulator, [PAYOUTS]), way)
        emulator.advance(emulator.settings.available_end + timedelta(days=1))
    runs = posts(emulator)
    hints, said = OTHERS[hint]
    source = source_of(emulator, [PAYOUTS])
    source.resources[TABLE].apply_hints(**hints)
    error = refusal(pipeline, source, way)
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(f"resource '{TABLE}' {said}")
    assert len(str(error)) < 250
    assert posts(emulator) == runs
    assert not pipeline.has_pending_data
    load(pipeline, source_of(emulator, [PAYOUTS]), way)  # nothing of the refused hints is left in the schema
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("loaded_before", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"write_disposition": "append"},
        {"write_disposition": "replace"},
        {"write_disposition": {"disposition": "merge", "strategy": "scd2"}},
        {"primary_key": "payout_id"},
    ],
)
def test_dispositions_of_a_run_are_refused(
    emulator: Emulator, pipeline: Pipeline, arguments: dict[str, Any], loaded_before: bool
) -> None:
    if loaded_before:
        pipeline.run(source_of(emulator, [PAYOUTS]))
        emulator.advance(emulator.settings.available_end + timedelta(days=1))
    runs = posts(emulator)
    with pytest.raises(Exception, match="has the") as caught:
        pipeline.run(source_of(emulator, [PAYOUTS]), **arguments)
    assert isinstance(own_error(caught.value), ConfigurationError)
    assert posts(emulator) == runs
    assert not pipeline.has_pending_data
    pipeline.run(source_of(emulator, [PAYOUTS]))
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.service.available_end)


@pytest.mark.first(1)
@WAYS
def test_system_tables_are_merged_too(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    source = source_of(emulator, [PAYOUTS])
    source.resources["report_runs"].apply_hints(write_disposition="append")
    assert "resource 'report_runs' has the write disposition 'append'" in str(refusal(pipeline, source, way))
    assert posts(emulator) == 0
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


@WAYS
def test_a_table_name_that_depends_on_the_row(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    source = source_of(emulator, [PAYOUTS])
    source.resources[TABLE].apply_hints(table_name=lambda row: "anything")
    assert "has a table name that depends on the item" in str(refusal(pipeline, source, way))
    assert posts(emulator) == 0


def renamed(emulator: Emulator, **settings: Any) -> Any:
    source = source_of(emulator, [PAYOUTS], **settings)
    source.resources.add(source.resources[TABLE].with_name("paid_out"))
    return source.with_resources("paid_out", "report_types", "report_runs", "report_columns")


@pytest.mark.long
@FIRST_OF_WAYS
def test_a_renamed_resource_has_its_own_table_state_and_refresh(
    emulator: Emulator, pipeline: Pipeline, way: str
) -> None:
    load(pipeline, source_of(emulator, [PAYOUTS]), way)
    load(pipeline, renamed(emulator), way)
    rows = query(pipeline, "SELECT count(*) FROM paid_out")
    assert rows == query(pipeline, f"SELECT count(*) FROM {TABLE}")
    kept = pipeline.state["sources"]["stripe_reports"]["resources"]
    assert kept["paid_out"]["lanes"].keys() == kept[TABLE]["lanes"].keys() == {"default"}
    runs = posts(emulator)
    load(pipeline, renamed(emulator), way)
    assert posts(emulator) == runs
    before = loaded_rows(pipeline, PAYOUTS)
    load(pipeline, renamed(emulator, interval="week"), way, refresh="drop_resources")
    assert query(pipeline, "SELECT count(*) FROM paid_out") == rows
    assert query(pipeline, "SELECT count(DISTINCT _interval_key) FROM paid_out")[0][0] > 8
    assert loaded_rows(pipeline, PAYOUTS) == before
    assert len(query(pipeline, f"SELECT DISTINCT _interval_key FROM {TABLE}")) == 3
