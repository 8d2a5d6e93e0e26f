"""Reports computed from the ledger, as values: what Stripe's CSV would say, before it is CSV. Pure.

In: a ledger, a report type of the catalogue, an interval, a zone, filters, columns. Out: rows of exact values.
This is also the truth that tests compare warehouse tables with, so it knows nothing of CSV.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ..plan.catalog import ReportType
from .generic import generic_rows
from .itemized import ItemizedRow, Value, itemized_value, major, tax_value
from .ledger import Ledger, Payout, TaxLine, Transaction, reversal_of
from .query import Query


def rows(ledger: Ledger, query: Query, accounts: Sequence[str] = ()) -> Iterator[tuple[Value, ...]]:
    """The rows of a report, in Stripe's order, with the values of `query.columns`.

    Args:
        ledger: the business.
        query: what is asked for.
        accounts: the platform's connected accounts.
    """
    if computable(query.report_type):
        yield from _REPORTS[query.report_type.base](ledger, query)
        return
    for row in generic_rows(ledger.seed, query, accounts):
        yield tuple(_in_zone(value, name, query) for name, value in zip(query.columns, row, strict=True))


def computable(report_type: ReportType) -> bool:
    """True for report types that follow from the ledger: known columns, and a report there is code for."""
    return report_type.columns_complete and report_type.base in _REPORTS


def _balance_itemized(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    settled = ledger.settled_by
    for transaction in ledger.transactions:
        if query.holds(transaction.created) and _chosen(transaction, query):
            yield _itemized(ItemizedRow(transaction, _known(settled.get(transaction.id), query)), query)


def _payout_reconciliation(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    for payout, transaction in _settled(ledger, query):
        if _chosen(transaction, query):
            yield _itemized(ItemizedRow(transaction, payout), query)


def _by_payout(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    for payout in ledger.payouts:
        if payout.id == query.extra["payout"]:
            for transaction in payout.settles:
                yield _itemized(ItemizedRow(transaction, payout), query)


def _ending_balance(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    for transaction in _unsettled(ledger, query.end):
        if _chosen(transaction, query):
            yield _itemized(ItemizedRow(transaction, None), query)


def _payouts_itemized(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    for payout, transaction in _payout_transactions(ledger, query):
        if _chosen(transaction, query):
            yield _itemized(ItemizedRow(transaction, payout), query)


def _tax_itemized(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    for line in sorted(ledger.tax_lines, key=lambda line: (line.created, line.id)):
        if query.holds(line.created):
            yield _tax(line, query)


def _balance_summary(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
    start = query.start or query.end
    last_day = (query.end - timedelta(seconds=1)).astimezone(query.zone).date()
    for currency in _currencies(ledger, query):
        activity = [
            transaction
            for transaction in ledger.transactions
            if transaction.currency == currency and query.holds(transaction.created)
        ]
        payouts = [
            transaction for _, transaction in _payout_transactions(ledger, query) if transaction.currency == currency
        ]
        gross, fee = (
            sum(transaction.gross for transaction in activity),
            sum(transaction.fee for transaction in activity),
        )
        paid = -sum(transaction.gross for transaction in payouts)
        opening, closing = _balance(ledger, currency, start), _balance(ledger, currency, query.end)
        # Stripe writes no currency on payout lines of an interval without payouts
        payout_currency = currency if payouts else None
        lines: list[tuple[str, str, int, str | None]] = [
            ("starting_balance", f"Starting balance ({start.astimezone(query.zone).date()})", opening, currency),
            ("activity_gross", "Account activity before fees", gross, currency),
            ("activity_fee", "Less fees", -fee, currency),
            ("activity", "Activity", gross - fee, currency),
            ("payouts_gross", "Payouts to bank", paid, payout_currency),
            ("payouts_fee", "Payout fees", 0, payout_currency),
            ("payouts", "Total payouts", paid, payout_currency),
            ("ending_balance", f"Ending balance ({last_day})", closing, currency),
        ]
        for category, description, net, shown in lines:
            values: dict[str, Value] = {
                "category": category,
                "description": description,
                "net_amount": major(net, currency),
                "currency": shown,
            }
            yield tuple(values[name] for name in query.columns)


def _summary(select: Callable[[Ledger, Query], Iterable[Transaction]], sign: int) -> Report:
    """A summary by category with a total per currency. Fees are negative in summaries, payouts too."""

    def report(ledger: Ledger, query: Query) -> Iterator[tuple[Value, ...]]:
        groups: dict[str, dict[str, list[Transaction]]] = defaultdict(lambda: defaultdict(list))
        for transaction in select(ledger, query):
            if query.currency in (None, transaction.currency):
                groups[transaction.currency][transaction.category].append(transaction)
                groups[transaction.currency]["total"].append(transaction)
        for currency, categories in sorted(groups.items()):
            for category in sorted(categories, key=lambda name: (name == "total", name)):
                found = categories[category]
                gross, fee = (
                    sum(transaction.gross for transaction in found) * sign,
                    -sum(transaction.fee for transaction in found),
                )
                values: dict[str, Value] = {
                    "reporting_category": category,
                    "currency": currency,
                    "count": len(found),
                    "gross": major(gross, currency),
                    "fee": major(fee, currency),
                    "net": major(gross + fee, currency),
                }
                yield tuple(values[name] for name in query.columns)

    return report


def _activity(ledger: Ledger, query: Query) -> Iterable[Transaction]:
    return [transaction for transaction in ledger.transactions if query.holds(transaction.created)]


def _settled(ledger: Ledger, query: Query) -> Iterator[tuple[Payout, Transaction]]:
    for payout in ledger.payouts:
        if query.holds(payout.effective):
            for transaction in payout.settles:
                yield payout, transaction


def _unsettled(ledger: Ledger, end: datetime) -> list[Transaction]:
    """Everything created before an instant that no payout effective before it has paid."""
    settled = {transaction.id for payout in ledger.payouts if payout.effective < end for transaction in payout.settles}
    everything = [*ledger.transactions, *_reversals(ledger)]
    return sorted(
        (transaction for transaction in everything if transaction.created < end and transaction.id not in settled),
        key=lambda transaction: transaction.sort_key,
    )


def _reversals(ledger: Ledger) -> list[Transaction]:
    return [reversal_of(payout) for payout in ledger.payouts if payout.reversed_at is not None]


def _payout_transactions(ledger: Ledger, query: Query) -> list[tuple[Payout, Transaction]]:
    """Payouts as positive transactions, their reversals as negative ones."""
    found = []
    for payout in ledger.payouts:
        if query.holds(payout.effective):
            found.append((payout, _as_transaction(payout, 1)))
        if payout.reversed_at is not None and query.holds(payout.reversed_at):
            found.append((payout, _as_transaction(payout, -1)))
    return sorted(found, key=lambda paid: paid[1].sort_key)


def _as_transaction(payout: Payout, sign: int) -> Transaction:
    back = sign < 0
    created = payout.reversed_at if back and payout.reversed_at else payout.effective
    return Transaction(
        id=reversal_of(payout).id if back else payout.transaction_id,
        created=created,
        currency=payout.currency,
        gross=sign * payout.amount,
        fee=0,
        category="payout_reversal" if back else "payout",
        source_id=payout.id,
        description="PAYOUT FAILED" if back else "STRIPE PAYOUT",
        payable=created,
    )


def _balance(ledger: Ledger, currency: str, at: datetime) -> int:
    everything = [*ledger.transactions, *_reversals(ledger)]
    earned = sum(
        transaction.net for transaction in everything if transaction.currency == currency and transaction.created < at
    )
    return earned - sum(
        payout.amount for payout in ledger.payouts if payout.currency == currency and payout.effective < at
    )


def _currencies(ledger: Ledger, query: Query) -> list[str]:
    if query.currency is not None:
        return [query.currency]
    return sorted({transaction.currency for transaction in ledger.transactions if transaction.created < query.end})


def _chosen(transaction: Transaction, query: Query) -> bool:
    return query.currency in (None, transaction.currency) and query.category in (None, transaction.category)


def _known(payout: Payout | None, query: Query) -> Payout | None:
    return payout if payout is not None and payout.effective < query.known_until else None


def _itemized(row: ItemizedRow, query: Query) -> tuple[Value, ...]:
    return tuple(_in_zone(itemized_value(row, name), name, query) for name in query.columns)


def _tax(line: TaxLine, query: Query) -> tuple[Value, ...]:
    return tuple(_in_zone(tax_value(line, name), name, query) for name in query.columns)


def _in_zone(value: Value, name: str, query: Query) -> Value:
    """Times as the column wants them: UTC instants stay aware, report-zone times lose their zone."""
    if isinstance(value, datetime):
        column = query.report_type.column(name)
        if column is not None and column.type.kind == "timestamp":
            return value.astimezone(query.zone).replace(tzinfo=None)
        if column is not None and column.type.kind == "date":
            return value.date()
    return value


Report = Callable[[Ledger, Query], Iterator[tuple[Value, ...]]]
_REPORTS: Mapping[str, Report] = {
    "balance.summary": _balance_summary,
    "balance_change_from_activity.itemized": _balance_itemized,
    "balance_change_from_activity.summary": _summary(_activity, 1),
    "payouts.itemized": _payouts_itemized,
    "payouts.summary": _summary(
        lambda ledger, query: [transaction for _, transaction in _payout_transactions(ledger, query)], -1
    ),
    "payout_reconciliation.itemized": _payout_reconciliation,
    "payout_reconciliation.by_id.itemized": _by_payout,
    "payout_reconciliation.summary": _summary(
        lambda ledger, query: [transaction for _, transaction in _settled(ledger, query)], 1
    ),
    "ending_balance_reconciliation.itemized": _ending_balance,
    "ending_balance_reconciliation.summary": _summary(lambda ledger, query: _unsettled(ledger, query.end), 1),
    "tax.transactions.itemized": _tax_itemized,
}
