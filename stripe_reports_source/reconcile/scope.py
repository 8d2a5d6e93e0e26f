"""What a look at a dataset covers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Args:
        touched: names of the cells whose rows are looked at one by one; None for all.
        since: first day of the cells whose sums are compared; None for all.
        accounts: only these; None for all.
    """

    touched: frozenset[str] | None = None
    since: date | None = None
    accounts: frozenset[str] | None = None
