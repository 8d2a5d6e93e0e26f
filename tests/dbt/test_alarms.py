"""What is wrong in the books makes the right tests fail; what is late makes them warn."""

from __future__ import annotations

from typing import Any

import pytest

from .project import Project, needs_dbt
from .world import Books

pytestmark = [needs_dbt, pytest.mark.timeout(600)]


@pytest.mark.long
def test_a_planted_cent_and_what_is_late_are_told(books: Books, project: Project, read: Any) -> None:
    with books.undone():
        books.change(
            "duckdb",
            "UPDATE stripe.balance_change_from_activity_itemized SET gross = gross + 0.01, net = net + 0.01 "
            "WHERE balance_transaction_id = (SELECT MIN(balance_transaction_id) "
            "FROM stripe.balance_change_from_activity_itemized WHERE _interval_day = DATE '2025-02-01')",
        )
        books.reconcile("duckdb")
        books.change(
            "duckdb",
            "UPDATE stripe.report_freshness SET open_failures = 1 WHERE table_name = 'payouts_itemized'",
            "UPDATE stripe.tie_out SET status = 'stale' WHERE equation = 'balance_foots'",
            "UPDATE stripe.report_freshness SET checked_at = checked_at - INTERVAL 3 DAY, available_to = now() "
            "WHERE table_name = 'balance_summary'",
        )
        outcome = project.dbt("build", "--full-refresh", target="duckdb")
        assert outcome.of("fail") == {
            "stripe_tie_out_has_no_variance",
            "stripe_balance_rollforward_has_no_difference",
            "stripe_daily_balance_has_no_difference",
        }
        assert outcome.of("warn") == {
            "stripe_tie_out_is_not_stale",
            "stripe_reports_are_loaded_as_far_as_stripe_has_them",
        }
        assert outcome.code != 0
        assert project.freshness("duckdb") == {"report_freshness": "warn", "report_availability": "warn"}
        books.change("duckdb", "UPDATE stripe.report_freshness SET checked_at = now(), available_to = now()")
        assert project.freshness("duckdb") == {"report_freshness": "pass", "report_availability": "pass"}
