"""What a report run asks for, checked. Pure.

In: nothing. Out: the value that the emulator's check of parameters makes and its reports are computed from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..plan.catalog import ReportType


@dataclass(frozen=True)
class Query:
    """What a run asks for. `known_until` bounds which payouts a transaction can already name."""

    report_type: ReportType
    start: datetime | None
    end: datetime
    zone: ZoneInfo
    columns: Sequence[str]
    known_until: datetime
    currency: str | None = None
    category: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The parameters that only some reports take, such as `payout` and `connected_account`."""

    def holds(self, instant: datetime) -> bool:
        """True inside the half-open interval."""
        return (self.start is None or self.start <= instant) and instant < self.end
