"""What the answers to the questions of docs/marts.md must be, from the business's own books in Python.

In: the books of the demonstration. Out: the rows of each answer, by the question's heading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from stripe_reports_source.emulator.itemized import major
from stripe_reports_source.emulator.payouts import reversal_of
from stripe_reports_source.emulator.transactions import Transaction
from tests.marts.truth import CHART, ZERO, Movement, Truth

Rows = list[tuple[Any, ...]]
MARCH = date(2025, 3, 1)
APRIL = date(2025, 4, 1)
PAYOUT = "po_f5357803502f96c000d4"
BIG = ("eur", "usd")
SALES = ("charge", "refund")


def held(category: str) -> bool:
    """True for money that Stripe only holds back for a time."""
    return "reserve" in category or "minimum_balance" in category


def net(made: Transaction) -> Decimal:
    """The effect of a transaction on the balance."""
    return major(made.net, made.currency)


def gross(made: Transaction) -> Decimal:
    """Its gross amount."""
    return major(made.gross, made.currency)


def fee(made: Transaction) -> Decimal:
    """Its fee, as effect on the balance."""
    return major(-made.fee, made.currency)


def summed(rows: Iterable[tuple[Any, ...]], keys: int) -> Rows:
    """Rows grouped by their first values, the others added up, in order."""
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        groups[row[:keys]].append(row[keys:])
    return [(*key, *map(sum, zip(*values, strict=True))) for key, values in sorted(groups.items())]


def moves(truth: Truth, *, payouts: bool = False) -> list[Movement]:
    """Activity, or payouts."""
    return [move for move in truth.movements if move.payout == payouts]


def earned_in_march(truth: Truth) -> Rows:
    return summed(
        (
            (move.currency, move.gross, move.fee, move.net)
            for move in moves(truth)
            if move.month == MARCH and move.currency in BIG and not held(move.category)
        ),
        1,
    )


def in_the_payout(truth: Truth) -> Rows:
    [payout] = [payout for payout in truth.payouts if payout.id == PAYOUT]
    lines = [(made.category, 1, gross(made), fee(made), net(made)) for made in payout.settles]
    [(*whole,)] = summed((("payout", *line[1:]) for line in lines), 1)
    return [*summed(lines, 1), tuple(whole)]


def balance_now(truth: Truth) -> Rows:
    day = truth.day(truth.end) - timedelta(days=1)
    return [(currency, truth.balance(currency, truth.end), day) for currency in truth.currencies(truth.end.date())]


def march_rolls_forward(truth: Truth) -> Rows:
    rows = [row[3:10] for row in truth.rollforward() if row[1] == MARCH and row[2] == "usd"]
    place = {"opening_balance": 0, "closing_balance": 2}
    rows.sort(key=lambda row: (place.get(row[0], 1), row[0]))
    return [*rows, ("total", *map(sum, zip(*(row[1:] for row in rows), strict=True)))]


def each_month(truth: Truth) -> Rows:
    rows = [row for row in truth.rollforward() if row[2] == "usd"]
    return summed(((row[1], row[4], row[7], row[8], row[9], ZERO) for row in rows), 1)


def differences(truth: Truth) -> Rows:
    rows = [row for row in truth.rollforward() if row[3] == "closing_balance"]
    return summed(((row[2], 1, ZERO) for row in rows), 1)


def balance_on_a_day(truth: Truth) -> Rows:
    days = [date(2025, 4, day) for day in range(14, 19)]
    return [
        (row[1], row[3], row[6], row[7], row[8]) for row in sorted(truth.daily()) if row[1] in days and row[2] == "usd"
    ]


def highest(truth: Truth) -> Rows:
    rows = [(row[2], row[8], row[1]) for row in truth.daily() if row[2] in BIG]
    best = {currency: max(amount for other, amount, _ in rows if other == currency) for currency in BIG}
    return [
        (
            currency,
            min(day for other, amount, day in rows if (other, amount) == (currency, best[currency])),
            best[currency],
        )
        for currency in BIG
    ]


def below_zero(truth: Truth) -> Rows:
    return summed(((row[2], 1, min(row[8], ZERO)) for row in truth.daily() if row[8] < 0), 1) and [
        (currency, len(lows), min(lows))
        for currency in sorted({row[2] for row in truth.daily()})
        if (lows := [row[8] for row in truth.daily() if row[2] == currency and row[8] < 0])
    ]


def fees_by_month(truth: Truth) -> Rows:
    found = []
    for _, _, day, currency, category, amount, _ in truth.fees():
        if currency == "usd":
            billed = category == "fee"
            found.append((day.replace(day=1), ZERO if billed else amount, amount if billed else ZERO, amount))
    return summed(found, 1)


def fees_by_brand(truth: Truth) -> Rows:
    return summed(
        (
            (made.payment.card_brand, 1, gross(made), fee(made))
            for made in truth.transactions
            if made.payment
            and made.category == "charge"
            and made.fee
            and made.currency == "usd"
            and in_march(truth, made)
        ),
        1,
    )


def in_march(truth: Truth, made: Transaction) -> bool:
    """True for what was made in March."""
    return MARCH <= truth.day(made.created) < APRIL


def billed_in_march(truth: Truth) -> Rows:
    return sorted(
        (truth.day(made.created), made.description, net(made), made.currency)
        for made in truth.transactions
        if made.category == "fee" and in_march(truth, made)
    )


def refunds_by_month(truth: Truth) -> Rows:
    return summed(
        ((move.month, 1, move.gross) for move in moves(truth) if move.category == "refund" and move.currency == "usd"),
        1,
    )


def refunds_in_payouts(truth: Truth) -> Rows:
    days = (date(2025, 3, 3), date(2025, 3, 8))
    found = [
        (truth.day(payout.arrives(truth.end)), payout.id, 1, gross(made))
        for payout in truth.payouts
        for made in payout.settles
        if made.category == "refund"
        and payout.currency == "usd"
        and days[0] <= truth.day(payout.arrives(truth.end)) < days[1]
    ]
    return summed(found, 2)


def disputes(truth: Truth) -> Rows:
    found = []
    for move in moves(truth):
        if move.currency in BIG and move.category.startswith("dispute"):
            won = move.category == "dispute_reversal"
            found.append((move.currency, ZERO if won else move.net, move.net if won else ZERO, move.net))
    return summed(found, 1)


def failed(truth: Truth) -> Rows:
    rows = []
    for payout in truth.returns:
        again = truth.books.settled_by.get(reversal_of(payout).id)
        arrived = again if again in truth.payouts else None
        rows.append(
            (
                *(payout.id, payout.currency, major(payout.amount, payout.currency)),
                *(truth.day(payout.arrives(truth.end)), truth.day(payout.reversed_at or truth.end)),
                *((arrived.id, truth.day(arrived.arrives(truth.end))) if arrived else (None, None)),
            )
        )
    return sorted((row for row in rows if row[1] in BIG), key=lambda row: (row[3], row[0]))[:5]


def reached_the_bank(truth: Truth) -> Rows:
    found = []
    for move in moves(truth, payouts=True):
        if move.currency == "usd":
            back = move.category == "payout_reversal"
            found.append((move.month, ZERO if back else -move.net, -move.net if back else ZERO, -move.net))
    return summed(found, 1)


def payouts_and_rows(truth: Truth) -> Rows:
    found = [(payout.currency, 1, int(not payout.settles), len(payout.settles), ZERO) for payout in truth.payouts]
    return summed(found, 1)


def paid_by_day(truth: Truth) -> Rows:
    days = range(10, 15)
    found = [
        (truth.day(payout.arrives(truth.end)), payout.id, major(payout.amount, "usd"), len(payout.settles))
        for payout in truth.payouts
        if payout.currency == "usd"
    ]
    return sorted(row for row in found if row[0] in [date(2025, 3, day) for day in days])


def days_until_paid(truth: Truth) -> Rows:
    return summed(
        (
            ((truth.day(payout.arrives(truth.end)) - truth.day(made.created)).days, 1, net(made))
            for payout in truth.payouts
            for made in payout.settles
            if made.category == "charge" and made.currency == "usd" and in_march(truth, made)
        ),
        1,
    )


def march_in_other_months(truth: Truth) -> Rows:
    return summed(
        (
            (truth.day(payout.arrives(truth.end)).replace(day=1), 1, net(made))
            for payout in truth.payouts
            for made in payout.settles
            if made.currency == "usd" and in_march(truth, made) and made.category != "payout_reversal"
        ),
        1,
    )


def one_charge(truth: Truth) -> Rows:
    [payout] = [payout for payout in truth.payouts if payout.id == PAYOUT]
    charge = next(made for made in payout.settles if made.category == "refund")
    assert charge.payment is not None
    return sorted(
        (truth.day(other.arrives(truth.end)), other.id, made.category, net(made))
        for other in truth.payouts
        for made in other.settles
        if made.payment and made.payment.charge_id == charge.payment.charge_id
    )


def not_paid_out(truth: Truth) -> Rows:
    found = truth.books.unsettled(truth.end, truth.end)
    oldest = {
        currency: min(truth.day(made.created) for made in found if made.currency == currency)
        for currency in {made.currency for made in found}
    }
    return [(*row, oldest[row[0]]) for row in summed(((made.currency, 1, net(made)) for made in found), 1)]


def journal_of_march(truth: Truth) -> Rows:
    by_line: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for move in truth.movements:
        if move.month == MARCH and move.currency == "usd":
            by_line[move.day, move.category, move.payout_id, "gross"] += move.gross
            by_line[move.day, move.category, move.payout_id, "fee"] += move.fee
    found = []
    for (_, category, _payout, part), amount in by_line.items():
        against = "Stripe fees" if part == "fee" else CHART[category]
        for account, debited in (("Stripe balance", amount), (against, -amount)):
            found.append((account, max(debited, ZERO), max(-debited, ZERO)))
    return summed((line for line in found if any(line[1:])), 1)


def journal_balances(truth: Truth) -> Rows:
    return [(currency, ZERO) for currency in truth.currencies(truth.end.date())]


def journal_is_the_balance(truth: Truth) -> Rows:
    return [
        (
            currency,
            truth.balance(currency, truth.start),
            truth.balance(currency, truth.end) - truth.balance(currency, truth.start),
            truth.balance(currency, truth.end),
        )
        for currency in truth.currencies(truth.end.date())
    ]


def by_country(truth: Truth) -> Rows:
    found = summed(
        (
            (made.payment.card_country, 1, gross(made))
            for made in truth.transactions
            if made.payment and made.category == "charge" and made.currency == "eur" and in_march(truth, made)
        ),
        1,
    )
    return sorted(found, key=lambda row: -row[2])


def held_back(truth: Truth) -> Rows:
    return summed(((move.currency, move.net) for move in moves(truth) if held(move.category)), 1)


def nothing_open(truth: Truth) -> Rows:
    assert truth.movements
    return [(0,)]


ANSWERS: dict[str, Callable[[Truth], Sequence[tuple[Any, ...]]]] = {
    "What did we earn in March?": earned_in_march,
    "What is in this payout?": in_the_payout,
    "What is our balance?": balance_now,
    "How did March roll forward, from opening to closing?": march_rolls_forward,
    "What were the opening and closing balances of each month?": each_month,
    "Does each month come to what Stripe says?": differences,
    "What was the balance at the end of a day?": balance_on_a_day,
    "When was the balance highest?": highest,
    "On how many days did a balance end below zero?": below_zero,
    "What does Stripe cost us?": fees_by_month,
    "What do cards cost, by brand?": fees_by_brand,
    "What did Stripe bill beside the fees of payments?": billed_in_march,
    "How much did we refund?": refunds_by_month,
    "Which payouts had refunds in them?": refunds_in_payouts,
    "What did disputes cost us?": disputes,
    "Which payouts failed, and what paid them again?": failed,
    "How much reached the bank?": reached_the_bank,
    "Is each payout the sum of its transactions?": payouts_and_rows,
    "What should be on the bank statement this week?": paid_by_day,
    "How long does a sale take until it is paid out?": days_until_paid,
    "In which month was March's activity paid out?": march_in_other_months,
    "Which payouts have to do with this charge?": one_charge,
    "What is not paid out yet, and since when?": not_paid_out,
    "What does Stripe hold back?": held_back,
    "Where do the cards come from?": by_country,
    "What are March's journal entries?": journal_of_march,
    "Do debits equal credits?": journal_balances,
    "Is the ledger's Stripe balance Stripe's balance?": journal_is_the_balance,
    "Is anything open?": nothing_open,
}
"""By the question."""
