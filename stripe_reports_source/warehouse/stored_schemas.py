"""The columns of a dataset's tables, for whoever opens it under another pipeline's name.

In: a pipeline. Out: the same, with the schemas that dlt has stored in the dataset. dlt restores them by the name of the
pipeline that has loaded them, which a reader of a database file need not know.
"""

from __future__ import annotations

import json

from dlt import Pipeline, Schema
from dlt.common.destination.client import WithStateSync

from ..plan.system_tables import REPORT_CELLS
from .query import select


def restore_schemas(pipeline: Pipeline) -> None:
    """Take over what is stored, unless the pipeline knows our tables already. Reads the dataset only."""
    pipeline.sync_destination()
    if any(REPORT_CELLS.name in schema.tables for schema in pipeline.schemas.values()):
        return
    names = select(pipeline, "SELECT DISTINCT {column.schema_name} FROM {table._dlt_version}") or ()
    for name in sorted(str(row[0]) for row in names):
        with pipeline.destination_client() as client:
            stored = client.get_stored_schema(name) if isinstance(client, WithStateSync) else None
        if stored is not None:
            pipeline.schemas.save_schema(Schema.from_stored_schema(json.loads(stored.schema)))
