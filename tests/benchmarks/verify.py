"""Is what was timed right? Compares a loaded table with the reference's and with what the file was written from.

Runs outside the timed part. In: two DuckDB files and the facts of the CSV file. Out: nothing, or `Wrong`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from .data import Written
from .table import COLUMNS, TABLE, facts_sql, metadata_columns


class Wrong(Exception):
    """A loaded table is not what it should be."""


def check_load(database: Path, reference: Path, file: Written) -> None:
    """The cell is there once, whole, and equal to the reference in every value and type.

    Raises:
        Wrong: names the first thing that differs.
    """
    ours, types = _facts(database, f"stripe.{TABLE}", file.metadata)
    theirs, reference_types = _facts(reference, TABLE, file.metadata)
    counted = (file.rows, file.gross, file.fee, file.nulls, file.empties)
    _same("the file and the reference", counted, (*theirs[:3], *theirs[5:7]))
    _same("types of the reference and of the load", reference_types, types)
    _same("values of the reference and of the load", theirs, ours)
    with duckdb.connect(str(database), read_only=True) as connection:
        cell = connection.execute(
            "SELECT count(DISTINCT _interval_key), count(DISTINCT _report_run_id), count(DISTINCT _dlt_load_id), "
            f"count(_account), count(_report_type), count(_interval_end), count(_cell_dropped) FROM stripe.{TABLE}"
        ).fetchone()
        newest = connection.execute(
            f'SELECT "rows", bytes FROM stripe.report_runs JOIN stripe.{TABLE} ON run_id = _report_run_id LIMIT 1'
        ).fetchone()
    _same("one cell in the system columns", (1, 1, 1, file.rows, file.rows, file.rows, 0), cell)
    _same("rows and bytes in report_runs", (file.rows, file.bytes), newest)


def _facts(database: Path, table: str, metadata: int) -> tuple[tuple[Any, ...], dict[str, str]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        described = {name: type_ for name, type_, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
        facts = connection.execute(facts_sql(table, metadata)).fetchone()
    return facts or (), {name: described.get(name, "missing") for name in [*COLUMNS, *metadata_columns(metadata)]}


def _same(what: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise Wrong(f"{what} differ: {expected} and {found}")
