"""Columns of itemized reports: from a transaction, a payout or a tax line to the value of a named column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from ..plan.columns import split_metadata
from .payouts import CONFIRMED_AFTER, Payout
from .people import Person
from .transactions import CURRENCIES, TaxLine, Transaction

Value = str | Decimal | datetime | date | bool | int | None


@dataclass(frozen=True)
class KnownPayout:
    """A payout as it is to whoever has data up to an instant."""

    payout: Payout
    known_until: datetime

    @property
    def effective(self) -> datetime:
        """When it leaves the balance."""
        return self.payout.arrives(self.known_until)

    @property
    def reversed_at(self) -> datetime | None:
        """When it was sent back."""
        back = self.payout.reversed_at
        return back if back is not None and self._is_told(back < self.known_until) else None

    @property
    def status(self) -> str:
        """What is said of it: the bank's word that it has arrived comes a day later."""
        if self.reversed_at is not None:
            return "failed"
        return "paid" if self._is_told(self.effective + CONFIRMED_AFTER <= self.known_until) else "in_transit"

    @property
    def trace_id(self) -> str | None:
        """The bank's reference, once the day has come on which it was first expected."""
        expected = self.payout.first_expected or self.payout.effective
        return f"0042{self.payout.id[-8:]}" if self._is_told(expected < self.known_until) else None

    def _is_told(self, has_come_to_pass: bool) -> bool:
        return has_come_to_pass or not self.payout.late_word


@dataclass(frozen=True)
class ItemizedRow:
    """A transaction and the payout that settles it (or, in payout reports, that it is); `account` if connected."""

    transaction: Transaction
    payout: KnownPayout | None
    account: str | None = None


def itemized_value(row: ItemizedRow, name: str) -> Value:
    """The value of a column; NULL where this business has nothing to say."""
    metadata = split_metadata(name)
    if metadata is not None:
        return _metadata(row.transaction, *metadata)
    if name == "connected_account":
        return row.account
    getter = _TRANSACTION.get(name)
    if getter is not None:
        return getter(row.transaction)
    from_payout = _PAYOUT.get(name)
    if from_payout is not None:
        return from_payout(row.payout) if row.payout is not None else None
    person = row.transaction.payment.person if row.transaction.payment is not None else None
    return _person_value(person, name)


def tax_value(line: TaxLine, name: str) -> Value:
    """The value of a column of the tax report."""
    metadata = split_metadata(name)
    if metadata is not None:
        return line.metadata.get(metadata[1]) if metadata[0] == "tax_transaction_metadata" else None
    getter = _TAX.get(name)
    return getter(line) if getter is not None else None


def _metadata(transaction: Transaction, prefix: str, key: str) -> str | None:
    if prefix == "payment_metadata" and transaction.payment is not None:
        return transaction.payment.metadata.get(key)
    return transaction.refund_metadata.get(key) if prefix == "refund_metadata" else None


def major(minor: int, currency: str) -> Decimal:
    """Minor units as Stripe's reports write them, in major units. Zero- and three-decimal forms are unverified."""
    return Decimal(minor).scaleb(-CURRENCIES[currency])


def _person_value(person: Person | None, name: str) -> Value:
    if person is None:
        return None
    plain = {"customer_id": person.id, "customer_email": person.email, "customer_name": person.name}
    if name in plain:
        return plain[name]
    for prefix in ("customer_address_", "card_address_", "shipping_address_", "customer_shipping_address_"):
        if name.startswith(prefix):
            parts = {
                "line1": person.line1,
                "city": person.city,
                "state": person.state,
                "postal_code": person.postal_code,
                "country": person.country,
            }
            return parts.get(name.removeprefix(prefix))
    return None


