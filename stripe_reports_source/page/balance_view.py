"""The balance as HTML: the closed month rolled forward, and all months and days. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from ..marts.reading import MartRows
from .charts import MOST_POINTS, Point, steps
from .figures import CLOSING, OPENING, Figures
from .html import Html, folded, join, table, tag
from .texts import amount, breakable, count, month_name

Line = Mapping[str, Any]
Whose = tuple[str, str]
"""An account and a currency."""
MOST_CHARTS = 12
ZERO = Decimal(0)


def by_currency(rows: MartRows) -> dict[Whose, list[Line]]:
    """The rows by account and currency, both in order."""
    found: dict[Whose, list[Line]] = defaultdict(list)
    for line in rows.dicts():
        found[line["account"], line["currency"]].append(line)
    return dict(sorted(found.items()))


def name_of(whose: Whose, figures: Figures) -> str:
    """A currency; with its account, where there are several."""
    return whose[1] if figures.accounts_in_all == 1 else f"{whose[0]}, {whose[1]}"


def sql_of(sql: str, about: str) -> Html:
    """A query, which a click shows."""
    return folded(f"SQL of {about}", tag("pre", tag("code", sql)), class_="sql")


def notes_of(rows: MartRows) -> Html:
    """What is not loaded, and what that means."""
    return join(tag("p", note, class_="hint") for note in rows.notes)


def rollforward_section(figures: Figures) -> Html:
    """The closed month, a table for each currency."""
    tables = [
        _statement([line for line in lines if line["month"] == figures.month], whose, name_of(whose, figures))
        for whose, lines in by_currency(figures.rollforward).items()
    ]
    return join(
        [
            tag("div", *tables, class_="sheets"),
            notes_of(figures.rollforward),
            sql_of(figures.rollforward.sql, "the roll-forward"),
        ]
    )


def _statement(lines: Sequence[Line], whose: Whose, name: str) -> Html | None:
    """Opening, each category, the sums, closing, and by how much Stripe's closing is off."""
    currency = whose[1]
    moved = [line for line in lines if line["category"] not in (OPENING, CLOSING)]
    opening = next((line["opening"] for line in lines if line["category"] == OPENING), None)
    closing = next((line for line in lines if line["category"] == CLOSING), None)
    if not lines:
        return None
    rows: list[tuple[bool, list[str]]] = [(True, _one("opening", amount(opening, currency)))]
    rows += [(False, _category(line, currency)) for line in moved if not line["payouts"]]
    rows.append((True, _total("activity", [line for line in moved if not line["payouts"]], currency)))
    paid = [line for line in moved if line["payouts"]]
    rows += [(False, _category(line, currency)) for line in paid]
    if len(paid) > 1:
        rows.append((True, _one("payouts", amount(total(paid, "payouts"), currency), _rows_of(paid))))
    rows.append((True, _one("closing", amount(_closing(closing, "closing"), currency))))
    rows.append((True, _one("off by", amount(_closing(closing, "difference"), currency, must_be_zero=True))))
    sums = [at for at, (is_sum, _) in enumerate(rows) if is_sum]
    return table(name, ("", "gross", "fees", "net", "rows"), [row for _, row in rows], sums=sums)


def _category(line: Line, currency: str) -> list[str]:
    if line["payouts"]:
        return _one(breakable(line["category"]), amount(line["payouts"], currency), count(line["row_count"]))
    numbers = [amount(line[column], currency) for column in ("gross", "fee", "net")]
    return [breakable(line["category"]), *numbers, count(line["row_count"])]


def _total(name: str, lines: Sequence[Line], currency: str) -> list[str]:
    sums = [amount(total(lines, column), currency) for column in ("gross", "fee", "net")]
    return [name, *sums, _rows_of(lines)]


def _one(name: str, net: str, rows: str = "") -> list[str]:
    """A line that has a net alone."""
    return [name, "", "", net, rows]


def _closing(line: Line | None, column: str) -> Decimal | None:
    return None if line is None else line[column]


def _rows_of(lines: Iterable[Line]) -> str:
    return count(sum(line["row_count"] or 0 for line in lines))


def total(lines: Iterable[Line], column: str) -> Decimal:
    """The sum of a column; what is not known is left out."""
    return sum((line[column] for line in lines if line[column] is not None), ZERO)


def balance_section(figures: Figures) -> Html:
    """A chart for each currency, and a line for each month."""
    daily = by_currency(figures.daily)
    shown = list(daily.items())[:MOST_CHARTS]
    charts = [_chart(lines, name_of(whose, figures), whose[1]) for whose, lines in shown]
    more = len(daily) - len(charts)
    months = [
        table(
            name_of(whose, figures),
            ("month", "opening", "net", "payouts", "closing", "off by"),
            _months(lines, whose[1]),
        )
        for whose, lines in by_currency(figures.rollforward).items()
    ]
    return join(
        [
            tag("div", *charts, class_="charts"),
            tag("p", f"{more:,} more balances have no chart here.", class_="hint") if more > 0 else None,
            tag("h3", "Month by month"),
            tag("div", *months, class_="sheets"),
            notes_of(figures.daily),
            sql_of(figures.daily.sql, "the daily balance"),
        ]
    )


def _chart(lines: Sequence[Line], name: str, currency: str) -> Html:
    known = [line for line in lines if line["closing"] is not None]
    if len(known) > MOST_POINTS:
        known = list({line["month"]: line for line in known}.values())  # the last day of each month
    points = [Point(line["day"], line["closing"]) for line in known]
    days = table(None, ("day", "balance"), ([f"{point.day}", amount(point.amount, currency)] for point in points))
    picture = steps(f"Balance at the end of the day, {name}", points)
    return tag("figure", tag("figcaption", name), picture, folded("Table of these balances", days))


def _months(lines: Sequence[Line], currency: str) -> list[list[str]]:
    months: dict[date, list[Line]] = defaultdict(list)
    for line in lines:
        months[line["month"]].append(line)
    return [_month(month, of_month, currency) for month, of_month in sorted(months.items())]


def _month(month: date, lines: Sequence[Line], currency: str) -> list[str]:
    opening = next((line["opening"] for line in lines if line["category"] == OPENING), None)
    closing = next((line for line in lines if line["category"] == CLOSING), None)
    so_far = "" if closing is None or closing["is_complete"] is not False else " so far"
    return [
        f"{month_name(month)}{so_far}",
        amount(opening, currency),
        amount(total(lines, "net"), currency),
        amount(total(lines, "payouts"), currency),
        amount(_closing(closing, "closing"), currency),
        amount(_closing(closing, "difference"), currency, must_be_zero=True),
    ]
