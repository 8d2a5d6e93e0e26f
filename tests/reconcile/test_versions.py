"""Versions of a report in one table, with the time of a row in different columns: none is left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from dlt import Pipeline

from stripe_reports_source.plan.system_tables import Statement
from tests.reconcile.worlds import VERSIONS, Worlds, looked, spoil

SETTLED = "payout_reconciliation_itemized"
JANUARY = "_interval_day = '2025-01-01'"
OLD = "automatic_payout_effective_at"


@pytest.fixture
def pipeline(worlds: Worlds, tmp_path: Path) -> Pipeline:
    """A copy of the dataset."""
    return worlds.copy(VERSIONS, tmp_path)


def in_their_cells(pipeline: Pipeline) -> list[Statement]:
    """What is said of the times of settled rows."""
    return [
        statement
        for statement in looked(pipeline)
        if statement.equation == "row_lies_in_its_cell" and "|payout_reconciliation" in statement.interval_key
    ]


def test_the_rows_of_both_versions_are_looked_at(pipeline: Pipeline) -> None:
    found = in_their_cells(pipeline)
    assert {statement.status for statement in found} == {"tied"}
    assert len({statement.interval_key for statement in found}) == 2
    row = f"(SELECT MIN(balance_transaction_id) FROM {SETTLED} WHERE {JANUARY})"
    moved = f"UPDATE {SETTLED} SET {OLD} = '2025-06-15' WHERE {JANUARY} AND balance_transaction_id = {row}"
    assert spoil(pipeline, moved) == 1
    [wrong] = [statement for statement in in_their_cells(pipeline) if statement.status != "tied"]
    assert (wrong.status, str(wrong.interval_day)) == ("variance", "2025-01-01")


@pytest.mark.parametrize("glance", [True, False], ids=["at a glance", "row by row"])
def test_an_interval_without_times_is_not_comparable(pipeline: Pipeline, glance: bool) -> None:
    currencies = Counter(statement.interval_day for statement in in_their_cells(pipeline))
    assert spoil(pipeline, f"UPDATE {SETTLED} SET {OLD} = NULL WHERE {JANUARY}") > 1
    if not glance:  # a row that differs is looked for one by one
        spoil(pipeline, f"UPDATE {SETTLED} SET {OLD}_utc = '2025-06-15' WHERE NOT {JANUARY}")
    untimed = [statement for statement in in_their_cells(pipeline) if statement.status == "not_comparable"]
    assert {str(statement.interval_day) for statement in untimed} == {"2025-01-01"}
    assert len(untimed) == currencies[untimed[0].interval_day]
    assert untimed[0].reason == (
        "No row of payout_reconciliation.itemized has the time that puts it into its interval: "
        "load the interval again with all columns to compare."
    )
