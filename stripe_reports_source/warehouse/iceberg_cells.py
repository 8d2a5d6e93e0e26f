"""Iceberg tables: files with rows of the keys give way to others without them, in one snapshot with the new rows.

In: the rows of a package for one table. Out: a commit. pyiceberg's own overwrite makes two snapshots, of which the
first lacks the rows, and holds them all in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import In
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from .iceberg_tables import CONFLICTS, batches_of, commit, data_files, iceberg_table, new_iceberg_table, rows_of
from .lake_jobs import KEPT_STATISTICS, CellJob


class IcebergJob(CellJob):
    """See the module."""

    conflicts = CONFLICTS

    def replace_cells(self, rows: pa.RecordBatchReader, interval_keys: Sequence[str]) -> None:
        table = iceberg_table(self._job_client, self.load_table_name)
        if table is None:
            kept = {f"write.metadata.metrics.column.{name}": "full" for name in KEPT_STATISTICS}
            table = new_iceberg_table(self._job_client, self.load_table_name, rows.schema, kept)
        keys = pa.array(interval_keys, pa.string())
        gone = [file for file in data_files(table, In("_interval_key", interval_keys)) if _has(table, file, keys)]
        commit(table, gone, [_others(table, gone, keys), rows], rows.schema)

    def replace_rows(self, rows: pa.Table, keys: Sequence[str]) -> None:
        """System tables are small: the table gets one new file."""
        table = iceberg_table(self._job_client, self.load_table_name)
        if table is None:
            table = new_iceberg_table(self._job_client, self.load_table_name, rows.schema, {})
            commit(table, [], [rows.to_batches()], rows.schema)
            return
        gone = data_files(table)
        stored = rows_of(table, gone, schema_to_pyarrow(table.schema())).read_all()
        new = set(_values(rows, keys))
        others = stored.filter(pa.array([values not in new for values in _values(stored, keys)], pa.bool_()))
        commit(table, gone, [[*others.to_batches(), *rows.to_batches()]], rows.schema)


def _has(table: Table, file: DataFile, keys: pa.Array) -> bool:
    column = pa.schema([pa.field("_interval_key", pa.string())])
    return any(
        pc.any(pc.is_in(batch.column(0), keys)).as_py() for batch in batches_of(table, file, column) if batch.num_rows
    )


def _others(table: Table, files: Sequence[DataFile], keys: pa.Array) -> Iterator[pa.RecordBatch]:
    """The rows of files that are of other cells."""
    schema = schema_to_pyarrow(table.schema())
    for batch in rows_of(table, files, schema):
        of_keys = pc.is_in(batch.column("_interval_key").cast(pa.string()), keys)
        yield batch.filter(pc.invert(of_keys))


def _values(rows: pa.Table, keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(rows.column(key).to_pylist() for key in keys), strict=True)
