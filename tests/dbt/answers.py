"""The answers to the questions of `QUESTIONS.md`, from a business's own ledger in Python: no report, no SQL, no mart.

In: the truth of a business. Out: for each question, by its heading, the rows that its SQL must give.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from stripe_reports_source.emulator.itemized import major
from stripe_reports_source.emulator.transactions import Transaction
from tests.marts.truth import CHART, Movement, Truth

Rows = list[tuple[Any, ...]]
MARCH = date(2025, 3, 1)


def _summed(rows: Iterable[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> Rows:
    """Keys in order, each with the sums of its figures."""
    sums: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, figures in rows:
        before = sums.get(key, (Decimal(0),) * len(figures))
        sums[key] = tuple(was + figure for was, figure in zip(before, figures, strict=True))
    return [(*key, *sums[key]) for key in sorted(sums)]


def _earned(truth: Truth) -> Rows:
    held = ("risk_reserved_funds", "payout_minimum_balance_hold", "payout_minimum_balance_release")
    moves = (move for move in _activity(truth) if move.month == MARCH and move.category not in held)
    return _summed(((move.currency,), (move.gross, move.fee, move.net)) for move in moves)


def _activity(truth: Truth) -> Iterable[Movement]:
    return (move for move in truth.movements if not move.payout)


def _fees(truth: Truth, *, billed: bool) -> Rows:
    """By month and currency: the number of fees and what they come to; of all, or of those that were billed."""
    rows = _summed(
        ((day.replace(day=1), currency), (1, -fee))
        for _, _, day, currency, _, fee, taken_from in truth.fees()
        if not billed or taken_from is None
    )
    return rows if billed else [(month, currency, cost) for month, currency, _, cost in rows]


def _brands(truth: Truth) -> Rows:
    return _summed(
        ((made.payment.card_brand, made.currency), (1, major(made.fee, made.currency)))
        for made in truth.transactions
        if made.category == "charge" and made.fee and made.payment
    )


def _sold(truth: Truth) -> Rows:
    return _summed(
        (
            (move.month, move.currency),
            (move.gross if move.category == "charge" else 0, -move.gross if move.category == "refund" else 0),
        )
        for move in _activity(truth)
    )


def _disputes(truth: Truth) -> Rows:
    return _summed(
        ((move.currency,), (int(move.category == "dispute"), int(move.category == "dispute_reversal"), move.net))
        for move in _activity(truth)
        if move.category in ("dispute", "dispute_reversal")
    )


def _customers(truth: Truth) -> Rows:
    sold: Counter[str] = Counter()
    for payout in _automatic(truth):
        for made in payout.settles:
            if made.category == "charge" and made.currency == "usd" and made.payment:
                sold[made.payment.person.id] += made.gross
    ranked = sorted(sold.items(), key=lambda item: (-item[1], item[0]))
    return [(customer, major(gross, "usd")) for customer, gross in ranked[:5]]


def _automatic(truth: Truth) -> list[Any]:
    return [payout for payout in truth.payouts if payout.automatic]


def _closings(truth: Truth) -> Rows:
    return sorted((row[1], row[2], row[9]) for row in truth.rollforward() if row[3] == "closing_balance")


def _march(truth: Truth) -> Rows:
    chosen = (row for row in truth.rollforward() if (row[1], row[2]) == (MARCH, "usd"))
    return sorted((row[3], row[4], row[7], row[8], row[9]) for row in chosen)


def _evening(truth: Truth) -> Rows:
    return sorted((row[2], row[8]) for row in truth.daily() if row[1] == date(2025, 2, 14))


def _lowest(truth: Truth) -> Rows:
    days: dict[str, list[tuple[Decimal, date]]] = defaultdict(list)
    for row in truth.daily():
        days[row[2]].append((row[8], row[1]))
    return [(currency, min(found)[1], min(found)[0]) for currency, found in sorted(days.items())]


def _waiting(truth: Truth) -> Rows:
    return _summed(((row[2],), (1, row[6])) for row in truth.unsettled())


def _balance_and_waiting(truth: Truth) -> Rows:
    last = max(row[1] for row in truth.daily())
    closing = {row[2]: row[8] for row in truth.daily() if row[1] == last}
    waiting = {currency: net for currency, _, net in _waiting(truth)}
    return [(currency, closing[currency], waiting.get(currency, Decimal(0))) for currency in sorted(closing)]


def _paid(truth: Truth) -> Rows:
    return _summed(
        ((truth.day(row[5]).replace(day=1), row[2]), (1, row[3])) for row in truth.payout_rows() if row[6] is None
    )


def _failed(truth: Truth) -> Rows:
    return sorted((row[1], row[2], row[3], row[6], row[9]) for row in truth.payout_rows() if row[6])


def _not_again(truth: Truth) -> Rows:
    return sorted((row[1], row[2], row[7]) for row in truth.payout_rows() if row[6] and row[9] is None)


def _largest(truth: Truth) -> Rows:
    of_usd = [payout for payout in _automatic(truth) if payout.currency == "usd"]
    largest = min(of_usd, key=lambda payout: (-payout.amount, payout.id))
    return _summed(((made.category,), (1, *_amounts(made))) for made in largest.settles)


def _largest_charge(truth: Truth) -> Rows:
    charges = [
        (made, payout)
        for payout in _automatic(truth)
        for made in payout.settles
        if made.category == "charge" and made.currency == "eur"
    ]
    made, payout = min(charges, key=lambda pair: (-pair[0].gross, pair[0].id))
    return [(made.id, major(made.gross, "eur"), payout.id, truth.day(payout.arrives(truth.end)))]


def _days(truth: Truth) -> Rows:
    counts = Counter(
        (truth.day(payout.arrives(truth.end)) - truth.day(made.created)).days
        for payout in _automatic(truth)
        for made in payout.settles
        if made.category == "charge"
    )
    return sorted(counts.items())


def _amounts(made: Transaction) -> tuple[Decimal, ...]:
    return major(made.gross, made.currency), major(-made.fee, made.currency), major(made.net, made.currency)


def _journal(truth: Truth) -> Rows:
    """Sums of each day, category and side are one line; payouts are one line each."""
    lines: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for move in truth.movements:
        if move.month == MARCH:
            for side, amount in (("gross", move.gross), ("fee", move.fee)):
                lines[move.day, move.currency, move.category, move.payout_id, side] += amount
    booked = []
    for (_, currency, category, _, side), amount in lines.items():
        debit, credit = max(amount, Decimal(0)), max(-amount, Decimal(0))
        booked.append((("Stripe balance", currency), (debit, credit)))
        other = "Stripe fees" if side == "fee" else CHART[category]
        booked.append(((other, currency), (credit, debit)))
    return [row for row in _summed(booked) if row[2] or row[3]]


def _loaded(truth: Truth) -> Rows:
    names = (
        *("balance_change_from_activity_itemized", "balance_change_from_activity_summary", "balance_summary"),
        *("ending_balance_reconciliation_itemized", "payout_reconciliation_itemized", "payouts_itemized"),
    )
    return [(name, truth.account, truth.end, truth.end) for name in names]


def _nothing(truth: Truth) -> Rows:
    return []


ANSWERS: Mapping[str, Callable[[Truth], Rows]] = {
    "What did we earn in March?": _earned,
    "What did Stripe cost us each month?": lambda truth: _fees(truth, billed=False),
    "Which fees did Stripe bill by themselves?": lambda truth: _fees(truth, billed=True),
    "What do card brands cost?": _brands,
    "How much was sold, and how much refunded?": _sold,
    "How many disputes were there, and how many did we win?": _disputes,
    "Which customers bring most?": _customers,
    "What was the balance at the end of each month?": _closings,
    "What moved the balance in March?": _march,
    "Is there a month that does not roll forward?": _nothing,
    "What was the balance on the evening of 14 February?": _evening,
    "When was the balance lowest?": _lowest,
    "What is not paid out yet?": _waiting,
    "Does what is not paid out make up the balance?": _balance_and_waiting,
    "How much reached the bank each month?": _paid,
    "Which payouts failed, and what paid their money again?": _failed,
    "Which returned money has not been paid again?": _not_again,
    "What is in the largest payout?": _largest,
    "Which payout paid out our largest charge?": _largest_charge,
    "How many days pass between a charge and its payout?": _days,
    "What do we book for March?": _journal,
    "Is there a day on which debits do not equal credits?": _nothing,
    "What is booked to the suspense account?": _nothing,
    "What is open?": _nothing,
    "How far are the reports loaded?": _loaded,
}
"""By the headings of the page."""
