"""Delta and Iceberg tables on dlt's `filesystem`: a destination that replaces cells in one commit of each table.

In: a destination as the user has set it up. Out: one whose jobs are `delta_cells` and `iceberg_cells`. dlt merges into
such tables by primary key alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dlt
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TLoaderMergeStrategy, TTableSchema
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient, ReferenceFollowupJob

from ..errors import ConfigurationError
from ..plan.settings import TABLE_FORMATS
from .lake_tables import LakeSqlClient
from .repeatable import StandIn, holds_cells, key_columns


class CellFilesystem(StandIn, dlt.destinations.filesystem):
    """A `filesystem` destination as the user has set it up, with another way to load cells into open tables."""

    several_files = True

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.supported_merge_strategies = ["delete-insert"]
        capabilities.merge_strategies_selector = _of_open_tables
        return capabilities

    @property
    def client_class(self) -> type[FilesystemClient]:
        return CellClient


def _of_open_tables(
    supported: Sequence[TLoaderMergeStrategy], /, *, table_schema: TTableSchema
) -> Sequence[TLoaderMergeStrategy]:
    return supported if table_schema.get("table_format") in TABLE_FORMATS else []


class CellClient(FilesystemClient):
    """Gives tables with keys a job of their own and leaves all others to dlt."""

    @property
    def sql_client(self) -> Any:
        if self._sql_client is None:
            self._sql_client = LakeSqlClient(self, self.dataset_name)
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
            if key_columns(table) and table.get("table_format") not in TABLE_FORMATS:
                raise ConfigurationError(
                    f"table {name!r} would be plain files, to which each refresh would add; set table_format='delta' "
                    "or 'iceberg'."
                )
        return super().verify_schema(only_tables, new_jobs)  # type: ignore[arg-type]  # dlt's None

    @staticmethod
    def get_reference_followup_job_class(table: PreparedTableSchema) -> type[ReferenceFollowupJob] | None:
        if not key_columns(table):
            return FilesystemClient.get_reference_followup_job_class(table)
        if table.get("table_format") == "iceberg":
            from .iceberg_cells import IcebergJob  # an extra

            return IcebergJob
        from .delta_cells import DeltaJob  # an extra

        return DeltaJob
