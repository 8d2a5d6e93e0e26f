"""Where a file that was refused is wrong: the line, the column and what is wrong there, in words.

In: a CSV file, and how many of its rows are known to be right. Out: a `RowError`. Reads record by record and to the
letter of RFC 4180: slow, and only ever done for a header or a file that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import RowError
from ..plan.column_types import ColumnType
from ..plan.columns import TableColumn, is_normal, split_metadata
from ..plan.value_form import value_form
from .values import problem

_BOM = b"\xef\xbb\xbf"
_QUOTED = re.compile(rb'[^"]*(?:""[^"]*)*')
_BARE = re.compile(rb'[^",\r\n]*')
_LINE_ENDS = (b"", b"\n", b"\r\n")
_READ_BYTES = 1 << 20

Row = list[str | None]


class Fault(Exception):
    """What is wrong with a value: at which line, and at which place of its row, counted from 0."""

    def __init__(self, what: str, line: int, place: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.place = place


def records(file: BinaryIO, lines_before: int = 0) -> Iterator[tuple[int, Row]]:
    """The records of a file, each with the line that it begins on. A bare empty value is None.

    Args:
        file: where a record begins.
        lines_before: how many lines there are before.

    Raises:
        Fault: a record is not CSV, or not text.
    """
    reader = _Reader(file, lines_before)
    while line := reader.next_line():
        yield reader.number, reader.row(line)


class _Reader:
    """Takes a file apart, line by line."""

    def __init__(self, file: BinaryIO, lines_before: int) -> None:
        self._file = file
        self.number = lines_before

    def next_line(self) -> bytes:
        """The next line with its end; empty after the last."""
        line = self._file.readline()
        self.number += 1
        return line.removeprefix(_BOM) if self.number == 1 else line

    def row(self, line: bytes) -> Row:
        """The values of the record that begins with this line, which may go on over the next ones."""
        begun, at = self.number, 0
        values: Row = []
        while True:
            number, quoted = self.number, line[at : at + 1] == b'"'
            if quoted:
                content, line, at = self._quoted(line, at + 1)
            else:
                content = _BARE.match(line, at)[0]  # type: ignore[index]  # it matches nothing at least
                at += len(content)
            text = _text(content, number, len(values))
            if not line:
                raise Fault(_OPEN, begun, len(values))
            mark = line[at : at + 1]
            if mark != b"," and line[at:] not in _LINE_ENDS:
                what = _RETURN if mark == b"\r" else _AFTER_QUOTE if quoted else _QUOTE_IN_BARE
                raise Fault(what, begun, len(values))
            values.append(text if quoted or text else None)
            if mark != b",":
                return values
            at += 1

    def _quoted(self, line: bytes, at: int) -> tuple[bytes, bytes, int]:
        """What stands up to the closing quote, its line (empty if there is no such quote), and where that goes on."""
        parts = []
        while True:
            part = _QUOTED.match(line, at)[0]  # type: ignore[index]  # it matches nothing at least
            parts.append(part)
            at += len(part)
            if at < len(line) or not line:
                return b"".join(parts).replace(b'""', b'"'), line, at + 1
            line, at = self.next_line(), 0


_OPEN = "a quote is opened and never closed"
_AFTER_QUOTE = "text after a closing quote; a quote inside a value has to be doubled"
_QUOTE_IN_BARE = "a quote inside a value that is not quoted"
_RETURN = "a carriage return without a line feed"
_NUL = "a NUL byte, which no text of Stripe's holds"


def _text(content: bytes, number: int, place: int) -> str:
    if b"\0" in content:
        raise Fault(_NUL, number + content[: content.index(b"\0")].count(b"\n"), place)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = number + content[: error.start].count(b"\n")
        raise Fault(f"not UTF-8 ({error.reason})", line, place) from None


def read_header(path: Path) -> tuple[list[str], int]:
    """The header names of a file, and how many bytes it takes: where the rows begin.

    Raises:
        RowError: the file is empty, the header is not right, has a nameless column or one name twice.
    """
    with path.open("rb") as file:
        try:
            header = next(records(file), (1, [None]))[1]
        except Fault as fault:
            raise RowError(f"line {fault.line}: the header cannot be read ({fault.what}).") from None
        begin = file.tell()
    if header == [None]:
        raise RowError("line 1: the file is empty; a report has at least a header.")
    names = [name or "" for name in header]
    for name in names:
        if not name:
            raise RowError("line 1: a column has no name.")
        if names.count(name) > 1:
            shown = repr(name) if is_normal(name) or split_metadata(name) else value_form(name)
            raise RowError(f"line 1: column {shown} stands there twice.")
    return names, begin


def first_fault(
    path: Path, begin: int, names: Sequence[str], columns: Sequence[TableColumn], decimal_separator: str
) -> RowError:
    """The first thing in a file that does not fit.

    Args:
        path: a file with a header that was read.
        begin: the byte at which a row begins. All before it is right.
        names: of the header.
        columns: those whose values have a type.
        decimal_separator: the character before decimal places.
    """
    types = {column.header: column.type for column in columns}
    with path.open("rb") as file:
        lines_before = _lines(file, begin)
        try:
            for line, row in records(file, lines_before):
                wrong = _fault_of_row(row, names, types, decimal_separator)
                if wrong:
                    return RowError(f"line {line}{wrong}.")
        except Fault as fault:
            column = f", column {names[fault.place]!r}" if fault.place < len(names) else ""
            return RowError(f"line {fault.line}{column}: {fault.what}.")
    return RowError(f"line {lines_before + 1} and on: the rows cannot be read, though each of them is right.")


def _fault_of_row(
    row: Row, names: Sequence[str], types: Mapping[str, ColumnType], decimal_separator: str
) -> str | None:
    if row == [None] and len(names) > 1:
        return None  # an empty line
    if len(row) != len(names):
        return f": {len(row)} values for {len(names)} columns"
    for name, value in zip(names, row, strict=True):
        wrong = problem(value or "", types[name], decimal_separator) if name in types else None
        if wrong:
            return f", column {name!r}: {value_form(value or '')} {wrong}"
    return None


def _lines(file: BinaryIO, end: int) -> int:
    """The lines of a file up to a byte, to which it is read."""
    lines = 0
    while left := end - file.tell():
        lines += file.read(min(left, _READ_BYTES)).count(b"\n")
    return lines
