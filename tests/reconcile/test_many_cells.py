"""A look at very many cells: what is compared some at a time, and written in several packages, says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.checks import opened
from stripe_reports_source.reconcile.coverage import read_coverage
from stripe_reports_source.reconcile.ledger_checks import rows_stored_equal_file
from stripe_reports_source.reconcile.scope import Scope
from stripe_reports_source.sync.verdicts import write_statements
from tests.conftest import query
from tests.reconcile.plants import TABLES
from tests.reconcile.test_scopes import DAILY
from tests.reconcile.worlds import NOW, Worlds, looked, spoil

pytestmark = pytest.mark.long
KEY = "replace(_interval_key, '2025-01-08', '2019-01-08')"


def test_cells_are_compared_some_at_a_time(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    of_day = f"{TABLES['A']} WHERE _interval_day = '2025-01-08'"
    spoil(
        pipeline,
        f"INSERT INTO {TABLES['A']} SELECT * REPLACE ({KEY} AS _interval_key) FROM {of_day}",
        f"DELETE FROM {of_day} AND _interval_key LIKE '%2025-01-08'",
    )
    with opened(pipeline) as dataset:
        coverage = read_coverage(dataset.reader)

        def compared(at_once: int) -> list[Statement]:
            return list(
                rows_stored_equal_file(dataset.reader, coverage, Scope(), dataset.columns, NOW, at_once=at_once)
            )

        whole = compared(10_000)
        assert compared(3) == whole
    wrong = {statement.interval_key[-10:] for statement in whole if statement.status == "variance"}
    assert wrong == {"2025-01-08", "2019-01-08"}


def test_statements_are_written_in_packages(worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    statements = looked(pipeline)
    written = "SELECT equation, interval_key, currency, item, status FROM tie_out ORDER BY ALL"
    write_statements(pipeline, "stripe_reports", statements)
    whole = query(pipeline, written)
    assert len(whole) > 40
    loads = query(pipeline, "SELECT count(*) FROM _dlt_loads")[0][0]
    write_statements(pipeline, "stripe_reports", statements, most=len(whole) // 3)
    assert query(pipeline, written) == whole
    assert query(pipeline, "SELECT count(*) FROM _dlt_loads")[0][0] - loads >= 3
