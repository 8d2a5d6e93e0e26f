"""The marts: what each is, what its columns are, and what it reads. Data only.

All amounts are the effect on the Stripe balance, in major units of their currency: what comes in is positive, fees and
payouts are negative. Columns that carry another sign say so. Days and months are of the report's zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ..plan.column_types import AMOUNT, BIGINT, BOOL, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ
from .columns import ACCOUNT, CATEGORY, CREATED, CURRENCY, DAY, FEE, GROSS, MONTH, NET, PAYMENT, TRANSACTION, MartColumn

_READ = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Mart:
    """A mart.

    Args:
        name: of the mart, of its SQL file and of its dbt model.
        description: what it answers.
        row: what one row is.
        key: the columns that tell its rows apart.
        day: the column by which rows are chosen by date.
        columns: in order.
    """

    name: str
    description: str
    row: str
    key: tuple[str, ...]
    day: str
    columns: tuple[MartColumn, ...]

    @property
    def sql(self) -> str:
        """Its SQL, with the names of inputs and of other marts in braces. It begins with comments and `WITH`."""
        return read_sql(self.name)

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs and other marts that its SQL names, in order."""
        return tuple(dict.fromkeys(_READ.findall(self.sql)))


@cache
def read_sql(name: str) -> str:
    """A file of the folder `sql`, by its name without the ending."""
    return (resources.files(__package__) / "sql" / f"{name}.sql").read_text("utf-8")


_ROLLFORWARD = Mart(
    "stripe_balance_rollforward",
    "The balance from month to month: opening, what came in and went out by category, closing, and whether that is "
    "what Stripe says. Sums over a month and currency are right: opening + net + payouts + difference = closing.",
    "a category of a month and currency, its opening or its closing balance",
    ("account", "month", "currency", "category"),
    "month",
    (
        ACCOUNT,
        MONTH,
        CURRENCY,
        MartColumn("category", TEXT, "`opening_balance`, Stripe's reporting category, or `closing_balance`"),
        MartColumn(
            "opening", AMOUNT, "On `opening_balance` the balance at its start, else 0; NULL where it is not known"
        ),
        MartColumn("gross", AMOUNT, "Gross amount of activity, as effect on the balance; 0 for payouts"),
        MartColumn("fee", AMOUNT, "Fees of activity, as effect on the balance: negative; 0 for payouts"),
        MartColumn("net", AMOUNT, "gross + fee of activity; 0 for payouts"),
        MartColumn(
            "payouts", AMOUNT, "What payouts took out of the balance (negative) or brought back; 0 for activity"
        ),
        MartColumn(
            "closing",
            AMOUNT,
            "On `closing_balance` the balance at its end, or where the data ends, else 0; NULL where it is not known",
        ),
        MartColumn(
            "difference",
            AMOUNT,
            "On `closing_balance` closing less opening + net + payouts: 0 where all agrees, NULL where the reports are "
            "not loaded to the same instants or Stripe states no balance within the month; else 0",
        ),
        MartColumn("row_count", BIGINT, "Rows of the reports behind the line"),
        MartColumn("up_to", TIMESTAMPTZ, "Up to when the month's balance is loaded, UTC"),
        MartColumn("is_complete", BOOL, "True where the balance is loaded to the end of the month"),
    ),
)

_DAILY = Mart(
    "stripe_daily_balance",
    "The balance at the end of each day: Stripe's stated balance, rolled forward by the rows between two statements.",
    "a day of a currency",
    ("account", "day", "currency"),
    "day",
    (
        ACCOUNT,
        DAY,
        CURRENCY,
        MartColumn("opening", AMOUNT, "Balance at the beginning of the day; NULL where it is not known"),
        MartColumn("gross", AMOUNT, "Gross amount of the day's activity, as effect on the balance"),
        MartColumn("fee", AMOUNT, "Fees of the day's activity, as effect on the balance: negative"),
        MartColumn("net", AMOUNT, "gross + fee of the day's activity"),
        MartColumn("payouts", AMOUNT, "What payouts took out of the balance (negative) or brought back"),
        MartColumn("closing", AMOUNT, "Balance at the end of the day; NULL where it is not known"),
        MartColumn(
            "is_stated", BOOL, "True where Stripe states that balance, at the end of an interval of `balance.summary`"
        ),
        MartColumn(
            "difference",
            AMOUNT,
            "Where Stripe states the balance at the end of the day, that less what the rows since its last statement "
            "give; else NULL",
        ),
        MONTH,
    ),
)

