"""What dlt's schema contracts would do to a table, said before a report is run.

In: a resource and the columns that it is going to have. Out: nothing, or a refusal; and which of its columns a contract
discards.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

import dlt
from dlt.common.schema import Schema
from dlt.common.schema.typing import TSchemaEvolutionMode
from dlt.common.schema.utils import is_complete_column
from dlt.extract import DltResource

from ..errors import ConfigurationError

MODES = get_args(TSchemaEvolutionMode)
"""dlt's modes of a contract."""


def refuse_contract(resource: DltResource, columns: Collection[str]) -> None:
    """Refuse a contract under which all of a table, or a new column of it, could not be loaded.

    Args:
        resource: that is extracting.
        columns: of its table, as they will come.

    Raises:
        ConfigurationError: names the table or column and the contract.
    """
    schema, table = dlt.current.source_schema(), str(resource.table_name)
    modes = _modes(schema, resource)
    if _is_new(schema, table):
        if modes["tables"] != "evolve":
            raise ConfigurationError(
                f"resource {resource.name!r}: the schema contract tables={modes['tables']!r} takes no new table, and "
                f"{table!r} is not there yet; let tables evolve until it is."
            )
        return
    lacking = _lacking(schema, table, columns)
    if lacking and modes["columns"] == "freeze":
        raise ConfigurationError(
            f"resource {resource.name!r}: the schema contract columns='freeze' takes no new column, and table "
            f"{table!r} lacks {lacking[0]!r}; leave the column out, or let columns evolve."
        )


def discarded_columns(resource: DltResource, columns: Collection[str]) -> frozenset[str]:
    """The columns that a contract keeps out of a table that is there already.

    dlt 1.31 fails with a KeyError where a resource has hints of a column that it discards.
    """
    schema, table = dlt.current.source_schema(), str(resource.table_name)
    if _is_new(schema, table) or not str(_modes(schema, resource)["columns"]).startswith("discard"):
        return frozenset()
    return frozenset(_lacking(schema, table, columns))


def discards(resource: DltResource) -> bool:
    """True if a contract of the user's may take rows or values away from a resource that is extracting."""
    return any(mode.startswith("discard") for mode in _modes(dlt.current.source_schema(), resource).values())


def _modes(schema: Schema, resource: DltResource) -> dict[str, str]:
    """The modes of a resource's contract.

    Raises:
        ConfigurationError: there is no such mode, which dlt would take for `evolve`.
    """
    table = resource.compute_table_schema()
    modes = schema.resolve_contract_settings_for_table(str(table["name"]), table)
    for entity, mode in modes.items():
        if mode not in MODES:
            raise ConfigurationError(
                f"resource {resource.name!r}: the schema contract {entity}={mode!r} must be one of {', '.join(MODES)}."
            )
    return {entity: str(mode) for entity, mode in modes.items()}


def _is_new(schema: Schema, table: str) -> bool:
    if table not in schema.tables or schema.is_new_table(table):
        return True
    return bool((schema.tables[table].get("x-normalizer") or {}).get("evolve-columns-once", False))


def _lacking(schema: Schema, table: str, columns: Collection[str]) -> list[str]:
    known = schema.tables[table]["columns"]
    return [name for name in columns if name not in known or not is_complete_column(known[name])]
