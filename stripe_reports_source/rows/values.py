"""Text to exactly typed values, a column of a batch at a time. Pure.

In: an Arrow text array and a column's type. Out: an array of that type, or a refusal. Every value has to have
its type's form: what Arrow or a database would kindly accept (`1e5`, `.5`, `2025-1-1`, a rounded amount) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..plan.column_types import TIMESTAMP, ColumnType, Kind

_FORMS: dict[Kind, str] = {
    "decimal": r"^-?[0-9]+(\.[0-9]+)?$",
    "bigint": r"^-?[0-9]{1,19}$",
    "bool": r"^(true|false)$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( 00:00:00)?$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
}
_FORMS["timestamptz"] = _FORMS["timestamp"]
_ARROW: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_MINUS = np.uint8(ord("-"))
_ZERO = np.uint8(ord("0"))
_MINUS_TO_NINE = np.uint8(ord("9") - ord("-"))
_TIME_LENGTH = len("2025-01-31 23:59:59")
_TIME_MARKS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":"}


class BadValue(Exception):
    """Some value of a batch does not fit its column."""


def arrow_type(type_: ColumnType) -> pa.DataType:
    """The Arrow type of a column type."""
    if type_.kind == "decimal":
        return pa.decimal128(type_.precision, type_.scale)
    return _ARROW[type_.kind]


def typed(array: pa.Array, type_: ColumnType, point: str = ".") -> pa.Array:
    """Text as its column's type; "" is NULL in every type but text.

    Args:
        array: values as the file has them.
        type_: the column's type.
        point: the character before decimal places.

    Raises:
        BadValue, pyarrow.ArrowInvalid: a value does not have the type's form, or is too large or too fine for it.
    """
    if type_.kind == "text":
        return array
    text = _Text(array)
    if text.has_empty:
        array = _empty_as_null(array, text)
    if type_.kind == "bool":
        true = pc.equal(array, "true")
        if not pc.all(pc.or_(true, pc.equal(array, "false")), min_count=0).as_py():
            raise BadValue(f"a value that is not a {type_}")
        return true
    if type_.kind == "decimal" and point != ".":
        array = _with_point(array, point)
        text = _Text(array)
    quick = _QUICK.get(type_.kind)
    # the regular expression decides; the quick look only ever says yes to what it would say yes to
    if (
        not (quick and quick(text))
        and not pc.all(pc.match_substring_regex(array, _FORMS[type_.kind]), min_count=0).as_py()
    ):
        raise BadValue(f"a value that is not a {type_}")
    if type_.kind == "date":
        array = pc.utf8_slice_codeunits(array, 0, 10)
    if type_.kind == "timestamptz":
        return array.cast(arrow_type(TIMESTAMP)).cast(arrow_type(type_))  # Arrow takes a naive time for UTC here
    return array.cast(arrow_type(type_))


def problem(value: str, type_: ColumnType, point: str = ".") -> str | None:
    """What is wrong with one value, in words; None if it fits."""
    if type_.kind == "text" or not value:
        return None
    if type_.kind == "decimal" and point != ".":
        value = value.replace(".", "..").replace(point, ".")
    if not re.fullmatch(_FORMS[type_.kind], value, re.ASCII):
        return f"is not a {type_}"
    try:
        if type_.kind == "decimal":
            digits = value.lstrip("-").partition(".")
            if len(digits[2].rstrip("0")) > type_.scale:
                return f"has more than the {type_.scale} decimal places of {type_}"
            return f"is too large for {type_}" if len(digits[0].lstrip("0")) > type_.precision - type_.scale else None
        if type_.kind == "bigint":
            return None if -(2**63) <= int(value) < 2**63 else "is too large for bigint"
        if type_.kind != "bool":
            datetime.fromisoformat(value[:19])
    except ValueError:
        return f"is not a {type_}"
    return None


def _empty_as_null(array: pa.Array, text: _Text) -> pa.Array:
    """The same text with NULL for "". Without a copy, and not by `if_else`, which spoils slices before pyarrow 24."""
    filled = text.lengths > 0
    if array.null_count:
        filled &= array.is_valid().to_numpy(zero_copy_only=False)
    _, offsets, data = array.buffers()
    valid = pa.py_buffer(np.packbits(filled, bitorder="little"))
    return pa.StringArray.from_buffers(len(array), offsets.slice(4 * array.offset), data, valid)


def _with_point(array: pa.Array, separator: str) -> pa.Array:
    """Numbers written with another separator, with a point. One that has a point already stays wrong: it gets two."""
    return pc.replace_substring(pc.replace_substring(array, ".", ".."), separator, ".")


class _Text:
    """A text array as numpy sees it: its bytes, and where each value begins and ends. No copy."""

    def __init__(self, array: pa.Array) -> None:
        _, offsets, data = array.buffers()
        bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        self.bytes = content[bounds[0] : bounds[-1]]
        self.lengths = bounds[1:] - bounds[:-1]
        self.filled = int(np.count_nonzero(self.lengths))
        self.starts = bounds[:-1] - bounds[0] if bounds[0] else bounds[:-1]
        self.has_empty = len(array) - self.filled > array.null_count


def _is_decimal(text: _Text) -> bool:
    """Digits, points and minuses, a digit at both ends but for a sign; Arrow's cast refuses whatever else is wrong."""
    if ((text.bytes - _MINUS) > _MINUS_TO_NINE).any():  # unsigned; the slash, which is between, Arrow refuses
        return False
    starts, lengths = text.starts, text.lengths
    if text.filled < len(lengths):
        starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    ends = starts + lengths - 1
    begins = np.minimum(starts + (text.bytes[starts] == _MINUS), ends)
    return _are_digits(text.bytes[begins]) and _are_digits(text.bytes[ends])


def _are_digits(characters: np.ndarray) -> bool:
    return bool(((characters - _ZERO) < 10).all())  # unsigned


def _is_timestamp(text: _Text) -> bool:
    """19 characters with the right marks; Arrow's cast refuses what is not a digit, date or time of day."""
    if np.count_nonzero(text.lengths == _TIME_LENGTH) != text.filled:
        return False
    values = text.bytes.reshape(-1, _TIME_LENGTH)
    return all((values[:, place] == ord(mark)).all() for place, mark in _TIME_MARKS.items())


_QUICK: dict[Kind, Callable[[_Text], bool]] = {
    "decimal": _is_decimal,
    "timestamp": _is_timestamp,
    "timestamptz": _is_timestamp,
}
