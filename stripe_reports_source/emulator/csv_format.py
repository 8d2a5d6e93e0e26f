"""Values as Stripe writes them in a CSV file: every value and header quoted, NULL bare, line feeds.

Seen in real files: `"paid",,,"bank_account"`, times as `YYYY-MM-DD HH:MM:SS`, dates with a time of 00:00:00,
booleans in lower case, currency in lower case, a header alone when nothing matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import IO

from .itemized import Value


def write_csv(
    out: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[Value]], decimal_separator: str = "."
) -> None:
    """Write a header and rows, one at a time."""
    out.write(csv_line(columns))
    for row in rows:
        out.write(csv_line(row, decimal_separator))


def csv_line(values: Sequence[Value], decimal_separator: str = ".") -> bytes:
    """One record."""
    return (",".join(_field(value, decimal_separator) for value in values) + "\n").encode()


def _field(value: Value, decimal_separator: str) -> str:
    if value is None:
        return ""
    return '"' + _text(value, decimal_separator).replace('"', '""') + '"'


def _text(value: Value, decimal_separator: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return f"{value:%Y-%m-%d} 00:00:00"
    if isinstance(value, Decimal):
        return f"{value:f}".replace(".", decimal_separator)
    return str(value)
