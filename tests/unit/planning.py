"""Plans syncs without dlt, Stripe or threads: what is offered, what is kept, and cells that count as loaded at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from stripe_reports_source import Report
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.cells import CellRequest
from stripe_reports_source.plan.intervals import Grid, Span
from stripe_reports_source.plan.lanes import Lane, LoadedBefore, plan_lanes
from stripe_reports_source.plan.loaded_cells import HeldRun, Listed, ListedCell
from stripe_reports_source.plan.report import Defaults
from stripe_reports_source.plan.resolve import ResolvedReport, resolve
from stripe_reports_source.plan.settings import RetryPolicy, RunPolicy, Settings
from stripe_reports_source.plan.state import LaneStates, Synced, with_loaded_cell
from stripe_reports_source.plan.stripe_objects import OfferedType, OfferedTypes

PAYOUTS = "payouts.itemized.3"


def utc(text: str) -> datetime:
    """An instant from `2025-01-31` or `2025-01-31T12:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def span(start: str, end: str) -> Span:
    """A stretch of time from two texts."""
    return Span(utc(start), utc(end))


def offer(available: Span, *names: str, livemode: bool = True) -> OfferedTypes:
    """Report types that Stripe offers, all with the same availability."""
    return OfferedTypes(
        tuple(
            OfferedType(name, name, int(name.rpartition(".")[2]), available, None, available.end, livemode)
            for name in names or (PAYOUTS,)
        )
    )


def settings(
    report: Report,
    *,
    grid: Grid = "month",
    zone: str = "UTC",
    lookback_days: int = 0,
    start_date: date | None = None,
    connected_accounts: tuple[str, ...] = (),
    allow_partial: bool = False,
) -> Settings:
    """Settings of a source with one report."""
    return Settings(
        reports=(report,),
        defaults=Defaults(grid, lookback_days, ZoneInfo(zone)),
        start_date=start_date,
        end_date=None,
        account="default",
        stripe_account=None,
        connected_accounts=connected_accounts,
        max_concurrent_runs=1,
        run_policy=RunPolicy(),
        retry_policy=RetryPolicy(),
        api_base_url="https://api.stripe.com",
        files_base_url="https://files.stripe.com",
        api_key="none",
        allow_partial=allow_partial,
    )


def resolved(report: Report, available: Span, *, livemode: bool = True, grid: Grid = "month") -> ResolvedReport:
    """A report with all decided but the interval."""
    names = [known.id for known in load_catalog() if known.id.startswith(f"{report.base}.")]
    return resolve(
        report, offer(available, *names, livemode=livemode), load_catalog(), settings(report, grid=grid).defaults
    )


@dataclass
class Planned:
    """A pipeline on paper: its kept state, and the availability that each stored cell was read with.

    Args:
        settings: of the source.
        state: what dlt keeps of the resource.
        stored: the stretch and the availability's end of each cell that is loaded, by its key.
        listed, held: what the ledger says of them.
    """

    settings: Settings
    state: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, tuple[Span, datetime]] = field(default_factory=dict)
    listed: dict[str, ListedCell] = field(default_factory=dict)
    held: dict[str, HeldRun] = field(default_factory=dict)
    packages: int = 0
    kept_packages: Mapping[str, str] | None = None
    """The package up to which each lane is listed; None where that is the last one."""

    def under(self, settings: Settings) -> Planned:
        """The same pipeline and dataset with another source."""
        return replace(self, settings=settings)

    def another(self) -> Planned:
        """Another pipeline on the same dataset, that has loaded nothing yet."""
        return replace(self, state={})

    @property
    def lanes(self) -> LaneStates:
        """The kept state of each lane."""
        return LaneStates(self.state)

    @property
    def ledger(self) -> Listed:
        """What is listed, up to the last package of each lane."""
        packages = {key: (state.package if (state := self.lanes.get(key)) else None) or "" for key in self.lanes}
        return Listed(self.kept_packages or packages, self.listed, self.held)

    def plan(
        self,
        offered: OfferedTypes,
        window: Span | None = None,
        *,
        replaced_since: datetime | None = None,
        payouts: Sequence[Mapping[str, str]] = (),
        exact: Collection[str] | None = None,
    ) -> list[Lane]:
        """What a sync would do; nothing is loaded."""
        keys = list(self.lanes)
        crossed: Callable[[str, Collection[str]], datetime | None] = lambda lane, forks: replaced_since  # noqa: E731
        loaded = LoadedBefore(
            lanes=self.lanes,
            columns={},
            cursor=self.lanes.cursors(keys).common,
            replaced_since=crossed,
            payouts=lambda report, label, asked: payouts,
            ledger=self.ledger,
        )
        return plan_lanes(self.settings.reports[0], self.settings, offered, load_catalog(), loaded, window, exact)

    def sync(
        self,
        offered: OfferedTypes,
        window: Span | None = None,
        *,
        at_most: int | None = None,
        exact: Collection[str] | None = None,
    ) -> list[CellRequest]:
        """Plan and load, in one package; `at_most` cells of each lane, as if the next had failed."""
        self.packages += 1
        done = []
        for lane in self.plan(offered, window, exact=exact):
            if lane.noted is not None:
                self.lanes.put(lane.key, lane.noted)
            for number, request in enumerate(lane.cells[:at_most], 1):
                synced = None
                if not lane.backfill and request.key not in lane.gaps:
                    reach = lane.reaches.get(request.key)
                    synced = Synced((), last=number == len(lane.cells), reach=reach)
                known = self.lanes.get(lane.key)
                package = f"package {self.packages}"
                self.lanes.put(lane.key, with_loaded_cell(known, request, request.cell.span, package, synced))
                self.stored[request.key] = (request.cell.span, lane.resolved.offered.available.end)
                self.note(request)
                done.append(request)
        return done

    def note(self, request: CellRequest) -> None:
        """List a cell that is loaded."""
        report, stretch = request.report, request.cell.span
        available = report.offered.available.end
        self.listed[request.key] = ListedCell(
            report.offered.id, stretch.start, stretch.end, available, True, whole_end=request.cell.whole.end
        )
        parameters = json.dumps({**report.parameters, "interval_end": int(stretch.end.timestamp())})
        self.held[request.key] = HeldRun(report.offered.updated, parameters, report.offered.livemode)


def spans(cells: Sequence[CellRequest]) -> list[Span]:
    """The stretches that cells ask for."""
    return [request.cell.span for request in cells]
