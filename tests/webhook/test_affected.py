"""Which reports an event affects."""

from __future__ import annotations

from typing import Any

import pytest

from stripe_reports_source import Report, stripe_reports
from stripe_reports_source.emulator import sign
from stripe_reports_source.webhook import ReportEvent, affected_tables, concerned_tables, verify_event
from stripe_reports_source.webhook.affected import narrowed, report_tables
from tests.webhook.served import SECRET, body_of, event_of

REPORTS: list[str | Report] = [
    "balance.summary",
    Report("balance.summary", parameters={"currency": "eur"}, table_name="in_euro"),
    Report("payouts.itemized.3", table_name="exact"),
    "payouts.itemized",
    "payout_reconciliation.by_id.itemized",
    "connected_account_payouts.itemized",
    "connected_account_payout_reconciliation.by_id.itemized",
]


def tables(report_type: str, account: str | None = None, **settings: Any) -> set[str]:
    source = stripe_reports(REPORTS, api_key="rk_test_1", **settings)
    event = ReportEvent("evt_1", "reporting.report_type.updated", report_type, None, account, True, 0)
    return set(affected_tables(event, source))


@pytest.mark.parametrize(
    ("report_type", "expected"),
    [
        ("balance.summary.2", {"balance_summary", "in_euro"}),
        ("payouts.itemized.3", {"exact", "payouts_itemized", "payout_reconciliation_by_id_itemized"}),
        ("payouts.itemized.2", {"payouts_itemized", "payout_reconciliation_by_id_itemized"}),
        ("payout_reconciliation.by_id.itemized.4", {"payout_reconciliation_by_id_itemized"}),
        (
            "connected_account_payouts.itemized.3",
            {"connected_account_payouts_itemized", "connected_account_payout_reconciliation_by_id_itemized"},
        ),
        ("payouts.summary.1", set()),
        ("nonsense", set()),
    ],
)
def test_by_report_type(report_type: str, expected: set[str]) -> None:
    assert tables(report_type) == expected


def test_by_account() -> None:
    assert tables("balance.summary.1", "acct_1") == set()
    assert tables("balance.summary.1", "acct_1", stripe_account="acct_1")
    assert tables("balance.summary.1", "acct_2", stripe_account="acct_1") == set()
    assert tables("balance.summary.1", "acct_2", connected_accounts=["acct_1", "acct_2"])
    assert tables("balance.summary.1", None, stripe_account="acct_1")
    assert tables("balance.summary.1", "acct_2", stripe_context="acct_1/acct_2")
    assert tables("balance.summary.1", "acct_1", stripe_context="acct_1/acct_2") == set()


@pytest.mark.parametrize("context", ["acct_2", "acct_1/acct_2"])
def test_an_event_of_an_organisation_names_its_account_in_a_context(context: str) -> None:
    body = body_of(event_of(context=context))
    event = verify_event(body, sign(body, SECRET), [SECRET])
    assert event is not None
    for asked, expected in ((context, {"balance_summary", "in_euro"}), ("acct_2/acct_3", set()), ("acct_1", set())):
        source = stripe_reports(REPORTS, api_key="rk_test_1", stripe_context=asked)
        assert affected_tables(event, source) == expected


def test_a_narrowed_or_renamed_source_is_asked_too() -> None:
    source = stripe_reports(REPORTS, api_key="rk_test_1").with_resources("in_euro", "exact", "report_runs")
    event = ReportEvent("evt_1", "reporting.report_type.updated", "balance.summary.1", None, None, True, 0)
    assert affected_tables(event, source) == {"in_euro"}
    assert report_tables(source) == {"in_euro", "exact"}
    assert set(narrowed(source, ["in_euro"]).selected_resources) == {"in_euro", "report_runs"}
    other = stripe_reports.clone(name="eu")(["balance.summary"], api_key="rk_test_1", account="eu")
    assert affected_tables(event, other) == {"balance_summary"}
    assert other.name == "eu"


def test_the_first_name_still_works() -> None:
    assert concerned_tables is affected_tables
