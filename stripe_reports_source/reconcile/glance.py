"""Cells at a glance: what equations of single rows say where every row is as it should be, from one reading of them.

In: the answer of `inputs.glance_query`. Out: the answers of these equations. Where a row differs, the equation's own
query finds it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .inputs import cell_name
from .queries import Figure

ADDS_UP, LIES_IN, COPIES = "row_adds_up", "row_lies_in_its_cell", "transaction_once"
OF_ROWS = (ADDS_UP, LIES_IN, COPIES)
"""The equations that say something of each row by itself, or of its id."""
UNTIMED = "untimed"
"""Note of a cell in which no row has a time."""
_ZERO = Decimal(0)


@dataclass(slots=True)
class _Glance:
    """The rows of a cell in a currency: what is counted of them, see `glance_query`."""

    account: str
    items: int = 0
    net: Decimal = _ZERO
    unequal: int = 0
    timed: int = 0
    outside: int = 0
    named: int = 0

    def differs(self, equation: str) -> bool:
        """See `Glances.differ`: rows without a time or an id are named where others have one."""
        if equation == ADDS_UP:
            return bool(self.unequal)
        if equation == LIES_IN:
            return bool(self.outside) or 0 < self.timed < self.items
        return 0 < self.named < self.items


class Glances:
    """The cells of a report.

    Args:
        base: the report.
        rows: of `glance_query`, in no order.
    """

    def __init__(self, base: str, rows: Sequence[Sequence[Any]]) -> None:
        self._of: dict[tuple[str, str], _Glance] = {}
        for account, key, currency, items, net, *counts in rows:
            glance = self._of.setdefault((cell_name(key, base), sys.intern(currency or "")), _Glance(account))
            unequal, timed, outside, named = map(int, counts)
            glance.account = min(glance.account, account)
            glance.items += int(items)
            glance.net += Decimal(net)
            glance.unequal += unequal
            glance.timed += timed
            glance.outside += outside
            glance.named += named

    def differ(self, equation: str) -> bool:
        """True if an equation has a row to name. That a transaction has a copy cannot be seen at a glance."""
        return any(glance.differs(equation) for glance in self._of.values())

    def figures(self, equation: str) -> Iterator[Figure]:
        """The answer of an equation that has no row to name."""
        for (cell, currency), glance in self._of.items():
            items, figure = {
                ADDS_UP: (glance.items, glance.net),
                LIES_IN: (glance.timed, _ZERO),
                COPIES: (glance.named, Decimal(glance.named)),
            }[equation]
            same = _ZERO, _ZERO, 0
            if equation == LIES_IN and glance.items and not items:
                yield Figure(glance.account, cell, currency, "", _ZERO, _ZERO, *same, UNTIMED, "", None, 1)
            elif items:
                yield Figure(glance.account, cell, currency, "", figure, figure, *same, "", "", None, items)
