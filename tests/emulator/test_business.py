"""The synthetic business: deterministic, growing without change, and its reports tie out to the last digit."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.emulator.business import EDGE_ZONES
from stripe_reports_source.emulator.ledger import Ledger
from stripe_reports_source.emulator.service import StripeService
from stripe_reports_source.emulator.transactions import CURRENCIES
from stripe_reports_source.plan.intervals import Span, cells, parse_zone

FIRST = date(2025, 1, 1)
END = datetime(2025, 5, 1, tzinfo=timezone.utc)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def business() -> Emulator:
    """Never started: only its reports are asked for."""
    return Emulator(EmulatorSettings(scale=0.2, available_end=END))


def report(business: Emulator, name: str, start: datetime | None, end: datetime, **parameters: Any) -> list[Row]:
    query = business.service.query(name, _interval(start, end) | parameters)
    return [dict(zip(query.columns, row, strict=True)) for row in business.truth(name, start, end, **parameters)]


def _interval(start: datetime | None, end: datetime) -> dict[str, int]:
    return {"interval_end": int(end.timestamp())} | (
        {} if start is None else {"interval_start": int(start.timestamp())}
    )


def sums(rows: list[Row], *by: str, amount: str = "net") -> dict[Any, Decimal]:
    found: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[tuple(row[name] for name in by)] += row[amount]
    return {key: value for key, value in found.items() if value}


def summary_lines(rows: list[Row]) -> dict[tuple[str, str], Decimal]:
    currency = ""
    found = {}
    for row in rows:
        currency = row["currency"] or currency  # payout lines have none in an interval without payouts
        found[currency, row["category"]] = row["net_amount"]
    return found


seconds = int((END - datetime(2025, 1, 2, tzinfo=timezone.utc)).total_seconds())
instants = st.integers(0, seconds).map(lambda s: datetime(2025, 1, 2, tzinfo=timezone.utc) + timedelta(seconds=s))


@settings(max_examples=15)
@given(instants, instants)
@example(datetime(2025, 1, 2, tzinfo=timezone.utc), END)
def test_everything_ties_out(first: datetime, second: datetime) -> None:
    business = Emulator(EmulatorSettings(scale=0.1, available_end=END))
    start, end = sorted([first, second])
    assume(start < end)
    balance = summary_lines(report(business, "balance.summary.1", start, end))
    activity = report(business, "balance_change_from_activity.itemized.3", start, end)
    payouts = report(business, "payouts.itemized.3", start, end)
    settled = report(business, "payout_reconciliation.itemized.5", start, end)
    earned, paid = sums(activity, "currency"), sums(payouts, "currency")
    unpaid = sums(report(business, "ending_balance_reconciliation.itemized.4", None, end), "currency")
    for currency in {currency for currency, _ in balance}:
        moved, gone = earned.get((currency,), Decimal(0)), paid.get((currency,), Decimal(0))
        assert balance[currency, "activity"] == moved
        assert balance[currency, "activity_gross"] + balance[currency, "activity_fee"] == moved
        assert balance[currency, "payouts"] == -gone
        assert balance[currency, "starting_balance"] + moved - gone == balance[currency, "ending_balance"]
        assert unpaid.get((currency,), Decimal(0)) == balance[currency, "ending_balance"]
    by_payout = {(row["payout_id"],): row["gross"] for row in payouts if row["reporting_category"] == "payout"}
    assert sums(settled, "automatic_payout_id") == by_payout
    for itemized, name, sign in [
        (activity, "balance_change_from_activity.summary.2", 1),
        (payouts, "payouts.summary.1", -1),
        (settled, "payout_reconciliation.summary.2", 1),
    ]:
        lines = report(business, name, start, end)
        found = sums([row for row in lines if row["reporting_category"] != "total"], "currency", "reporting_category")
        assert found == {key: sign * value for key, value in sums(itemized, "currency", "reporting_category").items()}
        assert sum(row["count"] for row in lines if row["reporting_category"] == "total") == len(itemized)


def test_an_interval_ends_where_the_next_begins(business: Emulator) -> None:
    window = Span(datetime(2025, 1, 10, tzinfo=timezone.utc), END)
    found = [
        summary_lines(report(business, "balance.summary.1", cell.span.start, cell.span.end))
        for cell in cells(window, "week", parse_zone("America/New_York"))
    ]
    for before, after in itertools.pairwise(found):
        for currency in {currency for currency, _ in before}:
            assert before[currency, "ending_balance"] == after[currency, "starting_balance"]


def test_growing_changes_nothing_that_was_there() -> None:
    small, large = Ledger(7, 0.3, FIRST), Ledger(7, 0.3, FIRST)
    small.grow_to(datetime(2025, 3, 1, tzinfo=timezone.utc))
    for day in range(1, 60):
        large.grow_to(datetime(2025, 3, 1, tzinfo=timezone.utc) + timedelta(days=day))
    until = datetime(2025, 3, 1, tzinfo=timezone.utc)
    assert [transaction for transaction in small.transactions if transaction.created < until] == [
        transaction for transaction in large.transactions if transaction.created < until
    ]
    other = Ledger(8, 0.3, FIRST)
    other.grow_to(until)
    assert other.transactions != small.transactions


def test_the_business_has_what_makes_reports_hard(business: Emulator) -> None:
    ledger = business.ledger
    assert {transaction.currency for transaction in ledger.transactions} == set(CURRENCIES)
    categories = {transaction.category for transaction in ledger.transactions}
    assert {"charge", "refund", "dispute", "dispute_reversal", "fee", "other_adjustment"} <= categories
    assert any(payout.reversed_at for payout in ledger.payouts)
    days = {transaction.created.date() for transaction in ledger.transactions}
    assert any(FIRST + timedelta(days=n) not in days for n in range(119))  # quiet days
    march = [payout for payout in ledger.payouts if payout.currency == "kwd" and payout.effective.month == 3]
    assert all(payout.effective.day < 6 for payout in march)
    values = {value for paid in ledger.transactions if paid.payment for value in paid.payment.metadata.values()}
    assert {"0042", "1e5", "true", "", "a,b", 'say "hi"', "carriage\r\nreturn"} <= values
    created = {transaction.created for transaction in ledger.transactions}
    for zone in EDGE_ZONES:
        [cell, *_] = cells(Span(datetime(2025, 3, 3, tzinfo=timezone.utc), END), "week", parse_zone(zone))
        assert {cell.whole.start, cell.whole.start - timedelta(seconds=1)} <= created


def test_a_late_transaction_is_paid_later_and_ties_out() -> None:
    service = StripeService(EmulatorSettings(scale=0.1, available_end=END))
    from stripe_reports_source.emulator import late_charge

    before = {payout.id: payout.amount for payout in service.ledger.payouts}
    created = datetime(2025, 2, 10, 12, tzinfo=timezone.utc)
    service.add_transaction(late_charge("late", created, service.now, "usd", 5000, 175, "Late", {}))
    after = {payout.id: payout.amount for payout in service.ledger.payouts if payout.effective < END}
    assert {key: before[key] for key in after} == after  # no payout of the past has changed


def test_every_report_type_offered_can_be_computed() -> None:
    business = Emulator(EmulatorSettings(scale=0.1, available_end=datetime(2025, 2, 1, tzinfo=timezone.utc)))
    types = business.service.list_types(True)
    assert len(types) > 20
    start, end = datetime(2025, 1, 10, tzinfo=timezone.utc), datetime(2025, 1, 20, tzinfo=timezone.utc)
    for offered in types:
        snapshot = "ending_balance" in offered["id"]
        assert business.truth(offered["id"], None if snapshot else start, end), offered["id"]
