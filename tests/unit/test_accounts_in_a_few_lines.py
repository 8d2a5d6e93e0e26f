"""Many accounts of a report in a few lines: what is said of all of them, and who is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from stripe_reports_source.cli.accounts import few_rows

NOON = datetime(2025, 3, 10, 12, tzinfo=timezone.utc)


def row(account: str, tie_out: str, report_type: str = "balance.summary.1", behind: int = 0) -> Mapping[str, Any]:
    return {
        "report": "balance_summary",
        "account": account,
        "report_type": report_type,
        "loaded_to": NOON,
        "available_to": NOON,
        "behind_seconds": timedelta(hours=behind),
        "behind_now_seconds": timedelta(hours=behind),
        "rows": 1,
        "tie_out": tie_out,
        "failures": 0,
        "pending": 0,
        "last_sync": NOON,
        "last_run": "frr_1 succeeded",
    }


@pytest.mark.parametrize(
    ("first", "others", "said"),
    [
        ("tied", "24 open", "60 of 61 open"),
        ("1,024 open, 1 loaded since", "tied", "1 of 61 open"),
        ("tied", "tied", "tied"),
        ("24 open", "24 open", "24 open"),
        ("not compared, 1 loaded since", "tied", "1 of 61 not compared"),
        ("tied", "tied, 7 not compared, 1 loaded since", "tied, some not compared, some loaded since"),
    ],
)
def test_the_line_for_all_accounts_says_what_is_so_of_all(first: str, others: str, said: str) -> None:
    total, *_ = few_rows([row("first", first), *(row(f"acct_{n}", others) for n in range(60))])
    assert total["account"] == "all 61, the worst below"
    assert (total["tie_out"], total["rows"]) == (said, 61)


def test_versions_of_a_report_that_differ_are_not_said_to_be_the_first() -> None:
    rows = [row("first", "tied"), *(row(f"acct_{n}", "tied", "balance.summary.2") for n in range(60))]
    assert few_rows(rows)[0]["report_type"] is None
    assert few_rows(rows[1:])[0]["report_type"] == "balance.summary.2"


def test_an_account_with_something_open_is_among_the_worst() -> None:
    tied = [row(f"acct_{n:02}", "tied", behind=1) for n in range(60)]
    shown = few_rows([*tied, row("little", "2 open"), row("much", "10 open")])
    assert [line["account"] for line in shown[1:4]] == ["much", "little", "acct_00"]
