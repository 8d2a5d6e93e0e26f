"""Whether the tables of a source are still what dlt's schema says: someone may have dropped or changed them by hand.

In: a pipeline that has loaded before. Out: what is gone is made anew where that loses nothing, and named where it does.
dlt itself compares its schema with a stored hash only, and fails in the middle of a load.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlt import Pipeline
from dlt.common.destination.client import WithStateSync
from dlt.common.schema import Schema
from dlt.common.schema.typing import TTableSchemaColumns
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.extract import DltSource

from ..errors import ConfigurationError
from ..plan.column_types import ColumnType
from .destinations import destination_type
from .hints import stored_types
from .repeatable import is_cell_table

logger = logging.getLogger(__name__)

COMPARED_TYPES = ("duckdb", "postgres")
"""Destinations whose types come back from their information schema as they were made."""
_WITHOUT_ZONE = re.compile(r"TIMESTAMP(_\w+)?( WITHOUT TIME ZONE)?", re.IGNORECASE)
"""Names of types; DuckDB has one for each precision, such as `TIMESTAMP_NS`."""


@dataclass(frozen=True)
class Changes:
    """What is not as dlt's schema says: tables that are gone, columns that are gone or of another type."""

    tables: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    types: tuple[tuple[str, str], ...]


def mend_tables(pipeline: Pipeline, source: DltSource, refresh: str | None, *, make: bool = True) -> None:
    """Make good for what was dropped by hand: a table is loaded anew, from its beginning.

    Args:
        pipeline: before a load; its state is taken over from the destination already.
        source: what is to be loaded.
        refresh: dlt's mode, if the load begins with dropping the source's tables anyway.
        make: make the tables that are gone; False changes the pipeline's state alone, for a plan.

    Raises:
        ConfigurationError: a column is gone or has another type, so that its values cannot be had back or kept.
    """
    if source.name not in pipeline.schemas:
        return
    schema = pipeline.schemas[source.name].clone()
    _leave_out(schema, _refreshed(source, refresh))
    client = pipeline.destination_client(source.name)
    if destination_type(pipeline) == "filesystem":
        _mend_files(pipeline, source.name, schema, client)
        return
    if not isinstance(client, SqlJobClientBase) or not isinstance(client, WithStateSync):
        return
    with client:
        if not client.is_storage_initialized():
            logger.warning("the dataset %r is gone; everything is loaded anew", pipeline.dataset_name)
            pipeline.drop()
            return
        found = _changes(client, schema, destination_type(pipeline))
        _refuse(schema, found)
        if not found.tables and not found.columns:
            return
        if make:
            for table in found.tables:
                logger.warning("the table %r is gone; it is made and loaded anew", table)
            client.update_stored_schema(force=True)
    _forget(pipeline, source.name, {schema.tables[table].get("resource") or table for table in found.tables})


def _mend_files(pipeline: Pipeline, source_name: str, schema: Schema, client: Any) -> None:
    """Load anew what was removed of a dataset of files: the first rows make the tables."""
    if not client.is_storage_initialized():
        logger.warning("the dataset %r is gone; everything is loaded anew", pipeline.dataset_name)
        pipeline.drop()
        return
    known = [str(table.get("name")) for table in schema.data_tables(seen_data_only=True)]
    gone = [name for name, columns in client.get_storage_tables(known) if not columns]
    for name in gone:
        logger.warning("the table %r is gone; it is made and loaded anew", name)
    if gone:
        _forget(pipeline, source_name, {schema.tables[name].get("resource") or name for name in gone})


def make_missing_tables(pipeline: Pipeline, source_name: str, *, only_dlts: bool) -> None:
    """Make tables anew that someone has dropped, where dlt would not look: it goes by the stored hash of the schema.

    Args:
        pipeline: with a package that is to be loaded.
        source_name: the source, whose schema has just been written here.
        only_dlts: for a package of before, whose other tables are not made up for.
    """
    client = pipeline.destination_client(source_name)
    if not isinstance(client, SqlJobClientBase):
        return
    with client:
        if client.is_storage_initialized():
            if only_dlts and client.get_stored_schema_by_hash(client.schema.stored_version_hash) is None:
                return  # dlt makes all tables then, unless the hash of the schema is written with dlt's own
            own = [str(table.get("name")) for table in client.schema.dlt_tables()]
            client.update_stored_schema(only_tables=own if only_dlts else None, force=True)  # type: ignore[arg-type]


def make_table(pipeline: Pipeline, source_name: str, table: Any) -> None:
    """Make a table, or what it lacks of its columns, without a load package; also one that was dropped by hand.

    Args:
        pipeline: that has loaded the source into a SQL database, with nothing pending.
        source_name: the source, in whose schema the table is to be.
        table: as a resource computes it.
    """
    schema = pipeline.schemas[source_name]
    made: Any = {**table, "x-normalizer": {"seen-data": True}}  # what dlt notes of tables that it has made
    schema.update_table(made)
    pipeline.schemas.save_schema(schema)  # first: a client takes no other, and what it has not made the next load mends
    client: Any = pipeline.destination_client(source_name)
    with client:
        client.update_stored_schema(only_tables=[table["name"]], force=True)


