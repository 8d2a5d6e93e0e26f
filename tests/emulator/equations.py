"""The equations between Stripe's reports, checked over what an emulator's reports say. No HTTP, no tables."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.intervals import Grid, Span, cells, parse_zone

Row = Mapping[str, Any]
AMOUNTS = ("gross", "fee", "net")
ACTIVITY = ("balance_change_from_activity.itemized.3", "balance_change_from_activity.summary.2")
PAYOUTS = ("payouts.itemized.3", "payouts.summary.1")
SETTLED = ("payout_reconciliation.itemized.5", "payout_reconciliation.summary.2")
UNSETTLED = ("ending_balance_reconciliation.itemized.4", "ending_balance_reconciliation.summary.1")
CONNECTED = "connected_account_"
_ITEM = ["balance_transaction_id", "currency", "reporting_category", *AMOUNTS]
_COLUMNS = {
    ACTIVITY[0]: [*_ITEM, "created_utc", "automatic_payout_id"],
    PAYOUTS[0]: [*_ITEM, "payout_id", "effective_at_utc"],
    SETTLED[0]: [*_ITEM, "automatic_payout_id", "automatic_payout_effective_at_utc"],
    UNSETTLED[0]: _ITEM,
}


@dataclass(frozen=True)
class Statement:
    """The reports of an interval, each read when it is first asked for."""

    business: Emulator
    start: datetime
    end: datetime
    zone: str = "UTC"
    connected: bool = False
    account: str | None = None

    @cached_property
    def activity(self) -> Sequence[Row]:
        """Itemized activity."""
        return self.rows(ACTIVITY[0])

    @cached_property
    def payouts(self) -> Sequence[Row]:
        """Itemized payouts."""
        return self.rows(PAYOUTS[0])

    @cached_property
    def settled(self) -> Sequence[Row]:
        """Payout reconciliation."""
        return self.rows(SETTLED[0])

    @cached_property
    def unsettled(self) -> Sequence[Row]:
        """Ending balance reconciliation."""
        return self.rows(UNSETTLED[0])

    @cached_property
    def balance(self) -> Mapping[tuple[str, str], Decimal]:
        """Lines of the balance summary by currency and category; payout lines of a quiet interval name no currency."""
        found, currency = {}, ""
        for row in self.rows("balance.summary.1"):
            currency = row["currency"] or currency
            found[currency, row["category"]] = row["net_amount"]
        return found

    @property
    def currencies(self) -> set[str]:
        """The currencies of the balance."""
        return {currency for currency, _ in self.balance}

    def rows(self, name: str) -> Sequence[Row]:
        """The rows of a report."""
        columns = _COLUMNS.get(name)
        options: dict[str, Any] = {"timezone": self.zone}
        if self.connected:
            name = CONNECTED + name.removesuffix(".2") + ".1" * name.endswith(".2")
            columns = None if columns is None else [*columns, "connected_account"]
            options |= {} if self.account is None else {"connected_account": self.account}
        start = None if "ending_balance" in name else self.start
        known = load_catalog().get(name)
        assert known is not None
        names = columns or [column.name for column in known.columns]
        found = self.business.truth(name, start, self.end, columns=names, **options)
        return [dict(zip(names, row, strict=True)) for row in found]


def sums(rows: Iterable[Row], *by: str, amount: str = "net") -> dict[Any, Decimal]:
    """Sums by key, those of zero left out."""
    found: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[tuple(row[name] for name in by)] += row[amount]
    return {key: value for key, value in found.items() if value}


def statements(business: Emulator, window: Span, grid: Grid, zone: str, **options: Any) -> list[Statement]:
    """A statement for each cell of a window."""
    return [
        Statement(business, cell.span.start, cell.span.end, zone, **options)
        for cell in cells(window, grid, parse_zone(zone))
    ]


def assert_balance_foots(statement: Statement) -> None:
    """Opening, activity, payouts, closing; and the rows behind each."""
    balance = statement.balance
    earned, paid = sums(statement.activity, "currency"), sums(statement.payouts, "currency")
    unpaid = sums(statement.unsettled, "currency")
    for currency in statement.currencies:
        activity, payouts = balance[currency, "activity"], balance[currency, "payouts"]
        assert balance[currency, "activity_gross"] + balance[currency, "activity_fee"] == activity
        assert balance[currency, "starting_balance"] + activity + payouts == balance[currency, "ending_balance"]
        assert earned.get((currency,), 0) == activity
        assert paid.get((currency,), 0) == -payouts
        assert unpaid.get((currency,), 0) == balance[currency, "ending_balance"]


def assert_summaries_agree(statement: Statement) -> None:
    """Count, gross, fee and net of each category; fees are negative in summaries, payouts too."""
    for rows, name, sign in (
        (statement.activity, ACTIVITY[1], 1),
        (statement.payouts, PAYOUTS[1], -1),
        (statement.settled, SETTLED[1], 1),
        (statement.unsettled, UNSETTLED[1], 1),
    ):
        lines = [row for row in statement.rows(name) if row["reporting_category"] != "total"]
        by = ("currency", "reporting_category")
        for amount, factor in (("gross", sign), ("fee", -1), ("net", sign)):
            wanted = {key: value * factor for key, value in sums(rows, *by, amount=amount).items()}
            assert sums(lines, *by, amount=amount) == wanted, name
        counted = Counter((row["currency"], row["reporting_category"]) for row in rows)
        assert {(row["currency"], row["reporting_category"]): row["count"] for row in lines} == counted, name


def assert_rows_lie_inside(statement: Statement) -> None:
    """The time of each row is inside the interval; net is gross less fee."""
    for rows, name in (
        (statement.activity, "created_utc"),
        (statement.payouts, "effective_at_utc"),
        (statement.settled, "automatic_payout_effective_at_utc"),
    ):
        assert all(statement.start <= row[name] < statement.end for row in rows)
        assert all(row["net"] == row["gross"] - row["fee"] for row in rows)


def assert_payouts_are_their_rows(found: Sequence[Statement]) -> set[str]:
    """Each payout is the sum of its rows; returns those without rows, which no activity row may name."""
    paid = sums((row for item in found for row in item.payouts if row["reporting_category"] == "payout"), "payout_id")
    settled = sums((row for item in found for row in item.settled), "automatic_payout_id")
    named = {row["automatic_payout_id"] for item in found for row in item.activity}
    without_rows = {payout for (payout,) in paid if (payout,) not in settled}
    assert {key: amount for key, amount in paid.items() if key[0] not in without_rows} == settled
    assert not without_rows & named
    return without_rows


def assert_rolls_forward(found: Sequence[Statement]) -> None:
    """A cell opens as the one before closed, and so do the transactions that no payout has settled."""
    without_rows = assert_payouts_are_their_rows(found)
    for earlier, later in itertools.pairwise(found):
        for currency in earlier.currencies:
            assert later.balance[currency, "starting_balance"] == earlier.balance[currency, "ending_balance"]
    unsettled = {
        (currency,): amount for (currency, line), amount in found[0].balance.items() if line.startswith("start")
    }
    for statement in found:
        returned = [row for row in statement.payouts if row["reporting_category"] == "payout_reversal"]
        by_hand = [row for row in statement.payouts if row["payout_id"] in without_rows and row not in returned]
        now, earned = sums(statement.unsettled, "currency"), sums(statement.activity, "currency")
        gone, left = sums(statement.settled, "currency"), sums([*returned, *by_hand], "currency")
        for currency in statement.currencies:
            before, moved, settled, other, after = (
                amounts.get((currency,), Decimal(0)) for amounts in (unsettled, earned, gone, left, now)
            )
            assert before + moved - settled - other == after
        unsettled = now


def assert_transactions_agree(found: Sequence[Statement]) -> None:
    """A transaction is one row of a book; settled and unsettled ones say what their activity row says."""
    activity = {row["balance_transaction_id"]: row for item in found for row in item.activity}
    assert len(activity) == sum(len(item.activity) for item in found)
    settled = [row for item in found for row in item.settled]
    assert len({(row["balance_transaction_id"], row["automatic_payout_id"]) for row in settled}) == len(settled)
    for row in itertools.chain(settled, *(item.unsettled for item in found)):
        known = activity.get(row["balance_transaction_id"])
        assert known is not None or row["reporting_category"] == "payout_reversal"
        assert known is None or all(row[name] == known[name] for name in _ITEM)
    paid = {row["payout_id"] for item in found for row in item.payouts}
    named = {
        (row["balance_transaction_id"], row["automatic_payout_id"])
        for row in activity.values()
        if row["automatic_payout_id"] in paid
    }
    assert named == {
        (row["balance_transaction_id"], row["automatic_payout_id"])
        for row in settled
        if row["reporting_category"] != "payout_reversal"
    }


def assert_all(found: Sequence[Statement]) -> None:
    """All equations of statements that meet, from the first of the business on."""
    for statement in found:
        assert_balance_foots(statement)
        assert_summaries_agree(statement)
        assert_rows_lie_inside(statement)
    assert_rolls_forward(found)
    assert_transactions_agree(found)
