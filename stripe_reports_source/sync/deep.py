"""The deep check: whether every value of a cell is stored as its file has it.

In: a pipeline, cells of `report_cells`, an archive or Stripe, where the file of each cell's run still is. Out: a
finding for each cell, which names columns and counts rows, and holds no customer's value. No report run is made. Rows
are compared as a multiset, by a hash of each, in a DuckDB file of its own: memory does not grow with the file.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
from dlt import Pipeline

from ..errors import ArchiveError, RowError, StripeError, UnusableFile
from ..plan.catalog import load_catalog
from ..plan.cells import Downloaded
from ..plan.column_types import ColumnType
from ..plan.columns import TableColumn
from ..plan.resolve import ResolvedReport
from ..plan.system_tables import REPORT_CELLS, REPORT_COLUMNS, REPORT_RUNS
from ..rows.csv_file import typed_batches
from ..rows.places import read_header
from ..rows.values import arrow_type
from ..stripe_api.api import StripeApi
from ..stripe_api.archive import Archive
from ..warehouse.query import select
from ..warehouse.streaming import batches_of_cell
from .comparison import Differences, compare, duckdb_type
from .result_files import ResultFiles

Verdict = Literal["equal", "differs", "gone", "not_the_file"]


@dataclass(frozen=True)
class StoredCell:
    """A cell that is stored, and the run that it was loaded from. `account` is the `_account` value of its rows."""

    table: str
    account: str
    interval_key: str
    interval_day: date | None
    interval_start: datetime | None
    interval_end: datetime | None
    report_type: str
    run_id: str
    sha256: str | None
    parameters: str


@dataclass(frozen=True)
class DeepFinding:
    """What a deep check has found of a cell.

    Args:
        cell: which.
        verdict: `equal`; `differs`; `gone`: neither the archive nor Stripe has the file any more, so that nothing is
            known; `not_the_file`: what is there under its name is another file than the one that was loaded.
        rows: of the file.
        missing, extra: rows of the file that are not stored as they are, and rows that are stored and not in the file;
            a row that was changed is one of each.
        columns: names of the columns in which rows differ, as far as they can be told.
        reason: a sentence.
    """

    cell: StoredCell
    verdict: Verdict
    rows: int = 0
    missing: int = 0
    extra: int = 0
    columns: tuple[str, ...] = ()
    reason: str = ""


def stored_cells(pipeline: Pipeline) -> list[StoredCell]:
    """All cells that the dataset holds, by table and interval."""
    query = (
        "SELECT c.{column.table_name}, c.{column.account}, c.{column.interval_key}, c.{column.interval_day}, "  # noqa: S608
        "c.{column.interval_start}, c.{column.interval_end}, c.{column.report_type}, c.{column.run_id}, "
        f"r.{{column.sha256}}, r.{{column.parameters}} FROM {{table.{REPORT_CELLS.name}}} c "
        f"JOIN {{table.{REPORT_RUNS.name}}} r ON r.{{column.run_id}} = c.{{column.run_id}} "
        "ORDER BY c.{column.table_name}, c.{column.account}, c.{column.interval_key}"
    )
    return [StoredCell(*row) for row in select(pipeline, query) or ()]


def some_cells(cells: Sequence[StoredCell], number: int, seed: int) -> list[StoredCell]:
    """Some cells by chance, the same for the same seed, in their order."""
    chosen = random.Random(seed).sample(range(len(cells)), min(number, len(cells)))  # noqa: S311  # not a secret
    return [cells[index] for index in sorted(chosen)]


def check_cells(
    pipeline: Pipeline,
    cells: Iterable[StoredCell],
    *,
    archive: Archive | None = None,
    api: StripeApi | None = None,
    acts_on: str | None = None,
) -> Iterator[DeepFinding]:
    """Read the file of each cell again and compare it with what is stored.

    Args:
        pipeline: whose dataset.
        cells: of `stored_cells`.
        archive: where files are looked for first.
        api: Stripe, which is asked for what the archive does not have.
        acts_on: the account that Stripe is asked about; None is the key's own.

    Raises:
        StripeReportsError: Stripe does not answer, or not to this key.
    """
    mapped = _mapped_columns(pipeline)
    for cell in cells:
        with ExitStack() as stack:
            files = ResultFiles(Path(pipeline.working_dir))
            stack.callback(files.close)
            try:
                file = _file(cell, files.path / "file.csv", archive, api, acts_on)
                if file is None:
                    yield DeepFinding(cell, "gone", reason=f"the file of {cell.run_id} is not there any more.")
                elif file.sha256 != cell.sha256:
                    reason = f"the file of {cell.run_id} has another SHA-256 than the one that was loaded."
                    yield DeepFinding(cell, "not_the_file", reason=reason)
                else:
                    yield _compared(pipeline, cell, file, mapped.get(cell.table, []), files.path)
            except (ArchiveError, RowError) as error:
                yield DeepFinding(cell, "not_the_file", reason=str(error))


def _file(
    cell: StoredCell, target: Path, archive: Archive | None, api: StripeApi | None, acts_on: str | None
) -> Downloaded | None:
    """The file of a cell's run, from the archive or from Stripe; None if it is gone."""
    if archive is not None and cell.sha256 is not None and archive.has(cell.sha256):
        return archive.fetch(cell.sha256, target)
    if api is None:
        return None
    try:
        result = api.run(cell.run_id, acts_on).result
        return None if result is None else api.download(result, target, acts_on)
    except UnusableFile:
        return None
    except StripeError as error:
        if error.http_status == 404:
            return None
        raise


