"""The system tables: `report_types`, `report_runs`, `report_columns`. What was offered, run and mapped.

In: offered types, fetched or failed cells, table columns. Out: small Arrow tables with pinned types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from .columns import SYSTEM_COLUMNS, TableColumn
from .fetch import CellFailure, CellRequest, FetchedCell
from .objects import OfferedType
from .rows import arrow_type
from .runs import Obtained
from .tables import column_hint

_LOAD_ID = ("text", "Load package that wrote the row; joins _dlt_loads")

REPORT_TYPES: dict[str, tuple[str, str]] = {
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
}
REPORT_RUNS: dict[str, tuple[str, str]] = {
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
}
REPORT_COLUMNS: dict[str, tuple[str, str]] = {
    "table_name": ("text", "Report table"),
    "column_name": ("text", "Column of the table"),
    "stripe_header": ("text", "Header that Stripe writes; NULL for columns this package adds"),
    "type": ("text", "Type of the column"),
    "description": ("text", "What the column holds"),
    "_dlt_load_id": _LOAD_ID,
}


def audit_hints(columns: dict[str, tuple[str, str]], key: Sequence[str]) -> TTableSchemaColumns:
    """Hints of a system table that is merged by a primary key."""
    result: TTableSchemaColumns = {
        name: {"name": name, **column_hint(type_), "nullable": True, "description": description}
        for name, (type_, description) in columns.items()
    }
    for name in key:
        result[name].update({"nullable": False, "primary_key": True})
    return result


def audit_table(columns: dict[str, tuple[str, str]], key: Sequence[str], rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as an Arrow table with exactly the declared columns."""
    schema = pa.schema(
        [pa.field(name, arrow_type(type_), nullable=name not in key) for name, (type_, _) in columns.items()]
    )
    return pa.Table.from_pylist(list(rows), schema=schema)


def type_rows(types: Iterable[OfferedType], account: str) -> list[dict[str, Any]]:
    """Rows of `report_types`."""
    return [
        {
            "account": account,
            "id": one.id,
            "name": one.name,
            "version": one.version,
            "data_available_start": one.available.start,
            "data_available_end": one.available.end,
            "default_columns": None if one.default_columns is None else json.dumps(one.default_columns),
            "updated": one.updated,
            "livemode": one.livemode,
        }
        for one in types
    ]


def loaded_run_row(fetched: FetchedCell) -> dict[str, Any]:
    """The row of `report_runs` for a cell that is loaded."""
    return {
        **_run_row(fetched.request, fetched.obtained),
        "bytes": fetched.file.bytes,
        "sha256": fetched.file.sha256,
        "rows": fetched.rows.rows,
    }


def failed_run_row(request: CellRequest, failure: CellFailure) -> dict[str, Any] | None:
    """The row of `report_runs` for a cell that failed; None if it failed before it had a run."""
    if failure.obtained is None:
        return None
    return {**_run_row(request, failure.obtained), "error": str(failure.error)}


def _run_row(request: CellRequest, obtained: Obtained) -> dict[str, Any]:
    run = obtained.run
    return {
        "run_id": run.id,
        "report_type": run.report_type,
        "account": request.account or request.label,
        "table_name": request.report.report.table,
        "interval_start": _instant(run.parameters.get("interval_start")),
        "interval_end": _instant(run.parameters.get("interval_end")),
        "parameters": json.dumps(run.parameters, sort_keys=True),
        "status": run.status,
        "created": run.created,
        "succeeded_at": run.succeeded_at,
        "attempt": obtained.attempt,
        "adopted": obtained.adopted,
        "file_id": run.result.id if run.result else None,
        "error": run.error,
    }


def column_rows(table: str, columns: Sequence[TableColumn]) -> list[dict[str, Any]]:
    """Rows of `report_columns` for one table."""
    own = [TableColumn("", name, type_, text) for name, (type_, text) in SYSTEM_COLUMNS.items()]
    return [
        {
            "table_name": table,
            "column_name": column.name,
            "stripe_header": column.header or None,
            "type": column.type,
            "description": column.description,
        }
        for column in (*columns, *own)
    ]


def fingerprint(rows: Sequence[dict[str, Any]]) -> str:
    """Short digest of rows, kept in dlt's state so that unchanged rows are not loaded again."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _instant(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(int(seconds), timezone.utc)