_PAYOUTS = Mart(
    "stripe_payouts",
    "Each payout with its status, when it left the balance, whether it came back, what paid it again, and the sum of "
    "its rows.",
    "a payout",
    ("account", "payout_id"),
    "effective_day",
    (
        ACCOUNT,
        MartColumn("payout_id", TEXT, "Payout, `po_...`"),
        CURRENCY,
        MartColumn("amount", AMOUNT, "What the bank gets: positive, and negative for a debit; the opposite of `net`"),
        MartColumn("gross", AMOUNT, "Gross amount, as effect on the balance: negative for a payout"),
        MartColumn("fee", AMOUNT, "Fees of the payout, as effect on the balance"),
        MartColumn("net", AMOUNT, "Effect on the balance: negative for a payout; NULL where only its return is loaded"),
        MartColumn(
            "status",
            TEXT,
            "Stripe's status as of the last load of the row; `failed` where money came back and nothing else is said",
        ),
        MartColumn("effective_at_utc", TIMESTAMPTZ, "When it left the balance, UTC"),
        MartColumn("effective_at", TIMESTAMP, "The same in the report's zone"),
        MartColumn("effective_day", DATE, "Its calendar day; that of the return where only that is loaded"),
        MONTH,
        MartColumn("arrival_date", DATE, "Expected arrival at the bank; NULL where not loaded"),
        MartColumn("method", TEXT, "Stripe's payout type, such as `bank_account` or `card`; NULL where not loaded"),
        MartColumn("destination_id", TEXT, "Bank account or card, `ba_...`; NULL where not loaded"),
        MartColumn("description", TEXT, "Stripe's description of the payout"),
        MartColumn("trace_id", TEXT, "The bank's reference, once it is known"),
        MartColumn("transaction_id", TEXT, "Balance transaction of the payout"),
        MartColumn("is_returned", BOOL, "True where the money came back"),
        MartColumn("reversed_at_utc", TIMESTAMPTZ, "When the money came back, UTC; NULL where it did not"),
        MartColumn("reversed_at", TIMESTAMP, "The same in the report's zone"),
        MartColumn("reversal_net", AMOUNT, "What came back, as effect on the balance: positive for a payout"),
        MartColumn("reversal_transaction_id", TEXT, "Balance transaction of the return"),
        MartColumn(
            "retry_of", TEXT, "Failed payout whose money this one pays again; the first where there are several"
        ),
        MartColumn("retried_by", TEXT, "Payout that pays the returned money again"),
        MartColumn(
            "row_count", BIGINT, "Transactions that it settles; 0 for manual and instant payouts, NULL where not loaded"
        ),
        MartColumn("rows_net", AMOUNT, "Their net; NULL where there are none, or none are loaded"),
        MartColumn(
            "difference", AMOUNT, "amount less rows_net: 0 where they agree, NULL where there are no rows to compare"
        ),
    ),
)

_PAYOUT_TRANSACTIONS = Mart(
    "stripe_payout_transactions",
    "What is in each payout: the transactions that it settles, with the payment behind each.",
    "a transaction that a payout settles",
    ("account", "payout_id", "transaction_id"),
    "payout_day",
    (
        ACCOUNT,
        MartColumn("payout_id", TEXT, "Payout that settles the transaction, `po_...`"),
        MartColumn("payout_effective_at_utc", TIMESTAMPTZ, "When that payout left the balance, UTC"),
        MartColumn("payout_effective_at", TIMESTAMP, "The same in the report's zone"),
        MartColumn("payout_day", DATE, "Its calendar day"),
        *TRANSACTION,
    ),
)

_UNSETTLED = Mart(
    "stripe_unsettled_transactions",
    "What is not paid out yet: the newest snapshot of each account, and no other.",
    "a transaction that no payout had paid when the snapshot was made",
    ("account", "transaction_id"),
    "snapshot_day",
    (
        ACCOUNT,
        MartColumn("snapshot_at", TIMESTAMPTZ, "The instant of the snapshot, UTC"),
        MartColumn("snapshot_day", DATE, "First day of the interval at whose end it was made"),
        *TRANSACTION,
    ),
)

