"""Which of dlt's hints a resource of ours can keep its promises with.

In: a resource as the user has changed it. Out: nothing, or a refusal before any report run is made.
"""

from __future__ import annotations

from dlt.extract import DltResource

from ..errors import ConfigurationError


def refuse_other_dispositions(resource: DltResource, keys: tuple[str, ...] = ()) -> None:
    """Refuse hints under which a load would not replace whole cells, or would store the marks of emptied ones as rows.

    Args:
        resource: of a report or a system table.
        keys: its primary key; a report has none.

    Raises:
        ConfigurationError: names the resource and the hint.
    """
    if resource.has_dynamic_table_name or resource.has_other_dynamic_hints:
        raise ConfigurationError(
            f"resource {resource.name!r} has hints that depend on the item, which tables of cells do not have; give "
            "fixed hints."
        )
    table = resource.compute_table_schema()
    way = table.get("x-merge-strategy") or table.get("write_disposition")
    if table.get("write_disposition") != "merge" or way not in ("delete-insert", "merge"):
        raise ConfigurationError(
            f"resource {resource.name!r} has the write disposition {way!r}, under which an interval would not be "
            "replaced whole; leave write_disposition out (reports are always merged interval by interval)."
        )
    columns = table.get("columns", {})
    for hint, allowed in (("primary_key", keys), ("merge_key", ())):
        named = tuple(name for name, column in columns.items() if column.get(hint))
        if set(named) - set(allowed):
            raise ConfigurationError(
                f"resource {resource.name!r} has the {hint} {', '.join(named)!r}, which would drop rows; leave it out "
                "(reports are replaced interval by interval, and need no key)."
            )
