"""Delta tables: rows replaced by a predicate, or merged by their keys, in one entry of the table's log.

In: the rows of a package for one table. Out: a commit. delta-rs writes new files, without the old rows and with the new
ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from ..plan.texts import text_literal
from .delta_tables import delta_table, storage_options
from .lake_jobs import KEPT_STATISTICS, CellJob
from .repeatable import is_cell_table


class DeltaJob(CellJob):
    """See the module."""

    conflicts = (CommitFailedError,)

    def replace_cells(self, rows: pa.RecordBatchReader, interval_keys: Sequence[str]) -> None:
        table = delta_table(self._job_client, self.load_table_name)
        self._overwrite(table, rows, f'"_interval_key" IN ({_listed(interval_keys)})')

    def replace_rows(self, rows: pa.Table, keys: Sequence[str]) -> None:
        table = delta_table(self._job_client, self.load_table_name)
        if table is None or self.has_groups(keys):
            self._overwrite(table, rows.to_reader(), _groups(rows, keys))
        else:
            _merge(table, rows, keys)

    def _overwrite(self, table: DeltaTable | None, rows: pa.RecordBatchReader, predicate: str) -> None:
        client = self._job_client
        if table is None:
            listed = {"delta.dataSkippingStatsColumns": ",".join(KEPT_STATISTICS)}
            statistics = listed if is_cell_table(self._load_table) else {}
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


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(text_literal, sorted(values)))
