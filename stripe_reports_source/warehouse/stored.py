"""Whether the destination holds what was loaded into it, cell by cell.

In: the cells of a load package. Out: how many rows are stored of each. One query for each table, which reads the two
columns that a columnar database keeps in a few bytes for millions of rows; a package without cells costs nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..plan.cells import LoadedCell
from ..plan.state import LaneStates
from ..plan.system_tables import REPORT_RUNS
from .coverage import count_cells, remove_cells
from .freshness import note_failure
from .lane_table import set_back
from .query import placeholders, select, sql_client

logger = logging.getLogger(__name__)


def stored_rows(
    pipeline: Pipeline, cells: Iterable[LoadedCell], load_ids: Sequence[str]
) -> list[tuple[LoadedCell, int]]:
    """Each cell with the rows that are stored of it.

    Args:
        pipeline: that has loaded them.
        cells: of one load.
        load_ids: its packages; where a pipeline has several sources, its state has one of its own.
    """
    by_table: dict[str, list[LoadedCell]] = defaultdict(list)
    for cell in cells:
        by_table[cell.request.report.report.table].append(cell)
    found = []
    for table, of_table in by_table.items():
        keys = sorted({cell.request.key for cell in of_table})
        query = (
            f"SELECT {{column._interval_key}}, count(*) FROM {{table.{table}}} "  # noqa: S608
            f"WHERE {{column._interval_key}} IN ({placeholders(keys)}) "
            f"AND {{column._dlt_load_id}} IN ({placeholders(load_ids)}) GROUP BY {{column._interval_key}}"
        )
        counts = dict(select(pipeline, query, *keys, *load_ids) or ())
        for cell in of_table:
            rows = int(counts.get(cell.request.key, 0))
            found.append((cell, rows) if rows or not cell.rows else _replaced_meanwhile(pipeline, cell, load_ids))
    return found


def _replaced_meanwhile(pipeline: Pipeline, cell: LoadedCell, load_ids: Sequence[str]) -> tuple[LoadedCell, int]:
    """A cell none of whose rows is ours: where another load has replaced it since, that one's rows are what there is.

    Rows of a load that had ended before ours began are what ours has left there: no row of the cell is stored.
    """
    table = cell.request.report.report.table
    query = (
        f"SELECT {{column._dlt_load_id}}, count(*) FROM {{table.{table}}} WHERE {{column._interval_key}} = %s "  # noqa: S608
        "GROUP BY {column._dlt_load_id}"
    )
    found = select(pipeline, query, cell.request.key) or []
    began = datetime.fromtimestamp(float(min(load_ids)), timezone.utc)  # dlt's load ids are the seconds of their making
    ended = "SELECT count(*) FROM {table._dlt_loads} WHERE {column.load_id} = %s AND {column.inserted_at} < %s"
    rows = sum(int(count) for load, count in found if not (select(pipeline, ended, load, began) or [(0,)])[0][0])
    return (replace(cell, rows=rows) if rows else cell), rows


def note_altered(pipeline: Pipeline, altered: Sequence[tuple[LoadedCell, int]]) -> None:
    """Say once for each table what the user's own steps and contracts have changed, and count what is stored."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for cell, rows in altered:
        counted = totals[cell.request.report.report.table]
        counted[0] += rows
        counted[1] += cell.rows
    for table, (rows, of_files) in totals.items():
        logger.warning(
            "table %s: steps or a schema contract of your own have stored %s rows for the %s rows of the files; what "
            "is stored is counted",
            table,
            rows,
            of_files,
        )
    _note(pipeline, "rows", [(rows, cell) for cell, rows in altered])
    count_cells(pipeline, [(rows, _listed(cell)) for cell, rows in altered])


def note_lost(pipeline: Pipeline, source_name: str, lost: Sequence[tuple[LoadedCell, str]]) -> None:
    """Make sure that the next sync loads cells again whose rows are not all stored.

    Args:
        pipeline: that has loaded them.
        source_name: the source.
        lost: cells, and what is wrong with each.
    """
    _note(pipeline, "error", [(why, cell) for cell, why in lost])
    remove_cells(pipeline, [_listed(cell) for cell, _ in lost])
    with pipeline.managed_state(extract_state=True) as state:
        kept: Any = state["sources"][source_name]["resources"]
        for cell, _ in lost:
            states = LaneStates(kept.get(cell.resource))
            known = states.get(cell.lane)
            if known is not None:
                states.put(cell.lane, known.to_be_loaded_from(cell.span.start))
            else:
                set_back(pipeline, cell.request.report.report.table, cell.lane, cell.span.start)
    pipeline.normalize()
    pipeline.load()
    for cell, _ in lost:
        note_failure(pipeline, cell.request.report.report.table, cell.lane, cell.span.start)


def _listed(cell: LoadedCell) -> tuple[str, str, str]:
    """The key of a cell's row in `report_cells`."""
    return cell.request.report.report.table, cell.request.label, cell.request.key


def _note(pipeline: Pipeline, column: str, values: Iterable[tuple[Any, LoadedCell]]) -> None:
    """Note a value of a cell's run; not where the run stands in the ledger with another table, which shares it."""
    with sql_client(pipeline) as client:
        table, name = client.make_qualified_table_name(REPORT_RUNS.name), client.escape_column_name(column)
        update = f"UPDATE {table} SET {name} = %s WHERE run_id = %s AND table_name = %s"  # noqa: S608
        try:
            for value, cell in values:
                client.execute_sql(update, value, cell.run_id, cell.request.report.report.table)
        except DatabaseUndefinedRelation:
            return  # the ledger is not loaded beside the reports
