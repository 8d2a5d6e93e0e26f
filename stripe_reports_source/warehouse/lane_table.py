"""`report_lanes` at the destination: how far each connected account is loaded, read once for a sync.

In: a pipeline, and what dlt's state of a report's resource says of the table. Out: its lanes.

A row counts only if its load package is loaded whole, and is not older than `since` of dlt's state: whatever makes dlt
forget a resource (`refresh`, a table that was dropped) makes its rows void with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..plan.lane_table import KeptLane, LaneTable, kept_lane
from ..plan.state import since_of
from ..plan.system_tables import REPORT_CELLS, REPORT_LANES, LaneRow
from .query import placeholders, select, sql_client

_COLUMNS = tuple(column.name for column in fields(LaneRow))
_ACCOUNT = re.compile(r'"connected_account":"([^"]+)"')


def read_lanes(pipeline: Pipeline | None, table: str, resource_state: Mapping[str, Any]) -> LaneTable:
    """The lanes of a report that its pipeline has loaded.

    Args:
        pipeline: None has none.
        table: the report's.
        resource_state: dlt's, of its resource.
    """
    since = since_of(resource_state)
    if pipeline is None or since is None:
        return LaneTable({})
    columns = ", ".join(f"r.{{column.{name}}}" for name in _COLUMNS)
    found = select(
        pipeline,
        f"SELECT {columns}, r.{{column._dlt_load_id}} FROM {{table.{REPORT_LANES.name}}} r "  # noqa: S608
        "JOIN {table._dlt_loads} l ON l.{column.load_id} = r.{column._dlt_load_id} AND l.{column.status} = 0 "
        "WHERE r.{column.pipeline_name} = %s AND r.{column.table_name} = %s",
        pipeline.pipeline_name,
        table,
    )
    kept: dict[str, KeptLane] = {}
    for *values, load in found or ():
        if float(load) >= float(since):
            row = LaneRow(**dict(zip(_COLUMNS, values, strict=True)))
            kept[row.account] = kept_lane(row)
    return LaneTable(kept)


def set_back(pipeline: Pipeline, table: str, lane: str, start: datetime) -> None:
    """Let the next sync of a lane load again from an instant on, if the lane has a row."""
    with sql_client(pipeline) as client:
        name = client.make_qualified_table_name(REPORT_LANES.name)
        synced, complete, *keys = map(client.escape_column_name, ("synced_to", "complete_to", *REPORT_LANES.key))
        where = " AND ".join(f"{key} = %s" for key in keys)
        try:
            client.execute_sql(
                f"UPDATE {name} SET {complete} = NULL, "  # noqa: S608
                f"{synced} = CASE WHEN {synced} < %s THEN {synced} ELSE %s END WHERE {where}",
                start,
                start,
                pipeline.pipeline_name,
                table,
                lane,
            )
        except DatabaseUndefinedRelation:
            return  # no lane is kept there


def first_replaced(pipeline: Pipeline, table: str, account: str, loads: Collection[str]) -> dict[str, datetime]:
    """The start of the earliest cell that some load packages have replaced, by connected account."""
    found = select(
        pipeline,
        "SELECT {column.interval_key}, {column.interval_start}, {column.interval_end} "  # noqa: S608
        f"FROM {{table.{REPORT_CELLS.name}}} WHERE {{column.table_name}} = %s AND {{column.account}} = %s "
        f"AND {{column._dlt_load_id}} IN ({placeholders(loads)})",
        table,
        account,
        *loads,
    )
    first: dict[str, datetime] = {}
    for key, start, end in found or ():
        named, at = _ACCOUNT.search(key), start or end
        if named is not None and at is not None:
            first[named[1]] = min(first.get(named[1], at), at)
    return first
