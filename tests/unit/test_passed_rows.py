"""What a frame of the user's own step becomes: the report's types, where nothing is lost by that."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.warehouse.passed_rows import KEPT, Passed

VALUES: dict[str, pa.Array] = {
    "words": pa.array(["Jenny", "0042"]),
    "amount": pa.array([Decimal("1.10"), Decimal(2)], pa.decimal128(38, 9)),
    "number": pa.array([5, 7], pa.int64()),
    "flag": pa.array([True, False]),
    "day": pa.array([date(2025, 1, 1), date(2025, 1, 2)]),
    "instant": pa.array([datetime(2025, 1, 1, tzinfo=timezone.utc)] * 2, pa.timestamp("us", "UTC")),
    "local": pa.array([datetime(2025, 1, 1)] * 2, pa.timestamp("us")),
}
GIVEN = pa.table({**{name: pa.array(["key", "key"]) for name in KEPT}, **VALUES})


def passed(column: str, values: Any) -> pa.Table:
    """The rows, of which a step has replaced a column in a frame."""
    step = Passed().watched()
    made: pa.Table = step(step.note_types(GIVEN).to_pandas().assign(**{column: values}))
    return made


@pytest.mark.parametrize("nothing", [np.nan, None], ids=["NaN", "None"])
@pytest.mark.parametrize("column", VALUES)
def test_a_column_that_a_step_has_blanked_is_null(column: str, nothing: Any) -> None:
    made = passed(column, nothing)
    assert made.column(column).null_count == 2
    assert made.schema.types == GIVEN.schema.types
    others = [name for name in GIVEN.column_names if name != column]
    assert made.select(others).equals(GIVEN.select(others))


@pytest.mark.parametrize("column", ["words", "amount"])
def test_a_value_that_would_not_be_kept_is_refused(column: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the column '{column}' as double, which is not exactly"):
        passed(column, [1.5, np.nan])
