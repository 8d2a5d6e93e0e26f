"""Whether a destination can be loaded into now: reached, whole loads, nobody in the way, room on the disk.

In: a pipeline, or the DuckDB file that a first sync will make. Out: sentences; or an error. Nothing is written.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dlt import Pipeline

from ..errors import ConfigurationError, DestinationBusy, WorkingFolderError
from .destinations import check_destination, destination_type
from .locks import AdvisoryLock, database_file, duckdb_file, is_held, pipeline_file, sync_of

LEAST_FREE = 2 << 30
"""Bytes: a load package of `MAX_BYTES`, and the database that takes it."""


def reached(pipeline: Pipeline) -> str:
    """Open a connection, and say how intervals are replaced.

    Raises:
        ConfigurationError: the destination cannot replace rows.
    """
    check_destination(pipeline)
    with pipeline.sql_client() as client:
        client.execute_sql("SELECT 1")
        if client.capabilities.supports_ddl_transactions:
            return "it can be reached, and replaces intervals in transactions"
    return "it can be reached, and replaces an interval's rows in two steps, see the warning"


def free_of_syncs(pipeline: Pipeline, folder: Path) -> str:
    """Look whether a sync is at work.

    Args:
        pipeline: whose destination.
        folder: where the locks of pipelines are.

    Raises:
        DestinationBusy: one is.
    """
    database = duckdb_file(pipeline)
    files = [pipeline_file(pipeline, folder), *([database_file(database)] if database else [])]
    holder = next((str(file) for file in files if is_held(file)), "")
    if not holder and destination_type(pipeline) == "postgres":
        holder = AdvisoryLock(pipeline).holder()
    if holder:
        raise DestinationBusy(f"{sync_of(pipeline)} ({holder}).")
    return "no sync is at work"


def can_be_made(database: Path) -> str:
    """Look whether a DuckDB file can be made.

    Raises:
        ConfigurationError: its folder is not there, or cannot be written.
    """
    if not database.parent.is_dir() or not os.access(database.parent, os.W_OK):
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
