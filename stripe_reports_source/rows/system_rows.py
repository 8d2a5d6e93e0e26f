"""Rows of the system tables: what was offered, run, mapped and is covered.

In: offered types, fetched or failed cells, table columns. Out: small Arrow tables with pinned types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timezone
from typing import Any

import pyarrow as pa

from ..plan.cells import CellFailure, CellRequest, FetchedCell, Obtained
from ..plan.columns import SYSTEM_COLUMNS, TableColumn
from ..plan.stripe_objects import OfferedType
from ..plan.system_tables import LOAD_ID, CellRow, ColumnRow, RunRow, SystemRow, SystemTable, TypeRow
from .values import arrow_type


def system_table(table: SystemTable, rows: Sequence[SystemRow], load_id: str | None) -> pa.Table:
    """Rows as an Arrow table with exactly the declared columns."""
    schema = pa.schema(
        [
            pa.field(name, arrow_type(type_), nullable=name not in table.key)
            for name, (type_, _) in table.columns.items()
        ]
    )
    values = [[load_id if name == LOAD_ID else getattr(row, name) for row in rows] for name in schema.names]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)], schema=schema
    )


def type_rows(types: Iterable[OfferedType], account: str) -> list[TypeRow]:
    """Rows of `report_types`."""
    return [
        TypeRow(
            account=account,
            id=offered.id,
            name=offered.name,
            version=offered.version,
            data_available_start=offered.available.start,
            data_available_end=offered.available.end,
            default_columns=None if offered.default_columns is None else json.dumps(offered.default_columns),
            updated=offered.updated,
            livemode=offered.livemode,
        )
        for offered in types
    ]


def loaded_run_row(fetched: FetchedCell, rows: int, control_totals: str) -> RunRow:
    """The row of `report_runs` for a cell that is loaded."""
    row, file = _run_row(fetched.request, fetched.obtained), fetched.file
    return replace(
        row,
        bytes=file.bytes,
        sha256=file.sha256,
        rows=rows,
        control_totals=control_totals,
        archive_path=file.archive_path,
    )


def cell_row(fetched: FetchedCell, rows: int | None) -> CellRow:
    """The row of `report_cells` for a cell that is loaded; `rows` is None where it is not known what is stored."""
    request, whole_end = fetched.request, fetched.request.cell.whole.end
    return CellRow(
        table_name=request.report.report.table,
        account=request.label,
        interval_key=request.key,
        report_type=request.report.offered.id,
        interval_day=interval_day(request),
        interval_start=interval_start(fetched),
        interval_end=fetched.span.end,
        whole_end=whole_end,
        complete=fetched.span.end >= whole_end,
        rows=rows,
        run_id=fetched.obtained.run.id,
        data_available_end=request.report.offered.available.end,
    )


def interval_start(fetched: FetchedCell) -> datetime | None:
    """The `_interval_start` of a cell's rows."""
    report = fetched.request.report
    return None if report.snapshot or report.keys else fetched.span.start


def interval_day(request: CellRequest) -> date | None:
    """The `_interval_day` of a cell's rows."""
    return None if request.report.keys else request.cell.first_day


def failed_run_row(request: CellRequest, failure: CellFailure) -> RunRow | None:
    """The row of `report_runs` for a cell that failed; None if it failed before it had a run."""
    if failure.obtained is None:
        return None
    return replace(_run_row(request, failure.obtained), error=str(failure.error))


def _run_row(request: CellRequest, obtained: Obtained) -> RunRow:
    run = obtained.run
    return RunRow(
        run_id=run.id,
        report_type=run.report_type,
        account=request.label,
        table_name=request.report.report.table,
        interval_start=_instant(run.parameters.get("interval_start")),
        interval_end=_instant(run.parameters.get("interval_end")),
        parameters=json.dumps(run.parameters, sort_keys=True),
        status=run.status,
        created=run.created,
        succeeded_at=run.succeeded_at,
        attempt=obtained.attempt,
        adopted=obtained.adopted,
        file_id=run.result.id if run.result else None,
        error=run.error,
        interval_key=request.key,
        data_available_end=request.report.offered.available.end,
        livemode=request.report.offered.livemode,
        file_created=run.result.created if run.result else None,
    )


def column_rows(table: str, columns: Sequence[TableColumn]) -> list[ColumnRow]:
    """Rows of `report_columns` for one table."""
    own = [TableColumn("", name, type_, text) for name, (type_, text) in SYSTEM_COLUMNS.items()]
    return [
        ColumnRow(
            table_name=table,
            column_name=column.name,
            stripe_header=column.header or None,
            type=str(column.type),
            description=column.description,
        )
        for column in (*columns, *own)
    ]


def fingerprint(rows: Sequence[SystemRow]) -> str:
    """Short digest of rows, kept in dlt's state so that unchanged rows are not loaded again."""
    content = json.dumps([asdict(row) for row in rows], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _instant(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(int(seconds), timezone.utc)
