"""The sentences about files that do not fit, word for word, and which value is at fault."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.emulator.csv_format import csv_line
from stripe_reports_source.errors import RowError
from stripe_reports_source.plan.column_types import ColumnType
from stripe_reports_source.plan.columns import TableColumn
from stripe_reports_source.plan.settings import ParsePolicy
from stripe_reports_source.rows.csv_file import typed_batches
from stripe_reports_source.rows.places import read_header

NUL = "line 2, column 'b': a NUL byte, which no text of Stripe's holds."


def parse(
    folder: Path, content: bytes, types: dict[str, str], separator: str = ".", block: int = ParsePolicy.block_bytes
) -> list[dict[str, Any]]:
    source = folder / "in.csv"
    source.write_bytes(content)
    columns = [
        TableColumn(name, name, ColumnType.parse(types.get(name, "text")), "") for name in read_header(source)[0]
    ]
    return [row for batch in typed_batches(source, columns, separator, block) for row in batch.to_pylist()]


def refusal(
    folder: Path, content: bytes, types: dict[str, str], separator: str = ".", block: int = ParsePolicy.block_bytes
) -> str:
    with pytest.raises(RowError) as caught:
        parse(folder, content, types, separator, block)
    return str(caught.value)


def test_a_place_is_not_looked_for_in_a_file_that_still_arrives(tmp_path: Path) -> None:
    """The bytes that are there may be others by then."""
    source, columns = tmp_path / "in.csv", [TableColumn("a", "a", ColumnType.parse("bigint"), "")]
    source.write_bytes(b'"a"\n"x"\n')
    with pytest.raises(RowError, match="not known to be whole"):
        list(typed_batches(source, columns, opened=lambda: io.FileIO(source)))


@pytest.mark.parametrize(
    ("content", "types", "message"),
    [
        (b"", {}, "line 1: the file is empty; a report has at least a header."),
        (b'"a",""\n', {}, "line 1: a column has no name."),
        (b'"a","a"\n', {}, "line 1: column 'a' stands there twice."),
        (b"Jo Doe,Jo Doe\n", {}, "line 1: column 'Aa Aaa' stands there twice."),  # a file without a header
        (
            b'"a"x,"b"\n',
            {},
            "line 1: the header cannot be read (text after a closing quote; a quote inside a value has to be doubled).",
        ),
        (b'"a","b"\n"1"\n', {}, "line 2: 1 values for 2 columns."),
        (b'"a","b"\n"1","2"\n\n\n"3"\n', {}, "line 5: 1 values for 2 columns."),
        (b'"a"\n"x"\n\n"y"\n', {"a": "bigint"}, "line 2, column 'a': 'a' is not a bigint."),
        (b'"a"\n"1"\n\n"y"\n', {"a": "bigint"}, "line 4, column 'a': 'a' is not a bigint."),
        (b'"a","b"\n"1","2\n', {}, "line 2, column 'b': a quote is opened and never closed."),
        (b'"a","b"\n"1","x\x00"\n', {}, NUL),
        (b'"a","b"\n"1","\x00', {}, NUL),
        (b'"a"\n"1"\n"\xff"\n', {}, "line 3, column 'a': not UTF-8 (invalid start byte)."),
        (b'\xef\xbb\xbf"a"\r\n"1"\r\n"2\r\n"\r\n', {"a": "bigint"}, "line 3, column 'a': '2\\r\\n' is not a bigint."),
        (b'"a"\n"' + b"7" * 40 + b'"\n', {"a": "bigint"}, f"line 2, column 'a': '{'7' * 40}' is not a bigint."),
        (b'"a"\n"' + b"7" * 41 + b'"\n', {"a": "bigint"}, f"line 2, column 'a': '{'7' * 40}...' is not a bigint."),
        (
            b'"a"\n"9223372036854775808"\n',
            {"a": "bigint"},
            "line 2, column 'a': '9223372036854775808' is too large for bigint.",
        ),
        (b'"a"\n"\xd9\xa3"\n', {"a": "bigint"}, "line 2, column 'a': '\u0663' is not a bigint."),
        (
            b'"a"\n"0.1234567891"\n',
            {"a": "decimal(38,9)"},
            "line 2, column 'a': '0.1234567891' has more than the 9 decimal places of decimal(38,9).",
        ),
        (b'"a"\n"-1234.5"\n', {"a": "decimal(4,1)"}, "line 2, column 'a': '-1234.5' is too large for decimal(4,1)."),
    ],
)
def test_messages(tmp_path: Path, content: bytes, types: dict[str, str], message: str) -> None:
    assert refusal(tmp_path, content, types) == message


def test_a_value_longer_than_csv_reads_by_default(tmp_path: Path) -> None:
    content = csv_line(["a", "b"]) + csv_line(["x" * 200_000, "no"])
    limit = csv.field_size_limit()
    assert refusal(tmp_path, content, {"b": "bigint"}) == "line 2, column 'b': 'aa' is not a bigint."
    assert csv.field_size_limit() == limit


def test_the_bad_value_is_found_in_any_batch(tmp_path: Path) -> None:
    good = [csv_line([f"{number:04d}", str(number)]) for number in range(100)]
    content = csv_line(["a", "b"]) + b"".join(good)
    assert len(parse(tmp_path, content, {"b": "bigint"}, block=64)) == 100
    for number in (0, 57, 99):
        lines = [*good[:number], csv_line(["x", "bad"]), *good[number:]]
        message = refusal(tmp_path, csv_line(["a", "b"]) + b"".join(lines), {"b": "bigint"}, block=64)
        assert message == f"line {number + 2}, column 'b': 'aaa' is not a bigint."


def test_another_decimal_separator(tmp_path: Path) -> None:
    content = csv_line(["a"]) + csv_line(["-1,50"]) + csv_line(["7"]) + csv_line([None])
    found = parse(tmp_path, content, {"a": "decimal(38,9)"}, ",")
    assert [row["a"] for row in found] == [Decimal("-1.5"), Decimal(7), None]
    for bad in ("1.50", "1,000.5", "1,5,0"):
        message = refusal(tmp_path, csv_line(["a"]) + csv_line([bad]), {"a": "decimal(38,9)"}, ",")
        assert message == f"line 2, column 'a': {bad!r} is not a decimal(38,9)."
    long = refusal(tmp_path, csv_line(["a"]) + csv_line(["0,12"]), {"a": "decimal(9,1)"}, ",")
    assert long == "line 2, column 'a': '0,12' has more than the 1 decimal places of decimal(9,1)."


def fits(value: str, precision: int, scale: int) -> bool:
    """Whether a plain decimal fits, by Python's own decimals."""
    exact = Decimal(value)
    places = max(0, -int(exact.normalize().as_tuple().exponent)) if exact else 0
    return places <= scale and abs(exact) < Decimal(10) ** (precision - scale)


