"""What to load again, so that a dataset is what Stripe says now: which cells, of which tables.

In: a dataset, and statements about it. Out: cells that are loaded. Nothing is loaded here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from dlt import Pipeline

from ..plan.intervals import floor_to_grid
from ..plan.system_tables import Statement
from ..warehouse.query import reading
from .checks import FAMILIES, Dataset, opened
from .coverage import Coverage, CoveredCell, read_coverage
from .drift import Balances, Chain, has_moved, is_older, jump, next_probes
from .groups import tables_of
from .inputs import Input, input_query
from .reconciliation import BAD

Months = int | Literal["all"]
Places = Collection[tuple[str, str]]
"""Tables and interval keys of cells: two tables may hold the same cell."""


@dataclass(frozen=True)
class LoadedData:
    """What a dataset holds of an account.

    Args:
        coverage: its cells.
        chains: its balances, those that meet together.
    """

    coverage: Coverage
    chains: tuple[Chain, ...]

    @classmethod
    def read(cls, pipeline: Pipeline, account: str) -> LoadedData:
        """Look at a dataset."""
        with opened(pipeline) as dataset:
            coverage = read_coverage(dataset.reader, [account])
            return cls(coverage, tuple(_chains(dataset, coverage)))

    @property
    def moved(self) -> bool:
        """True where balances say that the past has moved since they were loaded."""
        return any(has_moved(chain) for chain in self.chains)

    def probes(self, fresh: Places, tried: Places) -> list[CoveredCell]:
        """The balances to load next, so that the cells which have changed are found.

        Args:
            fresh: cells that are loaded from Stripe's present data.
            tried: cells that were asked for.
        """
        known = [{cell.key for cell in self.coverage if cell.place in places} for places in (fresh, tried)]
        keys = [key for chain in self.chains for key in next_probes(chain, *known)]
        return self.coverage.in_all_tables(self._cells(keys))

    def summaries(self, months: Months) -> list[CoveredCell]:
        """The summaries of the last months, or of all, which tell of moves that cancel."""
        found = [cell for cell in self.coverage if cell.base.endswith(".summary")]
        if months == "all" or not found:
            return self.coverage.in_all_tables(found)
        first = floor_to_grid(max(cell.day for cell in found), "month")
        earliest = min(cell.day for cell in found)
        for _ in range(months - 1):
            if first <= earliest:
                break
            first = floor_to_grid(date.fromordinal(first.toordinal() - 1), "month")
        return self.coverage.in_all_tables(cell for cell in found if cell.day >= first or _ends_after(cell, first))

    def differing(self, statements: Iterable[Statement], fresh: Places) -> list[CoveredCell]:
        """The cells that statements call for: of two that differ the older one, and what is not as its file was.

        Args:
            statements: of a look at the dataset.
            fresh: cells that are loaded from Stripe's present data.
        """
        by_run = {cell.run_id: cell for cell in self.coverage if cell.run_id}
        found: dict[str, CoveredCell] = {}
        for statement in statements:
            if statement.status not in BAD or statement.equation == "opening_equals_closing_before":
                continue
            runs = [run for runs in (statement.figure_run, statement.against_run) if runs for run in runs.split(", ")]
            cells = [by_run[run] for run in runs if run in by_run]
            behind = cells if statement.equation == "rows_stored_equal_file" else _older(cells, fresh)
            found |= {cell.key: cell for cell in behind if cell.place not in fresh}
        return [cell for cell in self.coverage.in_all_tables(found.values()) if cell.place not in fresh]

    def left_behind(self, fresh: Places, most: int) -> list[CoveredCell]:
        """Cells from before the past has moved, the latest first, with what is not settled at their end.

        Args:
            fresh: cells that are loaded from Stripe's present data.
            most: how many at most.
        """
        found: list[CoveredCell] = []
        for chain in self.chains:
            for key in _older_keys(chain):
                cells = self.coverage.in_all_tables(self._with_snapshot(key))
                together = [cell for cell in cells if cell.place not in fresh]
                if len(found) + len(together) > most:
                    return found
                found += together
        return found

    def _with_snapshot(self, key: str) -> list[CoveredCell]:
        return [
            other
            for cell in self._cells([key])
            for other in self.coverage
            if other is cell or (other.cell == cell.cell and "ending_balance_reconciliation" in other.base)
        ]

    def _cells(self, keys: Collection[str]) -> list[CoveredCell]:
        return [cell for cell in self.coverage if cell.key in keys]


def not_filled_in(pipeline: Pipeline, account: str, statements: Iterable[Statement]) -> list[CoveredCell]:
    """The cells of activity that do not name yet which payout has settled their transactions."""
    keys = {
        statement.interval_key
        for statement in statements
        if statement.equation == "activity_names_its_payout" and statement.status == "stale"
    }
    if not keys:
        return []
    with reading(pipeline) as reader:
        coverage = read_coverage(reader, [account])
    return coverage.in_all_tables(cell for cell in coverage if cell.key in keys)


def _ends_after(cell: CoveredCell, day: date) -> bool:
    return cell.whole_end is not None and cell.whole_end.date() > day


def _older(cells: Collection[CoveredCell], fresh: Places) -> list[CoveredCell]:
    """Those that are from older data than others beside them."""
    behind = [cell for cell in cells if cell.place not in fresh]
    if len(behind) < len(cells):
        return behind
    ages = [cell.data_available_end for cell in cells if cell.data_available_end is not None]
    return [cell for cell in cells if cell.data_available_end is None or cell.data_available_end < max(ages)]


def _older_keys(chain: Chain) -> list[str]:
    """The cells between two jumps that are older than those on either side; the latest first."""
    places = [place for place, pair in enumerate(pairwise(chain), 1) if jump(*pair)]
    ages = [cell.age for cell in chain]
    stretches = [(first, after) for first, after in pairwise(places) if is_older(ages, first, after)]
    return [chain[place].key for first, after in reversed(stretches) for place in reversed(range(first, after))]


def _chains(dataset: Dataset, coverage: Coverage) -> Iterable[Chain]:
    for inputs in FAMILIES:
        balance = inputs["balance"]
        stored = _stored_balances(dataset, coverage, balance)
        for lane in coverage.lanes():
            if lane[0].base != balance.base:
                continue
            chain: list[Balances] = []
            end = None
            for cell in lane:
                if chain and cell.start != end:
                    yield chain
                    chain = []
                opening, closing = stored[cell.cell]
                chain.append(Balances(cell.key, opening, closing, cell.data_available_end))
                end = cell.end
            yield chain


def _stored_balances(
    dataset: Dataset, coverage: Coverage, balance: Input
) -> dict[str, tuple[dict[str, Decimal], dict[str, Decimal]]]:
    """The opening and closing balances of each cell, by currency."""
    found: dict[str, tuple[dict[str, Decimal], dict[str, Decimal]]] = defaultdict(lambda: ({}, {}))
    tables = tables_of(coverage, balance, dataset.columns)
    if not tables:
        return found
    query = (
        f"SELECT cell, currency, category, SUM(net) FROM ({input_query(balance, tables)}) AS lines "  # noqa: S608
        "WHERE category IN ('starting_balance', 'ending_balance') GROUP BY cell, currency, category"
    )
    for cell, currency, category, amount in dataset.answer(query):
        found[cell][category == "ending_balance"][currency] = Decimal(amount)
    return found
