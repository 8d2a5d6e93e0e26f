"""Reports that are run per payout instead of per interval: which ones are to be run.

In: a report, the payouts that are loaded beside it and the runs that were loaded. Out: the parameters of each run.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from typing import Any

from dlt import Pipeline

from ..errors import ConfigurationError
from ..plan.intervals import Span
from ..plan.resolve import ResolvedReport
from ..plan.system_tables import REPORT_RUNS
from .query import select

Key = dict[str, str]


def keys_to_run(
    resolved: ResolvedReport, pipeline: Pipeline | None, account: str, window: Span | None, coming: Collection[str]
) -> list[Key]:
    """The keys of a report that are not loaded yet; in a backfill, all that it asks for.

    Args:
        resolved: a report per payout. Keys among its parameters, one or a list of each, are taken; without a payout
            among them, every payout is that `payouts.itemized` has loaded into the same dataset.
        pipeline: where payouts and runs are read.
        account: the `_account` value.
        window: for a backfill, when payouts took effect; None for a sync.
        coming: tables of this sync, which may not be there yet.

    Raises:
        ConfigurationError: there is neither a payout nor a table of payouts.
    """
    given = {name: resolved.parameters[name] for name in resolved.keys if name in resolved.parameters}
    lists = {name: list(value) if isinstance(value, (list, tuple)) else [value] for name, value in given.items()}
    table = resolved.payouts_table
    if table is None:
        missing = [name for name in resolved.keys if name not in lists]
        if missing:
            raise ConfigurationError(f"report {resolved.offered.id!r}: parameters must name its {missing[0]!r} too.")
        keys = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    else:
        keys = _from_payouts(resolved, pipeline, account, window, lists, table, table in coming)
    if window is None and pipeline is not None:
        done = _loaded(pipeline, resolved.report.table, account)
        keys = [key for key in keys if frozenset(key.items()) not in done]
    return keys


def _from_payouts(
    resolved: ResolvedReport,
    pipeline: Pipeline | None,
    account: str,
    window: Span | None,
    given: dict[str, list[Any]],
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
            f"load {table.replace('_itemized', '.itemized')!r} into the same dataset too, whose payouts are then taken."
        )
    names = ["payout", "connected_account"][: len(columns)]
    keys = [dict(zip(names, map(str, row), strict=True)) for row in dict.fromkeys(rows or ())]
    return [key for key in keys if all(key[name] in allowed for name, allowed in given.items())]


def _loaded(pipeline: Pipeline, table: str, account: str) -> set[frozenset[tuple[str, str]]]:
    query = (
        f"SELECT parameters FROM {{table.{REPORT_RUNS.name}}} "  # noqa: S608
        "WHERE table_name = %s AND account = %s AND error IS NULL"
    )
    found = (json.loads(parameters) for (parameters,) in select(pipeline, query, table, account) or [])
    return {
        frozenset((name, str(value)) for name, value in parameters.items() if name in ("payout", "connected_account"))
        for parameters in found
    }
