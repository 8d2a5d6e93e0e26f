"""Text to typed values: the quick looks never take what the strict form refuses."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.plan.column_types import ColumnType
from stripe_reports_source.rows.values import BadValue, problem, typed

NAMES = ("decimal(38,9)", "decimal(9,2)", "bigint", "bool", "date", "timestamp", "timestamptz")
TYPES = [ColumnType.parse(name) for name in NAMES]
TEXTS = st.one_of(
    st.text("-.0129", max_size=6),
    st.text("019-\n", max_size=3),
    st.text("-./0123456789e+ T:Z", max_size=12),
    st.from_regex(r"\A-?[0-9]{1,40}(\.[0-9]{0,12})?\Z"),
    st.datetimes().map(lambda time: time.isoformat(" ")),
    st.datetimes().map(lambda time: time.strftime("%Y-%m-%d %H:%M:%S")),
    st.from_regex(r"\A[0-9]{4}[-/ ][0-9]{2}[-/ ][0-9]{2}[ T][0-9]{2}[:+][0-9]{2}[:-][0-9 ]{2}\Z"),
    st.sampled_from(
        ["true", "false", "True", "t", "1", "", "2025-01-31", "2025-02-30 00:00:00", "5.", ".5", "-", "--1"]
    ),
)


def accepts(values: list[str | None], type_: ColumnType) -> bool:
    try:
        typed(pa.array(values, pa.string()), type_)
    except (BadValue, pa.ArrowInvalid):
        return False
    return True


@given(type_=st.sampled_from(TYPES), values=st.lists(st.none() | TEXTS, max_size=6))
def test_a_column_is_taken_if_each_of_its_values_fits(type_: ColumnType, values: list[str | None]) -> None:
    assert accepts(values, type_) == all(value is None or problem(value, type_) is None for value in values)


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_slices_and_empty_columns(type_: ColumnType) -> None:
    good = {"bool": "true", "date": "2025-01-31", "bigint": "7"}.get(type_.kind, "2025-01-31 10:20:30")
    good = "7.50" if type_.kind == "decimal" else good
    array = pa.array(["bad", None, "", good, good, "bad"], pa.string())
    assert typed(array.slice(1, 4), type_).equals(typed(pa.array([None, None, good, good]), type_))
    assert len(typed(array.slice(3, 0), type_)) == 0
    with pytest.raises((BadValue, pa.ArrowInvalid)):
        typed(array.slice(1, 5), type_)
