"""What loading jobs of our own have in common: which files they take, and how a begun package is given up.

In: dlt's tables, job files and load packages. Out: a base for clients of dlt's destinations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination import Destination, DestinationCapabilitiesContext
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.pipeline import PipelineContext
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema, TSchemaTables
from dlt.common.schema.utils import get_nested_tables
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.storages.load_package import (
    LoadJobInfo,
    LoadPackageStateInjectableContext,
    ParsedLoadJobFileName,
    commit_load_package_state,
)
from dlt.destinations.job_client_impl import SqlJobClientBase

from ..plan.columns import TOMBSTONE
from ..plan.system_tables import SYSTEM_TABLES, TIE_OUT
from .passed_rows import ROW_ID
from .quoted_values import quote_no_values
from .whole_files import whole_files

_NEW_ID = {
    "duckdb": "CAST(gen_random_uuid() AS VARCHAR)",
    "postgres": "CAST(gen_random_uuid() AS VARCHAR)",
    "mysql": "uuid()",
}
"""SQL for another id in each row, by sqlglot's names of dialects."""
_SYSTEM_NAMES = frozenset(table.name for table in SYSTEM_TABLES)


class StandIn(Destination[Any, Any]):
    """A destination that stands in for the one of a class above it that the user has set up."""

    usual: Any
    several_files: bool = False
    """True if each file of whole cells is loaded as it is, however many a package has of a table."""
    writes_straight: bool = False
    """True if its client has `replace_rows`, by which rows go into a table without a load package."""

    @classmethod
    def instead_of(cls, usual: Any, **config: Any) -> Any:
        """The same destination, with jobs of our own.

        Args:
            usual: as the user has set it up.
            config: settings of dlt's that it gets beside the user's.
        """
        own = cls.__new__(cls)
        own.__dict__.update(usual.__dict__, usual=usual, config_params={**usual.config_params, **config})
        return own

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Until the end of the block, dlt's configuration of it need not be looked up again for each client."""
        yield

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities: DestinationCapabilitiesContext = super()._raw_capabilities()  # type: ignore[safe-super]  # of dlt's class
        if capabilities.supports_ddl_transactions:
            # dlt leaves it open, and would run the merges of tables without a word like `create` one by one
            capabilities.supports_transactions = True
        return capabilities

    @property
    def destination_type(self) -> str:
        # kept in the pipeline's state: it stays that kind of destination for whoever opens the pipeline next
        return str(self.usual.destination_type)

    def __eq__(self, other: object) -> bool:
        # so that `pipeline.run(..., destination=...)`, which dlt hands on to its load step, changes nothing
        return other is self or other is self.usual or other in (self.destination_name, self.destination_type)

    def __hash__(self) -> int:
        return id(self)


