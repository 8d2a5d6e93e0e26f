"""Which columns are written as PostgreSQL's binary COPY takes them; how, tests/pipeline/test_postgres_cells.py has."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stripe_reports_source.warehouse.postgres_binary import takes


@pytest.mark.parametrize(
    ("kind", "type_", "taken"),
    [
        (pa.string(), "text", True),
        (pa.dictionary(pa.int32(), pa.string()), "character varying", True),
        (pa.string(), "jsonb", False),
        (pa.decimal128(38, 9), "numeric", True),
        (pa.decimal128(38, 9), "double precision", False),
        (pa.decimal256(76, 9), "numeric", False),
        (pa.int64(), "bigint", True),
        (pa.int64(), "integer", False),
        (pa.int32(), "integer", False),
        (pa.timestamp("us"), "timestamp without time zone", True),
        (pa.timestamp("us", "UTC"), "timestamp without time zone", False),
        (pa.timestamp("us"), "timestamp with time zone", False),
        (pa.timestamp("ns", "UTC"), "timestamp with time zone", False),
        (pa.bool_(), "boolean", True),
        (pa.date32(), "date", True),
        (pa.date64(), "date", False),
        (pa.string(), None, False),
    ],
)
def test_only_columns_of_just_the_same_kind_are_written_as_binary(
    kind: pa.DataType, type_: str | None, taken: bool
) -> None:
    types = {"flag": "boolean"} if type_ is None else {"flag": "boolean", "value": type_}
    assert takes(pa.schema([("flag", pa.bool_()), ("value", kind)]), types) is taken
