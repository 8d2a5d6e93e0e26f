"""What is said of each table."""

from __future__ import annotations

import pytest

from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.report import Report
from stripe_reports_source.plan.system_tables import SYSTEM_TABLES, TIE_OUT
from stripe_reports_source.plan.table_texts import BY_REPORT, SYSTEM_TEXTS, report_text, table_texts


def test_each_table_has_a_text() -> None:
    assert set(SYSTEM_TEXTS) == {table.name for table in (*SYSTEM_TABLES, TIE_OUT)}
    texts = table_texts([Report("balance.summary", table_name="balances")])
    assert set(texts) == {"balances", *SYSTEM_TEXTS}
    for base in load_catalog().bases():
        assert "joins report_cells" in report_text(Report(base))


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ("balance.summary", "One row is one balance line per category per settlement currency."),
        ("balance.summary.1", "Lines are subtotals of one another"),
        ("connected_account_payouts.itemized", "A payout is a positive number"),
        ("payouts.summary", "A payout is a negative number"),
        ("ending_balance_reconciliation.itemized", "never add up intervals"),
        ("payouts.itemized", "never add up different currencies"),
        ("moonshot.itemized", "Stripe's report moonshot.itemized."),
    ],
)
def test_what_is_said(report: str, says: str) -> None:
    assert says in report_text(Report(report))


def test_reports_with_a_text_of_their_own_are_known() -> None:
    assert set(BY_REPORT) <= set(load_catalog().bases())
