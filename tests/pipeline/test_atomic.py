"""A cell is never half replaced, on DuckDB given as a plain word, on a table without a `created` column."""

from __future__ import annotations

from pathlib import Path

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.columns import TOMBSTONE
from tests.conftest import source_of

TABLE = "payouts_summary"


def test_a_merge_that_fails_half_way_leaves_the_cell_as_it_was(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", database)
    pipeline = dlt.pipeline("atomic", destination="duckdb", dataset_name="stripe")
    window = {"start_date": "2025-01-01", "end_date": "2025-03-01"}
    pipeline.run(source_of(emulator, ["payouts.summary"], **window))
    with duckdb.connect(database) as connection:
        before = connection.sql(f"SELECT count(*) FROM stripe.{TABLE}").fetchall()
        columns = connection.sql(f"SELECT column_name FROM (DESCRIBE stripe.{TABLE})").fetchall()
        # the DELETE of the merge will work, the INSERT after it will not
        connection.execute(f"ALTER TABLE stripe.{TABLE} DROP COLUMN fee")
    assert before[0][0] > 4
    # dlt takes SQL with one of these words for DDL and runs that in a transaction, so none but ours may do it
    words = [name for (name,) in columns if any(word in name for word in ("create", "alter", "drop"))]
    assert words == [TOMBSTONE]
    with pytest.raises(PipelineStepFailed):
        pipeline.run(source_of(emulator, ["payouts.summary"], **window))
    with duckdb.connect(database) as connection:
        assert connection.sql(f"SELECT count(*) FROM stripe.{TABLE}").fetchall() == before
