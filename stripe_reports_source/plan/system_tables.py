"""The system tables: what was offered, run and mapped. Their names and columns are spelt here only. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SystemTable:
    """A system table: its name, primary key, and columns with type and description."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, tuple[str, str]]


_LOAD_ID = ("text", "Load package that wrote the row; joins _dlt_loads")

REPORT_TYPES = SystemTable(
    "report_types",
    ("account", "id"),
    {
        "account": ("text", "Account the list was read for"),
        "id": ("text", "Exact report type id with its version"),
        "name": ("text", "Stripe's name of the report"),
        "version": ("bigint", "Version of the report type"),
        "data_available_start": ("timestamptz", "Earliest instant Stripe has data for"),
        "data_available_end": ("timestamptz", "Instant up to which Stripe's data is complete"),
        "default_columns": ("text", "Stripe's default columns, as JSON"),
        "updated": ("timestamptz", "When Stripe last refreshed the data"),
        "livemode": ("bool", "False for test data"),
        "_dlt_load_id": _LOAD_ID,
    },
)
REPORT_RUNS = SystemTable(
    "report_runs",
    ("run_id",),
    {
        "run_id": ("text", "Report run id, frr_..."),
        "report_type": ("text", "Exact report type id with its version"),
        "account": ("text", "Account the run was made on"),
        "table_name": ("text", "Table that the rows went to"),
        "interval_start": ("timestamptz", "Start of the interval asked for (inclusive); NULL for snapshots"),
        "interval_end": ("timestamptz", "End of the interval asked for (exclusive)"),
        "parameters": ("text", "All run parameters, as JSON"),
        "status": ("text", "Last known status: succeeded, failed or pending"),
        "created": ("timestamptz", "When Stripe created the run"),
        "succeeded_at": ("timestamptz", "When Stripe finished the run"),
        "attempt": ("bigint", "0 for the first run of an interval, higher after failures"),
        "adopted": ("bool", "True for a run that was found at Stripe instead of created"),
        "file_id": ("text", "Result file id"),
        "bytes": ("bigint", "Size of the result file"),
        "sha256": ("text", "SHA-256 of the result file"),
        "rows": ("bigint", "Rows loaded from the result file"),
        "error": ("text", "Why the interval was not loaded; NULL when it was"),
        "_dlt_load_id": _LOAD_ID,
    },
)
REPORT_COLUMNS = SystemTable(
    "report_columns",
    ("table_name", "column_name"),
    {
        "table_name": ("text", "Report table"),
        "column_name": ("text", "Column of the table"),
        "stripe_header": ("text", "Header that Stripe writes; NULL for columns this package adds"),
        "type": ("text", "Type of the column"),
        "description": ("text", "What the column holds"),
        "_dlt_load_id": _LOAD_ID,
    },
)

SYSTEM_TABLES = (REPORT_TYPES, REPORT_RUNS, REPORT_COLUMNS)
