"""A synthetic business: its balance transactions, payouts and tax lines. Pure and deterministic.

In: a seed, a scale, a first day. Out: a ledger that grows day by day; each day follows from seed and date alone,
so that growing it never changes what was there. Amounts are whole minor units (cents).
"""

from __future__ import annotations

import hashlib
import random
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from .people import METADATA_VALUES, PEOPLE, Person

CURRENCIES: dict[str, int] = {"usd": 2, "eur": 2, "jpy": 0, "kwd": 3}
"""Settlement currencies of the business with their number of decimal places."""
EDGE_ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")
PAYOUT_DELAY = timedelta(days=2)
FAILURE_DELAY = timedelta(days=1, hours=5)
_PRICES = {"usd": (500, 25_000), "eur": (500, 25_000), "jpy": (300, 40_000), "kwd": (1_000, 90_000)}
_WEIGHTS = {"usd": 12.0, "eur": 8.0, "jpy": 3.0, "kwd": 2.0}


@dataclass(frozen=True)
class Payment:
    """The charge behind a transaction, and what a report says of it."""

    charge_id: str
    payment_intent_id: str
    created: datetime
    person: Person
    card_brand: str
    card_country: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Transaction:
    """A balance transaction. `payable` is the first midnight (UTC) at which a payout may settle it."""

    id: str
    created: datetime
    currency: str
    gross: int
    fee: int
    category: str
    source_id: str
    description: str
    payable: datetime
    payment: Payment | None = None
    refund_metadata: Mapping[str, str] = field(default_factory=dict)
    dispute_reason: str | None = None

    @property
    def net(self) -> int:
        """What the balance changes by."""
        return self.gross - self.fee

    @property
    def available_on(self) -> datetime:
        """When the net funds become available."""
        return _midnight(self.created.date()) + PAYOUT_DELAY

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """Order of the ledger."""
        return self.created, self.id


@dataclass(frozen=True)
class Payout:
    """An automatic payout of all available funds of a currency; `reversed_at` if the bank sent it back."""

    id: str
    transaction_id: str
    currency: str
    amount: int
    effective: datetime
    reversed_at: datetime | None
    settles: tuple[Transaction, ...]


@dataclass(frozen=True)
class TaxLine:
    """A line of the tax transactions report."""

    id: str
    line_item_id: str
    created: datetime
    currency: str
    person: Person
    country: str
    state: str | None
    jurisdiction: str
    level: str
    rate: Decimal
    taxable: int
    exempt: int
    tax: int
    quantity: Decimal
    exchange_rate: Decimal
    metadata: Mapping[str, str]