_FEES = Mart(
    "stripe_fees",
    "Every fee: what was taken off each transaction, and what Stripe billed in transactions of their own.",
    "a transaction with a fee",
    ("account", "transaction_id"),
    "day",
    (
        ACCOUNT,
        MartColumn("transaction_id", TEXT, "Balance transaction, `txn_...`"),
        MONTH,
        DAY,
        CURRENCY,
        CATEGORY,
        MartColumn(
            "kind",
            TEXT,
            "`of_transaction`: taken off its gross amount; `billed`: a transaction of category fee or network_cost",
        ),
        MartColumn(
            "fee", AMOUNT, "The fee, as effect on the balance: negative, and positive where Stripe gave it back"
        ),
        MartColumn("taken_from", AMOUNT, "Gross amount of the transaction it was taken off; NULL for `billed`"),
        *CREATED,
        *PAYMENT,
    ),
)

_BY_CATEGORY = Mart(
    "stripe_activity_by_category",
    "What moved the balance, by month and category; activity and payouts apart.",
    "a category of a month and currency",
    ("account", "month", "currency", "section", "category"),
    "month",
    (
        ACCOUNT,
        MONTH,
        CURRENCY,
        MartColumn("section", TEXT, "`activity` or `payouts`"),
        CATEGORY,
        MartColumn("row_count", BIGINT, "Number of transactions"),
        GROSS,
        FEE,
        NET,
    ),
)

_JOURNAL = Mart(
    "stripe_journal_lines",
    "Double entry for the general ledger: by day and category, and by payout. Debits equal credits for each day, "
    "account, currency and source. Which ledger account is used comes from the chart of accounts.",
    "a debit or a credit",
    ("account", "journal_date", "currency", "source", "ledger_account", "entry"),
    "journal_date",
    (
        MartColumn("journal_date", DATE, "Calendar day in the report's zone on which the balance moved"),
        ACCOUNT,
        MartColumn(
            "ledger_account",
            TEXT,
            "Account of the general ledger, from the chart of accounts; the suspense account where a category has none",
        ),
        CURRENCY,
        MartColumn("debit", AMOUNT, "Debit, positive or 0"),
        MartColumn("credit", AMOUNT, "Credit, positive or 0"),
        MartColumn(
            "source", TEXT, "What is booked: `charge`, `charge fees`, `payout po_...`, `payout_reversal po_...`"
        ),
        MartColumn(
            "entry", TEXT, "`balance` for the side of the Stripe balance; `gross`, `fee` or `payout` for the other one"
        ),
        MartColumn("category", TEXT, "Stripe's reporting category"),
        MartColumn("payout_id", TEXT, "Payout that is booked; NULL for activity"),
        MONTH,
    ),
)

_OPEN_ITEMS = Mart(
    "stripe_open_items",
    "What Stripe's reports do not agree on, from `tie_out`: every statement that is not tied, with what to do.",
    "a statement that is not tied",
    ("equation", "account", "interval_key", "currency", "item"),
    "interval_day",
    (
        MartColumn("equation", TEXT, "Name of the equation, see docs/proof.md"),
        ACCOUNT,
        MartColumn("month", DATE, "First day of the month in which the interval begins"),
        MartColumn("interval_day", DATE, "First calendar day of the interval, in the report's zone"),
        MartColumn("interval_key", TEXT, "Identity of the interval; joins `_interval_key` of the rows"),
        MartColumn("currency", TEXT, "Currency; empty where the equation has none"),
        MartColumn("item", TEXT, "Category, payout or transaction"),
        MartColumn("figure", AMOUNT, "What the first report says, as effect on the balance"),
        MartColumn("against", AMOUNT, "What the other report says"),
        MartColumn("difference", AMOUNT, "figure less against"),
        MartColumn("gross_difference", AMOUNT, "The same for gross amounts, where compared"),
        MartColumn("fee_difference", AMOUNT, "The same for fees, where compared"),
        MartColumn("count_difference", BIGINT, "The same for numbers of rows, where compared"),
        MartColumn("status", TEXT, "`explained`, `pending`, `stale`, `not_comparable` or `variance`"),
        MartColumn("is_open", BOOL, "True where something is to be done or awaited: `variance`, `stale`, `pending`"),
        MartColumn("reason", TEXT, "What differs and what to do, in a sentence"),
        MartColumn("figure_run", TEXT, "Report runs of the figure; joins report_runs"),
        MartColumn("against_run", TEXT, "Report runs of the other figure"),
        MartColumn("checked_at", TIMESTAMPTZ, "When this was looked at, UTC"),
    ),
)

MARTS: Mapping[str, Mart] = {
    mart.name: mart
    for mart in (
        _ROLLFORWARD,
        _DAILY,
        _PAYOUTS,
        _PAYOUT_TRANSACTIONS,
        _UNSETTLED,
        _FEES,
        _BY_CATEGORY,
        _JOURNAL,
        _OPEN_ITEMS,
    )
}
"""By name."""
