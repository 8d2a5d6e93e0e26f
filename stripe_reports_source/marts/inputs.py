"""What the marts read: Stripe's reports with one sign and one set of names. Data only.

An input is a SELECT over the tables that hold a report, with exactly these columns: NULL where a table lacks one, and
no rows where no table is there. How it is written for a dataset is said in `input_sql`.

Amounts are effects on the balance: fees are negative, and so are payouts; net = gross + fee. Stripe's itemized reports
write fees and payouts as positive numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..plan.column_types import AMOUNT, BIGINT, BOOL, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType

Derived = Literal["account", "day", "month", "cell_day", "cell_first_day", "cell_last_day", "cell_start", "cell_end"]
"""Columns that are worked out, see `input_sql`."""


@dataclass(frozen=True)
class InputColumn:
    """A column of an input.

    Args:
        name: as marts call it.
        type: it has this type, also where it is NULL.
        sources: columns of the table that it may come from; the first one of this type that has a value counts.
        sign: `-` where Stripe writes the opposite of the effect on the balance.
        needed: without it the figures would be wrong: a table that lacks it counts as not loaded.
    """

    name: str
    type: ColumnType
    sources: tuple[str, ...]
    sign: str = ""
    needed: bool = False


@dataclass(frozen=True)
class MartInput:
    """A report as marts see it.

    Args:
        name: as the SQL of marts calls it, in braces.
        base: id of the report without its version.
        columns: taken from the table, in order; those of `worked_out` follow them.
        worked_out: columns that are computed, by name.
        times: the columns of the table that say when a row counts: UTC, and in the report's zone.
        lines: values of the column `line` that count; all if it is empty.
        fills_in: True for a report that adds to another, and that few load.
    """

    name: str
    base: str
    columns: tuple[InputColumn, ...]
    worked_out: Mapping[str, Derived]
    times: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    lines: tuple[str, ...] = ()
    fills_in: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All its columns, in order."""
        return (*(column.name for column in self.columns), *self.worked_out)

    @property
    def connected_base(self) -> str:
        """The same report over a platform's connected accounts."""
        return f"connected_account_{self.base}"


def _amounts(gross: str, fee: str, net: str) -> tuple[InputColumn, ...]:
    return (
        InputColumn("currency", TEXT, ("currency",), needed=True),
        InputColumn("category", TEXT, ("reporting_category",), needed=True),
        InputColumn("gross", AMOUNT, ("gross",), gross, needed=True),
        InputColumn("fee", AMOUNT, ("fee",), fee, needed=True),
        InputColumn("net", AMOUNT, ("net",), net, needed=True),
    )


_TRANSACTION = (
    InputColumn("transaction_id", TEXT, ("balance_transaction_id",)),
    *_amounts("", "-", ""),
    InputColumn("created_utc", TIMESTAMPTZ, ("created_utc",)),
    InputColumn("created", TIMESTAMP, ("created",)),
    InputColumn("source_id", TEXT, ("source_id",)),
    InputColumn("description", TEXT, ("description",)),
    InputColumn("charge_id", TEXT, ("charge_id",)),
    InputColumn("payment_intent_id", TEXT, ("payment_intent_id",)),
    InputColumn("charge_created_utc", TIMESTAMPTZ, ("charge_created_utc",)),
    InputColumn("invoice_id", TEXT, ("invoice_id",)),
    InputColumn("subscription_id", TEXT, ("subscription_id",)),
    InputColumn("customer_id", TEXT, ("customer_id",)),
    InputColumn("payment_method_type", TEXT, ("payment_method_type",)),
    InputColumn("card_brand", TEXT, ("card_brand",)),
    InputColumn("card_country", TEXT, ("card_country",)),
    InputColumn("customer_facing_amount", AMOUNT, ("customer_facing_amount",)),
    InputColumn("customer_facing_currency", TEXT, ("customer_facing_currency",)),
)
_PAYOUT_UTC = ("automatic_payout_effective_at_utc", "automatic_payout_effective_at")  # older versions write UTC only
_PAYOUT_LOCAL = ("automatic_payout_effective_at",)
_SETTLED = (
    InputColumn("payout_id", TEXT, ("automatic_payout_id",), needed=True),
    InputColumn("payout_effective_at_utc", TIMESTAMPTZ, _PAYOUT_UTC),
    InputColumn("payout_effective_at", TIMESTAMP, _PAYOUT_LOCAL),
    *_TRANSACTION,
)
_CREATED = (("created_utc",), ("created",))
_PLACED: Mapping[str, Derived] = {"account": "account", "day": "day", "month": "month"}

