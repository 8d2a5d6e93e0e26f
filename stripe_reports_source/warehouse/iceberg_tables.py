"""Iceberg tables of a dataset on dlt's `filesystem`, through pyiceberg: opened, made and committed.

In: dlt's client of such a dataset, a table's name. Out: its newest version; what `lake_tables` reads and changes.

dlt keeps no catalog unless it is given one, and takes the last name of a folder of metadata files for the newest
version: of two commits at a time one would be lost. Here the files of a table without a catalog are numbered, as
Iceberg lays down for tables in a file system, and each is made only if there is none of its number, which a folder and
S3 can do. The numbers have nine digits, so that for dlt's reader too the last name is the newest version.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from dlt import Pipeline
from dlt.common.libs.pyiceberg import is_ephemeral_catalog, make_location
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.expressions import BooleanExpression
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import _dataframe_to_data_files, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import ALWAYS_TRUE, CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata
from sqlglot import exp

from ..errors import ConfigurationError
from .lake_jobs import ROWS_PER_BATCH, committed

PROTOCOLS = ("file", "s3", "s3a")
"""Where a file can be made only if there is none of its name."""
FIRST = 100_000_001
KEPT_VERSIONS = 20
"""Of the metadata files of a table without a catalog. Snapshots are in the newest one, and stay."""
PROPERTIES = {
    "write.metadata.metrics.default": "none",
    "write.target-file-size-bytes": str(64 * 2**20),  # as rows in memory, which is what pyiceberg counts
    "commit.retry.num-retries": "0",  # we plan anew which files a commit replaces
}
LOST = ("PreconditionFailed", "ConditionalRequestConflict")
"""What S3 answers where the file is there, and where another request is making it."""
_VERSION = re.compile(r"v(\d+)\.metadata\.json$")


class Conflict(Exception):
    """Another commit has come before. By its own class, pyiceberg would try again with the files of the old version."""


CONFLICTS = (Conflict, CommitFailedException)


class FolderCatalog(NoopCatalog):  # type: ignore[misc]  # not typed here
    """The tables of a dataset that has no catalog: commits into their folders."""

    def __init__(self, client: FilesystemClient) -> None:
        credentials = client.config.credentials
        settings: dict[str, Any] = getattr(credentials, "to_pyiceberg_fileio_config", dict)()
        super().__init__("folder", **{key: value for key, value in settings.items() if value is not None})
        self._client = client
        self._files = client.fs_client

    def open(self, name: str) -> Table | None:
        """The newest version of a table; None if there is none."""
        folder = self._folder(name)
        self._files.invalidate_cache()
        version = self._newest(folder)
        if version is None:
            return None
        location = make_location(f"{folder}v{version}.metadata.json", self._client.config)
        io = load_file_io(dict(self.properties), location)
        metadata = FromInputFile.table_metadata(io.new_input(location))
        return Table((name,), metadata, location, io, self)

    def begin(self, name: str, location: str, properties: dict[str, str]) -> Table:
        """A table that is there with its first commit, which gives it its columns."""
        unpartitioned, unsorted = UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER
        metadata = new_table_metadata(Schema(), unpartitioned, unsorted, location, properties)
        return Table((name,), metadata, "", load_file_io(dict(self.properties), location), self)

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        """Make the next version of a table, unless another one has.

        Raises:
            Conflict: it is there.
        """
        before = table.metadata_location or None
        found = _VERSION.search(before or "")
        number = int(found[1]) + 1 if found else FIRST
        metadata = update_table_metadata(table.metadata, updates, metadata_location=before)
        folder = self._folder(table.name()[-1])
        path = f"{folder}v{number}.metadata.json"
        self._make(path, metadata.model_dump_json().encode())
        self._files.pipe_file(f"{folder}version-hint.text", str(number).encode())
        with suppress(OSError):
            self._files.rm_file(f"{folder}v{number - KEPT_VERSIONS}.metadata.json")
        return CommitTableResponse(metadata=metadata, metadata_location=make_location(path, self._client.config))

    def _folder(self, name: str) -> str:
        return f"{self._client.get_table_dir(name)}metadata/"

    def _newest(self, folder: str) -> int | None:
        """The hint may be of an older version, where a process has ended before it was written."""
        try:
            number = int(self._files.cat_file(f"{folder}version-hint.text"))
        except (OSError, ValueError):
            number = 0
        if not number or not self._files.exists(f"{folder}v{number}.metadata.json"):
            with suppress(FileNotFoundError):
                names = self._files.ls(folder, detail=False)
                return max((int(found[1]) for found in map(_VERSION.search, names) if found), default=None)
            return None
        while self._files.exists(f"{folder}v{number + 1}.metadata.json"):
            number += 1
        return number

    def _make(self, path: str, content: bytes) -> None:
        """A file, whole and only if there is none."""
        try:
            if not self._client.is_local_filesystem:
                self._files.pipe_file(path, content, mode="create")
                return
            os.makedirs(os.path.dirname(path), exist_ok=True)
            begun = f"{path}.{uuid.uuid4().hex}"
            with open(begun, "wb") as file:
                file.write(content)
            try:
                os.link(begun, path)
            finally:
                os.unlink(begun)
        except OSError as error:
            if isinstance(error, FileExistsError) or _code(error) in LOST:
                raise Conflict(f"another commit has made {path}") from error
            raise


def _code(error: OSError) -> str:
    """S3's word for an error of s3fs."""
    answer = getattr(error.__cause__, "response", {})
    return str(answer.get("Error", {}).get("Code", ""))


