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

from ..plan.column_types import TEXT
from ..plan.columns import SYSTEM_COLUMNS, TOMBSTONE
from .newest_rows import newest_rows

ROWS_PER_BATCH = 8_000
BUFFER_BYTES = 1 << 16
"""Of a column that are read from a file at once."""
_SHARED = [name for name, (type_, _) in SYSTEM_COLUMNS.items() if type_ == TEXT]


def opened(path: str) -> pq.ParquetFile:
    """A file, whose texts that a cell's rows share are read as dictionaries."""
    shared = [field.name for field in pq.read_schema(path) if field.name in _SHARED and pa.types.is_string(field.type)]
    # by default Arrow reads the whole file into memory first
    return pq.ParquetFile(path, read_dictionary=shared, pre_buffer=False, buffer_size=BUFFER_BYTES)


def key_values(file: pq.ParquetFile, keys: Sequence[str]) -> set[tuple[Any, ...]]:
    """The values of the key columns."""
    found: set[tuple[Any, ...]] = set()
    for batch in file.iter_batches(ROWS_PER_BATCH, columns=list(keys), use_threads=False):
        columns = (column.to_pylist() for column in _unique(batch))
        found.update(zip(*columns, strict=True))
    return found


def _unique(batch: pa.RecordBatch) -> list[pa.Array]:
    """The values of the columns, once each."""
    if batch.num_columns == 1:
        return [pc.unique(batch.column(0))]
    return list(pa.Table.from_batches([batch]).group_by(batch.schema.names).aggregate([]).columns)


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


def csv_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Buffer]:
    """Batches as CSV, a batch at a time: every text in quotes, so that NULL and "" differ."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        pacsv.write_csv(_decoded(batch), sink, pacsv.WriteOptions(include_header=False, batch_size=len(batch) or 1))
        yield sink.getvalue()


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


class Stream(io.RawIOBase):
    """Parts of bytes as a file."""

    def __init__(self, parts: Iterator[Any]) -> None:
        self._parts = parts
        self._left = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._left = memoryview(part)
        chunk, self._left = self._left[:size], self._left[size:]
        return bytes(chunk)
