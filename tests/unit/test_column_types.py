"""A column's type: one value, one name, one spelling."""

from __future__ import annotations

import pytest
from dlt.common.schema.typing import TTableSchemaColumns
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.plan.column_types import AMOUNT, BIGINT, BOOL, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType
from stripe_reports_source.warehouse.hints import column_hint, stored_types

PLAIN = [TEXT, BIGINT, BOOL, DATE, TIMESTAMP, TIMESTAMPTZ]
types = st.sampled_from(PLAIN) | st.integers(1, 38).flatmap(
    lambda precision: st.integers(0, precision).map(lambda scale: ColumnType("decimal", precision, scale))
)


@given(types)
def test_a_types_name_says_it_all(type_: ColumnType) -> None:
    assert ColumnType.parse(str(type_)) == type_


@given(types)
def test_dlt_gives_back_what_it_was_told(type_: ColumnType) -> None:
    assert stored_types({"a": {"name": "a", **column_hint(type_)}}) == {"a": type_}


def test_names() -> None:
    assert [str(type_) for type_ in PLAIN] == ["text", "bigint", "bool", "date", "timestamp", "timestamptz"]
    assert ColumnType.parse("decimal") == AMOUNT == ColumnType("decimal", 38, 9)
    assert str(ColumnType.parse("decimal(20, 4)")) == "decimal(20,4)"


@pytest.mark.parametrize(
    "name", ["float", "double", "decimal(39,2)", "decimal(4,5)", "decimal(0,0)", "decimal(38)", "Text", " text", ""]
)
def test_what_is_not_a_type_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ColumnType.parse(name, "report 'r': type of 'x':")
    assert str(caught.value) == (
        f"report 'r': type of 'x': {name!r} is not a type; use one of text, bigint, bool, date, timestamp, "
        "timestamptz, decimal, decimal(38,18)."
    )


def test_columns_of_types_that_we_never_use_are_not_ours_to_keep() -> None:
    """Someone has set them by hints of dlt's; a decimal without digits has dlt's own."""
    columns: TTableSchemaColumns = {
        "share": {"name": "share", "data_type": "double"},
        "amount": {"name": "amount", "data_type": "decimal"},
        "unseen": {"name": "unseen"},
    }
    assert stored_types(columns) == {"amount": AMOUNT}
