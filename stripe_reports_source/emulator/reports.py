"""Reports computed from ledgers, as values: what Stripe's CSV would say, before it is CSV. Pure.

In: ledgers, a report type of the catalogue, an interval, a zone, filters, columns. Out: rows of exact values.
This is also the truth that tests compare warehouse tables with, so it knows nothing of CSV. A report of an account is
computed from its ledger, one of connected accounts from the ledgers of all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ..plan.catalog import ReportType
from .generic import accounts_of, generic_rows
from .itemized import ItemizedRow, KnownPayout, Value, itemized_value, major, tax_value
from .ledger import Ledger
from .payouts import Payout, reversal_of
from .query import Query
from .transactions import TaxLine, Transaction

CONNECTED = "connected_account_"
Ledgers = Mapping[str | None, Ledger]
"""By connected account; None is the account itself."""


def rows(
    ledger: Ledger, query: Query, accounts: Sequence[str] = (), ledger_of: Callable[[str], Ledger] | None = None
) -> Iterator[tuple[Value, ...]]:
    """The rows of a report, in Stripe's order, with the values of `query.columns`.

    Args:
        ledger: the business.
        query: what is asked for.
        accounts: the platform's connected accounts.
        ledger_of: gives the ledger of a connected account; None if there is none, then its reports are made up.
    """
    base, connected = query.report_type.base, query.report_type.base.startswith(CONNECTED)
    if computable(query.report_type) and not (connected and ledger_of is None):
        ledgers: Ledgers = {None: ledger}
        if connected and ledger_of is not None:
            ledgers = {account: ledger_of(account) for account in accounts_of(query, accounts)}
        yield from _REPORTS[base.removeprefix(CONNECTED)](ledgers, query)
        return
    for row in generic_rows(ledger.seed, query, accounts):
        yield tuple(_in_zone(value, name, query) for name, value in zip(query.columns, row, strict=True))


def computable(report_type: ReportType) -> bool:
    """True for report types that follow from ledgers: known columns, and a report there is code for."""
    base = report_type.base
    if base.startswith(CONNECTED):
        return report_type.columns_complete and base.removeprefix(CONNECTED) in _OF_CONNECTED_ACCOUNTS
    return report_type.columns_complete and base in _REPORTS


def _balance_itemized(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for account, ledger in ledgers.items():
        settled = ledger.books.settled_by
        for transaction in ledger.books.activity(query.start, query.end):
            if _chosen(transaction, query):
                payout = _known(settled.get(transaction.id), query)
                yield _itemized(ItemizedRow(transaction, payout, account), query)


def _payout_reconciliation(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for account, ledger in ledgers.items():
        for payout, transaction in _settled(ledger, query):
            if _chosen(transaction, query):
                yield _itemized(ItemizedRow(transaction, KnownPayout(payout, query.known_until), account), query)


def _by_payout(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for payout, transaction in _of_payout(ledgers, query):
        if _chosen(transaction, query):
            yield _itemized(ItemizedRow(transaction, KnownPayout(payout, query.known_until)), query)


def _ending_balance(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for account, ledger in ledgers.items():
        for transaction in ledger.books.unsettled(query.end, query.known_until):
            if _chosen(transaction, query):
                yield _itemized(ItemizedRow(transaction, None, account), query)


def _payouts_itemized(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for account, ledger in ledgers.items():
        for payout, transaction in _payout_transactions(ledger, query):
            if _chosen(transaction, query):
                yield _itemized(ItemizedRow(transaction, KnownPayout(payout, query.known_until), account), query)


def _tax_itemized(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    for ledger in ledgers.values():
        for line in sorted(ledger.tax_lines, key=lambda line: (line.created, line.id)):
            if query.holds(line.created):
                yield _tax(line, query)


def _balance_summary(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
    start = query.start or query.end
    last_day = (query.end - timedelta(seconds=1)).astimezone(query.zone).date()
    activity, payouts = _by_currency(_activity(ledgers, query)), _by_currency(_paid(ledgers, query))
    for currency in _currencies(ledgers, query):
        gross = sum(transaction.gross for transaction in activity[currency])
        fee = sum(transaction.fee for transaction in activity[currency])
        paid = -sum(transaction.gross for transaction in payouts[currency])
        opening, closing = _balance(ledgers, query, currency, start), _balance(ledgers, query, currency, query.end)
        # Stripe writes no currency on payout lines of an interval without payouts
        payout_currency = currency if payouts[currency] else None
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


def _summary(select: Callable[[Ledgers, Query], Iterable[Transaction]], sign: int) -> Report:
    """A summary by category with a total per currency. Fees are negative in summaries, payouts too."""

    def report(ledgers: Ledgers, query: Query) -> Iterator[tuple[Value, ...]]:
        groups: dict[str, dict[str, list[Transaction]]] = defaultdict(lambda: defaultdict(list))
        for transaction in select(ledgers, query):
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


def _activity(ledgers: Ledgers, query: Query) -> Iterator[Transaction]:
    for ledger in ledgers.values():
        yield from ledger.books.activity(query.start, query.end)


def _paid(ledgers: Ledgers, query: Query) -> Iterator[Transaction]:
    for ledger in ledgers.values():
        for _, transaction in _payout_transactions(ledger, query):
            yield transaction


def _all_settled(ledgers: Ledgers, query: Query) -> Iterator[Transaction]:
    for ledger in ledgers.values():
        for _, transaction in _settled(ledger, query):
            yield transaction


def _all_unsettled(ledgers: Ledgers, query: Query) -> Iterator[Transaction]:
    for ledger in ledgers.values():
        yield from ledger.books.unsettled(query.end, query.known_until)


def _settled(ledger: Ledger, query: Query) -> Iterator[tuple[Payout, Transaction]]:
    for payout in ledger.books.arrived(query.start, query.end, query.known_until):
        if payout.automatic:
            for transaction in payout.settles:
                yield payout, transaction


def _of_payout(ledgers: Ledgers, query: Query) -> Iterator[tuple[Payout, Transaction]]:
    for ledger in ledgers.values():
        for payout in ledger.books.payouts:
            if payout.id == query.extra["payout"]:
                for transaction in payout.settles:
                    yield payout, transaction


def _payout_transactions(ledger: Ledger, query: Query) -> list[tuple[Payout, Transaction]]:
    """Payouts as positive transactions, their reversals as negative ones."""
    books = ledger.books
    found = [(payout, _left(payout, query)) for payout in books.arrived(query.start, query.end, query.known_until)]
    found += [(payout, _returned(payout)) for payout in books.sent_back(query.start, query.end)]
    return sorted(found, key=lambda paid: paid[1].sort_key)


def _left(payout: Payout, query: Query) -> Transaction:
    effective = payout.arrives(query.known_until)
    identity, description = payout.transaction_id, "STRIPE PAYOUT"
    return Transaction(
        identity, effective, payout.currency, payout.amount, 0, "payout", payout.id, description, effective
    )


def _returned(payout: Payout) -> Transaction:
    back = reversal_of(payout)
    return Transaction(**{**vars(back), "gross": -back.gross, "payable": back.created})


def _balance(ledgers: Ledgers, query: Query, currency: str, at: datetime) -> int:
    return sum(ledger.books.balance(currency, at, query.known_until) for ledger in ledgers.values())


def _currencies(ledgers: Ledgers, query: Query) -> list[str]:
    if query.currency is not None:
        return [query.currency]
    return sorted({currency for ledger in ledgers.values() for currency in ledger.books.currencies(query.end)})


def _by_currency(transactions: Iterable[Transaction]) -> Mapping[str, Sequence[Transaction]]:
    groups: dict[str, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        groups[transaction.currency].append(transaction)
    return groups


def _chosen(transaction: Transaction, query: Query) -> bool:
    return query.currency in (None, transaction.currency) and query.category in (None, transaction.category)


def _known(payout: Payout | None, query: Query) -> KnownPayout | None:
    """The payout that a transaction names: an automatic one that has been made by then."""
    if payout is None or not payout.automatic or payout.initiated >= query.known_until:
        return None
    return KnownPayout(payout, query.known_until)


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


Report = Callable[[Ledgers, Query], Iterator[tuple[Value, ...]]]
_REPORTS: Mapping[str, Report] = {
    "balance.summary": _balance_summary,
    "balance_change_from_activity.itemized": _balance_itemized,
    "balance_change_from_activity.summary": _summary(_activity, 1),
    "payouts.itemized": _payouts_itemized,
    "payouts.summary": _summary(_paid, -1),
    "payout_reconciliation.itemized": _payout_reconciliation,
    "payout_reconciliation.by_id.itemized": _by_payout,
    "payout_reconciliation.summary": _summary(_all_settled, 1),
    "ending_balance_reconciliation.itemized": _ending_balance,
    "ending_balance_reconciliation.summary": _summary(_all_unsettled, 1),
    "tax.transactions.itemized": _tax_itemized,
}
_OF_CONNECTED_ACCOUNTS = {name for name in _REPORTS if not name.startswith(("payout_reconciliation.by_id", "tax."))}
