"""The payouts of a business, which follow from its transactions. Pure.

In: transactions, the traits of the business, and what was changed by hand. Out: payouts, each with what it settles.
Automatic payouts leave the balance on the day they are expected to arrive, those made by hand when they are made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from .transactions import CURRENCIES, Transaction, chance_of, identity_of, midnight

FAILURE_DELAY = timedelta(days=1, hours=5)
CONFIRMED_AFTER = timedelta(days=1)
DEBITED_AFTER = timedelta(days=4)
MOVE_KNOWN_AFTER = timedelta(days=1, hours=12)
PAYOUT_TIME = timedelta(seconds=57)
INSTANT_TIME = timedelta(hours=15)
_FAILING, _MOVING, _LATE, _INSTANT = 0.04, 0.06, 0.3, 0.03


@dataclass(frozen=True)
class Payout:
    """A payout of funds of a currency; with a negative amount, a debit.

    Args:
        initiated: when it was made; from then on the transactions it settles can name it.
        effective: when it is expected to arrive, which is when it leaves the balance.
        reversed_at: when the bank sent it back.
        settles: its transactions.
        automatic: False for one that was made by hand: no report names it beside what it settles.
        first_expected, moved_at: when it was expected before that moved, and from when on the move is known.
        late_word: what becomes of it is told when it has come to pass, not with the payout.
    """

    id: str
    transaction_id: str
    currency: str
    amount: int
    initiated: datetime
    effective: datetime
    reversed_at: datetime | None
    settles: tuple[Transaction, ...]
    automatic: bool = True
    first_expected: datetime | None = None
    moved_at: datetime | None = None
    late_word: bool = True

    def arrives(self, known_until: datetime) -> datetime:
        """When it leaves the balance, to whoever has data up to an instant."""
        moved = self.moved_at is None or self.moved_at < known_until
        return self.effective if moved or self.first_expected is None else self.first_expected

    @property
    def last_arrival(self) -> datetime:
        """The latest that it is ever said to arrive."""
        return max(self.effective, self.first_expected or self.effective)


@dataclass(frozen=True)
class PayoutChange:
    """What was changed of a payout by hand; None is as it was. `known_from`: None is at once."""

    effective: datetime | None = None
    known_from: datetime | None = None
    reversed_at: datetime | None = None
    amount: int | None = None


@dataclass(frozen=True)
class PayoutRules:
    """How a business is paid out."""

    seed: int
    first_day: date
    traits: Collection[str]
    changes: Mapping[str, PayoutChange] = field(default_factory=dict)

    def has(self, trait: str) -> bool:
        """True for a trait of the business."""
        return trait in self.traits


def settle(rules: PayoutRules, transactions: Iterable[Transaction], last_day: date) -> Iterator[Payout]:
    """All payouts made up to a day, included; currency by currency."""
    by_currency: dict[str, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        by_currency[transaction.currency].append(transaction)
    for currency in CURRENCIES:
        yield from _settle(rules, currency, by_currency[currency], last_day)


def reversal_of(payout: Payout) -> Transaction:
    """The funds of a failed payout coming back; the next day's payout pays them again."""
    created = payout.reversed_at or payout.effective
    return Transaction(
        id=f"txn_{identity_of(payout.id, 'reversal')}",
        created=created,
        currency=payout.currency,
        gross=payout.amount,
        fee=0,
        category="payout_reversal",
        source_id=payout.id,
        description="PAYOUT FAILED",
        payable=midnight(created.date()) + timedelta(days=1),
    )


