"""What a sync comes to know of each lane that it was asked for: what was loaded before, what is now, what has failed.

In: lanes as they are planned, cells as they are loaded or fail. Out: entries, from which the ledger is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..plan.intervals import Span
from ..plan.lanes import Lane
from ..plan.loaded_cells import NO_KEYS
from ..plan.resolve import ResolvedReport
from ..plan.state import LaneState

ALL_INTERVALS = ""
"""Stands for the intervals of a lane that could not be planned."""


@dataclass(slots=True)
class LaneEntry:
    """A lane of a sync.

    Args:
        table, key: which lane.
        label: the `_account` value of its rows.
        report_type: exact id, or the user's words where that is not known.
        before: its state before the sync; None if nothing was loaded.
        now: its state with what this sync has loaded.
        resolved: its report; None where it could not be planned.
        backfill: it was loaded for a window, and moves no cursor.
        gone: its connected account is not, or no longer, one of the platform's.
        failed, loaded: interval keys of this sync; what is lost has failed, too.
        lost_from: where the first interval ends that is not loaded whole, and that Stripe no longer has whole.
        spans: what this sync has loaded of a lane without a cursor.
        already: interval keys that it has found loaded, by whomever.
        compared: `report_cells` has been compared with the state from before the sync.
        look_again: the next sync has to compare it with what is stored.
        told: its row of `report_freshness` says what is known.
    """

    table: str
    key: str
    label: str
    report_type: str
    before: LaneState | None
    now: LaneState | None
    resolved: ResolvedReport | None = None
    backfill: bool = False
    gone: bool = False
    lost_from: datetime | None = None
    failed: frozenset[str] = NO_KEYS
    loaded: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    already: frozenset[str] = NO_KEYS
    compared: bool = False
    look_again: bool = False
    told: bool = False

    def owns(self, interval_key: str) -> bool:
        """True for the key of a cell of this lane."""
        if self.resolved is None or not interval_key.startswith(self.resolved.key_prefix(self.label)):
            return False
        connected = self.key.removeprefix(self.label).removeprefix("/")
        return not self.resolved.keys or not connected or f'"{connected}"' in interval_key


class LaneBook:
    """The lanes of one sync. `label` is the source's `_account` value, `asked_at` is when it began to ask Stripe."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.asked_at = datetime.now(timezone.utc)
        self._entries: dict[tuple[str, str], LaneEntry] = {}

    def __iter__(self) -> Iterator[LaneEntry]:
        return iter(self._entries.values())

    @property
    def lost_from(self) -> dict[tuple[str, str], datetime]:
        """Up to when all is loaded of the lanes of which Stripe no longer has all that follows, by table and lane."""
        return {(entry.table, entry.key): entry.lost_from for entry in self if entry.lost_from is not None}

    def clear(self) -> None:
        """Forget all lanes."""
        self._entries.clear()

    def planned(self, lane: Lane, before: LaneState | None) -> None:
        """Enter a lane that is to be loaded."""
        report = lane.resolved
        label = lane.cells[0].label if lane.cells else self.label  # an archive may be of several accounts
        self._entries[report.report.table, lane.key] = LaneEntry(
            report.report.table,
            lane.key,
            label,
            report.offered.id,
            before,
            before,
            report,
            lane.backfill,
            lost_from=lane.lost_from,
            failed=lane.lost,
            already=lane.already,
        )

    def not_planned(self, table: str, key: str, report: str, before: LaneState | None) -> None:
        """Enter a lane whose report cannot be loaded."""
        report_type = before.report_type if before else report
        self._entries[table, key] = LaneEntry(
            table, key, self.label, report_type, before, before, failed=frozenset({ALL_INTERVALS})
        )

    def loaded(self, lane: Lane, interval_key: str, span: Span, now: LaneState, *, counted: bool) -> None:
        """Note a cell that is loaded, and the lane's state with it; `counted` if its stored rows will be."""
        entry = self._of(lane)
        entry.loaded.append(interval_key)
        if now.cursor is None:
            entry.spans.append(span)
        entry.now = now
        entry.look_again |= not counted
        entry.told = False

    def failed(self, lane: Lane, interval_key: str, *, gone: bool) -> None:
        """Note a cell that has failed; `gone` where its account is."""
        entry = self._of(lane)
        entry.failed |= {interval_key}
        entry.gone |= gone
        entry.told = False

    def _of(self, lane: Lane) -> LaneEntry:
        return self._entries[lane.resolved.report.table, lane.key]
