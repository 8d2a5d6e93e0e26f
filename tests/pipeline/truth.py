"""Compares what is in the warehouse with what the emulator's reports say, row for row, with multiplicity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dlt import Pipeline

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.columns import column_name
from stripe_reports_source.plan.intervals import Grid, Span, cells, parse_zone
from tests.conftest import query

NEWEST = {
    "balance.summary": "balance.summary.1",
    "balance_change_from_activity.itemized": "balance_change_from_activity.itemized.3",
    "balance_change_from_activity.summary": "balance_change_from_activity.summary.2",
    "payouts.itemized": "payouts.itemized.3",
    "payouts.summary": "payouts.summary.1",
    "payout_reconciliation.itemized": "payout_reconciliation.itemized.5",
    "payout_reconciliation.summary": "payout_reconciliation.summary.2",
    "ending_balance_reconciliation.itemized": "ending_balance_reconciliation.itemized.4",
    "ending_balance_reconciliation.summary": "ending_balance_reconciliation.summary.1",
    "tax.transactions.itemized": "tax.transactions.itemized.2",
}
"""What an account is offered that is not a platform."""
ALL_NEWEST = NEWEST | {"connected_account_payouts.itemized": "connected_account_payouts.itemized.3"}


def expected_rows(
    emulator: Emulator, report: str, window: Span, grid: Grid, zone: str, metadata: Sequence[str] = ()
) -> Counter[tuple[Any, ...]]:
    """The rows of all cells of a window, with the day and the bounds of their cell."""
    name = NEWEST[report]
    known = load_catalog().get(name)
    assert known is not None
    columns = [column.name for column in known.columns] + list(metadata)
    options = {"timezone": zone} if known.accepts("timezone") else {}
    found: Counter[tuple[Any, ...]] = Counter()
    for cell in cells(window, grid, parse_zone(zone)):
        start = None if known.shape == "snapshot" else cell.span.start
        for row in emulator.truth(name, start, cell.span.end, columns=columns, **options):
            found[(*row, cell.first_day, start, cell.span.end)] += 1
    return found


def loaded_rows(pipeline: Pipeline, report: str, metadata: Sequence[str] = ()) -> Counter[tuple[Any, ...]]:
    """The rows of a report's table, in the same form."""
    known = load_catalog().get(NEWEST[report])
    assert known is not None
    names = [column.name for column in known.columns] + [column_name(header) for header in metadata]
    listed = ", ".join(f'"{name}"' for name in [*names, "_interval_day", "_interval_start", "_interval_end"])
    return Counter(query(pipeline, f"SELECT {listed} FROM {report.replace('.', '_')}"))


def assert_true(
    emulator: Emulator,
    pipeline: Pipeline,
    reports: Sequence[str],
    *,
    end: datetime,
    grid: Grid = "month",
    zone: str = "UTC",
    start: datetime | None = None,
    metadata: Sequence[str] = (),
) -> None:
    """Each table holds the truth of the window's cells, and nothing else."""
    window = Span(start or emulator.settings.first_available, end)
    for report in reports:
        wanted = expected_rows(emulator, report, window, grid, zone, metadata)
        if not pipeline.destination_client().capabilities.supports_tz_aware_datetime:
            wanted = Counter({tuple(map(_in_utc, row)): count for row, count in wanted.items()})
        found = loaded_rows(pipeline, report, metadata)
        missing, extra = wanted - found, found - wanted
        assert not missing, f"{report}: {missing.total()} rows missing, such as {next(iter(missing))}"
        assert not extra, f"{report}: {extra.total()} rows too many, such as {next(iter(extra))}"
        assert wanted, f"{report}: the emulator has no rows, so this says nothing"


def _in_utc(value: Any) -> Any:
    """An instant as databases have it whose times have no zone."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
