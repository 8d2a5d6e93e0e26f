"""What a killed process leaves in dlt's working folder, and would block or fill it for ever.

In: a pipeline whose lock is held. Out: nothing; what is removed is safe elsewhere, or is extracted again from the runs
that Stripe keeps.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.common.destination.exceptions import SchemaUpdateError
from dlt.common.storages.load_package import LoadPackageInfo
from dlt.destinations.exceptions import DatabaseException, DatabaseTerminalException
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.load.exceptions import LoadClientJobTerminalRetry

from ..errors import LoadInterrupted, WorkingFolderError, find_cause
from .destinations import destination_type, duckdb_file

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 86_400
"""Age at which the folder of an extraction that never ended is taken for abandoned. A plain `pipeline.run` holds no
lock, so a younger one may be another process at work."""
PARQUET_END = b"PAR1"
EMPTY_DATABASE_BYTES = 16 << 10
"""A DuckDB file without a table has 12 KiB."""
SPILL_FOLDER = "duckdb_spill"
"""In dlt's working folder, which others cannot read: what DuckDB has no memory for."""
PROBE_BYTES = 1 << 20
"""What must fit on the disk of the working folder before a sync begins."""


def check_folder_name(folder: Path) -> None:
    """Refuse a working folder in which dlt 1.31 cannot name its files: it takes a % for a place in their names.

    Raises:
        WorkingFolderError: says so.
    """
    if "%" in str(folder):
        raise WorkingFolderError(
            f"dlt's working folder {folder} has a % in its name, with which dlt cannot write files there; set "
            "DLT_DATA_DIR, or pipelines_dir, to a folder without one."
        )


def prepare_folder(pipeline: Pipeline) -> None:
    """Let only the owner read what holds customers' rows: dlt's working folder, a DuckDB file that is still empty.

    Raises:
        WorkingFolderError: dlt cannot write files in a folder of that name.
    """
    check_folder_name(Path(pipeline.working_dir))
    Path(pipeline.working_dir).chmod(0o700)
    database = duckdb_file(pipeline)
    if database is not None and database.is_file() and database.stat().st_size < EMPTY_DATABASE_BYTES:
        database.chmod(0o600)


def mend_folder(pipeline: Pipeline, source_name: str) -> None:
    """Look whether the working folder can be written and read; begin it anew where its files are cut off.

    All that is in it for a source of ours is at the destination, or is extracted again: dlt takes the state from there.

    Raises:
        WorkingFolderError: it cannot be written, or holds what may be of other sources.
    """
    folder = Path(pipeline.working_dir)
    refresh = pipeline.refresh
    if not folder.exists():
        pipeline.drop()
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise WorkingFolderError(f"dlt's working folder {folder} cannot be written ({error.strerror}).") from None
    wrong = _unreadable(pipeline)
    if wrong is not None:
        if set(pipeline.schema_names) - {source_name} or not pipeline.config.restore_from_destination:
            raise WorkingFolderError(
                f"dlt's working folder {folder} holds a file that is cut off ({wrong}); delete the folder and sync "
                "again: what is loaded stays, and the state is taken from the destination."
            )
        logger.warning("dlt's working folder %s holds a file that is cut off (%s); it is begun anew", folder, wrong)
        pipeline.drop()
    pipeline.refresh = refresh


def _unreadable(pipeline: Pipeline) -> str | None:
    """The kind of error that reading the state, schemas and pending packages ends in; None if there is none."""
    storage: Any = pipeline.schemas
    try:
        for name in pipeline.state.get("schema_names") or ():
            storage.load_schema(name)
        for load_id in [*pipeline.list_normalized_load_packages(), *pipeline.list_extracted_load_packages()]:
            package = pipeline.get_load_package_info(load_id)
            _asks_for_abort(pipeline, load_id)
            for path in Path(package.package_path).glob("*_jobs/*.parquet"):
                with path.open("rb") as file:
                    file.seek(-min(len(PARQUET_END), path.stat().st_size), os.SEEK_END)
                    if file.read() != PARQUET_END:
                        return f"{path.name} has no end"
    except Exception as error:  # JSON, files, dlt's own: whatever a cut file ends in
        return f"{type(error).__name__}: {_first_line(error)}"
    return None


def remove_leftovers(pipeline: Pipeline) -> None:
    """Remove extracted packages that are normalised already, extractions that were abandoned, and what DuckDB had no
    memory for in a process that was killed.

    dlt 1.31 deletes an extracted package, file by file, after its normalised form is in place. Killed in between, it
    fails on the rest at every later run; killed while it extracts, it never looks at what is there again.
    """
    extracted = Path(pipeline.working_dir) / "normalize" / "extracted"
    done = {*pipeline.list_normalized_load_packages(), *pipeline.list_completed_load_packages()}
    for load_id in done.intersection(pipeline.list_extracted_load_packages()):
        logger.info("removing the rest of the extracted package %s, which is normalised", load_id)
        shutil.rmtree(extracted / load_id)
    for folder in extracted.parent.glob("*/"):
        if folder != extracted and folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            logger.info("removing the abandoned extraction %s", folder.name)
            shutil.rmtree(folder)
    spilled = Path(pipeline.working_dir) / SPILL_FOLDER
    if spilled.exists() and not _spills_into(pipeline, spilled):
        shutil.rmtree(spilled, ignore_errors=True)


