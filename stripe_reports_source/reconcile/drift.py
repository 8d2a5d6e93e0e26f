"""Where the past has moved: what to ask Stripe next, from the balances that are stored. Pure.

In: the opening and closing balances of the cells of a report, in order. Out: the cells to load again.

A cell's movement is its closing less its opening balance. Between two cells that are loaded from Stripe's present data
the movements of the cells add up to what the balances say, unless one of those cells has changed: the one in the middle
is then loaded as well, and shows on which side of it, or that it is the one. Moves that cancel are not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

Amounts = Mapping[str, Decimal]
"""By currency; one that is absent is 0."""


@dataclass(frozen=True)
class Balances:
    """A cell of a balance summary as it is stored.

    Args:
        key: its interval key.
        opening, closing: its balances.
        age: up to when Stripe had data for its run; None where that is not known.
    """

    key: str
    opening: Amounts
    closing: Amounts
    age: datetime | None = None


Chain = Sequence[Balances]
"""Cells that meet, in order."""


def next_probes(chain: Chain, fresh: Collection[str], tried: Collection[str]) -> list[str]:
    """The cells to load next, so that those which have changed are found; none when they are.

    Args:
        chain: as it is stored now.
        fresh: keys of cells that are loaded from Stripe's present data.
        tried: keys of cells that are not to be asked for again, beside those.
    """
    if not chain:
        return []
    last = chain[-1].key
    if last not in fresh:
        return [last] if last not in tried else []
    known = [-1, *(place for place, cell in enumerate(chain) if cell.key in fresh)]
    jumps = [jump(*pair) for pair in pairwise(chain)]
    probes = []
    for before, after in pairwise(known):
        left = [place for place in range(before + 1, after) if chain[place].key not in tried]
        if left and _sum(jumps[max(before, 0) : after]):
            probes.append(chain[min(left, key=lambda place: abs(2 * place - before - after))].key)
    return probes


def jump(cell: Balances, following: Balances) -> dict[str, Decimal]:
    """What a balance opens with beyond what the one before has closed with, by currency, where that is not 0."""
    return _sum([following.opening, {currency: -amount for currency, amount in cell.closing.items()}])


def has_moved(chain: Chain) -> bool:
    """True where balances do not join, and that is not because of cells that were left behind."""
    known = {place for _, first, after in left_behind(chain) for place in (first, after)}
    return any(jump(*pair) for place, pair in enumerate(pairwise(chain), 1) if place not in known)


def left_behind(chain: Chain) -> list[tuple[str, int, int]]:
    """Stretches of cells that are loaded from older data than the cells on either side, and all off by one amount.

    Returns:
        Currency, place of the first cell, and place after the last one.
    """
    by_currency: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for place, pair in enumerate(pairwise(chain), 1):
        for currency, amount in jump(*pair).items():
            by_currency[currency][place] = amount
    ages = [cell.age for cell in chain]
    return [
        (currency, *stretch)
        for currency, jumps in sorted(by_currency.items())
        for stretch in older_stretches(jumps, ages)
    ]


def older_stretches(jumps: Mapping[int, Decimal], ages: Sequence[datetime | None]) -> Iterator[tuple[int, int]]:
    """Places of two jumps, one after the other, that cancel, around cells which are older than their neighbours.

    Args:
        jumps: amounts, by the place of the cell that does not join the one before; of one currency.
        ages: of all cells.
    """
    places = sorted(jumps)
    ended = -1
    for first, after in pairwise(places):
        if first > ended and not jumps[first] + jumps[after] and is_older(ages, first, after):
            yield first, after
            ended = after


def is_older(ages: Sequence[datetime | None], first: int, after: int) -> bool:
    """True for cells that are all loaded from older data than the one before and the one after them."""
    inner = [age for age in ages[first:after] if age is not None]
    outer = [age for age in (ages[first - 1], ages[after]) if age is not None]
    return len(inner) == after - first and len(outer) == 2 and max(inner) < min(outer)


def _sum(amounts: Sequence[Amounts]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for by_currency in amounts:
        for currency, amount in by_currency.items():
            sums[currency] += amount
    return {currency: amount for currency, amount in sums.items() if amount}