class Ledger:
    """See the module. `transactions` is in order of creation and holds everything but payouts."""

    def __init__(self, seed: int, scale: float, first_day: date) -> None:
        self.seed = self._seed = seed
        self._scale = scale
        self._next_day = first_day
        self._first_day = first_day
        self._payouts: list[Payout] | None = None
        self.transactions: list[Transaction] = []
        self.tax_lines: list[TaxLine] = []

    def grow_to(self, end: datetime) -> None:
        """Make all that happens before `end`. A day more, because local days begin earlier east of Greenwich."""
        while self._next_day <= end.date() + timedelta(days=1):
            for item in self._day(self._next_day):
                if isinstance(item, TaxLine):
                    self.tax_lines.append(item)
                else:
                    insort(self.transactions, item, key=lambda other: other.sort_key)
            self._next_day += timedelta(days=1)
            self._payouts = None

    def add(self, transaction: Transaction) -> None:
        """Add a transaction that comes late: it is created in the past but only reports from now on show it."""
        insort(self.transactions, transaction, key=lambda other: other.sort_key)
        self._payouts = None

    def withdraw(self, transaction_id: str) -> None:
        """Take a transaction out again: reports from now on do not show it, so an interval may lose all its rows.

        Raises:
            KeyError: there is no such transaction.
        """
        kept = [transaction for transaction in self.transactions if transaction.id != transaction_id]
        if len(kept) == len(self.transactions):
            raise KeyError(transaction_id)
        self.transactions = kept
        self._payouts = None

    @property
    def payouts(self) -> list[Payout]:
        """All payouts up to the last day made, in order; they follow from the transactions."""
        if self._payouts is None:
            self._payouts = sorted(self._settle(), key=lambda payout: (payout.effective, payout.id))
        return self._payouts

    @property
    def settled_by(self) -> Mapping[str, Payout]:
        """The payout that settles a transaction, by the transaction's id."""
        return {transaction.id: payout for payout in self.payouts for transaction in payout.settles}

    def _settle(self) -> Iterator[Payout]:
        for currency in CURRENCIES:
            waiting: dict[datetime, list[Transaction]] = defaultdict(list)
            for transaction in self.transactions:
                if transaction.currency == currency:
                    waiting[transaction.payable].append(transaction)
            funds: list[Transaction] = []
            day = self._first_day
            while day <= self._next_day:
                funds += waiting.pop(_midnight(day), [])
                amount = sum(transaction.net for transaction in funds)
                if amount > 0:
                    payout = self._payout(currency, day, amount, tuple(funds))
                    funds = []
                    yield payout
                    if payout.reversed_at is not None:
                        back = reversal_of(payout)
                        waiting[back.payable].append(back)
                day += timedelta(days=1)

    def _payout(self, currency: str, day: date, amount: int, settles: tuple[Transaction, ...]) -> Payout:
        rng = random.Random(f"{self._seed}:payout:{currency}:{day}")  # noqa: S311  # a synthetic business, not a secret
        effective = _midnight(day) + timedelta(seconds=57)
        failed = rng.random() < 0.04
        identity = _id(self._seed, "payout", currency, day)
        return Payout(
            id=f"po_{identity}",
            transaction_id=f"txn_{identity}",
            currency=currency,
            amount=amount,
            effective=effective,
            reversed_at=effective + FAILURE_DELAY if failed else None,
            settles=settles,
        )

    def _day(self, day: date) -> Iterator[Transaction | TaxLine]:
        if self._scale == 0:
            return
        rng = random.Random(f"{self._seed}:{day}")  # noqa: S311  # a synthetic business, not a secret
        for moment in _edges(day):
            yield from self._sale(rng, moment, "usd", f"edge-{moment.timestamp():.0f}")
        if rng.random() < 0.06 and day.day > 1:
            return  # a quiet day
        for currency, weight in _WEIGHTS.items():
            if currency == "kwd" and (day.month == 3 or day.isocalendar().week % 3):
                continue
            for number in range(_count(rng, weight * self._scale)):
                moment = _midnight(day) + timedelta(seconds=rng.randrange(86_400))
                yield from self._sale(rng, moment, currency, f"{currency}-{number}")
        if rng.random() < 0.15:
            gross = -rng.randrange(100, 3_000)
            yield self._transaction(
                rng, day, "usd", gross, 0, "fee", "Radar for Fraud Teams (per screened transaction)"
            )
        if rng.random() < 0.03:
            gross = rng.choice((-1, 1)) * rng.randrange(100, 9_000)
            yield self._transaction(
                rng, day, "eur", gross, 0, "other_adjustment", 'Adjustment, "manual"; see ticket\n#4711'
            )

    def _transaction(
        self, rng: random.Random, day: date, currency: str, gross: int, fee: int, category: str, description: str
    ) -> Transaction:
        created = _midnight(day) + timedelta(seconds=rng.randrange(86_400))
        identity = _id(self._seed, category, created, rng.random())
        return Transaction(
            id=f"txn_{identity}",
            created=created,
            currency=currency,
            gross=gross,
            fee=fee,
            category=category,
            source_id=f"{'adj' if category != 'fee' else 'txn'}_{identity}",
            description=description,
            payable=_midnight(day) + PAYOUT_DELAY,
        )

    def _sale(self, rng: random.Random, created: datetime, currency: str, name: str) -> Iterator[Transaction | TaxLine]:
        """A charge, its tax line, and what happens to it later."""
        identity = _id(self._seed, name, created)
        gross = rng.randrange(*_PRICES[currency])
        payment = Payment(
            charge_id=f"ch_{identity}",
            payment_intent_id=f"pi_{identity}",
            created=created,
            person=rng.choice(PEOPLE),
            card_brand=rng.choice(("visa", "mastercard", "amex")),
            card_country=rng.choice(("US", "DE", "JP", "KW")),
            metadata=_metadata(rng),
        )
        fee = gross * 29 // 1000 + 30
        charge = _charge(identity, created, currency, gross, fee, payment)
        yield charge
        if currency in ("usd", "eur"):
            yield _tax_line(rng, identity, created, currency, gross, payment)
        fate = rng.random()
        later = created + timedelta(seconds=rng.randrange(3_600, 20 * 86_400))
        if fate < 0.08:
            part = gross if fate < 0.05 else gross // 3
            yield _follow_up(
                charge, f"re_{identity}", later, -part, 0, "refund", f"REFUND FOR CHARGE ({payment.person.name})"
            )
        elif fate < 0.10:
            dispute = _follow_up(charge, f"du_{identity}", later, -gross, 1_500, "dispute", "Chargeback withdrawal")
            yield dispute
            if fate < 0.09:
                won = later + timedelta(days=9)
                yield _follow_up(
                    charge, f"du_{identity}", won, gross, -1_500, "dispute_reversal", "Chargeback reversal"
                )


