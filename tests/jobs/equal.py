"""Whether two datasets hold the same: reports, ledger, freshness and verdicts, but for when and by whom it was done."""

from __future__ import annotations

from dlt import Pipeline

from tests.archive.test_replay import WHEN, assert_equal

WHEN_AND_WHO = WHEN | {"adopted", "checked_at"}
"""Who loads second finds every run at Stripe."""


def assert_equal_datasets(first: Pipeline, second: Pipeline, *, verdicts: bool = True) -> None:
    """Both hold the same; `verdicts` is for those that were loaded in the same steps, which the verdicts tell of."""
    assert_equal(first, second, ["report_types", "report_freshness", *["tie_out"] * verdicts], WHEN_AND_WHO)
