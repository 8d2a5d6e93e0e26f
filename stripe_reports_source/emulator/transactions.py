"""What a synthetic business is made of: payments, balance transactions, tax lines. Values, and how ids follow. Pure.

Amounts are whole minor units (cents).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from .people import PEOPLE, Person

CURRENCIES: dict[str, int] = {"usd": 2, "eur": 2, "jpy": 0, "kwd": 3}
"""Settlement currencies of the business with their number of decimal places."""
PAYOUT_DELAY = timedelta(days=2)


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
    """A balance transaction.

    `payable` is the first midnight (UTC) at which an automatic payout may settle it. `recorded` is when it came to be
    known, if that was later than `created`.
    """

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
    recorded: datetime | None = None

    @property
    def net(self) -> int:
        """What the balance changes by."""
        return self.gross - self.fee

    @property
    def available_on(self) -> datetime:
        """When the net funds become available."""
        return midnight(self.created.date()) + PAYOUT_DELAY

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """Order of the ledger."""
        return self.created, self.id


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


def charge_of(identity: str, currency: str, gross: int, fee: int, payment: Payment) -> Transaction:
    """The transaction of a payment."""
    return Transaction(
        id=f"txn_{identity}",
        created=payment.created,
        currency=currency,
        gross=gross,
        fee=fee,
        category="charge",
        source_id=payment.charge_id,
        description=f"Order, by {payment.person.name}",
        payable=midnight(payment.created.date()) + PAYOUT_DELAY,
        payment=payment,
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
    charge = charge_of(identity, currency, gross, fee, payment)
    payable = max(charge.payable, midnight(recorded.date()) + timedelta(days=1))
    return Transaction(
        **{**vars(charge), "description": description, "payable": payable, "recorded": max(created, recorded)}
    )


def midnight(day: date) -> datetime:
    """The first instant of a day, UTC."""
    return datetime.combine(day, time.min, timezone.utc)


def identity_of(*parts: object) -> str:
    """The variable part of an id, the same for the same parts."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:20]


def chance_of(*parts: object) -> random.Random:
    """Chance that falls the same way for the same parts."""
    return random.Random(":".join(map(str, parts)))  # noqa: S311  # a synthetic business, not a secret
