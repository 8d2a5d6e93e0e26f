"""A large dataset that ties, made by DuckDB itself: six reports of some months with a ledger, shaped like loaded ones.

In: an empty folder, months and rows a month. Out: a database beside dlt's folder, whose tables a small load has made.
Nothing goes through HTTP, so that a million rows take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb

ACTIVITY, PAYOUTS, SETTLED = (
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
)
UNSETTLED, LINES, BALANCE = (
    "ending_balance_reconciliation.itemized",
    "balance_change_from_activity.summary",
    "balance.summary",
)
SIX = [BALANCE, ACTIVITY, LINES, PAYOUTS, SETTLED, UNSETTLED]
COPY_ACTIVITY = "CREATE OR REPLACE TABLE main.copied AS SELECT * FROM stripe.balance_change_from_activity_itemized"
_SNAPSHOT = (UNSETTLED,)


@dataclass(frozen=True)
class Month:
    """A cell of all reports: the calendar month that begins on a day."""

    first_day: date

    @property
    def end(self) -> date:
        """The first day of the next month."""
        return (self.first_day.replace(day=28) + timedelta(days=4)).replace(day=1)

    @property
    def cell(self) -> str:
        """The cell's name in all reports."""
        return f"default|month|UTC|{self.first_day}"


def months_from(first: date, count: int) -> list[Month]:
    """Calendar months in order."""
    found = [Month(first)]
    while len(found) < count:
        found.append(Month(found[-1].end))
    return found


def fill(database: Path, months: Sequence[Month], rows_a_month: int) -> None:
    """Put rows and a ledger that tie into the tables of a small load, in place of its own."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET schema = 'stripe'")
        for report in SIX:
            connection.execute(f"DELETE FROM {_table(report)}")
        connection.execute("DELETE FROM report_cells")
        connection.execute("DELETE FROM report_runs")
        connection.execute("CREATE TEMP TABLE months (first_day DATE, start TIMESTAMPTZ, until TIMESTAMPTZ)")
        connection.executemany(
            "INSERT INTO months VALUES (?, ?, ?)",
            [(month.first_day, _instant(month.first_day), _instant(month.end)) for month in months],
        )
        connection.execute(_TRANSACTIONS.format(rows=rows_a_month))
        connection.execute(_PAYOUTS)
        for report, select in _ROWS.items():
            connection.execute(f"INSERT INTO {_table(report)} BY NAME {select.format(cell=_cell(report))}")
        for report in SIX:
            _list_cells(connection, report, months)
        connection.execute("UPDATE report_freshness SET loaded_from = ?, loaded_to = ?", _bounds(months))
        connection.execute("CHECKPOINT")


_TRANSACTIONS = """
CREATE TEMP TABLE made AS
SELECT *, gross - fee AS net, 'po_' || currency || strftime(automatic_payout_effective_at_utc, '%Y%m%d')
       AS automatic_payout_id
FROM (
    SELECT 'txn_' || md5(first_day || ' ' || number) AS balance_transaction_id, created_utc,
           date_trunc('day', created_utc) + INTERVAL 2 DAY + INTERVAL 57 SECOND AS automatic_payout_effective_at_utc,
           CASE WHEN number % 5 = 0 THEN 'eur' ELSE 'usd' END AS currency,
           CASE WHEN number % 20 = 0 THEN 'refund' ELSE 'charge' END AS reporting_category,
           (CASE WHEN number % 20 = 0 THEN -1 ELSE 1 END * (500 + hash(number) % 20000)::BIGINT * 0.01)::DECIMAL(38, 9)
           AS gross,
           CASE WHEN number % 20 = 0 THEN 0 ELSE (30 + hash(number) % 500)::BIGINT * 0.01 END::DECIMAL(38, 9) AS fee,
           'ch_' || md5(number::TEXT) AS source_id, 'ch_' || md5(number::TEXT) AS charge_id,
           'pi_' || md5(number::TEXT) AS payment_intent_id, 'Order ' || number AS description,
           'customer' || number % 5000 || '@example.com' AS customer_email, 'cus_' || number % 5000 AS customer_id
    FROM (
        SELECT first_day, number, start + (until - start) * (number / {rows}) AS created_utc
        FROM months, range({rows}) AS numbers(number)
    )
)
"""
_PAYOUTS = """
CREATE TEMP TABLE paid AS
SELECT automatic_payout_id AS payout_id, 'txn_' || automatic_payout_id AS balance_transaction_id, currency,
       automatic_payout_effective_at_utc AS effective_at_utc, sum(net) AS net, sum(net) AS gross, 0 AS fee,
       'payout' AS reporting_category, 'paid' AS payout_status
