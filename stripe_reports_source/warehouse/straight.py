"""Resources that keep their promises whatever a dlt user does with them, and items that go straight to a table.

In: what dlt is extracting. Out: a resource class for reports and system tables; and items that a resource's generator
gives to a table, its own or another resource's, past every step, limit and transformer that the user has added.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import dlt
from dlt.common.data_writers.writers import count_rows_in_items
from dlt.extract import DltResource
from dlt.extract.items import ResolvablePipeItem
from dlt.extract.items_transform import LimitItem

from ..plan.system_tables import SystemTable
from .dispositions import OWN_STEPS, refuse_other_dispositions
from .hints import system_hints
from .passed_rows import Passed


def merged(table_format: str | None) -> dict[str, Any]:
    """The hints by which rows replace earlier ones.

    Args:
        table_format: of the tables. dlt does not merge into files in this way, and asks for it while it extracts, where
            our own client is not there yet; without a strategy it takes the client's.
    """
    if table_format:
        return {"write_disposition": "merge", "table_format": table_format}
    return {"write_disposition": {"disposition": "merge", "strategy": "delete-insert"}}


class CellResource(DltResource):
    """A resource of a report or a system table."""

    def parallelize(self) -> CellResource:
        """Changes nothing: files are fetched side by side already, and dlt's contexts are not for several threads."""
        return self


def straight_to(resource: DltResource, item: Any, meta: Any = None) -> ResolvablePipeItem:
    """An item for the table of a resource, past its steps: as dlt's own forks redirect items to another pipe."""
    pipe = resource._pipe
    return ResolvablePipeItem(item, len(pipe) - 1, pipe, meta)


def order_in_table(table: str, columns: Sequence[str]) -> list[str] | None:
    """The order of columns in which dlt takes a Parquet file into a package as it is; else it writes it anew.

    Args:
        table: of the resource that is extracting.
        columns: that the file is to have.

    Returns:
        None where dlt would change names or add columns.
    """
    schema = dlt.current.source_schema()
    known = list(schema.tables.get(table, {}).get("columns", {}))
    if not set(known) <= set(columns) or any(schema.naming.normalize_path(name) != name for name in columns):
        return None
    return [*known, *(name for name in columns if name not in known)]


def children(resource: DltResource) -> list[str]:
    """The transformers that are extracted and take their items from a resource."""
    found = []
    for name, other in dlt.current.source().resources.selected.items():
        parent = other._pipe.parent
        while parent is not None:
            if parent.instance_id == resource._pipe.instance_id:
                found.append(name)
            parent = parent.parent
    return found


def has_steps(resource: DltResource) -> bool:
    """True if the user has added steps to a resource."""
    _, *steps = resource._pipe.steps
    return any(not isinstance(step, (*OWN_STEPS, Passed)) for step in steps)


def ends_with(limit: LimitItem, item: Any) -> bool:
    """True if a limit closes the generator that gives this item: nothing can come after it."""
    if limit.max_time and time.monotonic() - limit.start_time > limit.max_time:
        return True
    return 0 <= limit.max_items <= limit.count + (count_rows_in_items(item) if limit.count_rows else 1)


def unselected(tables: Sequence[SystemTable]) -> list[tuple[SystemTable, DltResource]]:
    """The resources of system tables that dlt does not extract by themselves; made where the source has none.

    Raises:
        ConfigurationError: one has hints under which its rows would not be replaced.
    """
    resources = dlt.current.source().resources
    table_format = next((each.compute_table_schema().get("table_format") for each in resources.values()), None)
    found = []
    for table in tables:
        if table.name not in resources:
            resource: Any = dlt.resource(
                [],
                name=table.name,
                columns=system_hints(table),
                selected=False,
                **merged(table_format),
            )
            resources.add(resource)
        if table.name not in resources.selected:
            refuse_other_dispositions(resources[table.name], table.key)
            found.append((table, resources[table.name]))
    return found
