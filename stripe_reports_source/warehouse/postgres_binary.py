"""Rows as PostgreSQL's binary COPY takes them: it parses no text, and a batch is written by Arrow and numpy at once.

In: Arrow batches, and the types that a table's columns have. Out: bytes. The format is that of
https://www.postgresql.org/docs/current/sql-copy.html ("Binary Format"): a row is the number of its fields, a field
the length of its value, -1 for NULL, and the value as the server's `*_recv` function of its type reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
BATCH_BYTES = 1 << 28
"""Of rows that are written at once; Arrow counts the bytes of an array with 32 bits."""
_FIRST_MICROSECOND = 946_684_800_000_000
_FIRST_DAY = 10_957
"""PostgreSQL's times begin with the year 2000."""
_NEGATIVE = 0x4000
_DIGITS_AT_ONCE = 4
"""PostgreSQL's digits are of base 10,000."""
_Field: TypeAlias = "pa.Array | pa.Scalar"


def takes(schema: pa.Schema, types: Mapping[str, str]) -> bool:
    """True if each column of a file is of just the kind that the table's has, and is one that is written here.

    Args:
        schema: the file's.
        types: the table's columns, as `format_type` names their types without modifiers.
    """
    return all(types.get(field.name) in _types_for(field.type) for field in schema)


