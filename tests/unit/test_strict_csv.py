"""CSV to the letter: every byte comes through as it is written, or the file is refused and the line named."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stripe_reports_source.errors import RowError
from stripe_reports_source.plan.column_types import TEXT
from stripe_reports_source.plan.columns import TableColumn
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.rows.csv_file import typed_batches
from stripe_reports_source.rows.places import first_fault, read_header
from stripe_reports_source.rows.strict import StrictRows

VALUE = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
STRICT = re.compile(rf"(?:{VALUE}(?:,{VALUE})*\r?\n)*(?:{VALUE}(?:,{VALUE})*)?")
ROWS = re.compile(rf"{VALUE}(?:,{VALUE})*\r?\n")
HEADER = '"x","y"\n'

values = st.none() | st.text('a",\r\né😀', max_size=6)
rows = st.lists(st.tuples(values, values), max_size=6)


def written(row: tuple[str | None, ...], end: str) -> str:
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in row) + end


def parse(folder: Path, content: bytes, block: int = ParsePolicy.block_bytes) -> list[tuple[str | None, ...]]:
    source = folder / "in.csv"
    source.write_bytes(content)
    columns = [TableColumn(name, name, TEXT, "") for name in read_header(source)[0]]
    batches = typed_batches(source, columns, block_bytes=block)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def refusal(folder: Path, content: bytes, block: int = ParsePolicy.block_bytes) -> str:
    with pytest.raises(RowError) as caught:
        parse(folder, content, block)
    return str(caught.value)


def is_strict(content: str) -> bool:
    """By a grammar, and with two values in each line that is not empty."""
    if not STRICT.fullmatch(content):
        return False
    return all(len(row) in (0, 2) for row in csv.reader(io.StringIO(content, newline=""), strict=True))


@given(rows, st.sampled_from(["\n", "\r\n"]), st.integers(16, 80))
def test_what_is_written_comes_through_wherever_blocks_meet(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str | None, ...]], end: str, block: int
) -> None:
    content = HEADER + "".join(written(row, end) for row in table)
    assert parse(tmp_path_factory.mktemp("strict"), content.encode(), block) == table


@settings(max_examples=400)
@given(rows, st.data(), st.integers(16, 80))
def test_a_spoiled_file_is_read_as_it_is_written_or_refused(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str | None, ...]], data: st.DataObject, block: int
) -> None:
    content = "".join(written(row, "\n") for row in table)
    for _ in range(data.draw(st.integers(1, 2))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 1)))
        content = content[:start] + data.draw(st.text('a",\r\n\0', max_size=2)) + content[end:]
    folder = tmp_path_factory.mktemp("spoiled")
    file = (HEADER + content).encode()
    if "\0" not in content and is_strict(content):
        expected = [tuple(row) for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row]
        found = [tuple(value or "" for value in row) for row in parse(folder, file, block)]
        assert found == expected
    else:
        assert re.match(r"line \d+[,:]", refusal(folder, file, block))


def row_ends(content: str) -> list[int]:
    """Where the rows end that follow one another from the start on."""
    ends: list[int] = []
    while row := ROWS.match(content, ends[-1] if ends else 0):
        ends.append(row.end())
    return ends


@settings(max_examples=400)
@given(st.text('a",\n\r', max_size=150), st.integers(1, 200))
@example('"' * 64 + ",", 64)
@example("a" * 63 + "\r\n" + '"' + "\r" * 62 + '"', 64)
@example("a\r", 200)
@example('aaa\n"\n', 6)
@example('aa\n\n"\n"', 3)
def test_the_quick_look_says_what_the_grammar_says(content: str, size: int) -> None:
    strict, file, begun, length = StrictRows(), content.encode(), 0, size
    ends = row_ends(content)
    right, csv_to_the_letter = True, STRICT.fullmatch(content) is not None
    while right and (chunk := file[begun : begun + length]):
        whole = strict.whole(chunk, last=len(chunk) < length)
        right = whole is not None
        if whole and len(chunk) == length and csv_to_the_letter:  # else what a row is cannot be told
            assert begun + whole == max(end for end in ends if end <= begun + length)
        begun, length = begun + (whole or 0), size if whole else length + 1
    assert right == csv_to_the_letter


@pytest.mark.parametrize("shift", range(-2, 3))
@pytest.mark.parametrize("block", [1 << 10, 1 << 16, ParsePolicy.block_bytes])
def test_a_line_end_inside_quotes_at_a_blocks_end(tmp_path: Path, block: int, shift: int) -> None:
    head = '"x","y"\n"1","'
    note = "z" * (block - 1 - len(head) + shift) + "A\r\nB"
    assert parse(tmp_path, f'{head}{note}"\r\n"2",\r\n'.encode(), block) == [("1", note), ("2", None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'"a"b,"c"\n', "line 3, column 'x': text after a closing quote; a quote inside a value has to be doubled."),
        (b'"1","Order "blue" shirt"\n', "line 3, column 'y': text after a closing quote"),
        (b'"1" ,"2"\n', "line 3, column 'x': text after a closing quote"),
        (b'a"b,"c"\n', "line 3, column 'x': a quote inside a value that is not quoted."),
        (b'"1", "2"\n', "line 3, column 'y': a quote inside a value that is not quoted."),
        (b'"1","2"\r"3","4"\n', "line 3, column 'y': a carriage return without a line feed."),
        (b'1,2\r\r\n"3","4"\n', "line 3, column 'y': a carriage return without a line feed."),
        (b'"1","2"\r', "line 3, column 'y': a carriage return without a line feed."),
        (b'"1","2\n3', "line 3, column 'y': a quote is opened and never closed."),
        (b'"1","2\n\xff"\n', "line 4, column 'y': not UTF-8 (invalid start byte)."),
        (b'"1",\xed\xa0\x80\n', "line 3, column 'y': not UTF-8 (invalid continuation byte)."),
        (b'"1","2","\xc3\n"\n', "line 3: not UTF-8 (invalid continuation byte)."),
        (b'"1\n","2\n\0"\n', "line 5, column 'y': a NUL byte, which no text of Stripe's holds."),
        (b'"1"\n', "line 3: 1 values for 2 columns."),
    ],
)
@pytest.mark.parametrize("good_rows", [1, 5_000])
def test_refusals_name_the_place(tmp_path: Path, line: bytes, message: str, good_rows: int) -> None:
    start = b'"x","y"\r\n' + b'"plain","text"\n' * (good_rows - 1) + b'"over two","lines ""\n"\n'
    found = refusal(tmp_path, start + line, 1 << 12)
    number, rest = re.fullmatch(r"line (\d+)(.*)", message, re.DOTALL).groups()  # type: ignore[union-attr]
    assert found.startswith(f"line {int(number) + good_rows}{rest}")


def test_a_byte_order_mark_is_one(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert parse(tmp_path, mark + b'"x"\n"1"\n') == [("1",)]
    assert parse(tmp_path, mark + b"x\n1\n") == [("1",)]
    assert "quote inside a value that is not quoted" in refusal(tmp_path, mark + mark + b'"x"\n"1"\n')


def test_a_byte_order_mark_may_begin_a_value(tmp_path: Path) -> None:
    """Wherever its row stands in a block."""
    table = [(f"\ufeff{number}", "x") for number in range(40)]
    content = HEADER + "".join(f"{first},{second}\n" for first, second in table)
    assert parse(tmp_path, content.encode(), 32) == table


def test_empty_lines(tmp_path: Path) -> None:
    """They are rows only where there is one column."""
    assert parse(tmp_path, b"x,y\n" + b"\r\n" * 40 + b"\n1,2\n" + b"\n" * 40, 16) == [("1", "2")]
    assert parse(tmp_path, b"x\n" + b"\r\n" * 40 + b"1\n\n", 16) == [(None,)] * 40 + [("1",), (None,)]


def test_a_right_file_has_no_fault(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b'"x"\n"1\n2"\n\n"3"')
    found = first_fault(source, 4, ["x"], [TableColumn("x", "x", TEXT, "")], ".")
    assert str(found) == "line 2 and on: the rows cannot be read, though each of them is right."