def refuse_changed_tables(pipeline: Pipeline, schema: Schema) -> tuple[str, ...]:
    """Say what was dropped or changed by hand of reports, where dlt is extracting already; system tables are made anew.

    Args:
        pipeline: that is extracting.
        schema: of the extraction, without the tables that it drops because of `refresh`.

    Returns:
        The tables that are made anew.

    Raises:
        ConfigurationError: names the first thing, and what to do.
    """
    client = pipeline.destination_client(schema.name) if schema.name in pipeline.schemas else None
    if not isinstance(client, SqlJobClientBase) or not isinstance(client, WithStateSync):
        return ()
    with client:
        if not client.is_storage_initialized():
            return ()
        found = _changes(client, schema, destination_type(pipeline))
        _refuse(schema, found)
        for table in found.tables:
            if is_cell_table(schema.tables[table]):
                raise ConfigurationError(
                    f"table {table!r} was dropped by hand; load its report anew with refresh='drop_resources', or run "
                    "load_reports, which does that by itself."
                )
        if found.tables or found.columns:
            client.update_stored_schema(force=True)
    return found.tables


def _refreshed(source: DltSource, refresh: str | None) -> set[str] | None:
    """The resources whose tables the next extraction drops; None for all of the source."""
    if refresh == "drop_sources":
        return None
    return set(source.resources.selected) if refresh == "drop_resources" else set()


def _leave_out(schema: Schema, resources: set[str] | None) -> None:
    for name in [*schema.data_table_names()]:
        if resources is None or schema.tables[name].get("resource", name) in resources:
            schema.drop_tables([name])


def _changes(client: SqlJobClientBase, schema: Schema, destination: str) -> Changes:
    wanted = {name: table["columns"] for name, table in _made(schema)}
    with _telling_types(client):
        stored = dict(client.get_storage_tables(wanted))
    case_sensitive = client.capabilities.generates_case_sensitive_identifiers()
    gone = [
        (name, column_name)
        for name, there in stored.items()
        if there
        for column in schema.get_new_table_columns(name, there, case_sensitive=case_sensitive)
        if (column_name := column.get("name")) is not None and column_name in wanted[name]
    ]
    types = []
    if destination in COMPARED_TYPES:
        types = [(name, column) for name, there in stored.items() for column in _retyped(wanted[name], there)]
    return Changes(tuple(name for name, there in stored.items() if not there), tuple(gone), tuple(types))


def _made(schema: Schema) -> Iterator[tuple[str, Any]]:
    """The tables that dlt has made: those that hold rows, and its own."""
    for table in [*schema.data_tables(seen_data_only=True), *schema.dlt_tables()]:
        yield str(table.get("name")), table


def _retyped(wanted: TTableSchemaColumns, there: Mapping[str, Any]) -> Iterable[str]:
    types: Mapping[str, ColumnType] = stored_types(there)  # type: ignore[arg-type]  # the same form
    for name, type_ in stored_types(wanted).items():
        found = types.get(name)
        if name in there and (found is None or (found.kind, found.scale) != (type_.kind, type_.scale)):
            yield name


@contextmanager
def _telling_types(client: SqlJobClientBase) -> Iterator[None]:
    """Tell types as they were asked for, where dlt 1.31 reads another one from an information schema.

    Times with a zone and those without are alike to it, and DuckDB's `DECIMAL(38, 0)` is its type wei.
    """
    read: Callable[..., Any] = client._from_db_type

    def told(name: str, *size: int | None) -> Any:
        found = dict(read(name, *size))
        if found.get("data_type") == "wei":
            found["data_type"] = "decimal"
        if _WITHOUT_ZONE.fullmatch(name):
            found["timezone"] = False
        return found

    client._from_db_type = told  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del client._from_db_type


def _refuse(schema: Schema, found: Changes) -> None:
    others = ", or by another source or pipeline"
    for what, columns, by in (("lacks", found.columns, ""), ("has another type in", found.types, others)):
        for table, column in columns:
            if is_cell_table(schema.tables[table]):
                raise ConfigurationError(
                    f"table {table!r} {what} the column {column!r}, which was changed by hand{by}; put it back, or "
                    "load the report anew with refresh='drop_resources'."
                )


def _forget(pipeline: Pipeline, source_name: str, resources: set[str]) -> None:
    """Forget how far these resources are loaded; dlt commits that with the next package."""
    with pipeline.managed_state() as state:
        kept: Any = state.get("sources", {}).get(source_name, {}).get("resources", {})
        for resource in resources:
            kept.pop(resource, None)
