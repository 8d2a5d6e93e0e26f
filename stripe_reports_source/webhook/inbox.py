"""Events on disk: what was acknowledged to Stripe is never lost, and counts once however often it comes.

In: verified events, and what became of them. Out: the events that wait. SQLite with a commit per event that is on disk
(`synchronous=FULL`) before it returns. Thread-safe; of an event only the fields of `ReportEvent` are kept.

Nothing is held open between calls: a file that was removed, replaced or overwritten under the process would else go on
taking events that no later process finds. Each call sees what a restarted receiver would see.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, TypeVar

from dlt import Pipeline

from ..errors import ConfigurationError
from .events import ReportEvent

logger = logging.getLogger(__name__)

Standing = Literal["waiting", "handled", "ignored"]
T = TypeVar("T")
KEPT_SECONDS = 30 * 86_400.0
"""How long handled events are remembered. Stripe sends an event again for three days at most."""
BUSY_SECONDS = 5.0

_NAMES = tuple(field.name for field in fields(ReportEvent))
_COLUMNS = ", ".join(_NAMES)
_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, report_type TEXT NOT NULL, run_id TEXT, account TEXT,
    livemode INTEGER NOT NULL, created INTEGER NOT NULL,
    received REAL NOT NULL, standing TEXT NOT NULL, settled REAL
);
CREATE INDEX IF NOT EXISTS waiting_events ON events (received) WHERE standing = 'waiting';
CREATE INDEX IF NOT EXISTS settled_events ON events (settled) WHERE settled IS NOT NULL;
CREATE TABLE IF NOT EXISTS left_runs (run_id TEXT PRIMARY KEY, noted REAL NOT NULL);
"""
_FILES = ("", "-wal", "-shm")
_CHECKED = ""
"""No run's id: the row of `left_runs` that each check writes."""


@dataclass(frozen=True)
class Kept:
    """What became of an event that came in: `new` is False if it was there already."""

    new: bool
    standing: Standing