numbers = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", fullmatch=True)


@given(st.lists(numbers, min_size=1, max_size=6), st.integers(1, 8), st.integers(0, 6))
def test_decimals_against_another_reading(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], precision: int, scale: int
) -> None:
    scale = min(scale, precision)
    type_ = f"decimal({precision},{scale})"
    content = csv_line(["a"]) + b"".join(csv_line([value]) for value in values)
    folder = tmp_path_factory.mktemp("decimals")
    bad = next((n for n, value in enumerate(values) if not fits(value, precision, scale)), None)
    if bad is None:
        found = parse(folder, content, {"a": type_})
        assert [row["a"] for row in found] == [Decimal(value) for value in values]
    else:
        assert refusal(folder, content, {"a": type_}).startswith(f"line {bad + 2}, column 'a': {values[bad]!r} ")


integers = st.integers(-(2**64), 2**64) | st.sampled_from([-(2**63), -(2**63) - 1, 2**63, 2**63 - 1])


@given(st.lists(integers, min_size=1, max_size=5))
def test_integers_against_another_reading(tmp_path_factory: pytest.TempPathFactory, values: list[int]) -> None:
    content = csv_line(["a"]) + b"".join(csv_line([value]) for value in values)
    folder = tmp_path_factory.mktemp("integers")
    bad = next((n for n, value in enumerate(values) if not -(2**63) <= value < 2**63), None)
    if bad is None:
        found = parse(folder, content, {"a": "bigint"})
        assert [row["a"] for row in found] == values
    else:
        assert refusal(folder, content, {"a": "bigint"}).startswith(f"line {bad + 2}, column 'a': '{values[bad]}' is ")


SHAPES = [
    # the forms of real exports; the figures are made up
    ('"category","description","net_amount","currency"\n'
     '"starting_balance","Starting balance (2026-07-01)","0.00","eur"\n"payouts","Payouts","0.00",\n',
     {"net_amount": "decimal(38,9)"}),
    ('"payout_id","effective_at_utc","effective_at","currency","gross","fee","payout_status","payout_reversed_at_utc",'
     '"payout_reversed_at","payout_type","application_fee"\n'
     '"po_1","2025-01-02 00:00:57","2025-01-02 02:00:57","eur","10.00","0.00","paid",,,"bank_account",""\n',
     {"gross": "decimal(38,9)", "effective_at_utc": "timestamptz", "effective_at": "timestamp",
      "payout_reversed_at_utc": "timestamptz"}),
    ('"reporting_category","currency","count","gross","fee","net"\n"charge","eur","5","50.00","-2.10","47.90"\n'
     '"total","eur","5","50.00","-2.10","47.90"\n', {"count": "bigint", "fee": "decimal(38,9)"}),
    ('"fee_category","amount","tax"\n"processing","1.230000000000000000","0.00"\n"radar","0.050000000000000012",\n',
     {"amount": "decimal(38,18)", "tax": "decimal(38,18)"}),
    ('"id","payment_metadata[order id]","livemode"\r\n"ch_1","A, ""B""\r\nC","true"\r\n', {"livemode": "bool"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "types"), SHAPES)
def test_real_shapes_against_an_independent_parser(tmp_path: Path, text: str, types: dict[str, str]) -> None:
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    found = parse(tmp_path, text.encode(), types)
    assert len(found) == len(lines)
    for row, line in zip(found, lines, strict=True):
        for name, value in zip(header, line, strict=True):
            type_ = types.get(name, "text")
            if not value:
                assert row[name] in (None, "")
                assert row[name] is None or type_ == "text"
            elif type_.startswith("decimal"):
                assert row[name] == Decimal(value)
            elif type_.startswith("timestamp"):
                assert row[name].strftime("%Y-%m-%d %H:%M:%S") == value
            else:
                readings: dict[str, Callable[[str], Any]] = {"bigint": int, "bool": lambda word: word == "true"}
                assert row[name] == readings.get(type_, str)(value)
