"""Whose data a table holds, and who may put cells beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source import ConfigurationError, Report
from stripe_reports_source.plan.resolve import ResolvedReport
from stripe_reports_source.plan.whose_data import Holding, refuse_other_data, refuse_other_mode
from tests.unit.planning import resolved, span

AVAILABLE = span("2025-01-01", "2025-04-10")
PAYOUTS = resolved(Report("payouts.itemized"), AVAILABLE)
PER_PAYOUT = resolved(Report("payout_reconciliation.by_id.itemized"), AVAILABLE)


def holding(
    report: ResolvedReport = PAYOUTS,
    *,
    identity: str | None = "as asked",
    livemode: bool | None = True,
    account: str = "us",
    table: str = "payouts_itemized",
) -> Holding:
    return Holding(table, account, report.grid_identity if identity == "as asked" else identity, livemode)


def connected(account: str | None, **filters: str) -> ResolvedReport:
    parameters = filters | ({"connected_account": account} if account else {})
    report = Report("connected_account_payouts.itemized", parameters=parameters or None)
    return resolved(report, AVAILABLE)


def may(report: ResolvedReport, *holdings: Holding) -> bool:
    try:
        refuse_other_data(report, "us", holdings)
    except ConfigurationError:
        return False
    return True


def test_a_table_takes_more_of_the_same() -> None:
    assert may(PAYOUTS)
    assert may(PAYOUTS, holding())
    assert may(PAYOUTS, holding(livemode=None), holding(identity=None))  # as far as anyone knows
    assert may(PAYOUTS, holding(identity="payouts.itemized|day|UTC", account="eu", livemode=False))
    assert may(PAYOUTS, holding(identity="payouts.itemized|day|UTC", table="others"))


@pytest.mark.parametrize(
    "identity",
    [
        "payouts.itemized|day|UTC",
        "payouts.itemized|month|Europe/Berlin",
        'payouts.itemized|{"currency":"eur"}|month|UTC',
        "payouts.summary|month|UTC",
    ],
)
def test_other_cells_are_refused(identity: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        refuse_other_data(PAYOUTS, "us", [holding(), holding(identity=identity)])
    assert str(caught.value) == (
        f"report 'payouts.itemized.7': table 'payouts_itemized' holds cells of {identity!r}, and cells of "
        "'payouts.itemized|month|UTC' would overlap them. Keep interval, timezone and parameters as they were, set "
        "another table_name, or load the report anew with refresh='drop_resources'."
    ).replace("payouts.itemized.7", PAYOUTS.offered.id)


def test_live_and_test_data_are_not_mixed() -> None:
    assert may(PAYOUTS, holding(livemode=True))
    with pytest.raises(
        ConfigurationError, match=r"holds test data of account 'us', and api_key is a live key\. Set a t"
    ):
        refuse_other_data(PAYOUTS, "us", [holding(livemode=False)])
    testing = resolved(Report("payouts.itemized"), AVAILABLE, livemode=False)
    with pytest.raises(
        ConfigurationError, match=r"holds live data of account 'us', and api_key is a test key\. Set a l"
    ):
        refuse_other_data(testing, "us", [holding(livemode=True)])
    refuse_other_mode(testing, "us", None)
    refuse_other_mode(testing, "us", False)


def test_the_mode_counts_also_where_cells_do_not_overlap() -> None:
    held = holding(PER_PAYOUT, table="payout_reconciliation_by_id_itemized", livemode=False)
    assert not may(PER_PAYOUT, held)
    assert not may(PAYOUTS, holding(identity=None, livemode=False))


def test_payouts_lie_beside_one_another() -> None:
    one, two = (PER_PAYOUT.for_key({"payout": payout}) for payout in ("po_1", "po_2"))
    key = two.cell_key("us", AVAILABLE.start.date()).removeprefix("us|")
    assert may(one, Holding("payout_reconciliation_by_id_itemized", "us", key[: -len("|2025-01-31")], True))


def of_connected(report: ResolvedReport) -> Holding:
    return holding(report, table="connected_account_payouts_itemized")


accounts = st.none() | st.sampled_from(["acct_1", "acct_2"])
filters = st.sampled_from([{}, {"currency": "eur"}, {"currency": "usd"}])


@given(accounts, filters, accounts, filters)
def test_connected_accounts_lie_beside_one_another(
    held: str | None, held_filters: dict[str, str], asked: str | None, asked_filters: dict[str, str]
) -> None:
    """One run for each beside one for all would double rows."""
    alike = held_filters == asked_filters and (held is None) == (asked is None)
    assert may(connected(asked, **asked_filters), of_connected(connected(held, **held_filters))) is alike
