"""What is to be synced, for which events, and when. Pure: the time is given.

In: events with the tables they affect, outcomes of syncs. Out: batches of tables to sync, and the events that are
settled. Events for the same table become one sync; a table that failed waits, longer each time, while others go on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .limits import RetryDelays


@dataclass(frozen=True)
class Batch:
    """The tables of one sync, and the ids of the events that were read before it began."""

    tables: frozenset[str]
    events: frozenset[str]


class Backlog:
    """See the module. Times are seconds of a monotonic clock."""

    def __init__(self, gather: float, delays: RetryDelays) -> None:
        """`gather`: how long an event waits for others. `delays`: how long a table waits that has failed."""
        self._gather = gather
        self._retry_delays = delays
        self._left: dict[str, set[str]] = {}
        self._due: dict[str, float] = {}
        self._delays: dict[str, float] = {}

    def add(self, event: str, tables: Collection[str], now: float, *, at_once: bool = False) -> None:
        """Add an event; an event that is there already changes nothing.

        Args:
            event: its id.
            tables: what it affects, not empty.
            now: the present.
            at_once: do not wait for more events.
        """
        if event in self._left:
            return
        self._left[event] = set(tables)
        for table in tables:
            # a table that waits after a failure goes on waiting
            self._due.setdefault(table, now if at_once else now + self._gather)

    def begin(self, now: float) -> Batch | None:
        """The next batch, None while none is due. Tables that only gather go with it; those that failed do not."""
        if not any(due <= now for due in self._due.values()):
            return None
        tables = frozenset(table for table, due in self._due.items() if due <= now or table not in self._delays)
        return Batch(tables, frozenset(event for event, left in self._left.items() if left & tables))

    def finish(self, batch: Batch, failed: Collection[str], now: float) -> list[str]:
        """Note how a batch ended; returns the events that are settled.

        Args:
            batch: from `begin`.
            failed: tables of it that are not loaded.
            now: the present.
        """
        loaded = batch.tables.difference(failed)
        settled = []
        for event in batch.events:
            self._left[event] -= loaded
            if not self._left[event]:
                del self._left[event]
                settled.append(event)
        wanted = set().union(*self._left.values())
        for table in batch.tables:
            if table in failed:
                delay = self._retry_delays.after(self._delays.get(table))
                self._delays[table] = delay
                self._due[table] = now + delay
                continue
            self._delays.pop(table, None)
            del self._due[table]
            if table in wanted:  # an event came while it was synced
                self._due[table] = now + self._gather
        return settled

    def hurry(self, table: str, now: float) -> None:
        """What a failed table waited for may have come: it waits no longer."""
        if table in self._due:
            self._due[table] = min(self._due[table], now + self._gather)

    def seconds_left(self, now: float) -> float | None:
        """Seconds until a batch is due; None if there is nothing to do."""
        return max(0.0, min(self._due.values()) - now) if self._due else None
