"""Cells, statements and coverages for tests that need no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.coverage import CoveredCell
from stripe_reports_source.reconcile.queries import Figure

NEXT = {1: 2, 2: 3, 3: 4, 4: 5}


def instant(month: int, day: int = 1, hour: int = 0) -> datetime:
    """An instant of 2025."""
    return datetime(2025, month, day, hour, tzinfo=timezone.utc)


def covered(base: str, month: int, **changes: Any) -> CoveredCell:
    """A month of 2025 of a report, loaded to its end from data up to May."""
    lane = changes.pop("lane", "month|UTC")
    account = changes.pop("account", "shop")
    cell = CoveredCell(
        table=base.replace(".", "_"),
        account=account,
        key=f"{account}|{base}|{lane}|2025-{month:02}-01",
        base=base,
        day=date(2025, month, 1),
        start=None if "ending" in base else instant(month),
        end=instant(month + 1),
        whole_end=instant(month + 1),
        complete=True,
        rows=3,
        run_id=f"frr_{base}_{month}",
        data_available_end=instant(5),
    )
    return replace(cell, **changes)


def figure(month: int = 2, **changes: Any) -> Figure:
    """Two figures of an item that differ by nothing, unless changed."""
    found = Figure(
        account="shop",
        cell=f"shop|month|UTC|2025-{month:02}-01",
        currency="usd",
        item="txn_1",
        figure=Decimal(10),
        against=Decimal(10),
        gross_difference=Decimal(0),
        fee_difference=Decimal(0),
        count_difference=0,
        note="",
        against_cell="",
        moment=None,
        items=1,
    )
    return replace(found, **changes)


def statement(**changes: Any) -> Statement:
    """A variance of a transaction in February."""
    made = Statement(
        equation="row_adds_up",
        account="shop",
        interval_key="shop|balance_change_from_activity.itemized|month|UTC|2025-02-01",
        currency="usd",
        item="txn_1",
        interval_day=date(2025, 2, 1),
        interval_start=instant(2),
        interval_end=instant(3),
        figure=Decimal(10),
        against=Decimal(9),
        difference=Decimal(1),
        gross_difference=Decimal(0),
        fee_difference=Decimal(0),
        count_difference=0,
        status="variance",
        reason="Because.",
        figure_run="frr_1",
        against_run=None,
        checked_at=instant(5),
    )
    return replace(made, **changes)
