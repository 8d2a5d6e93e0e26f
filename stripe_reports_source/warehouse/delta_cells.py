"""Delta tables on dlt's `filesystem`: the cells of a package replaced in one commit of each table.

In: a pipeline with a normalised package. Out: the package loaded. dlt merges into Delta by primary key alone. Here the
files of a table replace the rows of their keys: delta-rs writes new files, without the old rows and with the new ones,
and a reader sees all of that with the next entry of the table's log, or nothing. A job may run any number of times, and
beside others: a commit that another one has come before is tried again on the newer version.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TLoaderMergeStrategy, TTableSchema
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient, ReferenceFollowupJob

from ..errors import ConfigurationError
from ..plan.columns import TOMBSTONE
from ..plan.texts import text_literal
from .delta_tables import DeltaSqlClient, delta_table, storage_options
from .newest_rows import newest_rows
from .repeatable import StandIn, holds_cells, is_cell_table, key_columns

TRIES = 10
"""Of a commit that others' commits come before."""
ROWS_PER_BATCH = 20_000
KEPT_STATISTICS = "_interval_key,_interval_day,_account"
"""The columns of which a table's log says the least and greatest value of each file: delta-rs writes those of amounts
as floating point numbers, by which a reader may pass over a file that has the amount."""


class CellFilesystem(StandIn, dlt.destinations.filesystem):
    """A `filesystem` destination as the user has set it up, with another way to load cells into Delta tables."""

    several_files = True

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.supported_merge_strategies = ["delete-insert"]
        capabilities.merge_strategies_selector = _of_delta_tables
        return capabilities

    @property
    def client_class(self) -> type[FilesystemClient]:
        return CellClient


def _of_delta_tables(
    supported: Sequence[TLoaderMergeStrategy], /, *, table_schema: TTableSchema
) -> Sequence[TLoaderMergeStrategy]:
    return supported if table_schema.get("table_format") == "delta" else []


class CellClient(FilesystemClient):
    """Gives tables with keys a job of their own and leaves all others to dlt."""

    @property
    def sql_client(self) -> Any:
        if self._sql_client is None:
            self._sql_client = DeltaSqlClient(self, self.dataset_name)
        return self._sql_client

    @sql_client.setter
    def sql_client(self, client: Any) -> None:
        self._sql_client = client

    def verify_schema(
        self, only_tables: Iterable[str] | None = None, new_jobs: Iterable[ParsedLoadJobFileName] | None = None
    ) -> list[PreparedTableSchema]:
        """Called once for each package before anything is loaded.

        Raises:
            ConfigurationError: a table of ours would be plain files.
        """
        for name, table in self.schema.tables.items() if holds_cells(self.schema) else ():
            if key_columns(table) and table.get("table_format") != "delta":
                raise ConfigurationError(
                    f"table {name!r} would be plain files, to which each refresh would add; set table_format='delta'."
                )
        return super().verify_schema(only_tables, new_jobs)  # type: ignore[arg-type]  # dlt's None

    @staticmethod
    def get_reference_followup_job_class(table: PreparedTableSchema) -> type[ReferenceFollowupJob] | None:
        if key_columns(table):
            return CellJob
        return FilesystemClient.get_reference_followup_job_class(table)


class CellJob(ReferenceFollowupJob):
    """Replaces the rows of the keys that a table's files of a package hold, in one commit, however often it is run."""

    def run(self) -> None:
        for number in range(1, TRIES + 1):
            try:
                self._replace()
                return
            except CommitFailedError:
                if number == TRIES:
                    raise
                time.sleep(0.05 * 2**number)

    def _replace(self) -> None:
        files = self._files()
        table = delta_table(self._job_client, self.load_table_name)
        if is_cell_table(self._load_table):
            present = ds.field(TOMBSTONE).is_null() | ~ds.field(TOMBSTONE)
            rows = files.scanner(filter=present, batch_size=ROWS_PER_BATCH).to_reader()
            self._overwrite(table, rows, f'"_interval_key" IN ({_listed(_distinct(files, "_interval_key"))})')
            return
        newest = newest_rows(files.to_table(), self._load_table)
        keys = key_columns(self._load_table)
        if table is None or self._has_groups(keys):
            self._overwrite(table, newest.to_reader(), _groups(newest, keys))
        else:
            _merge(table, newest, keys)

    def _files(self) -> ds.Dataset:
        schemas = [ds.dataset(path).schema for path in self.file_paths]
        return ds.dataset(self.file_paths, schema=pa.unify_schemas(schemas))

    def _has_groups(self, keys: Sequence[str]) -> bool:
        return any(self._load_table["columns"][key].get("merge_key") for key in keys)

    def _overwrite(self, table: DeltaTable | None, rows: pa.RecordBatchReader, predicate: str) -> None:
        client = self._job_client
        if table is None:
            statistics = {"delta.dataSkippingStatsColumns": KEPT_STATISTICS} if is_cell_table(self._load_table) else {}
            configuration = {**statistics, **(client.config.deltalake_configuration or {})}
            location = client.get_open_table_location("delta", self.load_table_name)
            options = storage_options(client)
            write_deltalake(location, rows, mode="error", storage_options=options, configuration=configuration)
        else:
            write_deltalake(table, rows, mode="overwrite", predicate=predicate, schema_mode="merge")


def _merge(table: DeltaTable, rows: pa.Table, keys: Sequence[str]) -> None:
    """Rows of a system table in place of those of the same key, and beside all others."""
    same = " AND ".join(f'old."{key}" = new."{key}"' for key in keys)
    merger = table.merge(rows, predicate=same, source_alias="new", target_alias="old", merge_schema=True)
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def _groups(rows: pa.Table, keys: Sequence[str]) -> str:
    """A condition for all rows that have the same values of the keys as one of these rows."""
    *outer, inner = keys
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for *group, value in zip(*(rows.column(key).to_pylist() for key in keys), strict=True):
        found[tuple(group)].add(value)
    conditions = []
    for of_group, values in found.items():
        parts = [f'"{name}" = {text_literal(value)}' for name, value in zip(outer, of_group, strict=True)]
        conditions.append(" AND ".join([*parts, f'"{inner}" IN ({_listed(values)})']))
    return " OR ".join(f"({condition})" for condition in conditions) or "false"


def _distinct(files: ds.Dataset, column: str) -> set[str]:
    found: set[str] = set()
    for batch in files.to_batches(columns=[column], batch_size=ROWS_PER_BATCH):
        found.update(batch.column(0).unique().to_pylist())
    return found


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(text_literal, sorted(values)))
