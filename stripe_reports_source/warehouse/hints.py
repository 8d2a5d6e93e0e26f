"""dlt's column hints for all tables: they pin every type, precision and zone in the dlt schema for ever. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

from ..plan.columns import SYSTEM_COLUMNS, TOMBSTONE, TableColumn
from ..plan.system_tables import SystemTable

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


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


def stored_types(schema: Schema, table: str) -> dict[str, str]:
    """The types of the columns that a table has in dlt's schema."""
    columns = schema.tables.get(table, {}).get("columns", {})
    return {name: stored_type(column) for name, column in columns.items() if "data_type" in column}


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


def system_hints(table: SystemTable) -> TTableSchemaColumns:
    """Hints of a system table that is merged by its primary key."""
    result: TTableSchemaColumns = {
        name: {"name": name, **column_hint(type_), "nullable": True, "description": description}
        for name, (type_, description) in table.columns.items()
    }
    for name in table.key:
        result[name].update({"nullable": False, "primary_key": True})
    return result
