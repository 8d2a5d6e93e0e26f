"""Whether a destination can be loaded into now: reached, whole loads, nobody in the way, room on the disk.

In: a pipeline, or the DuckDB file that a first sync will make. Out: sentences; or an error. Nothing is written.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline
from dlt.destinations.sql_client import SqlClientBase

from ..errors import ConfigurationError, DestinationBusy, WorkingFolderError
from .advisory_lock import AdvisoryLock
from .destinations import check_destination, destination_type, duckdb_file
from .locks import database_file, is_held, load_into, pipeline_file, sync_of
from .query import sql_client

_MAY = (
    "SELECT current_user, current_database(), COALESCE("
    "(SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s), "
    "has_database_privilege(current_database(), 'CREATE'))"
)
LEAST_FREE = 2 << 30
"""Bytes: a load package of `MAX_BYTES`, and the database that takes it."""


def reached(pipeline: Pipeline) -> str:
    """Open a connection, and say how intervals are replaced.

    Raises:
        ConfigurationError: the destination cannot replace rows, or may not be written.
    """
    check_destination(pipeline, dlt.config.get("sources.stripe_reports.table_format", str))
    file = duckdb_file(pipeline)
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise ConfigurationError(
            f"{file} or its folder may be read, but not written; give permission to write there, or set --database."
        )
    with sql_client(pipeline) as client:
        client.execute_sql("SELECT 1")
        if destination_type(pipeline) == "postgres":
            _refuse_no_rights(client)
        if client.capabilities.supports_ddl_transactions:
            return "it can be reached, and replaces intervals in transactions"
    return "it can be reached, and replaces an interval's rows in two steps, see the warning"


def _refuse_no_rights(client: SqlClientBase[Any]) -> None:
    """The role must be allowed to make the dataset and the one beside it, or to make tables in them."""
    for name in (client.dataset_name, client.staging_dataset_name):
        [(user, database, allowed)] = client.execute_sql(_MAY, name) or ()
        if not allowed:
            raise ConfigurationError(
                f"PostgreSQL's role {user!r} may not create the schema {name!r} or tables in it; "
                f"grant it CREATE on the database {database!r}."
            )


def working_folder(folder: Path) -> str:
    """Look whether dlt's working folder can be written, or made.

    Raises:
        WorkingFolderError: it cannot.
    """
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise WorkingFolderError(
            f"dlt's working folder {folder} cannot be written; give permission to write there, or set DLT_DATA_DIR."
        )
    return f"{folder} can be written"


def free_of_syncs(pipeline: Pipeline, folder: Path) -> str:
    """Look whether a sync is at work.

    Args:
        pipeline: whose destination.
        folder: where the locks of pipelines are.

    Raises:
        DestinationBusy: one is.
    """
    database, own = duckdb_file(pipeline), pipeline_file(pipeline, folder)
    if is_held(own):
        raise DestinationBusy(f"{sync_of(pipeline)} ({own}).")
    if database is not None and is_held(database_file(database)):
        raise DestinationBusy(f"{load_into(f'the DuckDB file {database}')} ({database_file(database)}).")
    holder = AdvisoryLock(pipeline).holder() if destination_type(pipeline) == "postgres" else ""
    if holder:
        raise DestinationBusy(f"{load_into(f'the dataset {str(pipeline.dataset_name)!r}')} ({holder}).")
    return "no sync is at work"


def can_be_made(database: Path) -> str:
    """Look whether a DuckDB file can be made.

    Raises:
        ConfigurationError: its folder is not there, or cannot be written.
    """
    if not database.parent.is_dir() or not os.access(database.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"the folder {database.parent} is not there or cannot be written; set --database.")
    return f"{database} is not there yet; the first sync makes it"


def free_disk(*folders: Path) -> str:
    """How much room there is for files.

    Raises:
        WorkingFolderError: too little.
    """
    found = [next(folder for folder in (path, *path.parents) if folder.is_dir()) for path in folders]
    sizes = {folder: shutil.disk_usage(folder).free for folder in found}
    for folder, free in sizes.items():
        if free < LEAST_FREE:
            raise WorkingFolderError(f"{folder} has {free / 2**30:.1f} GiB free, {LEAST_FREE >> 30} GiB are needed.")
    return ", ".join(f"{free / 2**30:.1f} GiB free in {folder}" for folder, free in sizes.items())
