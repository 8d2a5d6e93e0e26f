"""What is to be synced, for which hints, and when. Pure: the time is given.

In: hints with the tables they concern, outcomes of syncs. Out: batches of tables to sync, and the hints that are done
with. Hints for one table become one sync; a table that failed waits, longer each time, while others go on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

FIRST_DELAY = 15.0
LONGEST_DELAY = 1800.0


@dataclass(frozen=True)
class Batch:
    """The tables of one sync, and the hints that were read before it began."""

    tables: frozenset[str]
    hints: frozenset[str]


class Backlog:
    """See the module. Times are seconds of a monotonic clock."""

    def __init__(self, gather: float) -> None:
        self._gather = gather
        self._left: dict[str, set[str]] = {}
        self._due: dict[str, float] = {}
        self._delays: dict[str, float] = {}

    def add(self, hint: str, tables: Collection[str], now: float, *, at_once: bool = False) -> None:
        """Add a hint; a hint that is there already changes nothing.

        Args:
            hint: its id.
            tables: what it concerns, not empty.
            now: the present.
            at_once: do not wait for more hints.
        """
        if hint in self._left:
            return
        self._left[hint] = set(tables)
        for table in tables:
            # a table that waits after a failure goes on waiting
            self._due.setdefault(table, now if at_once else now + self._gather)

    def begin(self, now: float) -> Batch | None:
        """The next batch, None while none is due. Tables that only gather go with it; those that failed do not."""
        if not any(due <= now for due in self._due.values()):
            return None
        tables = frozenset(table for table, due in self._due.items() if due <= now or table not in self._delays)
        return Batch(tables, frozenset(hint for hint, left in self._left.items() if left & tables))

    def finish(self, batch: Batch, failed: Collection[str], now: float) -> list[str]:
        """Note how a batch ended; returns the hints that are done with.

        Args:
            batch: from `begin`.
            failed: tables of it that are not loaded.
            now: the present.
        """
        loaded = batch.tables.difference(failed)
        done = []
        for hint in batch.hints:
            self._left[hint] -= loaded
            if not self._left[hint]:
                del self._left[hint]
                done.append(hint)
        wanted = set().union(*self._left.values())
        for table in batch.tables:
            if table in failed:
                delay = min(2 * self._delays[table], LONGEST_DELAY) if table in self._delays else FIRST_DELAY
                self._delays[table] = delay
                self._due[table] = now + delay
                continue
            self._delays.pop(table, None)
            del self._due[table]
            if table in wanted:  # a hint came while it was synced
                self._due[table] = now + self._gather
        return done

    def hurry(self, table: str, now: float) -> None:
        """What a failed table waited for may have come: it waits no longer."""
        if table in self._due:
            self._due[table] = min(self._due[table], now + self._gather)

    def seconds_left(self, now: float) -> float | None:
        """Seconds until a batch is due; None if there is nothing to do."""
        return max(0.0, min(self._due.values()) - now) if self._due else None
