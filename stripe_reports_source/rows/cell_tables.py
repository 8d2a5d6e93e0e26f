"""Typed batches as they are loaded: a file's rows with system columns and a tombstone.

In: a fetched cell. Out: Arrow tables whose schema follows from the file's columns alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import date
from io import FileIO
from typing import Any

import pyarrow as pa

from ..plan.cells import FetchedCell
from ..plan.columns import SYSTEM_COLUMNS, TOMBSTONE, TableColumn
from ..plan.settings import ParsePolicy
from .control_sums import ControlSums
from .csv_file import Block, typed_batches
from .system_rows import interval_day, interval_start
from .values import arrow_type


def cell_tables(
    fetched: FetchedCell,
    load_id: str | None,
    parsing: ParsePolicy,
    sums: ControlSums,
    *,
    tombstone_apart: bool = False,
    ahead: Callable[[Iterator[Block]], Iterator[Block]] = iter,
    opened: Callable[[], FileIO] | None = None,
) -> Generator[pa.Table, None, None]:
    """The tables that replace a cell: its rows, and first a tombstone.

    The tombstone is a row with the cell's key alone. It makes dlt's merge delete what an earlier load of the
    cell left even when the new report is empty, and is never stored itself.

    Args:
        fetched: the cell, its file on this disk.
        load_id: of the load package; None outside a pipeline.
        parsing: how much is in memory at once.
        sums: takes the file's control totals; whole once the last table is given out.
        tombstone_apart: the first table holds the tombstone alone, and there is one more only if there are rows.
        ahead, opened: see `typed_batches`.

    Raises:
        RowError: a value does not fit. Tables before it have been given out by then.
    """
    schema = _schema(fetched.columns)
    constants = _constants(fetched, load_id)
    tombstone = [_tombstone(schema, constants)]
    batches: list[pa.RecordBatch] = []
    held = 0
    if tombstone_apart:
        yield pa.Table.from_batches(tombstone, schema)
        tombstone = []
    separator = fetched.request.report.decimal_separator
    path, columns = fetched.file.path, fetched.columns
    for batch in typed_batches(path, columns, separator, parsing.block_bytes, ahead, opened):
        stamps = [_repeat(constants[name], schema.field(name).type, batch.num_rows) for name in SYSTEM_COLUMNS]
        batches.append(pa.RecordBatch.from_arrays([*batch.columns, *stamps], schema=schema))
        held += batch.num_rows
        if held >= parsing.rows_per_table:
            sums.add(pa.Table.from_batches(batches, schema))
            yield pa.Table.from_batches(tombstone + batches, schema)
            tombstone, batches, held = [], [], 0
    if tombstone or batches:
        sums.add(pa.Table.from_batches(batches, schema))
        yield pa.Table.from_batches(tombstone + batches, schema)


def _schema(columns: Sequence[TableColumn]) -> pa.Schema:
    fields = [pa.field(column.name, arrow_type(column.type)) for column in columns]
    fields += [
        pa.field(name, arrow_type(type_), nullable=name != "_interval_key")
        for name, (type_, _) in SYSTEM_COLUMNS.items()
    ]
    return pa.schema(fields)


def _constants(fetched: FetchedCell, load_id: str | None) -> dict[str, str | date | None]:
    request = fetched.request
    return {
        "_account": request.label,
        "_report_type": request.report.offered.id,
        "_report_run_id": fetched.obtained.run.id,
        "_interval_start": interval_start(fetched),
        "_interval_end": fetched.span.end,
        "_interval_key": request.key,
        "_interval_day": interval_day(request),
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
