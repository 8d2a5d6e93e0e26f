"""dlt's column hints for all tables: they pin every type, precision and zone in the dlt schema for ever. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

from ..plan.columns import SYSTEM_COLUMNS, TOMBSTONE, TableColumn


@dataclass(frozen=True)
class AuditTable:
    """A system table: its name, primary key, and columns with type and description."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, tuple[str, str]]


_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_LOAD_ID = ("text", "Load package that wrote the row; joins _dlt_loads")

REPORT_TYPES = AuditTable(
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
REPORT_RUNS = AuditTable(
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
REPORT_COLUMNS = AuditTable(
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


def column_hint(type_: str) -> TColumnSchema:
    """dlt's words for a column type's name."""
    decimal = _DECIMAL.fullmatch(type_)
    if decimal:
        return {"data_type": "decimal", "precision": int(decimal[1]), "scale": int(decimal[2])}
    if type_ in ("timestamp", "timestamptz"):
        # without timezone=False dlt takes a naive Arrow timestamp for UTC and stores it with a zone
        return {"data_type": "timestamp", "precision": 6, "timezone": type_ == "timestamptz"}
    return {"data_type": type_}  # type: ignore[typeddict-item]  # text, bigint, bool and date are dlt's own names


def stored_type(column: TColumnSchema) -> str:
    """The type's name of a column in dlt's schema."""
    type_: str = column.get("data_type") or "text"
    if type_ == "decimal":
        return f"decimal({column.get('precision')},{column.get('scale')})"
    if type_ == "timestamp":
        return "timestamp" if column.get("timezone") is False else "timestamptz"
    return type_


def report_hints(columns: Sequence[TableColumn]) -> TTableSchemaColumns:
    """Hints of a report table: the report's columns, then the system columns."""
    result: TTableSchemaColumns = {}
    for column in columns:
        result[column.name] = {
            "name": column.name,
            **column_hint(column.type),
            "nullable": True,
            "description": column.description,
            "x-stripe-column": column.header,
        }  # type: ignore[typeddict-unknown-key]  # dlt keeps any x- hint
    for name, (type_, description) in SYSTEM_COLUMNS.items():
        result[name] = {"name": name, **column_hint(type_), "nullable": True, "description": description}
    # as hints, not as merge_key= of the resource: that argument clashes with Arrow's nullability at every item
    result["_interval_key"].update({"nullable": False, "merge_key": True})
    result[TOMBSTONE]["hard_delete"] = True
    return result


def audit_hints(table: AuditTable) -> TTableSchemaColumns:
    """Hints of a system table that is merged by its primary key."""
    result: TTableSchemaColumns = {
        name: {"name": name, **column_hint(type_), "nullable": True, "description": description}
        for name, (type_, description) in table.columns.items()
    }
    for name in table.key:
        result[name].update({"nullable": False, "primary_key": True})
    return result