FROM made GROUP BY ALL
"""
_ROWS = {
    ACTIVITY: "SELECT made.*, {cell} FROM made JOIN months ON created_utc >= start AND created_utc < until",
    SETTLED: "SELECT made.*, {cell} FROM made JOIN months ON automatic_payout_effective_at_utc >= start "
    "AND automatic_payout_effective_at_utc < until",
    PAYOUTS: "SELECT paid.*, {cell} FROM paid JOIN months ON effective_at_utc >= start AND effective_at_utc < until",
    UNSETTLED: "SELECT made.* EXCLUDE (automatic_payout_effective_at_utc, automatic_payout_id), {cell} FROM made "
    "JOIN months ON created_utc < until AND automatic_payout_effective_at_utc >= until",
    LINES: "SELECT currency, reporting_category, count(*) AS count, sum(gross) AS gross, -sum(fee) AS fee, "
    "sum(net) AS net, {cell} FROM made JOIN months ON created_utc >= start AND created_utc < until GROUP BY ALL",
    BALANCE: "SELECT currency, unnest(['starting_balance', 'activity', 'payouts', 'ending_balance']) AS category, "
    "unnest([opening, activity, payouts, opening + activity + payouts]) AS net_amount, {cell} FROM ("
    "SELECT currency, first_day, start, until, sum(CASE WHEN moved_at < start THEN net ELSE 0 END) AS opening, "
    "sum(CASE WHEN moved_at >= start AND net_of = 'activity' THEN net ELSE 0 END) AS activity, "
    "sum(CASE WHEN moved_at >= start AND net_of = 'payouts' THEN net ELSE 0 END) AS payouts FROM ("
    "SELECT currency, date_trunc('hour', created_utc) AS moved_at, 'activity' AS net_of, sum(net) AS net FROM made "
    "GROUP BY ALL UNION ALL SELECT currency, effective_at_utc, 'payouts', -net FROM paid) AS moves "
    "JOIN months ON moved_at < until GROUP BY ALL)",
}


def _cell(report: str) -> str:
    start = "NULL::TIMESTAMPTZ" if report in _SNAPSHOT else "start"
    return (
        f"'default' AS _account, '{report}.1' AS _report_type, 'frr_{report}' || first_day AS _report_run_id, "
        f"{start} AS _interval_start, until AS _interval_end, 'default|{report}|month|UTC|' || first_day "
        "AS _interval_key, first_day AS _interval_day, '1000000000.0' AS _dlt_load_id"
    )


def _list_cells(connection: duckdb.DuckDBPyConnection, report: str, months: Sequence[Month]) -> None:
    totals = _control_totals(connection, report)
    common = f"'frr_{report}' || first_day AS run_id, '{report}.1' AS report_type, 'default' AS account, "
    common += f"'{_table(report)}' AS table_name, 'default|{report}|month|UTC|' || first_day AS interval_key, "
    common += f"'{_instant(months[-1].end)}'::TIMESTAMPTZ AS data_available_end, '1000000000.0' AS _dlt_load_id, "
    start = "NULL::TIMESTAMPTZ" if report in _SNAPSHOT else "start"
    common += f"{start} AS interval_start, until AS interval_end"
    connection.execute(
        f"INSERT INTO report_cells BY NAME SELECT {common}, first_day AS interval_day, until AS whole_end, "
        "true AS complete FROM months"
    )
    connection.execute(
        f"INSERT INTO report_runs BY NAME SELECT {common}, 'succeeded' AS status, '{{}}' AS parameters, "
        "until AS created, 0 AS attempt, false AS adopted, true AS livemode FROM months"
    )
    connection.executemany("UPDATE report_runs SET control_totals = ? WHERE interval_key = ?", totals)


def _control_totals(connection: duckdb.DuckDBPyConnection, report: str) -> list[tuple[str, str]]:
    amounts = ("net_amount",) if report == BALANCE else ("gross", "fee", "net")
    category = "category" if report == BALANCE else "reporting_category"
    sums = ", ".join(f"sum({name})" for name in amounts)
    found: dict[str, list[dict[str, Any]]] = {}
    for key, currency, kind, rows, *values in connection.execute(
        f"SELECT _interval_key, currency, {category}, count(*), {sums} FROM {_table(report)} GROUP BY ALL"
    ).fetchall():
        total = {name: str(value) for name, value in zip(amounts, values, strict=True)}
        found.setdefault(key, []).append({"currency": currency, "category": kind, "rows": rows, "amounts": total})
    return [(json.dumps(groups), key) for key, groups in found.items()]


def _table(report: str) -> str:
    return report.replace(".", "_")


def _bounds(months: Sequence[Month]) -> list[datetime]:
    return [_instant(months[0].first_day), _instant(months[-1].end)]


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
