"""A ledger's figures, indexed once so that a report of any interval is quick. Pure.

In: the transactions and payouts of a ledger, as they are now. Out: activity of an interval, balance at an instant,
what is not yet paid out. Made anew when the ledger changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate

from .payouts import Payout, reversal_of
from .transactions import Transaction

SOON = timedelta(days=10)
"""Within which most transactions are settled."""


class Books:
    """See the module. `payouts` are in order of their arrival."""

    def __init__(self, transactions: Sequence[Transaction], payouts: Sequence[Payout]) -> None:
        self._transactions = transactions
        self.payouts = payouts

    @cached_property
    def settled_by(self) -> Mapping[str, Payout]:
        """The payout that settles a transaction, by the transaction's id; also one that was made by hand."""
        return {transaction.id: payout for payout in self.payouts for transaction in payout.settles}

    def activity(self, start: datetime | None, end: datetime) -> Sequence[Transaction]:
        """The transactions created in a half-open interval, in order."""
        first = 0 if start is None else bisect_left(self._created, start)
        return self._transactions[first : bisect_left(self._created, end)]

    def currencies(self, end: datetime) -> Sequence[str]:
        """The currencies of all transactions created before an instant."""
        return sorted(currency for currency, (created, _) in self._earned.items() if created[0] < end)

    def arrived(self, start: datetime | None, end: datetime, known_until: datetime) -> list[Payout]:
        """The payouts that left the balance in a half-open interval, as far as is known, in order."""
        first = 0 if start is None else bisect_left(self._effective, start)
        near = self.payouts[first : bisect_left(self._effective, end)]
        found = [payout for payout in near if payout.first_expected is None] + [
            payout
            for payout in self._moved
            if (start is None or start <= payout.arrives(known_until)) and payout.arrives(known_until) < end
        ]
        return sorted(found, key=lambda payout: (payout.arrives(known_until), payout.id))

    def sent_back(self, start: datetime | None, end: datetime) -> list[Payout]:
        """The payouts that the bank sent back in a half-open interval."""
        return [
            payout
            for payout in self.payouts_sent_back
            if payout.reversed_at and (start is None or start <= payout.reversed_at) and payout.reversed_at < end
        ]

    def balance(self, currency: str, at: datetime, known_until: datetime) -> int:
        """The balance at an instant, to whoever has data up to `known_until`."""
        back = sum(back.net for back in self._returned if back.currency == currency and back.created < at)
        moved = sum(
            payout.amount for payout in self._moved if payout.currency == currency and payout.arrives(known_until) < at
        )
        return _upto(self._earned, currency, at) + back - _upto(self._paid, currency, at) - moved

    def unsettled(self, end: datetime, known_until: datetime) -> list[Transaction]:
        """Everything created before an instant that no payout has paid before it, returned funds included."""
        near = self.activity(end - SOON, end)
        far = self._transactions_that_wait[: bisect_left(self._transactions_that_wait, end, key=_created)]
        found = {transaction.id: transaction for transaction in (*near, *far, *self._returned)}

        def waits(transaction: Transaction) -> bool:
            payout = self.settled_by.get(transaction.id)
            return transaction.created < end and (payout is None or payout.arrives(known_until) >= end)

        return sorted(filter(waits, found.values()), key=lambda transaction: transaction.sort_key)

    @cached_property
    def payouts_sent_back(self) -> Sequence[Payout]:
        """The payouts that the bank sent back."""
        return [payout for payout in self.payouts if payout.reversed_at is not None]

    @cached_property
    def _transactions_that_wait(self) -> Sequence[Transaction]:
        """Those that are not settled soon, in order."""

        def soon(transaction: Transaction) -> bool:
            payout = self.settled_by.get(transaction.id)
            return payout is not None and payout.last_arrival < transaction.created + SOON

        return [transaction for transaction in self._transactions if not soon(transaction)]

    @cached_property
    def _created(self) -> Sequence[datetime]:
        return [transaction.created for transaction in self._transactions]

    @cached_property
    def _effective(self) -> Sequence[datetime]:
        return [payout.effective for payout in self.payouts]

    @cached_property
    def _moved(self) -> Sequence[Payout]:
        """The payouts whose arrival depends on who asks."""
        return [payout for payout in self.payouts if payout.first_expected is not None]

    @cached_property
    def _returned(self) -> Sequence[Transaction]:
        return [reversal_of(payout) for payout in self.payouts_sent_back]

    @cached_property
    def _earned(self) -> Mapping[str, _Sums]:
        return _sums((made.currency, made.created, made.net) for made in self._transactions)

    @cached_property
    def _paid(self) -> Mapping[str, _Sums]:
        """Of the payouts whose arrival is the same to all."""
        fixed = (payout for payout in self.payouts if payout.first_expected is None)
        return _sums((payout.currency, payout.effective, payout.amount) for payout in fixed)


_Sums = tuple[Sequence[datetime], Sequence[int]]


def _sums(amounts: Iterable[tuple[str, datetime, int]]) -> Mapping[str, _Sums]:
    """Of amounts in order of their time, by currency: the times, and what all up to each come to."""
    groups: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for currency, instant, amount in amounts:
        groups[currency].append((instant, amount))
    return {
        currency: ([instant for instant, _ in group], list(accumulate(amount for _, amount in group)))
        for currency, group in groups.items()
    }


def _upto(sums: Mapping[str, _Sums], currency: str, at: datetime) -> int:
    instants, amounts = sums.get(currency, ((), ()))
    before = bisect_left(instants, at)
    return amounts[before - 1] if before else 0


def _created(transaction: Transaction) -> datetime:
    return transaction.created
