"""Reports that are run per payout instead of per interval: which ones are to be run.

In: a report, the payouts that are loaded beside it and the cells of its table. Out: the parameters of each run.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.intervals import Span
from ..plan.loaded_cells import Ledger
from ..plan.resolve import ResolvedReport
from ..plan.state import LaneStates
from ..plan.whose_data import CONNECTED
from .coverage import StoredCoverage, StoredTable
from .query import select

Key = dict[str, str]


@dataclass(frozen=True)
class PayoutCells:
    """What is known of the cells of a report's table.

    Args:
        lanes: the kept state of each lane.
        ledger: the cells that are listed.
        emptied: the load package drops or empties the table.
    """

    lanes: LaneStates
    ledger: Ledger
    emptied: bool = False


def keys_to_run(
    resolved: ResolvedReport,
    account: str,
    window: Span | None,
    *,
    pipeline: Pipeline | None,
    table_of: Callable[[str], tuple[str, bool]],
    cells: PayoutCells,
) -> list[Key]:
    """The keys of a report that are not loaded yet; in a backfill, all that it asks for.

    Args:
        resolved: a report per payout. Keys among its parameters, one or a list of each, are taken; without a payout
            among them, every payout is that `payouts.itemized` has loaded into the same dataset.
        account: the `_account` value.
        window: for a backfill, when payouts took effect; None for a sync.
        pipeline: where payouts and cells are read.
        table_of: the table of a report whose payouts are taken, and whether this sync loads it, so that it may not be
            there yet; by its base id.
        cells: of the report's table.

    Raises:
        ConfigurationError: there is neither a payout nor a table of payouts.
    """
    given = {name: resolved.parameters[name] for name in resolved.keys if name in resolved.parameters}
    lists = {name: list(value) if isinstance(value, (list, tuple)) else [value] for name, value in given.items()}
    payouts = resolved.payouts_report
    if payouts is None:
        missing = [name for name in resolved.keys if name not in lists]
        if missing:
            raise ConfigurationError(f"report {resolved.offered.id!r}: parameters must name its {missing[0]!r} too.")
        keys = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    else:
        keys = _from_payouts(resolved, pipeline, account, window, lists, payouts, *table_of(payouts))
    if window is None and pipeline is not None and not cells.emptied:
        done = {_identity(key) for key in _loaded(resolved, pipeline, account, cells)}
        keys = [key for key in keys if _identity(key) not in done]
    return keys


def _from_payouts(
    resolved: ResolvedReport,
    pipeline: Pipeline | None,
    account: str,
    window: Span | None,
    given: dict[str, list[Any]],
    payouts: str,
    table: str,
    coming: bool,
) -> list[Key]:
    columns = ["payout_id", "connected_account"] if "connected_account" in resolved.keys else ["payout_id"]
    query = "WHERE reporting_category = 'payout' AND _account = %s"
    values: list[Any] = [account]
    if window is not None:
        query += " AND effective_at_utc >= %s AND effective_at_utc < %s"
        values += [window.start, window.end]
    rows = select(
        pipeline,
        f"SELECT {', '.join(columns)} FROM {{table.{table}}} {query} ORDER BY effective_at_utc, payout_id",  # noqa: S608
        *values,
    )
    if rows is None and not coming:
        raise ConfigurationError(
            f"report {resolved.offered.id!r} is run per payout: name them, parameters={{'payout': ['po_...']}}, or "
            f"load {payouts!r} into the table {table!r} of the same dataset too, whose payouts are then taken."
        )
    names = ["payout", "connected_account"][: len(columns)]
    keys = [dict(zip(names, map(str, row), strict=True)) for row in dict.fromkeys(rows or ())]
    return [key for key in keys if all(key[name] in allowed for name, allowed in given.items())]


def _loaded(
    resolved: ResolvedReport, pipeline: Pipeline, account: str, cells: PayoutCells
) -> Iterator[Mapping[str, Any]]:
    """The parameters of the cells that the table holds: as they are listed, where the list is up to date."""
    of_account = f"{account}/{resolved.parameters.get(CONNECTED)}"
    lane = account if cells.lanes.get(of_account) is None else of_account
    known = cells.lanes.get(lane)
    if known is not None and cells.ledger.packages.get(lane) == (known.package or ""):
        listed: Iterable[str] = [key for key, cell in cells.ledger.cells.items() if cell.load_ended is not False]
    else:
        # an older version, another pipeline, or one that has forgotten the lane because its table was dropped
        stored = StoredTable(pipeline, resolved.report.table, account)
        listed = StoredCoverage(stored, resolved, None if known is None else known.loaded).cells()
    prefix = resolved.key_prefix(account)
    for key in listed:
        if key.startswith(prefix):
            yield json.loads(key.removeprefix(prefix))


def _identity(parameters: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The payout and account among a run's parameters."""
    return frozenset((name, str(value)) for name, value in parameters.items() if name in ("payout", CONNECTED))
