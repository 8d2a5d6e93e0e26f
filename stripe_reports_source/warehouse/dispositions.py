"""Which of dlt's hints and selections a resource of ours can keep its promises with.

In: a resource as the user has changed it. Out: nothing, or a refusal before any report run is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dlt
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns
from dlt.extract import DltResource
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.items_transform import LimitItem

from ..errors import ConfigurationError
from ..plan.columns import TOMBSTONE, TableColumn, is_normal
from ..plan.system_tables import SYSTEM_TABLES, TIE_OUT
from .hints import report_hints, schema_columns

CELL_KEY = "_interval_key"
OWN_STEPS = (IncrementalResourceWrapper, LimitItem)
PINNED = ("data_type", "precision", "scale", "timezone", "nullable")
"""Hints of a column that follow from its report alone."""


def refuse_other_dispositions(resource: DltResource, keys: tuple[str, ...] = ()) -> None:
    """Refuse hints under which a load would not replace whole cells, or would store the marks of emptied ones as rows.

    Args:
        resource: of a report or a system table.
        keys: its primary key; a report has none.

    Raises:
        ConfigurationError: names the resource and the hint.
    """
    if resource.has_dynamic_table_name:
        raise ConfigurationError(
            f"resource {resource.name!r} has a table name that depends on the item; give it a fixed one."
        )
    table = resource.compute_table_schema()
    way = table.get("x-merge-strategy") or table.get("write_disposition")
    if table.get("write_disposition") != "merge" or way not in ("delete-insert", "merge"):
        raise ConfigurationError(
            f"resource {resource.name!r} has the write disposition {way!r}, under which an interval would not be "
            "replaced whole; leave write_disposition out (reports are always merged interval by interval)."
        )
    for hint, given in (("parent_table_name", table.get("parent")), ("nested_hints", resource.nested_hints)):
        if given:
            raise ConfigurationError(
                f"resource {resource.name!r} has the hint {hint}; leave it out: a report's table is of no "
                "other one, and has none of its own."
            )
    columns = table.get("columns", {})
    for hint, allowed in (("primary_key", keys), ("merge_key", (CELL_KEY,)), ("hard_delete", (TOMBSTONE,))):
        named = tuple(name for name, column in columns.items() if column.get(hint))
        if set(named) - set(allowed):
            raise ConfigurationError(
                f"resource {resource.name!r} has the {hint} {', '.join(named)!r}, which would drop rows; leave it out "
                "(reports are replaced interval by interval, and need no key)."
            )


def refuse_column_hints(resource: DltResource, columns: Sequence[TableColumn], *, begun: bool) -> None:
    """Refuse hints that would give a column of a report another type, or none of its missing values.

    Args:
        resource: of the report. An import schema may have hints for its table, too, while that is not made.
        columns: as its file will have them.
        begun: the load package has rows of it, whose hints are our own.

    Raises:
        ConfigurationError: names the column and the hint.
    """
    own, given = report_hints(columns), resource.columns if isinstance(resource.columns, dict) else {}
    named = f"resource {resource.name!r} has the hint"
    _refuse_other_hints(named, given, own, "leave the hint out")
    for name, hints in given.items():
        if name not in own and hints.get("nullable") is False:
            raise ConfigurationError(
                f"{named} nullable=False for column {name!r}, which the report does not have in every row; leave the "
                "hint out."
            )
    if not begun:
        schema, table = dlt.current.source_schema(), str(resource.table_name)
        named = f"the import schema of {schema.name!r} has for table {table!r} the hint"
        remedy = "take it out of that, and call pipeline.drop()"
        _refuse_other_hints(named, schema_columns(schema, table, made=False), own, remedy)


def _refuse_other_hints(named: str, given: Mapping[str, TColumnSchema], own: TTableSchemaColumns, remedy: str) -> None:
    for name in own:
        hints: Mapping[str, Any] = given.get(name, {})
        for hint in PINNED:
            pinned = own[name].get(hint)
            if hints.get(hint) not in (None, pinned):
                raise ConfigurationError(
                    f"{named} {hint}={hints.get(hint)!r} for column {name!r}, which has {hint}={pinned!r}; {remedy} "
                    "(a type is set with Report(..., types=...))."
                )


def check_cursor(resource: DltResource, cursor: Incremental[datetime]) -> None:
    """Refuse a window that is not one of instants, and a second cursor, which would filter rows of its own.

    Args:
        resource: of the report.
        cursor: that it was given.

    Raises:
        ConfigurationError: names the value.
    """
    for name in ("initial_value", "end_value"):
        value = getattr(cursor, name)
        if value is not None and not (isinstance(value, datetime) and value.tzinfo):
            raise ConfigurationError(
                f"resource {resource.name!r} has the incremental {name} {value!r}; give it a datetime with a zone, "
                "such as datetime(2025, 1, 1, tzinfo=timezone.utc)."
            )
    if any(isinstance(step, Incremental) for step in resource._pipe.steps):
        raise ConfigurationError(
            f"resource {resource.name!r} has a second incremental as a step, which would drop rows of intervals that "
            "are loaded again; set the one it has with apply_hints(incremental=...)."
        )


def refuse_parents(resource: DltResource) -> None:
    """Refuse to give rows to transformers that are not stored themselves: the cursor would pass them.

    Raises:
        ConfigurationError: the resource is not selected.
    """
    if resource.name not in dlt.current.source().resources.selected:
        raise ConfigurationError(
            f"resource {resource.name!r} gives its rows to a transformer and is not loaded itself, so that its cursor "
            "would pass rows that are not stored; select both."
        )


def checked_table(resource: DltResource, only: str | None = None) -> str:
    """The table of a resource.

    Args:
        resource: as the user has changed it.
        only: the one name that it may have; None is any that a report's table may have.

    Raises:
        ConfigurationError: it is another one.
    """
    table = str(resource.table_name)
    if only is not None and table != only:
        raise ConfigurationError(
            f"resource {resource.name!r} has the table name {table!r}; leave table_name out, system tables keep theirs."
        )
    if only is None and (not is_normal(table) or table in {system.name for system in (*SYSTEM_TABLES, TIE_OUT)}):
        raise ConfigurationError(
            f"resource {resource.name!r} has the table name {table!r}, which must be lower snake case, up to 63 "
            "characters, and not that of a system table."
        )
    return table
