"""Columns of the user's own, of whatever type dlt makes: as they were made, they are not taken for changed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dlt
import pytest

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.columns import TOMBSTONE
from stripe_reports_source.warehouse.inventory import refuse_changed_tables
from tests.conftest import query

TYPES: dict[str, Any] = {
    **{f"time_{digits}": {"data_type": "timestamp", "timezone": False, "precision": digits} for digits in (0, 3, 6, 9)},
    "instant": {"data_type": "timestamp"},
    **{f"whole_{bits}": {"data_type": "bigint", "precision": bits} for bits in (8, 16, 32, 64, 128)},
    **{f"number_{scale}": {"data_type": "decimal", "precision": 38, "scale": scale} for scale in (0, 9, 38)},
    **{kind: {"data_type": kind} for kind in ("text", "date", "bool", "double", "json", "binary", "time", "wei")},
}


def test_a_column_of_any_type_is_as_it_was_made(tmp_path: Path) -> None:
    file = str(tmp_path / "any.duckdb")
    pipeline = dlt.pipeline("any", destination=dlt.destinations.duckdb(file), pipelines_dir=str(tmp_path / "pipelines"))
    tombstone: Any = {"data_type": "bool", "hard_delete": True}
    rows = dlt.resource(
        [{"number": 1}],
        name="rows",
        primary_key="number",
        write_disposition="merge",
        columns={**TYPES, TOMBSTONE: tombstone},
    )
    pipeline.run(rows)
    assert refuse_changed_tables(pipeline, pipeline.default_schema) == ()
    for column in ("time_9", "instant", "number_0"):
        [(type_,)] = query(pipeline, f"SELECT DISTINCT data_type FROM duckdb_columns() WHERE column_name = '{column}'")
        query(pipeline, f"ALTER TABLE rows ALTER {column} TYPE VARCHAR")
        with pytest.raises(ConfigurationError, match=f"has another type in the column '{column}'"):
            refuse_changed_tables(pipeline, pipeline.default_schema)
        query(pipeline, f"ALTER TABLE rows ALTER {column} TYPE {type_}")
    query(pipeline, "ALTER TABLE rows ALTER time_9 TYPE TIMESTAMP WITH TIME ZONE")
    with pytest.raises(ConfigurationError, match="has another type in the column 'time_9'"):
        refuse_changed_tables(pipeline, pipeline.default_schema)