def delete_pending(pipeline: Pipeline) -> None:
    """Delete the packages that are not loaded yet, without a word to the destination. The state stays as it is."""
    folder = Path(pipeline.working_dir)
    for load_id in pipeline.list_normalized_load_packages():
        shutil.rmtree(folder / "load" / "normalized" / load_id)
    for load_id in pipeline.list_extracted_load_packages():
        shutil.rmtree(folder / "normalize" / "extracted" / load_id)


def _spills_into(pipeline: Pipeline, folder: Path) -> bool:
    """True if DuckDB works in a folder: it keeps one that it has used while anybody in this process has it open."""
    if destination_type(pipeline) != "duckdb":
        return False
    with pipeline.sql_client() as client:
        return client.execute_sql("SELECT current_setting('temp_directory')") == [(str(folder),)]


def abort_begun_packages(pipeline: Pipeline, source_name: str) -> None:
    """Abort a source's packages whose loading had begun; what they hold is extracted again, from the same report runs.

    Where packages of other sources are pending too, which may have nothing to extract again from, none is aborted.

    dlt 1.31 goes on with such a package job by job. A job that was killed after the database had committed its rows and
    before dlt had noted it runs again, and puts the rows into the staging table a second time: the merge would double
    them.
    """
    pending = [*pipeline.list_normalized_load_packages(), *pipeline.list_extracted_load_packages()]
    packages = [pipeline.get_load_package_info(load_id) for load_id in pending]
    begun = [package.load_id for package in packages if _has_begun(pipeline, package)]
    if begun and all(package.schema_name == source_name for package in packages):
        logger.info("aborting the package %s, whose loading had begun", begun[0])
        _abort(pipeline)


def _has_begun(pipeline: Pipeline, package: LoadPackageInfo) -> bool:
    retried = any(job.job_file_info.retry_count for job in package.jobs["new_jobs"])
    begun = package.jobs["started_jobs"] or package.jobs["completed_jobs"] or retried
    return bool(begun or _asks_for_abort(pipeline, package.load_id))


def _asks_for_abort(pipeline: Pipeline, load_id: str) -> bool:
    normalised = load_id in pipeline.list_normalized_load_packages()
    return normalised and bool(pipeline.get_load_package_state(load_id).get("abort_requested"))


def check_begun_packages(pipeline: Pipeline) -> None:
    """Give up a package that asks to be aborted (see `RepeatableClient`); called while dlt extracts the next one.

    dlt 1.31 would extract the next one from the state after the first, abort the first, delete the next and end well.

    Raises:
        LoadInterrupted: there was one. The state is what it was before it.
    """
    waiting = pipeline.list_normalized_load_packages()
    if any(_asks_for_abort(pipeline, load_id) for load_id in waiting):
        pipeline.abort_packages()
        raise LoadInterrupted(
            f"an earlier run of the pipeline {pipeline.pipeline_name!r} was ended while it loaded, and what it had "
            "begun is given up; run the pipeline again, and it is extracted again from the same report runs."
        )


def set_aside(pipeline: Pipeline, source_name: str, error: BaseException) -> dict[str, str]:
    """Abort a package that the destination will never take, and find out which of its tables are why.

    Args:
        pipeline: whose load step has failed.
        source_name: the source; where packages of others are pending too, none is aborted.
        error: what dlt has raised.

    Returns:
        Why each table is refused, in the database's words. Empty where another try may work: nothing is aborted then.
    """
    refused = _refused_tables(pipeline, source_name, error)
    names = {
        pipeline.get_load_package_info(load_id).schema_name for load_id in pipeline.list_normalized_load_packages()
    }
    if not refused or names != {source_name}:
        return {}
    logger.warning("setting a load package aside, which the destination does not take: %s", refused)
    _abort(pipeline)
    return refused


def _abort(pipeline: Pipeline) -> None:
    pipeline.abort_packages()
    storage: Any = pipeline.schemas
    for name in list(storage.live_schemas):
        # dlt 1.31 takes a schema that it has just deleted for saved, and would never write it again
        if not storage.has_schema(name):
            del storage.live_schemas[name]


def _refused_tables(pipeline: Pipeline, source_name: str, error: BaseException) -> dict[str, str]:
    job = find_cause(error, LoadClientJobTerminalRetry)
    if job is not None:
        return {job.job_id.partition(".")[0]: _first_line(job.client_exception)}
    update = find_cause(error, SchemaUpdateError)
    if update is None or source_name not in pipeline.schemas:
        return {}
    refused = {}
    client = pipeline.destination_client(source_name)
    if isinstance(client, SqlJobClientBase):
        with client:
            # dlt says which tables it was about to make or change; each by itself tells which of them cannot be
            for table in update.table_names:
                try:
                    with client.maybe_ddl_transaction():
                        client._execute_schema_update_sql([table], store_schema=False)
                except DatabaseException as why:
                    if _for_ever(why):
                        refused[table] = _first_line(why)
    return refused


def _for_ever(error: DatabaseException) -> bool:
    """True for an error that no other try changes. dlt takes limits (1,600 columns) for passing ones."""
    beyond_limits = str(getattr(error.__cause__, "pgcode", None)).startswith("54")
    return beyond_limits or isinstance(error, DatabaseTerminalException)


def _first_line(error: BaseException) -> str:
    """What a database says, without the value that it may show at the end."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r""": ["'].*$""", "", lines[0])
