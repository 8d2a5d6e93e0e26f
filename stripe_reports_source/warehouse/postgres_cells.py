"""PostgreSQL: the rows of a package copied straight from its files, each file in one transaction with what it replaces.

In: a pipeline with a normalised package. Out: the package loaded. dlt's own way appends to a staging table, by a job
that puts the rows in twice when the answer to its COMMIT is lost, and that all loads into a dataset share. Here a
file's rows replace the rows of the same keys, under a lock of the table that keeps other writers out and lets readers
in: a job may run any number of times, and beside others. Text goes as UTF-8, whatever the client's setting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, cast

import dlt
import pyarrow as pa
from dlt import Pipeline
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import (
    FollowupJobRequest,
    HasFollowupJobs,
    LoadJob,
    RunnableLoadJob,
)
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.exceptions import TerminalException
from dlt.common.schema.typing import TSchemaTables
from dlt.common.storages.load_package import LoadJobInfo, ParsedLoadJobFileName
from dlt.common.typing import TLoaderFileFormat
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.postgres.postgres import PostgresClient

from ..errors import ConfigurationError, DestinationBusy
from .advisory_lock import HOLDER, lock_number
from .locks import wait_for
from .postgres_binary import binary_rows, takes
from .postgres_indexes import make_indexes
from .postgres_rows import Stream, csv_rows, key_values, opened, rows_to_insert, stored_schema
from .repeatable import (
    RepeatableClient,
    StandIn,
    holds_cells,
    is_cell_table,
    key_columns,
    loaded_whole,
    package_folder,
    whole_in,
)
from .whole_files import whole_files

logger = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds to wait for a lock that someone else has on a table."""
LOCK_NOT_AVAILABLE = "55P03"
LOCK_MILLISECONDS = 400
"""How long an attempt to get a lock lasts: whoever comes after it, readers too, waits behind it."""
WAIT_FOR_LOCKS = (
    "SELECT set_config('lock_timeout', (%s + CASE WHEN EXISTS (SELECT 1 FROM pg_locks l "
    "JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND a.usesysid IS NULL "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) "
    "THEN (SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout') ELSE 0 END)::text, true)"
)
"""SQL by which a transaction waits for locks for some milliseconds; longer where the server itself vacuums a table of a
dataset, as it gives that up for whoever has waited for `deadlock_timeout`, and for nobody sooner."""
CHUNK_BYTES = 1 << 20
_COLUMN_TYPES = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
    "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
)


class TableBusy(DestinationBusy, TerminalException):
    """`DestinationBusy`, for dlt, which need not try again what has waited long enough."""


def check_encoding(pipeline: Pipeline) -> None:
    """Refuse a database that cannot keep every text.

    Raises:
        ConfigurationError: names the encoding.
    """
    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT current_database(), current_setting('server_encoding')") or ()
    for database, encoding in rows:
        if encoding != "UTF8":
            raise ConfigurationError(
                f"the database {database!r} has the encoding {encoding}, in which not every text of Stripe's can be "
                "written as it is; load into a database that was created with ENCODING 'UTF8'."
            )


class CellPostgres(StandIn, dlt.destinations.postgres):
    """A PostgreSQL destination as the user has set it up, with another way to load cells."""

    several_files = True
    writes_straight = True
    patience: float = PATIENCE

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        # dlt's own takes Parquet away where ADBC is missing, which is not needed here
        capabilities.loader_file_format_selector = _parquet_for_tables_with_keys
        # of the files of a table one has its lock; the others would wait, and lose their patience with a large one
        capabilities.loader_parallelism_strategy = "table-sequential"
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        return CellClient

    def client(self, *args: Any, **kwargs: Any) -> PostgresClient:
        made = cast(CellClient, super().client(*args, **kwargs))
        made.patience = self.patience
        return made


def _parquet_for_tables_with_keys(
    preferred: TLoaderFileFormat, supported: Sequence[TLoaderFileFormat], /, *, table_schema: Any
) -> tuple[TLoaderFileFormat, Sequence[TLoaderFileFormat]]:
    return ("parquet" if key_columns(table_schema) else preferred), supported


