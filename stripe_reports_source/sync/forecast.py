"""What the next sync would do, without doing it.

In: settings, the types that are offered, a pipeline. Out: how many intervals of each report, and about how long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import median

from dlt import Pipeline

from ..errors import StripeReportsError
from ..plan.catalog import load_catalog
from ..plan.lanes import LoadedBefore, plan_lanes
from ..plan.settings import Settings
from ..plan.state import LaneStates
from ..plan.stripe_objects import OfferedTypes
from ..plan.system_tables import REPORT_RUNS
from ..warehouse.cell_ledger import CellLedger
from ..warehouse.lane_table import read_lanes
from ..warehouse.payouts import PayoutCells, keys_to_run
from ..warehouse.query import select
from .ledger import listed_packages

NEWEST_RUNS = 200


@dataclass(frozen=True)
class Forecast:
    """What a sync would load.

    Args:
        cells: intervals by report table; each takes a report run, unless Stripe has one for it already.
        problems: why a report cannot be planned, by table.
        seconds: about how long the runs take at Stripe, from earlier ones; None where there are none.
    """

    cells: Mapping[str, int]
    problems: Mapping[str, StripeReportsError]
    seconds: float | None

    @property
    def runs(self) -> int:
        """Report runs at most."""
        return sum(self.cells.values())


def forecast(settings: Settings, offered: OfferedTypes, pipeline: Pipeline | None) -> Forecast:
    """Plan a sync.

    Args:
        settings: of the source.
        offered: the report types that Stripe offers.
        pipeline: with the state of the destination; None where nothing is loaded. It is not changed.
    """
    state = {} if pipeline is None else pipeline.state.get("sources", {}).get("stripe_reports", {})
    kept = state.get("resources", {})
    loads = {report.base for report in settings.reports}
    cells: dict[str, int] = {}
    problems: dict[str, StripeReportsError] = {}
    for report in settings.reports:
        in_table = read_lanes(pipeline, report.table, kept.get(report.table, {}))
        packages = listed_packages(state, report.table) | dict(in_table.listed)
        known = LaneStates({"lanes": dict(kept.get(report.table, {}).get("lanes", {}))}, in_table)
        ledger = CellLedger(pipeline, report.table, settings.label, packages)
        loaded = LoadedBefore(
            lanes=known,
            columns={},
            cursor=None,
            replaced_since=lambda lane, handled: None,
            payouts=partial(
                keys_to_run,
                pipeline=pipeline,
                table_of=lambda base: (settings.resource_of(base), base in loads),
                cells=PayoutCells(known, ledger),
            ),
            ledger=ledger,
        )
        try:
            lanes = plan_lanes(report, settings, offered, load_catalog(), loaded, None)
        except StripeReportsError as error:
            problems[report.table] = error
        else:
            cells[report.table] = sum(len(lane.cells) for lane in lanes)
    run = _seconds_of_a_run(pipeline)
    rounds = -(-sum(cells.values()) // settings.max_concurrent_runs)
    return Forecast(cells, problems, None if run is None else run.total_seconds() * rounds)


def _seconds_of_a_run(pipeline: Pipeline | None) -> timedelta | None:
    """How long Stripe takes for a run, typically."""
    query = (
        "SELECT {column.created}, {column.succeeded_at} "  # noqa: S608
        f"FROM {{table.{REPORT_RUNS.name}}} WHERE {{column.succeeded_at}} IS NOT NULL "
        "ORDER BY {column.created} DESC"
    )
    took = [succeeded - created for created, succeeded in (select(pipeline, query) or ())[:NEWEST_RUNS]]
    return median(took) if took else None
