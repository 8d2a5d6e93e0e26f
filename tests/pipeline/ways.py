"""The two ways to load a source, and what a refusal must leave as it was."""

from __future__ import annotations

from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import StripeReportsError, own_error
from tests.conftest import query

WAYS = pytest.mark.parametrize("way", ["load_reports", "run"])
FIRST_OF_WAYS = pytest.mark.parametrize("way", ["load_reports", pytest.param("run", marks=pytest.mark.long)])
"""As `WAYS`, with plain runs among the tests that take long: for what is refused in the same place."""


def load(pipeline: Pipeline, source: DltSource, way: str, *, refresh: Any = None) -> None:
    """Load a source with `load_reports` or `pipeline.run`, as the user writes it."""
    if way == "run":
        pipeline.run(source, refresh=refresh)
        return
    pipeline.refresh = refresh  # as dlt.pipeline(..., refresh=...) sets it
    try:
        load_reports(pipeline, source)
    finally:
        pipeline.refresh = None


def refusal(pipeline: Pipeline, source: DltSource, way: str, **how: Any) -> StripeReportsError:
    """The error of this package that a load ends with: one sentence or two, never a page."""
    with pytest.raises(Exception, match=r".") as caught:
        load(pipeline, source, way, **how)
    error = own_error(caught.value)
    assert error is not None, caught.value
    return error


def posts(emulator: Emulator) -> int:
    """Requests that asked for a report run."""
    return sum(request.method == "POST" for request in emulator.requests)


def rows_of(pipeline: Pipeline, *tables: str) -> list[list[tuple[Any, ...]]]:
    """All rows of some tables, in an order of their own."""
    return [sorted(query(pipeline, f"SELECT * FROM {table}"), key=repr) for table in tables]
