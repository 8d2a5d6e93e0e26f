"""CSV to Arrow: exact values, strict forms, errors that name the place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.emulator.csv_format import csv_line
from stripe_reports_source.errors import RowError
from stripe_reports_source.plan.column_types import AMOUNT, ColumnType
from stripe_reports_source.plan.columns import TableColumn
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.plan.value_form import value_form
from stripe_reports_source.rows.control_sums import ControlSums
from stripe_reports_source.rows.csv_file import typed_batches
from stripe_reports_source.rows.places import read_header

Parse = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    return lambda content, **types: parse_file(tmp_path, content, types)


def parse_file(
    folder: Path, content: bytes, types: dict[str, str], block: int = ParsePolicy.block_bytes
) -> list[dict[str, Any]]:
    source = folder / "in.csv"
    source.write_bytes(content)
    columns = [
        TableColumn(header, header, ColumnType.parse(types.get(header, "text")), "")
        for header in read_header(source)[0]
    ]
    return [row for batch in typed_batches(source, columns, block_bytes=block) for row in batch.to_pylist()]


def test_text_stays_text_and_null_is_not_empty(parse: Parse) -> None:
    content = b'"a","b","c"\n"0042","1e5",""\n"true",,"NULL"\n" x ","a,b","say ""hi"""\n'
    assert parse(content) == [
        {"a": "0042", "b": "1e5", "c": ""},
        {"a": "true", "b": None, "c": "NULL"},
        {"a": " x ", "b": "a,b", "c": 'say "hi"'},
    ]


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\rb", "💶", "ﷺ" * 3, "x" * 70_000, '"', '""', ",", "\t", "﻿"])
def test_hard_text(parse: Parse, value: str) -> None:
    assert parse(csv_line(["a", "b"]) + csv_line([value, "end"])) == [{"a": value, "b": "end"}]


def test_rows_longer_than_a_block(tmp_path: Path) -> None:
    values = ["x" * 10, "y" * 20_000, "z"]
    content = csv_line(["a"]) + b"".join(csv_line([value]) for value in values)
    assert [row["a"] for row in parse_file(tmp_path, content, {}, block=1 << 10)] == values


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("decimal(38,9)", "1.50", Decimal("1.5")),
        ("decimal(38,9)", "-0.00", Decimal(0)),
        ("decimal(38,9)", "1200", Decimal(1200)),
        ("decimal(38,9)", "0.123456789000000000", Decimal("0.123456789")),
        (
            "decimal(38,9)",
            "99999999999999999999999999999.999999999",
            Decimal("99999999999999999999999999999.999999999"),
        ),
        ("decimal(38,18)", "0.000000000000000001", Decimal("1E-18")),
        ("bigint", "-9223372036854775808", -(2**63)),
        ("bool", "true", True),
        ("bool", "false", False),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "2024-02-29 00:00:00", date(2024, 2, 29)),
        ("timestamp", "2025-11-02 01:30:00", datetime(2025, 11, 2, 1, 30)),
        ("timestamptz", "2025-11-02 01:30:00", datetime(2025, 11, 2, 1, 30, tzinfo=timezone.utc)),
    ],
)
def test_typed_values_and_their_nulls(parse: Parse, type_: str, text: str, value: object) -> None:
    found = parse(f'"a","b"\n"{text}","x"\n,"x"\n"","x"\n'.encode(), a=type_)
    assert [row["a"] for row in found] == [value, None, None]


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        ("decimal(38,9)", "1e5", "not a decimal"),
        ("decimal(38,9)", "1,5", "not a decimal"),
        ("decimal(38,9)", "+1", "not a decimal"),
        ("decimal(38,9)", " 1", "not a decimal"),
        ("decimal(38,9)", "NaN", "not a decimal"),
        ("decimal(38,9)", "1.", "not a decimal"),
        ("decimal(38,9)", "٣", "not a decimal"),
        ("decimal(38,9)", "0.1234567891", "more than the 9 decimal places"),
        ("decimal(38,9)", "100000000000000000000000000000", "too large"),
        ("bigint", "9223372036854775808", "too large"),
        ("bigint", "1.0", "not a bigint"),
        ("bool", "TRUE", "not a bool"),
        ("bool", "1", "not a bool"),
        ("date", "2025-02-29", "not a date"),
        ("date", "2025-01-01 10:00:00", "not a date"),
        ("timestamp", "2025-01-01", "not a timestamp"),
        ("timestamp", "2025-01-01T00:00:00", "not a timestamp"),
        ("timestamp", "2025-01-01 24:00:00", "not a timestamp"),
        ("timestamptz", "2025-01-01 00:00:00Z", "not a timestamptz"),
    ],
)
def test_a_value_that_does_not_fit_names_its_place(parse: Parse, type_: str, text: str, message: str) -> None:
    content = csv_line(["k", "a"]) + csv_line(["one\ntwo", None]) + csv_line(["three", text])
    with pytest.raises(RowError) as caught:
        parse(content, a=type_)
    assert str(caught.value).startswith("line 4, column 'a': ")
    assert value_form(text) in str(caught.value)
    assert message in str(caught.value)


