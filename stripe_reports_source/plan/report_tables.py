"""What the tables of a source will be, before Stripe was asked anything: for engines and catalogues. Pure.

In: the user's words and settings. Out: for each report its table, its grid, and the columns that the catalogue knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from .catalog import ReportType, load_catalog
from .columns import SYSTEM_COLUMNS, TOMBSTONE
from .intervals import Grid, Span
from .lanes import BEGINNING
from .report import Report
from .resolve import ResolvedReport, resolve
from .settings import Settings
from .stripe_objects import OfferedType, OfferedTypes
from .table_texts import report_text


@dataclass(frozen=True)
class ReportColumn:
    """A column of a report's table: its name, its type such as `decimal(38,9)`, and what it holds."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class ReportTable:
    """A report that a source loads, and the table that it is loaded into.

    Args:
        resource: name of its dlt resource.
        table: name of the table.
        report: the report type, as it was asked for: a base id, or an exact one.
        account: the `_account` value of its rows.
        grid: `day`, `week` from Monday, or `month`.
        timezone: IANA zone of the grid's days.
        start_date, end_date: the source's first day, and the day after its last; None where it has none.
        lookback_days: days before the newest that are read again when Stripe has new data.
        description: what the table holds.
        columns: those that the catalogue knows; empty where it does not know the report.
        payouts_table: whose payouts the report is run for, one by one; None where it is run for intervals.
    """

    resource: str
    table: str
    report: str
    account: str
    grid: Grid
    timezone: str
    start_date: date | None
    end_date: date | None
    lookback_days: int
    description: str
    columns: tuple[ReportColumn, ...]
    payouts_table: str | None


@dataclass(frozen=True)
class Availability:
    """What Stripe has of a report now; instants in UTC.

    Args:
        report_type: exact id that would be run.
        start, end: between which it has data, the end not included.
        updated: when it last refreshed them.
    """

    report_type: str
    start: datetime
    end: datetime
    updated: datetime


def report_table(report: Report, settings: Settings, table: str) -> ReportTable:
    """The table that a report of a source is loaded into.

    Args:
        report: the user's words.
        settings: the source's.
        table: its name, which a hint may have changed.

    Raises:
        ConfigurationError: a column, metadata key, type or parameter is not one that the report takes.
    """
    defaults, resolved = settings.defaults, _resolved(report, settings)
    payouts = None if resolved is None else resolved.payouts_report
    return ReportTable(
        resource=report.table,
        table=table,
        report=report.report,
        account=settings.label,
        grid=report.interval or defaults.grid,
        timezone=report.timezone or defaults.zone.key,
        start_date=settings.start_date,
        end_date=settings.end_date,
        lookback_days=defaults.lookback_days if report.lookback_days is None else report.lookback_days,
        description=report_text(report),
        columns=() if resolved is None else _columns(resolved),
        payouts_table=None if payouts is None else settings.resource_of(payouts),
    )


def _resolved(report: Report, settings: Settings) -> ResolvedReport | None:
    """The report as if all that the catalogue knows were offered; None where it does not know the report."""
    catalog = load_catalog()
    nearest, versions = catalog.nearest(report.report), catalog.versions(report.base)
    if nearest is None:
        return None
    return resolve(
        # where a version is asked for that is not known, the nearest one tells
        report if report.report in (report.base, nearest.id) else replace(report, report=nearest.id),
        OfferedTypes(tuple(_as_if_offered(version) for version in versions)),
        catalog,
        settings.defaults,
        personal_data=settings.personal_data,
    )


def _columns(resolved: ResolvedReport) -> tuple[ReportColumn, ...]:
    known, headers = resolved.known, resolved.requested
    if headers is None:
        listed = () if known is None else known.default_columns or tuple(column.name for column in known.columns)
        headers = (*listed, *resolved.report.metadata)
    own = [
        ReportColumn(column.name, str(column.type), column.description) for column in resolved.table_columns(headers)
    ]
    added = [ReportColumn(name, str(of[0]), of[1]) for name, of in SYSTEM_COLUMNS.items() if name != TOMBSTONE]
    return (*own, *added)


def _as_if_offered(known: ReportType) -> OfferedType:
    return OfferedType(
        id=known.id,
        name=known.title,
        version=known.version,
        available=Span(BEGINNING, BEGINNING),
        default_columns=known.default_columns,
        updated=BEGINNING,
        livemode=True,
    )