def late_charge(
    identity: str,
    created: datetime,
    recorded: datetime,
    currency: str,
    gross: int,
    fee: int,
    description: str,
    metadata: Mapping[str, str],
) -> Transaction:
    """A charge that was created in the past and is only recorded now; the next payout after that settles it."""
    payment = Payment(f"ch_{identity}", f"pi_{identity}", created, PEOPLE[0], "visa", "US", dict(metadata))
    charge = _charge(identity, created, currency, gross, fee, payment)
    payable = max(charge.payable, _midnight(recorded.date()) + timedelta(days=1))
    return Transaction(**{**vars(charge), "description": description, "payable": payable})


def _charge(identity: str, created: datetime, currency: str, gross: int, fee: int, payment: Payment) -> Transaction:
    return Transaction(
        id=f"txn_{identity}",
        created=created,
        currency=currency,
        gross=gross,
        fee=fee,
        category="charge",
        source_id=payment.charge_id,
        description=f"Order, by {payment.person.name}",
        payable=_midnight(created.date()) + PAYOUT_DELAY,
        payment=payment,
    )


def _follow_up(
    charge: Transaction, source_id: str, created: datetime, gross: int, fee: int, category: str, description: str
) -> Transaction:
    return Transaction(
        id=f"txn_{_id(charge.id, category)}",
        created=created,
        currency=charge.currency,
        gross=gross,
        fee=fee,
        category=category,
        source_id=source_id,
        description=description,
        payable=_midnight(created.date()) + PAYOUT_DELAY,
        payment=charge.payment,
        refund_metadata={"reason_code": "0042"} if category == "refund" else {},
        dispute_reason="fraudulent" if category.startswith("dispute") else None,
    )


def reversal_of(payout: Payout) -> Transaction:
    """The funds of a failed payout coming back; the next day's payout pays them again."""
    created = payout.reversed_at or payout.effective
    return Transaction(
        id=f"txn_{_id(payout.id, 'reversal')}",
        created=created,
        currency=payout.currency,
        gross=payout.amount,
        fee=0,
        category="payout_reversal",
        source_id=payout.id,
        description="PAYOUT FAILED",
        payable=_midnight(created.date()) + timedelta(days=1),
    )


def _tax_line(
    rng: random.Random, identity: str, created: datetime, currency: str, gross: int, payment: Payment
) -> TaxLine:
    taxable = rng.random() < 0.8
    rate = Decimal("0.0725") if currency == "usd" else Decimal("0.19")
    base = int(gross / (1 + float(rate))) if taxable else gross
    return TaxLine(
        id=f"tax_{identity}",
        line_item_id=f"li_{identity}",
        created=created,
        currency=currency,
        person=payment.person,
        country="US" if currency == "usd" else "DE",
        state="CA" if currency == "usd" else None,
        jurisdiction="CALIFORNIA" if currency == "usd" else "GERMANY",
        level="state" if currency == "usd" else "country",
        rate=rate if taxable else Decimal(0),
        taxable=base if taxable else 0,
        exempt=0 if taxable else base,
        tax=gross - base,
        quantity=Decimal(rng.randrange(1, 10**15)).scaleb(-14) if rng.random() < 0.1 else Decimal(rng.randrange(1, 9)),
        exchange_rate=Decimal(rng.randrange(10**17, 2 * 10**17)).scaleb(-17),
        metadata=payment.metadata,
    )


def _metadata(rng: random.Random) -> dict[str, str]:
    return {key: rng.choice(values) for key, values in METADATA_VALUES.items() if rng.random() < 0.7}


def _edges(day: date) -> Iterator[datetime]:
    """On Sundays, Mondays and at the turn of months: the last and the first second of local days."""
    for zone in EDGE_ZONES:
        start = datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(timezone.utc)
        if day.weekday() == 0 or day.day == 1:
            yield start
            yield start - timedelta(seconds=1)


def _count(rng: random.Random, mean: float) -> int:
    return int(mean) + (rng.random() < mean % 1) if mean < 1 else max(0, round(rng.gauss(mean, mean / 3)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.utc)


def _id(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:20]
