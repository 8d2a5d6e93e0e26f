"""A synthetic business that grows day by day: its balance transactions, payouts and tax lines. Pure and deterministic.

In: a seed, a scale, a first day, traits. Out: a ledger; each day follows from these and the date alone, so that growing
never changes what was there. Only the changes by hand do: late rows, rows withdrawn or restated, payouts moved or sent
back. Amounts are whole minor units (cents).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

from .books import Books
from .business import Business
from .payouts import Payout, PayoutChange, PayoutRules, settle
from .traits import DEFAULT_TRAITS
from .transactions import TaxLine, Transaction


class Ledger:
    """See the module. `transactions` is in order of creation and holds everything but payouts."""

    def __init__(self, seed: int, scale: float, first_day: date, traits: Collection[str] = DEFAULT_TRAITS) -> None:
        self.seed = seed
        self._business = Business(seed, scale, first_day, frozenset(traits))
        self._next_day = first_day
        self._changes: dict[str, PayoutChange] = {}
        self._books: Books | None = None
        self.transactions: list[Transaction] = []
        self.tax_lines: list[TaxLine] = []

    def grow_to(self, end: datetime) -> None:
        """Make all that happens before `end`. A day more, because local days begin earlier east of Greenwich."""
        while self._next_day <= end.date() + timedelta(days=1):
            for item in self._business.day(self._next_day):
                if isinstance(item, TaxLine):
                    self.tax_lines.append(item)
                else:
                    insort(self.transactions, item, key=lambda other: other.sort_key)
            self._next_day += timedelta(days=1)
            self._books = None

    def add(self, transaction: Transaction) -> None:
        """Add a transaction that comes late: it is created in the past but only reports from now on show it."""
        insort(self.transactions, transaction, key=lambda other: other.sort_key)
        self._books = None

    def withdraw(self, transaction_id: str) -> None:
        """Take a transaction out again: reports from now on do not show it, so an interval may lose all its rows.

        Raises:
            KeyError: there is no such transaction.
        """
        self.transactions.remove(self._transaction(transaction_id))
        self._books = None

    def restate(
        self,
        transaction_id: str,
        *,
        gross: int | None = None,
        fee: int | None = None,
        category: str | None = None,
        created: datetime | None = None,
        payout_stays: bool = False,
    ) -> None:
        """Change a transaction, also one that is paid out already.

        Args:
            transaction_id: which.
            gross, fee: other amounts in minor units; None is as it was.
            category: another reporting category.
            created: another time of creation, before the transaction may be settled.
            payout_stays: True keeps the amount of its payout, so that Stripe's own reports do not agree any more;
                False changes it as well.

        Raises:
            KeyError: there is no such transaction.
            ValueError: it would be created after it may be settled.
        """
        old = self._transaction(transaction_id)
        if created is not None and created >= old.payable:
            raise ValueError(f"created must be before {old.payable.isoformat()}")
        payout = self.settled_by.get(transaction_id)
        if payout_stays and payout is not None:
            self._changes[payout.id] = replace(self._change_of(payout.id), amount=payout.amount)
        new = replace(
            old,
            gross=old.gross if gross is None else gross,
            fee=old.fee if fee is None else fee,
            category=category or old.category,
            created=created or old.created,
        )
        self.transactions.remove(old)
        self.add(new)

    def move_payout(self, payout_id: str, effective: datetime, known_from: datetime | None = None) -> None:
        """Change when a payout is expected to arrive, and so leaves the balance.

        Args:
            payout_id: which.
            effective: the new instant, not before the payout was made.
            known_from: runs that read data up to this instant or less still say what was said before; None is at once.

        Raises:
            KeyError: there is no such payout.
            ValueError: it would arrive before it was made.
        """
        payout = self._payout(payout_id)
        if effective < payout.initiated:
            raise ValueError(f"effective must not be before {payout.initiated.isoformat()}")
        self._changes[payout_id] = replace(self._change_of(payout_id), effective=effective, known_from=known_from)
        self._books = None

    def fail_payout(self, payout_id: str, at: datetime) -> None:
        """Let the bank send a payout back; a later payout pays the returned funds again.

        Raises:
            KeyError: there is no such payout.
            ValueError: it has not left the balance by then.
        """
        payout = self._payout(payout_id)
        if at <= payout.effective:
            raise ValueError(f"a payout fails after it was to arrive, {payout.effective.isoformat()}")
        self._changes[payout_id] = replace(self._change_of(payout_id), reversed_at=at)
        self._books = None

    @property
    def books(self) -> Books:
        """The figures of the ledger as it is now."""
        if self._books is None:
            rules = PayoutRules(self.seed, self._business.first_day, self._business.traits, dict(self._changes))
            payouts = settle(rules, self.transactions, self._next_day)
            self._books = Books(
                list(self.transactions), sorted(payouts, key=lambda payout: (payout.effective, payout.id))
            )
        return self._books

    @property
    def payouts(self) -> list[Payout]:
        """All payouts up to the last day made, in order; they follow from the transactions."""
        return list(self.books.payouts)

    @property
    def settled_by(self) -> Mapping[str, Payout]:
        """The payout that settles a transaction, by the transaction's id."""
        return self.books.settled_by

    def _change_of(self, payout_id: str) -> PayoutChange:
        return self._changes.get(payout_id, PayoutChange())

    def _transaction(self, transaction_id: str) -> Transaction:
        for transaction in self.transactions:
            if transaction.id == transaction_id:
                return transaction
        raise KeyError(transaction_id)

    def _payout(self, payout_id: str) -> Payout:
        for payout in self.books.payouts:
            if payout.id == payout_id:
                return payout
        raise KeyError(payout_id)
