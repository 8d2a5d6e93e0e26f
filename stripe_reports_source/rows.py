"""From a report's CSV file to typed Arrow batches, strictly.

In: a file as Stripe writes it (values quoted, NULL bare) and the type of each column. Out: batches whose
values are exactly what the file says. Nothing is inferred: every value is read as text and then has to match
its column's form. NULL (bare empty) and "" (quoted) stay apart in text; in all other types either is NULL.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from .columns import TableColumn
from .errors import RowError

BLOCK_BYTES = 16 << 20
"""Bytes parsed at a time: a batch of some 50,000 rows of a wide report."""

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_FORMS = {
    "decimal": r"^-?[0-9]+(\.[0-9]+)?$",
    "bigint": r"^-?[0-9]{1,19}$",
    "bool": r"^(true|false)$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( 00:00:00)?$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
}
_FORMS["timestamptz"] = _FORMS["timestamp"]


def arrow_type(type_: str) -> pa.DataType:
    """The Arrow type of a column type's name (see `columns.parse_type`)."""
    match = _DECIMAL.fullmatch(type_)
    if match:
        return pa.decimal128(int(match[1]), int(match[2]))
    plain: dict[str, pa.DataType] = {
        "text": pa.string(),
        "bigint": pa.int64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
    return plain[type_]


@dataclass(frozen=True)
class Spool:
    """A parsed file on disk: Arrow IPC batches, complete and checked."""

    path: Path
    columns: tuple[TableColumn, ...]
    rows: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches in file order, read from a memory map."""
        with pa.memory_map(str(self.path)) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)


def spool(
    source: Path,
    target: Path,
    columns_of: Callable[[Sequence[str]], tuple[TableColumn, ...]],
    decimal_separator: str = ".",
) -> Spool:
    """Parse a whole CSV file into an Arrow IPC file, so that nothing of a bad file is ever loaded.

    Args:
        source: a CSV file with a header.
        target: the file to write.
        columns_of: table columns of the header names, same order.
        decimal_separator: the character before the decimal places of numbers.

    Raises:
        RowError: names the line (1 is the header), column and value, shortened, of the first thing that does
            not fit.
    """
    header, has_rows = read_header(source)
    columns = columns_of(header)
    schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
    block = BLOCK_BYTES
    while True:
        rows = 0
        try:
            with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for batch in _typed_batches(source, columns, schema, block, decimal_separator) if has_rows else ():
                    writer.write_batch(batch)
                    rows += batch.num_rows
            return Spool(target, columns, rows)
        except _RowLongerThanBlock:
            block *= 8
        except (pa.ArrowInvalid, _BadValue) as error:
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


class _BadValue(Exception):
    """Some value of a batch does not fit its column."""


class _NulByte(_BadValue):
    """The file has a NUL byte, which Python before 3.11 cannot even read as CSV."""


class _Checked(io.RawIOBase):
    """A file that is checked while it is read for what the CSV parser would let pass: NUL and a quote left open."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        if b"\0" in chunk:
            raise _NulByte
        self.quotes += chunk.count(b'"')
        return chunk

    def close(self) -> None:
        self._file.close()
        super().close()


def _typed_batches(
    source: Path, columns: Sequence[TableColumn], schema: pa.Schema, block: int, point: str
) -> Iterator[pa.RecordBatch]:
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
                arrays = [_typed(values, one.type, point) for values, one in zip(batch.columns, columns, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except pa.ArrowInvalid as error:
            if "straddl" in str(error) and block < source.stat().st_size:
                raise _RowLongerThanBlock from None
            raise
        if file.quotes % 2:
            raise _BadValue("a quote that is opened and never closed")


def _typed(array: pa.Array, type_: str, point: str) -> pa.Array:
    """Text to its column's type; raises for a value that does not have the type's form."""
    if type_ == "text":
        return array
    array = pc.if_else(pc.equal(array, ""), None, array)
    decimal = type_.startswith("decimal")
    if decimal and point != ".":
        array = _with_point(array, point)
    form = _FORMS["decimal" if decimal else type_]
    if not pc.all(pc.match_substring_regex(array, form), min_count=0).as_py():
        raise _BadValue(f"a value that is no {type_}")
    if type_ == "bool":
        return pc.equal(array, "true")
    if type_ == "date":
        array = pc.utf8_slice_codeunits(array, 0, 10)
    if type_ == "timestamptz":
        return array.cast(arrow_type("timestamp")).cast(arrow_type(type_))  # Arrow takes a naive time for UTC here
    return array.cast(arrow_type(type_))


def _with_point(array: pa.Array, separator: str) -> pa.Array:
    """Numbers written with another separator, with a point. One that has a point already stays wrong: it gets two."""
    return pc.replace_substring(pc.replace_substring(array, ".", ".."), separator, ".")


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
            for number, row in enumerate(reader):
                if number >= good_rows and (row or len(columns) == 1):
                    row = row or [""]
                    if len(row) != len(columns):
                        return RowError(f"line {line}: {len(row)} values for {len(columns)} columns.")
                    for value, column in zip(row, columns, strict=True):
                        problem = _problem(value, column.type, point)
                        if problem:
                            shown = value if len(value) <= 40 else f"{value[:40]}..."
                            return RowError(f"line {line}, column {column.header!r}: {shown!r} {problem}.")
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        return RowError(f"byte {error.start} and on: not UTF-8 ({error.reason}).")
    except csv.Error as error:
        return RowError(f"the file is no CSV: {error}.")
    finally:
        csv.field_size_limit(limit)
    return RowError(f"the file holds {cause}." if isinstance(cause, _BadValue) else f"the file is no CSV: {cause}.")


def _problem(value: str, type_: str, point: str) -> str | None:
    if type_ == "text" or not value:
        return None
    decimal = _DECIMAL.fullmatch(type_)
    if decimal and point != ".":
        value = value.replace(".", "..").replace(point, ".")
    if not re.match(_FORMS["decimal" if decimal else type_], value, re.ASCII):
        return f"is no {type_}"
    try:
        if decimal:
            precision, scale = int(decimal[1]), int(decimal[2])
            digits = value.lstrip("-").partition(".")
            if len(digits[2].rstrip("0")) > scale:
                return f"has more than the {scale} decimal places of {type_}"
            return f"is too large for {type_}" if len(digits[0].lstrip("0")) > precision - scale else None
        if type_ == "bigint":
            return None if -(2**63) <= int(value) < 2**63 else "is too large for bigint"
        if type_ != "bool":
            datetime.fromisoformat(value[:19])
    except ValueError:
        return f"is no {type_}"
    return None
