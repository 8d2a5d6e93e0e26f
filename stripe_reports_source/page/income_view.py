"""What came in and what it cost, month by month, as HTML: gross, refunds, disputes, fees, net. Pure.

In: rows of the mart `stripe_activity_by_category`. Out: markup, with a query that gives the same figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ..marts.reading import MartRows
from .balance_view import MOST_CHARTS, Line, Whose, by_currency, name_of, notes_of, sql_of
from .charts import Point, bars
from .figures import Figures
from .html import Html, join, table, tag
from .texts import amount, month_name

ACTIVITY = "activity"
BILLED = ("fee", "network_cost")
_GROUPS = {
    "gross_payments": ("charge", "partial_capture_reversal", "charge_failure"),
    "refunds": ("refund", "refund_failure"),
    "disputes": ("dispute", "dispute_reversal"),
}
"""Reporting categories whose gross amounts are one figure."""
HELD = (
    "connect_reserved_funds",
    "payout_minimum_balance_hold",
    "payout_minimum_balance_release",
    "risk_reserved_funds",
)
"""Money that Stripe holds back for a time: it cancels over time."""
_KNOWN = (*(category for categories in _GROUPS.values() for category in categories), *HELD, *BILLED)


@dataclass(frozen=True)
class Figure:
    """A figure of a month: its name, what a row of the mart adds to it, and the same as SQL."""

    name: str
    of: Callable[[Line], Decimal]
    sql: str


def _grouped(name: str, categories: Sequence[str]) -> Figure:
    listed = ", ".join(f"'{category}'" for category in categories)
    return Figure(
        name,
        lambda line: line["gross"] if line["category"] in categories else Decimal(0),
        f"SUM(CASE WHEN category IN ({listed}) THEN gross ELSE 0 END)",
    )


_NOT_KNOWN = ", ".join(f"'{category}'" for category in _KNOWN)
_IS_BILLED = ", ".join(f"'{category}'" for category in BILLED)
FIGURES = (
    Figure("net", lambda line: line["net"], "SUM(net)"),
    *(_grouped(name, categories) for name, categories in _GROUPS.items()),
    Figure(
        "other",
        lambda line: line["gross"] if line["category"] not in _KNOWN else Decimal(0),
        f"SUM(CASE WHEN category NOT IN ({_NOT_KNOWN}) THEN gross ELSE 0 END)",
    ),
    _grouped("held_back", HELD),
    Figure(
        "fees",
        lambda line: line["net"] if line["category"] in BILLED else line["fee"],
        f"SUM(CASE WHEN category IN ({_IS_BILLED}) THEN net ELSE fee END)",
    ),
)
"""In this order, that of the most interest first; it is the sum of the others."""


def monthly(lines: Sequence[Line]) -> dict[date, list[Decimal]]:
    """The figures of each month, of one account and currency; payouts are none of them."""
    months: dict[date, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(FIGURES))
    for line in lines:
        if line["section"] == ACTIVITY:
            months[line["month"]] = [
                so_far + figure.of(line) for so_far, figure in zip(months[line["month"]], FIGURES, strict=True)
            ]
    return dict(sorted(months.items()))


def monthly_sql(mart_sql: str) -> str:
    """A query for the same figures."""
    figures = ",\n       ".join(f"{figure.sql} AS {figure.name}" for figure in FIGURES)
    return (
        f"SELECT account, currency, month,\n       {figures}\nFROM (\n{mart_sql}\n) AS by_category\n"
        f"WHERE section = '{ACTIVITY}'\nGROUP BY account, currency, month\nORDER BY account, currency, month"
    )


def income_section(figures: Figures) -> Html:
    """A chart of the net and a table for each currency."""
    by_whose = {whose: monthly(lines) for whose, lines in by_currency(figures.categories).items()}
    charts = [
        _chart(months, name_of(whose, figures)) for whose, months in list(by_whose.items())[:MOST_CHARTS] if months
    ]
    tables = [_table(months, whose, name_of(whose, figures)) for whose, months in by_whose.items() if months]
    hint = (
        "All activity but payouts, as effect on the balance. Fees are those taken off transactions and those that "
        "Stripe billed; held back is what Stripe keeps for a time. The net, which the chart shows, is the sum of all."
    )
    return join(
        [
            tag("p", hint, class_="hint"),
            tag("div", *charts, class_="charts"),
            tag("div", *tables, class_="sheets"),
            notes_of(figures.categories),
            sql_of(monthly_sql(figures.categories.sql), "these figures"),
        ]
    )


def _chart(months: dict[date, list[Decimal]], name: str) -> Html:
    points = [Point(month, numbers[0], numbers[0] < 0) for month, numbers in months.items()]
    return tag("figure", tag("figcaption", name), bars(f"Net by month, {name}", points, months=True))


def _table(months: dict[date, list[Decimal]], whose: Whose, name: str) -> Html:
    rows = [[month_name(month), *(amount(number, whose[1]) for number in numbers)] for month, numbers in months.items()]
    return table(name, ("month", *(figure.name.replace("_", " ") for figure in FIGURES)), rows)


def rows_of(categories: MartRows) -> list[tuple[str, str, date, list[Decimal]]]:
    """Account, currency, month and the figures, in this order."""
    return [
        (*whose, month, numbers)
        for whose, lines in by_currency(categories).items()
        for month, numbers in monthly(lines).items()
    ]
