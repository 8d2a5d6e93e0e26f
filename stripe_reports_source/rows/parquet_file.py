"""A cell's tables as one Parquet file that is read once, by a load: cheap to write, and not larger than others.

In: Arrow tables of one form. Out: a file. A dictionary of each column's values, which Parquet writers make by default,
costs more than all else of a file, and values of a report are seldom repeated but in the system columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from ..plan.columns import SYSTEM_COLUMNS


class ParquetFile:
    """A file that is being written, for its owner only; whole at the end of the `with` block.

    Args:
        path: where.
        columns: of the tables, in the order that the file is to have.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.rows = 0
        self.schema = pa.schema([])
        self._columns = list(columns)
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> ParquetFile:
        self.path.touch(mode=0o600)
        return self

    def add(self, table: pa.Table) -> None:
        """Write a table, as a row group."""
        ordered = table.select(self._columns)
        if self._writer is None:
            constant = [name for name in SYSTEM_COLUMNS if name in self._columns]
            self.schema = ordered.schema
            self._writer = pq.ParquetWriter(
                self.path, self.schema, compression="lz4", use_dictionary=constant, write_statistics=False
            )
        self._writer.write_table(ordered)
        self.rows += table.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
