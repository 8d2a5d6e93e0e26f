"""dlt's column hints for all tables: they pin every type, precision and zone in the dlt schema for ever. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns
from dlt.common.schema.utils import has_table_seen_data

from ..plan.column_types import AMOUNT, BIGINT, BOOL, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType
from ..plan.columns import SYSTEM_COLUMNS, TOMBSTONE, TableColumn
from ..plan.system_tables import SystemTable

STRIPE_COLUMN = "x-stripe-column"
"""The hint that says which header a column holds; dlt keeps any x- hint."""


def column_hint(type_: ColumnType) -> TColumnSchema:
    """dlt's words for a column type."""
    if type_.kind == "decimal":
        return {"data_type": "decimal", "precision": type_.precision, "scale": type_.scale}
    if type_.kind == "timestamp" or type_.kind == "timestamptz":
        # without timezone=False dlt takes a naive Arrow timestamp for UTC and stores it with a zone
        return {"data_type": "timestamp", "precision": 6, "timezone": type_.kind == "timestamptz"}
    return {"data_type": type_.kind}  # text, bigint, bool and date are dlt's own names


def schema_columns(schema: Schema, table: str, *, made: bool | None = None) -> TTableSchemaColumns:
    """The columns of a table as dlt's schema has them.

    Args:
        schema: any.
        table: that it may have.
        made: those of a table that is made, or of one that the schema only tells of; None is of both.
    """
    told: Any = schema.tables.get(table, {})
    columns: TTableSchemaColumns = told.get("columns", {})
    return columns if made in (None, has_table_seen_data(told)) else {}


def stored_types(columns: TTableSchemaColumns) -> dict[str, ColumnType]:
    """The types of a table's columns by name, as dlt's schema has them; columns of types we never use are left out."""
    found = {name: _stored_type(column) for name, column in columns.items() if "data_type" in column}
    return {name: type_ for name, type_ in found.items() if type_ is not None}


def _stored_type(column: TColumnSchema) -> ColumnType | None:
    dlt_type = column.get("data_type")
    if dlt_type == "decimal":
        precision, scale = column.get("precision"), column.get("scale")
        return AMOUNT if precision is None or scale is None else ColumnType("decimal", precision, scale)
    if dlt_type == "timestamp":
        return TIMESTAMP if column.get("timezone") is False else TIMESTAMPTZ
    return next((type_ for type_ in (TEXT, BIGINT, BOOL, DATE) if type_.kind == dlt_type), None)


def report_hints(columns: Sequence[TableColumn]) -> TTableSchemaColumns:
    """Hints of a report table: the report's columns, then the system columns."""
    result: TTableSchemaColumns = {}
    for column in columns:
        result[column.name] = {
            "name": column.name,
            **column_hint(column.type),
            "nullable": True,
            "description": column.description,
            STRIPE_COLUMN: column.header,  # type: ignore[misc]
        }
    for name, (type_, description) in SYSTEM_COLUMNS.items():
        result[name] = {"name": name, **column_hint(type_), "nullable": True, "description": description}
    # as hints, not as merge_key= of the resource: that argument clashes with Arrow's nullability at every item
    result["_interval_key"].update({"nullable": False, "merge_key": True})
    result[TOMBSTONE]["hard_delete"] = True
    return result


def system_hints(table: SystemTable) -> TTableSchemaColumns:
    """Hints of a system table that is merged by its primary key."""
    result: TTableSchemaColumns = {
        name: {"name": name, **column_hint(type_), "nullable": True, "description": description}
        for name, (type_, description) in table.columns.items()
    }
    for name in table.key:
        result[name].update({"nullable": False, "primary_key": True})
    return result
