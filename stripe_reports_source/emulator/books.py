"""A ledger's figures, indexed once so that a report of any interval is quick. Pure.

In: the transactions and payouts of a ledger, as they are now. Out: activity of an interval, balance at an instant,
what is not yet paid out. Made anew when the ledger changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import accumulate

from .payouts import Payout, reversal_of
from .transactions import Transaction


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

    def balance(self, currency: str, at: datetime, known_until: datetime) -> int:
        """The balance at an instant, to whoever has data up to `known_until`."""
        created, sums = self._earned.get(currency, ((), ()))
        before = bisect_left(created, at)
        back = sum(
            payout.amount for payout in self._reversed(currency) if payout.reversed_at and payout.reversed_at < at
        )
        paid = sum(payout.amount for payout in self._of_currency.get(currency, ()) if payout.arrives(known_until) < at)
        return (sums[before - 1] if before else 0) + back - paid

    def unsettled(self, end: datetime, known_until: datetime) -> list[Transaction]:
        """Everything created before an instant that no payout has paid before it, returned funds included."""
        found = [*self.activity(None, end), *(back for back in self._returned if back.created < end)]

        def waits(transaction: Transaction) -> bool:
            payout = self.settled_by.get(transaction.id)
            return payout is None or payout.arrives(known_until) >= end

        return sorted(filter(waits, found), key=lambda transaction: transaction.sort_key)

    @cached_property
    def _created(self) -> Sequence[datetime]:
        return [transaction.created for transaction in self._transactions]

    @cached_property
    def _earned(self) -> Mapping[str, tuple[Sequence[datetime], Sequence[int]]]:
        """By currency: when each transaction was created, and what all up to it come to."""
        groups: dict[str, list[Transaction]] = defaultdict(list)
        for transaction in self._transactions:
            groups[transaction.currency].append(transaction)
        return {
            currency: (
                [transaction.created for transaction in group],
                list(accumulate(transaction.net for transaction in group)),
            )
            for currency, group in groups.items()
        }

    @cached_property
    def _of_currency(self) -> Mapping[str, Sequence[Payout]]:
        groups: dict[str, list[Payout]] = defaultdict(list)
        for payout in self.payouts:
            groups[payout.currency].append(payout)
        return groups

    @cached_property
    def _returned(self) -> Sequence[Transaction]:
        return [reversal_of(payout) for payout in self.payouts if payout.reversed_at is not None]

    def _reversed(self, currency: str) -> Iterator[Payout]:
        return (payout for payout in self._of_currency.get(currency, ()) if payout.reversed_at is not None)
