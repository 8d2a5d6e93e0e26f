"""Counters of a receiver, in the text form that Prometheus reads.

In: what happens. Out: text. Counters begin anew with the process, as Prometheus expects. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "stripe_reports_webhook_"


@dataclass(frozen=True)
class Metric:
    """One metric's name, kind and help, and the name of its label if it has one."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str
    label: str | None = None


DELIVERIES = Metric("deliveries_total", "counter", "Requests from Stripe, or from senders that claim to be.", "outcome")
SYNCS = Metric("syncs_total", "counter", "Syncs by how they ended.", "outcome")
SYNC_SECONDS = Metric("sync_seconds_total", "counter", "Seconds spent in syncs.")
INTERVALS = Metric("intervals_total", "counter", "Report intervals loaded.", "table")
ROWS = Metric("rows_total", "counter", "Rows loaded.", "table")
LAST_SYNC = Metric("last_sync_timestamp_seconds", "gauge", "When a sync last ended so.", "outcome")
LOADED_TO = Metric("loaded_to_timestamp_seconds", "gauge", "End of the newest interval loaded.", "table")
LAG = Metric("lag_seconds", "gauge", "From Stripe's last event about new data until it was loaded.", "table")
LAG_SUM = Metric("lag_seconds_total", "counter", "Sum of the lags of all events about new data.", "table")
LAG_COUNT = Metric("lag_events_total", "counter", "Events about new data that are loaded.", "table")
EVENTS = Metric("hints", "gauge", "Events in the inbox.", "standing")
WORKING = Metric("working", "gauge", "1 while a sync is under way.")
_ALL = (
    DELIVERIES,
    SYNCS,
    SYNC_SECONDS,
    INTERVALS,
    ROWS,
    LAST_SYNC,
    LOADED_TO,
    LAG,
    LAG_SUM,
    LAG_COUNT,
    EVENTS,
    WORKING,
)


class Metrics:
    """The values of all metrics."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[Metric, str], float] = {}

    def add(self, metric: Metric, amount: float = 1, label: str = "") -> None:
        """Count."""
        with self._lock:
            self._values[metric, label] = self._values.get((metric, label), 0) + amount

    def set(self, metric: Metric, value: float, label: str = "") -> None:
        """Set a gauge."""
        with self._lock:
            self._values[metric, label] = value

    def value(self, metric: Metric, label: str = "") -> float:
        """The present value, 0 if nothing has happened."""
        with self._lock:
            return self._values.get((metric, label), 0)

    def text(self, events: Mapping[str, int]) -> str:
        """Everything, with the inbox's counts, in Prometheus' text format."""
        with self._lock:
            values = {**self._values, **{(EVENTS, standing): count for standing, count in events.items()}}
        lines = []
        for metric in _ALL:
            lines += [f"# HELP {PREFIX}{metric.name} {metric.text}", f"# TYPE {PREFIX}{metric.name} {metric.kind}"]
            for (counted, label), value in sorted(values.items(), key=lambda item: item[0][1]):
                if counted is metric:
                    labels = f'{{{metric.label}="{_escaped(label)}"}}' if metric.label else ""
                    lines.append(f"{PREFIX}{metric.name}{labels} {value:.15g}")
        return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    """A label's value, as the text format wants it."""
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
