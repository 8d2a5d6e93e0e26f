"""What a sync says of its progress, for people and for metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..plan.intervals import Span

logger = logging.getLogger(__name__)

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


class Listener:
    """Hands events to the user's function. One that fails is left alone: decoration never ends a load."""

    def __init__(self, on_event: Callable[[Event], None] | None) -> None:
        self._on_event = on_event

    def __call__(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            self._on_event = None
            logger.warning("on_event failed (%s: %s) and is not called again", type(error).__name__, error)