def _settle(rules: PayoutRules, currency: str, transactions: list[Transaction], last_day: date) -> Iterator[Payout]:
    waiting: dict[datetime, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        waiting[transaction.payable].append(transaction)
    funds: list[Transaction] = []
    negative_since: date | None = None
    day = rules.first_day
    while day <= last_day:
        made = []
        funds += waiting.pop(midnight(day), [])
        amount = sum(transaction.net for transaction in funds)
        negative_since = (negative_since or day) if amount < 0 else None
        if amount > 0 or _debited(rules, day, negative_since):
            made.append(_automatic(rules, currency, day, amount, tuple(funds)))
            funds, negative_since = [], None
        taken = _taken_by_hand(rules, currency, day, waiting)
        if taken:
            made.append(_by_hand(rules, currency, day, taken))
        for payout in made:
            yield payout
            if payout.reversed_at is not None:
                back = reversal_of(payout)
                waiting[back.payable].append(back)
        day += timedelta(days=1)


def _debited(rules: PayoutRules, day: date, negative_since: date | None) -> bool:
    return rules.has("negative_payouts") and negative_since is not None and day - negative_since >= DEBITED_AFTER


def _automatic(rules: PayoutRules, currency: str, day: date, amount: int, settles: tuple[Transaction, ...]) -> Payout:
    chance = chance_of(rules.seed, "payout", currency, day)
    failing, late, moving, days = chance.random(), chance.random(), chance.random(), chance.randrange(1, 6)
    waited = any(transaction.payable < midnight(day) for transaction in settles)  # for the funds to be positive
    transit = 1 if rules.has("transit") and late < _LATE and not waited else 0
    if rules.has("slow_transit"):
        transit += days if late < 2 * _LATE else 0
    initiated = midnight(day) + PAYOUT_TIME
    effective = first = initiated + timedelta(days=transit)
    moves = rules.has("moving_arrivals") and moving < _MOVING
    if moves:
        effective += timedelta(days=1 + days % 2)
    fails = rules.has("failed_payouts") and failing < _FAILING and amount > 0
    identity = identity_of(rules.seed, "payout", currency, day)
    payout = Payout(
        id=f"po_{identity}",
        transaction_id=f"txn_{identity}",
        currency=currency,
        amount=amount,
        initiated=initiated,
        effective=effective,
        reversed_at=effective + FAILURE_DELAY if fails else None,
        settles=settles,
        first_expected=first if moves else None,
        moved_at=initiated + MOVE_KNOWN_AFTER if moves else None,
        late_word=rules.has("late_word"),
    )
    return _changed(payout, rules.changes.get(payout.id))


def _taken_by_hand(
    rules: PayoutRules, currency: str, day: date, waiting: Mapping[datetime, list[Transaction]]
) -> tuple[Transaction, ...]:
    """What a payout made by hand on a day takes of the funds that wait; they wait no longer."""
    if not rules.has("instant_payouts") or chance_of(rules.seed, "instant", currency, day).random() >= _INSTANT:
        return ()
    moment = midnight(day) + INSTANT_TIME

    def takes(transaction: Transaction) -> bool:
        return transaction.created < moment and transaction.recorded is None

    taken = [transaction for group in waiting.values() for transaction in group if takes(transaction)]
    if sum(transaction.net for transaction in taken) <= 0:
        return ()
    for group in waiting.values():
        group[:] = [transaction for transaction in group if not takes(transaction)]
    return tuple(sorted(taken, key=lambda transaction: transaction.sort_key))


def _by_hand(rules: PayoutRules, currency: str, day: date, settles: tuple[Transaction, ...]) -> Payout:
    identity = identity_of(rules.seed, "instant", currency, day)
    made = midnight(day) + INSTANT_TIME
    payout = Payout(
        id=f"po_{identity}",
        transaction_id=f"txn_{identity}",
        currency=currency,
        amount=sum(transaction.net for transaction in settles),
        initiated=made,
        effective=made,
        reversed_at=None,
        settles=settles,
        automatic=False,
        late_word=rules.has("late_word"),
    )
    return _changed(payout, rules.changes.get(payout.id))


def _changed(payout: Payout, change: PayoutChange | None) -> Payout:
    if change is None:
        return payout
    if change.amount is not None:
        payout = replace(payout, amount=change.amount)
    if change.effective is not None:
        fails = payout.reversed_at is not None
        payout = replace(
            payout,
            first_expected=None if change.known_from is None else payout.effective,
            moved_at=change.known_from,
            effective=change.effective,
            reversed_at=change.effective + FAILURE_DELAY if fails else None,
        )
    return payout if change.reversed_at is None else replace(payout, reversed_at=change.reversed_at)
