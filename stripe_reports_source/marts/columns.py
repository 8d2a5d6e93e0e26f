"""Columns of marts, and those that several marts have. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.column_types import AMOUNT, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType


@dataclass(frozen=True)
class MartColumn:
    """A column of a mart: its name, its type, and what it holds in one sentence."""

    name: str
    type: ColumnType
    description: str


ACCOUNT = MartColumn(
    "account", TEXT, "Stripe account, as in `_account`; a platform's report over connected accounts names each"
)
CURRENCY = MartColumn("currency", TEXT, "Settlement currency, three letters in lower case")
MONTH = MartColumn("month", DATE, "First day of the month, in the report's zone")
DAY = MartColumn("day", DATE, "Calendar day in the report's zone")
CATEGORY = MartColumn("category", TEXT, "Stripe's reporting category")
GROSS = MartColumn("gross", AMOUNT, "Gross amount, as effect on the balance")
FEE = MartColumn("fee", AMOUNT, "Fees, as effect on the balance: negative where Stripe takes them")
NET = MartColumn("net", AMOUNT, "gross + fee")
CREATED = (
    MartColumn("created_utc", TIMESTAMPTZ, "When the transaction was made, UTC"),
    MartColumn("created", TIMESTAMP, "The same in the report's zone"),
)
PAYMENT = (
    MartColumn("source_id", TEXT, "Stripe object behind the transaction: a charge, refund, dispute, adjustment"),
    MartColumn("description", TEXT, "Stripe's description"),
    MartColumn("charge_id", TEXT, "Charge that the transaction belongs to; NULL where there is none, or not loaded"),
    MartColumn("payment_intent_id", TEXT, "Its payment intent"),
    MartColumn("charge_created_utc", TIMESTAMPTZ, "When that charge was made, UTC"),
    MartColumn("invoice_id", TEXT, "Invoice that the charge paid"),
    MartColumn("subscription_id", TEXT, "Subscription of that invoice"),
    MartColumn("customer_id", TEXT, "Customer"),
    MartColumn("payment_method_type", TEXT, "Such as `card`"),
    MartColumn("card_brand", TEXT, "Such as `visa`"),
    MartColumn("card_country", TEXT, "Country of the card, two letters"),
    MartColumn("customer_facing_amount", AMOUNT, "What the customer paid, in the currency beside it"),
    MartColumn("customer_facing_currency", TEXT, "Currency that the customer paid in"),
)
TRANSACTION = (
    MartColumn("transaction_id", TEXT, "Balance transaction, `txn_...`"),
    CURRENCY,
    CATEGORY,
    GROSS,
    FEE,
    NET,
    *CREATED,
    *PAYMENT,
)
