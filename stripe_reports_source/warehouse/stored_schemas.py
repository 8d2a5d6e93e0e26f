"""The columns of a dataset's tables, for whoever opens it under another pipeline's name, or on another machine.

In: a pipeline. Out: the same, with the schemas that dlt has stored in the dataset, or the columns that these have. dlt
restores schemas by the name of the pipeline that has loaded them, which a reader of a database file need not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from dlt import Pipeline, Schema
from dlt.common.destination.client import WithStateSync

from ..plan.column_types import ColumnType
from ..plan.columns import StoredColumn
from ..plan.system_tables import REPORT_COLUMNS
from .hints import stored_types
from .query import Reader, select


def restore_schemas(pipeline: Pipeline) -> None:
    """Take over what is stored, but for what a load that is not at its end has changed. Reads the dataset only."""
    pipeline.sync_destination()
    for schema in _stored(pipeline):
        name = schema.name
        known = name in pipeline.schemas and (
            pipeline.has_pending_data or pipeline.schemas[name].stored_version_hash == schema.stored_version_hash
        )
        if not known:
            pipeline.schemas.save_schema(schema)


def stored_columns(pipeline: Pipeline) -> dict[str, dict[str, ColumnType]]:
    """The columns of all tables, as the schemas in the dataset have them, whatever the pipeline's own folder knows.

    Where none are stored, as the pipeline's own schemas have them. Changes nothing, there or here.
    """
    found: dict[str, dict[str, ColumnType]] = {}
    for schema in [*_stored(pipeline)] or pipeline.schemas.values():
        for name, table in schema.tables.items():
            found.setdefault(name, {}).update(stored_types(table.get("columns", {})))
    return found


def _stored(pipeline: Pipeline) -> Iterator[Schema]:
    """The newest schema of each name in the dataset."""
    names = select(pipeline, "SELECT DISTINCT {column.schema_name} FROM {table._dlt_version}") or ()
    for name in sorted(str(row[0]) for row in names):
        with pipeline.destination_client() as client:
            stored = client.get_stored_schema(name) if isinstance(client, WithStateSync) else None
        if stored is not None:
            yield Schema.from_stored_schema(json.loads(stored.schema))


def listed_columns(reader: Reader, tables: Collection[str]) -> Mapping[str, Mapping[str, ColumnType]]:
    """The columns of tables that dlt's schemas do not know, because other pipelines have loaded them.

    Args:
        reader: of the dataset, which lists them.
        tables: whose columns; nothing is asked where there are none.
    """
    listed = listed_by_table(reader) if tables else {}
    return {
        table: {name: column.type for name, column in columns.items()}
        for table, columns in listed.items()
        if table in tables
    }


def listed_by_table(reader: Reader) -> dict[str, dict[str, StoredColumn]]:
    """The columns of all report tables, by name, as the dataset lists them for whoever has loaded them."""
    listed: dict[str, dict[str, StoredColumn]] = {}
    for table, column, header, type_ in reader.select(_LISTED) or ():
        listed.setdefault(table, {})[column] = StoredColumn(ColumnType.parse(type_), header, by_another=True)
    return listed


_LISTED = (
    "SELECT {column.table_name}, {column.column_name}, {column.stripe_header}, {column.type} "  # noqa: S608
    f"FROM {{table.{REPORT_COLUMNS.name}}}"
)
