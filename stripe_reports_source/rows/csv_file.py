"""From a report's CSV file to typed Arrow batches, strictly, in constant memory.

In: a file as Stripe writes it (values quoted, NULL bare) and the type of each column. Out: batches whose
values are exactly what the file says. Nothing is inferred: every value is read as text and then has to match
its column's form (see `values`). NULL (bare empty) and "" (quoted) stay apart in text; in all other types either is
NULL.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from ..errors import RowError
from ..plan.columns import TableColumn
from ..plan.settings import ParsePolicy
from .values import BadValue, arrow_type, problem, typed

_QUOTE = ord('"')


def typed_batches(
    source: Path,
    columns: Sequence[TableColumn],
    decimal_separator: str = ".",
    block_bytes: int = ParsePolicy.block_bytes,
) -> Iterator[pa.RecordBatch]:
    """The typed rows of a CSV file, a few thousand at a time.

    Args:
        source: a CSV file with a header.
        columns: the table columns of its header names, same order.
        decimal_separator: the character before the decimal places of numbers.
        block_bytes: how much is parsed at a time. A row that is longer is parsed in larger blocks.

    Raises:
        RowError: names the line (1 is the header), column and value, shortened, of the first thing that does
            not fit. Batches before it may have been given out by then.
    """
    if not read_header(source)[1]:
        return
    block, rows = block_bytes, 0
    while True:
        skip = rows
        try:
            for batch in _parsed(source, columns, block, decimal_separator):
                if skip < batch.num_rows:
                    rows += batch.num_rows - skip
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)
            return
        except _RowLongerThanBlock:
            block *= 8
        except (pa.ArrowInvalid, BadValue) as error:
            raise _locate(source, columns, rows, error, decimal_separator) from None


def read_header(path: Path) -> tuple[list[str], bool]:
    """The header names of a file, and whether anything follows the header.

    Raises:
        RowError: the file is empty, the header is not UTF-8, has a nameless column or one name twice.
    """
    try:
        # surrogateescape: decoding runs ahead of the header, and bad bytes further on have their own error
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            header = next(csv.reader(lines, strict=True), [])
            has_rows = lines.read(1) != ""
        "".join(header).encode()
    except (UnicodeEncodeError, csv.Error) as error:
        raise RowError(f"line 1: the header cannot be read ({error}).") from None
    if not header:
        raise RowError("line 1: the file is empty; a report has at least a header.")
    for name in header:
        if not name:
            raise RowError("line 1: a column has no name.")
        if header.count(name) > 1:
            raise RowError(f"line 1: column {name!r} stands there twice.")
    return header, has_rows


class _RowLongerThanBlock(Exception):
    """Parse again with larger blocks."""


class _NulByte(BadValue):
    """The file has a NUL byte, which Python before 3.11 cannot even read as CSV."""


class _Checked(io.RawIOBase):
    """A file that is checked while it is read for what the CSV parser would let pass: NUL and a quote left open.

    Arrow reads ahead in a thread of its own, which goes on for a moment where a parse ends early. Closing waits for it:
    the system gives the descriptor to whatever is opened next, and a late read would take bytes away from that.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with self._lock:
            chunk = self._file.read(size)
        if b"\0" in chunk:
            raise _NulByte
        self.quotes += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == _QUOTE))  # bytes.count is slow here
        return chunk

    def close(self) -> None:
        with self._lock:
            self._file.close()
        super().close()


def _parsed(source: Path, columns: Sequence[TableColumn], block: int, point: str) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
    with closing(_Checked(source)) as file:
        try:
            reader = pacsv.open_csv(
                file,
                read_options=pacsv.ReadOptions(block_size=block, use_threads=False),
                # a line feed inside quotes belongs to its value; an empty line is a row only of a one-column file
                parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(columns) > 1),
                convert_options=pacsv.ConvertOptions(
                    column_types={column.header: pa.string() for column in columns},
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                ),
            )
            for batch in reader:
                arrays = [
                    typed(values, column.type, point) for values, column in zip(batch.columns, columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except pa.ArrowInvalid as error:
            too_long = any(words in str(error) for words in ("straddl", "cannot infer number of columns"))
            if too_long and block < source.stat().st_size:
                raise _RowLongerThanBlock from None
            raise
        if file.quotes % 2:
            raise BadValue("a quote that is opened and never closed")


def _locate(source: Path, columns: Sequence[TableColumn], good_rows: int, cause: Exception, point: str) -> RowError:
    """Find the first thing that does not fit, row by row. Slow, and only ever done for a file that is refused."""
    if isinstance(cause, _NulByte):
        with source.open("rb") as raw:
            line = next(number for number, text in enumerate(raw, 1) if b"\0" in text)
        return RowError(f"line {line}: a NUL byte, which no text of Stripe's holds.")
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with source.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            next(reader)
            line = reader.line_num + 1
            number = 0
            for row in reader:
                if row or len(columns) == 1:
                    row = row or [""]
                    if number >= good_rows:
                        if len(row) != len(columns):
                            return RowError(f"line {line}: {len(row)} values for {len(columns)} columns.")
                        for value, column in zip(row, columns, strict=True):
                            wrong = problem(value, column.type, point)
                            if wrong:
                                shown = value if len(value) <= 40 else f"{value[:40]}..."
                                return RowError(f"line {line}, column {column.header!r}: {shown!r} {wrong}.")
                    number += 1
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        return RowError(f"byte {error.start} and on: not UTF-8 ({error.reason}).")
    except csv.Error as error:
        return RowError(f"the file is not CSV: {error}.")
    finally:
        csv.field_size_limit(limit)
    return RowError(f"the file holds {cause}." if isinstance(cause, BadValue) else f"the file is not CSV: {cause}.")
