"""The page of very many accounts over two years, of made-up figures: below 2 MB, and it says what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from stripe_reports_source.marts.catalog import MARTS
from stripe_reports_source.marts.reading import MartRows
from stripe_reports_source.page.calendar import Reach, calendar, few, months_between, next_month
from stripe_reports_source.page.figures import MOST_ACCOUNTS, Figures
from stripe_reports_source.page.gather import Gathered, Run
from stripe_reports_source.page.render import page_of
from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.coverage import Coverage, CoveredCell
from stripe_reports_source.reconcile.reconciliation import Reconciliation
from stripe_reports_source.warehouse.status import ReportStatus

UTC = timezone.utc
MONTHS = months_between(date(2024, 1, 1), date(2025, 12, 31))
DAYS = [MONTHS[0] + timedelta(days=number) for number in range(731)]
END = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = [f"acct_{number:016}" for number in range(200)]
REPORTS = (
    *("balance.summary", "balance_change_from_activity.itemized", "balance_change_from_activity.summary"),
    *("payouts.itemized", "payouts.summary", "payout_reconciliation.itemized", "payout_reconciliation.summary"),
    *("ending_balance_reconciliation.itemized", "ending_balance_reconciliation.summary"),
)
CURRENCIES = ("eur", "gbp", "jpy", "usd")
CATEGORIES = ("charge", "refund", "dispute", "fee", "other_adjustment", "payout")
NUMBER = Decimal("-1234567.89")


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def cells() -> list[CoveredCell]:
    """Each month of each report and account."""
    found: list[CoveredCell] = []
    for base in REPORTS:
        for account in ACCOUNTS:
            for month in MONTHS:
                key = f"{account}|{base}|month|UTC|{month}"
                start, end = start_of(month), start_of(next_month(month))
                whose = (base.replace(".", "_"), account, key, base)
                found.append(CoveredCell(*whose, month, start, end, end, True, 1000, f"frr_{len(found):024}", end))
    return found


def runs(covered: Sequence[CoveredCell]) -> dict[str, Run]:
    """The run of each cell, with its file."""
    found = {}
    for cell in covered:
        name = str(cell.run_id)
        whose = (name, f"{cell.base}.5", cell.account, cell.table, cell.start, cell.end)
        file = (1_000_000, f"file_{name}", "f" * 64, f"s3://bucket/{cell.table}/{name}.csv")
        found[name] = Run(*whose, "succeeded", cell.end, 0, False, 1000, *file, None)
    return found


def statements() -> list[Statement]:
    """One that ties of each account, month and currency."""
    zeros = (Decimal(0),) * 5
    found = []
    for account in ACCOUNTS:
        for month in MONTHS:
            for currency in CURRENCIES:
                start = start_of(month)
                place = ("balance_foots", account, f"{account}|balance.summary|month|UTC|{month}", currency, "")
                days = (month, start, start_of(next_month(month)))
                values: list[Any] = [*place, *days, *zeros, 0, "tied", "", None, None, END, None]
                found.append(Statement(**dict(zip(Statement.__dataclass_fields__, values, strict=True))))
    return found


def mart(name: str, rows: list[dict[str, Any]]) -> MartRows:
    """Rows of a mart; what is not given is of the column's kind."""
    columns = MARTS[name].columns
    kinds: dict[str, Any] = {"decimal": NUMBER, "date": MONTHS[0], "bigint": 1000, "bool": True, "timestamp": END}

    def value(column: Any, row: dict[str, Any]) -> Any:
        kind = str(column.type).lower()
        return row.get(column.name, next((made for begin, made in kinds.items() if kind.startswith(begin)), "x" * 28))

    made = [tuple(value(column, row) for column in columns) for row in rows]
    return MartRows(tuple(column.name for column in columns), made, "SELECT 1\n" * 200, ())


def each(*lists: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Rows for each account and currency and for all of some lists."""
    rows: list[dict[str, Any]] = [
        {"account": account, "currency": currency} for account in ACCOUNTS[:MOST_ACCOUNTS] for currency in CURRENCIES
    ]
    for values in lists:
        rows = [{**row, name: value} for row in rows for name, value in values]
    return rows


def figures() -> Figures:
    months = [("month", month) for month in MONTHS]
    lines = [("category", name) for name in ("opening_balance", *CATEGORIES, "closing_balance")]
    return Figures(
        month=MONTHS[-1],
        first=MONTHS[0],
        after=date(2026, 1, 1),
        accounts=tuple(ACCOUNTS[:MOST_ACCOUNTS]),
        accounts_in_all=len(ACCOUNTS),
        rollforward=mart("stripe_balance_rollforward", each(months, lines)),
        daily=mart("stripe_daily_balance", each([("day", day) for day in DAYS])),
        payouts=mart("stripe_payouts", each([("effective_day", day) for day in DAYS[-92:]])),
        categories=mart("stripe_activity_by_category", each(months, [("category", name) for name in CATEGORIES])),
        journal=mart("stripe_journal_lines", each([("journal_date", day) for day in DAYS[-31:]])),
        off=(),
    )


@pytest.mark.long
def test_a_page_of_very_many_accounts_can_be_mailed() -> None:
    covered = cells()
    reach = {(cell.table, cell.account): Reach(start_of(MONTHS[0]), END) for cell in covered}
    reports = [
        ReportStatus(table, account, f"{table}.1", END, END, END, 24_000, "frr_1 succeeded", END, (), ())
        for table, account in reach
    ]
    fresh = [
        {"report": table, "account": account, "report_type": f"{table}.1", "loaded_to": END, "available_to": END}
        | {"behind_seconds": timedelta(0)}
        | {"behind_now_seconds": timedelta(0), "rows": 24_000, "tie_out": "tied", "failures": 0, "pending": 0}
        | {"last_sync": END, "last_run": None}
        for table, account in reach
    ]
    gathered = Gathered(
        place="stripe_reports.duckdb, dataset stripe",
        as_of=END,
        months=tuple(MONTHS),
        earlier=12,
        reports=tuple(reports),
        freshness=tuple(fresh),
        problems=(),
        coverage=Coverage(covered),
        reach=reach,
        runs=runs(covered),
        failed={},
        latest=(),
        found=Reconciliation(tuple(statements())),
    )
    text = page_of(gathered, figures(), list(few(calendar(covered, reach, {}, MONTHS))))
    assert 500_000 < len(text.encode()) < 2_000_000
    assert "all 200 accounts, the worst below" in text
    assert "Figures are shown of 4 accounts; of 196 more with --account." in text
    assert "older intervals are summed up by month" in text
    assert "188 more accounts" in text
    assert "12 months are loaded before January 2024" in text
