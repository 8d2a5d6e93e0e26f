"""DuckDB: the cells of a package replaced straight from its files, each file in one transaction, in little memory.

In: a pipeline with a normalised package. Out: the package loaded. dlt's own merge writes every row twice, into a
staging table and from there into the table, and a job that is killed at the wrong moment fills the staging table
twice. Here a file's rows replace its cells' rows in one transaction, so that a job may run any number of times.
Whatever is not a file of whole cells in a plain DuckDB database is loaded by dlt as usual.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt import Pipeline
from dlt.common.destination import PreparedTableSchema
from dlt.common.destination.client import (
    FollowupJobRequest,
    HasFollowupJobs,
    LoadJob,
    RunnableLoadJob,
)
from dlt.common.pipeline import LoadInfo
from dlt.common.schema.typing import TSchemaTables
from dlt.common.storages.load_package import LoadJobInfo
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from dlt.destinations.job_client_impl import SqlLoadJob

from ..plan.columns import TOMBSTONE
from .duckdb_memory import Memory, Room, frugal, with_more_memory
from .duckdb_patience import PatientSqlClient
from .duckdb_rows import replace_rows
from .repeatable import RepeatableClient, StandIn, is_cell_table, loaded_whole, whole_in
from .whole_files import whole_files

logger = logging.getLogger(__name__)

T = TypeVar("T")

LARGE_BYTES = 8 << 20
"""Of a file that is loaded by itself: DuckDB has all its threads at work with one, and would hold rows of each."""


def load_package(pipeline: Pipeline, source_name: str) -> LoadInfo:
    """`pipeline.load()`, with a source's cells replaced straight where `own_jobs` loads into a DuckDB database."""
    straight: Any = pipeline.destination
    # MotherDuck and DuckLake are classes of their own
    if not isinstance(straight, CellDuckDb) or not _whole_cells(pipeline, source_name):
        return pipeline.load()
    straight.one_large_file = threading.Lock()
    with pipeline.sql_client() as client, frugal(client, pipeline, _room(pipeline, source_name, straight.room)):
        return pipeline.load()


def _whole_cells(pipeline: Pipeline, source_name: str) -> bool:
    """False if there is nothing to load, or rows of a cell are in several files: dlt can be set to split them so.

    Other sources' packages, about which nothing is known here, are left to dlt too.
    """
    packages = pipeline.list_normalized_load_packages()
    for load_id in packages:
        package = pipeline.get_load_package_info(load_id)
        files = {job.job_file_info.job_id(): job.job_file_info for some in package.jobs.values() for job in some}
        tables = Counter(file.table_name for file in files.values() if file.file_format == "parquet")
        several = [table for table, count in tables.items() if count > 1]
        if package.schema_name != source_name:
            return False
        if not all(whole_files(Path(package.package_path), table) for table in several):
            return False
    return bool(packages)


def _room(pipeline: Pipeline, source_name: str, room: Room) -> Room:
    """The memory that a load needs, which depends on the width of the tables that it fills."""
    packages = [pipeline.get_load_package_info(load_id) for load_id in pipeline.list_normalized_load_packages()]
    tables = pipeline.schemas[source_name].tables
    cells = {name for name, table in tables.items() if is_cell_table(table)}
    jobs = [job for package in packages for job in package.jobs["new_jobs"] if job.job_file_info.table_name in cells]
    widths = [len(tables[job.job_file_info.table_name]["columns"]) for job in jobs]
    known = all(job.job_file_info.file_format == "parquet" for job in jobs)
    rows = max((pq.read_metadata(job.file_path).num_rows for job in jobs), default=0) if known else None
    return replace(room, columns=max(widths, default=0), rows=rows)


class CellDuckDb(StandIn, dlt.destinations.duckdb):
    """A DuckDB destination as the user has set it up, with another way to load cells."""

    several_files = True
    writes_straight = True
    room: Room = Room()
    memory: Memory
    """That its connections share."""
    one_large_file: AbstractContextManager[Any] = nullcontext()
    """Held while a large file is loaded."""
    _settled: dict[tuple[Any, ...], Any] | None = None

    @classmethod
    def instead_of(cls, usual: Any, **config: Any) -> Any:
        """See `StandIn`."""
        own = super().instead_of(usual, **config)
        own.memory = Memory()
        return own

    @contextmanager
    def settled(self) -> Iterator[None]:
        """See `StandIn`. Connections that are open at the same time share one open database then, as in dlt's loads."""
        self._settled = {}
        try:
            yield
        finally:
            self._settled = None

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        """As dlt's, which looks it up field by field for each client, and each time asks for capabilities."""
        if self._settled is None or initial_config is None:
            return super().configuration(initial_config, accept_partial)
        place = accept_partial, initial_config.dataset_name, initial_config.default_schema_name
        if place not in self._settled:
            self._settled[place] = super().configuration(initial_config, accept_partial)
        return self._settled[place]

    def another_client(self, pipeline: Pipeline) -> Any:
        """As `pipeline.sql_client()`, for which dlt reads a schema from disk each time."""
        if self._settled is None:
            return pipeline.sql_client()
        place = pipeline.dataset_name, pipeline.default_schema_name
        if place not in self._settled:
            self._settled[place] = pipeline.sql_client()
        return PatientSqlClient(self._settled[place], self.memory)

    @property
    def client_class(self) -> type[DuckDbClient]:
        return CellClient

    def client(self, *args: Any, **kwargs: Any) -> DuckDbClient:
        made = cast(CellClient, super().client(*args, **kwargs))
        made.sql_client.memory, made.one_large_file = self.memory, self.one_large_file
        return made


