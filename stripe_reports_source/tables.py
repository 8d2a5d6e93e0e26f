"""Typed batches as they are loaded: system columns, tombstone, dlt column hints.

In: a fetched cell. Out: Arrow tables whose schema follows from the file's columns alone, and the hints that
pin every column's type in the dlt schema for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

from .columns import SYSTEM_COLUMNS, TOMBSTONE, TableColumn
from .fetch import FetchedCell
from .rows import arrow_type

ROWS_PER_TABLE = 100_000
"""Rows yielded to dlt at a time; each becomes a row group of its Parquet file."""

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


def hints(columns: Sequence[TableColumn]) -> TTableSchemaColumns:
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


def cell_key(fetched: FetchedCell) -> str:
    """The `_interval_key` of a cell."""
    request = fetched.request
    return request.report.cell_key(request.label, request.cell.first_day)


def cell_tables(fetched: FetchedCell, load_id: str | None) -> Iterator[pa.Table]:
    """The tables that replace a cell: its rows, and first a tombstone.

    The tombstone is a row with the cell's key alone. It makes dlt's merge delete what an earlier load of the
    cell left even when the new report is empty, and is never stored itself.
    """
    schema = _schema(fetched.rows.columns)
    constants = _constants(fetched, load_id)
    batches = [_tombstone(schema, constants)]
    held = 0
    for batch in fetched.rows.batches():
        stamps = [_repeat(constants[name], schema.field(name).type, batch.num_rows) for name in SYSTEM_COLUMNS]
        batches.append(pa.RecordBatch.from_arrays([*batch.columns, *stamps], schema=schema))
        held += batch.num_rows
        if held >= ROWS_PER_TABLE:
            yield pa.Table.from_batches(batches, schema)
            batches, held = [], 0
    if batches:
        yield pa.Table.from_batches(batches, schema)


def _schema(columns: Sequence[TableColumn]) -> pa.Schema:
    fields = [pa.field(column.name, arrow_type(column.type)) for column in columns]
    fields += [
        pa.field(name, arrow_type(type_), nullable=name != "_interval_key")
        for name, (type_, _) in SYSTEM_COLUMNS.items()
    ]
    return pa.schema(fields)


def _constants(fetched: FetchedCell, load_id: str | None) -> dict[str, str | datetime | None]:
    request = fetched.request
    return {
        "_account": request.account or request.label,
        "_report_type": request.report.offered.id,
        "_report_run_id": fetched.obtained.run.id,
        "_interval_start": None if request.report.snapshot else fetched.span.start,
        "_interval_end": fetched.span.end,
        "_interval_key": cell_key(fetched),
        "_dlt_load_id": load_id,
        TOMBSTONE: None,
    }


def _tombstone(schema: pa.Schema, constants: dict[str, Any]) -> pa.RecordBatch:
    values = {
        "_interval_key": constants["_interval_key"],
        "_dlt_load_id": constants["_dlt_load_id"],
        TOMBSTONE: True,
    }
    arrays = [_repeat(values.get(field.name), field.type, 1) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _repeat(value: Any, type_: pa.DataType, count: int) -> pa.Array:
    return pa.nulls(count, type_) if value is None else pa.repeat(pa.scalar(value, type_), count)
