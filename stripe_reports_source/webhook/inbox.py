"""Events on disk: what was acknowledged to Stripe is never lost, and counts once however often it comes.

In: verified events, and what became of them. Out: the events that wait. SQLite with a commit per event that is on disk
(`synchronous=FULL`) before it returns. Thread-safe; of an event only the fields of `ReportEvent` are kept.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from dlt import Pipeline

from .events import ReportEvent

Standing = Literal["waiting", "handled", "ignored"]
KEPT_SECONDS = 30 * 86_400.0
"""How long handled events are remembered. Stripe sends an event again for three days at most."""
BUSY_SECONDS = 5.0

_NAMES = tuple(field.name for field in fields(ReportEvent))
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, report_type TEXT NOT NULL, run_id TEXT, account TEXT,
    livemode INTEGER NOT NULL, created INTEGER NOT NULL,
    received REAL NOT NULL, standing TEXT NOT NULL, settled REAL
);
CREATE INDEX IF NOT EXISTS waiting_events ON events (received) WHERE standing = 'waiting';
CREATE INDEX IF NOT EXISTS settled_events ON events (settled) WHERE settled IS NOT NULL;
CREATE TABLE IF NOT EXISTS left_runs (run_id TEXT PRIMARY KEY, noted REAL NOT NULL);
"""


@dataclass(frozen=True)
class Kept:
    """What became of an event that came in: `new` is False if it was there already."""

    new: bool
    standing: Standing


class Inbox:
    """See the module. One process may have it open several times; a lock within, SQLite's own between processes."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file. What was kept stays."""
        with self._lock:
            self._connection.close()

    def keep(self, event: ReportEvent) -> Kept:
        """Put an event on disk, unless it is there.

        An event about a run waits only if a sync has left that run pending; others are told to the workers that wait
        for runs, or belong to no sync, and are settled at once.

        Raises:
            sqlite3.Error: it is not on disk; do not acknowledge it.
        """
        with self._lock, _transaction(self._connection):
            standing: Standing = "waiting"
            if event.run_id is not None:
                left = self._connection.execute("SELECT 1 FROM left_runs WHERE run_id = ?", [event.run_id]).fetchone()
                standing = "waiting" if left else "ignored"
            now = self._clock()
            marks = ", ".join("?" * (len(_NAMES) + 3))
            added = self._connection.execute(
                f"INSERT INTO events ({_COLUMNS}, received, standing, settled) VALUES ({marks}) "  # noqa: S608
                "ON CONFLICT (id) DO NOTHING",
                [*astuple(event), now, standing, None if standing == "waiting" else now],
            ).rowcount
        return Kept(added == 1, standing)

    def waiting(self) -> list[ReportEvent]:
        """The events that no sync has settled, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM events WHERE standing = 'waiting' ORDER BY received"  # noqa: S608
            ).fetchall()
        found = (dict(zip(_NAMES, row, strict=True)) for row in rows)
        return [ReportEvent(**{**values, "livemode": bool(values["livemode"])}) for values in found]

    def settle(self, ids: Iterable[str], standing: Standing) -> None:
        """Note what became of events."""
        with self._lock, _transaction(self._connection):
            now = self._clock()
            self._connection.executemany(
                "UPDATE events SET standing = ?, settled = ? WHERE id = ?",
                [(standing, now, identity) for identity in ids],
            )

    def leave_runs(self, left: Collection[str], ended: Collection[str]) -> None:
        """Remember runs that a sync has left pending at Stripe, and forget those that it has not."""
        if not left and not ended:
            return
        with self._lock, _transaction(self._connection):
            now = self._clock()
            self._connection.executemany("INSERT OR REPLACE INTO left_runs VALUES (?, ?)", [(run, now) for run in left])
            self._connection.executemany("DELETE FROM left_runs WHERE run_id = ?", [(run,) for run in ended])
            # what Stripe said of a run in the moment between its timeout and this note counts too
            self._connection.executemany(
                "UPDATE events SET standing = 'waiting', settled = NULL WHERE run_id = ? AND standing = 'ignored'",
                [(run,) for run in left],
            )

    def prune(self) -> None:
        """Forget what was settled long ago."""
        with self._lock, _transaction(self._connection):
            before = self._clock() - KEPT_SECONDS
            self._connection.execute("DELETE FROM events WHERE settled < ?", [before])
            self._connection.execute("DELETE FROM left_runs WHERE noted < ?", [before])

    def counts(self) -> dict[str, int]:
        """How many events there are, by standing."""
        with self._lock:
            rows = self._connection.execute("SELECT standing, count(*) FROM events GROUP BY 1").fetchall()
        return {"waiting": 0, "handled": 0, "ignored": 0, **dict(rows)}

    def check(self) -> None:
        """Look whether it can be written.

        Raises:
            sqlite3.Error: it cannot.
        """
        with self._lock, _transaction(self._connection):
            self._connection.execute("DELETE FROM left_runs WHERE run_id = ''")


def default_inbox(pipeline: Pipeline) -> Path:
    """Beside the pipeline's working folder, so that dropping the pipeline keeps the inbox."""
    return Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.webhooks.sqlite"


class _transaction:
    """A write transaction; rolled back when the block fails, and not tried again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