REPORT_INPUTS: Mapping[str, MartInput] = {
    input_.name: input_
    for input_ in (
        MartInput(
            "activity",
            "balance_change_from_activity.itemized",
            (InputColumn("payout_id", TEXT, ("automatic_payout_id",)), *_TRANSACTION),
            _PLACED,
            _CREATED,
        ),
        MartInput(
            "payouts",
            "payouts.itemized",
            (
                InputColumn("transaction_id", TEXT, ("balance_transaction_id",)),
                InputColumn("payout_id", TEXT, ("payout_id",), needed=True),
                *_amounts("-", "", "-"),
                InputColumn("effective_at_utc", TIMESTAMPTZ, ("effective_at_utc",)),
                InputColumn("effective_at", TIMESTAMP, ("effective_at",)),
                InputColumn("status", TEXT, ("payout_status",)),
                InputColumn("arrival_date", DATE, ("payout_expected_arrival_date",)),
                InputColumn("method", TEXT, ("payout_type",)),
                InputColumn("destination_id", TEXT, ("payout_destination_id",)),
                InputColumn("description", TEXT, ("payout_description", "description")),
                InputColumn("trace_id", TEXT, ("trace_id",)),
            ),
            _PLACED,
            (("effective_at_utc", "effective_at"), ("effective_at",)),
        ),
        MartInput("settled", "payout_reconciliation.itemized", _SETTLED, _PLACED, (_PAYOUT_UTC, _PAYOUT_LOCAL)),
        MartInput(
            "settled_by_id",
            "payout_reconciliation.by_id.itemized",
            _SETTLED,
            _PLACED,
            (_PAYOUT_UTC, _PAYOUT_LOCAL),
            fills_in=True,
        ),
        MartInput(
            "unsettled",
            "ending_balance_reconciliation.itemized",
            _TRANSACTION,
            {"account": "account", "snapshot_day": "cell_day", "snapshot_at": "cell_end"},
        ),
        MartInput(
            "balance",
            "balance.summary",
            (
                InputColumn("line", TEXT, ("category", "reporting_category"), needed=True),
                InputColumn("currency", TEXT, ("currency",), needed=True),
                InputColumn("amount", AMOUNT, ("net_amount",), needed=True),
            ),
            {
                "account": "account",
                "first_day": "cell_first_day",
                "last_day": "cell_last_day",
                "start_at": "cell_start",
                "end_at": "cell_end",
            },
            lines=("starting_balance", "ending_balance"),
        ),
    )
}
"""Stripe's reports, by the names of their inputs."""

CELLS: Mapping[str, ColumnType] = {
    "input": TEXT,
    "account": TEXT,
    "first_day": DATE,
    "last_day": DATE,
    "start_at": TIMESTAMPTZ,
    "end_at": TIMESTAMPTZ,
    "complete": BOOL,
}
"""The input `cells`: what is loaded of each input, from `report_cells`, of the tables that the inputs are read from.

`first_day` and `last_day` are the days of `start_at` and of the last instant before `end_at`: a cell at the beginning
of Stripe's data begins later than its month. Snapshots have no `start_at`; their first day is that of the cell.
"""

TIE_OUT_COLUMNS: Mapping[str, ColumnType] = {
    "equation": TEXT,
    "account": TEXT,
    "interval_key": TEXT,
    "interval_day": DATE,
    "currency": TEXT,
    "item": TEXT,
    "figure": AMOUNT,
    "against": AMOUNT,
    "difference": AMOUNT,
    "gross_difference": AMOUNT,
    "fee_difference": AMOUNT,
    "count_difference": BIGINT,
    "status": TEXT,
    "reason": TEXT,
    "figure_run": TEXT,
    "against_run": TEXT,
    "checked_at": TIMESTAMPTZ,
}
"""The input `tie_out`, as the table is."""

LEDGER_ACCOUNTS: Mapping[str, ColumnType] = {"category": TEXT, "entry": TEXT, "ledger_account": TEXT}
"""The input `ledger_accounts`, the chart of accounts."""

INPUT_NAMES = (*REPORT_INPUTS, "cells", "tie_out", "ledger_accounts")
"""All that the SQL of marts may name in braces, beside other marts."""
