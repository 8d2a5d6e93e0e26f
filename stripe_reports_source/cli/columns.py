"""Columns of text for a terminal: names to the left, numbers to the right, nothing folded. Pure.

In: rows of texts and a width. Out: lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from decimal import Decimal

NO_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
THREE_DECIMALS = frozenset(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"))
"""ISO 4217's minor units; all other currencies have two decimal places."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?: UTC)?")
_KEPT = "\x1f"
"""Stands for a space at which no line is broken."""


def money(amount: Decimal | None, currency: str) -> str:
    """An amount with the decimal places of its currency, and more where it has more; empty for None."""
    if amount is None:
        return ""
    places = 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2
    digits = f"{amount:,f}"
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0").ljust(places, "0")
    text = f"{whole}.{fraction}" if fraction else whole
    return text.removeprefix("-") if not amount else text


def plain(amount: Decimal) -> str:
    """An amount with all its digits and no others, as data."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) if amount else "0"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right; the first line is the head."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    return [
        (" " * gap)
        .join(
            text.ljust(width) if not index else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in (head, *rows)
    ]


def width_of(lines: Sequence[str]) -> int:
    """The length of the longest line."""
    return max(map(len, lines), default=0)


def paragraph(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """A text in lines, broken between words only, and not within a time.

    Args:
        text: in one line.
        width: columns.
        indent: before each line.
        first: before the first line, instead.
    """
    lines = textwrap.wrap(
        _TIME.sub(lambda time: time[0].replace(" ", _KEPT), text),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_KEPT, " ") for line in lines]
