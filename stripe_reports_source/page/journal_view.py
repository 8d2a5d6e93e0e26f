"""The journal of the closed month as HTML: a line for each ledger account, to look at and to copy. Pure.

In: rows of the mart `stripe_journal_lines`. Out: markup, with a query that gives the same lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ..cli.columns import plain
from ..marts.reading import MartRows
from .balance_view import notes_of, sql_of
from .calendar import next_month
from .figures import Figures
from .html import Html, join, table, tag
from .spreadsheet import field
from .texts import amount

HEAD = ("journal_date", "account", "ledger_account", "currency", "debit", "credit", "source")
MOST_LINES = 400


@dataclass(frozen=True)
class JournalLine:
    """The sum of a month's lines of a category on one ledger account."""

    account: str
    currency: str
    ledger_account: str
    source: str
    debit: Decimal
    credit: Decimal


def monthly_lines(journal: MartRows) -> list[JournalLine]:
    """The lines of a month summed up by account, currency, category and ledger account."""
    sums: dict[tuple[str, str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for line in journal.dicts():
        source = line["category"] + (" fees" if line["source"].endswith(" fees") else "")
        both = sums[line["account"], line["currency"], source, line["ledger_account"]]
        both[0] += line["debit"]
        both[1] += line["credit"]
    return [
        JournalLine(account, currency, ledger_account, source, debit, credit)
        for (account, currency, source, ledger_account), (debit, credit) in sorted(sums.items())
    ]


def monthly_lines_sql(mart_sql: str) -> str:
    """A query for the same lines."""
    source = "CONCAT(category, CASE WHEN source LIKE '% fees' THEN ' fees' ELSE '' END)"
    return (
        f"SELECT account, currency, {source} AS source, ledger_account,\n"  # noqa: S608
        f"       SUM(debit) AS debit, SUM(credit) AS credit\nFROM (\n{mart_sql}\n) AS lines\n"
        "GROUP BY 1, 2, 3, 4\nORDER BY 1, 2, 3, 4"
    )


def journal_section(figures: Figures) -> Html:
    """The lines, their sums by currency, and the same as text to copy."""
    lines = monthly_lines(figures.journal)
    last = date.fromordinal(next_month(figures.month).toordinal() - 1)
    if not lines:
        return join([tag("p", "No line: nothing has moved, or activity is not loaded."), notes_of(figures.journal)])
    several = figures.accounts_in_all > 1
    shown = lines[:MOST_LINES]
    rows = [_row(line, several) for line in shown]
    head = (*(("account",) if several else ()), "ledger account", "source", "currency", "debit", "credit")
    more = len(lines) - len(shown)
    return join(
        [
            tag(
                "p",
                f"The month as one entry of {last}. A click into the grey box marks all of it, to be copied.",
                class_="hint",
            ),
            table(None, head, rows, texts=len(head) - 2),
            tag("p", f"and {more:,} more lines: the mart stripe_journal_lines has them.", class_="hint")
            if more
            else None,
            _sums(lines),
            tag("pre", to_copy(shown, last), class_="copy", tabindex="0", aria_label="Journal lines to copy"),
            notes_of(figures.journal),
            sql_of(monthly_lines_sql(figures.journal.sql), "these lines"),
        ]
    )


def _row(line: JournalLine, several: bool) -> list[str]:
    numbers = [amount(number, line.currency) if number else "" for number in (line.debit, line.credit)]
    whose = [line.account] if several else []
    return [*whose, line.ledger_account, line.source, line.currency, *numbers]


def _sums(lines: Sequence[JournalLine]) -> Html:
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for line in lines:
        both = sums[line.account, line.currency]
        both[0] += line.debit
        both[1] += line.credit
    several = len({account for account, _ in sums}) > 1
    rows = [
        [
            f"{account}, {currency}" if several else currency,
            amount(debit, currency),
            amount(credit, currency),
            amount(debit - credit, currency, must_be_zero=True),
        ]
        for (account, currency), (debit, credit) in sorted(sums.items())
    ]
    return table("Sums", ("currency", "debit", "credit", "off by"), rows)


def to_copy(lines: Sequence[JournalLine], day: date) -> str:
    """Lines with tabs between their fields, as a spreadsheet takes them; no text can run as a formula there."""
    rows = [
        (day, line.account, line.ledger_account, line.currency, plain(line.debit), plain(line.credit), line.source)
        for line in lines
    ]
    return "".join("\t".join(_flat(value) for value in row) + "\n" for row in (HEAD, *rows))


def _flat(value: object) -> str:
    """A field in one line."""
    text = value if isinstance(value, str) and value.replace(".", "").replace("-", "").isdecimal() else field(value)
    return " ".join(str(text).split())