class RepeatableClient(SqlJobClientBase):
    """What dlt's clients need so that a load that ends anywhere, and is begun again by anyone, doubles nothing.

    dlt 1.31 goes on with a begun package job by job, and a job of its own that had ended in the database and not on
    disk fills the staging table a second time. So a package asks dlt, in dlt's own words, to be aborted, for as long
    as it is begun and not complete: plain `pipeline.run` then aborts it and the run after that extracts it again.
    """

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        super().initialize_storage(truncate_tables)  # type: ignore[arg-type]  # dlt's None
        if holds_cells(self.schema):
            _ask_for_abort(True)

    def update_stored_schema(
        self,
        only_tables: Iterable[str] | None = None,
        expected_update: TSchemaTables | None = None,
        force: bool = False,
    ) -> TSchemaTables | None:
        """Make what is missing of the tables, also what was dropped by hand where no load is known to have ended.

        dlt goes by the schema that is stored. Where loads have ended, we look before anything is extracted.
        """
        anew = holds_cells(self.schema) and _at_work().first_run
        made = super().update_stored_schema(only_tables, expected_update, force or anew)  # type: ignore[arg-type]
        if not getattr(self, "in_staging_dataset_mode", False):
            self._give_row_ids(only_tables)
        return made

    def _give_row_ids(self, only_tables: Iterable[str] | None) -> None:
        """Give dlt's ids to rows without one in tables with nested ones: by them dlt 1.31 deletes what it replaces."""
        new_id = _NEW_ID.get(self.capabilities.sqlglot_dialect or "")
        for name in self.schema.tables if only_tables is None else only_tables:
            table: Any = self.schema.tables.get(name)
            if table is None or not new_id or not is_cell_table(table) or self.stands_alone(table):
                continue
            if ROW_ID in table["columns"]:
                stored, column = (
                    self.sql_client.make_qualified_table_name(name),
                    self.sql_client.escape_column_name(ROW_ID),
                )
                self.sql_client.execute_sql(f"UPDATE {stored} SET {column} = {new_id} WHERE {column} IS NULL")  # noqa: S608

    def _make_add_column_sql(
        self, new_columns: Sequence[TColumnSchema], table: PreparedTableSchema | None = None
    ) -> list[str]:
        """Columns that a table gets later may be NULL, as they are in its rows: DuckDB adds no others.

        dlt's own `_dlt_id` is such a column, where the rows of a step of the user's come after emptied cells.
        """
        columns: list[TColumnSchema] = [{**column, "nullable": True} for column in new_columns]
        return super()._make_add_column_sql(columns, table)  # type: ignore[arg-type]  # dlt's None

    def prepare_load_job_execution(self, job: RunnableLoadJob) -> None:
        super().prepare_load_job_execution(job)
        quote_no_values(job)

    def stands_alone(self, table: PreparedTableSchema) -> bool:
        """False for a table with nested ones, which a step's lists are put into: dlt replaces all of them together."""
        return len(get_nested_tables(self.schema.tables, str(table["name"]))) <= 1

    def complete_load(self, load_id: str) -> None:
        super().complete_load(load_id)
        if holds_cells(self.schema):
            _ask_for_abort(False)


def _ask_for_abort(wanted: bool) -> None:
    try:
        state: Any = dlt.current.load_package_state()["state"]
        pipeline = _at_work()
    except CurrentLoadPackageStateNotAvailable:
        return  # no package is being loaded
    if state.get("abort_requested", False) == wanted:
        return
    pending = [*pipeline.list_normalized_load_packages(), *pipeline.list_extracted_load_packages()]
    # an abort takes younger packages along, which may be another source's, with nothing to extract again from
    if not wanted or len(pending) == 1:
        state["abort_requested"] = wanted
        commit_load_package_state()


def _at_work() -> Any:
    """The pipeline that loads. As `dlt.current.pipeline()`, which looks up the configuration of a new one first."""
    return Container()[PipelineContext].pipeline()


def holds_cells(schema: Schema) -> bool:
    """True for the schema of a source of ours."""
    return any(is_cell_table(table) for table in schema.tables.values())


def is_cell_table(table: Any) -> bool:
    """True for a table of a report, whose rows are replaced cell by cell."""
    return table.get("write_disposition") == "merge" and bool(table["columns"].get(TOMBSTONE, {}).get("hard_delete"))


def key_columns(table: Any) -> list[str]:
    """The columns whose values say which rows a file replaces; empty for tables that are not of ours."""
    in_groups = is_cell_table(table) or table.get("name") == TIE_OUT.name
    hint = "merge_key" if in_groups else "primary_key" if table.get("name") in _SYSTEM_NAMES else None
    return [name for name, column in table["columns"].items() if hint and column.get(hint)]


def package_folder() -> Path:
    """The folder of the package that is being loaded."""
    package = Container()[LoadPackageStateInjectableContext]
    return Path(package.storage.storage.make_full_path(package.storage.get_package_path(package.load_id)))


def whole_in(file_path: str) -> bool:
    """True if a job's file is Parquet, and no other file of its table in its package has rows of its cells."""
    return whole_files(Path(file_path).parent.parent, ParsedLoadJobFileName.parse(file_path).table_name)


def loaded_whole(jobs: Sequence[LoadJobInfo] | None) -> bool:
    """True if the jobs that have filled a table were of the kind that `whole_in` means."""
    of_tables = {(Path(job.file_path).parent.parent, job.job_file_info.table_name) for job in jobs or ()}
    return bool(of_tables) and all(whole_files(package, table) for package, table in of_tables)