def _compared(
    pipeline: Pipeline, cell: StoredCell, file: Downloaded, mapped: Sequence[TableColumn], folder: Path
) -> DeepFinding:
    names, _ = read_header(file.path)
    columns = _columns_of(cell, names, mapped)
    others = [column for column in mapped if column.name not in {own.name for own in columns}]
    constants = {
        "_account": (cell.account, "text"),
        "_report_type": (cell.report_type, "text"),
        "_report_run_id": (cell.run_id, "text"),
        "_interval_start": (cell.interval_start, "timestamptz"),
        "_interval_end": (cell.interval_end, "timestamptz"),
        "_interval_day": (cell.interval_day, "date"),
    }
    types = {column.name: column.type for column in (*columns, *others)}
    types |= {name: ColumnType.parse(type_) for name, (_, type_) in constants.items()}
    separator = ResolvedReport.decimal_separator_in(json.loads(cell.parameters))
    with closing(duckdb.connect(str(folder / "compare.duckdb"))) as connection:
        connection.execute("SET memory_limit = '512MB'")
        connection.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(f'"{name}" {duckdb_type(type_)}' for name, type_ in types.items())
        for table in ("file", "stored"):
            connection.execute(f"CREATE TABLE {table} ({listed})")
        given = ", ".join(f'"{column.name}"' for column in columns)
        for batch in typed_batches(file.path, columns, separator):
            connection.register("batch", batch)
            connection.execute(f"INSERT INTO file ({given}) SELECT {given} FROM batch")  # noqa: S608
        set_to = ", ".join(f'"{name}" = ?' for name in constants)
        connection.execute(f"UPDATE file SET {set_to}", [value for value, _ in constants.values()])  # noqa: S608
        schema = pa.schema([pa.field(name, arrow_type(type_)) for name, type_ in types.items()])
        for part in batches_of_cell(pipeline, cell.table, cell.interval_key, schema):
            connection.register("batch", part)
            connection.execute("INSERT INTO stored BY NAME SELECT * FROM batch")
        if connection.execute('SELECT count("_interval_day") FROM stored').fetchall() == [(0,)]:
            types.pop("_interval_day")  # 0.1.0 has loaded the cell, without that column
        known = load_catalog().get(cell.report_type)
        key = [name for name in (known.key if known else ()) if name in types]
        return _finding(cell, compare(connection, types, key))


def _finding(cell: StoredCell, found: Differences) -> DeepFinding:
    if not found.missing and not found.extra:
        return DeepFinding(cell, "equal", found.rows)
    where = f" (in {', '.join(found.columns)})" if found.columns else ""
    reason = (
        f"of {found.rows} rows of the file {found.missing} are not stored as they are, and {found.extra} rows are "
        f"stored that it does not have{where}; load the interval again."
    )
    return DeepFinding(cell, "differs", found.rows, found.missing, found.extra, found.columns, reason)


def _columns_of(cell: StoredCell, headers: Sequence[str], mapped: Sequence[TableColumn]) -> list[TableColumn]:
    """The columns of a file, in its order. Where a header has got two over the years, its present type tells."""
    known = load_catalog().get(cell.report_type)
    columns = []
    for header in headers:
        found = [column for column in mapped if column.header == header]
        documented = known.column(header) if known else None
        fitting = [column for column in found if documented is None or column.type == documented.type]
        columns += (fitting or found)[:1]
    return columns


def _mapped_columns(pipeline: Pipeline) -> dict[str, list[TableColumn]]:
    """The columns that come from Stripe's headers, by table."""
    query = (
        "SELECT {column.table_name}, {column.stripe_header}, {column.column_name}, {column.type} FROM "  # noqa: S608
        f"{{table.{REPORT_COLUMNS.name}}} WHERE {{column.stripe_header}} IS NOT NULL "
        "ORDER BY {column.table_name}, {column.column_name}"
    )
    found: dict[str, list[TableColumn]] = {}
    for table, header, name, type_ in select(pipeline, query) or ():
        found.setdefault(table, []).append(TableColumn(header, name, ColumnType.parse(type_), ""))
    return found