def test_long_values_are_shortened_in_errors(parse: Parse) -> None:
    with pytest.raises(RowError) as caught:
        parse(csv_line(["a"]) + csv_line(["9" * 5000]), a="bigint")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: the file is empty"),
        (b'"a",""\n', "line 1: a column has no name"),
        (b'"a","b","a"\n', "line 1: column 'a' stands there twice"),
        (b'"a\xff","b"\n', "line 1: the header cannot be read"),
        (b'"a","b"\n"1","2"\n"3"\n', "line 3: 1 values for 2 columns"),
        (b'"a","b"\n"1","2","3"\n', "line 2: 3 values for 2 columns"),
        (b'"a","b"\n"1","2\n', "never closed"),
        (b'"a","b"\n"1","2"\n"3","4\n"5","6"\n', "line 3|never closed"),
        (b'"a","b"\n"1\x002","3"\n', "NUL"),
        (b'"a","b"\n"1","2"\n"\xff","4"\n', "not UTF-8"),
        (b"<html>\n<body>\nno, such\n", "line 3: 2 values for 1 columns"),
    ],
)
def test_files_that_are_not_what_they_should_be(parse: Parse, content: bytes, message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'"a","b"', []),
        (b'"a","b"\n', []),
        (b'\xef\xbb\xbf"a","b"\n"1","2"\n', [{"a": "1", "b": "2"}]),
        (b'"a","b"\r\n"1","2"\r\n', [{"a": "1", "b": "2"}]),
        (b"a,b\n1,2", [{"a": "1", "b": "2"}]),
        (b'"a"\n"1"\n\n"2"\n', [{"a": "1"}, {"a": None}, {"a": "2"}]),
        (b'"a","b"\n,\n', [{"a": None, "b": None}]),
        (b'"b","a"\n"1","2"\n', [{"b": "1", "a": "2"}]),
    ],
    ids=["header only", "header and line feed", "BOM", "CRLF", "unquoted", "one column with NULL", "all NULL", "order"],
)
def test_odd_files_with_one_meaning(parse: Parse, content: bytes, expected: list[dict[str, str]]) -> None:
    assert parse(content) == expected


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
decimals = st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=9)


@given(st.lists(st.tuples(texts | st.none(), decimals | st.none(), st.booleans() | st.none()), max_size=20))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[Any, ...]]) -> None:
    content = csv_line(["t", "d", "b"]) + b"".join(csv_line(row) for row in table)
    found = parse_file(tmp_path_factory.mktemp("rows"), content, {"d": "decimal(38,9)", "b": "bool"})
    assert [tuple(row.values()) for row in found] == table
    # an independent parser reads the same text; it knows no difference between NULL and ""
    independent = list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]
    assert [row[0] for row in independent] == [row["t"] or "" for row in found]


def test_control_totals_of_amounts_that_together_have_more_digits_than_a_column_holds() -> None:
    column = TableColumn("net", "net", AMOUNT, "")
    most = Decimal((0, (9,) * 38, -9))
    sums = ControlSums([column])
    for _ in range(2):
        sums.add(pa.table({"net": pa.array([most, most, None, -Decimal(1)], pa.decimal128(38, 9))}))
    [total] = json.loads(sums.json())
    assert total["rows"] == 8
    assert Decimal(total["amounts"]["net"]) == Decimal("399999999999999999999999999997.999999996")