class _RoomyClient(DuckDbClient):
    """dlt's, whose own statements beside the jobs get the memory that they need, and commit with all there is."""

    sql_client: PatientSqlClient

    def update_stored_schema(self, *args: Any, **kwargs: Any) -> TSchemaTables | None:
        return self._with_more_memory(partial(super().update_stored_schema, *args, **kwargs), "what tables lack")

    def complete_load(self, load_id: str) -> None:
        complete = super().complete_load

        def in_a_transaction() -> None:
            with self.sql_client.begin_transaction():
                complete(load_id)

        self._with_more_memory(in_a_transaction, "the end of a package")

    def _with_more_memory(self, attempt: Callable[[], T], what: str) -> T:
        return with_more_memory(self.sql_client, self.sql_client.memory, attempt, what)


class CellClient(RepeatableClient, _RoomyClient):
    """Gives tables of cells a job of their own and leaves all others to dlt.

    dlt goes on to make a staging table for each of them. It stays empty, but whoever loads the rest of a package
    without this client, after a crash, needs it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dataset_name = self.sql_client.dataset_name
        self.sql_client: PatientSqlClient = PatientSqlClient(self.sql_client, Memory())
        self.one_large_file: AbstractContextManager[Any] = nullcontext()

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if self._has_cells(table) and whole_in(file_path):
            return CellJob(file_path)
        job = super().create_load_job(table, file_path, load_id, restore)
        ours = _WITH_MORE_MEMORY.get(type(job))
        return ours(file_path) if ours else job

    def create_table_chain_completed_followup_jobs(
        self, table_chain: Any, completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None
    ) -> list[FollowupJobRequest]:
        if self._has_cells(table_chain[0]) and loaded_whole(completed_table_chain_jobs):
            return []
        return super().create_table_chain_completed_followup_jobs(table_chain, completed_table_chain_jobs)

    def _has_cells(self, table: PreparedTableSchema) -> bool:
        return is_cell_table(table) and self.stands_alone(table)

    def replace_rows(self, pipeline: Pipeline, table: str, keys: Sequence[str], rows: pa.Table) -> None:
        """See `own_jobs.replace_rows`."""
        replace_rows(self.sql_client, pipeline, table, keys, rows)


class _SqlJob(SqlLoadJob):
    """dlt's, which merges the system tables."""

    def run(self) -> None:
        _with_more_memory(self, super().run)


class _InsertJob(InsertValuesLoadJob):
    """dlt's, which inserts rows as text, such as those of its own tables."""

    def run(self) -> None:
        _with_more_memory(self, super().run)


class _CopyJob(DuckDbCopyJob):
    """dlt's, which copies a file into a table, and commits without a word."""

    def run(self) -> None:
        _with_more_memory(self, self._copy)

    def _copy(self) -> None:
        job = copy(self)
        job._file_path = self._file_path.replace("'", "''")  # which dlt writes into its statement as it is
        with self._job_client.sql_client.begin_transaction():
            DuckDbCopyJob.run(job)


def _with_more_memory(job: RunnableLoadJob, run: Callable[[], None]) -> None:
    """dlt tries a job again, up to five times, but with no more memory than before."""
    client = cast(CellClient, job._job_client)
    with_more_memory(client.sql_client, client.sql_client.memory, run, job.load_table_name)


_WITH_MORE_MEMORY: dict[type[LoadJob], type[RunnableLoadJob]] = {
    SqlLoadJob: _SqlJob,
    InsertValuesLoadJob: _InsertJob,
    DuckDbCopyJob: _CopyJob,
}


class CellJob(RunnableLoadJob, HasFollowupJobs):
    """Replaces the cells that a Parquet file holds, whole and in one transaction, however often it is run."""

    def run(self) -> None:
        job_client = cast(CellClient, self._job_client)
        large = Path(self._file_path).stat().st_size > LARGE_BYTES
        with job_client.one_large_file if large else nullcontext():
            _with_more_memory(self, lambda: self._replace_cells(job_client))

    def _replace_cells(self, job_client: CellClient) -> None:
        client = job_client.sql_client
        with client.with_alternative_dataset_name(job_client.dataset_name):  # dlt has chosen the staging dataset
            table = client.make_qualified_table_name(self.load_table_name)
        rows = f"read_parquet({client.capabilities.escape_literal(self._file_path)})"
        key, tombstone = map(client.escape_column_name, ("_interval_key", TOMBSTONE))
        with client.begin_transaction():
            client.execute_sql(f"DELETE FROM {table} WHERE {key} IN (SELECT DISTINCT {key} FROM {rows})")  # noqa: S608
            client.execute_sql(
                f"INSERT INTO {table} BY NAME SELECT * FROM {rows} WHERE {tombstone} IS DISTINCT FROM true"  # noqa: S608
            )
