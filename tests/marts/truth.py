"""What the marts must say, worked out from a business's own ledger in Python: no report, no CSV, no SQL.

In: the account of a world. Out: the rows of each mart, as the marts have them, but for columns that only Stripe's
reports have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from stripe_reports_source.demo import FIRST_DAY, FIRST_END, add_late_charge
from stripe_reports_source.emulator.books import Books
from stripe_reports_source.emulator.itemized import major
from stripe_reports_source.emulator.keys import LIVE
from stripe_reports_source.emulator.payouts import Payout, reversal_of
from stripe_reports_source.emulator.service import StripeService
from stripe_reports_source.emulator.settings import EmulatorSettings
from stripe_reports_source.emulator.transactions import Transaction
from tests.reconcile.worlds import World

ZERO = Decimal(0)
CHART: Mapping[str, str] = {
    "charge": "Sales",
    "refund": "Refunds",
    "dispute": "Disputes",
    "dispute_reversal": "Disputes",
    "fee": "Stripe fees",
    "other_adjustment": "Adjustments by Stripe",
    "risk_reserved_funds": "Reserves at Stripe",
    "payout_minimum_balance_hold": "Reserves at Stripe",
    "payout_minimum_balance_release": "Reserves at Stripe",
    "payout": "Bank",
    "payout_reversal": "Bank",
}
"""What the businesses of the tests have, in the default chart of accounts."""
BILLED = ("fee", "network_cost")


@dataclass(frozen=True)
class Movement:
    """A change of the balance: its day and month in the zone, and its amounts as effects on the balance."""

    day: date
    month: date
    currency: str
    category: str
    payout: bool
    payout_id: str | None
    gross: Decimal
    fee: Decimal

    @property
    def net(self) -> Decimal:
        """gross + fee."""
        return self.gross + self.fee


class Truth:
    """The books of an account, as the emulator has them.

    Args:
        account: as in `_account`.
        zone: the IANA zone of its reports.
        books: its own.
        start, end: of the data that is loaded.
    """

    def __init__(self, account: str, zone: str, books: Books, start: datetime, end: datetime) -> None:
        self.account = account
        self.zone = ZoneInfo(zone)
        self.books = books
        self.start = start
        self.end = end

    @staticmethod
    def of(world: World, place: int, connected: str | None = None) -> Truth:
        """The books of an account of a world.

        Args:
            world: the world.
            place: of the account in it, which is its seed.
            connected: a connected account of it, whose own books these are then.
        """
        account = world.accounts[place]
        settings: dict[str, Any] = {
            "seed": place,
            "scale": world.scale,
            "business_start": date(2025, 1, 1),
            "available_end": world.end,
            **account.business,
        }
        service = StripeService(EmulatorSettings(**settings))
        books = (service.ledger_of(f"{LIVE}/{connected}") if connected else service.ledger).books
        service.close()
        zone = account.source.get("timezone", "UTC")
        return Truth(connected or account.label, zone, books, service.settings.first_available, world.end)

    @staticmethod
    def of_demonstration() -> Truth:
        """The books of the demonstration, after its first run."""
        service = StripeService(EmulatorSettings(business_start=FIRST_DAY.date(), available_end=FIRST_END))
        end = FIRST_END + timedelta(days=1)
        service.advance(end)
        add_late_charge(service)
        service.close()
        return Truth("default", "UTC", service.ledger.books, FIRST_DAY, end)

    def day(self, instant: datetime) -> date:
        """The calendar day of an instant, in the zone."""
        return instant.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """The instant at which a day begins in the zone."""
        return datetime.combine(day, time.min, self.zone).astimezone(timezone.utc)

    @cached_property
    def transactions(self) -> list[Transaction]:
        """All but payouts."""
        return [made for made in self.books.activity(None, self.end) if made.created >= self.start]

    @cached_property
    def payouts(self) -> list[Payout]:
        """All that have left the balance."""
        return self.books.arrived(None, self.end, self.end)

    @cached_property
    def returns(self) -> list[Payout]:
        """Those that have come back."""
        return self.books.sent_back(None, self.end)

    @cached_property
    def movements(self) -> list[Movement]:
        """All that has changed the balance."""
        found = [
            self._movement(made.created, made.currency, made.category, None, made.gross, -made.fee)
            for made in self.transactions
        ]
        found += [
            self._movement(payout.arrives(self.end), payout.currency, "payout", payout.id, -payout.amount, 0)
            for payout in self.payouts
        ]
        found += [
            self._movement(_returned_at(payout), payout.currency, "payout_reversal", payout.id, payout.amount, 0)
            for payout in self.returns
        ]
        return found

    def balance(self, currency: str, at: datetime) -> Decimal:
        """The balance at an instant, or where the data begins or ends."""
        return major(self.books.balance(currency, max(self.start, min(at, self.end)), self.end), currency)

    def rollforward(self) -> set[tuple[Any, ...]]:
        """account, month, currency, category, opening, gross, fee, net, payouts, closing, difference, row_count."""
        sums: dict[tuple[date, str, str], list[Movement]] = defaultdict(list)
        for move in self.movements:
            sums[move.month, move.currency, move.category].append(move)
        rows = set()
        for (month, currency, category), moves in sums.items():
            gross, fee = (sum((getattr(move, name) for move in moves), ZERO) for name in ("gross", "fee"))
            earned = (ZERO, ZERO, ZERO, gross + fee) if moves[0].payout else (gross, fee, gross + fee, ZERO)
            rows.add((self.account, month, currency, category, ZERO, *earned, ZERO, ZERO, len(moves)))
        for month in self.months():
            for currency in self.currencies(month):
                opening = self.balance(currency, self.midnight(month))
                closing = self.balance(currency, self.midnight(_next(month)))
                zeros = (ZERO, ZERO, ZERO, ZERO)
                rows.add((self.account, month, currency, "opening_balance", opening, *zeros, ZERO, ZERO, 0))
                rows.add((self.account, month, currency, "closing_balance", ZERO, *zeros, closing, ZERO, 0))
        return rows

    def daily(self) -> set[tuple[Any, ...]]:
        """account, day, currency, opening, gross, fee, net, payouts, closing; from a currency's first month on."""
        sums: dict[tuple[date, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
        for move in self.movements:
            of_day = sums[move.day, move.currency]
            parts = (ZERO, ZERO, move.net) if move.payout else (move.gross, move.fee, ZERO)
            sums[move.day, move.currency] = [was + part for was, part in zip(of_day, parts, strict=True)]
        rows = set()
        for day in self.days():
            for currency in self.currencies(day.replace(day=1)):
                gross, fee, paid = sums[day, currency]
                opening = self.balance(currency, self.midnight(day))
                closing = self.balance(currency, self.midnight(day + timedelta(days=1)))
                rows.add((self.account, day, currency, opening, gross, fee, gross + fee, paid, closing))
        return rows

    def payout_rows(self) -> set[tuple[Any, ...]]:
        """account, id, currency, amount, net, effective, returned, reversal, retry of, retried by, rows, their net."""
        settled_by = self.books.settled_by
        retried = {
            payout.id: again
            for payout in self.returns
            if (again := settled_by.get(reversal_of(payout).id)) and again.automatic and again in self.payouts
        }
        retries: dict[str, str] = {}
        for failed, again in sorted(retried.items()):
            retries.setdefault(again.id, failed)
        rows = set()
        for payout in self.payouts:
            amount = major(payout.amount, payout.currency)
            back = payout if payout in self.returns else None
            again = retried.get(payout.id)
            rows.add(
                (
                    *(self.account, payout.id, payout.currency, amount, -amount, payout.arrives(self.end)),
                    *((_returned_at(back), amount) if back else (None, None)),
                    *(retries.get(payout.id), again.id if again else None),
                    len(payout.settles) if payout.automatic else 0,
                    sum((_net(made) for made in payout.settles), ZERO) if payout.automatic else None,
                )
            )
        return rows

    def payout_transactions(self) -> set[tuple[Any, ...]]:
        """account, payout, transaction, currency, category, gross, fee, net, created UTC."""
        return {
            (self.account, payout.id, *_amounts(made), made.created)
            for payout in self.payouts
            if payout.automatic
            for made in payout.settles
        }

    def unsettled(self) -> set[tuple[Any, ...]]:
        """account, transaction, currency, category, gross, fee, net, created UTC."""
        return {(self.account, *_amounts(made), made.created) for made in self.books.unsettled(self.end, self.end)}

    def fees(self) -> set[tuple[Any, ...]]:
        """account, transaction, day, currency, category, fee, taken_from."""
        return {
            (
                *(self.account, made.id, self.day(made.created), made.currency, made.category),
                *((_net(made), None) if made.category in BILLED else (_fee(made), major(made.gross, made.currency))),
            )
            for made in self.transactions
            if made.fee or made.category in BILLED
        }

    def by_category(self) -> set[tuple[Any, ...]]:
        """account, month, currency, section, category, rows, gross, fee, net."""
        sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, ZERO, ZERO])
        for move in self.movements:
            section = "payouts" if move.payout else "activity"
            of_category = sums[self.account, move.month, move.currency, section, move.category]
            of_category[0] += 1
            of_category[1] += move.gross
            of_category[2] += move.fee
        return {(*key, rows, gross, fee, gross + fee) for key, (rows, gross, fee) in sums.items()}

    def months(self) -> Iterator[date]:
        """The months that are loaded."""
        month = self.day(self.start).replace(day=1)
        while self.midnight(month) < self.end:
            yield month
            month = _next(month)

    def days(self) -> Iterator[date]:
        """The days that are loaded."""
        day = self.day(self.start)
        while self.midnight(day) < self.end:
            yield day
            day += timedelta(days=1)

    def currencies(self, month: date) -> list[str]:
        """The currencies that there are by the end of a month."""
        return sorted({move.currency for move in self.movements if move.month <= month})

    def _movement(
        self, instant: datetime, currency: str, category: str, payout_id: str | None, gross: int, fee: int
    ) -> Movement:
        day = self.day(instant)
        return Movement(
            day,
            day.replace(day=1),
            currency,
            category,
            payout_id is not None,
            payout_id,
            major(gross, currency),
            major(fee, currency),
        )


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _returned_at(payout: Payout) -> datetime:
    assert payout.reversed_at is not None
    return payout.reversed_at


def _fee(made: Transaction) -> Decimal:
    return major(-made.fee, made.currency)


def _net(made: Transaction) -> Decimal:
    return major(made.net, made.currency)


def _amounts(made: Transaction) -> tuple[Any, ...]:
    return made.id, made.currency, made.category, major(made.gross, made.currency), _fee(made), _net(made)
