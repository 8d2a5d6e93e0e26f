"""What goes in as CSV comes out of the warehouse digit for digit and character for character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from dlt import Pipeline
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.emulator.csv_format import csv_line
from stripe_reports_source.plan.columns import column_name
from tests.conftest import BOTH, query, source_of

Row = tuple[Any, ...]
TYPES = {
    "amount": "decimal(38,9)",
    "rate": "decimal(38,18)",
    "local": "timestamp",
    "instant": "timestamptz",
    "flag": "bool",
    "number": "bigint",
    "day": "date",
}
COLUMNS = ["words", *TYPES, 'payment_metadata[Ключ, "1"]']
NAMES = [column_name(name) for name in COLUMNS]


def decimals(scale: int) -> st.SearchStrategy[Decimal]:
    digits = st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-(10**4), 10**4)
    return digits.map(lambda number: Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale)))


# everything that Stripe could send; NUL is refused, because no warehouse takes it as text
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
hard = st.sampled_from(
    ["", "NULL", "\\N", "null", '"', '""', "a\r\nb", "\r", "\n", ",", "\t", "''", "%s", "0042", "﻿", "💶"]
)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
rows = st.lists(
    st.tuples(
        st.none() | texts | hard,
        st.none() | decimals(9),
        st.none() | decimals(18),
        st.none() | moments,
        st.none() | moments.map(lambda moment: moment.replace(tzinfo=timezone.utc)),
        st.none() | st.booleans(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        st.none() | texts | hard,
    ),
    max_size=40,
)
AUTUMN = [  # Berlin, 2025: local time runs through 2 o'clock twice
    (
        "first",
        None,
        None,
        datetime(2025, 10, 26, 2, 30),
        datetime(2025, 10, 26, 0, 30, tzinfo=timezone.utc),
        *[None] * 4,
    ),
    (
        "second",
        None,
        None,
        datetime(2025, 10, 26, 2, 30),
        datetime(2025, 10, 26, 1, 30, tzinfo=timezone.utc),
        *[None] * 4,
    ),
]
NINES = (9,) * 38
HUGE = [(None, Decimal((sign, NINES, -9)), *[None] * 7) for sign in (0, 0, 1, 0)]  # their sum has 39 digits


def serve(emulator: Emulator) -> Callable[[Sequence[str], Sequence[Row]], None]:
    """Make the emulator's next runs end in files of other rows."""
    served: list[bytes] = []
    real = emulator.service._start

    def start(*args: Any, **options: Any) -> Any:
        run = real(*args, **options)
        run.file.write_bytes(served[-1])
        return run

    emulator.service._start = start  # type: ignore[method-assign]
    return lambda columns, rows: served.append(csv_line(columns) + b"".join(map(csv_line, rows)))


@BOTH
@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.long)])
def test_every_value_comes_back(emulator: Emulator, pipeline: Pipeline, examples: int) -> None:
    put = serve(emulator)
    window = {"start_date": "2025-01-01", "end_date": "2025-02-01"}
    listed = ", ".join(f'"{name}"' for name in NAMES)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(rows)
    @example(AUTUMN)
    @example(HUGE)
    def check(rows: list[Row]) -> None:
        put(COLUMNS, rows)
        emulator.service.forget_idempotency()
        emulator.service.runs.clear()
        report = Report("payouts.itemized", columns="default", types=TYPES)
        load_reports(pipeline, source_of(emulator, [report], **window))
        assert Counter(query(pipeline, f"SELECT {listed} FROM payouts_itemized")) == Counter(rows)

    check()
