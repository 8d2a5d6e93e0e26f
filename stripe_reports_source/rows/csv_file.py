"""From a report's CSV file to typed Arrow batches, strictly, in constant memory.

In: a file as Stripe writes it (values quoted, NULL bare) and the type of each column. Out: batches whose
values are exactly what the file says. Nothing is inferred: every value is read as text and then has to match
its column's form (see `values`). NULL (bare empty) and "" (quoted) stay apart in text; in all other types either is
NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from ..errors import RowError
from ..plan.columns import TableColumn
from ..plan.settings import ParsePolicy
from .places import first_fault, read_header
from .strict import StrictRows
from .values import BadValue, arrow_type, typed

_BOM = b"\xef\xbb\xbf"


def typed_batches(
    source: Path,
    columns: Sequence[TableColumn],
    decimal_separator: str = ".",
    block_bytes: int = ParsePolicy.block_bytes,
    ahead: Callable[[Iterator[Block]], Iterator[Block]] = iter,
    opened: Callable[[], FileIO] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The typed rows of a CSV file, a few thousand at a time.

    Args:
        source: a CSV file with a header.
        columns: of the table, by the header names of the file, in its order. Other columns of the file are passed over.
        decimal_separator: the character before the decimal places of numbers.
        block_bytes: how much is parsed at a time. A row that is longer is parsed in a larger block.
        ahead: given the blocks as text, gives them again: it may take them while the ones before are typed.
        opened: opens a file of which the header is there, and all else comes while it is read. What does not fit is
            not looked for in it: its error names no place.

    Raises:
        RowError: names the line (1 is the header, a row's is its first), the column and the form of the value that
            does not fit, first of all. Batches before it may have been given out by then.
    """
    schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
    names, begin = read_header(source)
    opens = opened or partial(FileIO, source)
    for block in ahead(_blocks(opens, names, begin, columns, block_bytes)):
        try:
            if block.batches is None:
                raise BadValue("not CSV")
            found = [_typed(batch, columns, schema, decimal_separator) for batch in block.batches]
        except (pa.ArrowInvalid, BadValue):
            if opened is not None:
                raise RowError("a row does not fit, in a file that is not known to be whole.") from None
            raise first_fault(source, block.begin, names, columns, decimal_separator) from None
        yield from found


@dataclass(frozen=True)
class Block:
    """Whole rows of a file as text: the byte at which they begin, and their batches; None where they are not CSV."""

    begin: int
    batches: Sequence[pa.RecordBatch] | None


def _blocks(
    opens: Callable[[], FileIO], names: Sequence[str], begun: int, columns: Sequence[TableColumn], block_bytes: int
) -> Iterator[Block]:
    """The rows of a file from a byte on; none after those that are not CSV."""
    strict, size = StrictRows(), block_bytes
    with opens() as file:
        while True:
            file.seek(begun)
            chunk = file.read(size)
            if not chunk:
                return
            whole = strict.whole(chunk, last=len(chunk) < size)
            if whole == 0:
                size *= 8
                continue
            try:
                batches = None if whole is None else _parsed(memoryview(chunk)[:whole], names, columns)
            except pa.ArrowInvalid:
                batches = None
            yield Block(begun, batches)
            if batches is None or whole is None:
                return
            begun, size = begun + whole, block_bytes


def _parsed(rows: memoryview, names: Sequence[str], columns: Sequence[TableColumn]) -> list[pa.RecordBatch]:
    """Whole rows as text. They are one block: where blocks meet Arrow loses line feeds (apache/arrow#51368)."""
    one_column = len(names) == 1
    if not one_column and not bytes(rows[:1]).strip(b"\r\n") and not bytes(rows).strip(b"\r\n"):
        return []  # empty lines
    marked = bytes(rows[:3]) == _BOM  # which belongs to a value, as the file's own was before its header
    content = pa.py_buffer(_BOM + bytes(rows) if marked else rows)
    table = pacsv.read_csv(
        pa.BufferReader(content),
        read_options=pacsv.ReadOptions(block_size=content.size + 1, use_threads=False, column_names=names),
        # an empty line is a row only of a one-column file
        parse_options=pacsv.ParseOptions(ignore_empty_lines=not one_column),
        convert_options=pacsv.ConvertOptions(
            include_columns=[column.header for column in columns],
            column_types={column.header: pa.string() for column in columns},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    batches: list[pa.RecordBatch] = table.to_batches()
    return batches


def _typed(
    batch: pa.RecordBatch, columns: Sequence[TableColumn], schema: pa.Schema, decimal_separator: str
) -> pa.RecordBatch:
    arrays = [
        typed(values, column.type, decimal_separator) for values, column in zip(batch.columns, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
