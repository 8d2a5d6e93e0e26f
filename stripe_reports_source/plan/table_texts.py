"""What a table holds, for whoever meets it in a database: grain, sign, joins, and what must not be added up. Pure.

In: the reports of a source. Out: a text for each table, by its name.
"""

from __future__ import annotations

from collections.abc import Iterable

from .catalog import ReportType, load_catalog
from .report import Report
from .system_tables import (
    REPORT_CELLS,
    REPORT_COLUMNS,
    REPORT_FRESHNESS,
    REPORT_LANES,
    REPORT_RUNS,
    REPORT_TYPES,
    TIE_OUT,
)

CONNECTED = "connected_account_"
JOINS = "Each row joins report_cells by _account and _interval_key, and report_runs by _report_run_id."
ONE_CURRENCY = "Amounts are in the currency of the row: never add up different currencies."
SNAPSHOT = "Each interval is the state at its end: never add up intervals."
TOTALS = "A line named total, where there is one, is the sum of the others: leave it out of sums."
ITEMIZED_SIGN = "Fees are positive numbers: net = gross - fee."
SUMMARY_SIGN = "Amounts are effects on the balance: fees are negative, net = gross + fee."
BY_REPORT = {
    "balance.summary": (
        "Lines are subtotals of one another (opening, activity, payouts, closing): never add them up.",
        "starting balance + activity + payouts = ending balance, in each interval and currency.",
    ),
    "balance_change_from_activity.itemized": (
        ITEMIZED_SIGN,
        "Joins payouts_itemized by automatic_payout_id = payout_id, which is empty until the payout is made.",
    ),
    "balance_change_from_activity.summary": (SUMMARY_SIGN, TOTALS),
    "payouts.itemized": (
        "A payout is a positive number, although it leaves the balance.",
        "A payout that failed has a row of its own, and another one when the money has come back.",
    ),
    "payouts.summary": ("A payout is a negative number: it leaves the balance.", TOTALS),
    "payout_reconciliation.itemized": (
        ITEMIZED_SIGN,
        "Joins payouts_itemized by automatic_payout_id = payout_id.",
        "A transaction can stand under two payouts, if the first one failed: do not add up across payouts blindly.",
    ),
    "payout_reconciliation.summary": (SUMMARY_SIGN, TOTALS),
    "ending_balance_reconciliation.itemized": (ITEMIZED_SIGN,),
    "ending_balance_reconciliation.summary": (SUMMARY_SIGN, TOTALS),
}
"""What is to be known of a report beside its grain; the same for the report of connected accounts."""
SYSTEM_TEXTS = {
    REPORT_TYPES.name: "One row per report type that Stripe offers to an account, and how far its data reaches.",
    REPORT_RUNS.name: "One row per report run that was used, and its file: when, with which parameters, how many rows.",
    REPORT_COLUMNS.name: "One row per column of a report table: Stripe's header, the type, what it holds.",
    REPORT_CELLS.name: "What is loaded: one row per table, account and interval, also where the interval has no rows.",
    REPORT_FRESHNESS.name: "One row per table and account: how far it is loaded, and how far Stripe's data reaches.",
    REPORT_LANES.name: "One row per report and connected account: what the next sync must know of it.",
    TIE_OUT.name: "Whether the reports agree: one row per equation, account, interval, currency and open item.",
}


def table_texts(reports: Iterable[Report]) -> dict[str, str]:
    """The text of each table of these reports, and of the system tables."""
    return {**{report.table: report_text(report) for report in reports}, **SYSTEM_TEXTS}


def report_text(report: Report) -> str:
    """What a table of a report holds, in a few sentences."""
    known = load_catalog().nearest(report.report)
    if known is None:
        return f"Stripe's report {report.base}. {JOINS}"
    own = BY_REPORT.get(report.base.removeprefix(CONNECTED), ())
    return " ".join((f"Stripe's report {report.base}: {known.title}.", *_grain(known), *own, *_limits(known), JOINS))


def _grain(known: ReportType) -> tuple[str, ...]:
    return () if known.row == "unknown" else (f"One row is {known.row}.",)


def _limits(known: ReportType) -> tuple[str, ...]:
    names = {column.name for column in known.columns}
    currency = (ONE_CURRENCY,) if "currency" in names else ()
    return (*((SNAPSHOT,) if known.shape == "snapshot" else ()), *currency)
