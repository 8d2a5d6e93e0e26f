"""What happens in a synthetic business on a day: sales, what becomes of them, adjustments, reserves. Pure.

In: a seed, a scale, traits, a day. Out: its transactions and tax lines, which follow from these alone.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from .people import METADATA_VALUES, PEOPLE
from .transactions import (
    PAYOUT_DELAY,
    Payment,
    TaxLine,
    Transaction,
    chance_of,
    charge_of,
    identity_of,
    midnight,
)

EDGE_ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")
RESERVED_DAYS = 14
HELD_DAYS = 3
_PRICES = {"usd": (500, 25_000), "eur": (500, 25_000), "jpy": (300, 40_000), "kwd": (1_000, 90_000)}
_WEIGHTS = {"usd": 12.0, "eur": 8.0, "jpy": 3.0, "kwd": 2.0}


@dataclass(frozen=True)
class Business:
    """See the module."""

    seed: int
    scale: float
    first_day: date
    traits: Collection[str]

    def day(self, day: date) -> Iterator[Transaction | TaxLine]:
        """All that begins on a day, with what becomes of it later."""
        if self.scale == 0:
            return
        yield from self._sales(day)
        if "reserves" in self.traits:
            yield from self._reserve(day)
        if "minimum_balance" in self.traits and day.weekday() == 0:
            yield from self._minimum_balance(day)

    def _sales(self, day: date) -> Iterator[Transaction | TaxLine]:
        chance = chance_of(self.seed, day)
        for moment in _edges(day):
            yield from self._sale(chance, moment, "usd", f"edge-{moment.timestamp():.0f}")
        if chance.random() < 0.06 and day.day > 1:
            return  # a quiet day
        for currency, weight in _WEIGHTS.items():
            if currency == "kwd" and (day.month == 3 or day.isocalendar().week % 3):
                continue
            for number in range(_count(chance, weight * self.scale)):
                moment = midnight(day) + timedelta(seconds=chance.randrange(86_400))
                yield from self._sale(chance, moment, currency, f"{currency}-{number}")
        if chance.random() < 0.15:
            gross = -chance.randrange(100, 3_000)
            yield self._adjustment(chance, day, "usd", gross, "fee", "Radar for Fraud Teams (per screened transaction)")
        if chance.random() < 0.03:
            gross = chance.choice((-1, 1)) * chance.randrange(100, 9_000)
            yield self._adjustment(
                chance, day, "eur", gross, "other_adjustment", 'Adjustment, "manual"; see ticket\n#4711'
            )

    def _adjustment(
        self, chance: random.Random, day: date, currency: str, gross: int, category: str, description: str
    ) -> Transaction:
        created = midnight(day) + timedelta(seconds=chance.randrange(86_400))
        identity = identity_of(self.seed, category, created, chance.random())
        source = f"{'txn' if category == 'fee' else 'adj'}_{identity}"
        payable = midnight(day) + PAYOUT_DELAY
        return _plain(identity, created, currency, gross, category, source, description, payable)

    def _reserve(self, day: date) -> Iterator[Transaction]:
        """Funds that are held back against risk, and their release."""
        chance = chance_of(self.seed, "reserve", day)
        if chance.random() >= 0.05:
            return
        amount = max(1, int(chance.randrange(500, 5_000) * min(self.scale, 1.0)))
        source = f"rsv_{identity_of(self.seed, 'reserve', day)}"
        held = midnight(day) + timedelta(seconds=chance.randrange(86_400))
        for created, gross, name in (
            (held, -amount, "hold"),
            (held + timedelta(days=RESERVED_DAYS), amount, "release"),
        ):
            payable = midnight(created.date()) + PAYOUT_DELAY
            identity = identity_of(source, name)
            yield _plain(
                identity, created, "usd", gross, "risk_reserved_funds", source, f"Reserved funds: {name}", payable
            )

    def _minimum_balance(self, day: date) -> Iterator[Transaction]:
        """Funds that Monday's payout leaves in the balance, for Thursday's."""
        amount = max(1, int(20_000 * min(self.scale, 1.0)))
        for start, gross, name in ((day, -amount, "hold"), (day + timedelta(days=HELD_DAYS), amount, "release")):
            identity = identity_of(self.seed, "minimum balance", day, name)
            created = midnight(start) + timedelta(seconds=30)  # before the day's payout is made
            yield _plain(
                identity,
                created,
                "eur",
                gross,
                f"payout_minimum_balance_{name}",
                f"mb_{identity}",
                f"Minimum balance {name}",
                midnight(start),
            )

    def _sale(
        self, chance: random.Random, created: datetime, currency: str, name: str
    ) -> Iterator[Transaction | TaxLine]:
        """A charge, its tax line, and what happens to it later."""
        identity = identity_of(self.seed, name, created)
        gross = chance.randrange(*_PRICES[currency])
        payment = Payment(
            charge_id=f"ch_{identity}",
            payment_intent_id=f"pi_{identity}",
            created=created,
            person=chance.choice(PEOPLE),
            card_brand=chance.choice(("visa", "mastercard", "amex")),
            card_country=chance.choice(("US", "DE", "JP", "KW")),
            metadata=_metadata(chance),
        )
        charge = charge_of(identity, currency, gross, gross * 29 // 1000 + 30, payment)
        yield charge
        if currency in ("usd", "eur"):
            yield _tax_line(chance, identity, created, currency, gross, payment)
        fate = chance.random()
        later = created + timedelta(seconds=chance.randrange(3_600, 20 * 86_400))
        if fate < 0.08:
            part = gross if fate < 0.05 else gross // 3
            yield _follow_up(
                charge, f"re_{identity}", later, -part, 0, "refund", f"REFUND FOR CHARGE ({payment.person.name})"
            )
        elif fate < 0.10:
            yield _follow_up(charge, f"du_{identity}", later, -gross, 1_500, "dispute", "Chargeback withdrawal")
            if fate < 0.09:
                won = later + timedelta(days=9)
                yield _follow_up(
                    charge, f"du_{identity}", won, gross, -1_500, "dispute_reversal", "Chargeback reversal"
                )


def _plain(
    identity: str,
    created: datetime,
    currency: str,
    gross: int,
    category: str,
    source_id: str,
    description: str,
    payable: datetime,
) -> Transaction:
    """A transaction without a payment."""
    return Transaction(f"txn_{identity}", created, currency, gross, 0, category, source_id, description, payable)


def _follow_up(
    charge: Transaction, source_id: str, created: datetime, gross: int, fee: int, category: str, description: str
) -> Transaction:
    return Transaction(
        id=f"txn_{identity_of(charge.id, category)}",
        created=created,
        currency=charge.currency,
        gross=gross,
        fee=fee,
        category=category,
        source_id=source_id,
        description=description,
        payable=midnight(created.date()) + PAYOUT_DELAY,
        payment=charge.payment,
        refund_metadata={"reason_code": "0042"} if category == "refund" else {},
        dispute_reason="fraudulent" if category.startswith("dispute") else None,
    )


def _tax_line(
    chance: random.Random, identity: str, created: datetime, currency: str, gross: int, payment: Payment
) -> TaxLine:
    taxable = chance.random() < 0.8
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
        quantity=Decimal(chance.randrange(1, 10**15)).scaleb(-14)
        if chance.random() < 0.1
        else Decimal(chance.randrange(1, 9)),
        exchange_rate=Decimal(chance.randrange(10**17, 2 * 10**17)).scaleb(-17),
        metadata=payment.metadata,
    )


def _quantity(chance: random.Random) -> Decimal:
    return (
        Decimal(chance.randrange(1, 10**15)).scaleb(-14) if chance.random() < 0.1 else Decimal(chance.randrange(1, 9))
    )


def _metadata(chance: random.Random) -> dict[str, str]:
    return {key: chance.choice(values) for key, values in METADATA_VALUES.items() if chance.random() < 0.7}


def _edges(day: date) -> Iterator[datetime]:
    """On Sundays, Mondays and at the turn of months: the last and the first second of local days."""
    for zone in EDGE_ZONES:
        start = datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(timezone.utc)
        if day.weekday() == 0 or day.day == 1:
            yield start
            yield start - timedelta(seconds=1)


def _count(chance: random.Random, mean: float) -> int:
    return int(mean) + (chance.random() < mean % 1) if mean < 1 else max(0, round(chance.gauss(mean, mean / 3)))