_TRANSACTION: Mapping[str, Callable[[Transaction], Value]] = {
    "balance_transaction_id": lambda transaction: transaction.id,
    "created_utc": lambda transaction: transaction.created,
    "created": lambda transaction: transaction.created,
    "available_on_utc": lambda transaction: transaction.available_on,
    "available_on": lambda transaction: transaction.available_on,
    "effective_at_utc": lambda transaction: transaction.created,
    "effective_at": lambda transaction: transaction.created,
    "currency": lambda transaction: transaction.currency,
    "gross": lambda transaction: major(transaction.gross, transaction.currency),
    "fee": lambda transaction: major(transaction.fee, transaction.currency),
    "net": lambda transaction: major(transaction.net, transaction.currency),
    "reporting_category": lambda transaction: transaction.category,
    "source_id": lambda transaction: transaction.source_id,
    "description": lambda transaction: transaction.description,
    "customer_facing_amount": lambda transaction: (
        major(transaction.gross, transaction.currency) if transaction.payment else None
    ),
    "customer_facing_currency": lambda transaction: transaction.currency if transaction.payment else None,
    "charge_id": lambda transaction: transaction.payment.charge_id if transaction.payment else None,
    "payment_intent_id": lambda transaction: transaction.payment.payment_intent_id if transaction.payment else None,
    "charge_created_utc": lambda transaction: transaction.payment.created if transaction.payment else None,
    "charge_created": lambda transaction: transaction.payment.created if transaction.payment else None,
    "payment_method_type": lambda transaction: "card" if transaction.payment else None,
    "is_link": lambda transaction: False if transaction.payment else None,
    "card_brand": lambda transaction: transaction.payment.card_brand if transaction.payment else None,
    "card_funding": lambda transaction: "credit" if transaction.payment else None,
    "card_country": lambda transaction: transaction.payment.card_country if transaction.payment else None,
    "statement_descriptor": lambda transaction: "SHOP" if transaction.payment else None,
    "dispute_reason": lambda transaction: transaction.dispute_reason,
}

_PAYOUT: Mapping[str, Callable[[KnownPayout], Value]] = {
    "automatic_payout_id": lambda known: known.payout.id,
    "automatic_payout_effective_at_utc": lambda known: known.effective,
    "automatic_payout_effective_at": lambda known: known.effective,
    "trace_id": lambda known: known.trace_id,
    "trace_id_status": lambda known: "supported" if known.trace_id else "pending",
    "payout_id": lambda known: known.payout.id,
    "payout_expected_arrival_date": lambda known: known.effective,
    "payout_status": lambda known: known.status,
    "payout_reversed_at_utc": lambda known: known.reversed_at,
    "payout_reversed_at": lambda known: known.reversed_at,
    "payout_type": lambda known: "bank_account" if known.payout.automatic else "card",
    "payout_description": lambda known: "STRIPE PAYOUT",
    "payout_destination_id": lambda known: f"ba_{known.payout.currency}",
}

_TAX: Mapping[str, Callable[[TaxLine], Value]] = {
    "id": lambda line: line.id,
    "type": lambda line: "payment_intent",
    "line_item_id": lambda line: line.line_item_id,
    "currency": lambda line: line.currency,
    "transaction_date": lambda line: line.created,
    "tax_date": lambda line: line.created,
    "subtotal": lambda line: major(line.taxable + line.exempt, line.currency),
    "total": lambda line: major(line.taxable + line.exempt + line.tax, line.currency),
    "tax_code": lambda line: "txcd_10000000",
    "jurisdiction_name": lambda line: line.jurisdiction,
    "jurisdiction_level": lambda line: line.level,
    "country_code": lambda line: line.country,
    "state_code": lambda line: line.state,
    "origin_resolved_address_country": lambda line: "US",
    "origin_resolved_address_state": lambda line: "NY",
    "taxability": lambda line: "taxable" if line.taxable else "non_taxable",
    "taxability_reason": lambda line: "standard_rated" if line.taxable else "customer_exempt",
    "tax_rate": lambda line: line.rate,
    "quantity_decimal": lambda line: line.quantity,
    "quantity": lambda line: line.quantity,
    "destination_resolved_address_country": lambda line: line.person.country,
    "destination_resolved_address_state": lambda line: line.person.state,
    "tax_name": lambda line: "Sales Tax" if line.country == "US" else "VAT",
    "taxable_amount": lambda line: major(line.taxable, line.currency),
    "non_taxable_amount": lambda line: major(line.exempt, line.currency),
    "tax_amount": lambda line: major(line.tax, line.currency),
    "filing_currency": lambda line: line.currency,
    "filing_exchange_rate": lambda line: line.exchange_rate,
    "filing_total": lambda line: major(line.taxable + line.exempt + line.tax, line.currency),
    "filing_non_taxable_amount": lambda line: major(line.exempt, line.currency),
    "filing_taxable_amount": lambda line: major(line.taxable, line.currency),
    "filing_tax_amount": lambda line: major(line.tax, line.currency),
}
