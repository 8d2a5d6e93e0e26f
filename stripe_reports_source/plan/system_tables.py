"""The system tables: what was offered, run, mapped and is covered. Their names and columns are spelt here only. Pure.

A row of each is a dataclass whose fields are the table's columns, in order. Every table ends with `_dlt_load_id`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from .column_types import AMOUNT, BIGINT, BOOL, DATE, TEXT, TIMESTAMPTZ, ColumnType
from .credentials import connected_in

LOAD_ID = "_dlt_load_id"


def _column(type_: ColumnType, description: str, *, key: bool = False) -> dict[str, Any]:
    return {"type": type_, "description": description, "key": key}


@dataclass(frozen=True, kw_only=True)
class TypeRow:
    """A report type as an account is offered it."""

    account: str = field(metadata=_column(TEXT, "Account the list was read for", key=True))
    id: str = field(metadata=_column(TEXT, "Exact report type id with its version", key=True))
    name: str = field(metadata=_column(TEXT, "Stripe's name of the report"))
    version: int = field(metadata=_column(BIGINT, "Version of the report type"))
    data_available_start: datetime = field(metadata=_column(TIMESTAMPTZ, "Earliest instant Stripe has data for"))
    data_available_end: datetime = field(metadata=_column(TIMESTAMPTZ, "Instant up to which Stripe's data is complete"))
    default_columns: str | None = field(metadata=_column(TEXT, "Stripe's default columns, as JSON"))
    updated: datetime = field(metadata=_column(TIMESTAMPTZ, "When Stripe last refreshed the data"))
    livemode: bool = field(metadata=_column(BOOL, "False for test data"))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A report run that a load used, and what became of it."""

    run_id: str = field(metadata=_column(TEXT, "Report run id, frr_...", key=True))
    report_type: str = field(metadata=_column(TEXT, "Exact report type id with its version"))
    account: str = field(metadata=_column(TEXT, "Account the run was made on"))
    table_name: str = field(metadata=_column(TEXT, "Table that the rows went to"))
    interval_start: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Start of the interval asked for (inclusive); NULL for snapshots")
    )
    interval_end: datetime | None = field(metadata=_column(TIMESTAMPTZ, "End of the interval asked for (exclusive)"))
    parameters: str = field(metadata=_column(TEXT, "All run parameters, as JSON"))
    status: str = field(metadata=_column(TEXT, "Last known status: succeeded, failed or pending"))
    created: datetime = field(metadata=_column(TIMESTAMPTZ, "When Stripe created the run"))
    succeeded_at: datetime | None = field(metadata=_column(TIMESTAMPTZ, "When Stripe finished the run"))
    attempt: int = field(metadata=_column(BIGINT, "0 for the first run of an interval, higher after failures"))
    adopted: bool = field(metadata=_column(BOOL, "True for a run that was found at Stripe instead of created"))
    file_id: str | None = field(metadata=_column(TEXT, "Result file id"))
    bytes: int | None = field(default=None, metadata=_column(BIGINT, "Size of the result file"))
    sha256: str | None = field(default=None, metadata=_column(TEXT, "SHA-256 of the result file"))
    rows: int | None = field(default=None, metadata=_column(BIGINT, "Rows loaded from the result file"))
    error: str | None = field(metadata=_column(TEXT, "Why the interval was not loaded; NULL when it was"))
    interval_key: str = field(
        metadata=_column(TEXT, "Identity of the interval's cell; joins _interval_key of the rows")
    )
    data_available_end: datetime = field(metadata=_column(TIMESTAMPTZ, "Up to when Stripe had data for the run"))
    livemode: bool = field(metadata=_column(BOOL, "False for a run on test data"))
    file_created: datetime | None = field(
        default=None, metadata=_column(TIMESTAMPTZ, "When Stripe made the result file; NULL where it does not say")
    )
    control_totals: str | None = field(
        default=None,
        metadata=_column(TEXT, "Rows and sums of the file's amounts per currency and category, as JSON"),
    )
    archive_path: str | None = field(
        default=None, metadata=_column(TEXT, "Where the result file is kept in the archive; NULL without one")
    )