def check_place(pipeline: Pipeline) -> None:
    """Refuse a place in which two commits at a time could not be told from one, where no catalog does it.

    Raises:
        ConfigurationError: names the place and what would be right.
    """
    client = cast(FilesystemClient, pipeline.destination_client())
    protocol = client.config.protocol
    if protocol not in PROTOCOLS and is_ephemeral_catalog(client.get_open_table_catalog("iceberg")):
        raise ConfigurationError(
            f"Iceberg tables on {protocol!r} need a catalog (dlt's setting iceberg_catalog): without one they are "
            "written to folders and S3 alone."
        )


def iceberg_table(client: FilesystemClient, name: str) -> Table | None:
    """The newest version of an Iceberg table; None if there is none."""
    catalog = client.get_open_table_catalog("iceberg")
    if is_ephemeral_catalog(catalog):
        return FolderCatalog(client).open(name)
    try:
        return catalog.load_table(f"{client.dataset_name}.{name}")
    except NoSuchTableError:
        return None


def new_iceberg_table(client: FilesystemClient, name: str, schema: pa.Schema, properties: dict[str, str]) -> Table:
    """A table that has no rows and, without a catalog, is not there before its first commit."""
    properties = {**PROPERTIES, **properties, **(client.config.iceberg_table_properties or {})}
    location = make_location(client.get_table_dir(name).rstrip("/"), client.config)
    catalog = client.get_open_table_catalog("iceberg")
    if is_ephemeral_catalog(catalog):
        return FolderCatalog(client).begin(name, location, properties)
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    return catalog.create_table(f"{client.dataset_name}.{name}", nullable, location, properties=properties)


def data_files(table: Table, of: BooleanExpression = ALWAYS_TRUE) -> list[DataFile]:
    """The files of a table's newest version that may have rows under a condition.

    Raises:
        DatabaseTerminalException: others' deletes by position or value apply to them.
    """
    tasks = list(table.scan(of).plan_files())
    if any(task.delete_files for task in tasks):
        raise DatabaseTerminalException(
            ValueError(f"the Iceberg table {table.location()} has delete files, which are not read here; rewrite them")
        )
    return [task.file for task in tasks]


def batches_of(table: Table, file: DataFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file, with columns that came later as NULL."""
    with table.io.new_input(file.file_path).open() as opened:
        parquet = pq.ParquetFile(opened)
        names = [name for name in schema.names if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=names):
            yield fitted(batch, schema)


def rows_of(table: Table, files: Iterable[DataFile], schema: pa.Schema) -> pa.RecordBatchReader:
    """The rows of some files."""
    batches = (batch for file in files for batch in batches_of(table, file, schema))
    return pa.RecordBatchReader.from_batches(schema, batches)


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows in the columns of a table."""
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def commit(table: Table, gone: list[DataFile], parts: Iterable[Iterable[pa.RecordBatch]], schema: pa.Schema) -> None:
    """Take files away and put rows in, in one snapshot and one commit.

    Args:
        table: as it was when `gone` was looked up.
        gone: its files that are not to be in it.
        parts: rows, each part for files of its own.
        schema: columns that it is to have.
    """
    with table.transaction() as transaction:
        with transaction.update_schema() as update:
            update.union_by_name(pa.schema([field.with_nullable(True) for field in schema]))
        full = schema_to_pyarrow(transaction.table_metadata.schema())
        with transaction.update_snapshot().overwrite() as snapshot:
            for file in gone:
                snapshot.delete_data_file(file)
            for part in parts:
                reader = pa.RecordBatchReader.from_batches(full, (fitted(batch, full) for batch in part))
                for file in _dataframe_to_data_files(transaction.table_metadata, reader, table.io):
                    snapshot.append_data_file(file)


class IcebergLakeTable:
    """A table as `lake_tables.LakeTable` wants it."""

    def __init__(self, table: Table, reopened: Callable[[], Table | None]) -> None:
        self._table = table
        self._reopened = reopened

    def schema(self) -> pa.Schema:
        return schema_to_pyarrow(self._table.schema())

    def files(self) -> list[str]:
        return [file.file_path.removeprefix("file://") for file in data_files(self._table)]

    def change(self, statement: exp.Expression) -> None:
        """Only system tables are changed in this way, which are small: the table gets one new file."""
        for named in statement.find_all(exp.Table):
            named.replace(exp.to_table("changed"))
        committed(lambda: _change(self._reopened() or self._table, statement.sql(dialect="duckdb")), CONFLICTS)


def _change(table: Table, statement: str) -> None:
    gone, schema = data_files(table), schema_to_pyarrow(table.schema())
    with duckdb.connect() as connection:
        connection.register("stored", rows_of(table, gone, schema))
        connection.execute("CREATE TABLE changed AS FROM stored")
        connection.execute(statement)
        rows = connection.sql("FROM changed").to_arrow_table()
    commit(table, gone, [rows.to_batches()], schema)
