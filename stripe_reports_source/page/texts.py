"""How the page writes days, instants, numbers and amounts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timezone
from decimal import Decimal

from ..cli.columns import money
from .html import Html, join, tag


def instant(moment: datetime | None) -> str:
    """An instant in UTC; a dash for none."""
    return "-" if moment is None else f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def count(number: int | None) -> str:
    """A number of things; a dash for none."""
    return "-" if number is None else f"{number:,}"


def month_name(first: date) -> str:
    """A month by its first day."""
    return f"{first:%B %Y}"


def amount(number: Decimal | None, currency: str, *, must_be_zero: bool = False) -> str:
    """An amount as its currency writes it; red where it is to be 0 and is not."""
    text = "-" if number is None else money(number, currency)
    return tag("span", text, class_="off") if must_be_zero and number else text


def some(names: Iterable[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def code(text: str | None) -> Html:
    """An id, a file or a table, which is copied as it stands."""
    return tag("code", text or "-")


def breakable(name: str) -> Html:
    """A long name, of which a narrow screen may begin a new line after an underscore."""
    return join([part if not at else join([tag("wbr"), part]) for at, part in enumerate(re.split(r"(?<=_)", name))])
