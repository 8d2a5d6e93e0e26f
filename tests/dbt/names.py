"""Names of the dbt package: where it is, what its models are called. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2] / "pipelines" / "dbt"
NAME = "stripe_reports_source"
"""Of the package, as other dbt projects refer to it."""
SOURCE = "stripe_reports"
SCHEMA = "books"
"""That the tests build in."""
SEED = "stripe_ledger_accounts"
"""The chart of accounts."""
MADE = "Made by `python -m tests.dbt`: do not change it by hand."
WARNING: Mapping[str, Any] = {"config": {"severity": "warn"}}
"""Of a data test."""
MOST_LETTERS = 63
"""PostgreSQL's, of a relation."""
SHORTER = (
    ("connected_account_", "connected_"),
    ("financial_account_balance_change_from_activity", "financial_activity"),
    ("revenue_recognition_", "revenue_"),
)
"""What is written shorter in the names of models, for PostgreSQL."""


def staging_name(table: str) -> str:
    """The staging model of a table."""
    return f"stg_stripe__{short_name(table)}"


def short_name(table: str) -> str:
    """What a table is called in the names of models and tests."""
    for long, short in SHORTER:
        table = table.replace(long, short)
    return table
