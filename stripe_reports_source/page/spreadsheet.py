"""Values for spreadsheets, in CSV: numbers stay numbers, and no text can run as a formula. Pure.

In: rows of values. Out: CSV in UTF-8 with a header. A spreadsheet runs a text that begins with one of a few characters,
whether or not it is quoted; an apostrophe before it makes it text for good (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from ..cli.columns import plain

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula may begin with, the wide forms of East Asian keyboards among them."""


def field(value: Any) -> Any:
    """A value as a field: decimals with all their digits, instants in UTC, texts that stay texts; None is empty."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(STARTS) else text


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([field(value) for value in row] for row in rows)
    return text.getvalue()
