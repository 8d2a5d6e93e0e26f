"""What a sync says of its progress, for people and for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..plan.intervals import Span

EventKind = Literal[
    "planned", "up_to_date", "running", "adopted", "downloading", "fetched", "parsing", "loaded", "skipped", "failed"
]


@dataclass(frozen=True)
class Event:
    """Progress of a sync, for people: what happens to which cell of which table."""

    kind: EventKind
    table: str
    report_type: str
    account: str
    interval: Span | None = None
    run_id: str | None = None
    count: int = 0
    message: str = ""
