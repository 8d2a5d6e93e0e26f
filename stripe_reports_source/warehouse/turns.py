"""One load at a time per pipeline and dataset, where a lock reaches; held while it works, not while it waits.

In: a pipeline. Out: a lock on the working folder, on a DuckDB database, on a dataset in PostgreSQL, which is given to
others while there is nothing to do but to wait. It spares work and waiting; tables and cursors come out right without
it too (see `forks` for the cursor, `postgres_cells` and `duckdb_cells` for the rows: whatever two loads share is locked
in the transaction that writes it).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from dlt import Pipeline

from .advisory_lock import AdvisoryLock
from .destinations import destination_type, duckdb_file
from .locks import POLL_SECONDS, FileTurn, database_file, load_into, pipeline_file, sync_of

logger = logging.getLogger(__name__)


class StoppedWaiting(Exception):
    """Ends a load that was stopped while others had the lock: there is nothing that it may do without it."""


class Turn(Protocol):
    """A lock of one kind."""

    def try_take(self) -> bool:
        """Take it if it is free, and nobody is next."""
        ...

    def take(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait for it; False if the wait was stopped."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def wanted(self) -> bool:
        """True while someone is next."""
        ...


class Waiting(Protocol):
    """What goes on while there is no lock."""

    @property
    def has_some(self) -> bool:
        """True when there is something to be done under the lock."""
        ...

    @property
    def is_due(self) -> bool:
        """True when it is time to ask for the lock, whoever has it."""
        ...

    def pause(self) -> None:
        """Wait a moment."""
        ...


class PipelineLock:
    """See the module.

    Args:
        pipeline: what is worked for.
        mend: called when the working folder is held, and before it is read to know what else is to be held.
        stopped: tells whether to end a wait for others.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        mend: Callable[[], None] = lambda: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pipeline = pipeline
        self._stopped = stopped
        self._mend = mend
        self._held = ExitStack()
        self._turns: list[Turn] = []
        self._where: tuple[Path | None, str] | None = None

    def take(self, meanwhile: Callable[[], Waiting | None] = lambda: None) -> None:
        """Wait until no other load works for the pipeline or its dataset, then keep others out.

        Args:
            meanwhile: begins what goes on while it waits; None is returned where there is nothing.

        Raises:
            StoppedWaiting: it was stopped before that.
            WorkingFolderError: a lock file cannot be made.
        """
        if self._take(lambda turn: turn.try_take()):
            return
        logger.info("%s, or another load into its dataset", sync_of(self._pipeline))
        waiting = meanwhile()
        if waiting is None:
            self._wait()
        else:
            self.give_way(waiting)

    def give_way(self, waiting: Waiting) -> None:
        """Let others work until there is something to do, then take the lock again.

        Raises:
            StoppedWaiting: it was stopped before that.
        """
        self.release()
        looked = 0.0
        while not waiting.is_due:
            if waiting.has_some and time.monotonic() > looked + POLL_SECONDS:
                looked = time.monotonic()
                if self._take(lambda turn: turn.try_take()):
                    return
            waiting.pause()
        self._wait()

    def release(self) -> None:
        """Let others work; nothing is changed where that is so already."""
        self._turns = []
        self._held.close()

    def wanted(self) -> bool:
        """True while another load waits for the lock."""
        return any(turn.wanted() for turn in self._turns)

    def _wait(self) -> None:
        if not self._take(lambda turn: turn.take(self._stopped)):
            raise StoppedWaiting

    def _take(self, how: Callable[[Turn], bool]) -> bool:
        with ExitStack() as taken:
            turns = []
            for turn in self._parts():
                if not how(turn):
                    return False
                taken.callback(turn.release)
                turns.append(turn)
            self._held, self._turns = taken.pop_all(), turns
        return True

    def _parts(self) -> Iterator[Turn]:
        folder = Path(self._pipeline.pipelines_dir).resolve()
        yield FileTurn(pipeline_file(self._pipeline, folder), sync_of(self._pipeline))
        self._mend()
        if self._where is None:
            self._where = duckdb_file(self._pipeline), destination_type(self._pipeline)
        database, kind = self._where
        if database is not None:
            yield FileTurn(database_file(database), load_into(f"the DuckDB file {database}"))
        if kind == "postgres":
            yield AdvisoryLock(self._pipeline)


@contextmanager
def pipeline_lock(
    pipeline: Pipeline,
    mend: Callable[[], None] = lambda: None,
    meanwhile: Callable[[], Waiting | None] = lambda: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[PipelineLock]:
    """Hold the lock of a pipeline; see `PipelineLock`."""
    lock = PipelineLock(pipeline, mend, stopped)
    try:
        lock.take(meanwhile)
        yield lock
    finally:
        lock.release()