@dataclass(frozen=True, kw_only=True)
class ColumnRow:
    """A column of a report table, and the header it comes from."""

    table_name: str = field(metadata=_column(TEXT, "Report table", key=True))
    column_name: str = field(metadata=_column(TEXT, "Column of the table", key=True))
    stripe_header: str | None = field(
        metadata=_column(TEXT, "Header that Stripe writes; NULL for columns this package adds")
    )
    type: str = field(metadata=_column(TEXT, "Type of the column"))
    description: str = field(metadata=_column(TEXT, "What the column holds"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRow:
    """A cell that is loaded: what a report table covers, empty cells included."""

    table_name: str = field(metadata=_column(TEXT, "Report table", key=True))
    account: str = field(metadata=_column(TEXT, "Account; joins _account of the rows", key=True))
    interval_key: str = field(metadata=_column(TEXT, "Identity of the cell; joins _interval_key of the rows", key=True))
    report_type: str = field(metadata=_column(TEXT, "Exact report type id with its version"))
    interval_day: date | None = field(
        metadata=_column(DATE, "First calendar day of the cell, in the report's zone; NULL for reports per payout")
    )
    interval_start: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Start of the cell (inclusive); NULL for snapshots and reports per payout")
    )
    interval_end: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "End of what is loaded of the cell (exclusive), as it was asked for")
    )
    whole_end: datetime | None = field(metadata=_column(TIMESTAMPTZ, "Where the cell ends on the calendar"))
    complete: bool | None = field(metadata=_column(BOOL, "True if the cell is loaded to its end"))
    rows: int | None = field(metadata=_column(BIGINT, "Rows that are stored of the cell; NULL until they are counted"))
    run_id: str = field(metadata=_column(TEXT, "Report run that is loaded; joins report_runs"))
    data_available_end: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Up to when Stripe had data for the run; NULL where that is not known")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshnessRow:
    """How far a table is loaded for an account, and when that was last compared with Stripe."""

    table_name: str = field(metadata=_column(TEXT, "Report table", key=True))
    account: str = field(
        metadata=_column(TEXT, "Account; label/acct_... where a report is run per connected account", key=True)
    )
    report_type: str = field(metadata=_column(TEXT, "Exact report type id with its version"))
    loaded_from: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Start of what is loaded; NULL while nothing is")
    )
    loaded_to: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Up to when all is loaded (exclusive); NULL while nothing is")
    )
    available_to: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Up to when Stripe had data, as it said last; NULL where it did not say")
    )
    checked_at: datetime = field(metadata=_column(TIMESTAMPTZ, "When the last sync asked Stripe"))
    open_failures: int = field(metadata=_column(BIGINT, "Intervals that have failed and are not loaded"))

    @property
    def lane(self) -> tuple[str, str]:
        """Table and account, which tell rows apart."""
        return self.table_name, self.account

    @property
    def gone(self) -> bool:
        """True of a connected account that is not, or no longer, one of the platform's, as the last sync was told."""
        return self._has_left and self.open_failures > 0

    @property
    def ended(self) -> bool:
        """True of an account that was `gone`, and is asked for no more: what is loaded of it is all there will be."""
        return self._has_left and not self.open_failures

    @property
    def _has_left(self) -> bool:
        label = self.account.rpartition("/")[0]
        return self.available_to is None and connected_in(self.account, label) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneRow:
    """How far a report is loaded for a connected account: what the next sync must know of it."""

    pipeline_name: str = field(metadata=_column(TEXT, "dlt pipeline that has loaded it", key=True))
    table_name: str = field(metadata=_column(TEXT, "Report table", key=True))
    account: str = field(metadata=_column(TEXT, "Account as label/acct_...", key=True))
    report_type: str = field(metadata=_column(TEXT, "Exact report type id with its version"))
    grid: str = field(metadata=_column(TEXT, "What its cells are cut by: report, filters, interval and zone"))
    loaded_from: datetime = field(metadata=_column(TIMESTAMPTZ, "Start of what is loaded"))
    loaded_to: datetime = field(metadata=_column(TIMESTAMPTZ, "End of what is loaded, by syncs and backfills"))
    synced_to: datetime | None = field(metadata=_column(TIMESTAMPTZ, "The cursor: up to when syncs have loaded all"))
    complete_to: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Where Stripe's data ended when a sync had loaded all there was")
    )
    complete_as_of: datetime | None = field(metadata=_column(TIMESTAMPTZ, "When Stripe had last refreshed that data"))
    taken_back_to: datetime | None = field(
        metadata=_column(TIMESTAMPTZ, "Where Stripe's data ended after Stripe had taken some back; else NULL")
    )
    livemode: bool | None = field(metadata=_column(BOOL, "False for test data"))
    package: str | None = field(metadata=_column(TEXT, "Load package that has last replaced cells of it"))
    package_from: datetime = field(metadata=_column(TIMESTAMPTZ, "Start of the first cell that this package replaced"))
    listed_package: str | None = field(metadata=_column(TEXT, "Load package up to which report_cells lists its cells"))
    forks: str | None = field(metadata=_column(TEXT, "Crossed loads that are dealt with, as JSON"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A verdict: whether two figures of an equation agree, for a cell, a currency and an item.

    Statements of a cell that tie are one row for each currency, with an empty item; what does not tie has a row of its
    own, and keeps it for good.
    """

    equation: str = field(metadata=_column(TEXT, "Name of the equation", key=True))
    account: str = field(metadata=_column(TEXT, "Account; joins _account of the rows", key=True))
    interval_key: str = field(metadata=_column(TEXT, "Cell of the figure; joins _interval_key of the rows", key=True))
    currency: str = field(metadata=_column(TEXT, "Currency; empty where the equation has none", key=True))
    item: str = field(
        metadata=_column(TEXT, "Category, payout or transaction; empty for all items of the cell that tie", key=True)
    )
    interval_day: date | None = field(metadata=_column(DATE, "First calendar day of the cell, in the report's zone"))
    interval_start: datetime | None = field(metadata=_column(TIMESTAMPTZ, "Start of the cell (inclusive)"))
    interval_end: datetime | None = field(metadata=_column(TIMESTAMPTZ, "End of what is loaded of it (exclusive)"))
    figure: Decimal | None = field(metadata=_column(AMOUNT, "What the first report says, as effect on the balance"))
    against: Decimal | None = field(metadata=_column(AMOUNT, "What the other report says"))
    difference: Decimal | None = field(metadata=_column(AMOUNT, "figure less against: 0 where they agree"))
    gross_difference: Decimal | None = field(metadata=_column(AMOUNT, "The same for gross amounts, where compared"))
    fee_difference: Decimal | None = field(metadata=_column(AMOUNT, "The same for fees, where compared"))
    count_difference: int | None = field(metadata=_column(BIGINT, "The same for numbers of rows, where compared"))
    status: str = field(
        metadata=_column(TEXT, "tied, explained, pending, stale, not_comparable or variance, in words of this package")
    )
    reason: str = field(metadata=_column(TEXT, "What differs and what to do, in a sentence"))
    figure_run: str | None = field(metadata=_column(TEXT, "Report runs of the figure; joins report_runs"))
    against_run: str | None = field(metadata=_column(TEXT, "Report runs of the other figure"))
    checked_at: datetime = field(metadata=_column(TIMESTAMPTZ, "When this was looked at"))
    package: str | None = field(
        default=None,
        metadata=_column(TEXT, "Load package of the rows that were compared with their file; else NULL"),
    )


SystemRow = TypeRow | RunRow | ColumnRow | CellRow | FreshnessRow | LaneRow | Statement


@dataclass(frozen=True)
class SystemTable:
    """A system table: its name, and the rows it holds."""

    name: str
    row: type[SystemRow]

    @property
    def columns(self) -> dict[str, tuple[ColumnType, str]]:
        """Type and description of each column."""
        described = {column.name: column.metadata for column in fields(self.row)}
        own = {name: (about["type"], about["description"]) for name, about in described.items()}
        return own | {LOAD_ID: (TEXT, "Load package that wrote the row; joins _dlt_loads")}

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return tuple(column.name for column in fields(self.row) if column.metadata["key"])


REPORT_TYPES = SystemTable("report_types", TypeRow)
REPORT_RUNS = SystemTable("report_runs", RunRow)
REPORT_COLUMNS = SystemTable("report_columns", ColumnRow)
REPORT_CELLS = SystemTable("report_cells", CellRow)
REPORT_FRESHNESS = SystemTable("report_freshness", FreshnessRow)
REPORT_LANES = SystemTable("report_lanes", LaneRow)
SYSTEM_TABLES = (REPORT_TYPES, REPORT_RUNS, REPORT_COLUMNS, REPORT_CELLS, REPORT_FRESHNESS, REPORT_LANES)
"""The resources of a source, beside its reports."""
TIE_OUT = SystemTable("tie_out", Statement)
"""Written when a load has ended, and by `reconcile`; the others are resources of the source."""
