"""After another sync, what is built again is what a build from nothing gives; unchanged cells are left alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stripe_reports_source.marts.catalog import MARTS

from .project import Outcome, Project, needs_dbt
from .rows import built_rows, read_rows
from .world import TARGETS, Books

pytestmark = [needs_dbt, pytest.mark.timeout(600)]
KEPT = ("int_stripe__activity", "int_stripe__settled")
MARK = "changed by this test alone"


def marked(books: Books, target: str) -> int:
    """How many rows of the kept models have the mark."""
    counts = [books.rows(target, f"SELECT COUNT(*) FROM {name} WHERE description = '{MARK}'")[0][0] for name in KEPT]
    return sum(counts)


@pytest.mark.parametrize("target", TARGETS)
def test_another_sync_is_built_as_it_is_read(books: Books, grown: Mapping[str, Outcome], target: str) -> None:
    assert grown[target].code == 0, grown[target].text
    for name in MARTS:
        assert built_rows(books, target, name) == read_rows(books, target, name), name


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_cells_come_and_go_and_all_others_stay(
    books: Books, project: Project, grown: Mapping[str, Outcome], target: str
) -> None:
    gone = "table_name = 'payout_reconciliation_itemized' AND interval_day = DATE '2025-02-01'"
    emptied = "table_name = 'balance_change_from_activity_itemized' AND interval_day = DATE '2025-03-01'"
    reloaded = "_interval_day = DATE '2025-01-01'"
    with books.undone():  # other tests have these books too
        books.change(
            target,
            # a mark on rows of which nothing changes, and on some of a cell that is loaded again with other values
            *(f"UPDATE {name} SET description = '{MARK}' WHERE day = DATE '2025-04-15'" for name in KEPT),
            f"UPDATE int_stripe__settled SET description = '{MARK}' WHERE day = DATE '2025-01-15'",
            "DELETE FROM stripe.payout_reconciliation_itemized WHERE _interval_day = DATE '2025-02-01'",
            f"DELETE FROM stripe.report_cells WHERE {gone}",
            "DELETE FROM stripe.balance_change_from_activity_itemized WHERE _interval_day = DATE '2025-03-01'",
            f"UPDATE stripe.report_cells SET rows = 0, _dlt_load_id = 'later' WHERE {emptied}",
            "UPDATE stripe.payout_reconciliation_itemized SET gross = gross + 1, net = net + 1, _dlt_load_id = 'later' "
            f"WHERE {reloaded}",
            "UPDATE stripe.report_cells SET _dlt_load_id = 'later' WHERE table_name = 'payout_reconciliation_itemized' "
            "AND interval_day = DATE '2025-01-01'",
        )
        before = marked(books, target)
        done = project.dbt("run", target=target)
        assert done.code == 0, done.text
        assert 0 < marked(books, target) < before
        books.change(target, *(f"UPDATE {name} SET description = NULL WHERE description = '{MARK}'" for name in KEPT))
        left = {name: built_rows(books, target, name) for name in MARTS if name not in WITH_TEXTS}
        assert left == {name: read_rows(books, target, name) for name in left}
        if target == "duckdb":
            assert project.dbt("run", "--full-refresh", target=target).code == 0
            assert {name: built_rows(books, target, name) for name in left} == left
            assert all(built_rows(books, target, name) == read_rows(books, target, name) for name in MARTS)


WITH_TEXTS = ("stripe_payout_transactions", "stripe_fees")
"""Marts that show the column with the mark."""
