"""Which of dlt's hints a resource of ours can keep its promises with.

In: a resource as the user has changed it. Out: nothing, or a refusal before any report run is made.
"""

from __future__ import annotations

import dlt
from dlt.extract import DltResource
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.items_transform import LimitItem

from ..errors import ConfigurationError

CELL_KEY = "_interval_key"
OWN_STEPS = (Incremental, IncrementalResourceWrapper, LimitItem)


def alters_rows(resource: DltResource) -> bool:
    """True if steps or a schema contract of the user's may change which rows of a report are stored."""
    _, *steps = resource._pipe.steps
    if any(not isinstance(step, OWN_STEPS) for step in steps):
        return True
    contract = dlt.current.source_schema().resolve_contract_settings_for_table(str(resource.table_name))
    return any(str(mode).startswith("discard") for mode in contract.values())


def takes_any_tables(resource: DltResource) -> bool:
    """True if no step of the user's sees or counts the tables that a report's resource gives."""
    _, *steps = resource._pipe.steps
    return all(isinstance(step, Incremental | IncrementalResourceWrapper) for step in steps)


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
    columns = table.get("columns", {})
    for hint, allowed in (("primary_key", keys), ("merge_key", (CELL_KEY,))):
        named = tuple(name for name, column in columns.items() if column.get(hint))
        if set(named) - set(allowed):
            raise ConfigurationError(
                f"resource {resource.name!r} has the {hint} {', '.join(named)!r}, which would drop rows; leave it out "
                "(reports are replaced interval by interval, and need no key)."
            )
