"""The rows of a package's Parquet file as PostgreSQL takes them, a few thousand at a time.

In: a Parquet file of dlt's or of ours, and the table it is for. Out: the keys that it has, and batches of the rows to
insert, as Arrow or as CSV.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ..plan.columns import TOMBSTONE
from .newest_rows import newest_rows

ROWS_PER_BATCH = 8_000


def key_values(file: pq.ParquetFile, keys: Sequence[str]) -> set[tuple[Any, ...]]:
    """The values of the key columns."""
    found: set[tuple[Any, ...]] = set()
    for batch in file.iter_batches(ROWS_PER_BATCH, columns=list(keys), use_threads=False):
        table = pa.Table.from_batches([batch]).group_by(list(keys)).aggregate([])
        found.update(zip(*(table.column(key).to_pylist() for key in keys), strict=True))
    return found


def stored_schema(file: pq.ParquetFile) -> pa.Schema:
    """The columns of a file that are stored: a tombstone never is, so that its column stays NULL."""
    return pa.schema([field for field in file.schema_arrow if field.name != TOMBSTONE])


def rows_to_insert(file: pq.ParquetFile, keys: Sequence[str], table: Any) -> Iterator[pa.RecordBatch]:
    """Batches of rows to insert: without tombstones; of a system table, the last row of each key."""
    if TOMBSTONE not in file.schema_arrow.names:
        yield from newest_rows(file.read(), table, keys).to_batches()
        return
    names = stored_schema(file).names
    # threads of Arrow's own would wait for the database with the rows of all columns in memory
    for batch in file.iter_batches(ROWS_PER_BATCH, use_threads=False):
        tombstones = batch.column(TOMBSTONE)
        rows = batch.select(names)
        yield rows if tombstones.null_count == len(batch) else rows.filter(pc.invert(pc.fill_null(tombstones, False)))


class CsvRows(io.RawIOBase):
    """Batches as CSV, a batch at a time: every text in quotes, so that NULL and "" differ."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._left = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            batch = next(self._batches, None)
            if batch is None:
                return b""
            sink = pa.BufferOutputStream()
            pacsv.write_csv(batch, sink, pacsv.WriteOptions(include_header=False, batch_size=len(batch) or 1))
            self._left = memoryview(sink.getvalue())
        chunk, self._left = self._left[:size], self._left[size:]
        return bytes(chunk)