def _types_for(type_: pa.DataType) -> tuple[str, ...]:
    """The names of PostgreSQL's types that a column of Arrow's is written for."""
    if pa.types.is_dictionary(type_):
        return _types_for(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "character varying", "text"
    if pa.types.is_timestamp(type_) and type_.unit == "us":
        return ("timestamp without time zone" if type_.tz is None else "timestamp with time zone",)
    if pa.types.is_decimal128(type_) and type_.scale >= 0:
        return ("numeric",)
    known = {pa.bool_(): "boolean", pa.int64(): "bigint", pa.date32(): "date"}
    return (known[type_],) if type_ in known else ()


def binary_rows(batches: Iterator[pa.RecordBatch], most_bytes: int = BATCH_BYTES) -> Iterator[bytes | pa.Buffer]:
    """All that COPY is given, a batch at a time.

    Args:
        batches: with columns that `takes` has let through.
        most_bytes: of a batch that is written at once, as Arrow holds it.
    """
    yield SIGNATURE
    for batch in batches:
        yield from _written(batch, most_bytes)
    yield TRAILER


def _written(batch: pa.RecordBatch, most_bytes: int) -> Iterator[pa.Buffer]:
    if not len(batch):
        return
    if batch.nbytes > most_bytes and len(batch) > 1:
        half = len(batch) // 2
        yield from _written(batch.slice(0, half), most_bytes)
        yield from _written(batch.slice(half), most_bytes)
        return
    count = np.array([batch.num_columns], ">i2").tobytes()
    fields: list[_Field] = [pa.repeat(pa.scalar(count, pa.binary()), len(batch))]
    for column in batch.columns:
        fields += _fields(column)
    nothing = pa.scalar(b"", pa.binary())
    joined = pc.binary_join_element_wise(*fields, nothing, null_handling="replace", null_replacement="")
    yield joined.buffers()[2]


def _fields(column: pa.Array) -> Sequence[_Field]:
    """A column's lengths and values, which stand next to each other in each row; a scalar is the same for all rows."""
    if column.null_count == len(column):
        return [pa.scalar(NULL, pa.binary())]
    type_ = column.type
    if pa.types.is_dictionary(type_):
        if len(column.dictionary) == 1 and not column.null_count:
            text = str(column.dictionary[0].as_py()).encode()
            return [pa.scalar(np.array([len(text)], ">i4").tobytes() + text, pa.binary())]
        return _texts(column.dictionary_decode())
    if pa.types.is_decimal(type_):
        return [_fixed(column, _numerics(column))]
    if pa.types.is_boolean(type_):
        return [_fixed(column, pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(">i1"))]
    if pa.types.is_timestamp(type_):
        return [_fixed(column, (_values(column, np.int64) - _FIRST_MICROSECOND).astype(">i8"))]
    if pa.types.is_date(type_):
        return [_fixed(column, (_values(column, np.int32) - _FIRST_DAY).astype(">i4"))]
    if pa.types.is_integer(type_):
        return [_fixed(column, _values(column, np.int64).astype(">i8"))]
    return _texts(column)


def _values(column: pa.Array, kind: type[Any], of_each: int = 1) -> NDArray[Any]:
    """The values of a column as they lie in memory; those of NULL are anything."""
    begin, end = column.offset * of_each, (column.offset + len(column)) * of_each
    return np.frombuffer(column.buffers()[1], kind)[begin:end]


def _texts(column: pa.Array) -> list[_Field]:
    content = column.cast(pa.binary())
    lengths = pc.fill_null(pc.binary_length(content), -1).to_numpy(zero_copy_only=False).astype(">i4")
    return [_binary(lengths.tobytes(), np.arange(len(column) + 1, dtype=np.int32) * 4), content]


def _fixed(column: pa.Array, values: NDArray[Any]) -> _Field:
    """Values that all have as many bytes: an array of numbers, or of rows of them."""
    content = values.view(np.uint8).reshape(len(column), -1)
    width = content.shape[1]
    rows = np.empty((len(column), 4 + width), np.uint8)
    rows[:, :4] = np.frombuffer(np.array([width], ">i4").tobytes(), np.uint8)
    rows[:, 4:] = content
    if not column.null_count:
        if (rows == rows[0]).all():
            return pa.scalar(rows[0].tobytes(), pa.binary())
        return _binary(rows, np.arange(len(column) + 1, dtype=np.int32) * (4 + width))
    null = column.is_null().to_numpy(zero_copy_only=False)
    rows[null, :4] = 0xFF
    kept = np.ones(rows.shape, np.bool_)
    kept[null, 4:] = False
    ends = np.cumsum(np.where(null, 4, 4 + width), dtype=np.int32)
    return _binary(rows[kept], np.concatenate([np.zeros(1, np.int32), ends]))


def _binary(content: Any, offsets: NDArray[np.int32]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def _numerics(column: pa.Array) -> NDArray[Any]:
    """Decimals as PostgreSQL's `numeric`: the number of digits, the weight of the first, sign, scale, the digits.

    All have as many digits, some of which are zeros at either end: the server takes them off.
    """
    scale = column.type.scale
    negative, limbs = _magnitudes(_values(column, np.uint64, 2).reshape(-1, 2))
    most = int(limbs[0].max()) if len(limbs) == 1 else 10**column.type.precision
    after = -(-scale // _DIGITS_AT_ONCE)
    before = max(0, -(-(len(str(most)) - scale) // _DIGITS_AT_ONCE))
    count = after + before
    numeric = np.empty((len(column), 4 + count), ">i2")
    numeric[:, 0], numeric[:, 1], numeric[:, 3] = count, before - 1, scale
    numeric[:, 2] = np.where(negative, _NEGATIVE, 0)
    missing = 10 ** (after * _DIGITS_AT_ONCE - scale)  # the last digit after the point may be of fewer decimal ones
    for place in reversed(range(count)):
        last = place == count - 1 and after
        limbs, digits = _divided(limbs, 10**_DIGITS_AT_ONCE // (missing if last else 1))
        numeric[:, 4 + place] = digits * np.uint64(missing if last else 1)
    return numeric


def _magnitudes(words: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], list[NDArray[np.uint64]]]:
    """Signs and absolute values of integers of 128 bits: of 64 bits where those are enough, else four times 32 bits."""
    low, high = words[:, 0], words[:, 1]
    negative = high >> np.uint64(63) == 1
    if (high == np.where(low >> np.uint64(63) == 1, ~np.uint64(0), np.uint64(0))).all():
        return negative, [np.abs(low.view(np.int64)).view(np.uint64)]
    upper = np.where(negative, ~high + (low == 0), high)
    lower = np.where(negative, ~low + np.uint64(1), low)
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    return negative, [upper >> half, upper & mask, lower >> half, lower & mask]


def _divided(limbs: Sequence[NDArray[np.uint64]], by: int) -> tuple[list[NDArray[np.uint64]], NDArray[np.uint64]]:
    """Quotients and remainders of numbers in limbs, the highest first."""
    divisor, quotients = np.uint64(by), list[NDArray[np.uint64]]()
    remainder = np.zeros(1, np.uint64)
    for limb in limbs:
        whole = limb if len(limbs) == 1 else (remainder << np.uint64(32)) | limb
        quotient = whole // divisor
        remainder = whole - quotient * divisor
        quotients.append(quotient)
    return quotients, remainder
