"""Payouts as HTML: day by day, and those that came back or do not equal their rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from .balance_view import MOST_CHARTS, Line, Whose, by_currency, name_of, notes_of, sql_of, total
from .charts import Point, bars
from .figures import Figures
from .html import Html, folded, join, table, tag
from .texts import amount, code, count, instant

MOST_LISTED = 60


def payouts_section(figures: Figures) -> Html:
    """A chart and a table of days for each currency, and a list of what is not as it should be."""
    by_whose = by_currency(figures.payouts)
    shown = list(by_whose.items())[:MOST_CHARTS]
    charts = [_chart(lines, whose, name_of(whose, figures)) for whose, lines in shown]
    more = len(by_whose) - len(shown)
    return join(
        [
            tag(
                "p",
                "What the bank gets, by the day on which it left the balance; what came back is red.",
                class_="hint",
            ),
            tag("div", *charts, class_="charts"),
            tag("p", f"Payouts of {more:,} more balances have no chart here.", class_="hint") if more > 0 else None,
            _listed("Failed payouts", [line for line in figures.payouts.dicts() if line["is_returned"]]),
            _listed(
                "Payouts that do not equal their rows", [line for line in figures.payouts.dicts() if line["difference"]]
            ),
            notes_of(figures.payouts),
            sql_of(figures.payouts.sql, "the payouts"),
        ]
    )


def _chart(lines: Sequence[Line], whose: Whose, name: str) -> Html:
    paid = [line for line in lines if line["amount"] is not None]
    points = [Point(line["effective_day"], line["amount"], bool(line["is_returned"])) for line in paid]
    days = table(None, ("day", "payouts", "amount", "came back"), _days(lines, whose[1]))
    title = f"Payouts by day, {name}"
    return tag("figure", tag("figcaption", name), bars(title, points), folded("Table of these payouts", days))


def _days(lines: Sequence[Line], currency: str) -> list[list[str]]:
    days: dict[date, list[Line]] = defaultdict(list)
    for line in lines:
        days[line["effective_day"]].append(line)
    rows = []
    for day, of_day in sorted(days.items()):
        back = total(of_day, "reversal_net")
        came_back = amount(back, currency, must_be_zero=True) if back else ""
        rows.append([f"{day}", count(len(of_day)), amount(total(of_day, "amount"), currency), came_back])
    return rows


def _listed(title: str, lines: Sequence[Line]) -> Html:
    if not lines:
        return tag("p", f"{title}: none.")
    rows = [
        [
            code(line["payout_id"]),
            line["currency"],
            amount(line["amount"], line["currency"]),
            f"{line['effective_day']}",
            instant(line["reversed_at_utc"]),
            code(line["retried_by"]),
            amount(line["difference"], line["currency"], must_be_zero=True),
        ]
        for line in sorted(lines, key=lambda line: (line["effective_day"], line["payout_id"]))[-MOST_LISTED:]
    ]
    head = ("payout", "currency", "amount", "day", "came back", "paid again by", "off by")
    more = len(lines) - len(rows)
    note = tag("p", f"and {more:,} older ones: the mart stripe_payouts has them.", class_="hint") if more > 0 else None
    return join([tag("h3", title), table(None, head, rows, texts=2), note])