class Inbox:
    """See the module. Several may have the same file: a lock within a process, SQLite's own between processes."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Make the file, unless it is there. A spoiled file is put aside and a new one begun.

        Args:
            path: the SQLite file; links are followed.
            clock: Unix seconds.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        self.path = path.resolve()
        self.beginnings = 0
        """How often the file had to be begun: at first, and again if it was removed, emptied or spoiled."""
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self.check()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"inbox {str(path)!r} cannot be used ({error}); set another file.") from None

    def close(self) -> None:
        """Nothing is held open between calls, so this does nothing."""

    def keep(self, event: ReportEvent) -> Kept:
        """Put an event on disk, unless it is there.

        An event about a run waits only if a sync has left that run pending; others are told to the workers that wait
        for runs, or belong to no sync, and are settled at once.

        Raises:
            sqlite3.Error, OSError: it is not on disk; do not acknowledge it.
        """

        def insert(database: sqlite3.Connection) -> Kept:
            standing: Standing = "waiting"
            if event.run_id is not None:
                left = database.execute("SELECT 1 FROM left_runs WHERE run_id = ?", [event.run_id]).fetchone()
                standing = "waiting" if left else "ignored"
            now = self._clock()
            marks = ", ".join("?" * (len(_NAMES) + 3))
            added = database.execute(
                f"INSERT INTO events ({_COLUMNS}, received, standing, settled) VALUES ({marks}) "  # noqa: S608
                "ON CONFLICT (id) DO NOTHING",
                [*astuple(event), now, standing, None if standing == "waiting" else now],
            ).rowcount
            return Kept(added == 1, standing)

        return self._write(insert)

    def waiting(self) -> list[ReportEvent]:
        """The events that no sync has settled, oldest first."""
        query = f"SELECT {_COLUMNS} FROM events WHERE standing = 'waiting' ORDER BY received"  # noqa: S608
        rows = self._write(lambda database: database.execute(query).fetchall())
        found = (dict(zip(_NAMES, row, strict=True)) for row in rows)
        return [ReportEvent(**{**values, "livemode": bool(values["livemode"])}) for values in found]

    def settle(self, ids: Iterable[str], standing: Standing) -> None:
        """Note what became of events."""
        now = self._clock()
        values = [(standing, now, identity) for identity in ids]
        if values:
            statement = "UPDATE events SET standing = ?, settled = ? WHERE id = ?"
            self._write(lambda database: database.executemany(statement, values))

    def leave_runs(self, left: Collection[str], ended: Collection[str]) -> None:
        """Remember runs that a sync has left pending at Stripe, and forget those that it has not."""
        if not left and not ended:
            return

        def note(database: sqlite3.Connection) -> None:
            now = self._clock()
            database.executemany("INSERT OR REPLACE INTO left_runs VALUES (?, ?)", [(run, now) for run in left])
            database.executemany("DELETE FROM left_runs WHERE run_id = ?", [(run,) for run in ended])
            # what Stripe said of a run in the moment between its timeout and this note counts too
            database.executemany(
                "UPDATE events SET standing = 'waiting', settled = NULL WHERE run_id = ? AND standing = 'ignored'",
                [(run,) for run in left],
            )

        self._write(note)

    def prune(self) -> None:
        """Forget what was settled long ago."""

        def forget(database: sqlite3.Connection) -> None:
            before = self._clock() - KEPT_SECONDS
            database.execute("DELETE FROM events WHERE settled < ?", [before])
            database.execute("DELETE FROM left_runs WHERE noted < ?", [before])

        self._write(forget)

    def counts(self) -> dict[str, int]:
        """How many events there are, by standing."""
        query = "SELECT standing, count(*) FROM events GROUP BY 1"
        rows = self._write(lambda database: database.execute(query).fetchall())
        return {"waiting": 0, "handled": 0, "ignored": 0, **dict(rows)}

    def check(self) -> None:
        """Read all of it, and write to it.

        Raises:
            sqlite3.Error, OSError: it cannot be written.
        """

        def look(database: sqlite3.Connection) -> None:
            found = [name for _, name, *_ in database.execute("PRAGMA table_info(events)")]
            if not set(found) >= set(_NAMES):
                raise sqlite3.OperationalError("it belongs to another program")
            [[state]] = database.execute("PRAGMA quick_check(1)").fetchall()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            database.execute("INSERT OR REPLACE INTO left_runs VALUES (?, ?)", [_CHECKED, self._clock()])

        self._write(look)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work in a transaction that is on disk when this returns."""
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            file = self.path.stat().st_ino
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as error:
                # the class itself, not those below it: SQLite's codes for a file that is spoiled or not a database
                if type(error) is not sqlite3.DatabaseError:
                    raise
                if self.path.stat().st_ino == file:  # else another process was quicker
                    self._put_aside(error)
                return self._transact(work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # closing rolls back what is not committed
        with contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'left_runs'").fetchone() is None:
                database.executescript(_SCHEMA)
                self.beginnings += 1
            database.execute("BEGIN IMMEDIATE")
            result = work(database)
            database.execute("COMMIT")
            return result

    def _put_aside(self, error: Exception) -> None:
        moment = datetime.fromtimestamp(self._clock(), timezone.utc).strftime("%Y%m%dT%H%M%S")
        aside = f"{self.path}.spoiled-{moment}"
        for end in _FILES:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}{end}", f"{aside}{end}")
        self.path.touch(mode=0o600)
        logger.error(
            "the inbox was spoiled; it was put aside and a new one begun, and all reports are looked at",
            extra={"inbox": str(self.path), "aside": aside, "error": str(error)},
        )


def default_inbox(pipeline: Pipeline) -> Path:
    """Beside the pipeline's working folder, so that dropping the pipeline keeps the inbox."""
    return Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.webhooks.sqlite"