class CellClient(RepeatableClient, PostgresClient):
    """Gives whole files of tables with keys a job of their own, without a staging table, and leaves all else to dlt."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dataset_name = self.sql_client.dataset_name
        self.patience = PATIENCE
        self._staged: frozenset[str] | None = None

    def verify_schema(
        self, only_tables: Iterable[str] | None = None, new_jobs: Iterable[ParsedLoadJobFileName] | None = None
    ) -> list[PreparedTableSchema]:
        """Called once for each package before its tables are made."""
        jobs = list(new_jobs or ())
        package = package_folder()
        self._staged = frozenset(table for table in {job.table_name for job in jobs} if not whole_files(package, table))
        return super().verify_schema(only_tables, jobs)  # type: ignore[arg-type]  # dlt's None

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        table = self.prepare_load_table(table_name)
        if self._staged is not None and self._has_keys(table) and table_name not in self._staged:
            return False
        return super().should_load_data_to_staging_dataset(table_name)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if self._has_keys(table) and whole_in(file_path):
            return CellJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        if self._has_keys(table_chain[0]) and loaded_whole(completed_table_chain_jobs):
            return []
        return super().create_table_chain_completed_followup_jobs(table_chain, completed_table_chain_jobs)

    def _has_keys(self, table: PreparedTableSchema) -> bool:
        return holds_cells(self.schema) and bool(key_columns(table)) and self.stands_alone(table)

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        if not self.is_storage_initialized():
            with self.maybe_ddl_transaction():
                if not self.is_storage_initialized():
                    self.sql_client.create_dataset()
        super().initialize_storage(truncate_tables)

    def update_stored_schema(
        self,
        only_tables: Iterable[str] | None = None,
        expected_update: TSchemaTables | None = None,
        force: bool = False,
    ) -> TSchemaTables | None:
        made: list[TSchemaTables | None] = []

        def attempt() -> bool:
            with _locked_out() as lost:
                if self.sql_client.dataset_name == self.dataset_name:  # and not the staging dataset's turn
                    make_indexes(self, self._cell_tables(only_tables))
                made.append(super(CellClient, self).update_stored_schema(only_tables, expected_update, force))
            return not lost

        self.wait_for_table(attempt, sorted(only_tables or self.schema.tables))
        return made[-1]

    def _cell_tables(self, only_tables: Iterable[str] | None) -> list[str]:
        cells = [str(table["name"]) for table in self.schema.tables.values() if is_cell_table(table)]
        return cells if only_tables is None else [name for name in cells if name in set(only_tables)]

    @contextmanager
    def maybe_ddl_transaction(self) -> Iterator[None]:
        """One load at a time looks which tables there are and makes what is missing."""
        with super().maybe_ddl_transaction():
            self.sql_client.execute_sql(WAIT_FOR_LOCKS, LOCK_MILLISECONDS, self.dataset_name)
            self.sql_client.execute_sql(
                "SELECT pg_advisory_xact_lock(%s)", lock_number("stripe_reports_ddl", self.dataset_name)
            )
            yield

    def replace_rows(self, pipeline: Pipeline, table: str, keys: Sequence[str], rows: pa.Table) -> None:
        """See `own_jobs.replace_rows`."""
        values = set(zip(*(rows.column(key).to_pylist() for key in keys), strict=True))
        try:
            self.replace(table, keys, values, rows.schema, lambda: iter(rows.to_batches()))
        except Exception as error:
            if not self.sql_client.is_dbapi_exception(error):
                raise
            raise self.sql_client._make_database_exception(error) from error  # as of dlt's own statements

    def replace(
        self,
        name: str,
        keys: Sequence[str],
        values: Set[tuple[Any, ...]],
        schema: pa.Schema,
        rows: Callable[[], Iterator[pa.RecordBatch]],
    ) -> None:
        """Replace the rows of a table that have some values in their keys, in one transaction.

        Args:
            name: of the table.
            keys: columns.
            values: of the keys, one or more.
            schema: of the new rows.
            rows: begins with the new ones, at each try.

        Raises:
            TableBusy: another session had a lock on the table for too long.
        """

        def attempt() -> bool:
            with _locked_out() as lost:
                self._replace(name, keys, values, schema, rows())
            return not lost

        self.wait_for_table(attempt, [name])

    def _replace(
        self,
        name: str,
        keys: Sequence[str],
        values: Set[tuple[Any, ...]],
        schema: pa.Schema,
        rows: Iterator[pa.RecordBatch],
    ) -> None:
        client = self.sql_client
        with client.with_alternative_dataset_name(self.dataset_name):  # dlt may have chosen the staging dataset
            table = client.make_qualified_table_name(name)
        columns, listed = (", ".join(map(client.escape_column_name, names)) for names in (schema.names, keys))
        copy = f"COPY {table} ({columns}) FROM STDIN WITH"
        client.native_connection.set_client_encoding("UTF8")
        with client.begin_transaction(), client.native_connection.cursor() as cursor:
            self._make_room(cursor, table, listed, tuple(values))
            cursor.execute(_COLUMN_TYPES, (table,))
            if takes(schema, dict(cursor.fetchall())):
                cursor.copy_expert(f"{copy} (FORMAT binary)", Stream(binary_rows(rows)), CHUNK_BYTES)
            else:
                form = "(FORMAT csv, NULL '', ENCODING 'UTF8')"
                cursor.copy_expert(f"{copy} {form}", Stream(csv_rows(rows)), CHUNK_BYTES)

    def _make_room(self, cursor: Any, table: str, keys: str, values: tuple[tuple[Any, ...], ...]) -> None:
        cursor.execute(WAIT_FOR_LOCKS, (LOCK_MILLISECONDS, self.dataset_name))
        # two loads of the same cells would not see one another's new rows, and both keep theirs
        cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SET LOCAL lock_timeout = 0")
        cursor.execute(f"DELETE FROM {table} WHERE ({keys}) IN %s", (values,))  # noqa: S608

    def wait_for_table(self, attempt: Any, tables: Sequence[str]) -> None:
        """Try until no other session's lock on a table is in the way.

        Raises:
            TableBusy: patience has ended.
        """
        holders: list[str] = []

        def holder() -> str:
            holders.append(self._holder(tables))
            return holders[0]

        what = f"another session has a lock in the dataset {self.dataset_name!r} that keeps this load out"
        if not wait_for(attempt, what, holder, self.patience):
            by = f" by {holders[0]}" if holders[0] else ""
            raise TableBusy(
                f"a table of the dataset {self.dataset_name!r} was locked{by} for more than {self.patience:.0f} s; "
                "end that session's transaction and sync again, nothing is lost."
            )

    def _holder(self, tables: Sequence[str]) -> str:
        rows = self.sql_client.execute_sql(
            f"SELECT DISTINCT {HOLDER}, c.relname FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "  # noqa: S608
            "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database IN "
            "(SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND n.nspname = %s AND c.relname IN %s ORDER BY 1, 2",
            self.dataset_name,
            tuple(tables),
        )
        return f"{rows[0][0]}, table {rows[0][1]}" if rows else ""


class CellJob(RunnableLoadJob, HasFollowupJobs):
    """Replaces the rows of a Parquet file's keys by the file's rows, in one transaction, however often it is run."""

    def run(self) -> None:
        job_client = cast(CellClient, self._job_client)
        keys = key_columns(self._load_table)
        file = opened(self._file_path)
        values = key_values(file, keys)
        if not values:
            return
        try:
            job_client.replace(
                self.load_table_name,
                keys,
                values,
                stored_schema(file),
                lambda: rows_to_insert(file, keys, self._load_table),
            )
        except Exception as error:
            # data (22), constraints (23) and limits (54) that are in the way now are at another try too
            if (_sqlstate(error) or "")[:2] in ("22", "23", "54"):
                raise DatabaseTerminalException(error) from error
            raise


@contextmanager
def _locked_out() -> Iterator[list[Exception]]:
    """Gives a list that holds the error afterwards, if a lock could not be had in time."""
    lost: list[Exception] = []
    try:
        yield lost
    except Exception as error:
        if _sqlstate(error) != LOCK_NOT_AVAILABLE and _sqlstate(error.__cause__) != LOCK_NOT_AVAILABLE:
            raise
        lost.append(error)


def _sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's error code, as psycopg2 or ADBC tells it."""
    return getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
