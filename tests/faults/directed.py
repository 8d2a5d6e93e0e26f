"""Schedules that are written, not drawn: one kind of trouble after another, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Any

from tests.faults.schedule import Destination, Member, Schedule, Step

REPORT = "payouts.itemized"
US = Member("faults_us", "us", (REPORT,))
EU = Member("faults_eu", "eu", (REPORT,), other=True)


def directed(destination: Destination, *more: Step, **changes: Any) -> Schedule:
    """A small schedule with more steps after a first sync in no trouble. `changes`: fields with other values."""
    schedule = Schedule(
        seed=1,
        destination=destination,
        members=(Member("faults", "default", (REPORT,)),),
        grid="week",
        zone="UTC",
        lookback_days=3,
        concurrency=2,
        business_start=date(2025, 1, 6),
        available_end=datetime(2025, 1, 28, 12, tzinfo=timezone.utc),
        scale=0.08,
        interval_edges=True,
        steps=(Step(), *more),
    )
    return replace(schedule, **changes)
