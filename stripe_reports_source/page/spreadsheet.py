"""Values for spreadsheets, in CSV: numbers stay numbers, and no text can run as a formula. Pure.

In: rows of values. Out: CSV in UTF-8 with a header. A spreadsheet runs a text that begins with one of a few characters,
whether or not it is quoted; an apostrophe before it makes it text for good (OWASP, "CSV injection"). Where a
spreadsheet takes semicolons or tabs for what stands between fields, as in much of Europe, a new field begins after one
of these and after a new line within a text, so that an apostrophe is needed there as well.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from ..cli.columns import plain

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""What a formula may begin with, the wide forms of East Asian keyboards among them."""
_BEGINNINGS = re.compile(rf"\A(?= *[{_SIGNS}\t\r\n])|(?<=[;\t\r\n])(?=[ \"]*[{_SIGNS}])")


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
    return _BEGINNINGS.sub("'", str(value))


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([field(value) for value in row] for row in rows)
    return text.getvalue()
