"""The journal of the closed month as HTML: the sums on ledger accounts to look at, and lines to copy. Pure.

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
from .balance_view import Whose, name_of, notes_of, sql_of
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
        f"SELECT account, currency, {source} AS source, ledger_account,\n"
        f"       SUM(debit) AS debit, SUM(credit) AS credit\nFROM (\n{mart_sql}\n) AS lines\n"
        "GROUP BY 1, 2, 3, 4\nORDER BY 1, 2, 3, 4"
    )


def journal_section(figures: Figures) -> Html:
    """The lines, their sums by currency, and the same as text to copy."""
    lines = monthly_lines(figures.journal)
    last = date.fromordinal(next_month(figures.month).toordinal() - 1)
    if not lines:
        return join([tag("p", "No line: nothing has moved, or activity is not loaded."), notes_of(figures.journal)])
    whose = {(line.account, line.currency) for line in lines}
    tables = [
        _table([line for line in lines if (line.account, line.currency) == key], key, figures) for key in sorted(whose)
    ]
    shown = lines[:MOST_LINES]
    more = len(lines) - len(shown)
    hint = (
        f"The month as one entry of {last}. Below are its lines, by category; a click marks all of them, to be copied."
    )
    return join(
        [
            tag("p", hint, class_="hint"),
            tag("div", *tables, class_="sheets"),
            tag("pre", to_copy(shown, last), class_="copy", tabindex="0", aria_label="Journal lines to copy"),
            tag("p", f"and {more:,} more lines: the mart stripe_journal_lines has them.", class_="hint")
            if more
            else None,
            notes_of(figures.journal),
            sql_of(monthly_lines_sql(figures.journal.sql), "these lines"),
        ]
    )


def _table(lines: Sequence[JournalLine], whose: Whose, figures: Figures) -> Html:
    """An account and currency: the sum on each ledger account, and that debits equal credits."""
    currency = whose[1]
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for line in lines:
        both = sums[line.ledger_account]
        both[0] += line.debit
        both[1] += line.credit
    rows = [
        [name, *(amount(number, currency) if number else "" for number in both)] for name, both in sorted(sums.items())
    ]
    debit, credit = (sum((both[side] for both in sums.values()), Decimal(0)) for side in (0, 1))
    rows.append(["sum", amount(debit, currency), amount(credit, currency)])
    sum_rows = [len(rows) - 1]
    if debit != credit:
        rows.append(["off by", "", amount(debit - credit, currency, must_be_zero=True)])
        sum_rows.append(len(rows) - 1)
    return table(name_of(whose, figures), ("ledger account", "debit", "credit"), rows, sums=sum_rows)


def _side(number: Decimal, currency: str) -> str:
    return amount(number, currency) if number else ""


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
