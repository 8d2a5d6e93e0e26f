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
from .leftovers import check_folder_name
from .locks import database_file, is_held, load_into, pipeline_file, sync_of
from .query import sql_client

_MAY = (
    "SELECT current_user, current_database(), n.oid IS NOT NULL, CASE WHEN n.oid IS NULL "
    "THEN has_database_privilege(current_database(), 'CREATE') "
    "ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END "
    "FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = %s"
)
_TAKES_WRITES = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'off'"
LEAST_FREE = 2 << 30
"""Bytes: a load package of `MAX_BYTES`, and the database that takes it."""


def reached(pipeline: Pipeline) -> str:
    """Open a connection, and say how intervals are replaced.

    Raises:
        ConfigurationError: the destination cannot replace rows, or may not be written.
        DestinationBusy: it takes no writes at present.
    """
    check_destination(pipeline, dlt.config.get("sources.stripe_reports.table_format", str))
    file = duckdb_file(pipeline)
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise ConfigurationError(
            f"{file} or its folder may be read, but not written; give permission to write there, or set --database."
        )
    with sql_client(pipeline) as client:
        client.execute_sql("SELECT 1")
        note = _rights_in_postgres(client) if destination_type(pipeline) == "postgres" else ""
        if client.capabilities.supports_ddl_transactions:
            return f"it can be reached, and replaces intervals in transactions{note}"
    return "it can be reached, and replaces an interval's rows in two steps, see the warning"


def _rights_in_postgres(client: SqlClientBase[Any]) -> str:
    """Look whether the server takes writes, and the role may make the dataset, or tables in it.

    Reports need no other dataset. The one beside it is for rows that leave them in another form, by steps.

    Returns:
        What the role may not, though no report needs it; "" if nothing.
    """
    [(is_standby, takes_writes)] = client.execute_sql(_TAKES_WRITES) or ()
    if is_standby:
        raise DestinationBusy(
            "this PostgreSQL is a standby, which takes no writes; connect to the primary server, or sync again when "
            "this one is."
        )
    if not takes_writes:
        raise DestinationBusy(
            "PostgreSQL takes no writes now; set default_transaction_read_only off for the role, the database or the "
            "server, or sync again when it is."
        )
    lacking = _lacking_right(client, client.dataset_name)
    if lacking:
        raise ConfigurationError(lacking)
    lacking = _lacking_right(client, client.staging_dataset_name)
    return f"; only with steps that change the form of rows: {lacking.removesuffix('.')}" if lacking else ""


def _lacking_right(client: SqlClientBase[Any], schema: str) -> str:
    """What the role may not and how to grant it, in a sentence; "" if it may make tables in the schema."""
    [(user, database, is_there, allowed)] = client.execute_sql(_MAY, schema) or ()
    if allowed:
        return ""
    grant = f"USAGE and CREATE on the schema {schema!r}" if is_there else f"CREATE on the database {database!r}"
    return f"PostgreSQL's role {user!r} may not create the schema {schema!r} or tables in it; grant it {grant}."


def working_folder(folder: Path) -> str:
    """Look whether dlt's working folder can be written, or made.

    Raises:
        WorkingFolderError: it cannot, or dlt cannot write files in a folder of that name.
    """
    check_folder_name(folder)
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
